//! Who gets which role, and the roles that everybody has: kept with the changes that they follow from,
//! and found anew for everybody, some at a time, where it was said otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use directory::{
    Assignment, BoundMapping, CatalogueKind, Cause, Change, Consequence, Difference, DirectoryId,
    EntryId, Granted, GroupId, Guarded, Idle, Person, Rejection, Role, RoleMapping, RoleState,
    RoleStateChange, RoleWalk, Roles, SaveRoleMapping, Types, User, UserId, WalkRoles,
};
use jiff::Timestamp;
use scim::group::MemberKind;

use crate::Store;
use crate::access::DirectoryStore;
use crate::administration::Administration;
use crate::catalogue;
use crate::error::Error;
use crate::load;
use crate::schemas;
use crate::session::{Engine, Many, Row, Session, Value, count, finish};
use crate::writer::Act;

/// People who are looked at in one transaction of a walk: with what is loaded of each, a few
/// milliseconds, for which writes of others wait.
const PEOPLE_AT_ONCE: u64 = 128;

/// Directories of which it is remembered who gets which role, in the form in which it is applied. What is
/// not remembered is made again.
const REMEMBERED_MAX: usize = 512;

/// What was made of mappings, by what it was made of. It belongs to one connection, which lets go of it
/// when a transaction is undone: what it was made of may have never been.
#[derive(Debug, Default)]
pub(crate) struct KnownMappings(HashMap<DirectoryId, Made>);

#[derive(Debug)]
struct Made {
    /// Of the mapping, of the schemas, of the roles.
    versions: [u64; 3],
    mapping: Arc<RoleMapping>,
    bound: Arc<BoundMapping>,
}

impl KnownMappings {
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The roles of the app.
pub(crate) async fn roles(session: &mut Session) -> Result<Arc<Roles>, Error> {
    let entries = catalogue::all(session, CatalogueKind::Role).await?;
    let roles = entries.into_iter().map(|(_, entry)| Role { id: entry.id, rank: entry.rank });
    Ok(Arc::new(Roles::new(roles)))
}

/// What is read of a role mapping: the columns that [`made`] reads.
macro_rules! mappings {
    ($($rest:literal)?) => {
        concat!(
            "select m.walk_place, m.walk_done, m.walk_again, m.walk_follows, d.roles_version, ",
            "d.schemas_version, ",
            "coalesce((select version from catalogue_ordinals where kind = $2), 0), m.mapping ",
            "from role_mappings m join directories d on d.directory_id = m.directory_id ",
            "where m.directory_id = $1",
            $($rest)?
        )
    };
}

/// Who gets which role in a directory, for somebody who writes to it; where somebody has said so.
pub(crate) async fn state_to_write(
    session: &mut Session,
    directory_id: DirectoryId,
) -> Result<RoleState, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => mappings!(),
        // Whoever changes the roles of the app has everybody looked at: not between this and what is
        // written here.
        Engine::Postgres => mappings!(" for no key update of m"),
    };
    let found = made(session, directory_id, sql).await?;
    found.ok_or_else(|| Error::Corrupt("a directory is without its role mapping".to_owned()))
}

/// The same for somebody who reads; `None` where nobody has said so.
pub(crate) async fn state(
    session: &mut Session,
    directory_id: DirectoryId,
) -> Result<Option<RoleState>, Error> {
    made(session, directory_id, mappings!()).await
}

async fn made(
    session: &mut Session,
    directory_id: DirectoryId,
    sql: &'static str,
) -> Result<Option<RoleState>, Error> {
    let directory = directory_id.to_string();
    let values = [Value::Text(&directory), Value::Text(CatalogueKind::Role.as_str())];
    let read = |row: &Row<'_>| {
        let versions = [row.number(4)?, row.number(5)?, row.number(6)?];
        Ok((walk(row)?, versions, row.text(7)?))
    };
    let found = session.first("loading a role mapping", sql, &values, read).await?;
    let Some((walk, versions, text)) = found else { return Ok(None) };
    if let Some(made) = session.mappings().0.get(&directory_id)
        && made.versions == versions
    {
        let (mapping, bound) = (Arc::clone(&made.mapping), Arc::clone(&made.bound));
        return Ok(Some(RoleState { version: versions[0], mapping, bound, walk }));
    }
    let mapping =
        RoleMapping::from_text(&text).ok_or_else(|| Error::Corrupt("a role mapping".to_owned()))?;
    let types = match versions[1] {
        0 => Types::builtin(),
        version => Arc::new(Types::new(version, &schemas::all(session, &directory).await?)),
    };
    let bound = Arc::new(BoundMapping::new(&mapping, roles(session).await?, types.user()));
    let mapping = Arc::new(mapping);
    let made = Made { versions, mapping: Arc::clone(&mapping), bound: Arc::clone(&bound) };
    let known = &mut session.mappings().0;
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
    known.insert(directory_id, made);
    Ok(Some(RoleState { version: versions[0], mapping, bound, walk }))
}

/// From the first column on: place, count of people, whether it is repeated, what it follows from.
fn walk(row: &Row<'_>) -> Result<Option<RoleWalk>, Error> {
    let Some(place) = row.optional_number(0)? else { return Ok(None) };
    let (done, is_to_be_repeated) = (row.number(1)?, row.integer(2)? != 0);
    let follows_from = row.optional_text(3)?.map(|text| {
        let read = Consequence::from_text(&text);
        read.ok_or_else(|| Error::Corrupt("what a walk follows from".to_owned()))
    });
    let follows_from = follows_from.transpose()?;
    Ok(Some(RoleWalk { place, done, is_to_be_repeated, follows_from }))
}

/// The roles that somebody has.
pub(crate) async fn assignment(
    session: &mut Session,
    directory: &str,
    user: UserId,
) -> Result<Assignment, Error> {
    let found = session
        .first(
            "loading the roles of a user",
            "select assignment from assignments where directory_id = $1 and user_id = $2",
            &[Value::Text(directory), Value::Text(&user.to_string())],
            |row| read(row, 0),
        )
        .await?;
    Ok(found.unwrap_or_default())
}

/// The roles that these people have. Who has none is left out.
async fn assignments(
    session: &mut Session,
    directory: &str,
    users: &[UserId],
) -> Result<HashMap<UserId, Assignment>, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => {
            "select a.user_id, a.assignment from json_each($2) it
             cross join assignments a on a.directory_id = $1 and a.user_id = it.value"
        }
        Engine::Postgres => {
            "select user_id, assignment from assignments
             where directory_id = $1 and user_id = any($2)"
        }
    };
    let ids: Vec<_> = users.iter().map(ToString::to_string).collect();
    let found = of_these(session, "loading the roles of users", sql, directory, &ids, |row| {
        Ok((row.resource_id(0)?, read(row, 1)?))
    });
    Ok(found.await?.into_iter().collect())
}

/// What these groups are called. Those that are gone are left out.
pub(crate) async fn names_of(
    session: &mut Session,
    directory: &str,
    groups: &BTreeSet<GroupId>,
) -> Result<BTreeMap<GroupId, String>, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => {
            "select g.group_id, g.display_name from json_each($2) it
             cross join groups g on g.directory_id = $1 and g.group_id = it.value"
        }
        Engine::Postgres => {
            "select group_id, display_name from groups
             where directory_id = $1 and group_id = any($2)"
        }
    };
    let ids: Vec<_> = groups.iter().map(ToString::to_string).collect();
    let found = of_these(session, "naming groups", sql, directory, &ids, |row| {
        Ok((row.resource_id(0)?, row.text(1)?))
    });
    Ok(found.await?.into_iter().collect())
}

/// What a query finds in a directory of these ids, which are its second value: a list in JSON, or an
/// array where the database knows such.
async fn of_these<T>(
    session: &mut Session,
    doing: &'static str,
    sql: &'static str,
    directory: &str,
    ids: &[String],
    read: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let list = serde_json::to_string(ids).expect("ids can be printed");
    let ids = match session.engine() {
        Engine::Sqlite => Value::Text(&list),
        Engine::Postgres => Value::Texts(ids),
    };
    session.all(doing, sql, &[Value::Text(directory), ids], read).await
}

/// The roles of these people, with what is needed to say why.
pub(crate) async fn explained(
    session: &mut Session,
    directory: &str,
    users: &[UserId],
) -> Result<ExplainedRoles, Error> {
    let assignments = assignments(session, directory, users).await?;
    with_groups(session, directory, assignments).await
}

/// The same as far as the app has heard of them, where changes of the directory wait.
pub(crate) async fn heard(
    session: &mut Session,
    directory: &str,
    users: &[UserId],
) -> Result<ExplainedRoles, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => {
            "select h.user_id, h.told from json_each($2) it
             cross join held_roles h on h.directory_id = $1 and h.user_id = it.value"
        }
        Engine::Postgres => {
            "select user_id, told from held_roles where directory_id = $1 and user_id = any($2)"
        }
    };
    let ids: Vec<_> = users.iter().map(ToString::to_string).collect();
    let told =
        of_these(session, "looking which roles were heard of", sql, directory, &ids, |row| {
            Ok((row.resource_id(0)?, read(row, 1)?))
        });
    let told = told.await?;
    let mut assignments = assignments(session, directory, users).await?;
    assignments.extend(told);
    with_groups(session, directory, assignments).await
}

/// Roles with what the groups are called that their reasons are about.
async fn with_groups(
    session: &mut Session,
    directory: &str,
    assignments: HashMap<UserId, Assignment>,
) -> Result<ExplainedRoles, Error> {
    let groups = assignments.values().flat_map(Assignment::groups).collect();
    Ok(ExplainedRoles { groups: names_of(session, directory, &groups).await?, assignments })
}

/// The roles that somebody has, in a row.
pub(crate) fn read(row: &Row<'_>, column: usize) -> Result<Assignment, Error> {
    Assignment::from_text(&row.text(column)?)
        .ok_or_else(|| Error::Corrupt("the roles of a user".to_owned()))
}

/// Keeps what was decided of roles, each as the last change left it.
pub(crate) async fn keep(
    session: &mut Session,
    changes: &[(DirectoryId, Change)],
    now: Timestamp,
) -> Result<(), Error> {
    let mut people: BTreeMap<(String, String), Option<String>> = BTreeMap::new();
    let mut states: BTreeMap<DirectoryId, &RoleStateChange> = BTreeMap::new();
    for (directory_id, change) in changes {
        match change {
            Change::Roles(change) => {
                let roles = change.after();
                let text = (!roles.granted().is_empty()).then(|| roles.to_text());
                people.insert((directory_id.to_string(), change.user().to_string()), text);
            }
            Change::User(change) if change.after().is_none() => {
                people.insert((directory_id.to_string(), change.id().to_string()), None);
            }
            Change::RoleState(change) => _ = states.insert(*directory_id, change),
            _ => {}
        }
    }
    keep_assignments(session, &people).await?;
    for (directory_id, change) in states {
        keep_state(session, directory_id, change.after(), now).await?;
    }
    Ok(())
}

async fn keep_assignments(
    session: &mut Session,
    people: &BTreeMap<(String, String), Option<String>>,
) -> Result<(), Error> {
    const KEEP: Many<3> = Many {
        doing: "keeping the roles of users",
        sqlite: "insert into assignments (directory_id, user_id, assignment) values ($1, $2, $3)
                 on conflict (directory_id, user_id) do update
                 set assignment = excluded.assignment",
        postgres: "insert into assignments (directory_id, user_id, assignment)
                   select * from unnest($1::text[], $2::text[], $3::text[])
                   on conflict (directory_id, user_id) do update
                   set assignment = excluded.assignment",
    };
    const DELETE: Many<2> = Many {
        doing: "letting go the roles of users",
        sqlite: "delete from assignments where directory_id = $1 and user_id = $2",
        postgres: "delete from assignments a
                   using unnest($1::text[], $2::text[]) as it (directory_id, user_id)
                   where a.directory_id = it.directory_id and a.user_id = it.user_id",
    };
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for ((directory, user), text) in people {
        match text {
            Some(text) => kept.push([Value::Text(directory), Value::Text(user), Value::Text(text)]),
            None => gone.push([Value::Text(directory), Value::Text(user)]),
        }
    }
    // Who had none has none to let go.
    session.run_many(&DELETE, &gone).await?;
    session.run_each(&KEEP, &kept).await
}

async fn keep_state(
    session: &mut Session,
    directory_id: DirectoryId,
    state: &RoleState,
    now: Timestamp,
) -> Result<(), Error> {
    let directory = directory_id.to_string();
    let walk = state.walk.unwrap_or(RoleWalk::begun(None));
    let place = state.walk.map_or(Value::OptionalText(None), |walk| count(walk.place));
    let follows = walk.follows_from.map(Consequence::to_text);
    session
        .run(
            "keeping a role mapping",
            "insert into role_mappings
             (directory_id, mapping, walk_place, walk_done, walk_again, walk_follows,
              walk_begun_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (directory_id) do update
             set mapping = excluded.mapping, walk_place = excluded.walk_place,
                 walk_done = excluded.walk_done, walk_again = excluded.walk_again,
                 walk_follows = excluded.walk_follows,
                 walk_begun_at = case
                     when excluded.walk_done = 0 then excluded.walk_begun_at
                     else coalesce(role_mappings.walk_begun_at, excluded.walk_begun_at) end",
            &[
                Value::Text(&directory),
                Value::Text(&state.mapping.to_text()),
                place,
                count(walk.done),
                Value::Integer(walk.is_to_be_repeated.into()),
                Value::OptionalText(follows.as_deref()),
                Value::Time(now),
            ],
        )
        .await?;
    session
        .run(
            "counting the changes of a role mapping",
            "update directories set roles_version = $2 where directory_id = $1",
            &[Value::Text(&directory), count(state.version)],
        )
        .await?;
    Ok(())
}

/// Has everybody looked at, in every directory, because the roles of the app are others.
pub(crate) async fn look_at_everybody(session: &mut Session) -> Result<(), Error> {
    // As `RoleWalk` begins, or goes on to the end and begins again.
    session
        .run(
            "having everybody's roles looked at",
            "update role_mappings
             set walk_again = case when walk_place is not null then 1 else 0 end,
                 walk_done = case when coalesce(walk_place, 0) > 0 then walk_done else 0 end,
                 walk_begun_at = case when coalesce(walk_place, 0) > 0 then walk_begun_at end,
                 walk_place = coalesce(walk_place, 0), walk_follows = null",
            &[],
        )
        .await?;
    Ok(())
}

/// Who gets which role in a directory, and how far that is.
#[derive(Clone, Debug)]
pub struct RoleSetting {
    /// How often it was said; 0 where nobody has said so.
    pub version: u64,
    /// As it was said last.
    pub mapping: Arc<RoleMapping>,
    /// What of it gives nobody anything, because what it names is not there any more.
    pub idle: Vec<Idle>,
    /// Where people are still to be looked at.
    pub progress: Option<RoleProgress>,
}

/// How far everybody's roles are by what was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleProgress {
    /// People who were looked at.
    pub done: u64,
    /// Of so many, about: people come and go.
    pub total: u64,
    /// Since when.
    pub begun_at: Option<Timestamp>,
    /// Whether everybody is looked at once more after that, because something changed meanwhile.
    pub is_to_be_repeated: bool,
}

/// What would become of people's roles by another mapping.
#[derive(Clone, Debug, Default)]
pub struct RolePreview {
    /// How many people there are.
    pub people: u64,
    /// How many of them would have other roles.
    pub changed: u64,
    /// Of each role that somebody would gain or lose, how many.
    pub roles: BTreeMap<EntryId, RoleChanges>,
    /// Some of those who would have other roles, in the order of lists.
    pub examples: Vec<PersonPreview>,
    /// What the groups are called that their reasons are about.
    pub groups: BTreeMap<GroupId, String>,
}

/// The roles of some people, with what is needed to say why.
#[derive(Clone, Debug, Default)]
pub struct ExplainedRoles {
    assignments: HashMap<UserId, Assignment>,
    /// What the groups are called that the reasons are about.
    pub groups: BTreeMap<GroupId, String>,
}

impl ExplainedRoles {
    /// Those of one of them, the highest first.
    pub fn of(&self, user: UserId) -> &[Granted] {
        self.assignments.get(&user).map_or(&[], Assignment::granted)
    }

    /// The same as they are kept.
    pub(crate) fn assignment(&self, user: UserId) -> Assignment {
        self.assignments.get(&user).cloned().unwrap_or_default()
    }
}

/// How many gain a role and how many lose it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleChanges {
    /// So many who do not have it would.
    pub gained: u64,
    /// So many who have it would not.
    pub lost: u64,
}

/// Somebody who would have other roles.
#[derive(Clone, Debug)]
pub struct PersonPreview {
    /// By which name their provider knows them.
    pub user_name: String,
    /// What they have and what they would have.
    pub difference: Difference,
}

impl RolePreview {
    fn add(&mut self, user: &User, before: Assignment, after: Assignment, examples_max: usize) {
        self.people += 1;
        let Some(difference) = Difference::between(user.id, before, after) else { return };
        self.changed += 1;
        for granted in difference.gained() {
            self.roles.entry(granted.role.clone()).or_default().gained += 1;
        }
        for granted in difference.lost() {
            self.roles.entry(granted.role.clone()).or_default().lost += 1;
        }
        if self.examples.len() < examples_max {
            let user_name = user.user_name().to_owned();
            self.examples.push(PersonPreview { user_name, difference });
        }
    }
}

/// People who are looked at at once by whoever looks at all of them and changes nothing.
const PEOPLE_READ_AT_ONCE: u64 = 500;

impl DirectoryStore {
    /// Who gets which role, and how far that is.
    pub async fn roles(&self) -> Result<RoleSetting, Error> {
        let id = self.id();
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let Some(state) = state(session, id).await? else { return Ok(None) };
                let idle = idle(session, id, &state).await?;
                let sql = "select d.user_count, m.walk_begun_at
                           from directories d join role_mappings m using (directory_id)
                           where d.directory_id = $1";
                let values = [Value::Text(&id.to_string())];
                let read = |row: &Row<'_>| Ok((row.number(0)?, row.optional_time(1)?));
                let found = session.first("counting users", sql, &values, read).await?;
                Ok(Some((state, idle, found.unwrap_or_default())))
            })
        };
        let Some((state, idle, (total, begun_at))) = self.inner.readers.read(read).await? else {
            let mapping = Arc::default();
            return Ok(RoleSetting { version: 0, mapping, idle: Vec::new(), progress: None });
        };
        let progress = state.walk.map(|walk| RoleProgress {
            done: walk.done.min(total),
            total,
            begun_at,
            is_to_be_repeated: walk.is_to_be_repeated,
        });
        Ok(RoleSetting { version: state.version, mapping: state.mapping, idle, progress })
    }

    /// Says who gets which role from now on.
    ///
    /// # Errors
    ///
    /// [`Rejection::WrongMapping`] with all that is wrong, and what may be wrong with a new group.
    pub async fn save_roles(
        &self,
        save: impl Into<Guarded<SaveRoleMapping>> + Send,
    ) -> Result<(), Error> {
        self.change(save.into()).await?;
        self.inner.forget_tokens_of(self.id());
        Ok(())
    }

    /// The roles that these people have, with their reasons.
    pub async fn roles_of(&self, users: Vec<UserId>) -> Result<ExplainedRoles, Error> {
        let directory = self.id().to_string();
        let read = move |session: &mut Session| {
            session.begin_reading()?;
            finish(explained(session, &directory, &users))
        };
        self.inner.readers.read(read).await
    }

    /// Who would have other roles by this mapping than they have. Looks at everybody, some at a time;
    /// how many there are does not matter to the memory that it takes.
    ///
    /// # Errors
    ///
    /// [`Rejection::WrongMapping`](directory::Rejection::WrongMapping) as when it is saved.
    pub async fn preview_roles(
        &self,
        mapping: RoleMapping,
        examples_max: usize,
    ) -> Result<RolePreview, Error> {
        let (id, types) = (self.id(), Arc::clone(self.types().user()));
        let check = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let roles = roles(session).await?;
                let ids: Vec<_> = mapping.ids_named().collect();
                let kinds = load::kinds(session, id, &ids).await?;
                let kinds: BTreeMap<_, _> = ids.into_iter().zip(kinds).collect();
                let checked = mapping.check(&roles, &types, |id| kinds.get(&id).copied().flatten());
                Ok(checked.map(|mapping| BoundMapping::new(&mapping, roles, &types)))
            })
        };
        let bound = self.inner.readers.read(check).await?;
        let bound = Arc::new(bound.map_err(Rejection::WrongMapping)?);
        let mut preview = RolePreview::default();
        let mut place = Some(0);
        while let Some(after) = place {
            let bound = Arc::clone(&bound);
            let read = move |session: &mut Session| {
                let people = people(session, id, after)?.into_iter();
                let looked_at = people.map(|(place, user, groups, before)| {
                    let after = bound.assigned(Person { user: &user, groups: &groups });
                    (place, user, before, after)
                });
                Ok(looked_at.collect::<Vec<_>>())
            };
            let people = self.inner.readers.read_long(id, read).await?;
            place = people.last().map(|(place, ..)| *place);
            for (_, user, before, after) in people {
                preview.add(&user, before, after, examples_max);
            }
        }
        let of = |it: &PersonPreview| [it.difference.before.clone(), it.difference.after.clone()];
        let shown: Vec<_> = preview.examples.iter().flat_map(of).collect();
        let groups = shown.iter().flat_map(Assignment::groups).collect();
        let directory = id.to_string();
        let name = move |session: &mut Session| finish(names_of(session, &directory, &groups));
        preview.groups = self.inner.readers.read(name).await?;
        Ok(preview)
    }
}

/// What of a mapping names something that is not there any more.
async fn idle(
    session: &mut Session,
    id: DirectoryId,
    state: &RoleState,
) -> Result<Vec<Idle>, Error> {
    let groups: Vec<_> = state.mapping.groups_named().collect();
    let ids: Vec<_> = groups.iter().map(|(_, group)| *group).collect();
    let kinds = load::kinds(session, id, &ids).await?;
    let gone = groups.into_iter().zip(kinds).filter(|(_, kind)| *kind != Some(MemberKind::Group));
    let gone = gone.map(|((place, group), _)| Idle::UnknownGroup(place, group));
    Ok(state.bound.idle().iter().cloned().chain(gone).collect())
}

/// Somebody with their place, their groups and their roles.
type Whole = (u64, User, BTreeSet<GroupId>, Assignment);

/// The next people of a directory, in the order of lists.
fn people(session: &mut Session, id: DirectoryId, after: u64) -> Result<Vec<Whole>, Error> {
    finish(async {
        session.begin_reading()?;
        let directory = id.to_string();
        let sql = "select u.ordinal, u.user_id, a.assignment, u.resource, u.version, u.created_at,
                          u.modified_at, u.aside, u.active
                   from users u left join assignments a
                        on a.directory_id = u.directory_id and a.user_id = u.user_id
                   where u.directory_id = $1 and u.ordinal > $2 order by u.ordinal limit $3";
        let values = [Value::Text(&directory), count(after), count(PEOPLE_READ_AT_ONCE)];
        let mut people: Vec<Whole> = session
            .all("reading people and their roles", sql, &values, |row| {
                let roles = match row.optional_text(2)? {
                    Some(_) => read(row, 2)?,
                    None => Assignment::default(),
                };
                let user = load::user(row.resource_id(1)?, row, 3)?;
                Ok((row.number(0)?, user, BTreeSet::new(), roles))
            })
            .await?;
        let Some((last, ..)) = people.last() else { return Ok(people) };
        let sql = "select u.ordinal, m.group_id from users u
                   join memberships m on m.member_id = u.user_id
                   where u.directory_id = $1 and u.ordinal > $2 and u.ordinal <= $3";
        let values = [Value::Text(&directory), count(after), count(*last)];
        let memberships = session
            .all("reading memberships", sql, &values, |row| {
                Ok((row.number(0)?, row.resource_id(1)?))
            })
            .await?;
        for (place, group) in memberships {
            if let Ok(at) = people.binary_search_by_key(&place, |(place, ..)| *place) {
                people[at].2.insert(group);
            }
        }
        Ok(people)
    })
}

impl Store {
    /// Looks at the next people of some directory in which who gets which role was said anew. Says how
    /// many steps it took; where it says 0, everybody has the roles that they should have, or another
    /// node is at it. Where the server stops in the middle, whoever comes next goes on.
    ///
    /// `holder` names this node among those that share the database.
    pub async fn walk_roles(&self, holder: &str) -> Result<u64, Error> {
        // In turn, so that one in which it fails, or which is always asked anew, keeps nobody waiting.
        let walked = self.inner.walked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = move |session: &mut Session| directory_to_walk(session, &walked);
        let Some((id, walk)) = self.inner.readers.read(next).await? else {
            return Ok(0);
        };
        *self.inner.walked.lock().unwrap_or_else(PoisonError::into_inner) = id.to_string();
        // An embedded database has one server: where that was stopped, the next need not wait.
        if !self.inner.readers.is_embedded() && !self.may_walk_roles(holder).await? {
            return Ok(0);
        }
        let next = move |session: &mut Session| people_after(session, id, walk.place);
        let mut people = self.inner.readers.read(next).await?;
        // One more than is looked at says whether there is somebody behind them.
        let most = usize::try_from(PEOPLE_AT_ONCE).unwrap_or(usize::MAX);
        let has_more = people.len() > most;
        people.truncate(most);
        let to = people.last().filter(|_| has_more).map(|(place, _)| *place);
        let people = people.into_iter().map(|(_, user)| user).collect();
        let step = WalkRoles { from: walk.place, people, to };
        match self.inner.writer.change(id, step, Cause::server().into()).await {
            Ok(_) => Ok(1),
            // It was deleted meanwhile. The next has its turn.
            Err(Error::Rejected(_)) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

impl Store {
    /// Whether nobody else is at it. Two at once would do no harm: the second finds that the walk has
    /// gone on.
    async fn may_walk_roles(&self, holder: &str) -> Result<bool, Error> {
        let now = self.inner.environment.clock.now();
        let (name, holder) = ("walk roles", holder.to_owned());
        let lease = Administration::HoldLease { name, holder, now };
        Ok(self.inner.writer.act(Act::Administer(lease, Cause::server().into())).await? > 0)
    }
}

/// The next after one of this id, or the first.
fn directory_to_walk(
    session: &mut Session,
    walked: &str,
) -> Result<Option<(DirectoryId, RoleWalk)>, Error> {
    finish(session.first(
        "looking for roles to look at",
        "select m.walk_place, m.walk_done, m.walk_again, m.walk_follows, m.directory_id
         from role_mappings m join directories d on d.directory_id = m.directory_id
         where m.walk_place is not null and d.deleted_at is null
         order by case when m.directory_id > $1 then 0 else 1 end, m.directory_id limit 1",
        &[Value::Text(walked)],
        |row| Ok((row.parsed(4)?, walk(row)?.unwrap_or(RoleWalk::begun(None)))),
    ))
}

fn people_after(
    session: &mut Session,
    id: DirectoryId,
    place: u64,
) -> Result<Vec<(u64, UserId)>, Error> {
    let sql = "select ordinal, user_id from users where directory_id = $1 and ordinal > $2
               order by ordinal limit $3";
    let id = id.to_string();
    let values = [Value::Text(&id), count(place), count(PEOPLE_AT_ONCE + 1)];
    let read = |row: &Row<'_>| Ok((row.number(0)?, row.resource_id(1)?));
    finish(session.all("looking for who is next", sql, &values, read))
}
