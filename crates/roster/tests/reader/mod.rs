//! What an app knows that has read nothing but the feed, and what SCIM shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::server::Caller;

/// Resources of a page: little, so that there are many pages.
const PAGE: usize = 97;

/// A directory: people with what is said of them, groups with what is said of them and who
/// belongs to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picture {
    /// By id.
    pub(crate) users: BTreeMap<String, Map<String, Value>>,
    /// By id.
    pub(crate) groups: BTreeMap<String, (Map<String, Value>, Members)>,
}

/// Id and kind.
pub(crate) type Members = BTreeSet<(String, String)>;

/// Reads the feed of one directory, and keeps what it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    pub(crate) picture: Picture,
    /// How many events there were.
    pub(crate) number: u64,
    pub(crate) cursor: Option<String>,
}

impl Reader {
    /// Reads on from where it stopped until there is no more, with a check of every number.
    pub(crate) async fn read_on(&mut self, api: &mut Caller, directory_id: &str, limit: usize) {
        loop {
            let mut path = format!("/api/v1/events?directory_id={directory_id}&limit={limit}");
            if let Some(cursor) = &self.cursor {
                path.push_str("&after=");
                path.push_str(cursor);
            }
            let page = api.get(&path).await;
            for event in page["data"].as_array().expect("events are a list") {
                self.number += 1;
                assert_eq!(event["number"], self.number, "events are numbered without gaps");
                assert_eq!(event["directory_id"], directory_id);
                self.take(text(&event["type"]), &event["data"]);
            }
            self.cursor = Some(text(&page["next"]).to_owned());
            if page["has_more"] == false {
                return;
            }
        }
    }

    /// Folds one event in. What it presumes must be so: nobody is created twice, and nothing
    /// happens to who is not there.
    pub(crate) fn take(&mut self, kind: &str, data: &Value) {
        let Picture { users, groups } = &mut self.picture;
        let subject = |name: &str| {
            let mut attributes = data[name].as_object().expect("it is told whole").clone();
            let id = attributes.shift_remove("id").expect("it has an id");
            (text(&id).to_owned(), attributes)
        };
        let member = || {
            let member = &data["member"];
            (text(&member["value"]).to_owned(), text(&member["type"]).to_owned())
        };
        match kind {
            "directory.created" | "directory.token.created" | "directory.token.revoked" => {}
            kind if kind.starts_with("directory.hold.") => {}
            "directory.user.created" => {
                let (id, attributes) = subject("user");
                assert_eq!(users.insert(id, attributes), None, "{data}");
            }
            "directory.user.updated"
            | "directory.user.deactivated"
            | "directory.user.reactivated" => {
                let (id, attributes) = subject("user");
                let before = users.insert(id, attributes.clone()).expect("they were there");
                assert_ne!(before, attributes, "something changed: {data}");
            }
            "directory.user.deleted" => {
                let (id, attributes) = subject("user");
                assert_eq!(users.remove(&id), Some(attributes), "{data}");
            }
            "directory.group.created" => {
                let (id, attributes) = subject("group");
                let before = groups.insert(id, (attributes, Members::new()));
                assert_eq!(before, None, "{data}");
            }
            "directory.group.updated" => {
                let (id, attributes) = subject("group");
                let (before, _) = groups.get_mut(&id).expect("it was there");
                assert_ne!(*before, attributes, "something changed: {data}");
                *before = attributes;
            }
            "directory.group.deleted" => {
                let (id, attributes) = subject("group");
                let left = groups.remove(&id);
                assert_eq!(left, Some((attributes, Members::new())), "everybody left before");
            }
            "directory.group.member_added" => {
                let (id, _) = subject("group");
                let (_, members) = groups.get_mut(&id).expect("it is there");
                assert!(members.insert(member()), "nobody is added twice: {data}");
            }
            "directory.group.member_removed" => {
                let (id, _) = subject("group");
                let (_, members) = groups.get_mut(&id).expect("it is there");
                assert!(members.remove(&member()), "who leaves was there: {data}");
            }
            other => panic!("the kind {other}"),
        }
    }
}

/// The whole directory as SCIM lists it, page by page.
pub(crate) async fn shown(scim: &mut Caller) -> Picture {
    let mut picture = Picture::default();
    for user in list(scim, "/Users").await {
        let (id, mut attributes) = said(user);
        attributes.shift_remove("groups");
        picture.users.insert(id, attributes);
    }
    for group in list(scim, "/Groups").await {
        let (id, mut attributes) = said(group);
        let members = attributes.shift_remove("members").expect("it always stands there");
        let members =
            members.as_array().expect("it is a list").iter().map(|member| {
                (text(&member["value"]).to_owned(), text(&member["type"]).to_owned())
            });
        picture.groups.insert(id, (attributes, members.collect()));
    }
    picture
}

async fn list(scim: &mut Caller, path: &str) -> Vec<Value> {
    let mut resources = Vec::new();
    loop {
        let start = resources.len() + 1;
        let mut page = scim.get(&format!("{path}?startIndex={start}&count={PAGE}")).await;
        if let Some(Value::Array(found)) = page.get_mut("Resources") {
            resources.append(found);
        }
        let total = page["totalResults"].as_u64().expect("it is a number");
        if resources.len() as u64 >= total {
            return resources;
        }
        assert!(resources.len() >= start, "a page before the end has something on it: {page}");
    }
}

/// The id, and what the provider said.
fn said(resource: Value) -> (String, Map<String, Value>) {
    let Value::Object(mut attributes) = resource else { panic!("{resource} is no resource") };
    let id = attributes.shift_remove("id").expect("it has an id");
    attributes.shift_remove("meta").expect("it has them");
    attributes.shift_remove("schemas").expect("it has them");
    (text(&id).to_owned(), attributes)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
