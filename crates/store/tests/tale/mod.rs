//! A tale of random acts on an embedded database, and what must hold of its files at any moment:
//! for the tests that cut the power and let the disk fail.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;

use directory::secret::{Secret, SecretKind};
use directory::{
    Aside, CatalogueKind, CreateGroup, CreateUser, Decide, Decision, DefineSchema, DeleteGroup,
    DeleteUser, DirectoryId, Document, Facts, Ids, Limits, Moment, OrganizationId, PatchGroup,
    PatchUser, Provider, ReplaceGroup, ReplaceUser, ResourceId, Settings, Stop, TokenId,
    TokenScope,
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use scim::admit::{Admitted, admit};
use scim::dialect::{Quirk, Quirks};
use scim::group::MemberKind;
use scim::patch::Patch;
use scim::schema::custom::Definition;
use scim::{Preset, ResourceType};
use serde_json::{Map, Value, json};
use store::{Clock, DirectoryStore, Environment, Error, NewEntry, Store};
use uuid::Uuid;

/// Numbers without pattern, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 on, and below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64, of Steele, Lea and Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % end as u64).expect("it is below a usize")
    }

    pub(crate) fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// How many, as the environment says; in a run of the tests, few.
#[expect(clippy::disallowed_methods, reason = "it is the tests' own, and no setting of the server")]
pub(crate) fn count(variable: &str, few: u64) -> u64 {
    match std::env::var(variable) {
        Ok(count) => count.parse().expect("it is a number"),
        Err(_) => few,
    }
}

/// A folder that is gone when this is.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("disk-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder of our own");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is in the folder of build products, and in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A clock that goes on by a second each time, and ids that are counted. Both begin anew in each
/// life of the program, as the tale's own times and ids do not matter, but apart from each other.
struct Counted {
    seconds: AtomicI64,
    ids: AtomicU64,
    life: u64,
}

impl Clock for Counted {
    fn now(&self) -> Timestamp {
        let second = 1_800_000_000 + self.seconds.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_second(second).expect("it is in range")
    }
}

impl Ids for Counted {
    fn next(&self) -> Uuid {
        let next = self.ids.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128(u128::from(self.life) << 64 | u128::from(next))
    }
}

/// Opens the database in a folder, as a program does that begins.
pub(crate) fn open(folder: &Path) -> Result<Store, Error> {
    static LIVES: AtomicU64 = AtomicU64::new(1);
    let life = LIVES.fetch_add(1, Ordering::Relaxed);
    let counted = Arc::new(Counted { seconds: 0.into(), ids: 1.into(), life });
    let environment = Environment { clock: counted.clone(), ids: counted };
    let limits = Limits::default();
    Store::open_sqlite(&folder.join("roster.db"), environment, limits, [7; 32])
}

/// What a database has, table by table: how many rows, and a digest of them.
pub(crate) type Contents = BTreeMap<String, (u64, u64)>;

/// A connection that only looks.
pub(crate) fn look(folder: &Path) -> rusqlite::Result<Connection> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(folder.join("roster.db"), flags)
}

/// The name of an organization that is no part of the tale.
pub(crate) const LATE: &str = "Late";

/// Everything that a database has of the tale.
pub(crate) fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let tables = "select name from sqlite_schema where type = 'table' order by name";
    let mut tables = connection.prepare(tables)?;
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut contents = Contents::new();
    for table in tables {
        let all_but = match table.as_str() {
            "organizations" => format!("where name <> '{LATE}'"),
            "audit" => format!("where object_name is not '{LATE}'"),
            _ => String::new(),
        };
        let mut rows = connection.prepare(&format!("select * from \"{table}\" {all_but}"))?;
        let columns = rows.column_count();
        let mut rows = rows.query([])?;
        let (mut count, mut digest) = (0, DefaultHasher::new());
        while let Some(row) = rows.next()? {
            count += 1;
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => 0.hash(&mut digest),
                    ValueRef::Integer(number) => (1, number).hash(&mut digest),
                    ValueRef::Real(number) => (2, number.to_bits()).hash(&mut digest),
                    ValueRef::Text(bytes) => (3, bytes).hash(&mut digest),
                    ValueRef::Blob(bytes) => (4, bytes).hash(&mut digest),
                }
            }
        }
        contents.insert(table, (count, digest.finish()));
    }
    Ok(contents)
}

/// What must hold of a database whatever was done to it. Each statement finds what is wrong.
const BOOKS: &[(&str, &str)] = &[
    (
        "positions have gaps",
        "select 1 from (select count(*) as count, coalesce(max(position), 0) as last from events)
         where count <> last",
    ),
    (
        "the feed's position is another than that of the last event",
        "select 1 from feed
         where position <> (select coalesce(max(position), 0) from events)",
    ),
    (
        "numbers have gaps or are not in the order of positions",
        "select 1 from (
             select number, row_number() over (partition by directory_id order by position) as place
             from events
         ) where number <> place",
    ),
    (
        "a directory's number is another than that of its last event",
        "select 1 from directories d where event_number <>
             (select count(*) from events e where e.directory_id = d.directory_id)",
    ),
    (
        "users are counted wrongly",
        "select 1 from directories d where user_count <>
             (select count(*) from users u where u.directory_id = d.directory_id)",
    ),
    (
        "active users are counted wrongly",
        "select 1 from directories d where active_user_count <>
             (select count(*) from users u where u.directory_id = d.directory_id and active = 1)",
    ),
    (
        "groups are counted wrongly",
        "select 1 from directories d where group_count <>
             (select count(*) from groups g where g.directory_id = d.directory_id)",
    ),
    (
        "members are counted wrongly",
        "select 1 from groups g where member_count <>
             (select count(*) from memberships m where m.group_id = g.group_id)",
    ),
    (
        "a membership is of nobody",
        "select 1 from memberships where group_id not in (select group_id from groups)
             or member_id not in (select user_id from users union select group_id from groups)",
    ),
    (
        "an ordinal is higher than that of its directory",
        "select 1 from (
             select directory_id, ordinal from users
             union all select directory_id, ordinal from groups
         ) r join directories d using (directory_id) where r.ordinal > d.ordinal",
    ),
    (
        "an address leads to nobody",
        "select 1 from email_keys where user_id not in (select user_id from users)",
    ),
    (
        "an attribute is counted wrongly",
        "select 1 from attribute_uses a where is_aside = 1 and resource_count <> (
             select count(*) from users u, json_each(u.aside) e
             where u.directory_id = a.directory_id and e.key = a.path)",
    ),
];

/// Says what is wrong with a database, if anything is.
pub(crate) fn audit(connection: &Connection) -> Result<(), String> {
    let told = |error: rusqlite::Error| format!("it cannot be read: {error}");
    let integrity: String =
        connection.query_row("pragma integrity_check", [], |row| row.get(0)).map_err(told)?;
    if integrity != "ok" {
        return Err(format!("SQLite says: {integrity}"));
    }
    let is_there = |sql: &str| {
        let mut statement = connection.prepare(sql).map_err(told)?;
        statement.exists([]).map_err(told)
    };
    if is_there("pragma foreign_key_check")? {
        return Err("a row refers to one that is not there".to_owned());
    }
    for (wrong, sql) in BOOKS {
        if is_there(sql)? {
            return Err((*wrong).to_owned());
        }
    }
    fold(connection).map_err(told)?
}

/// Attributes by id.
type Resources = BTreeMap<String, Map<String, Value>>;

/// What the events tell is what is there.
fn fold(connection: &Connection) -> rusqlite::Result<Result<(), String>> {
    let (mut users, mut groups) = (BTreeMap::new(), BTreeMap::new());
    let mut members = BTreeSet::new();
    let mut events = connection.prepare("select type, data from events order by position")?;
    let mut events = events.query([])?;
    let subject = |data: &Value, what: &str| {
        let mut attributes = data[what].as_object().cloned().unwrap_or_default();
        let id = attributes.shift_remove("id").unwrap_or_default();
        (id.as_str().unwrap_or_default().to_owned(), attributes)
    };
    while let Some(row) = events.next()? {
        let (kind, data): (String, String) = (row.get(0)?, row.get(1)?);
        let Ok(data) = serde_json::from_str::<Value>(&data) else {
            return Ok(Err(format!("an event is no JSON: {data}")));
        };
        let member = data["member"]["value"].as_str().map(str::to_owned);
        let in_order = match kind.strip_prefix("directory.").unwrap_or(&kind) {
            "user.created" => {
                let (id, user) = subject(&data, "user");
                users.insert(id, user).is_none()
            }
            "user.updated" | "user.deactivated" | "user.reactivated" => {
                let (id, user) = subject(&data, "user");
                users.insert(id, user).is_some()
            }
            "user.deleted" => users.remove(&subject(&data, "user").0).is_some(),
            "group.created" => {
                let (id, group) = subject(&data, "group");
                groups.insert(id, group).is_none()
            }
            "group.updated" => {
                let (id, group) = subject(&data, "group");
                groups.insert(id, group).is_some()
            }
            "group.deleted" => groups.remove(&subject(&data, "group").0).is_some(),
            "group.member_added" => members.insert((subject(&data, "group").0, member)),
            "group.member_removed" => members.remove(&(subject(&data, "group").0, member)),
            _ => true,
        };
        if !in_order {
            return Ok(Err(format!("the events do not follow from each other: `{kind}`")));
        }
    }
    let all = |sql: &str| -> rusqlite::Result<Resources> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let text: String = row.get(1)?;
            // What cannot be read is told of nowhere.
            Ok((row.get(0)?, serde_json::from_str(&text).unwrap_or_default()))
        })?;
        rows.collect()
    };
    if all("select user_id, resource from users")? != users {
        return Ok(Err("the events tell of other users than there are".to_owned()));
    }
    if all("select group_id, resource from groups")? != groups {
        return Ok(Err("the events tell of other groups than there are".to_owned()));
    }
    let mut statement = connection.prepare("select group_id, member_id from memberships")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if rows.collect::<rusqlite::Result<BTreeSet<_>>>()? != members {
        return Ok(Err("the events tell of other members than there are".to_owned()));
    }
    Ok(Ok(()))
}

/// What a client of the store knows, so that its next acts mean something.
#[derive(Default)]
pub(crate) struct Teller {
    organization: Option<OrganizationId>,
    directories: Vec<Known>,
    tokens: Vec<(DirectoryId, TokenId)>,
    names_given: u64,
}

struct Known {
    id: DirectoryId,
    users: Vec<ResourceId>,
    groups: Vec<ResourceId>,
}

/// Something that was created.
enum New {
    User(ResourceId),
    Group(ResourceId),
}

/// An act that somebody waits for.
type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Option<New>, Error>> + Send + 'a>>;

/// Holds the writer until it may go on, so that what is handed in meanwhile becomes one
/// transaction.
struct Gate(Mutex<mpsc::Receiver<()>>);

impl Decide for Gate {
    type Answer = ();

    fn decide(&self, _: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        // When the batch is run again the gate is open for good.
        let _ = self.0.lock().expect("nobody panics while holding it").recv();
        Ok(Decision::nothing(()))
    }
}

impl Teller {
    /// Has something happen, in one transaction. Says whether anything was not kept that should
    /// have been: a rejection is an answer like any other.
    pub(crate) async fn act(&mut self, store: &Store, dice: &mut Dice) -> Result<(), Error> {
        let Some(organization) = self.organization else {
            let made = store.api().create_organization("Acme".into(), None).await?;
            self.organization = Some(made.id);
            return Ok(());
        };
        if self.directories.len() < 2 {
            return self.open_directory(store, organization).await;
        }
        match dice.below(20) {
            0 => kept(self.administer(store, dice).await),
            1 => kept(self.give_token(store, dice).await),
            _ => self.provision(store, dice).await,
        }
    }

    async fn open_directory(
        &mut self,
        store: &Store,
        organization: OrganizationId,
    ) -> Result<(), Error> {
        let name = format!("Okta {}", self.directories.len());
        let (provider, settings) = (Provider::Okta, Settings::default());
        let api = store.api();
        let made = api.create_directory(organization, name, provider, settings).await?;
        self.directories.push(Known { id: made.id, users: vec![], groups: vec![] });
        Ok(())
    }

    async fn give_token(&mut self, store: &Store, dice: &mut Dice) -> Result<(), Error> {
        if self.tokens.len() > 3 {
            let (directory, token) = self.tokens.swap_remove(dice.below(self.tokens.len()));
            return store.api().revoke_token(directory, token).await;
        }
        let directory = dice.one_of(&self.directories).id;
        let secret = Secret::new(SecretKind::ScimToken, self.new_entropy());
        let (scope, lifetime) = (TokenScope::ReadWrite, SignedDuration::from_hours(24));
        let api = store.api();
        let token = api.create_scoped_token(directory, &secret, scope, lifetime).await?;
        self.tokens.push((directory, token.id));
        Ok(())
    }

    async fn administer(&mut self, store: &Store, dice: &mut Dice) -> Result<(), Error> {
        let api = store.api();
        let directory = dice.one_of(&self.directories).id;
        match dice.below(5) {
            0 => {
                let secret = Secret::new(SecretKind::ApiKey, self.new_entropy());
                store.create_api_key("one more", &secret).await.map(drop)
            }
            1 => {
                let id = dice.one_of(&["admin", "editor", "viewer"]).parse().expect("an id");
                let display_name = self.new_name("Role");
                let kind = CatalogueKind::Role;
                api.put_entry(NewEntry { kind, id, display_name, description: None, rank: None })
                    .await
                    .map(drop)
            }
            2 => {
                let id = dice
                    .one_of(&["admin", "editor", "viewer"])
                    .parse::<directory::EntryId>()
                    .expect("an id");
                api.delete_entry(CatalogueKind::Role, id).await
            }
            3 => {
                let document = json!({
                    "id": "urn:example:acme:Badge",
                    "name": "Badge",
                    "attributes": [{ "name": format!("a{}", dice.below(3)), "type": "string" }],
                });
                let definition: Definition =
                    serde_json::from_value(document).expect("it is a definition");
                let schema = definition.check().expect("it is a good one");
                let define = DefineSchema { extends: MemberKind::User, required: false, schema };
                api.define_schema(directory, define).await.map(drop)
            }
            _ => {
                let opened = opened(store, directory).await?;
                let mut quirks = Quirks::new();
                quirks.note(Quirk::BooleanText);
                opened.note_quirks(&quirks);
                api.quirks(directory).await.map(drop)
            }
        }
    }

    /// Acts of a provider, in one transaction.
    async fn provision(&mut self, store: &Store, dice: &mut Dice) -> Result<(), Error> {
        let place = dice.below(self.directories.len());
        let directory = opened(store, self.directories[place].id).await?;
        let most = *dice.one_of(&[1, 4, 12]);
        let count = 1 + dice.below(most);
        let waiting = (0..count).map(|_| self.one(place, &directory, dice)).collect();
        let mut outcome = Ok(());
        for told in in_one_transaction(&directory, waiting).await {
            match told {
                Ok(Some(New::User(id))) => self.directories[place].users.push(id),
                Ok(Some(New::Group(id))) => self.directories[place].groups.push(id),
                Ok(None) | Err(Error::Rejected(_)) => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// One act of a provider. Some are rejected, as those of any provider are.
    fn one<'a>(
        &mut self,
        place: usize,
        directory: &'a DirectoryStore,
        dice: &mut Dice,
    ) -> Waiting<'a> {
        let (user_type, group_type) = (directory.types().user(), Arc::new(ResourceType::group()));
        let known = &self.directories[place];
        let (users, groups) = (known.users.clone(), known.groups.clone());
        if users.len() < 5 || (users.len() < 40 && dice.below(5) == 0) {
            let admitted = admitted(self.some_user(dice), user_type);
            let document = Document::new(admitted.resource);
            let aside = Aside::of(&admitted.unknown);
            let create = CreateUser { document, aside };
            return told(directory, create, |user| Some(New::User(user.id)));
        }
        if groups.len() < 2 || (groups.len() < 8 && dice.below(12) == 0) {
            let body = json!({ "displayName": self.new_name("Group") });
            let document = Document::new(admitted(body, &group_type).resource);
            let members = some_members(&users, dice);
            let members = admitted(json!({ "displayName": "of", "members": members }), &group_type)
                .members
                .expect("they are given");
            let create = CreateGroup { document, members };
            return told(directory, create, |outcome| Some(New::Group(outcome.group.id)));
        }
        let (user, group) = (*dice.one_of(&users), *dice.one_of(&groups));
        match dice.below(12) {
            0..3 => {
                let body = self.some_user(dice);
                let admitted = admitted(body, user_type);
                let replace = ReplaceUser {
                    id: user,
                    resource: admitted.resource,
                    aside: Aside::of(&admitted.unknown),
                    external_id_given: admitted.external_id_given,
                    resource_type: Arc::clone(user_type),
                };
                told(directory, replace, |_| None)
            }
            3..6 => {
                let value = json!({ "active": dice.below(2) == 0, "title": self.new_name("Dr") });
                let patch = patch(&json!([{ "op": "replace", "value": value }]), user_type);
                let resource_type = Arc::clone(user_type);
                told(directory, PatchUser { id: user, patch, resource_type }, |_| None)
            }
            6 if dice.below(3) == 0 => told(directory, DeleteUser { id: user }, |()| None),
            7 if dice.below(3) == 0 => told(directory, DeleteGroup { id: group }, |()| None),
            8 => {
                let members = some_members(&users, dice);
                let body = json!({ "displayName": self.new_name("Group"), "members": members });
                let admitted = admitted(body, &group_type);
                let replace = ReplaceGroup {
                    id: group,
                    resource: admitted.resource,
                    external_id_given: admitted.external_id_given,
                    members: admitted.members,
                    resource_type: group_type,
                };
                told(directory, replace, |_| None)
            }
            _ => {
                let (added, removed) = (some_members(&users, dice), some_members(&users, dice));
                let operations = json!([
                    { "op": "add", "path": "members", "value": added },
                    { "op": "remove", "path": "members", "value": removed },
                ]);
                let patch = patch(&operations, &group_type);
                told(directory, PatchGroup { id: group, patch, resource_type: group_type }, |_| {
                    None
                })
            }
        }
    }

    /// Mostly small; some do not fit on one page of the database.
    fn some_user(&mut self, dice: &mut Dice) -> Value {
        let name = self.new_name("person");
        let length = *dice.one_of(&[20, 20, 20, 20, 200, 200, 200, 6_000]);
        json!({
            "userName": name,
            "externalId": format!("00u-{name}"),
            "nickName": name.chars().cycle().take(length).collect::<String>(),
            "emails": [{ "value": format!("{name}@example.com"), "primary": true }],
            "active": dice.below(3) > 0,
            "shoeSize": "42",
        })
    }

    fn new_name(&mut self, what: &str) -> String {
        self.names_given += 1;
        format!("{what}-{}", self.names_given)
    }

    fn new_entropy(&mut self) -> [u8; 32] {
        self.names_given += 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.names_given.to_le_bytes());
        entropy
    }
}

/// A rejection is an answer.
fn kept(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::Rejected(_)) => Ok(()),
        outcome => outcome,
    }
}

async fn opened(store: &Store, id: DirectoryId) -> Result<DirectoryStore, Error> {
    Ok(store.api().open(id).await?.expect("it was acknowledged"))
}

fn admitted(body: Value, resource_type: &ResourceType) -> Admitted {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).expect("it is a good one")
}

fn patch(operations: &Value, resource_type: &ResourceType) -> Patch {
    let body = json!({ "Operations": operations });
    Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).expect("it is one")
}

fn some_members(users: &[ResourceId], dice: &mut Dice) -> Value {
    (0..=dice.below(8)).map(|_| json!({ "value": dice.one_of(users).to_string() })).collect()
}

fn told<D: Decide>(
    directory: &DirectoryStore,
    decide: D,
    read: fn(&D::Answer) -> Option<New>,
) -> Waiting<'_> {
    Box::pin(async move { directory.change(decide).await.map(|answer| read(&answer)) })
}

/// Has all of these kept in one transaction, in this order, and waits for all answers.
async fn in_one_transaction<T>(
    directory: &DirectoryStore,
    mut waiting: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>,
) -> Vec<T> {
    let all = async {
        let (open, opened) = mpsc::channel();
        let mut gate = pin!(directory.change(Gate(Mutex::new(opened))));
        // The first poll hands the work in. Where the writer has stopped there is an answer
        // already.
        let mut gate_told = poll_fn(|context| Poll::Ready(gate.as_mut().poll(context))).await;
        let mut told: Vec<Poll<T>> = Vec::new();
        for one in &mut waiting {
            told.push(poll_fn(|context| Poll::Ready(one.as_mut().poll(context))).await);
        }
        drop(open);
        if gate_told.is_pending() {
            gate_told = Poll::Ready(gate.await);
        }
        // What could not be kept is told by those that were to be kept with it.
        drop(gate_told);
        let mut answers = Vec::new();
        for (one, told) in waiting.into_iter().zip(told) {
            answers.push(match told {
                Poll::Ready(answer) => answer,
                Poll::Pending => one.await,
            });
        }
        answers
    };
    // Without the runtime's own limit of polls, which would hand some of them in later.
    tokio::task::unconstrained(all).await
}
