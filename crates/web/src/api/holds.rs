//! Changes that wait: why, what they are, and what somebody says of them.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use directory::{
    DirectoryId, Hold, HoldId, HoldKind, HoldOutcome, HoldState, Lost, Provider, ResourceId,
};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use store::{ApiStore, HeldChange, HoldRecord, Verdict};
use utoipa::ToSchema;

use super::events::{CauseView, cause_view};
use super::users::ordinal_after;
use super::{PageOf, PageQuery, Path, Query, Tagged, Vendor, When, describe, id, page_of};
use crate::problem::Problem;
use crate::table;

/// Entries of the list of what was lost that are read at once.
const LOST_AT_ONCE: u64 = 1_000;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(super) struct HoldView {
    id: String,
    directory_id: String,
    /// `brake`: so many people lost something in a short time that nothing is let out any more.
    /// `shadow`: nothing is let out before somebody has looked at it.
    #[schema(schema_with = describe::hold_kind)]
    kind: HoldKind,
    /// `held`: it waits. `rejected`: it was a mistake, and waits until the provider has brought back
    /// what was lost. `letting_out`: what waited goes out. `ended`: nothing waits any more.
    #[schema(schema_with = describe::hold_state)]
    state: HoldState,
    /// Why what waited was let out, where it was.
    #[schema(schema_with = describe::hold_outcome, required = false)]
    outcome: Option<HoldOutcome>,
    /// How many people would have lost something when it began.
    people: u64,
    /// How many might have.
    people_max: u64,
    /// How many accounts and memberships are lost now while it waits, and not back: those of `…/lost`.
    lost: u64,
    started_at: String,
    /// When what waits is let out if nobody decides; `null` where it then stays.
    until: Option<String>,
    decided_at: Option<String>,
    ended_at: Option<String>,
    cause: Option<CauseView>,
    decided_by: Option<CauseView>,
    /// How many events of which type would be let out; of one hold only, while it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    counts: Option<BTreeMap<String, u64>>,
    /// What the admin of the provider is to do; of one that was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'static str>,
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> HoldView {
        let time = |at: Option<_>| at.map(scim::datetime::print);
        HoldView {
            id: hold.id.to_string(),
            directory_id: hold.directory_id.to_string(),
            kind: hold.kind,
            state: hold.state,
            outcome: hold.outcome,
            people: hold.people,
            people_max: hold.people_max,
            lost: hold.lost,
            started_at: scim::datetime::print(hold.started_at),
            until: time(hold.until),
            decided_at: time(hold.decided_at),
            ended_at: time(hold.ended_at),
            cause: cause_view(Some(&hold.cause)),
            decided_by: cause_view(hold.decided_by.as_deref()),
            counts: None,
            instructions: None,
        }
    }
}

/// What brings back what was lost, in the words of the provider's own pages.
pub(crate) fn instructions(provider: Provider) -> &'static str {
    match provider {
        Provider::Okta => {
            "In the Okta Admin Console open Applications, then the app. Under Assignments, assign \
             the people of the list again, or the groups through which they were assigned. Under \
             Push Groups, choose Push Now for each group of the list. Okta sends everybody anew; \
             when all are back, the hold ends by itself."
        }
        Provider::Entra => {
            "In the Microsoft Entra admin center open Enterprise applications, then the app. Under \
             Users and groups, add the people and groups of the list again. Under Provisioning, \
             choose Restart provisioning, or Provision on demand for each of them. When all are \
             back, the hold ends by itself."
        }
        _ => {
            "In the identity provider, assign the people of the list to the app again, put them \
             back into the groups of the list, and have both provisioned. When all are back, the \
             hold ends by itself."
        }
    }
}

/// `GET /directories/{directory}/holds`, in the order in which they began.
pub(super) async fn list(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<HoldView>>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let limit = page.limit()?;
    let found = vendor.store.holds(directory, page.after()?, limit + 1).await?;
    Ok(Json(page_of(found, limit, |hold| hold.id.to_string(), HoldView::from)))
}

/// `GET /directories/{directory}/holds/{hold}`, with how much waits.
pub(super) async fn get(
    vendor: Vendor,
    Path((directory, hold)): Path<(String, String)>,
) -> Result<Tagged<HoldView>, Problem> {
    view(&vendor, id(&directory, "directory")?, id(&hold, "hold")?).await
}

/// `POST /directories/{directory}/holds/{hold}/approve`: it was meant so.
pub(super) async fn approve(
    vendor: Vendor,
    path: Path<(String, String)>,
    when: When,
) -> Result<Tagged<HoldView>, Problem> {
    decide(&vendor, path, when, Verdict::Approve).await
}

/// `POST /directories/{directory}/holds/{hold}/reject`: it was a mistake.
pub(super) async fn reject(
    vendor: Vendor,
    path: Path<(String, String)>,
    when: When,
) -> Result<Tagged<HoldView>, Problem> {
    decide(&vendor, path, when, Verdict::Reject).await
}

async fn decide(
    vendor: &Vendor,
    Path((directory, hold)): Path<(String, String)>,
    when: When,
    verdict: Verdict,
) -> Result<Tagged<HoldView>, Problem> {
    let (directory, hold): (DirectoryId, HoldId) =
        (id(&directory, "directory")?, id(&hold, "hold")?);
    if verdict == Verdict::Approve && when.0.among.is_none() {
        ask_what_was_seen(vendor, directory, hold).await?;
    }
    vendor.store.decide_hold(directory, when.guard(hold), verdict).await?;
    view(vendor, directory, hold).await
}

/// Who approves that people lose something says what they have looked at: while they did, others may
/// have lost theirs too. In a shadow nobody loses anything.
async fn ask_what_was_seen(
    vendor: &Vendor,
    directory: DirectoryId,
    hold: HoldId,
) -> Result<(), Problem> {
    let found = vendor.store.hold(directory, hold).await?;
    let HoldRecord { hold, .. } = found.ok_or_else(|| Problem::not_found("hold"))?;
    let is_open = matches!(hold.state, HoldState::Held | HoldState::Rejected);
    if hold.kind == HoldKind::Shadow || !is_open {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PRECONDITION_REQUIRED,
        "not-looked-at",
        "It is not said what was looked at",
        format!(
            "while this hold waits, more may be lost; accounts and memberships by now: {}",
            hold.lost
        ),
        "Read the hold and what is lost, and send its `ETag` as `If-Match`: it is approved as far as \
         you have seen it, or not at all",
    ))
}

async fn view(
    vendor: &Vendor,
    directory: DirectoryId,
    hold: HoldId,
) -> Result<Tagged<HoldView>, Problem> {
    let found = vendor.store.hold(directory, hold).await?;
    let HoldRecord { hold, counts } = found.ok_or_else(|| Problem::not_found("hold"))?;
    let revision = hold.revision();
    let instructions = match hold.state {
        HoldState::Rejected => Some(instructions(provider(vendor, directory).await?)),
        _ => None,
    };
    let counts = (hold.state != HoldState::Ended).then(|| counts.into_iter().collect());
    Ok(Tagged { revision, view: HoldView { counts, instructions, ..hold.into() } })
}

async fn provider(vendor: &Vendor, directory: DirectoryId) -> Result<Provider, Problem> {
    let found = vendor.store.directory(directory).await?;
    Ok(found.ok_or_else(|| Problem::not_found("directory"))?.directory.provider)
}

/// `POST /directories/{directory}/shadow`: nothing of it is let out before somebody has looked.
pub(super) async fn begin_shadow(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<(StatusCode, Tagged<HoldView>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let hold = vendor.store.begin_shadow(directory).await?;
    Ok((StatusCode::CREATED, view(&vendor, directory, hold).await?))
}

/// What the app would be told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldChange)]
pub(super) struct HeldChangeView {
    /// As of an event.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What caused it last.
    cause: Option<CauseView>,
    /// When it last changed.
    changed_at: String,
    /// As of an event: it leads from what the app has heard to what is so.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

fn change_view(change: HeldChange) -> Option<HeldChangeView> {
    let draft = change.draft?;
    Some(HeldChangeView {
        kind: draft.kind.as_str(),
        cause: cause_view(Some(&change.cause)),
        changed_at: scim::datetime::print(change.changed_at),
        data: RawValue::from_string(draft.data).expect("events are written as JSON"),
    })
}

/// `GET /directories/{directory}/holds/{hold}/changes`, in the order in which they would be let out.
pub(super) async fn changes(
    vendor: Vendor,
    Path((directory, hold)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<HeldChangeView>>, Problem> {
    let (directory, hold) = (id(&directory, "directory")?, id(&hold, "hold")?);
    let after = ordinal_after(&page)?;
    let found = vendor.store.held_changes(directory, hold, after, page.limit()?).await?;
    let (changes, next) = found.ok_or_else(|| Problem::not_found("hold"))?;
    let data = changes.into_iter().filter_map(change_view).collect();
    Ok(Json(PageOf { data, next: next.map(|ordinal| ordinal.to_string()) }))
}

/// Something that the provider has to bring back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lost)]
pub(super) struct LostView {
    /// `user`: the person may not use the app any more. `membership`: they belong to the group no more.
    kind: &'static str,
    id: String,
    /// By which the provider knows them.
    name: String,
    group_id: Option<String>,
    group_name: Option<String>,
    /// What to do about it.
    to_do: String,
}

impl From<Lost> for LostView {
    fn from(lost: Lost) -> LostView {
        let Lost { member_id, member_name: name, group } = lost;
        let (kind, to_do) = match &group {
            None => ("user", format!("Assign `{name}` to the app again")),
            Some((_, group)) => {
                ("membership", format!("Put `{name}` back into `{group}`, and push the group"))
            }
        };
        let (group_id, group_name) =
            group.map(|(id, name): (ResourceId, String)| (id.to_string(), name)).unzip();
        LostView { kind, id: member_id.to_string(), name, group_id, group_name, to_do }
    }
}

/// `GET /directories/{directory}/holds/{hold}/lost`: what is not back yet.
pub(super) async fn lost(
    vendor: Vendor,
    Path((directory, hold)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<LostView>>, Problem> {
    let (directory, hold) = (id(&directory, "directory")?, id(&hold, "hold")?);
    let (after, limit) = (ordinal_after(&page)?, page.limit()?);
    let found = vendor.store.lost(directory, hold, after, limit + 1).await?;
    let found = found.ok_or_else(|| Problem::not_found("hold"))?;
    Ok(Json(page_of(found, limit, |(place, _)| place.to_string(), |(_, lost)| lost.into())))
}

/// `GET /directories/{directory}/holds/{hold}/lost.csv`: the same as a table, to be handed to whoever
/// looks after the provider.
pub(super) async fn lost_table(
    vendor: Vendor,
    Path((directory, hold)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (directory, hold) = there(&vendor, &directory, &hold).await?;
    Ok(lost_table_of(vendor.store, directory, hold))
}

/// The list as it is downloaded, also from a page: written while it is read.
pub(crate) fn lost_table_of(store: ApiStore, directory: DirectoryId, hold: HoldId) -> Response {
    let first = ("kind,id,name,group_id,group_name,to_do\r\n".to_owned(), Some(0));
    let pieces = stream::try_unfold(first, move |(mut table, after)| {
        let store = store.clone();
        async move {
            let Some(place) = after else {
                return Ok::<_, store::Error>(
                    (!table.is_empty()).then(|| (table, (String::new(), None))),
                );
            };
            let found = store.lost(directory, hold, place, LOST_AT_ONCE).await?.unwrap_or_default();
            let is_full = found.len() as u64 == LOST_AT_ONCE;
            let next = found.last().filter(|_| is_full).map(|(place, _)| *place);
            for (_, lost) in found {
                let LostView { kind, id, name, group_id, group_name, to_do } = lost.into();
                let (group_id, group_name) =
                    (group_id.unwrap_or_default(), group_name.unwrap_or_default());
                let cells = [kind, &id, &name, &group_id, &group_name, &to_do];
                table::write_row(&mut table, cells);
            }
            Ok(Some((table, (String::new(), next))))
        }
    });
    table::answer("lost.csv", pieces)
}

/// What an app would be told, in a few words: of which type, whom it is about, and of which group.
pub(crate) struct ToldRow {
    pub(crate) kind: &'static str,
    /// The person or group.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Whether that is a group.
    pub(crate) is_group: bool,
    /// The group that somebody belongs to from then on, or no more.
    pub(crate) group: Option<String>,
    pub(crate) changed_at: Timestamp,
}

/// Reads what would be told, with the names of people of whom an event has the id alone.
pub(crate) struct Report {
    store: ApiStore,
    directory: DirectoryId,
    hold: HoldId,
    /// Names that were looked for, or read on the way.
    names: HashMap<String, String>,
}

impl Report {
    pub(crate) fn new(store: ApiStore, directory: DirectoryId, hold: HoldId) -> Report {
        Report { store, directory, hold, names: HashMap::new() }
    }

    /// Some of it after a place, and where it goes on. `None` where there is no such hold.
    pub(crate) async fn read(
        &mut self,
        after: u64,
        count: u64,
    ) -> Result<Option<(Vec<ToldRow>, Option<u64>)>, store::Error> {
        let found = self.store.held_changes(self.directory, self.hold, after, count).await?;
        let Some((changes, next)) = found else { return Ok(None) };
        let mut rows = Vec::new();
        for change in changes {
            let Some(draft) = change.draft else { continue };
            let data: Value = serde_json::from_str(&draft.data).unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (user, group, member) = (&data["user"], &data["group"], &data["member"]);
            let group_name = text(&group["displayName"]);
            let (id, name, is_group) = if user.is_object() {
                let (id, name) = (text(&user["id"]), text(&user["userName"]));
                self.names.insert(id.clone(), name.clone());
                (id, name, false)
            } else if member.is_object() {
                let id = text(&member["value"]);
                let name = self.name(&id).await?;
                (id, name, member["type"] == "Group")
            } else {
                (text(&group["id"]), group_name.clone(), true)
            };
            rows.push(ToldRow {
                kind: draft.kind.as_str(),
                id,
                name,
                is_group,
                group: member.is_object().then_some(group_name),
                changed_at: change.changed_at,
            });
        }
        Ok(Some((rows, next)))
    }

    /// What somebody is called who belongs to a group.
    async fn name(&mut self, id: &str) -> Result<String, store::Error> {
        if let Some(name) = self.names.get(id) {
            return Ok(name.clone());
        }
        let mut name = String::new();
        if let (Some(of), Some(id)) =
            (self.store.open(self.directory).await?, ResourceId::parse(id))
        {
            let said = |text: &str, name: &str| {
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                value[name].as_str().unwrap_or_default().to_owned()
            };
            if let Some(user) = of.user(id, false).await? {
                name = said(&user.text, "userName");
            } else if let Some(group) = of.group(id, false).await? {
                name = said(&group.text, "displayName");
            }
        }
        self.names.insert(id.to_owned(), name.clone());
        Ok(name)
    }

    /// All of it, as a table that is written while it is read.
    pub(crate) fn table(self) -> Response {
        let first = (self, "type,id,name,group_name,changed_at\r\n".to_owned(), Some(0));
        let pieces = stream::try_unfold(first, async move |(mut report, mut table, after)| {
            let Some(place) = after else {
                let rest = (!table.is_empty()).then(|| (table, (report, String::new(), None)));
                return Ok::<_, store::Error>(rest);
            };
            let found = report.read(place, LOST_AT_ONCE).await?;
            let (rows, next) = found.unwrap_or_default();
            for row in rows {
                let at = scim::datetime::print(row.changed_at);
                let group = row.group.unwrap_or_default();
                table::write_row(&mut table, [row.kind, &row.id, &row.name, &group, &at]);
            }
            Ok(Some((table, (report, String::new(), next))))
        });
        table::answer("changes.csv", pieces)
    }
}

/// `GET /directories/{directory}/holds/{hold}/changes.csv`: what waits, as a table.
pub(super) async fn changes_table(
    vendor: Vendor,
    Path((directory, hold)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (directory, hold) = there(&vendor, &directory, &hold).await?;
    Ok(Report::new(vendor.store, directory, hold).table())
}

/// Whether there is such a hold, said before anything is written of it.
async fn there(
    vendor: &Vendor,
    directory: &str,
    hold: &str,
) -> Result<(DirectoryId, HoldId), Problem> {
    let (directory, hold) = (id(directory, "directory")?, id(hold, "hold")?);
    let found = vendor.store.hold(directory, hold).await?;
    found.ok_or_else(|| Problem::not_found("hold"))?;
    Ok((directory, hold))
}
