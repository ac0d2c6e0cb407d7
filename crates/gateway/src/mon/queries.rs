//! How full the cluster and its pools are, as messages ask for it.

use encoding::{
    Message, RawMessage,
    messages::{MGetPoolStats, MGetPoolStatsReply, MStatfs, MStatfsReply, PaxosHeader},
    types::{ObjectStatCollection, ObjectStatSum, PoolStat, StoreStatfs},
};

use crate::cluster::{Cluster, PoolUsage};

/// A count as the wire's signed 64 bits.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Answers `MStatfs`: the cluster, or one pool. None if the pool, or the cluster, is another one.
pub(super) fn statfs(cluster: &Cluster, raw: &RawMessage) -> encoding::codec::Result<Option<MStatfsReply>> {
    let message = MStatfs::decode(raw)?;
    let map = cluster.osdmap();
    if message.fsid != cluster.fsid() || message.data_pool.is_some_and(|p| !map.pools.contains_key(&p)) {
        return Ok(None);
    }
    let stats = cluster.stats();
    let space = stats.space();
    let (kb, kb_used, num_objects) = match message.data_pool {
        Some(pool) => {
            let usage = stats.pool(pool);
            let used = usage.bytes_stored >> 10;
            (used + (space.avail >> 10), used, usage.objects)
        }
        None => {
            let objects = map.pools.keys().map(|id| stats.pool(*id).objects).sum();
            (space.total >> 10, space.used >> 10, objects)
        }
    };
    Ok(Some(MStatfsReply {
        fsid: cluster.fsid(),
        version: map.epoch.into(),
        kb,
        kb_used,
        kb_avail: space.avail >> 10,
        num_objects,
    }))
}

fn pool_stat(u: PoolUsage) -> PoolStat {
    let objects = signed(u.objects);
    let sum = ObjectStatSum {
        num_bytes: signed(u.bytes_stored),
        num_objects: objects,
        num_object_clones: signed(u.clones),
        num_object_copies: objects,
        num_rd: signed(u.read_ops),
        num_rd_kb: signed(u.read_bytes >> 10),
        num_wr: signed(u.write_ops),
        num_wr_kb: signed(u.write_bytes >> 10),
        ..ObjectStatSum::default()
    };
    PoolStat {
        stats: ObjectStatCollection { sum },
        store_stats: StoreStatfs {
            allocated: signed(u.bytes_used),
            data_stored: signed(u.bytes_stored),
            ..StoreStatfs::default()
        },
        num_store_stats: 1,
        ..PoolStat::default()
    }
}

/// Answers `MGetPoolStats`; pools that do not exist are left out. None for another cluster.
pub(super) fn pool_stats(
    cluster: &Cluster,
    raw: &RawMessage,
) -> encoding::codec::Result<Option<MGetPoolStatsReply>> {
    let message = MGetPoolStats::decode(raw)?;
    if message.fsid != cluster.fsid() {
        return Ok(None);
    }
    let map = cluster.osdmap();
    let stats = cluster.stats();
    let found = message.pools.into_iter().filter_map(|name| {
        let id = map.pool_by_name(&name)?;
        Some((name, pool_stat(stats.pool(id))))
    });
    Ok(Some(MGetPoolStatsReply {
        paxos: PaxosHeader::new(map.epoch.into()),
        fsid: cluster.fsid(),
        pool_stats: found.collect(),
        per_pool: true,
    }))
}
