//! Time-based codes (RFC 6238): six digits that an app on somebody's phone shows, made of the time and of
//! a secret that both sides have.
//!
//! Written here, over the HMAC that `web` has anyway: what a crate would add are twenty lines and a
//! dozen dependencies, and the RFC has vectors to hold them against.

use directory::secret::Entropy;
use ring::hmac;

/// Seconds for which a code is shown (RFC 6238 §5.2).
const STEP_SECONDS: i64 = 30;

/// Steps that a phone's clock may be before or behind ours: "We RECOMMEND that at most one time step is
/// allowed as the network delay" (§5.2).
const STEPS_OFF: u64 = 1;

/// Bytes of a secret: those of the hash (RFC 4226 §4, R6).
const SECRET_BYTES: usize = 20;

/// What codes are made from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CodeSecret([u8; SECRET_BYTES]);

impl std::fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeSecret(…)")
    }
}

impl CodeSecret {
    /// A new one. It follows from nothing that somebody else has seen, such as the link of an invitation,
    /// which whoever passed it on may have kept.
    pub(crate) fn new(chance: Entropy) -> CodeSecret {
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&chance[..SECRET_BYTES]);
        CodeSecret(secret)
    }

    /// What [`CodeSecret::text`] gave, and was kept.
    pub(crate) fn read(text: &str) -> Option<CodeSecret> {
        let mut secret = Vec::new();
        let (mut bits, mut count) = (0_u32, 0);
        for letter in text.bytes() {
            let digit = ALPHABET.iter().position(|it| *it == letter)?;
            bits = bits << 5 | u32::try_from(digit).ok()?;
            count += 5;
            if count >= 8 {
                count -= 8;
                secret.push(u8::try_from(bits >> count & 0xff).ok()?);
            }
        }
        secret.try_into().ok().map(CodeSecret)
    }

    /// As apps take it, and as it is kept: base 32 (RFC 4648 §6). 20 bytes are 32 letters, without a
    /// rest.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let (mut bits, mut count) = (0_u32, 0);
        for byte in self.0 {
            bits = bits << 8 | u32::from(byte);
            count += 8;
            while count >= 5 {
                count -= 5;
                text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
            }
        }
        text
    }

    /// The step for which somebody shows a code, if it is good now, or was a moment ago.
    pub(crate) fn step_of(&self, code: &str, second: i64) -> Option<u64> {
        let code: String = code.chars().filter(|it| !it.is_whitespace()).collect();
        let now = u64::try_from(second / STEP_SECONDS).ok()?;
        let steps = now.saturating_sub(STEPS_OFF)..=now + STEPS_OFF;
        // All of them are made, and each is compared whole.
        let matching = |step: &u64| {
            let expected = self.code(*step);
            let differs = expected.bytes().zip(code.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
            expected.len() == code.len() && differs == 0
        };
        steps.rev().find(matching)
    }

    /// The code of a step (RFC 4226 §5.3).
    fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 15);
        let bytes = [tag[offset] & 0x7f, tag[offset + 1], tag[offset + 2], tag[offset + 3]];
        format!("{:06}", u32::from_be_bytes(bytes) % 1_000_000)
    }
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, of which the last six digits are ours.
        let secret = CodeSecret(*b"12345678901234567890");
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(second / STEP_SECONDS).unwrap();
            assert_eq!(secret.code(step), code);
            assert_eq!(secret.step_of(code, second), Some(step));
            assert_eq!(
                secret.step_of(&format!(" {} {}", &code[..3], &code[3..]), second),
                Some(step)
            );
            // One step before and after, and no further.
            assert_eq!(secret.step_of(code, second + STEP_SECONDS), Some(step));
            assert_eq!(secret.step_of(code, (second - STEP_SECONDS).max(0)), Some(step));
            assert_eq!(secret.step_of(code, second + 2 * STEP_SECONDS), None);
        }
        for wrong in ["", "287083", "28708", "2870820", "abcdef"] {
            assert_eq!(secret.step_of(wrong, 59), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_is_printed() {
        let secret = CodeSecret(*b"12345678901234567890");
        assert_eq!(secret.text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(CodeSecret::read(&secret.text()), Some(secret.clone()));
        for wrong in ["", "GEZDGNBV", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", &secret.text().repeat(2)]
        {
            assert_eq!(CodeSecret::read(wrong), None, "{wrong}");
        }
        assert_ne!(CodeSecret::new([7; 32]), CodeSecret::new([8; 32]));
        assert_eq!(format!("{secret:?}"), "CodeSecret(…)");
    }
}
