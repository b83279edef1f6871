//! A resource as it is kept: canonical names, right types, nothing that the server computes.
//!
//! JSON becomes a [`Resource`] in one place, admission, and only there; what holds a `Resource`
//! need not check it again. `id`, `meta`, `schemas`, a user's `groups` and a group's `members`
//! are not part of it: the first four are computed when it is answered, and memberships are rows.

use serde_json::{Map, Value};

use crate::schema::{Attribute, ResourceType};

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

    /// What a PUT makes of this resource: the new attributes, and `active` as it was if they do
    /// not say.
    ///
    /// RFC 7644 §3.5.1 leaves open what becomes of attributes that a PUT omits. They are cleared,
    /// as clients that read before they write expect; but a suspended person is not let in again
    /// because a client did not mention it.
    #[must_use]
    pub fn keeping(mut self, before: &Resource, resource_type: &ResourceType) -> Resource {
        const ACTIVE: &str = "active";
        if let (None, Some(active), Some(rank)) =
            (self.get(ACTIVE), before.get(ACTIVE), rank(resource_type, ACTIVE))
        {
            let active = active.clone();
            insert(&mut self.0, rank, ACTIVE, active, |name| self::rank(resource_type, name));
        }
        self
    }
}

/// The place of the attribute of this name, in whatever case it is written.
pub(crate) fn position(attributes: &[Attribute], name: &str) -> Option<usize> {
    attributes.iter().position(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// Where a name of a canonical resource stands in its order: `externalId`, the base schema, the
/// extensions.
pub(crate) fn rank(resource_type: &ResourceType, name: &str) -> Option<usize> {
    let base = &resource_type.schema.attributes;
    if name == "externalId" {
        return Some(0);
    }
    if let Some(place) = base.iter().position(|attribute| attribute.name == name) {
        return Some(1 + place);
    }
    let place = resource_type.extensions.iter().position(|it| it.schema.id == name)?;
    Some(1 + base.len() + place)
}

/// Sets one value of an object and keeps the object's order, which `rank_of` gives. A name that
/// `rank_of` does not know belongs to a schema that is gone, and stays behind all others.
pub(crate) fn insert(
    object: &mut Map<String, Value>,
    rank: usize,
    name: &str,
    value: Value,
    rank_of: impl Fn(&str) -> Option<usize>,
) {
    if let Some(present) = object.get_mut(name) {
        *present = value;
        return;
    }
    let place = object
        .keys()
        .position(|other| rank_of(other).is_none_or(|other| other > rank))
        .unwrap_or(object.len());
    object.shift_insert(place, name.to_owned(), value);
}

/// Sets one attribute of an extension, or one part of a complex value, in the order of `table`.
pub(crate) fn insert_part(
    object: &mut Map<String, Value>,
    table: &[Attribute],
    name: &str,
    value: Value,
) {
    if let Some(rank) = position(table, name) {
        insert(object, rank, &table[rank].name, value, |other| position(table, other));
    }
}

/// Whether two elements of a list are one and the same: those with a `value` by `value` and
/// `type` (RFC 7643 §2.4: the pair should not occur twice), others by everything they hold, where
/// `"primary":false` is the same as no `primary`.
pub(crate) fn is_same_element(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return one == other };
    let value = attribute.sub_attribute("value").map(|it| it.name.as_str());
    if let Some(value) = value
        && one.contains_key(value)
        && other.contains_key(value)
    {
        return one.get(value) == other.get(value) && one.get("type") == other.get("type");
    }
    let within = |one: &Map<String, Value>, other: &Map<String, Value>| {
        one.iter().all(|(name, value)| {
            other.get(name) == Some(value) || (name == "primary" && *value == Value::Bool(false))
        })
    };
    within(one, other) && within(other, one)
}

/// Gives an element the parts that only its double has. `"primary":false` says nothing new.
pub(crate) fn complete_element(attribute: &Attribute, element: &mut Value, double: Value) {
    let (Value::Object(element), Value::Object(double)) = (element, double) else { return };
    for (name, value) in double {
        let says_nothing = name == "primary" && value == Value::Bool(false);
        if !says_nothing && !element.contains_key(&name) {
            insert_part(element, &attribute.sub_attributes, &name, value);
        }
    }
}

/// Whether this element of a list is the preferred one.
pub(crate) fn is_primary(element: &Value) -> bool {
    element.get("primary") == Some(&Value::Bool(true))
}
