//! What the image's own client has not taken from its journal yet.

use bytes::{Bytes, BytesMut};
use encoding::{
    Decode, Errno, Reader,
    cls::{
        image_journal::{EventType, JournalEntry, JournalEvent, next_entry},
        journal::Client,
    },
};

use super::Journal;
use crate::rados::ops;

/// Bytes that one request reads.
const PIECE: u64 = 4 << 20;
/// No object is larger, in bytes (`osd_max_object_size`).
const MAX_OBJECT: usize = 128 << 20;

impl Journal {
    /// Whether nothing is left that the image's own client has to do when it opens the image next, but to find that it has been
    /// flattened already.
    pub(super) fn is_taken_in(&self, own: &Client) -> Result<bool, Errno> {
        // Entries are committed in their order: all up to this one.
        let committed = own.commit_position.object_positions.first();
        let first = match committed {
            Some(position) => position.object_number / self.splay_width,
            None => self.get("get_minimum_set")?,
        };
        let committed = committed.map(|position| (position.tag_tid, position.entry_tid));
        let mut sets = self.sets_from(first)?;
        while let Some(set) = sets.next() {
            for number in self.objects_of(set) {
                let Some(data) = self.content(number)? else {
                    continue;
                };
                sets.has_some();
                if !entries_are_taken_in(&data, committed)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// All of an object; none if it is not there.
    fn content(&self, number: u64) -> Result<Option<Bytes>, Errno> {
        let oid = self.object(number);
        let mut data = BytesMut::new();
        loop {
            let answered = match self.data.read(&oid, vec![ops::read(data.len() as u64, PIECE)]) {
                Err(Errno::ENOENT) => return Ok(None),
                r => r?,
            };
            let before = data.len();
            for piece in answered.first().map_or(&[][..], |op| &op.outdata) {
                data.extend_from_slice(piece);
            }
            if data.len() > MAX_OBJECT {
                return Err(Errno::EFBIG);
            }
            if ((data.len() - before) as u64) < PIECE {
                return Ok(Some(data.freeze()));
            }
        }
    }
}

/// The same for the entries in an object's data. `committed`: tag and number of the last one that has been taken.
fn entries_are_taken_in(data: &Bytes, committed: Option<(u64, u64)>) -> Result<bool, Errno> {
    let mut r = Reader::new(data);
    while let Some(entry) = next_entry(&mut r).map_err(|_| Errno::EBADMSG)? {
        if Some((entry.tag_tid, entry.entry_tid)) > committed && !is_of_flattening(&entry)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an entry is of a flattening: such are what an interrupted [`super::Operation`] leaves.
fn is_of_flattening(entry: &JournalEntry) -> Result<bool, Errno> {
    let event = JournalEvent::from_bytes(&entry.data).map_err(|_| Errno::EBADMSG)?;
    // Only what began and was not committed can end so: the beginnings of others are seen, too.
    Ok(matches!(event.kind, EventType::FLATTEN | EventType::OP_FINISH))
}

#[cfg(test)]
mod tests {
    use encoding::{Encode, Features, types::Utime};

    use super::*;

    fn entry(tag_tid: u64, entry_tid: u64, kind: EventType) -> Bytes {
        let mut event = JournalEvent::flatten(1, Utime::default());
        event.kind = kind;
        let entry = JournalEntry {
            entry_tid,
            tag_tid,
            data: event.to_bytes(Features::ALL),
        };
        entry.to_bytes(Features::ALL)
    }

    const WRITE: EventType = EventType(1);

    #[test]
    fn entries_behind_what_was_committed_are_not_taken_in_unless_they_are_of_a_flattening() {
        let data = [
            entry(1, 0, WRITE),
            entry(1, 4, WRITE),
            entry(2, 0, EventType::FLATTEN),
            entry(2, 4, EventType::OP_FINISH),
        ]
        .concat()
        .into();
        assert_eq!(entries_are_taken_in(&data, None), Ok(false));
        assert_eq!(entries_are_taken_in(&data, Some((1, 3))), Ok(false));
        assert_eq!(entries_are_taken_in(&data, Some((1, 4))), Ok(true));
        assert_eq!(entries_are_taken_in(&data, Some((2, 4))), Ok(true));
        assert_eq!(entries_are_taken_in(&Bytes::new(), None), Ok(true));
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        let data = Bytes::from_static(b"something else");
        assert_eq!(entries_are_taken_in(&data, None), Err(Errno::EBADMSG));
    }
}
