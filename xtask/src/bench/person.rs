//! People to create, as Okta sends them.

use std::fmt::Write as _;

const GIVEN: [&str; 8] = ["Ana", "Björn", "Chiara", "Dmitri", "Elena", "Farid", "Grace", "Hiroshi"];
const FAMILY: [&str; 8] =
    ["Almeida", "Berg", "Conti", "Dvořák", "Eriksson", "Fontaine", "García", "Hansen"];
const DEPARTMENTS: [&str; 4] = ["Research and Development", "Sales", "Customer Success", "Legal"];

/// A name that nobody else has.
pub(super) fn user_name(number: usize) -> String {
    let (given, family) = (number % GIVEN.len(), number / GIVEN.len() % FAMILY.len());
    // Not in the order of numbers: people do not join in the order of the alphabet.
    let shuffled = number.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF;
    format!("{given}{family}.{shuffled:08x}.{number}@example.com")
}

/// What Okta sends to have somebody created: its own attributes, and the enterprise extension
/// where departments are mapped.
pub(super) fn body(number: usize) -> String {
    let user_name = user_name(number);
    let given = GIVEN[number % GIVEN.len()];
    let family = FAMILY[number / GIVEN.len() % FAMILY.len()];
    let department = DEPARTMENTS[number % DEPARTMENTS.len()];
    let mut body = String::with_capacity(1024);
    write!(
        body,
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"{user_name}","name":{{"givenName":"{given}","familyName":"{family}"}},"emails":[{{"primary":true,"value":"{user_name}","type":"work"}}],"title":"Engineer","displayName":"{given} {family}","preferredLanguage":"en-US","locale":"en-US","phoneNumbers":[{{"primary":true,"value":"+1 555 {number:07}","type":"work"}}],"externalId":"00u{number:017}","groups":[],"password":"1mz050nq","active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{{"employeeNumber":"{number}","department":"{department}","organization":"Example","manager":{{"value":"00u00000000000000001","displayName":"Grace Berg"}}}}}}"#
    )
    .expect("text takes what is written");
    body
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_has_a_name_of_their_own() {
        let names: BTreeSet<_> = (0..10_000).map(user_name).collect();
        assert_eq!(names.len(), 10_000);
    }
}
