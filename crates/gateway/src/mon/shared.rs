//! What all of the monitor's and the manager's sessions share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding::{features::Features, messages::LogEntry};
use parking_lot::Mutex;

use super::services::Services;
use crate::cluster::{ALLOW_DELETE, Cluster};

/// How many entries of the cluster's log are kept.
const LOG_ENTRIES: usize = 1000;

/// What all sessions share.
pub struct MonShared {
    cluster: Arc<Cluster>,
    clients: Mutex<BTreeMap<Features, u64>>,
    log: Mutex<VecDeque<LogEntry>>,
    services: Services,
    next_session: AtomicU64,
}

impl MonShared {
    /// For the monitor and the manager of one cluster.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            clients: Mutex::default(),
            log: Mutex::default(),
            services: Services::default(),
            next_session: AtomicU64::new(1),
        })
    }

    /// The state of the cluster.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Whether pools may be deleted.
    #[must_use]
    pub fn pools_deletable(&self) -> bool {
        self.cluster.option_bool(ALLOW_DELETE)
    }

    /// The daemons of services.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// A number for a session of the manager, never used again.
    pub(super) fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
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
