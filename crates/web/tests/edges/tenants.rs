//! Two customers of one vendor: whatever the one does, the other is not in it.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use web::{Limits, Rate};

use crate::server::{Connection, Reply, Server, text};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.call(method, &format!("{}{path}", to.base), &headers, body.as_bytes())
}

fn made(server: &Server, to: &Connection, path: &str, body: &Value) -> String {
    let reply = scim(server, to, "POST", path, body);
    assert_eq!(reply.status, 201, "{reply:?}");
    text(&reply.json(), "id")
}

/// Proves S-TENANT-5, S-TENANT-6, S-SEC-6.
#[test]
fn the_same_person_can_be_with_two_customers_and_is_not_known_as_one() {
    let server = Server::start("tenants-same", Limits::default());
    let (one, other) = (server.connect("Acme", "Okta"), server.connect("Globex", "Okta"));
    let ana = json!({ "userName": "ana@example.com", "externalId": "701984" });
    let ids = [made(&server, &one, "/Users", &ana), made(&server, &other, "/Users", &ana)];
    assert_ne!(ids[0], ids[1]);
    for (to, id) in [(&one, &ids[0]), (&other, &ids[1])] {
        let again = scim(&server, to, "POST", "/Users", &json!({ "userName": "ANA@example.com" }));
        assert_eq!((again.status, &again.json()["scimType"]), (409, &json!("uniqueness")));
        let filter = "/Users?filter=externalId%20eq%20%22701984%22";
        let found = scim(&server, to, "GET", filter, &Value::Null).json();
        assert_eq!((&found["totalResults"], &found["Resources"][0]["id"]), (&json!(1), &json!(id)));
    }
}

/// Proves S-TENANT-7.
#[test]
fn nothing_that_names_somebody_reaches_another_directory() {
    let server = Server::start("tenants-reach", Limits::default());
    let (one, other) = (server.connect("Acme", "Okta"), server.connect("Globex", "Okta"));
    let theirs = made(&server, &other, "/Users", &json!({ "userName": "bo", "title": "Dr." }));
    made(&server, &other, "/Users", &json!({ "userName": "cy" }));
    let their_group = made(
        &server,
        &other,
        "/Groups",
        &json!({ "displayName": "Design", "members": [{ "value": theirs }] }),
    );
    let ana = made(&server, &one, "/Users", &json!({ "userName": "ana" }));
    made(&server, &one, "/Users", &json!({ "userName": "di" }));
    let group = made(&server, &one, "/Groups", &json!({ "displayName": "Sales" }));
    let nobody = "019b8d4a-0000-7000-8000-00000000dead";
    let all = |to| {
        let of = |path| scim(&server, to, "GET", path, &Value::Null).json();
        (of("/Users"), of("/Groups"))
    };
    let before = all(&other);

    // What is asked with an id of theirs is answered as with one of nobody.
    let ask = |method: &str, path: &str, body: &Value| {
        let mut answers = [theirs.as_str(), nobody].map(|id| {
            let body = body.to_string().replace("{id}", id);
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let reply = scim(&server, &one, method, &path.replace("{id}", id), &body);
            let told = reply.unnamed();
            (reply.status, told.replace(id, "{id}"))
        });
        for (_, told) in &mut answers {
            let mut body: Value = serde_json::from_str(told).expect("JSON");
            // When it happened, and how often, is not the same twice.
            body.as_object_mut().expect("an object").remove("meta");
            for operation in body["Operations"].as_array_mut().into_iter().flatten() {
                operation.as_object_mut().expect("an operation").remove("version");
            }
            *told = body.to_string();
        }
        let [with_theirs, with_nobody] = answers;
        assert_eq!(with_theirs, with_nobody, "{method} {path} {body}");
        with_theirs
    };
    let patch = |operations: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        })
    };
    let add = patch(json!([{ "op": "add", "path": "members", "value": [{ "value": "{id}" }] }]));
    let group_path = format!("/Groups/{group}?attributes=members");
    let (status, told) = ask("PATCH", &group_path, &add);
    assert!(status == 200 && !told.contains("{id}"), "{status} {told}");
    let body = json!({ "displayName": "Sales", "members": [{ "value": "{id}" }] });
    let (status, told) = ask("PUT", &group_path, &body);
    assert!(status == 200 && !told.contains("{id}"), "{status} {told}");
    // A manager is whoever the provider says, and leads to nobody's record.
    let manager = json!({ "userName": "ana", ENTERPRISE: { "manager": { "value": "{id}" } } });
    let (status, told) = ask("PUT", &format!("/Users/{ana}"), &manager);
    assert!(status == 200 && !told.contains("Dr."), "{status} {told}");
    // Bulk, by path and by reference.
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "PATCH", "path": "/Users/{id}", "data": patch(json!([
                { "op": "replace", "value": { "title": "stranger" } },
            ])) },
            { "method": "DELETE", "path": "/Users/{id}" },
            { "method": "DELETE", "path": format!("/{}/Users/{{id}}", other.directory) },
            { "method": "PATCH", "path": format!("/Groups/{group}"), "data": add },
        ],
    });
    ask("POST", "/Bulk", &bulk);
    for filter in ["id%20eq%20%22{id}%22", "manager.value%20eq%20%22{id}%22%20and%20title%20pr"] {
        ask("GET", &format!("/Users?filter={filter}"), &Value::Null);
    }
    ask("GET", "/Groups?filter=members.value%20eq%20%22{id}%22", &Value::Null);
    let search = json!({ "filter": "id eq \"{id}\"" });
    let (status, told) = ask("POST", "/.search", &search);
    assert!(status == 200 && told.contains(r#""totalResults":0"#), "{status} {told}");
    let there = scim(&server, &one, "GET", &format!("/Groups/{their_group}"), &Value::Null);
    assert_eq!(there.status, 404);
    // A cursor of theirs is nobody's.
    let page = scim(&server, &other, "GET", "/Users?cursor=&count=1", &Value::Null).json();
    let cursor = text(&page, "nextCursor");
    let path = format!("/Users?cursor={cursor}&count=1");
    assert_eq!(scim(&server, &other, "GET", &path, &Value::Null).status, 200);
    let reply = scim(&server, &one, "GET", &path, &Value::Null);
    assert_eq!((reply.status, &reply.json()["scimType"]), (400, &json!("invalidCursor")));
    assert_eq!(all(&other), before);
}

/// Proves S-TENANT-8.
#[test]
fn how_one_directory_behaves_is_not_how_the_other_does() {
    let number = |it| NonZeroU32::new(it).expect("it is not zero");
    let rate = Some(Rate { per_second: number(1), burst: number(40) });
    let server = Server::start("tenants-settings", Limits { rate, ..Limits::default() });
    let lenient = server.connect("Acme", "Okta");
    let path = format!("/api/v1/directories/{}", lenient.directory);
    let organization = text(&server.api("GET", &path, b"").json(), "organization_id");
    let strict = server.api(
        "POST",
        &format!("/api/v1/organizations/{organization}/directories"),
        br#"{"name":"Strict","provider":"custom","settings":{"preset":"strict"}}"#,
    );
    let directory = text(&strict.json(), "id");
    let token = server.api("POST", &format!("/api/v1/directories/{directory}/tokens"), b"{}");
    let base = format!("/scim/v2/{directory}");
    let strict = Connection { base, token: text(&token.json(), "token"), directory };
    // The dialect.
    let quirk = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ana", "active": "True",
    });
    assert_eq!(scim(&server, &strict, "POST", "/Users", &quirk).status, 400);
    assert_eq!(scim(&server, &lenient, "POST", "/Users", &quirk).status, 201);
    // Tokens, also within one organization.
    let crossed = Connection {
        base: lenient.base.clone(),
        directory: lenient.directory.clone(),
        token: strict.token.clone(),
    };
    assert_eq!(scim(&server, &crossed, "GET", "/Users", &Value::Null).status, 401);
    // The numbers of events, each from 1 on.
    for to in [&lenient, &strict] {
        let path = format!("/api/v1/events?directory_id={}", to.directory);
        let events = server.api("GET", &path, b"").json();
        let events = events["data"].as_array().expect("a list");
        let numbers: Vec<_> = events.iter().filter_map(|event| event["number"].as_u64()).collect();
        assert!(numbers.len() >= 2 && numbers.iter().copied().eq(1..=events.len() as u64));
    }
    // And how often it is asked.
    let mut replies = (0..1_000).map(|_| scim(&server, &lenient, "GET", "/Users", &Value::Null));
    assert!(replies.any(|reply| reply.status == 429));
    assert_eq!(scim(&server, &strict, "GET", "/Users", &Value::Null).status, 200);
}
