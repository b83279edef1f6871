//! The order of a list (RFC 7644 §3.4.2.3): a key for each resource, whose bytes are in the order
//! that the client wants.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::datetime;
use crate::dialect::Quirks;
use crate::error::Error;
use crate::limit::SORT_KEY_BYTES_MAX;
use crate::list::{Sort, SortOrder};
use crate::path::{AttributePath, Target, list};
use crate::preset::Preset;
use crate::schema::{Attribute, Mutability, ResourceType, Returned, Type};
use crate::text::fold;

/// An order on the resources of one type, ready to be asked.
///
/// ```
/// use scim::dialect::Quirks;
/// use scim::list::ListQuery;
/// use scim::{Preset, ResourceType};
/// use serde_json::json;
///
/// let query = ListQuery::parse([("sortBy", "username")].into_iter())?;
/// let sort = query.sort.unwrap().bind(&ResourceType::user(), Preset::Strict, &mut Quirks::new())?;
/// let key = |user: serde_json::Value| sort.key(user.as_object().unwrap());
/// assert!(key(json!({ "userName": "ana" })) < key(json!({ "userName": "BEN" })));
/// assert!(key(json!({ "userName": "ben" })) < key(json!({})));
/// # Ok::<(), scim::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BoundSort {
    /// `None` where this type has no such attribute, so no resource of it has a value.
    by: Option<By>,
    order: SortOrder,
}

#[derive(Clone, Debug, PartialEq)]
struct By {
    target: Target,
    kind: Type,
    case_exact: bool,
}

/// Where a resource stands in an order: its bytes are compared, and those of a list in descending
/// order from behind. Text counts up to [`SORT_KEY_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortKey(pub Vec<u8>);

/// Before the bytes of a value.
const PRESENT: u8 = 1;
/// The greatest key there is: without data, resources "are ordered last if ascending and first if
/// descending" (RFC 7644 §3.4.2.3).
const MISSING: u8 = 2;

impl Sort {
    /// Looks the name up. A list or an object stands for its `value`, as in a filter.
    ///
    /// # Errors
    ///
    /// `invalidPath` where there is no such attribute, where it is an object and none of its parts
    /// is named, or where it is never shown: the order would tell it.
    pub fn bind(
        &self,
        resource_type: &ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<BoundSort, Error> {
        self.by.resolve(resource_type, preset, quirks)?;
        self.bind_to_any(resource_type, preset, quirks)
    }

    /// The same for a list of several types: an attribute that a type does not have has no value
    /// there.
    pub fn bind_to_any(
        &self,
        resource_type: &ResourceType,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<BoundSort, Error> {
        Ok(BoundSort { by: bound(&self.by, resource_type, preset, quirks)?, order: self.order })
    }
}

fn bound(
    path: &AttributePath,
    resource_type: &ResourceType,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<Option<By>, Error> {
    let Ok(mut resolved) = path.resolve(resource_type, preset, quirks) else { return Ok(None) };
    let Some(attribute) = resolved.attribute else {
        return Err(Error::invalid_path(format!(
            "`{path}` is a whole extension, and a list is sorted by one attribute; add `:` and its name"
        )));
    };
    if resolved.sub_attribute.is_none() && attribute.kind == Type::Complex {
        resolved.sub_attribute = Some(attribute.sub_attribute("value").ok_or_else(|| {
            Error::invalid_path(format!(
                "`{path}` is an object, and a list is sorted by one of its parts: {}",
                list(attribute.sub_attributes.iter().map(|it| it.name.as_str()))
            ))
        })?);
    }
    let definition = resolved.sub_attribute.unwrap_or(attribute);
    if [attribute, definition].into_iter().any(is_hidden) {
        return Err(Error::invalid_path(format!(
            "`{path}` is never shown, so a list cannot be sorted by it"
        )));
    }
    // Only the schema of schemas has objects in objects.
    if definition.kind == Type::Complex {
        return Err(Error::invalid_path(format!("`{path}` is an object, which has no order")));
    }
    Ok(Some(By {
        target: resolved.target(),
        kind: definition.kind,
        case_exact: definition.case_exact
            || matches!(definition.kind, Type::Reference | Type::Binary),
    }))
}

fn is_hidden(definition: &Attribute) -> bool {
    definition.returned == Returned::Never || definition.mutability == Mutability::WriteOnly
}

impl BoundSort {
    /// Which way it goes.
    pub fn order(&self) -> SortOrder {
        self.order
    }

    /// The attribute whose value decides, by its canonical name; `None` where no resource of this
    /// type has it.
    pub fn target(&self) -> Option<&Target> {
        self.by.as_ref().map(|by| &by.target)
    }

    /// Where a resource in its full representation stands.
    pub fn key(&self, resource: &Map<String, Value>) -> SortKey {
        let value = self.by.as_ref().and_then(|by| by.value(resource)?.encoded(by));
        SortKey(match value {
            Some(mut bytes) => {
                bytes.insert(0, PRESENT);
                bytes
            }
            None => vec![MISSING],
        })
    }
}

impl By {
    /// "if it's a multi-valued attribute, resources are sorted by the value of the primary
    /// attribute …, if any, or else the first value in the list, if any" (RFC 7644 §3.4.2.3).
    fn value<'a>(&self, resource: &'a Map<String, Value>) -> Option<Sortable<'a>> {
        let found = match self.target.extension() {
            Some(urn) => resource.get(urn)?.get(self.target.attribute()?)?,
            None => resource.get(self.target.attribute()?)?,
        };
        let one = match found {
            Value::Array(list) => list
                .iter()
                .find(|it| it.get("primary") == Some(&Value::Bool(true)))
                .or(list.first())?,
            single => single,
        };
        match self.target.sub_attribute() {
            None => Some(Sortable(one)),
            Some(name) => match one.get(name)? {
                Value::Array(list) => list.first().map(Sortable),
                part => Some(Sortable(part)),
            },
        }
    }
}

/// A single simple value.
struct Sortable<'a>(&'a Value);

impl Sortable<'_> {
    /// Bytes in the order of the attribute's type; `None` for what counts as no value.
    fn encoded(&self, by: &By) -> Option<Vec<u8>> {
        match (by.kind, self.0) {
            (Type::Boolean, Value::Bool(flag)) => Some(vec![u8::from(*flag)]),
            (Type::Integer | Type::Decimal, Value::Number(number)) => Some(number_bytes(number)),
            (Type::DateTime, Value::String(text)) => datetime::parse(text).map(instant_bytes),
            (_, Value::String(text)) if text.is_empty() => None,
            (_, Value::String(text)) if by.case_exact => Some(cut(text)),
            (_, Value::String(text)) => Some(cut(&fold(text))),
            _ => None,
        }
    }
}

/// Whole numbers beyond 2^53 that differ by little share a place, and then the order of creation
/// decides.
fn number_bytes(number: &Number) -> Vec<u8> {
    let bits = number.as_f64().unwrap_or_default().to_bits();
    // Floating point is ordered by its bits, if those of the negative are turned around.
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    ordered.to_be_bytes().to_vec()
}

fn instant_bytes(instant: Timestamp) -> Vec<u8> {
    let nanoseconds = instant.as_nanosecond();
    // With the sign's bit turned, two's complement is ordered by its bytes.
    nanoseconds.wrapping_sub(i128::MIN).to_be_bytes().to_vec()
}

fn cut(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    bytes[..bytes.len().min(SORT_KEY_BYTES_MAX)].to_vec()
}
