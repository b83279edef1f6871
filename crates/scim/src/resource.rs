//! A resource as it is kept: canonical names, right types, nothing that the server computes.
//!
//! JSON becomes a [`Resource`] in one place, admission, and only there; what holds a `Resource`
//! need not check it again. `id`, `meta`, `schemas`, a user's `groups` and a group's `members`
//! are not part of it: the first four are computed when it is answered, and memberships are rows.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::admit::{Place, check_extensions};
use crate::error::Error;
use crate::schema::{Attribute, Mutability, ResourceType};

/// The attribute that says whether a person may use the app.
pub(crate) const ACTIVE: &str = "active";
/// The client's own identifier, kept with the attributes of the base schema and before them.
pub(crate) const EXTERNAL_ID: &str = "externalId";

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

    /// The same person, who may not use the app.
    #[must_use]
    pub fn deactivated(mut self) -> Resource {
        self.0.insert("active".to_owned(), Value::Bool(false));
        self
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

    /// What a PUT makes of this resource, as far as nobody's access may depend on what a client did
    /// not mention: the new attributes, and `active` as it was if they do not say.
    ///
    /// RFC 7644 §3.5.1 leaves open what becomes of attributes that a PUT omits. They are cleared,
    /// as clients that read before they write expect; but a suspended person is not let in again
    /// because a client did not mention it.
    #[must_use]
    pub fn keeping(self, before: &Resource, resource_type: &ResourceType) -> Resource {
        match before.get(ACTIVE) {
            Some(active) => self.unless_said(ACTIVE, active, resource_type),
            None => self,
        }
    }

    /// What a PUT that does not mention `externalId` makes of this resource: it stays.
    ///
    /// `JumpCloud`'s short form of a PUT leaves it out and means nothing by it. Who means to give a
    /// person up, as rauthy does, says null.
    #[must_use]
    pub fn keeping_external_id(self, before: &Resource, resource_type: &ResourceType) -> Resource {
        match before.get(EXTERNAL_ID) {
            Some(id) => self.unless_said(EXTERNAL_ID, id, resource_type),
            None => self,
        }
    }

    /// What a POST makes of this resource: a new user is active unless the client says otherwise
    /// (RFC 7644 §3.3 lets omitted attributes take a default). Resources without the attribute
    /// stay as they are.
    #[must_use]
    pub fn beginning(self, resource_type: &ResourceType) -> Resource {
        self.unless_said(ACTIVE, &Value::Bool(true), resource_type)
    }

    fn unless_said(mut self, name: &str, value: &Value, resource_type: &ResourceType) -> Resource {
        if let (None, Some(rank)) = (self.get(name), rank(resource_type, name)) {
            insert(&mut self.0, rank, name, value.clone(), |other| {
                self::rank(resource_type, other)
            });
        }
        self
    }

    /// Sets the values of an extension, in its place.
    pub(crate) fn set_extension(
        &mut self,
        resource_type: &ResourceType,
        urn: &str,
        values: Map<String, Value>,
    ) {
        let rank_of = |name: &str| rank(resource_type, name);
        if let Some(rank) = rank_of(urn) {
            insert(&mut self.0, rank, urn, Value::Object(values), rank_of);
        }
    }

    /// Whether a PUT leaves the resource with what its extensions require. What it lacked before,
    /// because that was not required then, may go on missing; an extension that it begins is asked
    /// for all of it.
    ///
    /// # Errors
    ///
    /// `invalidValue` when a required value was there and would go, or a new extension lacks one.
    pub fn check_required(
        &self,
        before: &Resource,
        resource_type: &ResourceType,
    ) -> Result<(), Error> {
        check_extensions(Some(before), self, resource_type)
    }

    /// Whether a PUT leaves alone what may be set only once: RFC 7644 §3.5.1, "If one or more
    /// values are already set for the attribute, the input value(s) MUST match".
    ///
    /// # Errors
    ///
    /// `mutability` when an immutable attribute had a value and would have another or none.
    pub fn check_fixed(
        &self,
        before: &Resource,
        resource_type: &ResourceType,
    ) -> Result<(), Error> {
        for (place, schema) in resource_type.schemas().enumerate() {
            let values = |resource: &Resource, name: &str| match place {
                0 => resource.get(name).cloned(),
                _ => resource.get(&schema.id)?.get(name).cloned(),
            };
            for attribute in &schema.attributes {
                if attribute.mutability != Mutability::Immutable {
                    continue;
                }
                let present = values(before, &attribute.name);
                if present.is_some() && present != values(self, &attribute.name) {
                    let urn = (place > 0).then_some(schema.id.as_str());
                    return Err(Error::mutability(format!(
                        "`{}` is fixed once it has a value; delete the resource and create it anew",
                        Place { schema: urn, ..Place::top(&attribute.name) }
                    )));
                }
            }
        }
        Ok(())
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
    if name == EXTERNAL_ID {
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

/// The elements of a list, to find the one that another is the same as. Two are the same whose
/// `value` and `type` are (RFC 7643 §2.4: the pair should not occur twice), or, where there is no
/// `value`, everything they hold, with `"primary":false` as good as no `primary`.
///
/// Short lists are searched, long ones remembered by keys: a stranger's thousand values must not
/// cost a million comparisons.
pub(crate) struct Elements<'a> {
    attribute: &'a Attribute,
    list: Vec<Value>,
    places: Option<HashMap<String, usize>>,
}

impl<'a> Elements<'a> {
    /// Above this many elements, making keys is cheaper than searching.
    const SEARCHED_MAX: usize = 16;

    /// An empty list that is about to get so many elements.
    pub(crate) fn with_capacity(attribute: &'a Attribute, capacity: usize) -> Elements<'a> {
        let places = (capacity > Self::SEARCHED_MAX).then(|| HashMap::with_capacity(capacity));
        Elements { attribute, list: Vec::with_capacity(capacity), places }
    }

    /// A list that is about to get so many more.
    pub(crate) fn of(attribute: &'a Attribute, list: Vec<Value>, more: usize) -> Elements<'a> {
        let places = (list.len() + more > Self::SEARCHED_MAX).then(|| {
            // Of doubles, the first is found.
            list.iter().enumerate().rev().map(|(place, it)| (key(attribute, it), place)).collect()
        });
        Elements { attribute, list, places }
    }

    /// The element that this one is the same as.
    pub(crate) fn find(&self, element: &Value) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&key(self.attribute, element)).copied(),
            None => self.list.iter().position(|it| is_same(self.attribute, it, element)),
        }
    }

    /// Adds one that was not found.
    pub(crate) fn push(&mut self, element: Value) {
        if let Some(places) = &mut self.places {
            places.insert(key(self.attribute, &element), self.list.len());
        }
        self.list.push(element);
    }

    /// Adds an element, or completes the one that it is the same as.
    pub(crate) fn push_or_complete(&mut self, element: Value) {
        match self.find(&element) {
            Some(place) => complete_element(self.attribute, &mut self.list[place], element),
            None => self.push(element),
        }
    }

    /// An element, to change what does not make it another: its `value` and `type` stay.
    pub(crate) fn get_mut(&mut self, place: usize) -> &mut Value {
        &mut self.list[place]
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn into_list(self) -> Vec<Value> {
        self.list
    }
}

const VALUE: &str = "value";
const TYPE: &str = "type";
const PRIMARY: &str = "primary";

fn is_same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return one == other };
    if let (Some(one_value), Some(other_value)) = (one.get(VALUE), other.get(VALUE))
        && attribute.sub_attribute(VALUE).is_some()
    {
        return one_value == other_value && one.get(TYPE) == other.get(TYPE);
    }
    let within = |one: &Map<String, Value>, other: &Map<String, Value>| {
        one.iter().all(|(name, value)| {
            other.get(name) == Some(value) || (name == PRIMARY && *value == Value::Bool(false))
        })
    };
    within(one, other) && within(other, one)
}

/// Equal for elements that are the same, and only for these. Elements are canonical, so their
/// parts print in one order.
fn key(attribute: &Attribute, element: &Value) -> String {
    let Value::Object(object) = element else { return element.to_string() };
    let parts: Vec<(&String, &Value)> = match object.get_key_value(VALUE) {
        Some(value) if attribute.sub_attribute(VALUE).is_some() => {
            std::iter::once(value).chain(object.get_key_value(TYPE)).collect()
        }
        _ => object
            .iter()
            .filter(|(name, value)| *name != PRIMARY || **value != Value::Bool(false))
            .collect(),
    };
    serde_json::to_string(&parts).expect("names and values can be printed")
}

/// Gives an element the parts that only its double has. `"primary":false` says nothing new.
fn complete_element(attribute: &Attribute, element: &mut Value, double: Value) {
    let (Value::Object(element), Value::Object(double)) = (element, double) else { return };
    for (name, value) in double {
        let says_nothing = name == PRIMARY && value == Value::Bool(false);
        if !says_nothing && !element.contains_key(&name) {
            insert_part(element, &attribute.sub_attributes, &name, value);
        }
    }
}

/// Whether this element of a list is the preferred one.
pub(crate) fn is_primary(element: &Value) -> bool {
    element.get(PRIMARY) == Some(&Value::Bool(true))
}
