//! The end of the feed, read once for all endpoints that have come so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use store::{EventRecord, WebhookStore};
use tokio::sync::watch;

/// Events that are remembered, and bytes of them.
const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Events that are read at once.
const PAGE: u64 = 250;

/// The latest events. Whoever is further behind reads the feed by itself.
#[derive(Clone, Debug)]
pub struct Tail {
    store: WebhookStore,
    kept: Arc<Mutex<Kept>>,
    end: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// All events behind this position are here.
    from: u64,
    events: VecDeque<Arc<EventRecord>>,
    bytes: usize,
    /// Up to this one.
    to: u64,
}

/// Some events of the feed.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) events: Vec<Arc<EventRecord>>,
    /// Up to which position there are no others.
    pub(crate) read_to: u64,
    /// Up to which position events were let go.
    pub(crate) forgotten_to: u64,
}

impl Tail {
    /// Begins at the end as it is now.
    pub async fn begin(store: WebhookStore) -> Result<Tail, store::Error> {
        let end = store.end().await?;
        let kept = Kept { from: end, to: end, ..Kept::default() };
        let (kept, end) = (Arc::new(Mutex::new(kept)), Arc::new(watch::Sender::new(end)));
        Ok(Tail { store, kept, end })
    }

    /// Reads what is new.
    pub async fn look(&self) -> Result<(), store::Error> {
        loop {
            let to = self.lock().to;
            let part = self.store.events(to, None, None, PAGE).await?;
            if part.read_to == to {
                return Ok(());
            }
            let mut kept = self.lock();
            kept.to = part.read_to;
            for event in part.events {
                kept.bytes += event.data.len();
                kept.events.push_back(Arc::new(event));
            }
            while kept.events.len() > EVENTS_MAX || kept.bytes > BYTES_MAX {
                let Some(event) = kept.events.pop_front() else { break };
                kept.bytes -= event.data.len();
                kept.from = event.position;
            }
            drop(kept);
            self.end.send_replace(part.read_to);
        }
    }

    /// Says when the end moves on.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Events behind a position.
    pub(crate) async fn events(&self, after: u64, count_max: u64) -> Result<Part, store::Error> {
        let most = usize::try_from(count_max).unwrap_or(usize::MAX);
        {
            let kept = self.lock();
            if after >= kept.from {
                let begin = kept.events.partition_point(|event| event.position <= after);
                let events: Vec<_> = kept.events.range(begin..).take(most).cloned().collect();
                let is_whole = begin + events.len() == kept.events.len();
                let last = events.last().map_or(after, |event| event.position);
                let read_to = if is_whole { kept.to.max(after) } else { last };
                return Ok(Part { events, read_to, forgotten_to: 0 });
            }
        }
        let part = self.store.events(after, None, None, count_max).await?;
        Ok(Part {
            events: part.events.into_iter().map(Arc::new).collect(),
            read_to: part.read_to,
            forgotten_to: part.forgotten_to,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
