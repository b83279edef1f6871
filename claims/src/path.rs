//! Paths and lists of names: what can be read is printed so that it reads back the same, and what
//! they lead to exists.

use scim::Preset;
use scim::list::{ListQuery, SortOrder};
use scim::path::{AttributePath, PatchPath};
use scim::project::Projection;

use crate::{Choices, Header, make, unseen};

pub(crate) fn check(input: &[u8]) {
    let Some((header, rest)) = Header::read(input) else { return };
    let made;
    let text = if header.is_made {
        made = make::path(&mut Choices::of_bytes(rest), &header.resource_type);
        &*made
    } else {
        let Ok(text) = str::from_utf8(rest) else { return };
        text
    };
    check_patch_path(&header, text);
    check_name(&header, text);
    check_names(&header, text);
}

fn check_patch_path(header: &Header, text: &str) {
    let Header { preset, resource_type, .. } = header;
    let Ok(path) = PatchPath::parse(text, resource_type, *preset, &mut unseen()) else { return };
    let resolved = path.resolve(resource_type).expect("a path that was read leads somewhere");
    assert_eq!(&resolved.target(), path.target());
    let printed = path.to_string();
    if printed.len() <= scim::limit::FILTER_BYTES_MAX {
        let again = PatchPath::parse(&printed, resource_type, Preset::Strict, &mut unseen());
        assert_eq!(again.as_ref(), Ok(&path), "`{text}` is printed as `{printed}`");
    }
    // Whatever a filter chooses, it says so of whatever value.
    for (_, value) in make::shown(&mut Choices::of_seed(7), resource_type).into_iter().flatten() {
        _ = path.filter().map(|filter| filter.matches_value(&value));
    }
}

fn check_name(header: &Header, text: &str) {
    let Header { preset, resource_type, .. } = header;
    let Ok(name) = AttributePath::parse(text) else { return };
    assert_eq!(AttributePath::parse(&name.to_string()).as_ref(), Ok(&name));
    let Ok(resolved) = name.resolve(resource_type, *preset, &mut unseen()) else { return };
    let target = resolved.target();
    assert_eq!(target.resolve(resource_type).as_ref(), Some(&resolved), "{text}");
    let again = AttributePath::parse(&target.to_string()).expect("a target prints as a name");
    let again = again.resolve(resource_type, Preset::Strict, &mut unseen());
    assert_eq!(again.as_ref(), Ok(&resolved), "`{text}` is printed as `{target}`");
}

/// The same text as a list of attributes, and as what to sort by.
fn check_names(header: &Header, text: &str) {
    let Header { preset, resource_type, .. } = header;
    let shown = make::shown(&mut Choices::of_seed(3), resource_type);
    let shown = shown.expect("this one is admitted");
    for (wanted, unwanted) in [(Some(text), None), (None, Some(text))] {
        let projection = Projection::parse(wanted, unwanted, resource_type);
        let Ok(projection) = projection else { continue };
        let part = projection.apply(shown.clone());
        assert!(part.contains_key("id"), "`{text}` takes the id away");
        assert_eq!(projection.apply(part.clone()), part, "`{text}` takes more the second time");
    }
    for order in [SortOrder::Ascending, SortOrder::Descending] {
        let query = [
            ("sortBy", text),
            ("sortOrder", if order == SortOrder::Ascending { "ascending" } else { "descending" }),
        ];
        let Ok(query) = ListQuery::parse(query.into_iter()) else { continue };
        let Some(sort) = query.sort else { continue };
        let Ok(sort) = sort.bind(resource_type, *preset, &mut unseen()) else { continue };
        assert_eq!(sort.order(), order);
        assert_eq!(sort.key(&shown), sort.key(&shown.clone()));
    }
}
