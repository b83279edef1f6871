//! Why something happened: who asked for it and in which request, or that it follows from something
//! else.

use serde_json::{Value, json};

use crate::event::EventKind;
use crate::id::{
    ClientId, DirectoryId, HoldId, MemberId, PortalLinkId, RequestId, ResourceId, TokenId,
};

/// What a change is caused by. Events tell it, so that the vendor can answer where a change came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Who.
    pub by: By,
    /// In which request, whose name is in its answer and in the log. A command has none.
    pub request_id: Option<RequestId>,
    /// Of what it is a consequence, where nobody asked for just this.
    pub follows_from: Option<Consequence>,
    /// The request of a provider that somebody had carried out once more.
    pub rerun_of: Option<RequestId>,
}

/// Who causes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// An identity provider, with this token.
    Token(TokenId),
    /// An identity provider, with an access token of this OAuth client.
    Client(ClientId),
    /// The vendor, with this API key.
    ApiKey(TokenId),
    /// A person of the vendor, signed in to the dashboard.
    Member(MemberId),
    /// An IT admin of the customer, with this link to the portal.
    PortalLink(PortalLinkId),
    /// Whoever holds the machine, by a command.
    Operator,
    /// The server, by a rule of its own.
    Server,
}

/// That something follows from something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consequence {
    /// From what kind of event.
    pub kind: EventKind,
    /// Of whom.
    pub of: Of,
}

/// Whom an event is about from which others follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A user or a group.
    Resource(ResourceId),
    /// A directory.
    Directory(DirectoryId),
    /// That changes of a directory wait.
    Hold(HoldId),
}

impl By {
    /// As it is told: which kind, and the id.
    pub fn parts(self) -> (&'static str, Option<String>) {
        match self {
            By::Token(id) => ("token", Some(id.to_string())),
            By::Client(id) => ("oauth_client", Some(id.to_string())),
            By::ApiKey(id) => ("api_key", Some(id.to_string())),
            By::Member(id) => ("member", Some(id.to_string())),
            By::PortalLink(id) => ("portal_link", Some(id.to_string())),
            By::Operator => ("operator", None),
            By::Server => ("server", None),
        }
    }
}

impl Cause {
    /// Somebody, in a request where there is one.
    pub fn by(by: By, request_id: Option<RequestId>) -> Cause {
        Cause { by, request_id, follows_from: None, rerun_of: None }
    }

    /// A rule of the server's own.
    pub fn server() -> Cause {
        Cause::by(By::Server, None)
    }

    /// That a directory was deleted: then those who are in it are.
    pub fn deleted_directory(id: DirectoryId) -> Cause {
        let follows_from = Consequence { kind: EventKind::DirectoryDeleted, of: Of::Directory(id) };
        Cause { follows_from: Some(follows_from), ..Cause::server() }
    }

    /// That a directory was disconnected: then those who are in it may be deactivated.
    pub fn disconnected_directory(id: DirectoryId) -> Cause {
        let kind = EventKind::DirectoryDisconnected;
        let follows_from = Consequence { kind, of: Of::Directory(id) };
        Cause { follows_from: Some(follows_from), ..Cause::server() }
    }

    /// That a hold began: then an app hears again of those whom it was told to let go just before.
    pub fn started_hold(id: HoldId) -> Cause {
        let follows_from = Consequence { kind: EventKind::HoldStarted, of: Of::Hold(id) };
        Cause { follows_from: Some(follows_from), ..Cause::server() }
    }

    /// Whether a provider caused it, and not the vendor, an operator or a rule. What it asked for stays
    /// its own where somebody has the request carried out once more: they have mended what was in its
    /// way, and have not looked who loses something by it.
    pub fn is_of_provider(&self) -> bool {
        self.rerun_of.is_some() || matches!(self.by, By::Token(_) | By::Client(_))
    }

    /// As events tell it, as JSON; of one that follows from something nearer.
    pub fn text(&self, follows_from: Option<Consequence>) -> String {
        let (kind, id) = self.by.parts();
        let follows_from = follows_from.or(self.follows_from).map(Consequence::told);
        let request_id = self.request_id.map(|id| id.to_string());
        let mut cause: Value = json!({
            "by": { "type": kind, "id": id },
            "request_id": request_id,
            "follows_from": follows_from,
        });
        if let Some(id) = self.rerun_of {
            cause["rerun_of"] = id.to_string().into();
        }
        cause.to_string()
    }
}

impl Consequence {
    /// That a role mapping of a directory was saved.
    pub fn of_role_mapping(id: DirectoryId) -> Consequence {
        Consequence { kind: EventKind::RoleMappingUpdated, of: Of::Directory(id) }
    }

    fn told(self) -> Value {
        let id = match self.of {
            Of::Resource(id) => id.to_string(),
            Of::Directory(id) => id.to_string(),
            Of::Hold(id) => id.to_string(),
        };
        json!({ "type": self.kind.as_str(), "id": id })
    }

    /// For keeping.
    pub fn to_text(self) -> String {
        self.told().to_string()
    }

    /// Reads what [`Consequence::to_text`] printed; `None` if the text is damaged.
    pub fn from_text(text: &str) -> Option<Consequence> {
        let told: Value = serde_json::from_str(text).ok()?;
        let kind = told["type"].as_str()?.parse().ok()?;
        let id = told["id"].as_str()?;
        let of = match (ResourceId::parse(id), id.parse()) {
            (Some(id), _) => Of::Resource(id),
            (None, Ok(id)) => Of::Directory(id),
            (None, Err(_)) => Of::Hold(id.parse().ok()?),
        };
        Some(Consequence { kind, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_follows_from_reads_back() {
        let directory = "dir-01arz3ndektsv4rrffq69g5fav".parse().expect("it is an id");
        let resource = ResourceId::parse("0190f3a5-7c00-7000-8000-000000000001").expect("it too");
        let of_group = Consequence { kind: EventKind::GroupDeleted, of: Of::Resource(resource) };
        let hold = "hold-01arz3ndektsv4rrffq69g5fav".parse().expect("it is one as well");
        let of_hold = Consequence { kind: EventKind::HoldStarted, of: Of::Hold(hold) };
        for it in [Consequence::of_role_mapping(directory), of_group, of_hold] {
            assert_eq!(Consequence::from_text(&it.to_text()), Some(it));
        }
        for damaged in ["", "{}", r#"{"type":"x","id":"y"}"#, r#"{"type":"directory.created"}"#] {
            assert_eq!(Consequence::from_text(damaged), None, "{damaged}");
        }
    }
}
