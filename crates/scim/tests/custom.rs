//! Schemas that a customer defines: what can be had, on both sides of each limit.

use scim::limit::{
    SCHEMA_ATTRIBUTES_MAX, SCHEMA_BYTES_MAX, SCHEMA_DESCRIPTION_BYTES_MAX, SCHEMA_NAME_BYTES_MAX,
    SCHEMA_SUB_ATTRIBUTES_MAX, SCHEMA_SUGGESTIONS_MAX, SCHEMA_URN_BYTES_MAX,
};
use scim::schema::custom::{Definition, overlap, repeated};
use scim::{ResourceType, Schema};
use serde_json::{Value, json};

const URN: &str = "urn:ietf:params:scim:schemas:extension:acme:2.0:User";

fn checked(document: Value) -> Result<Schema, String> {
    let definition: Definition =
        serde_json::from_value(document).map_err(|error| error.to_string())?;
    definition.check().map_err(|flaw| flaw.to_string())
}

fn with_attributes(attributes: &Value) -> Result<Schema, String> {
    checked(json!({ "id": URN, "name": "Acme", "attributes": attributes }))
}

fn with_urn(urn: &str) -> Result<Schema, String> {
    checked(json!({ "id": urn, "name": "Acme", "attributes": [{ "name": "badge" }] }))
}

fn attributes(count: usize) -> Value {
    (0..count).map(|number| json!({ "name": format!("a{number}") })).collect()
}

#[track_caller]
fn refuses(attribute: &Value, why: &str) {
    let error = with_attributes(&json!([attribute])).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_urn_is_one_that_nobody_else_has() {
    for urn in [
        URN,
        "urn:example:x",
        "URN:Example:a.b_c~d+1",
        "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User",
        "urn:okta:acme_1:1.0:user:custom",
    ] {
        assert_eq!(with_urn(urn).map(|schema| schema.id).as_deref(), Ok(urn));
    }
    for urn in
        ["", "acme", "urn:acme", "urn:x:y", "urn:example:", "urn:example::x", "urn:example:x:"]
            .into_iter()
            .chain([
                "urn:ex ample:x",
                "urn:example:a,b",
                "urn:example:a/b",
                "urn:example:[a]",
                "urn:example:ä",
            ])
    {
        let error = with_urn(urn).unwrap_err();
        assert!(error.contains("is not a URN"), "{error}");
    }
    for urn in [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "URN:ietf:params:scim:schemas:CORE:2.0:user:extra",
        "urn:ietf:params:scim:schemas:core",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        "urn:scim:schemas:extension:enterprise:1.0",
        "urn:ietf:params:scim:api:messages:2.0:PatchOp",
        "urn:okta:scim:schemas:core:1.0:Role",
    ] {
        let error = with_urn(urn).unwrap_err();
        assert!(error.contains("has a meaning"), "{error}");
    }
    let longest =
        format!("urn:example:{}", "x".repeat(SCHEMA_URN_BYTES_MAX - "urn:example:".len()));
    assert!(with_urn(&longest).is_ok());
    assert!(with_urn(&format!("{longest}x")).is_err());
}

#[test]
fn urns_overlap_where_one_would_be_an_attribute_of_the_other() {
    for (one, other, expected) in [
        ("urn:a:b", "urn:a:b", true),
        ("urn:a:b", "URN:A:B", true),
        ("urn:a:b", "urn:a:b:c", true),
        ("urn:a:b", "urn:a:bc", false),
        ("urn:a:b:c", "urn:a:b:d", false),
    ] {
        assert_eq!(overlap(one, other), expected, "{one} {other}");
        assert_eq!(overlap(other, one), expected, "{other} {one}");
    }
}

#[test]
fn names_are_those_of_the_rfc() {
    let longest = "x".repeat(SCHEMA_NAME_BYTES_MAX);
    for name in ["badge", "B", "x-y_z$1", &longest] {
        assert!(with_attributes(&json!([{ "name": name }])).is_ok(), "{name}");
    }
    for name in ["", "1a", "_a", "$ref", "a b", "a.b", "a:b", "ä", &format!("{longest}x")] {
        refuses(&json!({ "name": name }), "is not the name of an attribute");
    }
    for name in ["id", "ExternalId", "meta", "schemas"] {
        refuses(&json!({ "name": name }), "belongs to every resource");
    }
    refuses(&json!({ "name": "Password" }), "passwords are not kept");
    let twice = with_attributes(&json!([{ "name": "badge" }, { "name": "BADGE" }])).unwrap_err();
    assert!(twice.contains("twice"), "{twice}");
    let parts = json!([{ "name": "$ref", "type": "reference" }]);
    let complex = json!({ "name": "boss", "type": "complex", "subAttributes": parts });
    assert!(with_attributes(&json!([complex])).is_ok());
}

#[test]
fn what_would_be_published_and_not_done_is_refused() {
    let badge = |more: Value| {
        let mut attribute = json!({ "name": "badge" });
        attribute.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        attribute
    };
    refuses(&badge(json!({ "mutability": "readOnly" })), "could be written or read by nobody");
    refuses(&badge(json!({ "mutability": "writeOnly" })), "could be written or read by nobody");
    refuses(&badge(json!({ "returned": "never" })), "is not returned as it could be");
    refuses(&badge(json!({ "uniqueness": "server" })), "is to be unique");
    refuses(&badge(json!({ "uniqueness": "global" })), "is to be unique");
    refuses(&badge(json!({ "type": "integer", "canonicalValues": ["1"] })), "mean nothing");
    refuses(&badge(json!({ "referenceTypes": ["User"] })), "mean nothing");
    refuses(&badge(json!({ "canonicalValues": [""] })), "too many, too long or empty");
    refuses(&badge(json!({ "type": "complex" })), "has 0 entries");
    refuses(&badge(json!({ "subAttributes": [{ "name": "value" }] })), "is not complex");
    refuses(&badge(json!({ "type": "text" })), "unknown variant");
    refuses(&badge(json!({ "multivalued": true })), "unknown field");
    let part = |more: Value| {
        let mut part = json!({ "name": "value" });
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        badge(json!({ "type": "complex", "subAttributes": [part] }))
    };
    refuses(&part(json!({ "mutability": "immutable" })), "is immutable by itself");
    refuses(&part(json!({ "returned": "request" })), "is not returned as it could be");
    let inner = json!({ "type": "complex", "subAttributes": [{ "name": "value" }] });
    refuses(&part(inner), "`badge.value` is complex inside");
}

#[test]
fn what_follows_from_a_type_is_said() {
    let schema = with_attributes(&json!([
        { "name": "page", "type": "reference" },
        { "name": "photo", "type": "binary", "caseExact": false },
        { "name": "count", "type": "integer", "caseExact": true },
        { "name": "text", "caseExact": true },
    ]));
    let exact: Vec<_> = schema.unwrap().attributes.iter().map(|it| it.case_exact).collect();
    assert_eq!(exact, [true, true, false, true]);
}

#[test]
fn a_document_of_another_server_can_be_copied() {
    let user = ResourceType::user();
    let published = scim::discovery::schema(&user.schema, "https://a.example");
    let mut document = published.clone();
    document["id"] = json!(URN);
    // Some of its characteristics cannot be had, which is said of the first.
    assert!(checked(document).unwrap_err().contains("`userName` is to be unique"));
    let copied = json!({
        "schemas": published["schemas"], "meta": published["meta"],
        "id": URN, "name": "Acme", "description": "", "attributes": [{ "name": "title" }],
    });
    let schema = checked(copied).unwrap();
    assert_eq!(repeated(&schema, &user), ["title"]);
    assert_eq!(repeated(&schema, &ResourceType::group()), [""; 0]);
}

#[test]
fn everything_has_a_limit() {
    let most = attributes(SCHEMA_ATTRIBUTES_MAX);
    assert!(with_attributes(&most).is_ok());
    assert!(with_attributes(&attributes(SCHEMA_ATTRIBUTES_MAX + 1)).is_err());
    assert!(with_attributes(&json!([])).is_err());

    let complex = |parts: usize| json!([{ "name": "a", "type": "complex", "subAttributes": attributes(parts) }]);
    assert!(with_attributes(&complex(SCHEMA_SUB_ATTRIBUTES_MAX)).is_ok());
    assert!(with_attributes(&complex(SCHEMA_SUB_ATTRIBUTES_MAX + 1)).is_err());

    let suggests = |count: usize, bytes: usize| {
        let values: Vec<_> = (0..count).map(|_| "x".repeat(bytes)).collect();
        with_attributes(&json!([{ "name": "a", "canonicalValues": values }]))
    };
    assert!(suggests(SCHEMA_SUGGESTIONS_MAX, SCHEMA_NAME_BYTES_MAX).is_ok());
    assert!(suggests(SCHEMA_SUGGESTIONS_MAX + 1, 1).is_err());
    assert!(suggests(1, SCHEMA_NAME_BYTES_MAX + 1).is_err());

    let described =
        |bytes: usize| with_attributes(&json!([{ "name": "a", "description": "x".repeat(bytes) }]));
    assert!(described(SCHEMA_DESCRIPTION_BYTES_MAX).is_ok());
    assert!(described(SCHEMA_DESCRIPTION_BYTES_MAX + 1).is_err());
    let named =
        |name: &str| checked(json!({ "id": URN, "name": name, "attributes": [{ "name": "a" }] }));
    assert!(named(&"x".repeat(SCHEMA_NAME_BYTES_MAX)).is_ok());
    assert!(named(&"x".repeat(SCHEMA_NAME_BYTES_MAX + 1)).is_err());
    assert!(named(" ").is_err());
    assert!(named("a\nb").is_err());

    let bytes = |count: usize| {
        let one = |number: usize| {
            let description = "x".repeat(SCHEMA_DESCRIPTION_BYTES_MAX);
            json!({ "name": format!("a{number}"), "description": description })
        };
        with_attributes(&(0..count).map(one).collect())
    };
    let each = SCHEMA_DESCRIPTION_BYTES_MAX + 150;
    assert!(bytes(SCHEMA_BYTES_MAX / each - 2).is_ok());
    let error = bytes(SCHEMA_BYTES_MAX / SCHEMA_DESCRIPTION_BYTES_MAX).unwrap_err();
    assert!(error.contains("Shorten descriptions"), "{error}");
}
