//! Signing in: e-mail address, password and code, all at once, so that nobody learns which of them was
//! right.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use directory::FailedSignIn;
use directory::secret::{Secret, SecretKind};
use serde::Deserialize;

use super::{browser, set_session};
use crate::Counter;
use crate::caller::origin;
use crate::pages::codes::CodeSecret;
use crate::pages::form::Form;
use crate::pages::parts::Frame;
use crate::pages::{Stop, go_to, page, page_with, password};

#[derive(Template)]
#[template(path = "dashboard/sign-in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    pub(crate) email: String,
    /// Where to go on.
    pub(crate) next: String,
    pub(crate) wrong: Option<Wrong>,
}

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// One of the three, or all.
    Something,
    /// So many seconds are to pass before the next.
    TooMany(u64),
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
) -> Response {
    let frame = Frame::new(&counter, "");
    page(&SignInPage { frame, email: String::new(), next: within(&asked.next), wrong: None })
}

/// `POST /dashboard/sign-in`.
pub(super) async fn sign_in(
    State(counter): State<Arc<Counter>>,
    Extension(form): Extension<Form>,
    parts: Parts,
) -> Result<Response, Stop> {
    let (email, next) = (form.text("email"), within(form.text("next")));
    let refused = |status, wrong| {
        let frame = Frame::new(&counter, "");
        let (email, next) = (email.to_owned(), next.clone());
        page_with(status, &SignInPage { frame, email, next, wrong: Some(wrong) })
    };
    let origin = origin(&counter, &parts);
    if let Err(wait) = counter.tries.count(email, origin.address) {
        if counter.tries.is_refusal_noted(email)
            && let Some(who) = counter.access.who_signs_in(email).await?
        {
            counter.access.note_failed_sign_in(who.id, FailedSignIn::TooManyTries, origin);
        }
        let seconds = wait.as_secs() + 1;
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, Wrong::TooMany(seconds));
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        return Ok(response);
    }
    let found = counter.access.who_signs_in(email).await?;
    let kept = found.as_ref().map(|it| it.password_hash.as_str());
    let is_right = password::is_right(form.exact("password"), kept).await;
    let second = counter.access.now().as_second();
    let step = |secret: &str| CodeSecret::read(secret)?.step_of(form.text("code"), second);
    let Some(who) = found else {
        return Ok(refused(StatusCode::FORBIDDEN, Wrong::Something));
    };
    let failed = |why| {
        counter.access.note_failed_sign_in(who.id, why, origin);
        Ok(refused(StatusCode::FORBIDDEN, Wrong::Something))
    };
    if !is_right {
        return failed(FailedSignIn::WrongPassword);
    }
    let Some(step) = step(&who.code_secret) else { return failed(FailedSignIn::WrongCode) };
    let session = Secret::new(SecretKind::MemberSession, (counter.entropy)());
    if !counter.access.sign_in(&who, step, &session, browser(&parts.headers), origin).await? {
        return failed(FailedSignIn::UsedCode);
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
fn within(next: &str) -> String {
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
