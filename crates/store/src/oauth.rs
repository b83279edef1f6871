//! Clients of OAuth: who may have access tokens of a directory (RFC 6749 §4.4).
//!
//! An access token is kept as a hash beside the other tokens, and found as they are, instead of being
//! signed: whoever takes a secret back takes back what was given for it, at once.

use directory::secret::{Secret, SecretHash};
use directory::{
    Cause, ClientId, ClientSecret, DirectoryId, OAuthClient, Rejection, Settings, TokenId,
};
use jiff::{SignedDuration, Timestamp};

use crate::access::{Access, ApiStore, after};
use crate::administration::{Administration, ClientAct, NewAccessToken};
use crate::error::Error;
use crate::rows;
use crate::session::{Row, Session, Value, finish};
use crate::writer::Act;

/// An access token that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Of which directory.
    pub directory_id: DirectoryId,
    /// For how long it is good.
    pub lifetime: SignedDuration,
}

/// Why none was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGiven {
    /// No client has the secret.
    Unknown,
    /// A client had it until then.
    Expired(Timestamp),
}

/// What is found by a secret.
struct Found {
    secret_id: TokenId,
    client_id: ClientId,
    expires_at: Timestamp,
    directory_id: DirectoryId,
    settings: Settings,
}

impl Access {
    /// Gives an access token to whoever has a client's id and one of its secrets.
    pub async fn give_access_token(
        &self,
        client_id: &str,
        presented: &SecretHash,
        access: &Secret,
    ) -> Result<Result<Given, NotGiven>, Error> {
        let hash = presented.clone();
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for a client's secret",
                "select s.secret_id, s.client_id, s.expires_at, d.directory_id, d.settings
                 from oauth_secrets s join oauth_clients c on c.client_id = s.client_id
                     join directories d on d.directory_id = c.directory_id
                 where s.hash = $1 and d.deleted_at is null",
                &[Value::Text(hash.as_str())],
                |row| {
                    Ok(Found {
                        secret_id: row.parsed(0)?,
                        client_id: row.parsed(1)?,
                        expires_at: row.time(2)?,
                        directory_id: row.parsed(3)?,
                        settings: rows::settings(&row.text(4)?)?,
                    })
                },
            ))
        };
        let inner = self.inner();
        let found = inner.readers.read_credential(read).await?;
        let Some(found) = found.filter(|found| found.client_id.to_string() == client_id) else {
            return Ok(Err(NotGiven::Unknown));
        };
        let now = crate::to_the_microsecond(self.now());
        if found.expires_at <= now {
            self.note_contact(found.directory_id, 401, false);
            return Ok(Err(NotGiven::Expired(found.expires_at)));
        }
        let lifetime = SignedDuration::from_mins(found.settings.access_token_minutes.into());
        let new = NewAccessToken {
            id: TokenId::new(inner.environment.ids.as_ref()),
            directory_id: found.directory_id,
            secret_id: found.secret_id,
            hash: access.hash(),
            last_four: access.last_four().to_owned(),
            created_at: now,
            expires_at: after(now, lifetime)?,
        };
        let give = Act::Administer(Administration::GiveAccessToken(new), Cause::server().into());
        if inner.writer.act(give).await? == 0 {
            return Ok(Err(NotGiven::Unknown));
        }
        Ok(Ok(Given { directory_id: found.directory_id, lifetime }))
    }
}

impl ApiStore {
    /// Keeps a new client of a directory, with its first secret.
    pub async fn create_client(
        &self,
        directory_id: DirectoryId,
        name: String,
        secret: &Secret,
        lifetime: SignedDuration,
    ) -> Result<(OAuthClient, ClientSecret), Error> {
        self.find(directory_id).await?;
        let client = OAuthClient {
            id: ClientId::new(self.0.environment.ids.as_ref()),
            directory_id,
            name,
            created_at: self.now(),
        };
        let secret = self.new_client_secret(client.id, secret, lifetime)?;
        let create = ClientAct::Create(client.clone(), secret.clone());
        self.administer(Administration::Client(directory_id, create)).await?;
        Ok((client, secret))
    }

    /// The clients of a directory in the order of their creation, each with its secrets in theirs.
    pub async fn clients(
        &self,
        directory_id: DirectoryId,
    ) -> Result<Vec<(OAuthClient, Vec<ClientSecret>)>, Error> {
        self.find(directory_id).await?;
        let read = move |session: &mut Session| {
            finish(async {
                session.begin_reading()?;
                let id = directory_id.to_string();
                let clients = session
                    .all(
                        "loading clients",
                        "select client_id, directory_id, name, created_at from oauth_clients
                         where directory_id = $1 order by client_id",
                        &[Value::Text(&id)],
                        client,
                    )
                    .await?;
                let mut found = Vec::new();
                for client in clients {
                    let secrets = session
                        .all(
                            "loading secrets",
                            "select secret_id, client_id, last_four, created_at, expires_at,
                                    last_used_at
                             from oauth_secrets where client_id = $1 order by secret_id",
                            &[Value::Text(&client.id.to_string())],
                            client_secret,
                        )
                        .await?;
                    found.push((client, secrets));
                }
                session.roll_back().await?;
                Ok(found)
            })
        };
        self.0.readers.read(read).await
    }

    /// A client by id.
    pub async fn client(
        &self,
        directory_id: DirectoryId,
        id: ClientId,
    ) -> Result<(OAuthClient, Vec<ClientSecret>), Error> {
        let found = self.clients(directory_id).await?.into_iter().find(|(it, _)| it.id == id);
        found.ok_or(Error::Rejected(Rejection::UnknownClient(id)))
    }

    /// Takes back a client, its secrets, and what was given for them.
    pub async fn delete_client(&self, of: DirectoryId, id: ClientId) -> Result<(), Error> {
        self.find(of).await?;
        self.administer(Administration::Client(of, ClientAct::Delete(id))).await?;
        self.0.forget_tokens_of(of);
        Ok(())
    }

    /// Keeps one more secret of a client.
    pub async fn create_client_secret(
        &self,
        directory_id: DirectoryId,
        client_id: ClientId,
        secret: &Secret,
        lifetime: SignedDuration,
    ) -> Result<ClientSecret, Error> {
        self.find(directory_id).await?;
        let secret = self.new_client_secret(client_id, secret, lifetime)?;
        let add = ClientAct::AddSecret(secret.clone());
        self.administer(Administration::Client(directory_id, add)).await?;
        Ok(secret)
    }

    /// Takes a secret back, and what was given for it.
    pub async fn delete_client_secret(
        &self,
        directory_id: DirectoryId,
        client_id: ClientId,
        id: TokenId,
    ) -> Result<(), Error> {
        self.find(directory_id).await?;
        let delete = ClientAct::DeleteSecret(client_id, id);
        self.administer(Administration::Client(directory_id, delete)).await?;
        self.0.forget_tokens_of(directory_id);
        Ok(())
    }

    fn new_client_secret(
        &self,
        client_id: ClientId,
        secret: &Secret,
        lifetime: SignedDuration,
    ) -> Result<ClientSecret, Error> {
        let created_at = self.now();
        Ok(ClientSecret {
            id: TokenId::new(self.0.environment.ids.as_ref()),
            client_id,
            hash: secret.hash(),
            last_four: secret.last_four().to_owned(),
            created_at,
            expires_at: after(created_at, lifetime)?,
            last_used_at: None,
        })
    }
}

pub(crate) fn client(row: &Row<'_>) -> Result<OAuthClient, Error> {
    Ok(OAuthClient {
        id: row.parsed(0)?,
        directory_id: row.parsed(1)?,
        name: row.text(2)?,
        created_at: row.time(3)?,
    })
}

pub(crate) fn client_secret(row: &Row<'_>) -> Result<ClientSecret, Error> {
    Ok(ClientSecret {
        id: row.parsed(0)?,
        client_id: row.parsed(1)?,
        // What was kept is not told.
        hash: SecretHash::kept(String::new()),
        last_four: row.text(2)?,
        created_at: row.time(3)?,
        expires_at: row.time(4)?,
        last_used_at: row.optional_time(5)?,
    })
}
