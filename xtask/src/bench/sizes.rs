//! `cargo xtask bench --sizes`: how much room everything takes that is kept.
//!
//! The databases are those that speed is measured on, and one of many groups without members, because
//! those have few. Sizes are as each engine tells them of its own pages: what is empty in a page is a
//! part of it, as it is on the disk.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

use crate::{
    bench::{
        client::Client,
        engine::{Databases, Engine},
        progress::Progress,
        raw::FILE,
        report,
        requests::Crowd,
        seed::{self, Kind},
    },
    command::capture,
    server::Server,
};

/// Groups without members.
const GROUPS: usize = 20_000;

/// Groups of one bulk request.
const GROUPS_AT_ONCE: usize = 500;

/// Tables whose size grows with what is kept, and what a row of each is.
const TABLES: [(&str, &str); 5] = [
    ("users", "user"),
    ("email_keys", "address"),
    ("memberships", "membership"),
    ("events", "event"),
    ("sequence", "run of events"),
];

/// A table, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    rows: i64,
    table: i64,
    indexes: i64,
}

/// Weighs a database of so many users, and prints what came of it.
pub(super) fn weigh(root: &Path, engine: Engine, users: usize) -> anyhow::Result<()> {
    let folder = root.join(super::FOLDER);
    let binary = root.join("target/release/roster");
    let databases = Databases::of(engine, &folder)?;
    let client = Client::new()?;
    let seed = seed::find(&binary, &folder, (engine, &databases), Kind::Users(users), &client)?;
    let place = folder.join("sizes");
    if place.exists() {
        fs::remove_dir_all(&place).context("the last run's folder cannot be removed")?;
    }
    fs::create_dir_all(&place).context("there is no place for the databases")?;

    let mut text = format!("### {engine}, {users} users\n\n");
    text += "| a row of | is a | rows | bytes | of these in indexes | all, MiB |\n";
    text += "| --- | --- | ---: | ---: | ---: | ---: |\n";
    for (table, row) in TABLES {
        let size = size(&databases, &seed.data, &seed.database, table)?;
        // Runs of events are there when somebody has read the feed.
        if let Some(size) = size.filter(|it| it.rows > 0) {
            line(&mut text, table, row, size);
        }
    }
    let (data, database) = (place.join("data"), "sizes");
    make_groups(Server::start_on(&binary, &data, databases.create(database)?)?, &client)?;
    if let Some(size) = size(&databases, &data, database, "groups")? {
        line(&mut text, "groups", "group", size);
    }
    text += "\n| events | how many | bytes of data, in the middle |\n| --- | ---: | ---: |\n";
    for (kind, count, length) in events(&databases, &seed.data, &seed.database)? {
        writeln!(text, "| `{kind}` | {count} | {length} |").expect("text takes what is written");
    }
    report::show(&text);
    Ok(fs::remove_dir_all(&place)?)
}

fn line(text: &mut String, table: &str, row: &str, size: Size) {
    let Size { rows, table: of_table, indexes } = size;
    let each = |bytes: i64| bytes / rows.max(1);
    writeln!(
        text,
        "| `{table}` | {row} | {rows} | {} | {} | {} |",
        each(of_table + indexes),
        each(indexes),
        (of_table + indexes) / 1024 / 1024
    )
    .expect("text takes what is written");
}

/// Groups without members, in a directory of their own.
fn make_groups(server: Server, client: &Client) -> anyhow::Result<()> {
    let crowd = seed::directory(&server)?;
    let progress = Progress::of("creating groups", GROUPS, GROUPS_AT_ONCE);
    let works = (0..GROUPS).step_by(GROUPS_AT_ONCE).map(|first| vec![bulk(&crowd, first)]);
    client.collect(&[server.address()], 1, works.collect(), &progress)?;
    server.stop()
}

fn bulk(crowd: &Crowd, first: usize) -> super::client::Request {
    let operations: Vec<_> = (first..first + GROUPS_AT_ONCE)
        .map(|number| {
            format!(
                r#"{{"method":"POST","path":"/Groups","bulkId":"{number}","data":{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Engineering, team {number}"}}}}"#
            )
        })
        .collect();
    let body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{}]}}"#,
        operations.join(",")
    );
    crowd.request("POST", "/Bulk", &body, 200)
}

/// The size of a table, where there is one of that name.
fn size(
    databases: &Databases,
    data: &Path,
    database: &str,
    table: &str,
) -> anyhow::Result<Option<Size>> {
    let size = match databases {
        Databases::InFolders => {
            let connection = open(data)?;
            let pages = |kind: &str| {
                let sql = "select coalesce(sum(pages.pgsize), 0)
                           from sqlite_schema parts
                           join dbstat pages on pages.name = parts.name
                           where parts.tbl_name = ?1 and parts.type = ?2";
                connection.query_row(sql, [table, kind], |row| row.get::<_, i64>(0))
            };
            let is_there = "select exists (select 1 from sqlite_schema where name = ?1)";
            if !connection.query_row(is_there, [table], |row| row.get::<_, bool>(0))? {
                return Ok(None);
            }
            let of_table = pages("table").context("this SQLite does not tell sizes")?;
            let sql = format!("select count(*) from {table}");
            let rows = connection.query_row(&sql, [], |row| row.get(0))?;
            Size { rows, table: of_table, indexes: pages("index")? }
        }
        Databases::InPostgres(_) => {
            let sql = format!(
                "select (select count(*) from {table}), pg_table_size('{table}'),
                        pg_indexes_size('{table}')"
            );
            let rows = asked(databases, database, &sql)?;
            let numbers: Vec<i64> =
                rows[0].iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
            Size { rows: numbers[0], table: numbers[1], indexes: numbers[2] }
        }
    };
    Ok(Some(size))
}

/// What kinds of events there are, how many of each, and the bytes of their data.
fn events(
    databases: &Databases,
    data: &Path,
    database: &str,
) -> anyhow::Result<Vec<(String, i64, i64)>> {
    let sql = "select type, count(*), cast(avg(length(data)) as bigint) from events
               group by type order by 2 desc, 1";
    match databases {
        Databases::InFolders => {
            let connection = open(data)?;
            let mut statement = connection.prepare(sql)?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        }
        Databases::InPostgres(_) => {
            let rows = asked(databases, database, sql)?;
            rows.iter().map(|row| Ok((row[0].clone(), row[1].parse()?, row[2].parse()?))).collect()
        }
    }
}

fn open(data: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    Connection::open_with_flags(data.join(FILE), flags).context("there is no database")
}

/// The rows of an answer of PostgreSQL.
fn asked(databases: &Databases, database: &str, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let Databases::InPostgres(server) = databases else { anyhow::bail!("it is in a folder") };
    let mut psql = Command::new(server.program("psql"));
    psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--command", sql]);
    let said = capture(psql.arg(server.url(database)))?;
    Ok(said.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
}
