//! `dump_mempools`: what is held in memory, in the pools of Ceph 16.2 (`src/include/mempool.h`).
//!
//! What is here has its figures in the pool of what comes closest to it in Ceph; other pools are empty. The cache of the metadata library is
//! not among them, as RocksDB's is not in Ceph.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use store::Held;

use crate::cluster::Cluster;

/// All pools, in Ceph's order.
const POOLS: [&str; 29] = [
    "bloom_filter",
    "bluestore_alloc",
    "bluestore_cache_data",
    "bluestore_cache_onode",
    "bluestore_cache_meta",
    "bluestore_cache_other",
    "bluestore_Buffer",
    "bluestore_Extent",
    "bluestore_Blob",
    "bluestore_SharedBlob",
    "bluestore_inline_bl",
    "bluestore_fsck",
    "bluestore_txc",
    "bluestore_writing_deferred",
    "bluestore_writing",
    "bluefs",
    "bluefs_file_reader",
    "bluefs_file_writer",
    "buffer_anon",
    "buffer_meta",
    "osd",
    "osd_mapbl",
    "osd_pglog",
    "osdmap",
    "osdmap_mapping",
    "pgmap",
    "mds_co",
    "unittest_1",
    "unittest_2",
];

/// All of this process: its daemons share it.
pub(super) fn dump(cluster: &Cluster) -> Value {
    let mut held: BTreeMap<&str, Held> = cluster.stats().memory();
    held.extend(cluster.map_memory());
    let mut total = Held::default();
    let mut by_pool = Map::new();
    for pool in POOLS {
        let of = held.remove(pool).unwrap_or_default();
        total = total + of;
        by_pool.insert(pool.into(), value(of));
    }
    debug_assert!(held.is_empty(), "pools without a name: {held:?}");
    json!({"mempool": {"by_pool": by_pool, "total": value(total)}})
}

fn value(held: Held) -> Value {
    json!({"items": held.items, "bytes": held.bytes})
}
