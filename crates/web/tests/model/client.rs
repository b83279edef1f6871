//! Who sends: requests of chance, each with what a plain map makes of it.

use std::collections::BTreeSet;

use axum::http::Method;
use claims::Choices;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ask::{Ask, List, Wanted};
use crate::plain::{
    Attributes, Change, Condition, ENTERPRISE, GROUP, Kind, Named, Plain, Refused, USER, print,
};
use crate::world::Sent;

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
const COST_CENTER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter";
const MANAGER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";

/// What may be set by a text and taken away.
const TEXTS: &[&str] = &[
    "displayName",
    "title",
    "externalId",
    "name.givenName",
    "name.familyName",
    DEPARTMENT,
    COST_CENTER,
];
const KINDS: &[&str] = &["work", "home", "other"];

/// One thing that a client does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Create(Kind, Attributes, Vec<Named>),
    /// Without members, those of the group stay.
    Replace(Kind, String, Condition, Attributes, Option<Vec<Named>>),
    Patch(Kind, String, Condition, Vec<Change>),
    Delete(Kind, String, Condition),
    Get(Kind, String, Condition),
    /// A message that is wrong whatever it is sent to, and what is said of it.
    Wrong(Refused),
}

/// An act as it is sent, and what is wanted of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) act: Act,
    pub(crate) wanted: Wanted,
    pub(crate) sent: Sent,
}

/// Chance, and what is remembered of the dead.
pub(crate) struct Client {
    pub(crate) choices: Choices<'static>,
    /// Ids that were ever given, of users and of groups.
    ids: [Vec<String>; 2],
}

impl Client {
    pub(crate) fn new(seed: u64) -> Client {
        Client { choices: Choices::of_seed(seed), ids: [Vec::new(), Vec::new()] }
    }

    pub(crate) fn remember(&mut self, kind: Kind, id: &str) {
        self.ids[kind as usize].push(id.to_owned());
    }

    /// Mostly of somebody who is there; now and then of the dead, of the other kind, of nobody.
    pub(crate) fn some_id(&mut self, kind: Kind, plain: &Plain) -> String {
        let living: Vec<&String> = plain.all(kind).keys().collect();
        let choice = self.choices.below(16);
        let other = if kind == Kind::User { Kind::Group } else { Kind::User };
        let ids = match choice {
            0 => &self.ids[kind as usize],
            1 => &self.ids[other as usize],
            2 => return "00000000-0000-7000-8000-000000000000".to_owned(),
            _ if !living.is_empty() => return (*self.choices.one_of(&living)).clone(),
            _ => return "nobody".to_owned(),
        };
        if ids.is_empty() { "nobody".to_owned() } else { self.choices.one_of(ids).clone() }
    }

    fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.choices.below(words.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.choices.once_in(times)
    }

    fn some_user_name(&mut self) -> String {
        let name = format!("person{}@example.com", self.choices.below(90));
        match self.choices.below(6) {
            0 => name.to_uppercase(),
            1 => name.replace("person", "Zoë"),
            2 => name.replace("person", "ZOË"),
            _ => name,
        }
    }

    fn some_group_name(&mut self) -> String {
        let name = format!("Team {}", self.choices.below(40));
        if self.once_in(4) { name.to_lowercase() } else { name }
    }

    fn some_text(&mut self) -> String {
        const WORDS: &[&str] =
            &["Guide", "guide", "Müller", "MÜLLER", "a \"b\"", "\u{1F600}", "D1", "D2", "x%_"];
        (*self.choices.one_of(WORDS)).to_owned()
    }

    fn some_address(&mut self) -> String {
        let address = format!("a{}@example.com", self.choices.below(60));
        if self.once_in(6) { address.to_uppercase() } else { address }
    }

    fn some_external_id(&mut self) -> String {
        format!("00u{}", self.choices.below(50))
    }

    fn some_email(&mut self, kind: &str) -> Value {
        json!({ "value": self.some_address(), "type": kind })
    }

    /// At most one of each type, and at most one of them primary.
    fn some_emails(&mut self) -> Vec<Value> {
        let mut emails = Vec::new();
        for kind in KINDS {
            if self.choices.below(2) == 0 {
                emails.push(self.some_email(kind));
            }
        }
        if self.choices.below(2) == 0 && !emails.is_empty() {
            let place = self.choices.below(emails.len());
            emails[place]["primary"] = true.into();
        }
        emails
    }

    pub(crate) fn some_user(&mut self) -> Attributes {
        let mut user = Map::new();
        user.insert("userName".into(), self.some_user_name().into());
        if self.once_in(3) {
            user.insert("externalId".into(), self.some_external_id().into());
        }
        if self.choices.below(2) == 0 {
            user.insert("active".into(), (self.choices.below(3) > 0).into());
        }
        for name in ["displayName", "title"] {
            if self.once_in(3) {
                user.insert(name.into(), self.some_text().into());
            }
        }
        if self.choices.below(2) == 0 {
            let name = json!({ "givenName": "Ana", "familyName": self.some_text() });
            user.insert("name".into(), name);
        }
        let emails = self.some_emails();
        if !emails.is_empty() {
            user.insert("emails".into(), emails.into());
        }
        if self.once_in(3) {
            user.insert(ENTERPRISE.into(), json!({ "department": self.some_text() }));
        }
        user
    }

    pub(crate) fn some_group(&mut self) -> Attributes {
        let mut group = Map::new();
        group.insert("displayName".into(), self.some_group_name().into());
        if self.once_in(3) {
            group.insert("externalId".into(), self.some_external_id().into());
        }
        group
    }

    pub(crate) fn some_members(&mut self, plain: &Plain, most: usize) -> Vec<Named> {
        let mut members: Vec<Named> = Vec::new();
        for _ in 0..self.choices.below(most + 1) {
            let kind = if self.once_in(6) { Kind::Group } else { Kind::User };
            let id = self.some_id(kind, plain);
            let display = if self.once_in(4) { Some("Ana") } else { None };
            if members.iter().all(|(other, _)| *other != id) {
                members.push((id, display));
            }
        }
        members
    }

    fn some_condition(&mut self, kind: Kind, id: &str, plain: &Plain) -> Condition {
        let version = plain.all(kind).get(id).map_or(1, |it| it.version);
        match self.choices.below(20) {
            0..=2 => Condition::Match(vec![version]),
            3 => Condition::Match(vec![version + 1]),
            4 => Condition::Match(vec![version + 7, version]),
            5 => Condition::MatchAny,
            6 => Condition::NoneMatch(vec![version]),
            7 => Condition::NoneMatch(vec![version + 1]),
            8 => Condition::NoneMatchAny,
            _ => Condition::None,
        }
    }

    fn some_wanted(&mut self, kind: Kind) -> Wanted {
        const OF_USERS: &[&str] = &[
            "userName",
            "displayName",
            "name.givenName",
            "name",
            "emails",
            "emails.value",
            "active",
            "meta",
            "groups",
            "externalId",
            DEPARTMENT,
            ENTERPRISE,
            "meta.version",
        ];
        const OF_GROUPS: &[&str] =
            &["displayName", "members", "members.value", "externalId", "meta"];
        let names = if kind == Kind::User { OF_USERS } else { OF_GROUPS };
        let mut some = BTreeSet::new();
        for _ in 0..=self.choices.below(3) {
            some.insert(*self.choices.one_of(names));
        }
        match self.choices.below(8) {
            0 => Wanted::Only(some.into_iter().collect()),
            1 => Wanted::Without(some.into_iter().collect()),
            _ => Wanted::All,
        }
    }

    fn some_kind(&mut self) -> Kind {
        if self.once_in(3) { Kind::Group } else { Kind::User }
    }

    /// One request, however it comes to be written.
    pub(crate) fn some_request(&mut self, plain: &Plain) -> Request {
        let kind = self.some_kind();
        let act = match self.choices.below(30) {
            0..7 => self.some_creation(kind, plain),
            7..10 => {
                let id = self.some_id(kind, plain);
                let condition = self.some_condition(kind, &id, plain);
                let Act::Create(kind, mut attributes, members) = self.some_creation(kind, plain)
                else {
                    unreachable!("that is what it makes")
                };
                if self.once_in(6) {
                    attributes.insert("externalId".into(), Value::Null);
                }
                let members = (kind == Kind::Group && !self.once_in(4)).then_some(members);
                Act::Replace(kind, id, condition, attributes, members)
            }
            10..20 => {
                let id = self.some_id(kind, plain);
                let condition = self.some_condition(kind, &id, plain);
                let changes =
                    (0..=self.choices.below(3)).map(|_| self.some_change(kind, plain)).collect();
                Act::Patch(kind, id, condition, changes)
            }
            20..23 => {
                let id = self.some_id(kind, plain);
                let condition = self.some_condition(kind, &id, plain);
                Act::Delete(kind, id, condition)
            }
            23..28 => {
                let id = self.some_id(kind, plain);
                let condition = self.some_condition(kind, &id, plain);
                Act::Get(kind, id, condition)
            }
            _ => return self.some_wrong_request(kind, plain),
        };
        let wanted = self.some_wanted(kind);
        let sent = self.spelt(&act, &wanted);
        Request { act, wanted, sent }
    }

    fn some_creation(&mut self, kind: Kind, plain: &Plain) -> Act {
        match kind {
            Kind::User => Act::Create(kind, self.some_user(), Vec::new()),
            Kind::Group => Act::Create(kind, self.some_group(), self.some_members(plain, 8)),
        }
    }

    fn some_change(&mut self, kind: Kind, plain: &Plain) -> Change {
        match kind {
            Kind::User => self.some_user_change(),
            Kind::Group => self.some_group_change(plain),
        }
    }

    fn some_user_change(&mut self) -> Change {
        let kind = *self.choices.one_of(KINDS);
        match self.choices.below(20) {
            0 | 1 => Change::Set("userName", Some(self.some_user_name().into())),
            2..5 => {
                let path = *self.choices.one_of(TEXTS);
                let text = match path {
                    "externalId" => self.some_external_id(),
                    _ => self.some_text(),
                };
                Change::Set(path, Some(text.into()))
            }
            5 | 6 => Change::Set(self.word(TEXTS), None),
            7..10 => Change::Set("active", Some((self.choices.below(2) == 0).into())),
            10 => Change::Set("active", None),
            11 => Change::Set(MANAGER, Some(json!({ "value": self.some_external_id() }))),
            12 => Change::Set(MANAGER, None),
            13 => Change::Emails(self.some_emails()),
            14 | 15 => {
                let mut email = self.some_email(kind);
                if self.once_in(3) {
                    email["primary"] = true.into();
                }
                Change::AddEmail(email)
            }
            16 | 17 => Change::EmailOf(kind, self.some_address()),
            18 => Change::PrimaryOf(kind),
            _ => Change::DropEmailsOf(kind),
        }
    }

    fn some_group_change(&mut self, plain: &Plain) -> Change {
        match self.choices.below(14) {
            0 | 1 => Change::Set("displayName", Some(self.some_group_name().into())),
            2 => Change::Set("externalId", Some(self.some_external_id().into())),
            3 => Change::Set("externalId", None),
            4..8 => {
                let mut members = self.some_members(plain, 4);
                if members.is_empty() {
                    members.push((self.some_id(Kind::User, plain), None));
                }
                Change::AddMembers(members)
            }
            8..11 => {
                let ids = (0..=self.choices.below(3)).map(|_| self.some_member(plain));
                Change::RemoveMembers(ids.collect::<BTreeSet<_>>().into_iter().collect())
            }
            11 => Change::RemoveKind(self.word(&["User", "Group"])),
            12 => Change::ReplaceMembers(Vec::new()),
            _ => Change::ReplaceMembers(self.some_members(plain, 9)),
        }
    }

    /// Somebody who belongs to some group, mostly.
    fn some_member(&mut self, plain: &Plain) -> String {
        let groups = plain.all(Kind::Group).values();
        let members: Vec<&String> = groups.flat_map(|group| group.members.keys()).collect();
        if members.is_empty() || self.once_in(4) {
            return self.some_id(Kind::User, plain);
        }
        (*self.choices.one_of(&members)).clone()
    }

    /// What is wrong by itself, whatever it is sent to.
    fn some_wrong_request(&mut self, kind: Kind, plain: &Plain) -> Request {
        let name = kind.key();
        let value = |keyword| (400, Some(keyword));
        let patch = |operation: Value| json!({ "schemas": [PATCH], "Operations": [operation] });
        let id = self.some_id(kind, plain);
        let one = format!("{}/{id}", kind.endpoint());
        let all = kind.endpoint().to_owned();
        let (method, path, body, refused) = match self.choices.below(14) {
            0 => (Method::POST, all, json!({ "externalId": "7" }), value("invalidValue")),
            1 => (Method::PUT, one, json!({ name: "" }), value("invalidValue")),
            2 => (Method::POST, all, json!([]), value("invalidSyntax")),
            3 => (Method::POST, all, json!({ name: { "a": 1 } }), value("invalidValue")),
            4 => {
                let body = json!({ "op": "replace", "path": "shoeSize", "value": 44 });
                (Method::PATCH, one, patch(body), value("invalidPath"))
            }
            5 => (Method::PATCH, one, patch(json!({ "op": "remove" })), value("noTarget")),
            6 => {
                let body = json!({ "op": "remove", "path": name });
                (Method::PATCH, one, patch(body), value("mutability"))
            }
            7 => {
                let body = json!({ "op": "replace", "path": name, "value": null });
                (Method::PATCH, one, patch(body), value("invalidValue"))
            }
            8 => {
                let body = json!({ "op": "replace", "path": "id", "value": "7" });
                (Method::PATCH, one, patch(body), value("mutability"))
            }
            9 => (Method::PATCH, one, json!({ "schemas": [PATCH] }), value("invalidSyntax")),
            10 => {
                let body = json!({ "op": "move", "path": name, "value": "7" });
                (Method::PATCH, one, patch(body), value("invalidValue"))
            }
            11 => (
                Method::GET,
                format!("{all}?filter=shoeSize%20eq%20%227%22"),
                Value::Null,
                value("invalidFilter"),
            ),
            12 => (
                Method::GET,
                format!("{all}?filter={name}%20eq"),
                Value::Null,
                value("invalidFilter"),
            ),
            _ => (Method::GET, format!("{all}?sortBy=shoeSize"), Value::Null, value("invalidPath")),
        };
        // What is not there is said before what is wrong.
        let is_of_one = method == Method::PUT || method == Method::PATCH;
        let is_missing = is_of_one && !plain.all(kind).contains_key(&id);
        let refused = if is_missing { (404, None) } else { refused };
        let body = (!body.is_null()).then_some(body);
        let sent = Sent { method, path, headers: Vec::new(), body };
        Request { act: Act::Wrong(refused), wanted: Wanted::All, sent }
    }

    /// One of the ways in which an act is sent.
    pub(crate) fn spelt(&mut self, act: &Act, wanted: &Wanted) -> Sent {
        let (method, path, condition, body) = match act {
            Act::Create(kind, attributes, members) => {
                let members = (!members.is_empty() || self.once_in(2)).then_some(&**members);
                let body = self.spelt_resource(*kind, attributes, members);
                (Method::POST, kind.endpoint().to_owned(), &Condition::None, Some(body))
            }
            Act::Replace(kind, id, condition, attributes, members) => {
                let body = self.spelt_resource(*kind, attributes, members.as_deref());
                (Method::PUT, format!("{}/{id}", kind.endpoint()), condition, Some(body))
            }
            Act::Patch(kind, id, condition, changes) => {
                let body = self.spelt_patch(changes);
                (Method::PATCH, format!("{}/{id}", kind.endpoint()), condition, Some(body))
            }
            Act::Delete(kind, id, condition) => {
                (Method::DELETE, format!("{}/{id}", kind.endpoint()), condition, None)
            }
            Act::Get(kind, id, condition) => {
                let is_head = self.once_in(8);
                let method = if is_head { Method::HEAD } else { Method::GET };
                (method, format!("{}/{id}", kind.endpoint()), condition, None)
            }
            Act::Wrong(_) => unreachable!("it is written already"),
        };
        let parameters: Vec<_> = wanted.parameter().into_iter().collect();
        let path = if method == Method::DELETE { path } else { with_query(&path, &parameters) };
        let headers = self.spelt_condition(condition);
        Sent { method, path, headers, body }
    }

    fn spelt_condition(&mut self, condition: &Condition) -> Vec<(&'static str, String)> {
        let tags = |client: &mut Client, versions: &[u64]| {
            let tags = versions.iter().map(|version| match client.choices.below(3) {
                0 => format!("\"{version}\""),
                _ => format!("W/\"{version}\""),
            });
            tags.collect::<Vec<_>>().join(", ")
        };
        match condition {
            Condition::None => Vec::new(),
            Condition::Match(versions) => vec![("if-match", tags(self, versions))],
            Condition::MatchAny => vec![("if-match", "*".into())],
            Condition::NoneMatch(versions) => vec![("if-none-match", tags(self, versions))],
            Condition::NoneMatchAny => vec![("if-none-match", "*".into())],
        }
    }

    /// A resource as providers send it: names in any case, booleans as text, what is not set as
    /// null or empty, what only the server sets as they like.
    fn spelt_resource(
        &mut self,
        kind: Kind,
        attributes: &Attributes,
        members: Option<&[Named]>,
    ) -> Value {
        let mut body = Map::new();
        let schema = if kind == Kind::User { USER } else { GROUP };
        if !self.once_in(4) {
            body.insert("schemas".into(), json!([schema]));
        }
        for (name, value) in attributes {
            let value = match (name.as_str(), value) {
                ("active", Value::Bool(flag)) if self.once_in(3) => {
                    Value::from(if *flag { "True" } else { "false" })
                }
                ("emails", Value::Array(emails)) if emails.len() == 1 && self.once_in(3) => {
                    emails[0].clone()
                }
                (_, value) => value.clone(),
            };
            let name = match self.choices.below(12) {
                0 => name.to_lowercase(),
                1 => name.to_uppercase(),
                _ => name.clone(),
            };
            body.insert(name, value);
        }
        let empty = |choices: &mut Choices<'_>| choices.one_of(&[Value::Null, json!("")]).clone();
        if kind == Kind::User {
            for name in ["title", "nickName"] {
                if !body.keys().any(|it| it.eq_ignore_ascii_case(name)) && self.once_in(6) {
                    body.insert(name.into(), empty(&mut self.choices));
                }
            }
            if self.once_in(6) {
                body.insert("password".into(), "secret".into());
            }
            if self.once_in(6) {
                body.insert("groups".into(), json!([{ "value": "7" }]));
            }
        } else if let Some(members) = members {
            body.insert("members".into(), self.spelt_members(members));
        }
        if self.once_in(6) {
            body.insert("id".into(), "mine".into());
        }
        if self.once_in(6) {
            body.insert("meta".into(), json!({ "version": "W/\"7\"" }));
        }
        body.into()
    }

    fn spelt_members(&mut self, members: &[Named]) -> Value {
        let one = |(id, display): &Named| match (display, self.choices.below(3)) {
            (Some(display), _) => json!({ "value": id, "display": display }),
            (None, 0) => json!({ "Value": id, "type": "User" }),
            (None, _) => json!({ "value": id }),
        };
        members.iter().map(one).collect()
    }

    /// A PATCH in one of the spellings of each change.
    pub(crate) fn spelt_patch(&mut self, changes: &[Change]) -> Value {
        let operations: Vec<Value> = changes.iter().map(|it| self.spelt_change(it)).collect();
        match self.choices.below(10) {
            0 => json!({ "operations": operations }),
            1 => operations.into(),
            _ => json!({ "schemas": [PATCH], "Operations": operations }),
        }
    }

    fn verb(&mut self, verb: &'static str) -> String {
        match self.choices.below(3) {
            0 => verb[..1].to_uppercase() + &verb[1..],
            _ => verb.to_owned(),
        }
    }

    fn spelt_change(&mut self, change: &Change) -> Value {
        let add = self.verb("add");
        let replace = self.verb("replace");
        let remove = self.verb("remove");
        let set = if self.choices.below(2) == 0 { add.clone() } else { replace.clone() };
        match change {
            Change::Set("active", Some(Value::Bool(flag))) => {
                let value = match self.choices.below(3) {
                    0 => json!(if *flag { "True" } else { "False" }),
                    _ => json!(flag),
                };
                match self.choices.below(2) {
                    0 => json!({ "op": set, "path": "active", "value": value }),
                    _ => json!({ "op": set, "value": { "active": value } }),
                }
            }
            Change::Set(path, Some(value)) if *path == MANAGER => {
                let id = &value["value"];
                match self.choices.below(5) {
                    0 => json!({ "op": set, "path": path, "value": id }),
                    1 => json!({ "op": set, "path": format!("{path}.value"), "value": id }),
                    2 => json!({ "op": set, "path": path, "value": [value] }),
                    3 => json!({ "op": set, "value": { ENTERPRISE: { "manager": value } } }),
                    _ => json!({ "op": set, "path": path, "value": value }),
                }
            }
            Change::Set(path, None) if *path == MANAGER => match self.choices.below(4) {
                0 => json!({ "op": replace, "path": path, "value": {} }),
                1 => json!({ "op": replace, "path": path, "value": "" }),
                2 => json!({ "op": replace, "path": path, "value": null }),
                _ => json!({ "op": remove, "path": path }),
            },
            Change::Set(path, Some(value)) => match self.choices.below(4) {
                0 => json!({ "op": set, "value": { *path: value } }),
                1 => match path.split_once('.').filter(|_| !path.contains(':')) {
                    Some((whole, part)) => {
                        json!({ "op": set, "value": { whole: { part: value } } })
                    }
                    None => match path.strip_prefix(ENTERPRISE).and_then(|it| it.strip_prefix(':'))
                    {
                        Some(part) => {
                            json!({ "op": set, "value": { ENTERPRISE: { part: value } } })
                        }
                        None => json!({ "op": set, "path": path.to_uppercase(), "value": value }),
                    },
                },
                _ => json!({ "op": set, "path": path, "value": value }),
            },
            Change::Set(path, None) => match self.choices.below(4) {
                0 => json!({ "op": replace, "path": path, "value": null }),
                1 if *path != "active" => json!({ "op": replace, "path": path, "value": "" }),
                2 => json!({ "op": replace, "value": { *path: null } }),
                _ => json!({ "op": remove, "path": path }),
            },
            Change::Emails(emails) if emails.is_empty() => match self.choices.below(3) {
                0 => json!({ "op": remove, "path": "emails" }),
                1 => json!({ "op": replace, "value": { "emails": null } }),
                _ => json!({ "op": replace, "path": "emails", "value": [] }),
            },
            Change::Emails(emails) => match self.choices.below(2) {
                0 => json!({ "op": replace, "value": { "emails": emails } }),
                _ => json!({ "op": replace, "path": "emails", "value": emails }),
            },
            Change::AddEmail(email) => match self.choices.below(3) {
                0 => json!({ "op": add, "path": "emails", "value": email }),
                1 => json!({ "op": add, "value": { "emails": [email] } }),
                _ => json!({ "op": add, "path": "emails", "value": [email] }),
            },
            Change::EmailOf(kind, value) => match self.choices.below(4) {
                0 if self.choices.below(2) == 0 => {
                    let path = format!("EMAILS[TYPE EQ \"{kind}\"].VALUE");
                    json!({ "op": set, "path": path, "value": value })
                }
                0 => {
                    json!({ "op": set, "value": { format!("emails[type eq \"{kind}\"].value"): value } })
                }
                1 => {
                    json!({ "op": set, "path": format!("emails[type eq \"{kind}\"]"), "value": { "value": value } })
                }
                _ => {
                    json!({ "op": set, "path": format!("emails[type eq \"{kind}\"].value"), "value": value })
                }
            },
            Change::PrimaryOf(kind) => match self.choices.below(2) {
                0 => {
                    json!({ "op": set, "path": format!("emails[type eq \"{kind}\"].primary"), "value": "True" })
                }
                _ => {
                    json!({ "op": set, "path": format!("emails[type eq \"{kind}\"]"), "value": { "primary": true } })
                }
            },
            Change::DropEmailsOf(kind) => {
                json!({ "op": remove, "path": format!("emails[type eq \"{kind}\"]") })
            }
            Change::AddMembers(members) => {
                let value = self.spelt_members(members);
                match self.choices.below(4) {
                    0 => json!({ "op": add, "value": { "members": value } }),
                    1 if members.len() == 1 => {
                        json!({ "op": add, "path": "members", "value": value[0] })
                    }
                    _ => json!({ "op": add, "path": "members", "value": value }),
                }
            }
            Change::RemoveMembers(ids) => {
                let values: Vec<_> = ids.iter().map(|id| json!({ "value": id })).collect();
                match self.choices.below(4) {
                    0 => json!({ "op": remove, "path": "members", "value": values }),
                    1 => json!({ "op": remove, "path": "members", "value": { "members": values } }),
                    _ => {
                        let terms: Vec<_> =
                            ids.iter().map(|id| format!("value eq \"{id}\"")).collect();
                        json!({ "op": remove, "path": format!("members[{}]", terms.join(" or ")) })
                    }
                }
            }
            Change::RemoveKind(kind) => {
                json!({ "op": remove, "path": format!("members[type eq \"{kind}\"]") })
            }
            Change::ReplaceMembers(members) if members.is_empty() && self.once_in(2) => {
                json!({ "op": remove, "path": "members" })
            }
            Change::ReplaceMembers(members) => {
                let value = self.spelt_members(members);
                match self.choices.below(2) {
                    0 => json!({ "op": replace, "value": { "members": value } }),
                    _ => json!({ "op": replace, "path": "members", "value": value }),
                }
            }
        }
    }

    /// A list, with everything that can be asked of one.
    pub(crate) fn some_list(&mut self, plain: &Plain, now: Timestamp) -> List {
        let kind = self.some_kind();
        let ask = (self.choices.below(4) > 0).then(|| self.some_ask(kind, plain, now, 2));
        let by: &[&str] = match kind {
            Kind::User => &["userName", "title", "name.familyName", "emails", "externalId", "id"],
            Kind::Group => &["displayName", "externalId", "meta.lastModified", "id"],
        };
        let sort = self.once_in(3).then(|| (*self.choices.one_of(by), self.choices.below(2) == 0));
        let count = *self.choices.one_of(&[1, 2, 3, 7, 20, 1_000]);
        List { kind, ask, sort, wanted: self.some_wanted(kind), count }
    }

    fn some_ask(&mut self, kind: Kind, plain: &Plain, now: Timestamp, depth: usize) -> Ask {
        const OPERATORS: &[&str] = &["eq", "eq", "eq", "ne", "co", "sw", "ew", "gt", "le"];
        if depth > 0 && self.choices.below(5) < 2 {
            let one = Box::new(self.some_ask(kind, plain, now, depth - 1));
            if self.once_in(3) {
                return Ask::Not(one);
            }
            let other = Box::new(self.some_ask(kind, plain, now, depth - 1));
            return if self.once_in(2) { Ask::And(one, other) } else { Ask::Or(one, other) };
        }
        let operator = *self.choices.one_of(OPERATORS);
        let part = |choices: &mut Choices<'_>, text: String, operator: &str| match operator {
            "co" | "sw" => text.chars().take(1 + choices.below(6)).collect(),
            "ew" => text.chars().skip(choices.below(4)).collect(),
            _ => text,
        };
        match (self.choices.below(12), kind) {
            (0..3, _) => {
                let name =
                    if kind == Kind::User { self.some_user_name() } else { self.some_group_name() };
                Ask::Text(kind.key(), operator, part(&mut self.choices, name, operator))
            }
            (3, _) => Ask::Text("externalId", operator, self.some_external_id()),
            (4, _) => Ask::Text("id", "eq", self.some_id(kind, plain)),
            (5, Kind::User) => Ask::Present(self.word(&[
                "title",
                "emails",
                "name.givenName",
                DEPARTMENT,
                "groups",
                "nickName",
            ])),
            (5, Kind::Group) => Ask::Present(self.word(&["externalId", "members", "displayName"])),
            (6, Kind::User) => Ask::Related("groups", self.some_id(Kind::Group, plain)),
            (6 | 7, Kind::Group) => Ask::Related("members", self.some_member(plain)),
            (7, Kind::User) => Ask::Active(self.choices.below(2) == 0),
            (8, _) => {
                let ago = i64::try_from(self.choices.below(400_000)).expect("a few days");
                let at = Timestamp::from_millisecond(now.as_millisecond() - ago).expect("a time");
                Ask::Modified(self.word(&["gt", "ge", "lt", "le"]), print(at))
            }
            (9, Kind::User) => {
                let address = self.some_address();
                let address = part(&mut self.choices, address, operator);
                // Unequal to one value of several is another question.
                let operator = if operator == "ne" { "eq" } else { operator };
                Ask::EmailOf(self.word(KINDS), operator, address)
            }
            (10, Kind::User) => {
                let address = self.some_address();
                Ask::Text("emails.value", operator, part(&mut self.choices, address, operator))
            }
            (_, Kind::User) => Ask::Text(
                self.word(&["title", "name.familyName", DEPARTMENT, "displayName"]),
                operator,
                self.some_text(),
            ),
            (_, Kind::Group) => Ask::Text("displayName", operator, self.some_group_name()),
        }
    }
}

pub(crate) fn with_query(path: &str, parameters: &[(&'static str, String)]) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}
