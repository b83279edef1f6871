//! What makes pages live: a stream that says when there is something new. What is new is
//! not in it; the page is asked for again, and what has changed of it is put in its place. So there is
//! one way to show something, with scripts and without.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::{DirectoryId, DirectoryState};
use futures_util::stream;
use jiff::Timestamp;
use store::{ApiStore, RequestFilter};

use super::connection::Connection;
use crate::Counter;
use crate::followers::Follower;
use crate::pages::Stop;
use crate::pages::portal::home::DIRECTORIES_MAX;
use crate::pages::visitor::{Opened, Visitor};

/// How often it is looked whether there is something new.
const LOOKING: Duration = Duration::from_secs(1);

/// How often something is said where nothing is new, so that nobody on the way takes the stream for
/// dead: after this many looks.
const KEEPALIVE: u32 = 15;

/// For proxies that would gather a stream and hand it on in pieces.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Where a page hears that there is something new, and where it is itself.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) listen: String,
    pub(crate) page: String,
}

impl Live {
    /// Of a page below the address of a connection.
    pub(super) fn of_one(connection: &Connection, page: &str) -> Live {
        let address = &connection.address;
        Live { listen: format!("{address}/live"), page: format!("{address}{page}") }
    }
}

/// `GET …/live`.
pub(super) async fn of_one(visitor: Visitor) -> Result<Response, Stop> {
    let Visitor { store, counter, opened, connection, .. } = visitor;
    Ok(listen(counter, &store, opened, Some(connection.id)))
}

/// A stream of what is new of one directory, or of all that a link opens.
pub(in crate::pages) fn listen(
    counter: Arc<Counter>,
    store: &ApiStore,
    opened: Opened,
    of: Option<DirectoryId>,
) -> Response {
    let Ok(place) = counter.followers.place(store) else {
        // The page says that it is not live, and tries again.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let listener = Listener { counter, opened, of, place, seen: None, looks: 0 };
    let mut response = Body::from_stream(stream::unfold(listener, Listener::next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Somebody whose page is live.
struct Listener {
    counter: Arc<Counter>,
    opened: Opened,
    of: Option<DirectoryId>,
    place: Follower,
    seen: Option<Vec<Pulse>>,
    /// Since something was said.
    looks: u32,
}

impl Listener {
    /// What is to be said next; nothing where the server is stopping, the link is not good any more, or
    /// it cannot be looked. The browser connects anew, and is told why.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Listener)> {
        loop {
            if self.seen.is_some() && !self.place.rest(LOOKING).await {
                return None;
            }
            let store = self.opened.store(&self.counter.access).await.ok()??;
            let now = pulse(&store, self.of, self.counter.access.now()).await.ok()??;
            let before = self.seen.replace(now);
            self.looks += 1;
            let said = match before {
                None => ": listening\n\n",
                Some(before) if self.seen.as_ref() != Some(&before) => "event: news\ndata:\n\n",
                Some(_) if self.looks >= KEEPALIVE => ": nothing new\n\n",
                Some(_) => continue,
            };
            self.looks = 0;
            return Some((Ok(Bytes::from_static(said.as_bytes())), self));
        }
    }
}

/// What tells one moment of a directory from another, for all that pages show.
#[derive(PartialEq, Eq)]
struct Pulse {
    state: DirectoryState,
    /// Of the latest event.
    event_number: u64,
    /// The latest request, where it is looked at one directory.
    request: Option<String>,
    /// Kinds of traffic and mistakes that were seen, also where requests are not kept.
    seen: (usize, usize),
    last_contact_at: Option<Timestamp>,
    /// How far is what goes on in the background, where it is looked at one directory.
    background: String,
}

/// `None` where the directory is not there any more.
async fn pulse(
    store: &ApiStore,
    of: Option<DirectoryId>,
    now: Timestamp,
) -> Result<Option<Vec<Pulse>>, store::Error> {
    let found = match of {
        None => store.directories(store.bound_to(), None, DIRECTORIES_MAX).await?,
        Some(id) => match store.directory(id).await? {
            Some(found) => vec![found],
            None => return Ok(None),
        },
    };
    let pulse = |found: &store::DirectorySummary| Pulse {
        state: found.state(now),
        event_number: found.event_number,
        request: None,
        seen: (0, 0),
        last_contact_at: found.contact.last_at,
        background: String::new(),
    };
    let mut pulses: Vec<_> = found.iter().map(pulse).collect();
    if let (Some(id), [pulse]) = (of, pulses.as_mut_slice()) {
        let filter = RequestFilter { directory_id: Some(id), ..RequestFilter::default() };
        let latest = store.requests(filter, 1).await?.requests;
        pulse.request = latest.into_iter().next().map(|it| it.request_id);
        let known = store.speaker(id).await?;
        pulse.seen = (known.sightings.len(), known.traps.len());
        pulse.background = store.background(id).await?;
    }
    Ok(Some(pulses))
}
