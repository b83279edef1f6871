//! The raw database: SQLite alone, in this process, keeping what Roster kept.
//!
//! Nothing of it is described here. It begins as a copy of Roster's own database, so tables and
//! indexes are the same whatever migrations there are; and it keeps the very rows that Roster has
//! just kept, so these are the same too. The settings of the connection are Roster's.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags, params, params_from_iter, types::Value};

use crate::bench::figures::Round;

/// How durable commits are, and everything else that Roster's writer sets.
const SETTINGS: &str = include_str!("../../../crates/store/src/sqlite/writer.sql");

/// The tables that a creation adds a row to, and which of their rows came after the user with the
/// ordinal `?1` and the event at the position `?2`.
const GROWING: [(&str, &str); 3] = [
    ("users", "where ordinal > ?1 and ?2 is not null order by ordinal"),
    (
        "email_keys",
        "join users using (directory_id, user_id)
         where users.ordinal > ?1 and ?2 is not null order by users.ordinal",
    ),
    ("events", "where position > ?2 and ?1 is not null order by position"),
];

/// A copy of Roster's database, and what it has still to keep.
#[derive(Debug)]
pub(super) struct Raw {
    connection: Connection,
    /// One list for each of [`GROWING`], in the order of the rows.
    waiting: [Rows; GROWING.len()],
    directory_id: String,
}

/// Rows of one table, with the statement that keeps one.
#[derive(Debug, Default)]
struct Rows {
    insert: String,
    rows: Vec<Vec<Value>>,
}

impl Raw {
    /// Copies Roster's database while nobody writes to it.
    pub(super) fn copy(database: &Path, to: &Path) -> anyhow::Result<Raw> {
        let to_text = to.to_str().context("the folder has a name that is not UTF-8")?;
        open(database)?
            .execute("vacuum into ?1", [to_text])
            .context("the database is not copied")?;
        let connection = Connection::open(to).context("the copy cannot be opened")?;
        connection.execute_batch(SETTINGS).context("the copy cannot be set up")?;
        connection.set_prepared_statement_cache_capacity(128);
        let directory_id =
            connection.query_row("select directory_id from directories", [], |row| row.get(0))?;
        let raw = Raw { connection, waiting: Default::default(), directory_id };
        anyhow::ensure!(
            raw.setting("synchronous")? == Value::Integer(2)
                && raw.setting("journal_mode")? == Value::Text("wal".to_owned()),
            "Roster's own settings are not `synchronous=FULL` in WAL mode"
        );
        Ok(raw)
    }

    fn setting(&self, name: &str) -> rusqlite::Result<Value> {
        self.connection.pragma_query_value(None, name, |row| row.get(0))
    }

    /// Reads what Roster has kept since the last time.
    pub(super) fn take_from(&mut self, database: &Path) -> anyhow::Result<()> {
        let roster = open(database)?;
        let known: (i64, i64) = self.connection.query_row(
            "select (select coalesce(max(ordinal), 0) from users),
                    (select coalesce(max(position), 0) from events)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for ((table, newer), waiting) in GROWING.iter().zip(&mut self.waiting) {
            let mut statement =
                roster.prepare(&format!("select {table}.* from {table} {newer}"))?;
            let columns = statement.column_count();
            let names = statement.column_names().collect::<Vec<_>>().join(", ");
            let places: Vec<_> = (1..=columns).map(|place| format!("?{place}")).collect();
            let rows = statement
                .query_map(known, |row| (0..columns).map(|place| row.get(place)).collect())?
                .collect::<Result<_, _>>()?;
            let insert = format!("insert into {table} ({names}) values ({})", places.join(", "));
            *waiting = Rows { insert, rows };
        }
        Ok(())
    }

    /// Keeps what was taken, so many users to a commit, each with its address and event; in each commit
    /// the directory's numbers and the end of the feed. That is what Roster writes. What it asks
    /// the database besides (whether a name is free, who had it before) is not asked here.
    pub(super) fn keep(&mut self, rows_to_a_commit: usize) -> anyhow::Result<Round> {
        let growing = std::mem::take(&mut self.waiting);
        let count = growing[0].rows.len();
        anyhow::ensure!(
            growing.iter().all(|table| table.rows.len() == count),
            "a user has not exactly one address and one event"
        );
        let (mut event_number, mut ordinal, mut user_count, mut active): (i64, i64, i64, i64) =
            self.connection.query_row(
                "select event_number, ordinal, user_count, active_user_count from directories
                 where directory_id = ?1",
                [&self.directory_id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?;
        let mut position: i64 =
            self.connection.query_row("select position from feed", [], |row| row.get(0))?;
        let mut latencies: Vec<Duration> = Vec::with_capacity(count.div_ceil(rows_to_a_commit));

        let begun = Instant::now();
        for first in (0..count).step_by(rows_to_a_commit) {
            let some = first..count.min(first + rows_to_a_commit);
            let commit_begun = Instant::now();
            self.connection.execute_batch("begin immediate")?;
            for table in &growing {
                let mut statement = self.connection.prepare_cached(&table.insert)?;
                for row in &table.rows[some.clone()] {
                    statement.execute(params_from_iter(row))?;
                }
            }
            let more = i64::try_from(some.len())?;
            for number in [&mut event_number, &mut ordinal, &mut user_count, &mut active] {
                *number += more;
            }
            position += more;
            self.connection
                .prepare_cached(
                    "update directories
                     set event_number = ?2, ordinal = ?3, user_count = ?4, active_user_count = ?5
                     where directory_id = ?1",
                )?
                .execute(params![self.directory_id, event_number, ordinal, user_count, active])?;
            self.connection.prepare_cached("update feed set position = ?1")?.execute([position])?;
            self.connection.execute_batch("commit")?;
            latencies.push(commit_begun.elapsed());
        }
        Ok(Round { count, time: begun.elapsed(), latencies, processor: None })
    }

    /// How many users are kept.
    pub(super) fn users(&self) -> anyhow::Result<usize> {
        count_users(&self.connection)
    }
}

/// How many users Roster keeps.
pub(super) fn users(database: &Path) -> anyhow::Result<usize> {
    count_users(&open(database)?)
}

fn count_users(connection: &Connection) -> anyhow::Result<usize> {
    let count: i64 = connection.query_row("select count(*) from users", [], |row| row.get(0))?;
    Ok(usize::try_from(count)?)
}

/// Opens Roster's database to read.
fn open(database: &Path) -> anyhow::Result<Connection> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .context("Roster's database cannot be read")
}
