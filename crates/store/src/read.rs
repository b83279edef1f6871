//! Users and groups as they are read, and the statements that find them.

use std::collections::HashMap;

use directory::{DirectoryId, GroupId, Membership, ResourceId, UserId};
use jiff::Timestamp;

use crate::error::Error;
use crate::rows;
use crate::session::{Engine, Flow, Kept, Row, Session, Value};

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

/// What is listed: the same reading for users and for groups.
///
/// The statements that find by a key give the ordinals, in any order, of all in directory `$1` that
/// have the key `$2`.
pub(crate) trait Record: Sized {
    /// What tells its lists from others.
    const KIND: &'static str;
    /// The attribute that is unique and has a folded key.
    const NAME: &'static str;
    /// The attribute whose `value` names a related resource.
    const RELATED: &'static str;
    const COUNT: &'static str;
    /// One, by its id `$2`.
    const ONE: &'static str;
    /// One, by its ordinal `$2`.
    const AT: &'static str;
    /// `$3` at most, after the first `$2`.
    const BY_OFFSET: &'static str;
    /// `$3` at most, after the ordinal `$2`.
    const BY_ORDINAL: &'static str;
    /// The same, but the ordinals alone.
    const ORDINALS: &'static str;
    const BY_ID: &'static str;
    const BY_NAME: &'static str;
    /// The one with the key, where there is no other.
    const WITH_NAME: Option<&'static str>;
    const BY_EXTERNAL_ID: &'static str;
    const BY_RELATED: &'static str;
    /// Changed at the time of the key or after it.
    const BY_MODIFIED: &'static str;
    /// Without a key, where the kind has such.
    const BY_INACTIVE: Option<&'static str>;
    const BY_EMAIL: Option<&'static str>;

    fn read(row: &Row<'_>) -> Result<Self, Error>;
    async fn relate(&mut self, session: &mut Session, directory: &str) -> Result<(), Error>;

    /// The same for the many of a page at once, where that saves journeys and is not too much to
    /// hold. False where each has to be related by itself.
    async fn relate_all(
        _: &mut Session,
        _directory: &str,
        _records: &mut [(u64, Self)],
    ) -> Result<bool, Error> {
        Ok(false)
    }

    /// The same as [`relate`](Record::relate), but only those with these ids.
    async fn relate_to(
        &mut self,
        session: &mut Session,
        directory: &str,
        ids: &[&str],
    ) -> Result<(), Error>;

    fn forget_related(&mut self);

    /// How many members are loaded with it. A user has none; the groups of one are few.
    fn member_count(&self) -> u64;

    /// Bytes that it takes on a page, about; of those it is related to, as far as their number is
    /// known already.
    fn weight(&self, with_related: bool) -> usize;
}

/// Bytes around what is kept of a resource, and of each that it is related to: a URL for the most
/// part.
const FRAME_BYTES: usize = 512;
const RELATED_BYTES: usize = 256;

/// A statement that reads users.
macro_rules! users {
    ($($rest:literal),+) => {
        concat!(
            "select u.user_id, u.resource, u.active, u.version, u.created_at, u.modified_at, ",
            "u.ordinal from users u where u.directory_id = $1 ",
            $($rest),+
        )
    };
}

/// A statement that reads groups.
macro_rules! groups {
    ($($rest:literal),+) => {
        concat!(
            "select g.group_id, g.resource, g.version, g.created_at, g.modified_at, ",
            "g.member_count, g.ordinal from groups g where g.directory_id = $1 ",
            $($rest),+
        )
    };
}

/// Statements that read a user and their groups, for each engine. Embedded, it is a row for each
/// group, and one where there is none: nothing travels, and a row that is read costs least. Beside a
/// server, the user would travel with each group: there the groups are a list in one column.
macro_rules! with_groups {
    ($which:literal) => {
        (
            concat!(
                "select u.user_id, u.resource, u.active, u.version, u.created_at, u.modified_at, ",
                "u.ordinal, g.group_id, g.display_name from users u ",
                "left join memberships m on m.member_id = u.user_id ",
                "left join groups g on g.directory_id = u.directory_id and g.group_id = m.group_id ",
                "where u.directory_id = $1 ",
                $which,
                " order by m.group_id"
            ),
            concat!(
                "select u.user_id, u.resource, u.active, u.version, u.created_at, u.modified_at, ",
                "u.ordinal, (select json_agg(json_build_array(g.group_id, g.display_name) ",
                "order by m.group_id)::text from memberships m join groups g ",
                "on g.directory_id = u.directory_id and g.group_id = m.group_id ",
                "where m.member_id = u.user_id) from users u where u.directory_id = $1 ",
                $which
            ),
        )
    };
}

impl Record for UserRecord {
    const KIND: &'static str = "users";
    const NAME: &'static str = "userName";
    const RELATED: &'static str = "groups";
    const COUNT: &'static str = "select user_count from directories where directory_id = $1";
    const ONE: &'static str = users!("and u.user_id = $2");
    const AT: &'static str = users!("and u.ordinal = $2");
    const BY_OFFSET: &'static str = users!("order by u.ordinal limit $3 offset $2");
    const BY_ORDINAL: &'static str = users!("and u.ordinal > $2 order by u.ordinal limit $3");
    const ORDINALS: &'static str = "select ordinal from users where directory_id = $1 and ordinal > $2 order by ordinal limit $3";
    const BY_ID: &'static str =
        "select ordinal from users where directory_id = $1 and user_id = $2";
    const BY_NAME: &'static str =
        "select ordinal from users where directory_id = $1 and user_name_key = $2";
    const WITH_NAME: Option<&'static str> = Some(users!("and u.user_name_key = $2"));
    const BY_EXTERNAL_ID: &'static str =
        "select ordinal from users where directory_id = $1 and external_id = $2";
    const BY_RELATED: &'static str = "select u.ordinal from memberships m
         join users u on u.directory_id = $1 and u.user_id = m.member_id
         where m.group_id = $2";
    const BY_MODIFIED: &'static str =
        "select ordinal from users where directory_id = $1 and modified_at >= $2";
    const BY_INACTIVE: Option<&'static str> =
        Some("select ordinal from users where directory_id = $1 and active = 0");
    // Those whose keys are not those of their latest version may have any address.
    const BY_EMAIL: Option<&'static str> = Some(
        "select u.ordinal from email_keys k
         join users u on u.directory_id = $1 and u.user_id = k.user_id
         where k.directory_id = $1 and k.email_key = $2
         union
         select ordinal from users where directory_id = $1 and email_keys_version <> version",
    );

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
                |row| group_reference(row, 0),
            )
            .await?;
        Ok(())
    }

    async fn relate_all(
        session: &mut Session,
        directory: &str,
        users: &mut [(u64, UserRecord)],
    ) -> Result<bool, Error> {
        if session.engine() == Engine::Sqlite {
            return Ok(false);
        }
        let ids: Vec<_> = users.iter().map(|(_, user)| user.id.to_string()).collect();
        let mut groups: HashMap<ResourceId, Vec<GroupReference>> = HashMap::new();
        session
            .each(
                "loading the groups of users",
                "select m.member_id, g.group_id, g.display_name
                 from memberships m join groups g on g.directory_id = $1 and g.group_id = m.group_id
                 where m.member_id = any($2) order by m.member_id, m.group_id",
                &[Value::Text(directory), Value::Texts(&ids)],
                |row| {
                    groups.entry(row.resource_id(0)?).or_default().push(group_reference(row, 1)?);
                    Ok(Flow::Continue(()))
                },
            )
            .await?;
        for (_, user) in users {
            user.groups = groups.remove(&user.id).unwrap_or_default();
        }
        Ok(true)
    }

    async fn relate_to(
        &mut self,
        session: &mut Session,
        directory: &str,
        ids: &[&str],
    ) -> Result<(), Error> {
        let user = self.id.to_string();
        for id in ids {
            let group = session
                .first(
                    "looking for a group of a user",
                    "select g.group_id, g.display_name
                     from memberships m
                     join groups g on g.directory_id = $1 and g.group_id = m.group_id
                     where m.member_id = $2 and m.group_id = $3",
                    &[Value::Text(directory), Value::Text(&user), Value::Text(id)],
                    |row| group_reference(row, 0),
                )
                .await?;
            self.groups.extend(group);
        }
        Ok(())
    }

    fn forget_related(&mut self) {
        self.groups = Vec::new();
    }

    fn member_count(&self) -> u64 {
        0
    }

    fn weight(&self, with_related: bool) -> usize {
        let groups = self.groups.iter().map(|group| RELATED_BYTES + group.display_name.len());
        let groups = if with_related { groups.sum() } else { 0 };
        self.text.len() + FRAME_BYTES + groups
    }
}

impl Record for GroupRecord {
    const KIND: &'static str = "groups";
    const NAME: &'static str = "displayName";
    const RELATED: &'static str = "members";
    const COUNT: &'static str = "select group_count from directories where directory_id = $1";
    const ONE: &'static str = groups!("and g.group_id = $2");
    const AT: &'static str = groups!("and g.ordinal = $2");
    const BY_OFFSET: &'static str = groups!("order by g.ordinal limit $3 offset $2");
    const BY_ORDINAL: &'static str = groups!("and g.ordinal > $2 order by g.ordinal limit $3");
    const ORDINALS: &'static str = "select ordinal from groups where directory_id = $1 and ordinal > $2 order by ordinal limit $3";
    const BY_ID: &'static str =
        "select ordinal from groups where directory_id = $1 and group_id = $2";
    const BY_NAME: &'static str =
        "select ordinal from groups where directory_id = $1 and display_name_key = $2";
    const WITH_NAME: Option<&'static str> = None;
    const BY_EXTERNAL_ID: &'static str =
        "select ordinal from groups where directory_id = $1 and external_id = $2";
    const BY_RELATED: &'static str = "select g.ordinal from memberships m
         join groups g on g.directory_id = $1 and g.group_id = m.group_id
         where m.member_id = $2";
    const BY_MODIFIED: &'static str =
        "select ordinal from groups where directory_id = $1 and modified_at >= $2";
    const BY_INACTIVE: Option<&'static str> = None;
    const BY_EMAIL: Option<&'static str> = None;

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

    async fn relate_to(
        &mut self,
        session: &mut Session,
        _: &str,
        ids: &[&str],
    ) -> Result<(), Error> {
        for id in ids {
            self.members.extend(rows::member(session, self.id, id).await?);
        }
        Ok(())
    }

    fn forget_related(&mut self) {
        self.members = Vec::new();
    }

    fn member_count(&self) -> u64 {
        self.member_count
    }

    fn weight(&self, with_related: bool) -> usize {
        let loaded = self.members.iter();
        let display = |member: &Membership| member.display.as_ref().map_or(0, String::len);
        let members = match (with_related, self.members.is_empty()) {
            (false, _) => 0,
            (true, true) => usize::try_from(self.member_count)
                .unwrap_or(usize::MAX)
                .saturating_mul(RELATED_BYTES),
            (true, false) => loaded.map(|member| RELATED_BYTES + display(member)).sum(),
        };
        self.text.len().saturating_add(FRAME_BYTES).saturating_add(members)
    }
}

/// A group whose id and name stand in this column and in the next.
fn group_reference(row: &Row<'_>, column: usize) -> Result<GroupReference, Error> {
    Ok(GroupReference { id: row.resource_id(column)?, display_name: row.text(column + 1)? })
}

/// Groups in the words of PostgreSQL: pairs of an id and a name.
fn group_references(pairs: &str) -> Result<Vec<GroupReference>, Error> {
    let corrupt = |what: String| Error::Corrupt(format!("the groups of a user: {what}"));
    let pairs: Vec<(String, String)> =
        serde_json::from_str(pairs).map_err(|error| corrupt(error.to_string()))?;
    let reference = |(id, display_name): (String, String)| {
        let id = ResourceId::parse(&id).ok_or_else(|| corrupt(format!("`{id}` is no id")))?;
        Ok(GroupReference { id, display_name })
    };
    pairs.into_iter().map(reference).collect()
}

/// One by id, with those that it is related to where they are wanted.
pub(crate) async fn one<R: Record>(
    session: &mut Session,
    directory_id: DirectoryId,
    id: directory::ResourceId,
    with_related: impl Fn(&R) -> bool,
) -> Result<Option<R>, Error> {
    session.begin_reading()?;
    let directory = directory_id.to_string();
    let values = [Value::Text(&directory), Value::Text(&id.to_string())];
    let mut found = session.first("loading a resource", R::ONE, &values, R::read).await?;
    if let Some(record) = &mut found
        && with_related(record)
    {
        record.relate(session, &directory).await?;
    }
    Ok(found)
}

/// A user by id, with their groups where they are wanted.
pub(crate) async fn user(
    session: &mut Session,
    directory_id: DirectoryId,
    id: directory::ResourceId,
    with_groups: bool,
) -> Result<Option<UserRecord>, Error> {
    let directory = directory_id.to_string();
    let id_text = id.to_string();
    let values = [Value::Text(&directory), Value::Text(&id_text)];
    // One statement sees one state of the database.
    if with_groups {
        let sql = with_groups!("and u.user_id = $2");
        return Ok(user_with_groups(session, sql, &values).await?.map(|(_, user)| user));
    }
    session.first("loading a user", UserRecord::ONE, &values, UserRecord::read).await
}

/// The user with this folded name, and the place in the order of lists: in one statement, for that is
/// what every provider asks before it creates somebody.
pub(crate) async fn user_named(
    session: &mut Session,
    directory: &str,
    name_key: &str,
    with_groups: bool,
) -> Result<Option<(u64, UserRecord)>, Error> {
    let values = [Value::Text(directory), Value::Key(name_key)];
    if with_groups {
        let sql = with_groups!("and u.user_name_key = $2");
        return user_with_groups(session, sql, &values).await;
    }
    let sql = users!("and u.user_name_key = $2");
    let read = |row: &Row<'_>| Ok((row.number(6)?, UserRecord::read(row)?));
    session.first("loading a user by name", sql, &values, read).await
}

async fn user_with_groups(
    session: &mut Session,
    (of_sqlite, of_postgres): (&'static str, &'static str),
    values: &[Value<'_>],
) -> Result<Option<(u64, UserRecord)>, Error> {
    const DOING: &str = "loading a user with their groups";

    let sql = match session.engine() {
        Engine::Sqlite => of_sqlite,
        Engine::Postgres => {
            let read = |row: &Row<'_>| {
                let mut user = UserRecord::read(row)?;
                if let Some(groups) = row.optional_text(7)? {
                    user.groups = group_references(&groups)?;
                }
                Ok((row.number(6)?, user))
            };
            return session.first(DOING, of_postgres, values, read).await;
        }
    };
    let mut found: Option<(u64, UserRecord)> = None;
    session
        .each(DOING, sql, values, |row| {
            let (_, user) = match &mut found {
                Some(user) => user,
                None => found.insert((row.number(6)?, UserRecord::read(row)?)),
            };
            if row.kept(7)? != Kept::Nothing {
                user.groups.push(group_reference(row, 7)?);
            }
            Ok(Flow::Continue(()))
        })
        .await?;
    Ok(found)
}
