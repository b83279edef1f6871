//! How text is compared where case does not matter.

use std::borrow::Cow;

use unicode_normalization::char::decompose_compatible;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The key under which a case-insensitive text is compared, kept and found: two texts are equal
/// without regard to case when their keys are the same bytes. Uniqueness, filters, sorting and the
/// databases all use this key and nothing else, so they cannot disagree.
///
/// It is made in the order of RFC 8265 §3.3 (`UsernameCaseMapped`, which RFC 7644 §5 asks for):
/// full-width and half-width forms become ordinary ones, letters become lower case, and the whole
/// is normalized to NFC. Nothing is refused and no locale is asked. A letter's lower case does
/// not depend on its neighbours, and a final sigma counts as a sigma: otherwise the key of
/// `ΟΔΥΣ` would not be the beginning of the key of `ΟΔΥΣΣΕΥΣ`.
///
/// Folding twice gives the same as folding once. Text that is its own key is borrowed.
///
/// ```
/// use scim::text::fold;
///
/// assert_eq!(fold("ＢＪensen@Example.COM"), "bjensen@example.com");
/// assert_eq!(fold("Zoe\u{308}"), fold("ZOË"));
/// assert_eq!(fold("Straße"), "straße");
/// ```
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let lower = text.chars().map(narrow).flat_map(char::to_lowercase).map(one_sigma);
    // Many a text is its own key but for nothing; only a comparison can tell.
    if lower.clone().eq(text.chars()) && is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(lower.nfc().collect())
}

/// The key under which references are compared: scheme and host in small letters, in which they are
/// the same in any case, and all else as it is (RFC 3986 §6.2.2.1). What has no scheme is its own key:
/// it is relative, or it is no URI.
///
/// ```
/// use scim::text::reference_key;
///
/// assert_eq!(reference_key("HTTPS://Ana@People.Example:443/Ana"), "https://Ana@people.example:443/Ana");
/// assert_eq!(reference_key("Users/7"), "Users/7");
/// ```
pub fn reference_key(reference: &str) -> Cow<'_, str> {
    let is_of_scheme = |it: u8| it.is_ascii_alphanumeric() || b"+-.".contains(&it);
    let scheme = reference.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
        scheme.starts_with(|it: char| it.is_ascii_alphabetic()) && scheme.bytes().all(is_of_scheme)
    });
    let Some(scheme) = scheme else { return Cow::Borrowed(reference) };
    let host = match reference[scheme.len()..].strip_prefix("://") {
        Some(rest) => {
            let start = reference.len() - rest.len();
            let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
            let user_info = authority.rfind('@').map_or(0, |at| at + 1);
            start + user_info..start + authority.len()
        }
        None => 0..0,
    };
    let has_capitals = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
    if !has_capitals(scheme) && !has_capitals(&reference[host.clone()]) {
        return Cow::Borrowed(reference);
    }
    let mut key = reference.to_owned();
    key[..scheme.len()].make_ascii_lowercase();
    key[host].make_ascii_lowercase();
    Cow::Owned(key)
}

/// The ordinary form of a full-width or half-width character: one step of its decomposition
/// (RFC 8264 §5.2.1).
fn narrow(wide: char) -> char {
    let code = u32::from(wide);
    let mapped = match code {
        // These two are the ones whose ordinary forms decompose further, which is not wanted.
        0xFFE3 => Some('\u{AF}'),
        0xFFA0..=0xFFDC => halfwidth_hangul(code),
        0x3000 | 0xFF01..=0xFF9F | 0xFFE0..=0xFFEE => {
            let mut single = None;
            decompose_compatible(wide, |part| single = Some(part));
            single
        }
        _ => None,
    };
    mapped.unwrap_or(wide)
}

/// Half-width Hangul stands in the order of the ordinary letters, in groups of six.
fn halfwidth_hangul(code: u32) -> Option<char> {
    let letter = match code {
        0xFFA0 => 0x3164,
        0xFFA1..=0xFFBE => code - 0xFFA1 + 0x3131,
        0xFFC2..=0xFFC7 => code - 0xFFC2 + 0x314F,
        0xFFCA..=0xFFCF => code - 0xFFCA + 0x3155,
        0xFFD2..=0xFFD7 => code - 0xFFD2 + 0x315B,
        0xFFDA..=0xFFDC => code - 0xFFDA + 0x3161,
        _ => return None,
    };
    char::from_u32(letter)
}

fn one_sigma(letter: char) -> char {
    if letter == 'ς' { 'σ' } else { letter }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_differ_in_case_width_or_composition_have_one_key() {
        let check = |text: &str, expected: &str| assert_eq!(fold(text), expected, "{text}");
        check("", "");
        check("bjensen", "bjensen");
        check("BJensen", "bjensen");
        check("ＢＪＥＮＳＥＮ＠ｅｘａｍｐｌｅ．ｃｏｍ", "bjensen@example.com");
        check("\u{3000}", " ");
        check("ｶﾞ", "ガ");
        check("ﾡ", "ㄱ");
        check("￣", "\u{AF}");
        check("￦", "₩");
        check("E\u{301}", "é");
        check("É", "é");
        // The lower case of the dotted capital keeps its dot, and the dotless letter stays itself:
        // only a Turkish locale would make them one with `I` and `i`.
        check("İ", "i\u{307}");
        check("I", "i");
        check("ı", "ı");
        check("ß", "ß");
        check("ẞ", "ß");
        check("ΟΔΥΣΣΕΥΣ", "οδυσσευσ");
        check("οδυσσευς", "οδυσσευσ");
        // Compatibility forms that are not of width stay as they are.
        check("ﬁ", "ﬁ");
        check("²", "²");
        check("\u{212A}", "k");
    }

    #[test]
    fn of_a_reference_only_scheme_and_host_have_no_case() {
        let check = |text: &str, expected: &str| {
            assert_eq!(reference_key(text), expected, "{text}");
            assert_eq!(reference_key(expected), expected, "{text}");
        };
        check("", "");
        check("https://people.example/Ana", "https://people.example/Ana");
        check("HTTPS://PEOPLE.example/Ana?Q=A#B", "https://people.example/Ana?Q=A#B");
        check("Https://Me:Secret@A@Host:8443", "https://Me:Secret@A@host:8443");
        check("http://[2001:DB8::A]/X", "http://[2001:db8::a]/X");
        check("HTTP://HÖST?X", "http://hÖst?X");
        check("https:///Path", "https:///Path");
        check("URN:Example:A", "urn:Example:A");
        check("MAILTO:Ana@Example.com", "mailto:Ana@Example.com");
        for own in ["Users/7", "/Users/A:B", "//Host/A", "1A:B", ":A", "A B:C", "Ä:B"] {
            check(own, own);
        }
        assert!(matches!(reference_key("https://a.example/A"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_text_that_is_its_own_key_is_borrowed() {
        assert!(matches!(fold("bjensen@example.com"), Cow::Borrowed(_)));
        assert!(matches!(fold("zoë"), Cow::Borrowed(_)));
        assert!(matches!(fold("ZOË"), Cow::Owned(_)));
    }

    #[test]
    fn every_character_folds_once_and_for_all() {
        for letter in '\0'..='\u{1FFFF}' {
            let text = letter.to_string();
            let once = fold(&text);
            assert_eq!(fold(&once), once, "{letter:?}");
            assert_eq!(fold(&text.nfd().collect::<String>()), once, "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once), once.as_str());
        }

        #[test]
        fn composition_does_not_matter(text in any::<String>()) {
            let apart: String = text.nfd().collect();
            let together: String = text.nfc().collect();
            prop_assert_eq!(fold(&apart), fold(&together));
        }
    }
}
