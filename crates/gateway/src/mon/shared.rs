//! What all of the monitor's and the manager's sessions share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use encoding::features::Features;
use msgr::Session;

use super::{
    log::Log,
    services::Services,
    sessions::{Connected, MonSessions},
};
use crate::{
    cluster::{ALLOW_DELETE, Cluster},
    rbd_support::RbdSupport,
};

/// What all sessions share.
pub struct MonShared {
    cluster: Arc<Cluster>,
    sessions: MonSessions,
    log: Log,
    services: Services,
    /// Not there in a monitor without OSDs.
    rbd_support: OnceLock<Arc<RbdSupport>>,
    next_session: AtomicU64,
}

impl MonShared {
    /// For the monitor and the manager of one cluster.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            sessions: MonSessions::default(),
            log: Log::new(SystemTime::now()),
            services: Services::default(),
            rbd_support: OnceLock::new(),
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

    /// Gives the manager its module `rbd_support`.
    pub fn set_rbd_support(&self, module: Arc<RbdSupport>) {
        // There is one.
        let _ = self.rbd_support.set(module);
    }

    /// The manager's module `rbd_support`.
    #[must_use]
    pub fn rbd_support(&self) -> Option<&Arc<RbdSupport>> {
        self.rbd_support.get()
    }

    /// A number for a session of the manager, never used again.
    pub(super) fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// A client has connected.
    pub(super) fn client_came(&self, session: &Arc<Session>) -> Arc<Connected> {
        self.cluster.session_opened();
        self.sessions.opened(session)
    }

    /// It has gone.
    pub(super) fn client_went(&self, session: &Session) {
        self.cluster.session_closed();
        self.sessions.closed(session);
    }

    /// How many clients of which features are connected.
    #[must_use]
    pub fn clients(&self) -> BTreeMap<Features, u64> {
        self.sessions.features()
    }

    /// The connected clients.
    pub(super) const fn sessions(&self) -> &MonSessions {
        &self.sessions
    }

    /// The cluster's log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }
}

impl std::fmt::Debug for MonShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MonShared").finish_non_exhaustive()
    }
}
