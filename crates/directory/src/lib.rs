//! What a change *means*: organizations, directories, users, groups, memberships and tokens; the
//! functions that decide; the changes they make and the events that follow.
//!
//! Everything here is a pure function of what it is given. Time and chance arrive as arguments,
//! facts arrive as [`Facts`], and what comes out is a [`Decision`]: the changes to keep and the
//! answer to give. Deciding may happen twice, because a lost race is run again.
//!
//! A [`Change`] has private fields. Only this crate makes one, and the events of a change are
//! computed from its before and after, so there is no change without its event and no event
//! without its change.

mod administration;
mod aside;
pub mod audit;
mod catalogue;
mod cause;
mod change;
pub mod client;
mod condition;
mod decide;
mod erasure;
pub mod event;
mod facts;
mod group;
mod guards;
pub mod hold;
mod id;
mod member;
mod notice;
mod organization;
mod portal;
mod rejection;
pub mod requests;
mod rhythm;
mod role;
mod schemas;
pub mod secret;
mod user;
pub mod webhook;

pub use administration::{
    ACCESS_TOKEN_MINUTES, ADDRESS_RANGES_MAX, API_KEYS_MAX, AddressRange, ApiKey, ApiScope,
    ApiScopes, CLIENT_SECRETS_MAX, CLIENTS_MAX, ClientSecret, Contact, DirectoryState,
    METADATA_ENTRIES_MAX, METADATA_NAME_MAX, METADATA_VALUE_MAX, Metadata, NotAnAddressRange,
    NotMetadata, OAuthClient, UnknownApiScope, is_lasting_refusal,
};
pub use aside::{
    ASIDE_BYTES_MAX, ASIDE_NAMES_MAX, ASIDE_NAMES_OF_DIRECTORY_MAX, AdoptAside, Adopted, Aside,
};
pub use catalogue::{CATALOGUE_MAX, CatalogueEntry, CatalogueKind, EntryId, NotAnEntryId};
pub use cause::{By, Cause, Consequence, Of};
pub use change::{
    Change, ClientChange, Counts, DirectoryChange, ErasureChange, GroupChange, Membership,
    SchemaChange, TokenChange, Use, UserChange,
};
pub use condition::{
    Condition, Conditional, Existing, Guarded, Precondition, ReadBy, Revised, Revision, Versions,
};
pub use decide::{Decide, Decision, Moment, Stop};
pub use erasure::{EraseUser, NAMES_MAX, Search, Traces, without_the_person};
pub use facts::{Facts, Missing, Taken, Want};
pub use group::{
    CreateGroup, DeleteGroup, Group, GroupOutcome, LeaveGroup, PatchGroup, ReplaceGroup,
};
pub use guards::{
    CheckDomains, DOMAINS_MAX, Domain, DomainGuard, DomainMode, Guards, NotADomain,
    RECEIPT_MINUTES, RECEIPT_MINUTES_DEFAULT, SEATS_MAX, Safety, SafetyEdit, SeatLimit, SeatMode,
};
pub use hold::{AfterHold, Brake, BrakeEdit, Hold, HoldKind, HoldOutcome, HoldState, Lost};
pub use id::{
    AuditId, ClientId, DeliveryId, DirectoryId, EndpointId, ErasureId, EventId, GroupId, HoldId,
    Ids, MemberId, OrganizationId, PortalLinkId, RequestId, ResourceId, SessionId, TokenId, UserId,
};
pub use member::{
    FailedSignIn, MEMBERS_MAX, Member, MemberRole, MemberSession, MemberStanding, ProvedPerson,
    Recognised, SESSIONS_MAX, UnknownMemberRole, as_email, email_key,
};
pub use notice::{Notice, Outsider, SeatCount};
pub use organization::{
    AfterDisconnect, CreateToken, DeleteDirectory, Directory, DirectoryHead, DisconnectDirectory,
    Disconnected, EditDirectory, Limits, NAME_MAX, OmittedMembers, Organization, Provider,
    RevokeToken, RotateToken, SILENCE_HOURS, Settings, SettingsEdit, SettingsPreset, TOKENS_MAX,
    Token, TokenScope, UnknownMembers, as_name, open_directory,
};
pub use portal::{
    PORTAL_LINKS_MAX, PortalFeature, PortalFeatures, PortalLink, PortalLinkLife, PortalLinkState,
    UnknownPortalFeature,
};
pub use rejection::Rejection;
pub use rhythm::Rhythm;
pub use role::{
    Assignment, BoundMapping, CONCERNED_MAX, CONDITIONS_MAX, Difference, Granted, Idle,
    MappingFault, MappingPlace, PROTECTED_MAX, Person, Protection, RULES_MAX, Reason, Role,
    RoleMapping, RoleState, RoleStateChange, RoleWalk, Roles, RolesChange, Rule, SaveRoleMapping,
    Strategy, WalkRoles, When, with_roles,
};
pub use schemas::{CustomSchema, DefineSchema, Defined, RemoveSchema, SCHEMAS_MAX, Types};
pub use user::{
    CreateUser, DeactivateUser, DeleteUser, Document, PatchUser, ReplaceUser, User, UserOutcome,
};
