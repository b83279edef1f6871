//! Carries requests to a server over HTTP, as Okta's own client does: no redirects, TLS 1.2 or
//! later, and no longer than its timeout.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::wire::{Client, Method, NoAnswer, Request, Response};

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A client for one base URL.
#[derive(Clone, Debug)]
pub struct HttpClient {
    http: reqwest::Client,
    base: String,
}

/// Why there can be no client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The text is no URL.
    Url(String),
    /// The URL is `http`, and not on this machine.
    PlainHttp(String),
    /// The URL has a query or a fragment, or user and password in it.
    UrlParts(String),
    /// TLS could not be set up.
    Tls(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(url) => write!(
                f,
                "`{url}` is not a URL. hint: give the base URL as it is typed into Okta, for \
                 example `https://scim.example.com/scim/v2`"
            ),
            Error::PlainHttp(url) => write!(
                f,
                "`{url}` is not https, and Okta does not connect to it. hint: plain http is \
                 possible here for `localhost` only"
            ),
            Error::UrlParts(url) => write!(
                f,
                "the base URL `{url}` has a query, a fragment, or a user name in it, and paths are \
                 appended to it. hint: leave them out"
            ),
            Error::Tls(reason) => write!(f, "TLS could not be set up: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl HttpClient {
    /// A client for this base URL: https, or http on this machine.
    pub fn new(base_url: &str, timeout: Duration) -> Result<HttpClient, Error> {
        let url = reqwest::Url::parse(base_url).map_err(|_| Error::Url(base_url.to_owned()))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(Error::PlainHttp(base_url.to_owned())),
            _ => return Err(Error::Url(base_url.to_owned())),
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(Error::UrlParts(base_url.to_owned()));
        }
        HttpClient::to(&url, is_loopback(&url), base_url, timeout)
    }

    /// A client for a server that runs in the same process: it is reached where it listens, whatever
    /// address that is, without a proxy and without encryption.
    pub fn of_this_process(
        address: std::net::SocketAddr,
        path: &str,
        timeout: Duration,
    ) -> Result<HttpClient, Error> {
        let base_url = format!("http://{address}{path}");
        let url = reqwest::Url::parse(&base_url).map_err(|_| Error::Url(base_url.clone()))?;
        // What a parser makes of dots leads elsewhere.
        if url.path() != path || url.query().is_some() || url.fragment().is_some() {
            return Err(Error::UrlParts(base_url));
        }
        HttpClient::to(&url, true, &base_url, timeout)
    }

    fn to(
        url: &reqwest::Url,
        is_here: bool,
        base_url: &str,
        timeout: Duration,
    ) -> Result<HttpClient, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?;
        let tls = if url.scheme() == "https" {
            tls.with_platform_verifier().map_err(|error| Error::Tls(error.to_string()))?
        } else {
            // A machine without certificates can still be tested on itself.
            tls.with_root_certificates(rustls::RootCertStore::empty())
        };
        let tls = tls.with_no_client_auth();
        let builder = reqwest::Client::builder();
        // A proxy of the environment is for others; this machine is reached directly.
        let builder = if is_here { builder.no_proxy() } else { builder };
        let http = builder
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()
            .map_err(|error| Error::Tls(chain(&error)))?;
        Ok(HttpClient { http, base: base_url.trim_end_matches('/').to_owned() })
    }

    async fn exchange(&self, request: &Request) -> Result<Response, NoAnswer> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let url = format!("{}{}", self.base, request.path_and_query);
        let mut builder = self.http.request(method, url);
        for (name, value) in &request.headers {
            // This client does not unpack, so it does not ask for packed bodies.
            if !name.eq_ignore_ascii_case("accept-encoding") {
                builder = builder.header(name, value);
            }
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        let started = Instant::now();
        let mut response = builder.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(&error))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                let reason = format!("the body is longer than {BODY_BYTES_MAX} bytes");
                return Err(NoAnswer::Connection(reason));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body, elapsed: started.elapsed() })
    }
}

impl Client for HttpClient {
    async fn send(&mut self, request: &Request) -> Result<Response, NoAnswer> {
        self.exchange(request).await
    }

    async fn wait(&mut self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}

/// Whether a URL stays on this machine.
fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    if error.is_timeout() { NoAnswer::Timeout } else { NoAnswer::Connection(chain(error)) }
}

/// The error with its causes; the URL, which may hold a token, is left out.
fn chain(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    if texts.is_empty() { "the request could not be sent".to_owned() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_the_same_process_is_reached_where_it_listens_and_at_no_other_path() {
        let address = "192.0.2.7:8484".parse().unwrap();
        let client = |path: &str| {
            HttpClient::of_this_process(address, path, Duration::from_secs(1)).map(|it| it.base)
        };
        assert_eq!(client("/scim/v2").as_deref(), Ok("http://192.0.2.7:8484/scim/v2"));
        for path in ["/scim/../api", "/scim/v2?a=b", "/scim#a", "/scim/%2e%2e/api", "@b/scim"] {
            assert!(client(path).is_err(), "{path}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let check = |url: &str, expected: Result<(), Error>| {
            let client = HttpClient::new(url, Duration::from_secs(1));
            assert_eq!(client.map(|_| ()), expected, "{url}");
        };
        check("https://scim.example.com/scim/v2", Ok(()));
        check("http://localhost:8080/scim/v2/", Ok(()));
        check("http://127.0.0.1:8080", Ok(()));
        check("http://[::1]:8080", Ok(()));
        for url in ["http://example.com", "http://localhost.example.com", "http://10.0.0.1"] {
            check(url, Err(Error::PlainHttp(url.to_owned())));
        }
        for url in ["", "scim", "ftp://localhost", "https://"] {
            check(url, Err(Error::Url(url.to_owned())));
        }
        for url in
            ["https://example.com/?a=b", "https://example.com/#a", "https://u:p@example.com/"]
        {
            check(url, Err(Error::UrlParts(url.to_owned())));
        }
    }
}
