//! The request log over all directories.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use directory::{DirectoryId, OrganizationId};
use store::{ApiStore, RequestRecord};

use super::{Dashboard, SignedIn};
use crate::pages::directory::activity::{Asked, Row};
use crate::pages::parts::Frame;
use crate::pages::{Stop, page};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/requests.html")]
pub(crate) struct RequestsPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) asked: Asked,
    pub(crate) rows: Vec<Of>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
}

/// A request, and whose it is.
pub(crate) struct Of {
    pub(crate) row: Row,
    pub(crate) directory: Directory,
}

/// What a request was sent to.
#[derive(Clone)]
pub(crate) struct Directory {
    /// Empty, where it was deleted since: then there are no pages of it.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) organization: String,
    /// Of its page.
    pub(crate) organization_address: String,
}

impl Directory {
    async fn of(store: &ApiStore, record: &RequestRecord) -> Result<Directory, Stop> {
        let organization_address = format!("/dashboard/organizations/{}", record.organization_id);
        let organization = store.organization(record.organization_id).await?;
        let found = store.directory(record.directory_id).await?;
        let address = format!("{organization_address}/directories/{}", record.directory_id);
        Ok(Directory {
            address: found.as_ref().map(|_| address).unwrap_or_default(),
            name: found.map_or_else(|| record.directory_id.to_string(), |it| it.directory.name),
            organization: organization
                .map_or_else(|| record.organization_id.to_string(), |it| it.name),
            organization_address,
        })
    }
}

/// `GET /dashboard/requests`.
pub(super) async fn show(
    dashboard: Dashboard,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let of = asked.organization.trim();
    let organization: Option<OrganizationId> = if of.is_empty() {
        None
    } else {
        let id: OrganizationId = match of.parse() {
            Ok(id) => id,
            // Also by the vendor's own identifier.
            Err(_) => store
                .organization_of_external_id(of)
                .await?
                .map(|it| it.id)
                .ok_or_else(|| Problem::not_found("organization"))?,
        };
        Some(id)
    };
    let (found, next) = asked.find((&store, &counter), None, organization).await?;
    let mut known: BTreeMap<DirectoryId, Directory> = BTreeMap::new();
    let mut rows = Vec::new();
    for record in found {
        let directory = match known.get(&record.directory_id) {
            Some(directory) => directory.clone(),
            None => Directory::of(&store, &record).await?,
        };
        known.insert(record.directory_id, directory.clone());
        rows.push(Of { row: Row::new(record, &directory.address), directory });
    }
    let next = next.map(|place| asked.address("/dashboard/requests", &place.to_string()));
    Ok(page(&RequestsPage { frame, signed_in, asked, rows, next }))
}
