//! The real clock and real chance: the one place where they are read.

use std::sync::Arc;

use directory::Ids;
use directory::secret::Entropy;
use jiff::{SignedDuration, Timestamp};
use store::{Clock, Environment};
use uuid::Uuid;

/// The machine's clock and its source of chance.
pub(crate) fn real() -> Environment {
    ahead_by(SignedDuration::ZERO)
}

/// The same, as they will be then: for tests of what happens only after a day.
pub(crate) fn ahead_by(ahead: SignedDuration) -> Environment {
    Environment { clock: Arc::new(MachineClock { ahead }), ids: ids() }
}

/// Ids that sort by time, also within a millisecond.
pub(crate) fn ids() -> Arc<dyn Ids> {
    Arc::new(MachineIds)
}

/// 256 bits that nobody can guess.
pub(crate) fn entropy() -> Entropy {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the machine has a source of chance");
    bytes
}

/// A number to begin a simulation with: another one each time, and short enough to be typed again.
pub(crate) fn seed() -> u64 {
    getrandom::u32().expect("the machine has a source of chance").into()
}

struct MachineClock {
    ahead: SignedDuration,
}

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where time is read")]
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }
}

struct MachineIds;

impl Ids for MachineIds {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where ids are made")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
