//! What makes pages of the dashboard live: a stream that says when there is something new, as the portal's
//! does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::EndpointId;
use directory::secret::SecretHash;
use futures_util::stream;
use serde::Deserialize;
use store::{ApiStore, RequestFilter};

use super::{Dashboard, session_of};
use crate::Counter;
use crate::followers::Follower;
use crate::pages::Stop;
use crate::pages::directory::live::Live;
use crate::pages::parts::with_query;

/// For proxies that would gather a stream and hand it on in pieces.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How often something is said where nothing is new, so that nobody on the way takes the stream for dead.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What a page shows that may be new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Subject {
    #[default]
    Events,
    Webhooks,
    Overview,
}

impl Subject {
    /// How often it is looked: an overview takes more to make than the others.
    fn looking(self) -> Duration {
        Duration::from_secs(if self == Subject::Overview { 5 } else { 1 })
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    of: Subject,
    #[serde(default)]
    id: String,
}

/// Of a page that shows events.
pub(super) fn of_events(page: String) -> Live {
    Live { listen: "/dashboard/live?of=events".to_owned(), page }
}

/// Of a page that shows endpoints, or one.
pub(super) fn of_webhooks(id: &str, page: String) -> Live {
    Live { listen: with_query("/dashboard/live", [("of", "webhooks"), ("id", id)]), page }
}

/// Of the overview.
pub(super) fn of_overview() -> Live {
    Live { listen: "/dashboard/live?of=overview".to_owned(), page: "/dashboard".to_owned() }
}

/// `GET /dashboard/live`.
pub(super) async fn listen(
    dashboard: Dashboard,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let Ok(place) = dashboard.counter.followers.place(&dashboard.store) else {
        // The page says that it is not live, and tries again.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let session = session_of(&headers).ok_or(Stop::Nothing)?;
    let listener = Listener {
        counter: dashboard.counter,
        session: SecretHash::of(session),
        of: asked.of,
        endpoint: asked.id.parse().ok(),
        place,
        seen: None,
        silent_for: Duration::ZERO,
    };
    let mut response = Body::from_stream(stream::unfold(listener, Listener::next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody whose page is live.
struct Listener {
    counter: Arc<Counter>,
    session: SecretHash,
    of: Subject,
    endpoint: Option<EndpointId>,
    place: Follower,
    seen: Option<String>,
    silent_for: Duration,
}

impl Listener {
    /// What is to be said next; nothing where the server is stopping, nobody is signed in any more, or it
    /// cannot be looked. The browser connects anew, and is told why.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Listener)> {
        loop {
            if self.seen.is_some() && !self.place.rest(self.of.looking()).await {
                return None;
            }
            let store = self.counter.access.dashboard(&self.session).await.ok()??;
            let now = self.pulse(&store).await.ok()?;
            let before = self.seen.replace(now);
            self.silent_for += self.of.looking();
            let said = match before {
                None => ": listening\n\n",
                Some(before) if self.seen.as_ref() != Some(&before) => "event: news\ndata:\n\n",
                Some(_) if self.silent_for >= KEEPALIVE => ": nothing new\n\n",
                Some(_) => continue,
            };
            self.silent_for = Duration::ZERO;
            return Some((Ok(Bytes::from_static(said.as_bytes())), self));
        }
    }

    /// What tells one moment from another, for all that the page shows.
    async fn pulse(&self, store: &ApiStore) -> Result<String, store::Error> {
        let end = store.end_of_feed().await?;
        Ok(match (self.of, self.endpoint) {
            (Subject::Events, _) => end.to_string(),
            (Subject::Webhooks, Some(id)) => {
                let endpoint = store.endpoint(id).await?;
                let latest = store.deliveries(id, None, None, 1).await?;
                let latest = latest.first().map(|it| (it.id, it.attempt_count, it.state));
                format!("{endpoint:?} {latest:?} {:?}", store.replays(id).await?)
            }
            (Subject::Webhooks, None) => format!("{:?}", store.endpoints(None, 1_000).await?),
            (Subject::Overview, _) => {
                let latest = store.requests(RequestFilter::default(), 1).await?.requests;
                let latest = latest.first().map(|it| it.place);
                let minute = self.counter.access.now().as_second() / 60;
                format!("{end} {latest:?} {minute}")
            }
        })
    }
}
