//! The provider by which members of the team may sign in: OpenID Connect, by the authorization code with
//! PKCE.
//!
//! Nothing is remembered of somebody who was sent there but in their browser, which shows when it is back
//! what only it was given: state, nonce and the proof of the code are all made of that. So any node goes
//! on with what another has begun, and nobody goes on with what another browser has begun.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use directory::secret::{Entropy, SecretHash, hex};
use directory::{Domain, MemberRole, ProvedPerson, as_email, as_name};
use jiff::Timestamp;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdTokenClaims,
    CoreJwsSigningAlgorithm as Alg, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, TokenResponse as _, UserInfoError,
};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Where somebody comes back to, whom the provider has looked at.
pub(crate) const CALLBACK: &str = "/dashboard/sign-in/oidc/callback";

/// How its tokens may be signed: by keys that the provider publishes. Not by the client's secret, which
/// others know, and not by nobody.
const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];

/// For how long it is not asked again where it is and which keys it has. A key that nobody knows has it
/// asked at once.
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// For how long somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds by which clocks may differ.
const CLOCKS_DIFFER: i64 = 60;

/// Bytes of an answer of its. The largest lists of keys have some dozens of KiB.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a subject (OpenID Connect Core §2).
const SUBJECT_MAX: usize = 255;

/// The provider, as the operator says.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInProvider {
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    name: String,
    domains: Vec<Domain>,
    joins_as: Option<MemberRole>,
    trusts_addresses: bool,
}

/// A provider that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignInProvider {
    /// The issuer is no address.
    #[error(
        "the issuer `{0}` is not usable: write it as the provider does, such as `https://login.example.com/oauth2/default`; without encryption it may only be on this machine"
    )]
    Issuer(String),
    /// There is no client id.
    #[error("the client id is empty: write the one that the provider gave to Roster")]
    ClientId,
    /// There is no secret.
    #[error(
        "the client secret is empty: leave it out where the provider gave none, or write the one that it gave"
    )]
    ClientSecret,
    /// The name is none.
    #[error("the provider cannot be called `{0}`: write a name of 1 to 200 characters")]
    Name(String),
    /// Whoever has an account would do everything.
    #[error(
        "nobody joins by themselves as an owner: say `developer` or `support`, and invite owners"
    )]
    JoinsAsOwner,
    /// Whoever has an account anywhere could join.
    #[error(
        "nobody joins by themselves from just anywhere: say whose addresses are let in with `--oidc-allowed-domains`"
    )]
    JoinsFromAnywhere,
}

impl SignInProvider {
    /// `name` is what it is called on the button: the host of the issuer, where nobody says.
    pub fn new(
        issuer: &str,
        client_id: &str,
        client_secret: Option<String>,
        name: Option<&str>,
    ) -> Result<SignInProvider, BadSignInProvider> {
        let bad = || BadSignInProvider::Issuer(issuer.to_owned());
        let parsed = IssuerUrl::new(issuer.to_owned()).map_err(|_| bad())?;
        let url = parsed.url();
        let host = url.host_str().filter(|it| !it.is_empty()).ok_or_else(bad)?;
        let is_here = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|it| it.is_loopback());
        let is_usable = url.scheme() == "https" || url.scheme() == "http" && is_here;
        let is_plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_usable || !is_plain {
            return Err(bad());
        }
        if client_id.is_empty() {
            return Err(BadSignInProvider::ClientId);
        }
        if client_secret.as_deref().is_some_and(str::is_empty) {
            return Err(BadSignInProvider::ClientSecret);
        }
        let name = name.unwrap_or(host);
        let name = as_name(name).ok_or_else(|| BadSignInProvider::Name(name.to_owned()))?;
        Ok(SignInProvider {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret,
            name: name.to_owned(),
            domains: Vec::new(),
            joins_as: None,
            trusts_addresses: false,
        })
    }

    /// Lets only those in whose address is in one of these domains, where there are any; and has those
    /// become members whom nobody has invited, where it is said as what.
    pub fn admitting(
        self,
        domains: Vec<Domain>,
        joins_as: Option<MemberRole>,
    ) -> Result<SignInProvider, BadSignInProvider> {
        match joins_as {
            Some(MemberRole::Owner) => Err(BadSignInProvider::JoinsAsOwner),
            Some(_) if domains.is_empty() => Err(BadSignInProvider::JoinsFromAnywhere),
            _ => Ok(SignInProvider { domains, joins_as, ..self }),
        }
    }

    /// Has addresses believed of which the provider says nothing: neither that they are verified, nor
    /// that they are not.
    #[must_use]
    pub fn trusting_addresses(self, trusts_addresses: bool) -> SignInProvider {
        SignInProvider { trusts_addresses, ..self }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// As what somebody joins whom nobody has invited.
    pub(crate) fn joins_as(&self) -> Option<MemberRole> {
        self.joins_as
    }

    /// Whether somebody with this address is let in.
    pub(crate) fn admits(&self, email: Option<&str>) -> bool {
        let domain = || Domain::any(email?.rsplit_once('@')?.1);
        self.domains.is_empty() || domain().is_some_and(|it| self.domains.contains(&it))
    }
}

/// Without the secret.
impl fmt::Debug for SignInProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInProvider").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Somebody who was sent to the provider, as their browser shows it.
#[derive(Clone)]
pub(crate) struct Journey(String);

impl Journey {
    pub(crate) fn begin(chance: Entropy) -> Journey {
        Journey(hex(&chance))
    }

    /// As a browser shows it; nothing, where it shows something else.
    pub(crate) fn read(text: &str) -> Option<Journey> {
        let is_ours = text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
        is_ours.then(|| Journey(text.to_owned()))
    }

    /// For the browser to keep.
    pub(crate) fn kept(&self) -> &str {
        &self.0
    }

    /// Whether this is what the provider was given with it.
    pub(crate) fn has_state(&self, state: &str) -> bool {
        // Both are hashes: how long a comparison takes says nothing of what is kept.
        SecretHash::of(state) == SecretHash::of(&self.made("state"))
    }

    /// Of one the others cannot be found, nor what the browser keeps.
    fn made(&self, what: &str) -> String {
        SecretHash::of(&format!("{what} of {}", self.0)).as_str().to_owned()
    }

    fn nonce(&self) -> Nonce {
        Nonce::new(self.made("nonce"))
    }

    fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.made("verifier"))
    }
}

/// What the provider says of somebody.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) person: ProvedPerson,
    /// Their address, where the provider does not say that it is verified.
    pub(crate) unverified: Option<String>,
}

/// Why somebody whom the provider has sent is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unproved {
    /// The provider cannot be reached, or is none.
    Unreachable,
    /// It does not take us, or them, with this code.
    Refused(String),
    /// What it says is not to be believed.
    Untrusted,
}

/// The provider, and how it is asked.
pub(crate) struct Oidc {
    pub(crate) provider: Arc<SignInProvider>,
    redirect: RedirectUrl,
    http: Result<reqwest::Client, String>,
    known: RwLock<Option<Known>>,
}

/// Where it is and which keys it has.
struct Known {
    metadata: Arc<CoreProviderMetadata>,
    since: Instant,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A request to it that had no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("there can be no TLS: {0}")]
    NoTls(String),
    #[error("the request failed: {0}")]
    Failed(String),
    #[error("there was no answer within {} seconds", PATIENCE.as_secs())]
    Late,
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

impl Oidc {
    pub(crate) fn new(provider: Arc<SignInProvider>, public_url: &str) -> Oidc {
        let redirect = RedirectUrl::new(format!("{public_url}{CALLBACK}"));
        Oidc {
            http: client(provider.issuer.starts_with("https:")),
            redirect: redirect.expect("the public URL was checked"),
            provider,
            known: RwLock::default(),
        }
    }

    /// Where somebody is sent to.
    pub(crate) async fn address(&self, journey: &Journey) -> Result<String, Unproved> {
        let client = self.client(self.metadata(false).await?.as_ref());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&journey.verifier());
        let (state, nonce) = (CsrfToken::new(journey.made("state")), journey.nonce());
        let asking = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || state.clone(),
            move || nonce.clone(),
        );
        let asking = ["email", "profile"]
            .into_iter()
            .fold(asking, |asking, scope| asking.add_scope(Scope::new(scope.to_owned())));
        let (url, ..) = asking.set_pkce_challenge(challenge).url();
        Ok(url.into())
    }

    /// Whether somebody who comes back says to come from this provider, where they say from which
    /// (RFC 9207).
    pub(crate) fn is_issuer(&self, said: &str) -> bool {
        said.is_empty() || said == self.provider.issuer
    }

    /// Who it is that has come back with this code.
    pub(crate) async fn who(
        &self,
        code: &str,
        journey: &Journey,
        now: Timestamp,
    ) -> Result<Proved, Unproved> {
        let client = self.client(self.metadata(false).await?.as_ref());
        let carry = |request| carry(self.http.clone(), request);
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let exchange = exchange.map_err(|_| out_of_reach("it has no token endpoint"))?;
        let answer = exchange.set_pkce_verifier(journey.verifier()).request_async(&carry).await;
        let answer = answer.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => refused(said.error().as_ref()),
            RequestTokenError::Request(no_answer) => out_of_reach(&no_answer.to_string()),
            // What it is about may be somebody's: only where it stands is said.
            RequestTokenError::Parse(error, _) => {
                untrusted(&format!("the answer of its token endpoint at `{}`", error.path()))
            }
            RequestTokenError::Other(_) => untrusted("the answer of its token endpoint"),
        })?;
        let token = answer.id_token().ok_or_else(|| untrusted("there is no ID token"))?;
        let verified = |client: &Client| {
            let moment = now.checked_sub(jiff::SignedDuration::from_secs(CLOCKS_DIFFER));
            let moment = SystemTime::from(moment.unwrap_or(now));
            let verifier = client
                .id_token_verifier()
                .set_allowed_algs(ALGORITHMS)
                .set_time_fn(move || moment.into());
            token.claims(&verifier, &journey.nonce()).cloned()
        };
        let claims: CoreIdTokenClaims = match verified(&client) {
            // It may have another key since.
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                verified(&self.client(self.metadata(true).await?.as_ref()))
            }
            other => other,
        }
        .map_err(|error| untrusted(&reason(&error)))?;
        if claims.authorized_party().is_some_and(|it| it.as_str() != self.provider.client_id) {
            return Err(untrusted("the ID token was given to another client (`azp`)"));
        }
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > SUBJECT_MAX || subject.contains('\0') {
            return Err(untrusted("the subject has no usable name"));
        }
        let name = claims.name().and_then(|it| it.get(None)).map(|it| it.as_str().to_owned());
        let mut said =
            (claims.email().map(|it| it.as_str().to_owned()), claims.email_verified(), name);
        let access = answer.access_token();
        if said.0.is_none()
            && access.secret().bytes().all(|it| it.is_ascii_graphic())
            && let Ok(asking) = client.user_info(access.clone(), Some(claims.subject().clone()))
        {
            // Some say there alone how somebody is reached.
            let info: CoreUserInfoClaims =
                asking.request_async(&carry).await.map_err(|error| match error {
                    UserInfoError::Request(no_answer) => out_of_reach(&no_answer.to_string()),
                    UserInfoError::Response(status, ..) => {
                        out_of_reach(&format!("its user info endpoint answered {status}"))
                    }
                    UserInfoError::ClaimsVerification(error) => untrusted(&reason(&error)),
                    _ => untrusted("the answer of its user info endpoint"),
                })?;
            let name = info.name().and_then(|it| it.get(None)).map(|it| it.as_str().to_owned());
            said = (
                info.email().map(|it| it.as_str().to_owned()),
                info.email_verified(),
                said.2.or(name),
            );
        }
        let (email, is_verified, name) = said;
        let email = email.as_deref().and_then(as_email);
        let (email, unverified) = if is_verified.unwrap_or(self.provider.trusts_addresses) {
            (email, None)
        } else {
            (None, email)
        };
        let person = ProvedPerson {
            issuer: self.provider.issuer.clone(),
            subject: subject.to_owned(),
            email,
            name: name.as_deref().and_then(as_name).map(str::to_owned),
        };
        Ok(Proved { person, unverified })
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        let provider = &self.provider;
        let id = ClientId::new(provider.client_id.clone());
        let secret = provider.client_secret.clone().map(ClientSecret::new);
        // What is not said is `client_secret_basic` (OpenID Connect Discovery §3).
        let takes = metadata.token_endpoint_auth_methods_supported();
        let is_in_body = takes.is_some_and(|it| {
            !it.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && it.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let way = if is_in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        CoreClient::from_provider_metadata(metadata.clone(), id, secret)
            .set_auth_type(way)
            .set_redirect_uri(self.redirect.clone())
    }

    /// Where it is and which keys it has: `again`, where what is known is not enough.
    async fn metadata(&self, again: bool) -> Result<Arc<CoreProviderMetadata>, Unproved> {
        let known = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.as_ref().map(|it| (Arc::clone(&it.metadata), it.since.elapsed() < KNOWN_FOR))
        };
        if let Some((metadata, true)) = &known
            && !again
        {
            return Ok(Arc::clone(metadata));
        }
        let issuer = IssuerUrl::new(self.provider.issuer.clone()).expect("it was checked");
        let carry = |request| carry(self.http.clone(), request);
        match CoreProviderMetadata::discover_async(issuer, &carry).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let found = Known { metadata: Arc::clone(&metadata), since: Instant::now() };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
                Ok(metadata)
            }
            Err(error) => {
                let why = match &error {
                    DiscoveryError::Request(no_answer) => no_answer.to_string(),
                    DiscoveryError::Parse(error) => format!("it says no `{}`", error.path()),
                    DiscoveryError::Response(status, ..) => format!("it answered {status}"),
                    error => error.to_string(),
                };
                let failed = out_of_reach(&why);
                // What was true an hour ago mostly is.
                known.filter(|_| !again).map(|(metadata, _)| metadata).ok_or(failed)
            }
        }
    }
}

fn out_of_reach(why: &str) -> Unproved {
    tracing::warn!(why, "the provider for signing in cannot be reached, or is none: {why}");
    Unproved::Unreachable
}

fn untrusted(why: &str) -> Unproved {
    tracing::warn!(why, "what the provider for signing in says is not believed: {why}");
    Unproved::Untrusted
}

fn refused(code: &str) -> Unproved {
    let code = error_code(code);
    tracing::warn!(code, "the provider for signing in does not take a code: {code}");
    Unproved::Refused(code)
}

/// A code of an error as the provider says it, where it is one (RFC 6749 §4.1.2.1): a word, and no text
/// of somebody's.
pub(crate) fn error_code(said: &str) -> String {
    let is_code = (1..=60).contains(&said.len())
        && said.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.'));
    if is_code { said.to_owned() } else { "an unknown error".to_owned() }
}

/// Why claims are not believed, as the log may say it.
fn reason(error: &ClaimsVerificationError) -> String {
    let because = error.source().map(|it| format!(": {it}")).unwrap_or_default();
    format!("{error}{because}")
}

fn client(is_encrypted: bool) -> Result<reqwest::Client, String> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let tls = if is_encrypted {
        tls.with_platform_verifier().map_err(|error| error.to_string())?
    } else {
        tls.with_root_certificates(rustls::RootCertStore::empty())
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        // Also of the addresses that it tells itself.
        .https_only(is_encrypted)
        // They could lead inside.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .user_agent(concat!("Roster/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

async fn carry(
    http: Result<reqwest::Client, String>,
    request: HttpRequest,
) -> Result<HttpResponse, NoAnswer> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            return NoAnswer::Late;
        }
        // The address is the operator's, what stands behind it may be a code.
        let mut cause: Option<&dyn std::error::Error> = None;
        let error = error.without_url();
        let mut text = error.to_string();
        while let Some(next) = cause.map_or_else(|| error.source(), std::error::Error::source) {
            text = format!("{text}: {next}");
            cause = Some(next);
        }
        NoAnswer::Failed(text)
    };
    let http = http.map_err(NoAnswer::NoTls)?;
    let request = reqwest::Request::try_from(request).map_err(failed)?;
    let mut response = http.execute(request).await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(NoAnswer::TooLong);
        }
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(issuer: &str) -> Result<SignInProvider, BadSignInProvider> {
        SignInProvider::new(issuer, "roster", Some("s3cret".to_owned()), None)
    }

    #[test]
    fn a_provider_is_reached_over_an_encrypted_connection() {
        for good in ["https://id.example", "https://id.example/tenant/v2.0", "http://localhost:9"]
            .into_iter()
            .chain(["http://127.0.0.1:9/a/", "http://[::1]:9"])
        {
            assert!(provider(good).is_ok(), "{good}");
        }
        for bad in ["", "id.example", "http://id.example", "ftp://id.example", "https://"]
            .into_iter()
            .chain(["https://a@id.example", "https://id.example?a", "https://id.example#a"])
            .chain(["http://localhost.example", "mailto:id@example"])
        {
            assert_eq!(provider(bad), Err(BadSignInProvider::Issuer(bad.to_owned())), "{bad}");
        }
        let made = |id, secret: Option<&str>, name| {
            SignInProvider::new("https://id.example", id, secret.map(str::to_owned), name)
        };
        assert_eq!(made("", None, None), Err(BadSignInProvider::ClientId));
        assert_eq!(made("a", Some(""), None), Err(BadSignInProvider::ClientSecret));
        assert_eq!(made("a", None, Some(" ")), Err(BadSignInProvider::Name(" ".to_owned())));
        let shown = format!("{:?}", made("a", Some("s3cret"), None).unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("id.example"), "{shown}");
    }

    #[test]
    fn nobody_joins_by_themselves_from_anywhere() {
        let domains = || vec![Domain::any("acme.example").unwrap()];
        let of = |domains, role| provider("https://id.example").unwrap().admitting(domains, role);
        let (owner, support) = (Some(MemberRole::Owner), Some(MemberRole::Support));
        assert_eq!(of(domains(), owner), Err(BadSignInProvider::JoinsAsOwner));
        assert_eq!(of(Vec::new(), support), Err(BadSignInProvider::JoinsFromAnywhere));
        let admitting = of(domains(), support).unwrap();
        assert!(admitting.admits(Some("ana@ACME.example")));
        for other in [None, Some("ana"), Some("ana@sub.acme.example"), Some("a@acme.example.org")] {
            assert!(!admitting.admits(other), "{other:?}");
        }
        let anybody = of(Vec::new(), None).unwrap();
        assert!(anybody.admits(None) && anybody.admits(Some("ana@elsewhere.example")));
    }

    #[test]
    fn of_what_is_shown_to_others_the_rest_cannot_be_found() {
        let journey = Journey::begin([7; 32]);
        let again = Journey::read(journey.kept()).unwrap();
        assert!(again.has_state(&journey.made("state")));
        let of_others = Journey::begin([8; 32]).made("state");
        for other in ["", journey.kept(), &journey.made("nonce"), &of_others] {
            assert!(!journey.has_state(other), "{other}");
        }
        let short = &journey.kept()[1..];
        for other in ["", "nonsense", short] {
            assert!(Journey::read(other).is_none());
        }
    }

    #[test]
    fn only_words_are_shown_of_what_a_provider_says() {
        assert_eq!(error_code("access_denied"), "access_denied");
        for other in ["", "<script>", "call 555-0100 now", &"x".repeat(61)] {
            assert_eq!(error_code(other), "an unknown error");
        }
    }
}
