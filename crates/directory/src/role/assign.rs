//! Which roles a person gets, and why: the one place where a mapping is applied.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use scim::ResourceType;
use scim::filter::BoundFilter;
use serde::{Deserialize, Serialize};

use super::Roles;
use super::mapping::{MappingFault, RoleMapping, Strategy, When, bound};
use crate::catalogue::EntryId;
use crate::event::told;
use crate::id::{GroupId, UserId};
use crate::user::User;

/// Somebody, as a mapping looks at them.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// What is said of them.
    pub user: &'a User,
    /// The groups to which they belong themselves.
    pub groups: &'a BTreeSet<GroupId>,
}

/// The roles of one person, each with its reason, the highest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Assignment(Vec<Granted>);

/// A role that somebody has, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// What they have.
    pub role: EntryId,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why somebody has a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Reason {
    /// They belong to a group that has a rule.
    Group {
        /// The number of the rule, from 1 on: the first that gives them the role.
        rule: usize,
        /// The group.
        group: GroupId,
    },
    /// The condition of a rule is true of them.
    Filter {
        /// The number of the rule, from 1 on: the first that gives them the role.
        rule: usize,
        /// The condition.
        filter: String,
    },
    /// No rule is about them, and it is the default role.
    Default,
    /// They are protected, and it is what they keep.
    Protected,
}

impl Reason {
    /// The rule that it comes from, from 1 on.
    pub fn rule(&self) -> Option<usize> {
        match self {
            Reason::Group { rule, .. } | Reason::Filter { rule, .. } => Some(*rule),
            Reason::Default | Reason::Protected => None,
        }
    }

    /// The group that it comes from.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Reason::Group { group, .. } => Some(*group),
            _ => None,
        }
    }

    /// The reason in words, for a person to read: the name of whose it is and, where it comes from a
    /// group, what that is called today.
    pub fn told_of<'a>(
        &'a self,
        person: &'a str,
        group: Option<&'a str>,
    ) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| match self {
            Reason::Group { rule, group: id } => match group {
                Some(name) => write!(f, "because {person} belongs to `{name}`, rule {rule}"),
                None => write!(f, "because {person} belongs to the group {id}, rule {rule}"),
            },
            Reason::Filter { rule, filter } => {
                write!(f, "because `{filter}` is true of {person}, rule {rule}")
            }
            Reason::Default => {
                write!(f, "because no rule is about {person}, and it is the default role")
            }
            Reason::Protected => {
                write!(f, "because {person} is protected, and keeps it whatever the rules say")
            }
        })
    }
}

impl Assignment {
    /// Reads what [`Assignment::to_text`] printed; `None` if the text is damaged.
    pub fn from_text(text: &str) -> Option<Assignment> {
        serde_json::from_str(text).ok()
    }

    /// For keeping.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("an assignment can be printed")
    }

    /// Each role with its reason, the highest first.
    pub fn granted(&self) -> &[Granted] {
        &self.0
    }

    /// The roles alone, the highest first.
    pub fn roles(&self) -> impl Iterator<Item = &EntryId> {
        self.0.iter().map(|it| &it.role)
    }

    /// The groups that the reasons are about.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.0.iter().filter_map(|it| it.reason.group())
    }

    /// Whether the role is one of them.
    pub fn has(&self, role: &EntryId) -> bool {
        self.roles().any(|it| it == role)
    }

    /// Whether the roles are the same ones, for whatever reasons.
    pub fn has_the_roles_of(&self, other: &Assignment) -> bool {
        self.0.len() == other.0.len() && self.roles().all(|role| other.has(role))
    }
}

/// A part of a mapping that gives nobody anything, because what it names is not there any more.
pub type Idle = MappingFault;

/// A mapping together with the roles of the app and what users of the directory are made of, ready to
/// be applied.
///
/// A mapping was checked when it was saved, and the world goes on: a role is taken out of the
/// catalogue, a schema out of the directory. What names something that is gone gives nobody anything.
/// It never gives more than was said.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundMapping {
    roles: Arc<Roles>,
    strategy: Strategy,
    /// By the role, the highest first, and then by their numbers.
    rules: Vec<BoundRule>,
    default_role: Option<usize>,
    default_group: Option<GroupId>,
    protected: HashMap<UserId, Option<usize>>,
    idle: Vec<Idle>,
}

#[derive(Clone, Debug, PartialEq)]
struct BoundRule {
    number: usize,
    /// The place of the role among all.
    role: usize,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Group(GroupId),
    Filter(String, BoundFilter),
}

impl BoundMapping {
    /// Makes it ready. What names something that is not there is [idle](BoundMapping::idle).
    pub fn new(mapping: &RoleMapping, roles: Arc<Roles>, user_type: &ResourceType) -> BoundMapping {
        let mut idle: Vec<_> = mapping
            .roles_named()
            .filter(|(_, role)| !roles.has(role))
            .map(|(place, role)| MappingFault::UnknownRole(place, role.clone()))
            .collect();
        let mut rules = Vec::new();
        for (number, rule) in (1..).zip(&mapping.rules) {
            let test = match &rule.when {
                When::Group(group) => Test::Group(*group),
                When::Filter(text) => match bound(text, user_type) {
                    Ok(filter) => Test::Filter(text.clone(), filter),
                    Err(error) => {
                        idle.push(MappingFault::WrongFilter(number, error));
                        continue;
                    }
                },
            };
            let Some(role) = roles.place(&rule.role) else { continue };
            rules.push(BoundRule { number, role, test });
        }
        rules.sort_by_key(|rule| (rule.role, rule.number));
        let place = |role: &Option<EntryId>| role.as_ref().and_then(|role| roles.place(role));
        let protected = mapping.protected.iter().map(|it| (it.user, place(&it.role)));
        BoundMapping {
            strategy: mapping.strategy,
            rules,
            default_role: place(&mapping.default_role),
            default_group: mapping.default_group,
            protected: protected.collect(),
            idle,
            roles,
        }
    }

    /// What of it names something that is not there any more.
    pub fn idle(&self) -> &[Idle] {
        &self.idle
    }

    /// Whether it can make any difference whether somebody belongs to the group.
    pub fn depends_on(&self, group: GroupId) -> bool {
        self.rules.iter().any(|rule| matches!(rule.test, Test::Group(it) if it == group))
    }

    /// Whether sync may take nothing from them: neither deactivate nor delete them.
    pub fn protects(&self, user: UserId) -> bool {
        self.protected.contains_key(&user)
    }

    /// The group that everybody in the directory belongs to.
    pub fn default_group(&self) -> Option<GroupId> {
        self.default_group
    }

    /// The same after that group is gone: nobody belongs to it.
    pub(super) fn without_default_group(&self) -> BoundMapping {
        BoundMapping { default_group: None, ..self.clone() }
    }

    /// Which roles somebody gets, and why.
    ///
    /// Rules are looked at from the highest role down, so under [`Strategy::Highest`] the first that is
    /// about the person decides. Of several that give the same role, the reason is the one with the
    /// smallest number. The default role is for those whom no rule is about. Whoever is active or not
    /// makes no difference: who comes back has the roles that are right then.
    pub fn assigned(&self, person: Person<'_>) -> Assignment {
        let attributes = told(person.user);
        let holds = |rule: &&BoundRule| match &rule.test {
            Test::Group(group) => {
                self.default_group == Some(*group) || person.groups.contains(group)
            }
            Test::Filter(_, filter) => filter.matches(&attributes),
        };
        // In the order of the roles.
        let mut given: BTreeMap<usize, Reason> = BTreeMap::new();
        for rule in &self.rules {
            if !given.contains_key(&rule.role) && holds(&rule) {
                given.insert(rule.role, rule.reason());
                if self.strategy == Strategy::Highest {
                    break;
                }
            }
        }
        if given.is_empty()
            && let Some(role) = self.default_role
        {
            given.insert(role, Reason::Default);
        }
        if let Some(Some(role)) = self.protected.get(&person.user.id) {
            given.entry(*role).or_insert(Reason::Protected);
        }
        let most = match self.strategy {
            Strategy::Highest => 1,
            Strategy::Union => usize::MAX,
        };
        let granted = given
            .into_iter()
            .take(most)
            .map(|(role, reason)| Granted { role: self.roles.ladder[role].clone(), reason });
        Assignment(granted.collect())
    }
}

impl BoundRule {
    fn reason(&self) -> Reason {
        match &self.test {
            Test::Group(group) => Reason::Group { rule: self.number, group: *group },
            Test::Filter(filter, _) => Reason::Filter { rule: self.number, filter: filter.clone() },
        }
    }
}

/// Somebody whose roles are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub user: UserId,
    /// What they have, and why.
    pub before: Assignment,
    /// What they would have, and why.
    pub after: Assignment,
}

impl Difference {
    /// `None` where the roles are the same ones.
    pub fn between(user: UserId, before: Assignment, after: Assignment) -> Option<Difference> {
        let is_same = before.has_the_roles_of(&after);
        (!is_same).then_some(Difference { user, before, after })
    }

    /// What they have then and do not have now.
    pub fn gained(&self) -> impl Iterator<Item = &Granted> {
        self.after.granted().iter().filter(|it| !self.before.has(&it.role))
    }

    /// What they have now and will not have then.
    pub fn lost(&self) -> impl Iterator<Item = &Granted> {
        self.before.granted().iter().filter(|it| !self.after.has(&it.role))
    }
}
