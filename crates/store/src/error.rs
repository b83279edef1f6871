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
        source: DriverError,
    },
    /// Something that was kept cannot be read back.
    #[error("a kept record is damaged: {0}")]
    Corrupt(String),
    /// The database is not one that this version can work with.
    #[error("{0}")]
    Migration(String),
    /// Everything was moved and compared, and then the connection broke before the database said
    /// that it keeps it: whether it does is not known.
    #[error("the connection broke before the database said that it keeps what was moved")]
    Unanswered(#[source] Box<Error>),
    /// What was written last could not be made safe, so nothing is shown of it.
    #[error("cannot write the database's log `{path}` once more")]
    Log {
        /// Its log.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The machine has no thread left for the writer.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
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

/// What the database, or the way to it, said.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The embedded one.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The one across a network.
    #[error(transparent)]
    Postgres(PostgresError),
}

/// What PostgreSQL said, without the values that it says it about: those are people's.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct PostgresError {
    /// By which kinds are told apart, such as `40001`.
    code: Option<String>,
    /// Whether the database was not reached, or went away meanwhile.
    is_away: bool,
    message: String,
}

impl PostgresError {
    pub(crate) fn is_away(&self) -> bool {
        self.is_away
    }

    pub(crate) fn unreachable(why: &str) -> PostgresError {
        let message = format!("cannot reach the database: {why}");
        PostgresError { code: None, is_away: true, message }
    }

    /// The same, with what to do about it.
    pub(crate) fn with_hint(mut self, hint: Option<&str>) -> PostgresError {
        if let Some(hint) = hint {
            self.message = format!("{}; {hint}", self.message);
        }
        self
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> PostgresError {
        use std::error::Error as _;
        // The details of what it said are left out: they repeat the values of a row.
        if let Some(it) = error.as_db_error() {
            let code = it.code().code().to_owned();
            return PostgresError {
                message: format!("{} ({code})", it.message()),
                // It is stopping, starting, or one to which nothing can be written any more.
                is_away: ["57P", "08", "25006"].iter().any(|class| code.starts_with(class)),
                code: Some(code),
            };
        }
        let mut why = error.to_string();
        let mut is_away = error.is_closed();
        let mut cause = error.source();
        while let Some(it) = cause {
            why = format!("{why}: {it}");
            is_away |= it.is::<std::io::Error>();
            cause = it.source();
        }
        if is_away {
            PostgresError::unreachable(&why)
        } else {
            PostgresError { code: None, is_away, message: why }
        }
    }
}

impl Error {
    pub(crate) fn postgres(doing: &'static str, source: PostgresError) -> Error {
        Error::Database { doing, source: DriverError::Postgres(source) }
    }

    /// Whether a transaction lost a race that it may win when it is run again.
    pub(crate) fn is_lost_race(&self) -> bool {
        matches!(self, Error::Database { source: DriverError::Postgres(it), .. }
            if matches!(it.code.as_deref(), Some("40001" | "40P01")))
    }

    /// Whether something that is there only once was there already: somebody else was faster, and
    /// whoever looks again will see it.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Error::Database { source: DriverError::Postgres(it), .. }
            if matches!(it.code.as_deref(), Some("23505" | "42P07")))
    }

    /// Whether the database was not there, or went away meanwhile. If it was a change, it may have
    /// been kept: nobody knows.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Database { source: DriverError::Postgres(it), .. } if it.is_away)
    }

    /// Whether a lock was waited for in vain.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self, Error::Database { source: DriverError::Postgres(it), .. }
            if it.code.as_deref() == Some("55P03"))
    }

    /// The same for another who waited for the same thing.
    pub(crate) fn again(&self) -> Error {
        match self {
            Error::Database { doing, source: DriverError::Postgres(it) } => {
                Error::postgres(doing, it.clone())
            }
            _ => Error::Closed,
        }
    }

    /// Others were faster, again and again.
    pub(crate) fn lost_races() -> Error {
        let message = "others were writing to the same directory all the time".to_owned();
        let source = PostgresError { code: Some("55P03".to_owned()), is_away: false, message };
        Error::postgres("deciding", source)
    }

    /// Whether the database cannot be had just now: somebody else, a command beside the server,
    /// held it for longer than we wait. Nothing was changed, and the same can be tried again soon.
    pub fn is_busy(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        match self {
            Error::Database { source: DriverError::Sqlite(source), .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
            }
            Error::Database { source: DriverError::Postgres(source), .. } => {
                // Lost races, locks and statements that took too long, too many connections.
                !source.is_away
                    && source.code.as_deref().is_some_and(|code| {
                        ["40", "53", "55P03", "57014"].iter().any(|it| code.starts_with(it))
                    })
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
            Error::Database { source: DriverError::Sqlite(source), .. } => source.sqlite_error(),
            _ => None,
        }
    }
}

/// Whether a file, or which files there are, could not be synced.
fn is_unsynced(code: rusqlite::ffi::Error) -> bool {
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
        self.map_err(|source| Error::Database { doing, source: DriverError::Sqlite(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_will_pass() {
        let check = |code: i32, expected: bool| {
            let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let source = DriverError::Sqlite(source);
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
