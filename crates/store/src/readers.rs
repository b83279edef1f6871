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
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

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

/// Connections that hold one state of the database for minutes, beside the others.
const HOLDERS: usize = 2;

/// For how long such a connection is waited for.
const HOLDING_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Readers {
    is_embedded: bool,
    free: Arc<Mutex<Vec<Session>>>,
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
        let sessions: Vec<_> = (0..READERS).map(|_| open()).collect::<Result<_, _>>()?;
        let holders: Vec<_> = (0..HOLDERS).map(|_| open()).collect::<Result<_, _>>()?;
        let long =
            Long { places: Arc::new(Semaphore::new(LONG)), of_one: Mutex::new(HashMap::new()) };
        Ok(Readers {
            is_embedded: sessions.iter().all(|it| it.engine() == Engine::Sqlite),
            places: Arc::new(Semaphore::new(sessions.len())),
            credentials: Arc::new(Semaphore::new(CREDENTIALS)),
            free: Arc::new(Mutex::new(sessions)),
            long: Arc::new(long),
            holding: Arc::new(Semaphore::new(holders.len())),
            holders: Arc::new(Mutex::new(holders)),
        })
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
        let outcome = use_one_of(&self.free, None, read);
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
        self.read_holding((among_all, among_own, turn), read).await
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
            let outcome = use_one_of(&free, is_wanted, read);
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

/// Reads with one of the free connections, of which there is one for each place.
fn use_one_of<T>(
    free: &Mutex<Vec<Session>>,
    is_wanted: Option<Weak<()>>,
    read: impl FnOnce(&mut Session) -> Result<T, Error>,
) -> Result<T, Error> {
    let taken = free.lock().expect("nobody panics while holding it").pop();
    let mut session = taken.expect("there is a connection for each place");
    session.read_for(is_wanted);
    let read = std::panic::AssertUnwindSafe(|| read(&mut session));
    let outcome = std::panic::catch_unwind(read);
    // Whatever happened, the next reader begins anew: in a transaction that a panic has left open it
    // would see an old state, and the log could not be cut back.
    let ended = finish(session.roll_back());
    free.lock().expect("nobody panics while holding it").push(session);
    let outcome = outcome.unwrap_or_else(|_| Err(panicked()));
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
