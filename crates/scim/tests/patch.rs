//! What a PATCH makes of a resource.

use proptest::prelude::*;
use scim::dialect::{Quirk, Quirks};
use scim::group::{Member, MemberOperation};
use scim::limit::{PATCH_MEMBER_SEARCHES_MAX, PATCH_OPERATIONS_MAX, VALUES_MAX};
use scim::patch::{PATCH_OP_SCHEMA, Patch};
use scim::schema::{Attribute, Mutability, Type};
use scim::{Error, Kind, Preset, Resource, ResourceType, admit::admit};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const MANAGER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";

/// A case of `data/patches.json`. A result is a resource, or the keyword of an error.
#[derive(Deserialize)]
struct Case {
    claim: String,
    r#type: String,
    before: Value,
    operations: Value,
    both: Option<Value>,
    strict: Option<Value>,
    lenient: Option<Value>,
}

#[test]
fn every_vector_holds_under_both_presets() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/patches.json")).unwrap();
    assert_eq!(cases.len(), 68);
    for case in &cases {
        let resource_type =
            if case.r#type == "User" { ResourceType::user() } else { ResourceType::group() };
        for (preset, expected) in [(Preset::Strict, &case.strict), (Preset::Lenient, &case.lenient)]
        {
            let expected = expected.as_ref().or(case.both.as_ref()).expect("a result");
            let got = match carry_out(&case.before, &case.operations, &resource_type, preset) {
                Ok(resource) => resource,
                Err(error) => Value::from(error.kind().expect("a keyword").as_str()),
            };
            assert_eq!(comparable(got), comparable(expected.clone()), "{} {preset:?}", case.claim);
        }
    }
}

/// Patches a resource in its full representation, members and `id` included.
fn carry_out(
    before: &Value,
    operations: &Value,
    resource_type: &ResourceType,
    preset: Preset,
) -> Result<Value, Error> {
    let admitted = admit(before.clone(), resource_type, Preset::Lenient, &mut Quirks::new())?;
    let patch = parse(operations.clone(), resource_type, preset)?;
    patch.check_id(before["id"].as_str().unwrap_or("none"))?;
    let after = patch.apply(&admitted.resource, resource_type)?;
    let members = members_after(admitted.members.unwrap_or_default(), patch.members());
    let mut full = after.into_attributes();
    if let Some(id) = before.get("id") {
        full.insert("id".into(), id.clone());
    }
    if !members.is_empty() {
        full.insert("members".into(), members.iter().map(|it| Value::from(it.to_json())).collect());
    }
    Ok(Value::Object(full))
}

/// What whoever keeps the rows makes of the operations.
fn members_after(mut members: Vec<Member>, operations: &[MemberOperation]) -> Vec<Member> {
    for operation in operations {
        match operation {
            MemberOperation::Add(added) => {
                for member in added {
                    if !members.iter().any(|it| it.value == member.value) {
                        members.push(member.clone());
                    }
                }
            }
            MemberOperation::Remove(ids) => members.retain(|it| !ids.contains(&it.value)),
            MemberOperation::Replace(all) => members.clone_from(all),
            MemberOperation::RemoveMatching(filter) => members.retain(|it| !it.matches(filter)),
            MemberOperation::RemoveAll => members.clear(),
        }
    }
    members
}

/// `"primary":false` is the same as none.
fn comparable(mut resource: Value) -> Value {
    let lists = resource.as_object_mut().into_iter().flat_map(|it| it.values_mut());
    for element in lists.filter_map(Value::as_array_mut).flatten() {
        if element["primary"] == json!(false) {
            element.as_object_mut().unwrap().remove("primary");
        }
    }
    resource
}

fn parse(operations: Value, resource_type: &ResourceType, preset: Preset) -> Result<Patch, Error> {
    let mut body = json!({ "schemas": [PATCH_OP_SCHEMA] });
    body["Operations"] = operations;
    Patch::parse(body, resource_type, preset, &mut Quirks::new())
}

/// Patches a user that is in its canonical form and compares the result with its order.
#[track_caller]
fn check(before: &str, operations: Value, expected: &str) {
    let user = ResourceType::user();
    let before = Resource::from_text(before).expect("a resource");
    let patch = parse(operations, &user, Preset::Lenient).expect("the patch is read");
    let after = patch.apply(&before, &user).expect("the patch is applied");
    assert_eq!(after.to_text(), expected);
}

#[track_caller]
fn refuse(before: &str, operations: Value, kind: Kind, detail: &str) {
    let user = ResourceType::user();
    let before = Resource::from_text(before).expect("a resource");
    let error = parse(operations, &user, Preset::Lenient)
        .and_then(|patch| patch.apply(&before, &user))
        .expect_err("the patch is refused");
    assert_eq!((error.status(), error.kind()), (400, Some(kind)), "{error}");
    assert!(error.detail().contains(detail), "{error}");
}

/// Says what a patch of a group does to its members.
#[track_caller]
fn check_members(operations: Value, expected: &[MemberOperation]) {
    let patch = parse(operations, &ResourceType::group(), Preset::Lenient).expect("it is read");
    assert_eq!(patch.members(), expected);
}

const ANA: &str = r#"{"userName":"ana"}"#;

#[test]
fn names_in_a_path_less_value_may_be_paths() {
    for (value, expected) in [
        (json!({ "TITLE": "T" }), r#"{"userName":"ana","title":"T"}"#.to_owned()),
        (
            json!({ "name.givenName": "A", "name.familyName": "B" }),
            r#"{"userName":"ana","name":{"familyName":"B","givenName":"A"}}"#.to_owned(),
        ),
        (
            json!({ "emails[type eq \"work\"].value": "a@x" }),
            r#"{"userName":"ana","emails":[{"value":"a@x","type":"work"}]}"#.to_owned(),
        ),
        (
            json!({ format!("{ENTERPRISE}:department"): "D" }),
            format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"department":"D"}}}}"#),
        ),
        (
            json!({ ENTERPRISE.to_uppercase(): { "DEPARTMENT": "D", "schemas": [] } }),
            format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"department":"D"}}}}"#),
        ),
        (
            json!({ "department": "D" }),
            format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"department":"D"}}}}"#),
        ),
        (
            json!({ "id": "7", "schemas": ["x"], "meta": {}, "groups": [], "active": "False" }),
            r#"{"userName":"ana","active":false}"#.to_owned(),
        ),
    ] {
        for op in ["add", "replace"] {
            check(ANA, json!([{ "op": op, "value": value }]), &expected);
        }
    }
}

#[test]
fn what_no_schema_has_is_set_aside_in_values_and_refused_in_paths() {
    let user = ResourceType::user();
    let value = json!({ "shoeSize": 43, "name": { "nick": "A" }, "urn:x:y": 1, "title": "T" });
    let patch =
        parse(json!([{ "op": "replace", "value": value }]), &user, Preset::Lenient).unwrap();
    let expected = json!({ "shoeSize": 43, "name.nick": "A", "urn:x:y": 1 });
    assert_eq!(Value::Object(patch.unknown().clone()), expected);
    let after = patch.apply(&Resource::from_text(ANA).unwrap(), &user).unwrap();
    assert_eq!(after.to_text(), r#"{"userName":"ana","title":"T"}"#);

    // Of several operations, the last one holds.
    let operations = json!([
        { "op": "add", "value": { "shoeSize": 43, "urn:x:y": { "a": 1, "b": 1 } } },
        { "op": "add", "value": { "shoeSize": 44, "urn:x:y:a": 2 } },
        { "op": "add", "value": { "urn:x:y": { "a": 3 } } },
    ]);
    let patch = parse(operations, &user, Preset::Lenient).unwrap();
    let expected = json!({ "shoeSize": 44, "urn:x:y:a": 3, "urn:x:y:b": 1 });
    assert_eq!(Value::Object(patch.unknown().clone()), expected);

    for path in ["shoeSize", "name.nick", "urn:x:y", "a b", "emails[0]", "/title", "title."] {
        refuse(
            ANA,
            json!([{ "op": "replace", "path": path, "value": "x" }]),
            Kind::InvalidPath,
            "",
        );
    }
}

#[test]
fn a_manager_is_read_however_it_is_spelt() {
    let before = format!(
        r#"{{"userName":"ana","{ENTERPRISE}":{{"manager":{{"value":"1","$ref":"/Users/1"}}}}}}"#
    );
    let expected = format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"manager":{{"value":"7"}}}}}}"#);
    for (path, value) in [
        (MANAGER.to_owned(), json!("7")),
        (MANAGER.to_owned(), json!({ "value": "7" })),
        (MANAGER.to_owned(), json!([{ "value": "7" }])),
        (format!("{MANAGER}.value"), json!("7")),
        ("manager".to_owned(), json!([{ "value": "7", "displayName": "Bo" }])),
        (ENTERPRISE.to_owned(), json!({ "manager": "7" })),
    ] {
        for op in ["add", "replace"] {
            check(&before, json!([{ "op": op, "path": path, "value": value }]), &expected);
        }
    }
    for cleared in [json!(""), json!(null), json!({}), json!([]), json!({ "value": "" })] {
        check(&before, json!([{ "op": "Replace", "path": MANAGER, "value": cleared }]), ANA);
    }
    check(&before, json!([{ "op": "remove", "path": MANAGER }]), ANA);
    check(&before, json!([{ "op": "remove", "path": ENTERPRISE }]), ANA);
}

#[test]
fn values_are_built_piece_by_piece() {
    check(
        ANA,
        json!([
            { "op": "Add", "path": "emails[type eq \"work\"].primary", "value": "true" },
            { "op": "Add", "path": "emails[type eq \"work\"].type", "value": "work" },
            { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a@x" },
        ]),
        r#"{"userName":"ana","emails":[{"value":"a@x","type":"work","primary":true}]}"#,
    );
    check(
        ANA,
        json!([{ "op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "admin" }]),
        r#"{"userName":"ana","roles":[{"value":"admin","primary":true}]}"#,
    );
    check(
        ANA,
        json!([{ "op": "Add", "path": "roles", "value": "{\"id\":\"0\",\"value\":\"25\",\"displayName\":\"Admin\"}" }]),
        r#"{"userName":"ana","roles":[{"value":"25","display":"Admin"}]}"#,
    );
}

/// Proves S-PATCH-17.
#[test]
fn values_that_only_primary_told_apart_are_one_when_it_moves() {
    check(
        r#"{"userName":"ana","addresses":[{"primary":false},{"primary":true}]}"#,
        json!({ "op": "add", "path": "addresses", "value": { "country": "FI", "primary": true } }),
        r#"{"userName":"ana","addresses":[{"primary":false},{"country":"FI","primary":true}]}"#,
    );
}

#[test]
fn one_value_is_primary_at_most() {
    let before = r#"{"userName":"ana","emails":[{"value":"a","type":"work","primary":true},{"value":"b","type":"home"}]}"#;
    let b_is_primary = r#"{"userName":"ana","emails":[{"value":"a","type":"work","primary":false},{"value":"b","type":"home","primary":true}]}"#;
    for operation in [
        json!({ "op": "replace", "path": "emails[type eq \"home\"].primary", "value": true }),
        json!({ "op": "add", "path": "emails", "value": [{ "value": "b", "type": "home", "primary": true }] }),
        json!({ "op": "replace", "path": "emails[value eq \"b\"]", "value": { "primary": true } }),
    ] {
        check(before, json!([operation]), b_is_primary);
    }
    for operation in [
        json!({ "op": "replace", "path": "emails[value pr].primary", "value": true }),
        json!({ "op": "replace", "path": "emails.primary", "value": true }),
        json!({ "op": "replace", "path": "emails", "value": [{ "value": "a", "primary": true }, { "value": "b", "primary": true }] }),
    ] {
        refuse(before, json!([operation]), Kind::InvalidValue, "two values that are `primary`");
    }
    // Removing the primary one does not elect another.
    check(
        before,
        json!([{ "op": "remove", "path": "emails[primary eq true]" }]),
        r#"{"userName":"ana","emails":[{"value":"b","type":"home"}]}"#,
    );
}

#[test]
fn a_remove_with_values_removes_these() {
    let before = r#"{"userName":"ana","emails":[{"value":"a","type":"work"},{"value":"b","type":"home"}],"addresses":[{"locality":"X"},{"locality":"Y"}]}"#;
    let addresses = r#""addresses":[{"locality":"X"},{"locality":"Y"}]"#;
    let b_is_left =
        format!(r#"{{"userName":"ana","emails":[{{"value":"b","type":"home"}}],{addresses}}}"#);
    for value in [
        json!([{ "value": "a" }]),
        json!({ "value": "A" }),
        json!("a"),
        json!(["a", "zz"]),
        json!([{ "value": "a", "$ref": null, "display": "other" }]),
        json!({ "emails": [{ "value": "a" }] }),
    ] {
        check(before, json!([{ "op": "Remove", "path": "emails", "value": value }]), &b_is_left);
    }
    check(
        before,
        json!([{ "op": "Remove", "path": "addresses", "value": [{ "locality": "x" }] }, { "op": "Remove", "path": "emails" }]),
        r#"{"userName":"ana","addresses":[{"locality":"Y"}]}"#,
    );
    for value in [json!([]), json!({}), json!(""), json!([{}]), json!({ "emails": [] })] {
        let operation = json!([{ "op": "Remove", "path": "emails", "value": value }]);
        refuse(before, operation, Kind::InvalidValue, "names nothing");
    }
    let literal = parse(
        json!([{ "op": "remove", "path": "emails", "value": [{ "value": "a" }] }]),
        &ResourceType::user(),
        Preset::Strict,
    );
    assert_eq!(literal.unwrap_err().kind(), Some(Kind::InvalidValue));
}

#[test]
fn what_is_left_empty_vanishes() {
    check(
        r#"{"userName":"ana","name":{"givenName":"A"}}"#,
        json!([{ "op": "replace", "path": "name.givenName", "value": "" }]),
        ANA,
    );
    check(
        r#"{"userName":"ana","name":{"givenName":"A"}}"#,
        json!([{ "op": "replace", "value": { "name": { "givenName": null } } }]),
        ANA,
    );
    check(
        r#"{"userName":"ana","emails":[{"value":"a"}]}"#,
        json!([{ "op": "remove", "path": "emails.value" }]),
        ANA,
    );
    check(
        r#"{"userName":"ana","emails":[{"value":"a"}]}"#,
        json!([{ "op": "replace", "path": "emails[value eq \"a\"]", "value": null }]),
        ANA,
    );
    check(
        &format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"department":"D"}}}}"#),
        json!([{ "op": "remove", "path": format!("{ENTERPRISE}:department") }]),
        ANA,
    );
    check(
        &format!(r#"{{"userName":"ana","{ENTERPRISE}":{{"department":"D"}}}}"#),
        json!([{ "op": "remove", "path": format!("schemas[value eq \"{ENTERPRISE}\"]") }]),
        ANA,
    );
}

/// Proves S-PATCHREM-12.
#[test]
fn every_attribute_that_is_not_required_can_be_removed() {
    fn example(attribute: &Attribute) -> Value {
        let one = match attribute.kind {
            Type::Complex => {
                let parts = attribute.sub_attributes.iter().filter(|it| !it.is_read_only());
                parts.map(|it| (it.name.clone(), example(it))).collect::<Map<_, _>>().into()
            }
            Type::Boolean => json!(true),
            Type::Decimal | Type::Integer => json!(7),
            Type::DateTime => json!("2026-01-31T12:00:00Z"),
            Type::Binary => json!("aGVsbG8="),
            Type::String | Type::Reference => json!("https://acme.example/x"),
        };
        if attribute.multi_valued { json!([one]) } else { one }
    }
    let user = ResourceType::user();
    let before = Resource::from_text(ANA).unwrap();
    let mut count = 0;
    for (place, schema) in user.schemas().enumerate() {
        for attribute in &schema.attributes {
            if attribute.required || attribute.mutability != Mutability::ReadWrite {
                continue;
            }
            let path = match place {
                0 => attribute.name.clone(),
                _ => format!("{}:{}", schema.id, attribute.name),
            };
            let apply = |before: &Resource, operation: Value| {
                let patch = parse(json!([operation]), &user, Preset::Strict).expect(&path);
                patch.apply(before, &user).expect(&path)
            };
            let value = example(attribute);
            let set = apply(&before, json!({ "op": "add", "path": path, "value": value }));
            assert_ne!(set, before, "{path}");
            assert_eq!(apply(&set, json!({ "op": "remove", "path": path })), before, "{path}");
            count += 1;
        }
    }
    assert_eq!(count, 24, "attributes of users that can be written and need not be there");
}

#[test]
fn what_asks_for_nothing_changes_nothing() {
    let before = r#"{"userName":"ana","emails":[{"value":"a","type":"work"}]}"#;
    for operations in [
        json!([]),
        json!([{ "op": "add", "value": {} }]),
        json!([{ "op": "add", "path": "emails", "value": [] }]),
        json!([{ "op": "add", "path": "emails", "value": [{ "type": "work", "value": "a", "primary": false }] }]),
        json!([{ "op": "remove", "path": "emails[type eq \"home\"]" }]),
        json!([{ "op": "remove", "path": "emails[type eq \"home\"].value" }]),
        json!([{ "op": "remove", "path": "title" }]),
        json!([{ "op": "remove", "path": ENTERPRISE }]),
        json!([{ "op": "add", "path": "schemas", "value": ["urn:x"] }]),
        json!([{ "op": "replace", "path": "password", "value": "secret" }]),
        json!([{ "op": "replace", "path": "emails[type eq \"home\"].value", "value": null }]),
        json!([{ "op": "replace", "path": ENTERPRISE, "value": {} }]),
    ] {
        check(before, operations, before);
    }
}

#[test]
fn values_stand_in_the_order_of_their_schema() {
    check(
        r#"{"userName":"ana","active":true}"#,
        json!([
            { "op": "add", "path": ENTERPRISE, "value": { "department": "D" } },
            { "op": "add", "path": format!("{ENTERPRISE}:costCenter"), "value": "C" },
            { "op": "add", "path": "title", "value": "T" },
            { "op": "add", "path": "externalId", "value": "7" },
            { "op": "add", "path": "emails", "value": [{ "type": "work", "value": "a" }] },
        ]),
        &format!(
            r#"{{"externalId":"7","userName":"ana","title":"T","active":true,"emails":[{{"value":"a","type":"work"}}],"{ENTERPRISE}":{{"costCenter":"C","department":"D"}}}}"#
        ),
    );
}

#[test]
fn what_cannot_be_done_is_refused_and_says_why() {
    let before = r#"{"userName":"ana","emails":[{"value":"a","type":"work"}]}"#;
    for (operation, kind, detail) in [
        (json!({ "op": "remove" }), Kind::NoTarget, "no `path`"),
        (json!({ "op": "remove", "value": { "emails": [] } }), Kind::NoTarget, "no `path`"),
        (json!({ "op": "remove", "path": "userName" }), Kind::Mutability, "`userName` is required"),
        (
            json!({ "op": "replace", "path": "userName", "value": null }),
            Kind::InvalidValue,
            "`userName` is required",
        ),
        (
            json!({ "op": "replace", "path": "userName", "value": " " }),
            Kind::InvalidValue,
            "`userName` is required",
        ),
        (
            json!({ "op": "replace", "path": "userName", "value": "a\u{0}" }),
            Kind::InvalidValue,
            "control character",
        ),
        (
            json!({ "op": "add", "path": "id", "value": "7" }),
            Kind::Mutability,
            "`id` is set by the server",
        ),
        (json!({ "op": "remove", "path": "meta.created" }), Kind::Mutability, "`meta.created`"),
        (json!({ "op": "add", "path": "groups", "value": [] }), Kind::Mutability, "`groups`"),
        (json!({ "op": "remove", "path": "schemas" }), Kind::Mutability, "`schemas`"),
        (
            json!({ "op": "replace", "path": "schemas", "value": [ENTERPRISE] }),
            Kind::Mutability,
            "`schemas`",
        ),
        (json!({ "op": "add", "path": "title" }), Kind::InvalidValue, "no `value`"),
        (json!({ "op": "add" }), Kind::InvalidValue, "has none"),
        (json!({ "op": "add", "value": "x" }), Kind::InvalidValue, "has a string"),
        (
            json!({ "op": "add", "value": { "title": "a", "Title": "b" } }),
            Kind::InvalidSyntax,
            "given twice",
        ),
        (
            json!({ "op": "add", "op ": "x", "OP": "add" }),
            Kind::InvalidSyntax,
            "`op` is given twice",
        ),
        (json!({ "path": "title", "value": "x" }), Kind::InvalidSyntax, "no `op`"),
        (
            json!({ "op": "test", "path": "title", "value": "x" }),
            Kind::InvalidValue,
            "`op` must be",
        ),
        (json!("add"), Kind::InvalidSyntax, "is a string"),
        (json!({ "op": "add", "path": 7, "value": "x" }), Kind::InvalidPath, "is a number"),
        (
            json!({ "op": "add", "path": ENTERPRISE, "value": "x" }),
            Kind::InvalidValue,
            "has a string",
        ),
        (
            json!({ "op": "replace", "path": "emails[type ne \"work\"].value", "value": "x" }),
            Kind::NoTarget,
            "`emails`",
        ),
        (
            json!({ "op": "replace", "path": "emails[type eq \"home\"].type", "value": "other" }),
            Kind::NoTarget,
            "`emails`",
        ),
        (
            json!({ "op": "replace", "path": "emails[type eq \"a\" and type eq \"b\"].value", "value": "x" }),
            Kind::NoTarget,
            "`emails`",
        ),
        // What could not be sent is not created of a filter either.
        (
            json!({ "op": "add", "path": "x509Certificates[value eq \"a@x\"].display", "value": "x" }),
            Kind::NoTarget,
            "`x509Certificates`",
        ),
        (
            json!({ "op": "replace", "path": "emails[type eq]", "value": {} }),
            Kind::InvalidFilter,
            "",
        ),
        (
            json!({ "op": "replace", "path": "active", "value": "Switch" }),
            Kind::InvalidValue,
            "`active` expects",
        ),
    ] {
        refuse(before, json!([operation]), kind, detail);
    }
}

#[test]
fn the_message_may_be_dressed_oddly() {
    let operation = json!({ "OP": "Replace", "Path": "title", "VALUE": "T" });
    let user = ResourceType::user();
    for (body, expected) in [
        (
            json!({ "schemas": [PATCH_OP_SCHEMA], "operations": [operation] }),
            vec![Quirk::OperationCase],
        ),
        (json!({ "Operations": [operation] }), vec![Quirk::SchemasMissing, Quirk::OperationCase]),
        (json!([operation]), vec![Quirk::OperationsBare, Quirk::OperationCase]),
        (
            json!({ "schemas": ["urn:scim"], "Operations": operation }),
            vec![Quirk::SchemasUnknown, Quirk::OperationSingle, Quirk::OperationCase],
        ),
    ] {
        let mut quirks = Quirks::new();
        let patch = Patch::parse(body.clone(), &user, Preset::Lenient, &mut quirks).unwrap();
        let after = patch.apply(&Resource::from_text(ANA).unwrap(), &user).unwrap();
        assert_eq!(after.text("title"), Some("T"));
        assert_eq!(quirks.iter().collect::<Vec<_>>(), expected);
        if expected.len() > 1 {
            let strict = Patch::parse(body, &user, Preset::Strict, &mut Quirks::new());
            assert_eq!(strict.unwrap_err().kind(), Some(Kind::InvalidSyntax));
        }
    }
    for body in [json!(null), json!("x"), json!({}), json!({ "Operations": "x" })] {
        let error = Patch::parse(body, &user, Preset::Lenient, &mut Quirks::new()).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::InvalidSyntax));
    }
    let empty = parse(json!([]), &user, Preset::Strict).unwrap_err();
    assert_eq!(empty.kind(), Some(Kind::InvalidSyntax));
}

#[test]
fn removing_many_values_by_name_compares_each_once() {
    let user = ResourceType::user();
    let emails = |from: usize| -> Value {
        (from..from + VALUES_MAX).map(|n| json!({ "value": format!("{n}@x") })).collect()
    };
    let before = json!({ "userName": "ana", "emails": emails(0) }).to_string();
    let before = Resource::from_text(&before).unwrap();
    let strangers = json!({ "op": "remove", "path": "emails", "value": emails(VALUES_MAX) });
    let all = json!({ "op": "remove", "path": "emails", "value": emails(0) });
    // 100 million comparisons one by one, and two seconds even when they are optimised.
    let mut operations = vec![strangers; 100];
    operations.push(all);
    let patch = parse(operations.into(), &user, Preset::Lenient).unwrap();
    let begun = std::time::Instant::now();
    let after = patch.apply(&before, &user).unwrap();
    assert_eq!(after.to_text(), r#"{"userName":"ana"}"#);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn limits_are_reached_without_being_passed() {
    let user = ResourceType::user();
    let operations = |count| vec![json!({ "op": "remove", "path": "title" }); count].into();
    assert!(parse(operations(PATCH_OPERATIONS_MAX), &user, Preset::Strict).is_ok());
    let error = parse(operations(PATCH_OPERATIONS_MAX + 1), &user, Preset::Strict).unwrap_err();
    assert_eq!(error.status(), 413);

    let group = ResourceType::group();
    let by = |filter: &str, count: usize| {
        let path = format!("members[{filter}]");
        let operations = vec![json!({ "op": "remove", "path": path }); count];
        parse(operations.into(), &group, Preset::Strict)
    };
    assert!(by("display eq \"x\"", PATCH_MEMBER_SEARCHES_MAX).is_ok());
    let error = by("display eq \"x\"", PATCH_MEMBER_SEARCHES_MAX + 1).unwrap_err();
    assert_eq!(error.status(), 413);
    assert!(by("value eq \"x\"", PATCH_OPERATIONS_MAX).is_ok(), "ids are looked up");

    let emails: Value = (0..VALUES_MAX).map(|n| json!({ "value": n.to_string() })).collect();
    let full = Resource::from_text(&json!({ "userName": "ana", "emails": emails }).to_string());
    let add = |value: &str| {
        let operations = json!([{ "op": "add", "path": "emails", "value": [{ "value": value }] }]);
        parse(operations, &user, Preset::Strict).unwrap().apply(full.as_ref().unwrap(), &user)
    };
    assert_eq!(add("7").unwrap(), full.clone().unwrap());
    assert!(add("new").unwrap_err().detail().contains("would have 1001 values"));
}

/// Proves S-PATCHREM-9.
#[test]
fn all_spellings_of_removing_a_member_remove_exactly_that_member() {
    let one = [MemberOperation::Remove(vec!["u1".into()])];
    for operation in [
        json!({ "op": "remove", "path": "members[value eq \"u1\"]" }),
        json!({ "op": "remove", "path": "members[value eq\"u1\"]" }),
        json!({ "op": "remove", "path": "members[value eq \"u1\"]", "value": null }),
        json!({ "op": "Remove", "path": "members", "value": [{ "value": "u1" }] }),
        json!({ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": "u1" }] }),
        json!({ "op": "Remove", "path": "members", "value": { "value": "u1" } }),
        json!({ "op": "Remove", "path": "members", "value": "u1" }),
        json!({ "op": "Remove", "path": "members", "value": ["u1"] }),
        json!({ "op": "Remove", "path": "members", "value": { "members": [{ "value": "u1" }] } }),
    ] {
        check_members(json!([operation]), &one);
    }
    let two = [MemberOperation::Remove(vec!["u1".into(), "u2".into()])];
    check_members(
        json!([{ "op": "remove", "path": "members[value eq \"u1\" or value eq \"u2\"]" }]),
        &two,
    );
    check_members(
        json!([{ "op": "remove", "path": "members", "value": ["u1", "u2", "u1"] }]),
        &two,
    );
    for everybody in [
        json!({ "op": "remove", "path": "members" }),
        json!({ "op": "remove", "path": "members", "value": null }),
    ] {
        check_members(json!([everybody]), &[MemberOperation::RemoveAll]);
    }
}

#[test]
fn a_malformed_removal_of_members_is_refused() {
    for operation in [
        json!({ "op": "remove", "path": "members", "value": [] }),
        json!({ "op": "remove", "path": "members", "value": "" }),
        json!({ "op": "remove", "path": "members", "value": {} }),
        json!({ "op": "remove", "path": "members", "value": [{}] }),
        json!({ "op": "remove", "path": "members", "value": [null] }),
        json!({ "op": "remove", "path": "members", "value": { "members": [] } }),
        json!({ "op": "remove", "path": "members", "value": { "members": null } }),
        json!({ "op": "remove", "path": "members", "value": [{ "display": "Ana" }] }),
        json!({ "op": "remove", "path": "members", "value": true }),
        json!({ "op": "remove", "path": "members[]" }),
        json!({ "op": "remove", "path": "members[value eq]" }),
        json!({ "op": "remove", "path": "members[" }),
        json!({ "op": "remove", "path": "members.value" }),
        json!({ "op": "remove", "value": { "members": [{ "value": "u1" }] } }),
        json!({ "op": "remove" }),
    ] {
        let error = parse(json!([operation]), &ResourceType::group(), Preset::Lenient);
        assert_eq!(error.expect_err("it is refused").status(), 400, "{operation}");
    }
}

#[test]
fn members_are_split_off_in_order() {
    let member = |value: &str| Member { value: value.into(), kind: None, display: None };
    check_members(
        json!([
            { "op": "remove", "path": "members[value eq \"u1\"]" },
            { "op": "add", "path": "members", "value": [{ "value": "u2", "display": "Bo" }] },
            { "op": "replace", "value": { "id": "g1", "displayName": "New" } },
            { "op": "replace", "value": { "members": [{ "value": "u3" }, "u4"] } },
            { "op": "replace", "path": "members", "value": [] },
            { "op": "add", "path": "members", "value": [] },
        ]),
        &[
            MemberOperation::Remove(vec!["u1".into()]),
            MemberOperation::Add(vec![Member { display: Some("Bo".into()), ..member("u2") }]),
            MemberOperation::Replace(vec![member("u3"), member("u4")]),
            MemberOperation::Replace(vec![]),
        ],
    );
    let patch = parse(
        json!([{ "op": "remove", "path": "members[type eq \"Group\"]" }]),
        &ResourceType::group(),
        Preset::Strict,
    )
    .unwrap();
    let [MemberOperation::RemoveMatching(filter)] = patch.members() else { panic!("a filter") };
    assert!(patch.leaves_attributes());
    assert!(!member("u1").matches(filter));
    assert!(Member { kind: Some(scim::group::MemberKind::Group), ..member("g2") }.matches(filter));
}

#[test]
fn what_was_straightened_is_noted() {
    let noted = |resource_type: &ResourceType, operation: Value| {
        let mut quirks = Quirks::new();
        let body = json!({ "schemas": [PATCH_OP_SCHEMA], "Operations": [operation] });
        let patch = Patch::parse(body, resource_type, Preset::Lenient, &mut quirks).unwrap();
        let before = Resource::from_text(ANA).unwrap();
        patch.apply_noting(&before, resource_type, &mut quirks).unwrap();
        quirks.iter().collect::<Vec<_>>()
    };
    let user = ResourceType::user();
    for (operation, expected) in [
        (json!({ "op": "replace", "path": "title", "value": "T" }), vec![]),
        (json!({ "op": "replace", "value": { "title": "T" } }), vec![]),
        (json!({ "op": "add", "path": "emails[type eq \"work\"].value", "value": "a" }), vec![]),
        (
            json!({ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "a" }),
            vec![Quirk::ReplaceWithoutMatch],
        ),
        (
            json!({ "op": "Replace", "path": "active", "value": "False" }),
            vec![Quirk::OperationCase, Quirk::BooleanText],
        ),
        (json!({ "op": "replace", "value": { "id": "7" } }), vec![Quirk::ReadOnlyInValue]),
        (json!({ "op": "replace", "value": { "name.givenName": "A" } }), vec![Quirk::PathAsName]),
        (json!({ "op": "replace", "value": { "shoeSize": 43 } }), vec![Quirk::UnknownAttribute]),
        (json!({ "op": "replace", "path": "title", "value": "" }), vec![Quirk::EmptyText]),
        (json!({ "op": "add", "path": MANAGER, "value": "7" }), vec![Quirk::TextForObject]),
        (
            json!({ "op": "add", "path": "manager", "value": [{ "value": "7" }] }),
            vec![Quirk::ExtensionUrnMissing, Quirk::ListForSingle],
        ),
        (
            json!({ "op": "remove", "path": "emails", "value": { "emails": [{ "value": "a" }] } }),
            vec![Quirk::RemoveWithValue, Quirk::RemoveWithWrappedValue],
        ),
    ] {
        assert_eq!(noted(&user, operation.clone()), expected, "{operation}");
    }
    let operation = json!({ "op": "Remove", "path": "members", "value": [{ "value": "7" }] });
    let expected = [Quirk::OperationCase, Quirk::RemoveWithValue];
    assert_eq!(noted(&ResourceType::group(), operation), expected);
}

#[test]
fn an_error_repeats_no_more_than_an_excerpt() {
    let long = "x".repeat(10_000);
    for (preset, operation) in [
        (Preset::Strict, json!({ "op": "add", "value": { (long.clone()): 1 } })),
        (
            Preset::Lenient,
            json!({ "op": "add", "value": { (long.clone()): 1, (long.to_uppercase()): 1 } }),
        ),
        (Preset::Lenient, json!({ "op": "add", "path": long, "value": 1 })),
        (Preset::Lenient, json!({ "op": long })),
    ] {
        let error = parse(json!([operation]), &ResourceType::user(), preset).unwrap_err();
        assert!(error.detail().len() < 400, "{}", error.detail().len());
    }
}

/// Proves S-PATCH-16.
#[test]
fn immutable_attributes_are_set_once() {
    let schema = serde_json::from_value(json!({
        "id": "urn:example:badge", "name": "Badge", "attributes": [
            { "name": "number", "type": "string", "multiValued": false, "mutability": "immutable" },
            { "name": "colors", "type": "string", "multiValued": true, "required": true },
        ],
    }))
    .unwrap();
    let user = ResourceType::user().with_extension(std::sync::Arc::new(schema), false);
    let apply = |before: &str, operation: Value| {
        let before = Resource::from_text(before).unwrap();
        let patch = parse(json!([operation]), &user, Preset::Lenient)?;
        patch.apply(&before, &user).map(|after| after.to_text())
    };
    let with = |badge: &str| format!(r#"{{"userName":"ana","urn:example:badge":{{{badge}}}}}"#);
    let number = |value: Value| json!({ "op": "replace", "path": "urn:example:badge:number", "value": value });

    // An extension is not begun without what it requires, as it is not by a POST.
    let error = apply(ANA, number(json!("7"))).unwrap_err();
    assert_eq!(error.kind(), Some(Kind::InvalidValue));
    let both = r#""number":"7","colors":["red"]"#;
    assert_eq!(apply(&with(r#""colors":["red"]"#), number(json!("7"))), Ok(with(both)));
    // What was not required when it was kept does not stand in the way of other changes.
    assert_eq!(apply(&with(r#""number":"7""#), number(json!("7"))), Ok(with(r#""number":"7""#)));
    for value in [json!("8"), json!(null)] {
        let error = apply(&with(r#""number":"7""#), number(value)).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Mutability));
    }
    let colors = with(r#""colors":["red","blue"]"#);
    let remove = |path: &str| json!({ "op": "remove", "path": path });
    assert_eq!(
        apply(&colors, remove(r#"urn:example:badge:colors[value eq "red"]"#)),
        Ok(with(r#""colors":["blue"]"#))
    );
    for path in ["urn:example:badge:colors", "urn:example:badge:colors[value pr]"] {
        assert_eq!(
            apply(&colors, remove(path)).unwrap_err().kind(),
            Some(Kind::Mutability),
            "{path}"
        );
    }
    assert_eq!(
        apply(
            &colors,
            json!({ "op": "add", "path": "urn:example:badge:colors", "value": ["blue", "green"] })
        ),
        Ok(with(r#""colors":["red","blue","green"]"#))
    );
    assert_eq!(
        apply(
            &colors,
            json!({ "op": "replace", "path": r#"urn:example:badge:colors[value eq "red"]"#, "value": "pink" })
        ),
        Ok(with(r#""colors":["pink","blue"]"#))
    );
}

/// Arbitrary JSON that looks like a patch more often than not.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\\[\\]\"\\. :]{0,8}".prop_map(Value::from),
        path().prop_map(Value::from),
        proptest::sample::select(vec!["add", "Replace", "remove", "work", "True", ""])
            .prop_map(Value::from),
    ];
    let name = proptest::sample::select(vec![
        "Operations",
        "op",
        "path",
        "value",
        "schemas",
        "emails",
        "type",
        "primary",
        "members",
        "name",
        "name.givenName",
        "manager",
        "active",
        ENTERPRISE,
        "emails[type eq \"work\"]",
        "zz",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6).prop_map(object),
        ]
    })
}

fn object(pairs: Vec<(&str, Value)>) -> Value {
    Value::Object(
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
    )
}

fn path() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "userName",
        "title",
        "active",
        "name",
        "name.givenName",
        "emails",
        "emails.value",
        "emails[type eq \"work\"]",
        "emails[type eq \"work\"].value",
        "emails[primary eq true].value",
        "emails[value pr].display",
        "roles",
        "addresses",
        "addresses[type eq \"home\"].country",
        ENTERPRISE,
        MANAGER,
        "members",
        "members[value eq \"1\"]",
        "displayName",
        "schemas",
        "id",
    ])
}

/// Operations that set something and do not change what their own filter asks for.
fn setting() -> impl Strategy<Value = Value> {
    let email = (any::<bool>(), "[ab]", proptest::sample::select(vec!["work", "home"])).prop_map(
        |(primary, value, kind)| {
            if primary {
                json!({ "value": value, "type": kind, "primary": true })
            } else {
                json!({ "value": value, "type": kind })
            }
        },
    );
    let target = prop_oneof![
        "[a-c]{1,2}".prop_map(|text| ("title", json!(text))),
        any::<bool>().prop_map(|flag| ("active", json!(flag))),
        "[a-c]?".prop_map(|text| ("name.givenName", json!(text))),
        "[a-c]?".prop_map(|text| ("name", json!({ "familyName": text }))),
        email.prop_map(|email| ("emails", json!([email]))),
        "[ab]".prop_map(|text| ("emails[type eq \"work\"].value", json!(text))),
        any::<bool>().prop_map(|flag| ("emails[type eq \"home\"].primary", json!(flag))),
        "[ab]".prop_map(|text| ("emails[type eq \"home\"]", json!({ "display": text }))),
        "[ab]?".prop_map(|text| (MANAGER, json!(text))),
        "[ab]?".prop_map(|text| (ENTERPRISE, json!({ "department": text }))),
    ];
    (proptest::sample::select(vec!["add", "replace"]), target)
        .prop_map(|(op, (path, value))| json!({ "op": op, "path": path, "value": value }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_json_makes_a_patch_panic(
        body in anything(),
        operations in proptest::collection::vec(
            (proptest::sample::select(vec!["add", "replace", "remove"]), path(), anything()), 0..5,
        ),
        strict in any::<bool>(),
    ) {
        let preset = if strict { Preset::Strict } else { Preset::Lenient };
        let before = Resource::from_text(&format!(
            r#"{{"userName":"ana","emails":[{{"value":"a","type":"work","primary":true}}],"{ENTERPRISE}":{{"manager":{{"value":"1"}}}}}}"#
        )).unwrap();
        let shaped: Vec<Value> = operations.into_iter()
            .map(|(op, path, value)| json!({ "op": op, "path": path, "value": value }))
            .collect();
        let shaped = json!({ "schemas": [PATCH_OP_SCHEMA], "Operations": shaped });
        for body in [body, shaped] {
            for resource_type in [ResourceType::user(), ResourceType::group()] {
                let patch = Patch::parse(body.clone(), &resource_type, preset, &mut Quirks::new());
                if let Ok(patch) = patch
                    && resource_type.name == "User"
                    && let Ok(after) = patch.apply(&before, &resource_type)
                {
                    // What a patch leaves behind could have been admitted as it is.
                    let mut body = after.attributes().clone();
                    body.insert("schemas".into(), json!(after.schemas(&resource_type)));
                    let again = admit(Value::Object(body), &resource_type, preset, &mut Quirks::new());
                    prop_assert_eq!(again.unwrap().resource.to_text(), after.to_text());
                }
            }
        }
    }

    #[test]
    fn a_removal_that_names_anything_never_removes_everybody(
        value in anything(),
        path in prop_oneof![Just("members".to_owned()), "members[\\[\\]a-z\" ]{1,20}"],
    ) {
        let literal = path.trim() == "members" && value.is_null();
        let operations = json!([{ "op": "remove", "path": path, "value": value }]);
        if let Ok(patch) = parse(operations, &ResourceType::group(), Preset::Lenient) {
            for operation in patch.members() {
                let is_of_some = match operation {
                    MemberOperation::Remove(ids) => !ids.is_empty(),
                    MemberOperation::RemoveMatching(_) => true,
                    _ => false,
                };
                prop_assert!(is_of_some || literal, "{operation:?}");
            }
        }
    }

    #[test]
    fn setting_twice_is_setting_once(operation in setting()) {
        let user = ResourceType::user();
        for before in [
            ANA,
            r#"{"userName":"ana","name":{"givenName":"x"},"emails":[{"value":"a","type":"work","primary":true},{"value":"b","type":"home"}]}"#,
        ] {
            let before = Resource::from_text(before).unwrap();
            let patch = parse(json!([operation]), &user, Preset::Lenient).unwrap();
            let once = patch.apply(&before, &user).unwrap();
            let twice = patch.apply(&once, &user).unwrap();
            prop_assert_eq!(twice.to_text(), once.to_text());
        }
    }
}
