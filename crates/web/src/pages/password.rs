//! Passwords: kept as Argon2id makes them, slow to guess even for whoever has the database.

use argon2::{Algorithm, Argon2, Params, Version};
use directory::secret::{Entropy, hex};
use tokio::sync::Semaphore;

/// Characters of a password at least (NIST SP 800-63B asks for 8 beside a second factor).
pub(crate) const CHARACTERS_MIN: usize = 12;

/// Bytes of a password at most: more is nobody's, and has to be hashed.
const BYTES_MAX: usize = 1_000;

/// Memory in KiB, rounds and lanes.
type Cost = (u32, u32, u32);
type Salt = [u8; SALT_BYTES];

/// As OWASP recommends it for Argon2id.
const COST: Cost = (19 * 1024, 2, 1);

/// Bytes of salt, and of what is kept.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Passwords that are hashed at once. Each takes 19 MiB and a core for some tens of milliseconds;
/// whoever tries many waits in a line.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Whether somebody may choose this one.
pub(crate) fn is_long_enough(password: &str) -> bool {
    password.chars().count() >= CHARACTERS_MIN && password.len() <= BYTES_MAX
}

/// What is kept of a password: how it was made, the salt, and the hash.
pub(crate) async fn hash(password: &str, chance: Entropy) -> String {
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&chance[..SALT_BYTES]);
    let (memory, rounds, lanes) = COST;
    let hash = make(password, salt, COST).await.unwrap_or_default();
    format!("argon2id {memory} {rounds} {lanes} {} {}", hex(&salt), hex(&hash))
}

/// Whether it is the password of which this was kept. Where nothing was kept, that takes as long and
/// is not so: nobody shall see by the time whether there is somebody.
pub(crate) async fn is_right(password: &str, kept: Option<&str>) -> bool {
    let (salt, cost, expected) = match kept.map(read) {
        Some(Some(kept)) => kept,
        // What nobody can read is nobody's password either.
        Some(None) | None => ([0; SALT_BYTES], COST, Vec::new()),
    };
    let Some(hash) = make(password, salt, cost).await else { return false };
    let differs = hash.iter().zip(&expected).fold(0, |all, (a, b)| all | (a ^ b));
    expected.len() == HASH_BYTES && differs == 0
}

fn read(kept: &str) -> Option<(Salt, Cost, Vec<u8>)> {
    let mut parts = kept.split(' ');
    if parts.next() != Some("argon2id") {
        return None;
    }
    let mut number = || parts.next()?.parse::<u32>().ok();
    let cost = (number()?, number()?, number()?);
    let salt = bytes(parts.next()?)?;
    Some((salt.try_into().ok()?, cost, bytes(parts.next()?)?))
}

/// Bytes from two digits each.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok());
    digits.collect()
}

async fn make(
    password: &str,
    salt: Salt,
    (memory, rounds, lanes): Cost,
) -> Option<[u8; HASH_BYTES]> {
    if password.len() > BYTES_MAX {
        return None;
    }
    let password = password.to_owned();
    let _place = PLACES.acquire().await.ok()?;
    let hashing = tokio::task::spawn_blocking(move || {
        let params = Params::new(memory, rounds, lanes, Some(HASH_BYTES)).ok()?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hash = [0; HASH_BYTES];
        argon.hash_password_into(password.as_bytes(), &salt, &mut hash).ok()?;
        Some(hash)
    });
    hashing.await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_what_is_kept_of_it() {
        let password = "correct horse battery";
        let kept = hash(password, [7; 32]).await;
        assert!(kept.starts_with("argon2id 19456 2 1 07070707"), "{kept}");
        assert!(!kept.contains(password));
        assert!(is_right(password, Some(&kept)).await);
        for wrong in ["", "correct horse batterz", "correct horse battery "] {
            assert!(!is_right(wrong, Some(&kept)).await, "{wrong}");
        }
        assert_ne!(hash(password, [8; 32]).await, kept);
        // Nobody, and what cannot be read.
        for kept in [None, Some(""), Some("argon2id 19456 2 1 07 07"), Some("plain correct")] {
            assert!(!is_right(password, kept).await, "{kept:?}");
        }
    }

    #[test]
    fn short_ones_are_not_chosen() {
        assert!(!is_long_enough("elevenchars"));
        assert!(is_long_enough("twelve chars"));
        assert!(is_long_enough("zwölf Zeichä"));
        assert!(!is_long_enough(&"x".repeat(1_001)));
    }
}
