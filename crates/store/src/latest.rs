//! The latest events first, for people who look at the feed; and how many there were lately. Programs read
//! the feed from the beginning on, in [`feed`].

use jiff::{SignedDuration, Timestamp};

use crate::access::ApiStore;
use crate::error::Error;
use crate::feed::{self, EventFilter, EventRecord, Scope};
use crate::session::{Engine, Session, Value, count, finish};

/// Events that are looked at for one page, where not each of them is meant.
const LOOKED_AT: u64 = 5_000;

/// Some events, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatestEvents {
    /// These.
    pub events: Vec<EventRecord>,
    /// Before which position there may be more.
    pub next: Option<u64>,
}

impl ApiStore {
    /// Events before a position, or the latest; those that are meant, and that whoever asks may know of.
    /// A page may have no events and still lead on.
    pub async fn latest_events(
        &self,
        mut filter: EventFilter,
        before: Option<u64>,
        count_max: u64,
    ) -> Result<LatestEvents, Error> {
        if let Some(bound_to) = self.bound_to() {
            match filter.directory_id {
                Some(id) if self.organization_of(id).await? != Some(bound_to) => {
                    return Ok(LatestEvents::default());
                }
                _ => filter.organization_id = Some(bound_to),
            }
        }
        let read = move |session: &mut Session| {
            finish(async {
                if session.engine() == Engine::Postgres {
                    feed::sequence(session).await?;
                }
                session.begin_reading()?;
                let found = latest(session, &filter, before, count_max).await;
                session.roll_back().await?;
                found
            })
        };
        self.inner().readers.read(read).await
    }

    /// The event at a position; `None` where there is none, or it was let go.
    pub async fn event_at(&self, position: u64) -> Result<Option<EventRecord>, Error> {
        let Some(after) = position.checked_sub(1) else { return Ok(None) };
        let read = move |session: &mut Session| {
            finish(feed::part(session, after, Some(position), None, 1))
        };
        let part = self.inner().readers.read(read).await?;
        let is_theirs = |it: &EventRecord| {
            it.position == position
                && self.bound_to().is_none_or(|own| it.organization_id == Some(own))
        };
        Ok(part.events.into_iter().find(is_theirs))
    }

    /// The position of the latest event.
    pub async fn end_of_feed(&self) -> Result<u64, Error> {
        let read = |session: &mut Session| {
            finish(async {
                if session.engine() == Engine::Postgres {
                    feed::sequence(session).await?;
                }
                feed::position(session).await
            })
        };
        self.inner().readers.read(read).await
    }

    /// How many events occurred in each of the minutes before a moment, the latest last. Events have
    /// places without gaps, so that nothing is counted: it is looked where each minute begins, and in a
    /// minute without events nothing is looked at.
    pub async fn events_by_minute(
        &self,
        until: Timestamp,
        minutes: usize,
    ) -> Result<Vec<u64>, Error> {
        let read = move |session: &mut Session| {
            finish(async {
                if session.engine() == Engine::Postgres {
                    feed::sequence(session).await?;
                }
                session.begin_reading()?;
                let found = by_minute(session, until, minutes).await;
                session.roll_back().await?;
                found
            })
        };
        self.inner().readers.read(read).await
    }
}

async fn by_minute(
    session: &mut Session,
    until: Timestamp,
    minutes: usize,
) -> Result<Vec<u64>, Error> {
    let ago = |it: usize| {
        let ago = SignedDuration::from_mins(i64::try_from(minutes - it).unwrap_or(i64::MAX));
        until.saturating_sub(ago).unwrap_or(Timestamp::MIN)
    };
    let end = feed::position(session).await?;
    let mut places = vec![feed::position_at(session, ago(0)).await?; minutes + 1];
    places[minutes] = end;
    // Between two that are the same, all are.
    let mut open = vec![(0, minutes)];
    while let Some((first, last)) = open.pop() {
        let (low, high) = (places[first], places[last]);
        if last - first < 2 {
            continue;
        }
        let middle = first + (last - first) / 2;
        if low == high {
            places[first..last].fill(low);
            continue;
        }
        places[middle] = feed::position_between(session, ago(middle), low, high).await?;
        open.extend([(first, middle), (middle, last)]);
    }
    Ok(places.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect())
}

async fn latest(
    session: &mut Session,
    filter: &EventFilter,
    before: Option<u64>,
    count_max: u64,
) -> Result<LatestEvents, Error> {
    let before = before.unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1);
    let lanes = match filter.scope() {
        Scope::All => None,
        Scope::Directory(id) => Some(vec![id.to_string()]),
        Scope::Organization(id) => Some(feed::directories_of(session, id).await?),
    };
    let share = if filter.kinds.is_empty() {
        count_max + 1
    } else {
        LOOKED_AT / lanes.as_ref().map_or(1, |it| it.len().max(1) as u64)
    };
    let looking =
        Looking { filter, lanes: lanes.as_deref(), before, share: share.max(1), count_max };
    match session.engine() {
        Engine::Sqlite => looking.here(session).await,
        Engine::Postgres => looking.sequenced(session).await,
    }
}

struct Looking<'a> {
    filter: &'a EventFilter,
    /// The directories that are meant; all, where there is nothing.
    lanes: Option<&'a [String]>,
    before: u64,
    /// How many are looked at in each.
    share: u64,
    count_max: u64,
}

impl Looking<'_> {
    fn is_meant(&self, kind: &str) -> bool {
        self.filter.kinds.is_empty() || self.filter.kinds.iter().any(|it| it.as_str() == kind)
    }

    /// Of an embedded database: first where they stand, then what they are.
    async fn here(&self, session: &mut Session) -> Result<LatestEvents, Error> {
        const DOING: &str = "looking for the latest events";
        let sql = match self.lanes {
            None => {
                "select position, type from events where position < $1
                 order by position desc limit $2"
            }
            Some(_) => {
                "select position, type from events where directory_id = $3 and position < $1
                 order by position desc limit $2"
            }
        };
        // Down to here every directory was looked at.
        let mut horizon = 0;
        let mut places = Vec::new();
        let everywhere = [String::new()];
        for lane in self.lanes.unwrap_or(&everywhere) {
            let mut values = vec![count(self.before), count(self.share)];
            values.extend(self.lanes.map(|_| Value::Text(lane)));
            let found =
                session.all(DOING, sql, &values, |row| Ok((row.number(0)?, row.text(1)?))).await?;
            if let Some((last, _)) = found.last()
                && found.len() as u64 == self.share
            {
                horizon = horizon.max(*last);
            }
            let meant = found.into_iter().filter(|(_, kind)| self.is_meant(kind));
            places.extend(meant.map(|(position, _)| position));
        }
        places.retain(|place| *place >= horizon);
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.truncate(usize::try_from(self.count_max + 1).unwrap_or(usize::MAX));
        let mut events = Vec::new();
        for place in places {
            let sql = "select e.position, e.event_id, e.type, d.organization_id, e.directory_id,
                              e.number, e.occurred_at, e.cause, e.data
                       from events e left join directories d on d.directory_id = e.directory_id
                       where e.position = $1";
            events.extend(session.first(DOING, sql, &[count(place)], feed::event).await?);
        }
        Ok(self.page(events, horizon))
    }

    /// On PostgreSQL: first which runs of events stand there, then what they are.
    async fn sequenced(&self, session: &mut Session) -> Result<LatestEvents, Error> {
        const DOING: &str = "looking for the latest events";
        // The run in which the place is, and those before it.
        let (sql, lanes) = match self.lanes {
            None => (
                "select first_position, last_position, first_number, directory_id from sequence
                 where last_position <= coalesce(
                     (select min(last_position) from sequence where last_position >= $1),
                     9223372036854775807)
                 order by last_position desc limit $2",
                None,
            ),
            Some(lanes) => (
                "select s.first_position, s.last_position, s.first_number, d.directory_id
                 from unnest($3::text[]) as d (directory_id)
                 cross join lateral (
                     select first_position, last_position, first_number from sequence
                     where directory_id = d.directory_id and last_position <= coalesce(
                         (select min(last_position) from sequence where last_position >= $1),
                         9223372036854775807)
                     order by last_position desc limit $2
                 ) s
                 order by s.last_position desc",
                Some(Value::Texts(lanes)),
            ),
        };
        let mut values = vec![count(self.before), count(self.share)];
        values.extend(lanes);
        let runs = session
            .all(DOING, sql, &values, |row| {
                Ok((row.number(0)?, row.number(1)?, row.number(2)?, row.text(3)?))
            })
            .await?;
        let mut horizon = 0;
        let mut runs_of = std::collections::BTreeMap::<&str, u64>::new();
        for (first, _, _, directory) in &runs {
            let lane = if self.lanes.is_some() { directory.as_str() } else { "" };
            let found = runs_of.entry(lane).or_default();
            *found += 1;
            if *found == self.share {
                horizon = horizon.max(*first);
            }
        }
        let most = if self.filter.kinds.is_empty() { self.count_max + 1 } else { LOOKED_AT };
        let (mut directories, mut numbers, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        'runs: for (first, last, number, directory) in runs {
            for position in (first..=last.min(self.before.saturating_sub(1))).rev() {
                if position < horizon {
                    break 'runs;
                }
                if positions.len() as u64 == most {
                    horizon = horizon.max(position + 1);
                    break 'runs;
                }
                directories.push(directory.clone());
                numbers.push((number + (position - first)).cast_signed());
                positions.push(position.cast_signed());
            }
        }
        let kinds: Vec<_> = self.filter.kinds.iter().map(|it| it.as_str().to_owned()).collect();
        let sql = "select k.position, e.event_id, e.type, d.organization_id, e.directory_id,
                          e.number, e.occurred_at, e.cause, e.data
                   from unnest($1::bigint[], $2::text[], $3::bigint[])
                        as k (position, directory_id, number)
                   join events e on e.directory_id = k.directory_id and e.number = k.number
                   left join directories d on d.directory_id = e.directory_id
                   where cardinality($4::text[]) = 0 or e.type = any($4::text[])
                   order by k.position desc limit $5";
        let values = [
            Value::Integers(&positions),
            Value::Texts(&directories),
            Value::Integers(&numbers),
            Value::Texts(&kinds),
            count(self.count_max + 1),
        ];
        let events = session.all(DOING, sql, &values, feed::event).await?;
        Ok(self.page(events, horizon))
    }

    /// One more than is shown was looked for.
    fn page(&self, mut events: Vec<EventRecord>, horizon: u64) -> LatestEvents {
        let is_full = events.len() as u64 > self.count_max;
        events.truncate(usize::try_from(self.count_max).unwrap_or(usize::MAX));
        let next = if is_full {
            events.last().map(|last| last.position)
        } else {
            Some(horizon).filter(|it| *it > 1)
        };
        LatestEvents { events, next }
    }
}
