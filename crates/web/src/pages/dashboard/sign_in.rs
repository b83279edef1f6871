//! Signing in: e-mail address, password and code, all at once, so that nobody learns which of them was
//! right. Or by the provider of the team, which is another page's.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use directory::FailedSignIn;
use directory::secret::{Secret, SecretKind};
use serde::Deserialize;

use super::{browser, by_provider, set_session};
use crate::Counter;
use crate::caller::origin;
use crate::pages::codes::CodeSecret;
use crate::pages::form::Form;
use crate::pages::parts::{Frame, with_query};
use crate::pages::{Stop, go_to, page_with, password};

#[derive(Template)]
#[template(path = "dashboard/sign-in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    pub(crate) email: String,
    /// Where to go on.
    pub(crate) next: String,
    pub(crate) wrong: Option<Wrong>,
    /// The provider of the team, where there is one.
    pub(crate) provider: Option<ProviderLink>,
}

impl SignInPage {
    fn provider_name(&self) -> &str {
        self.provider.as_ref().map_or("the provider", |it| &it.name)
    }

    /// Whether the form is for few.
    fn hides_password(&self) -> bool {
        self.provider.as_ref().is_some_and(|it| it.is_required)
    }
}

/// A provider by which somebody may sign in.
#[derive(Clone, Debug)]
pub(crate) struct ProviderLink {
    /// What it is called.
    pub(crate) name: String,
    /// Where that begins.
    pub(crate) address: String,
    /// Whether most have to.
    pub(crate) is_required: bool,
}

impl ProviderLink {
    /// That of this server; `next` is where to go on.
    pub(super) async fn find(counter: &Counter, next: &str) -> Result<Option<ProviderLink>, Stop> {
        let Some(oidc) = &counter.oidc else { return Ok(None) };
        Ok(Some(ProviderLink {
            name: oidc.provider.name().to_owned(),
            address: with_query("/dashboard/sign-in/oidc", [("next", next)]),
            is_required: counter.access.is_provider_required().await?,
        }))
    }
}

/// Why somebody is not signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// One of the three, or all.
    Something,
    /// So many seconds are to pass before the next.
    TooMany(u64),
    /// All three are right, and members have to sign in by the provider.
    PasswordNotAllowed,
    /// They come back from the provider, and did not set out in this browser, or long ago.
    BegunElsewhere,
    /// The provider cannot be reached, or is none.
    ProviderUnreachable,
    /// It says this.
    ProviderRefused(String),
    /// What it says is not to be believed.
    ProviderUntrusted,
    /// It does not say that the address is verified.
    UnverifiedEmail,
    /// The address is in a domain that is not let in.
    EmailNotAllowed,
    /// Nobody with this address is a member, or invited.
    Stranger(String),
    /// The invitation has ended.
    EndedInvitation,
    /// The member with the address has another account there.
    OtherAccount,
    /// There are as many members as there may be.
    TeamFull,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
}

/// `GET /dashboard/sign-in`.
pub(super) async fn show(
    State(counter): State<Arc<Counter>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    shown(&counter, "", &within(&asked.next), None).await
}

async fn shown(
    counter: &Counter,
    email: &str,
    next: &str,
    wrong: Option<Wrong>,
) -> Result<Response, Stop> {
    let provider = ProviderLink::find(counter, next).await?;
    let frame = Frame::new(counter, "");
    let status = wrong.as_ref().map_or(StatusCode::OK, by_provider::status);
    let wait = match wrong {
        Some(Wrong::TooMany(seconds)) => Some(seconds),
        _ => None,
    };
    let (email, next) = (email.to_owned(), next.to_owned());
    let mut response = page_with(status, &SignInPage { frame, email, next, wrong, provider });
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// The page once more, with why nobody was signed in.
pub(super) async fn refusal(
    counter: &Counter,
    email: &str,
    next: &str,
    wrong: Wrong,
) -> Result<Response, Stop> {
    shown(counter, email, next, Some(wrong)).await
}

/// `POST /dashboard/sign-in`.
pub(super) async fn sign_in(
    State(counter): State<Arc<Counter>>,
    Extension(form): Extension<Form>,
    parts: Parts,
) -> Result<Response, Stop> {
    let (email, next) = (form.text("email"), within(form.text("next")));
    let refused = |wrong| refusal(&counter, email, &next, wrong);
    let origin = origin(&counter, &parts);
    if let Err(wait) = counter.tries.count(email, origin.address) {
        if counter.tries.is_refusal_noted(email)
            && let Some(who) = counter.access.who_signs_in(email).await?
        {
            counter.access.note_failed_sign_in(who.id, FailedSignIn::TooManyTries, origin);
        }
        return refused(Wrong::TooMany(wait.as_secs() + 1)).await;
    }
    let found = counter.access.who_signs_in(email).await?;
    let kept = found.as_ref().map(|it| it.password_hash.as_str());
    let is_right = password::is_right(form.exact("password"), kept).await;
    let second = counter.access.now().as_second();
    let step = |secret: &str| CodeSecret::read(secret)?.step_of(form.text("code"), second);
    let Some(who) = found else {
        return refused(Wrong::Something).await;
    };
    let failed = |why, wrong| {
        counter.access.note_failed_sign_in(who.id, why, origin);
        refused(wrong)
    };
    if !is_right {
        return failed(FailedSignIn::WrongPassword, Wrong::Something).await;
    }
    let Some(step) = step(&who.code_secret) else {
        return failed(FailedSignIn::WrongCode, Wrong::Something).await;
    };
    // Where there is no provider any more, nobody could.
    if who.needs_provider && counter.oidc.is_some() {
        return failed(FailedSignIn::PasswordNotAllowed, Wrong::PasswordNotAllowed).await;
    }
    let session = Secret::new(SecretKind::MemberSession, (counter.entropy)());
    if !counter.access.sign_in(&who, step, &session, browser(&parts.headers), origin).await? {
        return failed(FailedSignIn::UsedCode, Wrong::Something).await;
    }
    Ok(enter(&next, set_session(&counter, &session)))
}

/// On to the page that was asked for, signed in.
pub(super) fn enter(next: &str, cookie: HeaderValue) -> Response {
    let mut response = go_to(if next.is_empty() { "/dashboard" } else { next });
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// A page of the dashboard, or none: nobody is led elsewhere by signing in.
pub(super) fn within(next: &str) -> String {
    let below = next.strip_prefix("/dashboard");
    let is_within = below.is_some_and(|it| it.is_empty() || it.starts_with(['/', '?']));
    let is_plain = next.bytes().all(|it| it.is_ascii_graphic() && it != b'\\');
    if is_within && is_plain { next.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for good in ["/dashboard", "/dashboard/members", "/dashboard/organizations?q=a%20b"] {
            assert_eq!(within(good), good);
        }
        for bad in ["", "/", "//evil.example", "https://evil.example", "/dashboards", "/portal"]
            .into_iter()
            .chain(["/dashboard/\r\nSet-Cookie: a", "/dashboard\\evil", "dashboard"])
        {
            assert_eq!(within(bad), "", "{bad}");
        }
    }
}
