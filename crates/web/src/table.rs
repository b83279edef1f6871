//! Tables for spreadsheets (RFC 4180).

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;

/// Adds a row, however many cells it has.
pub(crate) fn write_row<'c>(text: &mut String, cells: impl IntoIterator<Item = &'c str>) {
    for (index, value) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&cell(value));
    }
    text.push_str("\r\n");
}

/// A cell of a table. A spreadsheet takes what begins so for a formula, and names are anybody's.
pub(crate) fn cell(value: &str) -> Cow<'_, str> {
    let is_formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !is_formula && !value.contains([',', '"', '\n', '\r']) {
        return Cow::Borrowed(value);
    }
    let guard = if is_formula { "'" } else { "" };
    Cow::Owned(format!("\"{guard}{}\"", value.replace('"', "\"\"")))
}

/// A table that is written while it is read: one that breaks off is seen to be broken off. `name` is
/// that of the file, in plain ASCII.
pub(crate) fn answer<S, E>(name: &str, pieces: S) -> Response
where
    S: Stream<Item = Result<String, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    let csv = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(header::CONTENT_TYPE, csv);
    let named = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    headers.insert(header::CONTENT_DISPOSITION, named.expect("it is plain ASCII"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_text_whatever_is_in_it() {
        assert_eq!(cell("Acme"), "Acme");
        assert_eq!(cell("Acme, Inc."), "\"Acme, Inc.\"");
        assert_eq!(cell("the \"A\""), "\"the \"\"A\"\"\"");
        assert_eq!(cell("=cmd()"), "\"'=cmd()\"");
        assert_eq!(cell("a\nb"), "\"a\nb\"");
    }

    #[test]
    fn a_row_ends_whatever_is_in_it() {
        let mut text = String::new();
        write_row(&mut text, ["Ana", "=1+1", "a\nb"]);
        assert_eq!(text, "Ana,\"'=1+1\",\"a\nb\"\r\n");
    }
}
