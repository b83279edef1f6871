//! What a POST or PUT body becomes.

use proptest::prelude::*;
use scim::admit::{Admitted, admit};
use scim::dialect::{Quirk, Quirks};
use scim::group::{Member, MemberKind};
use scim::limit::{STRING_BYTES_MAX, VALUES_MAX};
use scim::{Error, Kind, Preset, Resource, ResourceType};
use serde_json::{Map, Value, json};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn read(body: Value, resource_type: &ResourceType, preset: Preset) -> Result<Admitted, Error> {
    admit(body, resource_type, preset, &mut Quirks::new())
}

/// Admits a user that has these attributes beside `schemas` and `userName`, and compares what
/// became of them, with their order.
#[track_caller]
fn check(attributes: &str, expected: &str) {
    let text = format!(r#"{{"schemas":["{USER}"],"userName":"ana"{attributes}}}"#);
    let body: Value = serde_json::from_str(&text).expect("the case is JSON");
    let admitted = read(body, &ResourceType::user(), Preset::Lenient).expect("it is admitted");
    assert_eq!(admitted.resource.to_text(), expected);
}

#[track_caller]
fn refuse(preset: Preset, body: Value, kind: Kind, detail: &str) {
    let error = read(body, &ResourceType::user(), preset).expect_err("it is refused");
    assert_eq!((error.status(), error.kind()), (400, Some(kind)), "{error}");
    assert!(error.detail().contains(detail), "{error}");
}

fn quirks_of(body: Value, resource_type: &ResourceType) -> Vec<Quirk> {
    let mut quirks = Quirks::new();
    admit(body, resource_type, Preset::Lenient, &mut quirks).expect("it is admitted");
    quirks.iter().collect()
}

#[test]
fn attributes_stand_in_the_order_of_their_schema_whatever_their_case() {
    check(
        r#","EMAILS":[{"Primary":true,"TYPE":"work","value":"a@x"}],"name":{"givenname":"A","FamilyName":"B"},"ExternalId":"7""#,
        r#"{"externalId":"7","userName":"ana","name":{"familyName":"B","givenName":"A"},"emails":[{"value":"a@x","type":"work","primary":true}]}"#,
    );
    check(
        r#","URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:user":{"Department":"D","costcenter":"C"},"title":"T""#,
        &format!(
            r#"{{"userName":"ana","title":"T","{ENTERPRISE}":{{"costCenter":"C","department":"D"}}}}"#
        ),
    );
}

#[test]
fn what_is_empty_is_absent() {
    for empty in [
        r#","title":null"#,
        r#","title":"""#,
        r#","emails":[]"#,
        r#","emails":null"#,
        r#","emails":"""#,
        r#","emails":[{}]"#,
        r#","emails":[null,{"value":null},{"value":""}]"#,
        r#","name":{}"#,
        r#","name":{"givenName":null,"familyName":""}"#,
        r#","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{}"#,
        r#","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":""}}"#,
        r#","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":[]}"#,
        r#","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":""}"#,
        r#","active":"""#,
    ] {
        check(empty, r#"{"userName":"ana"}"#);
    }
}

#[test]
fn what_only_the_server_sets_is_ignored() {
    check(
        r#","id":"x","meta":{"version":1},"groups":[{"value":"g"}],"password":"secret""#,
        r#"{"userName":"ana"}"#,
    );
    check(
        r#","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"7","displayName":"Bo"}}"#,
        &format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"manager":{{"value":"7"}}}}}}"#),
    );
}

#[test]
fn what_providers_send_is_straightened() {
    for (sent, kept) in [
        (r#","active":"False""#, r#","active":false"#),
        (r#","active":"true""#, r#","active":true"#),
        (r#","active":[true]"#, r#","active":true"#),
        (r#","title":7"#, r#","title":"7""#),
        (r#","emails":{"value":"a@x"}"#, r#","emails":[{"value":"a@x"}]"#),
        (
            r#","emails":[{"value":"a"},{"value":"b","primary":true},{"value":"c","primary":"True"},{"value":"d","primary":true}]"#,
            r#","emails":[{"value":"a"},{"value":"b","primary":true},{"value":"c","primary":false},{"value":"d","primary":false}]"#,
        ),
        (r#","emails":"a@x""#, r#","emails":[{"value":"a@x"}]"#),
        (r#","emails":["a@x"]"#, r#","emails":[{"value":"a@x"}]"#),
        (
            r#","emails":[{"value":"a@x","primary":"True"}]"#,
            r#","emails":[{"value":"a@x","primary":true}]"#,
        ),
        (r#","roles":["admin"]"#, r#","roles":[{"value":"admin"}]"#),
        (
            r#","roles":"{\"id\":\"06\",\"value\":\"25\",\"displayName\":\"Admin\"}""#,
            r#","roles":[{"value":"25","display":"Admin"}]"#,
        ),
        (r#","roles":"{not json""#, r#","roles":[{"value":"{not json"}]"#),
    ] {
        check(sent, &format!(r#"{{"userName":"ana"{kept}}}"#));
    }
    for manager in [r#""7""#, r#"{"value":"7"}"#, r#"[{"value":"7"}]"#, r#"["7"]"#] {
        check(
            &format!(r#","{ENTERPRISE}":{{"manager":{manager}}}"#),
            &format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"manager":{{"value":"7"}}}}}}"#),
        );
    }
    check(
        r#","urn:scim:schemas:extension:enterprise:1.0":{"department":"D"}"#,
        &format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"department":"D"}}}}"#),
    );
}

#[test]
fn values_stay_as_they_were_sent() {
    for kept in [
        r#","title":"  Guide ""#,
        r#","locale":"not-a-locale""#,
        r#","phoneNumbers":[{"value":"tel:+1-201-555-0123","type":"WORK"}]"#,
        r#","photos":[{"value":"no url"}]"#,
        r#","emails":[{"value":"Not An Address","primary":false}]"#,
        r#","x509Certificates":[{"value":"MIIDQzCCAqyg"}]"#,
    ] {
        check(kept, &format!(r#"{{"userName":"ana"{kept}}}"#));
    }
}

#[test]
fn a_list_has_each_value_once() {
    check(
        r#","emails":[{"value":"a@x","type":"work"},{"type":"work","value":"a@x","primary":true},{"value":"a@x"}]"#,
        r#"{"userName":"ana","emails":[{"value":"a@x","type":"work","primary":true},{"value":"a@x"}]}"#,
    );
    check(
        r#","addresses":[{"country":"US","locality":"X"},{"locality":"X","country":"US","primary":false}]"#,
        r#"{"userName":"ana","addresses":[{"locality":"X","country":"US"}]}"#,
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let with = |name: &str, value: Value| json!({ "userName": "ana", name: value });
    for (body, kind, detail) in [
        (json!([]), Kind::InvalidSyntax, "is a list"),
        (json!("x"), Kind::InvalidSyntax, "is a string"),
        (json!({}), Kind::InvalidValue, "`userName` is required"),
        (json!({ "userName": "  " }), Kind::InvalidValue, "`userName` is required"),
        (json!({ "userName": null }), Kind::InvalidValue, "`userName` is required"),
        (json!({ "userName": "a\nb" }), Kind::InvalidValue, "control character"),
        (
            json!({ "userName": {} }),
            Kind::InvalidValue,
            "`userName` expects a string and got an object",
        ),
        (
            json!({ "userName": "a", "USERNAME": "b" }),
            Kind::InvalidSyntax,
            "`userName` is given twice",
        ),
        (
            with("active", json!(1)),
            Kind::InvalidValue,
            "`active` expects `true` or `false` and got a number",
        ),
        (with("active", json!("yes")), Kind::InvalidValue, "`active` expects"),
        (
            with("name", json!("Ana")),
            Kind::InvalidValue,
            "`name` expects an object and got a string",
        ),
        (
            with("name", json!({ "givenName": ["a", "b"] })),
            Kind::InvalidValue,
            "`name.givenName` holds one value",
        ),
        (
            with("emails", json!([7])),
            Kind::InvalidValue,
            "`emails` expects an object and got a number",
        ),
        (
            with("emails", json!([{ "value": {} }])),
            Kind::InvalidValue,
            "`emails.value` expects a string",
        ),
        (
            with("emails", json!([[{ "value": "x" }]])),
            Kind::InvalidValue,
            "`emails` expects an object and got a list",
        ),
        (
            with("x509Certificates", json!([{ "value": "no!" }])),
            Kind::InvalidValue,
            "`x509Certificates.value` expects base 64",
        ),
        (with(ENTERPRISE, json!("x")), Kind::InvalidValue, ENTERPRISE),
        (
            with(ENTERPRISE, json!({ "department": {} })),
            Kind::InvalidValue,
            "User:department` expects a string",
        ),
        (
            with(ENTERPRISE, json!({ "manager": 7 })),
            Kind::InvalidValue,
            "User:manager` expects an object and got a number",
        ),
        (
            with("title", json!("x".repeat(STRING_BYTES_MAX + 1))),
            Kind::InvalidValue,
            "`title` has 262145 bytes",
        ),
        (
            with("emails", (0..=VALUES_MAX).map(|n| json!({ "value": n.to_string() })).collect()),
            Kind::InvalidValue,
            "`emails` has 1001 values",
        ),
    ] {
        refuse(Preset::Lenient, body, kind, detail);
    }
}

#[test]
fn limits_are_reached_without_being_passed() {
    let emails: Value = (0..VALUES_MAX).map(|n| json!({ "value": n.to_string() })).collect();
    let body =
        json!({ "userName": "ana", "title": "x".repeat(STRING_BYTES_MAX), "emails": emails });
    let admitted = read(body, &ResourceType::user(), Preset::Lenient).expect("it is admitted");
    assert_eq!(admitted.resource.get("emails"), Some(&emails));
}

/// Proves S-CREATE-7, S-SCHEMA-9.
#[test]
fn the_letter_of_the_rfc_allows_less() {
    let with =
        |name: &str, value: Value| json!({ "schemas": [USER], "userName": "ana", name: value });
    for (body, kind, detail) in [
        (json!({ "userName": "ana" }), Kind::InvalidSyntax, "`schemas` is missing"),
        (json!({ "schemas": [], "userName": "ana" }), Kind::InvalidSyntax, "`schemas` is missing"),
        (json!({ "schemas": USER, "userName": "ana" }), Kind::InvalidSyntax, "must be a list"),
        (json!({ "schemas": [GROUP], "userName": "ana" }), Kind::InvalidSyntax, USER),
        (with(ENTERPRISE, json!({ "department": "D" })), Kind::InvalidSyntax, "does not list"),
        (with("shoeSize", json!(7)), Kind::InvalidSyntax, "`shoeSize`"),
        (with("name", json!({ "nick": "A" })), Kind::InvalidSyntax, "`name.nick`"),
        (with("active", json!("true")), Kind::InvalidValue, "`active`"),
        (with("title", json!(7)), Kind::InvalidValue, "`title`"),
        (with("title", json!(["a"])), Kind::InvalidValue, "`title`"),
        (with("emails", json!({ "value": "a" })), Kind::InvalidValue, "`emails` expects a list"),
        (with("emails", json!("a@x")), Kind::InvalidValue, "`emails` expects a list"),
        (with("roles", json!(["admin"])), Kind::InvalidValue, "`roles` expects an object"),
        (
            with(
                "emails",
                json!([{ "value": "a", "primary": true }, { "value": "b", "primary": true }]),
            ),
            Kind::InvalidValue,
            "`emails` has two values that are `primary`",
        ),
        (with("profileUrl", json!("my page")), Kind::InvalidValue, "`profileUrl` expects a URI"),
    ] {
        refuse(Preset::Strict, body, kind, detail);
    }
    // An empty string is a value to the RFC (RFC 7643 §2.5 names only null and the empty list).
    let admitted = read(with("title", json!("")), &ResourceType::user(), Preset::Strict);
    assert_eq!(admitted.expect("it is admitted").resource.text("title"), Some(""));
}

#[test]
fn unknown_attributes_are_kept_apart() {
    let body = json!({
        "userName": "ana", "shoeSize": 43, "manager": "7",
        "name": { "givenName": "A", "nick": "B" },
        "urn:example:unknown": { "a": 1, "b": { "c": 2 } }, "urn:example:unknown:a": 3,
        ENTERPRISE: { "floor": 3, "department": "D" },
    });
    let admitted = read(body, &ResourceType::user(), Preset::Lenient).expect("it is admitted");
    let expected = json!({
        "shoeSize": 43, "manager": "7", "name.nick": "B",
        "urn:example:unknown:a": 3, "urn:example:unknown:b": { "c": 2 },
        format!("{ENTERPRISE}:floor"): 3,
    });
    assert_eq!(Value::Object(admitted.unknown), expected);
    assert_eq!(
        Value::Object(admitted.resource.into_attributes()),
        json!({ "userName": "ana", "name": { "givenName": "A" }, ENTERPRISE: { "department": "D" } })
    );
}

#[test]
fn quirks_are_noted() {
    let user = ResourceType::user();
    for (body, expected) in [
        (json!({ "schemas": [USER], "userName": "a" }), vec![]),
        (json!({ "schemas": [USER, ENTERPRISE], "userName": "a", "groups": [] }), vec![]),
        (json!({ "userName": "a" }), vec![Quirk::SchemasMissing]),
        (
            json!({ "schemas": ["urn:scim:schemas:core:1.0"], "userName": "a" }),
            vec![Quirk::SchemasUnknown],
        ),
        (
            json!({ "schemas": [USER], "userName": "a", ENTERPRISE: { "department": "D" } }),
            vec![Quirk::SchemasIncomplete],
        ),
        (
            json!({ "schemas": [USER], "userName": 7, "active": "True" }),
            vec![Quirk::NumberForText, Quirk::BooleanText],
        ),
    ] {
        assert_eq!(quirks_of(body, &user), expected);
    }
}

#[test]
fn a_password_is_noticed_and_dropped() {
    for (body, expected) in [
        (json!({ "userName": "a", "password": "x" }), true),
        (json!({ "userName": "a", "PASSWORD": "x" }), true),
        (json!({ "userName": "a", "password": null }), false),
        (json!({ "userName": "a" }), false),
    ] {
        let admitted = read(body, &ResourceType::user(), Preset::Lenient).unwrap();
        assert_eq!(admitted.password_given, expected);
        assert_eq!(admitted.resource.to_text(), r#"{"userName":"a"}"#);
        assert!(admitted.unknown.is_empty());
    }
}

#[test]
fn members_are_read_however_they_are_spelt() {
    let member = |value: &str| Member { value: value.into(), kind: None, display: None };
    for (sent, expected) in [
        (None, None),
        (Some(json!(null)), Some(vec![])),
        (Some(json!([])), Some(vec![])),
        (Some(json!([{ "value": "1" }, { "VALUE": "2" }])), Some(vec![member("1"), member("2")])),
        (Some(json!({ "value": "1" })), Some(vec![member("1")])),
        (Some(json!("1")), Some(vec![member("1")])),
        (Some(json!(["1", "2", "1"])), Some(vec![member("1"), member("2")])),
        (Some(json!([{ "value": "1", "$ref": null, "type": null }])), Some(vec![member("1")])),
        (
            Some(json!([{ "value": "1", "type": "group", "display": "Design" }])),
            Some(vec![Member {
                value: "1".into(),
                kind: Some(MemberKind::Group),
                display: Some("Design".into()),
            }]),
        ),
        (
            Some(json!([{ "value": "1", "$ref": "https://example.com/scim/v2/Groups/1" }])),
            Some(vec![Member { value: "1".into(), kind: Some(MemberKind::Group), display: None }]),
        ),
    ] {
        let mut body = json!({ "displayName": "Guides" });
        if let Some(sent) = sent {
            body["members"] = sent;
        }
        let admitted = read(body, &ResourceType::group(), Preset::Lenient).expect("it is admitted");
        assert_eq!(admitted.members, expected);
        assert_eq!(admitted.resource.to_text(), r#"{"displayName":"Guides"}"#);
    }
}

#[test]
fn malformed_members_are_refused() {
    for (members, detail) in [
        (json!([{}]), "no `value`"),
        (json!([{ "value": "" }]), "no `value`"),
        (json!([{ "display": "Ana" }]), "no `value`"),
        (json!([null]), "must be an object"),
        (json!([[]]), "must be an object"),
        (json!(""), "an empty string"),
        (json!(true), "got a boolean"),
        (json!([{ "value": ["1"] }]), "`members.value` expects a string and got a list"),
    ] {
        let body = json!({ "displayName": "Guides", "members": members });
        let error = read(body, &ResourceType::group(), Preset::Lenient).expect_err("it is refused");
        assert_eq!(error.kind(), Some(Kind::InvalidValue));
        assert!(error.detail().contains(detail), "{error}");
    }
    let twice = json!({ "displayName": "Guides", "members": [], "Members": [] });
    let error = read(twice, &ResourceType::group(), Preset::Lenient).expect_err("it is refused");
    assert_eq!(error.kind(), Some(Kind::InvalidSyntax));
}

#[test]
fn a_put_without_active_keeps_it() {
    let user = ResourceType::user();
    let admitted = |body| read(body, &user, Preset::Lenient).expect("it is admitted").resource;
    let before = admitted(json!({ "userName": "ana", "active": false, "title": "T" }));
    for (put, expected) in [
        (
            json!({ "userName": "bo", "emails": "b@x" }),
            r#"{"userName":"bo","active":false,"emails":[{"value":"b@x"}]}"#,
        ),
        (json!({ "userName": "bo", "active": null }), r#"{"userName":"bo","active":false}"#),
        (json!({ "userName": "bo", "active": true }), r#"{"userName":"bo","active":true}"#),
    ] {
        assert_eq!(admitted(put).keeping(&before, &user).to_text(), expected);
    }
    let never_said = admitted(json!({ "userName": "ana" }));
    assert_eq!(never_said.clone().keeping(&never_said, &user), never_said);
}

/// Proves S-PUT-6.
#[test]
fn a_put_leaves_alone_what_is_fixed() {
    let schema = serde_json::from_value(json!({
        "id": "urn:example:badge", "name": "Badge", "attributes": [
            { "name": "number", "type": "string", "multiValued": false, "mutability": "immutable" },
        ],
    }))
    .expect("a schema");
    let user = ResourceType::user().with_extension(std::sync::Arc::new(schema), false);
    let resource = |number: Value| {
        let body = json!({ "userName": "ana", "urn:example:badge": { "number": number } });
        read(body, &user, Preset::Lenient).expect("it is admitted").resource
    };
    for (before, after, is_allowed) in [
        (json!(null), json!("7"), true),
        (json!("7"), json!("7"), true),
        (json!("7"), json!("8"), false),
        (json!("7"), json!(null), false),
    ] {
        let checked = resource(after).check_fixed(&resource(before), &user);
        assert_eq!(checked.is_ok(), is_allowed);
        assert_eq!(
            checked.err().and_then(|it| it.kind()),
            (!is_allowed).then_some(Kind::Mutability)
        );
    }
}

#[test]
fn long_lists_have_each_value_once_like_short_ones() {
    for length in [4, 400] {
        let elements = (0..length).map(|n| match n % 4 {
            0 => json!({ "value": "a", "type": "work" }),
            1 => json!({ "type": "work", "value": "a", "display": "A" }),
            2 => json!({ "value": "a", "primary": false }),
            _ => json!({ "type": "work", "primary": false }),
        });
        let body = json!({ "userName": "ana", "emails": elements.collect::<Vec<_>>() });
        let admitted = read(body, &ResourceType::user(), Preset::Lenient).expect("it is admitted");
        let expected = json!([
            { "value": "a", "type": "work", "display": "A" },
            { "value": "a", "primary": false },
            { "type": "work", "primary": false },
        ]);
        assert_eq!(admitted.resource.get("emails"), Some(&expected), "{length}");
    }
}

/// Arbitrary JSON whose names are those of attributes more often than not.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z{\"]{0,6}".prop_map(Value::from),
        prop_oneof!["work", "True", "", "7"].prop_map(Value::from),
    ];
    let name = prop_oneof![
        proptest::sample::select(vec![
            "userName",
            "USERNAME",
            "displayName",
            "name",
            "givenName",
            "emails",
            "value",
            "type",
            "primary",
            "roles",
            "addresses",
            "country",
            "active",
            "members",
            "manager",
            "schemas",
            "externalId",
            "x509Certificates",
            "department",
            "password",
            "id",
            ENTERPRISE,
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_admitted_is_admitted_unchanged(body in json_value(), strict in any::<bool>()) {
        let preset = if strict { Preset::Strict } else { Preset::Lenient };
        for resource_type in [ResourceType::user(), ResourceType::group()] {
            // Most arbitrary bodies lack the one required attribute.
            let mut body = body.clone();
            if let Value::Object(body) = &mut body {
                body.insert("schemas".into(), json!([resource_type.schema.id, ENTERPRISE]));
                body.entry("userName").or_insert("ana".into());
                body.entry("displayName").or_insert("Guides".into());
            }
            let Ok(first) = read(body, &resource_type, preset) else { continue };
            let printed = first.resource.to_text();
            let mut again: Map<String, Value> = serde_json::from_str(&printed).unwrap();
            again.insert("schemas".into(), json!(first.resource.schemas(&resource_type)));
            let second = read(Value::Object(again), &resource_type, preset).unwrap();
            prop_assert_eq!(second.resource.to_text(), printed.clone());
            prop_assert!(second.unknown.is_empty());
            prop_assert_eq!(Resource::from_text(&printed), Some(first.resource));
        }
    }
}
