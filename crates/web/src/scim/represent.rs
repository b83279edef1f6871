//! Resources as clients see them: what was kept, and around it what only the server knows.
//!
//! What was kept is canonical JSON, so a resource that is answered whole is not parsed and rebuilt:
//! its bytes are put between `id` and `meta`. Of one that is answered in part, or looked at by a
//! filter, only what is wanted is built.

use std::borrow::Cow;
use std::fmt::{Display, Write};

use ::scim::group::MemberKind;
use ::scim::{ResourceType, datetime, json};
use directory::{GroupId, GroupOutcome, Membership, User};
use jiff::Timestamp;
use memchr::memmem;
use serde_json::{Map, Value};
use store::{GroupRecord, UserRecord};

/// A record that can be answered.
pub(crate) trait Represent {
    /// What all of them have in common.
    fn common(&self) -> Common<'_>;

    /// The attribute that names the resources it is related to.
    const RELATED: &'static str;

    /// Prints that attribute, with a comma before it, where there is something to say.
    fn print_related(&self, base: &str, text: &mut String);

    /// Prints the whole representation behind what stands in the text.
    fn print(&self, resource_type: &ResourceType, base: &str, text: &mut String) {
        let common = self.common();
        text.reserve(common.kept.len() + 640);
        let id = common.id.to_string();
        text.push('{');
        common.print_schemas(resource_type, text);
        print_id(&id, text);
        let kept = common.between_braces();
        if !kept.is_empty() {
            text.push(',');
            text.push_str(kept);
        }
        self.print_related(base, text);
        common.print_meta(&id, resource_type, base, text);
        text.push('}');
    }

    /// Those members of the whole that are wanted, for a filter or an order that asks about no
    /// others: nothing else is built.
    fn members(
        &self,
        resource_type: &ResourceType,
        base: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Map<String, Value> {
        let common = self.common();
        let mut around = String::from("{");
        if is_wanted("schemas") {
            common.print_schemas(resource_type, &mut around);
        }
        if is_wanted("id") {
            print_id(&common.id.to_string(), &mut around);
        }
        if is_wanted(Self::RELATED) {
            self.print_related(base, &mut around);
        }
        if is_wanted("meta") {
            common.print_meta(&common.id.to_string(), resource_type, base, &mut around);
        }
        // Each but the first stands behind a comma.
        if around.starts_with("{,") {
            around.remove(1);
        }
        around.push('}');
        let mut found: Map<String, Value> = match around.as_str() {
            "{}" => Map::new(),
            around => serde_json::from_str(around).expect("what we print can be read"),
        };
        for (name, value) in json::members(&common.kept).expect("what is kept can be read") {
            if is_wanted(&name) {
                let value = serde_json::from_str(value.get()).expect("what is kept can be read");
                found.insert(name.into_owned(), value);
            }
        }
        found
    }

    /// Where it is found.
    fn location(&self, resource_type: &ResourceType, base: &str) -> String {
        format!("{base}{}/{}", resource_type.endpoint, self.common().id)
    }

    /// How often it changed, and one more.
    fn version(&self) -> u64 {
        self.common().version
    }

    /// Its entity tag.
    fn entity_tag(&self) -> String {
        entity_tag(self.version())
    }
}

impl Represent for UserRecord {
    const RELATED: &'static str = "groups";

    fn common(&self) -> Common<'_> {
        Common {
            id: &self.id,
            kept: Cow::Borrowed(&self.text),
            version: self.version,
            created_at: self.created_at,
            modified_at: self.modified_at,
        }
    }

    fn print_related(&self, base: &str, text: &mut String) {
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
    }
}

impl Represent for GroupRecord {
    const RELATED: &'static str = "members";

    fn common(&self) -> Common<'_> {
        Common {
            id: &self.id,
            kept: Cow::Borrowed(&self.text),
            version: self.version,
            created_at: self.created_at,
            modified_at: self.modified_at,
        }
    }

    /// `members` stands there even when there are none: Okta's documentation asks for it.
    fn print_related(&self, base: &str, text: &mut String) {
        text.push_str(",\"members\":[");
        // Of 500,000 this is half the memory: a text that grows is there twice.
        let display = |it: &Membership| it.display.as_ref().map_or(0, |name| name.len() + 16);
        text.reserve(
            self.members.iter().map(|it| MEMBER_BYTES + base.len() + display(it)).sum::<usize>(),
        );
        for (place, member) in self.members.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            print_member(text, member, base);
        }
        text.push(']');
    }
}

/// What is printed of a member beside the base URL and the name, at most.
const MEMBER_BYTES: usize = 118;

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

/// What all records have in common.
pub(crate) struct Common<'a> {
    pub(super) id: &'a dyn Display,
    /// One JSON object.
    pub(super) kept: Cow<'a, str>,
    pub(super) version: u64,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
}

impl Common<'_> {
    fn print_schemas(&self, resource_type: &ResourceType, text: &mut String) {
        text.push_str("\"schemas\":[");
        for (place, schema) in resource_type.schemas().enumerate() {
            if place > 0 && !self.has_extension(&schema.id) {
                continue;
            }
            text.push_str(if place == 0 { "\"" } else { ",\"" });
            text.push_str(&schema.id);
            text.push('"');
        }
        text.push(']');
    }

    fn between_braces(&self) -> &str {
        self.kept.get(1..self.kept.len() - 1).unwrap_or_default()
    }

    fn print_meta(&self, id: &str, resource_type: &ResourceType, base: &str, text: &mut String) {
        text.push_str(",\"meta\":{\"resourceType\":\"");
        text.push_str(&resource_type.name);
        text.push_str("\",\"created\":\"");
        datetime::push(self.created_at, text);
        text.push_str("\",\"lastModified\":\"");
        datetime::push(self.modified_at, text);
        text.push_str("\",\"location\":\"");
        text.push_str(base);
        text.push_str(&resource_type.endpoint);
        text.push('/');
        text.push_str(id);
        write!(text, "\",\"version\":\"W/\\\"{}\\\"\"}}", self.version).expect(TEXT);
    }

    /// Whether the kept text has the extension's key. A quote inside of a value is escaped, so
    /// `"URN":{` cannot stand in one.
    fn has_extension(&self, urn: &str) -> bool {
        // Looked for by its end: to prepare the search for a long text takes longer than to search.
        let (kept, urn) = (self.kept.as_bytes(), urn.as_bytes());
        let end = &urn[urn.len().saturating_sub(16)..];
        memmem::find_iter(kept, end).map(|at| at + end.len()).any(|at| {
            let before = kept[..at].strip_suffix(urn);
            before.is_some_and(|it| it.ends_with(b"\"")) && kept[at..].starts_with(b"\":{")
        })
    }
}

fn print_id(id: &str, text: &mut String) {
    text.push_str(",\"id\":\"");
    text.push_str(id);
    text.push('"');
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::scim::schema::builtin;
    use directory::ResourceId;
    use proptest::prelude::*;
    use serde_json::json;
    use store::GroupReference;
    use uuid::Uuid;

    use super::*;

    const BASE: &str = "https://roster.example/scim/v2/dir-7";

    fn id(number: u128) -> ResourceId {
        ResourceId::parse(&Uuid::from_u128(number).to_string()).unwrap()
    }

    fn value() -> impl Strategy<Value = Value> {
        let simple = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            // What looks like the key of an extension, and is none.
            Just(Value::from(format!("\"{}\":{{", builtin::ENTERPRISE_USER))),
        ];
        simple.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from),
                inner.prop_map(|it| json!({ "value": it })),
            ]
        })
    }

    /// What is kept of a user or of a group, in any order.
    fn kept() -> impl Strategy<Value = Map<String, Value>> {
        let name = prop::sample::select(vec!["userName", "displayName", "name", "emails", "\"ü"]);
        let values = prop::collection::vec((name, value()), 0..5);
        let extension = prop::option::of(value());
        (values, extension).prop_map(|(values, extension)| {
            let mut kept: Map<_, _> =
                values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            if let Some(value) = extension {
                kept.insert(builtin::ENTERPRISE_USER.to_owned(), json!({ "department": value }));
            }
            kept
        })
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (-2_000_000_000_000_000_i64..4_000_000_000_000_000)
            .prop_map(|microsecond| Timestamp::from_microsecond(microsecond).unwrap())
    }

    fn user() -> impl Strategy<Value = UserRecord> {
        let groups = prop::collection::vec((any::<u128>(), any::<String>()), 0..3);
        (any::<u128>(), kept(), any::<u32>(), time(), time(), groups).prop_map(
            |(number, kept, version, created_at, modified_at, groups)| UserRecord {
                id: id(number),
                text: Value::Object(kept).to_string(),
                is_active: true,
                version: version.into(),
                created_at,
                modified_at,
                groups: groups
                    .into_iter()
                    .map(|(number, display_name)| GroupReference { id: id(number), display_name })
                    .collect(),
            },
        )
    }

    fn group() -> impl Strategy<Value = GroupRecord> {
        let member = (any::<u128>(), any::<bool>(), prop::option::of(any::<String>()));
        let members = prop::collection::vec(member, 0..3);
        (any::<u128>(), kept(), any::<u32>(), time(), members).prop_map(
            |(number, kept, version, at, members)| GroupRecord {
                id: id(number),
                text: Value::Object(kept).to_string(),
                version: version.into(),
                created_at: at,
                modified_at: at,
                member_count: members.len() as u64,
                members: members
                    .into_iter()
                    .map(|(number, is_user, display)| Membership {
                        id: id(number),
                        kind: if is_user { MemberKind::User } else { MemberKind::Group },
                        display,
                    })
                    .collect(),
            },
        )
    }

    /// The representation as it would be built from what is kept.
    fn built(
        record: &impl Represent,
        resource_type: &ResourceType,
        related: Option<(&str, Value)>,
    ) -> Map<String, Value> {
        let common = record.common();
        let kept: Map<String, Value> = serde_json::from_str(&common.kept).unwrap();
        let mut schemas = vec![resource_type.schema.id.clone()];
        let extensions = resource_type.extensions.iter().map(|it| it.schema.id.clone());
        schemas.extend(extensions.filter(|urn| kept.contains_key(urn)));
        let mut built = Map::new();
        built.insert("schemas".into(), schemas.into());
        built.insert("id".into(), common.id.to_string().into());
        built.extend(kept);
        if let Some((name, value)) = related {
            built.insert(name.into(), value);
        }
        let meta = json!({
            "resourceType": resource_type.name,
            "created": datetime::print(common.created_at),
            "lastModified": datetime::print(common.modified_at),
            "location": format!("{BASE}{}/{}", resource_type.endpoint, common.id),
            "version": format!("W/\"{}\"", common.version),
        });
        built.insert("meta".into(), meta);
        built
    }

    /// What is printed is what would be built, to the byte; and so is each part of it.
    fn check(
        record: &impl Represent,
        resource_type: &ResourceType,
        related: Option<(&str, Value)>,
        wanted: &[&str],
    ) -> Result<(), TestCaseError> {
        let built = built(record, resource_type, related);
        let mut printed = String::new();
        record.print(resource_type, BASE, &mut printed);
        prop_assert_eq!(printed, serde_json::to_string(&built).unwrap());
        let part = record.members(resource_type, BASE, |name| wanted.contains(&name));
        let expected: Map<_, _> =
            built.into_iter().filter(|(name, _)| wanted.contains(&name.as_str())).collect();
        prop_assert_eq!(part, expected);
        Ok(())
    }

    fn wanted() -> impl Strategy<Value = Vec<&'static str>> {
        let names = vec![
            "schemas",
            "id",
            "meta",
            "userName",
            "displayName",
            "emails",
            "groups",
            "members",
            builtin::ENTERPRISE_USER,
            "nothing",
        ];
        prop::sample::subsequence(names, 0..5)
    }

    proptest! {
        #[test]
        fn a_user_is_printed_as_it_would_be_built(user in user(), wanted in wanted()) {
            let groups: Vec<Value> = user.groups.iter().map(|group| json!({
                "value": group.id.to_string(),
                "$ref": format!("{BASE}/Groups/{}", group.id),
                "display": group.display_name,
                "type": "direct",
            })).collect();
            let related = (!groups.is_empty()).then(|| ("groups", Value::from(groups)));
            check(&user, &Arc::new(ResourceType::user()), related, &wanted)?;
        }

        #[test]
        fn a_group_is_printed_as_it_would_be_built(group in group(), wanted in wanted()) {
            let members: Vec<Value> = group.members.iter().map(|member| {
                let endpoint =
                    if member.kind == MemberKind::User { "Users" } else { "Groups" };
                let mut value = json!({
                    "value": member.id.to_string(),
                    "$ref": format!("{BASE}/{endpoint}/{}", member.id),
                    "type": member.kind.as_str(),
                });
                if let Some(display) = &member.display {
                    value["display"] = display.as_str().into();
                }
                value
            }).collect();
            // Not the extension of users: what is kept of a group has none of it.
            let group_type = ResourceType::group();
            check(&group, &group_type, Some(("members", members.into())), &wanted)?;
        }
    }
}
