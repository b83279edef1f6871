//! What the server can do, and what its resources are made of (RFC 7644 §4).

use ::scim::discovery::{self, AuthenticationScheme, Bulk, Cursor, ServiceProviderConfig};
use ::scim::limit::{BULK_BYTES_MAX, BULK_OPERATIONS_MAX, CURSOR_SECONDS, PAGE_DEFAULT, PAGE_MAX};
use ::scim::{Error, ResourceType};
use axum::http::StatusCode;
use directory::CatalogueKind;

use super::answer::Answer;
use super::{Call, catalogue, shortened};
use crate::error::Refusal;

/// `GET /ServiceProviderConfig`.
pub(super) fn service_provider_config(base: &str) -> Answer {
    let config = ServiceProviderConfig {
        documentation_uri: None,
        bulk: Some(Bulk { operations_max: BULK_OPERATIONS_MAX, bytes_max: BULK_BYTES_MAX }),
        page_max: PAGE_MAX,
        page_default: PAGE_DEFAULT,
        sort: true,
        etag: true,
        cursor: Some(Cursor { timeout_seconds: CURSOR_SECONDS }),
        authentication_schemes: vec![AuthenticationScheme::BearerToken],
    };
    Answer::json(StatusCode::OK, &config.to_json(base))
}

/// `GET /ResourceTypes`.
pub(super) async fn resource_types(call: &Call) -> Result<Answer, Refusal> {
    call.refuse_filter()?;
    Ok(Answer::json(StatusCode::OK, &discovery::resource_types(&call.types().await?, &call.base)))
}

/// `GET /ResourceTypes/{id}`.
pub(super) async fn resource_type(call: &Call, id: &str) -> Result<Answer, Refusal> {
    let types = call.types().await?;
    let found = discovery::find_resource_type(&types, id).ok_or_else(|| {
        let names: Vec<_> = types.iter().map(|it| format!("`{}`", it.name)).collect();
        let (id, names) = (shortened(id), names.join(", "));
        Error::new(404, format!("there is no resource type `{id}`; this directory has {names}"))
    })?;
    Ok(Answer::json(StatusCode::OK, &discovery::resource_type(found, &call.base)))
}

/// `GET /Schemas`.
pub(super) async fn schemas(call: &Call) -> Result<Answer, Refusal> {
    call.refuse_filter()?;
    Ok(Answer::json(StatusCode::OK, &discovery::schemas(&call.types().await?, &call.base)))
}

/// `GET /Schemas/{urn}`.
pub(super) async fn schema(call: &Call, urn: &str) -> Result<Answer, Refusal> {
    let found = discovery::find_schema(&call.types().await?, urn).ok_or_else(|| {
        let urn = shortened(urn);
        Error::new(
            404,
            format!("there is no schema `{urn}`; `/Schemas` lists those that there are"),
        )
    })?;
    Ok(Answer::json(StatusCode::OK, &discovery::schema(&found, &call.base)))
}

impl Call {
    /// Users and groups as this directory has them; roles and entitlements where there are any: a
    /// client that reads of an endpoint goes and tries it.
    async fn types(&self) -> Result<Vec<ResourceType>, Refusal> {
        let types = self.store.types();
        let mut types = vec![ResourceType::clone(types.user()), ResourceType::clone(types.group())];
        for kind in [CatalogueKind::Role, CatalogueKind::Entitlement] {
            if self.store.has_catalogue(kind).await? {
                types.push(ResourceType::clone(catalogue::resource_type(kind)));
            }
        }
        Ok(types)
    }

    /// RFC 7644 §4: a filter on these must be answered with 403, lest a client believe that it was
    /// applied.
    fn refuse_filter(&self) -> Result<(), Refusal> {
        if self.parameter("filter").is_none() {
            return Ok(());
        }
        let detail = "this list cannot be filtered; ask for it without `filter`";
        Err(Error::new(403, detail).into())
    }
}
