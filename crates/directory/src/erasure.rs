//! Erasing a person: that it is decided, and by which names they are found in what was taken down.
//!
//! The decision deletes who is still there, as a provider would, and tells whoever follows the feed to
//! erase the same. What was said of the person before is taken out of everything that is kept by the
//! store, step by step; ids stay, which say nothing.

use std::collections::BTreeSet;

use scim::text::fold;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::change::{Change, ErasureChange};
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::Facts;
use crate::id::{ErasureId, UserId};
use crate::requests::subject;
use crate::user::DeleteUser;

/// Names of one person that are looked for; ids that they had are always among them.
pub const NAMES_MAX: usize = 1_000;

/// Characters from which on a name is looked for wherever it stands. A shorter one is to stand alone
/// between quotes: `li` is a part of too much.
const LOOKED_FOR_ANYWHERE: usize = 8;

/// Somebody is to be erased.
#[derive(Clone, Debug)]
pub struct EraseUser {
    /// Whom.
    pub id: UserId,
    /// What this is called.
    pub erasure_id: ErasureId,
    /// Who they were before they were deleted and came back.
    pub former_ids: Vec<UserId>,
}

impl Decide for EraseUser {
    type Answer = ();

    const IS_READ_BY_SCHEMAS: bool = false;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<()>, Stop> {
        let is_there = facts.user(self.id)?.is_some();
        let mut changes = if is_there {
            DeleteUser { id: self.id }.decide(facts, moment)?.changes
        } else {
            Vec::new()
        };
        let user_ids = std::iter::once(self.id).chain(self.former_ids.iter().copied());
        changes.push(Change::Erasure(ErasureChange {
            id: self.erasure_id,
            user_ids: user_ids.collect(),
            is_deleted: is_there,
        }));
        Ok(Decision { changes, answer: () })
    }
}

/// What stays of what an event says of a user who was erased: whose it was, by ids. `None` where it is
/// about nobody, nothing but that is left, or it tells of the erasure.
pub fn without_the_person(data: &str) -> Option<String> {
    let data: Value = serde_json::from_str(data).ok()?;
    if data.get("erasure").is_some() {
        return None;
    }
    let mut left = Map::new();
    left.insert("user".to_owned(), json!({ "id": data.pointer("/user/id")?.as_str()? }));
    if data.get("changes").is_some() {
        left.insert("changes".to_owned(), json!({}));
    }
    if let Some(previous) = data.get("previous_user_id") {
        left.insert("previous_user_id".to_owned(), previous.clone());
    }
    left.insert("erased".to_owned(), Value::Bool(true));
    let left = Value::Object(left);
    (left != data).then(|| left.to_string())
}

/// What a person is found by, where nothing says whom it is about. Without case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Of whoever had these ids.
    pub fn of(ids: &[UserId]) -> Traces {
        Traces(ids.iter().map(ToString::to_string).collect())
    }

    /// Notes a name.
    pub fn note(&mut self, name: &str) {
        if !name.trim().is_empty() && self.0.len() < NAMES_MAX {
            self.0.insert(fold(name).into_owned());
        }
    }

    /// Notes the names that an event tells of its user: those they have, and those that they had.
    pub fn note_event(&mut self, data: &str) {
        let Ok(data) = serde_json::from_str::<Value>(data) else { return };
        for (name, value) in data["user"].as_object().into_iter().flatten() {
            self.note_attribute(name, value);
        }
        for (name, change) in data["changes"].as_object().into_iter().flatten() {
            self.note_attribute(name, &change["old"]);
            self.note_attribute(name, &change["new"]);
        }
    }

    fn note_attribute(&mut self, name: &str, value: &Value) {
        match (name, value) {
            ("userName" | "externalId" | "displayName", Value::String(text)) => self.note(text),
            ("name", name) => {
                if let Some(text) = name["formatted"].as_str() {
                    self.note(text);
                }
            }
            ("emails" | "phoneNumbers", Value::Array(entries)) => {
                for text in entries.iter().filter_map(|it| it["value"].as_str()) {
                    self.note(text);
                }
            }
            _ => {}
        }
    }

    /// What is looked for, to look for it often.
    pub fn search(&self) -> Search {
        let wanted = |name: &String| {
            // As it stands in JSON, with its quotes.
            let quoted = Value::from(name.as_str()).to_string();
            let is_long = name.chars().count() >= LOOKED_FOR_ANYWHERE;
            if is_long { quoted[1..quoted.len() - 1].to_owned() } else { quoted }
        };
        Search {
            wanted: self.0.iter().map(wanted).collect(),
            subjects: self.0.iter().map(|name| subject(false, name)).collect(),
        }
    }
}

/// The search for a person in what was taken down.
#[derive(Clone, Debug)]
pub struct Search {
    wanted: Vec<String>,
    subjects: BTreeSet<String>,
}

impl Search {
    /// Whether a text names the person: one of ours, or JSON.
    pub fn finds(&self, text: &str) -> bool {
        let text = fold(text);
        self.wanted.iter().any(|wanted| text.contains(wanted))
    }

    /// Whether a request is found by this name of the person, which [`subject`] made.
    pub fn is_subject(&self, name: &str) -> bool {
        self.subjects.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: &str = "01930000-0000-7000-8000-00000000000a";

    #[test]
    fn of_an_event_nothing_stays_but_whose_it_was() {
        let check = |data: Value, expected: Option<Value>| {
            let left = without_the_person(&data.to_string());
            let left: Option<Value> = left.map(|text| serde_json::from_str(&text).unwrap());
            assert_eq!(left, expected, "{data}");
        };
        let left = json!({ "user": { "id": ANA }, "erased": true });
        check(json!({ "user": { "id": ANA, "userName": "ana" } }), Some(left.clone()));
        check(left, None);
        check(
            json!({
                "user": { "id": ANA, "userName": "ana" },
                "changes": { "userName": { "old": "anna", "new": "ana" } },
            }),
            Some(json!({ "user": { "id": ANA }, "changes": {}, "erased": true })),
        );
        check(
            json!({ "user": { "id": ANA, "userName": "ana" }, "previous_user_id": "7" }),
            Some(json!({ "user": { "id": ANA }, "previous_user_id": "7", "erased": true })),
        );
        check(json!({ "group": { "id": ANA, "displayName": "Sales" } }), None);
        check(json!({ "user": { "id": ANA }, "erasure": { "id": "era-7" } }), None);
    }

    #[test]
    fn a_person_is_found_by_every_name_that_they_had() {
        let mut traces = Traces::of(&[UserId::parse(ANA).unwrap()]);
        let event = json!({
            "user": {
                "id": ANA,
                "userName": "ana@acme.example",
                "externalId": "00u1",
                "name": { "formatted": "Ana \"Lu\" Lima" },
                "emails": [{ "value": "Ana.Lima@acme.example" }],
                "title": "engineer",
            },
            "changes": { "userName": { "old": "ana.souza@acme.example", "new": "ana@acme.example" } },
        });
        traces.note_event(&event.to_string());
        let search = traces.search();
        let check = |text: &str, expected: bool| assert_eq!(search.finds(text), expected, "{text}");
        check(r#"{"userName":"ANA@acme.example"}"#, true);
        check("`ana.souza@acme.example` is taken", true);
        check(&format!("/scim/v2/Users/{ANA}"), true);
        check(r#"{"formatted":"Ana \"Lu\" Lima"}"#, true);
        check(r#"{"emails":[{"value":"ana.lima@ACME.example"}]}"#, true);
        // What is short stands by itself, or is something else.
        check(r#"{"externalId":"00U1"}"#, true);
        check(r#"{"externalId":"00u12"}"#, false);
        check(r#"{"title":"engineer"}"#, false);
        for name in [ANA, "ana@acme.example", "Ana.Souza@acme.example", "00u1"] {
            assert!(search.is_subject(&subject(false, name)), "{name}");
        }
    }
}
