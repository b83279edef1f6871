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

/// Looks by one key in all directories of an organization. Of one that was deleted, those who are left
/// are on their way out.
macro_rules! users_by {
    ($join:literal) => {
        concat!(
            "select d.directory_id, d.name, u.user_id, coalesce(u.turned_at, u.modified_at),
                    h.resource_id, d.deleted_at, u.active
             from directories d ",
            $join,
            " left join held_resources h
                 on h.directory_id = d.directory_id and h.resource_id = u.user_id
                 and h.told is not null and h.told_active = 1
             where d.organization_id = $1 order by d.directory_id"
        )
    };
}

/// The same of those who were deleted, the latest first.
macro_rules! former_by {
    ($key:literal) => {
        concat!(
            "select d.directory_id, d.name, f.user_id, f.deleted_at, h.resource_id, d.deleted_at
             from directories d join former_users f
                 on f.directory_id = d.directory_id and f.",
            $key,
            " = $2
                 left join held_resources h
                 on h.directory_id = d.directory_id and h.resource_id = f.user_id
                 and h.told is not null and h.told_active = 1
             where d.organization_id = $1 order by f.deleted_at desc, f.user_id desc"
        )
    };
}

impl SoughtBy {
    fn key(&self) -> String {
        match self {
            SoughtBy::UserName(text) | SoughtBy::Email(text) => fold(text).into_owned(),
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

    /// Of whom was deleted, the addresses are gone; their name is an address mostly.
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
                    gone.retain(|(state, _)| !is_anybody_there || *state == SignInState::Held);
                    found.extend(gone);
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

fn user(row: &Row<'_>) -> Result<(SignInState, FoundPerson), Error> {
    let is_active = row.integer(6)? != 0;
    let (state, found) = former(row)?;
    Ok(match (row.optional_time(5)?, state) {
        (Some(since), _) => (SignInState::Gone, FoundPerson { since, ..found }),
        (None, _) if is_active => (SignInState::Active, found),
        (None, SignInState::Held) => (SignInState::Held, found),
        (None, _) => (SignInState::Inactive, found),
    })
}

/// Of a directory that was deleted, nothing is kept back from the app for long.
fn former(row: &Row<'_>) -> Result<(SignInState, FoundPerson), Error> {
    let found = FoundPerson {
        directory_id: row.parsed(0)?,
        directory_name: row.text(1)?,
        user_id: row.resource_id(2)?,
        since: row.time(3)?,
    };
    let is_held = row.optional_text(4)?.is_some() && row.optional_time(5)?.is_none();
    Ok((if is_held { SignInState::Held } else { SignInState::Gone }, found))
}
