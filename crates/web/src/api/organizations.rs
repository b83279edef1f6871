//! The vendor's customers.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use directory::{Metadata, Organization, OrganizationId};
use serde::{Deserialize, Deserializer, Serialize};
use store::OrganizationEdit;
use utoipa::{IntoParams, ToSchema};

use super::{Input, PageOf, PageQuery, Path, Query, Tagged, Vendor, When, check_name, id, page_of};
use crate::problem::Problem;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrganization {
    /// What you call it. Names need not be unique.
    name: String,
    /// Your own identifier for it; no other organization may have it.
    external_id: Option<String>,
    /// Whether its directories are synchronised. `true` where nothing is said.
    directory_sync: Option<bool>,
    /// What you write down about it: at most 50 texts of 500 characters, by names of 40.
    metadata: Option<BTreeMap<String, String>>,
}

/// What is to be otherwise; what is not named stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditOrganization {
    name: Option<String>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "that_is_said")]
    #[schema(value_type = Option<String>)]
    #[expect(clippy::option_option, reason = "absent, `null` and a text are three things")]
    external_id: Option<Option<String>>,
    /// Switched off, providers of its directories are answered 403, and what is in them stays.
    directory_sync: Option<bool>,
    /// In the place of all that was there.
    metadata: Option<BTreeMap<String, String>>,
}

/// Absent is not `null`.
pub(super) fn that_is_said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationView {
    id: String,
    name: String,
    external_id: Option<String>,
    /// Whether its directories are synchronised.
    directory_sync: bool,
    metadata: BTreeMap<String, String>,
    created_at: String,
}

impl From<Organization> for Tagged<OrganizationView> {
    fn from(organization: Organization) -> Tagged<OrganizationView> {
        Tagged { revision: organization.revision(), view: organization.into() }
    }
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> OrganizationView {
        OrganizationView {
            id: organization.id.to_string(),
            name: organization.name,
            external_id: organization.external_id,
            directory_sync: organization.directory_sync,
            metadata: organization.metadata.entries().clone(),
            created_at: scim::datetime::print(organization.created_at),
        }
    }
}

/// Which organizations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Only the one that has this identifier of yours.
    external_id: Option<String>,
}

/// `POST /organizations`. 409 where another one has the `external_id`.
pub(super) async fn create(
    vendor: Vendor,
    Input(new): Input<NewOrganization>,
) -> Result<(StatusCode, Tagged<OrganizationView>), Problem> {
    let name = check_name("name", &new.name)?;
    let external_id = new.external_id.map(|it| check_name("external_id", &it)).transpose()?;
    let directory_sync = new.directory_sync.unwrap_or(true);
    let metadata = metadata(new.metadata.unwrap_or_default())?;
    let organization =
        vendor.store.create_organization_with(name, external_id, directory_sync, metadata).await?;
    Ok((StatusCode::CREATED, organization.into()))
}

/// `GET /organizations/{organization}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(organization): Path<String>,
) -> Result<Tagged<OrganizationView>, Problem> {
    let id: OrganizationId = id(&organization, "organization")?;
    let found = vendor.store.organization(id).await?;
    Ok(found.ok_or_else(|| Problem::not_found("organization"))?.into())
}

/// `GET /organizations`, in the order of their creation.
pub(super) async fn list(
    vendor: Vendor,
    Query(query): Query<OrganizationsQuery>,
) -> Result<Json<PageOf<OrganizationView>>, Problem> {
    let page = PageQuery { after: query.after, limit: query.limit };
    let limit = page.limit()?;
    if let Some(external_id) = query.external_id {
        let found = vendor.store.organization_of_external_id(&external_id).await?;
        let data = found.into_iter().map(OrganizationView::from).collect();
        return Ok(Json(PageOf { data, next: None }));
    }
    let found = vendor.store.organizations(page.after()?, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), OrganizationView::from)))
}

/// `PATCH /organizations/{organization}`.
pub(super) async fn edit(
    vendor: Vendor,
    Path(organization): Path<String>,
    when: When,
    Input(edit): Input<EditOrganization>,
) -> Result<Tagged<OrganizationView>, Problem> {
    let id: OrganizationId = id(&organization, "organization")?;
    // That one is taken would tell of somebody else.
    if edit.external_id.is_some() && vendor.store.bound_to().is_some() {
        return Err(Problem::forbidden(
            "`external_id` names one of all organizations, and the key is that of one",
            "Leave `external_id` out, or use a key that is not bound to an organization",
        ));
    }
    let checked = |it: Option<String>| it.map(|it| check_name("external_id", &it)).transpose();
    let edit = OrganizationEdit {
        name: edit.name.map(|it| check_name("name", &it)).transpose()?,
        external_id: edit.external_id.map(checked).transpose()?,
        directory_sync: edit.directory_sync,
        metadata: edit.metadata.map(metadata).transpose()?,
    };
    Ok(vendor.store.edit_organization(id, when.guard(edit)).await?.into())
}

/// `DELETE /organizations/{organization}`. 409 while it has a directory.
pub(super) async fn delete(
    vendor: Vendor,
    Path(organization): Path<String>,
    when: When,
) -> Result<StatusCode, Problem> {
    let id: OrganizationId = id(&organization, "organization")?;
    vendor.store.delete_organization(when.guard(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn metadata(entries: BTreeMap<String, String>) -> Result<Metadata, Problem> {
    Metadata::new(entries).map_err(|why| {
        Problem::invalid(
            format!("`metadata` cannot be kept: {why}"),
            "Keep what is longer on your side, and its key in `metadata`",
        )
    })
}
