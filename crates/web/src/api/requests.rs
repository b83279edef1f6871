//! The request log: what came in, what was answered, why, and what to do now; and a request carried out
//! once more when its cause is mended.

use std::sync::Arc;

use ::scim::dialect::Quirk;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use directory::requests::{BodyKept, Entry, HIDDEN, Place as Named, explain, subject};
use directory::{DirectoryId, OrganizationId, RequestId, ResourceId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    ApiStore, DirectoryStore, RequestFilter, RequestRecord, RerunTarget, Standing, UserRecord,
    WholeRequest,
};
use utoipa::{IntoParams, ToSchema};

use super::users::{filter, searched};
use super::{PageOf, PageQuery, Path, Query, Vendor, id};
use crate::Counter;
use crate::problem::Problem;
use crate::scim::{cut, rerun as carry_out_again};
use crate::taken::Rerun;

/// Which requests. Those that have all that is named.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// About this person: an id, a `userName` or an `externalId`.
    person: Option<String>,
    /// About this group: an id, a `displayName` or an `externalId`.
    group: Option<String>,
    /// Answered with this status: `409`, or `4xx` for all that begin so.
    status: Option<String>,
    /// With this method: `PATCH`.
    method: Option<String>,
    /// Answered at this time or later, such as `2026-01-05T09:00:00Z`.
    since: Option<String>,
    /// Answered before this time.
    until: Option<String>,
    /// With this name, the `x-request-id` of its answer.
    request_id: Option<String>,
}

/// The same, over all directories.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AllRequestsQuery {
    /// Of this directory.
    directory_id: Option<String>,
    /// Of the directories of this organization.
    organization_id: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// About this person: an id, a `userName` or an `externalId`.
    person: Option<String>,
    /// About this group: an id, a `displayName` or an `externalId`.
    group: Option<String>,
    /// Answered with this status: `409`, or `4xx` for all that begin so.
    status: Option<String>,
    /// With this method: `PATCH`.
    method: Option<String>,
    /// Answered at this time or later, such as `2026-01-05T09:00:00Z`.
    since: Option<String>,
    /// Answered before this time.
    until: Option<String>,
    /// With this name, the `x-request-id` of its answer.
    request_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(super) struct RequestView {
    /// The `x-request-id` of its answer.
    id: String,
    /// `request`; or `gap`: some were not taken down, from `began_at` on.
    #[serde(rename = "type")]
    kind: &'static str,
    directory_id: String,
    organization_id: String,
    began_at: String,
    /// Microseconds until it was answered.
    duration_us: u64,
    method: Option<String>,
    /// Without secrets, as everything here.
    path: Option<String>,
    query: Option<String>,
    /// How it was answered.
    status: Option<u16>,
    client_address: Option<String>,
    user_agent: Option<String>,
    /// Who sent it; `null` where no credential opened the directory.
    by: Option<SentBy>,
    /// The request that was carried out once more.
    rerun_of: Option<String>,
    explanation: ExplanationView,
    /// Of a gap: how many requests are missing.
    lost_count: Option<u64>,
    /// Of a gap: when the last of them came.
    lost_until: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SentBy {
    /// `token` and `oauth_client`: the identity provider; `api_key`, `member` and `portal_link`:
    /// somebody had it carried out once more.
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
}

/// A request in plain words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestExplanation)]
struct ExplanationView {
    /// What the provider tried.
    tried: String,
    /// What was done.
    outcome: String,
    why: Option<String>,
    /// What somebody is to do now, if anything.
    what_to_do: Option<String>,
    /// What was straightened.
    straightened: Vec<Straightened>,
    /// Members of a group that nobody knows, a few of them.
    unknown_members: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Straightened {
    name: String,
    /// To stand after "The provider".
    explanation: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeRequest)]
pub(super) struct WholeRequestView {
    #[serde(flatten)]
    request: RequestView,
    request_body: Option<BodyView>,
    answer_body: Option<BodyView>,
    /// The same as a command; `$TOKEN` stands for the token of the directory.
    curl: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestBody)]
struct BodyView {
    /// How many bytes there were.
    bytes: u64,
    /// Its text, or the beginning of it; `null` where it is not kept (any more).
    text: Option<String>,
    /// Whether `text` is all of it, but for passwords.
    whole: bool,
    /// Why it is not.
    note: Option<&'static str>,
}

/// What came of a request that was carried out once more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rerun)]
pub(super) struct RerunView {
    /// Its name in the log.
    request_id: String,
    /// How it was answered this time.
    status: u16,
    /// What was answered.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
    explanation: ExplanationView,
}

/// `GET /directories/{directory}/requests`.
pub(super) async fn of_directory(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(query): Query<RequestsQuery>,
) -> Result<Json<PageOf<RequestView>>, Problem> {
    let directory = existing(&vendor, &directory).await?;
    list(&vendor, query, Some(directory), None).await
}

/// `GET /requests`.
pub(super) async fn of_all(
    vendor: Vendor,
    Query(query): Query<AllRequestsQuery>,
) -> Result<Json<PageOf<RequestView>>, Problem> {
    let organization = match &query.organization_id {
        None => None,
        Some(organization) => {
            let organization: OrganizationId = id(organization, "organization")?;
            if !vendor.store.was_organization(organization).await? {
                return Err(Problem::not_found("organization"));
            }
            Some(organization)
        }
    };
    let directory = match &query.directory_id {
        None => None,
        Some(directory) => Some(existing(&vendor, directory).await?),
    };
    let AllRequestsQuery {
        after,
        limit,
        person,
        group,
        status,
        method,
        since,
        until,
        request_id,
        ..
    } = query;
    let query =
        RequestsQuery { after, limit, person, group, status, method, since, until, request_id };
    list(&vendor, query, directory, organization).await
}

/// A directory, also one that was deleted: there are requests of it still.
async fn existing(vendor: &Vendor, directory: &str) -> Result<DirectoryId, Problem> {
    let directory: DirectoryId = id(directory, "directory")?;
    let found = vendor.store.organization_of(directory).await?;
    found.map(|_| directory).ok_or_else(|| Problem::not_found("directory"))
}

async fn list(
    vendor: &Vendor,
    query: RequestsQuery,
    directory_id: Option<DirectoryId>,
    organization_id: Option<OrganizationId>,
) -> Result<Json<PageOf<RequestView>>, Problem> {
    let page = PageQuery { after: query.after.clone(), limit: query.limit.clone() };
    let limit = page.limit()?;
    let subjects = match meant(&query)? {
        Some(meant) => Some(subjects((&vendor.store, &vendor.counter), directory_id, meant).await?),
        None => None,
    };
    let filter = RequestFilter {
        directory_id,
        organization_id,
        subjects,
        method: query.method.as_deref().map(str::to_ascii_uppercase),
        status: query.status.as_deref().map(read_status).transpose()?,
        since: query.since.as_deref().map(|it| read_time("since", it)).transpose()?,
        until: query.until.as_deref().map(|it| read_time("until", it)).transpose()?,
        before: page.after::<Place>()?.map(|Place(place)| place),
    };
    if let Some(name) = &query.request_id {
        let request: Option<RequestId> = name.parse().ok();
        let found = match request {
            Some(request) => vendor.store.request(request).await?,
            None => None,
        };
        let is_meant = |it: &WholeRequest| {
            directory_id.is_none_or(|of| of == it.record.directory_id)
                && organization_id.is_none_or(|of| of == it.record.organization_id)
        };
        let data = found.filter(is_meant).map(|it| view(it.record)).into_iter().collect();
        return Ok(Json(PageOf { data, next: None }));
    }
    let found = vendor.store.requests(filter, limit).await?;
    Ok(Json(PageOf {
        data: found.requests.into_iter().map(view).collect(),
        next: found.next.map(|place| place.to_string()),
    }))
}

/// A place in the log.
struct Place(u64);

impl std::str::FromStr for Place {
    type Err = std::num::TryFromIntError;

    fn from_str(text: &str) -> Result<Place, Self::Err> {
        let place: i64 = text.parse().unwrap_or(-1);
        u64::try_from(place).map(Place)
    }
}

pub(crate) fn read_status(text: &str) -> Result<(u16, u16), Problem> {
    let class = text.strip_suffix("xx").and_then(|it| it.parse::<u16>().ok());
    match (class, text.parse::<u16>()) {
        (Some(class @ 1..=5), _) => Ok((class * 100, class * 100 + 99)),
        (_, Ok(status @ 100..=599)) => Ok((status, status)),
        _ => Err(Problem::invalid(
            format!("`status` is `{}`", cut(text, 20)),
            "Ask for a status such as `409`, or for all that begin alike: `4xx`",
        )),
    }
}

pub(crate) fn read_time(name: &str, text: &str) -> Result<Timestamp, Problem> {
    ::scim::datetime::parse(text).ok_or_else(|| {
        Problem::invalid(
            format!("`{name}` is `{}`, which is not a time", cut(text, 40)),
            "Write it as `2026-01-05T09:00:00Z`",
        )
    })
}

/// The person or group that is meant, and whether it is a group.
fn meant(query: &RequestsQuery) -> Result<Option<(&str, bool)>, Problem> {
    match (&query.person, &query.group) {
        (None, None) => Ok(None),
        (Some(person), None) => Ok(Some((person, false))),
        (None, Some(group)) => Ok(Some((group, true))),
        (Some(_), Some(_)) => {
            Err(Problem::invalid("`person` and `group` are both named", "Ask for one of them"))
        }
    }
}

/// The names by which requests about somebody are found. Who is known is found by all names that they
/// have now.
pub(crate) async fn subjects(
    (store, counter): (&ApiStore, &Counter),
    directory_id: Option<DirectoryId>,
    (name, is_group): (&str, bool),
) -> Result<Vec<String>, Problem> {
    let mut names = vec![name.to_owned()];
    let store = match directory_id {
        Some(directory) => store.open(directory).await?,
        None => None,
    };
    if let Some(store) = store {
        names.extend(other_names(counter, &store, name, is_group).await?);
    }
    let mut subjects: Vec<_> = names.iter().map(|name| subject(is_group, name)).collect();
    subjects.sort_unstable();
    subjects.dedup();
    Ok(subjects)
}

async fn other_names(
    counter: &Counter,
    store: &DirectoryStore,
    name: &str,
    is_group: bool,
) -> Result<Vec<String>, Problem> {
    let resource = ResourceId::parse(name);
    let mut found: Vec<(String, String)> = Vec::new();
    match (resource, is_group) {
        (Some(id), false) => {
            found.extend(store.user(id, false).await?.map(|it| (it.id.to_string(), it.text)));
        }
        (Some(id), true) => {
            found.extend(store.group(id, false).await?.map(|it| (it.id.to_string(), it.text)));
        }
        (None, _) => {
            let base = counter.settings.directory_base_url(store.id());
            let of_users = ["userName", "externalId"];
            let of_groups = ["displayName", "externalId"];
            for attribute in if is_group { of_groups } else { of_users } {
                let wanted = [(attribute, Some(name.to_owned()))];
                let types = store.types();
                let kind =
                    std::sync::Arc::clone(if is_group { types.group() } else { types.user() });
                let Some(filter) = filter(wanted, None, &kind)? else { continue };
                if is_group {
                    let request = searched(filter, kind, base.clone(), 1, None);
                    let page = store.groups(request).await?;
                    found.extend(page.items.into_iter().map(|it| (it.id.to_string(), it.text)));
                } else {
                    let request = searched::<UserRecord>(filter, kind, base.clone(), 1, None);
                    let page = store.users(request).await?;
                    found.extend(page.items.into_iter().map(|it| (it.id.to_string(), it.text)));
                }
            }
        }
    }
    let mut names = Vec::new();
    for (id, text) in found {
        let resource: Value = serde_json::from_str(&text).unwrap_or_default();
        let named = if is_group { "displayName" } else { "userName" };
        names.extend(
            [named, "externalId"].iter().filter_map(|it| resource[it].as_str()).map(str::to_owned),
        );
        names.push(id);
    }
    Ok(names)
}

/// `GET /requests/{request}`.
pub(super) async fn get(
    vendor: Vendor,
    Path(request): Path<String>,
) -> Result<Json<WholeRequestView>, Problem> {
    let whole = find(&vendor, &request).await?;
    let curl = curl(&whole, vendor.counter.settings.public_url());
    let WholeRequest { record, request_body, answer_body } = whole;
    let body = |kept: &Option<BodyKept>, text: Option<String>| {
        kept.as_ref().map(|kept| BodyView {
            bytes: kept.bytes,
            whole: kept.is_whole && text.is_some(),
            note: note(kept, text.as_deref()),
            text,
        })
    };
    Ok(Json(WholeRequestView {
        request_body: body(&record.entry.request_body, request_body),
        answer_body: body(&record.entry.answer_body, answer_body),
        request: view(record),
        curl,
    }))
}

async fn find(vendor: &Vendor, request: &str) -> Result<WholeRequest, Problem> {
    let request: RequestId = id(request, "request")?;
    let found = vendor.store.request(request).await?;
    found.ok_or_else(|| Problem::not_found("request"))
}

/// Why a body is not all there.
pub(crate) fn note(kept: &BodyKept, text: Option<&str>) -> Option<&'static str> {
    match text {
        _ if kept.is_unreadable => Some(
            "It is not JSON. What cannot be read cannot be searched for secrets, so it is not kept.",
        ),
        None => Some(
            "It is not kept: nobody was known by the credential, it is too old, somebody whom it was about was erased, or the server is set not to.",
        ),
        Some(_) if kept.is_whole => None,
        Some(text) if (text.len() as u64) < kept.bytes => Some(
            "This is not all of it: it was longer than is kept, or some of it is not to be read.",
        ),
        Some(_) => Some("Some of it is not to be read, and is left out."),
    }
}

/// `POST /requests/{request}/rerun`. 409 where it cannot be done safely.
pub(super) async fn rerun(
    vendor: Vendor,
    axum::Extension(crate::RequestId(own)): axum::Extension<crate::RequestId>,
    Path(request): Path<String>,
) -> Result<Json<RerunView>, Problem> {
    let whole = find(&vendor, &request).await?;
    let again = again(&vendor.store, &vendor.counter, own, &whole).await?;
    Ok(Json(RerunView {
        request_id: own.to_string(),
        status: again.status.as_u16(),
        answer: serde_json::from_slice(&again.answer).ok(),
        explanation: explanation(&again.entry, again.status.as_u16()),
    }))
}

/// What became of a request that was carried out once more.
pub(crate) struct Again {
    pub(crate) status: StatusCode,
    answer: Bytes,
    entry: Entry,
}

/// For how long somebody who was refused may be let in by sending the same again. A provider that was
/// refused has nobody here whom it could take out, so whether they have left meanwhile it never said.
const LETS_IN_FOR: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Carries a request out once more, as the request that is named `own`.
///
/// # Errors
///
/// Where that cannot be done safely: why.
pub(crate) async fn again(
    store: &ApiStore,
    counter: &Arc<Counter>,
    own: RequestId,
    whole: &WholeRequest,
) -> Result<Again, Problem> {
    let of: RequestId = id(&whole.record.request_id, "request")?;
    let entry = &whole.record.entry;
    let body = repeatable(whole).map_err(|(why, hint)| not_repeatable(why, hint))?;
    let summary = store.directory(whole.record.directory_id).await?;
    let summary = summary.ok_or_else(|| Problem::not_found("directory"))?;
    if summary.standing != Standing::Open {
        return Err(not_repeatable(
            "the directory is paused, or directory sync is switched off for its organization",
            "Resume it, and send this again",
        ));
    }
    let age = counter.access.now().duration_since(whole.record.begun_at);
    if age > LETS_IN_FOR && entry.method == "POST" && Named::read(&entry.path) == Named::Users {
        return Err(not_repeatable(
            "somebody would be let in who was sent more than three days ago. Who is not here cannot \
             have been taken out here, if they have left since",
            "Have the provider send them again: Okta with Retry Selected under Tasks, others with \
             their next cycle",
        ));
    }
    let targets = entry.targets.clone();
    let changed =
        store.changed_since(whole.record.directory_id, targets, whole.record.place).await?;
    if let Some(since) = changed {
        return Err(not_repeatable(
            format!("the same was changed since, by the request {since}"),
            "Look whether anything is left to be done; the provider can send it anew",
        ));
    }
    if let Some(target) = rerun_target(&entry.path, &body)
        && store.is_other_since(whole.record.directory_id, target, whole.record.begun_at).await?
    {
        return Err(not_repeatable(
            "the same was changed, deactivated or deleted since",
            "Look whether anything is left to be done; the provider can send it anew",
        ));
    }
    let opened = store.open(whole.record.directory_id).await?;
    let opened = opened.ok_or_else(|| Problem::not_found("directory"))?;
    let query = entry.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let sent = Request::builder()
        .method(Method::from_bytes(entry.method.as_bytes()).unwrap_or(Method::GET))
        .uri(format!("{}{query}", entry.path))
        .header(header::CONTENT_TYPE, "application/scim+json")
        .body(Body::from(body));
    let sent = sent.map_err(|_| {
        not_repeatable("its address cannot be made again", "Have the provider send it anew")
    })?;
    store.note_rerun(of, whole.record.directory_id).await?;
    let rerun = Rerun { of, by: store.caused_by() };
    let (status, answer) = carry_out_again(counter, own, opened.as_rerun_of(of), sent, rerun).await;
    let taken_down = store.request(own).await?;
    let mut entry = taken_down.map(|it| it.record.entry).unwrap_or_default();
    if entry.tried.is_empty() {
        entry.tried.clone_from(&whole.record.entry.tried);
    }
    Ok(Again { status, answer, entry })
}

/// Whom or what a request is meant to change, by the names that they may be known by.
fn rerun_target(path: &str, body: &str) -> Option<RerunTarget> {
    let (is_group, id) = match Named::read(path) {
        Named::User(id) => return Some(RerunTarget::by_id(false, id)),
        Named::Group(id) => return Some(RerunTarget::by_id(true, id)),
        Named::Users => (false, None),
        Named::Groups => (true, None),
        _ => return None,
    };
    let body: Value = serde_json::from_str(body).ok()?;
    let text = |wanted: &str| {
        let found = body.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
    };
    let name = text(if is_group { "displayName" } else { "userName" });
    Some(RerunTarget { is_group, id, name, external_id: text("externalId") })
}

/// The body with which a request can be sent again, or why it cannot.
pub(crate) fn repeatable(whole: &WholeRequest) -> Result<String, (&'static str, &'static str)> {
    let entry = &whole.record.entry;
    let anew = "Have the provider send it anew";
    if entry.erased_by.is_some() {
        return Err(("somebody whom it was about was erased", anew));
    }
    if entry.lost.is_some() {
        return Err(("this stands for requests that were not taken down", anew));
    }
    if whole.record.status < 400 {
        return Err(("it did not fail", "There is nothing to be done"));
    }
    if entry.by.is_none() {
        return Err((
            "nobody was known by its credential",
            "Mend the credential, and have the provider send it anew",
        ));
    }
    if whole.record.status == 412 {
        return Err((
            "it was meant for a version of the resource that is not there any more",
            anew,
        ));
    }
    if entry.path.ends_with("/Bulk") {
        return Err(("it has many operations, some of which may have been carried out", anew));
    }
    let is_hidden = entry.path.contains(HIDDEN)
        || entry
            .query
            .as_deref()
            .is_some_and(|query| query.contains(HIDDEN) || query.contains(' '));
    if is_hidden {
        return Err(("a part of its address is not kept", anew));
    }
    match (&entry.request_body, &whole.request_body) {
        (None, _) if matches!(entry.method.as_str(), "POST" | "PUT" | "PATCH") => {
            Err(("it was refused before its body was read", anew))
        }
        (None, _) => Ok(String::new()),
        (Some(kept), Some(text)) if kept.is_whole => Ok(text.clone()),
        (Some(_), _) => Err(("its body is not kept whole", anew)),
    }
}

fn not_repeatable(why: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "not-repeatable",
        "The request cannot be carried out again",
        why,
        hint,
    )
}

fn view(record: RequestRecord) -> RequestView {
    let RequestRecord {
        request_id,
        directory_id,
        organization_id,
        status,
        begun_at,
        duration_us,
        entry,
        ..
    } = record;
    let is_request = entry.lost.is_none();
    let text = |text: &String| is_request.then(|| text.clone());
    RequestView {
        id: request_id,
        kind: if is_request { "request" } else { "gap" },
        directory_id: directory_id.to_string(),
        organization_id: organization_id.to_string(),
        began_at: ::scim::datetime::print(begun_at),
        duration_us,
        method: text(&entry.method),
        path: text(&entry.path),
        query: entry.query.clone(),
        status: is_request.then_some(status),
        client_address: entry.client_address.clone(),
        user_agent: entry.user_agent.clone(),
        by: entry.by.clone().map(|(kind, id)| SentBy { kind, id }),
        rerun_of: entry.rerun_of.clone(),
        explanation: explanation(&entry, status),
        lost_count: entry.lost.map(|it| it.count),
        lost_until: entry
            .lost
            .and_then(|it| Timestamp::from_microsecond(it.until).ok().map(::scim::datetime::print)),
    }
}

fn explanation(entry: &Entry, status: u16) -> ExplanationView {
    let explained = explain(entry, status);
    let straightened = |name: &String| Straightened {
        explanation: Quirk::from_name(name).map(Quirk::explanation),
        name: name.clone(),
    };
    ExplanationView {
        tried: explained.tried,
        outcome: explained.outcome,
        why: explained.why,
        what_to_do: explained.what_to_do,
        straightened: entry.straightened.iter().map(straightened).collect(),
        unknown_members: entry.unknown_members.clone(),
    }
}

/// Methods that a request may be repeated with.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The same request as a command.
pub(crate) fn curl(whole: &WholeRequest, public_url: &str) -> Option<String> {
    let entry = &whole.record.entry;
    // What is none of ours may be anybody's, and a shell would carry it out.
    if entry.lost.is_some() || !METHODS.contains(&entry.method.as_str()) {
        return None;
    }
    // A quote within quotes: ends them, writes one, and begins anew.
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let query = entry.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let url = quoted(&format!("{public_url}{}{query}", entry.path).replace(' ', "%20"));
    let mut curl = format!("curl -X {} {url} -H \"Authorization: Bearer $TOKEN\"", entry.method);
    if let Some(body) = whole.request_body.as_deref().filter(|it| !it.is_empty()) {
        curl += " -H 'Content-Type: application/scim+json' --data-raw ";
        curl += &quoted(body);
    }
    Some(curl)
}
