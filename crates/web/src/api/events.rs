//! The feed: what happened, in order, over all directories or in one.

use axum::Json;
use axum::http::StatusCode;
use directory::DirectoryId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{BadCursor, Cursor, EventRecord};
use utoipa::{IntoParams, ToSchema};

use super::directories::open;
use super::{PageQuery, Path, Query, Vendor};
use crate::problem::Problem;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Only what happened in this one.
    directory_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsPage {
    data: Vec<EventView>,
    /// What to send as `after` the next time, whether or not there is more already: a reader keeps
    /// it together with what it made of the events.
    next: String,
    /// Whether there was more when this was read.
    has_more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventView {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    occurred_at: String,
    /// `null` of what the server tells of itself.
    organization_id: Option<String>,
    directory_id: Option<String>,
    /// The place among the events of the directory, or of the server, from 1 on without gaps.
    number: u64,
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

impl From<EventRecord> for EventView {
    fn from(event: EventRecord) -> EventView {
        EventView {
            id: event.event_id,
            kind: event.kind,
            occurred_at: scim::datetime::print(event.occurred_at),
            organization_id: event.organization_id.map(|id| id.to_string()),
            directory_id: event.directory_id.map(|id| id.to_string()),
            number: event.number,
            data: RawValue::from_string(event.data).expect("events are kept as JSON"),
        }
    }
}

/// `GET /events`. 410 where the cursor belongs to another life of the database.
pub(super) async fn list(
    vendor: Vendor,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventsPage>, Problem> {
    let page = PageQuery { after: query.after, limit: query.limit };
    let limit = page.limit()?;
    let directory: Option<DirectoryId> = match query.directory_id.as_deref().map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(Problem::not_found("directory")),
    };
    if directory.is_none() && vendor.store.bound_to().is_some() {
        return Err(Problem::forbidden(
            "the key is that of one organization, and the feed is of all",
            "Name one of its directories as `directory_id`",
        ));
    }
    if let Some(id) = directory {
        let found = vendor.store.directory(id).await?;
        found.ok_or_else(|| Problem::not_found("directory"))?;
    }
    let after = page.after.map(Cursor::presented);
    let events = vendor.store.events(after, directory, limit).await?.map_err(bad_cursor)?;
    Ok(Json(EventsPage {
        data: events.events.into_iter().map(EventView::from).collect(),
        next: events.next.as_str().to_owned(),
        has_more: events.has_more,
    }))
}

/// `GET /directories/{directory}/events/{number}`: one event, whole.
pub(super) async fn get(
    vendor: Vendor,
    Path((directory, number)): Path<(String, String)>,
) -> Result<Json<EventView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let number = number.parse::<u64>().ok().filter(|it| i64::try_from(*it).is_ok());
    let found = match number {
        Some(number) => store.event(number).await?,
        None => None,
    };
    let event = found.ok_or_else(|| Problem::not_found("event"))?;
    Ok(Json(EventView {
        id: event.event_id,
        kind: event.kind,
        occurred_at: scim::datetime::print(event.occurred_at),
        organization_id: Some(store.organization_id().to_string()),
        directory_id: Some(store.id().to_string()),
        number: event.number,
        data: RawValue::from_string(event.data).expect("events are kept as JSON"),
    }))
}

pub(super) fn bad_cursor(bad: BadCursor) -> Problem {
    match bad {
        BadCursor::Malformed => Problem::invalid(
            "`after` is not a cursor of this feed, or was made with another `directory_id`",
            "Send the `next` of a page unchanged, and with the `directory_id` of that page if it \
             had one; leave `after` out to read from the beginning",
        ),
        BadCursor::AnotherEpoch => Problem::new(
            StatusCode::GONE,
            "cursor-of-another-epoch",
            "The cursor belongs to another life of this database",
            "the database was restored or replaced after the cursor was made, so the events after \
             it may not be those that its reader expects",
            "Read the feed from the beginning, without `after`, and rebuild what was made of it",
        ),
        BadCursor::Forgotten => Problem::new(
            StatusCode::GONE,
            "events-are-gone",
            "Events after the cursor are not kept any more",
            "events are kept for as long as the server is told to, and the cursor was not used for \
             longer than that",
            "Read users and groups anew, then go on with the feed without `after`; read it more \
             often, or have events kept for longer with `roster serve --keep-events-days`",
        ),
    }
}
