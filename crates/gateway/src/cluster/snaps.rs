//! Snapshot ids that clients manage (Ceph `src/mon/OSDMonitor.cc`, `src/osd/osd_types.cc`).
//!
//! Ids come from the pool's `snap_seq`, which removals advance too. A removed id is announced in the next map
//! (`new_removed_snaps`), stays in `removed_snaps_queue` until its data is gone, and is announced as purged then.

use encoding::maps::{PoolSnapInfo, SnapIntervals, pool_flags};

use super::{Cluster, ClusterError, Edit, keys, state_store::Change};

impl Cluster {
    /// All snapshots of a pool that were ever removed.
    pub fn removed_snaps(&self, pool: i64) -> Result<SnapIntervals, ClusterError> {
        let key = keys::numbered(keys::REMOVED_SNAPS, pool.unsigned_abs());
        match self.store.get(&key)? {
            Some(raw) => keys::load("removed snapshots", raw),
            None => Ok(SnapIntervals::default()),
        }
    }

    /// Gives out a snapshot id, above all earlier ones of the pool.
    pub fn create_snap(&self, pool: i64) -> Result<u64, ClusterError> {
        self.change_osdmap(|edit| {
            let epoch = edit.map.epoch;
            let p = edit.pool(pool)?;
            if p.flags & pool_flags::POOL_SNAPS != 0 {
                return Err(ClusterError::SnapMode(pool));
            }
            p.flags |= pool_flags::SELFMANAGED_SNAPS;
            p.snap_seq = p.snap_seq.max(1) + 1;
            p.snap_epoch = epoch;
            Ok(p.snap_seq)
        })
    }

    /// Removes a snapshot id. Does nothing if it was removed before.
    pub fn remove_snap(&self, pool: i64, snap: u64) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let epoch = edit.map.epoch;
            let mut removed = self.removed_snaps(pool)?;
            let p = edit.pool(pool)?;
            if p.flags & pool_flags::SELFMANAGED_SNAPS == 0 {
                return Err(ClusterError::SnapMode(pool));
            }
            if removed.contains(snap) {
                edit.unchanged = true;
                return Ok(());
            }
            if snap == 0 || snap > p.snap_seq {
                return Err(ClusterError::NoSuchSnap(snap));
            }
            p.snap_seq += 1;
            p.snap_epoch = epoch;
            removed.insert(snap, 1);
            // The number that the removal took never names a snapshot: counting it as removed keeps the
            // intervals together.
            removed.insert(p.snap_seq, 1);
            announce(edit, pool, snap, &removed);
            Ok(())
        })
    }

    /// Tells that all data of these removed snapshots is gone. Ids that were not waiting for it are ignored.
    pub fn snaps_purged(&self, pool: i64, snaps: impl IntoIterator<Item = u64>) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let Some(queue) = edit.map.removed_snaps_queue.get_mut(&pool) else {
                edit.unchanged = true;
                return Ok(());
            };
            let purged: SnapIntervals = snaps.into_iter().filter(|s| queue.contains(*s)).collect();
            if purged.is_empty() {
                edit.unchanged = true;
                return Ok(());
            }
            queue.subtract(&purged);
            if queue.is_empty() {
                edit.map.removed_snaps_queue.remove(&pool);
            }
            edit.map.new_purged_snaps.insert(pool, purged);
            Ok(())
        })
    }

    /// Makes a snapshot of a whole pool.
    pub fn create_pool_snap(&self, pool: i64, name: &str) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let (epoch, now) = (edit.map.epoch, edit.map.modified);
            let p = edit.pool(pool)?;
            if p.flags & pool_flags::SELFMANAGED_SNAPS != 0 {
                return Err(ClusterError::SnapMode(pool));
            }
            if p.snaps.values().any(|s| s.name == name) {
                return Err(ClusterError::Exists(format!("snapshot '{name}'")));
            }
            p.flags |= pool_flags::POOL_SNAPS;
            p.snap_seq += 1;
            p.snap_epoch = epoch;
            let snap = PoolSnapInfo {
                snapid: p.snap_seq,
                stamp: now,
                name: name.to_owned(),
            };
            p.snaps.insert(snap.snapid, snap);
            Ok(())
        })
    }

    /// Removes a snapshot of a whole pool; false if there is none of that name.
    pub fn remove_pool_snap(&self, pool: i64, name: &str) -> Result<bool, ClusterError> {
        self.change_osdmap(|edit| {
            let epoch = edit.map.epoch;
            let mut removed = self.removed_snaps(pool)?;
            let p = edit.pool(pool)?;
            if p.flags & pool_flags::SELFMANAGED_SNAPS != 0 {
                return Err(ClusterError::SnapMode(pool));
            }
            let Some(id) = p.snaps.values().find(|s| s.name == name).map(|s| s.snapid) else {
                edit.unchanged = true;
                return Ok(false);
            };
            p.snaps.remove(&id);
            p.snap_seq += 1;
            p.snap_epoch = epoch;
            removed.insert(id, 1);
            removed.insert(p.snap_seq, 1);
            announce(edit, pool, id, &removed);
            Ok(true)
        })
    }
}

/// Tells of a removed snapshot in the map in the making, and stores all that were ever removed.
fn announce(edit: &mut Edit, pool: i64, snap: u64, removed: &SnapIntervals) {
    let announced = SnapIntervals::from_iter([snap]);
    edit.map
        .removed_snaps_queue
        .entry(pool)
        .or_default()
        .union(&announced);
    edit.map.new_removed_snaps.insert(pool, announced);
    let key = keys::numbered(keys::REMOVED_SNAPS, pool.unsigned_abs());
    edit.also.push(Change::Put(key, keys::stored(removed)));
}
