//! Roles that follow from changes of people: kept with them, told of, and always those that would be
//! found afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::event::EventKind;
use directory::{
    Aside, Assignment, BoundMapping, CONCERNED_MAX, Change, Consequence, CreateGroup, CreateUser,
    Decide, DeleteGroup, DeleteUser, Document, EntryId, Facts, GroupId, Guarded, Of, PatchGroup,
    PatchUser, Person, Precondition, Protection, Rejection, ReplaceGroup, Role, RoleMapping,
    RoleState, RoleWalk, Roles, Rule, SaveRoleMapping, Strategy, UserId, WalkRoles, Want, When,
};
use scim::etag::EntityTags;
use scim::group::Member;
use serde_json::{Value, json};

use crate::roles_by_hand::Dice;
use crate::world::{
    Outcome, World, group_resource, group_type, id, members, new_id, patch, user_resource,
    user_type,
};

const EDITORS: u64 = 12;
const OTHERS: u64 = 13;

fn role(text: &str) -> EntryId {
    text.parse().unwrap()
}

/// Of three roles, the first is the highest.
fn roles() -> Arc<Roles> {
    let of = |(rank, id): (u16, &str)| Role { id: role(id), rank: Some(rank) };
    Arc::new(Roles::new((1..).zip(["admin", "editor", "viewer"]).map(of)))
}

fn editors_and_admins() -> RoleMapping {
    let rule = |when, of| Rule { when, role: role(of) };
    RoleMapping {
        rules: vec![
            rule(When::Group(id(EDITORS)), "editor"),
            rule(When::Filter("userType eq \"Admin\"".to_owned()), "admin"),
        ],
        default_role: Some(role("viewer")),
        ..RoleMapping::default()
    }
}

/// What stands for the state of a mapping.
fn tag(mapping: &RoleMapping) -> EntityTags {
    EntityTags::parse(&format!("W/\"{}\"", mapping.revision().as_str()))
}

fn state(mapping: &RoleMapping, walk: Option<RoleWalk>) -> RoleState {
    RoleState {
        version: 1,
        bound: Arc::new(BoundMapping::new(mapping, roles(), &user_type())),
        mapping: Arc::new(mapping.clone()),
        walk,
    }
}

/// Ana belongs to the editors, Bo to nothing.
fn world() -> World {
    World::new()
        .with_user(1, json!({ "userName": "ana" }))
        .with_user(2, json!({ "userName": "bo" }))
        .with_group(EDITORS, json!({ "displayName": "Editors" }), &[1])
        .with_group(OTHERS, json!({ "displayName": "Others" }), &[])
        .with_roles(roles())
}

fn mapped(mapping: &RoleMapping) -> World {
    world().with_role_state(state(mapping, None))
}

fn create(body: Value) -> CreateUser {
    CreateUser { document: Document::new(user_resource(body)), aside: Aside::default() }
}

fn change_user(of: UserId, operations: &Value) -> PatchUser {
    let resource_type = user_type();
    PatchUser { id: of, patch: patch(operations, &resource_type), resource_type }
}

fn change_members(group: GroupId, op: &str, who: &[UserId]) -> PatchGroup {
    let resource_type = group_type();
    let value: Value = who.iter().map(|it| json!({ "value": it.to_string() })).collect();
    let operations = match op {
        "remove" => who
            .iter()
            .map(|it| json!({ "op": "remove", "path": format!("members[value eq \"{it}\"]") }))
            .collect(),
        _ => json!([{ "op": op, "path": "members", "value": value }]),
    };
    PatchGroup { id: group, patch: patch(&operations, &resource_type), resource_type }
}

/// What is told of roles, of all that is told.
#[track_caller]
fn check<A: std::fmt::Debug>(outcome: &Outcome<A>, expected: &[Value]) {
    let told = outcome.events();
    let roles = told.iter().filter(|(kind, _)| kind == "directory.user.roles_updated");
    assert_eq!(roles.map(|(_, data)| data.clone()).collect::<Vec<_>>(), expected);
}

fn told(who: (u64, &str), of: &[(&str, &str)], old: &[&str]) -> Value {
    let roles: Vec<_> =
        of.iter().map(|(role, why)| json!({ "value": role, "reason": why })).collect();
    let new: Vec<_> = of.iter().map(|(role, _)| role).collect();
    json!({
        "user": { "id": id(who.0).to_string(), "userName": who.1 },
        "roles": roles,
        "changes": { "roles": { "old": old, "new": new } },
    })
}

#[test]
fn where_nobody_says_who_gets_which_role_nothing_is_asked() {
    let outcome = world().decide(&change_members(id(EDITORS), "add", &[id(2)]));
    assert!(
        outcome
            .asked
            .iter()
            .flatten()
            .all(|it| { !matches!(it, Want::RoleState | Want::Assignment(_) | Want::GroupsOf(_)) })
    );
    check(&outcome, &[]);
}

#[test]
fn who_joins_a_group_gets_its_role_in_the_same_breath() {
    let world = mapped(&editors_and_admins());
    let outcome = world.decide(&change_members(id(EDITORS), "add", &[id(2)]));
    let why = "because bo belongs to `Editors`, rule 1";
    check(&outcome, &[told((2, "bo"), &[("editor", why)], &[])]);
    let kinds: Vec<_> = outcome.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["directory.group.member_added", "directory.user.roles_updated"]);

    // Of a group that no rule is about, nobody asks who they are.
    let outcome = world.decide(&change_members(id(OTHERS), "add", &[id(1), id(2)]));
    check(&outcome, &[]);
    assert!(!outcome.asked.iter().flatten().any(|it| matches!(it, Want::User(_))));
}

#[test]
fn who_leaves_falls_back_and_who_changes_is_looked_at() {
    let (world, mut facts) = (mapped(&editors_and_admins()), mapped(&editors_and_admins()).facts());
    let is_default = "because no rule is about ana, and it is the default role";
    let admin = json!([{ "op": "replace", "path": "userType", "value": "ADMIN" }]);
    let outcome = world.decide_knowing(&mut facts, &change_user(id(1), &admin));
    let why = "because `userType eq \"Admin\"` is true of ana, rule 2";
    check(&outcome, &[told((1, "ana"), &[("admin", why)], &[])]);

    // A title makes no difference.
    let title = json!([{ "op": "replace", "path": "title", "value": "x" }]);
    let outcome = world.decide_knowing(&mut facts, &change_user(id(1), &title));
    check(&outcome, &[]);

    let nothing = json!([{ "op": "remove", "path": "userType" }]);
    let outcome = world.decide_knowing(&mut facts, &change_user(id(1), &nothing));
    let why = "because ana belongs to `Editors`, rule 1";
    check(&outcome, &[told((1, "ana"), &[("editor", why)], &["admin"])]);

    let outcome = world.decide_knowing(&mut facts, &DeleteGroup { id: id(EDITORS) });
    check(&outcome, &[told((1, "ana"), &[("viewer", is_default)], &["editor"])]);
}

/// Of what the event of roles is told to be a consequence.
#[track_caller]
fn check_cause<A: std::fmt::Debug>(outcome: &Outcome<A>, kind: EventKind, of: UserId) {
    let drafts = outcome.changes().iter().flat_map(Change::events);
    let of_roles: Vec<_> = drafts.filter(|it| it.kind == EventKind::UserRolesUpdated).collect();
    assert_eq!(of_roles.len(), 1);
    let expected = Consequence { kind, of: Of::Resource(of) };
    assert_eq!(of_roles[0].follows_from, Some(expected));
}

#[test]
fn it_is_told_what_another_role_follows_from() {
    let world = mapped(&editors_and_admins());
    let (ana, editors) = (id(1), id(EDITORS));
    let mut facts = world.facts();
    let admin = json!([{ "op": "replace", "path": "userType", "value": "admin" }]);
    let outcome = world.decide_knowing(&mut facts, &change_user(ana, &admin));
    check_cause(&outcome, EventKind::UserUpdated, ana);
    let neither = json!([
        { "op": "remove", "path": "userType" },
        { "op": "replace", "path": "active", "value": false },
    ]);
    let outcome = world.decide_knowing(&mut facts, &change_user(ana, &neither));
    check_cause(&outcome, EventKind::UserDeactivated, ana);
    let outcome = world.decide_knowing(&mut facts, &change_members(editors, "remove", &[ana]));
    check_cause(&outcome, EventKind::GroupMemberRemoved, editors);
    let outcome = world.decide_knowing(&mut facts, &change_members(editors, "add", &[ana]));
    check_cause(&outcome, EventKind::GroupMemberAdded, editors);
    let outcome = world.decide_knowing(&mut facts, &DeleteGroup { id: editors });
    check_cause(&outcome, EventKind::GroupDeleted, editors);
    let outcome = world.decide_knowing(&mut facts, &create(json!({ "userName": "cy" })));
    check_cause(&outcome, EventKind::UserCreated, new_id());
}

#[test]
fn who_is_new_has_a_role_from_the_first_event_on_and_who_is_deleted_has_none_to_tell_of() {
    let world = mapped(&editors_and_admins());
    let outcome = world.decide(&create(json!({ "userName": "cy", "userType": "Admin" })));
    let why = "because `userType eq \"Admin\"` is true of cy, rule 2";
    check(&outcome, &[told((1_000, "cy"), &[("admin", why)], &[])]);
    let outcome = world.decide(&DeleteUser { id: id(1) });
    check(&outcome, &[]);
}

#[test]
fn everybody_belongs_to_the_default_group_whatever_its_provider_says() {
    let mapping = RoleMapping { default_group: Some(id(OTHERS)), ..editors_and_admins() };
    let (world, mut facts) = (mapped(&mapping), mapped(&mapping).facts());
    let outcome = world.decide_knowing(&mut facts, &create(json!({ "userName": "cy" })));
    let kinds: Vec<_> = outcome.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        ["directory.user.created", "directory.group.member_added", "directory.user.roles_updated"]
    );
    let cy = outcome.answer().id;
    // Who was there before joins as everybody is looked at, once.
    let walk = |from| WalkRoles { from, people: vec![id(1), id(2), cy], to: Some(3) };
    let state = RoleState { walk: Some(RoleWalk::begun(None)), ..state(&mapping, None) };
    let begun = mapped(&mapping).with_role_state(state);
    let mut late = begun.facts();
    begun.decide_knowing(&mut late, &create(json!({ "userName": "cy" }))).answer();
    let outcome = begun.decide_knowing(&mut late, &walk(0));
    let added = |outcome: &Outcome<_>| {
        let events = outcome.events().into_iter();
        let added = events.filter(|(kind, _)| kind == "directory.group.member_added");
        added.map(|(_, data)| data["member"]["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(added(&outcome), [json!(id(1).to_string()), json!(id(2).to_string())]);
    assert_eq!(begun.decide_knowing(&mut late, &walk(3)).decided.unwrap().changes.len(), 1);

    // The provider does not know of it.
    let resource = group_resource(json!({ "displayName": "Everybody" }));
    let put = ReplaceGroup {
        id: id(OTHERS),
        resource,
        external_id_given: false,
        members: Some(Vec::new()),
        resource_type: group_type(),
    };
    let answer = begun.decide_knowing(&mut late, &put).answer();
    assert_eq!(answer.group.member_count, 3);
    let members = answer.members.unwrap();
    assert_eq!(members.iter().map(|it| it.id).collect::<Vec<_>>(), [id(1), id(2), cy]);
    let remove = change_members(id(OTHERS), "remove", &[id(1)]);
    assert_eq!(begun.decide_knowing(&mut late, &remove).decided.unwrap().changes, []);
    // Who is deleted leaves it like any other.
    begun.decide_knowing(&mut late, &DeleteUser { id: id(1) }).answer();
    assert_eq!(late.group(id(OTHERS)).unwrap().unwrap().member_count, 2);
}

#[test]
fn a_default_group_may_be_made_for_it() {
    let document = Document::new(group_resource(json!({ "displayName": "Everybody" })));
    let save = |name: &str| SaveRoleMapping {
        mapping: RoleMapping::default(),
        new_default_group: Some(Document::new(group_resource(json!({ "displayName": name })))),
        user_type: user_type(),
    };
    let (world, mut facts) = (world(), world().facts());
    let outcome = world.decide_knowing(&mut facts, &save("Everybody"));
    let kinds: Vec<_> = outcome.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["directory.group.created", "directory.role_mapping.updated"]);
    let made = outcome.answer().mapping.default_group.unwrap();
    assert_eq!(facts.group(made).unwrap().unwrap().document, document);
    let taken = world.decide_knowing(&mut facts, &save("editors")).rejection();
    assert_eq!(taken, Rejection::GroupNameTaken);
}

#[test]
fn a_default_group_that_is_deleted_is_nobodys_any_more() {
    let mapping = RoleMapping { default_group: Some(id(EDITORS)), ..editors_and_admins() };
    let (world, mut facts) = (mapped(&mapping), mapped(&mapping).facts());
    let outcome = world.decide_knowing(&mut facts, &DeleteGroup { id: id(EDITORS) });
    let kinds: Vec<_> = outcome.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        [
            "directory.group.member_removed",
            "directory.group.deleted",
            "directory.role_mapping.updated"
        ]
    );
    let state = facts.role_state().unwrap().unwrap().clone();
    let because = Consequence { kind: EventKind::GroupDeleted, of: Of::Resource(id(EDITORS)) };
    assert_eq!((state.version, state.walk), (2, Some(RoleWalk::begun(Some(because)))));
    assert_eq!((state.mapping.default_group, state.bound.default_group()), (None, None));
    let walk = WalkRoles { from: 0, people: vec![id(1), id(2)], to: None };
    let outcome = world.decide_knowing(&mut facts, &walk);
    let why = ["ana", "bo"]
        .map(|who| format!("because no rule is about {who}, and it is the default role"));
    check(
        &outcome,
        &[
            told((1, "ana"), &[("viewer", &why[0])], &[]),
            told((2, "bo"), &[("viewer", &why[1])], &[]),
        ],
    );
}

#[test]
fn from_who_is_protected_sync_takes_nothing() {
    let mapping = RoleMapping {
        protected: vec![Protection { user: id(1), role: None }],
        ..editors_and_admins()
    };
    let world = mapped(&mapping);
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let protected = |name: &str| Rejection::ProtectedUser(name.to_owned());
    assert_eq!(world.decide(&DeleteUser { id: id(1) }).rejection(), protected("ana"));
    assert_eq!(world.decide(&change_user(id(1), &off)).rejection(), protected("ana"));
    world.decide(&DeleteUser { id: id(2) }).answer();
    world.decide(&change_user(id(2), &off)).answer();
    // What does not take the app from them goes on.
    let title = json!([{ "op": "replace", "path": "title", "value": "x" }]);
    world.decide(&change_user(id(1), &title)).answer();
    world.decide(&change_members(id(EDITORS), "remove", &[id(1)])).answer();
}

#[test]
fn a_mapping_is_saved_once_and_everybody_is_looked_at_after_it() {
    let save = |mapping: &RoleMapping, over: &RoleMapping| Guarded {
        precondition: Precondition { among: Some(tag(over)), not_among: None },
        what: SaveRoleMapping {
            mapping: mapping.clone(),
            new_default_group: None,
            user_type: user_type(),
        },
    };
    let (world, mut facts) = (world(), world().facts());
    let (nothing, first) = (RoleMapping::default(), editors_and_admins());
    let refused = world.decide_knowing(&mut facts, &save(&first, &first));
    assert_eq!(refused.rejection(), Rejection::RevisionFailed);

    let mut wrong = editors_and_admins();
    wrong.rules[0].when = When::Group(id(2));
    wrong.rules[1].role = role("owner");
    let refused = world.decide_knowing(&mut facts, &save(&wrong, &nothing)).rejection();
    let Rejection::WrongMapping(faults) = refused else { panic!("{refused:?}") };
    assert_eq!(faults.len(), 2, "{faults:?}");

    let saved = world.decide_knowing(&mut facts, &save(&first, &nothing));
    let version = json!({ "role_mapping": { "version": 1 } });
    assert_eq!(saved.events(), [("directory.role_mapping.updated".to_owned(), version)]);
    let because = Some(Consequence::of_role_mapping(facts.directory().unwrap().directory.id));
    assert_eq!(saved.answer().walk, Some(RoleWalk::begun(because)));
    let again = world.decide_knowing(&mut facts, &save(&first, &first));
    assert_eq!(again.decided.as_ref().map(|it| it.changes.len()), Ok(0));

    let step = |from, people: &[u64], to| WalkRoles {
        from,
        people: people.iter().map(|it| id(*it)).collect(),
        to,
    };
    // Who was deleted meanwhile is passed over.
    let outcome = world.decide_knowing(&mut facts, &step(0, &[1, 99], Some(2)));
    let why = "because ana belongs to `Editors`, rule 1";
    check(&outcome, &[told((1, "ana"), &[("editor", why)], &[])]);
    let causes = outcome.changes().iter().flat_map(Change::events).map(|it| it.follows_from);
    assert_eq!(causes.collect::<Vec<_>>(), [because]);
    let walk = RoleWalk { place: 2, done: 2, is_to_be_repeated: false, follows_from: because };
    assert_eq!(outcome.answer(), Some(walk));
    // Another node was there before.
    let late = world.decide_knowing(&mut facts, &step(0, &[1, 2], None));
    assert_eq!(late.decided.as_ref().map(|it| it.changes.len()), Ok(0));
    assert_eq!(late.answer(), Some(walk));

    // Another mapping is saved in the middle: everybody is looked at by it, once more.
    let other = RoleMapping { default_role: None, ..editors_and_admins() };
    let saved = world.decide_knowing(&mut facts, &save(&other, &first)).answer();
    assert_eq!(
        (saved.version, saved.walk),
        (2, Some(RoleWalk { is_to_be_repeated: true, ..walk }))
    );
    let outcome = world.decide_knowing(&mut facts, &step(2, &[2], None));
    check(&outcome, &[]);
    assert_eq!(outcome.answer(), Some(RoleWalk::begun(because)));
    let outcome = world.decide_knowing(&mut facts, &step(0, &[1, 2], None));
    check(&outcome, &[]);
    assert_eq!(outcome.answer(), None);
}

#[test]
fn one_change_that_concerns_too_many_has_everybody_looked_at_in_the_background() {
    let most = CONCERNED_MAX as u64;
    let mut world = mapped(&editors_and_admins());
    for number in 0..=most {
        world = world.with_user(2_000_000 + number, json!({ "userName": format!("u{number}") }));
    }
    for (count, is_walk) in [(most, false), (most + 1, true)] {
        let many: Vec<_> = (0..count).map(|number| id(2_000_000 + number)).collect();
        let outcome = world.decide(&change_members(id(EDITORS), "add", &many));
        let changes = outcome.decided.unwrap().changes;
        let roles = changes.iter().filter(|it| matches!(it, Change::Roles(_))).count() as u64;
        let walks = changes.iter().filter_map(|it| match it {
            Change::RoleState(change) => Some((change.is_of_the_mapping(), change.after().walk)),
            _ => None,
        });
        let walks: Vec<_> = walks.collect();
        if is_walk {
            let of = Of::Resource(id(EDITORS));
            let because = Consequence { kind: EventKind::GroupMemberAdded, of };
            assert_eq!((roles, walks), (0, vec![(false, Some(RoleWalk::begun(Some(because))))]));
        } else {
            assert_eq!((roles, walks), (most, Vec::new()));
        }
    }
}

/// Acts of one seed, after some of which everybody's roles are compared.
const ACTS: u64 = 4_000;

/// `ROSTER_ROLE_ACTS=1000000 cargo test -p directory --test decisions roles_kept` is the long form.
#[test]
#[expect(clippy::disallowed_methods, reason = "how many there are is said from outside")]
fn the_roles_that_are_kept_are_those_that_would_be_found_afresh() {
    let number = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |it| it.parse().expect("it is a number"))
    };
    let seed = number("ROSTER_SEED", 1);
    let mut life = Life::new(seed);
    let acts = number("ROSTER_ROLE_ACTS", ACTS);
    for act in 0..acts {
        life.act();
        if act % 10 == 0 || act + 1 == acts {
            life.compare(act);
        }
    }
    life.come_to_rest();
    life.compare(acts);
    assert!(life.compared > acts / 40, "too little was compared: {}", life.compared);
}

/// A directory that lives on what was decided, and nothing else.
struct Life {
    seed: u64,
    dice: Dice,
    world: World,
    facts: Facts,
    /// In the order of lists, each with its place.
    users: Vec<(u64, UserId)>,
    groups: Vec<GroupId>,
    latest_place: u64,
    /// Roles as events tell of them.
    told: BTreeMap<String, Vec<String>>,
    /// People whose roles were compared.
    compared: u64,
}

impl Life {
    fn new(seed: u64) -> Life {
        let world = World::new().with_roles(roles());
        let facts = world.facts();
        let (users, groups, told) = (Vec::new(), Vec::new(), BTreeMap::new());
        Life {
            seed,
            dice: Dice(seed),
            world,
            facts,
            users,
            groups,
            latest_place: 0,
            told,
            compared: 0,
        }
    }

    fn decide<D>(&mut self, decide: &D) -> Result<D::Answer, Rejection>
    where
        D: Decide<Answer: std::fmt::Debug>,
    {
        let outcome = self.world.decide_knowing(&mut self.facts, decide);
        // One decision makes one record at most.
        self.world.ids_gone += 2;
        let events = if outcome.decided.is_ok() { outcome.events() } else { Vec::new() };
        for (kind, data) in events {
            let user = data["user"]["id"].as_str().unwrap_or_default().to_owned();
            match kind.as_str() {
                "directory.user.deleted" => _ = self.told.remove(&user),
                "directory.user.roles_updated" => {
                    let names = |of: &Value| -> Vec<String> {
                        serde_json::from_value(of.clone()).expect("they are names")
                    };
                    let changes = &data["changes"]["roles"];
                    let before = self.told.insert(user, names(&changes["new"]));
                    assert_eq!(before.unwrap_or_default(), names(&changes["old"]), "{data}");
                }
                _ => {}
            }
        }
        outcome.decided.map(|it| it.answer)
    }

    fn somebody(&mut self) -> UserId {
        match self.users.len() {
            0 => id(0),
            some => self.users[self.dice.at(some)].1,
        }
    }

    fn some_group(&mut self) -> GroupId {
        match self.groups.len() {
            0 => id(0),
            some => self.groups[self.dice.at(some)],
        }
    }

    fn some_people(&mut self) -> Vec<UserId> {
        (0..self.dice.below(5)).map(|_| self.somebody()).collect()
    }

    fn user_type(&mut self) -> Value {
        [json!("Admin"), json!("editor"), Value::Null][self.dice.at(3)].clone()
    }

    fn act(&mut self) {
        match self.dice.below(20) {
            0..=1 if self.users.len() < 40 => {
                let body = json!({
                    "userName": format!("user-{}", self.latest_place),
                    "userType": self.user_type(),
                });
                let user = self.decide(&create(body)).expect("there is room").id;
                self.latest_place += 1;
                self.users.push((self.latest_place, user));
            }
            2 => {
                let user = self.somebody();
                if self.decide(&DeleteUser { id: user }).is_ok() {
                    self.users.retain(|(_, it)| *it != user);
                }
            }
            3..=6 => {
                let (user, value) = (self.somebody(), self.user_type());
                let operation = if value.is_null() {
                    json!([{ "op": "remove", "path": "userType" }])
                } else {
                    json!([{ "op": "replace", "path": "userType", "value": value }])
                };
                let _ = self.decide(&change_user(user, &operation));
            }
            7 => {
                let (user, active) = (self.somebody(), self.dice.below(2) == 0);
                let operation = json!([{ "op": "replace", "path": "active", "value": active }]);
                let _ = self.decide(&change_user(user, &operation));
            }
            8 if self.groups.len() < 6 => {
                let name = format!("group-{}", self.latest_place);
                let people = self.some_people();
                let document = Document::new(group_resource(json!({ "displayName": name })));
                let group = self.decide(&CreateGroup { document, members: named(&people) });
                self.latest_place += 1;
                self.groups.push(group.expect("there is room").group.id);
            }
            9 if self.dice.below(3) == 0 => {
                let group = self.some_group();
                if self.decide(&DeleteGroup { id: group }).is_ok() {
                    self.groups.retain(|it| *it != group);
                }
            }
            10 => {
                let (group, people) = (self.some_group(), self.some_people());
                let name = format!("group-{}", self.latest_place);
                self.latest_place += 1;
                let replace = ReplaceGroup {
                    id: group,
                    resource: group_resource(json!({ "displayName": name })),
                    external_id_given: true,
                    members: Some(named(&people)),
                    resource_type: group_type(),
                };
                let _ = self.decide(&replace);
            }
            11..=15 => {
                let op = ["add", "remove", "replace"][self.dice.at(3)];
                let (group, people) = (self.some_group(), self.some_people());
                let _ = self.decide(&change_members(group, op, &people));
            }
            16 if self.dice.below(4) == 0 => {
                let mapping = self.some_mapping();
                let save =
                    SaveRoleMapping { mapping, new_default_group: None, user_type: user_type() };
                // It may name a group or somebody who is gone.
                let _ = self.decide(&save);
            }
            17..=19 => self.walk_on(),
            _ => {}
        }
    }

    fn some_mapping(&mut self) -> RoleMapping {
        let all = ["admin", "editor", "viewer"];
        let rules = (0..self.dice.below(4)).map(|_| {
            let when = match self.dice.below(3) {
                0 => When::Filter("userType eq \"Admin\"".to_owned()),
                1 => When::Filter("active eq false or userType sw \"e\"".to_owned()),
                _ => When::Group(self.some_group()),
            };
            Rule { when, role: role(all[self.dice.at(3)]) }
        });
        let rules = rules.collect();
        let protects = self.dice.below(4) == 0;
        RoleMapping {
            rules,
            strategy: [Strategy::Highest, Strategy::Union][self.dice.at(2)],
            default_role: (self.dice.below(2) == 0).then(|| role(all[self.dice.at(3)])),
            default_group: (self.dice.below(5) == 0).then(|| self.some_group()),
            protected: if protects {
                vec![Protection { user: self.somebody(), role: Some(role("editor")) }]
            } else {
                Vec::new()
            },
        }
    }

    fn state(&self) -> Option<RoleState> {
        self.facts.role_state().expect("it is known, or there is none").cloned()
    }

    /// Looks at some more people, as what is done in the background does; now and then as one that
    /// comes late.
    fn walk_on(&mut self) {
        let Some(RoleState { walk: Some(walk), .. }) = self.state() else { return };
        let from = if self.dice.below(5) == 0 { self.dice.below(50) } else { walk.place };
        let at_once = 1 + self.dice.at(8);
        let next = self.users.iter().filter(|(place, _)| *place > from);
        let next: Vec<_> = next.take(at_once).copied().collect();
        let to = next
            .last()
            .map(|(place, _)| *place)
            .filter(|place| self.users.iter().any(|(other, _)| other > place));
        let people = next.into_iter().map(|(_, user)| user).collect();
        self.decide(&WalkRoles { from, people, to }).expect("the directory is there");
    }

    fn come_to_rest(&mut self) {
        while self.state().is_some_and(|state| state.walk.is_some()) {
            self.walk_on();
        }
    }

    /// Where everybody was looked at, everybody has what they would get.
    fn compare(&mut self, act: u64) {
        let seed = self.seed;
        let Some(state) = self.state() else { return };
        if state.walk.is_some() {
            return;
        }
        let (users, world) = (self.users.clone(), &self.world);
        for (_, user) in users {
            // What is not known of somebody was never decided.
            let mut known = |want: Want| world.answer_one(&mut self.facts, want);
            known(Want::GroupsOf(user));
            known(Want::Assignment(user));
            let groups: BTreeSet<_> = self.facts.groups_of(user).unwrap().into_iter().collect();
            if let Some(group) = state.bound.default_group() {
                assert!(
                    groups.contains(&group),
                    "seed {seed}, act {act}: {user} is not in {group}"
                );
            }
            let person = self.facts.user(user).unwrap().expect("they are there");
            let afresh = state.bound.assigned(Person { user: person, groups: &groups });
            let kept = self.facts.assignment(user).unwrap();
            assert_eq!(kept, &afresh, "seed {seed}, act {act}");
            let told = self.told.get(&user.to_string()).cloned().unwrap_or_default();
            let of = |it: &Assignment| it.roles().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(told, of(kept), "seed {seed}, act {act}");
            self.compared += 1;
        }
    }
}

fn named(people: &[UserId]) -> Vec<Member> {
    let mut named = members(&[]);
    named.extend(people.iter().map(|it| Member {
        value: it.to_string(),
        kind: None,
        display: None,
    }));
    named
}
