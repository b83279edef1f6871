//! What the counter is told by the operator.

use std::num::NonZeroU32;
use std::sync::Arc;

use directory::AddressRange;
use directory::requests::{PersonalData, Policy};
use directory::secret::Secret;
use directory::webhook::Networks;

use crate::oidc::SignInProvider;
use crate::pages::FrameAncestor;
use crate::pages::brand::Brand;

/// Settings of the counter, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where clients reach us: scheme, host and port, without a slash at the end. Answers carry it,
    /// whatever the `Host` of a request says.
    public_url: String,
    /// Below which path SCIM is spoken, with a slash before and none after: `/scim/v2`.
    scim_path: String,
    /// Limits of requests.
    pub limits: Limits,
    /// Proxies that are believed when they say for whom they speak, in `X-Forwarded-For`.
    pub trusted_proxies: Vec<AddressRange>,
    /// Networks that are not of the internet and may have webhook endpoints all the same.
    pub webhook_networks: Networks,
    /// What the pages look like, as long as the team has not chosen otherwise.
    pub brand: Arc<Brand>,
    /// Sites that may show the portal in a frame: the vendor's app.
    pub frame_ancestors: Vec<FrameAncestor>,
    /// The provider by which members of the team may sign in to the dashboard.
    pub sign_in_provider: Option<Arc<SignInProvider>>,
    /// In what everything is kept, for whoever looks at it in the dashboard.
    pub place: String,
    /// What the operator has said, for whoever looks at it in the dashboard.
    pub told: Vec<Told>,
    /// What is kept of each request of a provider; nothing, where it is only looked who sends it.
    pub request_log: Option<Policy>,
}

/// One setting of the server, as it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The option by which it is said.
    pub option: String,
    /// The variable of the environment that says the same.
    pub variable: String,
    /// What it is.
    pub what: String,
    /// What counts, where something does; `Some(None)` is said and not to be shown.
    pub value: Option<Option<String>>,
    /// Who has said it.
    pub source: Source,
}

/// Who has said a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    Default,
    /// A variable of the environment.
    Environment,
    /// An option.
    CommandLine,
}

/// What one request, and one directory's requests together, may amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body that describes a user.
    pub user_body_bytes: usize,
    /// Bytes of a body that describes a group. Okta's wizard apps send all members at once.
    pub group_body_bytes: usize,
    /// Bytes of a body of the management API.
    pub api_body_bytes: usize,
    /// Requests of one directory; `None` means any number.
    pub rate: Option<Rate>,
    /// Credentials that open nothing, from one address or of one beginning; `None` means any number.
    /// Good ones are served all the same.
    pub guesses: Option<Rate>,
    /// Readers of the feed that wait for the next event, or are streamed to, at once. Each has a
    /// connection, of which there are ten times as many, and some kilobytes.
    pub readers: usize,
    /// The same with one key. One reader of all organizations needs one place.
    pub readers_of_key: usize,
    /// Snapshots that are read at once with one key, of the few that there are at all.
    pub snapshots_of_key: usize,
}

/// How many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run. Entra's gallery requires 25 at least.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// The public URL is not one.
    #[error(
        "the public URL `{0}` is not usable: write scheme and host, such as `https://roster.example.com`, without `_`, user name, query or fragment"
    )]
    PublicUrl(String),
    /// The SCIM path is not one.
    #[error(
        "the SCIM path `{0}` is not usable: write a path such as `/scim/v2` of letters, digits, `-` and `.`, which is not one of ours: `/api`, `/assets`, `/dashboard`, `/health`, `/oauth`, `/portal`, `/ready`, or below `/api/v1`, `/assets`, `/dashboard` or `/portal`"
    )]
    ScimPath(String),
}

impl Default for Limits {
    fn default() -> Limits {
        const MEBIBYTE: usize = 1024 * 1024;
        Limits {
            user_body_bytes: MEBIBYTE,
            group_body_bytes: 16 * MEBIBYTE,
            api_body_bytes: MEBIBYTE,
            rate: Some(Rate::default()),
            guesses: Some(Rate::GUESSES),
            readers: 1_000,
            readers_of_key: 250,
            snapshots_of_key: 1,
        }
    }
}

impl Rate {
    /// For credentials that open nothing. Somebody who sets up a provider and mistypes needs a dozen
    /// tries; a provider that was left behind with an old token sends some in a second.
    pub const GUESSES: Rate = Rate {
        per_second: NonZeroU32::new(5).expect("it is not zero"),
        burst: NonZeroU32::new(50).expect("it is not zero"),
    };
}

impl Default for Rate {
    fn default() -> Rate {
        let number = |it| NonZeroU32::new(it).expect("it is not zero");
        Rate { per_second: number(50), burst: number(200) }
    }
}

impl Settings {
    /// Checks the addresses. Okta refuses a base URL with `_` in it, so no `_` gets in.
    pub fn new(public_url: &str, scim_path: &str, limits: Limits) -> Result<Settings, BadSetting> {
        let public = public_url.trim_end_matches('/');
        let url: Option<http::Uri> = public.parse().ok();
        let is_usable = url.is_some_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.host().is_some_and(|host| !host.is_empty())
                && url.query().is_none()
                // RFC 7644 §7.1: no user name, and no password.
                && url.authority().is_some_and(|it| !it.as_str().contains('@'))
        });
        if !is_usable || public.contains(['_', '#']) {
            return Err(BadSetting::PublicUrl(public_url.to_owned()));
        }
        let path = scim_path.trim_end_matches('/');
        let is_segment = |segment: &str| {
            // Clients take `.` and `..` out of a path before they send it.
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.'))
        };
        let is_taken = matches!(path, "/health" | "/ready" | "/api" | "/oauth" | "/oauth/token")
            || ["/api/v1", "/assets", "/dashboard", "/portal"].into_iter().any(|ours| {
                path.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
        let is_usable =
            !is_taken && path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment));
        if !is_usable {
            return Err(BadSetting::ScimPath(scim_path.to_owned()));
        }
        Ok(Settings {
            public_url: public.to_owned(),
            scim_path: path.to_owned(),
            limits,
            trusted_proxies: Vec::new(),
            webhook_networks: Networks::default(),
            brand: Arc::default(),
            frame_ancestors: Vec::new(),
            sign_in_provider: None,
            place: String::new(),
            told: Vec::new(),
            request_log: Some(Policy { bodies: true, personal_data: PersonalData::Kept }),
        })
    }

    /// Scheme, host and port, without a slash at the end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The path below which SCIM is spoken, without a slash at the end.
    pub fn scim_path(&self) -> &str {
        &self.scim_path
    }

    /// Whether SCIM is spoken at this path.
    pub(crate) fn is_scim(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.scim_path.as_str());
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// Whether SCIM may be meant by this path, though its version is left out.
    pub(crate) fn may_be_scim(&self, path: &str) -> bool {
        self.path_without_version().is_some_and(|it| path.starts_with(it))
    }

    /// The path below which SCIM is spoken, without the version at its end: `/scim` of `/scim/v2`.
    /// `None` where it does not end in one, or there is nothing before it.
    pub(crate) fn path_without_version(&self) -> Option<&str> {
        self.scim_path.strip_suffix("/v2").filter(|path| !path.is_empty())
    }

    /// The base URL that all directories share: there the token says whose it is.
    pub fn shared_base_url(&self) -> String {
        format!("{}{}", self.public_url, self.scim_path)
    }

    /// Whether browsers reach us over an encrypted connection.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.public_url.starts_with("https:")
    }

    /// Where a link to the portal leads.
    pub(crate) fn portal_url(&self, secret: &Secret) -> String {
        format!("{}/portal/open/{}", self.public_url, secret.reveal())
    }

    /// Where an invitation to the team leads.
    pub fn invitation_url(&self, secret: &Secret) -> String {
        format!("{}/dashboard/join/{}", self.public_url, secret.reveal())
    }

    /// Where clients of OAuth get access tokens.
    pub fn oauth_token_url(&self) -> String {
        format!("{}/oauth/token", self.public_url)
    }

    /// The base URL of one directory. Locations in answers are below this one, whichever was
    /// called, so that a resource has one location.
    pub fn directory_base_url(&self, id: directory::DirectoryId) -> String {
        format!("{}{}/{id}", self.public_url, self.scim_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_providers_could_not_use_are_refused() {
        let check = |url: &str, path: &str| Settings::new(url, path, Limits::default());
        for url in
            ["", "roster", "ftp://a", "https://", "https://my_host", "https://a?b", "https://a#b"]
                .into_iter()
                .chain(["https://me@a", "https://me:secret@a"])
        {
            assert_eq!(check(url, "/scim/v2"), Err(BadSetting::PublicUrl(url.to_owned())));
        }
        for path in
            ["", "/", "scim", "/scim//v2", "/scim_v2", "/api/v1", "/api/v1/scim", "/a?b", "/ä"]
                .into_iter()
                .chain(["/portal", "/portal/scim", "/dashboard/scim/v2", "/assets"])
                .chain(["/api", "/health", "/ready/", "/oauth", "/scim/../v2", "/./scim"])
        {
            assert_eq!(check("https://a", path), Err(BadSetting::ScimPath(path.to_owned())));
        }
    }

    #[test]
    fn paths_beside_those_of_others_are_taken() {
        for path in ["/api/scim/v2", "/api/v10", "/health/scim", "/scim.v2", "/s", "/portals"] {
            let settings = Settings::new("https://a.example", path, Limits::default());
            assert_eq!(settings.as_ref().map(Settings::scim_path), Ok(path));
        }
    }

    #[test]
    fn slashes_at_the_end_do_not_matter() {
        let settings = Settings::new("https://a.example/", "/api/scim/v2/", Limits::default());
        let shared = settings.map(|settings| settings.shared_base_url());
        assert_eq!(shared.as_deref(), Ok("https://a.example/api/scim/v2"));
    }
}
