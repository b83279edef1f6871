//! How far long work has come: said every few seconds, and how long it will still take.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::command::say;

/// How often something is said.
const EVERY: Duration = Duration::from_secs(5);

/// What is under way. Clones are of the same work.
#[derive(Clone, Debug)]
pub(super) struct Progress(Rc<Under>);

#[derive(Debug)]
struct Under {
    what: String,
    total: usize,
    /// How many of the total a step is.
    each: usize,
    done: Cell<usize>,
    begun: Instant,
    said: Cell<Instant>,
}

impl Progress {
    /// Begins: `what`, so many in all, of which each step does `each`.
    pub(super) fn of(what: impl Into<String>, total: usize, each: usize) -> Progress {
        let now = Instant::now();
        let (done, said) = (Cell::new(0), Cell::new(now));
        Progress(Rc::new(Under { what: what.into(), total, each, done, begun: now, said }))
    }

    /// Of what is over soon.
    pub(super) fn none() -> Progress {
        Progress::of("", 0, 0)
    }

    /// One step more is done.
    pub(super) fn step(&self) {
        let under = &*self.0;
        if under.total == 0 {
            return;
        }
        under.done.set((under.done.get() + under.each).min(under.total));
        let now = Instant::now();
        if now - under.said.get() >= EVERY {
            under.said.set(now);
            say(line(&under.what, under.done.get(), under.total, now - under.begun));
        }
    }
}

fn line(what: &str, done: usize, total: usize, since: Duration) -> String {
    let part = ratio(done, total);
    let speed = ratio(done, 1) / since.as_secs_f64();
    let left = ratio(total - done, 1) / speed;
    format!("   {what}: {done} of {total} ({:.0} %), {speed:.0}/s, {left:.0} s to go", part * 100.0)
}

/// Counts of what a program does in a day are far below the 2^52 that this holds.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn ratio(done: usize, total: usize) -> f64 {
    done as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told() {
        assert_eq!(
            line("creating users", 250, 1_000, Duration::from_secs(5)),
            "   creating users: 250 of 1000 (25 %), 50/s, 15 s to go"
        );
    }
}
