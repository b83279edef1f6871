//! The first page of the dashboard: how it goes, and what is wrong now.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use directory::{DirectoryState, HoldState, OrganizationId};
use jiff::SignedDuration;
use store::{ApiStore, DirectorySummary, EndpointSummary};

use super::webhooks::Standing;
use super::{Dashboard, SignedIn, live};
use crate::pages::directory::live::Live;
use crate::pages::parts::{Count, Frame, When};
use crate::pages::pictures::{Bars, MINUTES, events_pictured, requests_pictured};
use crate::pages::{Stop, page};

/// Directories that are looked at for the overview: beyond that, it says that there are more.
const DIRECTORIES_MAX: u64 = 1_000;

/// Lines of each kind of what somebody should look at.
const LINES_MAX: usize = 50;

/// How long before its end a token is told of.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 30);

#[derive(Template)]
#[template(path = "dashboard/overview.html")]
pub(crate) struct Overview {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) live: Live,
    pub(crate) counts: Vec<(DirectoryState, usize)>,
    pub(crate) active_users: Count,
    pub(crate) groups: Count,
    pub(crate) requests: Bars,
    pub(crate) events: Bars,
    /// Events that the endpoint is behind which is furthest behind.
    pub(crate) behind: Count,
    /// What somebody should look at.
    pub(crate) troubled: Vec<Troubled>,
    pub(crate) held: Vec<Held>,
    pub(crate) ending: Vec<Ending>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Whether there are more directories than were looked at.
    pub(crate) has_more: bool,
}

impl Overview {
    pub(crate) fn is_well(&self) -> bool {
        self.troubled.is_empty()
            && self.held.is_empty()
            && self.ending.is_empty()
            && self.endpoints.is_empty()
    }
}

/// Where something is.
#[derive(Clone)]
pub(crate) struct Of {
    pub(crate) name: String,
    /// Of its page.
    pub(crate) address: String,
    pub(crate) organization: String,
    pub(crate) organization_id: String,
}

/// A directory that does not go as it should.
pub(crate) struct Troubled {
    pub(crate) of: Of,
    pub(crate) state: DirectoryState,
    pub(crate) last_contact_at: Option<When>,
    pub(crate) refused_with: Option<u16>,
}

/// A directory whose changes wait.
pub(crate) struct Held {
    pub(crate) of: Of,
    /// Whether they are being let out already.
    pub(crate) is_let_out: bool,
}

/// A token that ends soon.
pub(crate) struct Ending {
    pub(crate) of: Of,
    pub(crate) last_four: String,
    pub(crate) expires_at: When,
    /// Whether the provider has used it: then something fails when it ends.
    pub(crate) is_used: bool,
}

/// An endpoint to which events do not come as they should.
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) url: String,
    pub(crate) standing: Standing,
    pub(crate) events_behind: u64,
    pub(crate) failed: u64,
}

/// What organizations are called that were asked for.
struct Names<'s> {
    store: &'s ApiStore,
    known: BTreeMap<OrganizationId, String>,
}

impl Names<'_> {
    async fn of(&mut self, summary: &DirectorySummary) -> Result<Of, Stop> {
        let (id, directory) = (summary.directory.organization_id, summary.directory.id);
        let organization = if let Some(name) = self.known.get(&id) {
            name.clone()
        } else {
            let found = self.store.organization(id).await?;
            let name = found.map(|it| it.name).unwrap_or_default();
            self.known.insert(id, name.clone());
            name
        };
        Ok(Of {
            name: summary.directory.name.clone(),
            organization,
            organization_id: id.to_string(),
            address: format!("/dashboard/organizations/{id}/directories/{directory}"),
        })
    }
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
    let mut names = Names { store: &store, known: BTreeMap::new() };
    let (mut troubled, mut held) = (Vec::new(), Vec::new());
    for summary in &found {
        let state = summary.state(now);
        let is_wrong = matches!(state, DirectoryState::Failing | DirectoryState::Silent);
        if is_wrong && troubled.len() < LINES_MAX {
            let refused_with = summary.contact.refused_with;
            troubled.push(Troubled {
                of: names.of(summary).await?,
                state,
                last_contact_at: summary.contact.last_at.map(When),
                refused_with: refused_with.filter(|_| state == DirectoryState::Failing),
            });
        }
        if let Some((_, _, state)) = summary.hold
            && held.len() < LINES_MAX
        {
            let is_let_out = state == HoldState::LettingOut;
            held.push(Held { of: names.of(summary).await?, is_let_out });
        }
    }
    let mut ending = Vec::new();
    for (id, token) in store.tokens_ending_before(now + SOON, LINES_MAX as u64).await? {
        let known = found.iter().find(|it| it.directory.id == id);
        let of: Of = match known {
            Some(summary) => names.of(summary).await?,
            None => match store.directory(id).await? {
                Some(summary) => names.of(&summary).await?,
                None => continue,
            },
        };
        ending.push(Ending {
            of,
            last_four: token.last_four,
            expires_at: When(token.expires_at),
            is_used: token.last_used_at.is_some(),
        });
    }
    let endpoints = store.endpoints(None, directory::webhook::ENDPOINTS_MAX).await?;
    let is_on = |it: &&EndpointSummary| it.endpoint.disabled.is_none();
    let behind = endpoints.iter().filter(is_on).map(|it| it.events_behind).max().unwrap_or(0);
    let endpoint = |it: EndpointSummary| Endpoint {
        address: format!("/dashboard/webhooks/{}", it.endpoint.id),
        standing: Standing::of(&it, now),
        url: it.endpoint.url,
        events_behind: it.events_behind,
        failed: it.failed_count,
    };
    let is_wrong =
        |it: &Endpoint| it.failed > 0 || !matches!(it.standing, Standing::Well | Standing::Unused);
    let endpoints = endpoints.into_iter().map(endpoint).filter(is_wrong).take(LINES_MAX);
    let requests = store.requests_by_minute(None, now, MINUTES).await?;
    let events = store.events_by_minute(now, MINUTES).await?;
    Ok(page(&Overview {
        frame,
        signed_in,
        live: live::of_overview(),
        counts,
        active_users: Count(active_users),
        groups: Count(groups),
        requests: requests_pictured(&requests),
        events: events_pictured(&events),
        behind: Count(behind),
        troubled,
        held,
        ending,
        endpoints: endpoints.collect(),
        has_more,
    }))
}

#[cfg(test)]
pub(crate) fn pictured(minutes: &[u64]) -> [Bars; 2] {
    let of = |all: &u64| Some(store::MinuteOfRequests { all: *all, failed: all / 5 });
    [requests_pictured(&minutes.iter().map(of).collect::<Vec<_>>()), events_pictured(minutes)]
}
