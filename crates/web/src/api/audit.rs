//! The audit log: who did what, with what, from where and when; page by page, or all of it as a stream.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use directory::audit::Action;
use directory::{AuditId, OrganizationId};
use futures_util::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{ApiStore, AuditFilter, AuditRecord};
use utoipa::{IntoParams, ToSchema};

use super::{PageOf, PageQuery, Query, Vendor, id, page_of};
use crate::problem::Problem;
use crate::scim::cut;
use crate::table;

/// Entries that are read at once for an export.
const EXPORTED_AT_ONCE: u64 = 500;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Only what such did: `api_key`, `member`, `portal_link`, `operator` or `server`.
    actor_type: Option<String>,
    /// Only what this API key, member or portal link did.
    actor_id: Option<String>,
    /// Only what was done with this: the id of whatever it is.
    object_id: Option<String>,
    /// Only what concerns this organization, or what is in it.
    organization_id: Option<String>,
    /// Only this: `token.created`.
    action: Option<String>,
    /// Only what was done in this request: the `x-request-id` of its answer.
    request_id: Option<String>,
    /// Only what was done then or later, as `2026-01-05T09:00:00Z`.
    since: Option<String>,
    /// Only what was done before.
    until: Option<String>,
}

/// The same of an export, which has all of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditExportQuery {
    /// Only what such did: `api_key`, `member`, `portal_link`, `operator` or `server`.
    actor_type: Option<String>,
    /// Only what this API key, member or portal link did.
    actor_id: Option<String>,
    /// Only what was done with this: the id of whatever it is.
    object_id: Option<String>,
    /// Only what concerns this organization, or what is in it.
    organization_id: Option<String>,
    /// Only this: `token.created`.
    action: Option<String>,
    /// Only what was done in this request.
    request_id: Option<String>,
    /// Only what was done then or later.
    since: Option<String>,
    /// Only what was done before.
    until: Option<String>,
}

impl From<AuditExportQuery> for AuditQuery {
    fn from(query: AuditExportQuery) -> AuditQuery {
        AuditQuery {
            after: None,
            limit: None,
            actor_type: query.actor_type,
            actor_id: query.actor_id,
            object_id: query.object_id,
            organization_id: query.organization_id,
            action: query.action,
            request_id: query.request_id,
            since: query.since,
            until: query.until,
        }
    }
}

impl AuditQuery {
    /// What is meant, of what the key may know of. What it may not is nowhere.
    async fn filter(&self, store: &ApiStore) -> Result<AuditFilter, Problem> {
        let organization_id: Option<OrganizationId> = match &self.organization_id {
            None => None,
            Some(text) => {
                let organization = id(text, "organization")?;
                if !store.was_organization(organization).await? {
                    return Err(Problem::not_found("organization"));
                }
                Some(organization)
            }
        };
        let action = self.action.as_deref().map(|text| {
            let unknown = |()| {
                let why = format!("`action` is `{}`, which nobody does", cut(text, 40));
                Problem::invalid(why, "Name one as entries have it, such as `token.created`")
            };
            text.parse::<Action>().map_err(unknown)
        });
        let request_id = self.request_id.as_deref().map(|text| {
            let wrong = |_| {
                let why = format!("`request_id` is `{}`, which names no request", cut(text, 40));
                Problem::invalid(why, "Send the `x-request-id` of an answer: `req-…`")
            };
            text.parse().map_err(wrong)
        });
        Ok(AuditFilter {
            actor_id: self.actor_id.clone(),
            actor_type: self.actor_type.clone(),
            object_id: self.object_id.clone(),
            organization_id,
            action: action.transpose()?,
            request_id: request_id.transpose()?,
            since: moment("since", self.since.as_deref())?,
            until: moment("until", self.until.as_deref())?,
        })
    }
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = |text: &str| {
        text.parse().map_err(|_| {
            let why = format!("`{name}` is `{}`, which is no time", cut(text, 40));
            Problem::invalid(why, "Write it as `2026-01-05T09:00:00Z`")
        })
    };
    text.map(read).transpose()
}

/// What was done, and by whom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct AuditView {
    id: String,
    occurred_at: String,
    actor: ActorView,
    /// From where the request came; `null` of a command.
    address: Option<String>,
    /// The `x-request-id` of the answer; `null` of a command.
    request_id: Option<String>,
    /// What was done: `token.created`. `request.refused` is what a key has no scope for.
    action: String,
    object: ObjectView,
    /// `null` of what concerns all organizations.
    organization_id: Option<String>,
    directory_id: Option<String>,
    /// How it was; `null` of what was made. There are no secrets in it.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// How it is after that; `null` of what is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct ActorView {
    /// `api_key`; `member` of the dashboard; `portal_link`; `operator`: a command on the server's
    /// machine; `server`: what it ended by itself, such as an erasure, and where nobody knows who it was.
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    /// What they were called then.
    name: Option<String>,
}

/// With what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditObject)]
struct ObjectView {
    /// `organization`, `directory`, `token`, …
    #[serde(rename = "type")]
    kind: &'static str,
    id: Option<String>,
    /// What it was called then.
    name: Option<String>,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> AuditView {
        let raw = |text: String| RawValue::from_string(text).expect("states are kept as JSON");
        AuditView {
            id: record.id.to_string(),
            occurred_at: scim::datetime::print(record.occurred_at),
            actor: ActorView {
                kind: record.actor_type,
                id: record.actor_id,
                name: record.actor_name,
            },
            address: record.address,
            request_id: record.request_id.map(|id| id.to_string()),
            action: record.action.as_str().to_owned(),
            object: ObjectView {
                kind: record.action.object_type(),
                id: record.object_id,
                name: record.object_name,
            },
            organization_id: record.organization_id.map(|id| id.to_string()),
            directory_id: record.directory_id.map(|id| id.to_string()),
            before: record.before.map(raw),
            after: record.after.map(raw),
        }
    }
}

/// `GET /audit`, the latest first.
pub(super) async fn list(
    vendor: Vendor,
    Query(query): Query<AuditQuery>,
) -> Result<Json<PageOf<AuditView>>, Problem> {
    let page = PageQuery { after: query.after.clone(), limit: query.limit.clone() };
    let (limit, after) = (page.limit()?, page.after::<AuditId>()?);
    let filter = query.filter(&vendor.store).await?;
    let found = vendor.store.audit(filter, after, limit + 1).await?;
    Ok(Json(page_of(found, limit, |it| it.id.to_string(), AuditView::from)))
}

/// `GET /audit/export.ndjson`: a line of JSON for each.
pub(super) async fn ndjson(
    vendor: Vendor,
    Query(query): Query<AuditExportQuery>,
) -> Result<Response, Problem> {
    export(vendor, query.into(), Form::Lines).await
}

/// `GET /audit/export.csv`: the same as a table (RFC 4180).
pub(super) async fn csv(
    vendor: Vendor,
    Query(query): Query<AuditExportQuery>,
) -> Result<Response, Problem> {
    export(vendor, query.into(), Form::Table).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line of JSON for each.
    Lines,
    /// RFC 4180.
    Table,
}

/// What is still to be written.
struct Export {
    store: ApiStore,
    filter: AuditFilter,
    after: Option<AuditId>,
    form: Form,
    head: &'static str,
    is_over: bool,
}

/// The connection is broken off: to end it in order would say that this is all.
#[derive(Debug, thiserror::Error)]
#[error("an export of the audit log broke off")]
struct BrokenOff;

async fn export(vendor: Vendor, query: AuditQuery, form: Form) -> Result<Response, Problem> {
    let filter = query.filter(&vendor.store).await?;
    Ok(exported(vendor.store, filter, form))
}

/// All entries that are meant, as a stream.
pub(crate) fn exported(store: ApiStore, filter: AuditFilter, form: Form) -> Response {
    let (media_type, head) = match form {
        Form::Lines => ("application/x-ndjson", ""),
        Form::Table => ("text/csv", COLUMNS),
    };
    let export = Export { store, filter, after: None, form, head, is_over: false };
    let body = Body::from_stream(stream::unfold(export, Export::next));
    let media_type = HeaderValue::from_static(media_type);
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

impl Export {
    async fn next(mut self) -> Option<(Result<Bytes, BrokenOff>, Export)> {
        if self.is_over {
            return None;
        }
        let part = match self.part().await {
            Ok(part) => Ok(Bytes::from(part)),
            Err(error) => {
                self.is_over = true;
                if let Some(error) = error {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "an export of the audit log broke off",
                    );
                }
                Err(BrokenOff)
            }
        };
        Some((part, self))
    }

    /// Some more of it, while the key is good.
    async fn part(&mut self) -> Result<String, Option<store::Error>> {
        if !self.store.is_open().await? {
            return Err(None);
        }
        let found = self.store.audit(self.filter.clone(), self.after, EXPORTED_AT_ONCE).await?;
        self.is_over = (found.len() as u64) < EXPORTED_AT_ONCE;
        self.after = found.last().map(|last| last.id).or(self.after);
        let mut text = std::mem::take(&mut self.head).to_owned();
        for record in found {
            match self.form {
                Form::Lines => {
                    let view = serde_json::to_string(&AuditView::from(record));
                    text.push_str(&view.expect("an entry can be printed"));
                    text.push('\n');
                }
                Form::Table => write_row(&mut text, record),
            }
        }
        Ok(text)
    }
}

/// The names of the columns.
const COLUMNS: &str = "id,occurred_at,actor_type,actor_id,actor_name,address,request_id,action,\
                       object_id,object_name,organization_id,directory_id,before,after\r\n";

fn write_row(text: &mut String, record: AuditRecord) {
    let AuditView { id, occurred_at, actor, address, request_id, action, object, .. } =
        AuditView::from(record.clone());
    let cells = [
        Some(id),
        Some(occurred_at),
        Some(actor.kind),
        actor.id,
        actor.name,
        address,
        request_id,
        Some(action),
        object.id,
        object.name,
        record.organization_id.map(|id| id.to_string()),
        record.directory_id.map(|id| id.to_string()),
        record.before,
        record.after,
    ];
    table::write_row(text, cells.iter().map(|it| it.as_deref().unwrap_or_default()));
}
