//! Conditions that meet: of those who change the same version at the same time, one does.

use serde_json::json;
use web::Limits;

use crate::server::{Connection, Reply, Server, text};

fn scim(
    server: &Server,
    to: &Connection,
    request: (&str, &str),
    condition: Option<(&str, &str)>,
    body: &[u8],
) -> Reply {
    let path = format!("{}{}", to.base, request.1);
    let authorization = format!("Bearer {}", to.token);
    let mut headers = vec![("Authorization", authorization.as_str())];
    headers.extend(condition);
    server.call(request.0, &path, &headers, body)
}

#[test]
fn of_many_changes_of_one_version_exactly_one_is_made() {
    const RACERS: usize = 24;
    let server = Server::start("conditions-race", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    let body = json!({ "userName": "ana" }).to_string();
    let ana = scim(&server, &to, ("POST", "/Users"), None, body.as_bytes());
    let path = format!("/Users/{}", text(&ana.json(), "id"));
    let mut tag = ana.header("etag").expect("a tag").to_owned();
    for round in 0..4 {
        let statuses: Vec<_> = std::thread::scope(|scope| {
            let race = |racer: usize| {
                let (server, to, path, tag) = (&server, &to, &path, &tag);
                scope.spawn(move || {
                    let value = format!("{round}-{racer}");
                    let body = json!({
                        "Operations": [{ "op": "replace", "path": "title", "value": value }],
                    });
                    let condition = Some(("If-Match", tag.as_str()));
                    let body = body.to_string();
                    scim(server, to, ("PATCH", path), condition, body.as_bytes())
                })
            };
            let racing: Vec<_> = (0..RACERS).map(race).collect();
            racing.into_iter().map(|it| it.join().expect("an answer").status).collect()
        });
        let won = statuses.iter().filter(|status| **status == 200).count();
        let lost = statuses.iter().filter(|status| **status == 412).count();
        assert_eq!((won, lost), (1, RACERS - 1), "{statuses:?}");
        let read = scim(&server, &to, ("GET", &path), None, b"");
        assert_ne!(read.header("etag"), Some(tag.as_str()));
        read.header("etag").expect("a tag").clone_into(&mut tag);
    }
    assert_eq!(tag, "W/\"5\"", "four changes and no more");
}

/// Proves S-ETAG-4, S-ETAG-6.
#[test]
fn tags_are_compared_however_they_are_written() {
    let server = Server::start("conditions-tags", Limits::default());
    let to = server.connect("Acme", "Okta");
    let mut paths = Vec::new();
    for (endpoint, body) in
        [("/Users", json!({ "userName": "ana" })), ("/Groups", json!({ "displayName": "Guides" }))]
    {
        let made = scim(&server, &to, ("POST", endpoint), None, body.to_string().as_bytes());
        paths.push(format!("{endpoint}/{}", text(&made.json(), "id")));
    }
    // Changes nothing, so that the version stays 1.
    let body = br#"{"Operations":[]}"#;
    let check = |header: &str, value: &str, expected: &[u16]| {
        for path in &paths {
            let condition = Some((header, value));
            let got = [
                scim(&server, &to, ("GET", path), condition, b"").status,
                scim(&server, &to, ("PATCH", path), condition, body).status,
            ];
            let ok = if path.starts_with("/Users") { 200 } else { 204 };
            let expected = [expected[0], if expected[1] == 200 { ok } else { expected[1] }];
            assert_eq!(got, expected, "{header}: {value} {path}");
        }
    };
    for matching in
        ["W/\"1\"", "\"1\"", "1", "W/1", "w/\"1\"", "*", "\"9\", W/\"1\"", "x,1", " W/\"1\" "]
    {
        check("If-Match", matching, &[200, 200]);
        check("If-None-Match", matching, &[304, 412]);
    }
    for other in ["W/\"2\"", "\"01\"", "+1", "\"W/1\"", "\"*\"", "\"\"", "1\u{e9}", "11"] {
        check("If-Match", other, &[412, 412]);
        check("If-None-Match", other, &[200, 200]);
    }
}
