//! Webhook endpoints: where the vendor's app wants events brought, and what became of them.

use axum::Json;
use axum::http::StatusCode;
use directory::webhook::{EndpointUrl, FILTER_MAX, Filter, Networks, SigningSecret};
use directory::{DeliveryId, EndpointId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::{
    Attempt, Cursor, DeliveryRecord, DeliveryState, EndpointChange, EndpointSummary, NewEndpoint,
};
use utoipa::{IntoParams, ToSchema};

use super::events::bad_cursor;
use super::{Input, PageOf, PageQuery, Path, Query, Tagged, Vendor, When, check_name, id, page_of};
use crate::problem::Problem;
use crate::scim::cut;

/// For how many hours the secrets before a new one stay good, when nobody says, and at most.
const OVERLAP_HOURS: i64 = 24;
const OVERLAP_HOURS_MAX: i64 = 24 * 30;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    /// Where events are brought: an `https` URL of the internet, or of the networks that the server
    /// was told to allow.
    url: String,
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// Which events: types, or beginnings such as `directory.user.*`; all where none is named.
    #[serde(default)]
    event_types: Vec<String>,
    /// Only what happened in directories of these; all where none is named.
    #[serde(default)]
    organization_ids: Vec<String>,
    /// Only what happened in these; all where none is named.
    #[serde(default)]
    directory_ids: Vec<String>,
    /// Whether events of one directory wait for each other.
    #[serde(default)]
    ordered: bool,
    /// With which event it begins: with the next one, where nothing is said.
    #[serde(default)]
    begin: Begin,
}

/// With which event a new endpoint begins.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[schema(as = WebhookBegin)]
#[serde(rename_all = "lowercase")]
enum Begin {
    #[default]
    Now,
    Beginning,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WebhookEdit)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookEdit {
    url: Option<String>,
    /// An empty text takes it away.
    description: Option<String>,
    event_types: Option<Vec<String>>,
    organization_ids: Option<Vec<String>>,
    directory_ids: Option<Vec<String>>,
    ordered: Option<bool>,
    /// One that is switched on again goes on where it was.
    enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SecretRotation {
    /// Hours for which the secrets before it stay good: 0 to 720; 24 where nothing is said.
    #[schema(minimum = 0, maximum = 720)]
    overlap_hours: Option<i64>,
}

/// What is to be brought again: one of these.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = Replay)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReplayInput {
    /// Everything that is not tried any more.
    failed: Option<bool>,
    /// What occurred then or later, and before `until` where that is there.
    since: Option<String>,
    until: Option<String>,
    /// What stands behind this cursor of the feed, and not behind `upto` where that is there.
    after: Option<String>,
    upto: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveriesQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Only those that are `pending`, `delivered` or `failed`.
    state: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    id: String,
    url: String,
    description: Option<String>,
    event_types: Vec<String>,
    organization_ids: Vec<String>,
    directory_ids: Vec<String>,
    ordered: bool,
    enabled: bool,
    disabled: Option<DisabledView>,
    /// Since when every attempt has failed. After five days nothing is brought any more.
    failing_since: Option<String>,
    last_success_at: Option<String>,
    last_failure_at: Option<String>,
    lag: LagView,
    /// Deliveries that are under way or waiting for another attempt.
    pending_count: u64,
    /// Deliveries that are not tried any more.
    failed_count: u64,
    /// Events that were let go before they could be brought.
    missed_count: u64,
    secrets: Vec<SecretView>,
    created_at: String,
    updated_at: String,
    /// Only where it was made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDisabled)]
struct DisabledView {
    at: String,
    /// `manual`, `failing` (for five days) or `gone` (the receiver said 410).
    reason: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookLag)]
struct LagView {
    /// How many events are not brought yet.
    events: u64,
    /// When the oldest of them occurred.
    oldest_event_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
struct SecretView {
    created_at: String,
    /// `null` of the newest.
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    id: String,
    event: EventOfDelivery,
    /// `pending`, `delivered` or `failed`.
    state: &'static str,
    attempt_count: u64,
    next_attempt_at: Option<String>,
    attempts: Vec<AttemptView>,
    created_at: String,
    updated_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct EventOfDelivery {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    occurred_at: String,
    organization_id: Option<String>,
    directory_id: Option<String>,
    number: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
struct AttemptView {
    at: String,
    duration_ms: u64,
    /// The HTTP status that was answered.
    status: Option<u16>,
    /// Why it counts as failed.
    error: Option<String>,
    /// The beginning of what was answered.
    answer: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedWebhookSecret)]
pub(super) struct SecretMade {
    /// It is shown here and nowhere else.
    secret: String,
    /// Until when the secrets before it stay good.
    previous_expire_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replayed {
    /// How many deliveries are tried anew, where that is known.
    deliveries: Option<u64>,
}

fn time(time: Timestamp) -> String {
    scim::datetime::print(time)
}

fn texts(ids: &[impl ToString]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

impl From<EndpointSummary> for Tagged<WebhookView> {
    fn from(summary: EndpointSummary) -> Tagged<WebhookView> {
        Tagged { revision: summary.endpoint.revision(), view: summary.into() }
    }
}

impl From<EndpointSummary> for WebhookView {
    fn from(summary: EndpointSummary) -> WebhookView {
        let EndpointSummary { endpoint, health, .. } = summary;
        WebhookView {
            id: endpoint.id.to_string(),
            url: endpoint.url,
            description: endpoint.description,
            organization_ids: texts(&endpoint.filter.organizations),
            directory_ids: texts(&endpoint.filter.directories),
            event_types: endpoint.filter.types,
            ordered: endpoint.is_ordered,
            enabled: endpoint.disabled.is_none(),
            disabled: endpoint
                .disabled
                .map(|it| DisabledView { at: time(it.at), reason: it.reason.as_str() }),
            failing_since: health.failing_since.map(time),
            last_success_at: health.last_success_at.map(time),
            last_failure_at: health.last_failure_at.map(time),
            lag: LagView {
                events: summary.events_behind,
                oldest_event_at: summary.oldest_at.map(time),
            },
            pending_count: summary.pending_count,
            failed_count: summary.failed_count,
            missed_count: summary.missed_count,
            secrets: summary
                .secrets
                .into_iter()
                .map(|(from, to)| SecretView { created_at: time(from), expires_at: to.map(time) })
                .collect(),
            created_at: time(endpoint.created_at),
            updated_at: time(endpoint.modified_at),
            secret: None,
        }
    }
}

impl From<DeliveryRecord> for DeliveryView {
    fn from(delivery: DeliveryRecord) -> DeliveryView {
        let is_pending = delivery.state == DeliveryState::Pending;
        let event = delivery.event;
        let attempt = |it: Attempt| AttemptView {
            at: time(it.at),
            duration_ms: it.duration_ms,
            status: it.status,
            error: it.error,
            answer: it.answer,
        };
        DeliveryView {
            id: delivery.id.to_string(),
            event: EventOfDelivery {
                id: event.event_id,
                kind: event.kind,
                occurred_at: time(event.occurred_at),
                organization_id: event.organization_id.map(|id| id.to_string()),
                directory_id: event.directory_id.map(|id| id.to_string()),
                number: event.number,
            },
            state: delivery.state.as_str(),
            attempt_count: delivery.attempt_count,
            next_attempt_at: is_pending.then(|| time(delivery.next_attempt_at)),
            attempts: delivery.attempts.into_iter().map(attempt).collect(),
            created_at: time(delivery.created_at),
            updated_at: time(delivery.modified_at),
        }
    }
}

pub(crate) fn check_url(allowed: &Networks, text: &str) -> Result<String, Problem> {
    let url = EndpointUrl::parse(text, allowed).map_err(|bad| {
        Problem::invalid(
            format!("`url` cannot be used: {bad}"),
            "Give an `https` URL of the internet; `roster serve --webhook-allow` names networks of \
             your own that may be used too, also with `http`",
        )
    })?;
    Ok(url.as_str().to_owned())
}

pub(crate) fn check_description(text: Option<String>) -> Result<Option<String>, Problem> {
    let given = text.filter(|text| !text.trim().is_empty());
    given.map(|text| check_name("description", &text)).transpose()
}

pub(crate) fn check_types(types: Vec<String>) -> Result<Vec<String>, Problem> {
    match types.iter().find(|it| !Filter::is_type(it)) {
        _ if types.len() > FILTER_MAX => Err(too_many("event_types")),
        None => Ok(types),
        Some(unknown) => Err(Problem::invalid(
            format!("`event_types` names `{}`, and no event is of that type", cut(unknown, 60)),
            "Name types such as `directory.user.created`, or beginnings such as \
             `directory.user.*`; leave it out for all",
        )),
    }
}

pub(crate) fn check_ids<T: std::str::FromStr>(
    field: &str,
    ids: &[String],
) -> Result<Vec<T>, Problem> {
    if ids.len() > FILTER_MAX {
        return Err(too_many(field));
    }
    let read = |text: &String| {
        text.parse().map_err(|_| {
            Problem::invalid(
                format!("`{field}` names `{}`, which is no such id", cut(text, 60)),
                "Compare the id with the one that was given when it was created",
            )
        })
    };
    ids.iter().map(read).collect()
}

fn too_many(field: &str) -> Problem {
    Problem::invalid(
        format!("`{field}` has more than {FILTER_MAX} entries"),
        "Make several endpoints, or leave it out for all",
    )
}

/// `POST /webhooks`. The answer is the only place where the secret is shown.
pub(super) async fn create(
    vendor: Vendor,
    Input(new): Input<NewWebhook>,
) -> Result<(StatusCode, Tagged<WebhookView>), Problem> {
    let secret = SigningSecret::new((vendor.counter.entropy)());
    let new = NewEndpoint {
        url: check_url(&vendor.counter.settings.webhook_networks, &new.url)?,
        description: check_description(new.description)?,
        filter: Filter {
            types: check_types(new.event_types)?,
            organizations: check_ids("organization_ids", &new.organization_ids)?,
            directories: check_ids("directory_ids", &new.directory_ids)?,
        },
        is_ordered: new.ordered,
        from_the_beginning: new.begin == Begin::Beginning,
        secret: secret.clone(),
    };
    let made = vendor.store.create_endpoint(new).await?.ok_or_else(full)?;
    let mut made = load(&vendor, made).await?;
    made.view.secret = Some(secret.reveal().to_owned());
    Ok((StatusCode::CREATED, made))
}

/// `GET /webhooks`, in the order of their creation.
pub(super) async fn list(
    vendor: Vendor,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<WebhookView>>, Problem> {
    let limit = page.limit()?;
    let found = vendor.store.endpoints(page.after()?, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.endpoint.id.to_string(), WebhookView::from)))
}

/// `GET /webhooks/{webhook}`, with how far it is behind.
pub(super) async fn get(
    vendor: Vendor,
    Path(webhook): Path<String>,
) -> Result<Tagged<WebhookView>, Problem> {
    load(&vendor, endpoint_id(&webhook)?).await
}

/// `PATCH /webhooks/{webhook}`. One that is switched on again goes on where it was.
pub(super) async fn patch(
    vendor: Vendor,
    Path(webhook): Path<String>,
    when: When,
    Input(patch): Input<WebhookEdit>,
) -> Result<Tagged<WebhookView>, Problem> {
    let id = endpoint_id(&webhook)?;
    let (organizations, directories) = (&patch.organization_ids, &patch.directory_ids);
    let organizations = organizations.as_ref().map(|ids| check_ids("organization_ids", ids));
    let directories = directories.as_ref().map(|ids| check_ids("directory_ids", ids));
    let allowed = &vendor.counter.settings.webhook_networks;
    let change = EndpointChange {
        url: patch.url.map(|url| check_url(allowed, &url)).transpose()?,
        description: patch.description.map(|text| check_description(Some(text))).transpose()?,
        types: patch.event_types.map(check_types).transpose()?,
        organizations: organizations.transpose()?,
        directories: directories.transpose()?,
        is_ordered: patch.ordered,
        is_enabled: patch.enabled,
    };
    vendor.store.change_endpoint(id, when.guard(change)).await?;
    load(&vendor, id).await
}

/// `DELETE /webhooks/{webhook}`, with all that was on its way.
pub(super) async fn delete(
    vendor: Vendor,
    Path(webhook): Path<String>,
    when: When,
) -> Result<StatusCode, Problem> {
    let id = endpoint_id(&webhook)?;
    let is_gone = vendor.store.delete_endpoint(when.guard(id)).await?;
    if is_gone { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// `POST /webhooks/{webhook}/secret`: a new secret. Those before it stay good for a while, and deliveries
/// are signed with all.
pub(super) async fn rotate(
    vendor: Vendor,
    Path(webhook): Path<String>,
    Input(rotation): Input<SecretRotation>,
) -> Result<(StatusCode, Json<SecretMade>), Problem> {
    let id = endpoint_id(&webhook)?;
    let hours = rotation.overlap_hours.unwrap_or(OVERLAP_HOURS);
    if !(0..=OVERLAP_HOURS_MAX).contains(&hours) {
        return Err(Problem::invalid(
            format!("`overlap_hours` is {hours}"),
            format!("Give 0 to {OVERLAP_HOURS_MAX} hours"),
        ));
    }
    let secret = SigningSecret::new((vendor.counter.entropy)());
    let overlap = SignedDuration::from_hours(hours);
    if !vendor.store.rotate_endpoint_secret(id, secret.clone(), overlap).await? {
        return Err(unknown());
    }
    let until = vendor.counter.access.now() + overlap;
    let made = SecretMade { secret: secret.reveal().to_owned(), previous_expire_at: time(until) };
    Ok((StatusCode::CREATED, Json(made)))
}

/// `POST /webhooks/{webhook}/test`: brings an event there that is none, once.
pub(super) async fn test(
    vendor: Vendor,
    Path(webhook): Path<String>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let id = endpoint_id(&webhook)?;
    let Some(made) = vendor.store.test_endpoint(id).await? else {
        load(&vendor, id).await?;
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "webhook-disabled",
            "The webhook endpoint is switched off",
            "nothing is brought to it",
            "Switch it on with `PATCH` and `{\"enabled\": true}`, then test it",
        ));
    };
    Ok((StatusCode::ACCEPTED, Json(load_delivery(&vendor, id, made).await?)))
}

/// `GET /webhooks/{webhook}/deliveries`, the latest first.
pub(super) async fn deliveries(
    vendor: Vendor,
    Path(webhook): Path<String>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<PageOf<DeliveryView>>, Problem> {
    let id = endpoint_id(&webhook)?;
    let page = PageQuery { after: query.after, limit: query.limit };
    let limit = page.limit()?;
    let state = query.state.as_deref().map(|text| {
        text.parse::<DeliveryState>().map_err(|()| {
            Problem::invalid(
                format!("`state` is `{}`", cut(text, 20)),
                "Ask for `pending`, `delivered` or `failed`, or leave it out for all",
            )
        })
    });
    let (state, after) = (state.transpose()?, page.after::<DeliveryId>()?);
    vendor.store.endpoint(id).await?.ok_or_else(unknown)?;
    let found = vendor.store.deliveries(id, state, after, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), DeliveryView::from)))
}

/// `GET /webhooks/{webhook}/deliveries/{delivery}`.
pub(super) async fn delivery(
    vendor: Vendor,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<Json<DeliveryView>, Problem> {
    let id = endpoint_id(&webhook)?;
    load_delivery(&vendor, id, super::id(&delivery, "delivery")?).await.map(Json)
}

/// `POST /webhooks/{webhook}/deliveries/{delivery}/replay`: has it tried anew, with all its attempts.
pub(super) async fn replay_one(
    vendor: Vendor,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let id = endpoint_id(&webhook)?;
    let delivery: DeliveryId = super::id(&delivery, "delivery")?;
    let is_replayed = vendor.store.replay_delivery(id, delivery).await?;
    let view = load_delivery(&vendor, id, delivery).await?;
    if is_replayed || view.state == DeliveryState::Pending.as_str() {
        // Asked twice, it is still brought once.
        return Ok((StatusCode::ACCEPTED, Json(view)));
    }
    Err(event_is_gone())
}

pub(crate) fn event_is_gone() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "event-is-gone",
        "The event of this delivery is not kept any more",
        "events are kept for as long as the server is told to",
        "Read users and groups anew; have events kept for longer with `--keep-events-days`",
    )
}

/// `POST /webhooks/{webhook}/replay`: has several brought again.
pub(super) async fn replay(
    vendor: Vendor,
    Path(webhook): Path<String>,
    Input(input): Input<ReplayInput>,
) -> Result<(StatusCode, Json<Replayed>), Problem> {
    let id = endpoint_id(&webhook)?;
    vendor.store.endpoint(id).await?.ok_or_else(unknown)?;
    let moment = |field: &str, text: &str| {
        text.parse::<Timestamp>().map_err(|_| {
            Problem::invalid(
                format!("`{field}` is not a time"),
                "Write it as `2026-11-22T10:00:00Z`",
            )
        })
    };
    let deliveries = match input {
        ReplayInput { failed: Some(true), since: None, until: None, after: None, upto: None } => {
            Some(vendor.store.replay_failed(id).await?)
        }
        ReplayInput { failed: None, since: Some(since), until, after: None, upto: None } => {
            let until = until.map(|until| moment("until", &until)).transpose()?;
            let since = moment("since", &since)?;
            if until.is_some_and(|until| until <= since) {
                return Err(Problem::invalid(
                    "`until` is not after `since`, so nothing is between them",
                    "Send an earlier `since`, or a later `until`",
                ));
            }
            if !vendor.store.replay_between(id, since, until).await? {
                return Err(unknown());
            }
            None
        }
        ReplayInput { failed: None, since: None, until: None, after: Some(after), upto } => {
            let upto = upto.map(Cursor::presented);
            let replayed =
                vendor.store.replay_after(id, Some(Cursor::presented(after)), upto).await?;
            replayed.map_err(bad_cursor)?;
            None
        }
        _ => {
            return Err(Problem::invalid(
                "the body does not say what to bring again",
                "Send `{\"failed\": true}`, or `since` with or without `until`, or `after` with or \
                 without `upto`, which are cursors of the feed",
            ));
        }
    };
    Ok((StatusCode::ACCEPTED, Json(Replayed { deliveries })))
}

pub(crate) fn full() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "webhooks-full",
        "There are as many webhook endpoints as there may be",
        format!("there are {}", directory::webhook::ENDPOINTS_MAX),
        "Delete one that is not needed any more, or have one endpoint hand events on",
    )
}

pub(crate) fn endpoint_id(text: &str) -> Result<EndpointId, Problem> {
    id(text, "webhook endpoint")
}

pub(crate) fn unknown() -> Problem {
    Problem::not_found("webhook endpoint")
}

async fn load(vendor: &Vendor, id: EndpointId) -> Result<Tagged<WebhookView>, Problem> {
    let found = vendor.store.endpoint(id).await?;
    Ok(found.ok_or_else(unknown)?.into())
}

async fn load_delivery(
    vendor: &Vendor,
    id: EndpointId,
    delivery: DeliveryId,
) -> Result<DeliveryView, Problem> {
    let found = vendor.store.delivery(id, delivery).await?;
    Ok(found.ok_or_else(|| Problem::not_found("delivery"))?.into())
}
