//! The databases on which every claim must hold, with a clock and ids that a test controls.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};

use directory::{
    Decide, Decision, DirectoryId, Facts, Ids, Limits, Moment, Provider, Settings, Stop,
};
use jiff::Timestamp;
use store::{Clock, DirectoryStore, Environment, Store};
use tokio::runtime::Handle;
use uuid::Uuid;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A PostgreSQL server for tests, in which databases may be made: `postgres://…/postgres`.
const SERVER: &str = "ROSTER_TEST_POSTGRES";

fn engines() -> Vec<Engine> {
    let has_server = std::env::var_os(SERVER).is_some();
    std::iter::once(Engine::Sqlite).chain(has_server.then_some(Engine::Postgres)).collect()
}

/// Checks a claim on an empty database of every kind.
pub(crate) fn on_every_engine(check: impl AsyncFn(Database)) {
    on(&engines(), check);
}

/// Checks a claim about the file of an embedded database.
#[expect(clippy::allow_attributes, reason = "some suites do look into files")]
#[allow(dead_code, reason = "not every suite looks into files")]
pub(crate) fn on_an_embedded_engine(check: impl AsyncFn(Database)) {
    on(&[Engine::Sqlite], check);
}

fn on(engines: &[Engine], check: impl AsyncFn(Database)) {
    for &engine in engines {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(check(Database::new(engine)));
    }
}

/// A database that is gone when this is.
pub(crate) struct Database {
    engine: Engine,
    folder: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ids: Arc<Counting>,
}

/// A clock that stands still until it is set.
pub(crate) struct ManualClock(AtomicI64);

/// Ids one after the other.
pub(crate) struct Counting {
    next: AtomicU64,
    /// Panics when the next one is wanted, once.
    pub(crate) broken: AtomicBool,
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

impl ManualClock {
    /// Moves it on, or back.
    pub(crate) fn move_by(&self, seconds: i64) {
        self.move_by_microseconds(seconds * 1_000_000);
    }

    /// The same, by less.
    pub(crate) fn move_by_microseconds(&self, microseconds: i64) {
        self.0.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Ids for Counting {
    fn next(&self) -> Uuid {
        assert!(!self.broken.swap(false, Ordering::SeqCst), "there is no id this time");
        Uuid::from_u128(self.next.fetch_add(1, Ordering::SeqCst).into())
    }
}

impl Database {
    fn new(engine: Engine) -> Database {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("store-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::SeqCst));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let database = Database {
            engine,
            folder,
            clock: Arc::new(ManualClock(AtomicI64::new(1_800_000_000_000_000))),
            ids: Arc::new(Counting { next: AtomicU64::new(1), broken: AtomicBool::new(false) }),
        };
        if engine == Engine::Postgres {
            database.url();
        }
        database
    }

    pub(crate) fn open(&self, limits: Limits) -> Result<Store, store::Error> {
        let environment = Environment {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::clone(&self.ids) as Arc<dyn Ids>,
        };
        match self.engine {
            Engine::Sqlite => Store::open_sqlite(&self.path(), environment, limits, [7; 32]),
            Engine::Postgres => {
                let url = self.url();
                let opening = Store::open_postgres(&url, environment, limits, [7; 32]);
                tokio::task::block_in_place(|| Handle::current().block_on(opening))
            }
        }
    }

    /// A database of its own on the server, made where there is none.
    fn url(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "tests are told of the server so")]
        let server = std::env::var(SERVER).unwrap();
        let name = self.folder.file_name().unwrap().to_str().unwrap().replace('-', "_");
        let made = self.folder.join("made");
        if !made.exists() {
            let status = std::process::Command::new("psql")
                .args([&server, "-qc", &format!("create database {name} template template0")])
                .status();
            assert!(status.unwrap().success());
            std::fs::write(made, "").unwrap();
        }
        server.replacen("/postgres?", &format!("/{name}?"), 1)
    }

    /// The file of an embedded database.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("roster.db")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What is left over is in the folder of build products, and in nobody's way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new directory of a new organization.
pub(crate) async fn directory(store: &Store, settings: Settings) -> DirectoryStore {
    let organization = store.api().create_organization("Acme".into(), None).await.unwrap();
    let directory = store
        .api()
        .create_directory(organization.id, "Okta".into(), Provider::Okta, settings)
        .await
        .unwrap();
    open(store, directory.id).await
}

pub(crate) async fn open(store: &Store, id: DirectoryId) -> DirectoryStore {
    store.api().open(id).await.unwrap().unwrap()
}

/// A change that somebody waits for.
pub(crate) type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Holds the writer until it may go on, so that what is handed in meanwhile becomes one batch.
struct Gate(Mutex<mpsc::Receiver<()>>);

impl Decide for Gate {
    type Answer = ();

    fn decide(&self, _: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        // When the batch is run again the gate is open for good.
        let _ = self.0.lock().unwrap().recv();
        Ok(Decision::nothing(()))
    }
}

/// Has all of these kept in one transaction, in this order, and waits for all answers.
pub(crate) async fn in_one_batch<T>(
    directory: &DirectoryStore,
    mut waiting: Vec<Waiting<'_, T>>,
) -> Vec<T> {
    assert!(waiting.len() < 256, "a batch takes no more");
    let all = async {
        let (open, opened) = mpsc::channel();
        let mut gate = pin!(directory.change(Gate(Mutex::new(opened))));
        // The first poll hands the work in.
        let mut context = Context::from_waker(Waker::noop());
        assert!(gate.as_mut().poll(&mut context).is_pending());
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        drop(open);
        gate.await.unwrap();
        let mut answers = Vec::new();
        for one in waiting {
            answers.push(one.await);
        }
        answers
    };
    // Without the runtime's own limit of polls, which would hand some of them in later.
    tokio::task::unconstrained(all).await
}
