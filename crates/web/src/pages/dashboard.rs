//! The dashboard: where people of the vendor sign in, and see and do what the management API has.

pub(super) mod account;
pub(super) mod api_keys;
pub(super) mod audit;
pub(super) mod branding;
pub(super) mod by_provider;
pub(super) mod events;
pub(super) mod holds;
pub(super) mod join;
pub(super) mod live;
pub(super) mod members;
pub(super) mod organizations;
pub(super) mod overview;
pub(super) mod requests;
pub(super) mod roles;
pub(super) mod settings;
pub(super) mod sign_in;
pub(super) mod simulator;
pub(super) mod webhooks;

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use directory::secret::{Secret, SecretHash};
use directory::{ApiScope, MemberRole, MemberSession};
use store::ApiStore;

use crate::caller;
use crate::pages::form::Form;
use crate::pages::parts::Frame;
use crate::pages::{Place, Stop};
use crate::{Counter, RequestId};

/// The cookie of whoever is signed in.
const COOKIE: &str = "dashboard";

/// What a page asks of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs {
    /// What a key would need for the same.
    Scope(ApiScope),
    /// To be an owner.
    Owner,
    /// To be signed in: it is about nobody else.
    Nothing,
}

impl Place {
    pub(super) fn needs(mut self, needs: Needs) -> Place {
        self.handler = self.handler.layer(axum::Extension(needs));
        self
    }
}

#[rustfmt::skip]
pub(super) fn places() -> Vec<Place> {
    use ApiScope::{
        AuditRead, CatalogueRead, CatalogueWrite, DirectoriesRead, DirectoriesWrite, EventsRead, KeysRead,
        KeysWrite, OrganizationsRead, OrganizationsWrite, PortalWrite, UsersRead, WebhooksRead, WebhooksWrite,
    };
    use Needs::{Nothing, Owner, Scope};

    let own = vec![
        Place::get("/dashboard/sign-in", sign_in::show),
        Place::post("/dashboard/sign-in", sign_in::sign_in),
        Place::get("/dashboard/sign-in/oidc", by_provider::begin),
        Place::get(crate::oidc::CALLBACK, by_provider::back),
        Place::get("/dashboard/join/{secret}", join::show),
        Place::post("/dashboard/join/{secret}", join::join),
        Place::get("/dashboard", overview::show).needs(Scope(DirectoriesRead)),
        Place::get("/dashboard/organizations", organizations::list).needs(Scope(OrganizationsRead)),
        Place::post("/dashboard/organizations", organizations::create).needs(Scope(OrganizationsWrite)),
        Place::get("/dashboard/organizations/{organization}", organizations::show).needs(Scope(OrganizationsRead)),
        Place::post("/dashboard/organizations/{organization}", organizations::edit).needs(Scope(OrganizationsWrite)),
        Place::post("/dashboard/organizations/{organization}/safety", organizations::guard).needs(Scope(OrganizationsWrite)),
        Place::post("/dashboard/organizations/{organization}/delete", organizations::delete).needs(Scope(OrganizationsWrite)),
        Place::post("/dashboard/organizations/{organization}/directories", organizations::connect).needs(Scope(DirectoriesWrite)),
        Place::get("/dashboard/requests", requests::show).needs(Scope(UsersRead)),
        Place::post("/dashboard/organizations/{organization}/portal-links", organizations::invite).needs(Scope(PortalWrite)),
        Place::post("/dashboard/organizations/{organization}/portal-links/{link}/revoke", organizations::revoke).needs(Scope(PortalWrite)),
        Place::get("/dashboard/holds", holds::show).needs(Scope(DirectoriesRead)),
        Place::get("/dashboard/roles", roles::show).needs(Scope(CatalogueRead)),
        Place::post("/dashboard/roles", roles::add).needs(Scope(CatalogueWrite)),
        Place::post("/dashboard/roles/{role}", roles::change).needs(Scope(CatalogueWrite)),
        Place::post("/dashboard/roles/{role}/delete", roles::delete).needs(Scope(CatalogueWrite)),
        Place::get("/dashboard/simulator", simulator::list).needs(Scope(DirectoriesRead)),
        Place::post("/dashboard/simulator", simulator::begin).needs(Scope(DirectoriesWrite)),
        Place::post("/dashboard/simulator/connect", simulator::connect).needs(Scope(DirectoriesWrite)),
        Place::get("/dashboard/simulator/{simulation}", simulator::show).needs(Scope(DirectoriesRead)),
        Place::get("/dashboard/simulator/{simulation}/live", simulator::live).needs(Scope(DirectoriesRead)),
        Place::post("/dashboard/simulator/{simulation}/act", simulator::act).needs(Scope(DirectoriesWrite)),
        Place::post("/dashboard/simulator/{simulation}/end", simulator::end).needs(Scope(DirectoriesWrite)),
        Place::post("/dashboard/members/sign-in", members::require_provider).needs(Owner),
        Place::get("/dashboard/live", live::listen).needs(Nothing),
        Place::get("/dashboard/events", events::list).needs(Scope(EventsRead)),
        Place::get("/dashboard/events/{position}", events::show).needs(Scope(EventsRead)),
        Place::get("/dashboard/webhooks", webhooks::list).needs(Scope(WebhooksRead)),
        Place::post("/dashboard/webhooks", webhooks::create).needs(Scope(WebhooksWrite)),
        Place::get("/dashboard/webhooks/{webhook}", webhooks::show).needs(Scope(WebhooksRead)),
        Place::post("/dashboard/webhooks/{webhook}", webhooks::edit).needs(Scope(WebhooksWrite)),
        Place::post("/dashboard/webhooks/{webhook}/switch", webhooks::switch).needs(Scope(WebhooksWrite)),
        Place::post("/dashboard/webhooks/{webhook}/delete", webhooks::delete).needs(Scope(WebhooksWrite)),
        Place::post("/dashboard/webhooks/{webhook}/secret", webhooks::rotate).needs(Scope(WebhooksWrite)),
        Place::post("/dashboard/webhooks/{webhook}/test", webhooks::test).needs(Scope(WebhooksWrite)),
        Place::post("/dashboard/webhooks/{webhook}/replay", webhooks::replay).needs(Scope(WebhooksWrite)),
        Place::get("/dashboard/webhooks/{webhook}/deliveries/{delivery}", webhooks::delivery).needs(Scope(WebhooksRead)),
        Place::post("/dashboard/webhooks/{webhook}/deliveries/{delivery}/replay", webhooks::bring_again).needs(Scope(WebhooksWrite)),
        Place::get("/dashboard/api-keys", api_keys::show).needs(Scope(KeysRead)),
        Place::post("/dashboard/api-keys", api_keys::create).needs(Scope(KeysWrite)),
        Place::post("/dashboard/api-keys/{key}/revoke", api_keys::revoke).needs(Scope(KeysWrite)),
        Place::get("/dashboard/audit", audit::list).needs(Scope(AuditRead)),
        Place::get("/dashboard/audit/export/{form}", audit::export).needs(Scope(AuditRead)),
        Place::get("/dashboard/branding", branding::show).needs(Nothing),
        Place::post("/dashboard/branding", branding::save).needs(Owner),
        Place::post("/dashboard/branding/reset", branding::reset).needs(Owner),
        Place::get("/dashboard/settings", settings::show).needs(Nothing),
        Place::get("/dashboard/members", members::show).needs(Nothing),
        Place::post("/dashboard/members", members::invite).needs(Owner),
        Place::post("/dashboard/members/{member}/role", members::set_role).needs(Owner),
        Place::post("/dashboard/members/{member}/remove", members::remove).needs(Owner),
        Place::get("/dashboard/account", account::show).needs(Nothing),
        Place::post("/dashboard/account/password", account::change_password).needs(Nothing),
        Place::post("/dashboard/account/codes", account::change_codes).needs(Nothing),
        Place::post("/dashboard/account/sessions/{session}/end", account::end).needs(Nothing),
        Place::post("/dashboard/sign-out", account::sign_out).needs(Nothing),
    ];
    own.into_iter().chain(super::directory::in_dashboard()).collect()
}

/// Whoever is signed in. A handler that takes one is never run for anybody else, nor for somebody who
/// may not do it, nor for a form that did not stand on a page of theirs.
pub(crate) struct Dashboard {
    pub(crate) store: ApiStore,
    pub(crate) counter: Arc<Counter>,
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) form: Form,
}

/// What all pages of the dashboard have.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) name: String,
    pub(crate) role: MemberRole,
    /// The first word of the page's address below `/dashboard`.
    pub(crate) section: String,
}

impl SignedIn {
    /// Whether a form shall be shown that does something.
    pub(crate) fn may(&self, scope: ApiScope) -> bool {
        self.role.scopes().allow(scope)
    }

    /// Whether the page is of this part, for the one link that says where the reader is.
    pub(crate) fn is_in(&self, section: &str) -> bool {
        self.section == section
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Dashboard
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Dashboard, Stop> {
        let counter = Arc::<Counter>::from_ref(state);
        let is_looking = matches!(parts.method, Method::GET | Method::HEAD);
        let signed_out = || {
            let path = parts.uri.path_and_query().map_or("", |it| it.as_str());
            // A form is not sent again by signing in.
            Stop::SignedOut(if is_looking { path.to_owned() } else { String::new() })
        };
        let session = session_of(&parts.headers).ok_or_else(signed_out)?;
        let store = counter.access.dashboard(&SecretHash::of(session)).await?;
        let mut store = store.ok_or_else(signed_out)?;
        if let Some(RequestId(id)) = parts.extensions.get() {
            store = store.in_request(*id, caller::client_address(&counter, parts));
        }
        let (member, _) = store.member().ok_or_else(signed_out)?;
        let may = match parts.extensions.get().expect("every page says what it needs") {
            Needs::Scope(scope) => member.role.scopes().allow(*scope),
            Needs::Owner => member.role.manages_members(),
            Needs::Nothing => true,
        };
        if !may {
            return Err(Stop::NotAllowed);
        }
        let form = parts.extensions.remove::<Form>().unwrap_or_default();
        if !is_looking && !form.is_proved_by(session) {
            return Err(Stop::Forged);
        }
        let frame = Frame::new(&counter, session);
        let section = parts.uri.path().split('/').nth(2).unwrap_or_default().to_owned();
        let signed_in = SignedIn { name: member.name.clone(), role: member.role, section };
        Ok(Dashboard { store, counter, frame, signed_in, form })
    }
}

pub(super) fn session_of(headers: &HeaderMap) -> Option<&str> {
    super::cookie(headers, COOKIE)
}

/// Has a browser show this from now on.
fn set_session(counter: &Counter, session: &Secret) -> HeaderValue {
    cookie(counter, session.reveal(), MemberSession::LIFETIME.as_secs())
}

/// Has a browser forget what it shows.
fn forget_session(counter: &Counter) -> HeaderValue {
    cookie(counter, "", 0)
}

fn cookie(counter: &Counter, value: &str, seconds: i64) -> HeaderValue {
    let secure = if counter.settings.is_encrypted() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={value}; Path=/dashboard; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    );
    HeaderValue::try_from(cookie).expect("secrets are plain ASCII")
}

/// What a browser says that it is.
fn browser(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|it| it.to_str().ok()).unwrap_or_default()
}
