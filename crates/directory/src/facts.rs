//! What is known of one directory while decisions are made.
//!
//! A decision asks for what it wants to know. What is not known yet is [`Missing`]: whoever holds
//! the memory loads it and asks for the decision again. So a decision never says beforehand what
//! it will need, nothing is loaded that it does not need, and it can be tested with a few facts
//! set by hand. Changes that were decided are absorbed, so that the next decision of the same
//! transaction sees what the earlier ones left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::change::{Change, Membership, Use};
use crate::decide::Stop;
use crate::group::Group;
use crate::guards::Guards;
use crate::id::{DirectoryId, GroupId, ResourceId, TokenId, UserId};
use crate::notice::Notice;
use crate::organization::{DirectoryHead, Token};
use crate::rejection::Rejection;
use crate::role::{Assignment, RoleState, Roles};
use crate::schemas::CustomSchema;
use crate::user::User;
use scim::group::MemberKind;

/// What is known of one directory.
#[derive(Debug)]
pub struct Facts {
    directory_id: DirectoryId,
    head: Option<DirectoryHead>,
    users: HashMap<UserId, Option<User>>,
    user_names: HashMap<String, Option<UserId>>,
    former_users: HashMap<(String, Option<String>), Option<UserId>>,
    /// Deleted since, with their name and `externalId`: nobody else knows of them yet.
    deleted: Vec<(String, Option<String>, UserId)>,
    groups: HashMap<GroupId, Option<Group>>,
    group_names: HashMap<String, Option<GroupId>>,
    kinds: HashMap<ResourceId, Option<MemberKind>>,
    members: HashMap<GroupId, Members>,
    groups_of: HashMap<ResourceId, HashSet<GroupId>>,
    schemas: Option<Vec<CustomSchema>>,
    uses: Option<HashMap<Use, u64>>,
    /// What was decided since: nobody else knows of it yet.
    uses_since: HashMap<Use, i64>,
    tokens: HashMap<TokenId, Option<Token>>,
    token_count: Option<u64>,
    roles: Option<Arc<Roles>>,
    role_state: Option<RoleState>,
    assignments: HashMap<UserId, Assignment>,
    /// How the organization is guarded, if it is.
    guards: Option<Guards>,
    /// Whether it was told that somebody is outside of its domains.
    outsiders: HashMap<UserId, bool>,
}

/// What is known of who belongs to one group.
#[derive(Debug, Default)]
struct Members {
    /// Whether `known` is all there is to know.
    whole: bool,
    known: HashMap<ResourceId, Option<Membership>>,
}

/// Facts that a decision wants and nobody has loaded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<Want>);

/// One such fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// A user by id.
    User(UserId),
    /// Who has this name, folded.
    UserName(String),
    /// Who had this name (folded) or this `externalId` and was deleted; the latest.
    FormerUser(String, Option<String>),
    /// A group by id.
    Group(GroupId),
    /// Which group has this name, folded.
    GroupName(String),
    /// What this id is, if anything.
    Kind(ResourceId),
    /// Whether one belongs to a group.
    Member(GroupId, ResourceId),
    /// Everyone who belongs to a group.
    AllMembers(GroupId),
    /// The groups to which a user or group belongs.
    GroupsOf(ResourceId),
    /// The schemas that the directory has beside the built-in ones.
    Schemas,
    /// How many have a value of each attribute that is not of a built-in schema.
    Uses,
    /// A token by id.
    Token(TokenId),
    /// How many tokens there are, also those that have expired.
    TokenCount,
    /// The roles of the app.
    Roles,
    /// Who gets which role in the directory.
    RoleState,
    /// The roles that a user has.
    Assignment(UserId),
    /// Whether it was told that a user is outside of the organization's domains.
    Outsider(UserId),
}

impl From<Want> for Missing {
    fn from(want: Want) -> Missing {
        Missing(vec![want])
    }
}

/// Whether a name is free for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody else has it.
    Free,
    /// Somebody else has it.
    ByAnother,
}

impl Facts {
    /// Nothing is known but whether the directory exists.
    pub fn new(directory_id: DirectoryId, head: Option<DirectoryHead>) -> Facts {
        Facts {
            directory_id,
            head,
            users: HashMap::new(),
            user_names: HashMap::new(),
            former_users: HashMap::new(),
            deleted: Vec::new(),
            groups: HashMap::new(),
            group_names: HashMap::new(),
            kinds: HashMap::new(),
            members: HashMap::new(),
            groups_of: HashMap::new(),
            schemas: None,
            uses: None,
            uses_since: HashMap::new(),
            tokens: HashMap::new(),
            token_count: None,
            roles: None,
            role_state: None,
            assignments: HashMap::new(),
            guards: None,
            outsiders: HashMap::new(),
        }
    }

    /// The schemas that the directory has beside the built-in ones.
    pub fn schemas(&self) -> Result<&[CustomSchema], Missing> {
        self.schemas.as_deref().ok_or_else(|| Want::Schemas.into())
    }

    /// How many users or groups have a value of an attribute of such a schema.
    pub fn values_of(&self, of: MemberKind, path: &str) -> Result<u64, Missing> {
        let at = Use { of, is_aside: false, path: path.to_owned() };
        Ok(self.count(self.uses.as_ref().ok_or(Want::Uses)?, &at))
    }

    /// The names of what is kept beside the users of the directory.
    pub fn aside_names(&self) -> Result<HashSet<&str>, Missing> {
        let uses = self.uses.as_ref().ok_or(Want::Uses)?;
        let all = uses.keys().chain(self.uses_since.keys()).filter(|it| it.is_aside);
        Ok(all.filter(|it| self.count(uses, it) > 0).map(|it| it.path.as_str()).collect())
    }

    fn count(&self, uses: &HashMap<Use, u64>, at: &Use) -> u64 {
        let kept = uses.get(at).copied().unwrap_or_default();
        kept.saturating_add_signed(self.uses_since.get(at).copied().unwrap_or_default())
    }

    /// The directory itself.
    pub fn directory(&self) -> Result<&DirectoryHead, Rejection> {
        let head = self.head.as_ref().filter(|head| head.directory.deleted_at.is_none());
        head.ok_or(Rejection::UnknownDirectory(self.directory_id))
    }

    /// A user by id.
    pub fn user(&self, id: UserId) -> Result<Option<&User>, Missing> {
        match self.users.get(&id) {
            Some(user) => Ok(user.as_ref()),
            None => Err(Want::User(id).into()),
        }
    }

    /// A user by id, or the rejection that says there is none.
    pub(crate) fn existing_user(&self, id: UserId) -> Result<&User, Stop> {
        Ok(self.user(id)?.ok_or_else(|| Rejection::UnknownUser(id.to_string()))?)
    }

    /// Whether another user has the name.
    pub fn user_name(&self, key: &str, besides: Option<UserId>) -> Result<Taken, Missing> {
        match self.user_names.get(key) {
            Some(holder) => Ok(taken(*holder, besides)),
            None => Err(Want::UserName(key.to_owned()).into()),
        }
    }

    /// The latest deleted user with this name or this `externalId`.
    pub fn former_user(
        &self,
        key: &str,
        external_id: Option<&str>,
    ) -> Result<Option<UserId>, Missing> {
        for (name, external, id) in self.deleted.iter().rev() {
            if name == key || (external.is_some() && external.as_deref() == external_id) {
                return Ok(Some(*id));
            }
        }
        let asked = (key.to_owned(), external_id.map(str::to_owned));
        match self.former_users.get(&asked) {
            Some(id) => Ok(*id),
            None => Err(Want::FormerUser(asked.0, asked.1).into()),
        }
    }

    /// A group by id, without its members.
    pub fn group(&self, id: GroupId) -> Result<Option<&Group>, Missing> {
        match self.groups.get(&id) {
            Some(group) => Ok(group.as_ref()),
            None => Err(Want::Group(id).into()),
        }
    }

    /// A group by id, or the rejection that says there is none.
    pub(crate) fn existing_group(&self, id: GroupId) -> Result<&Group, Stop> {
        Ok(self.group(id)?.ok_or_else(|| Rejection::UnknownGroup(id.to_string()))?)
    }

    /// Whether another group has the name.
    pub fn group_name(&self, key: &str, besides: Option<GroupId>) -> Result<Taken, Missing> {
        match self.group_names.get(key) {
            Some(holder) => Ok(taken(*holder, besides)),
            None => Err(Want::GroupName(key.to_owned()).into()),
        }
    }

    /// What each of these ids is; `None` where it is nothing in this directory.
    pub fn kinds(&self, ids: &[ResourceId]) -> Result<Vec<Option<MemberKind>>, Missing> {
        let unknown = ids.iter().filter(|id| !self.kinds.contains_key(*id));
        let wanted: Vec<_> = unknown.map(|id| Want::Kind(*id)).collect();
        if !wanted.is_empty() {
            return Err(Missing(wanted));
        }
        Ok(ids.iter().map(|id| self.kinds[id]).collect())
    }

    /// Which of these belong to the group.
    pub fn members_among(
        &self,
        group: GroupId,
        ids: &[ResourceId],
    ) -> Result<Vec<&Membership>, Missing> {
        let members = self.members.get(&group);
        let is_known = |id: &ResourceId| {
            members.is_some_and(|members| members.whole || members.known.contains_key(id))
        };
        let unknown = ids.iter().filter(|id| !is_known(id));
        let wanted: Vec<_> = unknown.map(|id| Want::Member(group, *id)).collect();
        if !wanted.is_empty() {
            return Err(Missing(wanted));
        }
        let Some(members) = members else { return Ok(Vec::new()) };
        Ok(ids.iter().filter_map(|id| members.known.get(id)?.as_ref()).collect())
    }

    /// Everyone who belongs to the group, in the order of their ids.
    pub fn all_members(&self, group: GroupId) -> Result<Vec<&Membership>, Missing> {
        match self.members.get(&group) {
            Some(members) if members.whole => {
                let mut all: Vec<_> = members.known.values().flatten().collect();
                all.sort_unstable_by_key(|member| member.id);
                Ok(all)
            }
            _ => Err(Want::AllMembers(group).into()),
        }
    }

    /// A token by id.
    pub fn token(&self, id: TokenId) -> Result<Option<&Token>, Missing> {
        match self.tokens.get(&id) {
            Some(token) => Ok(token.as_ref()),
            None => Err(Want::Token(id).into()),
        }
    }

    /// How many tokens there are, also those that have expired.
    pub fn token_count(&self) -> Result<u64, Missing> {
        self.token_count.ok_or_else(|| Want::TokenCount.into())
    }

    /// The roles of the app.
    pub fn roles(&self) -> Result<&Arc<Roles>, Missing> {
        self.roles.as_ref().ok_or_else(|| Want::Roles.into())
    }

    /// Who gets which role; `None` where nobody has said so yet.
    pub fn role_state(&self) -> Result<Option<&RoleState>, Missing> {
        match (&self.role_state, &self.head) {
            (Some(state), _) => Ok(Some(state)),
            (None, Some(head)) if head.roles_version > 0 => Err(Want::RoleState.into()),
            _ => Ok(None),
        }
    }

    /// The roles that a user has.
    pub fn assignment(&self, id: UserId) -> Result<&Assignment, Missing> {
        self.assignments.get(&id).ok_or_else(|| Want::Assignment(id).into())
    }

    /// How the organization is guarded, if it is.
    pub fn guards(&self) -> Option<&Guards> {
        self.guards.as_ref()
    }

    /// Whether it was told that a user is outside of the organization's domains.
    pub(crate) fn is_outsider(&self, id: UserId) -> Result<bool, Missing> {
        self.outsiders.get(&id).copied().ok_or_else(|| Want::Outsider(id).into())
    }

    /// The groups to which a user or group belongs, in the order of their ids.
    pub fn groups_of(&self, member: ResourceId) -> Result<Vec<GroupId>, Missing> {
        match self.groups_of.get(&member) {
            Some(groups) => {
                let mut groups: Vec<_> = groups.iter().copied().collect();
                groups.sort_unstable();
                Ok(groups)
            }
            None => Err(Want::GroupsOf(member).into()),
        }
    }
}

/// All of these, or everything that is missing of them: who asks one by one is answered one by one,
/// and waits as often.
pub(crate) fn together<T>(
    asked: impl Iterator<Item = Result<T, Missing>>,
) -> Result<Vec<T>, Missing> {
    let (mut known, mut wanted) = (Vec::new(), Vec::new());
    for one in asked {
        match one {
            Ok(fact) => known.push(fact),
            Err(Missing(wants)) => wanted.extend(wants),
        }
    }
    if wanted.is_empty() { Ok(known) } else { Err(Missing(wanted)) }
}

/// Both of these, or everything that is missing of them.
pub(crate) fn both<A, B>(a: Result<A, Missing>, b: Result<B, Missing>) -> Result<(A, B), Missing> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(Missing(mut wants)), Err(Missing(more))) => {
            wants.extend(more);
            Err(Missing(wants))
        }
        (Err(missing), Ok(_)) | (Ok(_), Err(missing)) => Err(missing),
    }
}

fn taken(holder: Option<ResourceId>, besides: Option<ResourceId>) -> Taken {
    if holder.is_none() || holder == besides { Taken::Free } else { Taken::ByAnother }
}

/// What the memory says. Each answers one kind of [`Missing`], and says nothing over what has
/// been decided since.
impl Facts {
    /// There is such a user, or there is none.
    pub fn learn_user(&mut self, id: UserId, user: Option<User>) {
        self.users.entry(id).or_insert(user);
    }

    /// Who has the name.
    pub fn learn_user_name(&mut self, key: String, holder: Option<UserId>) {
        self.user_names.entry(key).or_insert(holder);
    }

    /// Who had the name or the `externalId`.
    pub fn learn_former_user(&mut self, asked: (String, Option<String>), id: Option<UserId>) {
        self.former_users.entry(asked).or_insert(id);
    }

    /// There is such a group, or there is none.
    pub fn learn_group(&mut self, id: GroupId, group: Option<Group>) {
        self.groups.entry(id).or_insert(group);
    }

    /// Which group has the name.
    pub fn learn_group_name(&mut self, key: String, holder: Option<GroupId>) {
        self.group_names.entry(key).or_insert(holder);
    }

    /// What the id is.
    pub fn learn_kind(&mut self, id: ResourceId, kind: Option<MemberKind>) {
        self.kinds.entry(id).or_insert(kind);
    }

    /// Whether one belongs to a group.
    pub fn learn_member(&mut self, group: GroupId, id: ResourceId, membership: Option<Membership>) {
        self.members.entry(group).or_default().known.entry(id).or_insert(membership);
    }

    /// Everyone who belongs to a group.
    pub fn learn_all_members(&mut self, group: GroupId, memberships: Vec<Membership>) {
        let members = self.members.entry(group).or_default();
        for membership in memberships {
            members.known.entry(membership.id).or_insert(Some(membership));
        }
        members.whole = true;
    }

    /// Which schemas there are.
    pub fn learn_schemas(&mut self, schemas: Vec<CustomSchema>) {
        self.schemas.get_or_insert(schemas);
    }

    /// How many have which values, before anything that was decided since.
    pub fn learn_uses(&mut self, uses: HashMap<Use, u64>) {
        self.uses.get_or_insert(uses);
    }

    /// The groups to which one belongs.
    pub fn learn_groups_of(&mut self, member: ResourceId, groups: Vec<GroupId>) {
        let mut groups: HashSet<_> = groups.into_iter().collect();
        // A membership that was decided and not kept yet is known here and nowhere else.
        #[expect(clippy::iter_over_hash_type, reason = "what becomes of a set has no order")]
        for (group, members) in &self.members {
            match members.known.get(&member) {
                Some(Some(_)) => _ = groups.insert(*group),
                Some(None) => _ = groups.remove(group),
                None => {}
            }
        }
        self.groups_of.entry(member).or_insert(groups);
    }

    /// There is such a token, or there is none.
    pub fn learn_token(&mut self, id: TokenId, token: Option<Token>) {
        self.tokens.entry(id).or_insert(token);
    }

    /// There are so many tokens.
    pub fn learn_token_count(&mut self, count: u64) {
        self.token_count.get_or_insert(count);
    }

    /// Which roles the app has.
    pub fn learn_roles(&mut self, roles: Arc<Roles>) {
        self.roles.get_or_insert(roles);
    }

    /// Who gets which role.
    pub fn learn_role_state(&mut self, state: RoleState) {
        self.role_state.get_or_insert(state);
    }

    /// Which roles a user has.
    pub fn learn_assignment(&mut self, id: UserId, assignment: Assignment) {
        self.assignments.entry(id).or_insert(assignment);
    }

    /// Whether it was told that a user is outside of the organization's domains.
    pub fn learn_outsider(&mut self, id: UserId, is_outsider: bool) {
        self.outsiders.entry(id).or_insert(is_outsider);
    }

    /// How the organization is guarded from now on. Whoever decides in another directory of it counts
    /// too, so this is told anew for each decision.
    pub fn guard_by(&mut self, guards: Option<Guards>) {
        self.guards = guards;
    }

    /// A change was decided: from now on it is how things are.
    pub fn absorb(&mut self, change: &Change) {
        match change {
            Change::User(change) => {
                let id = change.id();
                if let Some(before) = change.before() {
                    self.user_names.insert(before.name_key(), None);
                    if change.after().is_none() {
                        let external_id = before.external_id().map(str::to_owned);
                        self.deleted.push((before.name_key(), external_id, id));
                    }
                }
                match change.after() {
                    Some(after) => {
                        self.user_names.insert(after.name_key(), Some(id));
                        self.kinds.insert(id, Some(MemberKind::User));
                    }
                    None => _ = self.kinds.insert(id, None),
                }
                if change.before().is_none() {
                    self.groups_of.insert(id, HashSet::new());
                    self.assignments.insert(id, Assignment::default());
                }
                self.users.insert(id, change.after().cloned());
            }
            Change::Group(change) => {
                if let Some(before) = change.before() {
                    self.group_names.insert(before.name_key(), None);
                }
                let id = change.id();
                match change.after() {
                    Some(after) => {
                        self.group_names.insert(after.name_key(), Some(id));
                        self.kinds.insert(id, Some(MemberKind::Group));
                    }
                    None => _ = self.kinds.insert(id, None),
                }
                let members = self.members.entry(id).or_default();
                if change.before().is_none() {
                    members.whole = true;
                    self.groups_of.insert(id, HashSet::new());
                }
                for removed in change.removed() {
                    members.known.insert(removed.id, None);
                    if let Some(groups) = self.groups_of.get_mut(&removed.id) {
                        groups.remove(&id);
                    }
                }
                for added in change.added() {
                    members.known.insert(added.id, Some(added.clone()));
                    if let Some(groups) = self.groups_of.get_mut(&added.id) {
                        groups.insert(id);
                    }
                }
                self.groups.insert(id, change.after().cloned());
            }
            Change::Schema(change) => {
                let known = change.before().or(change.after()).map(|it| it.schema.id.clone());
                if let Some(schemas) = &mut self.schemas {
                    let place = schemas.iter().position(|it| Some(&it.schema.id) == known.as_ref());
                    match (place, change.after()) {
                        (Some(place), Some(after)) => schemas[place] = after.clone(),
                        (Some(place), None) => _ = schemas.remove(place),
                        (None, after) => schemas.extend(after.cloned()),
                    }
                }
                if let Some(head) = &mut self.head {
                    head.schemas_version += 1;
                }
            }
            Change::Notice(Notice::Outsider(it)) => {
                self.outsiders.insert(it.user_id, !it.domains.is_empty());
            }
            // No decision asks for them.
            Change::Client(_) | Change::Erasure(_) | Change::Notice(_) => {}
            Change::Token(change) => {
                self.tokens.insert(change.id(), change.after().cloned());
                if let Some(count) = &mut self.token_count {
                    match (change.before(), change.after()) {
                        (None, Some(_)) => *count += 1,
                        (Some(_), None) => *count = count.saturating_sub(1),
                        _ => {}
                    }
                }
            }
            Change::Roles(change) => {
                self.assignments.insert(change.user(), change.after().clone());
            }
            Change::RoleState(change) => {
                if let Some(head) = &mut self.head {
                    head.roles_version = change.after().version;
                }
                self.role_state = Some(change.after().clone());
            }
            Change::Directory(change) => {
                if let Some(head) = &mut self.head {
                    head.directory = change.after().clone();
                }
            }
        }
        for (at, (difference, _)) in change.uses() {
            *self.uses_since.entry(at).or_default() += difference;
        }
        if let Some(head) = &mut self.head {
            let counts = change.counts();
            head.user_count = head.user_count.saturating_add_signed(counts.users);
            head.group_count = head.group_count.saturating_add_signed(counts.groups);
        }
    }
}
