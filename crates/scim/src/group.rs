//! Members of groups.
//!
//! A group may have 500,000 members, so they are not part of the group's [`Resource`]: a write
//! that names three of them says so as [`MemberOperation`]s, which are carried out against rows.
//!
//! [`Resource`]: crate::resource::Resource

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::admit::{Place, Reader, kind_of};
use crate::dialect::Quirk;
use crate::error::Error;
use crate::filter::ValueFilter;
use crate::limit::{GROUP_MEMBERS_MAX, STRING_BYTES_MAX};
use crate::schema::{Attribute, ResourceType, builtin};

/// One member, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id of a user or a group.
    pub value: String,
    /// What the client says that it is. Most say nothing; who keeps the rows knows better.
    pub kind: Option<MemberKind>,
    /// The name that the client sent with it, kept as sent.
    pub display: Option<String>,
}

/// What a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberKind {
    /// A person.
    #[default]
    User,
    /// A group inside a group.
    Group,
}

impl MemberKind {
    /// From `type`, in any case; `None` for what is neither.
    pub(crate) fn parse(text: &str) -> Option<MemberKind> {
        [MemberKind::User, MemberKind::Group]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    /// As `type` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberKind::User => "User",
            MemberKind::Group => "Group",
        }
    }
}

/// One change of a group's members, in the order of the request.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberOperation {
    /// These belong to the group afterwards; those who did already are left as they are.
    Add(Vec<Member>),
    /// These, by id, do not belong to the group afterwards; those who did not are no error
    /// (RFC 7644 §3.5.2.2: removing what is absent succeeds).
    Remove(Vec<String>),
    /// Exactly these belong to the group afterwards.
    Replace(Vec<Member>),
    /// Those whom the filter chooses do not belong to the group afterwards. Filters on ids alone
    /// are a [`MemberOperation::Remove`]; what is left is rare, and has to look at every member:
    /// see [`Member::matches`].
    RemoveMatching(ValueFilter),
    /// Nobody belongs to the group afterwards.
    RemoveAll,
}

impl MemberOperation {
    /// How many members it names.
    pub fn named(&self) -> usize {
        match self {
            MemberOperation::Add(members) | MemberOperation::Replace(members) => members.len(),
            MemberOperation::Remove(ids) => ids.len(),
            MemberOperation::RemoveMatching(_) | MemberOperation::RemoveAll => 0,
        }
    }
}

impl Member {
    /// Whether a filter such as `members[type eq "Group"]` chooses this member.
    pub fn matches(&self, filter: &ValueFilter) -> bool {
        filter.matches_value(&Value::Object(self.to_json()))
    }

    /// The parts that a client wrote, as they stand in `members`; `$ref` is for the caller to add.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::with_capacity(4);
        object.insert("value".into(), self.value.as_str().into());
        if let Some(kind) = self.kind {
            object.insert("type".into(), kind.as_str().into());
        }
        if let Some(display) = &self.display {
            object.insert("display".into(), display.as_str().into());
        }
        object
    }
}

/// Whether this is the attribute whose values are rows.
pub(crate) fn is_members(resource_type: &ResourceType, attribute: &Attribute) -> bool {
    resource_type.schema.id == builtin::GROUP && attribute.name == MEMBERS
}

pub(crate) const MEMBERS: &str = "members";

/// Reads the value of `members`: a list of objects, or what clients send instead: one object, an
/// id, a list of ids (as in Microsoft's collection). Each member is kept once. Nothing is skipped:
/// an element without an id is an error, for who knows what was meant.
pub(crate) fn read_members(value: Value, reader: &mut Reader<'_>) -> Result<Vec<Member>, Error> {
    let elements = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(elements) => elements,
        Value::String(text) if text.is_empty() => {
            return Err(Error::invalid_value(
                "`members` expects a list and got an empty string; send a list of members",
            ));
        }
        one @ (Value::Object(_) | Value::String(_)) if reader.forgives(Quirk::SingleForList) => {
            vec![one]
        }
        other => {
            return Err(Error::invalid_value(format!(
                "`members` expects a list and got {}",
                kind_of(&other)
            )));
        }
    };
    if elements.len() > GROUP_MEMBERS_MAX {
        return Err(Error::invalid_value(format!(
            "`members` has {} elements and a group may have {GROUP_MEMBERS_MAX}; push a smaller \
             group",
            elements.len()
        )));
    }
    let mut members = Vec::with_capacity(elements.len());
    for element in elements {
        members.push(read_member(element, reader)?);
    }
    keep_each_once(&mut members);
    Ok(members)
}

fn read_member(element: Value, reader: &mut Reader<'_>) -> Result<Member, Error> {
    let object = match element {
        Value::Object(object) => object,
        id @ Value::String(_) if reader.forgives(Quirk::TextForObject) => {
            Map::from_iter([("value".to_owned(), id)])
        }
        other => {
            return Err(Error::invalid_value(format!(
                "an element of `members` must be an object such as `{{\"value\": \"id\"}}`, and \
                 is {}",
                kind_of(&other)
            )));
        }
    };
    let (mut id, mut kind, mut display, mut reference) = (None, None, None, None);
    for (name, value) in object {
        let part = match name.to_ascii_lowercase().as_str() {
            "value" => &mut id,
            "type" => &mut kind,
            "display" => &mut display,
            "$ref" => &mut reference,
            _ => {
                reader.set_aside(Place::top(MEMBERS).part(&name), value)?;
                continue;
            }
        };
        match value {
            Value::Null => {}
            Value::String(text) if text.len() <= STRING_BYTES_MAX => *part = Some(text),
            Value::Number(number) if reader.forgives(Quirk::NumberForText) => {
                *part = Some(number.to_string());
            }
            Value::String(_) => {
                return Err(Error::invalid_value(format!(
                    "`members.{name}` may have {STRING_BYTES_MAX} bytes; send a shorter value"
                )));
            }
            other => {
                return Err(Error::invalid_value(format!(
                    "`members.{name}` expects a string and got {}",
                    kind_of(&other)
                )));
            }
        }
    }
    let value = id.filter(|id| !id.trim().is_empty()).ok_or_else(|| {
        Error::invalid_value(
            "an element of `members` has no `value`; send the id of a user or group of this \
             directory",
        )
    })?;
    let kind = kind.as_deref().and_then(MemberKind::parse).or_else(|| {
        reference.is_some_and(|url| url.contains("/Groups/")).then_some(MemberKind::Group)
    });
    Ok(Member { value, kind, display: display.filter(|text| !text.is_empty()) })
}

/// Okta and Entra repeat members now and then; the first mention stays.
fn keep_each_once(members: &mut Vec<Member>) {
    if members.len() < 2 {
        return;
    }
    let mut seen = HashSet::with_capacity(members.len());
    let is_first: Vec<bool> =
        members.iter().map(|member| seen.insert(member.value.as_str())).collect();
    let mut is_first = is_first.into_iter();
    members.retain(|_| is_first.next().expect("there is one answer for each member"));
}
