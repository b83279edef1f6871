//! The matrix of isolation: every route, at every place where an id stands, with every kind of
//! credential. It is made of the document of the management API, so a new route is in it, or fails it.
//!
//! A stranger is told what they would be told if there were nothing: 404 or 401, and not a byte more.
//! 403 is for whoever may know of the thing, and is told before anything is looked for.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use web::Limits;

use crate::dashboard::Scene;
use crate::openapi::operations;
use crate::portal::Visit;
use crate::server::{Reply, Server, text};
use crate::strangers::{House, SECRET, furnish, scim_routes};
use crate::stream::Stream;

/// The vendor's own identifier for somebody else.
const OTHERS_EXTERNAL_ID: &str = "customer-of-others";

/// A house with one of everything that has an id.
struct Furnished {
    house: House,
    /// What stands in a path, by the name of the parameter.
    ids: BTreeMap<&'static str, String>,
    /// A key of its organization, which may do everything there.
    key: String,
    /// A client's secret, and an access token that was given for it.
    client_secret: String,
    access_token: String,
    webhook_secret: String,
}

fn made(server: &Server, path: &str, body: &Value) -> Value {
    let reply = server.api("POST", &format!("/api/v1{path}"), body.to_string().as_bytes());
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

fn furnish_whole(server: &Server) -> Furnished {
    let house = furnish(server);
    let directory = format!("/directories/{}", house.connection.directory);
    let client = made(server, &format!("{directory}/oauth-clients"), &json!({ "name": SECRET }));
    let (client_id, client_secret) = (text(&client, "id"), text(&client, "client_secret"));
    let form = format!(
        "grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let given = server.call("POST", "/oauth/token", &headers, form.as_bytes()).json();
    let urn = format!("urn:example:{}:Badge", house.organization);
    let schema = json!({
        "resource_type": "User",
        "schema": { "id": urn, "name": SECRET, "attributes": [{ "name": "floor" }] },
    });
    let path = format!("/api/v1{directory}/schemas/{urn}");
    assert_eq!(server.api("PUT", &path, schema.to_string().as_bytes()).status, 201);
    let key = json!({ "name": SECRET, "scopes": ["full"], "organization_id": house.organization });
    let key = made(server, "/api-keys", &key);
    let path = format!("/organizations/{}/portal-links", house.organization);
    let link = made(server, &path, &json!({}));
    let webhook = made(server, "/webhooks", &json!({ "url": "https://app.example/hooks" }));
    let (webhook, webhook_secret) = (text(&webhook, "id"), text(&webhook, "secret"));
    let test = server.api("POST", &format!("/api/v1/webhooks/{webhook}/test"), b"");
    assert_eq!(test.status, 202, "{test:?}");
    let requests = server.api("GET", &format!("/api/v1{directory}/requests?limit=1"), b"").json();
    let request = text(&requests["data"][0], "id");
    let hold = pull_the_brake(server, &house);
    let erased = json!({ "userName": format!("{SECRET}@example.com") });
    let headers = [("Authorization", format!("Bearer {}", house.connection.token))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = format!("{}/Users", house.connection.base);
    let erased = server.call("POST", &path, &headers, erased.to_string().as_bytes()).json();
    let path = format!("/api/v1{directory}/users/{}/erase", text(&erased, "id"));
    let erasure = server.api("POST", &path, b"");
    assert_eq!(erasure.status, 202, "{erasure:?}");
    let ids = BTreeMap::from([
        ("request", request),
        ("hold", hold),
        ("erasure", text(&erasure.json(), "id")),
        ("organization", house.organization.clone()),
        ("directory", house.connection.directory.clone()),
        ("token", house.token_id.clone()),
        ("client", client_id),
        ("secret", text(&client["secrets"][0], "id")),
        ("user", house.user.clone()),
        ("group", house.group.clone()),
        ("urn", urn),
        ("key", text(&key, "id")),
        ("link", text(&link, "id")),
        ("webhook", webhook),
        ("delivery", text(&test.json(), "id")),
        // The vendor's catalogue is nobody's, and each directory counts its own events.
        ("id", "admin".to_owned()),
        ("number", "1".to_owned()),
    ]);
    let access_token = text(&given, "access_token");
    let key = text(&key, "api_key");
    Furnished { house, ids, key, client_secret, access_token, webhook_secret }
}

/// Has its provider take out two people where one may be; says which hold that makes.
pub(crate) fn pull_the_brake(server: &Server, house: &House) -> String {
    let path = format!("/api/v1/directories/{}", house.connection.directory);
    let edit = json!({ "settings": { "brake": { "people": 1, "percent": 1 } } }).to_string();
    assert_eq!(server.api("PATCH", &path, edit.as_bytes()).status, 200);
    let authorization = format!("Bearer {}", house.connection.token);
    let headers = [("Authorization", authorization.as_str())];
    for number in 0..2 {
        let users = format!("{}/Users", house.connection.base);
        let leaver = json!({ "userName": format!("leaver-{number}"), "active": true });
        let leaver = server.call("POST", &users, &headers, leaver.to_string().as_bytes()).json();
        let user = format!("{users}/{}", text(&leaver, "id"));
        assert_eq!(server.call("DELETE", &user, &headers, b"").status, 204);
    }
    text(&server.api("GET", &format!("{path}/holds"), b"").json()["data"][0], "id")
}

/// Ids that nobody has, one for each place.
fn nobodys(name: &str) -> &'static str {
    match name {
        "organization" => "org-01kc2x4n0s00000000000000zz",
        "directory" => "dir-01kc2x4n0s00000000000000zz",
        "token" | "secret" | "key" => "tok-01kc2x4n0s00000000000000zz",
        "link" => "link-01kc2x4n0s00000000000000zz",
        "webhook" => "whe-01kc2x4n0s00000000000000zz",
        "delivery" => "whd-01kc2x4n0s00000000000000zz",
        "hold" => "hold-01kc2x4n0s00000000000000zz",
        "client" => "cli-01kc2x4n0s00000000000000zz",
        "user" | "group" => "019b8d4a-0000-7000-8000-00000000dead",
        "urn" => "urn:example:nobody:Badge",
        "request" => "req-01kc2x4n0s00000000000000zz",
        "erasure" => "era-01kc2x4n0s00000000000000zz",
        "id" => "nobodys",
        "number" => "999999",
        _ => panic!("`{name}` is a new place for an id: say what nobody's is, and furnish one"),
    }
}

/// Whether what stands at a place of a path is the same for everybody, and names nobody's.
fn is_nobodys_own(place: &str) -> bool {
    matches!(place, "id" | "number")
}

/// One operation of the document, with what it is called with.
struct Operation {
    method: String,
    path: String,
    scope: String,
    is_of_all: bool,
    body: String,
    /// The names of the parameters of its query.
    query: Vec<String>,
    /// The names in its body that stand for ids.
    ids_in_body: Vec<String>,
}

impl Operation {
    fn all() -> Vec<Operation> {
        let document = web::document();
        let read = |(method, path, operation): (String, String, Value)| {
            let description = text(&operation, "description");
            let (_, scope) =
                description.rsplit_once("scope `").expect("it says which scope it needs");
            let (scope, rest) = scope.split_once('`').expect("the scope ends");
            let content = &operation["requestBody"]["content"]["application/json"];
            let example = &content["example"];
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|it| it["in"] == "query").map(|it| text(it, "name"));
            let schema = content["schema"]["$ref"].as_str().map(|it| &it[1..]);
            let schema = schema.and_then(|it| document.pointer(it)).unwrap_or(&Value::Null);
            let names = schema["properties"].as_object().into_iter().flatten().map(|(it, _)| it);
            let is_id = |name: &&String| name.ends_with("_id") || name.ends_with("_ids");
            Operation {
                query: query.collect(),
                ids_in_body: names.filter(is_id).cloned().collect(),
                body: if example.is_null() { String::new() } else { example.to_string() },
                is_of_all: rest.contains("must not be that of one organization"),
                scope: scope.to_owned(),
                method,
                path,
            }
        };
        operations().into_iter().map(read).collect()
    }

    /// The places of ids.
    fn places(&self) -> Vec<String> {
        let names = self.path.split('{').skip(1).filter_map(|part| part.split('}').next());
        names.map(str::to_owned).collect()
    }

    fn filled(&self, id: impl Fn(&str) -> String) -> String {
        let path = self
            .places()
            .into_iter()
            .fold(self.path.clone(), |path, name| path.replace(&format!("{{{name}}}"), &id(&name)));
        format!("/api/v1{path}")
    }

    fn send(&self, server: &Server, path: &str, credential: Option<&str>) -> Reply {
        let authorization = credential.map(|it| format!("Bearer {it}"));
        let headers: Vec<_> =
            authorization.iter().map(|it| ("Authorization", it.as_str())).collect();
        // It has to be said who signs in.
        let is_asked = self.path.ends_with("/sign-in") && !path.contains('?');
        let path = if is_asked { &format!("{path}?user_name=nobody") } else { path };
        if self.path.ends_with("/stream") {
            // It has no end, where there is one.
            return Stream::open(server, path, &headers).begun();
        }
        server.call(&self.method, path, &headers, self.body.as_bytes())
    }
}

/// What was told, without the name of the request and the time.
fn told(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut headers = reply.headers.clone();
    headers.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
    (reply.status, headers, String::from_utf8(reply.body.clone()).expect("text"))
}

fn without_limits() -> Limits {
    // However often they ask: what they are told is not to depend on that here.
    Limits { guesses: None, rate: None, ..Limits::default() }
}

/// Credentials of every kind that open nothing of the management API.
fn useless(scene: &Scene, of: &Furnished) -> Vec<(&'static str, Option<String>)> {
    let server = &scene.server;
    let revoked = made(server, "/api-keys", &json!({ "name": "revoked", "scopes": ["full"] }));
    let path = format!("/api/v1/api-keys/{}", text(&revoked, "id"));
    assert_eq!(server.api("DELETE", &path, b"").status, 204);
    let expired = json!({ "name": "expired", "scopes": ["full"], "lifetime_days": 1 });
    let expired = text(&made(server, "/api-keys", &expired), "api_key");
    scene.pass(24 * 60 * 60);
    let invite = || Visit::invite(server, &of.house.organization, &json!({}));
    let (link, visit) = (invite(), invite().begin(server));
    let (invitation, member) = of_dashboard(scene);
    vec![
        ("none", None),
        ("garbage", Some("nonsense".to_owned())),
        ("a key that was cut", Some(server.key[..server.key.len() - 1].to_owned())),
        ("a revoked key", Some(text(&revoked, "api_key"))),
        ("an expired key", Some(expired)),
        ("a token of the directory", Some(of.house.connection.token.clone())),
        ("a client's secret", Some(of.client_secret.clone())),
        ("an access token", Some(of.access_token.clone())),
        ("a link to the portal", Some(link.secret)),
        ("what a browser shows that has opened one", Some(visit.session)),
        ("an invitation to the dashboard", Some(invitation)),
        ("what a browser shows in which a member is signed in", Some(member)),
        ("what webhooks are signed with", Some(of.webhook_secret.clone())),
    ]
}

/// An invitation to the dashboard, and what the browser of somebody shows who has joined.
fn of_dashboard(scene: &Scene) -> (String, String) {
    let owner = scene.first();
    let path = owner.invitation(scene, "bo@vendor.example", "support");
    let invitation = path.rsplit('/').next().expect("a part");
    (invitation.to_owned(), owner.session)
}

/// What stands behind `Authorization: Basic`.
fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

#[test]
fn who_has_no_key_is_told_the_same_of_everything() {
    let scene = Scene::begin("isolation-useless");
    let server = &scene.server;
    let of = furnish_whole(server);
    let useless = useless(&scene, &of);
    let before = server.state();
    let nothing = server.call("GET", "/api/v1/nonsense", &[], b"");
    assert_eq!(nothing.status, 401);
    for operation in Operation::all() {
        for (kind, credential) in &useless {
            let path = operation.filled(|name| of.ids[name].clone());
            let reply = operation.send(server, &path, credential.as_deref());
            assert_eq!(told(&reply), told(&nothing), "{} {path} with {kind}", operation.method);
        }
        // A good key, and a good token, in another scheme.
        let path = operation.filled(|name| of.ids[name].clone());
        for authorization in [
            basic("key", &server.key),
            basic(&of.ids["directory"], &of.house.connection.token),
            format!("Digest {}", server.key),
        ] {
            let headers = [("Authorization", authorization.as_str())];
            let reply = server.call(&operation.method, &path, &headers, operation.body.as_bytes());
            assert_eq!(told(&reply), told(&nothing), "{} {path}", operation.method);
        }
    }
    assert_eq!(server.state(), before);
}

#[test]
fn another_organizations_key_meets_nothing_at_every_place_of_an_id() {
    let server = Server::start("isolation-foreign", without_limits());
    let (own, other) = (furnish_whole(&server), furnish_whole(&server));
    let path = format!("/api/v1/organizations/{}", other.ids["organization"]);
    let edit = json!({ "external_id": OTHERS_EXTERNAL_ID }).to_string();
    assert_eq!(server.api("PATCH", &path, edit.as_bytes()).status, 200);
    let role = server.api("PUT", "/api/v1/roles/admin", br#"{"name":"Administrator"}"#);
    assert_eq!(role.status, 200);
    let before = server.state();
    let mut places = 0;
    for operation in Operation::all() {
        let Operation { method, path, .. } = &operation;
        if operation.is_of_all {
            let path = operation.filled(|name| own.ids[name].clone());
            let reply = operation.send(&server, &path, Some(&own.key));
            assert_eq!(reply.status, 403, "{method} {path}: {reply:?}");
            continue;
        }
        for foreign in operation.places() {
            if is_nobodys_own(&foreign) {
                continue;
            }
            places += 1;
            // Every other place has what is the stranger's own.
            let with = |id: &str| {
                let path = operation.filled(|name| {
                    if name == foreign { id.to_owned() } else { own.ids[name].clone() }
                });
                let reply = operation.send(&server, &path, Some(&own.key));
                let (status, headers, body) = told(&reply);
                (status, headers, body.replace(id, "…"))
            };
            let theirs = with(&other.ids[foreign.as_str()]);
            if method == "PUT" && foreign == "urn" {
                // The URN of a schema is the caller's to choose, and what is in the body another.
                assert_eq!(theirs.0, 400, "{theirs:?}");
                continue;
            }
            // What happened to nobody is nothing, and so is what happened to somebody else's.
            let expected =
                if path.ends_with("/timeline") && foreign != "directory" { 200 } else { 404 };
            assert_eq!(theirs.0, expected, "{method} {path} at {foreign}: {theirs:?}");
            let nobodys = with(nobodys(&foreign));
            assert_eq!(theirs, nobodys, "{method} {path} at {foreign}");
            assert!(!theirs.2.contains(SECRET), "{method} {path} at {foreign}: {theirs:?}");
        }
    }
    // The document has at least as many as when this was written.
    assert!(places >= 48, "{places}");
    // Ids that stand elsewhere. In a body there are two places; others concern all organizations.
    let all = Operation::all();
    let found: Vec<_> = all
        .iter()
        .filter(|it| !it.is_of_all && !it.ids_in_body.is_empty())
        .map(|it| format!("{} {} {}", it.method, it.path, it.ids_in_body.join(" ")))
        .collect();
    let expected =
        ["PATCH /organizations/{organization} external_id", "POST /api-keys organization_id"];
    assert_eq!(found, expected, "a new place for an id: say below what a stranger is told there");
    // Whether somebody has it is not told to whoever may know of one organization only.
    let with = |external_id: &str| {
        let body = json!({ "external_id": external_id }).to_string();
        let authorization = format!("Bearer {}", own.key);
        let headers = [("Authorization", authorization.as_str())];
        let path = format!("/api/v1/organizations/{}", own.ids["organization"]);
        told(&server.call("PATCH", &path, &headers, body.as_bytes()))
    };
    assert_eq!(with(OTHERS_EXTERNAL_ID), with("nobodys"));
    assert_eq!(with("nobodys").0, 403);
    let with = |id: &str| {
        let body = json!({ "name": "x", "scopes": ["read"], "organization_id": id }).to_string();
        let authorization = format!("Bearer {}", own.key);
        let headers = [("Authorization", authorization.as_str())];
        let key = server.call("POST", "/api/v1/api-keys", &headers, body.as_bytes());
        assert_eq!(key.status, 404, "{key:?}");
        told(&key)
    };
    assert_eq!(with(&other.ids["organization"]), with(nobodys("organization")));
    // Groups and people of another directory are nobody's in a mapping.
    for (method, path) in [("PUT", "role-mapping"), ("POST", "role-mapping/preview")] {
        let with = |group: &str, user: &str| {
            let body = json!({
                "rules": [{ "group": group, "role": "admin" }],
                "default_group": group,
                "protected": [{ "user": user, "role": "admin" }],
            });
            let authorization = format!("Bearer {}", own.key);
            let headers = [("Authorization", authorization.as_str())];
            let path = format!("/api/v1/directories/{}/{path}", own.ids["directory"]);
            let reply = server.call(method, &path, &headers, body.to_string().as_bytes());
            let (status, headers, body) = told(&reply);
            (status, headers, body.replace(group, "…").replace(user, "…"))
        };
        let theirs = with(&other.ids["group"], &other.ids["user"]);
        assert_eq!(theirs, with(nobodys("group"), nobodys("user")));
        assert_eq!(theirs.0, 400, "{theirs:?}");
    }
    let with = |query: &str| {
        let authorization = format!("Bearer {}", own.key);
        let headers = [("Authorization", authorization.as_str())];
        told(&server.call("GET", &format!("/api/v1/{query}"), &headers, b""))
    };
    let events = |id: &str| with(&format!("events?directory_id={id}"));
    assert_eq!(events(&other.ids["directory"]), events(nobodys("directory")));
    assert_eq!(events(nobodys("directory")).0, 404);
    let events = |id: &str| with(&format!("events?organization_id={id}"));
    assert_eq!(events(&other.ids["organization"]), events(nobodys("organization")));
    assert_eq!(events(nobodys("organization")).0, 404);
    let requests = |id: &str| with(&format!("requests?directory_id={id}"));
    assert_eq!(requests(&other.ids["directory"]), requests(nobodys("directory")));
    assert_eq!(requests(nobodys("directory")).0, 404);
    let requests = |id: &str| with(&format!("requests?organization_id={id}"));
    assert_eq!(requests(&other.ids["organization"]), requests(nobodys("organization")));
    assert_eq!(requests(nobodys("organization")).0, 404);
    let stream = |query: &str| with(&format!("events/stream?{query}"));
    let foreign = format!("directory_id={}", other.ids["directory"]);
    assert_eq!(stream(&foreign), stream(&format!("directory_id={}", nobodys("directory"))));
    let foreign = format!("organization_id={}", other.ids["organization"]);
    assert_eq!(stream(&foreign), stream(&format!("organization_id={}", nobodys("organization"))));
    assert_eq!(stream(&foreign).0, 404);
    // In a query: whatever of the other's stands there, nothing of them is told.
    let feed = |query: &str| {
        text(&server.api("GET", &format!("/api/v1/events?limit=1{query}"), b"").json(), "next")
    };
    let cursors = [feed(""), feed(&format!("&directory_id={}", other.ids["directory"]))];
    let mut asked = 0;
    for operation in Operation::all().iter().filter(|it| !it.is_of_all) {
        let is_feed = operation.path.starts_with("/events");
        for name in &operation.query {
            let values: Vec<&str> = match name.as_str() {
                "after" if is_feed => cursors.iter().map(String::as_str).collect(),
                "after" => vec![&other.ids["organization"], &other.ids["directory"], "1"],
                "directory_id" => vec![&other.ids["directory"]],
                "organization_id" => vec![&other.ids["organization"]],
                "type" => vec!["directory.user.created"],
                "wait" => vec!["0"],
                // Only what the other has.
                "external_id" => vec![OTHERS_EXTERNAL_ID],
                "user_name" | "email" | "display_name" | "id" | "user_id" | "person" => {
                    vec![&other.ids["user"]]
                }
                "state" => vec!["received"],
                "actor_id" => vec![&other.ids["key"]],
                "actor_type" => vec!["api_key", "portal_link", "member"],
                "object_id" => vec![&other.ids["directory"], &other.ids["token"]],
                "action" => vec!["token.created"],
                "filter" => vec!["id%20pr"],
                "limit" => vec!["1000"],
                "group" => vec![&other.ids["group"]],
                "request_id" => vec![&other.ids["request"]],
                "status" => vec!["2xx", "401"],
                "method" => vec!["POST"],
                "since" => vec!["2020-01-01T00:00:00Z"],
                "until" => vec!["2040-01-01T00:00:00Z"],
                _ => panic!("`{name}` is a new parameter: say what a stranger would send"),
            };
            for value in values {
                asked += 1;
                let own_path = operation.filled(|name| own.ids[name].clone());
                let mut path = format!("{own_path}?{name}={value}");
                if is_feed && name != "directory_id" {
                    path = format!("{path}&directory_id={}", own.ids["directory"]);
                }
                let reply = operation.send(&server, &path, Some(&own.key));
                assert!(matches!(reply.status, 200 | 400 | 404), "{path}: {reply:?}");
                if is_feed && name == "after" {
                    assert_eq!(reply.status, 400, "a cursor of theirs leads nowhere: {reply:?}");
                }
                let (_, _, body) = told(&reply);
                let body = body.replace(value, "…");
                for id in other.ids.iter().filter(|it| !is_nobodys_own(it.0)).map(|(_, id)| id) {
                    assert!(!body.contains(id), "{path}: {body}");
                }
            }
        }
    }
    assert!(asked >= 30, "{asked}");
    assert_eq!(server.state(), before);
    // Lists have the own ones and nobody else's.
    for operation in Operation::all()
        .iter()
        .filter(|it| it.method == "GET" && it.places().is_empty() && !it.is_of_all)
    {
        let reply = operation.send(&server, &operation.filled(|_| String::new()), Some(&own.key));
        let (status, _, body) = told(&reply);
        assert_eq!(status, 200, "{}", operation.path);
        for id in other.ids.iter().filter(|it| !is_nobodys_own(it.0)).map(|(_, id)| id) {
            assert!(!body.contains(id), "{}: {body}", operation.path);
        }
    }
}

#[test]
fn a_key_does_what_its_scopes_say_and_is_told_so_before_anything_is_looked_for() {
    let server = Server::start("isolation-scopes", without_limits());
    let of = furnish_whole(&server);
    let key = |scopes: Value| {
        let new = json!({ "name": "some", "scopes": scopes });
        text(&made(&server, "/api-keys", &new), "api_key")
    };
    let (reader, settings) = (key(json!(["read"])), key(json!(["settings:read"])));
    let before = server.state();
    for operation in Operation::all() {
        let own = operation.filled(|name| of.ids[name].clone());
        let nowhere = operation.filled(|name| nobodys(name).to_owned());
        let refused = |credential: &str| {
            let with = |path: &str| told(&operation.send(&server, path, Some(credential)));
            let (own, nowhere) = (with(&own), with(&nowhere));
            assert_eq!(own.0, 403, "{} {}: {own:?}", operation.method, operation.path);
            assert_eq!(own, nowhere, "{} {}", operation.method, operation.path);
            assert!(own.2.contains(&operation.scope) && !own.2.contains(SECRET), "{own:?}");
        };
        if operation.scope.ends_with(":read") {
            let reply = operation.send(&server, &own, Some(&reader));
            // The app has no role here that could be read, or tried.
            let is_of_roles =
                operation.path.ends_with("/{id}") || operation.path.ends_with("/preview");
            let is_read = reply.status == 200 || (is_of_roles && reply.status != 403);
            assert!(is_read, "{} {}: {reply:?}", operation.method, operation.path);
        } else {
            refused(&reader);
        }
        if operation.scope != "settings:read" {
            refused(&settings);
        }
        // What reads needs a scope to read, and what writes one to write. A preview is asked for with
        // a body, and changes nothing.
        let reads = operation.method == "GET" || operation.path.ends_with("/preview");
        assert_eq!(reads, operation.scope.ends_with(":read"), "{}", operation.path);
    }
    assert_eq!(server.state(), before);
}

/// Of every scope there is, by itself: what it allows, and nothing more.
#[test]
fn every_scope_allows_what_it_says_and_nothing_else() {
    let server = Server::start("isolation-every-scope", without_limits());
    let of = furnish_whole(&server);
    let operations = Operation::all();
    let mut scopes: BTreeSet<_> = operations.iter().map(|it| it.scope.as_str()).collect();
    scopes.extend(["full", "read"]);
    assert!(scopes.len() >= 17, "{scopes:?}");
    for scope in scopes {
        let key = text(
            &made(&server, "/api-keys", &json!({ "name": scope, "scopes": [scope] })),
            "api_key",
        );
        for operation in &operations {
            let area = |it: &str| it.split(':').next().map(str::to_owned);
            let is_read = operation.scope.ends_with(":read");
            let is_allowed = scope == operation.scope
                || scope == "full"
                || (is_read && (scope == "read" || area(scope) == area(&operation.scope)));
            // What is allowed is done to nothing that is there.
            let nowhere = operation.filled(|name| nobodys(name).to_owned());
            let reply = operation.send(&server, &nowhere, Some(&key));
            let context = format!("{scope}: {} {}: {reply:?}", operation.method, operation.path);
            assert_ne!(reply.status, 401, "{context}");
            let is_refused = reply.status == 403 && told(&reply).2.contains("the scope `");
            assert_eq!(is_refused, !is_allowed, "{context}");
        }
    }
    assert_eq!(server.call("GET", "/health", &[], b"").status, 200);
    drop(of);
}

#[test]
fn no_credential_of_anything_else_opens_a_directory() {
    let scene = Scene::begin("isolation-scim");
    let server = &scene.server;
    let (own, other) = (furnish_whole(server), furnish_whole(server));
    let token = |body: Value| {
        let path = format!("/directories/{}/tokens", own.house.connection.directory);
        made(server, &path, &body)
    };
    let (revoked, expired) = (token(json!({})), token(json!({ "lifetime_days": 1 })));
    let path = format!(
        "/api/v1/directories/{}/tokens/{}",
        own.house.connection.directory,
        text(&revoked, "id")
    );
    assert_eq!(server.api("DELETE", &path, b"").status, 204);
    let given = {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            other.ids["client"], other.client_secret
        );
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        scene.pass(24 * 60 * 60);
        text(&server.call("POST", "/oauth/token", &headers, form.as_bytes()).json(), "access_token")
    };
    let invite = || Visit::invite(server, &own.house.organization, &json!({}));
    let (link, visit) = (invite(), invite().begin(server));
    let (invitation, member) = of_dashboard(&scene);
    let credentials = [
        ("a link to the portal", link.secret),
        ("what a browser shows that has opened one", visit.session),
        ("an invitation to the dashboard", invitation),
        ("what a browser shows in which a member is signed in", member),
        ("what webhooks are signed with", own.webhook_secret.clone()),
        ("the vendor's key", server.key.clone()),
        ("the organization's key", own.key.clone()),
        ("a client's secret", own.client_secret.clone()),
        ("a revoked token", text(&revoked, "token")),
        ("an expired token", text(&expired, "token")),
        ("an expired access token", own.access_token.clone()),
        ("a token of another directory", other.house.connection.token.clone()),
        ("an access token of another directory", given),
    ];
    let before = server.state();
    for (method, path, body) in scim_routes(&own.house.connection.base, &own.house) {
        for (kind, credential) in &credentials {
            let authorization = format!("Bearer {credential}");
            let headers = [("Authorization", authorization.as_str())];
            let reply = server.call(method, &path, &headers, body.as_bytes());
            assert_eq!(reply.status, 401, "{method} {path} with {kind}: {reply:?}");
            assert!(!told(&reply).2.contains(SECRET), "{method} {path} with {kind}");
        }
        // As a password: the own token where none is taken, and another's under either name.
        for authorization in [
            basic(&own.ids["directory"], &own.house.connection.token),
            basic(&own.ids["directory"], &other.house.connection.token),
            basic(&other.ids["directory"], &other.house.connection.token),
            basic("", ""),
        ] {
            let headers = [("Authorization", authorization.as_str())];
            let reply = server.call(method, &path, &headers, body.as_bytes());
            assert_eq!(reply.status, 401, "{method} {path}: {reply:?}");
            assert!(!told(&reply).2.contains(SECRET), "{method} {path}: {reply:?}");
        }
    }
    assert_eq!(server.state(), before);
}
