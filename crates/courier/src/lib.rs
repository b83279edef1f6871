//! The messenger: takes what happened out of the feed, in order, and brings it on.
//!
//! Everything that leaves Roster leaves as an event of the feed. A [`Follower`] reads it from a
//! place on and never misses, repeats or reorders one. The [`Courier`] brings events to the vendor's
//! webhook endpoints: a [`Worker`] for each follows the feed at the endpoint's own pace, so that one
//! which is slow or broken holds up nobody else.

mod follower;
mod message;
mod post;
pub mod schedule;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::EndpointId;
use jiff::Timestamp;
use store::{Claimed, WebhookStore};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

pub use follower::{Error, Follower};
pub use message::{Message, sign};
pub use post::{Answer, Boxed, Names, Patience, Post, Poster, SystemNames};
pub use store::Tail;
pub use work::{Chance, End, Order, Shared, Time, Worker};

/// How often the end of the feed is looked at while there is somebody to bring it to.
const LOOKING: Duration = Duration::from_millis(200);

/// How often it is looked which endpoints there are.
const RECKONING: Duration = Duration::from_secs(1);

/// How often a node speaks up for the endpoints that it has.
const CLAIMING: Duration = Duration::from_secs(5);

/// How often what is over and old is let go.
const PRUNING: Duration = Duration::from_hours(1);

/// Brings events to the endpoints of a node, until it is told to stop.
#[derive(Debug)]
pub struct Courier {
    stop: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Courier {
    /// Begins. `holder` names this node, in this life of it.
    pub fn start(
        store: WebhookStore,
        post: Arc<dyn Post>,
        time: Arc<dyn Time>,
        chance: Chance,
        holder: String,
    ) -> Courier {
        let (stop, stopped) = watch::channel(false);
        let work = tokio::spawn(work(store, post, time, chance, holder, stopped));
        Courier { stop, work }
    }

    /// Finishes what is under way, within a few seconds, and gives back what this node held.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.work.await {
            tracing::error!(error = &error as &dyn std::error::Error, "the courier failed");
        }
    }
}

/// An endpoint that this node brings events to.
struct Hand {
    epoch: u64,
    orders: watch::Sender<Order>,
    work: JoinHandle<()>,
}

async fn work(
    store: WebhookStore,
    post: Arc<dyn Post>,
    time: Arc<dyn Time>,
    chance: Chance,
    holder: String,
    mut stopped: watch::Receiver<bool>,
) {
    let mut looking = tokio::time::interval(LOOKING);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut node = Node {
        store,
        post,
        time,
        chance,
        holder,
        shared: None,
        hands: BTreeMap::new(),
        claimed: None,
        reckoned: None,
        pruned: None,
    };
    loop {
        tokio::select! {
            _ = looking.tick() => {}
            _ = stopped.changed() => break,
        }
        if let Err(error) = node.tend().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "webhook endpoints could not be looked after; it is tried again",
            );
            tokio::time::sleep(RECKONING).await;
        }
    }
    node.stop().await;
}

struct Node {
    store: WebhookStore,
    post: Arc<dyn Post>,
    time: Arc<dyn Time>,
    chance: Chance,
    holder: String,
    /// There from the first endpoint on.
    shared: Option<Shared>,
    hands: BTreeMap<EndpointId, Hand>,
    claimed: Option<Instant>,
    reckoned: Option<Instant>,
    pruned: Option<Instant>,
}

fn is_time(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

impl Node {
    async fn tend(&mut self) -> Result<(), store::Error> {
        if is_time(self.reckoned, RECKONING) {
            self.reckoned = Some(Instant::now());
            let reckoned = self.reckon().await;
            if reckoned.is_err() && self.hands.is_empty() {
                return reckoned;
            }
            if let Err(error) = reckoned {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "webhook endpoints could not be looked after; it is tried again",
                );
            }
        }
        match &self.shared {
            Some(shared) if !self.hands.is_empty() => shared.tail.look().await,
            _ => Ok(()),
        }
    }

    async fn reckon(&mut self) -> Result<(), store::Error> {
        let mut endpoints = self.store.endpoints(&self.holder).await?;
        if endpoints.total > 0 && (endpoints.is_any_free || is_time(self.claimed, CLAIMING)) {
            let is_first = self.claimed.is_none();
            self.claimed = Some(Instant::now());
            self.store.claim(&self.holder, is_first).await?;
            endpoints = self.store.endpoints(&self.holder).await?;
        }
        // Also where there is no endpoint: one that was deleted may have left much behind.
        if is_time(self.pruned, PRUNING) {
            // Where there is more, it goes on the next time.
            self.pruned = (self.store.prune().await? == 0).then(Instant::now);
        }
        let is_mine = |id: &EndpointId, hand: &Hand| {
            let found = endpoints.mine.iter().find(|it| it.id == *id);
            found.is_some_and(|it| it.epoch == hand.epoch)
        };
        for (id, hand) in &self.hands {
            if !is_mine(id, hand) {
                hand.orders.send_replace(Order::Stop);
            }
        }
        // Whoever was told to stop does so by itself; whoever takes over does not wait for it.
        self.hands.retain(|id, hand| is_mine(id, hand) && !hand.work.is_finished());
        for claimed in endpoints.mine {
            if let Some(hand) = self.hands.get(&claimed.id) {
                hand.orders.send_if_modified(|order| {
                    let new = Order::Work { revision: claimed.revision };
                    std::mem::replace(order, new) != new
                });
                continue;
            }
            // One that cannot be read keeps the others from nothing.
            let id = claimed.id;
            if let Err(error) = self.take_up(claimed).await {
                tracing::warn!(
                    endpoint_id = %id,
                    error = &error as &dyn std::error::Error,
                    "the work for webhook endpoint {id} could not be taken up; it is tried again",
                );
            }
        }
        Ok(())
    }

    async fn take_up(&mut self, claimed: Claimed) -> Result<(), store::Error> {
        let shared = if let Some(shared) = &self.shared {
            shared.clone()
        } else {
            let tail = Tail::begin(self.store.feed()).await?;
            let (post, chance) = (Arc::clone(&self.post), Arc::clone(&self.chance));
            let shared = Shared::new(self.store.clone(), tail, post, chance, &self.holder);
            self.shared.insert(shared).clone()
        };
        let Claimed { id, epoch, revision } = claimed;
        let time = Arc::clone(&self.time);
        let Some(worker) = Worker::take_up(shared, time, id, epoch).await? else { return Ok(()) };
        let (orders, ordered) = watch::channel(Order::Work { revision });
        let work = tokio::spawn(async move {
            let end = worker.run(ordered).await;
            tracing::debug!(endpoint_id = %id, ?end, "no more is brought to webhook endpoint {id}");
        });
        self.hands.insert(id, Hand { epoch, orders, work });
        Ok(())
    }

    async fn stop(self) {
        for hand in self.hands.values() {
            hand.orders.send_replace(Order::Stop);
        }
        for (_, hand) in self.hands {
            // It has ended, whatever it says.
            let _ = hand.work.await;
        }
        if self.claimed.is_some()
            && let Err(error) = self.store.release(&self.holder).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "webhook endpoints were not given back; another node takes over in half a minute",
            );
        }
    }
}

/// The time of the machine.
#[derive(Clone, Debug)]
pub struct RealTime(pub WebhookStore);

impl Time for RealTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn wait(&self, until: Timestamp, _: bool) -> Boxed<()> {
        let wait = until.duration_since(self.now());
        let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
        Box::pin(tokio::time::sleep(wait))
    }
}
