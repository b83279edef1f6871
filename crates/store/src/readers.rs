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
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let outcome = read(&mut session);
                // Whatever happened, the next reader begins anew.
                at_once(session.roll_back())?;
                outcome
            }));
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
