//! The disk is full, or fails: what a provider, the vendor and a load balancer are told.

use std::path::Path;

use faults::{Call, Failure, Plan};
use serde_json::json;
use web::Limits;

use crate::server::{Connection, Reply, Server};

const FOR_EVER: u64 = u64::MAX;

/// A server on a disk that is watched, with a directory.
fn started(name: &str) -> (Server, Connection, faults::Watched) {
    let mut server = Server::start(name, Limits::default());
    let connection = server.connect("Acme", "Okta");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let watched = faults::watch(&folder).expect("it is there");
    // From now on its files go through ours.
    server.restart();
    (server, connection, watched)
}

fn scim(server: &Server, connection: &Connection, method: &str, body: &[u8]) -> Reply {
    let authorization = format!("Bearer {}", connection.token);
    let path = format!("{}/Users", connection.base);
    server.call(method, &path, &[("Authorization", &authorization)], body)
}

fn create(server: &Server, connection: &Connection, name: &str) -> Reply {
    let body = json!({ "userName": name }).to_string();
    scim(server, connection, "POST", body.as_bytes())
}

fn is_listed(server: &Server, connection: &Connection, names: &[&str]) {
    let reply = scim(server, connection, "GET", b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    let list = reply.json();
    let found: Vec<_> = list["Resources"].as_array().into_iter().flatten().collect();
    let found: Vec<_> = found.iter().map(|user| user["userName"].as_str().unwrap()).collect();
    assert_eq!(found, names);
}

fn ready(server: &Server) -> u16 {
    server.api("GET", "/ready", b"").status
}

#[test]
fn a_full_disk_is_told_and_needs_no_restart() {
    let (server, connection, watched) = started("disk-full");
    assert_eq!(create(&server, &connection, "ana").status, 201);

    let calls = &[Call::Write, Call::Share];
    watched.fail(Plan { calls, after: 0, times: FOR_EVER, failure: Failure::Full });
    let refused = create(&server, &connection, "bo");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("30"));
    let told: serde_json::Value = serde_json::from_str(&refused.unnamed()).expect("JSON");
    assert_eq!(
        told,
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": "503",
            "detail": "the server's disk is full, and nothing was changed. Tell the app's team, who \
                       have to make room there; then send it again",
        })
    );
    let refused = server.api("POST", "/api/v1/organizations", br#"{ "name": "Beta" }"#);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(refused.json()["type"], "urn:roster:problem:disk-full");
    is_listed(&server, &connection, &["ana"]);
    assert_eq!(ready(&server), 200, "it serves readers");

    watched.heal();
    assert_eq!(create(&server, &connection, "bo").status, 201);
    is_listed(&server, &connection, &["ana", "bo"]);
}

#[test]
fn a_failed_disk_is_told_until_the_server_is_restarted() {
    let (mut server, connection, watched) = started("disk-failed");
    assert_eq!(create(&server, &connection, "ana").status, 201);
    // That the provider and the key were there is noted behind the answers. What is kept after that
    // leaves nothing waiting that the disk could fail for instead.
    assert_eq!(ready(&server), 200);
    assert_eq!(create(&server, &connection, "abe").status, 201);

    watched.fail(Plan { calls: &[Call::Sync], after: 0, times: 1, failure: Failure::Broken });
    let refused = create(&server, &connection, "bo");
    watched.heal();
    let detail = "the server's disk failed, and nothing is changed until somebody has looked at it. \
                  Tell the app's team, who have to restart the server; then send it again";
    for refused in [refused, create(&server, &connection, "cy")] {
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(refused.header("retry-after"), Some("30"));
        let told: serde_json::Value = serde_json::from_str(&refused.unnamed()).expect("JSON");
        assert_eq!(told["detail"], detail);
    }
    let refused = server.api("POST", "/api/v1/organizations", br#"{ "name": "Beta" }"#);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["type"], "urn:roster:problem:disk-failed");
    is_listed(&server, &connection, &["ana", "abe"]);
    assert_eq!(ready(&server), 503, "a load balancer looks for another");

    server.restart();
    assert_eq!(ready(&server), 200);
    // Nobody was told that `bo` is there, nor that they are not: they are whole.
    is_listed(&server, &connection, &["ana", "abe", "bo"]);
    assert_eq!(create(&server, &connection, "cy").status, 201);
    is_listed(&server, &connection, &["ana", "abe", "bo", "cy"]);
}
