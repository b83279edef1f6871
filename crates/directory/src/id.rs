//! Names for things that never change and are never reused.
//!
//! Management ids are a prefix, a hyphen and 26 characters of base 32: they sort by time, and
//! they hold no `_`, because Okta refuses a base URL with one in it. Ids that providers see are
//! UUIDs. All of them are version 7 UUIDs underneath.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Where new ids come from. Chance arrives as an argument; the front door has the real one.
pub trait Ids: Send + Sync {
    /// An id that no call has returned before, and that sorts after those of earlier calls.
    fn next(&self) -> Uuid;
}

/// Crockford's base 32 in lower case: no `i`, `l`, `o` or `u` to misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 128 bits are 26 characters of five bits; the first carries three.
const LENGTH: usize = 26;

fn encode(id: Uuid) -> [u8; LENGTH] {
    let bits = id.as_u128();
    std::array::from_fn(|place| {
        let shift = 5 * (LENGTH - 1 - place);
        ALPHABET[((bits >> shift) & 31) as usize]
    })
}

fn decode(text: &str) -> Option<Uuid> {
    if text.len() != LENGTH {
        return None;
    }
    let mut bits: u128 = 0;
    for (place, letter) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|it| *it == letter)?;
        if place == 0 && digit > 7 {
            return None;
        }
        bits = bits << 5 | digit as u128;
    }
    Some(Uuid::from_u128(bits))
}

/// The text is not an id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not an id of this kind")
    }
}

impl std::error::Error for NotAnId {}

macro_rules! management_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one.
            pub fn new(ids: &dyn Ids) -> $name {
                $name(ids.next())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "-"))?;
                f.write_str(std::str::from_utf8(&encode(self.0)).expect("base 32 is ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<$name, NotAnId> {
                let rest = text.strip_prefix(concat!($prefix, "-")).ok_or(NotAnId)?;
                decode(rest).map($name).ok_or(NotAnId)
            }
        }
    };
}

management_id!(
    /// One customer of the vendor: `org-…`.
    OrganizationId,
    "org"
);
management_id!(
    /// One SCIM connection of an organization: `dir-…`.
    DirectoryId,
    "dir"
);
management_id!(
    /// One entry of the log of what happened: `evt-…`.
    EventId,
    "evt"
);
management_id!(
    /// One credential, of a directory or of the vendor: `tok-…`.
    TokenId,
    "tok"
);
management_id!(
    /// One client of OAuth, of a directory: `cli-…`.
    ClientId,
    "cli"
);
management_id!(
    /// One request and its answer, in the log: `req-…`.
    RequestId,
    "req"
);

management_id!(
    /// That changes of a directory wait: `hold-…`.
    HoldId,
    "hold"
);

management_id!(
    /// One entry of the audit log: `aud-…`.
    AuditId,
    "aud"
);
management_id!(
    /// The erasure of a person: `era-…`.
    ErasureId,
    "era"
);
management_id!(
    /// A webhook endpoint of the vendor: `whe-…`.
    EndpointId,
    "whe"
);
management_id!(
    /// One event on its way to one endpoint, with all attempts to bring it: `whd-…`.
    DeliveryId,
    "whd"
);

management_id!(
    /// A link that opens the portal: `link-…`.
    PortalLinkId,
    "link"
);

management_id!(
    /// A person of the vendor who signs in to the dashboard: `mbr-…`.
    MemberId,
    "mbr"
);
management_id!(
    /// A browser in which a member is signed in: `ses-…`.
    SessionId,
    "ses"
);

/// The id of a user or of a group: what a membership can name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(Uuid);

/// The SCIM id of a user.
pub type UserId = ResourceId;

/// The SCIM id of a group.
pub type GroupId = ResourceId;

impl ResourceId {
    /// A new one.
    pub fn new(ids: &dyn Ids) -> ResourceId {
        ResourceId(ids.next())
    }

    /// Reads an id exactly as we print it. Ids compare with case (RFC 7643 §3.1), so another
    /// spelling of the same UUID is not the same id.
    pub fn parse(text: &str) -> Option<ResourceId> {
        let id = Uuid::try_parse(text).ok()?;
        let mut canonical = Uuid::encode_buffer();
        (id.hyphenated().encode_lower(&mut canonical) == text).then_some(ResourceId(id))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ResourceId, D::Error> {
        let text = String::deserialize(deserializer)?;
        ResourceId::parse(&text).ok_or_else(|| de::Error::custom(NotAnId))
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u128);

    impl Ids for Fixed {
        fn next(&self) -> Uuid {
            Uuid::from_u128(self.0)
        }
    }

    #[test]
    fn management_ids_read_back_what_they_print() {
        for bits in [0, 1, 31, 32, u128::MAX, 0x0193_0000_0000_7000_8000_0000_0000_0001] {
            let id = DirectoryId::new(&Fixed(bits));
            let text = id.to_string();
            assert_eq!(text.len(), "dir-".len() + 26);
            assert!(!text.contains('_'), "Okta refuses a base URL with `_`");
            assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn ids_sort_by_time_as_text() {
        let earlier = DirectoryId::new(&Fixed(0x0193_0000_0000_7000_8000_0000_0000_0001));
        let later = DirectoryId::new(&Fixed(0x0193_0000_0001_7000_8000_0000_0000_0000));
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        let twenty_six = "0".repeat(26);
        for text in [
            String::new(),
            "dir-".to_owned(),
            twenty_six.clone(),
            format!("org-{twenty_six}"),
            format!("dir-{twenty_six}0"),
            // More than 128 bits.
            format!("dir-8{}", "0".repeat(25)),
            format!("dir-{}", "u".repeat(26)),
            format!("DIR-{twenty_six}"),
            "dir-é0000000000000000000000000".to_owned(),
        ] {
            assert_eq!(text.parse::<DirectoryId>(), Err(NotAnId), "{text}");
        }
    }

    #[test]
    fn a_resource_id_has_one_spelling() {
        let text = "01930000-0000-7000-8000-00000000000a";
        assert_eq!(ResourceId::parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        assert_eq!(ResourceId::parse(&text.to_uppercase()), None);
        assert_eq!(ResourceId::parse(&text.replace('-', "")), None);
        assert_eq!(ResourceId::parse("7"), None);
    }
}
