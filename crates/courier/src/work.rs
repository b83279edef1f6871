//! One endpoint: what it is brought, in which order, and what becomes of it.
//!
//! Events are looked at in the order of the feed. Those that are delivered at once leave no more than
//! a place in the feed behind, and a row that is forgotten soon; what fails gets a row and is tried
//! again from there. The place moves only past what is delivered or has a row, in one transaction with
//! these rows, so that whoever takes over goes on without having missed anything.
//!
//! Where an endpoint wants events in order, what follows in a directory upon one that has failed is a
//! *lane*: a place in the feed of its own, from which the directory catches up as soon as the failed
//! one is settled. It costs one row, however much is held up, and holds up nobody else. What is to be
//! brought again is a lane too.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::webhook::{DisabledReason, SigningSecret};
use directory::{DeliveryId, DirectoryId, EndpointId};
use jiff::{SignedDuration, Timestamp};
use store::{
    Attempt, DeliveryRecord, DeliveryState, Endpoint, EventRecord, Health, Loaded, NewDelivery,
    Replay, Retried, Settlement, TEST, Tail, WebhookStore,
};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::message::Message;
use crate::post::{Answer, Boxed, Post};
use crate::schedule::{self, FAILING_MAX, FAILURES_APART, PAUSE_MAX};

/// Requests to one endpoint at once, and to one that has failed lately several times in a row.
const AT_ONCE: usize = 8;
const AT_ONCE_FAILING: usize = 2;

/// Failures in a row after which an endpoint counts as failing.
const FAILURES_MANY: u32 = 5;

/// Requests of a node at once: to endpoints that fail, and to the others, so that none of these
/// waits for one of those. Beside these, one to each endpoint: many that hang for the first time are not
/// known to fail yet, and take all places for as long as it is waited for them.
const ALL_AT_ONCE: usize = 512;
const ALL_AT_ONCE_FAILING: usize = 256;

/// Deliveries that wait for another attempt after which a failing endpoint is brought no more new
/// events, but for one now and then that says how it is doing. It keeps its place in the feed.
const WAITING_MAX: usize = 100;
/// The same of one that does not fail altogether: they are all in memory.
const WAITING_MOST: usize = 10_000;
const TRICKLE: SignedDuration = SignedDuration::from_mins(1);

/// Events ahead of the place of an endpoint.
const AHEAD_MAX: usize = 256;

/// Events that are read at once.
const PAGE: u64 = 100;

/// So many times, along the feed and along all lanes, before it is looked what else there is to do.
const PAGES_AT_ONCE: u32 = 20;

/// How soon a place is kept that has moved past events which the endpoint does not want.
const PLACE_KEPT_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// Rows in memory below which more are looked for.
const ROWS_FEW: usize = 50;

/// How long it is waited for what is under way when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// How long it is waited when the database could not be reached.
const DATABASE_AWAY: SignedDuration = SignedDuration::from_secs(1);

/// Time, as whoever works here knows it.
pub trait Time: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Ends at this moment. `is_idle` says that nothing else is under way here: a clock that is moved
    /// by hand is to be moved then.
    fn wait(&self, until: Timestamp, is_idle: bool) -> Boxed<()>;
}

/// Chance: a number from 0 to 1.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What all endpoints of a node share.
#[derive(Clone)]
pub struct Shared {
    pub(crate) store: WebhookStore,
    pub(crate) tail: Tail,
    pub(crate) post: Arc<dyn Post>,
    pub(crate) chance: Chance,
    pub(crate) holder: Arc<str>,
    gate: Arc<Semaphore>,
    gate_failing: Arc<Semaphore>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Shared {
    /// `holder` names this node, in this life of it, among those that share the database.
    pub fn new(
        store: WebhookStore,
        tail: Tail,
        post: Arc<dyn Post>,
        chance: Chance,
        holder: &str,
    ) -> Shared {
        Shared {
            store,
            tail,
            post,
            chance,
            holder: holder.into(),
            gate: Arc::new(Semaphore::new(ALL_AT_ONCE)),
            gate_failing: Arc::new(Semaphore::new(ALL_AT_ONCE_FAILING)),
        }
    }
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To work, and to look again where this has changed.
    Work {
        /// See [`store::Claimed::revision`].
        revision: u64,
    },
    /// To finish what is under way and end.
    Stop,
}

/// Brings events to one endpoint.
pub struct Worker {
    shared: Shared,
    time: Arc<dyn Time>,
    epoch: u64,
    endpoint: Endpoint,
    revision: u64,
    secrets: Vec<SigningSecret>,
    health: Health,
    main: Stream,
    /// Where the endpoint is, as it was kept last.
    kept_place: u64,
    /// Since when it could be kept that the place has moved on.
    moved_at: Option<Timestamp>,
    lanes: BTreeMap<String, Lane>,
    rows: BTreeMap<DeliveryId, Row>,
    /// Rows that are not under way, by when they are due.
    due: BTreeSet<(Timestamp, DeliveryId)>,
    has_more_rows: bool,
    /// Directories of which an event is under way, where they are to be in order.
    busy: HashSet<DirectoryId>,
    /// Behind the place, and settled in an earlier life.
    settled: BTreeSet<u64>,
    running: JoinSet<Done>,
    /// The place that no other endpoint can take.
    own_place: Arc<Semaphore>,
    failures: u32,
    /// The endpoint has asked to be left alone until then.
    paused_until: Option<Timestamp>,
    trickle_at: Timestamp,
    unkept: Unkept,
    could_not_keep: bool,
    /// When one of the secrets ends.
    secrets_until: Option<Timestamp>,
}

/// A walk along the feed.
#[derive(Debug, Default)]
struct Stream {
    read_to: u64,
    /// What was read, is wanted, and not settled.
    open: BTreeSet<u64>,
    /// What of it is not under way.
    queue: VecDeque<Arc<EventRecord>>,
}

impl Stream {
    fn at(position: u64) -> Stream {
        Stream { read_to: position, ..Stream::default() }
    }

    /// Everything up to here is settled.
    fn place(&self) -> u64 {
        self.open.first().map_or(self.read_to, |first| first - 1)
    }
}

#[derive(Debug)]
struct Lane {
    stream: Stream,
    of: Of,
    /// One after the other.
    is_ordered: bool,
    /// One of them failed, and the others wait for it.
    is_blocked: bool,
}

/// What a lane is of.
#[derive(Clone, Copy, Debug)]
enum Of {
    Directory(DirectoryId),
    Replay(Replay),
}

impl Lane {
    /// Whether something can be begun: one thing at a time where they are to be in order.
    fn is_ready(&self) -> bool {
        let is_under_way = self.stream.open.len() > self.stream.queue.len();
        let must_wait = self.is_blocked || self.is_ordered && is_under_way;
        !must_wait && !self.stream.queue.is_empty()
    }
}

#[derive(Debug)]
struct Row {
    record: DeliveryRecord,
    is_under_way: bool,
}

/// Where something that is under way comes from.
#[derive(Clone, Debug)]
enum From {
    Main,
    Lane(String),
    Row(DeliveryId),
}

/// What is over.
struct Done {
    from: From,
    event: Arc<EventRecord>,
    began: Timestamp,
    duration: Duration,
    /// `None` where it could not be begun, or there was nothing to begin.
    answer: Result<Option<Answer>, store::Error>,
}

/// What was done and is not kept yet.
#[derive(Debug, Default)]
struct Unkept {
    new: Vec<NewDelivery>,
    retried: Vec<Retried>,
    lanes: BTreeMap<String, Option<u64>>,
    missed_count: u64,
    disable: Option<DisabledReason>,
    is_any: bool,
}

/// Why a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Another node does this now, or the endpoint is gone or switched off.
    Lost,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("endpoint", &self.endpoint.id).finish_non_exhaustive()
    }
}

impl Worker {
    /// Takes up the work for an endpoint where it was left. `None` where the endpoint is gone.
    pub async fn take_up(
        shared: Shared,
        time: Arc<dyn Time>,
        id: EndpointId,
        epoch: u64,
    ) -> Result<Option<Worker>, store::Error> {
        let Some(loaded) = shared.store.load(id).await? else { return Ok(None) };
        let mut worker = Worker {
            time,
            epoch,
            endpoint: loaded.endpoint.clone(),
            revision: loaded.revision,
            secrets: Vec::new(),
            health: loaded.health,
            main: Stream::at(loaded.position),
            kept_place: loaded.position,
            moved_at: None,
            lanes: BTreeMap::new(),
            rows: BTreeMap::new(),
            due: BTreeSet::new(),
            has_more_rows: false,
            busy: HashSet::new(),
            settled: loaded.settled.iter().copied().collect(),
            running: JoinSet::new(),
            own_place: Arc::new(Semaphore::new(1)),
            failures: 0,
            paused_until: None,
            trickle_at: Timestamp::MIN,
            unkept: Unkept::default(),
            could_not_keep: false,
            secrets_until: None,
            shared,
        };
        worker.learn(loaded);
        Ok(Some(worker))
    }

    /// Works until it is told to stop, or may not go on.
    pub async fn run(mut self, mut orders: watch::Receiver<Order>) -> End {
        let mut end_of_feed = self.shared.tail.watch();
        loop {
            let order = *orders.borrow_and_update();
            let is_other = match order {
                Order::Stop => return self.stop().await,
                Order::Work { revision } => revision != self.revision,
            };
            // A secret that has ended signs nothing any more.
            let now = self.time.now();
            let looks_again = is_other || self.secrets_until.is_some_and(|until| until <= now);
            // What is not kept yet is known here alone: nothing is loaded over it, and where it could not be
            // kept, nothing is begun that goes by it.
            if self.unkept.is_any && (looks_again || self.wants_rows() || self.could_not_keep) {
                match self.keep().await {
                    Ok(true) => self.could_not_keep = false,
                    Ok(false) => return End::Lost,
                    Err(error) => {
                        self.could_not_keep = true;
                        self.wait_for_database(&error).await;
                        continue;
                    }
                }
            }
            if looks_again && !self.look_again().await {
                return End::Lost;
            }
            end_of_feed.mark_unchanged();
            let is_all_read = match self.fill().await {
                Ok(is_all_read) => is_all_read,
                Err(error) => {
                    self.wait_for_database(&error).await;
                    continue;
                }
            };
            self.start();
            let now = self.time.now();
            if self.unkept.is_any || self.moved_at.is_some_and(|at| at + PLACE_KEPT_AFTER <= now) {
                match self.keep().await {
                    Ok(true) => continue,
                    Ok(false) => return End::Lost,
                    Err(error) => {
                        self.could_not_keep = self.unkept.is_any;
                        self.wait_for_database(&error).await;
                        continue;
                    }
                }
            }
            let wake_at = if is_all_read { self.wake_at(now) } else { Some(now) };
            let is_idle = self.running.is_empty();
            tokio::select! {
                biased;
                Some(done) = self.running.join_next(), if !is_idle => {
                    self.finish(done);
                    while let Some(done) = self.running.try_join_next() {
                        self.finish(done);
                    }
                }
                changed = orders.changed() => {
                    // Whoever gave orders is gone, and so is the server.
                    if changed.is_err() {
                        return self.stop().await;
                    }
                }
                _ = end_of_feed.changed() => {}
                () = self.time.wait(wake_at.unwrap_or(now), is_idle), if wake_at.is_some() => {}
            }
        }
    }

    /// Takes in what the database says, beside what is under way.
    fn learn(&mut self, loaded: Loaded) {
        self.endpoint = loaded.endpoint;
        self.revision = loaded.revision;
        self.secrets = loaded.secrets;
        self.secrets_until = loaded.secrets_until;
        self.has_more_rows = loaded.has_more_pending;
        for lane in loaded.lanes {
            let of = match (lane.replay, lane.id.parse()) {
                (Some(replay), _) => Of::Replay(replay),
                (None, Ok(directory)) => Of::Directory(directory),
                (None, Err(_)) => continue,
            };
            let is_ordered = self.endpoint.is_ordered || matches!(of, Of::Directory(_));
            self.lanes.entry(lane.id).or_insert_with(|| Lane {
                stream: Stream::at(lane.position),
                of,
                is_ordered,
                is_blocked: false,
            });
        }
        let known: BTreeSet<_> = loaded.pending.iter().map(|record| record.id).collect();
        if !self.has_more_rows {
            // What was there and is no more, somebody has taken away.
            self.rows.retain(|id, row| row.is_under_way || known.contains(id));
        }
        for record in loaded.pending {
            let id = record.id;
            if self.rows.get(&id).is_some_and(|row| row.is_under_way) {
                continue;
            }
            self.rows.insert(id, Row { record, is_under_way: false });
        }
        let rows = self.rows.iter().filter(|(_, row)| !row.is_under_way);
        self.due = rows.map(|(id, row)| (row.record.next_attempt_at, *id)).collect();
        // Also those that are not in memory: there may be many rows that are more urgent.
        let mut waited_for: HashSet<_> = loaded.waiting_lanes.into_iter().collect();
        waited_for.extend(self.rows.values().filter_map(|row| row.record.lane.clone()));
        for (id, lane) in &mut self.lanes {
            lane.is_blocked = waited_for.contains(id);
        }
    }

    /// `false` where the endpoint is gone.
    async fn look_again(&mut self) -> bool {
        loop {
            match self.shared.store.load(self.endpoint.id).await {
                Ok(Some(loaded)) => {
                    self.learn(loaded);
                    return true;
                }
                Ok(None) => return false,
                Err(error) => self.wait_for_database(&error).await,
            }
        }
    }

    async fn wait_for_database(&self, error: &store::Error) {
        tracing::warn!(
            endpoint_id = %self.endpoint.id,
            error = error as &dyn std::error::Error,
            "webhook endpoint {} waits for the database",
            self.endpoint.id,
        );
        self.time.wait(self.time.now() + DATABASE_AWAY, true).await;
    }

    /// Waits for what is under way, for a while, and keeps what came of it.
    async fn stop(mut self) -> End {
        let finishing = async {
            while let Some(done) = self.running.join_next().await {
                self.finish(done);
            }
        };
        // What is not over by then is tried again by whoever takes over.
        let _ = tokio::time::timeout(GRACE, finishing).await;
        if let Err(error) = self.keep().await {
            tracing::warn!(
                endpoint_id = %self.endpoint.id,
                error = &error as &dyn std::error::Error,
                "what webhook endpoint {} was brought last was not kept, and is brought again",
                self.endpoint.id,
            );
        }
        End::Stopped
    }

    fn is_failing(&self) -> bool {
        self.failures >= FAILURES_MANY
    }

    /// Whether new events have to wait because too many are tried again.
    fn is_held_up(&self, now: Timestamp) -> bool {
        let most = if self.is_failing() { WAITING_MAX } else { WAITING_MOST };
        self.due.len() >= most && now < self.trickle_at
    }

    /// Whether more rows are to be looked for.
    fn wants_rows(&self) -> bool {
        self.has_more_rows && self.rows.len() < ROWS_FEW
    }

    /// Reads on, for a while; says whether that was all. Meanwhile nothing else is done, and there may be
    /// millions of events that this endpoint does not want.
    async fn fill(&mut self) -> Result<bool, store::Error> {
        if self.wants_rows()
            && let Some(loaded) = self.shared.store.load(self.endpoint.id).await?
        {
            self.learn(loaded);
        }
        let end = *self.shared.tail.watch().borrow();
        let mut pages = 0;
        while pages < PAGES_AT_ONCE
            && self.main.open.len() < AHEAD_MAX
            && self.main.queue.len() < AHEAD_MAX / 2
            && self.main.read_to < end
        {
            let part = self.shared.tail.events(self.main.read_to, PAGE).await?;
            if part.forgotten_to > self.main.read_to {
                self.unkept.missed_count += part.forgotten_to - self.main.read_to;
                self.unkept.is_any = true;
            }
            if part.read_to <= self.main.read_to {
                break;
            }
            for event in part.events {
                let is_held = event.directory_id.is_some_and(|directory| {
                    !self.lanes.is_empty() && self.lanes.contains_key(&directory.to_string())
                });
                if self.wants(&event) && !is_held && !self.settled.remove(&event.position) {
                    self.main.open.insert(event.position);
                    self.main.queue.push_back(event);
                }
            }
            self.main.read_to = part.read_to;
            pages += 1;
        }
        let mut is_all_read = pages < PAGES_AT_ONCE;
        let mut pages = 0;
        let ids: Vec<_> = self.lanes.keys().cloned().collect();
        for id in ids {
            self.fill_lane(&id, &mut pages).await?;
            if pages >= PAGES_AT_ONCE {
                is_all_read = false;
                break;
            }
        }
        if self.main.place() > self.kept_place {
            let now = self.time.now();
            self.moved_at.get_or_insert(now);
        }
        Ok(is_all_read)
    }

    async fn fill_lane(&mut self, id: &str, pages: &mut u32) -> Result<(), store::Error> {
        while *pages < PAGES_AT_ONCE {
            let lane = self.lanes.get_mut(id).expect("it is one of ours");
            if lane.is_blocked || !lane.stream.queue.is_empty() {
                return Ok(());
            }
            let (end, directory) = match lane.of {
                Of::Directory(directory) => (self.main.read_to, Some(directory)),
                Of::Replay(replay) => (replay.end, None),
            };
            if lane.stream.read_to >= end {
                if lane.stream.open.is_empty() {
                    // From here on the rest goes on with it.
                    self.lanes.remove(id);
                    self.unkept.lanes.insert(id.to_owned(), None);
                    self.unkept.is_any = true;
                }
                return Ok(());
            }
            let (read_to, of) = (lane.stream.read_to, lane.of);
            let part = self.shared.store.feed().part(read_to, Some(end), directory, PAGE).await?;
            if part.forgotten_to > read_to {
                self.unkept.missed_count += part.forgotten_to - read_to;
                self.unkept.is_any = true;
            }
            let is_asked = |event: &EventRecord| match of {
                Of::Directory(_) => true,
                Of::Replay(Replay { since, until, .. }) => {
                    since.is_none_or(|since| event.occurred_at >= since)
                        && until.is_none_or(|until| event.occurred_at < until)
                }
            };
            let wanted: Vec<_> = part
                .events
                .into_iter()
                .filter(|event| is_asked(event) && self.wants(event))
                .map(Arc::new)
                .collect();
            let lane = self.lanes.get_mut(id).expect("nobody has removed it");
            lane.stream.open.extend(wanted.iter().map(|event| event.position));
            lane.stream.queue.extend(wanted);
            // A feed that ends before what was asked for has no more.
            lane.stream.read_to = if part.read_to > read_to { part.read_to } else { end };
            *pages += 1;
        }
        Ok(())
    }

    fn wants(&self, event: &EventRecord) -> bool {
        self.endpoint.filter.matches(&event.kind, event.organization_id, event.directory_id)
    }

    /// Begins as much as may be under way at once, the most urgent first.
    fn start(&mut self) {
        let now = self.time.now();
        if self.unkept.disable.is_some() || self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        let most = if self.is_failing() { AT_ONCE_FAILING } else { AT_ONCE };
        while self.running.len() < most {
            let is_due = self.due.first().is_some_and(|(at, _)| *at <= now);
            // What is tried again, or brought again, may be a hundred thousand: it takes half of the places
            // where something new is waiting.
            let is_their_turn = self.main.queue.is_empty()
                || self.is_held_up(now)
                || self.rows.values().filter(|row| row.is_under_way).count() < (most / 2).max(1);
            if is_due && is_their_turn {
                self.begin_row();
            } else if let Some((id, event)) =
                self.next_of_lanes(|of| matches!(of, Of::Directory(_)))
            {
                self.begin(From::Lane(id), event);
            } else if self.is_held_up(now) {
                return;
            } else if let Some(event) = self.next_of_main() {
                self.trickle_at = now + TRICKLE;
                self.begin(From::Main, event);
            } else if let Some((id, event)) = self.next_of_lanes(|of| matches!(of, Of::Replay(_))) {
                self.trickle_at = now + TRICKLE;
                self.begin(From::Lane(id), event);
            } else if is_due {
                self.begin_row();
            } else {
                return;
            }
        }
    }

    /// Tries the most urgent once more.
    fn begin_row(&mut self) {
        let (_, id) = self.due.pop_first().expect("one is due");
        let row = self.rows.get_mut(&id).expect("what is due has a row");
        row.is_under_way = true;
        let event = Arc::new(row.record.event.clone());
        self.begin(From::Row(id), event);
    }

    fn next_of_lanes(&mut self, is_it: fn(&Of) -> bool) -> Option<(String, Arc<EventRecord>)> {
        let (id, lane) =
            self.lanes.iter_mut().find(|(_, lane)| is_it(&lane.of) && lane.is_ready())?;
        Some((id.clone(), lane.stream.queue.pop_front()?))
    }

    fn next_of_main(&mut self) -> Option<Arc<EventRecord>> {
        if !self.endpoint.is_ordered {
            return self.main.queue.pop_front();
        }
        let is_free = |event: &Arc<EventRecord>| {
            event.directory_id.is_none_or(|directory| !self.busy.contains(&directory))
        };
        let place = self.main.queue.iter().position(is_free)?;
        let event = self.main.queue.remove(place)?;
        self.busy.extend(event.directory_id);
        Some(event)
    }

    fn begin(&mut self, from: From, event: Arc<EventRecord>) {
        let gate = if self.is_failing() { &self.shared.gate_failing } else { &self.shared.gate };
        let (gate, own_place) = (Arc::clone(gate), Arc::clone(&self.own_place));
        let (store, post) = (self.shared.store.clone(), Arc::clone(&self.shared.post));
        let (time, endpoint_id) = (Arc::clone(&self.time), self.endpoint.id);
        let (url, secrets) = (self.endpoint.url.clone(), self.secrets.clone());
        self.running.spawn(async move {
            // Nobody closes it.
            let _place = tokio::select! {
                biased;
                place = own_place.acquire_owned() => place,
                place = gate.acquire_owned() => place,
            };
            let mut done =
                Done { from, event, began: time.now(), duration: Duration::ZERO, answer: Ok(None) };
            let kept = match &done.from {
                From::Main | From::Lane(_) => None,
                From::Row(id) => match store.data(endpoint_id, *id).await {
                    Ok(Some(data)) => Some(data),
                    Ok(None) => return done,
                    Err(error) => {
                        done.answer = Err(error);
                        return done;
                    }
                },
            };
            let data = kept.as_deref().unwrap_or(&done.event.data);
            let message = Message::new(&url, &done.event, data, &secrets, done.began);
            let begun = Instant::now();
            let answer = post.post(message, done.began).await;
            done.duration = begun.elapsed();
            done.answer = Ok(Some(answer));
            done
        });
    }

    /// Takes in what came of something.
    fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        // Nobody aborts it, and a panic in it is one of ours that ends the worker: another takes over
        // where it was kept.
        let done = done.expect("an attempt does not panic");
        let answer = match done.answer {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                // Its row is gone.
                if let From::Row(id) = done.from {
                    let row = self.rows.remove(&id);
                    self.unblock(row.and_then(|row| row.record.lane));
                }
                return;
            }
            Err(_) => {
                if let From::Row(id) = done.from
                    && let Some(row) = self.rows.get_mut(&id)
                {
                    row.is_under_way = false;
                    row.record.next_attempt_at = self.time.now() + DATABASE_AWAY;
                    self.due.insert((row.record.next_attempt_at, id));
                }
                return;
            }
        };
        self.judge(&answer, &done.event, done.began);
        let attempt = Attempt {
            at: done.began,
            duration_ms: u64::try_from(done.duration.as_millis()).unwrap_or(u64::MAX),
            status: answer.status,
            error: answer.error.clone(),
            answer: answer.body.clone().filter(|_| !answer.is_success()),
        };
        self.unkept.is_any = true;
        match done.from {
            From::Row(id) => self.finish_row(id, attempt, &answer),
            from => self.finish_new(&from, &done.event, attempt, &answer),
        }
    }

    /// Draws conclusions about the endpoint.
    fn judge(&mut self, answer: &Answer, event: &EventRecord, began: Timestamp) {
        let now = self.time.now();
        if answer.is_success() {
            self.failures = 0;
            self.paused_until = None;
            self.health.failing_since = None;
            self.health.last_success_at = Some(now);
            return;
        }
        if event.kind == TEST {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let was_tried =
            self.health.last_failure_at.is_some_and(|at| began.duration_since(at) < FAILURES_APART);
        let since = self.health.failing_since.filter(|_| was_tried).unwrap_or(began);
        self.health.failing_since = Some(since);
        self.health.last_failure_at = Some(now);
        if matches!(answer.status, Some(429 | 503)) {
            let pause = answer.retry_after.map(|it| it.min(PAUSE_MAX));
            self.paused_until = pause.map(|pause| now + pause).max(self.paused_until);
        }
        if answer.status == Some(410) {
            self.unkept.disable = Some(DisabledReason::Gone);
        } else if now.duration_since(since) >= FAILING_MAX {
            self.unkept.disable = Some(DisabledReason::Failing);
        }
    }

    /// What becomes of a delivery that was tried like this.
    fn outcome(&self, tried: Retried, answer: &Answer, is_test: bool) -> Retried {
        let over = |state| Retried { state, lane: None, ..tried.clone() };
        if answer.is_success() {
            return over(DeliveryState::Delivered);
        }
        let chance = (self.shared.chance)();
        let delay = schedule::delay(tried.attempt_count, chance, answer.retry_after);
        match delay.filter(|_| !is_test) {
            None => over(DeliveryState::Failed),
            Some(delay) => Retried { next_attempt_at: self.time.now() + delay, ..tried },
        }
    }

    fn finish_row(&mut self, id: DeliveryId, attempt: Attempt, answer: &Answer) {
        let Some(mut row) = self.rows.remove(&id) else { return };
        let record = &mut row.record;
        record.attempts.push(attempt);
        record.attempt_count += 1;
        let tried = Retried {
            id,
            state: DeliveryState::Pending,
            lane: record.lane.clone(),
            attempt_count: record.attempt_count,
            next_attempt_at: Timestamp::UNIX_EPOCH,
            attempts: record.attempts.clone(),
        };
        let outcome = self.outcome(tried, answer, record.event.kind == TEST);
        if outcome.state == DeliveryState::Pending {
            record.next_attempt_at = outcome.next_attempt_at;
            row.is_under_way = false;
            self.due.insert((outcome.next_attempt_at, id));
            self.rows.insert(id, row);
        } else {
            self.unblock(row.record.lane);
        }
        self.unkept.retried.push(outcome);
    }

    fn unblock(&mut self, lane: Option<String>) {
        if let Some(lane) = lane.and_then(|id| self.lanes.get_mut(&id)) {
            lane.is_blocked = false;
        }
    }

    fn finish_new(
        &mut self,
        from: &From,
        event: &Arc<EventRecord>,
        attempt: Attempt,
        answer: &Answer,
    ) {
        // Which lane waits for it, if it has failed.
        let lane = match from {
            From::Lane(id) => {
                self.lanes.get(id).is_some_and(|lane| lane.is_ordered).then(|| id.clone())
            }
            _ if self.endpoint.is_ordered => event.directory_id.map(|id| id.to_string()),
            _ => None,
        };
        let id = self.shared.store.new_id();
        let tried = Retried {
            id,
            state: DeliveryState::Pending,
            lane: lane.clone(),
            attempt_count: 1,
            next_attempt_at: Timestamp::UNIX_EPOCH,
            attempts: vec![attempt],
        };
        let outcome = self.outcome(tried, answer, false);
        let is_pending = outcome.state == DeliveryState::Pending;
        if let From::Lane(id) = from {
            if let Some(it) = self.lanes.get_mut(id) {
                it.stream.open.remove(&event.position);
                it.is_blocked = is_pending && it.is_ordered;
                self.unkept.lanes.insert(id.clone(), Some(it.stream.place()));
            }
        } else {
            self.main.open.remove(&event.position);
            if let Some(directory) = event.directory_id {
                self.busy.remove(&directory);
                if let Some(lane) = lane.filter(|_| is_pending) {
                    self.hold(directory, lane, event.position);
                }
            }
        }
        if is_pending {
            let record = DeliveryRecord {
                id,
                state: outcome.state,
                event: EventRecord { data: String::new(), ..event.as_ref().clone() },
                lane: outcome.lane.clone(),
                attempt_count: outcome.attempt_count,
                next_attempt_at: outcome.next_attempt_at,
                attempts: outcome.attempts.clone(),
                created_at: self.time.now(),
                modified_at: self.time.now(),
            };
            self.due.insert((outcome.next_attempt_at, id));
            self.rows.insert(id, Row { record, is_under_way: false });
        }
        self.unkept.new.push(NewDelivery { event: Arc::clone(event), outcome });
    }

    /// Has everything of a directory wait that follows upon an event: it catches up from there.
    fn hold(&mut self, directory: DirectoryId, lane: String, position: u64) {
        let Stream { open, queue, .. } = &mut self.main;
        queue.retain(|event| {
            let is_of_it = event.directory_id == Some(directory);
            if is_of_it {
                open.remove(&event.position);
            }
            !is_of_it
        });
        self.unkept.lanes.insert(lane.clone(), Some(position));
        let stream = Stream::at(position);
        let of = Of::Directory(directory);
        self.lanes.insert(lane, Lane { stream, of, is_ordered: true, is_blocked: true });
    }

    /// Keeps what was done; `false` where another does this now.
    async fn keep(&mut self) -> Result<bool, store::Error> {
        let place = self.main.place();
        let unkept = &self.unkept;
        let settlement = Settlement {
            id: self.endpoint.id,
            holder: self.shared.holder.to_string(),
            epoch: self.epoch,
            position: place,
            missed_count: unkept.missed_count,
            health: self.health,
            new: unkept.new.clone(),
            retried: unkept.retried.clone(),
            lanes: unkept.lanes.iter().map(|(id, place)| (id.clone(), *place)).collect(),
            disable: unkept.disable,
            now: self.time.now(),
        };
        let is_disabled = unkept.disable.is_some();
        if !self.shared.store.settle(settlement).await? {
            return Ok(false);
        }
        self.unkept = Unkept::default();
        self.kept_place = place;
        self.moved_at = None;
        // What was settled ahead of the place is of no interest behind it.
        self.settled = self.settled.split_off(&place);
        if is_disabled {
            tracing::warn!(
                endpoint_id = %self.endpoint.id,
                "webhook endpoint {} was switched off: see why at `/api/v1/webhooks`",
                self.endpoint.id,
            );
        }
        Ok(!is_disabled)
    }

    /// When there is something to do without anything having happened.
    fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let moved = self.moved_at.map(|at| at + PLACE_KEPT_AFTER);
        let most = if self.is_failing() { AT_ONCE_FAILING } else { AT_ONCE };
        let work = if self.running.len() >= most {
            None
        } else if let Some(until) = self.paused_until.filter(|until| *until > now) {
            Some(until)
        } else {
            let due = self.due.first().map(|(at, _)| *at);
            let has_more = !self.main.queue.is_empty() || self.lanes.values().any(Lane::is_ready);
            let trickle = (self.is_held_up(now) && has_more).then_some(self.trickle_at);
            due.into_iter().chain(trickle).min()
        };
        moved.into_iter().chain(work).min()
    }
}
