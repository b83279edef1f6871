//! What was answered is answered again after the server was stopped and started, to the byte; and
//! what was begun goes on.

use std::path::PathBuf;

use claims::OwnDatabase;
use serde_json::{Value, json};
use web::Limits;

use crate::server::{Connection, Reply, Server, text};
use crate::stream::Stream;

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {}", to.token);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let path = format!("{}{path}", to.base);
    let mut reply =
        server.call(method, &path, &[("Authorization", &authorization)], body.as_bytes());
    reply.body = reply.unnamed().into_bytes();
    reply.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
    reply
}

#[test]
fn what_was_answered_is_answered_again_after_a_restart() {
    let mut server = Server::start("restarts", Limits::default());
    let to = server.connect("Acme", "Okta");
    let mut ids = Vec::new();
    for number in 0..7 {
        server.pass(1);
        let body = json!({
            "userName": format!("Person.{number}@acme.example"),
            "name": { "familyName": "Ærøskøbing 李 😀 \u{2028} \" \\" },
            "active": number % 3 != 0,
            "emails": [{ "value": "a@b.example", "type": "work", "primary": true }],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "D" },
        });
        let reply = scim(&server, &to, "POST", "/Users", &body);
        assert_eq!(reply.status, 201, "{reply:?}");
        ids.push(text(&reply.json(), "id"));
    }
    let members: Vec<_> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "displayName": "Everybody", "members": members });
    let group = text(&scim(&server, &to, "POST", "/Groups", &body).json(), "id");
    assert_eq!(
        scim(&server, &to, "DELETE", &format!("/Users/{}", ids[2]), &Value::Null).status,
        204
    );

    let mut paths: Vec<String> = ids.iter().map(|id| format!("/Users/{id}")).collect();
    paths.extend(
        [
            "/Users",
            "/Users?startIndex=2&count=3",
            "/Users?attributes=userName,groups",
            "/Users?excludedAttributes=emails,groups",
            "/Users?filter=userName%20eq%20%22PERSON.1%40acme.example%22",
            "/Users?filter=active%20eq%20true%20and%20groups%20pr",
            "/Users?filter=nonsense",
            "/Groups",
            "/Groups?filter=displayName%20sw%20%22every%22&excludedAttributes=members",
            "/Schemas",
            "/ResourceTypes",
            "/ServiceProviderConfig",
            "/Bulk",
        ]
        .map(str::to_owned),
    );
    let answers = |server: &Server| -> Vec<Reply> {
        paths.iter().map(|path| scim(server, &to, "GET", path, &Value::Null)).collect()
    };
    let (replies, state) = (answers(&server), server.state());
    let feed = server.api("GET", "/api/v1/events?limit=3", b"").json();
    server.restart();
    assert_eq!(answers(&server), replies);
    assert_eq!(server.state(), state);

    // A cursor from before leads on from where it led.
    let path = format!("/api/v1/events?after={}&limit=1000", text(&feed, "next"));
    let rest = server.api("GET", &path, b"").json();
    let count = |page: &Value| page["data"].as_array().map_or(0, Vec::len);
    let whole = server.api("GET", "/api/v1/events?limit=1000", b"").json();
    assert_eq!(count(&feed) + count(&rest), count(&whole));

    // Versions, event numbers and the order of lists go on.
    server.pass(1);
    let body = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "x" }] });
    let reply = scim(&server, &to, "PATCH", &format!("/Users/{}", ids[0]), &body);
    assert_eq!(reply.header("etag"), Some("W/\"2\""), "{reply:?}");
    let body = json!({ "userName": "the last" });
    let last = text(&scim(&server, &to, "POST", "/Users", &body).json(), "id");
    let list = scim(&server, &to, "GET", "/Users?attributes=id", &Value::Null).json();
    assert_eq!(list["Resources"][6]["id"], last);
    let path = format!("/api/v1/events?directory_id={}&limit=1000", to.directory);
    let events = server.api("GET", &path, b"").json();
    let events = events["data"].as_array().expect("a list");
    let numbers: Vec<_> = events.iter().map(|event| event["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).map(Some).collect::<Vec<_>>());
    assert_eq!(scim(&server, &to, "GET", &format!("/Groups/{group}"), &Value::Null).status, 200);
}

/// Everything, as it was at some time.
enum Backup {
    Database(OwnDatabase),
    File(PathBuf),
}

/// Keeps everything as it is now, while the server is stopped.
fn back_up(server: &mut Server) -> Backup {
    server.stop();
    let backup = if let Some(own) = &server.own {
        Backup::Database(own.copy())
    } else {
        let file = server.folder.join("backup.db");
        std::fs::copy(server.folder.join("roster.db"), &file).expect("a copy");
        Backup::File(file)
    };
    server.run();
    backup
}

/// Goes on from what was kept.
fn restore(server: &mut Server, backup: Backup) {
    server.stop();
    match backup {
        Backup::Database(copy) => server.own = Some(copy),
        Backup::File(file) => {
            std::fs::copy(file, server.folder.join("roster.db")).expect("a copy");
        }
    }
    server.run();
}

#[test]
fn after_a_restore_cursors_of_the_other_life_are_refused_and_a_snapshot_leads_on() {
    let mut server = Server::start("restored", Limits::default());
    let to = server.connect("Acme", "Okta");
    let create = |server: &Server, name: &str| {
        let reply = scim(server, &to, "POST", "/Users", &json!({ "userName": name }));
        assert_eq!(reply.status, 201, "{reply:?}");
    };
    let read = |server: &Server, after: &str| {
        server.api("GET", &format!("/api/v1/events?after={after}"), b"")
    };
    let names = |page: &Value| -> Vec<String> {
        let events = page["data"].as_array().expect("events").iter();
        events.map(|event| text(&event["data"]["user"], "userName")).collect()
    };
    create(&server, "ana");
    let shared = text(&read(&server, "end").json(), "next");
    let backup = back_up(&mut server);
    create(&server, "bo");
    let page = read(&server, &shared).json();
    assert_eq!(names(&page), ["bo"]);
    let lost = text(&page, "next");
    restore(&mut server, backup);

    // Also when there are as many events as there were, and more.
    for name in ["cy", "di"] {
        for path in [
            format!("/api/v1/events?after={lost}"),
            format!("/api/v1/events?after={lost}&wait=1"),
            format!("/api/v1/events/stream?after={lost}"),
        ] {
            let reply = server.api("GET", &path, b"");
            assert_eq!(reply.status, 410, "{path}: {reply:?}");
            let problem = reply.json();
            assert_eq!(problem["type"], "urn:roster:problem:cursor-of-another-epoch");
            assert!(text(&problem, "hint").contains("snapshot"), "{problem}");
        }
        create(&server, name);
    }
    // What was read before the backup is the same in both lives, and leads on.
    assert_eq!(names(&read(&server, &shared).json()), ["cy", "di"]);
    let path = format!("/api/v1/directories/{}/snapshot", to.directory);
    let authorization = format!("Bearer {}", server.key);
    let mut lines =
        Stream::open(&server, &path, &[("Authorization", authorization.as_str())]).rest().0;
    lines.truncate(lines.trim_end().len());
    let end = lines.rsplit('\n').next().expect("a last line");
    let end: Value = serde_json::from_str(end).expect("it is JSON");
    assert_eq!((&end["type"], &end["user_count"]), (&json!("end"), &json!(3)));
    create(&server, "ed");
    let path =
        format!("/api/v1/events?directory_id={}&after={}", to.directory, text(&end, "cursor"));
    assert_eq!(names(&server.api("GET", &path, b"").json()), ["ed"]);
}
