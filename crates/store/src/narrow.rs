//! What of a filter a database can do: find those who have a key that every match has.
//!
//! To narrow is always safe: what is found is a superset of what matches, and the filter decides
//! about each.

use scim::filter::{Comparison, Condition, Operand, Test, Text, ValueTest};

use crate::read::Record;
use crate::session::Value;

/// Longest key by which an e-mail address is found; a longer one is found by its beginning.
const EMAIL_KEY_BYTES_MAX: usize = 512;

/// A statement that finds the ordinals of those who may match, and the key that it is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrowed<'a> {
    pub(crate) sql: &'static str,
    /// What reads the one who has the key, where nobody else can have it.
    pub(crate) with: Option<&'static str>,
    /// None for those who have what the statement itself names.
    pub(crate) key: Option<Value<'a>>,
}

/// How few a key leaves, the fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaves {
    One,
    Few,
    Some,
}

/// The best key that every match has.
pub(crate) fn narrow<R: Record>(condition: &Condition<Test>) -> Option<Narrowed<'_>> {
    best::<R>(condition).map(|(_, narrowed)| narrowed)
}

/// Whether a key leaves so few that to look at them takes no time.
pub(crate) fn finds_few<R: Record>(condition: &Condition<Test>) -> bool {
    best::<R>(condition).is_some_and(|(leaves, _)| leaves < Leaves::Some)
}

/// The folded name, where a filter asks for the one who has it and for nothing else. Then the key
/// decides: it is folded as the filter folds.
pub(crate) fn only_name<R: Record>(condition: &Condition<Test>) -> Option<&str> {
    let Condition::Test(Test::Attribute(target, Comparison::Equal(Operand::Text(text)))) =
        condition
    else {
        return None;
    };
    let named = (target.extension(), target.attribute(), target.sub_attribute());
    (named == (None, Some(R::NAME), None)).then(|| text.key())
}

/// Which related resources decide about a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Related<'a> {
    /// None.
    Nobody,
    /// Those with these ids and no others: `members eq "…"`, which Entra asks of groups of any size.
    These(Vec<&'a str>),
    /// All.
    Everybody,
}

pub(crate) fn related<R: Record>(condition: &Condition<Test>) -> Related<'_> {
    match condition {
        Condition::And(conditions) | Condition::Or(conditions) => {
            conditions.iter().map(related::<R>).fold(Related::Nobody, Related::and)
        }
        Condition::Not(condition) => related::<R>(condition),
        Condition::Test(test) => {
            let (target, value) = match test {
                Test::Attribute(target, Comparison::Equal(Operand::Text(text))) => {
                    (target, Some(text).filter(|_| target.sub_attribute() == Some("value")))
                }
                Test::Attribute(target, _) => (target, None),
                Test::Values(target, filter) => (target, equal_value(filter.condition())),
            };
            match value.filter(|text| text.is_case_exact()) {
                _ if target.member() != Some(R::RELATED) => Related::Nobody,
                Some(text) => Related::These(vec![text.written()]),
                None => Related::Everybody,
            }
        }
    }
}

impl<'a> Related<'a> {
    fn and(self, other: Related<'a>) -> Related<'a> {
        match (self, other) {
            (Related::Nobody, it) | (it, Related::Nobody) => it,
            (Related::These(mut ids), Related::These(others)) => {
                ids.extend(others);
                Related::These(ids)
            }
            _ => Related::Everybody,
        }
    }
}

fn best<R: Record>(condition: &Condition<Test>) -> Option<(Leaves, Narrowed<'_>)> {
    match condition {
        // All of them hold, so any of them narrows.
        Condition::And(conditions) => {
            conditions.iter().filter_map(best::<R>).min_by_key(|(leaves, _)| *leaves)
        }
        Condition::Test(Test::Attribute(target, comparison)) if target.extension().is_none() => {
            attribute::<R>(target.attribute()?, target.sub_attribute(), comparison)
        }
        Condition::Test(Test::Values(target, filter)) if target.extension().is_none() => {
            let value = equal_value(filter.condition())?;
            attribute_value::<R>(target.attribute()?, value)
        }
        _ => None,
    }
}

fn attribute<'a, R: Record>(
    name: &str,
    sub_attribute: Option<&str>,
    comparison: &'a Comparison,
) -> Option<(Leaves, Narrowed<'a>)> {
    match (name, sub_attribute, comparison) {
        ("id", None, Comparison::Equal(Operand::Text(text))) => {
            let key = Some(Value::Text(text.written()));
            Some((Leaves::One, Narrowed { sql: R::BY_ID, with: Some(R::ONE), key }))
        }
        ("externalId", None, Comparison::Equal(Operand::Text(text))) => {
            let key = Some(Value::Key(text.written()));
            Some((Leaves::One, Narrowed { sql: R::BY_EXTERNAL_ID, with: None, key }))
        }
        (name, None, Comparison::Equal(Operand::Text(text))) if name == R::NAME => {
            let key = Some(Value::Key(text.key()));
            Some((Leaves::One, Narrowed { sql: R::BY_NAME, with: R::WITH_NAME, key }))
        }
        (name, Some("value"), Comparison::Equal(Operand::Text(text))) => {
            attribute_value::<R>(name, text)
        }
        // Nearly everybody is active, so only the others are worth finding.
        ("active", None, Comparison::Equal(Operand::Boolean(false))) => {
            Some((Leaves::Some, Narrowed { sql: R::BY_INACTIVE?, with: None, key: None }))
        }
        // What is answered is cut to the millisecond, and so never later than what is kept.
        (
            "meta",
            Some("lastModified"),
            Comparison::Greater(Operand::Instant(instant))
            | Comparison::GreaterOrEqual(Operand::Instant(instant))
            | Comparison::Equal(Operand::Instant(instant)),
        ) => {
            let key = Some(Value::Time(*instant));
            Some((Leaves::Some, Narrowed { sql: R::BY_MODIFIED, with: None, key }))
        }
        _ => None,
    }
}

/// One value of a list is this.
fn attribute_value<'a, R: Record>(name: &str, value: &'a Text) -> Option<(Leaves, Narrowed<'a>)> {
    if name == R::RELATED && value.is_case_exact() {
        let key = Some(Value::Text(value.written()));
        return Some((Leaves::Some, Narrowed { sql: R::BY_RELATED, with: None, key }));
    }
    if name == "emails" && !value.is_case_exact() {
        let key = Some(Value::Text(cut(value.key())));
        return Some((Leaves::Few, Narrowed { sql: R::BY_EMAIL?, with: None, key }));
    }
    None
}

/// The `value` that one element must have, whatever else it must have.
fn equal_value(condition: &Condition<ValueTest>) -> Option<&Text> {
    match condition {
        Condition::And(conditions) => conditions.iter().find_map(equal_value),
        Condition::Test(ValueTest {
            sub_attribute: Some(name),
            comparison: Comparison::Equal(Operand::Text(text)),
        }) if name == "value" => Some(text),
        _ => None,
    }
}

/// The keys by which a user is found by e-mail address, each once.
pub(crate) fn email_keys(user: &directory::User) -> Vec<String> {
    keys_of(user.document.resource().get("emails"))
}

/// The same of a user who is kept as text.
pub(crate) fn email_keys_in(text: &str) -> Vec<String> {
    let user: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    keys_of(user.get("emails"))
}

/// The key of an address that is looked for.
pub(crate) fn email_key(address: &str) -> String {
    cut(&scim::text::fold(address)).to_owned()
}

fn keys_of(emails: Option<&serde_json::Value>) -> Vec<String> {
    let emails = emails.and_then(|it| it.as_array());
    let mut keys: Vec<String> = emails
        .into_iter()
        .flatten()
        .filter_map(|email| Some(email_key(email.get("value")?.as_str()?)))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn cut(key: &str) -> &str {
    &key[..key.floor_char_boundary(EMAIL_KEY_BYTES_MAX)]
}
