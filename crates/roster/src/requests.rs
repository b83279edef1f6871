//! How long requests of providers are kept, and what of them.

use clap::Args;
use directory::requests::{PersonalData, Policy};
use jiff::SignedDuration;

/// What is kept of requests of providers.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Requests {
    /// Days for which requests of providers are kept in the request log; 0 keeps none
    #[arg(long, env = "ROSTER_KEEP_REQUESTS_DAYS", value_name = "DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u32).range(..=36_500))]
    keep_requests_days: u32,
    /// Days for which their bodies and those of their answers are kept there; 0 keeps none
    #[arg(long, env = "ROSTER_KEEP_BODIES_DAYS", value_name = "DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(..=36_500))]
    keep_bodies_days: u32,
    /// What becomes of what they say of people there: `kept`, or `masked` to its first letters
    #[arg(long, env = "ROSTER_LOGGED_PERSONAL_DATA", value_name = "WHAT", default_value = "kept")]
    logged_personal_data: PersonalData,
}

impl Requests {
    /// What is kept of each.
    pub(crate) fn policy(self) -> Option<Policy> {
        (self.keep_requests_days > 0).then_some(Policy {
            bodies: self.keep_bodies_days > 0,
            personal_data: self.logged_personal_data,
        })
    }

    /// For how long requests are kept; for no time, where none are taken down any more.
    pub(crate) fn kept_for(self) -> SignedDuration {
        days(self.keep_requests_days)
    }

    /// The same of their bodies.
    pub(crate) fn bodies_kept_for(self) -> SignedDuration {
        days(self.keep_bodies_days)
    }
}

fn days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}
