//! One transaction's worth of decisions: facts loaded, decisions made in order of arrival against
//! what the earlier ones left, and at the end everything kept together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use directory::event::Draft;
use directory::hold::waits;
use directory::{
    Brake, Change, Directory, DirectoryHead, DirectoryId, EventId, Facts, GroupId, Guards, HoldId,
    Limits, Membership, Moment, Notice, OrganizationId, Rejection, ResourceId, SeatLimit, SeatMode,
    Stop, User, UserId, Want,
};
use jiff::Timestamp;

use crate::audit::{self, Caller};
use crate::brake::{self, Losses, Pulled, Scale};
use crate::erasure;
use crate::error::Error;
use crate::feed::{self, NewEvent};
use crate::guards;
use crate::held::Noted;
use crate::holds::{self, Telling};
use crate::load;
use crate::receipts::{self, Turn};
use crate::roles;
use crate::rows::{self, GroupRow, UserRow};
use crate::schemas;
use crate::session::{Engine, Many, Row, Session, Value, count};
use crate::writer::Pending;

/// How often a decision may ask for more facts. Each answer is remembered, so a decision that is
/// not satisfied after this many is asking for something that it was given.
const ROUNDS_MAX: usize = 64;

/// Events that are made and kept at once. Those of all members of a large group would fill memory.
const EVENTS_AT_ONCE: usize = 2_000;

/// Rows after which a batch is not filled further: one group of 100,000 is a batch by itself.
const WEIGHT_MAX: usize = 10_000;

/// Members of a group from which on it is worth a statement of its own that they have all left.
const EMPTIED_MIN: u64 = 1_000;

/// What is read of a directory when it is opened: the columns that [`Working::read`] reads.
macro_rules! directories {
    ($($rest:literal),+) => {
        concat!(
            "select directory_id, organization_id, settings, user_count, group_count, ",
            "event_number, ordinal, active_user_count, schemas_version, event_at, ",
            "name, provider, created_at, paused_at, deleted_at, roles_version, hold_id, ",
            "disconnected_at, disconnected_people, ",
            "(select 1 from guards g where g.organization_id = directories.organization_id), ",
            "(select 1 from holds h where h.hold_id = directories.hold_id and h.kind = 'shadow'
                  and h.state = 'held') ",
            "from directories where ",
            $($rest),+
        )
    };
}

/// What is decided and not kept yet.
pub(crate) struct Batch<'a> {
    moment: Moment<'a>,
    limits: Limits,
    directories: BTreeMap<DirectoryId, Working>,
    /// How their organizations are guarded, where they are.
    guards: BTreeMap<OrganizationId, Guards>,
    /// In the order in which they were decided.
    changes: Vec<(DirectoryId, Change)>,
    /// When each of them was decided, and who caused it.
    circumstances: Vec<(Timestamp, Caller)>,
    /// What is told before the events of these changes.
    told: Vec<Telling>,
    /// Rows that keeping them will touch, roughly.
    weight: usize,
    /// Whether the app has other roles since, or in another order.
    has_other_roles: bool,
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
    /// That its changes wait.
    hold: Option<HoldId>,
    /// That nobody of it uses the app yet, and so nobody takes a seat.
    is_shadow: bool,
    brake: Brake,
    /// Whose it is, where that one guards itself.
    guarded_by: Option<OrganizationId>,
    organization_id: Option<OrganizationId>,
    is_deleted: bool,
    /// How many more use the app than did when it was opened, or fewer.
    active_since: i64,
}

impl Working {
    fn read(row: &Row<'_>, limits: Limits) -> Result<Working, Error> {
        let head = DirectoryHead {
            directory: Directory {
                id: row.parsed(0)?,
                organization_id: row.parsed(1)?,
                name: row.text(10)?,
                provider: row.parsed(11)?,
                settings: rows::settings(&row.text(2)?)?,
                created_at: row.time(12)?,
                paused_at: row.optional_time(13)?,
                disconnected: rows::disconnected(row, 17, row.optional_time(13)?)?,
                deleted_at: row.optional_time(14)?,
            },
            user_count: row.number(3)?,
            group_count: row.number(4)?,
            schemas_version: row.number(8)?,
            roles_version: row.number(15)?,
            limits,
        };
        Ok(Working {
            event_number: row.number(5)?,
            ordinal: row.number(6)?,
            user_count: head.user_count,
            active_user_count: row.number(7)?,
            group_count: head.group_count,
            latest: row.time(9)?,
            hold: feed::optional_id(row.optional_text(16)?)?,
            is_shadow: row.optional_integer(20)?.is_some(),
            brake: head.directory.settings.brake,
            guarded_by: row.optional_integer(19)?.map(|_| head.directory.organization_id),
            organization_id: Some(head.directory.organization_id),
            is_deleted: head.directory.deleted_at.is_some(),
            active_since: 0,
            facts: Facts::new(head.directory.id, Some(head)),
        })
    }

    /// Tells whoever decides how the organization is guarded just now.
    fn be_guarded(&mut self, guards: &BTreeMap<OrganizationId, Guards>) {
        let guards = self.guarded_by.and_then(|id| guards.get(&id)).cloned();
        let guards = if self.is_shadow { guards.map(Guards::without_seats) } else { guards };
        self.facts.guard_by(guards);
    }

    /// Whether the app is to say when somebody's access has ended.
    fn awaits_receipts(&self, guards: &BTreeMap<OrganizationId, Guards>) -> bool {
        let guards = self.guarded_by.and_then(|id| guards.get(&id));
        !self.is_deleted && guards.is_some_and(|guards| guards.awaits_receipts)
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
            hold: None,
            is_shadow: false,
            brake: Brake::default(),
            guarded_by: None,
            organization_id: None,
            is_deleted: false,
            active_since: 0,
        }
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn new(moment: Moment<'a>, limits: Limits) -> Batch<'a> {
        Batch {
            moment,
            limits,
            directories: BTreeMap::new(),
            guards: BTreeMap::new(),
            changes: Vec::new(),
            circumstances: Vec::new(),
            told: Vec::new(),
            weight: 0,
            has_other_roles: false,
        }
    }

    /// Lets time go on: who joins later has not happened before. It never goes back.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        self.moment.now = self.moment.now.max(now);
    }

    /// When this is done, and where ids come from.
    pub(crate) fn moment(&self) -> Moment<'a> {
        self.moment
    }

    /// Whether nothing more is to be decided in it.
    pub(crate) fn is_full(&self) -> bool {
        self.weight >= WEIGHT_MAX
    }

    /// The app has other roles, or in another order: everybody is looked at. What is decided after this in
    /// the same transaction may go by the roles as they were; it is made good then.
    pub(crate) fn note_other_roles(&mut self) {
        self.has_other_roles = true;
    }

    /// Takes what was decided in a directory that is open.
    fn take(&mut self, directory_id: DirectoryId, changes: Vec<Change>, caller: &Caller) {
        self.weight += changes.iter().map(weight_of).sum::<usize>();
        let is_full = self.is_full();
        for change in changes {
            let notice = self.count_active(directory_id, &change);
            // Where nobody decides any more, nobody has to know of it.
            if !is_full {
                let working = self.directories.get_mut(&directory_id).expect("it is open");
                working.facts.absorb(&change);
            }
            for change in [change].into_iter().chain(notice.map(Change::Notice)) {
                self.changes.push((directory_id, change));
                self.circumstances.push((self.moment.now, caller.clone()));
            }
        }
        if is_full {
            self.forget();
        }
    }

    /// Counts who uses the app, over all directories of an organization that guards itself. Says so
    /// where its limit is passed.
    fn count_active(&mut self, directory_id: DirectoryId, change: &Change) -> Option<Notice> {
        let working = self.directories.get_mut(&directory_id).expect("it is open");
        let difference = match change {
            // Nobody of a directory that is deleted uses the app any more, and it is emptied later.
            Change::Directory(change) if change.after().deleted_at.is_some() => {
                working.is_deleted = true;
                -working.active_user_count.cast_signed() - working.active_since
            }
            _ if working.is_deleted => 0,
            change => change.counts().active_users,
        };
        if difference == 0 {
            return None;
        }
        working.active_since += difference;
        if working.is_shadow {
            return None;
        }
        let guards = self.guards.get_mut(&working.guarded_by?)?;
        guards.count(difference, Some(change), self.moment.now)
    }

    /// Loads how the organizations are guarded whose directories were opened.
    async fn learn_guards(&mut self, session: &mut Session) -> Result<(), Error> {
        let guarded: BTreeSet<_> =
            self.directories.values().filter_map(|working| working.guarded_by).collect();
        for id in guarded {
            if !self.guards.contains_key(&id) {
                self.load_guards(session, id).await?;
            }
        }
        Ok(())
    }

    async fn load_guards(
        &mut self,
        session: &mut Session,
        id: OrganizationId,
    ) -> Result<(), Error> {
        if let Some(mut guards) = guards::load(session, id).await? {
            let is_counted = |it: &&Working| it.organization_id == Some(id) && !it.is_shadow;
            let open = self.directories.values().filter(is_counted);
            let since = open.map(|working| working.active_since).sum();
            guards.active = guards.active.saturating_add_signed(since);
            self.guards.insert(id, guards);
        }
        Ok(())
    }

    /// An organization is guarded otherwise from now on. Says so where that lets its limit be passed.
    pub(crate) async fn guard_anew(
        &mut self,
        session: &mut Session,
        id: OrganizationId,
    ) -> Result<Option<Notice>, Error> {
        self.load_guards(session, id).await?;
        for working in self.directories.values_mut() {
            if working.organization_id == Some(id) {
                working.guarded_by = Some(id);
            }
        }
        let now = self.moment.now;
        Ok(self.guards.get_mut(&id).and_then(|guards| guards.count(0, None, now)))
    }

    /// Lets go of what was known: of a large group that is much.
    fn forget(&mut self) {
        for (directory_id, working) in &mut self.directories {
            working.facts = Facts::new(*directory_id, None);
        }
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
            working.be_guarded(&self.guards);
            let (facts, moment) = (&working.facts, &self.moment);
            let decided = catch_unwind(AssertUnwindSafe(|| pending.decide(facts, moment)));
            match decided {
                Ok(Ok(changes)) => {
                    self.take(directory_id, changes, pending.caller());
                    return Ok(Ok(()));
                }
                Ok(Err(Stop::Rejected(rejection))) => return Ok(Err(rejection.into())),
                Ok(Err(Stop::Missing(missing))) => {
                    load::learn(session, directory_id, &mut working.facts, missing).await?;
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
        caller: &Caller,
    ) -> Result<(), Error> {
        self.open(session, directory_id).await?;
        self.weight += weight_of(&change);
        self.changes.push((directory_id, change));
        self.circumstances.push((self.moment.now, caller.clone()));
        Ok(())
    }

    /// How many directories of an organization begin in this batch.
    pub(crate) fn directories_begun_in(&self, id: OrganizationId) -> u64 {
        let begun = self.changes.iter().filter(|(_, change)| match change {
            Change::Directory(change) => {
                change.before().is_none() && change.after().organization_id == id
            }
            _ => false,
        });
        begun.count() as u64
    }

    /// Tells something of a directory that is open, before what is decided in it.
    pub(crate) fn tell(&mut self, directory_id: DirectoryId, draft: Draft, cause: String) {
        self.tell_turn(directory_id, draft, cause, None);
    }

    /// The same of somebody whose access ends by it, or begins again.
    pub(crate) fn tell_turn(
        &mut self,
        directory_id: DirectoryId,
        draft: Draft,
        cause: String,
        turned: Option<UserId>,
    ) {
        self.weight += 1;
        self.told.push(Telling { directory_id, draft, at: self.moment.now, cause, turned });
    }

    /// Why changes of a directory that is open wait.
    pub(crate) fn held_by(&self, directory_id: DirectoryId) -> Option<HoldId> {
        self.directories.get(&directory_id)?.hold
    }

    /// Has the changes of a directory that is open wait, or lets them out.
    pub(crate) fn hold(&mut self, directory_id: DirectoryId, hold: Option<HoldId>) {
        self.directories.get_mut(&directory_id).expect("it is open").hold = hold;
    }

    /// The same of one of which nobody uses the app yet.
    pub(crate) fn be_shadow(&mut self, directory_id: DirectoryId, hold: HoldId) {
        self.hold(directory_id, Some(hold));
        self.directories.get_mut(&directory_id).expect("it is open").is_shadow = true;
    }

    /// Whoever is active in a shadow takes a seat from now on. Says what is to be told of that, or that
    /// there are not enough of them.
    pub(crate) fn go_live(
        &mut self,
        directory_id: DirectoryId,
    ) -> Result<Option<Notice>, Rejection> {
        let working = self.directories.get_mut(&directory_id).expect("it is open");
        let people = working.active_user_count.saturating_add_signed(working.active_since);
        let guards = working.guarded_by.and_then(|id| self.guards.get_mut(&id));
        let notice = match guards {
            Some(guards) => {
                let taken = guards.active;
                if let Some(SeatLimit { max, mode: SeatMode::Refuse }) = guards.safety.seats
                    && people > 0
                    && taken.saturating_add(people) > max
                {
                    return Err(Rejection::SeatsFullForShadow { people, taken, max });
                }
                guards.count(people.cast_signed(), None, self.moment.now)
            }
            None => None,
        };
        working.is_shadow = false;
        Ok(notice)
    }

    /// Reads a directory that is to be written to, once.
    pub(crate) async fn open(
        &mut self,
        session: &mut Session,
        directory_id: DirectoryId,
    ) -> Result<(), Error> {
        self.find(session, directory_id).await?;
        self.learn_guards(session).await
    }

    async fn find(
        &mut self,
        session: &mut Session,
        directory_id: DirectoryId,
    ) -> Result<(), Error> {
        if self.directories.contains_key(&directory_id) {
            return Ok(());
        }
        let limits = self.limits;
        let sql = match session.engine() {
            Engine::Sqlite => directories!("directory_id = $1"),
            // Others may write to it too.
            Engine::Postgres => directories!("directory_id = $1 for no key update"),
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
    /// directory while holding one. Where the first does not exist, there is nothing to lock.
    pub(crate) async fn lock(
        &mut self,
        session: &mut Session,
        first: DirectoryId,
        others: &BTreeSet<DirectoryId>,
    ) -> Result<(), Error> {
        self.find(session, first).await?;
        let limits = self.limits;
        let others: Vec<_> =
            others.iter().filter(|id| **id != first).map(ToString::to_string).collect();
        if !others.is_empty() {
            let found = session
                .all(
                    "locking directories",
                    directories!(
                        "directory_id = any($1) ",
                        "order by directory_id for no key update skip locked"
                    ),
                    &[Value::Texts(&others)],
                    |row| Ok((row.parsed(0)?, Working::read(row, limits)?)),
                )
                .await?;
            for (directory_id, working) in found {
                self.work_in(directory_id, working);
            }
        }
        self.learn_guards(session).await
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
    ) -> Result<Vec<Option<Result<(), Error>>>, Error> {
        let mut outcomes: Vec<Option<Result<(), Error>>> = asked.iter().map(|_| None).collect();
        let mut rounds = vec![0; asked.len()];
        loop {
            let mut wants: BTreeMap<DirectoryId, Vec<Want>> = BTreeMap::new();
            // Everybody who belongs to a large group is a lot to hold: one group at a time.
            let mut has_all_members = false;
            for (place, (directory_id, pending)) in asked.iter_mut().enumerate() {
                if outcomes[place].is_some() {
                    continue;
                }
                if self.is_full() {
                    return Ok(outcomes);
                }
                let working = self.directories.get_mut(directory_id).expect("it is open");
                working.be_guarded(&self.guards);
                let (facts, moment) = (&working.facts, &self.moment);
                let decided = catch_unwind(AssertUnwindSafe(|| pending.decide(facts, moment)));
                // Somebody before it in this directory is not decided yet: then this is only about
                // which facts it will want.
                let is_too_early = wants.contains_key(directory_id);
                match decided {
                    Ok(Err(Stop::Missing(missing))) => {
                        let wants_all =
                            missing.0.iter().any(|it| matches!(it, Want::AllMembers(_)));
                        if wants_all && std::mem::replace(&mut has_all_members, true) {
                            // Nobody behind it in this directory is decided before it either.
                            wants.entry(*directory_id).or_default();
                            continue;
                        }
                        rounds[place] += usize::from(!is_too_early);
                        if rounds[place] > ROUNDS_MAX {
                            outcomes[place] = Some(Err(asks_forever()));
                            continue;
                        }
                        wants.entry(*directory_id).or_default().extend(missing.0);
                    }
                    _ if is_too_early => {}
                    Ok(Ok(changes)) => {
                        self.take(*directory_id, changes, pending.caller());
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
            if wants.is_empty() || self.is_full() {
                return Ok(outcomes);
            }
            let facts = self.directories.iter_mut().map(|(id, it)| (*id, &mut it.facts));
            load::learn_all(session, &mut facts.collect(), wants).await?;
        }
    }

    /// Writes down what was decided: records, keys, memberships, numbers, events. Nothing is kept
    /// before the commit.
    pub(crate) async fn keep(&mut self, session: &mut Session) -> Result<(), Error> {
        if self.changes.is_empty() && self.told.is_empty() {
            return self.keep_other_roles(session).await;
        }
        let now = self.moment.now;
        let changes = std::mem::take(&mut self.changes);
        let circumstances = std::mem::take(&mut self.circumstances);
        self.forget();
        // Before anything is written: what was heard is what is in the rows.
        self.hold_back(session, &changes, &circumstances).await?;
        for (directory_id, change) in &changes {
            let working = self.directories.get_mut(directory_id).expect("it was opened");
            let counts = change.counts();
            working.user_count = working.user_count.saturating_add_signed(counts.users);
            working.active_user_count =
                working.active_user_count.saturating_add_signed(counts.active_users);
            working.group_count = working.group_count.saturating_add_signed(counts.groups);
        }

        for ((directory_id, change), (at, caller)) in changes.iter().zip(&circumstances) {
            match change {
                Change::Directory(change) => rows::keep_directory(session, change).await?,
                Change::Token(change) => match change.after() {
                    Some(token) => rows::keep_token(session, *directory_id, token).await?,
                    None => rows::delete_token(session, *directory_id, change.id()).await?,
                },
                Change::Schema(change) => schemas::keep(session, *directory_id, change).await?,
                Change::Erasure(change) => {
                    erasure::begin(session, *directory_id, change, *at, caller).await?;
                }
                Change::Notice(notice) => guards::keep(session, *directory_id, notice).await?,
                // The rows of a client are there already.
                Change::User(_)
                | Change::Group(_)
                | Change::Client(_)
                | Change::Roles(_)
                | Change::RoleState(_) => {}
            }
        }
        schemas::keep_uses(session, &changes, now).await?;
        self.keep_records(session, &changes, &circumstances).await?;
        keep_memberships(session, &changes).await?;
        roles::keep(session, &changes, now).await?;
        self.keep_other_roles(session).await?;
        let mut changed = self.keep_events(session, &changes, &circumstances).await?;
        let acts = changes.iter().zip(&circumstances);
        let acts = acts.map(|((id, change), (at, caller))| (*id, change, *at, caller));
        audit::keep_changes(session, self.moment, acts).await?;
        changed.extend(changes.iter().map(|(directory_id, _)| *directory_id));
        self.keep_numbers(session, &changed).await
    }

    /// After who gets which role was kept, which would undo it.
    async fn keep_other_roles(&self, session: &mut Session) -> Result<(), Error> {
        if self.has_other_roles { roles::look_at_everybody(session).await } else { Ok(()) }
    }

    /// Weighs what is lost, and notes what an app has heard of those whose changes wait.
    async fn hold_back(
        &mut self,
        session: &mut Session,
        changes: &[(DirectoryId, Change)],
        circumstances: &[(Timestamp, Caller)],
    ) -> Result<(), Error> {
        let moment = self.moment;
        for (directory_id, working) in &mut self.directories {
            let of_people = || {
                let all = changes.iter().zip(circumstances);
                all.filter(|((of, change), _)| of == directory_id && waits(change))
            };
            if working.hold.is_none() && working.brake.on && !working.is_deleted {
                let mut lost = Losses::default();
                for ((_, change), (at, Caller { cause, .. })) in of_people() {
                    if cause.is_of_provider() {
                        lost.take(change, *at, cause);
                    }
                }
                let (directory_id, active) = (*directory_id, working.active_user_count);
                let scale = Scale { directory_id, brake: working.brake, active };
                let mut ordinal = || {
                    working.ordinal += 1;
                    working.ordinal
                };
                let pulled = brake::weigh(session, &scale, lost, moment, &mut ordinal).await?;
                if let Some(Pulled { hold_id, told }) = pulled {
                    working.hold = Some(hold_id);
                    self.told.extend(told);
                }
            }
            let Some(hold_id) = working.hold else { continue };
            let mut noted = Noted::default();
            for ((_, change), (at, Caller { cause, .. })) in of_people() {
                noted.change(change, *at, cause, || {
                    working.ordinal += 1;
                    working.ordinal
                });
            }
            noted.keep(session, *directory_id).await?;
            let is_deleted = changes.iter().any(|(of, change)| {
                let Change::Directory(change) = change else { return false };
                of == directory_id && change.after().deleted_at.is_some()
            });
            if is_deleted {
                holds::end_with_directory(session, hold_id).await?;
            }
        }
        Ok(())
    }

    async fn keep_numbers(
        &self,
        session: &mut Session,
        changed: &BTreeSet<DirectoryId>,
    ) -> Result<(), Error> {
        const KEEP: Many<8> = Many {
            doing: "keeping the numbers of directories",
            sqlite: "update directories
                     set event_number = $2, ordinal = $3, user_count = $4, group_count = $5,
                         active_user_count = $6, event_at = $7, hold_id = $8
                     where directory_id = $1",
            postgres: "update directories d
                       set event_number = it.event_number, ordinal = it.ordinal,
                           user_count = it.user_count, group_count = it.group_count,
                           active_user_count = it.active_user_count, event_at = it.event_at,
                           hold_id = it.hold_id
                       from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[],
                                   $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])
                            as it (directory_id, event_number, ordinal, user_count, group_count,
                                   active_user_count, event_at, hold_id)
                       where d.directory_id = it.directory_id",
        };
        let hold = |id| self.directories[id].hold.map(|hold| hold.to_string());
        let ids: Vec<_> = changed.iter().map(|id| (id, id.to_string(), hold(id))).collect();
        let rows: Vec<_> = ids
            .iter()
            .map(|(id, text, hold)| {
                let working = &self.directories[*id];
                [
                    Value::Text(text),
                    count(working.event_number),
                    count(working.ordinal),
                    count(working.user_count),
                    count(working.group_count),
                    count(working.active_user_count),
                    Value::Time(working.latest),
                    Value::OptionalText(hold.as_deref()),
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
        circumstances: &[(Timestamp, Caller)],
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
                _ => continue,
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
                        former.push((UserRow::new(directory_id, before), circumstances[place].0));
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
                _ => {}
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
    /// these are in the order of commits and have no gaps: what waits has no number before it is let
    /// out. Says in which directories something was told that no change implies.
    async fn keep_events(
        &mut self,
        session: &mut Session,
        changes: &[(DirectoryId, Change)],
        circumstances: &[(Timestamp, Caller)],
    ) -> Result<BTreeSet<DirectoryId>, Error> {
        let waiting = self.directories.iter().filter(|(_, working)| working.hold.is_some());
        let waiting: BTreeSet<_> = waiting.map(|(directory_id, _)| *directory_id).collect();
        let all = changes.iter().zip(circumstances);
        let let_out = all
            .filter(|((of, change), _)| !(waits(change) && waiting.contains(of)))
            .flat_map(|((directory_id, change), (at, caller))| {
                let turned = turned_by(change);
                change.events().map(move |draft| {
                    let cause = caller.cause.text(draft.follows_from);
                    Telling { directory_id: *directory_id, draft, at: *at, cause, turned }
                })
            });
        let told = std::mem::take(&mut self.told);
        let of_told: BTreeSet<_> = told.iter().map(|telling| telling.directory_id).collect();
        let mut drafts = told.into_iter().chain(let_out);
        let mut turns = Vec::new();
        let mut keeping = feed::Keeping::begin(session, self.weight).await?;
        loop {
            let events: Vec<_> = drafts
                .by_ref()
                .take(EVENTS_AT_ONCE)
                .map(|Telling { directory_id, draft, at, cause, turned }| {
                    let working = self.directories.get_mut(&directory_id).expect("it was opened");
                    working.event_number += 1;
                    // What is told first may have been decided last.
                    let at = working.latest.max(at);
                    working.latest = at;
                    if let Some(user_id) = turned
                        && working.awaits_receipts(&self.guards)
                    {
                        let (number, kind) = (working.event_number, draft.kind);
                        turns.push(Turn { directory_id, user_id, number, kind, at });
                    }
                    NewEvent {
                        directory_id,
                        number: working.event_number,
                        id: EventId::new(self.moment.ids),
                        kind: draft.kind.as_str(),
                        occurred_at: at,
                        cause,
                        data: draft.data,
                        about: draft.about,
                    }
                })
                .collect();
            if events.is_empty() {
                drop(drafts);
                keeping.end(session).await?;
                receipts::expect(session, &turns).await?;
                return Ok(of_told);
            }
            keeping.keep(session, &events).await?;
        }
    }
}

/// Memberships, each as the last change left it.
async fn keep_memberships(
    session: &mut Session,
    changes: &[(DirectoryId, Change)],
) -> Result<(), Error> {
    let groups = || {
        changes.iter().filter_map(|(_, change)| match change {
            Change::Group(change) => Some(change),
            _ => None,
        })
    };
    let count = groups().map(|it| it.added().len() + it.removed().len()).sum();
    let mut turns: Vec<(GroupId, ResourceId, Option<&Membership>)> = Vec::with_capacity(count);
    // Groups that everybody has left who was in them before this.
    let mut emptied = Vec::new();
    let mut met = HashSet::new();
    for change in groups() {
        let group = change.id();
        let members = change.before().map_or(0, |before| before.member_count);
        let is_emptied = change.removed().len() as u64 == members && members >= EMPTIED_MIN;
        if met.insert(group) && is_emptied {
            emptied.push((group, change.removed().len()));
        }
        turns.extend(change.removed().iter().map(|member| (group, member.id, None)));
        turns.extend(change.added().iter().map(|member| (group, member.id, Some(member))));
    }
    // In the order of the index; the turns of one membership stay in theirs.
    turns.sort_by_key(|(group, member, _)| (*group, *member));
    rows::keep_memberships(session, &emptied, &turns).await
}

/// Whose access ends by a change, or begins again.
fn turned_by(change: &Change) -> Option<UserId> {
    let Change::User(of) = change else { return None };
    (of.before().is_some() && change.counts().active_users != 0).then(|| of.id())
}

/// Rows that keeping a change will touch, roughly.
fn weight_of(change: &Change) -> usize {
    match change {
        Change::Group(change) => 1 + change.added().len() + change.removed().len(),
        _ => 1,
    }
}

fn asks_forever() -> Error {
    Error::Panicked("a decision asks for more and more facts".to_owned())
}

/// The message of a panic.
pub(crate) fn what_it_said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}
