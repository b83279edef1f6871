//! What SCIM can say when it cannot do what was asked (RFC 7644 §3.12).

use std::fmt;

use serde_json::{Value, json};

/// The URN of an error message.
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// An error as it goes over the wire: a status, an optional keyword from the RFC's table, and a
/// `detail`. An Okta admin sees the `detail` and nothing else, so it is written for them: what
/// happened, why, and what to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: u16,
    kind: Option<Kind>,
    detail: String,
}

/// The `scimType` keywords of RFC 7644 §3.12, Table 9, and of RFC 9865 §2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The filter could not be understood, or compares what cannot be compared.
    InvalidFilter,
    /// The filter is legal and yields more than the server will calculate.
    TooMany,
    /// The value is taken, or would collide with one that is.
    Uniqueness,
    /// The attribute may not be changed as asked.
    Mutability,
    /// The request body is not what the message or schema says it should be.
    InvalidSyntax,
    /// The PATCH path is malformed, or names an attribute that does not exist.
    InvalidPath,
    /// The PATCH path names nothing that could be changed.
    NoTarget,
    /// A required value is missing, or a value does not fit its attribute's type.
    InvalidValue,
    /// The SCIM version in the URL is not supported.
    InvalidVers,
    /// The request carries personal data where it must not stand (a URL).
    Sensitive,
    /// The cursor was not handed out for this list (RFC 9865 §2.1).
    InvalidCursor,
    /// The cursor was handed out too long ago (RFC 9865 §2.1).
    ExpiredCursor,
    /// The count is out of range, or another than that of the walk's first page (RFC 9865 §2.1).
    InvalidCount,
}

impl Kind {
    /// The keyword as the RFC spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::InvalidFilter => "invalidFilter",
            Kind::TooMany => "tooMany",
            Kind::Uniqueness => "uniqueness",
            Kind::Mutability => "mutability",
            Kind::InvalidSyntax => "invalidSyntax",
            Kind::InvalidPath => "invalidPath",
            Kind::NoTarget => "noTarget",
            Kind::InvalidValue => "invalidValue",
            Kind::InvalidVers => "invalidVers",
            Kind::Sensitive => "sensitive",
            Kind::InvalidCursor => "invalidCursor",
            Kind::ExpiredCursor => "expiredCursor",
            Kind::InvalidCount => "invalidCount",
        }
    }
}

impl Error {
    /// An error with a status and no keyword, as most but 400 and 409 are.
    ///
    /// ```
    /// let error = scim::Error::new(404, "no user has the id `7`");
    /// assert_eq!(error.to_json()["status"], "404");
    /// ```
    pub fn new(status: u16, detail: impl Into<String>) -> Error {
        Error { status, kind: None, detail: detail.into() }
    }

    /// A 400 with a keyword. `uniqueness` is a 409 in every method: RFC 7644 §3.3 demands it of
    /// POST, Table 8 fits the rest, and Okta and Entra know nothing else.
    pub fn bad(kind: Kind, detail: impl Into<String>) -> Error {
        let status = match kind {
            Kind::Uniqueness => 409,
            Kind::Sensitive => 403,
            _ => 400,
        };
        Error { status, kind: Some(kind), detail: detail.into() }
    }

    /// The filter could not be understood.
    pub fn invalid_filter(detail: impl Into<String>) -> Error {
        Error::bad(Kind::InvalidFilter, detail)
    }

    /// The PATCH path could not be understood.
    pub fn invalid_path(detail: impl Into<String>) -> Error {
        Error::bad(Kind::InvalidPath, detail)
    }

    /// The body is not the message that was expected.
    pub fn invalid_syntax(detail: impl Into<String>) -> Error {
        Error::bad(Kind::InvalidSyntax, detail)
    }

    /// A value does not fit.
    pub fn invalid_value(detail: impl Into<String>) -> Error {
        Error::bad(Kind::InvalidValue, detail)
    }

    /// The attribute may not be changed so.
    pub fn mutability(detail: impl Into<String>) -> Error {
        Error::bad(Kind::Mutability, detail)
    }

    /// The path names nothing.
    pub fn no_target(detail: impl Into<String>) -> Error {
        Error::bad(Kind::NoTarget, detail)
    }

    /// The same error in other words.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Error {
        Error { detail: detail.into(), ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The keyword, where the RFC has one.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// What the IT admin reads.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The message body. `status` is a string, always: RFC 7644 §3.12 says so, though Okta's own
    /// samples print a number.
    pub fn to_json(&self) -> Value {
        let mut body = json!({ "schemas": [ERROR_SCHEMA], "status": self.status.to_string() });
        if let Some(kind) = self.kind {
            body["scimType"] = kind.as_str().into();
        }
        body["detail"] = self.detail.as_str().into();
        body
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{} {}: {}", self.status, kind.as_str(), self.detail),
            None => write!(f, "{}: {}", self.status, self.detail),
        }
    }
}

impl std::error::Error for Error {}
