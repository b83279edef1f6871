//! The one ordered feed over all directories, and the cursors that point into it.

use std::sync::Arc;

use directory::secret::{Entropy, hex};
use directory::{DirectoryId, OrganizationId};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::Inner;
use crate::error::Error;
use crate::session::{Session, Value, at_once, count};

/// An event as it is read: numbered, positioned, and with its data as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place in the feed over all directories.
    pub position: u64,
    /// Its own id.
    pub event_id: String,
    /// Its `type`.
    pub kind: String,
    /// Whose.
    pub organization_id: OrganizationId,
    /// Where.
    pub directory_id: DirectoryId,
    /// Its place among the events of its directory, from 1 on without gaps.
    pub number: u64,
    /// When.
    pub occurred_at: Timestamp,
    /// What, as JSON.
    pub data: String,
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
            at_once(read(session, &sealer, after.as_ref(), directory_id, count_max))
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

/// When the latest event occurred.
pub(crate) async fn latest(session: &mut Session) -> Result<Timestamp, Error> {
    let latest = session
        .first(
            "reading the time of the latest event",
            "select occurred_at from events order by position desc limit 1",
            &[],
            |row| row.time(0),
        )
        .await?;
    Ok(latest.unwrap_or(Timestamp::UNIX_EPOCH))
}

pub(crate) async fn keep_position(session: &mut Session, position: u64) -> Result<(), Error> {
    session
        .run("moving the end of the feed", "update feed set position = $1", &[count(position)])
        .await?;
    Ok(())
}

/// Events after a cursor, or from the beginning; of one directory, or of all.
pub(crate) async fn read(
    session: &mut Session,
    sealer: &Sealer,
    after: Option<&Cursor>,
    directory_id: Option<DirectoryId>,
    count_max: u64,
) -> Result<Result<EventPage, BadCursor>, Error> {
    session.begin_reading().await?;
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
    let scope = Scope(directory_id);
    let after = match after.map(|cursor| sealer.open(cursor, scope)).transpose() {
        Ok(None) => 0,
        Ok(Some((after, mark))) => {
            // Another event stands there, or none yet: the database has been set back without a
            // new epoch. Whoever lets old events go has to keep their marks, or refuses here all
            // cursors that point to one of them.
            if sealer.mark(event_at(session, after).await?.as_deref()) != mark {
                return Ok(Err(BadCursor::AnotherEpoch));
            }
            after
        }
        Err(bad) => return Ok(Err(bad)),
    };
    let directory = directory_id.map(|id| id.to_string());
    let sql = match directory {
        None => {
            "select e.position, e.event_id, e.type, d.organization_id, e.directory_id, e.number,
                    e.occurred_at, e.data
             from events e join directories d on d.directory_id = e.directory_id
             where e.position > $1 order by e.position limit $2"
        }
        Some(_) => {
            "select e.position, e.event_id, e.type, d.organization_id, e.directory_id, e.number,
                    e.occurred_at, e.data
             from events e join directories d on d.directory_id = e.directory_id
             where e.position > $1 and e.directory_id = $3 order by e.position limit $2"
        }
    };
    let mut values = vec![count(after), count(count_max.saturating_add(1))];
    values.extend(directory.as_deref().map(Value::Text));
    let mut events = session
        .all("reading events", sql, &values, |row| {
            Ok(EventRecord {
                position: row.number(0)?,
                event_id: row.text(1)?,
                kind: row.text(2)?,
                organization_id: row.parsed(3)?,
                directory_id: row.parsed(4)?,
                number: row.number(5)?,
                occurred_at: row.time(6)?,
                data: row.text(7)?,
            })
        })
        .await?;
    let has_more = events.len() as u64 > count_max;
    events.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    let last = events.last().map_or(after, |event| event.position);
    // Where nothing more of this directory is to come, the reader need not look again at what
    // the others did.
    let next = if has_more { last } else { end };
    let event_id = event_at(session, next).await?;
    let next = sealer.seal(scope, next, event_id.as_deref());
    Ok(Ok(EventPage { events, next, has_more }))
}

/// The id of the event at a position.
async fn event_at(session: &mut Session, position: u64) -> Result<Option<String>, Error> {
    session
        .first(
            "finding the event of a cursor",
            "select event_id from events where position = $1",
            &[count(position)],
            |row| row.text(0),
        )
        .await
}
