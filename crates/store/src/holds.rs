//! Holds: that changes of a directory wait, who decides about it, and how what waited is let out.
//!
//! A directory has one at most, whose id stands in its row; so whoever writes to the directory knows. What
//! waits is in `held`. It is let out in pieces, each in one transaction with the events that it becomes;
//! meanwhile what is new waits behind it. When nothing is left, the directory is open again in that
//! transaction. So wherever a server is killed, what was told is not held any more, and the rest is.

use directory::audit::{self, Action};
use directory::event::{Draft, EventKind};
use directory::hold::{self, event_of};
use directory::{
    Cause, Change, DirectoryId, Guarded, Hold, HoldId, HoldKind, HoldOutcome, HoldState, Lost,
    Rejection, ResourceId, UserId,
};
use jiff::Timestamp;

use crate::access::ApiStore;
use crate::audit::{Caller, Done};
use crate::batch::Batch;
use crate::error::Error;
use crate::held::{self, HeldChange, Told};
use crate::session::{Row, Session, Value, count, finish};
use crate::writer::Act;
use crate::{DirectoryStore, Store};

/// What is let out in one transaction, in which nobody else writes to the directory.
const LET_OUT_AT_ONCE: u64 = 1_000;

/// Holds that are looked for with something to do, page by page.
const HOLDS_AT_ONCE: u64 = 100;

/// What somebody says of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was meant so: the app is to hear of it.
    Approve,
    /// It was a mistake: the provider is to bring back what was lost.
    Reject,
}

/// What is done with holds.
#[derive(Clone, Debug)]
pub(crate) enum HoldAct {
    /// Nothing of the directory is to be let out before somebody has looked.
    BeginShadow(DirectoryId, HoldId),
    Decide {
        directory_id: DirectoryId,
        hold: Guarded<HoldId>,
        verdict: Verdict,
    },
    /// What is to be done by itself: says whether there was anything.
    Tend(DirectoryId),
}

/// A hold, with what waits because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRecord {
    /// The hold.
    pub hold: Hold,
    /// How many events of which type would be let out, while it has not ended.
    pub counts: Vec<(String, u64)>,
}

/// A statement that reads holds.
macro_rules! holds {
    ($rest:literal) => {
        concat!(
            "select hold_id, directory_id, kind, state, outcome, people, people_max, started_at, \
             until_at, decided_at, ended_at, cause, decided_by, remind_at from holds ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Hold, Error> {
    let outcome = row.optional_text(4)?;
    Ok(Hold {
        id: row.parsed(0)?,
        directory_id: row.parsed(1)?,
        kind: known(&row.text(2)?)?,
        state: known(&row.text(3)?)?,
        outcome: outcome.map(|it| known(&it)).transpose()?,
        people: row.number(5)?,
        people_max: row.number(6)?,
        started_at: row.time(7)?,
        until: row.optional_time(8)?,
        decided_at: row.optional_time(9)?,
        ended_at: row.optional_time(10)?,
        cause: row.text(11)?,
        decided_by: row.optional_text(12)?,
        remind_at: row.optional_time(13)?,
        lost: 0,
        lost_at: 0,
    })
}

/// A word that only we wrote.
fn known<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Corrupt(format!("`{text}` is not a word of a hold")))
}

/// Keeps a hold as it is now.
async fn keep(session: &mut Session, hold: &Hold) -> Result<(), Error> {
    let time = |at: Option<Timestamp>| Value::Integer(at.map_or(0, Timestamp::as_microsecond));
    session
        .run(
            "keeping a hold",
            "insert into holds
             (hold_id, directory_id, kind, state, outcome, people, people_max, started_at, until_at,
              decided_at, ended_at, cause, decided_by, remind_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, nullif(cast($9 as bigint), 0),
                     nullif(cast($10 as bigint), 0), nullif(cast($11 as bigint), 0), $12, $13,
                     nullif(cast($14 as bigint), 0))
             on conflict (hold_id) do update
             set state = excluded.state, outcome = excluded.outcome, until_at = excluded.until_at,
                 decided_at = excluded.decided_at, ended_at = excluded.ended_at,
                 decided_by = excluded.decided_by, remind_at = excluded.remind_at",
            &[
                Value::Text(&hold.id.to_string()),
                Value::Text(&hold.directory_id.to_string()),
                Value::Text(hold.kind.as_str()),
                Value::Text(hold.state.as_str()),
                Value::OptionalText(hold.outcome.map(HoldOutcome::as_str)),
                count(hold.people),
                count(hold.people_max),
                Value::Time(hold.started_at),
                time(hold.until),
                time(hold.decided_at),
                time(hold.ended_at),
                Value::Text(&hold.cause),
                Value::OptionalText(hold.decided_by.as_deref()),
                time(hold.remind_at),
            ],
        )
        .await
        .map(drop)
}

/// Begins one. Whoever calls this writes its id into the directory's row.
pub(crate) async fn begin(session: &mut Session, hold: &Hold) -> Result<(), Error> {
    keep(session, hold).await
}

async fn load(session: &mut Session, id: HoldId) -> Result<Option<Hold>, Error> {
    let values = [Value::Text(&id.to_string())];
    session.first("loading a hold", holds!("where hold_id = $1"), &values, read).await
}

/// The same with how much is lost while it waits.
async fn load_whole(session: &mut Session, id: HoldId) -> Result<Option<Hold>, Error> {
    let Some(mut hold) = load(session, id).await? else { return Ok(None) };
    learn_lost(session, &mut hold).await?;
    Ok(Some(hold))
}

async fn learn_lost(session: &mut Session, hold: &mut Hold) -> Result<(), Error> {
    if hold.state != HoldState::Ended {
        (hold.lost, hold.lost_at) = held::lost_so_far(session, hold.directory_id).await?;
    }
    Ok(())
}

impl HoldAct {
    pub(crate) fn directory(&self) -> DirectoryId {
        match self {
            HoldAct::BeginShadow(id, _) | HoldAct::Tend(id) => *id,
            HoldAct::Decide { directory_id, .. } => *directory_id,
        }
    }

    pub(crate) async fn keep(
        &self,
        session: &mut Session,
        batch: &mut Batch<'_>,
        caller: &Caller,
    ) -> Result<Result<Done, Rejection>, Error> {
        let (directory_id, cause) = (self.directory(), caller.cause);
        batch.open(session, directory_id).await?;
        match self {
            HoldAct::BeginShadow(_, hold_id) => {
                if !is_untold(session, batch, directory_id).await? {
                    return Ok(Err(Rejection::NoShadow));
                }
                begin_shadow(session, batch, directory_id, *hold_id, cause).await?;
                let entry = audit::of_hold(Action::HoldShadowBegun, directory_id, *hold_id);
                Ok(Ok(Done::told(1, entry)))
            }
            HoldAct::Decide { hold: Guarded { precondition, what: id }, verdict, .. } => {
                let found = load_whole(session, *id).await?;
                let found = found.filter(|hold| hold.directory_id == directory_id);
                let Some(mut hold) = found else { return Ok(Err(Rejection::UnknownHold(*id))) };
                let is_approved = hold.outcome == Some(HoldOutcome::Approved);
                if let Err(rejection) = precondition.check(Some(&hold.revision())) {
                    return Ok(Err(rejection));
                }
                match (verdict, hold.state) {
                    // Said once more, it is still so.
                    (Verdict::Reject, HoldState::Rejected) => return Ok(Ok(Done::bookkeeping(0))),
                    (Verdict::Approve, HoldState::LettingOut | HoldState::Ended) if is_approved => {
                        return Ok(Ok(Done::bookkeeping(0)));
                    }
                    (_, HoldState::LettingOut | HoldState::Ended) => {
                        return Ok(Err(Rejection::HoldDecided));
                    }
                    (Verdict::Reject, _) if hold.kind == HoldKind::Shadow => {
                        return Ok(Err(Rejection::ShadowRejected));
                    }
                    _ => {}
                }
                hold.decided_at = Some(batch.moment().now);
                hold.decided_by = Some(cause.text(None));
                let action = match verdict {
                    Verdict::Approve => {
                        if hold.kind == HoldKind::Shadow {
                            let notice = match batch.go_live(directory_id) {
                                Ok(notice) => notice,
                                Err(rejection) => return Ok(Err(rejection)),
                            };
                            if let Some(notice) = notice {
                                let told = Change::Notice(notice);
                                batch.make(session, directory_id, told, caller).await?;
                            }
                        }
                        let outcome = HoldOutcome::Approved;
                        let_out(session, batch, &mut hold, outcome, &cause.text(None)).await?;
                        Action::HoldApproved
                    }
                    Verdict::Reject => {
                        // What was a mistake is not let out because nobody mended it in time.
                        (hold.state, hold.until) = (HoldState::Rejected, None);
                        hold.remind_at = hold.next_reminder(batch.moment().now);
                        keep(session, &hold).await?;
                        let draft = hold.tell(EventKind::HoldRejected);
                        batch.tell(directory_id, draft, cause.text(None));
                        Action::HoldRejected
                    }
                };
                Ok(Ok(Done::told(1, audit::of_hold(action, directory_id, *id))))
            }
            HoldAct::Tend(_) => {
                Ok(Ok(Done::bookkeeping(tend(session, batch, directory_id).await?)))
            }
        }
    }
}

/// Begins a shadow: everything that comes waits.
pub(crate) async fn begin_shadow(
    session: &mut Session,
    batch: &mut Batch<'_>,
    directory_id: DirectoryId,
    id: HoldId,
    cause: Cause,
) -> Result<(), Error> {
    let hold = Hold {
        id,
        directory_id,
        kind: HoldKind::Shadow,
        state: HoldState::Held,
        outcome: None,
        people: 0,
        people_max: 0,
        started_at: batch.moment().now,
        until: None,
        remind_at: None,
        lost: 0,
        lost_at: 0,
        decided_at: None,
        ended_at: None,
        cause: cause.text(None),
        decided_by: None,
    };
    begin(session, &hold).await?;
    batch.be_shadow(directory_id, id);
    batch.tell(directory_id, hold.tell(EventKind::HoldStarted), cause.text(None));
    Ok(())
}

/// Whether nobody was ever told of anybody of a directory, and nothing waits.
async fn is_untold(
    session: &mut Session,
    batch: &Batch<'_>,
    directory_id: DirectoryId,
) -> Result<bool, Error> {
    if batch.held_by(directory_id).is_some() {
        return Ok(false);
    }
    let found = session
        .first(
            "looking whether anybody was told of",
            "select 1 from directories
             where directory_id = $1 and deleted_at is null and ordinal = 0",
            &[Value::Text(&directory_id.to_string())],
            |_| Ok(()),
        )
        .await?;
    Ok(found.is_some())
}

/// Does what is to be done of itself in a directory; says whether there was anything.
async fn tend(
    session: &mut Session,
    batch: &mut Batch<'_>,
    directory_id: DirectoryId,
) -> Result<u64, Error> {
    let Some(id) = batch.held_by(directory_id) else { return Ok(0) };
    let Some(mut hold) = load(session, id).await? else { return Ok(0) };
    let now = batch.moment().now;
    let outcome = match hold.state {
        HoldState::Held if hold.until.is_some_and(|until| until <= now) => HoldOutcome::TimeUp,
        HoldState::Rejected if held::lost(session, directory_id, 0, 1).await?.is_empty() => {
            HoldOutcome::BroughtBack
        }
        // Of a shadow that was thrown away, nobody hears that somebody came to see them go: when
        // they are all gone, nothing of them is to be told.
        HoldState::LettingOut
            if (hold.kind, hold.outcome)
                == (HoldKind::Shadow, Some(HoldOutcome::DirectoryDeleted))
                && !is_empty(session, directory_id).await? =>
        {
            return Ok(0);
        }
        HoldState::LettingOut => {
            let_out_some(session, batch, &mut hold).await?;
            return Ok(1);
        }
        _ if hold.remind_at.is_some_and(|at| at <= now) => {
            hold.remind_at = hold.next_reminder(now);
            keep(session, &hold).await?;
            let draft = hold.tell(EventKind::HoldWaiting);
            batch.tell(directory_id, draft, Cause::server().text(None));
            return Ok(1);
        }
        _ => return Ok(0),
    };
    let_out(session, batch, &mut hold, outcome, &Cause::server().text(None)).await?;
    Ok(1)
}

/// Whether nobody is left in a directory.
async fn is_empty(session: &mut Session, directory_id: DirectoryId) -> Result<bool, Error> {
    let sql = "select user_count + group_count from directories where directory_id = $1";
    let values = [Value::Text(&directory_id.to_string())];
    let doing = "looking whether anybody is left";
    let left = session.first(doing, sql, &values, |row| row.number(0)).await?;
    Ok(left.unwrap_or_default() == 0)
}

/// Begins to let out what waits. Nearly always that is all of it.
async fn let_out(
    session: &mut Session,
    batch: &mut Batch<'_>,
    hold: &mut Hold,
    outcome: HoldOutcome,
    cause: &str,
) -> Result<(), Error> {
    (hold.state, hold.outcome) = (HoldState::LettingOut, Some(outcome));
    (hold.until, hold.remind_at) = (None, None);
    keep(session, hold).await?;
    batch.tell(hold.directory_id, hold.tell(event_of(outcome)), cause.to_owned());
    let_out_some(session, batch, hold).await
}

/// The same of a directory that is deleted, in the transaction that tells so: what is told of those who
/// were in it is told after that.
pub(crate) async fn end_with_directory(session: &mut Session, id: HoldId) -> Result<(), Error> {
    let Some(mut hold) = load(session, id).await? else { return Ok(()) };
    if hold.state != HoldState::LettingOut {
        hold.state = HoldState::LettingOut;
        hold.outcome = Some(HoldOutcome::DirectoryDeleted);
        (hold.until, hold.remind_at) = (None, None);
        keep(session, &hold).await?;
    }
    Ok(())
}

/// Lets out some of what waits; where that was all, the directory is open again.
async fn let_out_some(
    session: &mut Session,
    batch: &mut Batch<'_>,
    hold: &mut Hold,
) -> Result<(), Error> {
    let directory_id = hold.directory_id;
    let (waiting, has_more) = held::waiting(session, directory_id, 0, LET_OUT_AT_ONCE).await?;
    let last = waiting.last().map(|change| change.ordinal);
    let outcome = hold.outcome.unwrap_or(HoldOutcome::Approved);
    // What follows from a directory that is gone names it; all else the hold.
    let of = match outcome {
        HoldOutcome::DirectoryDeleted => directory_id.to_string(),
        _ => hold.id.to_string(),
    };
    for HeldChange { draft, cause, turned, .. } in waiting {
        if let Some(draft) = draft {
            let cause = hold::cause_of_let_out(&cause, event_of(outcome), &of);
            batch.tell_turn(directory_id, draft, cause, turned);
        }
    }
    if let Some(last) = last {
        held::forget(session, directory_id, last).await?;
    }
    if !has_more {
        (hold.state, hold.ended_at) = (HoldState::Ended, Some(batch.moment().now));
        keep(session, hold).await?;
        batch.hold(directory_id, None);
        let draft = hold.tell(EventKind::HoldReleased);
        batch.tell(directory_id, draft, Cause::server().text(None));
    }
    Ok(())
}

impl Store {
    /// Does what is to be done of itself where changes wait: lets out those whose time is up, those of
    /// a hold that was rejected and whose people are back, and the rest of those that are being let
    /// out. Says in how many directories; where it says 0, there is nothing to do for now, or another
    /// node is doing it.
    ///
    /// `holder` names this node among those that share the database.
    ///
    /// # Errors
    ///
    /// The first that came up: what cannot be let out keeps no other directory waiting.
    pub async fn tend_holds(&self, holder: &str) -> Result<u64, Error> {
        let now = self.inner.environment.clock.now();
        let (mut done, mut failed) = (0, None);
        let (mut after, mut is_mine) = (String::new(), false);
        loop {
            let from = after.clone();
            let find = move |session: &mut Session| {
                finish(session.all(
                    "looking for holds with something to do",
                    "select hold_id, directory_id from holds
                     where hold_id > $3 and state <> 'ended'
                       and (state <> 'held' or until_at <= $1 or remind_at <= $1)
                     order by hold_id limit $2",
                    &[Value::Time(now), count(HOLDS_AT_ONCE), Value::Text(&from)],
                    |row| Ok((row.text(0)?, row.parsed(1)?)),
                ))
            };
            let found: Vec<(String, DirectoryId)> = self.inner.readers.read(find).await?;
            // Others come after them, also where nothing can be done about any of these yet.
            let Some((last, _)) = found.last() else { break };
            after.clone_from(last);
            is_mine = is_mine || self.holds("tend holds", holder, now).await?;
            if !is_mine {
                break;
            }
            for (_, directory_id) in found {
                // Whether there is still something to do is looked at again with the directory locked.
                let tend = Act::Hold(HoldAct::Tend(directory_id), Cause::server().into());
                match self.inner.writer.act(tend).await {
                    Ok(some) => done += some,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }
}

impl ApiStore {
    /// From now on, nothing of a directory is let out before somebody approves the hold that begins.
    ///
    /// # Errors
    ///
    /// [`Rejection::NoShadow`] where there was ever anybody in it.
    pub async fn begin_shadow(&self, id: DirectoryId) -> Result<HoldId, Error> {
        self.find(id).await?;
        let hold = HoldId::new(self.inner().environment.ids.as_ref());
        let act = Act::Hold(HoldAct::BeginShadow(id, hold), self.caller());
        self.inner().writer.act(act).await?;
        Ok(hold)
    }

    /// Says of a hold whether what waits was meant so. Said once more, it changes nothing.
    ///
    /// # Errors
    ///
    /// [`Rejection::UnknownHold`], [`Rejection::HoldDecided`], [`Rejection::ShadowRejected`].
    pub async fn decide_hold(
        &self,
        directory_id: DirectoryId,
        hold: impl Into<Guarded<HoldId>> + Send,
        verdict: Verdict,
    ) -> Result<(), Error> {
        let hold = hold.into();
        self.find(directory_id).await?;
        let decide = HoldAct::Decide { directory_id, hold, verdict };
        self.inner().writer.act(Act::Hold(decide, self.caller())).await?;
        Ok(())
    }

    /// Holds of a directory, in the order in which they began.
    pub async fn holds(
        &self,
        directory_id: DirectoryId,
        after: Option<HoldId>,
        count_max: u64,
    ) -> Result<Vec<Hold>, Error> {
        self.find(directory_id).await?;
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let find = move |session: &mut Session| {
            let directory = directory_id.to_string();
            let values = [Value::Text(&directory), Value::Text(&after), count(count_max)];
            let sql = holds!("where directory_id = $1 and hold_id > $2 order by hold_id limit $3");
            finish(async {
                let mut found = session.all("loading holds", sql, &values, read).await?;
                for hold in &mut found {
                    learn_lost(session, hold).await?;
                }
                Ok(found)
            })
        };
        self.inner().readers.read(find).await
    }

    /// Holds of all directories, the latest first; those that have not ended alone, where `open` says so.
    pub async fn all_holds(
        &self,
        open: bool,
        before: Option<HoldId>,
        count_max: u64,
    ) -> Result<Vec<Hold>, Error> {
        // Behind every id.
        let before = before.map_or_else(|| "z".to_owned(), |id| id.to_string());
        let organization = self.bound_to().map(|id| id.to_string()).unwrap_or_default();
        let find = move |session: &mut Session| {
            let values = [Value::Text(&before), Value::Text(&organization), count(count_max)];
            let sql = if open {
                holds!(
                    "where state <> 'ended' and hold_id < $1 and ($2 = '' or directory_id in \
                     (select directory_id from directories where organization_id = $2)) \
                     order by hold_id desc limit $3"
                )
            } else {
                holds!(
                    "where hold_id < $1 and ($2 = '' or directory_id in \
                     (select directory_id from directories where organization_id = $2)) \
                     order by hold_id desc limit $3"
                )
            };
            finish(async {
                let mut found = session.all("loading holds", sql, &values, read).await?;
                for hold in &mut found {
                    learn_lost(session, hold).await?;
                }
                Ok(found)
            })
        };
        self.inner().readers.read(find).await
    }

    /// A hold, with how much waits because of it.
    pub async fn hold(
        &self,
        directory_id: DirectoryId,
        id: HoldId,
    ) -> Result<Option<HoldRecord>, Error> {
        self.find(directory_id).await?;
        let find = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let found = load_whole(session, id).await?;
                let found = found.filter(|hold| hold.directory_id == directory_id);
                let record = match found {
                    None => None,
                    Some(hold) if hold.state == HoldState::Ended => {
                        Some(HoldRecord { hold, counts: Vec::new() })
                    }
                    Some(hold) => {
                        let counts = held::counts(session, directory_id).await?;
                        Some(HoldRecord { hold, counts: counts.into_iter().collect() })
                    }
                };
                session.roll_back().await?;
                Ok(record)
            })
        };
        self.inner().readers.read(find).await
    }

    /// Some of what waits because of a hold, in the order in which it would be let out, after a place;
    /// and the place behind it, where there is more.
    pub async fn held_changes(
        &self,
        directory_id: DirectoryId,
        id: HoldId,
        after: u64,
        count_max: u64,
    ) -> Result<Option<(Vec<HeldChange>, Option<u64>)>, Error> {
        let read = move |session: &mut Session| {
            finish(async {
                if !is_waiting(session, directory_id, id).await? {
                    return Ok((Vec::new(), None));
                }
                let (found, has_more) =
                    held::waiting(session, directory_id, after, count_max).await?;
                let next = found.last().map(|it| it.ordinal).filter(|_| has_more);
                Ok((found, next))
            })
        };
        self.of_hold(directory_id, id, read).await
    }

    /// Some of what was lost and is not back, after a place; each with its place.
    pub async fn lost(
        &self,
        directory_id: DirectoryId,
        id: HoldId,
        after: u64,
        count_max: u64,
    ) -> Result<Option<Vec<(u64, Lost)>>, Error> {
        let read = move |session: &mut Session| {
            finish(async {
                if !is_waiting(session, directory_id, id).await? {
                    return Ok(Vec::new());
                }
                held::lost(session, directory_id, after, count_max).await
            })
        };
        self.of_hold(directory_id, id, read).await
    }

    async fn of_hold<T: Send + 'static>(
        &self,
        directory_id: DirectoryId,
        id: HoldId,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        self.find(directory_id).await?;
        let find = move |session: &mut Session| {
            let found = finish(load(session, id))?;
            match found.filter(|hold| hold.directory_id == directory_id) {
                Some(_) => read(session).map(Some),
                None => Ok(None),
            }
        };
        self.inner().readers.read(find).await
    }
}

/// Whether a directory waits because of this hold.
async fn is_waiting(
    session: &mut Session,
    directory_id: DirectoryId,
    id: HoldId,
) -> Result<bool, Error> {
    let values = [Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())];
    let sql = "select 1 from directories where directory_id = $1 and hold_id = $2";
    let found = session.first("looking whether a hold has ended", sql, &values, |_| Ok(())).await?;
    Ok(found.is_some())
}

/// Somebody whose changes wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// As the app has heard of them; nothing where it has not.
    pub told: Option<Told>,
}

impl DirectoryStore {
    /// Whether changes of a user or a group wait, and what the app has heard of them.
    pub async fn held(&self, id: ResourceId) -> Result<Option<Held>, Error> {
        Ok(self.held_among(vec![id]).await?.remove(&id))
    }

    /// The same of several: those of them whose changes wait.
    pub async fn held_among(
        &self,
        ids: Vec<ResourceId>,
    ) -> Result<std::collections::HashMap<ResourceId, Held>, Error> {
        let directory_id = self.id();
        let read = move |session: &mut Session| finish(held::told_of(session, directory_id, &ids));
        let found = self.inner.readers.read(read).await?;
        Ok(found.into_iter().map(|(id, told)| (id, Held { told })).collect())
    }
}

/// What is told besides changes, with its cause as JSON.
pub(crate) struct Telling {
    pub(crate) directory_id: DirectoryId,
    pub(crate) draft: Draft,
    pub(crate) at: Timestamp,
    pub(crate) cause: String,
    /// Whose access ends by it, or begins again.
    pub(crate) turned: Option<UserId>,
}
