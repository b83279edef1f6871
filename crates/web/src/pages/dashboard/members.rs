//! The team: who signs in, and who is invited to.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use directory::secret::{Secret, SecretKind};
use directory::{Member, MemberId, MemberRole, Rejection, as_email};
use jiff::Timestamp;

use super::{Dashboard, SignedIn};
use crate::pages::parts::{Copyable, Frame, When};
use crate::pages::{Stop, go_to, page_with};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "dashboard/members.html")]
pub(crate) struct MembersPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) members: Vec<MemberRow>,
    /// The invitation that was just made: it is shown here and nowhere else.
    pub(crate) made: Option<Copyable>,
    /// What was typed that is not right.
    pub(crate) email: String,
    pub(crate) wrong: Option<WrongInvitation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongInvitation {
    Email,
    EmailTaken,
}

pub(crate) struct MemberRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: MemberRole,
    pub(crate) last_seen_at: Option<When>,
    pub(crate) standing: Standing,
    pub(crate) is_reader: bool,
}

pub(crate) enum Standing {
    Joined,
    InvitedUntil(When),
    /// The invitation has ended, and nobody has joined.
    Missed,
}

impl MemberRow {
    fn new(member: Member, reader: Option<MemberId>, now: Timestamp) -> MemberRow {
        let standing = match (member.joined_at, member.invited_until) {
            (None, Some(until)) if now < until => Standing::InvitedUntil(When(until)),
            (None, _) => Standing::Missed,
            (Some(_), _) => Standing::Joined,
        };
        MemberRow {
            is_reader: Some(member.id) == reader,
            id: member.id.to_string(),
            name: member.name,
            email: member.email.unwrap_or_default(),
            role: member.role,
            last_seen_at: member.last_seen_at.map(When),
            standing,
        }
    }
}

/// `GET /dashboard/members`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    everybody(dashboard, None, None).await
}

async fn everybody(
    dashboard: Dashboard,
    made: Option<Copyable>,
    wrong: Option<WrongInvitation>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, form } = dashboard;
    let reader = store.member().map(|(member, _)| member.id);
    let now = counter.access.now();
    let members = store.members().await?.into_iter();
    let members = members.map(|it| MemberRow::new(it, reader, now)).collect();
    let email = if wrong.is_some() { form.text("email").to_owned() } else { String::new() };
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(page_with(status, &MembersPage { frame, signed_in, members, made, email, wrong }))
}

/// `POST /dashboard/members`.
pub(super) async fn invite(dashboard: Dashboard) -> Result<Response, Stop> {
    let Some(email) = as_email(dashboard.form.text("email")) else {
        return everybody(dashboard, None, Some(WrongInvitation::Email)).await;
    };
    let role: MemberRole = dashboard.form.text("role").parse().map_err(|_| Stop::Unreadable)?;
    let secret = Secret::new(SecretKind::Invitation, (dashboard.counter.entropy)());
    match dashboard.store.invite_member(email, role, &secret).await {
        Ok(_) => {}
        Err(store::Error::Rejected(Rejection::EmailTaken)) => {
            return everybody(dashboard, None, Some(WrongInvitation::EmailTaken)).await;
        }
        Err(error) => return Err(error.into()),
    }
    let url = dashboard.counter.settings.invitation_url(&secret);
    everybody(dashboard, Some(Copyable::new("invitation", url)), None).await
}

/// `POST /dashboard/members/{member}/role`.
pub(super) async fn set_role(
    dashboard: Dashboard,
    Path(member): Path<String>,
) -> Result<Response, Stop> {
    let member: MemberId = member.parse().map_err(|_| Problem::not_found("member"))?;
    let role: MemberRole = dashboard.form.text("role").parse().map_err(|_| Stop::Unreadable)?;
    dashboard.store.set_member_role(member, role).await?;
    Ok(go_to("/dashboard/members"))
}

/// `POST /dashboard/members/{member}/remove`.
pub(super) async fn remove(
    dashboard: Dashboard,
    Path(member): Path<String>,
) -> Result<Response, Stop> {
    let member: MemberId = member.parse().map_err(|_| Problem::not_found("member"))?;
    dashboard.store.remove_member(member).await?;
    Ok(go_to("/dashboard/members"))
}
