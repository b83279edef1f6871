//! Groups, and what may be done with them and with who belongs to them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use scim::dialect::Quirks;
use scim::group::{Member, MemberKind, MemberOperation};
use scim::patch::Patch;
use scim::{Resource, ResourceType};

use crate::cause::{Consequence, Of};
use crate::change::{Change, GroupChange, Membership};
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::event::EventKind;
use crate::facts::{Facts, Missing, Taken, both, together};
use crate::id::{GroupId, ResourceId};
use crate::organization::{OmittedMembers, UnknownMembers};
use crate::rejection::Rejection;
use crate::user::{Document, leave_groups};

/// A group of a directory, without its members, of which there may be 500,000.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The id, never reused.
    pub id: GroupId,
    /// What the provider says of the group, but for its members.
    pub document: Document,
    /// One more with each change, of the group or of who belongs to it; 1 for a new group.
    pub version: u64,
    /// How many belong to it.
    pub member_count: u64,
    /// When the group was created.
    pub created_at: Timestamp,
    /// When the group, or who belongs to it, last changed.
    pub modified_at: Timestamp,
}

/// A group, and what could not be done.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupOutcome {
    /// As it is now.
    pub group: Group,
    /// Everyone who belongs to it now, in the order of their ids, where the decision knew them all.
    pub members: Option<Vec<Membership>>,
    /// Members that were named and that nobody knows. They were left out.
    pub unknown_members: Vec<String>,
    /// What was straightened while a patch was applied.
    pub quirks: Quirks,
}

impl Group {
    /// The name of the group.
    pub fn display_name(&self) -> &str {
        self.document.resource().text("displayName").expect("admission refuses a group without one")
    }

    /// The name as it is compared.
    pub fn name_key(&self) -> String {
        scim::text::fold(self.display_name()).into_owned()
    }

    /// The provider's own identifier.
    pub fn external_id(&self) -> Option<&str> {
        self.document.resource().text("externalId")
    }

    pub(crate) fn with_members(
        &self,
        added: &[Membership],
        removed: &[Membership],
        now: Timestamp,
    ) -> Group {
        Group {
            member_count: self.member_count + added.len() as u64 - removed.len() as u64,
            version: self.version + 1,
            modified_at: now,
            ..self.clone()
        }
    }
}

/// A group is pushed.
#[derive(Clone, Debug)]
pub struct CreateGroup {
    /// What the provider says of it.
    pub document: Document,
    /// Who belongs to it.
    pub members: Vec<Member>,
}

impl Decide for CreateGroup {
    type Answer = GroupOutcome;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<GroupOutcome>, Stop> {
        let mut group = Group {
            id: GroupId::new(moment.ids),
            document: self.document.clone(),
            version: 1,
            member_count: 0,
            created_at: moment.now,
            modified_at: moment.now,
        };
        if facts.group_name(&group.name_key(), None)? == Taken::ByAnother {
            return Err(Rejection::GroupNameTaken.into());
        }
        facts.directory()?.room_for_a_group()?;
        let outcome = Outcome::of_replacement(facts, &[], &self.members)?;
        let Outcome { added, unknown: unknown_members, everyone: members, .. } =
            outcome.check(facts, group.id, 0)?;
        group.member_count = added.len() as u64;
        let change = Change::Group(GroupChange::created(group.clone(), added));
        Ok(Decision {
            changes: vec![change],
            answer: GroupOutcome { group, members, unknown_members, quirks: Quirks::new() },
        })
    }
}

/// The provider says the whole of what it knows of a group.
#[derive(Clone, Debug)]
pub struct ReplaceGroup {
    /// Which.
    pub id: GroupId,
    /// What the provider says, as [`scim::admit::admit_replacement`] reads it.
    pub resource: Resource,
    /// Whether it says anything of `externalId`. Where it does not, that stays.
    pub external_id_given: bool,
    /// Who belongs to it. `None`: the request does not say, and the directory's setting
    /// [`OmittedMembers`] does.
    pub members: Option<Vec<Member>>,
    /// What a group of this directory is made of.
    pub resource_type: Arc<ResourceType>,
}

impl Decide for ReplaceGroup {
    type Answer = GroupOutcome;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<GroupOutcome>, Stop> {
        let before = facts.existing_group(self.id)?;
        self.resource.check_required(before.document.resource(), &self.resource_type)?;
        self.resource.check_fixed(before.document.resource(), &self.resource_type)?;
        let outcome = match (&self.members, facts.directory()?.directory.settings.omitted_members) {
            (None, OmittedMembers::Keep) => Outcome::default(),
            (members, _) => {
                let everyone = facts.all_members(self.id)?;
                Outcome::of_replacement(facts, &everyone, members.as_deref().unwrap_or_default())?
            }
        };
        let mut after = self.resource.clone();
        if !self.external_id_given {
            after = after.keeping_external_id(before.document.resource(), &self.resource_type);
        }
        update(facts, moment, before, after, outcome, Quirks::new())
    }
}

/// The provider says what changes about a group, or about who belongs to it.
#[derive(Clone, Debug)]
pub struct PatchGroup {
    /// Which.
    pub id: GroupId,
    /// What changes.
    pub patch: Patch,
    /// What a group of this directory is made of.
    pub resource_type: Arc<ResourceType>,
}

impl Decide for PatchGroup {
    type Answer = GroupOutcome;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<GroupOutcome>, Stop> {
        let before = facts.existing_group(self.id)?;
        let mut quirks = Quirks::new();
        let kept = before.document.resource();
        let resource = self.patch.apply_noting(kept, &self.resource_type, &mut quirks)?;
        let operations = self.patch.members();
        if let [MemberOperation::Replace(members)] = operations {
            let everyone = facts.all_members(self.id)?;
            let outcome = Outcome::of_replacement(facts, &everyone, members)?;
            return update(facts, moment, before, resource, outcome, quirks);
        }
        let by_id = |it: &MemberOperation| {
            matches!(it, MemberOperation::Add(_) | MemberOperation::Remove(_))
        };
        let needs_everyone = !operations.iter().all(by_id);
        let members = if needs_everyone {
            facts.all_members(self.id)
        } else {
            named_among(facts, self.id, operations)
        };
        // Asked of all operations at once: there may be thousands of one member each.
        let known = together(operations.iter().map(|operation| match operation {
            MemberOperation::Add(members) | MemberOperation::Replace(members) => {
                Known::among(facts, members)
            }
            _ => Ok(Known::default()),
        }));
        let (members, known) = both(members, known)?;
        let mut roll = Roll::starting_from(members);
        for (operation, known) in operations.iter().zip(known) {
            match operation {
                MemberOperation::Add(_) => roll.add(known),
                MemberOperation::Remove(ids) => roll.remove(ids),
                MemberOperation::Replace(_) => roll.replace(known),
                MemberOperation::RemoveMatching(filter) => {
                    roll.remove_if(|member| as_named(member).matches(filter));
                }
                MemberOperation::RemoveAll => roll.remove_if(|_| true),
            }
        }
        update(facts, moment, before, resource, roll.outcome(), quirks)
    }
}

fn update(
    facts: &Facts,
    moment: &Moment<'_>,
    before: &Group,
    resource: Resource,
    outcome: Outcome,
    quirks: Quirks,
) -> Result<Decision<GroupOutcome>, Stop> {
    let outcome = outcome.check(facts, before.id, before.member_count)?;
    let Outcome { added, removed, unknown: unknown_members, everyone: members } = outcome;
    let is_same = resource == *before.document.resource();
    if is_same && added.is_empty() && removed.is_empty() {
        return Ok(Decision::nothing(GroupOutcome {
            group: before.clone(),
            members,
            unknown_members,
            quirks,
        }));
    }
    let mut after = before.with_members(&added, &removed, moment.now);
    if !is_same {
        after.document = Document::new(resource);
        let key = after.name_key();
        if key != before.name_key() && facts.group_name(&key, Some(before.id))? == Taken::ByAnother
        {
            return Err(Rejection::GroupNameTaken.into());
        }
    }
    let change = GroupChange::updated(before.clone(), after.clone(), added, removed);
    let answer = GroupOutcome { group: after, members, unknown_members, quirks };
    Ok(Decision { changes: vec![Change::Group(change)], answer })
}

/// A member as a filter of the provider sees it.
fn as_named(member: &Membership) -> Member {
    let Membership { id, kind, display } = member;
    Member { value: id.to_string(), kind: Some(*kind), display: display.clone() }
}

/// The group is not pushed any more and is to be gone.
#[derive(Clone, Debug)]
pub struct DeleteGroup {
    /// Which.
    pub id: GroupId,
}

impl Decide for DeleteGroup {
    type Answer = ();

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let before = facts.existing_group(self.id)?.clone();
        let members = facts.all_members(self.id)?.into_iter().cloned().collect();
        let mut changes = leave_groups(facts, moment, self.id, EventKind::GroupDeleted)?;
        changes.push(Change::Group(GroupChange::deleted(before, members)));
        Ok(Decision { changes, answer: () })
    }
}

/// Some of those who belong to a group that is to be gone leave it, before it is: all at once may be
/// too many to be told of in one transaction.
#[derive(Clone, Debug)]
pub struct LeaveGroup {
    /// Which.
    pub id: GroupId,
    /// Who.
    pub members: Vec<ResourceId>,
}

impl Decide for LeaveGroup {
    type Answer = ();

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let before = facts.existing_group(self.id)?;
        let members = facts.members_among(self.id, &self.members)?;
        let removed: Vec<_> = members.into_iter().cloned().collect();
        if removed.is_empty() {
            return Ok(Decision::nothing(()));
        }
        let after = before.with_members(&[], &removed, moment.now);
        let change = GroupChange::updated(before.clone(), after, Vec::new(), removed);
        let follows_from = Consequence { kind: EventKind::GroupDeleted, of: Of::Resource(self.id) };
        let change = Change::Group(change.following(follows_from));
        Ok(Decision { changes: vec![change], answer: () })
    }
}

/// Members that a request names, sorted into those that exist here and those that do not.
#[derive(Default)]
struct Known {
    memberships: Vec<Membership>,
    unknown: Vec<String>,
}

impl Known {
    fn among(facts: &Facts, members: &[Member]) -> Result<Known, Missing> {
        let ids: Vec<_> = members.iter().map(|member| ResourceId::parse(&member.value)).collect();
        let well_formed: Vec<_> = ids.iter().copied().flatten().collect();
        let mut kinds = facts.kinds(&well_formed)?.into_iter();
        let mut known = Known { memberships: Vec::new(), unknown: Vec::new() };
        for (member, id) in members.iter().zip(ids) {
            let kind = id.and_then(|_| kinds.next().expect("one kind for each id"));
            match (id, kind) {
                (Some(id), Some(kind)) => {
                    known.memberships.push(Membership {
                        id,
                        kind,
                        display: member.display.clone(),
                    });
                }
                _ => known.unknown.push(member.value.clone()),
            }
        }
        Ok(known)
    }
}

/// Who belongs to a group of those that are to be added or removed.
fn named_among<'a>(
    facts: &'a Facts,
    group: GroupId,
    operations: &[MemberOperation],
) -> Result<Vec<&'a Membership>, Missing> {
    let mut ids = Vec::new();
    for operation in operations {
        match operation {
            MemberOperation::Add(members) => {
                ids.extend(members.iter().filter_map(|it| ResourceId::parse(&it.value)));
            }
            MemberOperation::Remove(values) => {
                ids.extend(values.iter().filter_map(|it| ResourceId::parse(it)));
            }
            _ => {}
        }
    }
    facts.members_among(group, &ids)
}

/// What the operations of one request come to.
#[derive(Default)]
struct Outcome {
    added: Vec<Membership>,
    removed: Vec<Membership>,
    /// Named, and nobody knows them.
    unknown: Vec<String>,
    /// Who belongs to the group then, in the order of their ids, where that is known of all.
    everyone: Option<Vec<Membership>>,
}

impl Outcome {
    /// Exactly those who are named belong to a group to which these belong, in the order of their
    /// ids. There may be hundreds of thousands of both: of those who belong already nothing is
    /// asked, and nothing is copied that is not a part of what comes of it.
    fn of_replacement(
        facts: &Facts,
        before: &[&Membership],
        members: &[Member],
    ) -> Result<Outcome, Missing> {
        let ids: Vec<_> = members.iter().map(|member| ResourceId::parse(&member.value)).collect();
        let (standings, stays) = side_by_side(before, &ids);
        let strangers = ids.iter().zip(&standings).filter(|(_, it)| **it == Standing::New);
        let strangers: Vec<_> = strangers.filter_map(|(id, _)| *id).collect();
        let mut kinds = facts.kinds(&strangers)?.into_iter();
        let mut strangers = strangers.into_iter();
        let mut outcome = Outcome::default();
        for (member, standing) in members.iter().zip(standings) {
            match standing {
                // Who belongs already stays as they are, whatever name is sent with them.
                Standing::Belongs | Standing::Again => {}
                Standing::New => {
                    let id = strangers.next().expect("each is one");
                    match kinds.next().expect("one kind for each id") {
                        Some(kind) => {
                            let display = member.display.clone();
                            outcome.added.push(Membership { id, kind, display });
                        }
                        None => outcome.unknown.push(member.value.clone()),
                    }
                }
                Standing::NoId => outcome.unknown.push(member.value.clone()),
            }
        }
        let count = stays.iter().filter(|it| **it).count();
        let mut everyone = Vec::with_capacity(count + outcome.added.len());
        for (member, stays) in before.iter().zip(stays) {
            let part = if stays { &mut everyone } else { &mut outcome.removed };
            part.push((*member).clone());
        }
        everyone.extend(outcome.added.iter().cloned());
        everyone.sort_unstable_by_key(|member| member.id);
        outcome.everyone = Some(everyone);
        Ok(outcome)
    }

    /// Nobody leaves the default group of a directory who is in the directory, whatever its provider
    /// says: it does not know that everybody belongs.
    fn keeping_everybody(mut self, facts: &Facts, group: GroupId) -> Result<Outcome, Missing> {
        if self.removed.is_empty() {
            return Ok(self);
        }
        let state = facts.role_state()?;
        if state.is_some_and(|state| state.bound.default_group() == Some(group)) {
            let removed = std::mem::take(&mut self.removed).into_iter();
            let (stay, removed): (Vec<_>, _) = removed.partition(|it| it.kind == MemberKind::User);
            self.removed = removed;
            if let Some(everyone) = &mut self.everyone {
                everyone.extend(stay);
                everyone.sort_unstable_by_key(|member| member.id);
            }
        }
        Ok(self)
    }

    /// Whether it may be so.
    fn check(self, facts: &Facts, group: GroupId, member_count: u64) -> Result<Outcome, Stop> {
        let mut outcome = self.keeping_everybody(facts, group)?;
        outcome.check_limits(facts, group, member_count)?;
        Ok(outcome)
    }

    fn check_limits(
        &mut self,
        facts: &Facts,
        group: GroupId,
        member_count: u64,
    ) -> Result<(), Stop> {
        let head = facts.directory()?;
        let mut seen = HashSet::new();
        self.unknown.retain(|value| seen.insert(value.clone()));
        if !self.unknown.is_empty()
            && head.directory.settings.unknown_members == UnknownMembers::Refuse
        {
            return Err(Rejection::UnknownMembers(std::mem::take(&mut self.unknown)).into());
        }
        if self.added.iter().any(|member| member.id == group) {
            return Err(Rejection::MemberOfItself.into());
        }
        // Only growth is refused: a group that is too large since the limit was lowered must be
        // able to shrink, though some are new in what is left.
        let max = head.limits.group_members_max;
        let count_after = member_count + self.added.len() as u64 - self.removed.len() as u64;
        if count_after > member_count && count_after > max {
            return Err(Rejection::MembersFull(max).into());
        }
        Ok(())
    }
}

/// How somebody who is named stands to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Belongs,
    New,
    /// Does not belong, and was named before.
    Again,
    /// What names them can be nobody's id.
    NoId,
}

/// How each of those who are named stands to a group to which these belong, in the order of their
/// ids; and of each of these, whether they are named.
///
/// To look for each by itself is a jump through memory at every step. Both in the order of ids, and
/// walked side by side, it is none.
fn side_by_side(
    before: &[&Membership],
    named: &[Option<ResourceId>],
) -> (Vec<Standing>, Vec<bool>) {
    let mut standings = vec![Standing::NoId; named.len()];
    let mut stays = vec![false; before.len()];
    let places = named.iter().enumerate();
    let mut order: Vec<_> = places.filter_map(|(place, id)| id.map(|id| (id, place))).collect();
    order.sort_unstable();
    let (mut at, mut latest) = (0, None);
    for (id, place) in order {
        while before.get(at).is_some_and(|member| member.id < id) {
            at += 1;
        }
        standings[place] = if before.get(at).is_some_and(|member| member.id == id) {
            stays[at] = true;
            Standing::Belongs
        } else if latest == Some(id) {
            Standing::Again
        } else {
            Standing::New
        };
        latest = Some(id);
    }
    (standings, stays)
}

/// Who belongs to a group while the operations of one request are carried out, and who did when
/// they began. It knows everyone, or only those whom the request names.
#[derive(Default)]
struct Roll<'a> {
    before: HashMap<ResourceId, &'a Membership>,
    now: HashMap<ResourceId, Cow<'a, Membership>>,
    /// In the order in which the request first named them, which is the order of the events.
    named: Vec<ResourceId>,
    unknown: Vec<String>,
}

impl<'a> Roll<'a> {
    fn starting_from(members: Vec<&'a Membership>) -> Roll<'a> {
        let now = members.iter().map(|member| (member.id, Cow::Borrowed(*member))).collect();
        let before = members.into_iter().map(|member| (member.id, member)).collect();
        Roll { before, now, ..Roll::default() }
    }

    fn add(&mut self, known: Known) {
        self.unknown.extend(known.unknown);
        for member in known.memberships {
            self.named.push(member.id);
            // Who belongs already stays as they are, whatever name is sent with them: Okta adds
            // the same members again and again.
            self.now.entry(member.id).or_insert(Cow::Owned(member));
        }
    }

    fn remove(&mut self, ids: &[String]) {
        for id in ids.iter().filter_map(|id| ResourceId::parse(id)) {
            self.named.push(id);
            self.now.remove(&id);
        }
    }

    fn remove_if(&mut self, mut goes: impl FnMut(&Membership) -> bool) {
        let mut gone: Vec<_> = self.now.values().filter(|it| goes(it)).map(|it| it.id).collect();
        gone.sort_unstable();
        for id in gone {
            self.named.push(id);
            self.now.remove(&id);
        }
    }

    fn replace(&mut self, known: Known) {
        let stay: HashSet<_> = known.memberships.iter().map(|member| member.id).collect();
        self.remove_if(|member| !stay.contains(&member.id));
        self.add(known);
    }

    /// Who is added, who is removed, and whom nobody knows.
    fn outcome(mut self) -> Outcome {
        let mut outcome = Outcome { unknown: self.unknown, ..Outcome::default() };
        for id in self.named {
            // Taken out of both, so that one who was named twice counts once.
            match (self.before.remove(&id), self.now.remove(&id)) {
                (None, Some(member)) => outcome.added.push(member.into_owned()),
                (Some(member), None) => outcome.removed.push(member.clone()),
                _ => {}
            }
        }
        outcome
    }
}
