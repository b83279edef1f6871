//! What only one node is to do at a time.
//!
//! Whoever holds a lease extends it while it works, and another takes it over when it has run out.
//! That alone would not keep a node that slept from going on where it was; so the transaction that
//! acts asks again, and holds the row until it ends. Then nobody can have taken over meanwhile.

use jiff::{SignedDuration, Timestamp};

use crate::error::Error;
use crate::session::{Engine, Session, Value};

/// For how long a lease is held when its holder is heard of no more.
pub(crate) const HELD_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Takes a lease, or extends it, within a transaction; says whether it is held until its end.
///
/// Time is that of the database where there may be many nodes: their clocks may differ.
pub(crate) async fn hold(
    session: &mut Session,
    name: &str,
    holder: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let now = match session.engine() {
        Engine::Sqlite => now,
        Engine::Postgres => {
            let sql = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)";
            let found = session.first("asking for the time", sql, &[], |row| row.time(0)).await?;
            found.unwrap_or(now)
        }
    };
    let held = session
        .first(
            "taking a lease",
            "insert into leases (name, holder, expires_at) values ($1, $2, $4)
             on conflict (name) do update
             set holder = excluded.holder, expires_at = excluded.expires_at
             where leases.holder = excluded.holder or leases.expires_at <= $3
             returning 1",
            &[
                Value::Text(name),
                Value::Text(holder),
                Value::Time(now),
                Value::Time(now + HELD_FOR),
            ],
            |_| Ok(()),
        )
        .await?;
    Ok(held.is_some())
}
