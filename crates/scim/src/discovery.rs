//! What a server says of itself (RFC 7644 §4): `/ServiceProviderConfig`, `/ResourceTypes` and
//! `/Schemas`.
//!
//! The documents are made from the same tables that admission and PATCH follow, so what is
//! published is what happens.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::list::ListResponse;
use crate::schema::{ResourceType, Schema, builtin};

/// What the server can do (RFC 7643 §5). PATCH and filters it always can, changing passwords it
/// never can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceProviderConfig {
    /// Where people read about the service.
    pub documentation_uri: Option<String>,
    /// Many operations in one request, if they are supported.
    pub bulk: Option<Bulk>,
    /// Resources on a page at most, as they really are.
    pub page_max: usize,
    /// Resources on a page when a client does not say.
    pub page_default: usize,
    /// Ordering of lists.
    pub sort: bool,
    /// Versions of resources.
    pub etag: bool,
    /// Pages by cursor, if they are supported (RFC 9865).
    pub cursor: Option<Cursor>,
    /// How a client proves who it is; the first is the preferred one.
    pub authentication_schemes: Vec<AuthenticationScheme>,
}

/// The limits of a bulk request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Operations at most.
    pub operations_max: usize,
    /// Bytes at most.
    pub bytes_max: usize,
}

/// The limits of cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Seconds for which one can be used.
    pub timeout_seconds: u64,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationScheme {
    /// A token in the header `Authorization: Bearer …` (RFC 6750).
    BearerToken,
    /// OAuth 2.0 client credentials, which yield such a token (RFC 6749 §4.4).
    ClientCredentials,
    /// A name and a password in the header `Authorization: Basic …` (RFC 7617).
    Basic,
}

impl ServiceProviderConfig {
    /// The document, under a base URL such as `https://roster.example.com/scim/v2`. It is one
    /// object, never a list (RFC 7644 §4).
    pub fn to_json(&self, base_url: &str) -> Value {
        let schemes: Vec<Value> = self
            .authentication_schemes
            .iter()
            .enumerate()
            .map(|(place, scheme)| scheme.to_json(place == 0))
            .collect();
        // The limits are required even of what is not supported (RFC 7643 §5).
        let (operations_max, bytes_max) =
            self.bulk.map_or((0, 0), |bulk| (bulk.operations_max, bulk.bytes_max));
        let mut document = json!({
            "schemas": [builtin::SERVICE_PROVIDER_CONFIG],
            "patch": { "supported": true },
            "bulk": {
                "supported": self.bulk.is_some(),
                "maxOperations": operations_max,
                "maxPayloadSize": bytes_max,
            },
            "filter": { "supported": true, "maxResults": self.page_max },
            "changePassword": { "supported": false },
            "sort": { "supported": self.sort },
            "etag": { "supported": self.etag },
            "authenticationSchemes": schemes,
            "pagination": {
                "cursor": self.cursor.is_some(),
                "index": true,
                "defaultPaginationMethod": "index",
                "defaultPageSize": self.page_default,
                "maxPageSize": self.page_max,
            },
        });
        if let Some(cursor) = self.cursor {
            document["pagination"]["cursorTimeout"] = cursor.timeout_seconds.into();
        }
        if let Some(uri) = &self.documentation_uri {
            document["documentationUri"] = uri.as_str().into();
        }
        document["meta"] =
            meta("ServiceProviderConfig", &format!("{}/ServiceProviderConfig", base(base_url)));
        document
    }
}

impl AuthenticationScheme {
    fn to_json(self, is_primary: bool) -> Value {
        let (kind, name, description, specification) = match self {
            AuthenticationScheme::BearerToken => (
                "oauthbearertoken",
                "Bearer token",
                "A token of the directory, in the header `Authorization`",
                "https://www.rfc-editor.org/info/rfc6750",
            ),
            AuthenticationScheme::ClientCredentials => (
                "oauth2",
                "OAuth 2.0 client credentials",
                "A client id and secret of the directory, exchanged for a short-lived token",
                "https://www.rfc-editor.org/info/rfc6749",
            ),
            AuthenticationScheme::Basic => (
                "httpbasic",
                "HTTP Basic",
                "A name and a password of the directory, in the header `Authorization`",
                "https://www.rfc-editor.org/info/rfc7617",
            ),
        };
        json!({
            "type": kind,
            "name": name,
            "description": description,
            "specUri": specification,
            "primary": is_primary,
        })
    }
}

/// The document of one kind of resource (RFC 7643 §6).
pub fn resource_type(resource_type: &ResourceType, base_url: &str) -> Value {
    let extensions: Vec<Value> = resource_type
        .extensions
        .iter()
        .map(|it| json!({ "schema": it.schema.id, "required": it.required }))
        .collect();
    let mut document = json!({
        "schemas": [builtin::RESOURCE_TYPE],
        "id": resource_type.name,
        "name": resource_type.name,
        "description": resource_type.description,
        "endpoint": resource_type.endpoint,
        "schema": resource_type.schema.id,
    });
    if !extensions.is_empty() {
        document["schemaExtensions"] = extensions.into();
    }
    let location = format!("{}/ResourceTypes/{}", base(base_url), resource_type.name);
    document["meta"] = meta("ResourceType", &location);
    document
}

/// All kinds of resources, as a list.
pub fn resource_types(types: &[ResourceType], base_url: &str) -> ListResponse<Value> {
    ListResponse::all(types.iter().map(|it| resource_type(it, base_url)).collect())
}

/// The kind of resource with this id, exactly as it is written: it is a part of a URL.
pub fn find_resource_type<'a>(types: &'a [ResourceType], id: &str) -> Option<&'a ResourceType> {
    types.iter().find(|it| it.name == id)
}

/// The document of one schema (RFC 7643 §7).
pub fn schema(schema: &Schema, base_url: &str) -> Value {
    let mut document = json!({ "schemas": [builtin::SCHEMA] });
    let described = serde_json::to_value(schema).expect("a schema prints as an object");
    if let (Value::Object(document), Value::Object(described)) = (&mut document, described) {
        document.extend(described);
    }
    document["meta"] = meta("Schema", &format!("{}/Schemas/{}", base(base_url), schema.id));
    document
}

/// All schemas, as a list.
pub fn schemas(types: &[ResourceType], base_url: &str) -> ListResponse<Value> {
    ListResponse::all(every_schema(types).iter().map(|it| schema(it, base_url)).collect())
}

/// The schema with this URN, in whatever case it is written (RFC 7644 §3.10).
pub fn find_schema(types: &[ResourceType], urn: &str) -> Option<Arc<Schema>> {
    every_schema(types).into_iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))
}

/// Those of the resources, then those of the documents of this module, which testers ask for.
fn every_schema(types: &[ResourceType]) -> Vec<Arc<Schema>> {
    let mut schemas: Vec<Arc<Schema>> = Vec::new();
    let documents = [
        builtin::service_provider_config(),
        builtin::resource_type(),
        builtin::schema_of_schemas(),
    ];
    for schema in types.iter().flat_map(ResourceType::schemas).chain(&documents) {
        if !schemas.iter().any(|known| known.id == schema.id) {
            schemas.push(schema.clone());
        }
    }
    schemas
}

fn meta(resource_type: &str, location: &str) -> Value {
    json!({ "resourceType": resource_type, "location": location })
}

/// The base URL without the slash that people put at its end.
fn base(url: &str) -> &str {
    url.trim_end_matches('/')
}
