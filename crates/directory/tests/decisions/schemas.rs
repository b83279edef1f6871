use std::sync::Arc;

use directory::{
    AdoptAside, Adopted, Aside, Condition, Conditional, CreateUser, CustomSchema, DefineSchema,
    DeleteUser, Document, PatchUser, ReadBy, Rejection, RemoveSchema, ReplaceUser, SCHEMAS_MAX,
    Types,
};
use scim::admit::admit_replacement;
use scim::dialect::Quirks;
use scim::group::MemberKind;
use scim::schema::custom::Definition;
use scim::{Preset, ResourceType, Schema};
use serde_json::{Value, json};

use crate::world::{World, id, patch, today, user_resource, user_type, yesterday};

const BADGE: &str = "urn:example:acme:Badge";

fn schema(urn: &str, attributes: &Value) -> Schema {
    let document = json!({ "id": urn, "name": "Badge", "attributes": attributes });
    let definition: Definition = serde_json::from_value(document).unwrap();
    definition.check().unwrap()
}

fn custom(urn: &str, attributes: &Value) -> CustomSchema {
    CustomSchema {
        extends: MemberKind::User,
        required: false,
        schema: Arc::new(schema(urn, attributes)),
        created_at: yesterday(),
        modified_at: yesterday(),
    }
}

fn define(urn: &str, attributes: &Value) -> DefineSchema {
    DefineSchema { extends: MemberKind::User, required: false, schema: schema(urn, attributes) }
}

fn floor() -> Value {
    json!([{ "name": "floor", "type": "integer" }, { "name": "team" }])
}

fn badge_type() -> Arc<ResourceType> {
    Arc::clone(Types::new(1, &[custom(BADGE, &floor())]).user())
}

/// Ana has a floor, and no team.
fn world() -> World {
    let world = World::new().with_schema(custom(BADGE, &floor()));
    world.with_user_of(1, json!({ "userName": "ana", BADGE: { "floor": 3 } }), &badge_type())
}

#[test]
fn a_schema_that_is_defined_is_told_of_and_one_that_is_as_it_was_is_not() {
    let outcome = World::new().decide(&define(BADGE, &floor()));
    let told = json!({ "schema": { "urn": BADGE, "resource_type": "User", "required": false } });
    assert_eq!(outcome.events(), [("directory.schema.defined".to_owned(), told.clone())]);
    let defined = outcome.answer();
    assert!(defined.is_new);
    assert_eq!((defined.schema.created_at, defined.schema.modified_at), (today(), today()));

    world().decide(&define(BADGE, &floor())).is_nothing();
    let again = world()
        .decide(&define(&BADGE.to_uppercase(), &json!([{ "name": "floor", "type": "integer" }])));
    let again = again.answer();
    assert!(!again.is_new);
    assert_eq!(again.schema.schema.id, BADGE, "the first spelling stays");
    assert_eq!((again.schema.created_at, again.schema.modified_at), (yesterday(), today()));

    let removed = World::new()
        .with_schema(custom(BADGE, &floor()))
        .decide(&RemoveSchema { urn: BADGE.to_uppercase() });
    assert_eq!(removed.events(), [("directory.schema.removed".to_owned(), told)]);
    let unknown = World::new().decide(&RemoveSchema { urn: BADGE.to_owned() }).rejection();
    assert_eq!(unknown, Rejection::UnknownSchema);
}

#[test]
fn an_attribute_with_values_stays_what_it_is() {
    let in_use = |attributes: &Value| world().decide(&define(BADGE, attributes)).rejection();
    let path = format!("{BADGE}:floor");
    let expected = Rejection::AttributeInUse { path, count: 1, of: MemberKind::User };
    for attributes in [
        json!([{ "name": "team" }]),
        json!([{ "name": "floor" }]),
        json!([{ "name": "Floor", "type": "integer" }]),
        json!([{ "name": "floor", "type": "integer", "multiValued": true }]),
    ] {
        assert_eq!(in_use(&attributes), expected, "{attributes}");
    }
    assert_eq!(world().decide(&RemoveSchema { urn: BADGE.to_owned() }).rejection(), expected);
    // Nobody has a team.
    let floor =
        json!({ "name": "floor", "type": "integer", "returned": "always", "required": true });
    for attributes in [json!([floor]), json!([{ "name": "team", "type": "boolean" }, floor])] {
        world().decide(&define(BADGE, &attributes)).answer();
    }
}

#[test]
fn what_was_decided_a_moment_ago_counts() {
    let (world, mut facts) = (world(), world().facts());
    let operations = json!([{ "op": "remove", "path": format!("{BADGE}:floor") }]);
    let clear = PatchUser {
        id: id(1),
        patch: patch(&operations, &badge_type()),
        resource_type: badge_type(),
    };
    world.decide_knowing(&mut facts, &clear).answer();
    world.decide_knowing(&mut facts, &RemoveSchema { urn: BADGE.to_owned() }).answer();
    // It is gone for who comes next, too; and what was read by it is not kept any more.
    let gone =
        world.decide_knowing(&mut facts, &RemoveSchema { urn: BADGE.to_owned() }).rejection();
    assert_eq!(gone, Rejection::UnknownSchema);
    let operations = json!([{ "op": "add", "path": format!("{BADGE}:floor"), "value": 4 }]);
    let late = PatchUser {
        id: id(1),
        patch: patch(&operations, &badge_type()),
        resource_type: badge_type(),
    };
    let late = ReadBy { schemas_version: 0, decide: late };
    assert_eq!(world.decide_knowing(&mut facts, &late).rejection(), Rejection::SchemasChanged);
    let title = json!([{ "op": "add", "path": "title", "value": "Guard" }]);
    let title =
        PatchUser { id: id(1), patch: patch(&title, &user_type()), resource_type: user_type() };
    world.decide_knowing(&mut facts, &ReadBy { schemas_version: 1, decide: title }).answer();
    // To let somebody go, no schema is read.
    let leave = Conditional { condition: Condition::default(), decide: DeleteUser { id: id(1) } };
    world.decide_knowing(&mut facts, &ReadBy { schemas_version: 0, decide: leave }).answer();
}

#[test]
fn urns_that_could_be_taken_for_each_other_do_not_meet() {
    let rejection = |urn: &str| world().decide(&define(urn, &floor())).rejection();
    for urn in ["urn:example:acme", "URN:example:acme:badge:floor", &format!("{BADGE}:x")] {
        assert_eq!(rejection(urn), Rejection::SchemaOverlaps(BADGE.to_owned()), "{urn}");
    }
    world().decide(&define("urn:example:acme:Badges", &floor())).answer();
    let group = DefineSchema { extends: MemberKind::Group, ..define(BADGE, &floor()) };
    let another = Rejection::SchemaExtendsAnother(MemberKind::User);
    assert_eq!(world().decide(&group).rejection(), another);
}

#[test]
fn a_directory_has_so_many_schemas() {
    let number = |number: usize| format!("urn:example:many:{number}");
    let full = (0..SCHEMAS_MAX)
        .fold(World::new(), |world, it| world.with_schema(custom(&number(it), &floor())));
    let rejection = full.decide(&define(&number(SCHEMAS_MAX), &floor())).rejection();
    assert_eq!(rejection, Rejection::SchemasFull(SCHEMAS_MAX as u64));
    full.decide(&define(&number(0), &json!([{ "name": "other" }]))).answer();
}

#[test]
fn what_no_schema_has_is_kept_without_a_version_or_an_event() {
    let aside = |values: Value| Aside::of(values.as_object().unwrap());
    let world = World::new()
        .with_user(1, json!({ "userName": "ana" }))
        .with_aside(&json!({ "team": "A", "old": 1 }));
    let replace = |values: Value| ReplaceUser {
        id: id(1),
        resource: user_resource(json!({ "userName": "ana", "active": true })),
        aside: aside(values),
        external_id_given: false,
        resource_type: user_type(),
    };
    // `active` was not said before.
    let outcome = world.decide(&replace(json!({ "team": "B" })));
    assert_eq!(outcome.events().len(), 1);
    let user = outcome.answer();
    assert_eq!((user.version, user.aside), (4, aside(json!({ "team": "B" }))));

    let operations = json!([{ "op": "add", "value": { "team": "C" } }]);
    let patch = PatchUser {
        id: id(1),
        patch: patch(&operations, &user_type()),
        resource_type: user_type(),
    };
    let outcome = world.decide(&patch);
    assert_eq!(outcome.events(), []);
    let user = outcome.answer().user;
    assert_eq!((user.version, user.modified_at), (3, yesterday()));
    assert_eq!(user.aside, aside(json!({ "team": "C", "old": 1 })));
}

#[test]
fn what_becomes_known_is_older_than_the_patch_that_adopts_it() {
    let beside = |name: &str| format!("{BADGE}:{name}");
    let world = World::new()
        .with_user(1, json!({ "userName": "ana" }))
        .with_aside(&json!({ beside("floor"): "third", beside("team"): "A", "else": 1 }));
    let operations = json!([{ "op": "remove", "path": beside("team") }]);
    let remove = PatchUser {
        id: id(1),
        patch: patch(&operations, &badge_type()),
        resource_type: badge_type(),
    };
    let user = world.decide(&remove).answer().user;
    assert_eq!(user.document.text(), r#"{"userName":"ana"}"#, "it does not come back");
    let left = json!({ beside("floor"): "third", "else": 1 });
    assert_eq!(user.aside, Aside::of(left.as_object().unwrap()), "of the floor it said nothing");

    let adopt = AdoptAside { id: id(1), resource_type: badge_type() };
    let outcome = world.decide(&adopt);
    assert_eq!(outcome.events().len(), 1);
    assert_eq!(outcome.answer(), Adopted { taken: 1, unfit: 1 });
    let nobody = AdoptAside { id: id(9), resource_type: badge_type() };
    world.decide(&nobody).is_nothing();
    let without = AdoptAside { id: id(1), resource_type: user_type() };
    world.decide(&without).is_nothing();
}

/// A badge needs a floor and a team since Ana got what she has of it.
fn stricter() -> Arc<ResourceType> {
    let attributes = json!([
        { "name": "floor", "type": "integer" },
        { "name": "team", "required": true },
        { "name": "desk", "required": true },
    ]);
    Arc::clone(Types::new(2, &[custom(BADGE, &attributes)]).user())
}

#[test]
fn a_patch_of_something_else_destroys_nothing_that_is_kept_beside() {
    let beside = |name: &str| format!("{BADGE}:{name}");
    let kept = json!({ beside("floor"): 3, beside("team"): "A" });
    let world = World::new().with_user(1, json!({ "userName": "ana" })).with_aside(&kept);
    let patched = |operations: &Value| {
        let patch = patch(operations, &stricter());
        let user = PatchUser { id: id(1), patch, resource_type: stricter() };
        world.decide(&user).answer().user
    };
    let title = patched(&json!([{ "op": "add", "path": "title", "value": "Guard" }]));
    assert_eq!(title.document.text(), r#"{"userName":"ana","title":"Guard"}"#);
    assert_eq!(title.aside, Aside::of(kept.as_object().unwrap()), "a badge without a desk is none");

    // What the patch says anew is older, and would come back later.
    let add =
        |name: &str| json!({ "op": "add", "path": beside(&name.to_uppercase()), "value": "B" });
    let said = patched(&json!([add("team"), add("desk")]));
    assert_eq!(said.aside, Aside::of(json!({ beside("floor"): 3 }).as_object().unwrap()));
    let gone = patched(&json!([{ "op": "remove", "path": BADGE.to_uppercase() }]));
    assert!(gone.aside.is_empty());
}

#[test]
fn who_lacks_what_is_required_since_can_still_be_deactivated() {
    let before = json!({ "userName": "ana", BADGE: { "floor": 3, "team": "A" } });
    let world = World::new()
        .with_user_of(1, before, &badge_type())
        .with_user(2, json!({ "userName": "bo" }));
    let put = |number: u64, badge: &Value| {
        let mut body = json!({ "userName": "somebody", "active": false });
        body[BADGE] = badge.clone();
        let read = admit_replacement(body, &stricter(), Preset::Lenient, &mut Quirks::new());
        let replace = ReplaceUser {
            id: id(number),
            resource: read.unwrap().resource,
            aside: Aside::default(),
            external_id_given: false,
            resource_type: stricter(),
        };
        world.decide(&replace)
    };
    for (number, badge) in [
        (1, json!({ "floor": 3, "team": "A" })),
        (1, json!({ "team": "B" })),
        (1, json!({ "team": "A", "desk": "7" })),
        (1, json!(null)),
        (2, json!(null)),
        (2, json!({ "team": "A", "desk": "7" })),
    ] {
        assert!(!put(number, &badge).answer().is_active(), "{number} {badge}");
    }
    for (number, badge, lost) in [
        (1, json!({ "floor": 3 }), "team"),
        (1, json!({ "desk": "7" }), "team"),
        (2, json!({ "team": "A" }), "desk"),
    ] {
        let Rejection::Scim(error) = put(number, &badge).rejection() else { panic!("{badge}") };
        assert!(error.detail().contains(&format!("{BADGE}:{lost}")), "{error:?}");
    }
}

#[test]
fn a_value_may_go_on_lacking_a_part_that_is_required_since() {
    let badge = |is_required: bool| {
        let parts = json!([{ "name": "value", "required": is_required }, { "name": "type" }]);
        let doors = json!([
            { "name": "doors", "type": "complex", "multiValued": true, "subAttributes": parts }
        ]);
        Arc::clone(Types::new(1, &[custom(BADGE, &doors)]).user())
    };
    let before = json!({ "userName": "ana", BADGE: { "doors": [{ "type": "front" }] } });
    let world = World::new()
        .with_user_of(1, before, &badge(false))
        .with_user(2, json!({ "userName": "bo" }));
    let put = |number: u64| {
        let body = json!({
            "userName": "somebody", "active": false, BADGE: { "doors": [{ "type": "front" }] },
        });
        let read = admit_replacement(body, &badge(true), Preset::Lenient, &mut Quirks::new());
        world.decide(&ReplaceUser {
            id: id(number),
            resource: read.unwrap().resource,
            aside: Aside::default(),
            external_id_given: false,
            resource_type: badge(true),
        })
    };
    assert!(!put(1).answer().is_active());
    let Rejection::Scim(error) = put(2).rejection() else { panic!("it is of SCIM") };
    assert!(error.detail().contains(&format!("{BADGE}:doors.value")), "{error:?}");
}

#[test]
fn who_is_created_costs_no_question_more_where_every_attribute_is_known() {
    let document = Document::new(user_resource(json!({ "userName": "bo" })));
    let known = CreateUser { document, aside: Aside::default() };
    let asked = World::new().decide(&known).asked;
    assert!(asked.concat().iter().all(|it| *it != directory::Want::Uses), "{asked:?}");
}
