//! What has happened to one record: before and after, from which its events follow.

use std::collections::BTreeMap;

use scim::Resource;
use scim::group::MemberKind;
use scim::schema::builtin::ENTERPRISE_USER;
use serde_json::Value;

use crate::administration::{ClientSecret, OAuthClient};
use crate::cause::Consequence;
use crate::event::{self, Draft};
use crate::group::Group;
use crate::id::{ErasureId, GroupId, ResourceId, TokenId, UserId};
use crate::notice::Notice;
use crate::organization::{Directory, Token};
use crate::role::{RoleStateChange, RolesChange};
use crate::schemas::CustomSchema;
use crate::user::User;

/// A change that was decided and is to be kept. The fields are private: only the functions of
/// this crate can say that something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Of a user.
    User(UserChange),
    /// Of a group, of who belongs to it, or of both.
    Group(GroupChange),
    /// Of the directory itself.
    Directory(DirectoryChange),
    /// Of one of its tokens.
    Token(TokenChange),
    /// Of one of its schemas.
    Schema(SchemaChange),
    /// Of the roles that somebody has.
    Roles(RolesChange),
    /// Of who gets which role, and of how far everybody's roles are by it.
    RoleState(RoleStateChange),
    /// Of one of its clients of OAuth.
    Client(ClientChange),
    /// That a person is being erased.
    Erasure(ErasureChange),
    /// Nothing was changed, and somebody is to know something.
    Notice(Notice),
}

/// What happened to a user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserChange {
    before: Option<User>,
    after: Option<User>,
    previous_user_id: Option<UserId>,
}

/// What happened to a group and to its members.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupChange {
    before: Option<Group>,
    after: Option<Group>,
    added: Vec<Membership>,
    removed: Vec<Membership>,
    follows_from: Option<Consequence>,
}

/// What happened to a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryChange {
    pub(crate) before: Option<Directory>,
    pub(crate) after: Directory,
}

/// What happened to a token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenChange {
    before: Option<Token>,
    after: Option<Token>,
}

/// What happened to a schema of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    pub(crate) before: Option<CustomSchema>,
    pub(crate) after: Option<CustomSchema>,
}

/// What happened to a client of OAuth, or to its secrets. They are rows that stand by themselves: who
/// keeps these says what happened, in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientChange {
    /// It was made, with its first secret.
    Created(OAuthClient, ClientSecret),
    /// It was given another secret.
    SecretAdded(OAuthClient, ClientSecret),
    /// A secret was taken back, with all that was given for it.
    SecretRemoved(OAuthClient, ClientSecret),
    /// It was deleted, with all its secrets.
    Deleted(OAuthClient),
}

/// That a person is being erased: who was deleted with it, where they were still there, has a change of
/// their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureChange {
    pub(crate) id: ErasureId,
    pub(crate) user_ids: Vec<UserId>,
    pub(crate) is_deleted: bool,
}

/// An attribute that is not of a built-in schema, of which some users or groups have a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Use {
    /// Users, or groups.
    pub of: MemberKind,
    /// Whether it is of no schema at all, and its values are kept beside the users.
    pub is_aside: bool,
    /// The name, with the URN where it has one.
    pub path: String,
}

/// That a user or a group belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Who belongs.
    pub id: ResourceId,
    /// What they are: as we know it, not as the provider said.
    pub kind: MemberKind,
    /// The name that the provider sent with it, kept as sent.
    pub display: Option<String>,
}

/// Differences of what is counted per directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users, active or not.
    pub users: i64,
    /// Active users.
    pub active_users: i64,
    /// Groups.
    pub groups: i64,
}

impl Change {
    /// The events that follow, in order. Each is made when it is taken: a change of a group may have
    /// as many as two groups have members.
    pub fn events(&self) -> Box<dyn Iterator<Item = Draft> + '_> {
        match self {
            Change::User(change) => Box::new(event::of_user(change).into_iter()),
            Change::Group(change) => Box::new(event::of_group(change)),
            Change::Directory(change) => Box::new(event::of_directory(change).into_iter()),
            Change::Token(change) => Box::new(event::of_token(change).into_iter()),
            Change::Schema(change) => Box::new(event::of_schema(change).into_iter()),
            Change::Roles(change) => Box::new(event::of_roles(change).into_iter()),
            Change::RoleState(change) => Box::new(event::of_role_state(change).into_iter()),
            Change::Client(change) => Box::new(std::iter::once(event::of_client(change))),
            Change::Erasure(change) => Box::new(event::of_erasure(change)),
            Change::Notice(notice) => Box::new(notice.draft().into_iter()),
        }
    }

    /// How many more there are of what is counted, or fewer.
    pub fn counts(&self) -> Counts {
        fn one(is_there: bool) -> i64 {
            i64::from(is_there)
        }
        match self {
            Change::User(UserChange { before, after, .. }) => Counts {
                users: one(after.is_some()) - one(before.is_some()),
                active_users: one(after.as_ref().is_some_and(User::is_active))
                    - one(before.as_ref().is_some_and(User::is_active)),
                groups: 0,
            },
            Change::Group(GroupChange { before, after, .. }) => {
                Counts { groups: one(after.is_some()) - one(before.is_some()), ..Counts::default() }
            }
            Change::Directory(_)
            | Change::Token(_)
            | Change::Schema(_)
            | Change::Client(_)
            | Change::Erasure(_)
            | Change::Roles(_)
            | Change::RoleState(_)
            | Change::Notice(_) => Counts::default(),
        }
    }

    /// How many more have a value of which attribute, or fewer, where it is not a built-in one; with the
    /// latest value of those that have one more. Nearly always nothing, which costs a look at the names.
    pub fn uses(&self) -> BTreeMap<Use, (i64, Option<&Value>)> {
        let mut uses = BTreeMap::new();
        match self {
            Change::User(UserChange { before, after, .. }) => {
                for (user, sign) in [(before, -1), (after, 1)] {
                    let Some(user) = user else { continue };
                    note_values(user.document.resource(), MemberKind::User, sign, &mut uses);
                    for (path, value) in user.aside.iter() {
                        let path = path.clone();
                        let at = Use { of: MemberKind::User, is_aside: true, path };
                        note(&mut uses, at, sign, value);
                    }
                }
            }
            Change::Group(GroupChange { before, after, .. }) => {
                for (group, sign) in [(before, -1), (after, 1)] {
                    let Some(group) = group else { continue };
                    note_values(group.document.resource(), MemberKind::Group, sign, &mut uses);
                }
            }
            Change::Directory(_)
            | Change::Token(_)
            | Change::Schema(_)
            | Change::Client(_)
            | Change::Erasure(_)
            | Change::Roles(_)
            | Change::RoleState(_)
            | Change::Notice(_) => {}
        }
        uses.retain(|_, (difference, _)| *difference != 0);
        uses
    }
}

impl UserChange {
    pub(crate) fn created(after: User, previous_user_id: Option<UserId>) -> UserChange {
        UserChange { before: None, after: Some(after), previous_user_id }
    }

    pub(crate) fn updated(before: User, after: User) -> UserChange {
        UserChange { before: Some(before), after: Some(after), previous_user_id: None }
    }

    pub(crate) fn deleted(before: User) -> UserChange {
        UserChange { before: Some(before), after: None, previous_user_id: None }
    }

    /// Whose.
    pub fn id(&self) -> UserId {
        let user = self.after.as_ref().or(self.before.as_ref());
        user.expect("a change has a before or an after").id
    }

    /// As it was; `None` if it was not.
    pub fn before(&self) -> Option<&User> {
        self.before.as_ref()
    }

    /// As it is; `None` if it is no more.
    pub fn after(&self) -> Option<&User> {
        self.after.as_ref()
    }

    /// For a new user: the deleted one who had the same name or `externalId`.
    pub fn previous_user_id(&self) -> Option<UserId> {
        self.previous_user_id
    }
}

impl ErasureChange {
    /// What it is called.
    pub fn id(&self) -> ErasureId {
        self.id
    }

    /// Who is erased.
    pub fn user_id(&self) -> UserId {
        self.user_ids[0]
    }

    /// All ids that they had, the latest first.
    pub fn user_ids(&self) -> &[UserId] {
        &self.user_ids
    }

    /// Whether they were still there, and were deleted.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted
    }
}

impl GroupChange {
    pub(crate) fn created(after: Group, added: Vec<Membership>) -> GroupChange {
        let removed = Vec::new();
        GroupChange { before: None, after: Some(after), added, removed, follows_from: None }
    }

    pub(crate) fn updated(
        before: Group,
        after: Group,
        added: Vec<Membership>,
        removed: Vec<Membership>,
    ) -> GroupChange {
        let (before, after) = (Some(before), Some(after));
        GroupChange { before, after, added, removed, follows_from: None }
    }

    pub(crate) fn deleted(before: Group, removed: Vec<Membership>) -> GroupChange {
        let added = Vec::new();
        GroupChange { before: Some(before), after: None, added, removed, follows_from: None }
    }

    /// The same, as a consequence of something else.
    pub(crate) fn following(self, follows_from: Consequence) -> GroupChange {
        GroupChange { follows_from: Some(follows_from), ..self }
    }

    /// Of what it is a consequence, where it is one.
    pub fn follows_from(&self) -> Option<Consequence> {
        self.follows_from
    }

    /// Of which group.
    pub fn id(&self) -> GroupId {
        let group = self.after.as_ref().or(self.before.as_ref());
        group.expect("a change has a before or an after").id
    }

    /// As it was; `None` if it was not.
    pub fn before(&self) -> Option<&Group> {
        self.before.as_ref()
    }

    /// As it is; `None` if it is no more.
    pub fn after(&self) -> Option<&Group> {
        self.after.as_ref()
    }

    /// Who belongs to it now and did not before.
    pub fn added(&self) -> &[Membership] {
        &self.added
    }

    /// Who belonged to it before and does not now.
    pub fn removed(&self) -> &[Membership] {
        &self.removed
    }
}

/// The values of extensions other than the built-in one.
fn note_values<'a>(
    resource: &'a Resource,
    of: MemberKind,
    sign: i64,
    uses: &mut BTreeMap<Use, (i64, Option<&'a Value>)>,
) {
    let is_custom = |name: &str| name.contains(':') && name != ENTERPRISE_USER;
    for (urn, values) in resource.attributes().iter().filter(|(name, _)| is_custom(name)) {
        for (name, value) in values.as_object().into_iter().flatten() {
            let path = format!("{urn}:{name}");
            note(uses, Use { of, is_aside: false, path }, sign, value);
        }
    }
}

fn note<'a>(
    uses: &mut BTreeMap<Use, (i64, Option<&'a Value>)>,
    at: Use,
    sign: i64,
    value: &'a Value,
) {
    let (difference, latest) = uses.entry(at).or_default();
    *difference += sign;
    if sign > 0 {
        *latest = Some(value);
    }
}

impl SchemaChange {
    /// As it was; `None` if it was not.
    pub fn before(&self) -> Option<&CustomSchema> {
        self.before.as_ref()
    }

    /// As it is; `None` if it is no more.
    pub fn after(&self) -> Option<&CustomSchema> {
        self.after.as_ref()
    }
}

impl DirectoryChange {
    /// As it was; `None` if it was not.
    pub fn before(&self) -> Option<&Directory> {
        self.before.as_ref()
    }

    /// As it is. One that was deleted is kept as long as there are events of it.
    pub fn after(&self) -> &Directory {
        &self.after
    }
}

impl TokenChange {
    pub(crate) fn created(after: Token) -> TokenChange {
        TokenChange { before: None, after: Some(after) }
    }

    pub(crate) fn updated(before: Token, after: Token) -> TokenChange {
        TokenChange { before: Some(before), after: Some(after) }
    }

    pub(crate) fn revoked(before: Token) -> TokenChange {
        TokenChange { before: Some(before), after: None }
    }

    /// Of which token.
    pub fn id(&self) -> TokenId {
        let token = self.after.as_ref().or(self.before.as_ref());
        token.expect("a change has a before or an after").id
    }

    /// As it was; `None` if it was not.
    pub fn before(&self) -> Option<&Token> {
        self.before.as_ref()
    }

    /// As it is; `None` if it is no more.
    pub fn after(&self) -> Option<&Token> {
        self.after.as_ref()
    }
}
