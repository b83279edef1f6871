//! What the provider sent, how it was answered, why, and what to do now: of a connection, the newest
//! first.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use directory::RequestId;
use directory::requests::{BodyKept, Explanation, explain};
use scim::dialect::Quirk;
use serde::Deserialize;
use store::{RequestFilter, RequestRecord, WholeRequest};

use super::connection::Connection;
use super::live::Live;
use crate::api::requests::{curl, note, subjects};
use crate::pages::parts::{Copyable, Frame, Sentence, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, page};
use crate::problem::Problem;

/// Requests of a page.
const PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "directory/activity.html")]
pub(crate) struct Activity {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    /// Who or which request is looked for.
    pub(crate) wanted: String,
    /// Whether only those are shown that failed.
    pub(crate) failed_only: bool,
    pub(crate) rows: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
}

/// A request, in plain words.
pub(crate) struct Row {
    /// Of its page.
    pub(crate) address: String,
    pub(crate) id: String,
    pub(crate) at: When,
    /// How it was answered; of what stands for requests that were not taken down, nothing.
    pub(crate) status: Option<u16>,
    pub(crate) tried: Sentence,
    pub(crate) outcome: String,
    pub(crate) why: Option<Sentence>,
    pub(crate) what_to_do: Option<Sentence>,
}

impl Row {
    /// `connection`: the address of its connection.
    pub(crate) fn new(record: RequestRecord, connection: &str) -> Row {
        let Explanation { tried, outcome, why, what_to_do } = explain(&record.entry, record.status);
        Row {
            address: format!("{connection}/activity/{}", record.request_id),
            tried: Sentence(tried),
            outcome,
            why: why.map(Sentence),
            what_to_do: what_to_do.map(Sentence),
            id: record.request_id,
            at: When(record.begun_at),
            status: record.entry.lost.is_none().then_some(record.status),
        }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_some_and(|status| status >= 400)
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    #[serde(default)]
    before: String,
}

impl Asked {
    /// The same question, of requests before a place.
    fn address(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        with_query("/activity", [("q", self.q.trim()), ("show", &self.show), ("before", &before)])
    }
}

/// `GET …/activity`: all of it, what failed, what is about somebody,
/// or a request by its id.
pub(super) async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let (wanted, failed_only) = (asked.q.trim(), asked.show == "failed");
    let before = asked.before.parse().ok();
    let (found, next) = if let Ok(id) = wanted.parse::<RequestId>() {
        (visitor.request(id).await?.into_iter().collect(), None)
    } else {
        let about = if wanted.is_empty() {
            None
        } else {
            let store = (&visitor.store, &*visitor.counter);
            Some(subjects(store, Some(connection.id), (wanted, false)).await?)
        };
        let filter = RequestFilter {
            directory_id: Some(connection.id),
            subjects: about,
            status: failed_only.then_some((400, 599)),
            before,
            ..RequestFilter::default()
        };
        let found = visitor.store.requests(filter, PAGE).await?;
        (found.requests, found.next)
    };
    let rows = found.into_iter().map(|it| Row::new(it, &connection.address)).collect();
    let live = Live::of_one(connection, &asked.address(before));
    let next = next.map(|place| format!("{}{}", connection.address, asked.address(Some(place))));
    let wanted = wanted.to_owned();
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&Activity { frame, reader, connection, live, wanted, failed_only, rows, next }))
}

impl Visitor {
    async fn request(&self, id: RequestId) -> Result<Option<RequestRecord>, Stop> {
        Ok(self.whole_request(id).await?.map(|it| it.record))
    }

    async fn whole_request(&self, id: RequestId) -> Result<Option<WholeRequest>, Stop> {
        let found = self.store.request(id).await?;
        Ok(found.filter(|it| it.record.directory_id == self.connection.id))
    }

    /// What failed lately, where the link lets its reader see that.
    pub(super) async fn failures(&self, most: u64) -> Result<Vec<Row>, Stop> {
        if !self.reader.sees(directory::PortalFeature::Activity) {
            return Ok(Vec::new());
        }
        let filter = RequestFilter {
            directory_id: Some(self.connection.id),
            status: Some((400, 599)),
            ..RequestFilter::default()
        };
        let found = self.store.requests(filter, most).await?.requests;
        Ok(found.into_iter().map(|it| Row::new(it, &self.connection.address)).collect())
    }
}

#[derive(Template)]
#[template(path = "directory/request.html")]
pub(crate) struct RequestPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) row: Row,
    pub(crate) id: Copyable,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) milliseconds: String,
    pub(crate) client_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// What was straightened, to stand after "The provider".
    pub(crate) straightened: Vec<&'static str>,
    pub(crate) request: Option<BodyShown>,
    pub(crate) answer: Option<BodyShown>,
    /// The same as a command.
    pub(crate) command: Option<Copyable>,
}

/// A body, as far as it is kept.
pub(crate) struct BodyShown {
    pub(crate) bytes: u64,
    pub(crate) text: Option<String>,
    /// Why it is not all there.
    pub(crate) note: Option<&'static str>,
}

impl BodyShown {
    pub(crate) fn new(kept: &BodyKept, text: Option<&str>) -> BodyShown {
        BodyShown { bytes: kept.bytes, note: note(kept, text), text: text.map(indented) }
    }
}

/// With a line for each attribute, where it is JSON.
fn indented(text: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(text);
    let indented = value.and_then(|value| serde_json::to_string_pretty(&value));
    indented.unwrap_or_else(|_| text.to_owned())
}

/// `GET …/activity/{request}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, request)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let unknown = || Stop::from(Problem::not_found("request"));
    let id: RequestId = request.parse().map_err(|_| unknown())?;
    let whole = visitor.whole_request(id).await?.ok_or_else(unknown)?;
    let command = curl(&whole, visitor.counter.settings.public_url());
    let command = command.map(|it| Copyable::new("command", it));
    let WholeRequest { record, request_body, answer_body } = whole;
    let entry = &record.entry;
    let body = |kept: &Option<BodyKept>, text: Option<String>| {
        kept.as_ref().map(|kept| BodyShown::new(kept, text.as_deref()))
    };
    let query = entry.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let straightened = entry.straightened.iter().filter_map(|name| Quirk::from_name(name));
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&RequestPage {
        frame,
        reader,
        live: Live::of_one(&connection, &format!("/activity/{}", record.request_id)),
        id: Copyable::new("request-id", record.request_id.as_str()),
        method: entry.method.clone(),
        path: format!("{}{query}", entry.path),
        milliseconds: milliseconds(record.duration_us),
        client_address: entry.client_address.clone(),
        user_agent: entry.user_agent.clone(),
        straightened: straightened.map(Quirk::explanation).collect(),
        request: body(&entry.request_body, request_body),
        answer: body(&entry.answer_body, answer_body),
        command,
        row: Row::new(record, &connection.address),
        connection,
    }))
}

/// To a tenth: what takes less is nothing to anybody.
fn milliseconds(microseconds: u64) -> String {
    let tenths = microseconds.div_ceil(100);
    format!("{}.{}", tenths / 10, tenths % 10)
}
