//! The state of the cluster: its maps, keys, capabilities and options.
//!
//! Everything is kept in an ordered key-value store and in memory. A change is durable before anybody is told of
//! it. Methods that change something block until then: call them from blocking context.

mod auth;
mod auth_options;
mod blocklist;
mod bootstrap;
pub mod caps;
mod ciphers;
mod config;
mod config_history;
mod crush_rules;
mod embedded_state;
mod entrance;
pub mod erasure_code;
mod erasure_pools;
mod error;
mod global_id;
mod health_mutes;
mod keys;
mod mgr_map;
mod options;
mod osd_maps;
mod osd_up;
mod pools;
mod snaps;
pub mod state_store;
mod stats;
mod tiers;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use encoding::{
    maps::{MgrMap, MonMap, OsdMap},
    types::{EntityAddrVec, Utime, Uuid},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

pub use auth::{check_caps, entity_name, new_key};
pub use auth_options::INSECURE_KEYS;
pub use blocklist::{parse_address, parse_range};
pub use bootstrap::{Endpoints, OsdEndpoint};
pub use ciphers::CipherSetting;
pub use config::{Config, normalized};
pub use config_history::{ConfigChange, ConfigChangeSet};
pub use crush_rules::{RenamedRule, RulePlace};
pub use entrance::Entrance;
pub use error::ClusterError;
pub use health_mutes::HealthMute;
pub(crate) use options::option;
pub use options::{
    ALLOW_DELETE, BLOCKLIST_EXPIRE, CONFIG_KEY_MAX, KnownOption, OptionKind, POOL_PG_NUM, POOL_SIZE,
    known_option, known_options,
};
pub use osd_maps::MapsSince;
pub use osd_up::MarkedDown;
pub use pools::{PoolLayout, PoolQuota, PoolRequest, stored_deleted_pools};
pub use stats::{
    BackendCheck, ClusterStats, DataDamage, Latency, NoStats, PoolUsage, Rates, ScrubState, Space, WatcherAt,
};
pub use tiers::CacheMode;

use state_store::{Change, StateStore};

/// The name of the one monitor.
pub const MON_NAME: &str = "a";
/// The name of the active manager.
pub const MGR_NAME: &str = "x";

/// The state of the cluster. Shared by monitor, manager and OSDs.
pub struct Cluster {
    store: Arc<dyn StateStore>,
    fsid: Uuid,
    created: Utime,
    mon_maps: ciphers::MonMaps,
    mgrmap: RwLock<Arc<MgrMap>>,
    /// Clients that modules of the manager had in an earlier process, which did not end in order.
    former_mgr_clients: Mutex<Vec<(String, EntityAddrVec)>>,
    host: String,
    started: SystemTime,
    osd_maps: osd_maps::OsdMaps,
    /// The OSDs of this process.
    running_osds: Vec<i32>,
    /// Serialises changes of the OSD map, of options and of muted health checks.
    writer: Mutex<()>,
    auth: auth::AuthDb,
    global_ids: global_id::GlobalIds,
    config: RwLock<Config>,
    /// What daemons were told for as long as they run (`ceph tell DAEMON config set`).
    overrides: RwLock<Config>,
    config_changed: watch::Sender<u64>,
    health_mutes: RwLock<Arc<BTreeMap<String, HealthMute>>>,
    stats: RwLock<Arc<dyn ClusterStats>>,
    /// How clients authenticate.
    auth_method: OnceLock<&'static str>,
    /// Clients connected to the monitor at this moment.
    sessions: AtomicU64,
}

/// The names of all pools of the cluster in `store`, which nobody has open.
///
/// # Errors
/// If they cannot be read.
pub fn stored_pool_names(store: &dyn StateStore) -> Result<BTreeMap<i64, String>, ClusterError> {
    bootstrap::pool_names(store)
}

impl Cluster {
    /// Opens the cluster in `store`, or makes a new one there; `endpoints` are where its daemons are from now on.
    /// Blocks.
    pub fn open(store: Arc<dyn StateStore>, endpoints: &Endpoints) -> Result<Arc<Self>, ClusterError> {
        bootstrap::open(store, endpoints).map(Arc::new)
    }

    /// The cluster's identity.
    #[must_use]
    pub const fn fsid(&self) -> Uuid {
        self.fsid
    }

    /// When the cluster was made.
    #[must_use]
    pub const fn created(&self) -> Utime {
        self.created
    }

    /// When this process opened it.
    #[must_use]
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// The name of the host that the daemons are on.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The monitors.
    #[must_use]
    pub fn monmap(&self) -> Arc<MonMap> {
        self.mon_maps.current()
    }

    /// The managers.
    #[must_use]
    pub fn mgrmap(&self) -> Arc<MgrMap> {
        self.mgrmap.read().clone()
    }

    /// The newest OSD map.
    #[must_use]
    pub fn osdmap(&self) -> Arc<OsdMap> {
        self.osd_maps.current()
    }

    /// Is told of each new OSD map; may skip epochs.
    #[must_use]
    pub fn watch_osdmap(&self) -> watch::Receiver<Arc<OsdMap>> {
        self.osd_maps.watch()
    }

    /// Is told when an option was changed.
    #[must_use]
    pub fn watch_config(&self) -> watch::Receiver<u64> {
        self.config_changed.subscribe()
    }

    /// Sets what measures space and load.
    pub fn set_stats(&self, stats: Arc<dyn ClusterStats>) {
        *self.stats.write() = stats;
    }

    /// What measures space and load.
    #[must_use]
    pub fn stats(&self) -> Arc<dyn ClusterStats> {
        self.stats.read().clone()
    }

    /// Clients connected to the monitor at this moment.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn session_opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_closed(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Does what is due: drops expired blocklist entries, rotates secrets, replaces keys whose successors have been
    /// used, and checks quotas. To be called every few seconds. Blocks.
    pub fn tick(&self, now: SystemTime) -> Result<(), ClusterError> {
        self.rotate_secrets(now)?;
        self.commit_used_pending_keys()?;
        self.expire_blocklist(now)?;
        self.check_quotas()
    }

    /// Makes the next OSD map: `edit` changes a copy of the current one, whose epoch and times are set. The new
    /// map and what else `edit` wants stored are durable before anybody sees the map. Nothing is made if `edit`
    /// fails.
    fn change_osdmap<T>(
        &self,
        edit: impl FnOnce(&mut Edit) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        let _writer = self.writer.lock();
        let current = self.osd_maps.current();
        let mut next = OsdMap::clone(&current);
        next.epoch += 1;
        next.modified = Utime::from_system_time(SystemTime::now());
        next.new_removed_snaps.clear();
        next.new_purged_snaps.clear();
        let mut edit_of = Edit {
            map: next,
            also: Vec::new(),
            unchanged: false,
        };
        let result = edit(&mut edit_of)?;
        if !edit_of.unchanged {
            self.osd_maps.publish(&*self.store, edit_of.map, edit_of.also)?;
        }
        Ok(result)
    }
}

/// A new OSD map in the making.
struct Edit {
    map: OsdMap,
    /// What is to be stored with it.
    also: Vec<Change>,
    /// Nothing changed after all: no new map is made.
    unchanged: bool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("fsid", &self.fsid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod auth_tests;
