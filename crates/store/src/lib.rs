//! The memory: every statement, migrations, the one door for changes, and the feed.
//!
//! A request never holds the [`Store`]. It holds a [`DirectoryStore`] (SCIM) or an [`ApiStore`]
//! (management API), which [`Access`] opens for a credential and for nothing else. The courier holds
//! a [`FeedStore`], with which nothing can be changed.
//!
//! Writes go to one thread that keeps many of them in one transaction (see `writer`); reads have
//! connections of their own and never wait for a write.

mod access;
mod administration;
mod alarms;
mod audit;
mod batch;
mod brake;
mod branding;
mod catalogue;
mod contacts;
mod disconnect;
mod erasure;
mod error;
mod feed;
mod guards;
mod held;
mod holds;
mod latest;
mod lease;
mod list;
mod load;
mod members;
mod migrations;
mod narrow;
mod oauth;
mod once;
mod place;
mod portal;
mod postgres;
mod quirks;
mod read;
mod readers;
mod receipts;
mod recent;
mod requests;
mod retention;
mod roles;
mod rows;
mod schemas;
mod seal;
mod session;
mod sign_in;
mod snapshot;
mod sqlite;
mod tail;
mod timeline;
mod tls;
mod transfer;
mod upkeep;
mod walks;
mod webhooks;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex};

use directory::secret::{Entropy, Secret};
use directory::{ApiKey, ApiScopes, By, Cause, Ids, Limits, TokenId};
use jiff::Timestamp;

pub use access::{
    Access, ApiStore, Credential, DirectoryStore, DirectorySummary, Standing, TokenSummary,
};
pub use administration::OrganizationEdit;
pub use audit::{AuditFilter, AuditRecord, Origin};
pub use branding::Branding;
pub use catalogue::NewEntry;
pub use erasure::{Erased, Erasure, Stage};
pub use error::Error;
pub use feed::{BadCursor, Cursor, EventFilter, EventPage, EventRecord, FeedPart, FeedStore};
pub use guards::SafetyState;
pub use held::{HeldChange, Told};
pub use holds::{Held, HoldRecord, Verdict};
pub use latest::LatestEvents;
pub use list::{AnyRecord, ListRequest, Page, Represent, Start, Stretch, Window};
pub use members::{Joining, MemberSignIn, NewSession, NewSignIn, NotJoined, NotLetIn};
pub use oauth::{Given, NotGiven};
pub use once::{Begun, OnceStore};
pub use place::BadPageCursor;
pub use portal::FollowedLink;
pub use quirks::QuirkCount;
pub use read::{GroupRecord, GroupReference, UserRecord};
pub use receipts::{NotReceived, Receipt, ReceiptSummary, ReceiptsAsked};
pub use requests::{
    Captured, CapturedBody, MinuteOfRequests, RequestFilter, RequestPage, RequestRecord,
    RerunTarget, WholeRequest,
};
pub use retention::Class;
pub use roles::{
    ExplainedRoles, PersonPreview, RoleChanges, RolePreview, RoleProgress, RoleSetting,
};
pub use schemas::UnknownAttribute;
pub use sign_in::{FoundPerson, SignIn, SignInState, SoughtBy};
pub use snapshot::{Snapshot, SnapshotGroup, SnapshotMembership, SnapshotPart, SnapshotUser};
pub use tail::{Tail, TailPart};
pub use timeline::Timeline;
pub use transfer::{MovedTable, Phase, Progress};
pub use webhooks::{
    Attempt, Claimed, DeliveryRecord, DeliveryState, Disabled, Endpoint, EndpointChange,
    EndpointSummary, Endpoints, Health, Lane, Loaded, NewDelivery, NewEndpoint, Replay,
    ReplayProgress, Retried, Settlement, TEST, WebhookStore,
};

use crate::access::FoundToken;
use crate::administration::Administration;
use crate::contacts::Contacts;
use crate::migrations::Shape;
use crate::postgres::Connector;
use crate::quirks::QuirkCounter;
use crate::readers::Readers;
use crate::recent::Recent;
use crate::requests::{Keeper, RequestLog};
use crate::schemas::KnownTypes;
use crate::seal::Sealer;
use crate::session::{Session, finish};
use crate::walks::Walks;
use crate::writer::{Act, Writer};

/// What time it is. Time arrives as an argument; the front door has the real one.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Time and chance.
#[derive(Clone)]
pub struct Environment {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn Ids>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

/// The whole memory. Only the front door holds it.
#[derive(Debug)]
pub struct Store {
    inner: Arc<Inner>,
    writer_thread: Option<std::thread::JoinHandle<()>>,
    quirks_thread: Option<std::thread::JoinHandle<()>>,
    requests_thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
    pub(crate) tokens: Recent<FoundToken>,
    pub(crate) types: KnownTypes,
    pub(crate) sealer: Sealer,
    pub(crate) walks: Walks,
    pub(crate) quirks: QuirkCounter,
    pub(crate) requests: RequestLog,
    pub(crate) contacts: Contacts,
    /// The directory in which people's roles were looked at last.
    pub(crate) walked: Mutex<String>,
    pub(crate) environment: Environment,
}

impl Store {
    /// Opens an embedded database, and creates it where there is none.
    ///
    /// `entropy` is used once in a database's life, for what seals the cursors of its feed.
    pub fn open_sqlite(
        path: &Path,
        environment: Environment,
        limits: Limits,
        entropy: Entropy,
    ) -> Result<Store, Error> {
        let session = sqlite::open_writer(path)?;
        let keeper = Keeper::Beside(path.to_owned());
        Store::start(session, || sqlite::open_reader(path), keeper, environment, limits, entropy)
    }

    /// Opens a database of PostgreSQL 14 or later, by a URL such as
    /// `postgres://user:password@host:5432/database?sslmode=require`, and creates in it what is
    /// missing. The database itself has to be there, encoded in UTF-8.
    ///
    /// The connection is encrypted, and the database's certificate checked, unless it is on this
    /// machine or `sslmode=disable` is said. `sslrootcert` names a file of authorities to believe
    /// instead of those of the operating system.
    ///
    /// `entropy` is used as by [`Store::open_sqlite`].
    pub async fn open_postgres(
        url: &str,
        environment: Environment,
        limits: Limits,
        entropy: Entropy,
    ) -> Result<Store, Error> {
        let connector = Connector::new(url)?;
        let open = move || {
            let mut session = connector.session();
            finish(postgres::check(&mut session))?;
            let keeper = Keeper::Within(connector.session());
            Store::start(session, || Ok(connector.session()), keeper, environment, limits, entropy)
        };
        tokio::task::spawn_blocking(open).await.map_err(|_| Error::Closed)?
    }

    /// Brings the database to this version's shape, and begins to serve.
    fn start(
        mut session: Session,
        reader: impl FnMut() -> Result<Session, Error>,
        keeper: Keeper,
        environment: Environment,
        limits: Limits,
        entropy: Entropy,
    ) -> Result<Store, Error> {
        let now = environment.clock.now();
        let sealer = finish(async {
            if let Shape::OfNewer(migration) = migrations::migrate(&mut session, now).await? {
                tracing::warn!(
                    migration,
                    "the database has the shape of a newer version of Roster, with which this one \
                     can live for a while: finish the upgrade",
                );
            }
            feed::open(&mut session, entropy).await
        })?;
        let readers = Readers::open(reader)?;
        let (writer, writer_thread) =
            Writer::start(session, readers.clone(), environment.clone(), limits)?;
        let (quirks, quirks_thread) = QuirkCounter::start(writer.clone())?;
        let (requests, requests_thread) = RequestLog::start(writer.clone(), keeper)?;
        let (tokens, walks) = (Recent::new(), Walks::default());
        let types = KnownTypes::default();
        let inner = Inner {
            writer,
            readers,
            tokens,
            types,
            sealer,
            walks,
            quirks,
            requests,
            contacts: Contacts::default(),
            walked: Mutex::default(),
            environment,
        };
        Ok(Store {
            inner: Arc::new(inner),
            writer_thread: Some(writer_thread),
            quirks_thread: Some(quirks_thread),
            requests_thread: Some(requests_thread),
        })
    }

    /// What a counter may hold: it opens nothing without a credential.
    pub fn access(&self) -> Access {
        Access::new(Arc::clone(&self.inner))
    }

    /// The management API without a key, for whoever holds the machine.
    pub fn api(&self) -> ApiStore {
        ApiStore::new(Arc::clone(&self.inner))
    }

    /// The feed, for whoever brings events on: it can be read and nothing else.
    pub fn feed(&self) -> FeedStore {
        FeedStore::new(Arc::clone(&self.inner))
    }

    /// What brings events to webhook endpoints.
    pub fn webhooks(&self) -> WebhookStore {
        WebhookStore::new(Arc::clone(&self.inner))
    }

    /// Gives the events that nobody has read yet their positions in the feed, where that is not done
    /// as they are kept: so that whoever reads it after a long time need not do it then.
    pub async fn give_positions(&self) -> Result<(), Error> {
        let give = |session: &mut Session| match session.engine() {
            session::Engine::Sqlite => Ok(()),
            session::Engine::Postgres => finish(feed::sequence(session)),
        };
        self.inner.readers.read(give).await
    }

    /// The same as [`Store::forget`], of events.
    pub async fn forget_events(&self, holder: &str, before: Timestamp) -> Result<u64, Error> {
        self.forget(Class::Events, holder, before).await
    }

    /// How many API keys there are. With none, nobody can get in yet.
    pub async fn api_key_count(&self) -> Result<u64, Error> {
        let count = self.inner.readers.read(|session| {
            finish(session.first(
                "counting API keys",
                "select count(*) from api_keys",
                &[],
                |row| row.number(0),
            ))
        });
        count.await.map(Option::unwrap_or_default)
    }

    /// Keeps an API key that was just made, or one that the operator chose.
    pub async fn create_api_key(&self, name: &str, secret: &Secret) -> Result<TokenId, Error> {
        self.keep_api_key(name, secret, false).await
    }

    /// The same only where there is no key yet, and nobody can get in. Of several nodes that start
    /// together, one makes it. Says which, if it was kept.
    pub async fn create_first_api_key(
        &self,
        name: &str,
        secret: &Secret,
    ) -> Result<Option<TokenId>, Error> {
        let id = self.keep_api_key(name, secret, true).await?;
        let found = self.inner.readers.read(move |session| {
            finish(session.first(
                "looking whether the first API key was kept",
                "select 1 from api_keys where api_key_id = $1",
                &[session::Value::Text(&id.to_string())],
                |_| Ok(()),
            ))
        });
        Ok(found.await?.map(|()| id))
    }

    async fn keep_api_key(
        &self,
        name: &str,
        secret: &Secret,
        is_first: bool,
    ) -> Result<TokenId, Error> {
        let id = TokenId::new(self.inner.environment.ids.as_ref());
        let key = ApiKey {
            id,
            name: name.to_owned(),
            last_four: secret.last_four().to_owned(),
            scopes: ApiScopes::full(),
            organization_id: None,
            created_at: self.inner.environment.clock.now(),
            expires_at: None,
            last_used_at: None,
        };
        let hash = secret.hash();
        let act = Act::Administer(
            Administration::CreateApiKey { key, hash, is_first },
            Cause::by(By::Operator, None).into(),
        );
        self.inner.writer.act(act).await?;
        Ok(id)
    }

    /// Waits until everything that was handed in is kept. Nobody can hand in more: whoever still
    /// holds an [`Access`] is told that the store is closed.
    pub async fn close(mut self) {
        let join = async |thread: Option<std::thread::JoinHandle<()>>| {
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        };
        // What they have has to be brought to the writer.
        self.inner.requests.close();
        join(self.requests_thread.take()).await;
        self.inner.quirks.close();
        join(self.quirks_thread.take()).await;
        self.inner.writer.close().await;
        // The thread ends as soon as its queue is closed and empty.
        join(self.writer_thread.take()).await;
    }
}

/// Microseconds are what is kept; what is answered before and after a restart must be the same.
pub(crate) fn to_the_microsecond(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).expect("it was a time before it was cut")
}
