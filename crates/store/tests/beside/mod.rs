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
