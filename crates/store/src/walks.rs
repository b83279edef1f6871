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
//! - **Who steps how.** Some clients add `count` to their index and some add `itemsPerPage`. Pages
//!   are full until the last, so the two differ only after the end, and both lead there.
//! - **Who begins anew.** Index 1 is always the beginning, and the beginning of another walk.
//! - **Who asks twice.** The page that was asked for last is the same when it is asked for again.
//! - **Two walks at once.** Bookmarks are those of a credential and of a list: directory, kind,
//!   filter, order. Two walks by one token through one list cannot be told apart where they wait at
//!   the same index; then the one that has waited longer is believed to have come, as long as it
//!   waits no longer than a walk pauses. If that is wrong, somebody may be seen twice.
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
        let is_next = |walk: &&Walk| walk.next.contains(&index) && rest(walk) <= REST_MAX;
        let found = waiting()
            .filter(is_next)
            .filter(|walk| rest(walk) <= PAUSE_MAX)
            .min_by_key(|walk| walk.used)
            .or_else(|| waiting().filter(is_next).max_by_key(|walk| walk.used))
            .or_else(|| {
                let asked_again = |walk: &&Walk| walk.here.0 == index && rest(walk) <= REST_MAX;
                waiting().filter(asked_again).max_by_key(|walk| walk.used)
            })?
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
        if resumed.is_none() && page.items < page.count {
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
/// needs. While there is more, it is not below the next index: people that this walk has seen and
/// who were deleted since must not hide those who are still to come. At the end, it is not above
/// the last index: who came to match the filter behind the walk's back will not come any more, and
/// a client that waits for them would never stop.
pub(crate) fn total_of_walk(total: u64, page: Answered<'_>) -> u64 {
    let next = page.index.saturating_add(page.items);
    if page.has_more { total.max(next) } else { total.min(next.saturating_sub(1)) }
}
