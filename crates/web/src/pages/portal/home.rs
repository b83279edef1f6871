//! The first page of the portal: what the organization has connected, and how well it goes.

use askama::Template;
use axum::response::Response;

use super::{Inside, Portal};
use crate::pages::directory::connection::Connection;
use crate::pages::directory::live::{self, Live};
use crate::pages::parts::Frame;
use crate::pages::visitor::Opened;
use crate::pages::{Stop, page};

/// Directories that are shown: nobody has as many providers.
pub(in crate::pages) const DIRECTORIES_MAX: u64 = 200;

#[derive(Template)]
#[template(path = "portal/home.html")]
pub(crate) struct Home {
    pub(crate) frame: Frame,
    pub(crate) inside: Inside,
    pub(crate) connections: Vec<Connection>,
    pub(crate) live: Live,
}

/// `GET /portal/{link}`.
pub(super) async fn show(portal: Portal) -> Result<Response, Stop> {
    let connections = portal.connections().await?;
    let Portal { frame, inside, .. } = portal;
    let live = Live { listen: format!("{}/live", inside.home), page: inside.home.clone() };
    Ok(page(&Home { frame, inside, connections, live }))
}

/// `GET /portal/{link}/live`.
pub(super) async fn listen(portal: Portal) -> Response {
    let Portal { counter, store, opened, .. } = portal;
    live::listen(counter, &store, Opened::Link(opened.0, opened.1), None)
}

impl Portal {
    pub(super) async fn connections(&self) -> Result<Vec<Connection>, Stop> {
        let (home, now) = (&self.inside.home, self.counter.access.now());
        let found =
            self.store.directories(Some(self.organization_id), None, DIRECTORIES_MAX).await?;
        Ok(found.into_iter().map(|found| Connection::new(home, found, now)).collect())
    }
}
