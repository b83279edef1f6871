//! What holds whatever is sent: each claim is a function of bytes that panics where it is broken.
//!
//! The fuzzers in `fuzz/` look for bytes that break a claim, and the tests of this crate hold the
//! claims against every input that the fuzzers have kept. What makes filters, resources and
//! patches of [`Choices`] is here too, for other tests that need many of them, and so is the
//! database of a test's own, where it is not a file.
//!
//! Nothing of this is a part of the product.

mod admission;
mod bulk;
mod choices;
mod cursor;
mod database;
mod filter;
pub mod make;
mod patch;
mod path;

use std::sync::{Arc, LazyLock};

pub use choices::Choices;
pub use database::{Held, OwnDatabase};
use scim::dialect::Quirks;
use scim::schema::custom::Definition;
use scim::{Preset, ResourceType, Schema};
use serde_json::json;

/// A claim, and the name of its fuzzer and of the folder in which its inputs are kept.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// `filter`
    pub name: &'static str,
    /// Panics when the input breaks the claim.
    pub check: fn(&[u8]),
}

/// All of them.
pub const CLAIMS: &[Claim] = &[
    Claim { name: "filter", check: filter::check },
    Claim { name: "path", check: path::check },
    Claim { name: "patch", check: patch::check },
    Claim { name: "admission", check: admission::check },
    Claim { name: "cursor", check: cursor::check },
    Claim { name: "bulk", check: bulk::check },
];

/// Checks one input. `name` is that of a claim.
pub fn check(name: &str, input: &[u8]) {
    let claim = CLAIMS.iter().find(|claim| claim.name == name).expect("a claim has this name");
    (claim.check)(input);
}

const PRESETS: [Preset; 2] = [Preset::Lenient, Preset::Strict];

/// Users as a customer extends them: with a schema that has an attribute of each kind that the
/// built-in extension has none of, and one by whose name something else is called as well.
pub fn extended_user() -> ResourceType {
    static BADGE: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let definition = json!({
            "id": "urn:example:acme:2.0:User",
            "name": "Acme",
            "attributes": [
                { "name": "colour", "caseExact": true, "canonicalValues": ["red", "Green"] },
                { "name": "floor", "type": "integer" },
                { "name": "share", "type": "decimal" },
                { "name": "onSite", "type": "boolean" },
                { "name": "joinedOn", "type": "dateTime" },
                { "name": "fingerprint", "type": "binary" },
                { "name": "homepage", "type": "reference", "referenceTypes": ["external"] },
                { "name": "nickName" },
                { "name": "keywords", "multiValued": true },
                { "name": "badges", "type": "complex", "multiValued": true, "subAttributes": [
                    { "name": "value" },
                    { "name": "type" },
                    { "name": "primary", "type": "boolean" },
                    { "name": "doors", "type": "integer" },
                    { "name": "until", "type": "dateTime" },
                ] },
                { "name": "desk", "type": "complex", "subAttributes": [
                    { "name": "row" },
                    { "name": "seat", "type": "integer" },
                ] },
            ],
        });
        let definition: Definition = serde_json::from_value(definition).expect("a definition");
        Arc::new(definition.check().expect("a schema that can be had"))
    });
    ResourceType::user().with_extension(Arc::clone(&BADGE), false)
}

/// How an input is read. Its first byte says that; the digits from `0` to `7` and the letters from
/// `@` to `G` are all there is, so that an input which is text can be read and written by people.
struct Header {
    preset: Preset,
    resource_type: ResourceType,
    /// Whether the rest is made into something that is nearly right. Otherwise it is what a
    /// client would send.
    is_made: bool,
}

impl Header {
    fn read(input: &[u8]) -> Option<(Header, &[u8])> {
        let (first, rest) = input.split_first()?;
        let preset = PRESETS[usize::from(first & 1)];
        // The digits mean what they always have: of users that are extended, the letters are. Of groups
        // there is one kind.
        let resource_type = match (first & 2 == 0, first & 0x40 == 0) {
            (true, true) => ResourceType::user(),
            (true, false) => extended_user(),
            (false, _) => ResourceType::group(),
        };
        Some((Header { preset, resource_type, is_made: first & 4 != 0 }, rest))
    }
}

/// Where nobody looks at what was straightened.
fn unseen() -> Quirks {
    Quirks::new()
}
