//! The two faces towards the messenger: the monitor's port and the manager's.

use std::sync::Arc;

use encoding::RawMessage;
use msgr::{Dispatcher, Session};

use crate::cluster::Entrance;

use super::{inbox, mgr_session::MgrSession, mon_session::MonSession, shared::MonShared};

/// What the monitor does with its sessions. Must run inside a tokio runtime.
#[derive(Debug, Clone)]
pub struct MonDispatcher {
    shared: Arc<MonShared>,
    entrance: Entrance,
}

impl MonDispatcher {
    /// For the monitor's port at an entrance.
    #[must_use]
    pub const fn new(shared: Arc<MonShared>, entrance: Entrance) -> Self {
        Self { shared, entrance }
    }
}

impl Dispatcher for MonDispatcher {
    fn on_ready(&self, session: &Arc<Session>) {
        let messages = inbox::open(session);
        let mon_session = MonSession::new(self.shared.clone(), self.entrance.clone(), session.clone());
        tokio::spawn(mon_session.run(messages));
    }

    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        inbox::put(session, message);
    }

    fn on_closed(&self, session: &Arc<Session>) {
        inbox::close(session);
    }
}

/// What the manager does with its sessions. Must run inside a tokio runtime.
#[derive(Debug, Clone)]
pub struct MgrDispatcher {
    shared: Arc<MonShared>,
}

impl MgrDispatcher {
    /// For the manager's port.
    #[must_use]
    pub const fn new(shared: Arc<MonShared>) -> Self {
        Self { shared }
    }
}

impl Dispatcher for MgrDispatcher {
    fn on_ready(&self, session: &Arc<Session>) {
        let messages = inbox::open(session);
        tokio::spawn(MgrSession::new(self.shared.clone(), session.clone()).run(messages));
    }

    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        inbox::put(session, message);
    }

    fn on_closed(&self, session: &Arc<Session>) {
        inbox::close(session);
    }
}
