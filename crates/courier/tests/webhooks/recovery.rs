//! What was not delivered at once is delivered in the end: after days, after kills, in order where
//! that is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use courier::{End, Message};
use directory::webhook::DisabledReason;
use jiff::{SignedDuration, Timestamp};
use store::DeliveryState;

use crate::scene::{BEGINNING, Recorder, Scene, Scripted, Sent, Virtual, place};

fn beginning() -> Timestamp {
    Timestamp::from_second(BEGINNING).unwrap()
}

/// In which order the events of each directory have arrived, the first time each.
fn arrived(sent: &[Sent]) -> BTreeMap<String, Vec<u64>> {
    let mut arrived: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for one in sent.iter().filter(|it| it.answer.is_success()) {
        let (directory, number) = one.place.clone();
        let numbers = arrived.entry(directory).or_default();
        if seen.insert(&one.id) {
            numbers.push(number);
        }
    }
    arrived
}

/// Everything that happened after the endpoints were made has arrived.
fn assert_complete(arrived: &BTreeMap<String, Vec<u64>>, directories: usize, each: usize) {
    assert_eq!(arrived.len(), directories);
    for (directory, numbers) in arrived {
        let expected: BTreeSet<u64> = (2..2 + each as u64).collect();
        assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), expected, "{directory}");
    }
}

fn assert_in_order(arrived: &BTreeMap<String, Vec<u64>>) {
    for (directory, numbers) in arrived {
        assert!(numbers.is_sorted(), "{directory}: {numbers:?}");
    }
}

/// An endpoint is away for three days and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_three_days_arrives_in_the_end() {
    for is_ordered in [false, true] {
        let scene = Scene::new(4).await;
        let id = scene.endpoint("https://app.example/hook", is_ordered).await;
        scene.happen_often(120).await;
        let back_at = beginning() + SignedDuration::from_hours(72);
        let post = Scripted(move |_: &Message, now| if now < back_at { 503 } else { 204 });
        let (recorder, time) = (Recorder::new(post), Virtual::new());
        let work = scene.work(id, &recorder, &time).await;
        recorder.until_arrived(120).await;
        assert_eq!(work.stop().await, End::Stopped);

        let arrived = arrived(&recorder.sent());
        assert_complete(&arrived, 4, 30);
        if is_ordered {
            assert_in_order(&arrived);
        }
        // While it was away it was not flooded: rows are few, and so are attempts.
        let in_vain = recorder.sent().iter().filter(|it| !it.answer.is_success()).count();
        assert!(in_vain < 1_200, "{in_vain}");
        let summary = scene.api.endpoint(id).await.unwrap().unwrap();
        assert_eq!((summary.events_behind, summary.pending_count), (0, 0));
        assert_eq!((summary.failed_count, summary.missed_count), (0, 0));
        assert_eq!(summary.health.failing_since, None);
        scene.close().await;
    }
}

/// One event of one directory cannot be delivered: the later ones of its directory wait for it until
/// its attempts are over, and nobody else's do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_event_holds_up_its_own_directory_and_no_other() {
    let scene = Scene::new(3).await;
    let id = scene.endpoint("https://app.example/hook", true).await;
    scene.happen_often(600).await;
    let bad = scene.directories[0].to_string();
    let bad_one = bad.clone();
    let post = Scripted(move |message: &Message, _| match place(&message.body) {
        (directory, 50) if directory == bad_one => 422,
        _ => 200,
    });
    let (recorder, time) = (Recorder::new(post), Virtual::new());
    let work = scene.work(id, &recorder, &time).await;
    recorder.until_arrived(599).await;
    work.stop().await;

    let sent = recorder.sent();
    let mut arrived = arrived(&sent);
    assert_in_order(&arrived);
    let numbers = arrived.get_mut(&bad).unwrap();
    assert_eq!(numbers.len(), 199);
    numbers.push(50);
    assert_complete(&arrived, 3, 200);
    // The others had all arrived before the second attempt; the rest of its own after the last.
    let attempts: Vec<_> = sent.iter().filter(|it| it.answer.status == Some(422)).collect();
    assert_eq!(attempts.len(), 10);
    for one in sent.iter().filter(|it| it.answer.is_success()) {
        let (directory, number) = &one.place;
        if *directory != bad {
            assert!(one.at <= attempts[1].at);
        } else if *number > 50 {
            assert!(one.at >= attempts[9].at);
        }
    }
    let failed = scene.api.deliveries(id, Some(DeliveryState::Failed), None, 10).await.unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].event.number, 50);

    // When it can be delivered, it is asked for once more and arrives.
    assert!(scene.api.replay_delivery(id, failed[0].id).await.unwrap());
    let recorder = Recorder::new(Scripted(|_: &Message, _| 200));
    let work = scene.work(id, &recorder, &time).await;
    recorder.until_arrived(1).await;
    work.stop().await;
    assert_eq!(recorder.sent()[0].id, attempts[0].id);
    let summary = scene.api.endpoint(id).await.unwrap().unwrap();
    assert_eq!((summary.events_behind, summary.failed_count), (0, 0));
    scene.close().await;
}

/// Whoever works is killed again and again, in the middle of it; what it had told the database is not
/// brought again, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing() {
    for is_ordered in [false, true] {
        let scene = Scene::new(5).await;
        let id = scene.endpoint("https://app.example/hook", is_ordered).await;
        scene.happen_often(500).await;
        let turn = AtomicU64::new(0);
        // A third of all attempts fails.
        let post = Scripted(move |_: &Message, _| {
            let turn = turn.fetch_add(1, Ordering::SeqCst);
            if turn % 3 == 1 { 500 } else { 200 }
        });
        let (recorder, time) = (Recorder::new(post), Virtual::new());
        let mut kills = 0;
        while recorder.arrived() < 500 {
            let before = recorder.sent().len();
            let work = scene.work(id, &recorder, &time).await;
            recorder.until_sent(before + 37 + kills % 11, 500).await;
            work.kill().await;
            kills += 1;
        }
        assert!(kills >= 5, "{kills}");
        // What the last one had not told is brought once more.
        let work = scene.work(id, &recorder, &time).await;
        work.stop().await;
        let sent = recorder.sent();
        let arrived = arrived(&sent);
        assert_complete(&arrived, 5, 100);
        if is_ordered {
            assert_in_order(&arrived);
        }
        let again = sent.iter().filter(|it| it.answer.is_success()).count() - 500;
        assert!(again <= kills * 300, "{again} came again after {kills} kills");
        scene.close().await;
    }
}

/// Five days of nothing but failures end it, and the feed says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_days_of_failure_switch_an_endpoint_off() {
    let scene = Scene::new(1).await;
    let id = scene.endpoint("https://app.example/hook", false).await;
    scene.happen_often(30).await;
    let (recorder, time) = (Recorder::new(Scripted(|_: &Message, _| 500)), Virtual::new());
    let work = scene.work(id, &recorder, &time).await;
    recorder.until(|sent| sent.len() == 300).await;
    work.stop().await;
    // All that there was has been given up, and the next day something happens.
    let summary = scene.api.endpoint(id).await.unwrap().unwrap();
    assert_eq!((summary.failed_count, summary.endpoint.disabled), (30, None));
    time.move_to(beginning() + SignedDuration::from_hours(4 * 24));
    scene.happen(0).await;
    let work = scene.work(id, &recorder, &time).await;
    assert_eq!(work.running.await.unwrap(), End::Lost);
    let summary = scene.api.endpoint(id).await.unwrap().unwrap();
    let disabled = summary.endpoint.disabled.expect("it was switched off");
    assert_eq!(disabled.reason, DisabledReason::Failing);
    let after = disabled.at.duration_since(beginning());
    let days = SignedDuration::from_hours(24);
    assert!(after >= 5 * days && after <= 6 * days, "{after:?}");

    let page = scene.api.events(None, None, 1_000).await.unwrap().unwrap();
    let told = page.events.last().unwrap();
    assert_eq!(told.kind, "webhook.endpoint_disabled");
    assert_eq!((told.directory_id, told.organization_id, told.number), (None, None, 1));
    let data: serde_json::Value = serde_json::from_str(&told.data).unwrap();
    assert_eq!(data["endpoint"]["id"], id.to_string());
    assert_eq!(data["endpoint"]["reason"], "failing");

    // Switched on again, it goes on where it was, and nothing is missing.
    let change = store::EndpointChange { is_enabled: Some(true), ..Default::default() };
    assert!(scene.api.change_endpoint(id, change).await.unwrap());
    scene.api.replay_failed(id).await.unwrap();
    let recorder = Recorder::new(Scripted(|_: &Message, _| 200));
    let work = scene.work(id, &recorder, &time).await;
    recorder.until_arrived(31).await;
    work.stop().await;
    assert_complete(&arrived(&recorder.sent()), 1, 31);
    let summary = scene.api.endpoint(id).await.unwrap().unwrap();
    assert_eq!((summary.events_behind, summary.failed_count), (0, 0));
    scene.close().await;
}

/// What was given up is brought again, however much that is, beside what happens now and not before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_now_does_not_wait_for_all_that_had_failed() {
    const FAILED: usize = 150;

    let scene = Scene::new(1).await;
    let id = scene.endpoint("https://app.example/hook", false).await;
    scene.happen_often(FAILED).await;
    let (recorder, time) = (Recorder::new(Scripted(|_: &Message, _| 500)), Virtual::new());
    let work = scene.work(id, &recorder, &time).await;
    recorder.until(|sent| sent.len() == 10 * FAILED).await;
    work.stop().await;
    assert_eq!(scene.api.endpoint(id).await.unwrap().unwrap().failed_count, FAILED as u64);

    scene.api.replay_failed(id).await.unwrap();
    scene.happen(0).await;
    let page = scene.api.events(None, None, 1_000).await.unwrap().unwrap();
    let now = page.events.last().expect("it happened").event_id.clone();
    let recorder = Recorder::new(Scripted(|_: &Message, _| 200));
    let work = scene.work(id, &recorder, &time).await;
    recorder.until(|sent| sent.len() > FAILED).await;
    work.stop().await;
    let place = recorder.sent().iter().position(|it| it.id == now).expect("it was brought");
    assert!(place < FAILED / 2, "it was the {place}th");
    scene.close().await;
}

/// A part of the feed is brought once more; by time, and by cursors.
///
/// Proves S-HOOK-11.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_feed_is_brought_again() {
    let scene = Scene::new(2).await;
    scene.happen_often(40).await;
    let page =
        async |after, count_max| scene.api.events(after, None, count_max).await.unwrap().unwrap();
    let first = page(None, 12).await;
    let second = page(Some(first.next.clone()), 10).await;
    for is_ordered in [false, true] {
        let id = scene.endpoint("https://app.example/hook", is_ordered).await;
        let bring = async |expected: &[store::EventRecord]| {
            let (recorder, time) = (Recorder::new(Scripted(|_: &Message, _| 200)), Virtual::new());
            let work = scene.work(id, &recorder, &time).await;
            recorder.until(|sent| sent.len() >= expected.len()).await;
            work.stop().await;
            let sent: Vec<_> = recorder.sent().into_iter().map(|it| it.id).collect();
            let ids: Vec<_> = expected.iter().map(|it| it.event_id.clone()).collect();
            if is_ordered {
                assert_eq!(sent, ids);
            } else {
                assert_eq!(sent.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
                assert_eq!(sent.len(), ids.len());
            }
        };
        let (after, upto) = (Some(first.next.clone()), Some(second.next.clone()));
        assert_eq!(scene.api.replay_after(id, after, upto).await.unwrap(), Ok(true));
        bring(&second.events).await;

        let (since, until) = (second.events[2].occurred_at, second.events[9].occurred_at);
        assert!(scene.api.replay_between(id, since, Some(until)).await.unwrap());
        let all = page(None, 1_000).await.events;
        let between: Vec<_> = all
            .into_iter()
            .filter(|it| it.occurred_at >= since && it.occurred_at < until)
            .collect();
        bring(&between).await;
        let strange = store::Cursor::presented("no cursor");
        let refused = scene.api.replay_after(id, Some(strange), None).await.unwrap();
        assert_eq!(refused, Err(store::BadCursor::Malformed));
    }
    scene.close().await;
}

/// Many events to many endpoints, of which every second fails again and again:
/// `ROSTER_WEBHOOK_EVENTS` says how many events there are. Everything is delivered in the end.
#[expect(clippy::print_stdout, reason = "whoever waits wants to see what came of it")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_arrives_where_half_of_the_endpoints_are_faulty() {
    #[expect(clippy::disallowed_methods, reason = "a test has no arguments")]
    let asked = std::env::var("ROSTER_WEBHOOK_EVENTS").ok();
    let events = asked.map_or(1_000, |it| it.parse::<usize>().expect("a number"));
    let scene = Arc::new(Scene::new(10).await);
    let mut endpoints = Vec::new();
    for place in 0..6 {
        endpoints.push(scene.endpoint("https://app.example/hook", place % 3 == 0).await);
    }
    scene.happen_often(events).await;
    let holder = "node";
    scene.store.webhooks().claim(holder, true).await.unwrap();
    let mut working = Vec::new();
    for (place, id) in endpoints.into_iter().enumerate() {
        let scene = Arc::clone(&scene);
        working.push(tokio::spawn(async move {
            let (turn, failures) = (AtomicU64::new(0), Mutex::new(HashMap::new()));
            let post = Scripted(move |message: &Message, _| {
                let turn = turn.fetch_add(1, Ordering::SeqCst);
                // As a faulty one does: for a while nothing goes, then some does.
                let is_bad = place % 2 == 1 && (turn % 64 < 8 || turn % 10 == 0);
                let mut failures = failures.lock().unwrap();
                let failures: &mut u32 = failures.entry(message.id.clone()).or_default();
                *failures += u32::from(is_bad);
                if is_bad && *failures <= 6 { 500 } else { 200 }
            });
            let (recorder, time) = (Recorder::new(post), Virtual::new());
            let work = scene.work_as(holder, id, &recorder, &time).await;
            recorder.until_arrived(events).await;
            work.stop().await;
            let summary = scene.api.endpoint(id).await.unwrap().unwrap();
            assert_eq!((summary.events_behind, summary.failed_count), (0, 0), "{place}");
            let arrived = arrived(&recorder.sent());
            assert_complete(&arrived, 10, events / 10);
            if place % 3 == 0 {
                assert_in_order(&arrived);
            }
            let in_vain = recorder.sent().iter().filter(|it| !it.answer.is_success()).count();
            (arrived.values().map(Vec::len).sum::<usize>(), in_vain)
        }));
    }
    let (mut arrived, mut in_vain) = (0, 0);
    for working in working {
        let (of_one, of_one_in_vain) = working.await.unwrap();
        arrived += of_one;
        in_vain += of_one_in_vain;
    }
    println!(
        "{events} events to 6 endpoints, half of them faulty: {arrived} of {} delivered after \
         {in_vain} attempts in vain",
        6 * events
    );
    Arc::into_inner(scene).expect("nobody else has it").close().await;
}
