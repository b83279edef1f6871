//! Cursors: one that was handed out leads on in its own list and nowhere else, and any other text
//! leads nowhere.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use directory::{Document, Ids, Limits, Provider, Settings};
use jiff::Timestamp;
use scim::admit::admit;
use scim::filter::Filter;
use scim::list::ListQuery;
use scim::{Preset, ResourceType};
use serde_json::{Map, Value, json};
use store::{
    BadCursor, BadPageCursor, Clock, Cursor, DirectoryStore, Environment, Error, FeedStore,
    ListRequest, Start, Store, UserRecord, Window,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::{Choices, unseen};

pub(crate) fn check(input: &[u8]) {
    thread_local!(static WORLD: RefCell<Option<World>> = const { RefCell::new(None) });
    WORLD.with_borrow_mut(|world| world.get_or_insert_with(World::new).check(input));
}

/// Two directories with a few people each, the same in every run.
struct World {
    runtime: Runtime,
    directories: Vec<DirectoryStore>,
    feed: FeedStore,
    _store: Store,
    _folder: TempDir,
}

/// A list of which there are pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List {
    directory: usize,
    filter: usize,
    sort: usize,
    count: u64,
}

const FILTERS: [Option<&str>; 3] = [None, Some("title pr"), Some("userName sw \"a\" or title pr")];
const SORTS: [Option<(&str, &str)>; 3] =
    [None, Some(("userName", "ascending")), Some(("title", "descending"))];

impl World {
    fn new() -> World {
        let folder = TempDir::with_prefix("roster-cursor-").expect("a folder");
        let environment = Environment { clock: Arc::new(Still), ids: Arc::new(Counted::default()) };
        let limits = Limits::default();
        let path = folder.path().join("roster.db");
        let store = Store::open_sqlite(&path, environment, limits, [7; 32]).expect("a store");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let directories = runtime.block_on(async { [fill(&store).await, fill(&store).await] });
        let feed = store.feed();
        World { runtime, directories: directories.into(), feed, _store: store, _folder: folder }
    }

    fn check(&self, input: &[u8]) {
        let mut choices = Choices::of_bytes(input);
        let act = choices.below(4);
        let list = some_list(&mut choices);
        match act {
            // Whatever text it is, and in whatever list.
            0 => {
                let Ok(text) = str::from_utf8(choices.rest()) else { return };
                let refused = self.page(list, Some(text)).expect_err("nobody was given this");
                assert_eq!(refused, BadPageCursor::Unknown, "{text}");
            }
            // One that was handed out, some pages on, and what becomes of it on the way.
            1 => {
                let Some(cursor) = self.some_cursor(list, choices.below(3)) else { return };
                let changed = changed(&mut choices, &cursor);
                let got = self.page(list, Some(&changed));
                if changed == cursor {
                    got.expect("it was handed out");
                } else {
                    assert_eq!(got, Err(BadPageCursor::Unknown), "{changed} of {cursor}");
                }
            }
            // One of another list.
            2 => {
                let Some(cursor) = self.some_cursor(list, choices.below(3)) else { return };
                let other = some_list(&mut choices);
                let got = self.page(other, Some(&cursor)).map(|_| ());
                let expected = match other {
                    other if other == list => Ok(()),
                    other if (List { count: list.count, ..other }) == list => {
                        Err(BadPageCursor::AnotherCount)
                    }
                    _ => Err(BadPageCursor::Unknown),
                };
                assert_eq!(got, expected, "{cursor} of {list:?} in {other:?}");
            }
            // One of the feed.
            _ => self.check_feed(&mut choices),
        }
    }

    /// The cursor after so many more pages.
    fn some_cursor(&self, list: List, pages: usize) -> Option<String> {
        let mut cursor = None;
        for _ in 0..=pages {
            let page = self.page(list, cursor.as_deref()).expect("it was handed out");
            cursor = Some(page?);
        }
        cursor
    }

    /// The cursor of the next page, if there is one.
    fn page(&self, list: List, cursor: Option<&str>) -> Result<Option<String>, BadPageCursor> {
        let resource_type = ResourceType::user();
        let filter = FILTERS[list.filter].map(|text| {
            let filter = Filter::parse(text, Preset::Strict, &mut unseen()).expect("a filter");
            let bound = filter.bind(&resource_type, Preset::Strict, &mut unseen());
            Arc::new(bound.expect("a filter of users"))
        });
        let sort = SORTS[list.sort].map(|(by, order)| {
            let pairs = [("sortBy", by), ("sortOrder", order)];
            let sort = ListQuery::parse(pairs.into_iter()).expect("an order").sort;
            let sort = sort.expect("there is one");
            Arc::new(sort.bind(&resource_type, Preset::Strict, &mut unseen()).expect("an order"))
        });
        let start = Start::Cursor(cursor.map(str::to_owned));
        let request = ListRequest {
            filter,
            sort,
            window: Window { start, count: list.count },
            with_related: false,
            represent: Arc::new(shown),
        };
        match self.runtime.block_on(self.directories[list.directory].users(request)) {
            Ok(page) => Ok(page.next),
            Err(Error::Cursor(bad)) => Err(bad),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn check_feed(&self, choices: &mut Choices<'_>) {
        let scopes = [None, Some(self.directories[0].id()), Some(self.directories[1].id())];
        let scope = choices.below(scopes.len());
        let events = |after: Option<Cursor>, scope: usize| {
            let read = self.feed.events(after, scopes[scope], 1 + 2 * scope as u64);
            self.runtime.block_on(read).expect("the feed can be read")
        };
        let cursor = events(None, scope).expect("it begins").next;
        let text = if choices.below(3) == 0 {
            let Ok(text) = str::from_utf8(choices.rest()) else { return };
            text.to_owned()
        } else {
            changed(choices, cursor.as_str())
        };
        let other = choices.below(scopes.len());
        let got = events(Some(Cursor::presented(text.clone())), other).map(|_| ());
        if text == cursor.as_str() && other == scope {
            assert_eq!(got, Ok(()));
        } else {
            let refused = got.expect_err("nobody was given this");
            assert!(matches!(refused, BadCursor::Malformed | BadCursor::AnotherEpoch));
        }
    }
}

fn some_list(choices: &mut Choices<'_>) -> List {
    List {
        directory: choices.below(2),
        filter: choices.below(FILTERS.len()),
        sort: choices.below(SORTS.len()),
        count: 1 + choices.below(3) as u64,
    }
}

/// A text as it may come back: as it was, or with a character that is another, is missing, or is
/// there once more; cut, or with something behind it.
fn changed(choices: &mut Choices<'_>, cursor: &str) -> String {
    let mut characters: Vec<char> = cursor.chars().collect();
    let place = choices.below(characters.len());
    match choices.below(7) {
        0 => {}
        1 => characters[place] = *choices.one_of(&['0', 'f', 'F', '.', 'é', ' ', '+']),
        2 => _ = characters.remove(place),
        3 => characters.insert(place, characters[place]),
        4 => characters.truncate(place),
        5 => characters.rotate_left(place),
        _ => characters.extend(String::from_utf8_lossy(choices.rest()).chars()),
    }
    characters.into_iter().collect()
}

async fn fill(store: &Store) -> DirectoryStore {
    let api = store.api();
    let organization = api.create_organization("Acme".into(), None).await;
    let organization = organization.expect("an organization").id;
    let (provider, settings) = (Provider::Okta, Settings::default());
    let made = api.create_directory(organization, "Okta".into(), provider, settings).await;
    let directory = api.open(made.expect("a directory").id).await.expect("it can be read");
    let directory = directory.expect("it is there");
    for (number, name) in ["ana", "Bo", "abe", "zoë", "cy", "Ann"].into_iter().enumerate() {
        let mut body = json!({ "userName": name });
        if number % 2 == 0 {
            body["title"] = name.to_uppercase().into();
        }
        let admitted = admit(body, &ResourceType::user(), Preset::Lenient, &mut unseen());
        let document = Document::new(admitted.expect("a user").resource);
        let create = directory::CreateUser { document, aside: directory::Aside::default() };
        directory.change(create).await.expect("a user");
    }
    directory
}

fn shown(user: &UserRecord) -> Map<String, Value> {
    serde_json::from_str(&user.text).expect("what is kept is JSON")
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time")
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Ids for Counted {
    fn next(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}
