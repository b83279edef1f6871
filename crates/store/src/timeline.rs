//! What happened to one user or group: their events in order.
//!
//! Each event says whom it is about, in columns of its own with an index each: the user or group, and
//! beside a group its member, or beside somebody new who they were before. So a page costs as much as
//! it has events, however many the directory has. What an older program keeps meanwhile has these
//! columns empty, and is looked through.

use directory::{DirectoryId, ResourceId};
use serde_json::Value as Json;

use crate::error::Error;
use crate::feed::{self, EventRecord};
use crate::session::{Engine, Row, Session, Value, count};

/// Some events of one user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// In their order. Their positions in the feed are not looked up: they are 0.
    pub events: Vec<EventRecord>,
    /// After which number there are more; `None` at the end.
    pub next: Option<u64>,
}

/// Events of a directory after a number which fulfil a condition, as [`feed::event`] reads them.
macro_rules! some_events {
    ($condition:literal) => {
        concat!(
            "select position, event_id, type, organization_id, directory_id, number, occurred_at,
                    cause, data
             from (select cast(0 as bigint) as position, e.event_id, e.type, d.organization_id,
                          e.directory_id, e.number, e.occurred_at, e.cause, e.data
                   from events e join directories d on d.directory_id = e.directory_id
                   where e.directory_id = $1 and e.number > $3 and ",
            $condition,
            " order by e.number limit $4) found_",
        )
    };
}

pub(crate) async fn read(
    session: &mut Session,
    directory_id: DirectoryId,
    id: ResourceId,
    after: u64,
    count_max: u64,
) -> Result<Timeline, Error> {
    // Each condition says what its index says of itself, so that both databases know to use it.
    let sql = concat!(
        some_events!("e.resource_id = $2 and e.resource_id <> ''"),
        "1 union all ",
        some_events!("e.other_id = $2 and e.other_id is not null"),
        "2 union all ",
        some_events!("e.resource_id is null and e.data like '%' || $2 || '%'"),
        "3 order by number limit $4",
    );
    let (directory, text) = (directory_id.to_string(), id.to_string());
    let values = [
        Value::Text(&directory),
        Value::Text(&text),
        count(after),
        count(count_max.saturating_add(1)),
    ];
    let mut events = session.all("reading a timeline", sql, &values, feed::event).await?;
    let has_more = events.len() as u64 > count_max;
    events.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    let next = events.last().filter(|_| has_more).map(|last| last.number);
    events.dedup_by_key(|event| event.number);
    events.retain(|event| is_about(&event.data, &text));
    Ok(Timeline { events, next })
}

/// An event of a directory by its number; `None` where there is none, or it was let go.
pub(crate) async fn one(
    session: &mut Session,
    directory_id: DirectoryId,
    number: u64,
) -> Result<Option<EventRecord>, Error> {
    const DOING: &str = "reading an event";

    let directory = directory_id.to_string();
    if session.engine() == Engine::Postgres {
        let sql = "select cast(0 as bigint), e.event_id, e.type, d.organization_id, e.directory_id,
                          e.number, e.occurred_at, e.cause, e.data
                   from events e join directories d on d.directory_id = e.directory_id
                   where e.directory_id = $1 and e.number = $2";
        let values = [Value::Text(&directory), count(number)];
        return session.first(DOING, sql, &values, feed::event).await;
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
            let sql = "select e.position, e.event_id, e.type, d.organization_id, e.directory_id,
                              e.number, e.occurred_at, e.cause, e.data
                       from events e join directories d on d.directory_id = e.directory_id
                       where e.directory_id = $1 and e.position = $2";
            let values = [Value::Text(&directory), count(position)];
            session.first(DOING, sql, &values, feed::event).await?
        }
        None => None,
    };
    session.roll_back().await?;
    Ok(found)
}

/// Whether an event is of this user or group, or of their membership. Their id may also stand in an
/// attribute of somebody else.
fn is_about(data: &str, id: &str) -> bool {
    let Ok(data) = serde_json::from_str::<Json>(data) else { return false };
    ["/user/id", "/group/id", "/member/value", "/previous_user_id"]
        .into_iter()
        .any(|pointer| data.pointer(pointer).and_then(Json::as_str) == Some(id))
}
