//! Webhook endpoints: where the vendor wants events brought, which of them, and where nothing is
//! ever brought, because it is inside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::json;
use url::{Host, Url};

use crate::administration::AddressRange;
use crate::event::{Draft, EventKind};
use crate::id::{DirectoryId, EndpointId, OrganizationId};
use crate::secret::Entropy;

/// Characters of an address. Longer ones are refused by servers on the way.
pub const URL_MAX: usize = 2_048;

/// Entries of each list of a [`Filter`].
pub const FILTER_MAX: usize = 100;

/// Endpoints of a server. Each reads the whole feed.
pub const ENDPOINTS_MAX: u64 = 1_000;

/// Secrets of an endpoint that are good at the same time: each makes the header longer.
pub const SECRETS_MAX: u64 = 4;

/// Which events an endpoint is brought. An empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Types, such as `directory.user.created`, or beginnings of some, such as `directory.user.*`.
    pub types: Vec<String>,
    /// Of these customers.
    pub organizations: Vec<OrganizationId>,
    /// Of these directories.
    pub directories: Vec<DirectoryId>,
}

impl Filter {
    /// Whether an event is to be brought. One of no directory is of no organization either, and goes
    /// to whoever does not ask for some.
    pub fn matches(
        &self,
        kind: &str,
        organization: Option<OrganizationId>,
        directory: Option<DirectoryId>,
    ) -> bool {
        fn among<T: PartialEq>(list: &[T], one: Option<T>) -> bool {
            list.is_empty() || one.is_some_and(|one| list.contains(&one))
        }
        let names = |it: &String| match it.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => it == kind,
        };
        (self.types.is_empty() || self.types.iter().any(names))
            && among(&self.organizations, organization)
            && among(&self.directories, directory)
    }

    /// Whether there are events of a type, or of types that begin like this: anything else is a slip
    /// that would silently bring nothing.
    pub fn is_type(text: &str) -> bool {
        let mut kinds = EventKind::ALL.iter().map(|kind| kind.as_str());
        match text.strip_suffix(".*") {
            Some(beginning) => kinds
                .any(|kind| kind.strip_prefix(beginning).is_some_and(|rest| rest.starts_with('.'))),
            None => kinds.any(|kind| kind == text),
        }
    }
}

/// Why nothing is brought to an endpoint any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// The vendor switched it off.
    Manual,
    /// Nothing was delivered for five days, and it was tried all the time.
    Failing,
    /// It answered 410: there is nobody any more.
    Gone,
}

impl DisabledReason {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            DisabledReason::Manual => "manual",
            DisabledReason::Failing => "failing",
            DisabledReason::Gone => "gone",
        }
    }
}

impl FromStr for DisabledReason {
    type Err = ();

    fn from_str(text: &str) -> Result<DisabledReason, ()> {
        [DisabledReason::Manual, DisabledReason::Failing, DisabledReason::Gone]
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or(())
    }
}

/// What is told where the server itself has switched an endpoint off. The address is left out: it
/// may hold a secret.
pub fn endpoint_disabled(
    id: EndpointId,
    reason: DisabledReason,
    failing_since: Option<Timestamp>,
) -> Draft {
    let data = json!({ "endpoint": {
        "id": id.to_string(),
        "reason": reason.as_str(),
        "failing_since": failing_since.map(scim::datetime::print),
    }});
    Draft::new(EventKind::WebhookEndpointDisabled, data.to_string())
}

/// What deliveries to an endpoint are signed with, as Standard Webhooks writes it: `whsec_` and 32
/// bytes in base 64. The server needs it in the clear; it is shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// A new one.
    pub fn new(entropy: Entropy) -> SigningSecret {
        SigningSecret(format!("whsec_{}", BASE64_STANDARD.encode(entropy)))
    }

    /// As it was kept.
    pub fn kept(text: String) -> SigningSecret {
        SigningSecret(text)
    }

    /// To show it once, and to keep it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The bytes that sign. `None` where the text is no secret.
    pub fn key(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.0.strip_prefix("whsec_")?).ok()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// Networks that are inside and may be reached all the same, because the operator says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<AddressRange>);

impl FromIterator<AddressRange> for Networks {
    fn from_iter<T: IntoIterator<Item = AddressRange>>(networks: T) -> Networks {
        Networks(networks.into_iter().collect())
    }
}

/// What is not the internet, of the addresses of version 4.
///
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
const INSIDE_V4: &[AddressRange] = &[
    // This network: the machine itself, where a system takes it for an address.
    AddressRange::v4([0, 0, 0, 0], 8),
    AddressRange::v4([10, 0, 0, 0], 8),
    // Shared by the customers of a carrier; Alibaba's metadata are here.
    AddressRange::v4([100, 64, 0, 0], 10),
    AddressRange::v4([127, 0, 0, 0], 8),
    // Link-local, with the metadata of most clouds.
    AddressRange::v4([169, 254, 0, 0], 16),
    AddressRange::v4([172, 16, 0, 0], 12),
    // Of protocols; Oracle's metadata are here.
    AddressRange::v4([192, 0, 0, 0], 24),
    AddressRange::v4([192, 0, 2, 0], 24),
    // Relays of 6to4.
    AddressRange::v4([192, 88, 99, 0], 24),
    AddressRange::v4([192, 168, 0, 0], 16),
    AddressRange::v4([198, 18, 0, 0], 15),
    AddressRange::v4([198, 51, 100, 0], 24),
    AddressRange::v4([203, 0, 113, 0], 24),
    // Multicast, reserved, and broadcast.
    AddressRange::v4([224, 0, 0, 0], 3),
    // Azure's machines are told about themselves here, at an address that looks like any other.
    AddressRange::v4([168, 63, 129, 16], 32),
];

/// What is the internet, of the addresses of version 6, and what of it is not.
///
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const OUTSIDE_V6: AddressRange = AddressRange::v6([0x2000, 0, 0], 3);
const INSIDE_V6: &[AddressRange] = &[
    // Of protocols, with Teredo, ORCHID and benchmarks.
    AddressRange::v6([0x2001, 0, 0], 23),
    AddressRange::v6([0x2001, 0xdb8, 0], 32),
    AddressRange::v6([0x3fff, 0, 0], 20),
];

/// Prefixes behind which stands an address of version 4, and at which bit it begins.
const WITH_V4: &[(AddressRange, u32)] = &[
    // NAT64, and 6to4.
    (AddressRange::v6([0x64, 0xff9b, 0], 96), 96),
    (AddressRange::v6([0x2002, 0, 0], 16), 16),
];

/// Whether an address is one of the internet, whatever it is dressed up as.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(_) => !INSIDE_V4.iter().any(|it| it.contains(address.to_canonical())),
        IpAddr::V6(v6) => {
            let within = |(network, begin): &(AddressRange, u32)| {
                let bits = v6.to_bits() << begin >> 96;
                let bits = u32::try_from(bits).expect("it was shifted to 32 bits");
                network.contains(address).then(|| Ipv4Addr::from_bits(bits))
            };
            if let Some(v4) = WITH_V4.iter().find_map(within) {
                return is_public(IpAddr::V4(v4));
            }
            // ISATAP: `0:5efe` and the address of version 4, below any prefix.
            let [.., high, mark, c, d] = v6.segments();
            if mark == 0x5efe && matches!(high, 0 | 0x200) {
                let bits = u32::from(c) << 16 | u32::from(d);
                return is_public(IpAddr::V4(Ipv4Addr::from_bits(bits)));
            }
            OUTSIDE_V6.contains(address) && !INSIDE_V6.iter().any(|it| it.contains(address))
        }
    }
}

impl Networks {
    /// Whether the operator allows an address that is inside. One of version 4 that is written as one
    /// of version 6 is reached as what it is, and allowed as that: `::/0` does not allow it.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|it| it.contains(address))
    }

    /// Whether an endpoint may be at an address: at one of the internet encrypted, at one that the
    /// operator allows either way.
    pub fn allow(&self, address: IpAddr, is_encrypted: bool) -> bool {
        (is_encrypted && is_public(address)) || self.contain(address)
    }
}

/// The address of an endpoint: `https`, or `http` into a network that the operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl(Url);

/// Why an address is not that of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUrl {
    /// It is none, or too long.
    Malformed,
    /// Neither `https`, nor `http` where that is possible.
    Scheme,
    /// It has a user name, a password or a fragment.
    Parts,
    /// It is inside, and the operator does not allow it.
    Inside,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadUrl::Malformed => "it is not a URL with a host, or longer than 2,048 characters",
            BadUrl::Scheme => "it is not `https`",
            BadUrl::Parts => "it has a user name, a password or a fragment",
            BadUrl::Inside => "it points to an address that is not of the internet",
        })
    }
}

impl EndpointUrl {
    /// Checks an address. Whose name stands in it is found out when something is brought there, and
    /// refused then where it is inside; what can be seen already is refused now.
    pub fn parse(text: &str, allowed: &Networks) -> Result<EndpointUrl, BadUrl> {
        if text.len() > URL_MAX {
            return Err(BadUrl::Malformed);
        }
        let url = Url::parse(text.trim()).map_err(|_| BadUrl::Malformed)?;
        let is_encrypted = match url.scheme() {
            "https" => true,
            "http" if !allowed.0.is_empty() => false,
            _ => return Err(BadUrl::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(BadUrl::Parts);
        }
        let address = match url.host().ok_or(BadUrl::Malformed)? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                let is_here = name == "localhost" || name.ends_with(".localhost");
                is_here.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
        };
        if address.is_some_and(|address| !allowed.allow(address, is_encrypted))
            || url.port() == Some(0)
        {
            return Err(BadUrl::Inside);
        }
        Ok(EndpointUrl(url))
    }

    /// As it is kept and called.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The address that stands in it instead of a name. No name server is asked for it.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|it| it.parse::<AddressRange>().unwrap()).collect()
    }

    /// Addresses, and whether they are of the internet: a line each, `public` or `inside` first.
    const ADDRESSES: &str = include_str!("webhook/addresses.txt");

    /// Addresses of endpoints as somebody hostile writes them, and what becomes of each.
    const URLS: &str = include_str!("webhook/urls.txt");

    fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| line.split_once(' ').expect("a verdict and an address"))
    }

    #[test]
    fn what_is_inside_is_known_in_every_spelling() {
        let mut verdicts = std::collections::BTreeMap::<_, u32>::new();
        for (verdict, text) in lines(ADDRESSES) {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(is_public(address), verdict == "public", "{text}");
            *verdicts.entry(verdict).or_default() += 1;
        }
        assert_eq!(verdicts.keys().copied().collect::<Vec<_>>(), ["inside", "public"]);
    }

    #[test]
    fn hostile_addresses_are_refused() {
        let mut count = 0;
        for (verdict, text) in lines(URLS) {
            let found = match EndpointUrl::parse(text, &Networks::default()) {
                Ok(_) => "asked",
                Err(BadUrl::Malformed) => "malformed",
                Err(BadUrl::Scheme) => "scheme",
                Err(BadUrl::Parts) => "parts",
                Err(BadUrl::Inside) => "inside",
            };
            assert_eq!(found, verdict, "{text}");
            count += 1;
        }
        assert!(count >= 200, "there are {count}");
        let long = format!("https://example.com/{}", "a".repeat(URL_MAX));
        assert_eq!(EndpointUrl::parse(&long, &Networks::default()), Err(BadUrl::Malformed));
    }

    #[test]
    fn what_the_operator_allows_is_allowed_and_nothing_else() {
        let allowed = networks(&["127.0.0.0/8", "10.1.0.0/16", "fd00:1::/32"]);
        for text in [
            "http://127.0.0.1:8080/hook",
            "http://localhost:8080/hook",
            "https://10.1.2.3/hook",
            "http://[fd00:1::2]/hook",
            "http://[::ffff:10.1.2.3]/hook",
            // Where a name leads is found out when it is called.
            "http://app.internal/hook",
            "https://8.8.8.8/hook",
        ] {
            assert!(EndpointUrl::parse(text, &allowed).is_ok(), "{text}");
        }
        for text in ["http://10.2.0.1/", "https://192.168.0.1/", "http://8.8.8.8/", "http://[::1]/"]
        {
            assert_eq!(EndpointUrl::parse(text, &allowed), Err(BadUrl::Inside), "{text}");
        }
        assert!(networks(&["0.0.0.0/0"]).contain("169.254.169.254".parse().unwrap()));
        assert!(!networks(&["0.0.0.0/0"]).contain("::1".parse().unwrap()));
        // Written as one of version 6, an address of version 4 is still one of version 4.
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        assert!(networks(&["10.1.0.0/16"]).contain(mapped));
        assert!(networks(&["::ffff:10.1.0.0/112"]).contain(mapped));
        assert!(networks(&["::ffff:10.1.0.0/112"]).contain("10.1.2.3".parse().unwrap()));
        assert!(!networks(&["::/0"]).contain(mapped));
        assert!(networks(&["::/0"]).contain("fd00::1".parse().unwrap()));
    }

    #[test]
    fn events_are_chosen_by_type_organization_and_directory() {
        struct Nth(u128);
        impl crate::Ids for Nth {
            fn next(&self) -> uuid::Uuid {
                uuid::Uuid::from_u128(self.0)
            }
        }
        let organization = |it| OrganizationId::new(&Nth(it));
        let directory = |it| DirectoryId::new(&Nth(it));
        let of = |kind, org: Option<u128>, dir: Option<u128>| {
            (kind, org.map(organization), dir.map(directory))
        };
        let check = |filter: &Filter, (kind, org, dir), expected: bool| {
            assert_eq!(filter.matches(kind, org, dir), expected, "{filter:?} {kind}");
        };
        let created = of("directory.user.created", Some(1), Some(2));
        let of_server = of("webhook.endpoint_disabled", None, None);
        let everything = Filter::default();
        check(&everything, created, true);
        check(&everything, of_server, true);

        let types = |types: &[&str]| Filter {
            types: types.iter().map(|&it| it.to_owned()).collect(),
            ..Filter::default()
        };
        check(&types(&["directory.user.*"]), created, true);
        check(&types(&["directory.user.created"]), created, true);
        check(&types(&["directory.user.createdx", "directory.group.*"]), created, false);
        check(&types(&["webhook.*"]), of_server, true);

        let organizations = Filter { organizations: vec![organization(1)], ..Filter::default() };
        check(&organizations, created, true);
        check(&organizations, of("directory.user.created", Some(2), Some(2)), false);
        check(&organizations, of_server, false);
        let directories = Filter { directories: vec![directory(3)], ..Filter::default() };
        check(&directories, created, false);

        for text in ["directory.user.created", "directory.user.*", "directory.*", "webhook.*"] {
            assert!(Filter::is_type(text), "{text}");
        }
        for text in ["", "*", "user.created", "directory.user", "directory.us.*", ".*"] {
            assert!(!Filter::is_type(text), "{text}");
        }
    }

    #[test]
    fn a_signing_secret_is_32_bytes_and_not_printed() {
        let secret = SigningSecret::new([7; 32]);
        assert_eq!(secret.key(), Some(vec![7; 32]));
        assert_eq!(SigningSecret::kept(secret.reveal().to_owned()), secret);
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
        assert_eq!(SigningSecret::kept("whsec_?".to_owned()).key(), None);
    }
}
