//! The schemas that directories have beside the built-in ones, what was made of them, and which
//! attributes outside of the built-in ones have values.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use directory::{Change, CustomSchema, DirectoryId, SchemaChange, Types, Use};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::error::Error;
use crate::rows::kind_from;
use crate::session::{Session, Value, count};

/// Directories whose types are remembered at once: more than one node serves in a moment of those that
/// have schemas of their own. What is not remembered is made again.
const REMEMBERED_MAX: usize = 512;

/// What users and groups of a directory are made of, by the version of its schemas.
#[derive(Debug, Default)]
pub(crate) struct KnownTypes(Mutex<HashMap<DirectoryId, Arc<Types>>>);

impl KnownTypes {
    /// As a directory has them at this version, in the state of the database in which it was read.
    pub(crate) async fn at(
        &self,
        session: &mut Session,
        directory_id: DirectoryId,
        version: u64,
    ) -> Result<Arc<Types>, Error> {
        if version == 0 {
            return Ok(Types::builtin());
        }
        if let Some(types) = self.find(directory_id)
            && types.version() == version
        {
            return Ok(types);
        }
        let schemas = all(session, &directory_id.to_string()).await?;
        let types = Arc::new(Types::new(version, &schemas));
        let mut known = self.0.lock().expect("nobody panics while holding it");
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(directory_id, Arc::clone(&types));
        Ok(types)
    }

    fn find(&self, directory_id: DirectoryId) -> Option<Arc<Types>> {
        self.0.lock().expect("nobody panics while holding it").get(&directory_id).cloned()
    }
}

/// An attribute that providers send and no schema has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAttribute {
    /// Its name, with the URN where it has one.
    pub name: String,
    /// What kind of JSON its latest value was; `withheld` where it may not be kept.
    pub json_type: String,
    /// Users beside whom there is a value.
    pub user_count: u64,
    /// When it was first seen since there last was no value of it.
    pub first_seen_at: Timestamp,
}

/// All of a directory, in the order of their creation.
pub(crate) async fn all(
    session: &mut Session,
    directory: &str,
) -> Result<Vec<CustomSchema>, Error> {
    session
        .all(
            "loading the schemas of a directory",
            "select extends, required, definition, created_at, modified_at from directory_schemas
             where directory_id = $1 order by created_at, urn_key",
            &[Value::Text(directory)],
            |row| {
                let schema = serde_json::from_str(&row.text(2)?)
                    .map_err(|_| Error::Corrupt("a schema of a directory".to_owned()))?;
                Ok(CustomSchema {
                    extends: kind_from(&row.text(0)?)?,
                    required: row.integer(1)? != 0,
                    schema: Arc::new(schema),
                    created_at: row.time(3)?,
                    modified_at: row.time(4)?,
                })
            },
        )
        .await
}

pub(crate) async fn keep(
    session: &mut Session,
    directory_id: DirectoryId,
    change: &SchemaChange,
) -> Result<(), Error> {
    let directory = directory_id.to_string();
    let Some(schema) = change.after().or(change.before()) else { return Ok(()) };
    let key = schema.schema.id.to_ascii_lowercase();
    if change.after().is_some() {
        let definition =
            serde_json::to_string(schema.schema.as_ref()).expect("a schema prints as an object");
        session
            .run(
                "keeping a schema",
                "insert into directory_schemas
                 (directory_id, urn_key, extends, required, definition, created_at, modified_at)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (directory_id, urn_key) do update
                 set required = excluded.required, definition = excluded.definition,
                     modified_at = excluded.modified_at",
                &[
                    Value::Text(&directory),
                    Value::Text(&key),
                    Value::Text(schema.extends.as_str()),
                    Value::Integer(schema.required.into()),
                    Value::Text(&definition),
                    Value::Time(schema.created_at),
                    Value::Time(schema.modified_at),
                ],
            )
            .await?;
    } else {
        session
            .run(
                "deleting a schema",
                "delete from directory_schemas where directory_id = $1 and urn_key = $2",
                &[Value::Text(&directory), Value::Text(&key)],
            )
            .await?;
    }
    session
        .run(
            "counting a change of schemas",
            "update directories set schemas_version = schemas_version + 1 where directory_id = $1",
            &[Value::Text(&directory)],
        )
        .await?;
    Ok(())
}

/// How many have a value of what, where it is not of a built-in schema.
pub(crate) async fn uses(
    session: &mut Session,
    directory: &str,
) -> Result<HashMap<Use, u64>, Error> {
    let uses = session
        .all(
            "loading the uses of attributes",
            "select of_kind, is_aside, path, resource_count from attribute_uses
             where directory_id = $1",
            &[Value::Text(directory)],
            |row| {
                let at = Use {
                    of: kind_from(&row.text(0)?)?,
                    is_aside: row.integer(1)? != 0,
                    path: row.text(2)?,
                };
                Ok((at, row.number(3)?))
            },
        )
        .await?;
    Ok(uses.into_iter().collect())
}

/// Which attributes of no schema providers send, by name.
pub(crate) async fn unknown_attributes(
    session: &mut Session,
    directory: &str,
) -> Result<Vec<UnknownAttribute>, Error> {
    session
        .all(
            "loading unknown attributes",
            "select path, json_type, resource_count, first_seen_at from attribute_uses
             where directory_id = $1 and of_kind = 'User' and is_aside = 1 order by path",
            &[Value::Text(directory)],
            |row| {
                Ok(UnknownAttribute {
                    name: row.text(0)?,
                    json_type: row.text(1)?,
                    user_count: row.number(2)?,
                    first_seen_at: row.time(3)?,
                })
            },
        )
        .await
}

/// Keeps how many have what after these changes.
pub(crate) async fn keep_uses(
    session: &mut Session,
    changes: &[(DirectoryId, Change)],
    now: Timestamp,
) -> Result<(), Error> {
    let mut uses: BTreeMap<(DirectoryId, Use), (i64, Option<&Json>)> = BTreeMap::new();
    for (directory_id, change) in changes {
        for (at, (difference, latest)) in change.uses() {
            let (sum, value) = uses.entry((*directory_id, at)).or_default();
            *sum += difference;
            *value = latest.or(*value);
        }
    }
    for ((directory_id, at), (difference, latest)) in uses {
        let directory = directory_id.to_string();
        let key = [
            Value::Text(&directory),
            Value::Text(at.of.as_str()),
            Value::Integer(at.is_aside.into()),
            Value::Text(&at.path),
        ];
        if difference > 0 {
            let mut values = key.to_vec();
            values.extend([
                Value::Text(latest.map_or("null", json_type)),
                count(difference.unsigned_abs()),
                Value::Time(now),
            ]);
            session
                .run(
                    "counting the uses of an attribute",
                    "insert into attribute_uses
                     (directory_id, of_kind, is_aside, path, json_type, resource_count,
                      first_seen_at)
                     values ($1, $2, $3, $4, $5, $6, $7)
                     on conflict (directory_id, of_kind, is_aside, path) do update
                     set json_type = excluded.json_type,
                         resource_count =
                             attribute_uses.resource_count + excluded.resource_count",
                    &values,
                )
                .await?;
        } else if difference < 0 {
            let mut values = key.to_vec();
            values.push(count(difference.unsigned_abs()));
            session
                .run(
                    "counting the uses of an attribute",
                    "update attribute_uses set resource_count = resource_count - $5
                     where directory_id = $1 and of_kind = $2 and is_aside = $3 and path = $4",
                    &values,
                )
                .await?;
            session
                .run(
                    "forgetting an attribute that nobody has",
                    "delete from attribute_uses
                     where directory_id = $1 and of_kind = $2 and is_aside = $3 and path = $4
                         and resource_count <= 0",
                    &key,
                )
                .await?;
        }
    }
    Ok(())
}

fn json_type(value: &Json) -> &'static str {
    match value {
        // It stands in the place of what may not be kept.
        Json::Null => "withheld",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) => "object",
    }
}
