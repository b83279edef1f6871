//! The dashboard's own pages: events, webhooks, API keys, the audit log, and what members may do.

use serde_json::json;

use crate::dashboard::{Scene, element};
use crate::portal::shown;
use crate::server::{Connection, Reply, text};

/// What stands behind the first of these in a page, up to a quotation mark.
fn address<'p>(page: &'p str, beginning: &str) -> &'p str {
    let at = page.find(beginning).unwrap_or_else(|| panic!("no `{beginning}` in {page}"));
    page[at..].split(['"', '?', '#']).next().expect("it begins so")
}

fn scim(scene: &Scene, of: &Connection, method: &str, path: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {}", of.token);
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/scim+json")];
    scene.server.call(method, &format!("{}{path}", of.base), &headers, body.as_bytes())
}

#[test]
fn events_are_found_and_one_says_what_has_changed_and_why() {
    let scene = Scene::begin("desk-events");
    let ana = scene.first();
    let (_, page) = shown(&ana.get(&scene, "/dashboard/events"));
    assert!(page.contains("Events"), "{page}");

    let okta = scene.server.connect("Acme", "Okta");
    let user = json!({ "userName": "ana@acme.example", "active": true }).to_string();
    let made = scim(&scene, &okta, "POST", "/Users", &user).json();
    let path = format!("/Users/{}", text(&made, "id"));
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "value": { "active": false } }],
    });
    let reply = scim(&scene, &okta, "PATCH", &path, &patch.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");

    let asked = format!("/dashboard/events?directory={}&type=directory.user.*", okta.directory);
    let (status, page) = shown(&ana.get(&scene, &asked));
    assert_eq!(status, 200, "{page}");
    let created = page.find("directory.user.created</code></a>").expect("the older");
    let deactivated = page.find("directory.user.deactivated</code></a>").expect("the newer");
    assert!(deactivated < created, "the latest is first: {page}");
    assert!(!page.contains("directory.token.created</code></a>"), "{page}");
    assert!(page.contains("ana@acme.example"), "{page}");

    // The cursor leads to what happens from now on.
    let cursor = element(&page, "cursor");
    let rest = format!("/api/v1/events?directory_id={}&after={cursor}", okta.directory);
    let rest = scene.server.api("GET", &rest, b"").json();
    assert_eq!(rest["data"].as_array().map(Vec::len), Some(0), "{rest}");

    let (status, one) = shown(&ana.get(&scene, address(&page, "/dashboard/events/")));
    assert_eq!(status, 200, "{one}");
    assert!(one.contains("<del>true</del>") && one.contains("<ins>false</ins>"), "{one}");
    assert!(one.contains("A token of the provider"), "{one}");
    let request = reply.header("x-request-id").expect("its name");
    assert!(one.contains(&format!("/dashboard/requests?q={request}")), "{one}");

    for (query, said) in [
        ("organization=org-nothing", "no organization with this id"),
        ("directory=dir-01kc2x4n0s0000000000000001", "no directory with this id"),
        ("type=user.created", "No event is of this type"),
    ] {
        let (status, page) = shown(&ana.get(&scene, &format!("/dashboard/events?{query}")));
        assert_eq!(status, 200, "{page}");
        assert!(page.contains(said), "{query}: {page}");
    }
    for nothing in ["0", "1000000", "first"] {
        assert_eq!(shown(&ana.get(&scene, &format!("/dashboard/events/{nothing}"))).0, 404);
    }
    let (status, page) = shown(&ana.get(&scene, "/dashboard"));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("in the last hour"), "{page}");
}

#[test]
fn an_endpoint_is_made_changed_tested_and_deleted_by_those_who_may() {
    let scene = Scene::begin("desk-webhooks");
    let ana = scene.first();
    let support = ana.invite(&scene, "cy@vendor.example", "support");
    let path = "/dashboard/webhooks";
    let url = "https://app.example/hooks";
    for (fields, said) in [
        ([("url", "http://10.0.0.7/hooks"), ("types", "")], "cannot be used"),
        ([("url", url), ("types", "user.created")], "no event is of that type"),
    ] {
        let (status, page) = shown(&ana.post(&scene, path, &fields));
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(said), "{page}");
    }
    assert_eq!(shown(&support.post(&scene, path, &[("url", url)])).0, 403);
    let fields =
        [("url", url), ("types", "directory.user.*, directory.group.*"), ("ordered", "yes")];
    let (status, page) = shown(&ana.post(&scene, path, &fields));
    assert_eq!(status, 200, "{page}");
    let secret = element(&page, "secret").to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");

    let (_, list) = shown(&support.get(&scene, path));
    let own = address(&list, "/dashboard/webhooks/wh").to_owned();
    let (status, page) = shown(&support.get(&scene, &own));
    assert_eq!(status, 200, "{page}");
    assert!(!page.contains(&secret) && !page.contains("method=\"post\""), "{page}");
    let kept = scene.server.api("GET", "/api/v1/webhooks", b"").json();
    let kept = &kept["data"][0];
    assert_eq!(kept["event_types"], json!(["directory.user.*", "directory.group.*"]));
    assert_eq!(kept["ordered"], json!(true));

    // A test, which nobody brings in this scene.
    let reply = ana.post(&scene, &format!("{own}/test"), &[]);
    assert_eq!(reply.status, 303, "{reply:?}");
    let delivery = reply.header("location").expect("its page").to_owned();
    let (status, page) = shown(&ana.get(&scene, &delivery));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("webhook.test") && page.contains("On its way"), "{page}");
    let again = ana.post(&scene, &format!("{delivery}/replay"), &[]);
    assert_eq!(again.header("location"), Some(delivery.as_str()), "{again:?}");

    // A part of the feed is brought again, and says how far that is.
    scene.server.connect("Acme", "Okta");
    let range = [("what", "range"), ("since", "2026-01-01T00:00")];
    let reply = ana.post(&scene, &format!("{own}/replay"), &range);
    assert_eq!(reply.status, 303, "{reply:?}");
    let (_, page) = shown(&ana.get(&scene, &own));
    assert!(page.contains("Brought again now") && page.contains("<progress"), "{page}");
    let (status, page) =
        shown(&ana.post(&scene, &format!("{own}/replay"), &[("since", "yesterday")]));
    assert_eq!(status, 422, "{page}");

    let (_, page) = shown(&ana.post(&scene, &format!("{own}/secret"), &[("overlap", "day")]));
    assert_ne!(element(&page, "secret"), secret);
    assert_eq!(ana.post(&scene, &format!("{own}/switch"), &[("to", "off")]).status, 303);
    let (status, page) = shown(&ana.post(&scene, &format!("{own}/test"), &[]));
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("switched off"), "{page}");
    assert_eq!(ana.post(&scene, &format!("{own}/switch"), &[("to", "on")]).status, 303);
    for form in ["delete", "secret", "test", "replay", "switch"] {
        assert_eq!(shown(&support.post(&scene, &format!("{own}/{form}"), &[])).0, 403, "{form}");
    }
    assert_eq!(ana.post(&scene, &format!("{own}/delete"), &[]).status, 303);
    assert_eq!(shown(&ana.get(&scene, &own)).0, 404);
    assert_eq!(shown(&ana.post(&scene, &format!("{own}/delete"), &[])).0, 404);
}

#[test]
fn a_key_is_shown_once_works_and_is_taken_back() {
    let scene = Scene::begin("desk-keys");
    let ana = scene.first();
    let support = ana.invite(&scene, "cy@vendor.example", "support");
    let path = "/dashboard/api-keys";
    for (fields, said) in [
        (vec![("name", ""), ("scope", "read")], "name"),
        (vec![("name", "report")], "no scope is chosen"),
        (vec![("name", "report"), ("scope", "everything")], "no scope is chosen"),
        (vec![("name", "report"), ("scope", "read"), ("organization", "acme")], "organization"),
    ] {
        let (status, page) = shown(&ana.post(&scene, path, &fields));
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(said), "{page}");
    }
    let good = [("name", "report"), ("scope", "users:read"), ("scope", "events:read")];
    assert_eq!(shown(&support.post(&scene, path, &good)).0, 403);
    let (status, page) = shown(&ana.post(&scene, path, &good));
    assert_eq!(status, 200, "{page}");
    let key = element(&page, "api-key").to_owned();
    let (_, page) = shown(&ana.get(&scene, path));
    assert!(page.contains("report") && !page.contains(&key), "{page}");
    let (_, seen) = shown(&support.get(&scene, path));
    assert!(!seen.contains("method=\"post\""), "{seen}");

    let call = |path: &str| {
        let bearer = format!("Bearer {key}");
        scene.server.call("GET", path, &[("Authorization", &bearer)], b"").status
    };
    assert_eq!(call("/api/v1/events"), 200);
    assert_eq!(call("/api/v1/organizations"), 403);
    // The latest is first.
    let form = address(&page, "/dashboard/api-keys/tok").to_owned();
    assert_eq!(ana.post(&scene, &form, &[]).status, 303);
    assert_eq!(call("/api/v1/events"), 401);
}

#[test]
fn the_audit_log_is_narrowed_and_exported() {
    let scene = Scene::begin("desk-audit");
    let ana = scene.first();
    let made = ana.post(&scene, "/dashboard/organizations", &[("name", "=Acme, Inc.")]);
    let acme = made.header("location").expect("where it is").rsplit('/').next().unwrap().to_owned();
    ana.post(&scene, "/dashboard/organizations", &[("name", "Globex")]);

    let (status, page) = shown(&ana.get(&scene, "/dashboard/audit?actor=member"));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Acme") && page.contains("Globex") && page.contains("Ana (Member)"));
    let narrowed = format!("/dashboard/audit?organization={acme}&action=organization.created");
    let (_, page) = shown(&ana.get(&scene, &narrowed));
    assert!(page.contains("Acme") && !page.contains("Globex"), "{page}");
    assert!(page.contains("<ins>=Acme, Inc.</ins>"), "{page}");
    for (query, said) in [
        ("action=nothing.done", "nobody does what is looked for"),
        ("organization=acme", "no organization with this id"),
        ("since=yesterday", "a time is not one"),
    ] {
        let (status, page) = shown(&ana.get(&scene, &format!("/dashboard/audit?{query}")));
        assert_eq!(status, 200, "{page}");
        assert!(page.contains(said), "{query}: {page}");
    }

    let file = address(&page, "/dashboard/audit/export/csv").to_owned();
    let csv = ana.get(&scene, &format!("{file}?organization={acme}"));
    assert_eq!(csv.header("content-type"), Some("text/csv"));
    assert!(csv.header("content-disposition").is_some_and(|it| it.starts_with("attachment")));
    let csv = String::from_utf8(csv.body).expect("text");
    assert!(csv.contains("\"'=Acme, Inc.\"") && !csv.contains("Globex"), "{csv}");
    let lines = ana.get(&scene, "/dashboard/audit/export/ndjson?action=organization.created");
    let lines = String::from_utf8(lines.body).expect("text");
    // In pieces, as streams come.
    assert_eq!(lines.matches("\"action\":\"organization.created\"").count(), 2, "{lines}");
    assert_eq!(shown(&ana.get(&scene, "/dashboard/audit/export/pdf")).0, 404);
}

#[test]
fn an_owner_says_what_others_may_do() {
    let scene = Scene::begin("desk-members");
    let ana = scene.first();
    let bo = ana.invite(&scene, "bo@vendor.example", "support");
    let (_, page) = shown(&ana.get(&scene, "/dashboard/members"));
    let form = address(&page, "/dashboard/members/mbr").to_owned();
    assert!(form.ends_with("/role"), "{form}");
    let organizations = "/dashboard/organizations";
    assert_eq!(shown(&bo.post(&scene, organizations, &[("name", "Acme")])).0, 403);
    assert_eq!(shown(&bo.post(&scene, &form, &[("role", "owner")])).0, 403);
    assert_eq!(shown(&ana.post(&scene, &form, &[("role", "king")])).0, 400);
    assert_eq!(ana.post(&scene, &form, &[("role", "developer")]).status, 303);
    assert_eq!(bo.post(&scene, organizations, &[("name", "Acme")]).status, 303);
    let noted = scene.server.api("GET", "/api/v1/audit?action=member.role_changed", b"").json();
    let entry = &noted["data"][0];
    assert_eq!(entry["before"]["role"], "support", "{noted}");
    assert_eq!(entry["after"]["role"], "developer", "{noted}");

    // The last owner stays one.
    let (_, page) = shown(&bo.get(&scene, "/dashboard/members"));
    assert!(!page.contains("/role\""), "{page}");
    let first = scene.server.api("GET", "/api/v1/audit?action=member.joined", b"").json();
    let joined = first["data"].as_array().expect("entries");
    let ana_id = text(&joined.last().expect("the first")["object"], "id");
    let own = format!("/dashboard/members/{ana_id}/role");
    assert_eq!(shown(&ana.post(&scene, &own, &[("role", "support")])).0, 409);
}
