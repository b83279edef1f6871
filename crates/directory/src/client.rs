//! Who really speaks to a directory: which provider, and which kind of app of it, seen from what
//! arrives and from nothing else; what it sends and what it does not; and which steps of setting it up
//! have been seen to work.
//!
//! What arrives leaves marks, such as "a PATCH of a user", and what they tell is looked up when
//! somebody asks. So a provider that is known only to a later version is known from what an earlier
//! one has seen.

use std::collections::BTreeMap;

use jiff::Timestamp;
use scim::dialect::Quirk;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::cause::By;
use crate::organization::Provider;
use crate::requests::{Place, Presented, Seen, filtered, subject};

/// Attributes that are remembered of one client. Nobody's mapping has as many.
const ATTRIBUTES_MAX: usize = 100;

/// Programs that are remembered of one directory.
const PROGRAMS_MAX: usize = 8;

/// People who were deactivated, or left a group, of whom it is known when somebody comes back.
const PEOPLE_MAX: usize = 50;

/// Within how many microseconds a person leaves a group and the app where both follow from one group.
const AT_ONCE: i64 = 60_000_000;

/// When something was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// For the first time, in microseconds.
    pub first_at: i64,
    /// In which request.
    pub first_request: String,
    /// For the last time.
    pub last_at: i64,
    /// In which request.
    pub last_request: String,
    /// How often.
    pub count: u64,
}

impl Span {
    fn merge(&mut self, other: &Span) {
        self.count = self.count.saturating_add(other.count);
        if other.first_at < self.first_at {
            self.first_at = other.first_at;
            self.first_request.clone_from(&other.first_request);
        }
        if other.last_at >= self.last_at {
            self.last_at = other.last_at;
            self.last_request.clone_from(&other.last_request);
        }
    }
}

type Spans = BTreeMap<String, Span>;

/// What was seen of whoever speaks to a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Of its dialect.
    pub marks: Spans,
    /// Kinds of traffic that worked, by the names of [`SIGHTINGS`].
    pub sightings: Spans,
    /// Mistakes that people make when they set it up, by the names of [`TRAPS`].
    pub traps: Spans,
    /// Attributes of users that it sends.
    pub attributes: Spans,
    /// What it calls itself.
    pub programs: Spans,
    /// Who was deactivated lately, and who left a group, by a digest of their ids.
    deactivated: BTreeMap<String, i64>,
    left_a_group: BTreeMap<String, i64>,
}

/// Kinds of traffic by which a guide ticks its steps, in their order.
pub const SIGHTINGS: [&str; 8] = [
    "credentials",
    "person",
    "update",
    "deactivation",
    "reactivation",
    "group",
    "membership",
    "import",
];

/// What people do wrong again and again: the name, what is seen, and what to do now.
pub const TRAPS: [(&str, &str, &str); 4] = [
    (
        "token-without-bearer",
        "The token arrives without the word `Bearer` before it. It is taken all the same.",
        "Nothing has to be done. Where the app has a field for the whole header, write `Bearer`, one space, and the token.",
    ),
    (
        "wrong-path",
        "Requests arrive at a path that nothing is served at, so the base URL is not as it was given.",
        "Copy the base URL once more, to the last part, and enter it without `/Users` or anything else behind it.",
    ),
    (
        "same-group",
        "People leave a group and the app within a minute, or a group arrives with people who are not there yet: the same group seems to be used to assign people and to be pushed.",
        "Use one group to assign people to the app, and another one to push.",
    ),
    (
        "no-deactivation",
        "People were sent, and nobody was ever deactivated. Whoever is suspended at the provider keeps their access: nothing is sent of it.",
        "Unassign or deactivate a test person, and look whether it arrives.",
    ),
];

impl Known {
    /// Takes a request into account.
    pub fn observe(&mut self, seen: &Seen<'_>, body: Option<&Value>) {
        let place = Place::read(seen.path);
        let is_ok = (200..300).contains(&seen.status);
        // The vendor's own hand is not the provider's.
        if seen.rerun_of.is_some() {
            return;
        }
        let is_provider = matches!(seen.by, Some(By::Token(_) | By::Client(_)));
        if !is_provider {
            if seen.presented == Presented::Bare {
                note(&mut self.traps, "token-without-bearer", seen);
            }
            return;
        }
        if seen.presented == Presented::Bare {
            note(&mut self.traps, "token-without-bearer", seen);
        }
        if seen.is_unknown_path && seen.status == 404 {
            note(&mut self.traps, "wrong-path", seen);
            return;
        }
        if let Some(program) = seen.user_agent.map(str::trim).filter(|it| !it.is_empty()) {
            let program: String = program.chars().take(80).collect();
            if self.programs.len() < PROGRAMS_MAX || self.programs.contains_key(&program) {
                note(&mut self.programs, &program, seen);
            }
        }
        if seen.presented == Presented::Bearer {
            note(&mut self.marks, "bearer", seen);
        }
        for mark in marks(seen, place, body) {
            note(&mut self.marks, &mark, seen);
        }
        if is_ok {
            self.see(seen, place, body);
        }
    }

    /// Which steps work.
    fn see(&mut self, seen: &Seen<'_>, place: Place<'_>, body: Option<&Value>) {
        if seen.is_read() {
            note(&mut self.sightings, "credentials", seen);
            if matches!(place, Place::Users) && is_listing(seen) {
                note(&mut self.sightings, "import", seen);
            }
            return;
        }
        match place {
            Place::Users if seen.method == "POST" => {
                note(&mut self.sightings, "person", seen);
                self.note_attributes(seen, body);
                if active(body) == Some(false) {
                    note(&mut self.sightings, "deactivation", seen);
                }
            }
            Place::User(id) => self.see_user(seen, subject(false, id), body),
            Place::Groups | Place::Group(_) => self.see_group(seen, body),
            _ => {}
        }
    }

    fn see_user(&mut self, seen: &Seen<'_>, who: String, body: Option<&Value>) {
        let at = seen.at.as_microsecond();
        let active = active(body);
        if seen.method == "DELETE" || active == Some(false) {
            let how = match seen.method {
                "DELETE" => "deactivation-delete",
                "PUT" => "deactivation-put",
                _ => "deactivation-patch",
            };
            note(&mut self.marks, how, seen);
            note(&mut self.sightings, "deactivation", seen);
            let has_left = self.left_a_group.get(&who).is_some_and(|left| at - left < AT_ONCE);
            // Others take people out with their last group anyway.
            if has_left && self.family() == Some(Client::Okta) {
                note(&mut self.traps, "same-group", seen);
            }
            remember(&mut self.deactivated, who, at);
            return;
        }
        if active == Some(true) && self.deactivated.remove(&who).is_some() {
            note(&mut self.sightings, "reactivation", seen);
            return;
        }
        if seen.method == "PUT" {
            self.note_attributes(seen, body);
        }
        if changes_more_than_active(body) {
            note(&mut self.sightings, "update", seen);
        }
    }

    fn see_group(&mut self, seen: &Seen<'_>, body: Option<&Value>) {
        if seen.method != "DELETE" {
            note(&mut self.sightings, "group", seen);
        }
        // A body that is too long to look at is long because of its members.
        let is_long = body.is_none() && seen.request.is_some_and(|it| it.bytes > 0);
        let members = body.map(members).unwrap_or_default();
        if is_long || !members.named.is_empty() {
            note(&mut self.sightings, "membership", seen);
        }
        for id in members.removed {
            remember(&mut self.left_a_group, subject(false, &id), seen.at.as_microsecond());
        }
        if !seen.unknown_members.is_empty() && self.family() == Some(Client::Okta) {
            note(&mut self.traps, "same-group", seen);
        }
    }

    fn note_attributes(&mut self, seen: &Seen<'_>, body: Option<&Value>) {
        let Some(body) = body.and_then(Value::as_object) else { return };
        for (name, value) in body {
            if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
                continue;
            }
            if matches!(name.as_str(), "schemas" | "id" | "meta" | "password" | "groups") {
                continue;
            }
            let mut names = Vec::new();
            match value {
                Value::Object(parts) if name == "name" || name.starts_with("urn:") => {
                    let of = |part: &String| {
                        if name == "name" {
                            format!("name.{part}")
                        } else {
                            format!("{name}:{part}")
                        }
                    };
                    names
                        .extend(parts.iter().filter(|(_, it)| !it.is_null()).map(|(it, _)| of(it)));
                }
                _ => names.push(name.clone()),
            }
            for name in names {
                let name: String = name.chars().take(160).collect();
                if self.attributes.len() < ATTRIBUTES_MAX || self.attributes.contains_key(&name) {
                    note(&mut self.attributes, &name, seen);
                }
            }
        }
    }

    /// Adds what was seen elsewhere, or later.
    pub fn merge(&mut self, other: &Known) {
        for (into, from) in [
            (&mut self.marks, &other.marks),
            (&mut self.sightings, &other.sightings),
            (&mut self.traps, &other.traps),
            (&mut self.attributes, &other.attributes),
            (&mut self.programs, &other.programs),
        ] {
            for (name, span) in from {
                into.entry(name.clone())
                    .and_modify(|it| it.merge(span))
                    .or_insert_with(|| span.clone());
            }
        }
        while self.programs.len() > PROGRAMS_MAX {
            let oldest = self.programs.iter().min_by_key(|(_, span)| span.last_at);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            self.programs.remove(&oldest);
        }
        for (into, from) in [
            (&mut self.deactivated, &other.deactivated),
            (&mut self.left_a_group, &other.left_a_group),
        ] {
            for (who, at) in from {
                remember(into, who.clone(), *at);
            }
        }
    }

    /// Whether there is anything that the other one does not know at all.
    pub fn has_news_for(&self, other: &Known) -> bool {
        let is_new = |ours: &Spans, theirs: &Spans| ours.keys().any(|it| !theirs.contains_key(it));
        is_new(&self.sightings, &other.sightings)
            || is_new(&self.marks, &other.marks)
            || is_new(&self.traps, &other.traps)
    }

    /// Forgets what was handed on, but for whom it has to recognise.
    #[must_use]
    pub fn take(&mut self) -> Known {
        let people = (self.deactivated.clone(), self.left_a_group.clone());
        let taken = std::mem::take(self);
        (self.deactivated, self.left_a_group) = people;
        taken
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.traps.is_empty()
    }

    /// Of which provider it is.
    fn family(&self) -> Option<Client> {
        let points = |client: Client| -> u32 {
            let named = self.programs.keys().any(|program| client.is_named(program));
            let marks = client.marks().iter().filter(|(mark, _)| self.marks.contains_key(*mark));
            marks.map(|(_, points)| points).sum::<u32>() + if named { CERTAIN } else { 0 }
        };
        // Who was heard of last among those who call themselves something, where several do.
        let latest = self.programs.iter().max_by_key(|(_, span)| span.last_at);
        let named =
            latest.and_then(|(program, _)| Client::ALL.into_iter().find(|it| it.is_named(program)));
        if named.is_some() {
            return named;
        }
        let best = Client::ALL.into_iter().map(|client| (points(client), client)).rev();
        best.max_by_key(|(points, _)| *points)
            .filter(|(points, _)| *points >= LIKELY)
            .map(|(_, it)| it)
    }

    /// Who it is, as far as that can be told.
    pub fn detect(&self) -> Detected {
        let client = self.family();
        let last = |marks: &[&str]| {
            marks.iter().filter_map(|it| self.marks.get(*it)).map(|it| it.last_at).max()
        };
        let newer =
            |one: Option<i64>, other: Option<i64>, [first, second]: [&'static str; 2]| match (
                one, other,
            ) {
                (None, None) => None,
                (one, other) => Some(if one >= other { first } else { second }),
            };
        let app = match client {
            Some(Client::Okta) => newer(
                last(&["user-patch", "group-patch"]),
                last(&["group-put", "deactivation-put"]),
                ["template", "wizard"],
            ),
            Some(Client::Entra) => newer(
                last(&["quirk:operation-case", "quirk:boolean-text"]),
                last(&["quirk:path-as-name", "aad-flag", "operation-plain"]),
                ["default", "scim-compliant"],
            ),
            _ => None,
        };
        Detected {
            client,
            app,
            since: self.marks.values().map(|it| it.first_at).min().and_then(time),
            last_at: self.marks.values().map(|it| it.last_at).max().and_then(time),
        }
    }

    /// Whether what came later shows that a mistake was mended. Of the others no request can: who
    /// has one group for both may have pushed another one since.
    fn is_over(&self, trap: &str, span: &Span) -> bool {
        let mended_at = match trap {
            "token-without-bearer" => self.marks.get("bearer").map(|it| it.last_at),
            "wrong-path" => self.sightings.values().map(|it| it.last_at).max(),
            _ => None,
        };
        mended_at.is_some_and(|at| at > span.last_at)
    }

    /// Traps that somebody has gone into and not come out of since, with when.
    pub fn traps(&self) -> Vec<(&'static str, &'static str, &'static str, Option<&Span>)> {
        TRAPS
            .iter()
            .filter_map(|(name, text, what_to_do)| {
                let span = self.traps.get(*name).filter(|span| !self.is_over(name, span));
                let is_missing = *name == "no-deactivation"
                    && self.sightings.contains_key("person")
                    && self.sightings.contains_key("update")
                    && !self.sightings.contains_key("deactivation");
                (span.is_some() || is_missing).then_some((*name, *text, *what_to_do, span))
            })
            .collect()
    }

    /// How it does things: what, and by which method.
    pub fn ways(&self) -> Ways {
        let by = |marks: &[(&str, &'static str)]| -> Vec<&'static str> {
            marks.iter().filter(|(it, _)| self.marks.contains_key(*it)).map(|(_, it)| *it).collect()
        };
        Ways {
            user_updates: by(&[("user-put", "PUT"), ("user-patch", "PATCH")]),
            group_updates: by(&[("group-put", "PUT"), ("group-patch", "PATCH")]),
            deactivation: by(&[
                ("deactivation-put", "PUT"),
                ("deactivation-patch", "PATCH"),
                ("deactivation-delete", "DELETE"),
            ]),
            looks_for_users_by: self
                .marks
                .keys()
                .filter_map(|it| it.strip_prefix("by:"))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Kinds of traffic, and attributes that most apps need, that it has not sent.
    pub fn not_sent(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        const USUAL: [&str; 7] = [
            "userName",
            "externalId",
            "name.givenName",
            "name.familyName",
            "displayName",
            "emails",
            "active",
        ];
        let kinds = SIGHTINGS.into_iter().filter(|it| !self.sightings.contains_key(*it)).collect();
        let was_sent = |name: &&str| self.attributes.keys().any(|it| it.eq_ignore_ascii_case(name));
        let attributes = if self.attributes.is_empty() {
            Vec::new()
        } else {
            USUAL.into_iter().filter(|it| !was_sent(it)).collect()
        };
        (kinds, attributes)
    }
}

/// How a client does things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// By which methods it changes users.
    pub user_updates: Vec<&'static str>,
    /// By which methods it changes groups.
    pub group_updates: Vec<&'static str>,
    /// By which methods it takes people out.
    pub deactivation: Vec<&'static str>,
    /// By which attributes it looks for users.
    pub looks_for_users_by: Vec<String>,
}

/// Who speaks, as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// Nobody whom we know, where it is missing.
    pub client: Option<Client>,
    /// Which kind of app: of Okta `template` and `wizard`, of Entra `default` and `scim-compliant`.
    pub app: Option<&'static str>,
    /// Since when anything was seen of it.
    pub since: Option<Timestamp>,
    /// When something was seen last.
    pub last_at: Option<Timestamp>,
}

impl Detected {
    /// For people.
    pub fn name(&self) -> String {
        let Some(client) = self.client else { return "A SCIM client that is not known".to_owned() };
        let app = match (client, self.app) {
            (Client::Okta, Some("template")) => {
                ", an app of the catalogue or a template (it sends PATCH)"
            }
            (Client::Okta, Some(_)) => ", an app of the App Integration Wizard (it sends PUT)",
            (Client::Entra, Some("default")) => ", without the flag `aadOptscim062020`",
            (Client::Entra, Some(_)) => ", with the flag `aadOptscim062020`",
            _ => "",
        };
        format!("{}{app}", client.name())
    }

    /// What is to be said where the directory was set up for somebody else: what is wrong, and what to
    /// do now.
    pub fn mismatch(&self, chosen: Provider) -> Option<(String, String)> {
        let client = self.client?;
        if chosen == Provider::Custom || client.providers().contains(&chosen) {
            return None;
        }
        let what = format!(
            "This directory is set up for `{}`, and what arrives is sent by {}. Everything is understood \
             all the same.",
            chosen.as_str(),
            client.name(),
        );
        let what_to_do = match client.providers().first() {
            Some(provider) => format!(
                "Where that is right, set the provider of the directory to `{}`, so that its guide fits. \
                 Where it is not, the base URL and the token were pasted into the wrong app: make a new \
                 token, and revoke this one.",
                provider.as_str()
            ),
            None => "Where that is right, set the provider of the directory to `custom`. Where it is not, \
                     the base URL and the token were pasted into the wrong app: make a new token, and \
                     revoke this one."
                .to_owned(),
        };
        Some((what, what_to_do))
    }
}

/// A provider that can be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Okta,
    Entra,
    JumpCloud,
    OneLogin,
    PingFederate,
    SailPoint,
    Keycloak,
    Authentik,
    Rauthy,
}

/// Who calls themselves by their name need not do anything else.
const CERTAIN: u32 = 10;

/// Points from which on it is said who it is.
const LIKELY: u32 = 4;

impl Client {
    /// All of them.
    pub const ALL: [Client; 9] = [
        Client::Okta,
        Client::Entra,
        Client::JumpCloud,
        Client::OneLogin,
        Client::PingFederate,
        Client::SailPoint,
        Client::Keycloak,
        Client::Authentik,
        Client::Rauthy,
    ];

    /// Its name in the API; never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Client::Okta => "okta",
            Client::Entra => "entra",
            Client::JumpCloud => "jumpcloud",
            Client::OneLogin => "onelogin",
            Client::PingFederate => "pingfederate",
            Client::SailPoint => "sailpoint",
            Client::Keycloak => "keycloak",
            Client::Authentik => "authentik",
            Client::Rauthy => "rauthy",
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        self.providers().first().map_or("rauthy", |provider| provider.title())
    }

    /// What a directory is set up for where this is to speak to it.
    fn providers(self) -> &'static [Provider] {
        match self {
            Client::Okta => &[Provider::Okta],
            Client::Entra => &[Provider::Entra],
            Client::JumpCloud => &[Provider::JumpCloud],
            Client::OneLogin => &[Provider::OneLogin],
            Client::PingFederate => &[Provider::PingFederate, Provider::PingOne],
            Client::SailPoint => &[Provider::SailPoint],
            Client::Keycloak => &[Provider::Keycloak],
            Client::Authentik => &[Provider::Authentik],
            Client::Rauthy => &[],
        }
    }

    /// Whether a program that calls itself so is of this provider.
    fn is_named(self, program: &str) -> bool {
        program.to_ascii_lowercase().contains(self.as_str())
    }

    /// What tells of it, and how much.
    fn marks(self) -> &'static [(&'static str, u32)] {
        match self {
            Client::Okta => &[("okta-id", 4), ("probe-of-two", 2)],
            Client::Entra => &[
                ("aad-flag", 6),
                ("microsoft-schema", 5),
                ("probe-by-guid", 3),
                ("quirk:operation-case", 2),
                ("quirk:path-as-name", 2),
                ("quirk:role-in-text", 2),
                ("members-excluded", 2),
            ],
            Client::JumpCloud => &[("id-of-24-digits", 4), ("phone-as-uri", 2)],
            Client::OneLogin => &[("quirk:query-unfinished", 3), ("schemas-of-a-draft", 3)],
            Client::PingFederate => &[("quirk:filter-value-implied", 3), ("distinguished-name", 3)],
            Client::SailPoint => &[("discovers-types", 2), ("discovers-schemas", 2)],
            Client::Keycloak => &[("quirk:members-missing", 1), ("id-of-keycloak", 1)],
            Client::Authentik => {
                &[("typed-get", 2), ("discovers-config", 2), ("id-of-32-digits", 1)]
            }
            Client::Rauthy => &[("external-id-first", 2), ("short-id", 2)],
        }
    }
}

/// What a request tells of the dialect of its sender.
fn marks(seen: &Seen<'_>, place: Place<'_>, body: Option<&Value>) -> Vec<String> {
    let mut marks = Vec::new();
    let mut mark = |name: &str| marks.push(name.to_owned());
    let method = seen.method.to_ascii_lowercase();
    let is_read = seen.is_read();
    match place {
        Place::Users | Place::User(_) => mark(&format!("user-{method}")),
        Place::Groups | Place::Group(_) => mark(&format!("group-{method}")),
        Place::Bulk => mark("bulk"),
        Place::Discovery(what) => mark(match what {
            "ServiceProviderConfig" => "discovers-config",
            "ResourceTypes" => "discovers-types",
            _ => "discovers-schemas",
        }),
        Place::Other => {}
    }
    for quirk in seen.quirks.iter() {
        mark(&format!("quirk:{}", Quirk::name(quirk)));
    }
    let query = seen.query.unwrap_or_default();
    let has = |text: &str| query.split('&').any(|it| it.eq_ignore_ascii_case(text));
    if query.to_ascii_lowercase().contains("aadoptscim062020") {
        mark("aad-flag");
    }
    if has("excludedAttributes=members") {
        mark("members-excluded");
    }
    if matches!(place, Place::Users) && has("startIndex=1") && has("count=2") {
        mark("probe-of-two");
    }
    if matches!(place, Place::Users | Place::Groups) && is_read {
        for (attribute, value) in filtered(seen.query) {
            let known =
                ["userName", "externalId", "id", "displayName", "emails", "emails.value", "type"];
            let known = known.into_iter().find(|it| it.eq_ignore_ascii_case(&attribute));
            if let Some(attribute) = known.filter(|_| matches!(place, Place::Users)) {
                mark(&format!("by:{attribute}"));
            }
            let is_name = matches!(known, Some("userName" | "displayName"));
            if is_name && Uuid::try_parse(&value).is_ok() {
                mark("probe-by-guid");
            }
            if known == Some("externalId") && !value.is_empty() && value.len() <= 8 {
                mark("external-id-first");
            }
        }
        if seen.method == "GET" && seen.content_type.is_some() {
            mark("typed-get");
        }
    } else if seen.method == "GET" && seen.content_type.is_some() {
        mark("typed-get");
    }
    let Some(body) = body else { return marks };
    let schemas = body["schemas"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for schema in schemas {
        if schema.starts_with("http://schemas.microsoft.com/") {
            mark("microsoft-schema");
        }
        if schema.starts_with("urn:scim:schemas:") {
            mark("schemas-of-a-draft");
        }
    }
    if let Some(id) = body["externalId"].as_str() {
        let is_of = |is: fn(&u8) -> bool| id.bytes().all(|it| is(&it));
        let shape = match id.len() {
            20 if id.starts_with("00u") || id.starts_with("00g") => Some("okta-id"),
            24 if is_of(u8::is_ascii_hexdigit) => Some("id-of-24-digits"),
            32 if is_of(u8::is_ascii_hexdigit) => Some("id-of-32-digits"),
            1..=8 if is_of(u8::is_ascii_alphanumeric) => Some("short-id"),
            _ if id.contains('=') && id.contains(',') => Some("distinguished-name"),
            _ => None,
        };
        if let Some(shape) = shape {
            mark(shape);
        }
    }
    let phones = body["phoneNumbers"].as_array().into_iter().flatten();
    if phones.filter_map(|it| it["value"].as_str()).any(|it| it.starts_with("tel:")) {
        mark("phone-as-uri");
    }
    let operations = body["Operations"].as_array().into_iter().flatten();
    if seen.method == "PATCH"
        && operations
            .filter_map(|it| it["op"].as_str())
            .any(|it| it.bytes().all(|it| it.is_ascii_lowercase()))
    {
        mark("operation-plain");
    }
    marks
}

/// Whether it reads the list of all, and not the beginning of it to see whether that works.
fn is_listing(seen: &Seen<'_>) -> bool {
    let query = seen.query.unwrap_or_default().to_ascii_lowercase();
    let parameter = |name: &str| {
        query
            .split('&')
            .filter_map(|it| it.split_once('='))
            .find(|(it, _)| *it == name)
            .map(|(_, it)| it)
    };
    let count: Option<u64> = parameter("count").and_then(|it| it.parse().ok());
    parameter("filter").is_none() && count.is_none_or(|count| count > 2)
}

/// What a body says of `active`.
fn active(body: Option<&Value>) -> Option<bool> {
    let body = body?;
    let read = |value: &Value| match value {
        Value::Bool(it) => Some(*it),
        Value::String(it) if it.eq_ignore_ascii_case("true") => Some(true),
        Value::String(it) if it.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    };
    let in_object = |object: &Value| {
        let object = object.as_object()?;
        object
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("active"))
            .and_then(|(_, it)| read(it))
    };
    let Some(operations) = body["Operations"].as_array() else { return in_object(body) };
    let of = |operation: &Value| match operation["path"].as_str() {
        Some(path) if path.eq_ignore_ascii_case("active") => read(&operation["value"]),
        Some(_) => None,
        None => in_object(&operation["value"]),
    };
    operations.iter().rev().find_map(of)
}

/// Whether a body says anything but whether somebody is active.
fn changes_more_than_active(body: Option<&Value>) -> bool {
    let Some(operations) = body.and_then(|it| it["Operations"].as_array()) else { return true };
    let is_more =
        |name: &str| !name.eq_ignore_ascii_case("active") && !name.eq_ignore_ascii_case("password");
    operations.iter().any(|operation| match operation["path"].as_str() {
        Some(path) => is_more(path),
        None => {
            operation["value"].as_object().is_some_and(|it| it.keys().any(|name| is_more(name)))
        }
    })
}

/// The members that a body names, and those of them who leave.
#[derive(Default)]
struct Members {
    named: Vec<String>,
    removed: Vec<String>,
}

fn members(body: &Value) -> Members {
    let mut members = Members::default();
    let ids = |value: &Value| -> Vec<String> {
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |it: &Value| it.as_str().or_else(|| it["value"].as_str()).map(str::to_owned);
        list.iter().take(PEOPLE_MAX).filter_map(id).collect()
    };
    members.named.extend(ids(&body["members"]));
    for operation in body["Operations"].as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let value = &operation["value"];
        let named = if path.is_empty() {
            ids(&value["members"])
        } else if path.eq_ignore_ascii_case("members") {
            ids(value.get("members").unwrap_or(value))
        } else if path.to_ascii_lowercase().starts_with("members[") {
            filtered(Some(&format!("filter={path}"))).into_iter().map(|(_, it)| it).collect()
        } else {
            Vec::new()
        };
        if operation["op"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("remove")) {
            members.removed.extend(named.iter().cloned());
        }
        members.named.extend(named);
    }
    members
}

fn note(spans: &mut Spans, name: &str, seen: &Seen<'_>) {
    let (at, request) = (seen.at.as_microsecond(), seen.request_id.to_string());
    let now = Span {
        first_at: at,
        first_request: request.clone(),
        last_at: at,
        last_request: request,
        count: 1,
    };
    match spans.get_mut(name) {
        Some(span) => span.merge(&now),
        None => _ = spans.insert(name.to_owned(), now),
    }
}

fn remember(people: &mut BTreeMap<String, i64>, who: String, at: i64) {
    people.insert(who, at);
    while people.len() > PEOPLE_MAX {
        let oldest = people.iter().min_by_key(|(_, at)| **at).map(|(who, _)| who.clone());
        let Some(oldest) = oldest else { return };
        people.remove(&oldest);
    }
}

fn time(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}

#[cfg(test)]
mod tests {
    use scim::dialect::Quirks;
    use serde_json::json;

    use super::*;
    use crate::id::{Ids, RequestId, TokenId};
    use crate::requests::Part;

    struct One;

    impl Ids for One {
        fn next(&self) -> Uuid {
            Uuid::from_u128(1)
        }
    }

    fn observe(known: &mut Known, second: i64, method: &str, path: &str, body: &Value) {
        observe_as(known, second, (method, path), body, Presented::Bearer, false);
    }

    fn observe_as(
        known: &mut Known,
        second: i64,
        (method, path): (&str, &str),
        body: &Value,
        presented: Presented,
        is_unknown_path: bool,
    ) {
        let quirks = Quirks::new();
        let (path, query) =
            path.split_once('?').map_or((path, None), |(path, it)| (path, Some(it)));
        let text = body.to_string();
        let request =
            (!body.is_null()).then_some(Part { begin: text.as_bytes(), bytes: text.len() as u64 });
        let seen = Seen {
            request_id: RequestId::new(&One),
            at: Timestamp::from_second(2_000_000_000 + second).unwrap(),
            method,
            path,
            query,
            status: if is_unknown_path { 404 } else { 200 },
            client_address: None,
            user_agent: Some("Okta SCIM Client 1.0.0"),
            content_type: None,
            presented,
            by: Some(By::Token(TokenId::new(&One))),
            rerun_of: None,
            tried: "",
            is_unknown_path,
            quirks: &quirks,
            unknown_members: &[],
            location: None,
            request,
            answer: None,
        };
        known.observe(&seen, seen.body().as_ref());
    }

    fn sighted(known: &Known) -> Vec<&str> {
        SIGHTINGS.into_iter().filter(|it| known.sightings.contains_key(*it)).collect()
    }

    fn patch(operation: &Value) -> Value {
        json!({ "Operations": [operation] })
    }

    #[test]
    fn each_step_of_setting_up_is_seen_when_its_traffic_arrives() {
        let mut known = Known::default();
        let mut expected = Vec::new();
        let active = |is: bool| patch(&json!({ "op": "replace", "value": { "active": is } }));
        let add = patch(&json!({ "op": "add", "path": "members", "value": [{ "value": "7" }] }));
        for (step, method, path, body) in [
            ("credentials", "GET", "/Users?startIndex=1&count=2", Value::Null),
            ("", "PATCH", "/Users/7", active(true)),
            ("person", "POST", "/Users", json!({ "userName": "ana", "active": true })),
            ("update", "PUT", "/Users/7", json!({ "userName": "ana", "active": true })),
            ("deactivation", "PATCH", "/Users/7", active(false)),
            ("reactivation", "PATCH", "/Users/7", active(true)),
            ("group", "POST", "/Groups", json!({ "displayName": "Design", "members": [] })),
            ("membership", "PATCH", "/Groups/8", add),
            ("import", "GET", "/Users?startIndex=1&count=100", Value::Null),
        ] {
            observe(&mut known, 1, method, path, &body);
            if !step.is_empty() {
                expected.push(step);
            }
            assert_eq!(sighted(&known), expected, "{method} {path}");
        }
        let (kinds, attributes) = known.not_sent();
        assert!(kinds.is_empty());
        assert!(attributes.contains(&"emails") && !attributes.contains(&"userName"));
        assert!(known.traps().is_empty());
        assert_eq!(
            known.detect().name(),
            "Okta, an app of the catalogue or a template (it sends PATCH)"
        );
    }

    #[test]
    fn who_puts_only_is_an_app_of_the_wizard_and_a_switch_is_seen() {
        let mut known = Known::default();
        observe(&mut known, 1, "PUT", "/Users/7", &json!({ "userName": "ana", "active": true }));
        assert_eq!(known.detect().app, None, "both do so");
        observe(&mut known, 2, "PUT", "/Users/7", &json!({ "userName": "ana", "active": false }));
        assert_eq!(known.detect().app, Some("wizard"));
        observe(
            &mut known,
            3,
            "PATCH",
            "/Groups/7",
            &patch(&json!({ "op": "replace", "value": {} })),
        );
        assert_eq!(known.detect().app, Some("template"));
        assert_eq!(known.ways().deactivation, ["PUT"]);
    }

    #[test]
    fn one_group_for_both_is_seen_when_a_person_leaves_both_at_once() {
        let remove = patch(&json!({ "op": "remove", "path": "members[value eq \"7\"]" }));
        let off = patch(&json!({ "op": "replace", "value": { "active": false } }));
        for (later, is_trap) in [(5, true), (600, false)] {
            let mut known = Known::default();
            observe(&mut known, 1, "PATCH", "/Groups/8", &remove);
            // What is known of people survives being handed on.
            let _ = known.take();
            observe(&mut known, 1 + later, "PATCH", "/Users/7", &off);
            assert_eq!(known.traps.contains_key("same-group"), is_trap, "{later} seconds later");
        }
    }

    #[test]
    fn a_mistake_is_over_when_the_same_was_done_right_since() {
        let names = |known: &Known| known.traps().into_iter().map(|it| it.0).collect::<Vec<_>>();
        let mut known = Known::default();
        let send = |known: &mut Known, second, path, presented, is_unknown| {
            observe_as(known, second, ("GET", path), &Value::Null, presented, is_unknown);
        };
        send(&mut known, 1, "/Users", Presented::Bearer, false);
        send(&mut known, 2, "/Users/Users", Presented::Bearer, true);
        assert_eq!(names(&known), ["wrong-path"], "what was right before is no sign");
        // At the right path, and without the word.
        send(&mut known, 3, "/Users", Presented::Bare, false);
        assert_eq!(names(&known), ["token-without-bearer"]);
        send(&mut known, 4, "/Users/Users", Presented::Bearer, true);
        assert_eq!(names(&known), ["token-without-bearer", "wrong-path"]);
        send(&mut known, 5, "/Users", Presented::Bearer, false);
        assert!(names(&known).is_empty());
        // And again.
        send(&mut known, 6, "/Users/Users", Presented::Bearer, true);
        assert_eq!(names(&known), ["wrong-path"]);
    }

    #[test]
    fn a_provider_that_was_not_chosen_is_said() {
        let mut known = Known::default();
        observe(&mut known, 1, "GET", "/Users", &Value::Null);
        let detected = known.detect();
        assert_eq!(detected.mismatch(Provider::Okta), None);
        assert_eq!(detected.mismatch(Provider::Custom), None);
        let (what, to_do) = detected.mismatch(Provider::Entra).unwrap();
        assert!(what.contains("`entra`") && what.contains("Okta"), "{what}");
        assert!(to_do.contains("`okta`"), "{to_do}");
    }

    #[test]
    fn merging_is_the_same_as_having_seen_all() {
        let (mut all, mut first, mut second) =
            (Known::default(), Known::default(), Known::default());
        let body = json!({ "userName": "ana", "externalId": "00u1a2b3c4D5e6F7g8h9" });
        for (second_of, method, path) in [(1, "POST", "/Users"), (2, "PUT", "/Users/7")] {
            observe(&mut all, second_of, method, path, &body);
            let part = if second_of == 1 { &mut first } else { &mut second };
            observe(part, second_of, method, path, &body);
        }
        assert!(second.has_news_for(&first));
        second.merge(&first);
        assert_eq!(second, all);
        assert!(!first.has_news_for(&second));
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Known>(&text).unwrap(), all);
    }
}
