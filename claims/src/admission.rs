//! Admission: whatever is sent, what is kept of it is canonical, and would be admitted unchanged.

use scim::admit::{Admitted, admit};
use scim::dialect::Quirk;
use scim::schema::{Attribute, Mutability, ResourceType, Type};
use scim::{Preset, Resource};
use serde_json::{Map, Value};

use crate::{Choices, Header, make, unseen};

pub(crate) fn check(input: &[u8]) {
    let Some((header, rest)) = Header::read(input) else { return };
    let body = if header.is_made {
        make::resource(&mut Choices::of_bytes(rest), &header.resource_type)
    } else {
        let Ok(body) = scim::json::parse(rest) else { return };
        // What we take for JSON is what everybody does.
        let text = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        assert_eq!(serde_json::from_slice::<Value>(text).ok().as_ref(), Some(&body));
        body
    };
    let Header { preset, resource_type, .. } = header;
    let Ok(admitted) = admit(body.clone(), &resource_type, preset, &mut unseen()) else { return };
    if preset == Preset::Strict {
        assert!(admitted.unknown.is_empty(), "{:?}", admitted.unknown);
        let forgiving = admit(body, &resource_type, Preset::Lenient, &mut unseen());
        assert!(forgiving.is_ok(), "who forgives refuses it: {forgiving:?}");
    }
    check_members(&admitted);
    check_canonical(&admitted.resource, &resource_type, preset);
}

fn check_members(admitted: &Admitted) {
    let Some(members) = &admitted.members else { return };
    for (place, member) in members.iter().enumerate() {
        assert!(!member.value.trim().is_empty());
        assert!(members[..place].iter().all(|it| it.value != member.value), "{}", member.value);
    }
}

/// Panics unless the resource is one that admission could have made, and would make again of it.
pub(crate) fn check_canonical(resource: &Resource, resource_type: &ResourceType, preset: Preset) {
    let text = resource.to_text();
    assert_eq!(Resource::from_text(&text).as_ref(), Some(resource), "{text}");

    let mut ranks = Vec::new();
    for (name, value) in resource.attributes() {
        if let Some(place) = resource_type.extensions.iter().position(|it| it.schema.id == *name) {
            ranks.push((2, place));
            let schema = &resource_type.extensions[place].schema;
            let values = value.as_object().unwrap_or_else(|| panic!("{text}"));
            assert!(!values.is_empty(), "{text}");
            check_parts(values, &schema.attributes, &text);
            continue;
        }
        let attribute = resource_type.attribute(name);
        let attribute = attribute.unwrap_or_else(|| panic!("`{name}` is in no schema: {text}"));
        let place = resource_type.schema.attributes.iter().position(|it| it.name == *name);
        ranks.push((usize::from(place.is_some()), place.unwrap_or_default()));
        check_attribute(name, value, attribute, &text);
    }
    assert!(ranks.is_sorted(), "it is out of order: {text}");

    let mut body = resource.attributes().clone();
    body.insert("schemas".into(), resource.schemas(resource_type).into());
    let mut quirks = unseen();
    let again = admit(Value::Object(body), resource_type, preset, &mut quirks);
    let again = again.unwrap_or_else(|error| panic!("{}: {text}", error.detail()));
    assert_eq!(again.resource.to_text(), text);
    assert!(again.unknown.is_empty() && again.members.is_none(), "{text}");
    let straightened: Vec<Quirk> = quirks.iter().collect();
    assert_eq!(straightened, [], "{text}");
}

fn check_parts(values: &Map<String, Value>, table: &[Attribute], text: &str) {
    let mut places = Vec::new();
    for (name, value) in values {
        let place = table.iter().position(|it| it.name == *name);
        let place = place.unwrap_or_else(|| panic!("`{name}` is not canonical: {text}"));
        places.push(place);
        check_attribute(name, value, &table[place], text);
    }
    assert!(places.is_sorted(), "it is out of order: {text}");
}

fn check_attribute(name: &str, value: &Value, attribute: &Attribute, text: &str) {
    assert_eq!(name, attribute.name, "{text}");
    let is_ours = matches!(attribute.mutability, Mutability::ReadOnly | Mutability::WriteOnly);
    assert!(!is_ours, "`{name}` is not the client's: {text}");
    let Value::Array(values) = value else {
        assert!(!attribute.multi_valued, "`{name}` is no list: {text}");
        return check_value(value, attribute, text);
    };
    assert!(attribute.multi_valued && !values.is_empty(), "`{name}`: {text}");
    assert!(values.len() <= scim::limit::VALUES_MAX);
    let is_primary = |value: &&Value| value.get("primary") == Some(&Value::Bool(true));
    assert!(values.iter().filter(is_primary).count() <= 1, "`{name}`: {text}");
    for value in values {
        check_value(value, attribute, text);
    }
}

fn check_value(value: &Value, attribute: &Attribute, text: &str) {
    let is_right = match attribute.kind {
        Type::Complex => match value {
            Value::Object(parts) => {
                check_parts(parts, &attribute.sub_attributes, text);
                !parts.is_empty()
            }
            _ => false,
        },
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.is_i64(),
        Type::Decimal => value.is_number(),
        Type::DateTime => value.as_str().is_some_and(|it| scim::datetime::parse(it).is_some()),
        Type::String | Type::Reference | Type::Binary => value.is_string(),
    };
    assert!(is_right, "`{}` of {text}", attribute.name);
}
