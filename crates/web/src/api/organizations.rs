//! The vendor's customers.

use axum::Json;
use axum::http::StatusCode;
use directory::{Organization, OrganizationId};
use serde::{Deserialize, Serialize};

use super::{Input, PageOf, PageQuery, Path, Query, Vendor, check_name, id, page_of};
use crate::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrganization {
    name: String,
    /// The vendor's own identifier.
    external_id: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OrganizationView {
    id: String,
    name: String,
    external_id: Option<String>,
    created_at: String,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> OrganizationView {
        OrganizationView {
            id: organization.id.to_string(),
            name: organization.name,
            external_id: organization.external_id,
            created_at: scim::datetime::print(organization.created_at),
        }
    }
}

/// `POST /organizations`. 409 where another one has the `external_id`.
pub(super) async fn create(
    vendor: Vendor,
    Input(new): Input<NewOrganization>,
) -> Result<(StatusCode, Json<OrganizationView>), Problem> {
    let name = check_name("name", &new.name)?;
    let external_id = new.external_id.map(|it| check_name("external_id", &it)).transpose()?;
    let organization = vendor.store.create_organization(name, external_id).await?;
    Ok((StatusCode::CREATED, Json(organization.into())))
}

/// `GET /organizations/{id}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(organization): Path<String>,
) -> Result<Json<OrganizationView>, Problem> {
    let id: OrganizationId = id(&organization, "organization")?;
    let found = vendor.store.organization(id).await?;
    Ok(Json(found.ok_or_else(|| Problem::not_found("organization"))?.into()))
}

/// `GET /organizations`, in the order of their creation.
pub(super) async fn list(
    vendor: Vendor,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<OrganizationView>>, Problem> {
    let limit = page.limit()?;
    let found = vendor.store.organizations(page.after()?, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), OrganizationView::from)))
}
