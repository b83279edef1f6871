//! Tokens that were looked up a moment ago.
//!
//! A provider sends hundreds of requests with one token, and looking it up costs each of them a
//! turn of a reader: more than the request itself. So what was found is remembered for a second.
//! That is also how long a token that is revoked may go on opening its directory, here and on
//! every other node, which remember by themselves; a request that was on its way at that moment
//! might have come as late. Expiry is not remembered: it is compared anew at every request. Nor is
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
pub(crate) struct Recent<T>(Mutex<HashMap<SecretHash, (Timestamp, T)>>);

impl<T: Clone> Recent<T> {
    pub(crate) fn new() -> Recent<T> {
        Recent(Mutex::new(HashMap::new()))
    }

    /// What was found less than a second ago.
    pub(crate) fn find(&self, hash: &SecretHash, now: Timestamp) -> Option<T> {
        let tokens = self.0.lock().expect("nobody panics while holding it");
        let (since, found) = tokens.get(hash)?;
        is_recent(*since, now).then(|| found.clone())
    }

    /// Forgets some, so that they are looked up anew.
    pub(crate) fn forget(&self, is_old: impl Fn(&T) -> bool) {
        let mut tokens = self.0.lock().expect("nobody panics while holding it");
        tokens.retain(|_, (_, found)| !is_old(found));
    }

    /// Remembers what was looked for at that moment, and found since.
    pub(crate) fn remember(&self, hash: SecretHash, since: Timestamp, found: T) {
        let mut tokens = self.0.lock().expect("nobody panics while holding it");
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
        recent.remember(hash.clone(), at(5_000), 1);
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
            recent.remember(SecretHash::of(&number.to_string()), at(0), number);
            assert_eq!(recent.find(&SecretHash::of(&number.to_string()), at(0)), Some(number));
        }
        assert!(recent.0.lock().unwrap().len() <= TOKENS_MAX);
    }
}
