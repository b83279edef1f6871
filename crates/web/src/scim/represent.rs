//! Resources as clients see them: what was kept, and around it what only the server knows.
//!
//! What was kept is canonical JSON, so a resource that is answered whole is not parsed and rebuilt:
//! its bytes are put between `id` and `meta`.

use std::fmt::Write;

use ::scim::group::MemberKind;
use ::scim::{ResourceType, datetime};
use directory::{GroupId, GroupOutcome, Membership, ResourceId, User};
use jiff::Timestamp;
use serde_json::{Map, Value};
use store::{GroupRecord, UserRecord};

/// A record that can be answered.
pub(super) trait Represent {
    /// Prints the whole representation.
    fn print(&self, resource_type: &ResourceType, base: &str) -> String;

    /// The same as a map, for who wants a part of it.
    fn to_map(&self, resource_type: &ResourceType, base: &str) -> Map<String, Value> {
        let text = self.print(resource_type, base);
        serde_json::from_str(&text).expect("what we print can be read")
    }

    /// Where it is found.
    fn location(&self, resource_type: &ResourceType, base: &str) -> String;

    /// How often it changed, and one more.
    fn version(&self) -> u64;

    /// Its entity tag.
    fn entity_tag(&self) -> String {
        entity_tag(self.version())
    }
}

impl Represent for UserRecord {
    fn print(&self, resource_type: &ResourceType, base: &str) -> String {
        let common = Common {
            id: self.id,
            kept: &self.text,
            version: self.version,
            created_at: self.created_at,
            modified_at: self.modified_at,
        };
        common.print(resource_type, base, |text| {
            if self.groups.is_empty() {
                return;
            }
            text.push_str(",\"groups\":[");
            for (place, group) in self.groups.iter().enumerate() {
                let comma = if place == 0 { "" } else { "," };
                let name = Value::from(group.display_name.as_str());
                let id = group.id;
                write!(
                    text,
                    "{comma}{{\"value\":\"{id}\",\"$ref\":\"{base}/Groups/{id}\",\
                     \"display\":{name},\"type\":\"direct\"}}"
                )
                .expect(TEXT);
            }
            text.push(']');
        })
    }

    fn location(&self, resource_type: &ResourceType, base: &str) -> String {
        location(resource_type, base, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Represent for GroupRecord {
    /// `members` stands there even when there are none: Okta's documentation asks for it.
    fn print(&self, resource_type: &ResourceType, base: &str) -> String {
        let common = Common {
            id: self.id,
            kept: &self.text,
            version: self.version,
            created_at: self.created_at,
            modified_at: self.modified_at,
        };
        common.print(resource_type, base, |text| {
            text.push_str(",\"members\":[");
            for (place, member) in self.members.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                print_member(text, member, base);
            }
            text.push(']');
        })
    }

    fn location(&self, resource_type: &ResourceType, base: &str) -> String {
        location(resource_type, base, self.id)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

fn print_member(text: &mut String, member: &Membership, base: &str) {
    let id = member.id;
    let endpoint = match member.kind {
        MemberKind::User => "Users",
        MemberKind::Group => "Groups",
    };
    let kind = member.kind.as_str();
    write!(text, "{{\"value\":\"{id}\",\"$ref\":\"{base}/{endpoint}/{id}\",\"type\":\"{kind}\"")
        .expect(TEXT);
    if let Some(display) = &member.display {
        write!(text, ",\"display\":{}", Value::from(display.as_str())).expect(TEXT);
    }
    text.push('}');
}

/// What users and groups have in common.
struct Common<'a> {
    id: ResourceId,
    kept: &'a str,
    version: u64,
    created_at: Timestamp,
    modified_at: Timestamp,
}

impl Common<'_> {
    fn print(
        &self,
        resource_type: &ResourceType,
        base: &str,
        related: impl FnOnce(&mut String),
    ) -> String {
        let id = self.id;
        let mut text = String::with_capacity(self.kept.len() + 640);
        text.push_str("{\"schemas\":[");
        for (place, schema) in resource_type.schemas().enumerate() {
            if place == 0 {
                write!(text, "\"{}\"", schema.id).expect(TEXT);
            } else if self.has_extension(&schema.id) {
                write!(text, ",\"{}\"", schema.id).expect(TEXT);
            }
        }
        write!(text, "],\"id\":\"{id}\"").expect(TEXT);
        // Between the braces.
        let kept = self.kept.get(1..self.kept.len() - 1).unwrap_or_default();
        if !kept.is_empty() {
            text.push(',');
            text.push_str(kept);
        }
        related(&mut text);
        write!(
            text,
            ",\"meta\":{{\"resourceType\":\"{}\",\"created\":\"{}\",\"lastModified\":\"{}\",\
             \"location\":\"{}\",\"version\":\"W/\\\"{}\\\"\"}}}}",
            resource_type.name,
            datetime::print(self.created_at),
            datetime::print(self.modified_at),
            location(resource_type, base, id),
            self.version,
        )
        .expect(TEXT);
        text
    }

    /// Whether the kept text has the extension's key. A quote inside of a value is escaped, so
    /// `"URN":{` cannot stand in one.
    fn has_extension(&self, urn: &str) -> bool {
        self.kept.match_indices(urn).any(|(at, _)| {
            self.kept[..at].ends_with('"') && self.kept[at + urn.len()..].starts_with("\":{")
        })
    }
}

fn location(resource_type: &ResourceType, base: &str, id: ResourceId) -> String {
    format!("{base}{}/{id}", resource_type.endpoint)
}

/// Weak: other projections have other bytes.
pub(crate) fn entity_tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// The user of an answer, before anything else was read about them.
pub(super) fn user_record(user: &User) -> UserRecord {
    UserRecord {
        id: user.id,
        text: user.document.text().to_owned(),
        is_active: user.is_active(),
        version: user.version,
        created_at: user.created_at,
        modified_at: user.modified_at,
        groups: Vec::new(),
    }
}

/// The group of an answer, without its members.
pub(super) fn group_record(outcome: &GroupOutcome) -> GroupRecord {
    let group = &outcome.group;
    let id: GroupId = group.id;
    GroupRecord {
        id,
        text: group.document.text().to_owned(),
        version: group.version,
        created_at: group.created_at,
        modified_at: group.modified_at,
        member_count: group.member_count,
        members: Vec::new(),
    }
}

const TEXT: &str = "text takes what is written";
