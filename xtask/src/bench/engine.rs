//! What Roster keeps its data in, and how a benchmark gets databases of that kind.

use std::{fmt, path::Path};

use anyhow::Context as _;

use crate::bench::{
    figures::Round,
    postgres::Postgres,
    raw::{self, Raw},
    raw_postgres::RawPostgres,
    scenarios::Commits,
};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// Embedded, in one file
    Sqlite,
    /// A server of its own, which several nodes of Roster share
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        })
    }
}

/// Where databases are made and copied.
#[derive(Debug)]
pub(super) enum Databases {
    /// Each is in the data folder of its server, and made and copied with it.
    InFolders,
    InPostgres(Postgres),
}

/// A database alone, beside Roster's own.
#[derive(Debug)]
pub(super) enum RawDatabase {
    Sqlite(Raw),
    Postgres(RawPostgres),
}

impl Databases {
    pub(super) fn of(engine: Engine, folder: &Path) -> anyhow::Result<Databases> {
        Ok(match engine {
            Engine::Sqlite => Databases::InFolders,
            Engine::Postgres => Databases::InPostgres(Postgres::start(&folder.join("postgres"))?),
        })
    }

    /// Makes an empty one; says its URL, where it has one.
    pub(super) fn create(&self, name: &str) -> anyhow::Result<Option<String>> {
        self.make(name, |server| {
            server.run(&format!("drop database if exists {name} with (force)"))?;
            server.run(&format!("create database {name}"))
        })
    }

    /// Copies one that nobody uses.
    pub(super) fn copy(&self, from: &str, to: &str) -> anyhow::Result<Option<String>> {
        self.make(to, |server| {
            server.run(&format!("drop database if exists {to} with (force)"))?;
            server.run(&format!("create database {to} template {from}"))
        })
    }

    /// Gives one that nobody uses another name.
    pub(super) fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        self.make(to, |server| {
            server.run(&format!("drop database if exists {to} with (force)"))?;
            server.run(&format!("alter database {from} rename to {to}"))
        })?;
        Ok(())
    }

    fn make(
        &self,
        name: &str,
        make: impl FnOnce(&Postgres) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<String>> {
        match self {
            Databases::InFolders => Ok(None),
            Databases::InPostgres(server) => {
                make(server).with_context(|| format!("no database `{name}`"))?;
                Ok(Some(server.url(name)))
            }
        }
    }

    /// Copies the one of a server to which nobody writes now: that in this data folder, or of this
    /// name.
    pub(super) fn raw(
        &self,
        data: &Path,
        name: &str,
        folder: &Path,
    ) -> anyhow::Result<RawDatabase> {
        Ok(match self {
            Databases::InFolders => RawDatabase::Sqlite(Raw::copy(
                &data.join(raw::FILE),
                &folder.join(format!("raw-{name}.db")),
            )?),
            Databases::InPostgres(server) => {
                RawDatabase::Postgres(RawPostgres::copy(server, name, folder)?)
            }
        })
    }
}

impl RawDatabase {
    /// Reads what Roster has kept since the last time, and keeps it.
    pub(super) fn follow(&mut self, commits: Commits) -> anyhow::Result<Round> {
        match self {
            RawDatabase::Sqlite(raw) => {
                let Commits::Of(rows_to_a_commit) = commits else {
                    anyhow::bail!("SQLite does not say which rows were kept together");
                };
                raw.take()?;
                raw.keep(rows_to_a_commit)
            }
            RawDatabase::Postgres(raw) => {
                raw.take()?;
                raw.keep(commits)
            }
        }
    }

    /// How many users are kept, by Roster and here.
    pub(super) fn users(&self) -> anyhow::Result<(usize, usize)> {
        match self {
            RawDatabase::Sqlite(raw) => raw.users(),
            RawDatabase::Postgres(raw) => raw.users(),
        }
    }
}
