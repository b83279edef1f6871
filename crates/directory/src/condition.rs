//! Conditions on the version of what is to be changed (RFC 7644 §3.14, RFC 9110 §13).
//!
//! A condition is a part of the decision: the version is compared with the record as it is in the
//! transaction that changes it, so of two changes that were made for the same version one fails,
//! however close together they arrive.

use scim::etag::EntityTags;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::Facts;
use crate::group::{DeleteGroup, PatchGroup, ReplaceGroup};
use crate::organization::{DeleteDirectory, DisconnectDirectory, EditDirectory};
use crate::rejection::Rejection;
use crate::schemas::{CustomSchema, DefineSchema, RemoveSchema};
use crate::secret::hex;
use crate::user::{DeleteUser, PatchUser, ReplaceUser};

/// What a caller asks of the version of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// It must be among these: `If-Match`.
    pub among: Option<Versions>,
    /// It must not be among these: `If-None-Match`.
    pub not_among: Option<Versions>,
}

/// Versions that a caller names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Every one of a record that exists: `*`.
    Every,
    /// These.
    These(Vec<u64>),
}

impl Versions {
    /// Whether the version is one of them.
    pub fn contain(&self, version: u64) -> bool {
        match self {
            Versions::Every => true,
            Versions::These(versions) => versions.contains(&version),
        }
    }
}

impl Condition {
    /// Whether nothing is asked.
    pub fn is_none(&self) -> bool {
        self.among.is_none() && self.not_among.is_none()
    }

    /// Whether it holds for a record of this version.
    pub fn holds(&self, version: u64) -> bool {
        self.among.as_ref().is_none_or(|versions| versions.contain(version))
            && self.not_among.as_ref().is_none_or(|versions| !versions.contain(version))
    }
}

/// A decision about one record that exists.
pub trait Existing: Decide {
    /// The version of the record, or the rejection that says that there is none.
    fn version(&self, facts: &Facts) -> Result<u64, Stop>;
}

/// A decision that is made only while a condition holds.
///
/// What does not exist has no version: that is said first. Then comes the condition, before
/// anything else is asked or compared.
#[derive(Clone, Debug)]
pub struct Conditional<D> {
    /// What must hold.
    pub condition: Condition,
    /// What is to happen then.
    pub decide: D,
}

impl<D: Existing> Decide for Conditional<D> {
    type Answer = D::Answer;

    const IS_READ_BY_SCHEMAS: bool = D::IS_READ_BY_SCHEMAS;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<D::Answer>, Stop> {
        let version = self.decide.version(facts)?;
        if !self.condition.holds(version) {
            return Err(Rejection::ConditionFailed { version }.into());
        }
        self.decide.decide(facts, moment)
    }
}

/// A decision about what was read by the schemas of a directory as they were at a version. When they
/// have changed since, it could keep values that nobody can read any more. A decision for which no
/// schema is read ([`Decide::IS_READ_BY_SCHEMAS`]) is made all the same.
#[derive(Clone, Debug)]
pub struct ReadBy<D> {
    /// How often the schemas had changed.
    pub schemas_version: u64,
    /// What is to happen if they have not changed again.
    pub decide: D,
}

impl<D: Decide> Decide for ReadBy<D> {
    type Answer = D::Answer;

    const IS_READ_BY_SCHEMAS: bool = D::IS_READ_BY_SCHEMAS;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<D::Answer>, Stop> {
        if D::IS_READ_BY_SCHEMAS && facts.directory()?.schemas_version != self.schemas_version {
            return Err(Rejection::SchemasChanged.into());
        }
        self.decide.decide(facts, moment)
    }
}

macro_rules! existing {
    ($existing:ident: $($decision:ty),+) => {$(
        impl Existing for $decision {
            fn version(&self, facts: &Facts) -> Result<u64, Stop> {
                Ok(facts.$existing(self.id)?.version)
            }
        }
    )+};
}

existing!(existing_user: ReplaceUser, PatchUser, DeleteUser);
existing!(existing_group: ReplaceGroup, PatchGroup, DeleteGroup);

/// What stands for the state of something that the vendor edits: of two states that differ in what
/// can be edited, each has its own. What happens by itself, such as counts and times of use, is no part
/// of it: nobody's edit is refused because a person joined meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(String);

impl Revision {
    /// Of this state.
    ///
    /// ```
    /// use directory::Revision;
    /// use serde_json::json;
    ///
    /// assert_eq!(Revision::of(&json!({ "a": 1 })), Revision::of(&json!({ "a": 1 })));
    /// assert_ne!(Revision::of(&json!({ "a": 1 })), Revision::of(&json!({ "a": 2 })));
    /// ```
    pub fn of(state: &Value) -> Revision {
        // 64 bits tell apart what people edit by hand.
        Revision(hex(&Sha256::digest(state.to_string().as_bytes())[..8]))
    }

    /// As it stands in an `ETag`, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a caller asks of the state of something that the vendor edits (RFC 9110 §13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// It must be one of these: `If-Match`.
    pub among: Option<EntityTags>,
    /// It must be none of these: `If-None-Match`.
    pub not_among: Option<EntityTags>,
}

impl Precondition {
    /// Refuses where it does not hold for what was found.
    pub fn check(&self, found: Option<&Revision>) -> Result<(), Rejection> {
        let is_one = |tags: &EntityTags| match (tags, found) {
            (_, None) => false,
            (EntityTags::Any, Some(_)) => true,
            (EntityTags::These(tags), Some(found)) => tags.contains(&found.0),
        };
        let holds =
            self.among.as_ref().is_none_or(is_one) && !self.not_among.as_ref().is_some_and(is_one);
        if holds { Ok(()) } else { Err(Rejection::RevisionFailed) }
    }
}

/// A decision about something of a directory that the vendor edits.
pub trait Revised: Decide {
    /// Its revision; `None` where it is still to be made.
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop>;
}

/// Something that is done only while a precondition holds: a decision, an edit, the deletion of what
/// has an id.
#[derive(Clone, Debug)]
pub struct Guarded<W> {
    /// What must hold.
    pub precondition: Precondition,
    /// What is to happen then.
    pub what: W,
}

impl<W> From<W> for Guarded<W> {
    fn from(what: W) -> Guarded<W> {
        Guarded { precondition: Precondition::default(), what }
    }
}

impl<D: Revised> Decide for Guarded<D> {
    type Answer = D::Answer;

    const IS_READ_BY_SCHEMAS: bool = D::IS_READ_BY_SCHEMAS;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<D::Answer>, Stop> {
        self.precondition.check(self.what.revision(facts)?.as_ref())?;
        self.what.decide(facts, moment)
    }
}

impl Revised for EditDirectory {
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop> {
        Ok(Some(facts.directory()?.directory.revision()))
    }
}

impl Revised for DeleteDirectory {
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop> {
        Ok(Some(facts.directory()?.directory.revision()))
    }
}

impl Revised for DisconnectDirectory {
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop> {
        Ok(Some(facts.directory()?.directory.revision()))
    }
}

impl Revised for DefineSchema {
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop> {
        facts.directory()?;
        let mut all = facts.schemas()?.iter();
        let found = all.find(|it| it.schema.id.eq_ignore_ascii_case(&self.schema.id));
        Ok(found.map(CustomSchema::revision))
    }
}

impl Revised for RemoveSchema {
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop> {
        facts.directory()?;
        let mut all = facts.schemas()?.iter();
        let found = all.find(|it| it.schema.id.eq_ignore_ascii_case(&self.urn));
        Ok(Some(found.ok_or(Rejection::UnknownSchema)?.revision()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_precondition_holds_for_what_it_names() {
        let (one, other) = (Revision::of(&json!(1)), Revision::of(&json!(2)));
        let check = |among: Option<&str>, not_among: Option<&str>, found, expected: bool| {
            let precondition = Precondition {
                among: among.map(EntityTags::parse),
                not_among: not_among.map(EntityTags::parse),
            };
            assert_eq!(precondition.check(found).is_ok(), expected, "{precondition:?} {found:?}");
        };
        let tag = format!("W/\"{}\"", one.as_str());
        for found in [None, Some(&one), Some(&other)] {
            check(None, None, found, true);
            check(Some("*"), None, found, found.is_some());
            check(None, Some("*"), found, found.is_none());
            check(Some(&tag), None, found, found == Some(&one));
            check(None, Some(&tag), found, found != Some(&one));
            check(Some(&tag), Some(&tag), found, false);
            check(Some("\"x\""), None, found, false);
        }
    }
}
