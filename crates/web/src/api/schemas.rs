//! The schemas that a directory has beside the built-in ones, and what its provider sends that is of
//! no schema.

use axum::Json;
use axum::http::StatusCode;
use directory::{AdoptAside, CustomSchema, DefineSchema};
use scim::group::MemberKind;
use scim::schema::custom::{Definition, repeated};
use scim::{ResourceType, Schema};
use serde::{Deserialize, Serialize};
use store::UnknownAttribute;
use utoipa::ToSchema;

use super::directories::open;
use super::users::ordinal_after;
use super::{Input, PageOf, PageQuery, Path, Query, Tagged, Vendor, When, from_object};
use crate::problem::Problem;
use crate::scim::shortened;

/// What a schema extends, as SCIM calls it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
enum Extends {
    User,
    Group,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSchema {
    resource_type: Extends,
    /// Whether a resource without it is refused.
    #[serde(default)]
    required: bool,
    /// As RFC 7643 §7 writes it.
    #[schema(value_type = Object)]
    #[serde(deserialize_with = "from_object")]
    schema: Definition,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomSchema)]
pub(super) struct SchemaView {
    urn: String,
    resource_type: Extends,
    required: bool,
    /// As RFC 7643 §7 writes it.
    #[schema(value_type = Object)]
    schema: Schema,
    /// What may surprise, and is not wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    created_at: String,
    updated_at: String,
}

impl From<CustomSchema> for Tagged<SchemaView> {
    fn from(custom: CustomSchema) -> Tagged<SchemaView> {
        Tagged { revision: custom.revision(), view: custom.into() }
    }
}

impl From<CustomSchema> for SchemaView {
    fn from(custom: CustomSchema) -> SchemaView {
        let (resource_type, base) = match custom.extends {
            MemberKind::User => (Extends::User, ResourceType::user()),
            MemberKind::Group => (Extends::Group, ResourceType::group()),
        };
        let warn = |name: &str| {
            format!(
                "`{name}` is also an attribute of every {}: without the URN, that one is meant",
                base.name.to_lowercase()
            )
        };
        SchemaView {
            urn: custom.schema.id.clone(),
            resource_type,
            required: custom.required,
            warnings: repeated(&custom.schema, &base).into_iter().map(warn).collect(),
            schema: Schema::clone(&custom.schema),
            created_at: scim::datetime::print(custom.created_at),
            updated_at: scim::datetime::print(custom.modified_at),
        }
    }
}

/// `GET /directories/{directory}/schemas`: all of them, without the built-in ones.
pub(super) async fn list(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<PageOf<SchemaView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let found = vendor.store.schemas(store.id()).await?;
    Ok(Json(PageOf { data: found.into_iter().map(SchemaView::from).collect(), next: None }))
}

/// `GET /directories/{directory}/schemas/{urn}`.
pub(super) async fn get(
    vendor: Vendor,
    Path((directory, urn)): Path<(String, String)>,
) -> Result<Tagged<SchemaView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let found = vendor.store.schemas(store.id()).await?;
    let found = found.into_iter().find(|it| it.schema.id.eq_ignore_ascii_case(&urn));
    Ok(found.ok_or_else(|| Problem::not_found("schema"))?.into())
}

/// `PUT /directories/{directory}/schemas/{urn}`: defines it, or changes it. 409 where that would leave values
/// behind.
pub(super) async fn put(
    vendor: Vendor,
    Path((directory, urn)): Path<(String, String)>,
    when: When,
    Input(new): Input<NewSchema>,
) -> Result<(StatusCode, Tagged<SchemaView>), Problem> {
    let store = open(&vendor, &directory).await?;
    if !new.schema.id.eq_ignore_ascii_case(&urn) {
        return Err(Problem::invalid(
            format!("`schema.id` is not the URN `{}` of the path", shortened(&urn)),
            "Write the same URN in both places",
        ));
    }
    let schema = new.schema.check().map_err(|flaw| {
        let title = "The schema cannot be had";
        Problem::new(StatusCode::BAD_REQUEST, "invalid-schema", title, flaw.problem, flaw.remedy)
    })?;
    let extends = match new.resource_type {
        Extends::User => MemberKind::User,
        Extends::Group => MemberKind::Group,
    };
    let define = DefineSchema { extends, required: new.required, schema };
    let defined = vendor.store.define_schema(store.id(), when.guard(define)).await?;
    let status = if defined.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, defined.schema.into()))
}

/// `DELETE /directories/{directory}/schemas/{urn}`. 409 where somebody has a value of it.
pub(super) async fn delete(
    vendor: Vendor,
    Path((directory, urn)): Path<(String, String)>,
    when: When,
) -> Result<StatusCode, Problem> {
    let store = open(&vendor, &directory).await?;
    vendor.store.remove_schema(store.id(), when.guard(urn)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnknownAttribute)]
pub(super) struct UnknownView {
    name: String,
    /// What kind of JSON the latest value was: `string`, `number`, `boolean`, `list`, `object`; or
    /// `withheld`, where the name sounds like that of a secret and no value is kept.
    #[serde(rename = "type")]
    kind: String,
    /// Users of whom the provider says it.
    user_count: u64,
    first_seen_at: String,
}

impl From<UnknownAttribute> for UnknownView {
    fn from(attribute: UnknownAttribute) -> UnknownView {
        UnknownView {
            name: attribute.name,
            kind: attribute.json_type,
            user_count: attribute.user_count,
            first_seen_at: scim::datetime::print(attribute.first_seen_at),
        }
    }
}

/// `GET /directories/{directory}/unknown-attributes`: what is sent in vain. Values are seen with each user.
pub(super) async fn unknown_attributes(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<PageOf<UnknownView>>, Problem> {
    let store = open(&vendor, &directory).await?;
    let found = vendor.store.unknown_attributes(store.id()).await?;
    Ok(Json(PageOf { data: found.into_iter().map(UnknownView::from).collect(), next: None }))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Adopted)]
pub(super) struct AdoptedView {
    /// Users who were looked at.
    user_count: usize,
    /// Values that are parts of users now.
    adopted: usize,
    /// Values that do not fit the attribute that a schema has for them; they stay where they are.
    unfit: usize,
    /// What to send as `after` to go on; `null` when everybody was looked at.
    next: Option<String>,
}

/// `POST /directories/{directory}/unknown-attributes/adopt`: makes values of what was sent before a schema had
/// its attribute, of `limit` users at once. Each is a change like any other, with its event.
pub(super) async fn adopt(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<AdoptedView>, Problem> {
    let store = open(&vendor, &directory).await?;
    let limit = page.limit()?;
    let mut users = store.users_with_aside(ordinal_after(&page)?, limit + 1).await?;
    let has_more = users.len() as u64 > limit;
    users.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = users.last().filter(|_| has_more).map(|(ordinal, _)| ordinal.to_string());
    let mut view = AdoptedView { user_count: users.len(), adopted: 0, unfit: 0, next };
    // Those that are handed in together share a flush.
    for users in users.chunks(HANDED_IN_MAX) {
        let adopt = users.iter().map(|(_, id)| {
            let resource_type = store.types().user().clone();
            store.change(AdoptAside { id: *id, resource_type })
        });
        for adopted in futures_util::future::try_join_all(adopt).await? {
            view.adopted += adopted.taken;
            view.unfit += adopted.unfit;
        }
    }
    Ok(Json(view))
}

/// Changes that are handed in at once; few enough that others find a place in the queue.
const HANDED_IN_MAX: usize = 64;
