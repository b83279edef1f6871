//! How well a connection goes, and what to do where it does not; and pausing it.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use directory::{DirectoryState, EditDirectory, PortalFeature};
use store::Standing;

use super::activity::Row;
use super::connection::Connection;
use super::live::Live;
use super::{Inside, Portal};
use crate::pages::parts::{Copyable, Frame};
use crate::pages::{Stop, go_to, page};

/// Requests that failed that are shown here; all are on a page of their own.
const FAILURES: u64 = 5;

#[derive(Template)]
#[template(path = "portal/status.html")]
pub(crate) struct Status {
    pub(crate) frame: Frame,
    pub(crate) inside: Inside,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    /// Who speaks, where that is known.
    pub(crate) detected: Option<String>,
    pub(crate) base_url: Copyable,
    /// The latest.
    pub(crate) failures: Vec<Row>,
}

/// `GET /portal/{link}/directories/{directory}`.
pub(super) async fn show(
    portal: Portal,
    Path((_, directory)): Path<(String, String)>,
) -> Result<Response, Stop> {
    let connection = portal.connection(&directory).await?;
    let detected = portal.store.speaker(connection.id).await?.detect();
    let failures = portal.failures(&connection, FAILURES).await?;
    let base_url = portal.counter.settings.directory_base_url(connection.id);
    let live = Live::of_one(&connection, "");
    let Portal { frame, inside, .. } = portal;
    Ok(page(&Status {
        frame,
        inside,
        connection,
        live,
        detected: detected.client.map(|_| detected.name()),
        base_url: Copyable::new("base-url", base_url),
        failures,
    }))
}

/// `POST /portal/{link}/directories/{directory}/pause`: the provider is turned away, and everybody stays
/// as they are.
pub(super) async fn pause(
    portal: Portal,
    Path((_, directory)): Path<(String, String)>,
) -> Result<Response, Stop> {
    set_paused(&portal, &directory, true).await
}

/// `POST /portal/{link}/directories/{directory}/resume`.
pub(super) async fn resume(
    portal: Portal,
    Path((_, directory)): Path<(String, String)>,
) -> Result<Response, Stop> {
    set_paused(&portal, &directory, false).await
}

async fn set_paused(portal: &Portal, directory: &str, is_paused: bool) -> Result<Response, Stop> {
    let connection = portal.connection(directory).await?;
    let edit = EditDirectory { is_paused: Some(is_paused), ..EditDirectory::default() };
    portal.store.edit_directory(connection.id, edit).await?;
    Ok(go_to(&connection.address))
}
