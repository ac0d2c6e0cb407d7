//! Submitted data that may not stand in the volume file yet, laid over the file by readers.

use std::collections::BTreeMap;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::transaction::Seq;

/// One piece of a volume's newest state.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// `None` reads as zeros.
    pub(crate) data: Option<Bytes>,
    /// The transaction it came with.
    pub(crate) seq: Seq,
}

impl Extent {
    fn end(&self) -> u64 {
        self.offset + self.len
    }

    /// The part within `start..end`, which must overlap.
    fn clipped(&self, start: u64, end: u64) -> Self {
        let from = start.max(self.offset);
        let to = end.min(self.end());
        let data = self
            .data
            .as_ref()
            .map(|data| data.slice((from - self.offset) as usize..(to - self.offset) as usize));
        Self {
            offset: from,
            len: to - from,
            data,
            seq: self.seq,
        }
    }
}

/// The extents of one volume: disjoint, by offset.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    extents: BTreeMap<u64, Extent>,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Lays `extent` over what is there.
    pub(crate) fn insert(&mut self, extent: Extent) {
        self.cut(extent.offset, extent.end(), |_| true);
        self.extents.insert(extent.offset, extent);
    }

    /// Forgets what transaction `seq` put into the range: the file has it now.
    pub(crate) fn applied(&mut self, offset: u64, len: u64, seq: Seq) {
        self.cut(offset, offset + len, |extent| extent.seq == seq);
    }

    /// The parts that overlap the range, clipped to it, ascending.
    pub(crate) fn overlapping(&self, offset: u64, len: u64) -> Vec<Extent> {
        let end = offset + len;
        self.keys(offset, end)
            .filter_map(|key| self.extents.get(&key))
            .map(|extent| extent.clipped(offset, end))
            .collect()
    }

    /// The newest transaction with data in the range, 0 if there is none.
    pub(crate) fn newest(&self, offset: u64, len: u64) -> Seq {
        self.keys(offset, offset + len)
            .filter_map(|key| self.extents.get(&key))
            .map(|extent| extent.seq)
            .max()
            .unwrap_or(0)
    }

    /// The transactions with data in the range.
    pub(crate) fn writers(&self, offset: u64, len: u64) -> impl Iterator<Item = Seq> + '_ {
        self.keys(offset, offset + len)
            .filter_map(|key| self.extents.get(&key))
            .map(|extent| extent.seq)
    }

    fn keys(&self, start: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let before = self
            .extents
            .range(..start)
            .next_back()
            .filter(|(_, e)| e.end() > start)
            .map(|(&k, _)| k);
        before
            .into_iter()
            .chain(self.extents.range(start..end).map(|(&k, _)| k))
    }

    fn cut(&mut self, start: u64, end: u64, wanted: impl Fn(&Extent) -> bool) {
        // Most often there is nothing, or just what is asked for.
        match self.extents.range(..end).next_back() {
            Some((_, last)) if last.end() > start => {
                if (last.offset, last.end()) == (start, end) {
                    if wanted(last) {
                        self.extents.remove(&start);
                    }
                    return;
                }
            }
            _ => return,
        }
        let keys: SmallVec<[u64; 4]> = self
            .keys(start, end)
            .filter(|key| self.extents.get(key).is_some_and(&wanted))
            .collect();
        for key in keys {
            let Some(old) = self.extents.remove(&key) else {
                continue;
            };
            if old.offset < start {
                self.extents.insert(old.offset, old.clipped(old.offset, start));
            }
            if old.end() > end {
                self.extents.insert(end, old.clipped(end, old.end()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(offset: u64, byte: u8, len: usize, seq: Seq) -> Extent {
        Extent {
            offset,
            len: len as u64,
            data: Some(Bytes::from(vec![byte; len])),
            seq,
        }
    }

    #[test]
    fn newer_extents_split_older_ones() {
        let mut pending = Pending::default();
        pending.insert(extent(0, 1, 100, 1));
        pending.insert(extent(40, 2, 10, 2));
        let seen: Vec<_> = pending
            .overlapping(30, 30)
            .iter()
            .map(|e| (e.offset, e.len, e.seq))
            .collect();
        assert_eq!(seen, [(30, 10, 1), (40, 10, 2), (50, 10, 1)]);
        assert_eq!(pending.newest(0, 40), 1);
        assert_eq!(pending.newest(0, 41), 2);
        pending.applied(0, 100, 1);
        let seen: Vec<_> = pending
            .overlapping(0, 100)
            .iter()
            .map(|e| (e.offset, e.len, e.seq))
            .collect();
        assert_eq!(seen, [(40, 10, 2)]);
        pending.applied(40, 10, 2);
        assert!(pending.is_empty());
    }
}
