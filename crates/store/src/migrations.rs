//! The shape of the database, brought to that of this version at every start.
//!
//! Migrations go forward only and are never edited: the previous version of Roster must be able to
//! work beside this one for a while. Their names are the same for every kind of database.

use jiff::Timestamp;

use crate::error::Error;
use crate::session::{Engine, Session, Value};

/// One step, in the words of each kind of database.
struct Migration {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// A migration from the files of its name.
macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// In the order in which they are applied.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_directories_users_groups_events"),
    migration!("0002_keys_of_lists"),
    migration!("0003_schemas_and_catalogue"),
    migration!("0004_quirks"),
    migration!("0005_scopes_of_tokens"),
    migration!("0006_ordinals_of_the_catalogue"),
    migration!("0007_time_of_the_latest_event"),
    migration!("0008_leases_and_forgotten_events"),
    migration!("0010_webhooks"),
];

/// How often to begin again where another node creates the same things at the same time.
const RACES_MAX: usize = 10;

/// Creates what is missing, in one transaction.
pub(crate) async fn migrate(session: &mut Session, now: Timestamp) -> Result<(), Error> {
    session.be_patient(true);
    let migrated = migrate_often(session, now).await;
    session.be_patient(false);
    migrated
}

async fn migrate_often(session: &mut Session, now: Timestamp) -> Result<(), Error> {
    for _ in 0..RACES_MAX {
        match migrate_once(session, now).await {
            // PostgreSQL says so of a table that another transaction has created meanwhile, even of
            // one that is created only where it is missing.
            Err(error) if error.is_lost_race() || error.is_taken() => session.roll_back().await?,
            other => return other,
        }
    }
    migrate_once(session, now).await
}

async fn migrate_once(session: &mut Session, now: Timestamp) -> Result<(), Error> {
    session.begin()?;
    if session.engine() == Engine::Postgres {
        // They may take their time, and a node that starts meanwhile waits for them.
        let sql = "set local statement_timeout = 0; set local lock_timeout = 0";
        session.script("preparing for migrations", sql).await?;
    }
    match apply(session, now).await {
        Ok(()) => session.commit().await,
        Err(error) => {
            session.roll_back().await?;
            Err(error)
        }
    }
}

/// Creates what is missing, in a transaction that was begun.
pub(crate) async fn apply(session: &mut Session, now: Timestamp) -> Result<(), Error> {
    let table = match session.engine() {
        Engine::Sqlite => {
            "create table if not exists migrations (
                 name text not null,
                 applied_at integer not null,
                 constraint migrations_key primary key (name)
             ) strict, without rowid"
        }
        // Of several nodes that start together one creates it, and the others wait for it.
        Engine::Postgres => {
            "create table if not exists migrations (
                 name text collate \"C\" not null,
                 applied_at bigint not null,
                 constraint migrations_key primary key (name)
             );
             comment on table migrations is 'Roster';
             lock table migrations in access exclusive mode"
        }
    };
    session.script("looking for migrations", table).await?;
    let applied = session
        .all("looking for migrations", "select name from migrations order by name", &[], |row| {
            row.text(0)
        })
        .await?;
    for (place, name) in applied.iter().enumerate() {
        match MIGRATIONS.get(place) {
            Some(known) if known.name == name => {}
            _ => {
                return Err(Error::Migration(format!(
                    "the database has the migration `{name}`, which this version of Roster does \
                     not know: a newer version has used it. Start that version or a later one, or \
                     restore a backup from before the upgrade"
                )));
            }
        }
    }
    for Migration { name, sqlite, postgres } in &MIGRATIONS[applied.len()..] {
        let sql = match session.engine() {
            Engine::Sqlite => sqlite,
            Engine::Postgres => postgres,
        };
        session.script("applying a migration", sql).await?;
        session
            .run(
                "recording a migration",
                "insert into migrations (name, applied_at) values ($1, $2)",
                &[Value::Text(name), Value::Time(now)],
            )
            .await?;
    }
    Ok(())
}
