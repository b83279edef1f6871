//! Lists of resources: how they are asked for and how they are answered (RFC 7644 §3.4.2).

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::admit::kind_of;
use crate::dialect::{Quirk, Quirks};
use crate::error::{Error, Kind};
use crate::limit::{PAGE_DEFAULT, PAGE_MAX, START_INDEX_MAX};
use crate::path::AttributePath;
use crate::preset::Preset;

/// The URN of a list.
pub const LIST_RESPONSE_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The URN of a query in a body (RFC 7644 §3.4.3).
pub const SEARCH_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// What a client wants of a list, as it wrote it: `filter` and the attributes mean something only
/// once the resource type is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Which resources.
    pub filter: Option<String>,
    /// The first one of the page, counted from 1; never less, and never more than
    /// [`START_INDEX_MAX`].
    pub start_index: usize,
    /// How many at most; never more than [`PAGE_MAX`]. 0 asks for the
    /// total alone.
    pub count: usize,
    /// The place to go on from (RFC 9865). `Some` and empty is a first page that wants to be gone
    /// on from.
    pub cursor: Option<String>,
    /// In which order, where it is not ours.
    pub sort: Option<Sort>,
    /// For [`Projection::parse`](crate::project::Projection::parse).
    pub attributes: Option<String>,
    /// For [`Projection::parse`](crate::project::Projection::parse).
    pub excluded_attributes: Option<String>,
}

/// An order that a client wants (RFC 7644 §3.4.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what; well-formed, but need not exist.
    pub by: AttributePath,
    /// Which way.
    pub order: SortOrder,
}

/// Which way an order goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Resources without a value come last.
    #[default]
    Ascending,
    /// Resources without a value come first.
    Descending,
}

impl Default for ListQuery {
    fn default() -> ListQuery {
        ListQuery {
            filter: None,
            start_index: 1,
            count: PAGE_DEFAULT,
            cursor: None,
            sort: None,
            attributes: None,
            excluded_attributes: None,
        }
    }
}

impl ListQuery {
    /// Reads the decoded pairs of a query string. Names may be in any case; those that are not of
    /// SCIM are ignored (Entra's flags travel there), and so are empty values, but for those of
    /// `cursor` and `filter`.
    ///
    /// # Errors
    ///
    /// `invalidValue` when `startIndex` or `count` is no whole number, `sortOrder` is neither of
    /// the two, a parameter is given twice with different values, or both `startIndex` and
    /// `cursor` are given; `invalidCount` when there is a `cursor`, and `count` is no number or
    /// more than [`PAGE_MAX`]; `invalidPath` when `sortBy` is no name of an attribute.
    ///
    /// ```
    /// use scim::list::ListQuery;
    ///
    /// let query = ListQuery::parse([("startIndex", "0"), ("COUNT", "100000")].into_iter())?;
    /// assert_eq!((query.start_index, query.count), (1, scim::limit::PAGE_MAX));
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn parse<N, V>(pairs: impl Iterator<Item = (N, V)>) -> Result<ListQuery, Error>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut given: [Option<String>; PARAMETERS.len()] = Default::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            let Some(place) = PARAMETERS.iter().position(|it| it.eq_ignore_ascii_case(name)) else {
                continue;
            };
            // `?cursor` and `?cursor=` ask for the first page of a walk (RFC 9865 §2). An empty
            // filter asks for nobody in particular, and to answer with everybody could be taken
            // for a match (RFC 7644 §3.4.2.2: it "MUST contain at least one" expression).
            if value.trim().is_empty() && !["cursor", "filter"].contains(&PARAMETERS[place]) {
                continue;
            }
            match &given[place] {
                Some(other) if other != value => {
                    return Err(Error::invalid_value(format!(
                        "`{}` is given twice, with different values; send it once",
                        PARAMETERS[place]
                    )));
                }
                _ => given[place] = Some(value.to_owned()),
            }
        }
        let [filter, start_index, count, cursor, sort_by, sort_order, attributes, excluded] = given;
        if start_index.is_some() && cursor.is_some() {
            return Err(Error::invalid_value(
                "`startIndex` and `cursor` exclude each other; send one of them",
            ));
        }
        let start_index = match start_index {
            Some(text) => whole_number("startIndex", &text)?.clamp(1, START_INDEX_MAX),
            None => 1,
        };
        // RFC 7644 §3.4.2.4: "A negative value SHALL be interpreted as "0"."
        let count = match (count, &cursor) {
            (Some(text), None) => whole_number("count", &text)?.min(PAGE_MAX),
            (Some(text), Some(_)) => count_of_walk(&text)?,
            (None, _) => PAGE_DEFAULT,
        };
        let order = match sort_order {
            None => SortOrder::Ascending,
            Some(text) if text.trim().eq_ignore_ascii_case("ascending") => SortOrder::Ascending,
            Some(text) if text.trim().eq_ignore_ascii_case("descending") => SortOrder::Descending,
            Some(_) => {
                return Err(Error::invalid_value(
                    "`sortOrder` must be `ascending` or `descending`",
                ));
            }
        };
        let sort = match sort_by {
            Some(by) => Some(Sort { by: AttributePath::parse(by.trim())?, order }),
            None => None,
        };
        Ok(ListQuery {
            filter,
            start_index,
            count,
            cursor,
            sort,
            attributes,
            excluded_attributes: excluded,
        })
    }

    /// Reads the body of a `POST …/.search` (RFC 7644 §3.4.3), where the lists of attributes are
    /// JSON lists. The rules are those of [`ListQuery::parse`].
    ///
    /// # Errors
    ///
    /// Those of [`ListQuery::parse`]; `invalidSyntax` when the body is not an object, or under
    /// [`Preset::Strict`] does not say that it is a search; `invalidValue` when a parameter is of
    /// the wrong type.
    pub fn from_search(
        body: Value,
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<ListQuery, Error> {
        let Value::Object(mut body) = body else {
            return Err(Error::invalid_syntax(format!(
                "the body of a search must be an object, and is {}",
                kind_of(&body)
            )));
        };
        check_schemas(body.remove("schemas").as_ref(), preset, quirks)?;
        let mut pairs = Vec::with_capacity(body.len());
        for (name, value) in body {
            let Some(parameter) = PARAMETERS.iter().find(|it| it.eq_ignore_ascii_case(&name))
            else {
                continue;
            };
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Array(names) if LISTS.contains(parameter) => {
                    let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                    names
                        .ok_or_else(|| {
                            Error::invalid_value(format!("`{parameter}` must be a list of names"))
                        })?
                        .join(",")
                }
                other => {
                    return Err(Error::invalid_value(format!(
                        "`{parameter}` of a search cannot be {}",
                        kind_of(&other)
                    )));
                }
            };
            pairs.push((*parameter, text));
        }
        ListQuery::parse(pairs.into_iter())
    }
}

/// The names of RFC 7644 §3.4.2, Table 3 and Table 6, and of RFC 9865.
const PARAMETERS: [&str; 8] = [
    "filter",
    "startIndex",
    "count",
    "cursor",
    "sortBy",
    "sortOrder",
    "attributes",
    "excludedAttributes",
];

/// The parameters that are lists.
const LISTS: [&str; 2] = ["attributes", "excludedAttributes"];

/// RFC 9865 §2.1: "Count value must be between 0 and service provider's maxPageSize". What is
/// negative is 0 all the same (§2).
fn count_of_walk(text: &str) -> Result<usize, Error> {
    whole_number("count", text).ok().filter(|count| *count <= PAGE_MAX).ok_or_else(|| {
        Error::bad(
            Kind::InvalidCount,
            format!("`count` must be a whole number up to {PAGE_MAX} where there is a `cursor`"),
        )
    })
}

/// A search says what it is, as every message does (RFC 7644 §3.1).
fn check_schemas(
    schemas: Option<&Value>,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<(), Error> {
    let is_search = |urn: &str| urn.eq_ignore_ascii_case(SEARCH_REQUEST_SCHEMA);
    let quirk = match schemas {
        None | Some(Value::Null) => Quirk::SchemasMissing,
        Some(Value::Array(listed)) if listed.is_empty() => Quirk::SchemasMissing,
        Some(Value::Array(listed)) if listed.iter().filter_map(Value::as_str).any(is_search) => {
            return Ok(());
        }
        Some(_) => Quirk::SchemasUnknown,
    };
    if preset == Preset::Lenient {
        quirks.note(quirk);
        return Ok(());
    }
    Err(Error::invalid_syntax(format!("`schemas` of a search must list `{SEARCH_REQUEST_SCHEMA}`")))
}

/// A whole number; what is negative is 0, and what is too large for us is as large as we have.
fn whole_number(name: &str, text: &str) -> Result<usize, Error> {
    let text = text.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::invalid_value(format!("`{name}` must be a whole number")));
    }
    Ok(if is_negative { 0 } else { digits.parse().unwrap_or(usize::MAX) })
}

/// One page of a list. It prints itself as RFC 7644 §3.4.2 says, with `Resources` even when there
/// are none: clients index into it.
///
/// ```
/// use scim::list::ListResponse;
///
/// let page: ListResponse<serde_json::Value> = ListResponse::page(Vec::new(), 250, 251);
/// assert_eq!(serde_json::to_value(&page)?, serde_json::json!({
///     "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
///     "totalResults": 250, "startIndex": 251, "itemsPerPage": 0, "Resources": [],
/// }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListResponse<R> {
    /// How many match, on whatever page.
    pub total_results: usize,
    /// Where this page begins, counted from 1; none when a cursor said where.
    pub start_index: Option<usize>,
    /// The place after this page, when there is more and cursors are used (RFC 9865).
    pub next_cursor: Option<String>,
    /// What is on this page.
    pub resources: Vec<R>,
}

impl<R> ListResponse<R> {
    /// A page that is found by its index.
    pub fn page(resources: Vec<R>, total_results: usize, start_index: usize) -> ListResponse<R> {
        ListResponse { total_results, start_index: Some(start_index), next_cursor: None, resources }
    }

    /// Everything at once.
    pub fn all(resources: Vec<R>) -> ListResponse<R> {
        let total_results = resources.len();
        ListResponse::page(resources, total_results, 1)
    }

    /// A page that is found by a cursor.
    pub fn after_cursor(
        resources: Vec<R>,
        total_results: usize,
        next_cursor: Option<String>,
    ) -> ListResponse<R> {
        ListResponse { total_results, start_index: None, next_cursor, resources }
    }
}

impl<R> ListResponse<R> {
    /// Prints the list when its resources are printed by somebody else, who puts each behind what
    /// stands in the text: nothing is copied that is as long as a page.
    ///
    /// ```
    /// use scim::list::ListResponse;
    ///
    /// let text = ListResponse::all(vec!["7", "8"]).print_with(|number, text| text.push_str(number));
    /// assert!(text.ends_with(r#""itemsPerPage":2,"Resources":[7,8]}"#));
    /// ```
    pub fn print_with(&self, mut print: impl FnMut(&R, &mut String)) -> String {
        let none: &[Value] = &[];
        let message = Message::new(self, none);
        let mut text = serde_json::to_string(&message).expect("a message can be printed");
        // The list stands last.
        text.truncate(text.len() - "]}".len());
        for (place, resource) in self.resources.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            print(resource, &mut text);
        }
        text.push_str("]}");
        text
    }
}

impl<R: Serialize> Serialize for ListResponse<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Message::new(self, &self.resources).serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a, R> {
    schemas: [&'static str; 1],
    total_results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_index: Option<usize>,
    // What came, not what was asked for: Okta compares it.
    items_per_page: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    #[serde(rename = "Resources")]
    resources: &'a [R],
}

impl<'a, R> Message<'a, R> {
    fn new<T>(list: &'a ListResponse<T>, resources: &'a [R]) -> Message<'a, R> {
        Message {
            schemas: [LIST_RESPONSE_SCHEMA],
            total_results: list.total_results,
            start_index: list.start_index,
            items_per_page: list.resources.len(),
            next_cursor: list.next_cursor.as_deref(),
            resources,
        }
    }
}
