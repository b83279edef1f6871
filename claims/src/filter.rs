//! Filters: what can be read is printed so that it reads back the same, whatever is asked of
//! whatever resource is answered, and the opposite question has the opposite answer.

use std::sync::LazyLock;

use scim::filter::{BoundFilter, Filter};
use scim::limit::FILTER_BYTES_MAX;
use scim::{Preset, ResourceType};
use serde_json::{Map, Value};

use crate::{Choices, Header, PRESETS, extended_user, make, unseen};

type Shown = Vec<Map<String, Value>>;

/// Users, extended ones and groups to ask about.
static SHOWN: LazyLock<[(ResourceType, Shown); 3]> = LazyLock::new(|| {
    [ResourceType::user(), extended_user(), ResourceType::group()].map(|resource_type| {
        let of_seed = |seed| make::shown(&mut Choices::of_seed(seed), &resource_type);
        let shown = (0..24).filter_map(of_seed).collect();
        (resource_type, shown)
    })
});

pub(crate) fn check(input: &[u8]) {
    let Some((header, rest)) = Header::read(input) else { return };
    let made;
    let text = if header.is_made {
        made = make::filter(&mut Choices::of_bytes(rest), &header.resource_type);
        &*made
    } else {
        let Ok(text) = str::from_utf8(rest) else { return };
        text
    };
    // What stands between brackets is read by the same grammar, with names of its own.
    _ = Filter::parse_values(text, header.preset, &mut unseen());
    let Ok(filter) = Filter::parse(text, header.preset, &mut unseen()) else { return };
    assert!(text.len() <= FILTER_BYTES_MAX, "{} bytes were read", text.len());
    let printed = filter.to_string();
    if printed.len() > FILTER_BYTES_MAX {
        return;
    }
    assert_eq!(
        Filter::parse(&printed, Preset::Strict, &mut unseen()).as_ref(),
        Ok(&filter),
        "`{text}` is printed as `{printed}`"
    );
    for preset in PRESETS {
        for (resource_type, shown) in &*SHOWN {
            if let Ok(bound) = filter.bind(resource_type, preset, &mut unseen()) {
                check_bound(&filter, &bound, resource_type, shown);
                // A list of several types asks the same of this one.
                let of_any = filter.bind_to_any(resource_type, preset, &mut unseen());
                assert_eq!(of_any.as_ref(), Ok(&bound), "{filter}");
            } else if let Ok(bound) = filter.bind_to_any(resource_type, preset, &mut unseen()) {
                let opposite = Filter::Not(Box::new(filter.clone()));
                let opposite = opposite.bind_to_any(resource_type, preset, &mut unseen());
                let opposite = opposite.expect("what can be asked can be asked the other way");
                for it in shown {
                    assert_ne!(bound.matches(it), opposite.matches(it), "{filter}");
                }
            }
        }
    }
}

fn check_bound(filter: &Filter, bound: &BoundFilter, resource_type: &ResourceType, shown: &Shown) {
    let printed = bound.to_string();
    let again = if printed.len() > FILTER_BYTES_MAX {
        // Canonical names may be longer than those that were written.
        bound.clone()
    } else {
        let again = Filter::parse(&printed, Preset::Strict, &mut unseen());
        let again = again.unwrap_or_else(|error| panic!("`{printed}`: {}", error.detail()));
        again
            .bind(resource_type, Preset::Strict, &mut unseen())
            .unwrap_or_else(|error| panic!("`{printed}`: {}", error.detail()))
    };
    assert_eq!(&again, bound, "`{filter}` is bound as `{printed}`");
    let opposite = Filter::Not(Box::new(filter.clone()));
    let opposite = opposite.bind(resource_type, Preset::Lenient, &mut unseen());
    let opposite = opposite.expect("what can be asked can be asked the other way");
    for it in shown {
        assert_ne!(bound.matches(it), opposite.matches(it), "{filter}");
    }
}
