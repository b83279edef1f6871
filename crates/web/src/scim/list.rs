//! Lists of users and of groups: one way to read the query and to print the page.

use std::sync::Arc;

use ::scim::dialect::{Quirk, Quirks};
use ::scim::filter::{BoundFilter, Filter};
use ::scim::list::{ListQuery, ListResponse};
use ::scim::project::Projection;
use ::scim::sort::BoundSort;
use ::scim::{Error, Preset, ResourceType};
use axum::http::{StatusCode, header};
use store::{AnyRecord, ListRequest, Page, Start, Window};

use super::answer::Answer;
use super::represent::Represent;
use super::{Call, Incoming};
use crate::error::Refusal;

/// What a client wants of a list, understood.
pub(super) struct List {
    query: ListQuery,
    filter: Option<Arc<BoundFilter>>,
    sort: Option<Arc<BoundSort>>,
    projection: Arc<Projection>,
}

/// Whether a list is of one type, or of several of which each may lack what is asked for.
#[derive(Clone, Copy)]
pub(super) enum Among {
    One,
    Several,
}

/// A query as it was sent: in the address, or in the body of a search (RFC 7644 §3.4.3).
pub(super) async fn query(
    call: &mut Call,
    search: Option<Incoming<'_>>,
) -> Result<ListQuery, Refusal> {
    let Some(incoming) = search else {
        let pairs = call.query.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        return Ok(ListQuery::parse(pairs)?);
    };
    let body = incoming.json(SEARCH_BYTES_MAX).await?;
    let preset = call.preset();
    Ok(ListQuery::from_search(body, preset, &mut call.quirks)?)
}

impl Call {
    pub(super) fn list(
        &mut self,
        query: ListQuery,
        resource_type: &ResourceType,
        among: Among,
    ) -> Result<List, Refusal> {
        let preset = self.preset();
        let filter = match &query.filter {
            None => None,
            Some(text) => {
                let filter = read_filter(text, preset, &mut self.quirks)?;
                let bound = match among {
                    Among::One => filter.bind(resource_type, preset, &mut self.quirks),
                    Among::Several => filter.bind_to_any(resource_type, preset, &mut self.quirks),
                };
                Some(Arc::new(bound?))
            }
        };
        let sort = match &query.sort {
            None => None,
            Some(sort) => {
                let bound = match among {
                    Among::One => sort.bind(resource_type, preset, &mut self.quirks),
                    Among::Several => sort.bind_to_any(resource_type, preset, &mut self.quirks),
                };
                Some(Arc::new(bound?))
            }
        };
        let attributes = query.attributes.as_deref();
        let excluded = query.excluded_attributes.as_deref();
        let projection = self.projection_of(attributes, excluded, resource_type)?;
        Ok(List { query, filter, sort, projection })
    }

    /// What is to be left of each resource.
    pub(super) fn projection(
        &self,
        resource_type: &ResourceType,
    ) -> Result<Arc<Projection>, Refusal> {
        const NAMES: [&str; 2] = ["attributes", "excludedAttributes"];
        let is_one = |name: &str| NAMES.iter().any(|it| it.eq_ignore_ascii_case(name));
        // Read as those of a list, so that what is refused there is refused here.
        let pairs = self.query.0.iter().filter(|(name, _)| is_one(name));
        let query = ListQuery::parse(pairs.map(|(name, value)| (name, value)))?;
        let (attributes, excluded) = (query.attributes, query.excluded_attributes);
        self.projection_of(attributes.as_deref(), excluded.as_deref(), resource_type)
    }

    /// What most ask for, which is nothing by name, is at hand.
    fn projection_of(
        &self,
        attributes: Option<&str>,
        excluded: Option<&str>,
        resource_type: &ResourceType,
    ) -> Result<Arc<Projection>, Refusal> {
        let types = self.store.types();
        let is = |known: &Arc<ResourceType>| std::ptr::eq(&raw const **known, resource_type);
        match (attributes, excluded) {
            (None, None) if is(types.user()) => Ok(Arc::clone(types.whole_user())),
            (None, None) if is(types.group()) => Ok(Arc::clone(types.whole_group())),
            _ => Ok(Arc::new(Projection::parse(attributes, excluded, resource_type)?)),
        }
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
        let mut text = String::new();
        project(record, resource_type, &self.base, projection, &mut text);
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
        let start = match &self.query.cursor {
            None => Start::Index(self.query.start_index as u64),
            // `?cursor` and `?cursor=` ask for the first page (RFC 9865 §2).
            Some(cursor) => {
                let cursor = Some(cursor.trim()).filter(|it| !it.is_empty());
                Start::Cursor(cursor.map(str::to_owned))
            }
        };
        // What is kept is looked through for what the filter and the order ask about.
        let mut wanted: Vec<String> = Vec::new();
        wanted.extend(self.filter.iter().flat_map(|it| it.members()).map(str::to_owned));
        let by = self.sort.as_ref().and_then(|sort| sort.target()?.member());
        wanted.extend(by.map(str::to_owned));
        ListRequest {
            filter: self.filter.clone(),
            sort: self.sort.clone(),
            window: Window { start, count: self.query.count as u64 },
            with_related: self.projection.wants(related),
            represent: Arc::new(move |record: &R| {
                record.members(&resource_type, &base, |name| wanted.iter().any(|it| it == name))
            }),
        }
    }

    /// Prints a record as it stands in the list.
    pub(super) fn print(
        &self,
        call: &Call,
        resource_type: &ResourceType,
        record: &impl Represent,
        text: &mut String,
    ) {
        project(record, resource_type, &call.base, &self.projection, text);
    }

    /// The answer of a page.
    pub(super) fn answer<T>(&self, page: Page<T>, print: impl FnMut(&T, &mut String)) -> Answer {
        let total = usize::try_from(page.total).unwrap_or(usize::MAX);
        let response = match self.query.cursor {
            None => ListResponse::page(page.items, total, self.query.start_index),
            Some(_) => ListResponse::after_cursor(page.items, total, page.next),
        };
        Answer::text(StatusCode::OK, response.print_with(print))
    }
}

/// `GET /` and `POST /.search`: users and groups in one list (RFC 7644 §3.4.2.1, §3.4.3).
pub(super) async fn list_all(
    call: &mut Call,
    search: Option<Incoming<'_>>,
) -> Result<Answer, Refusal> {
    let query = query(call, search).await?;
    let (user, group) = (call.user_type(), call.group_type());
    if let Some(sort) = &query.sort {
        // What neither type has is a mistake rather than an order.
        let quirks = &mut call.quirks.clone();
        if let Err(error) = sort.bind(&user, call.preset(), quirks)
            && sort.bind(&group, call.preset(), quirks).is_err()
        {
            return Err(error.into());
        }
    }
    let users = call.list(query.clone(), &user, Among::Several)?;
    let groups = call.list(query, &group, Among::Several)?;
    let (of_users, of_groups) =
        (users.request(call, &user, "groups"), groups.request(call, &group, "members"));
    let page = call.store.resources(of_users, of_groups).await?;
    Ok(users.answer(page, |record, text| match record {
        AnyRecord::User(record) => users.print(call, &user, record, text),
        AnyRecord::Group(record) => groups.print(call, &group, record, text),
    }))
}

/// Bytes of a search: the longest filter, all attributes by their whole names, and room to spare.
const SEARCH_BYTES_MAX: usize = 64 * 1024;

/// Reads a filter. One that cannot be read, or only as words without quotes, and looks as if it had
/// been encoded once too often, is decoded once more: `userName%20eq%20%22ana%22`, after the address
/// has been decoded.
fn read_filter(text: &str, preset: Preset, quirks: &mut Quirks) -> Result<Filter, Error> {
    let mut noted = quirks.clone();
    let parsed = Filter::parse(text, preset, &mut noted);
    let is_doubtful =
        parsed.is_err() || noted.iter().any(|quirk| quirk == Quirk::FilterQuotesMissing);
    let looks_encoded = ["%20", "%22"].into_iter().any(|it| text.contains(it));
    if preset == Preset::Lenient
        && is_doubtful
        && looks_encoded
        && let Ok(decoded) = percent_encoding::percent_decode_str(text).decode_utf8()
        && let Ok(filter) = Filter::parse(&decoded, preset, quirks)
    {
        quirks.note(Quirk::FilterEncodedTwice);
        return Ok(filter);
    }
    *quirks = noted;
    parsed
}

/// Prints as much of a record as is to be answered.
fn project(
    record: &impl Represent,
    resource_type: &ResourceType,
    base: &str,
    projection: &Projection,
    text: &mut String,
) {
    if projection.is_whole() {
        record.print(resource_type, base, text);
        return;
    }
    let mut whole = String::new();
    record.print(resource_type, base, &mut whole);
    projection.apply_to_text(&whole, text).expect("what we print can be read");
}
