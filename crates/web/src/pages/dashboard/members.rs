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
    /// By whom members may sign in, where there is somebody.
    pub(crate) provider: Option<Provider>,
}

/// The provider of the team, for who looks at how members sign in.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) is_required: bool,
    /// Whether the reader has signed in by it, and so knows that it works.
    pub(crate) is_readers: bool,
    /// How many could not sign in as they did before, if it were required.
    pub(crate) others: usize,
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
    /// Whether they sign in by the provider.
    pub(crate) is_at_provider: bool,
    /// Whether they may sign in with a password where others have to by the provider.
    pub(crate) keeps_password: bool,
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
            is_at_provider: member.is_at_provider,
            keeps_password: member.keeps_password,
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
    let members: Vec<_> = members.map(|it| MemberRow::new(it, reader, now)).collect();
    let provider = match &counter.oidc {
        None => None,
        Some(oidc) => Some(Provider {
            name: oidc.provider.name().to_owned(),
            is_required: counter.access.is_provider_required().await?,
            is_readers: members.iter().any(|it| it.is_reader && it.is_at_provider),
            others: members.iter().filter(|it| !it.is_reader && !it.keeps_password).count(),
        }),
    };
    let email = if wrong.is_some() { form.text("email").to_owned() } else { String::new() };
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let members = MembersPage { frame, signed_in, members, made, email, wrong, provider };
    Ok(page_with(status, &members))
}

/// `POST /dashboard/members/sign-in`.
pub(super) async fn require_provider(dashboard: Dashboard) -> Result<Response, Stop> {
    if dashboard.counter.oidc.is_none() {
        return Err(Stop::Nothing);
    }
    let required = match dashboard.form.text("by") {
        "provider" => true,
        "either" => false,
        _ => return Err(Stop::Unreadable),
    };
    if !dashboard.store.require_provider(required).await? {
        return Err(Problem::untried_provider().into());
    }
    Ok(go_to("/dashboard/members"))
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
