//! Bulk requests that are large, and what they do to each other.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use web::{Limits, Rate};

use crate::server::{Connection, Reply, Server};

const MEBIBYTE: usize = 1024 * 1024;

pub(crate) fn scim(
    server: &Server,
    to: &Connection,
    method: &str,
    path: &str,
    body: &[u8],
) -> Reply {
    let path = format!("{}{path}", to.base);
    let authorization = format!("Bearer {}", to.token);
    server.call(method, &path, &[("Authorization", &authorization)], body)
}

fn bulk(server: &Server, to: &Connection, body: &Value) -> Reply {
    scim(server, to, "POST", "/Bulk", body.to_string().as_bytes())
}

/// What became of the operations, as one status each.
#[track_caller]
fn statuses(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    let operations = body["Operations"].as_array().expect("a list").clone();
    operations.iter().map(|it| it["status"].as_str().expect("a status").to_owned()).collect()
}

fn post_user(number: usize) -> Value {
    let data = json!({ "userName": format!("user-{number}") });
    json!({ "method": "POST", "path": "/Users", "bulkId": format!("u{number}"), "data": data })
}

/// Proves S-BULK-14, S-BULK-17.
#[test]
fn a_thousand_operations_are_carried_out_and_one_more_is_not() {
    let server = Server::start("bulk-thousand", Limits::default());
    let to = server.connect("Acme", "Okta");
    // A group first, whose members are all to be created, and the others from the last on.
    let members: Vec<_> = (0..999).map(|it| json!({ "value": format!("bulkId:u{it}") })).collect();
    let data = json!({ "displayName": "Everybody", "members": members });
    let group = json!({ "method": "POST", "path": "/Groups", "bulkId": "g", "data": data });
    let mut operations = vec![group];
    operations.extend((0..999).rev().map(post_user));
    let reply = bulk(&server, &to, &json!({ "Operations": operations }));
    assert_eq!(statuses(&reply), vec!["201"; 1_000]);
    let body = reply.json();
    let answered: Vec<_> =
        body["Operations"].as_array().expect("a list").iter().map(|it| &it["bulkId"]).collect();
    let asked: Vec<_> = operations.iter().map(|it| &it["bulkId"]).collect();
    assert_eq!(answered, asked, "in the order of the request");
    let list = scim(&server, &to, "GET", "/Users?count=0", b"").json();
    assert_eq!(list["totalResults"], 999);
    let list = scim(&server, &to, "GET", "/Groups", b"").json();
    assert_eq!(list["Resources"][0]["members"].as_array().map(Vec::len), Some(999));

    let before = server.state();
    operations.push(post_user(1_000));
    let reply = bulk(&server, &to, &json!({ "Operations": operations }));
    assert_eq!(reply.status, 413, "{reply:?}");
    let body = reply.json();
    let detail = body["detail"].as_str().expect("a detail");
    assert!(detail.contains("1001") && detail.contains("1000"), "{detail}");
    assert_eq!(server.state(), before);
}

/// Proves S-BULK-17.
#[test]
fn a_request_is_read_up_to_four_mebibytes() {
    let server = Server::start("bulk-bytes", Limits::default());
    let to = server.connect("Acme", "Okta");
    let padded = |bytes: usize| {
        let body = json!({ "Operations": [post_user(1)] }).to_string();
        let padding = bytes - body.len();
        format!("{body}{}", " ".repeat(padding))
    };
    let reply = scim(&server, &to, "POST", "/Bulk", padded(4 * MEBIBYTE).as_bytes());
    assert_eq!(statuses(&reply), ["201"]);
    let before = server.state();
    // So much is not waited for.
    let head = format!(
        "POST {}/Bulk HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n",
        to.base,
        to.token,
        4 * MEBIBYTE + 1
    );
    let reply = server.send(head.as_bytes());
    assert_eq!(reply.status, 413, "{reply:?}");
    let body = reply.json();
    assert!(body["detail"].as_str().is_some_and(|it| it.contains("4194304")), "{body}");
    assert_eq!(server.state(), before);
    let config = scim(&server, &to, "GET", "/ServiceProviderConfig", b"").json();
    let limits = json!({ "supported": true, "maxOperations": 1000, "maxPayloadSize": 4_194_304 });
    assert_eq!(config["bulk"], limits);
    assert_eq!(config["etag"], json!({ "supported": true }));
}

#[test]
fn operations_on_one_resource_are_made_in_their_order() {
    let server = Server::start("bulk-order", Limits::default());
    let to = server.connect("Acme", "Okta");
    let mut operations = vec![post_user(0)];
    for version in 1..300 {
        let data = json!({ "userName": "user-0", "title": format!("{version}") });
        operations.push(json!({
            "method": "PUT",
            "path": "/Users/bulkId:u0",
            // Each is meant for what the one before it left.
            "version": format!("W/\"{version}\""),
            "data": data,
        }));
    }
    operations.push(json!({ "method": "DELETE", "path": "/Users/bulkId:u0", "version": "300" }));
    // The name is free again.
    let mut again = post_user(0);
    again["bulkId"] = "again".into();
    operations.push(again);
    let mut expected = vec!["201"];
    expected.extend(["200"; 299]);
    expected.extend(["204", "201"]);
    assert_eq!(statuses(&bulk(&server, &to, &json!({ "Operations": operations }))), expected);
}

/// Proves S-BULK-12.
#[test]
fn it_stops_after_as_many_failures_as_the_client_accepts() {
    let server = Server::start("bulk-failures", Limits::default());
    let to = server.connect("Acme", "Okta");
    let mut number = 0;
    // `x` fails, and `.` does not.
    let mut check = |failures_max: usize, operations: &str, expected: &str| {
        let operations: Vec<_> = operations
            .chars()
            .map(|kind| {
                number += 1;
                let mut operation = post_user(number);
                if kind == 'x' {
                    operation["data"] = json!({});
                }
                operation
            })
            .collect();
        let before = scim(&server, &to, "GET", "/Users?count=0", b"").json();
        let body = json!({ "failOnErrors": failures_max, "Operations": operations });
        let statuses = statuses(&bulk(&server, &to, &body));
        let seen: String =
            statuses.iter().map(|status| if status == "201" { '.' } else { 'x' }).collect();
        assert_eq!(seen, expected);
        let after = scim(&server, &to, "GET", "/Users?count=0", b"").json();
        let count = |list: &Value| list["totalResults"].as_u64().expect("a count");
        let made = expected.matches('.').count() as u64;
        assert_eq!(count(&after) - count(&before), made, "nothing more was done");
    };
    check(0, "..x..", "..x");
    check(1, "..x..", "..x");
    check(1, "x.", "x");
    check(1, "...", "...");
    check(2, ".x..x.", ".x..x");
    check(2, "xx.", "xx");
    check(3, ".x..x.", ".x..x.");
    check(100, "xxxxx.", "xxxxx.");
}

/// Proves S-BULK-9, S-BULK-15, S-BULK-16, S-BULK-18.
#[test]
fn a_circle_that_is_not_closed_leaves_nothing_behind() {
    let server = Server::start("bulk-circle", Limits::default());
    let to = server.connect("Acme", "Okta");
    let group = |name: &str, member: &str| {
        let members = json!([{ "value": format!("bulkId:{member}") }]);
        let data = json!({ "displayName": name, "members": members });
        json!({ "method": "POST", "path": "/Groups", "bulkId": name, "data": data })
    };
    let bad = json!({ "method": "POST", "path": "/Groups", "bulkId": "c", "data": {} });
    // The failure comes between the beginning of `a` and its completion.
    let mut b = group("b", "a");
    b["data"]["displayName"] = Value::Null;
    let names = || {
        let groups = scim(&server, &to, "GET", "/Groups?attributes=displayName", b"").json();
        let groups = groups["Resources"].as_array().cloned().unwrap_or_default();
        let name = |it: &Value| it["displayName"].as_str().expect("a name").to_owned();
        groups.iter().map(name).collect::<Vec<_>>()
    };
    // Whether the request ends there, or the completion is tried and fails for the other's sake.
    for failures_max in [1, 9] {
        let body = json!({ "failOnErrors": failures_max, "Operations": [group("a", "b"), b] });
        let reply = bulk(&server, &to, &body);
        assert_eq!(statuses(&reply), ["409", "400"]);
        let body = reply.json();
        for part in ["location", "version"] {
            assert_eq!(body["Operations"][0].get(part), None, "{body}");
        }
        assert!(names().is_empty(), "{:?}", names());
    }
    // Who was to have it as a member is told, or is left without where they had it already.
    let body = json!({ "Operations": [group("a", "b"), b, group("late", "a")] });
    assert_eq!(statuses(&bulk(&server, &to, &body)), ["409", "400", "409"]);
    let body = json!({ "Operations": [group("a", "b"), group("x", "a"), b] });
    assert_eq!(statuses(&bulk(&server, &to, &body)), ["409", "201", "400"]);
    assert_eq!(names(), ["x"]);
    let of_x = scim(&server, &to, "GET", "/Groups", b"").json();
    assert_eq!(of_x["Resources"][0]["members"], json!([]));
    let body = json!({ "Operations": [bad, group("d", "e"), group("e", "d"), group("f", "c")] });
    assert_eq!(statuses(&bulk(&server, &to, &body)), ["400", "201", "201", "409"]);
    assert_eq!(names(), ["x", "d", "e"]);
}

/// Proves S-BULK-19.
#[test]
fn operations_count_as_requests_do() {
    let number = |it| NonZeroU32::new(it).expect("it is not zero");
    // Half a minute until as much may come again.
    let rate = Some(Rate { per_second: number(1), burst: number(80) });
    let server = Server::start("bulk-rate", Limits { rate, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    let other = server.connect("Beta", "Okta");
    let send = |to: &Connection, first: usize, count: usize| {
        let operations: Vec<_> = (first..first + count).map(post_user).collect();
        bulk(&server, to, &json!({ "Operations": operations }))
    };
    assert_eq!(statuses(&send(&to, 0, 40)), vec!["201"; 40]);
    // More than may ever come at once is not refused for ever.
    assert_eq!(statuses(&send(&to, 40, 200)), vec!["201"; 200]);
    let before = server.state();
    let refused = send(&to, 240, 40);
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(server.state(), before);
    assert_eq!(statuses(&send(&other, 0, 1)), ["201"]);
}

#[test]
fn a_bulk_request_needs_a_token_of_its_directory() {
    let server = Server::start("bulk-stranger", Limits::default());
    let to = server.connect("Acme", "Okta");
    let other = server.connect("Beta", "Okta");
    let made = bulk(&server, &to, &json!({ "Operations": [post_user(1)] })).json();
    let location = made["Operations"][0]["location"].as_str().expect("a location");
    let id = location.rsplit('/').next().expect("an id");
    let before = server.state();
    let body = json!({ "Operations": [
        { "method": "DELETE", "path": format!("/Users/{id}") },
        { "method": "PATCH", "path": format!("/Users/{id}"), "data": { "Operations": [] } },
    ] });
    assert_eq!(statuses(&bulk(&server, &other, &body)), ["404", "404"]);
    let path = format!("{}/Bulk", to.base);
    let reply = server.call("POST", &path, &[], body.to_string().as_bytes());
    assert_eq!(reply.status, 401, "{reply:?}");
    assert_eq!(server.state(), before);
}

/// Proves S-ME-1.
#[test]
fn a_token_is_nobody_that_could_be_me() {
    let server = Server::start("bulk-me", Limits::default());
    let to = server.connect("Acme", "Okta");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in ["/Me", "/Me/", "/Me/x"] {
            let reply = scim(&server, &to, method, path, b"{}");
            assert_eq!(reply.status, 501, "{method} {path}: {reply:?}");
            assert_eq!(reply.json()["status"], "501");
        }
    }
    let reply = scim(&server, &to, "HEAD", "/Me", b"");
    assert_eq!((reply.status, reply.body.len()), (501, 0));
    let body = json!({ "Operations": [{ "method": "DELETE", "path": "/Me" }] });
    assert_eq!(statuses(&bulk(&server, &to, &body)), ["404"]);
}
