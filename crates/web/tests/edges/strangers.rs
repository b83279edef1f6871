//! Strangers: every route, asked by those who may not. They are answered 401 or 404, without a byte
//! of anybody's data, and nothing is changed.

use web::Limits;

use crate::server::{Connection, Server, text};

/// What nobody but those who may must ever see.
pub(crate) const SECRET: &str = "Sekretariat";

const USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"Sekretariat-1","emails":[{"value":"Sekretariat@acme.example"}]}"#;
const GROUP: &str =
    r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Sekretariat-2"}"#;
const BULK: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"POST","path":"/Users","bulkId":"1","data":{"userName":"stranger"}}]}"#;
const PATCH: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"displayName":"stranger"}}]}"#;

/// A directory with a user and a group, and what their ids are.
pub(crate) struct House {
    pub(crate) connection: Connection,
    pub(crate) organization: String,
    pub(crate) user: String,
    pub(crate) group: String,
    pub(crate) token_id: String,
}

pub(crate) fn furnish(server: &Server) -> House {
    let connection = server.connect(SECRET, SECRET);
    let authorization = format!("Bearer {}", connection.token);
    let make = |path: &str, body: &str| {
        let path = format!("{}{path}", connection.base);
        let headers = [("Authorization", authorization.as_str())];
        let reply = server.call("POST", &path, &headers, body.as_bytes());
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.json(), "id")
    };
    let (user, group) = (make("/Users", USER), make("/Groups", GROUP));
    let path = format!("/api/v1/directories/{}", connection.directory);
    let organization = text(&server.api("GET", &path, b"").json(), "organization_id");
    let tokens = server.api("GET", &format!("{path}/tokens"), b"").json();
    let token_id = text(&tokens["data"][0], "id");
    House { connection, organization, user, group, token_id }
}

/// Every route of SCIM below a base URL, with every method, whether or not it knows it. It is made of
/// the table that requests are routed by, so a new route is in it, or fails it.
pub(crate) fn scim_routes(base: &str, house: &House) -> Vec<(&'static str, String, &'static str)> {
    const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"];

    let mut routes = Vec::new();
    for (place, known) in web::scim_places() {
        let is_known = |method: &&str| METHODS.contains(method);
        assert!(known.split(", ").all(|it| is_known(&it)), "{place} knows a new method: {known}");
        let mut path = format!("{base}{place}");
        for (name, id) in [
            ("{user}", house.user.as_str()),
            ("{group}", house.group.as_str()),
            ("{id}", "admin"),
            ("{type}", "User"),
            ("{urn}", "urn:ietf:params:scim:schemas:core:2.0:User"),
            ("{rest..}", "Groups"),
        ] {
            path = path.replace(name, id);
        }
        assert!(!path.contains('{'), "{place} has a new place for an id: say what stands there");
        for method in METHODS {
            let body = match method {
                "POST" if place.ends_with(".search") => "{}",
                "POST" | "PUT" if place.starts_with("/Groups") => GROUP,
                "POST" if place == "/Bulk" => BULK,
                "POST" | "PUT" => USER,
                "PATCH" => PATCH,
                _ => "",
            };
            routes.push((method, path.clone(), body));
        }
    }
    assert!(routes.len() >= 19 * METHODS.len(), "there were more of them");
    for path in ["/", "/nonsense", "/Me"] {
        routes.push(("GET", format!("{base}{path}"), ""));
        routes.push(("POST", format!("{base}{path}"), "{}"));
    }
    for resources in ["Users", "Groups"] {
        routes.push(("GET", format!("{base}/{resources}?filter=id%20pr"), ""));
    }
    routes
}

/// What a server can do is told to anybody who does not say who they are (RFC 7643 §5).
pub(crate) fn is_for_everybody(method: &str, path: &str, credential: Option<&str>) -> bool {
    credential.is_none()
        && matches!(method, "GET" | "HEAD")
        && path.ends_with("/ServiceProviderConfig")
}

/// Every route of the management API.
fn api_routes(house: &House) -> Vec<(&'static str, String, &'static str)> {
    let directory = format!("/api/v1/directories/{}", house.connection.directory);
    let organization = format!("/api/v1/organizations/{}", house.organization);
    let new_directory = r#"{"name":"stranger","provider":"okta"}"#;
    let mut routes = vec![
        ("GET", "/api/v1/organizations".to_owned(), ""),
        ("POST", "/api/v1/organizations".to_owned(), r#"{"name":"stranger"}"#),
        ("GET", organization.clone(), ""),
        ("GET", format!("{organization}/directories"), ""),
        ("POST", format!("{organization}/directories"), new_directory),
        ("GET", "/api/v1/directories".to_owned(), ""),
        ("GET", directory.clone(), ""),
        ("GET", format!("{directory}/tokens"), ""),
        ("POST", format!("{directory}/tokens"), "{}"),
        ("DELETE", format!("{directory}/tokens/{}", house.token_id), ""),
        ("GET", format!("{directory}/quirks"), ""),
        ("GET", format!("{directory}/users"), ""),
        ("GET", format!("{directory}/users/{}", house.user), ""),
        ("GET", format!("{directory}/groups"), ""),
        ("GET", format!("{directory}/groups/{}", house.group), ""),
        ("GET", format!("{directory}/schemas"), ""),
        ("GET", format!("{directory}/schemas/urn:example:x:y"), ""),
        ("PUT", format!("{directory}/schemas/urn:example:x:y"), "{}"),
        ("DELETE", format!("{directory}/schemas/urn:example:x:y"), ""),
        ("GET", format!("{directory}/unknown-attributes"), ""),
        ("POST", format!("{directory}/unknown-attributes/adopt"), ""),
        ("GET", "/api/v1/roles".to_owned(), ""),
        ("PUT", "/api/v1/roles/admin".to_owned(), r#"{"name":"stranger"}"#),
        ("DELETE", "/api/v1/roles/admin".to_owned(), ""),
        ("GET", "/api/v1/entitlements".to_owned(), ""),
        ("PUT", "/api/v1/entitlements/all".to_owned(), r#"{"name":"stranger"}"#),
        ("GET", "/api/v1/events".to_owned(), ""),
        ("GET", "/api/v1/events?after=nonsense&limit=0&limit=1".to_owned(), ""),
        ("GET", "/api/v1/nonsense".to_owned(), ""),
        ("GET", "/api/v1/organizations/%FF".to_owned(), ""),
        ("GET", "/api/v1".to_owned(), ""),
    ];
    for method in ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        routes.push((method, "/api/v1/organizations".to_owned(), ""));
        routes.push((method, format!("{directory}/users/{}", house.user), ""));
    }
    routes
}

/// Proves S-AUTH-14, S-AUTH-16, S-EVENT-15, S-POLL-8.
#[test]
fn strangers_learn_nothing_and_change_nothing() {
    // However often they ask: what they are told is not to depend on that here.
    let server = Server::start("strangers", Limits { guesses: None, ..Limits::default() });
    let house = furnish(&server);
    let other = server.connect("Globex", "Okta");
    let before = server.state();
    let bearer = |secret: &str| Some(format!("Bearer {secret}"));
    let (own, base) = (&house.connection, &house.connection.base);
    let nobody = [
        None,
        Some(String::new()),
        bearer("nonsense"),
        Some("nonsense".to_owned()),
        Some("Basic YW5hOnNlY3JldA==".to_owned()),
        bearer(&own.token[..own.token.len() - 1]),
        bearer(&format!("{}0", own.token)),
        bearer(&own.token.to_uppercase()),
    ];
    let also_on_scim = [bearer(&server.key), bearer(&other.token)];
    let also_on_api = [bearer(&own.token), bearer(&other.token)];

    let check =
        |method: &str, path: &str, body: &str, credential: Option<&str>, statuses: &[u16]| {
            let headers = credential.map(|it| ("Authorization", it));
            let headers: Vec<_> = headers.into_iter().collect();
            let reply = server.call(method, path, &headers, body.as_bytes());
            let context = format!("{method} {path} with {credential:?}: {reply:?}");
            assert!(statuses.contains(&reply.status), "{context}");
            if method == "HEAD" {
                assert!(reply.body.is_empty(), "{context}");
            } else {
                // Whatever was asked, it is answered in JSON.
                reply.json();
            }
            assert!(!format!("{reply:?}").contains(SECRET), "{context}");
            if reply.status == 401 {
                assert!(
                    reply.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer "))
                );
            }
        };
    let check_scim = |method: &str, path: &str, body: &str, credential: Option<&str>| {
        let is_told = is_for_everybody(method, path, credential);
        check(method, path, body, credential, if is_told { &[200] } else { &[401] });
    };
    for (method, path, body) in scim_routes(base, &house) {
        for credential in nobody.iter().chain(&also_on_scim) {
            check_scim(method, &path, body, credential.as_deref());
        }
    }
    // At the shared address a token is at home in its own directory, and finds nobody else's there.
    for (method, path, body) in scim_routes("/scim/v2", &house) {
        for credential in nobody.iter().chain(&also_on_scim[..1]) {
            check_scim(method, &path, body, credential.as_deref());
        }
        if path.contains(&house.user) || path.contains(&house.group) {
            let statuses = match method {
                "OPTIONS" => continue,
                "POST" | "BREW" => &[405],
                _ => &[404],
            };
            check(method, &path, body, also_on_scim[1].as_deref(), statuses);
        }
    }
    for (method, path, body) in api_routes(&house) {
        for credential in nobody.iter().chain(&also_on_api) {
            check(method, &path, body, credential.as_deref(), &[401]);
        }
    }
    assert_eq!(server.state(), before);
}

/// Proves S-TENANT-3.
#[test]
fn an_id_of_another_directory_is_answered_as_one_that_there_is_not() {
    let server = Server::start("strangers-ids", Limits::default());
    let house = furnish(&server);
    let other = server.connect("Globex", "Okta");
    let authorization = format!("Bearer {}", other.token);
    let headers = [("Authorization", authorization.as_str())];
    let nobody = "019b8d4a-0000-7000-8000-00000000dead";
    for (resources, id, body) in [("Users", &house.user, USER), ("Groups", &house.group, GROUP)] {
        for (method, body) in [("GET", ""), ("PUT", body), ("PATCH", PATCH), ("DELETE", "")] {
            let ask = |id: &str| {
                let path = format!("/scim/v2/{resources}/{id}");
                let mut reply = server.call(method, &path, &headers, body.as_bytes());
                let body = reply.unnamed();
                reply.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
                (reply.status, reply.headers, body)
            };
            let (status, head, body) = ask(id);
            assert_eq!(status, 404);
            assert_eq!(ask(nobody), (status, head, body.replace(id.as_str(), nobody)));
        }
    }
    // Nor do lists, filters and memberships tell.
    let filter = format!("/scim/v2/Users?filter=id%20eq%20%22{}%22", house.user);
    assert_eq!(server.call("GET", &filter, &headers, b"").json()["totalResults"], 0);
    let filter = format!("/scim/v2/Groups?filter=members.value%20eq%20%22{}%22", house.user);
    assert_eq!(server.call("GET", &filter, &headers, b"").json()["totalResults"], 0);
    let group = |id: &str| {
        let body = format!(r#"{{"displayName":"{id}","members":[{{"value":"{id}"}}]}}"#);
        let reply = server.call("POST", "/scim/v2/Groups", &headers, body.as_bytes());
        (reply.status, reply.json()["members"].clone())
    };
    assert_eq!(group(&house.user), group(nobody));
    assert_eq!(group(&house.group), (201, serde_json::json!([])));
}

#[test]
fn a_name_is_free_wherever_somebody_else_has_it() {
    let server = Server::start("strangers-names", Limits::default());
    let house = furnish(&server);
    let mut other = server.connect("Globex", "Okta");
    for _ in 0..2 {
        let authorization = format!("Bearer {}", other.token);
        let path = format!("{}/Users", other.base);
        let reply =
            server.call("POST", &path, &[("Authorization", &authorization)], USER.as_bytes());
        assert_eq!(reply.status, 201, "{reply:?}");
        // Not known as the one who had the name elsewhere.
        assert_ne!(text(&reply.json(), "id"), house.user);
        other = server.connect("Initech", "Okta");
    }
    assert_eq!(text(&server.api("GET", "/health", b"").json(), "status"), "ok");
}

#[test]
fn of_two_credentials_none_is_taken() {
    let server = Server::start("strangers-two", Limits::default());
    let house = furnish(&server);
    let token = format!("Bearer {}", house.connection.token);
    let key = format!("Bearer {}", server.key);
    let check = |path: &str, first: &str, second: &str| {
        let headers = [("Authorization", first), ("Authorization", second)];
        assert_eq!(server.call("GET", path, &headers, b"").status, 401, "{path}");
    };
    check("/scim/v2/Users", &token, &token);
    check("/scim/v2/Users", &token, "Bearer nonsense");
    check("/api/v1/organizations", &key, &token);
}
