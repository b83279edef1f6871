//! How organizations are guarded: what the vendor has set, and what was told of it.
//!
//! The people of an organization are counted exactly where it has a limit of seats, although several
//! directories of it may be written to at the same time. On PostgreSQL whoever writes then holds the
//! row of the limit until the end of the transaction, so such an organization has one writer at a time.
//! Where there is no limit nothing is locked, and nobody waits. Rows are locked after all directories,
//! in the order of organizations, so nobody waits for each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::{
    Cause, Change, DirectoryId, Domain, DomainGuard, Guarded, Guards, Notice, OrganizationId,
    Outsider, Rejection, ResourceId, Safety, SafetyEdit, SeatLimit, audit,
};
use jiff::Timestamp;

use crate::Store;
use crate::access::ApiStore;
use crate::administration::Administration;
use crate::audit::{Caller, Done};
use crate::batch::Batch;
use crate::error::Error;
use crate::session::{Engine, Row, Session, Value, count, finish};

/// Users whose domains are looked at again in one transaction.
const CHECKED_AT_ONCE: u64 = 200;

/// How an organization is guarded, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyState {
    /// What is set.
    pub safety: Arc<Safety>,
    /// How many people may use the app now.
    pub active: u64,
    /// Since when they are more than the limit.
    pub exceeded_at: Option<Timestamp>,
    /// How many are outside of its domains.
    pub outsiders: u64,
    /// When the app sent its first receipt.
    pub receipts_since: Option<Timestamp>,
}

/// An organization's row, and how many people it has that may use the app: nobody does by a shadow.
macro_rules! guards_sql {
    () => {
        "select g.seats_max, g.seats_mode, g.domains, g.domains_mode, g.receipt_minutes,
                g.seats_exceeded_at, g.receipts_since,
                (select cast(coalesce(sum(d.active_user_count), 0) as bigint) from directories d
                 where d.organization_id = $1 and d.deleted_at is null
                     and not exists (select 1 from holds h where h.hold_id = d.hold_id
                                         and h.kind = 'shadow' and h.state = 'held'))
         from organizations o left join guards g on g.organization_id = o.organization_id
         where o.organization_id = $1 and o.deleted_at is null"
    };
}

/// Keeps everybody else from counting the same people, where they are counted.
async fn lock(session: &mut Session, organization: &str) -> Result<(), Error> {
    if session.engine() == Engine::Postgres {
        let sql = "select 1 from guards where organization_id = $1 and seats_max is not null
                   for update";
        let values = [Value::Text(organization)];
        session.first("locking a limit of seats", sql, &values, |_| Ok(())).await?;
    }
    Ok(())
}

/// How an organization is guarded, as it is kept: without what is decided and not kept yet.
pub(crate) async fn load(
    session: &mut Session,
    organization_id: OrganizationId,
) -> Result<Option<Guards>, Error> {
    let id = organization_id.to_string();
    lock(session, &id).await?;
    let values = [Value::Text(&id)];
    let found = session.first("loading what guards", guards_sql!(), &values, state).await?;
    Ok(found.map(|found| Guards {
        awaits_receipts: found.safety.receipt_minutes.is_some() || found.receipts_since.is_some(),
        safety: found.safety,
        active: found.active,
        exceeded_at: found.exceeded_at,
    }))
}

fn state(row: &Row<'_>) -> Result<SafetyState, Error> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of an organization"));
    let seats = match (row.optional_number(0)?, row.optional_text(1)?) {
        (Some(max), Some(mode)) => {
            let mode = mode.parse().map_err(|()| corrupt("the mode of seats"))?;
            Some(SeatLimit { max, mode })
        }
        _ => None,
    };
    let domains = row.optional_text(2)?.unwrap_or_default();
    let domains: Option<BTreeSet<_>> = domains.split_whitespace().map(Domain::any).collect();
    let mode = row.optional_text(3)?.map(|mode| mode.parse());
    let minutes = row.optional_number(4)?.map(u32::try_from).transpose();
    Ok(SafetyState {
        safety: Arc::new(Safety {
            seats,
            domains: DomainGuard {
                mode: mode
                    .transpose()
                    .map_err(|()| corrupt("the mode of domains"))?
                    .unwrap_or_default(),
                domains: domains.ok_or_else(|| corrupt("a domain"))?,
            },
            receipt_minutes: minutes.map_err(|_| corrupt("the receipts"))?,
        }),
        exceeded_at: row.optional_time(5)?,
        receipts_since: row.optional_time(6)?,
        active: row.number(7)?,
        outsiders: 0,
    })
}

/// Changes what guards an organization. Where that lets its limit be passed, or not any more, an event
/// of one of its directories tells of it: where it has none, nobody uses the app.
pub(crate) async fn edit(
    session: &mut Session,
    batch: &mut Batch<'_>,
    (id, tell_in): (OrganizationId, Option<DirectoryId>),
    Guarded { precondition, what }: &Guarded<SafetyEdit>,
    caller: &Caller,
) -> Result<Result<Done, Rejection>, Error> {
    let Some(before) = load(session, id).await? else {
        return Ok(Err(Rejection::UnknownOrganization(id)));
    };
    if let Err(rejection) = precondition.check(Some(&before.safety.revision())) {
        return Ok(Err(rejection));
    }
    let after = what.apply(Safety::clone(&before.safety));
    let domains: Vec<_> = after.domains.domains.iter().map(Domain::as_str).collect();
    let limit = after.seats;
    let number = |it: Option<u64>| Value::Integer(it.map_or(-1, u64::cast_signed));
    session
        .run(
            "keeping what guards an organization",
            "insert into guards (organization_id, seats_max, seats_mode, domains, domains_mode,
                                 receipt_minutes, domains_revision)
             values ($1, nullif(cast($2 as bigint), -1), $3, $4, $5,
                     nullif(cast($6 as bigint), -1), $7)
             on conflict (organization_id) do update
             set seats_max = excluded.seats_max, seats_mode = excluded.seats_mode,
                 domains = excluded.domains, domains_mode = excluded.domains_mode,
                 receipt_minutes = excluded.receipt_minutes,
                 domains_revision = guards.domains_revision + $7",
            &[
                Value::Text(&id.to_string()),
                number(limit.map(|limit| limit.max)),
                Value::OptionalText(limit.map(|limit| limit.mode.as_str())),
                Value::Text(&domains.join(" ")),
                Value::Text(after.domains.mode.as_str()),
                number(after.receipt_minutes.map(u64::from)),
                Value::Integer((after.domains != before.safety.domains).into()),
            ],
        )
        .await?;
    let notice = batch.guard_anew(session, id).await?;
    if let (Some(notice), Some(tell_in)) = (notice, tell_in) {
        batch.make(session, tell_in, Change::Notice(notice), caller).await?;
    }
    Ok(Ok(Done::told(1, audit::of_safety(id, &before.safety, &after))))
}

/// Keeps what is told, where that is more than the event.
pub(crate) async fn keep(
    session: &mut Session,
    directory_id: DirectoryId,
    notice: &Notice,
) -> Result<(), Error> {
    let directory = directory_id.to_string();
    match notice {
        Notice::Seats(seats) => {
            let sql = "update guards set seats_exceeded_at = nullif(cast($2 as bigint), 0)
                       where organization_id in
                       (select organization_id from directories where directory_id = $1)";
            let at = Value::Integer(seats.exceeded_at.map_or(0, Timestamp::as_microsecond));
            session.run("noting a limit", sql, &[Value::Text(&directory), at]).await?;
        }
        Notice::Outsider(Outsider { user_id, domains }) => {
            let user = user_id.to_string();
            let domains = domains.join(" ");
            let (sql, values): (_, Vec<_>) = if domains.is_empty() {
                let sql = "delete from outsiders where directory_id = $1 and user_id = $2";
                (sql, vec![Value::Text(&directory), Value::Text(&user)])
            } else {
                let sql = "insert into outsiders (directory_id, user_id, domains)
                           values ($1, $2, $3) on conflict (directory_id, user_id) do update
                           set domains = excluded.domains";
                let values =
                    vec![Value::Text(&directory), Value::Text(&user), Value::Text(&domains)];
                (sql, values)
            };
            session.run("noting who is outside", sql, &values).await?;
        }
        // What they tell of was kept before.
        Notice::Silent { .. }
        | Notice::HeardAgain { .. }
        | Notice::Token { .. }
        | Notice::ReceiptOverdue { .. } => {}
    }
    Ok(())
}

/// Whether it was told that a user is outside.
pub(crate) async fn is_outsider(
    session: &mut Session,
    directory: &str,
    id: ResourceId,
) -> Result<bool, Error> {
    let sql = "select 1 from outsiders where directory_id = $1 and user_id = $2";
    let values = [Value::Text(directory), Value::Text(&id.to_string())];
    Ok(session.first("looking who is outside", sql, &values, |_| Ok(())).await?.is_some())
}

impl ApiStore {
    /// How an organization is guarded, and how it stands.
    pub async fn safety(&self, id: OrganizationId) -> Result<Option<SafetyState>, Error> {
        if self.bound_to().is_some_and(|own| own != id) {
            return Ok(None);
        }
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let id = id.to_string();
                let values = [Value::Text(&id)];
                let found =
                    session.first("loading what guards", guards_sql!(), &values, state).await?;
                let sql = "select count(*) from outsiders x join directories d
                           on d.directory_id = x.directory_id
                           where d.organization_id = $1 and d.deleted_at is null";
                let doing = "counting who is outside";
                let outsiders = session.first(doing, sql, &values, |row| row.number(0)).await?;
                let outsiders = outsiders.unwrap_or_default();
                Ok(found.map(|found| SafetyState { outsiders, ..found }))
            })
        };
        self.inner().readers.read(read).await
    }

    /// Changes how an organization is guarded. It holds for what is decided from then on; nobody who is
    /// there is put out.
    pub async fn edit_safety(
        &self,
        id: OrganizationId,
        edit: impl Into<Guarded<SafetyEdit>> + Send,
    ) -> Result<(), Error> {
        let edit = edit.into();
        if self.organization(id).await?.is_none() {
            return Err(Error::Rejected(Rejection::UnknownOrganization(id)));
        }
        let first = self.directories(Some(id), None, 1).await?.pop();
        let tell_in = first.map(|summary| summary.directory.id);
        let edit = Administration::EditSafety { id, edit, tell_in };
        self.administer(edit).await.map(drop)
    }

    /// At which domains outside of the organization's own a user is.
    pub async fn outside_domains(
        &self,
        directory_id: DirectoryId,
        id: ResourceId,
    ) -> Result<Vec<String>, Error> {
        let read = move |session: &mut Session| {
            let sql = "select x.domains from outsiders x
                           join directories d on d.directory_id = x.directory_id
                           join guards g on g.organization_id = d.organization_id
                       where x.directory_id = $1 and x.user_id = $2 and g.domains_mode <> 'off'";
            let values = [Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())];
            finish(session.first("looking who is outside", sql, &values, |row| row.text(0)))
        };
        let found = self.inner().readers.read_key(read).await?.unwrap_or_default();
        Ok(found.split_whitespace().map(str::to_owned).collect())
    }
}

/// A directory whose users are to be looked at again, and after which of them.
struct ToCheck {
    directory_id: DirectoryId,
    revision: u64,
    ordinal: u64,
}

impl Store {
    /// Looks again where some of those are who were there before the domains of their organization were
    /// changed. Says how many; where it says 0, nobody is left, or another node is doing it.
    pub async fn check_domains(&self, holder: &str) -> Result<u64, Error> {
        let Some(at) = self.inner.readers.read(directory_to_check).await? else { return Ok(0) };
        let now = self.inner.environment.clock.now();
        if !self.holds("check domains", holder, now).await? {
            return Ok(0);
        }
        let ToCheck { directory_id, revision, ordinal } = at;
        let read = move |session: &mut Session| {
            let sql = "select user_id, ordinal from users
                       where directory_id = $1 and ordinal > $2 order by ordinal limit $3";
            let directory = directory_id.to_string();
            let values = [Value::Text(&directory), count(ordinal), count(CHECKED_AT_ONCE)];
            let user = |row: &Row<'_>| Ok((row.resource_id(0)?, row.number(1)?));
            finish(session.all("looking for users to check", sql, &values, user))
        };
        let users = self.inner.readers.read(read).await?;
        let checked = users.len() as u64;
        let last = users.last().map(|(_, ordinal)| *ordinal);
        let users = users.into_iter().map(|(id, _)| id).collect();
        let check = directory::CheckDomains { users };
        if checked > 0 {
            self.inner.writer.change(directory_id, check, Cause::server().into()).await?;
        }
        // After the last one, this was all.
        let ordinal = last.filter(|_| checked == CHECKED_AT_ONCE);
        let note = Administration::NoteDomainCheck { directory_id, revision, ordinal };
        self.administer(note).await?;
        Ok(checked.max(1))
    }
}

fn directory_to_check(session: &mut Session) -> Result<Option<ToCheck>, Error> {
    let sql = "select d.directory_id, g.domains_revision,
                      case when c.revision = g.domains_revision then c.ordinal else 0 end
               from guards g
                   join directories d on d.organization_id = g.organization_id
                   left join domain_checks c on c.directory_id = d.directory_id
               where g.domains_mode <> 'off' and g.domains_revision > 0 and d.deleted_at is null
                   and (c.revision is null or c.revision <> g.domains_revision
                        or c.ordinal is not null)
               order by d.directory_id limit 1";
    finish(session.first("looking for domains to check", sql, &[], |row| {
        Ok(ToCheck {
            directory_id: row.parsed(0)?,
            revision: row.number(1)?,
            ordinal: row.number(2)?,
        })
    }))
}

/// How far the users of a directory have been looked at: after which of them to go on, or to the end.
pub(crate) async fn note_check(
    session: &mut Session,
    directory_id: DirectoryId,
    revision: u64,
    ordinal: Option<u64>,
) -> Result<u64, Error> {
    let sql = "insert into domain_checks (directory_id, revision, ordinal)
               values ($1, $2, nullif(cast($3 as bigint), -1))
               on conflict (directory_id) do update
               set revision = excluded.revision, ordinal = excluded.ordinal";
    let ordinal = Value::Integer(ordinal.map_or(-1, u64::cast_signed));
    let values = [Value::Text(&directory_id.to_string()), count(revision), ordinal];
    Ok(session.run("noting a check", sql, &values).await? as u64)
}
