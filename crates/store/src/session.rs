//! One connection to the database: run a statement, read rows.
//!
//! Everything above is written once over this, as `async` functions over plain statements with
//! `$1`. A session is used on a thread that may wait: on SQLite nothing ever does, on PostgreSQL
//! the thread sleeps until the answer has come ([`finish`]). So the functions need no runtime, hold
//! what they like, and read alike for both.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use directory::secret::hex;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::postgres::{Begin, CopyIn, Postgres};
use crate::roles::KnownMappings;
use crate::sqlite::{Doubt, Sqlite};

/// A connection.
#[derive(Debug)]
pub(crate) struct Session {
    driver: Driver,
    /// Whoever waits for what is read holds the other end; where nobody does, nothing is read.
    wanted: Option<Weak<()>>,
    /// Whether it goes on reading one state of the database after this reader.
    stays: bool,
    /// What was made of role mappings.
    mappings: KnownMappings,
}

#[derive(Debug)]
enum Driver {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A parameter of a statement.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    /// What something is found by, of any length: see [`key`].
    Key(&'a str),
    OptionalKey(Option<&'a str>),
    Integer(i64),
    Time(Timestamp),
    /// An array; only on PostgreSQL.
    Texts(&'a [String]),
    /// An array; only on PostgreSQL.
    Integers(&'a [i64]),
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it says is people's, and a driver writes parameters into the log.
        f.write_str("Value")
    }
}

/// A statement that is run for many rows, each of `N` values.
///
/// An embedded database is a function call away and runs it once for each. Across a network each
/// statement is a journey, so there all rows travel at once, as an array for each column.
#[derive(Debug)]
pub(crate) struct Many<const N: usize> {
    pub(crate) doing: &'static str,
    /// For one row: `$1` is its first value.
    pub(crate) sqlite: &'static str,
    /// For all: `$1` is the array of the first values, to be put side by side with `unnest`.
    pub(crate) postgres: &'static str,
}

/// The way of many rows into a table, from first to last. Meanwhile nothing else is asked of the
/// session.
#[derive(Debug)]
pub(crate) struct Bulk<const N: usize> {
    statement: &'static Many<N>,
    /// The same as a `copy`, and how many rows the one that is open has been given.
    copy: Option<(&'static str, Option<(CopyIn, usize)>)>,
}

/// Rows from which on PostgreSQL takes them by `copy`, which is made for many rows: they are sent while
/// the next are made, and no array of them is held. To begin and to end it is a journey each. Events on
/// the same machine took 0.9 ms by `copy` and 1.0 ms as arrays for 100 rows, 1.5 and 2.9 ms for 300, 6
/// and 11 ms for 1,000, and half of the time from there on: so it pays where a journey takes 2 ms.
const COPIED_MIN: usize = 1_000;

/// Rows of one `copy`, so that none comes near the time that a statement may take.
const COPIED_MAX: usize = 50_000;

impl<const N: usize> Bulk<N> {
    /// Takes rows, each of which is new.
    pub(crate) async fn keep(
        &mut self,
        session: &mut Session,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), Error> {
        let Some((sql, open)) = &mut self.copy else {
            return session.run_each(self.statement, rows).await;
        };
        let (mut way, taken) = match open.take() {
            Some(open) => open,
            None => (session.copy_in(self.statement.doing, sql).await?, 0),
        };
        way.send(crate::postgres::lines(rows)).await?;
        let taken = taken + rows.len();
        if taken >= COPIED_MAX {
            return way.end().await;
        }
        *open = Some((way, taken));
        Ok(())
    }

    /// Waits until all of them are in the table.
    pub(crate) async fn end(self) -> Result<(), Error> {
        match self.copy {
            Some((_, Some((way, _)))) => way.end().await,
            _ => Ok(()),
        }
    }
}

/// A row of an answer, read by column number.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// A value as it is kept, of whatever kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept<'a> {
    Nothing,
    Integer(i64),
    Text(&'a str),
}

/// Whether to go on reading rows.
pub(crate) type Flow = std::ops::ControlFlow<()>;

impl Session {
    pub(crate) fn sqlite(sqlite: Sqlite) -> Session {
        Session::over(Driver::Sqlite(sqlite))
    }

    pub(crate) fn postgres(postgres: Postgres) -> Session {
        Session::over(Driver::Postgres(Box::new(postgres)))
    }

    fn over(driver: Driver) -> Session {
        Session { driver, wanted: None, stays: false, mappings: KnownMappings::default() }
    }

    /// What was made of role mappings on this connection.
    pub(crate) fn mappings(&mut self) -> &mut KnownMappings {
        &mut self.mappings
    }

    /// Reads for somebody, who may go away meanwhile where this is there; no longer for whoever was
    /// here before.
    pub(crate) fn read_for(&mut self, wanted: Option<Weak<()>>) {
        self.wanted = wanted;
    }

    /// For statements that one kind of database does better, or that only one knows.
    pub(crate) fn engine(&self) -> Engine {
        match &self.driver {
            Driver::Sqlite(_) => Engine::Sqlite,
            Driver::Postgres(_) => Engine::Postgres,
        }
    }

    /// What is known of the disk below. Of a database across a network, that is its own affair.
    pub(crate) fn doubt(&self) -> Doubt {
        match &self.driver {
            Driver::Sqlite(it) => it.doubt(),
            Driver::Postgres(_) => Doubt::default(),
        }
    }

    /// Waits for answers as long as they take, as a migration needs it, or as usual.
    pub(crate) fn be_patient(&mut self, is_patient: bool) {
        if let Driver::Postgres(it) = &mut self.driver {
            it.be_patient(is_patient);
        }
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn run(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Error> {
        match &mut self.driver {
            Driver::Sqlite(it) => it.run(doing, sql, values),
            Driver::Postgres(it) => it.run(doing, sql, values).await,
        }
    }

    /// Runs a statement for many rows and says how many rows it changed.
    pub(crate) async fn run_many<const N: usize>(
        &mut self,
        statement: &Many<N>,
        rows: &[[Value<'_>; N]],
    ) -> Result<usize, Error> {
        let Many { doing, sqlite, postgres } = statement;
        if rows.is_empty() {
            return Ok(0);
        }
        match &mut self.driver {
            Driver::Sqlite(it) => it.run_many(doing, sqlite, rows),
            Driver::Postgres(it) => it.run_many(doing, postgres, rows).await,
        }
    }

    /// The same where each row is to change exactly one: a decision was made about a record that was
    /// loaded in the same transaction, so it is there.
    ///
    /// On PostgreSQL the answer is not waited for: [`settle`](Session::settle) says what went wrong.
    pub(crate) async fn run_each<const N: usize>(
        &mut self,
        statement: &Many<N>,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), Error> {
        match &mut self.driver {
            Driver::Postgres(it) if !rows.is_empty() => {
                it.send_each(statement.doing, statement.postgres, rows).await
            }
            _ => expect_rows(self.run_many(statement, rows).await?, rows.len()),
        }
    }

    /// Waits until all is written that was to be, as it is before a commit.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        match &mut self.driver {
            Driver::Sqlite(_) => Ok(()),
            Driver::Postgres(it) => it.settle().await,
        }
    }

    /// Begins to take new rows, about so many: by the statement, or by the `copy` where that is
    /// faster.
    pub(crate) fn bulk<const N: usize>(
        &self,
        statement: &'static Many<N>,
        copy: &'static str,
        count: usize,
    ) -> Bulk<N> {
        let is_copied = self.engine() == Engine::Postgres && count >= COPIED_MIN;
        Bulk { statement, copy: is_copied.then_some((copy, None)) }
    }

    /// Runs a query and hands over each row, until told to stop.
    pub(crate) async fn each(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<Flow, Error>,
    ) -> Result<(), Error> {
        let wanted = self.wanted.as_ref();
        check(wanted)?;
        // Asked for each row, so that a list which nobody will see ends wherever it is.
        let read = |row: &Row<'_>| {
            check(wanted)?;
            read(row)
        };
        match &mut self.driver {
            Driver::Sqlite(it) => it.each(doing, sql, values, read),
            Driver::Postgres(it) => it.each(doing, sql, values, read).await,
        }
    }

    /// Runs a query that is given many rows, as an array for each column, and hands over each row of
    /// its answer. Only on PostgreSQL.
    pub(crate) async fn each_of_many<const N: usize>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
        read: impl FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &mut self.driver {
            _ if rows.is_empty() => Ok(()),
            Driver::Sqlite(_) => unreachable!("an embedded database knows no arrays"),
            Driver::Postgres(it) => it.each_of_many(doing, sql, rows, read).await,
        }
    }

    /// Runs a query and collects its rows.
    pub(crate) async fn all<T>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.each(doing, sql, values, |row| {
            all.push(read(row)?);
            Ok(Flow::Continue(()))
        })
        .await?;
        Ok(all)
    }

    /// Runs a query and takes its first row, if there is one.
    pub(crate) async fn first<T>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut first = None;
        self.each(doing, sql, values, |row| {
            first = Some(read(row)?);
            Ok(Flow::Break(()))
        })
        .await?;
        Ok(first)
    }

    /// Begins to write. On SQLite the only writer's place is taken at once, so that a transaction
    /// never finds half-way that somebody else has it.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        match &mut self.driver {
            Driver::Sqlite(it) => it.control("beginning to write", "begin immediate"),
            Driver::Postgres(it) => {
                it.begin(Begin::ToWrite);
                Ok(())
            }
        }
    }

    /// Begins to read one state of the whole database, which readers after this one go on to read
    /// until it is rolled back.
    pub(crate) fn begin_to_stay(&mut self) -> Result<(), Error> {
        self.begin_reading()?;
        self.stays = true;
        Ok(())
    }

    /// Whether it is still in the state that it began to stay in.
    pub(crate) fn stays(&self) -> bool {
        self.stays
    }

    /// Begins to read one state of the whole database.
    pub(crate) fn begin_reading(&mut self) -> Result<(), Error> {
        match &mut self.driver {
            _ if self.stays => Ok(()),
            Driver::Sqlite(it) => it.control("beginning to read", "begin deferred"),
            Driver::Postgres(it) => {
                it.begin(Begin::ToRead);
                Ok(())
            }
        }
    }

    /// Keeps what was written. When this returns, it is on the disk.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        const DOING: &str = "keeping what was written";
        match &mut self.driver {
            Driver::Sqlite(it) => it.control(DOING, "commit"),
            Driver::Postgres(it) => it.commit(DOING).await,
        }
    }

    /// Ends a transaction without keeping anything; does nothing where there is none.
    pub(crate) async fn roll_back(&mut self) -> Result<(), Error> {
        const DOING: &str = "undoing what was written";
        self.stays = false;
        self.mappings.forget();
        match &mut self.driver {
            Driver::Sqlite(it) if it.is_in_transaction() => it.control(DOING, "rollback"),
            Driver::Sqlite(_) => Ok(()),
            Driver::Postgres(it) => it.roll_back(DOING).await,
        }
    }

    /// Moves what was kept from SQLite's log into the database itself, so that its one file is
    /// whole. It does so by itself when the last connection ends, if that one may write, and ours
    /// may not.
    pub(crate) fn tidy_up(&mut self) -> Result<(), Error> {
        match &mut self.driver {
            // Without waiting for readers: meanwhile nobody could write, and a command that ends
            // beside a running server must not hold it up.
            Driver::Sqlite(it) => it.script(
                "emptying the log",
                "pragma busy_timeout = 0; pragma wal_checkpoint(truncate)",
            ),
            Driver::Postgres(_) => Ok(()),
        }
    }

    /// Lets go of the memory that a connection to SQLite keeps for what was read. PostgreSQL's is its
    /// own affair.
    pub(crate) fn forget_what_was_read(&mut self) -> Result<(), Error> {
        match &mut self.driver {
            Driver::Sqlite(it) => it.script("letting go of memory", "pragma shrink_memory"),
            Driver::Postgres(_) => Ok(()),
        }
    }

    /// Does what SQLite's log needs now and then, when nobody waits for an answer, and says whether it
    /// did. Fails where the disk cannot be trusted any more.
    pub(crate) fn shorten_log(&mut self) -> Result<bool, Error> {
        match &mut self.driver {
            Driver::Sqlite(it) => it.shorten_log("moving the log into the database"),
            Driver::Postgres(_) => Ok(false),
        }
    }

    /// Leaves nothing in SQLite's log of what was overwritten or deleted; says whether that was done.
    /// It is not while somebody reads what is in it.
    pub(crate) fn empty_log(&mut self) -> Result<bool, Error> {
        match &mut self.driver {
            Driver::Sqlite(it) => it.empty_log("emptying the log"),
            Driver::Postgres(_) => Ok(true),
        }
    }

    /// Writes zeros over what some pages of SQLite's file still hold of records that are elsewhere by now, in
    /// a transaction of their own. Says at which page to go on, and 0 after the last.
    pub(crate) fn scrub(&mut self, from: u32) -> Result<u32, Error> {
        if self.engine() == Engine::Postgres {
            return Ok(0);
        }
        let scrubbed = finish(async {
            self.begin()?;
            let next = match &mut self.driver {
                Driver::Sqlite(it) => it.scrub("writing over what is left", from)?,
                Driver::Postgres(_) => 0,
            };
            self.commit().await?;
            Ok(next)
        });
        if scrubbed.is_err() {
            let _ = finish(self.roll_back());
        }
        scrubbed
    }

    /// Begins to take rows in bulk, on PostgreSQL and within a transaction.
    pub(crate) async fn copy_in(
        &mut self,
        doing: &'static str,
        sql: &'static str,
    ) -> Result<CopyIn, Error> {
        match &mut self.driver {
            Driver::Sqlite(_) => unreachable!("nothing is moved to an embedded database"),
            Driver::Postgres(it) => it.copy_in(doing, sql).await,
        }
    }

    /// Runs several statements without parameters, as migrations and settings are.
    pub(crate) async fn script(&mut self, doing: &'static str, sql: &str) -> Result<(), Error> {
        match &mut self.driver {
            Driver::Sqlite(it) => it.script(doing, sql),
            Driver::Postgres(it) => it.script(doing, sql).await,
        }
    }
}

impl Row<'_> {
    pub(crate) fn text(&self, column: usize) -> Result<String, Error> {
        match self {
            Row::Sqlite(row) => crate::sqlite::column(row, column),
            Row::Postgres(row) => crate::postgres::column(row, column),
        }
    }

    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<String>, Error> {
        match self {
            Row::Sqlite(row) => crate::sqlite::column(row, column),
            Row::Postgres(row) => crate::postgres::column(row, column),
        }
    }

    pub(crate) fn integer(&self, column: usize) -> Result<i64, Error> {
        self.optional_integer(column)?
            .ok_or_else(|| Error::Corrupt(format!("column {column} is empty")))
    }

    pub(crate) fn optional_integer(&self, column: usize) -> Result<Option<i64>, Error> {
        match self {
            Row::Sqlite(row) => crate::sqlite::column(row, column),
            Row::Postgres(row) => crate::postgres::integer(row, column),
        }
    }

    /// The last column, where the others are read by somebody else.
    pub(crate) fn last_number(&self) -> Result<u64, Error> {
        self.number(self.columns() - 1)
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Row::Sqlite(row) => row.as_ref().column_count(),
            Row::Postgres(row) => row.len(),
        }
    }

    /// A column of whatever kind.
    pub(crate) fn kept(&self, column: usize) -> Result<Kept<'_>, Error> {
        match self {
            Row::Sqlite(row) => crate::sqlite::kept(row, column),
            Row::Postgres(row) => crate::postgres::kept(row, column),
        }
    }

    /// A count, a version or a number: never negative.
    pub(crate) fn number(&self, column: usize) -> Result<u64, Error> {
        let value = self.integer(column)?;
        u64::try_from(value).map_err(|_| Error::Corrupt(format!("a count is {value}")))
    }

    /// The same, where there may be none.
    pub(crate) fn optional_number(&self, column: usize) -> Result<Option<u64>, Error> {
        match self.optional_integer(column)? {
            None => Ok(None),
            Some(_) => self.number(column).map(Some),
        }
    }

    pub(crate) fn time(&self, column: usize) -> Result<Timestamp, Error> {
        time(self.integer(column)?)
    }

    pub(crate) fn optional_time(&self, column: usize) -> Result<Option<Timestamp>, Error> {
        self.optional_integer(column)?.map(time).transpose()
    }

    /// An id or a name that only we wrote.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T, Error> {
        let text = self.text(column)?;
        text.parse().map_err(|_| Error::Corrupt(format!("column {column} holds an unknown word")))
    }

    /// The id of a user or a group.
    pub(crate) fn resource_id(&self, column: usize) -> Result<directory::ResourceId, Error> {
        let Kept::Text(text) = self.kept(column)? else {
            return Err(Error::Corrupt(format!("column {column} is not the id of a resource")));
        };
        directory::ResourceId::parse(text)
            .ok_or_else(|| Error::Corrupt(format!("`{text}` is not the id of a resource")))
    }
}

/// As many rows were changed as were to be.
pub(crate) fn expect_rows(changed: usize, expected: usize) -> Result<(), Error> {
    if changed == expected {
        Ok(())
    } else {
        Err(Error::Corrupt("a record is not where it was".to_owned()))
    }
}

/// Whether somebody still waits.
fn check(wanted: Option<&Weak<()>>) -> Result<(), Error> {
    let is_wanted = wanted.is_none_or(|wanted| wanted.strong_count() > 0);
    if is_wanted { Ok(()) } else { Err(Error::Abandoned) }
}

fn time(microseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| Error::Corrupt(format!("a time is {microseconds} microseconds")))
}

/// A count, for a statement. What we count stays far below 2^63; who asks for more rows than that
/// gets all there are.
pub(crate) fn count<'a>(value: u64) -> Value<'a> {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The longest key that is kept as it is, in bytes. An entry of an index of PostgreSQL has to fit on
/// a third of a page, together with the ids beside it.
const KEY_BYTES_MAX: usize = 1024;

/// A key as it is kept and looked for: a longer one by its beginning and a digest of all of it. The
/// same on every kind of database, so that one can be moved to another as it is.
pub(crate) fn key(text: &str) -> Cow<'_, str> {
    if text.len() <= KEY_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let beginning = &text[..text.floor_char_boundary(KEY_BYTES_MAX)];
    Cow::Owned(format!("{beginning}\u{1}{}", hex(&Sha256::digest(text))))
}

/// Runs to its end on this thread, which sleeps where there is something to wait for. Not for
/// threads that serve requests.
pub(crate) fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // On SQLite the first poll is the last, and needs nobody to be woken.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = Waker::from(Arc::new(Sleeper(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // Whoever woke it before it slept is not missed: then this returns at once.
        std::thread::park();
    }
}

/// A thread that sleeps until there is something to do.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_waits_is_finished_when_it_is_woken() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waker = std::thread::spawn(move || {
            std::thread::park_timeout(Duration::from_millis(20));
            sender.send(7).unwrap();
        });
        assert_eq!(finish(receiver), Ok(7));
        waker.join().unwrap();
    }
}
