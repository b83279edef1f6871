//! Choosing a provider, and making a connection to it.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use directory::{DirectoryState, Provider, Settings, as_name};
use serde::Deserialize;

use super::{Inside, Portal};
use crate::guides::{self, Guide};
use crate::pages::directory::connection::Connection;
use crate::pages::parts::Frame;
use crate::pages::{Stop, go_to, page, page_with};

#[derive(Template)]
#[template(path = "portal/choose.html")]
pub(crate) struct Choose {
    pub(crate) frame: Frame,
    pub(crate) inside: Inside,
    pub(crate) cards: Vec<Card>,
    /// Connections that were begun, and never heard of.
    pub(crate) begun: Vec<Connection>,
}

/// A provider to choose.
pub(crate) struct Card {
    pub(crate) provider: Provider,
    pub(crate) minutes: u16,
    pub(crate) ways: usize,
}

impl Card {
    pub(crate) fn all() -> Vec<Card> {
        let card = |provider| Card {
            provider,
            minutes: guides::of(provider).map(|guide| guide.minutes).min().unwrap_or_default(),
            ways: guides::of(provider).count(),
        };
        Provider::ALL.into_iter().map(card).collect()
    }
}

/// What is asked before a connection is made.
#[derive(Template)]
#[template(path = "portal/connect.html")]
pub(crate) struct Connect {
    pub(crate) frame: Frame,
    pub(crate) inside: Inside,
    pub(crate) provider: Provider,
    /// The one that is chosen comes first, unless somebody chose otherwise.
    pub(crate) ways: Vec<Way>,
    pub(crate) name: String,
    /// Whether the name is none.
    pub(crate) is_wrong: bool,
}

/// One of the ways in which a provider can be connected.
pub(crate) struct Way {
    pub(crate) guide: &'static Guide,
    pub(crate) is_chosen: bool,
}

impl Way {
    pub(crate) fn all(provider: Provider, chosen: &str) -> Vec<Way> {
        let mut ways: Vec<_> = guides::of(provider)
            .map(|guide| Way { guide, is_chosen: guide.name == chosen })
            .collect();
        if !ways.iter().any(|way| way.is_chosen)
            && let Some(first) = ways.first_mut()
        {
            first.is_chosen = true;
        }
        ways
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    provider: String,
}

/// `GET /portal/{link}/choose`: which provider; and of one that is chosen, which way.
pub(super) async fn show(portal: Portal, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    if let Ok(provider) = asked.provider.parse::<Provider>() {
        let Portal { frame, inside, .. } = portal;
        let (ways, name) = (Way::all(provider, ""), provider.title().to_owned());
        return Ok(page(&Connect { frame, inside, provider, ways, name, is_wrong: false }));
    }
    let mut begun = portal.connections().await?;
    begun.retain(|it| it.state == DirectoryState::Waiting);
    let Portal { frame, inside, .. } = portal;
    Ok(page(&Choose { frame, inside, cards: Card::all(), begun }))
}

/// `POST /portal/{link}/directories`.
pub(super) async fn connect(portal: Portal) -> Result<Response, Stop> {
    let form = &portal.form;
    let provider: Provider = form.text("provider").parse().map_err(|_| Stop::Unreadable)?;
    let ways = Way::all(provider, form.text("guide"));
    let Some(name) = as_name(form.text("name")) else {
        let name = form.text("name").to_owned();
        let Portal { frame, inside, .. } = portal;
        let asked = Connect { frame, inside, provider, ways, name, is_wrong: true };
        return Ok(page_with(StatusCode::UNPROCESSABLE_ENTITY, &asked));
    };
    let guide = ways.iter().find(|way| way.is_chosen).map_or("any", |way| way.guide.name.as_str());
    let settings = Settings::of(provider);
    let made = portal
        .store
        .create_directory(portal.organization_id, name.to_owned(), provider, settings)
        .await?;
    // Reloading what comes next makes nothing.
    let home = &portal.inside.home;
    Ok(go_to(&format!("{home}/directories/{}/set-up?guide={guide}", made.id)))
}
