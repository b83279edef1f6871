//! Signing in by the provider of the team: there, and back.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use directory::FailedSignIn;
use directory::secret::{Secret, SecretKind};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use store::NotLetIn;

use super::sign_in::{Wrong, enter, refusal, within};
use super::{browser, set_session};
use crate::Counter;
use crate::caller::origin;
use crate::oidc::{Journey, Oidc, Proved, Unproved, error_code};
use crate::pages::form::Form;
use crate::pages::{Stop, cookie, go_to};

/// What a browser keeps of somebody who is at the provider. No neighbour of ours can set one by the first
/// name, which browsers take from us alone, and over an encrypted connection.
const COOKIE: &str = "__Host-sign-in";
const PLAIN_COOKIE: &str = "sign-in";

/// For how long somebody may be at the provider.
const AWAY_SECONDS: u32 = 10 * 60;

/// Bytes of an address to go on to that are kept meanwhile.
const NEXT_MAX: usize = 1_000;

/// `GET /dashboard/sign-in/oidc`: a link, since a form would not be let through to another site.
pub(super) async fn begin(
    State(counter): State<Arc<Counter>>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Response, Stop> {
    let oidc = counter.oidc.as_ref().ok_or(Stop::Nothing)?;
    let asked = read(query)?;
    let next = within(asked.text("next"));
    if let Err(wait) = counter.tries.count_of_place(origin(&counter, &parts).address) {
        return refusal(&counter, "", &next, Wrong::TooMany(wait.as_secs() + 1)).await;
    }
    let journey = Journey::begin((counter.entropy)());
    match oidc.address(&journey).await {
        Ok(address) => {
            let mut response = go_to(&address);
            response.headers_mut().insert(header::SET_COOKIE, keep(&counter, &journey, &next));
            Ok(response)
        }
        Err(why) => refusal(&counter, "", &next, why.into()).await,
    }
}

/// `GET /dashboard/sign-in/oidc/callback`: where the provider sends them back to.
pub(super) async fn back(
    State(counter): State<Arc<Counter>>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Response, Stop> {
    let oidc = counter.oidc.as_ref().ok_or(Stop::Nothing)?;
    let said = read(query)?;
    let kept = kept(&counter, &parts.headers);
    let Some((journey, next)) = kept.filter(|(it, _)| it.has_state(said.exact("state"))) else {
        return refusal(&counter, "", "", Wrong::BegunElsewhere).await;
    };
    let mut response = match arrive(&counter, oidc, &journey, &said, &parts).await? {
        Ok(session) => enter(&next, set_session(&counter, &session)),
        Err(wrong) => refusal(&counter, "", &next, wrong).await?,
    };
    // It was good for coming back once.
    response.headers_mut().append(header::SET_COOKIE, forget(&counter));
    Ok(response)
}

async fn arrive(
    counter: &Counter,
    oidc: &Oidc,
    journey: &Journey,
    said: &Form,
    parts: &Parts,
) -> Result<Result<Secret, Wrong>, Stop> {
    let origin = origin(counter, parts);
    if let Err(wait) = counter.tries.count_of_place(origin.address) {
        return Ok(Err(Wrong::TooMany(wait.as_secs() + 1)));
    }
    if !oidc.is_issuer(said.exact("iss")) {
        return Ok(Err(Wrong::BegunElsewhere));
    }
    let code = said.exact("code");
    if code.is_empty() {
        return Ok(Err(Wrong::ProviderRefused(error_code(said.exact("error")))));
    }
    let proved = match oidc.who(code, journey, counter.access.now()).await {
        Ok(proved) => proved,
        Err(why) => return Ok(Err(why.into())),
    };
    let Proved { person, unverified } = proved;
    let note = async |email: &str, why| {
        if let Some(who) = counter.access.who_signs_in(email).await? {
            counter.access.note_failed_sign_in(who.id, why, origin);
        }
        Ok::<_, Stop>(())
    };
    if !oidc.provider.admits(person.email.as_deref().or(unverified.as_deref())) {
        if let Some(email) = person.email.as_deref() {
            note(email, FailedSignIn::EmailNotAllowed).await?;
        }
        return Ok(Err(Wrong::EmailNotAllowed));
    }
    let session = Secret::new(SecretKind::MemberSession, (counter.entropy)());
    let (browser, joins_as) = (browser(&parts.headers), oidc.provider.joins_as());
    let email = person.email.clone();
    let entering = counter.access.sign_in_proved(person, joins_as, &session, browser, origin);
    Ok(match (entering.await?, email) {
        (Ok(()), _) => Ok(session),
        (Err(NotLetIn::TeamFull), _) => Err(Wrong::TeamFull),
        (Err(NotLetIn::Stranger), Some(email)) => Err(Wrong::Stranger(email)),
        (Err(NotLetIn::Stranger), None) => {
            if let Some(email) = unverified {
                note(&email, FailedSignIn::UnverifiedEmail).await?;
            }
            Err(Wrong::UnverifiedEmail)
        }
        (Err(NotLetIn::Member(why)), _) => Err(match why {
            FailedSignIn::OtherAccount => Wrong::OtherAccount,
            FailedSignIn::EndedInvitation => Wrong::EndedInvitation,
            _ => Wrong::UnverifiedEmail,
        }),
    })
}

impl From<Unproved> for Wrong {
    fn from(why: Unproved) -> Wrong {
        match why {
            Unproved::Unreachable => Wrong::ProviderUnreachable,
            Unproved::Refused(code) => Wrong::ProviderRefused(code),
            Unproved::Untrusted => Wrong::ProviderUntrusted,
        }
    }
}

fn read(query: Option<String>) -> Result<Form, Stop> {
    Form::read(query.unwrap_or_default().as_bytes()).ok_or(Stop::Unreadable)
}

/// What the browser keeps, and where it goes on to.
fn kept(counter: &Counter, headers: &HeaderMap) -> Option<(Journey, String)> {
    let kept = cookie(headers, cookie_name(counter))?;
    let (journey, next) = kept.split_once('.')?;
    let next = percent_decode_str(next).decode_utf8().ok()?;
    Some((Journey::read(journey)?, within(&next)))
}

fn keep(counter: &Counter, journey: &Journey, next: &str) -> HeaderValue {
    let next = if next.len() <= NEXT_MAX { next } else { "" };
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    set_cookie(counter, &format!("{}.{next}", journey.kept()), AWAY_SECONDS)
}

fn forget(counter: &Counter) -> HeaderValue {
    set_cookie(counter, "", 0)
}

fn cookie_name(counter: &Counter) -> &'static str {
    if counter.settings.is_encrypted() { COOKIE } else { PLAIN_COOKIE }
}

/// `SameSite=Lax`: it is the provider's site that sends the browser back.
fn set_cookie(counter: &Counter, value: &str, seconds: u32) -> HeaderValue {
    let secure = if counter.settings.is_encrypted() { "; Secure" } else { "" };
    let name = cookie_name(counter);
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).expect("what is kept is plain ASCII")
}

/// The status of a page that says why somebody is not signed in.
pub(super) fn status(wrong: &Wrong) -> StatusCode {
    match wrong {
        Wrong::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Wrong::ProviderUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}
