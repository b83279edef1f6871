//! The people of a connection: found, and one of them with what the provider says of them, their groups,
//! and what happened to them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use directory::event::EventKind;
use directory::{ErasureId, PortalFeature, ResourceId};
use futures_util::stream;
use scim::dialect::Quirks;
use scim::list::{ListQuery, Sort};
use scim::sort::BoundSort;
use scim::{Preset, ResourceType};
use serde::Deserialize;
use serde_json::Value;
use store::{DirectoryStore, EventRecord, RequestFilter, SoughtBy, UserRecord};

use super::activity::Row as RequestRow;
use super::connection::Connection;
use super::live::Live;
use crate::api::requests::subjects;
use crate::api::roles::assigned;
use crate::api::sign_in::SignInView;
use crate::api::users::{filter, listed};
use crate::pages::parts::{Copyable, Frame, Sentence, When, with_query};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page, page_with};
use crate::problem::Problem;
use crate::scim::Represent as _;
use crate::table;

/// People of a page.
pub(super) const PAGE: u64 = 50;

/// Events of a page.
pub(super) const EVENTS: u64 = 50;

/// Requests that are shown of a person; all are on a page of their own.
const REQUESTS: u64 = 5;

#[derive(Template)]
#[template(path = "directory/people.html")]
pub(crate) struct PeoplePage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) asked: Asked,
    pub(crate) people: Vec<Row>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
    /// Where all of them are as a table for spreadsheets.
    pub(crate) table: String,
}

/// Somebody, in a list.
pub(crate) struct Row {
    /// Of their page.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) user_name: String,
    pub(crate) email: Option<String>,
    pub(crate) is_active: bool,
    pub(crate) changed_at: When,
}

impl Row {
    pub(crate) fn new(user: &UserRecord, connection: &str) -> Row {
        let said: Value = serde_json::from_str(&user.text).unwrap_or_default();
        let user_name = text(&said["userName"]).unwrap_or_default();
        Row {
            address: format!("{connection}/people/{}", user.id),
            name: name(&said).unwrap_or_else(|| user_name.clone()),
            email: email(&said).filter(|it| *it != user_name),
            user_name,
            is_active: user.is_active,
            changed_at: When(user.modified_at),
        }
    }
}

/// Who is looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// The beginning of a name or an address.
    pub(crate) q: String,
    /// `active`, `inactive`, or everybody.
    pub(crate) show: String,
    /// `name`, `-name`, `changed`; otherwise as they came.
    pub(crate) sort: String,
    pub(crate) after: String,
}

impl Asked {
    /// As a filter of SCIM.
    fn filter(&self) -> Option<String> {
        const LOOKED_AT: [&str; 5] =
            ["userName", "displayName", "name.familyName", "name.givenName", "emails.value"];
        let q = Value::from(self.q.trim());
        let begins = LOOKED_AT.map(|name| format!("{name} sw {q}")).join(" or ");
        let named = (!self.q.trim().is_empty()).then(|| format!("({begins})"));
        let active = match self.show.as_str() {
            "active" => Some("active eq true".to_owned()),
            "inactive" => Some("active eq false".to_owned()),
            _ => None,
        };
        let parts: Vec<_> = named.into_iter().chain(active).collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }

    /// The same question, from a place on.
    fn address(&self, page: &str, after: &str) -> String {
        let asked =
            [("q", self.q.trim()), ("show", &self.show), ("sort", &self.sort), ("after", after)];
        with_query(page, asked)
    }
}

/// `GET …/people`.
pub(super) async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    let connection = &visitor.connection;
    let store = visitor.open().await?;
    let base = visitor.counter.settings.directory_base_url(store.id());
    let wanted = Wanted { filter: asked.filter(), order: order(&asked.sort, "userName") };
    let (found, next) = found(&store, base, wanted, &asked.after, PAGE).await?;
    let people = found.iter().map(|user| Row::new(user, &connection.address)).collect();
    let live = Live::of_one(connection, &asked.address("/people", &asked.after));
    let next =
        next.map(|after| format!("{}{}", connection.address, asked.address("/people", &after)));
    let table = format!("{}{}", connection.address, asked.address("/people.csv", ""));
    let Visitor { frame, reader, connection, .. } = visitor;
    Ok(page(&PeoplePage { frame, reader, connection, live, asked, people, next, table }))
}

/// Who is wanted, and in which order.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// As SCIM says it.
    pub(super) filter: Option<String>,
    pub(super) order: Option<Sort>,
}

/// An order, by the word that stands for it in an address.
pub(super) fn order(word: &str, name: &str) -> Option<Sort> {
    let (by, order) = match word {
        "name" => (name, "ascending"),
        "-name" => (name, "descending"),
        "changed" => ("meta.lastModified", "descending"),
        _ => return None,
    };
    ListQuery::parse([("sortBy", by), ("sortOrder", order)].into_iter()).ok()?.sort
}

/// The order on resources of a type.
pub(super) fn bound(order: Option<Sort>, resource_type: &ResourceType) -> Option<Arc<BoundSort>> {
    order?.bind(resource_type, Preset::Lenient, &mut Quirks::new()).ok().map(Arc::new)
}

/// Some people who are wanted, and where more of them are.
pub(super) async fn found(
    store: &DirectoryStore,
    base: String,
    wanted: Wanted,
    after: &str,
    most: u64,
) -> Result<(Vec<UserRecord>, Option<String>), Stop> {
    let kind = Arc::clone(store.types().user());
    let filter = filter([], wanted.filter, &kind)?;
    let order = bound(wanted.order, &kind);
    if filter.is_none() && order.is_none() {
        let after = after.parse::<u32>().unwrap_or_default();
        let found = store.users_after(after.into(), most).await?;
        return Ok((found.items, found.next.map(|ordinal| ordinal.to_string())));
    }
    let after = (!after.is_empty()).then(|| after.to_owned());
    let found = store.users(listed((filter, order), kind, base, most, after)).await?;
    Ok((found.items, found.next))
}

/// `GET …/people.csv`: all who are looked for, for a spreadsheet.
pub(super) async fn table(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Stop> {
    const COLUMNS: [&str; 8] =
        ["id", "user_name", "name", "email", "external_id", "active", "created_at", "changed_at"];

    let store = visitor.open().await?;
    let base = visitor.counter.settings.directory_base_url(store.id());
    let wanted = Wanted { filter: asked.filter(), order: order(&asked.sort, "userName") };
    // What cannot be read is said before the table begins.
    filter([], wanted.filter.clone(), store.types().user())?;
    let mut head = String::new();
    table::write_row(&mut head, COLUMNS);
    let piece = move |after: Option<String>| {
        let (store, base, wanted) = (store.clone(), base.clone(), wanted.clone());
        async move {
            let after = after.unwrap_or_default();
            let (people, next) = found(&store, base, wanted, &after, EXPORTED_AT_ONCE).await?;
            let mut text = String::new();
            for user in &people {
                let said: Value = serde_json::from_str(&user.text).unwrap_or_default();
                let text_of = |name: &str| said[name].as_str().unwrap_or_default();
                table::write_row(
                    &mut text,
                    [
                        user.id.to_string().as_str(),
                        text_of("userName"),
                        &name(&said).unwrap_or_default(),
                        &email(&said).unwrap_or_default(),
                        text_of("externalId"),
                        if user.is_active { "true" } else { "false" },
                        &scim::datetime::print(user.created_at),
                        &scim::datetime::print(user.modified_at),
                    ],
                );
            }
            Ok((text, next))
        }
    };
    Ok(table::answer(&format!("people-{}.csv", visitor.connection.id), pieces(head, piece)))
}

/// Entries that are read at once for a table.
pub(super) const EXPORTED_AT_ONCE: u64 = 500;

/// A table broke off, because it could not be read on.
#[derive(Debug, thiserror::Error)]
#[error("the table could not be read to its end")]
pub(super) struct BrokenOff;

/// A table, page by page: `piece` makes one, and says where the next begins.
pub(super) fn pieces<F, P>(
    head: String,
    piece: F,
) -> impl futures_util::Stream<Item = Result<String, BrokenOff>> + Send
where
    F: Fn(Option<String>) -> P + Send + Sync + 'static,
    P: Future<Output = Result<(String, Option<String>), Stop>> + Send + 'static,
{
    enum At {
        Page(String, Option<String>),
        End,
    }
    let piece = Arc::new(piece);
    stream::unfold(At::Page(head, None), move |at| {
        let piece = Arc::clone(&piece);
        async move {
            let At::Page(head, after) = at else { return None };
            match piece(after).await {
                Ok((text, next)) => {
                    let at = next.map_or(At::End, |next| At::Page(String::new(), Some(next)));
                    Some((Ok(head + &text), at))
                }
                Err(_) => Some((Err(BrokenOff), At::End)),
            }
        }
    })
}

#[derive(Template)]
#[template(path = "directory/person.html")]
pub(crate) struct Person {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) id: Copyable,
    pub(crate) row: Row,
    pub(crate) created_at: When,
    /// What the provider says, by the names of SCIM.
    pub(crate) attributes: Vec<(String, String)>,
    /// Address and name of each.
    pub(crate) groups: Vec<(String, String)>,
    pub(crate) happened: Vec<Happened>,
    /// Where the timeline goes on.
    pub(crate) next: Option<String>,
    /// Where requests about them are, where the link opens that.
    pub(crate) activity: Option<String>,
    /// The roles that they have in the app, each with its reason.
    pub(crate) roles: Vec<(String, Sentence)>,
    /// What is shown to members alone.
    pub(crate) more: Option<More>,
}

/// What members see of a person.
pub(crate) struct More {
    /// As SCIM has it.
    pub(crate) raw: String,
    /// What the app would be answered if they signed in.
    pub(crate) sign_in: Sentence,
    /// The latest requests about them.
    pub(crate) requests: Vec<RequestRow>,
    /// What was typed to erase them, where that was not their name.
    pub(crate) is_wrong: bool,
}

/// Something that happened to somebody.
pub(crate) struct Happened {
    pub(crate) at: When,
    pub(crate) what: What,
    /// Who caused it, as causes are told.
    pub(crate) by: String,
    /// Of the page of the request, where there is one.
    pub(crate) request: Option<String>,
}

pub(crate) enum What {
    Created,
    /// These attributes.
    Changed(String),
    Deactivated,
    Reactivated,
    Deleted,
    /// Into this group.
    Joined(String),
    Left(String),
    /// Into it, this person.
    Taken(String),
    Dropped(String),
    /// Something that a later version tells.
    Other(String),
}

impl Happened {
    /// The same of a group: who came and went, not where to.
    pub(super) fn of_group(event: EventRecord, activity: Option<&str>) -> Happened {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let who = text(&data["member"]["value"]).unwrap_or_default();
        let mut happened = Happened::new(event, activity);
        happened.what = match happened.what {
            What::Joined(_) => What::Taken(who),
            What::Left(_) => What::Dropped(who),
            other => other,
        };
        happened
    }

    /// `activity`: the address of requests, where they may be seen.
    fn new(event: EventRecord, activity: Option<&str>) -> Happened {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let cause: Value =
            event.cause.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or_default();
        let changed = || {
            let names = data["changes"].as_object().into_iter().flatten().map(|(name, _)| name);
            names.map(|name| short(name)).collect::<Vec<_>>().join(", ")
        };
        let group = || text(&data["group"]["displayName"]).unwrap_or_default();
        let what = match event.kind.parse() {
            Ok(EventKind::UserCreated | EventKind::GroupCreated) => What::Created,
            Ok(EventKind::UserUpdated | EventKind::GroupUpdated) => What::Changed(changed()),
            Ok(EventKind::UserDeactivated) => What::Deactivated,
            Ok(EventKind::UserReactivated) => What::Reactivated,
            Ok(EventKind::UserDeleted | EventKind::GroupDeleted) => What::Deleted,
            Ok(EventKind::GroupMemberAdded) => What::Joined(group()),
            Ok(EventKind::GroupMemberRemoved) => What::Left(group()),
            _ => What::Other(event.kind),
        };
        let request = text(&cause["request_id"]).zip(activity);
        let by = text(&cause["by"]["type"]).unwrap_or_default();
        let of_provider = matches!(by.as_str(), "token" | "oauth_client");
        Happened {
            at: When(event.occurred_at),
            what,
            // Of other requests there is no page.
            request: request.filter(|_| of_provider).map(|(id, at)| format!("{at}/{id}")),
            by,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedOfOne {
    after: String,
}

/// `GET …/people/{user}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, user)): Path<(String, String, String)>,
    Query(asked): Query<AskedOfOne>,
) -> Result<Response, Stop> {
    one(visitor, &user, &asked, false).await
}

async fn one(
    visitor: Visitor,
    user: &str,
    asked: &AskedOfOne,
    is_wrong: bool,
) -> Result<Response, Stop> {
    let store = visitor.open().await?;
    let id = ResourceId::parse(user).ok_or_else(unknown)?;
    let user = store.user(id, true).await?.ok_or_else(unknown)?;
    let address = visitor.connection.address.clone();
    let sees_requests = visitor.reader.sees(PortalFeature::Activity);
    let activity = sees_requests.then(|| format!("{address}/activity"));
    let after = asked.after.parse::<u32>().unwrap_or_default();
    let timeline = store.timeline(id, after.into(), EVENTS).await?;
    let happened = timeline.events.into_iter();
    let happened = happened.map(|event| Happened::new(event, activity.as_deref())).collect();
    let groups = user.groups.iter();
    let groups =
        groups.map(|it| (format!("{address}/groups/{}", it.id), it.display_name.clone())).collect();
    let said: Value = serde_json::from_str(&user.text).unwrap_or_default();
    let row = Row::new(&user, &address);
    let explained = store.roles_of(vec![id]).await?;
    let roles = assigned(explained.of(id), &row.user_name, &explained.groups);
    let roles = roles.into_iter().map(|it| (it.id, Sentence(it.reason))).collect();
    let more = if visitor.reader.is_member() {
        let base = visitor.counter.settings.directory_base_url(store.id());
        let raw = user.members(store.types().user(), &base, |_| true);
        Some(More::new(&visitor, raw.into(), id, is_wrong).await?)
    } else {
        None
    };
    let page_of = format!("/people/{}", user.id);
    let place = if after == 0 { page_of.clone() } else { format!("{page_of}?after={after}") };
    let live = Live::of_one(&visitor.connection, &place);
    let next = timeline.next.map(|number| format!("{address}{page_of}?after={number}"));
    let Visitor { frame, reader, connection, .. } = visitor;
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let shown = Person {
        frame,
        reader,
        live,
        id: Copyable::new("user-id", user.id.to_string()),
        row,
        created_at: When(user.created_at),
        attributes: flat(&said),
        groups,
        happened,
        next,
        activity: activity.map(|it| format!("{it}?q={}", user.id)),
        roles,
        more,
        connection,
    };
    Ok(page_with(status, &shown))
}

impl More {
    async fn new(
        visitor: &Visitor,
        raw: Value,
        id: ResourceId,
        is_wrong: bool,
    ) -> Result<More, Stop> {
        let (store, connection) = (&visitor.store, &visitor.connection);
        let known = store.sign_in(visitor.organization_id, SoughtBy::Id(id)).await?;
        let sign_in = known.map(|it| SignInView::new(it).explanation).unwrap_or_default();
        let name = id.to_string();
        let asked = (store, &*visitor.counter);
        let filter = RequestFilter {
            directory_id: Some(connection.id),
            subjects: Some(subjects(asked, Some(connection.id), (&name, false)).await?),
            ..RequestFilter::default()
        };
        let requests = store.requests(filter, REQUESTS).await?.requests.into_iter();
        Ok(More {
            raw: serde_json::to_string_pretty(&raw).unwrap_or_default(),
            sign_in: Sentence(sign_in),
            requests: requests.map(|it| RequestRow::new(it, &connection.address)).collect(),
            is_wrong,
        })
    }
}

/// `POST …/people/{user}/erase`: for good, where their user name was typed.
pub(super) async fn erase(
    visitor: Visitor,
    Path((_, _, user)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let store = visitor.open().await?;
    let id = ResourceId::parse(&user).ok_or_else(unknown)?;
    let found = store.user(id, false).await?.ok_or_else(unknown)?;
    let row = Row::new(&found, "");
    if visitor.form.text("user_name") != row.user_name.trim() {
        return one(visitor, &user, &AskedOfOne::default(), true).await;
    }
    let erasure = visitor.store.erase_user(visitor.connection.id, id).await?;
    Ok(go_to(&format!("{}/erasures/{}", visitor.connection.address, erasure.id)))
}

#[derive(Template)]
#[template(path = "directory/erasure.html")]
pub(crate) struct ErasurePage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) id: Copyable,
    pub(crate) user_ids: Vec<String>,
    pub(crate) begun_at: When,
    pub(crate) finished_at: Option<When>,
    /// Who asked for it.
    pub(crate) by: String,
    /// What was erased, and how much of it.
    pub(crate) erased: [(&'static str, u64); 5],
}

/// `GET …/erasures/{erasure}`: how far it is, and the receipt.
pub(super) async fn receipt(
    visitor: Visitor,
    Path((_, _, erasure)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let unknown = || Stop::from(Problem::not_found("erasure"));
    let id: ErasureId = erasure.parse().map_err(|_| unknown())?;
    let found = visitor.store.erasure(id).await?;
    let here = visitor.connection.id;
    let found = found.filter(|it| it.directory_id == here).ok_or_else(unknown)?;
    let live = Live::of_one(&visitor.connection, &format!("/erasures/{id}"));
    let Visitor { frame, reader, connection, .. } = visitor;
    let (kind, by, name) = found.asked_by;
    let erased = found.erased;
    Ok(page(&ErasurePage {
        frame,
        reader,
        connection,
        live,
        id: Copyable::new("erasure-id", found.id.to_string()),
        user_ids: found.user_ids.iter().map(ToString::to_string).collect(),
        begun_at: When(found.begun_at),
        finished_at: found.finished_at.map(When),
        by: name.or(by).unwrap_or(kind),
        erased: [
            ("People deleted", erased.users),
            ("Former entries", erased.former_users),
            ("Events emptied", erased.events),
            ("Deliveries emptied", erased.deliveries),
            ("Requests emptied", erased.requests),
        ],
    }))
}

fn unknown() -> Stop {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "This person is not here",
        "they were deleted, or never were here under this id",
        "What happened to them stands among the events of the directory; a provider that sends somebody \
         anew makes another person of them",
    )
    .into()
}

/// What somebody is called.
fn name(said: &Value) -> Option<String> {
    let name = &said["name"];
    let parts = || {
        let parts = [&name["givenName"], &name["familyName"]];
        let whole = parts.into_iter().filter_map(text).collect::<Vec<_>>().join(" ");
        (!whole.is_empty()).then_some(whole)
    };
    text(&said["displayName"]).or_else(|| text(&name["formatted"])).or_else(parts)
}

/// The address that they are written to.
fn email(said: &Value) -> Option<String> {
    let all = said["emails"].as_array()?;
    let primary = all.iter().find(|it| it["primary"] == true).or_else(|| all.first())?;
    text(&primary["value"])
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|it| !it.is_empty()).map(str::to_owned)
}

/// The name of an attribute as people read it: of a schema's URN, the end.
fn short(name: &str) -> String {
    match name.strip_prefix("urn:") {
        // `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`
        Some(urn) if urn.ends_with(":User") && urn.contains(":enterprise:") => {
            "enterprise".to_owned()
        }
        _ => name.to_owned(),
    }
}

/// A line for each attribute that is there.
pub(crate) fn flat(said: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, value) in said.as_object().into_iter().flatten() {
        // It says what the names mean, and the rest of the page says the others.
        if matches!(name.as_str(), "schemas" | "id" | "meta" | "groups" | "members") {
            continue;
        }
        match value {
            Value::Object(parts) => {
                let line = |(part, value): (&String, &Value)| {
                    (format!("{}.{part}", short(name)), plain(value))
                };
                lines.extend(parts.iter().map(line));
            }
            value => lines.push((short(name), plain(value))),
        }
    }
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

/// A value, for people: of one with parts, what it is, and in brackets what else is said of it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(parts) => {
            let main = ["displayName", "value", "display", "formatted"]
                .into_iter()
                .find_map(|name| parts.get(name).map(|value| (name, plain(value))));
            let Some((main, shown)) = main else {
                let parts = parts.iter().map(|(name, value)| format!("{name} {}", plain(value)));
                return parts.collect::<Vec<_>>().join(", ");
            };
            let also = |(name, value): (&String, &Value)| match value {
                _ if name == main || name == "$ref" => None,
                Value::Bool(true) => Some(name.clone()),
                Value::String(text) if name == "type" => Some(text.clone()),
                _ => None,
            };
            let also: Vec<_> = parts.iter().filter_map(also).collect();
            if also.is_empty() { shown } else { format!("{shown} ({})", also.join(", ")) }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_provider_says_is_told_in_lines() {
        let said = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ana@acme.test",
            "active": true,
            "title": "",
            "name": { "givenName": "Ana", "familyName": "Lima" },
            "emails": [
                { "value": "ana@acme.test", "type": "work", "primary": true },
                { "value": "ana@home.test" },
            ],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                "department": "Design",
                "manager": { "value": "7", "displayName": "Bo", "$ref": "…" },
            },
        });
        let lines = flat(&said);
        let line =
            |name: &str| lines.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
        assert_eq!(line("userName"), Some("ana@acme.test"));
        assert_eq!(line("active"), Some("true"));
        assert_eq!(line("name.familyName"), Some("Lima"));
        assert_eq!(line("emails"), Some("ana@acme.test (work, primary), ana@home.test"));
        assert_eq!(line("enterprise.department"), Some("Design"));
        assert_eq!(line("enterprise.manager"), Some("Bo"));
        assert_eq!(line("title"), None);
        assert_eq!(line("schemas"), None);
        assert_eq!(name(&said).as_deref(), Some("Ana Lima"));
        assert_eq!(email(&said).as_deref(), Some("ana@acme.test"));
    }

    #[test]
    fn people_are_looked_for_as_scim_says_it() {
        let asked = |q: &str, show: &str| Asked {
            q: q.to_owned(),
            show: show.to_owned(),
            ..Asked::default()
        };
        assert_eq!(asked(" ", "").filter(), None);
        assert_eq!(asked("", "inactive").filter().as_deref(), Some("active eq false"));
        let both = asked("o\"brien", "active").filter().unwrap();
        assert!(both.starts_with(r#"(userName sw "o\"brien" or displayName sw"#), "{both}");
        assert!(both.ends_with(") and active eq true"), "{both}");
    }
}
