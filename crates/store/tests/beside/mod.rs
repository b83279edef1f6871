//! Another program at the same database: an older version of ours, an operator, a broken disk.

use crate::engine::Database;

/// Runs a statement, and says how many rows it changed.
pub(crate) fn write(database: &Database, sql: &str) -> u64 {
    match &database.own {
        None => {
            let connection = rusqlite::Connection::open(database.path()).unwrap();
            connection.execute(sql, []).unwrap().try_into().unwrap()
        }
        Some(own) => own.run(sql),
    }
}

/// Brings a database to the shape that a later version could give it, with which this one can live:
/// one more table, and one more column everywhere.
#[expect(clippy::allow_attributes, reason = "of the tests that have this module some use it")]
#[allow(dead_code, reason = "not all let the shape change")]
pub(crate) fn upgrade(database: &Database) {
    let latest = "select max(name) from migrations";
    let record = format!(
        "insert into migrations (name, applied_at, lives_with) select '9998_later', 1, ({latest})"
    );
    write(database, &record);
    write(database, "create table later (name text not null)");
    let tables = "organizations directories tokens api_keys users former_users email_keys groups \
                  memberships events feed leases catalogue catalogue_ordinals directory_quirks \
                  directory_schemas attribute_uses";
    for table in tables.split(' ').chain(database.own.is_some().then_some("sequence")) {
        let integer = if database.own.is_some() { "bigint" } else { "integer" };
        write(database, &format!("alter table {table} add column later {integer} default 7"));
    }
}
