//! What nobody asked for, and somebody should know: a limit was passed, a provider fell silent, a
//! token ends, a receipt is missing. Each is an event, and is told once.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cause::Consequence;
use crate::event::{Draft, EventKind};
use crate::guards::SeatLimit;
use crate::id::{TokenId, UserId};

/// Something that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// More people use the app than the organization has seats for, or not any more.
    Seats(SeatCount),
    /// Somebody is outside of the organization's domains, or not any more, which is not told.
    Outsider(Outsider),
    /// The provider was not heard of for much longer than is usual for it.
    Silent {
        /// When it was last heard of.
        last_contact_at: Timestamp,
        /// For how long it may be silent, in hours.
        silent_after_hours: u32,
    },
    /// It was heard of again.
    HeardAgain {
        /// Since when that was told.
        silent_since: Timestamp,
    },
    /// A token is about to expire, or has expired.
    Token {
        /// Which.
        id: TokenId,
        /// By which a person recognises it.
        last_four: String,
        /// When it does.
        expires_at: Timestamp,
        /// Days before that at which this is told; 0: it has.
        days: u32,
    },
    /// The app has not said that somebody's access has ended.
    ReceiptOverdue {
        /// Whose.
        user_id: UserId,
        /// The number of the event that told of it.
        event_number: u64,
        /// When that was.
        requested_at: Timestamp,
        /// Minutes in which it should have been said.
        minutes: u32,
    },
}

/// How many people use the app, and how many may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatCount {
    /// How many may; any number, where there is none (any more).
    pub limit: Option<SeatLimit>,
    /// How many do.
    pub active: u64,
    /// Since when they are more; `None`: they are not.
    pub exceeded_at: Option<Timestamp>,
    /// Of what it is a consequence.
    pub follows_from: Option<Consequence>,
}

/// Somebody with addresses at other domains than the organization's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outsider {
    /// Who.
    pub user_id: UserId,
    /// At these; at none any more, where there is none.
    pub domains: Vec<String>,
}

impl Notice {
    /// The event that tells it, if one does.
    pub(crate) fn draft(&self) -> Option<Draft> {
        let at = scim::datetime::print;
        let (kind, data) = match self {
            Notice::Seats(count) => {
                let kind = match count.exceeded_at {
                    Some(_) => EventKind::SeatsExceeded,
                    None => EventKind::SeatsSufficient,
                };
                (kind, seats(count))
            }
            Notice::Outsider(it) if it.domains.is_empty() => return None,
            Notice::Outsider(Outsider { user_id, domains }) => {
                let user = json!({ "id": user_id.to_string() });
                (EventKind::UserOutsideDomains, json!({ "user": user, "domains": domains }))
            }
            Notice::Silent { last_contact_at, silent_after_hours } => {
                let data = json!({
                    "last_contact_at": at(*last_contact_at),
                    "silent_after_hours": silent_after_hours,
                });
                (EventKind::DirectorySilent, data)
            }
            Notice::HeardAgain { silent_since } => {
                (EventKind::DirectoryHeardAgain, json!({ "silent_since": at(*silent_since) }))
            }
            Notice::Token { id, last_four, expires_at, days } => {
                let token = json!({
                    "id": id.to_string(),
                    "last_four": last_four,
                    "expires_at": at(*expires_at),
                });
                match days {
                    0 => (EventKind::TokenExpired, json!({ "token": token })),
                    days => (EventKind::TokenExpiring, json!({ "token": token, "days": days })),
                }
            }
            Notice::ReceiptOverdue { user_id, event_number, requested_at, minutes } => {
                let data = json!({
                    "user": { "id": user_id.to_string() },
                    "event_number": event_number,
                    "requested_at": at(*requested_at),
                    "receipt_minutes": minutes,
                });
                (EventKind::ReceiptOverdue, data)
            }
        };
        let draft = Draft::new(kind, data.to_string());
        Some(match self {
            Notice::Seats(count) => Draft { follows_from: count.follows_from, ..draft },
            Notice::Outsider(Outsider { user_id, .. }) | Notice::ReceiptOverdue { user_id, .. } => {
                draft.of(*user_id)
            }
            _ => draft,
        })
    }
}

fn seats(count: &SeatCount) -> Value {
    json!({ "seats": {
        "limit": count.limit.map(|limit| limit.max),
        "mode": count.limit.map(|limit| limit.mode.as_str()),
        "active": count.active,
    }})
}
