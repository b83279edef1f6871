//! Who waits for the next event: by a long poll, or on a stream.
//!
//! One of those who wait looks for all of them what is new, so however many there are, the database
//! is asked by one; and where nobody waits, nobody asks. Whoever is told of something new looks
//! among the latest events whether it is for them, and asks the database only then. When the one who
//! looks is gone, the next does it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use directory::TokenId;
use store::{Access, ApiStore, EventFilter, Tail};
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::shares::{Share, Shares};

/// How often it is looked for new events: what an app learns later than it happened. On PostgreSQL
/// that is also when what other nodes did is noticed.
const LOOKING: Duration = Duration::from_millis(100);

/// How often it is looked which keys still open something.
const CHECKING: Duration = Duration::from_millis(500);

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Followers {
    access: Access,
    places: Arc<Semaphore>,
    shares: Shares,
    tail: OnceCell<Tail>,
    /// Whoever holds it looks for the others.
    looking: Mutex<Looked>,
    /// The keys that open something, as of lately; not known before anybody has waited.
    good_keys: watch::Sender<Option<Arc<HashSet<TokenId>>>>,
    is_stopping: watch::Sender<bool>,
}

/// When it was last looked.
#[derive(Debug, Default)]
struct Looked {
    for_events: Option<Instant>,
    for_keys: Option<Instant>,
}

/// Somebody who may wait. Their place is given back with this.
#[derive(Debug)]
pub(crate) struct Follower {
    followers: Arc<Followers>,
    store: ApiStore,
    _place: OwnedSemaphorePermit,
    _share: Share,
}

/// Why somebody may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All places are taken.
    Full,
    /// The key has as many as it may.
    OfKey,
}

/// Why somebody waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to be read.
    News,
    /// The time is up.
    Time,
    /// The server is stopping.
    Stopping,
    /// The key opens nothing any more.
    Revoked,
}

impl Followers {
    pub(crate) fn new(access: Access, most: usize, most_of_key: usize) -> Followers {
        Followers {
            access,
            places: Arc::new(Semaphore::new(most)),
            shares: Shares::new(most_of_key),
            tail: OnceCell::new(),
            looking: Mutex::default(),
            good_keys: watch::Sender::new(None),
            is_stopping: watch::Sender::new(false),
        }
    }

    /// A place to wait in, for whoever has the key of this store.
    pub(crate) fn place(self: &Arc<Followers>, store: &ApiStore) -> Result<Follower, NoPlace> {
        let share = self.shares.take(store).ok_or(NoPlace::OfKey)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| NoPlace::Full)?;
        let (followers, store) = (Arc::clone(self), store.clone());
        Ok(Follower { followers, store, _place: place, _share: share })
    }

    /// Lets everybody go, and whoever comes later.
    pub(crate) fn stop(&self) {
        self.is_stopping.send_replace(true);
    }

    /// Whether the server is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.is_stopping.borrow()
    }

    /// Looks for all who wait, as soon as nobody else does; ends where it cannot.
    async fn look(&self, tail: &Tail) -> store::Error {
        let mut looked = self.looking.lock().await;
        loop {
            // Whoever takes over does not look more often.
            if let Some(last) = looked.for_events {
                tokio::time::sleep_until(last + LOOKING).await;
            }
            // First the keys: as soon as there are events, somebody else takes over from here.
            if looked.for_keys.is_none_or(|last| last.elapsed() >= CHECKING) {
                let good = match self.access.good_api_keys().await {
                    Ok(good) => good,
                    Err(error) => return error,
                };
                looked.for_keys = Some(Instant::now());
                self.good_keys.send_replace(Some(Arc::new(good)));
            }
            looked.for_events = Some(Instant::now());
            if let Err(error) = tail.look().await {
                return error;
            }
        }
    }
}

impl Follower {
    /// Waits as long as this, whatever happens; says whether the server goes on.
    pub(crate) async fn rest(&self, duration: Duration) -> bool {
        let mut is_stopping = self.followers.is_stopping.subscribe();
        tokio::time::timeout(duration, is_stopping.wait_for(|it| *it)).await.is_err()
    }

    /// Waits until there is an event behind a position that is meant, or as long as this.
    pub(crate) async fn wait(
        &self,
        after: u64,
        filter: &EventFilter,
        until: Instant,
    ) -> Result<Woken, store::Error> {
        let Follower { followers, store, .. } = self;
        let begin = || followers.access.tail();
        let tail = followers.tail.get_or_try_init(begin).await?;
        // Before anything is looked at, so that nothing is missed that happens meanwhile.
        let mut moved = tail.watch();
        let mut good_keys = followers.good_keys.subscribe();
        let mut is_stopping = followers.is_stopping.subscribe();
        let mut after = after;
        let key = store.key().map(|key| key.id);
        loop {
            match tail.has_none(after, |event| filter.matches(event)) {
                None => return Ok(Woken::News),
                Some(read_to) => after = read_to,
            }
            tokio::select! {
                biased;
                () = async { drop(is_stopping.wait_for(|it| *it).await) } => {
                    return Ok(Woken::Stopping);
                }
                _ = good_keys.changed() => {
                    let good = good_keys.borrow_and_update().clone();
                    let is_good = |key| good.as_ref().is_none_or(|good| good.contains(&key));
                    let is_missing = !key.is_none_or(is_good);
                    drop(good);
                    // Who looked may not have seen a key that was made since.
                    if is_missing && !store.is_open().await? {
                        return Ok(Woken::Revoked);
                    }
                }
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(until) => return Ok(Woken::Time),
                error = followers.look(tail) => return Err(error),
            }
        }
    }
}
