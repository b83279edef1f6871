//! Thirteen endpoints that misbehave, beside healthy ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use courier::{Courier, End, RealTime, schedule};
use directory::webhook::DisabledReason;
use jiff::SignedDuration;
use store::DeliveryState;

use crate::scene::{Manner, Receiver, Recorder, Scene, Virtual, chance, poster};

/// Every misbehaviour is met with the same ten attempts, at the same times, and is told as what it
/// is; what asks for something else is heard.
///
/// Proves S-HOOK-5, S-HOOK-7, S-HOOK-8, S-HOOK-9.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_schedule_is_kept_whatever_an_endpoint_does() {
    let scene = Arc::new(Scene::new(1).await);
    let mut endpoints = Vec::new();
    for manner in Manner::BAD {
        let receiver = Receiver::start(manner).await;
        let id = scene.endpoint(&receiver.url, false).await;
        endpoints.push((manner, receiver, id));
    }
    scene.happen(0).await;
    let mut checking = Vec::new();
    let (recorders, times): (Vec<_>, Vec<_>) =
        endpoints.iter().map(|_| (Recorder::new(poster()), Virtual::new())).unzip();
    let holder = "node";
    // One node works for all of them, each with a clock of its own.
    scene.store.webhooks().claim(holder, true).await.unwrap();
    for (place, (manner, receiver, id)) in endpoints.into_iter().enumerate() {
        let scene = Arc::clone(&scene);
        let (recorder, time) = (Arc::clone(&recorders[place]), times[place].clone());
        checking.push(tokio::spawn(async move {
            let work = scene.work_as(holder, id, &recorder, &time).await;
            let attempts = if manner == Manner::Gone410 { 1 } else { 10 };
            recorder.until(|sent| sent.len() == attempts).await;
            if manner == Manner::Gone410 {
                // It ends by itself.
                assert_eq!(work.running.await.unwrap(), End::Lost);
            } else {
                work.stop().await;
            }
            check(&scene, manner, &receiver, id, &recorder).await;
        }));
    }
    for checking in checking {
        checking.await.unwrap();
    }
    Arc::into_inner(scene).expect("nobody else has it").close().await;
}

async fn check(
    scene: &Scene,
    manner: Manner,
    receiver: &Receiver,
    id: directory::EndpointId,
    recorder: &Recorder,
) {
    let sent = recorder.sent();
    assert!(sent.iter().all(|it| it.id == sent[0].id), "{manner:?}: the same id each time");
    assert!(receiver.received().is_empty());
    let summary = scene.api.endpoint(id).await.unwrap().unwrap();
    let delivery = scene.api.deliveries(id, None, None, 10).await.unwrap().pop().unwrap();
    if manner == Manner::Gone410 {
        let disabled = summary.endpoint.disabled.expect("it was switched off");
        assert_eq!(disabled.reason, DisabledReason::Gone);
        // What it was not brought is brought when somebody switches it on again.
        assert_eq!(delivery.state, DeliveryState::Pending);
        return;
    }
    let gaps = sent.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at));
    for (place, (gap, delay)) in gaps.zip(schedule::DELAYS).enumerate() {
        let asked = SignedDuration::from_secs(120);
        let delay = if manner == Manner::Busy429 { delay.max(asked) } else { delay };
        let most = delay.mul_f64(1.0 + schedule::JITTER) + SignedDuration::from_secs(1);
        assert!(gap >= delay && gap <= most, "{manner:?}: {gap:?} after attempt {}", place + 1);
    }
    assert_eq!(delivery.state, DeliveryState::Failed, "{manner:?}");
    assert_eq!((summary.failed_count, summary.pending_count), (1, 0), "{manner:?}");
    assert_eq!(delivery.attempts.len(), 10);
    for attempt in &delivery.attempts {
        let error = attempt.error.as_deref().unwrap_or_default();
        let status = match manner {
            Manner::Failing500 | Manner::HugeBody => Some(500),
            Manner::Busy429 => Some(429),
            Manner::Moved301 => Some(301),
            Manner::PackedBomb => Some(503),
            _ => None,
        };
        assert_eq!(attempt.status, status, "{manner:?}: {error}");
        assert_eq!(error.is_empty(), status.is_some(), "{manner:?}: {error}");
        let answer = attempt.answer.as_deref().unwrap_or_default();
        assert!(answer.chars().count() <= 1_024, "{manner:?}");
        match manner {
            Manner::Failing500 => assert_eq!(answer, "no \u{fffd} \u{fffd} now\n"),
            Manner::HugeBody | Manner::PackedBomb => assert_eq!(answer.chars().count(), 1_024),
            Manner::SelfSigned => assert!(error.contains("certificate"), "{error}"),
            _ => {}
        }
    }
}

/// Real time and one node: first healthy endpoints alone, then with as many others beside them as
/// there are ways to misbehave.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn healthy_endpoints_do_not_wait_for_others() {
    const EVENTS: usize = 60;
    const HEALTHY: usize = 4;
    let scene = Scene::new(3).await;
    let webhooks = scene.store.webhooks();
    let recorder = Recorder::new(poster());
    let time = Arc::new(RealTime(webhooks.clone()));
    let courier =
        Courier::start(webhooks, recorder.clone(), time, chance(), "this node".to_owned());
    let mut receivers = Vec::new();
    for _ in 0..HEALTHY {
        let receiver = Receiver::start(Manner::Healthy).await;
        scene.endpoint(&receiver.url, false).await;
        receivers.push(receiver);
    }
    let urls: Vec<_> = receivers.iter().map(|it| it.url.clone()).collect();
    let delivered = |sent: &[crate::scene::Sent]| {
        sent.iter().filter(|it| it.answer.is_success() && urls.contains(&it.url)).count()
    };
    // One after the other, so that each is an event that somebody waits for.
    let mut round = 0;
    let mut measure = async || {
        let mut waits = Vec::new();
        for place in 0..EVENTS {
            round += 1;
            let begun = Instant::now();
            scene.happen(place).await;
            recorder.until(|sent| delivered(sent) >= round * HEALTHY).await;
            waits.push(begun.elapsed());
        }
        waits.sort();
        waits[EVENTS * 99 / 100]
    };
    let alone = measure().await;
    let mut others = Vec::new();
    for manner in Manner::BAD {
        let receiver = Receiver::start(manner).await;
        scene.endpoint(&receiver.url, false).await;
        others.push(receiver);
    }
    let beside = measure().await;
    let most = 2 * alone.max(Duration::from_millis(300));
    assert!(beside <= most, "alone {alone:?}, and {beside:?} beside others");
    let failures = recorder.sent().iter().filter(|it| !it.answer.is_success()).count();
    assert!(failures >= Manner::BAD.len(), "the others were tried too");
    for receiver in &receivers {
        let received = receiver.received();
        assert_eq!(received.len(), 2 * EVENTS);
        assert!(received.values().all(|times| *times == 1), "nothing came twice");
    }
    courier.stop().await;
    scene.close().await;
}
