//! How lists are asked for and answered.

use proptest::prelude::*;
use scim::dialect::{Quirk, Quirks};
use scim::limit::{PAGE_DEFAULT, PAGE_MAX};
use scim::list::{ListQuery, ListResponse, SEARCH_REQUEST_SCHEMA, SortOrder};
use scim::{Kind, Preset};
use serde_json::{Value, json, value::RawValue};

fn from_search(body: Value) -> Result<ListQuery, scim::Error> {
    ListQuery::from_search(body, Preset::Lenient, &mut Quirks::new())
}

fn parse(pairs: &[(&str, &str)]) -> Result<ListQuery, scim::Error> {
    ListQuery::parse(pairs.iter().copied())
}

/// Proves S-PAGE-1, S-PAGE-2.
#[test]
fn pages_are_clamped_rather_than_refused() {
    for (start_index, count, expected) in [
        ("", "", (1, PAGE_DEFAULT)),
        ("1", "2", (1, 2)),
        ("0", "0", (1, 0)),
        ("-5", "-1", (1, 0)),
        ("+7", " 7 ", (7, 7)),
        ("101", "1000", (101, PAGE_MAX)),
        ("101", "1001", (101, PAGE_MAX)),
        ("1", "99999999999999999999999", (1, PAGE_MAX)),
        // What goes into 32 bits with a sign is all that some clients can read back.
        ("2147483647", "1", (2_147_483_647, 1)),
        ("2147483648", "1", (2_147_483_647, 1)),
        ("99999999999999999999999", "1", (2_147_483_647, 1)),
    ] {
        let query = parse(&[("startIndex", start_index), ("count", count)]).expect("a query");
        assert_eq!((query.start_index, query.count), expected);
    }
}

#[test]
fn names_may_be_in_any_case_and_strange_ones_are_ignored() {
    let query = parse(&[
        ("FILTER", "userName eq \"ana\""),
        ("aadOptscim062020", ""),
        ("sortby", "name.familyName"),
        ("sortOrder", "Descending"),
        ("Attributes", "userName"),
        ("excludedattributes", ""),
        ("attributes", "userName"),
    ])
    .expect("a query");
    assert_eq!(query.filter.as_deref(), Some("userName eq \"ana\""));
    let sort = query.sort.expect("an order");
    assert_eq!((sort.by.as_str(), sort.order), ("name.familyName", SortOrder::Descending));
    assert_eq!(query.attributes.as_deref(), Some("userName"));
    assert_eq!(query.excluded_attributes, None);
    assert_eq!(parse(&[]), Ok(ListQuery::default()));
}

#[test]
fn a_cursor_without_a_value_is_the_first_page() {
    assert_eq!(parse(&[("cursor", "")]).unwrap().cursor.as_deref(), Some(""));
    assert_eq!(parse(&[("cursor", "abc")]).unwrap().cursor.as_deref(), Some("abc"));
    assert_eq!(parse(&[("count", "1")]).unwrap().cursor, None);
    // An empty filter is not the same as none.
    assert_eq!(parse(&[("filter", "")]).unwrap().filter.as_deref(), Some(""));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (pairs, kind) in [
        (&[("count", "abc")][..], Kind::InvalidValue),
        (&[("count", "1.0")], Kind::InvalidValue),
        (&[("count", "-")], Kind::InvalidValue),
        (&[("startIndex", "0x1")], Kind::InvalidValue),
        (&[("count", "1"), ("COUNT", "2")], Kind::InvalidValue),
        (&[("sortBy", "userName"), ("sortOrder", "down")], Kind::InvalidValue),
        (&[("startIndex", "1"), ("cursor", "")], Kind::InvalidValue),
        (&[("count", "ten"), ("cursor", "")], Kind::InvalidCount),
        (&[("count", "1001"), ("cursor", "abc")], Kind::InvalidCount),
        (&[("sortBy", "a b")], Kind::InvalidPath),
    ] {
        assert_eq!(parse(pairs).expect_err("it is refused").kind(), Some(kind), "{pairs:?}");
    }
}

/// Proves S-SEARCH-5.
#[test]
fn a_search_says_the_same_in_a_body() {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "attributes": ["displayName", "userName"], "filter": "title pr", "StartIndex": 11,
        "count": "10", "sortBy": null, "excludedAttributes": [],
    });
    let expected = parse(&[
        ("attributes", "displayName,userName"),
        ("filter", "title pr"),
        ("startIndex", "11"),
        ("count", "10"),
    ]);
    assert_eq!(from_search(body), expected);
    for (body, kind) in [
        (json!([]), Kind::InvalidSyntax),
        (json!({ "count": true }), Kind::InvalidValue),
        (json!({ "count": 1.5 }), Kind::InvalidValue),
        (json!({ "attributes": [1] }), Kind::InvalidValue),
        (json!({ "filter": ["title pr"] }), Kind::InvalidValue),
    ] {
        assert_eq!(from_search(body).expect_err("it is refused").kind(), Some(kind));
    }
}

/// Proves S-SEARCH-5.
#[test]
fn a_search_says_what_it_is_or_is_forgiven() {
    let check = |body: Value, quirk: Option<Quirk>| {
        let mut quirks = Quirks::new();
        ListQuery::from_search(body.clone(), Preset::Lenient, &mut quirks).unwrap();
        assert_eq!(quirks.iter().next(), quirk, "{body}");
        let strict = ListQuery::from_search(body, Preset::Strict, &mut Quirks::new());
        assert_eq!(strict.err().and_then(|it| it.kind()), quirk.map(|_| Kind::InvalidSyntax));
    };
    check(json!({ "schemas": [SEARCH_REQUEST_SCHEMA] }), None);
    check(json!({ "schemas": ["x", SEARCH_REQUEST_SCHEMA.to_uppercase()] }), None);
    check(json!({}), Some(Quirk::SchemasMissing));
    check(json!({ "schemas": null }), Some(Quirk::SchemasMissing));
    check(json!({ "schemas": [] }), Some(Quirk::SchemasMissing));
    check(json!({ "schemas": ["x"] }), Some(Quirk::SchemasUnknown));
    check(json!({ "schemas": SEARCH_REQUEST_SCHEMA }), Some(Quirk::SchemasUnknown));
}

#[test]
fn a_page_says_what_it_holds() {
    let check = |page: Value, expected: &str| assert_eq!(page.to_string(), expected);
    check(
        serde_json::to_value(ListResponse::page(vec![json!({ "id": "7" })], 25, 25)).unwrap(),
        r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":25,"startIndex":25,"itemsPerPage":1,"Resources":[{"id":"7"}]}"#,
    );
    check(
        serde_json::to_value(ListResponse::after_cursor(vec![json!(1)], 2, Some("c".into())))
            .unwrap(),
        r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":2,"itemsPerPage":1,"nextCursor":"c","Resources":[1]}"#,
    );
    // Resources that are kept as text are answered as text.
    let kept = RawValue::from_string(r#"{"id": "7"}"#.into()).unwrap();
    let printed = serde_json::to_string(&ListResponse::all(vec![kept])).unwrap();
    assert!(printed.ends_with(r#""Resources":[{"id": "7"}]}"#), "{printed}");
}

#[test]
fn a_page_is_the_same_whoever_prints_its_resources() {
    let check = |list: ListResponse<u64>| {
        let printed = list.print_with(|number, text| text.push_str(&number.to_string()));
        assert_eq!(printed, serde_json::to_string(&list).unwrap());
    };
    check(ListResponse::page(vec![], 7, 8));
    check(ListResponse::page(vec![7], 7, 7));
    check(ListResponse::after_cursor(vec![7, 8, 9], 12, Some("]}".into())));
}

proptest! {
    #[test]
    fn no_query_panics(pairs in proptest::collection::vec(
        (
            proptest::sample::select(vec!["filter", "startIndex", "count", "sortBy", "sortOrder", "cursor", "x"]),
            ".{0,12}",
        ),
        0..6,
    )) {
        if let Ok(query) = ListQuery::parse(pairs.into_iter()) {
            prop_assert!(query.start_index >= 1 && query.count <= PAGE_MAX);
        }
    }
}
