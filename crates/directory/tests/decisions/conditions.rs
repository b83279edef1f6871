use directory::{
    Aside, Condition, Conditional, DeleteGroup, DeleteUser, Existing, PatchGroup, PatchUser,
    Rejection, ReplaceGroup, ReplaceUser, Versions, Want,
};
use serde_json::{Value, json};

use crate::world::{
    World, group_resource, group_type, id, members, patch, user_resource, user_type,
};

/// Users are of version 3 here, and groups of version 5.
fn world() -> World {
    World::new()
        .with_user(1, json!({ "userName": "ana", "active": true }))
        .with_user(2, json!({ "userName": "bo" }))
        .with_group(11, json!({ "displayName": "A" }), &[1])
}

fn these(versions: &[u64]) -> Versions {
    Versions::These(versions.to_vec())
}

fn among(versions: &[u64]) -> Condition {
    Condition { among: Some(these(versions)), not_among: None }
}

fn not_among(versions: &[u64]) -> Condition {
    Condition { among: None, not_among: Some(these(versions)) }
}

fn put_user(number: u64) -> ReplaceUser {
    let resource = user_resource(json!({ "userName": "ana", "title": "x" }));
    ReplaceUser {
        id: id(number),
        resource,
        aside: Aside::default(),
        external_id_given: true,
        resource_type: user_type(),
    }
}

fn patch_user(number: u64, operations: &Value) -> PatchUser {
    let resource_type = user_type();
    PatchUser { id: id(number), patch: patch(operations, &resource_type), resource_type }
}

fn retitle(number: u64) -> PatchUser {
    patch_user(number, &json!([{ "op": "replace", "path": "title", "value": "x" }]))
}

fn put_group(number: u64) -> ReplaceGroup {
    let resource = group_resource(json!({ "displayName": "B" }));
    ReplaceGroup {
        id: id(number),
        resource,
        external_id_given: true,
        members: Some(members(&[2])),
        resource_type: group_type(),
    }
}

fn patch_group(number: u64) -> PatchGroup {
    let resource_type = group_type();
    let operations = json!([{ "op": "remove", "path": "members" }]);
    PatchGroup { id: id(number), patch: patch(&operations, &resource_type), resource_type }
}

#[test]
fn a_condition_holds_or_not() {
    let check = |condition: &Condition, version: u64, expected: bool| {
        assert_eq!(condition.holds(version), expected, "{condition:?} {version}");
    };
    let every = Some(Versions::Every);
    check(&Condition::default(), 3, true);
    check(&Condition { among: every.clone(), not_among: None }, 3, true);
    check(&Condition { among: None, not_among: every }, 3, false);
    check(&among(&[3]), 3, true);
    check(&among(&[1, 3]), 3, true);
    check(&among(&[1, 2]), 3, false);
    check(&among(&[]), 3, false);
    check(&not_among(&[3]), 3, false);
    check(&not_among(&[1]), 3, true);
    check(&not_among(&[]), 3, true);
    let both = |among: u64, not_among: u64| Condition {
        among: Some(these(&[among])),
        not_among: Some(these(&[not_among])),
    };
    check(&both(3, 4), 3, true);
    check(&both(3, 3), 3, false);
}

/// That nothing happens unless the version is the one that is there.
fn check<D: Existing<Answer: std::fmt::Debug> + Clone>(decide: &D, version: u64) {
    let conditional = |condition| Conditional { condition, decide: decide.clone() };
    let rejection = world().decide(&conditional(among(&[version - 1, version + 1]))).rejection();
    assert_eq!(rejection, Rejection::ConditionFailed { version });
    let rejection = world().decide(&conditional(not_among(&[version]))).rejection();
    assert_eq!(rejection, Rejection::ConditionFailed { version });
    let plain = world().decide(decide);
    for condition in [among(&[version]), not_among(&[version + 1]), Condition::default()] {
        let outcome = world().decide(&conditional(condition));
        assert_eq!(outcome.changes(), plain.changes());
        assert_eq!(outcome.asked, plain.asked, "a condition asks nothing of its own");
    }
}

#[test]
fn every_change_of_what_exists_can_have_a_condition() {
    check(&put_user(1), 3);
    check(&retitle(1), 3);
    check(&DeleteUser { id: id(1) }, 3);
    check(&put_group(11), 5);
    check(&patch_group(11), 5);
    check(&DeleteGroup { id: id(11) }, 5);
}

#[test]
fn who_does_not_exist_is_unknown_whatever_the_condition() {
    let condition = among(&[9]);
    let user = Conditional { condition: condition.clone(), decide: retitle(7) };
    let unknown = Rejection::UnknownUser(id(7).to_string());
    assert_eq!(world().decide(&user).rejection(), unknown);
    let group = Conditional { condition, decide: DeleteGroup { id: id(7) } };
    let unknown = Rejection::UnknownGroup(id(7).to_string());
    assert_eq!(world().decide(&group).rejection(), unknown);
}

#[test]
fn the_condition_is_looked_at_before_anything_else() {
    let no_target = json!([
        { "op": "replace", "path": "emails[type ne \"work\"].value", "value": "a@x" },
    ]);
    let taken = json!([{ "op": "replace", "path": "userName", "value": "bo" }]);
    for operations in [no_target, taken] {
        let decide = patch_user(1, &operations);
        let outcome = world().decide(&Conditional { condition: among(&[2]), decide });
        assert_eq!(outcome.asked, [[Want::User(id(1))]]);
        assert_eq!(outcome.rejection(), Rejection::ConditionFailed { version: 3 });
    }
}

#[test]
fn of_two_changes_of_one_version_the_second_fails() {
    let world = world();
    let mut facts = world.facts();
    let condition = among(&[3]);
    let first = Conditional { condition: condition.clone(), decide: retitle(1) };
    assert_eq!(world.decide_knowing(&mut facts, &first).answer().user.version, 4);
    let second = Conditional { condition, decide: DeleteUser { id: id(1) } };
    let rejection = world.decide_knowing(&mut facts, &second).rejection();
    assert_eq!(rejection, Rejection::ConditionFailed { version: 4 });
}

#[test]
fn what_changes_nothing_leaves_the_version_for_the_next() {
    let world = world();
    let mut facts = world.facts();
    let same = patch_user(1, &json!([{ "op": "replace", "path": "active", "value": true }]));
    for _ in 0..2 {
        let again = Conditional { condition: among(&[3]), decide: same.clone() };
        let outcome = world.decide_knowing(&mut facts, &again);
        outcome.is_nothing();
        assert_eq!(outcome.answer().user.version, 3);
    }
}
