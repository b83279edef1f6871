//! Reading users and groups: one, or a page of those that a filter lets through.
//!
//! SQL narrows, `BoundFilter::matches` decides. Where a filter names a key (a user's name, an
//! `externalId`, an id, a member) only the rows with that key are looked at; otherwise all are,
//! a few hundred at a time. Either way each row that is answered has been asked.

use std::sync::Arc;

use directory::{DirectoryId, GroupId, Membership, UserId};
use jiff::Timestamp;
use scim::filter::{BoundFilter, Comparison, Condition, Operand, Test};
use serde_json::{Map, Value as Json};

use crate::error::Error;
use crate::rows;
use crate::session::{Row, Session, Value, count};

/// Rows that are loaded at once while all are looked at.
const SCAN_ROWS: u64 = 500;

/// A user as it is answered: the text is what was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// The id.
    pub id: UserId,
    /// The attributes, as one JSON object.
    pub text: String,
    /// Whether the person may use the app.
    pub is_active: bool,
    /// One more with each change.
    pub version: u64,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the user last changed.
    pub modified_at: Timestamp,
    /// The groups that the user belongs to, where they were asked for.
    pub groups: Vec<GroupReference>,
}

/// A group as it stands in a user's `groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReference {
    /// The id.
    pub id: GroupId,
    /// The name.
    pub display_name: String,
}

/// A group as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// The id.
    pub id: GroupId,
    /// The attributes but `members`, as one JSON object.
    pub text: String,
    /// One more with each change.
    pub version: u64,
    /// When the group was created.
    pub created_at: Timestamp,
    /// When the group, or who belongs to it, last changed.
    pub modified_at: Timestamp,
    /// How many belong to it.
    pub member_count: u64,
    /// Who belongs to it, where they were asked for.
    pub members: Vec<Membership>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From which on, beginning with 1.
    pub start_index: u64,
    /// How many at most.
    pub count: u64,
}

/// Which records, and how much of each.
#[derive(Clone)]
pub struct ListRequest<R> {
    /// Which are wanted; all, where there is none.
    pub filter: Option<Arc<BoundFilter>>,
    /// Which part of those.
    pub window: Window,
    /// Whether a user's groups, or a group's members, are wanted with it.
    pub with_related: bool,
    /// How a record is represented to the filter: whole, as a client would see it.
    pub represent: Represent<R>,
}

/// Makes of a record what a client would see.
pub type Represent<R> = Arc<dyn Fn(&R) -> Map<String, Json> + Send + Sync>;

impl<R> std::fmt::Debug for ListRequest<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListRequest").field("window", &self.window).finish_non_exhaustive()
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// How many there are in all, in the same state of the database.
    pub total: u64,
    /// Those of the window, in the order in which they were created.
    pub items: Vec<T>,
}

/// What is listed: the same reading for users and for groups.
pub(crate) trait Record: Sized {
    /// The columns, and `ordinal` last.
    const BY_ORDINAL: &'static str;
    const BY_OFFSET: &'static str;
    const BY_ID: &'static str;
    const BY_NAME: &'static str;
    const BY_EXTERNAL_ID: &'static str;
    const BY_RELATED: &'static str;
    const COUNT: &'static str;
    /// The attribute that is unique and has a folded key.
    const NAME: &'static str;
    /// The attribute whose `value` names a related resource.
    const RELATED: &'static str;

    fn read(row: &Row<'_>) -> Result<Self, Error>;
    async fn relate(&mut self, session: &mut Session, directory: &str) -> Result<(), Error>;
}

impl Record for UserRecord {
    const BY_ORDINAL: &'static str =
        "select user_id, resource, active, version, created_at, modified_at, ordinal from users
         where directory_id = $1 and ordinal > $2 order by ordinal limit $3";
    const BY_OFFSET: &'static str =
        "select user_id, resource, active, version, created_at, modified_at, ordinal from users
         where directory_id = $1 order by ordinal limit $3 offset $2";
    const BY_ID: &'static str =
        "select user_id, resource, active, version, created_at, modified_at, ordinal from users
         where directory_id = $1 and user_id = $2";
    const BY_NAME: &'static str =
        "select user_id, resource, active, version, created_at, modified_at, ordinal from users
         where directory_id = $1 and user_name_key = $2";
    const BY_EXTERNAL_ID: &'static str =
        "select user_id, resource, active, version, created_at, modified_at, ordinal from users
         where directory_id = $1 and external_id = $2 order by ordinal";
    const BY_RELATED: &'static str =
        "select u.user_id, u.resource, u.active, u.version, u.created_at, u.modified_at, u.ordinal
         from memberships m join users u on u.directory_id = $1 and u.user_id = m.member_id
         where m.group_id = $2 order by u.ordinal";
    const COUNT: &'static str = "select user_count from directories where directory_id = $1";
    const NAME: &'static str = "userName";
    const RELATED: &'static str = "groups";

    fn read(row: &Row<'_>) -> Result<UserRecord, Error> {
        Ok(UserRecord {
            id: row.resource_id(0)?,
            text: row.text(1)?,
            is_active: row.integer(2)? != 0,
            version: row.number(3)?,
            created_at: row.time(4)?,
            modified_at: row.time(5)?,
            groups: Vec::new(),
        })
    }

    async fn relate(&mut self, session: &mut Session, directory: &str) -> Result<(), Error> {
        self.groups = session
            .all(
                "loading the groups of a user",
                "select g.group_id, g.display_name
                 from memberships m join groups g on g.directory_id = $1 and g.group_id = m.group_id
                 where m.member_id = $2 order by m.group_id",
                &[Value::Text(directory), Value::Text(&self.id.to_string())],
                |row| Ok(GroupReference { id: row.resource_id(0)?, display_name: row.text(1)? }),
            )
            .await?;
        Ok(())
    }
}

impl Record for GroupRecord {
    const BY_ORDINAL: &'static str =
        "select group_id, resource, version, created_at, modified_at, member_count, ordinal
         from groups where directory_id = $1 and ordinal > $2 order by ordinal limit $3";
    const BY_OFFSET: &'static str =
        "select group_id, resource, version, created_at, modified_at, member_count, ordinal
         from groups where directory_id = $1 order by ordinal limit $3 offset $2";
    const BY_ID: &'static str =
        "select group_id, resource, version, created_at, modified_at, member_count, ordinal
         from groups where directory_id = $1 and group_id = $2";
    const BY_NAME: &'static str =
        "select group_id, resource, version, created_at, modified_at, member_count, ordinal
         from groups where directory_id = $1 and display_name_key = $2";
    const BY_EXTERNAL_ID: &'static str =
        "select group_id, resource, version, created_at, modified_at, member_count, ordinal
         from groups where directory_id = $1 and external_id = $2 order by ordinal";
    const BY_RELATED: &'static str =
        "select g.group_id, g.resource, g.version, g.created_at, g.modified_at, g.member_count,
                g.ordinal
         from memberships m join groups g on g.directory_id = $1 and g.group_id = m.group_id
         where m.member_id = $2 order by g.ordinal";
    const COUNT: &'static str = "select group_count from directories where directory_id = $1";
    const NAME: &'static str = "displayName";
    const RELATED: &'static str = "members";

    fn read(row: &Row<'_>) -> Result<GroupRecord, Error> {
        Ok(GroupRecord {
            id: row.resource_id(0)?,
            text: row.text(1)?,
            version: row.number(2)?,
            created_at: row.time(3)?,
            modified_at: row.time(4)?,
            member_count: row.number(5)?,
            members: Vec::new(),
        })
    }

    async fn relate(&mut self, session: &mut Session, _: &str) -> Result<(), Error> {
        self.members = rows::members(session, self.id).await?;
        Ok(())
    }
}

/// One by id.
pub(crate) async fn one<R: Record>(
    session: &mut Session,
    directory_id: DirectoryId,
    id: directory::ResourceId,
    with_related: bool,
) -> Result<Option<R>, Error> {
    session.begin_reading().await?;
    let directory = directory_id.to_string();
    let values = [Value::Text(&directory), Value::Text(&id.to_string())];
    let mut found = session.first("loading a resource", R::BY_ID, &values, R::read).await?;
    if let (Some(record), true) = (&mut found, with_related) {
        record.relate(session, &directory).await?;
    }
    Ok(found)
}

/// A page, and how many there are, in one state of the database.
pub(crate) async fn page<R: Record>(
    session: &mut Session,
    directory_id: DirectoryId,
    request: &ListRequest<R>,
) -> Result<Page<R>, Error> {
    session.begin_reading().await?;
    let directory = directory_id.to_string();
    let mut page = match &request.filter {
        None => everything(session, &directory, request.window).await?,
        Some(filter) => matching(session, &directory, request, filter).await?,
    };
    if request.with_related {
        for record in &mut page.items {
            record.relate(session, &directory).await?;
        }
    }
    Ok(page)
}

async fn everything<R: Record>(
    session: &mut Session,
    directory: &str,
    window: Window,
) -> Result<Page<R>, Error> {
    let total = session
        .first("counting resources", R::COUNT, &[Value::Text(directory)], |row| row.number(0))
        .await?
        .unwrap_or(0);
    let skipped = window.start_index.saturating_sub(1);
    if window.count == 0 || skipped >= total {
        return Ok(Page { total, items: Vec::new() });
    }
    let values = [Value::Text(directory), count(skipped), count(window.count)];
    let items = session.all("loading a page", R::BY_OFFSET, &values, R::read).await?;
    Ok(Page { total, items })
}

/// Those after an ordinal, with their own: a page that is found by its key, at the same cost
/// wherever it is.
pub(crate) async fn after<R: Record>(
    session: &mut Session,
    directory: &str,
    ordinal: u64,
    count_max: u64,
) -> Result<Vec<(u64, R)>, Error> {
    let values = [Value::Text(directory), count(ordinal), count(count_max)];
    session
        .all("loading a page", R::BY_ORDINAL, &values, |row| {
            Ok((row.last_number()?, R::read(row)?))
        })
        .await
}

async fn matching<R: Record>(
    session: &mut Session,
    directory: &str,
    request: &ListRequest<R>,
    filter: &BoundFilter,
) -> Result<Page<R>, Error> {
    let needs_related = mentions(filter.condition(), R::RELATED);
    let mut found = Found { total: 0, items: Vec::new(), request, filter };
    if let Some((sql, key)) = narrow::<R>(filter.condition()) {
        let values = [Value::Text(directory), Value::Text(key)];
        let mut candidates = session.all("loading by key", sql, &values, R::read).await?;
        for record in &mut candidates {
            if needs_related {
                record.relate(session, directory).await?;
            }
        }
        for record in candidates {
            found.ask(record);
        }
    } else {
        let mut last = 0;
        loop {
            let rows = after::<R>(session, directory, last, SCAN_ROWS).await?;
            let Some((reached, _)) = rows.last() else { break };
            last = *reached;
            for (_, mut record) in rows {
                if needs_related {
                    record.relate(session, directory).await?;
                }
                found.ask(record);
            }
        }
    }
    Ok(Page { total: found.total, items: found.items })
}

struct Found<'a, R> {
    total: u64,
    items: Vec<R>,
    request: &'a ListRequest<R>,
    filter: &'a BoundFilter,
}

impl<R> Found<'_, R> {
    fn ask(&mut self, record: R) {
        if !self.filter.matches(&(self.request.represent)(&record)) {
            return;
        }
        self.total += 1;
        let window = self.request.window;
        if self.total >= window.start_index && (self.items.len() as u64) < window.count {
            self.items.push(record);
        }
    }
}

/// A key that every match has, and the statement that finds those who have it.
fn narrow<R: Record>(condition: &Condition<Test>) -> Option<(&'static str, &str)> {
    match condition {
        // All of them hold, so any of them narrows.
        Condition::And(conditions) => conditions.iter().find_map(narrow::<R>),
        Condition::Test(Test::Attribute(target, Comparison::Equal(Operand::Text(text)))) => {
            match (target.extension(), target.attribute()?, target.sub_attribute()) {
                (None, "id", None) => Some((R::BY_ID, text.written())),
                (None, "externalId", None) => Some((R::BY_EXTERNAL_ID, text.written())),
                (None, name, None) if name == R::NAME => Some((R::BY_NAME, text.key())),
                (None, name, Some("value")) if name == R::RELATED => {
                    Some((R::BY_RELATED, text.written()))
                }
                _ => None,
            }
        }
        Condition::Test(Test::Values(target, filter)) => {
            match (target.extension(), target.attribute()?, filter.value_ids()?.as_slice()) {
                (None, name, &[id]) if name == R::RELATED => Some((R::BY_RELATED, id)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether the filter asks about an attribute at the top level.
fn mentions(condition: &Condition<Test>, attribute: &str) -> bool {
    match condition {
        Condition::And(conditions) | Condition::Or(conditions) => {
            conditions.iter().any(|condition| mentions(condition, attribute))
        }
        Condition::Not(condition) => mentions(condition, attribute),
        Condition::Test(Test::Attribute(target, _) | Test::Values(target, _)) => {
            target.extension().is_none() && target.attribute() == Some(attribute)
        }
    }
}
