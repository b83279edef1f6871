//! The feed as an app reads it: what it asks for, how it waits, and what it does when it has missed
//! something.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use web::Limits;

use crate::server::{Connection, Reply, Server, text};
use crate::stream::Stream;

/// Two customers, with two directories and one, and people in them.
struct Scene {
    server: Server,
    acme: Connection,
    /// Of the same organization.
    second: Connection,
    globex: Connection,
}

fn id_of_organization(server: &Server, connection: &Connection) -> String {
    let path = format!("/api/v1/directories/{}", connection.directory);
    text(&server.api("GET", &path, b"").json(), "organization_id")
}

fn made(server: &Server, path: &str, body: &Value) -> Value {
    let reply = server.api("POST", &format!("/api/v1{path}"), body.to_string().as_bytes());
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

fn provider(server: &Server, to: &Connection, method: &str, path: &str, body: &Value) -> Value {
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str())];
    let path = format!("{}{path}", to.base);
    let reply = server.call(method, &path, &headers, body.to_string().as_bytes());
    assert!(reply.status < 300, "{reply:?}");
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

fn add(server: &Server, to: &Connection, name: &str) -> String {
    text(&provider(server, to, "POST", "/Users", &json!({ "userName": name })), "id")
}

fn scene(name: &str) -> Scene {
    scene_with(name, Limits::default())
}

fn scene_with(name: &str, limits: Limits) -> Scene {
    let server = Server::start(name, limits);
    let (acme, globex) = (server.connect("Acme", "Okta"), server.connect("Globex", "Entra"));
    let path = format!("/organizations/{}/directories", id_of_organization(&server, &acme));
    let directory = made(&server, &path, &json!({ "name": "Labs", "provider": "okta" }));
    let directory = text(&directory, "id");
    let token = made(&server, &format!("/directories/{directory}/tokens"), &json!({}));
    let second = Connection {
        base: format!("/scim/v2/{directory}"),
        token: text(&token, "token"),
        directory,
    };
    for (to, name) in [(&acme, "ana"), (&globex, "gus"), (&second, "lea"), (&acme, "ben")] {
        add(&server, to, name);
    }
    Scene { server, acme, second, globex }
}

fn key(server: &Server, organization: &str) -> (String, String) {
    let new = json!({ "name": "app", "scopes": ["full"], "organization_id": organization });
    let key = made(server, "/api-keys", &new);
    (text(&key, "api_key"), text(&key, "id"))
}

fn with_key(server: &Server, key: &str, path: &str) -> Reply {
    let authorization = format!("Bearer {key}");
    server.call("GET", path, &[("Authorization", &authorization)], b"")
}

/// The types and the names of people of a page.
fn told(page: &Value) -> Vec<String> {
    let told = |event: &Value| {
        let kind = text(event, "type");
        let name = event["data"]["user"]["userName"].as_str().unwrap_or_default();
        format!("{kind} {name}").trim_end().to_owned()
    };
    page["data"].as_array().expect("a list").iter().map(told).collect()
}

#[test]
fn a_reader_is_told_of_what_it_asks_for_and_of_nothing_else() {
    let Scene { server, acme, second, globex } = scene("feed-filters");
    let organization = id_of_organization(&server, &acme);
    let read = |query: &str| {
        let reply = server.api("GET", &format!("/api/v1/events?{query}"), b"");
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        reply.json()
    };
    let created = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("directory.user.created {name}")).collect()
    };
    let users = "type=directory.user.created";
    assert_eq!(told(&read(users)), created(&["ana", "gus", "lea", "ben"]));
    let of_acme = format!("organization_id={organization}");
    assert_eq!(told(&read(&format!("{users}&{of_acme}"))), created(&["ana", "lea", "ben"]));
    let of_second = format!("directory_id={}", second.directory);
    assert_eq!(told(&read(&format!("{users}&{of_second}"))), created(&["lea"]));
    assert_eq!(told(&read(&format!("{users}&{of_acme}&{of_second}"))), created(&["lea"]));
    // Several types, named in either way; and all that begin alike.
    let both = ["directory.token.created", "directory.user.created lea"];
    for types in [
        "type=directory.token.created&type=directory.user.created",
        "type=directory.token.created,directory.user.created",
        "type=directory.token.*,directory.user.*",
    ] {
        assert_eq!(told(&read(&format!("{types}&{of_second}"))), both, "{types}");
    }
    // Page by page it is the same as at once, whatever stands in between.
    for query in [users.to_owned(), of_acme.clone(), format!("{users}&{of_acme}"), String::new()] {
        let (mut pages, mut after) = (Vec::new(), String::new());
        loop {
            let page = read(&format!("{query}&limit=1{after}"));
            pages.extend(told(&page));
            after = format!("&after={}", text(&page, "next"));
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(pages, told(&read(&query)), "{query}");
        // Whoever has come to the end is told of what comes then.
        assert_eq!(told(&read(&format!("{query}{after}"))), Vec::<String>::new());
    }
    assert_eq!(told(&read("after=end")), Vec::<String>::new());

    let refused = |query: &str| {
        let reply = server.api("GET", &format!("/api/v1/events?{query}"), b"");
        (reply.status, text(&reply.json(), "detail"))
    };
    let unknown = "`type` names `directory.user.promoted`, and no event is of that type";
    for query in ["type=directory.user.promoted", "type=directory.*,directory.user.promoted"] {
        assert_eq!(refused(query), (400, unknown.to_owned()));
    }
    for query in
        ["type=", "wait=61", "wait=-1", "wait=soon", "limit=0", "limit=1&limit=2", "kind=a"]
    {
        assert_eq!(refused(query).0, 400, "{query}");
    }
    // A directory of another organization is none of this one.
    let of_globex = format!("directory_id={}", globex.directory);
    assert_eq!(refused(&format!("{of_acme}&{of_globex}")).0, 404);
    // A cursor is good for whom it was made, whatever types are asked for.
    let next = text(&read(&of_acme), "next");
    assert_eq!(refused(&format!("after={next}")).0, 400);
    assert_eq!(refused(&format!("after={next}&{of_second}")).0, 400);
    assert_eq!(told(&read(&format!("after={next}&{of_acme}&{users}"))), Vec::<String>::new());
}

#[test]
fn the_key_of_an_organization_reads_its_whole_feed_and_nobody_elses() {
    let Scene { server, acme, second, globex } = scene("feed-of-one");
    let organization = id_of_organization(&server, &acme);
    let (own, _) = key(&server, &organization);
    let all = with_key(&server, &own, "/api/v1/events?limit=1000");
    assert_eq!(all.status, 200, "{all:?}");
    let path = format!("/api/v1/events?limit=1000&organization_id={organization}");
    assert_eq!(all.json(), server.api("GET", &path, b"").json(), "it is what the vendor reads");
    let whole = String::from_utf8(all.body).expect("text");
    for (connection, is_own) in [(&acme, true), (&second, true), (&globex, false)] {
        assert_eq!(whole.contains(&connection.directory), is_own);
    }
    // What the others do comes neither on a page nor on a stream, however long it waits.
    let next = text(&serde_json::from_str(&whole).expect("JSON"), "next");
    let authorization = format!("Bearer {own}");
    let headers = [("Authorization", authorization.as_str())];
    let path = format!("/api/v1/events/stream?after={next}");
    let mut stream = Stream::open(&server, &path, &headers);
    assert_eq!(stream.status, 200);
    stream.until("id: ");
    add(&server, &globex, "gwen");
    add(&server, &second, "liv");
    let event = stream.until("data: ");
    assert!(event.contains("liv") && !event.contains("gwen"), "{event}");
    let page = with_key(&server, &own, &format!("/api/v1/events?wait=60&after={next}")).json();
    assert_eq!(told(&page), ["directory.user.created liv"]);
}

#[test]
fn a_reader_waits_for_the_next_event_and_no_longer() {
    const WAITING: usize = 20;
    // One more place than there are who wait: whether they do is seen by who is refused.
    let limits = Limits { readers: WAITING + 1, ..Limits::default() };
    let Scene { server, acme, globex, .. } = scene_with("feed-waiting", limits);
    let wait = |query: &str| {
        let begun = Instant::now();
        let reply = server.api("GET", &format!("/api/v1/events?{query}"), b"");
        (reply, begun.elapsed())
    };
    // Where there is something, it waits for nothing.
    let (reply, waited) = wait("limit=1&wait=60");
    assert_eq!(told(&reply.json()), ["directory.created"]);
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    // Where there is nothing, as long as it was told.
    let (reply, waited) = wait("after=end&wait=1");
    let page = reply.json();
    assert_eq!((told(&page), &page["has_more"]), (vec![], &json!(false)));
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    let next = text(&page, "next");
    let of_acme = format!("directory_id={}&type=directory.user.*", acme.directory);
    let end = text(&wait(&format!("after=end&{of_acme}")).0.json(), "next");
    let authorization = format!("Bearer {}", server.key);
    let headers = [("Authorization", authorization.as_str())];
    let takes_a_place = || {
        let mut stream = Stream::open(&server, "/api/v1/events/stream?after=end", &headers);
        assert_eq!(stream.status, 200);
        stream.until("id: ");
        stream
    };
    // Whoever waits for a second gives the place back with the answer; where there is none, they are
    // told at once.
    let is_full = || wait("after=end&wait=1").0.status == 503;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let _first = takes_a_place();
        let wait_for = |query: String| {
            let wait = &wait;
            scope.spawn(move || {
                loop {
                    let (reply, _) = wait(&query);
                    // Somebody looked just then whether there is room.
                    if reply.status != 503 {
                        return told(&reply.json());
                    }
                }
            })
        };
        let half = || 0..WAITING / 2;
        let of_all: Vec<_> = half().map(|_| wait_for(format!("after={next}&wait=60"))).collect();
        let of_one: Vec<_> =
            half().map(|_| wait_for(format!("after={end}&wait=60&{of_acme}"))).collect();
        while !is_full() {}
        // All of them wait. What happens now is told to whoever asked for it.
        add(&server, &globex, "gwen");
        for waiting in of_all {
            let told = waiting.join().expect("it was answered");
            assert_eq!(told, ["directory.user.created gwen"]);
        }
        // The others wait still: their places are taken, and no more than theirs.
        let _places: Vec<_> = half().map(|_| takes_a_place()).collect();
        assert!(is_full(), "somebody was answered who had asked for something else");
        add(&server, &acme, "cleo");
        for waiting in of_one {
            let told = waiting.join().expect("it was answered");
            assert_eq!(told, ["directory.user.created cleo"]);
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(50), "nobody waited until the end");
}

#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let Scene { server, acme, .. } = scene("feed-stream");
    let authorization = format!("Bearer {}", server.key);
    let path = format!("/api/v1/events/stream?directory_id={}", acme.directory);
    let open = |path: &str, last: Option<&str>| {
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend(last.map(|last| ("Last-Event-ID", last)));
        Stream::open(&server, path, &headers)
    };
    let mut stream = open(&path, None);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-store"));
    let page = format!("/api/v1/events?directory_id={}", acme.directory);
    let page = server.api("GET", &page, b"").json();
    let mut last = String::new();
    for event in page["data"].as_array().expect("a list") {
        let told = stream.until("data: ");
        let lines: Vec<_> = told.trim_start().lines().collect();
        let [id, kind, data] = lines[..] else { panic!("{lines:?}") };
        assert_eq!(kind, format!("event: {}", text(event, "type")));
        let data = data.strip_prefix("data: ").expect("it is there");
        assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), *event);
        last = id.strip_prefix("id: ").expect("it is there").to_owned();
        // Whoever heard only this one hears the next.
        let mut again = open(&path, Some(&last));
        let next = again.until("id: ");
        assert_ne!(next.trim_start(), told.trim_start());
    }
    assert_eq!(last, text(&page, "next"), "the place is the same as that of a page");
    // The header is newer than what stands in the address.
    let mut again = open(&format!("{path}&after=end"), Some(&last));
    assert!(again.until("id: ").starts_with(": nothing new\n"));
    add(&server, &acme, "cleo");
    for stream in [&mut stream, &mut again] {
        let told = stream.until("data: ");
        assert!(
            told.contains("event: directory.user.created\n") && told.contains("cleo"),
            "{told}"
        );
    }
    // What leads nowhere is told before there is a stream.
    for (last, status) in [("nonsense", 400), ("000000000000.1.0.0", 410)] {
        let refused = open(&path, Some(last)).begun();
        assert_eq!(refused.status, status, "{refused:?}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn as_many_readers_wait_as_may_and_the_others_are_told() {
    let server = Server::start("feed-readers", Limits { readers: 2, ..Limits::default() });
    let authorization = format!("Bearer {}", server.key);
    let headers = [("Authorization", authorization.as_str())];
    let open = || Stream::open(&server, "/api/v1/events/stream?after=end", &headers);
    let mut waiting = [open(), open()];
    for stream in &mut waiting {
        stream.until("id: ");
    }
    for path in ["/api/v1/events?after=end&wait=1", "/api/v1/events/stream"] {
        let refused = server.api("GET", path, b"");
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (503, Some("5")),
            "{refused:?}"
        );
        assert_eq!(refused.json()["type"], "urn:roster:problem:too-many-readers");
    }
    // Who does not wait takes no place, and whoever goes away leaves one.
    assert_eq!(server.api("GET", "/api/v1/events?after=end", b"").status, 200);
    drop(waiting);
    let mut refused = 0;
    while server.api("GET", "/api/v1/events?after=end&wait=1", b"").status == 503 {
        refused += 1;
        assert!(refused < 10_000, "the server does not notice that they are gone");
    }
}

#[test]
fn no_key_takes_the_places_of_all_others() {
    let limits = Limits { readers: 3, readers_of_key: 2, ..Limits::default() };
    let Scene { server, acme, .. } = scene_with("feed-shares", limits);
    fill(&server, &acme);
    let keys = [server.key.clone(), key(&server, &id_of_organization(&server, &acme)).0];
    let [mine, others] = keys.each_ref().map(|key| format!("Bearer {key}"));
    let open = |path: &str, authorization: &str| {
        Stream::open(&server, &format!("/api/v1{path}"), &[("Authorization", authorization)])
    };
    let refused = |path: &str, authorization: &str| {
        let reply = open(path, authorization).begun();
        assert_eq!(reply.header("retry-after"), Some("5"), "{reply:?}");
        (reply.status, text(&reply.json(), "type"))
    };
    let stream = "/events/stream?after=end";
    let held = [open(stream, &mine), open(stream, &mine)];
    assert_eq!(held.each_ref().map(|it| it.status), [200, 200]);
    let of_key = "urn:roster:problem:too-many-readers-of-key".to_owned();
    assert_eq!(refused(stream, &mine), (429, of_key.clone()));
    assert_eq!(refused("/events?after=end&wait=1", &mine), (429, of_key));
    // There is room for somebody else, until there is none for anybody.
    let other = open(stream, &others);
    assert_eq!(other.status, 200);
    let full = "urn:roster:problem:too-many-readers".to_owned();
    assert_eq!(refused(stream, &others), (503, full));
    // So it is with snapshots.
    let snapshot = format!("/directories/{}/snapshot", acme.directory);
    let mut held = open(&snapshot, &mine);
    held.until("\"type\":\"directory\"");
    let of_key = "urn:roster:problem:too-many-snapshots-of-key".to_owned();
    assert_eq!(refused(&snapshot, &mine), (429, of_key));
    assert_eq!(open(&snapshot, &others).status, 200);
}

/// People who are more than the way to a reader holds.
fn fill(server: &Server, to: &Connection) {
    for number in 0..32 {
        let text = "x".repeat(250_000);
        let name = format!("large-{number}");
        let body = json!({
            "userName": name, "title": text, "nickName": text, "displayName": text,
        });
        provider(server, to, "POST", "/Users", &body);
    }
}

#[test]
fn a_snapshot_ends_with_its_key() {
    let Scene { server, acme, .. } = scene("snapshot-revoked");
    fill(&server, &acme);
    let (own, id) = key(&server, &id_of_organization(&server, &acme));
    let authorization = format!("Bearer {own}");
    let headers = [("Authorization", authorization.as_str())];
    let path = format!("/api/v1/directories/{}/snapshot", acme.directory);
    let mut snapshot = Stream::open(&server, &path, &headers);
    snapshot.until("\"type\":\"directory\"");
    assert_eq!(server.api("DELETE", &format!("/api/v1/api-keys/{id}"), b"").status, 204);
    let (rest, ended_well) = snapshot.rest();
    assert!(!rest.contains("\"type\":\"end\"") && !ended_well);
}

#[test]
fn a_key_that_is_taken_back_ends_what_it_opened() {
    let Scene { server, acme, .. } = scene("feed-revoked");
    let (own, id) = key(&server, &id_of_organization(&server, &acme));
    let authorization = format!("Bearer {own}");
    let headers = [("Authorization", authorization.as_str())];
    let mut stream = Stream::open(&server, "/api/v1/events/stream?after=end", &headers);
    stream.until("id: ");
    std::thread::scope(|scope| {
        // Begun before, or refused: it is told the same.
        let polled = scope.spawn(|| with_key(&server, &own, "/api/v1/events?after=end&wait=60"));
        let begun = Instant::now();
        assert_eq!(server.api("DELETE", &format!("/api/v1/api-keys/{id}"), b"").status, 204);
        let (rest, ended_well) = stream.rest();
        // Generous: it is looked twice a second.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let (kind, problem) = rest.trim().split_once("\ndata: ").expect("a last word");
        assert_eq!((kind, ended_well), ("event: problem", true));
        let problem: Value = serde_json::from_str(problem).expect("JSON");
        assert_eq!(problem["status"], 401);
        assert_eq!(polled.join().expect("it was answered").status, 401);
    });
}

#[test]
fn a_key_that_is_taken_back_hears_no_more_while_much_happens() {
    // As fast as it goes: how much is written until the stream ends is not to matter.
    let limits = Limits { rate: None, ..Limits::default() };
    let Scene { server, acme, .. } = scene_with("feed-revoked-busy", limits);
    let (own, id) = key(&server, &id_of_organization(&server, &acme));
    let authorization = format!("Bearer {own}");
    let headers = [("Authorization", authorization.as_str())];
    let mut stream = Stream::open(&server, "/api/v1/events/stream?after=end", &headers);
    stream.until("id: ");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, acme, is_over) = (&server, &acme, &is_over);
        scope.spawn(move || {
            for number in 0.. {
                if is_over.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                add(server, acme, &format!("busy-{number}"));
            }
        });
        stream.until("busy-3");
        assert_eq!(server.api("DELETE", &format!("/api/v1/api-keys/{id}"), b"").status, 204);
        let begun = Instant::now();
        let (rest, _) = stream.rest();
        let elapsed = begun.elapsed();
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
        assert!(rest.contains("event: problem\ndata: "), "{rest}");
    });
}

#[test]
fn who_follows_a_directory_hears_that_it_was_deleted() {
    let Scene { server, acme, .. } = scene("feed-deleted");
    let path = format!("/api/v1/events?directory_id={}", acme.directory);
    let before = server.api("GET", &path, b"").json();
    let directory = format!("/api/v1/directories/{}", acme.directory);
    assert_eq!(server.api("DELETE", &directory, b"").status, 204);
    assert_eq!(server.api("GET", &directory, b"").status, 404);
    let path = format!("{path}&after={}", text(&before, "next"));
    let after = server.api("GET", &path, b"");
    assert_eq!(after.status, 200, "{after:?}");
    assert_eq!(told(&after.json()), ["directory.deleted"]);
    // And reads each of them whole, where a webhook had to leave something out.
    let number = after.json()["data"][0]["number"].clone();
    let whole = server.api("GET", &format!("{directory}/events/{number}"), b"");
    assert_eq!(whole.status, 200, "{whole:?}");
    assert_eq!(whole.json(), after.json()["data"][0]);
    // What is in it is nobody's any more.
    assert_eq!(server.api("GET", &format!("{directory}/snapshot"), b"").status, 404);
}

#[test]
fn a_snapshot_is_what_the_events_before_it_make() {
    let Scene { server, acme, .. } = scene("feed-snapshot");
    let dora = add(&server, &acme, "dora");
    let member = json!({ "displayName": "Sales", "members": [{ "value": dora }] });
    let sales = text(&provider(&server, &acme, "POST", "/Groups", &member), "id");
    let off = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "value": { "active": false } }],
    });
    provider(&server, &acme, "PATCH", &format!("/Users/{dora}"), &off);
    let path = format!("/api/v1/directories/{}/snapshot", acme.directory);
    let authorization = format!("Bearer {}", server.key);
    let headers = [("Authorization", authorization.as_str())];
    let mut stream = Stream::open(&server, &path, &headers);
    assert_eq!(stream.header("content-type"), Some("application/x-ndjson"));
    let (lines, ended_well) = stream.rest();
    assert!(ended_well);
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<_> = lines.iter().map(|line| text(line, "type")).collect();
    let expected = ["directory", "user", "user", "user", "group", "membership", "end"];
    assert_eq!(kinds, expected);
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(first["directory_id"], json!(acme.directory));
    for counts in [first, last] {
        assert_eq!((&counts["user_count"], &counts["group_count"]), (&json!(3), &json!(1)));
    }
    assert_eq!(last["membership_count"], 1);
    assert_eq!(
        lines[5],
        json!({ "type": "membership", "group": { "id": sales }, "member": { "value": dora, "type": "User" } })
    );
    // Each is as its latest event has it.
    let events = format!("/api/v1/events?directory_id={}&limit=1000", acme.directory);
    let events = server.api("GET", &events, b"").json();
    let events = events["data"].as_array().expect("a list");
    for (kind, lines) in [("user", &lines[1..4]), ("group", &lines[4..5])] {
        for line in lines {
            let id = &line[kind]["id"];
            let latest = events.iter().rev().find(|event| {
                event["data"][kind]["id"] == *id && event["data"].get("member").is_none()
            });
            assert_eq!(line[kind], latest.expect("it has events")["data"][kind]);
        }
    }
    assert_eq!(last["event_number"], events[events.len() - 1]["number"]);
    // From there on, there is what came later.
    add(&server, &acme, "elif");
    let path =
        format!("/api/v1/events?directory_id={}&after={}", acme.directory, text(last, "cursor"));
    assert_eq!(told(&server.api("GET", &path, b"").json()), ["directory.user.created elif"]);
}

#[test]
fn an_event_says_what_caused_it() {
    let Scene { server, acme, .. } = scene("feed-causes");
    let directory = format!("/directories/{}", acme.directory);
    let tokens = server.api("GET", &format!("/api/v1{directory}/tokens"), b"").json();
    let token = text(&tokens["data"][0], "id");
    let keys = server.api("GET", "/api/v1/api-keys", b"").json();
    let key = text(&keys["data"][0], "id");
    let dora = add(&server, &acme, "dora");
    let group = |name: &str, member: &str| {
        let body = json!({ "displayName": name, "members": [{ "value": member }] });
        text(&provider(&server, &acme, "POST", "/Groups", &body), "id")
    };
    let sales = group("Sales", &dora);
    let all = group("All", &sales);
    provider(&server, &acme, "DELETE", &format!("/Groups/{sales}"), &Value::Null);
    group("Again", &dora);
    let authorization = format!("Bearer {}", acme.token);
    let path = format!("{}/Users/{dora}", acme.base);
    let deleted = server.call("DELETE", &path, &[("Authorization", &authorization)], b"");
    let request = deleted.header("x-request-id").expect("it has a name").to_owned();
    // An access token is that of its client.
    let client = made(&server, &format!("{directory}/oauth-clients"), &json!({ "name": "Entra" }));
    let client_id = text(&client, "id");
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        text(&client, "id"),
        text(&client, "client_secret"),
    );
    let form_headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let given = server.call("POST", "/oauth/token", &form_headers, form.as_bytes()).json();
    let by_client = Connection {
        directory: acme.directory.clone(),
        base: acme.base.clone(),
        token: text(&given, "access_token"),
    };
    add(&server, &by_client, "enid");

    let path = format!("/api/v1/events?directory_id={}&limit=1000", acme.directory);
    let events = server.api("GET", &path, b"").json();
    let causes = |kind: &str| -> Vec<Value> {
        let events = events["data"].as_array().expect("a list").iter();
        events.filter(|it| it["type"] == kind).map(|it| it["cause"].clone()).collect()
    };
    let by = |kind: &str, id: &str| json!({ "type": kind, "id": id });
    for kind in ["directory.created", "directory.token.created"] {
        for cause in causes(kind) {
            assert_eq!(cause["by"], by("api_key", &key), "{kind}");
            assert!(text(&cause, "request_id").starts_with("req-"));
            assert_eq!(cause["follows_from"], Value::Null);
        }
    }
    let created = causes("directory.user.created");
    assert_eq!(created[0]["by"], by("token", &token));
    assert_eq!(created[created.len() - 1]["by"], by("oauth_client", &client_id));
    assert_eq!(causes("directory.user.deleted")[0]["request_id"], json!(request));
    assert_eq!(causes("directory.user.deleted")[0]["follows_from"], Value::Null);
    // Memberships that end with somebody say with whom; the last is that of who was deleted.
    let follows: Vec<_> = causes("directory.group.member_removed")
        .into_iter()
        .map(|cause| (text(&cause["follows_from"], "type"), text(&cause["follows_from"], "id")))
        .collect();
    let expected = [
        // The group left the one in which it was, then its member left it.
        ("directory.group.deleted".to_owned(), sales.clone()),
        ("directory.group.deleted".to_owned(), sales.clone()),
        ("directory.user.deleted".to_owned(), dora.clone()),
    ];
    assert_eq!(follows, expected);
    assert_eq!(causes("directory.group.member_removed")[2]["request_id"], json!(request));
    let _ = all;
    // The timeline of a person says the same.
    let path = format!("/api/v1{directory}/users/{dora}/timeline");
    let timeline = server.api("GET", &path, b"").json();
    let timeline = timeline["data"].as_array().expect("a list");
    let last = &timeline[timeline.len() - 1];
    assert_eq!(
        (&last["type"], &last["cause"]),
        (&json!("directory.user.deleted"), &causes("directory.user.deleted")[0])
    );
    // What the server does by itself is not asked for by anybody. No secret is in any of it.
    let text = events.to_string();
    for secret in [&acme.token, &by_client.token, &server.key] {
        assert!(!text.contains(secret.as_str()));
    }
}
