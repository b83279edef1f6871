//! Bookmarks: where each walk through a list by `startIndex` has come to.
//!
//! An index counts rows, and rows come and go. When one of the first hundred people is deleted
//! after the first page, person 102 becomes number 101, and whoever asks for the page from 102 on
//! never sees them. And counting to the 900,000th row costs 900,000 steps.
//!
//! So the answer of a page leaves a bookmark: the page that begins at the next index is the one
//! after this row. A client that walks in order is answered by key, each page at the same cost,
//! and sees everybody who was there from its first page to its last exactly once, whoever is added
//! or removed meanwhile. A walk through a filtered or sorted list is kept together in the same way,
//! as far as the people in it keep matching and keep their place.
//!
//! A bookmark is a hint and no promise. Without one, after a restart, on another node or at an
//! index where nobody stopped, rows are counted from the first, as RFC 7644 §3.4.2.4 has it.
//!
//! - **Who steps how.** Some clients add `count` to their index and some add `itemsPerPage`. Both
//!   lead on from where the page ended, also where it ended early because it was long.
//! - **Who begins anew.** Index 1 is always the beginning, and the beginning of another walk.
//! - **Who asks twice.** The page that was asked for last is the same when it is asked for again.
//! - **Two walks at once.** Bookmarks are those of a credential and of a list: directory, kind,
//!   filter, order. Two walks by one token through one list cannot be told apart where they wait at
//!   the same index; then the one that has waited longer is believed to have come, as long as it
//!   waits no longer than a walk pauses. If that is wrong, somebody may be seen twice, or, where
//!   people are deleted meanwhile, be skipped. A walk that has reached its end waits for nobody.
//! - **The end.** Clients go on while their index is at most `totalResults`, so a total that has
//!   sunk below the index in the middle of a walk would end it early. See [`total_of_walk`].

use std::sync::Mutex;

use directory::TokenId;
use jiff::{SignedDuration, Timestamp};

use crate::place::{ListName, Place};

/// Walks that are remembered at once, of all directories; the one that rested longest is forgotten.
const WALKS_MAX: usize = 4_096;

/// Walks of one credential that are remembered at once, so that none crowds out the others.
const WALKS_OF_ONE_MAX: usize = 64;

/// How long a walk is remembered between two pages. A client that has not come back after that
/// has given up, or will begin anew.
const REST_MAX: SignedDuration = SignedDuration::from_hours(1);

/// How long a walk that goes on pauses between two pages.
const PAUSE_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Every walk that goes on.
#[derive(Debug, Default)]
pub(crate) struct Walks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Few enough to be looked through: a comparison of hashes each.
    walks: Vec<Walk>,
    /// Goes up with each use.
    used: u64,
}

#[derive(Debug)]
struct Walk {
    id: u64,
    by: TokenId,
    list: ListName,
    /// The page that was asked for last, and after which place it began.
    here: (u64, Option<Place>),
    /// What the next page is called: by who adds `itemsPerPage`, and by who adds `count`.
    next: [u64; 2],
    /// After which place the next page begins.
    place: Place,
    /// Whether there was no more behind its last page.
    is_over: bool,
    used: u64,
    used_at: Timestamp,
}

/// Where a walk goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    walk: u64,
    /// After this; `None` is the beginning of the list.
    pub(crate) after: Option<Place>,
}

/// A page that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) index: u64,
    pub(crate) count: u64,
    pub(crate) items: u64,
    pub(crate) has_more: bool,
    /// The place of the last item.
    pub(crate) last: Option<&'a Place>,
}

impl Answered<'_> {
    /// Whether there may be a page after this one.
    pub(crate) fn leads_on(&self) -> bool {
        self.items >= self.count || self.has_more
    }
}

impl Walks {
    /// The walk that this page belongs to, if there is one.
    pub(crate) fn resume(
        &self,
        by: TokenId,
        list: &ListName,
        index: u64,
        now: Timestamp,
    ) -> Option<Resumed> {
        if index <= 1 {
            return None;
        }
        let mut known = self.0.lock().expect("nobody panics while holding it");
        known.used += 1;
        let used = known.used;
        let rest = |walk: &Walk| now.duration_since(walk.used_at);
        let of_list = |walk: &&mut Walk| walk.by == by && walk.list == *list;
        let waiting = || known.walks.iter().filter(|it| it.by == by && it.list == *list);
        let leads_here = |walk: &&Walk| walk.next.contains(&index) && rest(walk) <= REST_MAX;
        let is_next = |walk: &&Walk| leads_here(walk) && !walk.is_over;
        let found = waiting()
            .filter(is_next)
            .filter(|walk| rest(walk) <= PAUSE_MAX)
            .min_by_key(|walk| walk.used)
            .or_else(|| waiting().filter(is_next).max_by_key(|walk| walk.used))
            .or_else(|| {
                let asked_again = |walk: &&Walk| walk.here.0 == index && rest(walk) <= REST_MAX;
                waiting().filter(asked_again).max_by_key(|walk| walk.used)
            })
            // Who adds `count` asks once more behind the end, and is answered that there is none.
            .or_else(|| waiting().filter(leads_here).max_by_key(|walk| walk.used))?
            .id;
        let walk = known.walks.iter_mut().filter(of_list).find(|walk| walk.id == found)?;
        if walk.here.0 != index {
            walk.here = (index, Some(walk.place.clone()));
        }
        // Whoever else waits here has waited longer from now on.
        (walk.used, walk.used_at) = (used, now);
        Some(Resumed { walk: walk.id, after: walk.here.1.clone() })
    }

    /// Notes where a page ended. A list that is shorter than its first page is not walked through.
    pub(crate) fn note(
        &self,
        by: TokenId,
        list: &ListName,
        resumed: Option<&Resumed>,
        page: Answered<'_>,
        now: Timestamp,
    ) {
        if resumed.is_none() && !page.leads_on() {
            return;
        }
        let next = [page.index.saturating_add(page.items), page.index.saturating_add(page.count)];
        let mut known = self.0.lock().expect("nobody panics while holding it");
        known.used += 1;
        let used = known.used;
        if let Some(resumed) = resumed {
            // A page without items is where its walk has been already.
            if let Some(walk) = known.walks.iter_mut().find(|walk| walk.id == resumed.walk)
                && let Some(place) = page.last.or(resumed.after.as_ref())
            {
                walk.here = (page.index, resumed.after.clone());
                walk.next = next;
                walk.place = place.clone();
                walk.is_over = !page.has_more;
                (walk.used, walk.used_at) = (used, now);
            }
            return;
        }
        let Some(place) = page.last.cloned() else { return };
        known.make_place(by, now);
        known.walks.push(Walk {
            id: used,
            by,
            list: *list,
            here: (page.index, None),
            next,
            place,
            is_over: !page.has_more,
            used,
            used_at: now,
        });
    }
}

impl Known {
    fn make_place(&mut self, by: TokenId, now: Timestamp) {
        self.walks.retain(|walk| now.duration_since(walk.used_at) <= REST_MAX);
        if self.walks.iter().filter(|walk| walk.by == by).count() >= WALKS_OF_ONE_MAX {
            self.forget_oldest(|walk| walk.by == by);
        } else if self.walks.len() >= WALKS_MAX {
            self.forget_oldest(|_| true);
        }
    }

    fn forget_oldest(&mut self, among: impl Fn(&Walk) -> bool) {
        let walks = self.walks.iter().enumerate().filter(|(_, walk)| among(walk));
        if let Some((place, _)) = walks.min_by_key(|(_, walk)| walk.used) {
            self.walks.swap_remove(place);
        }
    }
}

/// `totalResults` of a page in the middle of a walk.
///
/// It is how many there are now, and is moved from there only as far as a client that goes by it
/// needs. While there is more, it is not below the next index, however the client steps: people that
/// this walk has seen and who were deleted since must not hide those who are still to come, and
/// neither must a page that ended early because it was long. At the end, it is not above
/// the last index: who came to match the filter behind the walk's back will not come any more, and
/// a client that waits for them would never stop.
pub(crate) fn total_of_walk(total: u64, page: Answered<'_>) -> u64 {
    if page.has_more {
        total.max(page.index.saturating_add(page.items.max(page.count)))
    } else {
        total.min(page.index.saturating_add(page.items).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use directory::DirectoryId;
    use scim::sort::SortKey;
    use uuid::Uuid;

    use super::*;

    struct Nth(u128);

    impl directory::Ids for Nth {
        fn next(&self) -> Uuid {
            Uuid::from_u128(self.0)
        }
    }

    fn token(number: u128) -> TokenId {
        TokenId::new(&Nth(number))
    }

    fn list(kind: &str) -> ListName {
        ListName::new(DirectoryId::new(&Nth(1)), kind, &[])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn place(ordinal: u64) -> Place {
        Place { key: SortKey::default(), ordinal }
    }

    /// A full page of ten.
    fn answered(index: u64, last: &Place) -> Answered<'_> {
        Answered { index, count: 10, items: 10, has_more: true, last: Some(last) }
    }

    #[test]
    fn walks_are_those_of_a_token_and_of_a_list() {
        let walks = Walks::default();
        walks.note(token(1), &list("users"), None, answered(1, &place(17)), at(0));
        let resume =
            |by, kind, index| walks.resume(by, &list(kind), index, at(1)).and_then(|it| it.after);
        assert_eq!(resume(token(1), "users", 11), Some(place(17)));
        assert_eq!(resume(token(2), "users", 11), None);
        assert_eq!(resume(token(1), "groups", 11), None);
        assert_eq!(resume(token(1), "users", 12), None);
        assert_eq!(resume(token(1), "users", 1), None);
    }

    #[test]
    fn a_walk_that_is_over_takes_no_page_from_one_that_goes_on() {
        let walks = Walks::default();
        let (by, users) = (token(1), list("users"));
        let page =
            |index, items, has_more| Answered { index, count: 10, items, has_more, last: None };
        // Nineteen people: the second page is the last, and ends where a third would begin.
        let (tenth, last, twentieth) = (place(10), place(19), place(20));
        let noted = |resumed: Option<&Resumed>, page: Answered<'_>, at_second| {
            walks.note(by, &users, resumed, page, at(at_second));
        };
        noted(None, Answered { last: Some(&tenth), ..page(1, 10, true) }, 0);
        let second = walks.resume(by, &users, 11, at(1)).unwrap();
        noted(Some(&second), Answered { last: Some(&last), ..page(11, 9, false) }, 1);
        // More people come, and the list is walked through again.
        noted(None, Answered { last: Some(&tenth), ..page(1, 10, true) }, 2);
        let second = walks.resume(by, &users, 11, at(3)).unwrap();
        noted(Some(&second), Answered { last: Some(&twentieth), ..page(11, 10, true) }, 3);
        let third = walks.resume(by, &users, 21, at(4)).unwrap();
        assert_eq!(third.after, Some(twentieth));
    }

    #[test]
    fn of_two_that_wait_the_first_to_come_goes_on_and_who_gave_up_is_not_waited_for() {
        let check = |first: i64, second: i64, now: i64, expected: &[u64]| {
            let walks = Walks::default();
            walks.note(token(1), &list("users"), None, answered(1, &place(17)), at(first));
            walks.note(token(1), &list("users"), None, answered(1, &place(18)), at(second));
            for ordinal in expected {
                let resumed = walks.resume(token(1), &list("users"), 11, at(now));
                assert_eq!(resumed.and_then(|it| it.after), Some(place(*ordinal)));
            }
        };
        check(0, 1, 2, &[17, 18]);
        // The first has not come for longer than a walk pauses: it was begun anew.
        check(0, 100, 101, &[18, 18]);
        // Both are slow; then the latest is the likeliest.
        check(0, 1, 600, &[18]);
    }

    #[test]
    fn walks_are_bounded_in_number_and_age() {
        let walks = Walks::default();
        let count = || walks.0.lock().unwrap().walks.len();
        let begin = |by: u128, second: i64| {
            walks.note(token(by), &list("users"), None, answered(1, &place(1)), at(second));
        };
        for _ in 0..2 * WALKS_OF_ONE_MAX {
            begin(1, 0);
        }
        assert_eq!(count(), WALKS_OF_ONE_MAX);
        for by in 0..2 * WALKS_MAX as u128 {
            begin(by, 1);
        }
        assert_eq!(count(), WALKS_MAX);
        let rest = REST_MAX.as_secs();
        let resume = |second| walks.resume(token(5_000), &list("users"), 11, at(second)).is_some();
        assert!(!resume(rest + 2), "it has rested too long");
        assert!(resume(rest + 1));
        begin(1, 3 * rest);
        assert_eq!(count(), 1);
    }

    #[test]
    fn a_total_neither_ends_a_walk_early_nor_keeps_it_for_ever() {
        let last = place(1);
        let check = |total: u64, has_more: bool, expected: u64| {
            let page = Answered { has_more, ..answered(21, &last) };
            assert_eq!(total_of_walk(total, page), expected);
        };
        check(100, true, 100);
        check(25, true, 31);
        check(30, false, 30);
        check(25, false, 25);
        check(35, false, 30);
        // A page that ended after three of the ten that were asked for, because they were long: who
        // steps by ten must go on as well.
        let cut = |total| total_of_walk(total, Answered { items: 3, ..answered(1, &last) });
        assert_eq!((cut(5), cut(11), cut(30)), (11, 11, 30));
    }
}
