//! Applying an incremental OSDMap, and finding the one that leads from a map to the next (Ceph
//! `OSDMap::apply_incremental`).

use std::collections::BTreeMap;

use super::{
    incremental::OsdMapIncremental,
    osd_info::{OsdInfo, OsdXinfo},
    osdmap::{DEFAULT_PRIMARY_AFFINITY, OsdAddrs, OsdMap, osd_state},
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
}

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
        self.epoch = inc.epoch;
        self.modified = inc.modified;
        if let Ok(flags) = u32::try_from(inc.new_flags) {
            self.flags = flags;
            let told = super::osdmap_codec::release_of(flags);
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

/// Entries of `new` that `old` lacks or has otherwise.
fn changed<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    new.iter()
        .filter(|(k, v)| old.get(k) != Some(v))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Keys of `old` that `new` lacks.
fn gone<K: Ord + Clone, V, C: FromIterator<K>>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> C {
    old.keys().filter(|k| !new.contains_key(k)).cloned().collect()
}

/// Changed entries, and for those that are gone the value that removes them.
fn changed_or_removed<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    removes: &V,
) -> BTreeMap<K, V> {
    let mut out = changed(old, new);
    out.extend(
        gone::<_, _, Vec<K>>(old, new)
            .into_iter()
            .map(|k| (k, removes.clone())),
    );
    out
}

impl OsdMapIncremental {
    /// What leads from `old` to `new`, the next epoch: `old.apply(&diff(old, new))` makes `new`.
    ///
    /// Changes that an incremental map cannot express (see [`OsdMap::apply`] for what follows from what, so for
    /// example an OSD that comes up with another `up_from` than the new epoch) make it carry all of `new`, which
    /// clients accept as well; likewise blocklist entries whose time changes.
    #[must_use]
    pub fn diff(old: &OsdMap, new: &OsdMap) -> Self {
        let mut inc = Self::new(new.fsid, new.epoch, new.modified);
        inc.diff_pools(old, new);
        inc.diff_osds(old, new);
        inc.diff_placement(old, new);
        inc.diff_settings(old, new);
        let mut applied = old.clone();
        if applied.apply(&inc).is_err() || applied != *new {
            inc = Self::new(new.fsid, new.epoch, new.modified);
            inc.full_map = Some(Box::new(new.clone()));
        }
        inc
    }

    fn diff_pools(&mut self, old: &OsdMap, new: &OsdMap) {
        if old.pool_max != new.pool_max {
            self.new_pool_max = new.pool_max.into();
        }
        self.new_pools = changed(&old.pools, &new.pools);
        self.new_pool_names = changed(&old.pool_names, &new.pool_names);
        self.old_pools = gone(&old.pools, &new.pools);
        self.new_removed_snaps.clone_from(&new.new_removed_snaps);
        self.new_purged_snaps.clone_from(&new.new_purged_snaps);
    }

    fn diff_osds(&mut self, old: &OsdMap, new: &OsdMap) {
        let mut before = old.clone();
        if old.max_osd != new.max_osd {
            self.new_max_osd = new.max_osd;
            before.set_max_osd(new.max_osd);
        }
        for (osd, i) in (0..new.max_osd).zip(0_usize..) {
            self.diff_osd(&before, new, osd, i);
        }
    }

    /// The changes of one OSD, `osd`, which stands at `i` in both maps (or in neither vector).
    fn diff_osd(&mut self, old: &OsdMap, new: &OsdMap, osd: i32, i: usize) {
        fn pair<'m, T: PartialEq>(old: &'m [T], new: &'m [T], i: usize) -> Option<(&'m T, &'m T)> {
            old.get(i).zip(new.get(i)).filter(|(a, b)| a != b)
        }
        let comes_up = !old.is_up(osd) && new.is_up(osd);
        let readdressed = pair(&old.osd_addrs, &new.osd_addrs, i);
        if let Some(addrs) = new.osd_addrs.get(i)
            && new.is_up(osd)
            && (comes_up || readdressed.is_some())
        {
            self.new_up_client.insert(osd, addrs.client.clone());
            self.new_up_cluster.insert(osd, addrs.cluster.clone());
            self.new_hb_back_up.insert(osd, addrs.hb_back.clone());
            self.new_hb_front_up.insert(osd, addrs.hb_front.clone());
        }
        if let Some((_, b)) = pair(&old.osd_weight, &new.osd_weight, i) {
            self.new_weight.insert(osd, *b);
        }
        if let Some((a, b)) = pair(&old.osd_state, &new.osd_state, i) {
            let mut flips = a ^ b;
            if self.new_up_client.contains_key(&osd) {
                flips &= !(osd_state::UP | osd_state::EXISTS);
            }
            if self.new_weight.get(&osd).is_some_and(|w| *w > 0) {
                flips &= !(a & (osd_state::AUTOOUT | osd_state::NEW));
            }
            if flips != 0 {
                self.new_state.insert(osd, flips);
            }
        }
        if let Some((a, b)) = pair(&old.osd_info, &new.osd_info, i) {
            if a.up_thru != b.up_thru {
                self.new_up_thru.insert(osd, b.up_thru);
            }
            let clean = (b.last_clean_begin, b.last_clean_end);
            if clean != (a.last_clean_begin, a.last_clean_end) {
                self.new_last_clean_interval.insert(osd, clean);
            }
            if a.lost_at != b.lost_at {
                self.new_lost.insert(osd, b.lost_at);
            }
        }
        if let Some((_, b)) = pair(&old.osd_xinfo, &new.osd_xinfo, i) {
            self.new_xinfo.insert(osd, *b);
        }
        if let Some((_, b)) = pair(&old.osd_uuid, &new.osd_uuid, i) {
            self.new_uuid.insert(osd, *b);
        }
        let affinity = |m: &OsdMap| {
            m.osd_primary_affinity
                .get(i)
                .copied()
                .unwrap_or(DEFAULT_PRIMARY_AFFINITY)
        };
        if affinity(old) != affinity(new) {
            self.new_primary_affinity.insert(osd, affinity(new));
        }
    }

    fn diff_placement(&mut self, old: &OsdMap, new: &OsdMap) {
        self.new_pg_temp = changed_or_removed(&old.pg_temp, &new.pg_temp, &Vec::new());
        self.new_primary_temp = changed_or_removed(&old.primary_temp, &new.primary_temp, &-1);
        self.new_pg_upmap = changed(&old.pg_upmap, &new.pg_upmap);
        self.old_pg_upmap = gone(&old.pg_upmap, &new.pg_upmap);
        self.new_pg_upmap_items = changed(&old.pg_upmap_items, &new.pg_upmap_items);
        self.old_pg_upmap_items = gone(&old.pg_upmap_items, &new.pg_upmap_items);
        self.new_pg_upmap_primary = changed(&old.pg_upmap_primaries, &new.pg_upmap_primaries);
        self.old_pg_upmap_primary = gone(&old.pg_upmap_primaries, &new.pg_upmap_primaries);
        if old.crush != new.crush {
            self.crush = Some(new.crush.clone());
        }
    }

    fn diff_settings(&mut self, old: &OsdMap, new: &OsdMap) {
        if old.flags != new.flags {
            self.new_flags = i32::try_from(new.flags).unwrap_or(-1);
        }
        self.new_erasure_code_profiles = changed(&old.erasure_code_profiles, &new.erasure_code_profiles);
        self.old_erasure_code_profiles = gone(&old.erasure_code_profiles, &new.erasure_code_profiles);
        if old.last_up_change != new.last_up_change {
            self.new_last_up_change = new.last_up_change;
        }
        if old.last_in_change != new.last_in_change {
            self.new_last_in_change = new.last_in_change;
        }
        self.new_blocklist = changed(&old.blocklist, &new.blocklist);
        self.old_blocklist = gone(&old.blocklist, &new.blocklist);
        self.new_range_blocklist = changed(&old.range_blocklist, &new.range_blocklist);
        self.old_range_blocklist = gone(&old.range_blocklist, &new.range_blocklist);
        self.new_crush_node_flags = changed_or_removed(&old.crush_node_flags, &new.crush_node_flags, &0);
        self.new_device_class_flags =
            changed_or_removed(&old.device_class_flags, &new.device_class_flags, &0);
        self.cluster_snapshot.clone_from(&new.cluster_snapshot);
        let ratio = |old: f32, new: f32| if old == new { -1.0 } else { new };
        self.new_nearfull_ratio = ratio(old.nearfull_ratio, new.nearfull_ratio);
        self.new_full_ratio = ratio(old.full_ratio, new.full_ratio);
        self.new_backfillfull_ratio = ratio(old.backfillfull_ratio, new.backfillfull_ratio);
        let release = |old: Release, new: Release| if old == new { Release::UNCHANGED } else { new };
        self.new_require_min_compat_client =
            release(old.require_min_compat_client, new.require_min_compat_client);
        self.new_require_osd_release = release(old.require_osd_release, new.require_osd_release);
        if old.stretch_mode != new.stretch_mode {
            self.stretch_mode = Some(new.stretch_mode);
        }
        if old.allow_crimson != new.allow_crimson {
            self.allow_crimson = Some(new.allow_crimson);
        }
    }
}
