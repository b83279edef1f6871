//! What of a request may stand in the log.

use directory::{DirectoryId, OrganizationId, PortalLinkId, ResourceId};

/// Segments of a path that are ours.
const WORDS: [&str; 53] = [
    "api",
    "v1",
    "organizations",
    "directories",
    "safety",
    "sign-in",
    "receipts",
    "receipt",
    "summary",
    "tokens",
    "quirks",
    "client",
    "requests",
    "rerun",
    "users",
    "groups",
    "schemas",
    "unknown-attributes",
    "adopt",
    "roles",
    "entitlements",
    "events",
    "health",
    "ready",
    "portal-links",
    "revoke",
    "portal",
    "open",
    "live",
    "choose",
    "set-up",
    "pause",
    "resume",
    "people",
    "activity",
    "rotate",
    "dashboard",
    "sign-in",
    "sign-out",
    "join",
    "members",
    "account",
    "sessions",
    "Users",
    "Groups",
    "ServiceProviderConfig",
    "ResourceTypes",
    "Schemas",
    "Roles",
    "Entitlements",
    "Bulk",
    ".search",
    "Me",
];

/// A path for the log: our own words and ids, and `…` for anything else. Clients put e-mail
/// addresses where an id belongs, and people paste a token into a base URL.
///
/// `scim_path` is the operator's own, and stays.
pub(crate) fn shown(path: &str, scim_path: &str) -> String {
    let (base, rest) = match path.strip_prefix(scim_path) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => (scim_path, rest),
        _ => ("", path),
    };
    let mut shown = base.to_owned();
    for (place, segment) in rest.split('/').enumerate() {
        if place > 0 {
            shown.push('/');
        }
        shown.push_str(if is_ours(segment) { segment } else { "…" });
    }
    shown
}

fn is_ours(segment: &str) -> bool {
    segment.is_empty()
        || WORDS.contains(&segment)
        || ResourceId::parse(segment).is_some()
        || segment.parse::<DirectoryId>().is_ok()
        || segment.parse::<OrganizationId>().is_ok()
        || segment.parse::<PortalLinkId>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_log_names_nobody_and_holds_no_secret() {
        let check = |path: &str, expected: &str| assert_eq!(shown(path, "/scim/v2"), expected);
        let directory = "dir-01m80caaf5evcr9sjyhpkxd558";
        let user = "019b8b4c-7a50-7d1c-8a5e-3f1b2c4d5e6f";
        for path in [
            "/",
            "/health",
            "/scim/v2",
            "/scim/v2/Users",
            &format!("/scim/v2/{directory}/Users/{user}"),
            &format!("/api/v1/directories/{directory}/users/{user}"),
            "/api/v1/organizations/org-01m80caaf5evcr9sjyhpkxd558/directories",
            &format!("/api/v1/directories/{directory}/schemas"),
            &format!("/api/v1/directories/{directory}/unknown-attributes"),
            &format!("/api/v1/directories/{directory}/unknown-attributes/adopt"),
            "/portal/link-01m80caaf5evcr9sjyhpkxd558/choose",
            &format!("/portal/link-01m80caaf5evcr9sjyhpkxd558/directories/{directory}/set-up"),
            &format!(
                "/portal/link-01m80caaf5evcr9sjyhpkxd558/directories/{directory}/people/{user}"
            ),
            "/api/v1/roles",
            "/api/v1/entitlements",
            &format!("/scim/v2/{directory}/Roles"),
            &format!("/scim/v2/{directory}/Entitlements"),
            "/scim/v2/.search",
            "/scim/v2/Users/.search",
        ] {
            check(path, path);
        }
        check("/scim/v2/Users/ana@example.com", "/scim/v2/Users/…");
        check("/scim/v2/Users/ana%40example.com/", "/scim/v2/Users/…/");
        check("/scim/v2/roster-scim-00ff/Users", "/scim/v2/…/Users");
        check("/portal/open/roster-portal-00ff", "/portal/open/…");
        check("/scim/v2x/Users", "/…/…/Users");
        check("/ana@example.com", "/…");
    }
}
