//! One connection to the database: run a statement, read rows.
//!
//! Everything above is written once over this, as `async` functions over plain statements with
//! `$1`. On SQLite nothing ever really waits: a session is used on a thread of its own, and
//! [`at_once`] runs the functions to their end without a runtime. A database across a network
//! joins as another kind of session, where the same functions wait.

use std::pin::pin;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};

use crate::error::{Doing, Error};
use crate::sqlite::Doubt;

/// A connection.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// Whoever waits for what is read holds the other end; where nobody does, nothing is read.
    wanted: Option<Weak<()>>,
    /// What is known of the disk below.
    doubt: Doubt,
}

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Integer(i64),
    Time(Timestamp),
}

/// A row of an answer, read by column number.
#[derive(Debug)]
pub(crate) struct Row<'a>(&'a rusqlite::Row<'a>);

/// Whether to go on reading rows.
pub(crate) type Flow = std::ops::ControlFlow<()>;

#[expect(clippy::unused_async, reason = "on a database across a network these wait")]
impl Session {
    pub(crate) fn new(connection: Connection) -> Session {
        // A few dozen statements in all; none is parsed twice.
        connection.set_prepared_statement_cache_capacity(128);
        Session { connection, wanted: None, doubt: Doubt::default() }
    }

    /// The session that writes.
    pub(crate) fn with_doubt(connection: Connection, doubt: Doubt) -> Session {
        Session { doubt, ..Session::new(connection) }
    }

    /// Whether it is not known any more what is on the disk, though nothing was refused.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubt.is_there()
    }

    /// Tells the next start that it is not known what is on the disk.
    pub(crate) fn leave_mark(&self) {
        self.doubt.leave_mark();
    }

    /// Reads for somebody who may go away meanwhile, and no longer for whoever was here before.
    pub(crate) fn read_for(&mut self, wanted: Weak<()>) {
        self.wanted = Some(wanted);
    }

    /// Whether somebody still waits. Asked for each row, so that a list which nobody will see ends
    /// wherever it is.
    fn check_wanted(&self) -> Result<(), Error> {
        let is_wanted = self.wanted.as_ref().is_none_or(|wanted| wanted.strong_count() > 0);
        if is_wanted { Ok(()) } else { Err(Error::Abandoned) }
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn run(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Error> {
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        bind(&mut statement, values).doing(doing)?;
        statement.raw_execute().doing(doing)
    }

    /// Runs a query and hands over each row, until told to stop.
    pub(crate) async fn each(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<Flow, Error>,
    ) -> Result<(), Error> {
        self.check_wanted()?;
        let mut statement = self.connection.prepare_cached(sql).doing(doing)?;
        bind(&mut statement, values).doing(doing)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().doing(doing)? {
            self.check_wanted()?;
            if read(&Row(row))?.is_break() {
                break;
            }
        }
        Ok(())
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
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        self.connection.execute_batch("begin immediate").doing("beginning to write")
    }

    /// Begins to read one state of the whole database.
    pub(crate) async fn begin_reading(&mut self) -> Result<(), Error> {
        self.run("beginning to read", "begin deferred", &[]).await.map(drop)
    }

    /// Keeps what was written. When this returns, it is on the disk.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        self.connection.execute_batch("commit").doing("keeping what was written")
    }

    /// Ends a transaction without keeping anything; does nothing where there is none.
    pub(crate) async fn roll_back(&mut self) -> Result<(), Error> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.run("undoing what was written", "rollback", &[]).await.map(drop)
    }

    /// Moves what was kept from the log into the database itself, so that its one file is whole.
    /// SQLite does so when the last connection ends, if that one may write, and ours may not.
    pub(crate) async fn tidy_up(&mut self) -> Result<(), Error> {
        // Without waiting for readers: meanwhile nobody could write, and a command that ends beside
        // a running server must not hold it up.
        let sql = "pragma busy_timeout = 0; pragma wal_checkpoint(truncate)";
        self.connection.execute_batch(sql).doing("emptying the log")
    }

    /// Runs several statements without parameters, as migrations and settings are.
    pub(crate) async fn script(&mut self, doing: &'static str, sql: &str) -> Result<(), Error> {
        self.connection.execute_batch(sql).doing(doing)
    }
}

impl Row<'_> {
    fn get<T: rusqlite::types::FromSql>(&self, column: usize) -> Result<T, Error> {
        self.0.get(column).doing("reading a column")
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, Error> {
        self.get(column)
    }

    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<String>, Error> {
        self.get(column)
    }

    pub(crate) fn integer(&self, column: usize) -> Result<i64, Error> {
        self.get(column)
    }

    /// The last column, where the others are read by somebody else.
    pub(crate) fn last_number(&self) -> Result<u64, Error> {
        self.number(self.0.as_ref().column_count() - 1)
    }

    /// A count, a version or a number: never negative.
    pub(crate) fn number(&self, column: usize) -> Result<u64, Error> {
        let value = self.integer(column)?;
        u64::try_from(value).map_err(|_| Error::Corrupt(format!("a count is {value}")))
    }

    pub(crate) fn time(&self, column: usize) -> Result<Timestamp, Error> {
        let value = self.integer(column)?;
        Timestamp::from_microsecond(value)
            .map_err(|_| Error::Corrupt(format!("a time is {value} microseconds")))
    }

    pub(crate) fn optional_time(&self, column: usize) -> Result<Option<Timestamp>, Error> {
        match self.get::<Option<i64>>(column)? {
            None => Ok(None),
            Some(_) => self.time(column).map(Some),
        }
    }

    /// An id or a name that only we wrote.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T, Error> {
        let text = self.text(column)?;
        text.parse().map_err(|_| Error::Corrupt(format!("column {column} holds an unknown word")))
    }

    /// The id of a user or a group.
    pub(crate) fn resource_id(&self, column: usize) -> Result<directory::ResourceId, Error> {
        let text = self.text(column)?;
        directory::ResourceId::parse(&text)
            .ok_or_else(|| Error::Corrupt(format!("`{text}` is not the id of a resource")))
    }
}

/// Gives `$1` the first value, wherever it stands. To SQLite `$1` is a name like any other: it
/// numbers parameters in the order in which they first appear, so binding by place would give the
/// first value to whichever comes first.
fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    let count = statement.parameter_count();
    if count != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(values.len(), count));
    }
    for place in 1..=count {
        let number = statement
            .parameter_name(place)
            .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok())
            .filter(|number| (1..=count).contains(number))
            .ok_or_else(|| rusqlite::Error::InvalidParameterName("not a number".into()))?;
        statement.raw_bind_parameter(place, values[number - 1])?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Text(text) | Value::OptionalText(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::OptionalText(None) => ValueRef::Null,
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Time(time) => ValueRef::Integer(time.as_microsecond()),
        }))
    }
}

/// A count, for a statement. What we count stays far below 2^63; who asks for more rows than that
/// gets all there are.
pub(crate) fn count<'a>(value: u64) -> Value<'a> {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Runs to its end what never waits.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a session on SQLite never waits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_by_their_number_wherever_it_stands() {
        let mut session = Session::new(Connection::open_in_memory().unwrap());
        let values = [Value::Text("one"), Value::Integer(2), Value::Text("three")];
        let row = at_once(session.first("", "select $3, $1, $2, $1", &values, |row| {
            Ok((row.text(0)?, row.text(1)?, row.integer(2)?, row.text(3)?))
        }));
        let expected = ("three".to_owned(), "one".to_owned(), 2, "one".to_owned());
        assert_eq!(row.unwrap(), Some(expected));
    }

    #[test]
    fn a_statement_with_other_parameters_than_values_is_an_error() {
        let mut session = Session::new(Connection::open_in_memory().unwrap());
        let values = [Value::Integer(1), Value::Integer(2)];
        for sql in ["select $1", "select $1, $3", "select $1, ?2", "select $1, $two", "select 1"] {
            assert!(at_once(session.run("", sql, &values)).is_err(), "{sql}");
        }
    }
}
