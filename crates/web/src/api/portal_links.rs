//! Links to the portal: made for an IT admin of a customer, looked at, and taken back.

use axum::Json;
use axum::http::StatusCode;
use directory::secret::{Secret, SecretKind};
use directory::{
    OrganizationId, PortalFeatures, PortalLink, PortalLinkId, PortalLinkLife, PortalLinkState,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Input, PageOf, PageQuery, Path, Query, Vendor, describe, id, page_of};
use crate::problem::Problem;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPortalLink {
    /// The parts of the portal that it opens; all where nothing is said.
    #[schema(schema_with = describe::portal_features_if_any, required = false)]
    features: Option<Vec<String>>,
    /// Hours for which it is good: 1 to 2,160; 168 where nothing is said.
    #[schema(minimum = 1, maximum = 2160)]
    lifetime_hours: Option<i64>,
    /// For somebody whom your app sends there at once: it has to be opened within five minutes, and
    /// is good for twelve hours from then on.
    one_time: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PortalLink)]
pub(super) struct PortalLinkView {
    id: String,
    organization_id: String,
    #[schema(schema_with = describe::portal_features)]
    features: Vec<&'static str>,
    /// `unopened`, `open` in one browser, `expired` or `revoked`.
    #[schema(schema_with = describe::portal_link_state)]
    state: PortalLinkState,
    one_time: bool,
    created_at: String,
    expires_at: String,
    /// When a browser opened it: no other one can from then on.
    opened_at: Option<String>,
    /// To the minute.
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl PortalLinkView {
    fn new(link: &PortalLink, now: Timestamp) -> PortalLinkView {
        PortalLinkView {
            id: link.id.to_string(),
            organization_id: link.organization_id.to_string(),
            features: link.features.as_names().collect(),
            state: link.state(now),
            one_time: link.is_one_time,
            created_at: scim::datetime::print(link.created_at),
            expires_at: scim::datetime::print(link.expires_at),
            opened_at: link.opened_at.map(scim::datetime::print),
            last_used_at: link.last_used_at.map(scim::datetime::print),
            revoked_at: link.revoked_at.map(scim::datetime::print),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedPortalLink {
    /// To be sent to the IT admin. It is shown here and nowhere else.
    url: String,
    #[serde(flatten)]
    view: PortalLinkView,
}

/// `POST /organizations/{organization}/portal-links`. The answer is the only place where the URL is
/// shown.
pub(super) async fn create(
    vendor: Vendor,
    Path(organization): Path<String>,
    Input(new): Input<NewPortalLink>,
) -> Result<(StatusCode, Json<CreatedPortalLink>), Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let features = match &new.features {
        None => PortalFeatures::all(),
        Some(names) => {
            PortalFeatures::new(names.iter().map(String::as_str)).map_err(|unknown| {
                Problem::invalid(unknown.to_string(), "Name one or more features, such as `set_up`")
            })?
        }
    };
    let life = life(new.lifetime_hours, new.one_time == Some(true))?;
    let secret = Secret::new(SecretKind::PortalLink, (vendor.counter.entropy)());
    let link = vendor.store.create_portal_link(organization, features, life, &secret).await?;
    let url = vendor.counter.settings.portal_url(&secret);
    let created =
        CreatedPortalLink { url, view: PortalLinkView::new(&link, vendor.counter.access.now()) };
    Ok((StatusCode::CREATED, Json(created)))
}

fn life(hours: Option<i64>, is_one_time: bool) -> Result<PortalLinkLife, Problem> {
    match hours {
        None if is_one_time => Ok(PortalLinkLife::OneTime),
        None => Ok(PortalLinkLife::DEFAULT),
        Some(_) if is_one_time => Err(Problem::invalid(
            "`lifetime_hours` is given of a link that is to be followed at once",
            "Leave `lifetime_hours` out, or `one_time`",
        )),
        Some(hours) if PortalLinkLife::HOURS.contains(&hours) => {
            Ok(PortalLinkLife::Lasting(SignedDuration::from_hours(hours)))
        }
        Some(hours) => Err(Problem::invalid(
            format!("`lifetime_hours` is {hours}"),
            format!("Choose 1 to {} hours", PortalLinkLife::HOURS.end()),
        )),
    }
}

/// `GET /organizations/{organization}/portal-links`, in the order of their creation.
pub(super) async fn list(
    vendor: Vendor,
    Path(organization): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<PortalLinkView>>, Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let limit = page.limit()?;
    let links = vendor.store.portal_links(organization, page.after()?, limit + 1).await?;
    let now = vendor.counter.access.now();
    let view = |link| PortalLinkView::new(&link, now);
    Ok(Json(page_of(links, limit, |link| link.id.to_string(), view)))
}

/// `GET /organizations/{organization}/portal-links/{link}`.
pub(super) async fn get(
    vendor: Vendor,
    Path((organization, link)): Path<(String, String)>,
) -> Result<Json<PortalLinkView>, Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let link: PortalLinkId = id(&link, "portal link")?;
    let found = vendor.store.portal_link_of(organization, link).await?;
    let found = found.ok_or_else(|| Problem::not_found("portal link"))?;
    Ok(Json(PortalLinkView::new(&found, vendor.counter.access.now())))
}

/// `POST /organizations/{organization}/portal-links/{link}/revoke`: from now on it opens nothing, also
/// for whoever is inside.
pub(super) async fn revoke(
    vendor: Vendor,
    Path((organization, link)): Path<(String, String)>,
) -> Result<Json<PortalLinkView>, Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let link: PortalLinkId = id(&link, "portal link")?;
    let revoked = vendor.store.revoke_portal_link(organization, link).await?;
    Ok(Json(PortalLinkView::new(&revoked, vendor.counter.access.now())))
}
