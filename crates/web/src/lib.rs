//! The counter: where providers speak SCIM, and where the vendor manages.
//!
//! A request is recognised by its credential, which opens a store narrowed to what it may see;
//! then it is read, decided and answered. Every answer, on every path that a program asks for, is JSON,
//! and every error says what happened, why, and what to do now: an Okta admin sees the `detail` and
//! nothing else. Beside that there are pages, for people.

mod api;
mod body;
mod caller;
mod connections;
mod error;
mod followers;
mod guesses;
pub mod guides;
mod health;
mod log;
mod oauth;
mod oidc;
mod once;
mod openapi;
mod pages;
mod problem;
mod scim;
pub mod settings;
mod shares;
pub mod simulations;
mod table;
mod taken;
mod unreadable;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use directory::Ids;
use directory::secret::Entropy;
use futures_util::FutureExt;
use store::Access;
use tokio::sync::RwLock;
use tower::ServiceExt as _;

pub use connections::serve;
pub use oidc::{BadSignInProvider, SignInProvider};
pub use openapi::document;
pub use pages::brand::{BadBrand, Brand, Colour, Logo};
pub use pages::{FrameAncestor, NotASite, page_places};
pub use scim::places as scim_places;
pub use settings::{BadSetting, Limits, Rate, Settings, Source, Told};

use crate::caller::Rates;
use crate::error::Refusal;
use crate::followers::Followers;
use crate::guesses::Guesses;
use crate::oidc::Oidc;
use crate::pages::brand::Brands;
use crate::pages::{Policies, Tries};
use crate::scim::Explanation;
use crate::shares::Shares;
use crate::simulations::{Simulations, Simulators};
use crate::taken::Glimpse;

/// Everything that a request is served with.
pub(crate) struct Counter {
    access: Access,
    settings: Settings,
    ids: Arc<dyn Ids>,
    entropy: Chance,
    rates: Option<Rates>,
    guesses: Option<Guesses>,
    refusals: caller::Refusals,
    followers: Arc<Followers>,
    /// Of snapshots.
    snapshots: Shares,
    policies: Policies,
    brands: Brands,
    tries: Tries,
    /// Read by whatever goes on when its client has hung up.
    under_way: Arc<RwLock<()>>,
    /// By whom members may sign in.
    oidc: Option<Oidc>,
    simulations: Arc<Simulations>,
}

/// Where secrets come from. Chance arrives as an argument; the front door has the real one.
pub type Chance = fn() -> Entropy;

/// The application: hand it to [`serve`].
///
/// `ids` names requests, so that an answer can be found in the log; `entropy` makes tokens.
pub fn application(
    access: Access,
    settings: Settings,
    ids: Arc<dyn Ids>,
    entropy: Chance,
) -> Application {
    let counter = Arc::new(Counter {
        followers: Arc::new(Followers::new(
            access.clone(),
            settings.limits.readers,
            settings.limits.readers_of_key,
        )),
        snapshots: Shares::new(settings.limits.snapshots_of_key),
        access,
        ids,
        entropy,
        rates: settings.limits.rate.map(caller::rates),
        guesses: settings.limits.guesses.map(Guesses::new),
        refusals: caller::refusals(),
        policies: Policies::new(&settings.frame_ancestors),
        brands: Brands::new(Arc::clone(&settings.brand)),
        tries: Tries::new(),
        under_way: Arc::default(),
        oidc: settings.sign_in_provider.clone().map(|it| Oidc::new(it, settings.public_url())),
        simulations: Arc::default(),
        settings,
    });
    let others = Router::new()
        .merge(health::routes())
        .merge(openapi::routes())
        .merge(oauth::routes())
        .merge(pages::routes(&counter))
        .nest("/api/v1", api::routes(&counter))
        .fallback(scim::handle_unversioned)
        .method_not_allowed_fallback(error::wrong_method)
        .with_state(Arc::clone(&counter));
    Application { counter, others }
}

/// Whatever is asked of this server, answered.
#[derive(Clone)]
pub struct Application {
    counter: Arc<Counter>,
    /// What is not below the SCIM path.
    others: Router,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Application")
    }
}

impl Application {
    /// Has pages play identity providers that come from here.
    #[must_use]
    pub fn with_simulators(self, simulators: Arc<dyn Simulators>) -> Application {
        self.counter.simulations.supply(simulators);
        self
    }

    /// Lets those go who wait for something to happen: the server is to stop.
    pub(crate) fn stop(&self) {
        self.counter.followers.stop();
        self.counter.simulations.stop();
    }

    /// Waits for what goes on though its client has hung up. Nothing is begun any more.
    pub(crate) async fn finish(&self) {
        drop(self.counter.under_way.write().await);
    }

    /// Answers one request.
    pub async fn answer(self, mut request: Request<Body>) -> Response {
        let Application { counter, others } = self;
        let begun = std::time::Instant::now();
        let id = RequestId(directory::RequestId::new(counter.ids.as_ref()));
        // What is told of the request when it is answered, where anybody listens.
        let told = tracing::enabled!(tracing::Level::DEBUG).then(|| {
            // Without the query, which may name people.
            let path = log::shown(request.uri().path(), counter.settings.scim_path());
            (request.method().clone(), path)
        });
        // All of SCIM has one handler: which methods a path has, and what an unknown one is
        // answered, are a table of our own and not a framework's defaults.
        let is_scim = counter.settings.is_scim(request.uri().path());
        let glimpse = (is_scim || counter.settings.may_be_scim(request.uri().path()))
            .then(|| Glimpse::of(&counter, &request));
        let answering = async {
            if is_scim {
                return scim::handle(Arc::clone(&counter), id, request).await;
            }
            request.extensions_mut().insert(id);
            let mut response = others.oneshot(request).await.unwrap_or_else(|never| match never {});
            let explanation = response.extensions_mut().remove::<Explanation>();
            if let Some(Failure(cause)) = response.extensions_mut().remove() {
                error::log_failure(id, &cause);
            }
            (response, explanation)
        };
        let answered = AssertUnwindSafe(answering).catch_unwind().await;
        let (mut response, explanation) = answered.unwrap_or_else(|_| {
            // A panic is a mistake of ours. It costs this request an honest answer and nobody
            // else's.
            let panicked = store::Error::Panicked("while it was answered".to_owned());
            (Refusal::from(panicked).answer(id), None)
        });
        if let (Some(glimpse), Some(explanation)) = (glimpse, &explanation) {
            response = glimpse.note(&counter, id.0, explanation.clone(), response, None).await;
        }
        let headers = response.headers_mut();
        let header = HeaderValue::try_from(id.to_string()).expect("an id is plain ASCII");
        headers.insert(REQUEST_ID, header);
        // Answers hold personal data, which nobody on the way shall keep; those that do not say so.
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if let Some((method, path)) = told {
            let explanation = explanation.as_ref();
            let straightened = explanation.filter(|it| !it.quirks.is_empty());
            tracing::debug!(
                request_id = %id,
                directory_id =
                    explanation.and_then(|it| it.directory_id).map(tracing::field::display),
                %method,
                path,
                status = response.status().as_u16(),
                duration_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
                straightened = straightened.map(Explanation::straightened),
                explanation = explanation.map(tracing::field::display),
                "answered {id}",
            );
        }
        response
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request, in its answer and in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId(directory::RequestId);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an answer of the management API is that something failed: for the log, together with the
/// name of the request.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) Arc<store::Error>);
