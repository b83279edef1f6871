//! `/Roles` and `/Entitlements`: what the vendor's app has to give, for providers that let an admin
//! choose (Okta's governance). Read-only: which there are is said by the app, through the management
//! API.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use ::scim::{Error, ResourceType, datetime};
use axum::http::StatusCode;
use directory::{CatalogueEntry, CatalogueKind};
use serde_json::Value;

use super::answer::Answer;
use super::list::{self, Among};
use super::represent::Represent;
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
pub(super) async fn list(mut call: Call, kind: CatalogueKind) -> Result<Answer, Refusal> {
    let resource_type = resource_type(kind);
    let query = list::query(&mut call, None).await?;
    let list = call.list(query, resource_type, Among::One)?;
    let request = list.request(&call, resource_type, "");
    let page = call.store.catalogue(kind, request).await?;
    Ok(list.answer(page, |entry| list.print(&call, resource_type, entry)))
}

/// `GET /Roles/{id}`, `GET /Entitlements/{id}` (RFC 7644 §3.4.1).
pub(super) async fn get(call: Call, kind: CatalogueKind, id: &str) -> Result<Answer, Refusal> {
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
    fn print(&self, resource_type: &ResourceType, base: &str) -> String {
        let (id, schema) = (&self.id, &resource_type.schema.id);
        let mut text = format!(
            "{{\"schemas\":[\"{schema}\"],\"id\":\"{id}\",\"displayName\":{},\"value\":\"{id}\"",
            Value::from(self.display_name.as_str()),
        );
        let mut more = |part: std::fmt::Arguments<'_>| {
            text.write_fmt(part).expect("text takes what is written");
        };
        if let Some(description) = &self.description {
            more(format_args!(",\"description\":{}", Value::from(description.as_str())));
        }
        if self.kind == CatalogueKind::Entitlement {
            more(format_args!(",\"type\":\"{}\"", resource_type.name));
        }
        more(format_args!(
            ",\"meta\":{{\"resourceType\":\"{}\",\"created\":\"{}\",\"lastModified\":\"{}\",\
             \"location\":\"{}\",\"version\":\"W/\\\"{}\\\"\"}}}}",
            resource_type.name,
            datetime::print(self.created_at),
            datetime::print(self.modified_at),
            self.location(resource_type, base),
            self.version(),
        ));
        text
    }

    fn location(&self, resource_type: &ResourceType, base: &str) -> String {
        format!("{base}{}/{}", resource_type.endpoint, self.id)
    }

    /// When it last changed: another one than before even where it was deleted and made anew.
    fn version(&self) -> u64 {
        self.modified_at.as_microsecond().unsigned_abs()
    }
}
