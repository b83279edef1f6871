//! What is kept of a provider's requests, and what is said of them: for people who want to know why
//! somebody has or has not got access.
//!
//! A request is taken down as it passes, and what is kept of it is made of that later, by nobody who
//! waits. Secrets are left out before anything is kept. The words are made when they are asked for, so
//! a later version may find better ones for what an earlier one has kept.

mod explain;
mod redact;
mod subjects;

use std::net::IpAddr;

use jiff::Timestamp;
use scim::dialect::{Quirk, Quirks};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cause::By;
use crate::erasure::Search;
use crate::id::{ErasureId, RequestId};

pub use explain::{Explanation, GENERIC, explain};
pub use redact::{HIDDEN, mask};
pub use subjects::{Place, SUBJECTS_MAX, filtered, subject};

use crate::requests::redact::Redacted;

/// Bytes of a body that are looked at and kept. A user is described in one or two kilobytes; of a
/// longer body its beginning is kept, and how long it was.
pub const BODY_MAX: usize = 64 * 1024;

/// The same of what was answered to somebody who only reads: pages of lists say what is kept anyway.
pub const READ_MAX: usize = 8 * 1024;

/// Members that nobody knows and that are named, of one request.
pub const UNKNOWN_MEMBERS_MAX: usize = 20;

/// Characters of a path, of a query and of the name of a program that are kept.
const TEXT_MAX: usize = 2_048;
const NAME_MAX: usize = 256;

/// What becomes of what requests say of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PersonalData {
    /// It is kept.
    #[default]
    Kept,
    /// Of each text its first character is, and ids: enough to tell one from another. Requests can
    /// still be found by whole names.
    Masked,
}

impl PersonalData {
    /// Its name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            PersonalData::Kept => "kept",
            PersonalData::Masked => "masked",
        }
    }
}

impl std::str::FromStr for PersonalData {
    type Err = String;

    fn from_str(text: &str) -> Result<PersonalData, String> {
        [PersonalData::Kept, PersonalData::Masked]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| format!("`{text}` is neither `kept` nor `masked`"))
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether bodies are.
    pub bodies: bool,
    /// What becomes of what they say of people.
    pub personal_data: PersonalData,
}

/// How a request said who sends it. The credential itself is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presented {
    /// Not at all.
    #[default]
    Nothing,
    /// `Authorization: Bearer …`.
    Bearer,
    /// The token without a word before it.
    Bare,
    /// `Authorization: Basic …`.
    Basic,
    /// In another way, or so that it cannot be read.
    Otherwise,
}

/// A request and its answer, as they passed.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its name.
    pub request_id: RequestId,
    /// When it came.
    pub at: Timestamp,
    /// `GET`.
    pub method: &'a str,
    /// The path, below a base URL and with it.
    pub path: &'a str,
    /// What stands behind the `?`.
    pub query: Option<&'a str>,
    /// How it was answered.
    pub status: u16,
    /// From where it came.
    pub client_address: Option<IpAddr>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// How it said who sends it.
    pub presented: Presented,
    /// Who sent it; nobody, where no credential opened the directory.
    pub by: Option<By>,
    /// Whose again, where somebody had a request carried out once more.
    pub rerun_of: Option<RequestId>,
    /// What was tried, to stand after "tried to".
    pub tried: &'a str,
    /// Whether nothing is served at the path.
    pub is_unknown_path: bool,
    /// What was straightened.
    pub quirks: &'a Quirks,
    /// Members that nobody knows.
    pub unknown_members: &'a [String],
    /// `Location` of the answer.
    pub location: Option<&'a str>,
    /// The body.
    pub request: Option<Part<'a>>,
    /// The body of the answer.
    pub answer: Option<Part<'a>>,
}

/// A body, or its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Of what there was.
    pub begin: &'a [u8],
    /// How many bytes there were.
    pub bytes: u64,
}

impl Part<'_> {
    fn is_whole(&self) -> bool {
        self.begin.len() as u64 == self.bytes
    }
}

impl Seen<'_> {
    /// The body, where it is all there, and JSON.
    pub fn body(&self) -> Option<Value> {
        let part = self.request.filter(Part::is_whole)?;
        serde_json::from_slice(part.begin).ok()
    }

    /// Whether it was there to read and not to change.
    pub fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS") || self.path.ends_with("/.search")
    }
}

/// What is kept of a request, beside its bodies and what it is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// `GET`.
    pub method: String,
    /// The path, without secrets.
    pub path: String,
    /// What stands behind the `?`, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// From where it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_address: Option<String>,
    /// What called itself so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Who sent it, as [`By`] is told: which kind, and its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<(String, Option<String>)>,
    /// Whose again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// To stand after "tried to".
    pub tried: String,
    /// The names of quirks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub straightened: Vec<String>,
    /// Members that nobody knows, a few of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_members: Vec<String>,
    /// How many of them there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown_member_count: u64,
    /// `scimType` of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scim_type: Option<String>,
    /// `detail` of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Operations of a bulk request that failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed_operations: u64,
    /// What is known of its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<BodyKept>,
    /// What is known of the body of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_body: Option<BodyKept>,
    /// What it is found by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Whom or what it was meant to change, by the same names: whoever has it carried out again asks
    /// whether somebody else has changed the same since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Somebody whom it was about was erased: by this erasure. Then nothing that it said of people is
    /// left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased_by: Option<String>,
    /// This is no request: so many were not taken down, from this moment on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
}

/// Requests that were not taken down, because there were too many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many.
    pub count: u64,
    /// When the last of them came, in microseconds.
    pub until: i64,
}

/// What is known of a body, whether or not it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BodyKept {
    /// How many bytes there were.
    pub bytes: u64,
    /// Whether what is kept is all of it, but for passwords.
    #[serde(skip_serializing_if = "is_false")]
    pub is_whole: bool,
    /// Whether it is not kept because it is not JSON: what cannot be read cannot be searched for
    /// secrets.
    #[serde(skip_serializing_if = "is_false")]
    pub is_unreadable: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(is: &bool) -> bool {
    !*is
}

impl Entry {
    /// Whether it says anything of somebody, beside its bodies.
    pub fn is_about(&self, search: &Search) -> bool {
        let in_plain = |text: &str| search.finds(&redact::decoded(text).replace('+', " "));
        let quoted = |text: &String| Value::from(text.as_str()).to_string();
        self.subjects.iter().chain(&self.targets).any(|it| search.is_subject(it))
            || in_plain(&self.path)
            || self.query.as_deref().is_some_and(in_plain)
            || self.detail.as_deref().is_some_and(|text| search.finds(text))
            || self.unknown_members.iter().any(|it| search.finds(&quoted(it)))
    }

    /// Takes out whatever it says of people. That there was such a request, when, and how it was
    /// answered, stays; and that others were in it stays known by digests of their names.
    pub fn erase(&mut self, by: ErasureId, search: &Search) {
        self.subjects.retain(|it| !search.is_subject(it));
        self.targets.retain(|it| !search.is_subject(it));
        self.path = redact::path(&self.path, PersonalData::Masked);
        self.query = None;
        self.detail = None;
        self.unknown_members.clear();
        for body in [&mut self.request_body, &mut self.answer_body].into_iter().flatten() {
            body.is_whole = false;
        }
        self.erased_by = Some(by.to_string());
    }
}

/// All that is kept of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What it was.
    pub entry: Entry,
    /// Its body, without secrets.
    pub request_body: Option<String>,
    /// That of its answer.
    pub answer_body: Option<String>,
}

impl Record {
    /// Makes it of a request. `body` is that of [`Seen::body`].
    pub fn of(seen: &Seen<'_>, body: Option<&Value>, policy: Policy) -> Record {
        let personal_data = policy.personal_data;
        let place = Place::read(seen.path);
        let known = seen.by.is_some() || seen.rerun_of.is_some();
        let error = answered_error(seen);
        let text = |error: &Value, name: &str| {
            let text = error[name].as_str()?;
            Some(redact::cut(&redact::prose(text, personal_data), TEXT_MAX).to_owned())
        };
        // A stranger may send whatever they like, and no trace of it is kept.
        let keeps = |part: Part<'_>, max| {
            if known { redact::body(part, max, personal_data) } else { Redacted::default() }
        };
        let answer_max = if seen.is_read() { READ_MAX } else { BODY_MAX };
        let request = seen.request.map(|part| (part, keeps(part, BODY_MAX)));
        let answer = seen.answer.map(|part| (part, keeps(part, answer_max)));
        let about = |it: &Option<(Part<'_>, Redacted)>| {
            it.as_ref().map(|(part, redacted)| BodyKept {
                bytes: part.bytes,
                is_whole: policy.bodies && redacted.is_whole && part.is_whole(),
                is_unreadable: known && redacted.text.is_none(),
            })
        };
        let subjects = if known { subjects::of(seen, &place, body) } else { Vec::new() };
        let entry = Entry {
            method: redact::cut(seen.method, 32).to_owned(),
            path: redact::path(seen.path, personal_data),
            query: seen.query.map(|query| redact::query(query, personal_data)),
            client_address: seen.client_address.map(|it| it.to_string()),
            user_agent: seen
                .user_agent
                .map(|it| redact::cut(&redact::secrets(it), NAME_MAX).to_owned()),
            by: seen.by.map(|by| {
                let (kind, id) = by.parts();
                (kind.to_owned(), id)
            }),
            rerun_of: seen.rerun_of.map(|id| id.to_string()),
            tried: seen.tried.to_owned(),
            straightened: seen.quirks.iter().map(|it| Quirk::name(it).to_owned()).collect(),
            unknown_members: seen
                .unknown_members
                .iter()
                .take(UNKNOWN_MEMBERS_MAX)
                .map(|it| redact::cut(&redact::word(it, personal_data), 64).to_owned())
                .collect(),
            unknown_member_count: seen.unknown_members.len() as u64,
            scim_type: error.as_ref().and_then(|it| text(it, "scimType")),
            detail: error.as_ref().and_then(|it| text(it, "detail")).map(without_request_id),
            failed_operations: failed_operations(seen),
            request_body: about(&request),
            answer_body: about(&answer),
            targets: if known { subjects::targets(seen, &place, body) } else { Vec::new() },
            subjects,
            erased_by: None,
            lost: None,
        };
        let text = |it: Option<(Part<'_>, Redacted)>| {
            it.and_then(|(_, redacted)| redacted.text).filter(|_| policy.bodies)
        };
        Record { entry, request_body: text(request), answer_body: text(answer) }
    }
}

/// An error without the id of its request, which whoever reads the log has in another place.
fn without_request_id(mut detail: String) -> String {
    if let Some(at) = detail.rfind(" (request req-")
        && detail.ends_with(')')
    {
        detail.truncate(at);
    }
    detail
}

/// The error that was answered.
fn answered_error(seen: &Seen<'_>) -> Option<Value> {
    if seen.status < 400 {
        return None;
    }
    serde_json::from_slice(seen.answer?.begin).ok()
}

/// How many operations of a bulk request failed: it is answered 200 all the same.
fn failed_operations(seen: &Seen<'_>) -> u64 {
    if seen.status != 200 || !seen.path.ends_with("/Bulk") {
        return 0;
    }
    let answer: Option<Value> =
        seen.answer.filter(Part::is_whole).and_then(|part| serde_json::from_slice(part.begin).ok());
    let operations = answer.as_ref().and_then(|it| it["Operations"].as_array());
    let failed = |it: &&Value| it["status"].as_str().is_some_and(|it| it >= "400");
    operations.map_or(0, |it| it.iter().filter(failed).count() as u64)
}
