//! What an organization guards itself with: seats, domains, receipts.

use std::collections::BTreeSet;

use directory::{
    DOMAINS_MAX, Domain, DomainMode, OrganizationId, RECEIPT_MINUTES, RECEIPT_MINUTES_DEFAULT,
    SEATS_MAX, SafetyEdit, SeatMode,
};
use serde::{Deserialize, Serialize};
use store::SafetyState;
use utoipa::ToSchema;

use super::organizations::that_is_said;
use super::{Input, Path, Tagged, Vendor, When, describe, from_object, id};
use crate::problem::Problem;
use crate::scim::cut;

/// What is to be otherwise; what is not named stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditSafety {
    #[serde(default, deserialize_with = "from_object")]
    seats: SeatsEdit,
    #[serde(default, deserialize_with = "from_object")]
    domains: DomainsEdit,
    #[serde(default, deserialize_with = "from_object")]
    receipts: ReceiptsEdit,
}

/// How many people may use your app.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct SeatsEdit {
    /// So many, over all directories of the organization; `null`: any number. Nobody is put out where
    /// there are more already.
    #[serde(deserialize_with = "that_is_said")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    #[expect(clippy::option_option, reason = "absent, `null` and a number are three things")]
    limit: Option<Option<u64>>,
    /// `warn`: an event tells when there are more. `refuse`: nobody is added or let in again beyond.
    #[schema(schema_with = describe::seat_mode_if_any, required = false)]
    mode: Option<SeatMode>,
}

/// At which domains people have to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct DomainsEdit {
    /// `off`: nobody looks. `warn`: an event tells of each person outside. `refuse`: nobody outside is
    /// added or let in again.
    #[schema(schema_with = describe::domain_mode_if_any, required = false)]
    mode: Option<DomainMode>,
    /// The organization's own, with all below them; at most 200. In the place of all that were there.
    allowed: Option<Vec<String>>,
}

/// How soon your app has to say that somebody's access has ended.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct ReceiptsEdit {
    /// Minutes, 1 to 43,200; `null`: 60, from the first receipt on.
    #[serde(deserialize_with = "that_is_said")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 43200)]
    #[expect(clippy::option_option, reason = "absent, `null` and a number are three things")]
    overdue_minutes: Option<Option<u32>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Safety)]
pub(super) struct SafetyView {
    seats: SeatsView,
    domains: DomainsView,
    receipts: ReceiptsView,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Seats)]
struct SeatsView {
    /// People who may use your app, over all directories of the organization; any number, where it is
    /// `null`.
    limit: Option<u64>,
    #[schema(schema_with = describe::seat_mode)]
    mode: SeatMode,
    /// People who may use it now.
    active: u64,
    /// `free`: there is room for one more. `full`: there is none. `exceeded`: there are more than may.
    #[schema(schema_with = describe::seats_state)]
    state: &'static str,
    exceeded_since: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domains)]
struct DomainsView {
    #[schema(schema_with = describe::domain_mode)]
    mode: DomainMode,
    /// In lower case and ASCII, as they are compared.
    allowed: Vec<String>,
    /// People who are known to be outside of them.
    people_outside: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiptsExpected)]
struct ReceiptsView {
    /// Minutes after which a receipt is overdue, where you have said.
    overdue_minutes: Option<u32>,
    /// Whether receipts are waited for.
    expected: bool,
    /// When your app sent the first one.
    first_received_at: Option<String>,
}

impl From<SafetyState> for Tagged<SafetyView> {
    fn from(found: SafetyState) -> Tagged<SafetyView> {
        let SafetyState { safety, active, exceeded_at, outsiders, receipts_since } = found;
        let print = scim::datetime::print;
        let limit = safety.seats.map(|seats| seats.max);
        let view = SafetyView {
            seats: SeatsView {
                limit,
                mode: safety.seats.map(|seats| seats.mode).unwrap_or_default(),
                active,
                state: match limit {
                    Some(limit) if active > limit => "exceeded",
                    Some(limit) if active == limit => "full",
                    _ => "free",
                },
                exceeded_since: exceeded_at.map(print),
            },
            domains: DomainsView {
                mode: safety.domains.mode,
                allowed: safety.domains.domains.iter().map(|it| it.as_str().to_owned()).collect(),
                people_outside: match safety.domains.mode {
                    DomainMode::Off => 0,
                    DomainMode::Warn | DomainMode::Refuse => outsiders,
                },
            },
            receipts: ReceiptsView {
                overdue_minutes: safety.receipt_minutes,
                expected: safety.receipt_minutes.is_some() || receipts_since.is_some(),
                first_received_at: receipts_since.map(print),
            },
        };
        Tagged { revision: safety.revision(), view }
    }
}

impl EditSafety {
    pub(crate) fn check(self) -> Result<SafetyEdit, Problem> {
        if let Some(Some(limit)) = self.seats.limit
            && limit > SEATS_MAX
        {
            return Err(Problem::invalid(
                format!("`seats.limit` is {limit}"),
                format!("Choose 0 to {SEATS_MAX}, or `null` for any number"),
            ));
        }
        if let Some(Some(minutes)) = self.receipts.overdue_minutes
            && !RECEIPT_MINUTES.contains(&minutes)
        {
            let (least, most) = RECEIPT_MINUTES.into_inner();
            return Err(Problem::invalid(
                format!("`receipts.overdue_minutes` is {minutes}"),
                format!("Choose {least} to {most}, or `null` for {RECEIPT_MINUTES_DEFAULT}"),
            ));
        }
        Ok(SafetyEdit {
            seats_max: self.seats.limit,
            seat_mode: self.seats.mode,
            domains: self.domains.allowed.map(|it| domains(&it)).transpose()?,
            domain_mode: self.domains.mode,
            receipt_minutes: self.receipts.overdue_minutes,
        })
    }
}

fn domains(texts: &[String]) -> Result<BTreeSet<Domain>, Problem> {
    if texts.len() > DOMAINS_MAX {
        return Err(Problem::invalid(
            format!("`domains.allowed` has more than {DOMAINS_MAX} entries"),
            "Name the domain above several: those below it are a part of it",
        ));
    }
    let read = |text: &String| {
        text.parse().map_err(|why| {
            Problem::invalid(
                format!("`{}` of `domains.allowed` cannot be used: {why}", cut(text, 100)),
                "Write domains of the organization's own, such as `acme.com`, without `@` or `*`",
            )
        })
    };
    texts.iter().map(read).collect()
}

/// `GET /organizations/{organization}/safety`.
pub(super) async fn get(
    vendor: Vendor,
    Path(organization): Path<String>,
) -> Result<Tagged<SafetyView>, Problem> {
    view(&vendor, id(&organization, "organization")?).await
}

/// `PATCH /organizations/{organization}/safety`.
pub(super) async fn edit(
    vendor: Vendor,
    Path(organization): Path<String>,
    when: When,
    Input(edit): Input<EditSafety>,
) -> Result<Tagged<SafetyView>, Problem> {
    let id: OrganizationId = id(&organization, "organization")?;
    vendor.store.edit_safety(id, when.guard(edit.check()?)).await?;
    view(&vendor, id).await
}

async fn view(vendor: &Vendor, id: OrganizationId) -> Result<Tagged<SafetyView>, Problem> {
    let found = vendor.store.safety(id).await?;
    Ok(found.ok_or_else(|| Problem::not_found("organization"))?.into())
}
