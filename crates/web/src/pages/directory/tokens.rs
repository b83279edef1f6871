//! The tokens of a connection: made, exchanged without a request that fails, taken back.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use directory::secret::{Secret, SecretKind};
use directory::{ClientId, ClientSecret, OAuthClient, TokenId};
use jiff::{SignedDuration, Timestamp};
use store::TokenSummary;

use super::connection::Connection;
use super::live::Live;
use crate::api::check_name;
use crate::api::tokens::lifetime;
use crate::pages::parts::{Copyable, Frame, When};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page};
use crate::problem::Problem;

/// How long before its end a token is said to end soon.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 30);

#[derive(Template)]
#[template(path = "directory/tokens.html")]
pub(crate) struct TokensPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    /// The latest first.
    pub(crate) tokens: Vec<Row>,
    /// The one that was just made: it is shown here and nowhere else.
    pub(crate) made: Option<Made>,
    /// Clients of OAuth, for members alone.
    pub(crate) clients: Option<Clients>,
}

/// Clients of OAuth, for providers that ask for access tokens.
pub(crate) struct Clients {
    /// Where those are given.
    pub(crate) token_url: Copyable,
    pub(crate) all: Vec<ClientRow>,
    /// The id and the secret that were just made: the secret is shown here and nowhere else.
    pub(crate) made: Option<(Copyable, Copyable)>,
}

pub(crate) struct ClientRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: When,
    pub(crate) secrets: Vec<SecretRow>,
}

pub(crate) struct SecretRow {
    pub(crate) id: String,
    pub(crate) last_four: String,
    pub(crate) expires_at: When,
    pub(crate) last_used_at: Option<When>,
    pub(crate) is_good: bool,
}

impl ClientRow {
    fn new((client, secrets): (OAuthClient, Vec<ClientSecret>), now: Timestamp) -> ClientRow {
        let row = |secret: ClientSecret| SecretRow {
            id: secret.id.to_string(),
            is_good: secret.expires_at > now,
            last_four: secret.last_four,
            expires_at: When(secret.expires_at),
            last_used_at: secret.last_used_at.map(When),
        };
        ClientRow {
            id: client.id.to_string(),
            name: client.name,
            created_at: When(client.created_at),
            secrets: secrets.into_iter().map(row).collect(),
        }
    }
}

/// What was just made, to be shown once.
#[derive(Default)]
struct New {
    token: Option<Made>,
    client: Option<(Copyable, Copyable)>,
}

pub(crate) struct Made {
    pub(crate) token: Copyable,
    /// How the one ends that it takes the place of, and until when that is good.
    pub(crate) instead_of: Option<(String, When)>,
}

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) last_four: String,
    pub(crate) created_at: When,
    pub(crate) expires_at: When,
    pub(crate) last_used_at: Option<When>,
    pub(crate) standing: Standing,
}

/// What is to be said of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The provider uses it.
    InUse,
    /// Nobody has used it yet.
    Unused,
    /// It ends within weeks.
    EndsSoon,
    /// A later one was used after it: nobody seems to need it any more.
    Superseded,
    Ended,
}

impl Row {
    /// In the order of their creation.
    fn all(tokens: &[TokenSummary], now: Timestamp) -> Vec<Row> {
        let later_use = |index: usize| {
            let later = tokens[index + 1..].iter().filter(|it| it.expires_at > now);
            later.filter_map(|it| it.last_used_at).max()
        };
        let standing = |index: usize, token: &TokenSummary| {
            if token.expires_at <= now {
                return Standing::Ended;
            }
            let Some(used) = token.last_used_at else { return Standing::Unused };
            if later_use(index).is_some_and(|later| later > used) {
                return Standing::Superseded;
            }
            if token.expires_at.duration_since(now) <= SOON {
                return Standing::EndsSoon;
            }
            Standing::InUse
        };
        let row = |(index, token): (usize, &TokenSummary)| Row {
            id: token.id.to_string(),
            last_four: token.last_four.clone(),
            created_at: When(token.created_at),
            expires_at: When(token.expires_at),
            last_used_at: token.last_used_at.map(When),
            standing: standing(index, token),
        };
        tokens.iter().enumerate().map(row).collect()
    }
}

impl TokensPage {
    /// Whether one token alone opens the directory.
    pub(crate) fn has_one(&self) -> bool {
        self.tokens.iter().filter(|it| it.standing != Standing::Ended).count() == 1
    }
}

/// `GET …/tokens`.
pub(super) async fn list(visitor: Visitor) -> Result<Response, Stop> {
    shown(visitor, New::default()).await
}

async fn shown(visitor: Visitor, made: New) -> Result<Response, Stop> {
    let found = visitor.store.tokens(visitor.connection.id).await?;
    let mut tokens = Row::all(&found, visitor.counter.access.now());
    tokens.reverse();
    let live = Live::of_one(&visitor.connection, "/tokens");
    let clients = if visitor.reader.is_member() {
        let found = visitor.store.clients(visitor.connection.id).await?.into_iter();
        let now = visitor.counter.access.now();
        let token_url = visitor.counter.settings.oauth_token_url();
        let token_url = Copyable::new("token-url", token_url);
        let all = found.map(|it| ClientRow::new(it, now)).collect();
        Some(Clients { token_url, all, made: made.client })
    } else {
        None
    };
    let Visitor { frame, reader, connection, .. } = visitor;
    let made = made.token;
    Ok(page(&TokensPage { frame, reader, connection, live, tokens, made, clients }))
}

/// `POST …/tokens`.
pub(super) async fn create(visitor: Visitor) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let secret = Secret::new(SecretKind::ScimToken, (visitor.counter.entropy)());
    visitor.store.create_token(connection.id, &secret, lifetime(None)?).await?;
    let made = Made { token: Copyable::new("token", secret.reveal()), instead_of: None };
    shown(visitor, New { token: Some(made), ..New::default() }).await
}

/// `POST …/tokens/{token}/rotate`: a new one in its place; the old one
/// stays good until the new one is entered.
pub(super) async fn rotate(
    visitor: Visitor,
    Path((_, _, token)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let id: TokenId = token.parse().map_err(|_| unknown())?;
    let days = match visitor.form.text("overlap") {
        "day" => 1,
        "month" => 30,
        _ => 7,
    };
    let overlap = SignedDuration::from_hours(24 * days);
    let secret = Secret::new(SecretKind::ScimToken, (visitor.counter.entropy)());
    let store = &visitor.store;
    store.rotate_token(connection.id, id, &secret, lifetime(None)?, overlap).await?;
    let old = store.tokens(connection.id).await?.into_iter().find(|it| it.id == id);
    let made = Made {
        token: Copyable::new("token", secret.reveal()),
        instead_of: old.map(|it| (it.last_four, When(it.expires_at))),
    };
    shown(visitor, New { token: Some(made), ..New::default() }).await
}

/// `POST …/tokens/{token}/revoke`.
pub(super) async fn revoke(
    visitor: Visitor,
    Path((_, _, token)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let id: TokenId = token.parse().map_err(|_| unknown())?;
    visitor.store.revoke_token(connection.id, id).await?;
    Ok(go_to(&format!("{}/tokens", connection.address)))
}

/// `POST …/clients`: a client of OAuth, with its first secret.
pub(super) async fn create_client(visitor: Visitor) -> Result<Response, Stop> {
    let name = check_name("name", visitor.form.text("name"))?;
    let secret = Secret::new(SecretKind::ClientSecret, (visitor.counter.entropy)());
    let of = visitor.connection.id;
    let (client, _) = visitor.store.create_client(of, name, &secret, lifetime(None)?).await?;
    once(visitor, client.id, &secret).await
}

/// `POST …/clients/{client}/secrets`: one more, so that it can be exchanged.
pub(super) async fn create_secret(
    visitor: Visitor,
    Path((_, _, client)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let client = client_id(&client)?;
    let secret = Secret::new(SecretKind::ClientSecret, (visitor.counter.entropy)());
    let of = visitor.connection.id;
    visitor.store.create_client_secret(of, client, &secret, lifetime(None)?).await?;
    once(visitor, client, &secret).await
}

async fn once(visitor: Visitor, id: ClientId, secret: &Secret) -> Result<Response, Stop> {
    let id = Copyable::new("client-id", id.to_string());
    let secret = Copyable::new("client-secret", secret.reveal());
    shown(visitor, New { client: Some((id, secret)), ..New::default() }).await
}

/// `POST …/clients/{client}/delete`: it, its secrets, and what was given for them.
pub(super) async fn delete_client(
    visitor: Visitor,
    Path((_, _, client)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    visitor.store.delete_client(visitor.connection.id, client_id(&client)?).await?;
    Ok(go_to(&format!("{}/tokens#clients", visitor.connection.address)))
}

/// `POST …/clients/{client}/secrets/{secret}/delete`.
pub(super) async fn delete_secret(
    visitor: Visitor,
    Path((_, _, client, secret)): Path<(String, String, String, String)>,
) -> Result<Response, Stop> {
    let secret: TokenId = secret.parse().map_err(|_| Problem::not_found("secret"))?;
    let (of, client) = (visitor.connection.id, client_id(&client)?);
    visitor.store.delete_client_secret(of, client, secret).await?;
    Ok(go_to(&format!("{}/tokens#clients", visitor.connection.address)))
}

fn client_id(text: &str) -> Result<ClientId, Stop> {
    text.parse().map_err(|_| Problem::not_found("client").into())
}

fn unknown() -> Stop {
    Problem::not_found("token").into()
}

#[cfg(test)]
mod tests {
    use directory::TokenScope;

    use super::*;

    #[test]
    fn a_token_is_not_needed_when_a_later_one_is_used() {
        use Standing::{Ended, EndsSoon, InUse, Superseded, Unused};

        let now: Timestamp = "2026-11-22T16:00:00Z".parse().unwrap();
        let token = |expires_in_days: i64, used_hours_ago: Option<i64>| TokenSummary {
            id: "tok-01kc2x4n0s0000000000000001".parse().unwrap(),
            last_four: "4f2a".to_owned(),
            scope: TokenScope::ReadWrite,
            created_at: now - SignedDuration::from_hours(1_000),
            expires_at: now + SignedDuration::from_hours(24 * expires_in_days),
            last_used_at: used_hours_ago.map(|it| now - SignedDuration::from_hours(it)),
        };
        let check = |tokens: Vec<TokenSummary>, expected: &[Standing]| {
            let standings: Vec<_> = Row::all(&tokens, now).iter().map(|it| it.standing).collect();
            assert_eq!(standings, expected);
        };
        check(vec![token(300, Some(1))], &[InUse]);
        check(vec![token(20, Some(1))], &[EndsSoon]);
        check(vec![token(0, Some(1))], &[Ended]);
        // The new one waits to be entered, and then takes over.
        check(vec![token(6, Some(1)), token(365, None)], &[EndsSoon, Unused]);
        check(vec![token(6, Some(2)), token(365, Some(1))], &[Superseded, InUse]);
        // The old one is used after all, by another app perhaps.
        check(vec![token(6, Some(1)), token(365, Some(2))], &[EndsSoon, InUse]);
        // One that has ended takes nobody's place.
        check(vec![token(300, Some(2)), token(0, Some(1))], &[InUse, Ended]);
    }
}
