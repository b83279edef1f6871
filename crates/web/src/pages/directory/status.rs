//! How well a connection goes, and what to do where it does not; and pausing it.

use askama::Template;
use axum::response::Response;
use directory::{
    AfterDisconnect, ApiScope, DirectoryState, DisconnectDirectory, EditDirectory, HoldKind,
    HoldState, PortalFeature,
};
use store::Standing;

use super::activity::Row;
use super::connection::Connection;
use super::live::Live;
use crate::pages::parts::{Copyable, Count, Frame};
use crate::pages::pictures::{Bars, MINUTES, requests_pictured};
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
    /// What the provider has sent in the last hour, where the reader may see requests.
    pub(crate) requests: Option<Bars>,
    /// How many requests came within a minute, where these are so many that the provider is at work.
    pub(crate) pace: Option<Count>,
    /// The latest.
    pub(crate) failures: Vec<Row>,
}

/// Requests within a minute that look as if somebody waits for an import, or a first assignment, to end.
const BUSY: u64 = 30;

/// `GET …`.
pub(super) async fn show(visitor: Visitor) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let detected = visitor.store.speaker(connection.id).await?.detect();
    let failures = visitor.failures(FAILURES).await?;
    let minutes = if visitor.reader.sees(PortalFeature::Activity) {
        let now = visitor.counter.access.now();
        visitor.store.requests_by_minute(Some(connection.id), now, MINUTES).await?
    } else {
        Vec::new()
    };
    // The last minute has only begun: what came in it, or in the one before.
    let pace = minutes.iter().rev().take(2).flatten().map(|it| it.all).max();
    let requests = (!minutes.is_empty()).then(|| requests_pictured(&minutes));
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
        requests,
        pace: pace.filter(|it| *it >= BUSY).map(Count),
        failures,
    }))
}

/// `POST …/pause`: the provider is turned away, and everybody stays
/// as they are.
pub(super) async fn pause(visitor: Visitor) -> Result<Response, Stop> {
    set_paused(&visitor, true).await
}

/// `POST …/resume`. What was disconnected has no token any more, so that is next.
pub(super) async fn resume(visitor: Visitor) -> Result<Response, Stop> {
    let resumed = set_paused(&visitor, false).await?;
    if visitor.connection.disconnected.is_some() && visitor.reader.sees(PortalFeature::SetUp) {
        return Ok(go_to(&format!("{}/set-up", visitor.connection.address)));
    }
    Ok(resumed)
}

/// `POST …/disconnect`: the provider is gone for good, and what becomes of the people was chosen.
pub(super) async fn disconnect(visitor: Visitor) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let people = visitor.form.text("people").parse().map_err(|_| Stop::Unreadable)?;
    visitor.store.disconnect_directory(connection.id, DisconnectDirectory { people }).await?;
    Ok(go_to(&connection.address))
}

async fn set_paused(visitor: &Visitor, is_paused: bool) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let edit = EditDirectory { is_paused: Some(is_paused), ..EditDirectory::default() };
    visitor.store.edit_directory(connection.id, edit).await?;
    Ok(go_to(&connection.address))
}
