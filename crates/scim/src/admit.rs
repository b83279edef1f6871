//! Admission: the one place where a client's JSON becomes a [`Resource`].
//!
//! Afterwards names are spelt as the schema spells them and stand in its order, values have the
//! types of their attributes, read-only values are gone, and nothing is empty: an attribute has a
//! value or is absent (RFC 7643 §2.5). Values themselves stay as they were sent; clients compare
//! what they wrote with what they read.

use std::fmt;

use serde_json::{Map, Value};

use crate::datetime;
use crate::dialect::{self, Quirk, Quirks};
use crate::error::{Error, Kind};
use crate::group::{self, Member};
use crate::limit::{STRING_BYTES_MAX, VALUES_MAX};
use crate::path::excerpt;
use crate::preset::Preset;
use crate::resource::{self, Elements, Resource};
use crate::schema::{Attribute, Extension, Mutability, ResourceType, Schema, Type, builtin};

/// What a POST or PUT body says.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The attributes that we keep.
    pub resource: Resource,
    /// The members of a group. `None`: the body does not say; `Some` and empty: nobody, for which
    /// null stands as well as an empty list (RFC 7643 §2.5).
    pub members: Option<Vec<Member>>,
    /// Whether `externalId` was mentioned, if only to say that there is none. A PUT that is silent
    /// about it keeps it.
    pub external_id_given: bool,
    /// Whether `active` was mentioned, if only to say that it has no value. A POST that is silent
    /// about it gets the default.
    pub active_given: bool,
    /// What stands in no schema, by the path at which it stood; the attributes of a schema that
    /// nobody knows each by its own path. It is no part of the resource. Of a user it is kept beside
    /// them and shown to the IT admin, who can correct a mapping or define a schema.
    pub unknown: Map<String, Value>,
    /// Whether there was a password. It is gone by now.
    pub password_given: bool,
}

/// Reads the body of a POST; that of a PUT is read by [`admit_replacement`].
///
/// Attributes that only the server sets are ignored (RFC 7644 §3.3, §3.5.1). Under
/// [`Preset::Lenient`] so are unknown ones, and types are straightened where the meaning is plain;
/// each such act is noted in `quirks`.
///
/// # Errors
///
/// `invalidSyntax` when the body is not an object, or has an attribute twice; `invalidValue` when
/// a value does not fit its attribute, a required one is missing, or a limit is passed. The
/// `detail` names the attribute.
///
/// ```
/// use scim::{Preset, ResourceType, admit::admit, dialect::Quirks};
/// use serde_json::json;
///
/// let body = json!({ "USERNAME": "ana@example.com", "active": "True", "id": "7" });
/// let mut quirks = Quirks::new();
/// let admitted = admit(body, &ResourceType::user(), Preset::Lenient, &mut quirks)?;
/// assert_eq!(admitted.resource.to_text(), r#"{"userName":"ana@example.com","active":true}"#);
/// # Ok::<(), scim::Error>(())
/// ```
pub fn admit(
    body: Value,
    resource_type: &ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Admitted, Error> {
    let admitted = admit_replacement(body, resource_type, preset, quirks)?;
    check_extensions(None, &admitted.resource, resource_type)?;
    Ok(admitted)
}

/// Reads the body of a PUT: as [`admit`] does, except that it does not ask for what extensions
/// require. Only who knows what is kept can tell what of that may go on missing:
/// [`Resource::check_required`](crate::Resource::check_required).
///
/// # Errors
///
/// Those of [`admit`].
pub fn admit_replacement(
    body: Value,
    resource_type: &ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Admitted, Error> {
    let Value::Object(given) = body else {
        return Err(Error::invalid_syntax(format!(
            "the body must be a JSON object that describes a {}, and is {}",
            resource_type.name.to_lowercase(),
            kind_of(&body),
        )));
    };
    let mut unknown = Map::new();
    let mut reader = Reader {
        preset,
        quirks,
        unknown: &mut unknown,
        unknown_is: Kind::InvalidSyntax,
        is_whole: true,
        may_lack_parts: true,
    };
    let mut password_given = false;
    let (mut external_id_given, mut active_given) = (false, false);
    let mut members = None;
    let mut schemas = None;
    let mut entries = Entries::with_capacity(given.len());
    for (name, value) in given {
        let Some(target) = Target::find(resource_type, &name) else {
            reader.set_aside(Place::top(&name), value)?;
            continue;
        };
        match target {
            Target::Attribute(_, attribute) if attribute.name == "schemas" => schemas = Some(value),
            Target::Attribute(_, attribute) if attribute.is_read_only() => {}
            Target::Attribute(_, attribute) if attribute.mutability == Mutability::WriteOnly => {
                password_given |= attribute.name == "password" && !value.is_null();
            }
            Target::Attribute(_, attribute) if group::is_members(resource_type, attribute) => {
                let read = match value {
                    Value::Null => Vec::new(),
                    value => group::read_members(value, &mut reader)?,
                };
                if members.replace(read).is_some() {
                    return Err(given_twice(&attribute.name));
                }
            }
            Target::Attribute(rank, attribute) => {
                external_id_given |= attribute.name == resource::EXTERNAL_ID;
                active_given |= attribute.name == resource::ACTIVE;
                let value = reader.value(attribute, value, Place::top(&attribute.name))?;
                entries.push((rank, canonical(name, &attribute.name), value));
            }
            Target::Extension(rank, schema) => {
                if !schema.id.eq_ignore_ascii_case(&name) {
                    reader.quirks.note(Quirk::SchemaAlias);
                }
                let value = reader.extension(schema, value)?.map(Value::Object);
                entries.push((rank, canonical(name, &schema.id), value));
            }
        }
    }
    let attributes = assemble(entries)?;
    check_schemas(schemas.as_ref(), &attributes, resource_type, &mut reader)?;
    if let Some(name) = lacking(&attributes, &resource_type.schema).next() {
        return Err(missing(Place::top(name)));
    }
    let resource = Resource::from_canonical(attributes);
    check_user_name(&resource, resource_type)?;
    Ok(Admitted { resource, members, external_id_given, active_given, unknown, password_given })
}

/// What a name at the top level of a resource stands for, with its place in the order.
pub(crate) enum Target<'a> {
    /// An attribute of the base schema, or a common one.
    Attribute(usize, &'a Attribute),
    /// The attributes of an extension.
    Extension(usize, &'a Schema),
}

impl<'a> Target<'a> {
    /// In whatever case the name is written, URNs too (RFC 7643 §2.1, RFC 7644 §3.10).
    pub(crate) fn find(resource_type: &'a ResourceType, name: &str) -> Option<Target<'a>> {
        let base = &resource_type.schema.attributes;
        if let Some(place) = resource::position(base, name) {
            return Some(Target::Attribute(1 + place, &base[place]));
        }
        if let Some(place) = resource::position(builtin::common(), name) {
            // `externalId` comes first; the others are not kept.
            return Some(Target::Attribute(0, &builtin::common()[place]));
        }
        let urn = dialect::schema_alias(name).unwrap_or(name);
        resource_type
            .extensions
            .iter()
            .position(|extension| extension.schema.id.eq_ignore_ascii_case(urn))
            .map(|place| {
                let schema = &resource_type.extensions[place].schema;
                Target::Extension(1 + base.len() + place, schema)
            })
    }
}

/// Where a value stands, for error texts: `name.givenName`,
/// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) schema: Option<&'a str>,
    pub(crate) attribute: &'a str,
    pub(crate) sub_attribute: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// An attribute of the base schema.
    pub(crate) fn top(attribute: &'a str) -> Place<'a> {
        Place { schema: None, attribute, sub_attribute: None }
    }

    /// One part of this attribute.
    pub(crate) fn part(self, name: &'a str) -> Place<'a> {
        Place { sub_attribute: Some(name), ..self }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = self.schema {
            write!(f, "{schema}:")?;
        }
        f.write_str(self.attribute)?;
        match self.sub_attribute {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

/// Attributes on their way into an object: rank, canonical name, value. `None` is an attribute
/// that was given and is unassigned.
type Entries = Vec<(usize, String, Option<Value>)>;

/// Puts attributes in the order of their ranks.
fn assemble(mut entries: Entries) -> Result<Map<String, Value>, Error> {
    entries.sort_by_key(|(rank, ..)| *rank);
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(given_twice(&pair[0].1));
    }
    let mut object = Map::with_capacity(entries.len());
    for (_, name, value) in entries {
        if let Some(value) = value {
            object.insert(name, value);
        }
    }
    Ok(object)
}

/// Keeps the client's own string where it is spelt right already, which it nearly always is.
fn canonical(sent: String, name: &str) -> String {
    if sent == name { sent } else { name.to_owned() }
}

/// Reads values according to their attributes. Admission and PATCH share it.
pub(crate) struct Reader<'a> {
    pub(crate) preset: Preset,
    pub(crate) quirks: &'a mut Quirks,
    /// What stands in no schema, by its path.
    pub(crate) unknown: &'a mut Map<String, Value>,
    /// What an unknown attribute is under [`Preset::Strict`].
    pub(crate) unknown_is: Kind,
    /// Whether a whole resource is read, and not the value of one operation. Who says everything
    /// and marks two values as primary has filled in a form; who changes one and marks two
    /// contradicts themselves.
    pub(crate) is_whole: bool,
    /// Whether it is asked later what parts the values of extensions require ([`check_extensions`]).
    pub(crate) may_lack_parts: bool,
}

impl Reader<'_> {
    /// Whether we forgive; if so, what we forgave is noted.
    pub(crate) fn forgives(&mut self, quirk: Quirk) -> bool {
        let lenient = self.preset == Preset::Lenient;
        if lenient {
            self.quirks.note(quirk);
        }
        lenient
    }

    /// Takes note of an attribute of no schema.
    pub(crate) fn set_aside(&mut self, place: Place<'_>, value: Value) -> Result<(), Error> {
        if !self.forgives(Quirk::UnknownAttribute) {
            return Err(Error::bad(
                self.unknown_is,
                format!(
                    "no schema of this resource has an attribute `{}`; remove it from the \
                     attribute mapping or correct its name",
                    excerpt(&place.to_string())
                ),
            ));
        }
        // Of the same part of many list elements one is example enough; of several operations, the
        // last one holds.
        match value {
            // The attributes of a schema that nobody knows, each by its own path.
            Value::Object(parts) if place.schema.is_none() && is_urn(place) => {
                for (part, value) in parts {
                    self.unknown.insert(format!("{place}:{part}"), value);
                }
            }
            value => {
                self.unknown.insert(place.to_string(), value);
            }
        }
        Ok(())
    }

    /// The value of an attribute, list or not; `None` when it is unassigned.
    pub(crate) fn value(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Option<Value>, Error> {
        if attribute.multi_valued {
            let list = self.list(attribute, value, place)?;
            return Ok((!list.is_empty()).then_some(Value::Array(list)));
        }
        self.single(attribute, value, place)
    }

    /// The values of a multi-valued attribute: each once, at most one of them primary.
    pub(crate) fn list(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Vec<Value>, Error> {
        let values = match value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(values) => values,
            Value::String(text) if text.is_empty() && self.forgives(Quirk::EmptyText) => {
                return Ok(Vec::new());
            }
            one if self.forgives(Quirk::SingleForList) => vec![one],
            other => return Err(misfit(place, "a list", &other)),
        };
        if values.len() > VALUES_MAX {
            return Err(Error::invalid_value(format!(
                "`{place}` has {} values and may have {VALUES_MAX}; send fewer",
                values.len()
            )));
        }
        let mut elements = Elements::with_capacity(attribute, values.len());
        for value in values {
            if let Some(element) = self.single(attribute, value, place)? {
                elements.push_or_complete(element);
            }
        }
        let mut list = elements.into_list();
        let mut primaries = list.iter_mut().filter(|element| resource::is_primary(element)).skip(1);
        if let Some(second) = primaries.next() {
            if !self.is_whole || !self.forgives(Quirk::PrimaryTwice) {
                return Err(two_primaries(place));
            }
            second["primary"] = Value::Bool(false);
            primaries.for_each(|other| other["primary"] = Value::Bool(false));
            // Those that were told apart by it alone are one now.
            let mut elements = Elements::with_capacity(attribute, list.len());
            for element in list {
                elements.push_or_complete(element);
            }
            list = elements.into_list();
        }
        Ok(list)
    }

    /// One value: of a single-valued attribute, or one element of a list.
    pub(crate) fn single(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Option<Value>, Error> {
        let value = match value {
            Value::Null => return Ok(None),
            Value::String(text) if text.is_empty() && self.forgives(Quirk::EmptyText) => {
                return Ok(None);
            }
            Value::Array(values) if !attribute.multi_valued => {
                let mut values = values.into_iter();
                match (values.next(), values.next()) {
                    (None, _) => return Ok(None),
                    (Some(Value::Array(_)), _) => {
                        return Err(misfit(place, expected(attribute.kind), &Value::Array(vec![])));
                    }
                    (Some(only), None) if self.forgives(Quirk::ListForSingle) => {
                        return self.single(attribute, only, place);
                    }
                    _ => {
                        return Err(Error::invalid_value(format!(
                            "`{place}` holds one value and got a list; send the value itself"
                        )));
                    }
                }
            }
            other => other,
        };
        match attribute.kind {
            Type::Complex => {
                let object = self.complex(attribute, value, place)?;
                Ok((!object.is_empty()).then_some(Value::Object(object)))
            }
            kind => self.simple(kind, value, place).map(Some),
        }
    }

    /// A value that is not complex.
    fn simple(&mut self, kind: Type, value: Value, place: Place<'_>) -> Result<Value, Error> {
        let value = match (kind, value) {
            (Type::Boolean, Value::String(text)) => match dialect::boolean_in_text(&text) {
                Some(flag) if self.forgives(Quirk::BooleanText) => Value::Bool(flag),
                _ => return Err(misfit(place, expected(kind), &Value::String(text))),
            },
            (Type::Integer, Value::String(text)) => match text.parse::<i64>() {
                Ok(number) if self.forgives(Quirk::IntegerText) => number.into(),
                _ => return Err(misfit(place, expected(kind), &Value::String(text))),
            },
            (Type::String, Value::Number(number)) if self.forgives(Quirk::NumberForText) => {
                number.to_string().into()
            }
            (_, value) => value,
        };
        if let Value::String(text) = &value
            && text.len() > STRING_BYTES_MAX
        {
            return Err(Error::invalid_value(format!(
                "`{place}` has {} bytes and may have {STRING_BYTES_MAX}; send a shorter value",
                text.len()
            )));
        }
        let fits = match (kind, &value) {
            (Type::String, Value::String(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::Decimal, Value::Number(_)) => true,
            (Type::Integer, Value::Number(number)) => number.is_i64(),
            (Type::DateTime, Value::String(text)) => datetime::parse(text).is_some(),
            (Type::Binary, Value::String(text)) => is_base64(text),
            // Providers send what people typed as their profile page; only its being text matters
            // to anybody.
            (Type::Reference, Value::String(text)) => {
                self.preset == Preset::Lenient
                    || !text.contains(|c: char| c.is_whitespace() || c.is_control())
            }
            _ => false,
        };
        if fits { Ok(value) } else { Err(misfit(place, expected(kind), &value)) }
    }

    /// The parts of a complex value; empty when none has a value.
    pub(crate) fn complex(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Map<String, Value>, Error> {
        let given = match value {
            Value::Null => return Ok(Map::new()),
            Value::Object(given) => given,
            Value::String(text) if attribute.sub_attribute("value").is_some() => {
                if place.schema.is_none()
                    && attribute.name == "roles"
                    && let Some(role) = dialect::role_in_text(&text)
                    && self.forgives(Quirk::RoleInText)
                {
                    role
                } else if self.forgives(Quirk::TextForObject) {
                    Map::from_iter([("value".to_owned(), Value::String(text))])
                } else {
                    return Err(misfit(place, expected(Type::Complex), &Value::String(text)));
                }
            }
            other => return Err(misfit(place, expected(Type::Complex), &other)),
        };
        let parts = &attribute.sub_attributes;
        let mut entries = Entries::with_capacity(given.len());
        for (name, value) in given {
            let Some(rank) = resource::position(parts, &name) else {
                self.set_aside(place.part(&name), value)?;
                continue;
            };
            if matches!(parts[rank].mutability, Mutability::ReadOnly | Mutability::WriteOnly) {
                continue;
            }
            let value = self.value(&parts[rank], value, place.part(&parts[rank].name))?;
            entries.push((rank, canonical(name, &parts[rank].name), value));
        }
        let object = assemble(entries)?;
        let is_asked_later = self.may_lack_parts && place.schema.is_some();
        if !object.is_empty() && !is_asked_later {
            for part in parts.iter().filter(|part| part.is_to_be_given()) {
                if is_blank(object.get(&part.name)) {
                    return Err(missing(place.part(&part.name)));
                }
            }
        }
        Ok(object)
    }

    /// The attributes of an extension; `None` when none has a value.
    pub(crate) fn extension(
        &mut self,
        schema: &Schema,
        value: Value,
    ) -> Result<Option<Map<String, Value>>, Error> {
        let given = match value {
            Value::Null => return Ok(None),
            Value::Object(given) => given,
            other => {
                return Err(Error::invalid_value(format!(
                    "`{}` must be an object with the attributes of that schema, and is {}",
                    schema.id,
                    kind_of(&other)
                )));
            }
        };
        let mut entries = Entries::with_capacity(given.len());
        for (name, value) in given {
            let Some(rank) = resource::position(&schema.attributes, &name) else {
                // Some testers repeat `schemas` inside the extension.
                if !name.eq_ignore_ascii_case("schemas") {
                    let place = Place { schema: Some(&schema.id), ..Place::top(&name) };
                    self.set_aside(place, value)?;
                }
                continue;
            };
            let attribute = &schema.attributes[rank];
            if matches!(attribute.mutability, Mutability::ReadOnly | Mutability::WriteOnly) {
                continue;
            }
            let place = Place { schema: Some(&schema.id), ..Place::top(&attribute.name) };
            let value = self.value(attribute, value, place)?;
            entries.push((rank, canonical(name, &attribute.name), value));
        }
        let object = assemble(entries)?;
        Ok((!object.is_empty()).then_some(object))
    }
}

/// What RFC 7643 §3 asks of `schemas` in a request. We compute our own, so this only tells who
/// deviates.
fn check_schemas(
    schemas: Option<&Value>,
    attributes: &Map<String, Value>,
    resource_type: &ResourceType,
    reader: &mut Reader<'_>,
) -> Result<(), Error> {
    let base = &resource_type.schema.id;
    let listed = match schemas {
        Some(Value::Array(listed)) if !listed.is_empty() => listed.as_slice(),
        None | Some(Value::Null | Value::Array(_)) => {
            return if reader.forgives(Quirk::SchemasMissing) {
                Ok(())
            } else {
                Err(Error::invalid_syntax(format!("`schemas` is missing; it must list `{base}`")))
            };
        }
        Some(other) => {
            return if reader.forgives(Quirk::SchemasUnknown) {
                Ok(())
            } else {
                Err(Error::invalid_syntax(format!(
                    "`schemas` must be a list of URNs, and is {}",
                    kind_of(other)
                )))
            };
        }
    };
    let lists = |urn: &str| {
        listed.iter().any(|it| it.as_str().is_some_and(|it| it.eq_ignore_ascii_case(urn)))
    };
    let is_known = |urn: &Value| {
        urn.as_str().is_some_and(|urn| {
            resource_type.schemas().any(|schema| schema.id.eq_ignore_ascii_case(urn))
        })
    };
    if (!lists(base) || !listed.iter().all(is_known)) && !reader.forgives(Quirk::SchemasUnknown) {
        return Err(Error::invalid_syntax(format!(
            "`schemas` must list `{base}` and otherwise only extensions of it that are known here"
        )));
    }
    let unlisted = resource_type
        .extensions
        .iter()
        .map(|extension| &extension.schema.id)
        .find(|id| attributes.contains_key(*id) && !lists(id));
    match unlisted {
        Some(id) if !reader.forgives(Quirk::SchemasIncomplete) => {
            Err(Error::invalid_syntax(format!("`schemas` does not list `{id}`, which is present")))
        }
        _ => Ok(()),
    }
}

/// That a resource has what its extensions require (RFC 7643 §7): all of it, if it is new. What a
/// resource that is there lacks already was not required when it was written, and may go on missing:
/// else nobody could be deactivated any more once a vendor requires what they never had.
pub(crate) fn check_extensions(
    before: Option<&Resource>,
    after: &Resource,
    resource_type: &ResourceType,
) -> Result<(), Error> {
    for extension in &resource_type.extensions {
        let schema = &extension.schema;
        let had = before.and_then(|before| values_of(before, schema));
        match values_of(after, schema) {
            Some(values) => {
                check_required_of(had, values, schema)?;
                check_parts_of(had, values, schema)?;
            }
            None if extension.required && (before.is_none() || had.is_some()) => {
                return Err(missing(Place::top(&schema.id)));
            }
            None => {}
        }
    }
    Ok(())
}

/// That the values of an extension are not without a required one, unless it was missing before.
fn check_required_of(
    before: Option<&Map<String, Value>>,
    after: &Map<String, Value>,
    schema: &Schema,
) -> Result<(), Error> {
    let lacked_before = |name: &str| before.is_some_and(|before| is_blank(before.get(name)));
    match lacking(after, schema).find(|name| !lacked_before(name)) {
        Some(name) => Err(missing(Place { schema: Some(&schema.id), ..Place::top(name) })),
        None => Ok(()),
    }
}

/// That no value of an extension is without a required part, unless one was before.
fn check_parts_of(
    before: Option<&Map<String, Value>>,
    after: &Map<String, Value>,
    schema: &Schema,
) -> Result<(), Error> {
    for attribute in &schema.attributes {
        for part in attribute.sub_attributes.iter().filter(|part| part.is_to_be_given()) {
            let lack = |values: &Map<String, Value>| match values.get(&attribute.name) {
                Some(Value::Array(values)) => values.iter().any(|it| is_blank(it.get(&part.name))),
                Some(value) => is_blank(value.get(&part.name)),
                None => false,
            };
            if lack(after) && !before.is_some_and(lack) {
                let place = Place { schema: Some(&schema.id), ..Place::top(&attribute.name) };
                return Err(missing(place.part(&part.name)));
            }
        }
    }
    Ok(())
}

/// The required attributes that have no value.
fn lacking<'a>(values: &Map<String, Value>, schema: &'a Schema) -> impl Iterator<Item = &'a str> {
    let required = schema.attributes.iter().filter(|it| it.is_to_be_given());
    required.filter(|it| is_blank(values.get(&it.name))).map(|it| it.name.as_str())
}

/// That a PATCH leaves an extension with what it requires. What was missing before, because it was not
/// required then, may go on missing: the PATCH may be of something else.
pub(crate) fn check_extension_kept(
    before: &Resource,
    after: &Resource,
    extension: &Extension,
) -> Result<(), Error> {
    let schema = &extension.schema;
    match (values_of(before, schema), values_of(after, schema)) {
        // RFC 7644 §3.5.2.2 has a `scimType` for it.
        (Some(_), None) if extension.required => Err(Error::mutability(format!(
            "`{}` is required and would be left without any value; replace its values instead",
            schema.id
        ))),
        (before, Some(after)) => check_required_of(before, after, schema),
        (_, None) => Ok(()),
    }
}

/// Whether this names a schema and not an attribute.
fn is_urn(place: Place<'_>) -> bool {
    let start = place.attribute.get(..4);
    place.sub_attribute.is_none() && start.is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

fn values_of<'a>(resource: &'a Resource, extension: &Schema) -> Option<&'a Map<String, Value>> {
    resource.get(&extension.id).and_then(Value::as_object)
}

/// What became of values that were kept while no schema had their attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    /// The resource, with those that were taken.
    pub resource: Resource,
    /// The paths of those that are values now, or that the resource has newer values of.
    pub taken: Vec<String>,
    /// The paths of those whose attribute is known now and which do not fit it.
    pub unfit: Vec<String>,
}

/// Makes values of what was kept under `URN:attribute` when no schema had the attribute, where one has
/// it by now. They are read as a body is under [`Preset::Lenient`]. A value that is there already is
/// newer and stays, and an extension that would lack what it requires is not begun. `None` means that no
/// schema has any of it, which is soon found out.
///
/// ```
/// use std::sync::Arc;
/// use scim::{Resource, ResourceType, admit::admit_late, schema::custom::Definition};
///
/// let definition: Definition = serde_json::from_str(
///     r#"{ "id": "urn:example:1.0:Badge", "name": "Badge", "attributes": [{ "name": "floor" }] }"#,
/// )?;
/// let user = ResourceType::user().with_extension(Arc::new(definition.check()?), false);
/// let kept = serde_json::json!({ "urn:example:1.0:Badge:floor": 3, "elsewhere": 1 });
/// let resource = Resource::from_text(r#"{"userName":"ana"}"#).unwrap();
/// let late = admit_late(&resource, &user, kept.as_object().unwrap()).unwrap();
/// assert_eq!(
///     late.resource.to_text(),
///     r#"{"userName":"ana","urn:example:1.0:Badge":{"floor":"3"}}"#,
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn admit_late(
    resource: &Resource,
    resource_type: &ResourceType,
    kept: &Map<String, Value>,
) -> Option<Late> {
    let is_known = |path: &String| {
        resource_type.extensions.iter().any(|it| attribute_at(&it.schema, path).is_some())
    };
    if !kept.keys().any(is_known) {
        return None;
    }
    let mut late = Late { resource: resource.clone(), taken: Vec::new(), unfit: Vec::new() };
    for extension in &resource_type.extensions {
        let schema = &extension.schema;
        let mut values = match resource.get(&schema.id) {
            Some(Value::Object(values)) => values.clone(),
            _ => Map::new(),
        };
        let (mut taken, mut is_changed) = (Vec::new(), false);
        for (path, value) in kept {
            let Some(attribute) = attribute_at(schema, path) else { continue };
            if !values.contains_key(&attribute.name) {
                let (mut unknown, mut quirks) = (Map::new(), Quirks::new());
                let mut reader = Reader {
                    preset: Preset::Lenient,
                    quirks: &mut quirks,
                    unknown: &mut unknown,
                    unknown_is: Kind::InvalidValue,
                    is_whole: true,
                    may_lack_parts: false,
                };
                let place = Place { schema: Some(&schema.id), ..Place::top(&attribute.name) };
                // A null was kept in the place of what may not be kept.
                let Ok(Some(value)) = reader.value(attribute, value.clone(), place) else {
                    late.unfit.push(path.clone());
                    continue;
                };
                resource::insert_part(&mut values, &schema.attributes, &attribute.name, value);
                is_changed = true;
            }
            taken.push(path.clone());
        }
        if is_changed && lacking(&values, schema).next().is_some() {
            late.unfit.append(&mut taken);
        }
        if is_changed && !taken.is_empty() {
            late.resource.set_extension(resource_type, &schema.id, values);
        }
        late.taken.append(&mut taken);
    }
    Some(late)
}

/// The attribute of a schema that a path names with the URN.
pub(crate) fn attribute_at<'a>(schema: &'a Schema, path: &str) -> Option<&'a Attribute> {
    let (urn, name) = path.split_at_checked(schema.id.len())?;
    let name = name.strip_prefix(':').filter(|_| urn.eq_ignore_ascii_case(&schema.id))?;
    schema.attribute(name)
}

/// RFC 7644 §5 wants user names prepared by PRECIS, whose identifier class forbids what real
/// directories contain. We refuse only what nobody could type or see.
pub(crate) fn check_user_name(
    resource: &Resource,
    resource_type: &ResourceType,
) -> Result<(), Error> {
    if resource_type.schema.id != builtin::USER {
        return Ok(());
    }
    match resource.text("userName") {
        Some(name) if name.contains(char::is_control) => Err(Error::invalid_value(
            "`userName` contains a control character, such as a line break; remove it in the \
             identity provider",
        )),
        _ => Ok(()),
    }
}

/// Absent, or text that shows nothing.
pub(crate) fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(_) => false,
    }
}

/// A required attribute has no value.
pub(crate) fn missing(place: Place<'_>) -> Error {
    Error::invalid_value(format!(
        "`{place}` is required and has no value; map an attribute to it in the identity provider"
    ))
}

/// RFC 7643 §2.4: "true" as `primary` appears no more than once.
pub(crate) fn two_primaries(place: Place<'_>) -> Error {
    Error::invalid_value(format!(
        "`{place}` has two values that are `primary`; mark one of them at most"
    ))
}

/// Names do not tell case (RFC 7643 §2.1), so this is the same attribute; RFC 8259 §4 leaves open
/// which of the two would hold.
fn given_twice(name: &str) -> Error {
    Error::invalid_syntax(format!("`{name}` is given twice, in different spelling; send it once"))
}

/// A value is of the wrong type, or spells no value of the right one.
fn misfit(place: Place<'_>, expected: &str, got: &Value) -> Error {
    Error::invalid_value(format!(
        "`{place}` expects {expected} and got {}; correct the attribute mapping in the identity \
         provider",
        kind_of(got)
    ))
}

fn expected(kind: Type) -> &'static str {
    match kind {
        Type::String => "a string",
        Type::Boolean => "`true` or `false`",
        Type::Decimal => "a number",
        Type::Integer => "a whole number of at most 64 bits",
        Type::DateTime => "a date and time such as `2026-01-31T12:00:00Z`",
        Type::Binary => "base 64 text",
        Type::Reference => "a URI",
        Type::Complex => "an object",
    }
}

/// What kind of JSON this is, for people. The value itself may be personal and is not repeated.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// RFC 4648 §4, with or without padding (RFC 7643 §2.3.6). The URL-safe alphabet and line breaks,
/// both of which certificates arrive with, are taken too.
fn is_base64(text: &str) -> bool {
    let significant = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for byte in significant {
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' if padding == 0 => {
                digits += 1;
            }
            _ => return false,
        }
    }
    padding <= 2 && digits % 4 != 1 && (padding == 0 || (digits + padding).is_multiple_of(4))
}
