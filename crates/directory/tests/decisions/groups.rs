//! Decisions about groups and who belongs to them.

use directory::{
    Change, Counts, CreateGroup, DeleteGroup, Document, GroupOutcome, Limits, Membership,
    PatchGroup, Rejection, ReplaceGroup, Want,
};
use scim::group::{Member, MemberKind};
use serde_json::{Value, json};

use crate::world::{
    Outcome, World, group_resource, group_type, id, members, new_id, patch, today, yesterday,
};

fn create(name: &str, who: &[u64]) -> CreateGroup {
    let document = Document::new(group_resource(json!({ "displayName": name })));
    CreateGroup { document, members: members(who) }
}

fn replace(number: u64, name: &str, who: &[u64]) -> ReplaceGroup {
    let resource = group_resource(json!({ "displayName": name }));
    ReplaceGroup {
        id: id(number),
        resource,
        external_id_given: true,
        members: Some(members(who)),
        resource_type: group_type(),
    }
}

fn change(number: u64, operations: &Value) -> PatchGroup {
    let resource_type = group_type();
    PatchGroup { id: id(number), patch: patch(operations, &resource_type), resource_type }
}

fn named(numbers: &[u64]) -> Value {
    numbers.iter().map(|number| json!({ "value": id(*number).to_string() })).collect()
}

fn add(numbers: &[u64]) -> Value {
    json!({ "op": "add", "path": "members", "value": named(numbers) })
}

fn remove(number: u64) -> Value {
    json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", id(number)) })
}

fn replace_all(numbers: &[u64]) -> Value {
    json!({ "op": "replace", "path": "members", "value": named(numbers) })
}

/// Three users, of whom 1 and 2 belong to `Design` (11); and `Sales` (12), which is empty.
fn world() -> World {
    World::new()
        .with_user(1, json!({ "userName": "ana" }))
        .with_user(2, json!({ "userName": "bo" }))
        .with_user(3, json!({ "userName": "cy" }))
        .with_group(11, json!({ "displayName": "Design", "externalId": "e" }), &[1, 2])
        .with_group(12, json!({ "displayName": "Sales" }), &[])
}

/// The events in short: `+3`, `-1`, or the rest of the type.
fn events(outcome: &Outcome<GroupOutcome>) -> Vec<String> {
    fn who(data: &Value) -> u64 {
        let id = data["member"]["value"].as_str().unwrap();
        u64::from_str_radix(&id[24..], 16).unwrap()
    }
    outcome
        .events()
        .iter()
        .map(|(kind, data)| match kind.as_str() {
            "directory.group.member_added" => format!("+{}", who(data)),
            "directory.group.member_removed" => format!("-{}", who(data)),
            other => other.trim_start_matches("directory.group.").to_owned(),
        })
        .collect()
}

/// Operations on `Design`: what follows, and how many belong to it then.
#[track_caller]
fn check_patch(operations: &Value, expected: &[&str], member_count: u64) {
    let outcome = world().decide(&change(11, operations));
    assert_eq!(events(&outcome), expected, "{operations}");
    let group = outcome.answer().group;
    assert_eq!(group.member_count, member_count, "{operations}");
    let expected = if expected.is_empty() { (5, yesterday()) } else { (6, today()) };
    assert_eq!((group.version, group.modified_at), expected, "{operations}");
    assert_eq!(group.created_at, yesterday());
}

#[test]
fn a_new_group_is_version_1_and_its_members_are_told_after_it() {
    let outcome = world().decide(&create("Ops", &[3, 11, 1]));
    let group = json!({ "id": new_id().to_string(), "displayName": "Ops" });
    let joined = |number: u64, kind: &str| {
        let member = json!({ "value": id(number).to_string(), "type": kind });
        let data = json!({ "group": group, "member": member });
        ("directory.group.member_added".to_owned(), data)
    };
    assert_eq!(
        outcome.events(),
        [
            ("directory.group.created".to_owned(), json!({ "group": group })),
            joined(3, "User"),
            joined(11, "Group"),
            joined(1, "User"),
        ]
    );
    let GroupOutcome { group, unknown_members, .. } = outcome.answer();
    assert_eq!((group.version, group.member_count), (1, 3));
    assert_eq!((group.created_at, group.modified_at), (today(), today()));
    assert!(unknown_members.is_empty());
}

#[test]
fn group_names_clash_without_case() {
    let rename = |name: &str| {
        change(12, &json!([{ "op": "replace", "path": "displayName", "value": name }]))
    };
    for name in ["Design", "DESIGN", "ｄesign"] {
        let rejections = [
            world().decide(&create(name, &[])).rejection(),
            world().decide(&replace(12, name, &[])).rejection(),
            world().decide(&rename(name)).rejection(),
        ];
        assert_eq!(rejections, [const { Rejection::GroupNameTaken }; 3], "{name}");
    }
    // A user's name is no group's, and a group may write its own differently.
    world().decide(&create("ana", &[])).answer();
    let outcome = world().decide(&rename("SALES"));
    assert_eq!(
        outcome.events()[0].1["changes"],
        json!({ "displayName": { "old": "Sales", "new": "SALES" } })
    );
    assert_eq!(outcome.asked, [[Want::Group(id(12))]]);
}

#[test]
fn a_group_cannot_lose_its_name() {
    for operations in [
        json!([{ "op": "remove", "path": "displayName" }]),
        json!([{ "op": "replace", "path": "displayName", "value": "" }]),
        json!([{ "op": "replace", "path": "displayName", "value": null }]),
        json!([{ "op": "replace", "value": { "displayName": null } }]),
        json!([{ "op": "replace", "value": { "displayName": " " } }]),
    ] {
        let resource_type = group_type();
        let body = json!({ "Operations": operations });
        let mut quirks = scim::dialect::Quirks::new();
        let patch =
            scim::patch::Patch::parse(body, &resource_type, scim::Preset::Lenient, &mut quirks);
        // Reading it is early enough to refuse it, deciding is not too late.
        let Ok(patch) = patch else { continue };
        let outcome = world().decide(&PatchGroup { id: id(11), patch, resource_type });
        assert!(matches!(outcome.rejection(), Rejection::Scim(_)), "{operations}");
    }
}

#[test]
fn each_spelling_of_a_membership_change_has_its_events() {
    check_patch(&json!([add(&[3])]), &["+3"], 3);
    check_patch(&json!([add(&[1])]), &[], 2);
    check_patch(&json!([add(&[3, 1, 3])]), &["+3"], 3);
    check_patch(&json!([add(&[3]), add(&[3])]), &["+3"], 3);
    check_patch(&json!([remove(1)]), &["-1"], 1);
    check_patch(&json!([remove(3)]), &[], 2);
    check_patch(&json!([remove(7)]), &[], 2);
    check_patch(&json!([remove(1), add(&[3])]), &["-1", "+3"], 2);
    check_patch(&json!([add(&[3]), remove(1)]), &["-1", "+3"], 2);
    check_patch(&json!([remove(1), add(&[1])]), &[], 2);
    check_patch(&json!([add(&[3]), remove(3)]), &[], 2);
    check_patch(&json!([{ "op": "remove", "path": "members" }]), &["-1", "-2"], 0);
    check_patch(&json!([{ "op": "remove", "path": "members", "value": named(&[2]) }]), &["-2"], 1);
    check_patch(
        &json!([{ "op": "remove", "path": "members[type eq \"User\"]" }]),
        &["-1", "-2"],
        0,
    );
    check_patch(
        &json!([{ "op": "remove", "path": "members[display eq \"member 2\"]" }]),
        &["-2"],
        1,
    );
    check_patch(&json!([replace_all(&[2, 3])]), &["-1", "+3"], 2);
    check_patch(&json!([replace_all(&[2, 1])]), &[], 2);
    check_patch(&json!([replace_all(&[])]), &["-1", "-2"], 0);
    check_patch(&json!([replace_all(&[]), add(&[1])]), &["-2"], 1);
    check_patch(&json!([replace_all(&[3]), replace_all(&[1, 2])]), &[], 2);
    check_patch(
        &json!([{ "op": "replace", "value": { "displayName": "New", "members": named(&[3]) } }]),
        &["updated", "-1", "-2", "+3"],
        1,
    );
    check_patch(&json!([{ "op": "replace", "path": "externalId", "value": "f" }]), &["updated"], 2);
    check_patch(&json!([{ "op": "replace", "path": "externalId", "value": "e" }]), &[], 2);
    check_patch(&json!([add(&[12])]), &["+12"], 3);
}

#[test]
fn a_put_says_everything() {
    let check = |put: ReplaceGroup, expected: &[&str]| {
        let outcome = world().decide(&put);
        assert_eq!(events(&outcome), expected);
    };
    check(replace(11, "Design", &[1, 2]), &["updated"]);
    check(replace(11, "Design", &[]), &["updated", "-1", "-2"]);
    check(replace(12, "Sales", &[]), &[]);
    check(replace(12, "Sales", &[3, 1]), &["+3", "+1"]);
    check(replace(12, "Sellers", &[12, 11]).without_itself(), &["updated", "+11"]);
}

/// Proves S-PUT-14.
#[test]
fn of_a_long_list_only_the_difference_is_kept_and_told() {
    let everyone: Vec<u64> = (1_000..11_000).collect();
    let mut world = World::new().with_group(11, json!({ "displayName": "Design" }), &everyone);
    for number in 1_000..=11_000 {
        world = world.with_user(number, json!({ "userName": format!("u{number}") }));
    }
    // Another order, and one for another.
    let wanted: Vec<u64> = (1_001..=11_000).rev().collect();
    let outcome = world.decide(&replace(11, "Design", &wanted));
    assert_eq!(events(&outcome), ["-1000", "+11000"]);
    let changes = outcome.decided.expect("it is decided").changes;
    let [Change::Group(change)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((change.added().len(), change.removed().len()), (1, 1));
}

#[test]
fn who_says_everything_is_answered_without_asking_again() {
    let check = |outcome: GroupOutcome, expected: Option<&[u64]>| {
        let ids = |members: &[Membership]| members.iter().map(|it| it.id).collect::<Vec<_>>();
        let expected = expected.map(|numbers| numbers.iter().map(|it| id(*it)).collect());
        assert_eq!(outcome.members.as_deref().map(ids), expected);
    };
    check(world().decide(&create("Ops", &[3, 11, 1])).answer(), Some(&[1, 3, 11]));
    check(world().decide(&replace(11, "Design", &[3, 2, 3, 7])).answer(), Some(&[2, 3]));
    check(world().decide(&replace(12, "Sales", &[])).answer(), Some(&[]));
    check(world().decide(&change(11, &json!([replace_all(&[12, 1])]))).answer(), Some(&[1, 12]));
    check(world().decide(&change(11, &json!([add(&[3])]))).answer(), None);
    let silent = ReplaceGroup { members: None, ..replace(11, "Design", &[]) };
    check(world().decide(&silent).answer(), None);
}

trait WithoutItself {
    fn without_itself(self) -> Self;
}

impl WithoutItself for ReplaceGroup {
    fn without_itself(mut self) -> ReplaceGroup {
        let itself = self.id.to_string();
        self.members.iter_mut().for_each(|it| it.retain(|member| member.value != itself));
        self
    }
}

/// Proves S-PUT-4: of the members of a group.
#[test]
fn of_a_group_that_is_replaced_without_members_the_setting_says_what_becomes_of_them() {
    let omitting =
        |name| ReplaceGroup { members: None, external_id_given: false, ..replace(11, name, &[]) };
    let kept = world().decide(&omitting("Creation"));
    assert_eq!(events(&kept), ["updated"]);
    // Nobody is read who stays anyway.
    assert!(!kept.asked.iter().flatten().any(|it| *it == Want::AllMembers(id(11))));
    world().decide(&omitting("Design")).is_nothing();

    let clearing = || world().clearing_omitted_members();
    assert_eq!(events(&clearing().decide(&omitting("Creation"))), ["updated", "-1", "-2"]);
    // Who is named is meant, under either.
    let put = replace(11, "Design", &[1]);
    assert_eq!(events(&clearing().decide(&put)), events(&world().decide(&put)));
}

#[test]
fn who_belongs_already_keeps_the_name_it_came_with() {
    let mut put = replace(12, "Sales", &[1]);
    let named = put.members.as_mut().expect("it names one");
    named[0].display = Some("Ana".into());
    named[0].kind = Some(MemberKind::Group);
    let mut facts = world().facts();
    let outcome = world().decide_knowing(&mut facts, &put);
    let [Change::Group(change)] = outcome.changes() else { panic!() };
    let [added] = change.added() else { panic!() };
    // What somebody is, we know better than the provider.
    assert_eq!((added.kind, added.display.as_deref()), (MemberKind::User, Some("Ana")));

    put.members.as_mut().expect("it names one")[0].display = Some("Ana Maria".into());
    world().decide_knowing(&mut facts, &put).is_nothing();
}

#[test]
fn unknown_members_are_left_out_and_named_once() {
    let nobody = |value: &str| Member { value: value.into(), kind: None, display: None };
    let seven = id(7).to_string();
    let upper = id(10).to_string().to_uppercase();
    let mut creation = create("Ops", &[7, 1]);
    creation.members.extend([nobody("ana"), nobody(&upper)]);
    let outcome = world().decide(&creation).answer();
    assert_eq!(outcome.group.member_count, 1);
    assert_eq!(outcome.unknown_members, [seven.as_str(), "ana", &upper]);

    let operations = json!([add(&[7]), add(&[8]), add(&[7]), add(&[3])]);
    let outcome = world().decide(&change(11, &operations)).answer();
    assert_eq!(outcome.unknown_members, [seven, id(8).to_string()]);
    assert_eq!(outcome.group.member_count, 3);

    // Nothing but unknown members is nothing at all.
    let outcome = world().decide(&change(11, &json!([add(&[7])])));
    outcome.is_nothing();
    assert_eq!(outcome.answer().unknown_members, [id(7).to_string()]);
    // Removing who does not exist is what was asked for.
    let outcome = world().decide(&change(11, &json!([remove(7)]))).answer();
    assert!(outcome.unknown_members.is_empty());
}

#[test]
fn unknown_members_are_refused_where_the_directory_says_so() {
    let world = || world().refusing_unknown_members();
    let expected = Rejection::UnknownMembers(vec![id(7).to_string()]);
    assert_eq!(world().decide(&create("Ops", &[1, 7])).rejection(), expected);
    assert_eq!(world().decide(&replace(11, "Design", &[1, 7])).rejection(), expected);
    let twice = json!([add(&[7]), add(&[1]), add(&[7])]);
    assert_eq!(world().decide(&change(11, &twice)).rejection(), expected);
    world().decide(&change(11, &json!([remove(7)]))).is_nothing();
    assert_eq!(events(&world().decide(&replace(11, "Design", &[1]))), ["updated", "-2"]);
}

#[test]
fn a_group_is_not_its_own_member() {
    for outcome in [
        world().decide(&replace(11, "Design", &[1, 11])),
        world().decide(&change(11, &json!([add(&[11])]))),
        world().decide(&change(11, &json!([replace_all(&[11])]))),
    ] {
        assert_eq!(outcome.rejection(), Rejection::MemberOfItself);
    }
    world().decide(&change(11, &json!([remove(11)]))).is_nothing();
}

#[test]
fn a_deleted_group_leaves_its_groups_and_tells_each_member() {
    let world = world().with_group(13, json!({ "displayName": "All" }), &[11, 1]);
    let outcome = world.decide(&DeleteGroup { id: id(11) });
    let removed = |group: u64, name: &str, member: u64, kind: &str| {
        let data = json!({
            "group": { "id": id(group).to_string(), "displayName": name },
            "member": { "value": id(member).to_string(), "type": kind },
        });
        ("directory.group.member_removed".to_owned(), data)
    };
    let group = json!({ "id": id(11).to_string(), "externalId": "e", "displayName": "Design" });
    assert_eq!(
        outcome.events(),
        [
            removed(13, "All", 11, "Group"),
            removed(11, "Design", 1, "User"),
            removed(11, "Design", 2, "User"),
            ("directory.group.deleted".to_owned(), json!({ "group": group })),
        ]
    );
    let counts: Vec<_> = outcome.changes().iter().map(Change::counts).collect();
    let one_less = Counts { groups: -1, ..Counts::default() };
    assert_eq!(counts, [Counts::default(), one_less]);
}

#[test]
fn groups_in_each_other_can_be_deleted() {
    // A circle is made by two writes, neither of which can know of it.
    let world = World::new().with_group(11, json!({ "displayName": "A" }), &[]).with_group(
        12,
        json!({ "displayName": "B" }),
        &[],
    );
    let mut facts = world.facts();
    world.decide_knowing(&mut facts, &change(11, &json!([add(&[12])]))).answer();
    world.decide_knowing(&mut facts, &change(12, &json!([add(&[11])]))).answer();
    let events = world.decide_knowing(&mut facts, &DeleteGroup { id: id(11) }).events();
    assert_eq!(events.len(), 3);
    assert_eq!(facts.group(id(11)), Ok(None));
    assert_eq!(facts.group(id(12)).unwrap().unwrap().member_count, 0);
}

#[test]
fn deleting_a_group_of_many_groups_asks_in_a_few_rounds() {
    let mut world = World::new().with_group(1, json!({ "displayName": "G" }), &[]);
    for number in 0..100 {
        world = world.with_group(10 + number, json!({ "displayName": format!("G{number}") }), &[1]);
    }
    let outcome = world.decide(&DeleteGroup { id: id(1) });
    assert_eq!(outcome.changes().len(), 101);
}

#[test]
fn a_patch_of_many_operations_asks_in_a_few_rounds() {
    let mut world = World::new().with_group(1, json!({ "displayName": "G" }), &[]);
    for number in 100..300 {
        world = world.with_user(number, json!({ "userName": format!("u{number}") }));
    }
    let one_by_one: Vec<_> = (100..300).map(|number| add(&[number])).collect();
    let outcome = world.decide(&change(1, &one_by_one.into()));
    assert_eq!(outcome.answer().group.member_count, 200);
}

#[test]
fn an_id_of_nobody_is_rejected() {
    for number in [7, 1] {
        let unknown = Rejection::UnknownGroup(id(number).to_string());
        assert_eq!(world().decide(&DeleteGroup { id: id(number) }).rejection(), unknown);
        assert_eq!(world().decide(&replace(number, "X", &[])).rejection(), unknown);
        assert_eq!(world().decide(&change(number, &json!([]))).rejection(), unknown);
    }
}

#[test]
fn groups_max_refuses_one_more_and_nothing_else() {
    let limited = |max| world().with_limits(Limits { groups_max: max, ..Limits::default() });
    limited(3).decide(&create("Ops", &[])).answer();
    let rejection = limited(2).decide(&create("Ops", &[])).rejection();
    assert_eq!(rejection, Rejection::GroupsFull(2));
    assert_eq!(limited(2).decide(&create("sales", &[])).rejection(), Rejection::GroupNameTaken);
    limited(1).decide(&replace(12, "Sellers", &[])).answer();
    limited(1).decide(&DeleteGroup { id: id(12) }).answer();
}

#[test]
fn group_members_max_refuses_growth_and_nothing_else() {
    let limited = |max| world().with_limits(Limits { group_members_max: max, ..Limits::default() });
    let full = Rejection::MembersFull(2);
    limited(2).decide(&create("Ops", &[1, 2])).answer();
    assert_eq!(limited(2).decide(&create("Ops", &[1, 2, 3])).rejection(), full);
    // Who is unknown takes no place.
    limited(2).decide(&create("Ops", &[1, 2, 7])).answer();
    assert_eq!(limited(2).decide(&change(11, &json!([add(&[3])]))).rejection(), full);
    limited(3).decide(&change(11, &json!([add(&[3])]))).answer();
    limited(2).decide(&change(11, &json!([add(&[3]), remove(1)]))).answer();
    limited(2).decide(&change(11, &json!([add(&[1, 2])]))).is_nothing();
    assert_eq!(limited(2).decide(&replace(11, "Design", &[1, 2, 3])).rejection(), full);

    // The limit was lowered since: nobody who is there is touched, and less is always welcome.
    limited(1).decide(&replace(11, "Other", &[1, 2])).answer();
    limited(1).decide(&change(11, &json!([remove(1)]))).answer();
    limited(0).decide(&replace(11, "Design", &[3])).answer();
    limited(0).decide(&change(11, &json!([add(&[3]), remove(1)]))).answer();
    let grows = change(11, &json!([add(&[3])]));
    assert_eq!(limited(0).decide(&grows).rejection(), Rejection::MembersFull(0));
}

/// Proves S-GROUP-9.
#[test]
fn only_what_is_needed_is_asked() {
    let group = Want::Group(id(11));
    let member = |number| Want::Member(id(11), id(number));
    let kind = |number| Want::Kind(id(number));
    let check = |outcome: Vec<Vec<Want>>, expected: &[Vec<Want>]| assert_eq!(outcome, expected);
    // Whoever adds one to a group of 500,000 does not wait for the others.
    check(
        world().decide(&change(11, &json!([add(&[3])]))).asked,
        &[vec![group.clone()], vec![member(3), kind(3)]],
    );
    check(
        world().decide(&change(11, &json!([add(&[3, 7]), remove(1)]))).asked,
        &[vec![group.clone()], vec![member(3), member(7), member(1), kind(3), kind(7)]],
    );
    check(
        world().decide(&change(11, &json!([remove(1)]))).asked,
        &[vec![group.clone()], vec![member(1)]],
    );
    check(
        world().decide(&change(11, &json!([replace_all(&[1])]))).asked,
        &[vec![group.clone()], vec![Want::AllMembers(id(11))]],
    );
    check(
        world().decide(&replace(11, "Design", &[1, 3])).asked,
        &[vec![group.clone()], vec![Want::AllMembers(id(11))], vec![kind(3)]],
    );
    check(
        world().decide(&change(11, &json!([{ "op": "remove", "path": "members" }]))).asked,
        &[vec![group.clone()], vec![Want::AllMembers(id(11))]],
    );
    check(
        world()
            .decide(&change(11, &json!([{ "op": "replace", "path": "displayName", "value": "X" }])))
            .asked,
        &[vec![group.clone()], vec![Want::GroupName("x".into())]],
    );
    check(world().decide(&create("X", &[])).asked, &[vec![Want::GroupName("x".into())]]);
    check(
        world().decide(&DeleteGroup { id: id(11) }).asked,
        &[vec![group], vec![Want::AllMembers(id(11))], vec![Want::GroupsOf(id(11))]],
    );
}
