//! Keys of this API: what each may do, and for which organization.

use axum::Json;
use axum::http::StatusCode;
use directory::secret::{Secret, SecretKind};
use directory::{ApiKey, ApiScopes, OrganizationId, TokenId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tokens::lifetime;
use super::{Input, PageOf, PageQuery, Path, Query, Vendor, check_name, describe, id, page_of};
use crate::problem::Problem;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApiKey {
    /// What it is for: `nightly report`.
    name: String,
    /// What it may do: `full`, `read` (reading everything), or parts.
    #[schema(schema_with = describe::api_scopes)]
    scopes: Vec<String>,
    /// The only organization that there is for it; all, where none is named.
    organization_id: Option<String>,
    /// Days for which it is good: 1 to 3,650; for ever where nothing is said.
    #[schema(minimum = 1, maximum = 3650)]
    lifetime_days: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct ApiKeyView {
    id: String,
    name: String,
    /// By which a person recognises it.
    last_four: String,
    #[schema(schema_with = describe::api_scopes)]
    scopes: Vec<&'static str>,
    organization_id: Option<String>,
    created_at: String,
    expires_at: Option<String>,
    /// To the minute.
    last_used_at: Option<String>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> ApiKeyView {
        ApiKeyView {
            id: key.id.to_string(),
            name: key.name,
            last_four: key.last_four,
            scopes: key.scopes.as_names().collect(),
            organization_id: key.organization_id.map(|id| id.to_string()),
            created_at: scim::datetime::print(key.created_at),
            expires_at: key.expires_at.map(scim::datetime::print),
            last_used_at: key.last_used_at.map(scim::datetime::print),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedApiKey {
    /// The secret. It is shown here and nowhere else.
    api_key: String,
    #[serde(flatten)]
    view: ApiKeyView,
}

/// `POST /api-keys`. The answer is the only place where the secret is shown.
pub(super) async fn create(
    vendor: Vendor,
    Input(new): Input<NewApiKey>,
) -> Result<(StatusCode, Json<CreatedApiKey>), Problem> {
    let name = check_name("name", &new.name)?;
    let scopes = ApiScopes::new(new.scopes.iter().map(String::as_str)).map_err(|unknown| {
        Problem::invalid(unknown.to_string(), "Name one or more scopes, such as `read`")
    })?;
    if vendor.store.key().is_some_and(|key| !key.scopes.include(&scopes)) {
        return Err(Problem::forbidden(
            "a key gives away no more than it may do itself",
            "Ask for fewer scopes, or use a key that has these",
        ));
    }
    let organization = new.organization_id.map(|text| id(&text, "organization")).transpose()?;
    let organization: Option<OrganizationId> = organization;
    let lifetime = new.lifetime_days.map(|days| lifetime(Some(days))).transpose()?;
    let now = vendor.counter.access.now();
    let ends_by = |end: Timestamp| lifetime.is_some_and(|it| it <= end.duration_since(now));
    if vendor.store.key().and_then(|key| key.expires_at).is_some_and(|end| !ends_by(end)) {
        return Err(Problem::forbidden(
            "a key that ends gives away none that is good for longer",
            "Send `lifetime_days`, so few that the new key ends no later; or use a key without an end",
        ));
    }
    let secret = Secret::new(SecretKind::ApiKey, (vendor.counter.entropy)());
    let key = vendor.store.create_api_key(name, &secret, scopes, organization, lifetime).await?;
    let created = CreatedApiKey { api_key: secret.reveal().to_owned(), view: key.into() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /api-keys`: of all organizations and of none; for a key of one, those of that one.
pub(super) async fn list(
    vendor: Vendor,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<ApiKeyView>>, Problem> {
    let limit = page.limit()?;
    let found = vendor.store.api_keys(page.after()?, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), ApiKeyView::from)))
}

/// `GET /api-keys/{key}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(key): Path<String>,
) -> Result<Json<ApiKeyView>, Problem> {
    let key: TokenId = id(&key, "API key")?;
    Ok(Json(vendor.store.api_key(key).await?.into()))
}

/// `DELETE /api-keys/{key}`: from now on it opens nothing.
pub(super) async fn revoke(vendor: Vendor, Path(key): Path<String>) -> Result<StatusCode, Problem> {
    let key: TokenId = id(&key, "API key")?;
    vendor.store.revoke_api_key(key).await?;
    Ok(StatusCode::NO_CONTENT)
}
