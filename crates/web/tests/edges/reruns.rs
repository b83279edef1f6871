//! What is not carried out once more, because it would bring back who has left since, or was meant for what
//! is not there any more; and how the log is found from an error.

use serde_json::{Value, json};
use web::Limits;

use crate::server::{Connection, Reply, Server, text};

fn scim(server: &Server, to: &Connection, request: (&str, &str), tag: &str, body: &Value) -> Reply {
    let path = format!("{}{}", to.base, request.1);
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str()), ("If-Match", tag)];
    let count = if tag.is_empty() { 1 } else { 2 };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.pass(1);
    server.call(request.0, &path, &headers[..count], body.as_bytes())
}

/// Why a request is not carried out again.
#[track_caller]
fn refused(server: &Server, failed: &Reply) -> String {
    let id = failed.header("x-request-id").expect("an id");
    let reply = server.api("POST", &format!("/api/v1/requests/{id}/rerun"), b"");
    assert_eq!(reply.status, 409, "{reply:?}");
    text(&reply.json(), "detail")
}

#[test]
fn nobody_is_brought_back_who_has_left_since() {
    let server = Server::start("reruns-left", Limits::default());
    let to = server.connect("Acme", "Okta");
    let null = Value::Null;
    let ana = json!({ "userName": "ana@acme.example", "externalId": "00u1" });
    let made = scim(&server, &to, ("POST", "/Users"), "", &ana);
    let path = format!("/Users/{}", text(&made.json(), "id"));
    let taken = scim(&server, &to, ("POST", "/Users"), "", &ana);
    assert_eq!(taken.status, 409);
    let off = json!({ "Operations": [{ "op": "replace", "value": { "active": false } }] });
    assert_eq!(scim(&server, &to, ("PATCH", &path), "", &off).status, 200);
    // The later request named her by nothing but her id.
    assert!(refused(&server, &taken).contains("since"));
    assert_eq!(scim(&server, &to, ("DELETE", &path), "", &null).status, 204);
    assert!(refused(&server, &taken).contains("deactivated or deleted since"));
    let found = scim(&server, &to, ("GET", "/Users"), "", &null).json();
    assert_eq!(found["totalResults"], 0);
}

#[test]
fn what_was_meant_for_another_version_is_not_repeated_without_that() {
    let server = Server::start("reruns-version", Limits::default());
    let to = server.connect("Acme", "Okta");
    let made = scim(&server, &to, ("POST", "/Users"), "", &json!({ "userName": "ana" }));
    let path = format!("/Users/{}", text(&made.json(), "id"));
    let change = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "x" }] });
    let late = scim(&server, &to, ("PATCH", &path), "W/\"7\"", &change);
    assert_eq!(late.status, 412);
    assert!(refused(&server, &late).contains("version"));
}

/// An IT admin sees nothing of an error but its `detail`.
#[test]
fn by_the_detail_of_an_error_its_explanation_is_found() {
    let server = Server::start("reruns-found", Limits::default());
    let to = server.connect("Acme", "Okta");
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{ "method": "POST", "path": "/Users", "bulkId": "1", "data": {} }],
    });
    let bad = json!({ "title": "nameless" });
    let replies = [
        scim(&server, &to, ("GET", "/Users?filter=shoe"), "", &Value::Null),
        scim(&server, &to, ("GET", "/Users/7"), "", &Value::Null),
        scim(&server, &to, ("GET", "/Nothing"), "", &Value::Null),
        scim(&server, &to, ("PUT", "/Users"), "", &json!({})),
        scim(&server, &to, ("POST", "/Users"), "", &bad),
        scim(&server, &to, ("POST", "/Bulk"), "", &bulk),
    ];
    for reply in replies {
        let json = reply.json();
        let detail = json.pointer("/Operations/0/response").unwrap_or(&json);
        let detail = text(detail, "detail");
        let id = reply.header("x-request-id").expect("an id");
        assert_eq!(detail.matches(id).count(), 1, "{detail}");
        let entry = server.api("GET", &format!("/api/v1/requests/{id}"), b"").json();
        assert_eq!(entry["id"], id);
        // What is said in the log is said there of this request.
        let why = entry["explanation"]["why"].to_string();
        assert!(!why.contains(id), "{entry}");
    }
}

/// Who was refused is not here: a provider that has taken them out since had nothing to say.
#[test]
fn nobody_is_let_in_who_was_sent_long_ago() {
    let server = Server::start("reruns-old", Limits::default());
    let to = server.connect("Acme", "Okta");
    let organization = server.api("GET", &format!("/api/v1/directories/{}", to.directory), b"");
    let organization = text(&organization.json(), "organization_id");
    let safety = format!("/api/v1/organizations/{organization}/safety");
    let seats = |max: u64| {
        let body = json!({ "seats": { "limit": max, "mode": "refuse" } }).to_string();
        let reply = server.api("PATCH", &safety, body.as_bytes());
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    seats(0);
    let ana = json!({ "userName": "ana@acme.example", "active": true });
    let late = scim(&server, &to, ("POST", "/Users"), "", &ana);
    assert!((400..500).contains(&late.status), "{late:?}");
    server.pass(2 * 24 * 60 * 60);
    let soon =
        scim(&server, &to, ("POST", "/Users"), "", &json!({ "userName": "bo@acme.example" }));
    assert!((400..500).contains(&soon.status), "{soon:?}");
    server.pass(2 * 24 * 60 * 60);
    seats(10);
    assert!(refused(&server, &late).contains("three days ago"));
    let id = soon.header("x-request-id").expect("an id");
    let reply = server.api("POST", &format!("/api/v1/requests/{id}/rerun"), b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    let found = scim(&server, &to, ("GET", "/Users"), "", &Value::Null).json();
    assert_eq!(found["totalResults"], 1, "{found}");
}

/// Anybody who knows an address may send any method (RFC 9110 §9.1): a shell is to see none of it.
#[test]
fn a_method_that_a_shell_would_carry_out_is_no_command() {
    let server = Server::start("reruns-method", Limits::default());
    let to = server.connect("Acme", "Okta");
    for (method, is_one) in [("x|sh", false), ("`id`", false), ("$IFS", false), ("OPTIONS", true)] {
        let reply = scim(&server, &to, (method, "/Users"), "", &Value::Null);
        assert_eq!(reply.status < 400, is_one, "{reply:?}");
        let id = reply.header("x-request-id").expect("an id");
        let kept = server.api("GET", &format!("/api/v1/requests/{id}"), b"").json();
        assert_eq!(kept["method"], method, "{kept}");
        assert_eq!(kept["curl"].is_string(), is_one, "{kept}");
    }
}
