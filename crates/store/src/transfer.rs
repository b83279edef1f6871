//! The move from an embedded database to PostgreSQL: all that is kept, in one transaction.
//!
//! Nobody else has the embedded database open meanwhile, and PostgreSQL shows nothing to anybody
//! until everything has arrived and was read back. So a move that ends half-way, for whatever
//! reason, leaves both as they were, and is begun again. Rows stream from the one to the other;
//! how many there are does not matter to the memory that it takes.

use std::path::Path;
use std::sync::Arc;

use directory::secret::hex;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::migrations::Shape;
use crate::postgres::{Connector, CopyIn};
use crate::session::{Flow, Kept, Row, Session, finish};
use crate::{Store, migrations, postgres, sqlite};

/// Rows are sent when they are this long together.
const CHUNK: usize = 256 * 1024;

/// What is read back is told of once in so many rows.
const ROWS_UNTOLD: u64 = 10_000;

/// A table of PostgreSQL, and the rows of the embedded database that belong into it.
#[derive(Debug)]
struct Table {
    name: &'static str,
    #[cfg(test)]
    columns: &'static str,
    /// On the embedded database: how many rows, and these in the order of their key.
    count: &'static str,
    read: &'static str,
    /// On PostgreSQL: whether there is any row, the way in, and the rows in the same order.
    any: &'static str,
    fill: &'static str,
    read_back: &'static str,
}

/// A table from its columns and its key. Where the embedded database keeps it otherwise, that
/// follows: from what it is read there, and in which order.
macro_rules! table {
    ($name:literal ($columns:literal) by $key:literal) => {
        table!($name ($columns) by $key from $name by $key)
    };
    ($name:literal ($columns:literal) by $key:literal from $source:literal by $source_key:literal) => {
        Table {
            name: $name,
            #[cfg(test)]
            columns: $columns,
            count: concat!("select count(*) from ", $source),
            read: concat!("select ", $columns, " from ", $source, " order by ", $source_key),
            any: concat!("select 1 from ", $name, " limit 1"),
            fill: concat!("copy ", $name, " (", $columns, ") from stdin"),
            read_back: concat!("select ", $columns, " from ", $name, " order by ", $key),
        }
    };
}

/// All tables, those that others refer to first. A test holds this list against both databases.
const TABLES: &[Table] = &[
    table!("organizations" (
        "organization_id, name, external_id, directory_sync, metadata, created_at, deleted_at"
    ) by "organization_id"),
    table!("directories" (
        "directory_id, organization_id, name, provider, settings, created_at, event_number, \
         ordinal, user_count, active_user_count, group_count, schemas_version, event_at, \
         paused_at, deleted_at, emptied_at, roles_version, hold_id, disconnected_at, \
         disconnected_people, deactivating_after"
    ) by "directory_id"),
    table!("guards" (
        "organization_id, seats_max, seats_mode, seats_exceeded_at, domains, domains_mode, \
         domains_revision, receipt_minutes, receipts_since"
    ) by "organization_id"),
    table!("outsiders" ("directory_id, user_id, domains") by "directory_id, user_id"),
    table!("domain_checks" ("directory_id, revision, ordinal") by "directory_id"),
    table!("receipts" (
        "directory_id, number, user_id, type, requested_at, effective_at, received_at, overdue_at"
    ) by "directory_id, number"),
    table!("tokens" (
        "token_id, directory_id, hash, last_four, created_at, expires_at, last_used_at, scope, \
         client_secret_id, told_days"
    ) by "token_id"),
    table!("contacts" (
        "directory_id, last_at, changed_at, refused_at, refused_with, rhythm, silent_at"
    ) by "directory_id"),
    table!("directory_clients" ("directory_id, known, modified_at") by "directory_id"),
    table!("oauth_clients" ("client_id, directory_id, name, created_at") by "client_id"),
    table!("oauth_secrets" (
        "secret_id, client_id, hash, last_four, created_at, expires_at, last_used_at"
    ) by "secret_id"),
    table!("api_keys" (
        "api_key_id, name, hash, last_four, created_at, scopes, organization_id, expires_at, \
         last_used_at"
    ) by "api_key_id"),
    table!("portal_links" (
        "link_id, organization_id, features, hash, is_one_time, created_at, expires_at, opened_at, \
         last_used_at, revoked_at, session_hash"
    ) by "link_id"),
    table!("members" (
        "member_id, email, email_key, name, role, invited_at, invited_until, invitation_hash, \
         joined_at, last_seen_at, password_hash, code_secret, code_step, oidc_issuer, \
         oidc_subject, keeps_password"
    ) by "member_id"),
    table!("branding" ("one, name, accent, logo") by "one"),
    table!("team" ("one, provider_required") by "one"),
    table!("member_sessions" (
        "session_id, member_id, hash, browser, created_at, last_used_at, expires_at"
    ) by "session_id"),
    table!("idempotency_keys" (
        "holder, key_hash, request_hash, begun_at, status, answer"
    ) by "holder, key_hash"),
    table!("directory_schemas" (
        "directory_id, urn_key, extends, required, definition, created_at, modified_at"
    ) by "directory_id, urn_key"),
    table!("attribute_uses" (
        "directory_id, of_kind, is_aside, path, json_type, resource_count, first_seen_at"
    ) by "directory_id, of_kind, is_aside, path"),
    table!("directory_quirks" (
        "directory_id, quirk, request_count, first_at, last_at"
    ) by "directory_id, quirk"),
    table!("catalogue" (
        "kind, entry_id, ordinal, display_name, description, created_at, modified_at, rank"
    ) by "kind, entry_id"),
    table!("catalogue_ordinals" ("kind, latest, version") by "kind"),
    table!("role_mappings" (
        "directory_id, mapping, walk_place, walk_done, walk_again, walk_follows, \
         walk_begun_at"
    ) by "directory_id"),
    table!("assignments" ("directory_id, user_id, assignment") by "directory_id, user_id"),
    table!("users" (
        "directory_id, user_id, ordinal, user_name_key, external_id, active, resource, version, \
         created_at, modified_at, email_keys_version, aside, turned_at"
    ) by "directory_id, user_id"),
    table!("former_users" (
        "directory_id, user_id, user_name_key, external_id, deleted_at"
    ) by "directory_id, user_id"),
    table!("email_keys" (
        "directory_id, email_key, user_id"
    ) by "directory_id, email_key, user_id"),
    table!("groups" (
        "directory_id, group_id, ordinal, display_name, display_name_key, external_id, resource, \
         version, member_count, created_at, modified_at"
    ) by "directory_id, group_id"),
    table!("memberships" ("group_id, member_id, kind, display") by "group_id, member_id"),
    table!("holds" (
        "hold_id, directory_id, kind, state, outcome, people, people_max, started_at, until_at, \
         decided_at, ended_at, cause, decided_by, remind_at"
    ) by "hold_id"),
    table!("held_resources" (
        "directory_id, resource_id, kind, name_key, told, told_active, previous_id, ordinal, cause, \
         changed_at"
    ) by "directory_id, resource_id"),
    table!("held_emails" (
        "directory_id, resource_id, email_key"
    ) by "directory_id, resource_id, email_key"),
    table!("held_memberships" (
        "directory_id, group_id, member_id, kind, was_member, ordinal, cause, changed_at"
    ) by "group_id, member_id"),
    table!("held_roles" (
        "directory_id, user_id, told, ordinal, cause, changed_at"
    ) by "directory_id, user_id"),
    table!("recent_losses" (
        "directory_id, resource_id, member_id, kind, name_key, told, told_active, cause, lost_at"
    ) by "directory_id, resource_id, member_id"),
    // An embedded database finds the events of a directory by their positions, which are in the
    // order of their numbers.
    table!("events" (
        "directory_id, number, event_id, type, occurred_at, data, cause, resource_id, other_id"
    ) by "directory_id, number" from "events" by "directory_id, position"),
    // There each event has its position; here whatever follows upon each other in one directory has
    // one row. From one such run to the next, positions grow by more than numbers do. Long runs are
    // cut: old events go by whole rows of this.
    table!("sequence" (
        "last_position, first_position, directory_id, first_number"
    ) by "last_position" from
        "(select max(position) as last_position, min(position) as first_position, directory_id, \
          min(number) as first_number from events \
          group by directory_id, position - number, number / 1000)"
        by "last_position"),
    // The epoch and the seals of cursors: what was handed out stays good.
    table!("feed" (
        "one, epoch, secret, position, forgotten_position, forgotten_event_id, own_number"
    ) by "one"),
    table!("audit" (
        "audit_id, occurred_at, actor_type, actor_id, actor_name, address, request_id, action, \
         object_id, object_name, organization_id, directory_id, state_before, state_after"
    ) by "audit_id"),
    table!("erasures" (
        "erasure_id, directory_id, user_id, user_ids, begun_at, actor_type, actor_id, actor_name, \
         request_id, stage, place, erased, traces, finished_at"
    ) by "erasure_id"),
    table!("webhook_endpoints" (
        "endpoint_id, url, description, filter, is_ordered, disabled_at, disabled_reason, revision, \
         position, missed_count, failing_since, last_success_at, last_failure_at, holder, epoch, \
         expires_at, created_at, modified_at"
    ) by "endpoint_id"),
    table!("webhook_secrets" (
        "endpoint_id, secret, created_at, expires_at"
    ) by "endpoint_id, secret"),
    table!("webhook_lanes" (
        "endpoint_id, lane_id, position, end_position, since, until, begin_position, begun_at"
    ) by "endpoint_id, lane_id"),
    table!("webhook_deliveries" (
        "endpoint_id, delivery_id, state, event_id, type, organization_id, directory_id, number, \
         position, occurred_at, data, lane_id, attempt_count, next_attempt_at, attempts, created_at, \
         modified_at, cause"
    ) by "endpoint_id, delivery_id"),
];

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Rows that it was done with, of all tables.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// What a move does with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They are brought over.
    Copying,
    /// They are read back and compared.
    Verifying,
}

/// A table that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// What they are, in the order of their key: the SHA-256 of them in the text format of
    /// `copy`.
    pub digest: String,
}

/// Rows of a table, counted and summed up on the way.
#[derive(Default)]
struct Sum {
    rows: u64,
    hasher: Sha256,
}

impl Store {
    /// Moves all that an embedded database keeps into an empty database of PostgreSQL, and compares
    /// what has arrived. The embedded one is brought to the shape of this version and is otherwise
    /// left as it is; where a server uses it, this is refused.
    pub async fn move_to_postgres(
        from: &Path,
        to: &str,
        now: Timestamp,
        report: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Vec<MovedTable>, Error> {
        let connector = Connector::new(to)?;
        let from = from.to_owned();
        // It waits for disks and a network, and sums up all there is.
        let moving = tokio::task::spawn_blocking(move || run(&from, &connector, now, report));
        moving.await.map_err(|_| Error::Closed)?
    }
}

fn run(
    from: &Path,
    connector: &Arc<Connector>,
    now: Timestamp,
    mut report: impl FnMut(Progress),
) -> Result<Vec<MovedTable>, Error> {
    let mut source = sqlite::open_alone(from)?;
    let mut target = connector.session();
    finish(async {
        postgres::check(&mut target).await?;
        if let Shape::OfNewer(migration) = migrations::migrate(&mut source, now).await? {
            return Err(newer("embedded", &migration));
        }
        source.begin_reading()?;
        target.begin()?;
        let moved = fill(&mut source, &mut target, now, &mut report).await;
        match moved {
            Ok(moved) => {
                target.commit().await.map_err(|error| match error {
                    error if error.is_unreachable() => Error::Unanswered(Box::new(error)),
                    error => error,
                })?;
                source.roll_back().await?;
                Ok(moved)
            }
            Err(error) => {
                // Why it failed is what matters; a transaction that nobody ends is undone.
                let _ = target.roll_back().await;
                Err(error)
            }
        }
    })
}

/// Fills the database in the transaction that was begun.
async fn fill(
    source: &mut Session,
    target: &mut Session,
    now: Timestamp,
    report: &mut impl FnMut(Progress),
) -> Result<Vec<MovedTable>, Error> {
    // A table of millions takes longer than a request may.
    target.be_patient(true);
    let unlimited = "set local statement_timeout = 0;
                     set local idle_in_transaction_session_timeout = 0";
    target.script("beginning to move", unlimited).await?;
    if let Shape::OfNewer(migration) = migrations::apply(target, now).await? {
        return Err(newer("PostgreSQL", &migration));
    }
    for table in TABLES {
        if target.first("looking whether it is empty", table.any, &[], |_| Ok(())).await?.is_some()
        {
            return Err(not_empty(table.name));
        }
    }

    let mut progress = Progress { phase: Phase::Copying, done: 0, total: 0 };
    for table in TABLES {
        let rows = source.first("counting rows", table.count, &[], |row| row.number(0)).await?;
        progress.total += rows.unwrap_or_default();
    }
    report(progress);
    let mut sums = Vec::new();
    for table in TABLES {
        sums.push(copy(source, target, table, &mut progress, report).await?);
    }
    target.script("counting for the planner", "analyze").await?;

    progress = Progress { phase: Phase::Verifying, done: 0, total: progress.done };
    report(progress);
    let mut moved = Vec::new();
    for (table, sum) in TABLES.iter().zip(sums) {
        let expected = sum.finish(table);
        let found = read_back(target, table, &mut progress, report).await?.finish(table);
        if found != expected {
            return Err(Error::Corrupt(format!(
                "`{}` did not arrive as it was: {} rows were sent and {} found, with the digests {} \
                 and {}. Nothing of it was kept",
                table.name, expected.rows, found.rows, expected.digest, found.digest
            )));
        }
        moved.push(found);
    }
    report(progress);
    Ok(moved)
}

/// Who does not know all that there is would leave something behind.
fn newer(which: &str, migration: &str) -> Error {
    Error::Migration(format!(
        "the {which} database has the migration `{migration}`, which this version of Roster does not \
         know: a newer version has used it. Move with that version or a later one"
    ))
}

fn not_empty(table: &str) -> Error {
    Error::Migration(format!(
        "the PostgreSQL database is not empty: there is something in `{table}`. All is moved into an \
         empty one and nothing is mixed; a move that was broken off leaves nothing behind. Where \
         nobody needs what is there, such as after a first start on it, drop the database, create it \
         again, and begin again"
    ))
}

/// Brings all rows of a table over.
async fn copy(
    source: &mut Session,
    target: &mut Session,
    table: &Table,
    progress: &mut Progress,
    report: &mut impl FnMut(Progress),
) -> Result<Sum, Error> {
    let mut way: CopyIn = target.copy_in("moving rows", table.fill).await?;
    let (mut sum, mut chunk) = (Sum::default(), Vec::new());
    source
        .each("reading rows to move", table.read, &[], |row| {
            let begin = chunk.len();
            write(row, &mut chunk)?;
            sum.add(&chunk[begin..]);
            if chunk.len() >= CHUNK {
                // An embedded database never waits, so here is a thread that may.
                finish(way.send(std::mem::take(&mut chunk)))?;
                report(Progress { done: progress.done + sum.rows, ..*progress });
            }
            Ok(Flow::Continue(()))
        })
        .await?;
    way.send(chunk).await?;
    way.end().await?;
    progress.done += sum.rows;
    report(*progress);
    Ok(sum)
}

/// Reads all rows of a table where they have arrived.
async fn read_back(
    target: &mut Session,
    table: &Table,
    progress: &mut Progress,
    report: &mut impl FnMut(Progress),
) -> Result<Sum, Error> {
    let (mut sum, mut line) = (Sum::default(), Vec::new());
    target
        .each("reading rows back", table.read_back, &[], |row| {
            line.clear();
            write(row, &mut line)?;
            sum.add(&line);
            if sum.rows % ROWS_UNTOLD == 0 {
                report(Progress { done: progress.done + sum.rows, ..*progress });
            }
            Ok(Flow::Continue(()))
        })
        .await?;
    progress.done += sum.rows;
    Ok(sum)
}

impl Sum {
    fn add(&mut self, line: &[u8]) {
        self.rows += 1;
        self.hasher.update(line);
    }

    fn finish(self, table: &Table) -> MovedTable {
        let digest = hex(&self.hasher.finalize());
        MovedTable { name: table.name, rows: self.rows, digest }
    }
}

/// A row as a line of the text format of `copy`.
fn write(row: &Row<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    for column in 0..row.columns() {
        if column > 0 {
            out.push(b'\t');
        }
        match row.kept(column)? {
            Kept::Nothing => out.extend_from_slice(br"\N"),
            Kept::Integer(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
            Kept::Text(text) => postgres::push_text(text, out),
        }
    }
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use claims::OwnDatabase;

    use super::*;

    type Schema = BTreeMap<String, BTreeSet<String>>;

    /// What each has for itself: tables, and columns of these.
    const OF_SQLITE_ALONE: &[(&str, &[&str])] = &[
        ("migrations", &["name", "applied_at", "lives_with"]),
        ("leases", &["name", "holder", "expires_at"]),
        ("events", &["position"]),
    ];
    /// Requests stay in the file beside the embedded database.
    const OF_POSTGRES_ALONE: &[(&str, &[&str])] = &[
        (
            "requests",
            &["place", "request_id", "directory_id", "class", "begun_at", "duration_us", "entry"],
        ),
        ("request_bodies", &["place", "request_body", "answer_body"]),
        ("request_subjects", &["subject", "place"]),
        ("migrations", &["name", "applied_at", "lives_with"]),
        ("leases", &["name", "holder", "expires_at"]),
        ("unsequenced", &["id", "directory_id", "first_number", "last_number"]),
    ];
    /// Where it follows from the positions of events.
    const NOT_OF_SQLITE: &[&str] = &["sequence"];

    fn listed(alone: &[(&str, &[&str])], left_out: &[&str]) -> Schema {
        let mut schema = Schema::new();
        let mut add = |table: &str, column: &str| {
            schema.entry(table.to_owned()).or_default().insert(column.to_owned());
        };
        for table in TABLES.iter().filter(|table| !left_out.contains(&table.name)) {
            table.columns.split(", ").for_each(|column| add(table.name, column));
        }
        for (table, columns) in alone {
            columns.iter().for_each(|column| add(table, column));
        }
        schema
    }

    fn found(session: &mut Session, sql: &'static str) -> Schema {
        let mut schema = Schema::new();
        let rows = finish(session.all("", sql, &[], |row| Ok((row.text(0)?, row.text(1)?))));
        for (table, column) in rows.unwrap() {
            schema.entry(table).or_default().insert(column);
        }
        schema
    }

    #[test]
    fn every_column_of_an_embedded_database_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let mut session = sqlite::open_writer(&folder.path().join("roster.db")).unwrap();
        finish(migrations::migrate(&mut session, Timestamp::UNIX_EPOCH)).unwrap();
        let sql = "select tables.name, columns.name
                   from sqlite_schema tables, pragma_table_info(tables.name) columns
                   where tables.type = 'table'";
        assert_eq!(found(&mut session, sql), listed(OF_SQLITE_ALONE, NOT_OF_SQLITE));
    }

    #[tokio::test]
    async fn every_column_of_postgresql_is_filled() {
        let Some(own) = OwnDatabase::make() else { return };
        let connector = Connector::new(&own.url()).unwrap();
        let looking = tokio::task::spawn_blocking(move || {
            let mut session = connector.session();
            finish(migrations::migrate(&mut session, Timestamp::UNIX_EPOCH)).unwrap();
            let sql = "select table_name::text, column_name::text from information_schema.columns
                       where table_schema = current_schema()";
            assert_eq!(found(&mut session, sql), listed(OF_POSTGRES_ALONE, &[]));
        });
        looking.await.unwrap();
    }
}
