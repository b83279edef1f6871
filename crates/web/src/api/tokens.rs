//! The tokens of a directory: given, exchanged, taken back.

use axum::Json;
use axum::http::StatusCode;
use directory::secret::{Secret, SecretKind};
use directory::{DirectoryId, TokenId, TokenScope};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::TokenSummary;
use utoipa::ToSchema;

use super::{Input, PageOf, PageQuery, Path, Query, Vendor, describe, id, page_of};
use crate::problem::Problem;

/// Days for which a credential is good when nobody says.
const LIFETIME_DAYS_DEFAULT: i64 = 365;
/// Days for which a credential is good at most: one that never ends is never looked at.
const LIFETIME_DAYS_MAX: i64 = 3_650;

/// Hours for which a token that is exchanged stays good when nobody says: an IT admin may be away
/// for a week.
const OVERLAP_HOURS_DEFAULT: i64 = 24 * 7;
/// Hours for which it stays good at most.
const OVERLAP_HOURS_MAX: i64 = 24 * 90;

/// When a token is about to expire, somebody has to make another one.
const EXPIRING: SignedDuration = SignedDuration::from_hours(24 * 30);

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Days for which it is good: 1 to 3,650; 365 where nothing is said.
    #[schema(minimum = 1, maximum = 3650)]
    lifetime_days: Option<i64>,
    /// What it may do: whatever SCIM allows, or look and search.
    #[serde(default)]
    #[schema(schema_with = describe::token_scope, required = false)]
    scope: TokenScope,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// Days for which the new one is good: 1 to 3,650; 365 where nothing is said.
    #[schema(minimum = 1, maximum = 3650)]
    lifetime_days: Option<i64>,
    /// Hours for which the old one stays good: 0 to 2,160; 168 where nothing is said.
    #[schema(minimum = 0, maximum = 2160)]
    overlap_hours: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    id: String,
    /// By which a person recognises it.
    last_four: String,
    #[schema(schema_with = describe::token_scope)]
    scope: TokenScope,
    created_at: String,
    expires_at: String,
    /// `expiring`: it does within 30 days.
    #[schema(schema_with = describe::token_state)]
    state: &'static str,
    /// To the minute.
    last_used_at: Option<String>,
}

impl TokenView {
    fn new(token: TokenSummary, now: Timestamp) -> TokenView {
        let left = token.expires_at.duration_since(now);
        TokenView {
            state: match left {
                left if left <= SignedDuration::ZERO => "expired",
                left if left <= EXPIRING => "expiring",
                _ => "good",
            },
            id: token.id.to_string(),
            last_four: token.last_four,
            scope: token.scope,
            created_at: scim::datetime::print(token.created_at),
            expires_at: scim::datetime::print(token.expires_at),
            last_used_at: token.last_used_at.map(scim::datetime::print),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedToken {
    /// The secret. It is shown here and nowhere else.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

/// `POST /directories/{directory}/tokens`. The answer is the only place where the secret is shown.
pub(super) async fn create(
    vendor: Vendor,
    Path(directory): Path<String>,
    Input(new): Input<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let lifetime = lifetime(new.lifetime_days)?;
    let secret = Secret::new(SecretKind::ScimToken, (vendor.counter.entropy)());
    let token = vendor.store.create_scoped_token(directory, &secret, new.scope, lifetime).await?;
    let view = TokenView::new(token, vendor.counter.access.now());
    let created = CreatedToken { token: secret.reveal().to_owned(), view };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /directories/{directory}/tokens`: all of them, whether or not they are good still.
pub(super) async fn list(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<TokenView>>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let limit = page.limit()?;
    let found = vendor.store.tokens_after(directory, page.after()?, limit + 1).await?;
    let now = vendor.counter.access.now();
    let view = |token| TokenView::new(token, now);
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), view)))
}

/// `GET /directories/{directory}/tokens/{token}`.
pub(super) async fn get(
    vendor: Vendor,
    Path((directory, token)): Path<(String, String)>,
) -> Result<Json<TokenView>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let token = vendor.store.token(directory, id(&token, "token")?).await?;
    Ok(Json(TokenView::new(token, vendor.counter.access.now())))
}

/// `POST /directories/{directory}/tokens/{token}/rotate`: a new one in its place, which may do the same;
/// the old one stays good for a while.
pub(super) async fn rotate(
    vendor: Vendor,
    Path((directory, token)): Path<(String, String)>,
    Input(rotation): Input<Rotation>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let token: TokenId = id(&token, "token")?;
    let lifetime = lifetime(rotation.lifetime_days)?;
    let hours = rotation.overlap_hours.unwrap_or(OVERLAP_HOURS_DEFAULT);
    if !(0..=OVERLAP_HOURS_MAX).contains(&hours) {
        return Err(Problem::invalid(
            format!("`overlap_hours` is {hours}"),
            format!("Choose 0 to {OVERLAP_HOURS_MAX} hours"),
        ));
    }
    let overlap = SignedDuration::from_hours(hours);
    let secret = Secret::new(SecretKind::ScimToken, (vendor.counter.entropy)());
    let token = vendor.store.rotate_token(directory, token, &secret, lifetime, overlap).await?;
    let view = TokenView::new(token, vendor.counter.access.now());
    let created = CreatedToken { token: secret.reveal().to_owned(), view };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `DELETE /directories/{directory}/tokens/{token}`: from now on it opens nothing.
pub(super) async fn revoke(
    vendor: Vendor,
    Path((directory, token)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let token: TokenId = id(&token, "token")?;
    vendor.store.revoke_token(directory, token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For how long a credential is to be good.
pub(crate) fn lifetime(days: Option<i64>) -> Result<SignedDuration, Problem> {
    let days = days.unwrap_or(LIFETIME_DAYS_DEFAULT);
    if !(1..=LIFETIME_DAYS_MAX).contains(&days) {
        return Err(Problem::invalid(
            format!("`lifetime_days` is {days}"),
            format!("Choose 1 to {LIFETIME_DAYS_MAX} days"),
        ));
    }
    Ok(SignedDuration::from_hours(24 * days))
}
