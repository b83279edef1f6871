//! Places in a list, and the cursors that lead there (RFC 9865).

use std::sync::Arc;

use directory::DirectoryId;
use directory::secret::hex;
use hmac::Mac;
use jiff::Timestamp;
use scim::filter::BoundFilter;
use scim::limit::{CURSOR_SECONDS, SORT_KEY_BYTES_MAX};
use scim::sort::{BoundSort, SortKey};
use sha2::{Digest, Sha256};

use crate::feed::Sealer;

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

/// Bytes of a seal.
const SEAL: usize = 16;
/// Bytes before the sort key: when, for how many, after whom.
const FIXED: usize = 8 + 8 + 8;

impl Sealer {
    /// The cursor of what comes after a place, of 32 hexadecimal digits and twice what it hides.
    ///
    /// It hides the place, so that nobody finds a meaning in it, and it is the same for the same
    /// place and second: the seal, made of what is hidden, also begins the stream of bytes that
    /// hides it (the construction of RFC 5297, with HMAC-SHA-256 for both halves). Nothing is kept
    /// for it, on any node.
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
        let seal = self.page_seal(list, &bytes);
        self.hide(seal, &mut bytes);
        format!("{}{}", hex(&seal), hex(&bytes))
    }

    /// The place that a cursor leads to.
    pub(crate) fn open_page(
        &self,
        list: &ListName,
        count: u64,
        cursor: &str,
        now: Timestamp,
    ) -> Result<Place, BadPageCursor> {
        let bytes = from_hex(cursor).ok_or(BadPageCursor::Unknown)?;
        let (seal, bytes) = bytes.split_first_chunk::<SEAL>().ok_or(BadPageCursor::Unknown)?;
        let mut bytes = bytes.to_vec();
        self.hide(*seal, &mut bytes);
        let mut mac = self.keyed("seal of a page");
        mac.update(&list.0);
        mac.update(&bytes);
        mac.verify_truncated_left(seal).map_err(|_| BadPageCursor::Unknown)?;
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

    fn page_seal(&self, list: &ListName, bytes: &[u8]) -> [u8; SEAL] {
        let mut mac = self.keyed("seal of a page");
        mac.update(&list.0);
        mac.update(bytes);
        *mac.finalize().into_bytes().first_chunk().expect("it has 32 bytes")
    }

    /// Hides, and shows again what was hidden.
    fn hide(&self, seal: [u8; SEAL], bytes: &mut [u8]) {
        for (number, chunk) in (0_u64..).zip(bytes.chunks_mut(32)) {
            let mut mac = self.keyed("stream of a page");
            mac.update(&seal);
            mac.update(&number.to_be_bytes());
            let stream = mac.finalize().into_bytes();
            for (byte, other) in chunk.iter_mut().zip(stream) {
                *byte ^= other;
            }
        }
    }
}

/// Reads what [`hex`] prints, in that spelling only; nothing of ours is longer than a seal, a place
/// and its key.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    const LONGEST: usize = 2 * (SEAL + FIXED + 1 + SORT_KEY_BYTES_MAX);
    if !text.len().is_multiple_of(2) || text.len() > LONGEST {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    text.as_bytes().chunks(2).map(|two| Some(digit(two[0])? << 4 | digit(two[1])?)).collect()
}
