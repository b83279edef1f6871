//! Tokens that were looked up a moment ago.
//!
//! A provider sends hundreds of requests with one token, and looking it up costs each of them a
//! turn of a reader: more than the request itself. So what was found is remembered for a second.
//! A token that is revoked is forgotten here at once. That second is how long it may go on opening
//! its directory on other nodes, which remember by themselves; a request that was on its way at
//! that moment might have come as late. Expiry is not remembered: it is compared anew at every request. Nor is
//! that a token is unknown: a new one works at once, and strangers fill no memory.

use std::collections::HashMap;
use std::sync::Mutex;

use directory::secret::SecretHash;
use jiff::{SignedDuration, Timestamp};

/// How long is remembered what was found.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_secs(1);

/// Tokens that are remembered at once: more directories than one node serves in a second.
const TOKENS_MAX: usize = 4_096;

/// What was found, by what was presented, with the moment before it was looked for.
#[derive(Debug)]
pub(crate) struct Recent<T>(Mutex<Remembered<T>>);

#[derive(Debug)]
struct Remembered<T> {
    tokens: HashMap<SecretHash, (Timestamp, T)>,
    /// How often something was forgotten on purpose. What was looked for before that is not to be
    /// remembered after it.
    generation: u64,
}

impl<T: Clone> Recent<T> {
    pub(crate) fn new() -> Recent<T> {
        Recent(Mutex::new(Remembered { tokens: HashMap::new(), generation: 0 }))
    }

    /// What was found less than a second ago.
    pub(crate) fn find(&self, hash: &SecretHash, now: Timestamp) -> Option<T> {
        let remembered = self.0.lock().expect("nobody panics while holding it");
        let (since, found) = remembered.tokens.get(hash)?;
        is_recent(*since, now).then(|| found.clone())
    }

    /// To be asked before something is looked for, and told when it is remembered.
    pub(crate) fn generation(&self) -> u64 {
        self.0.lock().expect("nobody panics while holding it").generation
    }

    /// Forgets all of which this is true, and what is being looked for just now.
    pub(crate) fn forget(&self, is_gone: impl Fn(&T) -> bool) {
        let mut remembered = self.0.lock().expect("nobody panics while holding it");
        remembered.generation += 1;
        remembered.tokens.retain(|_, (_, found)| !is_gone(found));
    }

    /// Remembers what was looked for at that moment, and found since.
    pub(crate) fn remember(&self, hash: SecretHash, since: Timestamp, found: T, generation: u64) {
        let mut remembered = self.0.lock().expect("nobody panics while holding it");
        if remembered.generation != generation {
            return;
        }
        let tokens = &mut remembered.tokens;
        if tokens.len() >= TOKENS_MAX {
            tokens.retain(|_, (it, _)| is_recent(*it, since));
            if tokens.len() >= TOKENS_MAX {
                tokens.clear();
            }
        }
        tokens.insert(hash, (since, found));
    }
}

/// A clock that was set back makes nothing recent.
fn is_recent(since: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(since);
    !age.is_negative() && age < REMEMBERED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).expect("a time")
    }

    #[test]
    fn what_was_found_is_remembered_for_a_second() {
        let recent = Recent::new();
        let hash = SecretHash::of("one");
        recent.remember(hash.clone(), at(5_000), 1, recent.generation());
        let check = |now, expected| assert_eq!(recent.find(&hash, at(now)), expected, "{now}");
        check(5_000, Some(1));
        check(5_999, Some(1));
        check(6_000, None);
        check(4_999, None);
        assert_eq!(recent.find(&SecretHash::of("two"), at(5_000)), None);
    }

    #[test]
    fn no_more_is_remembered_than_the_limit() {
        let recent = Recent::new();
        for number in 0..TOKENS_MAX + 10 {
            recent.remember(SecretHash::of(&number.to_string()), at(0), number, 0);
            assert_eq!(recent.find(&SecretHash::of(&number.to_string()), at(0)), Some(number));
        }
        assert!(recent.0.lock().unwrap().tokens.len() <= TOKENS_MAX);
    }

    #[test]
    fn what_is_forgotten_does_not_come_back_by_who_looked_for_it_before() {
        let recent = Recent::new();
        let (gone, other) = (SecretHash::of("gone"), SecretHash::of("other"));
        for (hash, number) in [(&gone, 1), (&other, 2)] {
            recent.remember(hash.clone(), at(0), number, recent.generation());
        }
        let before = recent.generation();
        recent.forget(|number| *number == 1);
        assert_eq!((recent.find(&gone, at(1)), recent.find(&other, at(1))), (None, Some(2)));
        // It was read before it was revoked, and is told after that.
        recent.remember(gone.clone(), at(0), 1, before);
        assert_eq!(recent.find(&gone, at(1)), None);
        recent.remember(gone.clone(), at(0), 1, recent.generation());
        assert_eq!(recent.find(&gone, at(1)), Some(1));
    }
}
