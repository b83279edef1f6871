//! Following a link: what it is for is said first, and it is bound to a browser only when somebody says
//! so. Programs that look at links in mails and chats follow them too, and would otherwise be the
//! first.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use directory::secret::{Secret, SecretHash, SecretKind};
use directory::{PortalFeature, PortalFeatures, PortalLinkLife, PortalLinkState};
use store::FollowedLink;

use super::{home_of, session_of, set_session};
use crate::Counter;
use crate::caller::origin;
use crate::pages::parts::{Frame, When};
use crate::pages::{Stop, go_to, page, page_with};

/// What a link that can be opened leads to.
#[derive(Template)]
#[template(path = "portal/welcome.html")]
pub(crate) struct Welcome {
    pub(crate) frame: Frame,
    pub(crate) organization: String,
    pub(crate) expires_at: When,
    /// Which parts of the portal it opens.
    pub(crate) features: PortalFeatures,
    /// Whether it is to be opened at once; then it is good for so many hours.
    pub(crate) hours_when_opened: Option<i64>,
}

/// What a link leads to that cannot be opened (any more).
#[derive(Template)]
#[template(path = "portal/closed.html")]
pub(crate) struct Closed {
    pub(crate) frame: Frame,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody has made it.
    Unknown,
    /// Another browser was the first.
    OpenElsewhere,
    Expired,
    Revoked,
}

/// `GET /portal/open/{secret}`.
pub(super) async fn welcome(
    State(counter): State<Arc<Counter>>,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let Some(followed) = counter.access.followed_link(&SecretHash::of(&secret)).await? else {
        return Ok(closed(&counter, Why::Unknown));
    };
    let FollowedLink { link, organization, .. } = &followed;
    match followed.state() {
        PortalLinkState::Unopened => {
            let opened = PortalLinkLife::ONE_TIME_OPENED.as_hours();
            Ok(page(&Welcome {
                frame: Frame::new(&counter, ""),
                organization: organization.clone(),
                expires_at: When(link.expires_at),
                features: link.features.clone(),
                hours_when_opened: link.is_one_time.then_some(opened),
            }))
        }
        PortalLinkState::Open => {
            let session = session_of(&headers, link.id).map(SecretHash::of);
            let opened = match session {
                Some(session) => counter.access.portal(link.id, &session).await?,
                None => None,
            };
            match opened {
                Some(_) => Ok(go_to(&home_of(link.id))),
                None => Ok(closed(&counter, Why::OpenElsewhere)),
            }
        }
        state => Ok(closed(&counter, why(state))),
    }
}

/// `POST /portal/open/{secret}`: from now on it is this browser's.
pub(super) async fn open(
    State(counter): State<Arc<Counter>>,
    Path(secret): Path<String>,
    parts: Parts,
) -> Result<Response, Stop> {
    let Some(followed) = counter.access.followed_link(&SecretHash::of(&secret)).await? else {
        return Ok(closed(&counter, Why::Unknown));
    };
    let session = Secret::new(SecretKind::PortalSession, (counter.entropy)());
    let id = followed.link.id;
    let Some(until) = counter.access.open_link(id, &session, origin(&counter, &parts)).await?
    else {
        // Of the state that was read before, or of one that has come about since.
        return Ok(closed(&counter, why(followed.state())));
    };
    let mut response = go_to(&home_of(id));
    let cookie = set_session(&counter, id, &session, until);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

fn why(state: PortalLinkState) -> Why {
    match state {
        PortalLinkState::Revoked => Why::Revoked,
        PortalLinkState::Expired => Why::Expired,
        PortalLinkState::Open | PortalLinkState::Unopened => Why::OpenElsewhere,
    }
}

fn closed(counter: &Counter, why: Why) -> Response {
    let status = match why {
        Why::Unknown => StatusCode::NOT_FOUND,
        Why::OpenElsewhere => StatusCode::FORBIDDEN,
        Why::Expired | Why::Revoked => StatusCode::GONE,
    };
    page_with(status, &Closed { frame: Frame::new(counter, ""), why })
}
