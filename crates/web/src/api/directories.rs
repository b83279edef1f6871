//! Directories of an organization: what they are called, how they behave, and how well they go.

use axum::Json;
use axum::http::StatusCode;
use directory::{
    ACCESS_TOKEN_MINUTES, ADDRESS_RANGES_MAX, AddressRange, DirectoryId, DirectoryState,
    EditDirectory, OmittedMembers, OrganizationId, Provider, Settings, SettingsEdit,
    SettingsPreset, UnknownMembers,
};
use serde::{Deserialize, Serialize};
use store::{DirectoryStore, DirectorySummary, QuirkCount, Standing};
use utoipa::ToSchema;

use super::{
    Input, PageOf, PageQuery, Path, Query, Tagged, Vendor, When, check_name, describe, from_object,
    id, page_of,
};
use crate::Counter;
use crate::problem::Problem;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDirectory {
    /// What people call it: `Okta`.
    name: String,
    /// Who sends. It never changes what is understood; it chooses the default of a setting where
    /// nobody says.
    #[schema(schema_with = describe::provider)]
    provider: Provider,
    #[serde(default, deserialize_with = "from_object")]
    settings: SettingsInput,
}

/// What is to be otherwise; what is not named stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectoryEdit {
    name: Option<String>,
    #[schema(schema_with = describe::provider_if_any, required = false)]
    provider: Option<Provider>,
    #[serde(default, deserialize_with = "from_object")]
    settings: SettingsInput,
    /// Paused, its provider is answered 403, and what is in it stays.
    paused: Option<bool>,
}

/// How a directory is to behave, as far as anybody says.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct SettingsInput {
    /// `lenient`: what providers really send is straightened. `strict`: what the RFCs do not allow
    /// is refused.
    #[schema(schema_with = describe::preset_if_any, required = false)]
    preset: Option<SettingsPreset>,
    /// Members of a group that nobody knows: left out, or the whole write refused.
    #[schema(schema_with = describe::unknown_members_if_any, required = false)]
    unknown_members: Option<UnknownMembers>,
    /// What a `PUT` of a group does that leaves `members` out.
    #[schema(schema_with = describe::omitted_members_if_any, required = false)]
    omitted_members: Option<OmittedMembers>,
    /// Whether a token is also taken as the password of HTTP Basic, with the id of the directory as
    /// the user name.
    http_basic: Option<bool>,
    /// Minutes for which an access token of an OAuth client is good: 60 to 360.
    #[schema(minimum = 60, maximum = 360)]
    access_token_minutes: Option<u16>,
    /// From where requests are taken: ranges as `192.0.2.0/24`, or addresses. From everywhere, where
    /// there is none.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_addresses: Option<Vec<AddressRange>>,
}

impl SettingsInput {
    fn check(self) -> Result<SettingsEdit, Problem> {
        if let Some(minutes) = self.access_token_minutes
            && !ACCESS_TOKEN_MINUTES.contains(&minutes)
        {
            let (least, most) = ACCESS_TOKEN_MINUTES.into_inner();
            return Err(Problem::invalid(
                format!("`access_token_minutes` is {minutes}"),
                format!("Choose {least} to {most} minutes"),
            ));
        }
        if self.allowed_addresses.as_ref().is_some_and(|it| it.len() > ADDRESS_RANGES_MAX) {
            return Err(Problem::invalid(
                format!("`allowed_addresses` has more than {ADDRESS_RANGES_MAX} entries"),
                "Join neighbouring ranges into larger ones",
            ));
        }
        Ok(SettingsEdit {
            preset: self.preset,
            unknown_members: self.unknown_members,
            omitted_members: self.omitted_members,
            http_basic: self.http_basic,
            access_token_minutes: self.access_token_minutes,
            allowed_addresses: self.allowed_addresses,
        })
    }
}

/// How a directory behaves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settings)]
struct SettingsView {
    #[schema(schema_with = describe::preset)]
    preset: SettingsPreset,
    #[schema(schema_with = describe::unknown_members)]
    unknown_members: UnknownMembers,
    #[schema(schema_with = describe::omitted_members)]
    omitted_members: OmittedMembers,
    http_basic: bool,
    access_token_minutes: u16,
    #[schema(value_type = Vec<String>)]
    allowed_addresses: Vec<AddressRange>,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> SettingsView {
        SettingsView {
            preset: settings.preset,
            unknown_members: settings.unknown_members,
            omitted_members: settings.omitted_members,
            http_basic: settings.http_basic,
            access_token_minutes: settings.access_token_minutes,
            allowed_addresses: settings.allowed_addresses,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Directory)]
pub(super) struct DirectoryView {
    id: String,
    organization_id: String,
    name: String,
    #[schema(schema_with = describe::provider)]
    provider: Provider,
    settings: SettingsView,
    /// How well it goes. `waiting`: the provider was never heard of. `connected`: it was heard of
    /// lately. `silent`: not for longer than is usual for it. `failing`: what it sent last was
    /// refused and will be again. `paused`: the directory is, or its organization's directory
    /// sync is switched off.
    #[schema(schema_with = describe::state)]
    state: DirectoryState,
    paused: bool,
    /// When the provider was heard of with a good credential, or one that had been good.
    last_contact_at: Option<String>,
    /// When it last changed something.
    last_change_at: Option<String>,
    last_refusal: Option<RefusalView>,
    /// Below this one, the provider finds its users and groups.
    base_url: String,
    /// The same for all directories: there the token says whose it is.
    shared_base_url: String,
    /// Where clients of OAuth get access tokens.
    oauth_token_url: String,
    user_count: u64,
    active_user_count: u64,
    group_count: u64,
    created_at: String,
}

/// What was refused and will be refused again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refusal)]
struct RefusalView {
    at: String,
    /// How it was answered.
    status: Option<u16>,
}

impl DirectoryView {
    fn new(summary: DirectorySummary, counter: &Counter) -> DirectoryView {
        let (directory, contact, settings) =
            (summary.directory, summary.contact, &counter.settings);
        let state = match summary.standing {
            Standing::Paused | Standing::SwitchedOff => DirectoryState::Paused,
            Standing::Open => contact.state(directory.provider, counter.access.now()),
        };
        let refusal =
            |at| RefusalView { at: scim::datetime::print(at), status: contact.refused_with };
        DirectoryView {
            id: directory.id.to_string(),
            organization_id: directory.organization_id.to_string(),
            name: directory.name,
            provider: directory.provider,
            settings: directory.settings.into(),
            state,
            paused: directory.paused_at.is_some(),
            last_contact_at: contact.last_at.map(scim::datetime::print),
            last_change_at: contact.changed_at.map(scim::datetime::print),
            last_refusal: contact.refused_at.map(refusal),
            base_url: settings.directory_base_url(directory.id),
            shared_base_url: settings.shared_base_url(),
            oauth_token_url: settings.oauth_token_url(),
            user_count: summary.user_count,
            active_user_count: summary.active_user_count,
            group_count: summary.group_count,
            created_at: scim::datetime::print(directory.created_at),
        }
    }
}

/// `POST /organizations/{organization}/directories`. 404 where there is no such organization.
pub(super) async fn create(
    vendor: Vendor,
    Path(organization): Path<String>,
    Input(new): Input<NewDirectory>,
) -> Result<(StatusCode, Tagged<DirectoryView>), Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let name = check_name("name", &new.name)?;
    // Where nobody says, the directory behaves as suits its provider.
    let settings = new.settings.check()?.apply(Settings::of(new.provider));
    let directory =
        vendor.store.create_directory(organization, name, new.provider, settings).await?;
    Ok((StatusCode::CREATED, view(&vendor, directory.id).await?))
}

/// `GET /directories`, of all organizations, in the order of their creation.
pub(super) async fn list(
    vendor: Vendor,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<DirectoryView>>, Problem> {
    list_of(&vendor, None, &page).await
}

/// `GET /organizations/{organization}/directories`.
pub(super) async fn list_of_organization(
    vendor: Vendor,
    Path(organization): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<DirectoryView>>, Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let found = vendor.store.organization(organization).await?;
    found.ok_or_else(|| Problem::not_found("organization"))?;
    list_of(&vendor, Some(organization), &page).await
}

async fn list_of(
    vendor: &Vendor,
    organization: Option<OrganizationId>,
    page: &PageQuery,
) -> Result<Json<PageOf<DirectoryView>>, Problem> {
    let limit = page.limit()?;
    let found = vendor.store.directories(organization, page.after()?, limit + 1).await?;
    let view = |summary| DirectoryView::new(summary, &vendor.counter);
    Ok(Json(page_of(found, limit, |it| it.directory.id.to_string(), view)))
}

/// `GET /directories/{directory}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Tagged<DirectoryView>, Problem> {
    view(&vendor, id(&directory, "directory")?).await
}

/// `PATCH /directories/{directory}`.
pub(super) async fn edit(
    vendor: Vendor,
    Path(directory): Path<String>,
    when: When,
    Input(edit): Input<DirectoryEdit>,
) -> Result<Tagged<DirectoryView>, Problem> {
    let id: DirectoryId = id(&directory, "directory")?;
    let edit = EditDirectory {
        name: edit.name.map(|it| check_name("name", &it)).transpose()?,
        provider: edit.provider,
        settings: edit.settings.check()?,
        is_paused: edit.paused,
    };
    vendor.store.edit_directory(id, when.guard(edit)).await?;
    view(&vendor, id).await
}

/// `DELETE /directories/{directory}`: from now on it opens for nobody. Who is in it is deleted after
/// that, with an event for each.
pub(super) async fn delete(
    vendor: Vendor,
    Path(directory): Path<String>,
    when: When,
) -> Result<StatusCode, Problem> {
    let id: DirectoryId = id(&directory, "directory")?;
    vendor.store.delete_directory(when.guard(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn view(vendor: &Vendor, id: DirectoryId) -> Result<Tagged<DirectoryView>, Problem> {
    let found = vendor.store.directory(id).await?;
    let summary = found.ok_or_else(|| Problem::not_found("directory"))?;
    let revision = summary.directory.revision();
    Ok(Tagged { revision, view: DirectoryView::new(summary, &vendor.counter) })
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quirk)]
pub(super) struct QuirkView {
    /// Its name, which never changes.
    name: &'static str,
    /// What happened, to stand after "The provider".
    explanation: &'static str,
    /// In how many requests.
    request_count: u64,
    first_seen_at: String,
    last_seen_at: String,
}

impl From<QuirkCount> for QuirkView {
    fn from(count: QuirkCount) -> QuirkView {
        QuirkView {
            name: count.quirk.name(),
            explanation: count.quirk.explanation(),
            request_count: count.request_count,
            first_seen_at: scim::datetime::print(count.first_at),
            last_seen_at: scim::datetime::print(count.last_at),
        }
    }
}

/// `GET /directories/{directory}/quirks`: where the provider deviates from the RFCs, and how often it
/// was straightened; the most frequent first.
pub(super) async fn quirks(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<PageOf<QuirkView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let found = vendor.store.quirks(store.id()).await?;
    Ok(Json(PageOf { data: found.into_iter().map(QuirkView::from).collect(), next: None }))
}

pub(super) async fn open(vendor: &Vendor, directory: &str) -> Result<DirectoryStore, Problem> {
    let id: DirectoryId = id(directory, "directory")?;
    let store = vendor.store.open(id).await?;
    store.ok_or_else(|| Problem::not_found("directory"))
}
