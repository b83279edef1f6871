//! Places in a list, and the cursors that lead there (RFC 9865).

use std::sync::Arc;

use directory::DirectoryId;
use jiff::Timestamp;
use scim::filter::BoundFilter;
use scim::limit::CURSOR_SECONDS;
use scim::sort::{BoundSort, SortKey};
use sha2::{Digest, Sha256};

use crate::seal::Sealer;

/// A place in a list: that of a record which was answered. What comes after it is found by key,
/// wherever it is, and whether or not the record is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The same for everybody where the list is not sorted.
    pub(crate) key: SortKey,
    pub(crate) ordinal: u64,
}

/// What tells lists apart: the directory, the kind, what is asked for, and in which order. Spellings
/// of the same filter are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListName([u8; 32]);

/// A filter and an order.
pub(crate) type Asked = (Option<Arc<BoundFilter>>, Option<Arc<BoundSort>>);

/// Why the cursor of a page leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPageCursor {
    /// It was not handed out for this list: it is of another directory, filter or order, or of
    /// nobody.
    Unknown,
    /// It was handed out too long ago.
    Expired,
    /// It was handed out for pages of another size.
    AnotherCount,
}

impl ListName {
    /// `parts` are a filter and an order for each kind.
    pub(crate) fn new(directory_id: DirectoryId, kind: &str, parts: &[Asked]) -> ListName {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(&directory_id.to_string());
        add(kind);
        for (filter, sort) in parts {
            add(&filter.as_ref().map(ToString::to_string).unwrap_or_default());
            add(&sort
                .as_ref()
                .map_or_else(String::new, |it| format!("{:?} {:?}", it.target(), it.order())));
        }
        ListName(hash.finalize().into())
    }
}

/// What is sealed here.
const PAGE: &str = "page";

/// Bytes before the sort key: when, for how many, after whom.
const FIXED: usize = 8 + 8 + 8;

impl Sealer {
    /// The cursor of what comes after a place. It is the same for the same place and second.
    pub(crate) fn seal_page(
        &self,
        list: &ListName,
        count: u64,
        place: &Place,
        now: Timestamp,
    ) -> String {
        let mut bytes = Vec::with_capacity(FIXED + place.key.0.len());
        bytes.extend(now.as_second().to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(place.ordinal.to_be_bytes());
        bytes.extend(&place.key.0);
        self.hide(PAGE, &list.0, bytes)
    }

    /// The place that a cursor leads to.
    pub(crate) fn open_page(
        &self,
        list: &ListName,
        count: u64,
        cursor: &str,
        now: Timestamp,
    ) -> Result<Place, BadPageCursor> {
        let bytes = self.show(PAGE, &list.0, cursor).ok_or(BadPageCursor::Unknown)?;
        let number = |at: usize| -> Option<u64> {
            Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        let (Some(issued), Some(sealed_count), Some(ordinal), Some(key)) =
            (number(0), number(8), number(16), bytes.get(FIXED..))
        else {
            return Err(BadPageCursor::Unknown);
        };
        if now.as_second().saturating_sub(issued.cast_signed()) > CURSOR_SECONDS.cast_signed() {
            return Err(BadPageCursor::Expired);
        }
        if sealed_count != count {
            return Err(BadPageCursor::AnotherCount);
        }
        Ok(Place { key: SortKey(key.to_vec()), ordinal })
    }
}
