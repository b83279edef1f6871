//! The portal: where an IT admin of one organization is let in by a link, connects a provider, and sees
//! how it goes.

pub(super) mod choose;
pub(super) mod home;
pub(super) mod open;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use directory::secret::{Secret, SecretHash};
use directory::{OrganizationId, PortalFeature, PortalFeatures, PortalLinkId};
use jiff::Timestamp;
use store::ApiStore;

use crate::caller;
use crate::pages::form::Form;
use crate::pages::parts::{Frame, When};
use crate::pages::{Place, Stop, cookie};
use crate::{Counter, RequestId};

/// The part of the portal that a page belongs to. One that belongs to none is there with every link.
#[derive(Clone, Copy, Debug)]
struct Part(PortalFeature);

impl Place {
    pub(super) fn of(mut self, feature: PortalFeature) -> Place {
        self.handler = self.handler.layer(axum::Extension(Part(feature)));
        self
    }
}

#[rustfmt::skip]
pub(super) fn places() -> Vec<Place> {
    use PortalFeature::SetUp;

    let own = vec![
        Place::get("/portal/open/{secret}", open::welcome),
        Place::post("/portal/open/{secret}", open::open),
        Place::get("/portal/{link}", home::show),
        Place::get("/portal/{link}/live", home::listen),
        Place::get("/portal/{link}/choose", choose::show).of(SetUp),
        Place::post("/portal/{link}/directories", choose::connect).of(SetUp),
    ];
    own.into_iter().chain(super::directory::in_portal()).collect()
}

/// Whoever has opened the portal, in the browser that their link is bound to. A handler that takes one
/// is never run for anybody else, nor for a form that did not stand on a page of theirs.
pub(crate) struct Portal {
    pub(crate) store: ApiStore,
    pub(crate) counter: Arc<Counter>,
    pub(crate) frame: Frame,
    pub(crate) inside: Inside,
    pub(crate) organization_id: OrganizationId,
    pub(crate) form: Form,
    /// What the browser shows, and of which link.
    pub(super) opened: (PortalLinkId, SecretHash),
}

/// What all pages of the portal have.
#[derive(Clone)]
pub(crate) struct Inside {
    /// Below which address the portal is.
    pub(crate) home: String,
    /// Whose it is.
    pub(crate) organization: String,
    /// When the link ends.
    pub(crate) expires_at: When,
    /// Which parts of it the link opens.
    pub(crate) features: PortalFeatures,
    /// The page among those of a connection: the word behind its address.
    pub(crate) section: String,
}

impl Inside {
    /// Whether the link opens this part.
    pub(crate) fn has(&self, feature: PortalFeature) -> bool {
        self.features.include(feature)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Portal
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Portal, Stop> {
        let counter = Arc::<Counter>::from_ref(state);
        let id = parts.uri.path().split('/').nth(2).unwrap_or_default();
        let id: PortalLinkId = id.parse().map_err(|_| Stop::Closed)?;
        let session = session_of(&parts.headers, id).ok_or(Stop::Closed)?;
        let store = counter.access.portal(id, &SecretHash::of(session)).await?;
        let mut store = store.ok_or(Stop::Closed)?;
        if let Some(RequestId(id)) = parts.extensions.get() {
            store = store.in_request(*id, caller::client_address(&counter, parts));
        }
        let link = store.portal_link().ok_or(Stop::Closed)?.clone();
        let form = parts.extensions.get::<Form>().cloned().unwrap_or_default();
        let is_looking = matches!(parts.method, Method::GET | Method::HEAD);
        if !is_looking && !form.is_proved_by(session) {
            return Err(Stop::Forged);
        }
        if let Some(Part(feature)) = parts.extensions.get()
            && !link.features.include(*feature)
        {
            return Err(Stop::NotOpened);
        }
        let organization = store.organization(link.organization_id).await?;
        let inside = Inside {
            home: home_of(id),
            organization: organization.ok_or(Stop::Closed)?.name,
            expires_at: When(link.expires_at),
            features: link.features,
            section: parts.uri.path().split('/').nth(5).unwrap_or_default().to_owned(),
        };
        Ok(Portal {
            store,
            frame: Frame::new(&counter, session),
            counter,
            inside,
            organization_id: link.organization_id,
            form,
            opened: (id, SecretHash::of(session)),
        })
    }
}

/// Where the portal of a link is.
fn home_of(id: PortalLinkId) -> String {
    format!("/portal/{id}")
}

/// What a browser shows of a link that it has opened. Each link has a cookie of its own, so that
/// somebody may be in the portals of several organizations.
fn session_of(headers: &HeaderMap, id: PortalLinkId) -> Option<&str> {
    cookie(headers, &id.to_string())
}

/// Has a browser show this of a link from now on, for as long as it is good.
fn set_session(
    counter: &Counter,
    id: PortalLinkId,
    session: &Secret,
    until: Timestamp,
) -> HeaderValue {
    let seconds = until.duration_since(counter.access.now()).as_secs().max(0);
    let settings = &counter.settings;
    let protection = match (settings.is_encrypted(), settings.frame_ancestors.is_empty()) {
        (true, true) => "; Secure; SameSite=Lax",
        // Within a page of the vendor's, it is sent from there; and kept for there alone.
        (true, false) => "; Secure; SameSite=None; Partitioned",
        (false, _) => "; SameSite=Lax",
    };
    let cookie = format!(
        "{id}={}; Path=/portal/; Max-Age={seconds}; HttpOnly{protection}",
        session.reveal()
    );
    HeaderValue::try_from(cookie).expect("ids and secrets are plain ASCII")
}
