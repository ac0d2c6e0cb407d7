//! Finding the incremental OSDMap that leads from a map to the next.

use std::collections::BTreeMap;

use super::{
    incremental::OsdMapIncremental,
    osdmap::{DEFAULT_PRIMARY_AFFINITY, OsdMap, osd_state},
    release::Release,
};

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
