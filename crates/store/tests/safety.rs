//! What an organization guards itself with, on every kind of database: seats are counted exactly whoever
//! writes at the same time, and what somebody should know is told once.

#[expect(dead_code, reason = "other tests need more of it")]
mod engine;

use directory::secret::{Secret, SecretKind};
use directory::{
    Aside, CreateUser, DeleteUser, DirectoryId, Document, Domain, DomainMode, EditDirectory,
    Guarded, Limits, OrganizationId, PatchUser, Precondition, Provider, Rejection, ResourceId,
    Revision, SafetyEdit, SeatMode, Settings, SettingsEdit,
};
use engine::{Database, on_every_engine, open};
use futures_util::future::join_all;
use jiff::SignedDuration;
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::etag::EntityTags;
use scim::patch::Patch;
use scim::{Preset, ResourceType};
use serde_json::{Value, json};
use store::{
    ApiStore, DirectoryStore, Error, NotReceived, ReceiptsAsked, SignInState, SoughtBy, Store,
    Verdict,
};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

async fn organization(store: &Store) -> OrganizationId {
    store.api().create_organization("Acme".to_owned(), None).await.unwrap().id
}

async fn directory(store: &Store, of: OrganizationId) -> DirectoryStore {
    let settings = Settings::default();
    let made = store.api().create_directory(of, "Okta".to_owned(), Provider::Okta, settings).await;
    open(store, made.unwrap().id).await
}

async fn create(store: &DirectoryStore, name: &str) -> Result<ResourceId, Error> {
    create_of(store, json!({ "userName": name })).await
}

async fn create_of(store: &DirectoryStore, body: Value) -> Result<ResourceId, Error> {
    let resource_type = ResourceType::user();
    let admitted = admit(body, &resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    let document = Document::new(admitted.resource);
    Ok(store.change(CreateUser { document, aside: Aside::default() }).await?.id)
}

async fn patch(store: &DirectoryStore, id: ResourceId, value: Value) -> Result<(), Error> {
    let resource_type = store.types().user();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "value": value }],
    });
    let patch = Patch::parse(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    let resource_type = std::sync::Arc::clone(resource_type);
    store.change(PatchUser { id, patch, resource_type }).await.map(drop)
}

async fn set_active(store: &DirectoryStore, id: ResourceId, active: bool) -> Result<(), Error> {
    patch(store, id, json!({ "active": active })).await
}

async fn seats(api: &ApiStore, of: OrganizationId, max: Option<u64>, mode: SeatMode) {
    let edit = SafetyEdit { seats_max: Some(max), seat_mode: Some(mode), ..SafetyEdit::default() };
    api.edit_safety(of, edit).await.unwrap();
}

async fn domains(api: &ApiStore, of: OrganizationId, mode: DomainMode, texts: &[&str]) {
    let domains = texts.iter().map(|it| it.parse::<Domain>().unwrap()).collect();
    let edit =
        SafetyEdit { domain_mode: Some(mode), domains: Some(domains), ..SafetyEdit::default() };
    api.edit_safety(of, edit).await.unwrap();
}

/// Events of these types, with what they say and what they were caused by.
async fn told(store: &Store, beginning: &str) -> Vec<(String, Value, Value)> {
    let page = store.api().events(None, None, 10_000).await.unwrap().unwrap();
    let parsed = |text: &str| serde_json::from_str(text).unwrap();
    let events = page.events.into_iter().filter(|event| event.kind.starts_with(beginning));
    events
        .map(|it| (it.kind, parsed(&it.data), parsed(&it.cause.expect("every event has one"))))
        .collect()
}

async fn kinds(store: &Store, beginning: &str) -> Vec<String> {
    told(store, beginning).await.into_iter().map(|(kind, ..)| kind).collect()
}

fn rejection<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Rejection {
    match outcome {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

fn full(name: &str, max: u64) -> Rejection {
    Rejection::SeatsFull { provider: Provider::Okta, user_name: name.to_owned(), max }
}

#[test]
fn two_directories_never_give_more_seats_than_there_are() {
    on_every_engine(async |database| {
        let (store, beside) = (opened(&database), opened(&database));
        let acme = organization(&store).await;
        let one = directory(&store, acme).await;
        let two = open(&beside, directory(&store, acme).await.id()).await;
        let other = directory(&store, organization(&store).await).await;
        seats(&store.api(), acme, Some(20), SeatMode::Refuse).await;
        let names: Vec<_> = (0..40).map(|number| format!("user-{number}")).collect();
        let created = names.iter().flat_map(|name| {
            // Those of somebody else are not counted.
            [create(&one, name), create(&two, name), create(&other, name)]
        });
        let outcomes = join_all(created).await;
        let count = |place: usize| {
            let of_one = outcomes.iter().skip(place).step_by(3);
            of_one.filter(|outcome| outcome.is_ok()).count()
        };
        assert_eq!(count(0) + count(1), 20);
        assert_eq!(count(2), 40);
        for refused in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(refused, Error::Rejected(Rejection::SeatsFull { max: 20, .. })));
        }
        let state = store.api().safety(acme).await.unwrap().unwrap();
        assert_eq!((state.active, state.exceeded_at), (20, None));
        assert_eq!(kinds(&store, "organization.").await, [""; 0]);
    });
}

#[test]
fn nobody_is_put_out_and_nobody_is_let_in_where_all_seats_are_taken() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let acme = organization(&store).await;
        let (one, two) = (directory(&store, acme).await, directory(&store, acme).await);
        let ana = create(&one, "ana").await.unwrap();
        let ben = create(&two, "ben").await.unwrap();
        let cleo = create(&two, "cleo").await.unwrap();
        set_active(&one, ana, false).await.unwrap();
        seats(&store.api(), acme, Some(1), SeatMode::Refuse).await;
        // Two are there, and stay; whoever was told so changes nothing by itself.
        assert_eq!(kinds(&store, "organization.").await, ["organization.seats_exceeded"]);
        assert_eq!(rejection(set_active(&one, ana, true).await), full("ana", 1));
        assert_eq!(rejection(create(&one, "dora").await), full("dora", 1));
        patch(&one, ana, json!({ "title": "Engineer" })).await.unwrap();
        patch(&two, ben, json!({ "title": "Engineer" })).await.unwrap();
        create_of(&one, json!({ "userName": "eve", "active": false })).await.unwrap();
        // One goes, and the other is as many as there may be.
        set_active(&two, ben, false).await.unwrap();
        let all = ["organization.seats_exceeded", "organization.seats_sufficient"];
        assert_eq!(kinds(&store, "organization.").await, all);
        assert_eq!(rejection(set_active(&one, ana, true).await), full("ana", 1));
        two.change(DeleteUser { id: cleo }).await.unwrap();
        set_active(&one, ana, true).await.unwrap();
        assert_eq!(rejection(set_active(&two, ben, true).await), full("ben", 1));
        // Who is in a directory that is deleted needs no seat from then on.
        store.api().delete_directory(one.id()).await.unwrap();
        set_active(&two, ben, true).await.unwrap();
        while store.empty_directories("here").await.unwrap() > 0 {}
        assert_eq!(store.api().safety(acme).await.unwrap().unwrap().active, 1);
        assert_eq!(rejection(create(&two, "dora").await), full("dora", 1));
        seats(&store.api(), acme, None, SeatMode::Refuse).await;
        create(&two, "dora").await.unwrap();
        assert_eq!(kinds(&store, "organization.").await, all);
    });
}

/// Nobody uses the app by a shadow, so nobody takes a seat there; when it goes live all do, or it does
/// not.
#[test]
fn a_shadow_takes_no_seats_until_it_goes_live() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, acme) = (store.api(), organization(&store).await);
        let (live, shadow) = (directory(&store, acme).await, directory(&store, acme).await);
        let hold = api.begin_shadow(shadow.id()).await.unwrap();
        seats(&api, acme, Some(2), SeatMode::Refuse).await;
        create(&live, "ana").await.unwrap();
        let mut people = Vec::new();
        for name in ["ben", "cleo", "dora"] {
            people.push(create(&shadow, name).await.unwrap());
        }
        let active = async || api.safety(acme).await.unwrap().unwrap().active;
        assert_eq!(active().await, 1);
        create(&live, "eve").await.unwrap();
        assert_eq!(rejection(create(&live, "finn").await), full("finn", 2));
        let approve = async || api.decide_hold(shadow.id(), hold, Verdict::Approve).await;
        let too_many = Rejection::SeatsFullForShadow { people: 3, taken: 2, max: 2 };
        assert_eq!(rejection(approve().await), too_many);
        assert_eq!(active().await, 2);
        // Where there may be more than that, it is told.
        seats(&api, acme, Some(4), SeatMode::Warn).await;
        approve().await.unwrap();
        assert_eq!(active().await, 5);
        assert_eq!(kinds(&store, "organization.").await, ["organization.seats_exceeded"]);
        // From then on everybody counts, here as there.
        set_active(&shadow, people[0], false).await.unwrap();
        assert_eq!(active().await, 4);
        let all = ["organization.seats_exceeded", "organization.seats_sufficient"];
        assert_eq!(kinds(&store, "organization.").await, all);
        // Of one that is thrown away nobody gives a seat back who never had one.
        let other = directory(&store, acme).await;
        api.begin_shadow(other.id()).await.unwrap();
        create(&other, "gil").await.unwrap();
        store.api().delete_directory(other.id()).await.unwrap();
        assert_eq!(active().await, 4);
        while store.empty_directories("here").await.unwrap() > 0 {}
        assert_eq!(active().await, 4);
    });
}

#[test]
fn that_there_are_more_than_may_is_told_once_and_again_when_there_are_not() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let acme = organization(&store).await;
        let (one, two) = (directory(&store, acme).await, directory(&store, acme).await);
        seats(&store.api(), acme, Some(2), SeatMode::Warn).await;
        let mut ids = Vec::new();
        for (place, name) in ["ana", "ben", "cleo", "dora"].into_iter().enumerate() {
            let of = if place % 2 == 0 { &one } else { &two };
            ids.push((of, create(of, name).await.unwrap()));
        }
        let (kind, data, cause) = told(&store, "organization.").await.pop().unwrap();
        assert_eq!(kind, "organization.seats_exceeded");
        assert_eq!(data, json!({ "seats": { "limit": 2, "mode": "warn", "active": 3 } }));
        let follows = json!({ "type": "directory.user.created", "id": ids[2].1.to_string() });
        assert_eq!(cause["follows_from"], follows);
        let exceeded_at = store.api().safety(acme).await.unwrap().unwrap().exceeded_at;
        assert!(exceeded_at.is_some());
        for (of, id) in &ids[..2] {
            set_active(of, *id, false).await.unwrap();
        }
        // And once more, by another way.
        seats(&store.api(), acme, Some(1), SeatMode::Warn).await;
        seats(&store.api(), acme, Some(0), SeatMode::Warn).await;
        seats(&store.api(), acme, None, SeatMode::Warn).await;
        let (exceeded, sufficient) =
            ("organization.seats_exceeded", "organization.seats_sufficient");
        let all = [exceeded, sufficient, exceeded, sufficient];
        assert_eq!(kinds(&store, "organization.").await, all);
        assert_eq!(store.api().safety(acme).await.unwrap().unwrap().exceeded_at, None);
    });
}

#[test]
fn what_guards_an_organization_is_changed_as_it_was_seen() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, acme) = (store.api(), organization(&store).await);
        let seen = api.safety(acme).await.unwrap().unwrap().safety.revision();
        let tags = |revision: &Revision| EntityTags::parse(&format!("\"{}\"", revision.as_str()));
        let edit = |max| Guarded {
            precondition: Precondition { among: Some(tags(&seen)), not_among: None },
            what: SafetyEdit { seats_max: Some(Some(max)), ..SafetyEdit::default() },
        };
        api.edit_safety(acme, edit(5)).await.unwrap();
        let again = api.edit_safety(acme, edit(6)).await;
        assert_eq!(rejection(again), Rejection::RevisionFailed);
        let kept = api.safety(acme).await.unwrap().unwrap();
        assert_eq!(kept.safety.seats.map(|it| it.max), Some(5));
        // What is deleted is guarded no more, and nobody knows of it.
        api.delete_organization(acme).await.unwrap();
        assert!(api.safety(acme).await.unwrap().is_none());
        let unknown = api.edit_safety(acme, SafetyEdit::default()).await;
        assert_eq!(rejection(unknown), Rejection::UnknownOrganization(acme));
    });
}

#[test]
fn people_outside_of_the_domains_are_told_of_once_or_refused() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, acme) = (store.api(), organization(&store).await);
        let okta = directory(&store, acme).await;
        let early = create(&okta, "early@other.test").await.unwrap();
        create(&okta, "ana@acme.test").await.unwrap();
        domains(&api, acme, DomainMode::Warn, &["acme.test"]).await;
        let late = create(&okta, "late@other.test").await.unwrap();
        patch(&okta, late, json!({ "title": "Guest" })).await.unwrap();
        let outside = || async { told(&store, "directory.user.outside").await };
        let expected =
            |id: ResourceId| json!({ "user": { "id": id.to_string() }, "domains": ["other.test"] });
        assert_eq!(outside().await.len(), 1);
        assert_eq!(outside().await[0].1, expected(late));
        // Who was there before is looked at, once, by one node.
        let mut steps = 0;
        while store.check_domains("here").await.unwrap() > 0 {
            assert_eq!(opened(&database).check_domains("there").await.unwrap(), 0);
            steps += 1;
            assert!(steps < 10, "it ends");
        }
        assert_eq!(outside().await.len(), 2);
        assert_eq!(outside().await[1].1, expected(early));
        assert_eq!(api.safety(acme).await.unwrap().unwrap().outsiders, 2);
        let count =
            || async { api.directory(okta.id()).await.unwrap().unwrap().outside_user_count };
        assert_eq!(count().await, 2);
        assert_eq!(api.outside_domains(okta.id(), late).await.unwrap(), ["other.test"]);
        // Their domain is admitted: nobody is outside any more.
        domains(&api, acme, DomainMode::Refuse, &["acme.test", "other.test"]).await;
        while store.check_domains("here").await.unwrap() > 0 {}
        assert_eq!(count().await, 0);
        // And refused: they stay, and nobody comes.
        domains(&api, acme, DomainMode::Refuse, &["acme.test"]).await;
        while store.check_domains("here").await.unwrap() > 0 {}
        assert_eq!((count().await, outside().await.len()), (2, 4));
        let refused = |name: &str| Rejection::OutsideDomains {
            provider: Provider::Okta,
            user_name: name.to_owned(),
            domain: "other.test".to_owned(),
        };
        let created = create(&okta, "dora@other.test").await;
        assert_eq!(rejection(created), refused("dora@other.test"));
        patch(&okta, early, json!({ "title": "Guest" })).await.unwrap();
        set_active(&okta, early, false).await.unwrap();
        assert_eq!(rejection(set_active(&okta, early, true).await), refused("early@other.test"));
        okta.change(DeleteUser { id: early }).await.unwrap();
        patch(&okta, late, json!({ "userName": "late@acme.test" })).await.unwrap();
        assert_eq!(count().await, 0);
        let back = patch(&okta, late, json!({ "userName": "late@other.test" })).await;
        assert_eq!(rejection(back), refused("late@other.test"));
        domains(&api, acme, DomainMode::Off, &["acme.test"]).await;
        create(&okta, "dora@other.test").await.unwrap();
    });
}

/// Has the provider heard of, and waits until that is kept.
async fn contact(store: &Store, id: DirectoryId) {
    store.access().note_contact(id, 200, false);
    store.tidy_up().await.unwrap();
}

#[test]
fn a_provider_that_is_silent_for_much_longer_than_is_usual_is_told_of_once() {
    on_every_engine(async |database| {
        let (store, beside) = (opened(&database), opened(&database));
        let acme = organization(&store).await;
        let often = directory(&store, acme).await.id();
        let weekly = directory(&store, acme).await.id();
        let paused = directory(&store, acme).await.id();
        let never = directory(&store, acme).await.id();
        for day in 0..28 {
            for _ in 0..6 {
                contact(&store, often).await;
                contact(&store, paused).await;
                database.clock.move_by(4 * HOUR);
            }
            if day % 7 == 0 {
                // Much at once does not make it one that speaks often.
                for _ in 0..10 {
                    contact(&store, weekly).await;
                    database.clock.move_by(60);
                }
            }
            assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
        }
        let pause = EditDirectory { is_paused: Some(true), ..EditDirectory::default() };
        store.api().edit_directory(paused, pause).await.unwrap();
        database.clock.move_by(3 * DAY);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 1);
        assert_eq!(beside.raise_alarms("there").await.unwrap(), 0);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
        let (kind, data, cause) = told(&store, "directory.silent").await.pop().unwrap();
        assert_eq!((kind.as_str(), &cause["by"]["type"]), ("directory.silent", &json!("server")));
        assert_eq!(data["silent_after_hours"], 24, "{data}");
        database.clock.move_by(60);
        contact(&store, often).await;
        assert_eq!(store.raise_alarms("here").await.unwrap(), 1);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
        assert_eq!(kinds(&store, "directory.heard_again").await.len(), 1);
        // After as long as anybody may be silent, each is, but who never spoke.
        database.clock.move_by(31 * DAY);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 2);
        assert!(store.api().directory(never).await.unwrap().unwrap().contact.last_at.is_none());
        // Unless somebody says otherwise.
        let patient = SettingsEdit { silence_hours_max: Some(8_760), ..SettingsEdit::default() };
        let edit = EditDirectory { settings: patient, ..EditDirectory::default() };
        store.api().edit_directory(weekly, edit).await.unwrap();
        database.clock.move_by(60);
        contact(&store, weekly).await;
        assert_eq!(store.raise_alarms("here").await.unwrap(), 1);
        database.clock.move_by(40 * DAY);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
    });
}

#[test]
fn a_token_that_expires_is_told_of_at_each_step_once() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let okta = directory(&store, organization(&store).await).await;
        for (number, days) in [(1, 365), (2, 5)] {
            let secret = Secret::new(SecretKind::ScimToken, [number; 32]);
            let life = SignedDuration::from_hours(24 * days);
            store.api().create_token(okta.id(), &secret, life).await.unwrap();
        }
        let mut steps = Vec::new();
        for day in 0..=370 {
            for _ in 0..2 {
                if store.raise_alarms("here").await.unwrap() > 0 {
                    steps.push(day);
                }
            }
            database.clock.move_by(DAY);
        }
        assert_eq!(steps, [4, 5, 335, 358, 364, 365]);
        let told = told(&store, "directory.token.expir").await;
        let days: Vec<_> =
            told.iter().map(|(kind, data, _)| (kind.as_str(), &data["days"])).collect();
        let (expiring, expired) = ("directory.token.expiring", "directory.token.expired");
        let null = Value::Null;
        assert_eq!(
            days,
            [
                (expiring, &json!(1)),
                (expired, &null),
                (expiring, &json!(30)),
                (expiring, &json!(7)),
                (expiring, &json!(1)),
                (expired, &null),
            ]
        );
    });
}

async fn last_number(store: &Store, id: DirectoryId) -> u64 {
    store.api().directory(id).await.unwrap().unwrap().event_number
}

#[test]
fn the_end_of_access_is_waited_for_from_the_first_receipt_on_and_told_of_when_overdue() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, acme) = (store.api(), organization(&store).await);
        let okta = directory(&store, acme).await;
        let ana = create(&okta, "ana").await.unwrap();
        let ben = create(&okta, "ben").await.unwrap();
        set_active(&okta, ana, false).await.unwrap();
        let of_ana = last_number(&store, okta.id()).await;
        database.clock.move_by(2 * HOUR);
        // Nobody has said that the app sends receipts.
        assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
        assert!(api.receipts(okta.id(), all()).await.unwrap().is_empty());

        let (receipt, is_first) = api.keep_receipt(okta.id(), of_ana, None).await.unwrap().unwrap();
        assert!(is_first);
        assert_eq!(receipt.took().map(|it| it.as_hours()), Some(2));
        database.clock.move_by(HOUR);
        let again = api.keep_receipt(okta.id(), of_ana, None).await.unwrap();
        assert_eq!(again, Ok((receipt.clone(), false)));
        let not_kept = async |number, at| api.keep_receipt(okta.id(), number, at).await.unwrap();
        assert_eq!(not_kept(1, None).await, Err(NotReceived::EndsNothing));
        assert_eq!(not_kept(999, None).await, Err(NotReceived::UnknownEvent));
        let early = receipt.requested_at - SignedDuration::from_hours(1);
        let early = not_kept(of_ana, Some(early)).await;
        assert_eq!(early, Err(NotReceived::TooEarly(receipt.requested_at)));

        // From now on they are waited for: but not of who was let in again, nor of who was out already.
        set_active(&okta, ben, false).await.unwrap();
        set_active(&okta, ben, true).await.unwrap();
        okta.change(DeleteUser { id: ana }).await.unwrap();
        assert_eq!(api.receipt_summary(okta.id()).await.unwrap().outstanding, 0);
        okta.change(DeleteUser { id: ben }).await.unwrap();
        let of_ben = last_number(&store, okta.id()).await;
        database.clock.move_by(59 * 60);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
        database.clock.move_by(60);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 1);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 0);
        let (_, data, cause) = told(&store, "directory.user.receipt_overdue").await.pop().unwrap();
        assert_eq!(data["user"]["id"], ben.to_string());
        assert_eq!((&data["event_number"], &data["receipt_minutes"]), (&json!(of_ben), &json!(60)));
        assert_eq!(cause["by"]["type"], "server");
        let summary = api.receipt_summary(okta.id()).await.unwrap();
        assert_eq!((summary.outstanding, summary.overdue, summary.received), (1, 1, 1));
        let overdue = ReceiptsAsked { is_received: Some(false), is_overdue: true, ..all() };
        assert_eq!(api.receipts(okta.id(), overdue).await.unwrap()[0].user_id, ben);
        api.keep_receipt(okta.id(), of_ben, None).await.unwrap().unwrap();
        let summary = api.receipt_summary(okta.id()).await.unwrap();
        assert_eq!((summary.outstanding, summary.overdue, summary.received), (0, 0, 2));
        assert_eq!(summary.p50.map(|it| it.as_hours()), Some(1));
        assert_eq!(summary.max.map(|it| it.as_hours()), Some(2));
    });
}

fn all() -> ReceiptsAsked {
    ReceiptsAsked { count_max: 100, ..ReceiptsAsked::default() }
}

#[test]
fn where_the_vendor_says_so_receipts_are_waited_for_before_there_was_any() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let acme = organization(&store).await;
        let okta = directory(&store, acme).await;
        let ana = create(&okta, "ana").await.unwrap();
        let edit = SafetyEdit { receipt_minutes: Some(Some(5)), ..SafetyEdit::default() };
        store.api().edit_safety(acme, edit).await.unwrap();
        set_active(&okta, ana, false).await.unwrap();
        database.clock.move_by(5 * 60);
        assert_eq!(store.raise_alarms("here").await.unwrap(), 1);
    });
}

#[test]
fn whoever_signs_in_is_known_by_every_name_in_all_directories() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, acme) = (store.api(), organization(&store).await);
        let (one, two) = (directory(&store, acme).await, directory(&store, acme).await);
        let foreign = directory(&store, organization(&store).await).await;
        let body = json!({
            "userName": "Ana@Acme.test",
            "externalId": "00u1",
            "emails": [{ "value": "ana.lima@acme.test" }],
        });
        let ana = create_of(&one, body.clone()).await.unwrap();
        let ways = |id: ResourceId| {
            [
                SoughtBy::UserName("ana@acme.TEST".to_owned()),
                SoughtBy::Email("Ana.Lima@acme.test".to_owned()),
                SoughtBy::ExternalId("00u1".to_owned()),
                SoughtBy::Id(id),
            ]
        };
        let ask = async |of, by| api.sign_in(of, by).await.unwrap().unwrap();
        for by in ways(ana) {
            let answer = ask(acme, by.clone()).await;
            let found = answer.found.unwrap();
            assert_eq!((answer.state, found.user_id), (SignInState::Active, ana));
            assert_eq!((found.directory_id, answer.others), (one.id(), 0));
            // Another organization knows nobody of this one.
            let elsewhere = ask(foreign.organization_id(), by).await;
            assert_eq!((elsewhere.state, elsewhere.found), (SignInState::Unknown, None));
        }
        let other_case = ask(acme, SoughtBy::ExternalId("00U1".to_owned())).await;
        assert_eq!(other_case.state, SignInState::Unknown);

        let was = ask(acme, SoughtBy::Id(ana)).await.found.unwrap().since;
        database.clock.move_by(DAY);
        set_active(&one, ana, false).await.unwrap();
        let turned = ask(acme, SoughtBy::Id(ana)).await.found.unwrap().since;
        assert_eq!(turned.duration_since(was).as_hours(), 24);
        database.clock.move_by(DAY);
        patch(&one, ana, json!({ "title": "Engineer" })).await.unwrap();
        for by in ways(ana) {
            let answer = ask(acme, by).await;
            assert_eq!(answer.state, SignInState::Inactive);
            assert_eq!(answer.found.unwrap().since, turned);
        }
        // One directory that lets her in is enough.
        let again = create_of(&two, body).await.unwrap();
        for by in &ways(again)[..3] {
            let answer = ask(acme, by.clone()).await;
            assert_eq!((answer.state, answer.others), (SignInState::Active, 1));
            assert_eq!(answer.found.unwrap().user_id, again);
        }
        two.change(DeleteUser { id: again }).await.unwrap();
        assert_eq!(ask(acme, SoughtBy::Id(again)).await.state, SignInState::Gone);
        assert_eq!(ask(acme, SoughtBy::Id(ana)).await.state, SignInState::Inactive);
        // From the moment on in which a directory is deleted, whoever is in it is gone.
        let ben = create(&one, "ben").await.unwrap();
        store.api().delete_directory(one.id()).await.unwrap();
        assert_eq!(ask(acme, SoughtBy::Id(ben)).await.state, SignInState::Gone);
        assert!(
            api.sign_in(OrganizationId::new(&Nobody), SoughtBy::Id(ben)).await.unwrap().is_none()
        );
    });
}

/// An id that nobody has.
struct Nobody;

impl directory::Ids for Nobody {
    fn next(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::MAX >> 8)
    }
}
