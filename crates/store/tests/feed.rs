//! The feed as it is read: which events, at which cost; and snapshots of what they have come to.

mod beside;
#[expect(dead_code, reason = "nothing here needs one batch")]
mod engine;
mod people;
mod picture;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beside::write;
use directory::event::EventKind;
use directory::{DeleteGroup, DeleteUser, DirectoryId, Limits, Provider, ResourceId, Settings};
use engine::{Database, directory, on_every_engine, open};
use people::{add, group, patch_group, patch_user};
use picture::Picture;
use serde_json::json;
use store::{ApiStore, Cursor, DirectoryStore, Error, EventFilter, SnapshotPart, Store};

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

async fn read_on(picture: &mut Picture, api: &ApiStore, of: DirectoryId, after: Option<Cursor>) {
    let page = api.events(after, Some(of), 100_000).await.unwrap().unwrap();
    assert!(!page.has_more);
    page.events.iter().for_each(|event| picture.take(event));
}

/// Some of everything that may be done, by somebody with people and groups of their own, until so many
/// snapshots were taken meanwhile.
async fn go_on(directory: DirectoryStore, writer: usize, taken: Arc<AtomicUsize>) {
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(add(&directory, &format!("person-{writer}-{number}")).await);
    }
    for round in 0.. {
        if round >= 6 && taken.load(Ordering::SeqCst) >= 3 {
            break;
        }
        let sales = group(&directory, &format!("group-{writer}-{round}"), &ids).await;
        patch_user(&directory, ids[0], json!({ "active": round % 2 == 1 })).await;
        patch_user(&directory, ids[1], json!({ "title": format!("title {round}") })).await;
        let leaves = json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[2]) });
        patch_group(&directory, sales, leaves).await;
        directory.change(DeleteUser { id: ids[3] }).await.unwrap();
        ids[3] = add(&directory, &format!("person-{writer}-3")).await;
        let renamed =
            json!({ "op": "replace", "value": { "displayName": format!("g-{writer}-{round}") } });
        patch_group(&directory, sales, renamed).await;
        if round % 2 == 0 {
            directory.change(DeleteGroup { id: sales }).await.unwrap();
        }
    }
}

#[test]
fn a_snapshot_and_the_events_behind_it_are_what_is_there() {
    on_every_engine(async |database| {
        // Nodes of one database; on PostgreSQL each gives positions to what either has kept.
        let nodes = [opened(&database), opened(&database)];
        let one = directory(&nodes[0], Settings::default()).await.id();
        let other = directory(&nodes[1], Settings::default()).await.id();
        let taken = Arc::new(AtomicUsize::new(0));
        let mut writing = Vec::new();
        for writer in 0..8 {
            let to = if writer % 3 == 0 { other } else { one };
            let directory = open(&nodes[writer % 2], to).await;
            writing.push(tokio::spawn(go_on(directory, writer, Arc::clone(&taken))));
        }
        let mut snapshots = Vec::new();
        while !writing.iter().all(tokio::task::JoinHandle::is_finished) {
            let api = nodes[snapshots.len() % 2].api();
            snapshots.push(Picture::of(&api, one).await);
            taken.fetch_add(1, Ordering::SeqCst);
        }
        for task in writing {
            task.await.unwrap();
        }
        let api = nodes[0].api();
        let mut whole = Picture::default();
        read_on(&mut whole, &api, one, None).await;
        snapshots.push(Picture::of(&api, one).await);
        assert_eq!(snapshots.last().unwrap().0, whole);
        for (mut picture, cursor) in snapshots {
            read_on(&mut picture, &api, one, Some(cursor)).await;
            assert_eq!(picture, whole);
        }
        for node in nodes {
            node.close().await;
        }
    });
}

#[test]
fn a_snapshot_without_its_latest_event_goes_on_too() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, to) = (store.api(), directory(&store, Settings::default()).await);
        add(&to, "ana").await;
        // Nobody has read the feed, and then all of it is let go.
        database.clock.move_by(60);
        let now = store.access().now();
        while store.forget_events("here", now).await.unwrap() > 0 {}
        let (picture, cursor) = Picture::of(&api, to.id()).await;
        assert_eq!(picture.users.len(), 1);
        add(&to, "ben").await;
        let page = api.events(Some(cursor), Some(to.id()), 10).await.unwrap().unwrap();
        let kinds: Vec<_> = page.events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["directory.user.created"]);
        assert_eq!(page.events[0].number, picture.number + 1);
    });
}

#[test]
fn the_tail_remembers_the_latest_and_passes_over_what_nobody_looked_at() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, to) = (store.api(), directory(&store, Settings::default()).await);
        let end = async || {
            let page = api.events(Some(Cursor::presented(Cursor::END)), None, 1).await;
            page.unwrap().unwrap().read_to
        };
        let tail = store.access().tail().await.unwrap();
        let begin = end().await;
        assert_eq!(tail.has_none(begin, |_| true), Some(begin));
        let mut people = Vec::new();
        for number in 0..250 {
            people.push(add(&to, &format!("person-{number}")).await);
        }
        for round in 0..4 {
            let id = group(&to, &format!("group-{round}"), &people).await;
            to.change(DeleteGroup { id }).await.unwrap();
        }
        // Nothing is known before somebody looks, and then not everything is remembered.
        assert_eq!(tail.has_none(begin, |_| true), Some(begin));
        tail.look().await.unwrap();
        let now = end().await;
        assert!(now - begin > 2_000);
        assert_eq!(tail.has_none(begin, |_| false), None, "there may be one");
        assert_eq!(tail.has_none(now, |_| true), Some(now));
        let part = tail.events(begin, 10).await.unwrap();
        assert_eq!((part.events.len(), part.read_to), (10, begin + 10));
        // What comes now is.
        let mut moved = tail.watch();
        add(&to, "ana").await;
        tail.look().await.unwrap();
        assert_eq!(*moved.borrow_and_update(), now + 1);
        assert_eq!(tail.has_none(now, |event| event.kind == "directory.user.created"), None);
        assert_eq!(tail.has_none(now, |event| event.kind == "directory.deleted"), Some(now + 1));
    });
}

/// Whether the log of an embedded database can be begun anew.
fn can_be_begun_anew(database: &Database) -> bool {
    let connection = rusqlite::Connection::open(database.path()).unwrap();
    let sql = "pragma wal_checkpoint(truncate)";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0
}

/// On one thread, whose clock jumps to whatever is waited for as soon as it is told to stand still.
fn in_no_time(check: impl AsyncFnOnce(Database)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(check(Database::new(None)));
}

#[test]
fn a_slow_reader_of_a_snapshot_holds_nothing_up_for_ever() {
    in_no_time(async |database| {
        let store = opened(&database);
        let to = directory(&store, Settings::default()).await;
        let ana = add(&to, "ana").await;
        group(&to, "Sales", &[ana]).await;
        let mut snapshot = store.api().snapshot(to.id()).await.unwrap();
        add(&to, "ben").await;
        assert!(!can_be_begun_anew(&database), "it is read in the state that was");
        // It takes nothing.
        tokio::time::pause();
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(can_be_begun_anew(&database));
        assert!(matches!(snapshot.next().await, Some(Ok(SnapshotPart::Users(..)))));
        // There is no end, so it is known to be incomplete.
        assert!(matches!(snapshot.next().await, Some(Err(Error::Abandoned))));
        assert!(snapshot.next().await.is_none());
    });
}

#[test]
fn there_are_few_snapshots_at_once_and_who_is_gone_holds_none() {
    in_no_time(async |database| {
        let store = opened(&database);
        let (api, to) = (store.api(), directory(&store, Settings::default()).await);
        let ana = add(&to, "ana").await;
        group(&to, "Sales", &[ana]).await;
        let held = [api.snapshot(to.id()).await.unwrap(), api.snapshot(to.id()).await.unwrap()];
        tokio::time::pause();
        let refused = api.snapshot(to.id()).await;
        assert!(matches!(refused, Err(Error::Crowded)), "{refused:?}");
        tokio::time::resume();
        // Nobody else waits for them.
        assert_eq!(api.directories(None, None, 10).await.unwrap().len(), 1);
        drop(held);
        let (picture, _) = Picture::of(&api, to.id()).await;
        assert_eq!((picture.users.len(), picture.groups.len()), (1, 1));
        add(&to, "ben").await;
        assert!(can_be_begun_anew(&database));
    });
}

#[test]
fn nobody_goes_on_over_a_hole_whatever_they_ask_for() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let to = directory(&store, Settings::default()).await;
        let organization_id = Some(to.organization_id());
        for name in ["ana", "ben", "cleo"] {
            add(&to, name).await;
        }
        let filters = || {
            [None, Some(to.id())].into_iter().flat_map(|directory_id| {
                [None, organization_id].into_iter().flat_map(move |organization_id| {
                    [vec![], vec![EventKind::UserCreated], vec![EventKind::UserDeleted]]
                        .map(|kinds| EventFilter { organization_id, directory_id, kinds })
                })
            })
        };
        for filter in filters() {
            api.events(None, filter, 100).await.unwrap().unwrap();
        }
        // Somebody's disk has lost one in the middle: `ben`.
        assert_eq!(write(&database, "delete from events where number = 3"), 1);
        for filter in filters() {
            let read = api.events(None, filter.clone(), 100).await;
            assert!(matches!(read, Err(Error::Corrupt(_))), "{filter:?}: {read:?}");
        }
    });
}

#[test]
fn what_happened_to_somebody_is_found_at_once_whatever_else_did() {
    on_every_engine(async |database| {
        const OTHERS: u64 = 60_000;
        let store = opened(&database);
        let to = directory(&store, Settings::default()).await;
        let ana = add(&to, "ana").await;
        // Of many others, as a program wrote them that knew this version's columns.
        let id = to.id();
        let (place, position, end) = match database.own {
            None => ("position, ", "n, ", "update feed set position = position + 60000"),
            Some(_) => ("", "", "select 1"),
        };
        let others = format!(
            "with recursive n(n) as (select 3 union all select n + 1 from n where n < {OTHERS} + 2)
             insert into events ({place}directory_id, number, event_id, type, occurred_at, data,
                                 resource_id)
             select {position}'{id}', n, 'evt-' || n, 'directory.user.updated', 1, '{{}}', 'other'
             from n"
        );
        assert_eq!(write(&database, &others), OTHERS);
        write(&database, end);
        write(&database, &format!("update directories set event_number = {OTHERS} + 2"));
        let sales = group(&to, "Sales", &[ana]).await;
        patch_user(&to, ana, json!({ "title": "Engineer" })).await;
        to.change(DeleteUser { id: ana }).await.unwrap();
        let again = add(&to, "ana").await;
        // An older program says of its events nothing but what is in them.
        let older = "update events set resource_id = null, other_id = null
                     where type = 'directory.user.updated' and number > 60002";
        assert_eq!(write(&database, older), 1);
        let kinds = async |of: ResourceId, after: u64, count: u64| {
            let found = to.timeline(of, after, count).await.unwrap();
            let kinds = found.events.iter().map(|event| event.kind.clone());
            (kinds.collect::<Vec<_>>(), found.next)
        };
        let expected = [
            "directory.user.created",
            "directory.group.member_added",
            "directory.user.updated",
            "directory.group.member_removed",
            "directory.user.deleted",
            "directory.user.created",
        ];
        let (told, next) = kinds(ana, 0, 10).await;
        assert_eq!((told.as_slice(), next), (expected.map(String::from).as_slice(), None));
        let (first, next) = kinds(ana, 0, 2).await;
        assert_eq!(first, expected[..2]);
        assert_eq!(kinds(ana, next.unwrap(), 10).await, (told[2..].to_vec(), None));
        assert_eq!(kinds(again, 0, 10).await, (vec![expected[5].to_owned()], None));
        let (of_group, _) = kinds(sales, 0, 10).await;
        assert_eq!(of_group, ["directory.group.created", expected[1], expected[3]]);
    });
}

#[test]
fn what_is_not_meant_costs_a_page_little() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let of_acme = directory(&store, Settings::default()).await;
        let acme = of_acme.organization_id();
        let made = api.create_directory(acme, "Labs".into(), Provider::Okta, Settings::default());
        let labs = open(&store, made.await.unwrap().id).await;
        let busy = directory(&store, Settings::default()).await;
        let mut people = Vec::new();
        for number in 0..250 {
            people.push(add(&busy, &format!("person-{number}")).await);
        }
        // More than are looked at for one page, and between them what is looked for.
        add(&of_acme, "ana").await;
        for round in 0..25 {
            let id = group(&busy, &format!("group-{round}"), &people).await;
            busy.change(DeleteGroup { id }).await.unwrap();
        }
        add(&labs, "lea").await;
        add(&of_acme, "ben").await;
        let users = vec![EventKind::UserCreated];
        let all = EventFilter { kinds: users.clone(), ..EventFilter::default() };
        let of_one = EventFilter { organization_id: Some(acme), ..EventFilter::default() };
        let both = EventFilter { organization_id: Some(acme), kinds: users, directory_id: None };
        let rare =
            EventFilter { kinds: vec![EventKind::DirectoryDeleted], ..EventFilter::default() };
        for (filter, pages_min) in [(all, 2), (of_one, 1), (both, 1), (rare, 2)] {
            let (mut after, mut pages, mut found) = (None, 0, Vec::new());
            loop {
                let page = api.events(after, filter.clone(), 1_000).await.unwrap().unwrap();
                pages += 1;
                found.extend(page.events.into_iter().map(|event| event.event_id));
                after = Some(page.next);
                if !page.has_more {
                    break;
                }
                assert!(pages < 10, "each page leads on");
            }
            assert!(pages >= pages_min, "{filter:?}: {pages}");
            let every = api.events(None, None, 100_000).await.unwrap().unwrap().events;
            let meant = every.into_iter().filter(|event| filter.matches(event));
            let meant: Vec<_> = meant.map(|event| event.event_id).collect();
            assert_eq!(found, meant, "{filter:?}");
        }
    });
}
