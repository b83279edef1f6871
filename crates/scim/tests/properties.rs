//! What holds for every filter and every path, whatever it is.

use proptest::prelude::*;
use scim::dialect::Quirks;
use scim::filter::{Filter, Literal, NumberText, Operator};
use scim::path::{AttributePath, PatchPath};
use scim::{Preset, ResourceType};
use serde_json::{Map, Value, json};

fn parse(text: &str, preset: Preset) -> Result<Filter, scim::Error> {
    Filter::parse(text, preset, &mut Quirks::new())
}

/// What the grammar is made of, in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "userName", "emails", "type", "value", "active", "not", "and", "or", "pr", "eq", "ne",
            "co", "gt", "null", "true", "True", "(", ")", "[", "]", ".", ":", "\"", "'", "\\", " ",
            "\"work\"", "'O'", "7", "-1e9", "urn:", "\t", "é", "\u{1F600}",
            "urn:ietf:params:scim:schemas:core:2.0:User",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let joint = prop::sample::select(vec!["", " "]);
    (prop::collection::vec(piece, 0..24), joint).prop_map(|(pieces, joint)| pieces.join(joint))
}

fn path(names: &'static [&'static str]) -> impl Strategy<Value = AttributePath> {
    prop::sample::select(names).prop_map(|name| AttributePath::parse(name).unwrap())
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?"
            .prop_map(|text| Literal::Number(NumberText::new(&text).unwrap())),
        any::<String>().prop_map(Literal::Text),
    ]
}

fn operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Contains,
        Operator::StartsWith,
        Operator::EndsWith,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::LessOrEqual,
    ])
}

fn joined(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|it| Filter::Not(Box::new(it))),
        ]
    })
}

/// Any tree that the grammar can say, whether or not its names and types fit.
fn tree() -> impl Strategy<Value = Filter> {
    const NAMES: &[&str] =
        &["a", "$ref", "name.givenName", "urn:x:2.0:User:manager.value", "and", "or", "pr", "eq"];
    const PARTS: &[&str] = &["value", "type", "$ref", "display"];
    fn leaf(names: &'static [&'static str]) -> impl Strategy<Value = Filter> {
        prop_oneof![
            path(names).prop_map(Filter::Present),
            (path(names), operator(), literal())
                .prop_map(|(path, operator, literal)| { Filter::Compare(path, operator, literal) }),
        ]
    }
    let values = (path(NAMES), joined(leaf(PARTS)))
        .prop_map(|(path, inner)| Filter::Values(path, Box::new(inner)));
    joined(prop_oneof![3 => leaf(NAMES), 1 => values])
}

/// A filter that fits users, and finds some of those below.
fn sensible() -> impl Strategy<Value = Filter> {
    joined(
        prop::sample::select(vec![
            r#"userName sw "b""#,
            r#"userName ne "BJENSEN""#,
            "active eq true",
            "title pr",
            "title eq null",
            r#"emails.type eq "work""#,
            r#"emails.type ne "work""#,
            r#"emails co "@HOME""#,
            r#"emails[type eq "work" and value co "@home"]"#,
            r#"emails[type ne "work"]"#,
            r#"meta.created ge "2026-01-02T00:00:00+01:00""#,
            r#"meta.created lt "2026-01-02T00:00:00.0000001""#,
            r#"name.familyName gt "m""#,
        ])
        .prop_map(|text| parse(text, Preset::Strict).unwrap()),
    )
}

fn some_user() -> impl Strategy<Value = Map<String, Value>> {
    let email = (
        prop::sample::select(vec!["a@home.example", "A@HOME.example", "b@work.example"]),
        prop::sample::select(vec!["work", "home", "WORK"]),
    )
        .prop_map(|(value, kind)| json!({ "value": value, "type": kind }));
    (
        prop::sample::select(vec!["bjensen", "BJensen", "Zoë", "ｂ"]),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::sample::select(vec!["", "Guide"])),
        prop::collection::vec(email, 0..3),
        1..4,
        prop::option::of(prop::sample::select(vec!["Jensen", "zoe"])),
    )
        .prop_map(|(user_name, active, title, emails, day, family_name)| {
            let mut user = json!({
                "userName": user_name,
                "emails": emails,
                "meta": { "created": format!("2026-01-0{day}T00:00:00.000Z") },
            });
            if let Some(active) = active {
                user["active"] = active.into();
            }
            if let Some(title) = title {
                user["title"] = title.into();
            }
            if let Some(name) = family_name {
                user["name"] = json!({ "familyName": name });
            }
            user.as_object().unwrap().clone()
        })
}

fn matches(filter: &Filter, user: &Map<String, Value>) -> bool {
    let bound = filter.bind(&ResourceType::user(), Preset::Lenient, &mut Quirks::new());
    bound.unwrap_or_else(|error| panic!("{filter}: {error}")).matches(user)
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

proptest! {
    #[test]
    fn no_filter_makes_the_parser_panic(text in soup(), preset in presets()) {
        if let Ok(filter) = parse(&text, preset) {
            let printed = filter.to_string();
            prop_assert_eq!(parse(&printed, Preset::Strict), Ok(filter.clone()), "{}", printed);
            let _ = filter.bind(&ResourceType::user(), preset, &mut Quirks::new());
        }
        let _ = Filter::parse_values(&text, preset, &mut Quirks::new());
    }

    #[test]
    fn no_path_makes_the_parser_panic(text in soup(), preset in presets()) {
        let user = ResourceType::user();
        let parse = |text: &str, preset| PatchPath::parse(text, &user, preset, &mut Quirks::new());
        for text in [format!("emails[{text}].value"), text] {
            if let Ok(path) = parse(&text, preset) {
                let printed = path.to_string();
                prop_assert_eq!(parse(&printed, Preset::Strict), Ok(path), "{}", printed);
            }
        }
    }

    #[test]
    fn a_filter_that_is_printed_is_read_back(filter in tree()) {
        let printed = filter.to_string();
        // The limits are tested elsewhere; the generator makes small trees with long texts.
        prop_assume!(printed.len() < 8 * 1024);
        prop_assert_eq!(parse(&printed, Preset::Strict), Ok(filter), "{}", printed);
    }

    #[test]
    fn a_bound_filter_that_is_printed_asks_the_same(filter in sensible()) {
        let bind = |filter: &Filter| {
            filter.bind(&ResourceType::user(), Preset::Strict, &mut Quirks::new()).unwrap()
        };
        let bound = bind(&filter);
        let again = parse(&bound.to_string(), Preset::Strict).unwrap();
        prop_assert_eq!(bind(&again), bound);
    }

    #[test]
    fn not_of_and_is_or_of_nots(left in sensible(), right in sensible(), user in some_user()) {
        let and = Filter::And(vec![left.clone(), right.clone()]);
        let or = Filter::Or(vec![left.clone(), right.clone()]);
        let (without_left, without_right) = (not(left.clone()), not(right.clone()));
        let neither = Filter::And(vec![without_left.clone(), without_right.clone()]);
        let not_both = Filter::Or(vec![without_left, without_right]);
        prop_assert_eq!(matches(&not(and), &user), matches(&not_both, &user));
        prop_assert_eq!(matches(&not(or), &user), matches(&neither, &user));
        prop_assert_eq!(matches(&not(not(left.clone())), &user), matches(&left, &user));
    }

    /// The comparisons that allocate nothing say the same as those of folded text.
    #[test]
    fn text_compares_as_its_key(
        value in "[a-cA-C@é]{0,6}",
        operand in "[a-cA-C@É]{0,3}",
        case_exact in any::<bool>(),
    ) {
        let name = if case_exact { "externalId" } else { "userName" };
        let key = |text: &str| {
            if case_exact { text.to_owned() } else { scim::text::fold(text).into_owned() }
        };
        let user = json!({ name: value }).as_object().unwrap().clone();
        let holds = |operator| {
            let path = AttributePath::parse(name).unwrap();
            matches(&Filter::Compare(path, operator, Literal::Text(operand.clone())), &user)
        };
        let (value, operand) = (key(&value), key(&operand));
        prop_assert_eq!(holds(Operator::Equal), value == operand);
        prop_assert_eq!(holds(Operator::NotEqual), value != operand);
        prop_assert_eq!(holds(Operator::Contains), value.contains(&operand));
        prop_assert_eq!(holds(Operator::StartsWith), value.starts_with(&operand));
        prop_assert_eq!(holds(Operator::EndsWith), value.ends_with(&operand));
        prop_assert_eq!(holds(Operator::Greater), value > operand);
        prop_assert_eq!(holds(Operator::GreaterOrEqual), value >= operand);
        prop_assert_eq!(holds(Operator::Less), value < operand);
        prop_assert_eq!(holds(Operator::LessOrEqual), value <= operand);
    }
}

fn presets() -> impl Strategy<Value = Preset> {
    prop::sample::select(vec![Preset::Strict, Preset::Lenient])
}
