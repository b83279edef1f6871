//! What the domain can say when a change is not to happen.

use std::fmt;

use scim::group::MemberKind;

use crate::catalogue::CatalogueKind;
use crate::id::{ClientId, DirectoryId, HoldId, MemberId, OrganizationId, PortalLinkId, TokenId};
use crate::organization::Provider;
use crate::role::MappingFault;

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No user of this directory has the id.
    UnknownUser(String),
    /// No group of this directory has the id.
    UnknownGroup(String),
    /// The record is not of a version that the caller is content with.
    ConditionFailed {
        /// The version that it has.
        version: u64,
    },
    /// What the vendor edits is not of a revision that the caller is content with.
    RevisionFailed,
    /// Another user of this directory has the name.
    UserNameTaken,
    /// Another group of this directory has the name.
    GroupNameTaken,
    /// These are neither users nor groups of this directory, and the directory is set to refuse
    /// them.
    UnknownMembers(Vec<String>),
    /// A group was to become a member of itself.
    MemberOfItself,
    /// The directory holds as many users as it may.
    UsersFull(u64),
    /// The directory holds as many groups as it may.
    GroupsFull(u64),
    /// As many people of the organization use the app as may.
    SeatsFull {
        /// Who tried to let somebody in.
        provider: Provider,
        /// Whom.
        user_name: String,
        /// How many may.
        max: u64,
    },
    /// Somebody is outside of the organization's domains, and it is set to refuse them.
    OutsideDomains {
        /// Who tried to let them in.
        provider: Provider,
        /// Whom.
        user_name: String,
        /// Where they are.
        domain: String,
    },
    /// The group would have more members than it may.
    MembersFull(u64),
    /// Another organization has the vendor's identifier.
    ExternalIdTaken,
    /// No organization has the id.
    UnknownOrganization(OrganizationId),
    /// The directory is not there any more.
    UnknownDirectory(DirectoryId),
    /// No schema of this directory has the URN.
    UnknownSchema,
    /// The URN is another schema's, or would be read as the name of an attribute of it.
    SchemaOverlaps(String),
    /// The schema extends another kind of resource, and what it extends does not change.
    SchemaExtendsAnother(MemberKind),
    /// The directory has as many schemas as it may.
    SchemasFull(u64),
    /// An attribute that is to go, or to have another type, has values.
    AttributeInUse {
        /// Its name, with the URN.
        path: String,
        /// How many have a value.
        count: u64,
        /// Of what.
        of: MemberKind,
    },
    /// There is no role, or no entitlement, of the id.
    UnknownEntry(CatalogueKind),
    /// There are as many roles, or entitlements, as there may be.
    CatalogueFull(u64),
    /// Somebody of this name was to be deactivated or deleted, and is protected from that.
    ProtectedUser(String),
    /// A role mapping cannot be so.
    WrongMapping(Vec<MappingFault>),
    /// The schemas of the directory were changed after the request was read by them.
    SchemasChanged,
    /// No token of this directory has the id.
    UnknownToken(TokenId),
    /// No client of this directory has the id.
    UnknownClient(ClientId),
    /// Nothing of this directory waits, or waited, under the id.
    UnknownHold(HoldId),
    /// What waited is being let out, or was: nothing can be decided about it any more.
    HoldDecided,
    /// Changes of the directory wait, and are to be decided about first.
    ChangesWait(HoldId),
    /// A shadow is no mistake that a provider could mend.
    ShadowRejected,
    /// The app has heard of people of the directory already, or changes of it wait.
    NoShadow,
    /// More people of a shadow would take a seat than there are seats left.
    SeatsFullForShadow {
        /// How many.
        people: u64,
        /// How many seats are taken by others.
        taken: u64,
        /// How many there are.
        max: u64,
    },
    /// No key has the id.
    UnknownApiKey(TokenId),
    /// The organization has as many keys as it may; or there are as many that are of none.
    ApiKeysFull(u64),
    /// No link to the portal of this organization has the id.
    UnknownPortalLink(PortalLinkId),
    /// The organization has as many links to the portal as it may.
    PortalLinksFull(u64),
    /// No member has the id.
    UnknownMember(MemberId),
    /// Another member has the address.
    EmailTaken,
    /// There are as many members as there may be.
    TeamFull(u64),
    /// Without them, nobody could invite or remove members.
    LastOwner,
    /// The organization has so many directories, and is not deleted with them.
    OrganizationInUse(u64),
    /// The directory has as many tokens as it may.
    TokensFull(u64),
    /// The directory has as many clients as it may.
    ClientsFull(u64),
    /// The client has as many secrets as it may.
    ClientSecretsFull(u64),
    /// The credential may look and not change.
    ReadOnly,
    /// The request means something that SCIM does not allow.
    Scim(scim::Error),
}

impl From<scim::Error> for Rejection {
    fn from(error: scim::Error) -> Rejection {
        Rejection::Scim(error)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::UnknownUser(id) => write!(f, "no user has the id `{id}`"),
            Rejection::UnknownGroup(id) => write!(f, "no group has the id `{id}`"),
            Rejection::ConditionFailed { version } => write!(f, "the record has version {version}"),
            Rejection::RevisionFailed => f.write_str("it was changed meanwhile"),
            Rejection::UserNameTaken => f.write_str("the `userName` is taken"),
            Rejection::GroupNameTaken => f.write_str("the `displayName` is taken"),
            Rejection::UnknownMembers(ids) => write!(f, "{} members are unknown", ids.len()),
            Rejection::MemberOfItself => f.write_str("a group cannot be its own member"),
            Rejection::UsersFull(limit) => write!(f, "the directory holds {limit} users already"),
            Rejection::GroupsFull(limit) => write!(f, "the directory holds {limit} groups already"),
            // Logs name nobody.
            Rejection::SeatsFull { max, .. } => write!(f, "all {max} seats are taken"),
            Rejection::OutsideDomains { .. } => {
                f.write_str("the person is outside of the organization's domains")
            }
            Rejection::MembersFull(limit) => write!(f, "the group would exceed {limit} members"),
            Rejection::ExternalIdTaken => f.write_str("the `external_id` is taken"),
            Rejection::UnknownOrganization(id) => write!(f, "no organization has the id `{id}`"),
            Rejection::UnknownDirectory(id) => write!(f, "no directory has the id `{id}`"),
            Rejection::UnknownSchema => f.write_str("no schema has the URN"),
            Rejection::SchemaOverlaps(urn) => write!(f, "the URN overlaps with `{urn}`"),
            Rejection::SchemaExtendsAnother(kind) => {
                write!(f, "the schema extends a {}", kind.as_str())
            }
            Rejection::SchemasFull(limit) => write!(f, "the directory has {limit} schemas already"),
            Rejection::AttributeInUse { path, count, .. } => write!(f, "{count} have a `{path}`"),
            Rejection::UnknownEntry(kind) => write!(f, "there is no such {}", kind.as_str()),
            Rejection::CatalogueFull(limit) => write!(f, "the catalogue has {limit} already"),
            Rejection::ProtectedUser(_) => f.write_str("the user is protected"),
            Rejection::WrongMapping(faults) => {
                write!(f, "the role mapping has {} mistakes", faults.len())
            }
            Rejection::SchemasChanged => f.write_str("the schemas were changed meanwhile"),
            Rejection::UnknownToken(id) => write!(f, "no token has the id `{id}`"),
            Rejection::UnknownClient(id) => write!(f, "no client has the id `{id}`"),
            Rejection::UnknownHold(id) => write!(f, "no hold has the id `{id}`"),
            Rejection::HoldDecided => f.write_str("it was decided about already"),
            Rejection::ChangesWait(id) => write!(f, "changes wait in `{id}`"),
            Rejection::ShadowRejected => f.write_str("a shadow cannot be rejected"),
            Rejection::NoShadow => f.write_str("the app has heard of the directory already"),
            Rejection::SeatsFullForShadow { people, taken, max } => {
                write!(f, "{people} people are too many where {taken} of {max} seats are taken")
            }
            Rejection::UnknownApiKey(id) => write!(f, "no API key has the id `{id}`"),
            Rejection::ApiKeysFull(limit) => write!(f, "there are {limit} such API keys already"),
            Rejection::UnknownPortalLink(id) => write!(f, "no portal link has the id `{id}`"),
            Rejection::PortalLinksFull(limit) => {
                write!(f, "the organization has {limit} portal links already")
            }
            Rejection::UnknownMember(id) => write!(f, "no member has the id `{id}`"),
            Rejection::EmailTaken => f.write_str("another member has the address"),
            Rejection::TeamFull(limit) => write!(f, "there are {limit} members already"),
            Rejection::LastOwner => f.write_str("they are the last owner"),
            Rejection::OrganizationInUse(count) => {
                write!(f, "the organization has {count} directories")
            }
            Rejection::TokensFull(limit) => write!(f, "the directory has {limit} tokens already"),
            Rejection::ClientsFull(limit) => write!(f, "the directory has {limit} clients already"),
            Rejection::ClientSecretsFull(limit) => {
                write!(f, "the client has {limit} secrets already")
            }
            Rejection::ReadOnly => f.write_str("the token may read and not write"),
            Rejection::Scim(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Rejection::Scim(error) => Some(error),
            _ => None,
        }
    }
}
