//! `POST /oauth/token`: access tokens for clients of OAuth, with the grant `client_credentials`
//! (RFC 6749 §4.4), as Entra's gallery asks for them.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use directory::secret::{Secret, SecretHash, SecretKind};
use serde_json::json;
use store::NotGiven;

use crate::{Counter, body, caller};

/// Bytes of a request: an id, a secret and a few words.
const BODY_BYTES_MAX: usize = 16 * 1024;

pub(crate) fn routes() -> Router<Arc<Counter>> {
    Router::new().route("/oauth/token", post(token))
}

/// A refusal, in the words of RFC 6749 §5.2.
struct Refused {
    status: StatusCode,
    error: &'static str,
    description: String,
    /// The client has shown itself in the header, and is asked to do so again.
    is_challenged: bool,
    retry_after: Option<u64>,
}

impl Refused {
    fn new(error: &'static str, description: impl Into<String>) -> Refused {
        Refused {
            status: StatusCode::BAD_REQUEST,
            error,
            description: description.into(),
            is_challenged: false,
            retry_after: None,
        }
    }

    /// "`invalid_client`: Client authentication failed […] If the client attempted to authenticate via
    /// the "Authorization" request header field, the authorization server MUST respond with an HTTP
    /// 401 (Unauthorized) status code and include the "WWW-Authenticate" response header field
    /// matching the authentication scheme used by the client."
    fn client(description: impl Into<String>) -> Refused {
        Refused {
            status: StatusCode::UNAUTHORIZED,
            is_challenged: true,
            ..Refused::new("invalid_client", description)
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.is_challenged {
            let challenge = HeaderValue::from_static("Basic realm=\"Roster\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

async fn token(State(counter): State<Arc<Counter>>, request: Request) -> Response {
    let (parts, request_body) = request.into_parts();
    let form = match read_form(&parts.headers, request_body).await {
        Ok(form) => form,
        Err(refused) => return refused.into_response(),
    };
    match give(&counter, &parts, &form).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

async fn give(counter: &Counter, parts: &Parts, form: &Form) -> Result<Response, Refused> {
    let (client_id, client_secret) = client(&parts.headers, form)?;
    match form.one("grant_type")? {
        Some("client_credentials") => {}
        Some(_) => {
            let description = "`grant_type` has to be `client_credentials`";
            return Err(Refused::new("unsupported_grant_type", description));
        }
        None => return Err(Refused::new("invalid_request", "`grant_type` is missing")),
    }
    let access = Secret::new(SecretKind::AccessToken, (counter.entropy)());
    let presented = SecretHash::of(&client_secret);
    let given = counter.access.give_access_token(&client_id, &presented, &access).await;
    let given = given.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "no access token was given");
        Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: Some(5),
            ..Refused::new("temporarily_unavailable", "the database could not be asked; try again")
        }
    })?;
    let given = match given {
        Ok(given) => given,
        Err(not_given) => {
            if let Some(guesses) = &counter.guesses
                && let Err(wait) = guesses.unknown(&client_secret, &parts.extensions)
            {
                let seconds = caller::seconds(wait);
                return Err(Refused {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    retry_after: Some(seconds),
                    ..Refused::new(
                        "temporarily_unavailable",
                        format!("too many secrets that are not good; wait {seconds} seconds"),
                    )
                });
            }
            return Err(Refused::client(match not_given {
                NotGiven::Unknown => {
                    "the client's id and secret are not known together. Copy both again, or ask the \
                     app's team for a new secret"
                        .to_owned()
                }
                NotGiven::Expired(at) => format!(
                    "the client's secret expired at {}. Ask the app's team for a new one",
                    scim::datetime::print(at)
                ),
            }));
        }
    };
    let mut response = Json(json!({
        "access_token": access.reveal(),
        "token_type": "Bearer",
        "expires_in": given.lifetime.as_secs(),
    }))
    .into_response();
    // RFC 6749 §5.1; `Cache-Control` is on every answer.
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Who asks: in the header, or in the form, and not in both (RFC 6749 §2.3).
fn client(headers: &HeaderMap, form: &Form) -> Result<(String, String), Refused> {
    let (id, secret) = (form.one("client_id")?, form.one("client_secret")?);
    if headers.contains_key(header::AUTHORIZATION) {
        let unreadable = || Refused::client("the `Authorization` header cannot be read as `Basic`");
        if secret.is_some() {
            let description = "the client's secret is in the header and in the form; send one";
            return Err(Refused::new("invalid_request", description));
        }
        let (name, password) = caller::basic(headers).ok_or_else(unreadable)?;
        // "The client identifier is encoded using the "application/x-www-form-urlencoded" encoding
        // algorithm" (§2.3.1). Ours look the same either way.
        if id.is_some_and(|id| id != name) {
            let description = "`client_id` in the form is not that of the header";
            return Err(Refused::new("invalid_request", description));
        }
        return Ok((name, password));
    }
    match (id, secret) {
        (Some(id), Some(secret)) => Ok((id.to_owned(), secret.to_owned())),
        _ => Err(Refused::client(
            "the client's id and secret are missing: send them as `Basic`, or as `client_id` and \
             `client_secret` in the form",
        )),
    }
}

/// The parameters of a request, decoded.
struct Form(Vec<(String, String)>);

impl Form {
    /// A parameter. "Request and response parameters MUST NOT be included more than once" and
    /// "parameters sent without a value MUST be treated as if they were omitted" (RFC 6749 §3.2).
    fn one(&self, name: &'static str) -> Result<Option<&str>, Refused> {
        let mut found = self.0.iter().filter(|(it, _)| it == name);
        let first = found.next().map(|(_, value)| value.as_str());
        if found.next().is_some() {
            return Err(Refused::new("invalid_request", format!("`{name}` is there twice")));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }
}

async fn read_form(headers: &HeaderMap, request_body: axum::body::Body) -> Result<Form, Refused> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(FORM)) {
        return Err(Refused::new("invalid_request", format!("`Content-Type` has to be `{FORM}`")));
    }
    let bytes = body::read(request_body, BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| Refused::new("invalid_request", "the form cannot be read"))?;
    Ok(Form(form_urlencoded::parse(&bytes).into_owned().collect()))
}
