//! The feed: what happened, in order, over all directories or in some; page by page, with waiting for
//! the next event, or as a stream.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::event::EventKind;
use directory::webhook;
use directory::{DirectoryId, OrganizationId};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{ApiStore, BadCursor, Cursor, EventFilter, EventPage, EventRecord};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::{PageQuery, Path, Vendor, id};
use crate::followers::{Follower, NoPlace, Woken};
use crate::problem::Problem;
use crate::scim::cut;

/// Seconds for which a page may be waited for. Most proxies wait for a minute.
const WAIT_MAX: u64 = 60;

/// Events that are read at once for a stream.
const STREAMED_AT_ONCE: u64 = 100;

/// How often a stream says something where nothing happens, so that nobody on the way takes it for
/// dead.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How often it is looked whether the key is still good of somebody who is so far behind that they
/// never wait.
const CHECKING: Duration = Duration::from_secs(1);

/// Types that are named in one request.
const TYPES_MAX: usize = 50;

/// Which events are meant, and from where on.
#[derive(Debug, Default, IntoParams)]
pub(super) struct EventsQuery {
    /// The `next` of the page before; `end` to begin with what happens from now on.
    after: Option<String>,
    /// Only what happened in directories of this one.
    organization_id: Option<String>,
    /// Only what happened in this one, which may have been deleted since.
    directory_id: Option<String>,
    /// Only events of these types, such as `directory.user.created`, or of types that begin so, such
    /// as `directory.user.*`. Several are named one after the other, or with commas between them.
    #[param(rename = "type", value_type = Option<Vec<String>>)]
    types: Vec<String>,
}

/// How much of them, and when.
#[derive(Debug, Default, IntoParams)]
pub(super) struct EventsPaging {
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Seconds, up to 60, for which to wait where there is nothing to be told yet: the answer comes
    /// with the next event.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 60)]
    wait: Option<String>,
}

/// Reads a query. It has names that may come again, so nothing else can.
fn read_query(parts: &Parts, is_paged: bool) -> Result<(EventsQuery, EventsPaging), Problem> {
    let (mut query, mut paging) = (EventsQuery::default(), EventsPaging::default());
    let read = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    for (name, value) in read {
        let place = match name.as_ref() {
            "type" => {
                query.types.extend(value.split(',').map(str::to_owned));
                if query.types.len() > TYPES_MAX {
                    let detail = format!("`type` names more than {TYPES_MAX} types");
                    return Err(Problem::invalid(
                        detail,
                        "Name the beginning of some: `directory.*`",
                    ));
                }
                continue;
            }
            "after" => &mut query.after,
            "organization_id" => &mut query.organization_id,
            "directory_id" => &mut query.directory_id,
            "limit" if is_paged => &mut paging.limit,
            "wait" if is_paged => &mut paging.wait,
            unknown => return Err(unreadable(&format!("unknown field `{}`", cut(unknown, 40)))),
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(unreadable(&format!("duplicate field `{name}`")));
        }
    }
    Ok((query, paging))
}

fn unreadable(why: &str) -> Problem {
    let hint = "Compare the parameters with the API reference";
    Problem::invalid(format!("the query cannot be read: {why}"), hint)
}

impl<S: Send + Sync> FromRequestParts<S> for EventsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<EventsQuery, Problem> {
        read_query(parts, false).map(|(query, _)| query)
    }
}

/// The query of a page.
pub(super) struct PageAsked(EventsQuery, EventsPaging);

impl<S: Send + Sync> FromRequestParts<S> for PageAsked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PageAsked, Problem> {
        read_query(parts, true).map(|(query, paging)| PageAsked(query, paging))
    }
}

impl EventsQuery {
    /// What is meant, of what the key may know of. What it may not is nowhere.
    async fn filter(&self, store: &ApiStore) -> Result<EventFilter, Problem> {
        let (organization_id, kinds) = (store.bound_to(), self.kinds()?);
        let mut filter = EventFilter { organization_id, directory_id: None, kinds };
        if let Some(text) = &self.organization_id {
            let organization: OrganizationId = id(text, "organization")?;
            if !store.was_organization(organization).await? {
                return Err(Problem::not_found("organization"));
            }
            filter.organization_id = Some(organization);
        }
        if let Some(text) = &self.directory_id {
            let directory: DirectoryId = id(text, "directory")?;
            let of = store.organization_of(directory).await?;
            let is_meant = |of| filter.organization_id.is_none_or(|wanted| wanted == of);
            if !of.is_some_and(is_meant) {
                return Err(Problem::not_found("directory"));
            }
            filter.directory_id = Some(directory);
        }
        Ok(filter)
    }

    fn kinds(&self) -> Result<Vec<EventKind>, Problem> {
        if let Some(unknown) = self.types.iter().find(|it| !webhook::Filter::is_type(it)) {
            return Err(Problem::invalid(
                format!("`type` names `{}`, and no event is of that type", cut(unknown, 60)),
                "Name types such as `directory.user.created`, or beginnings such as \
                 `directory.user.*`; leave it out for all",
            ));
        }
        let named = webhook::Filter { types: self.types.clone(), ..webhook::Filter::default() };
        let is_named = |kind: &EventKind| named.matches(kind.as_str(), None, None);
        // Where nobody names a type, the filter names none either, which stands for all.
        if self.types.is_empty() {
            return Ok(Vec::new());
        }
        Ok(EventKind::ALL.into_iter().filter(is_named).collect())
    }
}

impl EventsPaging {
    fn wait(&self) -> Result<Duration, Problem> {
        let Some(text) = &self.wait else { return Ok(Duration::ZERO) };
        match text.parse() {
            Ok(seconds @ 0..=WAIT_MAX) => Ok(Duration::from_secs(seconds)),
            _ => Err(Problem::invalid(
                format!("`wait` is `{}`", cut(text, 20)),
                format!("Wait for 0 to {WAIT_MAX} seconds"),
            )),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsPage {
    data: Vec<EventView>,
    /// What to send as `after` the next time, whether or not there is more already: a reader keeps
    /// it together with what it made of the events.
    next: String,
    /// Whether there was more when this was read, or more to be looked through for what was asked:
    /// then go on at once, also where `data` is empty.
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
    /// `null` of events that were kept before causes were.
    cause: Option<CauseView>,
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// What an event was caused by.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Cause)]
pub(super) struct CauseView {
    by: CausedBy,
    /// The request in which it was asked for: the `x-request-id` of its answer, and in the log.
    request_id: Option<String>,
    /// Where nobody asked for just this: of what it is a consequence.
    follows_from: Option<FollowsFrom>,
    /// The request of the provider that was carried out once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rerun_of: Option<String>,
}

/// Who caused it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
struct CausedBy {
    /// `token` and `oauth_client`: the identity provider; `api_key` and `member`: your side;
    /// `portal_link`: an IT admin in the portal; `operator`: a command on the server's machine;
    /// `server`: a rule of its own.
    #[serde(rename = "type")]
    kind: String,
    /// Of the token, client, key, member or link.
    id: Option<String>,
}

/// From what it follows.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
struct FollowsFrom {
    /// The type of the event.
    #[serde(rename = "type")]
    kind: String,
    /// Of the user, group or directory that it is about.
    id: String,
}

/// What was kept is read back.
pub(super) fn cause_view(text: Option<&str>) -> Option<CauseView> {
    text.map(|text| serde_json::from_str(text).expect("causes are kept as JSON"))
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
            cause: cause_view(event.cause.as_deref()),
            data: RawValue::from_string(event.data).expect("events are kept as JSON"),
        }
    }
}

/// `GET /events`. 410 where the cursor belongs to another life of the database.
pub(super) async fn list(
    vendor: Vendor,
    PageAsked(query, paging): PageAsked,
) -> Result<Json<EventsPage>, Problem> {
    let limit = PageQuery { limit: paging.limit.clone(), after: None }.limit()?;
    let wait = paging.wait()?;
    let filter = query.filter(&vendor.store).await?;
    let place = if wait.is_zero() { None } else { Some(place(&vendor)?) };
    let until = Instant::now() + wait;
    let mut after = query.after.map(Cursor::presented);
    loop {
        let events =
            vendor.store.events(after, filter.clone(), limit).await?.map_err(bad_cursor)?;
        let is_something = !events.events.is_empty() || events.has_more;
        let Some(place) = place.as_ref().filter(|_| !is_something) else {
            return Ok(Json(EventsPage::from(events)));
        };
        match place.wait(events.read_to, &filter, until).await? {
            Woken::News => after = Some(events.next),
            Woken::Time | Woken::Stopping => return Ok(Json(EventsPage::from(events))),
            Woken::Revoked => return Err(Problem::unauthorized()),
        }
    }
}

impl From<EventPage> for EventsPage {
    fn from(page: EventPage) -> EventsPage {
        EventsPage {
            data: page.events.into_iter().map(EventView::from).collect(),
            next: page.next.as_str().to_owned(),
            has_more: page.has_more,
        }
    }
}

fn place(vendor: &Vendor) -> Result<Follower, Problem> {
    const HINT: &str = "Send it again in a few seconds, or read without `wait`; one reader of all \
                        organizations needs one connection";
    vendor.counter.followers.place(&vendor.store).map_err(|why| match why {
        NoPlace::Full => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-readers",
            "Too many readers wait for events",
            "each of them takes up a connection, and there are as many as may be",
            HINT,
        ),
        NoPlace::OfKey => Problem::too_many_of_key(
            "too-many-readers-of-key",
            "Too many readers wait for events with this API key",
            format!(
                "{} may wait at once with one key, so that there is room for others",
                vendor.counter.settings.limits.readers_of_key
            ),
            HINT,
        ),
    })
}

/// Where a stream goes on that broke off: "a string that represents the last event ID" (WHATWG HTML
/// §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// For proxies that would gather a stream and hand it on in pieces.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /events/stream`: the same as server-sent events.
pub(super) async fn stream(
    vendor: Vendor,
    query: EventsQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = query.filter(&vendor.store).await?;
    let place = place(&vendor)?;
    // Whoever connects anew sends the same address as before, and knows better by now.
    let last = match headers.get(LAST_EVENT_ID).map(HeaderValue::to_str) {
        None | Some(Ok("")) => None,
        Some(Ok(last)) => Some(last.to_owned()),
        Some(Err(_)) => return Err(bad_cursor(BadCursor::Malformed)),
    };
    let after = last.or(query.after).map(Cursor::presented);
    // A cursor that leads nowhere is a problem, and no stream.
    let page = vendor.store.events(after, filter.clone(), STREAMED_AT_ONCE).await?;
    let page = page.map_err(bad_cursor)?;
    let streamed = Streamed {
        after: page.next.clone(),
        read_to: page.read_to,
        has_more: page.has_more,
        page: Some(page),
        is_silent: false,
        is_over: false,
        checked: Instant::now(),
        vendor,
        filter,
        place,
    };
    let body = Body::from_stream(stream::unfold(streamed, Streamed::next));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody to whom events are streamed. It is asked for the next piece when they have taken the last,
/// so who is slow holds up nobody, and has no more than a page in memory.
struct Streamed {
    vendor: Vendor,
    filter: EventFilter,
    place: Follower,
    /// What was read and is not told.
    page: Option<EventPage>,
    /// Up to where everything was told.
    after: Cursor,
    read_to: u64,
    has_more: bool,
    /// Whether a page with nothing on it is not worth a word.
    is_silent: bool,
    is_over: bool,
    /// When it was last looked whether the key is good.
    checked: Instant,
}

impl Streamed {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Streamed)> {
        if self.is_over {
            return None;
        }
        let text = match self.more().await {
            Ok(text) => text?,
            // It cannot be answered with a status any more, so it is told in the stream, which ends.
            Err(problem) => {
                self.is_over = true;
                if let Some(error) = problem.failure() {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "a stream of events ended, and its reader has to connect anew",
                    );
                }
                let problem = serde_json::to_string(&problem).expect("a problem can be printed");
                format!("event: problem\ndata: {problem}\n\n")
            }
        };
        Some((Ok(Bytes::from(text)), self))
    }

    /// What is to be said next; nothing where the server is stopping.
    async fn more(&mut self) -> Result<Option<String>, Problem> {
        loop {
            if let Some(page) = self.page.take() {
                let text = self.tell(page);
                if !text.is_empty() {
                    return Ok(Some(text));
                }
            }
            let (followers, store) = (&self.vendor.counter.followers, &self.vendor.store);
            let mut is_quiet = false;
            if !self.has_more {
                let until = Instant::now() + KEEPALIVE;
                let filter = &self.filter;
                match self.place.wait(self.read_to, filter, until).await? {
                    Woken::News => {}
                    Woken::Time => is_quiet = true,
                    Woken::Stopping => return Ok(None),
                    Woken::Revoked => return Err(Problem::unauthorized()),
                }
            } else if followers.is_stopping() {
                return Ok(None);
            }
            // Whoever always has something to tell never waits until they are told.
            if self.checked.elapsed() >= CHECKING {
                self.checked = Instant::now();
                if !store.is_open().await? {
                    return Err(Problem::unauthorized());
                }
            }
            let (after, filter) = (Some(self.after.clone()), self.filter.clone());
            let page = store.events(after, filter, STREAMED_AT_ONCE).await?.map_err(bad_cursor)?;
            self.is_silent &= !is_quiet;
            self.page = Some(page);
        }
    }

    /// Tells of a page; of one with nothing on it in the beginning, and where it was quiet for a while.
    fn tell(&mut self, page: EventPage) -> String {
        let mut text = String::new();
        for event in page.events {
            let cursor = self.vendor.store.cursor(&self.filter, &event);
            let kind = event.kind.clone();
            let view = serde_json::to_string(&EventView::from(event));
            // A line ends where it ends: in JSON, there is none within a text.
            let view = view.expect("an event can be printed").replace(['\r', '\n'], " ");
            write!(text, "id: {}\nevent: {kind}\ndata: {view}\n\n", cursor.as_str())
                .expect("a string takes it");
        }
        (self.after, self.read_to, self.has_more) = (page.next, page.read_to, page.has_more);
        if !std::mem::replace(&mut self.is_silent, true) && text.is_empty() {
            // The place is told too: whoever connects anew need not look again at what was not for
            // them.
            text = format!(": nothing new\nid: {}\n\n", self.after.as_str());
        }
        text
    }
}

/// `GET /directories/{directory}/events/{number}`: one event, whole.
pub(super) async fn get(
    vendor: Vendor,
    Path((directory, number)): Path<(String, String)>,
) -> Result<Json<EventView>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    // Also of one that was deleted: that is told in events, too, and they may be large.
    let organization = vendor.store.organization_of(directory).await?;
    organization.ok_or_else(|| Problem::not_found("directory"))?;
    let number = number.parse::<u64>().ok().filter(|it| i64::try_from(*it).is_ok());
    let found = match number {
        Some(number) => vendor.store.event(directory, number).await?,
        None => None,
    };
    let event = found.ok_or_else(|| Problem::not_found("event"))?;
    Ok(Json(EventView::from(event)))
}

pub(super) fn bad_cursor(bad: BadCursor) -> Problem {
    match bad {
        BadCursor::Malformed => Problem::invalid(
            "`after` is not a cursor of this feed, or was made with another `directory_id` or \
             `organization_id`",
            "Send the `next` of a page unchanged, and with the `directory_id` and `organization_id` \
             of that page; leave `after` out to read from the beginning",
        ),
        BadCursor::AnotherEpoch => Problem::new(
            StatusCode::GONE,
            "cursor-of-another-epoch",
            "The cursor belongs to another life of this database",
            "the database was restored or replaced after the cursor was made, so the events after \
             it may not be those that its reader expects",
            "Read a snapshot of each directory, replace what was made of the feed, and go on from \
             there",
        ),
        BadCursor::Forgotten => Problem::new(
            StatusCode::GONE,
            "events-are-gone",
            "Events after the cursor are not kept any more",
            "events are kept for as long as the server is told to, and the cursor was not used for \
             longer than that",
            "Read a snapshot of each directory, and go on with the feed from there; read it more \
             often, or have events kept for longer with `roster serve --keep-events-days`",
        ),
    }
}
