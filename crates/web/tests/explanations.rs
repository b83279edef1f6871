//! Where a provider deviates from the RFCs, it can be seen: in the counts of its directory, and in
//! the log, which explains each request and names nobody.

#[expect(dead_code, reason = "nothing breaks down here")]
mod server;

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use server::{Connection, Reply, Server, text};
use web::Limits;

/// The ids of requests are counted in each server, and there is one log for all of a process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Sends a request to a directory.
fn send(server: &Server, to: &Connection, method: &str, path: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.call(method, &format!("{}{path}", to.base), &headers, body.as_bytes())
}

/// The names of a directory's quirks and how often they were straightened, by name.
fn counts(server: &Server, directory: &str) -> Vec<(String, u64)> {
    let reply = server.api("GET", &format!("/api/v1/directories/{directory}/quirks"), b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = reply.json();
    let quirks = reply["data"].as_array().expect("a list").iter();
    let mut counts: Vec<_> = quirks
        .map(|it| (text(it, "name"), it["request_count"].as_u64().expect("a count")))
        .collect();
    counts.sort();
    counts
}

/// What one more request adds to the counts.
#[track_caller]
fn check(before: &[(String, u64)], after: &[(String, u64)], expected: &[&str], context: &Value) {
    let count_before =
        |name: &str| before.iter().find(|(it, _)| it == name).map_or(0, |(_, count)| *count);
    let more: Vec<_> = after
        .iter()
        .filter(|(name, count)| *count != count_before(name))
        .map(|(name, count)| (name.as_str(), count - count_before(name)))
        .collect();
    let mut expected: Vec<_> = expected.iter().map(|name| (*name, 1)).collect();
    expected.sort_unstable();
    assert_eq!(more, expected, "{context}");
}

#[test]
fn every_path_of_a_request_is_counted_and_so_is_what_is_refused() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut server = Server::start("quirks-counted", Limits::default());
    let entra = server.connect("Acme", "Entra");
    let other = server.connect("Acme", "Other");
    let user = "urn:ietf:params:scim:schemas:core:2.0:User";
    let group = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let patch = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
    let ana = json!({ "schemas": [user], "userName": "ana@acme.example" });
    let ana = text(&send(&server, &entra, "POST", "/Users", &ana).json(), "id");
    let team = json!({ "schemas": [group], "displayName": "Design" });
    let team = text(&send(&server, &entra, "POST", "/Groups", &team).json(), "id");
    let (user_path, group_path) = (format!("/Users/{ana}"), format!("/Groups/{team}"));
    let operations = |operation: Value| json!({ "schemas": [patch], "Operations": [operation] });
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "PATCH", "path": user_path,
              "data": { "schemas": [patch], "Operations": [{ "op": "Replace", "path": "title", "value": "" }] } },
            { "method": "POST", "path": "/Users", "bulkId": "1", "data": { "userName": "ben" } },
        ],
    });
    let steps: Vec<(&str, String, Value, u16, &[&str])> = vec![
        // As the RFCs want it.
        ("GET", "/Users?filter=userName%20eq%20%22ana%22".to_owned(), Value::Null, 200, &[]),
        // A filter, and the end of the address.
        (
            "GET",
            "/Users?filter=userName%20eq%20ana&".to_owned(),
            Value::Null,
            200,
            &["filter-quotes-missing", "query-unfinished"],
        ),
        (
            "GET",
            "/Users?filter=userName%20eq%20%22a%22&sortBy=department".to_owned(),
            Value::Null,
            200,
            &["extension-urn-missing"],
        ),
        // A body.
        (
            "PUT",
            user_path.clone(),
            json!({ "userName": "ana@acme.example", "active": "True" }),
            200,
            &["schemas-missing", "boolean-text"],
        ),
        // A PATCH, before and after it has met the user.
        (
            "PATCH",
            user_path.clone(),
            operations(
                json!({ "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a@x" }),
            ),
            200,
            &["operation-case", "replace-without-match"],
        ),
        (
            "PATCH",
            group_path.clone(),
            operations(
                json!({ "op": "add", "path": "members", "value": [{ "value": "7" }, { "value": ana }] }),
            ),
            204,
            &["members-unknown"],
        ),
        (
            "PUT",
            group_path.clone(),
            json!({ "schemas": [group], "displayName": "Design" }),
            200,
            &["members-missing"],
        ),
        // What is refused, in the end, by the reader, by the directory, and by nobody being there.
        (
            "PATCH",
            user_path.clone(),
            operations(json!({ "op": "Remove", "path": "emails", "value": [] })),
            400,
            &["operation-case", "remove-with-value"],
        ),
        (
            "POST",
            "/Users".to_owned(),
            json!({ "userName": "ANA@acme.example" }),
            409,
            &["schemas-missing"],
        ),
        (
            "PATCH",
            "/Users/019b8d4a-0000-7000-8000-00000000dead".to_owned(),
            operations(json!({ "op": "Replace", "path": "active", "value": "False" })),
            404,
            &["operation-case", "boolean-text"],
        ),
        // A search, and the operations of a bulk request.
        (
            "POST",
            "/.search".to_owned(),
            json!({ "filter": "userName eq 'ana'" }),
            200,
            &["filter-quotes-single", "schemas-missing"],
        ),
        (
            "POST",
            "/Bulk".to_owned(),
            bulk,
            200,
            &["operation-case", "empty-text", "schemas-missing"],
        ),
    ];
    let mut before = counts(&server, &entra.directory);
    assert_eq!(before, []);
    for (method, path, body, status, expected) in steps {
        let state = server.state();
        server.pass(60);
        let reply = send(&server, &entra, method, &path, &body);
        assert_eq!(reply.status, status, "{method} {path} {reply:?}");
        assert!(status < 400 || server.state() == state, "{method} {path} {reply:?}");
        let after = counts(&server, &entra.directory);
        check(&before, &after, expected, &json!([method, path, body]));
        before = after;
    }
    assert_eq!(counts(&server, &other.directory), []);
    let quirks = format!("/api/v1/directories/{}/quirks", entra.directory);
    let quirks = server.api("GET", &quirks, b"").json();
    let case = quirks["data"]
        .as_array()
        .and_then(|it| it.iter().find(|it| it["name"] == "operation-case"));
    let expected = json!({
        "name": "operation-case",
        "explanation": "sent `Add` instead of `add`",
        "request_count": 4,
        "first_seen_at": "2026-01-05T09:05:00.000Z",
        "last_seen_at": "2026-01-05T09:12:00.000Z",
    });
    assert_eq!(case, Some(&expected), "{quirks}");
    server.restart();
    assert_eq!(counts(&server, &entra.directory), before);
}

/// What is written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while holding it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The line that tells how a request was answered.
    fn answered(&self, request_id: &str) -> Value {
        let log = self.0.lock().expect("nobody panics while holding it").clone();
        let log = String::from_utf8(log).expect("text");
        let lines = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
        let told: Vec<Value> = lines
            .filter(|it: &Value| {
                it["fields"]["request_id"] == request_id && !it["fields"]["duration_us"].is_null()
            })
            .collect();
        let [told] = told.as_slice() else { panic!("{} lines about {request_id}", told.len()) };
        told["fields"].clone()
    }
}

#[test]
fn the_log_explains_each_request_and_names_nobody() {
    let _turn = ONE_AT_A_TIME.lock();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("nobody else has set one");
    let server = Server::start("quirks-log", Limits::default());
    let okta = server.connect("Acme", "Okta");
    let body =
        json!({ "userName": "ana@acme.example", "shoeSize": "secret-43", "active": "False" });
    let created = send(&server, &okta, "POST", "/Users", &body);
    assert_eq!(created.status, 201, "{created:?}");
    let ana = text(&created.json(), "id");
    let operations = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "Replace", "path": "active", "value": "secret-7" }],
    });
    let refused = send(&server, &okta, "PATCH", &format!("/Users/{ana}"), &operations);
    assert_eq!(refused.status, 400, "{refused:?}");
    let found = send(&server, &okta, "GET", "/Users?filter=userName%20eq%20secret-9", &Value::Null);
    assert_eq!(found.status, 200, "{found:?}");
    let stranger = server.call("GET", &format!("{}/Groups", okta.base), &[], b"");
    assert_eq!(stranger.status, 401, "{stranger:?}");

    let roles = send(&server, &okta, "GET", "/Roles?xfilter=1", &Value::Null);
    assert_eq!(roles.status, 200, "{roles:?}");

    for (reply, directory, straightened, explanation) in [
        (
            &created,
            Some(okta.directory.as_str()),
            Some("unknown-attribute boolean-text schemas-missing"),
            "The provider tried to create a user. It sent an attribute that no schema has; it was \
             taken and is no part of the resource. It sent `\"True\"` or `\"False\"` in quotes, instead of a boolean. It left \
             out `schemas`.",
        ),
        (
            &refused,
            Some(okta.directory.as_str()),
            Some("operation-case"),
            "The provider tried to change parts of a user. It sent `Add` instead of `add`.",
        ),
        (
            &found,
            Some(okta.directory.as_str()),
            Some("filter-quotes-missing"),
            "The provider tried to find a user. It sent a filter with text that is not in quotes.",
        ),
        (
            &roles,
            Some(okta.directory.as_str()),
            None,
            "The provider tried to learn which roles the app has.",
        ),
        (&stranger, None, None, "The provider tried to read the list of groups."),
    ] {
        let told = log.answered(reply.header("x-request-id").expect("an id"));
        assert_eq!(told["directory_id"].as_str(), directory, "{told}");
        assert_eq!(told["status"], reply.status, "{told}");
        assert_eq!(told["straightened"].as_str(), straightened, "{told}");
        assert_eq!(told["explanation"], explanation, "{told}");
    }
    let log = String::from_utf8(log.0.lock().expect("it is free").clone()).expect("text");
    for private in ["ana@acme.example", "shoeSize", "secret-", &okta.token] {
        assert!(!log.contains(private), "{private} stands in the log");
    }
}
