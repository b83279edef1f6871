//! Lists: walks that neither skip nor repeat anybody, cursors, orders, and lists of everything.

mod beside;
mod engine;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use beside::write;
use directory::secret::{Secret, SecretKind};
use directory::{
    Aside, CreateGroup, CreateUser, DeleteUser, Document, Limits, PatchUser, Settings, UserId,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine, open};
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::filter::{BoundFilter, Filter};
use scim::limit::CURSOR_SECONDS;
use scim::list::{ListQuery, SortOrder};
use scim::patch::Patch;
use scim::sort::BoundSort;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Map, Value, json};
use store::{
    AnyRecord, BadPageCursor, Credential, DirectoryStore, Error, GroupRecord, ListRequest, Page,
    Start, Store, UserRecord, Window,
};

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

/// A new directory, as its token opens it.
async fn connected(store: &Store, token: usize) -> DirectoryStore {
    let made = directory(store, Settings::default()).await;
    with_token(store, &made, token).await
}

async fn with_token(store: &Store, made: &DirectoryStore, token: usize) -> DirectoryStore {
    let mut entropy = [7; 32];
    entropy[..8].copy_from_slice(&token.to_be_bytes());
    let secret = Secret::new(SecretKind::ScimToken, entropy);
    let week = SignedDuration::from_hours(7 * 24);
    store.api().create_token(made.id(), &secret, week).await.unwrap();
    match store.access().directory(&secret.hash()).await.unwrap() {
        Credential::Valid(directory) => directory,
        other => panic!("{other:?}"),
    }
}

fn resource(body: Value, resource_type: &ResourceType) -> Resource {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap().resource
}

fn create_user(body: Value) -> CreateUser {
    let document = Document::new(resource(body, &ResourceType::user()));
    CreateUser { document, aside: Aside::default() }
}

fn create_group(name: &str) -> CreateGroup {
    let body = json!({ "displayName": name });
    let document = Document::new(resource(body, &ResourceType::group()));
    CreateGroup { document, members: Vec::new() }
}

fn patch_user(id: UserId, value: &Value) -> PatchUser {
    let resource_type = Arc::new(ResourceType::user());
    let body = json!({
        "schemas": [scim::patch::PATCH_OP_SCHEMA],
        "Operations": [{ "op": "replace", "value": value }],
    });
    let patch = Patch::parse(body, &resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    PatchUser { id, patch, resource_type }
}

fn filter(text: &str, resource_type: &ResourceType) -> Arc<BoundFilter> {
    let mut quirks = Quirks::new();
    let filter = Filter::parse(text, Preset::Lenient, &mut quirks).unwrap();
    Arc::new(filter.bind_to_any(resource_type, Preset::Lenient, &mut quirks).unwrap())
}

fn sort(by: &str, order: &str, resource_type: &ResourceType) -> Arc<BoundSort> {
    let pairs = [("sortBy", by), ("sortOrder", order)];
    let sort = ListQuery::parse(pairs.into_iter()).unwrap().sort.unwrap();
    Arc::new(sort.bind_to_any(resource_type, Preset::Lenient, &mut Quirks::new()).unwrap())
}

fn user_as_seen(user: &UserRecord) -> Map<String, Value> {
    let mut seen: Map<String, Value> = serde_json::from_str(&user.text).unwrap();
    seen.insert("id".into(), user.id.to_string().into());
    seen
}

fn group_as_seen(group: &GroupRecord) -> Map<String, Value> {
    let mut seen: Map<String, Value> = serde_json::from_str(&group.text).unwrap();
    seen.insert("id".into(), group.id.to_string().into());
    seen
}

/// What is asked for, but not which part.
#[derive(Clone, Default)]
struct Query {
    filter: Option<Arc<BoundFilter>>,
    sort: Option<Arc<BoundSort>>,
}

impl Query {
    fn at(&self, start: Start, count: u64) -> ListRequest<UserRecord> {
        ListRequest {
            filter: self.filter.clone(),
            sort: self.sort.clone(),
            window: Window { start, count },
            with_related: false,
            represent: Arc::new(user_as_seen),
        }
    }
}

async fn fill(directory: &DirectoryStore, names: impl Iterator<Item = String>) -> Vec<UserId> {
    let waiting = names.enumerate().map(|(number, name)| -> Waiting<'_, _> {
        let mut body = json!({ "userName": name });
        if number % 3 > 0 {
            body["title"] = format!("T{}", number % 4).into();
        }
        Box::pin(directory.change(create_user(body)))
    });
    let made = in_one_batch(directory, waiting.collect()).await;
    made.into_iter().map(|user| user.unwrap().id).collect()
}

/// How a client steps from page to page.
#[derive(Clone, Copy, Debug)]
enum Step {
    Count,
    ItemsPerPage,
    Cursor,
}

/// When a client believes that it has seen everybody.
#[derive(Clone, Copy, Debug)]
enum End {
    Total,
    EmptyPage,
    ShortPage,
}

struct Walker {
    directory: DirectoryStore,
    query: Query,
    count: u64,
    step: Step,
    end: End,
    index: u64,
    cursor: Option<String>,
    seen: BTreeMap<UserId, usize>,
    pages: usize,
    is_done: bool,
}

impl Walker {
    fn new(directory: &DirectoryStore, query: &Query, count: u64, step: Step, end: End) -> Walker {
        Walker {
            directory: directory.clone(),
            query: query.clone(),
            count,
            step,
            end,
            index: 1,
            cursor: None,
            seen: BTreeMap::new(),
            pages: 0,
            is_done: false,
        }
    }

    async fn page(&mut self) {
        if self.is_done {
            return;
        }
        self.pages += 1;
        assert!(self.pages < 500, "the walk does not end");
        let start = match self.step {
            Step::Cursor => Start::Cursor(self.cursor.clone()),
            Step::Count | Step::ItemsPerPage => Start::Index(self.index),
        };
        let page = self.directory.users(self.query.at(start, self.count)).await.unwrap();
        let items = page.items.len() as u64;
        assert!(items <= self.count);
        for user in &page.items {
            *self.seen.entry(user.id).or_default() += 1;
        }
        self.index += match self.step {
            Step::Count => self.count,
            Step::ItemsPerPage | Step::Cursor => items,
        };
        self.is_done = match (self.step, self.end) {
            (Step::Cursor, _) => page.next.is_none(),
            (_, End::Total) => self.index > page.total,
            (_, End::EmptyPage) => items == 0,
            (_, End::ShortPage) => items < self.count,
        };
        self.cursor = page.next;
    }
}

/// What happens, in whatever order.
#[derive(Clone, Copy, Debug)]
enum Act {
    Walk(usize),
    Add,
    Remove(usize),
    Change(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_usize..3).prop_map(Act::Walk),
        2 => Just(Act::Add),
        3 => (0_usize..60).prop_map(Act::Remove),
        2 => (0_usize..60).prop_map(Act::Change),
    ]
}

fn walker() -> impl Strategy<Value = (u64, Step, End)> {
    (
        1_u64..8,
        prop::sample::select(vec![Step::Count, Step::ItemsPerPage, Step::Cursor]),
        prop::sample::select(vec![End::Total, End::EmptyPage, End::ShortPage]),
    )
}

/// Names whose order is not that of creation.
fn name(number: usize) -> String {
    format!("u{:02}-{number}", number * 37 % 100)
}

/// Proves S-LIST-8, S-LIST-9, S-CURSOR-2, S-CURSOR-20.
#[test]
fn who_is_there_from_the_first_page_to_the_last_is_seen_once() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let user = ResourceType::user();
        let queries = [
            Query::default(),
            Query { filter: Some(filter("title pr", &user)), sort: None },
            Query { filter: None, sort: Some(sort("userName", "descending", &user)) },
            Query {
                filter: Some(filter("title pr or active eq false", &user)),
                sort: Some(sort("title", "ascending", &user)),
            },
        ];
        let asked = (
            0..queries.len(),
            prop::collection::vec(walker(), 3),
            prop::collection::vec(act(), 0..60),
        );
        let mut runner = TestRunner::new_with_rng(
            Config::with_cases(80),
            TestRng::deterministic_rng(RngAlgorithm::ChaCha),
        );
        let walked = Cell::new(0);
        let run = runner.run(&asked, |(query, walkers, acts)| {
            // Every walker has a token of its own, in every case.
            let first_token = walked.replace(walked.get() + walkers.len());
            wait_for(walk(&store, first_token, &queries[query], walkers, acts));
            Ok(())
        });
        run.unwrap();
    });
}

async fn walk(
    store: &Store,
    first_token: usize,
    query: &Query,
    walkers: Vec<(u64, Step, End)>,
    acts: Vec<Act>,
) {
    let made = directory(store, Settings::default()).await;
    let mut users = fill(&made, (0..60).map(name)).await;
    let mut untouched: Vec<UserId> = users.clone();
    let mut walking = Vec::new();
    for (number, (count, step, end)) in walkers.into_iter().enumerate() {
        let by = with_token(store, &made, first_token + number).await;
        walking.push(Walker::new(&by, query, count, step, end));
    }
    let matching = made.users(query.at(Start::Index(1), 1_000)).await.unwrap();
    untouched.retain(|id| matching.items.iter().any(|user| user.id == *id));
    for (number, act) in acts.into_iter().enumerate() {
        match act {
            Act::Walk(walker) => walking[walker].page().await,
            Act::Add => {
                let body = json!({ "userName": format!("{}-later", name(number)), "title": "New" });
                users.push(made.change(create_user(body)).await.unwrap().id);
            }
            Act::Remove(place) => {
                let id = users[place % users.len()];
                if made.change(DeleteUser { id }).await.is_ok() {
                    untouched.retain(|it| *it != id);
                }
            }
            Act::Change(place) => {
                let id = users[place % users.len()];
                let title = if number % 2 == 0 { json!("T9") } else { json!(null) };
                let value = json!({ "title": title, "userName": format!("v{:02}-{number}", number * 7 % 100) });
                if made.change(patch_user(id, &value)).await.is_ok() {
                    untouched.retain(|it| *it != id);
                }
            }
        }
    }
    for walker in &mut walking {
        while !walker.is_done {
            walker.page().await;
        }
        for id in &untouched {
            let times = walker.seen.get(id).copied().unwrap_or(0);
            assert_eq!(times, 1, "{:?} {:?} {}", walker.step, walker.end, walker.count);
        }
        if query.filter.is_none() && query.sort.is_none() {
            assert!(walker.seen.values().all(|times| *times == 1));
        }
    }
}

/// For code between which and the runtime stands somebody else's loop.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn ids(page: &Page<UserRecord>) -> Vec<UserId> {
    page.items.iter().map(|user| user.id).collect()
}

#[test]
fn two_walks_by_one_token_do_not_disturb_each_other() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = connected(&store, 1).await;
        let users = fill(&directory, (0..40).map(name)).await;
        let query = Query::default();
        let mut one = Walker::new(&directory, &query, 5, Step::Count, End::Total);
        let mut other = Walker::new(&directory, &query, 5, Step::ItemsPerPage, End::ShortPage);
        for removed in 0..8 {
            one.page().await;
            directory.change(DeleteUser { id: users[removed * 2] }).await.unwrap();
            other.page().await;
        }
        for walker in [&mut one, &mut other] {
            while !walker.is_done {
                walker.page().await;
            }
            for id in users[16..].iter().chain(users[..16].iter().skip(1).step_by(2)) {
                assert_eq!(walker.seen.get(id), Some(&1));
            }
        }
    });
}

/// Proves S-PAGE-9.
#[test]
fn a_page_can_be_asked_for_again_and_a_walk_begun_anew() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let by_token = connected(&store, 1).await;
        let users = fill(&by_token, (0..9).map(name)).await;
        let query = Query::default();
        let page =
            async |index: u64| by_token.users(query.at(Start::Index(index), 3)).await.unwrap();
        assert_eq!(ids(&page(1).await), users[..3]);
        by_token.change(DeleteUser { id: users[0] }).await.unwrap();
        for _ in 0..2 {
            let second = page(4).await;
            assert_eq!((ids(&second), second.total), (users[3..6].to_vec(), 8));
        }
        by_token.change(DeleteUser { id: users[1] }).await.unwrap();
        let third = page(7).await;
        // Two who were seen are gone; the total says no less than there is to come.
        assert_eq!((ids(&third), third.total), (users[6..].to_vec(), 7));
        assert_eq!(ids(&page(10).await), []);
        // From the beginning, everything is counted anew.
        let first = page(1).await;
        assert_eq!((ids(&first), first.total), (users[2..5].to_vec(), 7));
        assert_eq!(ids(&page(4).await), users[5..8]);

        // Who walks without a bookmark, on another node or after a long rest, counts rows.
        let node = opened(&database);
        let elsewhere = open(&node, by_token.id()).await;
        let far = elsewhere.users(query.at(Start::Index(4), 3)).await.unwrap();
        assert_eq!((ids(&far), far.total), (users[5..8].to_vec(), 7));
        by_token.change(DeleteUser { id: users[2] }).await.unwrap();
        database.clock.move_by(2 * 60 * 60);
        assert_eq!(ids(&page(4).await), users[6..]);
    });
}

/// Proves S-CURSOR-4, S-CURSOR-7, S-CURSOR-15.
#[test]
fn a_cursor_is_good_for_its_list_and_its_time() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (mine, theirs) = (connected(&store, 1).await, connected(&store, 2).await);
        let users = fill(&mine, (0..9).map(name)).await;
        fill(&theirs, (0..9).map(name)).await;
        let user = ResourceType::user();
        let plain = Query::default();
        let titled = Query { filter: Some(filter("title pr", &user)), sort: None };
        let same = Query { filter: Some(filter("(TITLE  PR)", &user)), sort: None };
        let by_name = Query { filter: None, sort: Some(sort("userName", "ascending", &user)) };
        let backwards = Query { filter: None, sort: Some(sort("userName", "descending", &user)) };
        let first = async |query: &Query| {
            mine.users(query.at(Start::Cursor(None), 3)).await.unwrap().next.unwrap()
        };
        let cursor = first(&plain).await;
        assert!(cursor.bytes().all(|it| it.is_ascii_hexdigit()), "{cursor}");
        let second = mine.users(plain.at(Start::Cursor(Some(cursor.clone())), 3)).await.unwrap();
        assert_eq!((ids(&second), second.total), (users[3..6].to_vec(), 9));

        let refused = async |by: &DirectoryStore, query: &Query, cursor: &str, count: u64| {
            let request = query.at(Start::Cursor(Some(cursor.to_owned())), count);
            match by.users(request).await {
                Ok(_) => None,
                Err(Error::Cursor(bad)) => Some(bad),
                Err(other) => panic!("{other:?}"),
            }
        };
        let check = async |by: &DirectoryStore, query: &Query, cursor: &str, count, expected| {
            assert_eq!(refused(by, query, cursor, count).await, expected, "{cursor}");
        };
        let unknown = Some(BadPageCursor::Unknown);
        check(&theirs, &plain, &cursor, 3, unknown).await;
        check(&mine, &titled, &cursor, 3, unknown).await;
        check(&mine, &by_name, &cursor, 3, unknown).await;
        check(&mine, &plain, &cursor, 4, Some(BadPageCursor::AnotherCount)).await;
        check(&mine, &same, &first(&titled).await, 3, None).await;
        check(&mine, &backwards, &first(&by_name).await, 3, unknown).await;
        let long = "00".repeat(100_000);
        for text in ["x", "0", "00", &cursor[2..], &cursor.to_uppercase(), &long, "é"] {
            if text != cursor {
                check(&mine, &plain, text, 3, unknown).await;
            }
        }
        for place in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
            check(&mine, &plain, &String::from_utf8(forged).unwrap(), 3, unknown).await;
        }
        let hour = i64::try_from(CURSOR_SECONDS).unwrap();
        database.clock.move_by(hour);
        check(&mine, &plain, &cursor, 3, None).await;
        database.clock.move_by(1);
        check(&mine, &plain, &cursor, 3, Some(BadPageCursor::Expired)).await;
    });
}

/// Proves S-SORT-8.
#[test]
fn an_order_is_that_of_the_keys_on_whatever_page() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let by_token = connected(&store, 1).await;
        fill(&by_token, (0..40).map(name)).await;
        let user = ResourceType::user();
        let all = by_token.users(Query::default().at(Start::Index(1), 100)).await.unwrap();
        let asked = (
            prop::sample::select(vec!["userName", "title", "id", "externalId"]),
            prop::sample::select(vec!["ascending", "descending"]),
            prop::option::of(prop::sample::select(vec!["title pr", "userName sw \"u1\""])),
            0_u64..45,
            0_u64..9,
        );
        let run = TestRunner::deterministic().run(&asked, |(by, order, wanted, first, count)| {
            let query = Query {
                filter: wanted.map(|text| filter(text, &user)),
                sort: Some(sort(by, order, &user)),
            };
            let sort = query.sort.clone().unwrap();
            let mut expected: Vec<_> = all
                .items
                .iter()
                .filter(|it| query.filter.as_ref().is_none_or(|f| f.matches(&user_as_seen(it))))
                .collect();
            // Who has the same key stays in the order of creation.
            expected.sort_by(|one, other| {
                let keys = sort.key(&user_as_seen(one)).cmp(&sort.key(&user_as_seen(other)));
                if sort.order() == SortOrder::Descending { keys.reverse() } else { keys }
            });
            let total = expected.len() as u64;
            let skipped = usize::try_from(first.saturating_sub(1)).unwrap();
            let most = usize::try_from(count).unwrap();
            let of_window: Vec<_> =
                expected.into_iter().skip(skipped).take(most).cloned().collect();
            // Without a credential nothing is remembered of the pages before.
            let request = query.at(Start::Index(first), count);
            let page =
                wait_for(async { open(&store, by_token.id()).await.users(request).await.unwrap() });
            prop_assert_eq!((page.items, page.total), (of_window, total));
            Ok(())
        });
        run.unwrap();
    });
}

#[test]
fn users_and_groups_stand_in_one_list() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = connected(&store, 1).await;
        for number in 0..4 {
            let body = json!({ "userName": format!("u{number}"), "displayName": format!("D{}", 9 - number) });
            directory.change(create_user(body)).await.unwrap();
            directory.change(create_group(&format!("D{number}"))).await.unwrap();
        }
        let (user, group) = (ResourceType::user(), ResourceType::group());
        let list = async |wanted: Option<&str>, by: Option<&str>, start: Start, count: u64| {
            let users = Query {
                filter: wanted.map(|it| filter(it, &user)),
                sort: by.map(|it| sort(it, "descending", &user)),
            };
            let groups = ListRequest {
                filter: wanted.map(|it| filter(it, &group)),
                sort: by.map(|it| sort(it, "descending", &group)),
                window: Window { start: start.clone(), count },
                with_related: true,
                represent: Arc::new(group_as_seen),
            };
            let page = directory.resources(users.at(start, count), groups).await.unwrap();
            let names: Vec<String> = page
                .items
                .iter()
                .map(|record| match record {
                    AnyRecord::User(it) => user_as_seen(it)["userName"].as_str().unwrap().into(),
                    AnyRecord::Group(it) => {
                        group_as_seen(it)["displayName"].as_str().unwrap().into()
                    }
                })
                .collect();
            (names.join(" "), page.total, page.next)
        };
        let at = Start::Index;
        let found = |names: &str, total: u64| (names.to_owned(), total, None);
        assert_eq!(list(None, None, at(1), 3).await, found("u0 D0 u1", 8));
        assert_eq!(list(None, None, at(4), 100).await, found("D1 u2 D2 u3 D3", 8));
        assert_eq!(list(None, None, at(9), 100).await, found("", 8));
        assert_eq!(list(None, None, at(1), 0).await, found("", 8));
        assert_eq!(list(Some("userName pr"), None, at(2), 2).await, found("u1 u2", 4));
        assert_eq!(list(Some("not (userName pr)"), None, at(1), 9).await, found("D0 D1 D2 D3", 4));
        assert_eq!(list(Some("members pr"), None, at(1), 9).await, found("", 0));
        let by_name = list(None, Some("displayName"), at(1), 9).await;
        assert_eq!(by_name, found("u0 u1 u2 u3 D3 D2 D1 D0", 8));
        // What groups do not have comes first in descending order.
        let by_user_name = list(None, Some("userName"), at(3), 3).await;
        assert_eq!(by_user_name, found("D2 D3 u3", 8));

        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let start = Start::Cursor(cursor);
            let (names, total, next) = list(None, Some("displayName"), start, 3).await;
            assert_eq!(total, 8);
            seen.push(names);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["u0 u1 u2", "u3 D3 D2", "D1 D0"]);
    });
}

#[test]
fn addresses_that_another_version_kept_are_found_too() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let directory = connected(&store, 1).await;
        let body = json!({ "userName": "ana", "emails": [{ "value": "old@acme.example" }] });
        let id = directory.change(create_user(body)).await.unwrap().id;
        let found = async |address: &str| {
            let wanted = filter(&format!("emails eq \"{address}\""), &ResourceType::user());
            let query = Query { filter: Some(wanted), sort: None };
            directory.users(query.at(Start::Index(1), 9)).await.unwrap().total
        };
        assert_eq!((found("OLD@acme.example").await, found("new@acme.example").await), (1, 0));
        // As a program writes that does not know of the keys.
        let sql =
            "update users set version = version + 1, resource = replace(resource, 'old@', 'new@')";
        assert_eq!(write(&database, sql), 1);
        assert_eq!((found("old@acme.example").await, found("New@acme.example").await), (0, 1));
        // Another change that is not of the address does not hide it.
        directory.change(patch_user(id, &json!({ "title": "Dr." }))).await.unwrap();
        assert_eq!((found("old@acme.example").await, found("new@acme.example").await), (0, 1));
        let value = json!({ "emails": [{ "value": "newer@acme.example" }] });
        directory.change(patch_user(id, &value)).await.unwrap();
        assert_eq!((found("new@acme.example").await, found("newer@acme.example").await), (0, 1));
    });
}

/// Bytes of a page, which the store keeps to itself.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

#[test]
fn a_page_is_bounded_in_bytes_and_a_walk_over_large_users_is_whole() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let made = directory(&store, Settings::default()).await;
        // As long as texts may be: a megabyte each.
        let long = "x".repeat(250 * 1024);
        for number in 0..18 {
            let body = json!({
                "userName": name(number), "displayName": long, "nickName": long, "title": long,
                "userType": long,
            });
            made.change(create_user(body)).await.unwrap();
        }
        let (mut after, mut sizes) = (Some(0), Vec::new());
        while let Some(ordinal) = after {
            let found = made.users_after(ordinal, 1_000).await.unwrap();
            let bytes: usize = found.items.iter().map(|user| user.text.len()).sum();
            assert!(bytes <= PAGE_BYTES_MAX, "{bytes}");
            sizes.push(found.items.len());
            after = found.next;
        }
        assert_eq!((sizes.len(), sizes.iter().sum()), (2, 18));

        let user = ResourceType::user();
        let mut token = 0;
        for query in [
            Query::default(),
            Query { filter: Some(filter("userName pr", &user)), sort: None },
            Query { filter: None, sort: Some(sort("userName", "ascending", &user)) },
        ] {
            let whole = made.users(query.at(Start::Index(1), 1_000)).await.unwrap();
            let bytes: usize = whole.items.iter().map(|user| user.text.len()).sum();
            assert!(whole.items.len() > 10 && bytes <= PAGE_BYTES_MAX, "{bytes}");
            let steps = [Step::Count, Step::ItemsPerPage, Step::Cursor];
            // The other lists end their pages in the same way.
            let is_plain = query.filter.is_none() && query.sort.is_none();
            for step in steps.into_iter().take(if is_plain { 3 } else { 1 }) {
                token += 1;
                let by = with_token(&store, &made, token).await;
                let mut walker = Walker::new(&by, &query, 1_000, step, End::Total);
                while !walker.is_done {
                    walker.page().await;
                }
                let seen: Vec<_> = walker.seen.values().copied().collect();
                assert_eq!((seen, walker.pages), (vec![1; 18], 2), "{step:?}");
            }
        }
    });
}

/// Proves S-PROJ-11.
#[test]
fn a_page_of_groups_is_bounded_with_their_members() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let by_token = connected(&store, 1).await;
        let users = fill(&by_token, (0..40).map(name)).await;
        // What clients call members is kept as sent: 7 MiB in each group.
        let display = "x".repeat(180 * 1024);
        for number in 0..5 {
            let member = |id: &UserId| scim::group::Member {
                value: id.to_string(),
                kind: None,
                display: Some(display.clone()),
            };
            let members = users.iter().map(member).collect();
            let create = CreateGroup { members, ..create_group(&format!("G{number}")) };
            by_token.change(create).await.unwrap();
        }
        for with_related in [true, false] {
            let (mut sizes, mut index) = (Vec::new(), 1);
            while index <= 5 {
                let request = ListRequest {
                    filter: None,
                    sort: None,
                    window: Window::at(index, 100),
                    with_related,
                    represent: Arc::new(group_as_seen),
                };
                let page = by_token.groups(request).await.unwrap();
                let members = page.items.iter().map(|group| group.members.len());
                assert!(members.eq(page.items.iter().map(|_| if with_related { 40 } else { 0 })));
                sizes.push(page.items.len());
                index += page.items.len() as u64;
            }
            assert_eq!(sizes, if with_related { vec![2, 2, 1] } else { vec![5] });
        }
    });
}

#[test]
fn a_group_of_many_is_read_whole() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let by_token = connected(&store, 1).await;
        let mut users = Vec::new();
        for part in 0..9 {
            let numbers = part * 250..(part + 1) * 250;
            users.extend(fill(&by_token, numbers.map(|number| format!("u{number}"))).await);
        }
        for count in [2_000, 2_001] {
            let member = |id: &UserId| scim::group::Member {
                value: id.to_string(),
                kind: None,
                display: None,
            };
            let members = users[..count].iter().map(member).collect();
            let create = CreateGroup { members, ..create_group(&format!("G{count}")) };
            let id = by_token.change(create).await.unwrap().group.id;
            for with_members in [true, false] {
                let group = by_token.group(id, with_members).await.unwrap().unwrap();
                let expected = if with_members { count } else { 0 };
                assert_eq!((group.members.len(), group.member_count), (expected, count as u64));
            }
        }
        let nobody = directory::ResourceId::parse("019b8d4a-0000-7000-8000-00000000dead").unwrap();
        assert_eq!(by_token.group(nobody, true).await.unwrap(), None);
    });
}
