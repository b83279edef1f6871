//! Bulk requests: what is read, in which order it is carried out, and what becomes of references.

use std::collections::BTreeSet;

use proptest::prelude::*;
use scim::bulk::{Act, BulkRequest, Id, Operation, Step, Target};
use scim::dialect::{Quirk, Quirks};
use scim::limit::BULK_OPERATIONS_MAX;
use scim::{Error, Kind, Preset};
use serde_json::{Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

fn read(body: Value, preset: Preset, quirks: &mut Quirks) -> Result<BulkRequest, Error> {
    BulkRequest::parse(body, &["/Users", "/Groups"], preset, quirks)
}

fn request(operations: Value) -> BulkRequest {
    let mut body = json!({ "schemas": [BULK] });
    body["Operations"] = operations;
    read(body, Preset::Strict, &mut Quirks::new()).unwrap()
}

fn one(operation: Value) -> Operation {
    request(vec![operation].into()).operations.remove(0)
}

/// Proves S-BULK-3.
#[test]
fn operations_are_read() {
    let request = request(json!([
        { "method": "POST", "path": "/Users", "bulkId": "a", "data": { "userName": "ana" } },
        { "method": "put", "path": "Groups/7", "version": "W/\"3\"", "data": {} },
        { "METHOD": "Patch", "Path": "/Users/bulkId:a", "data": [] },
        { "method": "DELETE", "path": "/Users/7", "bulkId": null, "data": 7 },
    ]));
    let seen: Vec<_> = request
        .operations
        .iter()
        .map(|it| (it.method.as_deref().unwrap(), it.target.clone().unwrap(), it.act.clone()))
        .collect();
    let target = |endpoint, id| Target { endpoint, id };
    let known = |id: &str| Some(Id::Known(id.to_owned()));
    assert_eq!(
        seen,
        [
            ("POST", target("/Users", None), Ok(Act::Create(json!({ "userName": "ana" })))),
            ("PUT", target("/Groups", known("7")), Ok(Act::Replace(json!({})))),
            ("PATCH", target("/Users", Some(Id::New("a".to_owned()))), Ok(Act::Patch(json!([])))),
            ("DELETE", target("/Users", known("7")), Ok(Act::Delete)),
        ]
    );
    assert_eq!(request.operations[0].bulk_id.as_deref(), Some("a"));
    assert_eq!(request.operations[1].version.as_deref(), Some("W/\"3\""));
    assert_eq!(request.failures_max, None);
}

/// Proves S-BULK-4, S-BULK-5, S-BULK-6.
#[test]
fn what_is_wrong_with_one_operation_is_its_own_failure() {
    let check = |operation: Value, status: u16, kind: Option<Kind>| {
        let operation = one(operation);
        let error = operation.act.unwrap_err();
        assert_eq!((error.status(), error.kind()), (status, kind), "{error}");
    };
    let syntax = Some(Kind::InvalidSyntax);
    let value = Some(Kind::InvalidValue);
    check(json!(7), 400, syntax);
    check(json!({}), 400, syntax);
    check(json!({ "method": 7, "path": "/Users" }), 400, syntax);
    check(json!({ "method": "DELETE" }), 400, value);
    check(json!({ "method": "GET", "path": "/Users/7" }), 405, None);
    check(json!({ "method": "POST", "path": "/Users", "data": {} }), 400, value);
    check(json!({ "method": "POST", "path": "/Users", "bulkId": "", "data": {} }), 400, value);
    check(json!({ "method": "POST", "path": "/Users", "bulkId": 7, "data": {} }), 400, syntax);
    check(json!({ "method": "POST", "path": "/Users", "bulkId": "a" }), 400, value);
    check(json!({ "method": "POST", "path": "/Users/7", "bulkId": "a", "data": {} }), 405, None);
    check(json!({ "method": "PUT", "path": "/Users", "data": {} }), 405, None);
    check(json!({ "method": "PATCH", "path": "/Users/7" }), 400, value);
    check(json!({ "method": "DELETE", "path": "/Users/7", "version": 3 }), 400, syntax);
    for path in ["/Me", "/Bulk", "/users/7", "/Users/7/x", "https://a/Users/7", "/v2/Users", "/"] {
        check(json!({ "method": "DELETE", "path": path }), 404, None);
    }
    // What it names is known all the same, for the answer.
    let operation = one(json!({ "method": "PUT", "path": "/Users/7", "bulkId": "a" }));
    assert!(operation.act.is_err());
    assert_eq!(operation.target.unwrap().id, Some(Id::Known("7".to_owned())));
    assert_eq!(operation.bulk_id.as_deref(), Some("a"));
}

/// Proves S-BULK-4.
#[test]
fn a_bulk_id_names_one_creation() {
    let post = |bulk_id: &str| json!({ "method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {} });
    let put = json!({ "method": "DELETE", "path": "/Users/7", "bulkId": "a" });
    let request = request(json!([put, post("a"), post("b"), post("a"), put]));
    let good: Vec<_> = request.operations.iter().map(|it| it.act.is_ok()).collect();
    assert_eq!(good, [true, true, true, false, true]);
    let creators = [("a".to_owned(), 1), ("b".to_owned(), 2)];
    assert_eq!(request.creators(), creators.into_iter().collect());
}

/// Proves S-BULK-2.
#[test]
fn what_is_no_bulk_request_is_refused_whole() {
    let check = |body: Value, preset: Preset, status: u16, kind: Option<Kind>| {
        let error = read(body.clone(), preset, &mut Quirks::new()).unwrap_err();
        assert_eq!((error.status(), error.kind()), (status, kind), "{body}");
    };
    let syntax = Some(Kind::InvalidSyntax);
    for preset in [Preset::Lenient, Preset::Strict] {
        check(json!([]), preset, 400, syntax);
        check(json!({ "schemas": [BULK] }), preset, 400, syntax);
        check(json!({ "schemas": [BULK], "Operations": {} }), preset, 400, syntax);
        for failures in [json!(-1), json!("1"), json!(1.5), json!({})] {
            let body = json!({ "schemas": [BULK], "failOnErrors": failures, "Operations": [] });
            check(body, preset, 400, Some(Kind::InvalidValue));
        }
        let many = vec![json!({}); BULK_OPERATIONS_MAX + 1];
        check(json!({ "schemas": [BULK], "Operations": many }), preset, 413, None);
    }
    check(json!({ "Operations": [] }), Preset::Strict, 400, syntax);
    check(json!({ "schemas": ["urn:x"], "Operations": [] }), Preset::Strict, 400, syntax);
}

#[test]
fn a_request_without_its_schema_is_forgiven() {
    let check = |body: Value, quirk: Quirk| {
        let mut quirks = Quirks::new();
        read(body, Preset::Lenient, &mut quirks).unwrap();
        assert_eq!(quirks.iter().collect::<Vec<_>>(), [quirk]);
    };
    check(json!({ "Operations": [] }), Quirk::SchemasMissing);
    check(json!({ "schemas": null, "operations": [] }), Quirk::SchemasMissing);
    check(json!({ "schemas": ["urn:x"], "Operations": [] }), Quirk::SchemasUnknown);
}

#[test]
fn fail_on_errors_is_one_at_least() {
    let check = |value: Value, expected: Option<usize>| {
        let body = json!({ "schemas": [BULK], "failOnErrors": value, "Operations": [] });
        let request = read(body, Preset::Strict, &mut Quirks::new()).unwrap();
        assert_eq!(request.failures_max, expected);
    };
    check(json!(null), None);
    check(json!(0), Some(1));
    check(json!(1), Some(1));
    check(json!(7), Some(7));
}

/// References become `<name>`.
fn resolved(mut operation: Operation) -> Operation {
    operation.resolve(|bulk_id| Ok(format!("<{bulk_id}>"))).unwrap();
    operation
}

/// Proves S-BULK-13.
#[test]
fn references_are_found_wherever_an_id_can_stand() {
    let check = |data: Value, expected: Value| {
        let operation = json!({ "method": "POST", "path": "/Users", "bulkId": "z", "data": data });
        assert_eq!(resolved(one(operation)).act, Ok(Act::Create(expected)));
    };
    check(
        json!({ "members": [{ "value": "bulkId:a" }, { "value": "7" }, "bulkId:b"] }),
        json!({ "members": [{ "value": "<a>" }, { "value": "7" }, "<b>"] }),
    );
    check(
        json!({ ENTERPRISE: { "manager": { "value": "bulkId:a", "displayName": "Ana" } } }),
        json!({ ENTERPRISE: { "manager": { "value": "<a>", "displayName": "Ana" } } }),
    );
    // The server says where a resource is; and only whole strings are references.
    let other = json!({
        "members": [{ "value": "7", "$ref": "bulkId:a" }],
        "displayName": "about bulkId:a",
        "title": "bulkId:",
        "nickName": "BULKID:a",
        "active": true,
    });
    check(other.clone(), other);
}

/// Proves S-BULK-13.
#[test]
fn references_are_found_in_patches_and_their_paths() {
    let check = |data: Value, expected: Value| {
        let operation = json!({ "method": "PATCH", "path": "/Groups/bulkId:g", "data": data });
        let operation = resolved(one(operation));
        assert_eq!(operation.act, Ok(Act::Patch(expected)));
        assert_eq!(operation.target.unwrap().id, Some(Id::Known("<g>".to_owned())));
    };
    check(
        json!({ "Operations": [
            { "op": "add", "path": "members", "value": [{ "value": "bulkId:a" }] },
            { "op": "remove", "path": "members[value eq \"bulkId:b\" or value eq \"7\"]" },
            { "op": "replace", "path": "manager", "value": "bulkId:c" },
            { "op": "add", "value": { "members": [{ "value": "bulkId:a" }] } },
        ] }),
        json!({ "Operations": [
            { "op": "add", "path": "members", "value": [{ "value": "<a>" }] },
            { "op": "remove", "path": "members[value eq \"<b>\" or value eq \"7\"]" },
            { "op": "replace", "path": "manager", "value": "<c>" },
            { "op": "add", "value": { "members": [{ "value": "<a>" }] } },
        ] }),
    );
    check(
        json!([{ "op": "remove", "path": "members[value eq \"bulkId:b\"]" }]),
        json!([{ "op": "remove", "path": "members[value eq \"<b>\"]" }]),
    );
    // Outside of quotes it is a part of the path.
    let other = json!({ "Operations": [{ "op": "remove", "path": "bulkId:a" }, 7] });
    check(other.clone(), other);
}

#[test]
fn a_reference_that_leads_nowhere_fails_its_operation() {
    let mut operation = one(json!({ "method": "DELETE", "path": "/Users/bulkId:a" }));
    let error = Error::new(409, "no");
    assert_eq!(operation.resolve(|_| Err(error.clone())), Err(error));
}

fn post(bulk_id: &str, references: &[&str]) -> Value {
    let members: Vec<_> =
        references.iter().map(|it| json!({ "value": format!("bulkId:{it}") })).collect();
    let data = json!({ "displayName": bulk_id, "members": members });
    json!({ "method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data })
}

fn delete(path: &str) -> Value {
    json!({ "method": "DELETE", "path": path })
}

/// Proves S-BULK-14.
#[test]
fn creations_come_before_what_refers_to_them() {
    use Step::{Begin, Complete, Whole};
    let check = |operations: Value, expected: &[Step]| {
        assert_eq!(request(operations.clone()).steps(), expected, "{operations}");
    };
    check(json!([]), &[]);
    check(json!([post("a", &[]), post("b", &["a"])]), &[Whole(0), Whole(1)]);
    check(json!([post("a", &["b"]), post("b", &[])]), &[Whole(1), Whole(0)]);
    check(
        json!([post("a", &["b"]), post("b", &["c"]), post("c", &[])]),
        &[Whole(2), Whole(1), Whole(0)],
    );
    check(json!([delete("/Groups/bulkId:a"), post("a", &[])]), &[Whole(1), Whole(0)]);
    // What nobody creates is nothing to wait for.
    check(json!([post("a", &["x"]), delete("/Users/bulkId:x")]), &[Whole(0), Whole(1)]);
    // Two, three and one that refer to each other, and one that refers to them.
    check(json!([post("a", &["b"]), post("b", &["a"])]), &[Begin(0), Whole(1), Complete(0)]);
    check(
        json!([post("d", &["a"]), post("a", &["b"]), post("b", &["c"]), post("c", &["a"])]),
        &[Begin(1), Whole(0), Whole(3), Whole(2), Complete(1)],
    );
    // Somebody who answers to nobody else.
    let manager = json!({ "userName": "a", "manager": { "value": "bulkId:a" } });
    let own = json!({ "method": "POST", "path": "/Users", "bulkId": "a", "data": manager });
    check(json!([own]), &[Begin(0), Complete(0)]);
    // What cannot be is not begun, and nobody waits for it.
    check(json!([post("a", &["a"])]), &[Whole(0)]);
    check(json!([post("a", &["a", "b"]), post("b", &["a"])]), &[Whole(0), Whole(1)]);
}

/// Proves S-BULK-15.
#[test]
fn a_group_that_would_be_its_own_member_is_refused_beforehand() {
    let check = |members: Value, expected: Option<u16>| {
        let data = json!({ "displayName": "a", "Members": members });
        let post = json!({ "method": "POST", "path": "/Groups", "bulkId": "a", "data": data });
        let request = request(json!([post, self::post("b", &[])]));
        let refused = request.operations[0].act.as_ref().err().map(Error::status);
        assert_eq!(refused, expected, "{members}");
        assert!(request.operations[1].act.is_ok());
    };
    check(json!([{ "value": "bulkId:b" }, { "Value": "bulkId:a" }]), Some(409));
    check(json!({ "value": "bulkId:a" }), Some(409));
    check(json!(["bulkId:a"]), Some(409));
    check(json!("bulkId:a"), Some(409));
    check(json!([{ "value": "bulkId:b", "display": "bulkId:a" }]), None);
    check(json!([{ "value": "a" }, { "value": "bulkId:b" }, 7, null]), None);
    check(json!(null), None);
}

#[test]
fn operations_on_one_resource_stay_in_their_order() {
    use Step::{Begin, Complete, Whole};
    let check = |operations: Value, expected: &[Step]| {
        assert_eq!(request(operations.clone()).steps(), expected, "{operations}");
    };
    let patch = |path: &str, reference: &str| {
        let value = json!([{ "value": format!("bulkId:{reference}") }]);
        let data = json!({ "Operations": [{ "op": "add", "path": "members", "value": value }] });
        json!({ "method": "PATCH", "path": path, "data": data })
    };
    check(
        json!([patch("/Groups/7", "a"), delete("/Groups/7"), delete("/Groups/8"), post("a", &[])]),
        &[Whole(2), Whole(3), Whole(0), Whole(1)],
    );
    // Who began in a circle is complete before anything else is done with them.
    check(
        json!([delete("/Groups/bulkId:a"), post("a", &["b"]), post("b", &["a"])]),
        &[Begin(1), Whole(2), Complete(1), Whole(0)],
    );
}

#[test]
fn a_creation_can_begin_without_some_of_its_references() {
    let check = |data: Value, begun: Value, rest: Value| {
        let operation = json!({ "method": "POST", "path": "/Users", "bulkId": "z", "data": data });
        let mut operation = one(operation);
        let completion = operation.take_references_to("9", |bulk_id| bulk_id == "open");
        assert_eq!(operation.act, Ok(Act::Create(begun)));
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "add", "value": rest }],
        });
        assert_eq!(completion.act, Ok(Act::Patch(patch)));
        let id = Some(Id::Known("9".to_owned()));
        assert_eq!(completion.target, Some(Target { endpoint: "/Users", id }));
        assert_eq!(completion.references().collect::<Vec<_>>(), ["open"]);
    };
    check(
        json!({ "displayName": "G", "members": [
            { "value": "bulkId:open", "display": "O" }, { "value": "bulkId:done" },
        ] }),
        json!({ "displayName": "G", "members": [{ "value": "bulkId:done" }] }),
        json!({ "members": [{ "value": "bulkId:open", "display": "O" }] }),
    );
    check(
        json!({ "userName": "ana", ENTERPRISE: {
            "department": "Sales", "manager": { "value": "bulkId:open" },
        } }),
        json!({ "userName": "ana", ENTERPRISE: { "department": "Sales" } }),
        json!({ ENTERPRISE: { "manager": { "value": "bulkId:open" } } }),
    );
    check(
        json!({ "userName": "ana", ENTERPRISE: { "manager": "bulkId:open" } }),
        json!({ "userName": "ana" }),
        json!({ ENTERPRISE: { "manager": "bulkId:open" } }),
    );
}

/// What a client may mean: creations, and other operations on new and on known resources, with
/// references to anything.
fn operations() -> impl Strategy<Value = Vec<Value>> {
    let name = 0..6_u8;
    let references = prop::collection::vec(0..7_u8, 0..3);
    let operation =
        (name, references, 0..4_u8, any::<bool>()).prop_map(|(name, references, kind, is_new)| {
            let references: Vec<_> = references.iter().map(|it| format!("b{it}")).collect();
            let references: Vec<_> = references.iter().map(String::as_str).collect();
            let mut operation = post(&format!("b{name}"), &references);
            if kind > 1 {
                let id = if is_new { format!("bulkId:b{name}") } else { name.to_string() };
                operation["method"] = "PUT".into();
                operation["path"] = format!("/Groups/{id}").into();
            }
            operation
        });
    prop::collection::vec(operation, 0..12)
}

/// JSON that looks like operations, and is any.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i8>().prop_map(Value::from),
        "(bulkId:)?[a-c]?".prop_map(Value::from),
        "(/?(Users|Groups)/?(bulkId:)?[a-c]?)|POST|PUT|PATCH|DELETE|get|members\\[x eq \"bulkId:a"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let name = "schemas|Operations|operations|failOnErrors|method|path|bulkId|version|data|\
                    value|members|\\$ref|urn:a";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_order_of_dependencies_is_legal(operations in operations()) {
        let request = request(operations.into());
        let by_name = request.creators();
        let (mut created, mut begun, mut finished) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in request.steps() {
            let (Step::Whole(place) | Step::Begin(place) | Step::Complete(place)) = step;
            let operation = &request.operations[place];
            let creators = |names: &mut dyn Iterator<Item = &str>| -> BTreeSet<usize> {
                names.filter_map(|name| by_name.get(name).copied()).collect()
            };
            let needed = creators(&mut operation.references());
            match step {
                Step::Whole(_) => prop_assert!(!begun.contains(&place)),
                Step::Begin(_) => {
                    prop_assert!(operation.creates() && operation.act.is_ok());
                    prop_assert!(!needed.is_subset(&created), "there was no need");
                    prop_assert!(begun.insert(place));
                }
                Step::Complete(_) => prop_assert!(begun.contains(&place)),
            }
            created.insert(place);
            if step == Step::Begin(place) {
                continue;
            }
            prop_assert!(needed.is_subset(&created), "{step:?}");
            prop_assert!(finished.insert(place), "once");
            let Some(target @ Target { id: Some(id), .. }) = &operation.target else { continue };
            if let Id::New(name) = id {
                prop_assert!(by_name.get(name).is_none_or(|it| finished.contains(it)));
            }
            for (earlier, other) in request.operations[..place].iter().enumerate() {
                let is_same = other.act.is_ok() && other.target.as_ref() == Some(target);
                prop_assert!(!is_same || finished.contains(&earlier), "{earlier} before {place}");
            }
        }
        prop_assert_eq!(finished.len(), request.operations.len());
    }

    #[test]
    fn no_bulk_request_makes_anything_panic(body in anything()) {
        for preset in [Preset::Lenient, Preset::Strict] {
            let Ok(mut request) = read(body.clone(), preset, &mut Quirks::new()) else { continue };
            prop_assert!(request.steps().len() >= request.operations.len());
            for operation in &mut request.operations {
                let mut begun = operation.clone();
                let _ = begun.take_references_to("9", |name| name == "a");
                operation.resolve(|_| Ok("9".to_owned())).unwrap();
            }
        }
    }

    #[test]
    fn no_list_of_operations_makes_anything_panic(operations in prop::collection::vec(anything(), 0..4)) {
        let request = request(operations.into());
        prop_assert!(request.steps().len() >= request.operations.len());
    }

    #[test]
    fn what_was_resolved_has_no_references(operations in operations()) {
        for operation in request(operations.into()).operations {
            let mut operation = resolved(operation);
            let mut count = 0;
            operation.resolve(|_| { count += 1; Ok(String::new()) }).unwrap();
            prop_assert_eq!(count, 0);
        }
    }
}

#[test]
fn a_thousand_operations_in_the_worst_order_are_sorted_at_once() {
    let names: Vec<String> = (0..BULK_OPERATIONS_MAX).map(|it| format!("b{it}")).collect();
    let refers_to = |place: usize, others: &[String]| {
        let others = others.iter().filter(|other| **other != names[place]);
        post(&names[place], &others.map(String::as_str).collect::<Vec<_>>())
    };
    let backwards: Vec<_> = (0..names.len())
        .map(|place| refers_to(place, &names[(place + 1) % names.len()..][..1]))
        .collect();
    assert_eq!(request(backwards.into()).steps().len(), names.len() + 1);
    let circles: Vec<_> = (0..names.len())
        .map(|place| {
            let start = place.min(names.len() - 50);
            refers_to(place, &names[start..start + 50])
        })
        .collect();
    assert!(request(circles.into()).steps().len() > names.len());
}
