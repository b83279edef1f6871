//! What this server was told when it was started: to be looked at, not to be changed.

use askama::Template;
use axum::response::Response;

use super::{Dashboard, SignedIn};
use crate::pages::parts::{Copyable, Frame};
use crate::pages::{Stop, page};
use crate::settings::{Source, Told};

#[derive(Template)]
#[template(path = "dashboard/settings.html")]
pub(crate) struct SettingsPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) version: &'static str,
    pub(crate) place: String,
    pub(crate) shared_base_url: Copyable,
    pub(crate) management_api: Copyable,
    pub(crate) told: Vec<Told>,
}

/// `GET /dashboard/settings`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    let Dashboard { frame, signed_in, counter, .. } = dashboard;
    let settings = &counter.settings;
    let api = format!("{}/api/v1", settings.public_url());
    Ok(page(&SettingsPage {
        frame,
        signed_in,
        version: env!("CARGO_PKG_VERSION"),
        place: settings.place.clone(),
        shared_base_url: Copyable::new("base-url", settings.shared_base_url()),
        management_api: Copyable::new("management-api", api),
        told: settings.told.clone(),
    }))
}
