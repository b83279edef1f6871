//! Where everything that can go wrong becomes an answer: a SCIM error here, a problem of the
//! management API in [`crate::problem`].

use ::scim::Error;
use ::scim::limit::CURSOR_SECONDS;
use axum::Json;
use axum::extract::{Extension, Request};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use directory::Rejection;
use store::BadPageCursor;

use crate::RequestId;
use crate::scim::{PATH_SHOWN_MAX, cut, entity_tag, shortened};

/// The media type of everything that SCIM answers (RFC 7644 §3.8).
pub(crate) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// Characters of a name that are shown in an error.
const NAME_SHOWN_MAX: usize = 100;

/// RFC 6750 §3.1: the token is good, and does not reach so far.
const INSUFFICIENT_SCOPE: &str =
    "Bearer realm=\"Roster\", error=\"insufficient_scope\", scope=\"read_write\"";

/// Why a SCIM request is not served, ready to be answered.
#[derive(Debug)]
pub(crate) struct Refusal {
    error: Error,
    headers: Vec<(HeaderName, String)>,
    /// For the log, where it is our fault.
    cause: Option<Box<store::Error>>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { error, headers: Vec::new(), cause: None }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        let header = match rejection {
            Rejection::SchemasChanged => Some((header::RETRY_AFTER, "1")),
            Rejection::ReadOnly => Some((header::WWW_AUTHENTICATE, INSUFFICIENT_SCOPE)),
            _ => None,
        };
        let refusal = Refusal::from(as_scim(rejection));
        if let Some((name, value)) = header {
            return refusal.with_header(name, value.to_owned());
        }
        refusal
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        match error {
            store::Error::Rejected(rejection) => rejection.into(),
            store::Error::Cursor(bad) => bad_cursor(bad).into(),
            store::Error::Closed => {
                let detail = "the server is stopping, and the request was not begun. Send it again";
                Refusal::from(Error::new(503, detail))
                    .with_header(header::RETRY_AFTER, "5".to_owned())
            }
            store::Error::Crowded => {
                let detail = "too many lists of this directory are looked through at once. Nothing \
                              was changed; send it again later, and one list at a time, or filter \
                              by `id`, `userName`, `externalId` or an address, which is found at \
                              once";
                Refusal::from(Error::new(429, detail))
                    .with_header(header::RETRY_AFTER, "5".to_owned())
            }
            error if error.is_unreachable() => {
                let detail = "the database could not be reached. If this was a change, it may have \
                              been kept all the same: look, or send it again";
                Refusal::from(Error::new(503, detail))
                    .with_header(header::RETRY_AFTER, "5".to_owned())
                    .because_of(error)
            }
            error if error.is_busy() => {
                let detail = "the database is busy, and nothing was changed. Send it again";
                Refusal::from(Error::new(503, detail))
                    .with_header(header::RETRY_AFTER, "5".to_owned())
                    .because_of(error)
            }
            error if error.is_full() => {
                let detail = "the server's disk is full, and nothing was changed. Tell the app's \
                              team, who have to make room there; then send it again";
                Refusal::from(Error::new(503, detail))
                    .with_header(header::RETRY_AFTER, "30".to_owned())
                    .because_of(error)
            }
            // The store has told the log what failed.
            store::Error::Stopped => {
                let detail = "the server's disk failed, and nothing is changed until somebody has \
                              looked at it. Tell the app's team, who have to restart the server; \
                              then send it again";
                Refusal::from(Error::new(503, detail))
                    .with_header(header::RETRY_AFTER, "30".to_owned())
            }
            cause => {
                let detail = "the request could not be served, and nothing was changed";
                Refusal::from(Error::new(500, detail)).because_of(cause)
            }
        }
    }
}

impl Refusal {
    pub(crate) fn with_header(mut self, name: HeaderName, value: String) -> Refusal {
        self.headers.push((name, value));
        self
    }

    fn because_of(self, cause: store::Error) -> Refusal {
        Refusal { cause: Some(Box::new(cause)), ..self }
    }

    pub(crate) fn status(&self) -> u16 {
        self.error.status()
    }

    /// The error that the client is told, with the id by which the request log has it: what an IT admin
    /// sees of an error in their own console is its `detail`, and nothing else. What is our fault is
    /// logged here, once, with its causes.
    pub(crate) fn tell(self, request_id: RequestId) -> Error {
        let named = |error: Error| {
            let detail = format!("{} (request {request_id})", error.detail());
            error.with_detail(detail)
        };
        let Some(cause) = self.cause else { return named(self.error) };
        log_failure(request_id, &cause);
        if self.error.status() != 500 {
            return named(self.error);
        }
        let detail = format!(
            "{}. Send it again later; if it keeps failing, give the app's team the request id \
             {request_id}",
            self.error.detail()
        );
        Error::new(self.error.status(), detail)
    }

    /// The answer.
    pub(crate) fn answer(mut self, request_id: RequestId) -> Response {
        let headers = std::mem::take(&mut self.headers);
        let error = self.tell(request_id);
        let status = StatusCode::from_u16(error.status()).expect("we make no other statuses");
        let mut response = (status, Json(error.to_json())).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, SCIM_JSON);
        for (name, value) in headers {
            let value = HeaderValue::try_from(value).expect("we write plain ASCII");
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Tells the log why a request failed that nobody can be blamed for but us.
pub(crate) fn log_failure(request_id: RequestId, cause: &store::Error) {
    let error = cause as &dyn std::error::Error;
    if cause.is_unreachable() {
        tracing::error!(
            %request_id,
            error,
            "request {request_id} failed: the database could not be reached",
        );
    } else if cause.is_busy() {
        tracing::warn!(
            %request_id,
            error,
            "request {request_id} failed: the database was held by somebody else for too long",
        );
    } else if cause.is_full() {
        tracing::error!(
            %request_id,
            error,
            "request {request_id} failed: the disk is full, and nothing can be changed until there \
             is room",
        );
    } else {
        tracing::error!(%request_id, error, "request {request_id} failed");
    }
}

/// RFC 9865 §2.1. A cursor of another directory and one of nobody are answered alike (§5).
fn bad_cursor(bad: BadPageCursor) -> Error {
    use ::scim::Kind::{ExpiredCursor, InvalidCount, InvalidCursor};
    match bad {
        BadPageCursor::Unknown => Error::bad(
            InvalidCursor,
            "the `cursor` was not handed out for this list. Send the `nextCursor` of the page \
             before with the same filter and order, or an empty `cursor` to begin anew",
        ),
        BadPageCursor::Expired => Error::bad(
            ExpiredCursor,
            format!(
                "the `cursor` is older than {CURSOR_SECONDS} seconds. Begin anew with an empty \
                 `cursor`"
            ),
        ),
        BadPageCursor::AnotherCount => Error::bad(
            InvalidCount,
            "`count` is not that of the page before. Send the same `count` with each `cursor`",
        ),
    }
}

/// What the domain says, in the words of SCIM and for the eyes of an IT admin.
fn as_scim(rejection: Rejection) -> Error {
    use ::scim::Kind::{InvalidValue, Uniqueness};
    match rejection {
        Rejection::UnknownUser(id) => Error::new(
            404,
            format!(
                "no user of this directory has the id `{id}`. The user was deleted, or the app was \
                 connected anew: unassign and assign the person, or run an import"
            ),
        ),
        Rejection::UnknownGroup(id) => Error::new(
            404,
            format!(
                "no group of this directory has the id `{id}`. The group was deleted, or the app \
                 was connected anew: unlink the pushed group and push it again"
            ),
        ),
        Rejection::ConditionFailed { version } => Error::new(
            412,
            format!(
                "the resource has the version `{}` now, and the request is meant for another one. \
                 Somebody changed it since it was read: read it again, and repeat the change if it \
                 is still wanted",
                entity_tag(version)
            ),
        ),
        Rejection::UserNameTaken => Error::bad(
            Uniqueness,
            "another user of this directory has this `userName`, which is compared without case. \
             Find the user by a filter on `userName` and update it, or choose another name",
        ),
        Rejection::GroupNameTaken => Error::bad(
            Uniqueness,
            "another group of this directory has this `displayName`, which is compared without \
             case. Link the existing group, or rename one of the two",
        ),
        Rejection::UnknownMembers(ids) => {
            // A few are enough to find the cause.
            let some: Vec<_> =
                ids.iter().take(5).map(|id| format!("`{}`", shortened(id))).collect();
            let more = if ids.len() > some.len() { " and others" } else { "" };
            Error::bad(
                InvalidValue,
                format!(
                    "{}{more} of `members` are neither users nor groups of this directory. Assign \
                     these people to the app before their group is pushed",
                    some.join(", ")
                ),
            )
        }
        Rejection::MemberOfItself => Error::bad(
            InvalidValue,
            "a group cannot be a member of itself. Leave its own id out of `members`",
        ),
        Rejection::UsersFull(limit) => Error::new(
            403,
            format!(
                "this directory holds {limit} users, which is as many as it may. Delete users that \
                 are not needed, or ask the app's team to raise the limit"
            ),
        ),
        Rejection::SeatsFull { provider, user_name, max } => Error::new(
            403,
            format!(
                "{} tried to add {}, but the seat limit of {max} is reached. Ask your vendor for more \
                 seats, or unassign someone",
                provider.subject(),
                quoted(&user_name),
            ),
        ),
        Rejection::OutsideDomains { provider, user_name, domain } => Error::new(
            403,
            format!(
                "{} tried to add {}, but {domain} is none of your organization's domains. Ask your \
                 vendor to admit the domain, or unassign the person",
                provider.subject(),
                quoted(&user_name),
            ),
        ),
        Rejection::GroupsFull(limit) => Error::new(
            403,
            format!(
                "this directory holds {limit} groups, which is as many as it may. Delete groups \
                 that are not needed, or ask the app's team to raise the limit"
            ),
        ),
        Rejection::MembersFull(limit) => Error::new(
            403,
            format!(
                "a group may have {limit} members, and this one would have more. Divide it into \
                 smaller groups"
            ),
        ),
        Rejection::ReadOnly => Error::new(
            403,
            "the token of this app may read and not change anything. Ask the app's team for a \
             token that may write, and paste it into the provisioning settings of this app",
        ),
        Rejection::ProtectedUser(name) => Error::new(
            403,
            format!(
                "`{}` is protected in this directory: nobody is to take the app from them by \
                 provisioning. Assign the person again, or ask the app's team to end the protection",
                shortened(&name)
            ),
        ),
        Rejection::SchemasChanged => Error::new(
            503,
            "the schemas of this directory were changed while the request was read, and nothing \
             else was changed. Send it again",
        ),
        // Only the management API and the pages ask for what these refuse.
        Rejection::UnknownDirectory(_)
        | Rejection::UnknownOrganization(_)
        | Rejection::ExternalIdTaken
        | Rejection::UnknownToken(_)
        | Rejection::UnknownClient(_)
        | Rejection::UnknownApiKey(_)
        | Rejection::UnknownHold(_)
        | Rejection::HoldDecided
        | Rejection::ChangesWait(_)
        | Rejection::ShadowRejected
        | Rejection::NoShadow
        | Rejection::SeatsFullForShadow { .. }
        | Rejection::OrganizationInUse(_)
        | Rejection::ApiKeysFull(_)
        | Rejection::UnknownPortalLink(_)
        | Rejection::PortalLinksFull(_)
        | Rejection::UnknownMember(_)
        | Rejection::EmailTaken
        | Rejection::TeamFull(_)
        | Rejection::LastOwner
        | Rejection::TokensFull(_)
        | Rejection::ClientsFull(_)
        | Rejection::ClientSecretsFull(_)
        | Rejection::RevisionFailed
        | Rejection::UnknownSchema
        | Rejection::SchemaOverlaps(_)
        | Rejection::SchemaExtendsAnother(_)
        | Rejection::SchemasFull(_)
        | Rejection::AttributeInUse { .. }
        | Rejection::UnknownEntry(_)
        | Rejection::WrongMapping(_)
        | Rejection::CatalogueFull(_) => {
            Error::new(404, "the directory is not there any more. Ask the app's team for a new one")
        }
        Rejection::Scim(error) => error,
    }
}

/// The name of a person: what stands in double quotes is left out where the request log masks people.
fn quoted(name: &str) -> String {
    format!("\"{}\"", cut(name, NAME_SHOWN_MAX).replace('"', "'"))
}

/// A path that nobody serves.
pub(crate) fn unknown_path(request_id: RequestId, request: &Request) -> Response {
    let detail = format!(
        "nothing is served at `{}`. The base URL may be wrong: compare it with the one that was \
         given, to the last part of the path",
        cut(request.uri().path(), PATH_SHOWN_MAX)
    );
    Refusal::from(Error::new(404, detail)).answer(request_id)
}

/// A path that is served, with a method that it does not have. The routes below it add `Allow`.
pub(crate) async fn wrong_method(
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Response {
    let detail = format!("`{}` cannot be used with this address", request.method());
    Refusal::from(Error::new(405, detail)).answer(request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_is_told_when_to_come_again() {
        for (error, status) in [
            (store::Error::Crowded, 429),
            (store::Error::Closed, 503),
            (store::Error::Stopped, 503),
        ] {
            let refusal = Refusal::from(error);
            let retry = refusal.headers.iter().find(|(name, _)| name == header::RETRY_AFTER);
            // Okta reads whole seconds, of which it waits no more than thirty.
            let seconds: Option<u64> = retry.and_then(|(_, value)| value.parse().ok());
            assert!(seconds.is_some_and(|it| (1..=30).contains(&it)), "{refusal:?}");
            assert_eq!(refusal.status(), status, "{refusal:?}");
            assert!(refusal.cause.is_none(), "{refusal:?}");
        }
    }
}
