//! What there is little of, shared among those who ask, by key, link or session: none of them keeps the
//! others out by taking all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use directory::By;
use store::ApiStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much each of them may have at once.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    /// Of those who have any.
    of: Mutex<HashMap<By, Weak<Semaphore>>>,
}

/// A part of somebody's share. It is given back with this.
pub(crate) type Share = OwnedSemaphorePermit;

impl Shares {
    pub(crate) fn new(most: usize) -> Shares {
        Shares { most, of: Mutex::default() }
    }

    /// One more for whoever opened a store, where they have not got their share yet.
    pub(crate) fn take(&self, store: &ApiStore) -> Option<Share> {
        self.of(store).try_acquire_owned().ok()
    }

    /// The same, as soon as they give one back within a time.
    pub(crate) async fn wait(&self, store: &ApiStore, patience: Duration) -> Option<Share> {
        tokio::time::timeout(patience, self.of(store).acquire_owned()).await.ok()?.ok()
    }

    fn of(&self, store: &ApiStore) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.retain(|_, share| share.strong_count() > 0);
        let share = of.entry(store.caused_by()).or_default();
        share.upgrade().unwrap_or_else(|| {
            let whole = Arc::new(Semaphore::new(self.most));
            *share = Arc::downgrade(&whole);
            whole
        })
    }
}
