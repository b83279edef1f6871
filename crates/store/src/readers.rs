//! Connections that read. Each sees one state of the database while it reads, and none waits for
//! the writer.
//!
//! Most reads find what they want by its key, in well under a millisecond. A few look at everybody
//! in a directory, for as long as that takes. These *long* reads have places of their own, fewer
//! than there are connections, so that they never hold up a short one; and each directory has few
//! of them, so that none holds up the lists of others. Whoever finds too many waiting is told so.
//! What nobody waits for any more is not read on. Credentials are looked for in few of the places,
//! for anybody may send them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use directory::DirectoryId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::session::{Engine, Session, finish};

/// Connections. Reads are short and the database is in memory's reach, so more than a few wait for
/// the processor and not for each other.
const READERS: usize = 8;

/// Long reads at once. The other connections are always left to the short ones.
const LONG: usize = 4;

/// Long reads of one directory at once, so that two directories do not keep the others out. A
/// provider walks through one list at a time, perhaps through two.
const LONG_OF_ONE: usize = 2;

/// Long reads of one directory that wait at once. With more, the last would wait for longer than its
/// client does.
const WAITING_OF_ONE: usize = 16;

/// Credentials that are looked for at once. Strangers can make us look for as many as they like, and
/// are to keep nobody waiting but those whose credential is not known yet: good ones are found in
/// a fraction of a millisecond, and remembered.
const CREDENTIALS: usize = 2;

/// For how long reads by keys may share one state of an embedded database, where nothing was kept
/// meanwhile. To look whether there is a new one costs two locks of files and a lock that all
/// connections of the process share, together as much as to find a user. What this process keeps is
/// seen at once whatever this says; what a command beside it keeps, after this long.
const SHARED_FOR: Duration = Duration::from_millis(1);

/// Connections that hold one state of the database for minutes, beside the others.
const HOLDERS: usize = 2;

/// For how long such a connection is waited for.
const HOLDING_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Readers {
    is_embedded: bool,
    free: Arc<Free>,
    places: Arc<Semaphore>,
    credentials: Arc<Semaphore>,
    long: Arc<Long>,
    holders: Arc<Mutex<Vec<Session>>>,
    holding: Arc<Semaphore>,
}

/// A connection on which one state of the database is read, step by step. It is given back when this
/// is dropped, wherever that happens to be: by whoever holds it, or by the step that it is in.
#[derive(Debug)]
pub(crate) struct Held(Option<Holder>);

#[derive(Debug)]
struct Holder {
    /// There until it is given back.
    session: Option<Session>,
    free: Arc<Mutex<Vec<Session>>>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    /// Takes a step, away from the threads that serve requests.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // Where a step was not waited for, or panicked, there is nothing to go on with.
        let mut holder = self.0.take().ok_or(Error::Abandoned)?;
        let step = tokio::task::spawn_blocking(move || {
            let session = holder.session.as_mut().expect("it is held");
            let outcome = read(session);
            (holder, outcome)
        });
        let (holder, outcome) = step.await.map_err(|_| panicked())?;
        self.0 = Some(holder);
        outcome
    }

    /// Ends it, away from the threads that serve requests.
    pub(crate) async fn end(self) {
        // It may have panicked, and is over then too.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        // What cannot be ended is not used again by anybody who would notice: a transaction that is
        // still open is refused when the next is begun, and a lost connection is made anew.
        let _ = finish(session.roll_back());
        self.free.lock().expect("nobody panics while holding it").push(session);
    }
}

/// Connections that nobody reads with, of which there is one for each place.
#[derive(Debug, Default)]
struct Free {
    readers: Mutex<Vec<Reader>>,
    /// One more whenever another state should be read from now on.
    state: AtomicU64,
    /// Whether somebody will come to end what nobody reads on.
    is_watched: AtomicBool,
}

/// A connection, and which state of the database it is in, where it stays in one.
#[derive(Debug)]
struct Reader {
    session: Session,
    stays_in: Option<(u64, Instant)>,
}

impl Free {
    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().expect("nobody panics while holding it")
    }

    fn take(&self) -> Reader {
        self.lock().pop().expect("there is a connection for each place")
    }

    fn state(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    /// Gives one back. Where it stays in a state that is old by now, it leaves it.
    fn give_back(self: &Arc<Free>, mut reader: Reader) -> Result<(), Error> {
        // Whoever stays nowhere is let go of before others wait for it.
        let left = if reader.stays_in.is_none() { reader.leave() } else { Ok(()) };
        let mut readers = self.lock();
        // Behind the lock: whoever makes it old either sees it here, or was seen here.
        let stays = reader.stays_in.is_some_and(|(state, _)| state == self.state());
        let left = if stays || reader.stays_in.is_none() { left } else { reader.leave() };
        readers.push(reader);
        drop(readers);
        if stays && !self.is_watched.swap(true, Ordering::AcqRel) {
            let free = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(SHARED_FOR).await;
                // First, so that who comes from now on is seen to by somebody else.
                free.is_watched.store(false, Ordering::Release);
                free.leave();
            });
        }
        left
    }

    /// Has whoever reads from now on see what is there now.
    fn renew(&self) {
        self.state.fetch_add(1, Ordering::AcqRel);
        self.leave();
    }

    /// Has nobody stay in a state without reading it: that would keep the log from being moved into the
    /// database and begun anew.
    fn leave(&self) {
        for reader in self.lock().iter_mut() {
            if let Err(error) = reader.leave() {
                // It is tried again by the next reader, who is told.
                tracing::warn!(error = &error as &dyn std::error::Error, "a read did not end");
            }
        }
    }
}

impl Reader {
    /// Sees to it that what is read is what is there.
    fn stay(&mut self, state: u64) -> Result<(), Error> {
        let now = Instant::now();
        let is_good = |(of, since): (u64, Instant)| of == state && now - since < SHARED_FOR;
        if !self.stays_in.is_some_and(is_good) {
            self.leave()?;
            self.session.begin_to_stay()?;
            self.stays_in = Some((state, now));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Error> {
        self.stays_in = None;
        finish(self.session.roll_back())
    }
}

/// Who reads long, and who waits to.
#[derive(Debug)]
struct Long {
    places: Arc<Semaphore>,
    /// Directories that have at least one of either.
    of_one: Mutex<HashMap<DirectoryId, OfOne>>,
}

#[derive(Debug)]
struct OfOne {
    places: Arc<Semaphore>,
    /// Those that read and those that wait.
    count: usize,
}

/// A place among those of a directory that read or wait. It is given back whatever happens.
#[derive(Debug)]
struct Turn {
    long: Arc<Long>,
    directory: DirectoryId,
    places: Arc<Semaphore>,
}

impl Long {
    fn turn(self: &Arc<Long>, directory: DirectoryId) -> Result<Turn, Error> {
        let mut of_one = self.of_one.lock().expect("nobody panics while holding it");
        let here = of_one
            .entry(directory)
            .or_insert_with(|| OfOne { places: Arc::new(Semaphore::new(LONG_OF_ONE)), count: 0 });
        if here.count >= LONG_OF_ONE + WAITING_OF_ONE {
            return Err(Error::Crowded);
        }
        here.count += 1;
        Ok(Turn { long: Arc::clone(self), directory, places: Arc::clone(&here.places) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut of_one = self.long.of_one.lock().expect("nobody panics while holding it");
        if let Some(here) = of_one.get_mut(&self.directory) {
            here.count -= 1;
            if here.count == 0 {
                of_one.remove(&self.directory);
            }
        }
    }
}

impl Readers {
    /// As many as are wanted, each opened by this.
    pub(crate) fn open(mut open: impl FnMut() -> Result<Session, Error>) -> Result<Readers, Error> {
        let mut reader = || Ok(Reader { session: open()?, stays_in: None });
        let readers: Vec<_> = (0..READERS).map(|_| reader()).collect::<Result<_, Error>>()?;
        let holders: Vec<_> = (0..HOLDERS).map(|_| open()).collect::<Result<_, _>>()?;
        let long =
            Long { places: Arc::new(Semaphore::new(LONG)), of_one: Mutex::new(HashMap::new()) };
        Ok(Readers {
            is_embedded: readers.iter().all(|it| it.session.engine() == Engine::Sqlite),
            places: Arc::new(Semaphore::new(readers.len())),
            credentials: Arc::new(Semaphore::new(CREDENTIALS)),
            free: Arc::new(Free { readers: Mutex::new(readers), ..Free::default() }),
            long: Arc::new(long),
            holding: Arc::new(Semaphore::new(holders.len())),
            holders: Arc::new(Mutex::new(holders)),
        })
    }

    /// To be called when something was kept, before anybody is told so: whoever reads from then on
    /// sees it. And when a log was moved into its database, so that nobody reads the log any more.
    pub(crate) fn renew(&self) {
        if self.is_embedded {
            self.free.renew();
        }
    }

    /// Takes a connection to hold one state of the database.
    ///
    /// # Errors
    ///
    /// [`Error::Crowded`] where all of them stay taken.
    pub(crate) async fn hold(&self) -> Result<Held, Error> {
        let place = tokio::time::timeout(HOLDING_AFTER, acquire(&self.holding)).await;
        let place = place.map_err(|_| Error::Crowded)??;
        let taken = self.holders.lock().expect("nobody panics while holding it").pop();
        let session = Some(taken.expect("there is a connection for each place"));
        let free = Arc::clone(&self.holders);
        Ok(Held(Some(Holder { session, free, _place: place })))
    }

    /// Whether a read by a key is done here and now.
    pub(crate) fn is_embedded(&self) -> bool {
        self.is_embedded
    }

    /// Reads, away from the threads that serve requests: a long list must not stop a short one.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.read_holding((), read).await
    }

    /// Reads a few records by their keys. In an embedded database that is a function call of some
    /// microseconds, less than to have it done elsewhere and to be told; so it is done here and now,
    /// where a connection is free.
    pub(crate) async fn read_key<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if !self.is_embedded {
            return self.read(read).await;
        }
        let place = acquire(&self.places).await?;
        // Whoever asks cannot go away before this thread goes on.
        let outcome = use_one_of(&self.free, None, Sees::Shared, read);
        drop(place);
        outcome
    }

    /// Looks for a credential, which may be anything that a stranger thinks of.
    pub(crate) async fn read_credential<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let among_credentials = acquire(&self.credentials).await?;
        self.read_holding(among_credentials, read).await
    }

    /// Reads what may take long, because everybody in the directory is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Crowded`] where too many of this directory wait already.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        directory: DirectoryId,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.long.turn(directory)?;
        // First among their own, so that those who wait do not stand in the way of others.
        let among_own = acquire(&turn.places).await?;
        let among_all = acquire(&self.long.places).await?;
        let read_and_forget = |session: &mut Session| {
            let outcome = read(session)?;
            // Of what was read once by walking past it, hardly anything is read again soon.
            finish(session.roll_back())?;
            session.forget_what_was_read()?;
            Ok(outcome)
        };
        self.read_holding((among_all, among_own, turn), read_and_forget).await
    }

    /// Reads, and lets go of `held` when it is over: also where nobody waits for it any more.
    async fn read_holding<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = acquire(&self.places).await?;
        let free = Arc::clone(&self.free);
        // Dropped with this future, when the request is given up.
        let wanted = Arc::new(());
        let is_wanted = Some(Arc::downgrade(&wanted));
        let reading = tokio::task::spawn_blocking(move || {
            let outcome = use_one_of(&free, is_wanted, Sees::Own, read);
            // Whoever gets the place finds everything else free as well.
            drop(held);
            drop(place);
            outcome
        });
        let outcome = reading.await;
        drop(wanted);
        outcome.unwrap_or_else(|_| Err(panicked()))
    }
}

/// Which state of the database is read.
#[derive(Clone, Copy, Debug)]
enum Sees {
    /// One that the reader begins, and that ends with it.
    Own,
    /// One that others may have read already, if nothing was kept since.
    Shared,
}

/// Reads with one of the free connections.
fn use_one_of<T>(
    free: &Arc<Free>,
    is_wanted: Option<Weak<()>>,
    sees: Sees,
    read: impl FnOnce(&mut Session) -> Result<T, Error>,
) -> Result<T, Error> {
    // Looked at before the state is: it may be newer than that, and never older.
    let state = free.state();
    let mut reader = free.take();
    reader.session.read_for(is_wanted);
    let begun = match sees {
        Sees::Own => reader.leave(),
        Sees::Shared => reader.stay(state),
    };
    let outcome = begun.and_then(|()| {
        let read = std::panic::AssertUnwindSafe(|| read(&mut reader.session));
        std::panic::catch_unwind(read).unwrap_or_else(|_| Err(panicked()))
    });
    // Otherwise the next reader begins anew: in a transaction that a panic has left open it would see
    // an old state, and the log could not be cut back. A read may also have ended the state by itself.
    if outcome.is_err() || !reader.session.stays() {
        reader.stays_in = None;
    }
    let ended = free.give_back(reader);
    ended.and(outcome)
}

fn panicked() -> Error {
    Error::Panicked("a read panicked".to_owned())
}

async fn acquire(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(places).acquire_owned().await.map_err(|_| Error::Closed)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use std::path::Path;

    use crate::session::Flow;
    use crate::sqlite;

    #[tokio::test]
    async fn a_read_that_panics_leaves_no_transaction_open() {
        let folder = std::env::temp_dir().join(format!("readers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        drop(sqlite::open_writer(&path).unwrap());
        let readers = Readers::open(|| sqlite::open_reader(&path)).unwrap();
        for _ in 0..READERS {
            let outcome = readers
                .read(|session| -> Result<(), Error> {
                    session.begin_reading()?;
                    panic!("while it was reading")
                })
                .await;
            assert!(matches!(outcome, Err(Error::Panicked(_))), "{outcome:?}");
        }
        for _ in 0..READERS {
            // Cannot begin within another.
            readers.read(Session::begin_reading).await.unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    fn count(session: &mut Session) -> Result<i64, Error> {
        let sql = "select count(*) from counted";
        let count = finish(session.first("counting", sql, &[], |row| row.integer(0)))?;
        Ok(count.expect("it is a count"))
    }

    /// Readers, and a connection that writes beside them.
    fn opened_to_count(name: &str) -> (Readers, Session, Folder) {
        let (readers, folder) = opened(name);
        let mut writer = sqlite::open_writer(&folder.0.join("roster.db")).unwrap();
        finish(writer.script("making a table", "create table counted (text text)")).unwrap();
        (readers, writer, folder)
    }

    /// A state that all connections stay in for as long as they like: nobody's clock ends it.
    async fn stay_in_all(readers: &Readers) {
        readers.read_key(count).await.unwrap();
        for reader in readers.free.lock().iter_mut() {
            reader.leave().unwrap();
            reader.stay(readers.free.state()).unwrap();
            count(&mut reader.session).unwrap();
            let (_, since) = reader.stays_in.as_mut().unwrap();
            *since += Duration::from_hours(1);
        }
    }

    const ADD: &str = "insert into counted values (hex(zeroblob(50000)))";

    #[tokio::test]
    async fn what_was_kept_is_seen_by_whoever_reads_after_it() {
        let (readers, mut writer, _folder) = opened_to_count("kept");
        for kept in 1..10 {
            stay_in_all(&readers).await;
            finish(writer.script("adding", ADD)).unwrap();
            // Nobody was told of it yet.
            assert_eq!(readers.read_key(count).await.unwrap(), kept - 1);
            // Who wants a state of their own gets the newest.
            assert_eq!(readers.read(count).await.unwrap(), kept);
            readers.renew();
            for _ in 0..=READERS {
                assert_eq!(readers.read_key(count).await.unwrap(), kept);
            }
        }
    }

    #[tokio::test]
    async fn what_another_process_keeps_is_seen_soon() {
        let (readers, mut writer, _folder) = opened_to_count("another");
        stay_in_all(&readers).await;
        finish(writer.script("adding", ADD)).unwrap();
        for reader in readers.free.lock().iter_mut() {
            let (_, since) = reader.stays_in.as_mut().unwrap();
            *since = Instant::now().checked_sub(SHARED_FOR).unwrap();
        }
        assert_eq!(readers.read_key(count).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn nobody_stays_who_does_not_read() {
        let (readers, mut writer, _folder) = opened_to_count("idle");
        for _ in 0..3 {
            finish(writer.script("adding", ADD)).unwrap();
            readers.read_key(count).await.unwrap();
            while readers.free.is_watched.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            assert!(readers.free.lock().iter().all(|it| it.stays_in.is_none()));
            // It fails where anybody reads the log.
            writer.tidy_up().unwrap();
        }
    }

    #[tokio::test]
    async fn a_read_that_fails_leaves_its_state() {
        let (readers, _writer, _folder) = opened_to_count("failing");
        let fails = |session: &mut Session| {
            count(session)?;
            Err::<(), _>(Error::Closed)
        };
        readers.read_key(fails).await.unwrap_err();
        assert!(readers.free.lock().iter().all(|it| it.stays_in.is_none()));
    }

    #[tokio::test]
    async fn a_read_that_ends_its_state_by_itself_leaves_nothing_open() {
        let (readers, _writer, _folder) = opened_to_count("ended");
        let ends = |session: &mut Session| {
            count(session)?;
            finish(session.roll_back())
        };
        let begins = |session: &mut Session| {
            session.begin_reading()?;
            count(session)
        };
        readers.read_key(ends).await.unwrap();
        for _ in 0..3 {
            assert_eq!(readers.read_key(begins).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn the_log_begins_anew_under_those_who_always_read() {
        let (readers, mut writer, folder) = opened_to_count("log");
        let mut longest = 0;
        for _ in 0..80 {
            let add = "insert into counted values (hex(zeroblob(500000)))";
            finish(writer.script("adding", add)).unwrap();
            readers.renew();
            stay_in_all(&readers).await;
            if writer.shorten_log().unwrap() {
                // As the writer does. Those who read from now on read the database alone.
                readers.renew();
                stay_in_all(&readers).await;
            }
            let log = std::fs::metadata(folder.0.join("roster.db-wal")).unwrap();
            longest = longest.max(log.len());
        }
        // It is moved when it has 4,000 pages of 4 KiB; what was kept in all is five times that.
        assert!(longest < 20_000_000, "{longest}");
    }

    /// Rows without end.
    fn read_for_ever(session: &mut Session) -> Result<(), Error> {
        let sql = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";
        finish(session.each("counting", sql, &[], |_| Ok(Flow::Continue(()))))
    }

    fn directory(number: u128) -> DirectoryId {
        struct Nth(u128);
        impl directory::Ids for Nth {
            fn next(&self) -> uuid::Uuid {
                uuid::Uuid::from_u128(self.0)
            }
        }
        DirectoryId::new(&Nth(number))
    }

    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn opened(name: &str) -> (Readers, Folder) {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        drop(sqlite::open_writer(&path).unwrap());
        (Readers::open(|| sqlite::open_reader(&path)).unwrap(), Folder(folder))
    }

    /// Goes on until it waits.
    async fn until_it_waits<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_read_on() {
        let (readers, _folder) = opened("abandoned");
        for _ in 0..READERS {
            let mut reading = Box::pin(readers.read(read_for_ever));
            assert!(until_it_waits(&mut reading).await.is_none());
        }
        // Each connection is free again, or this would never end.
        for _ in 0..READERS {
            acquire(&readers.places).await.unwrap().forget();
        }
    }

    #[tokio::test]
    async fn long_reads_leave_room_for_others() {
        let (readers, _folder) = opened("long");
        let mut reading = Vec::new();
        // Twice as many directories as there are places, each with as much as it may ask for.
        for number in 0..u128::try_from(2 * LONG).unwrap() {
            for _ in 0..LONG_OF_ONE + WAITING_OF_ONE {
                let mut long = Box::pin(readers.read_long(directory(number), read_for_ever));
                assert!(until_it_waits(&mut long).await.is_none());
                reading.push(long);
            }
            let refused = readers.read_long(directory(number), read_for_ever).await;
            assert!(matches!(refused, Err(Error::Crowded)), "{refused:?}");
        }
        assert_eq!(readers.places.available_permits(), READERS - LONG);
        readers.read(|_| Ok(())).await.unwrap();

        // When they are given up, their places are free, and nothing is remembered of them.
        drop(reading);
        readers.read_long(directory(0), |_| Ok(())).await.unwrap();
        for _ in 0..READERS {
            acquire(&readers.places).await.unwrap().forget();
        }
        assert!(readers.long.of_one.lock().unwrap().is_empty());
    }

    /// A clock that stands still, and ids that are counted.
    struct Plain(std::sync::atomic::AtomicU64);

    impl crate::Clock for Plain {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
    }

    impl directory::Ids for Plain {
        fn next(&self) -> uuid::Uuid {
            let next = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            uuid::Uuid::from_u128(next.into())
        }
    }

    /// A directory with a group of many, and after it one of nobody.
    async fn with_a_group_of_many(folder: &Path) -> (crate::Store, crate::DirectoryStore) {
        let path = folder.join("many.db");
        let plain = Arc::new(Plain(1.into()));
        let environment = crate::Environment { clock: plain.clone(), ids: plain };
        let limits = directory::Limits::default();
        let store = crate::Store::open_sqlite(&path, environment, limits, [7; 32]).unwrap();
        let api = store.api();
        let organization = api.create_organization("Acme".into(), None).await.unwrap();
        let (provider, settings) = (directory::Provider::Okta, directory::Settings::default());
        let made = api.create_directory(organization.id, "Okta".into(), provider, settings);
        let opened = api.open(made.await.unwrap().id).await.unwrap().unwrap();
        for name in ["All", "Few"] {
            let body = serde_json::json!({ "displayName": name });
            let (group, quirks) = (scim::ResourceType::group(), &mut scim::dialect::Quirks::new());
            let body = scim::admit::admit(body, &group, scim::Preset::Lenient, quirks).unwrap();
            let document = directory::Document::new(body.resource);
            opened.change(directory::CreateGroup { document, members: vec![] }).await.unwrap();
        }
        let many = "update groups set member_count = 2001 where display_name = 'All'";
        rusqlite::Connection::open(&path).unwrap().execute(many, []).unwrap();
        (store, opened)
    }

    #[tokio::test]
    async fn members_of_many_are_read_among_the_long_reads_in_lists_too() {
        use scim::list::ListQuery;

        let (_, folder) = opened("many");
        let path = std::env::temp_dir().join(format!("many-{}", std::process::id()));
        let (store, directory) = with_a_group_of_many(&path).await;
        let quirks = &mut scim::dialect::Quirks::new();
        let preset = scim::Preset::Lenient;
        let mut request = |filter: &str, sort: &str, count: u64, with_related: bool| {
            let group = scim::ResourceType::group();
            let filter = (!filter.is_empty()).then(|| {
                let filter = scim::filter::Filter::parse(filter, preset, quirks).unwrap();
                Arc::new(filter.bind_to_any(&group, preset, quirks).unwrap())
            });
            let sort = (!sort.is_empty()).then(|| {
                let query = ListQuery::parse([("sortBy", sort)].into_iter()).unwrap();
                Arc::new(query.sort.unwrap().bind_to_any(&group, preset, quirks).unwrap())
            });
            let represent = Arc::new(|group: &crate::GroupRecord| {
                serde_json::from_str::<serde_json::Map<_, _>>(&group.text).unwrap()
            });
            let window = crate::Window::at(1, count);
            crate::ListRequest { filter, sort, window, with_related, represent }
        };
        let named = "displayName eq \"All\"";
        let of_many = [
            request(named, "", 9, true),
            request("", "", 1, true),
            request("displayName eq \"All\" or displayName eq \"Few\"", "", 9, true),
            request(named, "displayName", 9, true),
            // For the filter's sake, and for the order's.
            request("displayName eq \"All\" and members.display ne \"x\"", "", 9, false),
            request(named, "members.value", 9, false),
        ];
        let of_few = [
            request(named, "", 0, true),
            request(named, "", 9, false),
            request("", "", 9, false),
            request("displayName eq \"Few\"", "", 9, true),
        ];
        for request in of_many.iter().chain(&of_few) {
            assert!(directory.groups(request.clone()).await.unwrap().total > 0);
        }

        let readers = &store.inner.readers;
        let mut reading = Vec::new();
        for _ in 0..LONG_OF_ONE + WAITING_OF_ONE {
            let mut long = Box::pin(readers.read_long(directory.id(), read_for_ever));
            assert!(until_it_waits(&mut long).await.is_none());
            reading.push(long);
        }
        for (place, request) in of_many.into_iter().enumerate() {
            let refused = directory.groups(request).await;
            assert!(matches!(refused, Err(Error::Crowded)), "{place}: {refused:?}");
        }
        for request in of_few {
            directory.groups(request).await.unwrap();
        }
        drop(reading);
        store.close().await;
        drop(folder);
    }

    #[tokio::test]
    async fn guesses_leave_room_for_others() {
        let (readers, _folder) = opened("guesses");
        let mut guesses = Vec::new();
        for _ in 0..10 * READERS {
            let mut guess = Box::pin(readers.read_credential(read_for_ever));
            assert!(until_it_waits(&mut guess).await.is_none());
            guesses.push(guess);
        }
        assert_eq!(readers.places.available_permits(), READERS - CREDENTIALS);
        readers.read(|_| Ok(())).await.unwrap();

        drop(guesses);
        readers.read_credential(|_| Ok(())).await.unwrap();
        for _ in 0..READERS {
            acquire(&readers.places).await.unwrap().forget();
        }
    }

    #[tokio::test]
    async fn every_credential_is_looked_for_in_these_places() {
        struct Beginning;
        impl crate::Clock for Beginning {
            fn now(&self) -> jiff::Timestamp {
                jiff::Timestamp::UNIX_EPOCH
            }
        }
        impl directory::Ids for Beginning {
            fn next(&self) -> uuid::Uuid {
                uuid::Uuid::nil()
            }
        }
        let (_, folder) = opened("credentials");
        let environment =
            crate::Environment { clock: Arc::new(Beginning), ids: Arc::new(Beginning) };
        let path = folder.0.join("roster.db");
        let limits = directory::Limits::default();
        let store = crate::Store::open_sqlite(&path, environment, limits, [7; 32]).unwrap();
        let access = store.access();
        let readers = &store.inner.readers;
        let all = u32::try_from(CREDENTIALS).unwrap();
        let taken = readers.credentials.acquire_many(all).await.unwrap();

        let hash = directory::secret::SecretHash::of("nobody's");
        let mut token = Box::pin(access.directory(&hash));
        assert!(until_it_waits(&mut token).await.is_none());
        let mut key = Box::pin(access.api(&hash));
        assert!(until_it_waits(&mut key).await.is_none());
        assert_eq!(readers.places.available_permits(), READERS);
        drop(taken);
        assert!(matches!(token.await, Ok(crate::Credential::Unknown)));
        assert!(matches!(key.await, Ok(None)));
        store.close().await;
    }

    #[tokio::test]
    async fn a_directory_that_reads_much_lets_another_in() {
        let (readers, _folder) = opened("fair");
        let mut reading = Vec::new();
        for _ in 0..LONG_OF_ONE + WAITING_OF_ONE {
            let mut long = Box::pin(readers.read_long(directory(1), read_for_ever));
            assert!(until_it_waits(&mut long).await.is_none());
            reading.push(long);
        }
        readers.read_long(directory(2), |_| Ok(())).await.unwrap();
    }
}
