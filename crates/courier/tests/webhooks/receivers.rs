//! Thirteen endpoints that misbehave, beside healthy ones.

use std::sync::Arc;
use std::time::Duration;

use courier::{Answer, Boxed, Courier, End, Message, Post, RealTime, Time as _, schedule};
use directory::webhook::DisabledReason;
use jiff::{SignedDuration, Timestamp};
use store::DeliveryState;
use tokio::sync::watch;

use crate::scene::{
    Manner, Moved, Receiver, Recorder, Scene, Sent, Virtual, chance, poster, poster_that_waits,
};

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

/// Real time and one node. Who never answers is waited for without end here: if anybody healthy waited
/// for them, this would not end either, however fast the machine is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn healthy_endpoints_do_not_wait_for_others() {
    const EVENTS: usize = 60;
    const HEALTHY: usize = 4;
    let scene = Scene::new(3).await;
    let webhooks = scene.store.webhooks();
    let recorder = Recorder::new(poster_that_waits(Duration::from_hours(1)));
    let time = Arc::new(RealTime(webhooks.clone()));
    let courier =
        Courier::start(webhooks, recorder.clone(), time, chance(), "this node".to_owned());
    let mut others = Vec::new();
    for manner in Manner::BAD {
        let receiver = Receiver::start(manner).await;
        scene.endpoint(&receiver.url, false).await;
        others.push((manner, receiver));
    }
    let mut receivers = Vec::new();
    for _ in 0..HEALTHY {
        let receiver = Receiver::start(Manner::Healthy).await;
        scene.endpoint(&receiver.url, false).await;
        receivers.push(receiver);
    }
    let urls: Vec<_> = receivers.iter().map(|it| it.url.clone()).collect();
    let delivered = |sent: &[Sent]| {
        sent.iter().filter(|it| it.answer.is_success() && urls.contains(&it.url)).count()
    };
    scene.happen(0).await;
    recorder.until(|sent| delivered(sent) >= HEALTHY).await;
    // From here on somebody is waited for.
    let is_hung = |manner: Manner| matches!(manner, Manner::NeverAnswers | Manner::BlackHole);
    for (manner, receiver) in &others {
        if *manner == Manner::NeverAnswers {
            receiver.until_asked().await;
        }
    }
    // One after the other, so that each is an event that somebody waits for.
    for place in 1..EVENTS {
        scene.happen(place).await;
        recorder.until(|sent| delivered(sent) >= (place + 1) * HEALTHY).await;
    }
    // All that can be told of the others was told, and who was waited for still is.
    let was_tried = |sent: &[Sent], receiver: &Receiver| {
        sent.iter().any(|it| it.url == receiver.url && !it.answer.is_success())
    };
    for (manner, receiver) in &others {
        if is_hung(*manner) {
            assert!(!was_tried(&recorder.sent(), receiver), "{manner:?}");
        } else {
            recorder.until(|sent| was_tried(sent, receiver)).await;
        }
    }
    for receiver in &receivers {
        let received = receiver.received();
        assert_eq!(received.len(), EVENTS);
        assert!(received.values().all(|times| *times == 1), "nothing came twice");
    }
    courier.stop().await;
    scene.close().await;
}

/// Answers after a while of the clock that the test moves, as each endpoint does.
struct Play {
    time: Moved,
    /// How many requests to healthy endpoints have begun, and when the others were answered.
    begun: watch::Sender<usize>,
    delivered: watch::Sender<Vec<Timestamp>>,
    hanging: watch::Sender<usize>,
}

/// How long a healthy endpoint takes, and for how long it is waited for one that does not answer.
const HEALTHY_TAKES: SignedDuration = SignedDuration::from_secs(1);
const WAITED_FOR: SignedDuration = SignedDuration::from_secs(15);

impl Post for Play {
    fn post(&self, message: Message, now: Timestamp) -> Boxed<Answer> {
        let (time, delivered) = (self.time.clone(), self.delivered.clone());
        let manner = Manner::BAD.into_iter().find(|it| message.url.ends_with(&format!("{it:?}")));
        match manner {
            None => self.begun.send_modify(|begun| *begun += 1),
            Some(manner) if hangs(manner) => self.hanging.send_modify(|hanging| *hanging += 1),
            Some(_) => {}
        }
        Box::pin(async move {
            let status = |status| Answer { status: Some(status), ..Answer::default() };
            let failed = || Answer { error: Some("it failed".to_owned()), ..Answer::default() };
            match manner {
                None => {
                    time.clone().until(now + HEALTHY_TAKES).await;
                    delivered.send_modify(|all| all.push(time.now()));
                    status(200)
                }
                Some(manner) if hangs(manner) => {
                    time.until(now + WAITED_FOR).await;
                    failed()
                }
                Some(Manner::Busy429) => {
                    let retry_after = Some(SignedDuration::from_secs(120));
                    Answer { retry_after, ..status(429) }
                }
                Some(Manner::Gone410) => status(410),
                Some(Manner::Moved301) => status(301),
                Some(Manner::Failing500 | Manner::HugeBody) => status(500),
                Some(Manner::PackedBomb) => status(503),
                Some(_) => failed(),
            }
        })
    }
}

/// Whether it is waited for until patience ends.
fn hangs(manner: Manner) -> bool {
    matches!(manner, Manner::NeverAnswers | Manner::BlackHole | Manner::ByteByByte)
}

/// How long healthy endpoints wait for their events, one event after the other, beside these: in time
/// that the test moves, and only when everybody healthy is being brought the event, or cannot be.
async fn delays_beside(others: &[Manner]) -> Vec<SignedDuration> {
    const EVENTS: usize = 12;
    const HEALTHY: usize = 3;
    /// Events that only the others are brought: as many as are under way to an endpoint at once.
    const BEFORE: usize = 8;
    /// For how long nothing happens before the clock goes on though somebody healthy waits.
    const PATIENCE: Duration = Duration::from_secs(5);

    let scene = Scene::new(2).await;
    for place in 0..HEALTHY {
        let url = format!("https://app.example/{place}/healthy");
        scene.endpoint_of(&url, place == 0, Some(scene.directories[0])).await;
    }
    for (place, manner) in others.iter().enumerate() {
        scene.endpoint(&format!("https://app.example/{place}/{manner:?}"), false).await;
    }
    let (time, webhooks) = (Moved::new(), scene.store.webhooks());
    let (begun, delivered, hanging) =
        (watch::Sender::new(0), watch::Sender::new(Vec::new()), watch::Sender::new(0));
    let play = Play {
        time: time.clone(),
        begun: begun.clone(),
        delivered: delivered.clone(),
        hanging: hanging.clone(),
    };
    let clock = Arc::new(time.clone());
    let courier = Courier::start(webhooks, Arc::new(play), clock, chance(), "this node".to_owned());
    for _ in 0..BEFORE {
        scene.happen(1).await;
    }
    // All that hang have taken what they can get, up to what a node has under way at once.
    let hung = others.iter().filter(|it| hangs(**it)).count() * BEFORE;
    let all_that_can = move |hanging: &usize| *hanging >= hung.min(512);
    hanging.subscribe().wait_for(all_that_can).await.expect("it is here");
    let mut delays = Vec::new();
    for event in 1..=EVENTS {
        let at = time.now();
        scene.happen(0).await;
        loop {
            let mut begun = begun.subscribe();
            let is_under_way = begun.wait_for(|begun| *begun >= event * HEALTHY);
            if tokio::time::timeout(PATIENCE, is_under_way).await.is_ok() {
                break;
            }
            time.go_on(HEALTHY_TAKES);
        }
        time.go_on(HEALTHY_TAKES);
        let mut delivered = delivered.subscribe();
        let all = delivered.wait_for(|all| all.len() >= event * HEALTHY).await;
        let all = all.expect("it is here");
        delays.extend(all[(event - 1) * HEALTHY..].iter().map(|it| it.duration_since(at)));
    }
    courier.stop().await;
    scene.close().await;
    delays
}

/// Beside every misbehaviour, and beside so many that hang for the first time, all at once, that they
/// would take every place of a node.
///
/// What healthy endpoints are held up by is measured where nothing else holds them up: the clock stands
/// while this machine works.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn healthy_endpoints_are_not_delayed_more_than_twice() {
    let alone = delays_beside(&[]).await.into_iter().max().expect("there are some");
    assert_eq!(alone, HEALTHY_TAKES);
    let crowd: Vec<_> = Manner::BAD.into_iter().chain([Manner::NeverAnswers; 80]).collect();
    for others in [&Manner::BAD[..], &crowd] {
        let delays = delays_beside(others).await;
        let longest = *delays.iter().max().expect("there are some");
        assert!(longest <= alone * 2, "{longest:?} beside {} that misbehave", others.len());
    }
}
