//! The counter: where providers speak SCIM, and where the vendor manages.
//!
//! A request is recognised by its credential, which opens a store narrowed to what it may see;
//! then it is read, decided and answered. Every answer, on every path, is JSON, and every error
//! says what happened, why, and what to do now: an Okta admin sees the `detail` and nothing else.

mod api;
mod body;
mod caller;
mod connections;
mod error;
mod guesses;
mod health;
mod log;
mod oauth;
mod once;
mod openapi;
mod problem;
mod scim;
pub mod settings;
mod unreadable;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::Next;
use axum::response::Response;
use directory::Ids;
use directory::secret::Entropy;
use futures_util::FutureExt;
use store::Access;
use tracing::Instrument;

pub use connections::serve;
pub use openapi::document;
pub use settings::{BadSetting, Limits, Rate, Settings};

use crate::caller::Rates;
use crate::error::Refusal;
use crate::guesses::Guesses;
use crate::scim::Explanation;

/// Everything that a request is served with.
pub(crate) struct Counter {
    access: Access,
    settings: Settings,
    ids: Arc<dyn Ids>,
    entropy: Chance,
    rates: Option<Rates>,
    guesses: Option<Guesses>,
}

/// Where secrets come from. Chance arrives as an argument; the front door has the real one.
pub type Chance = fn() -> Entropy;

/// The application: hand it requests.
///
/// `ids` names requests, so that an answer can be found in the log; `entropy` makes tokens.
pub fn application(
    access: Access,
    settings: Settings,
    ids: Arc<dyn Ids>,
    entropy: Chance,
) -> Router {
    let counter = Arc::new(Counter {
        access,
        ids,
        entropy,
        rates: settings.limits.rate.map(caller::rates),
        guesses: settings.limits.guesses.map(Guesses::new),
        settings,
    });
    let scim_path = counter.settings.scim_path().to_owned();
    Router::new()
        .merge(health::routes())
        .merge(openapi::routes())
        .merge(oauth::routes())
        .nest("/api/v1", api::routes(&counter))
        // One handler for all of SCIM: which methods a path has, and what an unknown one is
        // answered, are a table of our own and not a framework's defaults.
        .route(&scim_path, axum::routing::any(scim::handle))
        .route(&format!("{scim_path}/"), axum::routing::any(scim::handle))
        .route(&format!("{scim_path}/{{*rest}}"), axum::routing::any(scim::handle))
        .fallback(scim::handle_unversioned)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&counter), name_request))
        .with_state(counter)
}

/// The name of a request, in its answer and in the log.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(String);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

async fn name_request(
    State(counter): State<Arc<Counter>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let begun = std::time::Instant::now();
    let id = RequestId(directory::RequestId::new(counter.ids.as_ref()).to_string());
    let method = request.method().clone();
    // Without the query, which may name people.
    let path = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| log::shown(request.uri().path(), counter.settings.scim_path()));
    request.extensions_mut().insert(id.clone());
    // Whatever is logged on the way is found by the id: a problem of the API promises it.
    let span = tracing::error_span!("request", request_id = %id);
    let answering = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span);
    let mut response = answering.await.unwrap_or_else(|_| {
        // A panic is a mistake of ours. It costs this request an honest answer and nobody else's.
        Refusal::from(store::Error::Panicked("while it was answered".to_owned())).answer(&id)
    });
    let header = HeaderValue::try_from(id.0.as_str()).expect("an id is plain ASCII");
    response.headers_mut().insert("x-request-id", header);
    let explanation = response.extensions_mut().remove::<Explanation>();
    let explanation = explanation.as_ref();
    // Answers hold personal data, which nobody on the way shall keep.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tracing::debug!(
        request_id = %id,
        directory_id = explanation.and_then(|it| it.directory_id).map(tracing::field::display),
        %method,
        path,
        status = response.status().as_u16(),
        duration_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        straightened = explanation.filter(|it| !it.quirks.is_empty()).map(Explanation::straightened),
        explanation = explanation.map(tracing::field::display),
        "answered {id}",
    );
    response
}
