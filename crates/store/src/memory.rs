//! What the store holds in memory.

use std::ops::Add;

use crate::{
    core::DataKind,
    store::Store,
    sums::{PAGE_SUMS, SUM},
};

/// Things of a kind that are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// How many.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Held {
    /// So many, with so many bytes.
    #[must_use]
    pub const fn new(items: usize, bytes: usize) -> Self {
        Self {
            items: items as u64,
            bytes: bytes as u64,
        }
    }
}

impl Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            items: self.items + other.items,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// What a store holds in memory, beside the cache of the metadata library ([`crate::Options::meta_cache_bytes`]) and that of large pieces ([`Store::read_cache`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Changed keys that no checkpoint has taken up.
    pub metadata: Held,
    /// Transactions that wait for the journal, with what they have promised to put there.
    pub queued: Held,
    /// Data in the journal that has not been written to its files.
    pub deferred: Held,
    /// Large writes on their way to files or devices.
    pub direct: Held,
    /// Unused buffers for large reads and messages, of the whole process.
    pub buffers: Held,
    /// Pages of checksums.
    pub sums: Held,
}

/// The cache of large pieces of volumes ([`crate::Options::read_cache_bytes`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUse {
    /// The pieces in it.
    pub held: Held,
    /// Bytes that were read from there.
    pub found: u64,
    /// Bytes that had to be read to be kept there.
    pub missed: u64,
}

impl Store {
    /// What the cache of large pieces has, and what it did so far.
    #[must_use]
    pub fn read_cache(&self) -> CacheUse {
        let cache = &self.core().read_cache;
        let (found, missed) = cache.counts();
        CacheUse {
            held: cache.held(),
            found,
            missed,
        }
    }

    /// What it holds in memory at this moment.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let core = self.core();
        let (keys, bytes) = core.meta.held();
        let (buffers, kept) = pages::spares::held();
        let pages = core.sums.pages();
        let order = core.order.lock();
        let journaled = |kind: &DataKind| match kind {
            DataKind::Journaled { data, .. } => data.len(),
            _ => 0,
        };
        let deferred = order.to_apply.iter().flat_map(|tx| &tx.data);
        let direct = order.queue.waiting().chain(&order.to_apply);
        let direct = direct.filter(|tx| tx.direct_bytes > 0).count();
        Memory {
            metadata: Held::new(keys, bytes),
            queued: Held {
                items: order.queue.len() as u64,
                bytes: order.promised,
            },
            deferred: Held::new(order.to_apply.len(), deferred.map(|op| journaled(&op.kind)).sum()),
            direct: Held {
                items: direct as u64,
                bytes: order.direct_bytes,
            },
            buffers: Held::new(buffers, kept),
            sums: Held::new(pages, pages * (PAGE_SUMS * SUM) as usize),
        }
    }
}
