//! Carries a message to its endpoint over HTTP, and nowhere that is inside.
//!
//! Where a name leads is asked when the connection is made, and the connection goes to the address
//! that was looked at: a name server that answers otherwise the next time gains nothing. Redirects
//! are not followed, bodies are not unpacked, and of an answer no more is read than is shown.

use std::error::Error as _;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use directory::webhook::{EndpointUrl, Networks};
use jiff::{SignedDuration, Timestamp};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::RETRY_AFTER;
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::message::Message;
use crate::schedule;

/// A future of a trait's.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Bytes of an answer's body that are read, so that the connection can be used again, and of those
/// that are kept.
const BODY_READ_MAX: usize = 64 * 1024;
const BODY_KEPT_MAX: usize = 1_024;

/// For how long a body is read whose status is known.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

/// Characters of the reason why there was no answer.
const REASON_MAX: usize = 300;

/// What came of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status, where there was an answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// How long the endpoint asks to be left alone.
    pub retry_after: Option<SignedDuration>,
    /// The beginning of the body.
    pub body: Option<String>,
}

impl Answer {
    /// Whether the endpoint has taken what it was brought.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Who carries messages.
pub trait Post: Send + Sync {
    /// Carries one; `now` is for reading the answer.
    fn post(&self, message: Message, now: Timestamp) -> Boxed<Answer>;
}

/// Who knows where names lead.
pub trait Names: Send + Sync {
    /// The addresses of a name.
    fn resolve(&self, name: &str) -> Boxed<std::io::Result<Vec<IpAddr>>>;
}

/// The operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

impl Names for SystemNames {
    fn resolve(&self, name: &str) -> Boxed<std::io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|it| it.ip()).collect())
        })
    }
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To find the endpoint and to agree on a connection.
    pub connect: Duration,
    /// Altogether.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect: Duration::from_secs(5), whole: Duration::from_secs(15) }
    }
}

/// Carries messages over HTTP.
#[derive(Clone)]
pub struct Poster {
    encrypted: reqwest::Client,
    plain: reqwest::Client,
    networks: Arc<Networks>,
    patience: Patience,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("networks", &self.networks).finish_non_exhaustive()
    }
}

/// Looks at addresses before they are used.
struct Guard {
    names: Arc<dyn Names>,
    networks: Arc<Networks>,
    is_encrypted: bool,
}

/// A name leads nowhere that something may be brought to.
#[derive(Debug)]
struct Inside;

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REFUSED)
    }
}

impl std::error::Error for Inside {}

/// What is said of an address that is inside. Which it is, is not said.
const REFUSED: &str = "the address is not one of the internet, and `--webhook-allow` of the server \
                       does not name it";

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.names.resolve(name.as_str());
        let (networks, is_encrypted) = (Arc::clone(&self.networks), self.is_encrypted);
        Box::pin(async move {
            let mut found = looking.await?;
            found.retain(|address| networks.allow(*address, is_encrypted));
            if found.is_empty() {
                return Err(Inside.into());
            }
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

impl Poster {
    /// Fails where there can be no TLS at all.
    pub fn new(
        networks: Networks,
        names: &Arc<dyn Names>,
        patience: Patience,
    ) -> Result<Poster, String> {
        let networks = Arc::new(networks);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let build = |is_encrypted: bool| {
            let tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?;
            let tls = if is_encrypted {
                tls.with_platform_verifier().map_err(|error| error.to_string())?
            } else {
                tls.with_root_certificates(rustls::RootCertStore::empty())
            };
            let guard =
                Guard { names: Arc::clone(names), networks: Arc::clone(&networks), is_encrypted };
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.with_no_client_auth())
                .https_only(is_encrypted)
                .redirect(reqwest::redirect::Policy::none())
                // A proxy would look up names by itself.
                .no_proxy()
                .dns_resolver(Arc::new(guard))
                .connect_timeout(patience.connect)
                .pool_max_idle_per_host(8)
                .pool_idle_timeout(Duration::from_secs(20))
                .user_agent(concat!("Roster/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| chain(&error))
        };
        Ok(Poster { encrypted: build(true)?, plain: build(false)?, networks, patience })
    }

    async fn exchange(self, message: Message, now: Timestamp) -> Answer {
        // No name server is asked for an address that stands in the URL itself, so it is looked at here.
        let client = match EndpointUrl::parse(&message.url, &self.networks) {
            Ok(url) if url.is_encrypted() => &self.encrypted,
            Ok(_) => &self.plain,
            Err(bad) => return Answer { error: Some(bad.to_string()), ..Answer::default() },
        };
        let sending = client
            .post(&message.url)
            .header("content-type", "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body)
            .send();
        let answering = async {
            let mut response = sending.await.map_err(|error| chain(&error))?;
            let status = Some(response.status().as_u16());
            let header = response.headers().get(RETRY_AFTER);
            let retry_after = header
                .and_then(|it| it.to_str().ok())
                .and_then(|it| schedule::retry_after(it, now));
            let mut body = Vec::new();
            let reading = async {
                while body.len() < BODY_READ_MAX
                    && let Ok(Some(chunk)) = response.chunk().await
                {
                    body.extend_from_slice(&chunk);
                }
            };
            // What it says does not matter where it is late or breaks off: its status does.
            let _ = tokio::time::timeout(BODY_PATIENCE, reading).await;
            body.truncate(BODY_KEPT_MAX);
            let body = (!body.is_empty()).then(|| legible(&body));
            Ok(Answer { status, error: None, retry_after, body })
        };
        let answer = tokio::time::timeout(self.patience.whole, answering).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(format!("there was no answer within {} seconds", self.patience.whole.as_secs_f32()))
        });
        answer.unwrap_or_else(|error| Answer { error: Some(error), ..Answer::default() })
    }
}

impl Post for Poster {
    fn post(&self, message: Message, now: Timestamp) -> Boxed<Answer> {
        Box::pin(self.clone().exchange(message, now))
    }
}

/// Bytes that anybody may have sent, as text that can be kept and shown.
fn legible(bytes: &[u8]) -> String {
    let shown = |it: char| match it {
        '\n' | '\t' => it,
        it if it.is_control() => char::REPLACEMENT_CHARACTER,
        it => it,
    };
    String::from_utf8_lossy(bytes).chars().map(shown).collect()
}

/// Why there was no answer. The URL, which may hold a secret, is left out.
fn chain(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let text = match texts.as_slice() {
        [] => "the request could not be sent".to_owned(),
        texts => texts.join(": "),
    };
    text.chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_endpoint_answers_can_be_shown() {
        assert_eq!(
            legible(b"no\0 \x1b[31m\xffred\r\n"),
            "no\u{fffd} \u{fffd}[31m\u{fffd}red\u{fffd}\n"
        );
    }
}
