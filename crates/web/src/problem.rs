//! What the management API says when it cannot do what was asked: problem details (RFC 9457) with
//! what happened (`title`), why (`detail`), and what to do now (`hint`).

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::Rejection;
use serde::Serialize;

use crate::Failure;

/// A problem, ready to be answered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// By which a program tells it from others: `urn:roster:problem:not-found`.
    #[serde(rename = "type")]
    kind: String,
    /// What happened.
    title: &'static str,
    status: u16,
    /// Why.
    detail: String,
    /// What to do now.
    hint: String,
    /// When the request may be sent again, in seconds.
    #[serde(skip)]
    retry_after: Option<u64>,
    /// Whether nobody knows if it was done all the same.
    #[serde(skip)]
    is_uncertain: bool,
    #[serde(skip)]
    cause: Option<Arc<store::Error>>,
}

/// In the extensions of an answer: nobody knows whether it was done all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncertain;

impl Problem {
    /// `kind` is the last part of the problem's type, by which a program tells it from others.
    pub(crate) fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem {
            kind: format!("urn:roster:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            hint: hint.into(),
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5),
            is_uncertain: false,
            cause: None,
        }
    }

    pub(crate) fn unauthorized() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The request has no valid API key",
            "the header `Authorization` is missing, or its key is not known (any more)",
            "Send `Authorization: Bearer` and an API key; `roster serve` made one at its first start",
        )
    }

    /// Nobody is told apart by this: good keys are served all the same.
    pub(crate) fn too_many_guesses(seconds: u64) -> Problem {
        Problem {
            retry_after: Some(seconds),
            ..Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-guesses",
                "Too many API keys that are not good",
                "many of them were sent from here or begin like this one",
                format!("Wait {seconds} seconds, and check the key"),
            )
        }
    }

    /// The key has its share of something, and others have theirs.
    pub(crate) fn too_many_of_key(
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, kind, title, detail, hint);
        Problem { retry_after: Some(5), ..problem }
    }

    /// The key is good, and not for this.
    pub(crate) fn forbidden(detail: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The API key may not do this",
            detail,
            hint,
        )
    }

    /// Why.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Why it could not be done, where something failed: for the log.
    pub(crate) fn failure(&self) -> Option<&store::Error> {
        self.cause.as_deref()
    }

    /// The same, for whoever tells of it in a page.
    pub(crate) fn failed(&self) -> Option<Arc<store::Error>> {
        self.cause.clone()
    }

    /// What happened, why, and what to do now.
    pub(crate) fn said(&self) -> [&str; 3] {
        [self.title, &self.detail, &self.hint]
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("we make no other statuses")
    }

    /// Also for what exists and may not be known of.
    pub(crate) fn not_found(what: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such thing",
            format!("there is no {what} with this id"),
            "Compare the id with the one that was given when it was created",
        )
    }

    /// Whoever requires it of all has to have shown that it works.
    pub(crate) fn untried_provider() -> Problem {
        Problem::new(
            StatusCode::CONFLICT,
            "untried-provider",
            "Nothing was changed",
            "you have not signed in by the provider yourself, so nobody knows that it works",
            "Sign out, sign in by the provider, and say it then",
        )
    }

    pub(crate) fn invalid(detail: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-request",
            "The request cannot be understood",
            detail,
            hint,
        )
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        match error {
            store::Error::Rejected(Rejection::ExternalIdTaken) => Problem::new(
                StatusCode::CONFLICT,
                "external-id-taken",
                "Another organization has this `external_id`",
                "`external_id` names one organization",
                "Look for the organization that has it, or choose another",
            ),
            store::Error::Rejected(Rejection::RevisionFailed) => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "edited-meanwhile",
                "It is not as the request expects",
                "somebody has edited or made it since it was read, so `If-Match` or \
                 `If-None-Match` does not hold, and nothing was changed",
                "Read it again, make the change in what is there now, and send its `ETag`",
            ),
            store::Error::Rejected(Rejection::UnknownOrganization(_)) => {
                Problem::not_found("organization")
            }
            store::Error::Rejected(Rejection::UnknownDirectory(_)) => {
                Problem::not_found("directory")
            }
            store::Error::Rejected(rejection) if is_of_schemas(&rejection) => {
                of_schemas(&rejection)
            }
            store::Error::Rejected(Rejection::UnknownEntry(kind)) => {
                Problem::not_found(&kind.as_str().to_lowercase())
            }
            store::Error::Rejected(Rejection::CatalogueFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "catalogue-full",
                "There are as many of them as there may be",
                format!("there are {limit} already"),
                "Delete what is not needed any more",
            ),
            store::Error::Rejected(Rejection::UnknownToken(_)) => Problem::not_found("token"),
            store::Error::Rejected(Rejection::UnknownClient(_)) => Problem::not_found("client"),
            store::Error::Rejected(Rejection::UnknownApiKey(_)) => Problem::not_found("API key"),
            store::Error::Rejected(Rejection::ApiKeysFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "api-keys-full",
                "There are as many such API keys as there may be",
                format!("an organization may have {limit}, and as many may be of none"),
                "Revoke those that are not needed any more; `last_used_at` says which these may be",
            ),
            store::Error::Rejected(Rejection::UnknownHold(_)) => Problem::not_found("hold"),
            store::Error::Rejected(Rejection::HoldDecided) => Problem::new(
                StatusCode::CONFLICT,
                "hold-decided",
                "What waited goes out, or has gone out",
                "nothing can be said of this hold any more",
                "Read the hold: `outcome` says why",
            ),
            store::Error::Rejected(Rejection::ChangesWait(id)) => Problem::new(
                StatusCode::CONFLICT,
                "changes-wait",
                "Changes of the directory wait",
                format!(
                    "what happened in it lately was too much at once, and waits in {id}: whoever is \
                     deactivated now would wait with it"
                ),
                "Approve or reject what waits first",
            ),
            store::Error::Rejected(Rejection::ShadowRejected) => Problem::new(
                StatusCode::CONFLICT,
                "shadow-not-rejected",
                "A shadow cannot be rejected",
                "your app has heard of nobody yet, so there is nothing that a provider could bring \
                 back",
                "Have the provider mended and look again, approve it to go live, or delete the \
                 directory: then your app never hears of anybody",
            ),
            store::Error::Rejected(Rejection::NoShadow) => Problem::new(
                StatusCode::CONFLICT,
                "not-new",
                "The directory is not new any more",
                "there is, or was, somebody in it, of whom your app may have heard; or its changes \
                 wait already",
                "Create another directory, with `shadow`",
            ),
            store::Error::Rejected(Rejection::SeatsFullForShadow { people, taken, max }) => {
                Problem::new(
                    StatusCode::CONFLICT,
                    "seats-full",
                    "There are not enough seats to go live",
                    format!(
                        "{people} people of the shadow would take a seat, and {taken} of the \
                         organization's {max} are taken"
                    ),
                    "Raise the limit of seats, set its mode to `warn`, or have the provider \
                     unassign people; then approve the hold again",
                )
            }
            store::Error::Rejected(Rejection::UnknownPortalLink(_)) => {
                Problem::not_found("portal link")
            }
            store::Error::Rejected(Rejection::PortalLinksFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "portal-links-full",
                "The organization has as many portal links as it may",
                format!("{limit} of them are good"),
                "Revoke those that are not needed any more",
            ),
            store::Error::Rejected(Rejection::UnknownMember(_)) => Problem::not_found("member"),
            store::Error::Rejected(Rejection::TeamFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "team-full",
                "There are as many members as there may be",
                format!("there are {limit}"),
                "Remove those who are not needed any more",
            ),
            store::Error::Rejected(Rejection::LastOwner) => Problem::new(
                StatusCode::CONFLICT,
                "last-owner",
                "The last owner is not removed",
                "nobody could invite or remove members then",
                "Invite another owner first, and wait until they have joined",
            ),
            store::Error::Rejected(Rejection::OrganizationInUse(count)) => Problem::new(
                StatusCode::CONFLICT,
                "organization-in-use",
                "The organization has directories",
                format!("it has {count}"),
                "Delete its directories first; that takes everybody in them out of your app",
            ),
            store::Error::Rejected(Rejection::TokensFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "tokens-full",
                "The directory has as many tokens as it may",
                format!("it has {limit}, also those that have expired"),
                "Revoke those that are not needed any more; `last_used_at` says which these may be",
            ),
            store::Error::Rejected(Rejection::ClientsFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "oauth-clients-full",
                "The directory has as many OAuth clients as it may",
                format!("it has {limit}"),
                "Delete one that is not needed any more",
            ),
            store::Error::Rejected(Rejection::ClientSecretsFull(limit)) => Problem::new(
                StatusCode::CONFLICT,
                "client-secrets-full",
                "The OAuth client has as many secrets as it may",
                format!("it has {limit}"),
                "Delete the one that was last used longest ago",
            ),
            store::Error::Cursor(_) => Problem::invalid(
                "`after` is not a cursor of this list, or is too old",
                "Send the `next` of a page soon, with the parameters of that page; or begin anew \
                 without `after`",
            ),
            store::Error::Crowded => Problem {
                retry_after: Some(5),
                ..Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "crowded",
                    "Too much of this directory is looked through at once",
                    "everybody has to be looked at for such a list, and several wait already",
                    "Send it again in a few seconds, or look for a key such as `user_name`",
                )
            },
            store::Error::Closed => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "The server is stopping",
                "the request was not begun",
                "Send it again",
            ),
            error if error.is_unreachable() => Problem {
                is_uncertain: true,
                cause: Some(Arc::new(error)),
                retry_after: Some(5),
                ..Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "database-away",
                    "The database could not be reached",
                    "the connection could not be made, or broke. If this was a change, it may have \
                     been kept all the same",
                    "Look whether it was, or send it again; if this stays so, look at the database",
                )
            },
            error if error.is_busy() => Problem {
                cause: Some(Arc::new(error)),
                ..Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "busy",
                    "The database is busy",
                    "another program held it for too long, and nothing was changed",
                    "Send it again; a backup or a command beside the server may be running",
                )
            },
            error if error.is_full() => Problem {
                cause: Some(Arc::new(error)),
                retry_after: Some(30),
                ..Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "disk-full",
                    "The server's disk is full",
                    "there is no room to keep a change, and nothing was changed; what is there can \
                     be read",
                    "Make room on the disk that has the data folder, and send it again; nothing has \
                     to be restarted",
                )
            },
            store::Error::Stopped => Problem {
                retry_after: Some(30),
                ..Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "disk-failed",
                    "The server's disk failed",
                    "it could not keep what was written, so nothing more is written; what is there \
                     can be read",
                    "Look at the disk and at the server's log, then restart the server",
                )
            },
            cause => Problem {
                cause: Some(Arc::new(cause)),
                ..Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "The request could not be served",
                    "something failed on our side, and nothing was changed",
                    "Send it again later; the server's log has more, under the `x-request-id` of \
                     this answer",
                )
            },
        }
    }
}

fn is_of_schemas(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::UnknownSchema
            | Rejection::SchemaOverlaps(_)
            | Rejection::SchemaExtendsAnother(_)
            | Rejection::SchemasFull(_)
            | Rejection::AttributeInUse { .. }
            | Rejection::SchemasChanged
    )
}

/// Why a schema of a directory is not defined, changed or removed.
fn of_schemas(rejection: &Rejection) -> Problem {
    let conflict = |kind, title, detail: String, hint: &str| {
        Problem::new(StatusCode::CONFLICT, kind, title, detail, hint)
    };
    match rejection {
        Rejection::SchemaOverlaps(urn) => conflict(
            "schema-overlaps",
            "The URN is too close to another schema's",
            format!("one of it and `{urn}` would be read as the name of an attribute of the other"),
            "Choose a URN that neither begins with the other's nor begins the other's",
        ),
        Rejection::SchemaExtendsAnother(kind) => conflict(
            "schema-extends-another",
            "What a schema extends does not change",
            format!("it extends a {}", kind.as_str()),
            "Define another schema, with a URN of its own",
        ),
        Rejection::SchemasFull(limit) => conflict(
            "schemas-full",
            "The directory has as many schemas as it may",
            format!("it has {limit}"),
            "Add the attributes to one of them, or remove one that is not needed",
        ),
        Rejection::AttributeInUse { path, count, of } => conflict(
            "attribute-in-use",
            "An attribute that has values is not removed, and keeps its type and name",
            format!("{count} of the {}s have a value of `{path}`", of.as_str().to_lowercase()),
            "Clear the attribute in the identity provider first, or add one of another name",
        ),
        Rejection::SchemasChanged => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "schemas-changed",
            "The schemas were changed meanwhile",
            "the request was read by the schemas as they were before",
            "Send it again",
        ),
        _ => Problem::not_found("schema"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let failure = self.cause.clone().map(Failure);
        let status = self.status();
        let (retry_after, is_uncertain) = (self.retry_after, self.is_uncertain);
        let mut response = (status, Json(self)).into_response();
        if is_uncertain {
            response.extensions_mut().insert(Uncertain);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"Roster management API\""),
            );
        }
        // Whoever knows the name of the request tells the log.
        if let Some(failure) = failure {
            response.extensions_mut().insert(failure);
        }
        response
    }
}
