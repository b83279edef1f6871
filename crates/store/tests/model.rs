//! Thousands of random acts, next to a plain map that does the same in the simplest way. After
//! each batch answers, rejections, pages, memberships and counters are compared, and what somebody
//! knows who has read nothing but the events.

mod beside;
mod engine;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use directory::{
    Aside, CreateGroup, CreateUser, Decide, Decision, DeleteGroup, DeleteUser, DirectoryId,
    Document, Facts, GroupOutcome, Ids, Limits, Moment, PatchGroup, PatchUser, Rejection,
    ReplaceGroup, ReplaceUser, ResourceId, Settings, Stop, UnknownMembers, User,
};
use engine::{Database, Waiting, on_every_engine};
use jiff::Timestamp;
use scim::admit::{Admitted, admit};
use scim::dialect::Quirks;
use scim::patch::Patch;
use scim::{Preset, ResourceType};
use serde_json::{Map, Value, json};
use store::{
    Cursor, DirectoryStore, Error, EventRecord, GroupRecord, ListRequest, Store, UserRecord, Window,
};
use uuid::Uuid;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Low enough to be met all the time.
const LIMITS: Limits = Limits { users_max: 14, groups_max: 6, group_members_max: 7 };

#[test]
fn random_acts_leave_what_a_plain_map_has() {
    for seed in 0..5 {
        on_every_engine(async |database| random_acts(&database, seed).await);
    }
}

/// As while nodes are upgraded one after the other: the first of the new ones has changed the
/// database, and those of the version before go on and are started again.
#[test]
fn random_acts_leave_the_same_on_the_shape_of_a_later_version() {
    on_every_engine(async |database| {
        database.open(LIMITS).unwrap().close().await;
        beside::upgrade(&database);
        random_acts(&database, 5).await;
    });
}

async fn random_acts(database: &Database, seed: u64) {
    let mut dice = Dice(seed);
    let mut store = database.open(LIMITS).unwrap();
    let mut models = Vec::new();
    for unknown_members in [UnknownMembers::Skip, UnknownMembers::Refuse] {
        let settings = Settings { unknown_members, ..Settings::default() };
        let id = engine::directory(&store, settings).await.id();
        let latest = store.access().now();
        models.push((id, Model { unknown_members, ..Model::default() }, latest));
    }
    let mut reader = Reader::default();
    for _ in 0..60 {
        database.clock.move_by([1, 60, 0, -5][dice.below(4)]);
        let (id, model, latest) = &mut models[dice.below(2)];
        // Time does not go back within a directory.
        let now = store.access().now().max(*latest);
        let changes_before = model.changes;
        let acts: Vec<_> = (0..=dice.below(40)).map(|_| model.some_act(&mut dice)).collect();
        let expected: Vec<_> = acts.iter().map(|act| model.carry_out(act, now)).collect();
        if model.changes > changes_before {
            *latest = now;
        }
        let directory = engine::open(&store, *id).await;
        let waiting = acts.iter().map(|act| hand_in(&directory, act)).collect();
        let got = engine::in_one_batch(&directory, waiting).await;
        for ((act, expected), got) in acts.iter().zip(expected).zip(got) {
            assert_eq!(got, expected, "seed {seed}: {act:?} of {acts:#?}");
        }
        compare(&store, &directory, model, &mut dice).await;
        reader.read_on(&store).await;
        for (id, model, _) in &models {
            assert_eq!(reader.directories[id], model.as_read(), "seed {seed}");
        }
        if dice.below(10) == 0 {
            store.close().await;
            database.clock.move_by(-30);
            store = database.open(LIMITS).unwrap();
        }
    }
    let mut anew = Reader::default();
    anew.read_on(&store).await;
    assert_eq!(anew.directories, reader.directories);
    let acts: u64 = models.iter().map(|(_, model, _)| model.acts).sum();
    let changes: u64 = models.iter().map(|(_, model, _)| model.changes).sum();
    assert!(acts > 500 && changes > acts / 4, "the dice are good: {changes} of {acts}");
}

/// Numbers without pattern, the same for the same seed.
struct Dice(u64);

impl Dice {
    /// From 0 on, and below `end`.
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64, of Steele, Lea and Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % end as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Something to be done, with the id that comes of it where something is created: so that the
/// acts of one batch can name each other's outcome.
#[derive(Clone, Debug)]
enum Act {
    CreateUser(ResourceId, Value),
    PutUser(ResourceId, Value),
    PatchUser(ResourceId, Vec<(&'static str, Value)>, u64),
    DeleteUser(ResourceId),
    CreateGroup(ResourceId, String, Vec<Named>),
    PutGroup(ResourceId, String, Vec<Named>),
    PatchGroup(ResourceId, Vec<Operation>),
    DeleteGroup(ResourceId),
}

/// A member as a provider names it.
type Named = (String, Option<&'static str>);

/// One operation of a PATCH of a group, and in which of its spellings it is sent.
#[derive(Clone, Debug)]
enum Operation {
    Rename(String, usize),
    Add(Vec<Named>, usize),
    Remove(Vec<String>, usize),
    RemoveKind(&'static str),
    RemoveAll,
    Replace(Vec<Named>, usize),
}

/// What somebody was told.
#[derive(Debug, PartialEq)]
enum Answer {
    User { id: ResourceId, attributes: Map<String, Value>, version: u64, modified_at: Timestamp },
    Group { id: ResourceId, group: PlainGroup, unknown: Vec<String> },
    Gone,
    No(Rejection),
}

#[derive(Clone, Debug, PartialEq)]
struct PlainUser {
    attributes: Map<String, Value>,
    version: u64,
    modified_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
struct PlainGroup {
    name: String,
    member_count: u64,
    version: u64,
    modified_at: Timestamp,
}

/// Who belongs to a group: what they are, and the name they came with.
type Members = BTreeMap<ResourceId, (&'static str, Option<String>)>;

/// Name as it is compared, `externalId`, and id of somebody who was deleted.
type Former = (String, Option<Value>, String);

fn former(id: &impl ToString, attributes: &Map<String, Value>) -> Former {
    let name = key(attributes["userName"].as_str().unwrap());
    (name, attributes.get("externalId").cloned(), id.to_string())
}

/// A directory as a few maps.
#[derive(Default)]
struct Model {
    unknown_members: UnknownMembers,
    users: BTreeMap<ResourceId, PlainUser>,
    groups: BTreeMap<ResourceId, PlainGroup>,
    members: BTreeMap<ResourceId, Members>,
    /// In the order of their creation.
    created: Vec<ResourceId>,
    /// Name, `externalId` and id of who was deleted.
    former: Vec<Former>,
    /// Ids that were ever given to anything, or refused to it.
    ids: Vec<ResourceId>,
    acts: u64,
    changes: u64,
}

/// One id, known beforehand.
struct This(ResourceId);

impl Ids for This {
    fn next(&self) -> Uuid {
        self.0.to_string().parse().unwrap()
    }
}

struct WithId<D>(ResourceId, D);

impl<D: Decide> Decide for WithId<D> {
    type Answer = D::Answer;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<D::Answer>, Stop> {
        self.1.decide(facts, &Moment { now: moment.now, ids: &This(self.0) })
    }
}

fn admitted(body: Value, resource_type: &ResourceType) -> Admitted {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

fn patch(operations: &[Value], resource_type: &ResourceType) -> Patch {
    let body = json!({ "Operations": operations });
    Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

/// Hands an act in as a request would.
fn hand_in<'a>(directory: &'a DirectoryStore, act: &Act) -> Waiting<'a, Answer> {
    let user_type = Arc::new(ResourceType::user());
    let group_type = Arc::new(ResourceType::group());
    let group_body = |name: &str, members: &[Named]| {
        let body = json!({ "displayName": name, "members": named(members) });
        let Admitted { resource, members, .. } = admitted(body, &group_type);
        (resource, members.unwrap())
    };
    match act.clone() {
        Act::CreateUser(id, body) => {
            let document = Document::new(admitted(body, &user_type).resource);
            told(directory, WithId(id, CreateUser { document, aside: Aside::default() }), of_user)
        }
        Act::PutUser(id, body) => {
            let admitted = admitted(body, &user_type);
            let replace = ReplaceUser {
                id,
                resource: admitted.resource,
                aside: Aside::default(),
                external_id_given: admitted.external_id_given,
                resource_type: user_type,
            };
            told(directory, replace, of_user)
        }
        Act::PatchUser(id, sets, spelling) => {
            let operations: Vec<_> = sets
                .into_iter()
                .map(|(path, value)| match (value, spelling) {
                    (Value::Null, 0) => json!({ "op": "replace", "path": path, "value": null }),
                    (Value::Null, _) => json!({ "op": "remove", "path": path }),
                    (value, 0) => json!({ "op": "Replace", "path": path, "value": value }),
                    (value, 1) => json!({ "op": "add", "path": path, "value": value }),
                    (value, _) => json!({ "op": "replace", "value": { path: value } }),
                })
                .collect();
            let patch = patch(&operations, &user_type);
            told(directory, PatchUser { id, patch, resource_type: user_type }, |outcome| {
                of_user(&outcome.user)
            })
        }
        Act::DeleteUser(id) => told(directory, DeleteUser { id }, |()| Answer::Gone),
        Act::CreateGroup(id, name, members) => {
            let (resource, members) = group_body(&name, &members);
            let create = CreateGroup { document: Document::new(resource), members };
            told(directory, WithId(id, create), of_group)
        }
        Act::PutGroup(id, name, members) => {
            let (resource, members) = group_body(&name, &members);
            told(
                directory,
                ReplaceGroup {
                    id,
                    resource,
                    external_id_given: true,
                    members: Some(members),
                    resource_type: group_type,
                },
                of_group,
            )
        }
        Act::PatchGroup(id, operations) => {
            let operations: Vec<_> = operations.iter().map(Operation::spelt).collect();
            let patch = patch(&operations, &group_type);
            told(directory, PatchGroup { id, patch, resource_type: group_type }, of_group)
        }
        Act::DeleteGroup(id) => told(directory, DeleteGroup { id }, |()| Answer::Gone),
    }
}

fn told<D: Decide>(
    directory: &DirectoryStore,
    decide: D,
    read: fn(&D::Answer) -> Answer,
) -> Waiting<'_, Answer> {
    Box::pin(async move {
        match directory.change(decide).await {
            Ok(answer) => read(&answer),
            Err(Error::Rejected(rejection)) => Answer::No(rejection),
            Err(error) => panic!("{error:?}"),
        }
    })
}

fn of_user(user: &User) -> Answer {
    let attributes = user.document.resource().attributes().clone();
    Answer::User { id: user.id, attributes, version: user.version, modified_at: user.modified_at }
}

fn of_group(outcome: &GroupOutcome) -> Answer {
    let GroupOutcome { group, unknown_members: unknown, .. } = outcome;
    let plain = PlainGroup {
        name: group.display_name().to_owned(),
        member_count: group.member_count,
        version: group.version,
        modified_at: group.modified_at,
    };
    Answer::Group { id: group.id, group: plain, unknown: unknown.clone() }
}

fn named(members: &[Named]) -> Value {
    let one = |(value, display): &Named| match display {
        Some(display) => json!({ "value": value, "display": display }),
        None => json!({ "value": value }),
    };
    members.iter().map(one).collect()
}

impl Operation {
    fn spelt(&self) -> Value {
        match self {
            Operation::Rename(name, 0) => {
                json!({ "op": "replace", "path": "displayName", "value": name })
            }
            Operation::Rename(name, _) => {
                json!({ "op": "replace", "value": { "id": "7", "displayName": name } })
            }
            Operation::Add(members, 0) => {
                json!({ "op": "add", "path": "members", "value": named(members) })
            }
            Operation::Add(members, _) => {
                json!({ "op": "Add", "value": { "members": named(members) } })
            }
            Operation::Remove(ids, 0) => {
                let terms: Vec<_> = ids.iter().map(|id| format!("value eq \"{id}\"")).collect();
                json!({ "op": "remove", "path": format!("members[{}]", terms.join(" or ")) })
            }
            Operation::Remove(ids, _) => {
                let value: Vec<_> = ids.iter().map(|id| json!({ "value": id })).collect();
                json!({ "op": "Remove", "path": "members", "value": value })
            }
            Operation::RemoveKind(kind) => {
                json!({ "op": "remove", "path": format!("members[type eq \"{kind}\"]") })
            }
            Operation::RemoveAll => json!({ "op": "remove", "path": "members" }),
            Operation::Replace(members, 0) => {
                json!({ "op": "replace", "path": "members", "value": named(members) })
            }
            Operation::Replace(members, _) => {
                json!({ "op": "replace", "value": { "members": named(members) } })
            }
        }
    }
}

fn key(name: &str) -> String {
    name.to_lowercase()
}

impl Model {
    fn new_id(&mut self, dice: &mut Dice) -> ResourceId {
        // Not in the order of creation, which nothing may rely on.
        let bits = (dice.below(1 << 40) as u128) << 64 | (1 << 80) | self.ids.len() as u128;
        let id = ResourceId::parse(&Uuid::from_u128(bits).to_string()).unwrap();
        self.ids.push(id);
        id
    }

    /// Of a user, mostly.
    fn some_user_id(&mut self, dice: &mut Dice) -> ResourceId {
        if dice.below(4) == 0 || self.users.is_empty() {
            return self.some_id(dice);
        }
        *self.users.keys().nth(dice.below(self.users.len())).unwrap()
    }

    /// Of a group, mostly.
    fn some_group_id(&mut self, dice: &mut Dice) -> ResourceId {
        if dice.below(4) == 0 || self.groups.is_empty() {
            return self.some_id(dice);
        }
        *self.groups.keys().nth(dice.below(self.groups.len())).unwrap()
    }

    /// Of a user, of a group, of the dead, of what is created in this very batch, of nobody.
    fn some_id(&mut self, dice: &mut Dice) -> ResourceId {
        match dice.below(10) {
            0..3 if !self.users.is_empty() => {
                *self.users.keys().nth(dice.below(self.users.len())).unwrap()
            }
            3..6 if !self.groups.is_empty() => {
                *self.groups.keys().nth(dice.below(self.groups.len())).unwrap()
            }
            6..9 if !self.ids.is_empty() => {
                let recent = self.ids.len().saturating_sub(12);
                *dice.one_of(&self.ids[recent..])
            }
            _ => ResourceId::parse("00000000-0000-0000-0000-0000000000ff").unwrap(),
        }
    }

    fn some_user(dice: &mut Dice) -> Value {
        let mut body = json!({ "userName": *dice.one_of(&NAMES) });
        for (name, value) in [
            ("externalId", json!(dice.one_of(&["e1", "e2", "e3"]))),
            ("active", json!(dice.below(3) > 0)),
            ("title", json!(dice.one_of(&["Dr.", "Prof."]))),
            (ENTERPRISE, json!({ "department": dice.one_of(&["Sales", "Design"]) })),
        ] {
            if dice.below(2) == 0 {
                body[name] = value;
            }
        }
        body
    }

    fn some_members(&mut self, dice: &mut Dice, max: usize) -> Vec<Named> {
        (0..dice.below(max + 1))
            .map(|_| {
                let mut value = self.some_id(dice).to_string();
                if dice.below(20) == 0 {
                    value =
                        (*dice.one_of(&["nobody", "00000000-0000-0000-0000-0000000000FF"])).into();
                }
                (value, *dice.one_of(&[None, Some("Ana"), Some("Bo")]))
            })
            .collect()
    }

    fn some_act(&mut self, dice: &mut Dice) -> Act {
        match dice.below(16) {
            0..3 => Act::CreateUser(self.new_id(dice), Model::some_user(dice)),
            3 => Act::PutUser(self.some_user_id(dice), Model::some_user(dice)),
            4..8 => {
                let department = format!("{ENTERPRISE}:department");
                let mut sets = Vec::new();
                for _ in 0..=dice.below(2) {
                    sets.push(match dice.below(6) {
                        0 => ("userName", json!(*dice.one_of(&NAMES))),
                        1 => ("active", json!(dice.below(2) == 0)),
                        2 => ("title", json!(dice.one_of(&["Dr.", "Prof."]))),
                        3 => ("title", Value::Null),
                        4 => (DEPARTMENT, Value::Null),
                        _ => (DEPARTMENT, json!(dice.one_of(&["Sales", "Design"]))),
                    });
                }
                assert_eq!(DEPARTMENT, department);
                Act::PatchUser(self.some_user_id(dice), sets, dice.below(3) as u64)
            }
            8 => Act::DeleteUser(self.some_user_id(dice)),
            9..11 => {
                let members = self.some_members(dice, 5);
                Act::CreateGroup(self.new_id(dice), (*dice.one_of(&GROUP_NAMES)).into(), members)
            }
            11 => {
                let members = self.some_members(dice, 9);
                Act::PutGroup(
                    self.some_group_id(dice),
                    (*dice.one_of(&GROUP_NAMES)).into(),
                    members,
                )
            }
            12..15 => {
                let operations = (0..=dice.below(3)).map(|_| {
                    let spelling = dice.below(2);
                    match dice.below(12) {
                        0 => Operation::Rename((*dice.one_of(&GROUP_NAMES)).into(), spelling),
                        1 => {
                            let kind = dice.one_of(&["User", "group"]);
                            Operation::RemoveKind(kind)
                        }
                        2 => Operation::RemoveAll,
                        3 => Operation::Replace(self.some_members(dice, 5), spelling),
                        4..7 => {
                            let id = self.some_id(dice);
                            let ids = self.some_members(dice, 2).into_iter().map(|(id, _)| id);
                            Operation::Remove(ids.chain([id.to_string()]).collect(), spelling)
                        }
                        _ => Operation::Add(self.some_members(dice, 3), spelling),
                    }
                });
                let operations = operations.collect();
                Act::PatchGroup(self.some_group_id(dice), operations)
            }
            _ => Act::DeleteGroup(self.some_group_id(dice)),
        }
    }

    fn carry_out(&mut self, act: &Act, now: Timestamp) -> Answer {
        self.acts += 1;
        let before = self.changes;
        let answer = self.answer(act, now).unwrap_or_else(Answer::No);
        assert!(self.changes == before || !matches!(answer, Answer::No(_)));
        answer
    }

    fn answer(&mut self, act: &Act, now: Timestamp) -> Result<Answer, Rejection> {
        match act {
            Act::CreateUser(id, body) => {
                let attributes = body.as_object().unwrap().clone();
                self.check_user_name(*id, &attributes)?;
                if self.users.len() as u64 >= LIMITS.users_max {
                    return Err(Rejection::UsersFull(LIMITS.users_max));
                }
                self.created.push(*id);
                self.changes += 1;
                let user = PlainUser { attributes, version: 1, modified_at: now };
                self.users.insert(*id, user);
                Ok(self.user_answer(*id))
            }
            Act::PutUser(id, body) => {
                let mut attributes = body.as_object().unwrap().clone();
                let before = self.known_user(*id)?;
                for kept in ["active", "externalId"] {
                    if let (None, Some(value)) = (attributes.get(kept), before.attributes.get(kept))
                    {
                        attributes.insert(kept.into(), value.clone());
                    }
                }
                self.update_user(*id, attributes, now)
            }
            Act::PatchUser(id, sets, _) => {
                let mut attributes = self.known_user(*id)?.attributes.clone();
                for (path, value) in sets {
                    let (path, value) = match (*path, value) {
                        (DEPARTMENT, Value::Null) => (ENTERPRISE, Value::Null),
                        (DEPARTMENT, value) => (ENTERPRISE, json!({ "department": value })),
                        (path, value) => (path, value.clone()),
                    };
                    if value.is_null() {
                        attributes.shift_remove(path);
                    } else {
                        attributes.insert(path.into(), value);
                    }
                }
                self.update_user(*id, attributes, now)
            }
            Act::DeleteUser(id) => {
                self.known_user(*id)?;
                self.leave_groups(*id, now);
                let user = self.users.remove(id).unwrap();
                self.former.push(former(id, &user.attributes));
                self.changes += 1;
                Ok(Answer::Gone)
            }
            Act::CreateGroup(id, name, members) => {
                self.check_group_name(*id, name)?;
                if self.groups.len() as u64 >= LIMITS.groups_max {
                    return Err(Rejection::GroupsFull(LIMITS.groups_max));
                }
                let operations = [Operation::Replace(members.clone(), 0)];
                let (members, unknown) = self.members_after(*id, &operations)?;
                let group = PlainGroup {
                    name: name.clone(),
                    member_count: members.len() as u64,
                    version: 1,
                    modified_at: now,
                };
                self.created.push(*id);
                self.changes += 1;
                self.groups.insert(*id, group.clone());
                self.members.insert(*id, members);
                Ok(Answer::Group { id: *id, group, unknown })
            }
            Act::PutGroup(id, name, members) => {
                let operations =
                    [Operation::Rename(name.clone(), 0), Operation::Replace(members.clone(), 0)];
                self.update_group(*id, &operations, now)
            }
            Act::PatchGroup(id, operations) => self.update_group(*id, operations, now),
            Act::DeleteGroup(id) => {
                self.known_group(*id)?;
                self.leave_groups(*id, now);
                self.groups.remove(id);
                self.members.remove(id);
                self.changes += 1;
                Ok(Answer::Gone)
            }
        }
    }

    fn known_user(&self, id: ResourceId) -> Result<&PlainUser, Rejection> {
        self.users.get(&id).ok_or_else(|| Rejection::UnknownUser(id.to_string()))
    }

    fn known_group(&self, id: ResourceId) -> Result<&PlainGroup, Rejection> {
        self.groups.get(&id).ok_or_else(|| Rejection::UnknownGroup(id.to_string()))
    }

    fn check_user_name(
        &self,
        id: ResourceId,
        attributes: &Map<String, Value>,
    ) -> Result<(), Rejection> {
        let name_of = |it: &Map<String, Value>| key(it["userName"].as_str().unwrap());
        let is_taken = self
            .users
            .iter()
            .any(|(other, user)| *other != id && name_of(&user.attributes) == name_of(attributes));
        if is_taken { Err(Rejection::UserNameTaken) } else { Ok(()) }
    }

    fn check_group_name(&self, id: ResourceId, name: &str) -> Result<(), Rejection> {
        let is_taken =
            self.groups.iter().any(|(other, group)| *other != id && key(&group.name) == key(name));
        if is_taken { Err(Rejection::GroupNameTaken) } else { Ok(()) }
    }

    fn user_answer(&self, id: ResourceId) -> Answer {
        let PlainUser { attributes, version, modified_at } = self.users[&id].clone();
        Answer::User { id, attributes, version, modified_at }
    }

    fn update_user(
        &mut self,
        id: ResourceId,
        attributes: Map<String, Value>,
        now: Timestamp,
    ) -> Result<Answer, Rejection> {
        if attributes != self.users[&id].attributes {
            self.check_user_name(id, &attributes)?;
            let version = self.users[&id].version + 1;
            self.users.insert(id, PlainUser { attributes, version, modified_at: now });
            self.changes += 1;
        }
        Ok(self.user_answer(id))
    }

    fn update_group(
        &mut self,
        id: ResourceId,
        operations: &[Operation],
        now: Timestamp,
    ) -> Result<Answer, Rejection> {
        let before = self.known_group(id)?.clone();
        let (members, unknown) = self.members_after(id, operations)?;
        let mut name = before.name.clone();
        for operation in operations {
            if let Operation::Rename(new, _) = operation {
                name.clone_from(new);
            }
        }
        if name == before.name && members == self.members[&id] {
            return Ok(Answer::Group { id, group: before, unknown });
        }
        self.check_group_name(id, &name)?;
        let group = PlainGroup {
            name,
            member_count: members.len() as u64,
            version: before.version + 1,
            modified_at: now,
        };
        self.changes += 1;
        self.members.insert(id, members);
        self.groups.insert(id, group.clone());
        Ok(Answer::Group { id, group, unknown })
    }

    fn kind(&self, value: &str) -> Option<(ResourceId, &'static str)> {
        let id = ResourceId::parse(value)?;
        if self.users.contains_key(&id) {
            Some((id, "User"))
        } else {
            self.groups.contains_key(&id).then_some((id, "Group"))
        }
    }

    fn members_after(
        &self,
        group: ResourceId,
        operations: &[Operation],
    ) -> Result<(Members, Vec<String>), Rejection> {
        let before = self.members.get(&group).cloned().unwrap_or_default();
        let mut now = before.clone();
        let mut unknown: Vec<String> = Vec::new();
        for operation in operations {
            if let Operation::Replace(members, _) = operation {
                now.retain(|id, _| members.iter().any(|(value, _)| *value == id.to_string()));
            }
            match operation {
                Operation::Rename(..) => {}
                Operation::Add(members, _) | Operation::Replace(members, _) => {
                    for (value, display) in members {
                        if let Some((id, kind)) = self.kind(value) {
                            now.entry(id).or_insert((kind, display.map(str::to_owned)));
                        } else if !unknown.contains(value) {
                            unknown.push(value.clone());
                        }
                    }
                }
                Operation::Remove(ids, _) => now.retain(|id, _| !ids.contains(&id.to_string())),
                Operation::RemoveKind(gone) => {
                    now.retain(|_, (kind, _)| !kind.eq_ignore_ascii_case(gone));
                }
                Operation::RemoveAll => now.clear(),
            }
        }
        // Who was there before stays as they were, even if they went and came again.
        for (id, member) in &mut now {
            if let Some(known) = before.get(id) {
                member.clone_from(known);
            }
        }
        if !unknown.is_empty() && self.unknown_members == UnknownMembers::Refuse {
            return Err(Rejection::UnknownMembers(unknown));
        }
        if now.contains_key(&group) && !before.contains_key(&group) {
            return Err(Rejection::MemberOfItself);
        }
        let max = LIMITS.group_members_max;
        if now.len() > before.len() && now.len() as u64 > max {
            return Err(Rejection::MembersFull(max));
        }
        Ok((now, unknown))
    }

    fn leave_groups(&mut self, member: ResourceId, now: Timestamp) {
        for (id, members) in &mut self.members {
            if members.remove(&member).is_some() {
                let group = self.groups.get_mut(id).unwrap();
                group.version += 1;
                group.member_count -= 1;
                group.modified_at = now;
            }
        }
    }

    fn as_read(&self) -> Read {
        let members = |members: &Members| -> BTreeSet<(String, String)> {
            members.iter().map(|(id, (kind, _))| (id.to_string(), (*kind).to_owned())).collect()
        };
        Read {
            users: self
                .users
                .iter()
                .map(|(id, user)| (id.to_string(), user.attributes.clone()))
                .collect(),
            groups: self
                .groups
                .iter()
                .map(|(id, group)| (id.to_string(), group.name.clone()))
                .collect(),
            members: self.members.iter().map(|(id, it)| (id.to_string(), members(it))).collect(),
            former: self.former.clone(),
        }
    }
}

const NAMES: [&str; 12] =
    ["ana", "Ana", "bo", "BO", "cy", "dé", "DÉ", "eva", "fi", "gus", "hal", "ida"];
const GROUP_NAMES: [&str; 8] = ["Design", "design", "Sales", "Ops", "All", "Ö", "ö", "Staff"];
const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";

/// What the database answers is what the model has.
async fn compare(store: &Store, directory: &DirectoryStore, model: &Model, dice: &mut Dice) {
    let summary = store.api().directory(directory.id()).await.unwrap().unwrap();
    let active = |user: &&PlainUser| user.attributes.get("active") != Some(&Value::Bool(false));
    assert_eq!(
        (summary.user_count, summary.active_user_count, summary.group_count),
        (
            model.users.len() as u64,
            model.users.values().filter(active).count() as u64,
            model.groups.len() as u64
        )
    );

    let whole = Window::at(1, 1_000);
    let users = directory.users(list(whole.clone())).await.unwrap();
    let expected: Vec<_> = model.created.iter().filter(|id| model.users.contains_key(id)).collect();
    assert_eq!(users.total, expected.len() as u64);
    assert_eq!(users.items.iter().map(|user| &user.id).collect::<Vec<_>>(), expected);
    for user in &users.items {
        let plain = &model.users[&user.id];
        let attributes: Map<String, Value> = serde_json::from_str(&user.text).unwrap();
        assert_eq!(attributes, plain.attributes);
        assert_eq!((user.version, user.modified_at), (plain.version, plain.modified_at));
        let groups: BTreeMap<_, _> =
            user.groups.iter().map(|group| (group.id, group.display_name.clone())).collect();
        let expected: BTreeMap<_, _> = model
            .members
            .iter()
            .filter(|(_, members)| members.contains_key(&user.id))
            .map(|(id, _)| (*id, model.groups[id].name.clone()))
            .collect();
        assert_eq!(groups, expected);
    }

    let groups = directory.groups(list(whole)).await.unwrap();
    let expected: Vec<_> =
        model.created.iter().filter(|id| model.groups.contains_key(id)).collect();
    assert_eq!(groups.total, expected.len() as u64);
    assert_eq!(groups.items.iter().map(|group| &group.id).collect::<Vec<_>>(), expected);
    for group in &groups.items {
        let plain = &model.groups[&group.id];
        let attributes: Value = serde_json::from_str(&group.text).unwrap();
        assert_eq!(attributes, json!({ "displayName": plain.name }));
        assert_eq!(
            (group.version, group.modified_at, group.member_count),
            (plain.version, plain.modified_at, plain.member_count)
        );
        let members: Members = group
            .members
            .iter()
            .map(|member| (member.id, (member.kind.as_str(), member.display.clone())))
            .collect();
        assert_eq!(members, model.members[&group.id]);
        assert_eq!(group.members.len() as u64, group.member_count);
    }

    let (first, count) = (dice.below(18), dice.below(6));
    let page = directory.users(list(Window::at(first as u64, count as u64))).await.unwrap();
    let skipped = first.saturating_sub(1);
    let expected: Vec<_> = users.items.iter().skip(skipped).take(count).cloned().collect();
    assert_eq!((page.items, page.total), (expected, users.total));

    let id = model.ids.last().copied().unwrap_or_else(|| ResourceId::parse(NOBODY).unwrap());
    let user = users.items.into_iter().find(|user| user.id == id);
    assert_eq!(directory.user(id, true).await.unwrap(), user);
    let group = groups.items.into_iter().find(|group| group.id == id);
    assert_eq!(directory.group(id, true).await.unwrap(), group);
}

const NOBODY: &str = "00000000-0000-0000-0000-0000000000ff";

trait Listed {}
impl Listed for UserRecord {}
impl Listed for GroupRecord {}

fn list<R: Listed + 'static>(window: Window) -> ListRequest<R> {
    ListRequest {
        filter: None,
        sort: None,
        window,
        with_related: true,
        represent: Arc::new(|_| Map::new()),
    }
}

/// Somebody who reads the feed, and knows nothing else.
#[derive(Default)]
struct Reader {
    cursor: Option<Cursor>,
    position: u64,
    numbers: BTreeMap<DirectoryId, u64>,
    occurred_at: HashMap<DirectoryId, Timestamp>,
    directories: BTreeMap<DirectoryId, Read>,
}

/// A directory, as one who has read its events knows it.
#[derive(Debug, Default, PartialEq)]
struct Read {
    users: BTreeMap<String, Map<String, Value>>,
    groups: BTreeMap<String, String>,
    members: BTreeMap<String, BTreeSet<(String, String)>>,
    former: Vec<Former>,
}

impl Reader {
    async fn read_on(&mut self, store: &Store) {
        loop {
            let page = store.api().events(self.cursor.take(), None, 50).await.unwrap().unwrap();
            for event in &page.events {
                self.read(event);
            }
            self.cursor = Some(page.next);
            if !page.has_more {
                break;
            }
        }
        for (id, number) in &self.numbers {
            let summary = store.api().directory(*id).await.unwrap().unwrap();
            assert_eq!(summary.event_number, *number);
        }
    }

    fn read(&mut self, event: &EventRecord) {
        let directory_id = event.directory_id.expect("everything here is of a directory");
        self.position += 1;
        assert_eq!(event.position, self.position, "positions have no gaps");
        let number = self.numbers.entry(directory_id).or_default();
        *number += 1;
        assert_eq!(event.number, *number, "numbers have no gaps");
        let before = self.occurred_at.insert(directory_id, event.occurred_at);
        assert!(before <= Some(event.occurred_at), "time does not go back");
        let data: Value = serde_json::from_str(&event.data).unwrap();
        self.directories.entry(directory_id).or_default().learn(&event.kind, data);
    }
}

impl Read {
    fn learn(&mut self, kind: &str, mut data: Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match kind {
            "directory.created" => {}
            "directory.user.created"
            | "directory.user.updated"
            | "directory.user.deactivated"
            | "directory.user.reactivated" => {
                let mut user = data["user"].take();
                let user = user.as_object_mut().unwrap();
                let id = text(&user.shift_remove("id").unwrap());
                let known = self.users.insert(id, user.clone());
                assert_eq!(known.is_none(), kind.ends_with("created"));
                if kind.ends_with("created") {
                    self.check_previous(user, &data["previous_user_id"]);
                }
                if let Some(known) = known {
                    let changes = data["changes"].as_object().unwrap();
                    assert_eq!(with_changes(known, changes), *user, "the changes are all there is");
                }
            }
            "directory.user.deleted" => {
                let id = text(&data["user"]["id"]);
                let mut user = data["user"].take();
                user.as_object_mut().unwrap().shift_remove("id");
                self.former.push(former(&id, user.as_object().unwrap()));
                assert_eq!(self.users.remove(&id).map(Value::from), Some(user));
                assert!(self.members.values().flatten().all(|(member, _)| *member != id));
            }
            "directory.group.created" | "directory.group.updated" => {
                let id = text(&data["group"]["id"]);
                let known = self.groups.insert(id.clone(), text(&data["group"]["displayName"]));
                assert_eq!(known.is_none(), kind.ends_with("created"));
                if let Some(known) = known {
                    let change = &data["changes"]["displayName"];
                    assert_eq!(
                        (&change["old"], &change["new"]),
                        (&known.into(), &data["group"]["displayName"])
                    );
                }
                self.members.entry(id).or_default();
            }
            "directory.group.deleted" => {
                let id = text(&data["group"]["id"]);
                assert!(self.groups.remove(&id).is_some());
                assert_eq!(self.members.remove(&id), Some(BTreeSet::new()));
                assert!(self.members.values().flatten().all(|(member, _)| *member != id));
            }
            "directory.group.member_added" | "directory.group.member_removed" => {
                let id = text(&data["group"]["id"]);
                assert_eq!(data["group"]["displayName"], self.groups[&id]);
                let member = (text(&data["member"]["value"]), text(&data["member"]["type"]));
                assert!(self.users.contains_key(&member.0) || self.groups.contains_key(&member.0));
                let members = self.members.get_mut(&id).unwrap();
                let is_new = if kind.ends_with("added") {
                    members.insert(member)
                } else {
                    members.remove(&member)
                };
                assert!(is_new, "nobody is added or removed twice");
            }
            other => panic!("an event of an unknown type: {other}"),
        }
    }

    /// Who comes back is told with the id of one who had the name or the `externalId`.
    fn check_previous(&self, user: &Map<String, Value>, previous: &Value) {
        let (name, external_id, _) = former(&"", user);
        let mut same = self
            .former
            .iter()
            .filter(|(other, external, _)| {
                *other == name || (external.is_some() && *external == external_id)
            })
            .peekable();
        if previous.is_null() {
            assert_eq!(same.peek(), None);
        } else {
            assert!(same.any(|(_, _, id)| previous == id), "{previous} {user:?}");
        }
    }
}

fn with_changes(mut known: Map<String, Value>, changes: &Map<String, Value>) -> Map<String, Value> {
    for (path, change) in changes {
        let (extension, name) = match path.rsplit_once(':') {
            Some((urn, name)) => (Some(urn), name),
            None => (None, path.as_str()),
        };
        let mut values = match extension {
            Some(urn) => known.get(urn).and_then(Value::as_object).cloned().unwrap_or_default(),
            None => known.clone(),
        };
        assert_eq!(values.get(name).unwrap_or(&Value::Null), &change["old"]);
        if change["new"].is_null() {
            values.shift_remove(name);
        } else {
            values.insert(name.to_owned(), change["new"].clone());
        }
        match extension {
            None => known = values,
            Some(urn) if values.is_empty() => _ = known.shift_remove(urn),
            Some(urn) => _ = known.insert(urn.to_owned(), values.into()),
        }
    }
    known
}
