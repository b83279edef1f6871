//! Why something happened: who asked for it and in which request, or that it follows from something
//! else.

use serde_json::{Value, json};

use crate::event::EventKind;
use crate::id::{ClientId, DirectoryId, RequestId, ResourceId, TokenId};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An identity provider, with this token.
    Token(TokenId),
    /// An identity provider, with an access token of this OAuth client.
    Client(ClientId),
    /// The vendor, with this API key.
    ApiKey(TokenId),
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
}

impl By {
    /// As it is told: which kind, and the id.
    pub fn parts(self) -> (&'static str, Option<String>) {
        match self {
            By::Token(id) => ("token", Some(id.to_string())),
            By::Client(id) => ("oauth_client", Some(id.to_string())),
            By::ApiKey(id) => ("api_key", Some(id.to_string())),
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

    /// As events tell it, as JSON; of one that follows from something nearer.
    pub fn text(&self, follows_from: Option<Consequence>) -> String {
        let (kind, id) = self.by.parts();
        let follows_from = follows_from.or(self.follows_from).map(|it| {
            let id = match it.of {
                Of::Resource(id) => id.to_string(),
                Of::Directory(id) => id.to_string(),
            };
            json!({ "type": it.kind.as_str(), "id": id })
        });
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
