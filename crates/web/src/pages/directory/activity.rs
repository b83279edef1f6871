//! What the provider sent, how it was answered, why, and what to do now: of a connection, the newest
//! first.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use directory::requests::{BodyKept, Explanation, explain};
use directory::{ApiScope, DirectoryId, OrganizationId, RequestId};
use jiff::Timestamp;
use scim::dialect::Quirk;
use serde::Deserialize;
use store::{ApiStore, RequestFilter, RequestRecord, WholeRequest};

use super::connection::Connection;
use super::live::Live;
use crate::Counter;
use crate::api::requests::{again, curl, note, read_status, read_time, repeatable, subjects};
use crate::pages::parts::{Copyable, Frame, Refused, Sentence, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page, page_with};
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
    pub(crate) asked: Asked,
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

/// Which requests are looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// A person, or a request by its id.
    pub(crate) q: String,
    /// A group.
    pub(crate) group: String,
    /// `failed`, or a status such as `409` or `4xx`.
    pub(crate) show: String,
    pub(crate) method: String,
    /// From when to when, as `2026-01-05T09:00`.
    pub(crate) since: String,
    pub(crate) until: String,
    /// Of all directories: of which organization.
    pub(crate) organization: String,
    pub(crate) before: String,
}

impl Asked {
    /// The same question, of requests before a place.
    pub(in crate::pages) fn address(&self, page: &str, before: &str) -> String {
        let asked = [
            ("q", self.q.trim()),
            ("group", self.group.trim()),
            ("show", self.show.trim()),
            ("method", &self.method),
            ("since", &self.since),
            ("until", &self.until),
            ("organization", self.organization.trim()),
            ("before", before),
        ];
        with_query(page, asked)
    }

    /// Whether more is asked than who, and whether it failed.
    pub(crate) fn is_precise(&self) -> bool {
        let is_class = !matches!(self.show.as_str(), "" | "failed");
        let others = [&self.group, &self.method, &self.since, &self.until, &self.organization];
        is_class || others.iter().any(|it| !it.is_empty())
    }

    /// Whether anything is asked at all.
    pub(crate) fn is_anything(&self) -> bool {
        !self.q.trim().is_empty() || !self.show.is_empty() || self.is_precise()
    }

    /// What is found, of one directory or of all of an organization, or of all; and before which place
    /// there is more.
    pub(in crate::pages) async fn find(
        &self,
        (store, counter): (&ApiStore, &Counter),
        directory_id: Option<DirectoryId>,
        organization_id: Option<OrganizationId>,
    ) -> Result<(Vec<RequestRecord>, Option<u64>), Stop> {
        let (person, group) = (self.q.trim(), self.group.trim());
        if let Ok(id) = person.parse::<RequestId>() {
            let found = store.request(id).await?.map(|it| it.record).filter(|it| {
                directory_id.is_none_or(|of| of == it.directory_id)
                    && organization_id.is_none_or(|of| of == it.organization_id)
            });
            return Ok((found.into_iter().collect(), None));
        }
        let about = match (person, group) {
            ("", "") => None,
            (person, "") => Some((person, false)),
            ("", group) => Some((group, true)),
            _ => {
                let why = "a person and a group are both named";
                return Err(Problem::invalid(why, "Look for one of them").into());
            }
        };
        let about = match about {
            Some(about) => Some(subjects((store, counter), directory_id, about).await?),
            None => None,
        };
        let status = match self.show.trim() {
            "" => None,
            "failed" => Some((400, 599)),
            text => Some(read_status(text)?),
        };
        let filter = RequestFilter {
            directory_id,
            organization_id,
            subjects: about,
            method: (!self.method.is_empty()).then(|| self.method.to_ascii_uppercase()),
            status,
            since: moment("since", &self.since)?,
            until: moment("until", &self.until)?,
            before: self.before.parse().ok(),
        };
        let found = store.requests(filter, PAGE).await?;
        Ok((found.requests, found.next))
    }
}

/// A time as browsers send it, which is without a zone: in UTC then; or a day.
fn moment(name: &str, text: &str) -> Result<Option<Timestamp>, Stop> {
    let text = text.trim();
    let whole = match text.len() {
        0 => return Ok(None),
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    Ok(Some(read_time(name, &whole)?))
}

/// `GET …/activity`: all of it, what failed, what is about somebody, or a request by its id.
pub(super) async fn list(
    visitor: Visitor,
    Query(mut asked): Query<Asked>,
) -> Result<Response, Stop> {
    asked.organization = String::new();
    let connection = &visitor.connection;
    let (store, counter) = (&visitor.store, &*visitor.counter);
    let (found, next) = asked.find((store, counter), Some(connection.id), None).await?;
    let rows = found.into_iter().map(|it| Row::new(it, &connection.address)).collect();
    let live = Live::of_one(connection, &asked.address("/activity", &asked.before));
    let earlier = |place: u64| asked.address("/activity", &place.to_string());
    let next = next.map(|place| format!("{}{}", connection.address, earlier(place)));
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&Activity { frame, reader, connection, live, asked, rows, next }))
}

impl Visitor {
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
    pub(crate) straightened: Vec<Sentence>,
    pub(crate) request: Option<BodyShown>,
    pub(crate) answer: Option<BodyShown>,
    /// The same as a command.
    pub(crate) command: Option<Copyable>,
    /// The request of the provider that this one repeats.
    pub(crate) again_of: Option<String>,
    /// Whether it can be carried out once more, by whoever looks at it.
    pub(crate) can_be_repeated: bool,
    /// Why it was not, and what to do.
    pub(crate) refused: Option<Refused>,
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
    let whole = visitor.named(&request).await?;
    Ok(shown(visitor, whole, None))
}

/// `POST …/activity/{request}/rerun`: carries it out once more, and leads to the request that this is.
pub(super) async fn rerun(
    visitor: Visitor,
    axum::Extension(crate::RequestId(own)): axum::Extension<crate::RequestId>,
    Path((_, _, request)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let whole = visitor.named(&request).await?;
    match again(&visitor.store, &visitor.counter, own, &whole).await {
        Ok(_) => Ok(go_to(&format!("{}/activity/{own}", visitor.connection.address))),
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            Ok(shown(visitor, whole, Some(&problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

impl Visitor {
    /// The request that the address of a page names.
    async fn named(&self, request: &str) -> Result<WholeRequest, Stop> {
        let unknown = || Stop::from(gone());
        let id: RequestId = request.parse().map_err(|_| unknown())?;
        self.whole_request(id).await?.ok_or_else(unknown)
    }
}

/// `refused`: why it was not carried out once more, where somebody wanted that.
fn shown(visitor: Visitor, whole: WholeRequest, refused: Option<&Problem>) -> Response {
    let can_be_repeated = repeatable(&whole).is_ok();
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
    let status = refused.map_or(StatusCode::OK, Problem::status);
    let shown = RequestPage {
        live: Live::of_one(&connection, &format!("/activity/{}", record.request_id)),
        id: Copyable::new("request-id", record.request_id.as_str()),
        method: entry.method.clone(),
        path: format!("{}{query}", entry.path),
        milliseconds: milliseconds(record.duration_us),
        client_address: entry.client_address.clone(),
        user_agent: entry.user_agent.clone(),
        straightened: straightened.map(|it| Sentence(it.explanation().to_owned())).collect(),
        request: body(&entry.request_body, request_body),
        answer: body(&entry.answer_body, answer_body),
        command,
        again_of: entry.rerun_of.clone(),
        can_be_repeated: can_be_repeated && reader.may_as_member(ApiScope::DirectoriesWrite),
        refused: refused.map(Refused::from),
        row: Row::new(record, &connection.address),
        frame,
        reader,
        connection,
    };
    page_with(status, &shown)
}

/// To a tenth: what takes less is nothing to anybody.
fn milliseconds(microseconds: u64) -> String {
    let tenths = microseconds.div_ceil(100);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Events are kept for longer than requests are, and lead to them.
fn gone() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "This request is not kept any more",
        "requests are kept for a while only, and this one is not there, or never was",
        "What came of it stands among the events, which are kept for longer",
    )
}
