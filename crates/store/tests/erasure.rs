//! A person is erased: nothing of them is found in what is kept, whoever looks at its bytes, and nothing
//! else is gone.

#[expect(dead_code, reason = "nothing is handed in together here")]
mod engine;

use std::path::Path;
use std::sync::Arc;

use directory::audit::Action;
use directory::requests::{PersonalData, Policy, Presented, subject};
use directory::webhook::{Filter, SigningSecret};
use directory::{
    Aside, By, CreateGroup, CreateUser, DeleteUser, Document, Ids, Limits, PatchUser, Rejection,
    RequestId, ResourceId, Settings, TokenId,
};
use engine::{Database, directory, on, on_every_engine, open};
use jiff::Timestamp;
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::group::Member;
use scim::patch::Patch;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Value, json};
use store::{
    Attempt, AuditFilter, Captured, CapturedBody, Claimed, DeliveryState, DirectoryStore, Error,
    EventRecord, Health, NewDelivery, NewEndpoint, RequestFilter, Retried, Settlement, Stage,
    Store, Tail,
};

/// What is in everything that is said of the person, and in nothing else.
const NAME: &str = "marzipan";
const EXTERNAL_ID: &str = "mz-7";

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

fn resource(body: Value, resource_type: &ResourceType) -> Resource {
    admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).unwrap().resource
}

async fn add(to: &DirectoryStore, body: Value) -> ResourceId {
    let document = Document::new(resource(body, &ResourceType::user()));
    to.change(CreateUser { document, aside: Aside::default() }).await.unwrap().id
}

async fn update(to: &DirectoryStore, id: ResourceId, value: Value) {
    let resource_type = Arc::new(ResourceType::user());
    let body = json!({ "Operations": [{ "op": "replace", "value": value }] });
    let patch = Patch::parse(body, &resource_type, Preset::Lenient, &mut Quirks::new()).unwrap();
    to.change(PatchUser { id, patch, resource_type }).await.unwrap();
}

async fn group(to: &DirectoryStore, name: &str, members: &[(ResourceId, &str)]) {
    let document = Document::new(resource(json!({ "displayName": name }), &ResourceType::group()));
    let member = |(id, display): &(ResourceId, &str)| Member {
        value: id.to_string(),
        kind: None,
        display: Some((*display).to_owned()),
    };
    let members = members.iter().map(member).collect();
    to.change(CreateGroup { document, members }).await.unwrap();
}

/// The person, under a name.
fn person(user_name: &str) -> Value {
    json!({
        "userName": user_name,
        "externalId": EXTERNAL_ID,
        "displayName": "Marzipan Baker",
        "name": { "formatted": "Ms Marzipan Baker", "givenName": "Marzipan", "familyName": "Baker" },
        "emails": [{ "value": "marzipan@home.example", "type": "home" }],
        "title": "Marzipan potato",
    })
}

/// A request of the provider, and its answer.
struct Sent<'a> {
    what: (&'a str, &'a str, u16),
    query: Option<&'a str>,
    body: &'a str,
    answer: &'a str,
}

/// Has a request taken down.
fn note(database: &Database, store: &Store, of: &DirectoryStore, sent: &Sent<'_>) -> RequestId {
    let (method, path, status) = sent.what;
    let body = |text: &str| (!text.is_empty()).then(|| CapturedBody::of(text.as_bytes(), 65_536));
    let ids: &dyn Ids = &*database.ids;
    let request_id = RequestId::new(ids);
    let now = store.access().now();
    store.access().note_request(Captured {
        request_id,
        directory_id: of.id(),
        at: now,
        answered_at: now,
        method: method.to_owned(),
        path: format!("/scim/v2/{}{path}", of.id()),
        query: sent.query.map(str::to_owned),
        status,
        client_address: None,
        user_agent: Some("Okta SCIM Client 1.0.0".to_owned()),
        content_type: None,
        presented: Presented::Bearer,
        by: Some(By::Token(TokenId::new(ids))),
        rerun_of: None,
        tried: "do something",
        is_unknown_path: false,
        quirks: Quirks::new(),
        unknown_members: Vec::new(),
        location: None,
        request: body(sent.body),
        answer: body(sent.answer),
        policy: Some(Policy { bodies: true, personal_data: PersonalData::Kept }),
    });
    request_id
}

/// Requests about the person, in every place where a name can stand, and one about somebody else.
fn note_requests(
    database: &Database,
    store: &Store,
    of: &DirectoryStore,
    id: ResourceId,
) -> (Vec<RequestId>, RequestId) {
    let user = format!("/Users/{id}");
    let listed = format!(
        r#"{{"totalResults":1,"Resources":[{{"id":"{id}","name":{{"givenName":"Marzipan"}}}}]}}"#
    );
    let members = format!(
        r#"{{"Operations":[{{"op":"add","path":"members","value":[{{"value":"{id}","display":"Marzipan Baker"}}]}}]}}"#
    );
    let about = [
        Sent {
            what: ("POST", "/Users", 409),
            query: None,
            body: r#"{"userName":"Marzipan@Acme.example","name":{"givenName":"Marzipan"}}"#,
            answer: r#"{"detail":"`marzipan@acme.example` is taken. Choose another"}"#,
        },
        Sent {
            what: ("GET", "/Users", 200),
            query: Some("filter=userName%20eq%20%22marzipan@acme.example%22"),
            body: "",
            answer: "",
        },
        Sent {
            what: ("GET", "/Users", 200),
            query: Some("filter=emails%20co%20%22marzipan%40home.example%22"),
            body: "",
            answer: "",
        },
        // A page of a list: nothing says whom it is about.
        Sent { what: ("GET", "/Users", 200), query: None, body: "", answer: &listed },
        Sent {
            what: ("PATCH", &user, 200),
            query: None,
            body: r#"{"Operations":[{"op":"replace","value":{"title":"Marzipan potato"}}]}"#,
            answer: "",
        },
        Sent { what: ("PATCH", "/Groups/7", 204), query: None, body: &members, answer: "" },
        // By a name that they had once, and by one in the path.
        Sent {
            what: ("DELETE", "/Users/marzipan@acme.example", 404),
            query: None,
            body: "",
            answer: "",
        },
        Sent {
            what: ("POST", "/Users", 201),
            query: None,
            body: r#"{"userName":"marzipan.baker@acme.example","externalId":"mz-7"}"#,
            answer: "",
        },
    ];
    let about = about.iter().map(|sent| note(database, store, of, sent)).collect();
    let other = Sent {
        what: ("POST", "/Users", 201),
        query: None,
        body: r#"{"userName":"almond@acme.example","externalId":"mx-88"}"#,
        answer: "",
    };
    (about, note(database, store, of, &other))
}

/// All that a database keeps, as text, in small letters.
fn everything(database: &Database) -> String {
    let text = if let Some(own) = &database.own {
        own.contents()
    } else {
        let path = database.path();
        let files = std::fs::read_dir(path.parent().unwrap_or(Path::new("."))).unwrap();
        let bytes = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap());
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    };
    text.to_lowercase()
}

async fn events(store: &Store, of: &DirectoryStore) -> Vec<EventRecord> {
    store.api().events(None, Some(of.id()), 100_000).await.unwrap().unwrap().events
}

/// Takes all steps that can be taken now; says how many.
async fn go_on(store: &Store) -> u64 {
    let mut steps = 0;
    while store.erase("node").await.unwrap() > 0 {
        steps += 1;
        assert!(steps < 1_000, "it ends");
    }
    steps
}

/// A new endpoint, and what is to be brought there that tells of somebody.
async fn to_deliver(store: &Store, id: ResourceId) -> (Claimed, Vec<EventRecord>) {
    let new = NewEndpoint {
        url: "https://app.example/hook".to_owned(),
        description: None,
        filter: Filter::default(),
        is_ordered: false,
        from_the_beginning: true,
        secret: SigningSecret::new([1; 32]),
    };
    store.api().create_endpoint(new).await.unwrap().unwrap();
    let webhooks = store.webhooks();
    webhooks.claim("node", true).await.unwrap();
    let claimed = webhooks.endpoints("node").await.unwrap().mine[0];
    let mut events = webhooks.feed().part(0, None, None, 100_000).await.unwrap().events;
    events.retain(|it| it.data.contains(&id.to_string()));
    (claimed, events)
}

/// Fails to bring it: the endpoint answers with a name.
async fn fail_to_deliver(store: &Store, (claimed, events): (Claimed, Vec<EventRecord>)) {
    let webhooks = store.webhooks();
    let outcome = || Retried {
        id: webhooks.new_id(),
        state: DeliveryState::Pending,
        lane: None,
        attempt_count: 1,
        next_attempt_at: Timestamp::from_second(1_800_000_005).unwrap(),
        attempts: vec![Attempt {
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            duration_ms: 12,
            status: Some(500),
            error: None,
            answer: Some("no room for marzipan@acme.example".to_owned()),
        }],
    };
    let position = events.last().map_or(0, |event| event.position);
    let new = events
        .into_iter()
        .map(|event| NewDelivery { event: Arc::new(event), outcome: outcome() })
        .collect();
    let settled = webhooks.settle(Settlement {
        id: claimed.id,
        holder: "node".to_owned(),
        epoch: claimed.epoch,
        position,
        missed_count: 0,
        health: Health::default(),
        new,
        retried: Vec::new(),
        lanes: Vec::new(),
        disable: None,
        now: store.access().now(),
    });
    assert!(settled.await.unwrap());
}

#[test]
fn nothing_of_a_person_who_was_erased_is_found_in_what_is_kept() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let of = directory(&store, Settings::default()).await;
        // Enough of others that rows move from page to page.
        let mut others = Vec::new();
        for number in 0..150 {
            let name = format!("almond-{number}@acme.example");
            others.push((add(&of, json!({ "userName": name })).await, "Almond"));
        }
        let first = add(&of, person("marzipan@acme.example")).await;
        for round in 0..700 {
            update(&of, first, json!({ "title": format!("Marzipan potato {round}") })).await;
        }
        of.change(DeleteUser { id: first }).await.unwrap();
        let second = add(&of, person("marzipan@acme.example")).await;
        update(&of, second, json!({ "userName": "marzipan.baker@acme.example" })).await;
        update(&of, second, json!({ "active": false })).await;
        others.push((second, "Marzipan Baker"));
        group(&of, "Bakers", &others).await;
        let (about, other) = note_requests(&database, &store, &of, second);
        fail_to_deliver(&store, to_deliver(&store, second).await).await;
        let before = events(&store, &of).await;
        store.api().request(other).await.unwrap().expect("it is kept");
        let kept = everything(&database);
        for word in [NAME, EXTERNAL_ID, "almond", "bakers"] {
            assert!(kept.contains(word), "`{word}` is found while it is kept");
        }

        let begun = store.api().erase_user(of.id(), second).await.unwrap();
        assert_eq!(begun.user_ids, [second, first], "who they were before is theirs too");
        assert_eq!((begun.stage, begun.erased.users), (Stage::Events, 1));
        assert!(of.user(second, false).await.unwrap().is_none());
        // The events at once, some at a time; the rest when nobody has hold of anything any more.
        assert!(go_on(&store).await >= 4);
        let waiting = store.api().erasure(begun.id).await.unwrap().unwrap();
        assert_eq!(waiting.stage, Stage::Deliveries);
        database.clock.move_by(61);
        go_on(&store).await;
        let receipt = store.api().erasure(begun.id).await.unwrap().unwrap();
        assert_eq!(receipt.stage, Stage::Done);
        assert_eq!(receipt.finished_at, Some(store.access().now()));
        let erased = receipt.erased;
        // Made, changed 700 times and deleted; then made, changed twice and deleted.
        assert_eq!((erased.users, erased.former_users, erased.events), (1, 2, 706));
        // Nothing was told of the group that is not in it still.
        assert_eq!((erased.deliveries, erased.requests), (4, about.len() as u64));

        let kept = everything(&database);
        for word in [NAME, EXTERNAL_ID] {
            let at = kept.find(word).map(|at| {
                let (begin, end) = (at.saturating_sub(200), (at + 200).min(kept.len()));
                let begin = kept.floor_char_boundary(begin);
                &kept[begin..kept.floor_char_boundary(end)]
            });
            assert_eq!(at, None, "`{word}` is found");
        }
        // Others are there as they were.
        assert!(kept.contains("almond-149@acme.example"));
        assert!(kept.contains("bakers") && kept.contains("mx-88"));

        // Of what happened it stays known what it was, and when.
        let after = events(&store, &of).await;
        let was: Vec<_> = before.iter().map(|it| (it.number, &it.event_id, &it.kind)).collect();
        let is: Vec<_> = after.iter().map(|it| (it.number, &it.event_id, &it.kind)).collect();
        assert_eq!(is[..was.len()], was);
        let new: Vec<_> = after[was.len()..].iter().map(|it| it.kind.as_str()).collect();
        let expected = [
            "directory.group.member_removed",
            "directory.user.deleted",
            "directory.user.erased",
            "directory.user.erased",
        ];
        assert_eq!(new, expected);
        let data: Value = serde_json::from_str(&after.last().unwrap().data).unwrap();
        let told = json!({
            "user": { "id": first.to_string() },
            "erasure": { "id": begun.id.to_string() },
        });
        assert_eq!(data, told);
        let timeline = of.timeline(second, 0, 100).await.unwrap().events;
        let created: Value = serde_json::from_str(&timeline[0].data).unwrap();
        let left = json!({
            "user": { "id": second.to_string() },
            "previous_user_id": first.to_string(),
            "erased": true,
        });
        assert_eq!(created, left);

        // So it does of requests.
        for id in &about {
            let request = store.api().request(*id).await.unwrap().expect("it is there");
            assert_eq!(request.record.entry.erased_by, Some(begun.id.to_string()));
            assert_eq!((request.request_body, request.answer_body), (None, None));
        }
        let request = store.api().request(other).await.unwrap().unwrap();
        assert!(request.request_body.is_some_and(|body| body.contains("almond@acme.example")));
        for name in ["marzipan@acme.example", "marzipan.baker@acme.example", EXTERNAL_ID] {
            let subjects = Some(vec![subject(false, name)]);
            let filter = RequestFilter { subjects, ..RequestFilter::default() };
            let found = store.api().requests(filter, 10).await.unwrap().requests;
            assert!(found.is_empty(), "{name}");
        }

        // Who asked for it, and the receipt, are in the audit log.
        let acts = async |action| {
            let filter = AuditFilter { action: Some(action), ..AuditFilter::default() };
            store.api().audit(filter, None, 10).await.unwrap()
        };
        let asked = acts(Action::UserErasureBegun).await;
        assert_eq!((asked.len(), asked[0].actor_type.as_str()), (1, "operator"));
        let entry = acts(Action::UserErased).await.pop().unwrap();
        assert_eq!(
            (entry.actor_type.as_str(), entry.object_id),
            ("server", Some(second.to_string()))
        );
        let after: Value = serde_json::from_str(&entry.after.unwrap()).unwrap();
        assert_eq!(after["erased"]["events"], 706);

        // Asked for again, nothing is begun anew; and somebody else is nobody.
        assert_eq!(store.api().erase_user(of.id(), second).await.unwrap(), receipt);
        assert_eq!(go_on(&store).await, 0);
        let unknown = ResourceId::new(&*database.ids);
        let refused = store.api().erase_user(of.id(), unknown).await;
        let is_unknown = matches!(refused, Err(Error::Rejected(Rejection::UnknownUser(id))) if id == unknown.to_string());
        assert!(is_unknown);
        assert_eq!(store.api().erasures(None, 10).await.unwrap(), [receipt]);
        store.close().await;
        assert!(!everything(&database).contains(NAME));
    });
}

#[test]
fn an_erasure_goes_on_where_it_was_whoever_ends_in_between() {
    on_every_engine(async |database| {
        let mut store = opened(&database);
        let of = directory(&store, Settings::default()).await.id();
        let person = {
            let of = open(&store, of).await;
            let id = add(&of, person("marzipan@acme.example")).await;
            for round in 0..1_100 {
                update(&of, id, json!({ "title": format!("Marzipan {round}") })).await;
            }
            note_requests(&database, &store, &of, id);
            fail_to_deliver(&store, to_deliver(&store, id).await).await;
            id
        };
        let begun = store.api().erase_user(of, person).await.unwrap();
        let mut steps = 0;
        loop {
            // The store is closed and opened between any two steps.
            store.close().await;
            store = opened(&database);
            database.clock.move_by(61);
            if store.erase("node").await.unwrap() == 0 {
                break;
            }
            steps += 1;
            let now = store.api().erasure(begun.id).await.unwrap().unwrap();
            assert_eq!(now.finished_at.is_some(), now.stage == Stage::Done);
        }
        let receipt = store.api().erasure(begun.id).await.unwrap().unwrap();
        assert_eq!(receipt.stage, Stage::Done);
        // As many as there are, and none twice: three pages of events, an end of them, and a step of
        // each other stage.
        assert_eq!((receipt.erased.events, receipt.erased.requests), (1_102, 8));
        assert_eq!(receipt.erased.deliveries, 1_101);
        assert!(steps >= 7, "{steps}");
        assert!(!everything(&database).contains(NAME));
        store.close().await;
    });
}

#[test]
fn who_has_the_name_of_somebody_who_is_erased_stays() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let of = directory(&store, Settings::default()).await;
        let first = add(&of, json!({ "userName": "marzipan@acme.example" })).await;
        of.change(DeleteUser { id: first }).await.unwrap();
        let second = add(&of, json!({ "userName": "marzipan@acme.example" })).await;
        let begun = store.api().erase_user(of.id(), first).await.unwrap();
        assert_eq!((begun.user_ids.as_slice(), begun.erased.users), ([first].as_slice(), 0));
        go_on(&store).await;
        database.clock.move_by(61);
        go_on(&store).await;
        let receipt = store.api().erasure(begun.id).await.unwrap().unwrap();
        assert_eq!((receipt.stage, receipt.erased.events), (Stage::Done, 2));
        let there = of.user(second, false).await.unwrap().expect("they are there");
        assert!(there.text.contains("marzipan@acme.example"));
        // It is over for those who were erased, and for nobody else.
        let names = |it: &EventRecord| it.data.contains("marzipan@acme.example");
        assert_eq!(events(&store, &of).await.iter().filter(|it| names(it)).count(), 1);
        store.close().await;
    });
}

/// The latest events are remembered for those who follow the feed.
#[test]
fn whoever_follows_the_feed_reads_nothing_of_who_was_erased() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let of = directory(&store, Settings::default()).await;
        let tail = Tail::begin(store.feed()).await.unwrap();
        let id = add(&of, person("marzipan@acme.example")).await;
        tail.look().await.unwrap();
        let read = async || tail.events(1, 100).await.unwrap().events;
        assert!(read().await.iter().any(|it| it.data.contains(NAME)));
        store.api().erase_user(of.id(), id).await.unwrap();
        go_on(&store).await;
        tail.look().await.unwrap();
        let events = read().await;
        assert_eq!(events.len(), 3);
        assert!(!events.iter().any(|it| it.data.to_lowercase().contains(NAME)));
        store.close().await;
    });
}

#[test]
fn what_somebody_had_in_hand_is_not_kept_any_more() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let of = directory(&store, Settings::default()).await;
        let id = add(&of, person("marzipan@acme.example")).await;
        let in_hand = to_deliver(&store, id).await;
        assert!(in_hand.1[0].data.contains(NAME));
        store.api().erase_user(of.id(), id).await.unwrap();
        go_on(&store).await;
        // An attempt ends that was begun before, and a request is noted.
        fail_to_deliver(&store, in_hand).await;
        note_requests(&database, &store, &of, id);
        database.clock.move_by(61);
        go_on(&store).await;
        let receipt = store.api().erasures(None, 1).await.unwrap().remove(0);
        assert_eq!((receipt.erased.deliveries, receipt.erased.requests), (1, 8));
        assert!(!everything(&database).contains(NAME));
        store.close().await;
    });
}

/// The request log of an embedded database is a file of its own: a step in it may be on the disk, and
/// that it was taken not.
#[test]
fn what_was_erased_before_the_power_went_is_counted_once() {
    on(Database::new(None), async |database| {
        let store = opened(&database);
        let of = directory(&store, Settings::default()).await;
        let id = add(&of, person("marzipan@acme.example")).await;
        note_requests(&database, &store, &of, id);
        let begun = store.api().erase_user(of.id(), id).await.unwrap();
        go_on(&store).await;
        database.clock.move_by(61);
        let stage =
            async |store: &Store| store.api().erasure(begun.id).await.unwrap().unwrap().stage;
        while stage(&store).await != Stage::Requests {
            assert_eq!(store.erase("node").await.unwrap(), 1);
        }
        drop(of);
        store.close().await;
        let before = std::fs::read(database.path()).unwrap();

        let store = opened(&database);
        assert_eq!(store.erase("node").await.unwrap(), 1);
        assert_eq!(stage(&store).await, Stage::Files);
        store.close().await;
        std::fs::write(database.path(), before).unwrap();

        let store = opened(&database);
        assert_eq!(stage(&store).await, Stage::Requests);
        go_on(&store).await;
        let receipt = store.api().erasure(begun.id).await.unwrap().unwrap();
        assert_eq!((receipt.stage, receipt.erased.requests), (Stage::Done, 8));
        store.close().await;
        assert!(!everything(&database).contains(NAME));
    });
}
