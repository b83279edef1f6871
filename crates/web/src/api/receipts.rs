//! Receipts: the app says that somebody's access has ended, and how long that takes is shown.

use axum::Json;
use axum::http::StatusCode;
use directory::{DirectoryId, ResourceId};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use store::{NotReceived, Receipt, ReceiptSummary, ReceiptsAsked};
use utoipa::{IntoParams, ToSchema};

use super::users::ordinal_after;
use super::{Input, PageOf, PageQuery, Path, Query, Vendor, describe, id, page_of};
use crate::problem::Problem;
use crate::scim::cut;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewReceipt {
    /// When the person could use your app no more; now, where nothing is said.
    #[schema(format = "date-time")]
    effective_at: Option<String>,
}

/// Which receipts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptsQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Only those of this user.
    user_id: Option<String>,
    /// Only these: `outstanding`, `overdue` or `received`.
    #[param(schema_with = describe::receipt_state, required = false)]
    state: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(super) struct ReceiptView {
    /// The `number` of the event that told your app to end the access.
    event_number: u64,
    /// The type of that event.
    event_type: String,
    user_id: String,
    /// `outstanding`: your app has not said yet that the access has ended. `overdue`: nor in time.
    /// `received`: it has.
    #[schema(schema_with = describe::receipt_state)]
    state: &'static str,
    /// When the provider asked for it.
    requested_at: String,
    /// When the person could use your app no more, as it says.
    effective_at: Option<String>,
    /// When it said so.
    received_at: Option<String>,
    /// When an event told that it was overdue.
    overdue_at: Option<String>,
    /// From the one to the other.
    took_milliseconds: Option<i64>,
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> ReceiptView {
        let print = scim::datetime::print;
        ReceiptView {
            event_number: receipt.number,
            took_milliseconds: milliseconds(receipt.took()),
            state: match (receipt.effective_at, receipt.overdue_at) {
                (Some(_), _) => "received",
                (None, Some(_)) => "overdue",
                (None, None) => "outstanding",
            },
            event_type: receipt.kind,
            user_id: receipt.user_id.to_string(),
            requested_at: print(receipt.requested_at),
            effective_at: receipt.effective_at.map(print),
            received_at: receipt.received_at.map(print),
            overdue_at: receipt.overdue_at.map(print),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiptSummary)]
pub(super) struct SummaryView {
    /// Ends of access that are waited for.
    outstanding: u64,
    /// Of these, such as were told to be overdue.
    overdue: u64,
    /// Receipts that came; of more than 10,000, the latest.
    received: u64,
    /// What half of them took, at most.
    p50_milliseconds: Option<i64>,
    /// What nineteen of twenty took, at most.
    p95_milliseconds: Option<i64>,
    /// What the longest took.
    max_milliseconds: Option<i64>,
}

impl From<ReceiptSummary> for SummaryView {
    fn from(summary: ReceiptSummary) -> SummaryView {
        SummaryView {
            outstanding: summary.outstanding,
            overdue: summary.overdue,
            received: summary.received,
            p50_milliseconds: milliseconds(summary.p50),
            p95_milliseconds: milliseconds(summary.p95),
            max_milliseconds: milliseconds(summary.max),
        }
    }
}

fn milliseconds(took: Option<SignedDuration>) -> Option<i64> {
    took.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX))
}

/// `POST /directories/{directory}/events/{number}/receipt`: 201 for the first, 200 for every other, which
/// changes nothing.
pub(super) async fn create(
    vendor: Vendor,
    Path((directory, number)): Path<(String, String)>,
    Input(new): Input<NewReceipt>,
) -> Result<(StatusCode, Json<ReceiptView>), Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let number: u64 = id(&number, "event")?;
    let read = |text: String| {
        scim::datetime::parse(&text).ok_or_else(|| {
            Problem::invalid(
                format!("`effective_at` is `{}`", cut(&text, 40)),
                "Write a time such as `2026-11-22T09:30:00Z`, or leave it out for now",
            )
        })
    };
    let effective_at = new.effective_at.map(read).transpose()?;
    let hint = "Leave `effective_at` out for now, and compare the clocks of both machines";
    match vendor.store.keep_receipt(directory, number, effective_at).await? {
        Ok((receipt, true)) => Ok((StatusCode::CREATED, Json(receipt.into()))),
        Ok((receipt, false)) => Ok((StatusCode::OK, Json(receipt.into()))),
        Err(NotReceived::UnknownEvent) => Err(Problem::not_found("event")),
        Err(NotReceived::EndsNothing) => Err(Problem::new(
            StatusCode::CONFLICT,
            "ends-nothing",
            "The event ends nobody's access",
            "it is none of `directory.user.deactivated` and `directory.user.deleted`",
            "Send receipts of these two only",
        )),
        Err(NotReceived::TooEarly(at)) => {
            let at = scim::datetime::print(at);
            Err(Problem::invalid(format!("`effective_at` is before the event, {at}"), hint))
        }
        Err(NotReceived::TooLate(now)) => {
            let now = scim::datetime::print(now);
            Err(Problem::invalid(format!("`effective_at` is to come; it is {now} now"), hint))
        }
    }
}

/// `GET /directories/{directory}/receipts`, in the order of their events.
pub(super) async fn list(
    vendor: Vendor,
    Path(directory): Path<String>,
    Query(query): Query<ReceiptsQuery>,
) -> Result<Json<PageOf<ReceiptView>>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    let page = PageQuery { after: query.after, limit: query.limit };
    let limit = page.limit()?;
    let user_id = query.user_id.as_deref().map(|id| {
        ResourceId::parse(id).ok_or_else(|| {
            Problem::invalid(
                format!("`user_id` is `{}`, which is not the id of a user", cut(id, 40)),
                "Send the `id` of a user, as events have it",
            )
        })
    });
    let (is_received, is_overdue) = match query.state.as_deref() {
        None => (None, false),
        Some("outstanding") => (Some(false), false),
        Some("overdue") => (Some(false), true),
        Some("received") => (Some(true), false),
        Some(other) => {
            return Err(Problem::invalid(
                format!("`state` is `{}`", cut(other, 20)),
                "Choose `outstanding`, `overdue` or `received`",
            ));
        }
    };
    let asked = ReceiptsAsked {
        user_id: user_id.transpose()?,
        is_received,
        is_overdue,
        after: ordinal_after(&page)?,
        count_max: limit + 1,
    };
    let found = vendor.store.receipts(directory, asked).await?;
    Ok(Json(page_of(found, limit, |it| it.number.to_string(), ReceiptView::from)))
}

/// `GET /directories/{directory}/receipts/summary`.
pub(super) async fn summary(
    vendor: Vendor,
    Path(directory): Path<String>,
) -> Result<Json<SummaryView>, Problem> {
    let directory: DirectoryId = id(&directory, "directory")?;
    Ok(Json(vendor.store.receipt_summary(directory).await?.into()))
}
