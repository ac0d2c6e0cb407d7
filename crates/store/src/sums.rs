//! Checksums of what stands in volume files: crc32c of each block of 4 KiB.
//!
//! A volume with checksums has a sparse file beside its own, 4 bytes for each block, little endian. [`NONE`] stands for a block that is
//! not verified, so a hole is one, as is all that was written before there were checksums. Pages of sums are kept in memory: changed ones until the
//! next checkpoint, which writes and syncs them before the journal is let go of; others as long as there is room. So the file may
//! be older than the data at any time, and after a crash the replay of the journal makes it new again. Decision 0008.

use std::{
    collections::BTreeMap,
    ops::RangeBounds,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{error::Result, options::BLOCK, transaction::VolumeId, volume::Volume};

/// The block has no sum: it is not verified.
pub(crate) const NONE: u32 = 0;
/// The block was not what had been written, and was written to in part since: it stays unreadable until it is written as a whole.
pub(crate) const ROTTEN: u32 = u32::MAX;
/// Bytes of a sum in the file.
pub(crate) const SUM: u64 = 4;
/// Sums of a page, which is the unit of the file: a block of it.
pub(crate) const PAGE_SUMS: u64 = BLOCK / SUM;
/// Bytes of a volume that a page stands for.
pub(crate) const PAGE_SPAN: u64 = PAGE_SUMS * BLOCK;

const SHARDS: usize = 64;
/// Pages of a shard that are kept, changed ones not counted: 32 MiB in all, which stand for 32 GiB.
const KEPT: usize = 128;
/// From so many changed pages on (16 MiB) they are written before a checkpoint does it.
pub(crate) const MAX_DIRTY: usize = 4096;

/// The sum of a block, neither [`NONE`] nor [`ROTTEN`].
pub(crate) fn sum_of(block: &[u8]) -> u32 {
    match crc_fast::crc32_iscsi(block) {
        NONE => 1,
        ROTTEN => ROTTEN - 1,
        sum => sum,
    }
}

/// The sums of some blocks, one behind the other.
pub(crate) type BlockSums = SmallVec<[u32; 4]>;

/// The sums of whole blocks, as they stand in journal and file.
pub(crate) fn encode(blocks: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let blocks = blocks.chunks(BLOCK as usize);
    blocks.flat_map(|block| sum_of(block).to_le_bytes())
}

/// Sums as they stand in journal and file.
pub(crate) fn decode(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks().0.iter().map(|sum| u32::from_le_bytes(*sum))
}

/// Bytes of the blocks that have these sums.
pub(crate) fn blocks_len(sums: &[u8]) -> u64 {
    sums.len() as u64 / SUM * BLOCK
}

/// Whether these are the sums of whole blocks, as they stand in journal and file.
pub(crate) fn are_of(sums: &[u8], blocks: &[u8]) -> bool {
    decode(sums).eq(blocks.chunks(BLOCK as usize).map(sum_of))
}

/// The whole blocks within a range, as first and end; equal where there are none.
pub(crate) fn whole_blocks(offset: u64, len: u64) -> (u64, u64) {
    let (first, end) = (offset.div_ceil(BLOCK), (offset + len) / BLOCK);
    (first, end.max(first))
}

/// Whether a range is whole blocks.
pub(crate) fn is_whole_blocks(offset: u64, len: u64) -> bool {
    offset.is_multiple_of(BLOCK) && len.is_multiple_of(BLOCK)
}

/// The part of data at `offset` that is whole blocks.
pub(crate) fn whole_part(offset: u64, data: &[u8]) -> &[u8] {
    let (first, end) = whole_blocks(offset, data.len() as u64);
    if first == end {
        return &[];
    }
    &data[(first * BLOCK - offset) as usize..(end * BLOCK - offset) as usize]
}

/// The sums of one page.
pub(crate) type PageSums = Box<[u32; PAGE_SUMS as usize]>;

pub(crate) fn no_sums() -> PageSums {
    Box::new([NONE; PAGE_SUMS as usize])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageState {
    Clean,
    /// The file has other sums.
    Dirty,
    /// It is being written, as it was.
    Writing,
}

struct Page {
    sums: PageSums,
    state: PageState,
}

#[derive(Default)]
struct Shard {
    pages: BTreeMap<(VolumeId, u64), Page>,
    /// Counts removals: what was read from the file before one may be older than what was removed.
    removals: u64,
}

impl Shard {
    /// Takes what was read from the file while there were so many removals. False: it has to be read again.
    fn insert_clean(&mut self, key: (VolumeId, u64), sums: PageSums, removals: u64) -> bool {
        if self.pages.contains_key(&key) {
            return true;
        }
        if self.removals != removals {
            return false;
        }
        if self.pages.len() >= KEPT {
            self.pages.retain(|_, page| page.state != PageState::Clean);
            self.removals += 1;
        }
        let state = PageState::Clean;
        self.pages.insert(key, Page { sums, state });
        true
    }
}

/// The sums of all volumes, as far as they are in memory.
pub(crate) struct SumCache {
    shards: [Mutex<Shard>; SHARDS],
    /// Pages that are not clean.
    dirty: AtomicUsize,
    /// Held by who writes to files of sums: what is older must not come later.
    writing: Mutex<()>,
}

impl Default for SumCache {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            dirty: AtomicUsize::new(0),
            writing: Mutex::new(()),
        }
    }
}

impl SumCache {
    /// How many pages are in memory.
    pub(crate) fn pages(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().pages.len()).sum()
    }
}

/// The parts of a run of blocks by pages: page, first within it, and how many.
fn parts(first: u64, count: u64) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = first + count;
    let mut at = first;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let (page, within) = (at / PAGE_SUMS, at % PAGE_SUMS);
            let n = (PAGE_SUMS - within).min(end - at);
            at += n;
            (page, within as usize, n as usize)
        })
    })
}

impl SumCache {
    fn shard(&self, key: (VolumeId, u64)) -> &Mutex<Shard> {
        let at = key.0.0.wrapping_mul(31).wrapping_add(key.1) % SHARDS as u64;
        &self.shards[at as usize]
    }

    /// Calls `f` on a page, read from the file if need be. `None`: it would have to be waited for.
    fn with<T>(
        &self,
        volume: &Volume,
        page: u64,
        may_block: bool,
        f: impl FnOnce(&mut Page) -> T,
    ) -> Result<Option<T>> {
        let key = (volume.id, page);
        loop {
            let removals = {
                let mut shard = self.shard(key).lock();
                if let Some(page) = shard.pages.get_mut(&key) {
                    return Ok(Some(f(page)));
                }
                shard.removals
            };
            let Some(sums) = volume.sums.read(page, may_block)? else {
                return Ok(None);
            };
            let mut shard = self.shard(key).lock();
            if shard.insert_clean(key, sums, removals)
                && let Some(page) = shard.pages.get_mut(&key)
            {
                return Ok(Some(f(page)));
            }
        }
    }

    /// The sums of the blocks from `first` on. False: they would have to be waited for.
    pub(crate) fn get(&self, volume: &Volume, first: u64, out: &mut [u32], may_block: bool) -> Result<bool> {
        let mut rest = out;
        for (page, at, n) in parts(first, rest.len() as u64) {
            let (now, later) = rest.split_at_mut(n);
            rest = later;
            let copied = self.with(volume, page, may_block, |page| {
                now.copy_from_slice(&page.sums[at..at + n]);
            })?;
            if copied.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The sum of a block.
    pub(crate) fn get_one(&self, volume: &Volume, block: u64) -> Result<u32> {
        let mut sum = [NONE];
        self.get(volume, block, &mut sum, true)?;
        Ok(sum[0])
    }

    /// Changes the sums of `count` blocks from `first` on. Where all of a page is changed, it is not read.
    fn change(
        &self,
        volume: &Volume,
        first: u64,
        count: u64,
        mut sums: impl Iterator<Item = u32>,
    ) -> Result<()> {
        for (page, at, n) in parts(first, count) {
            let mut change = |page: &mut Page| {
                for (sum, new) in page.sums[at..at + n].iter_mut().zip(&mut sums) {
                    *sum = new;
                }
                if page.state == PageState::Clean {
                    self.dirty.fetch_add(1, Relaxed);
                }
                page.state = PageState::Dirty;
            };
            if n as u64 == PAGE_SUMS {
                let key = (volume.id, page);
                let mut shard = self.shard(key).lock();
                change(shard.pages.entry(key).or_insert_with(|| Page {
                    sums: no_sums(),
                    state: PageState::Clean,
                }));
            } else {
                self.with(volume, page, true, change)?;
            }
        }
        Ok(())
    }

    /// Sets the sums of the blocks from `first` on.
    pub(crate) fn set(&self, volume: &Volume, first: u64, sums: &[u32]) -> Result<()> {
        self.change(volume, first, sums.len() as u64, sums.iter().copied())
    }

    /// Sets the sum of a block, durably.
    pub(crate) fn set_durable(&self, volume: &Volume, block: u64, sum: u32) -> Result<()> {
        let _writing = self.writing.lock();
        self.set(volume, block, &[sum])?;
        volume.sums.write_durable(block, sum)
    }

    /// Takes the sums of the blocks from `first` up to and without `end` away.
    pub(crate) fn clear(&self, volume: &Volume, first: u64, end: u64) -> Result<()> {
        let (from, to) = (first.next_multiple_of(PAGE_SUMS), end / PAGE_SUMS * PAGE_SUMS);
        if from >= to {
            return self.change(volume, first, end - first, std::iter::repeat(NONE));
        }
        self.change(volume, first, from - first, std::iter::repeat(NONE))?;
        self.change(volume, to, end - to, std::iter::repeat(NONE))?;
        let _writing = self.writing.lock();
        // The file first: who reads it before takes what is removed then, and who reads it after it finds none.
        volume.sums.clear(from * SUM, to * SUM)?;
        self.remove(&((volume.id, from / PAGE_SUMS)..(volume.id, to / PAGE_SUMS)));
        Ok(())
    }

    /// Forgets the sums of a volume that is deleted.
    pub(crate) fn forget(&self, volume: VolumeId) {
        self.remove(&((volume, 0)..=(volume, u64::MAX)));
    }

    fn remove(&self, keys: &(impl RangeBounds<(VolumeId, u64)> + Clone)) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.removals += 1;
            let gone: Vec<_> = shard.pages.range(keys.clone()).map(|(key, _)| *key).collect();
            for key in gone {
                let page = shard.pages.remove(&key);
                if page.is_some_and(|page| page.state != PageState::Clean) {
                    self.dirty.fetch_sub(1, Relaxed);
                }
            }
        }
    }

    /// Whether there are so many changed pages that they should be written.
    pub(crate) fn is_full(&self) -> bool {
        self.dirty.load(Relaxed) > MAX_DIRTY
    }

    /// Writes the changed pages of a volume to its file.
    pub(crate) fn flush(&self, volume: &Volume) -> Result<()> {
        let _writing = self.writing.lock();
        for shard in &self.shards {
            let all = (volume.id, 0)..=(volume.id, u64::MAX);
            let dirty: Vec<_> = {
                let mut shard = shard.lock();
                let changed = shard.pages.range_mut(all);
                changed
                    .filter(|(_, page)| page.state == PageState::Dirty)
                    .map(|(key, page)| {
                        page.state = PageState::Writing;
                        (*key, page.sums.clone())
                    })
                    .collect()
            };
            for (key, sums) in dirty {
                volume.sums.write(key.1, &sums)?;
                if let Some(page) = shard.lock().pages.get_mut(&key)
                    && page.state == PageState::Writing
                {
                    page.state = PageState::Clean;
                    self.dirty.fetch_sub(1, Relaxed);
                }
            }
        }
        Ok(())
    }
}
