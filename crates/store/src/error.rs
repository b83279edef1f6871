//! What can go wrong with the memory.

use directory::Rejection;

use crate::place::BadPageCursor;

/// Why a read or a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The domain says no. Nothing was changed.
    #[error("the change was rejected")]
    Rejected(#[source] Rejection),
    /// The cursor of a page leads nowhere. Nothing was read.
    #[error("the cursor of a page leads nowhere: {0:?}")]
    Cursor(BadPageCursor),
    /// The database could not do it. Nothing was changed, unless it was the commit itself that
    /// failed: then nobody was told that anything was.
    #[error("the database failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// Something that was kept cannot be read back.
    #[error("a kept record is damaged: {0}")]
    Corrupt(String),
    /// The database is not one that this version can work with.
    #[error("{0}")]
    Migration(String),
    /// A file or folder could not be used.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What was written last could not be made safe, so nothing is shown of it.
    #[error("cannot write the database's log `{path}` once more")]
    Log {
        /// Its log.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Deciding or keeping it panicked. It changed nothing, and the others of its batch went on.
    #[error("a change failed unexpectedly: {0}")]
    Panicked(String),
    /// Too many long lists of the same directory are being read, or wait for their turn, already.
    #[error("too many long lists of one directory are read at once")]
    Crowded,
    /// Who asked has gone away, so nothing more was read. Nobody is there to see it.
    #[error("nobody waits for the answer any more")]
    Abandoned,
    /// The disk failed to keep what was written, and nothing more is written until the store is
    /// opened anew.
    #[error("the disk failed, and nothing is written any more")]
    Stopped,
    /// The server is stopping, and the write was not begun.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// Whether somebody else, a command beside the server, held the database for longer than we
    /// wait. Nothing was changed, and the same can be tried again soon.
    pub fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        match self {
            Error::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
            }
            _ => false,
        }
    }

    /// Whether there is no room on the disk. Nothing was changed; what is there can be read, and
    /// when there is room again, the same can be tried again.
    pub fn is_full(&self) -> bool {
        self.sqlite_code().is_some_and(|code| {
            let code = code.extended_code;
            // The second: no room for the memory that connections share, which is a file.
            code == rusqlite::ffi::SQLITE_FULL || code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
        })
    }

    /// Whether the disk could not be told to keep what was written.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.sqlite_code().is_some_and(|code| is_unsynced(*code))
    }

    fn sqlite_code(&self) -> Option<&rusqlite::ffi::Error> {
        match self {
            Error::Database { source, .. } => source.sqlite_error(),
            _ => None,
        }
    }
}

/// Whether a file, or which files there are, could not be synced.
pub(crate) fn is_unsynced(code: rusqlite::ffi::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
    [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].contains(&code.extended_code)
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Error {
        Error::Rejected(rejection)
    }
}

/// Names what was being done when the driver failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Database { doing, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_will_pass() {
        let check = |code: i32, expected: bool| {
            let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let error = Error::Database { doing: "writing", source };
            assert_eq!(error.is_busy(), expected, "{error:?}");
        };
        check(rusqlite::ffi::SQLITE_BUSY, true);
        check(rusqlite::ffi::SQLITE_BUSY_SNAPSHOT, true);
        check(rusqlite::ffi::SQLITE_LOCKED, true);
        check(rusqlite::ffi::SQLITE_FULL, false);
        check(rusqlite::ffi::SQLITE_CORRUPT, false);
        assert!(!Error::Closed.is_busy());
    }
}
