//! Who really speaks to a directory, what it sends and what it does not, and which steps of setting it
//! up were seen to work.

use axum::Json;
use directory::Provider;
use directory::client::{Known, SIGHTINGS, Span};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Path, Vendor, describe, id};
use crate::problem::Problem;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DetectedClient)]
pub(super) struct ClientView {
    directory_id: String,
    /// What the directory is set up for.
    #[schema(schema_with = describe::provider)]
    provider: Provider,
    detected: DetectedView,
    /// What is wrong, where something else speaks than the directory is set up for.
    mismatch: Option<MismatchView>,
    /// Kinds of traffic that worked, each with when; in the order in which they are set up.
    sightings: Vec<SightingView>,
    sends: SendsView,
    not_sent: NotSentView,
    /// What is often done wrong and was seen here, with what to do.
    warnings: Vec<WarningView>,
}

/// Who it is, as far as that can be told from what arrives.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Detected)]
struct DetectedView {
    /// `okta`, `entra`, `jumpcloud`, `onelogin`, `pingfederate`, `sailpoint`, `keycloak`, `authentik`,
    /// `rauthy`; `null` where it is not known.
    client: Option<&'static str>,
    /// Of Okta `template` or `wizard`, of Entra `default` or `scim-compliant`; `null` where that has
    /// not shown yet.
    app: Option<&'static str>,
    /// For people.
    name: String,
    /// Since when it was seen.
    since: Option<String>,
    last_seen_at: Option<String>,
    /// What it calls itself.
    programs: Vec<String>,
}

/// What is to be said, and what to do now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mismatch)]
struct MismatchView {
    text: String,
    what_to_do: String,
}

/// Whether a kind of traffic was seen to work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sighting)]
struct SightingView {
    /// `credentials`, `person`, `update`, `deactivation`, `reactivation`, `group`, `membership`,
    /// `import`.
    kind: &'static str,
    seen: bool,
    first_seen_at: Option<String>,
    first_request_id: Option<String>,
    last_seen_at: Option<String>,
    last_request_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sends)]
struct SendsView {
    /// Attributes of users.
    attributes: Vec<String>,
    /// By which methods users are changed.
    user_updates: Vec<&'static str>,
    /// By which methods groups are changed.
    group_updates: Vec<&'static str>,
    /// By which methods people are taken out.
    deactivation: Vec<&'static str>,
    /// By which attributes users are looked for.
    looks_for_users_by: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotSent)]
struct NotSentView {
    /// Kinds of traffic that were not seen.
    kinds: Vec<&'static str>,
    /// Attributes of users that most apps need.
    attributes: Vec<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetupWarning)]
struct WarningView {
    /// Its name, which never changes.
    name: &'static str,
    text: &'static str,
    what_to_do: &'static str,
    first_seen_at: Option<String>,
    last_seen_at: Option<String>,
    last_request_id: Option<String>,
}

/// `GET /directories/{directory}/client`.
pub(super) async fn get(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<ClientView>, Problem> {
    let id = id(&directory, "directory")?;
    let found = vendor.store.directory(id).await?;
    let summary = found.ok_or_else(|| Problem::not_found("directory"))?;
    let known = vendor.store.speaker(id).await?;
    Ok(Json(view(directory, summary.directory.provider, &known)))
}

fn view(directory_id: String, provider: Provider, known: &Known) -> ClientView {
    let detected = known.detect();
    let ways = known.ways();
    let (kinds, attributes) = known.not_sent();
    let sighting = |kind: &'static str| {
        let span = known.sightings.get(kind);
        SightingView {
            kind,
            seen: span.is_some(),
            first_seen_at: span.and_then(|it| time(it.first_at)),
            first_request_id: span.map(|it| it.first_request.clone()),
            last_seen_at: span.and_then(|it| time(it.last_at)),
            last_request_id: span.map(|it| it.last_request.clone()),
        }
    };
    let warning = |(name, text, what_to_do, span): (_, _, _, Option<&Span>)| WarningView {
        name,
        text,
        what_to_do,
        first_seen_at: span.and_then(|it| time(it.first_at)),
        last_seen_at: span.and_then(|it| time(it.last_at)),
        last_request_id: span.map(|it| it.last_request.clone()),
    };
    let mismatch = |(text, what_to_do)| MismatchView { text, what_to_do };
    ClientView {
        directory_id,
        provider,
        mismatch: detected.mismatch(provider).map(mismatch),
        detected: DetectedView {
            client: detected.client.map(directory::client::Client::as_str),
            app: detected.app,
            name: detected.name(),
            since: detected.since.map(scim::datetime::print),
            last_seen_at: detected.last_at.map(scim::datetime::print),
            programs: known.programs.keys().cloned().collect(),
        },
        sightings: SIGHTINGS.into_iter().map(sighting).collect(),
        sends: SendsView {
            attributes: known.attributes.keys().cloned().collect(),
            user_updates: ways.user_updates,
            group_updates: ways.group_updates,
            deactivation: ways.deactivation,
            looks_for_users_by: ways.looks_for_users_by,
        },
        not_sent: NotSentView { kinds, attributes },
        warnings: known.traps().into_iter().map(warning).collect(),
    }
}

fn time(microseconds: i64) -> Option<String> {
    Timestamp::from_microsecond(microseconds).ok().map(scim::datetime::print)
}
