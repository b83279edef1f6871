//! The document that describes the management API: that it is published as it is, that it has every
//! route and nothing else, and that what it shows is what really happens.
//!
//! `UPDATE=1 cargo test -p web --test edges openapi`, twice, writes its examples and then the document
//! itself. Read the difference before you commit it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use web::Limits;

use crate::server::{Reply, Server, text};
use crate::stream::Stream;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The operations of the document: method, path and description.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let document = web::document();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    operations
}

/// Holds a file against what it should be, or writes it.
fn check_file(path: &Path, expected: &Value) {
    let expected = format!("{expected:#}\n");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &expected).expect("it is written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let place = path.display();
    assert!(
        found == expected,
        "{place} is not current: UPDATE=1 cargo test -p web --test edges openapi"
    );
}

#[test]
fn the_document_is_published_as_it_is() {
    check_file(&root().join("../../docs/api/openapi.json"), &web::document());
    let server = Server::start("openapi", Limits::default());
    // For whoever asks.
    let reply = server.call("GET", "/api/v1/openapi.json", &[], b"");
    assert_eq!((reply.status, reply.json()), (200, web::document()));
}

#[test]
fn the_page_about_it_has_everything_and_asks_nobody_else() {
    let server = Server::start("openapi-page", Limits::default());
    let reply = server.call("GET", "/api/v1/docs", &[], b"");
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("content-security-policy")
            .is_some_and(|it| it.starts_with("default-src 'none'"))
    );
    let page = String::from_utf8(reply.body).expect("text");
    for (_, path, operation) in operations() {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(page.contains(&format!("<details id=\"{id}\">")), "{id}");
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for elsewhere in ["<script", "src=", "@import", "url(", "<link", "<img", "<iframe"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert!(!page.contains("href=\"http"));
}

#[test]
fn routes_and_document_are_the_same_in_both_directions() {
    let server = Server::start("openapi-routes", Limits::default());
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations() {
        described.entry(path).or_default().insert(method);
        assert!(ids.insert(text(&operation, "operationId")), "an id is there twice");
    }
    for (path, methods) in &described {
        let path = format!("/api/v1{}", path.replace(['{', '}'], ""));
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let reply = if method == "GET" && path.ends_with("/stream") {
                let authorization = format!("Bearer {}", server.key);
                Stream::open(&server, &path, &[("Authorization", &authorization)]).begun()
            } else {
                server.api(method, &path, b"{}")
            };
            // What is described is served, and what is served with that path is described.
            assert_eq!(reply.status == 405, !methods.contains(method), "{method} {path} {reply:?}");
            let is_unknown =
                reply.status == 404 && reply.json()["title"] == "There is no such path";
            assert!(!is_unknown, "{method} {path} is not served");
        }
    }
    // There is no way to a route but the table that the document is printed from.
    let mut files = vec![root().join("src/api.rs")];
    files.extend(
        std::fs::read_dir(root().join("src/api"))
            .expect("handlers")
            .map(|it| it.expect("an entry").path()),
    );
    let count = |path: &PathBuf| {
        std::fs::read_to_string(path).expect("a source").matches(".route(").count()
    };
    assert_eq!(
        files.iter().map(count).sum::<usize>(),
        1,
        "routes are entries of the table in api.rs"
    );
}

/// A story in which every operation is called, and what came of each, as the document shows it.
struct Story {
    server: Server,
    told: Map<String, Value>,
}

impl Story {
    fn tell(&mut self, id: &str, method: &str, path: &str, request: &Value) -> Value {
        self.server.pass(1);
        let body = if request.is_null() { String::new() } else { request.to_string() };
        let reply = self.server.api(method, &format!("/api/v1{path}"), body.as_bytes());
        assert!((200..300).contains(&reply.status), "{id}: {reply:?}");
        if method != "GET" && !WITHOUT_EFFECT.contains(&id) {
            self.check_audit(id, &reply);
        }
        let response = if reply.body.is_empty() { Value::Null } else { reply.json() };
        let mut example = Map::new();
        if !request.is_null() {
            example.insert("request".to_owned(), request.clone());
        }
        example.insert("status".to_owned(), reply.status.into());
        if !response.is_null() {
            example.insert("response".to_owned(), response.clone());
        }
        let told = self.told.insert(id.to_owned(), example.into());
        assert!(told.is_none(), "{id} is told twice");
        response
    }
}

/// Operations that change nothing here: nobody has sent what could be adopted, the delivery is on its
/// way already, and a preview is one. A receipt is no act of anybody's, and is kept for itself.
const WITHOUT_EFFECT: [&str; 4] =
    ["adopt_unknown_attributes", "replay_delivery", "preview_role_mapping", "create_receipt"];

impl Story {
    /// Whatever is done leaves an entry in the audit log, of that request.
    fn check_audit(&self, id: &str, reply: &Reply) {
        let request = reply.header("x-request-id").expect("every answer has one");
        let path = format!("/api/v1/audit?request_id={request}");
        let entries = self.server.api("GET", &path, b"").json();
        let entry = &entries["data"][0];
        assert_eq!(entry["request_id"], request, "{id} leaves no entry in the audit log");
        assert_eq!(entry["actor"]["type"], "api_key", "{id}: {entry}");
        assert!(entry["object"]["id"].is_string(), "{id}: {entry}");
        assert_eq!(entry["address"], "127.0.0.1", "{id}: {entry}");
        let text = entry.to_string();
        for secret in ["roster-scim", "roster-api", "roster-client", "whsec_"] {
            assert!(!text.contains(secret), "{id}: {entry}");
        }
    }

    /// Tells the beginning of an answer that is no JSON, up to the end of a line that has this.
    fn tell_stream(&mut self, id: &str, path: &str, upto: &str) {
        let authorization = format!("Bearer {}", self.server.key);
        let headers = [("Authorization", authorization.as_str())];
        let mut stream = Stream::open(&self.server, &format!("/api/v1{path}"), &headers);
        assert_eq!(stream.status, 200, "{id}");
        let response = stream.until(upto);
        let example = json!({ "status": 200, "response": response });
        let Value::Object(example) = example else { unreachable!("it is written above") };
        let told = self.told.insert(id.to_owned(), example.into());
        assert!(told.is_none(), "{id} is told twice");
    }
}

/// A directory that is looked at before it goes live, and one from which everybody is taken out.
fn tell_of_holds(story: &mut Story, directories: &str, null: &Value) {
    let made = |story: &Story, body: Value| {
        let path = format!("/api/v1{directories}");
        text(&story.server.api("POST", &path, body.to_string().as_bytes()).json(), "id")
    };
    let provider = |story: &Story, directory: &str, method: &str, path: &str, body: Value| {
        let tokens = format!("/api/v1/directories/{directory}/tokens");
        let token = text(&story.server.api("POST", &tokens, b"{}").json(), "token");
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let path = format!("/scim/v2/{directory}{path}");
        let reply = story.server.call(method, &path, &headers, body.to_string().as_bytes());
        assert!(reply.status < 300, "{reply:?}");
        reply.json()
    };
    let ana = json!({ "userName": "ana@acme.example", "active": true });
    let shadow = made(story, json!({ "name": "Entra", "provider": "entra" }));
    let path = format!("/directories/{shadow}/shadow");
    let hold = text(&story.tell("begin_shadow", "POST", &path, null), "id");
    provider(story, &shadow, "POST", "/Users", ana.clone());
    let path = format!("/directories/{shadow}/holds/{hold}/changes");
    story.tell("list_held_changes", "GET", &path, null);
    let path = format!("/directories/{shadow}/holds/{hold}/changes.csv");
    story.tell_stream("get_held_changes_table", &path, "directory.user.created");
    let path = format!("/directories/{shadow}/holds/{hold}/approve");
    story.tell("approve_hold", "POST", &path, null);

    let brake = json!({ "people": 1, "percent": 1 });
    let new = json!({ "name": "Okta", "provider": "okta", "settings": { "brake": brake } });
    let braked = made(story, new);
    for name in ["ana", "ben"] {
        let body = json!({ "userName": format!("{name}@acme.example"), "active": true });
        let user = text(&provider(story, &braked, "POST", "/Users", body), "id");
        let off = json!([{ "op": "replace", "value": { "active": false } }]);
        provider(story, &braked, "PATCH", &format!("/Users/{user}"), json!({ "Operations": off }));
    }
    let holds = format!("/directories/{braked}/holds");
    let found = story.tell("list_holds", "GET", &holds, null);
    let hold = format!("{holds}/{}", text(&found["data"][0], "id"));
    story.tell("get_hold", "GET", &hold, null);
    story.tell("reject_hold", "POST", &format!("{hold}/reject"), null);
    story.tell("list_lost", "GET", &format!("{hold}/lost?limit=1"), null);
    story.tell_stream("get_lost_table", &format!("{hold}/lost.csv"), "again");
    for directory in [shadow, braked] {
        let path = format!("/api/v1/directories/{directory}");
        assert_eq!(story.server.api("DELETE", &path, b"").status, 204);
    }
}

fn tell_all() -> Map<String, Value> {
    let server = Server::start("openapi-examples", Limits::default());
    let mut story = Story { server, told: Map::new() };
    let null = Value::Null;
    let new =
        json!({ "name": "Acme", "external_id": "customer-17", "metadata": { "plan": "gold" } });
    let acme = text(&story.tell("create_organization", "POST", "/organizations", &new), "id");
    let organization = format!("/organizations/{acme}");
    story.tell("list_organizations", "GET", "/organizations?external_id=customer-17", &null);
    story.tell("get_organization", "GET", &organization, &null);
    let edit = json!({ "name": "Acme GmbH", "directory_sync": true });
    story.tell("update_organization", "PATCH", &organization, &edit);

    let edit = json!({
        "seats": { "limit": 50, "mode": "refuse" },
        "domains": { "mode": "warn", "allowed": ["acme.example"] },
        "receipts": { "overdue_minutes": 15 },
    });
    story.tell("update_safety", "PATCH", &format!("{organization}/safety"), &edit);
    story.tell("get_safety", "GET", &format!("{organization}/safety"), &null);

    let directories = format!("{organization}/directories");
    let new =
        json!({ "name": "Okta", "provider": "okta", "settings": { "unknown_members": "refuse" } });
    let made = text(&story.tell("create_directory", "POST", &directories, &new), "id");
    let directory = format!("/directories/{made}");
    let of = |path: &str| format!("{directory}{path}");
    story.tell("list_directories_of_organization", "GET", &directories, &null);
    let edit = json!({ "name": "Okta EU", "settings": { "http_basic": true } });
    story.tell("update_directory", "PATCH", &directory, &edit);

    let new = json!({ "lifetime_days": 365, "scope": "read_write" });
    let token = story.tell("create_token", "POST", &of("/tokens"), &new);
    let path = of(&format!("/tokens/{}/rotate", text(&token, "id")));
    story.tell("rotate_token", "POST", &path, &json!({ "overlap_hours": 48 }));
    story.tell("list_tokens", "GET", &of("/tokens"), &null);
    let path = format!("{}/{}", of("/tokens"), text(&token, "id"));
    story.tell("get_token", "GET", &path, &null);
    let new = json!({ "name": "Entra", "lifetime_days": 730 });
    let client = story.tell("create_oauth_client", "POST", &of("/oauth-clients"), &new);
    let client = of(&format!("/oauth-clients/{}", text(&client, "id")));
    let new = json!({ "lifetime_days": 730 });
    let secret =
        story.tell("create_oauth_client_secret", "POST", &format!("{client}/secrets"), &new);
    story.tell("list_oauth_clients", "GET", &of("/oauth-clients"), &null);
    story.tell("get_oauth_client", "GET", &client, &null);
    let secret = format!("{client}/secrets/{}", text(&secret, "id"));
    story.tell("delete_oauth_client_secret", "DELETE", &secret, &null);
    story.tell("delete_oauth_client", "DELETE", &client, &null);

    let authorization = format!("Bearer {}", text(&token, "token"));
    let provider = |method: &str, path: &str, body: Value| {
        let path = format!("/scim/v2/{made}{path}");
        let headers = [("Authorization", authorization.as_str())];
        let reply = story.server.call(method, &path, &headers, body.to_string().as_bytes());
        assert!(reply.status < 300, "{reply:?}");
        reply.json()
    };
    let ana = json!({
        "userName": "ana@acme.example",
        "displayName": "Ana Lima",
        "active": "True",
        "floor": "3",
        "shoeSize": "38",
    });
    let ana = text(&provider("POST", "/Users", ana), "id");
    let group = json!({ "displayName": "Sales", "members": [{ "value": ana }] });
    let sales = text(&provider("POST", "/Groups", group), "id");
    story.tell("get_directory", "GET", &directory, &null);
    story.tell("list_directories", "GET", "/directories?limit=10", &null);
    story.tell("list_quirks", "GET", &of("/quirks"), &null);
    story.tell("get_client", "GET", &of("/client"), &null);
    let again = json!({ "userName": "ANA@acme.example" });
    let path = format!("/scim/v2/{made}/Users");
    let headers = [("Authorization", authorization.as_str())];
    let refused = story.server.call("POST", &path, &headers, again.to_string().as_bytes());
    let refused = refused.header("x-request-id").expect("it has a name").to_owned();
    let path = of("/requests?person=ana@acme.example&status=4xx&limit=10");
    story.tell("list_requests_of_directory", "GET", &path, &null);
    let path = format!("/requests?directory_id={made}&method=POST&limit=1");
    story.tell("list_requests", "GET", &path, &null);
    story.tell("get_request", "GET", &format!("/requests/{refused}"), &null);
    story.tell("rerun_request", "POST", &format!("/requests/{refused}/rerun"), &null);
    story.tell("list_users", "GET", &of("/users?user_name=ana@acme.example"), &null);
    story.tell("get_user", "GET", &of(&format!("/users/{ana}")), &null);
    story.tell("get_user_timeline", "GET", &of(&format!("/users/{ana}/timeline")), &null);
    story.tell("list_groups", "GET", &of("/groups"), &null);
    story.tell("get_group", "GET", &of(&format!("/groups/{sales}")), &null);
    story.tell("get_group_timeline", "GET", &of(&format!("/groups/{sales}/timeline")), &null);

    story.tell("list_unknown_attributes", "GET", &of("/unknown-attributes"), &null);
    let urn = "urn:example:acme:Badge";
    let schema = of(&format!("/schemas/{urn}"));
    let new = json!({
        "resource_type": "User",
        "schema": { "id": urn, "name": "Badge", "attributes": [{ "name": "floor" }] },
    });
    story.tell("put_schema", "PUT", &schema, &new);
    story.tell("list_schemas", "GET", &of("/schemas"), &null);
    story.tell("get_schema", "GET", &schema, &null);
    story.tell("delete_schema", "DELETE", &schema, &null);
    let path = of("/unknown-attributes/adopt?limit=100");
    story.tell("adopt_unknown_attributes", "POST", &path, &null);

    for (one, many) in [("role", "roles"), ("entitlement", "entitlements")] {
        let path = format!("/{many}/admin");
        let mut new = json!({ "name": "Administrator", "description": "May do everything" });
        if one == "role" {
            new["rank"] = json!(1);
        }
        story.tell(&format!("put_{one}"), "PUT", &path, &new);
        if one == "role" {
            let mapping = json!({
                "rules": [
                    { "group": sales, "role": "admin" },
                    { "filter": "userType eq \"Admin\"", "role": "admin" },
                ],
                "protected": [{ "user": ana, "role": "admin" }],
            });
            let path = of("/role-mapping");
            story.tell("preview_role_mapping", "POST", &format!("{path}/preview"), &mapping);
            story.tell("put_role_mapping", "PUT", &path, &mapping);
            story.server.walk_roles();
            story.tell("get_role_mapping", "GET", &path, &null);
        }
        story.tell(&format!("list_{many}"), "GET", &format!("/{many}"), &null);
        story.tell(&format!("get_{one}"), "GET", &path, &null);
        story.tell(&format!("delete_{one}"), "DELETE", &path, &null);
    }
    let new = json!({
        "url": "https://app.example/hooks",
        "event_types": ["directory.user.*"],
        "ordered": true,
    });
    let webhook = text(&story.tell("create_webhook", "POST", "/webhooks", &new), "id");
    let webhook = format!("/webhooks/{webhook}");
    let of_webhook = |path: &str| format!("{webhook}{path}");
    let edit = json!({ "description": "The app", "event_types": [] });
    story.tell("update_webhook", "PATCH", &webhook, &edit);
    let rotation = json!({ "overlap_hours": 48 });
    story.tell("rotate_webhook_secret", "POST", &of_webhook("/secret"), &rotation);
    let delivery = story.tell("test_webhook", "POST", &of_webhook("/test"), &null);
    let delivery = of_webhook(&format!("/deliveries/{}", text(&delivery, "id")));
    story.tell("list_deliveries", "GET", &of_webhook("/deliveries?state=pending"), &null);
    story.tell("get_delivery", "GET", &delivery, &null);
    story.tell("replay_delivery", "POST", &format!("{delivery}/replay"), &null);
    story.tell("replay_webhook", "POST", &of_webhook("/replay"), &json!({ "failed": true }));
    story.tell("get_webhook", "GET", &webhook, &null);
    story.tell("list_webhooks", "GET", "/webhooks", &null);
    story.tell("delete_webhook", "DELETE", &webhook, &null);

    let new = json!({ "name": "nightly report", "scopes": ["events:read"], "lifetime_days": 90 });
    let headers = [("Authorization", authorization.as_str())];
    let path = format!("/scim/v2/{made}/Users");
    let eva = br#"{"userName":"eva@acme.example"}"#;
    let eva = text(&story.server.call("POST", &path, &headers, eva).json(), "id");
    let erasure = story.tell("erase_user", "POST", &of(&format!("/users/{eva}/erase")), &null);
    story.tell("list_erasures", "GET", "/erasures", &null);
    story.tell("get_erasure", "GET", &format!("/erasures/{}", text(&erasure, "id")), &null);
    let key = story.tell("create_api_key", "POST", "/api-keys", &new);
    story.tell("list_api_keys", "GET", "/api-keys", &null);
    let key = format!("/api-keys/{}", text(&key, "id"));
    story.tell("get_api_key", "GET", &key, &null);
    story.tell("revoke_api_key", "DELETE", &key, &null);
    story.tell("list_audit_entries", "GET", "/audit?limit=2", &null);
    let path = "/audit/export.ndjson?action=organization.updated";
    story.tell_stream("export_audit_ndjson", path, "organization.updated");
    let path = "/audit/export.csv?action=organization.updated";
    story.tell_stream("export_audit_csv", path, "organization.updated");
    story.tell("get_settings", "GET", "/settings", &null);
    story.tell("list_events", "GET", &format!("/events?directory_id={made}&limit=2"), &null);
    let path = format!("/events/stream?directory_id={made}&type=directory.user.created");
    story.tell_stream("stream_events", &path, "data: ");
    story.tell_stream("get_snapshot", &of("/snapshot"), "\"type\":\"end\"");

    story.tell("get_event", "GET", &of("/events/1"), &null);
    let path = format!("{organization}/sign-in?user_name=ana@acme.example");
    story.tell("check_sign_in", "GET", &path, &null);
    // Nobody is protected any more.
    let path = format!("/api/v1{}", of("/role-mapping"));
    assert_eq!(story.server.api("PUT", &path, b"{}").status, 200);
    let gone = story.server.call(
        "DELETE",
        &format!("/scim/v2/{made}/Users/{ana}"),
        &[("Authorization", authorization.as_str())],
        b"",
    );
    assert_eq!(gone.status, 204);
    let path = format!("/events?directory_id={made}&type=directory.user.deleted");
    let deleted = story.server.api("GET", &format!("/api/v1{path}"), b"").json();
    let number = &deleted["data"][0]["number"];
    let effective = json!({ "effective_at": deleted["data"][0]["occurred_at"] });
    story.tell("create_receipt", "POST", &of(&format!("/events/{number}/receipt")), &effective);
    story.tell("list_receipts", "GET", &of("/receipts?state=received"), &null);
    story.tell("get_receipt_summary", "GET", &of("/receipts/summary"), &null);

    let path = of(&format!("/tokens/{}", text(&token, "id")));
    story.tell("revoke_token", "DELETE", &path, &null);
    tell_of_holds(&mut story, &directories, &null);
    let links = format!("{organization}/portal-links");
    let new = json!({ "features": ["set_up", "people", "status"], "lifetime_hours": 72 });
    let link = text(&story.tell("create_portal_link", "POST", &links, &new), "id");
    let link = format!("{links}/{link}");
    story.tell("list_portal_links", "GET", &links, &null);
    story.tell("get_portal_link", "GET", &link, &null);
    story.tell("revoke_portal_link", "POST", &format!("{link}/revoke"), &null);

    let people = json!({ "people": "freeze" });
    story.tell("disconnect_directory", "POST", &format!("{directory}/disconnect"), &people);
    story.tell("delete_directory", "DELETE", &directory, &null);
    story.tell("delete_organization", "DELETE", &organization, &null);
    story.told
}

/// Whoever asks why something failed names the request, and has to know where its name is.
#[test]
fn every_answer_is_described_with_the_name_of_its_request() {
    let document = web::document();
    for (method, path, operation) in operations() {
        for (status, answer) in operation["responses"].as_object().expect("answers") {
            let answer = match answer["$ref"].as_str() {
                Some(place) => document.pointer(&place[1..]).expect("it is described"),
                None => answer,
            };
            let headers = answer["headers"].as_object().cloned().unwrap_or_default();
            assert!(headers.contains_key("X-Request-Id"), "{method} {path} {status}");
            let is_to_be_sent_again = matches!(status.as_str(), "429" | "503");
            assert_eq!(headers.contains_key("Retry-After"), is_to_be_sent_again, "{path} {status}");
        }
    }
}

#[test]
fn every_example_is_a_real_one_and_looks_as_is_described() {
    let mut told = tell_all();
    told.sort_keys();
    let ids: BTreeSet<_> = operations().iter().map(|(.., it)| text(it, "operationId")).collect();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), ids, "every operation is told once");
    let document = web::document();
    for (_, path, operation) in operations() {
        let id = text(&operation, "operationId");
        let example = &told[&id];
        let status = example["status"].to_string();
        let answers = &operation["responses"][&status];
        assert!(answers.is_object(), "{id} answers {status}, which is not described");
        let schema = &answers["content"]["application/json"]["schema"];
        let context = format!("{id} {path}");
        let content = answers["content"].as_object();
        if content.is_some_and(|content| !content.contains_key("application/json")) {
            assert!(example["response"].is_string(), "{context}");
            continue;
        }
        if let Some(response) = example.get("response") {
            look(&document, schema, response, &format!("{context} answer"));
        }
        if let Some(request) = example.get("request") {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            look(&document, schema, request, &format!("{context} request"));
        }
    }
    check_file(&root().join("examples.json"), &told.into());
}

/// Whether something looks as a schema of ours says: the part of JSON Schema that we use, and strict
/// where that is not, so that no member goes undescribed.
fn look(document: &Value, schema: &Value, value: &Value, at: &str) {
    let context = || format!("{at}: {value} is not {schema}");
    if let Some(reference) = schema["$ref"].as_str() {
        let found = document.pointer(&reference[1..]);
        return look(document, found.unwrap_or_else(|| panic!("{at}: {reference}")), value, at);
    }
    if let Some(any) = schema["oneOf"].as_array() {
        let is_null = |it: &&Value| it["type"] == "null";
        if value.is_null() {
            assert!(any.iter().any(|it| is_null(&it)), "{}", context());
            return;
        }
        let one = any.iter().find(|it| !is_null(it)).unwrap_or_else(|| panic!("{}", context()));
        return look(document, one, value, at);
    }
    let (properties, required) = members(document, schema);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        Value::Null => vec![json!("object")],
        one => vec![one.clone()],
    };
    assert!(kinds.contains(&json!(kind)), "{}", context());
    if let Some(words) = schema["enum"].as_array()
        && !value.is_null()
    {
        assert!(words.contains(value), "{}", context());
    }
    for (place, entry) in value.as_array().into_iter().flatten().enumerate() {
        look(document, &schema["items"], entry, &format!("{at}[{place}]"));
    }
    // What providers say is theirs: an object of whatever.
    let is_open = properties.is_empty();
    for (name, entry) in value.as_object().into_iter().flatten().filter(|_| !is_open) {
        let property = properties.get(name).unwrap_or_else(|| panic!("{at}: no one says `{name}`"));
        look(document, property, entry, &format!("{at}.{name}"));
    }
    for name in required.iter().filter(|_| value.is_object()) {
        assert!(value.get(name).is_some(), "{at}: `{name}` is missing");
    }
}

/// The members of an object, of all parts of its schema.
fn members(document: &Value, schema: &Value) -> (BTreeMap<String, Value>, Vec<String>) {
    let mut properties = BTreeMap::new();
    let mut required = Vec::new();
    let mut parts = vec![schema.clone()];
    while let Some(part) = parts.pop() {
        if let Some(reference) = part["$ref"].as_str() {
            parts.push(document.pointer(&reference[1..]).expect("it is there").clone());
        }
        parts.extend(part["allOf"].as_array().into_iter().flatten().cloned());
        for (name, property) in part["properties"].as_object().into_iter().flatten() {
            properties.insert(name.clone(), property.clone());
        }
        let names = part["required"].as_array().into_iter().flatten();
        required.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
    (properties, required)
}
