//! Requests with an `Idempotency-Key` whose client does not wait for the answer.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use web::Limits;

use crate::server::{Reply, Server, text};

/// Clients that hang up, each at another moment: while their request is read, carried out, kept.
const CLIENTS: u32 = 60;

fn headers<'a>(authorization: &'a str, key: &'a str) -> [(&'a str, &'a str); 2] {
    [("Authorization", authorization), ("Idempotency-Key", key)]
}

/// Sends a request whole, and hangs up after this without having read anything.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is waited for: each client is gone sooner or later"
)]
fn hang_up(server: &Server, path: &str, key: &str, body: &str, after: Duration) {
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        server.key,
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    thread::sleep(after);
}

/// The same again, as a client does that heard nothing, until the first is over.
fn send_again(server: &Server, path: &str, key: &str, body: &str) -> Reply {
    let authorization = format!("Bearer {}", server.key);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let reply = server.call("POST", path, &headers(&authorization, key), body.as_bytes());
        if reply.status != 409 || Instant::now() > until {
            return reply;
        }
    }
}

#[test]
fn who_hangs_up_and_sends_it_again_is_answered_and_nothing_is_made_twice() {
    let server = Server::start("once-hang-up", Limits::default());
    let path = "/api/v1/organizations";
    let request = |client: u32| (format!("key-{client}"), format!(r#"{{"name":"Acme {client}"}}"#));
    for client in 0..CLIENTS {
        let (key, body) = request(client);
        hang_up(&server, path, &key, &body, Duration::from_micros(u64::from(client * 50)));
    }
    let mut replayed = 0;
    for client in 0..CLIENTS {
        let (key, body) = request(client);
        let first = send_again(&server, path, &key, &body);
        assert_eq!(first.status, 201, "{client}: {first:?}");
        replayed += u32::from(first.header("idempotent-replayed").is_some());
        let second = send_again(&server, path, &key, &body);
        assert_eq!((second.status, &second.body), (201, &first.body), "{client}");
        assert!(second.header("idempotent-replayed").is_some(), "{second:?}");
    }
    assert!(replayed > CLIENTS / 4, "{replayed} had begun when their clients hung up");
    let list = server.api("GET", "/api/v1/organizations?limit=1000", b"").json();
    let names = list["data"].as_array().expect("a list").iter().map(|it| text(it, "name"));
    let mut names: Vec<_> = names.collect();
    let mut expected: Vec<_> = (0..CLIENTS).map(|client| format!("Acme {client}")).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected, "each was made once");
}

/// A secret is shown once. Where nobody was there to see it, it is shown to whoever asks again.
#[test]
fn a_secret_that_nobody_was_shown_is_shown_again_also_after_a_restart() {
    let mut server = Server::start("once-secret", Limits::default());
    let connection = server.connect("Acme", "Okta");
    let path = format!("/api/v1/directories/{}/tokens", connection.directory);
    for client in 0..8 {
        hang_up(&server, &path, &format!("token-{client}"), "{}", Duration::from_millis(client));
    }
    server.restart();
    let shown: Vec<Value> = (0..8)
        .map(|client| {
            let reply = send_again(&server, &path, &format!("token-{client}"), "{}");
            assert_eq!(reply.status, 201, "{client}: {reply:?}");
            reply.json()
        })
        .collect();
    let list = server.api("GET", &path, b"").json();
    let tokens = list["data"].as_array().expect("a list");
    // Beside these, the one with which it was connected.
    assert_eq!(tokens.len(), 9, "{list}");
    for token in &shown {
        let authorization = format!("Bearer {}", text(token, "token"));
        let users = format!("{}/Users", connection.base);
        let reply = server.call("GET", &users, &[("Authorization", &authorization)], b"");
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// What was refused when nobody heard it may be sent corrected.
#[test]
fn a_refusal_that_nobody_heard_is_forgotten() {
    let server = Server::start("once-refused", Limits::default());
    let path = "/api/v1/organizations";
    for client in 0..16 {
        let after = Duration::from_micros(client * 200);
        hang_up(&server, path, &format!("key-{client}"), r#"{"name":""}"#, after);
    }
    for client in 0..16 {
        let body = json!({ "name": format!("Acme {client}") }).to_string();
        let authorization = format!("Bearer {}", server.key);
        let until = Instant::now() + Duration::from_secs(20);
        let key = format!("key-{client}");
        loop {
            let reply = server.call("POST", path, &headers(&authorization, &key), body.as_bytes());
            // While the first is carried out, this is another under its key.
            if reply.status != 422 || Instant::now() > until {
                assert_eq!(reply.status, 201, "{client}: {reply:?}");
                break;
            }
        }
    }
}
