//! Roles as they are assigned, and as somebody would find them who reads the mapping aloud, of people,
//! groups, roles and mappings made of chance. `ROSTER_MAPPINGS=100000 cargo test -p directory --test
//! decisions by_hand` is the long form, of 2,500,000 people; a failure names its seed.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::{
    BoundMapping, Difference, EntryId, GroupId, Person, Protection, Reason, Role, RoleMapping,
    Roles, Rule, Strategy, When,
};
use scim::group::MemberKind;
use serde_json::{Map, Value};

use crate::roles::user;
use crate::world::{id, user_resource, user_type};

/// Mappings that are tried, each with [`PEOPLE`].
const MAPPINGS: u64 = 500;
const PEOPLE: u64 = 25;

/// Groups have numbers from here on, and users below.
const GROUPS_FROM: u64 = 100;

#[test]
#[expect(clippy::disallowed_methods, reason = "how many are tried is said from outside")]
fn roles_by_hand_are_those_that_are_assigned() {
    let number = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |it| it.parse().expect("it is a number"))
    };
    let first = number("ROSTER_SEED", 1);
    for seed in first..first + number("ROSTER_MAPPINGS", MAPPINGS) {
        try_one(seed);
    }
}

fn try_one(seed: u64) {
    let mut dice = Dice(seed);
    let app = app(&mut dice);
    let roles =
        Arc::new(Roles::new(app.iter().map(|(id, rank)| Role { id: id.clone(), rank: *rank })));
    let told: [ByHand; 2] = [by_hand(&mut dice, &app), by_hand(&mut dice, &app)];
    let user_type = user_type();
    let bound = told.each_ref().map(|it| {
        let kind_of = |it| {
            let is_user = (0..GROUPS_FROM).any(|number| id(number) == it);
            Some(if is_user { MemberKind::User } else { MemberKind::Group })
        };
        let mapping = it.mapping().check(&roles, &user_type, kind_of).expect("it can be so");
        let mapping = RoleMapping::from_text(&mapping.to_text()).expect("it reads back");
        BoundMapping::new(&mapping, Arc::clone(&roles), &user_type)
    });
    assert!(bound.iter().all(|it| it.idle().is_empty()), "seed {seed}");

    let sketches: Vec<_> = (0..PEOPLE).map(|number| Sketch::of(number, &mut dice)).collect();
    let users: Vec<_> = sketches.iter().map(Sketch::user).collect();
    let people = || users.iter().map(|(user, groups)| Person { user, groups });
    let mut expected = Vec::new();
    for (sketch, person) in sketches.iter().zip(people()) {
        let found = bound.each_ref().map(|it| it.assigned(person));
        let aloud = told.each_ref().map(|it| it.roles_of(sketch, &app));
        for ((found, aloud), told) in found.iter().zip(&aloud).zip(&told) {
            let found: Vec<_> =
                found.granted().iter().map(|it| (it.role.clone(), told.why(&it.reason))).collect();
            assert_eq!(&found, aloud, "seed {seed}\n{sketch:?}\n{told:?}");
        }
        let sets =
            aloud.each_ref().map(|it| it.iter().map(|(role, _)| role).collect::<BTreeSet<_>>());
        let [before, after] = found;
        if sets[0] != sets[1] {
            let lost = sets[0].difference(&sets[1]).copied().cloned().collect::<Vec<_>>();
            let gained = sets[1].difference(&sets[0]).copied().cloned().collect::<Vec<_>>();
            expected.push((Difference { user: person.user.id, before, after }, gained, lost));
        }
    }
    // Who gains and who loses is said of exactly those.
    let differ = |person: Person<'_>| {
        let [before, after] = bound.each_ref().map(|it| it.assigned(person));
        Difference::between(person.user.id, before, after)
    };
    let differences: Vec<_> = people().filter_map(differ).collect();
    assert_eq!(differences.len(), expected.len(), "seed {seed}");
    for (difference, (expected, gained, lost)) in differences.iter().zip(&expected) {
        assert_eq!(difference, expected, "seed {seed}");
        let sorted = |mut roles: Vec<EntryId>| {
            roles.sort();
            roles
        };
        let names = sorted(difference.gained().map(|it| it.role.clone()).collect());
        assert_eq!(&names, gained, "seed {seed}");
        let names = sorted(difference.lost().map(|it| it.role.clone()).collect());
        assert_eq!(&names, lost, "seed {seed}");
    }
}

/// Roles as the catalogue has them. Some share a rank, and some have none.
fn app(dice: &mut Dice) -> Vec<(EntryId, Option<u16>)> {
    let rank = |dice: &mut Dice| (dice.below(4) > 0).then(|| [1, 2, 2, 7][dice.at(4)]);
    (0..=dice.below(6))
        .map(|number| (format!("role-{number}").parse().unwrap(), rank(dice)))
        .collect()
}

/// A person on paper.
#[derive(Debug)]
struct Sketch {
    number: u64,
    /// One value each: user type, title, nickname.
    says: [Option<&'static str>; 3],
    active: Option<bool>,
    groups: BTreeSet<u64>,
}

const NAMES: [&str; 3] = ["userType", "title", "nickName"];
const VALUES: [&str; 4] = ["Admin", "admin assistant", "Editor", "x"];
const GROUPS: u64 = 6;

impl Sketch {
    fn of(number: u64, dice: &mut Dice) -> Sketch {
        let mut says = [None; 3];
        for value in &mut says {
            *value = (dice.below(3) > 0).then(|| VALUES[dice.at(VALUES.len())]);
        }
        let active = [None, Some(true), Some(false)][dice.at(3)];
        let groups = (0..GROUPS).filter(|_| dice.below(3) == 0).collect();
        Sketch { number, says, active, groups }
    }

    fn user(&self) -> (directory::User, BTreeSet<GroupId>) {
        let mut body = Map::new();
        body.insert("userName".to_owned(), format!("user-{}", self.number).into());
        for (name, value) in NAMES.iter().zip(self.says) {
            body.extend(value.map(|value| ((*name).to_owned(), Value::from(value))));
        }
        body.extend(self.active.map(|it| ("active".to_owned(), Value::from(it))));
        let groups = self.groups.iter().map(|number| id(GROUPS_FROM + number)).collect();
        (user(self.number, user_resource(Value::Object(body))), groups)
    }
}

/// A condition on paper.
#[derive(Clone, Debug)]
enum Asked {
    Is(usize, &'static str),
    Begins(usize, &'static str),
    Says(usize),
    IsActive(bool),
    Not(Box<Asked>),
    Both(Box<Asked>, Box<Asked>),
    Either(Box<Asked>, Box<Asked>),
}

impl Asked {
    fn of(dice: &mut Dice, depth: u64) -> Asked {
        let (name, value) = (dice.at(NAMES.len()), VALUES[dice.at(VALUES.len())]);
        match dice.below(if depth == 0 { 4 } else { 7 }) {
            0 => Asked::Is(name, value),
            1 => Asked::Begins(name, &value[..=dice.at(value.len())]),
            2 => Asked::Says(name),
            3 => Asked::IsActive(dice.below(2) == 0),
            4 => Asked::Not(Asked::of(dice, depth - 1).into()),
            5 => Asked::Both(Asked::of(dice, depth - 1).into(), Asked::of(dice, depth - 1).into()),
            _ => {
                Asked::Either(Asked::of(dice, depth - 1).into(), Asked::of(dice, depth - 1).into())
            }
        }
    }

    fn written(&self) -> String {
        match self {
            Asked::Is(name, value) => format!("{} eq \"{value}\"", NAMES[*name]),
            Asked::Begins(name, value) => format!("{} sw \"{value}\"", NAMES[*name]),
            Asked::Says(name) => format!("{} pr", NAMES[*name]),
            Asked::IsActive(flag) => format!("active eq {flag}"),
            Asked::Not(it) => format!("not ({})", it.written()),
            Asked::Both(one, other) => format!("({}) and ({})", one.written(), other.written()),
            Asked::Either(one, other) => format!("({}) or ({})", one.written(), other.written()),
        }
    }

    fn holds(&self, of: &Sketch) -> bool {
        let says = |name: &usize| of.says[*name].map(str::to_lowercase);
        match self {
            Asked::Is(name, value) => says(name) == Some(value.to_lowercase()),
            Asked::Begins(name, value) => {
                says(name).is_some_and(|it| it.starts_with(&value.to_lowercase()))
            }
            Asked::Says(name) => says(name).is_some(),
            Asked::IsActive(flag) => of.active == Some(*flag),
            Asked::Not(it) => !it.holds(of),
            Asked::Both(one, other) => one.holds(of) && other.holds(of),
            Asked::Either(one, other) => one.holds(of) || other.holds(of),
        }
    }
}

/// Why somebody has a role, on paper: by the rule of a number, by default, by protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Rule(usize),
    Default,
    Protected,
}

/// A mapping on paper.
#[derive(Debug)]
struct ByHand {
    is_union: bool,
    /// Belonging to a group, or a condition; and the role.
    rules: Vec<(Result<u64, Asked>, EntryId)>,
    default_role: Option<EntryId>,
    default_group: Option<u64>,
    protected: Vec<(u64, Option<EntryId>)>,
}

fn by_hand(dice: &mut Dice, app: &[(EntryId, Option<u16>)]) -> ByHand {
    let role = |dice: &mut Dice| app[dice.at(app.len())].0.clone();
    let rules = (0..dice.below(9))
        .map(|_| {
            let who = match dice.below(2) {
                0 => Ok(dice.below(GROUPS)),
                _ => Err(Asked::of(dice, 3)),
            };
            (who, role(dice))
        })
        .collect();
    let mut protected = Vec::new();
    for number in 0..PEOPLE {
        if dice.below(8) == 0 {
            protected.push((number, (dice.below(3) > 0).then(|| role(dice))));
        }
    }
    ByHand {
        is_union: dice.below(2) == 0,
        rules,
        default_role: (dice.below(2) == 0).then(|| role(dice)),
        default_group: (dice.below(4) == 0).then(|| dice.below(GROUPS)),
        protected,
    }
}

impl ByHand {
    fn mapping(&self) -> RoleMapping {
        let rule = |(who, role): &(Result<u64, Asked>, EntryId)| Rule {
            when: match who {
                Ok(group) => When::Group(id(GROUPS_FROM + group)),
                Err(asked) => When::Filter(asked.written()),
            },
            role: role.clone(),
        };
        let protect = |(number, role): &(u64, Option<EntryId>)| Protection {
            user: id(*number),
            role: role.clone(),
        };
        RoleMapping {
            strategy: if self.is_union { Strategy::Union } else { Strategy::Highest },
            rules: self.rules.iter().map(rule).collect(),
            default_role: self.default_role.clone(),
            default_group: self.default_group.map(|group| id(GROUPS_FROM + group)),
            protected: self.protected.iter().map(protect).collect(),
        }
    }

    /// Role by role: does anybody say that they have it?
    fn roles_of(&self, person: &Sketch, app: &[(EntryId, Option<u16>)]) -> Vec<(EntryId, Why)> {
        let mut all = Vec::new();
        for (place, (role, rank)) in app.iter().enumerate() {
            let says_so = |(who, given): &(Result<u64, Asked>, EntryId)| {
                given == role
                    && match who {
                        Ok(group) => {
                            person.groups.contains(group) || self.default_group == Some(*group)
                        }
                        Err(asked) => asked.holds(person),
                    }
            };
            let rule = self.rules.iter().position(says_so).map(|place| Why::Rule(place + 1));
            all.push((rank.map_or(u32::MAX, u32::from), place, role, rule));
        }
        let has_a_rule = all.iter().any(|(.., why)| why.is_some());
        for (_, _, role, why) in &mut all {
            if !has_a_rule && self.default_role.as_ref() == Some(*role) {
                *why = Some(Why::Default);
            }
            let keeps = (person.number, Some((*role).clone()));
            if why.is_none() && self.protected.contains(&keeps) {
                *why = Some(Why::Protected);
            }
        }
        all.retain(|(.., why)| why.is_some());
        all.sort_by_key(|(rank, place, ..)| (*rank, *place));
        if !self.is_union {
            all.truncate(1);
        }
        all.into_iter().filter_map(|(_, _, role, why)| Some((role.clone(), why?))).collect()
    }

    /// What was found, as it stands on paper.
    fn why(&self, reason: &Reason) -> Why {
        match reason {
            Reason::Group { rule, group } => {
                let (who, _) = &self.rules[rule - 1];
                assert!(who.as_ref().is_ok_and(|it| id(GROUPS_FROM + it) == *group), "{self:?}");
                Why::Rule(*rule)
            }
            Reason::Filter { rule, .. } => {
                assert!(self.rules[rule - 1].0.is_err(), "{self:?}");
                Why::Rule(*rule)
            }
            Reason::Default => Why::Default,
            Reason::Protected => Why::Protected,
        }
    }
}

/// Chance without pattern, the same for the same seed, as `SplitMix64` makes it.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    pub(crate) fn at(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("it is below a usize")
    }
}
