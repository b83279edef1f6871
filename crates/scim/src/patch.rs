//! Changes of parts of a resource (RFC 7644 §3.5.2).
//!
//! [`Patch::parse`] does all that needs only the message: it looks names up, reads values by their
//! types, takes path-less operations apart into one operation per attribute, and splits off what
//! concerns a group's members, which are rows. [`Patch::apply`] then computes the resource
//! afterwards, on a copy: it succeeds as a whole or not at all.

mod apply;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::admit::{
    Place, Reader, Target, attribute_at, check_extension_kept, check_user_name, is_blank, kind_of,
    missing,
};
use crate::dialect::{Quirk, Quirks};
use crate::error::{Error, Kind};
use crate::filter::ValueFilter;
use crate::group::{self, Member, MemberOperation};
use crate::limit::{GROUP_MEMBERS_MAX, PATCH_MEMBER_SEARCHES_MAX, PATCH_OPERATIONS_MAX};
use crate::path::{PatchPath, excerpt};
use crate::preset::Preset;
use crate::resource::{self, Resource};
use crate::schema::{Attribute, Mutability, ResourceType, Schema};

/// The URN of a PATCH message.
pub const PATCH_OP_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A PATCH, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    operations: Vec<Operation>,
    members: Vec<MemberOperation>,
    unknown: Map<String, Value>,
    password_given: bool,
    claimed_id: Option<String>,
}

/// One change of one attribute, or of an extension as a whole.
#[derive(Clone, Debug, PartialEq)]
struct Operation {
    /// The URN under which the attribute stands; `None` for the base schema.
    extension: Option<String>,
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    /// The attribute has this value afterwards, or none.
    Set { attribute: String, value: Option<Value> },
    /// These belong to the list afterwards.
    Append { attribute: String, values: Vec<Value> },
    /// These parts of the value, or of the chosen values of a list, are as given afterwards.
    Merge {
        attribute: String,
        filter: Option<ValueFilter>,
        parts: Parts,
        /// What to do when the filter chooses nothing.
        otherwise: Otherwise,
    },
    /// The chosen simple values of a list are exchanged for this one.
    Exchange { attribute: String, filter: ValueFilter, value: Value, otherwise: Otherwise },
    /// The values that the filter chooses do not belong to the list afterwards.
    RemoveChosen { attribute: String, filter: ValueFilter },
    /// The values that resemble one of these do not belong to the list afterwards.
    RemoveNamed { attribute: String, values: Vec<Value> },
    /// The extension has no values afterwards.
    DropExtension,
}

impl Change {
    /// The attribute that it is a change of; `None` for all of an extension.
    fn attribute(&self) -> Option<&str> {
        match self {
            Change::Set { attribute, .. }
            | Change::Append { attribute, .. }
            | Change::Merge { attribute, .. }
            | Change::Exchange { attribute, .. }
            | Change::RemoveChosen { attribute, .. }
            | Change::RemoveNamed { attribute, .. } => Some(attribute),
            Change::DropExtension => None,
        }
    }
}

/// Parts of a complex value by canonical name; `None` is a part without a value afterwards.
type Parts = Vec<(String, Option<Value>)>;

/// What becomes of an operation whose filter chooses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Otherwise {
    /// A value is created from the filter's `eq` terms, and it is `noTarget` when the filter has
    /// others (RFC 7644 §3.5.2.1 suggests it for `add`).
    Create,
    /// The same for a `replace`, of which Entra expects it.
    CreateLeniently,
    /// It is `noTarget` (RFC 7644 §3.5.2.3).
    Refuse,
    /// Nothing. What should be removed is not there (RFC 7644 §3.5.2.2's example).
    Succeed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

impl Patch {
    /// Reads a PATCH message.
    ///
    /// # Errors
    ///
    /// `invalidSyntax` when it is no PATCH message; `invalidPath` and `invalidFilter` when a path
    /// is malformed or names what does not exist; `noTarget` for a `remove` without a path;
    /// `mutability` when a path names what only the server sets; `invalidValue` when a value is
    /// missing or does not fit; 413 above [`PATCH_OPERATIONS_MAX`] and
    /// [`PATCH_MEMBER_SEARCHES_MAX`].
    ///
    /// ```
    /// use scim::{Preset, Resource, ResourceType, dialect::Quirks, patch::Patch};
    /// use serde_json::json;
    ///
    /// let user = ResourceType::user();
    /// let before = Resource::from_text(r#"{"userName":"ana","active":true}"#).unwrap();
    /// let body = json!({
    ///     "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    ///     "Operations": [{ "op": "replace", "value": { "active": false } }],
    /// });
    /// let patch = Patch::parse(body, &user, Preset::Lenient, &mut Quirks::new())?;
    /// let after = patch.apply(&before, &user)?;
    /// assert_eq!(after.to_text(), r#"{"userName":"ana","active":false}"#);
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn parse(
        body: Value,
        resource_type: &ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<Patch, Error> {
        let mut unknown = Map::new();
        let mut reading = Reading {
            reader: Reader {
                preset,
                quirks,
                unknown: &mut unknown,
                unknown_is: Kind::InvalidValue,
                is_whole: false,
                may_lack_parts: false,
            },
            resource_type,
            operations: Vec::new(),
            members: Vec::new(),
            password_given: false,
            claimed_id: None,
        };
        for operation in reading.message(body)? {
            reading.operation(operation)?;
        }
        let Reading { operations, members, password_given, claimed_id, .. } = reading;
        let named: usize = members.iter().map(MemberOperation::named).sum();
        if named > GROUP_MEMBERS_MAX {
            return Err(Error::invalid_value(format!(
                "the operations name {named} members and a group may have {GROUP_MEMBERS_MAX}; \
                 push a smaller group"
            )));
        }
        let is_search = |it: &&MemberOperation| matches!(it, MemberOperation::RemoveMatching(_));
        let searches = members.iter().filter(is_search).count();
        if searches > PATCH_MEMBER_SEARCHES_MAX {
            return Err(Error::new(
                413,
                format!(
                    "{searches} operations choose members by something other than `value`, and \
                     {PATCH_MEMBER_SEARCHES_MAX} may, because each has to look at every member; \
                     remove members by their ids, as in `members[value eq \"…\"]`, or send \
                     several requests"
                ),
            ));
        }
        Ok(Patch { operations, members, unknown, password_given, claimed_id })
    }

    /// What the resource is afterwards. One that is as the patch wants it comes back equal.
    ///
    /// # Errors
    ///
    /// `noTarget` when a filter chooses nothing that could be changed; `mutability` when a fixed
    /// or required value would go; `invalidValue` when a list would have two primary values or
    /// more than [`VALUES_MAX`](crate::limit::VALUES_MAX).
    pub fn apply(
        &self,
        before: &Resource,
        resource_type: &ResourceType,
    ) -> Result<Resource, Error> {
        self.apply_noting(before, resource_type, &mut Quirks::new())
    }

    /// The same, and notes what can be seen only now: that a `replace` had to create what it
    /// should have replaced.
    ///
    /// # Errors
    ///
    /// Those of [`Patch::apply`].
    pub fn apply_noting(
        &self,
        before: &Resource,
        resource_type: &ResourceType,
        quirks: &mut Quirks,
    ) -> Result<Resource, Error> {
        let mut attributes = before.attributes().clone();
        for operation in &self.operations {
            apply::operation(operation, &mut attributes, resource_type, quirks)?;
        }
        let after = Resource::from_canonical(attributes);
        check_user_name(&after, resource_type)?;
        for extension in &resource_type.extensions {
            let urn = extension.schema.id.as_str();
            if self.operations.iter().any(|it| it.extension.as_deref() == Some(urn)) {
                check_extension_kept(before, &after, extension)?;
            }
        }
        Ok(after)
    }

    /// Whether an operation aims at this attribute, by canonical names; whatever it does there.
    pub fn names(&self, extension: Option<&str>, attribute: &str) -> bool {
        self.operations.iter().any(|operation| {
            operation.extension.as_deref() == extension
                && operation.change.attribute().is_none_or(|it| it == attribute)
        })
    }

    /// Whether an operation aims at the attribute of an extension that a path names with the URN.
    pub fn aims_at(&self, path: &str, resource_type: &ResourceType) -> bool {
        resource_type.extensions.iter().map(|it| &it.schema).any(|schema| {
            attribute_at(schema, path).is_some_and(|it| self.names(Some(&schema.id), &it.name))
        })
    }

    /// What to do with the members of a group, in the order of the request.
    pub fn members(&self) -> &[MemberOperation] {
        &self.members
    }

    /// What stands in no schema, by its path, out of path-less values: the latest value of each.
    /// It is no part of the resource. Of a user it is kept beside them and shown to the IT admin.
    pub fn unknown(&self) -> &Map<String, Value> {
        &self.unknown
    }

    /// Whether there was a password. It is gone by now.
    pub fn password_given(&self) -> bool {
        self.password_given
    }

    /// Whether nothing but members can change.
    pub fn leaves_attributes(&self) -> bool {
        self.operations.is_empty()
    }

    /// Okta's rename carries the group's `id` among the new values. Under [`Preset::Strict`] it
    /// must be that of the resource; otherwise it is not looked at.
    ///
    /// # Errors
    ///
    /// `mutability` when it is another one.
    pub fn check_id(&self, id: &str) -> Result<(), Error> {
        match &self.claimed_id {
            Some(claimed) if claimed != id => Err(read_only(Place::top("id"))),
            _ => Ok(()),
        }
    }
}

/// A patch while it is read.
struct Reading<'a> {
    reader: Reader<'a>,
    resource_type: &'a ResourceType,
    operations: Vec<Operation>,
    members: Vec<MemberOperation>,
    password_given: bool,
    claimed_id: Option<String>,
}

/// What one operation aims at.
struct Aim<'a> {
    schema: Option<&'a Schema>,
    attribute: &'a Attribute,
    filter: Option<ValueFilter>,
    sub_attribute: Option<&'a Attribute>,
}

impl<'a> Aim<'a> {
    fn whole(schema: Option<&'a Schema>, attribute: &'a Attribute) -> Aim<'a> {
        Aim { schema, attribute, filter: None, sub_attribute: None }
    }

    fn place(&self) -> Place<'a> {
        let schema = self.schema.map(|schema| schema.id.as_str());
        let sub_attribute = self.sub_attribute.map(|it| it.name.as_str());
        Place { schema, attribute: &self.attribute.name, sub_attribute }
    }

    fn mutability(&self) -> Mutability {
        match self.sub_attribute {
            Some(part) if self.attribute.mutability == Mutability::ReadWrite => part.mutability,
            _ => self.attribute.mutability,
        }
    }

    /// Whether a value must remain. Values that a filter chooses are counted when it is known
    /// which these are.
    fn is_required(&self) -> bool {
        match self.sub_attribute {
            Some(part) => part.required,
            None => self.attribute.required && self.filter.is_none(),
        }
    }
}

impl<'a> Reading<'a> {
    /// The operations of a message.
    fn message(&mut self, body: Value) -> Result<Vec<Value>, Error> {
        let (schemas, operations) = match body {
            Value::Object(mut body) => {
                (take(&mut body, "schemas")?, take(&mut body, "Operations")?)
            }
            // The list stands for the whole message, which there was no place in to name itself.
            list @ Value::Array(_) if self.reader.forgives(Quirk::OperationsBare) => {
                (Some(Value::from(vec![PATCH_OP_SCHEMA])), Some(list))
            }
            other => {
                return Err(Error::invalid_syntax(format!(
                    "the body of a PATCH must be an object with `Operations`, and is {}",
                    kind_of(&other)
                )));
            }
        };
        self.check_schemas(schemas.as_ref())?;
        let operations = match operations {
            Some(Value::Array(operations)) => operations,
            Some(one @ Value::Object(_)) if self.reader.forgives(Quirk::OperationSingle) => {
                vec![one]
            }
            None | Some(Value::Null) => {
                return Err(Error::invalid_syntax(
                    "the PATCH has no `Operations`; send a list of them",
                ));
            }
            Some(other) => {
                return Err(Error::invalid_syntax(format!(
                    "`Operations` must be a list, and is {}",
                    kind_of(&other)
                )));
            }
        };
        if operations.is_empty() && !self.reader.forgives(Quirk::OperationsEmpty) {
            return Err(Error::invalid_syntax(
                "`Operations` is empty; send one operation at least",
            ));
        }
        if operations.len() > PATCH_OPERATIONS_MAX {
            return Err(Error::new(
                413,
                format!(
                    "the PATCH has {} operations and may have {PATCH_OPERATIONS_MAX}; send it in \
                     several requests",
                    operations.len()
                ),
            ));
        }
        Ok(operations)
    }

    fn check_schemas(&mut self, schemas: Option<&Value>) -> Result<(), Error> {
        let quirk = match schemas {
            None | Some(Value::Null) => Quirk::SchemasMissing,
            Some(Value::Array(listed))
                if listed.iter().filter_map(Value::as_str).any(is_patch_op) =>
            {
                return Ok(());
            }
            Some(Value::Array(listed)) if listed.is_empty() => Quirk::SchemasMissing,
            Some(_) => Quirk::SchemasUnknown,
        };
        if self.reader.forgives(quirk) {
            return Ok(());
        }
        Err(Error::invalid_syntax(format!("`schemas` of a PATCH must list `{PATCH_OP_SCHEMA}`")))
    }

    /// One operation as it was sent.
    fn operation(&mut self, operation: Value) -> Result<(), Error> {
        let Value::Object(mut operation) = operation else {
            return Err(Error::invalid_syntax(format!(
                "an operation must be an object with `op`, and is {}",
                kind_of(&operation)
            )));
        };
        let verb = self.verb(take(&mut operation, "op")?)?;
        let path = match take(&mut operation, "path")? {
            None | Some(Value::Null) => None,
            Some(Value::String(path))
                if path.is_empty() && self.reader.forgives(Quirk::EmptyText) =>
            {
                None
            }
            Some(Value::String(path)) => Some(path),
            Some(other) => {
                return Err(Error::invalid_path(format!(
                    "`path` must be a string, and is {}",
                    kind_of(&other)
                )));
            }
        };
        let value = take(&mut operation, "value")?;
        let Some(path) = path else {
            return match (verb, value) {
                // RFC 7644 §3.5.2.2: "If "path" is unspecified, the operation fails".
                (Verb::Remove, _) => {
                    Err(Error::no_target("a `remove` has no `path`; say which attribute to remove"))
                }
                (_, Some(Value::Object(values))) => self.path_less(verb, values),
                (_, other) => Err(Error::invalid_value(format!(
                    "an operation without `path` needs an object of attributes as its `value`, \
                     and has {}",
                    other.as_ref().map_or("none", kind_of)
                ))),
            };
        };
        let preset = self.reader.preset;
        let path = PatchPath::parse(&path, self.resource_type, preset, self.reader.quirks)?;
        self.at_path(verb, &path, value)
    }

    /// RFC 7644 §3.5.2 spells the verbs in lower case. Entra does not.
    fn verb(&mut self, op: Option<Value>) -> Result<Verb, Error> {
        let Some(Value::String(op)) = op else {
            return Err(Error::invalid_syntax(
                "an operation has no `op`; it must be `add`, `replace` or `remove`",
            ));
        };
        let verb = match op.to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => Verb::Remove,
            _ => {
                return Err(Error::invalid_value(
                    "`op` must be `add`, `replace` or `remove`; SCIM has no other operations",
                ));
            }
        };
        // Everybody accepts any case, so this is noted and never refused.
        if op.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.reader.quirks.note(Quirk::OperationCase);
        }
        Ok(verb)
    }

    /// RFC 7644 §3.5.2.1, §3.5.2.3: without a path, `value` holds "a list of one or more
    /// attributes". Each becomes an operation of its own.
    fn path_less(&mut self, verb: Verb, values: Map<String, Value>) -> Result<(), Error> {
        refuse_doubles(&values)?;
        let resource_type = self.resource_type;
        for (name, value) in values {
            match Target::find(resource_type, &name) {
                Some(Target::Attribute(_, attribute)) => {
                    self.in_value(verb, None, attribute, value)?;
                }
                Some(Target::Extension(_, schema)) => {
                    if !schema.id.eq_ignore_ascii_case(&name) {
                        self.reader.quirks.note(Quirk::SchemaAlias);
                    }
                    self.extension(verb, schema, Some(value))?;
                }
                None => self.named_by_path(verb, &name, value)?,
            }
        }
        Ok(())
    }

    /// Entra's `"name.givenName"`, `"urn:…:User:department"` and `"emails[type eq \"work\"].value"`
    /// as names in a path-less value.
    fn named_by_path(&mut self, verb: Verb, name: &str, value: Value) -> Result<(), Error> {
        let preset = self.reader.preset;
        match PatchPath::parse(name, self.resource_type, preset, self.reader.quirks) {
            Ok(path) => {
                self.reader.quirks.note(Quirk::PathAsName);
                match path.resolve(self.resource_type) {
                    Some(resolved) if resolved.attribute.is_some_and(Attribute::is_read_only) => {
                        self.read_only_in_value(path.target().to_string().as_str(), &value)
                    }
                    _ => self.at_path(verb, &path, Some(value)),
                }
            }
            Err(error) if error.kind() == Some(Kind::InvalidPath) => {
                self.reader.set_aside(Place::top(name), value)
            }
            Err(error) => Err(error),
        }
    }

    /// One attribute of a path-less value, or of an extension's object.
    fn in_value(
        &mut self,
        verb: Verb,
        schema: Option<&'a Schema>,
        attribute: &'a Attribute,
        value: Value,
    ) -> Result<(), Error> {
        // We compute it; clients repeat it out of habit.
        if schema.is_none() && attribute.name == "schemas" {
            return Ok(());
        }
        if attribute.is_read_only() {
            return self.read_only_in_value(&attribute.name, &value);
        }
        self.aim(verb, Aim::whole(schema, attribute), Some(value))
    }

    /// What only the server sets, beside other values: Okta repeats `id` when it renames a group.
    fn read_only_in_value(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        if self.reader.forgives(Quirk::ReadOnlyInValue) {
            return Ok(());
        }
        match value {
            Value::String(id) if name == "id" => {
                self.claimed_id = Some(id.clone());
                Ok(())
            }
            _ => Err(read_only(Place::top(name))),
        }
    }

    /// An operation with a path.
    fn at_path(&mut self, verb: Verb, path: &PatchPath, value: Option<Value>) -> Result<(), Error> {
        let resolved =
            path.resolve(self.resource_type).expect("the path was read with this resource type");
        let Some(attribute) = resolved.attribute else {
            let schema = resolved.extension.expect("a path leads to an attribute or an extension");
            return self.extension(verb, schema, value);
        };
        if resolved.extension.is_none() && attribute.name == "schemas" {
            return self.schemas(verb, path.filter(), value);
        }
        let aim = Aim {
            schema: resolved.extension,
            attribute,
            filter: path.filter().cloned(),
            sub_attribute: resolved.sub_attribute,
        };
        self.aim(verb, aim, value)
    }

    /// An extension as a whole. Its ABNF has no such path, yet RFC 7644 §3.5.2 is read so by the
    /// clients that test servers.
    fn extension(
        &mut self,
        verb: Verb,
        schema: &'a Schema,
        value: Option<Value>,
    ) -> Result<(), Error> {
        match (verb, value) {
            (Verb::Remove, _) | (Verb::Replace, Some(Value::Null)) => {
                let extension = Some(schema.id.clone());
                self.operations.push(Operation { extension, change: Change::DropExtension });
                Ok(())
            }
            (Verb::Add, Some(Value::Null)) => Ok(()),
            (_, Some(Value::Object(values))) => {
                refuse_doubles(&values)?;
                for (name, value) in values {
                    match resource::position(&schema.attributes, &name) {
                        Some(place) => {
                            self.in_value(verb, Some(schema), &schema.attributes[place], value)?;
                        }
                        None if name.eq_ignore_ascii_case("schemas") => {}
                        None => {
                            let place = Place { schema: Some(&schema.id), ..Place::top(&name) };
                            self.reader.set_aside(place, value)?;
                        }
                    }
                }
                Ok(())
            }
            (_, other) => Err(Error::invalid_value(format!(
                "`{}` needs an object with the attributes of that schema as its value, and has {}",
                schema.id,
                other.as_ref().map_or("none", kind_of)
            ))),
        }
    }

    /// RFC 7644 §3.5.2 lets `schemas` be patched: a URN that goes takes its attributes along. One
    /// that comes changes nothing until there is data.
    fn schemas(
        &mut self,
        verb: Verb,
        filter: Option<&ValueFilter>,
        value: Option<Value>,
    ) -> Result<(), Error> {
        let base = Value::from(self.resource_type.schema.id.as_str());
        let stays: Box<dyn Fn(&Value) -> bool> = match (verb, filter) {
            (Verb::Add, _) => return Ok(()),
            (Verb::Remove, Some(filter)) => Box::new(|urn| !filter.matches_value(urn)),
            (Verb::Replace, None) => {
                let Some(Value::Array(listed)) = value else {
                    return Err(Error::invalid_value("`schemas` needs a list of URNs"));
                };
                Box::new(move |urn| {
                    listed.iter().filter_map(Value::as_str).any(|listed| {
                        urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(listed))
                    })
                })
            }
            (Verb::Remove, None) | (Verb::Replace, Some(_)) => Box::new(|_| false),
        };
        if !stays(&base) {
            return Err(Error::mutability(format!(
                "`schemas` must list `{}`, which every {} has",
                self.resource_type.schema.id, self.resource_type.name
            )));
        }
        for extension in &self.resource_type.extensions {
            let id = &extension.schema.id;
            if !stays(&Value::from(id.as_str())) {
                let extension = Some(id.clone());
                self.operations.push(Operation { extension, change: Change::DropExtension });
            }
        }
        Ok(())
    }

    /// The heart: one verb, one attribute or part of it, one value.
    fn aim(&mut self, verb: Verb, aim: Aim<'a>, value: Option<Value>) -> Result<(), Error> {
        match aim.mutability() {
            Mutability::ReadOnly => return Err(read_only(aim.place())),
            Mutability::WriteOnly => {
                self.password_given |=
                    aim.attribute.name == "password" && value.is_some_and(|it| !it.is_null());
                return Ok(());
            }
            Mutability::ReadWrite | Mutability::Immutable => {}
        }
        if aim.schema.is_none() && group::is_members(self.resource_type, aim.attribute) {
            let operation = self.member_operation(verb, &aim, value)?;
            self.members.extend(operation);
            return Ok(());
        }
        let extension = aim.schema.map(|schema| schema.id.clone());
        let change = match verb {
            Verb::Remove => self.removal(aim, value)?,
            Verb::Add | Verb::Replace => {
                let Some(value) = value else {
                    return Err(Error::invalid_value(format!(
                        "the operation on `{}` has no `value`; to clear it, use `remove`",
                        aim.place()
                    )));
                };
                self.change(verb, aim, value)?
            }
        };
        if let Some(change) = change {
            self.operations.push(Operation { extension, change });
        }
        Ok(())
    }

    /// An `add` or a `replace`. `None` is one that asks for nothing.
    fn change(&mut self, verb: Verb, aim: Aim<'a>, value: Value) -> Result<Option<Change>, Error> {
        let place = aim.place();
        // RFC 7643 §2.5: null is no value, and to add none is to add nothing. It is not said that
        // something is to be taken away.
        if verb == Verb::Add && value.is_null() {
            return match self.reader.preset {
                Preset::Lenient => Ok(None),
                Preset::Strict => Err(Error::invalid_value(format!(
                    "an `add` to `{place}` has the value null; to clear it, use `remove`"
                ))),
            };
        }
        let name = aim.attribute.name.clone();
        let otherwise = match (verb, &aim.filter) {
            (Verb::Replace, Some(_)) if self.reader.preset == Preset::Strict => Otherwise::Refuse,
            (_, Some(filter)) if !self.describes_a_value(aim.attribute, filter) => {
                Otherwise::Refuse
            }
            (Verb::Replace, Some(_)) => Otherwise::CreateLeniently,
            _ => Otherwise::Create,
        };
        if let Some(part) = aim.sub_attribute {
            let read = self.reader.value(part, value, place)?;
            if part.required && is_blank(read.as_ref()) {
                return Err(missing(place));
            }
            let parts = vec![(part.name.clone(), read)];
            return Ok(Some(Change::Merge {
                attribute: name,
                filter: aim.filter,
                parts,
                otherwise,
            }));
        }
        match (aim.attribute.multi_valued, aim.filter) {
            (true, None) => {
                let values = self.reader.list(aim.attribute, value, place)?;
                if verb == Verb::Add {
                    let append = Change::Append { attribute: name, values };
                    return Ok(Some(append));
                }
                let value = (!values.is_empty()).then_some(Value::Array(values));
                if aim.attribute.required && value.is_none() {
                    return Err(missing(place));
                }
                Ok(Some(Change::Set { attribute: name, value }))
            }
            (true, Some(filter)) if aim.attribute.sub_attributes.is_empty() => {
                let value = self.reader.single(aim.attribute, value, place)?;
                Ok(Some(match value {
                    Some(value) => Change::Exchange { attribute: name, filter, value, otherwise },
                    None => Change::RemoveChosen { attribute: name, filter },
                }))
            }
            (true, Some(filter)) => Ok(Some(match self.parts(aim.attribute, value, place)? {
                Some(parts) => {
                    Change::Merge { attribute: name, filter: Some(filter), parts, otherwise }
                }
                None => Change::RemoveChosen { attribute: name, filter },
            })),
            (false, _) if !aim.attribute.sub_attributes.is_empty() => {
                // Entra clears a manager with `{}`.
                let clears = verb == Verb::Replace
                    && value.as_object().is_some_and(Map::is_empty)
                    && aim.attribute.sub_attribute("value").is_some();
                match self.parts(aim.attribute, value, place)? {
                    Some(parts) if !clears => {
                        Ok(Some(Change::Merge { attribute: name, filter: None, parts, otherwise }))
                    }
                    _ if aim.attribute.required => Err(missing(place)),
                    _ => Ok(Some(Change::Set { attribute: name, value: None })),
                }
            }
            (false, _) => {
                let value = self.reader.single(aim.attribute, value, place)?;
                if aim.attribute.required && is_blank(value.as_ref()) {
                    return Err(missing(place));
                }
                Ok(Some(Change::Set { attribute: name, value }))
            }
        }
    }

    /// Whether what the filter's `eq` terms compare with could be sent as a value: what is no
    /// base 64 can be asked for, and must not be created. Terms that say nothing of a value are
    /// left to who creates it.
    fn describes_a_value(&self, attribute: &Attribute, filter: &ValueFilter) -> bool {
        let Some(terms) = filter.eq_terms() else { return true };
        let mut reader = Reader {
            preset: self.reader.preset,
            quirks: &mut Quirks::new(),
            unknown: &mut Map::new(),
            unknown_is: self.reader.unknown_is,
            is_whole: false,
            may_lack_parts: false,
        };
        terms.into_iter().all(|(name, term)| {
            let Some(part) = name.and_then(|name| attribute.sub_attribute(name)) else {
                return true;
            };
            let place = Place::top(&attribute.name).part(&part.name);
            reader.single(part, term.clone(), place).is_ok_and(|read| read == Some(term))
        })
    }

    /// The parts that a value gives or clears; `None` clears the value as a whole.
    ///
    /// RFC 7644 §3.5.2.3: "Sub-attributes that are not specified in the "value" parameter are left
    /// unchanged."
    fn parts(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Option<Parts>, Error> {
        let value = match value {
            Value::Array(mut values)
                if values.len() == 1 && self.reader.forgives(Quirk::ListForSingle) =>
            {
                values.swap_remove(0)
            }
            Value::Array(values)
                if values.is_empty() && self.reader.forgives(Quirk::ListForSingle) =>
            {
                return Ok(None);
            }
            other => other,
        };
        let Value::Object(given) = value else {
            let read = self.reader.single(attribute, value, place)?;
            return Ok(read.map(|read| match read {
                Value::Object(parts) => {
                    parts.into_iter().map(|(name, value)| (name, Some(value))).collect()
                }
                _ => Parts::new(),
            }));
        };
        refuse_doubles(&given)?;
        let mut parts = Parts::with_capacity(given.len());
        for (name, value) in given {
            let Some(part) = attribute.sub_attribute(&name) else {
                self.reader.set_aside(place.part(&name), value)?;
                continue;
            };
            if matches!(part.mutability, Mutability::ReadOnly | Mutability::WriteOnly) {
                continue;
            }
            let place = place.part(&part.name);
            let read = self.reader.value(part, value, place)?;
            if part.required && is_blank(read.as_ref()) {
                return Err(missing(place));
            }
            parts.push((part.name.clone(), read));
        }
        Ok(Some(parts))
    }

    /// A `remove`.
    fn removal(&mut self, aim: Aim<'a>, value: Option<Value>) -> Result<Option<Change>, Error> {
        // RFC 7644 §3.5.2.2: removing a required attribute is `mutability`.
        if aim.is_required() {
            return Err(Error::mutability(format!(
                "`{}` is required and cannot be removed; replace it instead",
                aim.place()
            )));
        }
        let attribute = aim.attribute.name.clone();
        if let Some(part) = aim.sub_attribute {
            let parts = vec![(part.name.clone(), None)];
            let otherwise = Otherwise::Succeed;
            return Ok(Some(Change::Merge { attribute, filter: aim.filter, parts, otherwise }));
        }
        if let Some(filter) = aim.filter {
            return Ok(Some(Change::RemoveChosen { attribute, filter }));
        }
        match value {
            Some(value) if aim.attribute.multi_valued && !value.is_null() => {
                let value = self.named_for_removal(&aim, value)?;
                let place = aim.place();
                let values = self.reader.list(aim.attribute, value, place)?;
                if values.is_empty() {
                    return Err(names_nothing(place));
                }
                Ok(Some(Change::RemoveNamed { attribute, values }))
            }
            _ => Ok(Some(Change::Set { attribute, value: None })),
        }
    }

    /// The value of a `remove`. RFC 7644 gives it no meaning, so that a literal server removes
    /// everything; Entra, `JumpCloud` and authentik mean these values only.
    fn named_for_removal(&mut self, aim: &Aim<'_>, value: Value) -> Result<Value, Error> {
        let place = aim.place();
        if !self.reader.forgives(Quirk::RemoveWithValue) {
            return Err(Error::invalid_value(format!(
                "a `remove` of `{place}` has a `value`; choose what to remove in the path, as in \
                 `{place}[value eq \"…\"]`"
            )));
        }
        match value {
            Value::Object(mut object) => match take(&mut object, &aim.attribute.name)? {
                Some(wrapped) => {
                    self.reader.quirks.note(Quirk::RemoveWithWrappedValue);
                    Ok(wrapped)
                }
                None => Ok(Value::Object(object)),
            },
            other => Ok(other),
        }
    }

    /// An operation on the members of a group. `None` is one that asks for nothing.
    fn member_operation(
        &mut self,
        verb: Verb,
        aim: &Aim<'_>,
        value: Option<Value>,
    ) -> Result<Option<MemberOperation>, Error> {
        let place = aim.place();
        if aim.sub_attribute.is_some() {
            return Err(Error::mutability(format!(
                "`{place}` is fixed once somebody is a member; remove the member and add the \
                 right one"
            )));
        }
        match (verb, &aim.filter) {
            (Verb::Remove, Some(filter)) => Ok(Some(match filter.value_ids() {
                Some(ids) => MemberOperation::Remove(ids.into_iter().map(str::to_owned).collect()),
                None => MemberOperation::RemoveMatching(filter.clone()),
            })),
            (Verb::Remove, None) => match value {
                None | Some(Value::Null) => Ok(Some(MemberOperation::RemoveAll)),
                Some(value) => {
                    let value = self.named_for_removal(aim, value)?;
                    let members = group::read_members(value, &mut self.reader)?;
                    if members.is_empty() {
                        return Err(names_nothing(place));
                    }
                    let ids = members.into_iter().map(|member| member.value).collect();
                    Ok(Some(MemberOperation::Remove(ids)))
                }
            },
            (Verb::Replace, Some(_)) => Err(Error::mutability(
                "a member is fixed and cannot be replaced by another; remove it and add the right \
                 one",
            )),
            (Verb::Add, Some(filter)) => match filter.value_ids() {
                Some(ids) => {
                    let member = |id: &str| Member { value: id.into(), kind: None, display: None };
                    Ok(Some(MemberOperation::Add(ids.into_iter().map(member).collect())))
                }
                None => Err(Error::no_target(
                    "the filter of an `add` to `members` does not say whom to add; name the id, \
                     as in `members[value eq \"…\"]`",
                )),
            },
            (Verb::Add | Verb::Replace, None) => {
                let Some(value) = value else {
                    return Err(Error::invalid_value(
                        "the operation on `members` has no `value`; send a list of members",
                    ));
                };
                let members = group::read_members(value, &mut self.reader)?;
                Ok(match verb {
                    Verb::Replace => Some(MemberOperation::Replace(members)),
                    _ if members.is_empty() => None,
                    _ => Some(MemberOperation::Add(members)),
                })
            }
        }
    }
}

fn is_patch_op(urn: &str) -> bool {
    urn.eq_ignore_ascii_case(PATCH_OP_SCHEMA)
}

/// Takes a member out of an object, whatever the case of its name (RFC 7643 §2.1).
fn take(object: &mut Map<String, Value>, name: &str) -> Result<Option<Value>, Error> {
    let mut names = object.keys().filter(|key| key.eq_ignore_ascii_case(name));
    let found = match (names.next(), names.next()) {
        (Some(_), Some(_)) => return Err(given_twice(name)),
        (Some(found), None) => found.clone(),
        (None, _) => return Ok(None),
    };
    Ok(object.swap_remove(&found))
}

/// Names do not tell case (RFC 7643 §2.1), so what of two would hold?
fn refuse_doubles(values: &Map<String, Value>) -> Result<(), Error> {
    if values.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(values.len());
    match values.keys().find(|name| !seen.insert(name.to_ascii_lowercase())) {
        Some(name) => Err(given_twice(name)),
        None => Ok(()),
    }
}

fn given_twice(name: &str) -> Error {
    Error::invalid_syntax(format!(
        "`{}` is given twice, in different spelling; send it once",
        excerpt(name)
    ))
}

/// Only the server sets it (RFC 7644 §3.5.2).
fn read_only(place: Place<'_>) -> Error {
    Error::mutability(format!(
        "`{place}` is set by the server and cannot be changed; remove it from the attribute \
         mapping"
    ))
}

/// A `remove` whose value names nothing is no request to remove everything.
fn names_nothing(place: Place<'_>) -> Error {
    Error::invalid_value(format!(
        "a `remove` of `{place}` has a `value` that names nothing; name what to remove, or leave \
         `value` out to remove everything"
    ))
}
