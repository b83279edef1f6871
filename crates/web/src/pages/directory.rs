//! The pages of one directory, which the portal and the dashboard share: each is written once, and is
//! there at `/portal/{link}/directories/{directory}` and at
//! `/dashboard/organizations/{organization}/directories/{directory}`.
//!
//! A tab is added in four steps:
//!
//! 1. a line in [`TABS`]: its word in the address, what it is called in the portal and in the
//!    dashboard, and which part of the portal it belongs to;
//! 2. lines in [`rows`] for its page and its forms: who is let in, and what a key would need for the
//!    same;
//! 3. a module below this one. Its handlers take a [`Visitor`](crate::pages::visitor::Visitor), which has the directory
//!    (`visitor.connection`) and has checked all of that; ids further behind in the address are the
//!    third and later parts of the `Path`;
//! 4. a template in `templates/directory/` that extends `directory/tab.html` and fills its block `tab`,
//!    with fields `frame`, `reader`, `connection` and `live`; and a sample of it. A form is shown where
//!    `reader.may(feature, scope)` says so.

pub(super) mod activity;
pub(super) mod connection;
pub(super) mod events;
pub(super) mod groups;
pub(super) mod holds;
pub(super) mod live;
pub(super) mod people;
pub(super) mod roles;
pub(super) mod set_up;
pub(super) mod settings;
pub(super) mod status;
pub(super) mod tokens;

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodRouter, get as routed_get, post as routed_post};
use directory::{ApiScope, PortalFeature};

use crate::Counter;
use crate::pages::Place;
use crate::pages::dashboard::Needs;
use crate::pages::visitor::Reader;

/// Below which addresses directories are.
const IN_PORTAL: &str = "/portal/{link}/directories/{directory}";
const IN_DASHBOARD: &str = "/dashboard/organizations/{organization}/directories/{directory}";

/// A tab of a directory.
pub(crate) struct Tab {
    /// Behind the address of the directory.
    word: &'static str,
    /// What it is called in the portal, and in the dashboard; nothing, where it is not there.
    titles: (Option<&'static str>, Option<&'static str>),
    /// The part of the portal that it belongs to; with none, every link opens it.
    feature: Option<PortalFeature>,
}

/// All of them, in their order.
#[rustfmt::skip]
const TABS: [Tab; 10] = {
    use PortalFeature::{Activity, People, Roles, SetUp, Status, Tokens};

    [
        Tab { word: "", titles: (Some("Status"), Some("Status")), feature: None },
        Tab { word: "set-up", titles: (Some("Set up"), Some("Set-up")), feature: Some(SetUp) },
        Tab { word: "people", titles: (Some("People"), Some("Users")), feature: Some(People) },
        Tab { word: "groups", titles: (Some("Groups"), Some("Groups")), feature: Some(People) },
        Tab { word: "roles", titles: (Some("Roles"), Some("Roles")), feature: Some(Roles) },
        Tab { word: "activity", titles: (Some("Activity"), Some("Requests")), feature: Some(Activity) },
        Tab { word: "events", titles: (None, Some("Events")), feature: None },
        Tab { word: "tokens", titles: (Some("Tokens"), Some("Tokens")), feature: Some(Tokens) },
        Tab { word: "holds", titles: (Some("Holds"), Some("Holds")), feature: Some(Status) },
        Tab { word: "settings", titles: (None, Some("Settings")), feature: None },
    ]
};

impl Reader {
    /// The tabs that they see: the word of each and its title.
    pub(crate) fn tabs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        TABS.iter().filter_map(|tab| {
            let title = if self.is_member() { tab.titles.1 } else { tab.titles.0 };
            let is_seen = tab.feature.is_none_or(|feature| self.sees(feature));
            title.filter(|_| is_seen).map(|title| (tab.word, title))
        })
    }
}

/// Whom the portal lets in.
#[derive(Clone, Copy, Debug)]
enum Portal {
    /// Whoever has any link.
    Whoever,
    /// Whoever has a link that opens this part.
    With(PortalFeature),
    /// Nobody: it is for the vendor.
    Nobody,
}

/// A page of a directory, or what a form of one is sent to.
struct Row {
    method: &'static str,
    /// Behind the address of the directory.
    path: &'static str,
    handler: MethodRouter<Arc<Counter>>,
    portal: Portal,
    /// What a key would need for the same, and so what a member needs.
    scope: ApiScope,
}

fn get<H, T>(path: &'static str, handler: H, portal: Portal, scope: ApiScope) -> Row
where
    H: Handler<T, Arc<Counter>>,
    T: 'static,
{
    Row { method: "GET", path, handler: routed_get(handler), portal, scope }
}

fn post<H, T>(path: &'static str, handler: H, portal: Portal, scope: ApiScope) -> Row
where
    H: Handler<T, Arc<Counter>>,
    T: 'static,
{
    Row { method: "POST", path, handler: routed_post(handler), portal, scope }
}

/// Everything of a directory.
#[rustfmt::skip]
fn rows() -> Vec<Row> {
    use ApiScope::{
        DirectoriesRead, DirectoriesWrite, EventsRead, TokensRead, TokensWrite, UsersRead, UsersWrite,
    };
    use Portal::{Nobody, Whoever, With};
    use PortalFeature::{Activity, People, Roles, SetUp, Status, Tokens};

    vec![
        get("", status::show, Whoever, DirectoriesRead),
        get("/live", live::of_one, Whoever, DirectoriesRead),
        post("/pause", status::pause, With(Status), DirectoriesWrite),
        post("/resume", status::resume, With(Status), DirectoriesWrite),
        post("/disconnect", status::disconnect, With(Status), DirectoriesWrite),
        get("/set-up", set_up::show, With(SetUp), DirectoriesRead),
        post("/set-up", set_up::give_token, With(SetUp), TokensWrite),
        get("/people", people::list, With(People), UsersRead),
        get("/people.csv", people::table, With(People), UsersRead),
        get("/people/{user}", people::show, With(People), UsersRead),
        post("/people/{user}/erase", people::erase, Nobody, UsersWrite),
        get("/erasures/{erasure}", people::receipt, Nobody, UsersRead),
        get("/groups", groups::list, With(People), UsersRead),
        get("/groups.csv", groups::table, With(People), UsersRead),
        get("/groups/{group}", groups::show, With(People), UsersRead),
        get("/activity", activity::list, With(Activity), UsersRead),
        get("/activity/{request}", activity::show, With(Activity), UsersRead),
        post("/activity/{request}/rerun", activity::rerun, Nobody, DirectoriesWrite),
        get("/events", events::list, Nobody, EventsRead),
        get("/events/{number}", events::show, Nobody, EventsRead),
        get("/tokens", tokens::list, With(Tokens), TokensRead),
        post("/tokens", tokens::create, With(Tokens), TokensWrite),
        post("/tokens/{token}/rotate", tokens::rotate, With(Tokens), TokensWrite),
        post("/tokens/{token}/revoke", tokens::revoke, With(Tokens), TokensWrite),
        get("/roles", roles::show, With(Roles), DirectoriesRead),
        post("/roles/preview", roles::preview, With(Roles), DirectoriesWrite),
        post("/roles", roles::save, With(Roles), DirectoriesWrite),
        get("/holds", holds::list, With(Status), DirectoriesRead),
        get("/holds/{hold}", holds::show, With(Status), DirectoriesRead),
        get("/holds/{hold}/lost.csv", holds::table, With(Status), DirectoriesRead),
        get("/holds/{hold}/changes.csv", holds::report, With(Status), DirectoriesRead),
        post("/holds/{hold}/approve", holds::approve, With(Status), DirectoriesWrite),
        post("/holds/{hold}/reject", holds::reject, With(Status), DirectoriesWrite),
        post("/shadow", holds::begin_shadow, Nobody, DirectoriesWrite),
        post("/clients", tokens::create_client, Nobody, TokensWrite),
        post("/clients/{client}/delete", tokens::delete_client, Nobody, TokensWrite),
        post("/clients/{client}/secrets", tokens::create_secret, Nobody, TokensWrite),
        post("/clients/{client}/secrets/{secret}/delete", tokens::delete_secret, Nobody, TokensWrite),
        get("/settings", settings::show, Nobody, DirectoriesRead),
        post("/settings", settings::save, Nobody, DirectoriesWrite),
        post("/settings/delete", settings::delete, Nobody, DirectoriesWrite),
    ]
}

/// The places in the portal.
pub(super) fn in_portal() -> Vec<Place> {
    let place = |row: Row| {
        let path = format!("{IN_PORTAL}{}", row.path);
        let place = Place { method: row.method, path, handler: row.handler };
        match row.portal {
            Portal::Whoever => Some(place),
            Portal::With(feature) => Some(place.of(feature)),
            Portal::Nobody => None,
        }
    };
    rows().into_iter().filter_map(place).collect()
}

/// The places in the dashboard.
pub(super) fn in_dashboard() -> Vec<Place> {
    let place = |row: Row| {
        let path = format!("{IN_DASHBOARD}{}", row.path);
        Place { method: row.method, path, handler: row.handler }.needs(Needs::Scope(row.scope))
    };
    rows().into_iter().map(place).collect()
}
