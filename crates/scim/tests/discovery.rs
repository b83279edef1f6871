//! What a server says of itself.

use std::fmt::Write;
use std::sync::Arc;

use scim::discovery::{
    AuthenticationScheme, Bulk, Cursor, ServiceProviderConfig, find_resource_type, find_schema,
    resource_type, resource_types, schema, schemas,
};
use scim::schema::builtin;
use scim::{Attribute, ResourceType, Schema};
use serde_json::{Value, json};

const BASE: &str = "https://roster.example.com/scim/v2";

fn types() -> Vec<ResourceType> {
    vec![ResourceType::user(), ResourceType::group()]
}

fn config() -> ServiceProviderConfig {
    ServiceProviderConfig {
        documentation_uri: None,
        bulk: None,
        page_max: 1000,
        page_default: 100,
        sort: true,
        etag: true,
        cursor: None,
        authentication_schemes: vec![AuthenticationScheme::BearerToken],
    }
}

#[test]
fn what_is_not_supported_is_complete_all_the_same() {
    assert_eq!(
        config().to_json(BASE),
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": { "supported": true },
            "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
            "filter": { "supported": true, "maxResults": 1000 },
            "changePassword": { "supported": false },
            "sort": { "supported": true },
            "etag": { "supported": true },
            "authenticationSchemes": [{
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of the directory, in the header `Authorization`",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": true,
            }],
            "pagination": {
                "cursor": false,
                "index": true,
                "defaultPaginationMethod": "index",
                "defaultPageSize": 100,
                "maxPageSize": 1000,
            },
            "meta": {
                "resourceType": "ServiceProviderConfig",
                "location": "https://roster.example.com/scim/v2/ServiceProviderConfig",
            },
        })
    );
}

#[test]
fn what_is_supported_says_its_limits() {
    let config = ServiceProviderConfig {
        documentation_uri: Some("https://roster.example.com/docs".into()),
        bulk: Some(Bulk { operations_max: 1000, bytes_max: 4 << 20 }),
        cursor: Some(Cursor { timeout_seconds: 3600 }),
        authentication_schemes: vec![
            AuthenticationScheme::ClientCredentials,
            AuthenticationScheme::Basic,
        ],
        ..config()
    };
    let document = config.to_json(&format!("{BASE}/"));
    let bulk = json!({ "supported": true, "maxOperations": 1000, "maxPayloadSize": 4_194_304 });
    assert_eq!(document["bulk"], bulk);
    assert_eq!(document["pagination"]["cursorTimeout"], 3600);
    assert_eq!(document["documentationUri"], "https://roster.example.com/docs");
    assert_eq!(document["authenticationSchemes"][0]["type"], "oauth2");
    assert_eq!(document["authenticationSchemes"][1]["type"], "httpbasic");
    assert_eq!(document["authenticationSchemes"][1]["primary"], false);
    assert_eq!(document["meta"]["location"], format!("{BASE}/ServiceProviderConfig"));
}

#[test]
fn a_resource_type_names_its_schemas() {
    assert_eq!(
        resource_type(&ResourceType::user(), BASE),
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": "User",
            "name": "User",
            "description": "A person",
            "endpoint": "/Users",
            "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
            "schemaExtensions": [{
                "schema": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
                "required": false,
            }],
            "meta": {
                "resourceType": "ResourceType",
                "location": "https://roster.example.com/scim/v2/ResourceTypes/User",
            },
        })
    );
    let list = resource_types(&types(), BASE);
    assert_eq!(list.total_results, 2);
    assert_eq!(list.resources[1]["id"], "Group");
    assert!(list.resources[1].get("schemaExtensions").is_none());
    assert_eq!(
        find_resource_type(&types(), "Group").map(|it| it.name.clone()),
        Some("Group".into())
    );
    assert!(find_resource_type(&types(), "group").is_none());
}

#[test]
fn every_schema_is_listed_once_and_found_in_any_case() {
    let list = schemas(&types(), BASE);
    let ids: Vec<&str> = list.resources.iter().filter_map(|it| it["id"].as_str()).collect();
    assert_eq!(
        ids,
        [
            builtin::USER,
            builtin::ENTERPRISE_USER,
            builtin::GROUP,
            builtin::SERVICE_PROVIDER_CONFIG,
            builtin::RESOURCE_TYPE,
            builtin::SCHEMA,
        ]
    );
    for id in ids {
        assert!(find_schema(&types(), &id.to_ascii_uppercase()).is_some(), "{id}");
    }
    assert!(find_schema(&types(), "urn:example:unknown").is_none());

    let custom: Schema = serde_json::from_value(json!({
        "id": "urn:okta:custom:user:1.0", "name": "Custom",
        "attributes": [{ "name": "level", "type": "integer", "multiValued": false }],
    }))
    .unwrap();
    let types = [ResourceType::user().with_extension(Arc::new(custom), false)];
    assert!(find_schema(&types, "urn:okta:custom:user:1.0").is_some());
}

#[test]
fn a_schema_document_describes_every_characteristic() {
    let document = schema(&builtin::user(), BASE);
    assert_eq!(document["schemas"], json!([builtin::SCHEMA]));
    assert_eq!(document["meta"]["location"], format!("{BASE}/Schemas/{}", builtin::USER));
    for schema in &schemas(&types(), BASE).resources {
        assert!(!has_null(schema), "{}", schema["id"]);
        each_attribute(&schema["attributes"], &mut |attribute| {
            for name in [
                "name",
                "type",
                "multiValued",
                "required",
                "caseExact",
                "mutability",
                "returned",
                "uniqueness",
                "description",
            ] {
                assert!(attribute.get(name).is_some(), "{name} of {attribute}");
            }
            let is = |name: &str, kind: &str| {
                assert_eq!(attribute.get(name).is_some(), attribute["type"] == kind, "{attribute}");
            };
            is("subAttributes", "complex");
            is("referenceTypes", "reference");
        });
        // What is printed is read back as the same table.
        let mut printed = schema.clone();
        printed.as_object_mut().unwrap().retain(|name, _| name != "schemas" && name != "meta");
        let read: Schema = serde_json::from_value(printed).unwrap();
        assert_eq!(Some(Arc::new(read)), find_schema(&types(), schema["id"].as_str().unwrap()));
    }
}

#[test]
fn the_errors_of_the_rfcs_listing_are_not_published() {
    let group = builtin::group();
    assert!(group.attribute("displayName").is_some_and(|it| it.required));
    let members = group.attribute("members").unwrap();
    assert!(members.sub_attribute("display").is_some());
    let user = builtin::user();
    let part = |attribute: &str, part: &str| {
        user.attribute(attribute).and_then(|it| it.sub_attribute(part)).cloned()
    };
    assert!(part("addresses", "primary").is_some());
    assert_eq!(part("groups", "$ref").unwrap().reference_types, ["Group"]);
    assert!(part("photos", "value").is_some_and(|it: Attribute| it.case_exact));
}

fn each_attribute(attributes: &Value, check: &mut impl FnMut(&Value)) {
    for attribute in attributes.as_array().into_iter().flatten() {
        check(attribute);
        each_attribute(&attribute["subAttributes"], check);
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(has_null),
        Value::Object(object) => object.values().any(has_null),
        _ => false,
    }
}

/// The attributes of RFC 7643, one a line: name, type, what it requires, who may write it, when it is
/// answered, among whom it is unique, whether case matters, and what it suggests or refers to. Where
/// RFC 7643 §8.7 differs from the table, its own text, its errata or its examples say otherwise;
/// [`builtin`] says which.
///
/// Proves S-DISC-16.
#[test]
fn the_schemas_are_those_of_the_table() {
    let table = include_str!("data/attributes.txt");
    let mut printed = String::new();
    let schemas = [
        builtin::user(),
        builtin::enterprise_user(),
        builtin::group(),
        builtin::service_provider_config(),
        builtin::resource_type(),
        builtin::schema_of_schemas(),
    ];
    for schema in schemas {
        for attribute in &schema.attributes {
            print(&mut printed, &format!("{} {}", schema.name, attribute.name), attribute);
        }
    }
    let (wanted, got): (Vec<_>, Vec<_>) = (table.lines().collect(), printed.lines().collect());
    let missing: Vec<_> = wanted.iter().filter(|line| !got.contains(line)).collect();
    let more: Vec<_> = got.iter().filter(|line| !wanted.contains(line)).collect();
    assert_eq!((missing, more), (Vec::new(), Vec::new()));
}

fn print(table: &mut String, path: &str, attribute: &Attribute) {
    let word = |value: Value| value.as_str().unwrap().to_owned();
    let list = if attribute.multi_valued { "[]" } else { "" };
    let mut words = vec![format!("{}{list}", word(json!(attribute.kind)))];
    words.extend(attribute.required.then(|| "required".to_owned()));
    words.extend([word(json!(attribute.mutability)), word(json!(attribute.returned))]);
    words.extend(Some(word(json!(attribute.uniqueness))).filter(|it| it != "none"));
    words.extend(attribute.case_exact.then(|| "caseExact".to_owned()));
    for values in [&attribute.canonical_values, &attribute.reference_types] {
        words.extend((!values.is_empty()).then(|| format!("({})", values.join(" "))));
    }
    writeln!(table, "{path}: {}", words.join(" ")).unwrap();
    for part in &attribute.sub_attributes {
        print(table, &format!("{path}.{}", part.name), part);
    }
}
