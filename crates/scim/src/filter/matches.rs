//! What a filter means: the one place where a resource is compared with it.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::{Comparison, Condition, Operand, Test, Text, ValueTest};
use crate::datetime;
use crate::path::Target;
use crate::text::{fold, reference_key};

pub(super) fn resource(condition: &Condition<Test>, resource: &Map<String, Value>) -> bool {
    condition.holds(&|test| match test {
        Test::Attribute(target, comparison) => find(target, resource).is_some_and(|found| {
            any(found, |value| part_compares(value, target.sub_attribute(), comparison))
        }),
        Test::Values(target, filter) => find(target, resource)
            .is_some_and(|found| any(found, |value| filter.matches_value(value))),
    })
}

pub(super) fn value(condition: &Condition<ValueTest>, value: &Value) -> bool {
    condition.holds(&|test| part_compares(value, test.sub_attribute.as_deref(), &test.comparison))
}

impl<T> Condition<T> {
    fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Condition::And(branches) => branches.iter().all(|branch| branch.holds(test)),
            Condition::Or(branches) => branches.iter().any(|branch| branch.holds(test)),
            Condition::Not(inner) => !inner.holds(test),
            Condition::Test(it) => test(it),
        }
    }
}

/// The attribute with all its values, or the whole extension.
fn find<'a>(target: &Target, resource: &'a Map<String, Value>) -> Option<&'a Value> {
    match (target.extension(), target.attribute()) {
        (Some(urn), Some(name)) => resource.get(urn)?.get(name),
        (Some(name), None) | (None, Some(name)) => resource.get(name),
        (None, None) => None,
    }
}

/// "If the specified attribute in a filter expression is a multi-valued attribute, the filter
/// matches if any of the values of the specified attribute match" (RFC 7644 §3.4.2.2).
fn any(value: &Value, matches: impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(values) => values.iter().any(matches),
        single => matches(single),
    }
}

fn part_compares(value: &Value, sub_attribute: Option<&str>, comparison: &Comparison) -> bool {
    match sub_attribute {
        Some(name) => {
            value.get(name).is_some_and(|part| any(part, |value| comparison.holds(value)))
        }
        None => comparison.holds(value),
    }
}

/// "non-empty or non-null value, or … a non-empty node for complex attributes" (RFC 7644
/// §3.4.2.2, Table 3): `false` and `0` are values, `""` is none.
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(is_present),
        Value::Object(parts) => parts.values().any(is_present),
    }
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Comparison::Present => is_present(value),
            Comparison::Equal(operand) => operand.equals(value),
            Comparison::Contains(text) => value.as_str().is_some_and(|it| text.is_within(it)),
            Comparison::StartsWith(text) => value.as_str().is_some_and(|it| text.begins(it)),
            Comparison::EndsWith(text) => value.as_str().is_some_and(|it| text.ends(it)),
            Comparison::Greater(operand) => operand.order(value).is_some_and(Ordering::is_gt),
            Comparison::GreaterOrEqual(operand) => {
                operand.order(value).is_some_and(Ordering::is_ge)
            }
            Comparison::Less(operand) => operand.order(value).is_some_and(Ordering::is_lt),
            Comparison::LessOrEqual(operand) => operand.order(value).is_some_and(Ordering::is_le),
        }
    }
}

impl Operand {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Operand::Text(text), Value::String(value)) => text.equals(value),
            (Operand::Boolean(flag), Value::Bool(value)) => flag == value,
            (Operand::Number(_) | Operand::Instant(_), value) => {
                self.order(value).is_some_and(Ordering::is_eq)
            }
            _ => false,
        }
    }

    /// Where the value stands, seen from the operand; `None` if they cannot be compared.
    fn order(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Operand::Text(text), Value::String(value)) => Some(text.order(value)),
            (Operand::Number(number), Value::Number(value)) => order_of_numbers(value, number),
            (Operand::Instant(instant), Value::String(value)) => {
                Some(datetime::parse(value)?.cmp(instant))
            }
            _ => None,
        }
    }
}

/// Whole numbers are compared as such: as floating point, 2^53 and 2^53 + 1 would be equal.
fn order_of_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |it: &Number| it.as_i64().map(i128::from).or(it.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Values are nearly always ASCII. Their lower case is compared as it is made, and nothing is
/// allocated; others are folded first.
impl Text {
    /// A value where case matters, as it is compared.
    fn exact<'a>(&self, value: &'a str) -> Cow<'a, str> {
        if self.is_reference { reference_key(value) } else { Cow::Borrowed(value) }
    }

    fn equals(&self, value: &str) -> bool {
        if self.case_exact {
            self.exact(value) == self.key()
        } else if value.is_ascii() {
            value.eq_ignore_ascii_case(self.key())
        } else {
            fold(value) == self.key()
        }
    }

    fn begins(&self, value: &str) -> bool {
        let key = self.key();
        if self.case_exact {
            self.exact(value).starts_with(key)
        } else if value.is_ascii() {
            value.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key))
        } else {
            fold(value).starts_with(key)
        }
    }

    fn ends(&self, value: &str) -> bool {
        let key = self.key();
        if self.case_exact {
            self.exact(value).ends_with(key)
        } else if value.is_ascii() {
            let start = value.len().checked_sub(key.len());
            start.is_some_and(|start| value[start..].eq_ignore_ascii_case(key))
        } else {
            fold(value).ends_with(key)
        }
    }

    fn is_within(&self, value: &str) -> bool {
        /// Up to this many steps, looking at every place is cheaper than making a copy.
        const STEPS_MAX: usize = 1024;
        let key = self.key();
        if self.case_exact {
            self.exact(value).contains(key)
        } else if value.is_ascii() && !key.is_empty() && value.len() * key.len() <= STEPS_MAX {
            value.as_bytes().windows(key.len()).any(|it| it.eq_ignore_ascii_case(key.as_bytes()))
        } else {
            fold(value).contains(key)
        }
    }

    fn order(&self, value: &str) -> Ordering {
        let key = self.key();
        if self.case_exact {
            self.exact(value).as_ref().cmp(key)
        } else if value.is_ascii() {
            value.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(key.bytes())
        } else {
            fold(value).as_ref().cmp(key)
        }
    }
}
