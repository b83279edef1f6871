//! `/Roles` and `/Entitlements`: what the vendor's app has to give, for providers that let an admin
//! choose (Okta's governance). Read-only: which there are is said by the app, through the management
//! API.

use std::sync::{Arc, LazyLock};

use ::scim::{Error, ResourceType};
use axum::http::StatusCode;
use directory::{CatalogueEntry, CatalogueKind};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::list::{self, Among};
use super::represent::{Common, Represent};
use super::{Call, shortened};
use crate::error::Refusal;

/// What roles and entitlements are made of: the same in every directory.
pub(super) fn resource_type(kind: CatalogueKind) -> &'static Arc<ResourceType> {
    static ROLE: LazyLock<Arc<ResourceType>> = LazyLock::new(|| Arc::new(ResourceType::role()));
    static ENTITLEMENT: LazyLock<Arc<ResourceType>> =
        LazyLock::new(|| Arc::new(ResourceType::entitlement()));
    match kind {
        CatalogueKind::Role => &ROLE,
        CatalogueKind::Entitlement => &ENTITLEMENT,
    }
}

/// `GET /Roles`, `GET /Entitlements` (RFC 7644 §3.4.2).
pub(super) async fn list(call: &mut Call, kind: CatalogueKind) -> Result<Answer, Refusal> {
    let resource_type = resource_type(kind);
    let query = list::query(call, None).await?;
    let list = call.list(query, resource_type, Among::One)?;
    let request = list.request(call, resource_type, "");
    let page = call.store.catalogue(kind, request).await?;
    Ok(list.answer(page, |entry, text| list.print(call, resource_type, entry, text)))
}

/// `GET /Roles/{id}`, `GET /Entitlements/{id}` (RFC 7644 §3.4.1).
pub(super) async fn get(call: &Call, kind: CatalogueKind, id: &str) -> Result<Answer, Refusal> {
    let resource_type = resource_type(kind);
    let projection = call.projection(resource_type)?;
    let found = match id.parse() {
        Ok(id) => call.store.catalogue_entry(kind, id).await?,
        Err(_) => None,
    };
    let entry = found.ok_or_else(|| {
        let what = resource_type.name.to_lowercase();
        Error::new(
            404,
            format!(
                "no {what} has the id `{}`. `{}` lists those that the app has; import them again",
                shortened(id),
                resource_type.endpoint
            ),
        )
    })?;
    if let Some(answer) = call.unchanged(resource_type, &entry)? {
        return Ok(answer);
    }
    Ok(call.resource(StatusCode::OK, resource_type, &projection, &entry))
}

impl Represent for CatalogueEntry {
    /// None: nothing is related to it.
    const RELATED: &'static str = "";

    fn common(&self) -> Common<'_> {
        let mut kept = Map::new();
        kept.insert("displayName".into(), self.display_name.as_str().into());
        kept.insert("value".into(), self.id.to_string().into());
        if let Some(description) = &self.description {
            kept.insert("description".into(), description.as_str().into());
        }
        if self.kind == CatalogueKind::Entitlement {
            kept.insert("type".into(), self.kind.as_str().into());
        }
        Common {
            id: &self.id,
            kept: Value::Object(kept).to_string().into(),
            // When it last changed: another one than before even where it was deleted and made anew.
            version: self.modified_at.as_microsecond().unsigned_abs(),
            created_at: self.created_at,
            modified_at: self.modified_at,
        }
    }

    fn print_related(&self, _: &str, _: &mut String) {}
}
