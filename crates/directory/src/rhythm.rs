//! How a provider usually speaks: how long it says nothing between one contact and the next.
//!
//! Not how many gaps are long matters, but how much of the time is spent in long ones. A provider that
//! says a thousand things within an hour, once a week, is silent nearly always; one that was down for
//! three days in three months is not. So time is summed up by the length of the gap that it was spent
//! in, and what is usual is the length that a moment chosen by chance falls into, nine times of ten.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;

/// Lengths that are told apart: from a minute on, each twice the one before; the last from a year on.
const LENGTHS: usize = 20;

/// Minutes that have to be known before anything is said to be usual: a week.
const MINUTES_MIN: u64 = 7 * 24 * 60;

/// Minutes after which what was earlier counts half: half a year.
const MINUTES_MAX: u64 = 180 * 24 * 60;

/// Minutes for which one gap counts at most: a quarter.
const GAP_MAX: u64 = 90 * 24 * 60;

/// Minutes that were spent in gaps of each length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rhythm([u64; LENGTHS]);

impl Rhythm {
    /// Notes how long nothing was said. What is shorter than a minute is no gap.
    pub fn note(&mut self, gap: SignedDuration) {
        let minutes = u64::try_from(gap.as_mins()).unwrap_or(0).min(GAP_MAX);
        let Some(length) = minutes.checked_ilog2() else { return };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(LENGTHS - 1);
        self.0[length] += minutes;
        if self.total() > MINUTES_MAX {
            self.0.iter_mut().for_each(|minutes| *minutes /= 2);
        }
    }

    /// The usual gap, rounded up; `None` as long as too little is known.
    ///
    /// ```
    /// use directory::Rhythm;
    /// use jiff::SignedDuration;
    ///
    /// let mut rhythm = Rhythm::default();
    /// for _ in 0..1_000 {
    ///     rhythm.note(SignedDuration::from_mins(40));
    /// }
    /// assert_eq!(rhythm.usual_gap(), Some(SignedDuration::from_mins(64)));
    /// ```
    pub fn usual_gap(&self) -> Option<SignedDuration> {
        let total = self.total();
        if total < MINUTES_MIN {
            return None;
        }
        let mut spent = 0;
        let length = self.0.iter().position(|minutes| {
            spent += minutes;
            spent * 10 >= total * 9
        })?;
        Some(SignedDuration::from_mins(2 << length))
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// As it is kept: numbers with a space between them.
impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl FromStr for Rhythm {
    type Err = ();

    fn from_str(text: &str) -> Result<Rhythm, ()> {
        let read = text.split(' ').map(|it| it.parse::<u32>().map(u64::from));
        let read: Vec<_> = read.collect::<Result<_, _>>().map_err(drop)?;
        read.try_into().map(Rhythm).map_err(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60;
    const DAY: i64 = 24 * HOUR;

    /// The usual gap in minutes of a provider that was heard of with these gaps between.
    fn usual(gaps: impl IntoIterator<Item = i64>) -> Option<i64> {
        let mut rhythm = Rhythm::default();
        gaps.into_iter().for_each(|minutes| rhythm.note(SignedDuration::from_mins(minutes)));
        assert_eq!(rhythm.to_string().parse(), Ok(rhythm));
        rhythm.usual_gap().map(|it| it.as_mins())
    }

    #[test]
    fn much_that_is_said_at_once_does_not_hide_that_little_is_said() {
        let week = || (0..300).map(|_| 1).chain([7 * DAY - 5 * HOUR]);
        let gap = usual((0..8).flat_map(|_| week()));
        assert!(gap.is_some_and(|gap| gap >= 6 * DAY), "{gap:?}");
    }

    #[test]
    fn one_long_silence_is_not_usual() {
        let month = || (0..30 * DAY / 40).map(|_| 40);
        assert_eq!(usual(month().chain([3 * DAY]).chain(month())), Some(64));
    }

    #[test]
    fn nights_and_ends_of_weeks_are() {
        let day = || (0..9).map(|_| HOUR);
        let night = || std::iter::once(15 * HOUR);
        let week = || (0..4).flat_map(|_| day().chain(night())).chain(day()).chain([63 * HOUR]);
        let gap = usual((0..8).flat_map(|_| week()));
        assert!(gap.is_some_and(|gap| gap >= 63 * HOUR), "{gap:?}");
    }

    #[test]
    fn nothing_is_usual_in_the_first_days() {
        assert_eq!(usual((0..6).map(|_| DAY)), None);
        assert_eq!(usual([]), None);
        assert_eq!(usual([0, -5]), None);
    }

    #[test]
    fn what_is_usual_changes() {
        let often = (0..60 * DAY / 40).map(|_| 40);
        let gap = usual(often.chain((0..60).map(|_| 7 * DAY)));
        assert!(gap.is_some_and(|gap| gap >= 7 * DAY), "{gap:?}");
    }
}
