//! What waits: so many people lose something at once that an app hears nothing of it, until somebody has
//! said what it was, or the time is up.

mod beside;
mod engine;
mod people;
mod picture;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claims::OwnDatabase;
use directory::hold::{AfterHold, Brake};
use directory::secret::{Secret, SecretKind};
use directory::{
    CatalogueKind, DeleteGroup, DeleteUser, DirectoryId, GroupId, Guarded, Hold, HoldKind,
    HoldOutcome, HoldState, Limits, Precondition, Rejection, ResourceId, RoleMapping, Rule,
    SaveRoleMapping, Settings, Strategy, TokenScope, When,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine};
use jiff::SignedDuration;
use people::{add, group, patch_group, patch_user};
use picture::Picture;
use scim::etag::EntityTags;
use serde_json::{Value, json};
use store::{
    Class, Credential, Cursor, DirectoryStore, Error, EventRecord, NewEntry, SignInState, SoughtBy,
    Store, Verdict,
};

const HOUR: i64 = 3_600;

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

/// Three people may lose something, or one of five.
fn brake() -> Brake {
    Brake { people: 3, percent: 20, ..Brake::default() }
}

/// A new directory, as its provider opens it: the vendor and the operator are not braked.
async fn connected(store: &Store, brake: Brake) -> DirectoryStore {
    let made = directory(store, Settings { brake, ..Settings::default() }).await;
    let secret = Secret::new(SecretKind::ScimToken, [3; 32]);
    let (scope, year) = (TokenScope::ReadWrite, SignedDuration::from_hours(24 * 365));
    store.api().create_scoped_token(made.id(), &secret, scope, year).await.unwrap();
    provider(store).await
}

/// The directory as its provider opens it.
async fn provider(store: &Store) -> DirectoryStore {
    let secret = Secret::new(SecretKind::ScimToken, [3; 32]);
    match store.access().directory(&secret.hash()).await.unwrap() {
        Credential::Valid(directory) => directory,
        other => panic!("{other:?}"),
    }
}

async fn crowd(to: &DirectoryStore, count: usize) -> Vec<ResourceId> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(add(to, &format!("person-{number}")).await);
    }
    people
}

async fn deactivate(to: &DirectoryStore, id: ResourceId) {
    patch_user(to, id, json!({ "active": false })).await;
}

async fn reactivate(to: &DirectoryStore, id: ResourceId) {
    patch_user(to, id, json!({ "active": true })).await;
}

async fn leave(to: &DirectoryStore, group: GroupId, id: ResourceId) {
    let path = format!("members[value eq \"{id}\"]");
    patch_group(to, group, json!({ "op": "remove", "path": path })).await;
}

async fn join(to: &DirectoryStore, group: GroupId, id: ResourceId) {
    let value = json!([{ "value": id.to_string() }]);
    patch_group(to, group, json!({ "op": "add", "path": "members", "value": value })).await;
}

/// The app has these roles, of which the first is the highest.
async fn put_roles(store: &Store, ids: &[&str]) {
    for (rank, id) in (1..).zip(ids) {
        let (kind, display_name) = (CatalogueKind::Role, (*id).to_owned());
        let id = id.parse().unwrap();
        let entry = NewEntry { kind, id, display_name, description: None, rank: Some(rank) };
        store.api().put_entry(entry).await.unwrap();
    }
}

/// Whoever belongs to a group has all roles of it. Everybody is looked at.
async fn give_roles(store: &Store, of: &DirectoryStore, to: &[(GroupId, &str)]) {
    let rule = |(group, role): &(GroupId, &str)| {
        let when = When::Group(*group);
        Rule { when, role: role.parse().unwrap() }
    };
    let rules = to.iter().map(rule).collect();
    let mapping = RoleMapping { rules, strategy: Strategy::Union, ..RoleMapping::default() };
    let user_type = Arc::clone(of.types().user());
    let save = SaveRoleMapping { mapping, new_default_group: None, user_type };
    of.save_roles(save).await.unwrap();
    while store.walk_roles("here").await.unwrap() > 0 {}
}

/// The roles of those who have any.
async fn roles_of(
    of: &DirectoryStore,
    people: impl Iterator<Item = &ResourceId>,
) -> BTreeMap<String, BTreeSet<String>> {
    let people: Vec<_> = people.copied().collect();
    let roles = of.roles_of(people.clone()).await.unwrap();
    let names = |id: &ResourceId| -> BTreeSet<String> {
        roles.of(*id).iter().map(|it| it.role.to_string()).collect()
    };
    let all = people.iter().map(|id| (id.to_string(), names(id)));
    all.filter(|(_, roles)| !roles.is_empty()).collect()
}

/// An app that follows one directory.
struct App {
    of: DirectoryId,
    picture: Picture,
    cursor: Option<Cursor>,
    /// The types of what it was told, with whom it was about.
    told: Vec<(String, String)>,
}

impl App {
    fn new(of: DirectoryId) -> App {
        App { of, picture: Picture::default(), cursor: None, told: Vec::new() }
    }

    /// What is new, taken strictly.
    async fn read_on(&mut self, store: &Store) -> Vec<EventRecord> {
        let page = store.api().events(self.cursor.take(), Some(self.of), 100_000).await;
        let page = page.unwrap().unwrap();
        self.cursor = Some(page.next);
        for event in &page.events {
            self.picture.take(event);
            let data: Value = serde_json::from_str(&event.data).unwrap();
            let whom = [&data["user"]["id"], &data["member"]["value"], &data["group"]["id"]];
            let whom = whom.into_iter().find_map(Value::as_str).unwrap_or_default();
            self.told.push((event.kind.clone(), whom.to_owned()));
        }
        page.events
    }

    /// The types of what is new.
    async fn hears(&mut self, store: &Store) -> Vec<String> {
        self.read_on(store).await.into_iter().map(|event| event.kind).collect()
    }

    /// Who may use the app, as it knows.
    fn active(&self) -> usize {
        self.picture.users.values().filter(|user| user["active"] == true).count()
    }

    /// What a snapshot would tell it now is what it knows.
    async fn is_told_the_same_by_a_snapshot(&self, store: &Store) {
        let (snapshot, _) = Picture::of(&store.api(), self.of).await;
        assert_eq!(snapshot, self.picture);
    }
}

async fn the_hold(store: &Store, of: DirectoryId) -> Hold {
    store.api().holds(of, None, 100).await.unwrap().pop().expect("there is one")
}

async fn decide(store: &Store, hold: &Hold, verdict: Verdict) -> Result<(), Error> {
    store.api().decide_hold(hold.directory_id, hold.id, verdict).await
}

/// What would be told, and what the app would know then.
async fn after_all_that_waits(store: &Store, hold: &Hold, app: &App) -> (usize, Picture) {
    let (api, of) = (store.api(), hold.directory_id);
    let mut picture = app.picture.clone();
    let (mut after, mut told) = (0, 0);
    loop {
        let (found, next) = api.held_changes(of, hold.id, after, 7).await.unwrap().unwrap();
        for draft in found.into_iter().filter_map(|change| change.draft) {
            picture.apply(draft.kind, &draft.data);
            told += 1;
        }
        match next {
            Some(place) => after = place,
            None => break,
        }
    }
    let record = api.hold(of, hold.id).await.unwrap().unwrap();
    let counted: u64 = record.counts.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, told as u64, "{:?}", record.counts);
    (told, picture)
}

/// A crowd of twenty in a group, of whom the provider takes out half by mistake, one after the other.
struct Mistake {
    provider: DirectoryStore,
    app: App,
    people: Vec<ResourceId>,
    sales: GroupId,
}

impl Mistake {
    async fn make(store: &Store, brake: Brake) -> Mistake {
        let provider = connected(store, brake).await;
        let people = crowd(&provider, 20).await;
        let sales = group(&provider, "Sales", &people).await;
        let mut app = App::new(provider.id());
        app.read_on(store).await;
        assert_eq!(app.active(), 20);
        for id in &people[..10] {
            deactivate(&provider, *id).await;
        }
        Mistake { provider, app, people, sales }
    }
}

/// Half of the people lose their access, one request after the other. The first four are within what may
/// be: the app hears of them. With the fifth, it hears that these have access again, and from then on
/// nothing. The provider sees what it wrote.
#[test]
fn what_too_many_lose_is_not_told_and_what_was_told_just_before_is_taken_back() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let Mistake { provider, mut app, people, .. } = Mistake::make(&store, brake()).await;
        let mut expected = vec!["directory.user.deactivated"; 4];
        expected.push("directory.hold.started");
        expected.extend(["directory.user.reactivated"; 4]);
        let heard = app.read_on(&store).await;
        assert_eq!(heard.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(app.active(), 20);
        let hold = the_hold(&store, provider.id()).await;
        assert_eq!(
            (hold.kind, hold.state, hold.people, hold.people_max),
            (HoldKind::Brake, HoldState::Held, 5, 4)
        );
        let why: Value = serde_json::from_str(heard[5].cause.as_deref().unwrap()).unwrap();
        let from = json!({ "type": "directory.hold.started", "id": hold.id.to_string() });
        assert_eq!(why["follows_from"], from);
        // It hears nothing more, whatever happens to people; what is done to the directory it does.
        deactivate(&provider, people[15]).await;
        add(&provider, "somebody new").await;
        assert_eq!(app.hears(&store).await, [""; 0]);
        let secret = Secret::new(SecretKind::ScimToken, [4; 32]);
        let day = SignedDuration::from_hours(24);
        let scope = TokenScope::ReadWrite;
        store.api().create_scoped_token(provider.id(), &secret, scope, day).await.unwrap();
        assert_eq!(app.hears(&store).await, ["directory.token.created"]);
        app.is_told_the_same_by_a_snapshot(&store).await;
        // The provider sees its own writes.
        assert!(!provider.user(people[9], false).await.unwrap().unwrap().is_active);
        let held = provider.held(people[9]).await.unwrap().unwrap();
        assert!(held.told.unwrap().is_active);
        assert_eq!(provider.held(people[19]).await.unwrap(), None);
        let (told, picture) = after_all_that_waits(&store, &hold, &app).await;
        assert_eq!(told, 12);
        assert_eq!(picture.users.values().filter(|user| user["active"] == true).count(), 10);
        let lost = store.api().lost(provider.id(), hold.id, 0, 100).await.unwrap().unwrap();
        assert_eq!(lost.len(), 11);
        assert!(lost.iter().any(|(_, lost)| lost.member_name == "person-15"), "{lost:?}");
        store.close().await;
    });
}

#[test]
fn what_is_approved_is_told_in_order() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let Mistake { provider, mut app, people, .. } = Mistake::make(&store, brake()).await;
        app.read_on(&store).await;
        let hold = the_hold(&store, provider.id()).await;
        let (_, expected) = after_all_that_waits(&store, &hold, &app).await;
        app.told.clear();
        database.clock.move_by(60);
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        let heard = app.read_on(&store).await;
        let mut told = vec![("directory.hold.approved".to_owned(), String::new())];
        let deactivated =
            |id: &ResourceId| ("directory.user.deactivated".to_owned(), id.to_string());
        told.extend(people[..10].iter().map(deactivated));
        told.push(("directory.hold.released".to_owned(), String::new()));
        assert_eq!(app.told, told);
        assert_eq!((app.picture.users.clone(), app.active()), (expected.users, 10));
        // Whoever asked for it is named, and what let it out.
        let why: Value = serde_json::from_str(heard[1].cause.as_deref().unwrap()).unwrap();
        assert_eq!(why["by"]["type"], "token");
        assert_eq!(why["follows_from"]["type"], "directory.hold.approved");
        assert!(heard.windows(2).all(|two| two[0].occurred_at <= two[1].occurred_at));
        let hold = the_hold(&store, provider.id()).await;
        assert_eq!(hold.state, HoldState::Ended);
        assert_eq!(hold.outcome, Some(HoldOutcome::Approved));
        // Said once more, nothing happens; and it cannot be called a mistake any more.
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        let too_late = decide(&store, &hold, Verdict::Reject).await.unwrap_err();
        assert!(matches!(too_late, Error::Rejected(Rejection::HoldDecided)), "{too_late:?}");
        assert_eq!(app.hears(&store).await, [""; 0]);
        // What follows is told at once.
        deactivate(&provider, people[12]).await;
        assert_eq!(app.hears(&store).await, ["directory.user.deactivated"]);
        app.is_told_the_same_by_a_snapshot(&store).await;
        store.close().await;
    });
}

#[test]
fn what_nobody_decides_about_is_told_when_its_time_is_up_or_stays() {
    on_every_engine(async |database| {
        for (then, state) in
            [(AfterHold::LetOut, HoldState::Ended), (AfterHold::StayHeld, HoldState::Held)]
        {
            let store = opened(&database);
            let brake = Brake { hours: 2, then, ..brake() };
            // The secret is taken where this is run the second time.
            let Mistake { provider, mut app, .. } = if then == AfterHold::LetOut {
                Mistake::make(&store, brake).await
            } else {
                let old = provider(&store).await.id();
                store.api().delete_directory(old).await.unwrap();
                Mistake::make(&store, brake).await
            };
            app.read_on(&store).await;
            database.clock.move_by(2 * HOUR - 1);
            while store.tend_holds("here").await.unwrap() > 0 {}
            let reminded = usize::from(then == AfterHold::LetOut);
            assert_eq!(app.hears(&store).await, vec!["directory.hold.waiting"; reminded]);
            database.clock.move_by(1);
            store.tend_holds("here").await.unwrap();
            assert_eq!(the_hold(&store, provider.id()).await.state, state);
            let heard = app.hears(&store).await;
            if then == AfterHold::LetOut {
                assert_eq!((heard[0].as_str(), heard.len()), ("directory.hold.expired", 12));
                assert_eq!(app.active(), 10);
            } else {
                assert_eq!((heard.len(), app.active()), (0, 20));
            }
            store.close().await;
        }
    });
}

/// It was a mistake. The provider brings everybody back, and what it did meanwhile besides is told: nobody
/// ever lost access, however the app is asked.
#[test]
fn what_is_rejected_and_brought_back_was_never_lost() {
    on_every_engine(async |database| {
        let mut store = opened(&database);
        let Mistake { provider: mut of, mut app, people, sales } =
            Mistake::make(&store, brake()).await;
        leave(&of, sales, people[19]).await;
        patch_user(&of, people[3], json!({ "title": "Lead" })).await;
        app.read_on(&store).await;
        let hold = the_hold(&store, of.id()).await;
        decide(&store, &hold, Verdict::Reject).await.unwrap();
        // Said once more, it is still so.
        decide(&store, &hold, Verdict::Reject).await.unwrap();
        assert_eq!(app.hears(&store).await, ["directory.hold.rejected"]);
        for (number, id) in people[..10].iter().enumerate() {
            database.clock.move_by(60);
            store.tend_holds("here").await.unwrap();
            assert_eq!(app.hears(&store).await, [""; 0], "{number} are back");
            app.is_told_the_same_by_a_snapshot(&store).await;
            let lost = store.api().lost(of.id(), hold.id, 0, 100).await.unwrap().unwrap();
            assert_eq!(lost.len(), 11 - number);
            // Somebody stops the server in between, and starts it again.
            store.close().await;
            store = opened(&database);
            of = provider(&store).await;
            reactivate(&of, *id).await;
        }
        // Time goes by: what was a mistake is not let out for that.
        database.clock.move_by(1_000 * HOUR);
        store.tend_holds("here").await.unwrap();
        assert_eq!(app.hears(&store).await, ["directory.hold.waiting"]);
        let lost = store.api().lost(of.id(), hold.id, 0, 100).await.unwrap().unwrap();
        let [(_, left)] = &lost[..] else { panic!("{lost:?}") };
        assert_eq!(left.member_name, "person-19");
        assert_eq!(left.group, Some((sales, "Sales".to_owned())));
        join(&of, sales, people[19]).await;
        store.tend_holds("here").await.unwrap();
        let expected =
            ["directory.hold.brought_back", "directory.user.updated", "directory.hold.released"];
        assert_eq!(app.hears(&store).await, expected);
        assert_eq!(app.active(), 20);
        let hold = the_hold(&store, of.id()).await;
        assert_eq!((hold.state, hold.outcome), (HoldState::Ended, Some(HoldOutcome::BroughtBack)));
        app.is_told_the_same_by_a_snapshot(&store).await;
        store.close().await;
    });
}

/// Many wait for their providers, for days. Nobody waits behind them.
#[test]
fn who_is_back_is_seen_behind_however_many_who_are_not() {
    const OTHERS: u8 = 110;

    on_every_engine(async |database| {
        let store = opened(&database);
        let brake = Brake { people: 1, percent: 1, ..Brake::default() };
        let mut last = None;
        for number in 0..=OTHERS {
            let made = directory(&store, Settings { brake, ..Settings::default() }).await;
            let secret = Secret::new(SecretKind::ScimToken, [number.wrapping_add(100); 32]);
            let (scope, year) = (TokenScope::ReadWrite, SignedDuration::from_hours(24 * 365));
            store.api().create_scoped_token(made.id(), &secret, scope, year).await.unwrap();
            let found = store.access().directory(&secret.hash()).await.unwrap();
            let Credential::Valid(provider) = found else { panic!("{found:?}") };
            let people = crowd(&provider, 2).await;
            for id in &people {
                deactivate(&provider, *id).await;
            }
            let hold = the_hold(&store, provider.id()).await;
            decide(&store, &hold, Verdict::Reject).await.unwrap();
            last = Some((provider, people));
        }
        let (provider, people) = last.expect("there are some");
        for id in people {
            reactivate(&provider, id).await;
        }
        store.tend_holds("here").await.unwrap();
        assert_eq!(the_hold(&store, provider.id()).await.state, HoldState::Ended);
    });
}

/// Who was deleted comes back under another id, and a group too: that is as good.
#[test]
fn who_comes_back_under_another_id_is_back() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        let people = crowd(&provider, 10).await;
        let sales = group(&provider, "Sales", &people).await;
        let mut app = App::new(provider.id());
        for id in &people[..5] {
            provider.change(DeleteUser { id: *id }).await.unwrap();
        }
        provider.change(DeleteGroup { id: sales }).await.unwrap();
        app.read_on(&store).await;
        assert_eq!((app.active(), app.picture.groups[&sales.to_string()].1.len()), (10, 10));
        app.is_told_the_same_by_a_snapshot(&store).await;
        let hold = the_hold(&store, provider.id()).await;
        decide(&store, &hold, Verdict::Reject).await.unwrap();
        let mut again = Vec::new();
        for number in 0..5 {
            again.push(add(&provider, &format!("PERSON-{number}")).await);
        }
        store.tend_holds("here").await.unwrap();
        assert_eq!(the_hold(&store, provider.id()).await.state, HoldState::Rejected);
        again.extend(&people[5..]);
        group(&provider, "sales", &again).await;
        store.tend_holds("here").await.unwrap();
        assert_eq!(the_hold(&store, provider.id()).await.state, HoldState::Ended);
        app.read_on(&store).await;
        assert_eq!((app.active(), app.picture.groups.len()), (10, 1));
        app.is_told_the_same_by_a_snapshot(&store).await;
        store.close().await;
    });
}

/// One request that takes everybody out of a group, the deletion of a group, many in one transaction, or
/// within bulk: whatever passes the limit is held from its first change on.
#[test]
fn what_passes_the_limit_at_once_is_held_from_its_first_change_on() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        let people = crowd(&provider, 12).await;
        let sales = group(&provider, "Sales", &people).await;
        let mut app = App::new(provider.id());
        app.read_on(&store).await;
        let leavers = people[..6].iter().map(|id| {
            let changing: Waiting<'_, ()> = Box::pin(deactivate(&provider, *id));
            changing
        });
        in_one_batch(&provider, leavers.collect()).await;
        assert_eq!(app.hears(&store).await, ["directory.hold.started"]);
        decide(&store, &the_hold(&store, provider.id()).await, Verdict::Approve).await.unwrap();
        assert_eq!(app.hears(&store).await.len(), 8);
        // Those who are inactive lose nothing more.
        for id in &people[..6] {
            leave(&provider, sales, *id).await;
        }
        assert_eq!(app.hears(&store).await.len(), 6);
        database.clock.move_by(HOUR);
        provider.change(DeleteGroup { id: sales }).await.unwrap();
        assert_eq!(app.hears(&store).await, ["directory.hold.started"]);
        let hold = the_hold(&store, provider.id()).await;
        assert_eq!((hold.people, hold.people_max), (6, 3));
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        let mut expected = vec!["directory.hold.approved"];
        expected.extend(["directory.group.member_removed"; 6]);
        expected.extend(["directory.group.deleted", "directory.hold.released"]);
        assert_eq!(app.hears(&store).await, expected);
        store.close().await;
    });
}

#[test]
fn a_few_and_those_who_come_back_and_those_of_the_vendor_are_not_held() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        let people = crowd(&provider, 20).await;
        let mut app = App::new(provider.id());
        // Four in a quarter of an hour, again and again.
        for some in people[..12].chunks(4) {
            for id in some {
                deactivate(&provider, *id).await;
            }
            database.clock.move_by(15 * 60);
            for id in some {
                reactivate(&provider, *id).await;
            }
        }
        // Who is back has lost nothing.
        for id in &people {
            deactivate(&provider, *id).await;
            reactivate(&provider, *id).await;
        }
        // The vendor knows what it does.
        let vendor = engine::open(&store, provider.id()).await;
        for id in &people[..10] {
            deactivate(&vendor, *id).await;
        }
        let heard = app.hears(&store).await;
        assert!(!heard.iter().any(|kind| kind.starts_with("directory.hold.")), "{heard:?}");
        assert_eq!(app.active(), 10);
        store.close().await;
    });
}

/// What a provider asked for is the provider's, whoever has it carried out once more.
#[test]
fn requests_that_are_carried_out_again_are_weighed_like_the_first_ones() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        let people = crowd(&provider, 10).await;
        let request = "req-01kc2x4n0s0000000000000001".parse().unwrap();
        let again = engine::open(&store, provider.id()).await.as_rerun_of(request);
        let mut app = App::new(provider.id());
        for id in &people[..4] {
            deactivate(&again, *id).await;
        }
        app.read_on(&store).await;
        assert_eq!(app.active(), 10);
        let hold = the_hold(&store, provider.id()).await;
        assert_eq!((hold.people, hold.people_max), (4, 3));
        let cause: Value = serde_json::from_str(&hold.cause).unwrap();
        assert_eq!(cause["rerun_of"], "req-01kc2x4n0s0000000000000001");
        store.close().await;
    });
}

/// Nobody is demoted in the app by a mistake, also of those who were before it was known for one.
#[test]
fn roles_wait_with_what_they_follow_from() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        put_roles(&store, &["editor", "guest"]).await;
        let people = crowd(&provider, 10).await;
        let editors = group(&provider, "Editors", &people).await;
        give_roles(&store, &provider, &[(editors, "editor")]).await;
        let mut app = App::new(provider.id());
        app.read_on(&store).await;
        let before = app.picture.clone();
        assert_eq!(before.roles.len(), 10);
        for id in &people[..4] {
            leave(&provider, editors, *id).await;
        }
        provider.change(DeleteUser { id: people[4] }).await.unwrap();
        let (left, other) = ("directory.group.member_removed", "directory.user.roles_updated");
        let mut expected = [[left, other]; 3].concat();
        expected.push("directory.hold.started");
        expected.extend(["directory.group.member_added"; 3]);
        expected.extend([other; 3]);
        assert_eq!(app.hears(&store).await, expected);
        let Picture { users, groups, roles, .. } = &app.picture;
        assert_eq!((users, groups, roles), (&before.users, &before.groups, &before.roles));
        app.is_told_the_same_by_a_snapshot(&store).await;
        // What is said anew of roles waits too.
        let rules = [(editors, "editor"), (editors, "guest")];
        give_roles(&store, &provider, &rules).await;
        assert_eq!(app.hears(&store).await, ["directory.role_mapping.updated"]);
        app.is_told_the_same_by_a_snapshot(&store).await;
        let hold = the_hold(&store, provider.id()).await;
        let (_, after) = after_all_that_waits(&store, &hold, &app).await;
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        let mut expected = vec!["directory.hold.approved"];
        expected.extend([left; 5]);
        expected.push("directory.user.deleted");
        // Of whoever is gone nothing more is told.
        expected.extend([other; 9]);
        expected.push("directory.hold.released");
        assert_eq!(app.hears(&store).await, expected);
        assert_eq!(app.picture.roles, after.roles);
        assert_eq!(app.picture.roles, roles_of(&provider, people.iter()).await);
        assert_eq!(app.picture.roles.len(), 5);
        app.is_told_the_same_by_a_snapshot(&store).await;
        store.close().await;
    });
}

/// Who was deleted is told again with the roles that they had.
#[test]
fn who_is_taken_back_has_their_roles() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        put_roles(&store, &["editor"]).await;
        let people = crowd(&provider, 10).await;
        let editors = group(&provider, "Editors", &people).await;
        give_roles(&store, &provider, &[(editors, "editor")]).await;
        let mut app = App::new(provider.id());
        app.read_on(&store).await;
        let before = app.picture.clone();
        for id in &people[..3] {
            provider.change(DeleteUser { id: *id }).await.unwrap();
        }
        app.read_on(&store).await;
        assert_eq!(app.picture.roles.len(), 7);
        provider.change(DeleteGroup { id: editors }).await.unwrap();
        app.read_on(&store).await;
        let Picture { users, groups, roles, .. } = &app.picture;
        assert_eq!((users, groups, roles), (&before.users, &before.groups, &before.roles));
        app.is_told_the_same_by_a_snapshot(&store).await;
        decide(&store, &the_hold(&store, provider.id()).await, Verdict::Approve).await.unwrap();
        app.read_on(&store).await;
        assert_eq!((app.picture.users.len(), app.picture.roles.len()), (7, 0));
        store.close().await;
    });
}

#[test]
fn a_brake_that_is_off_is_not_pulled() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let mistake = Mistake::make(&store, Brake { on: false, ..brake() }).await;
        let Mistake { mut app, .. } = mistake;
        assert_eq!(app.hears(&store).await, ["directory.user.deactivated"; 10]);
        store.close().await;
    });
}

/// Nothing of a new directory is let out before somebody has looked; then all of it is, as it is then.
#[test]
fn a_shadow_tells_nothing_until_it_goes_live() {
    on_every_engine(async |database| {
        let mut store = opened(&database);
        let mut of = connected(&store, brake()).await;
        store.api().begin_shadow(of.id()).await.unwrap();
        let people = crowd(&of, 20).await;
        let sales = group(&of, "Sales", &people).await;
        for id in &people[..10] {
            deactivate(&of, *id).await;
        }
        of.change(DeleteUser { id: people[0] }).await.unwrap();
        let mut app = App::new(of.id());
        let heard = app.hears(&store).await;
        let expected = ["directory.created", "directory.token.created", "directory.hold.started"];
        assert_eq!(heard, expected);
        app.is_told_the_same_by_a_snapshot(&store).await;
        store.close().await;
        store = opened(&database);
        of = provider(&store).await;
        let hold = the_hold(&store, of.id()).await;
        assert_eq!((hold.kind, hold.until), (HoldKind::Shadow, None));
        let rejected = decide(&store, &hold, Verdict::Reject).await.unwrap_err();
        assert!(matches!(rejected, Error::Rejected(Rejection::ShadowRejected)), "{rejected:?}");
        let record = store.api().hold(of.id(), hold.id).await.unwrap().unwrap();
        let counts: BTreeMap<_, _> = record.counts.into_iter().collect();
        let expected = [
            ("directory.group.created", 1),
            ("directory.group.member_added", 19),
            ("directory.user.created", 19),
        ];
        assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
        let (told, expected) = after_all_that_waits(&store, &hold, &app).await;
        assert_eq!(told, 39);
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        app.read_on(&store).await;
        assert_eq!((&app.picture.users, &app.picture.groups), (&expected.users, &expected.groups));
        assert_eq!(app.active(), 10);
        assert_eq!(app.picture.groups[&sales.to_string()].1.len(), 19);
        app.is_told_the_same_by_a_snapshot(&store).await;
        // There was somebody in it.
        let again = store.api().begin_shadow(of.id()).await.unwrap_err();
        assert!(matches!(again, Error::Rejected(Rejection::NoShadow)), "{again:?}");
        store.close().await;
    });
}

/// A shadow that is thrown away leaves no trace in the app, however its time and that of those who empty
/// it meet; nor does a sign-in check know anybody by it.
#[test]
fn of_a_shadow_that_is_thrown_away_nobody_is_heard() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let of = connected(&store, brake()).await;
        store.api().begin_shadow(of.id()).await.unwrap();
        let people = crowd(&of, 20).await;
        group(&of, "Sales", &people).await;
        let mut app = App::new(of.id());
        app.read_on(&store).await;
        store.api().delete_directory(of.id()).await.unwrap();
        let acme = of.organization_id();
        let ask = async || {
            let by = SoughtBy::UserName("person-1".to_owned());
            store.api().sign_in(acme, by).await.unwrap().unwrap().state
        };
        assert_eq!(ask().await, SignInState::Unknown);
        // Whoever lets out what waits comes first.
        for _ in 0..10 {
            store.tend_holds("here").await.unwrap();
            store.empty_directories("here").await.unwrap();
        }
        assert_eq!(app.hears(&store).await, ["directory.deleted", "directory.hold.released"]);
        assert_eq!(ask().await, SignInState::Unknown);
        store.close().await;
    });
}

/// Who may sign in is what the app has heard: nobody gets in by a shadow, nor by what waits.
#[test]
fn nobody_gets_in_by_what_the_app_has_not_heard() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let of = connected(&store, brake()).await;
        store.api().begin_shadow(of.id()).await.unwrap();
        let person = async |name: &str| {
            let mail = format!("{name}@acme.test");
            let id = add(&of, name).await;
            let emails = json!([{ "value": mail, "type": "work" }]);
            patch_user(&of, id, json!({ "emails": emails, "externalId": name })).await;
            id
        };
        let acme = of.organization_id();
        let ask = async |id: ResourceId, name: &str| {
            let ways = [
                SoughtBy::Id(id),
                SoughtBy::UserName(name.to_owned()),
                SoughtBy::ExternalId(name.to_owned()),
                SoughtBy::Email(format!("{name}@ACME.test")),
            ];
            let mut states = Vec::new();
            for by in ways {
                states.push(store.api().sign_in(acme, by).await.unwrap().unwrap().state);
            }
            states
        };
        let mut people = Vec::new();
        for number in 0..12 {
            people.push(person(&format!("p{number}")).await);
        }
        let [ana, ben, gone] = [people[0], people[1], people[2]];
        deactivate(&of, ben).await;
        of.change(DeleteUser { id: gone }).await.unwrap();
        assert_eq!(ask(ana, "p0").await, [SignInState::Pending; 4]);
        assert_eq!(ask(ben, "p1").await, [SignInState::Pending; 4]);
        assert_eq!(ask(gone, "p2").await, [SignInState::Unknown; 4]);
        let shadow = the_hold(&store, of.id()).await;
        decide(&store, &shadow, Verdict::Approve).await.unwrap();
        assert_eq!(ask(ana, "p0").await, [SignInState::Active; 4]);
        assert_eq!(ask(ben, "p1").await, [SignInState::Inactive; 4]);
        // Too many leave: some are deactivated, one has another address meanwhile, some are deleted.
        patch_user(&of, people[3], json!({ "title": "B" })).await;
        for id in &people[3..6] {
            deactivate(&of, *id).await;
        }
        let emails = json!([{ "value": "other@acme.test", "type": "work" }]);
        patch_user(&of, people[3], json!({ "emails": emails })).await;
        for id in &people[6..9] {
            of.change(DeleteUser { id: *id }).await.unwrap();
        }
        let hold = the_hold(&store, of.id()).await;
        assert_eq!((hold.kind, hold.state), (HoldKind::Brake, HoldState::Held));
        for (place, id) in people.iter().enumerate().take(9).skip(3) {
            let answer = ask(*id, &format!("p{place}")).await;
            assert_eq!(answer, [SignInState::Held; 4], "{place}");
        }
        assert_eq!(ask(ana, "p0").await, [SignInState::Active; 4]);
        // Who came meanwhile, or came back, is not heard of yet.
        let new = person("new").await;
        assert_eq!(ask(new, "new").await, [SignInState::Pending; 4]);
        reactivate(&of, ben).await;
        assert_eq!(ask(ben, "p1").await, [SignInState::Pending; 4]);
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        assert_eq!(ask(new, "new").await, [SignInState::Active; 4]);
        assert_eq!(ask(ben, "p1").await, [SignInState::Active; 4]);
        assert_eq!(ask(people[4], "p4").await, [SignInState::Inactive; 4]);
        assert_eq!(ask(people[6], "p6").await[..3], [SignInState::Gone; 3]);
        store.close().await;
    });
}

/// One who is erased while the rest waits is told of at once, and nothing more is told of them.
#[test]
fn who_is_erased_while_changes_wait_is_told_of_at_once() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let Mistake { provider, mut app, people, .. } = Mistake::make(&store, brake()).await;
        app.read_on(&store).await;
        let hold = the_hold(&store, provider.id()).await;
        for id in [people[2], people[15]] {
            store.api().erase_user(provider.id(), id).await.unwrap();
        }
        assert_eq!(app.hears(&store).await, ["directory.user.erased"; 2]);
        while store.erase("here").await.unwrap() > 0 {}
        let lost = store.api().lost(provider.id(), hold.id, 0, 100).await.unwrap().unwrap();
        assert_eq!(lost.len(), 9);
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        let mut expected = vec!["directory.hold.approved"];
        expected.extend(["directory.user.deactivated"; 9]);
        expected.push("directory.hold.released");
        assert_eq!(app.hears(&store).await, expected);
        store.close().await;
    });
}

/// The provider takes somebody out, the vendor erases them, and then others go: the app is told nothing of
/// the first any more, before the erasure has taken a step.
#[test]
fn nobody_comes_back_by_a_brake_who_was_just_erased() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        let people = crowd(&provider, 15).await;
        let mut app = App::new(provider.id());
        deactivate(&provider, people[0]).await;
        provider.change(DeleteUser { id: people[1] }).await.unwrap();
        for id in &people[..2] {
            store.api().erase_user(provider.id(), *id).await.unwrap();
        }
        app.read_on(&store).await;
        for id in &people[2..9] {
            deactivate(&provider, *id).await;
        }
        let hold = the_hold(&store, provider.id()).await;
        assert_eq!(hold.state, HoldState::Held);
        app.read_on(&store).await;
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        app.read_on(&store).await;
        for id in &people[..2] {
            let told = app.told.iter().filter(|(_, whom)| *whom == id.to_string());
            let told: Vec<_> = told.map(|(kind, _)| kind.as_str()).collect();
            assert_eq!(told.last(), Some(&"directory.user.erased"), "{told:?}");
        }
        store.close().await;
    });
}

/// Whoever approves what they have seen approves nothing that was lost after that.
#[test]
fn a_second_mistake_is_not_approved_with_the_first() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let Mistake { provider, mut app, people, sales } = Mistake::make(&store, brake()).await;
        app.read_on(&store).await;
        let seen = the_hold(&store, provider.id()).await;
        assert_eq!((seen.people, seen.lost), (5, 10));
        let approve = async |seen: &Hold| {
            let tags = EntityTags::These(vec![seen.revision().as_str().to_owned()]);
            let precondition = Precondition { among: Some(tags), not_among: None };
            let hold = Guarded { precondition, what: seen.id };
            store.api().decide_hold(provider.id(), hold, Verdict::Approve).await
        };
        // What takes nothing from anybody changes nothing of what was seen.
        patch_user(&provider, people[19], json!({ "title": "B" })).await;
        add(&provider, "new").await;
        assert_eq!(the_hold(&store, provider.id()).await.revision(), seen.revision());
        leave(&provider, sales, people[12]).await;
        let refused = approve(&seen).await.unwrap_err();
        assert!(matches!(refused, Error::Rejected(Rejection::RevisionFailed)), "{refused:?}");
        assert_eq!(app.hears(&store).await, [""; 0]);
        let looked_again = the_hold(&store, provider.id()).await;
        assert_eq!(looked_again.lost, 11);
        // Another one in the place of one who is back is somebody else.
        join(&provider, sales, people[12]).await;
        leave(&provider, sales, people[13]).await;
        assert!(approve(&looked_again).await.is_err());
        approve(&the_hold(&store, provider.id()).await).await.unwrap();
        assert_eq!(the_hold(&store, provider.id()).await.state, HoldState::Ended);
        store.close().await;
    });
}

/// What waits long is told of again: while there is time left to decide, or day by day.
#[test]
fn what_waits_is_told_of_again_before_its_time_is_up() {
    on_every_engine(async |database| {
        let mut store = opened(&database);
        let Mistake { provider, mut app, people, .. } = Mistake::make(&store, brake()).await;
        app.read_on(&store).await;
        database.clock.move_by(18 * HOUR - 1);
        assert_eq!(store.tend_holds("here").await.unwrap(), 0);
        database.clock.move_by(1);
        store.close().await;
        store = opened(&database);
        while store.tend_holds("here").await.unwrap() > 0 {}
        assert_eq!(app.hears(&store).await, ["directory.hold.waiting"]);
        database.clock.move_by(HOUR);
        assert_eq!(store.tend_holds("here").await.unwrap(), 0);
        // One that was rejected has no end, and is told of day by day.
        let hold = the_hold(&store, provider.id()).await;
        decide(&store, &hold, Verdict::Reject).await.unwrap();
        assert_eq!(app.hears(&store).await, ["directory.hold.rejected"]);
        for _ in 0..2 {
            database.clock.move_by(24 * HOUR);
            while store.tend_holds("here").await.unwrap() > 0 {}
            assert_eq!(app.hears(&store).await, ["directory.hold.waiting"]);
        }
        let provider = self::provider(&store).await;
        for id in &people[..10] {
            reactivate(&provider, *id).await;
        }
        database.clock.move_by(24 * HOUR);
        while store.tend_holds("here").await.unwrap() > 0 {}
        let expected = ["directory.hold.brought_back", "directory.hold.released"];
        assert_eq!(app.hears(&store).await, expected);
        store.close().await;
    });
}

/// What is remembered of those who are gone is let go: of losses that no brake looks back to at once, of
/// the rest with the events.
#[test]
fn what_is_remembered_of_who_is_gone_has_an_end() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let provider = connected(&store, brake()).await;
        let people = crowd(&provider, 20).await;
        provider.change(DeleteUser { id: people[0] }).await.unwrap();
        for id in &people[1..6] {
            deactivate(&provider, *id).await;
        }
        let hold = the_hold(&store, provider.id()).await;
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        provider.change(DeleteUser { id: people[7] }).await.unwrap();
        let count = |table: &str| {
            // Nothing is changed, and it is said of how many rows.
            beside::write(&database, &format!("update {table} set directory_id = directory_id"))
        };
        assert_eq!((count("recent_losses"), count("former_users"), count("holds")), (1, 2, 1));
        database.clock.move_by(25 * HOUR);
        while store.tidy_up().await.unwrap() > 0 {}
        assert_eq!((count("recent_losses"), count("former_users"), count("holds")), (0, 2, 1));
        let now = store.access().now();
        let forget = async |before| {
            while store.forget(Class::Past, "here", before).await.unwrap() > 0 {}
        };
        forget(now - SignedDuration::from_hours(30)).await;
        assert_eq!((count("former_users"), count("holds")), (2, 1));
        forget(now).await;
        assert_eq!((count("former_users"), count("holds")), (0, 0));
        store.close().await;
    });
}

/// What cannot be let out keeps nobody else waiting.
#[test]
fn a_hold_that_cannot_be_let_out_holds_up_no_other() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let brake = Brake { hours: 2, ..brake() };
        let Mistake { provider: broken, .. } = Mistake::make(&store, brake).await;
        let hold = the_hold(&store, broken.id()).await;
        let other = directory(&store, Settings { brake, ..Settings::default() }).await;
        let secret = Secret::new(SecretKind::ScimToken, [5; 32]);
        let (scope, year) = (TokenScope::ReadWrite, SignedDuration::from_hours(24 * 365));
        store.api().create_scoped_token(other.id(), &secret, scope, year).await.unwrap();
        let Credential::Valid(other) = store.access().directory(&secret.hash()).await.unwrap()
        else {
            panic!("the token is good");
        };
        for id in crowd(&other, 10).await {
            deactivate(&other, id).await;
        }
        let sql = format!("update holds set kind = 'nonsense' where hold_id = '{}'", hold.id);
        assert_eq!(beside::write(&database, &sql), 1);
        database.clock.move_by(2 * HOUR);
        let failed = store.tend_holds("here").await.unwrap_err();
        assert!(matches!(failed, Error::Corrupt(_)), "{failed:?}");
        assert_eq!(the_hold(&store, other.id()).await.state, HoldState::Ended);
        store.close().await;
    });
}

/// Two nodes weigh what is lost on one pair of scales, whichever of them hears of it.
#[test]
fn two_nodes_at_the_same_time_pull_one_brake() {
    on_every_engine(async |database| {
        let (one, two) = (opened(&database), opened(&database));
        let here = connected(&one, brake()).await;
        let people = crowd(&here, 20).await;
        let there = provider(&two).await;
        let mut app = App::new(here.id());
        app.read_on(&one).await;
        let mut leaving: Vec<Waiting<'_, ()>> = Vec::new();
        for (place, id) in people.iter().take(10).enumerate() {
            let node = if place % 2 == 0 { &here } else { &there };
            leaving.push(Box::pin(deactivate(node, *id)));
        }
        futures_util::future::join_all(leaving).await;
        let heard = app.hears(&two).await;
        let started = heard.iter().filter(|kind| *kind == "directory.hold.started").count();
        assert_eq!(started, 1, "{heard:?}");
        // Whatever was told before that was taken back, and nobody has lost anything in the app.
        assert_eq!(app.active(), 20);
        let holds = two.api().holds(here.id(), None, 10).await.unwrap();
        assert_eq!((holds.len(), holds[0].people_max), (1, 4));
        assert!(holds[0].people > 4, "{holds:?}");
        let lost = two.api().lost(here.id(), holds[0].id, 0, 100).await.unwrap().unwrap();
        assert_eq!(lost.len(), 10);
        one.close().await;
        two.close().await;
    });
}

/// More than goes into one transaction is let out in pieces, and what happens in between waits behind it.
#[test]
fn much_is_let_out_in_pieces() {
    on_every_engine(async |database| {
        let mut store = opened(&database);
        let of = connected(&store, brake()).await;
        store.api().begin_shadow(of.id()).await.unwrap();
        let people = crowd(&of, 40).await;
        for number in 0..60 {
            group(&of, &format!("Group {number}"), &people).await;
        }
        let mut app = App::new(of.id());
        let hold = the_hold(&store, of.id()).await;
        decide(&store, &hold, Verdict::Approve).await.unwrap();
        app.read_on(&store).await;
        assert_eq!(the_hold(&store, of.id()).await.state, HoldState::LettingOut);
        app.is_told_the_same_by_a_snapshot(&store).await;
        // One who was told of, and one who was not, are gone; somebody is new.
        of.change(DeleteUser { id: people[0] }).await.unwrap();
        let late = add(&of, "late").await;
        app.read_on(&store).await;
        app.is_told_the_same_by_a_snapshot(&store).await;
        let mut pieces = 1;
        loop {
            store.close().await;
            store = opened(&database);
            if store.tend_holds("here").await.unwrap() == 0 {
                break;
            }
            pieces += 1;
            app.read_on(&store).await;
            app.is_told_the_same_by_a_snapshot(&store).await;
        }
        assert_eq!(pieces, 3);
        assert_eq!(app.picture.users.len(), 40);
        assert!(app.picture.users.contains_key(&late.to_string()));
        assert!(app.picture.groups.values().all(|(_, members)| members.len() == 39));
        store.close().await;
    });
}

/// What is in a directory that is deleted goes, whether or not its changes wait.
#[test]
fn a_directory_that_is_deleted_is_told_of_to_its_end() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let Mistake { provider, mut app, .. } = Mistake::make(&store, brake()).await;
        store.api().delete_directory(provider.id()).await.unwrap();
        let heard = app.hears(&store).await;
        assert_eq!(heard.last().unwrap(), "directory.deleted");
        loop {
            let emptied = store.empty_directories("here").await.unwrap();
            let tended = store.tend_holds("here").await.unwrap();
            app.read_on(&store).await;
            if emptied + tended == 0 {
                break;
            }
        }
        assert_eq!((app.picture.users.len(), app.picture.groups.len()), (0, 0));
        assert_eq!(app.told.iter().filter(|told| told.0 == "directory.hold.released").count(), 1);
        store.close().await;
    });
}

/// Random acts, with random decisions, restarts and time: what the app knows is what it was told, a
/// snapshot tells the same at any moment; while changes wait it hears of nobody; what waits leads it to
/// what is; where nothing waits it knows what is; and who lost something in the last minutes before the
/// brake was pulled has it in the app.
#[test]
fn whatever_happens_an_app_knows_what_it_was_told_and_nobody_is_lost_by_what_is_held() {
    on_every_engine(async |database| {
        let mut ends = BTreeMap::new();
        for seed in 0..3 {
            random_acts(
                &Database::new(database.own.as_ref().and_then(|_| OwnDatabase::make())),
                seed,
                &mut ends,
            )
            .await;
        }
        // The dice are good: holds have come to every end.
        assert_eq!(ends.len(), 3, "{ends:?}");
    });
}

/// Who is in a directory and in its groups, as its provider knows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plain {
    /// Whether they are active.
    users: BTreeMap<ResourceId, bool>,
    groups: BTreeMap<GroupId, BTreeSet<ResourceId>>,
}

impl Plain {
    fn of(picture: &Picture) -> Plain {
        let id = |text: &String| ResourceId::parse(text).unwrap();
        let users = picture.users.iter().map(|(key, user)| (id(key), user["active"] == true));
        let groups = picture
            .groups
            .iter()
            .map(|(key, (_, members))| (id(key), members.iter().map(id).collect()));
        Plain { users: users.collect(), groups: groups.collect() }
    }
}

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

    fn one_of<T: Copy>(&mut self, from: impl Iterator<Item = T>) -> Option<T> {
        let all: Vec<_> = from.collect();
        if all.is_empty() { None } else { Some(all[self.below(all.len())]) }
    }
}

async fn random_acts(database: &Database, seed: u64, ends: &mut BTreeMap<&'static str, u64>) {
    let mut dice = Dice(seed);
    let mut store = opened(database);
    let mut of = connected(&store, Brake { people: 4, percent: 10, hours: 2, ..brake() }).await;
    if seed % 2 == 1 {
        store.api().begin_shadow(of.id()).await.unwrap();
    }
    put_roles(&store, &["editor", "guest"]).await;
    let mut app = App::new(of.id());
    let mut plain = Plain::default();
    let mut names = 0;
    let (mut named, mut groups_named) = (BTreeMap::new(), BTreeMap::new());
    for step in 0..300 {
        database.clock.move_by([0, 5, 60, 600][dice.below(4)]);
        let before = (app.picture.clone(), store.api().holds(of.id(), None, 100).await.unwrap());
        let was_waiting = before.1.last().filter(|hold| hold.state != HoldState::Ended).cloned();
        let user = dice.one_of(plain.users.keys().copied());
        let group_id = dice.one_of(plain.groups.keys().copied());
        let mut is_decided = false;
        match (dice.below(26).min(23), user, group_id) {
            (0..=4, ..) => {
                names += 1;
                let name = format!("person-{names}");
                let id = add(&of, &name).await;
                plain.users.insert(id, true);
                named.insert(name, id);
            }
            (5, ..) => {
                names += 1;
                let members: Vec<_> = plain.users.keys().copied().collect();
                let name = format!("group-{names}");
                let id = group(&of, &name, &members).await;
                groups_named.insert(name, id);
                plain.groups.insert(id, members.into_iter().collect());
                let rules =
                    plain.groups.keys().copied().zip(["editor", "guest"].into_iter().cycle());
                give_roles(&store, &of, &rules.collect::<Vec<_>>()).await;
            }
            (6..=10, Some(id), _) => {
                deactivate(&of, id).await;
                plain.users.insert(id, false);
            }
            (11..=13, Some(id), _) => {
                reactivate(&of, id).await;
                plain.users.insert(id, true);
            }
            (14, Some(id), _) => {
                patch_user(&of, id, json!({ "title": format!("title {step}") })).await;
            }
            (15, Some(id), _) => {
                of.change(DeleteUser { id }).await.unwrap();
                plain.users.remove(&id);
                plain.groups.values_mut().for_each(|members| _ = members.remove(&id));
            }
            (16, Some(id), Some(group)) => {
                leave(&of, group, id).await;
                plain.groups.get_mut(&group).unwrap().remove(&id);
            }
            (17, Some(id), Some(group)) => {
                join(&of, group, id).await;
                plain.groups.get_mut(&group).unwrap().insert(id);
            }
            (18, _, Some(id)) if dice.below(2) == 0 => {
                of.change(DeleteGroup { id }).await.unwrap();
                plain.groups.remove(&id);
            }
            (19, ..) => {
                store.close().await;
                store = opened(database);
                of = provider(&store).await;
            }
            // The provider brings back whom it can: who is gone stays gone, and then somebody approves.
            (23, ..) if was_waiting.as_ref().is_some_and(|it| it.state == HoldState::Rejected) => {
                let hold = was_waiting.as_ref().expect("it was looked at");
                let lost = store.api().lost(of.id(), hold.id, 0, 1_000).await.unwrap().unwrap();
                let (people, members): (Vec<_>, Vec<_>) =
                    lost.into_iter().map(|(_, lost)| lost).partition(|lost| lost.group.is_none());
                // Who was deleted may be there again, and inactive.
                for lost in people {
                    let again = named.get(&lost.member_name).copied();
                    let id = match again.filter(|id| plain.users.contains_key(id)) {
                        Some(id) => {
                            reactivate(&of, id).await;
                            id
                        }
                        None => add(&of, &lost.member_name).await,
                    };
                    named.insert(lost.member_name, id);
                    plain.users.insert(id, true);
                }
                for lost in members {
                    let (group_id, name) = lost.group.expect("it is of one");
                    let Some(member) = named.get(&lost.member_name).copied() else { continue };
                    if !plain.users.contains_key(&member) {
                        continue;
                    }
                    let again = groups_named.get(&name).copied().unwrap_or(group_id);
                    let id = if plain.groups.contains_key(&again) {
                        join(&of, again, member).await;
                        again
                    } else {
                        group(&of, &name, &[member]).await
                    };
                    groups_named.insert(name, id);
                    plain.groups.entry(id).or_default().insert(member);
                }
            }
            (20..=22, ..) => {
                is_decided = true;
                if let Some(hold) = &was_waiting
                    && dice.below(4) == 0
                {
                    let verdict = [Verdict::Approve, Verdict::Reject][dice.below(2)];
                    match decide(&store, hold, verdict).await {
                        Ok(()) | Err(Error::Rejected(Rejection::ShadowRejected)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
                store.tend_holds("here").await.unwrap();
            }
            _ => {}
        }
        let heard = app.hears(&store).await;
        app.is_told_the_same_by_a_snapshot(&store).await;
        let holds = store.api().holds(of.id(), None, 100).await.unwrap();
        let waiting = holds.last().filter(|hold| hold.state != HoldState::Ended);
        let is_of_people = |kind: &String| {
            kind.starts_with("directory.user.") || kind.starts_with("directory.group.")
        };
        match (&was_waiting, waiting) {
            (Some(_), _) if !is_decided => {
                assert!(!heard.iter().any(is_of_people), "{seed} {step}: {heard:?}");
                assert_eq!(before.0.users, app.picture.users);
                assert_eq!(before.0.groups, app.picture.groups);
                assert_eq!(before.0.roles, app.picture.roles);
            }
            (None, Some(hold)) => {
                // Whoever was active when it was pulled, or lost something just before, is active.
                for (id, user) in &before.0.users {
                    if user["active"] == true {
                        assert_eq!(app.picture.users[id]["active"], true, "{seed} {step} {id}");
                    }
                }
                for (id, (_, members)) in &before.0.groups {
                    assert!(app.picture.groups[id].1.is_superset(members), "{seed} {step} {id}");
                }
                for (id, roles) in &before.0.roles {
                    assert!(app.picture.roles[id].is_superset(roles), "{seed} {step} {id}");
                }
                let (_, picture) = after_all_that_waits(&store, hold, &app).await;
                assert_eq!(Plain::of(&picture), plain, "{seed} {step}");
            }
            _ => {}
        }
        let picture = match waiting {
            None => app.picture.clone(),
            Some(hold) => after_all_that_waits(&store, hold, &app).await.1,
        };
        assert_eq!(Plain::of(&picture), plain, "{seed} {step}");
        assert_eq!(picture.roles, roles_of(&of, plain.users.keys()).await, "{seed} {step}");
        if let (Some(_), None) = (&was_waiting, waiting) {
            let outcome = holds.last().unwrap().outcome.unwrap();
            *ends.entry(outcome.as_str()).or_default() += 1;
        }
    }
    store.close().await;
}
