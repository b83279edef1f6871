//! Lists that are long, and what leads through them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use web::Limits;

use crate::server::{Connection, Reply, Server, text};

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &Value) -> Reply {
    let path = format!("{}{path}", to.base);
    let authorization = format!("Bearer {}", to.token);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.call(method, &path, &[("Authorization", &authorization)], body.as_bytes())
}

fn get(server: &Server, to: &Connection, path: &str) -> Value {
    let reply = scim(server, to, "GET", path, &Value::Null);
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

/// As many users, in few requests.
fn fill(server: &Server, to: &Connection, count: usize) {
    let numbers: Vec<_> = (0..count).collect();
    for some in numbers.chunks(1_000) {
        let operations: Vec<_> = some
            .iter()
            .map(|number| {
                let data = json!({ "userName": format!("user-{number}"), "title": "Same" });
                let name = format!("u{number}");
                json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": data })
            })
            .collect();
        let reply = scim(server, to, "POST", "/Bulk", &json!({ "Operations": operations }));
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// Proves S-PAGE-4, S-PAGE-10, S-LIST-8, S-LIST-9, S-SORT-8.
#[test]
fn pages_are_as_large_as_the_configuration_promises_and_lead_through_everybody() {
    let server = Server::start("lists-pages", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    fill(&server, &to, 1_001);
    let config = get(&server, &to, "/ServiceProviderConfig");
    let most = &config["filter"]["maxResults"];
    assert_eq!(*most, config["pagination"]["maxPageSize"]);
    for (query, expected) in [
        ("", &config["pagination"]["defaultPageSize"]),
        ("?count=100000", most),
        ("?count=100000&filter=title%20pr", most),
        ("?count=100000&sortBy=title", most),
    ] {
        let page = get(&server, &to, &format!("/Users{query}"));
        let items = page["Resources"].as_array().expect("a list").len();
        assert_eq!(json!(items), *expected, "{query}");
        assert_eq!((&page["itemsPerPage"], &page["totalResults"]), (expected, &json!(1_001)));
    }
    // All have the same title, so it is the order of creation that keeps them apart.
    for query in ["", "&sortBy=title", "&sortBy=title&sortOrder=descending"] {
        for step in [97, 1_000] {
            let (mut seen, mut index, mut total) = (BTreeSet::new(), 1, 1);
            while index <= total {
                let path =
                    format!("/Users?startIndex={index}&count={step}&attributes=userName{query}");
                let page = get(&server, &to, &path);
                for user in page["Resources"].as_array().expect("a list") {
                    assert!(seen.insert(text(user, "userName")), "twice: {user}");
                }
                total = page["totalResults"].as_u64().expect("a number");
                index += step;
            }
            assert_eq!(seen.len(), 1_001, "{query}");
        }
    }
}

/// Proves S-SEARCH-1, S-SEARCH-4.
#[test]
fn a_search_is_answered_as_the_same_query_in_the_address_is() {
    let server = Server::start("lists-search", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    fill(&server, &to, 5);
    let group = json!({ "displayName": "Design" });
    assert_eq!(scim(&server, &to, "POST", "/Groups", &group).status, 201);
    for (address, search) in [
        ("", json!({})),
        ("?attributes=userName,title", json!({ "attributes": ["userName", "title"] })),
        ("?excludedAttributes=meta,title", json!({ "excludedAttributes": ["meta", "title"] })),
        (
            "?filter=userName%20gt%20%22user-1%22&startIndex=2&count=1",
            json!({ "filter": "userName gt \"user-1\"", "startIndex": 2, "count": 1 }),
        ),
        (
            "?sortBy=userName&sortOrder=descending&count=2",
            json!({ "sortBy": "userName", "sortOrder": "descending", "count": 2 }),
        ),
        ("?cursor&count=2", json!({ "cursor": "", "count": 2 })),
    ] {
        for endpoint in ["/Users", "/Groups", ""] {
            // Neither has what groups do not.
            if endpoint == "/Groups" && address.contains("userName%20gt") {
                continue;
            }
            if endpoint == "/Groups" && address.contains("sortBy") {
                continue;
            }
            let read = scim(&server, &to, "GET", &format!("{endpoint}{address}"), &Value::Null);
            let mut body = search.clone();
            body["schemas"] = json!(["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]);
            let searched = scim(&server, &to, "POST", &format!("{endpoint}/.search"), &body);
            assert_eq!((read.status, searched.status), (200, 200), "{searched:?}");
            assert!(read.body == searched.body, "{endpoint}{address}: {read:?} {searched:?}");
        }
    }
}

/// Proves S-CURSOR-14, S-CURSOR-15, S-CURSOR-17.
#[test]
fn a_cursor_opens_nothing_by_itself() {
    let server = Server::start("lists-cursors", Limits { rate: None, ..Limits::default() });
    let (to, other) = (server.connect("Acme", "Okta"), server.connect("Beta", "Okta"));
    fill(&server, &to, 3);
    fill(&server, &other, 3);
    let cursor = text(&get(&server, &to, "/Users?cursor&count=2"), "nextCursor");
    let path = |cursor: &str| format!("/Users?cursor={cursor}&count=2");
    assert_eq!(get(&server, &to, &path(&cursor))["itemsPerPage"], 1);

    // Of another directory, made up, or changed by one digit: nobody can tell which.
    let mut refusals = vec![scim(&server, &other, "GET", &path(&cursor), &Value::Null)];
    refusals.push(scim(&server, &to, "GET", &path("abc"), &Value::Null));
    for place in 0..cursor.len() {
        let digit = if cursor.as_bytes()[place] == b'0' { "1" } else { "0" };
        let forged = format!("{}{digit}{}", &cursor[..place], &cursor[place + 1..]);
        refusals.push(scim(&server, &to, "GET", &path(&forged), &Value::Null));
    }
    for refusal in &refusals {
        assert_eq!(
            (refusal.status, refusal.unnamed()),
            (400, refusals[0].unnamed()),
            "{refusal:?}"
        );
        assert_eq!(refusal.json()["scimType"], "invalidCursor");
    }

    // Each page is asked for with a credential that is good then.
    let reply = server.call("GET", &format!("{}{}", to.base, path(&cursor)), &[], b"");
    assert_eq!(reply.status, 401, "{reply:?}");
    server.pass(366 * 24 * 60 * 60);
    let reply = scim(&server, &to, "GET", &path(&cursor), &Value::Null);
    assert_eq!(reply.status, 401, "{reply:?}");
}

/// Proves S-FILTER-1, S-SORT-1, S-ETAG-1, S-BULK-1, S-CURSOR-13.
#[test]
fn what_is_offered_is_announced() {
    let server = Server::start("lists-offers", Limits::default());
    let to = server.connect("Acme", "Okta");
    fill(&server, &to, 2);
    let config = get(&server, &to, "/ServiceProviderConfig");
    for feature in ["filter", "sort", "etag", "bulk"] {
        assert_eq!(config[feature]["supported"], true, "{feature}");
    }
    let found = get(&server, &to, "/Users?filter=userName%20eq%20%22USER-1%22");
    assert_eq!(found["totalResults"], 1);
    let sorted = get(&server, &to, "/Users?sortBy=userName&sortOrder=descending");
    assert_eq!(sorted["Resources"][0]["userName"], "user-1");
    let id = text(&found["Resources"][0], "id");
    let read = scim(&server, &to, "GET", &format!("/Users/{id}"), &Value::Null);
    assert_eq!(read.header("etag"), Some("W/\"1\""));

    let pagination = &config["pagination"];
    assert_eq!(pagination["index"], true);
    assert_eq!(pagination["cursor"], true);
    assert_eq!(pagination["defaultPaginationMethod"], "index");
    assert!(get(&server, &to, "/Users").get("startIndex").is_some());
    assert!(get(&server, &to, "/Users?cursor&count=1").get("nextCursor").is_some());
    // As long as it says, a cursor is good.
    let cursor = text(&get(&server, &to, "/Users?cursor&count=1"), "nextCursor");
    let path = format!("/Users?cursor={cursor}&count=1");
    server.pass(pagination["cursorTimeout"].as_i64().expect("seconds"));
    assert_eq!(get(&server, &to, &path)["itemsPerPage"], 1);
    server.pass(1);
    let late = scim(&server, &to, "GET", &path, &Value::Null);
    assert_eq!(late.json()["scimType"], "expiredCursor", "{late:?}");
}
