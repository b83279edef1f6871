//! What is let go when it is old: one class after the other, a few thousand rows in a transaction, by one
//! node at a time. The request log has a thread of its own, which does it there.

use jiff::Timestamp;

use crate::Store;
use crate::error::Error;
use crate::requests::Forget;
use crate::session::{Session, Value, count};
use crate::writer::Act;
use crate::{feed, lease};

/// Rows that are let go in one transaction: others wait meanwhile.
const ROWS_AT_ONCE: u64 = 2_000;

/// A class of what happened, which is kept for a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The feed. What is still to be brought to somebody is waited for, and not for ever.
    Events,
    /// The audit log.
    Audit,
    /// Who was deleted, receipts, and holds that have ended.
    Past,
    /// Bodies of the request log.
    Bodies,
    /// The request log, with its bodies.
    Requests,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 5] =
        [Class::Events, Class::Audit, Class::Past, Class::Bodies, Class::Requests];

    /// What it is called, in sentences and as a lease.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Events => "events",
            Class::Audit => "entries of the audit log",
            Class::Past => "people who were deleted, receipts and holds",
            Class::Bodies => "bodies of requests",
            Class::Requests => "requests",
        }
    }
}

impl Store {
    /// Lets the oldest of a class go, from before a moment: a few thousand at a time, so that others can
    /// write in between. Says how many; where it says 0, there are no more of them, or another node is
    /// doing it.
    ///
    /// `holder` names this node among those that share the database.
    pub async fn forget(
        &self,
        class: Class,
        holder: &str,
        before: Timestamp,
    ) -> Result<u64, Error> {
        let requests_before = match class {
            Class::Events | Class::Audit | Class::Past => {
                let now = self.inner.environment.clock.now();
                let holder = holder.to_owned();
                return self.inner.writer.act(Act::Forget { class, holder, before, now }).await;
            }
            Class::Bodies => Timestamp::MIN,
            Class::Requests => before,
        };
        self.inner.requests.forget(Forget { requests_before, bodies_before: before }).await
    }
}

/// A step of it, within a transaction.
pub(crate) async fn forget(
    session: &mut Session,
    class: Class,
    holder: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, Error> {
    let deletes: &[&'static str] = match class {
        Class::Events => return feed::forget(session, holder, before, now).await,
        Class::Audit => &["delete from audit where audit_id in
               (select audit_id from audit where occurred_at < $1 order by occurred_at limit $2)"],
        Class::Past => &[
            "delete from former_users where (directory_id, user_id) in
             (select directory_id, user_id from former_users
              where deleted_at < $1 order by deleted_at limit $2)",
            "delete from receipts where (directory_id, number) in
             (select directory_id, number from receipts
              where requested_at < $1 order by requested_at limit $2)",
            "delete from holds where hold_id in
             (select hold_id from holds where state = 'ended' and ended_at < $1 limit $2)",
        ],
        Class::Bodies | Class::Requests => unreachable!("the request log lets its own go"),
    };
    if !lease::hold(session, class.as_str(), holder, now).await? {
        return Ok(0);
    }
    let values = [Value::Time(before), count(ROWS_AT_ONCE)];
    let mut forgotten = 0;
    for delete in deletes {
        forgotten += session.run("letting go of what is old", delete, &values).await? as u64;
    }
    Ok(forgotten)
}
