//! Lists of users and of groups: one way to read the query and to print the page.

use std::sync::Arc;

use ::scim::filter::{BoundFilter, Filter};
use ::scim::list::{ListQuery, ListResponse};
use ::scim::project::Projection;
use ::scim::{Error, ResourceType};
use axum::http::{StatusCode, header};
use serde_json::value::RawValue;
use store::{ListRequest, Page, Window};

use super::Call;
use super::answer::Answer;
use super::represent::Represent;
use crate::error::Refusal;

/// What a client wants of a list, understood.
pub(super) struct List {
    query: ListQuery,
    filter: Option<Arc<BoundFilter>>,
    projection: Projection,
}

impl Call {
    pub(super) fn list(&mut self, resource_type: &ResourceType) -> Result<List, Refusal> {
        let pairs = self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query = ListQuery::parse(pairs)?;
        if query.cursor.as_ref().is_some_and(|cursor| !cursor.is_empty()) {
            // No answer of ours has one in it. Serving the first page again would never end.
            let detail = "pages are found by `startIndex` here, and not by `cursor`";
            return Err(Error::invalid_value(detail).into());
        }
        let preset = self.preset();
        let filter = match &query.filter {
            None => None,
            Some(text) => {
                let filter = Filter::parse(text, preset, &mut self.quirks)?;
                Some(Arc::new(filter.bind(resource_type, preset, &mut self.quirks)?))
            }
        };
        let projection = self.projection(resource_type)?;
        Ok(List { query, filter, projection })
    }

    /// What is to be left of each resource.
    pub(super) fn projection(&self, resource_type: &ResourceType) -> Result<Projection, Refusal> {
        const NAMES: [&str; 2] = ["attributes", "excludedAttributes"];
        let is_one = |name: &str| NAMES.iter().any(|it| it.eq_ignore_ascii_case(name));
        // Read as those of a list, so that what is refused there is refused here.
        let pairs = self.query.iter().filter(|(name, _)| is_one(name));
        let query = ListQuery::parse(pairs.map(|(name, value)| (name, value)))?;
        let (attributes, excluded) = (query.attributes, query.excluded_attributes);
        Ok(Projection::parse(attributes.as_deref(), excluded.as_deref(), resource_type)?)
    }

    /// Whether the client says which attributes it wants to see.
    pub(super) fn asks_for_attributes(&self) -> bool {
        ["attributes", "excludedAttributes"]
            .into_iter()
            .any(|name| self.parameter(name).is_some_and(|value| !value.is_empty()))
    }

    /// The answer of one resource.
    pub(super) fn resource(
        &self,
        status: StatusCode,
        resource_type: &ResourceType,
        projection: &Projection,
        record: &impl Represent,
    ) -> Answer {
        let text = project(record, resource_type, &self.base, projection);
        Answer::text(status, text)
            .with_header(header::ETAG, record.entity_tag())
            .with_header(header::CONTENT_LOCATION, record.location(resource_type, &self.base))
    }
}

impl List {
    pub(super) fn request<R: Represent>(
        &self,
        call: &Call,
        resource_type: &Arc<ResourceType>,
        related: &str,
    ) -> ListRequest<R> {
        let (resource_type, base) = (Arc::clone(resource_type), call.base.clone());
        ListRequest {
            filter: self.filter.clone(),
            window: Window {
                start_index: self.query.start_index as u64,
                count: self.query.count as u64,
            },
            with_related: self.projection.wants(related),
            represent: Arc::new(move |record: &R| record.to_map(&resource_type, &base)),
        }
    }

    pub(super) fn answer<R: Represent>(
        &self,
        call: &Call,
        resource_type: &ResourceType,
        page: &Page<R>,
    ) -> Answer {
        let print = |record: &R| {
            let text = project(record, resource_type, &call.base, &self.projection);
            RawValue::from_string(text).expect("what we print is JSON")
        };
        let resources: Vec<_> = page.items.iter().map(print).collect();
        let total = usize::try_from(page.total).unwrap_or(usize::MAX);
        Answer::json(StatusCode::OK, &ListResponse::page(resources, total, self.query.start_index))
    }
}

fn project(
    record: &impl Represent,
    resource_type: &ResourceType,
    base: &str,
    projection: &Projection,
) -> String {
    if projection.is_whole() {
        return record.print(resource_type, base);
    }
    let projected = projection.apply(record.to_map(resource_type, base));
    serde_json::to_string(&projected).expect("what we answer can be printed")
}
