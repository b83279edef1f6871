//! Credentials: made from chance, shown once, kept as a hash.

use std::fmt;

use sha2::{Digest, Sha256};

/// 256 bits of chance, given by the front door.
pub type Entropy = [u8; 32];

/// A credential in the clear. It is shown to a person once and never kept; printing it for
/// debugging shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What is kept of a credential. The credential has 256 bits of chance, so a plain hash cannot be
/// guessed back, and no salt or slowness is needed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretHash(String);

/// What a secret opens, by its first letters. A scanner that finds a leaked secret can say what
/// it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A SCIM token of one directory.
    ScimToken,
    /// A key of the vendor for the management API.
    ApiKey,
    /// What a client of OAuth proves itself with.
    ClientSecret,
    /// What a client of OAuth was given for it, for an hour or a few.
    AccessToken,
    /// What stands in a link to the portal.
    PortalLink,
    /// What the browser was given that opened a link first.
    PortalSession,
    /// What stands in the link by which a member is invited.
    Invitation,
    /// What the browser was given in which a member is signed in.
    MemberSession,
}

impl SecretKind {
    fn prefix(self) -> &'static str {
        match self {
            SecretKind::ScimToken => "roster-scim-",
            SecretKind::ApiKey => "roster-api-",
            SecretKind::ClientSecret => "roster-client-",
            SecretKind::AccessToken => "roster-access-",
            SecretKind::PortalLink => "roster-portal-",
            SecretKind::PortalSession => "roster-visit-",
            SecretKind::Invitation => "roster-invitation-",
            SecretKind::MemberSession => "roster-session-",
        }
    }
}

impl Secret {
    /// A new secret of this kind.
    pub fn new(kind: SecretKind, entropy: Entropy) -> Secret {
        Secret(format!("{}{}", kind.prefix(), hex(&entropy)))
    }

    /// To show it, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// To keep it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// The last four characters, by which a person tells one from another.
    pub fn last_four(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl SecretHash {
    /// The hash of whatever somebody presented.
    pub fn of(presented: &str) -> SecretHash {
        SecretHash(hex(&Sha256::digest(presented.as_bytes())))
    }

    /// The hash that [`SecretHash::as_str`] gave, and that was kept.
    pub fn kept(text: String) -> SecretHash {
        SecretHash(text)
    }

    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes as text: two digits each, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_again_by_its_hash_and_not_printed() {
        let secret = Secret::new(SecretKind::ScimToken, [7; 32]);
        assert_eq!(secret.hash(), SecretHash::of(secret.reveal()));
        assert_ne!(secret.hash(), SecretHash::of(&format!("{} ", secret.reveal())));
        assert_eq!(secret.last_four(), "0707");
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret(…) SecretHash(…)");
    }
}
