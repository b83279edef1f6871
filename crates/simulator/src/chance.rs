//! Chance that can be repeated: the same seed gives the same ids, names and passwords.

/// Letters and digits, as Okta's ids use them.
pub(crate) const BASE_62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Lower-case letters and digits, for names that must not depend on case.
pub(crate) const BASE_36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Letters, digits and the symbols seen in Okta's placeholder passwords.
pub(crate) const SYMBOLS: &[u8] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz&^!#";

/// A small generator (SplitMix64). Not for secrets: what it makes stands for random values, and
/// must come out the same in every run with the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A text of so many characters from an alphabet of ASCII characters.
    pub(crate) fn text(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length)
            .map(|_| {
                let size = u64::try_from(alphabet.len()).expect("an alphabet is short");
                let place = usize::try_from(self.bits() % size).expect("less than the alphabet");
                char::from(alphabet[place])
            })
            .collect()
    }
}
