//! What was measured, and what of it is said: medians, because others use the machine too.

use std::time::Duration;

/// One side, once.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Requests answered, or rows kept.
    pub(crate) count: usize,
    /// From the first to the last.
    pub(crate) time: Duration,
    /// Of each request, or of each commit.
    pub(crate) latencies: Vec<Duration>,
    /// Processor time of the server and of the client together, where there is a server.
    pub(crate) processor: Option<Duration>,
}

impl Round {
    /// Requests a second.
    pub(crate) fn speed(&self) -> f64 {
        self.count() / self.time.as_secs_f64()
    }

    fn count(&self) -> f64 {
        f64::from(u32::try_from(self.count).expect("a round is short"))
    }
}

/// All rounds of a scenario, by side.
#[derive(Debug)]
pub(crate) struct Figures {
    sides: Vec<Vec<Round>>,
}

/// The middle, the least and the most of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figures {
    pub(crate) fn of(sides: usize) -> Figures {
        Figures { sides: vec![Vec::new(); sides] }
    }

    /// One round of each side.
    pub(crate) fn add(&mut self, rounds: Vec<Round>) {
        for (side, round) in self.sides.iter_mut().zip(rounds) {
            side.push(round);
        }
    }

    /// How many rounds there were.
    pub(crate) fn rounds(&self) -> usize {
        self.sides.first().map_or(0, Vec::len)
    }

    /// Requests a second of a side.
    pub(crate) fn speed(&self, side: usize) -> Spread {
        Spread::of(self.sides[side].iter().map(Round::speed))
    }

    /// The speed of the first side as a part of that of another, round by round: what disturbs a
    /// moment disturbs both.
    pub(crate) fn ratio(&self, side: usize) -> Spread {
        let pairs = self.sides[0].iter().zip(&self.sides[side]);
        Spread::of(pairs.map(|(roster, other)| roster.speed() / other.speed()))
    }

    /// How many times what a work costs the first side it costs another, round by round. What counts
    /// is the middle of a round's latencies: those that the machine held up are told by the
    /// percentiles.
    pub(crate) fn cost(&self, side: usize) -> Spread {
        let pairs = self.sides[0].iter().zip(&self.sides[side]);
        let middle = |round: &Round| percentile(round.latencies.clone(), 50).as_secs_f64();
        Spread::of(pairs.map(|(first, other)| middle(other) / middle(first)))
    }

    /// How many times as long as the first side's another's slowest of a hundred works take, round by
    /// round.
    pub(crate) fn tail(&self, side: usize) -> Spread {
        let pairs = self.sides[0].iter().zip(&self.sides[side]);
        let slowest = |round: &Round| percentile(round.latencies.clone(), 99).as_secs_f64();
        Spread::of(pairs.map(|(first, other)| slowest(other) / slowest(first)))
    }

    /// Seconds of one work of a side.
    pub(crate) fn seconds(&self, side: usize) -> Spread {
        Spread::of(self.sides[side].iter().map(|round| 1.0 / round.speed()))
    }

    /// Microseconds of processor time that a work of a side costs, client included, over all rounds:
    /// it is told in hundredths of a second, which is much for one of them.
    pub(crate) fn processor_micros(&self, side: usize) -> Option<f64> {
        let rounds = &self.sides[side];
        let time: Duration = rounds.iter().map(|round| round.processor).sum::<Option<_>>()?;
        Some(time.as_secs_f64() * 1e6 / rounds.iter().map(Round::count).sum::<f64>())
    }

    /// The time that so many of a hundred did not exceed, over all rounds.
    pub(crate) fn percentile(&self, side: usize, percent: usize) -> Duration {
        let all = self.sides[side].iter().flat_map(|round| round.latencies.iter().copied());
        percentile(all.collect(), percent)
    }
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => f64::NAN,
            count if count.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        let end = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Spread { median, min: end(values.first()), max: end(values.last()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(count: usize, seconds: u64) -> Round {
        let time = Duration::from_secs(seconds);
        Round { count, time, latencies: Vec::new(), processor: Some(time * 2) }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        #[track_caller]
        fn check(values: &[f64], median: f64) {
            let spread = Spread::of(values.iter().copied());
            assert!((spread.median - median).abs() < 1e-9, "{spread:?}");
        }
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[4.0, 1.0, 2.0, 3.0], 2.5);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let mut figures = Figures::of(2);
        // The machine was slow in the second round, for both.
        figures.add(vec![round(100, 1), round(200, 1)]);
        figures.add(vec![round(100, 10), round(200, 10)]);
        let half = Spread { median: 0.5, min: 0.5, max: 0.5 };
        assert_eq!(figures.ratio(1), half);
    }

    #[test]
    fn a_work_that_was_held_up_does_not_make_the_others_cost_more() {
        let round = |millis: [u64; 3]| {
            let latencies = millis.map(Duration::from_millis).to_vec();
            Round { latencies, ..round(3, 1) }
        };
        let mut figures = Figures::of(2);
        figures.add(vec![round([10, 10, 10]), round([20, 20, 900])]);
        assert!((figures.cost(1).median - 2.0).abs() < 1e-9);
    }

    #[test]
    fn tails_are_of_the_same_round() {
        let round = |millis: u64| {
            let mut latencies = vec![Duration::from_millis(1); 98];
            latencies.extend([Duration::from_millis(millis); 2]);
            Round { latencies, ..round(100, 1) }
        };
        let mut figures = Figures::of(2);
        figures.add(vec![round(10), round(20)]);
        // The machine was slow in the second round, for both.
        figures.add(vec![round(100), round(200)]);
        assert_eq!(figures.tail(1), Spread { median: 2.0, min: 2.0, max: 2.0 });
    }

    #[test]
    fn processor_time_is_told_for_each_work() {
        let mut figures = Figures::of(1);
        figures.add(vec![round(1_000, 1)]);
        figures.add(vec![round(3_000, 1)]);
        assert_eq!(figures.processor_micros(0), Some(1_000.0));
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let mut figures = Figures::of(1);
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        figures.add(vec![Round { latencies, ..round(100, 1) }]);
        assert_eq!(figures.percentile(0, 50), Duration::from_millis(50));
        assert_eq!(figures.percentile(0, 99), Duration::from_millis(99));
        assert_eq!(Figures::of(1).percentile(0, 50), Duration::ZERO);
    }
}
