//! Many operations in one request (RFC 7644 §3.7).
//!
//! [`BulkRequest::parse`] reads the message. What is wrong with one operation is the failure of
//! that operation and of no other. [`BulkRequest::steps`] says in which order they are carried out,
//! so that what refers to a new resource by its `bulkId` comes after it, and
//! [`Operation::resolve`] puts the id in the place of the reference when there is one.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::admit::kind_of;
use crate::dialect::{Quirk, Quirks};
use crate::error::Error;
use crate::group::MEMBERS;
use crate::limit::BULK_OPERATIONS_MAX;
use crate::patch::PATCH_OP_SCHEMA;
use crate::path::excerpt;
use crate::preset::Preset;

/// The URN of a request of many operations.
pub const BULK_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// The URN of its answer.
pub const BULK_RESPONSE_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// What stands before a `bulkId` where it is used instead of an id (RFC 7644 §3.7.2).
const PREFIX: &str = "bulkId:";

/// Many operations, understood as far as they can be.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRequest {
    /// `failOnErrors`: with so many failures nothing more is begun. At least 1.
    pub failures_max: Option<usize>,
    /// In the order of the request.
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The method as it is answered: one of the four in upper case, or what was sent instead.
    pub method: Option<String>,
    /// The client's name for the operation, or for the resource that it creates.
    pub bulk_id: Option<String>,
    /// The condition on the version, as in `If-Match`.
    pub version: Option<String>,
    /// What it names, where that could be understood. It always could where there is an act.
    pub target: Option<Target>,
    /// What to do, or why that cannot be known.
    pub act: Result<Act, Error>,
    references: BTreeSet<String>,
}

/// What an operation names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `/Users` or `/Groups`.
    pub endpoint: &'static str,
    /// Which of them. There is one in every act but [`Act::Create`].
    pub id: Option<Id>,
}

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// One that exists.
    Known(String),
    /// One that an operation of the same request creates.
    New(String),
}

/// What to do, each with the body of the single request.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// POST.
    Create(Value),
    /// PUT.
    Replace(Value),
    /// PATCH.
    Patch(Value),
    /// DELETE.
    Delete,
}

/// What to do next: an operation by its place in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The operation as it is.
    Whole(usize),
    /// The creation without those of its references that nobody can know yet, because they lead
    /// back to it: see [`Operation::take_references_to`].
    Begin(usize),
    /// What the creation left out.
    Complete(usize),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BulkResponse {
    schemas: [&'static str; 1],
    /// What became of each operation, in the order of the request. Those that were not begun are
    /// left out.
    #[serde(rename = "Operations")]
    pub operations: Vec<OperationResponse>,
}

/// What became of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationResponse {
    /// Where the resource is; nowhere, if it could not be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The client's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_id: Option<String>,
    /// The entity tag of the resource as it is afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The HTTP status. RFC 7644 prints it as a string (§3.7.3) and as an object (§3.7.2); clients
    /// read the string.
    pub status: String,
    /// The body, always with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
}

impl BulkResponse {
    /// The answer of these.
    pub fn new(operations: Vec<OperationResponse>) -> BulkResponse {
        BulkResponse { schemas: [BULK_RESPONSE_SCHEMA], operations }
    }
}

impl BulkRequest {
    /// Reads the message. `endpoints` are those that can be named, such as `/Users`.
    ///
    /// # Errors
    ///
    /// `invalidSyntax` when it is no bulk request; `invalidValue` when `failOnErrors` is no number
    /// of failures; 413 above [`BULK_OPERATIONS_MAX`].
    ///
    /// ```
    /// use scim::bulk::{BulkRequest, Step};
    /// use scim::{Preset, dialect::Quirks};
    /// use serde_json::json;
    ///
    /// let body = json!({
    ///     "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
    ///     "Operations": [
    ///         { "method": "POST", "path": "/Groups", "bulkId": "guides",
    ///           "data": { "displayName": "Guides", "members": [{ "value": "bulkId:ana" }] } },
    ///         { "method": "POST", "path": "/Users", "bulkId": "ana",
    ///           "data": { "userName": "ana" } },
    ///     ],
    /// });
    /// let endpoints = ["/Users", "/Groups"];
    /// let request = BulkRequest::parse(body, &endpoints, Preset::Lenient, &mut Quirks::new())?;
    /// assert_eq!(request.steps(), [Step::Whole(1), Step::Whole(0)]);
    /// # Ok::<(), scim::Error>(())
    /// ```
    pub fn parse(
        body: Value,
        endpoints: &[&'static str],
        preset: Preset,
        quirks: &mut Quirks,
    ) -> Result<BulkRequest, Error> {
        let Value::Object(mut body) = body else {
            return Err(Error::invalid_syntax(format!(
                "the body of a bulk request must be an object with `Operations`, and is {}",
                kind_of(&body)
            )));
        };
        check_schemas(take(&mut body, "schemas").as_ref(), preset, quirks)?;
        let failures_max = match take(&mut body, "failOnErrors") {
            None => None,
            // RFC 7644 §3.7 does not say what 0 means. Who accepts no failure stops at the first.
            Some(value) => {
                Some(value.as_u64().and_then(|it| it.max(1).try_into().ok()).ok_or_else(|| {
                    Error::invalid_value(
                        "`failOnErrors` must be the number of failures after which to stop, such \
                         as 1; leave it out to have every operation tried",
                    )
                })?)
            }
        };
        let operations = match take(&mut body, "Operations") {
            Some(Value::Array(operations)) => operations,
            other => {
                return Err(Error::invalid_syntax(format!(
                    "`Operations` must be a list of operations, and is {}",
                    other.as_ref().map_or("missing", kind_of)
                )));
            }
        };
        if operations.len() > BULK_OPERATIONS_MAX {
            return Err(Error::new(
                413,
                format!(
                    "the bulk request has {} operations and may have {BULK_OPERATIONS_MAX} \
                     (`maxOperations`); send it in several requests",
                    operations.len()
                ),
            ));
        }
        let mut operations: Vec<_> =
            operations.into_iter().map(|it| Operation::parse(it, endpoints)).collect();
        refuse_repeated(&mut operations);
        refuse_own_members(&mut operations);
        Ok(BulkRequest { failures_max, operations })
    }

    /// The operations that create something, by its `bulkId`, even if they cannot.
    pub fn creators(&self) -> HashMap<String, usize> {
        let creators = creators(&self.operations).into_iter();
        creators.map(|(bulk_id, place)| (bulk_id.to_owned(), place)).collect()
    }

    /// In which order to carry the operations out: each once, either [`Step::Whole`] or
    /// [`Step::Begin`] and later [`Step::Complete`].
    ///
    /// It is that of the request but where a reference leads to a later creation, which then comes
    /// first. RFC 7644 §3.7: "the service provider MUST ensure that the client's intent is preserved
    /// and the same stateful result is achieved", so operations on one resource stay in their order.
    /// Where creations refer to each other in a circle, one of them begins without its references
    /// (RFC 7644 §3.7.1).
    pub fn steps(&self) -> Vec<Step> {
        Order::new(&self.operations).steps()
    }
}

impl Operation {
    fn parse(operation: Value, endpoints: &[&'static str]) -> Operation {
        let mut parsed = Operation {
            method: None,
            bulk_id: None,
            version: None,
            target: None,
            act: Err(Error::invalid_syntax("an operation must be an object with `method`")),
            references: BTreeSet::new(),
        };
        let Value::Object(mut operation) = operation else { return parsed };
        parsed.act = parsed.read(&mut operation, endpoints);
        if let Ok(act) = &mut parsed.act {
            let mut references = BTreeSet::new();
            let noted = act.each_reference(&mut |name| {
                references.insert(name.to_owned());
                Ok(None)
            });
            noted.expect("to take note does not fail");
            parsed.references = references;
        }
        parsed
    }

    /// Reads the members one by one, so that as much as possible is known of one that is refused.
    fn read(
        &mut self,
        operation: &mut Map<String, Value>,
        endpoints: &[&'static str],
    ) -> Result<Act, Error> {
        let bulk_id = text(operation, "bulkId");
        let method = text(operation, "method");
        let path = text(operation, "path");
        let version = text(operation, "version");
        self.bulk_id = bulk_id.clone().ok().flatten().filter(|id| !id.is_empty());
        if let Ok(Some(method)) = &method {
            // RFC 7644 §3.7 spells them in upper case; it is plain what others mean.
            self.method = Some(excerpt(&method.to_ascii_uppercase()));
        }
        self.target =
            path.as_ref().ok().and_then(|it| Target::parse(it.as_deref()?, endpoints).ok());
        bulk_id?;
        self.version = version?;
        let method = method?.ok_or_else(|| {
            Error::invalid_syntax(
                "an operation has no `method`; it must be `POST`, `PUT`, `PATCH` or `DELETE`",
            )
        })?;
        let path = path?.ok_or_else(|| {
            Error::invalid_value("an operation has no `path`; send one such as `/Users`")
        })?;
        let target = Target::parse(&path, endpoints)?;
        let mut data = || {
            take(operation, "data").ok_or_else(|| {
                Error::invalid_value(
                    "the operation has no `data`; send what the body of the single request would be",
                )
            })
        };
        let act = match self.method.as_deref().unwrap_or_default() {
            "POST" => {
                if self.bulk_id.is_none() {
                    return Err(Error::invalid_value(
                        "a `POST` has no `bulkId`; give each a name of its own within the request",
                    ));
                }
                Act::Create(data()?)
            }
            "PUT" => Act::Replace(data()?),
            "PATCH" => Act::Patch(data()?),
            "DELETE" => Act::Delete,
            _ => {
                return Err(Error::new(
                    405,
                    format!(
                        "`{}` cannot be an operation of a bulk request; it knows `POST`, `PUT`, \
                         `PATCH` and `DELETE`",
                        excerpt(&method)
                    ),
                ));
            }
        };
        match (&act, &target.id) {
            (Act::Create(_), Some(_)) => Err(Error::new(
                405,
                format!("a `POST` creates; its `path` must be `{}` alone", target.endpoint),
            )),
            (Act::Replace(_) | Act::Patch(_) | Act::Delete, None) => Err(Error::new(
                405,
                format!(
                    "the operation needs to know which resource; its `path` must be `{}/` and an id",
                    target.endpoint
                ),
            )),
            _ => Ok(act),
        }
    }

    /// Whether it is to create something, even if it cannot.
    pub fn creates(&self) -> bool {
        self.method.as_deref() == Some("POST")
    }

    /// The `bulkId`s that its data and its path refer to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(String::as_str).chain(self.new_target())
    }

    /// The `bulkId` that its path refers to.
    fn new_target(&self) -> Option<&str> {
        match &self.target.as_ref()?.id {
            Some(Id::New(bulk_id)) => Some(bulk_id),
            _ => None,
        }
    }

    /// Puts ids in the place of references, in the data and in the path.
    ///
    /// A reference is a whole string, `"bulkId:ana"`, wherever it stands but in a `$ref`, which is
    /// for the server to say; or one in quotes inside of the path of a PATCH operation,
    /// `members[value eq "bulkId:ana"]`.
    ///
    /// # Errors
    ///
    /// The one that `find` has where there is no id.
    pub fn resolve(
        &mut self,
        mut find: impl FnMut(&str) -> Result<String, Error>,
    ) -> Result<(), Error> {
        if let Some(Target { id: Some(id), .. }) = &mut self.target
            && let Id::New(bulk_id) = id
        {
            *id = Id::Known(find(bulk_id)?);
        }
        match &mut self.act {
            Ok(act) => act.each_reference(&mut |bulk_id| find(bulk_id).map(Some)),
            Err(_) => Ok(()),
        }
    }

    /// Takes out of a creation what refers to these, and returns the operation that adds it again
    /// when the resource has the `id`: whole values of lists, or else whole attributes.
    #[must_use]
    pub fn take_references_to(&mut self, id: &str, is_open: impl Fn(&str) -> bool) -> Operation {
        let mut rest = Map::new();
        if let Ok(Act::Create(Value::Object(data))) = &mut self.act {
            rest = take_open(data, &is_open);
        }
        let patch = json!({
            "schemas": [PATCH_OP_SCHEMA],
            "Operations": [{ "op": "add", "value": rest }],
        });
        Operation {
            method: self.method.clone(),
            bulk_id: self.bulk_id.clone(),
            version: None,
            target: self
                .target
                .clone()
                .map(|target| Target { id: Some(Id::Known(id.to_owned())), ..target }),
            act: Ok(Act::Patch(patch)),
            references: self.references.iter().filter(|it| is_open(it)).cloned().collect(),
        }
    }
}

impl Target {
    fn parse(path: &str, endpoints: &[&'static str]) -> Result<Target, Error> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let (endpoint, id, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let known = endpoints.iter().find(|known| known.strip_prefix('/') == Some(endpoint));
        let (Some(endpoint), None) = (known, more) else {
            let known: Vec<_> = endpoints.iter().map(|it| format!("`{it}`")).collect();
            return Err(Error::new(
                404,
                format!(
                    "an operation cannot name `{}`. It can name {}, and what is directly below, \
                     without the base URL",
                    excerpt(path),
                    known.join(" and ")
                ),
            ));
        };
        let id = id.map(|id| match referred(id) {
            Some(bulk_id) => Id::New(bulk_id.to_owned()),
            None => Id::Known(id.to_owned()),
        });
        Ok(Target { endpoint, id })
    }
}

/// What to put in the place of a reference to this, if anything.
type Exchange<'a> = dyn FnMut(&str) -> Result<Option<String>, Error> + 'a;

impl Act {
    fn each_reference(&mut self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        match self {
            Act::Delete => Ok(()),
            Act::Create(data) | Act::Replace(data) => each_reference(data, exchange),
            Act::Patch(data) => each_reference_of_patch(data, exchange),
        }
    }
}

fn each_reference(value: &mut Value, exchange: &mut Exchange<'_>) -> Result<(), Error> {
    match value {
        Value::String(text) => {
            if let Some(bulk_id) = referred(text)
                && let Some(id) = exchange(bulk_id)?
            {
                *text = id;
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|it| each_reference(it, exchange)),
        Value::Object(object) => object
            .iter_mut()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("$ref"))
            .try_for_each(|(_, it)| each_reference(it, exchange)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// The same in a PATCH message, or in its bare list of operations: there, paths have filters.
fn each_reference_of_patch(data: &mut Value, exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let operations = match data {
        Value::Object(message) => message
            .iter_mut()
            .find(|(name, _)| name.eq_ignore_ascii_case("Operations"))
            .map(|(_, operations)| operations),
        list => Some(list),
    };
    let operations = match operations {
        Some(Value::Array(operations)) => operations.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => return Ok(()),
    };
    for operation in operations {
        let Value::Object(operation) = operation else { continue };
        for (name, value) in operation {
            match value {
                Value::String(path) if name.eq_ignore_ascii_case("path") => {
                    *path = in_filters(path, exchange)?;
                }
                value => each_reference(value, exchange)?,
            }
        }
    }
    Ok(())
}

/// A path with its references exchanged.
fn in_filters(path: &str, exchange: &mut Exchange<'_>) -> Result<String, Error> {
    let mut whole = String::with_capacity(path.len());
    // Between quotes is every second part.
    for (place, part) in path.split('"').enumerate() {
        if place > 0 {
            whole.push('"');
        }
        match referred(part).filter(|_| place % 2 == 1) {
            Some(bulk_id) => whole.push_str(exchange(bulk_id)?.as_deref().unwrap_or(part)),
            None => whole.push_str(part),
        }
    }
    Ok(whole)
}

/// The `bulkId` that a string refers to.
fn referred(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX).filter(|bulk_id| !bulk_id.is_empty())
}

/// Takes out what refers to something open: values of lists, or attributes, one level down in
/// extensions.
fn take_open(data: &mut Map<String, Value>, is_open: &impl Fn(&str) -> bool) -> Map<String, Value> {
    let mut taken = Map::new();
    data.retain(|name, value| match value {
        Value::Array(values) => {
            let open: Vec<_> = values.extract_if(.., |it| refers(it, is_open)).collect();
            if !open.is_empty() {
                taken.insert(name.clone(), open.into());
            }
            true
        }
        Value::Object(extension) if name.contains(':') => {
            let open = take_open(extension, is_open);
            if !open.is_empty() {
                taken.insert(name.clone(), open.into());
            }
            !extension.is_empty()
        }
        value => {
            let is_taken = refers(value, is_open);
            if is_taken {
                taken.insert(name.clone(), value.take());
            }
            !is_taken
        }
    });
    taken
}

fn refers(value: &mut Value, is_open: &impl Fn(&str) -> bool) -> bool {
    let mut refers = false;
    let noted = each_reference(value, &mut |bulk_id| {
        refers |= is_open(bulk_id);
        Ok(None)
    });
    noted.expect("to take note does not fail");
    refers
}

/// A `bulkId` names one creation. Those after the first that has it are refused.
fn refuse_repeated(operations: &mut [Operation]) {
    let mut seen = BTreeSet::new();
    for operation in operations.iter_mut().filter(|it| it.creates()) {
        let Some(bulk_id) = &operation.bulk_id else { continue };
        if !seen.insert(bulk_id.clone()) {
            operation.act = Err(Error::invalid_value(format!(
                "the `bulkId` `{}` is used by an earlier `POST`; give each a name of its own \
                 within the request",
                excerpt(bulk_id)
            )));
            operation.references.clear();
        }
    }
}

/// A group that is to be its own member cannot be created so, and is not begun (RFC 7644 §3.7.1: a
/// circle that cannot be closed is 409). A user may be their own manager.
fn refuse_own_members(operations: &mut [Operation]) {
    for operation in operations {
        let (Some(bulk_id), Ok(Act::Create(data))) = (&operation.bulk_id, &operation.act) else {
            continue;
        };
        let is_group = operation.target.as_ref().is_some_and(|it| it.endpoint == "/Groups");
        if is_group && names_as_member(data, bulk_id) {
            operation.act = Err(Error::new(
                409,
                "a group cannot be a member of itself. Leave its own `bulkId` out of `members`",
            ));
            operation.references.clear();
        }
    }
}

fn names_as_member(data: &Value, bulk_id: &str) -> bool {
    fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
        let mut members = object.as_object()?.iter();
        members.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
    let members = match member(data, MEMBERS) {
        None => return false,
        Some(Value::Array(members)) => members.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut values = members.iter().filter_map(|it| member(it, "value").unwrap_or(it).as_str());
    values.any(|value| referred(value) == Some(bulk_id))
}

fn creators(operations: &[Operation]) -> HashMap<&str, usize> {
    let mut creators = HashMap::new();
    for (place, operation) in operations.iter().enumerate() {
        if let (true, Some(bulk_id)) = (operation.creates(), operation.bulk_id.as_deref()) {
            creators.entry(bulk_id).or_insert(place);
        }
    }
    creators
}

/// The order of operations, as far as it has been found.
struct Order<'a> {
    operations: &'a [Operation],
    /// For each operation, the creations that must have happened before it.
    creations: Vec<Vec<usize>>,
    /// For each operation, those that must be over and done with before it: what its path refers
    /// to, and the one before it that names the same resource.
    predecessors: Vec<Vec<usize>>,
    is_created: Vec<bool>,
    is_begun: Vec<bool>,
    is_finished: Vec<bool>,
}

impl<'a> Order<'a> {
    fn new(operations: &'a [Operation]) -> Order<'a> {
        let creators = creators(operations);
        let mut latest: HashMap<&Target, usize> = HashMap::new();
        let (mut creations, mut predecessors) = (Vec::new(), Vec::new());
        for (place, operation) in operations.iter().enumerate() {
            // The last one is looked at first, and taken away when it has happened.
            let references = operation.references.iter().rev();
            creations
                .push(references.filter_map(|it| creators.get(it.as_str()).copied()).collect());
            let mut before = Vec::new();
            if operation.act.is_ok() && !operation.creates() {
                before.extend(operation.new_target().and_then(|it| creators.get(it)).copied());
                if let Some(target) = &operation.target {
                    before.extend(latest.insert(target, place));
                }
            }
            predecessors.push(before);
        }
        let none = vec![false; operations.len()];
        Order {
            operations,
            creations,
            predecessors,
            is_created: none.clone(),
            is_begun: none.clone(),
            is_finished: none,
        }
    }

    fn steps(mut self) -> Vec<Step> {
        let count = self.operations.len();
        let mut steps = Vec::with_capacity(count);
        let mut first = 0;
        loop {
            while first < count && self.is_finished[first] {
                first += 1;
            }
            if first == count {
                return steps;
            }
            let next = (first..count).find(|place| self.is_ready(*place));
            let step = match next {
                Some(place) if self.is_begun[place] => Step::Complete(place),
                Some(place) => Step::Whole(place),
                None => Step::Begin(self.in_a_circle(first)),
            };
            match step {
                Step::Whole(place) | Step::Complete(place) => {
                    self.is_created[place] = true;
                    self.is_finished[place] = true;
                }
                Step::Begin(place) => {
                    self.is_created[place] = true;
                    self.is_begun[place] = true;
                }
            }
            steps.push(step);
        }
    }

    fn is_ready(&mut self, place: usize) -> bool {
        !self.is_finished[place]
            && self.next_creation(place).is_none()
            && self.predecessors[place].iter().all(|before| self.is_finished[*before])
    }

    /// A creation for which the operation has to wait.
    fn next_creation(&mut self, place: usize) -> Option<usize> {
        let creations = &mut self.creations[place];
        while creations.last().is_some_and(|creation| self.is_created[*creation]) {
            creations.pop();
        }
        creations.last().copied()
    }

    /// The first of some creations that wait for each other. Nothing is ready, so there are such:
    /// whatever waits, waits in the end for a creation, and creations wait for nothing else.
    fn in_a_circle(&mut self, first: usize) -> usize {
        let waiting = (first..self.operations.len()).find_map(|place| {
            if self.is_finished[place] { None } else { self.next_creation(place) }
        });
        let mut place = waiting.expect("something waits for a creation");
        let mut seen = BTreeSet::new();
        while seen.insert(place) {
            place = self.next_creation(place).expect("a creation that waits does so for another");
        }
        // It was met again, so it belongs to the circle: once around.
        let (start, mut least) = (place, place);
        loop {
            place = self.next_creation(place).expect("a circle goes on");
            if place == start {
                return least;
            }
            least = least.min(place);
        }
    }
}

fn check_schemas(
    schemas: Option<&Value>,
    preset: Preset,
    quirks: &mut Quirks,
) -> Result<(), Error> {
    let listed = schemas.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_bulk = |urn: &str| urn.eq_ignore_ascii_case(BULK_REQUEST_SCHEMA);
    if listed.iter().filter_map(Value::as_str).any(is_bulk) {
        return Ok(());
    }
    if preset == Preset::Strict {
        return Err(Error::invalid_syntax(format!(
            "`schemas` of a bulk request must list `{BULK_REQUEST_SCHEMA}`"
        )));
    }
    let is_missing = listed.is_empty();
    quirks.note(if is_missing { Quirk::SchemasMissing } else { Quirk::SchemasUnknown });
    Ok(())
}

/// A member by its name in any case; null is none (RFC 7643 §2.5).
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let found = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    object.swap_remove(&found).filter(|value| !value.is_null())
}

fn text(object: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match take(object, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::invalid_syntax(format!(
            "`{name}` of an operation must be a string, and is {}",
            kind_of(&other)
        ))),
    }
}
