//! A session on an embedded database.

mod remains;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement, ToSql};

use crate::error::{Doing, Error};
use crate::session::{self, Flow, Kept, Row, Session, Value};

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

/// How long to wait for a command that is about to end, before a server is what keeps a database.
const BUSY_ALONE: Duration = Duration::from_secs(2);

/// How long to wait for readers before the log is emptied at another time: meanwhile nobody writes.
const BUSY_READERS: Duration = Duration::from_millis(100);

/// Opens the connection that writes, and creates the database where there is none.
pub(crate) fn open_writer(path: &Path) -> Result<Session, Error> {
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION_MIN {
        return Err(Error::Migration(format!(
            "this build uses SQLite {}, which can corrupt a database; 3.51.3 or later is required",
            rusqlite::version()
        )));
    }
    let connection = Connection::open(path).doing("opening the database")?;
    connection.busy_timeout(BUSY).doing("opening the database")?;
    set_up(connection, path)
}

/// Opens a database that is there, and keeps everybody else out: it is refused where another has it
/// open, as a server does from its start to its end.
pub(crate) fn open_alone(path: &Path) -> Result<Session, Error> {
    if !path.is_file() {
        return Err(Error::Migration(format!("there is no database `{}`", path.display())));
    }
    let connection = Connection::open(path).doing("opening the database")?;
    connection.busy_timeout(BUSY_ALONE).doing("opening the database")?;
    // The lock is taken when the database is first read, and kept to the end.
    connection.pragma_update(None, "locking_mode", "exclusive").doing("opening the database")?;
    let session = set_up(connection, path).and_then(|mut session| {
        // What has to be sorted is everything, and that is no matter for the memory.
        session::finish(session.script("opening the database", "pragma temp_store = file"))?;
        Ok(session)
    });
    session.map_err(|error| {
        if error.is_busy() {
            Error::Migration(format!(
                "the database `{}` is in use: stop the server, and begin again",
                path.display()
            ))
        } else {
            error
        }
    })
}

/// Looks whose database it is, and has it write as ours do.
fn set_up(mut connection: Connection, path: &Path) -> Result<Session, Error> {
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
    let has_long_log = see_log(&mut connection)?;
    Ok(Session::sqlite(Sqlite { has_long_log, ..Sqlite::new(connection, doubt)? }))
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

    /// From now on it is not known, and the next start is told. The mark itself need not be on the
    /// disk: when the power goes, so does what is in memory only, and the next start sees what is
    /// really there.
    pub(crate) fn arise(&self) {
        self.is_there.store(true, Ordering::Relaxed);
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

/// Sees after each commit how long the log has become. SQLite would move a long one into the database
/// there and then: whoever waits for the commit would wait for that too, and it would say nothing if a
/// sync failed on the way, and might begin the log anew after a later checkpoint, over the only good
/// copy. So it is moved when everybody has been answered: [`Sqlite::shorten_log`].
fn see_log(connection: &mut Connection) -> Result<Arc<AtomicBool>, Error> {
    let pages_max: i32 = connection
        .pragma_query_value(None, "wal_autocheckpoint", |row| row.get(0))
        .doing("opening the database")?;
    let is_long = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_long);
    let see = move |_: &mut rusqlite::hooks::Wal, pages| {
        seen.store(pages >= pages_max, Ordering::Relaxed);
        Ok(())
    };
    connection.wal_hook(Some(see)).doing("opening the database")?;
    Ok(is_long)
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
    Ok(Session::sqlite(Sqlite::new(connection, Doubt::default())?))
}

/// The file in which requests are kept, beside the database.
pub(crate) fn requests_path(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-requests.db");
    path.with_file_name(name)
}

/// Opens the connection that takes requests down, and creates their file where there is none.
pub(crate) fn open_requests(path: &Path) -> Result<Session, Error> {
    const DOING: &str = "opening the file of requests";
    let mut connection = Connection::open(requests_path(path)).doing(DOING)?;
    connection.busy_timeout(BUSY).doing(DOING)?;
    connection.execute_batch(include_str!("sqlite/requests.sql")).doing(DOING)?;
    let has_long_log = see_log(&mut connection)?;
    Ok(Session::sqlite(Sqlite { has_long_log, ..Sqlite::new(connection, Doubt::default())? }))
}

/// Opens a connection that reads the database and the requests beside it; nothing, where none were
/// taken down yet.
pub(crate) fn open_requests_reader(path: &Path) -> Result<Option<Session>, Error> {
    let requests = requests_path(path);
    if !requests.is_file() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("opening the database")?;
    connection.busy_timeout(BUSY).doing("opening the database")?;
    connection
        .execute("attach database $1 as taken_down", [requests.to_string_lossy()])
        .doing("opening the file of requests")?;
    let session = Sqlite::new(connection, Doubt::default())?;
    Ok(Some(Session::sqlite(session)))
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
    doubt: Doubt,
    has_long_log: Arc<AtomicBool>,
}

impl Sqlite {
    fn new(connection: Connection, doubt: Doubt) -> Result<Sqlite, Error> {
        // A few dozen statements in all; none is parsed twice.
        connection.set_prepared_statement_cache_capacity(128);
        plan_once(&connection)?;
        Ok(Sqlite { connection, doubt, has_long_log: Arc::default() })
    }

    pub(crate) fn doubt(&self) -> Doubt {
        self.doubt.clone()
    }

    pub(crate) fn run(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Error> {
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        bind(&mut statement, values).doing(doing)?;
        statement.raw_execute().doing(doing)
    }

    /// Runs a statement once for each row: it is looked for once, and so are its parameters.
    pub(crate) fn run_many<const N: usize>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<usize, Error> {
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        let places = places(&statement, N).doing(doing)?;
        let mut changed = 0;
        for row in rows {
            bind_in(&mut statement, &places, row).doing(doing)?;
            changed += statement.raw_execute().doing(doing)?;
        }
        Ok(changed)
    }

    pub(crate) fn each(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<Flow, Error>,
    ) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        bind(&mut statement, values).doing(doing)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().doing(doing)? {
            if read(&Row::Sqlite(row))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn script(&mut self, doing: &'static str, sql: &str) -> Result<(), Error> {
        self.connection.execute_batch(sql).doing(doing)
    }

    /// Begins or ends a transaction, which is done too often to parse it each time.
    pub(crate) fn control(&mut self, doing: &'static str, sql: &'static str) -> Result<(), Error> {
        self.run(doing, sql, &[]).map(drop)
    }

    /// Moves a log that has become long into the database. Where that fails otherwise than by a sync,
    /// what was kept is in the log, and the next commit has it tried again.
    pub(crate) fn shorten_log(&mut self, doing: &'static str) -> Result<bool, Error> {
        if !self.has_long_log.swap(false, Ordering::Relaxed) {
            return Ok(false);
        }
        let shortened = self.script(doing, "pragma wal_checkpoint(passive)");
        shortened
            .map(|()| true)
            .or_else(|error| if error.is_unsynced() { Err(error) } else { Ok(false) })
    }

    /// Moves all of the log into the database, and cuts the log off: what was overwritten or deleted is
    /// in it until then. Says whether that was done; it is not while somebody reads what is in the log.
    pub(crate) fn empty_log(&mut self, doing: &'static str) -> Result<bool, Error> {
        self.connection.busy_timeout(BUSY_READERS).doing(doing)?;
        let sql = "pragma wal_checkpoint(truncate)";
        let is_busy = self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).doing(doing);
        self.connection.busy_timeout(BUSY).doing(doing)?;
        Ok(is_busy? == 0)
    }

    /// Writes zeros over what some pages still hold of records that are not in them, within a transaction.
    /// Says at which page to go on, and 0 after the last.
    pub(crate) fn scrub(&mut self, doing: &'static str, from: u32) -> Result<u32, Error> {
        remains::scrub(&self.connection, doing, from)
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }
}

/// A column of a row.
pub(crate) fn column<T: FromSql>(row: &rusqlite::Row<'_>, column: usize) -> Result<T, Error> {
    row.get(column).doing("reading a column")
}

/// A column of whatever kind.
pub(crate) fn kept<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<Kept<'a>, Error> {
    let damaged = || Error::Corrupt(format!("column {column} is neither text nor a whole number"));
    match row.get_ref(column).doing("reading a column")? {
        ValueRef::Null => Ok(Kept::Nothing),
        ValueRef::Integer(integer) => Ok(Kept::Integer(integer)),
        ValueRef::Text(text) => std::str::from_utf8(text).map(Kept::Text).map_err(|_| damaged()),
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(damaged()),
    }
}

/// Gives `$1` the first value, wherever it stands.
fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    let places = places(statement, values.len())?;
    bind_in(statement, &places, values)
}

/// Which value each parameter takes, in the order in which the parameters stand. To SQLite `$1` is a
/// name like any other: it numbers parameters in the order in which they first appear, so binding by
/// place would give the first value to whichever comes first.
fn places(statement: &Statement<'_>, values: usize) -> rusqlite::Result<Vec<usize>> {
    let count = statement.parameter_count();
    if count != values {
        return Err(rusqlite::Error::InvalidParameterCount(values, count));
    }
    let value_of = |place| {
        statement
            .parameter_name(place)
            .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok())
            .filter(|number| (1..=count).contains(number))
            .map(|number| number - 1)
            .ok_or_else(|| rusqlite::Error::InvalidParameterName("not a number".into()))
    };
    (1..=count).map(value_of).collect()
}

fn bind_in(
    statement: &mut Statement<'_>,
    places: &[usize],
    values: &[Value<'_>],
) -> rusqlite::Result<()> {
    for (at, value) in places.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, values[*value])?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Text(text) | Value::OptionalText(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::OptionalText(None) | Value::OptionalKey(None) => ValueRef::Null,
            Value::Key(text) | Value::OptionalKey(Some(text)) => match session::key(text) {
                Cow::Borrowed(key) => ValueRef::Text(key.as_bytes()),
                Cow::Owned(key) => return Ok(ToSqlOutput::Owned(key.into())),
            },
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Time(time) => ValueRef::Integer(time.as_microsecond()),
            Value::Texts(_) | Value::Integers(_) => {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    "an embedded database knows no arrays".into(),
                ));
            }
        }))
    }
}

/// Has each statement planned once, whatever values it is given. Without this SQLite looks at the
/// values that are bound when it compares them with the conditions of partial indexes, and parses
/// and plans joins anew at each run, for longer than they take.
fn plan_once(connection: &Connection) -> Result<(), Error> {
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    set.map(drop).doing("opening the database")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::finish;

    fn in_memory() -> Session {
        let connection = Connection::open_in_memory().unwrap();
        Session::sqlite(Sqlite::new(connection, Doubt::default()).unwrap())
    }

    fn setting(session: &mut Session, sql: &'static str) -> String {
        let row = finish(session.first("asking for a setting", sql, &[], |row| row.text(0)));
        row.unwrap().unwrap()
    }

    #[test]
    fn values_are_bound_by_their_number_wherever_it_stands() {
        let mut session = in_memory();
        let values = [Value::Text("one"), Value::Integer(2), Value::Text("three")];
        let row = finish(session.first("", "select $3, $1, $2, $1", &values, |row| {
            Ok((row.text(0)?, row.text(1)?, row.integer(2)?, row.text(3)?))
        }));
        let expected = ("three".to_owned(), "one".to_owned(), 2, "one".to_owned());
        assert_eq!(row.unwrap(), Some(expected));
    }

    #[test]
    fn a_statement_with_other_parameters_than_values_is_an_error() {
        let mut session = in_memory();
        let values = [Value::Integer(1), Value::Integer(2)];
        for sql in ["select $1", "select $1, $3", "select $1, ?2", "select $1, $two", "select 1"] {
            assert!(finish(session.run("", sql, &values)).is_err(), "{sql}");
        }
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

        finish(writer.script("", "create table t (a text) strict")).unwrap();
        let mut reader = open_reader(&path).unwrap();
        assert!(finish(reader.run("", "insert into t (a) values ('x')", &[])).is_err());
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
        finish(stopped.script("", "create table t (a text) strict")).unwrap();
        finish(stopped.script("", "insert into t (a) values ('x')")).unwrap();
        stopped.doubt().arise();
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
    fn a_statement_is_planned_once() {
        let connection = Connection::open_in_memory().unwrap();
        for sql in [
            include_str!("../migrations/sqlite/0001_directories_users_groups_events.sql"),
            "insert into memberships (group_id, member_id, kind) values ('g', 'u', 'user');
             insert into groups values ('d', 'g', 1, 'G', 'g', null, '{}', 1, 1, 0, 0)",
        ] {
            connection.execute_batch(sql).unwrap();
        }
        let groups = "select g.display_name from memberships m
                      join groups g on g.directory_id = $1 and g.group_id = m.group_id
                      where m.member_id = $2 order by m.group_id";
        let planned_again = || {
            let mut statement = connection.prepare_cached(groups).unwrap();
            let mut rows = statement.query(["d", "u"]).unwrap();
            assert!(rows.next().unwrap().is_some());
            drop(rows);
            statement.get_status(rusqlite::StatementStatus::RePrepare)
        };
        // When a statement goes back to where it is kept, its values are taken from it.
        planned_again();
        assert_eq!(planned_again(), 1, "SQLite no longer needs to be told");
        plan_once(&connection).unwrap();
        connection.flush_prepared_statement_cache();
        planned_again();
        assert_eq!(planned_again(), 0);
    }

    #[test]
    fn who_ends_waits_for_no_reader() {
        let folder = std::env::temp_dir().join(format!("roster-ends-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("roster.db");
        let mut writer = open_writer(&path).unwrap();
        finish(writer.script("", "create table t (a text) strict")).unwrap();
        let mut reader = open_reader(&path).unwrap();
        reader.begin_reading().unwrap();
        let count = "select cast(count(*) as text) from t";
        assert_eq!(setting(&mut reader, count), "0");
        finish(writer.script("", "insert into t (a) values ('x')")).unwrap();
        // Nothing is slow here but to wait until the reader is done, which it never is.
        let begun = std::time::Instant::now();
        writer.tidy_up().unwrap();
        assert!(begun.elapsed() < BUSY / 2, "{:?}", begun.elapsed());
        assert_eq!(setting(&mut reader, count), "0");
        finish(reader.roll_back()).unwrap();
        assert_eq!(setting(&mut reader, count), "1");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
