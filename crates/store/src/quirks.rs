//! How often each directory's provider deviates from the RFCs, and how.
//!
//! A request that had to be straightened must not pay for being counted: it adds to a few numbers
//! in memory and goes on. A thread of its own brings these to the writer every few seconds, a few
//! hundred at a time: small acts that share a flush with the changes beside them. So a restart loses nothing, and a
//! crash the last seconds. Whoever reads the counts has everything of this node brought over first;
//! what other nodes on the same database have counted in the last seconds is not among it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use directory::DirectoryId;
use jiff::Timestamp;
use scim::dialect::{Quirk, Quirks};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::session::{Session, Value, count, finish};
use crate::writer::{Act, Writer};

/// How long counts are gathered before they are kept: what a crash can lose.
const GATHERED_FOR: Duration = Duration::from_secs(5);

/// Counts that are kept by one act of the writer. Each is a statement, and whoever changes something
/// waits for the act before.
const COUNTS_AT_ONCE: usize = 256;

/// One quirk of one directory's provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuirkCount {
    /// Which.
    pub quirk: Quirk,
    /// In how many requests it was straightened, however often in each.
    pub request_count: u64,
    /// When it was seen for the first time.
    pub first_at: Timestamp,
    /// When it was seen last.
    pub last_at: Timestamp,
}

/// Counts that were gathered, by what they are of.
pub(crate) type Gathered = BTreeMap<(DirectoryId, Quirk), Tally>;

/// How often, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    request_count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.request_count = self.request_count.saturating_add(other.request_count);
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// Where requests are counted. When it is dropped, what it has is kept.
#[derive(Debug)]
pub(crate) struct QuirkCounter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    gathered: Gathered,
    /// Who waits until everything that is gathered is kept.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    is_closing: bool,
}

impl QuirkCounter {
    /// Starts the thread that brings counts to the writer.
    pub(crate) fn start(writer: Writer) -> Result<(QuirkCounter, JoinHandle<()>), Error> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-quirks".to_owned())
            .spawn(move || theirs.bring_to(&writer))
            .map_err(Error::Thread)?;
        Ok((QuirkCounter(shared), thread))
    }

    /// Counts what was straightened of one request. Waits for nothing.
    pub(crate) fn note(&self, directory_id: DirectoryId, quirks: &Quirks, now: Timestamp) {
        if quirks.is_empty() {
            return;
        }
        let seen = Tally { request_count: 1, first_at: now, last_at: now };
        let mut state = self.0.lock();
        let was_idle = state.gathered.is_empty();
        for quirk in quirks.iter() {
            add(&mut state.gathered, (directory_id, quirk), seen);
        }
        drop(state);
        if was_idle {
            self.0.changed.notify_one();
        }
    }

    /// Waits until everything that was counted is kept.
    pub(crate) async fn keep(&self) -> Result<(), Error> {
        let waiting = self.ask()?;
        waiting.await.map_err(|_| Error::Closed)?
    }

    fn ask(&self) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (kept, waiting) = oneshot::channel();
        let mut state = self.0.lock();
        if state.is_closing {
            return Err(Error::Closed);
        }
        state.waiting.push(kept);
        drop(state);
        self.0.changed.notify_one();
        Ok(waiting)
    }

    /// Has the thread keep what there is, and end.
    pub(crate) fn close(&self) {
        self.0.lock().is_closing = true;
        self.0.changed.notify_one();
    }
}

impl Drop for QuirkCounter {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    fn bring_to(&self, writer: &Writer) {
        loop {
            let (mut gathered, waiting, is_closing) = self.next();
            let mut outcome = Ok(());
            while outcome.is_ok() && !gathered.is_empty() {
                let rest = split_off(&mut gathered, COUNTS_AT_ONCE);
                outcome = writer.act_now(Act::CountQuirks(gathered.clone())).map(drop);
                if outcome.is_ok() {
                    gathered = rest;
                } else {
                    gathered.extend(rest);
                }
            }
            if let Err(error) = &outcome {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "counts of quirks were not kept, and are kept with the next ones",
                );
                let mut state = self.lock();
                for (of, tally) in gathered {
                    add(&mut state.gathered, of, tally);
                }
            }
            let is_closed = matches!(outcome, Err(Error::Closed));
            let mut outcome = Some(outcome);
            for waiting in waiting {
                // The first is told why, the others that it was not.
                let told = match &outcome {
                    Some(Ok(())) => Ok(()),
                    _ => outcome.take().unwrap_or(Err(Error::Closed)),
                };
                // Whoever asked may have gone away.
                let _ = waiting.send(told);
            }
            if is_closing || is_closed {
                return;
            }
        }
    }

    /// Waits until there is something to keep and it is time, or somebody asks for it.
    fn next(&self) -> (Gathered, Vec<oneshot::Sender<Result<(), Error>>>, bool) {
        let is_asked = |state: &State| !state.waiting.is_empty() || state.is_closing;
        let state = self
            .changed
            .wait_while(self.lock(), |state| state.gathered.is_empty() && !is_asked(state))
            .expect("nobody panics while holding it");
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, GATHERED_FOR, |state| !is_asked(state))
            .expect("nobody panics while holding it");
        (std::mem::take(&mut state.gathered), std::mem::take(&mut state.waiting), state.is_closing)
    }
}

/// Leaves the first few where they are, and returns the others.
fn split_off(gathered: &mut Gathered, count: usize) -> Gathered {
    match gathered.keys().nth(count).copied() {
        Some(first) => gathered.split_off(&first),
        None => Gathered::new(),
    }
}

fn add(gathered: &mut Gathered, of: (DirectoryId, Quirk), tally: Tally) {
    gathered.entry(of).and_modify(|it| it.add(tally)).or_insert(tally);
}

/// Adds what was gathered to what is kept. Of a directory that is gone there is nothing to count.
pub(crate) async fn count_more(session: &mut Session, gathered: &Gathered) -> Result<(), Error> {
    for ((directory_id, quirk), tally) in gathered {
        session
            .run(
                "counting a quirk",
                "insert into directory_quirks (directory_id, quirk, request_count, first_at, last_at)
                 select directory_id, $2, $3, $4, $5 from directories where directory_id = $1
                 on conflict (directory_id, quirk) do update
                 set request_count = directory_quirks.request_count + excluded.request_count,
                     first_at = case when excluded.first_at < directory_quirks.first_at
                                     then excluded.first_at else directory_quirks.first_at end,
                     last_at = case when excluded.last_at > directory_quirks.last_at
                                    then excluded.last_at else directory_quirks.last_at end",
                &[
                    Value::Text(&directory_id.to_string()),
                    Value::Text(quirk.name()),
                    count(tally.request_count),
                    Value::Time(tally.first_at),
                    Value::Time(tally.last_at),
                ],
            )
            .await?;
    }
    Ok(())
}

/// The quirks of a directory, the most frequent first. One that this version does not know, because
/// a later one has counted it, is left out.
pub(crate) fn read(
    session: &mut Session,
    directory_id: DirectoryId,
) -> Result<Vec<QuirkCount>, Error> {
    let found = finish(session.all(
        "loading the quirks of a directory",
        "select quirk, request_count, first_at, last_at from directory_quirks
         where directory_id = $1 order by request_count desc, quirk",
        &[Value::Text(&directory_id.to_string())],
        |row| {
            let Some(quirk) = Quirk::from_name(&row.text(0)?) else { return Ok(None) };
            Ok(Some(QuirkCount {
                quirk,
                request_count: row.number(1)?,
                first_at: row.time(2)?,
                last_at: row.time(3)?,
            }))
        },
    ))?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_counts_are_kept_a_few_at_a_time() {
        let id: DirectoryId = "dir-01m80caaf5evcr9sjyhpkxd558".parse().expect("an id");
        let now = Timestamp::UNIX_EPOCH;
        let tally = Tally { request_count: 1, first_at: now, last_at: now };
        let all: Gathered = Quirk::ALL.iter().map(|quirk| ((id, *quirk), tally)).collect();
        let mut rest = all.clone();
        let mut kept = Vec::new();
        while !rest.is_empty() {
            let next = split_off(&mut rest, 10);
            assert!((1..=10).contains(&rest.len()));
            kept.extend(rest.into_keys());
            rest = next;
        }
        assert!(kept.iter().eq(all.keys()));
        let mut few = all.clone();
        assert!(split_off(&mut few, all.len()).is_empty());
        assert_eq!(few.len(), all.len());
    }
}
