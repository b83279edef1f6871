//! Receipts: the app says that somebody's access has ended, and when.
//!
//! From the first one on, or where the vendor sets a time, each deactivation and each deletion of an
//! active person is waited for; before, none is. It is written down in the transaction that keeps its
//! event: where changes are held, when it is let out. Who is let in again before the app has said so is
//! not waited for any more.

use directory::event::EventKind;
use directory::{DirectoryId, Rejection, ResourceId, UserId};
use jiff::{SignedDuration, Timestamp};

use crate::access::ApiStore;
use crate::administration::Administration;
use crate::error::Error;
use crate::session::{Many, Row, Session, Value, count, finish};

/// By how much the clock of the app may differ from ours.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_mins(5);

/// Receipts of which it is said how long it took: the latest.
const SUMMED_UP: u64 = 10_000;

/// An end of somebody's access that is waited for, or that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the event that told of it.
    pub number: u64,
    /// Whose.
    pub user_id: ResourceId,
    /// The `type` of the event.
    pub kind: String,
    /// When the provider asked for it.
    pub requested_at: Timestamp,
    /// When it came into effect, as the app says.
    pub effective_at: Option<Timestamp>,
    /// When the app said so first.
    pub received_at: Option<Timestamp>,
    /// When it was told that this is overdue.
    pub overdue_at: Option<Timestamp>,
}

impl Receipt {
    /// How long it took.
    pub fn took(&self) -> Option<SignedDuration> {
        let took = self.effective_at?.duration_since(self.requested_at);
        // The app's clock may be behind.
        Some(took.max(SignedDuration::ZERO))
    }
}

/// What is asked of the receipts of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptsAsked {
    /// Only of this user.
    pub user_id: Option<ResourceId>,
    /// Only those that came, or only those that did not.
    pub is_received: Option<bool>,
    /// Of those that did not come, only those that are overdue.
    pub is_overdue: bool,
    /// After this number.
    pub after: u64,
    /// So many at most.
    pub count_max: u64,
}

/// How long it took, of the latest receipts of a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// Ends of access that are waited for.
    pub outstanding: u64,
    /// Of these, such as were told to be overdue.
    pub overdue: u64,
    /// Receipts that came.
    pub received: u64,
    /// What half of them took, at most.
    pub p50: Option<SignedDuration>,
    /// What nineteen of twenty took, at most.
    pub p95: Option<SignedDuration>,
    /// What the longest took.
    pub max: Option<SignedDuration>,
}

/// Why a receipt was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReceived {
    /// There is no such event (any more).
    UnknownEvent,
    /// It does not end anybody's access.
    EndsNothing,
    /// It says that it came into effect before it was asked for.
    TooEarly(Timestamp),
    /// It says that it will come into effect.
    TooLate(Timestamp),
}

/// A receipt that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewReceipt {
    directory_id: DirectoryId,
    number: u64,
    user_id: String,
    kind: String,
    requested_at: Timestamp,
    effective_at: Timestamp,
    received_at: Timestamp,
}

/// Somebody's access that ended, or began again, by the number of its event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) directory_id: DirectoryId,
    pub(crate) user_id: UserId,
    pub(crate) number: u64,
    pub(crate) kind: EventKind,
    pub(crate) at: Timestamp,
}

/// Notes what the app is to say, and what it need not say any more.
pub(crate) async fn expect(session: &mut Session, turns: &[Turn]) -> Result<(), Error> {
    const INSERT: Many<5> = Many {
        doing: "noting what the app is to say",
        sqlite: "insert into receipts (directory_id, number, user_id, type, requested_at)
                 values ($1, $2, $3, $4, $5)",
        postgres: "insert into receipts (directory_id, number, user_id, type, requested_at)
                   select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[],
                                        $5::bigint[])",
    };
    const DELETE: Many<3> = Many {
        doing: "noting what the app need not say",
        sqlite: "delete from receipts where directory_id = $1 and number < $2 and user_id = $3
                     and effective_at is null",
        postgres: "delete from receipts r
                   using unnest($1::text[], $2::bigint[], $3::text[])
                       as it (directory_id, number, user_id)
                   where r.directory_id = it.directory_id and r.number < it.number
                       and r.user_id = it.user_id and r.effective_at is null",
    };
    let texts: Vec<_> = turns
        .iter()
        .map(|turn| (turn, turn.directory_id.to_string(), turn.user_id.to_string()))
        .collect();
    let (mut ends, mut begins) = (Vec::new(), Vec::new());
    for (turn, directory, user) in &texts {
        let (directory, number, user) =
            (Value::Text(directory), count(turn.number), Value::Text(user));
        // Who is told of again had gone before the changes were held.
        if matches!(turn.kind, EventKind::UserReactivated | EventKind::UserCreated) {
            begins.push([directory, number, user]);
        } else {
            let kind = Value::Text(turn.kind.as_str());
            ends.push([directory, number, user, kind, Value::Time(turn.at)]);
        }
    }
    session.run_each(&INSERT, &ends).await?;
    session.run_many(&DELETE, &begins).await.map(drop)
}

/// The first one stays. With the first of an organization, the others begin to be waited for.
pub(crate) async fn keep(
    session: &mut Session,
    new: &NewReceipt,
) -> Result<Result<u64, Rejection>, Error> {
    let directory = new.directory_id.to_string();
    let kept = session
        .run(
            "keeping a receipt",
            "insert into receipts
             (directory_id, number, user_id, type, requested_at, effective_at, received_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (directory_id, number) do update
             set effective_at = excluded.effective_at, received_at = excluded.received_at
             where receipts.effective_at is null",
            &[
                Value::Text(&directory),
                count(new.number),
                Value::Text(&new.user_id),
                Value::Text(&new.kind),
                Value::Time(new.requested_at),
                Value::Time(new.effective_at),
                Value::Time(new.received_at),
            ],
        )
        .await?;
    let sql = "insert into guards (organization_id, receipts_since)
               select organization_id, $2 from directories where directory_id = $1
               on conflict (organization_id) do update
               set receipts_since = excluded.receipts_since where guards.receipts_since is null";
    let values = [Value::Text(&directory), Value::Time(new.received_at)];
    session.run("noting that the app sends receipts", sql, &values).await?;
    Ok(Ok(kept as u64))
}

fn receipt(row: &Row<'_>) -> Result<Receipt, Error> {
    Ok(Receipt {
        number: row.number(0)?,
        user_id: row.resource_id(1)?,
        kind: row.text(2)?,
        requested_at: row.time(3)?,
        effective_at: row.optional_time(4)?,
        received_at: row.optional_time(5)?,
        overdue_at: row.optional_time(6)?,
    })
}

impl ApiStore {
    /// Keeps that somebody's access has ended, as an event of a directory told the app to. Whoever says
    /// it again is told what was said first, and whether that was now.
    pub async fn keep_receipt(
        &self,
        directory_id: DirectoryId,
        number: u64,
        effective_at: Option<Timestamp>,
    ) -> Result<Result<(Receipt, bool), NotReceived>, Error> {
        self.find(directory_id).await?;
        let Some(event) = self.event(directory_id, number).await? else {
            return Ok(Err(NotReceived::UnknownEvent));
        };
        let is_end = [EventKind::UserDeactivated, EventKind::UserDeleted]
            .iter()
            .any(|kind| kind.as_str() == event.kind);
        let data: Option<serde_json::Value> = serde_json::from_str(&event.data).ok();
        let user_id = data.and_then(|data| data["user"]["id"].as_str().map(str::to_owned));
        let Some(user_id) = user_id.filter(|_| is_end) else {
            return Ok(Err(NotReceived::EndsNothing));
        };
        let received_at = self.now();
        let effective_at = effective_at.unwrap_or(received_at);
        if effective_at < event.occurred_at - CLOCKS_DIFFER_BY {
            return Ok(Err(NotReceived::TooEarly(event.occurred_at)));
        }
        if effective_at > received_at + CLOCKS_DIFFER_BY {
            return Ok(Err(NotReceived::TooLate(received_at)));
        }
        let new = NewReceipt {
            directory_id,
            number,
            user_id,
            kind: event.kind,
            requested_at: event.occurred_at,
            effective_at: crate::to_the_microsecond(effective_at),
            received_at,
        };
        let kept = self.administer(Administration::KeepReceipt(new)).await?;
        let read = move |session: &mut Session| {
            let sql = "select number, user_id, type, requested_at, effective_at, received_at,
                              overdue_at
                       from receipts where directory_id = $1 and number = $2";
            let values = [Value::Text(&directory_id.to_string()), count(number)];
            finish(session.first("loading a receipt", sql, &values, receipt))
        };
        let found = self.inner().readers.read(read).await?;
        let gone = || Error::Rejected(Rejection::UnknownDirectory(directory_id));
        Ok(Ok((found.ok_or_else(gone)?, kept > 0)))
    }

    /// Receipts of a directory, in the order of their events.
    pub async fn receipts(
        &self,
        directory_id: DirectoryId,
        asked: ReceiptsAsked,
    ) -> Result<Vec<Receipt>, Error> {
        self.find(directory_id).await?;
        let read = move |session: &mut Session| {
            let sql = "select number, user_id, type, requested_at, effective_at, received_at,
                              overdue_at
                       from receipts
                       where directory_id = $1 and number > $2
                           and (cast($3 as text) is null or user_id = $3)
                           and ($4 = 0 or effective_at is not null)
                           and ($5 = 0 or effective_at is null)
                           and ($6 = 0 or overdue_at is not null)
                       order by number limit $7";
            let user = asked.user_id.map(|id| id.to_string());
            let flag = |is_so: bool| Value::Integer(is_so.into());
            let values = [
                Value::Text(&directory_id.to_string()),
                count(asked.after),
                Value::OptionalText(user.as_deref()),
                flag(asked.is_received == Some(true)),
                flag(asked.is_received == Some(false)),
                flag(asked.is_overdue),
                count(asked.count_max),
            ];
            finish(session.all("loading receipts", sql, &values, receipt))
        };
        self.inner().readers.read(read).await
    }

    /// How long it takes in a directory until access has ended.
    pub async fn receipt_summary(
        &self,
        directory_id: DirectoryId,
    ) -> Result<ReceiptSummary, Error> {
        self.find(directory_id).await?;
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let directory = directory_id.to_string();
                let sql = "select count(*), count(overdue_at) from receipts
                           where directory_id = $1 and effective_at is null";
                let doing = "counting receipts";
                let of = [Value::Text(&directory)];
                let waited =
                    session.first(doing, sql, &of, |row| Ok((row.number(0)?, row.number(1)?)));
                let (outstanding, overdue) = waited.await?.unwrap_or_default();
                let sql = "select number, user_id, type, requested_at, effective_at, received_at,
                                  overdue_at
                           from receipts where directory_id = $1 and effective_at is not null
                           order by number desc limit $2";
                let values = [Value::Text(&directory), count(SUMMED_UP)];
                let received = session.all("loading receipts", sql, &values, receipt).await?;
                let mut took: Vec<_> = received.iter().filter_map(Receipt::took).collect();
                took.sort_unstable();
                Ok(ReceiptSummary {
                    outstanding,
                    overdue,
                    received: took.len() as u64,
                    p50: percentile(&took, 50),
                    p95: percentile(&took, 95),
                    max: took.last().copied(),
                })
            })
        };
        self.inner().readers.read(read).await
    }
}

/// What so many of a hundred are not above, of those in order: the nearest rank.
fn percentile(sorted: &[SignedDuration], of_hundred: usize) -> Option<SignedDuration> {
    let rank = (sorted.len() * of_hundred).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let check = |count: i64, of_hundred, expected: Option<i64>| {
            let sorted: Vec<_> = (1..=count).map(SignedDuration::from_secs).collect();
            let found = percentile(&sorted, of_hundred).map(|it| it.as_secs());
            assert_eq!(found, expected, "{count} {of_hundred}");
        };
        check(0, 50, None);
        check(1, 50, Some(1));
        check(1, 95, Some(1));
        check(4, 50, Some(2));
        check(20, 95, Some(19));
        check(100, 95, Some(95));
    }
}
