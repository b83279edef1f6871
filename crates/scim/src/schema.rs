//! What resources are made of: attributes, schemas and resource types (RFC 7643 §2, §6, §7).
//!
//! Everything else in this crate is driven by these tables, so an extension schema that arrives
//! as data behaves like one that is built in. A [`Schema`] reads and prints itself as RFC 7643
//! §7 writes it. The built-in ones stand in [`builtin`], corrected where RFC 7643 §8.7 errs.

pub mod builtin;
pub mod custom;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A named set of attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The URN, as in `schemas` of a resource.
    pub id: String,
    /// For people: `User`.
    pub name: String,
    /// For people: a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// In the order in which they are answered.
    pub attributes: Vec<Attribute>,
}

/// One attribute of a schema, or one sub-attribute of a complex attribute (RFC 7643 §7).
///
/// Read from JSON, what is not said is as RFC 7643 §2.2 has it. A characteristic that §7 does not know
/// is refused: a misspelt one would be without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    /// The canonical spelling; compared without case.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type", default)]
    pub kind: Type,
    /// For [`Type::Complex`] only, and never complex themselves (RFC 7643 §2.3.8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Attribute>,
    /// Whether it holds a list.
    #[serde(default)]
    pub multi_valued: bool,
    /// For people: a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether a resource without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Suggestions; other values are taken too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether case matters when its text is compared.
    #[serde(default)]
    pub case_exact: bool,
    /// Who may change it.
    #[serde(default)]
    pub mutability: Mutability,
    /// When it is answered.
    #[serde(default)]
    pub returned: Returned,
    /// Among whom its value is unique.
    #[serde(default)]
    pub uniqueness: Uniqueness,
    /// For [`Type::Reference`]: what is referred to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
}

/// The data types of RFC 7643 §2.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Type {
    /// Unicode text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction.
    Decimal,
    /// A whole number, kept as 64 bits.
    Integer,
    /// An instant, RFC 3339 when we print it.
    DateTime,
    /// Base 64.
    Binary,
    /// A URI, always compared with case (RFC 7643 §2.3.7).
    Reference,
    /// A set of sub-attributes.
    Complex,
}

/// Who may change an attribute (RFC 7643 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// Only the server.
    ReadOnly,
    /// Anybody.
    #[default]
    ReadWrite,
    /// Set once, then fixed.
    Immutable,
    /// Taken and never shown.
    WriteOnly,
}

/// When an attribute is answered (RFC 7643 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    /// Whatever is asked for.
    Always,
    /// Not at all.
    Never,
    /// Unless something else is asked for.
    #[default]
    Default,
    /// Only when asked for.
    Request,
}

/// Among whom a value is unique (RFC 7643 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    /// Nobody.
    #[default]
    None,
    /// One directory.
    Server,
    /// The world.
    Global,
}

/// A kind of resource: an endpoint, a base schema, and what may extend it (RFC 7643 §6).
#[derive(Clone, Debug)]
pub struct ResourceType {
    /// `User`; also `meta.resourceType`.
    pub name: String,
    /// Below the base URL, with its slash: `/Users`.
    pub endpoint: String,
    /// For people: a sentence.
    pub description: String,
    /// The attributes at the top level of a resource.
    pub schema: Arc<Schema>,
    /// The attributes under a URN key.
    pub extensions: Vec<Extension>,
}

/// A schema that extends a resource type.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The attributes.
    pub schema: Arc<Schema>,
    /// Whether a resource without it is refused.
    pub required: bool,
}

impl Schema {
    /// The attribute of this name, in whatever case it is written (RFC 7643 §2.1).
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.attributes, name)
    }
}

impl Attribute {
    /// The sub-attribute of this name, in whatever case it is written.
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.sub_attributes, name)
    }

    /// Whether clients may set it at all.
    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }

    /// Whether clients must set it.
    pub(crate) fn is_to_be_given(&self) -> bool {
        self.required && !self.is_read_only()
    }
}

/// Attribute names are ASCII (RFC 7643 §2.1), so this is all the folding they need.
fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

impl ResourceType {
    /// A user, with the enterprise extension.
    pub fn user() -> ResourceType {
        ResourceType {
            name: "User".into(),
            endpoint: "/Users".into(),
            description: "A person".into(),
            schema: builtin::user(),
            extensions: vec![Extension { schema: builtin::enterprise_user(), required: false }],
        }
    }

    /// A group of users and groups.
    pub fn group() -> ResourceType {
        ResourceType {
            name: "Group".into(),
            endpoint: "/Groups".into(),
            description: "A group of people".into(),
            schema: builtin::group(),
            extensions: Vec::new(),
        }
    }

    /// A role of the app, as a provider's governance reads it; see [`builtin::role`].
    pub fn role() -> ResourceType {
        ResourceType {
            name: "Role".into(),
            endpoint: "/Roles".into(),
            description: "A role that people have in the app".into(),
            schema: builtin::role(),
            extensions: Vec::new(),
        }
    }

    /// Something that people are entitled to in the app; see [`builtin::entitlement`].
    pub fn entitlement() -> ResourceType {
        ResourceType {
            name: "Entitlement".into(),
            endpoint: "/Entitlements".into(),
            description: "Something that people are entitled to in the app".into(),
            schema: builtin::entitlement(),
            extensions: Vec::new(),
        }
    }

    /// The same with one more extension.
    #[must_use]
    pub fn with_extension(mut self, schema: Arc<Schema>, required: bool) -> ResourceType {
        self.extensions.push(Extension { schema, required });
        self
    }

    /// The base schema, then the extensions.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        std::iter::once(&self.schema)
            .chain(self.extensions.iter().map(|extension| &extension.schema))
    }

    /// The extension schema with this URN, in whatever case it is written (RFC 7644 §3.10).
    pub fn extension(&self, urn: &str) -> Option<&Arc<Schema>> {
        self.extensions
            .iter()
            .map(|extension| &extension.schema)
            .find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// A top-level attribute: of the base schema, or one of the common ones (`id`, `externalId`,
    /// `schemas`, `meta`; RFC 7643 §3.1), which belong to every resource.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        find(builtin::common(), name).or_else(|| self.schema.attribute(name))
    }
}

impl fmt::Display for Type {
    /// For people: "expects a …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::String => "string",
            Type::Boolean => "boolean",
            Type::Decimal => "decimal number",
            Type::Integer => "whole number",
            Type::DateTime => "date and time",
            Type::Binary => "base 64 text",
            Type::Reference => "URI",
            Type::Complex => "object",
        })
    }
}
