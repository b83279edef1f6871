//! What a provider says of a person that no schema has.
//!
//! It is not a part of the user: it is not answered over SCIM, makes no version and tells no event. It
//! is kept beside the user, the latest value of each name, so that somebody can see what a mapping sends
//! in vain, and define a schema for it. When one is defined, what was kept becomes a value at the next
//! PATCH of the user, or when it is asked for ([`AdoptAside`]); what does not fit stays, until a PATCH
//! says the attribute anew. A PUT says everything anew by itself.
//!
//! What looks like a secret is not kept, only that it was sent.

use std::sync::Arc;

use scim::ResourceType;
use scim::admit::{Late, admit_late};
use serde_json::{Map, Value};

use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::Facts;
use crate::id::UserId;
use crate::user::{User, update};

/// Names beside one user at most; the most that a mapping has been seen to send in vain is about 20.
pub const ASIDE_NAMES_MAX: usize = 64;

/// Bytes of names and values beside one user at most: a photograph does not fit, a department does.
pub const ASIDE_BYTES_MAX: usize = 16 * 1024;

/// Different names beside all users of a directory at most. Names come from a mapping, of which there
/// is one; without a bound, a client that invents names would fill the database.
pub const ASIDE_NAMES_OF_DIRECTORY_MAX: usize = 500;

/// Bytes of a name; a longer one is not kept.
const NAME_BYTES_MAX: usize = 512;

/// Values by name: `department`, `name.nickName`, `urn:example:1.0:Badge:floor`. A null stands where
/// the value may not be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aside(Option<Arc<Map<String, Value>>>);

impl Aside {
    /// What admission or a PATCH found to be unknown.
    pub fn of(unknown: &Map<String, Value>) -> Aside {
        Aside::default().with(unknown)
    }

    /// Reads what [`Aside::to_text`] printed; `None` if the text is damaged.
    pub fn from_text(text: &str) -> Option<Aside> {
        serde_json::from_str(text).ok().map(Aside::from_map)
    }

    /// For keeping; `None` where there is nothing.
    pub fn to_text(&self) -> Option<String> {
        let values = self.0.as_ref()?;
        Some(serde_json::to_string(values.as_ref()).expect("a map with text keys can be printed"))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// By name, in the order in which they were first sent.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().flat_map(|values| values.iter())
    }

    fn from_map(values: Map<String, Value>) -> Aside {
        Aside((!values.is_empty()).then(|| Arc::new(values)))
    }

    /// The same with what was sent since: the latest value of each name. A null takes the name away.
    pub(crate) fn with(&self, unknown: &Map<String, Value>) -> Aside {
        if unknown.is_empty() {
            return self.clone();
        }
        let mut values = self.0.as_deref().cloned().unwrap_or_default();
        let mut bytes: usize = values.iter().map(|(name, value)| weight(name, value)).sum();
        for (name, value) in unknown {
            put(&mut values, &mut bytes, name.clone(), value);
        }
        Aside::from_map(values)
    }

    /// The same without some.
    pub(crate) fn without<'a>(&self, names: impl Iterator<Item = &'a String>) -> Aside {
        let Some(values) = &self.0 else { return Aside::default() };
        let mut values = Map::clone(values);
        for name in names {
            values.shift_remove(name);
        }
        Aside::from_map(values)
    }

    /// The same without names that the directory has no room for.
    fn limited(&self, has_room: impl FnMut(&str) -> bool) -> Aside {
        let Some(values) = &self.0 else { return Aside::default() };
        let mut has_room = has_room;
        let gone: Vec<_> = values.keys().filter(|name| !has_room(name)).cloned().collect();
        if gone.is_empty() { self.clone() } else { self.without(gone.iter()) }
    }

    /// What of it became known.
    fn adopted(&self, user: &User, resource_type: &ResourceType) -> Option<Late> {
        let values = self.0.as_deref()?;
        admit_late(user.document.resource(), resource_type, values)
    }
}

fn weight(name: &str, value: &Value) -> usize {
    // Quotes, colon and comma.
    name.len() + value.to_string().len() + 4
}

fn put(values: &mut Map<String, Value>, bytes: &mut usize, name: String, value: &Value) {
    if let Some(before) = values.get(&name) {
        *bytes -= weight(&name, before);
        if value.is_null() {
            values.shift_remove(&name);
            return;
        }
    } else if value.is_null() || values.len() >= ASIDE_NAMES_MAX || name.len() > NAME_BYTES_MAX {
        return;
    }
    let value = if is_secret(&name) { Value::Null } else { without_secrets(value) };
    let more = weight(&name, &value);
    if *bytes + more > ASIDE_BYTES_MAX {
        // An older value would pass for the latest.
        values.shift_remove(&name);
        return;
    }
    *bytes += more;
    values.insert(name, value);
}

/// Whether a name sounds like that of a secret. Too much is taken for one rather than too little.
fn is_secret(name: &str) -> bool {
    // Wherever they stand, written as one word or as two.
    const PARTS: [&str; 11] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "pwd",
        "secret",
        "token",
        "credential",
        "apikey",
        "privatekey",
        "socialsecurity",
    ];
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|it| it.to_ascii_lowercase())
        .collect();
    // Whom a manager lets write letters is not a secret.
    let plain = plain.replace("secretar", "");
    PARTS.iter().any(|part| plain.contains(part)) || words(name).any(|word| word == "ssn")
}

/// The words of a name, in small letters: they end where letters end (`user_name`, `line2`) and
/// where capitals begin (`userName`, `SSNNumber`). Short ones are compared whole: `businessName` has
/// each letter of a social security number, and is none.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = None;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_small = |it: char| it.is_ascii_lowercase();
        let begins = letter.is_ascii_uppercase()
            && (before.is_some_and(is_small) || letters.peek().copied().is_some_and(is_small));
        if begins || !letter.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if letter.is_ascii_alphabetic() {
            words.last_mut().expect("it begins with one").push(letter.to_ascii_lowercase());
        }
        before = Some(letter);
    }
    words.into_iter()
}

/// The value without parts that sound like secrets, however deep. JSON is not deeper than
/// [`scim::limit::JSON_DEPTH_MAX`] when it arrives.
fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(parts) => {
            let open = parts.iter().filter(|(name, _)| !is_secret(name));
            Value::Object(open.map(|(name, it)| (name.clone(), without_secrets(it))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(without_secrets).collect()),
        other => other.clone(),
    }
}

/// What may be kept beside a user, given what is beside the others.
pub(crate) fn fitting(facts: &Facts, before: &Aside, after: Aside) -> Result<Aside, Stop> {
    let is_new = |name: &str| before.0.as_ref().is_none_or(|before| !before.contains_key(name));
    if !after.iter().any(|(name, _)| is_new(name)) {
        return Ok(after);
    }
    let known = facts.aside_names()?;
    let mut room = ASIDE_NAMES_OF_DIRECTORY_MAX.saturating_sub(known.len());
    Ok(after.limited(|name| {
        if !is_new(name) || known.contains(name) {
            return true;
        }
        let has_room = room > 0;
        room -= usize::from(has_room);
        has_room
    }))
}

/// The user with values of what became known, and what is left beside them; `None` where nothing did.
pub(crate) fn adopt(user: &User, resource_type: &ResourceType) -> Option<(Late, Aside)> {
    let late = user.aside.adopted(user, resource_type)?;
    let left = user.aside.without(late.taken.iter());
    Some((late, left))
}

/// Makes values of what is kept beside a user, where a schema has their attributes by now.
#[derive(Clone, Debug)]
pub struct AdoptAside {
    /// Whom.
    pub id: UserId,
    /// What a user of this directory is made of.
    pub resource_type: Arc<ResourceType>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Values that are a part of the user now.
    pub taken: usize,
    /// Values whose attribute is known now and which do not fit it; they stay where they are.
    pub unfit: usize,
}

impl Decide for AdoptAside {
    type Answer = Adopted;

    /// A user who is gone had nothing to adopt.
    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<Adopted>, Stop> {
        let Some(before) = facts.user(self.id)? else {
            return Ok(Decision::nothing(Adopted::default()));
        };
        let Some((late, left)) = adopt(before, &self.resource_type) else {
            return Ok(Decision::nothing(Adopted::default()));
        };
        let answer = Adopted { taken: late.taken.len(), unfit: late.unfit.len() };
        let Decision { changes, .. } = update(facts, moment, before, late.resource, left)?;
        Ok(Decision { changes, answer })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(sent: &[Value], expected: &Value) {
        let aside = sent
            .iter()
            .fold(Aside::default(), |aside, sent| aside.with(sent.as_object().expect("an object")));
        let text = aside.to_text().unwrap_or_else(|| "{}".to_owned());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *expected);
        assert_eq!(Aside::from_text(&text), Some(aside));
    }

    #[test]
    fn the_latest_value_of_each_name_is_kept() {
        check(
            &[json!({ "team": "A", "floor": 3 }), json!({ "team": "B" })],
            &json!({ "team": "B", "floor": 3 }),
        );
        check(&[json!({ "team": "A" }), json!({ "team": null })], &json!({}));
        check(&[json!({ "team": null })], &json!({}));
    }

    #[test]
    fn of_what_sounds_like_a_secret_only_the_name_is_kept() {
        check(
            &[
                json!({ "initialPassword": "x", "urn:x:y:api_key": "x", "a": [{ "Secret": 1, "b": 2 }] }),
            ],
            &json!({ "initialPassword": null, "urn:x:y:api_key": null, "a": [{ "b": 2 }] }),
        );
    }

    #[test]
    fn a_secret_is_told_from_what_has_its_letters() {
        for name in [
            "ssn",
            "SSN",
            "employeeSSN",
            "ssnLast4",
            "SSNNumber",
            "tax-ssn",
            "ssn2",
            "urn:x:y:ssn",
            "userpwd",
            "clientsecret",
            "refresh_token",
            "private_key",
            "socialSecurityNumber",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["businessName", "lessNoise", "passName", "classNumber", "secretary", "keyring"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn no_more_is_kept_than_the_limits() {
        let name = |number: usize| (format!("name{number}"), json!(number));
        let many: Map<String, Value> = (0..ASIDE_NAMES_MAX + 5).map(name).collect();
        assert_eq!(Aside::of(&many).iter().count(), ASIDE_NAMES_MAX);

        let long = |bytes: usize| json!({ "long": "x".repeat(bytes), "short": 1 });
        // `long`, the quotes of the text, and what stands around both.
        let most = ASIDE_BYTES_MAX - "long".len() - 2 - 4 - weight("short", &json!(1));
        for (bytes, expected) in [(most, 2), (most + 1, 1)] {
            let aside = Aside::of(long(bytes).as_object().unwrap());
            assert_eq!(aside.iter().count(), expected, "{bytes}");
        }
        // What does not fit is not kept as it was before either.
        let before = Aside::of(json!({ "long": "short" }).as_object().unwrap());
        assert!(
            before
                .with(long(ASIDE_BYTES_MAX).as_object().unwrap())
                .iter()
                .all(|(it, _)| it == "short")
        );
        let endless = json!({ "x".repeat(NAME_BYTES_MAX + 1): 1 });
        assert!(Aside::of(endless.as_object().unwrap()).is_empty());
    }
}
