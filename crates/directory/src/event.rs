//! Entries of the log of what happened: everything that leaves Roster leaves as one.
//!
//! An event says what is so afterwards, whole, and for an update what was so before. Folding the
//! events of a directory, in the order of their numbers, gives the directory.
//!
//! A new event is a new [`EventKind`], and a place in one of the functions below that compute
//! events from a change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::administration::ApiKey;
use crate::cause::{Consequence, Of};
use crate::change::{
    ClientChange, DirectoryChange, ErasureChange, GroupChange, Membership, SchemaChange,
    TokenChange, UserChange,
};
use crate::group::Group;
use crate::id::{GroupId, ResourceId, UserId};
use crate::organization::Directory;
use crate::portal::PortalLink;
use crate::role::{Assignment, Granted, RoleStateChange, RolesChange};
use crate::user::User;

/// What an event is about. New kinds are added; a reader skips those it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of events are their documentation")]
pub enum EventKind {
    DirectoryCreated,
    DirectoryUpdated,
    DirectoryPaused,
    DirectoryResumed,
    DirectoryDisconnected,
    DirectoryDeleted,
    TokenCreated,
    TokenUpdated,
    SchemaDefined,
    SchemaRemoved,
    TokenRevoked,
    ClientCreated,
    ClientSecretAdded,
    ClientSecretRemoved,
    ClientDeleted,
    UserCreated,
    UserUpdated,
    UserDeactivated,
    UserReactivated,
    UserDeleted,
    UserErased,
    UserRolesUpdated,
    RoleMappingUpdated,
    GroupCreated,
    GroupUpdated,
    GroupDeleted,
    GroupMemberAdded,
    GroupMemberRemoved,
    WebhookEndpointDisabled,
    ApiKeyCreated,
    ApiKeyRevoked,
    HoldStarted,
    HoldApproved,
    HoldRejected,
    HoldWaiting,
    HoldExpired,
    HoldBroughtBack,
    HoldReleased,
    SeatsExceeded,
    SeatsSufficient,
    UserOutsideDomains,
    DirectorySilent,
    DirectoryHeardAgain,
    TokenExpiring,
    TokenExpired,
    ReceiptOverdue,
    PortalLinkCreated,
    PortalLinkOpened,
    PortalLinkRevoked,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 49] = [
        EventKind::DirectoryCreated,
        EventKind::DirectoryUpdated,
        EventKind::DirectoryPaused,
        EventKind::DirectoryResumed,
        EventKind::DirectoryDisconnected,
        EventKind::DirectoryDeleted,
        EventKind::TokenCreated,
        EventKind::TokenUpdated,
        EventKind::TokenRevoked,
        EventKind::ClientCreated,
        EventKind::ClientSecretAdded,
        EventKind::ClientSecretRemoved,
        EventKind::ClientDeleted,
        EventKind::SchemaDefined,
        EventKind::SchemaRemoved,
        EventKind::UserCreated,
        EventKind::UserUpdated,
        EventKind::UserDeactivated,
        EventKind::UserReactivated,
        EventKind::UserDeleted,
        EventKind::UserErased,
        EventKind::UserRolesUpdated,
        EventKind::RoleMappingUpdated,
        EventKind::GroupCreated,
        EventKind::GroupUpdated,
        EventKind::GroupDeleted,
        EventKind::GroupMemberAdded,
        EventKind::GroupMemberRemoved,
        EventKind::WebhookEndpointDisabled,
        EventKind::ApiKeyCreated,
        EventKind::ApiKeyRevoked,
        EventKind::HoldStarted,
        EventKind::HoldApproved,
        EventKind::HoldRejected,
        EventKind::HoldWaiting,
        EventKind::HoldExpired,
        EventKind::HoldBroughtBack,
        EventKind::HoldReleased,
        EventKind::SeatsExceeded,
        EventKind::SeatsSufficient,
        EventKind::UserOutsideDomains,
        EventKind::DirectorySilent,
        EventKind::DirectoryHeardAgain,
        EventKind::TokenExpiring,
        EventKind::TokenExpired,
        EventKind::ReceiptOverdue,
        EventKind::PortalLinkCreated,
        EventKind::PortalLinkOpened,
        EventKind::PortalLinkRevoked,
    ];

    /// The `type` of the event.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::DirectoryCreated => "directory.created",
            EventKind::DirectoryUpdated => "directory.updated",
            EventKind::DirectoryPaused => "directory.paused",
            EventKind::DirectoryResumed => "directory.resumed",
            EventKind::DirectoryDisconnected => "directory.disconnected",
            EventKind::DirectoryDeleted => "directory.deleted",
            EventKind::TokenCreated => "directory.token.created",
            EventKind::TokenUpdated => "directory.token.updated",
            EventKind::TokenRevoked => "directory.token.revoked",
            EventKind::ClientCreated => "directory.oauth_client.created",
            EventKind::ClientSecretAdded => "directory.oauth_client.secret_added",
            EventKind::ClientSecretRemoved => "directory.oauth_client.secret_removed",
            EventKind::ClientDeleted => "directory.oauth_client.deleted",
            EventKind::SchemaDefined => "directory.schema.defined",
            EventKind::SchemaRemoved => "directory.schema.removed",
            EventKind::UserCreated => "directory.user.created",
            EventKind::UserUpdated => "directory.user.updated",
            EventKind::UserDeactivated => "directory.user.deactivated",
            EventKind::UserReactivated => "directory.user.reactivated",
            EventKind::UserDeleted => "directory.user.deleted",
            EventKind::UserErased => "directory.user.erased",
            EventKind::UserRolesUpdated => "directory.user.roles_updated",
            EventKind::RoleMappingUpdated => "directory.role_mapping.updated",
            EventKind::GroupCreated => "directory.group.created",
            EventKind::GroupUpdated => "directory.group.updated",
            EventKind::GroupDeleted => "directory.group.deleted",
            EventKind::GroupMemberAdded => "directory.group.member_added",
            EventKind::GroupMemberRemoved => "directory.group.member_removed",
            EventKind::WebhookEndpointDisabled => "webhook.endpoint_disabled",
            EventKind::ApiKeyCreated => "api_key.created",
            EventKind::ApiKeyRevoked => "api_key.revoked",
            EventKind::HoldStarted => "directory.hold.started",
            EventKind::HoldApproved => "directory.hold.approved",
            EventKind::HoldRejected => "directory.hold.rejected",
            EventKind::HoldWaiting => "directory.hold.waiting",
            EventKind::HoldExpired => "directory.hold.expired",
            EventKind::HoldBroughtBack => "directory.hold.brought_back",
            EventKind::HoldReleased => "directory.hold.released",
            EventKind::SeatsExceeded => "organization.seats_exceeded",
            EventKind::SeatsSufficient => "organization.seats_sufficient",
            EventKind::UserOutsideDomains => "directory.user.outside_domains",
            EventKind::DirectorySilent => "directory.silent",
            EventKind::DirectoryHeardAgain => "directory.heard_again",
            EventKind::TokenExpiring => "directory.token.expiring",
            EventKind::TokenExpired => "directory.token.expired",
            EventKind::ReceiptOverdue => "directory.user.receipt_overdue",
            EventKind::PortalLinkCreated => "portal_link.created",
            EventKind::PortalLinkOpened => "portal_link.opened",
            EventKind::PortalLinkRevoked => "portal_link.revoked",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = ();

    fn from_str(text: &str) -> Result<EventKind, ()> {
        EventKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// An event before it has its number: what it is, and what it says, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The `type`.
    pub kind: EventKind,
    /// The `data`.
    pub data: String,
    /// Of what it is a consequence, where nobody asked for just this.
    pub follows_from: Option<Consequence>,
    /// Whom it is about.
    pub about: About,
}

/// Whom an event is about, so that what happened to somebody is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The user or group.
    pub resource: Option<ResourceId>,
    /// The member who comes or goes, or who somebody was before they were deleted and came back.
    pub other: Option<ResourceId>,
}

impl Draft {
    pub(crate) fn new(kind: EventKind, data: String) -> Draft {
        Draft { kind, data, follows_from: None, about: About::default() }
    }

    /// The same, of a user or a group.
    pub(crate) fn of(self, resource: ResourceId) -> Draft {
        Draft { about: About { resource: Some(resource), other: None }, ..self }
    }
}

/// What happens to a user; `None` where nobody is told.
pub(crate) fn kind_of_user(change: &UserChange) -> Option<EventKind> {
    match (change.before(), change.after()) {
        (None, Some(_)) => Some(EventKind::UserCreated),
        // What is kept beside a user is not a part of them, and nobody is told of it.
        (Some(before), Some(after)) if before.version == after.version => None,
        (Some(before), Some(after)) => Some(match (before.is_active(), after.is_active()) {
            (true, false) => EventKind::UserDeactivated,
            (false, true) => EventKind::UserReactivated,
            _ => EventKind::UserUpdated,
        }),
        (Some(_), None) => Some(EventKind::UserDeleted),
        (None, None) => None,
    }
}

pub(crate) fn of_user(change: &UserChange) -> Option<Draft> {
    let kind = kind_of_user(change)?;
    let data = match (change.before(), change.after()) {
        (None, Some(after)) => {
            let mut data = format!("{{\"user\":{}", user_text(after));
            if let Some(previous) = change.previous_user_id() {
                write!(data, ",\"previous_user_id\":\"{previous}\"").expect("text takes it");
            }
            data.push('}');
            data
        }
        (Some(before), Some(after)) => {
            let changes = compared(&told(before), &told(after));
            format!("{{\"user\":{},\"changes\":{changes}}}", user_text(after))
        }
        (Some(before), None) => format!("{{\"user\":{}}}", user_text(before)),
        (None, None) => return None,
    };
    let mut draft = Draft::new(kind, data).of(change.id());
    draft.about.other = change.previous_user_id();
    Some(draft)
}

/// One for each id that the person had: whoever knows them by it is to erase them too.
pub(crate) fn of_erasure(change: &ErasureChange) -> impl Iterator<Item = Draft> + '_ {
    let erasure = change.id();
    change.user_ids().iter().map(move |id| {
        let data = json!({
            "user": { "id": id.to_string() },
            "erasure": { "id": erasure.to_string() },
        });
        Draft::new(EventKind::UserErased, data.to_string()).of(*id)
    })
}

pub(crate) fn of_group(change: &GroupChange) -> impl Iterator<Item = Draft> + '_ {
    let first = match (change.before(), change.after()) {
        (None, Some(after)) => Some(Draft::new(
            EventKind::GroupCreated,
            format!("{{\"group\":{}}}", group_text(after)),
        )),
        (Some(before), Some(after)) if before.document != after.document => {
            let changes = compared(
                before.document.resource().attributes(),
                after.document.resource().attributes(),
            );
            Some(Draft::new(
                EventKind::GroupUpdated,
                format!("{{\"group\":{},\"changes\":{changes}}}", group_text(after)),
            ))
        }
        _ => None,
    };
    // Last, so that nobody hears of a member of a group that is gone.
    let last = match (change.before(), change.after()) {
        (Some(before), None) => Some(Draft::new(
            EventKind::GroupDeleted,
            format!("{{\"group\":{}}}", group_text(before)),
        )),
        _ => None,
    };
    // Whoever leaves a group that goes has not left it by themselves.
    let follows_from = match change.after() {
        Some(_) => change.follows_from(),
        None => Some(Consequence { kind: EventKind::GroupDeleted, of: Of::Resource(change.id()) }),
    };
    let id = change.id();
    let removed = change.removed().iter().map(|it| (EventKind::GroupMemberRemoved, it));
    let added = change.added().iter().map(|it| (EventKind::GroupMemberAdded, it));
    let group = change.after().or(change.before()).map(named).unwrap_or_default();
    let of_members = removed.chain(added).map(move |(kind, member)| Draft {
        kind,
        data: member_text(&group, member),
        follows_from,
        about: About { resource: Some(id), other: Some(member.id) },
    });
    let of_group = move |draft: Draft| draft.of(id);
    first.map(of_group).into_iter().chain(of_members).chain(last.map(of_group))
}

pub(crate) fn of_directory(change: &DirectoryChange) -> Vec<Draft> {
    let directory = change.after();
    let told = |directory: &Directory| {
        let Value::Object(told) = json!({
            "name": directory.name,
            "provider": directory.provider.as_str(),
            "settings": directory.settings,
        }) else {
            unreachable!("it is written as an object")
        };
        told
    };
    let about = json!({
        "id": directory.id.to_string(),
        "name": directory.name,
        "provider": directory.provider.as_str(),
    });
    let draft = |kind| Draft::new(kind, json!({ "directory": about }).to_string());
    let Some(before) = change.before() else { return vec![draft(EventKind::DirectoryCreated)] };
    if directory.deleted_at.is_some() {
        return vec![draft(EventKind::DirectoryDeleted)];
    }
    let mut drafts = Vec::new();
    let changes = compared(&told(before), &told(directory));
    if changes.as_object().is_some_and(|changes| !changes.is_empty()) {
        let data = json!({ "directory": about, "changes": changes }).to_string();
        drafts.push(Draft::new(EventKind::DirectoryUpdated, data));
    }
    if let Some(now) = directory.disconnected.filter(|it| before.disconnected != Some(*it)) {
        let data = json!({ "directory": about, "people": now.people.as_str() }).to_string();
        drafts.push(Draft::new(EventKind::DirectoryDisconnected, data));
        return drafts;
    }
    match (before.paused_at, directory.paused_at) {
        (None, Some(_)) => drafts.push(draft(EventKind::DirectoryPaused)),
        (Some(_), None) => drafts.push(draft(EventKind::DirectoryResumed)),
        _ => {}
    }
    drafts
}

pub(crate) fn of_token(change: &TokenChange) -> Option<Draft> {
    let (kind, token) = match (change.before(), change.after()) {
        (None, Some(after)) => (EventKind::TokenCreated, after),
        (Some(_), Some(after)) => (EventKind::TokenUpdated, after),
        (Some(before), None) => (EventKind::TokenRevoked, before),
        (None, None) => return None,
    };
    let data = json!({ "token": {
        "id": token.id.to_string(),
        "last_four": token.last_four,
        "scope": token.scope.as_str(),
        "expires_at": scim::datetime::print(token.expires_at),
    }});
    Some(Draft::new(kind, data.to_string()))
}

/// Who may ask for access tokens, and with which secrets: without these themselves.
pub(crate) fn of_client(change: &ClientChange) -> Draft {
    let (kind, client, secret) = match change {
        ClientChange::Created(client, secret) => (EventKind::ClientCreated, client, Some(secret)),
        ClientChange::SecretAdded(client, secret) => {
            (EventKind::ClientSecretAdded, client, Some(secret))
        }
        ClientChange::SecretRemoved(client, secret) => {
            (EventKind::ClientSecretRemoved, client, Some(secret))
        }
        ClientChange::Deleted(client) => (EventKind::ClientDeleted, client, None),
    };
    let mut data = json!({ "client": { "id": client.id.to_string(), "name": client.name } });
    if let Some(secret) = secret {
        data["secret"] = json!({
            "id": secret.id.to_string(),
            "last_four": secret.last_four,
            "expires_at": scim::datetime::print(secret.expires_at),
        });
    }
    Draft::new(kind, data.to_string())
}

/// What is told of a key that was made, or taken back. Keys are of no directory.
pub fn of_api_key(key: &ApiKey, kind: ApiKeyEvent) -> Draft {
    let kind = match kind {
        ApiKeyEvent::Created => EventKind::ApiKeyCreated,
        ApiKeyEvent::Revoked => EventKind::ApiKeyRevoked,
    };
    let data = json!({ "api_key": {
        "id": key.id.to_string(),
        "name": key.name,
        "last_four": key.last_four,
        "scopes": key.scopes.as_names().collect::<Vec<_>>(),
        "organization_id": key.organization_id.map(|id| id.to_string()),
        "expires_at": key.expires_at.map(scim::datetime::print),
    }});
    Draft::new(kind, data.to_string())
}

/// What happens to a key of the management API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyEvent {
    /// It was made.
    Created,
    /// It was taken back, by itself or with its organization.
    Revoked,
}

/// What is told of a link to the portal. Links are of an organization, and of no directory.
pub fn of_portal_link(link: &PortalLink, kind: PortalLinkEvent) -> Draft {
    let kind = match kind {
        PortalLinkEvent::Created => EventKind::PortalLinkCreated,
        PortalLinkEvent::Opened => EventKind::PortalLinkOpened,
        PortalLinkEvent::Revoked => EventKind::PortalLinkRevoked,
    };
    let data = json!({ "portal_link": {
        "id": link.id.to_string(),
        "organization_id": link.organization_id.to_string(),
        "features": link.features.as_names().collect::<Vec<_>>(),
        "expires_at": scim::datetime::print(link.expires_at),
    }});
    Draft::new(kind, data.to_string())
}

/// What happens to a link to the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortalLinkEvent {
    /// It was made.
    Created,
    /// A browser has opened it; no other one can from then on.
    Opened,
    /// It was taken back.
    Revoked,
}

/// The URN is enough: whoever wants the attributes asks for them.
pub(crate) fn of_schema(change: &SchemaChange) -> Option<Draft> {
    let kind = match change.after() {
        Some(_) => EventKind::SchemaDefined,
        None => EventKind::SchemaRemoved,
    };
    let schema = change.after().or(change.before())?;
    let data = json!({ "schema": {
        "urn": schema.schema.id,
        "resource_type": schema.extends.as_str(),
        "required": schema.required,
    }});
    Some(Draft::new(kind, data.to_string()))
}

pub(crate) fn of_roles(change: &RolesChange) -> Option<Draft> {
    let (user, name, groups) = (change.user(), change.user_name(), change.group_names());
    let draft = between_roles(user, name, change.before(), change.after(), groups)?;
    Some(Draft { follows_from: change.follows_from(), ..draft })
}

/// What somebody of this name is in the app now, each role with its reason, and what they were; with what
/// groups are called. Another reason for the same roles is nothing that an app acts on.
pub fn between_roles(
    user: UserId,
    name: &str,
    before: &Assignment,
    after: &Assignment,
    groups: &BTreeMap<GroupId, String>,
) -> Option<Draft> {
    if before.has_the_roles_of(after) {
        return None;
    }
    let ids = |of: &Assignment| of.roles().map(ToString::to_string).collect::<Vec<_>>();
    let data = json!({
        "user": { "id": user.to_string(), "userName": name },
        "roles": kept_roles(after.granted(), name, groups),
        "changes": { "roles": { "old": ids(before), "new": ids(after) } },
    });
    Some(Draft::new(EventKind::UserRolesUpdated, data.to_string()).of(user))
}

/// Which version there is now: whoever wants the mapping asks for it.
pub(crate) fn of_role_state(change: &RoleStateChange) -> Option<Draft> {
    let data = json!({ "role_mapping": { "version": change.after().version } });
    let draft = Draft::new(EventKind::RoleMappingUpdated, data.to_string());
    let draft = Draft { follows_from: change.follows_from(), ..draft };
    change.is_of_the_mapping().then_some(draft)
}

/// The user whole, without `password`, which nobody has, and without groups, which have events of
/// their own.
fn user_text(user: &User) -> String {
    match told(user) {
        Cow::Borrowed(_) => with_id(user.id, user.document.text()),
        Cow::Owned(attributes) => with_id(user.id, &Value::Object(attributes).to_string()),
    }
}

/// A user as events tell of them, of what is kept: the attributes, and whether the person may use the
/// app.
pub fn kept_user(id: ResourceId, text: &str, is_active: bool) -> String {
    let said = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    let mut attributes = if is_active { None } else { said(text) };
    attributes.take_if(|it| it.get("active").is_some_and(Value::is_boolean));
    match attributes {
        None => with_id(id, text),
        Some(mut attributes) => {
            attributes.insert("active".to_owned(), Value::Bool(false));
            with_id(id, &Value::Object(attributes).to_string())
        }
    }
}

/// A group as events tell of it, of the attributes that are kept.
pub fn kept_group(id: ResourceId, text: &str) -> String {
    with_id(id, text)
}

/// The roles of somebody of this name as events tell of them, the highest first, each with its reason;
/// with what groups are called.
pub fn kept_roles(roles: &[Granted], of: &str, groups: &BTreeMap<GroupId, String>) -> Value {
    let told = |granted: &Granted| {
        let group = granted.reason.group().and_then(|id| groups.get(&id)).map(String::as_str);
        let reason = granted.reason.told_of(of, group).to_string();
        json!({ "value": granted.role.as_str(), "reason": reason })
    };
    roles.iter().map(told).collect()
}

/// The attributes of a user as the vendor is told them. Where the provider took away the word of
/// somebody who may not use the app, that is still said: an app that reads nothing means yes.
pub(crate) fn told(user: &User) -> Cow<'_, Map<String, Value>> {
    let attributes = user.document.resource().attributes();
    if user.is_active() || user.document.says_active().is_some() {
        return Cow::Borrowed(attributes);
    }
    let mut attributes = attributes.clone();
    attributes.insert("active".to_owned(), Value::Bool(false));
    Cow::Owned(attributes)
}

fn group_text(group: &Group) -> String {
    with_id(group.id, group.document.text())
}

fn with_id(id: ResourceId, text: &str) -> String {
    match text {
        "{}" => format!("{{\"id\":\"{id}\"}}"),
        text => format!("{{\"id\":\"{id}\",{}", &text[1..]),
    }
}

/// The group by id and name only: a group of 500,000 has as many events that say it.
fn named(group: &Group) -> String {
    let name = Value::from(group.display_name());
    format!("{{\"id\":\"{}\",\"displayName\":{name}}}", group.id)
}

pub(crate) fn member_text(group: &str, member: &Membership) -> String {
    format!(
        "{{\"group\":{group},\"member\":{{\"value\":\"{}\",\"type\":\"{}\"}}}}",
        member.id,
        member.kind.as_str(),
    )
}

/// What changed: by attribute, the old and the new value, `null` where there was or is none.
/// Attributes of an extension stand under `URN:attribute`, so that a change of one does not carry
/// all of them.
pub(crate) fn compared(before: &Map<String, Value>, after: &Map<String, Value>) -> Value {
    let mut changes = Map::new();
    compare(before, after, "", &mut changes);
    Value::Object(changes)
}

fn compare(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    prefix: &str,
    changes: &mut Map<String, Value>,
) {
    let empty = Map::new();
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    for name in after.keys().chain(gone) {
        let (old, new) = (before.get(name), after.get(name));
        if old == new {
            continue;
        }
        if name.starts_with("urn:") && prefix.is_empty() {
            let of =
                |side: Option<&Value>| side.and_then(Value::as_object).unwrap_or(&empty).clone();
            compare(&of(old), &of(new), &format!("{name}:"), changes);
            continue;
        }
        changes.insert(format!("{prefix}{name}"), json!({ "old": old, "new": new }));
    }
}
