//! The databases on which every claim must hold, with a clock and ids that a test controls.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};

use claims::OwnDatabase;
use directory::{
    Decide, Decision, DirectoryId, Facts, Ids, Limits, Moment, Provider, Settings, Stop,
};
use jiff::Timestamp;
use store::{Clock, DirectoryStore, Environment, Store};
use tokio::runtime::Handle;
use uuid::Uuid;

/// Checks a claim on an empty database: an embedded one, or one on the PostgreSQL server that these
/// tests were told of. `cargo xtask test` runs them on both.
pub(crate) fn on_every_engine(check: impl AsyncFn(Database)) {
    on(Database::new(OwnDatabase::make()), check);
}

/// Checks a claim on this database.
pub(crate) fn on(database: Database, check: impl AsyncFnOnce(Database)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(check(database));
}

/// A database that is gone when this is.
pub(crate) struct Database {
    /// Where it is, when it is not in the folder.
    pub(crate) own: Option<OwnDatabase>,
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
    pub(crate) fn new(own: Option<OwnDatabase>) -> Database {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("store-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::SeqCst));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Database {
            own,
            folder,
            clock: Arc::new(ManualClock(AtomicI64::new(1_800_000_000_000_000))),
            ids: Arc::new(Counting { next: AtomicU64::new(1), broken: AtomicBool::new(false) }),
        }
    }

    pub(crate) fn open(&self, limits: Limits) -> Result<Store, store::Error> {
        match &self.own {
            None => Store::open_sqlite(&self.path(), self.environment(), limits, [7; 32]),
            Some(own) => {
                let url = own.url();
                let opening = Store::open_postgres(&url, self.environment(), limits, [7; 32]);
                tokio::task::block_in_place(|| Handle::current().block_on(opening))
            }
        }
    }

    pub(crate) fn environment(&self) -> Environment {
        Environment {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::clone(&self.ids) as Arc<dyn Ids>,
        }
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
