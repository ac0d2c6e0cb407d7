//! Applying an incremental OSDMap (Ceph `OSDMap::apply_incremental` in `src/osd/OSDMap.cc`).

use std::collections::BTreeMap;

use super::{
    incremental::OsdMapIncremental,
    osd_info::{OsdInfo, OsdXinfo},
    osdmap::{DEFAULT_PRIMARY_AFFINITY, OsdAddrs, OsdMap, osd_state},
    osdmap_codec::release_of,
    release::Release,
};
use crate::types::{EntityAddrVec, Utime, Uuid};

/// Why an incremental map cannot be applied. The map is then to be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It is another cluster's.
    #[error("incremental osdmap of cluster {theirs}, this one is {ours}")]
    OtherCluster {
        /// The map's cluster.
        ours: Uuid,
        /// The change's cluster.
        theirs: Uuid,
    },
    /// It does not follow the map's epoch.
    #[error("incremental osdmap makes epoch {makes}, but the map has {has}")]
    WrongEpoch {
        /// The map's epoch.
        has: u32,
        /// The epoch that the change makes.
        makes: u32,
    },
    /// It names an OSD that the map has no room for.
    #[error("incremental osdmap names osd.{0}, which is not below max_osd")]
    NoSuchOsd(i32),
    /// It asks for more OSDs than any cluster has.
    #[error("incremental osdmap sets max_osd to {0}, above {max}", max = MAX_OSDS)]
    TooManyOsds(i32),
}

/// The largest `max_osd` that is applied: room for each OSD is made at once. Ceph's monitors stop at 10000.
const MAX_OSDS: i32 = 1 << 16;

type Result<T = ()> = std::result::Result<T, ApplyError>;

fn at<T>(v: &mut [T], osd: i32) -> Result<&mut T> {
    usize::try_from(osd)
        .ok()
        .and_then(|i| v.get_mut(i))
        .ok_or(ApplyError::NoSuchOsd(osd))
}

impl OsdMap {
    /// Makes the next epoch of this map.
    ///
    /// As in Ceph some things follow from others: `last_change` of changed pools is the new epoch, an OSD that
    /// comes up has it as `up_from`, one that goes down as `down_at` with the time of the change, and one that
    /// ceases to exist is blank.
    ///
    /// # Errors
    /// [`ApplyError`]; on [`ApplyError::NoSuchOsd`] a part of the changes was made.
    pub fn apply(&mut self, inc: &OsdMapIncremental) -> Result {
        if inc.epoch == 1 {
            self.fsid = inc.fsid;
        } else if inc.fsid != self.fsid {
            return Err(ApplyError::OtherCluster {
                ours: self.fsid,
                theirs: inc.fsid,
            });
        }
        if self.epoch.checked_add(1) != Some(inc.epoch) {
            return Err(ApplyError::WrongEpoch {
                has: self.epoch,
                makes: inc.epoch,
            });
        }
        if let Some(full) = &inc.full_map {
            self.clone_from(full);
            return Ok(());
        }
        if inc.new_max_osd > MAX_OSDS {
            return Err(ApplyError::TooManyOsds(inc.new_max_osd));
        }
        self.epoch = inc.epoch;
        self.modified = inc.modified;
        if let Ok(flags) = u32::try_from(inc.new_flags) {
            self.flags = flags;
            let told = release_of(flags);
            self.require_osd_release = self.require_osd_release.max(told);
        }
        if inc.new_max_osd >= 0 {
            self.set_max_osd(inc.new_max_osd);
        }
        self.apply_pools(inc);
        self.apply_snaps(inc);
        self.apply_osds(inc)?;
        self.apply_placement(inc);
        self.apply_blocklists(inc);
        self.apply_settings(inc);
        Ok(())
    }

    fn apply_pools(&mut self, inc: &OsdMapIncremental) {
        if let Ok(max) = i32::try_from(inc.new_pool_max)
            && max != -1
        {
            self.pool_max = max;
        }
        for (id, pool) in &inc.new_pools {
            let mut pool = pool.clone();
            pool.last_change = inc.epoch;
            self.pools.insert(*id, pool);
        }
        self.pool_names.extend(inc.new_pool_names.clone());
        for id in &inc.old_pools {
            self.pools.remove(id);
            self.pool_names.remove(id);
        }
    }

    fn apply_snaps(&mut self, inc: &OsdMapIncremental) {
        self.new_removed_snaps.clone_from(&inc.new_removed_snaps);
        self.new_purged_snaps.clone_from(&inc.new_purged_snaps);
        for (pool, snaps) in &inc.new_removed_snaps {
            self.removed_snaps_queue.entry(*pool).or_default().union(snaps);
        }
        for (pool, snaps) in &inc.new_purged_snaps {
            if let Some(queue) = self.removed_snaps_queue.get_mut(pool) {
                queue.subtract(snaps);
                if queue.is_empty() {
                    self.removed_snaps_queue.remove(pool);
                }
            }
        }
    }

    fn apply_osds(&mut self, inc: &OsdMapIncremental) -> Result {
        for (osd, weight) in &inc.new_weight {
            *at(&mut self.osd_weight, *osd)? = *weight;
            if *weight > 0 {
                *at(&mut self.osd_state, *osd)? &= !(osd_state::AUTOOUT | osd_state::NEW);
                at(&mut self.osd_xinfo, *osd)?.old_weight = 0;
            }
        }
        for (osd, affinity) in &inc.new_primary_affinity {
            self.set_primary_affinity(*osd, *affinity)?;
        }
        for (osd, bits) in &inc.new_state {
            self.flip_state(*osd, *bits)?;
        }
        let none = EntityAddrVec::default();
        for (osd, addrs) in &inc.new_up_client {
            let state = at(&mut self.osd_state, *osd)?;
            *state = (*state | osd_state::EXISTS | osd_state::UP) & !osd_state::STOP;
            let a = at(&mut self.osd_addrs, *osd)?;
            a.client.clone_from(addrs);
            a.hb_back.clone_from(inc.new_hb_back_up.get(osd).unwrap_or(&none));
            a.hb_front
                .clone_from(inc.new_hb_front_up.get(osd).unwrap_or(&none));
            at(&mut self.osd_info, *osd)?.up_from = inc.epoch;
        }
        for (osd, addrs) in &inc.new_up_cluster {
            at(&mut self.osd_addrs, *osd)?.cluster.clone_from(addrs);
        }
        for (osd, epoch) in &inc.new_up_thru {
            at(&mut self.osd_info, *osd)?.up_thru = *epoch;
        }
        for (osd, (begin, end)) in &inc.new_last_clean_interval {
            let info = at(&mut self.osd_info, *osd)?;
            (info.last_clean_begin, info.last_clean_end) = (*begin, *end);
        }
        for (osd, epoch) in &inc.new_lost {
            at(&mut self.osd_info, *osd)?.lost_at = *epoch;
        }
        for (osd, xinfo) in &inc.new_xinfo {
            *at(&mut self.osd_xinfo, *osd)? = *xinfo;
        }
        for (osd, uuid) in &inc.new_uuid {
            *at(&mut self.osd_uuid, *osd)? = *uuid;
        }
        Ok(())
    }

    /// Flips bits of an OSD's state; none stands for UP.
    fn flip_state(&mut self, osd: i32, bits: u32) -> Result {
        let bits = if bits == 0 { osd_state::UP } else { bits };
        let state = *at(&mut self.osd_state, osd)?;
        if state & bits & osd_state::UP != 0 {
            at(&mut self.osd_info, osd)?.down_at = self.epoch;
            at(&mut self.osd_xinfo, osd)?.down_stamp = self.modified;
        }
        if state & bits & osd_state::EXISTS == 0 {
            *at(&mut self.osd_state, osd)? ^= bits;
            return Ok(());
        }
        *at(&mut self.osd_state, osd)? = 0;
        *at(&mut self.osd_uuid, osd)? = Uuid::default();
        *at(&mut self.osd_info, osd)? = OsdInfo::default();
        *at(&mut self.osd_xinfo, osd)? = OsdXinfo::default();
        *at(&mut self.osd_addrs, osd)? = OsdAddrs::default();
        self.set_primary_affinity(osd, DEFAULT_PRIMARY_AFFINITY)
    }

    fn set_primary_affinity(&mut self, osd: i32, affinity: u32) -> Result {
        if self.osd_primary_affinity.is_empty() {
            self.osd_primary_affinity = vec![DEFAULT_PRIMARY_AFFINITY; self.osd_state.len()];
        }
        *at(&mut self.osd_primary_affinity, osd)? = affinity;
        Ok(())
    }

    fn apply_placement(&mut self, inc: &OsdMapIncremental) {
        for (pg, osds) in &inc.new_pg_temp {
            if osds.is_empty() {
                self.pg_temp.remove(pg);
            } else {
                self.pg_temp.insert(*pg, osds.clone());
            }
        }
        for (pg, osd) in &inc.new_primary_temp {
            if *osd == -1 {
                self.primary_temp.remove(pg);
            } else {
                self.primary_temp.insert(*pg, *osd);
            }
        }
        self.pg_upmap.extend(inc.new_pg_upmap.clone());
        self.pg_upmap.retain(|pg, _| !inc.old_pg_upmap.contains(pg));
        self.pg_upmap_items.extend(inc.new_pg_upmap_items.clone());
        self.pg_upmap_items
            .retain(|pg, _| !inc.old_pg_upmap_items.contains(pg));
        self.pg_upmap_primaries.extend(&inc.new_pg_upmap_primary);
        self.pg_upmap_primaries
            .retain(|pg, _| !inc.old_pg_upmap_primary.contains(pg));
    }

    fn apply_blocklists(&mut self, inc: &OsdMapIncremental) {
        // Ceph keeps the time of an entry that is there already.
        for (addr, until) in &inc.new_blocklist {
            self.blocklist.entry(*addr).or_insert(*until);
        }
        for addr in &inc.old_blocklist {
            self.blocklist.remove(addr);
        }
        for (addr, until) in &inc.new_range_blocklist {
            self.range_blocklist.entry(*addr).or_insert(*until);
        }
        for addr in &inc.old_range_blocklist {
            self.range_blocklist.remove(addr);
        }
    }

    fn apply_settings(&mut self, inc: &OsdMapIncremental) {
        for name in &inc.old_erasure_code_profiles {
            self.erasure_code_profiles.remove(name);
        }
        self.erasure_code_profiles
            .extend(inc.new_erasure_code_profiles.clone());
        if inc.new_last_up_change != Utime::default() {
            self.last_up_change = inc.new_last_up_change;
        }
        if inc.new_last_in_change != Utime::default() {
            self.last_in_change = inc.new_last_in_change;
        }
        set_or_remove_zero(&mut self.crush_node_flags, &inc.new_crush_node_flags);
        set_or_remove_zero(&mut self.device_class_flags, &inc.new_device_class_flags);
        self.cluster_snapshot.clone_from(&inc.cluster_snapshot);
        self.cluster_snapshot_epoch = if inc.cluster_snapshot.is_empty() {
            0
        } else {
            inc.epoch
        };
        for (ratio, new) in [
            (&mut self.nearfull_ratio, inc.new_nearfull_ratio),
            (&mut self.backfillfull_ratio, inc.new_backfillfull_ratio),
            (&mut self.full_ratio, inc.new_full_ratio),
        ] {
            if new >= 0.0 {
                *ratio = new;
            }
        }
        if ![Release::UNKNOWN, Release::UNCHANGED].contains(&inc.new_require_min_compat_client) {
            self.require_min_compat_client = inc.new_require_min_compat_client;
        }
        if inc.new_require_osd_release != Release::UNCHANGED {
            self.require_osd_release = inc.new_require_osd_release;
            self.fix_flags();
        }
        if let Some(crush) = &inc.crush {
            self.crush = crush.clone();
            if self.require_osd_release >= Release::LUMINOUS {
                self.crush_version = self.crush_version.wrapping_add(1);
            }
            let names = &self.crush.class_names;
            self.device_class_flags
                .retain(|class, _| names.contains_key(class));
        }
        if let Some(mode) = inc.stretch_mode {
            self.stretch_mode = mode;
        }
        if let Some(allow) = inc.allow_crimson {
            self.allow_crimson = allow;
        }
    }
}

fn set_or_remove_zero(map: &mut BTreeMap<i32, u32>, new: &BTreeMap<i32, u32>) {
    for (k, v) in new {
        if *v == 0 {
            map.remove(k);
        } else {
            map.insert(*k, *v);
        }
    }
}
