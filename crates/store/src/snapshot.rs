//! All that is in a directory at one moment, and the place in the feed from which to go on.
//!
//! Everything is read in one transaction that shows one state of the database, so what it is the sum
//! of can be said exactly: the row of the directory holds the number of its latest event, which is
//! written in the transaction that keeps the change. A snapshot with the number N holds the effect of
//! the events up to N, and of no other.
//!
//! The cursor is a place in the feed behind which the events of this directory are those from N + 1 on.
//! On an embedded database positions are taken in the transaction of the change, so the end of the feed
//! in the same state is such a place. On PostgreSQL they are given after the commit, by whoever reads.
//! So the end of the feed is looked at before the state is taken: what is kept after that gets a place
//! behind it. And once more after that, for the event N itself: what was committed in between and is
//! shown has places up to that one, and what is not shown has a number above N, which comes behind it,
//! because within a directory positions are in the order of numbers. The later of the two is the
//! cursor. (The place of N alone would do, too, but that of a quiet directory is soon one of events
//! that were let go.)
//!
//! That is why a snapshot is of one directory and not of several: between two directories, the order
//! of positions is not the order of commits, and there may be no place in the feed with the
//! changes of one state on one side and all later ones on the other.
//!
//! Where changes of the directory wait, the app has not heard of them, and the events up to N lead to what
//! it has heard: what has changed since is left out, and what was heard of it is put in its place.
//!
//! A state that is read holds something up: on an embedded database the log cannot be begun anew, on
//! PostgreSQL old rows cannot be swept away. So it is let go after a time, also where the reader is
//! slow, and there are few at once. Nothing is written meanwhile, and nobody who writes waits. Their
//! connections are their own, so that a slow reader takes none from those that others wait for.

use std::collections::HashSet;
use std::time::Duration;

use directory::{DirectoryId, GroupId, Membership, OrganizationId, Rejection, ResourceId, UserId};
use scim::group::MemberKind;
use tokio::sync::mpsc;

use crate::access::ApiStore;
use crate::error::Error;
use crate::feed::{self, Cursor, EventFilter};
use crate::held;
use crate::list::{self, Stretch};
use crate::read::{GroupRecord, UserRecord};
use crate::readers::Held;
use crate::roles::{self, ExplainedRoles};
use crate::rows;
use crate::session::{Engine, Session, Value, count, finish};

/// For how long one state is read. A million people are 1 GB, which takes about a minute to be read,
/// and a slow line needs more; in ten minutes the log of a busy embedded database grows by a few GB.
const LASTS: Duration = Duration::from_mins(10);

/// For how long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for PostgreSQL, which otherwise ends a transaction in which nothing is asked for ten
/// seconds.
const PATIENCE_POSTGRES: &str = "set local idle_in_transaction_session_timeout = '60s'";

/// Users or groups that are read at once, or fewer where they are long.
const RESOURCES_AT_ONCE: u64 = 500;

/// Memberships that are read at once.
const MEMBERSHIPS_AT_ONCE: usize = 5_000;

/// All that is in a directory, part by part: first users, then groups, then who belongs to them, then
/// the end.
#[derive(Debug)]
pub struct Snapshot {
    /// Whose the directory is.
    pub organization_id: OrganizationId,
    /// The number of the latest event whose effect is in it.
    pub event_number: u64,
    /// How many users there are.
    pub user_count: u64,
    /// How many groups there are.
    pub group_count: u64,
    parts: mpsc::Receiver<Result<SnapshotPart, Error>>,
}

/// A part of a snapshot.
#[derive(Debug)]
pub enum SnapshotPart {
    /// Some users, without their groups, with their roles.
    Users(Vec<SnapshotUser>, ExplainedRoles),
    /// Some groups, without their members.
    Groups(Vec<SnapshotGroup>),
    /// Some memberships. Who belongs and to what have both come before.
    Memberships(Vec<SnapshotMembership>),
    /// There is no more.
    End {
        /// From where the feed of the directory goes on.
        cursor: Cursor,
        /// How many memberships there were.
        membership_count: u64,
    },
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotUser {
    /// The id.
    pub id: UserId,
    /// The attributes, as one JSON object.
    pub text: String,
    /// Whether the person may use the app.
    pub is_active: bool,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotGroup {
    /// The id.
    pub id: GroupId,
    /// The attributes but `members`, as one JSON object.
    pub text: String,
}

/// That somebody belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMembership {
    /// The group.
    pub group_id: GroupId,
    /// Who.
    pub member: Membership,
}

impl Snapshot {
    /// The next part. After the end, and after a failure, there is none. Where there is none and there
    /// was no end, it broke off.
    pub async fn next(&mut self) -> Option<Result<SnapshotPart, Error>> {
        self.parts.recv().await
    }
}

impl ApiStore {
    /// Begins to read all that is in a directory.
    ///
    /// # Errors
    ///
    /// [`Rejection::UnknownDirectory`], and [`Error::Crowded`] where several are being read already.
    pub async fn snapshot(&self, id: DirectoryId) -> Result<Snapshot, Error> {
        self.find(id).await?;
        let inner = self.inner();
        let mut held = inner.readers.hold().await?;
        // Before the state is taken: whatever is kept after that comes behind this.
        let end = if inner.readers.is_embedded() {
            None
        } else {
            Some(inner.readers.read(|session| finish(end_of(session))).await?)
        };
        let begun = held.read(move |session| finish(begin(session, id))).await?;
        let mut state = begun.ok_or(Error::Rejected(Rejection::UnknownDirectory(id)))?;
        if let Some(end) = end {
            let number = state.event_number;
            let read = move |session: &mut Session| finish(place_of(session, id, number));
            let latest = inner.readers.read(read).await?;
            state.place = latest.filter(|latest| latest.0 > end.0).unwrap_or(end);
        }
        let State { organization_id, event_number, user_count, group_count, .. } = state;
        let (position, event_id) = &state.place;
        let scope = EventFilter::from(Some(id)).scope();
        let cursor = inner.sealer.seal(scope, *position, event_id.as_deref());
        let (sender, parts) = mpsc::channel(1);
        tokio::spawn(async move {
            let reading = read_all(&mut held, id, state.is_held, &sender);
            let reading = tokio::time::timeout(LASTS, reading).await;
            // Before anybody is told how it ended: a reader may be slow to hear it.
            held.end().await;
            let last = match reading {
                Ok(Ok(membership_count)) => Ok(SnapshotPart::End { cursor, membership_count }),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::Abandoned),
            };
            // Whoever has gone away is not told.
            let _ = sender.send(last).await;
        });
        Ok(Snapshot { organization_id, event_number, user_count, group_count, parts })
    }
}

/// A place in the feed, and which event is there; none at the beginning.
type Place = (u64, Option<String>);

/// A directory in the state that is read.
struct State {
    organization_id: OrganizationId,
    event_number: u64,
    user_count: u64,
    group_count: u64,
    /// Whether changes of it wait.
    is_held: bool,
    /// From where the feed goes on, where that is known in this state.
    place: Place,
}

/// Begins to read one state.
async fn begin(session: &mut Session, id: DirectoryId) -> Result<Option<State>, Error> {
    session.begin_reading()?;
    if session.engine() == Engine::Postgres {
        session.script("preparing to read a directory", PATIENCE_POSTGRES).await?;
    }
    let directory = id.to_string();
    let found = session
        .first(
            "beginning to read a directory",
            "select organization_id, event_number, user_count, group_count, hold_id
             from directories
             where directory_id = $1 and deleted_at is null",
            &[Value::Text(&directory)],
            |row| {
                Ok(State {
                    organization_id: row.parsed(0)?,
                    event_number: row.number(1)?,
                    user_count: row.number(2)?,
                    group_count: row.number(3)?,
                    is_held: row.optional_text(4)?.is_some(),
                    place: (0, None),
                })
            },
        )
        .await?;
    let Some(mut state) = found else { return Ok(None) };
    if state.is_held {
        count_heard(session, &directory, &mut state).await?;
    }
    if session.engine() == Engine::Sqlite {
        state.place = end_here(session).await?;
    }
    Ok(Some(state))
}

/// How many users and groups there are as far as the app has heard.
async fn count_heard(
    session: &mut Session,
    directory: &str,
    state: &mut State,
) -> Result<(), Error> {
    let sql = "select h.kind, sum(case when h.told is null then 0 else 1 end),
                      sum(case when coalesce(u.user_id, g.group_id) is null then 0 else 1 end)
               from held_resources h
               left join users u on h.kind = 'User' and u.directory_id = h.directory_id
                                and u.user_id = h.resource_id
               left join groups g on h.kind = 'Group' and g.directory_id = h.directory_id
                                 and g.group_id = h.resource_id
               where h.directory_id = $1 group by h.kind";
    let values = [Value::Text(directory)];
    let found = session
        .all("counting what was heard", sql, &values, |row| {
            Ok((rows::kind_from(&row.text(0)?)?, row.number(1)?, row.number(2)?))
        })
        .await?;
    for (kind, heard, there) in found {
        let count = match kind {
            MemberKind::User => &mut state.user_count,
            MemberKind::Group => &mut state.group_count,
        };
        *count = (*count + heard).saturating_sub(there);
    }
    Ok(())
}

/// The end of the feed, in the state that is read.
async fn end_here(session: &mut Session) -> Result<Place, Error> {
    let end = feed::position(session).await?;
    let at = feed::event_at(session, end).await?.map(|event| event.id);
    if at.is_some() {
        return Ok((end, at));
    }
    // It was let go, where there was one.
    let (position, event_id) = feed::forgotten(session).await?;
    Ok((end, event_id.filter(|_| position == end)))
}

/// The end of the feed, once all that was kept has its place, on PostgreSQL.
async fn end_of(session: &mut Session) -> Result<Place, Error> {
    feed::sequence(session).await?;
    session.begin_reading()?;
    let end = end_here(session).await?;
    session.roll_back().await?;
    Ok(end)
}

/// The place of an event of a directory in the feed, on PostgreSQL; `None` where it was let go.
async fn place_of(
    session: &mut Session,
    id: DirectoryId,
    number: u64,
) -> Result<Option<Place>, Error> {
    feed::sequence(session).await?;
    session
        .first(
            "looking where an event stands",
            "select s.first_position + ($2 - s.first_number), e.event_id
             from sequence s join events e on e.directory_id = s.directory_id and e.number = $2
             where s.directory_id = $1 and s.first_number <= $2
                 and s.last_position >= s.first_position + ($2 - s.first_number)
             order by s.last_position desc limit 1",
            &[Value::Text(&id.to_string()), count(number)],
            |row| Ok((row.number(0)?, Some(row.text(1)?))),
        )
        .await
}

/// Hands a part on, as soon as the reader has room for it.
async fn hand_on(
    sender: &mpsc::Sender<Result<SnapshotPart, Error>>,
    part: SnapshotPart,
) -> Result<(), Error> {
    match tokio::time::timeout(PATIENCE, sender.send(Ok(part))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Error::Abandoned),
    }
}

/// Hands on everything but the end; says how many memberships there were.
async fn read_all(
    held: &mut Held,
    id: DirectoryId,
    is_held: bool,
    sender: &mpsc::Sender<Result<SnapshotPart, Error>>,
) -> Result<u64, Error> {
    let directory = id.to_string();
    let mut after = Some(0);
    while let Some(ordinal) = after {
        let directory = directory.clone();
        let read = move |session: &mut Session| {
            finish(async {
                let Stretch { items, next } =
                    list::after::<UserRecord>(session, &directory, ordinal, RESOURCES_AT_ONCE)
                        .await?;
                let ids: Vec<_> = items.iter().map(|user| user.id).collect();
                let other = other_than_heard(session, id, is_held, &ids).await?;
                let users = items.into_iter().filter(|user| !other.contains(&user.id));
                let user =
                    |UserRecord { id, text, is_active, .. }| SnapshotUser { id, text, is_active };
                let roles = if is_held {
                    roles::heard(session, &directory, &ids).await?
                } else {
                    roles::explained(session, &directory, &ids).await?
                };
                Ok((users.map(user).collect(), roles, next))
            })
        };
        let (users, roles, next) = held.read(read).await?;
        after = next;
        hand_on(sender, SnapshotPart::Users(users, roles)).await?;
    }
    let mut heard = Heard::of(MemberKind::User, &directory, is_held);
    while let Some(users) = heard.next(held).await? {
        let directory = directory.clone();
        let ids: Vec<_> = users.iter().map(|user| user.id).collect();
        let read = move |session: &mut Session| finish(roles::heard(session, &directory, &ids));
        let roles = held.read(read).await?;
        hand_on(sender, SnapshotPart::Users(users, roles)).await?;
    }
    let mut after = Some(0);
    while let Some(ordinal) = after {
        let directory = directory.clone();
        let read = move |session: &mut Session| {
            finish(async {
                let found =
                    list::after::<GroupRecord>(session, &directory, ordinal, RESOURCES_AT_ONCE);
                let found = found.await?;
                let ids: Vec<_> = found.items.iter().map(|group| group.id).collect();
                let other = other_than_heard(session, id, is_held, &ids).await?;
                let groups = found.items.into_iter().filter(|group| !other.contains(&group.id));
                let group = |GroupRecord { id, text, .. }| SnapshotGroup { id, text };
                Ok((groups.map(group).collect(), found.next))
            })
        };
        let (groups, next) = held.read(read).await?;
        after = next;
        hand_on(sender, SnapshotPart::Groups(groups)).await?;
    }
    let mut heard = Heard::of(MemberKind::Group, &directory, is_held);
    while let Some(groups) = heard.next(held).await? {
        let group = |SnapshotUser { id, text, .. }| SnapshotGroup { id, text };
        let groups = groups.into_iter().map(group).collect();
        hand_on(sender, SnapshotPart::Groups(groups)).await?;
    }
    let mut walk = Walk { directory, is_held, ..Walk::default() };
    let mut membership_count = 0;
    while !walk.is_over {
        let (next, found) = held.read(move |session| finish(walk.step(session))).await?;
        walk = next;
        membership_count += found.len() as u64;
        hand_on(sender, SnapshotPart::Memberships(found)).await?;
    }
    let mut after = Some(0);
    while let (true, Some(ordinal)) = (is_held, after) {
        let read = move |session: &mut Session| finish(heard_members(session, id, ordinal));
        let (found, next) = held.read(read).await?;
        after = next;
        membership_count += found.len() as u64;
        hand_on(sender, SnapshotPart::Memberships(found)).await?;
    }
    Ok(membership_count)
}

/// Of which of these the app has heard something else than is so.
async fn other_than_heard(
    session: &mut Session,
    id: DirectoryId,
    is_held: bool,
    ids: &[ResourceId],
) -> Result<HashSet<ResourceId>, Error> {
    if !is_held {
        return Ok(HashSet::new());
    }
    Ok(held::told_of(session, id, ids).await?.into_keys().collect())
}

/// Memberships that have ended and of whose end the app has not heard; and the place behind them, where
/// there are more.
async fn heard_members(
    session: &mut Session,
    id: DirectoryId,
    after: u64,
) -> Result<(Vec<SnapshotMembership>, Option<u64>), Error> {
    let mut last = after;
    let found = session
        .all(
            "reading which members were heard of",
            "select group_id, member_id, kind, ordinal from held_memberships
             where directory_id = $1 and ordinal > $2 and was_member = 1 order by ordinal limit $3",
            &[Value::Text(&id.to_string()), count(after), count(MEMBERSHIPS_AT_ONCE as u64)],
            |row| {
                last = row.number(3)?;
                let kind = rows::kind_from(&row.text(2)?)?;
                let member = Membership { id: row.resource_id(1)?, kind, display: None };
                Ok(SnapshotMembership { group_id: row.resource_id(0)?, member })
            },
        )
        .await?;
    let next = (found.len() == MEMBERSHIPS_AT_ONCE).then_some(last);
    Ok((found, next))
}

/// What was heard of those of whom something else is so, page by page.
struct Heard {
    kind: MemberKind,
    directory: String,
    /// Behind whom to go on; nothing at the end.
    after: Option<String>,
}

impl Heard {
    fn of(kind: MemberKind, directory: &str, is_held: bool) -> Heard {
        Heard { kind, directory: directory.to_owned(), after: is_held.then(String::new) }
    }

    /// Groups look like users who are active.
    async fn next(&mut self, held: &mut Held) -> Result<Option<Vec<SnapshotUser>>, Error> {
        let Some(after) = self.after.take() else { return Ok(None) };
        let (kind, directory) = (self.kind, self.directory.clone());
        let read = move |session: &mut Session| {
            finish(session.all(
                "reading what was heard",
                "select resource_id, told, told_active from held_resources
                 where directory_id = $1 and kind = $2 and told is not null and resource_id > $3
                 order by resource_id limit $4",
                &[
                    Value::Text(&directory),
                    Value::Text(kind.as_str()),
                    Value::Text(&after),
                    count(RESOURCES_AT_ONCE),
                ],
                |row| {
                    let is_active = row.integer(2)? != 0;
                    Ok(SnapshotUser { id: row.resource_id(0)?, text: row.text(1)?, is_active })
                },
            ))
        };
        let found = held.read(read).await?;
        let is_full = found.len() as u64 == RESOURCES_AT_ONCE;
        self.after = found.last().filter(|_| is_full).map(|it| it.id.to_string());
        Ok(Some(found))
    }
}

/// A walk through the members of all groups.
#[derive(Default)]
struct Walk {
    directory: String,
    /// The last group that was begun, by its ordinal.
    ordinal: u64,
    /// Where more of its members are to come: its id, and the last that came.
    within: Option<(GroupId, String)>,
    /// Whether changes of the directory wait: then those of memberships are passed over.
    is_held: bool,
    is_over: bool,
}

impl Walk {
    /// Some memberships, and the walk behind them.
    async fn step(
        mut self,
        session: &mut Session,
    ) -> Result<(Walk, Vec<SnapshotMembership>), Error> {
        let mut found: Vec<SnapshotMembership> = Vec::new();
        while found.len() < MEMBERSHIPS_AT_ONCE {
            let (group_id, last) = if let Some(within) = self.within.take() {
                within
            } else if let Some(group_id) = self.next_group(session).await? {
                (group_id, String::new())
            } else {
                self.is_over = true;
                break;
            };
            let room = MEMBERSHIPS_AT_ONCE - found.len();
            let sql = if self.is_held {
                "select member_id, kind, display from memberships m
                 where group_id = $1 and member_id > $2 and not exists
                     (select 1 from held_memberships h
                      where h.group_id = m.group_id and h.member_id = m.member_id)
                 order by member_id limit $3"
            } else {
                "select member_id, kind, display from memberships
                 where group_id = $1 and member_id > $2 order by member_id limit $3"
            };
            let members = session
                .all(
                    "reading the members of a group",
                    sql,
                    &[Value::Text(&group_id.to_string()), Value::Text(&last), count(room as u64)],
                    rows::membership,
                )
                .await?;
            if members.len() == room {
                let last = members.last().map(|member| (group_id, member.id.to_string()));
                self.within = last;
            }
            found.extend(members.into_iter().map(|member| SnapshotMembership { group_id, member }));
        }
        Ok((self, found))
    }

    async fn next_group(&mut self, session: &mut Session) -> Result<Option<GroupId>, Error> {
        let next = session
            .first(
                "looking for the next group",
                "select group_id, ordinal from groups
                 where directory_id = $1 and ordinal > $2 and member_count > 0
                 order by ordinal limit 1",
                &[Value::Text(&self.directory), count(self.ordinal)],
                |row| Ok((row.resource_id(0)?, row.number(1)?)),
            )
            .await?;
        Ok(next.map(|(id, ordinal): (ResourceId, u64)| {
            self.ordinal = ordinal;
            id
        }))
    }
}
