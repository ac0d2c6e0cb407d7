//! How much pools hold: objects and bytes, kept exact while changes are committed.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use dashmap::DashMap;
use foldhash::fast::RandomState;

/// One of a pool's placement groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupOf {
    /// Which.
    pub seed: u32,
    /// How many the pool has: as long as it exists, as many as when it was made.
    pub of: u32,
}

/// What was read and written.
#[derive(Debug, Default)]
struct Work {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
}

impl Work {
    fn read(&self, bytes: u64) {
        self.reads.fetch_add(1, Relaxed);
        self.read_bytes.fetch_add(bytes, Relaxed);
    }

    fn wrote(&self, bytes: u64) {
        self.writes.fetch_add(1, Relaxed);
        self.written_bytes.fetch_add(bytes, Relaxed);
    }

    fn add_to(&self, figures: Figures) -> Figures {
        Figures {
            reads: self.reads.load(Relaxed),
            read_bytes: self.read_bytes.load(Relaxed),
            writes: self.writes.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            ..figures
        }
    }
}

/// The figures of one pool.
#[derive(Debug, Default)]
pub struct PoolUsage {
    objects: AtomicI64,
    clones: AtomicI64,
    bytes: AtomicI64,
    work: Work,
    /// Of each placement group, from the first op on.
    groups: OnceLock<Box<[Work]>>,
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

impl Figures {
    /// The same with what was read and written since `before` alone.
    #[must_use]
    pub const fn since(self, before: &Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(before.reads),
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            writes: self.writes.saturating_sub(before.writes),
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            ..self
        }
    }
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

    /// Records a served read in a placement group.
    pub fn read(&self, group: GroupOf, bytes: u64) {
        self.work.read(bytes);
        if let Some(work) = self.group(group) {
            work.read(bytes);
        }
    }

    /// Records a committed write in a placement group.
    pub fn wrote(&self, group: GroupOf, bytes: u64) {
        self.work.wrote(bytes);
        if let Some(work) = self.group(group) {
            work.wrote(bytes);
        }
    }

    fn group(&self, group: GroupOf) -> Option<&Work> {
        let all = self
            .groups
            .get_or_init(|| (0..group.of).map(|_| Work::default()).collect());
        all.get(group.seed as usize)
    }

    /// The figures of a placement group's objects, with what was read and written of them.
    #[must_use]
    pub fn with_work(&self, seed: usize, figures: Figures) -> Figures {
        let work = self.groups.get().and_then(|groups| groups.get(seed));
        work.map_or(figures, |work| work.add_to(figures))
    }

    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let count = |v: &AtomicI64| u64::try_from(v.load(Relaxed)).unwrap_or(0);
        self.work.add_to(Figures {
            objects: count(&self.objects),
            clones: count(&self.clones),
            bytes: count(&self.bytes),
            ..Figures::default()
        })
    }
}

/// The figures of all pools.
#[derive(Debug, Default)]
pub struct Usage {
    pools: DashMap<i64, Arc<PoolUsage>, RandomState>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_for_its_pool_and_its_placement_group() {
        let pool = PoolUsage::default();
        let group = |seed| GroupOf { seed, of: 4 };
        pool.read(group(1), 100);
        pool.read(group(3), 10);
        pool.wrote(group(3), 1);
        let all = pool.figures();
        assert_eq!(
            (all.reads, all.read_bytes, all.writes, all.written_bytes),
            (2, 110, 1, 1)
        );
        let of = |seed| pool.with_work(seed, Figures::default());
        assert_eq!((of(1).reads, of(1).read_bytes, of(1).writes), (1, 100, 0));
        assert_eq!((of(3).read_bytes, of(3).written_bytes), (10, 1));
        assert_eq!((of(0), of(9)), (Figures::default(), Figures::default()));
    }
}
