//! A resource as it is kept: canonical names, right types, nothing that the server computes.
//!
//! JSON becomes a [`Resource`] in one place, admission, and only there; what holds a `Resource`
//! need not check it again. `id`, `meta`, `schemas`, a user's `groups` and a group's `members`
//! are not part of it: the first four are computed when it is answered, and memberships are rows.

use serde_json::{Map, Value};

use crate::schema::ResourceType;

/// The attributes that a client wrote, canonical. Extensions stand under their URN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource(Map<String, Value>);

impl Resource {
    /// Takes attributes that are canonical already: they come from admission, or from a
    /// `Resource` that was printed and kept.
    pub(crate) fn from_canonical(attributes: Map<String, Value>) -> Resource {
        Resource(attributes)
    }

    /// Reads back what [`Resource::to_text`] printed. `None` means that the text is not a JSON
    /// object: it was kept by somebody else, or it is damaged.
    pub fn from_text(text: &str) -> Option<Resource> {
        serde_json::from_str(text).ok().map(Resource)
    }

    /// Prints the attributes as one JSON object, for keeping.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).expect("a map with text keys can be printed")
    }

    /// All attributes, in the order in which they are answered.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The attributes, to take apart or complete.
    pub fn into_attributes(self) -> Map<String, Value> {
        self.0
    }

    /// The value of a top-level attribute, by its canonical name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text of a top-level attribute, by its canonical name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The truth of a top-level attribute, by its canonical name.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// The URNs for `schemas`: the base, and each extension that has data (RFC 7643 §3). What the
    /// client listed is not consulted.
    pub fn schemas<'a>(&self, resource_type: &'a ResourceType) -> Vec<&'a str> {
        resource_type
            .schemas()
            .enumerate()
            .filter(|(place, schema)| *place == 0 || self.0.contains_key(&schema.id))
            .map(|(_, schema)| schema.id.as_str())
            .collect()
    }
}
