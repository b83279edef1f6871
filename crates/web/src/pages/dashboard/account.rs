//! One's own account: with what one signs in, where one is signed in, and signing out.

use askama::Template;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use directory::{FailedSignIn, SessionId};
use store::{MemberSignIn, NewSignIn};

use super::join::key_uri;
use super::{Dashboard, SignedIn, forget_session};
use crate::caller::origin;
use crate::pages::codes::CodeSecret;
use crate::pages::parts::{Copyable, Frame, When};
use crate::pages::{Stop, go_to, page_with, password};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/account.html")]
pub(crate) struct AccountPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) email: String,
    pub(crate) sessions: Vec<SessionRow>,
    /// What is shown to whoever signs in with a password.
    pub(crate) own: Option<OwnSignIn>,
}

pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) browser: String,
    pub(crate) created_at: When,
    pub(crate) last_used_at: When,
    pub(crate) expires_at: When,
    pub(crate) is_this: bool,
}

/// With what somebody signs in, and what may be another.
pub(crate) struct OwnSignIn {
    pub(crate) password_characters_min: usize,
    /// What codes of another app would be made from, as apps take it.
    pub(crate) key: Copyable,
    /// The same, for the form to send.
    pub(crate) sent_key: String,
    /// The same as a link, for whoever has the app on the same device.
    pub(crate) key_uri: String,
    pub(crate) outcome: Option<Outcome>,
}

/// What came of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) of: Changing,
    pub(crate) wrong: Option<WrongChange>,
}

/// What was to be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changing {
    Password,
    Codes,
}

/// What is wrong with what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongChange {
    /// The password or the code that are good now: nobody learns which of them.
    Present,
    /// The new password.
    Short,
    /// The code of the new app.
    NewCode,
    TooMany,
}

/// Why nothing is another.
enum Refusal {
    Wrong(WrongChange),
    Failed(store::Error),
}

impl From<WrongChange> for Refusal {
    fn from(wrong: WrongChange) -> Refusal {
        Refusal::Wrong(wrong)
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

impl OwnSignIn {
    /// What is wrong in the form for this.
    fn wrong(&self, of: Changing) -> Option<WrongChange> {
        self.outcome.filter(|it| it.of == of)?.wrong
    }

    /// What is another now.
    fn changed(&self) -> Option<Changing> {
        self.outcome.filter(|it| it.wrong.is_none()).map(|it| it.of)
    }
}

/// `GET /dashboard/account`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    shown(dashboard, None).await
}

async fn shown(dashboard: Dashboard, outcome: Option<Outcome>) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, counter, form } = dashboard;
    let (member, own) = store.member().ok_or(Stop::Nothing)?;
    let sessions = store.member_sessions(member.id).await?.into_iter();
    let sessions = sessions.map(|session| SessionRow {
        is_this: session.id == own,
        id: session.id.to_string(),
        browser: browser_name(&session.browser).unwrap_or(session.browser),
        created_at: When(session.created_at),
        last_used_at: When(session.last_used_at),
        expires_at: When(session.expires_at),
    });
    let (sessions, email) = (sessions.collect(), member.email.clone().unwrap_or_default());
    let has_password = with_password(counter.access.who_signs_in(&email).await?).is_some();
    let own = has_password.then(|| {
        let is_mistake = outcome.is_some_and(|it| it.wrong.is_some());
        // A form that is sent again after a mistake asks for codes of the same.
        let key = is_mistake.then(|| CodeSecret::read(form.text("key"))).flatten();
        let key = key.unwrap_or_else(|| CodeSecret::new((counter.entropy)())).text();
        OwnSignIn {
            password_characters_min: password::CHARACTERS_MIN,
            key_uri: key_uri(frame.vendor(), &email, &key),
            sent_key: key.clone(),
            key: Copyable::new("key", key),
            outcome,
        }
    });
    let status = match outcome.and_then(|it| it.wrong) {
        None => StatusCode::OK,
        Some(WrongChange::TooMany) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok(page_with(status, &AccountPage { frame, signed_in, email, sessions, own }))
}

/// What people call a browser by what it says that it is, where that is a usual one. Each says that it is
/// the older ones, too, so those come last.
fn browser_name(said: &str) -> Option<String> {
    const BROWSERS: [(&str, &str); 5] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Macintosh", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| said.contains(mark)).map(|(_, name)| *name)
    };
    Some(format!("{} on {}", named(&BROWSERS)?, named(&SYSTEMS)?))
}

/// Whoever signs in with a password, and not only by the provider of the team.
fn with_password(found: Option<MemberSignIn>) -> Option<MemberSignIn> {
    found.filter(|it| !it.password_hash.is_empty())
}

/// `POST /dashboard/account/password`.
pub(super) async fn change_password(dashboard: Dashboard, parts: Parts) -> Result<Response, Stop> {
    let new = dashboard.form.exact("new").to_owned();
    let entropy = dashboard.counter.entropy;
    let read = async move || {
        if !password::is_long_enough(&new) {
            return Err(WrongChange::Short);
        }
        Ok(NewSignIn::Password(password::hash(&new, entropy()).await))
    };
    change(dashboard, &parts, Changing::Password, read).await
}

/// `POST /dashboard/account/codes`.
pub(super) async fn change_codes(dashboard: Dashboard, parts: Parts) -> Result<Response, Stop> {
    let codes = CodeSecret::read(dashboard.form.text("key"));
    let code = dashboard.form.text("new").to_owned();
    let second = dashboard.counter.access.now().as_second();
    let read = async move || {
        let codes = codes.ok_or(WrongChange::NewCode)?;
        let step = codes.step_of(&code, second).ok_or(WrongChange::NewCode)?;
        Ok(NewSignIn::Codes { secret: codes.text(), step })
    };
    change(dashboard, &parts, Changing::Codes, read).await
}

/// Has a member show first that it is them, with password and code: a browser that was left open is not
/// enough to lock them out.
async fn change(
    dashboard: Dashboard,
    parts: &Parts,
    of: Changing,
    read: impl AsyncFnOnce() -> Result<NewSignIn, WrongChange>,
) -> Result<Response, Stop> {
    let counter = &dashboard.counter;
    let (member, _) = dashboard.store.member().ok_or(Stop::Nothing)?;
    let (id, email) = (member.id, member.email.clone().unwrap_or_default());
    let origin = origin(counter, parts);
    let said = async {
        counter.tries.count(&email, origin.address).map_err(|_| WrongChange::TooMany)?;
        let new = read().await?;
        let failed = |why| {
            counter.access.note_failed_sign_in(id, why, origin);
            Refusal::Wrong(WrongChange::Present)
        };
        let found = counter.access.who_signs_in(&email).await?;
        let who = with_password(found).ok_or(WrongChange::Present)?;
        if !password::is_right(dashboard.form.exact("password"), Some(&who.password_hash)).await {
            return Err(failed(FailedSignIn::WrongPassword));
        }
        let codes = CodeSecret::read(&who.code_secret);
        let second = counter.access.now().as_second();
        let step = codes.and_then(|it| it.step_of(dashboard.form.text("code"), second));
        let step = step.ok_or_else(|| failed(FailedSignIn::WrongCode))?;
        let is_kept = dashboard.store.change_sign_in(step, new).await?;
        if is_kept { Ok(()) } else { Err(failed(FailedSignIn::UsedCode)) }
    };
    let wrong = match said.await {
        Ok(()) => None,
        Err(Refusal::Wrong(wrong)) => Some(wrong),
        Err(Refusal::Failed(error)) => return Err(error.into()),
    };
    shown(dashboard, Some(Outcome { of, wrong })).await
}

/// `POST /dashboard/account/sessions/{session}/end`.
pub(super) async fn end(
    dashboard: Dashboard,
    Path(session): Path<String>,
) -> Result<Response, Stop> {
    let (member, _) = dashboard.store.member().ok_or(Stop::Nothing)?;
    let session: SessionId = session.parse().map_err(|_| Problem::not_found("session"))?;
    dashboard.store.end_member_session(member.id, session).await?;
    Ok(go_to("/dashboard/account"))
}

/// `POST /dashboard/sign-out`.
pub(super) async fn sign_out(dashboard: Dashboard) -> Result<Response, Stop> {
    let (member, own) = dashboard.store.member().ok_or(Stop::Nothing)?;
    dashboard.store.end_member_session(member.id, own).await?;
    let mut response = go_to("/dashboard/sign-in");
    response.headers_mut().insert(header::SET_COOKIE, forget_session(&dashboard.counter));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_called_what_people_call_them() {
        let check = |said: &str, expected: Option<&str>| {
            assert_eq!(browser_name(said).as_deref(), expected, "{said}");
        };
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            Some("Firefox on Linux"),
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/26.0 Safari/605.1.15",
            Some("Safari on macOS"),
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            Some("Edge on Windows"),
        );
        check(
            "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/142.0.0.0 Mobile Safari/537.36",
            Some("Chrome on Android"),
        );
        check("Tester/1", None);
        check("", None);
    }
}
