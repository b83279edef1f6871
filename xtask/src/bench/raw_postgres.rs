//! The raw PostgreSQL: the engine alone, keeping what Roster kept, so many users to a commit.
//!
//! As with the raw SQLite, nothing of it is described here: tables and indexes are those of Roster's
//! database, and the rows are the very rows that Roster has just kept. A commit is what is known to
//! be fastest: the directory's row is locked, and the rows of each table come as arrays in one
//! statement.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rusqlite::types::Value;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement, types::ToSql};

use crate::bench::{
    figures::Round,
    postgres::Postgres,
    raw::{Raw, Rows},
};

/// What the database is called.
const DATABASE: &str = "raw";

/// The database alone.
pub(super) struct RawPostgres {
    runtime: Runtime,
    client: Client,
    /// The server ends with this, after the client.
    _server: Postgres,
}

/// A column of rows, as it goes over the wire.
enum Column {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
}

impl RawPostgres {
    /// Makes the tables of the raw SQLite here, and copies what is in them.
    pub(super) fn copy(server: Postgres, raw: &Raw) -> anyhow::Result<RawPostgres> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for PostgreSQL")?;
        let connect = async |database: &str| {
            let (client, connection) =
                tokio_postgres::connect(&server.url(database), NoTls).await?;
            // It ends with the client.
            tokio::spawn(connection);
            anyhow::Ok(client)
        };
        let client = runtime.block_on(async {
            let all = connect("postgres").await?;
            all.batch_execute(&format!("drop database if exists {DATABASE}")).await?;
            all.batch_execute(&format!("create database {DATABASE}")).await?;
            let client = connect(DATABASE).await?;
            for sql in raw.schema()? {
                let sql = translated(&sql);
                client.batch_execute(&sql).await.with_context(|| sql)?;
            }
            anyhow::Ok(client)
        })?;
        let mut postgres = RawPostgres { runtime, client, _server: server };
        for rows in raw.everything()? {
            postgres.runtime.block_on(insert_all(&postgres.client, &rows))?;
        }
        Ok(postgres)
    }

    /// Keeps these rows, so many users to a commit, each with its address and event; in each commit
    /// the directory's numbers.
    pub(super) fn keep(
        &mut self,
        directory_id: &str,
        growing: &[Rows],
        rows_to_a_commit: usize,
    ) -> anyhow::Result<Round> {
        let count = growing[0].rows.len();
        let client = &mut self.client;
        self.runtime.block_on(async {
            let mut inserts = Vec::new();
            for table in growing {
                inserts.push(client.prepare(&insert(table)).await?);
            }
            let lock = client
                .prepare("select ordinal from directories where directory_id = $1 for update")
                .await?;
            let numbers = client
                .prepare(
                    "update directories
                     set event_number = event_number + $2, ordinal = ordinal + $2,
                         user_count = user_count + $2, active_user_count = active_user_count + $2
                     where directory_id = $1",
                )
                .await?;
            let mut latencies = Vec::with_capacity(count.div_ceil(rows_to_a_commit));
            let begun = Instant::now();
            for first in (0..count).step_by(rows_to_a_commit) {
                let some = first..count.min(first + rows_to_a_commit);
                let more = i64::try_from(some.len())?;
                let commit_begun = Instant::now();
                let transaction = client.transaction().await?;
                transaction.execute(&lock, &[&directory_id]).await?;
                for (table, insert) in growing.iter().zip(&inserts) {
                    keep_some(&transaction, insert, &columns(&table.rows[some.clone()])).await?;
                }
                transaction.execute(&numbers, &[&directory_id, &more]).await?;
                transaction.commit().await?;
                latencies.push(commit_begun.elapsed());
            }
            let time: Duration = begun.elapsed();
            Ok(Round { count, time, latencies, processor: None })
        })
    }

    /// How many users are kept.
    pub(super) fn users(&self) -> anyhow::Result<i64> {
        let count = self.client.query_one("select count(*) from users", &[]);
        Ok(self.runtime.block_on(count)?.get(0))
    }
}

async fn insert_all(client: &Client, rows: &Rows) -> anyhow::Result<()> {
    if rows.rows.is_empty() {
        return Ok(());
    }
    let statement = client.prepare(&insert(rows)).await?;
    for some in rows.rows.chunks(10_000) {
        keep_some(client, &statement, &columns(some)).await?;
    }
    Ok(())
}

async fn keep_some(
    client: &impl tokio_postgres::GenericClient,
    insert: &Statement,
    columns: &[Column],
) -> anyhow::Result<()> {
    let values: Vec<&(dyn ToSql + Sync)> = columns
        .iter()
        .map(|column| match column {
            Column::Text(values) => values as &(dyn ToSql + Sync),
            Column::Integer(values) => values,
        })
        .collect();
    client.execute(insert, &values).await?;
    Ok(())
}

/// A table's definition, in the words of PostgreSQL.
fn translated(sql: &str) -> String {
    let (head, body) = sql.split_once('(').unwrap_or((sql, ""));
    let body = body
        .replace(") strict, without rowid", ")")
        .replace(") strict", ")")
        .replace(" integer", " bigint")
        // Compared bytewise, as SQLite does.
        .replace(" text", " text collate \"C\"");
    format!("{head}({body}")
}

fn insert(rows: &Rows) -> String {
    let names = rows.columns.join(", ");
    let first = rows.rows.first().map_or(&[][..], Vec::as_slice);
    let of = |place: usize| {
        let is_number = rows.rows.iter().find_map(|row| match &row[place] {
            Value::Null => None,
            value => Some(matches!(value, Value::Integer(_))),
        });
        if is_number == Some(true) { "bigint[]" } else { "text[]" }
    };
    let values: Vec<_> =
        (0..first.len()).map(|place| format!("${}::{}", place + 1, of(place))).collect();
    let table = rows.table;
    format!("insert into {table} ({names}) select * from unnest({})", values.join(", "))
}

/// Rows turned on their side.
fn columns(rows: &[Vec<Value>]) -> Vec<Column> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width)
        .map(|place| {
            let column = rows.iter().map(|row| &row[place]);
            if column.clone().any(|value| matches!(value, Value::Integer(_))) {
                Column::Integer(column.map(integer).collect())
            } else {
                Column::Text(column.map(text).collect())
            }
        })
        .collect()
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}
