//! What is done now and then, and nobody waits for.

use directory::{Cause, DeleteGroup, DeleteUser, DirectoryId, LeaveGroup, Rejection, ResourceId};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::Store;
use crate::administration::Administration;
use crate::error::Error;
use crate::session::{Session, Value, finish};
use crate::writer::{Act, Writer};

/// Users that are deleted at once: as many as fit into one transaction, beside those of others.
const USERS_AT_ONCE: u64 = 128;

/// Groups that are deleted at once, as far as not more than [`MEMBERS_AT_ONCE`] belong to them.
const GROUPS_AT_ONCE: u64 = 64;

/// Memberships that end at once, each with an event. Of a group that has more, these leave it before it
/// is deleted.
const MEMBERS_AT_ONCE: u64 = 1_000;

impl Store {
    /// Lets go what is of no use any more: answers that are not given again, and access tokens that
    /// have expired; a few thousand at a time. Says how much.
    pub async fn tidy_up(&self) -> Result<u64, Error> {
        let now = self.inner.environment.clock.now();
        self.administer(Administration::TidyUp(now)).await
    }

    /// Deletes some of those who are in directories that were deleted, with their events, as their
    /// provider would have done. Says how many users and groups these were, and memberships that
    /// ended; where it says 0, there is nobody left, or another node is doing it.
    ///
    /// `holder` names this node among those that share the database.
    pub async fn empty_directories(&self, holder: &str) -> Result<u64, Error> {
        let Some(id) = self.inner.readers.read(directory_to_empty).await? else { return Ok(0) };
        let now = self.inner.environment.clock.now();
        if !self.holds("empty directories", holder, now).await? {
            return Ok(0);
        }
        let writer = &self.inner.writer;
        let groups = self.inner.readers.read(move |session| {
            finish(session.all(
                "looking for groups that are left",
                "select group_id, member_count from groups where directory_id = $1
                 order by ordinal limit $2",
                &[Value::Text(&id.to_string()), crate::session::count(GROUPS_AT_ONCE)],
                |row| Ok((row.resource_id(0)?, row.number(1)?)),
            ))
        });
        let groups = groups.await?;
        if let Some((group, MEMBERS_AT_ONCE..)) = groups.first() {
            let group = *group;
            let members = self.inner.readers.read(move |session| some_members(session, group));
            let members = members.await?;
            // One that is counted wrongly is deleted as it is.
            if !members.is_empty() {
                let left = members.len() as u64;
                return count([leave_group(writer, id, group, members).await]).map(|_| left);
            }
        }
        if !groups.is_empty() {
            let mut members = 0;
            let few = groups.into_iter().enumerate().take_while(|(place, (_, count))| {
                members += count;
                *place == 0 || members < MEMBERS_AT_ONCE
            });
            let deleted = few.map(|(_, (group, _))| delete_group(writer, id, group));
            return count(join_all(deleted).await);
        }
        let users = self.inner.readers.read(move |session| {
            let sql = "select user_id from users where directory_id = $1 order by ordinal limit $2";
            some(session, sql, &id.to_string(), USERS_AT_ONCE)
        });
        let users = users.await?;
        if !users.is_empty() {
            let deleted = users.into_iter().map(|user| delete_user(writer, id, user));
            return count(join_all(deleted).await);
        }
        // Another directory may be waiting.
        Ok(self.administer(Administration::ForgetDirectory(id, now)).await?.max(1))
    }

    /// Whether this node is the one that does it.
    pub(crate) async fn holds(
        &self,
        name: &'static str,
        holder: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let holder = holder.to_owned();
        Ok(self.administer(Administration::HoldLease { name, holder, now }).await? > 0)
    }

    pub(crate) async fn administer(&self, administration: Administration) -> Result<u64, Error> {
        self.inner.writer.act(Act::Administer(administration, Cause::server().into())).await
    }
}

fn directory_to_empty(session: &mut Session) -> Result<Option<DirectoryId>, Error> {
    finish(session.first(
        "looking for a directory to empty",
        "select directory_id from directories
         where deleted_at is not null and emptied_at is null order by directory_id limit 1",
        &[],
        |row| row.parsed(0),
    ))
}

fn some_members(session: &mut Session, group: ResourceId) -> Result<Vec<ResourceId>, Error> {
    let sql = "select member_id from memberships where group_id = $1 order by member_id limit $2";
    some(session, sql, &group.to_string(), MEMBERS_AT_ONCE)
}

fn some(
    session: &mut Session,
    sql: &'static str,
    of: &str,
    count: u64,
) -> Result<Vec<ResourceId>, Error> {
    let values = [Value::Text(of), crate::session::count(count)];
    finish(session.all("looking for who is left", sql, &values, |row| row.resource_id(0)))
}

async fn delete_group(writer: &Writer, of: DirectoryId, id: ResourceId) -> Result<(), Error> {
    writer.change(of, DeleteGroup { id }, Cause::deleted_directory(of).into()).await
}

async fn leave_group(
    writer: &Writer,
    of: DirectoryId,
    id: ResourceId,
    members: Vec<ResourceId>,
) -> Result<(), Error> {
    writer.change(of, LeaveGroup { id, members }, Cause::deleted_directory(of).into()).await
}

async fn delete_user(writer: &Writer, of: DirectoryId, id: ResourceId) -> Result<(), Error> {
    writer.change(of, DeleteUser { id }, Cause::deleted_directory(of).into()).await
}

/// Who is gone already was deleted by another node, which slept for a while.
fn count(outcomes: impl IntoIterator<Item = Result<(), Error>>) -> Result<u64, Error> {
    let mut deleted = 0;
    for outcome in outcomes {
        match outcome {
            Ok(())
            | Err(Error::Rejected(Rejection::UnknownUser(_) | Rejection::UnknownGroup(_))) => {
                deleted += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}
