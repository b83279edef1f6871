//! Carrying out one operation on a resource.
//!
//! Every function here leaves the resource canonical: in order, and without anything empty.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Change, Operation, Otherwise, Parts};
use crate::admit::{Place, two_primaries};
use crate::dialect::{Quirk, Quirks};
use crate::error::Error;
use crate::filter::ValueFilter;
use crate::limit::VALUES_MAX;
use crate::resource::{self, Elements};
use crate::schema::{Attribute, Mutability, ResourceType, Schema};
use crate::text;

pub(super) fn operation(
    operation: &Operation,
    attributes: &mut Map<String, Value>,
    resource_type: &ResourceType,
    quirks: &mut Quirks,
) -> Result<(), Error> {
    let Some(urn) = &operation.extension else {
        return Table { schema: None, resource_type }.change(&operation.change, attributes, quirks);
    };
    let schema = resource_type.extension(urn).ok_or_else(|| unknown(urn))?;
    if operation.change == Change::DropExtension {
        let is_required =
            resource_type.extensions.iter().any(|it| it.required && it.schema.id == schema.id);
        if is_required {
            return Err(Error::mutability(format!("`{urn}` is required and cannot be removed")));
        }
        attributes.shift_remove(&schema.id);
        return Ok(());
    }
    let mut values = match attributes.get_mut(&schema.id) {
        Some(Value::Object(values)) => std::mem::take(values),
        _ => Map::new(),
    };
    Table { schema: Some(schema), resource_type }.change(&operation.change, &mut values, quirks)?;
    if values.is_empty() {
        attributes.shift_remove(&schema.id);
        return Ok(());
    }
    let rank_of = |name: &str| resource::rank(resource_type, name);
    let rank = rank_of(&schema.id).expect("the extension belongs to the resource type");
    resource::insert(attributes, rank, &schema.id, Value::Object(values), rank_of);
    Ok(())
}

/// The attributes among which an operation finds its own: an extension's, or the base schema's.
#[derive(Clone, Copy)]
struct Table<'a> {
    schema: Option<&'a Schema>,
    resource_type: &'a ResourceType,
}

impl<'a> Table<'a> {
    fn change(
        self,
        change: &Change,
        values: &mut Map<String, Value>,
        quirks: &mut Quirks,
    ) -> Result<(), Error> {
        match change {
            Change::DropExtension => Ok(()),
            Change::Set { attribute, value } => {
                let attribute = self.attribute(attribute)?;
                let present = values.get(&attribute.name);
                self.check_fixed(attribute, None, present, value.as_ref())?;
                self.put(values, attribute, value.clone());
                Ok(())
            }
            Change::Append { attribute, values: added } => {
                let attribute = self.attribute(attribute)?;
                let list = take_list(values, attribute);
                if attribute.mutability == Mutability::Immutable && !list.is_empty() {
                    let present = Value::Array(list);
                    let wanted = Value::Array(added.clone());
                    self.check_fixed(attribute, None, Some(&present), Some(&wanted))?;
                    self.put(values, attribute, Some(present));
                    return Ok(());
                }
                let mut elements = Elements::of(attribute, list, added.len());
                let mut primary = None;
                for element in added {
                    let place = elements.find(element);
                    if resource::is_primary(element) {
                        primary = Some(place.unwrap_or(elements.len()));
                    }
                    match place {
                        Some(place) => merge_element(attribute, elements.get_mut(place), element),
                        None => elements.push(element.clone()),
                    }
                }
                let mut list = elements.into_list();
                if let Some(primary) = primary {
                    make_primary(&mut list, primary);
                    // Those that were told apart by it alone are one now.
                    list = each_once(attribute, list);
                }
                self.put_list(values, attribute, list)
            }
            Change::Merge { attribute, filter, parts, otherwise } => {
                let attribute = self.attribute(attribute)?;
                if attribute.multi_valued {
                    let filter = filter.as_ref();
                    return self.merge_chosen(values, attribute, filter, parts, *otherwise, quirks);
                }
                let mut object = match values.get_mut(&attribute.name) {
                    Some(Value::Object(object)) => std::mem::take(object),
                    _ => Map::new(),
                };
                self.merge(attribute, &mut object, parts)?;
                self.put(values, attribute, (!object.is_empty()).then_some(Value::Object(object)));
                Ok(())
            }
            Change::Exchange { attribute, filter, value, otherwise } => {
                let attribute = self.attribute(attribute)?;
                let mut list = take_list(values, attribute);
                let mut is_found = false;
                for element in list.iter_mut().filter(|it| filter.matches_value(it)) {
                    is_found = true;
                    element.clone_from(value);
                }
                if !is_found {
                    match otherwise {
                        Otherwise::Succeed => {}
                        Otherwise::Create | Otherwise::CreateLeniently
                            if filter.matches_value(value) =>
                        {
                            note_creation(*otherwise, quirks);
                            list.push(value.clone());
                        }
                        Otherwise::Create | Otherwise::CreateLeniently | Otherwise::Refuse => {
                            return Err(self.no_target(attribute));
                        }
                    }
                }
                self.put_list(values, attribute, each_once(attribute, list))
            }
            Change::RemoveChosen { attribute, filter } => {
                let attribute = self.attribute(attribute)?;
                self.retain(values, attribute, |element| !filter.matches_value(element))
            }
            Change::RemoveNamed { attribute, values: named } => {
                let attribute = self.attribute(attribute)?;
                let named = Named::new(attribute, named);
                self.retain(values, attribute, |element| !named.means(element))
            }
        }
    }

    /// Gives parts to the chosen values of a list, or makes a value that has them.
    fn merge_chosen(
        self,
        values: &mut Map<String, Value>,
        attribute: &Attribute,
        filter: Option<&ValueFilter>,
        parts: &Parts,
        otherwise: Otherwise,
        quirks: &mut Quirks,
    ) -> Result<(), Error> {
        let mut list = take_list(values, attribute);
        let is_chosen = |element: &Value| filter.is_none_or(|it| it.matches_value(element));
        let mut chosen: Vec<usize> =
            (0..list.len()).filter(|place| is_chosen(&list[*place])).collect();
        if chosen.is_empty() {
            let gives_something = parts.iter().any(|(_, value)| value.is_some());
            match otherwise {
                Otherwise::Refuse => return Err(self.no_target(attribute)),
                Otherwise::Create | Otherwise::CreateLeniently if gives_something => {
                    note_creation(otherwise, quirks);
                    let element = self.created(attribute, filter, parts)?;
                    chosen.push(list.len());
                    list.push(element);
                }
                Otherwise::Create | Otherwise::CreateLeniently | Otherwise::Succeed => {
                    return self.put_list(values, attribute, list);
                }
            }
        }
        let makes_primary = parts
            .iter()
            .any(|(name, value)| name == "primary" && *value == Some(Value::Bool(true)));
        if makes_primary && chosen.len() > 1 {
            return Err(two_primaries(self.place(attribute)));
        }
        for place in &chosen {
            if let Value::Object(element) = &mut list[*place] {
                self.merge(attribute, element, parts)?;
            }
        }
        if let [place] = chosen[..]
            && resource::is_primary(&list[place])
        {
            make_primary(&mut list, place);
        }
        self.put_list(values, attribute, each_once(attribute, list))
    }

    /// The value that the filter describes, for an operation that found none. It must be found the
    /// next time, or every repetition would make another.
    fn created(
        self,
        attribute: &Attribute,
        filter: Option<&ValueFilter>,
        parts: &Parts,
    ) -> Result<Value, Error> {
        let terms = match filter {
            Some(filter) => filter.eq_terms().ok_or_else(|| self.no_target(attribute))?,
            None => Vec::new(),
        };
        let mut element = Map::new();
        for (name, value) in terms {
            let part = name.and_then(|name| attribute.sub_attribute(name));
            match part {
                Some(part) if !part.is_read_only() => {
                    resource::insert_part(
                        &mut element,
                        &attribute.sub_attributes,
                        &part.name,
                        value,
                    );
                }
                _ => return Err(self.no_target(attribute)),
            }
        }
        let described = Value::Object(element.clone());
        self.merge(attribute, &mut element, parts)?;
        let merged = Value::Object(element);
        if filter.is_some_and(|it| !it.matches_value(&described) || !it.matches_value(&merged)) {
            return Err(self.no_target(attribute));
        }
        Ok(merged)
    }

    /// Gives parts to one value.
    fn merge(
        self,
        attribute: &Attribute,
        object: &mut Map<String, Value>,
        parts: &Parts,
    ) -> Result<(), Error> {
        let value_before = object.get("value").cloned();
        for (name, value) in parts {
            let Some(part) = attribute.sub_attribute(name) else { continue };
            self.check_fixed(attribute, Some(part), object.get(&part.name), value.as_ref())?;
            match value {
                Some(value) => {
                    let value = value.clone();
                    resource::insert_part(object, &attribute.sub_attributes, &part.name, value);
                }
                None => {
                    object.shift_remove(&part.name);
                }
            }
        }
        // A `$ref` belongs to the `value` beside which it was sent: with a new manager's id, the
        // old one's URL would be wrong.
        if object.get("value") != value_before.as_ref()
            && value_before.is_some()
            && !parts.iter().any(|(name, _)| name == "$ref")
        {
            object.shift_remove("$ref");
        }
        Ok(())
    }

    /// RFC 7644 §3.5.2: an immutable attribute may be given a value once.
    fn check_fixed(
        self,
        attribute: &Attribute,
        part: Option<&Attribute>,
        present: Option<&Value>,
        value: Option<&Value>,
    ) -> Result<(), Error> {
        let is_fixed = part.unwrap_or(attribute).mutability == Mutability::Immutable;
        if is_fixed && present.is_some() && present != value {
            let place = self.place(attribute);
            let place = part.map_or(place, |part| place.part(&part.name));
            return Err(Error::mutability(format!(
                "`{place}` is fixed once it has a value; delete the resource and create it anew"
            )));
        }
        Ok(())
    }

    /// Keeps those values of a list.
    fn retain(
        self,
        values: &mut Map<String, Value>,
        attribute: &Attribute,
        stays: impl Fn(&Value) -> bool,
    ) -> Result<(), Error> {
        let mut list = take_list(values, attribute);
        let before = list.len();
        list.retain(stays);
        if list.is_empty() && before > 0 && attribute.required {
            return Err(Error::mutability(format!(
                "`{}` is required, and its last value cannot be removed; replace it instead",
                self.place(attribute)
            )));
        }
        if list.len() < before {
            let place = self.place(attribute);
            if attribute.mutability == Mutability::Immutable {
                return Err(Error::mutability(format!("`{place}` is fixed once it has a value")));
            }
        }
        self.put_list(values, attribute, list)
    }

    /// Sets a list, or takes it away when it is empty.
    fn put_list(
        self,
        values: &mut Map<String, Value>,
        attribute: &Attribute,
        list: Vec<Value>,
    ) -> Result<(), Error> {
        if list.len() > VALUES_MAX {
            return Err(Error::invalid_value(format!(
                "`{}` would have {} values and may have {VALUES_MAX}; remove some first",
                self.place(attribute),
                list.len()
            )));
        }
        self.put(values, attribute, (!list.is_empty()).then_some(Value::Array(list)));
        Ok(())
    }

    /// Sets a value in its place in the order, or takes it away.
    fn put(self, values: &mut Map<String, Value>, attribute: &Attribute, value: Option<Value>) {
        let Some(value) = value else {
            values.shift_remove(&attribute.name);
            return;
        };
        if let Some(schema) = self.schema {
            resource::insert_part(values, &schema.attributes, &attribute.name, value);
            return;
        }
        let rank_of = |name: &str| resource::rank(self.resource_type, name);
        if let Some(rank) = rank_of(&attribute.name) {
            resource::insert(values, rank, &attribute.name, value, rank_of);
        }
    }

    fn attribute(self, name: &str) -> Result<&'a Attribute, Error> {
        match self.schema {
            Some(schema) => schema.attribute(name),
            None => self.resource_type.attribute(name),
        }
        .ok_or_else(|| unknown(name))
    }

    fn place<'b>(self, attribute: &'b Attribute) -> Place<'b>
    where
        'a: 'b,
    {
        let schema = self.schema.map(|schema| schema.id.as_str());
        Place { schema, ..Place::top(&attribute.name) }
    }

    fn no_target(self, attribute: &Attribute) -> Error {
        let place = self.place(attribute);
        Error::no_target(format!(
            "no value of `{place}` is one that the path chooses; add the value first"
        ))
    }
}

/// Of a list whose elements were changed, those that are left with something, each once.
fn each_once(attribute: &Attribute, list: Vec<Value>) -> Vec<Value> {
    let mut elements = Elements::with_capacity(attribute, list.len());
    for element in list {
        if element.as_object().is_none_or(|object| !object.is_empty()) {
            elements.push_or_complete(element);
        }
    }
    elements.into_list()
}

fn note_creation(otherwise: Otherwise, quirks: &mut Quirks) {
    if otherwise == Otherwise::CreateLeniently {
        quirks.note(Quirk::ReplaceWithoutMatch);
    }
}

/// The patch was read with another resource type.
fn unknown(name: &str) -> Error {
    Error::invalid_path(format!("this resource has no attribute `{name}`"))
}

fn take_list(values: &mut Map<String, Value>, attribute: &Attribute) -> Vec<Value> {
    match values.get_mut(&attribute.name) {
        Some(Value::Array(list)) => std::mem::take(list),
        _ => Vec::new(),
    }
}

/// What is added again overrides what was there: `display`, `primary`. `"primary":false` says
/// nothing where there is no `primary`.
fn merge_element(attribute: &Attribute, element: &mut Value, double: &Value) {
    let (Value::Object(element), Value::Object(double)) = (element, double) else { return };
    for (name, value) in double {
        if name == "primary" && *value == Value::Bool(false) && !element.contains_key(name) {
            continue;
        }
        resource::insert_part(element, &attribute.sub_attributes, name, value.clone());
    }
}

/// RFC 7644 §3.5.2: setting one to primary "SHALL cause the server to set the value of "primary"
/// to "false" for any other values".
fn make_primary(list: &mut [Value], chosen: usize) {
    for (place, element) in list.iter_mut().enumerate() {
        if place != chosen && resource::is_primary(element) {
            element["primary"] = Value::Bool(false);
        }
    }
}

/// What the value of a `remove` names: the elements with the same `value` where one is named, for
/// providers send `display` and `type` as they please; with everything that is named otherwise.
///
/// There may be as many values as elements, so these are not compared one by one with those.
struct Named<'a> {
    attribute: &'a Attribute,
    simple: HashSet<String>,
    /// By the names of the parts that count. There are few sets of names, however many values.
    complex: HashMap<Vec<&'a str>, HashSet<String>>,
}

impl<'a> Named<'a> {
    fn new(attribute: &'a Attribute, values: &'a [Value]) -> Named<'a> {
        let mut named = Named { attribute, simple: HashSet::new(), complex: HashMap::new() };
        for value in values {
            let Value::Object(object) = value else {
                named.simple.insert(compared(attribute, value));
                continue;
            };
            let names: Vec<&str> = match object.get_key_value("value") {
                Some((name, _)) => vec![name],
                None => object.keys().map(String::as_str).collect(),
            };
            if let Some(key) = named.key(object, &names) {
                named.complex.entry(names).or_default().insert(key);
            }
        }
        named
    }

    fn means(&self, element: &Value) -> bool {
        let Value::Object(object) = element else {
            return self.simple.contains(&compared(self.attribute, element));
        };
        self.complex
            .iter()
            .any(|(names, keys)| self.key(object, names).is_some_and(|key| keys.contains(&key)))
    }

    /// These parts of an object as they are compared; `None` for one that does not have them all.
    fn key(&self, object: &Map<String, Value>, names: &[&str]) -> Option<String> {
        let mut key = String::new();
        for name in names {
            let part = self.attribute.sub_attribute(name)?;
            key.push_str(&compared(part, object.get(*name)?));
            // Stands in no JSON text, which escapes it.
            key.push('\n');
        }
        Some(key)
    }
}

/// A value as it is compared.
fn compared(attribute: &Attribute, value: &Value) -> String {
    match value {
        Value::String(text) if !attribute.case_exact => {
            Value::from(text::fold(text).as_ref()).to_string()
        }
        other => other.to_string(),
    }
}
