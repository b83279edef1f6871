//! What the vendor does with customers and connections, on every kind of database: what ends, ends at
//! once, and what was given away is taken back with it.

mod engine;

use std::cell::Cell;
use std::collections::BTreeMap;

use directory::audit::Action;
use directory::secret::{Secret, SecretHash, SecretKind};
use directory::{
    API_KEYS_MAX, AfterDisconnect, ApiScopes, Aside, CatalogueKind, CreateGroup, CreateUser,
    DisconnectDirectory, Document, EditDirectory, Guarded, Limits, Precondition, Protection,
    Provider, Rejection, ResourceId, Revision, RoleMapping, SaveRoleMapping, Settings,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine};
use futures_util::future::join_all;
use jiff::SignedDuration;
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::etag::EntityTags;
use scim::group::Member;
use scim::{Preset, ResourceType};
use serde_json::json;
use store::{
    ApiStore, AuditFilter, Begun, Class, Credential, Cursor, DirectoryStore, EndpointChange, Error,
    EventRecord, NewEndpoint, NewEntry, NotGiven, OrganizationEdit, Standing, Store,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

fn secret(kind: SecretKind, number: u8) -> Secret {
    Secret::new(kind, [number; 32])
}

async fn create(store: &DirectoryStore, name: &str) -> ResourceId {
    let body = json!({ "userName": name });
    let resource_type = ResourceType::user();
    let admitted = admit(body, &resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    let document = Document::new(admitted.resource);
    let create = CreateUser { document, aside: Aside::default() };
    store.change(create).await.unwrap().id
}

async fn create_group(store: &DirectoryStore, name: &str, members: &[ResourceId]) {
    let body = json!({ "displayName": name });
    let resource_type = ResourceType::group();
    let admitted = admit(body, &resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    let document = Document::new(admitted.resource);
    let member = |id: &ResourceId| Member { value: id.to_string(), kind: None, display: None };
    let members = members.iter().map(member).collect();
    store.change(CreateGroup { document, members }).await.unwrap();
}

async fn kinds(store: &Store) -> Vec<String> {
    let page = store.api().events(None, None, 10_000).await.unwrap().unwrap();
    page.events.into_iter().map(|event| event.kind).collect()
}

fn rejection<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Rejection {
    match outcome {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_was_in_a_deleted_directory_is_deleted_step_by_step_with_an_event_each() {
    on_every_engine(async |database| {
        let (store, beside) = (opened(&database), opened(&database));
        let made = directory(&store, Settings::default()).await;
        let kept = directory(&store, Settings::default()).await;
        let token = secret(SecretKind::ScimToken, 1);
        store.api().create_token(made.id(), &token, DAY).await.unwrap();
        let mut ids = Vec::new();
        for number in 0..300 {
            ids.push(create(&made, &format!("user-{number}")).await);
        }
        create_group(&made, "Everybody", &ids).await;
        create_group(&made, "Nobody", &[]).await;
        create(&kept, "ana").await;
        let before = kinds(&store).await.len();

        store.api().delete_directory(made.id()).await.unwrap();
        // At once, on this node; on the other, where nothing was remembered.
        for node in [&store, &beside] {
            let found = node.access().directory(&token.hash()).await.unwrap();
            assert!(matches!(found, Credential::Unknown), "{found:?}");
            assert!(node.api().open(made.id()).await.unwrap().is_none());
            assert!(node.api().directory(made.id()).await.unwrap().is_none());
        }
        let unknown = Rejection::UnknownDirectory(made.id());
        let edit = store.api().edit_directory(made.id(), EditDirectory::default()).await;
        assert_eq!(rejection(edit), unknown);
        assert_eq!(rejection(store.api().delete_directory(made.id()).await), unknown);
        let another = secret(SecretKind::ScimToken, 2);
        let again = store.api().create_token(made.id(), &another, DAY).await;
        assert_eq!(rejection(again), unknown);
        assert_eq!(kinds(&store).await[before..], ["directory.deleted"]);

        // The other node finds the lease taken.
        assert!(store.empty_directories("here").await.unwrap() > 0);
        assert_eq!(beside.empty_directories("there").await.unwrap(), 0);
        let mut steps = 0;
        while store.empty_directories("here").await.unwrap() > 0 {
            steps += 1;
            assert!(steps < 20, "it ends");
        }
        let mut told = kinds(&store).await.split_off(before + 1);
        told.sort_unstable();
        let count = |kind: &str| told.iter().filter(|it| *it == kind).count();
        assert_eq!(count("directory.group.member_removed"), 300);
        assert_eq!(count("directory.group.deleted"), 2);
        assert_eq!(count("directory.user.deleted"), 300);
        assert_eq!(told.len(), 602);
        // Nobody else is touched, and nothing is left to do.
        assert_eq!(store.api().directory(kept.id()).await.unwrap().unwrap().user_count, 1);
        assert_eq!(store.empty_directories("here").await.unwrap(), 0);
        assert_eq!(beside.empty_directories("there").await.unwrap(), 0);
    });
}

/// Whether a secret opens a directory.
async fn opens(node: &Store, token: &Secret) -> bool {
    let found = node.access().directory(&token.hash()).await.unwrap();
    matches!(found, Credential::Valid(_))
}

async fn disconnect(
    store: &Store,
    of: &DirectoryStore,
    people: AfterDisconnect,
) -> Result<(), Error> {
    store.api().disconnect_directory(of.id(), DisconnectDirectory { people }).await
}

async fn active(store: &Store, of: &DirectoryStore) -> u64 {
    store.api().directory(of.id()).await.unwrap().unwrap().active_user_count
}

#[test]
fn who_was_in_a_disconnected_directory_loses_access_step_by_step_but_for_the_protected() {
    on_every_engine(async |database| {
        let (store, beside) = (opened(&database), opened(&database));
        let made = directory(&store, Settings::default()).await;
        let kept = directory(&store, Settings::default()).await;
        let token = secret(SecretKind::ScimToken, 1);
        let of_kept = secret(SecretKind::ScimToken, 2);
        store.api().create_token(made.id(), &token, DAY).await.unwrap();
        store.api().create_token(kept.id(), &of_kept, DAY).await.unwrap();
        assert!(opens(&store, &token).await);
        let mut ids = Vec::new();
        for number in 0..300 {
            ids.push(create(&made, &format!("user-{number}")).await);
        }
        create_group(&made, "Everybody", &ids).await;
        create(&kept, "ana").await;
        let protected = vec![Protection { user: ids[7], role: None }];
        let mapping = RoleMapping { protected, ..RoleMapping::default() };
        let user_type = std::sync::Arc::clone(made.types().user());
        let save = SaveRoleMapping { mapping, new_default_group: None, user_type };
        made.save_roles(save).await.unwrap();
        while store.walk_roles("here").await.unwrap() > 0 {}
        let before = kinds(&store).await.len();

        disconnect(&store, &made, AfterDisconnect::Freeze).await.unwrap();
        assert_eq!(kinds(&store).await[before..], ["directory.disconnected"]);
        for node in [&store, &beside] {
            assert!(!opens(node, &token).await);
            assert!(opens(node, &of_kept).await);
            let summary = node.api().directory(made.id()).await.unwrap().unwrap();
            let people = summary.directory.disconnected.map(|it| it.people);
            assert_eq!(people, Some(AfterDisconnect::Freeze));
            assert_eq!((summary.standing, summary.is_deactivating), (Standing::Paused, false));
        }
        assert_eq!(store.api().tokens(made.id()).await.unwrap(), []);
        assert_eq!(store.deactivate_people("here").await.unwrap(), 0);
        assert_eq!(active(&store, &made).await, 300);

        // Somebody thinks better of it, and then again: whoever is left then keeps access.
        disconnect(&store, &made, AfterDisconnect::Deactivate).await.unwrap();
        assert!(store.deactivate_people("here").await.unwrap() > 0);
        // The other node finds the lease taken.
        assert_eq!(beside.deactivate_people("there").await.unwrap(), 0);
        let so_far = active(&store, &made).await;
        assert!((1..300).contains(&so_far), "{so_far}");
        let resume = EditDirectory { is_paused: Some(false), ..EditDirectory::default() };
        store.api().edit_directory(made.id(), resume.clone()).await.unwrap();
        assert_eq!(store.deactivate_people("here").await.unwrap(), 0);
        let pause = EditDirectory { is_paused: Some(true), ..EditDirectory::default() };
        store.api().edit_directory(made.id(), pause).await.unwrap();
        assert_eq!(store.deactivate_people("here").await.unwrap(), 0);
        assert_eq!(active(&store, &made).await, so_far);

        // Another goes on where one was stopped in the middle; here it has the other's lease.
        disconnect(&store, &made, AfterDisconnect::Deactivate).await.unwrap();
        assert!(store.deactivate_people("here").await.unwrap() > 0);
        let mut steps = 0;
        while beside.deactivate_people("here").await.unwrap() > 0 {
            steps += 1;
            assert!(steps < 10, "it does not end");
        }
        assert_eq!(active(&store, &made).await, 1);
        assert!(made.user(ids[7], false).await.unwrap().unwrap().is_active);
        let summary = store.api().directory(made.id()).await.unwrap().unwrap();
        assert!(!summary.is_deactivating);
        let told = kinds(&store).await;
        let deactivated = told.iter().filter(|it| *it == "directory.user.deactivated").count();
        assert_eq!(deactivated, 299);
        // Nobody takes that for a mistake of the provider's.
        assert!(!told.iter().any(|it| it.starts_with("directory.hold")), "{told:?}");
        let last = latest(&store, 1).await.pop().unwrap();
        let cause: serde_json::Value = serde_json::from_str(&last.cause.unwrap()).unwrap();
        assert_eq!(cause["follows_from"]["type"], "directory.disconnected");
        assert_eq!(active(&store, &kept).await, 1);

        // Connected again, it takes a token, and whoever the provider sends is back.
        store.api().edit_directory(made.id(), resume).await.unwrap();
        let again = secret(SecretKind::ScimToken, 3);
        store.api().create_token(made.id(), &again, DAY).await.unwrap();
        for node in [&store, &beside] {
            assert!(opens(node, &again).await);
            assert!(!opens(node, &token).await);
        }
    });
}

#[test]
fn an_organization_ends_after_its_directories_and_frees_its_identifier() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let external_id = || Some("customer-17".to_owned());
        let organization = api.create_organization("Acme".to_owned(), external_id()).await.unwrap();
        let (name, settings) = ("Okta".to_owned(), Settings::default());
        let directory = api.create_directory(organization.id, name, Provider::Okta, settings).await;
        let key = secret(SecretKind::ApiKey, 1);
        api.create_api_key(
            "of one".to_owned(),
            &key,
            ApiScopes::full(),
            Some(organization.id),
            None,
        )
        .await
        .unwrap();
        let outcome = api.delete_organization(organization.id).await;
        assert_eq!(rejection(outcome), Rejection::OrganizationInUse(1));
        api.delete_directory(directory.unwrap().id).await.unwrap();
        api.delete_organization(organization.id).await.unwrap();
        assert_eq!(api.organization(organization.id).await.unwrap(), None);
        assert_eq!(api.organizations(None, 10).await.unwrap(), []);
        assert_eq!(api.organization_of_external_id("customer-17").await.unwrap(), None);
        assert!(store.access().api(&key.hash()).await.unwrap().is_none());
        let again = api.delete_organization(organization.id).await;
        assert_eq!(rejection(again), Rejection::UnknownOrganization(organization.id));
        api.create_organization("Acme again".to_owned(), external_id()).await.unwrap();
    });
}

#[test]
fn no_directory_begins_in_an_organization_that_ends_meanwhile() {
    on_every_engine(async |database| {
        let (here, there) = (opened(&database), opened(&database));
        let gate = directory(&here, Settings::default()).await;
        let (api, beside) = (here.api(), there.api());
        let settings = Settings::default;
        // In one transaction, in either order; and by two nodes at once.
        for round in 0..20 {
            let id = api.create_organization("Acme".into(), None).await.unwrap().id;
            let begin = async |api: &ApiStore| {
                let made = api.create_directory(id, "Okta".into(), Provider::Okta, settings());
                made.await.map(drop)
            };
            let outcomes = match round {
                0 => {
                    let both: Vec<Waiting<'_, _>> =
                        vec![Box::pin(begin(&api)), Box::pin(api.delete_organization(id))];
                    in_one_batch(&gate, both).await
                }
                1 => {
                    let both: Vec<Waiting<'_, _>> =
                        vec![Box::pin(api.delete_organization(id)), Box::pin(begin(&api))];
                    in_one_batch(&gate, both).await
                }
                _ => {
                    let both: Vec<Waiting<'_, _>> =
                        vec![Box::pin(begin(&api)), Box::pin(beside.delete_organization(id))];
                    join_all(both).await
                }
            };
            assert_eq!(outcomes.iter().filter(|it| it.is_ok()).count(), 1, "{outcomes:?}");
            let is_there = api.organization(id).await.unwrap().is_some();
            let directories = api.directories(Some(id), None, 10).await.unwrap().len();
            assert_eq!(directories, usize::from(is_there));
        }
    });
}

/// Other nodes wait for the row of the feed as soon as somebody reads there, and many members take
/// seconds to be written.
#[test]
fn nobody_waits_for_the_feed_while_a_group_is_written_beside_a_key() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, to) = (store.api(), directory(&store, Settings::default()).await);
        let ana = create(&to, "ana").await;
        if let Some(own) = &database.own {
            own.run(
                "create function held() returns trigger language plpgsql as $$ begin
                     if exists (select 1 from feed where txid_current() & 4294967295
                                in (xmin::text::bigint, xmax::text::bigint)) then
                         raise exception 'the feed is held meanwhile';
                     end if;
                     return new;
                 end $$;
                 create trigger held before insert on memberships
                 for each row execute function held()",
            );
        }
        let key = secret(SecretKind::ApiKey, 1);
        let new_key = async || {
            let key = api.create_api_key("app".into(), &key, ApiScopes::full(), None, None);
            key.await.map(drop)
        };
        let new_group = async || {
            create_group(&to, "Sales", &[ana]).await;
            Ok(())
        };
        let both: Vec<Waiting<'_, Result<(), Error>>> =
            vec![Box::pin(new_key()), Box::pin(new_group())];
        for outcome in in_one_batch(&to, both).await {
            outcome.unwrap();
        }
        let told = kinds(&store).await;
        for kind in ["api_key.created", "directory.group.created"] {
            assert_eq!(told.iter().filter(|it| *it == kind).count(), 1, "{told:?}");
        }
    });
}

#[test]
fn an_organization_has_as_many_keys_as_it_may_and_room_where_one_is_taken_back() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let acme = api.create_organization("Acme".into(), None).await.unwrap();
        let new_key = async |number: u64, of| {
            let mut entropy = [0; 32];
            entropy[..8].copy_from_slice(&number.to_le_bytes());
            let key = Secret::new(SecretKind::ApiKey, entropy);
            api.create_api_key("app".into(), &key, ApiScopes::full(), of, None).await
        };
        let mut last = None;
        for number in 0..API_KEYS_MAX {
            last = Some(new_key(number, Some(acme.id)).await.unwrap());
        }
        let refused = new_key(API_KEYS_MAX, Some(acme.id)).await;
        assert!(
            matches!(refused, Err(Error::Rejected(Rejection::ApiKeysFull(API_KEYS_MAX)))),
            "{refused:?}"
        );
        // Those that are of no organization have a limit of their own.
        new_key(API_KEYS_MAX, None).await.unwrap();
        api.revoke_api_key(last.expect("there are some").id).await.unwrap();
        new_key(API_KEYS_MAX + 1, Some(acme.id)).await.unwrap();
    });
}

#[test]
fn the_audit_log_says_who_did_what_and_is_let_go_when_it_is_old() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let acme = api.create_organization("Acme".into(), None).await.unwrap();
        database.clock.move_by(100);
        let edit = OrganizationEdit { name: Some("Acme GmbH".into()), ..Default::default() };
        api.edit_organization(acme.id, edit).await.unwrap();
        // What is refused is not done, and leaves nothing.
        let stale = Guarded { precondition: never(), what: acme.id };
        api.delete_organization(stale).await.unwrap_err();
        let key = secret(SecretKind::ApiKey, 1);
        let of_one = api.create_api_key("app".into(), &key, ApiScopes::full(), Some(acme.id), None);
        let of_one = of_one.await.unwrap();
        api.create_organization("Globex".into(), None).await.unwrap();
        let opened = store.access().api(&key.hash()).await.unwrap().unwrap();
        opened.revoke_api_key(of_one.id).await.unwrap();

        let told = async |api: &ApiStore, filter: AuditFilter| {
            let found = api.audit(filter, None, 100).await.unwrap();
            let told = found.iter().map(|it| (it.actor_type.clone(), it.action.as_str()));
            told.rev().collect::<Vec<_>>()
        };
        let operator = |action| ("operator".to_owned(), action);
        let of_acme = vec![
            operator("organization.created"),
            operator("organization.updated"),
            operator("api_key.created"),
            ("api_key".to_owned(), "api_key.revoked"),
        ];
        let mut all = of_acme.clone();
        all.insert(3, operator("organization.created"));
        assert_eq!(told(&api, AuditFilter::default()).await, all);
        assert_eq!(told(&opened, AuditFilter::default()).await, of_acme);
        let updated = AuditFilter {
            object_id: Some(acme.id.to_string()),
            action: Some(Action::OrganizationUpdated),
            ..AuditFilter::default()
        };
        let entry = api.audit(updated, None, 10).await.unwrap().pop().unwrap();
        assert_eq!(entry.organization_id, Some(acme.id));
        assert!(entry.before.unwrap().contains("\"Acme\""));
        assert!(entry.after.unwrap().contains("\"Acme GmbH\""));

        let before = acme.created_at + SignedDuration::from_secs(50);
        assert_eq!(store.forget(Class::Audit, "here", before).await.unwrap(), 1);
        assert_eq!(store.forget(Class::Audit, "here", before).await.unwrap(), 0);
        assert_eq!(told(&api, AuditFilter::default()).await, all[1..]);
    });
}

/// What holds of nothing.
fn never() -> Precondition {
    Precondition { among: Some(EntityTags::These(vec!["nothing".to_owned()])), not_among: None }
}

#[test]
fn a_directory_that_is_paused_or_switched_off_says_so_within_a_second_everywhere() {
    on_every_engine(async |database| {
        let (here, there) = (opened(&database), opened(&database));
        let made = directory(&here, Settings::default()).await;
        let token = secret(SecretKind::ScimToken, 1);
        here.api().create_token(made.id(), &token, DAY).await.unwrap();
        let standing =
            async |store: &Store| match store.access().directory(&token.hash()).await.unwrap() {
                Credential::Valid(store) => store.standing(),
                other => panic!("{other:?}"),
            };
        let pause = |is_paused| EditDirectory { is_paused: Some(is_paused), ..Default::default() };
        let sync =
            |is_on| store::OrganizationEdit { directory_sync: Some(is_on), ..Default::default() };
        let own = made.organization_id();
        assert_eq!(
            (standing(&here).await, standing(&there).await),
            (Standing::Open, Standing::Open)
        );
        here.api().edit_directory(made.id(), pause(true)).await.unwrap();
        assert_eq!(standing(&here).await, Standing::Paused);
        database.clock.move_by(1);
        assert_eq!(standing(&there).await, Standing::Paused);
        here.api().edit_organization(own, sync(false)).await.unwrap();
        assert_eq!(standing(&here).await, Standing::SwitchedOff);
        here.api().edit_directory(made.id(), pause(false)).await.unwrap();
        assert_eq!(standing(&here).await, Standing::SwitchedOff);
        here.api().edit_organization(own, sync(true)).await.unwrap();
        assert_eq!(standing(&here).await, Standing::Open);
    });
}

#[test]
fn an_access_token_is_good_for_its_time_and_as_long_as_its_secret() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let made = directory(&store, Settings::default()).await;
        let other = directory(&store, Settings::default()).await;
        let (api, access) = (store.api(), store.access());
        let [first, second] = [1, 2].map(|it| secret(SecretKind::ClientSecret, it));
        let (client, kept) =
            api.create_client(made.id(), "Entra".to_owned(), &first, DAY).await.unwrap();
        let id = client.id.to_string();
        let mut number = 10;
        let mut give = async |id: &str, presented: &SecretHash| {
            number += 1;
            let token = secret(SecretKind::AccessToken, number);
            let given = access.give_access_token(id, presented, &token).await.unwrap();
            given.map(|given| (given, token.hash()))
        };
        let opens = async |hash: &SecretHash| match access.directory(hash).await.unwrap() {
            Credential::Valid(store) => Some(store.id()),
            Credential::Expired(..) | Credential::Unknown => None,
        };
        let (given, token) = give(&id, &first.hash()).await.unwrap();
        assert_eq!(
            (given.directory_id, given.lifetime),
            (made.id(), SignedDuration::from_hours(1))
        );
        assert_eq!(opens(&token).await, Some(made.id()));
        // A secret is good with its own id only, and opens nothing by itself.
        assert_eq!(give("cli-0", &first.hash()).await, Err(NotGiven::Unknown));
        assert_eq!(give(&id, &second.hash()).await, Err(NotGiven::Unknown));
        assert_eq!(opens(&first.hash()).await, None);
        // It is not one of the directory's own tokens.
        assert_eq!(api.tokens(made.id()).await.unwrap(), []);

        database.clock.move_by(3_599);
        assert_eq!(opens(&token).await, Some(made.id()));
        database.clock.move_by(1);
        assert_eq!(opens(&token).await, None);

        // With the secret goes what was given for it, and nothing else.
        let two = api.create_client_secret(made.id(), client.id, &second, DAY * 2).await.unwrap();
        let (_, of_first) = give(&id, &first.hash()).await.unwrap();
        let (_, of_second) = give(&id, &second.hash()).await.unwrap();
        let elsewhere = api.delete_client_secret(other.id(), client.id, kept.id).await;
        assert_eq!(rejection(elsewhere), Rejection::UnknownClient(client.id));
        api.delete_client_secret(made.id(), client.id, kept.id).await.unwrap();
        assert_eq!(opens(&of_first).await, None);
        assert_eq!(opens(&of_second).await, Some(made.id()));
        let (_, secrets) = api.client(made.id(), client.id).await.unwrap();
        assert_eq!(secrets.iter().map(|it| it.id).collect::<Vec<_>>(), [two.id]);
        assert!(secrets[0].last_used_at.is_some());

        database.clock.move_by(2 * 24 * 3_600);
        let late = give(&id, &second.hash()).await;
        assert_eq!(late, Err(NotGiven::Expired(two.expires_at)));
        api.delete_client(made.id(), client.id).await.unwrap();
        assert_eq!(give(&id, &second.hash()).await, Err(NotGiven::Unknown));
        assert_eq!(api.clients(made.id()).await.unwrap(), []);
        while store.tidy_up().await.unwrap() > 0 {}
    });
}

#[test]
fn of_two_that_come_at_once_on_two_nodes_one_is_carried_out() {
    on_every_engine(async |database| {
        let (here, there) = (opened(&database), opened(&database));
        let key = secret(SecretKind::ApiKey, 1);
        let holder = here.create_api_key("key", &key).await.unwrap();
        let once = |store: &Store, key: &str| store.api().once(holder, key.to_owned());
        let request = || "one request".to_owned();
        let (a, b) = (once(&here, "k"), once(&there, "k"));
        let (first, second) = tokio::join!(a.begin(request()), b.begin(request()));
        let mut begun = [first.unwrap(), second.unwrap()];
        begun.sort_by_key(|it| *it != Begun::First);
        assert_eq!(begun, [Begun::First, Begun::Unfinished]);
        assert_eq!(b.begin("another".to_owned()).await.unwrap(), Begun::Another);
        a.end(201, "sealed".to_owned()).await.unwrap();
        let answered = Begun::Answered { status: 201, answer: "sealed".to_owned() };
        assert_eq!(b.begin(request()).await.unwrap(), answered);
        // Another key, of the same holder.
        assert_eq!(once(&there, "l").begin(request()).await.unwrap(), Begun::First);
        // What failed may come again.
        once(&here, "l").forget().await.unwrap();
        assert_eq!(once(&here, "l").begin("corrected".to_owned()).await.unwrap(), Begun::First);
        database.clock.move_by(24 * 3_600);
        assert_eq!(b.begin("another".to_owned()).await.unwrap(), Begun::First);
        assert_eq!(here.tidy_up().await.unwrap(), 1);
    });
}

#[test]
fn for_a_key_of_one_organization_there_is_no_other() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (own, other) = (
            directory(&store, Settings::default()).await,
            directory(&store, Settings::default()).await,
        );
        assert_ne!(own.organization_id(), other.organization_id());
        let key = secret(SecretKind::ApiKey, 1);
        let of = Some(own.organization_id());
        let all = store.api();
        all.create_api_key("one".to_owned(), &key, ApiScopes::full(), of, Some(DAY)).await.unwrap();
        let narrow = store.access().api(&key.hash()).await.unwrap().expect("it is good");
        assert_eq!(narrow.bound_to(), of);
        let organizations = narrow.organizations(None, 10).await.unwrap();
        assert_eq!(organizations.iter().map(|it| Some(it.id)).collect::<Vec<_>>(), [of]);
        let directories = narrow.directories(None, None, 10).await.unwrap();
        let ids: Vec<_> = directories.iter().map(|it| it.directory.id).collect();
        assert_eq!(ids, [own.id()]);
        let theirs = narrow.directories(Some(other.organization_id()), None, 10).await.unwrap();
        assert_eq!(theirs, []);
        assert!(narrow.directory(other.id()).await.unwrap().is_none());
        assert!(narrow.open(other.id()).await.unwrap().is_none());
        assert!(narrow.open(own.id()).await.unwrap().is_some());
        let unknown = Rejection::UnknownDirectory(other.id());
        assert_eq!(rejection(narrow.tokens(other.id()).await), unknown);
        assert_eq!(rejection(narrow.delete_directory(other.id()).await), unknown);
        assert_eq!(rejection(narrow.clients(other.id()).await), unknown);
        let gone = narrow.delete_organization(other.organization_id()).await;
        assert_eq!(rejection(gone), Rejection::UnknownOrganization(other.organization_id()));
        // A day later there is nothing at all for it.
        database.clock.move_by(24 * 3_600);
        assert!(store.access().api(&key.hash()).await.unwrap().is_none());
    });
}

#[test]
fn a_timeline_has_what_happened_to_one_person() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let made = directory(&store, Settings::default()).await;
        let (ana, ben) = (create(&made, "ana").await, create(&made, "ben").await);
        create_group(&made, "Both", &[ana, ben]).await;
        create_group(&made, "Ben's", &[ben]).await;
        let timeline = async |id: ResourceId, after, count| {
            let found = made.timeline(id, after, count).await.unwrap();
            let kinds: Vec<_> = found.events.into_iter().map(|event| event.kind).collect();
            (kinds, found.next)
        };
        let added = "directory.group.member_added";
        let (kinds, next) = timeline(ben, 0, 10).await;
        assert_eq!(
            (kinds, next),
            (vec!["directory.user.created".into(), added.into(), added.into()], None)
        );
        let (kinds, next) = timeline(ben, 0, 2).await;
        assert_eq!(kinds, ["directory.user.created", added]);
        let (kinds, next) = timeline(ben, next.unwrap(), 2).await;
        assert_eq!((kinds, next), (vec![added.to_owned()], None));
        let (kinds, _) = timeline(ana, 0, 10).await;
        assert_eq!(kinds, ["directory.user.created", added]);
        let nobody = ResourceId::parse("019b8d4a-0000-7000-8000-00000000dead").unwrap();
        assert_eq!(timeline(nobody, 0, 10).await, (Vec::new(), None));
    });
}

/// What happened last, so many of them.
async fn latest(store: &Store, count: usize) -> Vec<EventRecord> {
    let mut events = store.api().events(None, None, 10_000).await.unwrap().unwrap().events;
    events.split_off(events.len() - count)
}

#[test]
fn of_credentials_that_are_given_and_taken_back_an_event_tells_without_them() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let made = directory(&store, Settings::default()).await;
        let api = store.api();
        let [first, second] = [1, 2].map(|it| secret(SecretKind::ClientSecret, it));
        let before = kinds(&store).await.len();
        let (client, kept) =
            api.create_client(made.id(), "Entra".to_owned(), &first, DAY).await.unwrap();
        let two = api.create_client_secret(made.id(), client.id, &second, DAY).await.unwrap();
        api.delete_client_secret(made.id(), client.id, kept.id).await.unwrap();
        // What is refused is not told of.
        let again = api.delete_client_secret(made.id(), client.id, kept.id).await;
        assert_eq!(rejection(again), Rejection::UnknownToken(kept.id));
        api.delete_client(made.id(), client.id).await.unwrap();
        let again = api.delete_client(made.id(), client.id).await;
        assert_eq!(rejection(again), Rejection::UnknownClient(client.id));
        let told = kinds(&store).await.split_off(before);
        let of_client = |it: &str| format!("directory.oauth_client.{it}");
        let expected = ["created", "secret_added", "secret_removed", "deleted"].map(of_client);
        assert_eq!(told, expected);
        let told = latest(&store, 4).await;
        let data = |event: &EventRecord| -> serde_json::Value {
            serde_json::from_str(&event.data).unwrap()
        };
        for (event, secret) in told.iter().zip([Some(&kept), Some(&two), Some(&kept), None]) {
            assert_eq!(event.directory_id, Some(made.id()));
            let data = data(event);
            assert_eq!(data["client"], json!({ "id": client.id.to_string(), "name": "Entra" }));
            let id = secret.map(|secret| secret.id.to_string());
            assert_eq!(data["secret"]["id"].as_str(), id.as_deref());
            let last_four = secret.map(|secret| secret.last_four.as_str());
            assert_eq!(data["secret"]["last_four"].as_str(), last_four);
        }
        // In the order of the directory's numbers, without gaps.
        let numbers: Vec<_> = told.iter().map(|event| event.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");

        // Keys are of no directory.
        let of = Some(made.organization_id());
        let [all, bound] = [3, 4].map(|it| secret(SecretKind::ApiKey, it));
        let read = || ApiScopes::new(["read"]).unwrap();
        let one = api.create_api_key("all".into(), &all, read(), None, Some(DAY)).await.unwrap();
        let other = api.create_api_key("bound".into(), &bound, read(), of, None).await.unwrap();
        api.revoke_api_key(one.id).await.unwrap();
        let again = api.revoke_api_key(one.id).await;
        assert_eq!(rejection(again), Rejection::UnknownApiKey(one.id));
        api.delete_directory(made.id()).await.unwrap();
        // Those of an organization go with it.
        api.delete_organization(made.organization_id()).await.unwrap();
        let told = latest(&store, 5).await;
        let found: Vec<_> = told
            .iter()
            .filter(|event| event.directory_id.is_none())
            .map(|event| {
                let data = data(event);
                let (id, of) = (&data["api_key"]["id"], &data["api_key"]["organization_id"]);
                (event.kind.clone(), id.clone(), of.clone(), event.number)
            })
            .collect();
        let (one, other) = (json!(one.id.to_string()), json!(other.id.to_string()));
        let of = json!(of.map(|id| id.to_string()));
        let (created, revoked) = ("api_key.created".to_owned(), "api_key.revoked".to_owned());
        let expected = [
            (created.clone(), one.clone(), json!(null), 1),
            (created, other.clone(), of.clone(), 2),
            (revoked.clone(), one, json!(null), 3),
            (revoked, other, of, 4),
        ];
        assert_eq!(found, expected);
        let everything = store.api().events(None, None, 10_000).await.unwrap().unwrap();
        for secret in [first, second, all, bound] {
            for event in &everything.events {
                assert!(!event.data.contains(secret.reveal()));
                assert!(!event.data.contains(secret.hash().as_str()));
            }
        }
    });
}

#[test]
fn an_event_is_found_by_its_number_wherever_it_stands_in_the_feed() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (one, other) = (
            directory(&store, Settings::default()).await,
            directory(&store, Settings::default()).await,
        );
        // Runs of events of one, between those of the other.
        for (number, length) in [1, 7, 2, 1, 12, 3].into_iter().enumerate() {
            for place in 0..length {
                let of = if number % 2 == 0 { &one } else { &other };
                create(of, &format!("user-{number}-{place}")).await;
            }
        }
        for of in [&one, &other] {
            let events = store.api().events(None, Some(of.id()), 1_000).await.unwrap().unwrap();
            for event in &events.events {
                let found =
                    store.api().event(of.id(), event.number).await.unwrap().expect("it is kept");
                assert_eq!(
                    (found.number, &found.event_id, &found.data),
                    (event.number, &event.event_id, &event.data)
                );
            }
            let last = events.events.len() as u64;
            for number in [0, last + 1, u64::MAX] {
                assert_eq!(store.api().event(of.id(), number).await.unwrap(), None, "{number}");
            }
        }
    });
}

/// What must hold where nobody has edited it since.
fn only(revision: &Revision) -> Precondition {
    let tags = EntityTags::These(vec![revision.as_str().to_owned()]);
    Precondition { among: Some(tags), not_among: None }
}

#[test]
fn of_two_edits_of_one_state_on_two_nodes_one_is_made() {
    on_every_engine(async |database| {
        let nodes = [opened(&database), opened(&database)];
        let made = directory(&nodes[0], Settings::default()).await;
        let (id, own) = (made.id(), made.organization_id());
        let new = NewEndpoint {
            url: "https://app.example/hook".to_owned(),
            description: None,
            filter: directory::webhook::Filter::default(),
            is_ordered: false,
            from_the_beginning: false,
            secret: directory::webhook::SigningSecret::new([7; 32]),
        };
        let webhook = nodes[0].api().create_endpoint(new).await.unwrap().unwrap();
        let entry = |name: &str| NewEntry {
            kind: CatalogueKind::Role,
            id: "admin".parse().unwrap(),
            display_name: name.to_owned(),
            description: None,
            rank: None,
        };
        nodes[0].api().put_entry(entry("Admin")).await.unwrap();
        for round in 0..20 {
            let api = nodes[0].api();
            let organization = only(&api.organization(own).await.unwrap().unwrap().revision());
            let directory = only(&api.directory(id).await.unwrap().unwrap().directory.revision());
            let endpoint = only(&api.endpoint(webhook).await.unwrap().unwrap().endpoint.revision());
            let role = api.catalogue_entry(CatalogueKind::Role, "admin".parse().unwrap());
            let role = only(&role.await.unwrap().unwrap().revision());
            let edit = async |node: usize| {
                let (api, name) = (nodes[node].api(), format!("{round} by {node}"));
                let what = OrganizationEdit { name: Some(name.clone()), ..Default::default() };
                let guarded = Guarded { precondition: organization.clone(), what };
                let one = api.edit_organization(own, guarded).await.map(drop);
                let what = EditDirectory { name: Some(name.clone()), ..Default::default() };
                let guarded = Guarded { precondition: directory.clone(), what };
                let two = api.edit_directory(id, guarded).await;
                let description = Some(Some(name.clone()));
                let what = EndpointChange { description, ..Default::default() };
                let guarded = Guarded { precondition: endpoint.clone(), what };
                let three = api.change_endpoint(webhook, guarded).await.map(drop);
                let guarded = Guarded { precondition: role.clone(), what: entry(&name) };
                [one, two, three, api.put_entry(guarded).await.map(drop)]
            };
            let (one, other) = tokio::join!(edit(0), edit(1));
            for outcomes in one.into_iter().zip(other) {
                match outcomes {
                    (Ok(()), Err(Error::Rejected(Rejection::RevisionFailed)))
                    | (Err(Error::Rejected(Rejection::RevisionFailed)), Ok(())) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

#[test]
fn a_large_directory_goes_in_small_steps_and_others_write_meanwhile() {
    /// People in it, all of whom belong to the first of its groups, and some to each other one.
    const USERS: usize = 2_500;
    const MEMBERS: usize = 400;
    const GROUPS: usize = 9;
    /// Events of one step, and so of one transaction.
    const EVENTS_MAX: u64 = 1_100;

    on_every_engine(async |database| {
        let store = opened(&database);
        let made = directory(&store, Settings::default()).await;
        let kept = directory(&store, Settings::default()).await;
        let ids = join_all((0..USERS).map(|it| {
            let made = &made;
            async move { create(made, &format!("user-{it}")).await }
        }));
        let ids = ids.await;
        create_group(&made, "Everybody", &ids).await;
        for group in 0..GROUPS {
            create_group(&made, &format!("group-{group}"), &ids[..MEMBERS]).await;
        }
        let end = async || {
            let page = store.api().events(Some(Cursor::presented(Cursor::END)), None, 0).await;
            page.unwrap().unwrap().read_to
        };
        store.api().delete_directory(made.id()).await.unwrap();
        let begun_at = end().await;

        let (steps, is_over, written) = (Cell::new(0), Cell::new(false), Cell::new(0));
        let emptying = async {
            loop {
                let (before, written_before) = (end().await, written.get());
                let gone = store.empty_directories("node").await.unwrap();
                if gone == 0 {
                    break;
                }
                steps.set(steps.get() + 1);
                // Never more than fits into a transaction beside what others write.
                let others = written.get() - written_before;
                let told = (end().await - before).saturating_sub(others);
                assert!(told <= EVENTS_MAX, "{told} events in step {}", steps.get());
            }
            is_over.set(true);
        };
        let writing = async {
            while !is_over.get() {
                create(&kept, &format!("beside-{}", written.get())).await;
                written.set(written.get() + 1);
            }
        };
        tokio::join!(emptying, writing);
        let written = usize::try_from(written.get()).unwrap();
        assert!(steps.get() >= USERS / 128, "{}", steps.get());
        // Whoever writes waits for a step, and not for all of them.
        assert!(written >= steps.get() / 2, "{written} beside {} steps", steps.get());
        let summary = store.api().directory(kept.id()).await.unwrap().unwrap();
        assert_eq!(summary.user_count, written as u64);
        // Each was told of, however much else happened in between.
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store.api().events(after, Some(made.id()), 1_000).await.unwrap().unwrap();
            for event in page.events.into_iter().filter(|it| it.position > begun_at) {
                *told.entry(event.kind.clone()).or_default() += 1;
                let cause: serde_json::Value =
                    serde_json::from_str(event.cause.as_deref().unwrap()).unwrap();
                // Whether a group is large makes no difference to what is told.
                let follows_from = match event.kind.as_str() {
                    "directory.group.member_removed" => "directory.group.deleted",
                    _ => "directory.deleted",
                };
                assert_eq!(cause["follows_from"]["type"], follows_from, "{}", event.kind);
            }
            after = Some(page.next);
            if !page.has_more {
                break;
            }
        }
        let expected = [
            ("directory.group.deleted", GROUPS + 1),
            ("directory.group.member_removed", USERS + GROUPS * MEMBERS),
            ("directory.user.deleted", USERS),
        ];
        assert_eq!(told, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    });
}
