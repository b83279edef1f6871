//! Directories of an organization, their tokens, and the people and groups in them.

use axum::Json;
use axum::http::StatusCode;
use directory::secret::{Secret, SecretKind};
use directory::{
    DirectoryId, OmittedMembers, OrganizationId, Provider, ResourceId, Settings, SettingsPreset,
    TokenId, TokenScope, UnknownMembers,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{
    DirectoryStore, DirectorySummary, GroupRecord, QuirkCount, Stretch, TokenSummary, UserRecord,
};

use super::{Input, PageOf, PageQuery, Path, Query, Vendor, check_name, id, page_of};
use crate::problem::Problem;
use crate::settings::Settings as CounterSettings;

/// Days for which a token is good when nobody says.
const LIFETIME_DAYS_DEFAULT: i64 = 365;
/// Days for which a token is good at most: a credential that never ends is never looked at.
const LIFETIME_DAYS_MAX: i64 = 3_650;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDirectory {
    name: String,
    provider: Provider,
    #[serde(default)]
    settings: NewSettings,
}

/// How a directory is to behave, as far as anybody says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewSettings {
    preset: Option<SettingsPreset>,
    unknown_members: Option<UnknownMembers>,
    omitted_members: Option<OmittedMembers>,
}

impl NewSettings {
    /// Where nobody says, the directory behaves as suits its provider.
    fn of(self, provider: Provider) -> Settings {
        let Settings { preset, unknown_members, omitted_members } = Settings::of(provider);
        Settings {
            preset: self.preset.unwrap_or(preset),
            unknown_members: self.unknown_members.unwrap_or(unknown_members),
            omitted_members: self.omitted_members.unwrap_or(omitted_members),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct DirectoryView {
    id: String,
    organization_id: String,
    name: String,
    provider: Provider,
    settings: Settings,
    /// Below this one, the provider finds its users and groups.
    base_url: String,
    /// The same for all directories: there the token says whose it is.
    shared_base_url: String,
    user_count: u64,
    active_user_count: u64,
    group_count: u64,
    created_at: String,
}

impl DirectoryView {
    fn new(summary: DirectorySummary, settings: &CounterSettings) -> DirectoryView {
        let directory = summary.directory;
        DirectoryView {
            id: directory.id.to_string(),
            organization_id: directory.organization_id.to_string(),
            name: directory.name,
            provider: directory.provider,
            settings: directory.settings,
            base_url: settings.directory_base_url(directory.id),
            shared_base_url: settings.shared_base_url(),
            user_count: summary.user_count,
            active_user_count: summary.active_user_count,
            group_count: summary.group_count,
            created_at: scim::datetime::print(directory.created_at),
        }
    }
}

/// `POST /organizations/{id}/directories`. 404 where there is no such organization.
pub(super) async fn create(
    vendor: Vendor,
    Path(organization): Path<String>,
    Input(new): Input<NewDirectory>,
) -> Result<(StatusCode, Json<DirectoryView>), Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let name = check_name("name", &new.name)?;
    let settings = new.settings.of(new.provider);
    let directory =
        vendor.store.create_directory(organization, name, new.provider, settings).await?;
    let summary = DirectorySummary {
        directory,
        user_count: 0,
        active_user_count: 0,
        group_count: 0,
        event_number: 1,
    };
    let view = DirectoryView::new(summary, &vendor.counter.settings);
    Ok((StatusCode::CREATED, Json(view)))
}

/// `GET /directories`, of all organizations, in the order of their creation.
pub(super) async fn list(
    vendor: Vendor,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<DirectoryView>>, Problem> {
    list_of(&vendor, None, &page).await
}

/// `GET /organizations/{id}/directories`.
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
    let view = |summary| DirectoryView::new(summary, &vendor.counter.settings);
    Ok(Json(page_of(found, limit, |it| it.directory.id.to_string(), view)))
}

/// `GET /directories/{id}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<DirectoryView>, Problem> {
    let id: DirectoryId = id(&directory, "directory")?;
    let found = vendor.store.directory(id).await?;
    let summary = found.ok_or_else(|| Problem::not_found("directory"))?;
    Ok(Json(DirectoryView::new(summary, &vendor.counter.settings)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Days for which it is good.
    lifetime_days: Option<i64>,
    /// What it may do.
    #[serde(default)]
    scope: TokenScope,
}

#[derive(Debug, Serialize)]
pub(super) struct TokenView {
    id: String,
    /// By which a person recognises it.
    last_four: String,
    scope: TokenScope,
    created_at: String,
    expires_at: String,
    /// To the minute.
    last_used_at: Option<String>,
}

impl From<TokenSummary> for TokenView {
    fn from(token: TokenSummary) -> TokenView {
        TokenView {
            id: token.id.to_string(),
            last_four: token.last_four,
            scope: token.scope,
            created_at: scim::datetime::print(token.created_at),
            expires_at: scim::datetime::print(token.expires_at),
            last_used_at: token.last_used_at.map(scim::datetime::print),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct CreatedToken {
    /// The secret. It is shown here and nowhere else.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

/// `POST /directories/{id}/tokens`. The answer is the only place where the secret is shown.
pub(super) async fn create_token(
    vendor: Vendor,
    Path(directory): Path<String>,
    Input(new): Input<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let days = new.lifetime_days.unwrap_or(LIFETIME_DAYS_DEFAULT);
    if !(1..=LIFETIME_DAYS_MAX).contains(&days) {
        return Err(Problem::invalid(
            format!("`lifetime_days` is {days}"),
            format!("Choose 1 to {LIFETIME_DAYS_MAX} days"),
        ));
    }
    let secret = Secret::new(SecretKind::ScimToken, (vendor.counter.entropy)());
    let lifetime = SignedDuration::from_hours(24 * days);
    let token = vendor.store.create_scoped_token(directory, &secret, new.scope, lifetime).await?;
    let created = CreatedToken { token: secret.reveal().to_owned(), view: token.into() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /directories/{id}/tokens`: all of them, whether or not they are good still.
pub(super) async fn tokens(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<PageOf<TokenView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let found = vendor.store.tokens(store.id()).await?;
    Ok(Json(PageOf { data: found.into_iter().map(TokenView::from).collect(), next: None }))
}

/// `DELETE /directories/{id}/tokens/{token}`: from now on it opens nothing.
pub(super) async fn revoke_token(
    vendor: Vendor,
    Path((directory, token)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let token: TokenId = id(&token, "token")?;
    vendor.store.revoke_token(directory, token).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Serialize)]
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

/// `GET /directories/{id}/quirks`: where the provider deviates from the RFCs, and how often it was
/// straightened; the most frequent first.
pub(super) async fn quirks(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<PageOf<QuirkView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let found = vendor.store.quirks(store.id()).await?;
    Ok(Json(PageOf { data: found.into_iter().map(QuirkView::from).collect(), next: None }))
}

#[derive(Debug, Serialize)]
pub(super) struct UserView {
    id: String,
    active: bool,
    /// What the provider says of the person, by the names of SCIM.
    attributes: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Reference>>,
    /// What else the provider says, of which no schema knows; of one person only.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_attributes: Option<Box<RawValue>>,
    version: u64,
    created_at: String,
    updated_at: String,
}

/// Something by id, with its name.
#[derive(Debug, Serialize)]
pub(super) struct Reference {
    id: String,
    name: String,
}

fn user_view(user: UserRecord, groups: Option<Vec<Reference>>) -> UserView {
    UserView {
        id: user.id.to_string(),
        active: user.is_active,
        attributes: raw(user.text),
        groups,
        unknown_attributes: None,
        version: user.version,
        created_at: scim::datetime::print(user.created_at),
        updated_at: scim::datetime::print(user.modified_at),
    }
}

/// `GET /directories/{id}/users`, active or not, in the order of their creation.
pub(super) async fn users(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<UserView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let limit = page.limit()?;
    let found = store.users_after(ordinal_after(&page)?, limit).await?;
    Ok(Json(page_of_stretch(found, |user| user_view(user, None))))
}

/// `GET /directories/{id}/users/{user}`, with the groups of the user.
pub(super) async fn user(
    vendor: Vendor,
    Path((directory, user)): Path<(String, String)>,
) -> Result<Json<UserView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let id = ResourceId::parse(&user).ok_or_else(|| Problem::not_found("user"))?;
    let mut user = store.user(id, true).await?.ok_or_else(|| Problem::not_found("user"))?;
    let groups = std::mem::take(&mut user.groups);
    let groups = groups
        .into_iter()
        .map(|group| Reference { id: group.id.to_string(), name: group.display_name })
        .collect();
    let aside = store.aside(id).await?.unwrap_or_else(|| "{}".to_owned());
    let view = user_view(user, Some(groups));
    Ok(Json(UserView { unknown_attributes: Some(raw(aside)), ..view }))
}

#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    id: String,
    /// What the provider says of the group, by the names of SCIM.
    attributes: Box<RawValue>,
    member_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberView>>,
    version: u64,
    created_at: String,
    updated_at: String,
}

#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

fn group_view(group: GroupRecord, members: Option<Vec<MemberView>>) -> GroupView {
    GroupView {
        id: group.id.to_string(),
        attributes: raw(group.text),
        member_count: group.member_count,
        members,
        version: group.version,
        created_at: scim::datetime::print(group.created_at),
        updated_at: scim::datetime::print(group.modified_at),
    }
}

/// `GET /directories/{id}/groups`, in the order of their creation, without members.
pub(super) async fn groups(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<GroupView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let limit = page.limit()?;
    let found = store.groups_after(ordinal_after(&page)?, limit).await?;
    Ok(Json(page_of_stretch(found, |group| group_view(group, None))))
}

/// `GET /directories/{id}/groups/{group}`, with all its members.
pub(super) async fn group(
    vendor: Vendor,
    Path((directory, group)): Path<(String, String)>,
) -> Result<Json<GroupView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let id = ResourceId::parse(&group).ok_or_else(|| Problem::not_found("group"))?;
    let mut group = store.group(id, true).await?.ok_or_else(|| Problem::not_found("group"))?;
    let members = std::mem::take(&mut group.members);
    let members = members
        .into_iter()
        .map(|member| MemberView { id: member.id.to_string(), kind: member.kind.as_str() })
        .collect();
    Ok(Json(group_view(group, Some(members))))
}

/// A page as long as the memory made it.
fn page_of_stretch<T, O>(found: Stretch<T>, output: impl Fn(T) -> O) -> PageOf<O> {
    let data = found.items.into_iter().map(output).collect();
    PageOf { data, next: found.next.map(|ordinal| ordinal.to_string()) }
}

/// After which ordinal a page begins.
pub(super) fn ordinal_after(page: &PageQuery) -> Result<u64, Problem> {
    Ok(page.after::<Ordinal>()?.map_or(0, |Ordinal(ordinal)| ordinal))
}

/// A place in the order of creation. The memory counts with 63 bits, so nothing is beyond them.
struct Ordinal(u64);

impl std::str::FromStr for Ordinal {
    type Err = std::num::TryFromIntError;

    fn from_str(text: &str) -> Result<Ordinal, Self::Err> {
        let ordinal: i64 = text.parse().unwrap_or(-1);
        u64::try_from(ordinal).map(Ordinal)
    }
}

pub(super) async fn open(vendor: &Vendor, directory: &str) -> Result<DirectoryStore, Problem> {
    let id: DirectoryId = id(directory, "directory")?;
    let store = vendor.store.open(id).await?;
    store.ok_or_else(|| Problem::not_found("directory"))
}

/// What was kept is JSON.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("resources are kept as JSON")
}
