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
use crate::rows::{self, GroupRow, UserRow, kind_from};
use crate::schemas;
use crate::session::{self, Engine, Many, Row, Session, Value, count};
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
    /// When its latest event occurred.
    latest: Timestamp,
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
            latest: row.time(9)?,
            facts: Facts::new(head.id, Some(head)),
        })
    }

    /// A directory that does not exist, or not yet.
    fn none(directory_id: DirectoryId) -> Working {
        Working {
            facts: Facts::new(directory_id, None),
            latest: Timestamp::UNIX_EPOCH,
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
        Ok(Err(asks_forever()))
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
                        event_number, ordinal, active_user_count, schemas_version, event_at
                 from directories where directory_id = $1"
            }
            // Others may write to it too.
            Engine::Postgres => {
                "select directory_id, organization_id, settings, user_count, group_count,
                        event_number, ordinal, active_user_count, schemas_version, event_at
                 from directories where directory_id = $1 for update"
            }
        };
        let values = [Value::Text(&directory_id.to_string())];
        let found = session
            .first("loading a directory", sql, &values, |row| Working::read(row, limits))
            .await?;
        self.work_in(directory_id, found.unwrap_or_else(|| Working::none(directory_id)));
        Ok(())
    }

    /// Time never goes back within a directory, whatever the machine's clock does, and whoever wrote
    /// to it last: this process, an earlier one, or another beside it.
    fn work_in(&mut self, directory_id: DirectoryId, working: Working) {
        self.advance(working.latest);
        self.directories.insert(directory_id, working);
    }

    /// Locks directories before anything of them is read, on PostgreSQL. The first one is waited
    /// for, while nothing else is held; of the others only those are taken that nobody else is
    /// writing to. So two who want the same ones never wait for each other, and nobody waits for a
    /// lock while holding one. Where the first does not exist, there is nothing to lock.
    pub(crate) async fn lock(
        &mut self,
        session: &mut Session,
        first: DirectoryId,
        others: &BTreeSet<DirectoryId>,
    ) -> Result<(), Error> {
        self.open(session, first).await?;
        let limits = self.limits;
        let others: Vec<_> =
            others.iter().filter(|id| **id != first).map(ToString::to_string).collect();
        if !others.is_empty() {
            let found = session
                .all(
                    "locking directories",
                    "select directory_id, organization_id, settings, user_count, group_count,
                            event_number, ordinal, active_user_count, schemas_version, event_at
                     from directories where directory_id = any($1)
                     order by directory_id for update skip locked",
                    &[Value::Texts(&others)],
                    |row| Ok((row.parsed(0)?, Working::read(row, limits)?)),
                )
                .await?;
            for (directory_id, working) in found {
                self.work_in(directory_id, working);
            }
        }
        Ok(())
    }

    /// Whether a directory was opened, and so may be written to.
    pub(crate) fn has(&self, directory_id: DirectoryId) -> bool {
        self.directories.contains_key(&directory_id)
    }

    /// Decides several things, each in a directory that is open, in their order within each
    /// directory. Facts are loaded for all of them at once, because each load is a journey.
    ///
    /// What there is no outcome of was not begun: the batch is full.
    pub(crate) async fn decide_all(
        &mut self,
        session: &mut Session,
        asked: &mut [(DirectoryId, &mut dyn Pending)],
        weight_max: usize,
    ) -> Result<Vec<Option<Result<(), Error>>>, Error> {
        let mut outcomes: Vec<Option<Result<(), Error>>> = asked.iter().map(|_| None).collect();
        let mut rounds = vec![0; asked.len()];
        loop {
            let mut wants: BTreeMap<DirectoryId, Vec<Want>> = BTreeMap::new();
            for (place, (directory_id, pending)) in asked.iter_mut().enumerate() {
                if outcomes[place].is_some() {
                    continue;
                }
                if self.weight() >= weight_max {
                    return Ok(outcomes);
                }
                let working = self.directories.get_mut(directory_id).expect("it is open");
                let (facts, moment) = (&working.facts, &self.moment);
                let decided = catch_unwind(AssertUnwindSafe(|| pending.decide(facts, moment)));
                // Somebody before it in this directory is not decided yet: then this is only about
                // which facts it will want.
                let is_too_early = wants.contains_key(directory_id);
                match decided {
                    Ok(Err(Stop::Missing(missing))) => {
                        rounds[place] += usize::from(!is_too_early);
                        if rounds[place] > ROUNDS_MAX {
                            outcomes[place] = Some(Err(asks_forever()));
                            continue;
                        }
                        let wants = wants.entry(*directory_id).or_default();
                        for want in missing.0 {
                            if !wants.contains(&want) {
                                wants.push(want);
                            }
                        }
                    }
                    _ if is_too_early => {}
                    Ok(Ok(changes)) => {
                        for change in changes {
                            working.facts.absorb(&change);
                            self.changes.push((*directory_id, change));
                            self.times.push(self.moment.now);
                        }
                        outcomes[place] = Some(Ok(()));
                    }
                    Ok(Err(Stop::Rejected(rejection))) => {
                        outcomes[place] = Some(Err(rejection.into()));
                    }
                    Err(panic) => {
                        let said = what_it_said(panic.as_ref());
                        outcomes[place] = Some(Err(Error::Panicked(said)));
                    }
                }
            }
            if wants.is_empty() {
                return Ok(outcomes);
            }
            self.learn_all(session, wants).await?;
        }
    }

    /// Loads what several decisions asked for: what many ask for by one statement, the rest one by
    /// one.
    async fn learn_all(
        &mut self,
        session: &mut Session,
        wants: BTreeMap<DirectoryId, Vec<Want>>,
    ) -> Result<(), Error> {
        let mut together = Together::default();
        for (directory_id, wants) in wants {
            let mut alone = Vec::new();
            for want in wants {
                if let Some(want) = together.take(directory_id, want) {
                    alone.push(want);
                }
            }
            if !alone.is_empty() {
                let working = self.directories.get_mut(&directory_id).expect("it is open");
                learn(session, directory_id, &mut working.facts, Missing(alone)).await?;
            }
        }
        together.load(session, &mut self.directories).await
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
        let changed: BTreeSet<_> = changes.iter().map(|(directory_id, _)| *directory_id).collect();
        self.keep_numbers(session, &changed).await
    }

    async fn keep_numbers(
        &self,
        session: &mut Session,
        changed: &BTreeSet<DirectoryId>,
    ) -> Result<(), Error> {
        const KEEP: Many<7> = Many {
            doing: "keeping the numbers of directories",
            sqlite: "update directories
                     set event_number = $2, ordinal = $3, user_count = $4, group_count = $5,
                         active_user_count = $6, event_at = $7
                     where directory_id = $1",
            postgres: "update directories d
                       set event_number = it.event_number, ordinal = it.ordinal,
                           user_count = it.user_count, group_count = it.group_count,
                           active_user_count = it.active_user_count, event_at = it.event_at
                       from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[],
                                   $5::bigint[], $6::bigint[], $7::bigint[])
                            as it (directory_id, event_number, ordinal, user_count, group_count,
                                   active_user_count, event_at)
                       where d.directory_id = it.directory_id",
        };
        let ids: Vec<_> = changed.iter().map(|id| (id, id.to_string())).collect();
        let rows: Vec<_> = ids
            .iter()
            .map(|(id, text)| {
                let working = &self.directories[*id];
                [
                    Value::Text(text),
                    count(working.event_number),
                    count(working.ordinal),
                    count(working.user_count),
                    count(working.group_count),
                    count(working.active_user_count),
                    Value::Time(working.latest),
                ]
            })
            .collect();
        session.run_each(&KEEP, &rows).await
    }

    /// Each record is written once, as the last change left it. Who goes makes room first, then who
    /// changes: a name is given up before it is taken. Where that is not enough (two exchange their
    /// names within one batch) the unique key says so, and the batch is run again one by one.
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
        let mut former = Vec::new();
        let (mut new_users, mut changed_users, mut gone_users) = (vec![], vec![], vec![]);
        let (mut new_groups, mut changed_groups, mut gone_groups) = (vec![], vec![], vec![]);
        for (place, (directory_id, change)) in changes.iter().enumerate() {
            let directory_id = *directory_id;
            match change {
                Change::User(change) => {
                    // A deletion is remembered even if it undoes a creation of the same batch.
                    if let (Some(before), None) = (change.before(), change.after()) {
                        former.push((UserRow::new(directory_id, before), times[place]));
                    }
                    if last[&change.id()] != place {
                        continue;
                    }
                    match (ordinals.get(&change.id()), change.after()) {
                        (Some(_), None) => {}
                        (Some(ordinal), Some(user)) => {
                            new_users.push((UserRow::new(directory_id, user), *ordinal));
                        }
                        (None, Some(user)) => {
                            changed_users.push((UserRow::new(directory_id, user), kept[&user.id]));
                        }
                        (None, None) => {
                            gone_users.push((directory_id.to_string(), change.id().to_string()));
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
                            new_groups.push((GroupRow::new(directory_id, group), *ordinal));
                        }
                        (None, Some(group)) => {
                            changed_groups.push(GroupRow::new(directory_id, group));
                        }
                        (None, None) => {
                            gone_groups.push((directory_id.to_string(), change.id().to_string()));
                        }
                    }
                }
                Change::Directory(_) | Change::Token(_) | Change::Schema(_) => {}
            }
        }
        rows::keep_former_users(session, &former).await?;
        rows::delete_users(session, &gone_users).await?;
        rows::update_users(session, &changed_users).await?;
        rows::insert_users(session, &new_users).await?;
        rows::delete_groups(session, &gone_groups).await?;
        rows::update_groups(session, &changed_groups).await?;
        rows::insert_groups(session, &new_groups).await
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
            working.latest = *at;
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
    rows::keep_memberships(session, &last).await
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

/// What many decisions ask for, gathered so that each kind of it is one statement; only on
/// PostgreSQL.
#[derive(Default)]
struct Together {
    users: Asked<UserId, 2>,
    user_names: Asked<String, 2>,
    former_users: Asked<(String, Option<String>), 3>,
    groups: Asked<GroupId, 2>,
    members: Asked<(GroupId, ResourceId), 2>,
    kinds: Asked<ResourceId, 2>,
}

/// Facts of one kind: of which directory, which ones, and what a statement is given for each.
type Asked<T, const N: usize> = Vec<(DirectoryId, T, [Option<String>; N])>;

impl Together {
    /// Takes what can be loaded together with others; gives back what cannot.
    fn take(&mut self, directory_id: DirectoryId, want: Want) -> Option<Want> {
        let directory = || Some(directory_id.to_string());
        let text = |id: &dyn std::fmt::Display| Some(id.to_string());
        match want {
            Want::User(id) => self.users.push((directory_id, id, [directory(), text(&id)])),
            Want::UserName(name) => {
                let key = text(&session::key(&name));
                self.user_names.push((directory_id, name, [directory(), key]));
            }
            Want::FormerUser(name, external_id) => {
                let key = text(&session::key(&name));
                let external_key = external_id.as_deref().map(|id| session::key(id).into_owned());
                let asked = [directory(), key, external_key];
                self.former_users.push((directory_id, (name, external_id), asked));
            }
            Want::Group(id) => self.groups.push((directory_id, id, [directory(), text(&id)])),
            Want::Member(group, id) => {
                self.members.push((directory_id, (group, id), [text(&group), text(&id)]));
            }
            Want::Kind(id) => self.kinds.push((directory_id, id, [directory(), text(&id)])),
            other => return Some(other),
        }
        None
    }

    async fn load(
        self,
        session: &mut Session,
        directories: &mut BTreeMap<DirectoryId, Working>,
    ) -> Result<(), Error> {
        let found: Vec<_> = look_up(
            session,
            "loading users",
            "select it.place, u.resource, u.version, u.created_at, u.modified_at, u.aside, u.active
             from unnest($1::text[], $2::text[]) with ordinality
                  as it (directory_id, user_id, place)
             join users u on u.directory_id = it.directory_id and u.user_id = it.user_id",
            &self.users,
            |id, row| user(*id, row, 1),
        )
        .await?;
        for ((directory, id, _), user) in self.users.iter().zip(found) {
            facts(directories, *directory).learn_user(*id, user);
        }
        let found: Vec<_> = look_up(
            session,
            "looking for users' names",
            "select it.place, u.user_id
             from unnest($1::text[], $2::text[]) with ordinality as it (directory_id, key, place)
             join users u on u.directory_id = it.directory_id and u.user_name_key = it.key",
            &self.user_names,
            |_, row| row.resource_id(1),
        )
        .await?;
        for ((directory, name, _), holder) in self.user_names.into_iter().zip(found) {
            facts(directories, directory).learn_user_name(name, holder);
        }
        let found: Vec<_> = look_up(
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
            &self.former_users,
            |_, row| row.resource_id(1),
        )
        .await?;
        for ((directory, asked, _), id) in self.former_users.into_iter().zip(found) {
            facts(directories, directory).learn_former_user(asked, id);
        }
        let found: Vec<_> = look_up(
            session,
            "loading groups",
            "select it.place, g.resource, g.version, g.member_count, g.created_at, g.modified_at
             from unnest($1::text[], $2::text[]) with ordinality
                  as it (directory_id, group_id, place)
             join groups g on g.directory_id = it.directory_id and g.group_id = it.group_id",
            &self.groups,
            |id, row| group(*id, row, 1),
        )
        .await?;
        for ((directory, id, _), group) in self.groups.iter().zip(found) {
            facts(directories, *directory).learn_group(*id, group);
        }
        let found: Vec<_> = look_up(
            session,
            "looking for members",
            "select it.place, m.kind, m.display
             from unnest($1::text[], $2::text[]) with ordinality as it (group_id, member_id, place)
             join memberships m on m.group_id = it.group_id and m.member_id = it.member_id",
            &self.members,
            |(_, id), row| membership(*id, row, 1),
        )
        .await?;
        for ((directory, (group, id), _), membership) in self.members.iter().zip(found) {
            facts(directories, *directory).learn_member(*group, *id, membership);
        }
        let found: Vec<_> = look_up(
            session,
            "looking for users and groups",
            "select it.place, found.kind
             from unnest($1::text[], $2::text[]) with ordinality as it (directory_id, id, place)
             cross join lateral (
                 select 'User' as kind from users
                 where directory_id = it.directory_id and user_id = it.id
                 union all
                 select 'Group' from groups
                 where directory_id = it.directory_id and group_id = it.id
             ) found",
            &self.kinds,
            |_, row| kind_from(&row.text(1)?),
        )
        .await?;
        for ((directory, id, _), kind) in self.kinds.iter().zip(found) {
            facts(directories, *directory).learn_kind(*id, kind);
        }
        Ok(())
    }
}

fn facts(directories: &mut BTreeMap<DirectoryId, Working>, id: DirectoryId) -> &mut Facts {
    &mut directories.get_mut(&id).expect("it is open").facts
}

/// Looks for several of a kind by one statement, whose first column is the place of what was asked
/// for, from 1 on.
async fn look_up<T, F, const N: usize>(
    session: &mut Session,
    doing: &'static str,
    sql: &'static str,
    asked: &[(DirectoryId, T, [Option<String>; N])],
    mut read: impl FnMut(&T, &Row<'_>) -> Result<F, Error>,
) -> Result<Vec<Option<F>>, Error> {
    let mut found: Vec<Option<F>> = asked.iter().map(|_| None).collect();
    let rows: Vec<_> = asked
        .iter()
        .map(|(.., texts)| texts.each_ref().map(|it| Value::OptionalText(it.as_deref())))
        .collect();
    session
        .each_of_many(doing, sql, &rows, |row| {
            let place = usize::try_from(row.number(0)?).unwrap_or_default();
            let wrong = || Error::Corrupt("an answer to a question that was not asked".to_owned());
            let place = place.checked_sub(1).filter(|it| *it < asked.len()).ok_or_else(wrong)?;
            found[place] = Some(read(&asked[place].1, row)?);
            Ok(())
        })
        .await?;
    Ok(found)
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
            |row| membership(id, row, 0),
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
fn user(id: UserId, row: &Row<'_>, at: usize) -> Result<User, Error> {
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

fn asks_forever() -> Error {
    Error::Panicked("a decision asks for more and more facts".to_owned())
}

/// The message of a panic.
pub(crate) fn what_it_said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}
