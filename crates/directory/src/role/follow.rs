//! Roles that follow from a change of people: decided with it, and kept in the same transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scim::ResourceType;
use scim::group::MemberKind;

use super::assign::{Assignment, BoundMapping, Person};
use super::mapping::RoleMapping;
use crate::cause::{Consequence, Of};
use crate::change::{Change, GroupChange, Membership, SchemaChange, UserChange};
use crate::condition::{Revised, Revision};
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::event::{EventKind, kind_of_user};
use crate::facts::{Facts, Missing, both, together};
use crate::group::CreateGroup;
use crate::id::{DirectoryId, GroupId, UserId};
use crate::rejection::Rejection;
use crate::user::{Document, User};

/// People whose roles are looked at together with the one change that concerns them. Of each, what is
/// said of them and their groups are loaded, while all other writes wait. Where one change concerns
/// more, as one of a whole large group does, everybody is looked at in the background.
pub const CONCERNED_MAX: usize = 2_000;

/// The mapping of a directory, and how far everybody's roles are by it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleState {
    /// How often the mapping was changed; 0 where nobody has said anything yet.
    pub version: u64,
    /// As it was said.
    pub mapping: Arc<RoleMapping>,
    /// As it is applied.
    pub bound: Arc<BoundMapping>,
    /// Where people are still to be looked at.
    pub walk: Option<RoleWalk>,
}

/// Everybody in a directory is looked at, in the order of lists, some at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleWalk {
    /// Up to which place people were looked at.
    pub place: u64,
    /// How many these were.
    pub done: u64,
    /// Whether something else has changed meanwhile, so that everybody is looked at once more. To
    /// begin again from the first each time would never come to the last, where changes go on.
    pub is_to_be_repeated: bool,
    /// Why: the latest of what changed, where it has an event.
    pub follows_from: Option<Consequence>,
}

impl RoleWalk {
    /// From the first.
    pub fn begun(follows_from: Option<Consequence>) -> RoleWalk {
        RoleWalk { place: 0, done: 0, is_to_be_repeated: false, follows_from }
    }

    /// The walk that looks at everybody from now on, where this one is on its way.
    fn asked_again(walk: Option<RoleWalk>, follows_from: Consequence) -> RoleWalk {
        let follows_from = Some(follows_from);
        match walk {
            None => RoleWalk::begun(follows_from),
            // Also one that has not begun: who is next may have been looked for already, and somebody may
            // have come since, by what was said before.
            Some(walk) => RoleWalk { is_to_be_repeated: true, follows_from, ..walk },
        }
    }
}

/// The roles of somebody are others, or have other reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesChange {
    user: UserId,
    user_name: String,
    before: Assignment,
    after: Assignment,
    /// What the groups of the reasons are called.
    groups: BTreeMap<GroupId, String>,
    follows_from: Option<Consequence>,
}

impl RolesChange {
    /// Whose.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// By which name their provider knows them.
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// What they had.
    pub fn before(&self) -> &Assignment {
        &self.before
    }

    /// What they have.
    pub fn after(&self) -> &Assignment {
        &self.after
    }

    /// Of what it is a consequence.
    pub fn follows_from(&self) -> Option<Consequence> {
        self.follows_from
    }

    /// What the groups of the reasons are called.
    pub(crate) fn group_names(&self) -> &BTreeMap<GroupId, String> {
        &self.groups
    }
}

/// A mapping was saved, or everybody is looked at because of something else.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleStateChange {
    before: RoleState,
    after: RoleState,
    follows_from: Option<Consequence>,
}

impl RoleStateChange {
    /// As it was.
    pub fn before(&self) -> &RoleState {
        &self.before
    }

    /// As it is.
    pub fn after(&self) -> &RoleState {
        &self.after
    }

    /// Of what it is a consequence, where nobody asked for it.
    pub fn follows_from(&self) -> Option<Consequence> {
        self.follows_from
    }

    /// Whether the mapping is another one.
    pub fn is_of_the_mapping(&self) -> bool {
        self.before.version != self.after.version
    }
}

/// What was decided, together with what follows for roles. Nothing is asked where the directory has no
/// mapping.
///
/// It is for the one place through which every decision goes, so that there is no way to change people
/// past it.
pub fn with_roles(
    facts: &Facts,
    moment: &Moment<'_>,
    mut changes: Vec<Change>,
) -> Result<Vec<Change>, Stop> {
    let touches_roles =
        |it: &Change| matches!(it, Change::User(_) | Change::Group(_) | Change::Schema(_));
    // What is decided of roles says itself what follows. Of a directory that was deleted, everybody
    // goes, and nobody asks what they were.
    let says_itself = |it: &Change| matches!(it, Change::RoleState(_));
    if !changes.iter().any(touches_roles)
        || changes.iter().any(says_itself)
        || facts.directory().is_err()
    {
        return Ok(changes);
    }
    let Some(state) = facts.role_state()? else { return Ok(changes) };
    // Whom the vendor has erased wants to be gone from the app, whoever protected them.
    if !changes.iter().any(|it| matches!(it, Change::Erasure(_))) {
        refuse_to_remove_protected(&state.bound, &changes)?;
    }
    let new: Vec<_> = changes.iter().filter_map(new_user).collect();
    if let [first, ..] = new[..] {
        let created = Consequence { kind: EventKind::UserCreated, of: Of::Resource(first) };
        let joined = join_default_group(facts, moment, &state.bound, &new, Some(created))?;
        changes.extend(joined.map(Change::Group));
    }
    let directory_id = facts.directory()?.directory.id;
    let follows = match Concerned::by(&changes, &state.bound, directory_id) {
        Concerned::Few(people) => people.changes(facts, &state.bound, &changes)?,
        Concerned::Everybody(because) => {
            let walk = Some(RoleWalk::asked_again(state.walk, because));
            let after = RoleState { walk, ..without_groups_gone(state, &changes) };
            let (before, follows_from) = (state.clone(), Some(because));
            vec![Change::RoleState(RoleStateChange { before, after, follows_from })]
        }
    };
    changes.extend(follows);
    Ok(changes)
}

fn new_user(change: &Change) -> Option<UserId> {
    match change {
        Change::User(change) if change.before().is_none() => change.after().map(|user| user.id),
        _ => None,
    }
}

/// Those of people who do not belong to the default group.
fn outside_default_group(
    facts: &Facts,
    mapping: &BoundMapping,
    people: &[UserId],
) -> Result<Vec<UserId>, Missing> {
    let Some(group) = mapping.default_group() else { return Ok(Vec::new()) };
    let members = facts.members_among(group, people)?;
    let members: BTreeSet<_> = members.into_iter().map(|member| member.id).collect();
    Ok(people.iter().copied().filter(|it| !members.contains(it)).collect())
}

/// Has people belong to the default group who do not. Nothing is asked of them themselves: somebody
/// new has another id whenever it is decided that they are there.
fn join_default_group(
    facts: &Facts,
    moment: &Moment<'_>,
    mapping: &BoundMapping,
    outside: &[UserId],
    follows_from: Option<Consequence>,
) -> Result<Option<GroupChange>, Stop> {
    let Some(id) = mapping.default_group() else { return Ok(None) };
    let Some(before) = facts.group(id)? else { return Ok(None) };
    // A group that is full stays so: nobody is kept from the app by that.
    let max = facts.directory()?.limits.group_members_max;
    let room = usize::try_from(max.saturating_sub(before.member_count)).unwrap_or(usize::MAX);
    let join = outside.iter().take(room);
    let kind = MemberKind::User;
    let added: Vec<_> = join.map(|id| Membership { id: *id, kind, display: None }).collect();
    if added.is_empty() {
        return Ok(None);
    }
    let after = before.with_members(&added, &[], moment.now);
    let change = GroupChange::updated(before.clone(), after, added, Vec::new());
    Ok(Some(match follows_from {
        Some(follows_from) => change.following(follows_from),
        None => change,
    }))
}

/// The mapping goes on without its default group where that is deleted.
fn without_groups_gone(state: &RoleState, changes: &[Change]) -> RoleState {
    let is_gone = |it: &Change| {
        matches!(it, Change::Group(change)
            if change.after().is_none() && state.mapping.default_group == Some(change.id()))
    };
    if !changes.iter().any(is_gone) {
        return state.clone();
    }
    RoleState {
        version: state.version + 1,
        mapping: Arc::new(RoleMapping {
            default_group: None,
            ..RoleMapping::clone(&state.mapping)
        }),
        bound: Arc::new(state.bound.without_default_group()),
        walk: state.walk,
    }
}

/// Who comes by SCIM takes nothing from people who are protected.
fn refuse_to_remove_protected(mapping: &BoundMapping, changes: &[Change]) -> Result<(), Rejection> {
    for change in changes {
        let Change::User(change) = change else { continue };
        let Some(before) = change.before() else { continue };
        let is_in = |user: Option<&User>| user.is_some_and(User::is_active);
        let goes = change.after().is_none() || (before.is_active() && !is_in(change.after()));
        if goes && mapping.protects(before.id) {
            return Err(Rejection::ProtectedUser(before.user_name().to_owned()));
        }
    }
    Ok(())
}

/// Whose roles may be others because of a few changes.
enum Concerned {
    Few(People),
    /// Because of this.
    Everybody(Consequence),
}

/// Who, and in what way.
#[derive(Default)]
struct People(BTreeMap<UserId, Touched>);

#[derive(Default)]
struct Touched {
    /// As they are now, where they changed themselves.
    user: Option<User>,
    is_new: bool,
    is_gone: bool,
    joined: BTreeSet<GroupId>,
    left: BTreeSet<GroupId>,
    /// What touched them first.
    because: Option<Consequence>,
}

impl Concerned {
    fn by(changes: &[Change], mapping: &BoundMapping, directory_id: DirectoryId) -> Concerned {
        let mut people = People::default();
        for change in changes {
            match change {
                Change::User(change) => people.take_user(change),
                Change::Group(change)
                    if change.after().is_none() && mapping.default_group() == Some(change.id()) =>
                {
                    let of = Of::Resource(change.id());
                    return Concerned::Everybody(Consequence { kind: EventKind::GroupDeleted, of });
                }
                Change::Group(change) if mapping.depends_on(change.id()) => {
                    if let Some(because) = people.take_members(change) {
                        return Concerned::Everybody(because);
                    }
                }
                // Conditions may be about attributes that there are since, or are no more.
                Change::Schema(change) => {
                    return Concerned::Everybody(of_schema(change, directory_id));
                }
                _ => {}
            }
        }
        Concerned::Few(people)
    }
}

fn of_schema(change: &SchemaChange, directory_id: DirectoryId) -> Consequence {
    let kind = match change.after() {
        Some(_) => EventKind::SchemaDefined,
        None => EventKind::SchemaRemoved,
    };
    Consequence { kind, of: Of::Directory(directory_id) }
}

impl People {
    fn take_user(&mut self, change: &UserChange) {
        // What is beside a user makes no difference.
        let Some(kind) = kind_of_user(change) else { return };
        let touched = self.0.entry(change.id()).or_default();
        touched.user = change.after().cloned();
        touched.is_new |= change.before().is_none();
        touched.is_gone = change.after().is_none();
        touched.because.get_or_insert(Consequence { kind, of: Of::Resource(change.id()) });
    }

    /// Takes those who join or leave. Where these are too many to be looked at together, says what
    /// concerns them.
    fn take_members(&mut self, change: &GroupChange) -> Option<Consequence> {
        let group = change.id();
        let left = match change.after() {
            Some(_) => EventKind::GroupMemberRemoved,
            None => EventKind::GroupDeleted,
        };
        let sides = [(change.removed(), left), (change.added(), EventKind::GroupMemberAdded)];
        for (members, kind) in sides {
            let because = Consequence { kind, of: Of::Resource(group) };
            for member in members.iter().filter(|it| it.kind == MemberKind::User) {
                let touched = self.0.entry(member.id).or_default();
                touched.because.get_or_insert(because);
                let Touched { joined, left, .. } = touched;
                let is_in = kind == EventKind::GroupMemberAdded;
                let (now, no_more) = if is_in { (joined, left) } else { (left, joined) };
                now.insert(group);
                no_more.remove(&group);
                if self.0.len() > CONCERNED_MAX {
                    return Some(because);
                }
            }
        }
        None
    }

    fn changes(
        self,
        facts: &Facts,
        mapping: &BoundMapping,
        changes: &[Change],
    ) -> Result<Vec<Change>, Missing> {
        let people: Vec<_> = self.0.into_iter().filter(|(_, it)| !it.is_gone).collect();
        let known = together(people.iter().map(|(id, it)| it.known(facts, *id)))?;
        let mut roles = Vec::new();
        for ((user, groups, before), (_, touched)) in known.into_iter().zip(&people) {
            let Some(user) = touched.user.as_ref().or(user) else { continue };
            let after = mapping.assigned(Person { user, groups: &groups });
            if before != after {
                roles.push(RolesChange {
                    user: user.id,
                    user_name: user.user_name().to_owned(),
                    before,
                    after,
                    groups: BTreeMap::new(),
                    follows_from: touched.because,
                });
            }
        }
        name_groups(facts, changes, &mut roles)?;
        Ok(roles.into_iter().map(Change::Roles).collect())
    }
}

impl Touched {
    /// What is known of one of them: as they are kept, to which groups they belong after the changes,
    /// and what they had.
    fn known<'a>(
        &self,
        facts: &'a Facts,
        id: UserId,
    ) -> Result<(Option<&'a User>, BTreeSet<GroupId>, Assignment), Missing> {
        if self.is_new {
            return Ok((None, self.joined.clone(), Assignment::default()));
        }
        let user = if self.user.is_some() { Ok(None) } else { facts.user(id) };
        let (user, (groups, before)) = both(user, both(facts.groups_of(id), facts.assignment(id)))?;
        let mut groups: BTreeSet<_> =
            groups.into_iter().filter(|it| !self.left.contains(it)).collect();
        groups.extend(&self.joined);
        Ok((user, groups, before.clone()))
    }
}

/// Adds what the groups are called that the reasons are about.
fn name_groups(
    facts: &Facts,
    changes: &[Change],
    roles: &mut [RolesChange],
) -> Result<(), Missing> {
    // Of those who have the same roles for other reasons, nobody is told.
    let told = roles.iter().filter(|it| !it.before.has_the_roles_of(&it.after));
    let groups: BTreeSet<GroupId> = told.flat_map(|it| it.after.groups()).collect();
    let changed = |group: GroupId| {
        changes.iter().rev().find_map(|change| match change {
            Change::Group(change) if change.id() == group => change.after(),
            _ => None,
        })
    };
    let names = together(groups.into_iter().map(|id| {
        let group = changed(id).map_or_else(|| facts.group(id), |group| Ok(Some(group)))?;
        Ok(group.map(|group| (id, group.display_name().to_owned())))
    }))?;
    let names: BTreeMap<_, _> = names.into_iter().flatten().collect();
    for change in roles {
        let named = |id: GroupId| Some((id, names.get(&id)?.clone()));
        change.groups = change.after.groups().filter_map(named).collect();
    }
    Ok(())
}

/// Says who gets which role in a directory from now on. Everybody is looked at after that, in the
/// background.
#[derive(Clone, Debug)]
pub struct SaveRoleMapping {
    /// What is to be so.
    pub mapping: RoleMapping,
    /// A group that is made for it, and is its default group.
    pub new_default_group: Option<Document>,
    /// What a user of this directory is made of.
    pub user_type: Arc<ResourceType>,
}

impl Decide for SaveRoleMapping {
    type Answer = RoleState;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<RoleState>, Stop> {
        let directory_id = facts.directory()?.directory.id;
        let (state, roles) = both(facts.role_state(), facts.roles())?;
        let none = || RoleState {
            version: 0,
            mapping: Arc::default(),
            bound: Arc::new(BoundMapping::new(
                &RoleMapping::default(),
                Arc::clone(roles),
                &self.user_type,
            )),
            walk: None,
        };
        let before = state.cloned().unwrap_or_else(none);
        let named: Vec<_> = self.mapping.ids_named().collect();
        let mut kinds: BTreeMap<_, _> = named.iter().copied().zip(facts.kinds(&named)?).collect();
        let mut changes = Vec::new();
        let mut mapping = self.mapping.clone();
        if let Some(document) = self.new_default_group.clone() {
            let create = CreateGroup { document, members: Vec::new() };
            let created = create.decide(facts, moment)?;
            let id = created.answer.group.id;
            kinds.insert(id, Some(MemberKind::Group));
            mapping.default_group = Some(id);
            changes = created.changes;
        }
        let mapping = mapping
            .check(roles, &self.user_type, |id| kinds.get(&id).copied().flatten())
            .map_err(Rejection::WrongMapping)?;
        if mapping == *before.mapping {
            return Ok(Decision::nothing(before));
        }
        let because = Consequence::of_role_mapping(directory_id);
        let after = RoleState {
            version: before.version + 1,
            bound: Arc::new(BoundMapping::new(&mapping, Arc::clone(roles), &self.user_type)),
            mapping: Arc::new(mapping),
            walk: Some(RoleWalk::asked_again(before.walk, because)),
        };
        let change = RoleStateChange { before, after: after.clone(), follows_from: None };
        changes.push(Change::RoleState(change));
        Ok(Decision { changes, answer: after })
    }
}

impl Revised for SaveRoleMapping {
    /// A mapping without a rule can be edited like any other: there is always one.
    fn revision(&self, facts: &Facts) -> Result<Option<Revision>, Stop> {
        facts.directory()?;
        let state = facts.role_state()?;
        Ok(Some(
            state.map_or_else(|| RoleMapping::default().revision(), |it| it.mapping.revision()),
        ))
    }
}

/// Looks at the next people of a walk, so that their roles are what they should be.
#[derive(Clone, Debug)]
pub struct WalkRoles {
    /// From which place on they are. Where the walk is elsewhere by now, nothing is done.
    pub from: u64,
    /// Who is next, in the order of lists.
    pub people: Vec<UserId>,
    /// The place of the last of them; `None` where there is nobody behind them.
    pub to: Option<u64>,
}

impl Decide for WalkRoles {
    /// Where the walk is now; `None` where everybody was looked at.
    type Answer = Option<RoleWalk>;

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(
        &self,
        facts: &Facts,
        moment: &Moment<'_>,
    ) -> Result<Decision<Option<RoleWalk>>, Stop> {
        facts.directory()?;
        let Some(state) = facts.role_state()? else { return Ok(Decision::nothing(None)) };
        let Some(walk) = state.walk.filter(|walk| walk.place == self.from) else {
            return Ok(Decision::nothing(state.walk));
        };
        // Who was deleted since they were looked for has nothing any more.
        let there = facts.kinds(&self.people)?.into_iter().zip(&self.people);
        let there = there.filter(|(kind, _)| *kind == Some(MemberKind::User));
        let there: Vec<_> = there.map(|(_, id)| *id).collect();
        let because = walk.follows_from;
        let touched = |id: &UserId| (*id, Touched { because, ..Touched::default() });
        let people = there.iter().map(touched).collect();
        let outside = outside_default_group(facts, &state.bound, &there)?;
        let joined = join_default_group(facts, moment, &state.bound, &outside, because)?;
        let mut changes: Vec<_> = joined.into_iter().map(Change::Group).collect();
        changes.extend(People(people).changes(facts, &state.bound, &[])?);
        let next = match self.to {
            Some(place) => {
                Some(RoleWalk { place, done: walk.done + self.people.len() as u64, ..walk })
            }
            None if walk.is_to_be_repeated => Some(RoleWalk::begun(because)),
            None => None,
        };
        let (before, after) = (state.clone(), RoleState { walk: next, ..state.clone() });
        changes.push(Change::RoleState(RoleStateChange { before, after, follows_from: because }));
        Ok(Decision { changes, answer: next })
    }
}
