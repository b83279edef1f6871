//! The move from an embedded database to PostgreSQL: everything arrives, or nothing does.

use std::sync::{Arc, Mutex};

use claims::OwnDatabase;
use directory::requests::Presented;
use directory::secret::{Secret, SecretKind};
use directory::webhook::{Filter, SigningSecret};
use directory::{
    Aside, Brake, By, CatalogueKind, CreateUser, DefineSchema, DeleteUser, DirectoryId, Document,
    DomainMode, Limits, OrganizationId, PortalFeatures, PortalLinkLife, ProvedPerson, ResourceId,
    RoleMapping, SafetyEdit, SaveRoleMapping, Settings, TokenScope,
};
use jiff::{SignedDuration, Timestamp};
use scim::admit::admit;
use scim::dialect::{Quirk, Quirks};
use scim::group::MemberKind;
use scim::schema::custom::Definition;
use scim::{Preset, ResourceType};
use serde_json::{Value, json};
use store::{
    Begun, Branding, Captured, Credential, Cursor, DirectoryStore, Error, Joining, MovedTable,
    NewEndpoint, NewEntry, Origin, Phase, Progress, Store,
};

use crate::beside::write;
use crate::engine::{Database, Waiting, directory, in_one_batch, on, open};
use crate::{create_group, create_user, create_user_with};

/// What a database has to keep apart: from each other, from nothing, and from what is written between
/// values while they travel.
const TEXTS: &[&str] =
    &["\\N", "\\.", "a\tb", "a\nb", "a\r\nb", "\\", "\u{1}", "Ærø 李 😀", "'\"$1"];

const DIRECTORIES: usize = 3;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Moves it, and says what came of it and what was told on the way.
async fn moved(
    from: &Database,
    to: &OwnDatabase,
) -> (Result<Vec<MovedTable>, Error>, Vec<Progress>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let report = {
        let told = Arc::clone(&told);
        move |progress| told.lock().unwrap().push(progress)
    };
    let outcome = Store::move_to_postgres(&from.path(), &to.url(), now(), report).await;
    let told = std::mem::take(&mut *told.lock().unwrap());
    (outcome, told)
}

/// The same, where it is refused.
async fn refused(from: &Database, to: &OwnDatabase) -> String {
    match moved(from, to).await.0 {
        Err(Error::Migration(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// As a request would, with what no schema has beside it.
fn create(body: Value) -> CreateUser {
    let admitted = admit(body, &ResourceType::user(), Preset::Lenient, &mut Quirks::new()).unwrap();
    CreateUser { aside: Aside::of(&admitted.unknown), document: Document::new(admitted.resource) }
}

/// A request of a provider, of which nothing is kept but who sends it.
fn seen(directory_id: DirectoryId) -> Captured {
    let id = "tok-01kc2x4n0s00000000000000zz".parse().unwrap();
    Captured {
        request_id: "req-01kc2x4n0s00000000000000zz".parse().unwrap(),
        directory_id,
        at: now(),
        answered_at: now(),
        method: "GET".to_owned(),
        path: "/Users".to_owned(),
        query: None,
        status: 200,
        client_address: None,
        user_agent: Some("Okta SCIM Client 1.0.0".to_owned()),
        content_type: None,
        presented: Presented::Bearer,
        by: Some(By::Token(id)),
        rerun_of: None,
        tried: "read the list of users",
        is_unknown_path: false,
        quirks: Quirks::new(),
        unknown_members: Vec::new(),
        location: None,
        request: None,
        answer: None,
        policy: None,
    }
}

/// Says that everybody in a directory has this role.
async fn give_everybody(made: &DirectoryStore, role: &str) {
    let mapping = RoleMapping { default_role: Some(role.parse().unwrap()), ..Default::default() };
    let user_type = Arc::clone(made.types().user());
    let save = SaveRoleMapping { mapping, new_default_group: None, user_type };
    made.save_roles(save).await.unwrap();
}

/// Lets something of every kind happen, in several directories by turns.
async fn fill(store: &Store) -> Vec<DirectoryId> {
    let mut directories = Vec::new();
    for number in 0..DIRECTORIES {
        let made = directory(store, Settings::default()).await;
        let secret = Secret::new(SecretKind::ScimToken, [u8::try_from(number).unwrap(); 32]);
        let (scope, year) = (TokenScope::ReadWrite, SignedDuration::from_hours(24 * 365));
        store.api().create_scoped_token(made.id(), &secret, scope, year).await.unwrap();
        let mut quirks = Quirks::new();
        quirks.note(Quirk::BooleanText);
        made.note_quirks(&quirks);
        store.access().note_request(seen(made.id()));
        directories.push((made, Vec::new()));
    }
    for (number, text) in TEXTS.iter().enumerate() {
        let name = text.replace(char::is_control, "_");
        for (made, people) in &mut directories[number % 2..] {
            let one = create(json!({
                "userName": format!("{number} {name}"), "externalId": text, "nickName": text,
                "active": number % 3 > 0, "emails": [{ "value": format!("{number}@acme.example") }],
                "unheardOf": { "text": text },
            }));
            let two = create_user(&format!("{number} {name} again"));
            let waiting: Vec<Waiting<'_, _>> =
                vec![Box::pin(made.change(one)), Box::pin(made.change(two))];
            for created in in_one_batch(made, waiting).await {
                people.push(created.unwrap().id);
            }
            made.change(create_group(&format!("{number} {name}"), people)).await.unwrap();
        }
    }
    for (made, people) in &directories {
        let id = people[1];
        made.change(DeleteUser { id }).await.unwrap();
    }
    guard(store, &directories[0]).await;
    let badge =
        json!({ "id": "urn:example:Badge", "name": "Badge", "attributes": [{ "name": "no" }] });
    let definition: Definition = serde_json::from_value(badge).unwrap();
    let (extends, schema) = (MemberKind::User, definition.check().unwrap());
    let define = DefineSchema { extends, required: false, schema };
    store.api().define_schema(directories[0].0.id(), define).await.unwrap();
    let secret = Secret::new(SecretKind::ApiKey, [9; 32]);
    let key = store.create_api_key("tests", &secret).await.unwrap();
    let once = store.api().once(key, "a key".to_owned());
    assert_eq!(once.begin("a request".to_owned()).await.unwrap(), Begun::First);
    once.end(201, "an answer".to_owned()).await.unwrap();
    for (made, _) in &directories {
        let secret = Secret::new(SecretKind::ClientSecret, [9; 32]);
        let day = SignedDuration::from_hours(24);
        if made.id() == directories[0].0.id() {
            store.api().create_client(made.id(), "Entra".to_owned(), &secret, day).await.unwrap();
        }
        store.access().note_contact(made.id(), 200, true);
    }
    invite(store, directories[0].0.organization_id()).await;
    for (number, text) in TEXTS.iter().enumerate() {
        let (kind, id) = (CatalogueKind::Role, format!("role-{number}").parse().unwrap());
        let description = (number > 0).then(|| (*text).to_owned());
        let entry =
            NewEntry { kind, id, display_name: (*text).to_owned(), description, rank: Some(7) };
        store.api().put_entry(entry).await.unwrap();
    }
    // By the one everybody has a role, by the other they are still to be looked at.
    for id in ["role-0", "role-1"] {
        while store.walk_roles("tests").await.unwrap() > 0 {}
        give_everybody(&directories[2].0, id).await;
    }
    // Somebody has lost something lately, and of others nobody was told yet.
    let credential = Secret::new(SecretKind::ScimToken, [2; 32]).hash();
    let found = store.access().directory(&credential).await.unwrap();
    let Credential::Valid(provider) = found else { panic!("{found:?}") };
    provider.change(DeleteUser { id: directories[2].1[2] }).await.unwrap();
    let shadow = directory(store, Settings::default()).await;
    store.api().begin_shadow(shadow.id()).await.unwrap();
    give_everybody(&shadow, "role-0").await;
    let person = shadow.change(create_user("nobody heard of")).await.unwrap().id;
    shadow.change(create_group("nobody knows", &[person])).await.unwrap();
    let held = lose(store).await;
    let others = [&shadow, &held];
    directories.iter().map(|(made, _)| made).chain(others).map(DirectoryStore::id).collect()
}

/// A directory that has lost more people at once than it may, of whom the app has heard.
async fn lose(store: &Store) -> DirectoryStore {
    let brake = Brake { people: 1, percent: 1, ..Brake::default() };
    let held = directory(store, Settings { brake, ..Settings::default() }).await;
    let token = Secret::new(SecretKind::ScimToken, [12; 32]);
    let scope = TokenScope::ReadWrite;
    let year = SignedDuration::from_hours(24 * 365);
    store.api().create_scoped_token(held.id(), &token, scope, year).await.unwrap();
    let found = store.access().directory(&token.hash()).await.unwrap();
    let Credential::Valid(provider) = found else { panic!("{found:?}") };
    let mut people = Vec::new();
    for name in ["kim", "lou", "max"] {
        let email = format!("{name}@acme.example");
        let body = json!({ "userName": name, "emails": [{ "value": email }] });
        people.push(provider.change(create_user_with(body)).await.unwrap().id);
    }
    for id in people {
        provider.change(DeleteUser { id }).await.unwrap();
    }
    held
}

/// Guards the organization of a directory, and lets something be told of it.
async fn guard(store: &Store, (made, people): &(DirectoryStore, Vec<ResourceId>)) {
    let api = store.api();
    let edit = SafetyEdit {
        seats_max: Some(Some(1)),
        domain_mode: Some(DomainMode::Warn),
        domains: Some(["acme.example".parse().unwrap()].into()),
        ..SafetyEdit::default()
    };
    api.edit_safety(made.organization_id(), edit).await.unwrap();
    made.change(create_user("guest@other.example")).await.unwrap();
    while store.check_domains("here").await.unwrap() > 0 {}
    made.change(DeleteUser { id: people[2] }).await.unwrap();
    let number = api.directory(made.id()).await.unwrap().unwrap().event_number;
    api.keep_receipt(made.id(), number, None).await.unwrap().unwrap();
    // Whoever has left is being erased.
    api.erase_user(made.id(), people[2]).await.unwrap();
}

/// Somebody in the portal, and somebody in the dashboard.
async fn invite(store: &Store, organization: OrganizationId) {
    let link = Secret::new(SecretKind::PortalLink, [9; 32]);
    let (features, life) = (PortalFeatures::all(), PortalLinkLife::DEFAULT);
    let made = store.api().create_portal_link(organization, features, life, &link).await.unwrap();
    let session = Secret::new(SecretKind::PortalSession, [9; 32]);
    let origin = Origin::default();
    assert!(store.access().open_link(made.id, &session, origin).await.unwrap().is_some());
    let invitation = Secret::new(SecretKind::Invitation, [9; 32]);
    assert!(store.invite_first_member(&invitation).await.unwrap());
    let joining = Joining {
        email: "ana@vendor.example".to_owned(),
        name: "Ana".to_owned(),
        password_hash: "hashed".to_owned(),
        code_secret: "a secret".to_owned(),
        code_step: 7,
    };
    let session = Secret::new(SecretKind::MemberSession, [9; 32]);
    let (access, hash) = (store.access(), invitation.hash());
    let invited = access.invited(&hash).await.unwrap().expect("they are invited");
    let joined = access.join(&hash, invited.id, joining, &session, "a browser", origin).await;
    assert_eq!(joined.unwrap(), Ok(()));
    let person = ProvedPerson {
        issuer: "https://id.example".to_owned(),
        subject: "ana".to_owned(),
        email: Some("ana@vendor.example".to_owned()),
        name: None,
    };
    let session = Secret::new(SecretKind::MemberSession, [10; 32]);
    let entered = access.sign_in_proved(person, None, &session, "a browser", origin).await;
    assert_eq!(entered.unwrap(), Ok(()));
    let api = access.dashboard(&session.hash()).await.unwrap().expect("they are signed in");
    assert!(api.require_provider(true).await.unwrap());
    let logo = Some("PHN2Zy8+".to_owned());
    let (name, accent) = ("Acme".to_owned(), "#0b62d6".to_owned());
    api.set_branding(Some(Branding { name, accent, logo })).await.unwrap();
}

/// An endpoint, with something that is to be brought there, and something once more.
async fn bring(store: &Store) {
    let new = NewEndpoint {
        url: "https://app.example/hooks".to_owned(),
        description: None,
        filter: Filter::default(),
        is_ordered: true,
        from_the_beginning: false,
        secret: SigningSecret::new([9; 32]),
    };
    let endpoint = store.api().create_endpoint(new).await.unwrap().expect("there is room");
    store.api().test_endpoint(endpoint).await.unwrap().expect("it is there");
    store.api().replay_between(endpoint, now(), None).await.unwrap();
}

/// All that can be read.
async fn picture(store: &Store, directories: &[DirectoryId]) -> Vec<String> {
    let api = store.api();
    let mut picture = vec![format!("{:?}", api.catalogue(CatalogueKind::Role).await.unwrap())];
    for endpoint in api.endpoints(None, 10).await.unwrap() {
        let deliveries = api.deliveries(endpoint.endpoint.id, None, None, 10).await.unwrap();
        picture.push(format!("{endpoint:?} {deliveries:?}"));
    }
    for event in api.events(None, None, 10_000).await.unwrap().unwrap().events {
        picture.push(format!("{event:?}"));
    }
    for &id in directories {
        let opened = open(store, id).await;
        picture.push(format!("{:?}", api.directory(id).await.unwrap()));
        picture.push(format!("{:?}", api.tokens(id).await.unwrap()));
        picture.push(format!("{:?}", api.schemas(id).await.unwrap()));
        picture.push(format!("{:?}", api.quirks(id).await.unwrap()));
        picture.push(format!("{:?}", api.clients(id).await.unwrap()));
        picture.push(format!("{:?}", api.unknown_attributes(id).await.unwrap()));
        picture.push(format!("{:?}", api.events(None, Some(id), 10_000).await.unwrap()));
        for hold in api.holds(id, None, 10).await.unwrap() {
            let changes = api.held_changes(id, hold.id, 0, 100).await.unwrap();
            picture.push(format!("{hold:?} {changes:?}"));
        }
        for user in opened.users_after(0, 1_000).await.unwrap().items {
            let aside = opened.aside(user.id).await.unwrap();
            picture.push(format!("{user:?} {aside:?}"));
        }
        for group in opened.groups_after(0, 1_000).await.unwrap().items {
            picture.push(format!("{:?}", opened.group(group.id, true).await.unwrap()));
        }
    }
    picture
}

async fn one_more(store: &Store) -> DirectoryStore {
    let secret = Secret::new(SecretKind::ScimToken, [1; 32]);
    let found = store.access().directory(&secret.hash()).await.unwrap();
    let Credential::Valid(opened) = found else { panic!("{found:?}") };
    opened.change(create_user("one more")).await.unwrap();
    opened
}

#[test]
fn what_is_moved_is_what_was_there_and_goes_on_from_there() {
    let Some(own) = OwnDatabase::make() else { return };
    on(Database::new(None), async |source| {
        let store = source.open(Limits::default()).unwrap();
        // The feed has had a beginning that it has no more.
        directory(&store, Settings::default()).await;
        source.clock.move_by(60);
        let directories = fill(&store).await;
        assert_eq!(store.forget_events("a node", now()).await.unwrap(), 0);
        let after_first = now() + SignedDuration::from_secs(30);
        assert_eq!(store.forget_events("a node", after_first).await.unwrap(), 1);
        // Events are kept for whoever they are to be brought to.
        bring(&store).await;
        let before = picture(&store, &directories).await;
        let page = store.api().events(None, None, 20).await.unwrap().unwrap();
        let middle = page.next.as_str().to_owned();
        let end = store.api().events(None, None, 10_000).await.unwrap().unwrap().next;
        store.close().await;

        let (outcome, told) = moved(&source, &own).await;
        let tables = outcome.unwrap();
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        for phase in [Phase::Copying, Phase::Verifying] {
            let of_phase: Vec<_> = told.iter().filter(|it| it.phase == phase).collect();
            let (first, last) = (of_phase.first().unwrap(), of_phase.last().unwrap());
            assert_eq!((first.done, last.done), (0, rows), "{phase:?}");
            assert!(of_phase.is_sorted_by_key(|it| it.done) && last.total == rows, "{phase:?}");
        }
        for table in &tables {
            assert_eq!(table.digest.len(), 64);
            assert!(table.rows > 0, "{}", table.name);
        }

        let mut target = Database::new(Some(own));
        target.clock = Arc::clone(&source.clock);
        target.ids = Arc::clone(&source.ids);
        let store = target.open(Limits::default()).unwrap();
        assert_eq!(picture(&store, &directories).await, before);
        // Who has read half of the feed reads on, and misses and repeats nothing.
        let after = Some(Cursor::presented(middle));
        let page = store.api().events(after, None, 10_000).await.unwrap().unwrap();
        assert_eq!((page.events[0].position, page.next.clone()), (22, end.clone()));
        let last = page.events.last().unwrap().position;
        one_more(&store).await;
        let page = store.api().events(Some(end), None, 10).await.unwrap().unwrap();
        let positions: Vec<_> = page.events.iter().map(|event| event.position).collect();
        assert_eq!(positions, [last + 1]);
        store.close().await;

        // The old one is as it was.
        let store = source.open(Limits::default()).unwrap();
        assert_eq!(picture(&store, &directories).await, before);
        store.close().await;
    });
}

#[test]
fn a_move_that_breaks_off_leaves_nothing_behind() {
    let Some(own) = OwnDatabase::make() else { return };
    on(Database::new(None), async |source| {
        let store = source.open(Limits::default()).unwrap();
        let directories = fill(&store).await;
        let before = picture(&store, &directories).await;
        store.close().await;
        // A broken disk: what is last of what is read is no text.
        let broken = "update feed set secret = cast(x'80' as text)";
        let kept = rusqlite::Connection::open(source.path())
            .unwrap()
            .query_row("select secret from feed", [], |row| row.get::<_, String>(0))
            .unwrap();
        assert_eq!(write(&source, broken), 1);
        let (outcome, told) = moved(&source, &own).await;
        assert!(matches!(outcome, Err(Error::Corrupt(_))), "{outcome:?}");
        assert!(told.iter().any(|it| it.done > 0), "it had begun");
        assert_eq!(own.contents(), "");

        assert_eq!(write(&source, &format!("update feed set secret = '{kept}'")), 1);
        moved(&source, &own).await.0.unwrap();
        let target = Database::new(Some(own));
        let store = target.open(Limits::default()).unwrap();
        assert_eq!(picture(&store, &directories).await, before);
        store.close().await;
    });
}

#[test]
fn a_move_is_refused_where_it_would_lose_or_mix_something() {
    let (Some(own), Some(other)) = (OwnDatabase::make(), OwnDatabase::make()) else { return };
    on(Database::new(None), async |source| {
        let said = refused(&source, &own).await;
        assert!(said.starts_with("there is no database"), "{said}");
        assert!(!source.path().exists(), "it was not made by asking for it");

        let store = source.open(Limits::default()).unwrap();
        fill(&store).await;
        let said = refused(&source, &own).await;
        assert!(said.contains("is in use: stop the server"), "{said}");
        // Nobody notices, and nothing is lost.
        let id = one_more(&store).await.id();
        assert_eq!(open(&store, id).await.users_after(0, 1_000).await.unwrap().items.len(), 18);
        store.close().await;

        other.run("create table notes (words text)");
        let said = refused(&source, &other).await;
        assert!(said.contains("another application"), "{said}");
        other.run("drop table notes");
        assert_eq!(own.contents() + &other.contents(), "");

        moved(&source, &own).await.0.unwrap();
        let kept = own.contents();
        let said = refused(&source, &own).await;
        assert!(said.contains("not empty: there is something in `organizations`"), "{said}");
        assert_eq!(own.contents(), kept);

        // A database on which a server was started holds the beginning of a feed.
        let served = Database::new(Some(other));
        served.open(Limits::default()).unwrap().close().await;
        let said = refused(&source, served.own.as_ref().unwrap()).await;
        assert!(said.contains("not empty: there is something in `feed`"), "{said}");
    });
}
