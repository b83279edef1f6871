//! What filters find, as data in `data/filters.json`.

use std::sync::{Arc, LazyLock};

use scim::dialect::{Quirk, Quirks};
use scim::filter::Filter;
use scim::schema::{Attribute, Returned, Type};
use scim::{Error, Kind, Preset, ResourceType};
use serde_json::{Value, json};

static DATA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("data/filters.json")).expect("the data is JSON")
});

/// The ids of the users that the filter finds, or the keyword of its error.
fn find(filter: &str, preset: Preset) -> Value {
    let mut quirks = Quirks::new();
    let bound = Filter::parse(filter, preset, &mut quirks)
        .and_then(|it| it.bind(&ResourceType::user(), preset, &mut quirks));
    let bound = match bound {
        Ok(bound) => bound,
        Err(error) => return json!(keyword(&error)),
    };
    let found = DATA["users"].as_array().unwrap().iter().filter(|user| {
        let user = user.as_object().unwrap();
        let matches = bound.matches(user);
        // What is printed asks the same.
        let printed = bound.to_string();
        let again = Filter::parse(&printed, Preset::Strict, &mut Quirks::new())
            .and_then(|it| it.bind(&ResourceType::user(), Preset::Strict, &mut Quirks::new()))
            .unwrap_or_else(|error| panic!("{filter} prints as {printed}: {error}"));
        assert_eq!(again, bound, "{filter} prints as {printed}");
        matches
    });
    found.map(|user| user["id"].clone()).collect()
}

fn keyword(error: &Error) -> &'static str {
    assert_eq!(error.status(), 400);
    assert!(!error.detail().ends_with('.'), "{error}");
    error.kind().map_or("", Kind::as_str)
}

#[test]
fn filters_find_what_the_data_says() {
    for case in DATA["cases"].as_array().unwrap() {
        let filter = case["filter"].as_str().unwrap();
        for (preset, name) in [(Preset::Strict, "strict"), (Preset::Lenient, "lenient")] {
            assert_eq!(find(filter, preset), case[name], "{name}: {}: {filter}", case["claim"]);
        }
    }
}

/// Proves S-FILTER-15, S-FILTER-16: the detail names what is wrong and where.
#[test]
fn an_error_says_where_and_what() {
    let check = |filter: &str, expected: &str| {
        let error = Filter::parse(filter, Preset::Strict, &mut Quirks::new())
            .and_then(|it| it.bind(&ResourceType::user(), Preset::Strict, &mut Quirks::new()))
            .expect_err(filter);
        assert_eq!(error.detail(), expected, "{filter}");
    };
    check(
        "",
        "the filter is wrong at character 1: expected the name of an attribute, but the filter ends",
    );
    check(
        "userName eq",
        "the filter is wrong at character 12: expected what to compare with after `eq`, but the filter ends",
    );
    check(
        "userName eq bjensen",
        "the filter is wrong at character 13: expected text between double quotes, a number, `true`, `false` or `null`, but there is `bjensen`",
    );
    check(
        "userName is \"x\"",
        "the filter is wrong at character 10: the operator `is` is not supported; there are `eq`, `ne`, `co`, `sw`, `ew`, `gt`, `ge`, `lt`, `le` and `pr`",
    );
    check(
        "userName",
        "the filter is wrong at character 9: expected an operator after `userName`; there are `eq`, `ne`, `co`, `sw`, `ew`, `gt`, `ge`, `lt`, `le` and `pr`, but the filter ends",
    );
    check(
        "é pr",
        "the filter is wrong at character 1: `é` is not the name of an attribute: `\\u{e9}` cannot stand in a name",
    );
    check("(userName pr", "the filter is wrong at character 1: there is no `)` that closes this");
    check("userName pr)", "the filter is wrong at character 12: this `)` closes nothing");
    check(
        "not userName pr",
        "the filter is wrong at character 5: expected `(` after `not`, as in `not (title pr)`, but there is `userName`",
    );
    check(
        "userName eq \"José\" active eq true",
        "the filter is wrong at character 20: expected `and`, `or` or the end, but there is `active`",
    );
    check("usernme eq \"x\"", "a User has no attribute `usernme`; did you mean `userName`?");
    check(
        "name eq \"x\"",
        "`name` is an object, and only its parts can be compared: `formatted`, `familyName`, `givenName`, `middleName`, `honorificPrefix`, `honorificSuffix`",
    );
    check(
        "active gt false",
        "`active` is a boolean, which cannot be compared with `gt`; use `eq`, `ne` or `pr`",
    );
    check(
        "active eq \"yes\"",
        "`active` is a boolean and cannot be compared with `\"yes\"`; compare it with `true` or `false`, without quotes",
    );
}

#[test]
fn a_misspelt_name_is_met_with_the_nearest() {
    let check = |filter: &str, expected: &str| {
        let error = Filter::parse(filter, Preset::Strict, &mut Quirks::new())
            .and_then(|it| it.bind(&ResourceType::user(), Preset::Strict, &mut Quirks::new()))
            .expect_err(filter);
        let advice = error.detail().rsplit_once("; ").map(|(_, advice)| advice);
        assert_eq!(advice, Some(expected), "{filter}");
    };
    check("user_name pr", "did you mean `userName`?");
    check("EMIALS pr", "did you mean `emails`?");
    check("externlId pr", "did you mean `externalId`?");
    check(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCentre pr",
        "did you mean `costCenter`?",
    );
    check("shoeSize pr", "check its spelling against `/Schemas`");
    check("foo pr", "check its spelling against `/Schemas`");
    check("members pr", "check its spelling against `/Schemas`");
}

#[test]
fn an_object_inside_of_an_object_is_not_compared() {
    let schema = scim::schema::builtin::schema_of_schemas();
    let mut quirks = Quirks::new();
    let bound = Filter::parse_values(r#"subAttributes eq "x""#, Preset::Lenient, &mut quirks)
        .and_then(|it| {
            it.bind_values(schema.attribute("attributes").unwrap(), Preset::Lenient, &mut quirks)
        });
    assert_eq!(bound.unwrap_err().kind(), Some(Kind::InvalidFilter));
}

#[test]
fn quirks_are_noted() {
    let check = |filter: &str, expected: &[Quirk]| {
        let mut quirks = Quirks::new();
        Filter::parse(filter, Preset::Lenient, &mut quirks)
            .and_then(|it| it.bind(&ResourceType::user(), Preset::Lenient, &mut quirks))
            .expect(filter);
        assert_eq!(quirks.iter().collect::<Vec<_>>(), expected, "{filter}");
    };
    check(r#"USERNAME  EQ"x" AND not(active eq true)"#, &[]);
    check("userName eq x or title eq y", &[Quirk::FilterQuotesMissing]);
    check("userName eq 'x'", &[Quirk::FilterQuotesSingle]);
    check(r#"active eq "True""#, &[Quirk::FilterOperandType]);
    check("title eq 7", &[Quirk::FilterOperandType]);
    check(r#"emails eq "x""#, &[Quirk::FilterValueImplied]);
    check(r#"emails[type eq "work"].value eq "x""#, &[Quirk::FilterComparisonAfterBracket]);
    check(r#"manager.value eq "x""#, &[Quirk::ExtensionUrnMissing]);
}

#[test]
fn a_filter_prints_in_one_spelling() {
    let check = |filter: &str, expected: &str| {
        let parsed = Filter::parse(filter, Preset::Lenient, &mut Quirks::new()).expect(filter);
        assert_eq!(parsed.to_string(), expected);
    };
    check("((title  PR))", "title pr");
    check("a eq 1 AND (b eq 2 Or c eq 3)", "a eq 1 and (b eq 2 or c eq 3)");
    check("(a pr and b pr) or c pr", "a pr and b pr or c pr");
    check("NOT(a pr)", "not (a pr)");
    check("a eq 'x\"y'", r#"a eq "x\"y""#);
    check("a eq\"x\"", "a eq \"x\"");
    check("emails[ type eq work ]", "emails[type eq \"work\"]");
    check(r#"emails[type eq "work"].value eq "x""#, r#"emails[type eq "work" and value eq "x"]"#);
}

/// Proves S-FILTER-43.
#[test]
fn the_limits_answer_and_do_not_overflow() {
    let parse = |filter: &str| Filter::parse(filter, Preset::Lenient, &mut Quirks::new());
    let nested = |depth: usize| format!("{}a pr{}", "(".repeat(depth), ")".repeat(depth));
    let negated = |depth: usize| format!("{}a pr{}", "not(".repeat(depth), ")".repeat(depth));
    let chain = |terms: usize, joint: &str| vec!["a pr"; terms].join(joint);

    for good in [nested(32), negated(32), chain(199, " or "), chain(199, " and ")] {
        assert!(parse(&good).is_ok(), "{}", &good[..60]);
    }
    for bad in [
        nested(33),
        nested(4_000),
        nested(10_000),
        negated(33),
        negated(2_000),
        negated(10_000),
        "(".repeat(8_000),
        "not(".repeat(2_000),
        "a[".repeat(4_000),
        chain(200, " or "),
        chain(200, " and "),
        chain(100_000, " or "),
        format!("a eq \"{}\"", "x".repeat(8 * 1024)),
    ] {
        let error = parse(&bad).expect_err(&bad[..60]);
        assert_eq!((error.status(), error.kind()), (400, Some(Kind::InvalidFilter)));
    }
}

#[test]
fn eq_terms_say_what_a_value_would_be() {
    let user = ResourceType::user();
    let check = |attribute: &str, filter: &str, expected: Option<Value>| {
        let mut quirks = Quirks::new();
        let bound = Filter::parse_values(filter, Preset::Lenient, &mut quirks)
            .and_then(|it| {
                it.bind_values(user.attribute(attribute).unwrap(), Preset::Lenient, &mut quirks)
            })
            .expect(filter);
        let terms = bound.eq_terms().map(|terms| {
            terms.into_iter().map(|(name, value)| json!([name, value])).collect::<Value>()
        });
        assert_eq!(terms, expected, "{filter}");
    };
    check("emails", r#"TYPE eq "Work""#, Some(json!([["type", "Work"]])));
    check(
        "emails",
        r#"(type eq "work" and primary eq "True") and display eq 7"#,
        Some(json!([["type", "work"], ["primary", true], ["display", "7"]])),
    );
    check("schemas", r#"value eq "urn:x""#, Some(json!([[null, "urn:x"]])));
    check("emails", r#"type eq "work" or type eq "home""#, None);
    check("emails", r#"type ne "work""#, None);
    check("emails", r#"type eq "work" and value pr"#, None);
    check("emails", r#"type eq "work" and not (primary eq true)"#, None);
}

#[test]
fn ids_are_read_from_a_filter_of_members() {
    let group = ResourceType::group();
    let check = |filter: &str, expected: Option<Vec<&str>>| {
        let mut quirks = Quirks::new();
        let bound = Filter::parse_values(filter, Preset::Strict, &mut quirks)
            .and_then(|it| {
                it.bind_values(group.attribute("members").unwrap(), Preset::Strict, &mut quirks)
            })
            .expect(filter);
        assert_eq!(bound.value_ids(), expected, "{filter}");
    };
    check(r#"value eq "U1""#, Some(vec!["U1"]));
    check(r#"value eq "U1" or value eq "U2""#, Some(vec!["U1", "U2"]));
    check(r#"value eq "U1" or (value eq "U2" or value eq "U3")"#, Some(vec!["U1", "U2", "U3"]));
    check(r#"value eq "U1" or type eq "Group""#, None);
    check(r#"value eq "U1" and type eq "Group""#, None);
    check(r#"value sw "U1""#, None);
}

fn matches(filter: &str, resource_type: &ResourceType, resource: &Value) -> bool {
    Filter::parse(filter, Preset::Strict, &mut Quirks::new())
        .and_then(|it| it.bind(resource_type, Preset::Strict, &mut Quirks::new()))
        .unwrap_or_else(|error| panic!("{filter}: {error}"))
        .matches(resource.as_object().unwrap())
}

/// Proves S-FILTER-12, S-FILTER-14.
#[test]
fn numbers_are_compared_as_numbers() {
    let schema = serde_json::from_value(json!({
        "id": "urn:example:badge", "name": "Badge", "attributes": [
            { "name": "number", "type": "integer", "multiValued": false },
            { "name": "weight", "type": "decimal", "multiValued": false },
        ],
    }))
    .unwrap();
    let user = ResourceType::user().with_extension(Arc::new(schema), false);
    let badge = json!({ "urn:example:badge": { "number": 9, "weight": 1.5 } });
    for (filter, expected) in [
        ("urn:example:badge:number lt 10", true),
        ("urn:example:badge:number gt 10", false),
        ("urn:example:badge:number ge 9", true),
        ("urn:example:badge:number le 8", false),
        ("urn:example:badge:number eq 9.0", true),
        ("urn:example:badge:number gt -9", true),
        ("urn:example:badge:weight lt 1.50001", true),
        ("urn:example:badge:weight ge 15e-1", true),
        ("urn:example:badge:weight gt 2", false),
    ] {
        assert_eq!(matches(filter, &user, &badge), expected, "{filter}");
    }
    for operator in ["co", "sw", "ew"] {
        for operand in ["9", "\"9\""] {
            let filter = format!("urn:example:badge:number {operator} {operand}");
            let error = Filter::parse(&filter, Preset::Lenient, &mut Quirks::new())
                .and_then(|it| it.bind(&user, Preset::Lenient, &mut Quirks::new()))
                .expect_err(&filter);
            assert_eq!(keyword(&error), "invalidFilter", "{filter}");
        }
    }
}

/// Proves S-FILTER-9.
#[test]
fn what_is_empty_is_not_present() {
    let user = ResourceType::user();
    for (filter, resource, expected) in [
        ("name pr", json!({ "name": { "givenName": "", "familyName": null } }), false),
        ("name pr", json!({ "name": { "givenName": "", "familyName": "B" } }), true),
        ("name pr", json!({ "name": {} }), false),
        ("title pr", json!({ "title": "" }), false),
        ("title pr", json!({ "title": null }), false),
        ("title pr", json!({}), false),
        ("emails pr", json!({ "emails": [] }), false),
        ("emails pr", json!({ "emails": [{ "value": "" }] }), false),
        ("emails pr", json!({ "emails": [{ "type": "work" }] }), true),
        ("active pr", json!({ "active": false }), true),
    ] {
        assert_eq!(matches(filter, &user, &resource), expected, "{filter} {resource}");
        assert_eq!(matches(&format!("not ({filter})"), &user, &resource), !expected);
    }
}

/// Proves S-FILTER-17.
#[test]
fn operands_are_what_json_has() {
    let user = ResourceType::user();
    let odd = "a\"b\\c/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}";
    let resource = json!({ "displayName": odd, "title": "null", "active": true });
    for (filter, expected) in [
        (r#"displayName eq "a\"b\\c\/\b\f\n\r\t\u00e9\ud83d\ude00""#, true),
        (r#"displayName eq "a\"b\\c\/\b\f\n\r\t\u00E9\uD83D\uDE00""#, true),
        (r#"displayName eq "a\"b\\c\/\b\f\n\r\t\u00e9""#, false),
        (r#"displayName co "\u00e9\ud83d\ude00""#, true),
        ("active eq true", true),
        ("active eq false", false),
        ("title eq null", false),
        (r#"title eq "null""#, true),
        ("nickName eq null", true),
    ] {
        assert_eq!(matches(filter, &user, &resource), expected, "{filter}");
    }
}

/// Proves S-FILTER-31: and all the others.
#[test]
fn every_attribute_can_be_filtered_by() {
    fn check(path: &str, attribute: &Attribute, resource_type: &ResourceType) -> usize {
        let bind = |filter: &str| {
            Filter::parse(filter, Preset::Strict, &mut Quirks::new())
                .and_then(|it| it.bind(resource_type, Preset::Strict, &mut Quirks::new()))
        };
        let is_hidden = attribute.returned == Returned::Never;
        assert_eq!(bind(&format!("{path} pr")).is_err(), is_hidden, "{path}");
        let operand = match attribute.kind {
            Type::Boolean => Some("true"),
            Type::Integer | Type::Decimal => Some("7"),
            Type::DateTime => Some("\"2026-01-02T10:00:00Z\""),
            Type::String | Type::Reference | Type::Binary => Some("\"x\""),
            Type::Complex => None,
        };
        let compared = operand.map(|operand| bind(&format!("{path} eq {operand}")));
        assert!(compared.is_none_or(|it| it.is_err() == is_hidden), "{path}");
        let parts = attribute.sub_attributes.iter().map(|part| {
            if attribute.multi_valued {
                assert!(bind(&format!("{path}[{} pr]", part.name)).is_ok(), "{path}");
            }
            check(&format!("{path}.{}", part.name), part, resource_type)
        });
        1 + parts.sum::<usize>()
    }
    let mut seen = 0;
    for resource_type in [ResourceType::user(), ResourceType::group()] {
        let mut count = |prefix: &str, attributes: &[Attribute]| {
            for attribute in attributes {
                seen += check(&format!("{prefix}{}", attribute.name), attribute, &resource_type);
            }
        };
        count("", scim::schema::builtin::common());
        for schema in resource_type.schemas() {
            count(&format!("{}:", schema.id), &schema.attributes);
        }
        count("", &resource_type.schema.attributes);
    }
    assert!(seen > 150, "{seen}");
}
