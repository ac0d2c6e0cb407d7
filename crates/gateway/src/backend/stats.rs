//! The OSD's measurements and the state of the cluster below, as the monitor sees them.

use std::{collections::BTreeMap, sync::Arc};

use encoding::types::Pg;
use store::{CacheUse, Held};

use super::CurveDevices;
use crate::{
    cluster::{
        BackendCheck, ClusterStats, DataDamage, Latency, PoolUsage, Rates, ScrubState, Space, WatcherAt,
    },
    op_tracker::OpTracker,
};

/// The OSD's measurements, with the cluster's below.
pub struct BackendStats {
    inner: Arc<dyn ClusterStats>,
    devices: CurveDevices,
}

impl BackendStats {
    /// Adds the cluster's state to what `inner` measures.
    #[must_use]
    pub fn new(inner: Arc<dyn ClusterStats>, devices: CurveDevices) -> Self {
        Self { inner, devices }
    }
}

impl ClusterStats for BackendStats {
    fn space(&self) -> Space {
        self.inner.space()
    }

    fn pool(&self, id: i64) -> PoolUsage {
        self.inner.pool(id)
    }

    fn rates(&self, pool: i64) -> Rates {
        self.inner.rates(pool)
    }

    fn latency(&self, osd: i32) -> Latency {
        self.inner.latency(osd)
    }

    fn ops(&self, osd: Option<i32>) -> Vec<Arc<OpTracker>> {
        self.inner.ops(osd)
    }

    fn groups(&self, pool: i64) -> Vec<PoolUsage> {
        self.inner.groups(pool)
    }

    fn scrub(&self, pg: Pg, deep: bool) {
        self.inner.scrub(pg, deep);
    }

    fn scrubs(&self) -> BTreeMap<Pg, ScrubState> {
        self.inner.scrubs()
    }

    fn damage(&self) -> DataDamage {
        self.inner.damage()
    }

    fn read_cache(&self) -> CacheUse {
        self.inner.read_cache()
    }

    fn watchers(&self) -> Vec<WatcherAt> {
        self.inner.watchers()
    }

    fn memory(&self) -> BTreeMap<&'static str, Held> {
        self.inner.memory()
    }

    fn compact(&self) -> Result<(), String> {
        self.inner.compact()
    }

    fn pool_counters(&self, id: i64) -> PoolUsage {
        self.inner.pool_counters(id)
    }

    fn reset_pool_counters(&self, id: i64) {
        self.inner.reset_pool_counters(id);
    }

    fn checks(&self) -> Vec<BackendCheck> {
        self.devices.checks()
    }
}
