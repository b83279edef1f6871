//! Texts of all languages: how they are compared, kept and ordered; and texts that mean to do harm.

use scim::text::fold;
use serde_json::{Value, json};
use web::Limits;

use crate::server::{Connection, Reply, Server, text};

fn scim(server: &Server, to: &Connection, method: &str, path: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {}", to.token);
    let headers = [("Authorization", authorization.as_str())];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.call(method, &format!("{}{path}", to.base), &headers, body.as_bytes())
}

/// Those whose attribute is this, by their user names.
fn found(server: &Server, to: &Connection, attribute: &str, value: &str) -> Vec<String> {
    let filter = format!("{attribute} eq {}", Value::from(value));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("filter", &filter).append_pair("attributes", "userName");
    let reply = scim(server, to, "GET", &format!("/Users?{}", query.finish()), &Value::Null);
    assert_eq!(reply.status, 200, "{reply:?}");
    let list = reply.json();
    let resources = list["Resources"].as_array().expect("a list");
    resources.iter().map(|it| text(it, "userName")).collect()
}

/// Texts that are one without regard to case, width and composition; and one that is another.
const SAME_AND_OTHER: [(&[&str], &str); 8] = [
    (&["bjensen", "BJensen", "ＢＪＥＮＳＥＮ"], "bjenson"),
    (&["Ümit", "U\u{308}mit", "ümit"], "Umit"),
    (&["café", "cafe\u{301}", "CAFÉ"], "cafe"),
    // The dotted capital keeps its dot, and the dotless letter is another: no locale is asked.
    (&["İpek", "i\u{307}pek", "İPEK"], "ipek"),
    (&["ışı", "ıŞı"], "işi"),
    (&["straße", "STRAẞE"], "strasse"),
    (&["ΟΔΥΣΣΕΥΣ", "οδυσσευς", "οδυσσευσ"], "οδυσσευ"),
    (&["ｶﾞｲ", "ガイ"], "カイ"),
];

/// Proves S-I18N-1, S-I18N-3, S-I18N-5.
#[test]
fn names_are_compared_without_case_width_and_composition() {
    let server = Server::start("texts-names", Limits { rate: None, ..Limits::default() });
    for (same, other) in SAME_AND_OTHER {
        let to = server.connect("Acme", "Okta");
        let first = same[0];
        let body = json!({ "userName": first, "title": first, "externalId": "1" });
        assert_eq!(scim(&server, &to, "POST", "/Users", &body).status, 201, "{first}");
        for name in same {
            // One that is there already, in the index of names;
            let reply = scim(&server, &to, "POST", "/Users", &json!({ "userName": name }));
            assert_eq!(
                (reply.status, &reply.json()["scimType"]),
                (409, &json!("uniqueness")),
                "{name}"
            );
            // one that is found, by the database and by looking at each;
            assert_eq!(found(&server, &to, "userName", name), [first], "{name}");
            assert_eq!(found(&server, &to, "title", name), [first], "{name}");
            // and one to the code that has neither.
            assert_eq!(fold(name), fold(first), "{name}");
        }
        assert_eq!(found(&server, &to, "userName", other), [""; 0], "{other}");
        assert_eq!(found(&server, &to, "title", other), [""; 0], "{other}");
        let reply = scim(&server, &to, "POST", "/Users", &json!({ "userName": other }));
        assert_eq!(reply.status, 201, "{other}: {reply:?}");
    }
}

/// Proves S-I18N-4.
#[test]
fn a_name_is_answered_as_it_was_sent() {
    let server = Server::start("texts-sent", Limits::default());
    let to = server.connect("Acme", "Okta");
    for name in
        ["Jane Doe", "ＢＪＥＮＳＥＮ", "U\u{308}mit", "ana@EXAMPLE.com", "שלום a", "a\u{200d}b"]
    {
        let reply = scim(&server, &to, "POST", "/Users", &json!({ "userName": name }));
        assert_eq!((reply.status, &reply.json()["userName"]), (201, &json!(name)));
        assert_eq!(found(&server, &to, "userName", name), [name]);
    }
}

/// Proves S-I18N-6.
#[test]
fn texts_are_ordered_by_unicode_and_by_no_locale() {
    let server = Server::start("texts-order", Limits::default());
    let to = server.connect("Acme", "Okta");
    // In Swedish `å` comes after `z` and before `ä`, in German both are `a`.
    for name in ["z", "ä", "Å", "a", "Z2", "李", "é"] {
        let reply = scim(&server, &to, "POST", "/Users", &json!({ "userName": name }));
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let list = scim(&server, &to, "GET", "/Users?sortBy=userName", &Value::Null).json();
    let resources = list["Resources"].as_array().expect("a list");
    let names: Vec<_> = resources.iter().map(|it| text(it, "userName")).collect();
    assert_eq!(names, ["a", "z", "Z2", "ä", "Å", "é", "李"]);
}

/// Proves S-SEC-4.
#[test]
fn values_are_values_and_never_a_statement() {
    let server = Server::start("texts-harm", Limits::default());
    let to = server.connect("Acme", "Okta");
    let ana = json!({ "userName": "ana", "title": "Dr.", "externalId": "1" });
    assert_eq!(scim(&server, &to, "POST", "/Users", &ana).status, 201);
    let before = server.state();
    for value in ["x' or 1=1--", "' or ''='", "\"; drop table users; --", "%", "_n_", "\\' or 1=1"]
    {
        for attribute in ["userName", "externalId", "title", "id", "emails.value"] {
            assert_eq!(found(&server, &to, attribute, value), [""; 0], "{attribute} {value}");
        }
    }
    assert_eq!(server.state(), before);
    // They are good names, too, and found as such.
    for value in ["x' or 1=1--", "\"; drop table users; --", "%"] {
        let made = json!({ "userName": value, "externalId": value, "title": value });
        let reply = scim(&server, &to, "POST", "/Users", &made);
        assert_eq!(reply.status, 201, "{reply:?}");
        for attribute in ["userName", "externalId", "title"] {
            assert_eq!(found(&server, &to, attribute, value), [value]);
        }
    }
}

/// Proves S-COMMON-2, S-COMMON-3, S-COMMON-14.
#[test]
fn ids_and_times_are_written_in_one_way() {
    let server = Server::start("texts-ids", Limits::default());
    let to = server.connect("Acme", "Okta");
    for number in 0..50 {
        server.pass(1);
        let user = json!({ "userName": format!("user {number}") });
        let made = scim(&server, &to, "POST", "/Users", &user).json();
        let id = text(&made, "id");
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|it| matches!(it, '0'..='9' | 'a'..='f' | '-')), "{id}");
        for time in ["created", "lastModified"] {
            let time = text(&made["meta"], time);
            let shape: String =
                time.chars().map(|it| if it.is_ascii_digit() { '9' } else { it }).collect();
            assert_eq!(shape, "9999-99-99T99:99:99.999Z", "{time}");
        }
        let shouted = id.to_uppercase();
        if shouted != id {
            let path = format!("/Users/{shouted}");
            assert_eq!(scim(&server, &to, "GET", &path, &Value::Null).status, 404, "{shouted}");
        }
        // Whatever zone it is written in, it is that instant.
        let created = text(&made["meta"], "created");
        let zoned = created.replace('Z', "+00:00");
        let mut query = form_urlencoded::Serializer::new(String::new());
        let filter = format!("meta.created eq \"{zoned}\" and id eq \"{id}\"");
        query.append_pair("filter", &filter);
        let path = format!("/Users?{}", query.finish());
        let list = scim(&server, &to, "GET", &path, &Value::Null).json();
        assert_eq!(list["totalResults"], 1, "{list}");
    }
}
