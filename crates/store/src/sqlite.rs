//! Connections to an embedded database.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Doing, Error};
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
    let connection = Connection::open(path).doing("opening the database")?;
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
    plan_once(&connection)?;
    Ok(Session::new(connection))
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Session, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("opening the database")?;
    connection.busy_timeout(BUSY).doing("opening the database")?;
    connection
        .execute_batch("pragma query_only = on; pragma cache_size = -8192;")
        .doing("opening the database")?;
    plan_once(&connection)?;
    Ok(Session::new(connection))
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
