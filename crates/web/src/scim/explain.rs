//! What a SCIM request was about, in plain words: for the log of the server, and for people who want
//! to know why somebody has or has not got access.

use std::fmt;

use ::scim::dialect::{Quirk, Quirks};
use axum::http::Method;
use directory::DirectoryId;

use super::Target;

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
}

impl Explanation {
    pub(super) fn of(method: &Method, target: &Target, has_filter: bool) -> Explanation {
        Explanation {
            directory_id: None,
            tried: tried(method, target, has_filter),
            quirks: Quirks::new(),
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

fn tried(method: &Method, target: &Target, has_filter: bool) -> &'static str {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match target {
        Target::Users if reads && has_filter => "find a user",
        Target::Users if reads => "read the list of users",
        Target::Users if *method == Method::POST => "create a user",
        Target::User(_) if reads => "read a user",
        Target::User(_) if *method == Method::PUT => "replace a user",
        Target::User(_) if *method == Method::PATCH => "change parts of a user",
        Target::User(_) if *method == Method::DELETE => "delete a user",
        Target::Groups if reads && has_filter => "find a group",
        Target::Groups if reads => "read the list of groups",
        Target::Groups if *method == Method::POST => "create a group",
        Target::Group(_) if reads => "read a group",
        Target::Group(_) if *method == Method::PUT => "replace a group",
        Target::Group(_) if *method == Method::PATCH => "change parts of a group",
        Target::Group(_) if *method == Method::DELETE => "delete a group",
        Target::Bulk if *method == Method::POST => "carry out several operations in one request",
        Target::SearchUsers if *method == Method::POST => "search for users",
        Target::SearchGroups if *method == Method::POST => "search for groups",
        Target::Search if *method == Method::POST => "search for users and groups",
        Target::ServiceProviderConfig if reads => "learn what the server can do",
        Target::ResourceTypes | Target::ResourceType(_) if reads => {
            "learn which kinds of resources there are"
        }
        Target::Schemas | Target::Schema(_) if reads => "learn which attributes there are",
        Target::Unsupported(_) => "use a feature that this server does not have",
        Target::Unknown => "use an address that nothing is served at",
        _ => "do something that this address does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_explained_in_sentences() {
        let target = Target::Group("7".to_owned());
        let mut explanation = Explanation::of(&Method::PATCH, &target, false);
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
        let tried = |method, target| Explanation::of(&method, &target, false).tried;
        assert_eq!(tried(Method::HEAD, Target::Users), "read the list of users");
        assert_eq!(tried(Method::POST, Target::Users), "create a user");
        for (method, target) in [
            (Method::DELETE, Target::Users),
            (Method::POST, Target::User("7".to_owned())),
            (Method::GET, Target::Bulk),
            (Method::PUT, Target::Schemas),
        ] {
            assert_eq!(tried(method, target), "do something that this address does not know");
        }
    }
}
