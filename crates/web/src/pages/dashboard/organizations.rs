//! The vendor's customers: found, made, and let into the portal by a link.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use directory::secret::{Secret, SecretKind};
use directory::{
    DirectoryState, DomainMode, Metadata, OrganizationId, PortalFeature, PortalFeatures,
    PortalLink, PortalLinkId, PortalLinkLife, PortalLinkState, Provider, SafetyEdit, SeatMode,
    Settings, as_name,
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value as Json;
use store::{AuditFilter, AuditRecord, OrganizationEdit, SafetyState};

use super::{Dashboard, SignedIn};
use crate::api::check_name;
use crate::api::organizations::metadata;
use crate::api::safety::EditSafety;
use crate::pages::form::Form;
use crate::pages::parts::{Copyable, Frame, Refused, When};
use crate::pages::{Stop, go_to, page, page_with};
use crate::problem::Problem;

/// Organizations of a page.
const PAGE: u64 = 50;
/// What is shown of one organization: nobody has as many.
const DIRECTORIES_MAX: u64 = 200;
const LINKS_MAX: u64 = 1_000;
/// Of what was done with it: all is in the audit log.
const DONE: u64 = 10;

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
    /// What the vendor wrote down about it: a line for each, as it is typed.
    pub(crate) metadata: String,
    pub(crate) guards: Guards,
    pub(crate) directories: Vec<DirectoryRow>,
    pub(crate) links: Vec<LinkRow>,
    /// The link that was just made: it is shown here and nowhere else.
    pub(crate) made: Option<Copyable>,
    /// What was done with it, the latest first.
    pub(crate) done: Vec<DoneRow>,
    /// What was typed that is not taken: why, and what to do.
    pub(crate) refused: Option<Refused>,
}

impl OrganizationPage {
    /// Which provider a directory can be made for.
    pub(crate) fn providers() -> [Provider; 12] {
        Provider::ALL
    }

    /// The parts of the portal that a link can open.
    pub(crate) fn features() -> [(&'static str, &'static str); 6] {
        PortalFeature::ALL.map(|it| {
            let title = match it {
                PortalFeature::SetUp => "Set-up",
                PortalFeature::People => "People",
                PortalFeature::Roles => "Roles",
                PortalFeature::Activity => "Activity",
                PortalFeature::Tokens => "Tokens",
                PortalFeature::Status => "Status",
            };
            (it.as_str(), title)
        })
    }
}

/// How it is guarded.
pub(crate) struct Guards {
    /// How many people may use the app; nothing, where any number may.
    pub(crate) seats: Option<u64>,
    pub(crate) seat_mode: SeatMode,
    pub(crate) active: u64,
    pub(crate) domain_mode: DomainMode,
    /// One below the other.
    pub(crate) domains: String,
    pub(crate) outsiders: u64,
}

impl From<SafetyState> for Guards {
    fn from(state: SafetyState) -> Guards {
        let SafetyState { safety, active, outsiders, .. } = state;
        let domains = safety.domains.domains.iter().map(directory::Domain::as_str);
        Guards {
            seats: safety.seats.map(|seats| seats.max),
            seat_mode: safety.seats.map(|seats| seats.mode).unwrap_or_default(),
            active,
            domain_mode: safety.domains.mode,
            domains: domains.collect::<Vec<_>>().join("\n"),
            outsiders,
        }
    }
}

/// Something that was done with it.
pub(crate) struct DoneRow {
    pub(crate) at: When,
    pub(crate) action: String,
    pub(crate) object: String,
    pub(crate) by: String,
}

impl From<AuditRecord> for DoneRow {
    fn from(record: AuditRecord) -> DoneRow {
        DoneRow {
            at: When(record.occurred_at),
            action: record.action.to_string(),
            object: record.object_name.or(record.object_id).unwrap_or_default(),
            by: record.actor_name.or(record.actor_id).unwrap_or(record.actor_type),
        }
    }
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
    /// The parts of the portal that it opens.
    pub(crate) opens: String,
    pub(crate) created_at: When,
    pub(crate) expires_at: When,
    pub(crate) last_used_at: Option<When>,
}

impl LinkRow {
    fn new(link: &PortalLink, now: Timestamp) -> LinkRow {
        LinkRow {
            id: link.id.to_string(),
            state: link.state(now),
            opens: features_of(link),
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
    one(dashboard, id, None, None).await
}

async fn one(
    dashboard: Dashboard,
    id: OrganizationId,
    made: Option<Copyable>,
    refused: Option<&Problem>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let organization = store.organization(id).await?.ok_or_else(unknown)?;
    let entries = organization.metadata.entries().iter();
    let metadata = entries.map(|(name, value)| format!("{name}: {value}"));
    let metadata = metadata.collect::<Vec<_>>().join("\n");
    let guards = store.safety(id).await?.ok_or_else(unknown)?.into();
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
    let filter = AuditFilter { organization_id: Some(id), ..AuditFilter::default() };
    let done = store.audit(filter, None, DONE).await?.into_iter().map(DoneRow::from).collect();
    let status = refused.map_or(StatusCode::OK, Problem::status);
    let shown = OrganizationPage {
        frame,
        signed_in,
        organization: organization.into(),
        metadata,
        guards,
        directories,
        links,
        made,
        done,
        refused: refused.map(Refused::from),
    };
    Ok(page_with(status, &shown))
}

/// On to the page of an organization, or the same page with why what was typed is not taken. What is
/// nobody's mistake is told as everywhere.
async fn done(
    dashboard: Dashboard,
    id: OrganizationId,
    done: Result<(), Problem>,
) -> Result<Response, Stop> {
    match done {
        Ok(()) => Ok(go_to(&format!("/dashboard/organizations/{id}"))),
        Err(problem)
            if problem.status().is_client_error() && problem.status() != StatusCode::NOT_FOUND =>
        {
            one(dashboard, id, None, Some(&problem)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `POST /dashboard/organizations/{organization}`: what is named in the form.
pub(super) async fn edit(
    dashboard: Dashboard,
    Path(organization): Path<String>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    let edit = match read_edit(&dashboard.form) {
        Ok(edit) => edit,
        Err(problem) => return done(dashboard, id, Err(problem)).await,
    };
    let edited = dashboard.store.edit_organization(id, edit).await;
    done(dashboard, id, edited.map(drop).map_err(Problem::from)).await
}

fn read_edit(form: &Form) -> Result<OrganizationEdit, Problem> {
    let text = |name: &str| form.has(name).then(|| form.text(name));
    let external_id = text("external_id").map(|it| {
        let named = (!it.is_empty()).then(|| check_name("external_id", it));
        named.transpose()
    });
    let metadata = form.has("metadata").then(|| read_metadata(form.exact("metadata")));
    Ok(OrganizationEdit {
        name: text("name").map(|it| check_name("name", it)).transpose()?,
        external_id: external_id.transpose()?,
        directory_sync: text("directory_sync").map(|it| it == "on"),
        metadata: metadata.transpose()?,
    })
}

/// Reads `name: value`, one in a line.
fn read_metadata(text: &str) -> Result<Metadata, Problem> {
    let mut entries = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            let line: String = line.chars().take(40).collect();
            let why = format!("the line `{line}` of the metadata has no colon");
            return Err(Problem::invalid(why, "Write `name: value`, one in a line"));
        };
        if entries.insert(name.trim().to_owned(), value.trim().to_owned()).is_some() {
            let name: String = name.trim().chars().take(40).collect();
            let why = format!("`{name}` stands twice in the metadata");
            return Err(Problem::invalid(why, "Give each name one value"));
        }
    }
    metadata(entries)
}

/// `POST /dashboard/organizations/{organization}/safety`: seats and domains.
pub(super) async fn guard(
    dashboard: Dashboard,
    Path(organization): Path<String>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    let edit = match read_guards(&dashboard.form) {
        Ok(edit) => edit,
        Err(problem) => return done(dashboard, id, Err(problem)).await,
    };
    let edited = dashboard.store.edit_safety(id, edit).await;
    done(dashboard, id, edited.map_err(Problem::from)).await
}

/// Reads a form as the management API reads what it is sent.
fn read_guards(form: &Form) -> Result<SafetyEdit, Problem> {
    let mut seats = serde_json::Map::new();
    if form.has("seats") {
        let limit = match form.text("seats") {
            "" => Json::Null,
            text => {
                let limit: u64 = text.parse().map_err(|_| {
                    let text: String = text.chars().take(20).collect();
                    let hint = "Write a number, or nothing for any number of people";
                    Problem::invalid(format!("the seat limit is `{text}`"), hint)
                })?;
                limit.into()
            }
        };
        seats.insert("limit".to_owned(), limit);
    }
    let mut domains = serde_json::Map::new();
    for (of, name) in [(&mut seats, "seat_mode"), (&mut domains, "domain_mode")] {
        if !form.text(name).is_empty() {
            of.insert("mode".to_owned(), form.text(name).into());
        }
    }
    if form.has("domains") {
        domains.insert("allowed".to_owned(), form.list("domains").into());
    }
    let edit = serde_json::json!({ "seats": seats, "domains": domains });
    let edit: EditSafety = serde_json::from_value(edit).map_err(|error| {
        let why = format!("what was typed cannot be read: {error}");
        Problem::invalid(why, "Choose what is listed")
    })?;
    edit.check()
}

/// `POST /dashboard/organizations/{organization}/directories`: one for a provider; on to its set-up.
pub(super) async fn connect(
    dashboard: Dashboard,
    Path(organization): Path<String>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    let form = &dashboard.form;
    let provider: Provider = form.text("provider").parse().map_err(|_| Stop::Unreadable)?;
    let name = match form.text("name") {
        "" => Ok(provider.title().to_owned()),
        name => check_name("name", name),
    };
    let name = match name {
        Ok(name) => name,
        Err(problem) => return done(dashboard, id, Err(problem)).await,
    };
    let settings = Settings::of(provider);
    match dashboard.store.create_directory(id, name, provider, settings).await {
        Ok(made) => {
            let home = format!("/dashboard/organizations/{id}");
            Ok(go_to(&format!("{home}/directories/{}/set-up", made.id)))
        }
        Err(error) => done(dashboard, id, Err(error.into())).await,
    }
}

/// `POST /dashboard/organizations/{organization}/delete`, where its name was typed.
pub(super) async fn delete(
    dashboard: Dashboard,
    Path(organization): Path<String>,
) -> Result<Response, Stop> {
    let id = organization_id(&organization)?;
    let found = dashboard.store.organization(id).await?.ok_or_else(unknown)?;
    if dashboard.form.text("name") != found.name.trim() {
        let why = "what was typed is not the name of the organization, so nothing was deleted";
        let problem = Problem::invalid(why, "Type its name as it stands above");
        return done(dashboard, id, Err(problem)).await;
    }
    match dashboard.store.delete_organization(id).await {
        Ok(()) => Ok(go_to("/dashboard/organizations")),
        Err(error) => done(dashboard, id, Err(error.into())).await,
    }
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
    // Where nothing was to be chosen, the whole portal is meant.
    let features = if dashboard.form.has("chosen") {
        PortalFeatures::new(dashboard.form.texts("feature")).ok()
    } else {
        Some(PortalFeatures::all())
    };
    let Some(features) = features else {
        let why = "no part of the portal was chosen that a link could open";
        let problem = Problem::invalid(why, "Choose one part or more");
        return done(dashboard, id, Err(problem)).await;
    };
    dashboard.store.create_portal_link(id, features, life, &secret).await?;
    let url = dashboard.counter.settings.portal_url(&secret);
    one(dashboard, id, Some(Copyable::new("portal-link", url)), None).await
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

/// By their titles.
fn features_of(link: &PortalLink) -> String {
    let opened = OrganizationPage::features().into_iter().zip(PortalFeature::ALL);
    let opened = opened.filter(|(_, it)| link.features.include(*it)).map(|((_, title), _)| title);
    opened.collect::<Vec<_>>().join(", ")
}

fn organization_id(text: &str) -> Result<OrganizationId, Stop> {
    text.parse().map_err(|_| unknown())
}

fn unknown() -> Stop {
    Problem::not_found("organization").into()
}
