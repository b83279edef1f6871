//! Filters, resources, patches and bulk requests made of choices: nearly all that the schemas and
//! the grammars allow, a little of what they do not, and values that meet each other often.

use std::fmt::Write as _;

use scim::Preset;
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::schema::{Attribute, ResourceType, Schema, Type};
use serde_json::{Map, Value, json};

use crate::Choices;

/// Text that is equal to other text in one way and not in another: case, composition, width, what
/// is special to SQL and to the grammar.
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ana",
    "Ana",
    "ANA@EXAMPLE.COM",
    "ana@example.com",
    "bo@example.com",
    "work",
    "Work",
    "home",
    "other",
    "User",
    "Group",
    "00u1",
    "00U1",
    "7",
    "007",
    "true",
    "é",
    "É",
    "e\u{301}",
    "Straße",
    "STRASSE",
    "ΟΔΥΣΣΕΥΣ",
    "οδυσσεύς",
    "ＡＮＡ",
    "İ",
    "100%_\\",
    "O'Malley",
    "a \"b\" c",
    "a) or (b",
    " ",
    "\u{1F600}",
    "urn:ietf:params:scim:schemas:core:2.0:User",
];

/// Instants that are equal, near each other, or far off; and some that are none.
const DATES: &[&str] = &[
    "2026-01-01T00:00:00Z",
    "2026-01-01T01:00:00+01:00",
    "2026-01-01T00:00:00.001Z",
    "2026-01-01T00:00:00.0000001Z",
    "2027-01-15T08:00:00Z",
    "2027-01-15T08:00:00.0005Z",
    "2027-01-15T09:01:40+01:00",
    "1969-12-31T23:59:59.999",
    "9999-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z",
    "yesterday",
];

const NUMBERS: &[&str] =
    &["0", "-1", "7", "7.0", "70e-1", "9007199254740993", "1e400", "-0", "18446744073709551615"];

/// Names, as the schemas have them.
type Name<'a> = (Option<&'a Schema>, &'a Attribute);

fn names(resource_type: &ResourceType) -> Vec<Name<'_>> {
    let extensions = resource_type.extensions.iter().flat_map(|extension| {
        let schema = extension.schema.as_ref();
        schema.attributes.iter().map(move |attribute| (Some(schema), attribute))
    });
    let common = ["id", "externalId", "schemas", "meta"];
    let common = common.iter().filter_map(|name| resource_type.attribute(name));
    let base = resource_type.schema.attributes.iter();
    common.chain(base).map(|attribute| (None, attribute)).chain(extensions).collect()
}

/// Something that a resource is known to hold, to be asked for: `emails`, `value`, `ana@x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The attribute.
    pub attribute: &'static str,
    /// Its part, where it has some.
    pub part: Option<&'static str>,
    /// What is compared with: text, unless it says `true` or `false`.
    pub value: String,
}

/// A filter as somebody would write it: mostly right, in any spelling.
pub fn filter(choices: &mut Choices<'_>, resource_type: &ResourceType) -> String {
    filter_among(choices, resource_type, &[])
}

/// The same, of which every second comparison is with something known.
pub fn filter_among(
    choices: &mut Choices<'_>,
    resource_type: &ResourceType,
    known: &[Known],
) -> String {
    let names = names(resource_type);
    let mut text = String::new();
    joined(choices, &mut text, 3, &mut |choices, text| {
        if !known.is_empty() && choices.below(2) == 0 {
            let known = choices.one_of(known);
            return comparison_with(choices, text, known);
        }
        let (schema, attribute) = *choices.one_of(&names);
        let holds_parts = !attribute.sub_attributes.is_empty();
        let name = spelled(choices, schema, attribute);
        if holds_parts && choices.below(3) == 0 || attribute.multi_valued && choices.once_in(8) {
            text.push_str(&name);
            text.push('[');
            joined(choices, text, 1, &mut |choices, text| {
                let part = choices.below(attribute.sub_attributes.len() + 1);
                match attribute.sub_attributes.get(part) {
                    Some(part) => {
                        let name = in_some_case(choices, &part.name);
                        comparison(choices, text, &name, part);
                    }
                    None => comparison(choices, text, "value", attribute),
                }
            });
            text.push(']');
            return;
        }
        if holds_parts && !choices.once_in(4) {
            let part = choices.one_of(&attribute.sub_attributes);
            let name = format!("{name}.{}", in_some_case(choices, &part.name));
            comparison(choices, text, &name, part);
            return;
        }
        comparison(choices, text, &name, attribute);
    });
    text
}

/// A comparison with something known, most of them `eq`.
fn comparison_with(choices: &mut Choices<'_>, text: &mut String, known: &Known) {
    const OPERATORS: &[&str] = &["eq", "eq", "eq", "EQ", "ne", "sw", "ew", "co", "gt", "ge", "lt"];
    let operator = *choices.one_of(OPERATORS);
    let value = match choices.below(8) {
        5 => known.value.to_uppercase(),
        6 => known.value.to_lowercase(),
        7 => known.value.chars().take(known.value.chars().count() / 2).collect(),
        _ => known.value.clone(),
    };
    let (operator, literal) = match known.value.as_str() {
        "true" | "false" => ("eq", known.value.clone()),
        // An instant has no beginning.
        text if scim::datetime::parse(text).is_some() => {
            const OF_ORDER: &[&str] = &["eq", "ne", "gt", "ge", "lt", "le"];
            (*choices.one_of(OF_ORDER), Value::from(text).to_string())
        }
        _ => (operator, Value::from(value).to_string()),
    };
    let name = in_some_case(choices, known.attribute);
    text.push_str(&name);
    let Some(part) = known.part else {
        return write!(text, " {operator} {literal}").expect("text takes it");
    };
    let rest = match choices.below(6) {
        0..3 => format!(".{part} {operator} {literal}"),
        // The value of an object that is meant where none of its parts is named.
        3 if part == "value" => format!(" {operator} {literal}"),
        3 | 4 => format!("[{part} {operator} {literal}]"),
        _ => format!("[type pr and {part} {operator} {literal}]"),
    };
    text.push_str(&rest);
}

/// A name that a client would write for this attribute.
fn spelled(choices: &mut Choices<'_>, schema: Option<&Schema>, attribute: &Attribute) -> String {
    let name = in_some_case(choices, &attribute.name);
    match schema {
        Some(_) if choices.once_in(6) => name,
        Some(schema) => format!("{}:{name}", schema.id),
        None => name,
    }
}

fn in_some_case(choices: &mut Choices<'_>, text: &str) -> String {
    match choices.below(12) {
        10 => text.to_ascii_uppercase(),
        11 => text.to_ascii_lowercase(),
        _ => text.to_owned(),
    }
}

type Leaf<'l> = &'l mut dyn FnMut(&mut Choices<'_>, &mut String);

/// `and`, `or`, `not` and parentheses around leaves, so many levels deep.
fn joined(choices: &mut Choices<'_>, text: &mut String, depth: usize, leaf: Leaf<'_>) {
    let act = if depth == 0 || choices.are_over() { 0 } else { choices.below(10) };
    match act {
        0..5 => leaf(choices, text),
        5 | 6 => {
            const NOT: &[&str] = &["not (", "not(", "NOT ( "];
            text.push_str(NOT[choices.below(NOT.len())]);
            joined(choices, text, depth - 1, leaf);
            text.push(')');
        }
        _ => {
            let joint = *choices.one_of(&[" and ", " or ", " AND ", " Or "]);
            for place in 0..2 + choices.below(2) {
                if place > 0 {
                    text.push_str(joint);
                }
                let is_grouped = choices.below(2) == 0;
                text.push_str(if is_grouped { "(" } else { "" });
                joined(choices, text, depth - 1, leaf);
                text.push_str(if is_grouped { ")" } else { "" });
            }
        }
    }
}

fn comparison(choices: &mut Choices<'_>, text: &mut String, name: &str, attribute: &Attribute) {
    const OF_ORDER: &[&str] = &["eq", "ne", "gt", "ge", "lt", "le"];
    const OF_TEXT: &[&str] = &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
    text.push_str(name);
    if choices.below(7) == 0 {
        const PRESENT: &[&str] = &[" pr", " PR", "  pr"];
        text.push_str(PRESENT[choices.below(PRESENT.len())]);
        return;
    }
    // Now and then one that the type does not have.
    let operators = match attribute.kind {
        _ if choices.once_in(40) => OF_TEXT,
        Type::Boolean | Type::Binary => &["eq", "ne"],
        Type::Decimal | Type::Integer | Type::DateTime => OF_ORDER,
        Type::String | Type::Reference | Type::Complex => OF_TEXT,
    };
    let operator = *choices.one_of(operators);
    let operator = in_some_case(choices, operator);
    text.push(' ');
    text.push_str(&operator);
    text.push(' ');
    if choices.once_in(12) {
        text.push_str("null");
        return;
    }
    let literal = match attribute.kind {
        _ if choices.once_in(30) => {
            choices.one_of(&["ana", "'ana'", "7", "True", "''"]).to_string()
        }
        Type::Boolean => choices.one_of(&["true", "false", "\"true\"", "\"False\""]).to_string(),
        Type::Decimal | Type::Integer => (*choices.one_of(NUMBERS)).to_owned(),
        Type::DateTime => format!("\"{}\"", choices.one_of(DATES)),
        _ => Value::from(some_text(choices, attribute)).to_string(),
    };
    text.push_str(&literal);
}

fn some_text(choices: &mut Choices<'_>, attribute: &Attribute) -> String {
    if !attribute.canonical_values.is_empty() && choices.below(2) == 0 {
        let text = choices.one_of(&attribute.canonical_values).clone();
        return in_some_case(choices, &text);
    }
    let text = *choices.one_of(TEXTS);
    match choices.below(8) {
        // A part of another.
        6 => text.chars().take(2).collect(),
        7 => format!("{text}{}", choices.one_of(TEXTS)),
        _ => text.to_owned(),
    }
}

/// A resource as a client would send it in a POST or PUT: mostly right.
pub fn resource(choices: &mut Choices<'_>, resource_type: &ResourceType) -> Value {
    let mut body = Map::new();
    if choices.below(4) > 0 {
        body.insert("schemas".into(), resource_type.schemas().map(|it| it.id.as_str()).collect());
    }
    for (schema, attribute) in names(resource_type) {
        let is_wanted = match attribute.name.as_str() {
            "userName" | "displayName" if attribute.required => !choices.once_in(16),
            _ => choices.below(3) == 1,
        };
        if !is_wanted || attribute.name == "schemas" || attribute.name == "meta" {
            continue;
        }
        let name = in_some_case(choices, &attribute.name);
        let value = value(choices, attribute);
        match schema {
            None => {
                body.insert(name, value);
            }
            Some(schema) => {
                let object = body.entry(&*schema.id).or_insert_with(|| json!({}));
                if let Value::Object(object) = object {
                    object.insert(name, value);
                }
            }
        }
    }
    if choices.once_in(8) {
        body.insert("shoeSize".into(), json!(44));
    }
    Value::Object(body)
}

/// A value of an attribute; now and then one of another.
pub fn value(choices: &mut Choices<'_>, attribute: &Attribute) -> Value {
    if !attribute.multi_valued {
        return single(choices, attribute);
    }
    match choices.below(12) {
        10 => single(choices, attribute),
        11 => Value::Null,
        count => (0..count.min(3)).map(|_| single(choices, attribute)).collect(),
    }
}

fn single(choices: &mut Choices<'_>, attribute: &Attribute) -> Value {
    match attribute.kind {
        _ if choices.once_in(24) => choices
            .one_of(&[
                Value::Null,
                json!(""),
                json!([]),
                json!({}),
                json!(7),
                json!("x"),
                json!([{ "value": "x" }]),
                json!({ "value": "x" }),
                json!("{\"value\":\"x\",\"primary\":true}"),
            ])
            .clone(),
        Type::Complex => {
            let mut object = Map::new();
            for part in &attribute.sub_attributes {
                // There is no value without an id, and one primary at most.
                let wanted = match part.name.as_str() {
                    "value" => !choices.once_in(8),
                    "primary" => choices.once_in(4),
                    _ => choices.below(3) == 1,
                };
                if wanted {
                    object.insert(in_some_case(choices, &part.name), value(choices, part));
                }
            }
            Value::Object(object)
        }
        Type::Boolean => {
            choices.one_of(&[json!(true), json!(false), json!("True"), json!("false")]).clone()
        }
        Type::Integer | Type::Decimal => {
            let text = *choices.one_of(NUMBERS);
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        Type::DateTime => (*choices.one_of(DATES)).into(),
        Type::Binary => (*choices.one_of(&["", "AQID", "QQ==", "QQ", "-_-_", "?"])).into(),
        Type::Reference if choices.below(2) == 0 => {
            format!("https://example.com/{}", some_text(choices, attribute)).into()
        }
        Type::String | Type::Reference => some_text(choices, attribute).into(),
    }
}

/// What a client that asks for resources of this type is shown, made of what one would send. With
/// everything that a server adds; `None` where what was made is refused.
pub fn shown(
    choices: &mut Choices<'_>,
    resource_type: &ResourceType,
) -> Option<Map<String, Value>> {
    let body = resource(choices, resource_type);
    let admitted = admit(body, resource_type, Preset::Lenient, &mut Quirks::new()).ok()?;
    let mut shown = Map::new();
    shown.insert("schemas".into(), admitted.resource.schemas(resource_type).into());
    shown.insert("id".into(), (*choices.one_of(TEXTS)).into());
    shown.extend(admitted.resource.into_attributes());
    let related: Vec<Value> = (0..choices.below(3))
        .map(|_| json!({ "value": choices.one_of(TEXTS), "display": choices.one_of(TEXTS) }))
        .collect();
    let name = if resource_type.attribute("members").is_some() { "members" } else { "groups" };
    if !related.is_empty() {
        shown.insert(name.into(), related.into());
    }
    let meta = json!({
        "resourceType": resource_type.name,
        "created": "2026-01-01T00:00:00.000Z",
        "lastModified": choices.one_of(&["2026-01-01T00:00:00.001Z", "2027-01-15T08:00:00.000Z"]),
        "location": "https://example.com/a",
        "version": "W/\"1\"",
    });
    shown.insert("meta".into(), meta);
    Some(shown)
}

/// Where an operation of a PATCH may apply.
pub fn path(choices: &mut Choices<'_>, resource_type: &ResourceType) -> String {
    target(choices, resource_type).0
}

/// A path, and what its values are.
fn target<'a>(
    choices: &mut Choices<'_>,
    resource_type: &'a ResourceType,
) -> (String, Option<&'a Attribute>) {
    let names = names(resource_type);
    if choices.once_in(30) {
        let schemas: Vec<_> = resource_type.schemas().collect();
        return (choices.one_of(&schemas).id.clone(), None);
    }
    let (schema, attribute) = *choices.one_of(&names);
    let mut text = spelled(choices, schema, attribute);
    if attribute.multi_valued && choices.below(2) == 0 {
        text.push('[');
        // Mostly one that says what the value would be.
        let depth = usize::from(choices.once_in(4));
        joined(choices, &mut text, depth, &mut |choices, text| {
            let part = choices.below(attribute.sub_attributes.len() + 1);
            match attribute.sub_attributes.get(part) {
                Some(part) => comparison(choices, text, &part.name, part),
                None => comparison(choices, text, "value", attribute),
            }
        });
        text.push(']');
    }
    if !attribute.sub_attributes.is_empty() && choices.below(2) == 0 {
        let part = choices.one_of(&attribute.sub_attributes);
        text.push('.');
        text.push_str(&in_some_case(choices, &part.name));
        return (text, Some(part));
    }
    (text, Some(attribute))
}

/// A PATCH as a client would send it, of so many operations at most.
pub fn patch(choices: &mut Choices<'_>, resource_type: &ResourceType, most: usize) -> Value {
    let count = 1 + choices.below(most);
    let operations: Vec<Value> = (0..count).map(|_| operation(choices, resource_type)).collect();
    match choices.below(16) {
        14 => json!({ "operations": operations }),
        15 => operations.into(),
        _ => json!({ "schemas": [scim::patch::PATCH_OP_SCHEMA], "Operations": operations }),
    }
}

fn operation(choices: &mut Choices<'_>, resource_type: &ResourceType) -> Value {
    let verb = *choices.one_of(&["add", "replace", "remove", "Add", "Replace", "REMOVE"]);
    if choices.below(5) == 0 {
        let mut values = Map::new();
        for _ in 0..=choices.below(3) {
            let (path, attribute) = target(choices, resource_type);
            let value = match attribute {
                Some(attribute) => value(choices, attribute),
                None => extension(choices, resource_type),
            };
            values.insert(path, value);
        }
        return json!({ "op": verb, "value": values });
    }
    let (path, attribute) = target(choices, resource_type);
    let mut operation = json!({ "op": verb, "path": path });
    let is_remove = verb.eq_ignore_ascii_case("remove");
    if is_remove != choices.once_in(6) {
        return operation;
    }
    operation["value"] = match attribute {
        // One value of a list, or a list.
        Some(attribute) if attribute.multi_valued && choices.below(2) == 0 => {
            single(choices, attribute)
        }
        Some(attribute) => value(choices, attribute),
        None => extension(choices, resource_type),
    };
    operation
}

fn extension(choices: &mut Choices<'_>, resource_type: &ResourceType) -> Value {
    let mut object = Map::new();
    for extension in &resource_type.extensions {
        for attribute in &extension.schema.attributes {
            if choices.below(4) == 1 {
                object.insert(attribute.name.clone(), value(choices, attribute));
            }
        }
    }
    Value::Object(object)
}

/// A bulk request as a client would send it, whose operations refer to each other.
pub fn bulk(choices: &mut Choices<'_>, most: usize) -> Value {
    let count = choices.below(most) + 1;
    let operations: Vec<Value> = (0..count).map(|place| bulk_operation(choices, place)).collect();
    let mut body = json!({
        "schemas": [scim::bulk::BULK_REQUEST_SCHEMA],
        "Operations": operations,
    });
    if choices.once_in(4) {
        body["failOnErrors"] =
            choices.one_of(&[json!(1), json!(0), json!(3), json!(-1), json!("1")]).clone();
    }
    body
}

fn bulk_operation(choices: &mut Choices<'_>, place: usize) -> Value {
    let endpoint = *choices.one_of(&["/Users", "/Groups"]);
    // Few names, so that many operations name each other, and some nobody.
    let name = |choices: &mut Choices<'_>| format!("q{}", choices.below(8));
    let id = |choices: &mut Choices<'_>| match choices.below(3) {
        0 => format!("bulkId:{}", name(choices)),
        _ => format!("id-{}", choices.below(4)),
    };
    let members = |choices: &mut Choices<'_>| -> Value {
        (0..choices.below(4)).map(|_| json!({ "value": id(choices) })).collect()
    };
    let mut operation = match choices.below(8) {
        0..4 if endpoint == "/Users" => json!({
            "method": "POST", "path": endpoint,
            "data": { "userName": "ana", "manager": { "value": id(choices), "$ref": id(choices) } },
        }),
        0..4 => json!({
            "method": "POST", "path": endpoint,
            "data": { "displayName": "Guides", "members": members(choices) },
        }),
        4 => json!({
            "method": "put", "path": format!("{endpoint}/{}", id(choices)),
            "data": { "displayName": "Guides", "members": members(choices) },
        }),
        5 | 6 => json!({
            "method": "PATCH", "path": format!("{endpoint}/{}", id(choices)),
            "data": { "Operations": [
                { "op": "add", "path": "members", "value": members(choices) },
                { "op": "remove", "path": format!("members[value eq \"{}\"]", id(choices)) },
            ] },
        }),
        _ => json!({ "method": "DELETE", "path": format!("{endpoint}/{}", id(choices)) }),
    };
    match choices.below(8) {
        0..5 => operation["bulkId"] = format!("q{place}").into(),
        5 | 6 => operation["bulkId"] = name(choices).into(),
        _ => {}
    }
    if choices.once_in(12) {
        operation["method"] = choices.one_of(&[json!("GET"), json!(7), Value::Null]).clone();
    }
    if choices.once_in(12) {
        operation["version"] = choices.one_of(&[json!("W/\"1\""), json!(1)]).clone();
    }
    if choices.once_in(12) {
        operation["path"] =
            choices.one_of(&[json!("/Me"), json!("Users"), json!("/Users/a/b"), json!({})]).clone();
    }
    operation
}
