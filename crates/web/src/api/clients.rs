//! The OAuth clients of a directory, and their secrets: for providers that ask for access tokens
//! instead of keeping a token.

use axum::Json;
use axum::http::StatusCode;
use directory::secret::{Secret, SecretKind};
use directory::{ClientId, ClientSecret, DirectoryId, OAuthClient, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tokens::lifetime;
use super::{Input, PageOf, Path, Vendor, check_name, id};
use crate::problem::Problem;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClient {
    /// What people call it: `Entra`.
    name: String,
    /// Days for which its first secret is good: 1 to 3,650; 365 where nothing is said.
    #[schema(minimum = 1, maximum = 3650)]
    lifetime_days: Option<i64>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClientSecret {
    /// Days for which it is good: 1 to 3,650; 365 where nothing is said.
    #[schema(minimum = 1, maximum = 3650)]
    lifetime_days: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OAuthClient)]
pub(super) struct ClientView {
    /// The `client_id`.
    id: String,
    directory_id: String,
    name: String,
    created_at: String,
    secrets: Vec<SecretView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClientSecret)]
pub(super) struct SecretView {
    id: String,
    /// By which a person recognises it.
    last_four: String,
    created_at: String,
    expires_at: String,
    /// When an access token was last given for it.
    last_used_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedClient {
    /// The `client_secret`. It is shown here and nowhere else.
    client_secret: String,
    #[serde(flatten)]
    view: ClientView,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedClientSecret {
    /// The `client_secret`. It is shown here and nowhere else.
    client_secret: String,
    #[serde(flatten)]
    view: SecretView,
}

impl From<ClientSecret> for SecretView {
    fn from(secret: ClientSecret) -> SecretView {
        SecretView {
            id: secret.id.to_string(),
            last_four: secret.last_four,
            created_at: scim::datetime::print(secret.created_at),
            expires_at: scim::datetime::print(secret.expires_at),
            last_used_at: secret.last_used_at.map(scim::datetime::print),
        }
    }
}

fn view((client, secrets): (OAuthClient, Vec<ClientSecret>)) -> ClientView {
    ClientView {
        id: client.id.to_string(),
        directory_id: client.directory_id.to_string(),
        name: client.name,
        created_at: scim::datetime::print(client.created_at),
        secrets: secrets.into_iter().map(SecretView::from).collect(),
    }
}

/// `POST /directories/{directory}/oauth-clients`. The answer is the only place where the secret is
/// shown.
pub(super) async fn create(
    vendor: Vendor,
    Path(directory): Path<String>,
    Input(new): Input<NewClient>,
) -> Result<(StatusCode, Json<CreatedClient>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let name = check_name("name", &new.name)?;
    let lifetime = lifetime(new.lifetime_days)?;
    let secret = Secret::new(SecretKind::ClientSecret, (vendor.counter.entropy)());
    let (client, kept) = vendor.store.create_client(directory, name, &secret, lifetime).await?;
    let client_secret = secret.reveal().to_owned();
    let created = CreatedClient { client_secret, view: view((client, vec![kept])) };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /directories/{directory}/oauth-clients`.
pub(super) async fn list(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<PageOf<ClientView>>, Problem> {
    let found = vendor.store.clients(id(&directory, "directory")?).await?;
    Ok(Json(PageOf { data: found.into_iter().map(view).collect(), next: None }))
}

/// `GET /directories/{directory}/oauth-clients/{client}`.
pub(super) async fn get(
    vendor: Vendor,
    Path((directory, client)): Path<(String, String)>,
) -> Result<Json<ClientView>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let client: ClientId = id(&client, "client")?;
    Ok(Json(view(vendor.store.client(directory, client).await?)))
}

/// `DELETE /directories/{directory}/oauth-clients/{client}`, with its secrets and all that was given for
/// them.
pub(super) async fn delete(
    vendor: Vendor,
    Path((directory, client)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let client: ClientId = id(&client, "client")?;
    vendor.store.delete_client(directory, client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /directories/{directory}/oauth-clients/{client}/secrets`: one more. The answer is the only
/// place where it is shown.
pub(super) async fn create_secret(
    vendor: Vendor,
    Path((directory, client)): Path<(String, String)>,
    Input(new): Input<NewClientSecret>,
) -> Result<(StatusCode, Json<CreatedClientSecret>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let client: ClientId = id(&client, "client")?;
    let lifetime = lifetime(new.lifetime_days)?;
    let secret = Secret::new(SecretKind::ClientSecret, (vendor.counter.entropy)());
    let kept = vendor.store.create_client_secret(directory, client, &secret, lifetime).await?;
    let client_secret = secret.reveal().to_owned();
    Ok((StatusCode::CREATED, Json(CreatedClientSecret { client_secret, view: kept.into() })))
}

/// `DELETE /directories/{directory}/oauth-clients/{client}/secrets/{secret}`, with all that was given for
/// it.
pub(super) async fn delete_secret(
    vendor: Vendor,
    Path((directory, client, secret)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let client: ClientId = id(&client, "client")?;
    let secret: TokenId = id(&secret, "secret")?;
    vendor.store.delete_client_secret(directory, client, secret).await?;
    Ok(StatusCode::NO_CONTENT)
}
