//! Who is asking: the credential of a request, and how much its directory may ask.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ::scim::Error;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use directory::secret::SecretHash;
use directory::{AddressRange, DirectoryId, TokenId, requests};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use store::{ApiStore, Credential, DirectoryStore, Origin, Standing};

use crate::api::Needs;
use crate::error::Refusal;
use crate::guesses::Peer;
use crate::problem::Problem;
use crate::scim::Explanation;
use crate::settings::Rate;
use crate::{Counter, RequestId};

/// How much each directory has asked lately.
pub(crate) type Rates = Arc<DefaultKeyedRateLimiter<DirectoryId>>;

/// Longest wait that is asked of a client. Okta doubles what we say with each further refusal, so
/// a small number keeps its job moving.
const RETRY_AFTER_MAX: u64 = 30;

pub(crate) fn rates(rate: Rate) -> Rates {
    Arc::new(RateLimiter::keyed(Quota::per_second(rate.per_second).allow_burst(rate.burst)))
}

/// Opens the directory that the request's token belongs to.
///
/// Where the address names a directory, it must be the token's own: a token of another one is as
/// good as none, and what it would have found is not told. Who it is that asks is noted in what explains
/// the request.
pub(crate) async fn directory(
    counter: &Counter,
    parts: &Parts,
    named: Option<DirectoryId>,
    known: &mut Explanation,
) -> Result<DirectoryStore, Refusal> {
    let (token, user) = match presented(&parts.headers) {
        Presented::Token(token) => (Cow::Borrowed(token), None),
        Presented::Basic(encoded) => match name_and_password(encoded) {
            Some((user, password)) => (Cow::Owned(password), Some(user)),
            None => return Err(unauthorized(Challenge::Plain, BASIC)),
        },
        Presented::Nothing => return Err(unauthorized(Challenge::Plain, NO_TOKEN)),
        Presented::AnotherScheme => return Err(unauthorized(Challenge::Plain, ANOTHER_SCHEME)),
        Presented::Twice => return Err(unauthorized(Challenge::InvalidRequest, TWICE)),
        Presented::Garbled => return Err(unauthorized(Challenge::InvalidRequest, GARBLED)),
    };
    let token = token.as_ref();
    let store = match counter.access.directory(&SecretHash::of(token)).await? {
        // A password is good for nothing where the directory has not been told to take one.
        Credential::Valid(store) if user.is_some() && !store.settings().http_basic => {
            useless(counter, token)?;
            return Err(unauthorized(Challenge::Plain, BASIC));
        }
        Credential::Valid(store) => store,
        Credential::Unknown if user.is_some() => {
            if let Some(guesses) = &counter.guesses {
                guesses.unknown(token, &parts.extensions).map_err(too_many_guesses)?;
            }
            return Err(unauthorized(Challenge::Plain, BASIC_UNKNOWN));
        }
        Credential::Unknown => {
            if let Some(guesses) = &counter.guesses {
                guesses.unknown(token, &parts.extensions).map_err(too_many_guesses)?;
            }
            return Err(unauthorized(Challenge::InvalidToken, UNKNOWN));
        }
        Credential::Expired(at, id) => {
            // Whose it was is known, and it opens nothing: the log tells of it as of a stranger.
            known.named.get_or_insert(id);
            useless(counter, token)?;
            let detail = format!(
                "the token expired at {}. Ask the app's team for a new one, and paste it into the \
                 provisioning settings of this app",
                ::scim::datetime::print(at)
            );
            return Err(unauthorized(Challenge::InvalidToken, detail));
        }
    };
    if named.is_some_and(|named| named != store.id()) {
        useless(counter, token)?;
        return Err(unauthorized(Challenge::InvalidToken, ANOTHER));
    }
    if user.is_some_and(|user| user != store.id().to_string()) {
        useless(counter, token)?;
        return Err(unauthorized(Challenge::Plain, BASIC_USER));
    }
    known.opened = Some((store.id(), store.caused_by()));
    check_address(counter, parts, &store)?;
    match store.standing() {
        Standing::Open => {}
        Standing::Paused => return Err(Refusal::from(Error::new(403, PAUSED))),
        Standing::SwitchedOff => return Err(Refusal::from(Error::new(403, SWITCHED_OFF))),
    }
    if let Some(rates) = &counter.rates
        && let Err(not_until) = rates.check_key(&store.id())
    {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        return Err(too_many(wait));
    }
    Ok(store)
}

/// Refuses a request from where the directory takes none.
fn check_address(counter: &Counter, parts: &Parts, store: &DirectoryStore) -> Result<(), Refusal> {
    let allowed = &store.settings().allowed_addresses;
    if allowed.is_empty() {
        return Ok(());
    }
    let address = client_address(counter, parts);
    if address.is_some_and(|address| allowed.iter().any(|range| range.contains(address))) {
        return Ok(());
    }
    let from = address.map_or_else(|| "an unknown address".to_owned(), |it| format!("`{it}`"));
    let detail = format!(
        "the request came from {from}, and this directory takes requests from some addresses only. \
         Ask the app's team to allow this one, or send from one that is allowed"
    );
    Err(Error::new(403, detail).into())
}

/// Who is at the other end, as far as that can be believed.
pub(crate) fn client_address(counter: &Counter, parts: &Parts) -> Option<IpAddr> {
    address_of(counter, &parts.extensions, &parts.headers)
}

/// In which request something is asked, and from where.
pub(crate) fn origin(counter: &Counter, parts: &Parts) -> Origin {
    let request_id = parts.extensions.get().map(|RequestId(id)| *id);
    Origin { request_id, address: client_address(counter, parts) }
}

/// Who is at the other end of a request that was not taken apart.
pub(crate) fn address_of(
    counter: &Counter,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    let Peer(peer) = extensions.get()?;
    nearest_stranger(*peer, headers, &counter.settings.trusted_proxies)
}

/// How a request says who sends it, without what it says.
pub(crate) fn how_presented(headers: &HeaderMap) -> requests::Presented {
    match presented(headers) {
        Presented::Token(_) if is_bare(headers) => requests::Presented::Bare,
        Presented::Token(_) => requests::Presented::Bearer,
        Presented::Nothing => requests::Presented::Nothing,
        Presented::Basic(_) => requests::Presented::Basic,
        Presented::AnotherScheme | Presented::Twice | Presented::Garbled => {
            requests::Presented::Otherwise
        }
    }
}

fn is_bare(headers: &HeaderMap) -> bool {
    let value = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    value.is_some_and(|it| !it.trim().contains(' '))
}

/// The nearest one that is not a proxy of ours. What a proxy says is the end of a list to which each of
/// them has added whom it saw; what stands before that, anybody can have written.
fn nearest_stranger(peer: IpAddr, headers: &HeaderMap, proxies: &[AddressRange]) -> Option<IpAddr> {
    let is_ours = |it: IpAddr| proxies.iter().any(|range| range.contains(it));
    if !is_ours(peer) {
        return Some(peer);
    }
    let said = headers.get_all("x-forwarded-for").iter();
    let said: Vec<_> = said.map(|it| it.to_str().unwrap_or_default()).collect();
    let mut nearest = Some(peer);
    for address in said.join(",").rsplit(',') {
        // What is no address is nobody's.
        nearest = read_address(address.trim());
        if !nearest.is_some_and(is_ours) {
            break;
        }
    }
    nearest
}

/// An address, with or without the port that some proxies add.
fn read_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    text.parse().ok().or_else(with_port)
}

/// Counts the operations of one bulk request, of which the request itself was counted as one.
///
/// Each counts as a request of its own would, up to half of what may come at once: more could only
/// be taken where nobody else asks anything of the directory for seconds, and a job that is refused
/// over and over would never be done.
pub(crate) fn count_operations(
    counter: &Counter,
    directory: DirectoryId,
    operations: usize,
) -> Result<(), Refusal> {
    let (Some(rates), Some(rate)) = (&counter.rates, counter.settings.limits.rate) else {
        return Ok(());
    };
    let most = rate.burst.get() / 2;
    let counted = u32::try_from(operations).unwrap_or(u32::MAX).min(most);
    let Some(more) = NonZeroU32::new(counted.saturating_sub(1)) else { return Ok(()) };
    match rates.check_key_n(&directory, more) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(not_until)) => {
            Err(too_many(not_until.wait_time_from(DefaultClock::default().now())))
        }
        Err(_) => unreachable!("half of what may come at once is less than the whole"),
    }
}

const NO_TOKEN: &str = "the request has no token. Enter the token of this directory in the \
                        provisioning settings of the app; it is sent as `Authorization: Bearer …`";
const BASIC: &str = "this directory does not take a user name and password. Choose the \
                     authentication mode `HTTP Header` or `OAuth Bearer Token`, and enter the token \
                     of this directory";
const BASIC_UNKNOWN: &str = "the password is not known as a token. It may have been revoked, or not \
                             copied whole: copy it again, or ask the app's team for a new one. Where \
                             the directory takes no user name and password, choose the authentication \
                             mode `HTTP Header` or `OAuth Bearer Token`, and enter the token there";
const BASIC_USER: &str = "the user name is not that of this directory. Enter the id of the directory, \
                          `dir-…`, the last part of its own base URL, as the user name, and its token \
                          as the password";
const PAUSED: &str = "the app's team has paused this directory. Nothing was changed, and what was \
                      synchronised before stays. Ask them to resume it, then have what failed \
                      meanwhile sent again: providers keep it as failed tasks, or send it with the \
                      next full cycle";
const SWITCHED_OFF: &str = "directory sync is switched off for your organization. Nothing was \
                            changed, and what was synchronised before stays. Ask the app's team to \
                            switch it on, then have what failed meanwhile sent again: providers keep \
                            it as failed tasks, or send it with the next full cycle";
const ANOTHER_SCHEME: &str = "this directory takes a bearer token and no other kind of credential. \
                              Enter `Bearer`, one space, and the token of this directory";
const GARBLED: &str = "the `Authorization` header cannot be read. Where the app asks for a token, enter \
                       the token of this directory alone; where it asks for the whole header, enter \
                       `Bearer`, one space, and the token";
const TWICE: &str = "the word `Bearer` was sent twice: the app adds it by itself. Enter the token of \
                     this directory alone";
const UNKNOWN: &str = "the token is not known. It may have been revoked, or not copied whole: copy \
                       it again, or ask the app's team for a new one";
const ANOTHER: &str = "the token does not belong to the directory in this base URL. Use the base \
                       URL and the token that were given together";

enum Presented<'a> {
    Token(&'a str),
    Nothing,
    /// A user name and a password, encoded.
    Basic(&'a str),
    /// `Bearer Bearer …`, of an app that adds the word to what was entered with it.
    Twice,
    /// Neither `Bearer` nor `Basic`: `Digest …`.
    AnotherScheme,
    /// `Bearer` with nothing behind it or too much, two credentials, or what is no text.
    Garbled,
}

/// Reads `Authorization`. The word `Bearer` is read without case (RFC 9110 §11.1), and may be
/// missing: Okta's Header Auth template sends what the admin typed, and many type the bare token.
fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Presented::Nothing };
    // Which of two is meant, a proxy in front of us may see otherwise.
    if values.next().is_some() {
        return Presented::Garbled;
    }
    let Ok(value) = value.to_str() else { return Presented::Garbled };
    match value.trim().split_once(' ') {
        None if value.trim().is_empty() => Presented::Nothing,
        // The scheme alone: an admin who chose it and pasted nothing.
        None if value.trim().eq_ignore_ascii_case("bearer") => Presented::Garbled,
        None if value.trim().eq_ignore_ascii_case("basic") => Presented::Basic(""),
        None => Presented::Token(value.trim()),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let token = token.trim();
            let again = token.split_once(' ').map_or(token, |(word, _)| word);
            if again.eq_ignore_ascii_case("bearer") {
                Presented::Twice
            } else if token.is_empty() || token.contains(' ') {
                Presented::Garbled
            } else {
                Presented::Token(token)
            }
        }
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            Presented::Basic(encoded.trim())
        }
        Some(_) => Presented::AnotherScheme,
    }
}

/// What stands behind `Basic` (RFC 7617 §2).
pub(crate) fn name_and_password(encoded: &str) -> Option<(String, String)> {
    let decoded = BASE64_STANDARD.decode(encoded).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// The credentials behind `Basic` of a request that has exactly one, of that kind.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    match presented(headers) {
        Presented::Basic(encoded) => name_and_password(encoded),
        _ => None,
    }
}

/// The API key of a request.
pub(crate) fn api_key(headers: &HeaderMap) -> Option<&str> {
    match presented(headers) {
        Presented::Token(key) => Some(key),
        Presented::Nothing
        | Presented::Basic(_)
        | Presented::AnotherScheme
        | Presented::Twice
        | Presented::Garbled => None,
    }
}

/// Refuses what the key is not for.
pub(crate) fn may(store: &ApiStore, needs: Needs) -> Result<(), Problem> {
    let Some(key) = store.key() else { return Ok(()) };
    if !key.scopes.allow(needs.scope) {
        return Err(Problem::forbidden(
            format!("it does not have the scope `{}`", needs.scope.as_str()),
            "Use a key that has it; `POST /api/v1/api-keys` makes one",
        ));
    }
    if needs.is_of_all && key.organization_id.is_some() {
        return Err(Problem::forbidden(
            "it is the key of one organization, and this concerns all of them",
            "Use a key that is not bound to an organization",
        ));
    }
    Ok(())
}

/// How often the audit log tells of one key that it was refused something: enough to be noticed, and
/// not to fill it.
const REFUSALS: Quota = Quota::per_minute(NonZeroU32::new(10).expect("it is not zero"));

/// How often each key was refused something lately.
pub(crate) type Refusals = DefaultKeyedRateLimiter<TokenId>;

pub(crate) fn refusals() -> Refusals {
    RateLimiter::keyed(REFUSALS)
}

/// Notes in the audit log what a key was refused.
pub(crate) fn note_refusal(
    counter: &Counter,
    store: &ApiStore,
    parts: &Parts,
    needs: Needs,
    problem: &Problem,
) {
    let Some(key) = store.key() else { return };
    if counter.refusals.check_key(&key.id).is_ok() {
        // Without the ids in it, which may be anybody's.
        store.note_refusal(&format!("{} {}: {}", parts.method, needs.path, problem.detail()));
    }
}

/// Opens the management API for the key of a request.
pub(crate) async fn vendor(counter: &Counter, parts: &Parts) -> Result<ApiStore, Problem> {
    let Some(key) = api_key(&parts.headers) else { return Err(Problem::unauthorized()) };
    if let Some(store) = counter.access.api(&SecretHash::of(key)).await? {
        return Ok(store);
    }
    if let Some(guesses) = &counter.guesses
        && let Err(wait) = guesses.unknown(key, &parts.extensions)
    {
        return Err(Problem::too_many_guesses(seconds(wait)));
    }
    Err(Problem::unauthorized())
}

/// Counts a token that is known, and of no use here.
fn useless(counter: &Counter, token: &str) -> Result<(), Refusal> {
    let Some(guesses) = &counter.guesses else { return Ok(()) };
    guesses.useless(token).map_err(too_many_guesses)
}

/// What the client is asked for (RFC 6750 §3).
#[derive(Clone, Copy)]
enum Challenge {
    /// "If the request lacks any authentication information (e.g., the client […] attempted using an
    /// unsupported authentication method), the resource server SHOULD NOT include an error code"
    /// (§3.1).
    Plain,
    /// The token is expired, revoked or unknown.
    InvalidToken,
    /// The header is malformed. RFC 6750 §3.1 would rather have 400 here; it is 401 all the same. A
    /// request without a valid credential is refused with 401 (RFC 7644 §2, RFC 9110 §15.5.2), and
    /// providers read that as "the credentials are wrong", which they are, where 400 says that
    /// what they sent about a person is.
    InvalidRequest,
}

impl Challenge {
    fn as_str(self) -> &'static str {
        match self {
            Challenge::Plain => "Bearer realm=\"Roster\"",
            Challenge::InvalidToken => "Bearer realm=\"Roster\", error=\"invalid_token\"",
            Challenge::InvalidRequest => "Bearer realm=\"Roster\", error=\"invalid_request\"",
        }
    }
}

fn unauthorized(challenge: Challenge, detail: impl Into<String>) -> Refusal {
    Refusal::from(Error::new(401, detail))
        .with_header(header::WWW_AUTHENTICATE, challenge.as_str().to_owned())
}

/// An integer of seconds: Okta reads nothing else, and waits five minutes when it cannot read.
fn too_many(wait: Duration) -> Refusal {
    let seconds = seconds(wait);
    let detail = format!(
        "too many requests for this directory at once. Nothing was changed; the request can be \
         sent again in {seconds} s, and providers do so by themselves"
    );
    Refusal::from(Error::new(429, detail)).with_header(header::RETRY_AFTER, seconds.to_string())
}

/// Told instead of why the token is not good, which whoever has only mistyped it will see again soon.
fn too_many_guesses(wait: Duration) -> Refusal {
    let seconds = seconds(wait);
    let detail = format!(
        "too many tokens that are not good were sent from here or begin like this one. Wait \
         {seconds} seconds, and check the token in the provisioning settings of this app: copy it \
         again, or ask the app's team for a new one"
    );
    Refusal::from(Error::new(429, detail)).with_header(header::RETRY_AFTER, seconds.to_string())
}

/// For `Retry-After`.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_of_ours_is_believed_and_nobody_else() {
        #[track_caller]
        fn check(peer: &str, said: &[&str], expected: Option<&str>) {
            let proxies = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"];
            let proxies = proxies.map(|range| range.parse().expect("a range"));
            let mut headers = HeaderMap::new();
            for line in said {
                headers.append("x-forwarded-for", line.parse().expect("a header"));
            }
            let found = nearest_stranger(peer.parse().expect("an address"), &headers, &proxies);
            let expected = expected.map(|it| it.parse::<IpAddr>().expect("an address"));
            assert_eq!(found, expected, "{peer} {said:?}");
        }
        let client = "203.0.113.7";
        // Whoever is not a proxy of ours may say what they like.
        check(client, &[], Some(client));
        check(client, &["198.51.100.1"], Some(client));
        check("10.0.0.1", &[client], Some(client));
        check("::ffff:10.0.0.1", &[client], Some(client));
        check("2001:db8::1", &["2001:db9::7"], Some("2001:db9::7"));
        check("10.0.0.1", &["198.51.100.1, 203.0.113.7"], Some(client));
        check("10.0.0.1", &["203.0.113.7,198.51.100.1"], Some("198.51.100.1"));
        // Through several proxies, and in several lines.
        check("10.0.0.1", &["198.51.100.1, 203.0.113.7, 10.9.9.9 ,192.0.2.1"], Some(client));
        check("10.0.0.1", &["198.51.100.1", "203.0.113.7, 10.9.9.9", "192.0.2.1"], Some(client));
        check("10.0.0.1", &["10.9.9.9, 192.0.2.1"], Some("10.9.9.9"));
        // With ports, as some write it.
        check("10.0.0.1", &["203.0.113.7:4711"], Some(client));
        check("10.0.0.1", &["[2001:db9::7]:4711"], Some("2001:db9::7"));
        check("10.0.0.1", &["203.0.113.7, 10.9.9.9:80"], Some(client));
        // What cannot be read is nobody, and nobody is not looked for behind it.
        for said in ["", "nonsense", "203.0.113.7, ", "203.0.113.7, unknown", "203.0.113.7, _x"] {
            check("10.0.0.1", &[said], None);
        }
        check("10.0.0.1", &[], None);
    }
}
