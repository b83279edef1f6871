//! Whom and what a request was about, and by which names it can be found.
//!
//! A name is kept as a digest, so that a log in which people are masked can be searched by whole names
//! and read by nobody.

use scim::text::fold;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Seen;
use super::redact::decoded;
use crate::secret::hex;

/// Names by which one request is found. A group of more members is found by the first of them.
pub const SUBJECTS_MAX: usize = 200;

/// What a path names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place<'a> {
    /// `/Users`.
    Users,
    /// `/Users/{id}`.
    User(&'a str),
    /// `/Groups`.
    Groups,
    /// `/Groups/{id}`.
    Group(&'a str),
    /// `/Bulk`.
    Bulk,
    /// `/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas`, and what is below them.
    Discovery(&'a str),
    /// Anything else.
    #[default]
    Other,
}

impl Place<'_> {
    /// Reads it, wherever the base URL ends.
    pub fn read(path: &str) -> Place<'_> {
        let mut parts = path.rsplit('/').filter(|it| !it.is_empty());
        let (Some(last), before) = (parts.next(), parts.next()) else { return Place::Other };
        match (before, last) {
            (_, "Users") | (Some("Users"), ".search") => Place::Users,
            (_, "Groups") | (Some("Groups"), ".search") => Place::Groups,
            (_, "Bulk") => Place::Bulk,
            (Some("Users"), id) => Place::User(id),
            (Some("Groups"), id) => Place::Group(id),
            (_, it @ ("ServiceProviderConfig" | "ResourceTypes" | "Schemas")) => {
                Place::Discovery(it)
            }
            (Some(it @ ("ResourceTypes" | "Schemas")), _) => Place::Discovery(it),
            _ => Place::Other,
        }
    }

    fn is_of_groups(self) -> bool {
        matches!(self, Place::Groups | Place::Group(_))
    }

    fn id(self) -> Option<String> {
        match self {
            Place::User(id) | Place::Group(id) => Some(decoded(id).into_owned()),
            _ => None,
        }
    }
}

/// The name by which requests about a person, or about a group, are found: of an id, a `userName`, an
/// `externalId` or a `displayName`.
pub fn subject(is_group: bool, name: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(if is_group { b"group\0".as_slice() } else { b"person\0" });
    digest.update(fold(name).as_bytes());
    hex(&digest.finalize()[..12])
}

/// The names that a filter compares with `eq`: attribute and value.
pub fn filtered(query: Option<&str>) -> Vec<(String, String)> {
    let filter = query.into_iter().flat_map(|query| query.split('&')).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("filter").then(|| decoded(&value.replace('+', " ")).into_owned())
    });
    let Some(filter) = filter else { return Vec::new() };
    let mut found = Vec::new();
    let mut rest = filter.as_str();
    while let Some(at) = rest.to_ascii_lowercase().find(" eq ") {
        let attribute = rest[..at].rsplit([' ', '(', '[']).next().unwrap_or_default().to_owned();
        let value = rest[at + 4..].trim_start();
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            let end = end_of_quoted(quoted);
            (quoted[..end].replace("\\\"", "\""), &quoted[end..])
        } else {
            let end = value.find([' ', ')', ']']).unwrap_or(value.len());
            (value[..end].to_owned(), &value[end..])
        };
        found.push((attribute, value));
        rest = after;
    }
    found
}

fn end_of_quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, it) in text.char_indices() {
        match it {
            '"' if !is_escaped => return at,
            _ => is_escaped = it == '\\' && !is_escaped,
        }
    }
    text.len()
}

/// Names, each once.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn add(&mut self, is_group: bool, name: &str) {
        if self.0.len() >= SUBJECTS_MAX || name.is_empty() {
            return;
        }
        let name = subject(is_group, name);
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    fn add_filter(&mut self, is_of_groups: bool, query: Option<&str>) {
        for (attribute, value) in filtered(query) {
            let attribute = attribute.to_ascii_lowercase();
            match attribute.rsplit(':').next().unwrap_or_default() {
                "username" => self.add(false, &value),
                "id" | "externalid" => self.add(is_of_groups, &value),
                "displayname" if is_of_groups => self.add(true, &value),
                "members" | "members.value" | "value" if is_of_groups => self.add(false, &value),
                _ => {}
            }
        }
    }

    fn add_resource(&mut self, is_group: bool, resource: &Value) {
        let Some(resource) = resource.as_object() else { return };
        for (name, value) in resource {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("id" | "externalid", Value::String(value)) => self.add(is_group, value),
                ("username", Value::String(value)) if !is_group => self.add(false, value),
                ("displayname", Value::String(value)) if is_group => self.add(true, value),
                ("members", value) if is_group => self.add_members(value),
                _ => {}
            }
        }
    }

    fn add_members(&mut self, members: &Value) {
        let list = members.as_array().map_or(std::slice::from_ref(members), Vec::as_slice);
        for member in list {
            let is_group =
                member["type"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("group"));
            if let Some(value) = member.as_str().or_else(|| member["value"].as_str()) {
                self.add(is_group, value);
            }
        }
    }

    fn add_patch(&mut self, is_group: bool, patch: &Value) {
        let operations = patch["Operations"].as_array().or_else(|| patch.as_array());
        for operation in operations.into_iter().flatten() {
            let path = operation["path"].as_str().unwrap_or_default();
            let value = &operation["value"];
            match path.to_ascii_lowercase().as_str() {
                "" => self.add_resource(is_group, value),
                "members" if is_group => match value.get("members") {
                    Some(members) => self.add_members(members),
                    None => self.add_members(value),
                },
                name @ ("username" | "externalid" | "displayname") => {
                    let resource = serde_json::json!({ name: value });
                    self.add_resource(is_group, &resource);
                }
                _ if is_group => self.add_filter(true, Some(&format!("filter={path}"))),
                _ => {}
            }
        }
    }

    fn add_bulk(&mut self, body: &Value) {
        for operation in body["Operations"].as_array().into_iter().flatten() {
            let path = operation["path"].as_str().unwrap_or_default();
            let place = Place::read(path);
            if let Some(id) = place.id() {
                self.add(place.is_of_groups(), &id);
            }
            let data = &operation["data"];
            let is_patch =
                operation["method"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("patch"));
            if is_patch {
                self.add_patch(place.is_of_groups(), data);
            } else {
                self.add_resource(place.is_of_groups(), data);
            }
        }
    }
}

/// Whom and what a request was about.
pub(super) fn of(seen: &Seen<'_>, place: &Place<'_>, body: Option<&Value>) -> Vec<String> {
    let is_of_groups = place.is_of_groups();
    let mut names = Names::default();
    if let Some(id) = place.id() {
        names.add(is_of_groups, &id);
    }
    if let Some(id) =
        seen.location.filter(|_| seen.method == "POST").and_then(|it| Place::read(it).id())
    {
        names.add(is_of_groups, &id);
    }
    names.add_filter(is_of_groups, seen.query);
    match (body, place) {
        (Some(body), Place::Bulk) => names.add_bulk(body),
        (Some(body), _) if seen.method == "PATCH" => names.add_patch(is_of_groups, body),
        (Some(body), _) => names.add_resource(is_of_groups, body),
        (None, _) => {}
    }
    names.0
}

/// Whom or what it was meant to change.
pub(super) fn targets(seen: &Seen<'_>, place: &Place<'_>, body: Option<&Value>) -> Vec<String> {
    if seen.is_read() {
        return Vec::new();
    }
    let mut names = Names::default();
    match (place.id(), body) {
        (Some(id), _) => names.add(place.is_of_groups(), &id),
        (None, Some(Value::Object(body))) if matches!(place, Place::Users | Place::Groups) => {
            let mut body = body.clone();
            body.retain(|name, _| !name.eq_ignore_ascii_case("members"));
            names.add_resource(place.is_of_groups(), &Value::Object(body));
        }
        _ => {}
    }
    names.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_whom_it_looks_for() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            let found = filtered(Some(query));
            let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(found, expected, "{query}");
        };
        check("filter=userName%20eq%20%22ana%40x%22&count=1", &[("userName", "ana@x")]);
        check("filter=userName+eq+%22zo%C3%AB+%5C%22z%5C%22%22", &[("userName", "zoë \"z\"")]);
        check("filter=id+eq+%221%22+and+manager+eq+%222%22", &[("id", "1"), ("manager", "2")]);
        check("filter=externalId%20EQ%20abc", &[("externalId", "abc")]);
        check("startIndex=1", &[]);
    }

    #[test]
    fn a_path_names_a_place_wherever_the_base_url_ends() {
        for (path, expected) in [
            ("/scim/v2/dir-1/Users", Place::Users),
            ("/Users/7", Place::User("7")),
            ("/scim/v2//Groups/7/", Place::Group("7")),
            ("/scim/v2/Users/.search", Place::Users),
            ("/scim/v2/Schemas/urn:a", Place::Discovery("Schemas")),
            ("/scim/v2/nonsense", Place::Other),
        ] {
            assert_eq!(Place::read(path), expected, "{path}");
        }
    }
}
