//! Joining by an invitation: somebody says what they are called, and chooses a password and an app that
//! shows codes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use directory::secret::{Secret, SecretHash, SecretKind};
use directory::{Member, MemberRole, as_email, as_name};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use store::{Joining, NotJoined};

use super::sign_in::{ProviderLink, enter};
use super::{browser, set_session};
use crate::Counter;
use crate::caller::{client_address, origin};
use crate::pages::codes::CodeSecret;
use crate::pages::form::Form;
use crate::pages::parts::{Copyable, Frame, When};
use crate::pages::{Stop, page_with, password};

#[derive(Template)]
#[template(path = "dashboard/join.html")]
pub(crate) struct JoinPage {
    pub(crate) frame: Frame,
    /// What the invitation says; the first member says it.
    pub(crate) invited_as: Option<String>,
    pub(crate) role: MemberRole,
    pub(crate) until: Option<When>,
    pub(crate) email: String,
    pub(crate) name: String,
    /// What codes are made from, as apps take it.
    pub(crate) key: Copyable,
    /// The same, for the form to send.
    pub(crate) sent_key: String,
    /// The same as a link, for whoever has the app on the same device.
    pub(crate) key_uri: String,
    pub(crate) password_characters_min: usize,
    /// By whom they may join instead, or have to.
    pub(crate) provider: Option<ProviderLink>,
    pub(crate) wrong: Option<WrongField>,
}

impl JoinPage {
    fn has_to_use_provider(&self) -> bool {
        self.provider.as_ref().is_some_and(|it| it.is_required)
    }
}

/// What is wrong with what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongField {
    Name,
    Email,
    EmailTaken,
    Password,
    Code,
    TooMany,
}

/// What an invitation leads to that is not good.
#[derive(Template)]
#[template(path = "dashboard/no-invitation.html")]
pub(crate) struct NoInvitation {
    pub(crate) frame: Frame,
}

/// `GET /dashboard/join/{secret}`.
pub(super) async fn show(
    State(counter): State<Arc<Counter>>,
    Path(secret): Path<String>,
) -> Result<Response, Stop> {
    let found = counter.access.invited(&SecretHash::of(&secret)).await?;
    let Some(member) = found else { return Ok(no_invitation(&counter)) };
    form_page(&counter, member, &Form::default(), None).await
}

/// `POST /dashboard/join/{secret}`.
pub(super) async fn join(
    State(counter): State<Arc<Counter>>,
    Path(secret): Path<String>,
    Extension(form): Extension<Form>,
    parts: Parts,
) -> Result<Response, Stop> {
    let invitation = SecretHash::of(&secret);
    let Some(member) = counter.access.invited(&invitation).await? else {
        return Ok(no_invitation(&counter));
    };
    if provider_of(&counter, &member).await?.is_some_and(|it| it.is_required) {
        // The page has no form for it.
        return form_page(&counter, member, &Form::default(), None).await;
    }
    let codes = CodeSecret::read(form.text("key"));
    let second = counter.access.now().as_second();
    let said = || {
        let from = client_address(&counter, &parts);
        counter.tries.count(&secret, from).map_err(|_| WrongField::TooMany)?;
        let name = as_name(form.text("name")).ok_or(WrongField::Name)?;
        let email = match &member.email {
            Some(email) => email.clone(),
            None => as_email(form.text("email")).ok_or(WrongField::Email)?,
        };
        let password = form.exact("password");
        if !password::is_long_enough(password) {
            return Err(WrongField::Password);
        }
        let codes = codes.as_ref().ok_or(WrongField::Code)?;
        let step = codes.step_of(form.text("code"), second).ok_or(WrongField::Code)?;
        Ok((name.to_owned(), email, password, codes.text(), step))
    };
    let (name, email, password, code_secret, code_step) = match said() {
        Ok(said) => said,
        Err(wrong) => return form_page(&counter, member, &form, Some(wrong)).await,
    };
    let joining = Joining {
        email,
        name,
        password_hash: password::hash(password, (counter.entropy)()).await,
        code_secret,
        code_step,
    };
    let session = Secret::new(SecretKind::MemberSession, (counter.entropy)());
    let (browser, origin) = (browser(&parts.headers), origin(&counter, &parts));
    match counter.access.join(&invitation, member.id, joining, &session, browser, origin).await? {
        Ok(()) => Ok(enter("", set_session(&counter, &session))),
        Err(NotJoined::NoInvitation) => Ok(no_invitation(&counter)),
        Err(NotJoined::EmailTaken) => {
            form_page(&counter, member, &form, Some(WrongField::EmailTaken)).await
        }
    }
}

/// By whom somebody may join instead of with a password. The first member may not: they are who can get
/// in when the provider fails.
async fn provider_of(counter: &Counter, member: &Member) -> Result<Option<ProviderLink>, Stop> {
    if member.email.is_none() {
        return Ok(None);
    }
    let found = ProviderLink::find(counter, "").await?;
    let of_member = |it: ProviderLink| {
        let is_required = it.is_required && !member.keeps_password;
        ProviderLink { is_required, ..it }
    };
    Ok(found.map(of_member))
}

async fn form_page(
    counter: &Counter,
    member: Member,
    form: &Form,
    wrong: Option<WrongField>,
) -> Result<Response, Stop> {
    let provider = provider_of(counter, &member).await?;
    let frame = Frame::new(counter, "");
    // A form that is sent again after a mistake asks for codes of the same.
    let key = CodeSecret::read(form.text("key"));
    let key = key.unwrap_or_else(|| CodeSecret::new((counter.entropy)())).text();
    let key_uri = key_uri(frame.vendor(), member.email.as_deref().unwrap_or_default(), &key);
    let status = match wrong {
        None => StatusCode::OK,
        Some(WrongField::TooMany) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let join_page = JoinPage {
        frame,
        invited_as: member.email,
        role: member.role,
        until: member.invited_until.map(When),
        email: form.text("email").to_owned(),
        name: if form.text("name").is_empty() { member.name } else { form.text("name").to_owned() },
        sent_key: key.clone(),
        key: Copyable::new("key", key),
        key_uri,
        password_characters_min: password::CHARACTERS_MIN,
        provider,
        wrong,
    };
    Ok(page_with(status, &join_page))
}

/// As apps that show codes read it.
pub(super) fn key_uri(vendor: &str, email: &str, key: &str) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (vendor, email) = (escaped(vendor), escaped(email));
    format!("otpauth://totp/{vendor}:{email}?secret={key}&issuer={vendor}")
}

fn no_invitation(counter: &Counter) -> Response {
    page_with(StatusCode::NOT_FOUND, &NoInvitation { frame: Frame::new(counter, "") })
}
