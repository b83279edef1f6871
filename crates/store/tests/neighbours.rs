//! Several nodes on one database, others beside them, and a way to it that breaks.

mod beside;
mod between;
#[expect(dead_code, reason = "nothing here needs one batch")]
mod engine;

use beside::{upgrade, write};
use between::Way;
use claims::OwnDatabase;
use directory::{
    Aside, CatalogueKind, CreateUser, DirectoryId, Document, Limits, Rejection, Settings,
};
use engine::{Database, directory, on, on_every_engine, open};
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::{Preset, ResourceType};
use serde_json::json;
use store::{ApiStore, Clock as _, DirectoryStore, Error, EventRecord, NewEntry, Store};

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

async fn some_directory(store: &Store) -> DirectoryStore {
    directory(store, Settings::default()).await
}

fn create_user(name: &str) -> CreateUser {
    let body = json!({ "userName": name });
    let admitted = admit(body, &ResourceType::user(), Preset::Lenient, &mut Quirks::new());
    CreateUser { document: Document::new(admitted.unwrap().resource), aside: Aside::default() }
}

fn is_rejected<T: std::fmt::Debug>(outcome: &Result<T, Error>, expected: &Rejection) -> bool {
    matches!(outcome, Err(Error::Rejected(rejection)) if rejection == expected)
}

async fn events_of(api: &ApiStore, directory: Option<DirectoryId>) -> Vec<EventRecord> {
    api.events(None, directory, 10_000).await.unwrap().unwrap().events
}

async fn user_count(store: &Store, id: DirectoryId) -> u64 {
    store.api().directory(id).await.unwrap().unwrap().user_count
}

/// Checks a claim that is about PostgreSQL alone, where tests are told of one.
fn on_postgres(check: impl AsyncFnOnce(&Database, &OwnDatabase)) {
    let Some(own) = OwnDatabase::make() else { return };
    on(Database::new(Some(own)), async |database| {
        check(&database, database.own.as_ref().expect("it was just made")).await;
    });
}

#[test]
fn an_external_id_that_two_nodes_give_at_once_is_that_of_one_organization() {
    on_every_engine(async |database| {
        let (one, other) = (opened(&database), opened(&database));
        for round in 0..30 {
            let create = async |store: &Store| {
                let external_id = Some(format!("customer-{round}"));
                store.api().create_organization("Acme".into(), external_id).await
            };
            let outcomes = tokio::join!(create(&one), create(&other));
            let outcomes = [outcomes.0, outcomes.1];
            let kept = outcomes.iter().flatten().count();
            assert_eq!(kept, 1, "{outcomes:?}");
            let taken =
                outcomes.iter().filter(|it| is_rejected(it, &Rejection::ExternalIdTaken)).count();
            assert_eq!(taken, 1, "{outcomes:?}");
        }
        assert_eq!(one.api().organizations(None, 100).await.unwrap().len(), 30);
    });
}

#[test]
fn the_last_place_of_the_catalogue_is_taken_by_one_of_two_nodes() {
    const FULL: Rejection = Rejection::CatalogueFull(1_000);
    on_every_engine(async |database| {
        let (one, other) = (opened(&database), opened(&database));
        write(
            &database,
            "with recursive n(n) as (select 1 union all select n + 1 from n where n < 999)
             insert into catalogue (kind, entry_id, ordinal, display_name, created_at, modified_at)
             select 'Role', 'role-' || n, n, 'A role', 0, 0 from n",
        );
        let kind = CatalogueKind::Role;
        for round in 0..20 {
            let put = async |store: &Store, id: &str| {
                let id = id.parse().unwrap();
                let display_name = format!("Role of round {round}");
                let entry = NewEntry { kind, id, display_name, description: None, rank: None };
                store.api().put_entry(entry).await
            };
            let outcomes = tokio::join!(put(&one, "here"), put(&other, "there"));
            let (winner, loser) = match outcomes {
                (Ok(_), loser) => ("here", loser),
                (loser, Ok(_)) => ("there", loser),
                neither => panic!("{neither:?}"),
            };
            assert!(is_rejected(&loser, &FULL), "{loser:?}");
            assert_eq!(one.api().catalogue(kind).await.unwrap().len(), 1_000);
            one.api()
                .delete_entry(kind, winner.parse::<directory::EntryId>().unwrap())
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_directory_that_somebody_else_holds_is_busy_and_others_go_on() {
    on_postgres(async |database, own| {
        let (store, beside) = (opened(database), opened(database));
        let (held, free) = (some_directory(&store).await, some_directory(&store).await);
        let events = events_of(&store.api(), None).await;
        let holding = own.hold(&format!(
            "select 1 from directories where directory_id = '{}' for update",
            held.id()
        ));
        let waiting = tokio::spawn({
            let held = held.clone();
            async move { held.change(create_user("ana")).await }
        });
        // Those of another node do not notice, and those of the same one are not taken along.
        let elsewhere = open(&beside, free.id()).await;
        elsewhere.change(create_user("bo")).await.unwrap();
        free.change(create_user("cy")).await.unwrap();
        let outcome = waiting.await.unwrap();
        assert!(outcome.as_ref().is_err_and(Error::is_busy), "{outcome:?}");
        // It can be read all the while, and there is nothing of it.
        assert_eq!(user_count(&store, held.id()).await, 0);
        let later = events_of(&store.api(), None).await;
        assert!(
            later[events.len()..].iter().all(|it| it.directory_id == Some(free.id())),
            "{later:?}"
        );
        assert_eq!(later.len(), events.len() + 2);

        drop(holding);
        held.change(create_user("ana")).await.unwrap();
        assert_eq!(user_count(&store, held.id()).await, 1);
    });
}

#[test]
fn a_lease_is_respected_until_it_has_run_out() {
    on_every_engine(async |database| {
        let (one, other) = (opened(&database), opened(&database));
        let directory = some_directory(&one).await;
        let mut names = 0..;
        let mut some_old_events = async || {
            for number in names.by_ref().take(3) {
                directory.change(create_user(&format!("u{number}"))).await.unwrap();
            }
            database.clock.move_by(1);
            database.clock.now()
        };
        let before = some_old_events().await;
        assert_eq!(one.forget_events("one", before).await.unwrap(), 4, "a directory, three users");
        // It may sleep a while: nobody takes it over, and nothing is done by two.
        let before = some_old_events().await;
        assert_eq!(other.forget_events("other", before).await.unwrap(), 0);
        assert_eq!(events_of(&one.api(), None).await.len(), 3);
        // The database's own clock counts where there are many nodes, and here it is moved.
        match &database.own {
            None => database.clock.move_by(31),
            Some(own) => _ = own.run("update leases set expires_at = expires_at - 31000000"),
        }
        assert_eq!(other.forget_events("other", before).await.unwrap(), 3);
        // Who had it wakes up, and goes on where it was: it has it no more.
        let before = some_old_events().await;
        assert_eq!(one.forget_events("one", before).await.unwrap(), 0);
        assert_eq!(events_of(&one.api(), None).await.len(), 3);
        assert_eq!(other.forget_events("other", before).await.unwrap(), 3);
    });
}

#[test]
fn nothing_is_told_that_stands_behind_a_hole_of_the_feed() {
    on_every_engine(async |database| {
        let check = async |damage: &dyn Fn(DirectoryId), finds_all: bool, finds_one: bool| {
            let store = opened(&database);
            let directory = some_directory(&store).await;
            for number in 0..6 {
                directory.change(create_user(&format!("u{number}"))).await.unwrap();
            }
            let whole = events_of(&store.api(), Some(directory.id())).await;
            assert_eq!(whole.len(), 7);
            damage(directory.id());
            for (of, finds) in [(None, finds_all), (Some(directory.id()), finds_one)] {
                let outcome = store.api().events(None, of, 10_000).await;
                assert_eq!(matches!(outcome, Err(Error::Corrupt(_))), finds, "{of:?}: {outcome:?}");
            }
            store.close().await;
        };
        // In the middle of one directory's events; at their end, which only the whole feed shows.
        let lose = |number: u64| {
            let database = &database;
            move |id: DirectoryId| {
                let sql = "delete from events where number = ";
                let sql = format!("{sql} {number} and directory_id = '{id}'");
                assert_eq!(write(database, &sql), 1);
            }
        };
        check(&lose(4), true, true).await;
        write(&database, "delete from events");
        write(&database, "update feed set forgotten_position = position");
        if database.own.is_some() {
            write(&database, "delete from sequence");
        }
        check(&lose(7), true, false).await;
    });
}

#[test]
fn what_was_kept_while_its_answer_was_lost_is_there_once() {
    on_postgres(async |database, own| {
        let way = Way::to(own);
        let (environment, limits) = (database.environment(), Limits::default());
        let store = Store::open_postgres(way.url(), environment, limits, [7; 32]).await.unwrap();
        let directory = some_directory(&store).await;
        let events = events_of(&store.api(), None).await.len();
        way.break_at_the_next_commit();
        let outcome = directory.change(create_user("ana")).await;
        assert!(way.has_broken());
        assert!(outcome.as_ref().is_err_and(Error::is_unreachable), "{outcome:?}");
        // Whoever is told that nobody knows asks again, and it was kept, once.
        let again = directory.change(create_user("ana")).await;
        assert!(is_rejected(&again, &Rejection::UserNameTaken), "{again:?}");
        assert_eq!(events_of(&store.api(), None).await.len(), events + 1);
    });
}

#[test]
fn a_move_whose_last_answer_was_lost_does_not_say_that_nothing_was_moved() {
    on_postgres(async |target, own| {
        let embedded = Database::new(None);
        let store = opened(&embedded);
        some_directory(&store).await.change(create_user("ana")).await.unwrap();
        store.close().await;
        let (from, now) = (embedded.path(), jiff::Timestamp::UNIX_EPOCH);
        let way = Way::to(own);
        way.break_at_the_next_commit();
        let outcome = Store::move_to_postgres(&from, way.url(), now, |_| {}).await;
        assert!(way.has_broken());
        assert!(matches!(outcome, Err(Error::Unanswered(_))), "{outcome:?}");
        // How to find out: it says so where everything has arrived.
        let outcome = Store::move_to_postgres(&from, way.url(), now, |_| {}).await;
        let Err(Error::Migration(said)) = &outcome else { panic!("{outcome:?}") };
        assert!(said.contains("is not empty"), "{said}");
        assert_eq!(events_of(&opened(target).api(), None).await.len(), 2);
    });
}

#[test]
fn a_database_that_cannot_keep_every_name_is_refused() {
    let Some(own) = OwnDatabase::make_in_latin_letters() else { return };
    on(Database::new(Some(own)), async |database| {
        let outcome = database.open(Limits::default());
        let Err(Error::Migration(said)) = &outcome else { panic!("{outcome:?}") };
        assert!(said.contains("keeps text as LATIN1; create one with `encoding 'UTF8'"), "{said}");
    });
}

#[test]
fn a_program_lives_on_the_shape_of_a_later_version_that_allows_it() {
    on_every_engine(async |database| {
        let running = opened(&database);
        let directory = some_directory(&running).await;
        directory.change(create_user("ana")).await.unwrap();
        upgrade(&database);
        // Whoever ran meanwhile goes on, and may be started again.
        directory.change(create_user("bo")).await.unwrap();
        let started = opened(&database);
        let there = open(&started, directory.id()).await;
        there.change(create_user("cy")).await.unwrap();
        assert_eq!(
            (user_count(&running, there.id()).await, user_count(&started, there.id()).await),
            (3, 3)
        );
        assert_eq!(events_of(&started.api(), None).await.len(), 4);
        // It does not move what it does not know.
        if let Some(own) = &database.own {
            let embedded = Database::new(None);
            opened(&embedded).close().await;
            let now = jiff::Timestamp::UNIX_EPOCH;
            let moved = Store::move_to_postgres(&embedded.path(), &own.url(), now, |_| {}).await;
            let Err(Error::Migration(said)) = &moved else { panic!("{moved:?}") };
            assert!(said.contains("`9998_later`"), "{said}");
        }

        // The next one takes something away that we need.
        let next = "insert into migrations (name, applied_at, lives_with)
                    values ('9999_last', 1, '9998_later')";
        write(&database, next);
        let outcome = database.open(Limits::default());
        let Err(Error::Migration(said)) = &outcome else { panic!("{outcome:?}") };
        assert!(said.contains("`9999_last`") && said.contains("Start that version"), "{said}");
    });
}
