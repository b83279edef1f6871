//! What waits in any directory until somebody has looked at it, and what has waited.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use directory::HoldId;
use serde::Deserialize;

use super::{Dashboard, SignedIn};
use crate::pages::directory::holds::Row;
use crate::pages::parts::{Frame, with_query};
use crate::pages::{Stop, page};

const PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "dashboard/holds.html")]
pub(crate) struct HoldsPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    /// The latest first.
    pub(crate) holds: Vec<Of>,
    /// Whether those that have ended are left out.
    pub(crate) is_open: bool,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
}

/// A hold, and where.
pub(crate) struct Of {
    pub(crate) row: Row,
    /// Of its directory.
    pub(crate) address: String,
    pub(crate) directory: String,
    pub(crate) organization_id: String,
    pub(crate) organization: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    show: String,
    before: String,
}

/// `GET /dashboard/holds`.
pub(super) async fn show(
    dashboard: Dashboard,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let is_open = asked.show == "open";
    let before: Option<HoldId> = asked.before.parse().ok();
    let mut found = store.all_holds(is_open, before, PAGE + 1).await?;
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_next = found.len() > most;
    found.truncate(most);
    let last = found.last().filter(|_| has_next).map(|hold| hold.id.to_string());
    let show = if is_open { "open" } else { "" };
    let next = last.map(|id| with_query("/dashboard/holds", [("show", show), ("before", &id)]));
    let mut names = HashMap::new();
    let mut holds = Vec::new();
    for hold in found {
        // Of a directory that is gone, nothing can be opened any more.
        let Some(summary) = store.directory(hold.directory_id).await? else { continue };
        let organization_id = summary.directory.organization_id;
        if let Entry::Vacant(place) = names.entry(organization_id) {
            let organization = store.organization(organization_id).await?;
            place.insert(organization.map(|it| it.name).unwrap_or_default());
        }
        let address =
            format!("/dashboard/organizations/{organization_id}/directories/{}", hold.directory_id);
        holds.push(Of {
            row: Row::new(&hold, &address),
            address,
            directory: summary.directory.name,
            organization_id: organization_id.to_string(),
            organization: names[&organization_id].clone(),
        });
    }
    Ok(page(&HoldsPage { frame, signed_in, holds, is_open, next }))
}
