//! Reads the feed from a place on. Whoever brings events somewhere stands on it and keeps the cursor
//! together with what was brought.

use store::{BadCursor, Cursor, EventRecord, FeedStore};

/// Events that are read at once.
const PAGE: u64 = 500;

/// A reader of the feed over all directories, at some place in it.
#[derive(Debug)]
pub struct Follower {
    feed: FeedStore,
    after: Option<Cursor>,
}

/// Why a follower cannot go on.
#[derive(Debug)]
pub enum Error {
    /// The cursor that it began with leads nowhere: the reader has to begin anew.
    Cursor(BadCursor),
    /// The feed could not be read. Nothing was skipped; it can be tried again.
    Store(store::Error),
}

impl Follower {
    /// Begins with the first event that there is.
    pub fn from_the_beginning(feed: FeedStore) -> Follower {
        Follower { feed, after: None }
    }

    /// Goes on where another reader, or an earlier life of this one, had come to.
    pub fn after(feed: FeedStore, cursor: Cursor) -> Follower {
        Follower { feed, after: Some(cursor) }
    }

    /// The next events in order; none when the end is reached for now.
    pub async fn next(&mut self) -> Result<Vec<EventRecord>, Error> {
        let page = self.feed.events(self.after.clone(), None, PAGE).await.map_err(Error::Store)?;
        let page = page.map_err(Error::Cursor)?;
        self.after = Some(page.next);
        Ok(page.events)
    }

    /// How far it has come; `None` before it has read anything.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Error::Cursor(BadCursor::Malformed) => "the cursor is not one of this feed",
            Error::Cursor(BadCursor::AnotherEpoch) => "the cursor is of another life of this feed",
            Error::Cursor(BadCursor::Forgotten) => "events after the cursor were let go",
            Error::Store(_) => "the feed cannot be read",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Cursor(_) => None,
            Error::Store(error) => Some(error),
        }
    }
}
