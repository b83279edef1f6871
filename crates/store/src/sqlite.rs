//! Connections to an embedded database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Doing, Error, is_unsynced};
use crate::session::Session;

/// Versions 3.7.0 to 3.51.2 can corrupt a database in WAL mode when one connection checkpoints
/// while another commits (fixed in 3.51.3). The library is compiled in, so this holds; it is
/// checked because a build can be told to use the system's library.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// `Rost`, in the header of the file: what tells our database from somebody else's.
const APPLICATION_ID: i64 = 0x526f_7374;

/// How the connection that writes is set up. The benchmark sets up the raw database alike.
const WRITER_SETTINGS: &str = include_str!("sqlite/writer.sql");

/// How long to wait for another process, a command line beside a running server, to finish writing.
const BUSY: Duration = Duration::from_secs(10);

/// Opens the connection that writes, and creates the database where there is none.
pub(crate) fn open_writer(path: &Path) -> Result<Session, Error> {
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION_MIN {
        return Err(Error::Migration(format!(
            "this build uses SQLite {}, which can corrupt a database; 3.51.3 or later is required",
            rusqlite::version()
        )));
    }
    let mut connection = Connection::open(path).doing("opening the database")?;
    connection.busy_timeout(BUSY).doing("opening the database")?;
    let application_id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .doing("looking whose database it is")?;
    let tables: i64 = connection
        .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
        .doing("looking whose database it is")?;
    if application_id != APPLICATION_ID && tables > 0 {
        return Err(Error::Migration(format!(
            "`{}` is the database of another application; give Roster a folder of its own",
            path.display()
        )));
    }
    if application_id != APPLICATION_ID {
        connection
            .execute_batch(&format!("pragma application_id = {APPLICATION_ID}"))
            .doing("marking the database as ours")?;
    }
    connection.execute_batch(WRITER_SETTINGS).doing("opening the database")?;
    let doubt = Doubt::of(path);
    settle(&connection, path, &doubt)?;
    see_checkpoints(&mut connection, &doubt)?;
    Ok(Session::with_doubt(connection, doubt))
}

/// Whether it is known what is on the disk.
///
/// The system tells once that it could not bring something there, and takes it for brought from then
/// on. It is in its memory, where everybody sees it, and perhaps nowhere else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubt {
    is_there: Arc<AtomicBool>,
    /// A file that is there from when this arises until a start has dealt with it.
    mark: PathBuf,
}

/// For whoever finds the file.
const MARK: &str = "A sync of Roster's database failed: see the server's log, and look at the disk.\n\
                    The next start of Roster writes the database's log again and removes this file.\n";

impl Doubt {
    fn of(path: &Path) -> Doubt {
        Doubt { is_there: Arc::default(), mark: beside(path, "-unsynced") }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// The mark itself need not be on the disk. When the power goes, so does what is in memory only,
    /// and the next start sees what is really there.
    pub(crate) fn leave_mark(&self) {
        if let Err(error) = std::fs::write(&self.mark, MARK) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the next start cannot be told that the disk failed",
            );
        }
    }
}

/// A file of the database beside its first.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Moves a long log into the database after a commit, as SQLite does by itself, but not without
/// looking whether a sync failed on the way. SQLite would say nothing, and might begin the log anew
/// after a later checkpoint, over the only good copy.
fn see_checkpoints(connection: &mut Connection, doubt: &Doubt) -> Result<(), Error> {
    let pages_max: i32 = connection
        .pragma_query_value(None, "wal_autocheckpoint", |row| row.get(0))
        .doing("opening the database")?;
    let is_there = Arc::clone(&doubt.is_there);
    let checkpoint = move |log: &mut rusqlite::hooks::Wal, pages| {
        if pages >= pages_max
            && let Err(error) = log.checkpoint()
            && error.sqlite_error().is_some_and(|it| is_unsynced(*it))
        {
            is_there.store(true, Ordering::Relaxed);
        }
        // The commit is on the disk, in the log. Where this failed otherwise, the log goes on and the
        // next commit tries again.
        Ok(())
    };
    connection.wal_hook(Some(checkpoint)).doing("opening the database")
}

/// Brings to the disk what the log holds, before anybody sees it.
///
/// Whoever wrote it may have been killed before it was synced. Then it is in the system's memory and
/// perhaps nowhere else: it would be read here, told to others, and gone when the power goes. SQLite
/// syncs the log before it moves its contents into the database.
///
/// Where a sync has failed before, another one means nothing. Then the log is written again first,
/// byte by byte as it is.
fn settle(connection: &Connection, path: &Path, doubt: &Doubt) -> Result<(), Error> {
    let log = beside(path, "-wal");
    let is_marked = doubt.mark.exists();
    if is_marked {
        // Meanwhile nobody else writes to the log, nor begins it anew.
        connection.execute_batch("begin immediate").doing("looking at the log")?;
        let again = write_again(&log);
        connection.execute_batch("rollback").doing("looking at the log")?;
        again.map_err(|source| Error::Log { path: log.clone(), source })?;
    }
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        // Without waiting for readers, as in the end: what they hold up is synced where it is.
        let sql = "pragma busy_timeout = 0; pragma wal_checkpoint(truncate)";
        let emptied = connection.execute_batch(sql).doing("emptying the log");
        connection.busy_timeout(BUSY).doing("opening the database")?;
        match emptied {
            // It was synced, stays in the log, and can be read there.
            Err(error) if error.is_full() => {}
            emptied => emptied?,
        }
    }
    if is_marked {
        let removed = std::fs::remove_file(&doubt.mark);
        removed.map_err(|source| Error::Log { path: doubt.mark.clone(), source })?;
    }
    Ok(())
}

/// Writes a file once more as it is, and syncs it.
fn write_again(path: &Path) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

    let mut file = match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut piece = vec![0; 1 << 20];
    let mut place = 0;
    loop {
        file.seek(SeekFrom::Start(place))?;
        let count = file.read(&mut piece)?;
        if count == 0 {
            return file.sync_all();
        }
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&piece[..count])?;
        place += count as u64;
    }
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Session, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("opening the database")?;
    connection.busy_timeout(BUSY).doing("opening the database")?;
    connection
        .execute_batch("pragma query_only = on; pragma cache_size = -8192;")
        .doing("opening the database")?;
    Ok(Session::new(connection))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::at_once;

    fn setting(session: &mut Session, sql: &'static str) -> String {
        let row = at_once(session.first("asking for a setting", sql, &[], |row| row.text(0)));
        row.unwrap().unwrap()
    }

    #[test]
    fn the_writer_is_durable_and_a_reader_cannot_write() {
        let folder = std::env::temp_dir().join(format!("roster-sqlite-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        let mut writer = open_writer(&path).unwrap();
        for (sql, expected) in [
            ("select journal_mode from pragma_journal_mode", "wal"),
            // 2 is FULL.
            ("select cast(synchronous as text) from pragma_synchronous", "2"),
            ("select cast(fullfsync as text) from pragma_fullfsync", "1"),
            ("select cast(foreign_keys as text) from pragma_foreign_keys", "1"),
            ("select cast(application_id as text) from pragma_application_id", "1383035764"),
            ("select cast(timeout as text) from pragma_busy_timeout", "10000"),
        ] {
            assert_eq!(setting(&mut writer, sql), expected, "{sql}");
        }
        assert!(rusqlite::version_number() >= SQLITE_VERSION_MIN, "{}", rusqlite::version());

        at_once(writer.script("", "create table t (a text) strict")).unwrap();
        let mut reader = open_reader(&path).unwrap();
        assert!(at_once(reader.run("", "insert into t (a) values ('x')", &[])).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_may_not_be_on_the_disk_is_written_again_as_it_is() {
        let folder = std::env::temp_dir().join(format!("roster-settled-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        let log = folder.join("roster.db-wal");
        let mark = folder.join("roster.db-unsynced");
        let mut stopped = open_writer(&path).unwrap();
        at_once(stopped.script("", "create table t (a text) strict")).unwrap();
        at_once(stopped.script("", "insert into t (a) values ('x')")).unwrap();
        stopped.leave_mark();
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), MARK);

        let before = std::fs::read(&log).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options().write(true).open(&log).unwrap().set_modified(long_ago).unwrap();
        write_again(&log).unwrap();
        assert_eq!(std::fs::read(&log).unwrap(), before);
        assert!(log.metadata().unwrap().modified().unwrap() > long_ago, "it was written");
        write_again(&folder.join("no.db-wal")).unwrap();

        let mut next = open_writer(&path).unwrap();
        assert_eq!(log.metadata().unwrap().len(), 0, "it is all in the database");
        assert!(!mark.exists());
        assert_eq!(setting(&mut next, "select a from t"), "x");
        let patience = "select cast(timeout as text) from pragma_busy_timeout";
        assert_eq!(setting(&mut next, patience), "10000");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn who_ends_waits_for_no_reader() {
        let folder = std::env::temp_dir().join(format!("roster-ends-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        let mut writer = open_writer(&path).unwrap();
        at_once(writer.script("", "create table t (a text) strict")).unwrap();
        let mut reader = open_reader(&path).unwrap();
        at_once(reader.begin_reading()).unwrap();
        let count = "select cast(count(*) as text) from t";
        assert_eq!(setting(&mut reader, count), "0");
        at_once(writer.script("", "insert into t (a) values ('x')")).unwrap();
        // Nothing is slow here but to wait until the reader is done, which it never is.
        let begun = std::time::Instant::now();
        at_once(writer.tidy_up()).unwrap();
        assert!(begun.elapsed() < BUSY / 2, "{:?}", begun.elapsed());
        assert_eq!(setting(&mut reader, count), "0");
        at_once(reader.roll_back()).unwrap();
        assert_eq!(setting(&mut reader, count), "1");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
