//! What providers really send, and what we make of it.
//!
//! Each quirk that is straightened on the way in is noted, so that the request log can say "sent
//! `Add` instead of `add`" and a directory can count them. The functions that need no schema to
//! straighten something stand here too; the others stand where the RFC's own rule is, in
//! [`admit`](crate::admit) and [`patch`](crate::patch).

use serde_json::{Map, Value};

use crate::limit::STRING_BYTES_MAX;
use crate::schema::builtin;

/// A deviation from the RFCs that was understood and straightened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Quirk {
    /// Entra without `aadOptscim062020`: `"op":"Add"`. We read it as `add`.
    OperationCase,
    /// Clients built after RFC 6902, and bulk requests built after RFC 7644 §3.7.3's broken
    /// sample: the whole body is `[{"op":…}]`. We read it as `{"Operations":[…]}`.
    OperationsBare,
    /// Some write `"Operations":{"op":…}`, one operation without its list. We read a list of one.
    OperationSingle,
    /// Microsoft's validator: `"Operations":[]`. We change nothing and say that it went well.
    OperationsEmpty,
    /// Minimal clients: no `schemas`, or `null`. We go by the endpoint.
    SchemasMissing,
    /// Entra's `http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group`,
    /// `OneLogin`'s `urn:scim:schemas:core:1.0`, and URNs of another message. We go by the endpoint.
    SchemasUnknown,
    /// Entra: an object under an extension's URN that `schemas` does not list. We take it.
    SchemasIncomplete,
    /// `OneLogin`'s templates: an extension under the URN of a draft or of SCIM 1.1,
    /// `urn:scim:schemas:extension:enterprise:1.0`. We read the URN of RFC 7643.
    SchemaAlias,
    /// Entra without `aadOptscim062020`: `"active":"False"`, `"primary":"True"`. We read
    /// `false`, `true`; never by whether the text is empty.
    BooleanText,
    /// Systems of record behind Okta, Rippling and `SailPoint`: `"employeeNumber":11250`. We keep
    /// `"11250"`.
    NumberForText,
    /// Form-driven clients: `"level":"3"` for a whole number. We keep `3`.
    IntegerText,
    /// `OneLogin`: `"emails":{"value":…}`. We read a list of one.
    SingleForList,
    /// `PingOne`, where an app has two types of e-mail and one person one address: both with
    /// `"primary":true`. In the body of a POST or PUT the first one keeps it.
    PrimaryTwice,
    /// Entra: `"manager":[{"$ref":…,"value":…}]`. We read the one element.
    ListForSingle,
    /// Entra: `"manager":"26118915"`; Microsoft's collection: `"members":["2819c223"]`. We read
    /// `{"value":…}`.
    TextForObject,
    /// Entra's `AppRoleAssignments`: `"roles":["{\"id\":…,\"value\":\"Admin\",\"displayName\":…}"]`,
    /// JSON in a string. We read the object's `value`, `displayName`, `type` and `primary`.
    RoleInText,
    /// Entra's gallery suite and `OneLogin`: `"title":""`. We clear the attribute.
    EmptyText,
    /// Entra, `JumpCloud` and misspelt mappings: an attribute of no schema. We set it aside.
    UnknownAttribute,
    /// Okta: `{"op":"replace","value":{"id":…,"displayName":…}}`. We leave `id` out.
    ReadOnlyInValue,
    /// Entra with `aadOptscim062020`: `"value":{"name.givenName":…,"urn:…:User:department":…}`. We
    /// read each name as a path.
    PathAsName,
    /// Entra without `aadOptscim062020`, `JumpCloud`, authentik:
    /// `{"op":"Remove","path":"members","value":[{"value":"7"}]}`. We remove those that are named,
    /// where RFC 7644 would remove everybody.
    RemoveWithValue,
    /// Clients of the `UnboundID` SDK: the same with `"value":{"members":[{"value":"7"}]}`. We remove
    /// those that are named.
    RemoveWithWrappedValue,
    /// Entra: `{"op":"Replace","path":"emails[type eq \"work\"].value","value":…}` where there is
    /// no such e-mail. We create it, with `"type":"work"`.
    ReplaceWithoutMatch,
    /// Microsoft's samples: `externalId eq jyoung`. We read the word as text.
    FilterQuotesMissing,
    /// RFC 7644 §3.7.1's own sample: `displayName sw 'Group'`. We read text.
    FilterQuotesSingle,
    /// Entra: `roles[primary eq "True"]`; others: `employeeNumber eq 7`. We compare with what the
    /// attribute holds, `true` and `"7"`.
    FilterOperandType,
    /// `PingFederate`: `emails eq "a@example.com"`. We compare with the `value` of each e-mail.
    FilterValueImplied,
    /// Entra: `emails[type eq "work"].value eq "a@example.com"`. We read
    /// `emails[type eq "work" and value eq "a@example.com"]`.
    FilterComparisonAfterBracket,
    /// Entra: `manager` for `urn:…:enterprise:2.0:User:manager`. We read the one attribute of that
    /// name.
    ExtensionUrnMissing,
    /// Clients behind a layer that encodes what is encoded already:
    /// `filter=userName%2520eq%2520%2522ana%2522`. Where it cannot be read otherwise, we decode the
    /// filter once more.
    FilterEncodedTwice,
    /// `OneLogin`: `GET …/Users?filter=…&`, `PUT …/Users/7?`. We ignore the end.
    QueryUnfinished,
    /// Keycloak's plugin, for a group that has become empty, and others, who only rename it: a PUT
    /// of a group without `members`. The RFC allows to clear what is left out and to keep it; the
    /// directory says which.
    MembersMissing,
    /// Okta after a person was created anew, Entra for people who are not in scope: the id of a
    /// member that nobody has. We leave it out, and apply the others.
    MembersUnknown,
}

impl Quirk {
    /// Every quirk that is known, for pages that list them.
    pub const ALL: &[Quirk] = &[
        Quirk::OperationCase,
        Quirk::OperationsBare,
        Quirk::OperationSingle,
        Quirk::OperationsEmpty,
        Quirk::SchemasMissing,
        Quirk::SchemasUnknown,
        Quirk::SchemasIncomplete,
        Quirk::SchemaAlias,
        Quirk::BooleanText,
        Quirk::NumberForText,
        Quirk::IntegerText,
        Quirk::SingleForList,
        Quirk::PrimaryTwice,
        Quirk::ListForSingle,
        Quirk::TextForObject,
        Quirk::RoleInText,
        Quirk::EmptyText,
        Quirk::UnknownAttribute,
        Quirk::ReadOnlyInValue,
        Quirk::PathAsName,
        Quirk::RemoveWithValue,
        Quirk::RemoveWithWrappedValue,
        Quirk::ReplaceWithoutMatch,
        Quirk::FilterQuotesMissing,
        Quirk::FilterQuotesSingle,
        Quirk::FilterComparisonAfterBracket,
        Quirk::FilterOperandType,
        Quirk::FilterValueImplied,
        Quirk::ExtensionUrnMissing,
        Quirk::FilterEncodedTwice,
        Quirk::QueryUnfinished,
        Quirk::MembersMissing,
        Quirk::MembersUnknown,
    ];

    /// The name under which it is counted and logged; never changes.
    pub fn name(self) -> &'static str {
        match self {
            Quirk::OperationCase => "operation-case",
            Quirk::OperationsBare => "operations-bare",
            Quirk::OperationSingle => "operation-single",
            Quirk::OperationsEmpty => "operations-empty",
            Quirk::SchemasMissing => "schemas-missing",
            Quirk::SchemasUnknown => "schemas-unknown",
            Quirk::SchemasIncomplete => "schemas-incomplete",
            Quirk::SchemaAlias => "schema-alias",
            Quirk::BooleanText => "boolean-text",
            Quirk::NumberForText => "number-for-text",
            Quirk::IntegerText => "integer-text",
            Quirk::SingleForList => "single-for-list",
            Quirk::PrimaryTwice => "primary-twice",
            Quirk::ListForSingle => "list-for-single",
            Quirk::TextForObject => "text-for-object",
            Quirk::RoleInText => "role-in-text",
            Quirk::EmptyText => "empty-text",
            Quirk::UnknownAttribute => "unknown-attribute",
            Quirk::ReadOnlyInValue => "read-only-in-value",
            Quirk::PathAsName => "path-as-name",
            Quirk::RemoveWithValue => "remove-with-value",
            Quirk::RemoveWithWrappedValue => "remove-with-wrapped-value",
            Quirk::ReplaceWithoutMatch => "replace-without-match",
            Quirk::FilterQuotesMissing => "filter-quotes-missing",
            Quirk::FilterQuotesSingle => "filter-quotes-single",
            Quirk::FilterOperandType => "filter-operand-type",
            Quirk::FilterValueImplied => "filter-value-implied",
            Quirk::FilterComparisonAfterBracket => "filter-comparison-after-bracket",
            Quirk::ExtensionUrnMissing => "extension-urn-missing",
            Quirk::FilterEncodedTwice => "filter-encoded-twice",
            Quirk::QueryUnfinished => "query-unfinished",
            Quirk::MembersMissing => "members-missing",
            Quirk::MembersUnknown => "members-unknown",
        }
    }

    /// The quirk of this name; `None` for one that this version does not know.
    pub fn from_name(name: &str) -> Option<Quirk> {
        Quirk::ALL.iter().copied().find(|quirk| quirk.name() == name)
    }

    /// What happened, to stand after "The provider".
    ///
    /// ```
    /// use scim::dialect::Quirk;
    ///
    /// assert_eq!(Quirk::OperationCase.name(), "operation-case");
    /// assert_eq!(Quirk::OperationCase.explanation(), "sent `Add` instead of `add`");
    /// ```
    pub fn explanation(self) -> &'static str {
        match self {
            Quirk::OperationCase => "sent `Add` instead of `add`",
            Quirk::OperationsBare => "sent a list of operations without the message around it",
            Quirk::OperationSingle => "sent one operation where a list of operations belongs",
            Quirk::OperationsEmpty => "sent a PATCH without operations, which changes nothing",
            Quirk::SchemasMissing => "left out `schemas`",
            Quirk::SchemasUnknown => "listed a schema in `schemas` that does not belong there",
            Quirk::SchemasIncomplete => "sent an extension that `schemas` does not list",
            Quirk::SchemaAlias => "used the name that a schema had before SCIM 2.0",
            Quirk::BooleanText => "sent `\"True\"` or `\"False\"` in quotes, instead of a boolean",
            Quirk::NumberForText => "sent a number where text belongs",
            Quirk::IntegerText => "sent a whole number in quotes",
            Quirk::SingleForList => "sent one value where a list belongs",
            Quirk::PrimaryTwice => {
                "marked several values of a list as `primary`; the first kept it"
            }
            Quirk::ListForSingle => "sent a list where one value belongs",
            Quirk::TextForObject => "sent text instead of an object with a `value`",
            Quirk::RoleInText => "sent a role as JSON inside a string",
            Quirk::EmptyText => "sent `\"\"` to clear an attribute",
            Quirk::UnknownAttribute => {
                "sent an attribute that no schema has; it was taken and is no part of the resource"
            }
            Quirk::ReadOnlyInValue => "sent an attribute that only the server sets; it was ignored",
            Quirk::PathAsName => "sent a path as the name of an attribute",
            Quirk::RemoveWithValue => {
                "named the values to remove in `value`; only those were removed"
            }
            Quirk::RemoveWithWrappedValue => {
                "named the values to remove inside an object in `value`; only those were removed"
            }
            Quirk::ReplaceWithoutMatch => "replaced a value that did not exist; it was created",
            Quirk::FilterQuotesMissing => "sent a filter with text that is not in quotes",
            Quirk::FilterQuotesSingle => "sent a filter with text in single quotes",
            Quirk::FilterOperandType => {
                "sent a filter that compares with a value of another type than the attribute's"
            }
            Quirk::FilterValueImplied => {
                "sent a filter that compares with an object, of which its `value` was meant"
            }
            Quirk::FilterComparisonAfterBracket => {
                "sent a filter that compares after its brackets instead of inside"
            }
            Quirk::ExtensionUrnMissing => {
                "named an attribute of an extension without the extension's URN"
            }
            Quirk::FilterEncodedTwice => "sent a filter that is percent-encoded twice",
            Quirk::QueryUnfinished => "ended the address with `?` or `&`",
            Quirk::MembersMissing => {
                "replaced a group without saying who its `members` are; they were kept or cleared, \
                 as the directory's setting `omitted_members` says"
            }
            Quirk::MembersUnknown => {
                "named members whom this directory does not know; they were left out"
            }
        }
    }
}

/// The quirks of one request, each once, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks(Vec<Quirk>);

impl Quirks {
    /// None yet.
    pub fn new() -> Quirks {
        Quirks::default()
    }

    /// Notes one.
    pub fn note(&mut self, quirk: Quirk) {
        if !self.0.contains(&quirk) {
            self.0.push(quirk);
        }
    }

    /// Notes what was noted elsewhere.
    pub fn note_all(&mut self, others: &Quirks) {
        others.iter().for_each(|quirk| self.note(quirk));
    }

    /// What was noted.
    pub fn iter(&self) -> impl Iterator<Item = Quirk> + '_ {
        self.0.iter().copied()
    }

    /// Whether the request was as the RFCs want it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `"True"`, `"FALSE"`: the boolean that a text spells, in any case. Nothing else is guessed:
/// `"1"` and `"yes"` are no booleans.
pub(crate) fn boolean_in_text(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The URN of RFC 7643 for one that a draft, SCIM 1.1 or a typing error uses instead:
/// `urn:scim:schemas:extension:enterprise:1.0` becomes
/// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`.
pub(crate) fn schema_alias(urn: &str) -> Option<&'static str> {
    const ENTERPRISE_ALIASES: &[&str] = &[
        "urn:scim:schemas:extension:enterprise:1.0",
        "urn:scim:schemas:extension:enterprise:2.0",
        "urn:scim:schemas:extension:enterprise:2.0:User",
        // So spelt in one place of Microsoft's documentation.
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User",
    ];
    ENTERPRISE_ALIASES
        .iter()
        .any(|alias| alias.eq_ignore_ascii_case(urn))
        .then_some(builtin::ENTERPRISE_USER)
}

/// Entra's role in a string, `{"id":"06b0","value":"Admin","displayName":"Administrator"}`,
/// becomes `{"value":"Admin","display":"Administrator"}`. A string that is not a JSON object with
/// a `value` is a role's value itself, and `None` here.
pub(crate) fn role_in_text(text: &str) -> Option<Map<String, Value>> {
    if !text.trim_start().starts_with('{') || text.len() > STRING_BYTES_MAX {
        return None;
    }
    let Ok(Value::Object(sent)) = serde_json::from_str(text) else { return None };
    let mut role = Map::new();
    for (name, value) in sent {
        let name = match name.to_ascii_lowercase().as_str() {
            "value" => "value",
            "display" | "displayname" => "display",
            "type" => "type",
            "primary" => "primary",
            _ => continue,
        };
        role.insert(name.into(), value);
    }
    role.contains_key("value").then_some(role)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_kebab_case_and_differ() {
        let names: HashSet<_> = Quirk::ALL.iter().map(|quirk| quirk.name()).collect();
        assert_eq!(names.len(), Quirk::ALL.len());
        for quirk in Quirk::ALL {
            assert!(quirk.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
            assert!(quirk.explanation().starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(!quirk.explanation().ends_with('.'));
            assert_eq!(Quirk::from_name(quirk.name()), Some(*quirk));
        }
    }

    #[test]
    fn a_quirk_is_noted_once() {
        let mut quirks = Quirks::new();
        quirks.note(Quirk::BooleanText);
        quirks.note(Quirk::OperationCase);
        quirks.note(Quirk::BooleanText);
        assert_eq!(quirks.iter().collect::<Vec<_>>(), [Quirk::BooleanText, Quirk::OperationCase]);
    }

    #[test]
    fn only_true_and_false_are_booleans_in_text() {
        for (text, expected) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("FALSE", Some(false)),
            ("", None),
            ("1", None),
            ("yes", None),
            (" true", None),
        ] {
            assert_eq!(boolean_in_text(text), expected, "{text:?}");
        }
    }
}
