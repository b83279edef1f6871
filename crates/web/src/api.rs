//! The management API, `/api/v1`: where the vendor makes organizations, directories and tokens,
//! and reads what became of them. JSON in, JSON out, problem details for errors.

mod catalogue;
mod directories;
mod events;
mod organizations;
mod schemas;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use directory::NAME_MAX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::ApiStore;

use crate::body::{self, Unread};
use crate::problem::Problem;
use crate::scim::{PATH_SHOWN_MAX, cut};
use crate::{Counter, caller};

/// Entries of a page when the caller does not say.
const PAGE_DEFAULT: u64 = 100;
/// Entries of a page at most.
const PAGE_MAX: u64 = 1_000;

pub(crate) fn routes(counter: &Arc<Counter>) -> Router<Arc<Counter>> {
    Router::new()
        .route("/organizations", get(organizations::list).post(organizations::create))
        .route("/organizations/{id}", get(organizations::get))
        .route(
            "/organizations/{id}/directories",
            get(directories::list_of_organization).post(directories::create),
        )
        .route("/directories", get(directories::list))
        .route("/directories/{id}", get(directories::get))
        .route("/directories/{id}/tokens", get(directories::tokens).post(directories::create_token))
        .route("/directories/{id}/tokens/{token}", delete(directories::revoke_token))
        .route("/directories/{id}/quirks", get(directories::quirks))
        .route("/directories/{id}/users", get(directories::users))
        .route("/directories/{id}/users/{user}", get(directories::user))
        .route("/directories/{id}/groups", get(directories::groups))
        .route("/directories/{id}/groups/{group}", get(directories::group))
        .route("/directories/{id}/schemas", get(schemas::list))
        .route(
            "/directories/{id}/schemas/{urn}",
            get(schemas::get).put(schemas::put).delete(schemas::delete),
        )
        .route("/directories/{id}/unknown-attributes", get(schemas::unknown_attributes))
        .route("/directories/{id}/unknown-attributes/adopt", post(schemas::adopt))
        .route("/roles", get(catalogue::roles))
        .route(
            "/roles/{id}",
            get(catalogue::role).put(catalogue::put_role).delete(catalogue::delete_role),
        )
        .route("/entitlements", get(catalogue::entitlements))
        .route(
            "/entitlements/{id}",
            get(catalogue::entitlement)
                .put(catalogue::put_entitlement)
                .delete(catalogue::delete_entitlement),
        )
        .route("/events", get(events::list))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{id}", get(webhooks::get).patch(webhooks::patch).delete(webhooks::delete))
        .route("/webhooks/{id}/secret", post(webhooks::rotate))
        .route("/webhooks/{id}/test", post(webhooks::test))
        .route("/webhooks/{id}/replay", post(webhooks::replay))
        .route("/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/webhooks/{id}/deliveries/{delivery}", get(webhooks::delivery))
        .route("/webhooks/{id}/deliveries/{delivery}/replay", post(webhooks::replay_one))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(counter))
}

/// Whoever has an API key. A handler that takes one is never run without.
pub(crate) struct Vendor {
    pub(crate) store: ApiStore,
    pub(crate) counter: Arc<Counter>,
}

impl<S: Send + Sync> FromRequestParts<S> for Vendor
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Vendor, Problem> {
        let counter = Arc::<Counter>::from_ref(state);
        let store = caller::vendor(&counter, parts).await?;
        Ok(Vendor { store, counter })
    }
}

/// The body of a request, as JSON. Names that the API does not know are refused, so that a
/// misspelt one is not silently without effect.
pub(crate) struct Input<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T>
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Input<T>, Problem> {
        let bytes_max = Arc::<Counter>::from_ref(state).settings.limits.api_body_bytes;
        let body =
            body::read(request.into_body(), bytes_max).await.map_err(|unread| match unread {
                Unread::TooLarge => Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    "The request is too large",
                    format!("it has more than {bytes_max} bytes"),
                    "Send less at once",
                ),
                Unread::TooSlow => Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "too-slow",
                    "The request took too long",
                    "its body did not arrive whole in time",
                    "Send it again",
                ),
                Unread::Broken => Problem::invalid("the request broke off", "Send it again"),
            })?;
        let json = scim::json::parse(&body)
            .map_err(|error| Problem::invalid(error.detail(), "Send a JSON object"))?;
        // Without this, a list would be read as the fields of an object in their order.
        if !json.is_object() {
            return Err(Problem::invalid("the body is not an object", "Send a JSON object"));
        }
        match axum::Json::from_bytes(&body) {
            Ok(axum::Json(input)) => Ok(Input(input)),
            Err(rejection) => {
                let why = rejection.body_text();
                // What axum says first is that it could not do it; after that it says where and why.
                let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
                let hint = "Compare the body with the API reference";
                Err(Problem::invalid(format!("the body cannot be read: {why}"), hint))
            }
        }
    }
}

/// The parameters of the path. Those that are not even text are the ids of nothing.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Path(parameters)),
            Err(_) => Err(Problem::not_found("resource")),
        }
    }
}

/// The parameters of the query. Names that the API does not know are refused here too: a list that
/// a misspelt one has not narrowed would be taken for one that it has.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(parameters)) => Ok(Query(parameters)),
            Err(rejection) => {
                // What axum says first is that it could not do it; below that it says why.
                let mut cause: &dyn std::error::Error = &rejection;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                let hint = "Compare the parameters with the API reference";
                Err(Problem::invalid(format!("the query cannot be read: {cause}"), hint))
            }
        }
    }
}

/// A parameter of the path; what is not an id of the kind is the id of nothing.
pub(crate) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The `next` of the page before.
    pub(crate) after: Option<String>,
    /// Entries at most.
    pub(crate) limit: Option<String>,
}

impl PageQuery {
    pub(crate) fn limit(&self) -> Result<u64, Problem> {
        let Some(text) = &self.limit else { return Ok(PAGE_DEFAULT) };
        match text.parse() {
            Ok(limit @ 1..=PAGE_MAX) => Ok(limit),
            _ => Err(Problem::invalid(
                format!("`limit` is `{}`", cut(text, 20)),
                format!("Ask for 1 to {PAGE_MAX} entries"),
            )),
        }
    }

    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let after = self.after.as_deref().map(str::parse).transpose();
        after.map_err(|_| {
            Problem::invalid("`after` is not a cursor of this list", "Send the `next` of a page")
        })
    }
}

/// A page of a list, and where it goes on.
#[derive(Debug, Serialize)]
pub(crate) struct PageOf<T> {
    pub(crate) data: Vec<T>,
    /// What to send as `after` for the next page; `null` on the last.
    pub(crate) next: Option<String>,
}

/// Cuts a list that was read with one entry too many, which tells whether there is more.
pub(crate) fn page_of<T, O>(
    mut entries: Vec<T>,
    limit: u64,
    cursor: impl Fn(&T) -> String,
    output: impl Fn(T) -> O,
) -> PageOf<O> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(cursor);
    PageOf { data: entries.into_iter().map(output).collect(), next }
}

/// A name that people give: not empty, not endless, without control characters.
pub(crate) fn check_name(field: &str, name: &str) -> Result<String, Problem> {
    let name = directory::as_name(name).ok_or_else(|| {
        Problem::invalid(
            format!(
                "`{field}` is empty, has more than {NAME_MAX} characters, or control characters"
            ),
            format!("Give `{field}` a short text"),
        )
    })?;
    Ok(name.to_owned())
}

/// A secret is not looked for where nothing is: without a key, every path is the same.
async fn unknown(_: Vendor, OriginalUri(uri): OriginalUri) -> Response {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is no such path",
        format!("nothing is served at `{}`", cut(uri.path(), PATH_SHOWN_MAX)),
        "Compare the path with the API reference",
    )
    .into_response()
}

async fn wrong_method(_: Vendor, request: Request) -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The method cannot be used here",
        format!("this path does not know `{}`", request.method()),
        "The header `Allow` says what it knows",
    )
    .into_response()
}
