//! What is known of blocks that are not what was written.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{options::BLOCK, transaction::VolumeId};

/// So many are remembered; all are counted and logged.
const REMEMBERED: usize = 10_000;

/// The damaged blocks of all volumes.
#[derive(Debug, Default)]
pub(crate) struct Damaged {
    blocks: Mutex<BTreeMap<VolumeId, BTreeSet<u64>>>,
    /// How many are remembered: whoever writes asks for it.
    count: AtomicUsize,
    /// How often one was met.
    met: AtomicU64,
}

impl Damaged {
    /// Notes that a block was met. Returns whether it was not known.
    pub(crate) fn note(&self, volume: VolumeId, block: u64) -> bool {
        self.met.fetch_add(1, Relaxed);
        self.remember(volume, block)
    }

    /// Takes up what was found by an earlier process.
    pub(crate) fn remember(&self, volume: VolumeId, block: u64) -> bool {
        let mut blocks = self.blocks.lock();
        let known = blocks.get(&volume).is_some_and(|of| of.contains(&block));
        if known || self.count.load(Relaxed) >= REMEMBERED {
            return false;
        }
        blocks.entry(volume).or_default().insert(block);
        self.count.fetch_add(1, Relaxed);
        true
    }

    /// Forgets the blocks from `first` up to and without `end`: they were written anew, or are right after all.
    pub(crate) fn forget(&self, volume: VolumeId, first: u64, end: u64) {
        if self.count.load(Relaxed) == 0 || first >= end {
            return;
        }
        let mut blocks = self.blocks.lock();
        if let Some(of) = blocks.get_mut(&volume) {
            let gone: Vec<u64> = of.range(first..end).copied().collect();
            for block in &gone {
                of.remove(block);
            }
            if of.is_empty() {
                blocks.remove(&volume);
            }
            self.count.fetch_sub(gone.len(), Relaxed);
        }
    }

    /// The offsets of a volume's damaged blocks.
    pub(crate) fn of(&self, volume: VolumeId) -> Vec<u64> {
        let blocks = self.blocks.lock();
        let of = blocks.get(&volume).into_iter().flatten();
        of.map(|block| block * BLOCK).collect()
    }

    /// All of them, by volume and offset.
    pub(crate) fn all(&self) -> Vec<(VolumeId, u64)> {
        let blocks = self.blocks.lock();
        let each = |(volume, of): (&VolumeId, &BTreeSet<u64>)| {
            let volume = *volume;
            of.iter()
                .map(move |block| (volume, block * BLOCK))
                .collect::<Vec<_>>()
        };
        blocks.iter().flat_map(each).collect()
    }

    /// How often one was met.
    pub(crate) fn met(&self) -> u64 {
        self.met.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_blocks_are_known_until_they_are_written_anew() {
        let damaged = Damaged::default();
        let volume = VolumeId(3);
        assert!(damaged.note(volume, 7) && damaged.note(volume, 9));
        assert!(!damaged.note(volume, 7));
        assert_eq!(damaged.met(), 3);
        damaged.forget(VolumeId(4), 0, 100);
        damaged.forget(volume, 8, 10);
        assert_eq!(damaged.all(), [(volume, 7 * BLOCK)]);
        damaged.forget(volume, 0, u64::MAX);
        assert!(damaged.of(volume).is_empty());
    }
}
