//! The audit log: who did what, with what, from where and when, and how it was before and is after.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use directory::OrganizationId;
use directory::audit::Action;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;
use store::{ApiStore, AuditFilter, AuditRecord};

use super::{Dashboard, SignedIn};
use crate::api::audit::{Form, exported};
use crate::pages::parts::{Frame, Refused, When, with_query};
use crate::pages::{Stop, page};
use crate::problem::Problem;

/// Entries of a page.
const PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "dashboard/audit.html")]
pub(crate) struct AuditPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) asked: Asked,
    pub(crate) refused: Option<Refused>,
    pub(crate) actions: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
    /// The same as a file.
    pub(crate) csv: String,
    pub(crate) ndjson: String,
}

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) action: &'static str,
    pub(crate) at: When,
    pub(crate) actor: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) object: Option<String>,
    pub(crate) object_id: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) changes: Vec<Change>,
}

/// One part of how something was and is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Row {
    fn new(record: AuditRecord) -> Row {
        let kind = match record.actor_type.as_str() {
            "api_key" => "API key",
            "member" => "Member",
            "portal_link" => "IT admin in the portal",
            "operator" => "Command on the server",
            "server" => "The server",
            other => other,
        };
        let actor = match &record.actor_name {
            Some(name) if !name.is_empty() => format!("{name} ({kind})"),
            _ => kind.to_owned(),
        };
        Row {
            id: record.id.to_string(),
            action: record.action.as_str(),
            at: When(record.occurred_at),
            actor,
            actor_id: record.actor_id,
            address: record.address,
            request_id: record.request_id.map(|id| id.to_string()),
            object: record.object_name,
            object_id: record.object_id,
            organization: record.organization_id.map(|id| id.to_string()),
            changes: changes(record.before.as_deref(), record.after.as_deref()),
        }
    }
}

/// What is not the same before and after.
fn changes(before: Option<&str>, after: Option<&str>) -> Vec<Change> {
    let read = |text: Option<&str>| text.and_then(|it| serde_json::from_str::<Json>(it).ok());
    let (before, after) = (read(before), read(after));
    let names = [&before, &after].into_iter().flatten().filter_map(Json::as_object);
    let mut names: Vec<_> = names.flat_map(|it| it.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |state: &Option<Json>, name: &str| match state.as_ref().and_then(|it| it.get(name)) {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let change = |name: &String| Change {
        name: name.clone(),
        before: of(&before, name),
        after: of(&after, name),
    };
    names.into_iter().map(change).filter(|it| it.before != it.after).collect()
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    pub(crate) actor: String,
    #[serde(default)]
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) object: String,
    #[serde(default)]
    pub(crate) organization: String,
    #[serde(default)]
    pub(crate) since: String,
    #[serde(default)]
    pub(crate) until: String,
    #[serde(default)]
    pub(crate) after: String,
}

/// Kinds of actors, as they can be chosen instead of one of them.
const ACTORS: [&str; 5] = ["api_key", "member", "portal_link", "operator", "server"];

impl Asked {
    fn address(&self, path: &str, after: &str) -> String {
        with_query(
            path,
            [
                ("actor", self.actor.trim()),
                ("action", self.action.trim()),
                ("object", self.object.trim()),
                ("organization", self.organization.trim()),
                ("since", self.since.trim()),
                ("until", self.until.trim()),
                ("after", after),
            ],
        )
    }

    pub(crate) fn is_narrow(&self) -> bool {
        !self.address("", "").is_empty()
    }

    async fn filter(&self, store: &ApiStore) -> Result<Result<AuditFilter, Problem>, Stop> {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|it| !it.is_empty());
        let mut filter = AuditFilter { object_id: some(&self.object), ..AuditFilter::default() };
        let actor = some(&self.actor);
        match actor.filter(|it| ACTORS.contains(&it.as_str())) {
            Some(kind) => filter.actor_type = Some(kind),
            None => filter.actor_id = some(&self.actor),
        }
        if let Some(text) = some(&self.action) {
            let Ok(action) = text.parse::<Action>() else {
                return Ok(Err(Problem::invalid(
                    "nobody does what is looked for",
                    "Choose one of the list, such as `token.created`",
                )));
            };
            filter.action = Some(action);
        }
        if let Some(text) = some(&self.organization) {
            let id = text.parse::<OrganizationId>().ok();
            let is_there = match id {
                Some(id) => store.was_organization(id).await?,
                None => false,
            };
            if !is_there {
                return Ok(Err(Problem::invalid(
                    "there is no organization with this id",
                    "Copy it from the organization's page: it begins with `org-`",
                )));
            }
            filter.organization_id = id;
        }
        for (text, time) in [(&self.since, &mut filter.since), (&self.until, &mut filter.until)] {
            let Some(text) = some(text) else { continue };
            let Some(moment) = moment(&text) else {
                return Ok(Err(Problem::invalid(
                    "a time is not one",
                    "Write it as `2026-01-05T09:00`, in UTC",
                )));
            };
            *time = Some(moment);
        }
        Ok(Ok(filter))
    }
}

/// A time in UTC, as a browser sends what was chosen: to the minute, or as everybody else writes it.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let ends = ["", ":00Z", "Z", "T00:00:00Z"];
    ends.iter().find_map(|end| format!("{text}{end}").parse().ok())
}

/// `GET /dashboard/audit`.
pub(super) async fn list(
    dashboard: Dashboard,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let after = asked.after.parse().ok();
    let (mut found, refused) = match asked.filter(&store).await? {
        Ok(filter) => (store.audit(filter, after, PAGE + 1).await?, None),
        Err(problem) => (Vec::new(), Some((&problem).into())),
    };
    let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_more = found.len() > most;
    found.truncate(most);
    let last = found.last().filter(|_| has_more).map(|it| it.id.to_string());
    Ok(page(&AuditPage {
        frame,
        signed_in,
        refused,
        actions: Action::ALL.iter().map(|it| it.as_str()).collect(),
        rows: found.into_iter().map(Row::new).collect(),
        next: last.map(|last| asked.address("/dashboard/audit", &last)),
        csv: asked.address("/dashboard/audit/export/csv", ""),
        ndjson: asked.address("/dashboard/audit/export/ndjson", ""),
        asked,
    }))
}

/// `GET /dashboard/audit/export/{form}`: all that is meant, as a file.
pub(super) async fn export(
    dashboard: Dashboard,
    Path(form): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let (form, disposition) = match form.as_str() {
        "csv" => (Form::Table, "attachment; filename=\"audit.csv\""),
        "ndjson" => (Form::Lines, "attachment; filename=\"audit.ndjson\""),
        _ => return Err(Stop::Nothing),
    };
    let filter = asked.filter(&dashboard.store).await??;
    let mut response = exported(dashboard.store, filter, form);
    let disposition = HeaderValue::from_static(disposition);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stayed_is_not_told() {
        let change = |name: &str, before: Option<&str>, after: Option<&str>| Change {
            name: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let before = r#"{"name":"Acme","external_id":null,"on":true}"#;
        let after = r#"{"name":"Globex","external_id":"7","on":true}"#;
        let both = changes(Some(before), Some(after));
        assert_eq!(
            both,
            [change("external_id", None, Some("7")), change("name", Some("Acme"), Some("Globex"))]
        );
        assert_eq!(changes(None, Some(r#"{"a":1}"#)), [change("a", None, Some("1"))]);
        assert_eq!(changes(None, None), []);
    }

    #[test]
    fn times_are_read_as_browsers_send_them() {
        let expected: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        for text in ["2026-01-05T09:00", "2026-01-05T09:00:00", "2026-01-05T09:00:00Z"] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        assert!(moment("2026-01-05").is_some());
        assert_eq!(moment("yesterday"), None);
    }
}
