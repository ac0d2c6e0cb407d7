//! Pools: made, changed and deleted.

use std::{collections::BTreeSet, time::SystemTime};

use encoding::{
    maps::{OsdMap, PgPool, Release, pool_flags, pool_kind},
    types::Utime,
};

use super::{
    Cluster, ClusterError, Edit, erasure_pools, keys,
    state_store::{Change, StateStore},
    tiers,
};

/// What a new pool is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRequest {
    /// Its name.
    pub name: String,
    /// Placement groups.
    pub pg_num: u32,
    /// How objects are kept, as told to clients.
    pub layout: PoolLayout,
}

/// How a pool keeps objects, as told to clients; here each is stored once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolLayout {
    /// Copied.
    Replicated {
        /// How often.
        size: u8,
        /// The name of its CRUSH rule; the one that every cluster has if none is named.
        rule: Option<String>,
    },
    /// Erasure coded.
    Erasure {
        /// The name of its profile.
        profile: String,
        /// The name of its CRUSH rule; one is made if none is named.
        rule: Option<String>,
    },
}

/// Most placement groups of one pool (`mon_max_pool_pg_num`).
const MAX_PG_NUM: u32 = 65536;

/// The limits of a pool; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolQuota {
    /// Objects.
    Objects(u64),
    /// Bytes.
    Bytes(u64),
}

fn check_name(name: &str) -> Result<(), ClusterError> {
    if name.is_empty() || name.starts_with('.') && name.len() == 1 || name.contains(['/', '@', '\0', '\n']) {
        return Err(ClusterError::Invalid(format!("invalid pool name '{name}'")));
    }
    Ok(())
}

/// Adds a pool to a map in the making.
pub(super) fn add_pool(map: &mut OsdMap, request: &PoolRequest, now: Utime) -> Result<i64, ClusterError> {
    check_name(&request.name)?;
    if map.pool_by_name(&request.name).is_some() {
        return Err(ClusterError::Exists(format!("pool '{}'", request.name)));
    }
    if request.pg_num == 0 || request.pg_num > MAX_PG_NUM {
        return Err(ClusterError::Invalid(format!(
            "'pg_num' must be greater than 0 and less than or equal to {MAX_PG_NUM}"
        )));
    }
    let pool = match &request.layout {
        PoolLayout::Replicated { size, rule } => {
            let rule = match rule {
                Some(rule) => erasure_pools::rule_of_kind(&map.crush, rule, pool_kind::REPLICATED)?,
                None => 0,
            };
            PgPool::replicated(request.pg_num, (*size).max(1), rule)
        }
        PoolLayout::Erasure { profile, rule } => {
            erasure_pools::pool(map, &request.name, request.pg_num, profile, rule.as_deref())?
        }
    };
    let pool = PgPool {
        create_time: now,
        last_change: map.epoch,
        ..pool
    };
    map.pool_max += 1;
    let id = i64::from(map.pool_max);
    map.pools.insert(id, pool);
    map.pool_names.insert(id, request.name.clone());
    Ok(id)
}

impl PoolLayout {
    /// So many copies, placed by the rule that every cluster has.
    #[must_use]
    pub const fn copies(size: u8) -> Self {
        Self::Replicated { size, rule: None }
    }
}

impl Edit {
    /// The pool of a map in the making, marked as changed in it.
    pub(super) fn pool(&mut self, id: i64) -> Result<&mut PgPool, ClusterError> {
        let epoch = self.map.epoch;
        let pool = self.map.pools.get_mut(&id).ok_or(ClusterError::NoSuchPool(id))?;
        pool.last_change = epoch;
        Ok(pool)
    }
}

/// The map as a whole.
impl Cluster {
    /// Sets or clears flags of the OSD map (`osdmap_flags`). Without `noup`, OSDs that are down come back.
    pub fn set_flags(&self, bits: u32, on: bool) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let old = edit.map.flags;
            edit.map.flags = if on { old | bits } else { old & !bits };
            edit.unchanged = edit.map.flags == old;
            Ok(())
        })?;
        self.boot_osds()
    }

    /// Changes the ratios at which the cluster counts as full.
    pub fn set_ratio(&self, set: impl FnOnce(&mut OsdMap)) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            set(&mut edit.map);
            Ok(())
        })
    }

    /// Sets the oldest clients that are to be served, by which new ones choose formats.
    pub fn set_require_min_compat_client(&self, release: Release) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            edit.unchanged = edit.map.require_min_compat_client == release;
            edit.map.require_min_compat_client = release;
            Ok(())
        })
    }
}

/// Pools that were deleted and whose objects may still be there, of the cluster in `store`, which nobody has open.
///
/// # Errors
/// If they cannot be read.
pub fn stored_deleted_pools(store: &dyn StateStore) -> Result<BTreeSet<i64>, ClusterError> {
    let rows = store.scan(keys::DELETED_POOLS)?;
    let numbers = rows
        .iter()
        .filter_map(|(key, _)| keys::number_in(key, keys::DELETED_POOLS));
    Ok(numbers.map(u64::cast_signed).collect())
}

/// Pools.
impl Cluster {
    /// Makes a pool; its id is never used again.
    pub fn create_pool(&self, request: &PoolRequest) -> Result<i64, ClusterError> {
        self.change_osdmap(|edit| {
            add_pool(&mut edit.map, request, Utime::from_system_time(SystemTime::now()))
        })
    }

    /// Deletes a pool from the map. Whoever keeps its objects learns of it by [`Cluster::deleted_pools`].
    pub fn delete_pool(&self, id: i64) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let name = edit.map.pool_names.get(&id).cloned().unwrap_or_default();
            let pool = edit.map.pools.get(&id).ok_or(ClusterError::NoSuchPool(id))?;
            tiers::check_deletable(&edit.map, &name, pool)?;
            if pool.flags & pool_flags::NODELETE != 0 {
                return Err(ClusterError::NoDelete(name));
            }
            edit.map.pools.remove(&id);
            edit.map.pool_names.remove(&id);
            edit.map.removed_snaps_queue.remove(&id);
            let key = keys::numbered(keys::REMOVED_SNAPS, id.unsigned_abs());
            edit.also.push(Change::Delete(key));
            let key = keys::numbered(keys::DELETED_POOLS, id.unsigned_abs());
            edit.also.push(Change::Put(key, keys::stored(&edit.map.epoch)));
            Ok(())
        })
    }

    /// Pools that were deleted, and whose objects may still be there.
    pub fn deleted_pools(&self) -> Result<BTreeSet<i64>, ClusterError> {
        stored_deleted_pools(&*self.store)
    }

    /// Takes down that nothing is left of a deleted pool. Blocks.
    pub fn pool_is_gone(&self, id: i64) -> Result<(), ClusterError> {
        let key = keys::numbered(keys::DELETED_POOLS, id.unsigned_abs());
        Ok(self.store.commit(vec![Change::Delete(key)])?)
    }

    /// Renames a pool.
    pub fn rename_pool(&self, id: i64, name: &str) -> Result<(), ClusterError> {
        check_name(name)?;
        self.change_osdmap(|edit| {
            if edit.map.pool_by_name(name).is_some() {
                return Err(ClusterError::Exists(format!("pool '{name}'")));
            }
            edit.pool(id)?;
            edit.map.pool_names.insert(id, name.to_owned());
            Ok(())
        })
    }

    /// Changes a pool by `change`, in a new epoch.
    pub fn change_pool(
        &self,
        id: i64,
        change: impl FnOnce(&mut PgPool) -> Result<(), ClusterError>,
    ) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| change(edit.pool(id)?))
    }

    /// Marks a pool with an application, with that key and value if given. Does nothing if it has it.
    pub fn set_application(
        &self,
        id: i64,
        application: &str,
        pair: Option<(&str, &str)>,
    ) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let pool = edit.map.pools.get(&id).ok_or(ClusterError::NoSuchPool(id))?;
            let present = pool.application_metadata.get(application);
            let same = match pair {
                None => present.is_some(),
                Some((key, value)) => present.is_some_and(|m| m.get(key).is_some_and(|v| v == value)),
            };
            if same {
                edit.unchanged = true;
                return Ok(());
            }
            let application = application.to_owned();
            let metadata = edit
                .pool(id)?
                .application_metadata
                .entry(application)
                .or_default();
            if let Some((key, value)) = pair {
                metadata.insert(key.to_owned(), value.to_owned());
            }
            Ok(())
        })
    }

    /// Sets a quota.
    pub fn set_quota(&self, id: i64, quota: PoolQuota) -> Result<(), ClusterError> {
        self.change_pool(id, |pool| {
            match quota {
                PoolQuota::Objects(n) => pool.quota_max_objects = n,
                PoolQuota::Bytes(n) => pool.quota_max_bytes = n,
            }
            Ok(())
        })
    }

    /// Marks a pool as full, or takes the mark away; `quota` says that its quota is the reason, and a mark for
    /// that reason stays until the quota is. Makes an epoch only if something changes.
    pub fn set_pool_full(&self, id: i64, full: bool, quota: bool) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            let old = edit.map.pools.get(&id).ok_or(ClusterError::NoSuchPool(id))?.flags;
            let new = match (full, quota) {
                (true, true) => old | pool_flags::FULL | pool_flags::FULL_QUOTA,
                (true, false) => old | pool_flags::FULL,
                (false, true) => old & !(pool_flags::FULL | pool_flags::FULL_QUOTA),
                (false, false) if old & pool_flags::FULL_QUOTA != 0 => old,
                (false, false) => old & !pool_flags::FULL,
            };
            if new == old {
                edit.unchanged = true;
            } else {
                edit.pool(id)?.flags = new;
            }
            Ok(())
        })
    }

    /// Marks the pools whose quota is used up as full, and those below it as not.
    pub(super) fn check_quotas(&self) -> Result<(), ClusterError> {
        let map = self.osdmap();
        let stats = self.stats();
        for (id, pool) in &map.pools {
            let marked = pool.flags & pool_flags::FULL_QUOTA != 0;
            if pool.quota_max_bytes == 0 && pool.quota_max_objects == 0 && !marked {
                continue;
            }
            let usage = stats.pool(*id);
            let reached = |limit: u64, now: u64| limit != 0 && now >= limit;
            let full = reached(pool.quota_max_bytes, usage.bytes_stored)
                || reached(pool.quota_max_objects, usage.objects);
            if full != marked {
                self.set_pool_full(*id, full, true)?;
            }
        }
        Ok(())
    }
}
