//! A small SCIM server in memory: right by the RFCs, or wrong in one way that was chosen.
//!
//! It shows what the simulator expects, and the faults prove that it notices. It is a function from
//! request to answer: no clock, no network. It has the operations that Okta uses and no more:
//! users and groups with POST, GET, PUT, PATCH and DELETE, `eq` filters on one attribute, and paging.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scim::schema::builtin::{ENTERPRISE_USER, GROUP, USER};
use scim::{Error, Kind};
use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::wire::{Client, Method, NoAnswer, Request, Response, percent_decode};

/// Resources on a page when the client does not say, and at most.
const PAGE_MAX: usize = 1_000;

/// Resources of one kind: this is a server for tests.
const RESOURCES_MAX: usize = 100_000;

/// The URN of a list.
const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident,)+) => {
        /// One way to be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$fault,)+];
        }
    };
}

faults! {
    /// `startIndex` of a list is a string.
    StringStartIndex,
    /// Every error is an HTML page.
    HtmlErrors,
    /// A wrong token is answered with an HTML page.
    HtmlUnauthorized,
    /// Everything is answered with 200 and an HTML page, as a wrong URL often is.
    HtmlEverywhere,
    /// A deactivated user is answered with 404.
    InactiveNotReadable,
    /// A filter does not find deactivated users.
    InactiveNotFound,
    /// A user who is deactivated is removed.
    DeactivationRemoves,
    /// `count` is ignored: every page has all the rest.
    CountIgnored,
    /// A page has 50 resources at most.
    PageCap50,
    /// `userName` is kept in lower case.
    UserNameLowerCased,
    /// A group is created without the members sent with it.
    MembersLostOnPost,
    /// PATCH wants a path.
    PathlessPatchRefused,
    /// Adding a member twice makes it twice a member.
    AddDuplicatesMembers,
    /// Adding a member twice is refused.
    AddExistingRefused,
    /// Adding members drops those who were there.
    AddReplacesMembers,
    /// Removing one member removes all.
    RemoveEmptiesGroup,
    /// A placeholder password has to pass a password policy.
    PasswordPolicy,
    /// A PUT finds its own `userName` taken.
    LinkConflict,
    /// A creation is answered without a body.
    CreateWithoutBody,
    /// Ids are numbers.
    NumericIds,
    /// Two users get the same id.
    IdReused,
    /// A creation is answered with 200.
    CreateOk,
    /// A PUT is answered with 204.
    PutNoContent,
    /// Errors have no `detail`.
    ErrorWithoutDetail,
    /// Errors have no `status`.
    ErrorWithoutStatus,
    /// The password comes back.
    PasswordEchoed,
    /// `itemsPerPage` is what was asked for, not what is there.
    WrongItemsPerPage,
    /// Each page is cut from another order.
    UnstableOrder,
    /// The last resource of a full page is left out.
    RowLost,
    /// Each page starts one resource too early.
    OverlappingPages,
    /// `startIndex` is ignored.
    StartIndexIgnored,
    /// `totalResults` is the length of the page.
    TotalIsPageLength,
    /// `totalResults` counts more than there are.
    TotalTooHigh,
    /// A PUT gives the user another id.
    PutChangesId,
    /// A PUT of a group ignores its members.
    PutDropsMembers,
    /// Groups are answered without `members`.
    GroupWithoutMembers,
    /// `active` is ignored in PATCH and PUT.
    ActiveIgnored,
    /// `active` is answered as a string.
    ActiveAsText,
    /// PATCH is answered with 501.
    PatchNotImplemented,
    /// No answer has `schemas`.
    SchemasMissing,
    /// The content type is `text/plain`.
    PlainContentType,
    /// Listing groups takes 700 ms.
    SlowGroups,
    /// A DELETE is answered with 404.
    DeleteNotFound,
    /// A DELETE is answered with 200 and a body.
    DeleteWithBody,
    /// A DELETE does nothing.
    DeleteIgnored,
    /// An empty list has no `Resources`.
    ResourcesMissing,
    /// The names of a list's attributes are in lower case.
    LowerCaseList,
    /// A filter that matches nothing is answered with 404.
    EmptyIsNotFound,
    /// Filters are ignored.
    FilterIgnored,
    /// A filter gives each match twice.
    AmbiguousFilter,
    /// Any token opens the door.
    AnyTokenAccepted,
    /// `userName` need not be unique.
    DuplicateUserNames,
    /// Everything is answered with a redirect.
    Redirects,
    /// The first creation is answered with 429, and no `Retry-After`.
    RateLimitedWithoutWait,
    /// The first creation is answered with 429, and a date in `Retry-After`.
    RateLimitedWithDate,
    /// Writing a group takes 61 seconds.
    Stalls,
    /// Writing a group is answered with 500.
    GroupWritesFail,
    /// `name.familyName` is lost.
    FamilyNameLost,
    /// `title` is lost.
    TitleLost,
    /// `externalId` is lost.
    ExternalIdLost,
    /// E-mail addresses lose `primary`.
    PrimaryLost,
    /// Attributes cannot be cleared.
    ClearIgnored,
    /// A group cannot be renamed.
    RenameIgnored,
    /// A group's members cannot be replaced by none.
    EmptyMembersIgnored,
}

/// The server. See the [module](self).
#[derive(Clone, Debug)]
pub struct Reference {
    base_url: String,
    authorizations: Vec<String>,
    users: Vec<Map<String, Value>>,
    groups: Vec<Map<String, Value>>,
    ids: Chance,
    ids_given: u64,
    writes: i64,
    requests: u64,
    fault: Option<Fault>,
    was_limited: bool,
}

impl Reference {
    /// An empty server that says in `meta.location` that it is at this URL, and gives ids from
    /// this seed. Without an [`Reference::allow`] it lets everybody in.
    pub fn new(base_url: impl Into<String>, seed: u64) -> Reference {
        Reference {
            base_url: base_url.into(),
            authorizations: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            ids: Chance::new(seed),
            ids_given: 0,
            writes: 0,
            requests: 0,
            fault: None,
            was_limited: false,
        }
    }

    /// Lets in whoever sends this value of `Authorization`.
    #[must_use]
    pub fn allow(mut self, authorization: impl Into<String>) -> Reference {
        self.authorizations.push(authorization.into());
        self
    }

    /// Makes it wrong in one way.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Reference {
        self.fault = Some(fault);
        self
    }

    /// The users as they are kept, in order of creation.
    pub fn users(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.users.iter()
    }

    /// The groups as they are kept, in order of creation.
    pub fn groups(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.groups.iter()
    }

    /// Answers one request. The path is what follows the base URL.
    pub fn answer(&mut self, request: &Request) -> Response {
        self.requests += 1;
        if self.is(Fault::Redirects) {
            let mut response = Response::empty(301);
            response.headers.push(("Location".to_owned(), "https://login.example.com/".to_owned()));
            return response;
        }
        if self.is(Fault::HtmlEverywhere) {
            return html(200);
        }
        let response = match self.dispatch(request) {
            Ok(response) => response,
            Err(error) => Response::json(error.status(), &error.to_json()),
        };
        self.spoil(request, response)
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn dispatch(&mut self, request: &Request) -> Result<Response, Error> {
        let authorization = request.header("authorization").unwrap_or_default();
        if !self.authorizations.is_empty()
            && !self.authorizations.iter().any(|allowed| allowed == authorization)
            && !self.is(Fault::AnyTokenAccepted)
        {
            return Err(Error::new(
                401,
                "the token is not one of this directory; copy it again from the portal",
            ));
        }
        let mut segments = request.path().trim_matches('/').split('/');
        let kind = segments.next().unwrap_or_default();
        let id = segments.next().map(percent_decode);
        if segments.next().is_some() {
            return Err(Error::new(404, "there is nothing at this path"));
        }
        match (request.method, kind, id) {
            (Method::Get, "Users" | "Groups", None) => self.list(kind, request),
            (Method::Post, "Users", None) => self.create_user(&body(request)?),
            (Method::Post, "Groups", None) => self.create_group(&body(request)?),
            (method, "Users", Some(id)) => self.user(method, &id, request),
            (method, "Groups", Some(id)) => self.group(method, &id, request),
            (_, "Users" | "Groups", None) => Err(Error::new(405, "the method is not allowed here")),
            _ => Err(Error::new(404, "there is nothing at this path")),
        }
    }

    fn list(&mut self, kind: &str, request: &Request) -> Result<Response, Error> {
        let number = |name: &str, default: usize| match request.parameter(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<i64>()
                .map(|number| usize::try_from(number).unwrap_or(0))
                .map_err(|_| {
                    Error::invalid_value(format!("`{name}` must be a whole number, not `{text}`"))
                }),
        };
        let filter = match request.parameter("filter") {
            Some(_) if self.is(Fault::FilterIgnored) => None,
            Some(filter) => Some(parse_filter(&filter)?),
            None => None,
        };
        let mut start = number("startIndex", 1)?.max(1);
        let mut count = number("count", PAGE_MAX)?.min(PAGE_MAX);
        let mut matched: Vec<Value> = self
            .all(kind)
            .filter(|resource| {
                filter.as_ref().is_none_or(|(attribute, value)| matches(resource, attribute, value))
            })
            .filter(|resource| {
                filter.is_none()
                    || !self.is(Fault::InactiveNotFound)
                    || resource.get("active") != Some(&Value::Bool(false))
            })
            .map(|resource| self.shown(resource))
            .collect();
        if filter.is_some() && matched.is_empty() && self.is(Fault::EmptyIsNotFound) {
            return Err(Error::new(404, "nothing matches the filter"));
        }
        if filter.is_some() && self.is(Fault::AmbiguousFilter) {
            matched.extend(matched.clone());
        }
        if self.is(Fault::UnstableOrder) {
            let turn = usize::try_from(self.requests).unwrap_or_default();
            let length = matched.len().max(1);
            matched.rotate_left(turn * 7 % length);
        }
        match self.fault {
            Some(Fault::CountIgnored) => count = PAGE_MAX,
            Some(Fault::PageCap50) => count = count.min(50),
            Some(Fault::StartIndexIgnored) => start = 1,
            Some(Fault::OverlappingPages) if start > 1 => start -= 1,
            _ => {}
        }
        let mut total = matched.len();
        let mut page: Vec<Value> = matched.into_iter().skip(start - 1).take(count).collect();
        if self.is(Fault::RowLost) && page.len() > 50 {
            page.pop();
        }
        match self.fault {
            Some(Fault::TotalIsPageLength) => total = page.len(),
            Some(Fault::TotalTooHigh) => total += 100,
            _ => {}
        }
        let here = if self.is(Fault::WrongItemsPerPage) { count } else { page.len() };
        let start: Value = match self.fault {
            Some(Fault::StringStartIndex) => start.to_string().into(),
            // What was asked for is echoed, whatever was done.
            Some(Fault::OverlappingPages) if start > 1 => (start + 1).into(),
            _ => start.into(),
        };
        let mut list = json!({
            "schemas": [LIST_RESPONSE], "totalResults": total, "startIndex": start,
            "itemsPerPage": here, "Resources": page,
        });
        let members = list.as_object_mut().expect("a list is an object");
        if self.is(Fault::ResourcesMissing) && total == 0 {
            members.shift_remove("Resources");
        }
        if self.is(Fault::LowerCaseList) {
            *members = std::mem::take(members)
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
        }
        let mut response = Response::json(200, &list);
        if self.is(Fault::SlowGroups) && kind == "Groups" {
            response.elapsed = Duration::from_millis(700);
        }
        Ok(response)
    }

    fn all(&self, kind: &str) -> impl Iterator<Item = &Map<String, Value>> {
        if kind == "Users" { self.users.iter() } else { self.groups.iter() }
    }

    fn create_user(&mut self, body: &Map<String, Value>) -> Result<Response, Error> {
        if matches!(self.fault, Some(Fault::RateLimitedWithoutWait | Fault::RateLimitedWithDate))
            && !std::mem::replace(&mut self.was_limited, true)
        {
            return Err(Error::new(429, "too many requests; try again later"));
        }
        let password = body.get("password").and_then(Value::as_str).unwrap_or_default();
        if self.is(Fault::PasswordPolicy) && !password.contains(|c: char| !c.is_alphanumeric()) {
            return Err(Error::invalid_value("the password must contain a symbol"));
        }
        let mut user = self.admit_user(body)?;
        self.check_user_name(&user, None)?;
        if self.users.len() >= RESOURCES_MAX {
            return Err(Error::new(507, "the server for tests is full"));
        }
        user.entry("active").or_insert(Value::Bool(true));
        if self.is(Fault::IdReused)
            && let Some(first) = self.users.first()
        {
            user.insert("id".to_owned(), first["id"].clone());
        }
        let user = self.stamp(user, "User", None);
        self.users.push(user.clone());
        let mut shown = self.shown(&user);
        if self.is(Fault::PasswordEchoed) {
            shown["password"] = password.into();
        }
        Ok(self.created(&shown))
    }

    fn created(&self, shown: &Value) -> Response {
        match self.fault {
            Some(Fault::CreateWithoutBody) => Response::empty(201),
            Some(Fault::CreateOk) => Response::json(200, shown),
            _ => {
                let mut response = Response::json(201, shown);
                if let Some(location) = shown["meta"]["location"].as_str() {
                    response.headers.push(("Location".to_owned(), location.to_owned()));
                }
                response
            }
        }
    }

    fn user(&mut self, method: Method, id: &str, request: &Request) -> Result<Response, Error> {
        let place = self.users.iter().position(|user| is_id(user, id));
        let place = place.ok_or_else(|| Error::new(404, format!("no user has the id `{id}`")))?;
        let before = self.users[place].clone();
        let is_inactive = before.get("active") == Some(&Value::Bool(false));
        let mut user = match method {
            Method::Get if is_inactive && self.is(Fault::InactiveNotReadable) => {
                return Err(Error::new(404, format!("no user has the id `{id}`")));
            }
            Method::Get => return Ok(Response::json(200, &self.shown(&before))),
            Method::Delete => {
                self.users.remove(place);
                return Ok(Response::empty(204));
            }
            Method::Put => {
                let mut user = self.admit_user(&body(request)?)?;
                // Absent in a PUT keeps the state: an omission must not give access back.
                if let Some(active) = before.get("active") {
                    user.entry("active").or_insert_with(|| active.clone());
                }
                user
            }
            Method::Patch => self.patch_user(&before, request)?,
            Method::Post => return Err(Error::new(405, "POST goes to `/Users`")),
        };
        self.check_user_name(&user, Some(id))?;
        if self.is(Fault::LinkConflict) && method == Method::Put {
            return Err(Error::bad(Kind::Uniqueness, "`userName` is taken already"));
        }
        if self.is(Fault::ActiveIgnored)
            && let Some(active) = before.get("active")
        {
            user.insert("active".to_owned(), active.clone());
        }
        if self.is(Fault::ClearIgnored) {
            for (name, value) in &before {
                user.entry(name).or_insert_with(|| value.clone());
            }
        }
        if self.is(Fault::PutChangesId) && method == Method::Put {
            user.insert("id".to_owned(), format!("{id}-2").into());
        } else {
            user.insert("id".to_owned(), before["id"].clone());
        }
        let user = self.stamp(user, "User", before.get("meta"));
        let shown = self.shown(&user);
        if self.is(Fault::DeactivationRemoves) && user.get("active") == Some(&Value::Bool(false)) {
            self.users.remove(place);
        } else {
            self.users[place] = user;
        }
        if method == Method::Put && self.is(Fault::PutNoContent) {
            return Ok(Response::empty(204));
        }
        Ok(Response::json(200, &shown))
    }

    fn patch_user(
        &self,
        before: &Map<String, Value>,
        request: &Request,
    ) -> Result<Map<String, Value>, Error> {
        let mut user = before.clone();
        for Operation { op, path, value } in self.operations(request)? {
            match (path, value) {
                (None, Value::Object(values)) => {
                    // "Sub-attributes that are not specified SHALL be left unchanged." (RFC 7644
                    // §3.5.2.3)
                    for (name, value) in values {
                        match (user.get_mut(&name), value) {
                            (Some(Value::Object(before)), Value::Object(value)) => {
                                before.extend(value);
                            }
                            (_, value) => {
                                user.insert(name, value);
                            }
                        }
                    }
                }
                (Some(path), value) if path.chars().all(|c| c.is_alphanumeric() || c == '.') => {
                    let (name, sub) = path.split_once('.').unwrap_or((&path, ""));
                    let value = if op == "remove" { Value::Null } else { value };
                    if sub.is_empty() {
                        user.insert(name.to_owned(), value);
                    } else if let Value::Object(complex) =
                        user.entry(name).or_insert_with(|| json!({}))
                    {
                        complex.insert(sub.to_owned(), value);
                    }
                }
                (Some(path), _) => {
                    return Err(Error::invalid_path(format!(
                        "the path `{path}` is not understood"
                    )));
                }
                (None, _) => {
                    return Err(Error::invalid_value("without a `path`, `value` is an object"));
                }
            }
        }
        self.admit_user(&user)
    }

    fn create_group(&mut self, body: &Map<String, Value>) -> Result<Response, Error> {
        let mut group = admit_group(body)?;
        self.check_group_name(&group, None)?;
        if self.groups.len() >= RESOURCES_MAX {
            return Err(Error::new(507, "the server for tests is full"));
        }
        if self.is(Fault::MembersLostOnPost) {
            group.insert("members".to_owned(), json!([]));
        }
        let group = self.stamp(group, "Group", None);
        self.groups.push(group.clone());
        Ok(self.created(&self.shown(&group)))
    }

    fn group(&mut self, method: Method, id: &str, request: &Request) -> Result<Response, Error> {
        let place = self.groups.iter().position(|group| is_id(group, id));
        let place = place.ok_or_else(|| Error::new(404, format!("no group has the id `{id}`")))?;
        let before = self.groups[place].clone();
        let mut group = match method {
            Method::Get => return Ok(Response::json(200, &self.shown(&before))),
            Method::Delete => {
                match self.fault {
                    Some(Fault::DeleteNotFound) => {
                        return Err(Error::new(404, format!("no group has the id `{id}`")));
                    }
                    Some(Fault::DeleteIgnored) => {}
                    _ => {
                        self.groups.remove(place);
                    }
                }
                return Ok(if self.is(Fault::DeleteWithBody) {
                    Response::json(200, &self.shown(&before))
                } else {
                    Response::empty(204)
                });
            }
            Method::Put => {
                let mut group = admit_group(&body(request)?)?;
                if self.is(Fault::PutDropsMembers) {
                    group.insert("members".to_owned(), before["members"].clone());
                }
                group
            }
            Method::Patch => self.patch_group(&before, request)?,
            Method::Post => return Err(Error::new(405, "POST goes to `/Groups`")),
        };
        if self.is(Fault::GroupWritesFail) {
            return Err(Error::new(500, "the database is not there"));
        }
        self.check_group_name(&group, Some(id))?;
        if self.is(Fault::RenameIgnored) {
            group.insert("displayName".to_owned(), before["displayName"].clone());
        }
        let is_emptied = group["members"].as_array().is_some_and(Vec::is_empty);
        if self.is(Fault::EmptyMembersIgnored) && is_emptied {
            group.insert("members".to_owned(), before["members"].clone());
        }
        group.insert("id".to_owned(), before["id"].clone());
        let group = self.stamp(group, "Group", before.get("meta"));
        self.groups[place].clone_from(&group);
        if method == Method::Put && self.is(Fault::PutNoContent) {
            return Ok(Response::empty(204));
        }
        let mut response = Response::json(200, &self.shown(&group));
        if self.is(Fault::Stalls) {
            response.elapsed = Duration::from_secs(61);
        }
        Ok(response)
    }

    fn patch_group(
        &self,
        before: &Map<String, Value>,
        request: &Request,
    ) -> Result<Map<String, Value>, Error> {
        let mut group = before.clone();
        for Operation { op, path, value } in self.operations(request)? {
            let mut members = group["members"].as_array().cloned().unwrap_or_default();
            match (op.as_str(), path.as_deref(), value) {
                (_, None, Value::Object(values)) => {
                    for (name, value) in values {
                        group.insert(name, value);
                    }
                    continue;
                }
                ("add", Some("members"), Value::Array(added)) => {
                    if self.is(Fault::AddReplacesMembers) {
                        members.clear();
                    }
                    for member in added {
                        let is_there =
                            members.iter().any(|other| other["value"] == member["value"]);
                        if is_there && self.is(Fault::AddExistingRefused) {
                            return Err(Error::bad(
                                Kind::Uniqueness,
                                "the user is a member already",
                            ));
                        }
                        if !is_there || self.is(Fault::AddDuplicatesMembers) {
                            members.push(member);
                        }
                    }
                }
                ("replace", Some("members"), Value::Array(all)) => members = all,
                ("remove", Some("members"), _) => members.clear(),
                ("replace", Some("displayName"), name) => {
                    group.insert("displayName".to_owned(), name);
                    continue;
                }
                ("remove", Some(path), _) => {
                    let id = path
                        .strip_prefix("members[value eq \"")
                        .and_then(|rest| rest.strip_suffix("\"]"))
                        .ok_or_else(|| {
                            Error::invalid_path(format!("the path `{path}` is not understood"))
                        })?;
                    if self.is(Fault::RemoveEmptiesGroup) {
                        members.clear();
                    }
                    members.retain(|member| member["value"] != id);
                }
                (op, path, _) => {
                    return Err(Error::invalid_value(format!(
                        "the operation `{op}` with the path `{}` is not understood",
                        path.unwrap_or_default()
                    )));
                }
            }
            group.insert("members".to_owned(), members.into());
        }
        if self.is(Fault::AddDuplicatesMembers) {
            return Ok(group);
        }
        admit_group(&group)
    }

    fn operations(&self, request: &Request) -> Result<Vec<Operation>, Error> {
        if self.is(Fault::PatchNotImplemented) {
            return Err(Error::new(501, "PATCH is not supported"));
        }
        let body = body(request)?;
        let operations = body.get("Operations").and_then(Value::as_array);
        let operations =
            operations.ok_or_else(|| Error::invalid_syntax("`Operations` must be an array"))?;
        operations
            .iter()
            .map(|operation| {
                let op = operation["op"].as_str().unwrap_or_default().to_ascii_lowercase();
                if !["add", "remove", "replace"].contains(&op.as_str()) {
                    return Err(Error::invalid_syntax("`op` must be `add`, `remove` or `replace`"));
                }
                let path = operation["path"].as_str().map(str::to_owned);
                if path.is_none() && self.is(Fault::PathlessPatchRefused) {
                    return Err(Error::invalid_path("`path` is missing"));
                }
                Ok(Operation { op, path, value: operation["value"].clone() })
            })
            .collect()
    }

    /// Takes what a client wrote: nothing read-only, no password, no empty values.
    fn admit_user(&self, body: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let mut user = body.clone();
        for read_only in ["id", "meta", "groups", "schemas", "password"] {
            user.shift_remove(read_only);
        }
        clean(&mut user);
        let lost = match self.fault {
            Some(Fault::TitleLost) => "title",
            Some(Fault::ExternalIdLost) => "externalId",
            _ => "",
        };
        user.shift_remove(lost);
        if self.is(Fault::FamilyNameLost)
            && let Some(Value::Object(name)) = user.get_mut("name")
        {
            name.shift_remove("familyName");
        }
        if self.is(Fault::PrimaryLost)
            && let Some(Value::Array(emails)) = user.get_mut("emails")
        {
            for email in emails.iter_mut().filter_map(Value::as_object_mut) {
                email.shift_remove("primary");
            }
        }
        match user.get("userName") {
            Some(Value::String(name)) => {
                if self.is(Fault::UserNameLowerCased) {
                    let name = name.to_lowercase();
                    user.insert("userName".to_owned(), name.into());
                }
            }
            _ => return Err(Error::invalid_value("`userName` is required")),
        }
        if user.get("active").is_some_and(|active| !active.is_boolean()) {
            return Err(Error::invalid_value("`active` must be `true` or `false`"));
        }
        Ok(user)
    }

    fn check_user_name(&self, user: &Map<String, Value>, own: Option<&str>) -> Result<(), Error> {
        let name = user["userName"].as_str().unwrap_or_default();
        let is_taken = self.users.iter().any(|other| {
            own.is_none_or(|own| !is_id(other, own)) && matches(other, "userName", name)
        });
        if is_taken && !self.is(Fault::DuplicateUserNames) {
            return Err(Error::bad(
                Kind::Uniqueness,
                format!("the `userName` `{name}` is taken by another user; choose another one"),
            ));
        }
        Ok(())
    }

    fn check_group_name(&self, group: &Map<String, Value>, own: Option<&str>) -> Result<(), Error> {
        let name = group["displayName"].as_str().unwrap_or_default();
        let is_taken = self.groups.iter().any(|other| {
            own.is_none_or(|own| !is_id(other, own)) && matches(other, "displayName", name)
        });
        if is_taken {
            return Err(Error::bad(
                Kind::Uniqueness,
                format!("the `displayName` `{name}` is taken by another group"),
            ));
        }
        Ok(())
    }

    /// Gives a resource its id and `meta`. Time goes on by a second with every write.
    fn stamp(
        &mut self,
        mut resource: Map<String, Value>,
        kind: &str,
        meta: Option<&Value>,
    ) -> Map<String, Value> {
        self.writes += 1;
        let now = Timestamp::from_second(EPOCH)
            .and_then(|epoch| epoch.checked_add(SignedDuration::from_secs(self.writes)))
            .unwrap_or(Timestamp::MAX)
            .to_string();
        if !resource.contains_key("id") {
            let id = self.next_id();
            resource.insert("id".to_owned(), id);
        }
        let created = meta.map_or_else(|| now.clone().into(), |meta| meta["created"].clone());
        let id = id_text(&resource);
        let location = format!("{}/{kind}s/{id}", self.base_url);
        resource.insert(
            "meta".to_owned(),
            json!({
                "resourceType": kind, "created": created, "lastModified": now,
                "location": location, "version": format!("W/\"{}\"", self.writes),
            }),
        );
        resource
    }

    fn next_id(&mut self) -> Value {
        self.ids_given += 1;
        if self.is(Fault::NumericIds) {
            return self.ids_given.into();
        }
        let bits = self.ids.bits();
        format!(
            "{:08x}-{:04x}-7{:03x}-8000-{:012x}",
            bits >> 32,
            bits >> 16 & 0xffff,
            bits & 0xfff,
            self.ids_given
        )
        .into()
    }

    /// A resource as it is answered.
    fn shown(&self, kept: &Map<String, Value>) -> Value {
        let is_group = kept.contains_key("members");
        let mut schemas = vec![if is_group { GROUP } else { USER }];
        if kept.contains_key(ENTERPRISE_USER) {
            schemas.push(ENTERPRISE_USER);
        }
        let mut shown = Map::new();
        shown.insert("schemas".to_owned(), json!(schemas));
        shown.insert("id".to_owned(), kept["id"].clone());
        for (name, value) in kept {
            if name != "id" && name != "meta" {
                shown.insert(name.clone(), value.clone());
            }
        }
        if !is_group {
            let groups = self.groups_of(&id_text(kept));
            if !groups.is_empty() {
                shown.insert("groups".to_owned(), groups.into());
            }
        }
        shown.insert("meta".to_owned(), kept["meta"].clone());
        if self.is(Fault::GroupWithoutMembers) {
            shown.shift_remove("members");
        }
        if self.is(Fault::ActiveAsText)
            && let Some(Value::Bool(active)) = kept.get("active")
        {
            shown.insert("active".to_owned(), active.to_string().into());
        }
        Value::Object(shown)
    }

    fn groups_of(&self, id: &str) -> Vec<Value> {
        self.groups
            .iter()
            .filter(|group| {
                let members = group["members"].as_array();
                members.is_some_and(|members| members.iter().any(|member| member["value"] == id))
            })
            .map(|group| json!({ "value": group["id"], "display": group["displayName"] }))
            .collect()
    }

    /// The faults that can be put on any answer.
    fn spoil(&self, request: &Request, mut response: Response) -> Response {
        let is_error = response.status >= 400;
        let is_limit = response.status == 429;
        match self.fault {
            Some(Fault::HtmlErrors) if is_error => return html(response.status),
            Some(Fault::HtmlUnauthorized) if response.status == 401 => return html(401),
            Some(Fault::RateLimitedWithDate) if is_limit => {
                let date = "Wed, 21 Oct 2026 07:28:00 GMT".to_owned();
                response.headers.push(("Retry-After".to_owned(), date));
            }
            Some(Fault::PlainContentType) => {
                response.headers.retain(|(name, _)| name != "Content-Type");
                response.headers.push(("Content-Type".to_owned(), "text/plain".to_owned()));
            }
            _ => {}
        }
        let removed = match self.fault {
            Some(Fault::SchemasMissing) => "schemas",
            Some(Fault::ErrorWithoutDetail) if is_error => "detail",
            Some(Fault::ErrorWithoutStatus) if is_error => "status",
            _ => "",
        };
        if !removed.is_empty()
            && request.method != Method::Delete
            && let Ok(Value::Object(mut body)) = serde_json::from_slice(&response.body)
        {
            body.shift_remove(removed);
            response.body = Value::Object(body).to_string().into_bytes();
        }
        response
    }
}

/// Carries requests to itself; time does not pass.
impl Client for Reference {
    async fn send(&mut self, request: &Request) -> Result<Response, NoAnswer> {
        Ok(self.answer(request))
    }

    async fn wait(&mut self, _: Duration) {}
}

/// One operation of a PATCH.
struct Operation {
    op: String,
    path: Option<String>,
    value: Value,
}

/// 2026-01-01, the day on which this server was empty.
const EPOCH: i64 = 1_767_225_600;

fn html(status: u16) -> Response {
    Response {
        status,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html><body>Something went wrong</body></html>".to_vec(),
        elapsed: Duration::ZERO,
    }
}

fn body(request: &Request) -> Result<Map<String, Value>, Error> {
    match request.json() {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(Error::invalid_syntax("the body must be a JSON object")),
    }
}

fn admit_group(body: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let mut group = body.clone();
    for read_only in ["id", "meta", "schemas"] {
        group.shift_remove(read_only);
    }
    if !matches!(group.get("displayName"), Some(Value::String(name)) if !name.is_empty()) {
        return Err(Error::invalid_value("`displayName` is required"));
    }
    let mut members: Vec<Value> = Vec::new();
    for member in group.get("members").and_then(Value::as_array).into_iter().flatten() {
        if !member["value"].is_string() {
            return Err(Error::invalid_value("a member's `value` must be an id"));
        }
        if !members.iter().any(|other| other["value"] == member["value"]) {
            members.push(member.clone());
        }
    }
    group.insert("members".to_owned(), members.into());
    Ok(group)
}

/// Takes out what is `null`, empty text, or empty altogether: it is unassigned (RFC 7643 §2.5;
/// the empty text is Okta's way to say so).
fn clean(object: &mut Map<String, Value>) {
    for value in object.values_mut() {
        match value {
            Value::Object(inner) => clean(inner),
            Value::Array(values) => {
                for value in values.iter_mut().filter_map(Value::as_object_mut) {
                    clean(value);
                }
                values.retain(|value| value.as_object().is_none_or(|it| it.contains_key("value")));
            }
            _ => {}
        }
    }
    object.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(inner) => !inner.is_empty(),
        Value::Array(values) => !values.is_empty(),
        _ => true,
    });
}

/// `attribute eq "value"`, and nothing else.
fn parse_filter(filter: &str) -> Result<(String, String), Error> {
    let parsed = filter.split_once(" eq ").and_then(|(attribute, literal)| {
        let attribute = ["id", "userName", "externalId", "displayName"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(attribute))?;
        let value: String = serde_json::from_str(literal).ok()?;
        Some((attribute.to_owned(), value))
    });
    parsed.ok_or_else(|| Error::invalid_filter(format!("the filter `{filter}` is not understood")))
}

/// Names are compared without case; ids of either side exactly.
fn matches(resource: &Map<String, Value>, attribute: &str, value: &str) -> bool {
    let found = match resource.get(attribute) {
        Some(Value::String(found)) => found.clone(),
        Some(Value::Number(found)) => found.to_string(),
        _ => return false,
    };
    match attribute {
        "userName" | "displayName" => found.to_lowercase() == value.to_lowercase(),
        _ => found == value,
    }
}

fn is_id(resource: &Map<String, Value>, id: &str) -> bool {
    matches(resource, "id", id)
}

fn id_text(resource: &Map<String, Value>) -> String {
    match &resource["id"] {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    }
}
