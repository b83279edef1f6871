//! Guesses: credentials that open nothing, counted by whom they come from and how they begin.
//!
//! A token has 256 bits of chance, so nobody finds one by trying (RFC 6750 §5.2). Who tries all the
//! same, and a client that was left behind with a revoked token, is answered 429 and when to ask
//! again (RFC 6585 §4). That slows down whoever heeds it. For whoever does not, each guess is still
//! one read by key, and `store` has few places for those, so that a flood of them keeps nobody from
//! reading whose token is known.
//!
//! Only what has been looked for and not found is counted, and only that is refused. So whoever
//! has a good token is served however many bad ones come from the same place, as from the one
//! proxy through which everybody comes; what a flood there costs others is that their own bad
//! tokens are answered 429 for a while, and not with the reason.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use axum::http::Extensions;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::settings::Rate;

/// Places and beginnings that are counted at once, 100 bytes each. Beyond them all others count as
/// one, until some have been quiet.
const KEYS_MAX: usize = 20_000;

/// Characters by which one bad token is told from another: our prefix, and 32 bits of chance.
const BEGINNING: usize = 20;

/// Who is at the other end of a connection: the client, or a proxy in front of us. What a proxy says
/// of whom it speaks for is not read, because anybody can say so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// How many guesses there were lately.
#[derive(Debug)]
pub(crate) struct Guesses {
    limiter: DefaultKeyedRateLimiter<Key>,
    keys_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Where it comes from.
    From(IpAddr),
    /// Tokens that begin like this, wherever they come from.
    Beginning(String),
    /// Whoever has no place of their own.
    Others,
}

impl Guesses {
    pub(crate) fn new(rate: Rate) -> Guesses {
        Guesses::of(rate, KEYS_MAX)
    }

    fn of(rate: Rate, keys_max: usize) -> Guesses {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Guesses { limiter: RateLimiter::keyed(quota), keys_max }
    }

    /// Counts a credential that nobody has given out. `Err` is how long to wait, when there have
    /// been too many.
    pub(crate) fn unknown(&self, presented: &str, extensions: &Extensions) -> Result<(), Duration> {
        let from = extensions.get().map_or(Key::Others, |Peer(address)| Key::of(*address));
        self.count(from).and(self.count(Key::beginning(presented)))
    }

    /// Counts a credential that is known and opens nothing (any more): no guess, but it may be sent
    /// over and over. It does not count against where it comes from.
    pub(crate) fn useless(&self, presented: &str) -> Result<(), Duration> {
        self.count(Key::beginning(presented))
    }

    fn count(&self, key: Key) -> Result<(), Duration> {
        let key = if self.limiter.len() < self.keys_max { key } else { self.make_room(key) };
        self.limiter
            .check_key(&key)
            .map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets whoever has been quiet for so long that it does not matter any more.
    fn make_room(&self, key: Key) -> Key {
        self.limiter.retain_recent();
        if self.limiter.len() < self.keys_max { key } else { Key::Others }
    }
}

/// What one customer of a provider has: an address, or the network of 64 bits of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Key {
    fn of(address: IpAddr) -> Key {
        Key::From(network(address))
    }

    fn beginning(presented: &str) -> Key {
        Key::Beginning(crate::scim::cut(presented, BEGINNING).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// Three at once, and then one in a second.
    fn guesses(keys_max: usize) -> Guesses {
        let number = |it| NonZeroU32::new(it).unwrap();
        Guesses::of(Rate { per_second: number(1), burst: number(3) }, keys_max)
    }

    fn from(address: &str) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(address.parse().unwrap()));
        extensions
    }

    #[test]
    fn guesses_are_counted_by_where_they_come_from() {
        let guesses = guesses(100);
        let mut number = 0;
        let mut guess = |address: &str| {
            number += 1;
            guesses.unknown(&format!("{number:0>20}"), &from(address)).is_ok()
        };
        assert_eq!([(); 5].map(|()| guess("192.0.2.1")), [true, true, true, false, false]);
        assert!(guess("192.0.2.2"));
        // The same, written as IPv6.
        assert!(!guess("::ffff:192.0.2.1"));
        // A customer has 64 bits of addresses.
        assert_eq!([(); 4].map(|()| guess("2001:db8::1")), [true, true, true, false]);
        assert!(!guess("2001:db8::ffff:1"));
        assert!(guess("2001:db8:0:1::1"));
    }

    #[test]
    fn guesses_are_counted_by_how_they_begin() {
        let guesses = guesses(100);
        let guess = |token: &str, last: u8| {
            guesses.unknown(token, &from(&format!("192.0.2.{last}"))).is_ok()
        };
        let token = "roster-scim-0123abcd";
        assert_eq!(
            [1, 2, 3, 4].map(|it| guess(&format!("{token}{it}"), it)),
            [true, true, true, false]
        );
        assert!(guess("roster-scim-0123abce", 5));
    }

    #[test]
    fn a_known_token_does_not_count_against_where_it_comes_from() {
        let guesses = guesses(100);
        assert_eq!([(); 4].map(|()| guesses.useless("a").is_ok()), [true, true, true, false]);
        assert!(guesses.unknown("b", &from("192.0.2.1")).is_ok());
    }

    #[test]
    fn no_more_is_remembered_than_the_limit() {
        let guesses = guesses(10);
        let mut refused = 0;
        for number in 0_u32..1_000 {
            let address = std::net::Ipv4Addr::from(number).to_string();
            refused += u32::from(guesses.unknown(&number.to_string(), &from(&address)).is_err());
            assert!(guesses.limiter.len() <= 11);
        }
        // Who finds no place is one of many, and those are limited together.
        assert!(refused > 900, "{refused}");
    }
}
