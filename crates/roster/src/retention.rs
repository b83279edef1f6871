//! For how long what happened is kept: the settings, and the work in the background that they cause.

use std::str::FromStr;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use store::{Class, Store};

use crate::requests::Requests;

/// Days for which each class of what happened is kept.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// Days for which events are kept in the feed, or `forever`; a cursor that is older leads nowhere
    /// then
    #[arg(long, env = "ROSTER_KEEP_EVENTS_DAYS", value_name = "DAYS", default_value = "400")]
    keep_events_days: Days,
    /// Days for which the audit log is kept, or `forever`
    #[arg(long, env = "ROSTER_KEEP_AUDIT_DAYS", value_name = "DAYS", default_value = "400")]
    keep_audit_days: Days,
    #[command(flatten)]
    pub(crate) requests: Requests,
}

/// A number of days, or no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days(Option<u32>);

/// A hundred years, which is longer than anything that is told in days.
const DAYS_MAX: u32 = 36_500;

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Days, String> {
        match (text, text.parse()) {
            ("forever", _) | (_, Ok(0)) => Ok(Days(None)),
            (_, Ok(days @ 1..=DAYS_MAX)) => Ok(Days(Some(days))),
            _ => Err(format!("write a number of days from 1 to {DAYS_MAX}, or `forever`")),
        }
    }
}

impl Days {
    /// For how long that is; no end, where there is nothing.
    fn duration(self) -> Option<SignedDuration> {
        self.0.map(|days| SignedDuration::from_hours(24 * i64::from(days)))
    }
}

impl Retention {
    /// Lets go what is older, a little at a time, so that nobody has to wait meanwhile. Of several
    /// nodes one does it.
    pub(crate) async fn forget(self, store: &Store, holder: &str) {
        for class in Class::ALL {
            let kept_for = match class {
                // What is remembered of people who are gone is as old as what is told of them.
                Class::Events | Class::Past => self.keep_events_days.duration(),
                Class::Audit => self.keep_audit_days.duration(),
                Class::Bodies => Some(self.requests.bodies_kept_for()),
                Class::Requests => Some(self.requests.kept_for()),
            };
            if let Some(kept_for) = kept_for {
                forget(store, class, holder, store.access().now() - kept_for).await;
            }
        }
    }
}

/// The same of one class.
async fn forget(store: &Store, class: Class, holder: &str, before: Timestamp) {
    let mut forgotten = 0;
    let outcome = loop {
        match store.forget(class, holder, before).await {
            Ok(0) => break Ok(()),
            Ok(some) => forgotten += some,
            Err(error) => break Err(error),
        }
    };
    let what = class.as_str();
    if forgotten > 0 {
        tracing::info!(rows = forgotten, "old {what} were let go");
    }
    if let Err(error) = outcome {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "old {what} were not let go; it is tried again in a minute",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_or_have_no_end() {
        let days = |text: &str| text.parse::<Days>().map(|days| days.0);
        assert_eq!(days("400"), Ok(Some(400)));
        assert_eq!(days("36500"), Ok(Some(36_500)));
        for forever in ["0", "forever"] {
            assert_eq!(days(forever), Ok(None));
        }
        for wrong in ["", "-1", "36501", "ever", "1.5", "1d"] {
            let why = days(wrong).unwrap_err();
            assert_eq!(why, "write a number of days from 1 to 36500, or `forever`", "{wrong}");
        }
    }
}
