//! Lists: a page of the users or groups that a filter lets through, in the order of creation or in
//! one that the client wants.
//!
//! SQL narrows, `BoundFilter::matches` decides. Where a filter names a key (a user's name, an
//! `externalId`, an id, a member, an e-mail address) only the rows with that key are looked at;
//! otherwise all are, a few hundred at a time. Either way each row that is answered has been asked.
//!
//! A list without filter and order is read by key. Any other is looked through once per page,
//! because `totalResults` has to be true.
//!
//! A page is bounded in resources, by who asks, and in bytes, by [`PAGE_BYTES_MAX`]: one that would
//! be longer ends early, and the next goes on from there.
//!
//! Members are loaded within a [`Budget`]: that a few groups are found by their key says nothing of
//! how many belong to them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use directory::DirectoryId;
use scim::filter::BoundFilter;
use scim::list::SortOrder;
use scim::sort::{BoundSort, SortKey};
use serde_json::{Map, Value as Json};

use crate::error::Error;
use crate::narrow::{self, Narrowed, Related};
use crate::place::Place;
use crate::read::{self, GroupRecord, Record, UserRecord};
use crate::session::{Flow, Row, Session, Value, count};

/// Rows that are loaded at once while all are looked at.
const SCAN_ROWS: u64 = 500;

/// The same, where each is found by its own key.
const SCAN_ROWS_OF_KEY: usize = 500;

/// Bytes of the rows that are loaded at once while all are looked at, where they are large.
const SCAN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one page, about: a thousand users as large as they may be would be a gigabyte, and so
/// would a hundred groups with all of their members. A page ends before the resource that would
/// make it longer, but for its first. RFC 7644 §3.4.2.4: "The service provider MUST NOT return more
/// results than specified, although it MAY return fewer results."
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Places that are remembered while a list is sorted: 30 MiB with the longest keys, 5 with ordinary
/// ones. A page that lies further behind, and that nobody walked to, is reached in several rounds
/// of this many.
const CHOSEN_MAX: u64 = 100_000;

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From which on.
    pub start: Start,
    /// How many at most.
    pub count: u64,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With this one, beginning with 1.
    Index(u64),
    /// Where a cursor says; with the first, where there is none yet.
    Cursor(Option<String>),
}

/// Which records, and how much of each.
#[derive(Clone)]
pub struct ListRequest<R> {
    /// Which are wanted; all, where there is none.
    pub filter: Option<Arc<BoundFilter>>,
    /// In which order; in that of creation, where there is none.
    pub sort: Option<Arc<BoundSort>>,
    /// Which part of those.
    pub window: Window,
    /// Whether a user's groups, or a group's members, are wanted with it.
    pub with_related: bool,
    /// How a record is represented to the filter: whole, as a client would see it.
    pub represent: Represent<R>,
}

/// Makes of a record what a client would see.
pub type Represent<R> = Arc<dyn Fn(&R) -> Map<String, Json> + Send + Sync>;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// How many there are in all, in the same state of the database.
    pub total: u64,
    /// Those of the window, in the order of the list.
    pub items: Vec<T>,
    /// The cursor of the next page, where pages are found by cursor and there is more.
    pub next: Option<String>,
}

/// Some of everybody, in the order of their creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch<T> {
    /// As many as were wanted, or fewer where they would be long in bytes.
    pub items: Vec<T>,
    /// The ordinal after which there are more; `None` where there are not.
    pub next: Option<u64>,
}

/// A record of a list of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyRecord {
    /// A user.
    User(UserRecord),
    /// A group.
    Group(GroupRecord),
}

impl Window {
    /// So many, beginning with this one.
    pub const fn at(start_index: u64, count: u64) -> Window {
        Window { start: Start::Index(start_index), count }
    }
}

impl<R> std::fmt::Debug for ListRequest<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListRequest").field("window", &self.window).finish_non_exhaustive()
    }
}

/// What a page of a list costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cost {
    /// A few records are found by a key.
    Key,
    /// As many records are loaded as the page has.
    Page,
    /// Everybody may have to be looked at, which takes its time.
    Everybody,
}

pub(crate) fn cost<R: Record>(request: &ListRequest<R>) -> Cost {
    match &request.filter {
        Some(filter) if narrow::finds_few::<R>(filter.condition()) => Cost::Key,
        None if request.sort.is_none() => Cost::Page,
        _ => Cost::Everybody,
    }
}

/// How many members may still be loaded.
#[derive(Debug)]
pub(crate) struct Budget(Option<u64>);

impl Budget {
    pub(crate) const UNLIMITED: Budget = Budget(None);

    pub(crate) const fn of(members: u64) -> Budget {
        Budget(Some(members))
    }

    fn spend(&mut self, members: u64) -> Result<(), Stop> {
        if let Some(left) = &mut self.0 {
            *left = left.checked_sub(members).ok_or(Stop::OverBudget)?;
        }
        Ok(())
    }
}

/// Why a page was not made.
#[derive(Debug)]
enum Stop {
    /// More members than the budget has.
    OverBudget,
    Failed(Error),
}

impl Stop {
    /// `None` for a page that was over the budget.
    fn outcome<T>(made: Result<T, Stop>) -> Result<Option<T>, Error> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(Stop::OverBudget) => Ok(None),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Where to look for a page.
#[derive(Clone, Debug)]
pub(crate) enum Seek {
    /// After so many, however they are found.
    Skip(u64),
    After(Place),
}

/// What was found there.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) total: u64,
    /// Each with its place.
    pub(crate) items: Vec<(Place, T)>,
    /// Whether there is more after the last. Not known of a page that was to be empty.
    pub(crate) has_more: bool,
}

/// A page that is being filled.
#[derive(Debug)]
struct Filling<T> {
    most: u64,
    with_related: bool,
    items: Vec<(Place, T)>,
    bytes: usize,
    /// Whether somebody had no room. Nobody who comes later gets in then, however small.
    is_full: bool,
}

impl<T> Filling<T> {
    fn new(most: u64, with_related: bool) -> Filling<T> {
        Filling { most, with_related, items: Vec::new(), bytes: 0, is_full: false }
    }

    /// Puts one more onto the page, with those it is related to where they are wanted. False where
    /// there is no room.
    async fn take<R: Record + Into<T>>(
        &mut self,
        session: &mut Session,
        directory: &str,
        place: Place,
        mut record: R,
        is_related: bool,
        budget: &mut Budget,
    ) -> Result<bool, Stop> {
        self.is_full |= self.items.len() as u64 >= self.most;
        // A group's many members are not loaded to find that there is no room for them.
        if self.is_full || !self.has_room(&record) {
            return Ok(false);
        }
        match (self.with_related, is_related) {
            (true, false) => {
                relate(session, directory, &mut record, &Related::Everybody, budget).await?;
            }
            (false, true) => record.forget_related(),
            _ => {}
        }
        if !self.has_room(&record) {
            return Ok(false);
        }
        self.bytes = self.bytes.saturating_add(record.weight(self.with_related));
        self.items.push((place, record.into()));
        Ok(true)
    }

    fn has_room(&mut self, record: &impl Record) -> bool {
        let bytes = self.bytes.saturating_add(record.weight(self.with_related));
        self.is_full |= bytes > PAGE_BYTES_MAX && !self.items.is_empty();
        !self.is_full
    }

    fn found(self, total: u64, has_more: bool) -> Found<T> {
        Found { total, items: self.items, has_more: has_more || self.is_full }
    }
}

/// A page, and how many there are, in one state of the database. `None` where more members would
/// have to be loaded for it than the budget has.
pub(crate) async fn page<R: Record>(
    session: &mut Session,
    directory_id: DirectoryId,
    request: &ListRequest<R>,
    seek: Seek,
    mut budget: Budget,
) -> Result<Option<Found<R>>, Error> {
    session.begin_reading()?;
    let (directory, budget) = (directory_id.to_string(), &mut budget);
    Stop::outcome(match (&request.sort, &request.filter) {
        (Some(_), _) => sorted(session, &directory, request, seek, budget).await,
        (None, Some(filter)) => matching(session, &directory, request, filter, seek, budget).await,
        (None, None) => everything(session, &directory, request, seek, budget).await,
    })
}

/// The folded name, where a list is asked for the one user who has it, and for no more than that.
pub(crate) fn only_name(request: &ListRequest<UserRecord>, seek: &Seek) -> Option<String> {
    let is_whole = matches!(seek, Seek::Skip(0)) && request.window.count > 0;
    let filter = request.filter.as_ref().filter(|_| is_whole && request.sort.is_none())?;
    narrow::only_name::<UserRecord>(filter.condition()).map(str::to_owned)
}

/// The list of the user with this folded name.
pub(crate) async fn of_one(
    session: &mut Session,
    directory_id: DirectoryId,
    name_key: &str,
    with_groups: bool,
) -> Result<Found<UserRecord>, Error> {
    let directory = directory_id.to_string();
    let found = read::user_named(session, &directory, name_key, with_groups).await?;
    let items: Vec<_> =
        found.into_iter().map(|(ordinal, user)| (unsorted(ordinal), user)).collect();
    Ok(Found { total: items.len() as u64, items, has_more: false })
}

async fn total<R: Record>(session: &mut Session, directory: &str) -> Result<u64, Error> {
    let values = [Value::Text(directory)];
    let total = session.first("counting resources", R::COUNT, &values, |row| row.number(0)).await?;
    Ok(total.unwrap_or(0))
}

async fn everything<R: Record>(
    session: &mut Session,
    directory: &str,
    request: &ListRequest<R>,
    seek: Seek,
    budget: &mut Budget,
) -> Result<Found<R>, Stop> {
    let most = request.window.count;
    let total = total::<R>(session, directory).await?;
    let mut filling = Filling::new(most, request.with_related);
    let is_past_the_end = matches!(seek, Seek::Skip(skipped) if skipped >= total);
    if most == 0 || is_past_the_end {
        return Ok(filling.found(total, false));
    }
    let (sql, from) = match seek {
        Seek::Skip(skipped) if skipped > 0 => (R::BY_OFFSET, skipped),
        Seek::Skip(_) => (R::BY_ORDINAL, 0),
        Seek::After(place) => (R::BY_ORDINAL, place.ordinal),
    };
    let values = [Value::Text(directory), count(from), count(most.saturating_add(1))];
    let mut rows = some_rows::<R>(session, sql, &values, PAGE_BYTES_MAX).await?;
    let is_related = request.with_related && R::relate_all(session, directory, &mut rows).await?;
    for (ordinal, record) in rows {
        let place = unsorted(ordinal);
        if !filling.take(session, directory, place, record, is_related, budget).await? {
            break;
        }
    }
    Ok(filling.found(total, false))
}

/// Rows with their ordinals, until there are more bytes than so many: then the last of them, of two
/// at least, is the one that was too much.
async fn some_rows<R: Record>(
    session: &mut Session,
    sql: &'static str,
    values: &[Value<'_>],
    bytes_max: usize,
) -> Result<Vec<(u64, R)>, Error> {
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    session
        .each("loading a page", sql, values, |row| {
            let record = R::read(row)?;
            bytes = bytes.saturating_add(record.weight(false));
            rows.push((row.last_number()?, record));
            let is_enough = bytes > bytes_max && rows.len() > 1;
            Ok(if is_enough { Flow::Break(()) } else { Flow::Continue(()) })
        })
        .await?;
    Ok(rows)
}

/// Those after an ordinal: a page that is found by its key, at the same cost wherever it is. It is
/// bounded in bytes as any other.
pub(crate) async fn after<R: Record>(
    session: &mut Session,
    directory: &str,
    ordinal: u64,
    count_max: u64,
) -> Result<Stretch<R>, Error> {
    let one_more = count(count_max.saturating_add(1));
    let values = [Value::Text(directory), count(ordinal), one_more];
    let mut rows = some_rows::<R>(session, R::BY_ORDINAL, &values, PAGE_BYTES_MAX).await?;
    let bytes = rows.iter().fold(0, |bytes: usize, (_, it)| bytes.saturating_add(it.weight(false)));
    let is_too_much = rows.len() as u64 > count_max || bytes > PAGE_BYTES_MAX && rows.len() > 1;
    if is_too_much {
        rows.pop();
    }
    let next = rows.last().map(|(ordinal, _)| *ordinal).filter(|_| is_too_much);
    Ok(Stretch { items: rows.into_iter().map(|(_, record)| record).collect(), next })
}

async fn matching<R: Record>(
    session: &mut Session,
    directory: &str,
    request: &ListRequest<R>,
    filter: &BoundFilter,
    seek: Seek,
    budget: &mut Budget,
) -> Result<Found<R>, Stop> {
    let (mut to_skip, after) = match seek {
        Seek::Skip(skipped) => (skipped, 0),
        Seek::After(place) => (0, place.ordinal),
    };
    let mut filling = Filling::new(request.window.count, request.with_related);
    let mut scan = Scan::new(directory, Some(filter));
    let relates = narrow::related::<R>(filter.condition());
    let is_related = relates == Related::Everybody;
    let mut total = 0;
    while let Some(rows) = scan.next::<R>(session).await? {
        for (ordinal, mut record) in rows {
            relate(session, directory, &mut record, &relates, budget).await?;
            if !filter.matches(&(request.represent)(&record)) {
                continue;
            }
            total += 1;
            if ordinal <= after {
                continue;
            }
            if to_skip > 0 {
                to_skip -= 1;
                continue;
            }
            if !is_related {
                record.forget_related();
            }
            let place = unsorted(ordinal);
            filling.take(session, directory, place, record, is_related, budget).await?;
        }
    }
    Ok(filling.found(total, false))
}

async fn sorted<R: Record>(
    session: &mut Session,
    directory: &str,
    request: &ListRequest<R>,
    seek: Seek,
    budget: &mut Budget,
) -> Result<Found<R>, Stop> {
    let most = request.window.count;
    let (total, places, has_more) = reach(most, seek, async |after, most| {
        choose(session, directory, request, after, most, budget).await
    })
    .await?;
    let mut filling = Filling::new(most, request.with_related);
    for place in places {
        if let Some(record) = at::<R>(session, directory, place.ordinal).await?
            && !filling.take(session, directory, place, record, false, budget).await?
        {
            break;
        }
    }
    Ok(filling.found(total, has_more))
}

/// A page of users and groups together; as [`page`].
pub(crate) async fn page_of_all(
    session: &mut Session,
    directory_id: DirectoryId,
    users: &ListRequest<UserRecord>,
    groups: &ListRequest<GroupRecord>,
    seek: Seek,
    mut budget: Budget,
) -> Result<Option<Found<AnyRecord>>, Error> {
    session.begin_reading()?;
    let (directory, budget) = (directory_id.to_string(), &mut budget);
    Stop::outcome(all(session, &directory, users, groups, seek, budget).await)
}

async fn all(
    session: &mut Session,
    directory: &str,
    users: &ListRequest<UserRecord>,
    groups: &ListRequest<GroupRecord>,
    seek: Seek,
    budget: &mut Budget,
) -> Result<Found<AnyRecord>, Stop> {
    let most = users.window.count;
    let (total, places, has_more) = reach(most, seek, async |after, most| {
        let mut chosen = choose(session, directory, users, after, most, budget).await?;
        let groups = choose(session, directory, groups, after, most, budget).await?;
        chosen.join(groups, most);
        Ok(chosen)
    })
    .await?;
    let mut filling = Filling::new(most, false);
    for place in places {
        // An ordinal is that of a user or of a group, of one among both.
        let user: Option<UserRecord> = at(session, directory, place.ordinal).await?;
        let has_room = if let Some(user) = user {
            filling.with_related = users.with_related;
            filling.take(session, directory, place, user, false, budget).await?
        } else if let Some(group) = at::<GroupRecord>(session, directory, place.ordinal).await? {
            filling.with_related = groups.with_related;
            filling.take(session, directory, place, group, false, budget).await?
        } else {
            true
        };
        if !has_room {
            break;
        }
    }
    Ok(filling.found(total, has_more))
}

/// The one with this ordinal.
async fn at<R: Record>(
    session: &mut Session,
    directory: &str,
    ordinal: u64,
) -> Result<Option<R>, Error> {
    let values = [Value::Text(directory), count(ordinal)];
    session.first("loading a resource", R::AT, &values, R::read).await
}

fn unsorted(ordinal: u64) -> Place {
    Place { key: SortKey::default(), ordinal }
}

/// The places of a page, reached in as many rounds as memory allows.
async fn reach(
    most: u64,
    seek: Seek,
    mut choose: impl AsyncFnMut(Option<&Place>, u64) -> Result<Chosen, Stop>,
) -> Result<(u64, Vec<Place>, bool), Stop> {
    let (mut to_skip, mut after) = match seek {
        Seek::Skip(skipped) => (skipped, None),
        Seek::After(place) => (0, Some(place)),
    };
    if most == 0 {
        let chosen = choose(None, 0).await?;
        return Ok((chosen.total, Vec::new(), false));
    }
    loop {
        let here = to_skip.saturating_add(most).saturating_add(1);
        if to_skip == 0 || here <= CHOSEN_MAX {
            let chosen = choose(after.as_ref(), here).await?;
            let total = chosen.total;
            let skipped = usize::try_from(to_skip).unwrap_or(usize::MAX);
            let mut places = chosen.in_order();
            places.drain(..skipped.min(places.len()));
            let has_more = places.len() as u64 > most;
            places.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            return Ok((total, places, has_more));
        }
        let round = to_skip.min(CHOSEN_MAX);
        let chosen = choose(after.as_ref(), round).await?;
        let total = chosen.total;
        let is_past_the_end = after.is_none() && to_skip >= total;
        let places = chosen.in_order();
        if is_past_the_end || (places.len() as u64) < round {
            return Ok((total, Vec::new(), false));
        }
        to_skip -= round;
        after = places.into_iter().next_back();
    }
}

/// The first few places after another, of all that were looked at.
#[derive(Debug)]
struct Chosen {
    total: u64,
    most: u64,
    /// The last of them on top.
    places: BinaryHeap<Ranked>,
}

/// A place that knows which way its list goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) place: Place,
    pub(crate) order: SortOrder,
}

impl Ord for Ranked {
    /// By the key, one way or the other; who has the same stands in the order of creation.
    fn cmp(&self, other: &Ranked) -> Ordering {
        let by_key = self.place.key.cmp(&other.place.key);
        let by_key = match self.order {
            SortOrder::Ascending => by_key,
            SortOrder::Descending => by_key.reverse(),
        };
        by_key.then(self.place.ordinal.cmp(&other.place.ordinal))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Chosen {
    fn consider(&mut self, ranked: Ranked) {
        if (self.places.len() as u64) < self.most {
            self.places.push(ranked);
        } else if self.places.peek().is_some_and(|last| ranked < *last) {
            self.places.pop();
            self.places.push(ranked);
        }
    }

    fn join(&mut self, other: Chosen, most: u64) {
        self.total += other.total;
        self.places.extend(other.places);
        while self.places.len() as u64 > most {
            self.places.pop();
        }
    }

    fn in_order(self) -> Vec<Place> {
        self.places.into_sorted_vec().into_iter().map(|it| it.place).collect()
    }
}

/// Looks at everybody who may match, and remembers the first `most` places after another one.
async fn choose<R: Record>(
    session: &mut Session,
    directory: &str,
    request: &ListRequest<R>,
    after: Option<&Place>,
    most: u64,
    budget: &mut Budget,
) -> Result<Chosen, Stop> {
    let sort = request.sort.as_deref();
    let order = sort.map(BoundSort::order).unwrap_or_default();
    let after = after.map(|place| Ranked { place: place.clone(), order });
    let mut chosen = Chosen { total: 0, most, places: BinaryHeap::new() };
    if request.filter.is_none() && (sort.is_none() || most == 0) {
        chosen.total = total::<R>(session, directory).await?;
        if most == 0 {
            return Ok(chosen);
        }
        let from = after.map_or(0, |after| after.place.ordinal);
        let values = [Value::Text(directory), count(from), count(most)];
        let ordinals =
            session.all("loading a page", R::ORDINALS, &values, |row| row.number(0)).await?;
        let ranked = |ordinal| Ranked { place: unsorted(ordinal), order };
        chosen.places = ordinals.into_iter().map(ranked).collect();
        return Ok(chosen);
    }
    let mut scan = Scan::new(directory, request.filter.as_deref());
    let by = sort.and_then(|sort| sort.target()?.member());
    let relates = match &request.filter {
        _ if by == Some(R::RELATED) => Related::Everybody,
        Some(filter) => narrow::related::<R>(filter.condition()),
        None => Related::Nobody,
    };
    while let Some(rows) = scan.next::<R>(session).await? {
        for (ordinal, mut record) in rows {
            relate(session, directory, &mut record, &relates, budget).await?;
            let resource = (request.represent)(&record);
            if request.filter.as_ref().is_some_and(|filter| !filter.matches(&resource)) {
                continue;
            }
            chosen.total += 1;
            let key = sort.map(|sort| sort.key(&resource)).unwrap_or_default();
            let ranked = Ranked { place: Place { key, ordinal }, order };
            if after.as_ref().is_none_or(|after| ranked > *after) {
                chosen.consider(ranked);
            }
        }
    }
    Ok(chosen)
}

/// Loads those related resources that decide.
async fn relate<R: Record>(
    session: &mut Session,
    directory: &str,
    record: &mut R,
    related: &Related<'_>,
    budget: &mut Budget,
) -> Result<(), Stop> {
    match related {
        Related::Nobody => {}
        Related::These(ids) => record.relate_to(session, directory, ids).await?,
        Related::Everybody => {
            budget.spend(record.member_count())?;
            record.relate(session, directory).await?;
        }
    }
    Ok(())
}

/// Everybody who may match, in the order of creation, a few hundred at a time.
struct Scan<'a> {
    directory: &'a str,
    filter: Option<&'a BoundFilter>,
    among: Among,
}

/// Who is still to be looked at.
enum Among {
    Unknown,
    /// Everybody after this ordinal.
    After(u64),
    /// Those with these ordinals: 8 MiB for the largest directory.
    These(std::vec::IntoIter<u64>),
}

impl<'a> Scan<'a> {
    fn new(directory: &'a str, filter: Option<&'a BoundFilter>) -> Scan<'a> {
        Scan { directory, filter, among: Among::Unknown }
    }

    /// Some more; `None` when there are no more.
    async fn next<R: Record>(
        &mut self,
        session: &mut Session,
    ) -> Result<Option<Vec<(u64, R)>>, Error> {
        let condition = self.filter.map(BoundFilter::condition);
        if matches!(self.among, Among::Unknown) {
            self.among = match condition.and_then(narrow::narrow::<R>) {
                None => Among::After(0),
                Some(Narrowed { with: Some(sql), key: Some(key), .. }) => {
                    // Whoever has this key is the only one.
                    self.among = Among::These(Vec::new().into_iter());
                    let values = [Value::Text(self.directory), key];
                    let rows = some_rows::<R>(session, sql, &values, SCAN_BYTES_MAX).await?;
                    return Ok(Some(rows).filter(|rows| !rows.is_empty()));
                }
                Some(Narrowed { sql, key, .. }) => {
                    let values: Vec<_> =
                        std::iter::once(Value::Text(self.directory)).chain(key).collect();
                    let read = |row: &Row<'_>| row.number(0);
                    let mut found = session.all("looking for a key", sql, &values, read).await?;
                    found.sort_unstable();
                    Among::These(found.into_iter())
                }
            };
        }
        let rows: Vec<(u64, R)> = match &mut self.among {
            Among::Unknown => Vec::new(),
            Among::After(last) => {
                let values = [Value::Text(self.directory), count(*last), count(SCAN_ROWS)];
                let rows = some_rows::<R>(session, R::BY_ORDINAL, &values, SCAN_BYTES_MAX).await?;
                *last = rows.last().map_or(*last, |(ordinal, _)| *ordinal);
                rows
            }
            Among::These(ordinals) => {
                let (mut rows, mut bytes) = (Vec::new(), 0);
                for ordinal in ordinals.by_ref().take(SCAN_ROWS_OF_KEY) {
                    let found = at::<R>(session, self.directory, ordinal).await?;
                    bytes += found.as_ref().map_or(0, |record| record.weight(false));
                    rows.extend(found.map(|record| (ordinal, record)));
                    if bytes > SCAN_BYTES_MAX {
                        break;
                    }
                }
                rows
            }
        };
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }
}

impl From<UserRecord> for AnyRecord {
    fn from(user: UserRecord) -> AnyRecord {
        AnyRecord::User(user)
    }
}

impl From<GroupRecord> for AnyRecord {
    fn from(group: GroupRecord) -> AnyRecord {
        AnyRecord::Group(group)
    }
}
