//! Schemas of a directory on every kind of database: who sees them when, and that what is counted beside
//! them is what is there.

mod engine;

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::secret::{Secret, SecretKind};
use directory::{
    AdoptAside, Aside, CreateUser, DefineSchema, DeleteUser, Document, Limits, PatchUser,
    Rejection, ReplaceUser, Settings, UserId,
};
use engine::{Database, Waiting, directory, in_one_batch, on_every_engine, open};
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use scim::admit::{Admitted, admit};
use scim::dialect::Quirks;
use scim::group::MemberKind;
use scim::patch::Patch;
use scim::schema::custom::Definition;
use scim::{Preset, ResourceType};
use serde_json::{Map, Value, json};
use store::{Credential, DirectoryStore, Error, Store};

const BADGE: &str = "urn:example:acme:Badge";

fn define(attributes: &Value) -> DefineSchema {
    let document = json!({ "id": BADGE, "name": "Badge", "attributes": attributes });
    let definition: Definition = serde_json::from_value(document).unwrap();
    let schema = definition.check().unwrap();
    DefineSchema { extends: MemberKind::User, required: false, schema }
}

fn admitted(body: Value, resource_type: &ResourceType) -> Admitted {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap()
}

/// As a request would: read by the types that the store was opened with.
fn create(store: &DirectoryStore, body: Value) -> CreateUser {
    let admitted = admitted(body, store.types().user());
    CreateUser { document: Document::new(admitted.resource), aside: Aside::of(&admitted.unknown) }
}

fn replace(store: &DirectoryStore, id: UserId, body: Value) -> ReplaceUser {
    let resource_type = Arc::clone(store.types().user());
    let admitted = admitted(body, &resource_type);
    let aside = Aside::of(&admitted.unknown);
    ReplaceUser {
        id,
        resource: admitted.resource,
        aside,
        external_id_given: admitted.external_id_given,
        resource_type,
    }
}

fn patch(store: &DirectoryStore, id: UserId, values: &Value) -> PatchUser {
    let resource_type = Arc::clone(store.types().user());
    let body = json!({ "Operations": [{ "op": "add", "value": values }] });
    let patch = Patch::parse(body, &resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    PatchUser { id, patch, resource_type }
}

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

#[test]
fn a_schema_is_seen_at_once_here_and_within_a_second_elsewhere() {
    on_every_engine(async |database| {
        let (here, there) = (opened(&database), opened(&database));
        let made = directory(&here, Settings::default()).await;
        let token = Secret::new(SecretKind::ScimToken, [1; 32]);
        let day = SignedDuration::from_hours(24);
        here.api().create_token(made.id(), &token, day).await.unwrap();
        let by_token = async |store: &Store| match store.access().directory(&token.hash()).await {
            Ok(Credential::Valid(directory)) => directory,
            other => panic!("{other:?}"),
        };
        let knows = |store: &DirectoryStore| store.types().user().extension(BADGE).is_some();
        let (old_here, old_there) = (by_token(&here).await, by_token(&there).await);
        assert!(!knows(&old_here) && !knows(&old_there));

        let floor = json!([{ "name": "floor" }]);
        here.api().define_schema(made.id(), define(&floor)).await.unwrap();
        assert!(knows(&by_token(&here).await));
        assert!(knows(&open(&there, made.id()).await));
        assert!(!knows(&by_token(&there).await), "it is remembered for a second");

        // What was read by the schemas as they were is not kept, and who comes again is read anew.
        let body = json!({ "userName": "ana", BADGE: { "floor": "3" } });
        let late = old_there.change(create(&old_there, body.clone())).await.unwrap_err();
        assert!(matches!(late, Error::Rejected(Rejection::SchemasChanged)), "{late}");
        let again = by_token(&there).await;
        assert!(knows(&again));
        let ana = again.change(create(&again, body)).await.unwrap();
        assert_eq!(
            ana.document.text(),
            r#"{"userName":"ana","urn:example:acme:Badge":{"floor":"3"}}"#
        );

        // Both have the same object for as long as nothing changes.
        let types = |store: &DirectoryStore| std::ptr::from_ref(store.types());
        assert_eq!(types(&by_token(&here).await), types(&open(&here, made.id()).await));

        here.api()
            .define_schema(made.id(), define(&json!([{ "name": "floor" }, { "name": "x" }])))
            .await
            .unwrap();
        database.clock.move_by(1);
        let newest = by_token(&there).await;
        assert!(newest.types().user().extension(BADGE).unwrap().attribute("x").is_some());
        drop((here, there));
        // After a start too.
        let anew = opened(&database);
        assert!(knows(&open(&anew, made.id()).await));
        let others = directory(&anew, Settings::default()).await;
        assert!(!knows(&others));
    });
}

#[derive(Clone, Debug)]
enum Act {
    Create(Value),
    Replace(usize, Value),
    Patch(usize, Value),
    Delete(usize),
    Adopt(usize),
}

/// A user with some of a few attributes, of which half are of no schema.
fn values() -> impl Strategy<Value = Value> {
    let one = prop_oneof![Just(json!("a")), Just(json!(7)), Just(json!(null)), Just(json!([true]))];
    let beside = prop::collection::btree_map("[a-d]", one.clone(), 0..3);
    let within = prop::collection::btree_map("floor|team|vpn|pin", one, 0..3);
    (beside, within).prop_map(|(mut values, within)| {
        if !within.is_empty() {
            // Lists are no texts.
            let fits =
                |name: &str, it: &Value| !it.is_array() || !["floor", "team"].contains(&name);
            let within: BTreeMap<_, _> =
                within.into_iter().filter(|(name, it)| fits(name, it)).collect();
            values.insert(BADGE.to_owned(), json!(within));
        }
        json!(values)
    })
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..12_usize;
    prop_oneof![
        3 => values().prop_map(Act::Create),
        3 => (who.clone(), values()).prop_map(|(who, values)| Act::Replace(who, values)),
        4 => (who.clone(), values()).prop_map(|(who, values)| Act::Patch(who, values)),
        1 => who.clone().prop_map(Act::Delete),
        1 => who.prop_map(Act::Adopt),
    ]
}

async fn carry_out(
    store: &DirectoryStore,
    ids: &[UserId],
    act: Act,
    number: usize,
) -> Option<UserId> {
    let named = |values: Value, name: String| {
        let mut body = values;
        body["userName"] = json!(name);
        body
    };
    let pick = |who: usize| ids.get(who % ids.len().max(1)).copied();
    match act {
        Act::Create(values) => {
            let body = named(values, format!("new-{number}"));
            store.change(create(store, body)).await.ok().map(|user| user.id)
        }
        Act::Replace(who, values) => {
            let id = pick(who)?;
            let body = named(values, format!("user-{id}"));
            let _ = store.change(replace(store, id, body)).await;
            None
        }
        Act::Patch(who, values) => {
            let _ = store.change(patch(store, pick(who)?, &values)).await;
            None
        }
        Act::Delete(who) => {
            let _ = store.change(DeleteUser { id: pick(who)? }).await;
            None
        }
        Act::Adopt(who) => {
            let resource_type = Arc::clone(store.types().user());
            let _ = store.change(AdoptAside { id: pick(who)?, resource_type }).await;
            None
        }
    }
}

/// How many have what beside them, and how many of the schema's own values there are, as the users say.
async fn counted(store: &DirectoryStore) -> (BTreeMap<String, u64>, u64) {
    let (mut beside, mut within) = (BTreeMap::new(), 0);
    for user in store.users_after(0, 10_000).await.unwrap().items {
        let resource: Map<String, Value> = serde_json::from_str(&user.text).unwrap();
        within += resource.get(BADGE).and_then(Value::as_object).map_or(0, |it| it.len() as u64);
        let Some(text) = store.aside(user.id).await.unwrap() else { continue };
        for (name, _) in serde_json::from_str::<Map<String, Value>>(&text).unwrap() {
            *beside.entry(name).or_default() += 1;
        }
    }
    (beside, within)
}

#[test]
fn what_is_counted_is_what_is_there() {
    let seed = [7; 32];
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let acts = (prop::collection::vec(act(), 1..60), prop::collection::vec(act(), 1..60));
    runner
        .run(&acts, |(before, after)| {
            on_every_engine(async |database| {
                let store = opened(&database);
                let mut here = directory(&store, Settings::default()).await;
                let mut ids = Vec::new();
                let halves = [before.clone(), after.clone()];
                for (half, acts) in halves.into_iter().enumerate() {
                    if half == 1 {
                        let attributes = json!([{ "name": "floor" }, { "name": "team" }]);
                        store.api().define_schema(here.id(), define(&attributes)).await.unwrap();
                        here = open(&store, here.id()).await;
                    }
                    for (round, acts) in acts.chunks(7).enumerate() {
                        // Who asks for somebody where there is nobody does not wait.
                        if ids.is_empty() {
                            let first = json!({ "userName": "first" });
                            ids.push(here.change(create(&here, first)).await.unwrap().id);
                        }
                        let known = ids.clone();
                        let waiting = acts.iter().cloned().enumerate().map(|(place, act)| {
                            let number = half * 1_000 + round * 10 + place;
                            Box::pin(carry_out(&here, &known, act, number)) as Waiting<'_, _>
                        });
                        let made = in_one_batch(&here, waiting.collect()).await;
                        ids.extend(made.into_iter().flatten());
                        let known = store.api().unknown_attributes(here.id()).await.unwrap();
                        let known: BTreeMap<_, _> =
                            known.into_iter().map(|it| (it.name, it.user_count)).collect();
                        assert_eq!(known, counted(&here).await.0);
                    }
                }
                // While anybody has a value of it, the schema stays.
                loop {
                    let (_, within) = counted(&here).await;
                    let removed = store.api().remove_schema(here.id(), BADGE.to_owned()).await;
                    match removed {
                        Ok(()) => {
                            assert_eq!(within, 0);
                            break;
                        }
                        Err(Error::Rejected(Rejection::AttributeInUse { count, .. })) => {
                            assert!((1..=within).contains(&count), "{count} of {within}");
                        }
                        Err(error) => panic!("{error}"),
                    }
                    let id = ids.pop().expect("somebody has it");
                    let _ = here.change(DeleteUser { id }).await;
                }
            });
            Ok(())
        })
        .unwrap();
}
