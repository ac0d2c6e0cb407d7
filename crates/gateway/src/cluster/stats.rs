//! What the cluster's data takes and how busy it is: measured by the OSD side, shown by the monitor.

use std::{collections::BTreeMap, sync::Arc};

use encoding::types::{Pg, Utime, WatchItem};
use store::{CacheUse, Held};

use crate::op_tracker::OpTracker;

/// Capacity of the backend in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// Used, by whomever.
    pub used: u64,
    /// Available to new data.
    pub avail: u64,
}

/// What a pool holds, and what was done with it since its first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolUsage {
    /// Objects, clones included.
    pub objects: u64,
    /// How many of them are clones.
    pub clones: u64,
    /// Bytes that clients stored in objects, and what only clones still have of them.
    pub bytes_stored: u64,
    /// Bytes that this takes in the backend.
    pub bytes_used: u64,
    /// Read operations.
    pub read_ops: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write operations.
    pub write_ops: u64,
    /// Bytes written.
    pub write_bytes: u64,
}

/// Rates over the last seconds, per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Read operations.
    pub read_ops: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write operations.
    pub write_ops: u64,
    /// Bytes written.
    pub write_bytes: u64,
}

/// Latencies of an OSD in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// Until a write is durable.
    pub commit_ms: u64,
    /// Until a write is readable.
    pub apply_ms: u64,
}

/// Something that is wrong below the OSDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendCheck {
    /// Its name, as `ceph health` shows it.
    pub code: &'static str,
    /// Whether it is an error, and not a warning.
    pub error: bool,
    /// What it is, in a line.
    pub summary: String,
    /// More lines.
    pub detail: Vec<String>,
}

/// A watch on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatcherAt {
    /// The object's namespace.
    pub namespace: String,
    /// Its name.
    pub object: String,
    /// Who watches, with which id of its own, from where, and for how many seconds without a sign of life.
    pub item: WatchItem,
}

/// What is known of the scrubs of a placement group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubState {
    /// Whether one is under way, and if so whether it reads data, too.
    pub running: Option<bool>,
    /// When the last one ended.
    pub last: Option<Utime>,
    /// When the last one ended that read data, too.
    pub last_deep: Option<Utime>,
    /// How many objects the last one could not read.
    pub errors: u64,
}

/// What is known of whether stored data is what was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataDamage {
    /// Damaged blocks of 4 KiB: what they are of, and the offset.
    pub blocks: Vec<(String, u64)>,
    /// How many of them belong to no placement group that is known: those of groups count as errors of their scrubs.
    pub of_no_group: u64,
    /// How often one was met since the process began.
    pub met: u64,
    /// Bytes that were scrubbed since.
    pub scrubbed: u64,
    /// Images, and pools' other objects, that were scrubbed to the end since.
    pub scrubs: u64,
}

/// What measures all this. Called by commands: answers must not block for long.
pub trait ClusterStats: Send + Sync {
    /// The capacity.
    fn space(&self) -> Space;

    /// What a pool holds; zeros for an unknown one.
    fn pool(&self, id: i64) -> PoolUsage;

    /// How busy a pool is.
    fn rates(&self, pool: i64) -> Rates;

    /// How fast an OSD is.
    fn latency(&self, osd: i32) -> Latency;

    /// The ops of one OSD, or of each.
    fn ops(&self, _: Option<i32>) -> Vec<Arc<OpTracker>> {
        Vec::new()
    }

    /// What each placement group of a pool holds, by its seed; reads and writes are counted by pool alone. May take a while.
    fn groups(&self, _: i64) -> Vec<PoolUsage> {
        Vec::new()
    }

    /// Asks for a group to be scrubbed, with its data or without.
    fn scrub(&self, _: Pg, _deep: bool) {}

    /// The groups that were scrubbed, or are.
    fn scrubs(&self) -> BTreeMap<Pg, ScrubState> {
        BTreeMap::new()
    }

    /// Data that is not what was written.
    fn damage(&self) -> DataDamage {
        DataDamage::default()
    }

    /// The cache of large pieces of images.
    fn read_cache(&self) -> CacheUse {
        CacheUse::default()
    }

    /// All watches.
    fn watchers(&self) -> Vec<WatcherAt> {
        Vec::new()
    }

    /// What is held in memory, by the names of Ceph's pools (`src/include/mempool.h`).
    fn memory(&self) -> BTreeMap<&'static str, Held> {
        BTreeMap::new()
    }

    /// Makes a checkpoint of all that is stored. Blocks.
    ///
    /// # Errors
    /// Why there is none.
    fn compact(&self) -> Result<(), String> {
        Ok(())
    }

    /// What a pool holds, with what was done to it since its counters were reset.
    fn pool_counters(&self, id: i64) -> PoolUsage {
        self.pool(id)
    }

    /// Counts anew from here on what [`Self::pool_counters`] tells of being done to a pool.
    fn reset_pool_counters(&self, _: i64) {}

    /// What is wrong with the backend.
    fn checks(&self) -> Vec<BackendCheck> {
        Vec::new()
    }
}

/// No measurements: all zeros.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStats;

impl ClusterStats for NoStats {
    fn space(&self) -> Space {
        Space::default()
    }

    fn pool(&self, _: i64) -> PoolUsage {
        PoolUsage::default()
    }

    fn rates(&self, _: i64) -> Rates {
        Rates::default()
    }

    fn latency(&self, _: i32) -> Latency {
        Latency::default()
    }
}
