//! What the audit log says of an administrative act: what was done, with what, and how that was before
//! and is after. Never a secret, and nothing of people.
//!
//! Of what has a change the entry is computed from the change, as events are. Of other acts it is made
//! here from what they did, so that there is one place to look at for what is said.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::administration::ApiKey;
use crate::catalogue::{CatalogueEntry, CatalogueKind};
use crate::cause::By;
use crate::change::{Change, ClientChange};
use crate::guards::{Domain, Safety};
use crate::id::{
    DirectoryId, EndpointId, ErasureId, HoldId, MemberId, OrganizationId, SessionId, UserId,
};
use crate::member::{FailedSignIn, MemberRole};
use crate::organization::{Directory, Organization, Token};
use crate::portal::PortalLink;
use crate::role::RoleMapping;
use crate::schemas::CustomSchema;
use crate::secret::SecretHash;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $text:literal),* $(,)?) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name),*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Action] = &[$(Action::$name),*];

            /// As it stands in the log: what it was done with, and what.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Action::$name => $text),*
                }
            }
        }
    };
}

actions! {
    /// An organization was made.
    OrganizationCreated "organization.created",
    /// It was changed.
    OrganizationUpdated "organization.updated",
    /// It was deleted.
    OrganizationDeleted "organization.deleted",
    /// A directory was made.
    DirectoryCreated "directory.created",
    /// It was changed, paused or resumed.
    DirectoryUpdated "directory.updated",
    /// It was deleted.
    DirectoryDeleted "directory.deleted",
    /// A token was made.
    TokenCreated "token.created",
    /// It is to end sooner.
    TokenUpdated "token.updated",
    /// It was taken back.
    TokenRevoked "token.revoked",
    /// A client of OAuth was made.
    ClientCreated "oauth_client.created",
    /// It was given another secret.
    ClientSecretAdded "oauth_client.secret_added",
    /// One of its secrets was taken back.
    ClientSecretRemoved "oauth_client.secret_removed",
    /// It was deleted.
    ClientDeleted "oauth_client.deleted",
    /// A schema was defined.
    SchemaDefined "schema.defined",
    /// It was changed.
    SchemaUpdated "schema.updated",
    /// It was removed.
    SchemaRemoved "schema.removed",
    /// A user was made by somebody else than the provider.
    UserCreated "user.created",
    /// It was changed.
    UserUpdated "user.updated",
    /// It was deleted.
    UserDeleted "user.deleted",
    /// All that is known of a person is to be erased.
    UserErasureBegun "user.erasure_begun",
    /// It was erased.
    UserErased "user.erased",
    /// A group was made by somebody else than the provider.
    GroupCreated "group.created",
    /// It was changed.
    GroupUpdated "group.updated",
    /// It was deleted.
    GroupDeleted "group.deleted",
    /// Nothing of a directory is let out any more before somebody has looked.
    HoldShadowBegun "hold.shadow_begun",
    /// What waited was meant so, and goes out.
    HoldApproved "hold.approved",
    /// What waits was a mistake.
    HoldRejected "hold.rejected",
    /// Who gets which role was said anew.
    RoleMappingUpdated "role_mapping.updated",
    /// What guards an organization was changed.
    SafetyUpdated "safety.updated",
    /// A role was added.
    RoleCreated "role.created",
    /// It was changed.
    RoleUpdated "role.updated",
    /// It was removed.
    RoleDeleted "role.deleted",
    /// An entitlement was added.
    EntitlementCreated "entitlement.created",
    /// It was changed.
    EntitlementUpdated "entitlement.updated",
    /// It was removed.
    EntitlementDeleted "entitlement.deleted",
    /// A key of the management API was made.
    ApiKeyCreated "api_key.created",
    /// It was taken back.
    ApiKeyRevoked "api_key.revoked",
    /// A link to the portal was made.
    PortalLinkCreated "portal_link.created",
    /// It was opened, and belongs to that browser since.
    PortalLinkOpened "portal_link.opened",
    /// It was taken back.
    PortalLinkRevoked "portal_link.revoked",
    /// Somebody was invited to the dashboard.
    MemberInvited "member.invited",
    /// They have joined.
    MemberJoined "member.joined",
    /// They have signed in.
    MemberSignedIn "member.signed_in",
    /// Somebody was not signed in as them.
    MemberSignInFailed "member.sign_in_failed",
    /// They were signed out, or signed themselves out.
    MemberSignedOut "member.signed_out",
    /// They were removed.
    MemberRemoved "member.removed",
    /// They are to choose password and code again, by a link from where the server runs.
    MemberReset "member.reset",
    /// They chose another password, or another app that shows codes.
    MemberSignInChanged "member.sign_in_changed",
    /// It was said by what members sign in.
    TeamUpdated "team.updated",
    /// The pages look otherwise.
    BrandingUpdated "branding.updated",
    /// They may do more or less than before.
    MemberRoleChanged "member.role_changed",
    /// A webhook endpoint was made.
    WebhookCreated "webhook.created",
    /// It was changed, or switched off or on.
    WebhookUpdated "webhook.updated",
    /// It was deleted.
    WebhookDeleted "webhook.deleted",
    /// It was given a new secret.
    WebhookSecretRotated "webhook.secret_rotated",
    /// A test event was sent there.
    WebhookTested "webhook.tested",
    /// Events are brought there again.
    WebhookReplayed "webhook.replayed",
    /// A key was refused what it is not for.
    RequestRefused "request.refused",
    /// A request of a provider was carried out once more.
    RequestRepeated "request.repeated",
}

impl Action {
    /// What it was done with.
    pub fn object_type(self) -> &'static str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Action, ()> {
        Action::ALL.iter().copied().find(|action| action.as_str() == text).ok_or(())
    }
}

/// What the log says of an act, beside who did it and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What was done.
    pub action: Action,
    /// With what.
    pub object_id: Option<String>,
    /// What that is called, or was.
    pub object_name: Option<String>,
    /// Whose it is; nobody's where it concerns all organizations. Of what is in a directory, this is
    /// known by the directory.
    pub organization_id: Option<OrganizationId>,
    /// In which directory.
    pub directory_id: Option<DirectoryId>,
    /// How it was; nothing of what was made.
    pub before: Option<Value>,
    /// How it is; nothing of what is gone.
    pub after: Option<Value>,
}

impl Entry {
    /// Of something by its id.
    pub fn new(action: Action, object_id: impl Into<Option<String>>) -> Entry {
        Entry {
            action,
            object_id: object_id.into(),
            object_name: None,
            organization_id: None,
            directory_id: None,
            before: None,
            after: None,
        }
    }

    fn named(self, name: &str) -> Entry {
        Entry { object_name: Some(name.to_owned()), ..self }
    }

    fn within(self, directory_id: DirectoryId) -> Entry {
        Entry { directory_id: Some(directory_id), ..self }
    }

    /// How it was, and how it is.
    #[must_use]
    pub fn states(self, before: Option<Value>, after: Option<Value>) -> Entry {
        Entry { before, after, ..self }
    }
}

/// What a change in a directory has to say, where somebody on the vendor's side has made it. What a
/// provider changes is in the log of requests and in events, and what the server does by itself is
/// nobody's act.
pub fn of_change(directory_id: DirectoryId, change: &Change, by: By) -> Option<Entry> {
    match by {
        By::ApiKey(_) | By::Operator | By::PortalLink(_) | By::Member(_) => {}
        By::Token(_) | By::Client(_) | By::Server => return None,
    }
    let made = |created, updated, deleted, (before, after): (bool, bool)| match (before, after) {
        (false, _) => created,
        (true, true) => updated,
        (true, false) => deleted,
    };
    let entry = match change {
        Change::Directory(change) => {
            let (before, after) = (change.before(), change.after());
            let is_there = after.deleted_at.is_none();
            let action = made(
                Action::DirectoryCreated,
                Action::DirectoryUpdated,
                Action::DirectoryDeleted,
                (before.is_some(), is_there),
            );
            Entry::new(action, directory_id.to_string())
                .named(&after.name)
                .states(before.map(of_directory), is_there.then(|| of_directory(after)))
        }
        Change::Token(change) => {
            let states = (change.before(), change.after());
            let action = made(
                Action::TokenCreated,
                Action::TokenUpdated,
                Action::TokenRevoked,
                (states.0.is_some(), states.1.is_some()),
            );
            Entry::new(action, change.id().to_string())
                .states(states.0.map(of_token), states.1.map(of_token))
        }
        Change::Schema(change) => {
            let (before, after) = (change.before(), change.after());
            let action = made(
                Action::SchemaDefined,
                Action::SchemaUpdated,
                Action::SchemaRemoved,
                (before.is_some(), after.is_some()),
            );
            let urn = after.or(before).map(|it| it.schema.id.clone());
            Entry::new(action, urn).states(before.map(of_schema), after.map(of_schema))
        }
        Change::Client(change) => of_client(change),
        Change::User(change) => {
            let action = made(
                Action::UserCreated,
                Action::UserUpdated,
                Action::UserDeleted,
                (change.before().is_some(), change.after().is_some()),
            );
            Entry::new(action, change.id().to_string())
        }
        Change::Erasure(change) => {
            let user_ids: Vec<_> = change.user_ids().iter().map(ToString::to_string).collect();
            let after = json!({ "erasure_id": change.id().to_string(), "user_ids": user_ids });
            Entry::new(Action::UserErasureBegun, change.user_id().to_string())
                .states(None, Some(after))
        }
        // What follows from another change is in the feed.
        Change::Group(change) if change.follows_from().is_some() => return None,
        Change::Group(change) => {
            let action = made(
                Action::GroupCreated,
                Action::GroupUpdated,
                Action::GroupDeleted,
                (change.before().is_some(), change.after().is_some()),
            );
            Entry::new(action, change.id().to_string())
        }
        Change::RoleState(change) if change.is_of_the_mapping() => {
            let (before, after) = (change.before(), change.after());
            let before = (before.version > 0).then(|| of_role_mapping(&before.mapping));
            Entry::new(Action::RoleMappingUpdated, directory_id.to_string())
                .states(before, Some(of_role_mapping(&after.mapping)))
        }
        // How far the server is, what it tells of by itself, and what follows from another change.
        Change::RoleState(_) | Change::Roles(_) | Change::Notice(_) => return None,
    };
    Some(entry.within(directory_id))
}

fn of_directory(directory: &Directory) -> Value {
    json!({
        "name": directory.name,
        "provider": directory.provider.as_str(),
        "settings": directory.settings,
        "paused": directory.paused_at.is_some(),
        "disconnected": directory.disconnected.map(|it| it.people.as_str()),
    })
}

/// Of the people whom sync takes nothing from, their ids and the roles that they keep.
fn of_role_mapping(mapping: &RoleMapping) -> Value {
    json!({
        "strategy": mapping.strategy,
        "rules": mapping.rules,
        "default_role": mapping.default_role,
        "default_group": mapping.default_group,
        "protected": mapping.protected,
    })
}

fn of_token(token: &Token) -> Value {
    json!({
        "last_four": token.last_four,
        "scope": token.scope.as_str(),
        "expires_at": scim::datetime::print(token.expires_at),
    })
}

fn of_schema(schema: &CustomSchema) -> Value {
    let attributes: Vec<_> = schema.schema.attributes.iter().map(|it| &it.name).collect();
    json!({
        "resource_type": schema.extends.as_str(),
        "required": schema.required,
        "attributes": attributes,
    })
}

/// Of a person who was erased, and how much was: the receipt.
pub fn of_erased(
    erasure_id: ErasureId,
    directory_id: DirectoryId,
    user_id: UserId,
    erased: &Value,
) -> Entry {
    let after = json!({ "erasure_id": erasure_id.to_string(), "erased": erased });
    Entry::new(Action::UserErased, user_id.to_string())
        .within(directory_id)
        .states(None, Some(after))
}

fn of_client(change: &ClientChange) -> Entry {
    let (action, client, secret) = match change {
        ClientChange::Created(client, secret) => (Action::ClientCreated, client, Some(secret)),
        ClientChange::SecretAdded(client, secret) => {
            (Action::ClientSecretAdded, client, Some(secret))
        }
        ClientChange::SecretRemoved(client, secret) => {
            (Action::ClientSecretRemoved, client, Some(secret))
        }
        ClientChange::Deleted(client) => (Action::ClientDeleted, client, None),
    };
    let state = secret.map(|secret| {
        json!({ "secret": {
            "id": secret.id.to_string(),
            "last_four": secret.last_four,
            "expires_at": scim::datetime::print(secret.expires_at),
        }})
    });
    let (before, after) = match change {
        ClientChange::SecretRemoved(..) => (state, None),
        _ => (None, state),
    };
    Entry::new(action, client.id.to_string()).named(&client.name).states(before, after)
}

/// Of what guards an organization.
pub fn of_safety(id: OrganizationId, before: &Safety, after: &Safety) -> Entry {
    let state = |it: &Safety| {
        json!({
            "seats": it.seats.map(|seats| json!({
                "limit": seats.max,
                "mode": seats.mode.as_str(),
            })),
            "domains": {
                "mode": it.domains.mode.as_str(),
                "allowed": it.domains.domains.iter().map(Domain::as_str).collect::<Vec<_>>(),
            },
            "receipt_minutes": it.receipt_minutes,
        })
    };
    Entry {
        organization_id: Some(id),
        ..Entry::new(Action::SafetyUpdated, id.to_string())
            .states(Some(state(before)), Some(state(after)))
    }
}

/// Of an organization that was made, changed or deleted.
pub fn of_organization(before: Option<&Organization>, after: Option<&Organization>) -> Entry {
    let action = match (before, after) {
        (None, _) => Action::OrganizationCreated,
        (Some(_), Some(_)) => Action::OrganizationUpdated,
        (Some(_), None) => Action::OrganizationDeleted,
    };
    let state = |it: &Organization| {
        json!({
            "name": it.name,
            "external_id": it.external_id,
            "directory_sync": it.directory_sync,
            "metadata": it.metadata,
        })
    };
    let known = after.or(before);
    Entry {
        organization_id: known.map(|it| it.id),
        object_name: known.map(|it| it.name.clone()),
        ..Entry::new(action, known.map(|it| it.id.to_string()))
    }
    .states(before.map(state), after.map(state))
}

/// Of a key that was made or taken back.
pub fn of_api_key(action: Action, key: &ApiKey) -> Entry {
    let state = Some(json!({
        "last_four": key.last_four,
        "scopes": key.scopes.as_names().collect::<Vec<_>>(),
        "organization_id": key.organization_id.map(|id| id.to_string()),
        "expires_at": key.expires_at.map(scim::datetime::print),
    }));
    let (before, after) =
        if action == Action::ApiKeyRevoked { (state, None) } else { (None, state) };
    let entry = Entry::new(action, key.id.to_string()).named(&key.name).states(before, after);
    Entry { organization_id: key.organization_id, ..entry }
}

/// Of what waits in a directory.
pub fn of_hold(action: Action, directory_id: DirectoryId, id: HoldId) -> Entry {
    Entry::new(action, id.to_string()).within(directory_id)
}

/// Of a link to the portal.
pub fn of_portal_link(action: Action, link: &PortalLink) -> Entry {
    let state = Some(json!({
        "features": link.features.to_string().split_whitespace().collect::<Vec<_>>(),
        "expires_at": scim::datetime::print(link.expires_at),
    }));
    let is_over = action == Action::PortalLinkRevoked;
    let (before, after) = if is_over { (state, None) } else { (None, state) };
    let entry = Entry::new(action, link.id.to_string()).states(before, after);
    Entry { organization_id: Some(link.organization_id), ..entry }
}

/// Of a member of the vendor's team, with the role that they have.
pub fn of_member(action: Action, id: MemberId, role: MemberRole) -> Entry {
    let state = Some(json!({ "role": role.as_str() }));
    let is_over = action == Action::MemberRemoved;
    let (before, after) = if is_over { (state, None) } else { (None, state) };
    Entry::new(action, id.to_string()).states(before, after)
}

/// Of a member who may do more or less than before.
pub fn of_member_role(id: MemberId, before: MemberRole, after: MemberRole) -> Entry {
    let state = |role: MemberRole| Some(json!({ "role": role.as_str() }));
    Entry::new(Action::MemberRoleChanged, id.to_string()).states(state(before), state(after))
}

/// Of a session of a member that has begun or ended.
pub fn of_session(action: Action, id: MemberId, session: SessionId) -> Entry {
    let state = Some(json!({ "session": session.to_string() }));
    let is_over = action == Action::MemberSignedOut;
    let (before, after) = if is_over { (state, None) } else { (None, state) };
    Entry::new(action, id.to_string()).states(before, after)
}

/// Of a session that has begun because the provider of the team says who it is.
pub fn of_proved_session(id: MemberId, session: SessionId) -> Entry {
    let state = json!({ "session": session.to_string(), "by": "provider" });
    Entry::new(Action::MemberSignedIn, id.to_string()).states(None, Some(state))
}

/// Of a member who signs in with something else from now on; neither of both is said.
pub fn of_changed_sign_in(id: MemberId, what: &'static str) -> Entry {
    Entry::new(Action::MemberSignInChanged, id.to_string())
        .states(None, Some(json!({ "changed": what })))
}

/// Of whether members have to sign in by the provider of the team.
pub fn of_team(provider_required: bool) -> Entry {
    let state = |required: bool| Some(json!({ "provider_required": required }));
    Entry::new(Action::TeamUpdated, None)
        .states(state(!provider_required), state(provider_required))
}

/// What the pages look like.
#[derive(Clone, Copy, Debug)]
pub struct Looks<'a> {
    /// What the vendor, or the app, is called.
    pub name: &'a str,
    /// The accent colour.
    pub accent: &'a str,
    /// The picture beside the name, in base 64.
    pub logo: Option<&'a str>,
}

/// Of the looks of the pages; of a picture is said by what it can be known again, and not what it shows.
pub fn of_branding(before: Option<Looks<'_>>, after: Option<Looks<'_>>) -> Entry {
    let state = |it: Looks<'_>| {
        let logo = it.logo.map(|logo| SecretHash::of(logo).as_str()[..16].to_owned());
        json!({ "name": it.name, "accent": it.accent, "logo": logo })
    };
    Entry::new(Action::BrandingUpdated, None).states(before.map(state), after.map(state))
}

/// Of somebody who was not signed in as a member.
pub fn of_failed_sign_in(id: MemberId, why: FailedSignIn) -> Entry {
    Entry::new(Action::MemberSignInFailed, id.to_string())
        .states(None, Some(json!({ "why": why.as_str() })))
}

/// Of a role or an entitlement that was added, changed or removed.
pub fn of_catalogue(
    before: Option<&CatalogueEntry>,
    after: Option<&CatalogueEntry>,
) -> Option<Entry> {
    let known = after.or(before)?;
    let action = match (known.kind, before, after) {
        (CatalogueKind::Role, None, _) => Action::RoleCreated,
        (CatalogueKind::Role, Some(_), Some(_)) => Action::RoleUpdated,
        (CatalogueKind::Role, Some(_), None) => Action::RoleDeleted,
        (CatalogueKind::Entitlement, None, _) => Action::EntitlementCreated,
        (CatalogueKind::Entitlement, Some(_), Some(_)) => Action::EntitlementUpdated,
        (CatalogueKind::Entitlement, Some(_), None) => Action::EntitlementDeleted,
    };
    let state = |it: &CatalogueEntry| json!({ "name": it.display_name, "description": it.description, "rank": it.rank });
    let entry = Entry::new(action, known.id.to_string()).named(&known.display_name);
    Some(entry.states(before.map(state), after.map(state)))
}

/// Of a webhook endpoint.
pub fn of_webhook(
    action: Action,
    id: EndpointId,
    before: Option<Value>,
    after: Option<Value>,
) -> Entry {
    Entry::new(action, id.to_string()).states(before, after)
}

/// An address without what may be a secret in it: many receivers are known by their path.
///
/// ```
/// let shown = directory::audit::shown_url("https://hooks.example:8443/T0/B1/xyz?key=1");
/// assert_eq!(shown, "https://hooks.example:8443/…");
/// assert_eq!(directory::audit::shown_url("https://a@hooks.example"), "https://hooks.example");
/// ```
pub fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    let more = if rest[end..].is_empty() { "" } else { "/…" };
    format!("{scheme}://{host}{more}")
}
