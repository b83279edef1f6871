//! When something is tried again: ten attempts over three days and a few hours, as Standard Webhooks
//! suggests.

use jiff::{SignedDuration, Timestamp};

/// What is waited for after the first attempt, the second, and so on: 75 hours and 35 minutes
/// together.
pub const DELAYS: [SignedDuration; 9] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(5),
    SignedDuration::from_hours(10),
    SignedDuration::from_hours(14),
    SignedDuration::from_hours(20),
    SignedDuration::from_hours(24),
];

/// How much longer it is waited at most, as a part of the delay, so that what failed together does
/// not come again together. Never less long: the last attempt is not before the 75 hours are over.
pub const JITTER: f64 = 0.1;

/// The longest that an endpoint may ask us to wait: no longer than we would by ourselves.
const RETRY_AFTER_MAX: SignedDuration = SignedDuration::from_hours(24);

/// For how long one endpoint is left alone altogether where it asks to be.
pub const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// An endpoint to which nothing could be delivered for so long is switched off.
pub const FAILING_MAX: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Longer than any delay: between two failures that are further apart nothing was tried, and they do
/// not say that the endpoint has been failing all the time.
pub const FAILURES_APART: SignedDuration = SignedDuration::from_hours(27);

/// How long to wait after so many attempts; `None` where the last was made. `chance` is between 0
/// and 1.
pub fn delay(
    attempts: u64,
    chance: f64,
    retry_after: Option<SignedDuration>,
) -> Option<SignedDuration> {
    let place = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let delay = *DELAYS.get(place)?;
    let delay = delay.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0));
    Some(retry_after.map_or(delay, |asked| delay.max(asked)))
}

/// What the header `Retry-After` asks for: seconds, or a date. What cannot be read, or has passed,
/// asks for nothing.
pub fn retry_after(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let text = text.trim();
    let asked = if text.starts_with(|it: char| it.is_ascii_digit()) {
        // A number that is too large asks for as much as there is.
        let digits = text.bytes().all(|it| it.is_ascii_digit());
        digits.then(|| SignedDuration::from_secs(text.parse().unwrap_or(i64::MAX)))?
    } else {
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        at.duration_since(now)
    };
    asked.is_positive().then(|| asked.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_take_at_least_75_hours() {
        let total = |chance: f64| {
            let mut total = SignedDuration::ZERO;
            let mut attempts = 1;
            while let Some(delay) = delay(attempts, chance, None) {
                total += delay;
                attempts += 1;
            }
            assert_eq!(attempts, 10);
            total
        };
        assert_eq!(total(0.0), SignedDuration::new(75 * 3600 + 35 * 60 + 5, 0));
        assert!(total(1.0) <= total(0.0).mul_f64(1.1001));
        // Chance that is none does no harm.
        assert_eq!(total(-1.0), total(0.0));
        assert_eq!(total(7.0), total(1.0));
        assert_eq!(delay(0, 0.0, None), None);
        assert!(DELAYS.iter().all(|delay| delay.mul_f64(1.0 + JITTER) < FAILURES_APART));
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_and_not_for_less() {
        let seconds = SignedDuration::from_secs;
        assert_eq!(delay(1, 0.0, Some(seconds(60))), Some(seconds(60)));
        assert_eq!(delay(2, 0.0, Some(seconds(60))), Some(seconds(300)));
        assert_eq!(delay(10, 0.0, Some(seconds(60))), None);

        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(retry_after(text, now), expected.map(seconds), "{text}");
        };
        check("120", Some(120));
        check(" 5 ", Some(5));
        check("0", None);
        check("-5", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
        check("99999999999999999999999", Some(86_400));
        check("Sun, 22 Nov 2026 10:02:00 GMT", Some(120));
        check("Sun, 22 Nov 2026 09:00:00 GMT", None);
        check("Fri, 01 Jan 2100 00:00:00 GMT", Some(86_400));
    }
}
