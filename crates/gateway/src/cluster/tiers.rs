//! Cache tiers in the map, as the monitor keeps them. Nothing is cached: a pool that has a cache mode serves no objects,
//! and no pool can be put before another for its clients.

use encoding::maps::{OsdMap, PgPool, pool_flags};
use rustix::io::Errno;

use super::{Cluster, ClusterError, error::refused};

/// How a cache tier would work (`pg_pool_t::cache_mode_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Not at all.
    None,
    /// Takes writes, flushes them later.
    Writeback,
    /// Serves reads, forwards writes.
    Readonly,
    /// Passes reads on, takes writes.
    Readproxy,
    /// Passes everything on.
    Proxy,
}

impl CacheMode {
    const ALL: [(Self, u8, &'static str); 5] = [
        (Self::None, 0, "none"),
        (Self::Writeback, 1, "writeback"),
        (Self::Readonly, 3, "readonly"),
        (Self::Readproxy, 5, "readproxy"),
        (Self::Proxy, 6, "proxy"),
    ];

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let row = Self::ALL.iter().find(|(_, _, n)| *n == name)?;
        Some(row.0)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|(mode, _, _)| *mode == self);
        row.map_or("", |(_, _, name)| name)
    }

    /// The name of the mode with that number in the map.
    #[must_use]
    pub fn name_of(number: u8) -> &'static str {
        let row = Self::ALL.iter().find(|(_, n, _)| *n == number);
        row.map_or("unknown", |(_, _, name)| name)
    }

    fn number(self) -> u8 {
        let row = Self::ALL.iter().find(|(mode, _, _)| *mode == self);
        row.map_or(0, |(_, number, _)| *number)
    }
}

fn name_of(map: &OsdMap, id: i64) -> &str {
    map.pool_names.get(&id).map_or("", String::as_str)
}

/// Fails if a pool is or has a tier.
pub(super) fn check_deletable(map: &OsdMap, name: &str, pool: &PgPool) -> Result<(), ClusterError> {
    if pool.tier_of >= 0 {
        let base = name_of(map, pool.tier_of);
        return Err(refused(
            Errno::BUSY,
            format!("pool '{name}' is a tier of '{base}'"),
        ));
    }
    if !pool.tiers.is_empty() {
        let tiers = pool.tiers.iter().map(|id| name_of(map, *id as i64));
        let tiers = tiers.collect::<Vec<_>>().join(" ");
        return Err(refused(Errno::BUSY, format!("pool '{name}' has tiers {tiers}")));
    }
    Ok(())
}

/// Whether `tier` is a tier of `base` already; fails if it cannot become one (`OSDMonitor::_check_become_tier`).
fn check_new_tier(map: &OsdMap, base: i64, tier: i64) -> Result<bool, ClusterError> {
    let pool = |id: i64| map.pools.get(&id).ok_or(ClusterError::NoSuchPool(id));
    let (base_pool, tier_pool) = (pool(base)?, pool(tier)?);
    let (base_name, tier_name) = (name_of(map, base), name_of(map, tier));
    let invalid = |text: String| Err(ClusterError::Invalid(text));
    if base_pool.tiers.contains(&(tier as u64)) {
        return Ok(true);
    }
    if base == tier {
        return invalid(format!("pool '{base_name}' cannot be a tier of itself"));
    }
    if base_pool.tier_of >= 0 {
        let other = name_of(map, base_pool.tier_of);
        return invalid(format!(
            "pool '{base_name}' is already a tier of '{other}', multiple tiers are not yet supported."
        ));
    }
    if !tier_pool.tiers.is_empty() {
        let tiers = tier_pool
            .tiers
            .iter()
            .map(|id| format!("'{}',", name_of(map, *id as i64)));
        return invalid(format!(
            "pool '{tier_name}' has following tier(s) already:{} multiple tiers are not yet supported.",
            tiers.collect::<String>()
        ));
    }
    if tier_pool.tier_of >= 0 {
        let other = name_of(map, tier_pool.tier_of);
        return invalid(format!("tier pool '{tier_name}' is already a tier of '{other}'"));
    }
    Ok(false)
}

impl Cluster {
    /// Makes pool `tier` a tier of pool `base`. Does nothing if it is. `force`: also if it has objects.
    ///
    /// # Errors
    /// Those of Ceph's monitor.
    pub fn add_tier(&self, base: i64, tier: i64, force: bool) -> Result<(), ClusterError> {
        let used = self.stats().pool(tier).objects != 0;
        self.change_osdmap(|edit| {
            let map = &edit.map;
            if check_new_tier(map, base, tier)? {
                edit.unchanged = true;
                return Ok(());
            }
            let name = name_of(map, tier);
            let pool = map.pools.get(&tier).ok_or(ClusterError::NoSuchPool(tier))?;
            if used && !force {
                let text = format!("tier pool '{name}' is not empty; --force-nonempty to force");
                return Err(refused(Errno::NOTEMPTY, text));
            }
            if pool.is_erasure() {
                let text = format!("tier pool '{name}' is an ec pool, which cannot be a tier");
                return Err(refused(Errno::OPNOTSUPP, text));
            }
            if !pool.snaps.is_empty() || map.removed_snaps_queue.contains_key(&tier) {
                let text = format!(
                    "tier pool '{name}' has snapshot state; it cannot be added as a tier without breaking the pool"
                );
                return Err(refused(Errno::NOTEMPTY, text));
            }
            let epoch = map.epoch;
            let base_pool = edit.pool(base)?;
            base_pool.tiers.insert(tier as u64);
            base_pool.snap_epoch = epoch;
            edit.pool(tier)?.tier_of = base;
            Ok(())
        })
    }

    /// Makes pool `tier` no tier of pool `base`. Does nothing if it is none.
    ///
    /// # Errors
    /// If the store fails, or a pool is not there.
    pub fn remove_tier(&self, base: i64, tier: i64) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let base_pool = edit.map.pools.get(&base).ok_or(ClusterError::NoSuchPool(base))?;
            if !base_pool.tiers.contains(&(tier as u64)) {
                edit.unchanged = true;
                return Ok(());
            }
            edit.pool(base)?.tiers.remove(&(tier as u64));
            let pool = edit.pool(tier)?;
            pool.tier_of = -1;
            if pool.cache_mode != 0 {
                pool.flags |= pool_flags::INCOMPLETE_CLONES;
            }
            pool.cache_mode = 0;
            pool.cache_target_dirty_ratio_micro = 0;
            pool.cache_target_dirty_high_ratio_micro = 0;
            pool.cache_target_full_ratio_micro = 0;
            Ok(())
        })
    }

    /// Sets the cache mode of a tier; `sure`: also one that may lose data.
    ///
    /// # Errors
    /// Those of Ceph's monitor.
    pub fn set_cache_mode(&self, id: i64, mode: CacheMode, sure: bool) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let name = name_of(&edit.map, id);
            let pool = edit.map.pools.get(&id).ok_or(ClusterError::NoSuchPool(id))?;
            if pool.tier_of < 0 {
                return Err(ClusterError::Invalid(format!("pool '{name}' is not a tier")));
            }
            if mode == CacheMode::Readonly && !sure {
                let text = "'readonly' is not a well-supported cache mode and may corrupt your data.  pass \
                            --yes-i-really-mean-it to force.";
                return Err(refused(Errno::PERM, text.to_owned()));
            }
            if pool.cache_mode == mode.number() {
                edit.unchanged = true;
                return Ok(());
            }
            let leaves_writeback = pool.cache_mode == CacheMode::Writeback.number();
            if leaves_writeback && !matches!(mode, CacheMode::Proxy | CacheMode::Readproxy) {
                return Err(ClusterError::Invalid(format!(
                    "unable to set cache-mode '{}' on a 'writeback' pool; only 'proxy','readproxy' allowed.",
                    mode.name()
                )));
            }
            let pool = edit.pool(id)?;
            pool.cache_mode = mode.number();
            pool.flags |= pool_flags::INCOMPLETE_CLONES;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{PoolLayout, PoolRequest, tests::cluster};

    fn pools(c: &Cluster) -> [i64; 3] {
        ["a", "b", "c"].map(|name| {
            c.create_pool(&PoolRequest {
                name: name.to_owned(),
                pg_num: 8,
                layout: PoolLayout::copies(1),
            })
            .unwrap()
        })
    }

    #[test]
    fn a_tier_names_its_base_and_the_base_its_tiers() {
        let c = cluster();
        let [base, tier, _] = pools(&c);
        c.add_tier(base, tier, false).unwrap();
        let epoch = c.osdmap().epoch;
        c.add_tier(base, tier, false).unwrap();
        let map = c.osdmap();
        assert_eq!(map.epoch, epoch, "nothing changed");
        assert_eq!(map.pools[&tier].tier_of, base);
        assert_eq!(map.pools[&base].tiers, [tier as u64].into());
        assert!(c.delete_pool(tier).is_err() && c.delete_pool(base).is_err());
        c.remove_tier(base, tier).unwrap();
        assert_eq!(c.osdmap().pools[&tier].tier_of, -1);
        c.delete_pool(tier).unwrap();
    }

    #[test]
    fn tiers_are_one_deep() {
        let c = cluster();
        let [base, tier, other] = pools(&c);
        c.add_tier(base, tier, false).unwrap();
        assert!(c.add_tier(tier, other, false).is_err());
        assert!(c.add_tier(other, tier, false).is_err());
        assert!(c.add_tier(other, base, false).is_err());
        assert!(c.add_tier(other, other, false).is_err());
    }

    #[test]
    fn cache_modes_follow_each_other_as_in_ceph() {
        let c = cluster();
        let [base, tier, _] = pools(&c);
        assert!(
            c.set_cache_mode(tier, CacheMode::Writeback, true).is_err(),
            "no tier"
        );
        c.add_tier(base, tier, false).unwrap();
        assert!(c.set_cache_mode(tier, CacheMode::Readonly, false).is_err());
        c.set_cache_mode(tier, CacheMode::Readonly, true).unwrap();
        c.set_cache_mode(tier, CacheMode::Writeback, false).unwrap();
        assert!(c.set_cache_mode(tier, CacheMode::None, false).is_err());
        c.set_cache_mode(tier, CacheMode::Proxy, false).unwrap();
        c.set_cache_mode(tier, CacheMode::None, false).unwrap();
        let flags = c.osdmap().pools[&tier].flags;
        assert_ne!(flags & pool_flags::INCOMPLETE_CLONES, 0);
    }
}
