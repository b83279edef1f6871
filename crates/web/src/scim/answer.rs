//! An answer that is not an error.

use axum::body::{Body, Bytes};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::error::SCIM_JSON;

/// A status, a body, and what stands above it.
pub(crate) struct Answer {
    status: StatusCode,
    body: Option<Bytes>,
    headers: Vec<(HeaderName, String)>,
}

/// Under which name JSON is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    ScimJson,
    Json,
}

impl MediaType {
    /// `application/scim+json`, unless the client lists `application/json` and neither that nor
    /// everything. A client that lists something else altogether still gets SCIM: an Okta whose
    /// `Accept` is refused shows its admin an empty reason.
    pub(crate) fn preferred(headers: &HeaderMap) -> MediaType {
        let accepts = |wanted: &str| {
            headers.get_all(header::ACCEPT).iter().any(|value| {
                value.to_str().is_ok_and(|text| {
                    text.split(',').any(|range| {
                        let name = range.split(';').next().unwrap_or_default().trim();
                        name.eq_ignore_ascii_case(wanted)
                    })
                })
            })
        };
        if accepts("application/json")
            && !["application/scim+json", "application/*", "*/*"].into_iter().any(accepts)
        {
            MediaType::Json
        } else {
            MediaType::ScimJson
        }
    }
}

impl Answer {
    /// No body at all.
    pub(crate) fn empty(status: StatusCode) -> Answer {
        Answer { status, body: None, headers: Vec::new() }
    }

    /// JSON that is printed already.
    pub(crate) fn text(status: StatusCode, text: String) -> Answer {
        Answer { status, body: Some(text.into()), headers: Vec::new() }
    }

    /// A document.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
        let text = serde_json::to_string(value).expect("what we answer can be printed");
        Answer::text(status, text)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn into_response(self, media_type: MediaType) -> Response {
        let has_body = self.body.is_some();
        let mut response = Response::new(self.body.map_or_else(Body::empty, Body::from));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if has_body {
            let name = match media_type {
                MediaType::ScimJson => SCIM_JSON,
                MediaType::Json => HeaderValue::from_static("application/json"),
            };
            headers.insert(header::CONTENT_TYPE, name);
        }
        for (name, value) in self.headers {
            let value = HeaderValue::try_from(value).expect("we write plain ASCII");
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_name_that_the_client_can_read() {
        let check = |accept: &'static str, expected| {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(MediaType::preferred(&headers), expected, "{accept}");
        };
        check("application/scim+json", MediaType::ScimJson);
        check("application/json", MediaType::Json);
        check("Application/JSON; charset=utf-8", MediaType::Json);
        check("application/json, application/scim+json", MediaType::ScimJson);
        check("application/json, */*;q=0.8", MediaType::ScimJson);
        check("*/*", MediaType::ScimJson);
        check("text/html", MediaType::ScimJson);
        assert_eq!(MediaType::preferred(&HeaderMap::new()), MediaType::ScimJson);
    }
}
