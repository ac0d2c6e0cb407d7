//! Data that an op needs and that nobody waits for: what it lacked is noted, read meanwhile, and found when it runs again.

use std::cell::RefCell;

use bytes::Bytes;
use store::{Seq, StoreError, VolumeId};

/// A range of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeRange {
    /// The volume.
    pub volume: VolumeId,
    /// Where, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub len: usize,
}

/// How a read gets at data that is not in memory.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// It waits for it.
    Wait,
    /// It gives up where that was not read before, and notes it.
    AtOnce(&'a Fetched),
}

/// What was read for an op, and what it lacked when it ran last.
#[derive(Debug, Default)]
pub struct Fetched {
    pieces: Vec<(VolumeRange, Result<Bytes, StoreError>)>,
    missing: RefCell<Vec<VolumeRange>>,
    /// The last change of the object when the op ran last. Another one may have moved its data.
    seen: Option<Seq>,
}

impl Fetched {
    /// What was read of a range; notes it as missing if it was not.
    pub(super) fn get(&self, range: VolumeRange) -> Option<Result<Bytes, StoreError>> {
        let piece = self.pieces.iter().find(|(of, _)| *of == range);
        if piece.is_none() {
            self.missing.borrow_mut().push(range);
        }
        piece.map(|(_, data)| data.clone())
    }

    /// Before a run, on the object as it was left by a change: forgets what was read of an older state.
    pub fn begin(&mut self, last: Option<Seq>) {
        self.missing.get_mut().clear();
        if self.seen != last {
            self.pieces.clear();
            self.seen = last;
        }
    }

    /// What the last run lacked.
    #[must_use]
    pub fn missing(&self) -> Vec<VolumeRange> {
        self.missing.borrow().clone()
    }

    /// Adds what was read.
    pub fn add(&mut self, pieces: Vec<(VolumeRange, Result<Bytes, StoreError>)>) {
        self.pieces.extend(pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_found_until_the_object_changes() {
        let range = VolumeRange {
            volume: VolumeId(1),
            offset: 4096,
            len: 3,
        };
        let mut fetched = Fetched::default();
        fetched.begin(Some(7));
        assert!(fetched.get(range).is_none());
        assert_eq!(fetched.missing(), [range]);
        fetched.add(vec![(range, Ok(Bytes::from_static(b"abc")))]);
        fetched.begin(Some(7));
        assert_eq!(fetched.get(range).unwrap().unwrap(), "abc");
        assert!(fetched.missing().is_empty());
        fetched.begin(Some(8));
        assert!(fetched.get(range).is_none());
    }
}
