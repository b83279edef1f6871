//! The people of a connection: found, and one of them with what the provider says of them, their groups,
//! and what happened to them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use directory::ResourceId;
use directory::event::EventKind;
use serde::Deserialize;
use serde_json::Value;
use store::{DirectoryStore, EventRecord, UserRecord};

use super::connection::Connection;
use super::live::Live;
use crate::api::users::{filter, searched};
use crate::pages::parts::{Copyable, Frame, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, page};
use crate::problem::Problem;

/// People of a page.
pub(super) const PAGE: u64 = 50;

/// Events of a page.
const EVENTS: u64 = 50;

#[derive(Template)]
#[template(path = "directory/people.html")]
pub(crate) struct PeoplePage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) asked: Asked,
    pub(crate) people: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
}

/// Somebody, in a list.
pub(crate) struct Row {
    /// Of their page.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) user_name: String,
    pub(crate) email: Option<String>,
    pub(crate) is_active: bool,
    pub(crate) changed_at: When,
}

impl Row {
    pub(crate) fn new(user: &UserRecord, connection: &str) -> Row {
        let said: Value = serde_json::from_str(&user.text).unwrap_or_default();
        let user_name = text(&said["userName"]).unwrap_or_default();
        Row {
            address: format!("{connection}/people/{}", user.id),
            name: name(&said).unwrap_or_else(|| user_name.clone()),
            email: email(&said).filter(|it| *it != user_name),
            user_name,
            is_active: user.is_active,
            changed_at: When(user.modified_at),
        }
    }
}

/// Who is looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// The beginning of a name or an address.
    pub(crate) q: String,
    /// `active`, `inactive`, or everybody.
    pub(crate) show: String,
    pub(crate) after: String,
}

impl Asked {
    /// As a filter of SCIM.
    fn filter(&self) -> Option<String> {
        const LOOKED_AT: [&str; 5] =
            ["userName", "displayName", "name.familyName", "name.givenName", "emails.value"];
        let q = Value::from(self.q.trim());
        let begins = LOOKED_AT.map(|name| format!("{name} sw {q}")).join(" or ");
        let named = (!self.q.trim().is_empty()).then(|| format!("({begins})"));
        let active = match self.show.as_str() {
            "active" => Some("active eq true".to_owned()),
            "inactive" => Some("active eq false".to_owned()),
            _ => None,
        };
        let parts: Vec<_> = named.into_iter().chain(active).collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }

    /// The same question, from a place on.
    fn address(&self, after: &str) -> String {
        with_query("/people", [("q", self.q.trim()), ("show", &self.show), ("after", after)])
    }
}

/// `GET …/people`.
pub(super) async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let store = visitor.open().await?;
    let (found, next) = visitor.found(&store, asked.filter(), &asked.after).await?;
    let people = found.iter().map(|user| Row::new(user, &connection.address)).collect();
    let live = Live::of_one(connection, &asked.address(&asked.after));
    let next = next.map(|after| format!("{}{}", connection.address, asked.address(&after)));
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&PeoplePage { frame, reader, connection, live, asked, people, next }))
}

impl Visitor {
    /// People for whom a filter holds, or all, and where more of them are.
    pub(super) async fn found(
        &self,
        store: &DirectoryStore,
        wanted: Option<String>,
        after: &str,
    ) -> Result<(Vec<UserRecord>, Option<String>), Stop> {
        let Some(wanted) = filter([], wanted, store.types().user())? else {
            let after = after.parse::<u32>().unwrap_or_default();
            let found = store.users_after(after.into(), PAGE).await?;
            return Ok((found.items, found.next.map(|ordinal| ordinal.to_string())));
        };
        let base = self.counter.settings.directory_base_url(store.id());
        let after = (!after.is_empty()).then(|| after.to_owned());
        let request = searched(wanted, Arc::clone(store.types().user()), base, PAGE, after);
        let found = store.users(request).await?;
        Ok((found.items, found.next))
    }
}

#[derive(Template)]
#[template(path = "directory/person.html")]
pub(crate) struct Person {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) id: Copyable,
    pub(crate) row: Row,
    pub(crate) created_at: When,
    /// What the provider says, by the names of SCIM.
    pub(crate) attributes: Vec<(String, String)>,
    /// Address and name of each.
    pub(crate) groups: Vec<(String, String)>,
    pub(crate) happened: Vec<Happened>,
    /// Where the timeline goes on.
    pub(crate) next: Option<String>,
    /// Where requests about them are, where the link opens that.
    pub(crate) activity: Option<String>,
}

/// Something that happened to somebody.
pub(crate) struct Happened {
    pub(crate) at: When,
    pub(crate) what: What,
    /// Who caused it, as causes are told.
    pub(crate) by: String,
    /// Of the page of the request, where there is one.
    pub(crate) request: Option<String>,
}

pub(crate) enum What {
    Created,
    /// These attributes.
    Changed(String),
    Deactivated,
    Reactivated,
    Deleted,
    /// Into this group.
    Joined(String),
    Left(String),
    /// Something that a later version tells.
    Other(String),
}

impl Happened {
    /// `activity`: the address of requests, where they may be seen.
    fn new(event: EventRecord, activity: Option<&str>) -> Happened {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let cause: Value =
            event.cause.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or_default();
        let changed = || {
            let names = data["changes"].as_object().into_iter().flatten().map(|(name, _)| name);
            names.map(|name| short(name)).collect::<Vec<_>>().join(", ")
        };
        let group = || text(&data["group"]["name"]).unwrap_or_default();
        let what = match event.kind.parse() {
            Ok(EventKind::UserCreated) => What::Created,
            Ok(EventKind::UserUpdated) => What::Changed(changed()),
            Ok(EventKind::UserDeactivated) => What::Deactivated,
            Ok(EventKind::UserReactivated) => What::Reactivated,
            Ok(EventKind::UserDeleted) => What::Deleted,
            Ok(EventKind::GroupMemberAdded) => What::Joined(group()),
            Ok(EventKind::GroupMemberRemoved) => What::Left(group()),
            _ => What::Other(event.kind),
        };
        let request = text(&cause["request_id"]).zip(activity);
        let by = text(&cause["by"]["type"]).unwrap_or_default();
        let of_provider = matches!(by.as_str(), "token" | "oauth_client");
        Happened {
            at: When(event.occurred_at),
            what,
            // Of other requests there is no page.
            request: request.filter(|_| of_provider).map(|(id, at)| format!("{at}/{id}")),
            by,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedOfOne {
    after: String,
}

/// `GET …/people/{user}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, user)): Path<(String, String, String)>,
    Query(asked): Query<AskedOfOne>,
) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let store = visitor.open().await?;
    let unknown = || Stop::from(Problem::not_found("user"));
    let id = ResourceId::parse(&user).ok_or_else(unknown)?;
    let user = store.user(id, true).await?.ok_or_else(unknown)?;
    let address = visitor.connection.address.clone();
    let sees_requests = visitor.reader.sees(directory::PortalFeature::Activity);
    let activity = sees_requests.then(|| format!("{address}/activity"));
    let after = asked.after.parse::<u32>().unwrap_or_default();
    let timeline = store.timeline(id, after.into(), EVENTS).await?;
    let happened = timeline.events.into_iter();
    let happened = happened.map(|event| Happened::new(event, activity.as_deref())).collect();
    let groups = user.groups.iter();
    let groups =
        groups.map(|it| (format!("{address}/groups/{}", it.id), it.display_name.clone())).collect();
    let said: Value = serde_json::from_str(&user.text).unwrap_or_default();
    let page_of = format!("/people/{}", user.id);
    let place = if after == 0 { page_of.clone() } else { format!("{page_of}?after={after}") };
    let live = Live::of_one(connection, &place);
    let next = timeline.next.map(|number| format!("{address}{page_of}?after={number}"));
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&Person {
        frame,
        reader,
        live,
        id: Copyable::new("user-id", user.id.to_string()),
        row: Row::new(&user, &address),
        created_at: When(user.created_at),
        attributes: flat(&said),
        groups,
        happened,
        next,
        activity: activity.map(|it| format!("{it}?q={}", user.id)),
        connection,
    }))
}

/// What somebody is called.
fn name(said: &Value) -> Option<String> {
    let name = &said["name"];
    let parts = || {
        let parts = [&name["givenName"], &name["familyName"]];
        let whole = parts.into_iter().filter_map(text).collect::<Vec<_>>().join(" ");
        (!whole.is_empty()).then_some(whole)
    };
    text(&said["displayName"]).or_else(|| text(&name["formatted"])).or_else(parts)
}

/// The address that they are written to.
fn email(said: &Value) -> Option<String> {
    let all = said["emails"].as_array()?;
    let primary = all.iter().find(|it| it["primary"] == true).or_else(|| all.first())?;
    text(&primary["value"])
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|it| !it.is_empty()).map(str::to_owned)
}

/// The name of an attribute as people read it: of a schema's URN, the end.
fn short(name: &str) -> String {
    match name.strip_prefix("urn:") {
        // `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`
        Some(urn) if urn.ends_with(":User") && urn.contains(":enterprise:") => {
            "enterprise".to_owned()
        }
        _ => name.to_owned(),
    }
}

/// A line for each attribute that is there.
pub(crate) fn flat(said: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, value) in said.as_object().into_iter().flatten() {
        // It says what the names mean, and the rest of the page says the others.
        if matches!(name.as_str(), "schemas" | "id" | "meta" | "groups" | "members") {
            continue;
        }
        match value {
            Value::Object(parts) => {
                let line = |(part, value): (&String, &Value)| {
                    (format!("{}.{part}", short(name)), plain(value))
                };
                lines.extend(parts.iter().map(line));
            }
            value => lines.push((short(name), plain(value))),
        }
    }
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

/// A value, for people: of one with parts, what it is, and in brackets what else is said of it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => {
            let main = ["displayName", "value", "display", "formatted"]
                .into_iter()
                .find_map(|name| parts.get(name).map(|value| (name, plain(value))));
            let Some((main, shown)) = main else {
                let parts = parts.iter().map(|(name, value)| format!("{name} {}", plain(value)));
                return parts.collect::<Vec<_>>().join(", ");
            };
            let also = |(name, value): (&String, &Value)| match value {
                _ if name == main || name == "$ref" => None,
                Value::Bool(true) => Some(name.clone()),
                Value::String(text) if name == "type" => Some(text.clone()),
                _ => None,
            };
            let also: Vec<_> = parts.iter().filter_map(also).collect();
            if also.is_empty() { shown } else { format!("{shown} ({})", also.join(", ")) }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_provider_says_is_told_in_lines() {
        let said = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ana@acme.test",
            "active": true,
            "title": "",
            "name": { "givenName": "Ana", "familyName": "Lima" },
            "emails": [
                { "value": "ana@acme.test", "type": "work", "primary": true },
                { "value": "ana@home.test" },
            ],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                "department": "Design",
                "manager": { "value": "7", "displayName": "Bo", "$ref": "…" },
            },
        });
        let lines = flat(&said);
        let line =
            |name: &str| lines.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
        assert_eq!(line("userName"), Some("ana@acme.test"));
        assert_eq!(line("active"), Some("true"));
        assert_eq!(line("name.familyName"), Some("Lima"));
        assert_eq!(line("emails"), Some("ana@acme.test (work, primary), ana@home.test"));
        assert_eq!(line("enterprise.department"), Some("Design"));
        assert_eq!(line("enterprise.manager"), Some("Bo"));
        assert_eq!(line("title"), None);
        assert_eq!(line("schemas"), None);
        assert_eq!(name(&said).as_deref(), Some("Ana Lima"));
        assert_eq!(email(&said).as_deref(), Some("ana@acme.test"));
    }

    #[test]
    fn people_are_looked_for_as_scim_says_it() {
        let asked = |q: &str, show: &str| Asked {
            q: q.to_owned(),
            show: show.to_owned(),
            after: String::new(),
        };
        assert_eq!(asked(" ", "").filter(), None);
        assert_eq!(asked("", "inactive").filter().as_deref(), Some("active eq false"));
        let both = asked("o\"brien", "active").filter().unwrap();
        assert!(both.starts_with(r#"(userName sw "o\"brien" or displayName sw"#), "{both}");
        assert!(both.ends_with(") and active eq true"), "{both}");
    }
}
