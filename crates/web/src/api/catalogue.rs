//! The roles and entitlements of the vendor's app, as providers read them at `/Roles` and
//! `/Entitlements`.

use axum::Json;
use axum::http::StatusCode;
use directory::{CatalogueEntry, CatalogueKind, EntryId};
use serde::{Deserialize, Serialize};
use store::NewEntry;
use utoipa::ToSchema;

use super::{Input, PageOf, Path, Tagged, Vendor, When, check_name};
use crate::problem::Problem;

/// Characters of a description; Okta reads no more.
const DESCRIPTION_MAX: usize = 1_000;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CatalogueEntryInput)]
pub(super) struct EntryInput {
    name: String,
    #[serde(default)]
    description: Option<String>,
    /// Of a role: 1 is the highest. One without a rank is below all that have one.
    #[serde(default)]
    rank: Option<u16>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueEntry)]
pub(super) struct EntryView {
    id: String,
    name: String,
    description: Option<String>,
    /// Of a role: 1 is the highest; null where it has none.
    rank: Option<u16>,
    created_at: String,
    updated_at: String,
}

impl From<CatalogueEntry> for Tagged<EntryView> {
    fn from(entry: CatalogueEntry) -> Tagged<EntryView> {
        Tagged { revision: entry.revision(), view: entry.into() }
    }
}

impl From<CatalogueEntry> for EntryView {
    fn from(entry: CatalogueEntry) -> EntryView {
        EntryView {
            id: entry.id.to_string(),
            name: entry.display_name,
            description: entry.description,
            rank: entry.rank,
            created_at: scim::datetime::print(entry.created_at),
            updated_at: scim::datetime::print(entry.modified_at),
        }
    }
}

/// `GET /roles`, in the order in which they were added.
pub(super) async fn roles(vendor: Vendor) -> Result<Json<PageOf<EntryView>>, Problem> {
    list(&vendor, CatalogueKind::Role).await
}

/// `GET /roles/{id}`.
pub(super) async fn role(
    vendor: Vendor,
    Path(id): Path<String>,
) -> Result<Tagged<EntryView>, Problem> {
    get(&vendor, CatalogueKind::Role, &id).await
}

/// `PUT /roles/{id}`: adds it, or changes it. The id is the vendor's own, and stays.
pub(super) async fn put_role(
    vendor: Vendor,
    Path(id): Path<String>,
    when: When,
    Input(input): Input<EntryInput>,
) -> Result<Tagged<EntryView>, Problem> {
    put(&vendor, CatalogueKind::Role, &id, when, input).await
}

/// `DELETE /roles/{id}`. Users who have it keep it.
pub(super) async fn delete_role(
    vendor: Vendor,
    Path(id): Path<String>,
    when: When,
) -> Result<StatusCode, Problem> {
    delete(&vendor, CatalogueKind::Role, &id, when).await
}

/// `GET /entitlements`, in the order in which they were added.
pub(super) async fn entitlements(vendor: Vendor) -> Result<Json<PageOf<EntryView>>, Problem> {
    list(&vendor, CatalogueKind::Entitlement).await
}

/// `GET /entitlements/{id}`.
pub(super) async fn entitlement(
    vendor: Vendor,
    Path(id): Path<String>,
) -> Result<Tagged<EntryView>, Problem> {
    get(&vendor, CatalogueKind::Entitlement, &id).await
}

/// `PUT /entitlements/{id}`: adds it, or changes it.
pub(super) async fn put_entitlement(
    vendor: Vendor,
    Path(id): Path<String>,
    when: When,
    Input(input): Input<EntryInput>,
) -> Result<Tagged<EntryView>, Problem> {
    put(&vendor, CatalogueKind::Entitlement, &id, when, input).await
}

/// `DELETE /entitlements/{id}`. Users who have it keep it.
pub(super) async fn delete_entitlement(
    vendor: Vendor,
    Path(id): Path<String>,
    when: When,
) -> Result<StatusCode, Problem> {
    delete(&vendor, CatalogueKind::Entitlement, &id, when).await
}

async fn list(vendor: &Vendor, kind: CatalogueKind) -> Result<Json<PageOf<EntryView>>, Problem> {
    let found = vendor.store.catalogue(kind).await?;
    Ok(Json(PageOf { data: found.into_iter().map(EntryView::from).collect(), next: None }))
}

async fn get(vendor: &Vendor, kind: CatalogueKind, id: &str) -> Result<Tagged<EntryView>, Problem> {
    let found = match id.parse() {
        Ok(id) => vendor.store.catalogue_entry(kind, id).await?,
        Err(_) => None,
    };
    Ok(found.ok_or_else(|| unknown(kind))?.into())
}

async fn put(
    vendor: &Vendor,
    kind: CatalogueKind,
    id: &str,
    when: When,
    input: EntryInput,
) -> Result<Tagged<EntryView>, Problem> {
    let EntryInput { name, description, rank } = input;
    let entry = new_entry(kind, id, &name, description, rank)?;
    let entry = vendor.store.put_entry(when.guard(entry)).await?;
    Ok(entry.ok_or_else(|| unknown(kind))?.into())
}

/// What somebody says of an entry, where it can be so.
pub(crate) fn new_entry(
    kind: CatalogueKind,
    id: &str,
    name: &str,
    description: Option<String>,
    rank: Option<u16>,
) -> Result<NewEntry, Problem> {
    let id: EntryId = id.parse().map_err(|error: directory::NotAnEntryId| {
        Problem::invalid(error.to_string(), "Choose another id; it is what users have in `roles`")
    })?;
    let display_name = check_name("name", name)?;
    let description = description.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    let is_long = |it: &String| it.chars().count() > DESCRIPTION_MAX;
    if description.as_ref().is_some_and(is_long) {
        return Err(Problem::invalid(
            format!("`description` has more than {DESCRIPTION_MAX} characters"),
            "Shorten it; Okta would not read it",
        ));
    }
    if kind != CatalogueKind::Role && rank.is_some() {
        return Err(Problem::invalid(
            "`rank` is of a role, and this is an entitlement",
            "Leave `rank` out",
        ));
    }
    Ok(NewEntry { kind, id, display_name, description, rank })
}

async fn delete(
    vendor: &Vendor,
    kind: CatalogueKind,
    id: &str,
    when: When,
) -> Result<StatusCode, Problem> {
    let id: EntryId = id.parse().map_err(|_| unknown(kind))?;
    vendor.store.delete_entry(kind, when.guard(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown(kind: CatalogueKind) -> Problem {
    Problem::not_found(&kind.as_str().to_lowercase())
}
