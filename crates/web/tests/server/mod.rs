//! A real server on a real database, and a client that sends exactly the bytes it is given.
//!
//! Clock, ids and secrets are the same in every run, so whole answers can be compared.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use claims::OwnDatabase;
use directory::Ids;
use directory::secret::{Entropy, Secret, SecretKind};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Clock, Environment, Store};
use tokio::sync::{mpsc as queue, oneshot};
use uuid::Uuid;
use web::{Limits, Settings};

/// Below which address the server believes that it is reached.
pub(crate) const PUBLIC_URL: &str = "https://roster.example";

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) folder: PathBuf,
    /// Where the database is, when it is not in the folder.
    pub(crate) own: Option<OwnDatabase>,
    settings: Settings,
    clock: Arc<HandClock>,
    ids: Arc<CountedIds>,
    request_ids: Arc<CountedIds>,
    running: Option<Running>,
    /// The vendor's API key.
    pub(crate) key: String,
    /// How often it was started.
    lives: u8,
}

/// The threads of a server that runs, and what they listen to.
struct Running {
    stop: oneshot::Sender<()>,
    behind: queue::UnboundedSender<(Behind, mpsc::Sender<()>)>,
    thread: JoinHandle<()>,
}

/// What is done with the store behind the requests.
enum Behind {
    /// Everybody's roles are looked at, where that is to be done.
    WalkRoles,
    Close,
}

/// What a provider is given to enter.
pub(crate) struct Connection {
    /// The id of the directory.
    pub(crate) directory: String,
    /// The path of the directory's own base URL.
    pub(crate) base: String,
    /// Its token.
    pub(crate) token: String,
}

/// An answer, as it came over the wire.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// With the number and the reason.
    pub(crate) status_line: String,
    /// Names in lower case, in the order of their names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// Starts with an empty database, in a folder of this name.
    pub(crate) fn start(name: &str, limits: Limits) -> Server {
        Server::start_at(name, "/scim/v2", limits)
    }

    /// The same, with SCIM below this path.
    pub(crate) fn start_at(name: &str, scim_path: &str, limits: Limits) -> Server {
        let settings = Settings::new(PUBLIC_URL, scim_path, limits).expect("good settings");
        Server::start_told(name, settings)
    }

    /// The same, with these settings.
    pub(crate) fn start_told(name: &str, settings: Settings) -> Server {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let mut server = Server {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder,
            own: OwnDatabase::make(),
            settings,
            clock: Arc::default(),
            ids: Arc::default(),
            request_ids: Arc::default(),
            running: None,
            key: Secret::new(SecretKind::ApiKey, [0xa1; 32]).reveal().to_owned(),
            lives: 0,
        };
        server.run();
        server
    }

    /// Stops, closes the database, opens it again and serves it.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Makes the next thing that is created fail, as a mistake of ours would.
    pub(crate) fn break_down(&self) {
        self.ids.is_broken.store(true, Ordering::Relaxed);
    }

    /// Closes the store, and goes on listening: what a request meets that comes when all but its
    /// connection is over.
    pub(crate) fn close_store(&self) {
        self.have_done(Behind::Close);
    }

    /// Has everybody's roles looked at, which a server does by itself within seconds.
    pub(crate) fn walk_roles(&self) {
        self.have_done(Behind::WalkRoles);
    }

    fn have_done(&self, what: Behind) {
        let running = self.running.as_ref().expect("the server runs");
        let (done, is_done) = mpsc::channel();
        running.behind.send((what, done)).expect("the store is open");
        is_done.recv().expect("it is done");
    }

    /// Makes a directory and a token for it, as a vendor would.
    pub(crate) fn connect(&self, organization: &str, directory: &str) -> Connection {
        let post = |path: &str, body: &Value| {
            let reply = self.api("POST", path, body.to_string().as_bytes());
            assert_eq!(reply.status, 201, "{reply:?}");
            reply.json()
        };
        let made = post("/api/v1/organizations", &json!({ "name": organization }));
        let path = format!("/api/v1/organizations/{}/directories", text(&made, "id"));
        let made = post(&path, &json!({ "name": directory, "provider": "okta" }));
        let directory = text(&made, "id");
        let made = post(&format!("/api/v1/directories/{directory}/tokens"), &json!({}));
        Connection {
            base: format!("{}/{directory}", self.settings.scim_path()),
            token: text(&made, "token"),
            directory,
        }
    }

    /// Calls the management API with the vendor's key.
    pub(crate) fn api(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        let authorization = format!("Bearer {}", self.key);
        self.call(method, path, &[("Authorization", &authorization)], body)
    }

    /// Sends a request with these headers, and those that HTTP cannot do without.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes it");
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("a string takes it");
        }
        head.push_str("Connection: close\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Sends these bytes, and reads until the server has said everything.
    pub(crate) fn send(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        // A server that answers nothing shall fail a test and not stop it.
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        stream.write_all(bytes).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        Reply::read(&answer)
    }

    /// Everything that the vendor can see: organizations, directories, users, groups with their
    /// members, and events. What changes nothing leaves this as it was.
    pub(crate) fn state(&self) -> Vec<Value> {
        let list = |path: &str| {
            let reply = self.api("GET", &format!("{path}?limit=1000"), b"");
            assert_eq!(reply.status, 200, "{reply:?}");
            reply.json()
        };
        let directories = list("/api/v1/directories");
        let mut state = vec![list("/api/v1/organizations"), list("/api/v1/events")];
        for directory in directories["data"].as_array().expect("a list") {
            let path = format!("/api/v1/directories/{}", text(directory, "id"));
            let groups = list(&format!("{path}/groups"));
            for group in groups["data"].as_array().expect("a list") {
                let path = format!("{path}/groups/{}", text(group, "id"));
                state.push(self.api("GET", &path, b"").json());
            }
            state.extend([list(&format!("{path}/users")), groups]);
        }
        // When a provider was heard of is no part of what it said.
        let mut directories = directories;
        for directory in directories["data"].as_array_mut().expect("a list") {
            let directory = directory.as_object_mut().expect("a directory");
            for name in
                ["state", "last_contact_at", "silent_from", "last_change_at", "last_refusal"]
            {
                directory.remove(name).expect("it is said of every directory");
            }
        }
        state.push(directories);
        state
    }

    pub(crate) fn run(&mut self) {
        let path = self.folder.join("roster.db");
        let url = self.own.as_ref().map(OwnDatabase::url);
        let environment = Environment { clock: self.clock.clone(), ids: self.ids.clone() };
        let settings = self.settings.clone();
        let (key, request_ids) = (self.key.clone(), self.request_ids.clone());
        let (ready, is_ready) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (behind, mut asked) = queue::unbounded_channel::<(Behind, mpsc::Sender<()>)>();
        let serve = async move {
            let limits = directory::Limits::default();
            let store = match url {
                Some(url) => Store::open_postgres(&url, environment, limits, [0xfe; 32]).await,
                None => Store::open_sqlite(&path, environment, limits, [0xfe; 32]),
            };
            let store = store.expect("the database opens");
            if store.api_key_count().await.expect("a count") == 0 {
                let secret = Secret::new(SecretKind::ApiKey, [0xa1; 32]);
                assert_eq!(secret.reveal(), key);
                store.create_first_api_key("tests", &secret).await.expect("a key");
            }
            let application = web::application(store.access(), settings, request_ids, chance);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            ready.send(listener.local_addr().expect("an address")).expect("somebody waits");
            let stopped = async { _ = stopped.await };
            let serving = web::serve(listener, application, stopped);
            // Until it is closed, or the server is gone.
            let closing = async {
                while let Some((what, done)) = asked.recv().await {
                    match what {
                        Behind::WalkRoles => {
                            while store.walk_roles("tests").await.expect("a step") > 0 {}
                            done.send(()).expect("somebody waits");
                        }
                        Behind::Close => {
                            store.close().await;
                            asked.close();
                            done.send(()).expect("somebody waits");
                            return None;
                        }
                    }
                }
                Some(store)
            };
            let (served, store) = tokio::join!(serving, closing);
            served.expect("it serves");
            if let Some(store) = store {
                store.close().await;
            }
        };
        let life = self.lives;
        self.lives += 1;
        let thread = std::thread::spawn(move || {
            LIFE.set(life);
            // One thread for everything that answers: see `chance`.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve);
        });
        self.address = is_ready.recv().expect("the server starts");
        self.running = Some(Running { stop, behind, thread });
    }

    /// What was refused of what providers sent, explained: each has words of its own, and no entry has a
    /// credential in it. What a test provokes is held against this when its server goes.
    pub(crate) fn refusals(&self) -> Vec<String> {
        const GENERIC: &str = directory::requests::GENERIC;

        if self.running.as_ref().is_none_or(|it| it.behind.is_closed()) {
            return Vec::new();
        }
        let mut refusals = Vec::new();
        for class in ["4xx", "5xx"] {
            let reply =
                self.api("GET", &format!("/api/v1/requests?status={class}&limit=1000"), b"");
            // Tests of disks that fail end like this.
            if reply.status != 200 {
                return Vec::new();
            }
            let list = reply.json();
            let entries = list["data"].as_array().expect("a list").iter();
            for entry in entries.filter(|it| it["type"] == "request") {
                let explanation = &entry["explanation"];
                for words in ["tried", "outcome", "why", "what_to_do"] {
                    let words = explanation[words].as_str();
                    assert!(words.is_some_and(|it| it.len() > 10 && it != GENERIC), "{entry}");
                }
                let printed = entry.to_string();
                assert!(!printed.contains(&self.key), "{entry}");
                refusals.push(format!(
                    "{} {} {}",
                    entry["status"],
                    explanation["tried"].as_str().unwrap_or_default(),
                    explanation["why"].as_str().unwrap_or_default()
                ));
            }
        }
        refusals
    }

    pub(crate) fn stop(&mut self) {
        let Some(Running { stop, behind, thread }) = self.running.take() else { return };
        let _ = stop.send(());
        drop(behind);
        let ended = thread.join();
        assert!(std::thread::panicking() || ended.is_ok(), "the server panicked");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.refusals();
        }
        self.stop();
    }
}

/// As it can be read where a test fails.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {:?} {body}", self.status_line, self.headers)
    }
}

impl Reply {
    fn read(bytes: &[u8]) -> Reply {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| {
            panic!("no whole answer: {:?}", String::from_utf8_lossy(bytes));
        });
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is ASCII");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default().to_owned();
        let status = status_line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let mut headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap_or((line, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        headers.sort();
        Reply {
            status: status.expect("a status"),
            status_line,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text, without the id that an error has of its own request.
    #[expect(clippy::allow_attributes, reason = "of the tests that have this module some use it")]
    #[allow(dead_code, reason = "not all compare answers")]
    pub(crate) fn unnamed(&self) -> String {
        let body = String::from_utf8(self.body.clone()).expect("text");
        let id = self.header("x-request-id").unwrap_or_default();
        body.replace(&format!(" (request {id})"), "")
    }

    /// The body. Every body of ours is JSON, and says so.
    pub(crate) fn json(&self) -> Value {
        let media_type = self.header("content-type").unwrap_or_default();
        assert!(
            ["application/scim+json", "application/json", "application/problem+json"]
                .contains(&media_type),
            "{self:?}"
        );
        let body = serde_json::from_slice(&self.body);
        body.unwrap_or_else(|error| panic!("the body is not JSON: {error}: {self:?}"))
    }
}

/// A member of an object that is known to be text.
pub(crate) fn text(object: &Value, member: &str) -> String {
    object[member].as_str().unwrap_or_else(|| panic!("`{member}` in {object}")).to_owned()
}

/// A clock that stands still unless it is moved: seconds since its beginning.
#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        const BEGINNING: i64 = 1_767_603_600; // 2026-01-05T09:00:00Z
        Timestamp::from_second(BEGINNING + self.0.load(Ordering::Relaxed)).expect("a time")
    }
}

/// Ids that count: each sorts after the one before.
#[derive(Default)]
struct CountedIds {
    last: AtomicU64,
    /// Panics when the next one is wanted, once.
    is_broken: AtomicBool,
}

impl Ids for CountedIds {
    fn next(&self) -> Uuid {
        assert!(!self.is_broken.swap(false, Ordering::Relaxed), "there is no id this time");
        let number = 1 + self.last.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128(0x019b_8d4a_0000_7000_8000_0000_0000_0000 + u128::from(number))
    }
}

thread_local! {
    /// How many secrets were made on this thread.
    static SECRETS: Cell<u8> = const { Cell::new(0) };
    /// How often the server of this thread was started before.
    static LIFE: Cell<u8> = const { Cell::new(0) };
}

/// Secrets that count. A server has one thread, so that servers do not disturb each other, and each of its
/// lives has secrets of its own.
fn chance() -> Entropy {
    SECRETS.set(SECRETS.get() + 1);
    let mut entropy = [SECRETS.get(); 32];
    entropy[0] ^= LIFE.get();
    entropy
}
