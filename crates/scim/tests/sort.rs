//! In which order resources stand.

use std::sync::Arc;

use proptest::prelude::*;
use scim::dialect::Quirks;
use scim::limit::SORT_KEY_BYTES_MAX;
use scim::list::ListQuery;
use scim::sort::{BoundSort, SortKey};
use scim::{Kind, Preset, ResourceType};
use serde_json::{Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn bound(by: &str, preset: Preset) -> Result<BoundSort, scim::Error> {
    let query = ListQuery::parse([("sortBy", by)].into_iter())?;
    let sort = query.sort.expect("there is an order");
    sort.bind(&ResourceType::user(), preset, &mut Quirks::new())
}

fn key(by: &str, user: &Value) -> SortKey {
    bound(by, Preset::Lenient).unwrap().key(user.as_object().unwrap())
}

/// Proves S-SORT-3, S-SORT-5, S-SORT-6, S-SORT-7.
#[test]
fn values_stand_in_the_order_of_their_type() {
    // In ascending order, with what is equal in one list.
    let check = |by: &str, expected: &[&[Value]]| {
        let keys: Vec<Vec<SortKey>> =
            expected.iter().map(|equal| equal.iter().map(|it| key(by, it)).collect()).collect();
        for equal in &keys {
            assert!(equal.iter().all(|it| *it == equal[0]), "{by}: {keys:?}");
        }
        assert!(keys.windows(2).all(|two| two[0][0] < two[1][0]), "{by}: {keys:?}");
    };
    let named = |name: &str| json!({ "userName": name });
    check(
        "USERNAME",
        &[
            &[named("a"), named("A")],
            &[named("B")],
            &[named("c")],
            &[named("zoë"), named("ZOE\u{308}")],
            &[json!({}), json!({ "userName": null }), json!({ "userName": "" })],
        ],
    );
    let known = |id: &str| json!({ "externalId": id });
    check("externalId", &[&[known("B")], &[known("a")], &[known("b")], &[json!({})]]);
    let created = |at: &str| json!({ "meta": { "created": at } });
    check(
        "meta.created",
        &[
            &[created("1969-12-31T23:59:59Z")],
            &[created("2026-01-01T12:00:00+02:00"), created("2026-01-01T10:00:00Z")],
            &[created("2026-01-01T11:00:00Z")],
            &[json!({ "meta": {} })],
        ],
    );
    let active = |flag: bool| json!({ "active": flag });
    check("active", &[&[active(false)], &[active(true)], &[json!({})]]);
    let email = |value: &str| json!({ "value": value });
    let main = |value: &str| json!({ "value": value, "primary": true });
    for by in ["emails", "emails.value"] {
        check(
            by,
            &[
                &[json!({ "emails": [email("z@x"), main("A@x")] })],
                &[json!({ "emails": [email("b@x"), email("a@x")] })],
                &[json!({ "emails": [email("c@x")] })],
                &[json!({}), json!({ "emails": [] }), json!({ "emails": [{ "type": "work" }] })],
            ],
        );
    }
    let managed = |id: &str| json!({ ENTERPRISE: { "manager": { "value": id } } });
    for by in ["manager", "manager.value", &format!("{ENTERPRISE}:manager.value")] {
        check(by, &[&[managed("A")], &[managed("a")], &[json!({}), json!({ ENTERPRISE: {} })]]);
    }
    let long = |end: &str| named(&("x".repeat(SORT_KEY_BYTES_MAX) + end));
    check("userName", &[&[long("b"), long("a")], &[named("y")]]);
}

/// Proves S-SORT-7.
#[test]
fn numbers_stand_in_the_order_of_their_size() {
    let schema = serde_json::from_value(json!({
        "id": "urn:example:badge", "name": "Badge", "attributes": [
            { "name": "number", "type": "decimal", "multiValued": false },
        ],
    }))
    .unwrap();
    let user = ResourceType::user().with_extension(Arc::new(schema), false);
    let query = ListQuery::parse([("sortBy", "urn:example:badge:number")].into_iter()).unwrap();
    let sort = query.sort.unwrap().bind(&user, Preset::Strict, &mut Quirks::new()).unwrap();
    let numbers = ["-1e3", "-10", "-9", "-0.5", "0", "0.25", "9", "10", "100", "1e300"];
    let keys: Vec<_> = numbers
        .iter()
        .map(|number| {
            let number: Value = serde_json::from_str(number).unwrap();
            sort.key(json!({ "urn:example:badge": { "number": number } }).as_object().unwrap())
        })
        .collect();
    assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
}

/// Proves S-SORT-4, S-SORT-9.
#[test]
fn what_has_no_order_is_refused() {
    for by in ["shoeSize", "name", "password", "emails.shoeSize", ENTERPRISE, "urn:x:y", "a b"] {
        for preset in [Preset::Strict, Preset::Lenient] {
            let error = bound(by, preset).expect_err(by);
            assert_eq!(error.kind(), Some(Kind::InvalidPath), "{by}");
        }
    }
    assert!(bound("name.familyName", Preset::Strict).is_ok());
}

#[test]
fn what_a_type_does_not_have_has_no_value_there() {
    let query = ListQuery::parse([("sortBy", "userName")].into_iter()).unwrap();
    let sort = query.sort.unwrap();
    let group = ResourceType::group();
    assert!(sort.bind(&group, Preset::Lenient, &mut Quirks::new()).is_err());
    let bound = sort.bind_to_any(&group, Preset::Lenient, &mut Quirks::new()).unwrap();
    let group = json!({ "displayName": "A" });
    assert_eq!(bound.key(group.as_object().unwrap()), key("userName", &json!({})));
    assert_eq!(bound.target(), None);
}

proptest! {
    #[test]
    fn instants_are_in_the_order_of_time(one in any::<i32>(), other in any::<i32>()) {
        let key = |second: i32| {
            let at = jiff::Timestamp::from_second(second.into()).unwrap().to_string();
            key("meta.created", &json!({ "meta": { "created": at } }))
        };
        prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
    }
}
