//! What the server says of its schemas, held against what it does; and how much of schemas, and of what
//! no schema has, it takes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use web::Limits;

use crate::bulk::scim;
use crate::passwords::all_kept;
use crate::server::{Connection, PUBLIC_URL, Reply, Server};

const PROBE: &str = "urn:example:probe:1.0:User";
const GROUP_PROBE: &str = "urn:example:probe:1.0:Group";

fn get(server: &Server, to: &Connection, path: &str) -> Value {
    let reply = scim(server, to, "GET", path, b"");
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

fn post(server: &Server, to: &Connection, path: &str, body: &Value) -> Reply {
    scim(server, to, "POST", path, body.to_string().as_bytes())
}

fn define(server: &Server, to: &Connection, urn: &str, attributes: &Value) -> Reply {
    let schema = json!({ "id": urn, "name": "Probe", "attributes": attributes });
    put_schema(server, to, "User", &schema)
}

fn put_schema(server: &Server, to: &Connection, resource_type: &str, schema: &Value) -> Reply {
    let body = json!({ "resource_type": resource_type, "schema": schema });
    let urn = schema["id"].as_str().unwrap();
    let path = format!("/api/v1/directories/{}/schemas/{urn}", to.directory);
    server.api("PUT", &path, body.to_string().as_bytes())
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn strings(value: &Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

/// Every value in a document, with the name under which it stands.
fn walk<'a>(name: &str, value: &'a Value, see: &mut dyn FnMut(&str, &'a Value)) {
    see(name, value);
    match value {
        Value::Object(object) => object.iter().for_each(|(name, it)| walk(name, it, see)),
        Value::Array(values) => values.iter().for_each(|it| walk(name, it, see)),
        _ => {}
    }
}

/// One attribute of each type and characteristic that a schema of one's own can have.
fn probe() -> Value {
    let named = |name: &str, more: Value| {
        let mut attribute = json!({ "name": name, "description": "A probe" });
        attribute.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        attribute
    };
    json!([
        named("plain", json!({})),
        named("exact", json!({ "caseExact": true })),
        named("fixed", json!({ "mutability": "immutable" })),
        named("always", json!({ "returned": "always" })),
        named("request", json!({ "returned": "request" })),
        named("flag", json!({ "type": "boolean" })),
        named("decimal", json!({ "type": "decimal" })),
        named("integer", json!({ "type": "integer" })),
        named("moment", json!({ "type": "dateTime" })),
        named("bytes", json!({ "type": "binary" })),
        named("page", json!({ "type": "reference", "referenceTypes": ["external"] })),
        named("texts", json!({ "multiValued": true, "caseExact": true })),
        named(
            "parts",
            json!({ "type": "complex", "multiValued": true, "subAttributes": [
                named("value", json!({ "caseExact": true })),
                named("type", json!({})),
            ]})
        ),
        named(
            "one",
            json!({ "type": "complex", "subAttributes": [named("value", json!({ "type": "integer" }))]})
        ),
    ])
}

/// Proves S-DISC-8, S-DISC-9, S-DISC-10, S-DISC-12, S-DISC-13, S-DISC-14, S-DISC-15, S-DISC-22.
#[test]
fn every_schema_that_is_named_is_published_whole() {
    let server = Server::start("schemas-published", Limits::default());
    let to = server.connect("Acme", "Okta");
    assert_eq!(define(&server, &to, PROBE, &probe()).status, 201);
    let types = get(&server, &to, "/ResourceTypes");
    assert_eq!(types["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
    let names: Vec<_> = list(&types, "Resources").iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["User", "Group"]);
    let published = get(&server, &to, "/Schemas");
    assert_eq!(published["schemas"], types["schemas"]);
    assert_eq!(published["totalResults"], list(&published, "Resources").len());
    let ids: BTreeSet<_> =
        list(&published, "Resources").iter().map(|it| it["id"].as_str().unwrap()).collect();
    let names: BTreeSet<_> =
        list(&published, "Resources").iter().map(|it| it["name"].as_str().unwrap()).collect();
    for name in ["ServiceProviderConfig", "ResourceType", "Schema", "User", "Group", "Probe"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }

    for resource_type in list(&types, "Resources") {
        let name = resource_type["name"].as_str().unwrap();
        assert_eq!(get(&server, &to, &format!("/ResourceTypes/{name}")), *resource_type);
        assert_eq!(resource_type["id"], *name);
        assert!(resource_type["description"].is_string());
        assert!(resource_type["endpoint"].as_str().unwrap().starts_with('/'), "{resource_type}");
        let extensions = list(resource_type, "schemaExtensions");
        assert!(extensions.iter().all(|it| it["required"].is_boolean()), "{resource_type}");
        let named = extensions.iter().chain(std::iter::once(resource_type));
        for urn in named.map(|it| it["schema"].as_str().unwrap()) {
            assert!(ids.contains(urn), "{urn}");
        }
    }
    for schema in list(&published, "Resources") {
        let urn = schema["id"].as_str().unwrap();
        assert_eq!(get(&server, &to, &format!("/Schemas/{urn}")), *schema);
        walk("", schema, &mut |name, value| {
            assert!(!value.is_null(), "{urn}: {name}");
            let is_camel_case = !name.contains('_') && !name.starts_with(char::is_uppercase);
            assert!(is_camel_case, "{urn}: {name}");
        });
        list(schema, "attributes").iter().for_each(check_attribute);
    }
    for nothing in ["/Schemas/urn:example:none", "/ResourceTypes/Robot", "/ResourceTypes/user"] {
        assert_eq!(scim(&server, &to, "GET", nothing, b"").status, 404, "{nothing}");
    }
}

/// RFC 7643 §7.
fn check_attribute(attribute: &Value) {
    let one_of = |name: &str, values: &[&str]| {
        let value = attribute[name].as_str().unwrap_or_default();
        assert!(values.contains(&value), "{name}: {attribute}");
    };
    assert!(attribute["name"].is_string() && attribute["description"].is_string(), "{attribute}");
    for flag in ["multiValued", "required", "caseExact"] {
        assert!(attribute[flag].is_boolean(), "{flag}: {attribute}");
    }
    let types =
        ["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"];
    one_of("type", &types);
    one_of("mutability", &["readOnly", "readWrite", "immutable", "writeOnly"]);
    one_of("returned", &["always", "never", "default", "request"]);
    one_of("uniqueness", &["none", "server", "global"]);
    let parts = list(attribute, "subAttributes");
    assert_eq!(attribute["type"] == "complex", !parts.is_empty(), "{attribute}");
    let refers = !strings(&attribute["referenceTypes"]).is_empty();
    assert_eq!(attribute["type"] == "reference", refers, "{attribute}");
    parts.iter().for_each(check_attribute);
}

/// A value of an attribute; another one for another number.
fn sample(attribute: &Value, number: u32) -> Value {
    let one = match attribute["type"].as_str().unwrap() {
        "string" => json!(format!("Value-{number}")),
        // An account that was switched off is the one change of `active` that this makes.
        "boolean" => json!(number == 1),
        "decimal" => json!(f64::from(number) + 0.5),
        "integer" => json!(number),
        "dateTime" => json!(format!("2026-01-0{number}T00:00:00Z")),
        "binary" => json!(if number == 1 { "AQID" } else { "BAUG" }),
        "reference" => json!(format!("https://a.example/Value-{number}")),
        "complex" => {
            let parts = list(attribute, "subAttributes").iter();
            Value::Object(parts.map(|it| (name(it).to_owned(), sample(it, number))).collect())
        }
        other => panic!("{other}"),
    };
    if attribute["multiValued"] == true { json!([one]) } else { one }
}

/// What of a sample is kept: not what only the server sets.
fn kept(attribute: &Value, value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(|it| kept(attribute, it)).collect(),
        Value::Object(parts) => {
            let is_kept = |name: &String| {
                let part =
                    list(attribute, "subAttributes").iter().find(|it| self::name(it) == name);
                part.is_some_and(|it| {
                    it["mutability"] == "readWrite" || it["mutability"] == "immutable"
                })
            };
            let parts = parts.iter().filter(|(name, _)| is_kept(name));
            Value::Object(parts.map(|(name, it)| (name.clone(), it.clone())).collect())
        }
        other => other.clone(),
    }
}

fn name(attribute: &Value) -> &str {
    attribute["name"].as_str().unwrap()
}

/// Proves S-DISC-17.
#[test]
fn what_schemas_say_is_what_happens() {
    let server = Server::start("schemas-happen", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    assert_eq!(define(&server, &to, PROBE, &probe()).status, 201);
    let schema = json!({ "id": GROUP_PROBE, "name": "Probe", "attributes": probe() });
    assert_eq!(put_schema(&server, &to, "Group", &schema).status, 201);
    let mut number = 0;
    for (resource_type, key, probed) in
        [("User", "userName", 21 + 6 + 14), ("Group", "displayName", 1 + 14)]
    {
        let resource_type = get(&server, &to, &format!("/ResourceTypes/{resource_type}"));
        let endpoint = resource_type["endpoint"].as_str().unwrap();
        let begun = number;
        for schema in
            std::iter::once(&resource_type).chain(list(&resource_type, "schemaExtensions"))
        {
            let urn = schema["schema"].as_str().unwrap();
            let is_base = *schema == resource_type;
            let document = get(&server, &to, &format!("/Schemas/{urn}"));
            for attribute in list(&document, "attributes") {
                // It takes who is there, and no sample.
                if is_base && name(attribute) == "members" {
                    continue;
                }
                number += 1;
                let (server, to) = (&server, &to);
                Probe { server, to, endpoint, key, urn, is_base, attribute, number }.run();
            }
        }
        assert!(number - begun >= probed, "{endpoint}: {begun} to {number}");
    }
}

/// An attribute that is tried out.
struct Probe<'a> {
    server: &'a Server,
    to: &'a Connection,
    endpoint: &'a str,
    /// The attribute by which one is told from another.
    key: &'a str,
    urn: &'a str,
    is_base: bool,
    attribute: &'a Value,
    number: u32,
}

impl Probe<'_> {
    fn path(&self) -> String {
        let name = name(self.attribute);
        if self.is_base { name.to_owned() } else { format!("{}:{name}", self.urn) }
    }

    fn is(&self, characteristic: &str, value: &str) -> bool {
        self.attribute[characteristic] == *value
    }

    fn body(&self, user: &str, value: Option<&Value>) -> Value {
        let mut body = Map::from_iter([(self.key.to_owned(), json!(user))]);
        if let Some(value) = value {
            let one = Map::from_iter([(name(self.attribute).to_owned(), value.clone())]);
            if self.is_base {
                body.extend(one);
            } else {
                body.insert(self.urn.to_owned(), Value::Object(one));
            }
        }
        Value::Object(body)
    }

    fn found(&self, resource: &Value) -> Value {
        let within = if self.is_base { resource } else { &resource[self.urn] };
        within[name(self.attribute)].clone()
    }

    fn matches(&self, path: &str, user: &str, value: &str) -> bool {
        let filter = format!("{path} eq \"{value}\"");
        let found =
            get(self.server, self.to, &format!("{}?filter={}", self.endpoint, encoded(&filter)));
        list(&found, "Resources").iter().any(|it| it[self.key].as_str() == Some(user))
    }

    fn patch(&self, id: &str, operation: &str, value: &Value) -> Reply {
        let operations = json!([{ "op": operation, "path": self.path(), "value": value }]);
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        });
        let path = format!("{}/{id}", self.endpoint);
        scim(self.server, self.to, "PATCH", &path, body.to_string().as_bytes())
    }

    fn run(&self) {
        let context = format!("{}: {}", self.path(), self.attribute);
        let is_name = name(self.attribute) == self.key && self.is_base;
        let (one, other) = (sample(self.attribute, 1), sample(self.attribute, 2));
        let user = if is_name { "Value-1".to_owned() } else { format!("user-{}", self.number) };
        let created = post(self.server, self.to, self.endpoint, &self.body(&user, Some(&one)));
        assert_eq!(created.status, 201, "{context}: {created:?}");
        let created = created.json();
        let id = created["id"].as_str().unwrap();
        let read =
            |query: String| get(self.server, self.to, &format!("{}/{id}{query}", self.endpoint));
        let plain = read(String::new());
        let asked = read(format!("?attributes={}", self.path()));
        let elsewhere = read("?attributes=schemas".to_owned());
        let excluded = read(format!("?excludedAttributes={}", self.path()));

        let can_be_written =
            self.is("mutability", "readWrite") || self.is("mutability", "immutable");
        let value = if can_be_written { kept(self.attribute, &one) } else { Value::Null };
        let only_if = |is_answered: bool| if is_answered { value.clone() } else { Value::Null };
        let (by_default, always) = (self.is("returned", "default"), self.is("returned", "always"));
        let on_request = self.is("returned", "request");
        assert_eq!(self.found(&created), only_if(by_default || always || on_request), "{context}");
        assert_eq!(self.found(&plain), only_if(by_default || always), "{context}");
        assert_eq!(self.found(&asked), only_if(by_default || always || on_request), "{context}");
        assert_eq!(self.found(&elsewhere), only_if(always), "{context}");
        assert_eq!(self.found(&excluded), only_if(always), "{context}");

        self.check_case(&user, &one, can_be_written, &context);
        if self.attribute["required"] == true {
            let without = post(self.server, self.to, self.endpoint, &json!({ "externalId": "x" }));
            assert_eq!(
                (without.status, &without.json()["scimType"]),
                (400, &json!("invalidValue"))
            );
            let removed = self.patch(id, "remove", &Value::Null);
            let refused = (removed.status, removed.json()["scimType"].clone());
            assert_eq!(refused, (400, json!("mutability")), "{context}");
            assert_eq!(self.found(&read(String::new())), self.found(&plain), "{context}");
        }
        if self.is("uniqueness", "server") {
            let double = self.body("VALUE-1", Some(&json!("VALUE-1")));
            let double = post(self.server, self.to, self.endpoint, &double);
            assert_eq!((double.status, &double.json()["scimType"]), (409, &json!("uniqueness")));
        }

        let patched = self.patch(id, "replace", &other);
        let after = read(format!("?attributes={}", self.path()));
        match self.attribute["mutability"].as_str().unwrap() {
            "readWrite" => {
                assert!(matches!(patched.status, 200 | 204), "{context}: {patched:?}");
                assert_eq!(self.found(&after), kept(self.attribute, &other), "{context}");
            }
            "writeOnly" => {
                assert!(matches!(patched.status, 200 | 204), "{context}: {patched:?}");
                assert_eq!(self.found(&after), Value::Null, "{context}");
            }
            "readOnly" | "immutable" => {
                let refused = (patched.status, patched.json()["scimType"].clone());
                assert_eq!(refused, (400, json!("mutability")), "{context}");
                assert_eq!(self.found(&after), self.found(&asked), "{context}");
            }
            other => panic!("{other}"),
        }
    }

    /// Texts match in another case where case does not matter, and nowhere else.
    fn check_case(&self, user: &str, value: &Value, can_be_written: bool, context: &str) {
        let parts = list(self.attribute, "subAttributes");
        let whole = std::iter::once((self.path(), self.attribute)).filter(|_| parts.is_empty());
        let parts = parts.iter().map(|part| (format!("{}.{}", self.path(), name(part)), part));
        for (path, attribute) in whole.chain(parts) {
            let is_text =
                ["string", "reference", "binary"].iter().any(|it| attribute["type"] == **it);
            if !is_text || !can_be_written || attribute["mutability"] == "readOnly" {
                continue;
            }
            let value = match value {
                Value::Array(values) => &values[0],
                value => value,
            };
            let value = value.get(name(attribute)).unwrap_or(value).as_str().unwrap();
            assert!(self.matches(&path, user, value), "{path}: {context}");
            let shouted = value.to_uppercase();
            // Base 64 of capitals has another case only in small letters.
            let shouted = if shouted == value { value.to_lowercase() } else { shouted };
            let is_exact = attribute["caseExact"] == true;
            assert_eq!(self.matches(&path, user, &shouted), !is_exact, "{path}: {context}");
        }
    }
}

/// Proves S-SCHEMA-1, S-SCHEMA-19, S-SCHEMA-22.
#[test]
fn every_resource_says_its_schemas_and_leads_where_it_points() {
    let server = Server::start("schemas-references", Limits::default());
    let to = server.connect("Acme", "Okta");
    let ana =
        post(&server, &to, "/Users", &json!({ "userName": "ana", "nickName": null, "emails": [] }));
    let ana = ana.json()["id"].as_str().unwrap().to_owned();
    let members = json!([{ "value": ana }]);
    let inner =
        post(&server, &to, "/Groups", &json!({ "displayName": "Inner", "members": members }));
    let members = json!([{ "value": ana }, { "value": inner.json()["id"] }]);
    let outer =
        post(&server, &to, "/Groups", &json!({ "displayName": "Outer", "members": members }));
    post(&server, &to, "/Groups", &json!({ "displayName": "Nobody" }));
    let operations = json!([{ "op": "add", "path": "title", "value": "Guard" }]);
    let patch = json!({ "Operations": operations }).to_string();
    let path = format!("/Users/{ana}");
    let patched = scim(&server, &to, "PATCH", &path, patch.as_bytes());
    let put = json!({ "userName": "ana" }).to_string();
    let replaced = scim(&server, &to, "PUT", &path, put.as_bytes());

    let users = get(&server, &to, "/Users");
    let groups = get(&server, &to, "/Groups");
    let mut resources = vec![inner.json(), outer.json(), patched.json(), replaced.json()];
    resources.extend(list(&users, "Resources").iter().chain(list(&groups, "Resources")).cloned());
    let mut followed = 0;
    for resource in &resources {
        let kind = resource["meta"]["resourceType"].as_str().unwrap();
        let base = format!("urn:ietf:params:scim:schemas:core:2.0:{kind}");
        assert!(strings(&resource["schemas"]).contains(base.as_str()), "{resource}");
        walk("", resource, &mut |name, value| {
            assert!(!value.is_null(), "{name}: {resource}");
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            // Okta wants to read `members` even where there are none.
            assert!(!is_empty || name == "members", "{name}: {resource}");
            if name == "$ref" || name == "location" {
                let path = value.as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap();
                let path = path.strip_prefix(&to.base).unwrap();
                assert_eq!(scim(&server, &to, "GET", path, b"").status, 200, "{path}");
                followed += 1;
            }
        });
    }
    assert!(followed > resources.len(), "some are members");
}

/// Proves S-ATTR-5.
#[test]
fn a_password_is_nowhere_afterwards() {
    const SECRET: &str = "correct-horse-battery-staple";
    let mut server = Server::start("schemas-password", Limits::default());
    let to = server.connect("Acme", "Okta");
    let body =
        json!({ "userName": "ana", "PASSWORD": SECRET, "urn:example:x": { "password": SECRET } });
    let created = post(&server, &to, "/Users", &body);
    assert_eq!(created.status, 201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/Users/{id}");
    let replaced = scim(&server, &to, "PUT", &path, body.to_string().as_bytes());
    let operations = json!([
        { "op": "replace", "path": "password", "value": SECRET },
        { "op": "add", "value": { "password": SECRET, "nickName": "A", "oldPassword": [SECRET] } },
    ]);
    let patch = json!({ "Operations": operations });
    let patched = scim(&server, &to, "PATCH", &path, patch.to_string().as_bytes());
    assert_eq!((replaced.status, patched.status), (200, 200));
    let operation = json!({ "method": "PATCH", "path": path, "data": patch });
    let bulk = post(&server, &to, "/Bulk", &json!({ "Operations": [operation] }));
    assert_eq!(bulk.json()["Operations"][0]["status"], "200");
    server.restart();
    let mut answers = vec![created, replaced, patched, bulk];
    for path in ["/Users?attributes=password", "/Users", &path, "/Users?filter=nickName%20pr"] {
        answers.push(scim(&server, &to, "GET", path, b""));
    }
    let directory = format!("/api/v1/directories/{}", to.directory);
    for path in [
        "/api/v1/events".to_owned(),
        format!("{directory}/users/{id}"),
        format!("{directory}/users"),
        format!("{directory}/unknown-attributes"),
    ] {
        answers.push(server.api("GET", &path, b""));
    }
    for answer in answers {
        assert!(answer.status < 300, "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains(SECRET), "{text}");
    }
    let bytes = all_kept(&server);
    let has = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(has("ana") && !has(SECRET), "the database has it");
}

/// Proves S-DISC-6.
#[test]
fn pages_are_as_large_and_cursors_last_as_long_as_it_says() {
    let server = Server::start("schemas-pages", Limits { rate: None, ..Limits::default() });
    let to = server.connect("Acme", "Okta");
    let pagination = get(&server, &to, "/ServiceProviderConfig")["pagination"].clone();
    let number = |name: &str| usize::try_from(pagination[name].as_u64().unwrap()).unwrap();
    let (default, most) = (number("defaultPageSize"), number("maxPageSize"));
    assert_eq!((&pagination["cursor"], &pagination["index"]), (&json!(true), &json!(true)));
    assert_eq!(pagination["defaultPaginationMethod"], "index");
    let user = |number: usize| {
        let data = json!({ "userName": format!("user-{number}") });
        json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": data })
    };
    for half in [0..=most / 2, most / 2 + 1..=most] {
        let operations: Vec<_> = half.map(user).collect();
        assert_eq!(post(&server, &to, "/Bulk", &json!({ "Operations": operations })).status, 200);
    }
    let size = |query: &str| {
        let page = get(&server, &to, &format!("/Users{query}"));
        assert_eq!(page["totalResults"], most + 1);
        list(&page, "Resources").len()
    };
    assert_eq!((size(""), size("?cursor")), (default, default));
    assert_eq!(size(&format!("?count={}", most + 1)), most);
    assert_eq!(size(&format!("?cursor&count={most}")), most);
    assert!(get(&server, &to, "/Users")["startIndex"].is_number(), "index is the default");

    let cursor = || get(&server, &to, "/Users?cursor")["nextCursor"].as_str().unwrap().to_owned();
    let use_after = |seconds: i64| {
        let cursor = cursor();
        server.pass(seconds);
        scim(&server, &to, "GET", &format!("/Users?cursor={cursor}"), b"")
    };
    let timeout = pagination["cursorTimeout"].as_i64().unwrap();
    assert_eq!(use_after(timeout - 1).status, 200);
    let expired = use_after(timeout + 1);
    assert_eq!((expired.status, &expired.json()["scimType"]), (400, &json!("expiredCursor")));
}

#[test]
fn a_directory_has_so_many_schemas_of_so_many_attributes() {
    let server = Server::start("schemas-limits", Limits::default());
    let to = server.connect("Acme", "Okta");
    let attributes = |count: usize| -> Value {
        (0..count).map(|it| json!({ "name": format!("attribute{it}") })).collect()
    };
    let urn = |number: usize| format!("urn:example:many:{number}");
    let refused = define(&server, &to, &urn(0), &attributes(201));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["type"], "urn:roster:problem:invalid-schema");
    assert_eq!(define(&server, &to, &urn(0), &attributes(0)).status, 400);
    assert_eq!(define(&server, &to, &urn(0), &attributes(200)).status, 201);
    for number in 1..directory::SCHEMAS_MAX {
        assert_eq!(define(&server, &to, &urn(number), &attributes(1)).status, 201, "{number}");
    }
    let refused = define(&server, &to, &urn(directory::SCHEMAS_MAX), &attributes(1));
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json()["type"], "urn:roster:problem:schemas-full");
    // One that is there can still be changed.
    assert_eq!(define(&server, &to, &urn(1), &attributes(2)).status, 200);
}

#[test]
fn no_client_fills_the_memory_with_names_that_it_invents() {
    let server = Server::start("schemas-aside", Limits::default());
    let to = server.connect("Acme", "Okta");
    let users = directory::ASIDE_NAMES_OF_DIRECTORY_MAX / directory::ASIDE_NAMES_MAX + 1;
    for user in 0..users {
        let mut body = json!({ "userName": format!("user-{user}"), "everybody": user });
        for number in 1..directory::ASIDE_NAMES_MAX {
            body[format!("name-{user}-{number}")] = json!(number);
        }
        assert_eq!(post(&server, &to, "/Users", &body).status, 201);
    }
    let path = format!("/api/v1/directories/{}/unknown-attributes", to.directory);
    let names = || {
        let reply = server.api("GET", &path, b"").json();
        let of = |name: &str| list(&reply, "data").iter().find(|it| it["name"] == *name).cloned();
        (list(&reply, "data").len(), of("everybody").unwrap()["user_count"].clone())
    };
    assert_eq!(names(), (directory::ASIDE_NAMES_OF_DIRECTORY_MAX, json!(users)));
    // A name that is known already finds its place.
    let late = json!({ "userName": "late", "everybody": 1, "invented": 2 });
    assert_eq!(post(&server, &to, "/Users", &late).status, 201);
    assert_eq!(names(), (directory::ASIDE_NAMES_OF_DIRECTORY_MAX, json!(users + 1)));
}
