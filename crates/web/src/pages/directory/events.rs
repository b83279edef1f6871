//! The events of a directory, the latest first; and one of them, with what it changed.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use store::{Cursor, EventFilter, EventRecord};

use super::connection::Connection;
use super::live::Live;
use crate::pages::parts::{Copyable, Frame, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, page};
use crate::problem::Problem;

/// Events of a page. Each is looked for by its number.
const PAGE: u64 = 30;

#[derive(Template)]
#[template(path = "directory/events.html")]
pub(crate) struct EventsPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) rows: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
    /// From where an app goes on that is to hear of what happens from now on.
    pub(crate) cursor: Copyable,
}

/// An event, in a list.
pub(crate) struct Row {
    pub(crate) address: String,
    pub(crate) number: u64,
    pub(crate) kind: String,
    /// Whom or what it is about, by name.
    pub(crate) about: String,
    /// The page of that, where it has one.
    pub(crate) page: Option<String>,
    pub(crate) at: When,
}

impl Row {
    pub(crate) fn new(event: &EventRecord, connection: &str) -> Row {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let named = |what: &str, names: &[&str]| {
            let it = &data[what];
            let name = names.iter().find_map(|name| it[*name].as_str());
            Some((it["id"].as_str()?.to_owned(), name.unwrap_or_default().to_owned()))
        };
        let user = named("user", &["userName", "user_name"]);
        let group = named("group", &["displayName", "display_name"]);
        let (about, page) = match (user, group) {
            (Some((id, name)), _) => (name, Some(format!("{connection}/people/{id}"))),
            (None, Some((id, name))) => (name, Some(format!("{connection}/groups/{id}"))),
            (None, None) => (String::new(), None),
        };
        Row {
            address: format!("{connection}/events/{}", event.number),
            number: event.number,
            kind: event.kind.clone(),
            about,
            page,
            at: When(event.occurred_at),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Only events of smaller numbers.
    before: String,
}

/// `GET …/events`.
pub(super) async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    // They have numbers without gaps, from 1 on.
    let end = connection.event_number.saturating_add(1);
    let before = asked.before.parse::<u64>().map_or(end, |before| before.min(end));
    let mut rows = Vec::new();
    let mut number = before;
    while number > 1 && (rows.len() as u64) < PAGE {
        number -= 1;
        // The oldest are let go after a while.
        let Some(event) = visitor.store.event(connection.id, number).await? else { break };
        rows.push(Row::new(&event, &connection.address));
    }
    let has_more = rows.len() as u64 == PAGE && number > 1;
    let next = has_more.then(|| format!("{}/events?before={number}", connection.address));
    let filter = EventFilter::from(Some(connection.id));
    let end = visitor.store.events(Some(Cursor::presented(Cursor::END)), filter, 1).await?;
    let cursor = end.map_or_else(|_| Cursor::END.to_owned(), |it| it.next.as_str().to_owned());
    let live = Live::of_one(connection, &with_query("/events", [("before", &asked.before)]));
    let Visitor { frame, reader, connection, .. } = visitor;
    let cursor = Copyable::new("cursor", cursor);
    Ok(page(&EventsPage { frame, reader, connection, live, rows, next, cursor }))
}

#[derive(Template)]
#[template(path = "directory/event.html")]
pub(crate) struct EventPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) row: Row,
    pub(crate) id: Copyable,
    /// Attributes that it changed: how each was, and how it is.
    pub(crate) changes: Vec<(String, String, String)>,
    /// Who caused it, as causes are told.
    pub(crate) by: String,
    /// Of the request in which it was asked for: the page, and its name.
    pub(crate) request: Option<(String, String)>,
    /// All of it, as JSON.
    pub(crate) whole: String,
}

/// `GET …/events/{number}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, number)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let unknown = || Stop::from(Problem::not_found("event"));
    let number: u64 = number.parse().map_err(|_| unknown())?;
    let event = visitor.store.event(visitor.connection.id, number).await?.ok_or_else(unknown)?;
    let live = Live::of_one(&visitor.connection, &format!("/events/{number}"));
    let Visitor { frame, reader, connection, .. } = visitor;
    let shown = Told::new(&event, &connection.address);
    Ok(page(&EventPage {
        frame,
        reader,
        live,
        row: Row::new(&event, &connection.address),
        id: Copyable::new("event-id", event.event_id),
        changes: shown.changes,
        by: shown.by,
        request: shown.request,
        whole: shown.whole,
        connection,
    }))
}

/// What an event tells.
pub(crate) struct Told {
    pub(crate) changes: Vec<(String, String, String)>,
    pub(crate) by: String,
    pub(crate) request: Option<(String, String)>,
    pub(crate) whole: String,
}

impl Told {
    pub(crate) fn new(event: &EventRecord, connection: &str) -> Told {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let cause: Value =
            event.cause.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        let changes = data["changes"].as_object().into_iter().flatten();
        let changes = changes
            .map(|(name, change)| (name.clone(), printed(&change["old"]), printed(&change["new"])));
        let by = cause["by"]["type"].as_str().unwrap_or_default().to_owned();
        let request = cause["request_id"].as_str().map(str::to_owned);
        // Of other requests there is no page.
        let request = request.filter(|_| matches!(by.as_str(), "token" | "oauth_client"));
        let whole = serde_json::json!({
            "id": event.event_id,
            "type": event.kind,
            "occurred_at": scim::datetime::print(event.occurred_at),
            "number": event.number,
            "cause": cause,
            "data": data,
        });
        Told {
            changes: changes.collect(),
            request: request.map(|id| (format!("{connection}/activity/{id}"), id)),
            by,
            whole: serde_json::to_string_pretty(&whole).unwrap_or_default(),
        }
    }
}

/// A value as people read it; nothing, of what is not there.
fn printed(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}
