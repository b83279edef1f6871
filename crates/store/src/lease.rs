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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use claims::OwnDatabase;

    use super::*;
    use crate::postgres::Connector;
    use crate::session::finish;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[tokio::test]
    async fn who_acts_under_a_lease_keeps_others_out_or_fails() {
        let Some(own) = OwnDatabase::make() else { return };
        let connector = Connector::new(&own.url()).unwrap();
        let acting = tokio::task::spawn_blocking(move || {
            finish(act(&own, &connector));
            // The database goes after those who use it.
            own
        });
        acting.await.unwrap();
    }

    async fn act(own: &OwnDatabase, connector: &Arc<Connector>) {
        let (mut one, mut other) = (connector.session(), connector.session());
        crate::migrations::migrate(&mut one, NOW).await.unwrap();
        one.script("", "create table done (by_whom text)").await.unwrap();
        other.script("", "set lock_timeout = '20ms'").await.unwrap();
        // It has begun to act, and sleeps for longer than the lease lasts.
        one.begin().unwrap();
        assert!(hold(&mut one, "act", "one", NOW).await.unwrap());
        one.run("", "insert into done values ('one')", &[]).await.unwrap();
        other.begin().unwrap();
        let refused = hold(&mut other, "act", "other", NOW).await.unwrap_err();
        assert!(refused.is_locked(), "{refused:?}");
        other.roll_back().await.unwrap();
        // The database ends it, as it does with all that sleep in the middle of something.
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity
                     where state = 'idle in transaction' and datname = current_database()";
        assert_eq!(own.run(ended), 1);
        other.script("", "set lock_timeout = '10s'").await.unwrap();
        other.begin().unwrap();
        assert!(hold(&mut other, "act", "other", NOW).await.unwrap());
        other.run("", "insert into done values ('other')", &[]).await.unwrap();
        other.commit().await.unwrap();
        // It wakes up, and nothing of what it did is there.
        let failed = one.commit().await.unwrap_err();
        assert!(failed.is_unreachable(), "{failed:?}");
        let who = one.all("", "select by_whom from done", &[], |row| row.text(0)).await.unwrap();
        assert_eq!(who, ["other"]);
        one.begin().unwrap();
        assert!(!hold(&mut one, "act", "one", NOW).await.unwrap());
        one.roll_back().await.unwrap();
    }
}
