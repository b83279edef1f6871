//! Who gets which role, and why; and what a mapping may not say.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::{
    Aside, Assignment, BoundMapping, CONDITIONS_MAX, Difference, Document, EntryId, Granted,
    GroupId, MappingFault, MappingPlace, PROTECTED_MAX, Person, Protection, RULES_MAX, Reason,
    ResourceId, Role, RoleMapping, Roles, Rule, Strategy, User, When,
};
use scim::group::MemberKind;
use scim::{Resource, ResourceType};
use serde_json::{Value, json};

use crate::world::{id, user_resource, user_type, yesterday};

const DESIGN: u64 = 11;
const EDITORS: u64 = 12;

fn role(text: &str) -> EntryId {
    text.parse().unwrap()
}

/// The catalogue's order is not that of the ranks.
fn roles() -> Arc<Roles> {
    let of = |(id, rank): (&str, _)| Role { id: role(id), rank };
    let all = [("guest", None), ("viewer", Some(30)), ("editor", Some(20)), ("admin", Some(10))];
    Arc::new(Roles::new(all.map(of)))
}

fn by_group(number: u64, of: &str) -> Rule {
    Rule { when: When::Group(id(number)), role: role(of) }
}

fn by_filter(filter: &str, of: &str) -> Rule {
    Rule { when: When::Filter(filter.to_owned()), role: role(of) }
}

fn bound(mapping: &RoleMapping) -> BoundMapping {
    BoundMapping::new(mapping, roles(), &user_type())
}

pub(crate) fn user(number: u64, resource: Resource) -> User {
    User {
        id: id(number),
        active: resource.flag("active").unwrap_or(true),
        document: Document::new(resource),
        version: 1,
        created_at: yesterday(),
        modified_at: yesterday(),
        aside: Aside::default(),
    }
}

/// The roles of Ana, with their reasons in words.
#[track_caller]
fn check(mapping: &RoleMapping, ana: Value, groups: &[u64], expected: &[(&str, &str)]) {
    let ana = user(1, user_resource(ana));
    let groups: BTreeSet<GroupId> = groups.iter().map(|number| id(*number)).collect();
    let assignment = bound(mapping).assigned(Person { user: &ana, groups: &groups });
    let told: Vec<_> = assignment
        .granted()
        .iter()
        .map(|it| {
            let group = it.reason.group().map(|group| match group {
                it if it == id(DESIGN) => "Design-EU",
                it if it == id(EDITORS) => "Editors",
                other => panic!("no group is called {other}"),
            });
            (it.role.to_string(), it.reason.told_of("Ana", group).to_string())
        })
        .collect();
    let told: Vec<_> = told.iter().map(|(role, why)| (role.as_str(), why.as_str())).collect();
    assert_eq!(told, expected);
    assert_eq!(Assignment::from_text(&assignment.to_text()), Some(assignment));
}

fn ana() -> Value {
    json!({ "userName": "ana", "userType": "Admin", "title": "Designer" })
}

#[test]
fn nobody_has_a_role_before_somebody_says_so() {
    check(&RoleMapping::default(), ana(), &[DESIGN, EDITORS], &[]);
}

#[test]
fn of_several_rules_the_highest_role_decides_wherever_it_stands() {
    let rules = vec![
        by_group(DESIGN, "viewer"),
        by_group(EDITORS, "editor"),
        by_filter("title eq \"Designer\"", "editor"),
    ];
    let mapping = RoleMapping { rules, ..RoleMapping::default() };
    let in_editors = ("editor", "because Ana belongs to `Editors`, rule 2");
    check(&mapping, ana(), &[DESIGN, EDITORS], &[in_editors]);
    let as_designer = ("editor", "because `title eq \"Designer\"` is true of Ana, rule 3");
    check(&mapping, ana(), &[DESIGN], &[as_designer]);
    let in_design = ("viewer", "because Ana belongs to `Design-EU`, rule 1");
    check(&mapping, json!({ "userName": "ana" }), &[DESIGN], &[in_design]);
    check(&mapping, json!({ "userName": "ana" }), &[], &[]);

    let mapping = RoleMapping { strategy: Strategy::Union, ..mapping };
    check(&mapping, ana(), &[DESIGN, EDITORS], &[in_editors, in_design]);
}

#[test]
fn the_role_follows_user_type_as_in_a_wizard_app() {
    let rules = ["Admin", "Editor", "Viewer"]
        .map(|it| by_filter(&format!("userType eq \"{it}\""), &it.to_lowercase()));
    let mapping = RoleMapping { rules: rules.to_vec(), ..RoleMapping::default() };
    for (place, it) in ["Admin", "EDITOR", "viewer"].into_iter().enumerate() {
        let (of, rule) = (it.to_lowercase(), place + 1);
        let written = ["Admin", "Editor", "Viewer"][place];
        let why = format!("because `userType eq \"{written}\"` is true of Ana, rule {rule}");
        check(&mapping, json!({ "userName": "ana", "userType": it }), &[], &[(&of, &why)]);
    }
    check(&mapping, json!({ "userName": "ana", "userType": "Owner" }), &[], &[]);
}

#[test]
fn the_default_is_for_those_whom_no_rule_is_about() {
    for strategy in [Strategy::Highest, Strategy::Union] {
        let mapping = RoleMapping {
            strategy,
            rules: vec![by_group(EDITORS, "guest")],
            default_role: Some(role("viewer")),
            ..RoleMapping::default()
        };
        let default = ("viewer", "because no rule is about Ana, and it is the default role");
        check(&mapping, ana(), &[DESIGN], &[default]);
        // Also where the default is the higher one.
        let in_editors = ("guest", "because Ana belongs to `Editors`, rule 1");
        check(&mapping, ana(), &[EDITORS], &[in_editors]);
    }
}

#[test]
fn who_is_protected_does_not_fall_below_a_role_and_may_rise() {
    let protected = |of: Option<&str>| vec![Protection { user: id(1), role: of.map(role) }];
    let mapping = RoleMapping {
        rules: vec![by_group(EDITORS, "editor"), by_group(DESIGN, "viewer")],
        protected: protected(Some("editor")),
        ..RoleMapping::default()
    };
    let keeps = ("editor", "because Ana is protected, and keeps it whatever the rules say");
    check(&mapping, ana(), &[], &[keeps]);
    check(&mapping, ana(), &[DESIGN], &[keeps]);
    let in_editors = ("editor", "because Ana belongs to `Editors`, rule 1");
    check(&mapping, ana(), &[EDITORS], &[in_editors]);
    let higher = RoleMapping { rules: vec![by_group(EDITORS, "admin")], ..mapping.clone() };
    let rises = ("admin", "because Ana belongs to `Editors`, rule 1");
    check(&higher, ana(), &[EDITORS], &[rises]);

    let in_design = ("viewer", "because Ana belongs to `Design-EU`, rule 2");
    let union = RoleMapping { strategy: Strategy::Union, ..mapping.clone() };
    check(&union, ana(), &[DESIGN], &[keeps, in_design]);

    // Who keeps no role is still not removed.
    let mapping = RoleMapping { protected: protected(None), ..mapping };
    check(&mapping, ana(), &[], &[]);
    assert!(bound(&mapping).protects(id(1)));
    assert!(!bound(&mapping).protects(id(2)));
}

#[test]
fn everybody_belongs_to_the_default_group() {
    let mapping = RoleMapping {
        rules: vec![by_group(EDITORS, "editor"), by_group(DESIGN, "viewer")],
        default_group: Some(id(DESIGN)),
        ..RoleMapping::default()
    };
    let in_design = ("viewer", "because Ana belongs to `Design-EU`, rule 2");
    check(&mapping, ana(), &[], &[in_design]);
    assert_eq!(bound(&mapping).default_group(), Some(id(DESIGN)));
    assert!(bound(&mapping).depends_on(id(EDITORS)));
    assert!(!bound(&mapping).depends_on(id(13)));
}

#[test]
fn who_may_not_use_the_app_has_the_roles_for_when_they_come_back() {
    let rules = vec![by_group(EDITORS, "editor"), by_filter("active eq false", "guest")];
    let mapping = RoleMapping { rules, strategy: Strategy::Union, ..RoleMapping::default() };
    let is_inactive = ("guest", "because `active eq false` is true of Ana, rule 2");
    let in_editors = ("editor", "because Ana belongs to `Editors`, rule 1");
    let away = json!({ "userName": "ana", "active": false });
    check(&mapping, away, &[EDITORS], &[in_editors, is_inactive]);
    check(&mapping, json!({ "userName": "ana", "active": true }), &[EDITORS], &[in_editors]);

    // Also where the provider took away the word, which makes nobody active.
    let mut ana = user(1, user_resource(json!({ "userName": "ana" })));
    ana.active = false;
    let assignment = bound(&mapping).assigned(Person { user: &ana, groups: &BTreeSet::new() });
    assert!(assignment.has(&role("guest")));
}

#[test]
fn what_names_something_that_is_gone_gives_nobody_anything() {
    let mapping = RoleMapping {
        strategy: Strategy::Union,
        rules: vec![
            by_filter("urn:example:acme:Badge:floor gt 3", "admin"),
            by_filter("not (urn:example:acme:Badge:floor gt 3)", "admin"),
            by_group(EDITORS, "owner"),
            by_group(EDITORS, "viewer"),
        ],
        default_role: Some(role("owner")),
        protected: vec![Protection { user: id(1), role: Some(role("owner")) }],
        ..RoleMapping::default()
    };
    let bound = bound(&mapping);
    let idle: Vec<_> = bound.idle().iter().map(ToString::to_string).collect();
    let unknown = "names the role `owner`, which the app does not have; \
                   add it to the roles of the app first, or name another";
    let ana = id(1);
    assert_eq!(
        idle[..3],
        [
            format!("rule 3 {unknown}"),
            format!("the default role {unknown}"),
            format!("the protection of {ana} {unknown}"),
        ]
    );
    assert_eq!(idle.len(), 5, "{idle:?}");
    assert!(idle[3..].iter().all(|it| it.contains("is not a filter over users")), "{idle:?}");
    let in_editors = ("viewer", "because Ana belongs to `Editors`, rule 4");
    check(&mapping, self::ana(), &[EDITORS], &[in_editors]);
    check(&mapping, self::ana(), &[], &[]);
}

#[test]
fn a_difference_says_who_gains_and_who_loses_and_nobody_else() {
    let rules = vec![by_group(EDITORS, "editor"), by_group(DESIGN, "viewer")];
    let before = RoleMapping { rules, ..RoleMapping::default() };
    let rules = vec![by_group(DESIGN, "viewer"), by_filter("userType eq \"Admin\"", "admin")];
    let after = RoleMapping { rules, ..RoleMapping::default() };
    let people: Vec<(User, BTreeSet<GroupId>)> = [
        (1, json!({ "userName": "ana", "userType": "Admin" }), &[EDITORS][..]),
        (2, json!({ "userName": "bo" }), &[EDITORS]),
        (3, json!({ "userName": "cy" }), &[DESIGN]),
        (4, json!({ "userName": "di" }), &[]),
        (5, json!({ "userName": "ed", "userType": "Admin" }), &[]),
    ]
    .into_iter()
    .map(|(number, body, groups)| {
        (user(number, user_resource(body)), groups.iter().map(|it| id(*it)).collect())
    })
    .collect();
    let (before, after) = (bound(&before), bound(&after));
    let people = people.iter().map(|(user, groups)| Person { user, groups });
    let differ = |person: Person<'_>| {
        Difference::between(person.user.id, before.assigned(person), after.assigned(person))
    };
    let differences: Vec<_> = people.filter_map(differ).collect();
    let names = |granted: Vec<&Granted>| -> Vec<String> {
        granted.into_iter().map(|it| it.role.to_string()).collect()
    };
    let told: Vec<_> = differences
        .iter()
        .map(|it: &Difference| (it.user, names(it.gained().collect()), names(it.lost().collect())))
        .collect();
    let of = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (id(1), of(&["admin"]), of(&["editor"])),
            (id(2), of(&[]), of(&["editor"])),
            // Cy has the same role by a rule of another number, and Di none either way.
            (id(5), of(&["admin"]), of(&[])),
        ]
    );
    let why = &differences[0].gained().next().unwrap().reason;
    assert_eq!(why.rule(), Some(2));
    assert_eq!(
        differences[1].lost().next().unwrap().reason,
        Reason::Group { rule: 1, group: id(EDITORS) }
    );
}

/// Groups have numbers from 10 on here, and users below.
fn kind_of(it: ResourceId) -> Option<MemberKind> {
    (1..20)
        .find(|number| id(*number) == it)
        .map(|number| if number < 10 { MemberKind::User } else { MemberKind::Group })
}

#[track_caller]
fn check_faults(mapping: RoleMapping, expected: &[&str]) {
    let faults = mapping.check(&roles(), &user_type(), kind_of).unwrap_err();
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told, expected);
}

#[test]
fn everything_that_is_wrong_with_a_mapping_is_said_at_once() {
    let mapping = RoleMapping {
        rules: vec![
            by_group(EDITORS, "editor"),
            by_group(99, "editor"),
            by_group(1, "boss"),
            by_filter("userType eq", "admin"),
            by_filter("shoeSize gt 40", "admin"),
            by_filter("groups.display eq \"Admins\"", "admin"),
            by_filter("userName pr and meta.created gt \"2026-01-01T00:00:00Z\"", "admin"),
        ],
        default_role: Some(role("nobody")),
        default_group: Some(id(2)),
        protected: vec![
            Protection { user: id(1), role: Some(role("owner")) },
            Protection { user: id(1), role: None },
            Protection { user: id(EDITORS), role: None },
        ],
        strategy: Strategy::Highest,
    };
    let (ana, bo, group, editors) = (id(1), id(2), id(99), id(EDITORS));
    let role = "which the app does not have; add it to the roles of the app first, or name another";
    let unknown = "which this directory does not have; \
                   have the provider push it first, or name another";
    let shoe_size = user_type_says("shoeSize gt 40");
    let half = user_type_says("userType eq");
    check_faults(
        mapping,
        &[
            &format!("rule 3 names the role `boss`, {role}"),
            &format!("the default role names the role `nobody`, {role}"),
            &format!("the protection of {ana} names the role `owner`, {role}"),
            &format!("rule 2 names the group {group}, {unknown}"),
            &format!("rule 3 names the group {ana}, {unknown}"),
            &format!("the default group names the group {bo}, {unknown}"),
            &format!("{ana} is protected twice; say once which role they keep"),
            &format!(
                "{editors} is to be protected and is not a user of this directory; \
                 who is not here yet cannot be protected"
            ),
            &format!("the condition of rule 4 is not a filter over users: {half}"),
            &format!("the condition of rule 5 is not a filter over users: {shoe_size}"),
            "the condition of rule 6 asks for `groups`; make it a rule by group, \
             which goes on when the group gets another name",
            "the condition of rule 7 asks for `meta`, which this server makes itself; \
             ask for something that the provider says of people",
        ],
    );
}

/// What the protocol says of a filter that is wrong.
fn user_type_says(filter: &str) -> String {
    use scim::Preset::Lenient;
    use scim::dialect::Quirks;
    let error = scim::filter::Filter::parse(filter, Lenient, &mut Quirks::new())
        .and_then(|it| it.bind(&ResourceType::user(), Lenient, &mut Quirks::new()))
        .unwrap_err();
    error.detail().to_owned()
}

#[test]
fn the_limits_of_a_mapping_hold_on_both_sides() {
    let of = |rules: Vec<Rule>| RoleMapping { rules, ..RoleMapping::default() };
    let passes = |mapping: RoleMapping| {
        assert_eq!(mapping.clone().check(&roles(), &user_type(), kind_of), Ok(mapping));
    };
    passes(of(vec![by_group(EDITORS, "editor"); RULES_MAX]));
    check_faults(
        of(vec![by_group(EDITORS, "nobody"); RULES_MAX + 1]),
        &["there are 1001 rules and 1000 are the most, because all are read whenever somebody \
           changes; let several groups be one in the provider"],
    );
    passes(of(vec![by_filter("title pr", "editor"); CONDITIONS_MAX]));
    check_faults(
        of(vec![by_filter("title pr", "editor"); CONDITIONS_MAX + 1]),
        &[
            "101 rules go by a condition and 100 are the most, because each is asked at every change \
           of every person; join some with `or`, or use groups",
        ],
    );
    let protecting = |count: u64| {
        let protect = |number| Protection { user: id(number), role: None };
        RoleMapping { protected: (1..=count).map(protect).collect(), ..RoleMapping::default() }
    };
    let everybody = |_| Some(MemberKind::User);
    let most = PROTECTED_MAX as u64;
    assert!(protecting(most).check(&roles(), &user_type(), everybody).is_ok());
    assert_eq!(
        protecting(most + 1).check(&roles(), &user_type(), everybody),
        Err(vec![MappingFault::TooManyProtected(PROTECTED_MAX + 1)])
    );
}

#[test]
fn a_condition_is_kept_in_one_spelling() {
    let rules = vec![by_filter("(USERTYPE  Eq 'admin') AND active eq \"True\"", "admin")];
    let mapping = RoleMapping { rules, ..RoleMapping::default() };
    let mapping = mapping.check(&roles(), &user_type(), kind_of).unwrap();
    let When::Filter(kept) = &mapping.rules[0].when else { panic!("it is a condition") };
    assert_eq!(kept, "userType eq \"admin\" and active eq true");
    assert_eq!(mapping.clone().check(&roles(), &user_type(), kind_of), Ok(mapping));
}

#[test]
fn a_mapping_reads_back_what_it_prints() {
    let mapping = RoleMapping {
        strategy: Strategy::Union,
        rules: vec![by_group(EDITORS, "editor"), by_filter("title pr", "admin")],
        default_role: Some(role("viewer")),
        default_group: Some(id(DESIGN)),
        protected: vec![
            Protection { user: id(1), role: Some(role("admin")) },
            Protection { user: id(2), role: None },
        ],
    };
    assert_eq!(RoleMapping::from_text(&mapping.to_text()), Some(mapping));
    assert_eq!(RoleMapping::from_text("{}"), Some(RoleMapping::default()));
    assert_eq!(RoleMapping::from_text("{\"rules\":[{\"when\":{},\"role\":\"a\"}]}"), None);
    let named: Vec<_> = RoleMapping { default_role: Some(role("a")), ..RoleMapping::default() }
        .roles_named()
        .map(|(place, role)| (place, role.to_string()))
        .collect();
    assert_eq!(named, [(MappingPlace::DefaultRole, "a".to_owned())]);
}
