//! What all of the monitor's and the manager's sessions share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use encoding::{features::Features, messages::LogEntry};
use parking_lot::Mutex;

use crate::cluster::Cluster;

/// How many entries of the cluster's log are kept.
const LOG_ENTRIES: usize = 1000;

/// What all sessions share.
pub struct MonShared {
    cluster: Arc<Cluster>,
    clients: Mutex<BTreeMap<Features, u64>>,
    log: Mutex<VecDeque<LogEntry>>,
}

impl MonShared {
    /// For the monitor and the manager of one cluster.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            clients: Mutex::default(),
            log: Mutex::default(),
        })
    }

    /// The state of the cluster.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Whether pools may be deleted: the option `mon_allow_pool_delete`, true unless set.
    #[must_use]
    pub fn pools_deletable(&self) -> bool {
        let options = self.cluster.config_of("mon.a");
        options
            .get("mon_allow_pool_delete")
            .is_none_or(|v| matches!(v.as_str(), "true" | "1" | "yes" | "on"))
    }

    /// A client of those features has connected.
    pub(super) fn client_came(&self, features: Features) {
        self.cluster.session_opened();
        *self.clients.lock().entry(features).or_default() += 1;
    }

    /// It has gone.
    pub(super) fn client_went(&self, features: Features) {
        self.cluster.session_closed();
        let mut clients = self.clients.lock();
        if let Some(n) = clients.get_mut(&features) {
            *n = n.saturating_sub(1);
        }
        clients.retain(|_, n| *n > 0);
    }

    /// How many clients of which features are connected.
    #[must_use]
    pub fn clients(&self) -> BTreeMap<Features, u64> {
        self.clients.lock().clone()
    }

    /// Keeps entries of the cluster's log.
    pub(super) fn log(&self, entries: impl IntoIterator<Item = LogEntry>) {
        let mut log = self.log.lock();
        log.extend(entries);
        let surplus = log.len().saturating_sub(LOG_ENTRIES);
        log.drain(..surplus);
    }

    /// The last entries of the cluster's log, oldest first.
    #[must_use]
    pub fn last_log(&self, wanted: impl Fn(&LogEntry) -> bool, n: usize) -> Vec<LogEntry> {
        let log = self.log.lock();
        let mut out: Vec<_> = log.iter().rev().filter(|e| wanted(e)).take(n).cloned().collect();
        out.reverse();
        out
    }
}

impl std::fmt::Debug for MonShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MonShared").finish_non_exhaustive()
    }
}
