//! What happened to one user or group: their events in order.
//!
//! Events are found by directory and number, and by nothing else: an index by person would cost
//! every write, for what support asks a few times a day. So they are looked through, a bounded
//! number at a time.

use directory::{DirectoryId, ResourceId};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::error::Error;
use crate::feed;
use crate::session::{Engine, Row, Session, Value, count};

/// Events that are looked through for one page: a fraction of a second.
const LOOKED_THROUGH: u64 = 50_000;

/// Some events of one user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// In their order.
    pub events: Vec<TimelineEvent>,
    /// From where there may be more, which may be so after a page without any; `None` at the end.
    pub next: Option<u64>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEvent {
    /// Its own id.
    pub event_id: String,
    /// Its `type`.
    pub kind: String,
    /// Its place among the events of the directory.
    pub number: u64,
    /// When.
    pub occurred_at: Timestamp,
    /// What, as JSON.
    pub data: String,
    /// What it was caused by, as JSON; unknown of what was kept before this was.
    pub cause: Option<String>,
    place: u64,
}

pub(crate) async fn read(
    session: &mut Session,
    directory_id: DirectoryId,
    id: ResourceId,
    after: u64,
    count_max: u64,
) -> Result<Timeline, Error> {
    // An embedded database has them by directory and position.
    let (end, found) = match session.engine() {
        Engine::Sqlite => (
            "select max(place) from (select position as place from events
             where directory_id = $1 and position > $2 order by position limit $3) looked",
            "select position, number, event_id, type, occurred_at, data, cause from events
             where directory_id = $1 and position > $2 and position <= $3 and instr(data, $4) > 0
             order by position limit $5",
        ),
        Engine::Postgres => (
            "select max(place) from (select number as place from events
             where directory_id = $1 and number > $2 order by number limit $3) looked",
            "select number, number, event_id, type, occurred_at, data, cause from events
             where directory_id = $1 and number > $2 and number <= $3 and strpos(data, $4) > 0
             order by number limit $5",
        ),
    };
    let (directory, text) = (directory_id.to_string(), id.to_string());
    session.begin_reading()?;
    let values = [Value::Text(&directory), count(after), count(LOOKED_THROUGH)];
    let end = session
        .first("looking for the end of a timeline", end, &values, |row| {
            Ok(row.optional_integer(0)?.and_then(|it| u64::try_from(it).ok()))
        })
        .await?
        .flatten();
    let Some(end) = end else {
        session.roll_back().await?;
        return Ok(Timeline { events: Vec::new(), next: None });
    };
    let one_more = count_max.saturating_add(1);
    let values =
        [Value::Text(&directory), count(after), count(end), Value::Text(&text), count(one_more)];
    let found = session.all("reading a timeline", found, &values, event).await?;
    let values = [Value::Text(&directory), count(end), count(1)];
    let more = match session.engine() {
        Engine::Sqlite => "select 1 from events where directory_id = $1 and position > $2 limit $3",
        Engine::Postgres => "select 1 from events where directory_id = $1 and number > $2 limit $3",
    };
    let more = session.first("looking beyond a timeline", more, &values, |_| Ok(())).await?;
    session.roll_back().await?;
    let has_more = found.len() as u64 > count_max;
    let mut events = found;
    events.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    let next = match events.last() {
        Some(last) if has_more => Some(last.place),
        _ => more.map(|()| end),
    };
    events.retain(|event| is_about(&event.data, &text));
    Ok(Timeline { events, next })
}

/// An event of a directory by its number; `None` where there is none, or it was let go.
pub(crate) async fn one(
    session: &mut Session,
    directory_id: DirectoryId,
    number: u64,
) -> Result<Option<TimelineEvent>, Error> {
    const DOING: &str = "reading an event";

    let directory = directory_id.to_string();
    if session.engine() == Engine::Postgres {
        let sql = "select number, number, event_id, type, occurred_at, data, cause from events
                   where directory_id = $1 and number = $2";
        return session.first(DOING, sql, &[Value::Text(&directory), count(number)], event).await;
    }
    // An embedded database has them by position, in the order of their numbers: each look halves where
    // it may be.
    session.begin_reading()?;
    let (mut first, mut end) = (0, feed::position(session).await?.saturating_add(1));
    let mut found = None;
    while first < end {
        let middle = first + (end - first) / 2;
        let values = [Value::Text(&directory), count(middle), count(end)];
        let sql = "select position, number from events
                   where directory_id = $1 and position >= $2 and position < $3
                   order by position limit 1";
        let read = |row: &Row<'_>| Ok((row.number(0)?, row.number(1)?));
        match session.first(DOING, sql, &values, read).await? {
            Some((position, at)) if at == number => {
                found = Some(position);
                break;
            }
            Some((position, at)) if at < number => first = position + 1,
            Some(_) | None => end = middle,
        }
    }
    let found = match found {
        Some(position) => {
            let sql =
                "select position, number, event_id, type, occurred_at, data, cause from events
                       where directory_id = $1 and position = $2";
            session.first(DOING, sql, &[Value::Text(&directory), count(position)], event).await?
        }
        None => None,
    };
    session.roll_back().await?;
    Ok(found)
}

fn event(row: &Row<'_>) -> Result<TimelineEvent, Error> {
    Ok(TimelineEvent {
        place: row.number(0)?,
        number: row.number(1)?,
        event_id: row.text(2)?,
        kind: row.text(3)?,
        occurred_at: row.time(4)?,
        data: row.text(5)?,
        cause: row.optional_text(6)?,
    })
}

/// Whether an event is of this user or group, or of their membership. Their id may also stand in an
/// attribute of somebody else.
fn is_about(data: &str, id: &str) -> bool {
    let Ok(data) = serde_json::from_str::<Json>(data) else { return false };
    ["/user/id", "/group/id", "/member/value", "/previous_user_id"]
        .into_iter()
        .any(|pointer| data.pointer(pointer).and_then(Json::as_str) == Some(id))
}
