//! What one decision leaves is what the next one sees, whatever the memory says later: it knows
//! nothing yet of what was decided.

use directory::{
    Aside, CreateGroup, CreateUser, DeleteGroup, DeleteUser, Document, Facts, PatchGroup,
    PatchUser, Rejection, Taken,
};
use scim::group::MemberKind;
use serde_json::json;

use crate::world::{
    World, group_resource, group_type, id, members, new_id, patch, user_resource, user_type,
};

fn create_user(name: &str) -> CreateUser {
    let document = Document::new(user_resource(json!({ "userName": name })));
    CreateUser { document, aside: Aside::default() }
}

fn create_group(name: &str, who: &[u64]) -> CreateGroup {
    let document = Document::new(group_resource(json!({ "displayName": name })));
    CreateGroup { document, members: members(who) }
}

fn rename(number: u64, name: &str) -> PatchUser {
    let resource_type = user_type();
    let operations = json!([{ "op": "replace", "path": "userName", "value": name }]);
    PatchUser { id: id(number), patch: patch(&operations, &resource_type), resource_type }
}

fn change_members(number: u64, op: &str, who: u64) -> PatchGroup {
    let resource_type = group_type();
    let value = json!([{ "value": id(who).to_string() }]);
    let operations = json!([{ "op": op, "path": "members", "value": value }]);
    PatchGroup { id: id(number), patch: patch(&operations, &resource_type), resource_type }
}

fn world() -> World {
    World::new()
        .with_user(1, json!({ "userName": "ana" }))
        .with_user(2, json!({ "userName": "bo" }))
        .with_group(11, json!({ "displayName": "A" }), &[1])
        .with_group(12, json!({ "displayName": "B" }), &[1])
}

#[test]
fn a_name_is_free_again_at_once_and_taken_at_once() {
    let (world, mut facts) = (world(), world().facts());
    world.decide_knowing(&mut facts, &rename(1, "anna")).answer();
    let user = world.decide_knowing(&mut facts, &create_user("ANA")).answer();
    assert_eq!(user.id, new_id());
    for name in ["ana", "anna", "bo"] {
        let rejection = world.decide_knowing(&mut facts, &create_user(name)).rejection();
        assert_eq!(rejection, Rejection::UserNameTaken, "{name}");
    }
    world.decide_knowing(&mut facts, &DeleteUser { id: user.id }).answer();
    world.decide_knowing(&mut facts, &rename(1, "ana")).answer();
    assert_eq!(facts.user_name("anna", None), Ok(Taken::Free));
    assert_eq!(facts.user_name("ana", Some(id(1))), Ok(Taken::Free));
}

#[test]
fn who_was_just_deleted_is_the_latest_former_user() {
    let world = world().with_former_user(7, "bo", Some("e"));
    let mut facts = world.facts();
    // Asked before the deletion, and so remembered.
    assert_eq!(
        world.decide_knowing(&mut facts, &rename(1, "bo")).rejection(),
        Rejection::UserNameTaken
    );
    facts.learn_former_user(("bo".into(), None), Some(id(7)));
    world.decide_knowing(&mut facts, &DeleteUser { id: id(2) }).answer();
    let outcome = world.decide_knowing(&mut facts, &create_user("bo"));
    assert_eq!(outcome.events()[0].1["previous_user_id"], id(2).to_string());
}

#[test]
fn who_was_deleted_is_no_member_to_anybody() {
    let (world, mut facts) = (world(), world().facts());
    world.decide_knowing(&mut facts, &DeleteUser { id: id(1) }).answer();
    let outcome = world.decide_knowing(&mut facts, &change_members(11, "add", 1));
    outcome.is_nothing();
    assert_eq!(outcome.answer().unknown_members, [id(1).to_string()]);
    // The memory still has the rows, and says so when it is asked.
    facts.learn_all_members(id(11), Vec::new());
    assert_eq!(facts.all_members(id(11)), Ok(Vec::new()));
    world.decide_knowing(&mut facts, &DeleteUser { id: id(1) }).rejection();
    assert_eq!(facts.user(id(1)), Ok(None));
    assert_eq!(facts.kinds(&[id(1)]), Ok(vec![None]));
}

#[test]
fn all_members_are_those_of_the_memory_but_for_what_was_decided_since() {
    let (world, mut facts) = (world(), world().facts());
    world.decide_knowing(&mut facts, &change_members(11, "remove", 1)).answer();
    world.decide_knowing(&mut facts, &change_members(11, "add", 2)).answer();
    // Asks for all of them, and the memory answers with 1 alone.
    let events = world.decide_knowing(&mut facts, &DeleteGroup { id: id(11) }).events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].1["member"]["value"], id(2).to_string());
}

#[test]
fn groups_of_a_member_are_those_of_the_memory_but_for_what_was_decided_since() {
    let (world, mut facts) = (world(), world().facts());
    world.decide_knowing(&mut facts, &change_members(11, "remove", 1)).answer();
    world.decide_knowing(&mut facts, &change_members(11, "add", 2)).answer();
    let groups = |facts: &mut Facts, number| {
        // As the memory has it, before anything was kept.
        facts.learn_groups_of(id(number), if number == 1 { vec![id(11), id(12)] } else { vec![] });
        facts.groups_of(id(number)).unwrap()
    };
    assert_eq!(groups(&mut facts, 1), [id(12)]);
    assert_eq!(groups(&mut facts, 2), [id(11)]);
    // Known already, and kept up with.
    world.decide_knowing(&mut facts, &change_members(11, "add", 1)).answer();
    world.decide_knowing(&mut facts, &DeleteGroup { id: id(12) }).answer();
    assert_eq!(groups(&mut facts, 1), [id(11)]);
}

#[test]
fn what_is_new_is_known_whole() {
    let (world, mut facts) = (world(), world().facts());
    let outcome = world.decide_knowing(&mut facts, &create_group("C", &[1]));
    let group = outcome.answer().group;
    assert_eq!(facts.kinds(&[group.id]), Ok(vec![Some(MemberKind::Group)]));
    assert_eq!(facts.all_members(group.id).unwrap().len(), 1);
    assert_eq!(facts.groups_of(group.id), Ok(Vec::new()));
    let user = world.decide_knowing(&mut facts, &create_user("cy")).answer();
    assert_eq!(facts.kinds(&[user.id]), Ok(vec![Some(MemberKind::User)]));
    assert_eq!(facts.groups_of(user.id), Ok(Vec::new()));
    assert_eq!(facts.user(user.id), Ok(Some(&user)));
    let head = facts.directory().unwrap();
    assert_eq!((head.user_count, head.group_count), (3, 3));
}
