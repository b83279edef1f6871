//! The one ordered feed over all directories, and the cursors that point into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::event::Draft;
use directory::secret::{Entropy, hex};
use directory::{DirectoryId, EventId, OrganizationId};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use crate::Inner;
use crate::error::Error;
use crate::lease;
use crate::session::{Bulk, Engine, Flow, Many, Row, Session, Value, count, finish};
use crate::webhooks;

/// An event as it is read: numbered, positioned, and with its data as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place in the feed over all directories.
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
}

/// Some events, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventRecord>,
    /// From where to go on, whether or not there is more already.
    pub next: Cursor,
    /// Whether there was more when this was read.
    pub has_more: bool,
}

/// A place in the feed, sealed: its text can be made by nobody but this database, and is good in
/// this life of it only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
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
/// what happened in the others.
#[derive(Clone, Copy)]
struct Scope(Option<DirectoryId>);

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("all"),
        }
    }
}

/// Why a cursor leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCursor {
    /// This database did not make it, or made it for another directory, or for all of them.
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

    /// Events after a cursor, or from the beginning; of one directory, or of all.
    pub async fn events(
        &self,
        after: Option<Cursor>,
        directory_id: Option<DirectoryId>,
        count_max: u64,
    ) -> Result<Result<EventPage, BadCursor>, Error> {
        let sealer = self.0.sealer.clone();
        let read_events = move |session: &mut Session| {
            finish(read(session, &sealer, after.as_ref(), directory_id, count_max))
        };
        self.0.readers.read(read_events).await
    }
}

/// What makes and opens cursors.
#[derive(Clone)]
pub(crate) struct Sealer {
    epoch: String,
    secret: String,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Sealer {
    /// `epoch.position.event.seal`: readable enough for support, and not to be forged or mistyped.
    ///
    /// The epoch is in the file, and so comes back with a backup of it. What tells a restored
    /// database from the one that handed the cursor out is the event at its position.
    fn seal(&self, scope: Scope, position: u64, event_id: Option<&str>) -> Cursor {
        let open = format!("{}.{position}.{}", self.epoch, self.mark(event_id));
        let seal = self.tag(&format!("{open}.{scope}"));
        Cursor(format!("{open}.{seal}"))
    }

    /// Its position, and the mark of the event that was there.
    fn open<'c>(&self, cursor: &'c Cursor, scope: Scope) -> Result<(u64, &'c str), BadCursor> {
        let (open, seal) = cursor.0.rsplit_once('.').ok_or(BadCursor::Malformed)?;
        let (epoch, rest) = open.split_once('.').ok_or(BadCursor::Malformed)?;
        let (position, mark) = rest.split_once('.').ok_or(BadCursor::Malformed)?;
        let position = position.parse().map_err(|_| BadCursor::Malformed)?;
        if epoch != self.epoch {
            return Err(BadCursor::AnotherEpoch);
        }
        // Compared as text, so that there is one spelling of each cursor, and none is short.
        if self.tag(&format!("{open}.{scope}")) == seal {
            Ok((position, mark))
        } else {
            Err(BadCursor::Malformed)
        }
    }

    /// The position of a cursor that was found good.
    pub(crate) fn position_of(&self, cursor: &Cursor) -> u64 {
        self.open(cursor, Scope(None)).map_or(0, |(position, _)| position)
    }

    /// What a cursor keeps of the event at its position. There is none at position 0.
    fn mark(&self, event_id: Option<&str>) -> String {
        self.tag(event_id.unwrap_or_default())
    }

    /// What makes or checks a seal of another purpose, of this life of the database.
    pub(crate) fn keyed(&self, purpose: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("any length of key will do");
        // No cursor of the feed begins with a line.
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(self.epoch.as_bytes());
        mac.update(b"\n");
        mac
    }

    /// A cursor opens nothing that an API key does not open anyway: 64 bits keep out mistakes, and
    /// how long a comparison takes gives nothing away that matters.
    fn tag(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("any length of key will do");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes()[..8])
    }
}

/// Begins the life of a database, once, and reads what seals its cursors.
pub(crate) async fn open(session: &mut Session, entropy: Entropy) -> Result<Sealer, Error> {
    let entropy = hex(&entropy);
    let (epoch, secret) = entropy.split_at(12);
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
            Ok(Sealer { epoch: row.text(0)?, secret: row.text(1)? })
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
        bulk: Bulk<6>,
        /// The first and the last number of each directory.
        ranges: BTreeMap<DirectoryId, (u64, u64)>,
    },
}

impl Keeping {
    /// Begins to keep about so many.
    pub(crate) async fn begin(session: &mut Session, count: usize) -> Result<Keeping, Error> {
        const UNSEQUENCED: &Many<6> = &Many {
            doing: "keeping events",
            sqlite: "",
            postgres: "insert into events
                       (directory_id, event_id, type, data, number, occurred_at)
                       select * from unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                            $5::bigint[], $6::bigint[])",
        };
        const COPY: &str =
            "copy events (directory_id, event_id, type, data, number, occurred_at) from stdin";
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
        const HERE: Many<7> = Many {
            doing: "keeping events",
            sqlite: "insert into events
                     (directory_id, event_id, type, data, number, occurred_at, position)
                     values ($1, $2, $3, $4, $5, $6, $7)",
            postgres: "",
        };
        let ids: Vec<_> = events
            .iter()
            .map(|event| (event.directory_id.to_string(), event.id.to_string()))
            .collect();
        let rows = events.iter().zip(&ids).map(|(event, (directory_id, id))| {
            [
                Value::Text(directory_id),
                Value::Text(id),
                Value::Text(event.kind),
                Value::Text(&event.data),
                count(event.number),
                Value::Time(event.occurred_at),
            ]
        });
        match self {
            Keeping::Here { position } => {
                let rows: Vec<_> = rows
                    .map(|[directory_id, id, kind, data, number, occurred_at]| {
                        *position += 1;
                        [directory_id, id, kind, data, number, occurred_at, count(*position)]
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

/// Events after a cursor, or from the beginning; of one directory, or of all.
pub(crate) async fn read(
    session: &mut Session,
    sealer: &Sealer,
    after: Option<&Cursor>,
    directory_id: Option<DirectoryId>,
    count_max: u64,
) -> Result<Result<EventPage, BadCursor>, Error> {
    if session.engine() == Engine::Postgres {
        sequence(session).await?;
    }
    session.begin_reading()?;
    let page = read_in_one_state(session, sealer, after, directory_id, count_max).await;
    session.roll_back().await?;
    page
}

async fn read_in_one_state(
    session: &mut Session,
    sealer: &Sealer,
    after: Option<&Cursor>,
    directory_id: Option<DirectoryId>,
    count_max: u64,
) -> Result<Result<EventPage, BadCursor>, Error> {
    let end = position(session).await?;
    let (begin, _) = forgotten(session).await?;
    let scope = Scope(directory_id);
    let after = match after.map(|cursor| sealer.open(cursor, scope)).transpose() {
        Ok(None) => begin,
        Ok(Some((after, mark))) => {
            if after < begin {
                return Ok(Err(BadCursor::Forgotten));
            }
            // Another event stands there, or none yet: the database has been set back without a
            // new epoch.
            if sealer.mark(event_at(session, after).await?.as_deref()) != mark {
                return Ok(Err(BadCursor::AnotherEpoch));
            }
            after
        }
        Err(bad) => return Ok(Err(bad)),
    };
    let directory = directory_id.map(|id| id.to_string());
    let one_more = count_max.saturating_add(1);
    let mut events = match session.engine() {
        Engine::Sqlite => events_after(session, after, directory.as_deref(), one_more).await?,
        Engine::Postgres => {
            sequenced_events_after(session, after, directory.as_deref(), one_more).await?
        }
    };
    let has_more = events.len() as u64 > count_max;
    match directory_id {
        None => check_positions(&events, after, end, has_more)?,
        Some(_) => check_numbers(&events)?,
    }
    events.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    let last = events.last().map_or(after, |event| event.position);
    // Where nothing more of this directory is to come, the reader need not look again at what
    // the others did.
    let next = if has_more { last } else { end };
    let event_id = event_at(session, next).await?;
    let next = sealer.seal(scope, next, event_id.as_deref());
    Ok(Ok(EventPage { events, next, has_more }))
}

/// Nobody goes on over a hole in the feed: what is missing there would never be told.
fn check_positions(
    events: &[EventRecord],
    after: u64,
    end: u64,
    has_more: bool,
) -> Result<(), Error> {
    let mut last = after;
    for event in events {
        if event.position != last + 1 {
            return Err(hole("the feed", last + 1));
        }
        last = event.position;
    }
    if has_more || last == end { Ok(()) } else { Err(hole("the feed", last + 1)) }
}

/// The same within a directory, whose events have positions with others between them.
fn check_numbers(events: &[EventRecord]) -> Result<(), Error> {
    for pair in events.windows(2) {
        if pair[1].number != pair[0].number + 1 {
            let whose = pair[0].directory_id.map(|id| format!("the directory `{id}`"));
            let whose = whose.as_deref().unwrap_or("the server's own");
            return Err(hole(whose, pair[0].number + 1));
        }
    }
    Ok(())
}

fn hole(whose: &str, missing: u64) -> Error {
    Error::Corrupt(format!(
        "event {missing} of {whose} is not there, and nothing behind it is told"
    ))
}

/// Events behind a position, of an embedded database.
async fn events_after(
    session: &mut Session,
    after: u64,
    directory: Option<&str>,
    count_max: u64,
) -> Result<Vec<EventRecord>, Error> {
    let sql = match directory {
        None => {
            "select e.position, e.event_id, e.type, d.organization_id, e.directory_id, e.number,
                    e.occurred_at, e.data
             from events e left join directories d on d.directory_id = e.directory_id
             where e.position > $1 order by e.position limit $2"
        }
        Some(_) => {
            "select e.position, e.event_id, e.type, d.organization_id, e.directory_id, e.number,
                    e.occurred_at, e.data
             from events e left join directories d on d.directory_id = e.directory_id
             where e.position > $1 and e.directory_id = $3 order by e.position limit $2"
        }
    };
    let mut values = vec![count(after), count(count_max)];
    values.extend(directory.map(Value::Text));
    session.all("reading events", sql, &values, event).await
}

/// Events behind a position, on PostgreSQL: first which stand there, then what they are.
async fn sequenced_events_after(
    session: &mut Session,
    after: u64,
    directory: Option<&str>,
    count_max: u64,
) -> Result<Vec<EventRecord>, Error> {
    let sql = match directory {
        None => {
            "select first_position, last_position, first_number, directory_id from sequence
             where last_position > $1 order by last_position limit $2"
        }
        Some(_) => {
            "select first_position, last_position, first_number, directory_id from sequence
             where last_position > $1 and directory_id = $3 order by last_position limit $2"
        }
    };
    let mut values = vec![count(after), count(count_max)];
    values.extend(directory.map(Value::Text));
    let mut directories = Vec::new();
    // First and last number, and what makes a position of a number.
    let mut numbers: [Vec<i64>; 3] = Default::default();
    let mut wanted = count_max;
    session
        .each("reading the order of events", sql, &values, |row| {
            let (first, last, number) = (row.number(0)?, row.number(1)?, row.number(2)?);
            // Some of the first range may have been read before.
            let begin = first.max(after + 1);
            let end = last.min(begin.saturating_add(wanted - 1));
            wanted -= end - begin + 1;
            let number_of = |position: u64| (number + (position - first)).cast_signed();
            directories.push(row.text(3)?);
            numbers[0].push(number_of(begin));
            numbers[1].push(number_of(end));
            numbers[2].push(first.cast_signed() - number.cast_signed());
            Ok(if wanted == 0 { Flow::Break(()) } else { Flow::Continue(()) })
        })
        .await?;
    session
        .all(
            "reading events",
            "select e.number + s.shift, e.event_id, e.type, d.organization_id, e.directory_id,
                    e.number, e.occurred_at, e.data
             from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                  as s (directory_id, first_number, last_number, shift)
             join events e on e.directory_id = s.directory_id
                          and e.number between s.first_number and s.last_number
             left join directories d on d.directory_id = e.directory_id
             order by 1",
            &[
                Value::Texts(&directories),
                Value::Integers(&numbers[0]),
                Value::Integers(&numbers[1]),
                Value::Integers(&numbers[2]),
            ],
            event,
        )
        .await
}

fn event(row: &Row<'_>) -> Result<EventRecord, Error> {
    Ok(EventRecord {
        position: row.number(0)?,
        event_id: row.text(1)?,
        kind: row.text(2)?,
        organization_id: optional_id(row.optional_text(3)?)?,
        directory_id: optional_id(Some(row.text(4)?).filter(|it| it != OF_NO_DIRECTORY))?,
        number: row.number(5)?,
        occurred_at: row.time(6)?,
        data: row.text(7)?,
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
    let id = id.to_string();
    let mut values = vec![
        Value::Text(OF_NO_DIRECTORY),
        Value::Text(&id),
        Value::Text(draft.kind.as_str()),
        Value::Text(&draft.data),
        count(number),
        Value::Time(at),
    ];
    match session.engine() {
        Engine::Sqlite => {
            let sql = "update feed set position = position + 1 returning position";
            let position = session.first(DOING, sql, &[], |row| row.number(0)).await?;
            values.push(count(position.unwrap_or_default()));
            let sql = "insert into events
                       (directory_id, event_id, type, data, number, occurred_at, position)
                       values ($1, $2, $3, $4, $5, $6, $7)";
            session.run(DOING, sql, &values).await?;
        }
        Engine::Postgres => {
            let sql = "insert into events (directory_id, event_id, type, data, number, occurred_at)
                       values ($1, $2, $3, $4, $5, $6)";
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
}

/// Events behind a position: of one directory, or of all; so many at most, and none behind `upto`.
pub(crate) async fn part(
    session: &mut Session,
    after: u64,
    upto: Option<u64>,
    directory: Option<&str>,
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
    let mut events = match session.engine() {
        _ if after >= upto => Vec::new(),
        Engine::Sqlite => events_after(session, after, directory, count_max).await?,
        Engine::Postgres => sequenced_events_after(session, after, directory, count_max).await?,
    };
    session.roll_back().await?;
    let found = events.len();
    events.retain(|event| event.position <= upto);
    let is_whole = (found as u64) < count_max || events.len() < found;
    let last = events.last().map_or(after, |event| event.position);
    let read_to = if is_whole { upto.max(after) } else { last };
    Ok(FeedPart { events, read_to, forgotten_to })
}

/// The position of the last event before which all occurred before a moment, give or take what time
/// differs from one directory to another.
pub(crate) async fn position_at(session: &mut Session, moment: Timestamp) -> Result<u64, Error> {
    let (mut low, _) = forgotten(session).await?;
    let mut high = position(session).await?;
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
    let sql = match session.engine() {
        Engine::Sqlite => "select occurred_at from events where position = $1",
        Engine::Postgres => {
            "select e.occurred_at
             from (select * from sequence where last_position >= $1
                   order by last_position limit 1) s
             join events e on e.directory_id = s.directory_id
                          and e.number = s.first_number + ($1 - s.first_position)
             where s.first_position <= $1"
        }
    };
    session.first("reading when an event was", sql, &[count(position)], |row| row.time(0)).await
}

/// The id of the event at a position.
async fn event_at(session: &mut Session, position: u64) -> Result<Option<String>, Error> {
    let sql = match session.engine() {
        Engine::Sqlite => "select event_id from events where position = $1",
        Engine::Postgres => {
            "select e.event_id
             from (select * from sequence where last_position >= $1
                   order by last_position limit 1) s
             join events e on e.directory_id = s.directory_id
                          and e.number = s.first_number + ($1 - s.first_position)
             where s.first_position <= $1"
        }
    };
    let values = [count(position)];
    let found = session.first("finding the event of a cursor", sql, &values, |row| row.text(0));
    if let Some(id) = found.await? {
        return Ok(Some(id));
    }
    // Of those that were let go, the last is remembered.
    let (end, id) = forgotten(session).await?;
    Ok(id.filter(|_| end == position))
}

/// Up to which position events were let go, and which was the last.
async fn forgotten(session: &mut Session) -> Result<(u64, Option<String>), Error> {
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
    let id = event_at(session, end).await?;
    session
        .run(
            "remembering which events are let go",
            "update feed set forgotten_position = $1, forgotten_event_id = $2",
            &[count(end), Value::OptionalText(id.as_deref())],
        )
        .await?;
    Ok(())
}
