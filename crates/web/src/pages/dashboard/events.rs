//! The feed, the latest first; and one event with what it has changed, and what caused it.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use directory::event::EventKind;
use directory::webhook;
use directory::{DirectoryId, OrganizationId};
use serde::Deserialize;
use serde_json::Value as Json;
use store::{ApiStore, EventFilter, EventRecord};

use super::{Dashboard, SignedIn, live};
use crate::pages::directory::live::Live;
use crate::pages::parts::{Copyable, Frame, When, with_query};
use crate::pages::{Stop, page};
use crate::problem::Problem;

/// Events of a page.
const PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "dashboard/events.html")]
pub(crate) struct EventsPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) live: Live,
    pub(crate) asked: Asked,
    /// What of the question is no question: it is said, and nothing is shown.
    pub(crate) wrong: Option<WrongFilter>,
    pub(crate) kinds: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
    /// Behind the latest event, for an app that is to go on from there.
    pub(crate) cursor: Option<Copyable>,
}

/// What cannot be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongFilter {
    Organization,
    Directory,
    Kind,
}

/// An event in a list.
pub(crate) struct Row {
    pub(crate) address: String,
    pub(crate) kind: String,
    /// Whom or what it is about, as far as it has a name.
    pub(crate) about: String,
    pub(crate) at: When,
    pub(crate) number: u64,
    pub(crate) organization: Option<String>,
    pub(crate) directory: Option<(String, String)>,
}

impl Row {
    fn new(event: &EventRecord) -> Row {
        let data = serde_json::from_str::<Json>(&event.data).unwrap_or_default();
        Row {
            address: format!("/dashboard/events/{}", event.position),
            about: about(&data),
            kind: event.kind.clone(),
            at: When(event.occurred_at),
            number: event.number,
            organization: event.organization_id.map(|id| id.to_string()),
            directory: directory_of(event),
        }
    }
}

/// Where the page of a directory is, and its id.
fn directory_of(event: &EventRecord) -> Option<(String, String)> {
    let (organization, directory) = (event.organization_id?, event.directory_id?);
    let address = format!("/dashboard/organizations/{organization}/directories/{directory}");
    Some((address, directory.to_string()))
}

/// What an event is about, by what people call it.
fn about(data: &Json) -> String {
    const NAMES: [&str; 9] = [
        "/user/userName",
        "/group/displayName",
        "/directory/name",
        "/api_key/name",
        "/user/id",
        "/group/id",
        "/token/last_four",
        "/hold/id",
        "/endpoint/id",
    ];
    let mut found = NAMES.iter().filter_map(|it| data.pointer(it).and_then(Json::as_str));
    found.next().unwrap_or_default().to_owned()
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    pub(crate) organization: String,
    #[serde(default)]
    pub(crate) directory: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) before: String,
}

impl Asked {
    /// The same question, before a place.
    fn address(&self, before: &str) -> String {
        with_query(
            "/dashboard/events",
            [
                ("organization", self.organization.trim()),
                ("directory", self.directory.trim()),
                ("type", self.kind.trim()),
                ("before", before),
            ],
        )
    }

    pub(crate) fn is_narrow(&self) -> bool {
        [&self.organization, &self.directory, &self.kind].iter().any(|it| !it.trim().is_empty())
    }

    async fn filter(&self, store: &ApiStore) -> Result<Result<EventFilter, WrongFilter>, Stop> {
        let mut filter = EventFilter::default();
        let [organization, directory, kind] =
            [&self.organization, &self.directory, &self.kind].map(|it| it.trim());
        if !organization.is_empty() {
            let id = organization.parse::<OrganizationId>().ok();
            let Some(id) = id else { return Ok(Err(WrongFilter::Organization)) };
            if !store.was_organization(id).await? {
                return Ok(Err(WrongFilter::Organization));
            }
            filter.organization_id = Some(id);
        }
        if !directory.is_empty() {
            let id = directory.parse::<DirectoryId>().ok();
            let Some(id) = id else { return Ok(Err(WrongFilter::Directory)) };
            let of = store.organization_of(id).await?;
            let is_meant = |of| filter.organization_id.is_none_or(|wanted| wanted == of);
            if !of.is_some_and(is_meant) {
                return Ok(Err(WrongFilter::Directory));
            }
            filter.directory_id = Some(id);
        }
        if !kind.is_empty() {
            if !webhook::Filter::is_type(kind) {
                return Ok(Err(WrongFilter::Kind));
            }
            let named = webhook::Filter { types: vec![kind.to_owned()], ..Default::default() };
            let is_named = |it: &EventKind| named.matches(it.as_str(), None, None);
            filter.kinds = EventKind::ALL.into_iter().filter(is_named).collect();
        }
        Ok(Ok(filter))
    }
}

/// Types, and beginnings of some, as they can be chosen from.
pub(crate) fn kinds() -> Vec<String> {
    let mut kinds: Vec<_> = EventKind::ALL.iter().map(ToString::to_string).collect();
    let beginnings = ["directory", "directory.user", "directory.group", "directory.token"];
    let beginnings = beginnings.into_iter().chain(["directory.hold", "portal_link", "api_key"]);
    kinds.extend(beginnings.map(|it| format!("{it}.*")));
    kinds.sort_unstable();
    kinds
}

/// `GET /dashboard/events`.
pub(super) async fn list(
    dashboard: Dashboard,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let before = asked.before.parse().ok();
    let (found, wrong, cursor) = match asked.filter(&store).await? {
        Ok(filter) => {
            let found = store.latest_events(filter.clone(), before, PAGE).await?;
            let latest = found.events.first().filter(|_| before.is_none());
            let cursor = latest.map(|it| store.cursor(&filter, it).as_str().to_owned());
            (found, None, cursor)
        }
        Err(wrong) => (store::LatestEvents::default(), Some(wrong), None),
    };
    let next = found.next.map(|place| asked.address(&place.to_string()));
    Ok(page(&EventsPage {
        frame,
        signed_in,
        live: live::of_events(asked.address(asked.before.trim())),
        rows: found.events.iter().map(Row::new).collect(),
        cursor: cursor.map(|it| Copyable::new("cursor", it)),
        kinds: kinds(),
        asked,
        wrong,
        next,
    }))
}

#[derive(Template)]
#[template(path = "dashboard/event.html")]
pub(crate) struct EventPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) row: Row,
    pub(crate) id: Copyable,
    pub(crate) changes: Vec<Change>,
    pub(crate) cause: Option<Cause>,
    pub(crate) json: String,
    pub(crate) cursor: Copyable,
    /// The page of whom it is about.
    pub(crate) subject: Option<(String, String)>,
}

/// What was so, and is otherwise now.
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// What an event was caused by, with links to what has a page.
#[derive(Default)]
pub(crate) struct Cause {
    pub(crate) by: String,
    pub(crate) by_id: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) follows_from: Option<String>,
    pub(crate) rerun_of: Option<String>,
}

impl Cause {
    fn read(text: &str) -> Cause {
        let cause: Json = serde_json::from_str(text).unwrap_or_default();
        let text = |at: &str| cause.pointer(at).and_then(Json::as_str).map(str::to_owned);
        let by = match text("/by/type").as_deref() {
            Some("token") => "A token of the provider",
            Some("oauth_client") => "A client of the provider",
            Some("api_key") => "An API key",
            Some("member") => "A member of your team",
            Some("portal_link") => "An IT admin in the portal",
            Some("operator") => "A command on the server's machine",
            _ => "The server, by a rule of its own",
        };
        let follows = text("/follows_from/type").zip(text("/follows_from/id"));
        Cause {
            by: by.to_owned(),
            by_id: text("/by/id"),
            request_id: text("/request_id"),
            follows_from: follows.map(|(kind, id)| format!("{kind} {id}")),
            rerun_of: text("/rerun_of"),
        }
    }
}

fn changes(data: &Json) -> Vec<Change> {
    // A text is shown as it is, all else as JSON.
    let shown = |value: Option<&Json>| match value {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text.clone()),
        Some(other) => serde_json::to_string_pretty(other).ok(),
    };
    let changes = data.get("changes").and_then(Json::as_object);
    let change = |(name, of): (&String, &Json)| Change {
        name: name.clone(),
        old: shown(of.get("old")),
        new: shown(of.get("new")),
    };
    changes.map(|it| it.iter().map(change).collect()).unwrap_or_default()
}

/// `GET /dashboard/events/{position}`.
pub(super) async fn show(
    dashboard: Dashboard,
    Path(position): Path<String>,
) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let unknown = || Stop::from(Problem::not_found("event"));
    let position = position.parse().map_err(|_| unknown())?;
    let event = store.event_at(position).await?.ok_or_else(unknown)?;
    let data: Json = serde_json::from_str(&event.data).unwrap_or_default();
    let subject = |kind: &str, at: &str| {
        let (address, _) = directory_of(&event)?;
        let id = data.pointer(at)?.as_str()?;
        let name = about(&data);
        Some((format!("{address}/{kind}/{id}"), if name.is_empty() { id.to_owned() } else { name }))
    };
    let is_deleted = event.kind.ends_with(".deleted") || event.kind.ends_with(".erased");
    let subject = subject("people", "/user/id").or_else(|| subject("groups", "/group/id"));
    Ok(page(&EventPage {
        frame,
        signed_in,
        id: Copyable::new("event-id", event.event_id.as_str()),
        changes: changes(&data),
        cause: event.cause.as_deref().map(Cause::read),
        json: serde_json::to_string_pretty(&data).unwrap_or_default(),
        cursor: Copyable::new("cursor", store.cursor(&EventFilter::default(), &event).as_str()),
        subject: subject.filter(|_| !is_deleted),
        row: Row::new(&event),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_changed_is_told_from_what_was_not_there() {
        let data = json!({ "changes": {
            "active": { "old": true, "new": false },
            "title": { "old": null, "new": "Editor" },
        }});
        let changes = changes(&data);
        let texts: Vec<_> = changes
            .iter()
            .map(|it| (it.name.as_str(), it.old.as_deref(), it.new.as_deref()))
            .collect();
        let expected = [("active", Some("true"), Some("false")), ("title", None, Some("Editor"))];
        assert_eq!(texts, expected);
        assert_eq!(about(&json!({ "user": { "id": "1", "userName": "ana" } })), "ana");
        assert_eq!(about(&json!([])), "");
    }

    #[test]
    fn types_can_be_chosen_that_there_are() {
        for kind in kinds() {
            assert!(webhook::Filter::is_type(&kind), "{kind}");
        }
    }
}
