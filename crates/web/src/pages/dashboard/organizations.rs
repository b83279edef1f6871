//! The vendor's customers: found, made, and let into the portal by a link.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use directory::secret::{Secret, SecretKind};
use directory::{
    DirectoryState, OrganizationId, PortalFeature, PortalFeatures, PortalLink, PortalLinkId,
    PortalLinkLife, PortalLinkState, as_name,
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Dashboard, SignedIn};
use crate::pages::parts::{Copyable, Frame, When};
use crate::pages::{Stop, go_to, page, page_with};
use crate::problem::Problem;

/// Organizations of a page.
const PAGE: u64 = 50;
/// What is shown of one organization: nobody has as many.
const DIRECTORIES_MAX: u64 = 200;
const LINKS_MAX: u64 = 1_000;

#[derive(Template)]
#[template(path = "dashboard/organizations.html")]
pub(crate) struct OrganizationsPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    /// What was looked for: a name, or the vendor's own identifier.
    pub(crate) wanted: String,
    pub(crate) organizations: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
    pub(crate) is_wrong: bool,
}

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) directory_sync: bool,
    pub(crate) created_at: When,
}

impl From<directory::Organization> for Row {
    fn from(organization: directory::Organization) -> Row {
        Row {
            id: organization.id.to_string(),
            name: organization.name,
            external_id: organization.external_id,
            directory_sync: organization.directory_sync,
            created_at: When(organization.created_at),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
}

/// `GET /dashboard/organizations`: all of them, or those of this name or identifier.
pub(super) async fn list(
    dashboard: Dashboard,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    found(dashboard, &asked, false).await
}

async fn found(dashboard: Dashboard, asked: &Asked, is_wrong: bool) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let wanted = asked.q.trim().to_owned();
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let (mut organizations, has_next) = if wanted.is_empty() {
        let after = asked.after.parse::<OrganizationId>().ok();
        let found = store.organizations(after, PAGE + 1).await?;
        let has_next = found.len() > most;
        (found, has_next)
    } else {
        let mut found = store.organizations_named(&wanted).await?;
        let other = store.organization_of_external_id(&wanted).await?;
        found.extend(other.filter(|other| found.iter().all(|it| it.id != other.id)));
        (found, false)
    };
    organizations.truncate(most);
    let last = organizations.last().map(|it| it.id.to_string());
    let next = last.filter(|_| has_next);
    let organizations = organizations.into_iter().map(Row::from).collect();
    let shown = OrganizationsPage { frame, signed_in, wanted, organizations, next, is_wrong };
    if is_wrong {
        return Ok(page_with(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &shown));
    }
    Ok(page(&shown))
}

/// `POST /dashboard/organizations`.
pub(super) async fn create(dashboard: Dashboard) -> Result<Response, Stop> {
    let Some(name) = as_name(dashboard.form.text("name")) else {
        return found(dashboard, &Asked::default(), true).await;
    };
    let made = dashboard.store.create_organization(name.to_owned(), None).await?;
    Ok(go_to(&format!("/dashboard/organizations/{}", made.id)))
}

#[derive(Template)]
#[template(path = "dashboard/organization.html")]
pub(crate) struct OrganizationPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) organization: Row,
    pub(crate) directories: Vec<DirectoryRow>,
    pub(crate) links: Vec<LinkRow>,
    /// The link that was just made: it is shown here and nowhere else.
    pub(crate) made: Option<Copyable>,
}

pub(crate) struct DirectoryRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) provider: &'static str,
    pub(crate) state: DirectoryState,
    pub(crate) active_users: u64,
    pub(crate) groups: u64,
    pub(crate) last_contact_at: Option<When>,
}

pub(crate) struct LinkRow {
    pub(crate) id: String,
    pub(crate) state: PortalLinkState,
    pub(crate) is_whole: bool,
    pub(crate) created_at: When,
    pub(crate) expires_at: When,
    pub(crate) last_used_at: Option<When>,
}

impl LinkRow {
    fn new(link: &PortalLink, now: Timestamp) -> LinkRow {
        LinkRow {
            id: link.id.to_string(),
            state: link.state(now),
            is_whole: PortalFeature::ALL.into_iter().all(|it| link.features.include(it)),
            created_at: When(link.created_at),
            expires_at: When(link.expires_at),
            last_used_at: link.last_used_at.map(When),
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        matches!(self.state, PortalLinkState::Unopened | PortalLinkState::Open)
    }
}

/// `GET /dashboard/organizations/{organization}`.
pub(super) async fn show(
    dashboard: Dashboard,
    Path(organization): Path<String>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    one(dashboard, id, None).await
}

async fn one(
    dashboard: Dashboard,
    id: OrganizationId,
    made: Option<Copyable>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let organization = store.organization(id).await?.ok_or_else(unknown)?.into();
    let now = counter.access.now();
    let found = store.directories(Some(id), None, DIRECTORIES_MAX).await?.into_iter();
    let directories = found.map(|found| DirectoryRow {
        state: found.state(now),
        id: found.directory.id.to_string(),
        name: found.directory.name,
        provider: found.directory.provider.title(),
        active_users: found.active_user_count,
        groups: found.group_count,
        last_contact_at: found.contact.last_at.map(When),
    });
    let directories = directories.collect();
    let links = store.portal_links(id, None, LINKS_MAX).await?;
    // The latest first.
    let links = links.iter().rev().map(|link| LinkRow::new(link, now)).collect();
    Ok(page(&OrganizationPage { frame, signed_in, organization, directories, links, made }))
}

/// `POST /dashboard/organizations/{organization}/portal-links`.
pub(super) async fn invite(
    dashboard: Dashboard,
    Path(organization): Path<String>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    let hours = match dashboard.form.text("lifetime") {
        "day" => 24,
        "month" => 30 * 24,
        _ => 7 * 24,
    };
    let life = PortalLinkLife::Lasting(SignedDuration::from_hours(hours));
    let secret = Secret::new(SecretKind::PortalLink, (dashboard.counter.entropy)());
    let features = PortalFeatures::all();
    dashboard.store.create_portal_link(id, features, life, &secret).await?;
    let url = dashboard.counter.settings.portal_url(&secret);
    one(dashboard, id, Some(Copyable::new("portal-link", url))).await
}

/// `POST /dashboard/organizations/{organization}/portal-links/{link}/revoke`.
pub(super) async fn revoke(
    dashboard: Dashboard,
    Path((organization, link)): Path<(String, String)>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    let link: PortalLinkId = link.parse().map_err(|_| Problem::not_found("portal link"))?;
    dashboard.store.revoke_portal_link(id, link).await?;
    Ok(go_to(&format!("/dashboard/organizations/{id}#links")))
}

fn organization_id(text: &str) -> Result<OrganizationId, Stop> {
    text.parse().map_err(|_| unknown())
}

fn unknown() -> Stop {
    Problem::not_found("organization").into()
}
