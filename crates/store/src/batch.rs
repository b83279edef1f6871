//! One transaction's worth of decisions: facts loaded, decisions made in order of arrival against
//! what the earlier ones left, and at the end everything kept together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use directory::event::Draft;
use directory::{
    Change, DirectoryHead, DirectoryId, EventId, Facts, Group, GroupId, Limits, Membership,
    Missing, Moment, ResourceId, Stop, User, UserId, Want,
};
use jiff::Timestamp;
use scim::group::MemberKind;

use crate::error::Error;
use crate::feed::{self, NewEvent};
use crate::rows::{self, kind_from};
use crate::schemas;
use crate::session::{Engine, Row, Session, Value, count};
use crate::writer::Pending;

/// How often a decision may ask for more facts. Each answer is remembered, so a decision that is
/// not satisfied after this many is asking for something that it was given.
const ROUNDS_MAX: usize = 64;

/// What is decided and not kept yet.
pub(crate) struct Batch<'a> {
    moment: Moment<'a>,
    limits: Limits,
    directories: BTreeMap<DirectoryId, Working>,
    /// In the order in which they were decided.
    changes: Vec<(DirectoryId, Change)>,
    /// When each of them was decided.
    times: Vec<Timestamp>,
}

/// One directory, in the middle of things.
struct Working {
    facts: Facts,
    event_number: u64,
    ordinal: u64,
    user_count: u64,
    active_user_count: u64,
    group_count: u64,
}

impl Working {
    fn read(row: &Row<'_>, limits: Limits) -> Result<Working, Error> {
        let head = DirectoryHead {
            id: row.parsed(0)?,
            organization_id: row.parsed(1)?,
            settings: rows::settings(&row.text(2)?)?,
            user_count: row.number(3)?,
            group_count: row.number(4)?,
            schemas_version: row.number(8)?,
            limits,
        };
        Ok(Working {
            event_number: row.number(5)?,
            ordinal: row.number(6)?,
            user_count: head.user_count,
            active_user_count: row.number(7)?,
            group_count: head.group_count,
            facts: Facts::new(head.id, Some(head)),
        })
    }

    /// A directory that does not exist, or not yet.
    fn none(directory_id: DirectoryId) -> Working {
        Working {
            facts: Facts::new(directory_id, None),
            event_number: 0,
            ordinal: 0,
            user_count: 0,
            active_user_count: 0,
            group_count: 0,
        }
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn new(moment: Moment<'a>, limits: Limits) -> Batch<'a> {
        Batch {
            moment,
            limits,
            directories: BTreeMap::new(),
            changes: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Lets time go on: who joins later has not happened before. It never goes back.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        self.moment.now = self.moment.now.max(now);
    }

    /// Rows that keeping this will touch, roughly.
    pub(crate) fn weight(&self) -> usize {
        let weigh = |change: &Change| match change {
            Change::Group(change) => 1 + change.added().len() + change.removed().len(),
            _ => 1,
        };
        self.changes.iter().map(|(_, change)| weigh(change)).sum()
    }

    /// Decides one thing. The inner result is for the caller; the outer one is about the database,
    /// and ends the batch.
    pub(crate) async fn decide(
        &mut self,
        session: &mut Session,
        directory_id: DirectoryId,
        pending: &mut dyn Pending,
    ) -> Result<Result<(), Error>, Error> {
        self.open(session, directory_id).await?;
        for _ in 0..ROUNDS_MAX {
            let working = self.directories.get_mut(&directory_id).expect("it was just opened");
            let (facts, moment) = (&working.facts, &self.moment);
            let decided = catch_unwind(AssertUnwindSafe(|| pending.decide(facts, moment)));
            match decided {
                Ok(Ok(changes)) => {
                    for change in changes {
                        working.facts.absorb(&change);
                        self.changes.push((directory_id, change));
                        self.times.push(self.moment.now);
                    }
                    return Ok(Ok(()));
                }
                Ok(Err(Stop::Rejected(rejection))) => return Ok(Err(rejection.into())),
                Ok(Err(Stop::Missing(missing))) => {
                    learn(session, directory_id, &mut working.facts, missing).await?;
                }
                Err(panic) => return Ok(Err(Error::Panicked(what_it_said(panic.as_ref())))),
            }
        }
        Ok(Err(Error::Panicked("a decision asks for more and more facts".to_owned())))
    }

    /// Makes a change that decides nothing.
    pub(crate) async fn make(
        &mut self,
        session: &mut Session,
        directory_id: DirectoryId,
        change: Change,
    ) -> Result<(), Error> {
        self.open(session, directory_id).await?;
        self.changes.push((directory_id, change));
        self.times.push(self.moment.now);
        Ok(())
    }

    async fn open(
        &mut self,
        session: &mut Session,
        directory_id: DirectoryId,
    ) -> Result<(), Error> {
        if self.directories.contains_key(&directory_id) {
            return Ok(());
        }
        let limits = self.limits;
        let sql = match session.engine() {
            Engine::Sqlite => {
                "select directory_id, organization_id, settings, user_count, group_count,
                        event_number, ordinal, active_user_count, schemas_version
                 from directories where directory_id = $1"
            }
            // Others may write to it too.
            Engine::Postgres => {
                "select directory_id, organization_id, settings, user_count, group_count,
                        event_number, ordinal, active_user_count, schemas_version
                 from directories where directory_id = $1 for update"
            }
        };
        let values = [Value::Text(&directory_id.to_string())];
        let found = session
            .first("loading a directory", sql, &values, |row| Working::read(row, limits))
            .await?;
        self.directories.insert(directory_id, found.unwrap_or_else(|| Working::none(directory_id)));
        Ok(())
    }

    /// Locks directories before anything of them is read, on PostgreSQL; where they do not exist,
    /// nothing is locked. In the order of their ids, so that two who want the same ones do not wait
    /// for each other.
    pub(crate) async fn lock(
        &mut self,
        session: &mut Session,
        directories: &BTreeSet<DirectoryId>,
    ) -> Result<(), Error> {
        let limits = self.limits;
        let ids: Vec<_> = directories.iter().map(ToString::to_string).collect();
        let found = session
            .all(
                "locking directories",
                "select directory_id, organization_id, settings, user_count, group_count,
                        event_number, ordinal, active_user_count, schemas_version
                 from directories where directory_id = any($1) order by directory_id for update",
                &[Value::Texts(&ids)],
                |row| Ok((row.parsed(0)?, Working::read(row, limits)?)),
            )
            .await?;
        self.directories = directories.iter().map(|id| (*id, Working::none(*id))).collect();
        self.directories.extend(found);
        let latest = feed::latest_of(session, &ids).await?;
        self.moment.now = self.moment.now.max(latest);
        Ok(())
    }

    /// Writes down what was decided: records, keys, memberships, numbers, events. Nothing is kept
    /// before the commit.
    pub(crate) async fn keep(mut self, session: &mut Session) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let now = self.moment.now;
        let changes = std::mem::take(&mut self.changes);
        let times = std::mem::take(&mut self.times);
        let mut events = Vec::new();
        for ((directory_id, change), at) in changes.iter().zip(&times) {
            events.extend(change.events().into_iter().map(|draft| (*directory_id, draft, *at)));
            let working = self.directories.get_mut(directory_id).expect("it was opened");
            let counts = change.counts();
            working.user_count = working.user_count.saturating_add_signed(counts.users);
            working.active_user_count =
                working.active_user_count.saturating_add_signed(counts.active_users);
            working.group_count = working.group_count.saturating_add_signed(counts.groups);
        }

        for (directory_id, change) in &changes {
            match change {
                Change::Directory(change) => rows::keep_directory(session, change.after()).await?,
                Change::Token(change) => match change.after() {
                    Some(token) => rows::keep_token(session, *directory_id, token).await?,
                    None => rows::delete_token(session, *directory_id, change.id()).await?,
                },
                Change::Schema(change) => schemas::keep(session, *directory_id, change).await?,
                Change::User(_) | Change::Group(_) => {}
            }
        }
        schemas::keep_uses(session, &changes, now).await?;
        self.keep_records(session, &changes, &times).await?;
        keep_memberships(session, &changes).await?;
        self.keep_events(session, &events).await?;
        for (directory_id, working) in &self.directories {
            session
                .run(
                    "keeping the numbers of a directory",
                    "update directories
                     set event_number = $2, ordinal = $3, user_count = $4, group_count = $5,
                         active_user_count = $6
                     where directory_id = $1",
                    &[
                        Value::Text(&directory_id.to_string()),
                        count(working.event_number),
                        count(working.ordinal),
                        count(working.user_count),
                        count(working.group_count),
                        count(working.active_user_count),
                    ],
                )
                .await?;
        }
        Ok(())
    }

    /// Each record is written once, as the last change left it, in the order of the last changes:
    /// a name is given up before it is taken. Where that is not enough (two exchange their names
    /// within one batch) the unique key says so, and the batch is run again one by one.
    async fn keep_records(
        &mut self,
        session: &mut Session,
        changes: &[(DirectoryId, Change)],
        times: &[Timestamp],
    ) -> Result<(), Error> {
        let mut last: HashMap<ResourceId, usize> = HashMap::new();
        // Who is new has a place in the order of lists, which is that of the first changes.
        let mut ordinals: HashMap<ResourceId, u64> = HashMap::new();
        // Users as the rows have them, before their first changes.
        let mut kept: HashMap<ResourceId, &User> = HashMap::new();
        for (place, (directory_id, change)) in changes.iter().enumerate() {
            let (id, is_new) = match change {
                Change::User(change) => (change.id(), change.before().is_none()),
                Change::Group(change) => (change.id(), change.before().is_none()),
                Change::Directory(_) | Change::Token(_) | Change::Schema(_) => continue,
            };
            if let Change::User(change) = change
                && let Some(before) = change.before()
            {
                kept.entry(id).or_insert(before);
            }
            last.insert(id, place);
            if is_new {
                ordinals.insert(id, self.next_ordinal(*directory_id));
            }
        }
        for (place, (directory_id, change)) in changes.iter().enumerate() {
            match change {
                Change::User(change) => {
                    // A deletion is remembered even if it undoes a creation of the same batch.
                    if let (Some(before), None) = (change.before(), change.after()) {
                        rows::keep_former_user(session, *directory_id, before, times[place])
                            .await?;
                    }
                    if last[&change.id()] != place {
                        continue;
                    }
                    match (ordinals.get(&change.id()), change.after()) {
                        (Some(_), None) => {}
                        (Some(ordinal), Some(user)) => {
                            rows::insert_user(session, *directory_id, user, *ordinal).await?;
                        }
                        (None, Some(user)) => {
                            rows::update_user(session, *directory_id, kept[&user.id], user).await?;
                        }
                        (None, None) => {
                            rows::delete_user(session, *directory_id, change.id()).await?;
                        }
                    }
                }
                Change::Group(change) => {
                    if last[&change.id()] != place {
                        continue;
                    }
                    match (ordinals.get(&change.id()), change.after()) {
                        (Some(_), None) => {}
                        (Some(ordinal), Some(group)) => {
                            rows::insert_group(session, *directory_id, group, *ordinal).await?;
                        }
                        (None, Some(group)) => {
                            rows::update_group(session, *directory_id, group).await?;
                        }
                        (None, None) => {
                            rows::delete_group(session, *directory_id, change.id()).await?;
                        }
                    }
                }
                Change::Directory(_) | Change::Token(_) | Change::Schema(_) => {}
            }
        }
        Ok(())
    }

    fn next_ordinal(&mut self, directory_id: DirectoryId) -> u64 {
        let working = self.directories.get_mut(&directory_id).expect("it was opened");
        working.ordinal += 1;
        working.ordinal
    }

    /// Gives each event its number in the directory. There is one writer of a directory at a time, so
    /// these are in the order of commits and have no gaps.
    async fn keep_events(
        &mut self,
        session: &mut Session,
        drafts: &[(DirectoryId, Draft, Timestamp)],
    ) -> Result<(), Error> {
        let mut events = Vec::with_capacity(drafts.len());
        for (directory_id, draft, at) in drafts {
            let working = self.directories.get_mut(directory_id).expect("it was opened");
            working.event_number += 1;
            events.push(NewEvent {
                directory_id: *directory_id,
                number: working.event_number,
                id: EventId::new(self.moment.ids),
                kind: draft.kind.as_str(),
                occurred_at: *at,
                data: &draft.data,
            });
        }
        feed::keep(session, &events).await
    }
}

/// Memberships, each as the last change left it.
async fn keep_memberships(
    session: &mut Session,
    changes: &[(DirectoryId, Change)],
) -> Result<(), Error> {
    let mut last: BTreeMap<(GroupId, ResourceId), Option<&Membership>> = BTreeMap::new();
    for (_, change) in changes {
        if let Change::Group(change) = change {
            let group = change.id();
            last.extend(change.removed().iter().map(|member| ((group, member.id), None)));
            last.extend(change.added().iter().map(|member| ((group, member.id), Some(member))));
        }
    }
    for ((group, member), membership) in last {
        match membership {
            Some(membership) => rows::keep_membership(session, group, membership).await?,
            None => rows::delete_membership(session, group, member).await?,
        }
    }
    Ok(())
}

/// Loads what a decision asked for.
async fn learn(
    session: &mut Session,
    directory_id: DirectoryId,
    facts: &mut Facts,
    missing: Missing,
) -> Result<(), Error> {
    let directory = directory_id.to_string();
    for want in missing.0 {
        match want {
            Want::User(id) => facts.learn_user(id, load_user(session, &directory, id).await?),
            Want::UserName(key) => {
                let holder = session
                    .first(
                        "looking for a user's name",
                        "select user_id from users where directory_id = $1 and user_name_key = $2",
                        &[Value::Text(&directory), Value::Text(&key)],
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
                        &[Value::Text(&directory), Value::Text(&key)],
                        |row| row.resource_id(0),
                    )
                    .await?;
                facts.learn_group_name(key, holder);
            }
            Want::Kind(id) => facts.learn_kind(id, load_kind(session, &directory, id).await?),
            Want::Member(group, id) => {
                let membership = load_membership(session, group, id).await?;
                facts.learn_member(group, id, membership);
            }
            Want::AllMembers(group) => {
                facts.learn_all_members(group, rows::members(session, group).await?);
            }
            Want::Token(id) => {
                facts.learn_token(id, rows::load_token(session, &directory, id).await?);
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
            Want::Schemas => facts.learn_schemas(schemas::all(session, &directory).await?),
            Want::Uses => facts.learn_uses(schemas::uses(session, &directory).await?),
        }
    }
    Ok(())
}

async fn load_membership(
    session: &mut Session,
    group: GroupId,
    id: ResourceId,
) -> Result<Option<Membership>, Error> {
    session
        .first(
            "looking for a member",
            "select kind, display from memberships where group_id = $1 and member_id = $2",
            &[Value::Text(&group.to_string()), Value::Text(&id.to_string())],
            |row| {
                let kind = kind_from(&row.text(0)?)?;
                Ok(Membership { id, kind, display: row.optional_text(1)? })
            },
        )
        .await
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
            |row| {
                Ok(User {
                    id,
                    document: rows::document(id, &row.text(0)?)?,
                    version: row.number(1)?,
                    created_at: row.time(2)?,
                    modified_at: row.time(3)?,
                    aside: rows::aside(id, row.optional_text(4)?.as_deref())?,
                    active: row.integer(5)? != 0,
                })
            },
        )
        .await
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
            |row| {
                Ok(Group {
                    id,
                    document: rows::document(id, &row.text(0)?)?,
                    version: row.number(1)?,
                    member_count: row.number(2)?,
                    created_at: row.time(3)?,
                    modified_at: row.time(4)?,
                })
            },
        )
        .await
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
            &[Value::Text(directory), Value::Text(key)],
            |row| Ok((row.time(1)?, row.resource_id(0)?)),
        )
        .await?;
    let Some(external_id) = external_id else { return Ok(by_name.map(|(_, id)| id)) };
    let by_external_id = session
        .first(
            "looking for a former user",
            "select user_id, deleted_at from former_users
             where directory_id = $1 and external_id = $2 order by deleted_at desc limit 1",
            &[Value::Text(directory), Value::Text(external_id)],
            |row| Ok((row.time(1)?, row.resource_id(0)?)),
        )
        .await?;
    Ok(by_name.max(by_external_id).map(|(_, id)| id))
}

async fn load_kind(
    session: &mut Session,
    directory: &str,
    id: ResourceId,
) -> Result<Option<MemberKind>, Error> {
    let id = id.to_string();
    let values = [Value::Text(directory), Value::Text(&id)];
    let user = session
        .first(
            "looking for a user",
            "select 1 from users where directory_id = $1 and user_id = $2",
            &values,
            |_| Ok(MemberKind::User),
        )
        .await?;
    if user.is_some() {
        return Ok(user);
    }
    session
        .first(
            "looking for a group",
            "select 1 from groups where directory_id = $1 and group_id = $2",
            &values,
            |_| Ok(MemberKind::Group),
        )
        .await
}

/// The message of a panic.
pub(crate) fn what_it_said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}
