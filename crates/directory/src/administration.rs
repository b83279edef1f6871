//! What the vendor keeps about customers and connections beside people: notes on an organization,
//! what a key may do, from where a directory is reached, and how well it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::{ClientId, DirectoryId, OrganizationId, TokenId};
use crate::organization::{NAME_MAX, Settings};
use crate::secret::SecretHash;

/// Entries of an organization's metadata. It is for a few words by which the vendor finds their own
/// records again, and read with every list of organizations.
pub const METADATA_ENTRIES_MAX: usize = 50;

/// Characters of a name in metadata.
pub const METADATA_NAME_MAX: usize = 40;

/// Characters of a value in metadata.
pub const METADATA_VALUE_MAX: usize = 500;

/// What the vendor writes down about an organization: text by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

/// Why something is not metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotMetadata(String);

impl fmt::Display for NotMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotMetadata {}

impl Metadata {
    /// Checks the limits.
    ///
    /// ```
    /// use directory::Metadata;
    ///
    /// let of = |name: &str| Metadata::new([(name.to_owned(), "gold".to_owned())].into());
    /// assert!(of("plan").is_ok());
    /// assert!(of("").is_err());
    /// ```
    pub fn new(entries: BTreeMap<String, String>) -> Result<Metadata, NotMetadata> {
        if entries.len() > METADATA_ENTRIES_MAX {
            return Err(NotMetadata(format!("it has more than {METADATA_ENTRIES_MAX} entries")));
        }
        for (name, value) in &entries {
            if !(1..=METADATA_NAME_MAX).contains(&name.chars().count()) {
                let why =
                    format!("a name is empty or has more than {METADATA_NAME_MAX} characters");
                return Err(NotMetadata(why));
            }
            if value.chars().count() > METADATA_VALUE_MAX {
                let why =
                    format!("the value of `{name}` has more than {METADATA_VALUE_MAX} characters");
                return Err(NotMetadata(why));
            }
            if name.chars().chain(value.chars()).any(char::is_control) {
                let why = format!("`{}` has control characters", name.escape_debug());
                return Err(NotMetadata(why));
            }
        }
        Ok(Metadata(entries))
    }

    /// What is in it.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// A part of the management API, and whether it is read or changed. What may be changed may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names in the API are their documentation")]
pub enum ApiScope {
    OrganizationsRead,
    OrganizationsWrite,
    DirectoriesRead,
    DirectoriesWrite,
    TokensRead,
    TokensWrite,
    PortalRead,
    PortalWrite,
    UsersRead,
    UsersWrite,
    EventsRead,
    WebhooksRead,
    WebhooksWrite,
    CatalogueRead,
    CatalogueWrite,
    KeysRead,
    KeysWrite,
    SettingsRead,
    SignInRead,
    ReceiptsWrite,
    AuditRead,
}

impl ApiScope {
    /// All of them, as they are documented.
    pub const ALL: [ApiScope; 21] = [
        ApiScope::OrganizationsRead,
        ApiScope::OrganizationsWrite,
        ApiScope::DirectoriesRead,
        ApiScope::DirectoriesWrite,
        ApiScope::TokensRead,
        ApiScope::TokensWrite,
        ApiScope::PortalRead,
        ApiScope::PortalWrite,
        ApiScope::UsersRead,
        ApiScope::UsersWrite,
        ApiScope::EventsRead,
        ApiScope::WebhooksRead,
        ApiScope::WebhooksWrite,
        ApiScope::CatalogueRead,
        ApiScope::CatalogueWrite,
        ApiScope::KeysRead,
        ApiScope::KeysWrite,
        ApiScope::SettingsRead,
        ApiScope::SignInRead,
        ApiScope::ReceiptsWrite,
        ApiScope::AuditRead,
    ];

    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ApiScope::OrganizationsRead => "organizations:read",
            ApiScope::OrganizationsWrite => "organizations:write",
            ApiScope::DirectoriesRead => "directories:read",
            ApiScope::DirectoriesWrite => "directories:write",
            ApiScope::TokensRead => "tokens:read",
            ApiScope::TokensWrite => "tokens:write",
            ApiScope::PortalRead => "portal:read",
            ApiScope::PortalWrite => "portal:write",
            ApiScope::UsersRead => "users:read",
            ApiScope::UsersWrite => "users:write",
            ApiScope::EventsRead => "events:read",
            ApiScope::WebhooksRead => "webhooks:read",
            ApiScope::WebhooksWrite => "webhooks:write",
            ApiScope::CatalogueRead => "catalogue:read",
            ApiScope::CatalogueWrite => "catalogue:write",
            ApiScope::KeysRead => "keys:read",
            ApiScope::KeysWrite => "keys:write",
            ApiScope::SettingsRead => "settings:read",
            ApiScope::SignInRead => "sign_in:read",
            ApiScope::ReceiptsWrite => "receipts:write",
            ApiScope::AuditRead => "audit:read",
        }
    }

    fn is_read(self) -> bool {
        self.as_str().ends_with(":read")
    }

    /// The part of the API.
    fn area(self) -> &'static str {
        self.as_str().split(':').next().unwrap_or_default()
    }
}

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiScopes(BTreeSet<Grant>);

/// One word of what a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    /// Everything.
    Full,
    /// Reading everything.
    Read,
    One(ApiScope),
}

impl Grant {
    fn as_str(self) -> &'static str {
        match self {
            Grant::Full => "full",
            Grant::Read => "read",
            Grant::One(scope) => scope.as_str(),
        }
    }

    fn named(name: &str) -> Option<Grant> {
        let one = ApiScope::ALL.into_iter().map(Grant::One);
        [Grant::Full, Grant::Read].into_iter().chain(one).find(|it| it.as_str() == name)
    }

    fn allows(self, scope: ApiScope) -> bool {
        match self {
            Grant::Full => true,
            Grant::Read => scope.is_read(),
            Grant::One(one) => one == scope || (scope.is_read() && one.area() == scope.area()),
        }
    }
}

/// No scope of keys has the name; or there is none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownApiScope(String);

impl fmt::Display for UnknownApiScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = ApiScopes::names().collect();
        write!(f, "`{}` is not a scope; use some of {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownApiScope {}

impl ApiScopes {
    /// Everything.
    pub fn full() -> ApiScopes {
        ApiScopes([Grant::Full].into())
    }

    /// Reads names of scopes, of which there has to be one.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<ApiScopes, UnknownApiScope> {
        let read = |name: &str| Grant::named(name).ok_or_else(|| UnknownApiScope(name.to_owned()));
        let grants = names.into_iter().map(read).collect::<Result<BTreeSet<_>, _>>()?;
        if grants.is_empty() { Err(UnknownApiScope(String::new())) } else { Ok(ApiScopes(grants)) }
    }

    /// Whether this may be done.
    pub fn allow(&self, scope: ApiScope) -> bool {
        self.0.iter().any(|grant| grant.allows(scope))
    }

    /// Whether all that the others allow is allowed by these: nobody gives away more than they have.
    pub fn include(&self, others: &ApiScopes) -> bool {
        let is_full = |it: &ApiScopes| it.0.contains(&Grant::Full);
        if is_full(others) {
            return is_full(self);
        }
        ApiScope::ALL.into_iter().all(|scope| !others.allow(scope) || self.allow(scope))
    }

    /// As they stand in the API.
    pub fn as_names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|grant| grant.as_str())
    }

    /// What there is to choose from.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["full", "read"].into_iter().chain(ApiScope::ALL.into_iter().map(ApiScope::as_str))
    }
}

/// As it is kept: names with a space between them.
impl fmt::Display for ApiScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_names().collect::<Vec<_>>().join(" "))
    }
}

impl FromStr for ApiScopes {
    type Err = UnknownApiScope;

    fn from_str(text: &str) -> Result<ApiScopes, UnknownApiScope> {
        ApiScopes::new(text.split(' '))
    }
}

/// Keys of one organization, and keys of none: whoever makes one for each run of something and takes
/// none back is told so before lists of them are of no use.
pub const API_KEYS_MAX: u64 = 1_000;

/// A credential of the vendor for the management API, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// By which a person recognises it.
    pub last_four: String,
    /// What it may do.
    pub scopes: ApiScopes,
    /// The only organization that there is for it; all, where there is none.
    pub organization_id: Option<OrganizationId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// Who asks for access tokens of a directory (RFC 6749 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthClient {
    /// The `client_id`.
    pub id: ClientId,
    /// Whose.
    pub directory_id: DirectoryId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One of the secrets of a client, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecret {
    /// Its id.
    pub id: TokenId,
    /// Whose.
    pub client_id: ClientId,
    /// By which it is found.
    pub hash: SecretHash,
    /// By which a person recognises it.
    pub last_four: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is good for nothing.
    pub expires_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// Clients that one directory may have.
pub const CLIENTS_MAX: u64 = 20;

/// Secrets that one client may have: two are enough to exchange one.
pub const CLIENT_SECRETS_MAX: u64 = 5;

/// Minutes for which an access token is good where nobody says.
pub(crate) const ACCESS_TOKEN_MINUTES_DEFAULT: u16 = 60;

/// Minutes for which an access token may be good. Entra's gallery asks for one hour at least, and
/// six at most.
pub const ACCESS_TOKEN_MINUTES: std::ops::RangeInclusive<u16> = 60..=360;

/// Ranges that a directory may name: Okta publishes some dozens for each of its cells.
pub const ADDRESS_RANGES_MAX: usize = 200;

/// Addresses that have their first bits in common, as `192.0.2.0/24`; one address, where nothing
/// is said of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddressRange {
    first: IpAddr,
    bits: u8,
}

/// A text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnAddressRange(String);

impl fmt::Display for NotAnAddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a range of addresses; write `192.0.2.0/24`, `2001:db8::/32` or one address",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for NotAnAddressRange {}

impl AddressRange {
    pub(crate) const fn v4(first: [u8; 4], bits: u8) -> AddressRange {
        let [a, b, c, d] = first;
        AddressRange { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    /// Of the first three of eight parts; the others are zero.
    pub(crate) const fn v6(first: [u16; 3], bits: u8) -> AddressRange {
        let [a, b, c] = first;
        AddressRange { first: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), bits }
    }

    /// Whether the address is one of them. An IPv4 address written as IPv6 is the same address.
    ///
    /// ```
    /// let range: directory::AddressRange = "192.0.2.0/24".parse().unwrap();
    /// assert!(range.contains("192.0.2.9".parse().unwrap()));
    /// assert!(range.contains("::ffff:192.0.2.9".parse().unwrap()));
    /// assert!(!range.contains("192.0.3.9".parse().unwrap()));
    /// ```
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                masked(address.to_canonical(), self.bits) == self.first
            }
            _ => false,
        }
    }
}

/// Bits before an address of version 4 that is written as one of version 6.
const MAPPED_BITS: u8 = 96;

/// The address with all but its first bits cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

impl FromStr for AddressRange {
    type Err = NotAnAddressRange;

    fn from_str(text: &str) -> Result<AddressRange, NotAnAddressRange> {
        let read = || {
            let (address, bits) = match text.split_once('/') {
                None => (text, None),
                Some((address, bits)) => (address, Some(bits)),
            };
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = match bits {
                None => most,
                Some(bits) if bits.bytes().all(|it| it.is_ascii_digit()) => bits.parse().ok()?,
                Some(_) => return None,
            };
            // Bits beyond the range would be somebody's mistake.
            if bits > most || masked(address, bits) != address {
                return None;
            }
            // Addresses of version 4 are those wherever they are written.
            let first = if bits >= MAPPED_BITS { address.to_canonical() } else { address };
            let bits = if first == address { bits } else { bits - MAPPED_BITS };
            Some(AddressRange { first, bits })
        };
        let shown = || NotAnAddressRange(text.chars().take(NAME_MAX).collect());
        read().ok_or_else(shown)
    }
}

impl TryFrom<String> for AddressRange {
    type Error = NotAnAddressRange;

    fn try_from(text: String) -> Result<AddressRange, NotAnAddressRange> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> String {
        format!("{}/{}", range.first, range.bits)
    }
}

/// How well a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryState {
    /// The provider was never heard of.
    Waiting,
    /// It was heard of lately.
    Connected,
    /// It was not heard of for longer than is usual for it.
    Silent,
    /// What it sent last was refused, and will be again.
    Failing,
    /// Somebody paused the directory, or switched off its organization's directory sync.
    Paused,
}

impl DirectoryState {
    /// All of them.
    pub const ALL: [DirectoryState; 5] = [
        DirectoryState::Waiting,
        DirectoryState::Connected,
        DirectoryState::Silent,
        DirectoryState::Failing,
        DirectoryState::Paused,
    ];

    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            DirectoryState::Waiting => "waiting",
            DirectoryState::Connected => "connected",
            DirectoryState::Silent => "silent",
            DirectoryState::Failing => "failing",
            DirectoryState::Paused => "paused",
        }
    }
}

/// When a directory's provider was heard of, to the minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// With a credential of the directory, and whatever it was answered.
    pub last_at: Option<Timestamp>,
    /// When it last changed something.
    pub changed_at: Option<Timestamp>,
    /// When it was last refused something that will be refused again.
    pub refused_at: Option<Timestamp>,
    /// With which status.
    pub refused_with: Option<u16>,
    /// How long it usually says nothing, where that is known already.
    pub usual_gap: Option<SignedDuration>,
}

impl Contact {
    /// What that says of a directory that takes requests.
    ///
    /// ```
    /// use directory::{Contact, DirectoryState, Settings};
    /// use jiff::{SignedDuration, Timestamp};
    ///
    /// let now = Timestamp::from_second(2_000_000_000).unwrap();
    /// let heard = |days: i64, usual_minutes: i64| Contact {
    ///     last_at: Some(now - SignedDuration::from_hours(24 * days)),
    ///     usual_gap: Some(SignedDuration::from_mins(usual_minutes)),
    ///     ..Contact::default()
    /// };
    /// let settings = Settings::default();
    /// assert_eq!(Contact::default().state(&settings, now), DirectoryState::Waiting);
    /// // Who asks every 40 minutes is silent after a day, and who speaks weekly is not.
    /// assert_eq!(heard(2, 64).state(&settings, now), DirectoryState::Silent);
    /// assert_eq!(heard(2, 16_384).state(&settings, now), DirectoryState::Connected);
    /// ```
    pub fn state(&self, settings: &Settings, now: Timestamp) -> DirectoryState {
        if self.last_at.is_none() {
            return DirectoryState::Waiting;
        }
        if self.refused_at.is_some_and(|refused| self.changed_at.is_none_or(|it| it < refused)) {
            return DirectoryState::Failing;
        }
        if self.silent_from(settings).is_some_and(|from| from < now) {
            return DirectoryState::Silent;
        }
        DirectoryState::Connected
    }

    /// From when on the provider is silent, if it is not heard of until then.
    pub fn silent_from(&self, settings: &Settings) -> Option<Timestamp> {
        self.last_at?.checked_add(settings.silence(self.usual_gap)).ok()
    }
}

/// Whether what was refused so will be refused again. What is not there, is there already, was
/// changed by somebody else, or came too fast, is an ordinary part of a conversation.
pub fn is_lasting_refusal(status: u16) -> bool {
    status >= 400 && !matches!(status, 404 | 409 | 412 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_itself_and_what_may_be_changed_may_be_read() {
        #[track_caller]
        fn check(names: &[&str], scope: ApiScope, expected: bool) {
            let scopes = ApiScopes::new(names.iter().copied()).unwrap();
            assert_eq!(scopes.allow(scope), expected, "{names:?} {scope:?}");
            assert_eq!(scopes.to_string().parse(), Ok(scopes));
        }
        for scope in ApiScope::ALL {
            check(&["full"], scope, true);
            check(&["read"], scope, scope.as_str().ends_with(":read"));
            check(&[scope.as_str()], scope, true);
        }
        check(&["organizations:write"], ApiScope::OrganizationsRead, true);
        check(&["organizations:read"], ApiScope::OrganizationsWrite, false);
        check(&["organizations:write"], ApiScope::DirectoriesRead, false);
        check(&["events:read", "users:read"], ApiScope::UsersRead, true);
    }

    #[test]
    fn nobody_gives_away_more_than_they_have() {
        let of = |names: &[&str]| ApiScopes::new(names.iter().copied()).unwrap();
        assert!(ApiScopes::full().include(&of(&["full"])));
        assert!(of(&["read", "keys:write"]).include(&of(&["users:read", "keys:write"])));
        assert!(!of(&["read", "keys:write"]).include(&of(&["tokens:write"])));
        let all: Vec<_> = ApiScope::ALL.iter().map(|it| it.as_str()).collect();
        // What will be added tomorrow is a part of everything, and of nothing else.
        assert!(!of(&all).include(&ApiScopes::full()));
        assert!(ApiScopes::new([]).is_err() && ApiScopes::new(["Full"]).is_err());
    }

    #[test]
    fn ranges_have_one_spelling() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let range: Option<AddressRange> = text.parse().ok();
            assert_eq!(range.map(String::from).as_deref(), expected, "{text}");
        }
        check("192.0.2.0/24", Some("192.0.2.0/24"));
        check("192.0.2.7", Some("192.0.2.7/32"));
        check("0.0.0.0/0", Some("0.0.0.0/0"));
        check("2001:DB8::/32", Some("2001:db8::/32"));
        check("::/0", Some("::/0"));
        check("::ffff:192.0.2.0/120", Some("192.0.2.0/24"));
        check("::ffff:192.0.2.7", Some("192.0.2.7/32"));
        check("::ffff:0.0.0.0/96", Some("0.0.0.0/0"));
        for wrong in [
            "",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2.0/-1",
            "192.0.2/24",
            "::/129",
            "/8",
            "a/8",
            "192.0.2.0/",
            "example.com",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_range_has_the_addresses_with_its_bits() {
        #[track_caller]
        fn check(range: &str, address: &str, expected: bool) {
            let range: AddressRange = range.parse().unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), expected, "{range:?} {address}");
        }
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "203.0.113.1", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "203.0.113.1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("192.0.2.7", "192.0.2.7", true);
        // However it is written, an address of version 4 is one.
        check("192.0.2.0/24", "::ffff:192.0.2.9", true);
        check("::ffff:192.0.2.0/120", "192.0.2.9", true);
        check("::ffff:192.0.2.0/120", "::ffff:192.0.3.9", false);
        check("::/0", "::ffff:192.0.2.9", false);
    }

    #[test]
    fn a_refusal_counts_until_something_is_changed_again() {
        let at = |second: i64| Some(Timestamp::from_second(2_000_000_000 + second).unwrap());
        let now = at(100).unwrap();
        let contact = |refused_at, changed_at| Contact {
            last_at: at(90),
            changed_at,
            refused_at,
            refused_with: None,
            usual_gap: None,
        };
        let check = |refused, changed, expected| {
            assert_eq!(contact(refused, changed).state(&Settings::default(), now), expected);
        };
        check(at(80), None, DirectoryState::Failing);
        check(at(80), at(70), DirectoryState::Failing);
        check(at(80), at(85), DirectoryState::Connected);
        check(None, None, DirectoryState::Connected);
    }
}
