//! What the server runs with. All of it is said where it is started; nothing can be changed here.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::Vendor;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerSettings)]
pub(super) struct SettingsView {
    /// The version of Roster.
    version: &'static str,
    /// Where clients reach it.
    public_url: String,
    /// The base URL that all directories share.
    shared_base_url: String,
    /// Where clients of OAuth get access tokens.
    oauth_token_url: String,
    limits: LimitsView,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerLimits)]
struct LimitsView {
    /// Bytes of a body that describes a user.
    user_body_bytes: usize,
    /// Bytes of a body that describes a group.
    group_body_bytes: usize,
    /// Bytes of a body of this API.
    api_body_bytes: usize,
    /// Requests of one directory in a second, in the long run; any number, where it is `null`.
    requests_per_second: Option<u32>,
    /// Requests of one directory at once.
    requests_at_once: Option<u32>,
    /// Readers of the feed that wait for the next event, or are streamed to, at once.
    readers: usize,
    /// The same with one API key.
    readers_of_key: usize,
    /// Snapshots that are read at once with one API key.
    snapshots_of_key: usize,
}

/// `GET /settings`.
pub(super) async fn settings(vendor: Vendor) -> Json<SettingsView> {
    let settings = &vendor.counter.settings;
    let limits = &settings.limits;
    Json(SettingsView {
        version: env!("CARGO_PKG_VERSION"),
        public_url: settings.public_url().to_owned(),
        shared_base_url: settings.shared_base_url(),
        oauth_token_url: settings.oauth_token_url(),
        limits: LimitsView {
            user_body_bytes: limits.user_body_bytes,
            group_body_bytes: limits.group_body_bytes,
            api_body_bytes: limits.api_body_bytes,
            requests_per_second: limits.rate.map(|rate| rate.per_second.get()),
            requests_at_once: limits.rate.map(|rate| rate.burst.get()),
            readers: limits.readers,
            readers_of_key: limits.readers_of_key,
            snapshots_of_key: limits.snapshots_of_key,
        },
    })
}
