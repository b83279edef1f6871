//! Webhook endpoints: made, looked at, changed, and what became of what was brought to them.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use directory::webhook::{DisabledReason, Filter, Networks, SigningSecret};
use directory::{DeliveryId, EndpointId, Guarded, OrganizationId};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value as Json;
use store::{
    Attempt, DeliveryRecord, DeliveryState, EndpointChange, EndpointSummary, NewEndpoint,
    ReplayProgress,
};

use super::audit::moment;
use super::{Dashboard, SignedIn, events, live};
use crate::api::webhooks::{
    check_description, check_ids, check_types, check_url, event_is_gone, full, unknown,
};
use crate::pages::directory::live::Live;
use crate::pages::form::Form;
use crate::pages::pace::{pace, span};
use crate::pages::parts::{Copyable, Frame, Refused, When, with_query};
use crate::pages::pictures::{Line, as_f64};
use crate::pages::{Stop, go_to, page, page_with};
use crate::problem::Problem;
use crate::scim::cut;

/// Endpoints of a page: all there may be.
const ENDPOINTS: u64 = directory::webhook::ENDPOINTS_MAX;
/// Deliveries of a page.
const PAGE: u64 = 50;
/// Deliveries that are in the picture of how long they take.
const PICTURED: u64 = 200;
/// Characters of an event that are shown beside what became of it.
const SHOWN_MAX: usize = 20_000;

/// How it is with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Off(DisabledReason),
    Failing,
    /// It takes events, and there are some that are not brought for longer than a minute.
    Behind,
    Well,
    /// Nothing was brought to it yet.
    Unused,
}

impl Standing {
    pub(super) fn of(summary: &EndpointSummary, now: Timestamp) -> Standing {
        let is_old = |at: Timestamp| now.duration_since(at) > SignedDuration::from_mins(1);
        match (&summary.endpoint.disabled, &summary.health) {
            (Some(disabled), _) => Standing::Off(disabled.reason),
            (None, health) if health.failing_since.is_some() => Standing::Failing,
            _ if summary.oldest_at.is_some_and(is_old) => Standing::Behind,
            (None, health) if health.last_success_at.is_some() => Standing::Well,
            _ => Standing::Unused,
        }
    }
}

/// An endpoint, as pages show it.
pub(crate) struct Endpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) standing: Standing,
    pub(crate) is_ordered: bool,
    pub(crate) types: Vec<String>,
    pub(crate) organizations: Vec<String>,
    pub(crate) events_behind: u64,
    pub(crate) oldest_at: Option<When>,
    pub(crate) pending: u64,
    pub(crate) failed: u64,
    pub(crate) missed: u64,
    pub(crate) failing_since: Option<When>,
    pub(crate) last_success_at: Option<When>,
    pub(crate) last_failure_at: Option<When>,
    pub(crate) off_since: Option<When>,
    pub(crate) secrets: Vec<(When, Option<When>)>,
}

impl Endpoint {
    fn new(summary: EndpointSummary, now: Timestamp) -> Endpoint {
        let standing = Standing::of(&summary, now);
        let EndpointSummary { endpoint, health, secrets, .. } = summary;
        Endpoint {
            id: endpoint.id.to_string(),
            url: endpoint.url,
            description: endpoint.description.unwrap_or_default(),
            standing,
            is_ordered: endpoint.is_ordered,
            types: endpoint.filter.types,
            organizations: endpoint.filter.organizations.iter().map(ToString::to_string).collect(),
            events_behind: summary.events_behind,
            oldest_at: summary.oldest_at.map(When),
            pending: summary.pending_count,
            failed: summary.failed_count,
            missed: summary.missed_count,
            failing_since: health.failing_since.map(When),
            last_success_at: health.last_success_at.map(When),
            last_failure_at: health.last_failure_at.map(When),
            off_since: endpoint.disabled.map(|it| When(it.at)),
            secrets: secrets.into_iter().map(|(from, to)| (When(from), to.map(When))).collect(),
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("/dashboard/webhooks/{}", self.id)
    }

    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.standing, Standing::Off(_))
    }
}

#[derive(Template)]
#[template(path = "dashboard/webhooks.html")]
pub(crate) struct WebhooksPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) live: Live,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) kinds: Vec<String>,
    pub(crate) typed: Typed,
    pub(crate) refused: Option<Refused>,
}

/// What is typed of an endpoint.
#[derive(Clone, Default)]
pub(crate) struct Typed {
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) types: String,
    pub(crate) organizations: String,
    pub(crate) is_ordered: bool,
}

impl Typed {
    fn of(form: &Form) -> Typed {
        Typed {
            url: form.text("url").to_owned(),
            description: form.text("description").to_owned(),
            types: form.list("types").join(" "),
            organizations: form.list("organizations").join(" "),
            is_ordered: form.text("ordered") == "yes",
        }
    }

    fn of_endpoint(endpoint: &Endpoint) -> Typed {
        Typed {
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            types: endpoint.types.join(" "),
            organizations: endpoint.organizations.join(" "),
            is_ordered: endpoint.is_ordered,
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect()
    }

    /// The same, checked.
    fn change(&self, allowed: &Networks) -> Result<EndpointChange, Problem> {
        let organizations = Typed::words(&self.organizations);
        Ok(EndpointChange {
            url: Some(check_url(allowed, &self.url)?),
            description: Some(check_description(Some(self.description.clone()))?),
            types: Some(check_types(Typed::words(&self.types))?),
            organizations: Some(check_ids::<OrganizationId>("organization_ids", &organizations)?),
            directories: None,
            is_ordered: Some(self.is_ordered),
            is_enabled: None,
        })
    }
}

/// `GET /dashboard/webhooks`.
pub(super) async fn list(dashboard: Dashboard) -> Result<Response, Stop> {
    listed(dashboard, Typed::default(), None).await
}

async fn listed(
    dashboard: Dashboard,
    typed: Typed,
    refused: Option<Refused>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let now = counter.access.now();
    let found = store.endpoints(None, ENDPOINTS).await?;
    let endpoints = found.into_iter().map(|it| Endpoint::new(it, now)).collect();
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let live = live::of_webhooks("", "/dashboard/webhooks".to_owned());
    let kinds = events::kinds();
    let shown = WebhooksPage { frame, signed_in, live, endpoints, kinds, typed, refused };
    Ok(page_with(status, &shown))
}

/// `POST /dashboard/webhooks`.
pub(super) async fn create(dashboard: Dashboard) -> Result<Response, Stop> {
    let typed = Typed::of(&dashboard.form);
    let allowed = &dashboard.counter.settings.webhook_networks;
    let change = match typed.change(allowed) {
        Ok(change) => change,
        Err(problem) => return listed(dashboard, typed, Some((&problem).into())).await,
    };
    let secret = SigningSecret::new((dashboard.counter.entropy)());
    let new = NewEndpoint {
        url: change.url.unwrap_or_default(),
        description: change.description.flatten(),
        filter: Filter {
            types: change.types.unwrap_or_default(),
            organizations: change.organizations.unwrap_or_default(),
            directories: Vec::new(),
        },
        is_ordered: typed.is_ordered,
        from_the_beginning: dashboard.form.text("begin") == "beginning",
        secret: secret.clone(),
    };
    match dashboard.store.create_endpoint(new).await? {
        Some(id) => {
            let made = Made { secret: Copyable::new("secret", secret.reveal()), until: None };
            shown(dashboard, id, &Asked::default(), Some(made), None).await
        }
        None => listed(dashboard, typed, Some((&full()).into())).await,
    }
}

#[derive(Template)]
#[template(path = "dashboard/webhook.html")]
pub(crate) struct WebhookPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) live: Live,
    pub(crate) endpoint: Endpoint,
    pub(crate) kinds: Vec<String>,
    pub(crate) typed: Typed,
    /// A secret that was just made: it is shown here and nowhere else.
    pub(crate) made: Option<Made>,
    pub(crate) refused: Option<Refused>,
    pub(crate) replays: Vec<Replay>,
    pub(crate) lag: Option<Line>,
    pub(crate) state: Option<DeliveryState>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) next: Option<String>,
}

pub(crate) struct Made {
    pub(crate) secret: Copyable,
    /// Until when the secrets before it stay good.
    pub(crate) until: Option<When>,
}

/// How far a replay of a part is.
pub(crate) struct Replay {
    pub(crate) done: u64,
    pub(crate) all: u64,
    pub(crate) since: Option<When>,
    pub(crate) until: Option<When>,
    /// How fast it is and how long it still takes, where that can be said.
    pub(crate) pace: Option<String>,
}

impl Replay {
    fn new(progress: &ReplayProgress, now: Timestamp) -> Replay {
        let ReplayProgress { done, all, since, until, begun_at } = *progress;
        let pace = begun_at.and_then(|at| pace((done, all), "events", now.duration_since(at)));
        Replay { done, all, since: since.map(When), until: until.map(When), pace }
    }
}

/// A delivery, as pages show it.
pub(crate) struct Delivery {
    pub(crate) address: String,
    pub(crate) id: String,
    pub(crate) state: DeliveryState,
    pub(crate) kind: String,
    /// The page of its event; a test has none.
    pub(crate) event: Option<String>,
    pub(crate) event_id: String,
    pub(crate) occurred_at: When,
    pub(crate) attempts: u64,
    pub(crate) changed_at: When,
    pub(crate) next_at: Option<When>,
    /// What came of the last attempt.
    pub(crate) outcome: String,
}

impl Delivery {
    fn new(endpoint: EndpointId, record: &DeliveryRecord) -> Delivery {
        let outcome = record.attempts.last().map(outcome).unwrap_or_default();
        let is_pending = record.state == DeliveryState::Pending;
        let event = &record.event;
        let has_page = event.position > 0 && event.kind != store::TEST;
        Delivery {
            address: format!("/dashboard/webhooks/{endpoint}/deliveries/{}", record.id),
            id: record.id.to_string(),
            state: record.state,
            kind: event.kind.clone(),
            event: has_page.then(|| format!("/dashboard/events/{}", event.position)),
            event_id: event.event_id.clone(),
            occurred_at: When(event.occurred_at),
            attempts: record.attempt_count,
            changed_at: When(record.modified_at),
            next_at: is_pending.then_some(When(record.next_attempt_at)),
            outcome,
        }
    }
}

fn outcome(attempt: &Attempt) -> String {
    match (attempt.status, &attempt.error) {
        (_, Some(error)) => error.clone(),
        (Some(status), None) => format!("answered {status}"),
        (None, None) => String::new(),
    }
}

/// How long it took from the event until it was there, of the latest deliveries, the latest last.
fn lag(delivered: &[DeliveryRecord]) -> Option<Line> {
    let took = |it: &DeliveryRecord| {
        let last = it.attempts.last()?;
        let waited = last.at.duration_since(it.event.occurred_at).as_secs_f64();
        Some((waited + as_f64(last.duration_ms) / 1_000.0).max(0.0))
    };
    let took: Vec<_> = delivered.iter().rev().filter_map(took).collect();
    let mut sorted = took.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let (median, most) = (*sorted.get(sorted.len() / 2)?, *sorted.last()?);
    let said = format!(
        "From the event until it was delivered, of the latest {}: {} for the one in the middle, {} at most.",
        took.len(),
        span(median),
        span(most),
    );
    Some(Line::new(said, &took))
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

/// `GET /dashboard/webhooks/{webhook}`.
pub(super) async fn show(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    shown(dashboard, id, &asked, None, None).await
}

async fn shown(
    dashboard: Dashboard,
    id: EndpointId,
    asked: &Asked,
    made: Option<Made>,
    refused: Option<(Refused, Option<Typed>)>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let now = counter.access.now();
    let endpoint = Endpoint::new(store.endpoint(id).await?.ok_or_else(unknown)?, now);
    let state = asked.state.parse::<DeliveryState>().ok();
    let after = asked.after.parse::<DeliveryId>().ok();
    let mut found = store.deliveries(id, state, after, PAGE + 1).await?;
    let has_more = found.len() as u64 > PAGE;
    found.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let delivered = store.deliveries(id, Some(DeliveryState::Delivered), None, PICTURED).await?;
    let replays = store.replays(id).await?;
    let address = |after: &str| {
        with_query(
            &format!("/dashboard/webhooks/{id}"),
            [("state", asked.state.as_str()), ("after", after)],
        )
    };
    let last = found.last().filter(|_| has_more).map(|it| it.id.to_string());
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (refused, typed) = refused.map_or((None, None), |(why, typed)| (Some(why), typed));
    let shown = WebhookPage {
        live: live::of_webhooks(&id.to_string(), address(&asked.after)),
        typed: typed.unwrap_or_else(|| Typed::of_endpoint(&endpoint)),
        kinds: events::kinds(),
        replays: replays.iter().map(|it| Replay::new(it, now)).collect(),
        lag: lag(&delivered),
        deliveries: found.iter().map(|it| Delivery::new(id, it)).collect(),
        next: last.map(|last| address(&last)),
        frame,
        signed_in,
        endpoint,
        made,
        refused,
        state,
    };
    Ok(page_with(status, &shown))
}

/// `POST /dashboard/webhooks/{webhook}`: to be otherwise.
pub(super) async fn edit(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    let typed = Typed::of(&dashboard.form);
    let change = match typed.change(&dashboard.counter.settings.webhook_networks) {
        Ok(change) => change,
        Err(problem) => {
            let refused = Some(((&problem).into(), Some(typed)));
            return shown(dashboard, id, &Asked::default(), None, refused).await;
        }
    };
    changed(dashboard, id, change).await
}

/// `POST /dashboard/webhooks/{webhook}/switch`: on or off.
pub(super) async fn switch(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    let is_enabled = match dashboard.form.text("to") {
        "on" => Some(true),
        "off" => Some(false),
        _ => return Err(Stop::Unreadable),
    };
    changed(dashboard, id, EndpointChange { is_enabled, ..EndpointChange::default() }).await
}

async fn changed(
    dashboard: Dashboard,
    id: EndpointId,
    change: EndpointChange,
) -> Result<Response, Stop> {
    if !dashboard.store.change_endpoint(id, Guarded::from(change)).await? {
        return Err(unknown().into());
    }
    Ok(go_to(&format!("/dashboard/webhooks/{id}")))
}

/// `POST /dashboard/webhooks/{webhook}/delete`.
pub(super) async fn delete(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    if !dashboard.store.delete_endpoint(id).await? {
        return Err(unknown().into());
    }
    Ok(go_to("/dashboard/webhooks"))
}

/// `POST /dashboard/webhooks/{webhook}/secret`.
pub(super) async fn rotate(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    let hours = match dashboard.form.text("overlap") {
        "none" => 0,
        "week" => 7 * 24,
        _ => 24,
    };
    let secret = SigningSecret::new((dashboard.counter.entropy)());
    let overlap = SignedDuration::from_hours(hours);
    if !dashboard.store.rotate_endpoint_secret(id, secret.clone(), overlap).await? {
        return Err(unknown().into());
    }
    let until = dashboard.counter.access.now() + overlap;
    let secret = Copyable::new("secret", secret.reveal());
    let made = Made { secret, until: Some(When(until)) };
    shown(dashboard, id, &Asked::default(), Some(made), None).await
}

/// `POST /dashboard/webhooks/{webhook}/test`: brings an event there that is none, once.
pub(super) async fn test(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    if let Some(made) = dashboard.store.test_endpoint(id).await? {
        return Ok(go_to(&format!("/dashboard/webhooks/{id}/deliveries/{made}")));
    }
    let problem = Problem::invalid(
        "the endpoint is switched off, so nothing is brought to it",
        "Switch it on, then test it",
    );
    shown(dashboard, id, &Asked::default(), None, Some(((&problem).into(), None))).await
}

/// `POST /dashboard/webhooks/{webhook}/replay`: has several brought again.
pub(super) async fn replay(
    dashboard: Dashboard,
    Path(webhook): Path<String>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    let form = &dashboard.form;
    if form.text("what") == "failed" {
        dashboard.store.endpoint(id).await?.ok_or_else(unknown)?;
        dashboard.store.replay_failed(id).await?;
        return Ok(go_to(&format!("/dashboard/webhooks/{id}?state=pending#deliveries")));
    }
    let since = moment(form.text("since"));
    let until = Some(form.text("until")).filter(|it| !it.is_empty()).map(moment);
    let (Some(since), Some(until)) = (since, until.map_or(Some(None), |it| it.map(Some))) else {
        let problem = Problem::invalid(
            "it is not said from when on events are to be brought again",
            "Choose a day and a time, in UTC",
        );
        return shown(dashboard, id, &Asked::default(), None, Some(((&problem).into(), None)))
            .await;
    };
    if !dashboard.store.replay_between(id, since, until).await? {
        return Err(unknown().into());
    }
    Ok(go_to(&format!("/dashboard/webhooks/{id}#replays")))
}

#[derive(Template)]
#[template(path = "dashboard/delivery.html")]
pub(crate) struct DeliveryPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) live: Live,
    pub(crate) endpoint: Endpoint,
    pub(crate) delivery: Delivery,
    pub(crate) attempts: Vec<AttemptShown>,
    /// What is brought, as far as it is kept and not too long.
    pub(crate) data: Option<String>,
    pub(crate) is_cut: bool,
    pub(crate) is_kept: bool,
}

pub(crate) struct AttemptShown {
    pub(crate) number: usize,
    pub(crate) at: When,
    pub(crate) milliseconds: u64,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) answer: Option<String>,
}

/// `GET /dashboard/webhooks/{webhook}/deliveries/{delivery}`.
pub(super) async fn delivery(
    dashboard: Dashboard,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<Response, Stop> {
    let id = endpoint_id(&webhook)?;
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let endpoint = store.endpoint(id).await?.ok_or_else(unknown)?;
    let record = store.delivery(id, delivery_id(&delivery)?).await?.ok_or_else(no_delivery)?;
    let event = store.event_at(record.event.position).await?;
    let event = event.filter(|it| it.event_id == record.event.event_id);
    let text = event.as_ref().map(|it| {
        let data = serde_json::from_str::<Json>(&it.data).unwrap_or_default();
        serde_json::to_string_pretty(&data).unwrap_or_default()
    });
    let is_cut = text.as_ref().is_some_and(|it| cut(it, SHOWN_MAX).len() < it.len());
    let first = record.attempt_count.saturating_sub(record.attempts.len() as u64);
    let attempt = |(place, it): (usize, &Attempt)| AttemptShown {
        number: place + 1 + usize::try_from(first).unwrap_or(0),
        at: When(it.at),
        milliseconds: it.duration_ms,
        status: it.status,
        error: it.error.clone(),
        answer: it.answer.clone(),
    };
    let shown = Delivery::new(id, &record);
    Ok(page(&DeliveryPage {
        frame,
        signed_in,
        live: live::of_webhooks(&id.to_string(), shown.address.clone()),
        endpoint: Endpoint::new(endpoint, counter.access.now()),
        attempts: record.attempts.iter().enumerate().map(attempt).rev().collect(),
        data: text.map(|it| cut(&it, SHOWN_MAX).to_owned()),
        is_cut,
        is_kept: event.is_some() || record.event.kind == store::TEST,
        delivery: shown,
    }))
}

/// `POST /dashboard/webhooks/{webhook}/deliveries/{delivery}/replay`: has it tried anew.
pub(super) async fn bring_again(
    dashboard: Dashboard,
    Path((webhook, delivery)): Path<(String, String)>,
) -> Result<Response, Stop> {
    let (id, delivery) = (endpoint_id(&webhook)?, delivery_id(&delivery)?);
    let is_replayed = dashboard.store.replay_delivery(id, delivery).await?;
    let found = dashboard.store.delivery(id, delivery).await?.ok_or_else(no_delivery)?;
    // Asked twice, it is still brought once.
    if !is_replayed && found.state != DeliveryState::Pending {
        return Err(event_is_gone().into());
    }
    Ok(go_to(&format!("/dashboard/webhooks/{id}/deliveries/{delivery}")))
}

fn endpoint_id(text: &str) -> Result<EndpointId, Stop> {
    text.parse().map_err(|_| unknown().into())
}

fn delivery_id(text: &str) -> Result<DeliveryId, Stop> {
    text.parse().map_err(|_| no_delivery())
}

fn no_delivery() -> Stop {
    Problem::not_found("delivery").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_says_how_fast_it_is_once_that_is_known() {
        let now: Timestamp = "2026-11-22T16:00:00Z".parse().unwrap();
        let progress = |done| ReplayProgress {
            done,
            all: 1_000,
            since: None,
            until: None,
            begun_at: Some(now - SignedDuration::from_secs(10)),
        };
        assert_eq!(Replay::new(&progress(0), now).pace, None);
        let pace = Replay::new(&progress(200), now).pace;
        assert_eq!(pace.as_deref(), Some("20 events a second, about 40 s still"));
    }
}
