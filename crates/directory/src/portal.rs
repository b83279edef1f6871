//! Links to the portal: how the vendor lets an IT admin of one customer in, without an account.
//!
//! A link belongs to the browser that opens it first. So one that is passed on, or found in somebody's
//! mail later, opens nothing; and whoever made it can take it back at once.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::id::{OrganizationId, PortalLinkId};

/// Links of one organization that are good at once: some for each of its admins and consultants.
pub const PORTAL_LINKS_MAX: u64 = 100;

/// A part of the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalFeature {
    /// Choosing a provider, and connecting a directory to it by its guide.
    SetUp,
    /// Looking at users and groups.
    People,
    /// Saying who gets which role.
    Roles,
    /// Reading what the provider sent and how it was answered.
    Activity,
    /// Making, exchanging and taking back the tokens of directories.
    Tokens,
    /// Saying what becomes of changes that are held, and disconnecting a directory.
    Status,
}

impl PortalFeature {
    /// All of them, in the order in which the portal shows them.
    pub const ALL: [PortalFeature; 6] = [
        PortalFeature::SetUp,
        PortalFeature::People,
        PortalFeature::Roles,
        PortalFeature::Activity,
        PortalFeature::Tokens,
        PortalFeature::Status,
    ];

    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            PortalFeature::SetUp => "set_up",
            PortalFeature::People => "people",
            PortalFeature::Roles => "roles",
            PortalFeature::Activity => "activity",
            PortalFeature::Tokens => "tokens",
            PortalFeature::Status => "status",
        }
    }
}

/// The parts of the portal that a link opens: one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalFeatures(BTreeSet<PortalFeature>);

/// No part of the portal has the name; or there is none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPortalFeature(String);

impl fmt::Display for UnknownPortalFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = PortalFeature::ALL.map(PortalFeature::as_str).join(", ");
        write!(f, "`{}` is not a feature of the portal; use some of {known}", self.0)
    }
}

impl std::error::Error for UnknownPortalFeature {}

impl PortalFeatures {
    /// The whole portal.
    pub fn all() -> PortalFeatures {
        PortalFeatures(PortalFeature::ALL.into())
    }

    /// Reads names of features, of which there has to be one.
    pub fn new<'n>(
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<PortalFeatures, UnknownPortalFeature> {
        let read = |name: &str| {
            let found = PortalFeature::ALL.into_iter().find(|it| it.as_str() == name);
            found.ok_or_else(|| UnknownPortalFeature(name.chars().take(40).collect()))
        };
        let features = names.into_iter().map(read).collect::<Result<BTreeSet<_>, _>>()?;
        if features.is_empty() {
            return Err(UnknownPortalFeature(String::new()));
        }
        Ok(PortalFeatures(features))
    }

    /// Whether the link opens this part.
    pub fn include(&self, feature: PortalFeature) -> bool {
        self.0.contains(&feature)
    }

    /// As they stand in the API.
    pub fn as_names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|it| it.as_str())
    }
}

/// As they are kept: names with a space between them.
impl fmt::Display for PortalFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_names().collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for PortalFeatures {
    type Err = UnknownPortalFeature;

    fn from_str(text: &str) -> Result<PortalFeatures, UnknownPortalFeature> {
        PortalFeatures::new(text.split(' '))
    }
}

/// For how long a link is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortalLinkLife {
    /// To be sent to somebody, who comes and goes with it until it ends.
    Lasting(SignedDuration),
    /// To be followed at once, by somebody whom the vendor's app sends here.
    OneTime,
}

impl PortalLinkLife {
    /// How long a link is good when nobody says: IT admins answer within a week.
    pub const DEFAULT: PortalLinkLife = PortalLinkLife::Lasting(SignedDuration::from_hours(7 * 24));
    /// Hours for which one that is sent to somebody may be good.
    pub const HOURS: std::ops::RangeInclusive<i64> = 1..=90 * 24;
    /// For how long one waits to be opened that is followed at once.
    const ONE_TIME_UNOPENED: SignedDuration = SignedDuration::from_mins(5);
    /// For how long such a one is good from then on: a working day.
    pub const ONE_TIME_OPENED: SignedDuration = SignedDuration::from_hours(12);

    /// For how long it is good if nobody opens it.
    pub fn unopened(self) -> SignedDuration {
        match self {
            PortalLinkLife::Lasting(duration) => duration,
            PortalLinkLife::OneTime => PortalLinkLife::ONE_TIME_UNOPENED,
        }
    }
}

/// A link to the portal of one organization, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalLink {
    /// Its id.
    pub id: PortalLinkId,
    /// Whose portal it opens.
    pub organization_id: OrganizationId,
    /// Which parts of it.
    pub features: PortalFeatures,
    /// Whether it is to be followed at once.
    pub is_one_time: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Timestamp,
    /// When a browser opened it, which no other one can from then on.
    pub opened_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// What can be done with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalLinkState {
    /// It waits for the browser that opens it.
    Unopened,
    /// A browser has opened it, and goes in and out.
    Open,
    /// Its time is over.
    Expired,
    /// Somebody took it back.
    Revoked,
}

impl PortalLinkState {
    /// All of them.
    pub const ALL: [PortalLinkState; 4] = [
        PortalLinkState::Unopened,
        PortalLinkState::Open,
        PortalLinkState::Expired,
        PortalLinkState::Revoked,
    ];
}

impl PortalLink {
    /// What can be done with it now.
    pub fn state(&self, now: Timestamp) -> PortalLinkState {
        match (self.revoked_at, self.opened_at) {
            (Some(_), _) => PortalLinkState::Revoked,
            (None, _) if self.expires_at <= now => PortalLinkState::Expired,
            (None, Some(_)) => PortalLinkState::Open,
            (None, None) => PortalLinkState::Unopened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_as_they_are_printed() {
        let some = PortalFeatures::new(["tokens", "set_up", "tokens"]).unwrap();
        assert_eq!(some.to_string(), "set_up tokens");
        assert_eq!("set_up tokens".parse(), Ok(some.clone()));
        assert!(some.include(PortalFeature::Tokens) && !some.include(PortalFeature::Roles));
        assert_eq!(PortalFeatures::all().to_string().parse(), Ok(PortalFeatures::all()));
        for (names, unknown) in [(&[][..], ""), (&["people", "sso"][..], "sso"), (&[""][..], "")] {
            let refused = PortalFeatures::new(names.iter().copied()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("`{unknown}` is not a feature")), "{refused}");
        }
    }
}
