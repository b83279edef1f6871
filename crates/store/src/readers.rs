//! Connections that read. Each sees one state of the database while it reads, and none waits for
//! the writer.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::error::Error;
use crate::session::{Session, at_once};
use crate::sqlite;

/// Connections. Reads are short and the database is in memory's reach, so more than a few wait for
/// the processor and not for each other.
const READERS: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Readers {
    free: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn open(path: &Path) -> Result<Readers, Error> {
        let sessions: Vec<_> =
            (0..READERS).map(|_| sqlite::open_reader(path)).collect::<Result<_, _>>()?;
        Ok(Readers {
            places: Arc::new(Semaphore::new(sessions.len())),
            free: Arc::new(Mutex::new(sessions)),
        })
    }

    /// Reads, away from the threads that serve requests: a long list must not stop a short one.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Error::Closed)?;
        let free = Arc::clone(&self.free);
        let reading = tokio::task::spawn_blocking(move || {
            let taken = free.lock().expect("nobody panics while holding it").pop();
            let mut session = taken.expect("there is a connection for each place");
            let read = std::panic::AssertUnwindSafe(|| read(&mut session));
            let outcome = std::panic::catch_unwind(read);
            // Whatever happened, the next reader begins anew: in a transaction that a panic has
            // left open it would see an old state, and the log could not be cut back.
            let outcome = match at_once(session.roll_back()) {
                Ok(()) => outcome,
                Err(error) => outcome.map(|_| Err(error)),
            };
            free.lock().expect("nobody panics while holding it").push(session);
            drop(place);
            outcome
        });
        match reading.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Error::Panicked("a read panicked".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_that_panics_leaves_no_transaction_open() {
        let folder = std::env::temp_dir().join(format!("readers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        drop(sqlite::open_writer(&path).unwrap());
        let readers = Readers::open(&path).unwrap();
        for _ in 0..READERS {
            let outcome = readers
                .read(|session| -> Result<(), Error> {
                    at_once(session.begin_reading())?;
                    panic!("while it was reading")
                })
                .await;
            assert!(matches!(outcome, Err(Error::Panicked(_))), "{outcome:?}");
        }
        for _ in 0..READERS {
            // Cannot begin within another.
            readers.read(|session| at_once(session.begin_reading())).await.unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
