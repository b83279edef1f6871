//! What goes over the wire, as plain values: a request, an answer, and who carries them.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde_json::Value;

/// The methods that an identity provider uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As the request line spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request, without the base URL: whoever carries it knows where to.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query under the base URL, percent-encoded: `/Users?startIndex=1&count=2`.
    pub path_and_query: String,
    /// Names as the provider spells them, with their values.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body; empty when there is none.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// The query's parameters in order, decoded.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let Some((_, query)) = self.path_and_query.split_once('?') else { return Vec::new() };
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (percent_decode(name), percent_decode(value)))
            .collect()
    }

    /// The value of one query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The body as JSON; nothing when there is none, or it is not JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Says what is asked for, not with which credentials or what personal data.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, self.path(), self.body.len())
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names in any case, with their values.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body; empty when there is none.
    pub body: Vec<u8>,
    /// From the first byte sent to the last byte received.
    pub elapsed: Duration,
}

impl Response {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &Value) -> Response {
        Response {
            status,
            headers: vec![("Content-Type".to_owned(), "application/scim+json".to_owned())],
            body: body.to_string().into_bytes(),
            elapsed: Duration::ZERO,
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Vec::new(), elapsed: Duration::ZERO }
    }

    /// The value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nothing came within the time that the provider waits.
    Timeout,
    /// No connection, or it broke: what the network stack says about it.
    Connection(String),
}

/// Who carries requests to a server and brings back the answers.
pub trait Client: Send {
    /// Sends one request and waits for its answer. Redirects are not followed.
    fn send(
        &mut self,
        request: &Request,
    ) -> impl Future<Output = Result<Response, NoAnswer>> + Send;

    /// Lets time pass, where the server has a real clock; a server in memory has none.
    fn wait(&mut self, pause: Duration) -> impl Future<Output = ()> + Send;
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

/// Encodes everything but RFC 3986's unreserved characters; a space becomes `space`.
pub(crate) fn percent_encode(text: &str, space: &str) -> String {
    use fmt::Write as _;

    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push_str(space),
            _ => write!(encoded, "%{byte:02X}").expect("text can be written to"),
        }
    }
    encoded
}

/// Undoes [`percent_encode`] in both its spellings. What is not an escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escaped = (bytes[place] == b'%')
            .then(|| bytes.get(place + 1..place + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[place], escaped) {
            (_, Some(byte)) => {
                decoded.push(byte);
                place += 2;
            }
            (b'+', None) => decoded.push(b' '),
            (byte, None) => decoded.push(byte),
        }
        place += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// What goes with a status on the status line; Okta shows it to the admin.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unexpected Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_encoded_as_okta_encodes_them_and_read_back() {
        let check = |text: &str, space: &str, expected: &str| {
            let encoded = percent_encode(text, space);
            assert_eq!(encoded, expected);
            assert_eq!(percent_decode(&encoded), text);
        };
        check(
            r#"userName eq "test.user@okta.local""#,
            "%20",
            "userName%20eq%20%22test.user%40okta.local%22",
        );
        check(
            r#"userName eq "test.user@okta.local""#,
            "+",
            "userName+eq+%22test.user%40okta.local%22",
        );
        check("a+b'c\"d\\", "%20", "a%2Bb%27c%22d%5C");
        check("Büro & Söhne", "%20", "B%C3%BCro%20%26%20S%C3%B6hne");
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for text in ["%", "%4", "%zz", "100%"] {
            assert_eq!(percent_decode(text), text);
        }
    }
}
