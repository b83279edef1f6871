//! The first page of the dashboard: how it goes.

use askama::Template;
use axum::response::Response;
use directory::DirectoryState;

use super::{Dashboard, SignedIn};
use crate::pages::parts::{Frame, When};
use crate::pages::{Stop, page};

/// Directories that are looked at for the overview: beyond that, it says that there are more.
const DIRECTORIES_MAX: u64 = 1_000;

#[derive(Template)]
#[template(path = "dashboard/overview.html")]
pub(crate) struct Overview {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) counts: Vec<(DirectoryState, usize)>,
    pub(crate) active_users: u64,
    pub(crate) groups: u64,
    /// What somebody should look at.
    pub(crate) troubled: Vec<Troubled>,
    /// Whether there are more directories than were looked at.
    pub(crate) has_more: bool,
}

/// A directory that does not go as it should.
pub(crate) struct Troubled {
    pub(crate) name: String,
    /// Of its page.
    pub(crate) address: String,
    pub(crate) organization: String,
    pub(crate) organization_id: String,
    pub(crate) state: DirectoryState,
    pub(crate) last_contact_at: Option<When>,
    pub(crate) refused_with: Option<u16>,
}

/// `GET /dashboard`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, .. } = dashboard;
    let now = counter.access.now();
    let mut found = store.directories(None, None, DIRECTORIES_MAX + 1).await?;
    let most = usize::try_from(DIRECTORIES_MAX).unwrap_or(usize::MAX);
    let has_more = found.len() > most;
    found.truncate(most);
    let count = |state| (state, found.iter().filter(|it| it.state(now) == state).count());
    let counts = DirectoryState::ALL.map(count).to_vec();
    let (active_users, groups) = found.iter().fold((0, 0), |(users, groups), it| {
        (users + it.active_user_count, groups + it.group_count)
    });
    let mut troubled = Vec::new();
    for summary in &found {
        let state = summary.state(now);
        if !matches!(state, DirectoryState::Failing | DirectoryState::Silent) {
            continue;
        }
        let organization_id = summary.directory.organization_id;
        let organization = store.organization(organization_id).await?;
        troubled.push(Troubled {
            address: format!(
                "/dashboard/organizations/{organization_id}/directories/{}",
                summary.directory.id
            ),
            name: summary.directory.name.clone(),
            organization: organization.map(|it| it.name).unwrap_or_default(),
            organization_id: organization_id.to_string(),
            state,
            last_contact_at: summary.contact.last_at.map(When),
            refused_with: summary.contact.refused_with.filter(|_| state == DirectoryState::Failing),
        });
    }
    Ok(page(&Overview { frame, signed_in, counts, active_users, groups, troubled, has_more }))
}
