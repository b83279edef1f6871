//! Conditions on the version of what is to be changed (RFC 7644 §3.14, RFC 9110 §13).
//!
//! A condition is a part of the decision: the version is compared with the record as it is in the
//! transaction that changes it, so of two changes that were made for the same version one fails,
//! however close together they arrive.

use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::Facts;
use crate::group::{DeleteGroup, PatchGroup, ReplaceGroup};
use crate::rejection::Rejection;
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
