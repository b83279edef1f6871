//! Two who edit the same thing in the management API: `ETag`, `If-Match` and `If-None-Match`.

use serde_json::{Value, json};
use web::Limits;

use crate::openapi::operations;
use crate::server::{Reply, Server, text};

struct Edited {
    path: String,
    method: &'static str,
    /// Two edits, of which each changes something.
    edits: [Value; 2],
}

fn send(
    server: &Server,
    method: &str,
    path: &str,
    tag: Option<(&str, &str)>,
    body: &Value,
) -> Reply {
    let authorization = format!("Bearer {}", server.key);
    let mut headers = vec![("Authorization", authorization.as_str())];
    headers.extend(tag);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.call(method, &format!("/api/v1{path}"), &headers, body.as_bytes())
}

fn tag(reply: &Reply) -> String {
    let tag = reply.header("etag").unwrap_or_else(|| panic!("it has no tag: {reply:?}"));
    assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
    tag.to_owned()
}

impl Edited {
    /// What guards an organization goes with it, and who gets which role with the directory, and
    /// neither by itself.
    fn is_deleted(&self) -> bool {
        !["/safety", "/role-mapping"].iter().any(|end| self.path.ends_with(end))
    }
}

/// Of everything that can be edited, one.
fn furnish(server: &Server) -> Vec<Edited> {
    let made = |path: &str, body: Value| {
        let reply = send(server, "POST", path, None, &body);
        assert_eq!(reply.status, 201, "{reply:?}");
        tag(&reply);
        text(&reply.json(), "id")
    };
    let organization = made("/organizations", json!({ "name": "Acme" }));
    let organization = format!("/organizations/{organization}");
    let new = json!({ "name": "Okta", "provider": "okta" });
    let directory = made(&format!("{organization}/directories"), new);
    let directory = format!("/directories/{directory}");
    let webhook = made("/webhooks", json!({ "url": "https://app.example/hooks" }));
    let urn = "urn:example:acme:Badge";
    let schema = |names: &[&str]| {
        let attributes: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({
            "resource_type": "User",
            "schema": { "id": urn, "name": "Badge", "attributes": attributes },
        })
    };
    let entry = |name: &str| json!({ "name": name });
    let edited = |method, path: String, one: Value, other: Value| {
        if method == "PUT" {
            assert!(send(server, "PUT", &path, None, &one).status < 300);
        }
        Edited { path, method, edits: [other, one] }
    };
    let conditions = |filters: &[&str]| {
        let rule = |filter| json!({ "filter": filter, "role": "admin" });
        json!({ "rules": filters.iter().map(rule).collect::<Vec<_>>() })
    };
    vec![
        edited("PUT", "/roles/admin".to_owned(), entry("Admin"), entry("Administrator")),
        edited("PUT", "/entitlements/all".to_owned(), entry("All"), entry("Everything")),
        edited(
            "PUT",
            format!("{directory}/schemas/{urn}"),
            schema(&["floor"]),
            schema(&["floor", "room"]),
        ),
        edited(
            "PUT",
            format!("{directory}/role-mapping"),
            conditions(&["title pr"]),
            conditions(&["title pr", "userType pr"]),
        ),
        edited(
            "PATCH",
            format!("/webhooks/{webhook}"),
            json!({ "event_types": ["directory.user.*"] }),
            json!({ "enabled": false }),
        ),
        edited(
            "PATCH",
            format!("{organization}/safety"),
            json!({ "seats": { "limit": 5 } }),
            json!({ "domains": { "allowed": ["acme.example"] } }),
        ),
        edited("PATCH", directory, json!({ "paused": true }), json!({ "name": "Okta EU" })),
        edited(
            "PATCH",
            organization,
            json!({ "metadata": { "plan": "gold" } }),
            json!({ "directory_sync": false }),
        ),
    ]
}

/// Who decides about a hold as it was before somebody else did, is told so.
#[test]
fn of_two_decisions_about_the_same_state_the_second_is_told_of_the_first() {
    let server = Server::start("decisions", Limits::default());
    let made = |path: &str, body: Value| {
        let reply = send(&server, "POST", path, None, &body);
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()
    };
    let organization = text(&made("/organizations", json!({ "name": "Acme" })), "id");
    let new = json!({ "name": "Okta", "provider": "okta", "shadow": true });
    let directory = made(&format!("/organizations/{organization}/directories"), new);
    let (id, hold) = (text(&directory, "id"), text(&directory["hold"], "id"));
    let hold = format!("/directories/{id}/holds/{hold}");
    let seen = tag(&send(&server, "GET", &hold, None, &Value::Null));
    let decide = |verdict: &str, seen: &str| {
        let path = format!("{hold}/{verdict}");
        send(&server, "POST", &path, Some(("If-Match", seen)), &Value::Null)
    };
    for verdict in ["approve", "reject"] {
        assert_eq!(decide(verdict, "W/\"x\"").status, 412, "{verdict}");
    }
    let approved = decide("approve", &seen);
    assert_eq!(approved.status, 200, "{approved:?}");
    assert_eq!(decide("approve", &seen).status, 412);
    // Who has seen it says it once more, and that changes nothing.
    let again = decide("approve", &tag(&approved));
    assert_eq!((again.status, again.json()), (200, approved.json()));
}

/// Proves S-PROBLEM-3.
#[test]
fn of_two_edits_of_the_same_state_the_second_is_told_of_the_first() {
    let server = Server::start("edits", Limits::default());
    let all = furnish(&server);
    let mut guarded = 0;
    for (method, path, operation) in operations() {
        let parameters = operation["parameters"].to_string();
        let is_edit = matches!(method.as_str(), "PUT" | "PATCH");
        // What is decided about, as a hold, is no edit: see below.
        guarded += usize::from(parameters.contains("/IfMatch") && method != "POST");
        // Whatever is edited, or deleted and can be edited, is guarded.
        assert!(!is_edit || parameters.contains("/IfMatch"), "{method} {path}");
        assert_eq!(operation["responses"].get("412").is_some(), parameters.contains("/IfMatch"));
    }
    let deleted = all.iter().filter(|it| it.is_deleted()).count();
    assert_eq!(guarded, all.len() + deleted, "each has an edit and a deletion");

    for edited in &all {
        let Edited { path, method, edits: [first, second] } = edited;
        let read = || send(&server, "GET", path, None, &Value::Null);
        let seen = tag(&read());
        // Nothing that happens beside it is an edit of it.
        server.pass(60);
        assert_eq!(tag(&read()), seen, "{path}");

        let one = send(&server, method, path, Some(("If-Match", &seen)), first);
        assert_eq!(one.status, 200, "{one:?}");
        let after = tag(&one);
        assert_ne!(after, seen, "{path}");
        assert_eq!(tag(&read()), after, "{path}");
        let there = read().json();
        // The other has seen what was there before.
        for value in [seen.as_str(), "\"\"", "W/\"x\"", "nonsense", ""] {
            let deletion = edited.is_deleted().then_some(("DELETE", &Value::Null));
            for (method, body) in [(*method, second)].into_iter().chain(deletion) {
                let other = send(&server, method, path, Some(("If-Match", value)), body);
                assert_eq!(other.status, 412, "{value}: {other:?}");
                let kind = text(&other.json(), "type");
                assert_eq!(kind, "urn:roster:problem:edited-meanwhile");
            }
        }
        assert_eq!(read().json(), there, "nothing was changed");
        for unlike in ["*", after.as_str()] {
            let refused = send(&server, method, path, Some(("If-None-Match", unlike)), second);
            assert_eq!(refused.status, 412, "{refused:?}");
        }
        // Whoever has read it again is heard; also as a strong tag, and among others.
        let strong = after.trim_start_matches("W/");
        let among = format!("\"x\", {strong}");
        let two = send(&server, method, path, Some(("If-Match", &among)), second);
        assert_eq!(two.status, 200, "{two:?}");
        assert_ne!(tag(&two), after);
        // 428 is asked of nobody: without a condition, the last one holds.
        assert_eq!(send(&server, method, path, None, first).status, 200);
        if *method == "PUT" {
            assert_eq!(tag(&read()), after, "the same state has the same tag: {path}");
        }
        let star = send(&server, method, path, Some(("If-Match", "*")), second);
        assert_eq!(star.status, 200, "{star:?}");
    }

    // What is not there is 404, whatever is asked of it; and is made only where nothing is there.
    let nobody = "/organizations/org-01kc2x4n0s00000000000000zz";
    let reply = send(&server, "PATCH", nobody, Some(("If-Match", "*")), &json!({ "name": "x" }));
    assert_eq!(reply.status, 404);
    let entry = json!({ "name": "Editor" });
    let make = |tag| send(&server, "PUT", "/roles/editor", Some(tag), &entry).status;
    assert_eq!(make(("If-Match", "*")), 412);
    assert_eq!(make(("If-None-Match", "*")), 200);
    assert_eq!(make(("If-None-Match", "*")), 412);

    // A tag that is current is good for a deletion, too; the last two need each other gone.
    for Edited { path, .. } in all.iter().filter(|it| it.is_deleted()) {
        let current = tag(&send(&server, "GET", path, None, &Value::Null));
        let gone = send(&server, "DELETE", path, Some(("If-Match", &current)), &Value::Null);
        assert_eq!(gone.status, 204, "{path}: {gone:?}");
    }
}
