//! The groups of a connection: found, and one of them with its people.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use directory::{PortalFeature, ResourceId};
use serde::Deserialize;
use serde_json::Value;
use store::{DirectoryStore, GroupRecord};

use super::connection::Connection;
use super::live::Live;
use super::people::{
    self, EVENTS, EXPORTED_AT_ONCE, Happened, PAGE, Row as Person, Wanted, What, bound, order,
    pieces,
};
use crate::api::users::{filter, listed};
use crate::pages::parts::{Copyable, Frame, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, page};
use crate::problem::Problem;
use crate::table;

#[derive(Template)]
#[template(path = "directory/groups.html")]
pub(crate) struct GroupsPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) asked: Asked,
    pub(crate) groups: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
    /// Where all of them are as a table for spreadsheets.
    pub(crate) table: String,
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

/// Which groups are looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// The beginning of a name.
    pub(crate) q: String,
    /// `name`, `-name`, `changed`; otherwise as they came.
    pub(crate) sort: String,
    pub(crate) after: String,
}

impl Asked {
    /// The same question, from a place on.
    fn address(&self, page: &str, after: &str) -> String {
        with_query(page, [("q", self.q.trim()), ("sort", &self.sort), ("after", after)])
    }

    fn wanted(&self) -> Wanted {
        let q = self.q.trim();
        Wanted {
            filter: (!q.is_empty()).then(|| format!("displayName sw {}", Value::from(q))),
            order: order(&self.sort, "displayName"),
        }
    }
}

/// Some groups that are wanted, and where more of them are.
async fn found(
    store: &DirectoryStore,
    base: String,
    wanted: Wanted,
    after: &str,
    most: u64,
) -> Result<(Vec<GroupRecord>, Option<String>), Stop> {
    let kind = Arc::clone(store.types().group());
    let filter = filter([], wanted.filter, &kind)?;
    let order = bound(wanted.order, &kind);
    if filter.is_none() && order.is_none() {
        let after = after.parse::<u32>().unwrap_or_default();
        let found = store.groups_after(after.into(), most).await?;
        return Ok((found.items, found.next.map(|ordinal| ordinal.to_string())));
    }
    let after = (!after.is_empty()).then(|| after.to_owned());
    let found = store.groups(listed((filter, order), kind, base, most, after)).await?;
    Ok((found.items, found.next))
}

/// `GET …/groups`.
pub(super) async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let store = visitor.open().await?;
    let base = visitor.counter.settings.directory_base_url(store.id());
    let (found, next) = found(&store, base, asked.wanted(), &asked.after, PAGE).await?;
    let groups = found.iter().map(|group| Row::new(group, &connection.address)).collect();
    let live = Live::of_one(connection, &asked.address("/groups", &asked.after));
    let address =
        |page, after: &str| format!("{}{}", connection.address, asked.address(page, after));
    let next = next.map(|after| address("/groups", &after));
    let table = address("/groups.csv", "");
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&GroupsPage { frame, reader, connection, live, asked, groups, next, table }))
}

/// `GET …/groups.csv`: all that are looked for, for a spreadsheet.
pub(super) async fn table(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    const COLUMNS: [&str; 6] = ["id", "name", "external_id", "members", "created_at", "changed_at"];

    let store = visitor.open().await?;
    let base = visitor.counter.settings.directory_base_url(store.id());
    let wanted = asked.wanted();
    // What cannot be read is said before the table begins.
    filter([], wanted.filter.clone(), store.types().group())?;
    let mut head = String::new();
    table::write_row(&mut head, COLUMNS);
    let piece = move |after: Option<String>| {
        let (store, base, wanted) = (store.clone(), base.clone(), wanted.clone());
        async move {
            let after = after.unwrap_or_default();
            let (groups, next) = found(&store, base, wanted, &after, EXPORTED_AT_ONCE).await?;
            let mut text = String::new();
            for group in &groups {
                let said: Value = serde_json::from_str(&group.text).unwrap_or_default();
                let text_of = |name: &str| said[name].as_str().unwrap_or_default();
                table::write_row(
                    &mut text,
                    [
                        group.id.to_string().as_str(),
                        text_of("displayName"),
                        text_of("externalId"),
                        &group.member_count.to_string(),
                        &scim::datetime::print(group.created_at),
                        &scim::datetime::print(group.modified_at),
                    ],
                );
            }
            Ok((text, next))
        }
    };
    Ok(table::answer(&format!("groups-{}.csv", visitor.connection.id), pieces(head, piece)))
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
    pub(crate) happened: Vec<Happened>,
    /// Where what happened goes on.
    pub(crate) later: Option<String>,
    /// Where requests about it are, where that may be seen.
    pub(crate) activity: Option<String>,
}

/// Which of its people, and what of that happened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedOfOne {
    after: String,
    /// The event after which what happened goes on.
    since: String,
}

/// `GET …/groups/{group}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, group)): Path<(String, String, String)>,
    Query(asked): Query<AskedOfOne>,
) -> Result<Response, Stop> {
    let store = visitor.open().await?;
    let unknown = || Stop::from(Problem::not_found("group"));
    let id = ResourceId::parse(&group).ok_or_else(unknown)?;
    let group = store.group(id, false).await?.ok_or_else(unknown)?;
    let base = visitor.counter.settings.directory_base_url(store.id());
    let filter = Some(format!("groups.value eq \"{}\"", group.id));
    let wanted = Wanted { filter, order: None };
    let (found, next) = people::found(&store, base, wanted, &asked.after, PAGE).await?;
    let address = visitor.connection.address.clone();
    let sees_requests = visitor.reader.sees(PortalFeature::Activity);
    let activity = sees_requests.then(|| format!("{address}/activity"));
    let since = asked.since.parse::<u32>().unwrap_or_default();
    let timeline = store.timeline(id, since.into(), EVENTS).await?;
    let events = timeline.events.into_iter();
    let mut happened: Vec<_> =
        events.map(|event| Happened::of_group(event, activity.as_deref())).collect();
    name_members(&store, &mut happened).await?;
    let page_of = format!("/groups/{}", group.id);
    let at = |after: &str, since: &str| with_query(&page_of, [("after", after), ("since", since)]);
    let said: Value = serde_json::from_str(&group.text).unwrap_or_default();
    let live = Live::of_one(&visitor.connection, &at(&asked.after, &asked.since));
    let next = next.map(|after| format!("{address}{}", at(&after, &asked.since)));
    let later = timeline.next.map(|number| number.to_string());
    let later = later.map(|number| format!("{address}{}", at(&asked.after, &number)));
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
        happened,
        later,
        activity: activity.map(|it| with_query(&it, [("group", group.id.to_string().as_str())])),
        connection,
    }))
}

/// Events tell members by id. Who is there still has a name.
async fn name_members(store: &DirectoryStore, happened: &mut [Happened]) -> Result<(), Stop> {
    let mut names = BTreeMap::new();
    for it in happened {
        let (What::Taken(who) | What::Dropped(who)) = &mut it.what else { continue };
        if !names.contains_key(who) {
            let known = match ResourceId::parse(who) {
                Some(id) => store.user(id, false).await?,
                None => None,
            };
            let name = known.map_or_else(|| who.clone(), |user| Person::new(&user, "").name);
            names.insert(who.clone(), name);
        }
        who.clone_from(&names[who]);
    }
    Ok(())
}
