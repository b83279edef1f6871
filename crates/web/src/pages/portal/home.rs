//! The first page of the portal: what the organization has connected, and how well it goes.

use askama::Template;
use axum::response::Response;

use super::connection::Connection;
use super::live::Live;
use super::{Inside, Portal};
use crate::pages::parts::Frame;
use crate::pages::{Stop, page};

/// Directories that are shown: nobody has as many providers.
pub(super) const DIRECTORIES_MAX: u64 = 200;

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
    let live = Live::of_all(&inside);
    Ok(page(&Home { frame, inside, connections, live }))
}

impl Portal {
    pub(super) async fn connections(&self) -> Result<Vec<Connection>, Stop> {
        let (home, now) = (&self.inside.home, self.counter.access.now());
        let found =
            self.store.directories(Some(self.organization_id), None, DIRECTORIES_MAX).await?;
        Ok(found.into_iter().map(|found| Connection::new(home, found, now)).collect())
    }
}
