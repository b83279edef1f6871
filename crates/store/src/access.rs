//! What a credential opens: one directory, or the management API.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use directory::secret::{Secret, SecretHash};
use directory::{
    AfterDisconnect, ApiKey, ApiScopes, By, CatalogueEntry, CatalogueKind, Cause, ClientId,
    Contact, CreateToken, CustomSchema, Decide, DefineSchema, Defined, DeleteDirectory, Directory,
    DirectoryId, DirectoryState, DisconnectDirectory, EditDirectory, EntryId, Guarded, HoldId,
    HoldKind, HoldState, Member, Metadata, Organization, OrganizationId, PortalLink, Provider,
    ReadBy, Rejection, RemoveSchema, RequestId, ResourceId, RevokeToken, RotateToken, SessionId,
    Settings, Token, TokenId, TokenScope, Types,
};
use jiff::{SignedDuration, Timestamp};
use scim::dialect::Quirks;

use crate::Inner;
use crate::administration::{Administration, OrganizationEdit, organization};
use crate::audit::{Caller, Origin};
use crate::catalogue::{self, NewEntry};
use crate::contacts::{self, ToKeep};
use crate::error::Error;
use crate::feed::{BadCursor, Cursor, EventFilter, EventPage, EventRecord, FeedStore, optional_id};
use crate::list::{
    self, AnyRecord, Budget, Cost, Found, ListRequest, Page, Seek, Start, Stretch, Window,
};
use crate::place::ListName;
use crate::quirks::{self, QuirkCount};
use crate::read::{self, GroupRecord, Record, UserRecord};
use crate::rows;
use crate::schemas::{self, KnownTypes, UnknownAttribute};
use crate::session::{Row, Session, Value, count, finish};
use crate::tail::Tail;
use crate::timeline::{self, Timeline};
use crate::walks::{Answered, Resumed, total_of_walk};
use crate::writer::Act;

/// Directories, with how much is in them, how they stand and when they were heard of.
macro_rules! summary_sql {
    ($which:literal) => {
        concat!(
            "select d.directory_id, d.organization_id, d.name, d.provider, d.settings, d.created_at,
                    d.user_count, d.active_user_count, d.group_count, d.event_number, d.paused_at,
                    o.directory_sync, c.last_at, c.changed_at, c.refused_at, c.refused_with,
                    c.rhythm,
                    (select count(*) from outsiders x
                         join guards g on g.organization_id = d.organization_id
                     where x.directory_id = d.directory_id and g.domains_mode <> 'off'),
                    h.hold_id, h.kind, h.state, d.disconnected_at, d.disconnected_people,
                    d.deactivating_after
             from directories d
                 join organizations o on o.organization_id = d.organization_id
                 left join contacts c on c.directory_id = d.directory_id
                 left join holds h on h.hold_id = d.hold_id ",
            $which
        )
    };
}

/// Tokens of a directory, without those that were given for a client's secret.
macro_rules! tokens {
    ($which:literal) => {
        concat!(
            "select token_id, last_four, created_at, expires_at, last_used_at, scope
             from tokens where directory_id = $1 and client_secret_id is null ",
            $which
        )
    };
}

/// Keys of the management API: all, or those of one organization.
macro_rules! api_keys {
    ($which:literal) => {
        concat!(
            "select api_key_id, name, last_four, scopes, organization_id, created_at,
                    expires_at, last_used_at
             from api_keys where (cast($1 as text) is null or organization_id = $1) ",
            $which
        )
    };
}

/// How exactly the last use of a token is known. Noting each use would make a write of every read. Of
/// several requests that find no recent use, because none is kept yet, the first is noted.
pub(crate) const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Members, of one group or of all on a page, that are read in a few milliseconds. More take up to a
/// second, and are read as long lists are.
const MEMBERS_AT_ONCE: u64 = 2_000;

/// Members that are read in well under a millisecond.
const MEMBERS_BESIDE: u64 = 100;

/// The door: it opens for a credential, and for nothing else.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

/// What a SCIM credential turned out to be.
#[derive(Debug)]
pub enum Credential {
    /// It opens this directory.
    Valid(DirectoryStore),
    /// It opened this directory until then.
    Expired(Timestamp, DirectoryId),
    /// Nobody has given it out, or it was revoked.
    Unknown,
}

/// The store as one directory's credential sees it.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    pub(crate) inner: Arc<Inner>,
    id: DirectoryId,
    organization_id: OrganizationId,
    settings: Settings,
    types: Arc<Types>,
    scope: TokenScope,
    standing: Standing,
    has_role_mapping: bool,
    /// Whose walks through lists are remembered; nobody's, where there is no credential.
    token_id: Option<TokenId>,
    /// Who causes whatever is done with it.
    caller: Caller,
}

/// The store as whoever manages sees it: all of it, or one organization.
#[derive(Clone, Debug)]
pub struct ApiStore(
    pub(crate) Arc<Inner>,
    Opener,
    /// The request that it was opened for, and from where that came.
    Origin,
);

/// What a store was opened with for managing.
#[derive(Clone, Debug)]
pub(crate) enum Opener {
    /// Nothing: whoever holds the machine is there.
    Operator,
    /// A key of the vendor.
    Key(Arc<ApiKey>),
    /// A link to the portal, in the browser that it is bound to.
    Portal(Arc<PortalLink>),
    /// A session of a member.
    Member(Arc<Member>, SessionId),
}

/// Whether a directory takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Open,
    /// Somebody paused it.
    Paused,
    /// Its organization's directory sync is switched off.
    SwitchedOff,
}

/// A directory, with how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySummary {
    /// The directory.
    pub directory: Directory,
    /// Whether it takes requests.
    pub standing: Standing,
    /// When its provider was heard of.
    pub contact: Contact,
    /// Its users, active or not.
    pub user_count: u64,
    /// Its active users.
    pub active_user_count: u64,
    /// Its groups.
    pub group_count: u64,
    /// The number of its latest event.
    pub event_number: u64,
    /// Users who are known to be outside of its organization's domains.
    pub outside_user_count: u64,
    /// Whether people of it are still to be deactivated, because it was disconnected.
    pub is_deactivating: bool,
    /// Why its changes wait, where they do.
    pub hold: Option<(HoldId, HoldKind, HoldState)>,
}

impl DirectorySummary {
    /// How well it goes.
    pub fn state(&self, now: Timestamp) -> DirectoryState {
        match self.standing {
            Standing::Paused | Standing::SwitchedOff => DirectoryState::Paused,
            Standing::Open => self.contact.state(&self.directory.settings, now),
        }
    }
}

/// A token, without what would open anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSummary {
    /// Its id.
    pub id: TokenId,
    /// By which a person recognises it.
    pub last_four: String,
    /// What it may do.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl Access {
    pub(crate) fn new(inner: Arc<Inner>) -> Access {
        Access(inner)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Opens the directory that a SCIM token belongs to, and notes that it was used.
    pub async fn directory(&self, presented: &SecretHash) -> Result<Credential, Error> {
        let now = self.0.environment.clock.now();
        let found = match self.0.tokens.find(presented, now) {
            Some(found) => found,
            None => match self.look_for(presented.clone(), now).await? {
                Some(found) => found,
                None => return Ok(Credential::Unknown),
            },
        };
        if found.expires_at <= now {
            self.note_contact(found.directory_id, 401, false);
            return Ok(Credential::Expired(found.expires_at, found.directory_id));
        }
        Ok(Credential::Valid(DirectoryStore {
            inner: Arc::clone(&self.0),
            id: found.directory_id,
            organization_id: found.organization_id,
            settings: found.settings,
            types: found.types,
            scope: found.scope,
            standing: found.standing,
            has_role_mapping: found.has_role_mapping,
            token_id: Some(found.token_id),
            caller: Cause::by(found.client_id.map_or(By::Token(found.token_id), By::Client), None)
                .into(),
        }))
    }

    /// Looks for a token, notes that it was used, and remembers it for the requests behind this one.
    async fn look_for(
        &self,
        presented: SecretHash,
        now: Timestamp,
    ) -> Result<Option<FoundToken>, Error> {
        let hash = presented.clone();
        let inner = Arc::clone(&self.0);
        let generation = self.0.tokens.generation();
        let found = self
            .0
            .readers
            .read_credential(move |session| finish(token(session, &inner.types, &hash)))
            .await?;
        let Some(found) = found else { return Ok(None) };
        let is_noted =
            found.last_used_at.is_some_and(|last| now.duration_since(last) < USE_NOTED_EVERY);
        if found.expires_at > now && !is_noted {
            self.0.writer.act_sometime(Act::TokenUsed { id: found.token_id, at: now });
        }
        self.0.tokens.remember(presented, now, found.clone(), generation);
        Ok(Some(found))
    }

    /// Notes that a directory's provider was heard of, and how it was answered. Waits for nothing.
    pub fn note_contact(&self, directory_id: DirectoryId, status: u16, is_change: bool) {
        let at = self.0.environment.clock.now();
        if let Some(ToKeep { has_changed, refused_with }) =
            self.0.contacts.note(directory_id, status, is_change, at)
        {
            let note = Administration::NoteContact { directory_id, at, has_changed, refused_with };
            self.0.writer.act_sometime(Act::Administer(note, Cause::server().into()));
        }
    }

    /// Opens the management API for a key; `None` where nobody has given it out, or it has expired.
    pub async fn api(&self, presented: &SecretHash) -> Result<Option<ApiStore>, Error> {
        let hash = presented.clone();
        let found = self
            .0
            .readers
            .read_credential(move |session| {
                finish(session.first(
                    "looking for an API key",
                    "select api_key_id, name, last_four, scopes, organization_id, created_at,
                            expires_at, last_used_at
                     from api_keys where hash = $1",
                    &[Value::Text(hash.as_str())],
                    api_key,
                ))
            })
            .await?;
        let now = self.0.environment.clock.now();
        let is_good = |key: &ApiKey| key.expires_at.is_none_or(|at| now < at);
        let Some(key) = found.filter(is_good) else { return Ok(None) };
        if key.last_used_at.is_none_or(|last| now.duration_since(last) >= USE_NOTED_EVERY) {
            let used = Administration::ApiKeyUsed(key.id, now);
            self.0.writer.act_sometime(Act::Administer(used, Cause::server().into()));
        }
        Ok(Some(ApiStore::opened_by(self, Opener::Key(Arc::new(key)))))
    }

    /// The keys of the management API that open something now.
    pub async fn good_api_keys(&self) -> Result<HashSet<TokenId>, Error> {
        let now = self.0.environment.clock.now();
        let read = move |session: &mut Session| {
            finish(session.all(
                "looking which API keys are good",
                "select api_key_id from api_keys where expires_at is null or expires_at > $1",
                &[Value::Time(now)],
                |row| row.parsed(0),
            ))
        };
        Ok(self.0.readers.read(read).await?.into_iter().collect())
    }

    /// The latest events, for whoever waits for more.
    pub async fn tail(&self) -> Result<Tail, Error> {
        Tail::begin(FeedStore::new(Arc::clone(&self.0))).await
    }

    /// Whether the database answers and changes are taken.
    pub async fn is_ready(&self) -> bool {
        if !self.0.writer.is_open() {
            return false;
        }
        let answer = self
            .0
            .readers
            .read(|session| {
                finish(session.first("asking the database", "select 1", &[], |_| Ok(())))
            })
            .await;
        matches!(answer, Ok(Some(())))
    }

    /// What time it is, by the clock that everything is kept by.
    pub fn now(&self) -> Timestamp {
        self.0.environment.clock.now()
    }
}

/// What is known of a token that opens something.
#[derive(Clone, Debug)]
pub(crate) struct FoundToken {
    token_id: TokenId,
    directory_id: DirectoryId,
    organization_id: OrganizationId,
    settings: Settings,
    types: Arc<Types>,
    scope: TokenScope,
    standing: Standing,
    has_role_mapping: bool,
    expires_at: Timestamp,
    last_used_at: Option<Timestamp>,
    /// Of an access token: to whom it was given.
    client_id: Option<ClientId>,
}

async fn token(
    session: &mut Session,
    types: &KnownTypes,
    hash: &SecretHash,
) -> Result<Option<FoundToken>, Error> {
    // The schemas are those of the version.
    session.begin_reading()?;
    let found = session
        .first(
            "looking for a token",
            "select t.token_id, d.directory_id, d.organization_id, d.settings, t.expires_at,
                    t.last_used_at, d.schemas_version, t.scope, d.paused_at, o.directory_sync,
                    s.client_id, d.roles_version
             from tokens t join directories d on d.directory_id = t.directory_id
                 join organizations o on o.organization_id = d.organization_id
                 left join oauth_secrets s on s.secret_id = t.client_secret_id
             where t.hash = $1 and d.deleted_at is null",
            &[Value::Text(hash.as_str())],
            |row| {
                let found = FoundToken {
                    token_id: row.parsed(0)?,
                    directory_id: row.parsed(1)?,
                    organization_id: row.parsed(2)?,
                    settings: rows::settings(&row.text(3)?)?,
                    types: Types::builtin(),
                    scope: row.parsed(7)?,
                    standing: standing(row.optional_time(8)?, row.integer(9)?),
                    expires_at: row.time(4)?,
                    last_used_at: row.optional_time(5)?,
                    client_id: optional_id(row.optional_text(10)?)?,
                    has_role_mapping: row.number(11)? > 0,
                };
                Ok((found, row.number(6)?))
            },
        )
        .await?;
    let Some((mut found, version)) = found else { return Ok(None) };
    found.types = types.at(session, found.directory_id, version).await?;
    Ok(Some(found))
}

impl DirectoryStore {
    /// Which directory.
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// Whose.
    pub fn organization_id(&self) -> OrganizationId {
        self.organization_id
    }

    /// The same, for a request of this name: events of what it changes say so.
    #[must_use]
    pub fn in_request(mut self, id: RequestId) -> DirectoryStore {
        self.caller.cause.request_id = Some(id);
        self
    }

    /// The same, for a request that somebody has carried out once more: events of what it changes say so.
    #[must_use]
    pub fn as_rerun_of(mut self, id: RequestId) -> DirectoryStore {
        self.caller.cause.rerun_of = Some(id);
        self
    }

    /// Who is behind whatever is done with it.
    pub fn caused_by(&self) -> By {
        self.caller.cause.by
    }

    /// How it behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What its users and groups are made of.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Whether it takes requests of its provider.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether somebody has said who gets which role, and perhaps that everybody belongs to a group.
    pub fn has_role_mapping(&self) -> bool {
        self.has_role_mapping
    }

    /// Whether the credential may change anything; [`DirectoryStore::change`] asks too.
    ///
    /// # Errors
    ///
    /// [`Rejection::ReadOnly`] where it may look and not change.
    pub fn check_may_write(&self) -> Result<(), Rejection> {
        match self.scope {
            TokenScope::ReadWrite => Ok(()),
            TokenScope::Read => Err(Rejection::ReadOnly),
        }
    }

    /// Has something decided and kept. When this returns `Ok`, it is on the disk.
    ///
    /// # Errors
    ///
    /// [`Rejection::SchemasChanged`] where the schemas are not those of [`DirectoryStore::types`] any
    /// more, by which the request was read: whoever comes again reads it by the new ones.
    pub async fn change<D: Decide>(&self, decide: D) -> Result<D::Answer, Error> {
        self.check_may_write()?;
        let decide = ReadBy { schemas_version: self.types.version(), decide };
        let changed = self.inner.writer.change(self.id, decide, self.caller.clone()).await;
        if let Err(Error::Rejected(Rejection::SchemasChanged)) = &changed {
            self.inner.forget_types(self.id);
        }
        changed
    }

    /// What is kept beside a user, of which no schema knows, as one JSON object.
    pub async fn aside(&self, id: ResourceId) -> Result<Option<String>, Error> {
        let directory = self.id.to_string();
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading what is beside a user",
                "select aside from users where directory_id = $1 and user_id = $2",
                &[Value::Text(&directory), Value::Text(&id.to_string())],
                |row| row.optional_text(0),
            ))
        };
        Ok(self.inner.readers.read(read).await?.flatten())
    }

    /// Users beside whom something is kept, in the order of their creation, after one of them by its
    /// ordinal, with their own.
    pub async fn users_with_aside(
        &self,
        ordinal: u64,
        count_max: u64,
    ) -> Result<Vec<(u64, ResourceId)>, Error> {
        let directory = self.id.to_string();
        let read = move |session: &mut Session| {
            finish(session.all(
                "looking for users with something beside them",
                "select user_id, ordinal from users
                 where directory_id = $1 and aside is not null and ordinal > $2
                 order by ordinal limit $3",
                &[Value::Text(&directory), count(ordinal), count(count_max)],
                |row| Ok((row.number(1)?, row.resource_id(0)?)),
            ))
        };
        self.inner.readers.read(read).await
    }

    /// Some roles or entitlements; as [`DirectoryStore::users`].
    pub async fn catalogue(
        &self,
        kind: CatalogueKind,
        request: ListRequest<CatalogueEntry>,
    ) -> Result<Page<CatalogueEntry>, Error> {
        let (directory, asked) = (self.id, [(request.filter.clone(), request.sort.clone())]);
        let name = move || ListName::new(directory, kind.as_str(), &asked);
        let place = self.find(name, request.window.clone())?;
        let seek = place.seek.clone();
        let read =
            move |session: &mut Session| finish(catalogue::page(session, kind, &request, seek));
        let found = self.inner.readers.read(read).await?;
        Ok(self.leave(place, found))
    }

    /// A role or an entitlement by id.
    pub async fn catalogue_entry(
        &self,
        kind: CatalogueKind,
        id: EntryId,
    ) -> Result<Option<CatalogueEntry>, Error> {
        self.inner.catalogue_entry(kind, id).await
    }

    /// Whether there are roles, or entitlements, at all.
    pub async fn has_catalogue(&self, kind: CatalogueKind) -> Result<bool, Error> {
        let read = move |session: &mut Session| finish(catalogue::is_there(session, kind));
        self.inner.readers.read(read).await
    }

    /// Counts what was straightened of one request. Waits for nothing; it is kept within seconds,
    /// and at once when somebody asks for [`ApiStore::quirks`] or the store is closed.
    pub fn note_quirks(&self, quirks: &Quirks) {
        self.inner.quirks.note(self.id, quirks, self.inner.environment.clock.now());
    }

    /// A user by id, with their groups where they are wanted.
    pub async fn user(
        &self,
        id: ResourceId,
        with_groups: bool,
    ) -> Result<Option<UserRecord>, Error> {
        let directory = self.id;
        self.inner
            .readers
            .read_key(move |session| finish(read::user(session, directory, id, with_groups)))
            .await
    }

    /// What happened to a user or a group, in order: after a place, a bounded part of it.
    pub async fn timeline(
        &self,
        id: ResourceId,
        after: u64,
        count_max: u64,
    ) -> Result<Timeline, Error> {
        let directory = self.id;
        let read = move |session: &mut Session| {
            finish(timeline::read(session, directory, id, after, count_max))
        };
        self.inner.readers.read(read).await
    }

    /// Some users. A page may be shorter than its window, where it would be long in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Cursor`] where the window begins with a cursor that was not handed out for this
    /// list, or is too old; [`Error::Crowded`] where everybody has to be looked at, or many members
    /// have to be loaded, and too many such lists of this directory wait already.
    pub async fn users(&self, request: ListRequest<UserRecord>) -> Result<Page<UserRecord>, Error> {
        let (directory, asked) = (self.id, [(request.filter.clone(), request.sort.clone())]);
        let name = move || ListName::new(directory, UserRecord::KIND, &asked);
        let place = self.find(name, request.window.clone())?;
        let readers = &self.inner.readers;
        let Some(name_key) = list::only_name(&request, &place.seek) else {
            return self.page_at(place, request).await;
        };
        let with_groups = request.with_related;
        let read = move |session: &mut Session| {
            finish(list::of_one(session, directory, &name_key, with_groups))
        };
        Ok(self.leave(place, readers.read_key(read).await?))
    }

    /// Users in the order of their creation, after the one with this ordinal.
    pub async fn users_after(
        &self,
        ordinal: u64,
        count_max: u64,
    ) -> Result<Stretch<UserRecord>, Error> {
        let directory = self.id.to_string();
        self.inner
            .readers
            .read(move |session| finish(list::after(session, &directory, ordinal, count_max)))
            .await
    }

    /// Groups in the order of their creation, after the one with this ordinal, without members.
    pub async fn groups_after(
        &self,
        ordinal: u64,
        count_max: u64,
    ) -> Result<Stretch<GroupRecord>, Error> {
        let directory = self.id.to_string();
        self.inner
            .readers
            .read(move |session| finish(list::after(session, &directory, ordinal, count_max)))
            .await
    }

    /// A group by id, with its members where they are wanted.
    ///
    /// # Errors
    ///
    /// [`Error::Crowded`] where it has many members, and too much of this directory is read already
    /// that takes as long.
    pub async fn group(
        &self,
        id: ResourceId,
        with_members: bool,
    ) -> Result<Option<GroupRecord>, Error> {
        let (directory, readers) = (self.id, &self.inner.readers);
        let read_up_to = move |members: u64| {
            move |session: &mut Session| {
                let with_few = |group: &GroupRecord| with_members && group.member_count <= members;
                finish(read::one(session, directory, id, with_few))
            }
        };
        let has_more_than = |members: u64, found: &Option<GroupRecord>| {
            with_members && found.as_ref().is_some_and(|group| group.member_count > members)
        };
        let mut found = readers.read_key(read_up_to(MEMBERS_BESIDE)).await?;
        if has_more_than(MEMBERS_BESIDE, &found) {
            found = readers.read(read_up_to(MEMBERS_AT_ONCE)).await?;
        }
        if has_more_than(MEMBERS_AT_ONCE, &found) {
            found = readers.read_long(directory, read_up_to(u64::MAX)).await?;
        }
        Ok(found)
    }

    /// Some groups; as [`DirectoryStore::users`].
    pub async fn groups(
        &self,
        request: ListRequest<GroupRecord>,
    ) -> Result<Page<GroupRecord>, Error> {
        self.page(request).await
    }

    /// Some of both, in one order; as [`DirectoryStore::users`]. The windows are the same.
    pub async fn resources(
        &self,
        users: ListRequest<UserRecord>,
        groups: ListRequest<GroupRecord>,
    ) -> Result<Page<AnyRecord>, Error> {
        let directory = self.id;
        let asked = [
            (users.filter.clone(), users.sort.clone()),
            (groups.filter.clone(), groups.sort.clone()),
        ];
        let name = move || ListName::new(directory, "resources", &asked);
        let place = self.find(name, users.window.clone())?;
        let seek = place.seek.clone();
        let cost = list::cost(&users).max(list::cost(&groups));
        let read = move |session: &mut Session, budget: Budget| {
            let seek = seek.clone();
            finish(list::page_of_all(session, directory, &users, &groups, seek, budget))
        };
        Ok(self.leave(place, self.read_list(cost, read).await?))
    }

    async fn page<R: Record + Send + 'static>(
        &self,
        request: ListRequest<R>,
    ) -> Result<Page<R>, Error> {
        let (directory, asked) = (self.id, [(request.filter.clone(), request.sort.clone())]);
        let name = move || ListName::new(directory, R::KIND, &asked);
        let place = self.find(name, request.window.clone())?;
        self.page_at(place, request).await
    }

    async fn page_at<R: Record + Send + 'static>(
        &self,
        place: PageAsked<impl Fn() -> ListName>,
        request: ListRequest<R>,
    ) -> Result<Page<R>, Error> {
        let (directory, seek) = (self.id, place.seek.clone());
        let cost = list::cost(&request);
        let read = move |session: &mut Session, budget: Budget| {
            finish(list::page(session, directory, &request, seek.clone(), budget))
        };
        Ok(self.leave(place, self.read_list(cost, read).await?))
    }

    /// Reads a page where what it costs keeps nobody waiting: among the long reads where everybody has
    /// to be looked at for it, or where a first look among the short ones shows that it is one of
    /// many members.
    async fn read_list<T: Send + 'static>(
        &self,
        cost: Cost,
        read: impl Fn(&mut Session, Budget) -> Result<Option<T>, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let (readers, read) = (&self.inner.readers, Arc::new(read));
        let within = |budget: Budget| {
            let read = Arc::clone(&read);
            move |session: &mut Session| read(session, budget)
        };
        if cost == Cost::Key
            && let Some(found) = readers.read_key(within(Budget::of(MEMBERS_BESIDE))).await?
        {
            return Ok(found);
        }
        if cost <= Cost::Page
            && let Some(found) = readers.read(within(Budget::of(MEMBERS_AT_ONCE))).await?
        {
            return Ok(found);
        }
        let found = readers.read_long(self.id, within(Budget::UNLIMITED)).await?;
        Ok(found.expect("nothing is over a budget without limit"))
    }

    /// Where a page is to be looked for.
    fn find<N: Fn() -> ListName>(&self, name: N, window: Window) -> Result<PageAsked<N>, Error> {
        let now = self.inner.environment.clock.now();
        let count = window.count;
        let (seek, resumed) = match &window.start {
            // Who wants the total alone does not walk.
            Start::Index(index) if count == 0 => (Seek::Skip(index.saturating_sub(1)), None),
            // Whatever the list is called, it begins here.
            Start::Index(0 | 1) | Start::Cursor(None) => (Seek::Skip(0), None),
            Start::Index(index) => {
                let resumed =
                    self.token_id.and_then(|by| self.inner.walks.resume(by, &name(), *index, now));
                match resumed.as_ref().and_then(|it| it.after.clone()) {
                    Some(place) => (Seek::After(place), resumed),
                    None => (Seek::Skip(index.saturating_sub(1)), resumed),
                }
            }
            Start::Cursor(Some(cursor)) => {
                let place = self.inner.sealer.open_page(&name(), count, cursor, now);
                (Seek::After(place.map_err(Error::Cursor)?), None)
            }
        };
        Ok(PageAsked { name, window, seek, resumed })
    }

    /// What is answered, and what is remembered of it.
    fn leave<T>(&self, asked: PageAsked<impl Fn() -> ListName>, found: Found<T>) -> Page<T> {
        let now = self.inner.environment.clock.now();
        let PageAsked { name, window, resumed, .. } = asked;
        let Found { mut total, items, has_more } = found;
        let last = items.last().map(|(place, _)| place);
        let next = match window.start {
            Start::Index(index) => {
                let answered = Answered {
                    index: index.max(1),
                    count: window.count,
                    items: items.len() as u64,
                    has_more,
                    last,
                };
                let is_cut = has_more && answered.items < answered.count;
                if resumed.is_some() || is_cut {
                    total = total_of_walk(total, answered);
                }
                let goes_on = resumed.is_some() || answered.leads_on();
                if let Some(by) = self.token_id.filter(|_| goes_on) {
                    self.inner.walks.note(by, &name(), resumed.as_ref(), answered, now);
                }
                None
            }
            Start::Cursor(_) => last
                .filter(|_| has_more)
                .map(|place| self.inner.sealer.seal_page(&name(), window.count, place, now)),
        };
        Page { total, items: items.into_iter().map(|(_, item)| item).collect(), next }
    }
}

impl Inner {
    /// Has the tokens of a directory looked up anew, with the schemas that it has now. Other nodes do
    /// so within a second.
    fn forget_types(&self, id: DirectoryId) {
        self.forget_tokens_of(id);
    }

    /// The same where the tokens themselves are no more, or open less.
    pub(crate) fn forget_tokens_of(&self, id: DirectoryId) {
        self.tokens.forget(|found| found.directory_id == id);
    }

    async fn catalogue_entry(
        &self,
        kind: CatalogueKind,
        id: EntryId,
    ) -> Result<Option<CatalogueEntry>, Error> {
        let read = move |session: &mut Session| finish(catalogue::one(session, kind, &id));
        self.readers.read(read).await
    }
}

/// A page that is looked for.
struct PageAsked<N> {
    /// Which list it is a page of. Most have one page, and then nobody has to know.
    name: N,
    window: Window,
    seek: Seek,
    resumed: Option<Resumed>,
}

impl ApiStore {
    pub(crate) fn new(inner: Arc<Inner>) -> ApiStore {
        ApiStore(inner, Opener::Operator, Origin::default())
    }

    pub(crate) fn opened_by(access: &Access, opener: Opener) -> ApiStore {
        ApiStore(Arc::clone(&access.0), opener, Origin::default())
    }

    pub(crate) fn opener(&self) -> &Opener {
        &self.1
    }

    /// The same, for a request of this name that came from there: events and entries of the audit log
    /// say so of what it changes.
    #[must_use]
    pub fn in_request(self, id: RequestId, address: Option<IpAddr>) -> ApiStore {
        ApiStore(self.0, self.1, Origin { request_id: Some(id), address })
    }

    /// Who causes whatever is done with it.
    pub(crate) fn caller(&self) -> Caller {
        let (by, name) = match &self.1 {
            Opener::Operator => (By::Operator, None),
            Opener::Key(key) => (By::ApiKey(key.id), Some(key.name.as_str())),
            Opener::Portal(link) => (By::PortalLink(link.id), None),
            Opener::Member(member, _) => (By::Member(member.id), Some(member.name.as_str())),
        };
        self.2.caller(by, name)
    }

    /// Who is behind whatever is done with it.
    pub fn caused_by(&self) -> By {
        self.caller().cause.by
    }

    /// The key that opened it.
    pub fn key(&self) -> Option<&ApiKey> {
        match &self.1 {
            Opener::Key(key) => Some(key),
            _ => None,
        }
    }

    /// The only organization that there is for whoever opened it; all, where there is none.
    pub fn bound_to(&self) -> Option<OrganizationId> {
        match &self.1 {
            Opener::Operator | Opener::Member(..) => None,
            Opener::Key(key) => key.organization_id,
            Opener::Portal(link) => Some(link.organization_id),
        }
    }

    /// Whether there is this directory, for the key. An organization's directories never change
    /// hands, so nothing is lost between this and what follows.
    pub(crate) async fn find(&self, id: DirectoryId) -> Result<(), Error> {
        let bound_to = self.bound_to().map(|id| id.to_string());
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for a directory",
                "select 1 from directories where directory_id = $1 and deleted_at is null
                 and (cast($2 as text) is null or organization_id = $2)",
                &[Value::Text(&id.to_string()), Value::OptionalText(bound_to.as_deref())],
                |_| Ok(()),
            ))
        };
        let found = self.0.readers.read(read).await?;
        found.ok_or(Error::Rejected(Rejection::UnknownDirectory(id)))
    }

    /// The same of an organization.
    pub(crate) fn may_see(&self, id: OrganizationId) -> bool {
        self.bound_to().is_none_or(|own| own == id)
    }

    /// Keeps an administrative act.
    pub(crate) async fn administer(&self, administration: Administration) -> Result<u64, Error> {
        self.0.writer.act(Act::Administer(administration, self.caller())).await
    }

    /// Keeps a new organization.
    pub async fn create_organization(
        &self,
        name: String,
        external_id: Option<String>,
    ) -> Result<Organization, Error> {
        self.create_organization_with(name, external_id, true, Metadata::default()).await
    }

    /// The same, with all that is to be known of it.
    pub async fn create_organization_with(
        &self,
        name: String,
        external_id: Option<String>,
        directory_sync: bool,
        metadata: Metadata,
    ) -> Result<Organization, Error> {
        let organization = Organization {
            id: OrganizationId::new(self.0.environment.ids.as_ref()),
            name,
            external_id,
            directory_sync,
            metadata,
            created_at: self.now(),
        };
        self.administer(Administration::CreateOrganization(organization.clone())).await?;
        Ok(organization)
    }

    /// Changes an organization; says how it is then.
    pub async fn edit_organization(
        &self,
        id: OrganizationId,
        edit: impl Into<Guarded<OrganizationEdit>> + Send,
    ) -> Result<Organization, Error> {
        let edit = edit.into();
        let unknown = || Error::Rejected(Rejection::UnknownOrganization(id));
        if !self.may_see(id) {
            return Err(unknown());
        }
        self.administer(Administration::EditOrganization(id, edit)).await?;
        self.0.tokens.forget(|found| found.organization_id == id);
        self.organization(id).await?.ok_or_else(unknown)
    }

    /// Deletes an organization that has no directory (any more), with its keys.
    pub async fn delete_organization(
        &self,
        id: impl Into<Guarded<OrganizationId>> + Send,
    ) -> Result<(), Error> {
        let guarded = id.into();
        if !self.may_see(guarded.what) {
            return Err(Error::Rejected(Rejection::UnknownOrganization(guarded.what)));
        }
        self.administer(Administration::DeleteOrganization(guarded, self.now())).await.map(drop)
    }

    /// The organization with the vendor's own identifier.
    pub async fn organization_of_external_id(
        &self,
        external_id: &str,
    ) -> Result<Option<Organization>, Error> {
        let external_id = external_id.to_owned();
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for an organization",
                "select organization_id, name, external_id, directory_sync, metadata, created_at
                 from organizations where external_id = $1 and deleted_at is null",
                &[Value::Text(&external_id)],
                organization,
            ))
        };
        let found = self.0.readers.read(read).await?;
        Ok(found.filter(|organization| self.may_see(organization.id)))
    }

    /// An organization by id.
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, Error> {
        if !self.may_see(id) {
            return Ok(None);
        }
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading an organization",
                "select organization_id, name, external_id, directory_sync, metadata, created_at
                 from organizations where organization_id = $1 and deleted_at is null",
                &[Value::Text(&id.to_string())],
                organization,
            ))
        };
        self.0.readers.read(read).await
    }

    /// Organizations, in the order of their ids, which is that of their creation.
    pub async fn organizations(
        &self,
        after: Option<OrganizationId>,
        count_max: u64,
    ) -> Result<Vec<Organization>, Error> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let bound_to = self.bound_to().map(|id| id.to_string());
        let read = move |session: &mut Session| {
            finish(session.all(
                "loading organizations",
                "select organization_id, name, external_id, directory_sync, metadata, created_at
                 from organizations
                 where organization_id > $1 and deleted_at is null
                     and (cast($3 as text) is null or organization_id = $3)
                 order by organization_id limit $2",
                &[Value::Text(&after), count(count_max), Value::OptionalText(bound_to.as_deref())],
                organization,
            ))
        };
        self.0.readers.read(read).await
    }

    /// Organizations of this name, exactly; names are not unique.
    pub async fn organizations_named(&self, name: &str) -> Result<Vec<Organization>, Error> {
        let name = name.to_owned();
        let read = move |session: &mut Session| {
            finish(session.all(
                "looking for organizations by name",
                "select organization_id, name, external_id, directory_sync, metadata, created_at
                 from organizations where name = $1 and deleted_at is null
                 order by organization_id",
                &[Value::Text(&name)],
                organization,
            ))
        };
        self.0.readers.read(read).await
    }

    /// Keeps a new directory of an organization.
    pub async fn create_directory(
        &self,
        organization_id: OrganizationId,
        name: String,
        provider: Provider,
        settings: Settings,
    ) -> Result<Directory, Error> {
        self.create_directory_with(organization_id, name, provider, settings, false).await
    }

    /// The same; where it is a shadow, nothing of it is let out before somebody approves the hold that
    /// begins with it.
    pub async fn create_directory_with(
        &self,
        organization_id: OrganizationId,
        name: String,
        provider: Provider,
        settings: Settings,
        is_shadow: bool,
    ) -> Result<Directory, Error> {
        if !self.may_see(organization_id) {
            return Err(Error::Rejected(Rejection::UnknownOrganization(organization_id)));
        }
        let directory = Directory {
            id: DirectoryId::new(self.0.environment.ids.as_ref()),
            organization_id,
            name,
            provider,
            settings,
            created_at: self.now(),
            paused_at: None,
            disconnected: None,
            deleted_at: None,
        };
        let shadow = is_shadow.then(|| HoldId::new(self.0.environment.ids.as_ref()));
        let open = Act::OpenDirectory(directory.clone(), shadow, self.caller());
        self.0.writer.act(open).await?;
        Ok(directory)
    }

    /// Changes a directory. From when this returns `Ok`, it behaves so on this node, and on others
    /// within a second.
    pub async fn edit_directory(
        &self,
        id: DirectoryId,
        edit: impl Into<Guarded<EditDirectory>> + Send,
    ) -> Result<(), Error> {
        let edit = edit.into();
        self.find(id).await?;
        self.0.writer.change(id, edit, self.caller()).await?;
        self.0.forget_types(id);
        Ok(())
    }

    /// Disconnects a directory from its provider: its credentials are gone, and it is paused. Whoever is to
    /// be deactivated is so after that, by [`Store::deactivate_people`](crate::Store::deactivate_people).
    ///
    /// # Errors
    ///
    /// [`Rejection::ChangesWait`] where people are to be deactivated, and it is not decided yet what
    /// becomes of those whom the provider has taken out.
    pub async fn disconnect_directory(
        &self,
        id: DirectoryId,
        what: impl Into<Guarded<DisconnectDirectory>> + Send,
    ) -> Result<(), Error> {
        let guarded = what.into();
        let found = self.directory(id).await?;
        let found = found.ok_or(Error::Rejected(Rejection::UnknownDirectory(id)))?;
        if let (AfterDisconnect::Deactivate, Some((hold, HoldKind::Brake, _))) =
            (guarded.what.people, found.hold)
        {
            return Err(Error::Rejected(Rejection::ChangesWait(hold)));
        }
        self.0.writer.change(id, guarded, self.caller()).await?;
        self.0.forget_types(id);
        Ok(())
    }

    /// Deletes a directory: it opens for nobody any more. Who is in it is deleted after that, by
    /// [`Store::empty_directories`](crate::Store::empty_directories).
    pub async fn delete_directory(
        &self,
        id: impl Into<Guarded<DirectoryId>> + Send,
    ) -> Result<(), Error> {
        let Guarded { precondition, what: id } = id.into();
        self.find(id).await?;
        let guarded = Guarded { precondition, what: DeleteDirectory };
        self.0.writer.change(id, guarded, self.caller()).await?;
        self.0.forget_types(id);
        Ok(())
    }

    /// Directories, of one organization or of all, in the order of their creation.
    pub async fn directories(
        &self,
        organization_id: Option<OrganizationId>,
        after: Option<DirectoryId>,
        count_max: u64,
    ) -> Result<Vec<DirectorySummary>, Error> {
        let organization = self.bound_to().or(organization_id);
        if organization != organization_id.or(organization) {
            return Ok(Vec::new());
        }
        let organization = organization.map(|id| id.to_string());
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let read = move |session: &mut Session| {
            finish(async {
                let sql = match organization {
                    None => {
                        summary_sql!(
                            "where d.directory_id > $1 and d.deleted_at is null
                             order by d.directory_id limit $2"
                        )
                    }
                    Some(_) => {
                        summary_sql!(
                            "where d.directory_id > $1 and d.organization_id = $3
                                 and d.deleted_at is null
                             order by d.directory_id limit $2"
                        )
                    }
                };
                let mut values = vec![Value::Text(&after), count(count_max)];
                values.extend(organization.as_deref().map(Value::Text));
                session.all("loading directories", sql, &values, summary).await
            })
        };
        let found = self.0.readers.read(read).await?;
        Ok(found.into_iter().map(|summary| self.heard_since(summary)).collect())
    }

    /// A directory by id.
    pub async fn directory(&self, id: DirectoryId) -> Result<Option<DirectorySummary>, Error> {
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading a directory",
                summary_sql!("where d.directory_id = $1 and d.deleted_at is null"),
                &[Value::Text(&id.to_string())],
                summary,
            ))
        };
        let found = self.0.readers.read(read).await?;
        let found = found.filter(|summary| self.may_see(summary.directory.organization_id));
        Ok(found.map(|summary| self.heard_since(summary)))
    }

    /// How far is what goes on in the background for a directory: a text that is another as soon as some of
    /// it was done.
    pub async fn background(&self, id: DirectoryId) -> Result<String, Error> {
        let read = move |session: &mut Session| {
            finish(async {
                let id = id.to_string();
                let values = [Value::Text(&id)];
                let text = |row: &Row<'_>| Ok(row.optional_text(0)?.unwrap_or_default());
                let sql = "select cast(walk_place as text) from role_mappings
                           where directory_id = $1";
                let walk = session.first("looking how far roles are", sql, &values, text).await?;
                let walk = walk.unwrap_or_default();
                let sql = "select stage || ' ' || place from erasures
                           where directory_id = $1 and finished_at is null
                           order by erasure_id limit 1";
                let doing = "looking how far an erasure is";
                let erasure = session.first(doing, sql, &values, text).await?;
                Ok(format!("{walk} {}", erasure.unwrap_or_default()))
            })
        };
        self.0.readers.read_key(read).await
    }

    /// What was heard of a provider and is not kept yet is known here.
    fn heard_since(&self, summary: DirectorySummary) -> DirectorySummary {
        let contact = self.0.contacts.since(summary.directory.id, summary.contact);
        DirectorySummary { contact, ..summary }
    }

    /// The directory as its own credential would see it.
    pub async fn open(&self, id: DirectoryId) -> Result<Option<DirectoryStore>, Error> {
        let inner = Arc::clone(&self.0);
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let found = session
                    .first(
                        "opening a directory",
                        "select organization_id, settings, schemas_version, roles_version
                         from directories where directory_id = $1 and deleted_at is null",
                        &[Value::Text(&id.to_string())],
                        |row| {
                            let settings = rows::settings(&row.text(1)?)?;
                            let has_roles = row.number(3)? > 0;
                            Ok((row.parsed(0)?, settings, row.number(2)?, has_roles))
                        },
                    )
                    .await?;
                let Some((organization_id, settings, version, has_roles)) = found else {
                    return Ok(None);
                };
                let types = inner.types.at(session, id, version).await?;
                Ok(Some((organization_id, settings, types, has_roles)))
            })
        };
        let found = self.0.readers.read(read).await?;
        let found = found.filter(|(organization_id, ..)| self.may_see(*organization_id));
        Ok(found.map(|(organization_id, settings, types, has_role_mapping)| DirectoryStore {
            inner: Arc::clone(&self.0),
            id,
            organization_id,
            settings,
            types,
            scope: TokenScope::ReadWrite,
            standing: Standing::Open,
            has_role_mapping,
            token_id: None,
            caller: self.caller(),
        }))
    }

    /// The schemas that a directory has beside the built-in ones, in the order of their creation.
    pub async fn schemas(&self, id: DirectoryId) -> Result<Vec<CustomSchema>, Error> {
        self.find(id).await?;
        let read = move |session: &mut Session| finish(schemas::all(session, &id.to_string()));
        self.0.readers.read(read).await
    }

    /// Gives a directory a schema, or changes one. Requests that come from now on are read by it.
    pub async fn define_schema(
        &self,
        id: DirectoryId,
        define: impl Into<Guarded<DefineSchema>> + Send,
    ) -> Result<Defined, Error> {
        let define = define.into();
        self.find(id).await?;
        let defined = self.0.writer.change(id, define, self.caller()).await?;
        self.0.forget_types(id);
        Ok(defined)
    }

    /// Takes a schema that nobody has a value of from a directory.
    pub async fn remove_schema(
        &self,
        id: DirectoryId,
        urn: impl Into<Guarded<String>> + Send,
    ) -> Result<(), Error> {
        let Guarded { precondition, what: urn } = urn.into();
        self.find(id).await?;
        let guarded = Guarded { precondition, what: RemoveSchema { urn } };
        self.0.writer.change(id, guarded, self.caller()).await?;
        self.0.forget_types(id);
        Ok(())
    }

    /// Which attributes of no schema the provider of a directory sends, by name.
    pub async fn unknown_attributes(
        &self,
        id: DirectoryId,
    ) -> Result<Vec<UnknownAttribute>, Error> {
        self.find(id).await?;
        let read = move |session: &mut Session| {
            finish(schemas::unknown_attributes(session, &id.to_string()))
        };
        self.0.readers.read(read).await
    }

    /// All roles or entitlements, in the order in which they were added.
    pub async fn catalogue(&self, kind: CatalogueKind) -> Result<Vec<CatalogueEntry>, Error> {
        let read = move |session: &mut Session| finish(catalogue::all(session, kind));
        let found = self.0.readers.read(read).await?;
        Ok(found.into_iter().map(|(_, entry)| entry).collect())
    }

    /// A role or an entitlement by id.
    pub async fn catalogue_entry(
        &self,
        kind: CatalogueKind,
        id: EntryId,
    ) -> Result<Option<CatalogueEntry>, Error> {
        self.0.catalogue_entry(kind, id).await
    }

    /// Adds a role or an entitlement, or changes it; says how it is then.
    pub async fn put_entry(
        &self,
        entry: impl Into<Guarded<NewEntry>> + Send,
    ) -> Result<Option<CatalogueEntry>, Error> {
        let entry = entry.into();
        let (kind, id) = (entry.what.kind, entry.what.id.clone());
        self.0.writer.act(Act::PutEntry(entry, self.now(), self.caller())).await?;
        self.0.catalogue_entry(kind, id).await
    }

    /// Takes a role or an entitlement out of the catalogue. Users who have it keep it.
    pub async fn delete_entry(
        &self,
        kind: CatalogueKind,
        id: impl Into<Guarded<EntryId>> + Send,
    ) -> Result<(), Error> {
        self.0.writer.act(Act::DeleteEntry(kind, id.into(), self.caller())).await.map(drop)
    }

    /// Keeps a new token of a directory, for a provider. The secret itself is not kept.
    pub async fn create_token(
        &self,
        directory_id: DirectoryId,
        secret: &Secret,
        lifetime: SignedDuration,
    ) -> Result<TokenSummary, Error> {
        self.create_scoped_token(directory_id, secret, TokenScope::ReadWrite, lifetime).await
    }

    /// The same, for somebody who may do this.
    pub async fn create_scoped_token(
        &self,
        directory_id: DirectoryId,
        secret: &Secret,
        scope: TokenScope,
        lifetime: SignedDuration,
    ) -> Result<TokenSummary, Error> {
        self.find(directory_id).await?;
        let token = self.new_token(secret, scope, lifetime)?;
        let summary = TokenSummary::new(&token);
        self.0.writer.change(directory_id, CreateToken { token }, self.caller()).await?;
        Ok(summary)
    }

    /// Keeps a new token in the place of another, which stays good for as long as `overlap`, unless
    /// it would have gone by then.
    pub async fn rotate_token(
        &self,
        directory_id: DirectoryId,
        token_id: TokenId,
        secret: &Secret,
        lifetime: SignedDuration,
        overlap: SignedDuration,
    ) -> Result<TokenSummary, Error> {
        self.find(directory_id).await?;
        let token = self.new_token(secret, TokenScope::ReadWrite, lifetime)?;
        let until = token.created_at.checked_add(overlap).map_err(|_| too_long())?;
        let rotate = RotateToken { id: token_id, token, until: crate::to_the_microsecond(until) };
        let token = self.0.writer.change(directory_id, rotate, self.caller()).await?;
        self.0.tokens.forget(|found| found.token_id == token_id);
        Ok(TokenSummary::new(&token))
    }

    fn new_token(
        &self,
        secret: &Secret,
        scope: TokenScope,
        lifetime: SignedDuration,
    ) -> Result<Token, Error> {
        let created_at = self.now();
        Ok(Token {
            id: TokenId::new(self.0.environment.ids.as_ref()),
            hash: secret.hash(),
            last_four: secret.last_four().to_owned(),
            scope,
            created_at,
            expires_at: after(created_at, lifetime)?,
        })
    }

    /// Takes a token back. From when this returns `Ok`, it opens nothing on this node, and on others
    /// within a second.
    ///
    /// # Errors
    ///
    /// [`Rejection::UnknownToken`] where the directory has no such token (any more), and
    /// [`Rejection::UnknownDirectory`].
    pub async fn revoke_token(
        &self,
        directory_id: DirectoryId,
        token_id: TokenId,
    ) -> Result<(), Error> {
        self.find(directory_id).await?;
        let revoke = RevokeToken { id: token_id };
        self.0.writer.change(directory_id, revoke, self.caller()).await?;
        self.0.tokens.forget(|found| found.token_id == token_id);
        Ok(())
    }

    /// The tokens of a directory, in the order of their creation.
    pub async fn tokens(&self, directory_id: DirectoryId) -> Result<Vec<TokenSummary>, Error> {
        self.tokens_after(directory_id, None, i64::MAX.unsigned_abs()).await
    }

    /// The same, a page at a time.
    pub async fn tokens_after(
        &self,
        directory_id: DirectoryId,
        later_than: Option<TokenId>,
        count_max: u64,
    ) -> Result<Vec<TokenSummary>, Error> {
        self.find(directory_id).await?;
        let later_than = later_than.map(|id| id.to_string()).unwrap_or_default();
        let read = move |session: &mut Session| {
            finish(session.all(
                "loading tokens",
                tokens!("and token_id > $2 order by token_id limit $3"),
                &[
                    Value::Text(&directory_id.to_string()),
                    Value::Text(&later_than),
                    count(count_max),
                ],
                token_summary,
            ))
        };
        self.0.readers.read(read).await
    }

    /// A token of a directory, by id.
    pub async fn token(
        &self,
        directory_id: DirectoryId,
        id: TokenId,
    ) -> Result<TokenSummary, Error> {
        self.find(directory_id).await?;
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading a token",
                tokens!("and token_id = $2"),
                &[Value::Text(&directory_id.to_string()), Value::Text(&id.to_string())],
                token_summary,
            ))
        };
        let found = self.0.readers.read(read).await?;
        found.ok_or(Error::Rejected(Rejection::UnknownToken(id)))
    }

    /// What was straightened of what a directory's provider sent, the most frequent first: on this
    /// node up to this moment, on others that share the database up to a few seconds ago.
    pub async fn quirks(&self, directory_id: DirectoryId) -> Result<Vec<QuirkCount>, Error> {
        self.find(directory_id).await?;
        self.0.quirks.keep().await?;
        self.0.readers.read(move |session| quirks::read(session, directory_id)).await
    }

    /// Tokens that providers were given and that end before a moment, the first to end first, with their
    /// directories.
    pub async fn tokens_ending_before(
        &self,
        moment: Timestamp,
        count_max: u64,
    ) -> Result<Vec<(DirectoryId, TokenSummary)>, Error> {
        let (bound_to, now) = (self.bound_to().map(|id| id.to_string()), self.now());
        let read = move |session: &mut Session| {
            finish(session.all(
                "looking for tokens that end",
                "select t.directory_id, t.token_id, t.last_four, t.scope, t.created_at,
                        t.expires_at, t.last_used_at
                 from tokens t join directories d on d.directory_id = t.directory_id
                 where t.expires_at > $1 and t.expires_at <= $2 and t.client_secret_id is null
                     and d.deleted_at is null
                     and (cast($3 as text) is null or d.organization_id = $3)
                 order by t.expires_at, t.token_id limit $4",
                &[
                    Value::Time(now),
                    Value::Time(moment),
                    Value::OptionalText(bound_to.as_deref()),
                    count(count_max),
                ],
                |row| {
                    let token = TokenSummary {
                        id: row.parsed(1)?,
                        last_four: row.text(2)?,
                        scope: row.parsed(3)?,
                        created_at: row.time(4)?,
                        expires_at: row.time(5)?,
                        last_used_at: row.optional_time(6)?,
                    };
                    Ok((row.parsed(0)?, token))
                },
            ))
        };
        self.0.readers.read(read).await
    }

    /// The keys of the management API that the key may know of, in the order of their creation.
    pub async fn api_keys(
        &self,
        later_than: Option<TokenId>,
        count_max: u64,
    ) -> Result<Vec<ApiKey>, Error> {
        let bound_to = self.bound_to().map(|id| id.to_string());
        let later_than = later_than.map(|id| id.to_string()).unwrap_or_default();
        let read = move |session: &mut Session| {
            finish(session.all(
                "loading API keys",
                api_keys!("and api_key_id > $2 order by api_key_id limit $3"),
                &[
                    Value::OptionalText(bound_to.as_deref()),
                    Value::Text(&later_than),
                    count(count_max),
                ],
                api_key,
            ))
        };
        self.0.readers.read(read).await
    }

    /// One of them, by id.
    pub async fn api_key(&self, id: TokenId) -> Result<ApiKey, Error> {
        let bound_to = self.bound_to().map(|id| id.to_string());
        let read = move |session: &mut Session| {
            finish(session.first(
                "loading an API key",
                api_keys!("and api_key_id = $2"),
                &[Value::OptionalText(bound_to.as_deref()), Value::Text(&id.to_string())],
                api_key,
            ))
        };
        let found = self.0.readers.read(read).await?;
        found.ok_or(Error::Rejected(Rejection::UnknownApiKey(id)))
    }

    /// Keeps a new key. The secret itself is not kept.
    pub async fn create_api_key(
        &self,
        name: String,
        secret: &Secret,
        scopes: ApiScopes,
        organization_id: Option<OrganizationId>,
        lifetime: Option<SignedDuration>,
    ) -> Result<ApiKey, Error> {
        if let Some(id) = organization_id
            && self.organization(id).await?.is_none()
        {
            return Err(Error::Rejected(Rejection::UnknownOrganization(id)));
        }
        let created_at = self.now();
        let key = ApiKey {
            id: TokenId::new(self.0.environment.ids.as_ref()),
            name,
            last_four: secret.last_four().to_owned(),
            scopes,
            organization_id: self.bound_to().or(organization_id),
            created_at,
            expires_at: lifetime.map(|lifetime| after(created_at, lifetime)).transpose()?,
            last_used_at: None,
        };
        let (kept, hash) = (key.clone(), secret.hash());
        self.administer(Administration::CreateApiKey { key: kept, hash, is_first: false }).await?;
        Ok(key)
    }

    /// Takes a key back: it opens nothing from then on.
    pub async fn revoke_api_key(&self, id: TokenId) -> Result<(), Error> {
        self.administer(Administration::RevokeApiKey(id, self.bound_to())).await.map(drop)
    }

    /// The cursor behind an event, for whoever reads with this filter.
    pub fn cursor(&self, filter: &EventFilter, event: &EventRecord) -> Cursor {
        FeedStore::new(Arc::clone(&self.0)).cursor(filter, event)
    }

    /// Events after a cursor, or from the beginning; those that are meant, and that the key may know
    /// of.
    pub async fn events(
        &self,
        after: Option<Cursor>,
        filter: impl Into<EventFilter>,
        count_max: u64,
    ) -> Result<Result<EventPage, BadCursor>, Error> {
        let mut filter = filter.into();
        // Whoever asks for a directory has looked whose it is; this holds whatever they did.
        if let Some(bound_to) = self.bound_to() {
            match filter.directory_id {
                Some(id) if self.organization_of(id).await? != Some(bound_to) => {
                    return Err(Error::Rejected(Rejection::UnknownDirectory(id)));
                }
                _ => filter.organization_id = Some(bound_to),
            }
        }
        FeedStore::new(Arc::clone(&self.0)).events(after, filter, count_max).await
    }

    /// Whose a directory is, or was: also of one that was deleted, of which there are events still.
    pub async fn organization_of(&self, id: DirectoryId) -> Result<Option<OrganizationId>, Error> {
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking whose a directory is",
                "select organization_id from directories where directory_id = $1",
                &[Value::Text(&id.to_string())],
                |row| row.parsed(0),
            ))
        };
        let found: Option<OrganizationId> = self.0.readers.read_key(read).await?;
        Ok(found.filter(|id| self.may_see(*id)))
    }

    /// An event of a directory by its number; `None` where there is none, or it was let go. There are
    /// those of a directory that was deleted, too.
    pub async fn event(
        &self,
        directory: DirectoryId,
        number: u64,
    ) -> Result<Option<EventRecord>, Error> {
        let read = move |session: &mut Session| finish(timeline::one(session, directory, number));
        self.0.readers.read_key(read).await
    }

    /// Whether there is, or was, an organization: also one that was deleted, of whose directories
    /// there are events still.
    pub async fn was_organization(&self, id: OrganizationId) -> Result<bool, Error> {
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for an organization",
                "select 1 from organizations where organization_id = $1",
                &[Value::Text(&id.to_string())],
                |_| Ok(()),
            ))
        };
        Ok(self.may_see(id) && self.0.readers.read_key(read).await?.is_some())
    }

    /// Whether the key opens anything still.
    pub async fn is_open(&self) -> Result<bool, Error> {
        let Some(key) = self.key() else { return Ok(true) };
        let (id, now) = (key.id.to_string(), self.now());
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking whether an API key is good",
                "select 1 from api_keys
                 where api_key_id = $1 and (expires_at is null or expires_at > $2)",
                &[Value::Text(&id), Value::Time(now)],
                |_| Ok(()),
            ))
        };
        Ok(self.0.readers.read_key(read).await?.is_some())
    }

    pub(crate) fn now(&self) -> Timestamp {
        crate::to_the_microsecond(self.0.environment.clock.now())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }
}

impl TokenSummary {
    fn new(token: &Token) -> TokenSummary {
        TokenSummary {
            id: token.id,
            last_four: token.last_four.clone(),
            scope: token.scope,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: None,
        }
    }
}

/// A moment so much later.
pub(crate) fn after(moment: Timestamp, lifetime: SignedDuration) -> Result<Timestamp, Error> {
    let later = moment.checked_add(lifetime).map_err(|_| too_long())?;
    Ok(crate::to_the_microsecond(later))
}

fn too_long() -> Error {
    Rejection::Scim(scim::Error::new(400, "too long a lifetime")).into()
}

fn standing(paused_at: Option<Timestamp>, directory_sync: i64) -> Standing {
    match (directory_sync, paused_at) {
        (0, _) => Standing::SwitchedOff,
        (_, Some(_)) => Standing::Paused,
        (_, None) => Standing::Open,
    }
}

fn token_summary(row: &Row<'_>) -> Result<TokenSummary, Error> {
    Ok(TokenSummary {
        id: row.parsed(0)?,
        last_four: row.text(1)?,
        created_at: row.time(2)?,
        expires_at: row.time(3)?,
        last_used_at: row.optional_time(4)?,
        scope: row.parsed(5)?,
    })
}

pub(crate) fn api_key(row: &Row<'_>) -> Result<ApiKey, Error> {
    let of = row.optional_text(4)?;
    let of = of.map(|id| id.parse().map_err(|_| Error::Corrupt("whose a key is".to_owned())));
    Ok(ApiKey {
        id: row.parsed(0)?,
        name: row.text(1)?,
        last_four: row.text(2)?,
        scopes: row.parsed(3)?,
        organization_id: of.transpose()?,
        created_at: row.time(5)?,
        expires_at: row.optional_time(6)?,
        last_used_at: row.optional_time(7)?,
    })
}

fn summary(row: &Row<'_>) -> Result<DirectorySummary, Error> {
    let directory = Directory {
        id: row.parsed(0)?,
        organization_id: row.parsed(1)?,
        name: row.text(2)?,
        provider: row.parsed(3)?,
        settings: rows::settings(&row.text(4)?)?,
        created_at: row.time(5)?,
        paused_at: row.optional_time(10)?,
        disconnected: rows::disconnected(row, 21, row.optional_time(10)?)?,
        deleted_at: None,
    };
    let refused_with = row.optional_integer(15)?;
    Ok(DirectorySummary {
        standing: standing(directory.paused_at, row.integer(11)?),
        contact: Contact {
            last_at: row.optional_time(12)?,
            changed_at: row.optional_time(13)?,
            refused_at: row.optional_time(14)?,
            refused_with: refused_with.and_then(|it| u16::try_from(it).ok()),
            usual_gap: contacts::rhythm(row.optional_text(16)?)?.usual_gap(),
        },
        directory,
        user_count: row.number(6)?,
        active_user_count: row.number(7)?,
        group_count: row.number(8)?,
        event_number: row.number(9)?,
        outside_user_count: row.number(17)?,
        is_deactivating: row.optional_integer(23)?.is_some(),
        hold: match row.optional_text(18)? {
            Some(_) => Some((row.parsed(18)?, row.parsed(19)?, row.parsed(20)?)),
            None => None,
        },
    })
}
