//! Schemas that a customer defines: what may stand in one.
//!
//! A definition is a schema document as RFC 7643 §7 writes it. What is checked here is what a schema
//! is by itself; whether it may come into a place where others are, and what becomes of values when it
//! changes, is for those to say who hold them.
//!
//! Not every characteristic of RFC 7643 can be had: one that would not be kept is refused rather than
//! published. So what `/Schemas` says is what happens.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Attribute, Mutability, ResourceType, Returned, Schema, Type, Uniqueness, builtin};
use crate::dialect;
use crate::limit::{
    SCHEMA_ATTRIBUTES_MAX, SCHEMA_BYTES_MAX, SCHEMA_DESCRIPTION_BYTES_MAX, SCHEMA_NAME_BYTES_MAX,
    SCHEMA_SUB_ATTRIBUTES_MAX, SCHEMA_SUGGESTIONS_MAX, SCHEMA_URN_BYTES_MAX,
};
use crate::path::excerpt;

/// A schema as somebody wrote it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The URN.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people: a sentence.
    #[serde(default)]
    pub description: String,
    /// In the order in which they are answered.
    pub attributes: Vec<Attribute>,
    /// Stands in documents that are copied from elsewhere.
    #[serde(default, rename = "schemas")]
    _schemas: Option<IgnoredAny>,
    /// The same.
    #[serde(default, rename = "meta")]
    _meta: Option<IgnoredAny>,
}

/// Why a definition is no schema that can be had here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong, and where.
    pub problem: String,
    /// What to do now.
    pub remedy: String,
}

impl Flaw {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Flaw {
        Flaw { problem: problem.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.problem, self.remedy)
    }
}

impl std::error::Error for Flaw {}

impl Definition {
    /// The schema, if it can be had. What follows from a type alone is said as it is: references and
    /// base 64 text compare with case (RFC 7643 §2.3.6, §2.3.7), whatever the definition says.
    ///
    /// # Errors
    ///
    /// A [`Flaw`] where a name, a type, a characteristic or a size cannot be had.
    ///
    /// ```
    /// use scim::schema::custom::Definition;
    ///
    /// let definition: Definition = serde_json::from_str(
    ///     r#"{ "id": "urn:example:scim:1.0:Badge", "name": "Badge",
    ///          "attributes": [{ "name": "floor", "type": "integer" }, { "name": "colour" }] }"#,
    /// )?;
    /// let schema = definition.check()?;
    /// assert!(!schema.attribute("COLOUR").unwrap().multi_valued);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(self) -> Result<Schema, Flaw> {
        let Definition { id, name, description, mut attributes, .. } = self;
        check_urn(&id)?;
        check_text("name", &name, SCHEMA_NAME_BYTES_MAX)?;
        if name.trim().is_empty() {
            return Err(Flaw::new("`name` is empty", "Give the schema a name for people"));
        }
        check_text("description", &description, SCHEMA_DESCRIPTION_BYTES_MAX)?;
        check_attributes("attributes", &mut attributes, None)?;
        let schema = Schema { id, name, description, attributes };
        let bytes = serde_json::to_string(&schema).map_or(usize::MAX, |text| text.len());
        if bytes > SCHEMA_BYTES_MAX {
            return Err(Flaw::new(
                format!("the schema has {bytes} bytes, and {SCHEMA_BYTES_MAX} may be"),
                "Shorten descriptions, or divide it into two schemas",
            ));
        }
        Ok(schema)
    }
}

/// The attributes that have the name of one which the resource type has by itself. RFC 7643 §3.3 would
/// rather that an extension did not do that: who writes the name without the URN means the other.
pub fn repeated<'a>(schema: &'a Schema, resource_type: &ResourceType) -> Vec<&'a str> {
    let names = schema.attributes.iter().map(|attribute| attribute.name.as_str());
    names.filter(|name| resource_type.attribute(name).is_some()).collect()
}

/// Whether one URN is the other, or would be read as the name of an attribute of it.
pub fn overlap(one: &str, other: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.get(..short.len()).is_some_and(|start| start.eq_ignore_ascii_case(short))
            && matches!(long.as_bytes().get(short.len()), None | Some(b':'))
    };
    begins(one, other) || begins(other, one)
}

/// RFC 8141 §2, less what cannot stand in a path of SCIM, in a list of names or in a URL.
fn check_urn(urn: &str) -> Result<(), Flaw> {
    let is_label = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+~".contains(&byte))
    };
    let mut parts = urn.split(':');
    let is_urn = parts.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn"))
        && parts.next().is_some_and(|namespace| {
            (2..=32).contains(&namespace.len())
                && namespace.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
        && parts.clone().next().is_some()
        && parts.all(is_label);
    if !is_urn || urn.len() > SCHEMA_URN_BYTES_MAX {
        return Err(Flaw::new(
            format!("`{}` is not a URN that a schema can have", excerpt(urn)),
            format!(
                "Write a URN such as `urn:ietf:params:scim:schemas:extension:acme:2.0:User`, of \
                 letters, digits and `-._+~` between colons, with {SCHEMA_URN_BYTES_MAX} \
                 characters at most"
            ),
        ));
    }
    let is_message = overlap(urn, "urn:ietf:params:scim:api");
    if is_message
        || dialect::schema_alias(urn).is_some()
        || builtin::URNS.iter().any(|known| overlap(urn, known))
    {
        return Err(Flaw::new(
            format!("`{}` has a meaning in SCIM already", excerpt(urn)),
            "Choose a URN of your own, such as \
             `urn:ietf:params:scim:schemas:extension:acme:2.0:User`",
        ));
    }
    Ok(())
}

fn check_text(place: &str, text: &str, bytes_max: usize) -> Result<(), Flaw> {
    if text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(Flaw::new(
            format!("`{place}` has more than {bytes_max} bytes, or control characters"),
            "Write a shorter text of one line",
        ));
    }
    Ok(())
}

/// The attributes of a schema, or the sub-attributes of `parent`.
fn check_attributes(
    place: &str,
    attributes: &mut [Attribute],
    parent: Option<&str>,
) -> Result<(), Flaw> {
    let most = if parent.is_some() { SCHEMA_SUB_ATTRIBUTES_MAX } else { SCHEMA_ATTRIBUTES_MAX };
    if attributes.is_empty() || attributes.len() > most {
        return Err(Flaw::new(
            format!("`{place}` has {} entries", attributes.len()),
            format!("Give it 1 to {most}"),
        ));
    }
    let mut names = HashSet::with_capacity(attributes.len());
    for attribute in attributes {
        check_attribute(attribute, parent)?;
        if !names.insert(attribute.name.to_ascii_lowercase()) {
            return Err(Flaw::new(
                format!("`{place}` has `{}` twice, without regard to case", attribute.name),
                "Rename one of the two",
            ));
        }
    }
    Ok(())
}

fn check_attribute(attribute: &mut Attribute, parent: Option<&str>) -> Result<(), Flaw> {
    check_name(&attribute.name, parent)?;
    let place = match parent {
        Some(parent) => format!("{parent}.{}", attribute.name),
        None => attribute.name.clone(),
    };
    check_text(
        &format!("{place}: description"),
        &attribute.description,
        SCHEMA_DESCRIPTION_BYTES_MAX,
    )?;
    check_suggestions(&place, attribute)?;
    check_characteristics(&place, attribute, parent.is_some())?;
    match attribute.kind {
        Type::Complex if parent.is_some() => Err(Flaw::new(
            format!("`{place}` is complex inside of a complex attribute"),
            "RFC 7643 §2.3.8 allows one level: give the attribute simple sub-attributes",
        )),
        Type::Complex => {
            let parts = format!("{place}: subAttributes");
            check_attributes(&parts, &mut attribute.sub_attributes, Some(&place))
        }
        _ if !attribute.sub_attributes.is_empty() => Err(Flaw::new(
            format!("`{place}` has `subAttributes` and is not complex"),
            "Give it the type `complex`, or leave `subAttributes` out",
        )),
        _ => Ok(()),
    }
}

/// RFC 7643 §2.1: a letter, then letters, digits, `$`, `-` and `_`. `$ref` breaks the rule and is
/// RFC 7643's own.
fn check_name(name: &str, parent: Option<&str>) -> Result<(), Flaw> {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= SCHEMA_NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$-_".contains(&byte));
    let is_reference = name == "$ref" && parent.is_some();
    if !is_name && !is_reference {
        return Err(Flaw::new(
            format!("`{}` is not the name of an attribute", excerpt(name)),
            format!(
                "Begin with a letter and go on with letters, digits, `$`, `-` and `_`, \
                 {SCHEMA_NAME_BYTES_MAX} at most"
            ),
        ));
    }
    if parent.is_none() && builtin::common().iter().any(|it| it.name.eq_ignore_ascii_case(name)) {
        return Err(Flaw::new(
            format!("`{name}` belongs to every resource and not to a schema"),
            "Choose another name",
        ));
    }
    if name.eq_ignore_ascii_case("password") {
        return Err(Flaw::new("passwords are not kept here", "Leave `password` out"));
    }
    Ok(())
}

fn check_suggestions(place: &str, attribute: &Attribute) -> Result<(), Flaw> {
    let lists = [
        ("canonicalValues", &attribute.canonical_values, attribute.kind == Type::String),
        ("referenceTypes", &attribute.reference_types, attribute.kind == Type::Reference),
    ];
    for (name, values, has_a_meaning) in lists {
        if !values.is_empty() && !has_a_meaning {
            return Err(Flaw::new(
                format!("`{place}` has `{name}`, which mean nothing for its type"),
                format!("Leave `{name}` out, or choose another `type`"),
            ));
        }
        let fits = |value: &String| !value.is_empty() && value.len() <= SCHEMA_NAME_BYTES_MAX;
        if values.len() > SCHEMA_SUGGESTIONS_MAX || !values.iter().all(fits) {
            return Err(Flaw::new(
                format!("`{name}` of `{place}` are too many, too long or empty"),
                format!(
                    "Give {SCHEMA_SUGGESTIONS_MAX} at most, each with {SCHEMA_NAME_BYTES_MAX} \
                     bytes at most"
                ),
            ));
        }
    }
    Ok(())
}

fn check_characteristics(
    place: &str,
    attribute: &mut Attribute,
    is_part: bool,
) -> Result<(), Flaw> {
    match attribute.mutability {
        Mutability::ReadWrite => {}
        Mutability::Immutable if !is_part => {}
        Mutability::Immutable => {
            return Err(Flaw::new(
                format!("`{place}` is immutable by itself"),
                "Say `immutable` of the attribute that it is a part of",
            ));
        }
        Mutability::ReadOnly | Mutability::WriteOnly => {
            return Err(Flaw::new(
                format!("`{place}` could be written or read by nobody"),
                "Choose the mutability `readWrite` or `immutable`",
            ));
        }
    }
    match attribute.returned {
        Returned::Default => {}
        Returned::Always | Returned::Request if !is_part => {}
        _ => {
            return Err(Flaw::new(
                format!("`{place}` is not returned as it could be"),
                "Choose `default`, or for a whole attribute `always` or `request`",
            ));
        }
    }
    if attribute.uniqueness != Uniqueness::None {
        return Err(Flaw::new(
            format!("`{place}` is to be unique, which is not watched over in a schema of your own"),
            "Choose the uniqueness `none`",
        ));
    }
    // It is published as it is compared.
    attribute.case_exact = match attribute.kind {
        Type::Reference | Type::Binary => true,
        Type::String => attribute.case_exact,
        _ => false,
    };
    Ok(())
}
