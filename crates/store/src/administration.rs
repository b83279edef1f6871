//! Administrative acts: of organizations, keys, clients of OAuth, and of the bookkeeping beside them.
//!
//! They are kept by the writer like everything else. Of credentials that are given or taken back, an
//! event tells, in the same transaction; of the others none does.

use directory::audit::{self, Action};
use directory::event::{ApiKeyEvent, of_api_key};
use directory::hold::BRAKE_MINUTES;
use directory::secret::SecretHash;
use directory::{
    API_KEYS_MAX, ApiKey, CLIENT_SECRETS_MAX, CLIENTS_MAX, Cause, Change, ClientChange, ClientId,
    ClientSecret, DirectoryId, EventId, Guarded, Metadata, Moment, OAuthClient, Organization,
    OrganizationId, Rejection, SafetyEdit, TokenId,
};
use jiff::{SignedDuration, Timestamp};

use crate::access::{USE_NOTED_EVERY, api_key};
use crate::alarms::{self, Alarm};
use crate::audit::{Caller, Done};
use crate::batch::Batch;
use crate::branding::{self, Branding};
use crate::error::Error;
use crate::members::{self, MemberAct};
use crate::oauth::{client, client_secret};
use crate::portal::{self, PortalAct};
use crate::receipts::{self, NewReceipt};
use crate::session::{Engine, Row, Session, Value, count};
use crate::{contacts, disconnect, feed, guards, lease};

/// Access tokens that are good at once for one secret. A provider asks for one when the last has
/// expired; one that asks before every request has the oldest forgotten.
const ACCESS_TOKENS_MAX: u64 = 100;

/// For how long an answer is given again to whoever sends the same request again.
pub(crate) const ANSWERED_AGAIN_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Rows of what is of no use any more that are let go by one act.
const ROWS_AT_ONCE: u64 = 2_000;

/// What is to be otherwise of an organization.
#[derive(Clone, Debug, Default)]
pub struct OrganizationEdit {
    /// What the vendor is to call it.
    pub name: Option<String>,
    /// The vendor's own identifier; `Some(None)` takes it away.
    pub external_id: Option<Option<String>>,
    /// Whether its directories are to be synchronised.
    pub directory_sync: Option<bool>,
    /// All that is to be written down about it.
    pub metadata: Option<Metadata>,
}

/// An access token that is about to be given.
#[derive(Clone, Debug)]
pub(crate) struct NewAccessToken {
    pub(crate) id: TokenId,
    pub(crate) directory_id: DirectoryId,
    pub(crate) secret_id: TokenId,
    pub(crate) hash: SecretHash,
    pub(crate) last_four: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A request that is to have its effect once: by whom and under which key.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    pub(crate) holder: String,
    pub(crate) key_hash: String,
}

/// What is done with the clients of a directory, and their secrets.
#[derive(Clone, Debug)]
pub(crate) enum ClientAct {
    Create(OAuthClient, ClientSecret),
    Delete(ClientId),
    AddSecret(ClientSecret),
    DeleteSecret(ClientId, TokenId),
}

/// Takes keys back, and says which these were.
macro_rules! revoked_keys {
    ($which:literal) => {
        concat!(
            "delete from api_keys where ",
            $which,
            " returning api_key_id, name, last_four, scopes, organization_id, created_at, \
             expires_at, last_used_at"
        )
    };
}

#[derive(Clone, Debug)]
pub(crate) enum Administration {
    CreateOrganization(Organization),
    EditOrganization(OrganizationId, Guarded<OrganizationEdit>),
    DeleteOrganization(Guarded<OrganizationId>, Timestamp),
    CreateApiKey {
        key: ApiKey,
        hash: SecretHash,
        /// Nothing is kept where there is a key already.
        is_first: bool,
    },
    /// Only one of this organization, where one is named.
    RevokeApiKey(TokenId, Option<OrganizationId>),
    ApiKeyUsed(TokenId, Timestamp),
    /// Of a directory's clients, whose log tells of it.
    Client(DirectoryId, ClientAct),
    /// Nothing is kept where the secret was taken back meanwhile.
    GiveAccessToken(NewAccessToken),
    NoteContact {
        directory_id: DirectoryId,
        at: Timestamp,
        has_changed: bool,
        refused_with: Option<u16>,
    },
    /// Says whether the request is the first of its kind.
    BeginOnce {
        once: Once,
        request_hash: String,
        at: Timestamp,
    },
    EndOnce {
        once: Once,
        status: u16,
        answer: String,
    },
    DropOnce(Once),
    /// Lets go what is of no use any more; says how much.
    TidyUp(Timestamp),
    /// Says whether this node has the lease.
    HoldLease {
        name: &'static str,
        holder: String,
        now: Timestamp,
    },
    /// Lets go what is left of a directory without users and groups; says how much.
    ForgetDirectory(DirectoryId, Timestamp),
    /// Guards an organization otherwise; an event of this directory tells of it, where one does.
    EditSafety {
        id: OrganizationId,
        edit: Guarded<SafetyEdit>,
        tell_in: Option<DirectoryId>,
    },
    /// Notes after which of its users a directory was looked at for domains, or to the end.
    NoteDomainCheck {
        directory_id: DirectoryId,
        revision: u64,
        ordinal: Option<u64>,
    },
    /// Notes after which of its users a directory is to be gone on with that was disconnected at a moment,
    /// or that there is nobody left.
    NoteDeactivated {
        directory_id: DirectoryId,
        disconnected_at: Timestamp,
        ordinal: Option<u64>,
    },
    /// Tells of something, once. Says whether it was told now.
    Raise {
        alarm: Alarm,
        directory_id: DirectoryId,
        holder: String,
        now: Timestamp,
    },
    /// The app says that somebody's access has ended.
    KeepReceipt(NewReceipt),
    Portal(PortalAct),
    Member(MemberAct),
    /// The pages are to look like this; or as the server was told.
    SetBranding(Option<Branding>),
}

impl Administration {
    /// Whether it may take a while, and nobody waits for it.
    pub(crate) fn is_upkeep(&self) -> bool {
        matches!(self, Administration::TidyUp(_) | Administration::ForgetDirectory(..))
    }

    /// Whether it tells of a key, in an event of the server's own.
    pub(crate) fn holds_the_feed(&self) -> bool {
        matches!(
            self,
            Administration::CreateApiKey { .. }
                | Administration::RevokeApiKey(..)
                | Administration::DeleteOrganization(..)
        )
    }

    /// In which directory it is done, where its log tells of it.
    pub(crate) fn directory(&self) -> Option<DirectoryId> {
        match self {
            Administration::Client(id, _) => Some(*id),
            Administration::EditSafety { tell_in, .. } => *tell_in,
            Administration::Raise { directory_id, .. } => Some(*directory_id),
            _ => None,
        }
    }

    pub(crate) async fn keep(
        &self,
        session: &mut Session,
        batch: &mut Batch<'_>,
        caller: &Caller,
    ) -> Result<Result<Done, Rejection>, Error> {
        let cause = caller.cause;
        match self {
            Administration::CreateOrganization(organization) => {
                create_organization(session, organization).await
            }
            Administration::EditOrganization(id, edit) => {
                edit_organization(session, *id, edit).await
            }
            Administration::DeleteOrganization(guarded, at) => {
                delete_organization(session, batch, guarded, *at, cause).await
            }
            Administration::CreateApiKey { key, hash, is_first } => {
                create_api_key(session, key, hash, *is_first, (batch.moment(), cause)).await
            }
            Administration::RevokeApiKey(id, of) => {
                let of = of.map(|id| id.to_string());
                let values = [Value::Text(&id.to_string()), Value::OptionalText(of.as_deref())];
                let sql = revoked_keys!(
                    "api_key_id = $1 and (cast($2 as text) is null or organization_id = $2)"
                );
                let gone = session.all("revoking an API key", sql, &values, api_key).await?;
                tell_of_revoked(session, &gone, (batch.moment(), cause)).await?;
                let revoked = |key| Done::told(1, audit::of_api_key(Action::ApiKeyRevoked, key));
                Ok(gone.first().map(revoked).ok_or(Rejection::UnknownApiKey(*id)))
            }
            Administration::ApiKeyUsed(id, at) => {
                let sql = "update api_keys set last_used_at = $2 where api_key_id = $1
                           and (last_used_at is null or last_used_at <= $3)";
                let earlier = Value::Time(*at - USE_NOTED_EVERY);
                let values = [Value::Text(&id.to_string()), Value::Time(*at), earlier];
                session.run("noting the use of an API key", sql, &values).await?;
                Ok(Ok(Done::bookkeeping(0)))
            }
            Administration::Client(directory_id, act) => {
                match act.keep(session, *directory_id).await? {
                    Err(rejection) => Ok(Err(rejection)),
                    Ok(change) => {
                        batch.make(session, *directory_id, Change::Client(change), caller).await?;
                        Ok(Ok(Done::told_by_its_change(1)))
                    }
                }
            }
            Administration::GiveAccessToken(new) => {
                Ok(Ok(Done::bookkeeping(give_access_token(session, new).await?)))
            }
            Administration::NoteContact { directory_id, at, has_changed, refused_with } => {
                let noted = (*has_changed, *refused_with);
                let noted = contacts::keep(session, *directory_id, *at, noted).await?;
                Ok(Ok(Done::bookkeeping(noted)))
            }
            Administration::BeginOnce { once, request_hash, at } => {
                let [holder, key] = once.values();
                let sql = "delete from idempotency_keys
                           where holder = $1 and key_hash = $2 and begun_at <= $3";
                let before = Value::Time(*at - ANSWERED_AGAIN_FOR);
                session.run("forgetting an answer", sql, &[holder, key, before]).await?;
                let sql = "insert into idempotency_keys (holder, key_hash, request_hash, begun_at)
                           values ($1, $2, $3, $4) on conflict (holder, key_hash) do nothing";
                let values = [holder, key, Value::Text(request_hash), Value::Time(*at)];
                let begun = session.run("beginning what is done once", sql, &values).await?;
                Ok(Ok(Done::bookkeeping(begun as u64)))
            }
            Administration::EndOnce { once, status, answer } => {
                let [holder, key] = once.values();
                let sql = "update idempotency_keys set status = $3, answer = $4
                           where holder = $1 and key_hash = $2";
                let values = [holder, key, Value::Integer((*status).into()), Value::Text(answer)];
                session.run("keeping an answer", sql, &values).await?;
                Ok(Ok(Done::bookkeeping(0)))
            }
            Administration::DropOnce(once) => {
                let sql = "delete from idempotency_keys where holder = $1 and key_hash = $2";
                session.run("forgetting what was not done", sql, &once.values()).await?;
                Ok(Ok(Done::bookkeeping(0)))
            }
            Administration::TidyUp(now) => Ok(Ok(Done::bookkeeping(tidy_up(session, *now).await?))),
            Administration::HoldLease { name, holder, now } => {
                let is_held = lease::hold(session, name, holder, *now).await?;
                Ok(Ok(Done::bookkeeping(is_held.into())))
            }
            Administration::ForgetDirectory(id, now) => {
                Ok(Ok(Done::bookkeeping(forget_directory(session, *id, *now).await?)))
            }
            Administration::EditSafety { id, edit, tell_in } => {
                guards::edit(session, batch, (*id, *tell_in), edit, caller).await
            }
            Administration::NoteDomainCheck { directory_id, revision, ordinal } => {
                let noted = guards::note_check(session, *directory_id, *revision, *ordinal).await?;
                Ok(Ok(Done::bookkeeping(noted)))
            }
            Administration::NoteDeactivated { directory_id, disconnected_at, ordinal } => {
                let at = (*directory_id, *disconnected_at);
                let noted = disconnect::note_deactivated(session, at, *ordinal).await?;
                Ok(Ok(Done::bookkeeping(noted)))
            }
            Administration::Raise { alarm, directory_id, holder, now } => {
                if !lease::hold(session, alarms::LEASE, holder, *now).await? {
                    return Ok(Ok(Done::bookkeeping(0)));
                }
                let raised = alarms::raise(session, batch, *directory_id, alarm, caller).await?;
                Ok(Ok(Done::bookkeeping(raised)))
            }
            Administration::KeepReceipt(new) => {
                Ok(receipts::keep(session, new).await?.map(Done::bookkeeping))
            }
            Administration::Portal(act) => act.keep(session, (batch.moment(), cause)).await,
            Administration::Member(act) => act.keep(session).await,
            Administration::SetBranding(branding) => {
                branding::set(session, branding.as_ref()).await.map(Ok)
            }
        }
    }
}

impl ClientAct {
    /// Keeps it, and says what the directory's log has to tell.
    async fn keep(
        &self,
        session: &mut Session,
        of: DirectoryId,
    ) -> Result<Result<ClientChange, Rejection>, Error> {
        match self {
            ClientAct::Create(client, secret) => create_client(session, client, secret).await,
            ClientAct::Delete(id) => delete_client(session, of, *id).await,
            ClientAct::AddSecret(secret) => add_client_secret(session, of, secret).await,
            ClientAct::DeleteSecret(client_id, id) => {
                delete_client_secret(session, of, *client_id, *id).await
            }
        }
    }
}

impl Once {
    fn values(&self) -> [Value<'_>; 2] {
        [Value::Text(&self.holder), Value::Text(&self.key_hash)]
    }
}

async fn is_external_id_taken(
    session: &mut Session,
    external_id: &str,
    besides: Option<OrganizationId>,
) -> Result<bool, Error> {
    let besides = besides.map(|id| id.to_string()).unwrap_or_default();
    let found = session
        .first(
            "looking for an organization",
            "select 1 from organizations where external_id = $1 and organization_id <> $2",
            &[Value::Text(external_id), Value::Text(&besides)],
            |_| Ok(()),
        )
        .await?;
    Ok(found.is_some())
}

async fn create_organization(
    session: &mut Session,
    organization: &Organization,
) -> Result<Result<Done, Rejection>, Error> {
    if let Some(external_id) = &organization.external_id
        && is_external_id_taken(session, external_id, None).await?
    {
        return Ok(Err(Rejection::ExternalIdTaken));
    }
    session
        .run(
            "keeping a new organization",
            "insert into organizations
             (organization_id, name, external_id, directory_sync, metadata, created_at)
             values ($1, $2, $3, $4, $5, $6)",
            &[
                Value::Text(&organization.id.to_string()),
                Value::Text(&organization.name),
                Value::OptionalText(organization.external_id.as_deref()),
                Value::Integer(organization.directory_sync.into()),
                Value::Text(&metadata_text(&organization.metadata)),
                Value::Time(organization.created_at),
            ],
        )
        .await?;
    Ok(Ok(Done::told(0, audit::of_organization(None, Some(organization)))))
}

/// An organization that stays as it is until the end of the transaction.
pub(crate) async fn organization_to_change(
    session: &mut Session,
    id: OrganizationId,
) -> Result<Option<Organization>, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => {
            "select organization_id, name, external_id, directory_sync, metadata, created_at
             from organizations where organization_id = $1 and deleted_at is null"
        }
        // Another node may be changing it too.
        Engine::Postgres => {
            "select organization_id, name, external_id, directory_sync, metadata, created_at
             from organizations where organization_id = $1 and deleted_at is null
             for no key update"
        }
    };
    let values = [Value::Text(&id.to_string())];
    session.first("loading an organization", sql, &values, organization).await
}

async fn edit_organization(
    session: &mut Session,
    id: OrganizationId,
    Guarded { precondition, what: edit }: &Guarded<OrganizationEdit>,
) -> Result<Result<Done, Rejection>, Error> {
    let Some(mut organization) = organization_to_change(session, id).await? else {
        return Ok(Err(Rejection::UnknownOrganization(id)));
    };
    if let Err(rejection) = precondition.check(Some(&organization.revision())) {
        return Ok(Err(rejection));
    }
    let before = organization.clone();
    let OrganizationEdit { name, external_id, directory_sync, metadata } = edit.clone();
    organization.name = name.unwrap_or(organization.name);
    organization.external_id = external_id.unwrap_or(organization.external_id);
    organization.directory_sync = directory_sync.unwrap_or(organization.directory_sync);
    organization.metadata = metadata.unwrap_or(organization.metadata);
    if let Some(external_id) = &organization.external_id
        && is_external_id_taken(session, external_id, Some(id)).await?
    {
        return Ok(Err(Rejection::ExternalIdTaken));
    }
    session
        .run(
            "keeping an organization",
            "update organizations
             set name = $2, external_id = $3, directory_sync = $4, metadata = $5
             where organization_id = $1",
            &[
                Value::Text(&id.to_string()),
                Value::Text(&organization.name),
                Value::OptionalText(organization.external_id.as_deref()),
                Value::Integer(organization.directory_sync.into()),
                Value::Text(&metadata_text(&organization.metadata)),
            ],
        )
        .await?;
    Ok(Ok(Done::told(0, audit::of_organization(Some(&before), Some(&organization)))))
}

/// Its row stays as long as a directory names it; its own identifier is free again.
async fn delete_organization(
    session: &mut Session,
    batch: &Batch<'_>,
    Guarded { precondition, what: id }: &Guarded<OrganizationId>,
    at: Timestamp,
    cause: Cause,
) -> Result<Result<Done, Rejection>, Error> {
    let Some(organization) = organization_to_change(session, *id).await? else {
        return Ok(Err(Rejection::UnknownOrganization(*id)));
    };
    if let Err(rejection) = precondition.check(Some(&organization.revision())) {
        return Ok(Err(rejection));
    }
    let text = id.to_string();
    let sql = "select count(*) from directories where organization_id = $1 and deleted_at is null";
    let directories = session
        .first("counting directories", sql, &[Value::Text(&text)], |row| row.number(0))
        .await?;
    // Those that begin in this transaction have no rows yet.
    let directories = directories.unwrap_or_default() + batch.directories_begun_in(*id);
    if directories > 0 {
        return Ok(Err(Rejection::OrganizationInUse(directories)));
    }
    let sql = "update organizations set deleted_at = $2, external_id = null, metadata = '{}'
               where organization_id = $1 and deleted_at is null";
    let values = [Value::Text(&text), Value::Time(at)];
    session.run("deleting an organization", sql, &values).await?;
    let sql = "delete from guards where organization_id = $1";
    session.run("deleting what guards", sql, &[Value::Text(&text)]).await?;
    let sql = revoked_keys!("organization_id = $1");
    let doing = "revoking the keys of an organization";
    let gone = session.all(doing, sql, &[Value::Text(&text)], api_key).await?;
    tell_of_revoked(session, &gone, (batch.moment(), cause)).await?;
    portal::forget_links(session, *id, (batch.moment(), cause)).await?;
    Ok(Ok(Done::told(1, audit::of_organization(Some(&organization), None))))
}

/// Keys are of no directory, and so are the events that tell of them.
async fn tell_of_revoked(
    session: &mut Session,
    keys: &[ApiKey],
    (moment, cause): (Moment<'_>, Cause),
) -> Result<(), Error> {
    for key in keys {
        let draft = of_api_key(key, ApiKeyEvent::Revoked);
        feed::keep_of_server(session, EventId::new(moment.ids), &draft, moment.now, cause).await?;
    }
    Ok(())
}

async fn create_api_key(
    session: &mut Session,
    key: &ApiKey,
    hash: &SecretHash,
    is_first: bool,
    (moment, cause): (Moment<'_>, Cause),
) -> Result<Result<Done, Rejection>, Error> {
    if session.engine() == Engine::Postgres {
        // Several nodes may start together. The feed has one row, and whoever holds it is alone.
        feed::lock(session).await?;
    }
    let of = key.organization_id.map(|id| id.to_string());
    let sql = "select count(*) from api_keys where coalesce(organization_id, '') = $1";
    let values = [Value::Text(of.as_deref().unwrap_or_default())];
    let beside = session.first("counting API keys", sql, &values, |row| row.number(0)).await?;
    if let Some(API_KEYS_MAX..) = beside {
        return Ok(Err(Rejection::ApiKeysFull(API_KEYS_MAX)));
    }
    let expires_at = key.expires_at.map_or(0, Timestamp::as_microsecond);
    let kept = session
        .run(
            "keeping a new API key",
            "insert into api_keys (api_key_id, name, hash, last_four, created_at, scopes,
                                   organization_id, expires_at)
             select $1, $2, $3, $4, $5, $7, $8, nullif(cast($9 as bigint), 0)
             where $6 = 0 or not exists (select 1 from api_keys)",
            &[
                Value::Text(&key.id.to_string()),
                Value::Text(&key.name),
                Value::Text(hash.as_str()),
                Value::Text(&key.last_four),
                Value::Time(key.created_at),
                Value::Integer(is_first.into()),
                Value::Text(&key.scopes.to_string()),
                Value::OptionalText(of.as_deref()),
                Value::Integer(expires_at),
            ],
        )
        .await?;
    // The first key of a server is there before anybody who could be told.
    if kept > 0 && !is_first {
        let draft = of_api_key(key, ApiKeyEvent::Created);
        feed::keep_of_server(session, EventId::new(moment.ids), &draft, moment.now, cause).await?;
    }
    Ok(Ok(Done::told_if_any(kept as u64, audit::of_api_key(Action::ApiKeyCreated, key))))
}

async fn find_client(
    session: &mut Session,
    directory_id: DirectoryId,
    id: ClientId,
) -> Result<Result<OAuthClient, Rejection>, Error> {
    let found = session
        .first(
            "looking for a client",
            "select c.client_id, c.directory_id, c.name, c.created_at
             from oauth_clients c join directories d on d.directory_id = c.directory_id
             where c.directory_id = $1 and c.client_id = $2 and d.deleted_at is null",
            &[Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())],
            client,
        )
        .await?;
    Ok(found.ok_or(Rejection::UnknownClient(id)))
}

async fn create_client(
    session: &mut Session,
    client: &OAuthClient,
    secret: &ClientSecret,
) -> Result<Result<ClientChange, Rejection>, Error> {
    let directory = client.directory_id.to_string();
    let sql = "select (select count(*) from oauth_clients where directory_id = $1)
               from directories where directory_id = $1 and deleted_at is null";
    let clients = session
        .first("counting clients", sql, &[Value::Text(&directory)], |row| row.number(0))
        .await?;
    match clients {
        None => return Ok(Err(Rejection::UnknownDirectory(client.directory_id))),
        Some(CLIENTS_MAX..) => return Ok(Err(Rejection::ClientsFull(CLIENTS_MAX))),
        Some(_) => {}
    }
    session
        .run(
            "keeping a new client",
            "insert into oauth_clients (client_id, directory_id, name, created_at)
             values ($1, $2, $3, $4)",
            &[
                Value::Text(&client.id.to_string()),
                Value::Text(&directory),
                Value::Text(&client.name),
                Value::Time(client.created_at),
            ],
        )
        .await?;
    keep_client_secret(session, secret).await?;
    Ok(Ok(ClientChange::Created(client.clone(), secret.clone())))
}

async fn add_client_secret(
    session: &mut Session,
    directory_id: DirectoryId,
    secret: &ClientSecret,
) -> Result<Result<ClientChange, Rejection>, Error> {
    let client = match find_client(session, directory_id, secret.client_id).await? {
        Ok(client) => client,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let sql = "select count(*) from oauth_secrets where client_id = $1";
    let values = [Value::Text(&client.id.to_string())];
    let secrets = session.first("counting secrets", sql, &values, |row| row.number(0)).await?;
    if let Some(CLIENT_SECRETS_MAX..) = secrets {
        return Ok(Err(Rejection::ClientSecretsFull(CLIENT_SECRETS_MAX)));
    }
    keep_client_secret(session, secret).await?;
    Ok(Ok(ClientChange::SecretAdded(client, secret.clone())))
}

async fn keep_client_secret(session: &mut Session, secret: &ClientSecret) -> Result<(), Error> {
    session
        .run(
            "keeping a new secret",
            "insert into oauth_secrets
             (secret_id, client_id, hash, last_four, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)",
            &[
                Value::Text(&secret.id.to_string()),
                Value::Text(&secret.client_id.to_string()),
                Value::Text(secret.hash.as_str()),
                Value::Text(&secret.last_four),
                Value::Time(secret.created_at),
                Value::Time(secret.expires_at),
            ],
        )
        .await
        .map(drop)
}

/// What was given for it goes with it.
async fn delete_client_secret(
    session: &mut Session,
    directory_id: DirectoryId,
    client_id: ClientId,
    id: TokenId,
) -> Result<Result<ClientChange, Rejection>, Error> {
    let client = match find_client(session, directory_id, client_id).await? {
        Ok(client) => client,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let text = id.to_string();
    let sql = "delete from oauth_secrets where secret_id = $1 and client_id = $2
               returning secret_id, client_id, last_four, created_at, expires_at, last_used_at";
    let values = [Value::Text(&text), Value::Text(&client_id.to_string())];
    let deleted = session.all("deleting a secret", sql, &values, client_secret).await?.pop();
    let Some(deleted) = deleted else { return Ok(Err(Rejection::UnknownToken(id))) };
    let sql = "delete from tokens where client_secret_id = $1";
    session.run("deleting access tokens", sql, &[Value::Text(&text)]).await?;
    Ok(Ok(ClientChange::SecretRemoved(client, deleted)))
}

async fn delete_client(
    session: &mut Session,
    directory_id: DirectoryId,
    id: ClientId,
) -> Result<Result<ClientChange, Rejection>, Error> {
    let client = match find_client(session, directory_id, id).await? {
        Ok(client) => client,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let values = [Value::Text(&id.to_string())];
    for sql in [
        "delete from tokens where client_secret_id in
         (select secret_id from oauth_secrets where client_id = $1)",
        "delete from oauth_secrets where client_id = $1",
        "delete from oauth_clients where client_id = $1",
    ] {
        session.run("deleting a client", sql, &values).await?;
    }
    Ok(Ok(ClientChange::Deleted(client)))
}

/// All credentials of a directory: nobody gets in any more.
pub(crate) async fn forget_credentials(
    session: &mut Session,
    directory_id: DirectoryId,
) -> Result<(), Error> {
    let values = [Value::Text(&directory_id.to_string())];
    for sql in [
        "delete from tokens where directory_id = $1",
        "delete from oauth_secrets where client_id in
         (select client_id from oauth_clients where directory_id = $1)",
        "delete from oauth_clients where directory_id = $1",
    ] {
        session.run("deleting credentials", sql, &values).await?;
    }
    Ok(())
}

async fn give_access_token(session: &mut Session, new: &NewAccessToken) -> Result<u64, Error> {
    let secret = new.secret_id.to_string();
    let given = session
        .run(
            "keeping a new access token",
            "insert into tokens (token_id, directory_id, hash, last_four, created_at, expires_at,
                                 scope, client_secret_id)
             select $1, $2, $3, $4, $5, $6, 'read_write', $7
             where exists (select 1 from oauth_secrets where secret_id = $7)",
            &[
                Value::Text(&new.id.to_string()),
                Value::Text(&new.directory_id.to_string()),
                Value::Text(new.hash.as_str()),
                Value::Text(&new.last_four),
                Value::Time(new.created_at),
                Value::Time(new.expires_at),
                Value::Text(&secret),
            ],
        )
        .await?;
    if given == 0 {
        return Ok(0);
    }
    session
        .run(
            "forgetting access tokens",
            "delete from tokens where client_secret_id = $1 and (expires_at <= $2
             or token_id not in (select token_id from tokens where client_secret_id = $1
                                 order by token_id desc limit $3))",
            &[Value::Text(&secret), Value::Time(new.created_at), count(ACCESS_TOKENS_MAX)],
        )
        .await?;
    let sql = "update oauth_secrets set last_used_at = $2 where secret_id = $1";
    let values = [Value::Text(&secret), Value::Time(new.created_at)];
    session.run("noting the use of a secret", sql, &values).await?;
    Ok(1)
}

async fn tidy_up(session: &mut Session, now: Timestamp) -> Result<u64, Error> {
    let answers = session
        .run(
            "forgetting answers",
            "delete from idempotency_keys where (holder, key_hash) in
             (select holder, key_hash from idempotency_keys where begun_at <= $1
              order by begun_at limit $2)",
            &[Value::Time(now - ANSWERED_AGAIN_FOR), count(ROWS_AT_ONCE)],
        )
        .await?;
    let tokens = session
        .run(
            "forgetting access tokens",
            "delete from tokens where token_id in
             (select token_id from tokens
              where client_secret_id is not null and expires_at <= $1 limit $2)",
            &[Value::Time(now), count(ROWS_AT_ONCE)],
        )
        .await?;
    // Longer than that no brake looks back. Where nobody loses anything any more, nobody else lets go.
    let brake_max = SignedDuration::from_mins(i64::from(*BRAKE_MINUTES.end()));
    let losses = session
        .run(
            "forgetting what was lost long ago",
            "delete from recent_losses where (directory_id, resource_id, member_id) in
             (select directory_id, resource_id, member_id from recent_losses
              where lost_at <= $1 limit $2)",
            &[Value::Time(now - brake_max), count(ROWS_AT_ONCE)],
        )
        .await?;
    let links = portal::tidy_up(session, now, ROWS_AT_ONCE).await?;
    let sessions = members::tidy_up(session, now, ROWS_AT_ONCE).await?;
    Ok((answers + tokens + losses) as u64 + links + sessions)
}

/// Those who were in it have left their names behind; then nothing is left but the row that events
/// name.
async fn forget_directory(
    session: &mut Session,
    id: DirectoryId,
    now: Timestamp,
) -> Result<u64, Error> {
    let id = id.to_string();
    let former = session
        .run(
            "forgetting former users",
            "delete from former_users where directory_id = $1 and user_id in
             (select user_id from former_users where directory_id = $1 order by user_id limit $2)",
            &[Value::Text(&id), count(ROWS_AT_ONCE)],
        )
        .await?;
    if former > 0 {
        return Ok(former as u64);
    }
    for sql in [
        "delete from directory_schemas where directory_id = $1",
        "delete from role_mappings where directory_id = $1",
        "delete from attribute_uses where directory_id = $1",
        "delete from directory_quirks where directory_id = $1",
        "delete from contacts where directory_id = $1",
        "delete from recent_losses where directory_id = $1",
        "delete from outsiders where directory_id = $1",
        "delete from domain_checks where directory_id = $1",
        "delete from receipts where directory_id = $1",
    ] {
        session.run("forgetting a directory", sql, &[Value::Text(&id)]).await?;
    }
    let sql = "update directories set emptied_at = $2 where directory_id = $1
               and user_count = 0 and group_count = 0";
    let values = [Value::Text(&id), Value::Time(now)];
    session.run("noting that a directory is empty", sql, &values).await?;
    Ok(0)
}

/// An organization, from the six columns that are read everywhere.
pub(crate) fn organization(row: &Row<'_>) -> Result<Organization, Error> {
    let metadata = row.text(4)?;
    Ok(Organization {
        id: row.parsed(0)?,
        name: row.text(1)?,
        external_id: row.optional_text(2)?,
        directory_sync: row.integer(3)? != 0,
        metadata: serde_json::from_str(&metadata)
            .map_err(|_| Error::Corrupt("the metadata of an organization".to_owned()))?,
        created_at: row.time(5)?,
    })
}

fn metadata_text(metadata: &Metadata) -> String {
    serde_json::to_string(metadata).expect("text by name can be printed")
}
