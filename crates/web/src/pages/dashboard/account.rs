//! One's own account: where one is signed in, and signing out.

use askama::Template;
use axum::extract::Path;
use axum::http::header;
use axum::response::Response;
use directory::SessionId;

use super::{Dashboard, SignedIn, forget_session};
use crate::pages::parts::{Frame, When};
use crate::pages::{Stop, go_to, page};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/account.html")]
pub(crate) struct AccountPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) email: String,
    pub(crate) sessions: Vec<SessionRow>,
}

pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) browser: String,
    pub(crate) created_at: When,
    pub(crate) last_used_at: When,
    pub(crate) expires_at: When,
    pub(crate) is_this: bool,
}

/// `GET /dashboard/account`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    let Dashboard { store, frame, signed_in, .. } = dashboard;
    let (member, own) = store.member().ok_or(Stop::Nothing)?;
    let sessions = store.member_sessions(member.id).await?.into_iter();
    let sessions = sessions.map(|session| SessionRow {
        is_this: session.id == own,
        id: session.id.to_string(),
        browser: session.browser,
        created_at: When(session.created_at),
        last_used_at: When(session.last_used_at),
        expires_at: When(session.expires_at),
    });
    let (sessions, email) = (sessions.collect(), member.email.clone().unwrap_or_default());
    Ok(page(&AccountPage { frame, signed_in, email, sessions }))
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
