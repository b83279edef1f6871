//! Credentials in the forms that dialogues cannot write down: what stands behind `Basic`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use web::Limits;

use crate::server::{Reply, Server, text};

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

fn unlimited() -> Limits {
    Limits { guesses: None, ..Limits::default() }
}

#[test]
fn a_token_is_a_password_where_the_directory_takes_one() {
    let server = Server::start("credentials-basic", unlimited());
    let (to, other) = (server.connect("Acme", "Okta"), server.connect("Globex", "Okta"));
    let ask = |base: &str, authorization: &str| {
        server.call("GET", &format!("{base}/Users"), &[("Authorization", authorization)], b"")
    };
    let detail = |reply: &Reply| text(&reply.json(), "detail");
    let good = basic(&to.directory, &to.token);
    let before = ask(&to.base, &good);
    assert_eq!(before.status, 401);
    assert!(detail(&before).contains("does not take a user name and password"), "{before:?}");

    for directory in [&to.directory, &other.directory] {
        let path = format!("/api/v1/directories/{directory}");
        let edit = json!({ "settings": { "http_basic": true } }).to_string();
        assert_eq!(server.api("PATCH", &path, edit.as_bytes()).status, 200);
    }
    // At either address, and as the scheme is written.
    for base in [to.base.as_str(), "/scim/v2"] {
        for authorization in [good.clone(), good.replacen("Basic", "bAsIc", 1)] {
            let reply = ask(base, &authorization);
            assert_eq!((reply.status, &reply.json()["totalResults"]), (200, &json!(0)));
        }
    }
    // The token by itself is as good as before.
    assert_eq!(ask(&to.base, &format!("Bearer {}", to.token)).status, 200);

    let check = |base: &str, authorization: &str, says: &str| {
        let reply = ask(base, authorization);
        assert_eq!(reply.status, 401, "{authorization}");
        assert!(detail(&reply).contains(says), "{authorization}: {reply:?}");
        assert!(reply.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer ")));
    };
    let unknown = "the password is not known as a token";
    check(&to.base, &basic(&to.directory, "nonsense"), unknown);
    check(&to.base, &basic(&to.directory, ""), unknown);
    check(&to.base, &basic(&to.directory, &to.token[1..]), unknown);
    check(&to.base, &basic("ana", &to.token), "Enter the id of the directory");
    check(&to.base, &basic("", &to.token), "Enter the id of the directory");
    check(&to.base, &basic(&other.directory, &to.token), "Enter the id of the directory");
    // Another directory's is good there and not here.
    let others = basic(&other.directory, &other.token);
    check(&to.base, &others, "does not belong to the directory in this base URL");
    assert_eq!(ask(&other.base, &others).status, 200);
    // The vendor's key is no token.
    check(&to.base, &basic(&to.directory, &server.key), unknown);
    // A password is no key.
    let headers = [("Authorization", good.as_str())];
    assert_eq!(server.call("GET", "/api/v1/organizations", &headers, b"").status, 401);
}

#[test]
fn a_client_shows_its_secret_in_the_header_or_in_the_form() {
    let server = Server::start("credentials-oauth", unlimited());
    let to = server.connect("Acme", "Entra");
    let path = format!("/api/v1/directories/{}/oauth-clients", to.directory);
    let made = server.api("POST", &path, br#"{"name":"Entra"}"#).json();
    let (id, secret) = (text(&made, "id"), text(&made, "client_secret"));
    let ask = |authorization: Option<&str>, form: &str| {
        let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
        headers.extend(authorization.map(|it| ("Authorization", it)));
        server.call("POST", "/oauth/token", &headers, form.as_bytes())
    };
    let grant = "grant_type=client_credentials";
    let good = basic(&id, &secret);
    let in_form = format!("{grant}&client_id={id}&client_secret={secret}");
    let opens = |reply: &Reply| {
        let given = reply.json();
        assert_eq!((reply.status, &given["token_type"]), (200, &json!("Bearer")), "{reply:?}");
        let authorization = format!("Bearer {}", text(&given, "access_token"));
        let headers = [("Authorization", authorization.as_str())];
        server.call("GET", &format!("{}/Users", to.base), &headers, b"").status
    };
    assert_eq!(opens(&ask(Some(&good), grant)), 200);
    // The id may stand in the form too (RFC 6749 §3.2.1).
    assert_eq!(opens(&ask(Some(&good), &format!("{grant}&client_id={id}"))), 200);
    assert_eq!(opens(&ask(None, &in_form)), 200);

    let refused = |authorization: Option<&str>, form: &str, status: u16, error: &str| {
        let reply = ask(authorization, form);
        assert_eq!((reply.status, &reply.json()["error"]), (status, &Value::from(error)), "{form}");
        let is_challenged =
            reply.header("www-authenticate").is_some_and(|it| it.starts_with("Basic "));
        assert_eq!(is_challenged, status == 401, "{reply:?}");
        assert!(!format!("{reply:?}").contains(&secret), "{reply:?}");
    };
    refused(Some(&basic(&id, "nonsense")), grant, 401, "invalid_client");
    refused(Some(&basic("cli-00000000000000000000000000", &secret)), grant, 401, "invalid_client");
    refused(Some("Basic %"), grant, 401, "invalid_client");
    refused(Some(&format!("Bearer {secret}")), grant, 401, "invalid_client");
    // In both places, nobody knows which is meant.
    refused(Some(&good), &in_form, 400, "invalid_request");
    let other_id = format!("{grant}&client_id=cli-00000000000000000000000000");
    refused(Some(&good), &other_id, 400, "invalid_request");
    // The token of the directory is not a client's secret.
    refused(Some(&basic(&id, &to.token)), grant, 401, "invalid_client");
}

/// Nor for longer than it is good itself.
#[test]
fn a_key_that_ends_makes_none_that_ends_later() {
    let server = Server::start("credentials-keys", unlimited());
    let week = json!({ "name": "CI", "scopes": ["full"], "lifetime_days": 7 }).to_string();
    let made = server.api("POST", "/api/v1/api-keys", week.as_bytes());
    assert_eq!(made.status, 201, "{made:?}");
    let bearer = format!("Bearer {}", text(&made.json(), "api_key"));
    let ask = |days: Value| {
        let body = json!({ "name": "More", "scopes": ["read"], "lifetime_days": days });
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        server.call("POST", "/api/v1/api-keys", &headers, body.to_string().as_bytes()).status
    };
    assert_eq!(
        [ask(Value::Null), ask(json!(8)), ask(json!(7)), ask(json!(1))],
        [403, 403, 201, 201]
    );
}
