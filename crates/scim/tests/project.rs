//! Which attributes are answered.

use std::sync::Arc;

use proptest::prelude::*;
use scim::project::Projection;
use scim::{Kind, ResourceType};
use serde_json::{Map, Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn ana() -> Map<String, Value> {
    let resource = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "id": "7",
        "externalId": "x",
        "userName": "ana",
        "name": { "familyName": "B", "givenName": "A" },
        "emails": [{ "value": "a@x", "type": "work" }, { "type": "home" }],
        "groups": [{ "value": "g" }],
        ENTERPRISE: { "department": "D", "manager": { "value": "8", "displayName": "Bo" } },
        "meta": { "resourceType": "User", "version": "W/\"1\"" },
    });
    let Value::Object(resource) = resource else { unreachable!("it is an object") };
    resource
}

fn user(attributes: Option<&str>, excluded: Option<&str>) -> Projection {
    Projection::parse(attributes, excluded, &ResourceType::user()).expect("a projection")
}

/// The answer without `schemas` and `id`, which are always there.
#[track_caller]
fn check(projection: &Projection, expected: &Value) {
    let mut answer = projection.apply(ana());
    assert!(answer.shift_remove("schemas").is_some());
    assert!(answer.shift_remove("id").is_some());
    assert_eq!(&Value::Object(answer), expected);
}

/// Proves S-PROJ-5, S-PROJ-6, S-PROJ-7, S-PROJ-9, S-PROJ-10.
#[test]
fn named_attributes_are_answered_and_no_others() {
    for (attributes, expected) in [
        ("userName", json!({ "userName": "ana" })),
        ("USERNAME, ,externalid", json!({ "externalId": "x", "userName": "ana" })),
        ("foo", json!({})),
        ("id", json!({})),
        ("title", json!({})),
        ("name", json!({ "name": { "familyName": "B", "givenName": "A" } })),
        ("name.givenName", json!({ "name": { "givenName": "A" } })),
        ("name.givenName,name", json!({ "name": { "familyName": "B", "givenName": "A" } })),
        ("name.middleName", json!({})),
        ("emails.value", json!({ "emails": [{ "value": "a@x" }] })),
        (
            "emails[type eq \"work\"]",
            json!({ "emails": [{ "value": "a@x", "type": "work" }, { "type": "home" }] }),
        ),
        (
            "emails[value eq \"a,]\\\"b\"].type,name.givenName",
            json!({ "name": { "givenName": "A" }, "emails": [{ "type": "work" }, { "type": "home" }] }),
        ),
        ("groups", json!({ "groups": [{ "value": "g" }] })),
        ("meta.version", json!({ "meta": { "version": "W/\"1\"" } })),
        (ENTERPRISE, json!({ ENTERPRISE: { "department": "D", "manager": { "value": "8" } } })),
        (&format!("{ENTERPRISE}:department"), json!({ ENTERPRISE: { "department": "D" } })),
        (
            &format!("{ENTERPRISE}:manager.displayName"),
            json!({ ENTERPRISE: { "manager": { "displayName": "Bo" } } }),
        ),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName", json!({ "userName": "ana" })),
        ("department", json!({ ENTERPRISE: { "department": "D" } })),
        ("password", json!({})),
    ] {
        check(&user(Some(attributes), None), &expected);
    }
}

/// Proves S-PROJ-3.
#[test]
fn excluded_attributes_are_left_out() {
    let all = "externalId,userName,name,emails,groups,meta";
    for (excluded, expected) in [
        (format!("id,schemas,{all},{ENTERPRISE}"), json!({})),
        (format!("{all},{ENTERPRISE}:manager"), json!({ ENTERPRISE: { "department": "D" } })),
        (
            format!("externalId,userName,groups,meta,{ENTERPRISE},name.familyName,emails.type"),
            json!({ "name": { "givenName": "A" }, "emails": [{ "value": "a@x" }] }),
        ),
        (
            format!(
                "{all},{ENTERPRISE}:department,{ENTERPRISE}:manager.value,{ENTERPRISE}:manager.$ref"
            ),
            json!({}),
        ),
    ] {
        check(&user(None, Some(&excluded)), &expected);
    }
}

/// Proves S-PROJ-13.
#[test]
fn what_is_returned_on_request_needs_to_be_asked_for() {
    let schema = serde_json::from_value(json!({
        "id": "urn:example:badge", "name": "Badge", "attributes": [
            { "name": "photo", "type": "string", "multiValued": false, "returned": "request" },
            { "name": "pin", "type": "string", "multiValued": false, "returned": "never" },
            { "name": "number", "type": "string", "multiValued": false, "returned": "always" },
        ],
    }))
    .unwrap();
    let user = ResourceType::user().with_extension(Arc::new(schema), false);
    let badge = json!({ "photo": "P", "pin": "1", "number": "7" });
    let resource = Map::from_iter([("urn:example:badge".to_owned(), badge)]);
    for (attributes, excluded, expected) in [
        (None, None, json!({ "number": "7" })),
        (Some("userName"), None, json!({ "number": "7" })),
        (Some("urn:example:badge"), None, json!({ "number": "7" })),
        (Some("urn:example:badge:photo"), None, json!({ "photo": "P", "number": "7" })),
        (Some("urn:example:badge:pin"), None, json!({ "number": "7" })),
        (None, Some("urn:example:badge:number"), json!({ "number": "7" })),
    ] {
        let projection = Projection::parse(attributes, excluded, &user).unwrap();
        let answer = projection.apply(resource.clone());
        assert_eq!(answer["urn:example:badge"], expected, "{attributes:?} {excluded:?}");
        assert!(!projection.is_whole());
    }
}

#[test]
fn who_asks_for_nothing_gets_what_is_kept() {
    for (attributes, excluded, is_whole) in [
        (None, None, true),
        (Some(""), Some(" "), true),
        (None, Some("foo, "), true),
        (None, Some("title"), false),
        (Some("foo"), None, false),
    ] {
        let projection = user(attributes, excluded);
        assert_eq!(projection.is_whole(), is_whole, "{attributes:?} {excluded:?}");
        assert_eq!(projection == Projection::whole(&ResourceType::user()), is_whole);
    }
}

#[test]
fn the_two_parameters_exclude_each_other() {
    let error = Projection::parse(Some("userName"), Some("emails"), &ResourceType::user());
    assert_eq!(error.unwrap_err().kind(), Some(Kind::InvalidValue));
}

/// Proves S-PROJ-11.
#[test]
fn what_is_not_wanted_need_not_be_loaded() {
    let group = ResourceType::group();
    for (attributes, excluded, wants, wants_display) in [
        (None, None, true, true),
        (None, Some("members"), false, false),
        (None, Some("MEMBERS,meta"), false, false),
        (None, Some("members.display"), true, false),
        (Some("displayName"), None, false, false),
        (Some("members.value"), None, true, false),
        (Some("members"), None, true, true),
    ] {
        let projection = Projection::parse(attributes, excluded, &group).unwrap();
        assert_eq!(projection.wants("members"), wants);
        assert_eq!(projection.wants_part("members", "display"), wants_display);
        assert!(projection.wants("id"));
    }
}

proptest! {
    #[test]
    fn no_list_of_names_panics(text in "[a-zA-Z\\.,:\\[\\]\" \\\\]{0,40}", excludes in any::<bool>()) {
        let projection = if excludes { user(None, Some(&text)) } else { user(Some(&text), None) };
        let answer = projection.apply(ana());
        prop_assert!(answer.contains_key("id") && answer.contains_key("schemas"));
        // Projecting twice is projecting once.
        prop_assert_eq!(projection.apply(answer.clone()), answer);
    }

    #[test]
    fn a_text_is_projected_as_the_resource_is_to_the_byte(
        resource in resource(),
        names in prop::collection::vec(prop::sample::select(NAMES), 0..5),
        excludes in any::<bool>(),
    ) {
        let names = names.join(",");
        let projection = if excludes { user(None, Some(&names)) } else { user(Some(&names), None) };
        let text = serde_json::to_string(&resource).unwrap();
        let mut answer = String::from("before");
        projection.apply_to_text(&text, &mut answer).unwrap();
        let expected = serde_json::to_string(&projection.apply(resource)).unwrap();
        prop_assert_eq!(answer, format!("before{expected}"));
    }
}

const NAMES: &[&str] = &[
    "userName",
    "name",
    "name.givenName",
    "emails",
    "emails.value",
    "emails.primary",
    "schemas",
    "id",
    "meta",
    "meta.version",
    "groups",
    "password",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    "foo",
];

/// A user with some of these, in any order, of the right type or of another.
fn resource() -> impl Strategy<Value = Map<String, Value>> {
    let simple = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let part = prop::sample::select(vec![
        "value",
        "primary",
        "givenName",
        "familyName",
        "version",
        "manager",
        "department",
        "\"é\n",
        "displayName",
    ]);
    let value = simple.prop_recursive(3, 16, 4, move |inner| {
        let object = prop::collection::vec((part.clone(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|parts| {
                Value::Object(parts.into_iter().map(|(name, it)| (name.to_owned(), it)).collect())
            }),
        ]
    });
    let name = prop::sample::select(vec![
        "schemas",
        "id",
        "meta",
        "userName",
        "name",
        "emails",
        "groups",
        "password",
        "unknown\u{7}",
        "",
        ENTERPRISE,
        "urn:example:unknown",
    ]);
    prop::collection::vec((name, value), 0..8)
        .prop_map(|all| all.into_iter().map(|(name, it)| (name.to_owned(), it)).collect())
}
