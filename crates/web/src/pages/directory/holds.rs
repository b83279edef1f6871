//! What waits until somebody has looked at it: why, who would lose what, and what is said of it.

use ::scim::etag::EntityTags;
use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use directory::{
    Guarded, Hold, HoldId, HoldKind, HoldOutcome, HoldState, Lost, Precondition, Rejection,
};
use serde::Deserialize;
use store::{HoldRecord, Verdict};

use super::connection::Connection;
use super::live::Live;
use crate::api::holds::{Report, ToldRow, instructions, lost_table_of};
use crate::pages::parts::{Frame, When};
use crate::pages::visitor::{Reader, Visitor};
use crate::pages::{Stop, go_to, page, page_with};
use crate::problem::Problem;

/// Holds that are listed, and what of one is shown at once.
const HOLDS_MAX: u64 = 1_000;
const PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "directory/holds.html")]
pub(crate) struct HoldsPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    /// The latest first.
    pub(crate) holds: Vec<Row>,
}

impl HoldsPage {
    /// Whether something waits now: then nothing more can begin to.
    pub(crate) fn has_open(&self) -> bool {
        self.holds.iter().any(|it| it.state != HoldState::Ended)
    }
}

/// A hold, in a list.
pub(crate) struct Row {
    /// Of its page.
    pub(crate) address: String,
    pub(crate) kind: HoldKind,
    pub(crate) state: HoldState,
    pub(crate) outcome: Option<HoldOutcome>,
    /// How many people would have lost something when it began, and how many might have.
    pub(crate) people: u64,
    pub(crate) people_max: u64,
    /// How many accounts and memberships are lost while it waits.
    pub(crate) lost: u64,
    pub(crate) started_at: When,
    pub(crate) until: Option<When>,
    pub(crate) decided_at: Option<When>,
    pub(crate) ended_at: Option<When>,
}

impl Row {
    /// `connection`: the address of its directory.
    pub(crate) fn new(hold: &Hold, connection: &str) -> Row {
        Row {
            address: format!("{connection}/holds/{}", hold.id),
            kind: hold.kind,
            state: hold.state,
            outcome: hold.outcome,
            people: hold.people,
            people_max: hold.people_max,
            lost: hold.lost,
            started_at: When(hold.started_at),
            until: hold.until.map(When),
            decided_at: hold.decided_at.map(When),
            ended_at: hold.ended_at.map(When),
        }
    }
}

/// `GET …/holds`.
pub(super) async fn list(visitor: Visitor) -> Result<Response, Stop> {
    let Visitor { store, frame, reader, connection, .. } = visitor;
    let found = store.holds(connection.id, None, HOLDS_MAX).await?;
    let holds = found.iter().rev().map(|hold| Row::new(hold, &connection.address)).collect();
    let live = Live::of_one(&connection, "/holds");
    Ok(page(&HoldsPage { frame, reader, connection, live, holds }))
}

/// `POST …/shadow`: from now on nothing is let out before somebody has looked.
pub(super) async fn begin_shadow(visitor: Visitor) -> Result<Response, Stop> {
    let hold = visitor.store.begin_shadow(visitor.connection.id).await?;
    Ok(go_to(&format!("{}/holds/{hold}", visitor.connection.address)))
}

#[derive(Template)]
#[template(path = "directory/hold.html")]
pub(crate) struct HoldPage {
    pub(crate) frame: Frame,
    pub(crate) reader: Reader,
    pub(crate) connection: Connection,
    pub(crate) live: Live,
    pub(crate) row: Row,
    /// What stands for what the reader sees: more may be lost while they look.
    pub(crate) seen: String,
    /// How many events of which type would be let out.
    pub(crate) counts: Vec<(String, u64)>,
    /// Whom a brake keeps in.
    pub(crate) lost: Vec<LostRow>,
    /// What a shadow keeps back.
    pub(crate) told: Vec<ToldRow>,
    /// Whether the reader may go to people and groups.
    pub(crate) sees_people: bool,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
    /// What the admin of the provider is to do.
    pub(crate) instructions: Option<&'static str>,
    /// Whether the reader decided about something that is not so any more.
    pub(crate) is_other: bool,
}

/// Somebody who would lose something.
pub(crate) struct LostRow {
    /// Of their page, where the reader may go there.
    pub(crate) address: Option<String>,
    pub(crate) name: String,
    /// The group that they would leave; access to the app, where there is none.
    pub(crate) group: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: String,
}

/// `GET …/holds/{hold}`.
pub(super) async fn show(
    visitor: Visitor,
    Path((_, _, hold)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Stop> {
    let id = hold_id(&hold)?;
    let shown = of_one(visitor, id, &asked.after, false).await?;
    Ok(page(&shown))
}

async fn of_one(
    visitor: Visitor,
    id: HoldId,
    after: &str,
    is_other: bool,
) -> Result<HoldPage, Stop> {
    let Visitor { store, frame, reader, connection, .. } = visitor;
    let found = store.hold(connection.id, id).await?.ok_or_else(unknown)?;
    let HoldRecord { hold, counts } = found;
    let address = &connection.address;
    let place = after.parse::<u64>().unwrap_or_default();
    let (mut found, mut told) = (Vec::new(), Vec::new());
    let next;
    if hold.kind == HoldKind::Shadow {
        let mut report = Report::new(store, connection.id, id);
        (told, next) = report.read(place, PAGE).await?.ok_or_else(unknown)?;
    } else {
        found = store.lost(connection.id, id, place, PAGE + 1).await?.ok_or_else(unknown)?;
        let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let has_next = found.len() > most;
        found.truncate(most);
        next = found.last().filter(|_| has_next).map(|(place, _)| *place);
    }
    let next = next.map(|place| format!("{address}/holds/{id}?after={place}"));
    let sees_people = reader.sees(directory::PortalFeature::People);
    let lost = found.into_iter().map(|(_, Lost { member_id, member_name, group })| LostRow {
        address: sees_people.then(|| format!("{address}/people/{member_id}")),
        name: member_name,
        group: group.map(|(_, name)| name),
    });
    let lost = lost.collect();
    let is_rejected = hold.state == HoldState::Rejected;
    let page_of = format!("/holds/{id}");
    let page_of = if place == 0 { page_of } else { format!("{page_of}?after={place}") };
    Ok(HoldPage {
        frame,
        reader,
        live: Live::of_one(&connection, &page_of),
        row: Row::new(&hold, address),
        seen: hold.revision().as_str().to_owned(),
        counts,
        lost,
        told,
        sees_people,
        next,
        instructions: is_rejected.then(|| instructions(connection.provider)),
        is_other,
        connection,
    })
}

/// `POST …/holds/{hold}/approve`: it was meant so.
pub(super) async fn approve(
    visitor: Visitor,
    Path((_, _, hold)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    decide(visitor, &hold, Verdict::Approve).await
}

/// `POST …/holds/{hold}/reject`: it was a mistake.
pub(super) async fn reject(
    visitor: Visitor,
    Path((_, _, hold)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    decide(visitor, &hold, Verdict::Reject).await
}

/// As far as the reader has seen it, or not at all.
async fn decide(visitor: Visitor, hold: &str, verdict: Verdict) -> Result<Response, Stop> {
    let id = hold_id(hold)?;
    let seen = EntityTags::These(vec![visitor.form.text("seen").to_owned()]);
    let precondition = Precondition { among: Some(seen), ..Precondition::default() };
    let guarded = Guarded { precondition, what: id };
    match visitor.store.decide_hold(visitor.connection.id, guarded, verdict).await {
        Ok(()) => Ok(go_to(&format!("{}/holds/{id}", visitor.connection.address))),
        Err(store::Error::Rejected(Rejection::RevisionFailed)) => {
            let shown = of_one(visitor, id, "", true).await?;
            Ok(page_with(StatusCode::CONFLICT, &shown))
        }
        Err(other) => Err(other.into()),
    }
}

/// `GET …/holds/{hold}/lost.csv`: for whoever looks after the provider.
pub(super) async fn table(
    visitor: Visitor,
    Path((_, _, hold)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let id = there(&visitor, &hold).await?;
    Ok(lost_table_of(visitor.store, visitor.connection.id, id))
}

/// `GET …/holds/{hold}/changes.csv`: the whole report.
pub(super) async fn report(
    visitor: Visitor,
    Path((_, _, hold)): Path<(String, String, String)>,
) -> Result<Response, Stop> {
    let id = there(&visitor, &hold).await?;
    Ok(Report::new(visitor.store, visitor.connection.id, id).table())
}

/// Whether there is such a hold, said before anything is written of it.
async fn there(visitor: &Visitor, hold: &str) -> Result<HoldId, Stop> {
    let id = hold_id(hold)?;
    visitor.store.hold(visitor.connection.id, id).await?.ok_or_else(unknown)?;
    Ok(id)
}

fn hold_id(text: &str) -> Result<HoldId, Stop> {
    text.parse().map_err(|_| unknown())
}

fn unknown() -> Stop {
    Problem::not_found("hold").into()
}
