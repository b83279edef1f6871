//! When each directory's provider was heard of.
//!
//! What is kept is exact to the minute, as with the use of tokens: noting each request would make a
//! write of every read. What was heard since is remembered here, and told by this node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use directory::{Contact, DirectoryId, Rhythm, is_lasting_refusal};
use jiff::{SignedDuration, Timestamp};

use crate::error::Error;
use crate::session::{Session, Value};

/// How exactly it is kept.
const NOTED_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Directories that are remembered at once, 100 bytes each.
const DIRECTORIES_MAX: usize = 100_000;

/// What was heard lately.
#[derive(Debug, Default)]
pub(crate) struct Contacts(Mutex<HashMap<DirectoryId, Heard>>);

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    latest: Contact,
    /// As it was kept.
    kept: Contact,
}

/// What is to be kept of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToKeep {
    pub(crate) has_changed: bool,
    pub(crate) refused_with: Option<u16>,
}

/// Keeps that a provider was heard of, and how long it had said nothing.
pub(crate) async fn keep(
    session: &mut Session,
    directory_id: DirectoryId,
    at: Timestamp,
    (has_changed, refused_with): (bool, Option<u16>),
) -> Result<u64, Error> {
    let directory = directory_id.to_string();
    let sql = "select last_at, rhythm from contacts where directory_id = $1";
    let found = session
        .first("looking for the last contact", sql, &[Value::Text(&directory)], |row| {
            Ok((row.time(0)?, rhythm(row.optional_text(1)?)?))
        })
        .await?;
    let (last_at, rhythm) = match found {
        Some((last_at, mut rhythm)) => {
            rhythm.note(at.duration_since(last_at));
            (at.max(last_at), rhythm)
        }
        None => (at, Rhythm::default()),
    };
    let time = |is_so: bool| Value::Integer(if is_so { at.as_microsecond() } else { 0 });
    session
        .run(
            "noting a contact",
            "insert into contacts
             (directory_id, last_at, changed_at, refused_at, refused_with, rhythm)
             values ($1, $2, nullif(cast($3 as bigint), 0),
                     nullif(cast($4 as bigint), 0), nullif(cast($5 as bigint), 0), $6)
             on conflict (directory_id) do update
             set last_at = excluded.last_at, rhythm = excluded.rhythm,
                 changed_at = coalesce(excluded.changed_at, contacts.changed_at),
                 refused_at = coalesce(excluded.refused_at, contacts.refused_at),
                 refused_with = coalesce(excluded.refused_with, contacts.refused_with)",
            &[
                Value::Text(&directory),
                Value::Time(last_at),
                time(has_changed),
                time(refused_with.is_some()),
                Value::Integer(refused_with.unwrap_or_default().into()),
                Value::Text(&rhythm.to_string()),
            ],
        )
        .await?;
    Ok(0)
}

/// As it is kept; nothing, where it was kept before there were rhythms.
pub(crate) fn rhythm(text: Option<String>) -> Result<Rhythm, Error> {
    let read = |text: String| text.parse().map_err(|()| Error::Corrupt("a rhythm".to_owned()));
    text.map_or_else(|| Ok(Rhythm::default()), read)
}

impl Contacts {
    /// Notes a request and how it was answered. Says what is to be kept of it, if anything.
    pub(crate) fn note(
        &self,
        id: DirectoryId,
        status: u16,
        is_change: bool,
        now: Timestamp,
    ) -> Option<ToKeep> {
        let has_changed = is_change && status < 400;
        let refused_with = is_lasting_refusal(status).then_some(status);
        let mut heard = self.lock();
        if heard.len() >= DIRECTORIES_MAX && !heard.contains_key(&id) {
            heard.clear();
        }
        let heard = heard.entry(id).or_default();
        heard.latest.last_at = Some(now);
        if has_changed {
            heard.latest.changed_at = Some(now);
        }
        if refused_with.is_some() {
            heard.latest.refused_at = Some(now);
            heard.latest.refused_with = refused_with;
        }
        let is_due = |kept: Option<Timestamp>| {
            kept.is_none_or(|kept| now.duration_since(kept) >= NOTED_EVERY || now < kept)
        };
        let Heard { latest, kept } = heard;
        // What says whether it goes well is kept at once when it turns.
        let turns =
            (has_changed && kept.changed_at <= kept.refused_at && kept.refused_at.is_some())
                || (refused_with.is_some() && kept.refused_at <= kept.changed_at);
        let is_to_keep = is_due(kept.last_at)
            || (has_changed && is_due(kept.changed_at))
            || (refused_with.is_some() && is_due(kept.refused_at))
            || turns;
        if !is_to_keep {
            return None;
        }
        kept.last_at = latest.last_at;
        if has_changed {
            kept.changed_at = latest.changed_at;
        }
        if refused_with.is_some() {
            kept.refused_at = latest.refused_at;
        }
        Some(ToKeep { has_changed, refused_with })
    }

    /// What is kept, and what was heard since.
    pub(crate) fn since(&self, id: DirectoryId, kept: Contact) -> Contact {
        let Some(Heard { latest, .. }) = self.lock().get(&id).copied() else { return kept };
        let refused_with = if latest.refused_at > kept.refused_at {
            latest.refused_with
        } else {
            kept.refused_with
        };
        Contact {
            last_at: latest.last_at.max(kept.last_at),
            changed_at: latest.changed_at.max(kept.changed_at),
            refused_at: latest.refused_at.max(kept.refused_at),
            refused_with,
            usual_gap: kept.usual_gap,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DirectoryId, Heard>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use directory::Ids;
    use uuid::Uuid;

    use super::*;

    struct One;

    impl Ids for One {
        fn next(&self) -> Uuid {
            Uuid::from_u128(1)
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(2_000_000_000 + second).unwrap()
    }

    #[test]
    fn a_contact_is_kept_once_a_minute_and_when_it_turns() {
        let contacts = Contacts::default();
        let id = DirectoryId::new(&One);
        let note = |status, is_change, second| {
            contacts
                .note(id, status, is_change, at(second))
                .map(|it| (it.has_changed, it.refused_with))
        };
        assert_eq!(note(200, false, 0), Some((false, None)));
        assert_eq!(note(200, false, 1), None);
        assert_eq!(note(404, true, 2), None);
        assert_eq!(note(201, true, 3), Some((true, None)));
        assert_eq!(note(201, true, 4), None);
        assert_eq!(note(400, true, 5), Some((false, Some(400))));
        assert_eq!(note(400, true, 6), None);
        assert_eq!(note(201, true, 7), Some((true, None)));
        assert_eq!(note(201, true, 8), None);
        assert_eq!(note(200, false, 67), Some((false, None)));
        let told = contacts.since(id, Contact::default());
        assert_eq!((told.last_at, told.changed_at), (Some(at(67)), Some(at(8))));
        assert_eq!((told.refused_at, told.refused_with), (Some(at(6)), Some(400)));
    }
}
