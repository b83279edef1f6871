//! The one ordered feed over all directories, and the cursors that point into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::event::{About, Draft, EventKind};
use directory::secret::{Entropy, hex};
use directory::{Cause, DirectoryId, EventId, OrganizationId};
use hmac::Mac;
use jiff::{SignedDuration, Timestamp};

use crate::Inner;
use crate::error::Error;
use crate::lease;
use crate::seal::Sealer;
use crate::session::{Bulk, Engine, Flow, Many, Row, Session, Value, count, finish};
use crate::webhooks;

/// An event as it is read: numbered, positioned, and with its data as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place in the feed over all directories; 0 of one that was found otherwise, where the place
    /// was not looked up.
    pub position: u64,
    /// Its own id.
    pub event_id: String,
    /// Its `type`.
    pub kind: String,
    /// Whose; of nobody's where the server tells of itself.
    pub organization_id: Option<OrganizationId>,
    /// Where; in none where the server tells of itself.
    pub directory_id: Option<DirectoryId>,
    /// Its place among the events of its directory, or among those of none, from 1 on without gaps.
    pub number: u64,
    /// When.
    pub occurred_at: Timestamp,
    /// What, as JSON.
    pub data: String,
    /// What it was caused by, as JSON; unknown of what was kept before this was.
    pub cause: Option<String>,
}

/// An event that is about to be kept.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) directory_id: DirectoryId,
    pub(crate) number: u64,
    pub(crate) id: EventId,
    pub(crate) kind: &'static str,
    pub(crate) occurred_at: Timestamp,
    pub(crate) data: String,
    pub(crate) cause: String,
    /// Whom it is about.
    pub(crate) about: About,
}

/// Which events are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those of directories of this one. What the server tells of itself is of none.
    pub organization_id: Option<OrganizationId>,
    /// Only those of this one.
    pub directory_id: Option<DirectoryId>,
    /// Only those of these types; of all, where none is named.
    pub kinds: Vec<EventKind>,
}

impl From<Option<DirectoryId>> for EventFilter {
    fn from(directory_id: Option<DirectoryId>) -> EventFilter {
        EventFilter { directory_id, ..EventFilter::default() }
    }
}

impl EventFilter {
    /// Whether an event is meant.
    pub fn matches(&self, event: &EventRecord) -> bool {
        self.organization_id.is_none_or(|id| event.organization_id == Some(id))
            && self.directory_id.is_none_or(|id| event.directory_id == Some(id))
            && self.is_of_kind(&event.kind)
    }

    fn is_of_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|it| it.as_str() == kind)
    }

    pub(crate) fn scope(&self) -> Scope {
        match (self.directory_id, self.organization_id) {
            (Some(id), _) => Scope::Directory(id),
            (None, Some(id)) => Scope::Organization(id),
            (None, None) => Scope::All,
        }
    }
}

/// Events that are looked at for one page, where not each of them is meant: some milliseconds.
const LOOKED_THROUGH: u64 = 10_000;

/// Bytes of a page, unless its first event has more. A reader holds all of it, and so does the server.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Some events, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventRecord>,
    /// From where to go on, whether or not there is more already.
    pub next: Cursor,
    /// Whether there was more when this was read, or more to be looked through: a page may have no
    /// events and still lead on.
    pub has_more: bool,
    /// The position up to which everything that is meant is here or was read before.
    pub read_to: u64,
}

/// A place in the feed, sealed: its text can be made by nobody but this database, and is good in
/// this life of it only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The end of the feed, wherever that is when it is read: what follows is what happens then.
    pub const END: &str = "end";

    /// Of what happens from now on.
    pub(crate) fn end() -> Cursor {
        Cursor(Cursor::END.to_owned())
    }

    /// As somebody presents it. Whether it is one is found out when it is used.
    pub fn presented(text: impl Into<String>) -> Cursor {
        Cursor(text.into())
    }

    /// As it is handed out.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose events a cursor leads through. With a cursor of one directory, a reader of all would miss
/// what happened in the others. Types are no part of it: whoever asks for others from some place on
/// has chosen the place.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    All,
    Organization(OrganizationId),
    Directory(DirectoryId),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::All => f.write_str("all"),
            Scope::Organization(id) => id.fmt(f),
            Scope::Directory(id) => id.fmt(f),
        }
    }
}

/// Why a cursor leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCursor {
    /// This database did not make it, or made it for another directory or organization, or for all.
    Malformed,
    /// It was made before the database was restored or replaced: the events after it may not be
    /// those that its reader expects.
    AnotherEpoch,
    /// Events that came after it were let go, because they were older than events are kept.
    Forgotten,
}

/// The feed over all directories, to be read: whoever holds this and nothing else can change
/// nothing, and see nothing but events.
#[derive(Clone, Debug)]
pub struct FeedStore(Arc<Inner>);

impl FeedStore {
    pub(crate) fn new(inner: Arc<Inner>) -> FeedStore {
        FeedStore(inner)
    }

    /// Events after a cursor, or from the beginning; those that are meant.
    pub async fn events(
        &self,
        after: Option<Cursor>,
        filter: impl Into<EventFilter>,
        count_max: u64,
    ) -> Result<Result<EventPage, BadCursor>, Error> {
        let (sealer, filter) = (self.0.sealer.clone(), filter.into());
        let read_events = move |session: &mut Session| {
            finish(read(session, &sealer, after.as_ref(), &filter, count_max))
        };
        self.0.readers.read(read_events).await
    }

    /// The position of the latest event.
    pub async fn end(&self) -> Result<u64, Error> {
        let read = |session: &mut Session| {
            finish(async {
                if session.engine() == Engine::Postgres {
                    sequence(session).await?;
                }
                position(session).await
            })
        };
        self.0.readers.read(read).await
    }

    /// Events behind a position, of one directory or of all; none behind `upto`.
    pub async fn part(
        &self,
        after: u64,
        upto: Option<u64>,
        directory: Option<DirectoryId>,
        count_max: u64,
    ) -> Result<FeedPart, Error> {
        let read =
            move |session: &mut Session| finish(part(session, after, upto, directory, count_max));
        self.0.readers.read(read).await
    }

    /// The cursor behind an event, for whoever reads with this filter.
    pub fn cursor(&self, filter: &EventFilter, event: &EventRecord) -> Cursor {
        self.0.sealer.seal(filter.scope(), event.position, Some(&event.event_id))
    }
}

impl Sealer {
    /// `epoch.` and what nobody can read or make: the position, and a mark of the event that is there.
    ///
    /// The epoch is in the file, and so comes back with a backup of it. What tells a restored
    /// database from the one that handed the cursor out is the event at its position.
    pub(crate) fn seal(&self, scope: Scope, position: u64, event_id: Option<&str>) -> Cursor {
        let mut bytes = position.to_be_bytes().to_vec();
        bytes.extend(self.mark(event_id));
        let sealed = self.hide(CURSOR, scope.to_string().as_bytes(), bytes);
        Cursor(format!("{}.{sealed}", self.epoch()))
    }

    /// Its position, and the mark of the event that was there.
    fn open(&self, cursor: &Cursor, scope: Scope) -> Result<(u64, Mark), BadCursor> {
        let (epoch, sealed) = cursor.0.split_once('.').ok_or(BadCursor::Malformed)?;
        let is_epoch = |it: &str| {
            it.len() == EPOCH_DIGITS && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_epoch(epoch) {
            return Err(BadCursor::Malformed);
        }
        if epoch != self.epoch() {
            return Err(BadCursor::AnotherEpoch);
        }
        let bytes = self.show(CURSOR, scope.to_string().as_bytes(), sealed);
        let bytes = bytes.ok_or(BadCursor::Malformed)?;
        let (position, mark) = bytes.split_first_chunk().ok_or(BadCursor::Malformed)?;
        let mark = mark.try_into().map_err(|_| BadCursor::Malformed)?;
        Ok((u64::from_be_bytes(*position), mark))
    }

    /// What a cursor keeps of the event at its position. There is none at position 0.
    fn mark(&self, event_id: Option<&str>) -> Mark {
        let mut mac = self.keyed("mark of an event");
        mac.update(event_id.unwrap_or_default().as_bytes());
        *mac.finalize().into_bytes().first_chunk().expect("it has 32 bytes")
    }
}

/// Digits of the name of a database's life.
const EPOCH_DIGITS: usize = 12;

/// What is sealed here.
const CURSOR: &str = "cursor of the feed";

/// What stands for an event in a cursor.
type Mark = [u8; 8];

/// Begins the life of a database, once, and reads what seals its cursors.
pub(crate) async fn open(session: &mut Session, entropy: Entropy) -> Result<Sealer, Error> {
    let entropy = hex(&entropy);
    let (epoch, secret) = entropy.split_at(EPOCH_DIGITS);
    session
        .run(
            "beginning the feed",
            "insert into feed (one, epoch, secret, position) values (1, $1, $2, 0)
             on conflict (one) do nothing",
            &[Value::Text(epoch), Value::Text(secret)],
        )
        .await?;
    session
        .first("opening the feed", "select epoch, secret from feed", &[], |row| {
            Ok(Sealer::new(row.text(0)?, row.text(1)?))
        })
        .await?
        .ok_or_else(|| Error::Corrupt("the feed has no beginning".to_owned()))
}

/// The position of the latest event.
pub(crate) async fn position(session: &mut Session) -> Result<u64, Error> {
    session
        .first("reading the end of the feed", "select position from feed", &[], |row| row.number(0))
        .await?
        .ok_or_else(|| Error::Corrupt("the feed has no beginning".to_owned()))
}

/// Keeps events that have their numbers, in the order in which they are to be read.
///
/// An embedded database has one writer at a time, so their positions are taken here, in the order
/// of commits. On PostgreSQL several nodes write at once, and [`sequence`] gives the positions
/// later.
pub(crate) enum Keeping {
    Here {
        position: u64,
    },
    Unsequenced {
        bulk: Bulk<9>,
        /// The first and the last number of each directory.
        ranges: BTreeMap<DirectoryId, (u64, u64)>,
    },
}

impl Keeping {
    /// Begins to keep about so many.
    pub(crate) async fn begin(session: &mut Session, count: usize) -> Result<Keeping, Error> {
        const UNSEQUENCED: &Many<9> = &Many {
            doing: "keeping events",
            sqlite: "",
            postgres: "insert into events
                       (directory_id, event_id, type, data, number, occurred_at, cause,
                        resource_id, other_id)
                       select * from unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                            $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                                            $9::text[])",
        };
        const COPY: &str = "copy events
            (directory_id, event_id, type, data, number, occurred_at, cause, resource_id, other_id)
            from stdin";
        Ok(match session.engine() {
            Engine::Sqlite => Keeping::Here { position: position(session).await? },
            Engine::Postgres => {
                let bulk = session.bulk(UNSEQUENCED, COPY, count);
                Keeping::Unsequenced { bulk, ranges: BTreeMap::new() }
            }
        })
    }

    pub(crate) async fn keep(
        &mut self,
        session: &mut Session,
        events: &[NewEvent],
    ) -> Result<(), Error> {
        const HERE: Many<10> = Many {
            doing: "keeping events",
            sqlite: "insert into events
                     (directory_id, event_id, type, data, number, occurred_at, cause, resource_id,
                      other_id, position)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            postgres: "",
        };
        let ids: Vec<_> = events
            .iter()
            .map(|event| {
                let About { resource, other } = event.about;
                let resource = resource.map(|id| id.to_string()).unwrap_or_default();
                let other = other.map(|id| id.to_string());
                (event.directory_id.to_string(), event.id.to_string(), resource, other)
            })
            .collect();
        let rows = events.iter().zip(&ids).map(|(event, (directory_id, id, resource, other))| {
            [
                Value::Text(directory_id),
                Value::Text(id),
                Value::Text(event.kind),
                Value::Text(&event.data),
                count(event.number),
                Value::Time(event.occurred_at),
                Value::Text(&event.cause),
                Value::Text(resource),
                Value::OptionalText(other.as_deref()),
            ]
        });
        match self {
            Keeping::Here { position } => {
                let rows: Vec<_> = rows
                    .map(|[directory_id, id, kind, data, number, at, cause, resource, other]| {
                        *position += 1;
                        let position = count(*position);
                        [directory_id, id, kind, data, number, at, cause, resource, other, position]
                    })
                    .collect();
                session.run_each(&HERE, &rows).await
            }
            Keeping::Unsequenced { bulk, ranges } => {
                for event in events {
                    let range = ranges.entry(event.directory_id);
                    range.or_insert((event.number, event.number)).1 = event.number;
                }
                bulk.keep(session, &rows.collect::<Vec<_>>()).await
            }
        }
    }

    /// Tells where the feed ends now, or that there is something to be read.
    pub(crate) async fn end(self, session: &mut Session) -> Result<(), Error> {
        match self {
            Keeping::Here { position } => {
                session
                    .run(
                        "moving the end of the feed",
                        "update feed set position = $1",
                        &[count(position)],
                    )
                    .await?;
            }
            Keeping::Unsequenced { bulk, ranges } => {
                bulk.end().await?;
                let directories: Vec<_> = ranges.keys().map(ToString::to_string).collect();
                let firsts: Vec<_> =
                    ranges.values().map(|(first, _)| first.cast_signed()).collect();
                let lasts: Vec<_> = ranges.values().map(|(_, last)| last.cast_signed()).collect();
                session
                    .run(
                        "announcing events",
                        "insert into unsequenced (directory_id, first_number, last_number)
                         select * from unnest($1::text[], $2::bigint[], $3::bigint[])",
                        &[
                            Value::Texts(&directories),
                            Value::Integers(&firsts),
                            Value::Integers(&lasts),
                        ],
                    )
                    .await?;
            }
        }
        Ok(())
    }
}

/// Rows that are given their positions in one transaction: others wait meanwhile.
const SEQUENCED_AT_ONCE: i64 = 10_000;

/// Gives the events that were kept lately their positions in the feed, where they have none yet.
///
/// Whoever reads the feed does this first, so that what was kept before somebody asked is there.
/// The lock of the feed's row lets one do it at a time, on whatever node, and goes with the
/// transaction: nobody can act on a lock that was lost. Within a directory the rows come in the
/// order of its numbers: the next was written only after the one before was kept.
pub(crate) async fn sequence(session: &mut Session) -> Result<(), Error> {
    loop {
        let waiting = session
            .first("looking for new events", "select 1 from unsequenced limit 1", &[], |_| Ok(()))
            .await?;
        if waiting.is_none() {
            return Ok(());
        }
        session.begin()?;
        let done = sequence_some(session, SEQUENCED_AT_ONCE).await;
        match done {
            Ok(some) => {
                session.commit().await?;
                // What was kept before anybody asked is there now; what comes meanwhile is not waited
                // for, or a busy database would never let a reader go.
                if some < SEQUENCED_AT_ONCE {
                    return Ok(());
                }
            }
            Err(error) => {
                session.roll_back().await?;
                return Err(error);
            }
        }
    }
}

/// The same within a transaction that goes on.
pub(crate) async fn sequence_within(session: &mut Session) -> Result<(), Error> {
    while sequence_some(session, SEQUENCED_AT_ONCE).await? == SEQUENCED_AT_ONCE {}
    Ok(())
}

/// Locks the one row of the feed, on PostgreSQL, until the transaction ends; says where its end is.
pub(crate) async fn lock(session: &mut Session) -> Result<u64, Error> {
    let end = session
        .first("locking the end of the feed", "select position from feed for update", &[], |row| {
            row.number(0)
        })
        .await?;
    end.ok_or_else(|| Error::Corrupt("the feed has no beginning".to_owned()))
}

async fn sequence_some(session: &mut Session, at_once: i64) -> Result<i64, Error> {
    let mut end = lock(session).await?;
    let mut taken = session
        .all(
            "taking new events",
            "delete from unsequenced
             where id in (select id from unsequenced order by id limit $1)
             returning id, directory_id, first_number, last_number",
            &[Value::Integer(at_once)],
            |row| Ok((row.integer(0)?, row.text(1)?, row.number(2)?, row.number(3)?)),
        )
        .await?;
    let count_taken = i64::try_from(taken.len()).unwrap_or(i64::MAX);
    taken.sort_unstable();
    let mut directories = Vec::with_capacity(taken.len());
    let mut numbers: [Vec<i64>; 3] = Default::default();
    for (_, directory, first_number, last_number) in taken {
        let first_position = end + 1;
        end += last_number - first_number + 1;
        directories.push(directory);
        for (column, number) in numbers.iter_mut().zip([end, first_position, first_number]) {
            column.push(number.cast_signed());
        }
    }
    session
        .run(
            "giving events their positions",
            "insert into sequence (last_position, first_position, first_number, directory_id)
             select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[])",
            &[
                Value::Integers(&numbers[0]),
                Value::Integers(&numbers[1]),
                Value::Integers(&numbers[2]),
                Value::Texts(&directories),
            ],
        )
        .await?;
    session
        .run("moving the end of the feed", "update feed set position = $1", &[count(end)])
        .await?;
    Ok(count_taken)
}

/// Events after a cursor, or from the beginning; those that are meant.
pub(crate) async fn read(
    session: &mut Session,
    sealer: &Sealer,
    after: Option<&Cursor>,
    filter: &EventFilter,
    count_max: u64,
) -> Result<Result<EventPage, BadCursor>, Error> {
    if session.engine() == Engine::Postgres {
        sequence(session).await?;
    }
    session.begin_reading()?;
    let page = read_in_one_state(session, sealer, after, filter, count_max).await;
    session.roll_back().await?;
    page
}

async fn read_in_one_state(
    session: &mut Session,
    sealer: &Sealer,
    after: Option<&Cursor>,
    filter: &EventFilter,
    count_max: u64,
) -> Result<Result<EventPage, BadCursor>, Error> {
    let end = position(session).await?;
    let (begin, _) = forgotten(session).await?;
    let scope = filter.scope();
    let after = match after {
        None => begin,
        Some(cursor) if cursor.as_str() == Cursor::END => end,
        Some(cursor) => match sealer.open(cursor, scope) {
            Ok((after, _)) if after < begin => return Ok(Err(BadCursor::Forgotten)),
            Ok((after, mark)) => {
                let event_id = event_at(session, after).await?.map(|event| event.id);
                // Another event stands there, or none yet: the database has been set back without a
                // new epoch.
                if sealer.mark(event_id.as_deref()) != mark {
                    return Ok(Err(BadCursor::AnotherEpoch));
                }
                after
            }
            Err(bad) => return Ok(Err(bad)),
        },
    };
    let lanes = match scope {
        Scope::All => None,
        Scope::Directory(id) => Some(vec![id.to_string()]),
        Scope::Organization(id) => Some(directories_of(session, id).await?),
    };
    let selection = Selection { after, upto: end, lanes: lanes.as_deref(), filter, count_max };
    let Found { events, read_to } = selection.read(session).await?;
    if filter.kinds.is_empty() {
        match scope {
            Scope::All => check_positions(&events, after, read_to)?,
            Scope::Organization(_) | Scope::Directory(_) => check_numbers(&events)?,
        }
    }
    // Where nothing more that is meant is to come, the reader need not look again at what is not.
    let event_id = event_at(session, read_to).await?.map(|event| event.id);
    let next = sealer.seal(scope, read_to, event_id.as_deref());
    Ok(Ok(EventPage { events, next, has_more: read_to < end, read_to }))
}

/// All directories that an organization ever had: what happened in one that was deleted is told too,
/// or nobody would hear that it was.
pub(crate) async fn directories_of(
    session: &mut Session,
    id: OrganizationId,
) -> Result<Vec<String>, Error> {
    session
        .all(
            "looking for the directories of an organization",
            "select directory_id from directories where organization_id = $1 order by directory_id",
            &[Value::Text(&id.to_string())],
            |row| row.text(0),
        )
        .await
}

/// Which part of the feed is read.
struct Selection<'a> {
    after: u64,
    upto: u64,
    /// The directories, in the order of their ids, whose events are meant; all events where there is
    /// nothing.
    lanes: Option<&'a [String]>,
    filter: &'a EventFilter,
    count_max: u64,
}

/// What was found.
struct Found {
    events: Vec<EventRecord>,
    /// The position up to which there is nothing else that is meant.
    read_to: u64,
}

impl Selection<'_> {
    /// Reads some of it. What that costs does not depend on how much there is that is not meant: no
    /// more than so many events are looked at, and where that was not enough, the page ends early.
    async fn read(&self, session: &mut Session) -> Result<Found, Error> {
        if self.after >= self.upto {
            return Ok(Found { events: Vec::new(), read_to: self.upto.max(self.after) });
        }
        match session.engine() {
            Engine::Sqlite => self.read_here(session).await,
            Engine::Postgres => self.read_sequenced(session).await,
        }
    }

    /// How many events, or runs of them, are looked at in each directory.
    fn share(&self) -> u64 {
        let wanted = self.count_max.saturating_add(1);
        let lanes = self.lanes.map_or(1, <[_]>::len).max(1) as u64;
        let share = (LOOKED_THROUGH / lanes).max(1);
        match (self.filter.kinds.is_empty(), lanes) {
            // Each of them is meant.
            (true, 1) => wanted,
            (true, _) => share.min(wanted),
            (false, _) => share,
        }
    }

    /// The same, of an embedded database: first where they stand, then what they are.
    async fn read_here(&self, session: &mut Session) -> Result<Found, Error> {
        const DOING: &str = "looking for events";
        let Selection { after, upto, .. } = *self;
        let all_kinds = self.filter.kinds.is_empty();
        // Up to here every directory was looked at.
        let mut horizon = upto;
        let mut places = Vec::new();
        let share = self.share();
        let sql = match (self.lanes, all_kinds) {
            // There are no gaps.
            (None, true) => {
                horizon = upto.min(after.saturating_add(share));
                places.extend(after + 1..=horizon);
                ""
            }
            (None, false) => {
                "select position, type, position from events
                 where position > $1 and position <= $2 order by position limit $3"
            }
            (Some(_), true) => {
                "select position, '', number from events
                 where directory_id = $4 and position > $1 and position <= $2
                 order by position limit $3"
            }
            (Some(_), false) => {
                "select position, type, number from events
                 where directory_id = $4 and position > $1 and position <= $2
                 order by position limit $3"
            }
        };
        let everywhere = [String::new()];
        let lanes: &[String] = if sql.is_empty() { &[] } else { self.lanes.unwrap_or(&everywhere) };
        for lane in lanes {
            let mut values = vec![count(after), count(upto), count(share)];
            values.extend(self.lanes.map(|_| Value::Text(lane)));
            let (mut looked_at, mut last) = (0, after);
            let mut unbroken = Unbroken::default();
            let directory = self.lanes.map(|_| lane.as_str());
            session
                .each(DOING, sql, &values, |row| {
                    looked_at += 1;
                    last = row.number(0)?;
                    let number = row.number(2)?;
                    let before =
                        if directory.is_some() && looked_at == 1 { number - 1 } else { after };
                    unbroken.next(directory, before, number, number)?;
                    if all_kinds || self.filter.is_of_kind(&row.text(1)?) {
                        places.push(last);
                    }
                    Ok(Flow::Continue(()))
                })
                .await?;
            if looked_at == share {
                horizon = horizon.min(last);
            } else if directory.is_none() {
                unbroken.upto(after, upto)?;
            }
        }
        places.retain(|place| *place <= horizon);
        places.sort_unstable();
        let mut taking = Taking::new(self.count_max);
        for place in places {
            let sql = "select e.position, e.event_id, e.type, d.organization_id, e.directory_id,
                              e.number, e.occurred_at, e.cause, e.data
                       from events e left join directories d on d.directory_id = e.directory_id
                       where e.position = $1";
            let found = session.first("reading events", sql, &[count(place)], event).await?;
            let Some(event) = found else { continue };
            if taking.take(event).is_break() {
                break;
            }
        }
        Ok(taking.end(after, horizon))
    }

    /// The same, on PostgreSQL: first which runs of events stand there, then what they are.
    async fn read_sequenced(&self, session: &mut Session) -> Result<Found, Error> {
        const DOING: &str = "reading the order of events";
        let Selection { after, upto, .. } = *self;
        let (sql, last_value) = match self.lanes {
            None => (
                "select first_position, last_position, first_number, directory_id from sequence
                 where last_position > $1 and first_position <= $2
                 order by last_position limit $3",
                None,
            ),
            Some(lanes) => (
                "select s.first_position, s.last_position, s.first_number, d.directory_id
                 from unnest($4::text[]) as d (directory_id)
                 cross join lateral (
                     select first_position, last_position, first_number from sequence
                     where directory_id = d.directory_id
                         and last_position > $1 and first_position <= $2
                     order by last_position limit $3
                 ) s
                 order by s.last_position",
                Some(Value::Texts(lanes)),
            ),
        };
        let share = self.share();
        let mut values = vec![count(after), count(upto), count(share)];
        values.extend(last_value);
        let runs = session
            .all(DOING, sql, &values, |row| {
                Ok(Run {
                    first: row.number(0)?,
                    last: row.number(1)?,
                    number: row.number(2)?,
                    directory: row.text(3)?,
                })
            })
            .await?;
        // Up to here every directory was looked at.
        let mut horizon = upto;
        let mut runs_of: BTreeMap<&str, u64> = BTreeMap::new();
        for run in &runs {
            let lane = if self.lanes.is_none() { "" } else { run.directory.as_str() };
            let runs_of = runs_of.entry(lane).or_default();
            *runs_of += 1;
            if *runs_of == share {
                horizon = horizon.min(run.last);
            }
        }
        let most = if self.filter.kinds.is_empty() {
            self.count_max.saturating_add(1)
        } else {
            LOOKED_THROUGH
        };
        let mut ranges = Ranges::default();
        let mut wanted = most;
        let is_all = (runs.len() as u64) < share;
        let mut unbroken = Unbroken::default();
        for run in runs {
            // Some of the first one may have been read before.
            let begin = run.first.max(after + 1);
            if begin > horizon {
                break;
            }
            if self.lanes.is_none() {
                unbroken.next(None, after, begin, run.last)?;
            } else {
                let last = run.number + (run.last - run.first);
                unbroken.next(Some(&run.directory), run.number - 1, run.number, last)?;
            }
            let end = run.last.min(horizon).min(begin.saturating_add(wanted - 1));
            wanted -= end - begin + 1;
            let number_of = |position: u64| (run.number + (position - run.first)).cast_signed();
            let shift = run.first.cast_signed() - run.number.cast_signed();
            ranges.push(run.directory, number_of(begin), number_of(end), shift);
            if wanted == 0 {
                horizon = end;
                break;
            }
        }
        if self.lanes.is_none() && is_all && wanted > 0 {
            unbroken.upto(after, upto)?;
        }
        if !self.filter.kinds.is_empty() {
            ranges = self.of_kinds(session, ranges).await?;
        }
        let mut taking = Taking::new(self.count_max);
        // `offset 0` has each range looked for by itself: PostgreSQL does not know how long they are, and
        // goes through all events there are where it takes them for long.
        session
            .each(
                "reading events",
                "select e.number + s.shift, e.event_id, e.type, d.organization_id, e.directory_id,
                        e.number, e.occurred_at, e.cause, e.data
                 from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                      as s (directory_id, first_number, last_number, shift)
                 cross join lateral (select * from events it
                                     where it.directory_id = s.directory_id
                                       and it.number between s.first_number and s.last_number
                                     offset 0) e
                 left join directories d on d.directory_id = e.directory_id
                 order by 1",
                &ranges.values(),
                |row| Ok(taking.take(event(row)?)),
            )
            .await?;
        Ok(taking.end(after, horizon))
    }

    /// Which of these are of the types that are meant: as many as fill a page, and one more. Of all
    /// others it is only looked whether they are there, for nobody goes on over a hole.
    async fn of_kinds(&self, session: &mut Session, ranges: Ranges) -> Result<Ranges, Error> {
        let mut expected = ranges.positions();
        let mut meant = Ranges::default();
        session
            .each(
                "looking for events of some types",
                "select e.number + s.shift, e.type, e.directory_id, e.number, s.shift
                 from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                      as s (directory_id, first_number, last_number, shift)
                 cross join lateral (select * from events it
                                     where it.directory_id = s.directory_id
                                       and it.number between s.first_number and s.last_number
                                     offset 0) e
                 order by 1",
                &ranges.values(),
                |row| {
                    let position = row.integer(0)?;
                    let due = expected.next();
                    if due != Some(position) {
                        return Err(hole("the feed", due.unwrap_or(position).cast_unsigned()));
                    }
                    let is_room = meant.directories.len() as u64 <= self.count_max;
                    if is_room && self.filter.is_of_kind(&row.text(1)?) {
                        let number = row.integer(3)?;
                        meant.push(row.text(2)?, number, number, row.integer(4)?);
                    }
                    Ok(Flow::Continue(()))
                },
            )
            .await?;
        match expected.next() {
            Some(missing) => Err(hole("the feed", missing.cast_unsigned())),
            None => Ok(meant),
        }
    }
}

/// Events of directories by their numbers, in the order of their positions.
#[derive(Default)]
struct Ranges {
    directories: Vec<String>,
    /// First and last number, and what makes a position of a number.
    numbers: [Vec<i64>; 3],
}

impl Ranges {
    fn push(&mut self, directory: String, first: i64, last: i64, shift: i64) {
        self.directories.push(directory);
        for (column, number) in self.numbers.iter_mut().zip([first, last, shift]) {
            column.push(number);
        }
    }

    fn values(&self) -> [Value<'_>; 4] {
        let [first, last, shift] = self.numbers.each_ref().map(|it| Value::Integers(it));
        [Value::Texts(&self.directories), first, last, shift]
    }

    fn positions(&self) -> impl Iterator<Item = i64> + use<'_> {
        let [first, last, shift] = &self.numbers;
        let ranges = first.iter().zip(last).zip(shift);
        ranges.flat_map(|((first, last), shift)| first + shift..=last + shift)
    }
}

/// Up to where everything is there that was looked at: in the feed, or in directories by their
/// numbers.
#[derive(Default)]
struct Unbroken {
    feed: Option<u64>,
    directories: BTreeMap<String, u64>,
}

impl Unbroken {
    /// From one place to another everything is there. `before` is what came before the first time.
    fn next(
        &mut self,
        directory: Option<&str>,
        before: u64,
        first: u64,
        last: u64,
    ) -> Result<(), Error> {
        let before = match directory {
            None => self.feed.replace(last).unwrap_or(before),
            Some(id) => self.directories.insert(id.to_owned(), last).unwrap_or(before),
        };
        if first == before + 1 {
            return Ok(());
        }
        let whose = directory.map(|id| format!("the directory `{id}`"));
        Err(hole(whose.as_deref().unwrap_or("the feed"), before + 1))
    }

    /// The feed is there up to a place.
    fn upto(&self, after: u64, upto: u64) -> Result<(), Error> {
        match self.feed.unwrap_or(after) {
            last if last < upto => Err(hole("the feed", last + 1)),
            _ => Ok(()),
        }
    }
}

/// Events that follow upon each other in one directory and in the feed.
struct Run {
    first: u64,
    last: u64,
    number: u64,
    directory: String,
}

/// Takes events, in order, until there are as many as are wanted, or they are long in bytes.
struct Taking {
    events: Vec<EventRecord>,
    count_max: u64,
    bytes: usize,
    is_cut: bool,
}

impl Taking {
    fn new(count_max: u64) -> Taking {
        Taking { events: Vec::new(), count_max, bytes: 0, is_cut: false }
    }

    fn take(&mut self, event: EventRecord) -> Flow {
        self.bytes = self.bytes.saturating_add(event.data.len());
        let is_full = self.events.len() as u64 >= self.count_max
            || self.bytes > PAGE_BYTES_MAX && !self.events.is_empty();
        if is_full {
            self.is_cut = true;
            return Flow::Break(());
        }
        self.events.push(event);
        Flow::Continue(())
    }

    fn end(self, after: u64, horizon: u64) -> Found {
        let last = self.events.last().map_or(after, |event| event.position);
        let read_to = if self.is_cut { last } else { horizon };
        Found { events: self.events, read_to }
    }
}

/// Nobody goes on over a hole in the feed: what is missing there would never be told.
fn check_positions(events: &[EventRecord], after: u64, read_to: u64) -> Result<(), Error> {
    let mut last = after;
    for event in events {
        if event.position != last + 1 {
            return Err(hole("the feed", last + 1));
        }
        last = event.position;
    }
    if last == read_to { Ok(()) } else { Err(hole("the feed", last + 1)) }
}

/// The same within directories, whose events have positions with others between them.
fn check_numbers(events: &[EventRecord]) -> Result<(), Error> {
    let mut last: BTreeMap<Option<DirectoryId>, u64> = BTreeMap::new();
    for event in events {
        let before = last.insert(event.directory_id, event.number);
        if let Some(before) = before
            && event.number != before + 1
        {
            let whose = event.directory_id.map(|id| format!("the directory `{id}`"));
            return Err(hole(whose.as_deref().unwrap_or("the server's own"), before + 1));
        }
    }
    Ok(())
}

fn hole(whose: &str, missing: u64) -> Error {
    Error::Corrupt(format!(
        "event {missing} of {whose} is not there, and nothing behind it is told"
    ))
}

/// An event, from the nine columns that are read everywhere.
pub(crate) fn event(row: &Row<'_>) -> Result<EventRecord, Error> {
    Ok(EventRecord {
        position: row.number(0)?,
        event_id: row.text(1)?,
        kind: row.text(2)?,
        organization_id: optional_id(row.optional_text(3)?)?,
        directory_id: optional_id(Some(row.text(4)?).filter(|it| it != OF_NO_DIRECTORY))?,
        number: row.number(5)?,
        occurred_at: row.time(6)?,
        cause: row.optional_text(7)?,
        data: row.text(8)?,
    })
}

/// An id that only we wrote, where there is one.
pub(crate) fn optional_id<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, Error> {
    let read =
        |text: String| text.parse().map_err(|_| Error::Corrupt(format!("`{text}` is not an id")));
    text.map(read).transpose()
}

/// Where an event says its directory, and is of none.
const OF_NO_DIRECTORY: &str = "";

/// Keeps an event of the server itself. These have numbers of their own, as if they were of a
/// directory; whoever takes one holds the row of the feed until the transaction ends.
pub(crate) async fn keep_of_server(
    session: &mut Session,
    id: EventId,
    draft: &Draft,
    at: Timestamp,
    cause: Cause,
) -> Result<(), Error> {
    const DOING: &str = "keeping an event of the server";
    let number = session
        .first(
            "numbering an event of the server",
            "update feed set own_number = own_number + 1 returning own_number",
            &[],
            |row| row.number(0),
        )
        .await?
        .ok_or_else(|| Error::Corrupt("the feed has no beginning".to_owned()))?;
    let (id, cause) = (id.to_string(), cause.text(draft.follows_from));
    let mut values = vec![
        Value::Text(OF_NO_DIRECTORY),
        Value::Text(&id),
        Value::Text(draft.kind.as_str()),
        Value::Text(&draft.data),
        count(number),
        Value::Time(at),
        Value::Text(&cause),
    ];
    match session.engine() {
        Engine::Sqlite => {
            let sql = "update feed set position = position + 1 returning position";
            let position = session.first(DOING, sql, &[], |row| row.number(0)).await?;
            values.push(count(position.unwrap_or_default()));
            let sql = "insert into events
                       (directory_id, event_id, type, data, number, occurred_at, cause, position,
                        resource_id)
                       values ($1, $2, $3, $4, $5, $6, $7, $8, '')";
            session.run(DOING, sql, &values).await?;
        }
        Engine::Postgres => {
            let sql = "insert into events
                       (directory_id, event_id, type, data, number, occurred_at, cause, resource_id)
                       values ($1, $2, $3, $4, $5, $6, $7, '')";
            session.run(DOING, sql, &values).await?;
            let sql = "insert into unsequenced (directory_id, first_number, last_number)
                       values ($1, $2, $2)";
            session.run(DOING, sql, &[Value::Text(OF_NO_DIRECTORY), count(number)]).await?;
        }
    }
    Ok(())
}

/// Part of the feed, as whoever brings events on reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedPart {
    /// The events, in order.
    pub events: Vec<EventRecord>,
    /// Up to which position there are no others.
    pub read_to: u64,
    /// Up to which position events were let go.
    pub forgotten_to: u64,
    /// Where the feed ended.
    pub end: u64,
}

/// Events behind a position: of one directory, or of all; so many at most, and none behind `upto`.
pub(crate) async fn part(
    session: &mut Session,
    after: u64,
    upto: Option<u64>,
    directory: Option<DirectoryId>,
    count_max: u64,
) -> Result<FeedPart, Error> {
    if session.engine() == Engine::Postgres {
        sequence(session).await?;
    }
    session.begin_reading()?;
    let end = position(session).await?;
    let (forgotten_to, _) = forgotten(session).await?;
    let after = after.max(forgotten_to);
    let upto = upto.map_or(end, |upto| upto.min(end));
    let lanes = directory.map(|id| vec![id.to_string()]);
    let filter = EventFilter::from(directory);
    let lanes = lanes.as_deref();
    let selection = Selection { after, upto, lanes, filter: &filter, count_max };
    let Found { events, read_to } = selection.read(session).await?;
    session.roll_back().await?;
    Ok(FeedPart { events, read_to, forgotten_to, end })
}

/// The position of the last event before which all occurred before a moment, give or take what time
/// differs from one directory to another.
pub(crate) async fn position_at(session: &mut Session, moment: Timestamp) -> Result<u64, Error> {
    let (low, _) = forgotten(session).await?;
    let high = position(session).await?;
    position_between(session, moment, low, high).await
}

/// The same, where it is known between which positions that is.
pub(crate) async fn position_between(
    session: &mut Session,
    moment: Timestamp,
    mut low: u64,
    mut high: u64,
) -> Result<u64, Error> {
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match event_time_at(session, middle).await? {
            Some(at) if at >= moment => high = middle - 1,
            _ => low = middle,
        }
    }
    Ok(low)
}

/// When the event at a position occurred.
pub(crate) async fn event_time_at(
    session: &mut Session,
    position: u64,
) -> Result<Option<Timestamp>, Error> {
    Ok(event_at(session, position).await?.and_then(|event| event.occurred_at))
}

/// The event at a position.
pub(crate) struct EventAt {
    pub(crate) id: String,
    /// Not known of one that was let go.
    occurred_at: Option<Timestamp>,
}

/// Finds the event at a position. Of those that were let go, the last is remembered.
pub(crate) async fn event_at(
    session: &mut Session,
    position: u64,
) -> Result<Option<EventAt>, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => "select event_id, occurred_at from events where position = $1",
        Engine::Postgres => {
            "select e.event_id, e.occurred_at
             from (select * from sequence where last_position >= $1
                   order by last_position limit 1) s
             join events e on e.directory_id = s.directory_id
                          and e.number = s.first_number + ($1 - s.first_position)
             where s.first_position <= $1"
        }
    };
    let found = session
        .first("finding the event at a position", sql, &[count(position)], |row| {
            Ok(EventAt { id: row.text(0)?, occurred_at: Some(row.time(1)?) })
        })
        .await?;
    if found.is_some() {
        return Ok(found);
    }
    let (end, id) = forgotten(session).await?;
    let id = id.filter(|_| end == position);
    Ok(id.map(|id| EventAt { id, occurred_at: None }))
}

/// Up to which position events were let go, and which was the last.
pub(crate) async fn forgotten(session: &mut Session) -> Result<(u64, Option<String>), Error> {
    let found = session
        .first(
            "looking which events were let go",
            "select forgotten_position, forgotten_event_id from feed",
            &[],
            |row| Ok((row.number(0)?, row.optional_text(1)?)),
        )
        .await?;
    found.ok_or_else(|| Error::Corrupt("the feed has no beginning".to_owned()))
}

/// The lease of whoever lets old events go.
const FORGETTING: &str = "forget_events";

/// Events that are let go in one transaction: others wait meanwhile.
const FORGOTTEN_AT_ONCE: u64 = 2_000;

/// For how much longer events are kept that were not brought to some webhook endpoint yet. One that
/// fails is switched off after five days.
const WAITED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Lets the oldest events go, up to the first that did not occur before a moment, a few at a time.
/// Says how many.
pub(crate) async fn forget(
    session: &mut Session,
    holder: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, Error> {
    if !lease::hold(session, FORGETTING, holder, now).await? {
        return Ok(0);
    }
    let (begin, _) = forgotten(session).await?;
    // What is still to be brought to somebody is waited for, and not for ever.
    let wanted = webhooks::wanted_from(session).await?.unwrap_or(u64::MAX);
    let is_old = |position: u64, at: Timestamp| {
        at < before && (position <= wanted || at < before - WAITED_FOR)
    };
    match session.engine() {
        Engine::Sqlite => forget_here(session, begin, is_old).await,
        Engine::Postgres => {
            // Those that nobody has read yet too.
            sequence_some(session, SEQUENCED_AT_ONCE).await?;
            forget_sequenced(session, begin, is_old).await
        }
    }
}

/// The same, of an embedded database.
async fn forget_here(
    session: &mut Session,
    begin: u64,
    is_old: impl Fn(u64, Timestamp) -> bool,
) -> Result<u64, Error> {
    let mut end = begin;
    session
        .each(
            "looking for old events",
            "select position, occurred_at from events where position > $1 order by position limit $2",
            &[count(begin), count(FORGOTTEN_AT_ONCE)],
            |row| {
                let position = row.number(0)?;
                if !is_old(position, row.time(1)?) {
                    return Ok(Flow::Break(()));
                }
                end = position;
                Ok(Flow::Continue(()))
            },
        )
        .await?;
    if end > begin {
        remember_end(session, end).await?;
        let sql = "delete from events where position <= $1";
        session.run("letting old events go", sql, &[count(end)]).await?;
    }
    Ok(end - begin)
}

/// The same, on PostgreSQL, in whole ranges of the sequence.
async fn forget_sequenced(
    session: &mut Session,
    begin: u64,
    is_old: impl Fn(u64, Timestamp) -> bool,
) -> Result<u64, Error> {
    const DELETE: Many<3> = Many {
        doing: "letting old events go",
        sqlite: "",
        postgres: "delete from events e
                   using unnest($1::text[], $2::bigint[], $3::bigint[])
                         as it (directory_id, first_number, last_number)
                   where e.directory_id = it.directory_id
                       and e.number between it.first_number and it.last_number",
    };
    let mut end = begin;
    let mut ranges: Vec<(String, u64, u64)> = Vec::new();
    session
        .each(
            "looking for old events",
            "select s.directory_id, s.first_number, s.last_position, s.first_position, e.occurred_at
             from sequence s
             join events e on e.directory_id = s.directory_id
                          and e.number = s.first_number + (s.last_position - s.first_position)
             where s.last_position > $1
             order by s.last_position limit $2",
            &[count(begin), count(FORGOTTEN_AT_ONCE)],
            |row| {
                if !is_old(row.number(2)?, row.time(4)?) || end - begin >= FORGOTTEN_AT_ONCE {
                    return Ok(Flow::Break(()));
                }
                let (first, last) = (row.number(3)?, row.number(2)?);
                let first_number = row.number(1)?;
                ranges.push((row.text(0)?, first_number, first_number + (last - first)));
                end = last;
                Ok(Flow::Continue(()))
            },
        )
        .await?;
    if end > begin {
        remember_end(session, end).await?;
        let rows: Vec<_> = ranges
            .iter()
            .map(|(directory, first, last)| [Value::Text(directory), count(*first), count(*last)])
            .collect();
        session.run_many(&DELETE, &rows).await?;
        let sql = "delete from sequence where last_position <= $1";
        session.run("letting old events go", sql, &[count(end)]).await?;
    }
    Ok(end - begin)
}

/// Remembers up to where events are let go, before they are.
async fn remember_end(session: &mut Session, end: u64) -> Result<(), Error> {
    let id = event_at(session, end).await?.map(|event| event.id);
    session
        .run(
            "remembering which events are let go",
            "update feed set forgotten_position = $1, forgotten_event_id = $2",
            &[count(end), Value::OptionalText(id.as_deref())],
        )
        .await?;
    Ok(())
}
