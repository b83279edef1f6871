//! What is asked for: filters, orders and projections, with what they mean for a plain map.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::plain::{ENTERPRISE, Kind, Plain, fold};

/// A filter, and how it is written.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// An attribute, an operator, and text.
    Text(&'static str, &'static str, String),
    Present(&'static str),
    Active(bool),
    /// `emails[type eq "…" and value …]`
    EmailOf(&'static str, &'static str, String),
    /// `groups` or `members` with this id.
    Related(&'static str, String),
    /// Changed after, before, or at a time.
    Modified(&'static str, String),
    Not(Box<Ask>),
    And(Box<Ask>, Box<Ask>),
    Or(Box<Ask>, Box<Ask>),
}

impl Ask {
    pub(crate) fn print(&self) -> String {
        match self {
            Ask::Text(name, operator, text) => format!("{name} {operator} {}", quoted(text)),
            Ask::Present(name) => format!("{name} pr"),
            Ask::Active(flag) => format!("active eq {flag}"),
            Ask::EmailOf(kind, operator, text) => {
                format!("emails[type eq {} and value {operator} {}]", quoted(kind), quoted(text))
            }
            Ask::Related(name, id) if id.ends_with(['0', '2', '4', '6', '8']) => {
                format!("{name}[value eq {}]", quoted(id))
            }
            Ask::Related(name, id) => format!("{name}.value eq {}", quoted(id)),
            Ask::Modified(operator, at) => format!("meta.lastModified {operator} {}", quoted(at)),
            Ask::Not(inner) => format!("not ({})", inner.print()),
            Ask::And(one, other) => format!("({}) and ({})", one.print(), other.print()),
            Ask::Or(one, other) => format!("({}) or ({})", one.print(), other.print()),
        }
    }

    pub(crate) fn holds(&self, shown: &Value) -> bool {
        match self {
            Ask::Text(name, operator, text) => {
                values(shown, name)
                .iter()
                .filter_map(|it| it.as_str())
                .any(|it| compares(name, it, operator, text))
                // Unequal is what is not equal to any.
                != (*operator == "ne")
            }
            Ask::Present(name) => values(shown, name).iter().any(|it| is_something(it)),
            Ask::Active(flag) => shown["active"] == *flag,
            Ask::EmailOf(kind, operator, text) => {
                let emails = shown["emails"].as_array().map(Vec::as_slice).unwrap_or_default();
                emails.iter().any(|email| {
                    let is_of = email["type"].as_str().is_some_and(|it| fold(it) == fold(kind));
                    let value = email["value"].as_str();
                    is_of && value.is_some_and(|it| compares("emails.value", it, operator, text))
                })
            }
            Ask::Related(name, id) => {
                let related = shown[*name].as_array().map(Vec::as_slice).unwrap_or_default();
                related.iter().any(|it| it["value"] == **id)
            }
            // One spelling, so the order of the text is the order of the times.
            Ask::Modified(operator, at) => {
                let order = shown["meta"]["lastModified"].as_str().expect("it is there").cmp(at);
                of_order(order, operator)
            }
            Ask::Not(inner) => !inner.holds(shown),
            Ask::And(one, other) => one.holds(shown) && other.holds(shown),
            Ask::Or(one, other) => one.holds(shown) || other.holds(shown),
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The values at a path: none, one, or those of a list.
fn values<'a>(shown: &'a Value, path: &str) -> Vec<&'a Value> {
    let (whole, part) = match path.strip_prefix(ENTERPRISE) {
        Some(part) => (ENTERPRISE, part.strip_prefix(':')),
        None => match path.split_once('.') {
            Some((whole, part)) => (whole, Some(part)),
            None => (path, None),
        },
    };
    let Some(found) = shown.get(whole) else { return Vec::new() };
    let each = match found {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    match part {
        None => each,
        Some(part) => each.into_iter().filter_map(|it| it.get(part)).collect(),
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(is_something),
        Value::Object(parts) => parts.values().any(is_something),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Ids are compared with case, and everything else without.
fn compares(name: &str, value: &str, operator: &str, text: &str) -> bool {
    let is_exact = matches!(name, "id" | "externalId");
    let folded = |text: &str| if is_exact { text.to_owned() } else { fold(text) };
    let (value, text) = (folded(value), folded(text));
    match operator {
        "eq" | "ne" => value == text,
        "co" => value.contains(&text),
        "sw" => value.starts_with(&text),
        "ew" => value.ends_with(&text),
        order => of_order(value.cmp(&text), order),
    }
}

fn of_order(order: Ordering, operator: &str) -> bool {
    match operator {
        "eq" => order.is_eq(),
        "gt" => order.is_gt(),
        "ge" => order.is_ge(),
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        other => unreachable!("the operator {other}"),
    }
}

/// Which attributes are wanted.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    All,
    Only(Vec<&'static str>),
    Without(Vec<&'static str>),
}

impl Wanted {
    /// As it stands in an address.
    pub(crate) fn parameter(&self) -> Option<(&'static str, String)> {
        match self {
            Wanted::All => None,
            Wanted::Only(names) => Some(("attributes", names.join(","))),
            Wanted::Without(names) => Some(("excludedAttributes", names.join(","))),
        }
    }

    pub(crate) fn of(&self, shown: &Value) -> Value {
        let always = ["schemas", "id"];
        let shown = shown.as_object().expect("a resource is an object");
        let kept: Map<String, Value> = match self {
            Wanted::All => shown.clone(),
            Wanted::Only(names) => shown
                .iter()
                .filter_map(|(name, value)| {
                    if always.contains(&&**name) || names.contains(&&**name) {
                        return Some((name.clone(), value.clone()));
                    }
                    let parts: Vec<&str> = names.iter().filter_map(|it| part(it, name)).collect();
                    Some((name.clone(), parts_of(value, |it| parts.contains(&it))?))
                })
                .collect(),
            Wanted::Without(names) => shown
                .iter()
                .filter(|(name, _)| always.contains(&&***name) || !names.contains(&&***name))
                .filter_map(|(name, value)| {
                    let parts: Vec<&str> = names.iter().filter_map(|it| part(it, name)).collect();
                    if parts.is_empty() || always.contains(&&**name) {
                        return Some((name.clone(), value.clone()));
                    }
                    Some((name.clone(), parts_of(value, |it| !parts.contains(&it))?))
                })
                .collect(),
        };
        kept.into()
    }
}

/// The part that a path names of this attribute.
fn part<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_prefix(name)?.strip_prefix(if name == ENTERPRISE { ':' } else { '.' })
}

/// A value with some of its parts; nothing where none is left.
fn parts_of(value: &Value, stays: impl Fn(&str) -> bool + Copy) -> Option<Value> {
    match value {
        Value::Object(parts) => {
            let parts: Map<String, Value> = parts
                .iter()
                .filter(|(name, _)| stays(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            (!parts.is_empty()).then_some(parts.into())
        }
        Value::Array(list) => {
            let list: Vec<Value> = list.iter().filter_map(|it| parts_of(it, stays)).collect();
            (!list.is_empty()).then_some(list.into())
        }
        _ => None,
    }
}

/// A list that somebody wants, whichever part of it.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) kind: Kind,
    pub(crate) ask: Option<Ask>,
    /// By what, and whether from behind.
    pub(crate) sort: Option<(&'static str, bool)>,
    pub(crate) wanted: Wanted,
    pub(crate) count: usize,
}

impl List {
    /// The parameters of a page, but for where it begins.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("count", self.count.to_string())];
        parameters.extend(self.ask.as_ref().map(|ask| ("filter", ask.print())));
        if let Some((by, descends)) = self.sort {
            parameters.push(("sortBy", by.to_owned()));
            if descends {
                parameters.push(("sortOrder", "descending".to_owned()));
            }
        }
        parameters.extend(self.wanted.parameter());
        parameters
    }

    /// Everybody who is on it, in its order, each with the place by which it goes on.
    pub(crate) fn of(&self, plain: &Plain) -> Vec<(Place, Value)> {
        let mut list: Vec<(Place, Value)> = plain
            .all(self.kind)
            .iter()
            .map(|(id, record)| (record.ordinal, plain.shown(self.kind, id)))
            .filter(|(_, shown)| self.ask.as_ref().is_none_or(|ask| ask.holds(shown)))
            .map(|(ordinal, shown)| {
                let by = self.sort.map(|(by, descends)| (sort_key(&shown, by), descends));
                (Place { by, ordinal }, shown)
            })
            .collect();
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        list
    }
}

/// Where somebody stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    by: Option<((bool, String), bool)>,
    ordinal: u64,
}

impl Place {
    pub(crate) fn cmp(&self, other: &Place) -> Ordering {
        let by_key = match (&self.by, &other.by) {
            (Some((one, true)), Some((other, true))) => other.cmp(one),
            (one, other) => one.cmp(other),
        };
        by_key.then(self.ordinal.cmp(&other.ordinal))
    }
}

/// Who has nothing to be sorted by comes last; of a list, what is primary counts, or what is first.
fn sort_key(shown: &Value, by: &str) -> (bool, String) {
    let value = match by {
        "emails" => {
            let emails = shown["emails"].as_array().map(Vec::as_slice).unwrap_or_default();
            let email = emails.iter().find(|it| it["primary"] == true).or(emails.first());
            email.and_then(|it| it["value"].as_str())
        }
        by => values(shown, by).first().and_then(|it| it.as_str()),
    };
    match value {
        None | Some("") => (true, String::new()),
        Some(text) if matches!(by, "id" | "externalId") => (false, text.to_owned()),
        Some(text) => (false, fold(text)),
    }
}
