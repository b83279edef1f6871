//! How well a connection goes, and what to do where it does not; and pausing it.

use askama::Template;
use axum::response::Response;
use directory::{ApiScope, DirectoryState, EditDirectory, PortalFeature};
use store::Standing;

use super::activity::Row;
use super::connection::Connection;
use super::live::Live;
use crate::pages::parts::{Copyable, Frame};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page};

/// Requests that failed that are shown here; all are on a page of their own.
const FAILURES: u64 = 5;

#[derive(Template)]
#[template(path = "directory/status.html")]
pub(crate) struct Status {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    /// Who speaks, where that is known.
    pub(crate) detected: Option<String>,
    pub(crate) base_url: Copyable,
    /// The latest.
    pub(crate) failures: Vec<Row>,
}

/// `GET …`.
pub(super) async fn show(visitor: Visitor) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let detected = visitor.store.speaker(connection.id).await?.detect();
    let failures = visitor.failures(FAILURES).await?;
    let base_url = visitor.counter.settings.directory_base_url(connection.id);
    let live = Live::of_one(connection, "");
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&Status {
        frame,
        reader,
        connection,
        live,
        detected: detected.client.map(|_| detected.name()),
        base_url: Copyable::new("base-url", base_url),
        failures,
    }))
}

/// `POST …/pause`: the provider is turned away, and everybody stays
/// as they are.
pub(super) async fn pause(visitor: Visitor) -> Result<Response, Stop> {
    set_paused(&visitor, true).await
}

/// `POST …/resume`.
pub(super) async fn resume(visitor: Visitor) -> Result<Response, Stop> {
    set_paused(&visitor, false).await
}

async fn set_paused(visitor: &Visitor, is_paused: bool) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let edit = EditDirectory { is_paused: Some(is_paused), ..EditDirectory::default() };
    visitor.store.edit_directory(connection.id, edit).await?;
    Ok(go_to(&connection.address))
}
