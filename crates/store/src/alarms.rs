//! What is told when nobody does anything: a provider fell silent, a token ends, a receipt is missing.
//!
//! One node looks for it now and then. Each finding is noted in the transaction that keeps its event, and
//! looked at there once more, so it is told once whatever nodes do.

use directory::{Change, DirectoryId, Notice, RECEIPT_MINUTES_DEFAULT, Rhythm, Settings, TokenId};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::Store;
use crate::administration::Administration;
use crate::audit::Caller;
use crate::batch::Batch;
use crate::error::Error;
use crate::session::{Row, Session, Value, count, finish};
use crate::{contacts, rows};

/// Under which this is done.
pub(crate) const LEASE: &str = "raise alarms";

/// Rows that are looked at together.
const ROWS_AT_ONCE: u64 = 500;

/// Days before a token expires at which that is told, and that it has.
const TOKEN_DAYS: [u32; 4] = [30, 7, 1, 0];

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    Silent { last_at: Timestamp, silent_after_hours: u32 },
    HeardAgain,
    Token { id: TokenId, expires_at: Timestamp, days: u32 },
    ReceiptOverdue { number: u64, minutes: u32 },
}

impl Store {
    /// Tells of providers that fell silent or were heard of again, of tokens that expire, and of receipts
    /// that are missing. Says how many it told of; where it says 0, there was nothing to tell, or another
    /// node does it.
    pub async fn raise_alarms(&self, holder: &str) -> Result<u64, Error> {
        let now = crate::to_the_microsecond(self.inner.environment.clock.now());
        if !self.holds(LEASE, holder, now).await? {
            return Ok(0);
        }
        let mut found =
            self.inner.readers.read(move |session| finish(silent(session, now))).await?;
        found.extend(self.inner.readers.read(heard_again).await?);
        found.extend(self.inner.readers.read(move |session| finish(tokens(session, now))).await?);
        found.extend(self.inner.readers.read(move |session| overdue(session, now)).await?);
        let raised = found.into_iter().map(|(directory_id, alarm)| {
            let holder = holder.to_owned();
            self.administer(Administration::Raise { alarm, directory_id, holder, now })
        });
        let mut told = 0;
        for outcome in join_all(raised).await {
            told += outcome?;
        }
        Ok(told)
    }
}

/// Providers that were not heard of for much longer than is usual for them.
async fn silent(session: &mut Session, now: Timestamp) -> Result<Vec<(DirectoryId, Alarm)>, Error> {
    struct Heard {
        directory_id: DirectoryId,
        last_at: Timestamp,
        rhythm: Rhythm,
        settings: Settings,
    }
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        // Whatever is set, nobody is silent for less than an hour.
        let before = now - SignedDuration::from_hours(1);
        let heard = session
            .all(
                "looking for silent directories",
                "select c.directory_id, c.last_at, c.rhythm, d.settings
                 from contacts c
                     join directories d on d.directory_id = c.directory_id
                     join organizations o on o.organization_id = d.organization_id
                 where c.directory_id > $1 and c.silent_at is null and c.last_at <= $2
                     and d.deleted_at is null and d.paused_at is null and o.directory_sync = 1
                 order by c.directory_id limit $3",
                &[Value::Text(&after), Value::Time(before), count(ROWS_AT_ONCE)],
                |row| {
                    Ok(Heard {
                        directory_id: row.parsed(0)?,
                        last_at: row.time(1)?,
                        rhythm: contacts::rhythm(row.optional_text(2)?)?,
                        settings: rows::settings(&row.text(3)?)?,
                    })
                },
            )
            .await?;
        let Some(last) = heard.last() else { return Ok(found) };
        after = last.directory_id.to_string();
        for it in heard {
            let silence = it.settings.silence(it.rhythm.usual_gap());
            if now.duration_since(it.last_at) > silence {
                let silent_after_hours = u32::try_from(silence.as_hours()).unwrap_or(u32::MAX);
                let alarm = Alarm::Silent { last_at: it.last_at, silent_after_hours };
                found.push((it.directory_id, alarm));
            }
        }
    }
}

fn heard_again(session: &mut Session) -> Result<Vec<(DirectoryId, Alarm)>, Error> {
    let sql = "select directory_id from contacts
               where silent_at is not null and last_at > silent_at
               order by directory_id limit $1";
    finish(session.all("looking who was heard again", sql, &[count(ROWS_AT_ONCE)], |row| {
        Ok((row.parsed(0)?, Alarm::HeardAgain))
    }))
}

/// Tokens of which it is time to tell that they expire, or have expired lately.
async fn tokens(session: &mut Session, now: Timestamp) -> Result<Vec<(DirectoryId, Alarm)>, Error> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let read = |row: &Row<'_>| {
            let id: TokenId = row.parsed(0)?;
            let (created_at, expires_at) = (row.time(2)?, row.time(3)?);
            let told = row.optional_number(4)?;
            let days = due(created_at, expires_at, now);
            let days = days.filter(|days| told.is_none_or(|told| u64::from(*days) < told));
            let alarm = days.map(|days| Alarm::Token { id, expires_at, days });
            Ok((id, row.parsed(1)?, alarm))
        };
        let some: Vec<(TokenId, DirectoryId, Option<Alarm>)> = session
            .all(
                "looking for tokens that expire",
                "select t.token_id, t.directory_id, t.created_at, t.expires_at, t.told_days
                 from tokens t join directories d on d.directory_id = t.directory_id
                 where t.token_id > $1 and t.client_secret_id is null and d.deleted_at is null
                     and t.expires_at > $2 and t.expires_at <= $3
                     and (t.told_days is null or t.told_days > 0)
                 order by t.token_id limit $4",
                &[
                    Value::Text(&after),
                    Value::Time(now - DAY * 30),
                    Value::Time(now + DAY * 30),
                    count(ROWS_AT_ONCE),
                ],
                read,
            )
            .await?;
        let Some((last, ..)) = some.last() else { return Ok(found) };
        after = last.to_string();
        found.extend(some.into_iter().filter_map(|(_, id, alarm)| Some((id, alarm?))));
    }
}

/// At how many days before its end a token is, of those at which that is told. One that was made for
/// a few days is not about to expire when it is made.
fn due(created_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> Option<u32> {
    let (left, life) = (expires_at.duration_since(now), expires_at.duration_since(created_at));
    let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
    TOKEN_DAYS.into_iter().rev().find(|it| left <= days(*it) && life > days(*it))
}

fn overdue(session: &mut Session, now: Timestamp) -> Result<Vec<(DirectoryId, Alarm)>, Error> {
    let sql = "select r.directory_id, r.number, coalesce(g.receipt_minutes, $2)
               from receipts r
                   join directories d on d.directory_id = r.directory_id
                   join guards g on g.organization_id = d.organization_id
               where r.effective_at is null and r.overdue_at is null and d.deleted_at is null
                   and r.requested_at + coalesce(g.receipt_minutes, $2) * 60000000 <= $1
               order by r.directory_id, r.number limit $3";
    let minutes = Value::Integer(RECEIPT_MINUTES_DEFAULT.into());
    let values = [Value::Time(now), minutes, count(ROWS_AT_ONCE)];
    finish(session.all("looking for receipts that are overdue", sql, &values, |row| {
        let minutes = u32::try_from(row.number(2)?).unwrap_or(u32::MAX);
        Ok((row.parsed(0)?, Alarm::ReceiptOverdue { number: row.number(1)?, minutes }))
    }))
}

/// Tells of it, where it is so still and was not told. Says whether it was told now.
pub(crate) async fn raise(
    session: &mut Session,
    batch: &mut Batch<'_>,
    directory_id: DirectoryId,
    alarm: &Alarm,
    caller: &Caller,
) -> Result<u64, Error> {
    let directory = directory_id.to_string();
    let (directory, now) = (Value::Text(&directory), Value::Time(batch.moment().now));
    let notice = match alarm {
        Alarm::Silent { last_at, silent_after_hours } => {
            let sql = "update contacts set silent_at = $2
                       where directory_id = $1 and silent_at is null and last_at = $3
                       returning directory_id";
            let values = [directory, now, Value::Time(*last_at)];
            let told = session.first("noting a silence", sql, &values, |_| Ok(())).await?;
            told.map(|()| Notice::Silent {
                last_contact_at: *last_at,
                silent_after_hours: *silent_after_hours,
            })
        }
        Alarm::HeardAgain => {
            let sql = "select silent_at from contacts
                       where directory_id = $1 and last_at > silent_at";
            let doing = "looking since when a directory is silent";
            let silent_since =
                session.first(doing, sql, std::slice::from_ref(&directory), |row| row.time(0));
            let silent_since = silent_since.await?;
            if silent_since.is_some() {
                let sql = "update contacts set silent_at = null where directory_id = $1";
                session.run("noting the end of a silence", sql, &[directory]).await?;
            }
            silent_since.map(|silent_since| Notice::HeardAgain { silent_since })
        }
        Alarm::Token { id, expires_at, days } => {
            let sql = "update tokens set told_days = $3
                       where token_id = $2 and directory_id = $1 and expires_at = $4
                           and (told_days is null or told_days > $3)
                       returning last_four";
            let text = id.to_string();
            let values = [
                directory,
                Value::Text(&text),
                Value::Integer((*days).into()),
                Value::Time(*expires_at),
            ];
            let doing = "noting that a token expires";
            let last_four = session.first(doing, sql, &values, |row| row.text(0)).await?;
            let (id, expires_at, days) = (*id, *expires_at, *days);
            last_four.map(|last_four| Notice::Token { id, last_four, expires_at, days })
        }
        Alarm::ReceiptOverdue { number, minutes } => {
            let sql = "update receipts set overdue_at = $2
                       where directory_id = $1 and number = $3 and effective_at is null
                           and overdue_at is null
                       returning user_id, requested_at";
            let values = [directory, now, count(*number)];
            let read = |row: &Row<'_>| Ok((row.resource_id(0)?, row.time(1)?));
            let told = session.first("noting a missing receipt", sql, &values, read).await?;
            told.map(|(user_id, requested_at)| Notice::ReceiptOverdue {
                user_id,
                event_number: *number,
                requested_at,
                minutes: *minutes,
            })
        }
    };
    let Some(notice) = notice else { return Ok(0) };
    batch.make(session, directory_id, Change::Notice(notice), caller).await?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_of_at_30_7_and_1_days_and_when_it_has_expired() {
        #[track_caller]
        fn check(life: i64, hours_left: i64, expected: Option<u32>) {
            let expires_at = Timestamp::from_second(2_000_000_000).unwrap();
            let created_at = expires_at - SignedDuration::from_hours(24 * life);
            let now = expires_at - SignedDuration::from_hours(hours_left);
            assert_eq!(due(created_at, expires_at, now), expected, "{life} {hours_left}");
        }
        check(365, 31 * 24, None);
        check(365, 30 * 24, Some(30));
        check(365, 8 * 24, Some(30));
        check(365, 7 * 24, Some(7));
        check(365, 25, Some(7));
        check(365, 24, Some(1));
        check(365, 1, Some(1));
        check(365, 0, Some(0));
        check(365, -24, Some(0));
        // One that is made for a while is not about to expire then.
        check(30, 30 * 24, None);
        check(7, 7 * 24, None);
        check(5, 2 * 24, None);
        check(5, 12, Some(1));
        check(1, 24, None);
    }
}
