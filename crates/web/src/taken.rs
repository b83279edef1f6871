//! What is taken down of a SCIM request as it passes: a few words and copies, from which the store makes
//! an entry of the request log when nobody waits for it.

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::Response;
use directory::requests::{BODY_MAX, READ_MAX};
use directory::{By, RequestId};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use store::{Captured, CapturedBody};

use crate::scim::Explanation;
use crate::{Counter, caller};

/// What is seen of a request before it is answered.
pub(crate) struct Glimpse {
    at: Timestamp,
    method: Method,
    uri: Uri,
    headers: [Option<HeaderValue>; 2],
    presented: directory::requests::Presented,
    client_address: Option<IpAddr>,
}

/// Who has a request carried out once more, and which.
#[derive(Clone, Copy)]
pub(crate) struct Rerun {
    pub(crate) of: RequestId,
    pub(crate) by: By,
}

impl Glimpse {
    pub(crate) fn of(counter: &Counter, request: &Request) -> Glimpse {
        let headers = request.headers();
        let header = |name| headers.get(name).cloned();
        Glimpse {
            at: counter.access.now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: [header(header::USER_AGENT), header(header::CONTENT_TYPE)],
            presented: caller::how_presented(headers),
            client_address: caller::address_of(counter, request.extensions(), headers),
        }
    }

    /// Takes the request down with its answer, where it is known whose it is.
    pub(crate) async fn note(
        self,
        counter: &Counter,
        request_id: RequestId,
        mut explanation: Explanation,
        response: Response,
        rerun: Option<Rerun>,
    ) -> Response {
        let opened = explanation.opened;
        let Some(directory_id) = opened.map(|(id, _)| id).or(explanation.named) else {
            return response;
        };
        let (parts, body) = response.into_parts();
        // It is all there already.
        let Ok(answer) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return Response::from_parts(parts, Body::empty());
        };
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let [user_agent, content_type] = self.headers;
        let is_read = matches!(self.method, Method::GET | Method::HEAD);
        let copy = |bytes: &Bytes, max| CapturedBody::of(bytes, max);
        let answer_max = if is_read && parts.status.is_success() { READ_MAX } else { BODY_MAX };
        counter.access.note_request(Captured {
            request_id,
            directory_id,
            at: self.at,
            answered_at: counter.access.now(),
            method: self.method.as_str().to_owned(),
            path: self.uri.path().to_owned(),
            query: self.uri.query().map(str::to_owned),
            status: parts.status.as_u16(),
            client_address: self.client_address,
            user_agent: user_agent.as_ref().and_then(text),
            content_type: content_type.as_ref().and_then(text),
            presented: self.presented,
            by: rerun.map(|it| it.by).or(opened.map(|(_, by)| by)),
            rerun_of: rerun.map(|it| it.of),
            tried: explanation.tried,
            is_unknown_path: explanation.is_unknown_path,
            quirks: explanation.quirks.clone(),
            unknown_members: std::mem::take(&mut explanation.unknown_members),
            location: location(&parts.headers),
            request: explanation.body.as_ref().map(|body| copy(body, BODY_MAX)),
            answer: (!answer.is_empty()).then(|| copy(&answer, answer_max)),
            policy: counter.settings.request_log,
        });
        Response::from_parts(parts, Body::from(answer))
    }
}

fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(header::LOCATION)?.to_str().ok().map(str::to_owned)
}
