//! How fast long work goes, and how long it still takes.

use jiff::SignedDuration;

use super::pictures::as_f64;

/// How fast long work goes, and how long it still takes, where that can be said: of so many things that are
/// done, and all of them.
pub(crate) fn pace((done, all): (u64, u64), things: &str, taken: SignedDuration) -> Option<String> {
    if done == 0 {
        return None;
    }
    let each_second = as_f64(done) / taken.as_secs_f64().max(1.0);
    let left = as_f64(all.saturating_sub(done)) / each_second;
    let fast =
        if each_second < 10.0 { format!("{each_second:.1}") } else { format!("{each_second:.0}") };
    Some(format!("{fast} {things} a second, about {} still", span(left)))
}

/// A length of time, as people say it.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        it if it < 0.0095 => format!("{:.0} ms", (it * 1_000.0).max(1.0)),
        it if it < 1.0 => format!("{it:.2} s"),
        it if it < 90.0 => format!("{it:.0} s"),
        it if it < 5_400.0 => format!("{:.0} min", it / 60.0),
        it if it < 129_600.0 => format!("{:.0} h", it / 3_600.0),
        it => format!("{:.0} days", it / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_said_as_people_do() {
        for (seconds, said) in [
            (0.0, "1 ms"),
            (0.25, "0.25 s"),
            (12.0, "12 s"),
            (300.0, "5 min"),
            (7_200.0, "2 h"),
            (259_200.0, "3 days"),
        ] {
            assert_eq!(span(seconds), said);
        }
    }
}
