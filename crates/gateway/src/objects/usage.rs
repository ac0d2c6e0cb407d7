//! How much pools hold: objects and bytes, kept exact while changes are committed.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use dashmap::DashMap;

/// The figures of one pool.
#[derive(Debug, Default)]
pub struct PoolUsage {
    objects: AtomicI64,
    clones: AtomicI64,
    bytes: AtomicI64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
}

/// A reading of one pool's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Objects, clones included.
    pub objects: u64,
    /// Clones of objects.
    pub clones: u64,
    /// Bytes in objects by their sizes, and in clones what they do not share.
    pub bytes: u64,
    /// Ops that read.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Ops that wrote.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

impl PoolUsage {
    /// Records a change of object count and bytes.
    pub fn changed(&self, objects: i64, bytes: i64) {
        self.objects.fetch_add(objects, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Records that clones were made or went, and a change of the bytes that they do not share.
    pub fn clones_changed(&self, clones: i64, bytes: i64) {
        self.clones.fetch_add(clones, Relaxed);
        self.changed(clones, bytes);
    }

    /// Records a served read.
    pub fn read(&self, bytes: u64) {
        self.reads.fetch_add(1, Relaxed);
        self.read_bytes.fetch_add(bytes, Relaxed);
    }

    /// Records a committed write.
    pub fn wrote(&self, bytes: u64) {
        self.writes.fetch_add(1, Relaxed);
        self.written_bytes.fetch_add(bytes, Relaxed);
    }

    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let count = |v: &AtomicI64| u64::try_from(v.load(Relaxed)).unwrap_or(0);
        Figures {
            objects: count(&self.objects),
            clones: count(&self.clones),
            bytes: count(&self.bytes),
            reads: self.reads.load(Relaxed),
            read_bytes: self.read_bytes.load(Relaxed),
            writes: self.writes.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
        }
    }
}

/// The figures of all pools.
#[derive(Debug, Default)]
pub struct Usage {
    pools: DashMap<i64, Arc<PoolUsage>>,
}

impl Usage {
    /// The figures of `pool`.
    #[must_use]
    pub fn pool(&self, pool: i64) -> Arc<PoolUsage> {
        if let Some(p) = self.pools.get(&pool) {
            return Arc::clone(&p);
        }
        Arc::clone(&self.pools.entry(pool).or_default())
    }

    /// Forgets a deleted pool.
    pub fn forget(&self, pool: i64) {
        self.pools.remove(&pool);
    }
}
