//! PATCH: whatever is sent to whatever resource, the outcome is canonical, and what was asked for
//! once is not changed by being asked for again.

use scim::admit::admit;
use scim::patch::Patch;
use scim::{Resource, ResourceType};
use serde_json::Value;

use crate::admission::check_canonical;
use crate::{Choices, Header, PRESETS, make, unseen};

pub(crate) fn check(input: &[u8]) {
    let Some((header, rest)) = Header::read(input) else { return };
    let resource_type = &header.resource_type;
    let (before, body) = if header.is_made {
        let mut choices = Choices::of_bytes(rest);
        // Many in one, or one by itself, of which more is claimed.
        let most = if choices.below(2) == 0 { 1 } else { 6 };
        let body = make::patch(&mut choices, resource_type, most);
        (make::resource(&mut choices, resource_type), body)
    } else {
        let Ok(body) = scim::json::parse(rest) else { return };
        // Both in one text, as it stands in the vectors: a resource, and what changes it.
        match (body.get("before"), body.get("operations")) {
            (Some(before), Some(operations)) => (before.clone(), operations.clone()),
            _ => (make::resource(&mut Choices::of_seed(rest.len() as u64), resource_type), body),
        }
    };
    for preset in PRESETS {
        let Ok(admitted) = admit(before.clone(), resource_type, preset, &mut unseen()) else {
            continue;
        };
        let before = admitted.resource;
        let Ok(patch) = Patch::parse(body.clone(), resource_type, preset, &mut unseen()) else {
            continue;
        };
        let Ok(after) = patch.apply(&before, resource_type) else { continue };
        check_canonical(&after, resource_type, preset);
        if patch.leaves_attributes() {
            assert_eq!(after, before);
        }
        if is_one_without_filter(&body) {
            check_twice(&patch, &after, resource_type, &body);
        }
    }
}

/// RFC 7644 §3.5.2.1: "If the target location already contains the value specified, no changes
/// SHOULD be made to the resource"; a `replace` by the same (§3.5.2.3) and a `remove` of what is
/// absent (§3.5.2.2) change as little. With a filter in the path this does not hold: what is chosen
/// may not be chosen any more.
fn check_twice(patch: &Patch, after: &Resource, resource_type: &ResourceType, body: &Value) {
    let again = patch.apply(after, resource_type);
    let again = again.unwrap_or_else(|error| {
        panic!("{} of {} the second time: {body}", error.detail(), after.to_text())
    });
    assert_eq!(again.to_text(), after.to_text(), "the second time: {body}");
}

fn is_one_without_filter(body: &Value) -> bool {
    let operations = match body {
        Value::Object(message) => {
            let found = message.iter().find(|(name, _)| name.eq_ignore_ascii_case("Operations"));
            found.map(|(_, operations)| operations)
        }
        list => Some(list),
    };
    let operation = match operations {
        Some(Value::Array(operations)) if operations.len() == 1 => &operations[0],
        Some(one @ Value::Object(_)) => one,
        _ => return false,
    };
    let Some(operation) = operation.as_object() else { return false };
    let part = |name: &str| {
        let found = operation.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    };
    match (part("path"), part("value")) {
        (Some(Value::String(path)), _) if !path.is_empty() => !path.contains('['),
        // Several names in a value without a path are several operations, one after the other.
        (_, Some(Value::Object(values))) => {
            values.len() <= 1 && !values.keys().any(|name| name.contains('['))
        }
        _ => true,
    }
}
