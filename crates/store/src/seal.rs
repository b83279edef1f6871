//! What hides a place in a text that somebody hands back, so that nobody finds a meaning in it or makes
//! one: cursors of lists, and of the feed.

use directory::secret::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What makes and opens cursors, in one life of a database.
#[derive(Clone)]
pub(crate) struct Sealer {
    epoch: String,
    secret: String,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Bytes of a seal.
const SEAL: usize = 16;

/// Bytes that are ever hidden: a place in a list with the key that it is sorted by.
const HIDDEN_MAX: usize = 32 + scim::limit::SORT_KEY_BYTES_MAX;

impl Sealer {
    pub(crate) fn new(epoch: String, secret: String) -> Sealer {
        Sealer { epoch, secret }
    }

    /// The name of this life of the database.
    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Hides bytes for a purpose and a context, in 32 hexadecimal digits and twice what it hides.
    ///
    /// It is the same for the same bytes: the seal, made of what is hidden, also begins the stream of
    /// bytes that hides it (the construction of RFC 5297, with HMAC-SHA-256 for both halves). Nothing
    /// is kept for it, on any node.
    pub(crate) fn hide(&self, purpose: &str, context: &[u8], mut bytes: Vec<u8>) -> String {
        let seal = self.seal_of(purpose, context, &bytes).finalize().into_bytes();
        let seal: [u8; SEAL] = *seal.first_chunk().expect("it has 32 bytes");
        self.turn(purpose, seal, &mut bytes);
        format!("{}{}", hex(&seal), hex(&bytes))
    }

    /// Shows again what was hidden for the same purpose and context, and nothing else.
    pub(crate) fn show(&self, purpose: &str, context: &[u8], text: &str) -> Option<Vec<u8>> {
        let bytes = from_hex(text)?;
        let (seal, bytes) = bytes.split_first_chunk::<SEAL>()?;
        let mut bytes = bytes.to_vec();
        self.turn(purpose, *seal, &mut bytes);
        let expected = self.seal_of(purpose, context, &bytes);
        expected.verify_truncated_left(seal).ok().map(|()| bytes)
    }

    fn seal_of(&self, purpose: &str, context: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed(&format!("seal of a {purpose}"));
        mac.update(&(context.len() as u64).to_be_bytes());
        mac.update(context);
        mac.update(bytes);
        mac
    }

    /// Hides, and shows again what was hidden.
    fn turn(&self, purpose: &str, seal: [u8; SEAL], bytes: &mut [u8]) {
        for (number, chunk) in (0_u64..).zip(bytes.chunks_mut(32)) {
            let mut mac = self.keyed(&format!("stream of a {purpose}"));
            mac.update(&seal);
            mac.update(&number.to_be_bytes());
            let stream = mac.finalize().into_bytes();
            for (byte, other) in chunk.iter_mut().zip(stream) {
                *byte ^= other;
            }
        }
    }

    /// What makes or checks something of one purpose, of this life of the database.
    pub(crate) fn keyed(&self, purpose: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("any length of key will do");
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(self.epoch.as_bytes());
        mac.update(b"\n");
        mac
    }
}

/// Reads what [`hex`] prints, in that spelling only; nothing of ours is longer than a seal and what it
/// hides.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 2 * (SEAL + HIDDEN_MAX) {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    text.as_bytes().chunks(2).map(|two| Some(digit(two[0])? << 4 | digit(two[1])?)).collect()
}
