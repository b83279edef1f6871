//! What makes pages of the portal live: a stream that says when there is something new. What is new is
//! not in it; the page is asked for again, and what has changed of it is put in its place. So there is
//! one way to show something, with scripts and without.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::secret::SecretHash;
use directory::{DirectoryId, DirectoryState, PortalLinkId};
use futures_util::stream;
use jiff::Timestamp;
use store::{ApiStore, RequestFilter};

use super::connection::Connection;
use super::home::DIRECTORIES_MAX;
use super::{Inside, Portal};
use crate::Counter;
use crate::followers::Follower;
use crate::pages::Stop;

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
    pub(super) fn of_all(inside: &Inside) -> Live {
        Live { listen: format!("{}/live", inside.home), page: inside.home.clone() }
    }

    /// Of a page below the address of a connection.
    pub(super) fn of_one(connection: &Connection, page: &str) -> Live {
        let address = &connection.address;
        Live { listen: format!("{address}/live"), page: format!("{address}{page}") }
    }
}

/// `GET /portal/{link}/live`.
pub(super) async fn of_all(portal: Portal) -> Result<Response, Stop> {
    Ok(listen(portal, None))
}

/// `GET /portal/{link}/directories/{directory}/live`.
pub(super) async fn of_one(
    portal: Portal,
    Path((_, directory)): Path<(String, String)>,
) -> Result<Response, Stop> {
    let connection = portal.connection(&directory).await?;
    Ok(listen(portal, Some(connection.id)))
}

fn listen(portal: Portal, of: Option<DirectoryId>) -> Response {
    let Ok(place) = portal.counter.followers.place(&portal.store) else {
        // The page says that it is not live, and tries again.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Portal { counter, opened, .. } = portal;
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
    opened: (PortalLinkId, SecretHash),
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
            let (link, session) = &self.opened;
            let store = self.counter.access.portal(*link, session).await.ok()??;
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
    };
    let mut pulses: Vec<_> = found.iter().map(pulse).collect();
    if let (Some(id), [pulse]) = (of, pulses.as_mut_slice()) {
        let filter = RequestFilter { directory_id: Some(id), ..RequestFilter::default() };
        let latest = store.requests(filter, 1).await?.requests;
        pulse.request = latest.into_iter().next().map(|it| it.request_id);
        let known = store.speaker(id).await?;
        pulse.seen = (known.sightings.len(), known.traps.len());
    }
    Ok(Some(pulses))
}
