//! SCIM over HTTP: `/Users`, `/Groups` and the documents about them (RFC 7644).
//!
//! A base URL comes in two styles: one per directory (`/scim/v2/dir-…`), and one that all share
//! (`/scim/v2`), where the token says whose it is. Both are answered alike.

mod answer;
mod bulk;
mod catalogue;
mod condition;
mod discovery;
mod explain;
mod groups;
mod list;
mod represent;
mod users;

use std::sync::Arc;

use ::scim::admit::{Admitted, admit_replacement};
use ::scim::dialect::{Quirk, Quirks};
use ::scim::patch::Patch;
use ::scim::project::Projection;
use ::scim::{Error, Kind, Preset, Resource, ResourceType};
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use directory::{CatalogueKind, Condition, DirectoryId, ResourceId};
use serde_json::Value;
use store::DirectoryStore;

use crate::body::{self, Unread};
use crate::error::{self, Refusal};
use crate::scim::answer::Answer;
pub(crate) use crate::scim::condition::tags_in;
pub(crate) use crate::scim::explain::Explanation;
pub(crate) use crate::scim::represent::{Represent, entity_tag};
use crate::taken::{Glimpse, Rerun};
use crate::{Counter, RequestId, caller};

/// One request, recognised and taken apart.
pub(crate) struct Call {
    counter: Arc<Counter>,
    request_id: RequestId,
    store: DirectoryStore,
    /// The directory's own base URL, below which all locations are.
    base: String,
    query: Query,
    /// What is asked of the version of what is to be read or changed.
    condition: Condition,
    /// Whether nobody reads the resource in the answer, so that it is not made: what is read for it
    /// is a part of the work.
    is_brief: bool,
    /// What was straightened so far.
    quirks: Quirks,
    /// Members of a group that nobody knows, as far as they are named to people.
    unknown_members: Vec<String>,
}

/// The parameters of an address, decoded.
#[derive(Clone, Debug, Default)]
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: Option<&str>) -> Query {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Query(pairs.into_owned().collect())
    }

    /// The value of a parameter, whose name is read in any case.
    fn parameter(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        pair.map(|(_, value)| value.as_str())
    }
}

/// What a path names.
enum Target {
    /// Users and groups together (RFC 7644 §3.4.2.1).
    Root,
    Users,
    User(String),
    Groups,
    Group(String),
    /// Roles or entitlements.
    Catalogue(CatalogueKind),
    Entry(CatalogueKind, String),
    Bulk,
    SearchUsers,
    SearchGroups,
    Search,
    ServiceProviderConfig,
    ResourceTypes,
    ResourceType(String),
    Schemas,
    Schema(String),
    /// A feature of the RFC that this server does not offer.
    Unsupported(&'static str),
    Unknown,
}

/// Serves every path below the SCIM path, with every method, and explains what was asked for.
pub(crate) async fn handle(
    counter: Arc<Counter>,
    request_id: RequestId,
    request: Request,
) -> (Response, Option<Explanation>) {
    let accept = answer::MediaType::preferred(request.headers());
    let (named, target) = read_path(below_scim(&counter, request.uri().path()));
    let query = Query::parse(request.uri().query());
    let mut explanation = Explanation::of(request.method(), &target, &query);
    let (recorded, method) = (Arc::clone(&counter), request.method().clone());
    let outcome = serve(counter, request_id, request, named, target, query, &mut explanation).await;
    let response = match outcome {
        Ok(answer) => answer.into_response(accept),
        Err(refusal) => {
            tracing::debug!(%request_id, status = refusal.status(), "refused {request_id}");
            refusal.answer(request_id)
        }
    };
    if let Some(id) = explanation.directory_id {
        let is_change = !matches!(method, Method::GET | Method::HEAD);
        recorded.access.note_contact(id, response.status().as_u16(), is_change);
    }
    (response, Some(explanation))
}

/// Serves what no route has, where it means SCIM: a base URL without its version, which is that of
/// the newest one, and one of another version, which is refused (RFC 7644 §3.13).
pub(crate) async fn handle_unversioned(
    State(counter): State<Arc<Counter>>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    let below = counter.settings.path_without_version().and_then(|it| path.strip_prefix(it));
    let Some(below) = below.filter(|below| below.starts_with('/')) else {
        return error::unknown_path(request_id, &request);
    };
    let first = below.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    if is_version(first) {
        let detail = format!(
            "this server speaks version 2 of SCIM and not `{}`. Use the base URL that was given, \
             with `v2`",
            shortened(first)
        );
        return Refusal::from(Error::bad(Kind::InvalidVers, detail)).answer(request_id);
    }
    if matches!(read_path(below).1, Target::Unknown) {
        return error::unknown_path(request_id, &request);
    }
    let (mut response, explanation) = handle(counter, request_id, request).await;
    // For whoever tells of requests when they are answered.
    if let Some(explanation) = explanation {
        response.extensions_mut().insert(explanation);
    }
    response
}

/// `v1`, `v2.1`.
fn is_version(part: &str) -> bool {
    let Some(number) = part.strip_prefix(['v', 'V']) else { return false };
    number.starts_with(|first: char| first.is_ascii_digit())
        && number.chars().all(|it| it.is_ascii_digit() || it == '.')
}

async fn serve(
    counter: Arc<Counter>,
    request_id: RequestId,
    request: Request,
    named: Option<DirectoryId>,
    target: Target,
    query: Query,
    explanation: &mut Explanation,
) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();

    // What the server can do is told to anybody: a client has to know how to authenticate before
    // it can (RFC 7643 §5). Everything else is looked at only after the credential, so that
    // nobody without one can tell what exists.
    let is_public = matches!(target, Target::ServiceProviderConfig);
    if is_public
        && matches!(parts.method, Method::GET | Method::HEAD)
        && !parts.headers.contains_key(header::AUTHORIZATION)
    {
        return Ok(discovery::service_provider_config(&counter.settings.shared_base_url()));
    }
    explanation.named = named;
    let store = caller::directory(&counter, &parts, named, explanation).await?;
    serve_opened(counter, request_id, store, parts, body, target, query, explanation).await
}

/// Carries a request out once more, with a store that somebody else has opened; says how it was
/// answered. It is taken down as any other.
pub(crate) async fn rerun(
    counter: &Arc<Counter>,
    request_id: directory::RequestId,
    store: DirectoryStore,
    request: Request,
    rerun: Rerun,
) -> (StatusCode, Bytes) {
    let glimpse = Glimpse::of(counter, &request);
    let (_, target) = read_path(below_scim(counter, request.uri().path()));
    let query = Query::parse(request.uri().query());
    let mut explanation = Explanation::of(request.method(), &target, &query);
    explanation.opened = Some((store.id(), rerun.by));
    let (id, (parts, body)) = (RequestId(request_id), request.into_parts());
    let serving =
        serve_opened(Arc::clone(counter), id, store, parts, body, target, query, &mut explanation);
    let response = match serving.await {
        Ok(answer) => answer.into_response(answer::MediaType::ScimJson),
        Err(refusal) => refusal.answer(id),
    };
    let response = glimpse.note(counter, request_id, explanation, response, Some(rerun)).await;
    let (parts, body) = response.into_parts();
    let body =
        http_body_util::BodyExt::collect(body).await.map(http_body_util::Collected::to_bytes);
    (parts.status, body.unwrap_or_default())
}

/// Serves a request whose directory is open.
#[expect(clippy::too_many_arguments, reason = "they are the parts of one request")]
async fn serve_opened(
    counter: Arc<Counter>,
    request_id: RequestId,
    store: DirectoryStore,
    parts: Parts,
    body: Body,
    target: Target,
    query: Query,
    explanation: &mut Explanation,
) -> Result<Answer, Refusal> {
    let store = store.in_request(request_id.0);
    explanation.directory_id = Some(store.id());

    let allowed = target.methods();
    if let Target::Unsupported(what) = target {
        return Err(Error::new(501, format!("{what} is not supported by this server")).into());
    }
    if matches!(target, Target::Unknown) {
        return Err(unknown_target(below_scim(&counter, parts.uri.path())));
    }
    if parts.method == Method::OPTIONS {
        return Ok(Answer::empty(StatusCode::NO_CONTENT).with_header(header::ALLOW, allowed));
    }
    if target.is_changed_by(&parts.method) {
        store.check_may_write()?;
    }
    let base = counter.settings.directory_base_url(store.id());
    let condition = condition::of(&parts.headers);
    let mut quirks = Quirks::new();
    if parts.uri.query().is_some_and(|query| query.is_empty() || query.ends_with('&')) {
        quirks.note(Quirk::QueryUnfinished);
    }
    let mut call = Call {
        counter,
        request_id,
        store,
        base,
        query,
        condition,
        is_brief: false,
        quirks,
        unknown_members: Vec::new(),
    };
    let incoming = Incoming::Body(&parts.headers, body, &mut explanation.body);
    let outcome = carry_out(&mut call, &parts.method, target, incoming).await;
    // What was straightened is told and counted whether or not it was of any use.
    call.store.note_quirks(&call.quirks);
    explanation.quirks = call.quirks;
    explanation.unknown_members = call.unknown_members;
    outcome
}

async fn carry_out(
    call: &mut Call,
    method: &Method,
    target: Target,
    incoming: Incoming<'_>,
) -> Result<Answer, Refusal> {
    let allowed = target.methods();
    // A HEAD is a GET whose body the server leaves out. What takes much to carry out stands in a box,
    // so that what is asked most, and takes little, is not moved about with room for all of it.
    match (method, target) {
        (&Method::GET | &Method::HEAD, Target::Root) => Box::pin(list::list_all(call, None)).await,
        (&Method::GET | &Method::HEAD, Target::Users) => Box::pin(users::list(call, None)).await,
        (&Method::POST, Target::SearchUsers) => Box::pin(users::list(call, Some(incoming))).await,
        (&Method::POST, Target::SearchGroups) => Box::pin(groups::list(call, Some(incoming))).await,
        (&Method::POST, Target::Search) => Box::pin(list::list_all(call, Some(incoming))).await,
        (&Method::POST, Target::Users) => Box::pin(users::create(call, incoming)).await,
        (&Method::GET | &Method::HEAD, Target::User(id)) => users::get(call, &id).await,
        (&Method::PUT, Target::User(id)) => Box::pin(users::replace(call, &id, incoming)).await,
        (&Method::PATCH, Target::User(id)) => Box::pin(users::patch(call, &id, incoming)).await,
        (&Method::DELETE, Target::User(id)) => Box::pin(users::delete(call, &id)).await,
        (&Method::GET | &Method::HEAD, Target::Groups) => Box::pin(groups::list(call, None)).await,
        (&Method::POST, Target::Groups) => Box::pin(groups::create(call, incoming)).await,
        (&Method::GET | &Method::HEAD, Target::Group(id)) => Box::pin(groups::get(call, &id)).await,
        (&Method::PUT, Target::Group(id)) => Box::pin(groups::replace(call, &id, incoming)).await,
        (&Method::PATCH, Target::Group(id)) => Box::pin(groups::patch(call, &id, incoming)).await,
        (&Method::DELETE, Target::Group(id)) => Box::pin(groups::delete(call, &id)).await,
        (&Method::GET | &Method::HEAD, Target::Catalogue(kind)) => {
            Box::pin(catalogue::list(call, kind)).await
        }
        (&Method::GET | &Method::HEAD, Target::Entry(kind, id)) => {
            Box::pin(catalogue::get(call, kind, &id)).await
        }
        (&Method::POST, Target::Bulk) => Box::pin(bulk::carry_out(call, incoming)).await,
        (&Method::GET | &Method::HEAD, Target::ServiceProviderConfig) => {
            Ok(discovery::service_provider_config(&call.base))
        }
        (&Method::GET | &Method::HEAD, Target::ResourceTypes) => {
            Box::pin(discovery::resource_types(call)).await
        }
        (&Method::GET | &Method::HEAD, Target::ResourceType(id)) => {
            Box::pin(discovery::resource_type(call, &id)).await
        }
        (&Method::GET | &Method::HEAD, Target::Schemas) => Box::pin(discovery::schemas(call)).await,
        (&Method::GET | &Method::HEAD, Target::Schema(urn)) => {
            Box::pin(discovery::schema(call, &urn)).await
        }
        (method, _) => {
            let detail = format!(
                "`{method}` cannot be used with this address; it knows {allowed}. The base URL may \
                 be wrong"
            );
            Err(Refusal::from(Error::new(405, detail))
                .with_header(header::ALLOW, allowed.to_owned()))
        }
    }
}

/// What of a path stands below the SCIM path, with its version or without.
fn below_scim<'p>(counter: &Counter, path: &'p str) -> &'p str {
    path.strip_prefix(counter.settings.scim_path())
        .or_else(|| path.strip_prefix(counter.settings.path_without_version()?))
        .unwrap_or_default()
}

/// The parts of a path, and what it names.
type Place = (&'static [&'static str], fn(String) -> Target);

/// Every place below a base URL, and what it names; the last part of a path is what stands for `{…}`.
/// The first that fits is meant, and there is no other way to one: tests are made of this, too.
const PLACES: &[Place] = &[
    (&[], |_| Target::Root),
    (&["Users"], |_| Target::Users),
    (&["Users", ".search"], |_| Target::SearchUsers),
    (&["Users", "{user}"], Target::User),
    (&["Groups"], |_| Target::Groups),
    (&["Groups", ".search"], |_| Target::SearchGroups),
    (&["Groups", "{group}"], Target::Group),
    (&[".search"], |_| Target::Search),
    (&["Bulk"], |_| Target::Bulk),
    (&["Roles"], |_| Target::Catalogue(CatalogueKind::Role)),
    (&["Roles", "{id}"], |id| Target::Entry(CatalogueKind::Role, id)),
    (&["Entitlements"], |_| Target::Catalogue(CatalogueKind::Entitlement)),
    (&["Entitlements", "{id}"], |id| Target::Entry(CatalogueKind::Entitlement, id)),
    (&["ServiceProviderConfig"], |_| Target::ServiceProviderConfig),
    (&["ResourceTypes"], |_| Target::ResourceTypes),
    (&["ResourceTypes", "{type}"], Target::ResourceType),
    (&["Schemas"], |_| Target::Schemas),
    (&["Schemas", "{urn}"], Target::Schema),
    (&["Me", "{rest..}"], |_| Target::Unsupported(ME)),
];

const ME: &str = "the alias `/Me`, which needs a token of a person and not of a directory,";

/// Whether the parts of a path fit a place. `{rest..}` is any number of parts, also none.
fn is_at(pattern: &[&str], parts: &[&str]) -> bool {
    let (pattern, is_open) = match pattern {
        [before @ .., "{rest..}"] => (before, true),
        _ => (pattern, false),
    };
    let is_long_enough =
        if is_open { parts.len() >= pattern.len() } else { parts.len() == pattern.len() };
    is_long_enough && pattern.iter().zip(parts).all(|(it, part)| it == part || it.starts_with('{'))
}

/// Every place of SCIM below a base URL, and the methods that it knows: `/Users/{user}` and
/// `GET, HEAD, …`.
pub fn places() -> impl Iterator<Item = (String, &'static str)> {
    PLACES.iter().map(|(pattern, target)| {
        let path = pattern.iter().flat_map(|part| ["/", *part]).collect();
        (path, target(String::new()).methods())
    })
}

/// Reads a path below the SCIM path. Empty parts are skipped: base URLs are typed with a slash at
/// the end, and clients add another.
fn read_path(rest: &str) -> (Option<DirectoryId>, Target) {
    let parts: Option<Vec<String>> =
        rest.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let Some(parts) = parts else { return (None, Target::Unknown) };
    let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let named = parts.first().and_then(|first| first.parse().ok());
    if named.is_some() {
        parts.remove(0);
    }
    let found = PLACES.iter().find(|(pattern, _)| is_at(pattern, &parts));
    let target = match found {
        Some(_) if is_doubled(&parts) => Target::Unknown,
        Some((_, target)) => target(parts.last().copied().unwrap_or_default().to_owned()),
        None => Target::Unknown,
    };
    (named, target)
}

/// Whether the base URL was entered with a part that providers add by themselves: `/Users/Users`. Nobody
/// has such an id.
fn is_doubled(parts: &[&str]) -> bool {
    const ADDED: [&str; 5] =
        ["Users", "Groups", "ServiceProviderConfig", "ResourceTypes", "Schemas"];

    matches!(parts, ["Users" | "Groups", id] if ADDED.iter().any(|it| it.eq_ignore_ascii_case(id)))
}

/// A part of a path; `None` where it is not UTF-8.
fn decoded(part: &str) -> Option<String> {
    percent_encoding::percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn unknown_target(rest: &str) -> Refusal {
    let rest = cut(rest, PATH_SHOWN_MAX);
    let mut parts: Vec<_> = rest.trim_matches('/').split('/').collect();
    if parts[0].parse::<DirectoryId>().is_ok() {
        parts.remove(0);
    }
    if is_doubled(&parts) {
        let detail = format!(
            "the base URL ends in `/{}`, which the identity provider adds by itself. Enter the base URL \
             as it was given",
            parts[0]
        );
        return Error::new(404, detail).into();
    }
    let detail = format!(
        "nothing is served at `{rest}` below the base URL. It knows `/Users`, `/Groups`, \
         `/.search`, `/Bulk`, `/Roles`, `/Entitlements`, `/ServiceProviderConfig`, \
         `/ResourceTypes` and `/Schemas`, spelled so; compare the base URL with the one that was \
         given"
    );
    Error::new(404, detail).into()
}

impl Target {
    /// Whether a request with this method is there to change something. Before the body is read:
    /// whoever may not is not told what is wrong with it.
    fn is_changed_by(&self, method: &Method) -> bool {
        let is_search = matches!(self, Target::SearchUsers | Target::SearchGroups | Target::Search);
        let is_known = self.methods().split(", ").any(|known| known == method.as_str());
        is_known
            && !is_search
            && matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
    }

    /// For `Allow`.
    fn methods(&self) -> &'static str {
        match self {
            Target::Users | Target::Groups => "GET, HEAD, POST, OPTIONS",
            Target::Bulk | Target::SearchUsers | Target::SearchGroups | Target::Search => {
                "POST, OPTIONS"
            }
            Target::User(_) | Target::Group(_) => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}

impl Call {
    /// Reads a PUT, and what of its outcome is to be answered.
    async fn read_replacement(
        &mut self,
        incoming: Incoming<'_>,
        resource_type: &ResourceType,
        bytes_max: usize,
    ) -> Result<(Arc<Projection>, Admitted), Refusal> {
        let projection = self.projection(resource_type)?;
        let body = incoming.json(bytes_max).await?;
        let admitted = admit_replacement(body, resource_type, self.preset(), &mut self.quirks)?;
        Ok((with_sent(projection, in_resource(&admitted.resource)), admitted))
    }

    /// Reads a PATCH of the resource that the address names, and what of its outcome is to be
    /// answered.
    async fn read_patch(
        &mut self,
        incoming: Incoming<'_>,
        resource_type: &ResourceType,
        named: &str,
        bytes_max: usize,
    ) -> Result<(Arc<Projection>, Patch), Refusal> {
        let projection = self.projection(resource_type)?;
        let body = incoming.json(bytes_max).await?;
        let patch = Patch::parse(body, resource_type, self.preset(), &mut self.quirks)?;
        patch.check_id(named)?;
        Ok((with_sent(projection, |urn, name| patch.names(Some(urn), name)), patch))
    }

    /// The answer to who changed one resource.
    fn written(
        &self,
        status: StatusCode,
        resource_type: &ResourceType,
        projection: &Projection,
        record: &impl Represent,
    ) -> Answer {
        if self.is_brief {
            return Answer::empty(status).with_header(header::ETAG, record.entity_tag());
        }
        self.resource(status, resource_type, projection, record)
    }

    /// What a user of the directory is made of.
    fn user_type(&self) -> Arc<ResourceType> {
        Arc::clone(self.store.types().user())
    }

    /// What a group of the directory is made of.
    fn group_type(&self) -> Arc<ResourceType> {
        Arc::clone(self.store.types().group())
    }

    fn preset(&self) -> Preset {
        self.store.settings().preset.into()
    }

    /// The value of a parameter, whose name is read in any case.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.parameter(name)
    }
}

/// What is answered to who sent these attributes of extensions.
fn with_sent(
    projection: Arc<Projection>,
    was_sent: impl Fn(&str, &str) -> bool,
) -> Arc<Projection> {
    if !projection.depends_on_sent() {
        return projection;
    }
    Arc::new(Arc::unwrap_or_clone(projection).with_sent(was_sent))
}

/// Whether a body had a value of an attribute of an extension.
fn in_resource(resource: &Resource) -> impl Fn(&str, &str) -> bool {
    |urn, name| resource.get(urn).is_some_and(|values| values.get(name).is_some())
}

/// For who answers without what could not be read again after a change was kept.
fn note_unread(call: &Call, error: &store::Error) {
    let request_id = call.request_id;
    let shown = error as &dyn std::error::Error;
    // Nobody need look where a group of many is changed while many such are read.
    if matches!(error, store::Error::Crowded) {
        tracing::debug!(
            %request_id,
            error = shown,
            "a change was kept, and is answered without what there was no room to read after it",
        );
        return;
    }
    tracing::error!(
        %request_id,
        error = shown,
        "a change was kept, and is answered without what could not be read after it",
    );
}

/// The id in a path. What is not an id of ours is the id of nothing.
fn user_id(id: &str) -> Result<ResourceId, Refusal> {
    ResourceId::parse(id)
        .ok_or_else(|| directory::Rejection::UnknownUser(shortened(id).to_owned()).into())
}

fn group_id(id: &str) -> Result<ResourceId, Refusal> {
    ResourceId::parse(id)
        .ok_or_else(|| directory::Rejection::UnknownGroup(shortened(id).to_owned()).into())
}

/// Enough of what a stranger sent to recognise it.
pub(crate) fn shortened(text: &str) -> &str {
    cut(text, 64)
}

/// Characters of a path that an error repeats: a directory, an endpoint, an id and something.
pub(crate) const PATH_SHOWN_MAX: usize = 160;

/// The first characters of a text.
pub(crate) fn cut(text: &str, characters_max: usize) -> &str {
    let end = text.char_indices().nth(characters_max).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// What a request brings.
enum Incoming<'a> {
    /// A body that has not been read yet, what is said of it, and where a copy is left for the request
    /// log.
    Body(&'a HeaderMap, Body, &'a mut Option<Bytes>),
    /// The data of a bulk operation, read with its request and limited with it.
    Data(Value),
}

impl Incoming<'_> {
    /// Reads the body as JSON.
    async fn json(self, bytes_max: usize) -> Result<Value, Refusal> {
        let (headers, body, seen) = match self {
            Incoming::Body(headers, body, seen) => (headers, body, seen),
            Incoming::Data(data) => return Ok(data),
        };
        check_content_type(headers)?;
        check_content_encoding(headers)?;
        let too_large = || {
            let detail = format!(
                "the request has more than {bytes_max} bytes, which is as much as is read at \
                 once. Send less, or ask the app's team to raise the limit"
            );
            Refusal::from(Error::new(413, detail))
        };
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced: Option<usize> = announced.and_then(|it| it.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(too_large());
        }
        match body::read(body, bytes_max).await {
            Ok(bytes) => {
                let json = ::scim::json::parse(&bytes);
                *seen = Some(bytes);
                Ok(json?)
            }
            Err(Unread::TooLarge) => Err(too_large()),
            Err(Unread::TooSlow) => {
                let detail = "the request did not arrive whole in time. Send it again";
                Err(Error::new(408, detail).into())
            }
            Err(Unread::Broken) => {
                let detail = "the request broke off before its end. Send it again";
                Err(Error::new(400, detail).into())
            }
        }
    }
}

/// JSON under either name and with any parameters (RFC 7644 §3.8); a client that says nothing
/// means JSON too.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    let is_json = ["application/scim+json", "application/json"]
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known));
    if is_json || media_type.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "a body of type `{}` cannot be read. Send `application/scim+json`",
        shortened(media_type)
    );
    Err(Refusal::from(Error::new(415, detail))
        .with_header(header::ACCEPT, "application/scim+json, application/json".to_owned()))
}

/// Compressed bodies are not taken: what they grow to could not be known beforehand.
fn check_content_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    if encodings.iter().all(|it| it.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "a compressed body cannot be read. Send it as it is, without `Content-Encoding`";
    Err(Refusal::from(Error::new(415, detail))
        .with_header(header::ACCEPT_ENCODING, "identity".to_owned()))
}
