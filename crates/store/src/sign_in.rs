//! Whether somebody may be let in, asked by the app when they sign in.
//!
//! One look by a key in each directory of the organization. Where several know the person, the one counts
//! that lets them in: each is a provider that says of its own people who may use the app, and says
//! nothing of another's.

use directory::{DirectoryId, OrganizationId, ResourceId};
use jiff::Timestamp;
use scim::text::fold;

use crate::access::ApiStore;
use crate::error::Error;
use crate::narrow::email_key;
use crate::session::{Row, Session, Value, finish};

/// How somebody is looked for.
#[derive(Clone, PartialEq, Eq)]
pub enum SoughtBy {
    /// By `userName`, in any case.
    UserName(String),
    /// By an e-mail address, in any case.
    Email(String),
    /// By the provider's own identifier.
    ExternalId(String),
    /// By our id.
    Id(ResourceId),
}

/// Without the name: it is somebody's, and logs name nobody.
impl std::fmt::Debug for SoughtBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SoughtBy::UserName(_) => "UserName",
            SoughtBy::Email(_) => "Email",
            SoughtBy::ExternalId(_) => "ExternalId",
            SoughtBy::Id(_) => "Id",
        })
    }
}

/// What is known of somebody who wants to sign in. The best comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignInState {
    /// They may be let in.
    Active,
    /// They left, and the app has not heard so: that waits in a hold.
    Held,
    /// They are there, and the app has not heard so: that waits in a hold, or their directory is a
    /// shadow, by which nobody gets in.
    Pending,
    /// They are there, and may not.
    Inactive,
    /// They were there, and were deleted.
    Gone,
    /// Nobody knows them.
    Unknown,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// What is known.
    pub state: SignInState,
    /// Of whom; of nobody, where they are unknown.
    pub found: Option<FoundPerson>,
    /// Other directories that know them, and do not count.
    pub others: u64,
}

/// Somebody who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPerson {
    /// In which directory.
    pub directory_id: DirectoryId,
    /// What people call it.
    pub directory_name: String,
    /// Who.
    pub user_id: ResourceId,
    /// Since when it is so.
    pub since: Timestamp,
}

/// What the app has heard of somebody: the number of an [`Heard`].
macro_rules! heard {
    () => {
        "cast(case when h.resource_id is null then 0 when h.told is null then 3
                   when h.told_active = 1 then 1 else 2 end as bigint)"
    };
}

/// Directories that the app knows people of: one that was thrown away as a shadow never told of anybody.
macro_rules! known_directories {
    () => {
        "d.organization_id = $1 and (d.deleted_at is null or not exists
             (select 1 from holds s where s.directory_id = d.directory_id and s.kind = 'shadow'
                  and s.outcome = 'directory_deleted'))"
    };
}

/// Looks by one key in all directories of an organization. Of one that was deleted, those who are left
/// are on their way out.
macro_rules! users_by {
    ($join:literal) => {
        concat!(
            "select d.directory_id, d.name, u.user_id, coalesce(u.turned_at, u.modified_at), ",
            heard!(),
            ", d.deleted_at, u.active
             from directories d ",
            $join,
            " left join held_resources h
                 on h.directory_id = d.directory_id and h.resource_id = u.user_id
             where ",
            known_directories!(),
            " order by d.directory_id"
        )
    };
}

/// The same of those who were deleted, the latest first.
macro_rules! former_by {
    ($key:literal) => {
        concat!(
            "select d.directory_id, d.name, f.user_id, f.deleted_at, ",
            heard!(),
            ", d.deleted_at
             from directories d join former_users f
                 on f.directory_id = d.directory_id and f.",
            $key,
            " = $2
                 left join held_resources h
                 on h.directory_id = d.directory_id and h.resource_id = f.user_id
             where ",
            known_directories!(),
            " order by f.deleted_at desc, f.user_id desc"
        )
    };
}

/// Who left while the app heard nothing of it, by the addresses by which it knows them.
const HELD_BY_EMAIL: &str = concat!(
    "select d.directory_id, d.name, h.resource_id,
            coalesce(f.deleted_at, u.turned_at, h.changed_at), ",
    heard!(),
    ", d.deleted_at
     from directories d
         join held_emails k on k.directory_id = d.directory_id and k.email_key = $2
         join held_resources h on h.directory_id = d.directory_id
             and h.resource_id = k.resource_id
         left join users u on u.directory_id = d.directory_id and u.user_id = h.resource_id
         left join former_users f on f.directory_id = d.directory_id
             and f.user_id = h.resource_id
     where d.organization_id = $1 and d.deleted_at is null and h.told_active = 1
         and coalesce(u.active, 0) = 0
     order by d.directory_id"
);

impl SoughtBy {
    fn key(&self) -> String {
        match self {
            SoughtBy::UserName(text) => fold(text).into_owned(),
            SoughtBy::Email(text) => email_key(text),
            SoughtBy::ExternalId(text) => text.clone(),
            SoughtBy::Id(id) => id.to_string(),
        }
    }

    fn users_sql(&self) -> &'static str {
        match self {
            SoughtBy::UserName(_) => users_by!(
                "join users u on u.directory_id = d.directory_id and u.user_name_key = $2"
            ),
            SoughtBy::Email(_) => users_by!(
                "join email_keys k on k.directory_id = d.directory_id and k.email_key = $2
                 join users u on u.directory_id = d.directory_id and u.user_id = k.user_id"
            ),
            SoughtBy::ExternalId(_) => {
                users_by!("join users u on u.directory_id = d.directory_id and u.external_id = $2")
            }
            SoughtBy::Id(_) => {
                users_by!("join users u on u.directory_id = d.directory_id and u.user_id = $2")
            }
        }
    }

    /// Of whom was deleted, the addresses are gone, but while that waits; their name is an address mostly.
    fn former_sql(&self) -> &'static str {
        match self {
            SoughtBy::UserName(_) | SoughtBy::Email(_) => former_by!("user_name_key"),
            SoughtBy::ExternalId(_) => former_by!("external_id"),
            SoughtBy::Id(_) => former_by!("user_id"),
        }
    }
}

impl ApiStore {
    /// Whether somebody may be let in; `None` where there is no such organization.
    pub async fn sign_in(
        &self,
        organization_id: OrganizationId,
        by: SoughtBy,
    ) -> Result<Option<SignIn>, Error> {
        if self.organization(organization_id).await?.is_none() {
            return Ok(None);
        }
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let (organization, key) = (organization_id.to_string(), by.key());
                let values = [Value::Text(&organization), Value::Key(&key)];
                let doing = "looking who wants to sign in";
                let mut found = session.all(doing, by.users_sql(), &values, user).await?;
                if found.iter().all(|(state, _)| *state > SignInState::Held) {
                    let is_anybody_there = !found.is_empty();
                    let mut gone = session.all(doing, by.former_sql(), &values, former).await?;
                    // Whom somebody knows is asked of those who were deleted only where that waits.
                    gone.retain(|(state, _)| match state {
                        SignInState::Held => true,
                        SignInState::Unknown => false,
                        _ => !is_anybody_there,
                    });
                    found.extend(gone);
                    if let SoughtBy::Email(_) = by {
                        let sql = HELD_BY_EMAIL;
                        let held = session.all(doing, sql, &values, former).await?;
                        let is_new = |(_, held): &(_, FoundPerson)| {
                            !found.iter().any(|(state, it)| {
                                *state == SignInState::Held && it.user_id == held.user_id
                            })
                        };
                        let held: Vec<_> = held.into_iter().filter(is_new).collect();
                        found.extend(held);
                    }
                }
                // Of those that are as good as each other, the oldest directory, or the latest to go.
                found.sort_by_key(|(state, _)| *state);
                let others = found.len().saturating_sub(1) as u64;
                let first = found.into_iter().next();
                Ok(match first {
                    Some((state, found)) => SignIn { state, found: Some(found), others },
                    None => SignIn { state: SignInState::Unknown, found: None, others },
                })
            })
        };
        Ok(Some(self.inner().readers.read_key(read).await?))
    }
}

/// What the app has heard of somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// What is so: nothing of them waits.
    All,
    /// That they may use it.
    Active,
    /// That they may not.
    Inactive,
    /// Nothing at all.
    Nothing,
}

fn user(row: &Row<'_>) -> Result<(SignInState, FoundPerson), Error> {
    let is_active = row.integer(6)? != 0;
    let (heard, found) = person(row)?;
    Ok(match (row.optional_time(5)?, heard) {
        (Some(since), _) => (SignInState::Gone, FoundPerson { since, ..found }),
        (None, Heard::Nothing) => (SignInState::Pending, found),
        (None, Heard::Inactive) if is_active => (SignInState::Pending, found),
        (None, _) if is_active => (SignInState::Active, found),
        (None, Heard::Active) => (SignInState::Held, found),
        (None, _) => (SignInState::Inactive, found),
    })
}

/// Of a directory that was deleted, nothing is kept back from the app for long. Who came and went while
/// the app heard nothing is unknown to it.
fn former(row: &Row<'_>) -> Result<(SignInState, FoundPerson), Error> {
    let (heard, found) = person(row)?;
    let state = match heard {
        Heard::Nothing => SignInState::Unknown,
        Heard::Active if row.optional_time(5)?.is_none() => SignInState::Held,
        _ => SignInState::Gone,
    };
    Ok((state, found))
}

fn person(row: &Row<'_>) -> Result<(Heard, FoundPerson), Error> {
    let found = FoundPerson {
        directory_id: row.parsed(0)?,
        directory_name: row.text(1)?,
        user_id: row.resource_id(2)?,
        since: row.time(3)?,
    };
    let heard = match row.integer(4)? {
        0 => Heard::All,
        1 => Heard::Active,
        2 => Heard::Inactive,
        _ => Heard::Nothing,
    };
    Ok((heard, found))
}
