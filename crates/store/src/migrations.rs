//! The shape of the database, brought to that of this version at every start.
//!
//! Migrations go forward only and are never edited. While nodes are upgraded one after the other, the
//! previous version works beside this one on the new shape, and may be started again there: so each
//! migration says with which programs it lives, and that is kept in the database for those that do
//! not know it. Their names are the same for every kind of database.

use jiff::Timestamp;

use crate::error::Error;
use crate::session::{Engine, Session, Value};

/// One step, in the words of each kind of database.
struct Migration {
    name: &'static str,
    /// A program that knows all migrations up to this one works on a database that has this step,
    /// whether or not it knows it. Only a step that adds can say so: tables, indexes, and columns
    /// that are filled by themselves. One that takes something away follows in a later version, when
    /// no program needs it any more. Where nothing is said, only who knows this step can be started.
    lives_with: Option<&'static str>,
    sqlite: &'static str,
    postgres: &'static str,
}

/// A migration from the files of its name.
macro_rules! migration {
    ($name:literal) => {
        migration!($name, None)
    };
    ($name:literal lives with $other:literal) => {
        migration!($name, Some($other))
    };
    ($name:literal, $lives_with:expr) => {
        Migration {
            name: $name,
            lives_with: $lives_with,
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
    migration!(
        "0009_programs_that_live_with_a_migration" lives with "0008_leases_and_forgotten_events"
    ),
    migration!("0010_management" lives with "0008_leases_and_forgotten_events"),
    migration!("0011_webhooks" lives with "0008_leases_and_forgotten_events"),
    migration!("0012_causes_of_events" lives with "0008_leases_and_forgotten_events"),
    migration!("0013_whom_events_are_about" lives with "0008_leases_and_forgotten_events"),
    migration!("0018_requests" lives with "0008_leases_and_forgotten_events"),
    migration!("0019_roles" lives with "0008_leases_and_forgotten_events"),
    migration!("0020_safety" lives with "0008_leases_and_forgotten_events"),
    migration!("0021_audit" lives with "0008_leases_and_forgotten_events"),
    migration!("0022_holds" lives with "0008_leases_and_forgotten_events"),
    migration!("0023_portal_links" lives with "0008_leases_and_forgotten_events"),
    migration!("0024_members" lives with "0008_leases_and_forgotten_events"),
    migration!("0025_erasures" lives with "0008_leases_and_forgotten_events"),
    migration!("0027_holds_told_again" lives with "0008_leases_and_forgotten_events"),
    migration!("0028_sign_in_by_provider" lives with "0008_leases_and_forgotten_events"),
    migration!("0029_replays" lives with "0008_leases_and_forgotten_events"),
    migration!("0033_branding" lives with "0008_leases_and_forgotten_events"),
    migration!("0034_disconnected" lives with "0008_leases_and_forgotten_events"),
    migration!("0035_begin_of_role_walks" lives with "0008_leases_and_forgotten_events"),
];

/// How often to begin again where another node creates the same things at the same time.
const RACES_MAX: usize = 10;

/// Creates what is missing, in one transaction.
pub(crate) async fn migrate(session: &mut Session, now: Timestamp) -> Result<Shape, Error> {
    session.be_patient(true);
    let migrated = migrate_often(session, now).await;
    session.be_patient(false);
    migrated
}

async fn migrate_often(session: &mut Session, now: Timestamp) -> Result<Shape, Error> {
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

async fn migrate_once(session: &mut Session, now: Timestamp) -> Result<Shape, Error> {
    session.begin()?;
    if session.engine() == Engine::Postgres {
        // They may take their time, and a node that starts meanwhile waits for them.
        let sql = "set local statement_timeout = 0; set local lock_timeout = 0";
        session.script("preparing for migrations", sql).await?;
    }
    match apply(session, now).await {
        Ok(shape) => {
            session.commit().await?;
            Ok(shape)
        }
        Err(error) => {
            session.roll_back().await?;
            Err(error)
        }
    }
}

/// Which shape a database has.
#[derive(Debug)]
pub(crate) enum Shape {
    /// That of this version.
    Ours,
    /// That of a newer version, with which this one can live. This is the first step of it that we do
    /// not know.
    OfNewer(String),
}

/// Creates what is missing, in a transaction that was begun.
pub(crate) async fn apply(session: &mut Session, now: Timestamp) -> Result<Shape, Error> {
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
    let known = MIGRATIONS.iter().map(|known| known.name);
    if let Some((name, _)) = applied.iter().zip(known.clone()).find(|(name, known)| name != known) {
        return Err(unknown(name));
    }
    if applied.len() > MIGRATIONS.len() {
        let newer = newer(session).await?;
        for (name, lives_with) in &newer {
            if !known.clone().any(|known| lives_with.as_deref() == Some(known)) {
                return Err(unknown(name));
            }
        }
        return Ok(Shape::OfNewer(newer[0].0.clone()));
    }
    for Migration { name, lives_with, sqlite, postgres } in &MIGRATIONS[applied.len()..] {
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
        if lives_with.is_some() {
            let values = [Value::Text(name), Value::OptionalText(*lives_with)];
            let sql = "update migrations set lives_with = $2 where name = $1";
            session.run("recording a migration", sql, &values).await?;
        }
    }
    Ok(Shape::Ours)
}

/// The migrations that this program does not know, and with which programs they live.
async fn newer(session: &mut Session) -> Result<Vec<(String, Option<String>)>, Error> {
    let latest = MIGRATIONS.last().expect("there are some").name;
    session
        .all(
            "looking for migrations",
            "select name, lives_with from migrations where name > $1 order by name",
            &[Value::Text(latest)],
            |row| Ok((row.text(0)?, row.optional_text(1)?)),
        )
        .await
}

fn unknown(name: &str) -> Error {
    Error::Migration(format!(
        "the database has the migration `{name}`, which this version of Roster neither knows nor can \
         live with: a newer version has used it. Start that version or a later one, or restore a \
         backup from before the upgrade"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_program_is_to_live_with_only_adds() {
        for (place, migration) in MIGRATIONS.iter().enumerate() {
            let Some(lives_with) = migration.lives_with else { continue };
            let name = migration.name;
            assert!(
                MIGRATIONS[..place].iter().any(|earlier| earlier.name == lives_with),
                "`{name}` names a migration before it"
            );
            for sql in [migration.sqlite, migration.postgres] {
                let lines = sql.lines().filter(|line| !line.starts_with("--"));
                let statements = lines.collect::<Vec<_>>().join(" ");
                for statement in statements.split(';').map(str::trim).filter(|it| !it.is_empty()) {
                    let adds = ["create table ", "create index ", "insert into ", "update "];
                    let adds_column = statement.starts_with("alter table ")
                        && statement.contains(" add column ")
                        && (statement.contains(" default ") || !statement.contains("not null"));
                    assert!(
                        adds_column || adds.iter().any(|it| statement.starts_with(it)),
                        "`{name}` does more than add: {statement}"
                    );
                }
            }
        }
    }
}
