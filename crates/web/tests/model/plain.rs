//! SCIM over plain maps: what a directory is, and what becomes of it, written as simply as it can
//! be said, and without a line of the server's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attributes as they are answered.
pub(crate) type Attributes = Map<String, Value>;

/// A user or a group, without what is answered of others with it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) attributes: Attributes,
    /// The last word on whether the person may use the app. Who takes the attribute away takes the
    /// word away, and not what it said.
    is_active: bool,
    pub(crate) version: u64,
    /// The place in the order of creation.
    pub(crate) ordinal: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) modified_at: Timestamp,
    /// Who belongs to it: nobody to a user. What they are, and the name that came with them.
    pub(crate) members: BTreeMap<String, (&'static str, Option<String>)>,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    User,
    Group,
}

impl Kind {
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Kind::User => "/Users",
            Kind::Group => "/Groups",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::User => "User",
            Kind::Group => "Group",
        }
    }

    /// What no two of a kind share.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Kind::User => "userName",
            Kind::Group => "displayName",
        }
    }
}

/// What is to change, however it is spelt.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// `name.givenName`, `title`, `URN:department`: this, or nothing.
    Set(&'static str, Option<Value>),
    /// All e-mail addresses are these.
    Emails(Vec<Value>),
    /// This one too.
    AddEmail(Value),
    /// The address of a type is this.
    EmailOf(&'static str, String),
    /// The address of a type is the primary one.
    PrimaryOf(&'static str),
    /// There is none of a type.
    DropEmailsOf(&'static str),
    /// These belong to the group too.
    AddMembers(Vec<Named>),
    /// These do not.
    RemoveMembers(Vec<String>),
    /// Those of a kind do not.
    RemoveKind(&'static str),
    /// Exactly these do.
    ReplaceMembers(Vec<Named>),
}

/// A member as it is named: an id, and a name that comes with it.
pub(crate) type Named = (String, Option<&'static str>);

/// Why nothing was changed: a status, and the keyword that comes with it.
pub(crate) type Refused = (u16, Option<&'static str>);

const UNIQUENESS: Refused = (409, Some("uniqueness"));
const INVALID_VALUE: Refused = (400, Some("invalidValue"));
const NOT_FOUND: Refused = (404, None);
const PRECONDITION_FAILED: Refused = (412, None);

/// Which version a client is content with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    Match(Vec<u64>),
    MatchAny,
    NoneMatch(Vec<u64>),
    NoneMatchAny,
}

impl Condition {
    pub(crate) fn holds(&self, version: u64) -> bool {
        match self {
            Condition::None | Condition::MatchAny => true,
            Condition::Match(versions) => versions.contains(&version),
            Condition::NoneMatch(versions) => !versions.contains(&version),
            Condition::NoneMatchAny => false,
        }
    }
}

/// Somebody who was deleted.
#[derive(Clone, Debug)]
struct Former {
    name: String,
    external_id: Option<Value>,
    id: String,
    at: Timestamp,
}

/// Something that was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: Value,
    pub(crate) at: Timestamp,
    /// Of these ids one is the `previous_user_id`: of several who were deleted at one moment, any.
    pub(crate) previous: BTreeSet<String>,
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    /// The directory's base URL.
    pub(crate) base: String,
    users: BTreeMap<String, Record>,
    groups: BTreeMap<String, Record>,
    former: Vec<Former>,
    created: u64,
    /// What was told and not yet compared.
    pub(crate) events: Vec<Event>,
}

/// What an event says beside what is so afterwards.
struct News {
    changes: Option<Value>,
    previous: BTreeSet<String>,
    at: Timestamp,
}

impl News {
    fn at(at: Timestamp) -> News {
        News { changes: None, previous: BTreeSet::new(), at }
    }
}

/// The same in any case.
pub(crate) fn fold(text: &str) -> String {
    text.to_lowercase()
}

pub(crate) fn print(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

impl Plain {
    /// An empty one, below this URL.
    pub(crate) fn at(base: &str) -> Plain {
        Plain { base: base.to_owned(), ..Plain::default() }
    }

    pub(crate) fn all(&self, kind: Kind) -> &BTreeMap<String, Record> {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
        }
    }

    fn all_mut(&mut self, kind: Kind) -> &mut BTreeMap<String, Record> {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        }
    }

    /// POST.
    pub(crate) fn create(
        &mut self,
        kind: Kind,
        id: &str,
        mut attributes: Attributes,
        members: &[Named],
        now: Timestamp,
    ) -> Result<(), Refused> {
        if kind == Kind::User && !attributes.contains_key("active") {
            attributes.insert("active".into(), true.into());
        }
        self.check_unique(kind, None, &attributes)?;
        let name = fold(attributes[kind.key()].as_str().expect("it is required"));
        let external_id = attributes.get("externalId").cloned();
        self.created += 1;
        let record = Record {
            attributes: attributes.clone(),
            is_active: said_active(&attributes).unwrap_or(true),
            version: 1,
            ordinal: self.created,
            created_at: now,
            modified_at: now,
            members: BTreeMap::new(),
        };
        let mut roll = Roll::of(&record);
        roll.add(self, members);
        let record = Record { members: roll.now.clone(), ..record };
        self.all_mut(kind).insert(id.to_owned(), record.clone());
        let mut previous = BTreeSet::new();
        if kind == Kind::User {
            let same = |it: &&Former| {
                it.name == name || (external_id.is_some() && it.external_id == external_id)
            };
            let latest = self.former.iter().filter(same).map(|it| it.at).max();
            let same = self.former.iter().filter(same).filter(|it| Some(it.at) == latest);
            previous.extend(same.map(|it| it.id.clone()));
        }
        self.tell((kind, id), "created", told(&record), News { previous, ..News::at(now) });
        self.tell_members(id, &record, &roll, now);
        Ok(())
    }

    /// PUT.
    pub(crate) fn replace(
        &mut self,
        kind: Kind,
        id: &str,
        condition: &Condition,
        mut attributes: Attributes,
        members: Option<&[Named]>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let before = self.existing(kind, id, condition)?;
        // Nobody is made a stranger to the provider by being left out, nor is a group emptied.
        match attributes.get("externalId") {
            Some(Value::Null) => _ = attributes.remove("externalId"),
            Some(_) => {}
            None => attributes.extend(
                before.attributes.get("externalId").map(|it| ("externalId".into(), it.clone())),
            ),
        }
        // Who may not use the app is not let in again by being left out.
        if let (false, Some(active)) =
            (attributes.contains_key("active"), before.attributes.get("active"))
        {
            attributes.insert("active".into(), active.clone());
        }
        let mut roll = Roll::of(&before);
        if let Some(members) = members {
            roll.replace(self, members);
        }
        self.keep(kind, id, &before, &attributes, &roll, now)
    }

    /// PATCH.
    pub(crate) fn patch(
        &mut self,
        kind: Kind,
        id: &str,
        condition: &Condition,
        changes: &[Change],
        now: Timestamp,
    ) -> Result<(), Refused> {
        let before = self.existing(kind, id, condition)?;
        let mut attributes = before.attributes.clone();
        let mut roll = Roll::of(&before);
        for change in changes {
            match change {
                Change::AddMembers(members) => roll.add(self, members),
                Change::RemoveMembers(ids) => roll.remove(ids),
                Change::RemoveKind(kind) => roll.remove_if(|_, it| it == *kind),
                Change::ReplaceMembers(members) => roll.replace(self, members),
                of_attributes => apply(of_attributes, &mut attributes)?,
            }
        }
        self.keep(kind, id, &before, &attributes, &roll, now)
    }

    /// DELETE.
    pub(crate) fn delete(
        &mut self,
        kind: Kind,
        id: &str,
        condition: &Condition,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let before = self.existing(kind, id, condition)?;
        let groups: Vec<String> = self.groups_of(id).map(|(id, _)| id.clone()).collect();
        for group in groups {
            let of_group = self.groups[&group].clone();
            let mut roll = Roll::of(&of_group);
            roll.remove(&[id.to_owned()]);
            self.keep(Kind::Group, &group, &of_group, &of_group.attributes, &roll, now)
                .expect("anybody may leave");
        }
        self.all_mut(kind).remove(id);
        let mut roll = Roll::of(&before);
        roll.remove_if(|_, _| true);
        self.tell_members(id, &before, &roll, now);
        self.tell((kind, id), "deleted", told(&before), News::at(now));
        if kind == Kind::User {
            self.former.push(Former {
                name: fold(before.attributes["userName"].as_str().expect("it is required")),
                external_id: before.attributes.get("externalId").cloned(),
                id: id.to_owned(),
                at: now,
            });
        }
        Ok(())
    }

    /// The record that is to be changed, or read. What does not exist has no version.
    pub(crate) fn existing(
        &self,
        kind: Kind,
        id: &str,
        condition: &Condition,
    ) -> Result<Record, Refused> {
        let record = self.all(kind).get(id).ok_or(NOT_FOUND)?;
        if condition.holds(record.version) { Ok(record.clone()) } else { Err(PRECONDITION_FAILED) }
    }

    fn check_unique(
        &self,
        kind: Kind,
        id: Option<&str>,
        attributes: &Attributes,
    ) -> Result<(), Refused> {
        let name = |attributes: &Attributes| {
            fold(attributes[kind.key()].as_str().expect("it is required"))
        };
        let wanted = name(attributes);
        let is_taken = self
            .all(kind)
            .iter()
            .any(|(other, record)| Some(&**other) != id && name(&record.attributes) == wanted);
        if is_taken { Err(UNIQUENESS) } else { Ok(()) }
    }

    /// Keeps what a record is afterwards, and tells it, if it is not as it was.
    fn keep(
        &mut self,
        kind: Kind,
        id: &str,
        before: &Record,
        attributes: &Attributes,
        roll: &Roll,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if roll.now.contains_key(id) && !before.members.contains_key(id) {
            return Err(INVALID_VALUE);
        }
        let is_same = *attributes == before.attributes;
        if is_same && roll.now.keys().eq(before.members.keys()) {
            return Ok(());
        }
        self.check_unique(kind, Some(id), attributes)?;
        let mut members = roll.now.clone();
        // Who was sent away and taken back by one request has not moved.
        members
            .extend(before.members.clone().into_iter().filter(|(it, _)| roll.now.contains_key(it)));
        let after = Record {
            attributes: attributes.clone(),
            is_active: said_active(attributes).unwrap_or(before.is_active),
            version: before.version + 1,
            modified_at: now,
            members,
            ..before.clone()
        };
        self.all_mut(kind).insert(id.to_owned(), after.clone());
        if !is_same {
            let what = match (before.is_active, after.is_active) {
                (true, false) => "deactivated",
                (false, true) => "reactivated",
                _ => "updated",
            };
            let changes = Some(differences(&told(before), &told(&after)));
            self.tell((kind, id), what, told(&after), News { changes, ..News::at(now) });
        }
        self.tell_members(id, &after, roll, now);
        Ok(())
    }

    fn tell(&mut self, (kind, id): (Kind, &str), what: &str, mut told: Attributes, news: News) {
        let subject = match kind {
            Kind::User => "user",
            Kind::Group => "group",
        };
        told.insert("id".into(), id.into());
        let mut data = json!({ subject: told });
        if let Some(changes) = news.changes {
            data["changes"] = changes;
        }
        let (kind, previous) = (format!("directory.{subject}.{what}"), news.previous);
        self.events.push(Event { kind, data, at: news.at, previous });
    }

    /// Who left, then who came, in the order in which they were named.
    fn tell_members(&mut self, id: &str, group: &Record, roll: &Roll, at: Timestamp) {
        for (what, from, to) in
            [("removed", &roll.before, &roll.now), ("added", &roll.now, &roll.before)]
        {
            let mut told = BTreeSet::new();
            for member in &roll.named {
                let Some((kind, _)) = from.get(member) else { continue };
                if to.contains_key(member) || !told.insert(member) {
                    continue;
                }
                let name = &group.attributes["displayName"];
                let data = json!({
                    "group": { "id": id, "displayName": name },
                    "member": { "value": member, "type": kind },
                });
                let kind = format!("directory.group.member_{what}");
                self.events.push(Event { kind, data, at, previous: BTreeSet::new() });
            }
        }
    }

    /// The groups to which somebody belongs, in the order of their ids.
    fn groups_of(&self, id: &str) -> impl Iterator<Item = (&String, &Record)> {
        self.groups.iter().filter(move |(_, group)| group.members.contains_key(id))
    }

    /// A record as a client sees it.
    pub(crate) fn shown(&self, kind: Kind, id: &str) -> Value {
        let record = &self.all(kind)[id];
        let base = &self.base;
        let mut shown = record.attributes.clone();
        let mut schemas = match kind {
            Kind::User => vec![USER],
            Kind::Group => vec![GROUP],
        };
        if shown.contains_key(ENTERPRISE) {
            schemas.push(ENTERPRISE);
        }
        shown.insert("schemas".into(), schemas.into());
        shown.insert("id".into(), id.into());
        let groups: Vec<Value> = self
            .groups_of(id)
            .map(|(id, group)| {
                json!({
                    "value": id,
                    "$ref": format!("{base}/Groups/{id}"),
                    "display": group.attributes["displayName"],
                    "type": "direct",
                })
            })
            .collect();
        if kind == Kind::User && !groups.is_empty() {
            shown.insert("groups".into(), groups.into());
        }
        if kind == Kind::Group {
            let members = record.members.iter().map(|(id, (kind, display))| {
                let mut member = json!({
                    "value": id, "$ref": format!("{base}/{kind}s/{id}"), "type": kind,
                });
                if let Some(display) = display {
                    member["display"] = display.as_str().into();
                }
                member
            });
            shown.insert("members".into(), members.collect());
        }
        shown.insert(
            "meta".into(),
            json!({
                "resourceType": kind.name(),
                "created": print(record.created_at),
                "lastModified": print(record.modified_at),
                "location": self.location(kind, id),
                "version": format!("W/\"{}\"", record.version),
            }),
        );
        shown.into()
    }

    pub(crate) fn location(&self, kind: Kind, id: &str) -> String {
        format!("{}{}/{id}", self.base, kind.endpoint())
    }

    /// What an id is, of a user or a group.
    fn kind_of(&self, id: &str) -> Option<&'static str> {
        let kinds = [Kind::User, Kind::Group];
        kinds.into_iter().find(|kind| self.all(*kind).contains_key(id)).map(Kind::name)
    }
}

/// What it says of whether the person may use the app.
fn said_active(attributes: &Attributes) -> Option<bool> {
    attributes.get("active")?.as_bool()
}

/// What the app is told: of who may not use it always that, said or not.
fn told(record: &Record) -> Attributes {
    let mut told = record.attributes.clone();
    if !record.is_active {
        told.insert("active".into(), false.into());
    }
    told
}

/// Who belongs to a group while it is changed.
struct Roll {
    before: BTreeMap<String, (&'static str, Option<String>)>,
    now: BTreeMap<String, (&'static str, Option<String>)>,
    /// In the order in which they were first named.
    named: Vec<String>,
}

impl Roll {
    fn of(group: &Record) -> Roll {
        let members = group.members.clone();
        Roll { before: members.clone(), now: members, named: Vec::new() }
    }

    /// Whom nobody knows is left out; who belongs already stays as they are.
    fn add(&mut self, plain: &Plain, members: &[Named]) {
        for (id, display) in members {
            let Some(kind) = plain.kind_of(id) else { continue };
            self.named.push(id.clone());
            self.now.entry(id.clone()).or_insert((kind, display.map(str::to_owned)));
        }
    }

    fn remove(&mut self, ids: &[String]) {
        for id in ids {
            self.named.push(id.clone());
            self.now.remove(id);
        }
    }

    fn remove_if(&mut self, goes: impl Fn(&str, &str) -> bool) {
        let gone = self.now.iter().filter(|(id, (kind, _))| goes(id, kind));
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        self.remove(&gone);
    }

    fn replace(&mut self, plain: &Plain, members: &[Named]) {
        self.remove_if(|id, _| members.iter().all(|(other, _)| other != id));
        self.add(plain, members);
    }
}

/// Makes one change of attributes.
fn apply(change: &Change, attributes: &mut Attributes) -> Result<(), Refused> {
    match change {
        Change::Set(path, value) => set(attributes, path, value.clone()),
        Change::Emails(emails) => put_emails(attributes, emails.clone()),
        Change::AddEmail(email) => {
            let mut emails = emails(attributes);
            match emails.iter_mut().find(|it| is_same_email(it, email)) {
                Some(same) => {
                    for (name, value) in email.as_object().expect("an email is an object") {
                        same[name] = value.clone();
                    }
                }
                None => emails.push(email.clone()),
            }
            if email["primary"] == true {
                make_primary(&mut emails, |it| is_same_email(it, email));
            }
            put_emails(attributes, emails);
        }
        Change::EmailOf(kind, value) => {
            let mut emails = emails(attributes);
            if !emails.iter().any(|it| is_of(it, kind)) {
                emails.push(json!({ "type": kind }));
            }
            for email in emails.iter_mut().filter(|it| is_of(it, kind)) {
                email["value"] = value.as_str().into();
            }
            put_emails(attributes, emails);
        }
        Change::PrimaryOf(kind) => {
            let mut emails = emails(attributes);
            if emails.iter().filter(|it| is_of(it, kind)).count() > 1 {
                return Err(INVALID_VALUE);
            }
            if !emails.iter().any(|it| is_of(it, kind)) {
                emails.push(json!({ "type": kind }));
            }
            for email in emails.iter_mut().filter(|it| is_of(it, kind)) {
                email["primary"] = true.into();
            }
            make_primary(&mut emails, |it| is_of(it, kind));
            put_emails(attributes, emails);
        }
        Change::DropEmailsOf(kind) => {
            let emails = emails(attributes).into_iter().filter(|it| !is_of(it, kind));
            put_emails(attributes, emails.collect());
        }
        _ => unreachable!("that is a change of members"),
    }
    Ok(())
}

/// What is one thing is set; what is a part of something is set in it.
fn set(attributes: &mut Attributes, path: &str, value: Option<Value>) {
    let (whole, part) = match path.strip_prefix(ENTERPRISE) {
        Some(part) => (ENTERPRISE, part.strip_prefix(':')),
        None => match path.split_once('.') {
            Some((whole, part)) => (whole, Some(part)),
            None => (path, None),
        },
    };
    let Some(part) = part else {
        match value {
            Some(value) => _ = attributes.insert(whole.to_owned(), value),
            None => _ = attributes.remove(whole),
        }
        return;
    };
    let mut parts = match attributes.remove(whole) {
        Some(Value::Object(parts)) => parts,
        _ => Map::new(),
    };
    match value {
        Some(value) => _ = parts.insert(part.to_owned(), value),
        None => _ = parts.remove(part),
    }
    if !parts.is_empty() {
        attributes.insert(whole.to_owned(), parts.into());
    }
}

fn emails(attributes: &Attributes) -> Vec<Value> {
    attributes.get("emails").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is_of(email: &Value, kind: &str) -> bool {
    email["type"].as_str().is_some_and(|it| fold(it) == fold(kind))
}

/// The same address of the same type; where there is no address, the same in all that they say.
fn is_same_email(one: &Value, other: &Value) -> bool {
    if one["value"].is_string() && other["value"].is_string() {
        return one["value"] == other["value"] && one["type"] == other["type"];
    }
    let said = |email: &Value| {
        let mut email = email.clone();
        if email["primary"] == false {
            email.as_object_mut().expect("an email is an object").remove("primary");
        }
        email
    };
    said(one) == said(other)
}

fn make_primary(emails: &mut [Value], chosen: impl Fn(&Value) -> bool) {
    for email in emails.iter_mut().filter(|it| it["primary"] == true) {
        if !chosen(email) {
            email["primary"] = false.into();
        }
    }
}

/// Each once: what a later one says beside the address belongs to the first.
fn put_emails(attributes: &mut Attributes, emails: Vec<Value>) {
    let mut once: Vec<Value> = Vec::new();
    for email in emails {
        match once.iter_mut().find(|it| is_same_email(it, &email)) {
            Some(first) if email["primary"] == true && first.get("primary").is_none() => {
                first["primary"] = true.into();
            }
            Some(_) => {}
            None => once.push(email),
        }
    }
    if once.is_empty() {
        attributes.remove("emails");
    } else {
        attributes.insert("emails".into(), once.into());
    }
}

/// What changed, by attribute; in an extension by `URN:attribute`.
fn differences(before: &Attributes, after: &Attributes) -> Value {
    let flat = |attributes: &Attributes| -> BTreeMap<String, Value> {
        let mut flat = BTreeMap::new();
        for (name, value) in attributes {
            match value {
                Value::Object(values) if name == ENTERPRISE => {
                    let values = values.iter();
                    flat.extend(values.map(|(part, it)| (format!("{name}:{part}"), it.clone())));
                }
                value => _ = flat.insert(name.clone(), value.clone()),
            }
        }
        flat
    };
    let (before, after) = (flat(before), flat(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Map::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            changes.insert(name.clone(), json!({ "old": old, "new": new }));
        }
    }
    changes.into()
}
