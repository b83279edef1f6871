//! A session on PostgreSQL.
//!
//! It connects when it is first used and again after the connection was lost, so that nothing has
//! to be started anew when the database comes back. What was begun on a lost connection is not
//! repeated here: whoever asked decides whether it may be.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{SinkExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, Config, CopyInSink, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, PostgresError};
use crate::session::{self, Flow, Kept, Row, Session, Value, expect_rows};
use crate::tls;

/// The oldest version that is supported by those who make it.
const VERSION_MIN: i64 = 140_000;

/// How long to wait for a connection. A request waits meanwhile, and its sender has a limit too.
const CONNECTING_MAX: Duration = Duration::from_secs(5);

/// After how long a database that says nothing at all, not even that it has heard us, is taken for
/// gone: its machine lost its power, or the network between.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// For how long an answer is waited for: longer than the database itself lets a statement take. One
/// that lives and says nothing, because its process or its disk hangs, must not hold us for ever.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// For what takes as long as it takes: a migration, a move.
const ANSWER_MAX_PATIENT: Duration = Duration::from_hours(24);

/// What each connection is told first. A statement or a lock that takes longer than a request may
/// is given up, and so is the transaction of a node that fell asleep in the middle of it: others
/// wait for its locks. Commits are on the disk before they are answered, whatever the database's
/// own setting; stricter ones, which wait for replicas, stay.
///
/// Every statement of ours has the index that it is to use, and what is known of a table lags behind
/// when a directory of a million people arrives within minutes: so nothing is left to be guessed,
/// and statements are planned once.
const SETTINGS: &str = "\
    set statement_timeout = '30s';
    set lock_timeout = '2s';
    set idle_in_transaction_session_timeout = '10s';
    set client_min_messages = 'warning';
    set enable_seqscan = off;
    set enable_hashjoin = off;
    set enable_mergejoin = off;
    set plan_cache_mode = 'force_generic_plan';
    set jit = off;
    select set_config('synchronous_commit', 'on', false)
    where current_setting('synchronous_commit') in ('off', 'local', 'remote_write');
";

/// How connections are made.
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    /// Where what a connection does in the background runs.
    runtime: Handle,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration holds a password.
        f.write_str("Connector")
    }
}

impl Connector {
    /// For a database that its URL names. Nothing is connected yet.
    pub(crate) fn new(url: &str) -> Result<Arc<Connector>, Error> {
        let (mut config, tls) = tls::read(url)?;
        config
            .application_name("roster")
            .connect_timeout(CONNECTING_MAX)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(SILENCE_MAX)
            .keepalives_interval(SILENCE_MAX / 5)
            .keepalives_retries(3)
            // Of several hosts, the one that can be written to: a standby serves nobody.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let tls = MakeRustlsConnect::new(tls);
        Ok(Arc::new(Connector { config, tls, runtime: Handle::current() }))
    }

    /// A session, which connects when it is first used.
    pub(crate) fn session(self: &Arc<Connector>) -> Session {
        Session::postgres(Postgres {
            connector: Arc::clone(self),
            live: None,
            transaction: Transaction::None,
            patience: ANSWER_MAX,
            under_way: Vec::new(),
        })
    }

    async fn connect(&self) -> Result<Live, PostgresError> {
        let (config, tls) = (self.config.clone(), self.tls.clone());
        // Sockets and timers belong to a runtime, and this thread has none.
        let connecting = self.runtime.spawn(async move {
            let connected = tokio::time::timeout(2 * CONNECTING_MAX, config.connect(tls)).await;
            let connected =
                connected.map_err(|_| PostgresError::unreachable("it does not answer"))?;
            let (client, connection) = connected.map_err(|error| {
                let hint = tls::hint(&error);
                PostgresError::from(error).with_hint(hint)
            })?;
            // Ends with the client. What goes wrong is told to whoever waits for an answer.
            tokio::spawn(connection);
            client.batch_execute(SETTINGS).await?;
            Ok::<_, PostgresError>(client)
        });
        let client =
            connecting.await.map_err(|_| PostgresError::unreachable("we are stopping"))??;
        let client = Arc::new(client);
        Ok(Live { client, runtime: self.runtime.clone(), statements: HashMap::new() })
    }
}

/// A connection, or the place of one.
#[derive(Debug)]
pub(crate) struct Postgres {
    connector: Arc<Connector>,
    live: Option<Live>,
    transaction: Transaction,
    /// For how long an answer is waited for.
    patience: Duration,
    /// What was sent, in its order, and is not answered yet.
    under_way: Vec<UnderWay>,
}

/// A statement that was sent, and nobody has waited for.
struct UnderWay {
    doing: &'static str,
    /// Rows that it is to change.
    rows: usize,
    running: Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send>>,
}

impl std::fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.doing)
    }
}

/// What is open on a connection.
#[derive(Clone, Copy, Debug)]
enum Transaction {
    None,
    /// One is wanted. The statement that begins it travels with the first one in it.
    Wanted(Begin),
    Begun(Begin),
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Each statement sees what was kept before it, which is what whoever waited for a row's lock
    /// has to see.
    ToWrite,
    /// All statements see one state.
    ToRead,
}

impl Begin {
    const fn sql(self) -> &'static str {
        match self {
            Begin::ToWrite => "begin isolation level read committed",
            Begin::ToRead => "begin isolation level repeatable read read only",
        }
    }
}

/// A connection that was made.
struct Live {
    client: Arc<Client>,
    /// Where its connection runs.
    runtime: Handle,
    /// A few dozen; none is parsed twice.
    statements: HashMap<&'static str, Statement>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

impl Postgres {
    /// The connection, and what is open on it. Within a transaction a lost connection is not
    /// replaced: what was done on it is gone.
    async fn live(&mut self) -> Result<(&mut Live, &mut Transaction), PostgresError> {
        let is_lost = self.live.as_ref().is_none_or(|it| it.client.is_closed());
        if is_lost {
            if matches!(self.transaction, Transaction::Begun(_)) {
                return Err(PostgresError::unreachable("the connection was lost"));
            }
            self.live = None;
            self.live = Some(self.connector.connect().await?);
        }
        let live = self.live.as_mut().expect("it is there, or was just made");
        Ok((live, &mut self.transaction))
    }

    pub(crate) async fn run(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Error> {
        self.execute(doing, sql, parameters(values)).await
    }

    pub(crate) async fn run_many<const N: usize>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<usize, Error> {
        let columns = columns(rows);
        let parameters = columns.iter().map(|column| column as &(dyn ToSql + Sync));
        self.execute(doing, sql, parameters).await
    }

    /// Sends a statement for many rows, each of which is to change exactly one, and goes on without
    /// the answer: a batch writes to half a dozen tables, and so travels once instead of each time.
    /// Whether all went well is what [`settle`](Postgres::settle) says, or the next that fails.
    pub(crate) async fn send_each<const N: usize>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), Error> {
        if !matches!(self.transaction, Transaction::Begun(_)) {
            return expect_rows(self.run_many(doing, sql, rows).await?, rows.len());
        }
        let send = async {
            let (live, _) = self.live().await?;
            let statement = live.prepared(sql).await?;
            let columns = columns(rows);
            let parameters = columns.iter().zip(statement.params());
            let parameters: Vec<Encoded> =
                parameters.map(|(column, ty)| Encoded::of(column, ty)).collect();
            let client = Arc::clone(&live.client);
            Ok(Box::pin(async move { client.execute_raw(&statement, parameters).await }))
        };
        let sent: Result<Pin<Box<_>>, PostgresError> = send.await;
        let mut running: Pin<Box<dyn Future<Output = _> + Send>> = match sent {
            Ok(running) => running,
            Err(source) => return Err(self.failed(doing, source).await),
        };
        // To be asked once is enough to be sent.
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(answer) = running.as_mut().poll(&mut context) {
            running = Box::pin(std::future::ready(answer));
        }
        self.under_way.push(UnderWay { doing, rows: rows.len(), running });
        Ok(())
    }

    /// Waits for the answers to all that was sent; the first that is bad is the one that counts.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        for UnderWay { doing, rows, running } in std::mem::take(&mut self.under_way) {
            let Some(live) = &self.live else {
                let lost = PostgresError::unreachable("the connection was lost");
                return Err(Error::postgres(doing, lost));
            };
            match in_time(&live.runtime, self.patience, running).await {
                Ok(changed) => {
                    expect_rows(usize::try_from(changed).unwrap_or(usize::MAX), rows)?;
                }
                Err(source) => return Err(self.let_go(doing, source)),
            }
        }
        Ok(())
    }

    async fn execute<'a>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        parameters: impl ExactSizeIterator<Item = &'a (dyn ToSql + Sync)>,
    ) -> Result<usize, Error> {
        let patience = self.patience;
        let run = async {
            let (live, transaction) = self.live().await?;
            let statement = live.prepared(sql).await?;
            let running = live.client.execute_raw(&statement, parameters);
            let changed = after(transaction, live, patience, running).await?;
            Ok(usize::try_from(changed).unwrap_or(usize::MAX))
        };
        match run.await {
            Ok(changed) => Ok(changed),
            Err(source) => Err(self.failed(doing, source).await),
        }
    }

    pub(crate) async fn each(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<Flow, Error>,
    ) -> Result<(), Error> {
        self.query(doing, sql, parameters(values), read).await
    }

    pub(crate) async fn each_of_many<const N: usize>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
        mut read: impl FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let columns = columns(rows);
        let parameters = columns.iter().map(|column| column as &(dyn ToSql + Sync));
        self.query(doing, sql, parameters, |row| read(row).map(Flow::Continue)).await
    }

    async fn query<'a>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        parameters: impl ExactSizeIterator<Item = &'a (dyn ToSql + Sync)>,
        mut read: impl FnMut(&Row<'_>) -> Result<Flow, Error>,
    ) -> Result<(), Error> {
        let patience = self.patience;
        let ask = async {
            let (live, transaction) = self.live().await?;
            let statement = live.prepared(sql).await?;
            let asking = live.client.query_raw(&statement, parameters);
            after(transaction, live, patience, asking).await
        };
        let rows = match ask.await {
            Ok(rows) => rows,
            Err(source) => return Err(self.failed(doing, source).await),
        };
        let mut rows = std::pin::pin!(rows);
        loop {
            let row = match rows.try_next().await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(source) => return Err(self.failed(doing, source.into()).await),
            };
            if read(&Row::Postgres(&row))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) async fn script(&mut self, doing: &'static str, sql: &str) -> Result<(), Error> {
        let patience = self.patience;
        let run = async {
            let (live, transaction) = self.live().await?;
            after(transaction, live, patience, live.client.batch_execute(sql)).await
        };
        match run.await {
            Ok(()) => Ok(()),
            Err(source) => Err(self.failed(doing, source).await),
        }
    }

    /// Begins to take rows in bulk, in the text format of `copy`.
    pub(crate) async fn copy_in(
        &mut self,
        doing: &'static str,
        sql: &'static str,
    ) -> Result<CopyIn, Error> {
        self.settle().await?;
        let patience = self.patience;
        let begin = async {
            let (live, transaction) = self.live().await?;
            let sink = after(transaction, live, patience, live.client.copy_in(sql)).await?;
            Ok(CopyIn { doing, sink: Box::pin(sink), runtime: live.runtime.clone(), patience })
        };
        begin.await.map_err(|source| Error::postgres(doing, source))
    }

    /// Waits for answers as long as they take, or as usual.
    pub(crate) fn be_patient(&mut self, is_patient: bool) {
        self.patience = if is_patient { ANSWER_MAX_PATIENT } else { ANSWER_MAX };
    }

    /// Why something failed: because of what was sent before it, where that went wrong.
    async fn failed(&mut self, doing: &'static str, source: PostgresError) -> Error {
        let first = self.settle().await.err();
        let error = self.let_go(doing, source);
        first.unwrap_or(error)
    }

    /// A connection to a database that is away is not used again.
    fn let_go(&mut self, doing: &'static str, source: PostgresError) -> Error {
        if source.is_away() {
            self.live = None;
        }
        Error::postgres(doing, source)
    }

    /// Begins a transaction with the next statement, on a new connection where the last was lost.
    pub(crate) fn begin(&mut self, begin: Begin) {
        self.transaction = Transaction::Wanted(begin);
        self.under_way.clear();
    }

    /// Ends a transaction; whether it was kept is not known where this fails.
    ///
    /// A transaction in which a statement has failed is undone by its commit, which PostgreSQL answers
    /// with `ROLLBACK` and without an error. The driver does not tell the one from the other, and who
    /// did not read a statement's rows to their end has not seen that it failed. So a statement goes
    /// before the commit, in the same message, that such a transaction refuses.
    pub(crate) async fn commit(&mut self, doing: &'static str) -> Result<(), Error> {
        self.settle().await?;
        self.end(doing, "select 1; commit").await
    }

    pub(crate) async fn roll_back(&mut self, doing: &'static str) -> Result<(), Error> {
        self.under_way.clear();
        if self.live.as_ref().is_none_or(|it| it.client.is_closed()) {
            // The database has undone it by itself.
            self.transaction = Transaction::None;
            self.live = None;
            return Ok(());
        }
        if let (Transaction::Begun(Begin::ToRead), Some(live)) = (self.transaction, &self.live) {
            self.transaction = Transaction::None;
            // Nothing depends on the answer, so nobody waits for it: to be asked once is enough to
            // be sent, and whatever is sent next on this connection comes after it.
            let mut ending = std::pin::pin!(live.client.batch_execute("rollback"));
            let _ = ending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            return Ok(());
        }
        self.end(doing, "rollback").await
    }

    async fn end(&mut self, doing: &'static str, sql: &'static str) -> Result<(), Error> {
        if !matches!(self.transaction, Transaction::Begun(_)) {
            // Nothing was done in it, or there is none.
            self.transaction = Transaction::None;
            return Ok(());
        }
        let ended = self.script(doing, sql).await;
        self.transaction = Transaction::None;
        if ended.is_err() {
            // Whatever state it is in, nobody else shall find it so.
            self.live = None;
        }
        ended
    }
}

/// Asks the database for something, after a transaction was begun where one is wanted. Both are sent
/// at once, in this order.
async fn after<T>(
    transaction: &mut Transaction,
    live: &Live,
    patience: Duration,
    asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    let wanted = match *transaction {
        Transaction::Wanted(begin) => Some(begin),
        Transaction::None | Transaction::Begun(_) => None,
    };
    let both = async {
        let Some(begin) = wanted else { return asking.await };
        *transaction = Transaction::Begun(begin);
        let beginning = live.client.batch_execute(begin.sql());
        let (begun, answer) = futures_util::future::join(beginning, asking).await;
        begun.and(answer)
    };
    in_time(&live.runtime, patience, both).await
}

/// Waits for an answer, and no longer than that.
async fn in_time<T>(
    runtime: &Handle,
    patience: Duration,
    asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    let asking = {
        // Timers belong to a runtime, and this thread has none.
        let _inside = runtime.enter();
        tokio::time::timeout(patience, asking)
    };
    Ok(asking.await.map_err(|_| PostgresError::unreachable("it does not answer"))??)
}

/// The way into a table. What is sent is kept when it has ended, by the transaction.
pub(crate) struct CopyIn {
    doing: &'static str,
    sink: Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>,
    runtime: Handle,
    /// For how long an answer is waited for.
    patience: Duration,
}

impl std::fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CopyIn")
    }
}

impl CopyIn {
    /// Sends lines, as fast as the database takes them.
    pub(crate) async fn send(&mut self, lines: Vec<u8>) -> Result<(), Error> {
        let sending = self.sink.send(Cursor::new(lines));
        let sent = in_time(&self.runtime, self.patience, sending).await;
        sent.map_err(|source| Error::postgres(self.doing, source))
    }

    /// Waits until all of them are in the table.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        let ended = in_time(&self.runtime, self.patience, self.sink.as_mut().finish()).await;
        ended.map(drop).map_err(|source| Error::postgres(self.doing, source))
    }
}

/// Rows as lines of the text format of `copy`.
pub(crate) fn lines<const N: usize>(rows: &[[Value<'_>; N]]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(rows.len() * 64 * N);
    for row in rows {
        for (column, value) in row.iter().enumerate() {
            if column > 0 {
                lines.push(b'\t');
            }
            match *value {
                Value::Integer(_) | Value::Time(_) => {
                    write!(lines, "{}", as_integer(*value)).expect("memory takes it");
                }
                value => match as_text(value) {
                    Some(text) => push_text(&text, &mut lines),
                    None => lines.extend_from_slice(br"\N"),
                },
            }
        }
        lines.push(b'\n');
    }
    lines
}

/// A text as it stands in a line of the text format of `copy`.
pub(crate) fn push_text(text: &str, line: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    let is_special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    while let Some(at) = rest.iter().position(is_special) {
        line.extend_from_slice(&rest[..at]);
        line.extend_from_slice(match rest[at] {
            b'\t' => br"\t",
            b'\n' => br"\n",
            b'\r' => br"\r",
            _ => br"\\",
        });
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
}

impl Live {
    async fn prepared(&mut self, sql: &'static str) -> Result<Statement, PostgresError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// The values of one column, of many rows.
enum Column<'a> {
    Texts(Vec<Option<Cow<'a, str>>>),
    Integers(Vec<i64>),
}

impl std::fmt::Debug for Column<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As a `Value`: a driver writes parameters into the log.
        f.write_str("Column")
    }
}

fn columns<'a, const N: usize>(rows: &[[Value<'a>; N]]) -> Vec<Column<'a>> {
    (0..N).map(|column| Column::of(rows, column)).collect()
}

impl<'a> Column<'a> {
    fn of<const N: usize>(rows: &[[Value<'a>; N]], column: usize) -> Column<'a> {
        let values = rows.iter().map(|row| row[column]);
        if matches!(rows[0][column], Value::Integer(_) | Value::Time(_)) {
            Column::Integers(values.map(as_integer).collect())
        } else {
            Column::Texts(values.map(as_text).collect())
        }
    }
}

fn as_integer(value: Value<'_>) -> i64 {
    match value {
        Value::Integer(integer) => integer,
        Value::Time(time) => time.as_microsecond(),
        _ => unreachable!("a column has values of one type"),
    }
}

fn as_text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(text.into()),
        Value::OptionalText(text) => text.map(Cow::Borrowed),
        Value::Key(text) => Some(session::key(text)),
        Value::OptionalKey(text) => text.map(session::key),
        _ => unreachable!("a column has values of one type"),
    }
}

/// PostgreSQL knows no NUL in text. Nothing that is kept has one, because admission refuses it, so
/// whoever asks for one is to find nothing: no text of ours has this in its place.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFF}").into() } else { text.into() }
}

impl ToSql for Column<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Column::Texts(texts) => texts.to_sql(ty, out),
            Column::Integers(integers) => integers.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A parameter as it travels, which borrows nothing.
struct Encoded(Result<(IsNull, BytesMut), String>);

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As a `Value`: a driver writes parameters into the log.
        f.write_str("Encoded")
    }
}

impl Encoded {
    fn of(column: &Column<'_>, ty: &Type) -> Encoded {
        let mut bytes = BytesMut::new();
        let encoded = column.to_sql(ty, &mut bytes);
        Encoded(encoded.map(|is_null| (is_null, bytes)).map_err(|error| error.to_string()))
    }
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Ok((IsNull::Yes, _)) => Ok(IsNull::Yes),
            Ok((IsNull::No, bytes)) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            Err(error) => Err(error.as_str().into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn parameters<'a>(
    values: &'a [Value<'a>],
) -> impl ExactSizeIterator<Item = &'a (dyn ToSql + Sync)> + 'a {
    values.iter().map(|value| value as &(dyn ToSql + Sync))
}

/// A column of a row.
pub(crate) fn column<'a, T: FromSql<'a>>(
    row: &'a tokio_postgres::Row,
    column: usize,
) -> Result<T, Error> {
    row.try_get(column).map_err(|source| Error::postgres("reading a column", source.into()))
}

/// A column of whatever kind.
pub(crate) fn kept(row: &tokio_postgres::Row, place: usize) -> Result<Kept<'_>, Error> {
    match *row.columns()[place].type_() {
        Type::TEXT => Ok(column::<Option<&str>>(row, place)?.map_or(Kept::Nothing, Kept::Text)),
        _ => Ok(integer(row, place)?.map_or(Kept::Nothing, Kept::Integer)),
    }
}

/// A column of whole numbers, of whatever width.
pub(crate) fn integer(row: &tokio_postgres::Row, place: usize) -> Result<Option<i64>, Error> {
    match *row.columns()[place].type_() {
        Type::INT2 => Ok(column::<Option<i16>>(row, place)?.map(i64::from)),
        Type::INT4 => Ok(column::<Option<i32>>(row, place)?.map(i64::from)),
        _ => column(row, place),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let integer = |value: i64, out: &mut BytesMut| match *ty {
            Type::INT2 => i16::try_from(value)?.to_sql(ty, out),
            Type::INT4 => i32::try_from(value)?.to_sql(ty, out),
            _ => value.to_sql(ty, out),
        };
        match self {
            Value::OptionalText(None) | Value::OptionalKey(None) => Ok(IsNull::Yes),
            Value::Text(text) | Value::OptionalText(Some(text)) => {
                without_nul(text).to_sql(ty, out)
            }
            Value::Key(text) | Value::OptionalKey(Some(text)) => {
                without_nul(&session::key(text)).to_sql(ty, out)
            }
            Value::Integer(value) => integer(*value, out),
            Value::Time(time) => integer(time.as_microsecond(), out),
            Value::Texts(texts) => texts.to_sql(ty, out),
            Value::Integers(integers) => integers.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // What does not fit is an error of ours, and found by the first test that runs it.
        true
    }

    to_sql_checked!();
}

/// What is to be known of a database before anything is done in it.
#[derive(Debug)]
struct Found {
    version: i64,
    version_name: String,
    encoding: String,
    /// Tables that no extension has brought.
    tables: u64,
    /// The comment on the table `migrations`, if there is one.
    mark: String,
    /// Where tables are created; empty where there is no such place.
    schema: String,
    /// `on`, unless somebody does not care for what is kept.
    fsync: String,
    full_page_writes: String,
}

/// Looks whether this is a database that we can work with.
pub(crate) async fn check(session: &mut Session) -> Result<(), Error> {
    let found = session
        .first(
            "looking which database this is",
            "select current_setting('server_version_num')::integer,
                    current_setting('server_version'), current_setting('server_encoding'),
                    (select count(*) from pg_class c
                     join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = current_schema() and c.relkind in ('r', 'p')
                         and not exists (select 1 from pg_depend d
                                         where d.objid = c.oid and d.deptype = 'e')),
                    coalesce(obj_description(to_regclass('migrations'), 'pg_class'), ''),
                    coalesce(current_schema(), ''),
                    coalesce(current_setting('fsync', true), 'on'),
                    coalesce(current_setting('full_page_writes', true), 'on')",
            &[],
            |row| {
                Ok(Found {
                    version: row.integer(0)?,
                    version_name: row.text(1)?,
                    encoding: row.text(2)?,
                    tables: row.number(3)?,
                    mark: row.text(4)?,
                    schema: row.text(5)?,
                    fsync: row.text(6)?,
                    full_page_writes: row.text(7)?,
                })
            },
        )
        .await?;
    let found =
        found.ok_or_else(|| Error::Corrupt("the database does not know its version".to_owned()))?;
    if let Some(why) = found.objection() {
        return Err(Error::Migration(why));
    }
    for setting in found.careless_settings() {
        tracing::warn!(
            setting,
            "the database runs with `{setting} = off`: what was acknowledged is lost, or the whole \
             database, when its machine stops without warning. Turn it on, in `postgresql.conf`",
        );
    }
    Ok(())
}

impl Found {
    /// Why we cannot work with it, and what to do.
    fn objection(&self) -> Option<String> {
        let Found { version, version_name, encoding, tables, mark, schema, .. } = self;
        if *version < VERSION_MIN {
            Some(format!("the database is PostgreSQL {version_name}; 14 or later is required"))
        } else if encoding != "UTF8" {
            Some(format!(
                "the database keeps text as {encoding}; create one with `encoding 'UTF8' template \
                 template0`, people have names in every script"
            ))
        } else if schema.is_empty() {
            Some(
                "the database's user has no schema to create tables in; set its `search_path`, or \
                 grant it `usage` and `create` on the schema `public`"
                    .to_owned(),
            )
        } else if *tables > 0 && mark != MARK {
            Some(format!(
                "the schema `{schema}` of the database holds the tables of another application; \
                 give Roster a database or a schema of its own"
            ))
        } else {
            None
        }
    }

    /// With these off, the database itself forgets what it said that it keeps. What `synchronous_commit`
    /// is does not matter: [`SETTINGS`] say it for each connection.
    fn careless_settings(&self) -> impl Iterator<Item = &'static str> {
        let both = [("fsync", &self.fsync), ("full_page_writes", &self.full_page_writes)];
        both.into_iter().filter(|(_, value)| *value == "off").map(|(name, _)| name)
    }
}

/// The comment on our table of migrations: what tells our database from somebody else's.
pub(crate) const MARK: &str = "Roster";

#[cfg(test)]
mod tests {
    use claims::OwnDatabase;

    use super::*;
    use crate::session::finish;

    fn found() -> Found {
        Found {
            version: 150_018,
            version_name: "15.18".to_owned(),
            encoding: "UTF8".to_owned(),
            tables: 0,
            mark: String::new(),
            schema: "public".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
        }
    }

    #[test]
    fn a_database_that_cannot_be_used_is_refused_with_what_to_do() {
        #[track_caller]
        fn check(found: &Found, expected: Option<&str>) {
            let objection = found.objection();
            match expected {
                None => assert_eq!(objection, None),
                Some(words) => assert!(objection.unwrap().contains(words), "{found:?}"),
            }
        }
        let of_version =
            |version: i64, name: &str| Found { version, version_name: name.to_owned(), ..found() };
        check(&found(), None);
        check(&of_version(140_000, "14.0"), None);
        check(&of_version(190_000, "19beta1"), None);
        check(&of_version(130_022, "13.22"), Some("PostgreSQL 13.22; 14 or later"));
        check(&of_version(90_624, "9.6.24"), Some("PostgreSQL 9.6.24; 14 or later"));
        let latin = Found { encoding: "LATIN1".to_owned(), ..found() };
        check(&latin, Some("LATIN1; create one with `encoding 'UTF8'"));
        check(&Found { schema: String::new(), ..found() }, Some("`search_path`"));
        check(&Found { tables: 3, ..found() }, Some("another application"));
        check(&Found { tables: 3, mark: "Roster".to_owned(), ..found() }, None);
    }

    #[test]
    fn a_database_that_does_not_care_is_spoken_of() {
        let check = |fsync: &str, full_page_writes: &str, expected: &[&str]| {
            let (fsync, full_page_writes) = (fsync.to_owned(), full_page_writes.to_owned());
            let found = Found { fsync, full_page_writes, ..found() };
            assert_eq!(found.careless_settings().collect::<Vec<_>>(), expected);
        };
        check("on", "on", &[]);
        check("off", "on", &["fsync"]);
        check("off", "off", &["fsync", "full_page_writes"]);
    }

    #[tokio::test]
    async fn the_commit_of_a_failed_transaction_is_a_failure() {
        let Some(own) = OwnDatabase::make() else { return };
        let connector = Connector::new(&own.url()).unwrap();
        let committing = tokio::task::spawn_blocking(move || {
            let mut session = connector.session();
            finish(async {
                session.script("", "create table kept (it bigint)").await.unwrap();
                session.begin().unwrap();
                session.run("", "insert into kept values (1)", &[]).await.unwrap();
                // It fails after its first row, and nobody reads on.
                let sql = "select 1 / (2 - it) from generate_series(1, 2) it";
                let first = session.first("", sql, &[], |row| row.integer(0)).await.unwrap();
                assert_eq!(first, Some(1));
                let error = session.commit().await.unwrap_err();
                assert!(error.to_string().contains("keeping what was written"), "{error}");
                assert!(!error.is_lost_race() && !error.is_unreachable(), "{error:?}");
                let count = "select count(*) from kept";
                let count = session.first("", count, &[], |row| row.number(0)).await.unwrap();
                assert_eq!(count, Some(0));
            });
        });
        committing.await.unwrap();
    }

    #[tokio::test]
    async fn commits_wait_for_the_disk_whatever_the_database_says() {
        let Some(own) = OwnDatabase::make() else { return };
        for (setting, expected) in
            [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
        {
            own.run(&format!(
                "do $$ begin execute format('alter database %I set synchronous_commit = {setting}', \
                 current_database()); end $$"
            ));
            let connector = Connector::new(&own.url()).unwrap();
            let asking = tokio::task::spawn_blocking(move || {
                let sql = "select current_setting('synchronous_commit')";
                finish(connector.session().first("", sql, &[], |row| row.text(0)))
            });
            let found = asking.await.unwrap().unwrap();
            assert_eq!(found.as_deref(), Some(expected), "where the database says {setting}");
        }
    }
}
