//! Roles and entitlements of the vendor's app: what there is to be had.
//!
//! This is a list of names and no more. What a provider says of who has a role stands in the `roles` of a
//! user, by the id of an entry; nothing is checked against the list there, for a provider may know of
//! roles before the app does. What the app is to go by are the roles that a mapping gives
//! ([`RoleMapping`](crate::RoleMapping)), which are entries of this list and nothing else.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::condition::Revision;

/// Entries of one kind at most: a provider reads all of them at each import.
pub const CATALOGUE_MAX: usize = 1_000;

/// Roles or entitlements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CatalogueKind {
    /// What people are in the app: an admin, an editor.
    Role,
    /// What people may have of it: a licence, a module.
    Entitlement,
}

impl CatalogueKind {
    /// The name of the resource type.
    pub fn as_str(self) -> &'static str {
        match self {
            CatalogueKind::Role => "Role",
            CatalogueKind::Entitlement => "Entitlement",
        }
    }
}

/// The vendor's own name for an entry, which never changes: the id of the resource, and the `value` in
/// the list of a user. Compared with case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct EntryId(String);

impl EntryId {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text cannot be the id of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnEntryId;

impl fmt::Display for NotAnEntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 100 letters, digits, `-`, `.`, `_` and `:`")
    }
}

impl std::error::Error for NotAnEntryId {}

impl TryFrom<String> for EntryId {
    type Error = NotAnEntryId;

    fn try_from(text: String) -> Result<EntryId, NotAnEntryId> {
        text.parse()
    }
}

impl FromStr for EntryId {
    type Err = NotAnEntryId;

    /// What stands in a URL as it is, in a filter without escapes, and is not a step up in a path.
    fn from_str(text: &str) -> Result<EntryId, NotAnEntryId> {
        const BYTES_MAX: usize = 100;
        let fits = (1..=BYTES_MAX).contains(&text.len())
            && !matches!(text, "." | "..")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
        if fits { Ok(EntryId(text.to_owned())) } else { Err(NotAnEntryId) }
    }
}

/// A role or an entitlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Which of the two.
    pub kind: CatalogueKind,
    /// By which it is found, and by which users have it.
    pub id: EntryId,
    /// The name to show.
    pub display_name: String,
    /// What it allows.
    pub description: Option<String>,
    /// The place of a role among the others: 1 is the highest, and one without a place is below all that
    /// have one.
    pub rank: Option<u16>,
    /// When it came into the list.
    pub created_at: Timestamp,
    /// When it last changed.
    pub modified_at: Timestamp,
}

impl CatalogueEntry {
    /// What can be edited of it.
    pub fn revision(&self) -> Revision {
        Revision::of(&json!([self.display_name, self.description, self.rank]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_can_stand_in_a_url() {
        for text in ["admin", "Design.EU", "a:b_c-1", &"x".repeat(100)] {
            assert_eq!(text.parse::<EntryId>().map(|id| id.to_string()).as_deref(), Ok(text));
        }
        for text in ["", ".", "..", "a b", "a/b", "ä", "a\"", &"x".repeat(101)] {
            assert_eq!(text.parse::<EntryId>(), Err(NotAnEntryId), "{text}");
        }
    }
}
