//! A piece of a volume that the read cache keeps, and the holes that small changes make in it.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;

use crate::options::BLOCK;

/// A range with more holes than that is not put together from its parts.
const HOLES: usize = 64;
/// Blocks that one word of the map of holes stands for.
const WORD: u64 = u64::BITS as u64;

/// What is kept of a range.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The whole range: what lies in the holes is not what readers see any more.
    pub(crate) data: Bytes,
    /// What is not kept of it, ascending, as offsets in the volume.
    pub(crate) holes: Vec<Range<u64>>,
}

impl Kept {
    /// Bytes that are not kept.
    pub(crate) fn missing(&self) -> u64 {
        self.holes.iter().map(|hole| hole.end - hole.start).sum()
    }
}

/// A piece of a volume.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Where it begins in the volume.
    start: u64,
    data: Bytes,
    /// A bit for each block that it touches, the first one's lowest: those that were changed. A change sets it before its submitter goes on, so
    /// whoever reads after that sees it.
    holes: Box<[AtomicU64]>,
    /// How many bits are set.
    changed: AtomicU64,
    /// When it was last used.
    used: AtomicU64,
    /// When it was, as far as the cache's queue knows: uses do not change that.
    pub(crate) queued: u64,
}

impl Piece {
    pub(crate) fn new(start: u64, data: Bytes, now: u64) -> Self {
        let mut piece = Self {
            start,
            data,
            holes: Box::default(),
            changed: AtomicU64::new(0),
            used: AtomicU64::new(now),
            queued: now,
        };
        let words = piece.blocks().div_ceil(WORD);
        piece.holes = (0..words).map(|_| AtomicU64::new(0)).collect();
        piece
    }

    /// Where it lies in the volume.
    pub(crate) fn range(&self) -> Range<u64> {
        self.start..self.start + self.data.len() as u64
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub(crate) fn set_used(&self, now: u64) {
        self.used.store(now, Relaxed);
    }

    pub(crate) fn into_data(self) -> Bytes {
        self.data
    }

    /// The number of blocks that it touches.
    fn blocks(&self) -> u64 {
        self.blocks_of(&self.range()).end
    }

    /// The blocks that a range touches, counted from the first one of the piece.
    fn blocks_of(&self, range: &Range<u64>) -> Range<u64> {
        let all = self.range();
        let first = self.start / BLOCK;
        let (start, end) = (range.start.max(all.start), range.end.min(all.end));
        start / BLOCK - first..end.div_ceil(BLOCK) - first
    }

    /// Makes a hole of all blocks that a range touches. Whether the piece is not worth keeping any more.
    pub(crate) fn pierce(&self, range: &Range<u64>) -> bool {
        for (word, mask) in masks(self.blocks_of(range)) {
            if let Some(holes) = self.holes.get(word) {
                let before = holes.fetch_or(mask, Relaxed);
                let more = (mask & !before).count_ones();
                self.changed.fetch_add(more.into(), Relaxed);
            }
        }
        self.is_worn()
    }

    /// Whether more than half of it was changed.
    pub(crate) fn is_worn(&self) -> bool {
        self.changed.load(Relaxed) * 2 > self.blocks()
    }

    /// What is kept of a range inside the piece. None if that is nothing, or too many parts.
    pub(crate) fn get(&self, range: &Range<u64>) -> Option<Kept> {
        let holes = self.holes_in(range)?;
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        if to > self.data.len() || holes.first() == Some(range) {
            return None;
        }
        Some(Kept {
            data: self.data.slice(from..to),
            holes,
        })
    }

    /// The parts of a range that were changed. None if there are too many.
    fn holes_in(&self, range: &Range<u64>) -> Option<Vec<Range<u64>>> {
        let mut holes: Vec<Range<u64>> = Vec::new();
        for (word, mask) in masks(self.blocks_of(range)) {
            let mut left = self.holes.get(word)?.load(Relaxed) & mask;
            while left != 0 {
                let block = self.start / BLOCK + word as u64 * WORD + u64::from(left.trailing_zeros());
                left &= left - 1;
                let start = (block * BLOCK).max(range.start);
                let end = (block * BLOCK + BLOCK).min(range.end);
                if let Some(last) = holes.last_mut()
                    && last.end == start
                {
                    last.end = end;
                } else if holes.len() < HOLES {
                    holes.push(start..end);
                } else {
                    return None;
                }
            }
        }
        Some(holes)
    }
}

/// The words of a map that some blocks lie in, with the bits that are theirs.
fn masks(blocks: Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    (blocks.start / WORD..blocks.end.div_ceil(WORD)).map(move |word| {
        let from = blocks.start.saturating_sub(word * WORD);
        let to = (blocks.end - word * WORD).min(WORD);
        let mask = (u64::MAX << from) & (u64::MAX >> (WORD - to));
        (word as usize, mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, len: usize) -> Piece {
        Piece::new(start, vec![1; len].into(), 0)
    }

    #[test]
    fn a_change_makes_a_hole_of_the_blocks_that_it_touches() {
        let piece = piece(100, 10 * 4096);
        assert!(!piece.pierce(&(9000..9001)));
        assert!(!piece.pierce(&(12_287..12_289)));
        assert!(!piece.pierce(&(0..101)));
        let kept = piece.get(&(100..30_000)).unwrap();
        assert_eq!(kept.holes, [100..4096, 8192..16_384]);
        assert_eq!((kept.data.len(), kept.missing()), (29_900, 3996 + 8192));
        assert_eq!(
            piece.get(&(15_000..20_000)).unwrap().holes.first(),
            Some(&(15_000..16_384))
        );
        assert!(piece.get(&(16_384..40_000)).unwrap().holes.is_empty());
        assert!(piece.get(&(9000..10_000)).is_none(), "nothing of it is kept");
        assert!(piece.get(&(40_000..42_000)).is_none(), "it ends before");
    }

    #[test]
    fn a_piece_is_worn_when_more_than_half_of_its_blocks_were_changed() {
        let piece = piece(0, 200 * 4096);
        assert!(!piece.pierce(&(0..100 * 4096)));
        assert!(!piece.pierce(&(5000..20_000)), "once more");
        assert!(piece.pierce(&(199 * 4096..u64::MAX)));
        assert!(piece.is_worn());
    }

    #[test]
    fn what_has_too_many_holes_is_not_put_together() {
        let piece = piece(0, 400 * 4096);
        for hole in 0..65 {
            assert!(!piece.pierce(&(hole * 8192..hole * 8192 + 1)));
        }
        assert!(piece.get(&(0..400 * 4096)).is_none());
        assert_eq!(piece.get(&(4096..400 * 4096)).unwrap().holes.len(), 64);
    }
}
