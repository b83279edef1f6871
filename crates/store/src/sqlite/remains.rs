//! What pages of a SQLite file still hold of records that are elsewhere, or nowhere, by now.
//!
//! `pragma secure_delete` writes zeros over a record that is deleted. When a page is full and its records
//! are spread over its neighbours anew, those that go leave their bytes behind: they stay between the list
//! of the records that are there and the first of these, until there is need of the place. Nobody finds
//! them but by reading the file, and that is how somebody is looked for who asked to be forgotten.

use std::ops::Range;

use rusqlite::Connection;

use crate::error::{Doing as _, Error};

/// Pages that are looked at in one transaction: others write between two of them.
const PAGES_AT_ONCE: u32 = 1_000;

/// Pages of a file from which on one that holds the rest of a long record may begin like one of a tree: it
/// begins with the number of the page after it. That is 64 GiB, where a page has 4 KiB.
const PAGES_MAX: u32 = 1 << 24;

/// Writes zeros over what some pages still hold of records that are not in them, within a transaction. Says
/// at which page to go on; at 0 where this was the last.
pub(super) fn scrub(connection: &Connection, doing: &'static str, from: u32) -> Result<u32, Error> {
    let pages: u32 =
        connection.query_row("pragma page_count", [], |row| row.get(0)).doing(doing)?;
    let sql = "select count(*) from pragma_module_list where name = 'sqlite_dbpage'";
    let can: u32 = connection.query_row(sql, [], |row| row.get(0)).doing(doing)?;
    if can == 0 || pages >= PAGES_MAX {
        tracing::warn!(
            pages,
            "what the database's file still holds of records that were moved within it is not \
             written over: the file is too large, or SQLite was built without `sqlite_dbpage`. \
             Have `vacuum` write it anew when the server is stopped",
        );
        return Ok(0);
    }
    let first = from.max(1);
    let last = pages.min(first.saturating_add(PAGES_AT_ONCE - 1));
    let sql = "select data from sqlite_dbpage where pgno = ?1";
    let mut read = connection.prepare_cached(sql).doing(doing)?;
    let sql = "update sqlite_dbpage set data = ?2 where pgno = ?1";
    let mut write = connection.prepare_cached(sql).doing(doing)?;
    for number in first..=last {
        let page: Option<Vec<u8>> = read.query_row([number], |row| row.get(0)).doing(doing)?;
        let Some(mut page) = page else { continue };
        let Some(unused) = unused(&page, number) else { continue };
        if page[unused.clone()].iter().all(|byte| *byte == 0) {
            continue;
        }
        page[unused].fill(0);
        write.execute(rusqlite::params![number, page]).doing(doing)?;
    }
    Ok(if last < pages { last + 1 } else { 0 })
}

/// What is unused between the list of records and the records of a page of a tree; `None` of any other
/// page (<https://sqlite.org/fileformat2.html#b_tree_pages>).
fn unused(page: &[u8], number: u32) -> Option<Range<usize>> {
    // The first begins with what the file is.
    let header = if number == 1 { 100 } else { 0 };
    let list = match page.get(header)? {
        2 | 5 => header + 12,
        10 | 13 => header + 8,
        _ => return None,
    };
    let two =
        |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    let begin = list + 2 * two(header + 3)?;
    let end = match two(header + 5)? {
        0 => 65_536,
        end => end,
    };
    (begin <= end && end <= page.len()).then_some(begin..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rows that pages overflow, in an order that spreads them over others again and again.
    fn fill(connection: &Connection) {
        let long = |number: u32| format!("{} {}", "marzipan".repeat(number as usize % 60), number);
        let mut number = 1;
        connection.execute_batch("begin").unwrap();
        for _ in 0..4_000 {
            number = number * 48_271 % 65_537;
            let sql = "insert or replace into t (key, text) values (?1, ?2)";
            connection.execute(sql, rusqlite::params![number, long(number)]).unwrap();
        }
        connection.execute_batch("commit").unwrap();
    }

    #[test]
    fn nothing_is_left_of_what_was_overwritten() {
        let folder = std::env::temp_dir().join(format!("roster-remains-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("t.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "pragma secure_delete = on;
                 create table t (key integer not null primary key, text text not null) strict;
                 create index by_text on t (text);",
            )
            .unwrap();
        fill(&connection);
        connection.execute("update t set text = 'x ' || key", []).unwrap();
        let is_left = || {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(8).any(|window| window == b"marzipan")
        };
        assert!(is_left(), "this is what has to be done something about");

        let (mut from, mut steps) = (1, 0);
        while from > 0 {
            connection.execute_batch("begin immediate").unwrap();
            from = scrub(&connection, "", from).unwrap();
            connection.execute_batch("commit").unwrap();
            steps += 1;
        }
        assert!(steps >= 1);
        assert!(!is_left());
        let sound: String =
            connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        let kept: u32 = connection
            .query_row("select count(*) from t where text = 'x ' || key", [], |row| row.get(0))
            .unwrap();
        let all: u32 =
            connection.query_row("select count(*) from t", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, all);
        // It goes on being written to.
        fill(&connection);
        let sound: String =
            connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_page_of_a_tree_is_left_alone() {
        assert_eq!(unused(&[0; 512], 2), None);
        assert_eq!(unused(&[], 2), None);
        let mut page = [0; 512];
        page[0] = 13;
        // More records than have room.
        page[3..5].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(unused(&page, 2), None);
        page[3..5].copy_from_slice(&2_u16.to_be_bytes());
        page[5..7].copy_from_slice(&400_u16.to_be_bytes());
        assert_eq!(unused(&page, 2), Some(12..400));
        assert_eq!(unused(&page, 1), None);
    }
}
