//! What every database must do for webhooks.

#[expect(dead_code, reason = "nothing is handed in together here")]
mod engine;

use std::sync::Arc;

use directory::secret::{Secret, SecretKind};
use directory::webhook::{DisabledReason, Filter, SigningSecret};
use directory::{EndpointId, Limits, Settings};
use engine::{Database, directory, on_every_engine};
use jiff::{SignedDuration, Timestamp};
use store::{
    ApiStore, Attempt, Claimed, DeliveryState, EndpointChange, EventRecord, Health, NewDelivery,
    NewEndpoint, Retried, Settlement, Store, WebhookStore,
};

const DAY: i64 = 24 * 3600;

fn opened(database: &Database) -> Store {
    database.open(Limits::default()).unwrap()
}

fn new_endpoint() -> NewEndpoint {
    NewEndpoint {
        url: "https://app.example/hook".to_owned(),
        description: None,
        filter: Filter::default(),
        is_ordered: false,
        from_the_beginning: false,
        secret: SigningSecret::new([1; 32]),
    }
}

async fn endpoint(api: &ApiStore) -> EndpointId {
    api.create_endpoint(new_endpoint()).await.unwrap().unwrap()
}

async fn mine(webhooks: &WebhookStore, holder: &str) -> Vec<Claimed> {
    let mut mine = webhooks.endpoints(holder).await.unwrap().mine;
    mine.sort_by_key(|it| it.id);
    mine
}

/// Nothing done, but that a place is kept.
fn settlement(claimed: Claimed, holder: &str, position: u64) -> Settlement {
    Settlement {
        id: claimed.id,
        holder: holder.to_owned(),
        epoch: claimed.epoch,
        position,
        missed_count: 0,
        health: Health::default(),
        new: Vec::new(),
        retried: Vec::new(),
        lanes: Vec::new(),
        disable: None,
        now: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

fn tried(webhooks: &WebhookStore, state: DeliveryState) -> Retried {
    Retried {
        id: webhooks.new_id(),
        state,
        lane: None,
        attempt_count: 1,
        next_attempt_at: Timestamp::from_second(1_800_000_005).unwrap(),
        attempts: vec![Attempt {
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            duration_ms: 12,
            status: Some(500),
            error: None,
            answer: Some("no \u{fffd} \"now\"".to_owned()),
        }],
    }
}

#[test]
fn an_endpoint_is_read_as_it_was_made_and_changed() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let api = store.api();
        let of = directory(&store, Settings::default()).await;
        let filter = Filter {
            types: vec!["directory.user.*".to_owned()],
            organizations: vec![of.organization_id()],
            directories: vec![of.id()],
        };
        let new = NewEndpoint {
            description: Some("the app".to_owned()),
            filter: filter.clone(),
            is_ordered: true,
            from_the_beginning: true,
            ..new_endpoint()
        };
        let id = api.create_endpoint(new).await.unwrap().unwrap();
        let made = api.endpoint(id).await.unwrap().unwrap();
        assert_eq!(made.endpoint.filter, filter);
        assert_eq!(made.endpoint.description.as_deref(), Some("the app"));
        assert!(made.endpoint.is_ordered && made.endpoint.disabled.is_none());
        // It begins with the first event: that the directory was made.
        assert_eq!(made.events_behind, 1);
        assert_eq!(made.oldest_at, Some(made.endpoint.created_at));
        assert_eq!(made.secrets.len(), 1);

        let change = EndpointChange {
            description: Some(None),
            is_ordered: Some(false),
            is_enabled: Some(false),
            ..EndpointChange::default()
        };
        assert!(api.change_endpoint(id, change).await.unwrap());
        let changed = api.endpoint(id).await.unwrap().unwrap();
        assert_eq!(changed.endpoint.description, None);
        assert_eq!(changed.endpoint.filter, filter);
        assert!(!changed.endpoint.is_ordered);
        assert_eq!(changed.endpoint.disabled.unwrap().reason, DisabledReason::Manual);
        // Nothing is brought to it, a test neither.
        assert_eq!(api.test_endpoint(id).await.unwrap(), None);
        assert_eq!(store.webhooks().endpoints("node").await.unwrap().total, 0);

        let other = endpoint(&api).await;
        let listed = api.endpoints(None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|it| it.endpoint.id).collect::<Vec<_>>(), [id, other]);
        assert_eq!(api.endpoints(Some(id), 10).await.unwrap().len(), 1);
        // Another one that is made now has nothing behind it.
        assert_eq!(listed[1].events_behind, 0);
        assert!(api.delete_endpoint(id).await.unwrap());
        assert!(!api.delete_endpoint(id).await.unwrap());
        assert_eq!(api.endpoint(id).await.unwrap(), None);
        store.close().await;
    });
}

/// Proves S-HOOK-4.
#[test]
fn secrets_overlap_and_end() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        let id = endpoint(&api).await;
        let good = async || webhooks.load(id).await.unwrap().unwrap().secrets;
        let secret = |byte: u8| SigningSecret::new([byte; 32]);
        let day = SignedDuration::from_hours(24);
        assert_eq!(good().await, [secret(1)]);
        database.clock.move_by(1);
        assert!(api.rotate_endpoint_secret(id, secret(2), day).await.unwrap());
        assert_eq!(good().await, [secret(2), secret(1)]);
        // Whoever works with them is told when to look again.
        let until = webhooks.load(id).await.unwrap().unwrap().secrets_until;
        assert_eq!(until.map(|it| it.duration_since(webhooks.now())), Some(day));
        database.clock.move_by(24 * 3600 - 1);
        assert_eq!(good().await, [secret(2), secret(1)]);
        database.clock.move_by(1);
        assert_eq!(good().await, [secret(2)]);
        // However often, no more than four are good, and the latest is among them.
        for byte in 3..10 {
            database.clock.move_by(1);
            assert!(api.rotate_endpoint_secret(id, secret(byte), day).await.unwrap());
        }
        assert_eq!(good().await, [secret(9), secret(8), secret(7), secret(6)]);
        // At once, where one has leaked.
        database.clock.move_by(1);
        let at_once = SignedDuration::ZERO;
        assert!(api.rotate_endpoint_secret(id, secret(10), at_once).await.unwrap());
        assert_eq!(good().await, [secret(10)]);
        store.close().await;
    });
}

/// Nodes share the endpoints; one that is heard of no more loses them, and cannot act on them when it
/// wakes up.
#[test]
fn endpoints_are_held_by_one_node_at_a_time() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        for _ in 0..4 {
            endpoint(&api).await;
        }
        webhooks.claim("one", true).await.unwrap();
        let all = mine(&webhooks, "one").await;
        assert_eq!(all.len(), 4);
        // Another node comes, and gets its share as soon as the first has heard of it.
        webhooks.claim("two", false).await.unwrap();
        assert_eq!(mine(&webhooks, "two").await, []);
        webhooks.claim("one", false).await.unwrap();
        webhooks.claim("two", false).await.unwrap();
        assert_eq!(mine(&webhooks, "one").await, all[..2]);
        let taken = mine(&webhooks, "two").await;
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].id, taken[0].epoch), (all[2].id, all[2].epoch + 1));
        // Who had it cannot act on it any more.
        assert!(!webhooks.settle(settlement(all[2], "one", 0)).await.unwrap());
        assert!(webhooks.settle(settlement(taken[0], "two", 0)).await.unwrap());

        // The second is heard of no more.
        if let Some(own) = &database.own {
            own.run("update webhook_endpoints set expires_at = 1 where holder = 'two'");
            own.run("update leases set expires_at = 1 where holder = 'two'");
        }
        database.clock.move_by(21);
        assert!(webhooks.endpoints("one").await.unwrap().is_any_free);
        webhooks.claim("one", false).await.unwrap();
        let again = mine(&webhooks, "one").await;
        assert_eq!(again.len(), 4);
        assert!(!webhooks.settle(settlement(taken[0], "two", 0)).await.unwrap());
        // Nor on an epoch of its own that has passed.
        assert!(!webhooks.settle(settlement(all[2], "one", 0)).await.unwrap());
        assert!(webhooks.settle(settlement(again[2], "one", 0)).await.unwrap());

        webhooks.release("one").await.unwrap();
        assert_eq!(mine(&webhooks, "one").await, []);
        assert!(webhooks.endpoints("one").await.unwrap().is_any_free);
        store.close().await;
    });
}

#[test]
fn what_is_settled_is_kept_together_and_read_back() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        let id = endpoint(&api).await;
        let of = directory(&store, Settings::default()).await;
        for byte in 0..9 {
            let secret = Secret::new(SecretKind::ScimToken, [byte; 32]);
            api.create_token(of.id(), &secret, SignedDuration::from_hours(1)).await.unwrap();
        }
        webhooks.claim("node", true).await.unwrap();
        let claimed = mine(&webhooks, "node").await[0];
        let part = webhooks.feed().part(0, None, None, 100).await.unwrap();
        assert_eq!((part.events.len(), part.read_to, part.forgotten_to), (10, 10, 0));
        let events: Vec<_> = part.events.into_iter().map(Arc::new).collect();
        let part = webhooks.feed().part(2, Some(7), Some(of.id()), 3).await.unwrap();
        assert_eq!((part.events.len(), part.read_to), (3, 5));
        let part = webhooks.feed().part(5, Some(7), Some(of.id()), 3).await.unwrap();
        assert_eq!((part.events.len(), part.read_to), (2, 7));

        let new = |state, place: usize| NewDelivery {
            event: Arc::clone(&events[place]),
            outcome: tried(&webhooks, state),
        };
        let (pending, delivered, failed) = (
            new(DeliveryState::Pending, 3),
            new(DeliveryState::Delivered, 4),
            new(DeliveryState::Failed, 7),
        );
        let health = Health {
            failing_since: Some(Timestamp::from_second(1_800_000_000).unwrap()),
            ..Health::default()
        };
        let first = Settlement {
            new: vec![pending.clone(), delivered.clone(), failed.clone()],
            lanes: vec![(of.id().to_string(), Some(4))],
            missed_count: 2,
            health,
            ..settlement(claimed, "node", 6)
        };
        assert!(webhooks.settle(first).await.unwrap());
        // Whoever was not answered, because the connection was lost, says the same once more.
        let again = Settlement {
            new: vec![pending.clone(), delivered.clone(), failed.clone()],
            lanes: vec![(of.id().to_string(), Some(4))],
            health,
            ..settlement(claimed, "node", 6)
        };
        assert!(webhooks.settle(again).await.unwrap());
        let loaded = webhooks.load(id).await.unwrap().unwrap();
        assert_eq!((loaded.position, loaded.health), (6, health));
        assert_eq!(loaded.settled, [8]);
        assert_eq!(
            (loaded.lanes[0].id.clone(), loaded.lanes[0].position),
            (of.id().to_string(), 4)
        );
        let found = &loaded.pending[0];
        assert_eq!(loaded.pending.len(), 1);
        assert_eq!(found.event, EventRecord { data: String::new(), ..events[3].as_ref().clone() });
        assert_eq!(found.attempts, pending.outcome.attempts);
        let data = async |new: &NewDelivery| webhooks.data(id, new.outcome.id).await.unwrap();
        assert_eq!(data(&pending).await.as_ref(), Some(&events[3].data));
        // What is delivered is not kept a second time.
        assert_eq!(data(&delivered).await, None);
        let summary = api.endpoint(id).await.unwrap().unwrap();
        // Four behind its place, one on its way, and two of the lane.
        assert_eq!((summary.events_behind, summary.pending_count), (7, 1));
        assert_eq!((summary.failed_count, summary.missed_count), (1, 2));
        let states = async |state| {
            let found = api.deliveries(id, state, None, 10).await.unwrap();
            found.into_iter().map(|it| it.event.position).collect::<Vec<_>>()
        };
        assert_eq!(states(None).await, [8, 5, 4]);
        assert_eq!(states(Some(DeliveryState::Failed)).await, [8]);

        let second = Settlement {
            retried: vec![Retried {
                state: DeliveryState::Delivered,
                attempt_count: 2,
                ..pending.outcome.clone()
            }],
            lanes: vec![(of.id().to_string(), None)],
            ..settlement(claimed, "node", 10)
        };
        assert!(webhooks.settle(second).await.unwrap());
        let summary = api.endpoint(id).await.unwrap().unwrap();
        assert_eq!((summary.events_behind, summary.oldest_at), (0, None));
        assert_eq!(data(&pending).await, None);
        assert_eq!(states(Some(DeliveryState::Delivered)).await, [5, 4]);

        // What was delivered can be brought again, as can what failed; twice asked is once.
        assert!(api.replay_delivery(id, delivered.outcome.id).await.unwrap());
        assert!(!api.replay_delivery(id, delivered.outcome.id).await.unwrap());
        assert_eq!(data(&delivered).await.as_ref(), Some(&events[4].data));
        assert_eq!(api.replay_failed(id).await.unwrap(), 1);
        assert_eq!(api.replay_failed(id).await.unwrap(), 0);
        let again = webhooks.load(id).await.unwrap().unwrap();
        assert!(again.revision > loaded.revision);
        assert!(again.pending.iter().all(|it| it.attempt_count == 0));
        assert_eq!(again.pending.len(), 2);
        store.close().await;
    });
}

/// What the server tells of itself stands in the feed among all else, with numbers of its own.
#[test]
fn an_endpoint_that_is_switched_off_is_told_of_in_the_feed() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        for _ in 0..2 {
            endpoint(&api).await;
        }
        webhooks.claim("node", true).await.unwrap();
        let claimed = mine(&webhooks, "node").await;
        let before = directory(&store, Settings::default()).await;
        for (claimed, reason) in claimed.iter().zip([DisabledReason::Gone, DisabledReason::Failing])
        {
            let off = Settlement { disable: Some(reason), ..settlement(*claimed, "node", 1) };
            assert!(webhooks.settle(off.clone()).await.unwrap());
            assert!(!webhooks.settle(off).await.unwrap(), "once");
            directory(&store, Settings::default()).await;
        }
        let page = api.events(None, None, 100).await.unwrap().unwrap();
        let kinds: Vec<_> =
            page.events.iter().map(|it| (it.position, it.kind.as_str(), it.number)).collect();
        assert_eq!(
            kinds,
            [
                (1, "directory.created", 1),
                (2, "webhook.endpoint_disabled", 1),
                (3, "directory.created", 1),
                (4, "webhook.endpoint_disabled", 2),
                (5, "directory.created", 1),
            ]
        );
        assert_eq!((page.events[1].directory_id, page.events[1].organization_id), (None, None));
        assert_eq!(page.events[0].directory_id, Some(before.id()));
        // Whoever reads one directory does not see it.
        let of_one = api.events(None, Some(before.id()), 100).await.unwrap().unwrap();
        assert_eq!(of_one.events.len(), 1);
        let id = claimed[0].id;
        let disabled = api.endpoint(id).await.unwrap().unwrap().endpoint.disabled.unwrap();
        assert_eq!(disabled.reason, DisabledReason::Gone);
        store.close().await;
    });
}

/// Old events wait for endpoints that have not been brought them yet, but not for ever.
#[test]
fn old_events_are_kept_a_while_for_who_is_behind() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        let id = endpoint(&api).await;
        for _ in 0..3 {
            directory(&store, Settings::default()).await;
        }
        webhooks.claim("node", true).await.unwrap();
        let claimed = mine(&webhooks, "node").await[0];
        assert!(webhooks.settle(settlement(claimed, "node", 1)).await.unwrap());
        database.clock.move_by(2 * DAY);
        let forget = async || {
            let before = store.access().now() - SignedDuration::from_hours(24);
            store.forget_events("node", before).await.unwrap()
        };
        assert_eq!(forget().await, 1);
        assert_eq!(forget().await, 0);
        database.clock.move_by(7 * DAY);
        assert_eq!(forget().await, 2);
        let part = webhooks.feed().part(1, None, None, 10).await.unwrap();
        assert_eq!((part.events.len(), part.read_to, part.forgotten_to), (0, 3, 3));
        assert_eq!(api.endpoint(id).await.unwrap().unwrap().events_behind, 2);
        store.close().await;
    });
}

#[test]
fn what_is_over_is_forgotten_in_time() {
    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        let id = endpoint(&api).await;
        directory(&store, Settings::default()).await;
        webhooks.claim("node", true).await.unwrap();
        let claimed = mine(&webhooks, "node").await[0];
        let event = webhooks.feed().part(0, None, None, 1).await.unwrap().events.remove(0);
        let event = Arc::new(event);
        let new =
            |state| NewDelivery { event: Arc::clone(&event), outcome: tried(&webhooks, state) };
        let mut many: Vec<_> = (0..1_010).map(|_| new(DeliveryState::Delivered)).collect();
        many.extend([new(DeliveryState::Failed), new(DeliveryState::Pending)]);
        let all = Settlement { new: many, ..settlement(claimed, "node", 1) };
        assert!(webhooks.settle(all).await.unwrap());
        // By number: the latest stay.
        assert_eq!(webhooks.prune().await.unwrap(), 10);
        assert_eq!(api.deliveries(id, None, None, 5_000).await.unwrap().len(), 1_002);
        database.clock.move_by(31 * DAY);
        assert_eq!(webhooks.prune().await.unwrap(), 1_000);
        database.clock.move_by(60 * DAY);
        assert_eq!(webhooks.prune().await.unwrap(), 1);
        // What is still to be tried is never forgotten.
        let left = api.deliveries(id, None, None, 10).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].state, DeliveryState::Pending);
        store.close().await;
    });
}

/// Of a thousand-fold dead letter nobody who writes beside it is to notice much.
#[test]
fn many_dead_letters_go_and_begin_anew_a_few_at_a_time() {
    const FAILED: u64 = 5_000;

    on_every_engine(async |database| {
        let store = opened(&database);
        let (api, webhooks) = (store.api(), store.webhooks());
        let ids = [endpoint(&api).await, endpoint(&api).await, endpoint(&api).await];
        directory(&store, Settings::default()).await;
        webhooks.claim("node", true).await.unwrap();
        let event = webhooks.feed().part(0, None, None, 1).await.unwrap().events.remove(0);
        let event = Arc::new(event);
        for claimed in mine(&webhooks, "node").await {
            let mut failed: Vec<_> = (0..FAILED)
                .map(|_| NewDelivery {
                    event: Arc::clone(&event),
                    outcome: tried(&webhooks, DeliveryState::Failed),
                })
                .collect();
            if claimed.id == ids[0] {
                let outcome = tried(&webhooks, DeliveryState::Pending);
                failed.push(NewDelivery { event: Arc::clone(&event), outcome });
            }
            let all = Settlement { new: failed, ..settlement(claimed, "node", 1) };
            assert!(webhooks.settle(all).await.unwrap());
        }

        // Deleted at once for everybody, and in pieces on the disk.
        let delivery = api.deliveries(ids[0], None, None, 1).await.unwrap().remove(0);
        assert!(api.delete_endpoint(ids[0]).await.unwrap());
        assert!(!api.delete_endpoint(ids[0]).await.unwrap());
        assert_eq!(api.endpoint(ids[0]).await.unwrap(), None);
        assert_eq!(api.delivery(ids[0], delivery.id).await.unwrap(), None);
        assert!(!api.replay_delivery(ids[0], delivery.id).await.unwrap());
        assert_eq!(api.replay_failed(ids[0]).await.unwrap(), 0);
        assert_eq!(api.test_endpoint(ids[0]).await.unwrap(), None);
        let change = EndpointChange { is_enabled: Some(true), ..EndpointChange::default() };
        assert!(!api.change_endpoint(ids[0], change).await.unwrap());
        let secret = SigningSecret::new([3; 32]);
        let hour = SignedDuration::from_hours(1);
        assert!(!api.rotate_endpoint_secret(ids[0], secret, hour).await.unwrap());
        assert!(webhooks.load(ids[0]).await.unwrap().is_none());
        assert_eq!(webhooks.endpoints("node").await.unwrap().total, 2);
        let listed = api.endpoints(None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|it| it.endpoint.id).collect::<Vec<_>>(), ids[1..]);
        // With the one that was on its way; the first go with the endpoint.
        let mut pieces = Vec::new();
        loop {
            match webhooks.prune().await.unwrap() {
                0 => break,
                gone => pieces.push(gone),
            }
        }
        assert_eq!(pieces, [2_000, 1_001]);
        assert_eq!(api.deliveries(ids[0], None, None, 10).await.unwrap(), []);
        let left = api.endpoint(ids[1]).await.unwrap().unwrap();
        assert_eq!(left.failed_count, FAILED, "others keep theirs");

        // Replayed, all of them, and with one entry that says how many.
        assert_eq!(api.replay_failed(ids[1]).await.unwrap(), FAILED);
        let again = api.endpoint(ids[1]).await.unwrap().unwrap();
        assert_eq!((again.failed_count, again.pending_count), (0, FAILED));
        assert_eq!(api.replay_failed(ids[1]).await.unwrap(), 0);

        // Old ones go, as many as may at a time.
        database.clock.move_by(91 * DAY);
        let mut pieces = Vec::new();
        loop {
            match webhooks.prune().await.unwrap() {
                0 => break,
                gone => pieces.push(gone),
            }
        }
        assert_eq!(pieces, [2_000, 2_000, 1_000]);
        let pending = api.endpoint(ids[1]).await.unwrap().unwrap().pending_count;
        assert_eq!(pending, FAILED, "what is still to be tried stays");
        store.close().await;
    });
}
