//! Roles on every kind of database: kept with the changes that they follow from, found anew for everybody
//! where it was said otherwise, and those that would be found afresh.

#[expect(dead_code, reason = "nothing happens by the clock here")]
mod engine;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::{
    Aside, CatalogueKind, CreateGroup, CreateUser, DeleteGroup, DeleteUser, Document, EntryId,
    GroupId, Limits, MappingFault, MappingPlace, PatchGroup, PatchUser, Protection, Rejection,
    RoleMapping, Rule, SaveRoleMapping, Settings, Strategy, UserId, When,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine, open};
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::group::Member;
use scim::patch::Patch;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Value, json};
use store::{Cursor, DirectoryStore, Error, NewEntry, RoleChanges, RoleProgress, Store};

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

fn role(text: &str) -> EntryId {
    text.parse().unwrap()
}

async fn put_role(store: &Store, id: &str, rank: Option<u16>) {
    let (kind, display_name) = (CatalogueKind::Role, id.to_uppercase());
    let entry = NewEntry { kind, id: role(id), display_name, description: None, rank };
    store.api().put_entry(entry).await.unwrap().unwrap();
}

/// A directory of an app with three roles, of which the first is the highest.
async fn with_roles(store: &Store) -> DirectoryStore {
    for (rank, id) in (1..).zip(["admin", "editor", "viewer"]) {
        put_role(store, id, Some(rank)).await;
    }
    directory(store, Settings::default()).await
}

fn admitted(body: Value, resource_type: &ResourceType) -> Resource {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap().resource
}

fn user(name: &str, user_type: &str) -> CreateUser {
    let body = json!({ "userName": name, "userType": user_type });
    let document = Document::new(admitted(body, &ResourceType::user()));
    CreateUser { document, aside: Aside::default() }
}

fn group(name: &str, members: &[UserId]) -> CreateGroup {
    let document = Document::new(admitted(json!({ "displayName": name }), &ResourceType::group()));
    let named = |it: &UserId| Member { value: it.to_string(), kind: None, display: None };
    CreateGroup { document, members: members.iter().map(named).collect() }
}

fn patch(operations: &Value, resource_type: &ResourceType) -> Patch {
    let body = json!({ "Operations": operations });
    Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

fn retype(id: UserId, user_type: &str) -> PatchUser {
    let resource_type = Arc::new(ResourceType::user());
    let operations = json!([{ "op": "replace", "path": "userType", "value": user_type }]);
    PatchUser { id, patch: patch(&operations, &resource_type), resource_type }
}

fn members(id: GroupId, op: &str, who: &[UserId]) -> PatchGroup {
    let resource_type = Arc::new(ResourceType::group());
    let ids = who.iter().map(ToString::to_string);
    let operations: Value = if op == "remove" {
        ids.map(|it| json!({ "op": "remove", "path": format!("members[value eq \"{it}\"]") }))
            .collect()
    } else {
        let named: Value = ids.map(|it| json!({ "value": it })).collect();
        json!([{ "op": op, "path": "members", "value": named }])
    };
    PatchGroup { id, patch: patch(&operations, &resource_type), resource_type }
}

fn by_group(group: GroupId, of: &str) -> Rule {
    Rule { when: When::Group(group), role: role(of) }
}

fn by_filter(filter: &str, of: &str) -> Rule {
    Rule { when: When::Filter(filter.to_owned()), role: role(of) }
}

async fn save(directory: &DirectoryStore, mapping: RoleMapping) -> Result<(), Error> {
    let user_type = Arc::clone(directory.types().user());
    let save = SaveRoleMapping { mapping, new_default_group: None, user_type };
    directory.save_roles(save).await
}

/// The roles of somebody, with their reasons in words.
async fn told(directory: &DirectoryStore, who: UserId) -> Vec<(String, String)> {
    let roles = directory.roles_of(vec![who]).await.unwrap();
    let of = |it: &directory::Granted| {
        let name = it.reason.group().and_then(|group| roles.groups.get(&group));
        (it.role.to_string(), it.reason.told_of("Ana", name.map(String::as_str)).to_string())
    };
    roles.of(who).iter().map(of).collect()
}

async fn names(directory: &DirectoryStore, who: UserId) -> Vec<String> {
    told(directory, who).await.into_iter().map(|(role, _)| role).collect()
}

/// Looks at everybody; says in how many steps.
async fn walk(store: &Store, holder: &str) -> u64 {
    let mut steps = 0;
    while store.walk_roles(holder).await.unwrap() > 0 {
        steps += 1;
    }
    steps
}

/// How many have not the roles that would be found afresh.
async fn differing(directory: &DirectoryStore) -> u64 {
    let setting = directory.roles().await.unwrap();
    // What names a group that is gone gives nobody anything, and is not taken any more.
    let gone: Vec<_> = setting
        .idle
        .iter()
        .filter_map(|fault| match fault {
            MappingFault::UnknownGroup(_, group) => Some(When::Group(*group)),
            _ => None,
        })
        .collect();
    let mut mapping = RoleMapping::clone(&setting.mapping);
    mapping.rules.retain(|rule| !gone.contains(&rule.when));
    directory.preview_roles(mapping, 0).await.unwrap().changed
}

#[test]
fn roles_follow_from_changes_in_the_same_breath() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = with_roles(&store).await;
        let ana = directory.change(user("ana", "Editor")).await.unwrap().id;
        let design = directory.change(group("Design", &[])).await.unwrap().group.id;
        let mapping = RoleMapping {
            rules: vec![by_group(design, "editor"), by_filter("userType eq \"Admin\"", "admin")],
            default_role: Some(role("viewer")),
            ..RoleMapping::default()
        };
        save(&directory, mapping.clone()).await.unwrap();
        assert_eq!(walk(&store, "one").await, 1);
        let default = "because no rule is about Ana, and it is the default role";
        assert_eq!(told(&directory, ana).await, [("viewer".to_owned(), default.to_owned())]);

        directory.change(members(design, "add", &[ana])).await.unwrap();
        let why = "because Ana belongs to `Design`, rule 1";
        assert_eq!(told(&directory, ana).await, [("editor".to_owned(), why.to_owned())]);
        directory.change(retype(ana, "ADMIN")).await.unwrap();
        assert_eq!(names(&directory, ana).await, ["admin"]);
        directory.change(retype(ana, "none")).await.unwrap();
        directory.change(DeleteGroup { id: design }).await.unwrap();
        assert_eq!(names(&directory, ana).await, ["viewer"]);
        let bo = directory.change(user("bo", "admin")).await.unwrap().id;
        assert_eq!(names(&directory, bo).await, ["admin"]);
        directory.change(DeleteUser { id: bo }).await.unwrap();
        assert_eq!(names(&directory, bo).await, Vec::<String>::new());

        // What is kept is what is told, also in one transaction with what it follows from.
        let events = store.api().events(None, None, 100).await.unwrap().unwrap().events;
        let of_roles: Vec<_> = events
            .iter()
            .filter(|it| it.kind == "directory.user.roles_updated")
            .map(|it| serde_json::from_str::<Value>(&it.data).unwrap()["changes"]["roles"].clone())
            .collect();
        let change = |old: &[&str], new: &[&str]| json!({ "old": old, "new": new });
        assert_eq!(
            of_roles,
            [
                change(&[], &["viewer"]),
                change(&["viewer"], &["editor"]),
                change(&["editor"], &["admin"]),
                change(&["admin"], &["editor"]),
                change(&["editor"], &["viewer"]),
                change(&[], &["admin"]),
            ]
        );
        // The group is gone, and with it a part of what may be saved.
        let unknown = [MappingFault::UnknownGroup(MappingPlace::Rule(1), design)];
        assert_eq!(directory.roles().await.unwrap().idle, unknown);
        let Err(Error::Rejected(Rejection::WrongMapping(faults))) = save(&directory, mapping).await
        else {
            panic!("it names a group that is gone");
        };
        assert_eq!(faults, unknown);
    });
}

#[test]
fn everybody_is_looked_at_step_by_step_by_one_node_and_whoever_comes_after_it() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = with_roles(&store).await;
        let waiting = (0..200).map(|number| {
            let create = user(&format!("u{number}"), if number % 3 == 0 { "Admin" } else { "x" });
            let directory = &directory;
            Box::pin(async move { directory.change(create).await.unwrap().id }) as Waiting<'_, _>
        });
        let people = in_one_batch(&directory, waiting.collect()).await;
        let rules = vec![by_filter("userType eq \"Admin\"", "admin")];
        let mapping = RoleMapping { rules, ..RoleMapping::default() };
        let preview = directory.preview_roles(mapping.clone(), 2).await.unwrap();
        assert_eq!((preview.people, preview.changed), (200, 67));
        let gained = RoleChanges { gained: 67, lost: 0 };
        assert_eq!(preview.roles, BTreeMap::from([(role("admin"), gained)]));
        let examples: Vec<_> = preview.examples.iter().map(|it| it.user_name.as_str()).collect();
        assert_eq!(examples, ["u0", "u3"]);

        save(&directory, mapping).await.unwrap();
        let progress = async |directory: &DirectoryStore| {
            let found = directory.roles().await.unwrap().progress;
            found.map(|RoleProgress { done, total, is_to_be_repeated, .. }| {
                (done, total, is_to_be_repeated)
            })
        };
        assert_eq!(progress(&directory).await, Some((0, 200, false)));
        assert_eq!(store.walk_roles("one").await.unwrap(), 1);
        assert_eq!(progress(&directory).await, Some((128, 200, false)));
        assert_eq!(names(&directory, people[0]).await, ["admin"]);
        assert_eq!(names(&directory, people[198]).await, Vec::<String>::new());
        // Another node does not do the same. An embedded database has one.
        if database.own.is_some() {
            assert_eq!(store.walk_roles("other").await.unwrap(), 0);
        }
        // The app has other roles meanwhile, which may concern those who were looked at.
        put_role(&store, "viewer", Some(9)).await;
        assert_eq!(progress(&directory).await, Some((128, 200, true)));

        // The server stops, and goes on where it was.
        store.close().await;
        let store = opened(&database);
        let directory = open(&store, directory.id()).await;
        assert_eq!(store.walk_roles("one").await.unwrap(), 1);
        assert_eq!(progress(&directory).await, Some((0, 200, false)));
        assert_eq!(walk(&store, "one").await, 2);
        assert_eq!(progress(&directory).await, None);
        for (number, id) in people.iter().enumerate() {
            let expected: &[&str] = if number % 3 == 0 { &["admin"] } else { &[] };
            assert_eq!(names(&directory, *id).await, expected);
        }
        let summary = store.api().directory(directory.id()).await.unwrap().unwrap();
        // The directory, everybody, the mapping, and 67 people who got a role.
        assert_eq!(summary.event_number, 1 + 200 + 1 + 67);
    });
}

#[test]
fn another_order_of_the_roles_of_the_app_is_another_role_for_people() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = with_roles(&store).await;
        let ana = directory.change(user("ana", "x")).await.unwrap().id;
        let design = directory.change(group("Design", &[ana])).await.unwrap().group.id;
        let rules = vec![by_group(design, "editor"), by_filter("userName pr", "viewer")];
        let mapping = RoleMapping { rules, ..RoleMapping::default() };
        save(&directory, mapping).await.unwrap();
        walk(&store, "one").await;
        assert_eq!(names(&directory, ana).await, ["editor"]);
        put_role(&store, "viewer", Some(1)).await;
        put_role(&store, "editor", None).await;
        // Once for each: somebody may have been looked for between the two.
        assert_eq!(walk(&store, "one").await, 2);
        assert_eq!(names(&directory, ana).await, ["viewer"]);
        // A role that is gone is nobody's, and is said to be.
        store.api().delete_entry(CatalogueKind::Role, role("viewer")).await.unwrap();
        walk(&store, "one").await;
        assert_eq!(names(&directory, ana).await, ["editor"]);
        assert_eq!(directory.roles().await.unwrap().idle.len(), 1);
        put_role(&store, "viewer", Some(1)).await;
        walk(&store, "one").await;
        assert_eq!(names(&directory, ana).await, ["viewer"]);
        assert_eq!(directory.roles().await.unwrap().idle, []);
    });
}

/// One that is always asked anew, or in which it fails, has its turn and no more.
#[test]
fn directories_are_walked_in_turn() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (first, second) = (with_roles(&store).await, with_roles(&store).await);
        for number in 0..300 {
            for of in [&first, &second] {
                of.change(user(&format!("person-{number}"), "x")).await.unwrap();
            }
        }
        for of in [&first, &second] {
            let default_role = Some(role("viewer"));
            save(of, RoleMapping { default_role, ..RoleMapping::default() }).await.unwrap();
        }
        for _ in 0..2 {
            assert!(store.walk_roles("one").await.unwrap() > 0);
        }
        for of in [&first, &second] {
            let done = of.roles().await.unwrap().progress.map(|it| it.done);
            assert!(done.is_some_and(|done| done > 0), "{done:?}");
        }
        walk(&store, "one").await;
    });
}

#[test]
fn who_is_protected_stays_and_a_directory_that_is_deleted_takes_everybody_along() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = with_roles(&store).await;
        let ana = directory.change(user("ana", "x")).await.unwrap().id;
        let mapping = RoleMapping {
            protected: vec![Protection { user: ana, role: Some(role("admin")) }],
            ..RoleMapping::default()
        };
        save(&directory, mapping).await.unwrap();
        walk(&store, "one").await;
        let why = "because Ana is protected, and keeps it whatever the rules say";
        assert_eq!(told(&directory, ana).await, [("admin".to_owned(), why.to_owned())]);
        let refused = directory.change(DeleteUser { id: ana }).await;
        assert!(
            matches!(&refused, Err(Error::Rejected(Rejection::ProtectedUser(name))) if name == "ana"),
            "{refused:?}"
        );
        // Whoever asks to be forgotten is, and the vendor does it.
        let ben = directory.change(user("ben", "x")).await.unwrap().id;
        let mapping = RoleMapping {
            protected: [ana, ben].map(|user| Protection { user, role: None }).into(),
            ..RoleMapping::default()
        };
        save(&directory, mapping).await.unwrap();
        store.api().erase_user(directory.id(), ben).await.unwrap();
        assert_eq!(directory.user(ben, false).await.unwrap(), None);
        store.api().delete_directory(directory.id()).await.unwrap();
        while store.empty_directories("one").await.unwrap() > 0 {}
        assert!(store.api().open(directory.id()).await.unwrap().is_none());
        assert_eq!(store.walk_roles("one").await.unwrap(), 0);
    });
}

/// Numbers without pattern, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64, of Steele, Lea and Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % end as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

/// Changes of people, memberships and mappings. `ROSTER_ROLE_ACTS=1000000 cargo test -p store --test roles`
/// is the long form; it says how far it is.
const ACTS: u64 = 1_500;
/// Acts between two words about how far it is.
const SAID_EVERY: u64 = 50_000;

#[test]
#[expect(clippy::disallowed_methods, reason = "how many there are is said from outside")]
fn the_roles_that_are_kept_are_those_that_would_be_found_afresh() {
    let number = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |it| it.parse().expect("it is a number"))
    };
    let (seed, acts) = (number("ROSTER_SEED", 1), number("ROSTER_ROLE_ACTS", ACTS));
    on_every_engine(async |database| live(&database, seed, acts).await);
}

#[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
async fn live(database: &Database, seed: u64, acts_wanted: u64) {
    let mut dice = Dice(seed);
    let mut store = opened(database);
    let mut directory = with_roles(&store).await;
    let (mut users, mut groups): (Vec<UserId>, Vec<GroupId>) = (Vec::new(), Vec::new());
    let mut reader = Reader::default();
    let (mut compared, mut done, mut batch) = (0, 0, 0);
    while done < acts_wanted {
        for number in 0..4 {
            let name = format!("u{batch}-{number}");
            if users.len() < 60 {
                users.push(directory.change(user(&name, "x")).await.unwrap().id);
            }
        }
        if groups.len() < 5 {
            let created = directory.change(group(&format!("g{batch}"), &[])).await.unwrap();
            groups.push(created.group.id);
        }
        let acts: Vec<_> = (0..10 + dice.below(30))
            .map(|_| {
                let some: Vec<_> = (0..dice.below(4)).filter_map(|_| dice.one_of(&users)).collect();
                let op = ["add", "remove", "replace"][dice.below(3)];
                let user_type = ["Admin", "Editor", "x"][dice.below(3)];
                let (who, which) = (dice.one_of(&users), dice.one_of(&groups));
                (dice.below(10), who, which, some, op, user_type)
            })
            .collect();
        let waiting = acts.into_iter().map(|(kind, who, which, some, op, user_type)| {
            let directory = &directory;
            Box::pin(async move {
                let (Some(who), Some(which)) = (who, which) else { return };
                // Somebody of the same batch may have deleted whom it is about.
                match kind {
                    0 => _ = directory.change(DeleteUser { id: who }).await,
                    1 if some.len() == 3 => {
                        _ = directory.change(DeleteGroup { id: which }).await;
                    }
                    2..=4 => _ = directory.change(retype(who, user_type)).await,
                    _ => _ = directory.change(members(which, op, &some)).await,
                }
            }) as Waiting<'_, ()>
        });
        let waiting: Vec<_> = waiting.collect();
        let before = done;
        done += waiting.len() as u64;
        in_one_batch(&directory, waiting).await;
        let mut there = Vec::new();
        for id in users {
            there.extend(directory.user(id, false).await.unwrap().map(|user| user.id));
        }
        users = there;
        let mut there = Vec::new();
        for id in groups {
            there.extend(directory.group(id, false).await.unwrap().map(|group| group.id));
        }
        groups = there;
        match dice.below(6) {
            0 => {
                let mapping = some_mapping(&mut dice, &users, &groups);
                save(&directory, mapping).await.unwrap();
                done += 1;
            }
            1 => {
                let id = ["admin", "editor", "viewer"][dice.below(3)];
                let rank = [None, Some(1), Some(2)][dice.below(3)];
                put_role(&store, id, rank).await;
            }
            2 => _ = store.walk_roles("one").await.unwrap(),
            3 => {
                store.close().await;
                store = opened(database);
                directory = open(&store, directory.id()).await;
            }
            _ => {}
        }
        if directory.roles().await.unwrap().progress.is_none() {
            compared += 1;
            assert_eq!(differing(&directory).await, 0, "seed {seed}, batch {batch}");
        } else if dice.below(3) == 0 {
            walk(&store, "one").await;
            assert_eq!(differing(&directory).await, 0, "seed {seed}, batch {batch}");
        }
        reader.read_on(&store).await;
        for user in &users {
            let told = reader.roles.get(&user.to_string()).cloned().unwrap_or_default();
            // Which of them is the highest is the app's to say, and is nobody's change of roles.
            let kept: BTreeSet<_> = names(&directory, *user).await.into_iter().collect();
            assert_eq!(kept, told, "seed {seed}, batch {batch}");
        }
        batch += 1;
        if done / SAID_EVERY > before / SAID_EVERY {
            println!("{done} acts in {batch} batches, {compared} times compared");
        }
    }
    assert!(compared > batch / 10, "too little was compared: {compared}");
}

fn some_mapping(dice: &mut Dice, users: &[UserId], groups: &[GroupId]) -> RoleMapping {
    let all = ["admin", "editor", "viewer"];
    let mut mapping = RoleMapping {
        strategy: [Strategy::Highest, Strategy::Union][dice.below(2)],
        default_role: (dice.below(2) == 0).then(|| role(all[dice.below(3)])),
        ..RoleMapping::default()
    };
    for _ in 0..dice.below(4) {
        let of = all[dice.below(3)];
        match dice.one_of(groups) {
            Some(group) if dice.below(3) > 0 => mapping.rules.push(by_group(group, of)),
            _ => mapping.rules.push(by_filter("userType eq \"Admin\"", of)),
        }
    }
    if dice.below(3) == 0 {
        mapping.default_group = dice.one_of(groups);
    }
    let protected = dice.one_of(users).filter(|_| dice.below(3) == 0);
    mapping
        .protected
        .extend(protected.map(|user| Protection { user, role: Some(role(all[dice.below(3)])) }));
    mapping
}

/// Knows of roles what events tell.
#[derive(Default)]
struct Reader {
    cursor: Option<Cursor>,
    roles: BTreeMap<String, BTreeSet<String>>,
}

impl Reader {
    async fn read_on(&mut self, store: &Store) {
        loop {
            let page = store.api().events(self.cursor.take(), None, 500).await.unwrap().unwrap();
            for event in page.events {
                if event.kind != "directory.user.roles_updated" {
                    continue;
                }
                let data: Value = serde_json::from_str(&event.data).unwrap();
                let names = |of: &Value| -> BTreeSet<String> {
                    serde_json::from_value(data["changes"]["roles"][of.as_str().unwrap()].clone())
                        .unwrap()
                };
                let user = data["user"]["id"].as_str().unwrap().to_owned();
                let before = self.roles.insert(user, names(&json!("new")));
                assert_eq!(before.unwrap_or_default(), names(&json!("old")), "{data}");
            }
            self.cursor = Some(page.next);
            if !page.has_more {
                return;
            }
        }
    }
}
