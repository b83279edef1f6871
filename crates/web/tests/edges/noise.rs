//! Requests that mean something, nearly something, or nothing: whatever is asked, the answer is
//! JSON, and it is never our fault.

use proptest::prelude::*;
use serde_json::{Value, json};
use web::Limits;

use crate::server::Server;

/// Names and texts that SCIM gives a meaning to, and some that nobody does.
const WORDS: [&str; 38] = [
    "schemas",
    "urn:ietf:params:scim:schemas:core:2.0:User",
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:ietf:params:scim:api:messages:2.0:PatchOp",
    "id",
    "externalId",
    "meta",
    "userName",
    "name",
    "name.givenName",
    "familyName",
    "active",
    "emails",
    "emails[type eq \"work\"].value",
    "value",
    "type",
    "primary",
    "$ref",
    "display",
    "displayName",
    "members",
    "members[value eq \"x\"]",
    "groups",
    "manager",
    "password",
    "x509Certificates",
    "add",
    "Replace",
    "remove",
    "True",
    "",
    "]",
    "[",
    "\u{0}",
    "é \u{202e}",
    "ana",
    "019b8d4a-0000-7000-8000-00000000000a",
];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        word().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A body: anything, something like a resource, or something like a patch.
fn body() -> impl Strategy<Value = Value> {
    let operation = (word(), prop::option::of(word()), value()).prop_map(|(op, path, value)| {
        let mut operation = json!({ "op": op, "value": value });
        if let Some(path) = path {
            operation["path"] = path.into();
        }
        operation
    });
    prop_oneof![
        value(),
        (word(), word(), value()).prop_map(|(name, key, value)| {
            json!({ "userName": name, "displayName": name, key: value })
        }),
        prop::collection::vec(operation, 0..4).prop_map(|all| json!({ "Operations": all })),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let resource =
        prop::sample::select(vec!["/Users", "/Groups", "/Schemas", "/ResourceTypes", ""]);
    let id = prop::sample::select(vec![
        "", "/", "/{user}", "/{group}", "/%", "/%FF", "/x/y", "/.search",
    ]);
    (resource, id).prop_map(|(resource, id)| format!("{resource}{id}"))
}

fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "filter",
        "attributes",
        "excludedAttributes",
        "startIndex",
        "count",
        "sortBy",
        "sortOrder",
        "cursor",
        "after",
        "limit",
        "directory_id",
    ]);
    let operator =
        prop::sample::select(vec!["", " eq ", " co ", " gt ", " pr", " and ", "[", "]", ",", "\""]);
    let text = prop::collection::vec((word(), operator), 0..4)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, it)| [word, it.to_owned()]).collect());
    let number = any::<i128>().prop_map(|number| number.to_string());
    let text = prop_oneof![3 => text, 1 => number];
    prop::collection::vec((name, text), 0..3).prop_map(|pairs: Vec<(&str, String)>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        query.finish()
    })
}

/// Proves S-HTTP-25, S-ERROR-14.
#[test]
fn whatever_is_asked_is_answered_in_json_and_is_not_our_fault() {
    let server = Server::start("noise", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    let token = format!("Bearer {}", to.token);
    let headers = [("Authorization", token.as_str())];
    let make = |path: &str, body: Value| {
        let path = format!("{}{path}", to.base);
        let reply = server.call("POST", &path, &headers, body.to_string().as_bytes());
        crate::server::text(&reply.json(), "id")
    };
    let user = make("/Users", json!({ "userName": "ben" }));
    let group = make("/Groups", json!({ "displayName": "Design", "members": [{ "value": user }] }));
    let directory = format!("/api/v1/directories/{}", to.directory);
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
    let door = prop::sample::select(vec![
        (to.base.clone(), true),
        ("/scim/v2".to_owned(), true),
        (directory, false),
        ("/api/v1/organizations".to_owned(), false),
        ("/api/v1/events".to_owned(), false),
    ]);
    // The same requests in every run: a test that fails now and then is not believed.
    let config = ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(7_644),
        ..ProptestConfig::default()
    };
    proptest!(config, |(method in method, door in door, path in path(), query in query(), body in body())| {
        let (base, is_scim) = door;
        // Both shall be there to the end.
        let method = if path.contains('{') && method == "DELETE" { "GET" } else { method };
        let path = if is_scim { path } else { path.to_lowercase() };
        let path = path.replace("{user}", &user).replace("{group}", &group);
        let target = if is_scim || base.contains("directories") {
            format!("{base}{path}?{query}")
        } else {
            format!("{base}?{query}")
        };
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let key = format!("Bearer {}", server.key);
        let headers = [("Authorization", if is_scim { token.as_str() } else { key.as_str() })];
        let reply = server.call(method, &target, &headers, body.as_bytes());
        prop_assert!(reply.status < 500 || reply.status == 501, "{method} {target} {body}: {reply:?}");
        prop_assert!(reply.header("x-request-id").is_some(), "{method} {target}: {reply:?}");
        // Nobody is sent elsewhere, so no method and no body is lost on the way.
        prop_assert!(!(300..400).contains(&reply.status), "{method} {target}: {reply:?}");
        if reply.status >= 400 {
            // Neither who asks, nor who else is there, nor how it is made.
            let told = String::from_utf8_lossy(&reply.body).to_lowercase();
            for secret in [&to.token, &server.key, "sql", "select ", ".rs:", "panic", "\\\"ben\\\""] {
                prop_assert!(!told.contains(secret), "{secret}: {method} {target}: {reply:?}");
            }
        }
        if reply.status == 204 {
            prop_assert!(reply.body.is_empty());
        } else {
            reply.json();
        }
    });
    server.state();
}
