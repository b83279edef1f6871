//! What an admin says of who gets which role, and whether it can be so.

use std::collections::HashSet;
use std::fmt;

use scim::dialect::Quirks;
use scim::filter::{BoundFilter, Filter};
use scim::group::MemberKind;
use scim::{Preset, ResourceType};
use serde::{Deserialize, Serialize};

use super::Roles;
use crate::catalogue::EntryId;
use crate::condition::Revision;
use crate::id::{GroupId, ResourceId, UserId};

/// Rules of one mapping. All are read whenever somebody changes; the largest customers push a few
/// hundred groups, and map some of them.
pub const RULES_MAX: usize = 1_000;

/// Rules of one mapping that go by a condition. Each is asked at every change of every person, in the
/// transaction that keeps the change.
pub const CONDITIONS_MAX: usize = 100;

/// People of one directory that are protected. Who protects more wants a group or a rule.
pub const PROTECTED_MAX: usize = 1_000;

/// Who gets which role in one directory. The one without any rule gives nobody anything, and is what
/// a directory has before somebody says otherwise.
///
/// Kept as JSON. What is added later is to be left out where it says nothing: the version before does
/// not know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleMapping {
    /// What becomes of several rules that are about the same person.
    pub strategy: Strategy,
    /// The rules, which are counted from 1.
    pub rules: Vec<Rule>,
    /// For whom no rule is about.
    pub default_role: Option<EntryId>,
    /// A group that everybody in the directory belongs to.
    pub default_group: Option<GroupId>,
    /// People from whom sync takes nothing.
    pub protected: Vec<Protection>,
}

/// What becomes of several rules that are about the same person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// They get one role: the highest by rank.
    #[default]
    Highest,
    /// They get all the roles.
    Union,
}

/// Who is meant, and what they get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Who is meant.
    pub when: When,
    /// What they get.
    pub role: EntryId,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Those who belong to this group, whatever it is called today or tomorrow. Who belongs to a group
    /// within it is not meant.
    Group(GroupId),
    /// Those of whom this SCIM filter is true: `userType eq "Admin"`.
    Filter(String),
}

/// Somebody from whom sync takes nothing: who cannot be deactivated or deleted by their provider, and
/// does not fall below a role.
///
/// The role is said and not remembered. If it were whatever they had before, one mistake in a group
/// would make them an admin for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// Who.
    pub user: UserId,
    /// What they have at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<EntryId>,
}

/// Where in a mapping something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingPlace {
    /// By the rule of this number, from 1 on.
    Rule(usize),
    /// As the default role.
    DefaultRole,
    /// As the default group.
    DefaultGroup,
    /// Of a protected person.
    Protected(UserId),
}

impl fmt::Display for MappingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MappingPlace::Rule(number) => write!(f, "rule {number}"),
            MappingPlace::DefaultRole => f.write_str("the default role"),
            MappingPlace::DefaultGroup => f.write_str("the default group"),
            MappingPlace::Protected(user) => write!(f, "the protection of {user}"),
        }
    }
}

/// Why a mapping cannot be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingFault {
    /// It names a role that is not in the catalogue.
    UnknownRole(MappingPlace, EntryId),
    /// It names a group that the directory does not have.
    UnknownGroup(MappingPlace, GroupId),
    /// It protects somebody whom the directory does not have.
    UnknownUser(UserId),
    /// It protects somebody twice.
    ProtectedTwice(UserId),
    /// The filter of a rule cannot be read, or asks for what users do not have.
    WrongFilter(usize, scim::Error),
    /// The filter of a rule asks for something that is not said of the person, but made by the server.
    NotOfThePerson(usize, String),
    /// There are more rules than [`RULES_MAX`].
    TooManyRules(usize),
    /// There are more rules by condition than [`CONDITIONS_MAX`].
    TooManyConditions(usize),
    /// There are more protected people than [`PROTECTED_MAX`].
    TooManyProtected(usize),
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MappingFault::UnknownRole(place, role) => write!(
                f,
                "{place} names the role `{role}`, which the app does not have; \
                 add it to the roles of the app first, or name another"
            ),
            MappingFault::UnknownGroup(place, group) => write!(
                f,
                "{place} names the group {group}, which this directory does not have; \
                 have the provider push it first, or name another"
            ),
            MappingFault::UnknownUser(user) => write!(
                f,
                "{user} is to be protected and is not a user of this directory; \
                 who is not here yet cannot be protected"
            ),
            MappingFault::ProtectedTwice(user) => {
                write!(f, "{user} is protected twice; say once which role they keep")
            }
            MappingFault::WrongFilter(rule, error) => {
                write!(
                    f,
                    "the condition of rule {rule} is not a filter over users: {}",
                    error.detail()
                )
            }
            MappingFault::NotOfThePerson(rule, name) if name == "groups" => write!(
                f,
                "the condition of rule {rule} asks for `groups`; make it a rule by group, \
                 which goes on when the group gets another name"
            ),
            MappingFault::NotOfThePerson(rule, name) => write!(
                f,
                "the condition of rule {rule} asks for `{name}`, which this server makes itself; \
                 ask for something that the provider says of people"
            ),
            MappingFault::TooManyRules(count) => write!(
                f,
                "there are {count} rules and {RULES_MAX} are the most, because all are read whenever \
                 somebody changes; let several groups be one in the provider"
            ),
            MappingFault::TooManyConditions(count) => write!(
                f,
                "{count} rules go by a condition and {CONDITIONS_MAX} are the most, because each is \
                 asked at every change of every person; join some with `or`, or use groups"
            ),
            MappingFault::TooManyProtected(count) => write!(
                f,
                "{count} people are protected and {PROTECTED_MAX} are the most; \
                 give the others their role by a rule"
            ),
        }
    }
}

impl std::error::Error for MappingFault {}

/// What stands in a user as it is answered and is not in what the provider said: what the server made,
/// which changes by itself, or has its own kind of rule.
const MADE_BY_THE_SERVER: [&str; 4] = ["groups", "id", "meta", "schemas"];

impl RoleMapping {
    /// Reads what [`RoleMapping::to_text`] printed; `None` if the text is damaged.
    pub fn from_text(text: &str) -> Option<RoleMapping> {
        serde_json::from_str(text).ok()
    }

    /// For keeping.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a mapping can be printed")
    }

    /// What stands for its state.
    pub fn revision(&self) -> Revision {
        Revision::of(&serde_json::to_value(self).expect("a mapping can be printed"))
    }

    /// Whether it can be so, given the roles of the app, what users are made of, and what each id is
    /// in the directory. Says all that is wrong at once. What comes out has its filters in their
    /// canonical spelling.
    pub fn check(
        mut self,
        roles: &Roles,
        user_type: &ResourceType,
        kind_of: impl Fn(ResourceId) -> Option<MemberKind>,
    ) -> Result<RoleMapping, Vec<MappingFault>> {
        let mut faults = self.too_many();
        if !faults.is_empty() {
            // Of thousands, what else is wrong is not looked for.
            return Err(faults);
        }
        for (place, role) in self.roles_named() {
            if !roles.has(role) {
                faults.push(MappingFault::UnknownRole(place, role.clone()));
            }
        }
        for (place, group) in self.groups_named() {
            if kind_of(group) != Some(MemberKind::Group) {
                faults.push(MappingFault::UnknownGroup(place, group));
            }
        }
        let mut met = HashSet::new();
        for Protection { user, .. } in &self.protected {
            if kind_of(*user) != Some(MemberKind::User) {
                faults.push(MappingFault::UnknownUser(*user));
            } else if !met.insert(*user) {
                faults.push(MappingFault::ProtectedTwice(*user));
            }
        }
        for (place, rule) in self.rules.iter_mut().enumerate() {
            let When::Filter(text) = &mut rule.when else { continue };
            match canonical(place + 1, text, user_type) {
                Ok(canonical) => *text = canonical,
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    fn too_many(&self) -> Vec<MappingFault> {
        let is_condition = |rule: &&Rule| matches!(rule.when, When::Filter(_));
        let counts = [
            (self.rules.len(), RULES_MAX, MappingFault::TooManyRules as fn(usize) -> _),
            (
                self.rules.iter().filter(is_condition).count(),
                CONDITIONS_MAX,
                MappingFault::TooManyConditions,
            ),
            (self.protected.len(), PROTECTED_MAX, MappingFault::TooManyProtected),
        ];
        let over = counts.into_iter().filter(|(count, most, _)| count > most);
        over.map(|(count, _, fault)| fault(count)).collect()
    }

    /// The roles that it names, in the order in which it is written.
    pub fn roles_named(&self) -> impl Iterator<Item = (MappingPlace, &EntryId)> {
        let rules = (1..).map(MappingPlace::Rule).zip(self.rules.iter().map(|rule| &rule.role));
        let default = self.default_role.iter().map(|role| (MappingPlace::DefaultRole, role));
        let protected = self
            .protected
            .iter()
            .filter_map(|it| Some((MappingPlace::Protected(it.user), it.role.as_ref()?)));
        rules.chain(default).chain(protected)
    }

    /// Every group and every person that it names.
    pub fn ids_named(&self) -> impl Iterator<Item = ResourceId> {
        self.groups_named().map(|(_, group)| group).chain(self.protected.iter().map(|it| it.user))
    }

    /// The groups that it names, in the order in which it is written.
    pub fn groups_named(&self) -> impl Iterator<Item = (MappingPlace, GroupId)> {
        let rules = (1..).map(MappingPlace::Rule).zip(&self.rules);
        let rules = rules.filter_map(|(place, rule)| match rule.when {
            When::Group(group) => Some((place, group)),
            When::Filter(_) => None,
        });
        rules.chain(self.default_group.map(|group| (MappingPlace::DefaultGroup, group)))
    }
}

/// The filter of a rule in one spelling, which reads back.
fn canonical(rule: usize, text: &str, user_type: &ResourceType) -> Result<String, MappingFault> {
    let canonical = bound(text, user_type)
        .map_err(|error| MappingFault::WrongFilter(rule, error))
        .and_then(|filter| match made_by_the_server(&filter) {
            Some(name) => Err(MappingFault::NotOfThePerson(rule, name.to_owned())),
            None => Ok(filter.to_string()),
        })?;
    // It may be longer than what was written.
    bound(&canonical, user_type).map_err(|error| MappingFault::WrongFilter(rule, error))?;
    Ok(canonical)
}

/// The filter over users of a directory.
pub(super) fn bound(text: &str, user_type: &ResourceType) -> Result<BoundFilter, scim::Error> {
    let mut quirks = Quirks::new();
    Filter::parse(text, Preset::Lenient, &mut quirks)?.bind(user_type, Preset::Lenient, &mut quirks)
}

fn made_by_the_server(filter: &BoundFilter) -> Option<&str> {
    filter.members().into_iter().find(|name| MADE_BY_THE_SERVER.contains(name))
}
