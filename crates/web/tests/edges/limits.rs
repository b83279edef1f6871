//! What is too much, too deep or no text at all: bytes that a dialogue in Markdown cannot show.
//!
//! Each is answered with an error that an IT admin can read, and nothing is changed.

use std::num::NonZeroU32;

use web::{Limits, Rate};

use crate::server::{Connection, Reply, Server, text};

/// Limits that are reached soon.
const SMALL: Limits = Limits {
    user_body_bytes: 2_000,
    group_body_bytes: 4_000,
    api_body_bytes: 1_000,
    rate: None,
    guesses: None,
    readers: 1_000,
    readers_of_key: 1_000,
    snapshots_of_key: 1,
};

const USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana""#;
const GROUP: &str =
    r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"A""#;

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &[u8]) -> Reply {
    let path = format!("{}{path}", to.base);
    let authorization = format!("Bearer {}", to.token);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/scim+json; charset=utf-8"),
    ];
    server.call(method, &path, &headers, body)
}

/// An error as SCIM words it, with a `detail` that says this.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16, detail: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["status"], status.to_string(), "{reply:?}");
    assert_eq!(body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error", "{reply:?}");
    assert!(body["detail"].as_str().unwrap_or_default().contains(detail), "{reply:?}");
}

/// The beginning of a JSON object, made as long as this by a member that nobody knows.
fn padded(beginning: &str, bytes: usize) -> Vec<u8> {
    let padding = bytes - beginning.len() - r#","x":""}"#.len();
    format!(r#"{beginning},"x":"{}"}}"#, "y".repeat(padding)).into_bytes()
}

#[test]
fn bodies_are_read_up_to_their_limit_and_not_beyond() {
    let server = Server::start("limits-bodies", SMALL);
    let to = server.connect("Acme", "Okta");
    for (path, beginning, limit) in [("/Users", USER, 2_000), ("/Groups", GROUP, 4_000)] {
        let before = server.state();
        let reply = scim(&server, &to, "POST", path, &padded(beginning, limit + 1));
        assert_refused(&reply, 413, &format!("more than {limit} bytes"));
        assert_eq!(server.state(), before);
        let reply = scim(&server, &to, "POST", path, &padded(beginning, limit));
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

#[test]
fn a_body_that_is_announced_as_too_large_is_not_waited_for() {
    let server = Server::start("limits-announced", Limits::default());
    let to = server.connect("Acme", "Okta");
    let before = server.state();
    for (path, limit) in [("/Users", 1024 * 1024_u64), ("/Groups", 16 * 1024 * 1024)] {
        for announced in [limit + 1, 1_000_000 * limit] {
            let head = format!(
                "POST {}{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
                 Content-Length: {announced}\r\n\r\n",
                to.base, to.token
            );
            assert_refused(&server.send(head.as_bytes()), 413, &format!("more than {limit} bytes"));
        }
    }
    assert_eq!(server.state(), before);
}

#[test]
fn a_body_that_is_not_announced_is_counted() {
    let server = Server::start("limits-chunked", SMALL);
    let to = server.connect("Acme", "Okta");
    let chunked = |path: &str, body: &[u8]| {
        let head = format!(
            "POST {}{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            to.base, to.token
        );
        let mut bytes = head.into_bytes();
        for chunk in body.chunks(700) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        server.send(&bytes)
    };
    let before = server.state();
    assert_refused(&chunked("/Users", &padded(USER, 2_001)), 413, "more than 2000 bytes");
    assert_eq!(server.state(), before);
    assert_eq!(chunked("/Users", &padded(USER, 2_000)).status, 201);
    // A group of many members may be larger than a user.
    assert_eq!(chunked("/Groups", &padded(GROUP, 4_000)).status, 201);
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let server = Server::start("limits-broken", SMALL);
    let to = server.connect("Acme", "Okta");
    let before = server.state();
    let head = format!(
        "POST {}/Users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"use\r\nno chunk\r\n",
        to.base, to.token
    );
    assert_refused(&server.send(head.as_bytes()), 400, "broke off before its end");
    assert_eq!(server.state(), before);
}

#[test]
fn bodies_of_the_api_have_a_limit_too() {
    let server = Server::start("limits-api", SMALL);
    let before = server.state();
    let reply = server.api("POST", "/api/v1/organizations", &padded(r#"{"name":"A""#, 1_001));
    assert_eq!(
        (reply.status, reply.json()["title"].as_str()),
        (413, Some("The request is too large"))
    );
    let deep = format!("{}1{}", r#"{"name":"#.repeat(1_000), "}".repeat(1_000));
    assert_eq!(server.api("POST", "/api/v1/organizations", &deep.as_bytes()[..999]).status, 400);
    assert_eq!(server.api("POST", "/api/v1/organizations", b"{\"name\":\"\xff\"}").status, 400);
    assert_eq!(
        server.api("POST", "/api/v1/organizations", b"{\"name\":\"A\",\"name\":\"B\"}").status,
        400
    );
    assert_eq!(server.state(), before);
}

/// A list is not read as the members of an object in their order, at the top of a body or within.
#[test]
fn where_an_object_is_meant_a_list_is_refused() {
    let server = Server::start("limits-lists", Limits::default());
    let to = server.connect("Acme", "Okta");
    let directory = format!("/api/v1/directories/{}", to.directory);
    let schema = format!("{directory}/schemas/urn:example:x:Y");
    let before = server.state();
    for (method, path, body) in [
        ("PATCH", directory.as_str(), r#"["Okta",null]"#),
        ("PATCH", &directory, r#"{"settings":["strict"]}"#),
        ("PATCH", &directory, r#"{"settings":[null,null]}"#),
        ("PUT", &schema, r#"{"resource_type":"User","schema":["urn:example:x:Y","Y","",[]]}"#),
    ] {
        assert_eq!(server.api(method, path, body.as_bytes()).status, 400, "{body}");
    }
    assert_eq!(server.state(), before);
}

/// Proves S-HTTP-23.
#[test]
fn what_is_too_deep_or_no_text_is_refused() {
    let server = Server::start("limits-text", Limits::default());
    let to = server.connect("Acme", "Okta");
    let nested = |open: &str, close: &str| {
        [USER, r#","x":"#, &open.repeat(1_000), "1", &close.repeat(1_000), "}"]
            .concat()
            .into_bytes()
    };
    let text = |inside: &[u8]| [br#"{"userName":""#, inside, br#""}"#].concat();
    let created = scim(&server, &to, "POST", "/Users", format!("{USER}}}").as_bytes()).json();
    let somebody = format!("/Users/{}", created["id"].as_str().expect("an id"));
    let before = server.state();
    let check = |method: &str, path: &str, body: &[u8], detail: &str| {
        let reply = scim(&server, &to, method, path, body);
        assert_refused(&reply, 400, detail);
        assert_eq!(reply.json()["scimType"], "invalidSyntax", "{reply:?}");
        assert_eq!(server.state(), before);
    };
    let paths = ["/Users", &somebody, "/Groups"];
    for (method, path) in
        [("POST", paths[0]), ("PUT", paths[1]), ("PATCH", paths[1]), ("POST", paths[2])]
    {
        check(method, path, &nested("[", "]"), "nested more than 32 deep");
        check(method, path, &nested(r#"{"a":"#, "}"), "nested more than 32 deep");
        check(method, path, &b"[".repeat(100_000), "nested more than 32 deep");
        // Neither Latin 1, nor half a surrogate pair, nor an overlong encoding.
        check(method, path, &text(b"\xe9"), "not valid JSON");
        check(method, path, &text(b"\xed\xa0\x80"), "not valid JSON");
        check(method, path, &text(b"\xc0\xaf"), "not valid JSON");
        check(method, path, &text(br"\ud83d"), "hex escape");
        check(method, path, &text(br"\u0000"), "U+0000");
        check(method, path, &text(b"\0"), "not valid JSON");
        check(method, path, &text(&b"y".repeat(256 * 1024 + 1)), "longer than");
        check(method, path, b"\xff\xfe{\0}\0", "not valid JSON");
        check(method, path, b" \r\n\t ", "no body");
        check(method, path, b"{", "the body ends too early");
        check(method, path, br#"{"userName":"ana",}"#, "trailing comma");
    }
}

/// Proves S-HTTP-24.
#[test]
fn filters_and_paths_have_limits() {
    let server = Server::start("limits-filters", Limits::default());
    let to = server.connect("Acme", "Okta");
    let check = |filter: &str, detail: &str| {
        let reply = scim(&server, &to, "GET", &format!("/Users?filter={filter}"), b"");
        assert_refused(&reply, 400, detail);
        assert_eq!(reply.json()["scimType"], "invalidFilter", "{reply:?}");
    };
    let depth = 33;
    check(&format!("{}active%20pr{}", "(".repeat(depth), ")".repeat(depth)), "deep");
    check(&vec!["active%20pr"; 201].join("%20and%20"), "more than 200");
    check(&format!("userName%20eq%20%22{}%22", "y".repeat(9_000)), "8192");
}

/// Proves S-HTTP-24.
#[test]
fn values_and_operations_are_counted() {
    let server = Server::start("limits-counts", Limits::default());
    let to = server.connect("Acme", "Okta");
    let emails = |count: usize| {
        let emails: Vec<_> =
            (0..count).map(|it| format!(r#"{{"value":"{it}@example.com"}}"#)).collect();
        format!(r#"{USER},"emails":[{}]}}"#, emails.join(","))
    };
    let reply = scim(&server, &to, "POST", "/Users", emails(1_001).as_bytes());
    assert_refused(&reply, 400, "1000");
    let made = scim(&server, &to, "POST", "/Users", emails(1_000).as_bytes());
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/Users/{}", text(&made.json(), "id"));
    let patch = |count: usize| {
        let operation = r#"{"op":"add","path":"title","value":"x"}"#;
        let operations = vec![operation; count].join(",");
        let schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
        format!(r#"{{"schemas":["{schema}"],"Operations":[{operations}]}}"#)
    };
    let before = server.state();
    let reply = scim(&server, &to, "PATCH", &path, patch(2_001).as_bytes());
    assert_refused(&reply, reply.status, "2000");
    assert!(matches!(reply.status, 400 | 413), "{reply:?}");
    assert_eq!(server.state(), before);
    let reply = scim(&server, &to, "PATCH", &path, patch(2_000).as_bytes());
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn errors_do_not_grow_with_what_was_sent() {
    let server = Server::start("limits-echo", Limits::default());
    let to = server.connect("Acme", "Okta");
    let strict = server.api(
        "POST",
        &format!("/api/v1/organizations/{}/directories", organization(&server, &to)),
        br#"{"name":"Strict","provider":"custom","settings":{"unknown_members":"refuse"}}"#,
    );
    let directory = text(&strict.json(), "id");
    let token = server.api("POST", &format!("/api/v1/directories/{directory}/tokens"), b"{}");
    let base = format!("/scim/v2/{directory}");
    let strict = Connection { base, token: text(&token.json(), "token"), directory };
    let long = "y".repeat(50_000);
    let body = format!(r#"{{"displayName":"A","members":[{{"value":"{long}"}}]}}"#);
    let reply = scim(&server, &strict, "POST", "/Groups", body.as_bytes());
    assert_refused(&reply, 400, "are neither users nor groups");
    assert!(reply.body.len() < 1_000, "{reply:?}");
    for path in ["/Users/", "/Groups/", "/Schemas/", "/ResourceTypes/", "/"] {
        let reply = scim(&server, &to, "GET", &format!("{path}{}", &long[..8_000]), b"");
        assert_eq!(reply.status, 404);
        assert!(reply.body.len() < 1_000, "{reply:?}");
    }
    for path in ["/", "/api/v1/", "/api/v1/organizations?limit=", "/api/v1/organizations?after="] {
        let reply = server.api("GET", &format!("{path}{}", &long[..8_000]), b"");
        assert!(matches!(reply.status, 400 | 404));
        assert!(reply.body.len() < 1_000, "{reply:?}");
    }
}

fn organization(server: &Server, to: &Connection) -> String {
    let path = format!("/api/v1/directories/{}", to.directory);
    text(&server.api("GET", &path, b"").json(), "organization_id")
}

#[test]
fn bytes_that_are_no_request_are_survived() {
    let server = Server::start("limits-noise", Limits::default());
    let to = server.connect("Acme", "Okta");
    let before = server.state();
    let credential = format!("Authorization: Bearer {}\r\n", to.token);
    let check = |request: &str, expected: u16| {
        let bytes = format!("{request}\r\nHost: a\r\n{credential}Connection: close\r\n\r\n");
        assert_eq!(server.send(bytes.as_bytes()).status, expected, "{request}");
    };
    check("GET /scim/v2/Users HTTP/1.0", 200);
    check("GET http://elsewhere.example/scim/v2/Users HTTP/1.1", 200);
    check("OPTIONS * HTTP/1.1", 404);
    check("GET /scim/v2/%2e%2e/api/v1/organizations HTTP/1.1", 404);
    check("GET /scim/v2/../../api/v1/organizations HTTP/1.1", 404);
    check("GET /scim/v2/%2FUsers HTTP/1.1", 404);
    check("GET /scim/v2/Users?filter=%FF%FE HTTP/1.1", 400);
    check("GET /scim/v2/Users?% HTTP/1.1", 200);
    check("GET //scim/v2/Users HTTP/1.1", 404);
    check("CONNECT roster.example:443 HTTP/1.1", 404);
    check("TRACE /scim/v2/Users HTTP/1.1", 405);
    check("GET scim HTTP/1.1", 404);
    // What is no HTTP is explained too, though the HTTP library answers it by itself.
    let check = |request: &[u8], status: u16, detail: &str| {
        assert_refused(&server.send(request), status, detail);
    };
    let filter = b"GET /scim/v2/Users?filter=userName%20eq%20\"ana\" HTTP/1.1\r\nHost: a\r\n\r\n";
    check(filter, 400, "is written `%22`");
    check(b"GET /scim/v2/Users HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, "is no HTTP");
    check(b"what is this?\r\n\r\n", 400, "is no HTTP");
    let length = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n";
    check(length, 431, "names a length that no body has");
    let headers = "X: y\r\n".repeat(200);
    check(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes(), 431, "too large");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(70_000));
    check(long.as_bytes(), 414, "too long");
    // Also behind a request that was one, on the same connection.
    let mut both =
        format!("GET /scim/v2/Users HTTP/1.1\r\nHost: a\r\n{credential}\r\n").into_bytes();
    both.extend_from_slice(filter);
    let reply = server.send(&both);
    assert_eq!(reply.status, 200);
    let rest = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(rest.contains("HTTP/1.1 400 Bad Request\r\n") && rest.contains("is written"), "{rest}");
    // A header that is no text is not a credential.
    let bytes = b"GET /scim/v2/Users HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer \xff\r\n\r\n";
    assert_refused(&server.send(bytes), 401, "cannot be read");
    assert_eq!(server.state(), before);
}

/// Entra wants 25 requests a second, and sends them in bursts.
///
/// Proves S-ENTRA-6.
#[test]
fn the_limit_that_nobody_has_set_is_more_than_entra_needs() {
    let rate = Limits::default().rate.expect("there is a limit");
    assert!(rate.per_second.get() >= 25, "{rate:?}");
    let server = Server::start("limits-entra", Limits::default());
    let entra = server.connect("Acme", "Entra");
    // Eight seconds' worth at once.
    for _ in 0..200 {
        assert_eq!(scim(&server, &entra, "GET", "/Users?count=0", b"").status, 200);
    }
}

/// Proves S-OKTA-9, S-ERROR-16, S-SEC-7.
#[test]
fn who_asks_too_often_is_told_when_to_ask_again() {
    let one = NonZeroU32::new(1).expect("it is not zero");
    let five = NonZeroU32::new(5).expect("it is not zero");
    let rate = Some(Rate { per_second: one, burst: five });
    let server = Server::start("limits-rate", Limits { rate, ..Limits::default() });
    let first = server.connect("Acme", "Okta");
    let second = server.connect("Globex", "Okta");
    let before = server.state();
    // However slow this machine is: the burst is used up long before a second is over for each.
    let body = format!("{USER}}}");
    let mut refused = None;
    for _ in 0..1_000 {
        let reply = scim(&server, &first, "GET", "/Users?count=0", b"");
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_refused(&refused, 429, "too many requests for this directory");
    let seconds: u64 = refused.header("retry-after").and_then(|it| it.parse().ok()).unwrap_or(0);
    assert!((1..=30).contains(&seconds), "{refused:?}");
    // The one directory's haste is not the other's, and not the vendor's.
    assert_eq!(scim(&server, &second, "GET", "/Users?count=0", b"").status, 200);
    assert_eq!(server.state(), before);
    // A token that opens nothing uses up nothing of the directory's.
    let stranger = Connection { token: "nonsense".to_owned(), ..server.connect("Initech", "Okta") };
    for _ in 0..20 {
        assert_eq!(scim(&server, &stranger, "POST", "/Users", body.as_bytes()).status, 401);
    }
}

/// Proves S-AUTH-17, S-PROBLEM-4.
#[test]
fn who_guesses_is_slowed_down_and_locks_nobody_out() {
    let server = Server::start("limits-guesses", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    let before = server.state();
    let guess = |path: &str, number: usize| {
        let authorization = format!("Bearer {number:0>64}");
        server.call("GET", path, &[("Authorization", &authorization)], b"")
    };
    let seconds = |reply: &Reply| {
        let seconds = reply.header("retry-after").and_then(|it| it.parse::<u64>().ok());
        assert!(seconds.is_some_and(|it| (1..=30).contains(&it)), "{reply:?}");
    };
    // Some are told what is wrong. However slow this machine is: more come than are forgotten.
    let path = format!("{}/Users", to.base);
    let mut replies = (0..2_000).map(|number| guess(&path, number));
    assert!(replies.by_ref().take(20).all(|reply| reply.status == 401));
    let refused = replies.find(|reply| reply.status != 401).expect("a limit");
    assert_refused(&refused, 429, "too many tokens that are not good");
    seconds(&refused);
    // From the same place, as behind a proxy: who may is served, and so is the vendor.
    assert_eq!(scim(&server, &to, "GET", "/Users", b"").status, 200);
    assert_eq!(server.state(), before);
    // Keys of the management API are guessed no faster.
    let mut replies = (0..2_000).map(|number| guess("/api/v1/events", number));
    let refused = replies.find(|reply| reply.status != 401).expect("a limit");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.json()["type"], "urn:roster:problem:too-many-guesses");
    seconds(&refused);
    assert_eq!(server.state(), before);
}
