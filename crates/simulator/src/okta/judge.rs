//! What Okta accepts, what makes it give up, and what works but should be known.

use std::time::Duration;

use serde_json::Value;

use super::body::{Attributes, Field};
use super::settings::Options;
use crate::report::{Finding, Rule};
use crate::wire::{Method, NoAnswer, Request, Response, reason_phrase};

/// The longest body that is looked at. Okta documents no limit; a group of 500,000 members takes
/// less than half of it.
const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Okta's own test wants a list of groups within this time.
const GROUPS_ELAPSED_MAX: Duration = Duration::from_millis(600);

/// Why a request failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The HTTP status, when there was an answer.
    pub(super) status: Option<u16>,
    /// What stands behind "what Okta tried" in the text for the admin.
    pub(super) text: String,
    /// The wait that a 429 asked for, when it did in a way that Okta understands.
    pub(super) retry_after: Option<Duration>,
    /// Whether the same request may work later: 429, 5xx, no answer.
    pub(super) is_transient: bool,
}

impl Failure {
    /// It will not work later either.
    pub(super) fn permanent(status: u16, text: impl Into<String>) -> Failure {
        Failure { status: Some(status), text: text.into(), retry_after: None, is_transient: false }
    }
}

/// A page of a list.
pub(super) struct Page<'a> {
    pub(super) total: u64,
    pub(super) rows: &'a [Value],
}

/// Reads one answer and collects what should be known about it.
pub(super) struct Judge<'a> {
    pub(super) request: &'a Request,
    pub(super) options: &'a Options,
    pub(super) status: u16,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(request: &'a Request, options: &'a Options) -> Judge<'a> {
        Judge { request, options, status: 0, findings: Vec::new() }
    }

    /// Notes a finding, each rule once per exchange.
    pub(super) fn note(&mut self, rule: Rule, text: impl Into<String>) {
        if !self.findings.iter().any(|finding| finding.rule == rule) {
            self.findings.push(Finding { rule, text: text.into() });
        }
    }

    /// What holds for every answer. Gives the body, or `Null` where there is none.
    pub(super) fn body(&mut self, answer: &Result<Response, NoAnswer>) -> Result<Value, Failure> {
        let response = match answer {
            Ok(response) if response.elapsed < self.options.timeout => response,
            Ok(_) | Err(NoAnswer::Timeout) => {
                let seconds = self.options.timeout.as_secs();
                self.note(
                    Rule::Timeout,
                    format!(
                        "nothing came within {seconds} s; Okta closes the connection then. \
                         Answer sooner: the request may have been carried out, and Okta does \
                         not know"
                    ),
                );
                return Err(Failure {
                    status: None,
                    text: "Read timed out".to_owned(),
                    retry_after: None,
                    is_transient: true,
                });
            }
            Err(NoAnswer::Connection(reason)) => {
                return Err(Failure {
                    status: None,
                    text: reason.clone(),
                    retry_after: None,
                    is_transient: true,
                });
            }
        };
        self.status = response.status;
        if (300..400).contains(&response.status) {
            self.note(
                Rule::Redirect,
                format!(
                    "`{}` is a redirect, which is not followed. Give Okta the URL that answers",
                    response.status
                ),
            );
            return Err(Failure::permanent(response.status, reason_phrase(response.status)));
        }
        let parsed = self.parse(response);
        if response.is_success() {
            return parsed.map_err(|text| Failure::permanent(response.status, text));
        }
        Err(self.error(response, parsed))
    }

    /// Okta parses every body that is there, whatever the status and the content type.
    fn parse(&mut self, response: &Response) -> Result<Value, String> {
        if response.body.is_empty() {
            return Ok(Value::Null);
        }
        if response.body.len() > BODY_BYTES_MAX {
            return Err(format!("the body is longer than {BODY_BYTES_MAX} bytes"));
        }
        let Ok(body) = serde_json::from_slice::<Value>(&response.body) else {
            let content_type = response.header("content-type").unwrap_or("no content type");
            self.note(
                Rule::NotJson,
                format!(
                    "the body of `{}` is not JSON ({content_type}). Okta parses every body; \
                     answer errors in JSON too, also those of a proxy",
                    response.status
                ),
            );
            return Err(invalid_json(&response.body));
        };
        let content_type = response.header("content-type").unwrap_or_default();
        if !content_type.to_ascii_lowercase().contains("json") {
            self.note(
                Rule::ContentType,
                format!(
                    "the content type of a JSON body is `{content_type}`. Send \
                     `application/scim+json`"
                ),
            );
        }
        if body.is_object() && !body.get("schemas").is_some_and(Value::is_array) {
            self.note(
                Rule::MissingSchemas,
                "the body has no `schemas`, which every SCIM message and resource must have \
                 (RFC 7643 §3)",
            );
        }
        Ok(body)
    }

    /// A 4xx or 5xx.
    fn error(&mut self, response: &Response, parsed: Result<Value, String>) -> Failure {
        let reason = reason_phrase(response.status);
        let text = match parsed {
            Err(invalid) => format!("{reason}. Errors reported by remote server: {invalid}"),
            Ok(body) => {
                let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default();
                if detail.is_empty() {
                    self.note(
                        Rule::ErrorWithoutDetail,
                        format!(
                            "the error `{}` has no `detail`: the admin sees `{reason}` and nothing \
                             that helps",
                            response.status
                        ),
                    );
                }
                let status = match body.get("status") {
                    Some(Value::String(status)) => status.clone(),
                    Some(Value::Number(status)) => status.to_string(),
                    _ => String::new(),
                };
                if status != response.status.to_string() {
                    self.note(
                        Rule::ErrorStatus,
                        format!(
                            "`status` of the error is `{status}` and HTTP says `{}`. They must be \
                             the same (RFC 7644 §3.12)",
                            response.status
                        ),
                    );
                }
                match detail {
                    "" => reason.to_owned(),
                    detail => format!("{reason}. Errors reported by remote server: {detail}"),
                }
            }
        };
        if self.request.method == Method::Patch && matches!(response.status, 405 | 501) {
            self.note(
                Rule::PatchUnsupported,
                format!(
                    "PATCH is answered with `{}`. Okta's catalogue apps cannot do without it, and \
                     do not fall back to PUT",
                    response.status
                ),
            );
        } else if self.request.method == Method::Patch
            && response.status == 400
            && self.is_pathless()
        {
            self.note(
                Rule::PathlessPatch,
                "a PATCH whose operation has no `path` is refused. It is legal (RFC 7644 §3.5.2.3) \
                 and Okta's usual form: take `value` as attributes to replace, and ignore `id` in \
                 it",
            );
        }
        let retry_after = (response.status == 429).then(|| self.retry_after(response)).flatten();
        Failure {
            status: Some(response.status),
            text,
            retry_after,
            is_transient: response.status == 429
                || response.status >= 500 && response.status != 501,
        }
    }

    /// Okta understands whole seconds and nothing else.
    fn retry_after(&mut self, response: &Response) -> Option<Duration> {
        let value = response.header("retry-after");
        let seconds = value.and_then(|value| value.trim().parse::<u64>().ok());
        if seconds.is_none() {
            self.note(
                Rule::RetryAfter,
                match value {
                    None => "429 has no `Retry-After`: Okta waits five minutes, then ten, and so \
                             on. Send a small whole number of seconds"
                        .to_owned(),
                    Some(value) => format!(
                        "`Retry-After: {value}` is not a whole number of seconds: Okta waits five \
                         minutes, then ten, and so on"
                    ),
                },
            );
        }
        seconds.map(Duration::from_secs)
    }

    fn is_pathless(&self) -> bool {
        let body = self.request.json().unwrap_or_default();
        let operations = body.get("Operations").and_then(Value::as_array);
        operations.is_some_and(|operations| {
            operations.iter().any(|operation| operation.get("path").is_none())
        })
    }

    /// A page of a list. `asked` is the `count` of the request.
    pub(super) fn page<'b>(
        &mut self,
        body: &'b Value,
        elapsed: Option<Duration>,
    ) -> Result<Page<'b>, Failure> {
        let resources = self.list_value(body, "Resources");
        let Some(rows) = resources.and_then(Value::as_array) else {
            self.note(
                Rule::ListShape,
                "the list has no array `Resources`. Okta wants it also when it is empty",
            );
            return Err(Failure::permanent(self.status, "No results for users returned"));
        };
        let mut number = |name: &str| match self.list_value(body, name) {
            Some(Value::Number(number)) => Ok(number.as_u64()),
            Some(Value::String(text)) => {
                self.note(
                    Rule::ListNumbers,
                    format!("`{name}` is the string `\"{text}\"`. Okta stops there: send a number"),
                );
                Err(Failure::permanent(self.status, "null"))
            }
            _ => Ok(None),
        };
        let (total, start) = (number("totalResults")?, number("startIndex")?);
        let per_page = number("itemsPerPage")?;
        let here = rows.len() as u64;
        let Some(total) = total else {
            self.note(Rule::ListShape, "the list has no number `totalResults`");
            return Err(Failure::permanent(self.status, "No results for users returned"));
        };
        if per_page.is_some_and(|per_page| per_page != here) {
            self.note(
                Rule::ItemsPerPage,
                format!(
                    "`itemsPerPage` is {} and {here} resources are on the page. Say how many \
                     there are, not how many were asked for",
                    per_page.unwrap_or_default()
                ),
            );
        }
        let asked_start = self.asked("startIndex");
        if let (Some(start), Some(asked)) = (start, asked_start)
            && start != asked
        {
            self.note(
                Rule::StartIndex,
                format!("`startIndex` is {start} and {asked} was asked for"),
            );
        }
        if let (Some(count), Some(asked)) = (self.asked("count"), asked_start) {
            if here > count {
                self.note(
                    Rule::CountIgnored,
                    format!(
                        "{here} resources are on the page and {count} were asked for. Okta goes on \
                         at {}, so they come twice",
                        asked + count
                    ),
                );
            } else if here > 0 && here < count && asked + here <= total {
                self.note(
                    Rule::PageCap,
                    format!(
                        "{here} resources are on the page, {count} were asked for, and there are \
                         {total}. Okta goes on at {}, so what lies between is lost: never cap \
                         `count` below 100",
                        asked + count
                    ),
                );
            }
        }
        if total < here {
            self.note(
                Rule::TotalResults,
                format!("`totalResults` is {total} and {here} resources are on this page alone"),
            );
        }
        if self.request.path() == "/Groups"
            && elapsed.is_some_and(|elapsed| elapsed > GROUPS_ELAPSED_MAX)
        {
            self.note(
                Rule::SlowGroups,
                format!(
                    "listing groups took {} ms; Okta's own test wants it within {} ms",
                    elapsed.unwrap_or_default().as_millis(),
                    GROUPS_ELAPSED_MAX.as_millis()
                ),
            );
        }
        Ok(Page { total, rows })
    }

    /// An attribute of a list; Okta does not mind its case.
    fn list_value<'b>(&mut self, body: &'b Value, name: &str) -> Option<&'b Value> {
        if let Some(value) = body.get(name) {
            return Some(value);
        }
        let (found, value) =
            body.as_object()?.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        self.note(Rule::ListCase, format!("the list says `{found}` instead of `{name}`"));
        Some(value)
    }

    fn asked(&self, parameter: &str) -> Option<u64> {
        self.request.parameter(parameter)?.parse().ok()
    }

    /// The id of a resource in an answer. Okta keeps it and uses it for everything after.
    pub(super) fn id(&mut self, resource: &Value) -> Option<String> {
        match resource.get("id")? {
            Value::String(id) if !id.is_empty() => Some(id.clone()),
            Value::Number(id) => {
                self.note(
                    Rule::NumericId,
                    format!("`id` is the number `{id}`. It must be a string (RFC 7643 §3.1)"),
                );
                Some(id.to_string())
            }
            _ => None,
        }
    }

    /// That an answer is about the resource that was asked for.
    pub(super) fn same_id(&mut self, resource: &Value, expected: &str) {
        if let Some(id) = self.id(resource)
            && id != expected
        {
            self.note(
                Rule::IdChanged,
                format!(
                    "the answer's `id` is `{id}` and the request was about `{expected}`. An id \
                     stays as long as its resource"
                ),
            );
        }
    }

    /// A user in an answer against what was written. `None` for the attributes where only the
    /// state is known.
    pub(super) fn compare_user(
        &mut self,
        user: &Value,
        attributes: Option<&Attributes>,
        active: Option<bool>,
        okta_id: &str,
    ) {
        if user.get("password").is_some_and(|password| !password.is_null()) {
            self.note(
                Rule::PasswordEchoed,
                "the answer contains `password`, which is never returned (RFC 7643 §4.1.1). Okta \
                 would send it back with the next PUT",
            );
        }
        match (active, user.get("active")) {
            (Some(expected), Some(Value::Bool(active))) if expected == *active => {}
            (None, Some(Value::Bool(_)) | None) => {}
            (_, Some(Value::String(text))) => self.note(
                Rule::ActiveShape,
                format!("`active` is the string `\"{text}\"`. Answer with a boolean"),
            ),
            (Some(expected), found) => {
                let found = found.map_or("not there".to_owned(), |found| format!("`{found}`"));
                self.note(
                    Rule::ActiveUnchanged,
                    format!(
                        "`active` is {found} and Okta last wrote `{expected}`: a person has access \
                         who should not, or has none who should"
                    ),
                );
            }
            (None, _) => self.note(Rule::ActiveShape, "`active` is not a boolean"),
        }
        let Some(attributes) = attributes else { return };
        for field in Field::ALL {
            self.compare_field(field, attributes.get(&field).map(String::as_str), user);
        }
        if user.get("externalId").and_then(Value::as_str) != Some(okta_id) {
            self.note(
                Rule::ExternalIdLost,
                "`externalId`, the id that Okta has for the person, was not kept. Okta does not \
                 need it; whoever looks into a problem does",
            );
        }
    }

    fn compare_field(&mut self, field: Field, expected: Option<&str>, user: &Value) {
        let path = field.path();
        match (expected, field.read(user)) {
            (expected, found) if expected == found => {}
            (Some(expected), Some(found))
                if field == Field::UserName && same_without_case(expected, found) =>
            {
                self.note(
                    Rule::UserNameCase,
                    format!(
                        "`userName` was written as `{expected}` and came back as `{found}`. \
                         Compare it without case, and keep it as it was sent"
                    ),
                );
            }
            (Some(expected), None)
                if field == Field::Email && any_value(user, "emails", expected) =>
            {
                self.note(
                    Rule::NoPrimary,
                    "the e-mail address came back without `primary: true`. Okta reads the primary \
                     one only",
                );
            }
            (Some(expected), found) => {
                let found = found.map_or("not there".to_owned(), |found| format!("`{found}`"));
                let text =
                    format!("`{path}` was written as `{expected}` and is {found} in the answer");
                let rule = if field.is_essential() { Rule::Drift } else { Rule::AttributeNotKept };
                self.note(rule, text);
            }
            (None, Some(found)) => self.note(
                Rule::NotCleared,
                format!("`{path}` is empty in Okta and still `{found}` in the answer"),
            ),
            (None, None) => unreachable!("equal values are above"),
        }
    }
}

/// Whether two names are the same to everybody but a byte comparison.
pub(super) fn same_without_case(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn any_value(user: &Value, attribute: &str, expected: &str) -> bool {
    let values = user.get(attribute).and_then(Value::as_array);
    values.is_some_and(|values| {
        values.iter().any(|value| value.get("value").and_then(Value::as_str) == Some(expected))
    })
}

/// What Okta's JSON parser says about a body that is not JSON.
fn invalid_json(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start();
    let token: String =
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(40).collect();
    let first = text.chars().next().unwrap_or(' ');
    if token.is_empty() {
        format!(
            "Invalid JSON: Unexpected character ('{first}' (code {})): expected a valid value",
            u32::from(first)
        )
    } else {
        format!("Invalid JSON: Unrecognized token '{token}'")
    }
}
