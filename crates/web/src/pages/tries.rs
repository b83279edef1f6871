//! Tries to sign in, counted: passwords have less chance in them than tokens.
//!
//! Each is counted before it is looked at, for the address and for where it comes from. Somebody who
//! tries the passwords of another locks only their own place out, as long as they do it from one: what
//! is counted for the address wherever it comes from is more.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use directory::email_key;
use directory::secret::SecretHash;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::guesses::network;

/// What is counted at once. Beyond it all others count as one, until some have been quiet.
const KEYS_MAX: usize = 20_000;

/// At once, and one more after each so many seconds.
struct Pace {
    burst: u32,
    seconds: u64,
}

/// From one place, for whomever.
const OF_PLACE: Pace = Pace { burst: 30, seconds: 3 };
/// For one address, from one place.
const OF_BOTH: Pace = Pace { burst: 10, seconds: 30 };
/// For one address, from wherever.
const OF_ADDRESS: Pace = Pace { burst: 50, seconds: 10 };
/// That there were too many for one address, in the audit log.
const NOTED: Pace = Pace { burst: 1, seconds: 60 };

/// How many tries there were lately.
#[derive(Debug)]
pub(crate) struct Tries {
    place: DefaultKeyedRateLimiter<Option<IpAddr>>,
    both: DefaultKeyedRateLimiter<String>,
    address: DefaultKeyedRateLimiter<String>,
    noted: DefaultKeyedRateLimiter<String>,
}

impl Pace {
    fn limiter<K: Clone + Eq + std::hash::Hash>(&self) -> DefaultKeyedRateLimiter<K> {
        let period = Quota::with_period(Duration::from_secs(self.seconds)).expect("not zero");
        let burst = NonZeroU32::new(self.burst).expect("not zero");
        RateLimiter::keyed(period.allow_burst(burst))
    }
}

impl Tries {
    pub(crate) fn new() -> Tries {
        Tries {
            place: OF_PLACE.limiter(),
            both: OF_BOTH.limiter(),
            address: OF_ADDRESS.limiter(),
            noted: NOTED.limiter(),
        }
    }

    /// Counts one. `Err` is how long to wait, where there have been too many.
    pub(crate) fn count(&self, email: &str, from: Option<IpAddr>) -> Result<(), Duration> {
        let from = from.map(network);
        // Long ones take no more memory than short ones.
        let email = SecretHash::of(&email_key(email));
        let both = format!("{} {from:?}", email.as_str());
        check(&self.place, from, None)?;
        check(&self.both, both, String::new())?;
        check(&self.address, email.as_str().to_owned(), String::new())
    }

    /// Counts one of which it is not known for whom it is.
    pub(crate) fn count_of_place(&self, from: Option<IpAddr>) -> Result<(), Duration> {
        check(&self.place, from.map(network), None)
    }

    /// Whether the audit log is to tell of one that was refused: once in a while, for each address.
    pub(crate) fn is_refusal_noted(&self, email: &str) -> bool {
        let email = SecretHash::of(&email_key(email));
        check(&self.noted, email.as_str().to_owned(), String::new()).is_ok()
    }
}

fn check<K: Clone + Eq + std::hash::Hash>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: K,
    others: K,
) -> Result<(), Duration> {
    if limiter.len() >= KEYS_MAX {
        limiter.retain_recent();
    }
    let key = if limiter.len() < KEYS_MAX { key } else { others };
    let wait =
        |not_until: governor::NotUntil<_>| not_until.wait_time_from(DefaultClock::default().now());
    limiter.check_key(&key).map_err(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_passwords_locks_their_own_place_out() {
        let tries = Tries::new();
        let (here, there) =
            (Some("192.0.2.1".parse().unwrap()), Some("192.0.2.2".parse().unwrap()));
        for _ in 0..OF_BOTH.burst {
            assert!(tries.count("ana@acme.example", here).is_ok());
        }
        // However the address is written.
        let wait = tries.count(" ANA@acme.example", here).unwrap_err();
        assert!(wait <= Duration::from_secs(OF_BOTH.seconds), "{wait:?}");
        assert!(tries.count("ana@acme.example", there).is_ok());
        assert!(tries.count("bo@acme.example", here).is_ok());
    }

    #[test]
    fn an_address_is_not_tried_from_many_places_and_a_place_does_not_try_many() {
        let tries = Tries::new();
        let from = |place: u32| Some(IpAddr::from(place.to_be_bytes()));
        let until_refused = |one: &dyn Fn(u32) -> Result<(), Duration>| {
            (0..1_000).take_while(|number| one(*number).is_ok()).count()
        };
        let of_address = until_refused(&|number| tries.count("ana@acme.example", from(number)));
        assert_eq!(of_address, OF_ADDRESS.burst as usize);
        let tries = Tries::new();
        let of_place =
            until_refused(&|number| tries.count(&format!("{number}@acme.example"), from(1)));
        assert_eq!(of_place, OF_PLACE.burst as usize);
    }
}
