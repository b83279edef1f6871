//! What a SCIM request was about, in plain words: for the log of the server, and for people who want
//! to know why somebody has or has not got access.

use std::fmt;

use ::scim::dialect::{Quirk, Quirks};
use axum::body::Bytes;
use axum::http::Method;
use directory::{By, CatalogueKind, DirectoryId};

use super::{Query, Target};

/// A request, explained. It names nobody: neither ids nor values of the request stand in it.
///
/// Printed, it reads: "The provider tried to change parts of a group. It sent `Add` instead of
/// `add`."
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    /// Whose provider sent it. `None`: no credential opened a directory.
    pub(crate) directory_id: Option<DirectoryId>,
    /// What the provider tried, to stand after "tried to".
    pub(crate) tried: &'static str,
    /// What was straightened, also of a request that was refused in the end.
    pub(crate) quirks: Quirks,
    /// The directory that the address names, or that an expired credential had opened.
    pub(crate) named: Option<DirectoryId>,
    /// What a credential opened, and whose it is; also where it is not served after that.
    pub(crate) opened: Option<(DirectoryId, By)>,
    /// Members of a group that nobody knows.
    pub(crate) unknown_members: Vec<String>,
    /// Whether nothing is served at the address.
    pub(crate) is_unknown_path: bool,
    /// The body, where it was read.
    pub(crate) body: Option<Bytes>,
}

impl Explanation {
    pub(super) fn of(method: &Method, target: &Target, query: &Query) -> Explanation {
        Explanation {
            directory_id: None,
            tried: tried(method, target, query.parameter("filter").is_some()),
            quirks: Quirks::new(),
            named: None,
            opened: None,
            unknown_members: Vec::new(),
            is_unknown_path: matches!(target, Target::Unknown),
            body: None,
        }
    }

    /// The names of what was straightened, as they are counted.
    pub(crate) fn straightened(&self) -> String {
        self.quirks.iter().map(Quirk::name).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The provider tried to {}.", self.tried)?;
        self.quirks.iter().try_for_each(|quirk| write!(f, " It {}.", quirk.explanation()))
    }
}

/// Every target has its own line, so that a new one cannot be forgotten here.
fn tried(method: &Method, target: &Target, has_filter: bool) -> &'static str {
    const UNKNOWN: &str = "do something that this address does not know";
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let posts = *method == Method::POST;
    let of_list = |find, read, create: Option<&'static str>| match create {
        _ if reads && has_filter => find,
        _ if reads => read,
        Some(create) if posts => create,
        _ => UNKNOWN,
    };
    let of_one = |[read, replace, change, delete]: [&'static str; 4]| match *method {
        Method::PUT => replace,
        Method::PATCH => change,
        Method::DELETE => delete,
        _ if reads => read,
        _ => UNKNOWN,
    };
    let where_read = |what| if reads { what } else { UNKNOWN };
    let where_posted = |what| if posts { what } else { UNKNOWN };
    match target {
        Target::Unsupported(_) => "use a feature that this server does not have",
        Target::Unknown => "use an address that nothing is served at",
        _ if *method == Method::OPTIONS => "learn what can be done at an address",
        Target::Root => of_list("find a user or a group", "read the list of all there is", None),
        Target::Users => of_list("find a user", "read the list of users", Some("create a user")),
        Target::User(_) => {
            of_one(["read a user", "replace a user", "change parts of a user", "delete a user"])
        }
        Target::Groups => {
            of_list("find a group", "read the list of groups", Some("create a group"))
        }
        Target::Group(_) => {
            of_one(["read a group", "replace a group", "change parts of a group", "delete a group"])
        }
        Target::Catalogue(CatalogueKind::Role) => {
            of_list("find a role of the app", "learn which roles the app has", None)
        }
        Target::Catalogue(CatalogueKind::Entitlement) => {
            of_list("find an entitlement of the app", "learn which entitlements the app has", None)
        }
        Target::Entry(CatalogueKind::Role, _) => where_read("read a role of the app"),
        Target::Entry(CatalogueKind::Entitlement, _) => {
            where_read("read an entitlement of the app")
        }
        Target::Bulk => where_posted("carry out several operations in one request"),
        Target::SearchUsers => where_posted("search for users"),
        Target::SearchGroups => where_posted("search for groups"),
        Target::Search => where_posted("search for users and groups"),
        Target::ServiceProviderConfig => where_read("learn what the server can do"),
        Target::ResourceTypes | Target::ResourceType(_) => {
            where_read("learn which kinds of resources there are")
        }
        Target::Schemas | Target::Schema(_) => where_read("learn which attributes there are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_explained_in_sentences() {
        let target = Target::Group("7".to_owned());
        let mut explanation = Explanation::of(&Method::PATCH, &target, &Query::default());
        assert_eq!(explanation.to_string(), "The provider tried to change parts of a group.");
        explanation.quirks.note(Quirk::OperationCase);
        explanation.quirks.note(Quirk::RemoveWithValue);
        assert_eq!(
            explanation.to_string(),
            "The provider tried to change parts of a group. It sent `Add` instead of `add`. It \
             named the values to remove in `value`; only those were removed."
        );
        assert_eq!(explanation.straightened(), "operation-case remove-with-value");
    }

    #[test]
    fn a_method_that_an_address_does_not_know_is_not_mistaken_for_another() {
        let tried = |method, target| Explanation::of(&method, &target, &Query::default()).tried;
        assert_eq!(tried(Method::HEAD, Target::Users), "read the list of users");
        assert_eq!(tried(Method::POST, Target::Users), "create a user");
        for (method, target) in [
            (Method::DELETE, Target::Users),
            (Method::POST, Target::User("7".to_owned())),
            (Method::GET, Target::Bulk),
            (Method::PUT, Target::Schemas),
            (Method::POST, Target::Root),
            (Method::DELETE, Target::Entry(CatalogueKind::Role, "7".to_owned())),
        ] {
            assert_eq!(tried(method, target), "do something that this address does not know");
        }
    }

    #[test]
    fn whatever_is_served_is_known() {
        for (method, target, expected) in [
            (Method::GET, Target::Root, "read the list of all there is"),
            (Method::GET, Target::Catalogue(CatalogueKind::Role), "learn which roles the app has"),
            (
                Method::HEAD,
                Target::Catalogue(CatalogueKind::Entitlement),
                "learn which entitlements the app has",
            ),
            (
                Method::GET,
                Target::Entry(CatalogueKind::Role, "7".to_owned()),
                "read a role of the app",
            ),
            (
                Method::GET,
                Target::Entry(CatalogueKind::Entitlement, "7".to_owned()),
                "read an entitlement of the app",
            ),
            (Method::OPTIONS, Target::Users, "learn what can be done at an address"),
            (Method::OPTIONS, Target::Bulk, "learn what can be done at an address"),
            (Method::OPTIONS, Target::Unknown, "use an address that nothing is served at"),
        ] {
            let explanation = Explanation::of(&method, &target, &Query::default());
            assert_eq!(explanation.tried, expected);
        }
    }

    #[test]
    fn who_filters_looks_for_somebody() {
        for (query, expected) in [
            ("filter=userName%20eq%20%22ana%22", "find a user"),
            ("count=1&Filter=x", "find a user"),
            ("%66ilter=x", "find a user"),
            ("xfilter=userName", "read the list of users"),
            ("sortBy=filter%3D", "read the list of users"),
            ("", "read the list of users"),
        ] {
            let query = Query::parse(Some(query));
            let explanation = Explanation::of(&Method::GET, &Target::Users, &query);
            assert_eq!(explanation.tried, expected, "{query:?}");
        }
    }
}
