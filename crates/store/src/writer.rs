//! The one door through which changes are kept.
//!
//! A thread of its own takes every change that is waiting, decides them in order of arrival, keeps
//! them in one transaction, and answers each when the commit is on the disk. One flush serves
//! many: that is where the speed of durable writes comes from, and why a request that waits costs
//! nothing but time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use directory::audit::Entry;
use directory::{
    CatalogueKind, Cause, Change, Decide, Directory, DirectoryId, EntryId, Facts, Guarded, HoldId,
    Limits, Moment, Rejection, Stop, TokenId, open_directory, with_roles,
};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::access::USE_NOTED_EVERY;
use crate::administration::{Administration, organization_to_change};
use crate::audit::{Caller, Done};
use crate::batch::{Batch, what_it_said};
use crate::catalogue::{self, NewEntry};
use crate::erasure;
use crate::error::Error;
use crate::holds::{self, HoldAct};
use crate::quirks::{self, Gathered};
use crate::readers::Readers;
use crate::requests;
use crate::retention::{self, Class};
use crate::session::{Engine, Session, Value, finish};
use crate::sqlite::Doubt;
use crate::webhooks;
use crate::{Clock, Environment, to_the_microsecond};

/// Changes that may wait before callers have to wait for a place in the queue.
const QUEUE_MAX: usize = 4_096;

/// Changes that are kept in one transaction. Enough to make the flush cheap for each, few enough
/// that the first of them does not wait long for the last.
const BATCH_MAX: usize = 256;

/// How often a batch is run again that lost a race against another node. Locks are taken in one
/// order, so this is rare.
const RACES_MAX: usize = 5;

/// How long a batch waits for those who are expected to join it. Less than a flush of most disks
/// takes, which each of them would otherwise wait for twice.
const GATHERING_MAX: Duration = Duration::from_micros(600);

/// Where changes are handed in, and whether writing has stopped for good.
#[derive(Clone, Debug)]
pub(crate) struct Writer(mpsc::Sender<Work>, Doubt);

/// A decision of whatever kind, with somebody who waits for its answer.
pub(crate) trait Pending: Send {
    /// Decides, and remembers the answer for when the changes are kept.
    fn decide(&mut self, facts: &Facts, moment: &Moment<'_>) -> Result<Vec<Change>, Stop>;

    /// Who causes it.
    fn caller(&self) -> &Caller;

    /// Tells the caller how it ended.
    fn answer(self: Box<Self>, kept: Result<(), Error>);
}

/// What is done with the file of an embedded database, beside the rows in it.
#[derive(Clone, Copy, Debug)]
enum FileWork {
    /// See [`Session::empty_log`].
    EmptyLog,
    /// See [`Session::scrub`].
    Scrub {
        /// The first page that is looked at.
        from: u32,
    },
}

/// What is handed in.
enum Work {
    /// Something to decide in one directory.
    Decision(DirectoryId, Box<dyn Pending>),
    /// Something that was decided elsewhere: an administrative act.
    Act(Box<Act>, oneshot::Sender<Result<u64, Error>>),
    /// To leave nothing in the log of an embedded database, between two transactions. Says whether that
    /// was done.
    File(FileWork, oneshot::Sender<Result<u64, Error>>),
    /// Nothing more is taken.
    Close,
}

/// Administrative acts. They are not changes of people: no directory's log tells of them, except
/// that a directory begins, and who may ask for its access tokens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Where a hold is named, nothing of it is let out before somebody has looked.
    OpenDirectory(Directory, Option<HoldId>, Caller),
    Hold(HoldAct, Caller),
    Administer(Administration, Caller),
    PutEntry(Guarded<NewEntry>, Timestamp, Caller),
    DeleteEntry(CatalogueKind, Guarded<EntryId>, Caller),
    /// Nothing was done, and the audit log tells of it.
    Note(Box<Entry>, Caller),
    /// A token was used. Noted once a minute, not at every request.
    TokenUsed {
        id: TokenId,
        at: Timestamp,
    },
    /// What is old of a class is let go by whoever holds the lease for it.
    Forget {
        class: Class,
        holder: String,
        before: Timestamp,
        now: Timestamp,
    },
    /// A step of an erasure.
    Erase(erasure::Step),
    /// What was straightened lately of what providers sent. Brought every few seconds, not at every
    /// request.
    CountQuirks(Gathered),
    /// What was seen of who really speaks to a directory. Brought as the counts are.
    NoteClient(DirectoryId, Box<directory::client::Known>),
    /// Of webhook endpoints, and of what is brought to them.
    Webhook(Box<webhooks::Write>, Caller),
}

struct Deciding<D: Decide> {
    decide: D,
    caller: Caller,
    decided: Option<D::Answer>,
    answer: oneshot::Sender<Result<D::Answer, Error>>,
}

impl<D: Decide> Pending for Deciding<D> {
    fn decide(&mut self, facts: &Facts, moment: &Moment<'_>) -> Result<Vec<Change>, Stop> {
        let decision = self.decide.decide(facts, moment)?;
        let changes = with_roles(facts, moment, decision.changes)?;
        self.decided = Some(decision.answer);
        Ok(changes)
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn answer(self: Box<Self>, kept: Result<(), Error>) {
        let Deciding { decided, answer, .. } = *self;
        // Whoever asked may have gone away; what was kept stays kept.
        let _ = answer.send(kept.map(|()| decided.expect("what was kept was decided")));
    }
}

impl Writer {
    /// Starts the thread. It ends when the last `Writer` is gone and the queue is empty.
    pub(crate) fn start(
        session: Session,
        readers: Readers,
        environment: Environment,
        limits: Limits,
    ) -> Result<(Writer, std::thread::JoinHandle<()>), Error> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let doubt = session.doubt();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write(session, &readers, receiver, &environment, limits))
            .map_err(Error::Thread)?;
        Ok((Writer(sender, doubt), thread))
    }

    /// Has something decided and kept. When this returns `Ok`, it is on the disk.
    pub(crate) async fn change<D: Decide>(
        &self,
        directory_id: DirectoryId,
        decide: D,
        caller: Caller,
    ) -> Result<D::Answer, Error> {
        let (answer, answered) = oneshot::channel();
        let deciding = Deciding { decide, caller, decided: None, answer };
        let work = Work::Decision(directory_id, Box::new(deciding));
        self.0.send(work).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Has an administrative act kept. Says how much of it there was, where that is of interest.
    pub(crate) async fn act(&self, act: Act) -> Result<u64, Error> {
        let (answer, kept) = oneshot::channel();
        self.0.send(Work::Act(Box::new(act), answer)).await.map_err(|_| Error::Closed)?;
        kept.await.map_err(|_| Error::Closed)?
    }

    /// Whether changes are taken. They are not when the store is closed, when its thread died, or
    /// when the disk cannot be trusted any more.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.is_closed() && !self.1.is_there()
    }

    /// Leaves nothing in the log of an embedded database of what was overwritten or deleted before this.
    /// Says whether that was done; it is not while somebody reads what is in the log.
    pub(crate) async fn empty_log(&self) -> Result<bool, Error> {
        let (answer, emptied) = oneshot::channel();
        let work = Work::File(FileWork::EmptyLog, answer);
        self.0.send(work).await.map_err(|_| Error::Closed)?;
        emptied.await.map_err(|_| Error::Closed)?.map(|emptied| emptied > 0)
    }

    /// Writes zeros over what the file of an embedded database still holds of records that are not there,
    /// in steps between which others write.
    pub(crate) async fn scrub(&self) -> Result<(), Error> {
        let mut from = 1;
        while from > 0 {
            let (answer, scrubbed) = oneshot::channel();
            let work = Work::File(FileWork::Scrub { from }, answer);
            self.0.send(work).await.map_err(|_| Error::Closed)?;
            from = u32::try_from(scrubbed.await.map_err(|_| Error::Closed)??).unwrap_or(0);
        }
        Ok(())
    }

    /// Takes no more. What was handed in is still kept.
    pub(crate) async fn close(&self) {
        // Where the queue is closed already there is nothing to do.
        let _ = self.0.send(Work::Close).await;
    }

    /// The same for a thread that may wait.
    pub(crate) fn act_now(&self, act: Act) -> Result<u64, Error> {
        let (answer, kept) = oneshot::channel();
        self.0.blocking_send(Work::Act(Box::new(act), answer)).map_err(|_| Error::Closed)?;
        kept.blocking_recv().map_err(|_| Error::Closed)?
    }

    /// Hands in an act whose outcome nobody waits for. It is dropped where the queue is full.
    pub(crate) fn act_sometime(&self, act: Act) {
        let (answer, _) = oneshot::channel();
        // A full queue means that there is more important work.
        let _ = self.0.try_send(Work::Act(Box::new(act), answer));
    }
}

fn write(
    mut session: Session,
    readers: &Readers,
    mut queue: mpsc::Receiver<Work>,
    environment: &Environment,
    limits: Limits,
) {
    let mut crowd = 1;
    // What was taken and not begun.
    let mut held: VecDeque<Work> = VecDeque::new();
    while let Some(first) = held.pop_front().or_else(|| queue.blocking_recv()) {
        let first = match first {
            Work::Close => {
                queue.close();
                continue;
            }
            Work::File(work, answer) => {
                // Whoever asked may have gone away.
                let _ = answer.send(tend_file(&mut session, readers, work));
                continue;
            }
            first => first,
        };
        gather(&queue, crowd);
        let now = to_the_microsecond(environment.clock.now());
        let moment = Moment { now, ids: environment.ids.as_ref() };
        held.push_front(first);
        let next = || held.pop_front().or_else(|| waiting_in(&mut queue));
        let clock = environment.clock.as_ref();
        let (mut works, mut kept) = try_batch(&mut session, readers, moment, limits, next, clock);
        for _ in 0..RACES_MAX {
            if !kept.as_ref().is_err_and(Error::is_lost_race) {
                break;
            }
            let mut again = works.into_iter();
            (works, kept) =
                try_batch(&mut session, readers, moment, limits, || again.next(), clock);
            works.extend(again);
        }
        // Those who were answered now, and those who came meanwhile, are likely to come again.
        crowd = works.len() + queue.len();
        match kept {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                let mut not_begun = Vec::new();
                for work in works {
                    match outcomes.next().flatten() {
                        Some(outcome) => work.answer(outcome),
                        None => not_begun.push(work),
                    }
                }
                for work in not_begun.into_iter().rev() {
                    held.push_front(work);
                }
            }
            // Whether it was kept is not always known. Whoever asked is told so and may ask again;
            // to run it again here could keep it twice.
            Err(error) if error.is_unreachable() => {
                tracing::error!(error = &error as &dyn std::error::Error, "changes were not kept");
                for work in works {
                    work.answer(Err(error.again()));
                }
            }
            // Somebody else writes for long to the directory that was waited for. Whoever asked for the
            // same one is told so; the others do not wait for it again.
            Err(error) if error.is_locked() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a directory was written to by another node for too long",
                );
                let locked = works.iter().find_map(Work::directory);
                let mut others = Vec::new();
                for work in works {
                    if locked.is_none() || work.directory() == locked {
                        work.answer(Err(error.again()));
                    } else {
                        others.push(work);
                    }
                }
                for work in others.into_iter().rev() {
                    held.push_front(work);
                }
            }
            Err(Error::Stopped) => {
                for work in works {
                    work.answer(Err(Error::Stopped));
                }
            }
            Err(error) if works.len() <= 1 && !error.is_taken() => {
                tracing::error!(error = &error as &dyn std::error::Error, "a change was not kept");
                if let Some(work) = works.pop() {
                    work.answer(Err(error));
                }
            }
            // One of them cannot be kept, and nobody knows which. Each is run by itself, so that
            // the poisoned one fails alone.
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    changes = works.len(),
                    "a batch was not kept and is run again one by one",
                );
                for work in works {
                    one_alone(&mut session, readers, moment, limits, clock, work);
                }
            }
        }
        match session.shorten_log() {
            Ok(true) => readers.renew(),
            Ok(false) => {}
            Err(error) => stop(&session.doubt(), &error),
        }
    }
    if session.doubt().is_there() {
        return;
    }
    readers.renew();
    if let Err(error) = session.tidy_up() {
        // Nothing is lost: it is in the log, which is read at the next start.
        tracing::warn!(error = &error as &dyn std::error::Error, "the log was not emptied");
    }
}

/// Does something with the file of an embedded database.
fn tend_file(session: &mut Session, readers: &Readers, work: FileWork) -> Result<u64, Error> {
    match work {
        FileWork::EmptyLog => empty_log(session, readers).map(u64::from),
        FileWork::Scrub { from } => {
            let doubt = session.doubt();
            if doubt.is_there() {
                return Err(Error::Stopped);
            }
            let scrubbed = session.scrub(from);
            if let Err(error) = &scrubbed
                && error.is_unsynced()
            {
                stop(&doubt, error);
            }
            scrubbed.map(u64::from)
        }
    }
}

/// Empties the log, with nobody left who could be reading what is in it but those who read for long.
fn empty_log(session: &mut Session, readers: &Readers) -> Result<bool, Error> {
    let doubt = session.doubt();
    if doubt.is_there() {
        return Err(Error::Stopped);
    }
    readers.renew();
    let emptied = session.empty_log();
    match &emptied {
        Err(error) if error.is_unsynced() => stop(&doubt, error),
        Ok(true) => readers.renew(),
        _ => {}
    }
    emptied
}

/// Waits a moment until as many are there as there were the last time.
///
/// Clients that write all the time are answered together, and come again one after another within
/// a fraction of a millisecond. Without this the first of them would have a flush to itself, while
/// all others wait for the next. Who is alone does not wait at all.
#[expect(clippy::disallowed_methods, reason = "the thread is the writer's own")]
fn gather(queue: &mpsc::Receiver<Work>, crowd: usize) {
    const STEP: Duration = Duration::from_micros(50);

    let begun = Instant::now();
    while queue.len() + 1 < crowd.min(BATCH_MAX) && begun.elapsed() < GATHERING_MAX {
        std::thread::sleep(STEP);
    }
}

/// What is waiting now, if anything.
fn waiting_in(queue: &mut mpsc::Receiver<Work>) -> Option<Work> {
    match queue.try_recv().ok()? {
        Work::Close => {
            queue.close();
            waiting_in(queue)
        }
        work => Some(work),
    }
}

fn one_alone(
    session: &mut Session,
    readers: &Readers,
    moment: Moment<'_>,
    limits: Limits,
    clock: &dyn Clock,
    work: Work,
) {
    let mut alone = Some(work);
    for race in 0..=RACES_MAX {
        let (mut works, kept) = try_batch(session, readers, moment, limits, || alone.take(), clock);
        let is_lost = kept.as_ref().is_err_and(|it| it.is_lost_race() || it.is_taken());
        alone = works.pop();
        if is_lost && race < RACES_MAX {
            continue;
        }
        let outcome = kept.and_then(|outcomes| {
            outcomes.into_iter().next().flatten().unwrap_or_else(|| Err(Error::lost_races()))
        });
        if let Err(error) = &outcome
            && !matches!(error, Error::Rejected(_))
        {
            tracing::error!(error = error as &dyn std::error::Error, "a change was not kept");
        }
        if let Some(work) = alone {
            work.answer(outcome);
        }
        return;
    }
}

/// Takes what is waiting, decides it, keeps it. Returns what was taken, whatever happens, and the
/// outcomes in the same order; what has none was not begun.
///
/// A panic on the way fails the batch and not the thread: without it nothing would ever be kept
/// again. The batch is undone, and whose fault it was is found as with any other failure.
///
/// Where the disk could not be told to keep what was written, nothing more is ever kept: the system
/// tells of that once, and takes what it could not write for written. What is on the disk is not
/// known then, and nothing can be built on it. The next start writes again what the log holds.
fn try_batch(
    session: &mut Session,
    readers: &Readers,
    moment: Moment<'_>,
    limits: Limits,
    mut next: impl FnMut() -> Option<Work>,
    clock: &dyn Clock,
) -> (Vec<Work>, Result<Vec<Outcome>, Error>) {
    // Before anything else is taken: what cannot be begun is answered by the caller.
    let mut works: Vec<_> = next().into_iter().collect();
    let doubt = session.doubt();
    if doubt.is_there() {
        return (works, Err(Error::Stopped));
    }
    let kept = catch_unwind(AssertUnwindSafe(|| {
        finish(decide_and_keep(session, moment, limits, next, clock, &mut works))
    }));
    let kept = kept.unwrap_or_else(|panic| Err(Error::Panicked(what_it_said(panic.as_ref()))));
    let undone = if kept.is_err() { finish(session.roll_back()) } else { Ok(()) };
    // Also where it failed: then it is not always known what was kept.
    readers.renew();
    if let Err(error) = &kept
        && error.is_unsynced()
    {
        stop(&doubt, error);
        return (works, Err(Error::Stopped));
    }
    (works, undone.and(kept))
}

/// Nothing is kept any more.
fn stop(doubt: &Doubt, error: &Error) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the disk could not keep what was written, so nothing more is written: look at the disk, \
         then restart the server",
    );
    doubt.arise();
}

/// How something ended; `None` where it was not begun.
type Outcome = Option<Result<u64, Error>>;

async fn decide_and_keep(
    session: &mut Session,
    moment: Moment<'_>,
    limits: Limits,
    next: impl FnMut() -> Option<Work>,
    clock: &dyn Clock,
    works: &mut Vec<Work>,
) -> Result<Vec<Outcome>, Error> {
    session.begin()?;
    let (mut batch, mut outcomes) = match session.engine() {
        Engine::Sqlite => decide_as_they_come(session, moment, limits, next, clock, works).await?,
        Engine::Postgres => decide_together(session, moment, limits, next, clock, works).await?,
    };
    batch.keep(session).await?;
    // What holds the row of the feed until the commit comes last: whoever reads the feed on another
    // node waits for it, and a large group takes seconds to be written.
    for (work, outcome) in works.iter().zip(&mut outcomes) {
        if let Work::Act(act, _) = work
            && act.holds_the_feed()
            && outcome.is_none()
        {
            *outcome = Some(act.keep(session, &mut batch).await?.map_err(Error::from));
        }
    }
    // What fails here is not kept. Of a commit that fails nobody knows.
    session.settle().await?;
    session.commit().await?;
    Ok(outcomes)
}

/// Decides one after the other, and lets those join who come meanwhile: nobody else writes.
async fn decide_as_they_come<'a>(
    session: &mut Session,
    moment: Moment<'a>,
    limits: Limits,
    mut next: impl FnMut() -> Option<Work>,
    clock: &dyn Clock,
    works: &mut Vec<Work>,
) -> Result<(Batch<'a>, Vec<Outcome>), Error> {
    let mut batch = Batch::new(moment, limits);
    let mut outcomes = Vec::new();
    loop {
        let work = works.last_mut().expect("there is at least the first");
        let outcome = match work {
            Work::Decision(directory_id, pending) => {
                batch.decide(session, *directory_id, pending.as_mut()).await?.map(|()| 0)
            }
            Work::Act(act, _) => act.keep(session, &mut batch).await?.map_err(Error::from),
            // After the transaction: it comes first the next time.
            Work::File(..) => break,
            Work::Close => unreachable!("it is not handed on"),
        };
        outcomes.push(Some(outcome));
        if works.len() >= BATCH_MAX || batch.is_full() {
            break;
        }
        match next() {
            Some(work) => works.push(work),
            None => break,
        }
        batch.advance(to_the_microsecond(clock.now()));
    }
    Ok((batch, outcomes))
}

/// Decides what is waiting now, in those directories to which nobody else is writing; whoever asked
/// for another is not begun, and comes first the next time.
async fn decide_together<'a>(
    session: &mut Session,
    moment: Moment<'a>,
    limits: Limits,
    next: impl FnMut() -> Option<Work>,
    clock: &dyn Clock,
    works: &mut Vec<Work>,
) -> Result<(Batch<'a>, Vec<Outcome>), Error> {
    // Old events are let go by themselves: nobody is to wait for that with a directory locked.
    if !works.iter().any(Work::is_upkeep) {
        works.extend(std::iter::from_fn(next).take(BATCH_MAX - 1));
    }
    let mut batch = Batch::new(moment, limits);
    let directories = || works.iter().filter_map(Work::directory);
    if let Some(first) = directories().next() {
        batch.lock(session, first, &directories().collect()).await?;
        // Whoever had it may have had it for a while.
        batch.advance(to_the_microsecond(clock.now()));
    }
    let mut outcomes: Vec<Outcome> = works.iter().map(|_| None).collect();
    let is_alone = works.len() == 1;
    for (work, outcome) in works.iter().zip(&mut outcomes) {
        if let Work::Act(act, _) = work
            && (is_alone || !work.is_upkeep())
            && !act.holds_the_feed()
            && work.directory().is_none_or(|id| batch.has(id))
        {
            *outcome = Some(act.keep(session, &mut batch).await?.map_err(Error::from));
        }
    }
    let mut places = Vec::new();
    let mut asked: Vec<(DirectoryId, &mut dyn Pending)> = Vec::new();
    for (place, work) in works.iter_mut().enumerate() {
        if let Work::Decision(directory_id, pending) = work
            && batch.has(*directory_id)
        {
            places.push(place);
            asked.push((*directory_id, pending.as_mut()));
        }
    }
    let decided = batch.decide_all(session, &mut asked).await?;
    for (place, outcome) in places.into_iter().zip(decided) {
        outcomes[place] = outcome.map(|it| it.map(|()| 0));
    }
    Ok((batch, outcomes))
}

impl Work {
    /// Whether nobody waits for it, and it may take a while.
    fn is_upkeep(&self) -> bool {
        match self {
            Work::Act(act, _) => match act.as_ref() {
                Act::Forget { .. } | Act::Erase(_) => true,
                Act::Administer(administration, _) => administration.is_upkeep(),
                _ => false,
            },
            _ => false,
        }
    }

    fn directory(&self) -> Option<DirectoryId> {
        match self {
            Work::Decision(directory_id, _) => Some(*directory_id),
            Work::Act(act, _) => match act.as_ref() {
                Act::Administer(administration, _) => administration.directory(),
                Act::Hold(act, _) => Some(act.directory()),
                _ => None,
            },
            Work::File(..) | Work::Close => None,
        }
    }

    fn answer(self, outcome: Result<u64, Error>) {
        match self {
            Work::Decision(_, pending) => pending.answer(outcome.map(drop)),
            Work::Act(_, answer) | Work::File(_, answer) => _ = answer.send(outcome),
            Work::Close => {}
        }
    }
}

impl Act {
    /// Whether it locks the one row of the feed, on PostgreSQL, until the transaction ends.
    fn holds_the_feed(&self) -> bool {
        match self {
            Act::Administer(administration, _) => administration.holds_the_feed(),
            Act::Webhook(write, _) => write.holds_the_feed(),
            _ => false,
        }
    }

    async fn keep(
        &self,
        session: &mut Session,
        batch: &mut Batch<'_>,
    ) -> Result<Result<u64, Rejection>, Error> {
        let nobody = Caller::from(Cause::server());
        let (moment, caller) = (batch.moment(), self.caller().unwrap_or(&nobody));
        match self.carry_out(session, batch, caller).await? {
            Ok(done) => done.keep(session, moment, caller).await.map(Ok),
            Err(rejection) => Ok(Err(rejection)),
        }
    }

    /// Who does it; nobody, where it is bookkeeping.
    fn caller(&self) -> Option<&Caller> {
        match self {
            Act::OpenDirectory(.., caller)
            | Act::Hold(_, caller)
            | Act::Administer(_, caller)
            | Act::PutEntry(.., caller)
            | Act::DeleteEntry(.., caller)
            | Act::Note(_, caller)
            | Act::Webhook(_, caller) => Some(caller),
            Act::TokenUsed { .. }
            | Act::Forget { .. }
            | Act::Erase(_)
            | Act::CountQuirks(_)
            | Act::NoteClient(..) => None,
        }
    }

    /// Keeps it, and says what the audit log is to tell of it.
    async fn carry_out(
        &self,
        session: &mut Session,
        batch: &mut Batch<'_>,
        caller: &Caller,
    ) -> Result<Result<Done, Rejection>, Error> {
        Ok(Ok(match self {
            Act::OpenDirectory(directory, shadow, _) => {
                let organization_id = directory.organization_id;
                // It is not deleted by anybody else before the directory is there.
                if organization_to_change(session, organization_id).await?.is_none() {
                    return Ok(Err(Rejection::UnknownOrganization(organization_id)));
                }
                let change = open_directory(directory.clone());
                batch.make(session, directory.id, change, caller).await?;
                if let Some(hold_id) = shadow {
                    holds::begin_shadow(session, batch, directory.id, *hold_id, caller.cause)
                        .await?;
                }
                Done::told_by_its_change(0)
            }
            Act::Hold(act, _) => return act.keep(session, batch, caller).await,
            Act::Administer(administration, _) => {
                return administration.keep(session, batch, caller).await;
            }
            Act::PutEntry(entry, at, _) => {
                let (done, is_elsewhere) = match catalogue::put(session, entry, *at).await? {
                    Ok(put) => put,
                    Err(rejection) => return Ok(Err(rejection)),
                };
                if is_elsewhere && entry.what.kind == CatalogueKind::Role {
                    catalogue::count_change(session, entry.what.kind).await?;
                    batch.note_other_roles();
                }
                done
            }
            Act::DeleteEntry(kind, id, _) => {
                let deleted = catalogue::delete(session, *kind, id).await?;
                if deleted.is_ok() && *kind == CatalogueKind::Role {
                    catalogue::count_change(session, *kind).await?;
                    batch.note_other_roles();
                }
                return Ok(deleted);
            }
            Act::Note(entry, _) => Done::told(0, entry.as_ref().clone()),
            Act::Forget { class, holder, before, now } => {
                let gone = retention::forget(session, *class, holder, *before, *now).await?;
                Done::bookkeeping(gone)
            }
            Act::TokenUsed { id, at } => {
                let sql = match session.engine() {
                    Engine::Sqlite => {
                        "update tokens set last_used_at = $2 where token_id = $1
                         and (last_used_at is null or last_used_at <= $3)"
                    }
                    // Where another node is noting it, that is enough.
                    Engine::Postgres => {
                        "update tokens set last_used_at = $2
                         where token_id = (select token_id from tokens where token_id = $1
                                           and (last_used_at is null or last_used_at <= $3)
                                           for update skip locked)"
                    }
                };
                let earlier = Value::Time(*at - USE_NOTED_EVERY);
                let values = [Value::Text(&id.to_string()), Value::Time(*at), earlier];
                session.run("noting the use of a token", sql, &values).await?;
                Done::bookkeeping(0)
            }
            Act::Erase(step) => step.keep(session).await?,
            Act::CountQuirks(gathered) => {
                quirks::count_more(session, gathered).await?;
                Done::bookkeeping(0)
            }
            Act::NoteClient(id, known) => {
                requests::note_client(session, *id, known, batch.moment().now).await?;
                Done::bookkeeping(0)
            }
            Act::Webhook(write, _) => return write.keep(session, batch.moment()).await,
        }))
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Work::Decision(directory_id, _) => write!(f, "a decision in {directory_id}"),
            Work::Act(act, _) => act.fmt(f),
            Work::File(work, _) => work.fmt(f),
            Work::Close => f.write_str("the end"),
        }
    }
}
