//! Names of attributes as clients write them (RFC 7644 §3.10), and the paths of a PATCH (§3.5.2).
//!
//! An [`AttributePath`] is a name as it was written: `userName`, `name.givenName`,
//! `urn:…:User:manager.value`. What it means depends on the resource type: only who knows the
//! URNs of its schemas can say where the URN ends and the attribute begins. [`AttributePath::resolve`]
//! looks it up and gives the definitions; [`Target`] holds the canonical names.

use std::fmt;

use crate::dialect::{Quirk, Quirks, schema_alias};
use crate::error::Error;
use crate::filter::{Filter, ValueFilter};
use crate::limit::{ATTRIBUTE_PATH_BYTES_MAX, FILTER_BYTES_MAX};
use crate::preset::Preset;
use crate::schema::{Attribute, ResourceType, Schema, builtin};

/// An attribute's name as it was written, with or without the URN of its schema and with or
/// without a sub-attribute. It is well-formed, but need not exist.
///
/// ```
/// use scim::dialect::Quirks;
/// use scim::path::AttributePath;
/// use scim::{Preset, ResourceType};
///
/// let path = AttributePath::parse("NAME.givenname")?;
/// let user = ResourceType::user();
/// let target = path.resolve(&user, Preset::Strict, &mut Quirks::new())?.target();
/// assert_eq!(target.to_string(), "name.givenName");
/// # Ok::<(), scim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributePath {
    text: String,
}

impl AttributePath {
    /// Reads a name. A malformed one is `invalidPath`.
    pub fn parse(text: &str) -> Result<AttributePath, Error> {
        if let Some(problem) = malformation(text) {
            return Err(Error::invalid_path(problem));
        }
        Ok(AttributePath { text: text.to_owned() })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the name means for this type of resource, in whatever case it is written. The longest
    /// known URN wins (`urn:a:b` and `urn:a:b:c` may both be schemas). A URN alone means the
    /// whole extension. The error is `invalidPath`.
    ///
    /// Under [`Preset::Lenient`] an attribute of an extension may be named without its URN where
    /// no other attribute has its name (Entra asks for `manager eq "…"`), and the URN may be one
    /// of those that the extension had before SCIM 2.0.
    pub fn resolve<'a>(
        &self,
        resource_type: &'a ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<Resolved<'a>, Error> {
        let text = self.text.as_str();
        let schema = resource_type
            .schemas()
            .filter(|schema| has_urn(text, &schema.id))
            .max_by_key(|schema| schema.id.len());
        let Some(schema) = schema else {
            if text.contains(':') {
                if preset == Preset::Lenient
                    && let Some(straight) = with_urn_of_rfc(text)
                {
                    quirks.note(Quirk::SchemaAlias);
                    // No alias becomes another alias, so this does not go on.
                    return straight.resolve(resource_type, preset, quirks);
                }
                return Err(Error::invalid_path(format!(
                    "`{text}` belongs to no schema of a {}; the schemas are {}",
                    resource_type.name,
                    list(resource_type.schemas().map(|schema| schema.id.as_str())),
                )));
            }
            return self.resolve_unqualified(resource_type, preset, quirks);
        };
        let is_base = schema.id == resource_type.schema.id;
        let extension = (!is_base).then_some(schema.as_ref());
        let rest = &text[schema.id.len()..];
        let Some(name) = rest.strip_prefix(':') else {
            if is_base {
                return Err(Error::invalid_path(format!(
                    "`{text}` names a whole schema where an attribute is expected: write the attribute's name after it, as in `{text}:{}`",
                    example(schema),
                )));
            }
            return Ok(Resolved { extension, attribute: None, sub_attribute: None });
        };
        let (name, sub_name) = split(name);
        let found = match extension {
            Some(schema) => schema.attribute(name),
            None => resource_type.attribute(name),
        };
        let attribute = found.ok_or_else(|| {
            Error::invalid_path(format!(
                "the schema `{}` has no attribute `{name}`; {}",
                schema.id,
                advice(name, &schema.attributes)
            ))
        })?;
        let sub_attribute = sub_attribute(attribute, sub_name)?;
        Ok(Resolved { extension, attribute: Some(attribute), sub_attribute })
    }

    fn resolve_unqualified<'a>(
        &self,
        resource_type: &'a ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<Resolved<'a>, Error> {
        let (name, sub_name) = split(&self.text);
        if let Some(attribute) = resource_type.attribute(name) {
            let sub_attribute = sub_attribute(attribute, sub_name)?;
            return Ok(Resolved { extension: None, attribute: Some(attribute), sub_attribute });
        }
        let mut candidates = resource_type
            .extensions
            .iter()
            .filter_map(|it| Some((it.schema.as_ref(), it.schema.attribute(name)?)));
        match (candidates.next(), candidates.next()) {
            (None, _) => Err(Error::invalid_path(format!(
                "a {} has no attribute `{name}`; {}",
                resource_type.name,
                advice(name, resource_type.schema.attributes.iter().chain(builtin::common()))
            ))),
            (Some((schema, attribute)), None) if preset == Preset::Lenient => {
                quirks.note(Quirk::ExtensionUrnMissing);
                let sub_attribute = sub_attribute(attribute, sub_name)?;
                Ok(Resolved { extension: Some(schema), attribute: Some(attribute), sub_attribute })
            }
            (Some((schema, attribute)), _) => Err(Error::invalid_path(format!(
                "`{name}` belongs to an extension: write it with the extension's URN, as in `{}:{}`",
                schema.id, attribute.name
            ))),
        }
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The definitions that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolved<'a> {
    /// The extension schema that the attribute belongs to; `None` for the base schema and the
    /// common attributes.
    pub extension: Option<&'a Schema>,
    /// The attribute; `None` means the extension as a whole.
    pub attribute: Option<&'a Attribute>,
    /// The sub-attribute, if one was named.
    pub sub_attribute: Option<&'a Attribute>,
}

impl Resolved<'_> {
    /// The canonical names.
    pub fn target(&self) -> Target {
        let name = |attribute: &Attribute| attribute.name.clone();
        Target {
            extension: self.extension.map(|schema| schema.id.clone()),
            attribute: self.attribute.map(name),
            sub_attribute: self.sub_attribute.map(name),
        }
    }
}

/// What a path leads to, by canonical names. It prints as a path that leads there again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub(crate) extension: Option<String>,
    pub(crate) attribute: Option<String>,
    pub(crate) sub_attribute: Option<String>,
}

impl Target {
    /// The URN of the extension that the attribute belongs to; `None` for the base schema and
    /// the common attributes. It is the key under which a resource has the extension's values.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The attribute; `None` means the extension as a whole.
    pub fn attribute(&self) -> Option<&str> {
        self.attribute.as_deref()
    }

    /// The sub-attribute, if one is meant.
    pub fn sub_attribute(&self) -> Option<&str> {
        self.sub_attribute.as_deref()
    }

    /// The member of a resource in which all of this stands: the extension, or the attribute.
    pub fn member(&self) -> Option<&str> {
        self.extension().or(self.attribute())
    }

    /// The definitions. `None` means that the resource type does not have them: the target was
    /// made with another one.
    pub fn resolve<'a>(&self, resource_type: &'a ResourceType) -> Option<Resolved<'a>> {
        let extension = match &self.extension {
            Some(urn) => Some(resource_type.extension(urn)?.as_ref()),
            None => None,
        };
        let attribute = match (&self.attribute, extension) {
            (Some(name), Some(schema)) => Some(schema.attribute(name)?),
            (Some(name), None) => Some(resource_type.attribute(name)?),
            (None, _) => None,
        };
        let sub_attribute = match (&self.sub_attribute, attribute) {
            (Some(name), Some(attribute)) => Some(attribute.sub_attribute(name)?),
            (Some(_), None) => return None,
            (None, _) => None,
        };
        Some(Resolved { extension, attribute, sub_attribute })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_target(f, self.extension(), self.attribute())?;
        match &self.sub_attribute {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

fn write_target(
    f: &mut fmt::Formatter<'_>,
    extension: Option<&str>,
    attribute: Option<&str>,
) -> fmt::Result {
    match (extension, attribute) {
        (Some(urn), Some(name)) => write!(f, "{urn}:{name}"),
        (Some(one), None) | (None, Some(one)) => f.write_str(one),
        (None, None) => Ok(()),
    }
}

/// Where a PATCH operation applies: an attribute, a sub-attribute, some values of a list, a
/// sub-attribute of those, or a whole extension. The names are canonical and exist.
///
/// It prints in its canonical form, which reads back as the same path.
///
/// ```
/// use scim::dialect::Quirks;
/// use scim::path::PatchPath;
/// use scim::{Preset, ResourceType};
///
/// let user = ResourceType::user();
/// let path = PatchPath::parse(
///     r#"EMAILS[Type eq "work"].value"#, &user, Preset::Strict, &mut Quirks::new(),
/// )?;
/// assert_eq!(path.attribute(), Some("emails"));
/// assert_eq!(path.sub_attribute(), Some("value"));
/// assert!(path.filter().unwrap().matches_value(&serde_json::json!({ "type": "Work" })));
/// assert_eq!(path.to_string(), r#"emails[type eq "work"].value"#);
/// # Ok::<(), scim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PatchPath {
    target: Target,
    filter: Option<ValueFilter>,
}

impl PatchPath {
    /// Reads a path and looks its names up.
    ///
    /// A malformed path or an unknown attribute is `invalidPath`; a malformed or impossible
    /// filter between the brackets is `invalidFilter` (RFC 7644 §3.12, Table 9).
    pub fn parse(
        text: &str,
        resource_type: &ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<PatchPath, Error> {
        let text = text.trim_matches([' ', '\t']);
        if text.len() > FILTER_BYTES_MAX {
            return Err(Error::invalid_path(format!(
                "the path has {} bytes, and at most {FILTER_BYTES_MAX} are allowed",
                text.len()
            )));
        }
        if text.starts_with('/') {
            return Err(Error::invalid_path(format!(
                "`{}` is a JSON Patch path, and SCIM has its own: write `emails`, `name.givenName` or `emails[type eq \"work\"].value`",
                excerpt(text)
            )));
        }
        let Some((name, rest)) = text.split_once('[') else {
            let resolved = AttributePath::parse(text)?.resolve(resource_type, preset, quirks)?;
            return Ok(PatchPath { target: resolved.target(), filter: None });
        };
        let Some((inner, after)) = rest.rsplit_once(']') else {
            return Err(Error::invalid_path(format!(
                "`{}` has an opening `[` and no closing `]`",
                excerpt(text)
            )));
        };
        let mut resolved = AttributePath::parse(name.trim_end_matches([' ', '\t']))?.resolve(
            resource_type,
            preset,
            quirks,
        )?;
        let attribute = match (resolved.attribute, resolved.sub_attribute) {
            (Some(attribute), None) if attribute.multi_valued => attribute,
            _ => {
                return Err(Error::invalid_path(format!(
                    "`{name}` does not hold a list, so no value of it can be chosen with `[…]`: write `{name}` alone"
                )));
            }
        };
        if !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::invalid_path(format!(
                "`{}` counts values, which SCIM does not: choose them by what they hold, as in `{name}[type eq \"work\"]`",
                excerpt(text)
            )));
        }
        let filter =
            Filter::parse_values(inner, preset, quirks)?.bind_values(attribute, preset, quirks)?;
        if let Some(sub_name) = after.strip_prefix('.') {
            AttributePath::parse(sub_name)?;
            resolved.sub_attribute = sub_attribute(attribute, Some(sub_name))?;
        } else if !after.is_empty() {
            return Err(Error::invalid_path(format!(
                "`{}` goes on after `]` with `{}`; only `.` and the name of a sub-attribute may follow",
                excerpt(text),
                excerpt(after)
            )));
        }
        Ok(PatchPath { target: resolved.target(), filter: Some(filter) })
    }

    /// The attribute, by canonical names, without the filter.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The URN of the extension that the attribute belongs to.
    pub fn extension(&self) -> Option<&str> {
        self.target.extension()
    }

    /// The attribute; `None` means the extension as a whole.
    pub fn attribute(&self) -> Option<&str> {
        self.target.attribute()
    }

    /// Which values of the list are meant; `None` means all.
    pub fn filter(&self) -> Option<&ValueFilter> {
        self.filter.as_ref()
    }

    /// The sub-attribute, if one is meant.
    pub fn sub_attribute(&self) -> Option<&str> {
        self.target.sub_attribute()
    }

    /// The definitions. `None` means that the resource type is not the one that the path was
    /// read with.
    pub fn resolve<'a>(&self, resource_type: &'a ResourceType) -> Option<Resolved<'a>> {
        self.target.resolve(resource_type)
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(filter) = &self.filter else { return self.target.fmt(f) };
        write_target(f, self.extension(), self.attribute())?;
        write!(f, "[{filter}]")?;
        match self.sub_attribute() {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

/// The name with the URN of RFC 7643 where it has one of a draft, of SCIM 1.1 or with the typing
/// error of Microsoft's documentation.
fn with_urn_of_rfc(text: &str) -> Option<AttributePath> {
    let text = if let Some(urn) = schema_alias(text) {
        urn.to_owned()
    } else {
        let (urn, name) = text.rsplit_once(':')?;
        format!("{}:{name}", schema_alias(urn)?)
    };
    Some(AttributePath { text })
}

/// Whether the text is this URN, or goes on after it with a colon.
fn has_urn(text: &str, urn: &str) -> bool {
    // `get` and not `[..]`: the text may have a wide character where the URN ends.
    text.get(..urn.len()).is_some_and(|start| start.eq_ignore_ascii_case(urn))
        && matches!(text.as_bytes().get(urn.len()), None | Some(b':'))
}

/// `name.givenName` in two. More dots are left in the second part, which then does not exist.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('.') {
        Some((name, sub_name)) => (name, Some(sub_name)),
        None => (text, None),
    }
}

fn sub_attribute<'a>(
    attribute: &'a Attribute,
    name: Option<&str>,
) -> Result<Option<&'a Attribute>, Error> {
    let Some(name) = name else { return Ok(None) };
    if let Some(found) = attribute.sub_attribute(name) {
        return Ok(Some(found));
    }
    Err(Error::invalid_path(if attribute.sub_attributes.is_empty() {
        format!("`{}` has no sub-attributes, so `.{name}` names nothing", attribute.name)
    } else {
        format!(
            "`{}` has no sub-attribute `{name}`; it has {}",
            attribute.name,
            list(attribute.sub_attributes.iter().map(|it| it.name.as_str()))
        )
    }))
}

/// What to do about a name that does not exist. A filter with a misspelt attribute is the kind of
/// mistake that an IT admin makes in a provider's form, and this text is all that is shown there.
fn advice<'a>(name: &str, attributes: impl IntoIterator<Item = &'a Attribute>) -> String {
    const EDITS_MAX: usize = 2;
    let nearest = attributes
        .into_iter()
        // In a shorter name two edits make anything of anything.
        .filter(|it| it.name.len().min(name.len()) > EDITS_MAX + 1)
        .filter(|it| it.name.len().abs_diff(name.len()) <= EDITS_MAX)
        .map(|it| (edits(&it.name, name), it))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min_by_key(|(edits, _)| *edits);
    match nearest {
        Some((_, attribute)) => format!("did you mean `{}`?", attribute.name),
        None => "check its spelling against `/Schemas`".to_owned(),
    }
}

/// How many letters must be added, removed or changed to make one name of the other
/// (Levenshtein), without regard to case.
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.bytes().enumerate() {
            let change = diagonal + usize::from(!from.eq_ignore_ascii_case(&to));
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// What is wrong with a name, if anything is.
fn malformation(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("an attribute's name is missing".to_owned());
    }
    if text.len() > ATTRIBUTE_PATH_BYTES_MAX {
        return Some(format!("`{}` is too long for the name of an attribute", excerpt(text)));
    }
    if let Some(wrong) = text.chars().find(|it| !it.is_ascii_graphic() || "()[]\"'".contains(*it)) {
        return Some(format!(
            "`{}` is not the name of an attribute: `{}` cannot stand in a name",
            excerpt(text),
            wrong.escape_default()
        ));
    }
    // Where a URN ends only the schemas can say.
    if text.contains(':') {
        return None;
    }
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$')
            && part.chars().all(|it| it.is_ascii_alphanumeric() || "$_-".contains(it))
    };
    if text.split('.').count() > 2 {
        return Some(format!(
            "`{}` has too many parts: sub-attributes have no parts of their own",
            excerpt(text)
        ));
    }
    if !text.split('.').all(is_name) {
        return Some(format!(
            "`{}` is not the name of an attribute; names are like `userName` or `name.givenName`",
            excerpt(text)
        ));
    }
    None
}

/// As much of a stranger's text as fits into an error.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn example(schema: &Schema) -> &str {
    schema.attributes.first().map_or("attribute", |attribute| attribute.name.as_str())
}
