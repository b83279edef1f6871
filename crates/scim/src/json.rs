//! The reader of request bodies.
//!
//! It takes what RFC 8259 calls JSON, and refuses what different programs would read differently:
//! a member twice, U+0000, text after the end. What a SCIM server needs to know of a body before it
//! looks at its meaning is checked here, once, on the way in.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::error::Error;
use crate::limit::{JSON_DEPTH_MAX, STRING_BYTES_MAX};

/// Reads a request body. Each of these is `invalidSyntax`, with the line and column where it was
/// noticed: what is not JSON in UTF-8, more than one value, a member name twice in one object
/// (in whatever case: RFC 7643 §2.1 compares names so), U+0000, which databases cannot keep,
/// nesting deeper than [`JSON_DEPTH_MAX`], and text longer than [`STRING_BYTES_MAX`].
///
/// A byte order mark at the beginning is skipped, as RFC 8259 §8.1 permits.
///
/// ```
/// assert_eq!(scim::json::parse(br#"{"active":true}"#)?["active"], true);
///
/// let error = scim::json::parse(br#"{"active":true,"Active":false}"#).unwrap_err();
/// assert_eq!(
///     error.detail(),
///     "the body cannot be read: the member `Active` is there twice, names are compared without \
///      case (line 1, column 23)"
/// );
/// # Ok::<(), scim::Error>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid_syntax("the request has no body; send a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Reader { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Error::invalid_syntax(describe(&error)))
}

/// The members of an object that we printed ourselves, in their order, each value as it is written.
/// Who wants one of twenty attributes builds one: the others are looked through and no more.
///
/// # Errors
///
/// Those of `serde_json`, where the text is no object.
///
/// ```
/// let members = scim::json::members(r#"{"userName":"ana","active":true}"#)?;
/// assert_eq!((members[1].0.as_ref(), members[1].1.get()), ("active", "true"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn members(text: &str) -> serde_json::Result<Vec<Member<'_>>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            // More than most resources have.
            let mut members = Vec::with_capacity(32);
            while let Some((Name(name), value)) = map.next_entry()? {
                members.push((name, value));
            }
            Ok(members)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members)?;
    deserializer.end()?;
    Ok(members)
}

/// Puts a JSON string behind what stands in the text. Names of attributes have nothing to escape.
pub(crate) fn push_string(string: &str, text: &mut String) {
    let is_plain = |byte: u8| byte > 0x1f && byte != b'"' && byte != b'\\';
    if string.bytes().all(is_plain) {
        text.push('"');
        text.push_str(string);
        text.push('"');
    } else {
        text.push_str(&Value::from(string).to_string());
    }
}

/// A member of an object: its name, and its value as it is written.
pub type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// Names without escapes are not copied.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The error in words. `serde_json` appends its position, which we put in our own way.
fn describe(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let position = format!(" at line {line} column {column}");
    let what = whole.strip_suffix(&position).unwrap_or(&whole);
    match error.classify() {
        Category::Data => {
            format!("the body cannot be read: {what} (line {line}, column {column})")
        }
        Category::Eof => format!(
            "the body ends too early: {what} (line {line}, column {column}); was it cut off on its way?"
        ),
        Category::Syntax | Category::Io => format!(
            "the body is not valid JSON: {what} (line {line}, column {column}); look for a missing quote, comma or bracket just before it"
        ),
    }
}

/// Reads one value, which stands inside so many objects and arrays.
#[derive(Clone, Copy)]
struct Reader {
    depth: usize,
}

impl Reader {
    /// For what is inside of the value.
    fn inner<E: serde::de::Error>(self) -> Result<Reader, E> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(E::custom(format_args!(
                "objects and arrays are nested more than {JSON_DEPTH_MAX} deep"
            )));
        }
        Ok(Reader { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        check_text(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        let mut names = Names::default();
        while let Some(name) = members.next_key::<String>()? {
            check_text(&name)?;
            if !names.insert(&name, &object) {
                return Err(A::Error::custom(format_args!(
                    "the member `{}` is there twice, names are compared without case",
                    crate::path::excerpt(&name)
                )));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// The names of an object's members, to find one that is there twice.
///
/// Nearly all objects have a handful of members, which are compared one by one; beyond that the
/// lower-case names are kept in a set, so that a stranger's huge object costs linear time.
#[derive(Default)]
struct Names(Option<HashSet<String>>);

impl Names {
    const COMPARED_MAX: usize = 16;

    /// Whether the name is new among the members of this object.
    fn insert(&mut self, name: &str, object: &Map<String, Value>) -> bool {
        if let Some(set) = &mut self.0 {
            return set.insert(name.to_ascii_lowercase());
        }
        if object.len() < Self::COMPARED_MAX {
            return !object.keys().any(|other| other.eq_ignore_ascii_case(name));
        }
        let mut set: HashSet<String> = object.keys().map(|it| it.to_ascii_lowercase()).collect();
        let is_new = set.insert(name.to_ascii_lowercase());
        self.0 = Some(set);
        is_new
    }
}

fn check_text<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.len() > STRING_BYTES_MAX {
        return Err(E::custom(format_args!(
            "a text of {} bytes is longer than the {STRING_BYTES_MAX} that are allowed",
            text.len()
        )));
    }
    if text.contains('\0') {
        return Err(E::custom("a text contains the character U+0000, which cannot be kept"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_says_is_read() {
        let check = |text: &[u8], expected: Value| {
            assert_eq!(parse(text), Ok(expected), "{}", String::from_utf8_lossy(text));
        };
        check(b"{}", json!({}));
        check(b" [1, -2, 2.5, true, null] ", json!([1, -2, 2.5, true, null]));
        check(b"9223372036854775807", json!(i64::MAX));
        check(b"18446744073709551615", json!(u64::MAX));
        check(br#""a\u00e9\ud83d\ude00\n""#, json!("aé😀\n"));
        check("{\"ключ\":\"é\"}".as_bytes(), json!({ "ключ": "é" }));
        check(b"\xEF\xBB\xBF{\"a\":1}", json!({ "a": 1 }));
        check(br#"{"b":1,"a":{"b":2}}"#, json!({ "b": 1, "a": { "b": 2 } }));
    }

    #[test]
    fn what_programs_would_read_differently_is_refused() {
        let check = |text: &[u8], expected: &str| {
            let error = parse(text).expect_err(&String::from_utf8_lossy(text));
            assert_eq!(error.kind(), Some(crate::Kind::InvalidSyntax));
            assert_eq!(error.detail(), expected, "{}", String::from_utf8_lossy(text));
        };
        check(b"", "the request has no body; send a JSON object");
        check(b"\xEF\xBB\xBF \r\n", "the request has no body; send a JSON object");
        check(
            b"{\"a\":1,\n \"A\":2}",
            "the body cannot be read: the member `A` is there twice, names are compared without case (line 2, column 4)",
        );
        check(
            br#"{"a":"\u0000"}"#,
            "the body cannot be read: a text contains the character U+0000, which cannot be kept (line 1, column 13)",
        );
        check(
            br#"{"\u0000":1}"#,
            "the body cannot be read: a text contains the character U+0000, which cannot be kept (line 1, column 9)",
        );
        check(
            b"{} {}",
            "the body is not valid JSON: trailing characters (line 1, column 4); look for a missing quote, comma or bracket just before it",
        );
        check(
            b"{\"a\":\"\xFF\"}",
            "the body is not valid JSON: invalid unicode code point (line 1, column 7); look for a missing quote, comma or bracket just before it",
        );
        check(
            b"{\"a\":",
            "the body ends too early: EOF while parsing a value (line 1, column 5); was it cut off on its way?",
        );
        check(
            b"{'a':1}",
            "the body is not valid JSON: key must be a string (line 1, column 2); look for a missing quote, comma or bracket just before it",
        );
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(parse(nested(JSON_DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn text_is_limited() {
        let quoted = |length: usize| format!("\"{}\"", "x".repeat(length));
        assert!(parse(quoted(STRING_BYTES_MAX).as_bytes()).is_ok());
        assert!(parse(quoted(STRING_BYTES_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn a_member_twice_is_found_in_an_object_of_any_size() {
        for size in [1, 15, 16, 17, 18, 100_000] {
            let mut members: Vec<_> = (0..size).map(|place| format!("\"a{place}\":0")).collect();
            assert!(parse(format!("{{{}}}", members.join(",")).as_bytes()).is_ok(), "{size}");
            members.push("\"A0\":0".to_owned());
            assert!(parse(format!("{{{}}}", members.join(",")).as_bytes()).is_err(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_read_is_what_serde_reads(text in r#"[\[\]{}":,a-c0-9 .\\eE+-]{0,24}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(Some(value), serde_json::from_str::<Value>(&text).ok());
            }
        }
    }
}
