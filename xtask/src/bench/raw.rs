//! The raw database: SQLite alone, in this process, keeping what Roster kept.
//!
//! Nothing of it is described here. It begins as a copy of Roster's own database, so tables and
//! indexes are the same whatever migrations there are; and it keeps the very rows that Roster has
//! just kept, so these are the same too. The settings of the connection are Roster's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value};

use crate::bench::figures::Round;

/// What Roster calls its database, in its data folder.
pub(super) const FILE: &str = "roster.db";

/// How durable commits are, and everything else that Roster's writer sets.
const SETTINGS: &str = include_str!("../../../crates/store/src/sqlite/writer.sql");

/// The tables that a creation adds a row to, and which of their rows came after the user with the
/// row id `?1`, which nobody but SQLite gives, and the event at the position `?2`. The first column
/// of the first is the directory.
const GROWING: [(&str, &str); 3] = [
    ("users", "where users.rowid > ?1 and ?2 is not null order by users.rowid"),
    (
        "email_keys",
        "join users using (directory_id, user_id)
         where users.rowid > ?1 and ?2 is not null order by users.rowid",
    ),
    ("events", "where position > ?2 and ?1 is not null order by position"),
];

/// A copy of Roster's database, and what it has still to keep.
#[derive(Debug)]
pub(super) struct Raw {
    /// Roster's.
    database: PathBuf,
    connection: Connection,
    /// One list for each of [`GROWING`], in the order of the rows.
    waiting: [Rows; GROWING.len()],
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
        let (database, waiting) = (database.to_owned(), Default::default());
        let raw = Raw { database, connection, waiting };
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
    pub(super) fn take(&mut self) -> anyhow::Result<()> {
        let roster = open(&self.database)?;
        let known: (i64, i64) = self.connection.query_row(
            "select (select coalesce(max(rowid), 0) from users),
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
    /// the directories' numbers and the end of the feed. That is what Roster writes. What it asks
    /// the database besides (whether a name is free, who had it before) is not asked here.
    pub(super) fn keep(&mut self, rows_to_a_commit: usize) -> anyhow::Result<Round> {
        let growing = std::mem::take(&mut self.waiting);
        let count = growing[0].rows.len();
        anyhow::ensure!(
            growing.iter().all(|table| table.rows.len() == count),
            "a user has not exactly one address and one event"
        );
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
            position += i64::try_from(some.len())?;
            let mut more: BTreeMap<_, i64> = BTreeMap::new();
            for row in &growing[0].rows[some] {
                let Value::Text(directory_id) = &row[0] else {
                    anyhow::bail!("the first column of a user is not the directory");
                };
                *more.entry(directory_id).or_default() += 1;
            }
            for more in more {
                self.connection
                    .prepare_cached(
                        "update directories
                         set event_number = event_number + ?2, ordinal = ordinal + ?2,
                             user_count = user_count + ?2, active_user_count = active_user_count + ?2
                         where directory_id = ?1",
                    )?
                    .execute(more)?;
            }
            self.connection.prepare_cached("update feed set position = ?1")?.execute([position])?;
            self.connection.execute_batch("commit")?;
            latencies.push(commit_begun.elapsed());
        }
        Ok(Round { count, time: begun.elapsed(), latencies, processor: None })
    }

    /// How many users are kept, by Roster and here.
    pub(super) fn users(&self) -> anyhow::Result<(usize, usize)> {
        Ok((count_users(&open(&self.database)?)?, count_users(&self.connection)?))
    }
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
