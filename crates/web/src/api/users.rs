//! People and groups of a directory: read, looked for, and what happened to them.

use std::sync::Arc;

use ::scim::Preset;
use ::scim::ResourceType;
use ::scim::dialect::Quirks;
use ::scim::filter::{BoundFilter, Filter};
use ::scim::sort::BoundSort;
use axum::Json;
use directory::ResourceId;
use directory::event::kept_user;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{
    DirectoryStore, ExplainedRoles, GroupRecord, Held, ListRequest, Start, Stretch, UserRecord,
    Window,
};
use utoipa::{IntoParams, ToSchema};

use super::directories::open;
use super::events::EventView;
use super::roles::{self, AssignedView};
use super::{PageOf, PageQuery, Path, Query, Vendor};
use crate::problem::Problem;
use crate::scim::Represent;

/// Which users. Who is looked for has all that is named; values are compared as SCIM compares them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Whose `userName` is this one.
    user_name: Option<String>,
    /// Who has this address.
    email: Option<String>,
    /// Whose `externalId` is this one.
    external_id: Option<String>,
    /// Whose `displayName` is this one.
    display_name: Option<String>,
    /// For whom this filter of SCIM holds: `title co "engineer"`.
    filter: Option<String>,
}

/// Which groups.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Whose `displayName` is this one.
    display_name: Option<String>,
    /// Whose `externalId` is this one.
    external_id: Option<String>,
    /// For which this filter of SCIM holds.
    filter: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    id: String,
    active: bool,
    /// What the provider says of the person, by the names of SCIM.
    #[schema(value_type = Object)]
    attributes: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Reference>>,
    /// The roles of your app that the person has, the highest first, each with its reason.
    roles: Vec<AssignedView>,
    /// Domains of the person that are none of the organization's; of one person only.
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_domains: Option<Vec<String>>,
    /// What else the provider says, of which no schema knows; of one person only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    unknown_attributes: Option<Box<RawValue>>,
    /// Where changes of the person wait, because the directory is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<HeldView>,
    version: u64,
    created_at: String,
    updated_at: String,
}

/// That changes of a person wait.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Held)]
struct HeldView {
    /// The person as your app has heard of them; `null` where it has not.
    #[schema(value_type = Option<Object>)]
    told: Option<Box<RawValue>>,
}

impl HeldView {
    fn new(id: ResourceId, held: Held) -> HeldView {
        let told = held.told.map(|told| raw(kept_user(id, &told.text, told.is_active)));
        HeldView { told }
    }
}

/// Something by id, with its name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reference {
    id: String,
    name: String,
}

/// Some users, with their roles and what waits of them.
async fn user_views(
    store: &DirectoryStore,
    users: Vec<UserRecord>,
) -> Result<Vec<UserView>, Problem> {
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    let roles = store.roles_of(ids.clone()).await?;
    let mut held = store.held_among(ids).await?;
    let view = |user: UserRecord| {
        let held = held.remove(&user.id).map(|it| HeldView::new(user.id, it));
        UserView { held, ..user_view(user, &roles, None) }
    };
    Ok(users.into_iter().map(view).collect())
}

fn user_view(user: UserRecord, roles: &ExplainedRoles, groups: Option<Vec<Reference>>) -> UserView {
    UserView {
        id: user.id.to_string(),
        active: user.is_active,
        roles: roles::assigned(roles.of(user.id), &roles::user_name(&user), &roles.groups),
        attributes: raw(user.text),
        groups,
        outside_domains: None,
        unknown_attributes: None,
        held: None,
        version: user.version,
        created_at: ::scim::datetime::print(user.created_at),
        updated_at: ::scim::datetime::print(user.modified_at),
    }
}

/// `GET /directories/{directory}/users`, active or not, in the order of their creation; all of them, or
/// those that are looked for.
pub(super) async fn users(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(query): Query<UsersQuery>,
) -> Result<Json<PageOf<UserView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let wanted = [
        ("userName", query.user_name),
        ("emails.value", query.email),
        ("externalId", query.external_id),
        ("displayName", query.display_name),
    ];
    let page = PageQuery { after: query.after, limit: query.limit };
    let limit = page.limit()?;
    let resource_type = Arc::clone(store.types().user());
    if let Some(filter) = filter(wanted, query.filter, &resource_type)? {
        let base = vendor.counter.settings.directory_base_url(store.id());
        let request = searched(filter, resource_type, base, limit, page.after);
        let found = store.users(request).await?;
        let data = user_views(&store, found.items).await?;
        return Ok(Json(PageOf { data, next: found.next }));
    }
    let found = store.users_after(ordinal_after(&page)?, limit).await?;
    let next = found.next.map(|ordinal| ordinal.to_string());
    Ok(Json(PageOf { data: user_views(&store, found.items).await?, next }))
}

/// `GET /directories/{directory}/users/{user}`, with the groups of the user.
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
    let roles = store.roles_of(vec![id]).await?;
    let view = user_view(user, &roles, Some(groups));
    let held = store.held(id).await?.map(|it| HeldView::new(id, it));
    let outside_domains = Some(vendor.store.outside_domains(store.id(), id).await?);
    let unknown_attributes = Some(raw(aside));
    Ok(Json(UserView { outside_domains, unknown_attributes, held, ..view }))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(super) struct GroupView {
    id: String,
    /// What the provider says of the group, by the names of SCIM.
    #[schema(value_type = Object)]
    attributes: Box<RawValue>,
    member_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberView>>,
    version: u64,
    created_at: String,
    updated_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
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
        created_at: ::scim::datetime::print(group.created_at),
        updated_at: ::scim::datetime::print(group.modified_at),
    }
}

/// `GET /directories/{directory}/groups`, in the order of their creation, without members.
pub(super) async fn groups(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(query): Query<GroupsQuery>,
) -> Result<Json<PageOf<GroupView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let wanted = [("displayName", query.display_name), ("externalId", query.external_id)];
    let page = PageQuery { after: query.after, limit: query.limit };
    let limit = page.limit()?;
    let resource_type = Arc::clone(store.types().group());
    if let Some(filter) = filter(wanted, query.filter, &resource_type)? {
        let base = vendor.counter.settings.directory_base_url(store.id());
        let request = searched(filter, resource_type, base, limit, page.after);
        let found = store.groups(request).await?;
        let data = found.items.into_iter().map(|group| group_view(group, None)).collect();
        return Ok(Json(PageOf { data, next: found.next }));
    }
    let found = store.groups_after(ordinal_after(&page)?, limit).await?;
    Ok(Json(page_of_stretch(found, |group| group_view(group, None))))
}

/// `GET /directories/{directory}/groups/{group}`, with all its members.
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

/// What is looked for, as one filter; nothing, where nobody says.
pub(crate) fn filter<const N: usize>(
    wanted: [(&str, Option<String>); N],
    filter: Option<String>,
    resource_type: &ResourceType,
) -> Result<Option<Arc<BoundFilter>>, Problem> {
    let equal = |(name, value): (&str, Option<String>)| {
        value.map(|value| format!("{name} eq {}", serde_json::Value::from(value)))
    };
    let mut parts: Vec<_> = wanted.into_iter().filter_map(equal).collect();
    parts.extend(filter.map(|filter| format!("({filter})")));
    if parts.is_empty() {
        return Ok(None);
    }
    let quirks = &mut Quirks::new();
    let read = Filter::parse(&parts.join(" and "), Preset::Lenient, quirks)
        .and_then(|filter| filter.bind(resource_type, Preset::Lenient, quirks));
    let filter = read.map_err(|error| {
        let hint = "Write it as SCIM does: `userName sw \"ana\" and active eq true`";
        Problem::invalid(format!("`filter` cannot be read: {}", error.detail()), hint)
    })?;
    Ok(Some(Arc::new(filter)))
}

/// A page of those who are looked for.
pub(crate) fn searched<R: Represent + 'static>(
    filter: Arc<BoundFilter>,
    resource_type: Arc<ResourceType>,
    base: String,
    limit: u64,
    after: Option<String>,
) -> ListRequest<R> {
    listed((Some(filter), None), resource_type, base, limit, after)
}

/// A page of those who are looked for, or of all, in an order.
pub(crate) fn listed<R: Represent + 'static>(
    (filter, sort): (Option<Arc<BoundFilter>>, Option<Arc<BoundSort>>),
    resource_type: Arc<ResourceType>,
    base: String,
    limit: u64,
    after: Option<String>,
) -> ListRequest<R> {
    let mut wanted: Vec<String> = Vec::new();
    wanted.extend(filter.iter().flat_map(|it| it.members()).map(str::to_owned));
    let by = sort.as_ref().and_then(|sort| sort.target()?.member());
    wanted.extend(by.map(str::to_owned));
    ListRequest {
        filter,
        sort,
        window: Window { start: Start::Cursor(after), count: limit },
        with_related: wanted.iter().any(|name| name == R::RELATED),
        represent: Arc::new(move |record: &R| {
            record.members(&resource_type, &base, |name| wanted.iter().any(|it| it == name))
        }),
    }
}

/// Some of what happened to somebody.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TimelineView {
    data: Vec<EventView>,
    /// What to send as `after` for what follows; `null` at the end.
    next: Option<String>,
}

/// `GET /directories/{directory}/users/{user}/timeline`: the events of one person, also of one who was
/// deleted, in their order.
pub(super) async fn user_timeline(
    vendor: Vendor,
    path: Path<(String, String)>,
    page: Query<PageQuery>,
) -> Result<Json<TimelineView>, Problem> {
    timeline(&vendor, path, page, "user").await
}

/// `GET /directories/{directory}/groups/{group}/timeline`: the same of a group.
pub(super) async fn group_timeline(
    vendor: Vendor,
    path: Path<(String, String)>,
    page: Query<PageQuery>,
) -> Result<Json<TimelineView>, Problem> {
    timeline(&vendor, path, page, "group").await
}

async fn timeline(
    vendor: &Vendor,
    Path((directory, id)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
    what: &str,
) -> Result<Json<TimelineView>, Problem> {
    let store = open(vendor, &directory).await?;
    let id = ResourceId::parse(&id).ok_or_else(|| Problem::not_found(what))?;
    let found = store.timeline(id, ordinal_after(&page)?, page.limit()?).await?;
    Ok(Json(TimelineView {
        data: found.events.into_iter().map(EventView::from).collect(),
        next: found.next.map(|place| place.to_string()),
    }))
}

/// What was kept is JSON.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("resources are kept as JSON")
}
