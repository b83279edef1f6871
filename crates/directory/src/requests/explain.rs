//! A request in plain words: what the provider tried, what was done, why, and what to do now.
//!
//! What was refused says so itself, in the `detail` of the error, which an IT admin sees in their own
//! console: its first sentence says why, and what follows says what to do. Where it does not say what
//! to do, [`ADVICE`] does, by kind of refusal.

use scim::dialect::Quirk;

use super::Entry;

/// A request, explained. Each text is a sentence or a few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the provider tried.
    pub tried: String,
    /// What was done.
    pub outcome: String,
    /// Why, where that is a question.
    pub why: Option<String>,
    /// What somebody is to do now, if anything.
    pub what_to_do: Option<String>,
}

/// Where nothing better is known: a test holds that no refusal that we know of ends up here.
pub const GENERIC: &str = "Give the app's team the id of this request: with it they find what happened in the log of the server.";

/// What to do where the error does not say it: by status and `scimType`, and the first that fits.
const ADVICE: &[(u16, &str, &str)] = &[
    (
        400,
        "invalidFilter",
        "Compare the filter with the attributes that are mapped: ask for one that this directory knows, with an operator that fits it.",
    ),
    (
        400,
        "invalidPath",
        "Compare the attribute mapping of the app with the attributes that this directory knows, and correct or remove the one that is named.",
    ),
    (
        400,
        "invalidValue",
        "Correct the value at its source, or its mapping in the app, and have it sent again.",
    ),
    (
        400,
        "invalidSyntax",
        "The request is not what SCIM asks for. Compare it with the body below; where the app makes it from a template, correct the template.",
    ),
    (400, "mutability", "Take the attribute out of the mapping: only this server sets it."),
    (
        400,
        "noTarget",
        "Nothing fits what the request names. Read the resource, and send what fits it.",
    ),
    (400, "tooMany", "Ask for less at once: narrow the filter, or ask for pages."),
    (400, "invalidVers", "Use the base URL that was given, with `v2`."),
    (400, "invalidCursor", "Begin the list anew."),
    (400, "expiredCursor", "Begin the list anew."),
    (400, "invalidCount", "Begin the list anew, with one `count` for all pages."),
    (400, "sensitive", "Ask for something else: this attribute is compared with nothing."),
    (403, "sensitive", "Ask for something else: this attribute is compared with nothing."),
    (
        409,
        "uniqueness",
        "Find who has the name, and link or rename one of the two; then have it sent again.",
    ),
    (
        400,
        "",
        "Compare the request with what it is answered, correct the mapping of the app, and have it sent again.",
    ),
    (
        401,
        "",
        "Compare the token with the one that was given, or make a new one, and enter it in the provisioning settings of the app.",
    ),
    (403, "", "Ask the app's team to allow it, then have it sent again."),
    (
        404,
        "",
        "What is named is not there. Have it created anew: unassign and assign the person, or push the group again.",
    ),
    (405, "", "Compare the base URL with the one that was given, to the last part of the path."),
    (406, "", "Accept `application/scim+json`."),
    (408, "", "Have it sent again; if it happens often, look at the network in between."),
    (409, "", "Look at what is there, and have it sent again if it is still wanted."),
    (412, "", "Read the resource again, and repeat the change if it is still wanted."),
    (413, "", "Send less at once, or ask the app's team to raise the limit."),
    (414, "", "Send less in the address: `POST …/.search` takes a longer filter."),
    (415, "", "Send `application/scim+json`, as it is and not compressed."),
    (
        429,
        "",
        "Nothing: the provider sends it again by itself. If it happens often, ask the app's team to raise the limit.",
    ),
    (431, "", "Send fewer or shorter headers."),
    (
        500,
        "",
        "Have it sent again later. If it keeps failing, give the app's team the id of this request.",
    ),
    (501, "", "Switch the feature off in the provisioning settings of the app."),
    (
        503,
        "",
        "Have it sent again in a minute: providers that keep failed tasks do so by themselves.",
    ),
];

/// Explains a request by what was kept of it.
pub fn explain(entry: &Entry, status: u16) -> Explanation {
    if let Some(lost) = &entry.lost {
        let (requests, were) =
            if lost.count == 1 { ("request", "was") } else { ("requests", "were") };
        return Explanation {
            tried: format!(
                "The provider sent {} {requests} that {were} not taken down.",
                lost.count
            ),
            outcome: "They were answered as usual.".to_owned(),
            why: Some(
                "There were more requests at once than could be taken down beside answering them."
                    .to_owned(),
            ),
            what_to_do: None,
        };
    }
    let is_read = matches!(entry.method.as_str(), "GET" | "HEAD" | "OPTIONS")
        || entry.path.ends_with("/.search");
    let mut sentences = vec![format!("The provider tried to {}.", entry.tried)];
    let quirks = entry.straightened.iter().filter_map(|name| Quirk::from_name(name));
    sentences.extend(quirks.map(|quirk| format!("It {}.", quirk.explanation())));
    let (mut why, mut what_to_do) = entry.detail.as_deref().map_or((None, None), split);
    if status >= 400 {
        let scim_type = entry.scim_type.as_deref().unwrap_or_default();
        let advice = || {
            ADVICE
                .iter()
                .find(|(of, kind, _)| *of == status && (kind.is_empty() || *kind == scim_type))
                .map_or(GENERIC, |(.., advice)| advice)
                .to_owned()
        };
        what_to_do.get_or_insert_with(advice);
    } else {
        (why, what_to_do) = (None, None);
        if entry.unknown_member_count > 0 {
            why = Some(unknown_members(entry));
            what_to_do = Some(
                "Assign these people to the app, then push the group again: who is not assigned is not \
                 known here."
                    .to_owned(),
            );
        }
        if entry.failed_operations > 0 {
            why = Some(format!("{} of its operations failed.", entry.failed_operations));
            what_to_do =
                Some("Look at the answer below: it says of each operation why.".to_owned());
        }
    }
    if entry.erased_by.is_some() {
        why = Some("What it said was erased, with somebody whom it was about.".to_owned());
    }
    Explanation {
        tried: sentences.join(" "),
        outcome: outcome(status, is_read, entry),
        why,
        what_to_do,
    }
}

fn unknown_members(entry: &Entry) -> String {
    let named: Vec<_> = entry.unknown_members.iter().map(|it| format!("`{it}`")).collect();
    let more = if entry.unknown_member_count > named.len() as u64 { " and others" } else { "" };
    format!(
        "{}{more} are no users or groups of this directory, and were left out.",
        named.join(", ")
    )
}

fn outcome(status: u16, is_read: bool, entry: &Entry) -> String {
    let text = match status {
        200..300 if entry.failed_operations > 0 => "It was carried out in part.",
        201 => "It was created.",
        200..300 if is_read => "It was answered with what was asked for.",
        200..300 if entry.method == "DELETE" => "It was deleted.",
        200..300 if entry.unknown_member_count > 0 => "It was done as far as it could be.",
        200..300 => "It was done.",
        304 => "Nothing was sent: the provider has the latest version.",
        401 => "It was refused (401): the credential opened nothing.",
        429 => "It was put off (429), and nothing was changed.",
        408 => "It was given up (408), and nothing was changed.",
        500.. => return format!("It failed ({status})."),
        _ if is_read => return format!("It was refused ({status})."),
        _ => return format!("It was refused ({status}), and nothing was changed."),
    };
    text.to_owned()
}

/// The first sentence of an error, and what follows.
fn split(detail: &str) -> (Option<String>, Option<String>) {
    let mut end = None;
    for (at, _) in detail.match_indices(". ") {
        let next = detail[at + 2..].chars().next();
        if next.is_some_and(|it| it.is_uppercase() || it == '`') {
            end = Some(at);
            break;
        }
    }
    match end {
        Some(at) => (Some(sentence(&detail[..at])), Some(sentence(&detail[at + 2..]))),
        None => (Some(sentence(detail)), None),
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::Lost;

    fn refused(status: u16, scim_type: Option<&str>, detail: &str) -> Explanation {
        let entry = Entry {
            method: "POST".to_owned(),
            path: "/scim/v2/Users".to_owned(),
            tried: "create a user".to_owned(),
            scim_type: scim_type.map(str::to_owned),
            detail: Some(detail.to_owned()),
            ..Entry::default()
        };
        explain(&entry, status)
    }

    #[test]
    fn an_error_says_why_and_then_what_to_do() {
        let explanation = refused(
            409,
            Some("uniqueness"),
            "another user has this `userName`, which is compared without case. Find the user by a \
             filter, and update it. Or choose another name",
        );
        assert_eq!(explanation.tried, "The provider tried to create a user.");
        assert_eq!(explanation.outcome, "It was refused (409), and nothing was changed.");
        let why = "Another user has this `userName`, which is compared without case.";
        assert_eq!(explanation.why.as_deref(), Some(why));
        let what_to_do = "Find the user by a filter, and update it. Or choose another name.";
        assert_eq!(explanation.what_to_do.as_deref(), Some(what_to_do));
    }

    #[test]
    fn where_it_does_not_say_what_to_do_the_kind_of_refusal_does() {
        let to_do = |status, kind, detail| refused(status, kind, detail).what_to_do.unwrap();
        let advised = to_do(400, Some("invalidPath"), "`shoeSize` is no attribute of a user");
        assert!(advised.starts_with("Compare the attribute mapping"), "{advised}");
        let advised = to_do(400, Some("of tomorrow"), "something new");
        assert!(advised.starts_with("Compare the request"), "{advised}");
        assert_eq!(to_do(418, None, "a teapot"), GENERIC);
    }

    #[test]
    fn members_that_nobody_knows_are_named() {
        let entry = Entry {
            method: "PATCH".to_owned(),
            tried: "change parts of a group".to_owned(),
            straightened: vec!["members-unknown".to_owned(), "of a later version".to_owned()],
            unknown_members: vec!["7".to_owned()],
            unknown_member_count: 2,
            ..Entry::default()
        };
        let explanation = explain(&entry, 204);
        assert_eq!(explanation.outcome, "It was done as far as it could be.");
        let why = "`7` and others are no users or groups of this directory, and were left out.";
        assert_eq!(explanation.why.as_deref(), Some(why));
    }

    #[test]
    fn a_gap_says_how_many_are_missing() {
        let lost = Some(Lost { count: 3, until: 0 });
        let explanation = explain(&Entry { lost, ..Entry::default() }, 0);
        assert_eq!(explanation.tried, "The provider sent 3 requests that were not taken down.");
    }
}
