//! What every database must do.

mod beside;
mod engine;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};

use beside::write;
use directory::secret::{Secret, SecretHash, SecretKind};
use directory::{
    Aside, CatalogueEntry, CatalogueKind, CreateGroup, CreateUser, Decide, Decision, DeleteGroup,
    DeleteUser, DirectoryId, Document, Facts, GroupId, Limits, Membership, Moment, PatchGroup,
    PatchUser, Provider, Rejection, ReplaceGroup, ResourceId, Settings, Stop, TokenScope, User,
    UserId, Want,
};
use engine::{Counting, Database, Waiting, directory, in_one_batch, on, on_every_engine, open};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use scim::admit::admit;
use scim::dialect::{Quirk, Quirks};
use scim::filter::{BoundFilter, Filter};
use scim::patch::Patch;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Map, Value, json};
use store::{
    ApiStore, BadCursor, Clock, Credential, Cursor, DirectoryStore, Error, EventRecord,
    GroupRecord, ListRequest, NewEntry, Start, Store, UserRecord, Window,
};

const WHOLE: Window = Window::at(1, 10_000);

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

async fn some_directory(store: &Store) -> DirectoryStore {
    directory(store, Settings::default()).await
}

fn resource(body: Value, resource_type: &ResourceType) -> Resource {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap().resource
}

fn create_user(name: &str) -> CreateUser {
    create_user_with(json!({ "userName": name }))
}

fn create_user_with(body: Value) -> CreateUser {
    let document = Document::new(resource(body, &ResourceType::user()));
    CreateUser { document, aside: Aside::default() }
}

fn create_group(name: &str, members: &[ResourceId]) -> CreateGroup {
    create_group_with(json!({ "displayName": name }), members)
}

fn create_group_with(body: Value, members: &[ResourceId]) -> CreateGroup {
    let document = Document::new(resource(body, &ResourceType::group()));
    let members = members.iter().map(|id| scim::group::Member {
        value: id.to_string(),
        kind: None,
        display: None,
    });
    CreateGroup { document, members: members.collect() }
}

fn patch(operation: &Value, resource_type: &ResourceType) -> Patch {
    let body = json!({ "Operations": [operation] });
    Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

fn patch_user(id: UserId, operation: &Value) -> PatchUser {
    let resource_type = Arc::new(ResourceType::user());
    PatchUser { id, patch: patch(operation, &resource_type), resource_type }
}

fn rename(id: UserId, name: &str) -> PatchUser {
    patch_user(id, &json!({ "op": "replace", "path": "userName", "value": name }))
}

fn add_member(id: GroupId, member: ResourceId) -> PatchGroup {
    let resource_type = Arc::new(ResourceType::group());
    let value = json!([{ "value": member.to_string() }]);
    let operation = json!({ "op": "add", "path": "members", "value": value });
    PatchGroup { id, patch: patch(&operation, &resource_type), resource_type }
}

/// As a client would see them, as far as filters ask.
fn user_as_seen(user: &UserRecord) -> Map<String, Value> {
    let mut seen: Map<String, Value> = serde_json::from_str(&user.text).unwrap();
    seen.insert("id".into(), user.id.to_string().into());
    seen.insert("meta".into(), meta(user.created_at, user.modified_at));
    let group = |it: &store::GroupReference| json!({ "value": it.id.to_string(), "display": it.display_name });
    if !user.groups.is_empty() {
        seen.insert("groups".into(), user.groups.iter().map(group).collect());
    }
    seen
}

fn meta(created_at: Timestamp, modified_at: Timestamp) -> Value {
    let print = scim::datetime::print;
    json!({ "created": print(created_at), "lastModified": print(modified_at) })
}

fn group_as_seen(group: &GroupRecord) -> Map<String, Value> {
    let mut seen: Map<String, Value> = serde_json::from_str(&group.text).unwrap();
    seen.insert("id".into(), group.id.to_string().into());
    seen.insert("meta".into(), meta(group.created_at, group.modified_at));
    let member = |it: &Membership| json!({ "value": it.id.to_string(), "type": it.kind.as_str() });
    if !group.members.is_empty() {
        seen.insert("members".into(), group.members.iter().map(member).collect());
    }
    seen
}

fn users_of(filter: Option<BoundFilter>, window: Window) -> ListRequest<UserRecord> {
    let represent = Arc::new(user_as_seen);
    ListRequest { filter: filter.map(Arc::new), sort: None, window, with_related: true, represent }
}

fn groups_of(filter: Option<BoundFilter>, window: Window) -> ListRequest<GroupRecord> {
    let represent = Arc::new(group_as_seen);
    ListRequest { filter: filter.map(Arc::new), sort: None, window, with_related: true, represent }
}

fn filter(text: &str, resource_type: &ResourceType) -> BoundFilter {
    let mut quirks = Quirks::new();
    let filter = Filter::parse(text, Preset::Lenient, &mut quirks).unwrap();
    filter.bind(resource_type, Preset::Lenient, &mut quirks).unwrap()
}

async fn user_names(directory: &DirectoryStore) -> Vec<String> {
    let page = directory.users(users_of(None, WHOLE)).await.unwrap();
    let name = |user: &UserRecord| user_as_seen(user)["userName"].as_str().unwrap().to_owned();
    page.items.iter().map(name).collect()
}

async fn all_events(api: &ApiStore, directory: Option<DirectoryId>) -> Vec<EventRecord> {
    let page = api.events(None, directory, 100_000).await.unwrap().unwrap();
    assert!(!page.has_more);
    page.events
}

#[track_caller]
fn rejection<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Rejection {
    match outcome {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

fn secret(kind: SecretKind, byte: u8) -> Secret {
    Secret::new(kind, [byte; 32])
}

/// Proves S-CREATE-9.
#[test]
fn racing_creations_of_one_name_have_one_winner() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let mut tasks = Vec::new();
        for number in 0..16 {
            let directory = directory.clone();
            tasks.push(tokio::spawn(async move {
                let mut winners = 0;
                for round in 0..10 {
                    let name = if number % 2 == 0 { "ana" } else { "ANA" };
                    match directory.change(create_user(&format!("{name}{round}"))).await {
                        Ok(_) => winners += 1,
                        other => assert_eq!(rejection(other), Rejection::UserNameTaken),
                    }
                }
                winners
            }));
        }
        let mut winners = 0;
        for task in tasks {
            winners += task.await.unwrap();
        }
        assert_eq!(winners, 10);
        assert_eq!(user_names(&directory).await.len(), 10);
    });
}

/// Proves S-ETAG-10.
#[test]
fn racing_patches_are_all_kept() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let user = directory.change(create_user("ana")).await.unwrap().id;
        let group = directory.change(create_group("Design", &[])).await.unwrap().group.id;
        let mut tasks = Vec::new();
        for task in 0..16 {
            let directory = directory.clone();
            tasks.push(tokio::spawn(async move {
                let mut versions = Vec::new();
                for round in 0..6 {
                    let email = json!([{ "value": format!("{task}-{round}@example.com") }]);
                    let add = json!({ "op": "add", "path": "emails", "value": email });
                    let answer = directory.change(patch_user(user, &add)).await.unwrap();
                    versions.push(answer.user.version);
                    let name = format!("u{task}-{round}");
                    let member = directory.change(create_user(&name)).await.unwrap().id;
                    directory.change(add_member(group, member)).await.unwrap();
                    if round % 3 == 0 {
                        directory.change(DeleteUser { id: member }).await.unwrap();
                    }
                }
                versions
            }));
        }
        let mut versions = BTreeSet::new();
        for task in tasks {
            versions.extend(task.await.unwrap());
        }
        // Each patch has made a version of its own.
        assert_eq!(versions, (2..=97).collect());
        let ana = directory.user(user, false).await.unwrap().unwrap();
        assert_eq!(user_as_seen(&ana)["emails"].as_array().unwrap().len(), 96);
        let design = directory.group(group, true).await.unwrap().unwrap();
        assert_eq!((design.member_count, design.members.len()), (64, 64));
        assert_eq!(design.version, 1 + 96 + 32);
        let summary = store.api().directory(directory.id()).await.unwrap().unwrap();
        assert_eq!((summary.user_count, summary.active_user_count), (65, 65));
    });
}

#[test]
fn numbers_and_positions_have_no_gaps_whoever_writes_at_once() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let mut directories = Vec::new();
        for _ in 0..3 {
            directories.push(some_directory(&store).await);
        }
        let mut tasks = Vec::new();
        for task in 0..16 {
            let directory = directories[task % 3].clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..5 {
                    let name = format!("u{task}-{round}");
                    let id = directory.change(create_user(&name)).await.unwrap().id;
                    let _ = directory.change(create_group(&format!("g{round}"), &[id])).await;
                    rejection(directory.change(create_user(&name)).await);
                    directory.change(rename(id, &format!("{name}x"))).await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let events = all_events(&store.api(), None).await;
        let mut numbers: BTreeMap<DirectoryId, u64> = BTreeMap::new();
        for (place, event) in events.iter().enumerate() {
            assert_eq!(event.position, place as u64 + 1);
            let number = numbers.entry(event.directory_id.expect("all are of one")).or_default();
            *number += 1;
            assert_eq!(event.number, *number);
        }
        let ids: BTreeSet<_> = events.iter().map(|event| &event.event_id).collect();
        assert_eq!(ids.len(), events.len());
        for directory in &directories {
            let summary = store.api().directory(directory.id()).await.unwrap().unwrap();
            assert_eq!(summary.event_number, numbers[&directory.id()]);
            let of_one = all_events(&store.api(), Some(directory.id())).await;
            let expected: Vec<_> = events
                .iter()
                .filter(|it| it.directory_id == Some(directory.id()))
                .cloned()
                .collect();
            assert_eq!(of_one, expected);
        }
    });
}

#[test]
fn two_can_exchange_their_names_within_one_batch() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let ana = directory.change(create_user("ana")).await.unwrap().id;
        let bo = directory.change(create_user("bo")).await.unwrap().id;
        let renames = [(ana, "tmp"), (bo, "ana"), (ana, "bo"), (bo, "BO"), (bo, "Ana")];
        let waiting = renames
            .map(|(id, name)| -> Waiting<'_, _> { Box::pin(directory.change(rename(id, name))) });
        let mut outcomes = in_one_batch(&directory, waiting.into()).await;
        assert_eq!(rejection(outcomes.remove(3)), Rejection::UserNameTaken);
        let versions: Vec<_> = outcomes.into_iter().map(|it| it.unwrap().user.version).collect();
        assert_eq!(versions, [2, 2, 3, 3]);
        assert_eq!(user_names(&directory).await, ["bo", "Ana"]);
        let numbers: Vec<_> =
            all_events(&store.api(), None).await.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=7).collect::<Vec<_>>());
    });
}

#[test]
fn who_was_created_and_deleted_in_one_batch_is_remembered() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let ana = directory.change(create_user("ana")).await.unwrap().id;
        let again = |name: &str| -> Waiting<'_, ()> {
            let change = directory.change(create_user(name));
            Box::pin(async move { assert!(change.await.is_ok()) })
        };
        let delete: Waiting<'_, ()> = {
            let change = directory.change(DeleteUser { id: ana });
            Box::pin(async move { change.await.unwrap() })
        };
        in_one_batch(&directory, vec![delete, again("Ana"), again("bo")]).await;
        let events = all_events(&store.api(), None).await;
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "directory.created",
                "directory.user.created",
                "directory.user.deleted",
                "directory.user.created",
                "directory.user.created"
            ]
        );
        assert!(events[3].data.contains(&format!("\"previous_user_id\":\"{ana}\"")));
        assert!(!events[4].data.contains("previous_user_id"));
    });
}

#[test]
fn several_that_start_together_on_an_empty_database_share_it() {
    on_every_engine(async |database| {
        let stores: Vec<_> = std::thread::scope(|scope| {
            let database = &database;
            let runtime = tokio::runtime::Handle::current();
            let opening: Vec<_> = (0..4)
                .map(|_| {
                    let runtime = runtime.clone();
                    scope.spawn(move || {
                        let _inside = runtime.enter();
                        opened(database)
                    })
                })
                .collect();
            opening.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let mut made = 0;
        for (number, store) in stores.iter().enumerate() {
            let key = secret(SecretKind::ApiKey, u8::try_from(number).unwrap());
            made += usize::from(store.create_first_api_key("first", &key).await.unwrap().is_some());
        }
        assert_eq!(made, 1, "only one of them makes the first key");
        let directory = some_directory(&stores[0]).await;
        for (number, store) in stores.iter().enumerate() {
            let directory = open(store, directory.id()).await;
            directory.change(create_user(&format!("user{number}"))).await.unwrap();
        }
        assert_eq!(user_names(&directory).await.len(), 4);
        for store in stores {
            store.close().await;
        }
    });
}

#[test]
fn old_events_are_let_go_and_readers_are_told() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let api = store.api();
        let events =
            async |after: Option<&Cursor>| api.events(after.cloned(), None, 1_000).await.unwrap();
        let early = api.events(None, None, 1).await.unwrap().unwrap().next;
        for number in 0..10 {
            directory.change(create_user(&format!("old{number}"))).await.unwrap();
        }
        let caught_up = events(None).await.unwrap().next;
        database.clock.move_by(3_600);
        let before = database.clock.now();
        let forget = async |holder: &str| {
            let mut forgotten = 0;
            loop {
                match store.forget_events(holder, before).await.unwrap() {
                    0 => return forgotten,
                    some => forgotten += some,
                }
            }
        };
        assert_eq!(forget("one").await, 11, "one of the directory and ten of users");
        assert_eq!(events(Some(&caught_up)).await.unwrap().events, []);
        assert_eq!(events(Some(&early)).await, Err(BadCursor::Forgotten));
        assert_eq!(events(None).await.unwrap().next, caught_up);

        for number in 0..3 {
            directory.change(create_user(&format!("new{number}"))).await.unwrap();
        }
        assert_eq!(forget("one").await, 0, "nothing of it is old");
        let page = events(Some(&caught_up)).await.unwrap();
        let places: Vec<_> = page.events.iter().map(|it| (it.position, it.number)).collect();
        assert_eq!(places, [(12, 12), (13, 13), (14, 14)]);
        assert_eq!(events(None).await.unwrap().events, page.events);

        database.clock.move_by(3_600);
        let later = database.clock.now();
        let kept = store.forget_events("another", later).await.unwrap();
        assert_eq!(kept + store.forget_events("one", later).await.unwrap(), 3);
        store.close().await;
    });
}

/// Fails in the way that is asked for.
enum Poison {
    Panic,
    AskForever,
}

impl Decide for Poison {
    type Answer = ();

    fn decide(&self, facts: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        match self {
            Poison::Panic => panic!("as the test wants it"),
            Poison::AskForever => {
                facts.directory()?;
                Err(Stop::Missing(Want::UserName("ana".into()).into()))
            }
        }
    }
}

/// Decides as it should, and then there is no id for its event when it is to be kept.
struct NotKept {
    decide: CreateUser,
    ids: Arc<Counting>,
}

impl Decide for NotKept {
    type Answer = User;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<User>, Stop> {
        let decision = self.decide.decide(facts, moment)?;
        self.ids.broken.store(true, Ordering::SeqCst);
        Ok(decision)
    }
}

#[test]
fn a_panic_while_changes_are_kept_takes_nobody_along() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let not_kept = || {
            let ids = Arc::clone(&database.ids);
            NotKept { decide: create_user("cy"), ids }
        };
        let waiting: Vec<Waiting<'_, Result<User, Error>>> = vec![
            Box::pin(directory.change(create_user("ana"))),
            Box::pin(directory.change(create_user("bo"))),
            // The last of its batch: the next id that anybody wants is that of an event.
            Box::pin(directory.change(not_kept())),
        ];
        let outcomes = in_one_batch(&directory, waiting).await;
        let kept: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(kept, [true, true, false]);
        assert!(matches!(outcomes[2], Err(Error::Panicked(_))), "{:?}", outcomes[2]);
        assert!(matches!(directory.change(not_kept()).await, Err(Error::Panicked(_))));

        assert!(store.access().is_ready().await, "changes are still taken");
        directory.change(create_user("cy")).await.unwrap();
        let api = store.api();
        let page = api.events(None, Some(directory.id()), 100).await.unwrap().unwrap();
        let numbers: Vec<_> = page.events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        store.close().await;
    });
}

/// Says that its batch has begun, and holds it until it may go on.
struct Holding {
    begun: Mutex<mpsc::Sender<()>>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Decide for Holding {
    type Answer = ();

    fn decide(&self, _: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let _ = self.begun.lock().unwrap().send(());
        let _ = self.go_on.lock().unwrap().recv();
        Ok(Decision::nothing(()))
    }
}

#[test]
fn who_joins_a_batch_that_has_begun_takes_the_time_of_joining() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let holding = Holding { begun: Mutex::new(begun), go_on: Mutex::new(may_go_on) };
        let held = tokio::spawn({
            let directory = directory.clone();
            async move { directory.change(holding).await }
        });
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
        database.clock.move_by(5);
        let mut joining = Box::pin(directory.change(create_user("ana")));
        // The first poll hands it in.
        let mut context = Context::from_waker(Waker::noop());
        assert!(joining.as_mut().poll(&mut context).is_pending());
        let now = database.clock.now();
        go_on.send(()).unwrap();
        held.await.unwrap().unwrap();
        let user = joining.await.unwrap();
        assert_eq!(user.created_at, now);
        let told = all_events(&store.api(), None).await;
        assert_eq!(told.last().unwrap().occurred_at, now);
        store.close().await;
    });
}

#[test]
fn a_poisoned_decision_fails_alone() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let api = store.api();
        let token = secret(SecretKind::ScimToken, 1);
        let hour = SignedDuration::from_hours(1);
        api.create_token(directory.id(), &token, hour).await.unwrap();
        let create = |name: &str| -> Waiting<'_, Result<(), Error>> {
            let change = directory.change(create_user(name));
            Box::pin(async move { change.await.map(|_| ()) })
        };
        let poison =
            |poison| -> Waiting<'_, Result<(), Error>> { Box::pin(directory.change(poison)) };
        // Decided without fault, and refused by the database: the whole batch is run again.
        let same_token: Waiting<'_, Result<(), Error>> = {
            let change = api.create_token(directory.id(), &token, hour);
            Box::pin(async move { change.await.map(|_| ()) })
        };
        let waiting = vec![
            create("a"),
            poison(Poison::Panic),
            create("b"),
            poison(Poison::AskForever),
            create("c"),
            create("A"),
            same_token,
            create("d"),
        ];
        let outcomes = in_one_batch(&directory, waiting).await;
        let short = |outcome: &Result<(), Error>| match outcome {
            Ok(()) => "kept",
            Err(Error::Rejected(Rejection::UserNameTaken)) => "taken",
            Err(Error::Panicked(_)) => "panicked",
            Err(Error::Database { .. }) => "refused",
            Err(other) => panic!("{other:?}"),
        };
        let short: Vec<_> = outcomes.iter().map(short).collect();
        assert_eq!(
            short,
            ["kept", "panicked", "kept", "panicked", "kept", "taken", "refused", "kept"]
        );
        assert_eq!(user_names(&directory).await, ["a", "b", "c", "d"]);
        assert_eq!(api.tokens(directory.id()).await.unwrap().len(), 1);
        let numbers: Vec<_> =
            all_events(&api, None).await.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
    });
}

/// Some people and groups that differ in what filters ask for.
async fn people(database: &Database, directory: &DirectoryStore) -> (Vec<UserId>, Vec<GroupId>) {
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for number in 0..24 {
        database.clock.move_by(number % 5);
        let mut body = json!({ "userName": format!("User{number}"), "active": number % 3 > 0 });
        if number % 2 == 0 {
            body["externalId"] = format!("e{}", number % 6).into();
        }
        if number % 4 == 0 {
            body["title"] = "Dr.".into();
        }
        if number % 3 > 0 {
            body["emails"] = json!([
                { "value": format!("Ü{}@Acme.example", number % 7), "type": "work" },
                { "value": format!("u{}@home.example", number % 4), "type": "home" },
            ]);
        }
        users.push(directory.change(create_user_with(body)).await.unwrap().id);
    }
    for number in 0..8 {
        database.clock.move_by(1);
        let mut members: Vec<_> = users.iter().copied().skip(number).step_by(number + 1).collect();
        members.extend(groups.last().copied());
        let body = json!({ "displayName": format!("Group{number}"), "externalId": format!("e{}", number % 2) });
        groups.push(directory.change(create_group_with(body, &members)).await.unwrap().group.id);
    }
    // So that ids, names and places are not in the same order.
    directory.change(rename(users[3], "zoë")).await.unwrap();
    for (user, value) in [(4, json!([{ "value": "ü9@acme.example" }])), (7, json!([]))] {
        let operation = json!({ "op": "replace", "path": "emails", "value": value });
        directory.change(patch_user(users[user], &operation)).await.unwrap();
    }
    directory.change(DeleteUser { id: users[5] }).await.unwrap();
    directory.change(DeleteGroup { id: groups[2] }).await.unwrap();
    (users, groups)
}

fn joined(terms: Vec<String>) -> impl Strategy<Value = String> {
    prop::sample::select(terms).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|it| format!("not ({it})")),
        ]
    })
}

/// Proves S-FILTER-2.
#[test]
fn what_sql_narrows_is_what_the_filter_matches() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let another = some_directory(&store).await;
        let (users, groups) = people(&database, &directory).await;
        let (strangers, strange_groups) = people(&database, &another).await;
        let (user_type, group_type) = (ResourceType::user(), ResourceType::group());
        let all_users = directory.users(users_of(None, WHOLE)).await.unwrap();
        let all_groups = directory.groups(groups_of(None, WHOLE)).await.unwrap();
        assert_eq!((all_users.total, all_users.items.len()), (23, 23));
        assert_eq!((all_groups.total, all_groups.items.len()), (7, 7));

        let mut of_users: Vec<String> = [
            "userName eq \"USER7\"",
            "userName eq \"Zoë\"",
            "userName eq \"ZOE\u{308}\"",
            "userName eq \"user3\"",
            "userName sw \"user1\"",
            "externalId eq \"e2\"",
            "externalId eq \"E2\"",
            "externalId eq \"\"",
            "externalId pr",
            "active eq false",
            "title pr",
            "groups pr",
            "groups.display eq \"group1\"",
            "groups.value eq \"nobody\"",
            "userName eq \"user1\" and externalId eq \"e2\"",
            "active eq true",
            "active eq true and externalId eq \"e2\"",
            "emails eq \"Ü3@ACME.example\"",
            "emails.value eq \"u\u{308}9@acme.example\"",
            "emails.value eq \"ü4@acme.example\"",
            "emails[type eq \"home\" and value eq \"u1@home.example\"]",
            "emails[type eq \"work\" and value eq \"u1@home.example\"]",
            "emails[type eq \"work\" or value eq \"u1@home.example\"]",
            "emails[not (value eq \"u1@home.example\")]",
            "emails[type eq \"work\"].value eq \"ü5@acme.example\"",
        ]
        .map(str::to_owned)
        .into();
        for id in [users[0], users[5], strangers[0], groups[0]] {
            of_users.push(format!("id eq \"{id}\""));
            of_users.push(format!("id eq \"{}\"", id.to_string().to_uppercase()));
        }
        for id in [groups[0], groups[2], groups[6], strange_groups[0], users[0]] {
            of_users.push(format!("groups.value eq \"{id}\""));
            of_users.push(format!("groups eq \"{id}\""));
            of_users.push(format!("groups[value eq \"{id}\"]"));
            of_users.push(format!("groups[value eq \"{id}\" and display pr]"));
            of_users.push(format!("groups[value eq \"{id}\" or value eq \"{}\"]", groups[1]));
            of_users.push(format!("groups[not (value eq \"{id}\")]"));
        }
        let mut of_groups: Vec<String> = [
            "displayName eq \"GROUP1\"",
            "displayName eq \"group2\"",
            "displayName co \"5\"",
            "externalId eq \"e1\"",
            "members pr",
            "members.type eq \"Group\"",
            "members[type eq \"Group\"]",
        ]
        .map(str::to_owned)
        .into();
        for id in [users[0], users[5], users[6], groups[0], strangers[0]] {
            of_groups.push(format!("id eq \"{id}\""));
            of_groups.push(format!("members.value eq \"{id}\""));
            of_groups.push(format!("members.value eq \"{}\"", id.to_string().to_uppercase()));
            of_groups.push(format!("members[value eq \"{id}\"]"));
            of_groups.push(format!("not (members.value eq \"{id}\")"));
            of_groups.push(format!("members.value eq \"{id}\" or not (members[value eq \"x\"])"));
            of_groups.push(format!("members.value eq \"{id}\" and members.type eq \"Group\""));
            of_groups.push(format!("members[value eq \"{id}\" and type eq \"Group\"]"));
            of_groups.push(format!("not (members[value ne \"{id}\"])"));
            of_groups.push(format!("displayName pr and members.value sw \"{id}\""));
            of_groups.push(format!("members[value eq \"{id}\" and type eq \"User\"]"));
            of_groups.push(format!("members[value eq \"{id}\" or value eq \"{}\"]", users[1]));
        }
        let times: Vec<_> = all_users.items.iter().map(|it| it.modified_at).collect();
        for time in [times[0], times[9], times[20], Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            for operator in ["gt", "ge", "eq", "lt", "le"] {
                let text = format!("meta.lastModified {operator} \"{time}\"");
                of_groups.push(text.clone());
                of_users.push(format!("{text} and active eq false"));
                of_users.push(text);
            }
        }
        let asked = (joined(of_users), joined(of_groups), 0_u64..9, 0_u64..9);
        let run =
            TestRunner::deterministic().run(&asked, |(user_text, group_text, first, most)| {
                let window = Window::at(first, most);
                let skipped = usize::try_from(first.saturating_sub(1)).unwrap();
                let most = usize::try_from(most).unwrap();
                let wanted = filter(&user_text, &user_type);
                let expected: Vec<_> =
                    all_users.items.iter().filter(|it| wanted.matches(&user_as_seen(it))).collect();
                let page =
                    wait_for(directory.users(users_of(Some(wanted.clone()), window.clone())))
                        .unwrap();
                prop_assert_eq!(page.total, expected.len() as u64, "{}", user_text);
                let of_window: Vec<_> = expected.into_iter().skip(skipped).take(most).collect();
                prop_assert_eq!(page.items.iter().collect::<Vec<_>>(), of_window, "{}", user_text);

                let wanted = filter(&group_text, &group_type);
                let expected: Vec<_> = all_groups
                    .items
                    .iter()
                    .filter(|it| wanted.matches(&group_as_seen(it)))
                    .collect();
                let page =
                    wait_for(directory.groups(groups_of(Some(wanted.clone()), window))).unwrap();
                prop_assert_eq!(page.total, expected.len() as u64, "{}", group_text);
                let of_window: Vec<_> = expected.into_iter().skip(skipped).take(most).collect();
                prop_assert_eq!(page.items.iter().collect::<Vec<_>>(), of_window, "{}", group_text);
                Ok(())
            });
        run.unwrap();
    });
}

/// For code between which and the runtime stands somebody else's loop.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[test]
fn a_scan_looks_at_everybody_and_pages_come_together() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        // More than are loaded at once.
        for part in 0..6 {
            let waiting = (0..200).map(|number| -> Waiting<'_, _> {
                Box::pin(directory.change(create_user(&format!("u{}", part * 200 + number))))
            });
            for outcome in in_one_batch(&directory, waiting.collect()).await {
                outcome.unwrap();
            }
        }
        let names = user_names(&directory).await;
        assert_eq!(names, (0..1_200).map(|number| format!("u{number}")).collect::<Vec<_>>());
        let sevens = filter("userName ew \"7\"", &ResourceType::user());
        let window = Window::at(101, 100);
        let page = directory.users(users_of(Some(sevens), window)).await.unwrap();
        assert_eq!((page.total, page.items.len()), (120, 20));
        assert_eq!(user_as_seen(&page.items[0])["userName"], "u1007");

        let (mut by_place, mut by_key, mut ordinal) = (Vec::new(), Vec::new(), 0);
        for part in 0..=4 {
            let window = Window::at(part * 300 + 1, 300);
            by_place.extend(directory.users(users_of(None, window)).await.unwrap().items);
            let found = directory.users_after(ordinal, 300).await.unwrap();
            assert_eq!(found.next.is_some(), part < 3, "{part}");
            ordinal = found.next.unwrap_or(u64::MAX >> 1);
            by_key.extend(found.items);
        }
        assert_eq!(by_place.len(), 1_200);
        assert_eq!(by_place, by_key);
    });
}

#[test]
fn nothing_of_another_directory_is_reachable() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (mine, theirs) = (some_directory(&store).await, some_directory(&store).await);
        let (users, groups) = people(&database, &theirs).await;
        let (user, group) = (users[0], groups[0]);
        let before = all_events(&store.api(), Some(theirs.id())).await;

        assert_eq!(mine.user(user, true).await.unwrap(), None);
        assert_eq!(mine.group(group, true).await.unwrap(), None);
        assert_eq!(mine.users(users_of(None, WHOLE)).await.unwrap().total, 0);
        assert_eq!(mine.groups(groups_of(None, WHOLE)).await.unwrap().total, 0);
        assert_eq!(mine.users_after(0, 100).await.unwrap().items, []);
        assert_eq!(mine.groups_after(0, 100).await.unwrap().items, []);
        for text in [
            format!("id eq \"{user}\""),
            "userName eq \"user0\"".to_owned(),
            "userName pr".to_owned(),
            format!("groups.value eq \"{group}\""),
        ] {
            let wanted = filter(&text, &ResourceType::user());
            let page = mine.users(users_of(Some(wanted), WHOLE)).await.unwrap();
            assert_eq!((page.total, page.items), (0, Vec::new()), "{text}");
        }
        for text in [
            format!("id eq \"{group}\""),
            "displayName eq \"group0\"".to_owned(),
            format!("members.value eq \"{user}\""),
        ] {
            let wanted = filter(&text, &ResourceType::group());
            let page = mine.groups(groups_of(Some(wanted), WHOLE)).await.unwrap();
            assert_eq!((page.total, page.items), (0, Vec::new()), "{text}");
        }

        let unknown_user = Rejection::UnknownUser(user.to_string());
        let unknown_group = Rejection::UnknownGroup(group.to_string());
        assert_eq!(rejection(mine.change(rename(user, "x")).await), unknown_user);
        assert_eq!(rejection(mine.change(DeleteUser { id: user }).await), unknown_user);
        assert_eq!(rejection(mine.change(add_member(group, user)).await), unknown_group);
        assert_eq!(rejection(mine.change(DeleteGroup { id: group }).await), unknown_group);
        // Their people can be named and are nobody; their names are free.
        let outcome = mine.change(create_group("Group0", &[user, group])).await.unwrap();
        assert_eq!(outcome.unknown_members, [user.to_string(), group.to_string()]);
        let again =
            mine.change(create_user_with(json!({ "userName": "user5", "externalId": "e0" })));
        let id = again.await.unwrap().id;
        let page = mine.users(users_of(None, WHOLE)).await.unwrap();
        assert_eq!(page.items.iter().map(|user| user.id).collect::<Vec<_>>(), [id]);

        let events = all_events(&store.api(), Some(mine.id())).await;
        assert!(events.iter().all(|event| event.directory_id == Some(mine.id())));
        assert!(events.iter().all(|event| !event.data.contains("previous_user_id")));
        assert_eq!(all_events(&store.api(), Some(theirs.id())).await, before);
    });
}

#[test]
fn a_token_opens_its_directory_until_it_expires() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (one, other) = (some_directory(&store).await, some_directory(&store).await);
        let (first, second) = (secret(SecretKind::ScimToken, 1), secret(SecretKind::ScimToken, 2));
        let hour = SignedDuration::from_hours(1);
        let token = store.api().create_token(one.id(), &first, hour).await.unwrap();
        store.api().create_token(other.id(), &second, hour * 2).await.unwrap();
        assert_eq!(token.expires_at, store.access().now() + hour);
        assert_eq!(store.api().tokens(one.id()).await.unwrap().first(), Some(&token));

        let access = store.access();
        let opens = async |presented: &SecretHash| match access.directory(presented).await.unwrap()
        {
            Credential::Valid(directory) => Ok(directory.id()),
            Credential::Expired(at, _) => Err(Some(at)),
            Credential::Unknown => Err(None),
        };
        assert_eq!(opens(&first.hash()).await, Ok(one.id()));
        assert_eq!(opens(&second.hash()).await, Ok(other.id()));
        assert_eq!(opens(&SecretHash::of("roster-scim-")).await, Err(None));
        // One kind of secret does not open what the other does.
        let key = secret(SecretKind::ApiKey, 3);
        store.create_api_key("key", &key).await.unwrap();
        assert_eq!(opens(&key.hash()).await, Err(None));
        assert!(access.api(&key.hash()).await.unwrap().is_some());
        assert!(access.api(&first.hash()).await.unwrap().is_none());
        assert_eq!(store.api_key_count().await.unwrap(), 1);

        // The last second of its life, and the instant at which it ends.
        database.clock.move_by(3_599);
        assert_eq!(opens(&first.hash()).await, Ok(one.id()));
        database.clock.move_by(1);
        assert_eq!(opens(&first.hash()).await, Err(Some(token.expires_at)));
        assert_eq!(opens(&second.hash()).await, Ok(other.id()));

        // What is answered at once is what is kept: microseconds.
        let odd = SignedDuration::new(3_600, 1);
        let fifth = secret(SecretKind::ScimToken, 5);
        let token = store.api().create_token(other.id(), &fifth, odd).await.unwrap();
        assert_eq!(store.api().tokens(other.id()).await.unwrap().last(), Some(&token));

        let unknown = DirectoryId::new(database.ids.as_ref());
        let another = secret(SecretKind::ScimToken, 4);
        let outcome = store.api().create_token(unknown, &another, hour).await;
        assert_eq!(rejection(outcome), Rejection::UnknownDirectory(unknown));
    });
}

#[test]
fn a_token_that_is_revoked_opens_nothing_from_then_on() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (one, other) = (some_directory(&store).await, some_directory(&store).await);
        let (first, second) = (secret(SecretKind::ScimToken, 1), secret(SecretKind::ScimToken, 2));
        let hour = SignedDuration::from_hours(1);
        let api = store.api();
        let token = api.create_token(one.id(), &first, hour).await.unwrap();
        api.create_token(one.id(), &second, hour).await.unwrap();
        let opens = async |presented: &Secret| {
            let found = store.access().directory(&presented.hash()).await.unwrap();
            matches!(found, Credential::Valid(_))
        };
        // It is remembered, and forgotten.
        assert!(opens(&first).await && opens(&second).await);
        // Another directory's id does not take it away.
        let outcome = api.revoke_token(other.id(), token.id).await;
        assert_eq!(rejection(outcome), Rejection::UnknownToken(token.id));
        assert!(opens(&first).await);
        api.revoke_token(one.id(), token.id).await.unwrap();
        assert!(!opens(&first).await && opens(&second).await);
        assert_eq!(api.tokens(one.id()).await.unwrap().len(), 1);
        let outcome = api.revoke_token(one.id(), token.id).await;
        assert_eq!(rejection(outcome), Rejection::UnknownToken(token.id));
        let events = all_events(&api, Some(one.id())).await;
        assert_eq!(events.last().unwrap().kind.as_str(), "directory.token.revoked");
        // Not after a new start either.
        drop(store);
        let store = opened(&database);
        let found = store.access().directory(&first.hash()).await.unwrap();
        assert!(matches!(found, Credential::Unknown));
    });
}

#[test]
fn a_token_that_may_read_changes_nothing() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let token = secret(SecretKind::ScimToken, 1);
        let hour = SignedDuration::from_hours(1);
        let made =
            store.api().create_scoped_token(directory.id(), &token, TokenScope::Read, hour).await;
        assert_eq!(store.api().tokens(directory.id()).await.unwrap(), [made.unwrap()]);
        let found = store.access().directory(&token.hash()).await.unwrap();
        let Credential::Valid(reading) = found else { panic!("{found:?}") };
        let events = all_events(&store.api(), None).await.len();
        let outcome = reading.change(create_user("ana")).await;
        assert_eq!(rejection(outcome), Rejection::ReadOnly);
        assert_eq!(all_events(&store.api(), None).await.len(), events);
    });
}

#[test]
fn the_use_of_a_token_is_noted_once_a_minute() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let token = secret(SecretKind::ScimToken, 1);
        let day = SignedDuration::from_hours(24);
        store.api().create_token(directory.id(), &token, day).await.unwrap();
        let start = store.access().now();
        for (wait, expected) in [(5, 5), (59, 5), (1, 65), (60, 125)] {
            database.clock.move_by(wait);
            store.access().directory(&token.hash()).await.unwrap();
            // It is noted by the time that a later write is kept.
            store.api().create_organization("Acme".into(), None).await.unwrap();
            let tokens = store.api().tokens(directory.id()).await.unwrap();
            let expected = start + SignedDuration::from_secs(expected);
            assert_eq!(tokens[0].last_used_at, Some(expected), "{wait}");
        }
    });
}

#[test]
fn quirks_are_counted_for_each_directory_and_across_restarts() {
    on_every_engine(async |database| {
        let quirks = |noted: &[Quirk]| {
            let mut quirks = Quirks::new();
            for quirk in noted {
                quirks.note(*quirk);
            }
            quirks
        };
        let of = async |store: &Store, id| {
            let found = store.api().quirks(id).await.unwrap();
            let start = Timestamp::from_second(1_800_000_000).unwrap();
            let since = |time: Timestamp| time.duration_since(start).as_secs();
            found
                .into_iter()
                .map(|it| (it.quirk, it.request_count, since(it.first_at), since(it.last_at)))
                .collect::<Vec<_>>()
        };
        let store = opened(&database);
        let (one, other) = (some_directory(&store).await, some_directory(&store).await);
        assert_eq!(of(&store, one.id()).await, []);
        one.note_quirks(&Quirks::new());
        one.note_quirks(&quirks(&[Quirk::BooleanText, Quirk::OperationCase]));
        database.clock.move_by(10);
        one.note_quirks(&quirks(&[Quirk::OperationCase]));
        other.note_quirks(&quirks(&[Quirk::EmptyText]));
        let case = (Quirk::OperationCase, 2, 0, 10);
        assert_eq!(of(&store, one.id()).await, [case, (Quirk::BooleanText, 1, 0, 0)]);
        assert_eq!(of(&store, other.id()).await, [(Quirk::EmptyText, 1, 10, 10)]);

        // What nobody has asked for is kept when the store is closed.
        database.clock.move_by(10);
        one.note_quirks(&quirks(&[Quirk::BooleanText]));
        one.note_quirks(&quirks(&[Quirk::BooleanText]));
        let ids = (one.id(), other.id());
        drop((one, other));
        store.close().await;
        let store = opened(&database);
        let text = (Quirk::BooleanText, 3, 0, 20);
        assert_eq!(of(&store, ids.0).await, [text, case]);
        assert_eq!(of(&store, ids.1).await, [(Quirk::EmptyText, 1, 10, 10)]);
        store.close().await;
    });
}

#[test]
fn more_quirks_than_are_kept_at_once_are_kept() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let mut all = Quirks::new();
        for quirk in Quirk::ALL {
            all.note(*quirk);
        }
        let mut directories = Vec::new();
        for _ in 0..20 {
            directories.push(some_directory(&store).await);
        }
        for directory in &directories {
            directory.note_quirks(&all);
        }
        for directory in &directories {
            let found = store.api().quirks(directory.id()).await.unwrap();
            assert_eq!(found.len(), Quirk::ALL.len());
            assert!(found.iter().all(|it| it.request_count == 1), "{found:?}");
        }
        drop(directories);
        store.close().await;
    });
}

#[test]
fn who_asks_a_closed_store_for_quirks_is_not_kept_waiting() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let api = store.api();
        store.close().await;
        let mut quirks = Quirks::new();
        quirks.note(Quirk::EmptyText);
        directory.note_quirks(&quirks);
        assert!(matches!(api.quirks(directory.id()).await, Err(Error::Closed)));
    });
}

#[test]
fn an_external_id_is_that_of_one_organization() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let acme = api.create_organization("Acme".into(), Some("7".into())).await.unwrap();
        let again = api.create_organization("Other".into(), Some("7".into())).await;
        assert_eq!(rejection(again), Rejection::ExternalIdTaken);
        let other = api.create_organization("Acme".into(), None).await.unwrap();
        assert_eq!(api.organizations(None, 10).await.unwrap(), [acme.clone(), other.clone()]);
        assert_eq!(api.organizations(Some(acme.id), 10).await.unwrap(), [other]);
        assert_eq!(api.organization(acme.id).await.unwrap(), Some(acme));
        let unknown = directory::OrganizationId::new(database.ids.as_ref());
        let directory =
            api.create_directory(unknown, "Okta".into(), Provider::Okta, Settings::default());
        assert_eq!(rejection(directory.await), Rejection::UnknownOrganization(unknown));
        assert_eq!(api.directories(None, None, 10).await.unwrap(), []);
    });
}

#[test]
fn a_cursor_goes_on_where_the_last_page_ended() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (one, other) = (some_directory(&store).await, some_directory(&store).await);
        for number in 0..20 {
            let directory = if number % 3 == 0 { &one } else { &other };
            directory.change(create_user(&format!("u{number}"))).await.unwrap();
        }
        let api = store.api();
        for directory in [None, Some(one.id()), Some(other.id())] {
            let all = all_events(&api, directory).await;
            for count_max in [1, 2, 7, all.len() as u64, 1_000] {
                let (mut read, mut cursor) = (Vec::new(), None);
                loop {
                    let page = api.events(cursor, directory, count_max).await.unwrap().unwrap();
                    assert!(page.events.len() as u64 <= count_max);
                    read.extend(page.events);
                    cursor = Some(page.next);
                    if !page.has_more {
                        break;
                    }
                }
                assert_eq!(read, all);
                // What comes later is all that comes.
                let page = api.events(cursor, directory, count_max).await.unwrap().unwrap();
                assert_eq!((page.events, page.has_more), (Vec::new(), false));
            }
        }
        let end = api.events(None, Some(one.id()), 1_000).await.unwrap().unwrap().next;
        other.change(create_user("later")).await.unwrap();
        one.change(create_user("later")).await.unwrap();
        let page = api.events(Some(end), Some(one.id()), 1_000).await.unwrap().unwrap();
        assert_eq!(page.events.len(), 1);
        // A page of nothing goes nowhere and does not lose its place.
        let page = api.events(None, None, 0).await.unwrap().unwrap();
        assert_eq!((page.events.len(), page.has_more), (0, true));
        let page = api.events(Some(page.next), None, 1).await.unwrap().unwrap();
        assert_eq!(page.events[0].position, 1);
        // The largest number is not too large.
        assert!(!api.events(None, None, u64::MAX).await.unwrap().unwrap().has_more);
    });
}

#[test]
fn a_cursor_that_was_not_handed_out_leads_nowhere() {
    on_every_engine(async |database| {
        let store = opened(&database);
        some_directory(&store).await;
        some_directory(&store).await;
        let api = store.api();
        let good = api.events(None, None, 1).await.unwrap().unwrap().next;
        let text = good.as_str().to_owned();
        let (epoch, sealed) = text.split_once('.').unwrap();
        // It says nothing of the place, and is the same whenever it is made.
        assert_eq!((epoch.len(), sealed.len()), (12, 64), "{text}");
        let others: Vec<_> = [0, 2].map(|count| api.events(None, None, count)).into();
        for other in futures_util::future::join_all(others).await {
            let other = other.unwrap().unwrap().next;
            let same = other.as_str().bytes().zip(text.bytes()).skip(13).filter(|(a, b)| a == b);
            assert!(same.count() < 20, "{text} {other:?}");
        }
        assert_eq!(api.events(None, None, 1).await.unwrap().unwrap().next, good);
        let check = async |text: String, expected: BadCursor| {
            let outcome = api.events(Some(Cursor::presented(text.clone())), None, 10).await;
            assert_eq!(outcome.unwrap().unwrap_err(), expected, "{text}");
        };
        let turned = |place: usize| {
            let digit = if &sealed[place..=place] == "0" { "1" } else { "0" };
            format!("{epoch}.{}{digit}{}", &sealed[..place], &sealed[place + 1..])
        };
        for bad in [
            String::new(),
            ".".into(),
            "..".into(),
            "1".into(),
            epoch.to_owned(),
            format!("{epoch}."),
            format!("{epoch}.{sealed}00"),
            format!("{epoch}.{sealed}."),
            format!("{epoch}.1.{sealed}"),
            // In the clear, as it never was given out.
            format!("{epoch}.1.0123456789abcdef.0123456789abcdef"),
            format!("{epoch}.{}", "0".repeat(64)),
            // Cut off, or spelt in another way.
            format!("{epoch}.{}", &sealed[..2]),
            format!("{epoch}.{}", &sealed[..32]),
            format!("{epoch}.{}", &sealed[..62]),
            format!("{epoch}.{}", sealed.to_uppercase()),
            format!("{epoch}.é{}", &sealed[2..]),
            format!(" {text}"),
            format!("{text} "),
        ]
        .into_iter()
        .chain((0..64).map(turned))
        {
            check(bad, BadCursor::Malformed).await;
        }
        check(format!("000000000000.{sealed}"), BadCursor::AnotherEpoch).await;
        let page = api.events(Some(good), None, 10).await.unwrap().unwrap();
        assert_eq!(page.events[0].position, 2);
    });
}

#[test]
fn a_walk_comes_to_an_entry_that_is_added_where_others_were_deleted() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, directory) = (store.api(), some_directory(&store).await);
        let kind = CatalogueKind::Role;
        let put = async |name: &str| {
            let (id, display_name) = (name.parse().unwrap(), name.to_owned());
            api.put_entry(NewEntry { kind, id, display_name, description: None, rank: None })
                .await
                .unwrap();
        };
        let page = async |cursor: Option<String>| {
            let window = Window { start: Start::Cursor(cursor), count: 1 };
            let represent = Arc::new(|_: &CatalogueEntry| Map::new());
            let request =
                ListRequest { filter: None, sort: None, window, with_related: false, represent };
            let page = directory.catalogue(kind, request).await.unwrap();
            let names = page.items.into_iter().map(|it| it.id.to_string()).collect::<Vec<_>>();
            (names, page.next)
        };
        for name in ["one", "two", "three"] {
            put(name).await;
        }
        let (_, next) = page(None).await;
        let (names, next) = page(next).await;
        assert_eq!(names, ["two"]);
        for name in ["three", "two"] {
            api.delete_entry(kind, name.parse::<directory::EntryId>().unwrap()).await.unwrap();
        }
        put("four").await;
        assert_eq!(page(next).await, (vec!["four".to_owned()], None));
    });
}

#[test]
fn a_cursor_of_one_directory_leads_through_no_other() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (one, other) = (some_directory(&store).await, some_directory(&store).await);
        other.change(create_user("ana")).await.unwrap();
        let api = store.api();
        let scopes = [None, Some(one.id()), Some(other.id())];
        for made_for in scopes {
            for used_for in scopes {
                let cursor = api.events(None, made_for, 1).await.unwrap().unwrap().next;
                let outcome = api.events(Some(cursor), used_for, 10).await.unwrap();
                let bad = outcome.err();
                let expected = (made_for != used_for).then_some(BadCursor::Malformed);
                assert_eq!(bad, expected, "of {made_for:?}, used for {used_for:?}");
            }
        }
    });
}

/// Everything that can be read of a directory, and of the feed.
async fn everything(store: &Store, id: DirectoryId) -> impl PartialEq + std::fmt::Debug + use<> {
    let directory = open(store, id).await;
    (
        directory.users(users_of(None, WHOLE)).await.unwrap(),
        directory.groups(groups_of(None, WHOLE)).await.unwrap(),
        all_events(&store.api(), None).await,
        store.api().directories(None, None, 100).await.unwrap(),
        store.api().organizations(None, 100).await.unwrap(),
        store.api().tokens(id).await.unwrap(),
    )
}

#[test]
fn a_database_that_is_opened_again_goes_on_where_it_was() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let id = directory.id();
        let (users, _) = people(&database, &directory).await;
        let token = secret(SecretKind::ScimToken, 1);
        let day = SignedDuration::from_hours(24);
        store.api().create_token(id, &token, day).await.unwrap();
        let before = everything(&store, id).await;
        let end = store.api().events(None, None, 1_000).await.unwrap().unwrap().next;
        store.close().await;

        let store = opened(&database);
        assert_eq!(everything(&store, id).await, before);
        let directory = open(&store, id).await;
        assert_eq!(
            rejection(directory.change(create_user("USER7")).await),
            Rejection::UserNameTaken
        );
        let again = directory.change(create_user("user5")).await.unwrap().id;
        let page = store.api().events(Some(end), None, 1_000).await.unwrap().unwrap();
        let [event] = &page.events[..] else { panic!("{page:?}") };
        assert!(event.data.contains(&format!("\"previous_user_id\":\"{}\"", users[5])));
        let summary = store.api().directory(id).await.unwrap().unwrap();
        assert_eq!((event.number, event.position), (summary.event_number, summary.event_number));
        let page = directory.users(users_of(None, WHOLE)).await.unwrap();
        assert_eq!(page.items.last().map(|user| user.id), Some(again), "the last in the list");
    });
}

#[test]
fn two_stores_on_one_database_see_and_respect_each_other() {
    on_every_engine(async |database| {
        let (server, command) = (opened(&database), opened(&database));
        let here = some_directory(&server).await;
        let there = open(&command, here.id()).await;
        let mut tasks = Vec::new();
        for (side, directory) in [here.clone(), there.clone()].into_iter().enumerate() {
            tasks.push(tokio::spawn(async move {
                let mut winners = 0;
                for number in 0..30 {
                    directory.change(create_user(&format!("s{side}-{number}"))).await.unwrap();
                    match directory.change(create_user(&format!("both{number}"))).await {
                        Ok(_) => winners += 1,
                        other => assert_eq!(rejection(other), Rejection::UserNameTaken),
                    }
                }
                winners
            }));
        }
        let mut winners = 0;
        for task in tasks {
            winners += task.await.unwrap();
        }
        assert_eq!(winners, 30);
        assert_eq!(everything(&server, here.id()).await, everything(&command, here.id()).await);
        let events = all_events(&server.api(), None).await;
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=91).collect::<Vec<_>>());
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        assert_eq!(positions, numbers);
        // A cursor of the one is good for the other.
        let end = server.api().events(None, None, 1_000).await.unwrap().unwrap().next;
        there.change(create_user("later")).await.unwrap();
        let page = command.api().events(Some(end), None, 10).await.unwrap().unwrap();
        assert_eq!(page.events.len(), 1);
    });
}

#[test]
fn a_store_that_is_closed_says_so() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let (api, access) = (store.api(), store.access());
        assert!(access.is_ready().await);
        let waiting = (0..50).map(|number| -> Waiting<'_, _> {
            Box::pin(directory.change(create_user(&format!("u{number}"))))
        });
        in_one_batch(&directory, waiting.collect()).await;
        store.close().await;
        assert!(matches!(directory.change(create_user("late")).await, Err(Error::Closed)));
        assert!(matches!(api.create_organization("late".into(), None).await, Err(Error::Closed)));
        assert!(matches!(directory.change(Poison::Panic).await, Err(Error::Closed)));
        // What was kept can be read by whoever is still there, and nobody new should come.
        assert!(!access.is_ready().await);
        assert_eq!(user_names(&directory).await.len(), 50);
    });
}

#[test]
fn what_was_handed_in_before_the_end_is_kept() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let id = directory.id();
        let mut tasks = Vec::new();
        for number in 0..64 {
            let directory = directory.clone();
            tasks.push(tokio::spawn(async move {
                directory.change(create_user(&format!("u{number}"))).await
            }));
        }
        store.close().await;
        let mut kept = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => kept += 1,
                Err(error) => assert!(matches!(error, Error::Closed), "{error:?}"),
            }
        }
        drop(directory);
        let store = opened(&database);
        assert_eq!(user_names(&open(&store, id).await).await.len(), kept);
    });
}

#[test]
fn what_was_answered_survives_a_crash() {
    on_an_embedded_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        for number in 0..20 {
            directory.change(create_user(&format!("u{number}"))).await.unwrap();
            // The files as a crash would leave them: nothing was closed.
            let copy = database.path().with_file_name("copy.db");
            std::fs::copy(database.path(), &copy).unwrap();
            let log = database.path().with_extension("db-wal");
            std::fs::copy(log, copy.with_extension("db-wal")).unwrap();
            let copy = rusqlite::Connection::open(copy).unwrap();
            let sql = "select (select count(*) from users), user_count from directories";
            let counts: (i64, i64) =
                copy.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(counts, (number + 1, number + 1));
        }
    });
}

#[test]
fn a_database_that_was_set_back_is_noticed() {
    on_an_embedded_engine(async |database| {
        let store = opened(&database);
        let directory = some_directory(&store).await;
        let id = directory.id();
        drop(directory);
        store.close().await;
        // A server that has stopped can be copied: everything is in its one file.
        let log = std::fs::metadata(database.path().with_extension("db-wal"));
        assert_eq!(log.map_or(0, |log| log.len()), 0);
        let backup = database.path().with_extension("backup");
        std::fs::copy(database.path(), &backup).unwrap();

        let store = opened(&database);
        let shared = store.api().events(None, None, 10).await.unwrap().unwrap().next;
        open(&store, id).await.change(create_user("ana")).await.unwrap();
        let cursor = store.api().events(None, None, 10).await.unwrap().unwrap().next;
        store.close().await;
        std::fs::copy(&backup, database.path()).unwrap();

        let store = opened(&database);
        let outcome = store.api().events(Some(cursor.clone()), None, 10).await.unwrap();
        assert_eq!(outcome, Err(BadCursor::AnotherEpoch));
        // Nor does it lead on once there are as many events as there were, and more.
        for name in ["bo", "cy", "di"] {
            open(&store, id).await.change(create_user(name)).await.unwrap();
            let outcome = store.api().events(Some(cursor.clone()), None, 10).await.unwrap();
            assert_eq!(outcome, Err(BadCursor::AnotherEpoch), "after {name}");
        }
        // What was read before the backup was made is the same in both lives.
        let outcome = store.api().events(Some(shared), None, 10).await.unwrap();
        assert_eq!(outcome.unwrap().events.len(), 3);
    });
}

fn replace_members(id: GroupId, members: &[ResourceId]) -> ReplaceGroup {
    let resource_type = ResourceType::group();
    let resource = resource(json!({ "displayName": "Many" }), &resource_type);
    // What a line of a bulk load could stumble over.
    let member = |id: &ResourceId| scim::group::Member {
        value: id.to_string(),
        kind: None,
        display: Some(format!("a\tb\\N \\. {id}\r\n\u{1F600}")),
    };
    let members = Some(members.iter().map(member).collect());
    let resource_type = Arc::new(resource_type);
    ReplaceGroup { id, resource, external_id_given: true, members, resource_type }
}

/// So many that they are brought otherwise than a few are.
#[test]
fn of_a_group_of_many_those_who_are_named_are_kept_and_no_others() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let here = some_directory(&store).await;
        let mut people = Vec::new();
        for some in (0..2_400).collect::<Vec<_>>().chunks(200) {
            let create = |number: &usize| -> Waiting<'_, _> {
                Box::pin(here.change(create_user(&format!("u{number}"))))
            };
            let created = in_one_batch(&here, some.iter().map(create).collect()).await;
            people.extend(created.into_iter().map(|it| it.unwrap().id));
        }
        let group = here.change(create_group("Many", &[])).await.unwrap().group.id;
        for (version, named) in [
            // Everybody is new, the rest too, all are others, some are others, nobody is left.
            (2, &people[..1_200]),
            (3, &people[..]),
            (4, &people[..1_200]),
            (5, &people[1_200..]),
            (6, &people[600..1_800]),
            (7, &[]),
        ] {
            let before = here.group(group, true).await.unwrap().unwrap();
            let before: BTreeMap<_, _> = before.members.iter().map(|it| (it.id, it)).collect();
            let from = all_events(&store.api(), None).await.len();
            let outcome = here.change(replace_members(group, named)).await.unwrap();
            let kept = here.group(group, true).await.unwrap().unwrap();
            assert_eq!(kept.members.iter().map(|it| it.id).collect::<Vec<_>>(), named);
            assert_eq!((kept.version, kept.member_count), (version, named.len() as u64));
            assert_eq!(outcome.members.as_ref(), Some(&kept.members));
            for member in &kept.members {
                let expected = Membership {
                    id: member.id,
                    kind: scim::group::MemberKind::User,
                    display: Some(format!("a\tb\\N \\. {}\r\n\u{1F600}", member.id)),
                };
                assert_eq!(*member, expected);
            }
            let events = all_events(&store.api(), None).await.split_off(from);
            let removed = before.keys().filter(|id| !named.contains(id)).map(|id| (id, "removed"));
            let added = named.iter().filter(|id| !before.contains_key(id)).map(|id| (id, "added"));
            let expected: Vec<_> = removed.chain(added).collect();
            // The document stays, so nothing but these is told.
            assert_eq!(events.len(), expected.len());
            for (event, (id, what)) in events.iter().zip(expected) {
                assert!(event.kind.ends_with(what) && event.data.contains(&id.to_string()));
            }
        }
    });
}

#[test]
fn who_leaves_and_comes_back_within_one_batch_belongs() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let here = some_directory(&store).await;
        let mut people = Vec::new();
        for name in ["ana", "bo", "cy", "di"] {
            people.push(here.change(create_user(name)).await.unwrap().id);
        }
        let group = here.change(create_group("Many", &people[..2])).await.unwrap().group.id;
        let waiting = [&people[2..3], &people[..1], &[], &people[..], &people[1..3]].map(
            |named| -> Waiting<'_, _> { Box::pin(here.change(replace_members(group, named))) },
        );
        for outcome in in_one_batch(&here, waiting.into()).await {
            outcome.unwrap();
        }
        let kept = here.group(group, true).await.unwrap().unwrap();
        assert_eq!(kept.members.iter().map(|it| it.id).collect::<Vec<_>>(), people[1..3]);
        assert_eq!((kept.version, kept.member_count), (6, 2));
    });
}

/// Proves S-GROUP-9: those who belonged already cannot be read, and nobody notices.
#[test]
fn who_joins_or_leaves_a_group_is_kept_without_reading_the_others() {
    on_an_embedded_engine(async |database| {
        let store = opened(&database);
        let here = some_directory(&store).await;
        let mut people = Vec::new();
        for name in ["ana", "bo", "cy", "di"] {
            people.push(here.change(create_user(name)).await.unwrap().id);
        }
        let group = here.change(create_group("Design", &people[..3])).await.unwrap().group.id;
        let id = here.id();
        drop(here);
        store.close().await;

        let sql = "update memberships set kind = 'nonsense' where member_id <>";
        assert_eq!(write(&database, &format!("{sql} '{}'", people[0])), 2);

        let store = opened(&database);
        let here = open(&store, id).await;
        let outcome = here.change(add_member(group, people[3])).await.unwrap();
        assert_eq!((outcome.group.member_count, outcome.group.version), (4, 2));
        let path = format!("members[value eq \"{}\"]", people[0]);
        let resource_type = Arc::new(ResourceType::group());
        let patch = patch(&json!({ "op": "remove", "path": path }), &resource_type);
        let outcome = here.change(PatchGroup { id: group, patch, resource_type }).await.unwrap();
        assert_eq!((outcome.group.member_count, outcome.group.version), (3, 3));
        // Whoever reads the others does notice.
        let everyone = here.group(group, true).await;
        assert!(matches!(everyone, Err(Error::Corrupt(_))), "{everyone:?}");
    });
}

/// Checks a claim about the file of an embedded database.
fn on_an_embedded_engine(check: impl AsyncFn(Database)) {
    on(Database::new(None), check);
}

/// Everything that is kept. Where nothing was written, this is what it was.
fn contents(database: &Database) -> Vec<u8> {
    match &database.own {
        None => std::fs::read(database.path()).unwrap(),
        Some(own) => own.contents().into_bytes(),
    }
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    on_every_engine(async |database| {
        let check = |sql: &str, expected: &str| {
            write(&database, sql);
            let before = contents(&database);
            let Err(Error::Migration(said)) = database.open(Limits::default()) else { panic!() };
            assert!(said.contains(expected), "{said}");
            assert_eq!(contents(&database), before);
        };
        check("create table notes (words text)", "another application");
        write(&database, "drop table notes");

        opened(&database).close().await;
        let newer = "insert into migrations (name, applied_at) values ('9999_later', 1)";
        check(newer, "newer version");
        let unknown = "update migrations set name = '0001_other' where name < '0002'";
        check(unknown, "newer version");
    });
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    on_an_embedded_engine(async |database| {
        std::fs::write(
            database.path(),
            "not a database, but as long as a header is at least ".repeat(40),
        )
        .unwrap();
        let outcome = database.open(Limits::default());
        assert!(matches!(outcome, Err(Error::Database { .. })), "{outcome:?}");
    });
}
