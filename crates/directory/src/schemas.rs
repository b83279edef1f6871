//! Extension schemas that a directory has beside the built-in ones, and what its users and groups are
//! made of because of them.
//!
//! A schema is never changed under values that are there. Attributes are added freely; one that some
//! user or group has a value of is neither removed nor given another type, and nor is the schema
//! removed: they are refused, with how many have one. So whatever was kept can be read by the schemas
//! of any later time, and nothing is hidden or rewritten behind anybody's back.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use scim::group::MemberKind;
use scim::project::Projection;
use scim::schema::custom::overlap;
use scim::{Attribute, ResourceType, Schema};
use serde_json::json;

use crate::change::{Change, SchemaChange};
use crate::condition::Revision;
use crate::decide::{Decide, Decision, Moment, Stop};
use crate::facts::Facts;
use crate::rejection::Rejection;

/// Schemas that one directory may have beside the built-in ones. All of them are in every answer of
/// `/Schemas`, and searched for each name that a client writes.
pub const SCHEMAS_MAX: usize = 20;

/// An extension schema of one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomSchema {
    /// What it extends.
    pub extends: MemberKind,
    /// Whether a resource without it is refused.
    pub required: bool,
    /// The attributes.
    pub schema: Arc<Schema>,
    /// When it was defined.
    pub created_at: Timestamp,
    /// When its definition last changed.
    pub modified_at: Timestamp,
}

impl CustomSchema {
    /// What can be edited of it.
    pub fn revision(&self) -> Revision {
        Revision::of(&json!([self.extends.as_str(), self.required, *self.schema]))
    }
}

/// What users and groups of one directory are made of. Made once for each state of its schemas, and
/// shared by all who read and write.
#[derive(Clone, Debug)]
pub struct Types {
    version: u64,
    user: Arc<ResourceType>,
    group: Arc<ResourceType>,
    whole_user: Arc<Projection>,
    whole_group: Arc<Projection>,
}

impl Types {
    /// With nothing but the built-in schemas.
    pub fn builtin() -> Arc<Types> {
        static BUILTIN: LazyLock<Arc<Types>> = LazyLock::new(|| Arc::new(Types::new(0, &[])));
        Arc::clone(&BUILTIN)
    }

    /// With these schemas, as a directory has them at this version of them.
    pub fn new(version: u64, schemas: &[CustomSchema]) -> Types {
        let extended = |kind: MemberKind, resource_type: ResourceType| {
            let mut own = schemas.iter().filter(|it| it.extends == kind);
            let extend = |extended: ResourceType, it: &CustomSchema| {
                extended.with_extension(Arc::clone(&it.schema), it.required)
            };
            Arc::new(own.by_ref().fold(resource_type, extend))
        };
        let user = extended(MemberKind::User, ResourceType::user());
        let group = extended(MemberKind::Group, ResourceType::group());
        let whole_user = Arc::new(Projection::whole(&user));
        let whole_group = Arc::new(Projection::whole(&group));
        Types { version, user, group, whole_user, whole_group }
    }

    /// How often the schemas of the directory changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What a user is made of.
    pub fn user(&self) -> &Arc<ResourceType> {
        &self.user
    }

    /// What a group is made of.
    pub fn group(&self) -> &Arc<ResourceType> {
        &self.group
    }

    /// What is answered of a user when a client does not say what it wants to see, as most do not.
    pub fn whole_user(&self) -> &Arc<Projection> {
        &self.whole_user
    }

    /// The same of a group.
    pub fn whole_group(&self) -> &Arc<Projection> {
        &self.whole_group
    }
}

/// Gives a directory a schema, or changes one that it has.
#[derive(Clone, Debug)]
pub struct DefineSchema {
    /// What it extends.
    pub extends: MemberKind,
    /// Whether a resource without it is refused from now on.
    pub required: bool,
    /// The attributes, checked.
    pub schema: Schema,
}

/// What became of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// The schema as it is.
    pub schema: CustomSchema,
    /// Whether there was none of this URN.
    pub is_new: bool,
}

impl Decide for DefineSchema {
    type Answer = Defined;

    fn decide(&self, facts: &Facts, moment: &Moment<'_>) -> Result<Decision<Defined>, Stop> {
        facts.directory()?;
        let all = facts.schemas()?;
        let before = all.iter().find(|it| it.schema.id.eq_ignore_ascii_case(&self.schema.id));
        let mut schema = self.schema.clone();
        if let Some(before) = before {
            if before.extends != self.extends {
                return Err(Rejection::SchemaExtendsAnother(before.extends).into());
            }
            // The first spelling is the one under which values are kept.
            schema.id.clone_from(&before.schema.id);
            check_values_kept(facts, before, &schema)?;
        } else {
            if let Some(other) = all.iter().find(|it| overlap(&it.schema.id, &schema.id)) {
                return Err(Rejection::SchemaOverlaps(other.schema.id.clone()).into());
            }
            if all.len() >= SCHEMAS_MAX {
                return Err(Rejection::SchemasFull(SCHEMAS_MAX as u64).into());
            }
        }
        let after = CustomSchema {
            extends: self.extends,
            required: self.required,
            schema: Arc::new(schema),
            created_at: before.map_or(moment.now, |it| it.created_at),
            modified_at: moment.now,
        };
        if let Some(before) = before
            && (before.required, &before.schema) == (after.required, &after.schema)
        {
            return Ok(Decision::nothing(Defined { schema: before.clone(), is_new: false }));
        }
        let is_new = before.is_none();
        let change = SchemaChange { before: before.cloned(), after: Some(after.clone()) };
        let answer = Defined { schema: after, is_new };
        Ok(Decision { changes: vec![Change::Schema(change)], answer })
    }
}

/// Takes a schema that nobody has a value of from a directory.
#[derive(Clone, Debug)]
pub struct RemoveSchema {
    /// Its URN, in whatever case it is written.
    pub urn: String,
}

impl Decide for RemoveSchema {
    type Answer = ();

    fn decide(&self, facts: &Facts, _: &Moment<'_>) -> Result<Decision<()>, Stop> {
        facts.directory()?;
        let all = facts.schemas()?;
        let before = all.iter().find(|it| it.schema.id.eq_ignore_ascii_case(&self.urn));
        let before = before.ok_or(Rejection::UnknownSchema)?;
        for attribute in &before.schema.attributes {
            check_unused(facts, before, attribute)?;
        }
        let change = SchemaChange { before: Some(before.clone()), after: None };
        Ok(Decision { changes: vec![Change::Schema(change)], answer: () })
    }
}

/// Refuses a definition that those who have values could not be read by.
fn check_values_kept(facts: &Facts, before: &CustomSchema, after: &Schema) -> Result<(), Stop> {
    for attribute in &before.schema.attributes {
        let is_kept =
            after.attribute(&attribute.name).is_some_and(|after| can_hold(after, attribute));
        if !is_kept {
            check_unused(facts, before, attribute)?;
        }
    }
    Ok(())
}

fn check_unused(facts: &Facts, schema: &CustomSchema, attribute: &Attribute) -> Result<(), Stop> {
    let path = format!("{}:{}", schema.schema.id, attribute.name);
    match facts.values_of(schema.extends, &path)? {
        0 => Ok(()),
        count => Err(Rejection::AttributeInUse { path, count, of: schema.extends }.into()),
    }
}

/// Whether every value of the one is a value of the other. Names are compared as they are spelt:
/// values are kept under them.
fn can_hold(after: &Attribute, before: &Attribute) -> bool {
    after.name == before.name
        && after.kind == before.kind
        && after.multi_valued == before.multi_valued
        && before
            .sub_attributes
            .iter()
            .all(|part| after.sub_attribute(&part.name).is_some_and(|after| can_hold(after, part)))
}
