//! The raw PostgreSQL: the engine alone, keeping what Roster kept, so many users to a commit or as
//! many as Roster did.
//!
//! As with the raw SQLite, no table is described here: it begins as a copy of Roster's own database,
//! and keeps the very rows that Roster has just kept. A commit is what is known to be fastest: the
//! rows of the directories are locked, in order, and the rows of each table come as arrays in one
//! statement.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio_postgres::{
    Client, GenericClient, NoTls, Row, Statement,
    types::{ToSql, Type},
};

use crate::{
    bench::{figures::Round, postgres::Postgres, scenarios::Commits},
    command::capture,
};

/// The tables that a creation adds a row to, and which of their rows, called `it`, are newer than
/// what is `known` of their directory: those of one transaction after the other, in its order.
const GROWING: [(&str, &str); 3] = [
    (
        "users",
        "where it.ordinal > known.ordinal
         order by it.xmin::text::bigint, it.directory_id, it.ordinal",
    ),
    (
        "email_keys",
        "join users u on u.directory_id = it.directory_id and u.user_id = it.user_id
         where u.ordinal > known.ordinal
         order by it.xmin::text::bigint, it.directory_id, u.ordinal",
    ),
    (
        "events",
        "where it.number > known.number
         order by it.xmin::text::bigint, it.directory_id, it.number",
    ),
];

/// How many users each of those transactions kept.
const TOGETHER: &str = "
    select count(*) from users it
    join unnest($1::text[], $2::bigint[], $3::bigint[]) as known(directory_id, ordinal, number)
        on known.directory_id = it.directory_id
    where it.ordinal > known.ordinal
    group by it.xmin::text::bigint order by it.xmin::text::bigint";

/// A copy of Roster's database, and what it has still to keep.
#[derive(Debug)]
pub(super) struct RawPostgres {
    raw: Client,
    roster: Client,
    /// One list for each of [`GROWING`]. Those of one place belong to one user.
    waiting: Vec<Vec<Row>>,
    /// How many of them Roster kept in each of its commits.
    together: Vec<usize>,
    /// Both connections are served while something is asked of them.
    runtime: Runtime,
}

/// A column of several rows, as it goes over the wire.
enum Column {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Truth(Vec<Option<bool>>),
}

impl RawPostgres {
    /// Copies Roster's database while nobody writes to it.
    pub(super) fn copy(
        server: &Postgres,
        roster: &str,
        folder: &Path,
    ) -> anyhow::Result<RawPostgres> {
        const RAW: &str = "raw";

        let dump = folder.join("raw.sql");
        capture(
            Command::new(server.program("pg_dump"))
                .arg(server.url(roster))
                .arg("--file")
                .arg(&dump),
        )?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for PostgreSQL")?;
        server.run(&format!("drop database if exists {RAW} with (force)"))?;
        server.run(&format!("create database {RAW}"))?;
        let mut psql = Command::new(server.program("psql"));
        psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file"]);
        capture(psql.arg(&dump).arg(server.url(RAW)))?;
        let raw = runtime.block_on(connect(&server.url(RAW)))?;
        let roster = runtime.block_on(connect(&server.url(roster)))?;
        let is_durable = |name: &str| {
            let setting = format!("show {name}");
            let row = runtime.block_on(raw.query_one(&setting, &[]))?;
            anyhow::Ok(row.get::<_, String>(0) == "on")
        };
        anyhow::ensure!(
            is_durable("fsync")? && is_durable("synchronous_commit")?,
            "commits of this PostgreSQL are not durable"
        );
        Ok(RawPostgres { raw, roster, waiting: Vec::new(), together: Vec::new(), runtime })
    }

    /// Reads what Roster has kept since the last time.
    pub(super) fn take(&mut self) -> anyhow::Result<()> {
        let (raw, roster) = (&self.raw, &self.roster);
        (self.waiting, self.together) = self.runtime.block_on(async {
            let known = "select directory_id, ordinal, event_number from directories";
            let known = raw.query(known, &[]).await?;
            let ids: Vec<String> = known.iter().map(|row| row.get(0)).collect();
            let ordinals: Vec<i64> = known.iter().map(|row| row.get(1)).collect();
            let numbers: Vec<i64> = known.iter().map(|row| row.get(2)).collect();
            let mut waiting = Vec::new();
            for (table, newer) in GROWING {
                let sql = format!(
                    "select it.* from {table} it
                     join unnest($1::text[], $2::bigint[], $3::bigint[])
                         as known(directory_id, ordinal, number)
                     on known.directory_id = it.directory_id {newer}"
                );
                waiting.push(roster.query(&sql, &[&ids, &ordinals, &numbers]).await?);
            }
            let together = roster.query(TOGETHER, &[&ids, &ordinals, &numbers]).await?;
            let together = together.iter().map(|row| usize::try_from(row.get::<_, i64>(0)));
            anyhow::Ok((waiting, together.collect::<Result<_, _>>()?))
        })?;
        Ok(())
    }

    /// Keeps what was taken, each user with its address and event; in each commit the directories'
    /// numbers. What Roster asks the database besides is not asked here.
    pub(super) fn keep(&mut self, commits: Commits) -> anyhow::Result<Round> {
        let growing = std::mem::take(&mut self.waiting);
        let together = std::mem::take(&mut self.together);
        let count = growing.first().map_or(0, Vec::len);
        let commits = match commits {
            Commits::LikeRoster => together,
            Commits::Of(users) => {
                (0..count).step_by(users).map(|first| users.min(count - first)).collect()
            }
        };
        anyhow::ensure!(commits.iter().sum::<usize>() == count, "a user is of no transaction");
        anyhow::ensure!(
            growing.iter().all(|rows| rows.len() == count),
            "a user has not exactly one address and one event"
        );
        let raw = &mut self.raw;
        self.runtime.block_on(async {
            let mut inserts = Vec::new();
            for ((table, _), rows) in GROWING.iter().zip(&growing) {
                if let Some(row) = rows.first() {
                    inserts.push(raw.prepare(&insert(table, row)).await?);
                }
            }
            let lock = raw
                .prepare(
                    "select 1 from directories where directory_id = any($1)
                     order by directory_id for update",
                )
                .await?;
            let numbers = raw
                .prepare(
                    "update directories d
                     set event_number = d.event_number + more.users,
                         ordinal = d.ordinal + more.users,
                         user_count = d.user_count + more.users,
                         active_user_count = d.active_user_count + more.users
                     from unnest($1::text[], $2::bigint[]) as more(directory_id, users)
                     where d.directory_id = more.directory_id",
                )
                .await?;
            let mut latencies: Vec<Duration> = Vec::with_capacity(commits.len());
            let begun = Instant::now();
            let mut first = 0;
            for users in commits {
                let some = first..first + users;
                first += users;
                let commit_begun = Instant::now();
                let (ids, more) = by_directory(&growing[0][some.clone()])?;
                let transaction = raw.transaction().await?;
                transaction.query(&lock, &[&ids]).await?;
                for (rows, insert) in growing.iter().zip(&inserts) {
                    keep_some(&transaction, insert, &rows[some.clone()]).await?;
                }
                transaction.execute(&numbers, &[&ids, &more]).await?;
                transaction.commit().await?;
                latencies.push(commit_begun.elapsed());
            }
            Ok(Round { count, time: begun.elapsed(), latencies, processor: None })
        })
    }

    /// How many users are kept, by Roster and here.
    pub(super) fn users(&self) -> anyhow::Result<(usize, usize)> {
        let count = |client: &Client| {
            let counted = client.query_one("select count(*) from users", &[]);
            let count: i64 = self.runtime.block_on(counted)?.get(0);
            anyhow::Ok(usize::try_from(count)?)
        };
        Ok((count(&self.roster)?, count(&self.raw)?))
    }
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("the raw PostgreSQL does not answer")?;
    // It ends with its client.
    tokio::spawn(connection);
    Ok(client)
}

/// How many users of which directories, in the order of their ids.
fn by_directory(users: &[Row]) -> anyhow::Result<(Vec<String>, Vec<i64>)> {
    let mut more: BTreeMap<String, i64> = BTreeMap::new();
    for user in users {
        *more.entry(user.try_get("directory_id")?).or_default() += 1;
    }
    Ok(more.into_iter().unzip())
}

/// A statement that keeps rows of a table, which come as one array for each column.
fn insert(table: &str, row: &Row) -> String {
    let names: Vec<_> = row.columns().iter().map(tokio_postgres::Column::name).collect();
    let mut arrays = Vec::new();
    for (place, column) in row.columns().iter().enumerate() {
        arrays.push(format!("${}::{}[]", place + 1, column.type_().name()));
    }
    let (names, arrays) = (names.join(", "), arrays.join(", "));
    format!("insert into {table} ({names}) select * from unnest({arrays})")
}

async fn keep_some(
    client: &impl GenericClient,
    insert: &Statement,
    rows: &[Row],
) -> anyhow::Result<()> {
    let columns: Vec<_> =
        (0..rows[0].len()).map(|place| Column::of(rows, place)).collect::<Result<_, _>>()?;
    let values: Vec<_> = columns.iter().map(Column::value).collect();
    client.execute(insert, &values).await?;
    Ok(())
}

impl Column {
    fn of(rows: &[Row], place: usize) -> anyhow::Result<Column> {
        let rows = rows.iter();
        let kind = rows.as_slice()[0].columns()[place].type_();
        Ok(match *kind {
            Type::TEXT => {
                Column::Text(rows.map(|row| row.try_get(place)).collect::<Result<_, _>>()?)
            }
            Type::INT8 => {
                Column::Integer(rows.map(|row| row.try_get(place)).collect::<Result<_, _>>()?)
            }
            Type::BOOL => {
                Column::Truth(rows.map(|row| row.try_get(place)).collect::<Result<_, _>>()?)
            }
            _ => {
                anyhow::bail!("a column is of the type `{kind}`, which the benchmark does not know")
            }
        })
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        match self {
            Column::Text(values) => values,
            Column::Integer(values) => values,
            Column::Truth(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::engine::{Databases, RawDatabase};

    /// As much of Roster's tables as a creation touches.
    const TABLES: &str = r#"
        create table directories (
            directory_id text collate "C" primary key, ordinal bigint not null,
            event_number bigint not null, user_count bigint not null,
            active_user_count bigint not null
        );
        create table users (
            directory_id text collate "C", user_id text collate "C", ordinal bigint not null,
            external_id text, active boolean not null, primary key (directory_id, user_id)
        );
        create table email_keys (
            directory_id text collate "C", email_key text collate "C", user_id text collate "C",
            primary key (directory_id, email_key, user_id)
        );
        create table events (
            directory_id text collate "C", number bigint, data text not null,
            primary key (directory_id, number)
        );
        insert into directories values ('a', 0, 1, 0, 0), ('b', 0, 1, 0, 0)"#;

    /// What Roster does, in one statement: so many users for each of two directories.
    const GROW: &str = "
        with person as (
            select d.directory_id, d.ordinal + n as ordinal, d.event_number + n as number,
                   d.directory_id || (d.ordinal + n) as name
            from directories d, generate_series(1, 40) n
        ), user_rows as (
            insert into users
            select directory_id, name, ordinal, nullif(ordinal % 2, 0)::text, true from person
        ), key_rows as (
            insert into email_keys select directory_id, name || '@example.com', name from person
        ), event_rows as (
            insert into events select directory_id, number, '{}' from person
        )
        update directories
        set ordinal = ordinal + 40, event_number = event_number + 40,
            user_count = user_count + 40, active_user_count = active_user_count + 40";

    #[test]
    #[expect(clippy::print_stderr, reason = "whoever runs tests wants to know what is left out")]
    fn what_was_kept_is_kept_again() {
        if crate::db::find().is_none() {
            eprintln!("PostgreSQL is not installed: the raw PostgreSQL is not tested");
            return;
        }
        let folder = std::env::temp_dir().join(format!("raw-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = Postgres::start(&folder.join("data")).unwrap();
        let databases = Databases::InPostgres(server);
        // As a seed is made, kept and copied.
        databases.create("making").unwrap();
        databases.rename("making", "seed").unwrap();
        let url = databases.copy("seed", "roster").unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let roster = runtime.block_on(async {
            let roster = connect(&url).await.unwrap();
            roster.batch_execute(TABLES).await.unwrap();
            roster
        });
        let mut raw = databases.raw(&folder, "roster", &folder).unwrap();
        let ways = [(Commits::Of(16), 5), (Commits::LikeRoster, 1), (Commits::Of(80), 1)];
        for (round, (way, commits)) in ways.into_iter().enumerate() {
            runtime.block_on(roster.batch_execute(GROW)).unwrap();
            let kept = raw.follow(way).unwrap();
            assert_eq!((kept.count, kept.latencies.len()), (80, commits));
            let users = 80 * (round + 1);
            assert_eq!(raw.users().unwrap(), (users, users));
        }
        let RawDatabase::Postgres(raw) = raw else { unreachable!("it is beside PostgreSQL") };
        let all = |client: &Client, runtime: &Runtime| -> Vec<String> {
            let sql = "select u::text || k::text || e::text || d::text from users u
                       join email_keys k using (directory_id, user_id)
                       join directories d using (directory_id)
                       join events e on e.directory_id = u.directory_id and e.number = u.ordinal + 1
                       order by 1";
            let rows = runtime.block_on(client.query(sql, &[])).unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };
        let kept = all(&raw.raw, &raw.runtime);
        assert_eq!(kept.len(), 240);
        assert_eq!(kept, all(&roster, &runtime));
        drop((raw, roster, databases));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
