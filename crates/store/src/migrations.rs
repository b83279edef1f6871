//! The shape of the database, brought to that of this version at every start.
//!
//! Migrations go forward only and are never edited: the previous version of Roster must be able to
//! work beside this one for a while. Their names are the same for every kind of database.

use jiff::Timestamp;

use crate::error::Error;
use crate::session::{Session, Value};

/// In the order in which they are applied.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "0001_directories_users_groups_events",
        include_str!("../migrations/sqlite/0001_directories_users_groups_events.sql"),
    ),
    ("0002_keys_of_lists", include_str!("../migrations/sqlite/0002_keys_of_lists.sql")),
    (
        "0003_schemas_and_catalogue",
        include_str!("../migrations/sqlite/0003_schemas_and_catalogue.sql"),
    ),
    ("0004_quirks", include_str!("../migrations/sqlite/0004_quirks.sql")),
    ("0005_scopes_of_tokens", include_str!("../migrations/sqlite/0005_scopes_of_tokens.sql")),
    (
        "0006_ordinals_of_the_catalogue",
        include_str!("../migrations/sqlite/0006_ordinals_of_the_catalogue.sql"),
    ),
];

/// Creates what is missing, in one transaction.
pub(crate) async fn migrate(session: &mut Session, now: Timestamp) -> Result<(), Error> {
    session.begin().await?;
    session
        .script(
            "looking for migrations",
            "create table if not exists migrations (
                 name text not null,
                 applied_at integer not null,
                 constraint migrations_key primary key (name)
             ) strict, without rowid",
        )
        .await?;
    let applied = session
        .all("looking for migrations", "select name from migrations order by name", &[], |row| {
            row.text(0)
        })
        .await?;
    for (place, name) in applied.iter().enumerate() {
        match MIGRATIONS.get(place) {
            Some((known, _)) if known == name => {}
            _ => {
                session.roll_back().await?;
                return Err(Error::Migration(format!(
                    "the database has the migration `{name}`, which this version of Roster does \
                     not know: a newer version has used it. Start that version or a later one, or \
                     restore a backup from before the upgrade"
                )));
            }
        }
    }
    for (name, sql) in &MIGRATIONS[applied.len()..] {
        session.script("applying a migration", sql).await?;
        session
            .run(
                "recording a migration",
                "insert into migrations (name, applied_at) values ($1, $2)",
                &[Value::Text(name), Value::Time(now)],
            )
            .await?;
    }
    session.commit().await
}
