//! The form of every decision.

use jiff::Timestamp;

use crate::change::Change;
use crate::facts::{Facts, Missing};
use crate::id::Ids;
use crate::rejection::Rejection;

/// Something that somebody wants to happen in one directory.
///
/// `decide` is pure: given the same facts and moment it says the same. It is run as often as
/// needed, first to find out which facts it wants, and again when a race was lost, so whatever
/// it makes must not be seen by anybody before the changes are kept.
pub trait Decide: Send + Sync + 'static {
    /// What the caller is told when the changes are kept.
    type Answer: Send + 'static;

    /// Whether it was read by the schemas of the directory, so that it may be made only while they
    /// are the same ([`ReadBy`](crate::ReadBy)). To take somebody out, no schema is read.
    const IS_READ_BY_SCHEMAS: bool = true;

    /// Says what is to change, which may be nothing: then there is no new version, no new
    /// `lastModified` and no event.
    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<Self::Answer>, Stop>;
}

/// What is to happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<A> {
    /// To be kept together or not at all, in this order.
    pub changes: Vec<Change>,
    /// To be said afterwards.
    pub answer: A,
}

impl<A> Decision<A> {
    /// Everything is already as it was asked for.
    pub fn nothing(answer: A) -> Decision<A> {
        Decision { changes: Vec::new(), answer }
    }
}

/// Time and chance, which arrive as arguments.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// When it happens.
    pub now: Timestamp,
    /// Where ids come from.
    pub ids: &'a dyn Ids,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Why there is no decision yet, or none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// These facts must be loaded first.
    Missing(Missing),
    /// It is not to happen.
    Rejected(Rejection),
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Stop {
        Stop::Missing(missing)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Stop {
        Stop::Rejected(rejection)
    }
}

impl From<scim::Error> for Stop {
    fn from(error: scim::Error) -> Stop {
        Stop::Rejected(error.into())
    }
}
