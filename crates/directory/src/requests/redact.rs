//! What of a request may be kept: never a credential or a password, and of what it says of people as
//! much as a setting allows.
//!
//! Names decide, in a body as in a query: whatever is called `password`, `secret`, `token` and the
//! like is left out, in every spelling of a PATCH. What looks like a credential of ours is left out
//! wherever it stands. A body is read and written in one pass, and no tree of it is made.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use scim::schema::{Attribute, ResourceType};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::{Part, PersonalData, TEXT_MAX};
use crate::id::{DirectoryId, ResourceId};

/// What stands for what is left out.
pub const HIDDEN: &str = "…";

/// In the name of whatever nobody is to read.
const SECRET_WORDS: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "apikey",
    "credential",
];

/// How credentials of ours begin, and others that are written where they do not belong.
const SECRET_BEGINNINGS: [&str; 7] = [
    "roster-scim-",
    "roster-api-",
    "roster-client-",
    "roster-access-",
    "whsec_",
    "bearer ",
    "basic ",
];

/// Parameters that SCIM knows. What stands behind any other name may be anything.
const PARAMETERS: [&str; 8] = [
    "filter",
    "startindex",
    "count",
    "attributes",
    "excludedattributes",
    "sortby",
    "sortorder",
    "cursor",
];

/// Members whose values say nothing of people.
const IMPERSONAL: [&str; 30] = [
    "schemas",
    "schema",
    "op",
    "operations",
    "id",
    "type",
    "kind",
    "primary",
    "active",
    "meta",
    "resourcetype",
    "created",
    "lastmodified",
    "location",
    "version",
    "$ref",
    "status",
    "scimtype",
    "method",
    "bulkid",
    "failonerrors",
    "totalresults",
    "startindex",
    "itemsperpage",
    "count",
    "resources",
    "nextcursor",
    "previouscursor",
    "attributes",
    "excludedattributes",
];

/// Parts of a path that are ours.
const SEGMENTS: [&str; 14] = [
    "scim",
    "v2",
    "api",
    "Users",
    "Groups",
    "ServiceProviderConfig",
    "ResourceTypes",
    "Schemas",
    "Roles",
    "Entitlements",
    "Bulk",
    ".search",
    "Me",
    "",
];

/// Words of the protocol that are the names of no attributes. Whatever is none of these, nor the name of
/// an attribute that everybody has, may be a person's name: without an `@` in it nobody can tell.
const PROTOCOL: &[&str] = &[
    "eq",
    "ne",
    "co",
    "sw",
    "ew",
    "gt",
    "ge",
    "lt",
    "le",
    "pr",
    "and",
    "or",
    "not",
    "true",
    "false",
    "null",
    "add",
    "remove",
    "replace",
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "path",
    "op",
    "operations",
    "method",
    "data",
    "bulkid",
    "failonerrors",
    "response",
    "detail",
    "scimtype",
    "status",
    "filter",
    "attributes",
    "excludedattributes",
    "sortby",
    "sortorder",
    "ascending",
    "descending",
    "count",
    "startindex",
    "cursor",
    "totalresults",
    "itemsperpage",
    "resources",
    "nextcursor",
    "previouscursor",
    "user",
    "users",
    "group",
    "groups",
    "role",
    "roles",
    "entitlement",
    "entitlements",
    "bulk",
    "search",
    "me",
    "schemas",
    "schema",
    "resourcetypes",
    "resourcetype",
    "serviceproviderconfig",
    "scim",
    "v2",
    "work",
    "home",
    "other",
    "mobile",
    "fax",
    "pager",
    "direct",
    "indirect",
    "uniqueness",
    "toomany",
    "mutability",
    "invalidfilter",
    "invalidsyntax",
    "invalidpath",
    "notarget",
    "invalidvalue",
    "invalidvers",
    "sensitive",
    "invalidcursor",
    "expiredcursor",
    "invalidcount",
    "aadoptscim062020",
    "authorization",
    "bearer",
    "basic",
    "accept",
    "host",
    "etag",
    "if",
    "match",
    "none",
    "content",
    "type",
    "length",
    "encoding",
    "application",
    "json",
    "kind",
    "location",
    "version",
    "ref",
    "lastmodified",
    "created",
    "oauth",
    "http",
    "header",
    "content-encoding",
    "scim+json",
    "dir-…",
];

/// These, and the names of all attributes that everybody has, in lower case.
static PLAIN_WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    fn add(words: &mut BTreeSet<String>, attributes: &[Attribute]) {
        for attribute in attributes {
            words.insert(attribute.name.to_ascii_lowercase());
            add(words, &attribute.sub_attributes);
        }
    }
    let mut words: BTreeSet<_> = PROTOCOL.iter().map(|word| (*word).to_owned()).collect();
    add(&mut words, scim::schema::builtin::common());
    for of in [ResourceType::user(), ResourceType::group(), ResourceType::role()] {
        for schema in of.schemas() {
            add(&mut words, &schema.attributes);
        }
    }
    add(&mut words, &scim::schema::builtin::enterprise_user().attributes);
    words
});

/// Whether a text can be the name of nobody: a word of the protocol, an id, a number or a moment, the name
/// of a schema.
fn is_plain(text: &str) -> bool {
    let is_number = |it: u8| it.is_ascii_digit() || b"-+.:TZ/W\"".contains(&it);
    PLAIN_WORDS.contains(&text.to_ascii_lowercase())
        || ResourceId::parse(text).is_some()
        || text.parse::<DirectoryId>().is_ok()
        || is_urn(text)
        || (text.bytes().any(|it| it.is_ascii_digit()) && text.bytes().all(is_number))
}

/// Whether a text is the name of a schema, or of an attribute with it.
fn is_urn(text: &str) -> bool {
    let is_of_one = |it: u8| it.is_ascii_alphanumeric() || b"-_.:".contains(&it);
    text.starts_with("urn:") && text.bytes().all(is_of_one)
}

/// A path, a filter or a list of attributes, of which every word stays that is plain, and of every other
/// the first character: what stands in quotes, and what should.
fn phrase(text: &str) -> String {
    let is_of_word = |it: char| {
        !(it.is_whitespace() || matches!(it, '(' | ')' | '[' | ']' | ',' | '`' | '\'' | '"' | '/'))
    };
    let word = |text: &str| {
        let is_path = |it: &str| {
            let mut parts = it.trim_start_matches('$').split('.');
            parts.all(|part| part.is_empty() || is_plain(part))
        };
        // By the name of a secret it is known that it is one.
        let is_kept = is_plain(text) || is_path(text) || is_secret_name(text);
        if is_kept { text.to_owned() } else { mask(text) }
    };
    let mut shown = String::with_capacity(text.len());
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            shown.push('"');
        }
        if place % 2 == 1 {
            shown += &mask(part);
            continue;
        }
        let mut rest = part;
        while let Some(begin) = rest.find(is_of_word) {
            shown += &rest[..begin];
            let end = rest[begin..].find(|it| !is_of_word(it)).map_or(rest.len(), |at| begin + at);
            shown += &word(&rest[begin..end]);
            rest = &rest[end..];
        }
        shown += rest;
    }
    shown
}

/// Whether nobody is to read what has this name, or stands at this path.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(|it| !matches!(it, '_' | '-' | ' '))
        .map(|it| it.to_ascii_lowercase())
        .collect();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The beginning of a text.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Leaves credentials out of a text.
pub(super) fn secrets(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    if !SECRET_BEGINNINGS.iter().any(|it| lower.contains(it)) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((at, beginning)) =
        SECRET_BEGINNINGS.iter().filter_map(|it| Some((from + lower[from..].find(it)?, *it))).min()
    {
        let begin = at + beginning.len();
        let rest = &text[begin..];
        let end = rest
            .find(|it: char| !(it.is_ascii_alphanumeric() || "-_+/=.~".contains(it)))
            .unwrap_or(rest.len());
        kept.push_str(&text[from..begin]);
        from = begin;
        // In sentences of ours it is a word that follows, as in `OAuth Bearer Token`, or what stands for a
        // credential; and who writes `Bearer` twice has the credential behind the second one.
        let is_word = rest[..end].eq_ignore_ascii_case("token") || rest.starts_with(HIDDEN);
        if !is_word && !lower[begin..].starts_with("bearer ") {
            kept.push_str(HIDDEN);
            from += end;
        }
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// The first character of a text, and that there was more. Ids are kept.
pub fn mask(text: &str) -> String {
    if text.is_empty() || text == HIDDEN || ResourceId::parse(text).is_some() {
        return text.to_owned();
    }
    text.chars().next().into_iter().chain(HIDDEN.chars()).collect()
}

/// A text that somebody sent.
pub(super) fn word(text: &str, personal_data: PersonalData) -> String {
    let text = secrets(text);
    match personal_data {
        PersonalData::Kept => text.into_owned(),
        PersonalData::Masked => mask(&text),
    }
}

/// A text of ours, which repeats what somebody sent in backticks, and names of people in double quotes:
/// of both, what is a word of the protocol stays.
pub(super) fn prose(text: &str, personal_data: PersonalData) -> String {
    let text = secrets(text);
    if personal_data == PersonalData::Kept {
        return text.into_owned();
    }
    let parts = text
        .split('`')
        .enumerate()
        .map(|(place, part)| if place % 2 == 1 { phrase(part) } else { quoted(part) });
    parts.collect::<Vec<_>>().join("`")
}

/// What stands in double quotes.
fn quoted(text: &str) -> String {
    let parts = text.split('"').enumerate().map(|(place, part)| {
        if place % 2 == 1 { Cow::Owned(mask(part)) } else { Cow::Borrowed(part) }
    });
    parts.collect::<Vec<_>>().join("\"")
}

/// A path.
pub(super) fn path(path: &str, personal_data: PersonalData) -> String {
    let segments = path.split('/').map(|segment| {
        let plain = decoded(segment);
        let shown = secrets(&plain);
        if *shown != *plain {
            return shown.into_owned();
        }
        let is_ours = SEGMENTS.contains(&&*plain)
            || ResourceId::parse(&plain).is_some()
            || plain.parse::<DirectoryId>().is_ok()
            || is_urn(&plain);
        if is_ours || personal_data == PersonalData::Kept {
            segment.to_owned()
        } else {
            mask(&plain)
        }
    });
    cut(&segments.collect::<Vec<_>>().join("/"), TEXT_MAX).to_owned()
}

/// The parameters of an address.
pub(super) fn query(query: &str, personal_data: PersonalData) -> String {
    let parameters = query.split('&').map(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return match personal_data {
                PersonalData::Masked => phrase(&secrets(&decoded(parameter))),
                PersonalData::Kept if parameter.len() <= 32 => secrets(parameter).into_owned(),
                PersonalData::Kept => HIDDEN.to_owned(),
            };
        };
        let spaced = value.replace('+', " ");
        let (plain_name, plain) = (decoded(name), decoded(&spaced));
        let is_known = PARAMETERS.iter().any(|it| plain_name.eq_ignore_ascii_case(it));
        // Attributes may be asked for by name, and compared with nothing.
        let is_filter = plain_name.eq_ignore_ascii_case("filter");
        if !is_known || (is_filter && is_secret_name(&plain)) {
            let shown = match personal_data {
                PersonalData::Masked => phrase(&secrets(&plain_name)),
                PersonalData::Kept => secrets(&plain_name).into_owned(),
            };
            return format!("{}={HIDDEN}", cut(&shown, 64));
        }
        let shown = secrets(&plain);
        match personal_data {
            // Where the next page begins is a text of ours, and sealed.
            PersonalData::Masked if plain_name.eq_ignore_ascii_case("cursor") => {
                format!("{name}={HIDDEN}")
            }
            PersonalData::Masked => format!("{name}={}", phrase(&shown)),
            PersonalData::Kept if *shown != *plain => format!("{name}={shown}"),
            PersonalData::Kept => parameter.to_owned(),
        }
    });
    cut(&parameters.collect::<Vec<_>>().join("&"), TEXT_MAX).to_owned()
}

/// A part of an address in plain text.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let digit = |it: usize| bytes.get(it).and_then(|it| char::from(*it).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).expect("two digits are a byte"));
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

/// What may be kept of a body.
#[derive(Debug, Default)]
pub(super) struct Redacted {
    /// Nothing, where it cannot be read.
    pub(super) text: Option<String>,
    /// Whether it is all there, but for passwords: then it can be sent again.
    pub(super) is_whole: bool,
}

/// What may be kept of a body, up to so many bytes.
pub(super) fn body(part: Part<'_>, bytes_max: usize, personal_data: PersonalData) -> Redacted {
    if part.begin.is_empty() {
        return Redacted { text: Some(String::new()), is_whole: true };
    }
    let mut pen = Pen {
        text: String::with_capacity(part.begin.len().min(bytes_max)),
        bytes_max,
        personal_data,
        is_full: false,
        has_changed: personal_data == PersonalData::Masked,
    };
    let mut json = serde_json::Deserializer::from_slice(part.begin);
    let read = Writing { pen: &mut pen, at: At::default() }
        .deserialize(&mut json)
        .and_then(|()| json.end());
    let is_cut = pen.is_full || part.begin.len() as u64 != part.bytes;
    if read.is_err() && !is_cut {
        return Redacted::default();
    }
    let text = cut(&pen.text, bytes_max).to_owned();
    Redacted { text: Some(text), is_whole: read.is_ok() && !is_cut && !pen.has_changed }
}

/// Writes what is read.
struct Pen {
    text: String,
    bytes_max: usize,
    personal_data: PersonalData,
    /// Whether there was more than may be kept.
    is_full: bool,
    /// Whether anything but a password is not what it was.
    has_changed: bool,
}

impl Pen {
    fn push<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        self.text.push_str(text);
        self.is_full = self.text.len() > self.bytes_max;
        if self.is_full { Err(E::custom("it is long enough")) } else { Ok(()) }
    }

    fn quote<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        let quoted = serde_json::to_string(text).map_err(E::custom)?;
        self.push(&quoted)
    }
}

/// Where in a body something stands.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked by itself")]
struct At {
    /// Nobody is to read it.
    is_secret: bool,
    /// It says nothing of people.
    is_impersonal: bool,
    /// It is a path or a filter, or a list of attributes.
    is_phrase: bool,
    /// It is a sentence of ours.
    is_prose: bool,
    /// It is the address of something.
    is_address: bool,
}

impl At {
    fn named(self, name: &str) -> At {
        let is = |names: &[&str]| names.iter().any(|it| name.eq_ignore_ascii_case(it));
        At {
            is_secret: self.is_secret || is_secret_name(name),
            is_impersonal: is(&IMPERSONAL),
            is_phrase: is(&["path", "filter", "attributes", "excludedattributes", "sortby"]),
            is_prose: is(&["detail"]),
            is_address: is(&["location", "$ref"]),
        }
    }
}

struct Writing<'p> {
    pen: &'p mut Pen,
    at: At,
}

impl<'de> DeserializeSeed<'de> for Writing<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl Writing<'_> {
    fn scalar<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let Writing { pen, at } = self;
        if at.is_secret || (pen.personal_data == PersonalData::Masked && !at.is_impersonal) {
            return pen.quote(HIDDEN);
        }
        pen.push(text)
    }
}

impl<'de> Visitor<'de> for Writing<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.pen.push("null")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.pen.push(if value { "true" } else { "false" })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&serde_json::to_string(&value).map_err(E::custom)?)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let Writing { pen, at } = self;
        if at.is_secret {
            return pen.quote(HIDDEN);
        }
        // JSON within a text, as some send roles, may have whatever JSON has.
        if text.starts_with(['{', '[']) && is_secret_name(text) {
            pen.has_changed = true;
            return pen.quote(HIDDEN);
        }
        let shown = secrets(text);
        pen.has_changed |= *shown != *text;
        match pen.personal_data {
            PersonalData::Masked if at.is_prose => pen.quote(&prose(&shown, PersonalData::Masked)),
            PersonalData::Masked if at.is_phrase => pen.quote(&phrase(&shown)),
            PersonalData::Masked if at.is_address => pen.quote(&path(&shown, PersonalData::Masked)),
            PersonalData::Masked if is_urn(&shown) => pen.quote(&shown),
            PersonalData::Masked if at.is_impersonal && is_plain(&shown) => pen.quote(&shown),
            PersonalData::Masked => pen.quote(&mask(&shown)),
            PersonalData::Kept => pen.quote(&shown),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Writing { pen, at } = self;
        pen.push("[")?;
        let mut is_first = true;
        loop {
            let comma = pen.text.len();
            if !is_first {
                pen.push::<A::Error>(",")?;
            }
            if list.next_element_seed(Writing { pen: &mut *pen, at })?.is_none() {
                pen.text.truncate(comma);
                break;
            }
            is_first = false;
        }
        pen.push("]")
    }

    /// An operation of a PATCH says in `path` what stands in `value`, before it or after it.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Writing { pen, at } = self;
        pen.push("{")?;
        let mut path_is_secret = None;
        let mut values: Vec<std::ops::Range<usize>> = Vec::new();
        let mut is_first = true;
        loop {
            // What came before is not known to be harmless where the path has not come.
            let forget = |pen: &mut Pen| {
                if let Some(first) = values.first() {
                    pen.text.truncate(first.start);
                }
            };
            let name = match map.next_key::<String>() {
                Ok(Some(name)) => name,
                Ok(None) => break,
                Err(error) => {
                    forget(pen);
                    return Err(error);
                }
            };
            if !is_first {
                pen.push::<A::Error>(",")?;
            }
            is_first = false;
            match pen.personal_data {
                PersonalData::Masked => pen.quote::<A::Error>(&phrase(&secrets(&name)))?,
                PersonalData::Kept => pen.quote::<A::Error>(&secrets(&name))?,
            }
            pen.push::<A::Error>(":")?;
            let begin = pen.text.len();
            let mut inner = at.named(&name);
            let is_value = name.eq_ignore_ascii_case("value");
            inner.is_secret |= is_value && path_is_secret == Some(true);
            let read = map.next_value_seed(Writing { pen: &mut *pen, at: inner });
            if name.eq_ignore_ascii_case("path") {
                path_is_secret = Some(is_secret_name(&pen.text[begin..]));
            }
            if let Err(error) = read {
                forget(pen);
                if is_value && path_is_secret.is_none() {
                    pen.text.truncate(begin);
                }
                return Err(error);
            }
            if is_value && path_is_secret.is_none() {
                values.push(begin..pen.text.len());
            }
        }
        if path_is_secret == Some(true) {
            for range in values.into_iter().rev() {
                pen.text.replace_range(range, "\"…\"");
            }
        }
        pen.push("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(json: &str) -> Redacted {
        let part = Part { begin: json.as_bytes(), bytes: json.len() as u64 };
        body(part, 4_096, PersonalData::Kept)
    }

    #[test]
    fn passwords_are_in_no_spelling_of_a_body() {
        for (json, expected) in [
            (r#"{"password":"s3cret"}"#, r#"{"password":"…"}"#),
            (r#"{"PassWord":{"a":["s3cret",7]}}"#, r#"{"PassWord":{"a":["…","…"]}}"#),
            (
                r#"{"op":"replace","path":"password","value":"s3cret"}"#,
                r#"{"op":"replace","path":"password","value":"…"}"#,
            ),
            (
                r#"{"op":"replace","value":"s3cret","path":"password"}"#,
                r#"{"op":"replace","value":"…","path":"password"}"#,
            ),
            (
                r#"{"value":{"urn:a:2.0:User:password":"s3cret","title":"x"}}"#,
                r#"{"value":{"urn:a:2.0:User:password":"…","title":"x"}}"#,
            ),
            (r#"{"api_key":"s3cret","Client-Secret":1}"#, r#"{"api_key":"…","Client-Secret":"…"}"#),
        ] {
            let redacted = kept(json);
            assert_eq!(redacted.text.as_deref(), Some(expected), "{json}");
            assert!(redacted.is_whole, "a password is thrown away in any case");
        }
    }

    #[test]
    fn credentials_are_left_out_wherever_they_stand() {
        let token = format!("roster-scim-{}", "a1".repeat(32));
        let redacted = kept(&format!(r#"{{"userName":"{token}","{token}":1}}"#));
        let text = redacted.text.unwrap();
        assert_eq!(text, r#"{"userName":"roster-scim-…","roster-scim-…":1}"#);
        assert!(!redacted.is_whole, "it is not what was sent");
        assert_eq!(
            path(&format!("/scim/v2/{token}/Users"), PersonalData::Kept),
            "/scim/v2/roster-scim-…/Users"
        );
        let encoded = token.replace('-', "%2D");
        assert_eq!(
            path(&format!("/scim/v2/{encoded}/x"), PersonalData::Kept),
            "/scim/v2/roster-scim-…/x"
        );
        for (sent, expected) in [
            ("access_token=abc&count=1".to_owned(), "access_token=…&count=1"),
            ("x=abc".to_owned(), "x=…"),
            ("filter=password%20eq%20%22s3cret%22".to_owned(), "filter=…"),
            (format!("filter=userName+eq+%22{token}%22"), "filter=userName eq \"roster-scim-…\""),
            ("filter=userName%20eq%20%22a%22&".to_owned(), "filter=userName%20eq%20%22a%22&"),
            ("aadOptscim062020&count=2".to_owned(), "aadOptscim062020&count=2"),
            ("attributes=password,userName".to_owned(), "attributes=password,userName"),
        ] {
            assert_eq!(query(&sent, PersonalData::Kept), expected, "{sent}");
        }
    }

    #[test]
    fn sentences_of_ours_are_told_whole() {
        for text in [
            "this directory takes a bearer token and no other kind of credential",
            "Choose the authentication mode `HTTP Header` or `OAuth Bearer Token`, and enter the token",
            "it is sent as `Authorization: Bearer …`",
            "Enter the id of the directory, `dir-…`, the last part of its own base URL",
            "Send `application/scim+json`, as it is, without `Content-Encoding`",
        ] {
            assert_eq!(prose(text, PersonalData::Kept), text);
            assert_eq!(prose(text, PersonalData::Masked), text);
        }
        for (sent, expected) in [
            ("no user has the id `Bearer tok3n`", "no user has the id `Bearer …`"),
            ("no user has the id `bearer tokens`", "no user has the id `bearer …`"),
            ("no user has the id `Basic YW5hOg==`", "no user has the id `Basic …`"),
            ("bearer token roster-scim-00ff", "bearer token roster-scim-…"),
            ("Bearer Bearer s3cret", "Bearer Bearer …"),
        ] {
            assert_eq!(prose(sent, PersonalData::Kept), expected);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_no_json_is_not_kept() {
        let long = format!(r#"{{"members":["{}"]}}"#, "x".repeat(5_000));
        let redacted = kept(&long);
        assert!(redacted.text.is_some_and(|it| it.len() <= 4_096));
        assert!(!redacted.is_whole);
        assert!(kept("password=s3cret").text.is_none());
        assert!(kept(r#"{"userName":"ana"} password"#).text.is_none());
        // Cut between the value and the path that says what it is.
        for json in [r#"{"op":"add","value":"s3cret"#, r#"{"op":"add","value":"s3cret","pa"#] {
            let part = Part { begin: json.as_bytes(), bytes: 100_000 };
            let text = body(part, 4_096, PersonalData::Kept).text.unwrap();
            assert!(!text.contains("s3c"), "{text}");
        }
    }

    #[test]
    fn masked_people_keep_their_first_letter_and_ids_stay() {
        let id = "019b8b4c-7a50-7d1c-8a5e-3f1b2c4d5e6f";
        let json = format!(
            r#"{{"schemas":["urn:a"],"userName":"ana@acme.example","members":[{{"value":"{id}"}}],"path":"emails[value eq \"ana@x\"]","active":true,"age":7}}"#
        );
        let part = Part { begin: json.as_bytes(), bytes: json.len() as u64 };
        let redacted = body(part, 4_096, PersonalData::Masked);
        let expected = format!(
            r#"{{"schemas":["urn:a"],"userName":"a…","members":[{{"value":"{id}"}}],"path":"emails[value eq \"a…\"]","active":true,"a…":"…"}}"#
        );
        assert_eq!(redacted.text.as_deref(), Some(expected.as_str()));
        assert!(!redacted.is_whole);
        let masked = query("filter=userName%20eq%20%22ana%40x%22", PersonalData::Masked);
        assert_eq!(masked, "filter=userName eq \"a…\"");
        assert_eq!(path("/scim/v2/Users/ana@x", PersonalData::Masked), "/scim/v2/Users/a…");
        for (sent, expected) in [
            ("filter=userName%20eq%20ana", "filter=userName eq a…"),
            ("filter=emails[value+eq+'ana']", "filter=emails[value eq 'a…']"),
            ("filter=ana+lima", "filter=a… l…"),
            (
                "filter=name.familyName+sw+%22Li%22+and+active+eq+true",
                "filter=name.familyName sw \"L…\" and active eq true",
            ),
            ("sortBy=ana", "sortBy=a…"),
            ("attributes=userName,ana", "attributes=userName,a…"),
            ("startIndex=1&count=ana", "startIndex=1&count=a…"),
            ("ana.lima&aadOptscim062020", "a…&aadOptscim062020"),
            ("ana=1", "a…=…"),
        ] {
            assert_eq!(query(sent, PersonalData::Masked), expected, "{sent}");
        }
        for (sent, expected) in [
            (r#"{"ana lima":1,"userName":"ana"}"#, r#"{"a… l…":"…","userName":"a…"}"#),
            (
                r#"{"value":{"ana":true,"urn:a:2.0:User:x":"y"}}"#,
                r#"{"value":{"a…":true,"urn:a:2.0:User:x":"y…"}}"#,
            ),
            (
                r#"{"op":"add","path":"emails[value eq ana].type","id":"ana"}"#,
                r#"{"op":"add","path":"emails[value eq a…].type","id":"a…"}"#,
            ),
            (
                r#"{"type":"ana","status":"404","schemas":["urn:ana@x"]}"#,
                r#"{"type":"a…","status":"404","schemas":["u…"]}"#,
            ),
            (r#"{"location":"/scim/v2/Users/ana"}"#, r#"{"location":"/scim/v2/Users/a…"}"#),
            (
                r#"{"detail":"`ana` and `userName` and \"Ana\" are taken"}"#,
                r#"{"detail":"`a…` and `userName` and \"A…\" are taken"}"#,
            ),
        ] {
            let part = Part { begin: sent.as_bytes(), bytes: sent.len() as u64 };
            let masked = body(part, 4_096, PersonalData::Masked);
            assert_eq!(masked.text.as_deref(), Some(expected), "{sent}");
        }
        let detail = "Okta tried to add \"ana\", but `ana@x` is there";
        let masked = "Okta tried to add \"a…\", but `a…` is there";
        assert_eq!(prose(detail, PersonalData::Masked), masked);
        assert_eq!(prose(detail, PersonalData::Kept), detail);
    }
}
