//! Keys of the management API: made, looked at, taken back.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use directory::secret::{Secret, SecretKind};
use directory::{ApiKey, ApiScopes, OrganizationId, TokenId};
use jiff::Timestamp;

use super::{Dashboard, SignedIn};
use crate::api::check_name;
use crate::api::tokens::lifetime;
use crate::pages::form::Form;
use crate::pages::parts::{Copyable, Frame, Refused, When};
use crate::pages::{Stop, go_to, page_with};
use crate::problem::Problem;

/// Keys that are listed: the latest of as many as the largest vendors have.
const KEYS_MAX: u64 = 10_000;

#[derive(Template)]
#[template(path = "dashboard/api-keys.html")]
pub(crate) struct ApiKeysPage {
    pub(crate) frame: Frame,
    pub(crate) signed_in: SignedIn,
    pub(crate) keys: Vec<Row>,
    /// The one that was just made: it is shown here and nowhere else.
    pub(crate) made: Option<Copyable>,
    pub(crate) refused: Option<Refused>,
    /// What was typed that was not taken.
    pub(crate) name: String,
    pub(crate) organization: String,
    pub(crate) scopes: Vec<Scope>,
}

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) last_four: String,
    pub(crate) scopes: String,
    pub(crate) organization: Option<String>,
    pub(crate) created_at: When,
    pub(crate) last_used_at: Option<When>,
    pub(crate) expires_at: Option<When>,
    pub(crate) has_ended: bool,
}

impl Row {
    fn new(key: ApiKey, now: Timestamp) -> Row {
        Row {
            id: key.id.to_string(),
            last_four: key.last_four,
            scopes: key.scopes.as_names().collect::<Vec<_>>().join(", "),
            organization: key.organization_id.map(|id| id.to_string()),
            created_at: When(key.created_at),
            last_used_at: key.last_used_at.map(When),
            has_ended: key.expires_at.is_some_and(|at| at <= now),
            expires_at: key.expires_at.map(When),
            name: key.name,
        }
    }
}

/// What can be given to a key.
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    pub(crate) is_chosen: bool,
}

impl Scope {
    /// All there are, with those that were chosen.
    pub(crate) fn all(chosen: &[&str]) -> Vec<Scope> {
        let scope = |name| Scope { name, is_chosen: chosen.contains(&name) };
        ApiScopes::names().map(scope).collect()
    }
}

/// `GET /dashboard/api-keys`.
pub(super) async fn show(dashboard: Dashboard) -> Result<Response, Stop> {
    shown(dashboard, None, None).await
}

async fn shown(
    dashboard: Dashboard,
    made: Option<Copyable>,
    refused: Option<Refused>,
) -> Result<Response, Stop> {
    let Dashboard { store, counter, frame, signed_in, form } = dashboard;
    let now = counter.access.now();
    // The latest first.
    let keys = store
        .api_keys(None, KEYS_MAX)
        .await?
        .into_iter()
        .rev()
        .map(|key| Row::new(key, now))
        .collect();
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let typed = |name| if refused.is_some() { form.text(name).to_owned() } else { String::new() };
    let chosen: Vec<_> = form.texts("scope").filter(|_| refused.is_some()).collect();
    let (name, organization, scopes) = (typed("name"), typed("organization"), Scope::all(&chosen));
    let shown = ApiKeysPage { frame, signed_in, keys, made, refused, name, organization, scopes };
    Ok(page_with(status, &shown))
}

/// `POST /dashboard/api-keys`.
pub(super) async fn create(dashboard: Dashboard) -> Result<Response, Stop> {
    let (name, scopes, organization, days) = match read(&dashboard.form) {
        Ok(read) => read,
        Err(problem) => return shown(dashboard, None, Some((&problem).into())).await,
    };
    // Nobody gives away more than they may do themselves.
    if !dashboard.signed_in.role.scopes().include(&scopes) {
        return Err(Stop::NotAllowed);
    }
    let lifetime = days.map(|days| lifetime(Some(days))).transpose()?;
    let secret = Secret::new(SecretKind::ApiKey, (dashboard.counter.entropy)());
    match dashboard.store.create_api_key(name, &secret, scopes, organization, lifetime).await {
        Ok(_) => {
            let made = Copyable::new("api-key", secret.reveal());
            shown(dashboard, Some(made), None).await
        }
        Err(store::Error::Rejected(why)) => {
            let problem = Problem::from(store::Error::Rejected(why));
            shown(dashboard, None, Some((&problem).into())).await
        }
        Err(error) => Err(error.into()),
    }
}

type Read = (String, ApiScopes, Option<OrganizationId>, Option<i64>);

fn read(form: &Form) -> Result<Read, Problem> {
    let name = check_name("name", form.text("name"))?;
    let scopes = ApiScopes::new(form.texts("scope")).map_err(|_| {
        Problem::invalid(
            "no scope is chosen, or one that there is not",
            "Choose what the key may do",
        )
    })?;
    let organization = Some(form.text("organization")).filter(|it| !it.is_empty());
    let organization = organization.map(|text| {
        let wrong = |_| {
            let hint = "Copy the id from the organization's page: it begins with `org-`; leave the field \
                        empty for all organizations";
            Problem::invalid("the organization is not the id of one", hint)
        };
        text.parse::<OrganizationId>().map_err(wrong)
    });
    let days = match form.text("lifetime") {
        "month" => Some(30),
        "year" => Some(365),
        _ => None,
    };
    Ok((name, scopes, organization.transpose()?, days))
}

/// `POST /dashboard/api-keys/{key}/revoke`.
pub(super) async fn revoke(
    dashboard: Dashboard,
    Path(key): Path<String>,
) -> Result<Response, Stop> {
    let key: TokenId = key.parse().map_err(|_| Problem::not_found("API key"))?;
    dashboard.store.revoke_api_key(key).await?;
    Ok(go_to("/dashboard/api-keys"))
}
