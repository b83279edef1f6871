//! The groups of a connection: found, and one of them with its people.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use directory::ResourceId;
use serde::Deserialize;
use serde_json::Value;
use store::GroupRecord;

use super::connection::Connection;
use super::live::Live;
use super::people::{PAGE, Row as Person};
use crate::api::users::{filter, searched};
use crate::pages::parts::{Copyable, Frame, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, page};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "directory/groups.html")]
pub(crate) struct GroupsPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    /// The beginning of a name that is looked for.
    pub(crate) wanted: String,
    pub(crate) groups: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
}

/// A group, in a list.
pub(crate) struct Row {
    /// Of its page.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) members: u64,
    pub(crate) changed_at: When,
}

impl Row {
    fn new(group: &GroupRecord, connection: &str) -> Row {
        let said: Value = serde_json::from_str(&group.text).unwrap_or_default();
        let name = said["displayName"].as_str().unwrap_or_default();
        Row {
            address: format!("{connection}/groups/{}", group.id),
            name: name.to_owned(),
            members: group.member_count,
            changed_at: When(group.modified_at),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    after: String,
}

impl Asked {
    /// The same question, from a place on.
    fn address(&self, after: &str) -> String {
        with_query("/groups", [("q", self.q.trim()), ("after", after)])
    }
}

/// `GET …/groups`.
pub(super) async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let store = visitor.open().await?;
    let resource_type = Arc::clone(store.types().group());
    let q = asked.q.trim();
    let begins = (!q.is_empty()).then(|| format!("displayName sw {}", Value::from(q)));
    let (found, next) = match filter([], begins, &resource_type)? {
        None => {
            let after = asked.after.parse::<u32>().unwrap_or_default();
            let found = store.groups_after(after.into(), PAGE).await?;
            (found.items, found.next.map(|ordinal| ordinal.to_string()))
        }
        Some(begins) => {
            let base = visitor.counter.settings.directory_base_url(store.id());
            let after = (!asked.after.is_empty()).then(|| asked.after.clone());
            let found = store.groups(searched(begins, resource_type, base, PAGE, after)).await?;
            (found.items, found.next)
        }
    };
    let groups = found.iter().map(|group| Row::new(group, &connection.address)).collect();
    let live = Live::of_one(connection, &asked.address(&asked.after));
    let next = next.map(|after| format!("{}{}", connection.address, asked.address(&after)));
    let wanted = q.to_owned();
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&GroupsPage { frame, reader, connection, live, wanted, groups, next }))
}

#[derive(Template)]
#[template(path = "directory/group.html")]
pub(crate) struct Group {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) id: Copyable,
    pub(crate) row: Row,
    pub(crate) created_at: When,
    /// The identifier that the provider has for it.
    pub(crate) external_id: Option<String>,
    pub(crate) people: Vec<Person>,
    /// Where its people go on.
    pub(crate) next: Option<String>,
}

/// `GET …/groups/{group}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, group)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let store = visitor.open().await?;
    let unknown = || Stop::from(Problem::not_found("group"));
    let id = ResourceId::parse(&group).ok_or_else(unknown)?;
    let group = store.group(id, false).await?.ok_or_else(unknown)?;
    let of_it = format!("groups.value eq \"{}\"", group.id);
    let (found, next) = visitor.found(&store, Some(of_it), &asked.after).await?;
    let address = visitor.connection.address.clone();
    let page_of = format!("/groups/{}", group.id);
    let from = |after: &str| with_query(&page_of, [("after", after)]);
    let said: Value = serde_json::from_str(&group.text).unwrap_or_default();
    let live = Live::of_one(connection, &from(&asked.after));
    let next = next.map(|after| format!("{address}{}", from(&after)));
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&Group {
        frame,
        reader,
        live,
        id: Copyable::new("group-id", group.id.to_string()),
        row: Row::new(&group, &address),
        created_at: When(group.created_at),
        external_id: said["externalId"].as_str().map(str::to_owned),
        people: found.iter().map(|user| Person::new(user, &address)).collect(),
        next,
        connection,
    }))
}
