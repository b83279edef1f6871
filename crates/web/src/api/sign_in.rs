//! Whether somebody who signs in to the app may be let in.

use axum::Json;
use directory::{OrganizationId, ResourceId};
use serde::{Deserialize, Serialize};
use store::{SignIn, SignInState, SoughtBy};
use utoipa::{IntoParams, ToSchema};

use super::{Path, Query, Vendor, describe, id};
use crate::problem::Problem;

/// Who. One of these.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInQuery {
    /// Whose `userName` is this one, in any case.
    user_name: Option<String>,
    /// Who has this e-mail address, in any case. Whoever can choose their own address there can choose
    /// somebody else's: a name or an id is better.
    email: Option<String>,
    /// Whose `externalId` is this one.
    external_id: Option<String>,
    /// Whose id is this one.
    id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignIn)]
pub(crate) struct SignInView {
    /// `active`: let them in. `held`: let them in; that they left waits in a hold. `pending`: do not let
    /// them in yet; that they came waits in a hold, or their directory is a shadow. `inactive`: they were
    /// deactivated. `gone`: they were deleted. `unknown`: no directory of the organization knows them.
    #[schema(schema_with = describe::sign_in_state)]
    pub(crate) state: &'static str,
    /// The same in a sentence.
    pub(crate) explanation: String,
    user_id: Option<String>,
    directory_id: Option<String>,
    /// Since when it is so.
    since: Option<String>,
}

impl SignInView {
    pub(crate) fn new(answer: SignIn) -> SignInView {
        let SignIn { state, found, others } = answer;
        let state = match (state, &found) {
            (SignInState::Unknown, _) | (_, None) => "unknown",
            (SignInState::Active, _) => "active",
            (SignInState::Held, _) => "held",
            (SignInState::Pending, _) => "pending",
            (SignInState::Inactive, _) => "inactive",
            (SignInState::Gone, _) => "gone",
        };
        let since = found.as_ref().map(|it| scim::datetime::print(it.since));
        let mut explanation = match (&found, &since) {
            (Some(found), Some(since)) => {
                let name = &found.directory_name;
                match state {
                    "active" => {
                        format!("The person may use the app: active in `{name}` since {since}")
                    }
                    "held" => format!(
                        "The person may use the app until the hold of `{name}` is let out: they left \
                         at {since}"
                    ),
                    "pending" => format!(
                        "The person may not use the app yet: what `{name}` says of them since \
                         {since} waits in a hold, and goes out when that is approved"
                    ),
                    "inactive" => format!(
                        "The person may not use the app: deactivated in `{name}` since {since}"
                    ),
                    _ => {
                        format!("The person may not use the app: deleted from `{name}` at {since}")
                    }
                }
            }
            _ => "No directory of the organization knows the person".to_owned(),
        };
        if others > 0 && matches!(state, "active" | "held") {
            explanation +=
                ". Other directories know the person too; one that lets them in is enough";
        }
        explanation.push('.');
        SignInView {
            state,
            explanation,
            user_id: found.as_ref().map(|it| it.user_id.to_string()),
            directory_id: found.map(|it| it.directory_id.to_string()),
            since,
        }
    }
}

/// `GET /organizations/{organization}/sign-in`.
pub(super) async fn get(
    vendor: Vendor,
    Path(organization): Path<String>,
    Query(query): Query<SignInQuery>,
) -> Result<Json<SignInView>, Problem> {
    let organization: OrganizationId = id(&organization, "organization")?;
    let SignInQuery { user_name, email, external_id, id } = query;
    let by_id = id.map(|id| ResourceId::parse(&id).map(SoughtBy::Id));
    let named = [
        user_name.map(|it| Some(SoughtBy::UserName(it))),
        email.map(|it| Some(SoughtBy::Email(it))),
        external_id.map(|it| Some(SoughtBy::ExternalId(it))),
        by_id,
    ];
    let mut named = named.into_iter().flatten();
    let (Some(by), None) = (named.next(), named.next()) else {
        return Err(Problem::invalid(
            "it has to be said who, in one way",
            "Send one of `user_name`, `email`, `external_id` and `id`",
        ));
    };
    let Some(by) = by else {
        // What is not an id is nobody's; that there is no such organization is said all the same.
        let found = vendor.store.organization(organization).await?;
        found.ok_or_else(|| Problem::not_found("organization"))?;
        let nobody = SignIn { state: SignInState::Unknown, found: None, others: 0 };
        return Ok(Json(SignInView::new(nobody)));
    };
    let found = vendor.store.sign_in(organization, by).await?;
    let found = found.ok_or_else(|| Problem::not_found("organization"))?;
    Ok(Json(SignInView::new(found)))
}
