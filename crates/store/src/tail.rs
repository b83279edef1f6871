//! The end of the feed, read once for all who have come so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use directory::event::EventKind;
use tokio::sync::watch;

use crate::error::Error;
use crate::feed::{EventRecord, FeedPart, FeedStore};

/// Events that are remembered, and bytes of them.
const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Events that are read at once.
const PAGE: u64 = 250;

/// The latest events. Whoever is further behind reads the feed by itself.
#[derive(Clone, Debug)]
pub struct Tail {
    feed: FeedStore,
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
pub struct TailPart {
    /// The events, in order.
    pub events: Vec<Arc<EventRecord>>,
    /// Up to which position there are no others.
    pub read_to: u64,
    /// Up to which position events were let go.
    pub forgotten_to: u64,
}

impl Tail {
    /// Begins at the end as it is now.
    pub async fn begin(feed: FeedStore) -> Result<Tail, Error> {
        let end = feed.end().await?;
        let kept = Kept { from: end, to: end, ..Kept::default() };
        let (kept, end) = (Arc::new(Mutex::new(kept)), Arc::new(watch::Sender::new(end)));
        Ok(Tail { feed, kept, end })
    }

    /// Reads what is new. What has been added in a time in which nobody looked is passed over where it
    /// is more than is remembered.
    pub async fn look(&self) -> Result<(), Error> {
        loop {
            let to = self.lock().to;
            let FeedPart { events, read_to, end, .. } =
                self.feed.part(to, None, None, PAGE).await?;
            if read_to == to {
                return Ok(());
            }
            let read_to = {
                let mut kept = self.lock();
                if end.saturating_sub(read_to) > EVENTS_MAX as u64 {
                    *kept = Kept { from: end, to: end, ..Kept::default() };
                } else {
                    kept.take(events, read_to);
                }
                kept.to
            };
            self.end.send_replace(read_to);
        }
    }

    /// Says when the end moves on.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Events behind a position.
    pub async fn events(&self, after: u64, count_max: u64) -> Result<TailPart, Error> {
        let most = usize::try_from(count_max).unwrap_or(usize::MAX);
        {
            let kept = self.lock();
            if after >= kept.from {
                let begin = kept.events.partition_point(|event| event.position <= after);
                let events: Vec<_> = kept.events.range(begin..).take(most).cloned().collect();
                let is_whole = begin + events.len() == kept.events.len();
                let last = events.last().map_or(after, |event| event.position);
                let read_to = if is_whole { kept.to.max(after) } else { last };
                return Ok(TailPart { events, read_to, forgotten_to: 0 });
            }
        }
        let part = self.feed.part(after, None, None, count_max).await?;
        Ok(TailPart {
            events: part.events.into_iter().map(Arc::new).collect(),
            read_to: part.read_to,
            forgotten_to: part.forgotten_to,
        })
    }

    /// Looks for an event behind a position among the latest, without asking the database. Where there
    /// is none, says up to which position; `None` where there is one, or may be: whoever asks is
    /// further behind than what is remembered.
    pub fn has_none(&self, after: u64, is_wanted: impl Fn(&EventRecord) -> bool) -> Option<u64> {
        let kept = self.lock();
        if after < kept.from {
            return None;
        }
        let begin = kept.events.partition_point(|event| event.position <= after);
        let is_any = kept.events.range(begin..).any(|event| is_wanted(event));
        (!is_any).then(|| kept.to.max(after))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, events: Vec<EventRecord>, to: u64) {
        self.to = to;
        for event in events {
            // What was said before of somebody who is erased is not remembered, nor said again.
            if event.kind == EventKind::UserErased.as_str() {
                *self = Kept { from: event.position, to, ..Kept::default() };
                continue;
            }
            self.bytes += event.data.len();
            self.events.push_back(Arc::new(event));
        }
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= event.data.len();
            self.from = event.position;
        }
    }
}
