//! HTTP as SCIM uses it: every endpoint, with every method, and the addresses in every answer.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use web::{Limits, Rate};

use crate::server::{Connection, PUBLIC_URL, Reply, Server, text};

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &str) -> Reply {
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str())];
    server.call(method, &format!("{}{path}", to.base), &headers, body.as_bytes())
}

/// A directory with a user, their manager, and a group of both; and the paths of all that can be
/// read in it.
fn furnished(server: &Server) -> (Connection, Vec<String>) {
    let to = server.connect("Acme", "Okta");
    let make = |path: &str, body: &Value| {
        let reply = scim(server, &to, "POST", path, &body.to_string());
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.json(), "id")
    };
    let boss = make("/Users", &json!({ "userName": "bo" }));
    let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let ana = json!({ "userName": "ana", extension: { "manager": { "value": boss } } });
    let ana = make("/Users", &ana);
    let members = json!([{ "value": ana }, { "value": boss }]);
    let group = make("/Groups", &json!({ "displayName": "Design", "members": members }));
    let mut paths: Vec<_> =
        ["/Users", "/Groups", "/ServiceProviderConfig", "/ResourceTypes", "/Schemas"]
            .map(str::to_owned)
            .into();
    paths.extend([format!("/Users/{ana}"), format!("/Users/{boss}"), format!("/Groups/{group}")]);
    for list in ["/ResourceTypes", "/Schemas"] {
        let listed = scim(server, &to, "GET", list, "").json();
        let resources = listed["Resources"].as_array().expect("a list");
        paths.extend(resources.iter().map(|it| format!("{list}/{}", text(it, "id"))));
    }
    (to, paths)
}

/// Proves S-HTTP-12, S-HTTP-13.
#[test]
fn every_endpoint_answers() {
    let server = Server::start("transport-endpoints", Limits::default());
    let (to, paths) = furnished(&server);
    for path in &paths {
        assert_eq!(scim(&server, &to, "GET", path, "").status, 200, "{path}");
    }
    let search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
    for path in ["/.search", "/Users/.search", "/Groups/.search"] {
        let reply = scim(&server, &to, "POST", path, &search.to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [],
    });
    assert_eq!(scim(&server, &to, "POST", "/Bulk", &bulk.to_string()).status, 200);
    assert_eq!(scim(&server, &to, "GET", "/Me", "").status, 501);
    // Whatever is a type of resource is found where it says.
    let types = scim(&server, &to, "GET", "/ResourceTypes", "").json();
    for resource_type in types["Resources"].as_array().expect("a list") {
        let reply = scim(&server, &to, "GET", &text(resource_type, "endpoint"), "");
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// Proves S-HTTP-15.
#[test]
fn what_describes_the_server_cannot_be_written() {
    let server = Server::start("transport-discovery", Limits::default());
    let (to, paths) = furnished(&server);
    let is_discovery = |path: &&String| !path.starts_with("/Users") && !path.starts_with("/Groups");
    let before = server.state();
    for path in paths.iter().filter(is_discovery) {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = scim(&server, &to, method, path, "{}");
            assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
            assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"), "{reply:?}");
            assert_eq!(reply.json()["status"], "405");
        }
    }
    assert_eq!(server.state(), before);
}

/// Proves S-HTTP-16.
#[test]
fn head_is_get_without_its_body() {
    let server = Server::start("transport-head", Limits::default());
    let (to, mut paths) = furnished(&server);
    paths.extend(["/Users?filter=(".to_owned(), "/Users/nobody".to_owned(), "/Me".to_owned()]);
    for path in paths {
        let get = scim(&server, &to, "GET", &path, "");
        let head = scim(&server, &to, "HEAD", &path, "");
        let kept = |reply: &Reply| {
            let mut headers = reply.headers.clone();
            headers.retain(|(name, _)| name != "x-request-id" && name != "date");
            headers
        };
        assert_eq!((head.status, kept(&head)), (get.status, kept(&get)), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}: {head:?}");
        let is_record = ["/Users/", "/Groups/"].iter().any(|it| path.starts_with(it));
        assert_eq!(head.header("etag").is_some(), is_record && head.status == 200, "{path}");
    }
}

/// Proves S-HTTP-2, S-HTTP-19, S-SEC-1.
#[test]
fn every_address_is_below_the_base_url() {
    /// All texts of a document that are addresses, by the names of their members.
    fn addresses(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("location" | "$ref", Value::String(address)) => {
                            found.push(address.clone());
                        }
                        _ => addresses(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| addresses(value, found)),
            _ => {}
        }
    }
    let server = Server::start("transport-addresses", Limits::default());
    let (to, paths) = furnished(&server);
    let base = format!("{PUBLIC_URL}{}/", to.base);
    let mut count = 0;
    for path in &paths {
        let reply = scim(&server, &to, "GET", path, "");
        let mut found = Vec::new();
        addresses(&reply.json(), &mut found);
        found.extend(
            ["location", "content-location"]
                .map(|it| reply.header(it).map(str::to_owned))
                .into_iter()
                .flatten(),
        );
        for address in &found {
            assert!(address.starts_with(&base), "{path}: {address}");
            assert!(!address.contains(['?', '@', '#']), "{path}: {address}");
        }
        count += found.len();
    }
    assert!(count > 30, "{count} addresses are too few to show it");
    // A message is no schema of a resource (RFC 7644 §3.1).
    let schemas = scim(&server, &to, "GET", "/Schemas", "").json();
    let ids: Vec<_> =
        schemas["Resources"].as_array().expect("a list").iter().map(|it| text(it, "id")).collect();
    assert!(ids.len() >= 3);
    assert!(!ids.iter().any(|id| id.starts_with("urn:ietf:params:scim:api:")), "{ids:?}");
}

/// Proves S-AUTH-13.
#[test]
fn bearer_tokens_are_the_one_way_in_that_is_told() {
    let server = Server::start("transport-schemes", Limits::default());
    let (to, _) = furnished(&server);
    let told = scim(&server, &to, "GET", "/ServiceProviderConfig", "").json();
    let schemes: Vec<_> = told["authenticationSchemes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| text(it, "type"))
        .collect();
    assert_eq!(schemes, ["oauthbearertoken"]);
    for header in [("Cookie", format!("token={}", to.token)), ("X-Api-Key", to.token.clone())] {
        let headers = [(header.0, header.1.as_str())];
        let reply = server.call("GET", &format!("{}/Users", to.base), &headers, b"");
        assert_eq!(reply.status, 401, "{reply:?}");
    }
}

/// Proves S-HTTP-14, S-HTTP-26.
#[test]
fn each_address_tells_its_methods_and_refuses_the_others() {
    let server = Server::start("transport-methods", Limits::default());
    let (to, mut paths) = furnished(&server);
    paths.extend(["/Bulk", "/.search", "/Users/.search"].map(str::to_owned));
    for path in paths {
        let options = scim(&server, &to, "OPTIONS", &path, "");
        assert_eq!((options.status, options.body.len()), (204, 0), "{path}: {options:?}");
        let allowed = options.header("allow").expect("what is allowed").to_owned();
        assert!(options.header("access-control-allow-origin").is_none(), "{options:?}");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"] {
            if allowed.split(", ").any(|it| it == method) {
                continue;
            }
            let reply = scim(&server, &to, method, &path, "");
            assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
            assert_eq!(reply.header("allow"), Some(allowed.as_str()), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(
                    reply.json()["schemas"],
                    json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
                );
            }
        }
    }
    let reply = scim(&server, &to, "GET", "/nope", "");
    assert_eq!((reply.status, &reply.json()["status"]), (404, &json!("404")));
}

/// An error of SCIM, whole, with this status.
#[track_caller]
fn check(status: u16, reply: &Reply) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/scim+json"), "{reply:?}");
    let body = reply.json();
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(body["status"], json!(status.to_string()), "{reply:?}");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{reply:?}");
}

/// Proves S-ERROR-1, S-ERROR-2.
#[test]
fn every_error_is_json_with_its_own_status() {
    let number = |it| NonZeroU32::new(it).expect("it is not zero");
    let rate = Some(Rate { per_second: number(1), burst: number(100) });
    let server = Server::start("transport-errors", Limits { rate, ..Limits::default() });
    let (to, paths) = furnished(&server);
    let ana = paths.iter().find(|path| path.starts_with("/Users/")).expect("a user");
    let path = format!("/api/v1/directories/{}/tokens", to.directory);
    let reading = text(&server.api("POST", &path, br#"{"scope":"read"}"#).json(), "token");
    let known = format!("Bearer {}", to.token);
    let read_only = format!("Bearer {reading}");
    let send = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        server.call(method, &format!("{}{path}", to.base), headers, body.as_bytes())
    };
    let token = ("Authorization", known.as_str());
    let taken = r#"{"userName":"bo"}"#;
    check(400, &send("POST", "/Users", &[token], "{"));
    check(401, &send("GET", "/Users", &[], ""));
    check(403, &send("POST", "/Users", &[("Authorization", &read_only)], taken));
    check(404, &send("GET", "/Users/nobody", &[token], ""));
    check(405, &send("DELETE", "/Users", &[token], ""));
    check(409, &send("POST", "/Users", &[token], taken));
    check(412, &send("DELETE", ana, &[token, ("If-Match", "W/\"99\"")], ""));
    check(413, &send("POST", "/Users", &[token], &" ".repeat(1024 * 1024 + 1)));
    check(415, &send("POST", "/Users", &[token, ("Content-Type", "text/xml")], "<x/>"));
    check(501, &send("GET", "/Me", &[token], ""));
    server.break_down();
    check(500, &send("POST", "/Users", &[token], r#"{"userName":"cy"}"#));
    let mut replies = (0..2_000).map(|_| send("GET", "/Users?count=0", &[token], ""));
    check(429, &replies.find(|reply| reply.status != 200).expect("a limit"));
}

/// Proves S-ERROR-1, S-ERROR-2.
#[test]
fn a_server_that_is_stopping_says_so_and_when_to_come_again() {
    let mut server = Server::start("transport-stopping", Limits::default());
    let (to, paths) = furnished(&server);
    let ana = paths.iter().find(|path| path.starts_with("/Users/")).expect("a user");
    let before = scim(&server, &to, "GET", ana, "");
    server.close_store();
    for (method, path, body) in [
        ("POST", "/Users", r#"{"userName":"cy"}"#),
        ("PUT", ana, r#"{"userName":"cy"}"#),
        ("DELETE", ana, ""),
    ] {
        let reply = scim(&server, &to, method, path, body);
        check(503, &reply);
        // Whole seconds: Okta reads nothing else.
        assert_eq!(reply.header("retry-after"), Some("5"), "{method}: {reply:?}");
    }
    // Nothing was done, as it says.
    server.restart();
    let after = scim(&server, &to, "GET", ana, "");
    assert_eq!((after.status, after.json()), (200, before.json()));
}
