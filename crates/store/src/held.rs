//! What an app has heard of a directory whose changes wait, as far as that is not what is so.
//!
//! Of each user, group and membership that changes meanwhile, one row says what the app has heard last.
//! So how much is kept does not depend on how often something changes, what cancels out is nothing,
//! and what the app knows is what is there, with these rows in the place of what has changed. So it is with
//! the roles of whoever has others meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use directory::event::{Draft, EventKind, between_roles};
use directory::hold::{self, ToldUser};
use directory::{
    Assignment, Cause, Change, Consequence, DirectoryId, GroupId, Lost, Membership, Of, ResourceId,
    UserId,
};
use jiff::Timestamp;
use scim::group::MemberKind;

use crate::error::Error;
use crate::narrow::email_keys_in;
use crate::roles;
use crate::rows;
use crate::session::{Engine, Flow, Many, Session, Value, count};

/// Rows that are written at once.
const ROWS_AT_ONCE: usize = 5_000;

/// The place behind which roles come, beyond every ordinal: who has a role is there by then, and belongs to
/// what it is for.
const ROLES_BEHIND: u64 = 1 << 52;

/// A user or a group of whom the app has heard something else.
struct HeldResource {
    kind: MemberKind,
    name_key: String,
    /// What it has heard; nothing where it has not heard of them.
    told: Option<String>,
    told_active: bool,
    previous_id: Option<String>,
    ordinal: u64,
    cause: String,
    at: Timestamp,
}

/// The same of a membership.
struct HeldMembership {
    kind: MemberKind,
    was_member: bool,
    ordinal: u64,
    cause: String,
    at: Timestamp,
}

/// The same of the roles of somebody.
struct HeldRoles {
    told: Assignment,
    ordinal: u64,
    cause: String,
    at: Timestamp,
}

/// What is to be noted of one directory.
#[derive(Default)]
pub(crate) struct Noted {
    resources: BTreeMap<ResourceId, HeldResource>,
    memberships: BTreeMap<(GroupId, ResourceId), HeldMembership>,
    roles: BTreeMap<UserId, HeldRoles>,
    /// Whoever is gone: their roles are kept no more, and the app has heard of them.
    gone: BTreeSet<UserId>,
}

/// When something happened, why, and which place it takes.
pub(crate) struct Circumstance<'a> {
    pub(crate) ordinal: u64,
    pub(crate) at: Timestamp,
    pub(crate) cause: &'a str,
}

/// As an app has heard of a user or a group.
pub(crate) struct Heard<'a> {
    pub(crate) kind: MemberKind,
    pub(crate) name_key: &'a str,
    pub(crate) told: Option<(&'a str, bool)>,
    pub(crate) previous_id: Option<ResourceId>,
}

impl Noted {
    /// Whoever is new to the app keeps the place in which they came, before whatever is said of them;
    /// all others take that of their latest change. So nobody is told of members of what is not there
    /// yet, or is gone already.
    pub(crate) fn resource(&mut self, id: ResourceId, heard: &Heard<'_>, at: &Circumstance<'_>) {
        let new = || HeldResource {
            kind: heard.kind,
            name_key: heard.name_key.to_owned(),
            told: heard.told.map(|(text, _)| text.to_owned()),
            told_active: heard.told.is_some_and(|(_, is_active)| is_active),
            previous_id: heard.previous_id.map(|id| id.to_string()),
            ordinal: at.ordinal,
            cause: String::new(),
            at: at.at,
        };
        let held = self.resources.entry(id).or_insert_with(new);
        if held.told.is_some() {
            held.ordinal = at.ordinal;
        }
        held.at = at.at;
        at.cause.clone_into(&mut held.cause);
    }

    pub(crate) fn membership(
        &mut self,
        key: (GroupId, ResourceId),
        kind: MemberKind,
        was_member: bool,
        at: &Circumstance<'_>,
    ) {
        let new = || HeldMembership {
            kind,
            was_member,
            ordinal: at.ordinal,
            cause: String::new(),
            at: at.at,
        };
        let held = self.memberships.entry(key).or_insert_with(new);
        held.ordinal = at.ordinal;
        held.at = at.at;
        at.cause.clone_into(&mut held.cause);
    }

    /// Of roles, the app has heard of these.
    pub(crate) fn roles(&mut self, user: UserId, told: &Assignment, at: &Circumstance<'_>) {
        let new = || HeldRoles {
            told: told.clone(),
            ordinal: at.ordinal,
            cause: String::new(),
            at: at.at,
        };
        let held = self.roles.entry(user).or_insert_with(new);
        held.ordinal = at.ordinal;
        held.at = at.at;
        at.cause.clone_into(&mut held.cause);
    }

    /// Notes what a change of people does away with, in the order in which it would be told.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        at: Timestamp,
        cause: &Cause,
        mut ordinal: impl FnMut() -> u64,
    ) {
        match change {
            // What is kept beside a user is not a part of them, and nobody is told of it.
            Change::User(change)
                if change.before().map(|it| it.version) == change.after().map(|it| it.version) => {}
            Change::User(change) => {
                let user = change.before().or(change.after()).expect("there is one of them");
                let heard = Heard {
                    kind: MemberKind::User,
                    name_key: &user.name_key(),
                    told: change.before().map(|it| (it.document.text(), it.is_active())),
                    previous_id: change.previous_user_id(),
                };
                let cause = &cause.text(None);
                self.resource(change.id(), &heard, &Circumstance { ordinal: ordinal(), at, cause });
                if change.after().is_none() {
                    self.gone.insert(change.id());
                }
            }
            Change::Roles(change) => {
                let cause = &cause.text(change.follows_from());
                let at = Circumstance { ordinal: ordinal(), at, cause };
                self.roles(change.user(), change.before(), &at);
            }
            Change::Group(change) => {
                let id = change.id();
                let group = change.before().or(change.after()).expect("there is one of them");
                let name_key = &group.name_key();
                let told = change.before().map(|it| (it.document.text(), true));
                let heard = Heard { kind: MemberKind::Group, name_key, told, previous_id: None };
                let is_same = match (change.before(), change.after()) {
                    (Some(before), Some(after)) => before.document == after.document,
                    _ => false,
                };
                let text = cause.text(change.follows_from());
                if change.after().is_some() && !is_same {
                    self.resource(
                        id,
                        &heard,
                        &Circumstance { ordinal: ordinal(), at, cause: &text },
                    );
                }
                // Whoever leaves a group that goes has not left it by themselves.
                let of_members = match change.after() {
                    Some(_) => text.clone(),
                    None => cause.text(Some(Consequence {
                        kind: EventKind::GroupDeleted,
                        of: Of::Resource(id),
                    })),
                };
                let removed = change.removed().iter().map(|it| (it, true));
                let added = change.added().iter().map(|it| (it, false));
                for (member, was_member) in removed.chain(added) {
                    let at = Circumstance { ordinal: ordinal(), at, cause: &of_members };
                    self.membership((id, member.id), member.kind, was_member, &at);
                }
                if change.after().is_none() {
                    self.resource(
                        id,
                        &heard,
                        &Circumstance { ordinal: ordinal(), at, cause: &text },
                    );
                }
            }
            Change::Directory(_)
            | Change::Token(_)
            | Change::Schema(_)
            | Change::Client(_)
            | Change::RoleState(_)
            | Change::Erasure(_)
            | Change::Notice(_) => {}
        }
    }

    /// Writes it down. Where something is noted already, that was heard first.
    pub(crate) async fn keep(
        self,
        session: &mut Session,
        directory_id: DirectoryId,
    ) -> Result<(), Error> {
        const RESOURCE: Many<10> = Many {
            doing: "noting what was heard of a resource",
            sqlite: "insert into held_resources
                     (directory_id, resource_id, kind, name_key, told, told_active, previous_id,
                      ordinal, cause, changed_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                     on conflict (directory_id, resource_id) do update
                     set ordinal = case when held_resources.told is null
                                        then held_resources.ordinal else excluded.ordinal end,
                         cause = excluded.cause, changed_at = excluded.changed_at",
            postgres: "insert into held_resources
                       (directory_id, resource_id, kind, name_key, told, told_active, previous_id,
                        ordinal, cause, changed_at)
                       select * from unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                            $5::text[], $6::bigint[], $7::text[], $8::bigint[],
                                            $9::text[], $10::bigint[])
                       on conflict (directory_id, resource_id) do update
                       set ordinal = case when held_resources.told is null
                                          then held_resources.ordinal else excluded.ordinal end,
                           cause = excluded.cause, changed_at = excluded.changed_at",
        };
        const MEMBERSHIP: Many<8> = Many {
            doing: "noting what was heard of a membership",
            sqlite: "insert into held_memberships
                     (directory_id, group_id, member_id, kind, was_member, ordinal, cause,
                      changed_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8)
                     on conflict (group_id, member_id) do update
                     set ordinal = excluded.ordinal, cause = excluded.cause,
                         changed_at = excluded.changed_at",
            postgres: "insert into held_memberships
                       (directory_id, group_id, member_id, kind, was_member, ordinal, cause,
                        changed_at)
                       select * from unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                            $5::bigint[], $6::bigint[], $7::text[], $8::bigint[])
                       on conflict (group_id, member_id) do update
                       set ordinal = excluded.ordinal, cause = excluded.cause,
                           changed_at = excluded.changed_at",
        };
        let directory = directory_id.to_string();
        self.keep_emails(session, &directory).await?;
        let resources: Vec<_> =
            self.resources.iter().map(|(id, held)| (id.to_string(), held)).collect();
        for some in resources.chunks(ROWS_AT_ONCE) {
            let rows: Vec<_> = some
                .iter()
                .map(|(id, held)| {
                    [
                        Value::Text(&directory),
                        Value::Text(id),
                        Value::Text(held.kind.as_str()),
                        Value::Key(&held.name_key),
                        Value::OptionalText(held.told.as_deref()),
                        Value::Integer(held.told_active.into()),
                        Value::OptionalText(held.previous_id.as_deref()),
                        count(held.ordinal),
                        Value::Text(&held.cause),
                        Value::Time(held.at),
                    ]
                })
                .collect();
            session.run_each(&RESOURCE, &rows).await?;
        }
        let memberships: Vec<_> = self
            .memberships
            .iter()
            .map(|((group, member), held)| (group.to_string(), member.to_string(), held))
            .collect();
        for some in memberships.chunks(ROWS_AT_ONCE) {
            let rows: Vec<_> = some
                .iter()
                .map(|(group, member, held)| {
                    [
                        Value::Text(&directory),
                        Value::Text(group),
                        Value::Text(member),
                        Value::Text(held.kind.as_str()),
                        Value::Integer(held.was_member.into()),
                        count(held.ordinal),
                        Value::Text(&held.cause),
                        Value::Time(held.at),
                    ]
                })
                .collect();
            session.run_each(&MEMBERSHIP, &rows).await?;
        }
        self.keep_roles(session, &directory).await
    }

    /// The addresses by which an app has heard of people: only of whom nothing is noted yet, which is
    /// looked at before they are.
    async fn keep_emails(&self, session: &mut Session, directory: &str) -> Result<(), Error> {
        const EMAIL: Many<3> = Many {
            doing: "noting by which addresses somebody was heard of",
            sqlite: "insert into held_emails (directory_id, resource_id, email_key)
                     select $1, $2, $3 where not exists
                         (select 1 from held_resources
                          where directory_id = $1 and resource_id = $2)
                     on conflict (directory_id, resource_id, email_key) do nothing",
            postgres: "insert into held_emails (directory_id, resource_id, email_key)
                       select it.directory_id, it.resource_id, it.email_key
                       from unnest($1::text[], $2::text[], $3::text[])
                            as it (directory_id, resource_id, email_key)
                       where not exists
                           (select 1 from held_resources h
                            where h.directory_id = it.directory_id
                                and h.resource_id = it.resource_id)
                       on conflict (directory_id, resource_id, email_key) do nothing",
        };
        let mut keys = Vec::new();
        for (id, held) in &self.resources {
            if let (MemberKind::User, Some(told), true) = (held.kind, &held.told, held.told_active)
            {
                let id = id.to_string();
                keys.extend(email_keys_in(told).into_iter().map(|key| (id.clone(), key)));
            }
        }
        for some in keys.chunks(ROWS_AT_ONCE) {
            let rows: Vec<_> = some
                .iter()
                .map(|(id, key): &(String, String)| {
                    [Value::Text(directory), Value::Text(id), Value::Key(key)]
                })
                .collect();
            session.run_many(&EMAIL, &rows).await?;
        }
        Ok(())
    }

    /// Before the roles are written that there are now.
    async fn keep_roles(&self, session: &mut Session, directory: &str) -> Result<(), Error> {
        const ROLES: Many<6> = Many {
            doing: "noting which roles were heard of",
            sqlite: "insert into held_roles
                     (directory_id, user_id, told, ordinal, cause, changed_at)
                     values ($1, $2, $3, $4, $5, $6)
                     on conflict (directory_id, user_id) do update
                     set ordinal = excluded.ordinal, cause = excluded.cause,
                         changed_at = excluded.changed_at",
            postgres: "insert into held_roles
                       (directory_id, user_id, told, ordinal, cause, changed_at)
                       select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[],
                                            $5::text[], $6::bigint[])
                       on conflict (directory_id, user_id) do update
                       set ordinal = excluded.ordinal, cause = excluded.cause,
                           changed_at = excluded.changed_at",
        };
        const OF_GONE: Many<5> = Many {
            doing: "noting which roles were heard of whoever is gone",
            sqlite: "insert into held_roles
                     (directory_id, user_id, told, ordinal, cause, changed_at)
                     select directory_id, user_id, assignment, $3, $4, $5 from assignments
                     where directory_id = $1 and user_id = $2
                     on conflict (directory_id, user_id) do nothing",
            postgres: "insert into held_roles
                       (directory_id, user_id, told, ordinal, cause, changed_at)
                       select a.directory_id, a.user_id, a.assignment, it.ordinal, it.cause,
                              it.changed_at
                       from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])
                            as it (directory_id, user_id, ordinal, cause, changed_at)
                       join assignments a on a.directory_id = it.directory_id
                                         and a.user_id = it.user_id
                       on conflict (directory_id, user_id) do nothing",
        };
        let roles: Vec<_> =
            self.roles.iter().map(|(id, it)| (id.to_string(), it.told.to_text(), it)).collect();
        for some in roles.chunks(ROWS_AT_ONCE) {
            let rows: Vec<_> = some
                .iter()
                .map(|(id, told, held)| {
                    [
                        Value::Text(directory),
                        Value::Text(id),
                        Value::Text(told),
                        count(held.ordinal),
                        Value::Text(&held.cause),
                        Value::Time(held.at),
                    ]
                })
                .collect();
            session.run_each(&ROLES, &rows).await?;
        }
        let gone: Vec<_> =
            self.gone.iter().map(|id| (id.to_string(), &self.resources[id])).collect();
        for some in gone.chunks(ROWS_AT_ONCE) {
            let rows: Vec<_> = some
                .iter()
                .map(|(id, held)| {
                    [
                        Value::Text(directory),
                        Value::Text(id),
                        count(held.ordinal),
                        Value::Text(&held.cause),
                        Value::Time(held.at),
                    ]
                })
                .collect();
            // Who had none has none to be noted.
            session.run_many(&OF_GONE, &rows).await?;
        }
        Ok(())
    }
}

/// Something that waits, or cancels out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldChange {
    /// Its place in the order in which it would be let out.
    pub ordinal: u64,
    /// What the app would be told; nothing where it has heard of what is so.
    pub draft: Option<Draft>,
    /// What caused it last, as JSON.
    pub cause: String,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Whose access ends for the app by it, or begins again.
    pub(crate) turned: Option<UserId>,
}

/// Some of what waits in a directory, in order; whether there is more.
pub(crate) async fn waiting(
    session: &mut Session,
    directory_id: DirectoryId,
    after: u64,
    count_max: u64,
) -> Result<(Vec<HeldChange>, bool), Error> {
    let directory = directory_id.to_string();
    let values = [Value::Text(&directory), count(after), count(count_max.saturating_add(1))];
    let mut found = session
        .all(
            "reading which users and groups wait",
            "select h.ordinal, h.cause, h.changed_at, h.resource_id, h.kind, h.told, h.told_active,
                    h.previous_id, u.resource, u.active, g.resource
             from held_resources h
             left join users u on h.kind = 'User' and u.directory_id = h.directory_id
                              and u.user_id = h.resource_id
             left join groups g on h.kind = 'Group' and g.directory_id = h.directory_id
                               and g.group_id = h.resource_id
             where h.directory_id = $1 and h.ordinal > $2 order by h.ordinal limit $3",
            &values,
            |row| {
                let id = row.resource_id(3)?;
                let told = row.optional_text(5)?;
                let mut turned = None;
                let draft = match rows::kind_from(&row.text(4)?)? {
                    MemberKind::User => {
                        let is_active = row.integer(6)? != 0;
                        let told = told.as_deref().map(|text| ToldUser { text, is_active });
                        let text = row.optional_text(8)?;
                        let is_active = row.optional_integer(9)? == Some(1);
                        let now = text.as_deref().map(|text| ToldUser { text, is_active });
                        let is_active = now.is_some_and(|now| now.is_active);
                        turned = told.filter(|told| told.is_active != is_active).map(|_| id);
                        hold::between_users(id, told, now, row.optional_text(7)?.as_deref())
                    }
                    MemberKind::Group => {
                        let now = row.optional_text(10)?;
                        hold::between_groups(id, told.as_deref(), now.as_deref())
                    }
                };
                let (ordinal, changed_at) = (row.number(0)?, row.time(2)?);
                Ok(HeldChange { ordinal, draft, cause: row.text(1)?, changed_at, turned })
            },
        )
        .await?;
    let memberships = session
        .all(
            "reading which memberships wait",
            "select h.ordinal, h.cause, h.changed_at, h.group_id, h.member_id, h.kind,
                    h.was_member, m.member_id, g.display_name, hg.told
             from held_memberships h
             left join memberships m on m.group_id = h.group_id and m.member_id = h.member_id
             left join groups g on g.directory_id = h.directory_id and g.group_id = h.group_id
             left join held_resources hg on g.group_id is null
                 and hg.directory_id = h.directory_id and hg.resource_id = h.group_id
             where h.directory_id = $1 and h.ordinal > $2 order by h.ordinal limit $3",
            &values,
            |row| {
                let kind = rows::kind_from(&row.text(5)?)?;
                let member = Membership { id: row.resource_id(4)?, kind, display: None };
                let (was, is) = (row.integer(6)? != 0, row.optional_text(7)?.is_some());
                let draft = if was == is {
                    None
                } else {
                    let name = match (row.optional_text(8)?, row.optional_text(9)?) {
                        (Some(name), _) => name,
                        (None, told) => hold::group_name(&told.unwrap_or_default()),
                    };
                    Some(hold::of_membership(row.resource_id(3)?, &name, &member, is))
                };
                let (ordinal, changed_at) = (row.number(0)?, row.time(2)?);
                Ok(HeldChange { ordinal, draft, cause: row.text(1)?, changed_at, turned: None })
            },
        )
        .await?;
    found.extend(memberships);
    found.sort_unstable_by_key(|change| change.ordinal);
    let room = count_max.saturating_add(1).saturating_sub(found.len() as u64);
    if room > 0 {
        let after = after.saturating_sub(ROLES_BEHIND);
        found.extend(roles_waiting(session, directory_id, after, room).await?);
    }
    let most = usize::try_from(count_max).unwrap_or(usize::MAX);
    let has_more = found.len() > most;
    found.truncate(most);
    Ok((found, has_more))
}

/// Whose roles wait, behind all else.
async fn roles_waiting(
    session: &mut Session,
    directory_id: DirectoryId,
    after: u64,
    count_max: u64,
) -> Result<Vec<HeldChange>, Error> {
    let directory = directory_id.to_string();
    let found = session
        .all(
            "reading whose roles wait",
            "select h.ordinal, h.cause, h.changed_at, h.user_id, h.told, u.resource
             from held_roles h
             left join users u on u.directory_id = h.directory_id and u.user_id = h.user_id
             where h.directory_id = $1 and h.ordinal > $2 order by h.ordinal limit $3",
            &[Value::Text(&directory), count(after), count(count_max)],
            |row| {
                let name = row.optional_text(5)?.map(|text| hold::user_name(&text));
                let place = ROLES_BEHIND + row.number(0)?;
                let (cause, at) = (row.text(1)?, row.time(2)?);
                Ok((place, cause, at, row.resource_id(3)?, roles::read(row, 4)?, name))
            },
        )
        .await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let users: Vec<UserId> = found.iter().map(|(_, _, _, user, ..)| *user).collect();
    let now = roles::explained(session, &directory, &users).await?;
    let change =
        |(ordinal, cause, changed_at, user, told, name): (_, _, _, _, _, Option<String>)| {
            // Who is gone has none, and of that the app hears when they go.
            let draft = name.and_then(|name| {
                between_roles(user, &name, &told, &now.assignment(user), &now.groups)
            });
            HeldChange { ordinal, draft, cause, changed_at, turned: None }
        };
    Ok(found.into_iter().map(change).collect())
}

/// Lets go what was let out, up to this place.
pub(crate) async fn forget(
    session: &mut Session,
    directory_id: DirectoryId,
    upto: u64,
) -> Result<(), Error> {
    let directory = directory_id.to_string();
    for (sql, upto) in [
        (
            "delete from held_emails where directory_id = $1 and resource_id in
             (select resource_id from held_resources where directory_id = $1 and ordinal <= $2)",
            upto,
        ),
        ("delete from held_resources where directory_id = $1 and ordinal <= $2", upto),
        ("delete from held_memberships where directory_id = $1 and ordinal <= $2", upto),
        (
            "delete from held_roles where directory_id = $1 and ordinal <= $2",
            upto.saturating_sub(ROLES_BEHIND),
        ),
    ] {
        let values = [Value::Text(&directory), count(upto)];
        session.run("forgetting what was let out", sql, &values).await?;
    }
    Ok(())
}

/// How many events of which type would be let out.
pub(crate) async fn counts(
    session: &mut Session,
    directory_id: DirectoryId,
) -> Result<BTreeMap<String, u64>, Error> {
    let directory = directory_id.to_string();
    let mut counts = BTreeMap::new();
    let resources = session
        .all(
            "counting which users and groups wait",
            "select kind, what, count(*) from (
                 select h.kind, case
                     when h.told is null and coalesce(u.resource, g.resource) is null then ''
                     when h.told is null then 'created'
                     when coalesce(u.resource, g.resource) is null then 'deleted'
                     when h.kind = 'User' and h.told_active = 1 and u.active = 0 then 'deactivated'
                     when h.kind = 'User' and h.told_active = 0 and u.active = 1 then 'reactivated'
                     when h.told = coalesce(u.resource, g.resource) then ''
                     else 'updated' end as what
                 from held_resources h
                 left join users u on h.kind = 'User' and u.directory_id = h.directory_id
                                  and u.user_id = h.resource_id
                 left join groups g on h.kind = 'Group' and g.directory_id = h.directory_id
                                   and g.group_id = h.resource_id
                 where h.directory_id = $1
             ) waiting where what <> '' group by kind, what",
            &[Value::Text(&directory)],
            |row| Ok((row.text(0)?.to_lowercase(), row.text(1)?, row.number(2)?)),
        )
        .await?;
    for (kind, what, number) in resources {
        counts.insert(format!("directory.{kind}.{what}"), number);
    }
    let memberships = session
        .all(
            "counting which memberships wait",
            "select h.was_member, count(*) from held_memberships h
             left join memberships m on m.group_id = h.group_id and m.member_id = h.member_id
             where h.directory_id = $1
                 and h.was_member <> case when m.member_id is null then 0 else 1 end
             group by h.was_member",
            &[Value::Text(&directory)],
            |row| Ok((row.integer(0)? != 0, row.number(1)?)),
        )
        .await?;
    for (was_member, number) in memberships {
        let kind =
            if was_member { EventKind::GroupMemberRemoved } else { EventKind::GroupMemberAdded };
        counts.insert(kind.as_str().to_owned(), number);
    }
    let mut others = 0;
    session
        .each(
            "counting whose roles wait",
            "select h.told, a.assignment from held_roles h
             join users u on u.directory_id = h.directory_id and u.user_id = h.user_id
             left join assignments a on a.directory_id = h.directory_id
                                    and a.user_id = h.user_id
             where h.directory_id = $1",
            &[Value::Text(&directory)],
            |row| {
                let now = match row.optional_text(1)? {
                    Some(_) => roles::read(row, 1)?,
                    None => Assignment::default(),
                };
                others += u64::from(!roles::read(row, 0)?.has_the_roles_of(&now));
                Ok(Flow::Continue(()))
            },
        )
        .await?;
    if others > 0 {
        counts.insert(EventKind::UserRolesUpdated.as_str().to_owned(), others);
    }
    Ok(counts)
}

/// Users of whom something was heard, with whoever has their name now where they are gone.
macro_rules! lost_users {
    () => {
        "from held_resources h
             left join users u on u.directory_id = h.directory_id and u.user_id = h.resource_id
             left join users s on u.user_id is null and s.directory_id = h.directory_id
                              and s.user_name_key = h.name_key"
    };
}

/// Of these: whoever could use the app and cannot.
macro_rules! is_lost_user {
    () => {
        "h.kind = 'User' and h.told is not null and h.told_active = 1
                 and coalesce(u.active, s.active, 0) = 0"
    };
}

/// Memberships of which something was heard, the same.
macro_rules! lost_memberships {
    () => {
        "from held_memberships h
             left join users u on u.directory_id = h.directory_id and u.user_id = h.member_id
             left join held_resources hu on hu.directory_id = h.directory_id
                                        and hu.resource_id = h.member_id
             left join users us on u.user_id is null and us.directory_id = h.directory_id
                               and us.user_name_key = hu.name_key
             left join groups g on g.directory_id = h.directory_id and g.group_id = h.group_id
             left join held_resources hg on hg.directory_id = h.directory_id
                                        and hg.resource_id = h.group_id
             left join groups gs on g.group_id is null and gs.directory_id = h.directory_id
                                and gs.display_name_key = hg.name_key
             left join memberships m
                 on m.group_id = coalesce(g.group_id, gs.group_id, h.group_id)
                 and m.member_id = coalesce(u.user_id, us.user_id, h.member_id)"
    };
}

/// Of these: what is no more.
macro_rules! is_lost_membership {
    () => {
        "h.was_member = 1 and m.member_id is null"
    };
}

/// Some of what was lost and is not back, in order, each with its place. Who is there again under the
/// same name, or a group that is, counts for the one that is gone.
pub(crate) async fn lost(
    session: &mut Session,
    directory_id: DirectoryId,
    after: u64,
    count_max: u64,
) -> Result<Vec<(u64, Lost)>, Error> {
    let directory = directory_id.to_string();
    let values = [Value::Text(&directory), count(after), count(count_max)];
    let mut found = session
        .all(
            "looking who is not back",
            concat!(
                "select h.ordinal, h.resource_id, h.told ",
                lost_users!(),
                " where h.directory_id = $1 and h.ordinal > $2 and ",
                is_lost_user!(),
                " order by h.ordinal limit $3"
            ),
            &values,
            |row| {
                let member_name = hold::user_name(&row.text(2)?);
                Ok((
                    row.number(0)?,
                    Lost { member_id: row.resource_id(1)?, member_name, group: None },
                ))
            },
        )
        .await?;
    let memberships = session
        .all(
            "looking which memberships are not back",
            concat!(
                "select h.ordinal, h.group_id, h.member_id,
                        coalesce(g.resource, gs.resource, hg.told),
                        coalesce(u.resource, us.resource, hu.told) ",
                lost_memberships!(),
                " where h.directory_id = $1 and h.ordinal > $2 and ",
                is_lost_membership!(),
                " order by h.ordinal limit $3"
            ),
            &values,
            |row| {
                let name = row.optional_text(3)?.unwrap_or_default();
                let group = Some((row.resource_id(1)?, hold::group_name(&name)));
                let member = row.optional_text(4)?.unwrap_or_default();
                let member_name = hold::user_name(&member);
                Ok((row.number(0)?, Lost { member_id: row.resource_id(2)?, member_name, group }))
            },
        )
        .await?;
    found.extend(memberships);
    found.sort_unstable_by_key(|(ordinal, _)| *ordinal);
    found.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    Ok(found)
}

/// How much is lost and is not back: how many accounts and memberships, and the place of the latest.
/// Whoever looks at what was lost sees it up to there.
pub(crate) async fn lost_so_far(
    session: &mut Session,
    directory_id: DirectoryId,
) -> Result<(u64, u64), Error> {
    const DOING: &str = "counting what is not back";
    let directory = directory_id.to_string();
    let values = [Value::Text(&directory)];
    let read = |row: &crate::session::Row<'_>| Ok((row.number(0)?, row.number(1)?));
    let (mut count, mut latest) = (0, 0);
    for sql in [
        concat!(
            "select count(*), coalesce(max(h.ordinal), 0) ",
            lost_users!(),
            " where h.directory_id = $1 and ",
            is_lost_user!()
        ),
        concat!(
            "select count(*), coalesce(max(h.ordinal), 0) ",
            lost_memberships!(),
            " where h.directory_id = $1 and ",
            is_lost_membership!()
        ),
    ] {
        let found = session.first(DOING, sql, &values, read).await?.unwrap_or_default();
        (count, latest) = (count + found.0, latest.max(found.1));
    }
    Ok((count, latest))
}

/// What an app has heard of somebody whose changes wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The attributes, as one JSON object.
    pub text: String,
    /// Whether the person may use the app.
    pub is_active: bool,
}

/// Of which of these an app has heard something else than is so, and what; nothing where it has not
/// heard of them.
pub(crate) async fn told_of(
    session: &mut Session,
    directory_id: DirectoryId,
    ids: &[ResourceId],
) -> Result<HashMap<ResourceId, Option<Told>>, Error> {
    const DOING: &str = "looking what was heard";
    let directory = directory_id.to_string();
    let read = |row: &crate::session::Row<'_>| {
        let is_active = row.integer(2)? != 0;
        let told = row.optional_text(1)?.map(|text| Told { text, is_active });
        Ok((row.resource_id(0)?, told))
    };
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    if session.engine() == Engine::Postgres {
        let sql = "select resource_id, told, told_active from held_resources
                   where directory_id = $1 and resource_id = any($2)";
        let values = [Value::Text(&directory), Value::Texts(&ids)];
        return Ok(session.all(DOING, sql, &values, read).await?.into_iter().collect());
    }
    let mut found = HashMap::new();
    for id in &ids {
        let sql = "select resource_id, told, told_active from held_resources
                   where directory_id = $1 and resource_id = $2";
        let values = [Value::Text(&directory), Value::Text(id)];
        found.extend(session.first(DOING, sql, &values, read).await?);
    }
    Ok(found)
}
