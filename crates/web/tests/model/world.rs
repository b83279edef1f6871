//! The server itself, without a network: its whole application on a real database.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use claims::OwnDatabase;
use directory::secret::{Entropy, Secret, SecretKind};
use directory::{Ids, Provider};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::{Clock, Environment, Store};
use tempfile::TempDir;
use uuid::Uuid;
use web::{Limits, Settings};

const PUBLIC_URL: &str = "https://roster.example";

/// A server with some directories.
pub(crate) struct World {
    application: web::Application,
    store: Store,
    clock: Arc<HandClock>,
    key: String,
    /// When each directory's token was last looked for.
    looked_at: Vec<Timestamp>,
    pub(crate) directories: Vec<Connection>,
    /// What is gone when this is.
    _place: (TempDir, Option<OwnDatabase>),
}

/// How a provider reaches its directory.
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) organization: String,
    /// The path of the directory's own base URL.
    path: String,
    pub(crate) base: String,
    token: String,
}

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    /// Below the base URL.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

/// What it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: axum::http::HeaderMap,
    /// Null where there is none.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().expect("our headers are ASCII"))
    }
}

impl World {
    pub(crate) async fn new(directories: usize) -> World {
        // In memory, where there is such a folder: what is flushed is not what is looked at here.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let folder = folder.expect("a folder");
        let clock = Arc::new(HandClock(AtomicI64::new(1_767_603_600_000_000)));
        let ids: Arc<dyn Ids> = Arc::new(CountedIds::default());
        let environment = Environment { clock: clock.clone(), ids: Arc::clone(&ids) };
        let path = folder.path().join("roster.db");
        let limits = directory::Limits::default();
        let own = OwnDatabase::make();
        let store = match &own {
            Some(own) => Store::open_postgres(&own.url(), environment, limits, [7; 32]).await,
            None => Store::open_sqlite(&path, environment, limits, [7; 32]),
        };
        let store = store.expect("the database opens");
        let key = Secret::new(SecretKind::ApiKey, [0xa1; 32]);
        store.create_first_api_key("tests", &key).await.expect("a key");
        let limits = Limits { rate: None, ..Limits::default() };
        let settings = Settings::new(PUBLIC_URL, "/scim/v2", limits).expect("good settings");
        let mut connections = Vec::new();
        for number in 0..directories {
            let api = store.api();
            let organization = api.create_organization(format!("Org {number}"), None).await;
            let organization = organization.expect("an organization").id;
            // Its plain map tells of everything at once.
            let brake = directory::hold::Brake { on: false, ..Default::default() };
            let defaults = directory::Settings { brake, ..Default::default() };
            let made = api.create_directory(organization, "Okta".into(), Provider::Okta, defaults);
            let id = made.await.expect("a directory").id;
            let secret = Secret::new(SecretKind::ScimToken, [u8::try_from(number).unwrap(); 32]);
            let lifetime = SignedDuration::from_hours(24 * 365);
            api.create_token(id, &secret, lifetime).await.expect("a token");
            connections.push(Connection {
                id: id.to_string(),
                organization: organization.to_string(),
                path: format!("{}/{id}", settings.scim_path()),
                base: settings.directory_base_url(id),
                token: secret.reveal().to_owned(),
            });
        }
        let application = web::application(store.access(), settings, ids, chance);
        let key = key.reveal().to_owned();
        let looked_at = vec![Timestamp::MIN; directories];
        let directories = connections;
        World { application, store, clock, key, looked_at, directories, _place: (folder, own) }
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, microseconds: i64) {
        self.clock.0.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Sends a request to a directory.
    pub(crate) async fn send(&mut self, directory: usize, sent: &Sent) -> Answer {
        let Connection { path, token, .. } = &self.directories[directory];
        let answer = self.call(&format!("{path}{}", sent.path), token, sent).await;
        let now = self.now();
        if now.duration_since(self.looked_at[directory]) >= SignedDuration::from_secs(1) {
            self.looked_at[directory] = now;
            self.settle().await;
        }
        answer
    }

    /// Waits until nothing is being kept. That a token was used is noted when there is time, and a
    /// change that comes meanwhile has the time at which that was begun: so the clock must not be
    /// moved in between.
    async fn settle(&self) {
        let kept = self.store.api().create_organization("settled".into(), None).await;
        kept.expect("an organization");
    }

    /// Calls the management API.
    pub(crate) async fn api(&self, path: &str) -> Answer {
        let sent =
            Sent { method: Method::GET, path: String::new(), headers: Vec::new(), body: None };
        self.call(path, &self.key, &sent).await
    }

    async fn call(&self, path: &str, token: &str, sent: &Sent) -> Answer {
        let mut request = Request::builder()
            .method(sent.method.clone())
            .uri(path)
            .header("authorization", format!("Bearer {token}"));
        for (name, value) in &sent.headers {
            request = request.header(*name, value);
        }
        let body = match &sent.body {
            Some(body) => {
                request = request.header("content-type", "application/scim+json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body).expect("a request");
        let response = self.application.clone().answer(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the body comes whole").to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("every body is JSON")
        };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

/// A clock that stands still unless it is moved: microseconds.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed)).expect("a time")
    }
}

/// Ids that count: each sorts after the one before.
#[derive(Default)]
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn next(&self) -> Uuid {
        let number = 1 + self.0.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128(0x019b_8d4a_0000_7000_8000_0000_0000_0000 + u128::from(number))
    }
}

fn chance() -> Entropy {
    thread_local!(static NUMBER: Cell<u8> = const { Cell::new(0) });
    NUMBER.with(|number| {
        number.set(number.get().wrapping_add(1));
        [number.get(); 32]
    })
}
