//! Erasing a person: to begin it, to see how far it is, and the receipt.

use axum::Json;
use axum::http::StatusCode;
use directory::{DirectoryId, ErasureId, Rejection, ResourceId};
use serde::Serialize;
use store::{Erased, Erasure};
use utoipa::ToSchema;

use super::{PageOf, PageQuery, Path, Query, Vendor, id, page_of};
use crate::problem::Problem;

/// The erasure of a person; when it is done, the receipt. It says nothing of them but ids.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(super) struct ErasureView {
    id: String,
    /// `running`, or `done`.
    state: &'static str,
    /// What is looked through now: `events`, `deliveries`, `requests`, `files`; at last `done`.
    stage: &'static str,
    organization_id: String,
    directory_id: String,
    user_id: String,
    /// All ids that the person had, if they were deleted and came back.
    user_ids: Vec<String>,
    begun_at: String,
    finished_at: Option<String>,
    by: AskedBy,
    /// The `x-request-id` of the answer to whoever asked for it.
    request_id: Option<String>,
    erased: ErasedView,
}

/// Who asked for it.
#[derive(Debug, Serialize, ToSchema)]
struct AskedBy {
    /// `api_key`; `operator`: a command on the server's machine.
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    /// What they were called then.
    name: Option<String>,
}

/// How much was erased until now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erased)]
struct ErasedView {
    /// 1 where the person was still in the directory, and was deleted.
    users: u64,
    /// Times that it was remembered that they had been deleted.
    former_users: u64,
    /// Events of theirs, of which only the ids are left.
    events: u64,
    /// Deliveries to webhook endpoints that told of them.
    deliveries: u64,
    /// Requests of the provider that named them.
    requests: u64,
}

impl From<Erasure> for ErasureView {
    fn from(erasure: Erasure) -> ErasureView {
        let Erased { users, former_users, events, deliveries, requests } = erasure.erased;
        let (kind, by, name) = erasure.asked_by;
        ErasureView {
            id: erasure.id.to_string(),
            state: if erasure.finished_at.is_some() { "done" } else { "running" },
            stage: erasure.stage.as_str(),
            organization_id: erasure.organization_id.to_string(),
            directory_id: erasure.directory_id.to_string(),
            user_id: erasure.user_id.to_string(),
            user_ids: erasure.user_ids.iter().map(ToString::to_string).collect(),
            begun_at: ::scim::datetime::print(erasure.begun_at),
            finished_at: erasure.finished_at.map(::scim::datetime::print),
            by: AskedBy { kind, id: by, name },
            request_id: erasure.request_id.map(|id| id.to_string()),
            erased: ErasedView { users, former_users, events, deliveries, requests },
        }
    }
}

/// `POST /directories/{directory}/users/{user}/erase`. 202: it is done in the background.
pub(super) async fn erase(
    vendor: Vendor,
    Path((directory, user)): Path<(String, String)>,
) -> Result<(StatusCode, Json<ErasureView>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    // Also of a directory that was deleted: there are events of it still.
    if vendor.store.organization_of(directory).await?.is_none() {
        return Err(Problem::not_found("directory"));
    }
    let user = ResourceId::parse(&user).ok_or_else(|| Problem::not_found("user"))?;
    match vendor.store.erase_user(directory, user).await {
        Ok(erasure) => Ok((StatusCode::ACCEPTED, Json(erasure.into()))),
        Err(store::Error::Rejected(Rejection::UnknownUser(_))) => Err(Problem::not_found("user")),
        Err(error) => Err(error.into()),
    }
}

/// `GET /erasures`, the latest first.
pub(super) async fn list(
    vendor: Vendor,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<ErasureView>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<ErasureId>()?);
    let found = vendor.store.erasures(after, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), ErasureView::from)))
}

/// `GET /erasures/{erasure}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(erasure): Path<String>,
) -> Result<Json<ErasureView>, Problem> {
    let erasure: ErasureId = id(&erasure, "erasure")?;
    let found = vendor.store.erasure(erasure).await?;
    found.map(|it| Json(it.into())).ok_or_else(|| Problem::not_found("erasure"))
}
