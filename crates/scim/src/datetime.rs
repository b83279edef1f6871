//! Dates and times: any xsd:dateTime in (RFC 7643 §2.3.5), one spelling out.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

/// Reads a date and time, with what xsd:dateTime allows and clients send: any number of digits
/// of a second (those beyond the ninth are dropped), no zone (which is taken for UTC), and
/// `24:00:00` for the end of a day. `None` means that it is none.
///
/// ```
/// let plain = scim::datetime::parse("2026-01-03T10:00:00Z");
/// assert_eq!(scim::datetime::parse("2026-01-03T12:00:00.0000000+02:00"), plain);
/// assert_eq!(scim::datetime::parse("yesterday"), None);
/// ```
pub fn parse(text: &str) -> Option<Timestamp> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (year, rest) = number(rest, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (hour, rest) = number(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (nanosecond, rest) = fraction(rest)?;
    let offset = zone(rest)?;

    let year = if negative { -year } else { year };
    let date = Date::new(year, narrow(month)?, narrow(day)?).ok()?;
    let ends_day = hour == 24;
    if ends_day && (minute, second, nanosecond) != (0, 0, 0) {
        return None;
    }
    // A leap second is taken for the second before it, which is what clocks do with it.
    let second = second.min(if second == 60 { 59 } else { second });
    let hour = if ends_day { 0 } else { narrow(hour)? };
    let time = Time::new(hour, narrow(minute)?, narrow(second)?, nanosecond).ok()?;
    let date = if ends_day { date.tomorrow().ok()? } else { date };
    offset.to_timestamp(date.to_datetime(time)).ok()
}

/// Prints an instant as RFC 3339, in UTC with milliseconds. Anything finer is dropped.
///
/// ```
/// let instant = scim::datetime::parse("2026-01-03T12:00:00.1239+02:00").unwrap();
/// assert_eq!(scim::datetime::print(instant), "2026-01-03T10:00:00.123Z");
/// ```
pub fn print(instant: Timestamp) -> String {
    let mut text = String::with_capacity(24);
    push(instant, &mut text);
    text
}

/// The same, behind what stands in the text.
pub fn push(instant: Timestamp, text: &mut String) {
    let at = Offset::UTC.to_datetime(instant);
    if at.year() < 0 {
        text.push('-');
    }
    // Every answer has two of these, so that they are not left to `format!`.
    let parts = [
        (at.year().unsigned_abs(), 4, '-'),
        (at.month().unsigned_abs().into(), 2, '-'),
        (at.day().unsigned_abs().into(), 2, 'T'),
        (at.hour().unsigned_abs().into(), 2, ':'),
        (at.minute().unsigned_abs().into(), 2, ':'),
        (at.second().unsigned_abs().into(), 2, '.'),
        (at.millisecond().unsigned_abs(), 3, 'Z'),
    ];
    for (number, width, mark) in parts {
        for unit in &[1000, 100, 10, 1_u16][4 - width..] {
            text.extend(char::from_digit((number / unit % 10).into(), 10));
        }
        text.push(mark);
    }
}

/// Exactly so many digits, and what follows.
fn number(text: &str, digits: usize) -> Option<(i16, &str)> {
    let (digits, rest) = text.split_at_checked(digits)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

/// The digits of a second in nanoseconds, if there are any, and what follows.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 {
        return None;
    }
    let nanoseconds = rest.as_bytes()[..end]
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    Some((nanoseconds, &rest[end..]))
}

fn zone(text: &str) -> Option<Offset> {
    if matches!(text, "" | "Z" | "z") {
        return Some(Offset::UTC);
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = number(&text[1..], 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2)?;
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()
}

fn narrow(number: i16) -> Option<i8> {
    i8::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_send_is_read_as_the_instant_that_it_is() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse(text).map(print).as_deref(), expected, "{text}");
        };
        check("2026-01-03T10:00:00Z", Some("2026-01-03T10:00:00.000Z"));
        check("2026-01-03t10:00:00z", Some("2026-01-03T10:00:00.000Z"));
        check("2026-01-03T10:00:00", Some("2026-01-03T10:00:00.000Z"));
        check("2026-01-03T10:00:00.5", Some("2026-01-03T10:00:00.500Z"));
        check("2026-01-03T10:00:00.1234567Z", Some("2026-01-03T10:00:00.123Z"));
        check("2026-01-03T10:00:00.12345678901234567890Z", Some("2026-01-03T10:00:00.123Z"));
        check("2026-01-03T12:00:00+02:00", Some("2026-01-03T10:00:00.000Z"));
        check("2026-01-01T00:30:00+05:45", Some("2025-12-31T18:45:00.000Z"));
        check("2026-01-03T07:00:00.000-03:00", Some("2026-01-03T10:00:00.000Z"));
        check("2026-12-31T24:00:00Z", Some("2027-01-01T00:00:00.000Z"));
        check("2024-02-29T23:59:60Z", Some("2024-02-29T23:59:59.000Z"));
        check("-0012-12-31T23:59:59.999Z", Some("-0012-12-31T23:59:59.999Z"));
        check("1969-12-31T23:59:59.999Z", Some("1969-12-31T23:59:59.999Z"));

        check("", None);
        check("2026-01-03", None);
        check("2026-01-03T10:00Z", None);
        check("2026-1-3T10:00:00Z", None);
        check("2026-02-29T10:00:00Z", None);
        check("2026-01-03T25:00:00Z", None);
        check("2026-01-03T24:00:01Z", None);
        check("2026-01-03T24:00:00.1Z", None);
        check("2026-01-03T10:60:00Z", None);
        check("2026-01-03T10:00:61Z", None);
        check("2026-01-03T10:00:00.Z", None);
        check("2026-01-03T10:00:00 Z", None);
        check("2026-01-03T10:00:00+0200", None);
        check("2026-01-03T10:00:00+24:00", None);
        check("2026-01-03T10:00:00+02:60", None);
        check("2026-01-03T10:00:00Zulu", None);
        check("2026-01-03T10:00:00é", None);
        check("+2026-01-03T10:00:00Z", None);
        check("２026-01-03T10:00:00Z", None);
        check("9999-12-31T24:00:00Z", None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(milliseconds in -62_000_000_000_000_i64..250_000_000_000_000) {
            let instant = Timestamp::from_millisecond(milliseconds).unwrap();
            prop_assert_eq!(parse(&print(instant)), Some(instant));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>(), near in "[-0-9TZ:.+é]{0,32}") {
            let _ = (parse(&text), parse(&near));
        }
    }
}
