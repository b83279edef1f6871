//! Directories of an organization: what they are called, how they behave, and how well they go.

use std::ops::RangeInclusive;

use axum::Json;
use axum::http::StatusCode;
use directory::hold::{BRAKE_MINUTES, BRAKE_PEOPLE, BRAKE_PERCENT, HOLD_HOURS};
use directory::{
    ACCESS_TOKEN_MINUTES, ADDRESS_RANGES_MAX, AddressRange, AfterDisconnect, AfterHold, Brake,
    BrakeEdit, DirectoryId, DirectoryState, DisconnectDirectory, EditDirectory, HoldKind,
    HoldState, OmittedMembers, OrganizationId, Provider, SILENCE_HOURS, Settings, SettingsEdit,
    SettingsPreset, UnknownMembers,
};
use serde::{Deserialize, Serialize};
use store::{DirectoryStore, DirectorySummary, QuirkCount};
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
    /// Whether nothing is to be let out before somebody approves the hold that begins with it.
    #[serde(default)]
    shadow: bool,
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
pub(crate) struct SettingsInput {
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
    /// When changes are held because too many people would lose something.
    #[serde(deserialize_with = "from_object")]
    brake: BrakeInput,
    /// Hours for which the provider may be silent, however often it is heard of: 1 to 8,760; 24 where
    /// nobody says.
    #[schema(minimum = 1, maximum = 8760)]
    silence_hours_min: Option<u16>,
    /// Hours after which it is silent, however seldom it is heard of; 720 where nobody says.
    #[schema(minimum = 1, maximum = 8760)]
    silence_hours_max: Option<u16>,
}

/// When changes are held, as far as anybody says.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct BrakeInput {
    /// Whether they are at all.
    on: Option<bool>,
    /// So many people may be deactivated, deleted or taken out of groups, however few there are: 1 to
    /// 1,000,000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    people: Option<u32>,
    /// So many of a hundred active people may: 1 to 100.
    #[schema(minimum = 1, maximum = 100)]
    percent: Option<u8>,
    /// Within so many minutes: 1 to 1,440.
    #[schema(minimum = 1, maximum = 1_440)]
    minutes: Option<u16>,
    /// For how many hours is held what nobody decides about: 1 to 720.
    #[schema(minimum = 1, maximum = 720)]
    hours: Option<u16>,
    /// What happens then: it is let out, or stays held.
    #[schema(schema_with = describe::after_hold_if_any, required = false)]
    then: Option<AfterHold>,
}

impl BrakeInput {
    fn check(self) -> Result<BrakeEdit, Problem> {
        let BrakeInput { on, people, percent, minutes, hours, then } = self;
        check_range("people", people, BRAKE_PEOPLE)?;
        check_range("percent", percent, BRAKE_PERCENT)?;
        check_range("minutes", minutes, BRAKE_MINUTES)?;
        check_range("hours", hours, HOLD_HOURS)?;
        Ok(BrakeEdit { on, people, percent, minutes, hours, then })
    }
}

/// A number of the brake that is within what it may be.
fn check_range<N: PartialOrd + std::fmt::Display + Copy>(
    name: &str,
    number: Option<N>,
    range: RangeInclusive<N>,
) -> Result<(), Problem> {
    match number {
        Some(number) if !range.contains(&number) => Err(Problem::invalid(
            format!("`{name}` of the brake is {number}"),
            format!("Choose {} to {}", range.start(), range.end()),
        )),
        _ => Ok(()),
    }
}

impl SettingsInput {
    /// Checks them, beside those that hold now.
    pub(crate) fn check(self, now: &Settings) -> Result<SettingsEdit, Problem> {
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
        let (least, most) = SILENCE_HOURS.into_inner();
        for (name, hours) in [
            ("silence_hours_min", self.silence_hours_min),
            ("silence_hours_max", self.silence_hours_max),
        ] {
            if let Some(hours) = hours
                && !SILENCE_HOURS.contains(&hours)
            {
                return Err(Problem::invalid(
                    format!("`{name}` is {hours}"),
                    format!("Choose {least} to {most} hours"),
                ));
            }
        }
        let min = self.silence_hours_min.unwrap_or(now.silence_hours_min);
        let max = self.silence_hours_max.unwrap_or(now.silence_hours_max);
        if min > max {
            return Err(Problem::invalid(
                format!("`silence_hours_min` would be {min}, and `silence_hours_max` {max}"),
                "Choose a `silence_hours_max` that is not below `silence_hours_min`",
            ));
        }
        Ok(SettingsEdit {
            silence_hours_min: self.silence_hours_min,
            silence_hours_max: self.silence_hours_max,
            preset: self.preset,
            unknown_members: self.unknown_members,
            omitted_members: self.omitted_members,
            http_basic: self.http_basic,
            access_token_minutes: self.access_token_minutes,
            allowed_addresses: self.allowed_addresses,
            brake: self.brake.check()?,
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
    brake: BrakeView,
    silence_hours_min: u16,
    silence_hours_max: u16,
}

/// When changes are held because too many people would lose something.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Brake)]
struct BrakeView {
    on: bool,
    people: u32,
    percent: u8,
    minutes: u16,
    hours: u16,
    #[schema(schema_with = describe::after_hold)]
    then: AfterHold,
}

impl From<Brake> for BrakeView {
    fn from(brake: Brake) -> BrakeView {
        let Brake { on, people, percent, minutes, hours, then } = brake;
        BrakeView { on, people, percent, minutes, hours, then }
    }
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
            brake: settings.brake.into(),
            silence_hours_min: settings.silence_hours_min,
            silence_hours_max: settings.silence_hours_max,
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
    /// That no provider speaks for its people any more, where it was disconnected.
    disconnected: Option<DisconnectedView>,
    /// Why changes of it wait, where they do.
    hold: Option<HoldReference>,
    /// When the provider was heard of with a good credential, or one that had been good.
    last_contact_at: Option<String>,
    /// From when on it is `silent`, if it is not heard of until then: much longer than it usually says
    /// nothing.
    silent_from: Option<String>,
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
    /// Users who are known to be outside of the organization's domains.
    outside_user_count: u64,
    group_count: u64,
    created_at: String,
}

/// That a directory was disconnected from its provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Disconnected)]
struct DisconnectedView {
    at: String,
    #[schema(schema_with = describe::after_disconnect)]
    people: AfterDisconnect,
    /// Whether some are still to be deactivated: that goes on in the background, with an event for each.
    deactivating: bool,
}

/// How a directory is to be disconnected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Disconnect {
    /// What becomes of its people. `keep`: they keep their access, and your app decides about them from
    /// now on. `freeze`: they stay as they are until the directory is resumed. `deactivate`: they lose
    /// their access, with an event for each, but for those who are protected.
    #[schema(schema_with = describe::after_disconnect)]
    people: AfterDisconnect,
}

/// That changes of a directory wait.
#[derive(Debug, Serialize, ToSchema)]
struct HoldReference {
    id: String,
    #[schema(schema_with = describe::hold_kind)]
    kind: HoldKind,
    #[schema(schema_with = describe::hold_state)]
    state: HoldState,
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
        let state = summary.state(counter.access.now());
        let (directory, contact, settings) =
            (summary.directory, summary.contact, &counter.settings);
        let silent_from = contact.silent_from(&directory.settings);
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
            disconnected: directory.disconnected.map(|it| DisconnectedView {
                at: scim::datetime::print(it.at),
                people: it.people,
                deactivating: summary.is_deactivating,
            }),
            hold: summary.hold.map(|(id, kind, state)| {
                let id = id.to_string();
                HoldReference { id, kind, state }
            }),
            last_contact_at: contact.last_at.map(scim::datetime::print),
            silent_from: silent_from.map(scim::datetime::print),
            last_change_at: contact.changed_at.map(scim::datetime::print),
            last_refusal: contact.refused_at.map(refusal),
            base_url: settings.directory_base_url(directory.id),
            shared_base_url: settings.shared_base_url(),
            oauth_token_url: settings.oauth_token_url(),
            user_count: summary.user_count,
            active_user_count: summary.active_user_count,
            outside_user_count: summary.outside_user_count,
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
    let usual = Settings::of(new.provider);
    let settings = new.settings.check(&usual)?.apply(usual);
    let directory =
        vendor.store.create_directory_with(organization, name, new.provider, settings, new.shadow);
    let directory = directory.await?;
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
    let found = vendor.store.directory(id).await?;
    let found = found.ok_or_else(|| Problem::not_found("directory"))?;
    let edit = EditDirectory {
        name: edit.name.map(|it| check_name("name", &it)).transpose()?,
        provider: edit.provider,
        settings: edit.settings.check(&found.directory.settings)?,
        is_paused: edit.paused,
    };
    vendor.store.edit_directory(id, when.guard(edit)).await?;
    view(&vendor, id).await
}

/// `POST /directories/{directory}/disconnect`: its provider is gone for good, with all its credentials.
pub(super) async fn disconnect(
    vendor: Vendor,
    Path(directory): Path<String>,
    when: When,
    Input(how): Input<Disconnect>,
) -> Result<Tagged<DirectoryView>, Problem> {
    let id: DirectoryId = id(&directory, "directory")?;
    let what = DisconnectDirectory { people: how.people };
    vendor.store.disconnect_directory(id, when.guard(what)).await?;
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
