//! Facts that decisions ask for, loaded: one after the other, or many at once.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use directory::{
    DirectoryId, Facts, Group, GroupId, Membership, Missing, ResourceId, User, UserId, Want,
};
use scim::group::MemberKind;

use crate::error::Error;
use crate::guards;
use crate::roles;
use crate::rows::{self, kind_from};
use crate::schemas;
use crate::session::{self, Engine, Flow, Row, Session, Value};

/// How many of a kind are looked for by one statement: what it is given and what it finds is in
/// memory once more.
const AT_ONCE: usize = 5_000;

/// Loads what a decision asked for.
pub(crate) async fn learn(
    session: &mut Session,
    directory_id: DirectoryId,
    facts: &mut Facts,
    missing: Missing,
) -> Result<(), Error> {
    let directory = directory_id.to_string();
    // There may be a hundred thousand of these.
    let mut kinds = Vec::new();
    let mut members: BTreeMap<GroupId, Vec<ResourceId>> = BTreeMap::new();
    for want in missing.0 {
        match want {
            Want::User(id) => facts.learn_user(id, load_user(session, &directory, id).await?),
            Want::UserName(key) => {
                let holder = session
                    .first(
                        "looking for a user's name",
                        "select user_id from users where directory_id = $1 and user_name_key = $2",
                        &[Value::Text(&directory), Value::Key(&key)],
                        |row| row.resource_id(0),
                    )
                    .await?;
                facts.learn_user_name(key, holder);
            }
            Want::FormerUser(key, external_id) => {
                let asked = (key, external_id);
                let id =
                    load_former_user(session, &directory, &asked.0, asked.1.as_deref()).await?;
                facts.learn_former_user(asked, id);
            }
            Want::Group(id) => facts.learn_group(id, load_group(session, &directory, id).await?),
            Want::GroupName(key) => {
                let holder = session
                    .first(
                        "looking for a group's name",
                        "select group_id from groups
                         where directory_id = $1 and display_name_key = $2",
                        &[Value::Text(&directory), Value::Key(&key)],
                        |row| row.resource_id(0),
                    )
                    .await?;
                facts.learn_group_name(key, holder);
            }
            Want::Kind(id) => kinds.push(id),
            Want::Member(group, id) => members.entry(group).or_default().push(id),
            Want::AllMembers(group) => {
                facts.learn_all_members(group, rows::members(session, group).await?);
            }
            Want::Token(id) => {
                facts.learn_token(id, rows::load_token(session, &directory, id).await?);
            }
            Want::TokenCount => {
                let sql = "select count(*) from tokens where directory_id = $1";
                let values = [Value::Text(&directory)];
                let count =
                    session.first("counting tokens", sql, &values, |row| row.number(0)).await?;
                facts.learn_token_count(count.unwrap_or(0));
            }
            Want::GroupsOf(member) => {
                let groups = session
                    .all(
                        "looking for the groups of a member",
                        "select group_id from memberships where member_id = $1",
                        &[Value::Text(&member.to_string())],
                        |row| row.resource_id(0),
                    )
                    .await?;
                facts.learn_groups_of(member, groups);
            }
            Want::Roles => facts.learn_roles(roles::roles(session).await?),
            Want::RoleState => {
                facts.learn_role_state(roles::state_to_write(session, directory_id).await?);
            }
            Want::Assignment(id) => {
                facts.learn_assignment(id, roles::assignment(session, &directory, id).await?);
            }
            Want::Outsider(id) => {
                facts.learn_outsider(id, guards::is_outsider(session, &directory, id).await?);
            }
            Want::Schemas => facts.learn_schemas(schemas::all(session, &directory).await?),
            Want::Uses => facts.learn_uses(schemas::uses(session, &directory).await?),
        }
    }
    // In the order of the index that they are found by: neighbours are on one page.
    kinds.sort_unstable();
    kinds.dedup();
    for ids in kinds.chunks(AT_ONCE) {
        let found = load_kinds(session, &directory, ids).await?;
        for (id, kind) in ids.iter().zip(found) {
            facts.learn_kind(*id, kind);
        }
    }
    for (group, mut ids) in members {
        ids.sort_unstable();
        ids.dedup();
        for ids in ids.chunks(AT_ONCE) {
            let found = load_memberships(session, group, ids).await?;
            for (id, membership) in ids.iter().zip(found) {
                facts.learn_member(group, *id, membership);
            }
        }
    }
    Ok(())
}

/// What each of these is, for somebody who decides nothing.
pub(crate) async fn kinds(
    session: &mut Session,
    directory_id: DirectoryId,
    ids: &[ResourceId],
) -> Result<Vec<Option<MemberKind>>, Error> {
    let wants = ids.iter().map(|id| Want::Kind(*id)).collect();
    let facts = facts(session, directory_id, wants).await?;
    Ok(facts.kinds(ids).expect("they were just learned"))
}

/// What is wanted, for somebody who decides nothing.
pub(crate) async fn facts(
    session: &mut Session,
    directory_id: DirectoryId,
    wants: Vec<Want>,
) -> Result<Facts, Error> {
    let mut facts = Facts::new(directory_id, None);
    match session.engine() {
        Engine::Sqlite => learn(session, directory_id, &mut facts, Missing(wants)).await?,
        Engine::Postgres => {
            let mut all = BTreeMap::from([(directory_id, &mut facts)]);
            learn_all(session, &mut all, BTreeMap::from([(directory_id, wants)])).await?;
        }
    }
    Ok(facts)
}

/// Loads what several decisions asked for, and adds it to the facts of their directories: what many
/// may ask for by one statement, the rest one by one. Only on PostgreSQL.
pub(crate) async fn learn_all(
    session: &mut Session,
    facts: &mut BTreeMap<DirectoryId, &mut Facts>,
    wants: BTreeMap<DirectoryId, Vec<Want>>,
) -> Result<(), Error> {
    let mut together = Together::default();
    for (directory_id, mut wants) in wants {
        // In the order of the indexes that they are found by, and each of them once.
        wants.sort_unstable();
        wants.dedup();
        let alone: Vec<_> =
            wants.into_iter().filter_map(|want| together.take(directory_id, want)).collect();
        if !alone.is_empty() {
            learn(session, directory_id, of(facts, directory_id), Missing(alone)).await?;
        }
    }
    together.load(session, facts).await
}

/// What many decisions ask for, gathered so that each kind of it is one statement.
#[derive(Default)]
struct Together {
    users: Asked<UserId>,
    user_names: Asked<String>,
    former_users: Asked<(String, Option<String>)>,
    groups: Asked<GroupId>,
    members: Asked<(GroupId, ResourceId)>,
    kinds: Asked<ResourceId>,
    groups_of: Asked<ResourceId>,
    assignments: Asked<UserId>,
}

/// Facts of one kind: of which directory, and which ones.
type Asked<T> = Vec<(DirectoryId, T)>;

impl Together {
    /// Takes what can be loaded together with others; gives back what cannot.
    fn take(&mut self, directory_id: DirectoryId, want: Want) -> Option<Want> {
        match want {
            Want::User(id) => self.users.push((directory_id, id)),
            Want::UserName(name) => self.user_names.push((directory_id, name)),
            Want::FormerUser(name, external_id) => {
                self.former_users.push((directory_id, (name, external_id)));
            }
            Want::Group(id) => self.groups.push((directory_id, id)),
            Want::Member(group, id) => self.members.push((directory_id, (group, id))),
            Want::Kind(id) => self.kinds.push((directory_id, id)),
            Want::GroupsOf(id) => self.groups_of.push((directory_id, id)),
            Want::Assignment(id) => self.assignments.push((directory_id, id)),
            other => return Some(other),
        }
        None
    }

    async fn load(
        self,
        session: &mut Session,
        facts: &mut BTreeMap<DirectoryId, &mut Facts>,
    ) -> Result<(), Error> {
        fn by_id<T: Display>(directory: DirectoryId, id: &T) -> [Option<String>; 2] {
            [Some(directory.to_string()), Some(id.to_string())]
        }
        fn key(text: &str) -> String {
            session::key(text).into_owned()
        }
        look_up(
            session,
            "loading users",
            "select it.place, u.resource, u.version, u.created_at, u.modified_at, u.aside, u.active
             from unnest($1::text[], $2::text[]) with ordinality
                  as it (directory_id, user_id, place)
             join users u on u.directory_id = it.directory_id and u.user_id = it.user_id",
            self.users,
            by_id,
            |id, row| user(*id, row, 1),
            |directory, id, user| of(facts, directory).learn_user(id, user),
        )
        .await?;
        look_up(
            session,
            "looking for users' names",
            "select it.place, u.user_id
             from unnest($1::text[], $2::text[]) with ordinality as it (directory_id, key, place)
             join users u on u.directory_id = it.directory_id and u.user_name_key = it.key",
            self.user_names,
            |directory, name| [Some(directory.to_string()), Some(key(name))],
            |_, row| row.resource_id(1),
            |directory, name, holder| of(facts, directory).learn_user_name(name, holder),
        )
        .await?;
        look_up(
            session,
            "looking for former users",
            "select it.place, f.user_id
             from unnest($1::text[], $2::text[], $3::text[]) with ordinality
                  as it (directory_id, key, external_id, place)
             cross join lateral (
                 (select user_id, deleted_at from former_users
                  where directory_id = it.directory_id and user_name_key = it.key
                  order by deleted_at desc limit 1)
                 union all
                 (select user_id, deleted_at from former_users
                  where directory_id = it.directory_id and external_id = it.external_id
                  order by deleted_at desc limit 1)
                 order by deleted_at desc, user_id desc limit 1
             ) f",
            self.former_users,
            |directory, (name, external_id)| {
                [Some(directory.to_string()), Some(key(name)), external_id.as_deref().map(key)]
            },
            |_, row| row.resource_id(1),
            |directory, asked, id| of(facts, directory).learn_former_user(asked, id),
        )
        .await?;
        look_up(
            session,
            "loading groups",
            "select it.place, g.resource, g.version, g.member_count, g.created_at, g.modified_at
             from unnest($1::text[], $2::text[]) with ordinality
                  as it (directory_id, group_id, place)
             join groups g on g.directory_id = it.directory_id and g.group_id = it.group_id",
            self.groups,
            by_id,
            |id, row| group(*id, row, 1),
            |directory, id, group| of(facts, directory).learn_group(id, group),
        )
        .await?;
        look_up(
            session,
            "looking for members",
            "select it.place, m.kind, m.display
             from unnest($1::text[], $2::text[]) with ordinality as it (group_id, member_id, place)
             join memberships m on m.group_id = it.group_id and m.member_id = it.member_id",
            self.members,
            |_, (group, id)| [Some(group.to_string()), Some(id.to_string())],
            |(_, id), row| membership(*id, row, 1),
            |directory, (group, id), membership| {
                of(facts, directory).learn_member(group, id, membership);
            },
        )
        .await?;
        look_up(
            session,
            "looking for the groups of members",
            "select it.place, string_agg(m.group_id, ' ')
             from unnest($1::text[]) with ordinality as it (member_id, place)
             join memberships m on m.member_id = it.member_id
             group by it.place",
            self.groups_of,
            |_, id| [Some(id.to_string())],
            |_, row| {
                let ids = row.text(1)?;
                let ids = ids.split(' ').map(ResourceId::parse);
                let ids: Option<Vec<_>> = ids.collect();
                ids.ok_or_else(|| Error::Corrupt("the id of a group".to_owned()))
            },
            |directory, id, groups| {
                of(facts, directory).learn_groups_of(id, groups.unwrap_or_default());
            },
        )
        .await?;
        look_up(
            session,
            "loading the roles of users",
            "select it.place, a.assignment
             from unnest($1::text[], $2::text[]) with ordinality
                  as it (directory_id, user_id, place)
             join assignments a on a.directory_id = it.directory_id and a.user_id = it.user_id",
            self.assignments,
            by_id,
            |_, row| roles::read(row, 1),
            |directory, id, roles| {
                of(facts, directory).learn_assignment(id, roles.unwrap_or_default());
            },
        )
        .await?;
        // Nearly all of them are users, and only of the others it is asked whether they are groups.
        let mut others = Vec::new();
        look_up(
            session,
            "looking for users",
            "select it.place
             from unnest($1::text[], $2::text[]) with ordinality as it (directory_id, id, place)
             join users u on u.directory_id = it.directory_id and u.user_id = it.id",
            self.kinds,
            by_id,
            |_, _| Ok(MemberKind::User),
            |directory, id, kind| match kind {
                Some(kind) => of(facts, directory).learn_kind(id, Some(kind)),
                None => others.push((directory, id)),
            },
        )
        .await?;
        look_up(
            session,
            "looking for groups",
            "select it.place
             from unnest($1::text[], $2::text[]) with ordinality as it (directory_id, id, place)
             join groups g on g.directory_id = it.directory_id and g.group_id = it.id",
            others,
            by_id,
            |_, _| Ok(MemberKind::Group),
            |directory, id, kind| of(facts, directory).learn_kind(id, kind),
        )
        .await
    }
}

fn of<'a>(facts: &'a mut BTreeMap<DirectoryId, &mut Facts>, id: DirectoryId) -> &'a mut Facts {
    facts.get_mut(&id).expect("its facts are asked for")
}

/// Looks for several of a kind by one statement, which is given some texts of each, and whose first
/// column is the place of what was asked for, from 1 on. What was found, or that it was not, is
/// learned of each.
async fn look_up<T, F, const N: usize>(
    session: &mut Session,
    doing: &'static str,
    sql: &'static str,
    asked: Asked<T>,
    texts: impl Fn(DirectoryId, &T) -> [Option<String>; N],
    mut read: impl FnMut(&T, &Row<'_>) -> Result<F, Error>,
    mut learn: impl FnMut(DirectoryId, T, Option<F>),
) -> Result<(), Error> {
    let mut asked = asked.into_iter();
    while asked.len() > 0 {
        let some: Vec<_> = asked.by_ref().take(AT_ONCE).collect();
        let texts: Vec<_> = some.iter().map(|(directory, it)| texts(*directory, it)).collect();
        let rows: Vec<_> = texts
            .iter()
            .map(|texts| texts.each_ref().map(|it| Value::OptionalText(it.as_deref())))
            .collect();
        let mut found: Vec<Option<F>> = some.iter().map(|_| None).collect();
        session
            .each_of_many(doing, sql, &rows, |row| {
                let place = place_of(row, 1, some.len())?;
                found[place] = Some(read(&some[place].1, row)?);
                Ok(())
            })
            .await?;
        for ((directory, it), found) in some.into_iter().zip(found) {
            learn(directory, it, found);
        }
    }
    Ok(())
}

/// Which one of those that were asked for an answer is about, by its first column.
fn place_of(row: &Row<'_>, first: usize, asked: usize) -> Result<usize, Error> {
    let place = usize::try_from(row.number(0)?).unwrap_or(usize::MAX);
    let place = place.checked_sub(first).filter(|it| *it < asked);
    place.ok_or_else(|| Error::Corrupt("an answer to a question that was not asked".to_owned()))
}

/// Looks for ids in a directory or a group by one statement for many of them, whose first column is
/// the place of the id, from 0 on. Only on SQLite.
async fn look_up_here<F>(
    session: &mut Session,
    doing: &'static str,
    sql: &'static str,
    within: &str,
    ids: &[ResourceId],
    mut read: impl FnMut(ResourceId, &Row<'_>) -> Result<Option<F>, Error>,
) -> Result<Vec<Option<F>>, Error> {
    let mut found: Vec<Option<F>> = ids.iter().map(|_| None).collect();
    let mut list = String::new();
    for (ids, found) in ids.chunks(AT_ONCE).zip(found.chunks_mut(AT_ONCE)) {
        list.clear();
        for id in ids {
            let before = if list.is_empty() { '[' } else { ',' };
            write!(list, "{before}\"{id}\"").expect("text takes it");
        }
        list.push(']');
        session
            .each(doing, sql, &[Value::Text(within), Value::Text(&list)], |row| {
                let place = place_of(row, 0, ids.len())?;
                found[place] = read(ids[place], row)?;
                Ok(Flow::Continue(()))
            })
            .await?;
    }
    Ok(found)
}

/// Which of these belong to a group. They are looked up in the group one by one, whatever SQLite
/// takes for shorter: hence the `cross`.
async fn load_memberships(
    session: &mut Session,
    group: GroupId,
    ids: &[ResourceId],
) -> Result<Vec<Option<Membership>>, Error> {
    look_up_here(
        session,
        "looking for members",
        "select it.key, m.kind, m.display
         from json_each($2) it
         cross join memberships m on m.group_id = $1 and m.member_id = it.value",
        &group.to_string(),
        ids,
        |id, row| membership(id, row, 1).map(Some),
    )
    .await
}

/// From the column `at` on: kind, display.
fn membership(id: ResourceId, row: &Row<'_>, at: usize) -> Result<Membership, Error> {
    Ok(Membership { id, kind: kind_from(&row.text(at)?)?, display: row.optional_text(at + 1)? })
}

async fn load_user(
    session: &mut Session,
    directory: &str,
    id: UserId,
) -> Result<Option<User>, Error> {
    session
        .first(
            "loading a user",
            "select resource, version, created_at, modified_at, aside, active
             from users where directory_id = $1 and user_id = $2",
            &[Value::Text(directory), Value::Text(&id.to_string())],
            |row| user(id, row, 0),
        )
        .await
}

/// From the column `at` on: resource, version, times of creation and change, aside, active.
pub(crate) fn user(id: UserId, row: &Row<'_>, at: usize) -> Result<User, Error> {
    Ok(User {
        id,
        document: rows::document(id, &row.text(at)?)?,
        version: row.number(at + 1)?,
        created_at: row.time(at + 2)?,
        modified_at: row.time(at + 3)?,
        aside: rows::aside(id, row.optional_text(at + 4)?.as_deref())?,
        active: row.integer(at + 5)? != 0,
    })
}

async fn load_group(
    session: &mut Session,
    directory: &str,
    id: GroupId,
) -> Result<Option<Group>, Error> {
    session
        .first(
            "loading a group",
            "select resource, version, member_count, created_at, modified_at
             from groups where directory_id = $1 and group_id = $2",
            &[Value::Text(directory), Value::Text(&id.to_string())],
            |row| group(id, row, 0),
        )
        .await
}

/// From the column `at` on: resource, version, count of members, times of creation and change.
fn group(id: GroupId, row: &Row<'_>, at: usize) -> Result<Group, Error> {
    Ok(Group {
        id,
        document: rows::document(id, &row.text(at)?)?,
        version: row.number(at + 1)?,
        member_count: row.number(at + 2)?,
        created_at: row.time(at + 3)?,
        modified_at: row.time(at + 4)?,
    })
}

/// The same person, by what the provider calls them, or by their name.
async fn load_former_user(
    session: &mut Session,
    directory: &str,
    key: &str,
    external_id: Option<&str>,
) -> Result<Option<UserId>, Error> {
    let by_name = session
        .first(
            "looking for a former user",
            "select user_id, deleted_at from former_users
             where directory_id = $1 and user_name_key = $2 order by deleted_at desc limit 1",
            &[Value::Text(directory), Value::Key(key)],
            |row| Ok((row.time(1)?, row.resource_id(0)?)),
        )
        .await?;
    let Some(external_id) = external_id else { return Ok(by_name.map(|(_, id)| id)) };
    let by_external_id = session
        .first(
            "looking for a former user",
            "select user_id, deleted_at from former_users
             where directory_id = $1 and external_id = $2 order by deleted_at desc limit 1",
            &[Value::Text(directory), Value::Key(external_id)],
            |row| Ok((row.time(1)?, row.resource_id(0)?)),
        )
        .await?;
    Ok(by_name.max(by_external_id).map(|(_, id)| id))
}

/// What each of these is.
async fn load_kinds(
    session: &mut Session,
    directory: &str,
    ids: &[ResourceId],
) -> Result<Vec<Option<MemberKind>>, Error> {
    look_up_here(
        session,
        "looking for users and groups",
        "select it.key, case
             when exists (select 1 from users
                          where directory_id = $1 and user_id = it.value) then 'User'
             when exists (select 1 from groups
                          where directory_id = $1 and group_id = it.value) then 'Group'
         end
         from json_each($2) it",
        directory,
        ids,
        |_, row| row.optional_text(1)?.as_deref().map(kind_from).transpose(),
    )
    .await
}
