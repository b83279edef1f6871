//! What becomes of the people of a directory that was disconnected from its provider, where they are to
//! lose their access: it goes step by step, and on after a restart.

use directory::{Cause, DeactivateUser, DirectoryId, Rejection, ResourceId};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::Store;
use crate::administration::Administration;
use crate::error::Error;
use crate::session::{Row, Session, Value, count, finish};

/// Users that are looked at at once: as many as fit into one transaction, beside those of others.
const USERS_AT_ONCE: u64 = 128;

/// A directory whose people are to be deactivated, and after which of them to go on.
struct ToEnd {
    directory_id: DirectoryId,
    disconnected_at: Timestamp,
    ordinal: u64,
}

impl Store {
    /// Deactivates some of those who are in directories that were disconnected so that nobody keeps their
    /// access, but for those who are protected. Says how many were looked at; where it says 0, nobody is
    /// left, or another node is doing it.
    ///
    /// `holder` names this node among those that share the database.
    pub async fn deactivate_people(&self, holder: &str) -> Result<u64, Error> {
        let Some(at) = self.inner.readers.read(directory_to_end).await? else { return Ok(0) };
        let now = self.inner.environment.clock.now();
        if !self.holds("deactivate people", holder, now).await? {
            return Ok(0);
        }
        let ToEnd { directory_id, disconnected_at, ordinal } = at;
        let read = move |session: &mut Session| {
            let sql = "select user_id, ordinal from users
                       where directory_id = $1 and ordinal > $2 order by ordinal limit $3";
            let directory = directory_id.to_string();
            let values = [Value::Text(&directory), count(ordinal), count(USERS_AT_ONCE)];
            let user = |row: &Row<'_>| Ok((row.resource_id(0)?, row.number(1)?));
            finish(session.all("looking for users to deactivate", sql, &values, user))
        };
        let users = self.inner.readers.read(read).await?;
        let looked_at = users.len() as u64;
        let last = users.last().map(|(_, ordinal)| *ordinal);
        let deactivated = users.into_iter().map(|(id, _)| self.deactivate(directory_id, id));
        join_all(deactivated).await.into_iter().collect::<Result<(), Error>>()?;
        // After the last one, this was all: the provider is turned away, so nobody comes any more.
        let ordinal = last.filter(|_| looked_at == USERS_AT_ONCE);
        let note = Administration::NoteDeactivated { directory_id, disconnected_at, ordinal };
        self.administer(note).await?;
        Ok(looked_at.max(1))
    }

    async fn deactivate(&self, of: DirectoryId, id: ResourceId) -> Result<(), Error> {
        let cause = Cause::disconnected_directory(of);
        let deactivated = self.inner.writer.change(of, DeactivateUser { id }, cause.into());
        match deactivated.await {
            // Whoever is protected stays, whoever is gone is gone, and so is a whole directory.
            Err(Error::Rejected(
                Rejection::ProtectedUser(_)
                | Rejection::UnknownUser(_)
                | Rejection::UnknownDirectory(_),
            )) => Ok(()),
            other => other,
        }
    }
}

fn directory_to_end(session: &mut Session) -> Result<Option<ToEnd>, Error> {
    let sql = "select directory_id, disconnected_at, deactivating_after from directories
               where deactivating_after is not null and disconnected_at >= paused_at
                   and deleted_at is null
               order by directory_id limit 1";
    finish(session.first("looking for people to deactivate", sql, &[], |row| {
        Ok(ToEnd {
            directory_id: row.parsed(0)?,
            disconnected_at: row.time(1)?,
            ordinal: row.number(2)?,
        })
    }))
}

/// How far it is. Of a directory that was connected again meanwhile, and perhaps disconnected anew, nothing
/// is noted.
pub(crate) async fn note_deactivated(
    session: &mut Session,
    (directory_id, disconnected_at): (DirectoryId, Timestamp),
    ordinal: Option<u64>,
) -> Result<u64, Error> {
    let sql = "update directories set deactivating_after = nullif(cast($3 as bigint), -1)
               where directory_id = $1 and disconnected_at = $2 and deactivating_after is not null";
    let ordinal = Value::Integer(ordinal.map_or(-1, u64::cast_signed));
    let values = [Value::Text(&directory_id.to_string()), Value::Time(disconnected_at), ordinal];
    Ok(session.run("noting who was deactivated", sql, &values).await? as u64)
}
