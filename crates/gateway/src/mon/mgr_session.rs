//! A session at the manager's port: clients open it, report, and send the commands they mean for the manager.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use encoding::{
    Message, MessageType, RawMessage,
    messages::{
        MCommand, MCommandReply, MMgrClose, MMgrCommand, MMgrCommandReply, MMgrConfigure, MMgrOpen,
        MMgrReport,
    },
    types::{Utime, Uuid},
};
use msgr::Session;
use tokio::sync::mpsc;

use super::{asker, inbox::Held, run::Asker, services::ServiceDaemon, shared::MonShared};
use crate::cluster::{MGR_NAME, caps::CommandService};

/// How often clients report, in seconds: Ceph's default (`mgr_stats_period`). Their counters are not kept.
const REPORT_PERIOD: u32 = 5;

pub(super) struct MgrSession {
    shared: Arc<MonShared>,
    session: Arc<Session>,
    asker: Asker,
    /// Names the session to the register of service daemons.
    id: u64,
}

impl MgrSession {
    pub(super) fn new(shared: Arc<MonShared>, session: Arc<Session>) -> Self {
        let asker = asker::of(&session, CommandService::Mgr);
        let id = shared.next_session();
        Self {
            shared,
            session,
            asker,
            id,
        }
    }

    pub(super) async fn run(self, mut messages: mpsc::Receiver<Held>) {
        while let Some((_charge, raw)) = messages.recv().await {
            if let Err(error) = self.handle(&raw).await {
                tracing::warn!(peer = %self.session.peer().name, kind = ?raw.header.kind, %error, "bad message");
                self.session.close();
            }
        }
        self.shared.services().closed(self.id);
    }

    /// The service that a daemon names, or what it is.
    fn service(&self, named: &str) -> String {
        match named {
            "" => self.session.peer().name.kind.to_string(),
            named => named.to_owned(),
        }
    }

    /// A daemon of a service introduces itself; other clients are not shown.
    fn opened(&self, message: MMgrOpen) {
        let Some((metadata, status)) = message.service_daemon else {
            return;
        };
        let now = Utime::from_system_time(SystemTime::now());
        let peer = self.session.peer();
        let daemon = ServiceDaemon {
            session: self.id,
            gid: peer.global_id,
            addrs: peer.addrs.clone(),
            since: now,
            epoch: 0,
            metadata,
            status,
            status_at: now,
            tasks: BTreeMap::new(),
        };
        let service = self.service(&message.service_name);
        self.shared
            .services()
            .opened(&service, &message.daemon_name, daemon);
    }

    fn answer(&self, to: &RawMessage, message: &impl Message) {
        let raw = message.encode(self.session.peer().features);
        self.session.send(raw.with_tid(to.header.tid));
    }

    async fn handle(&self, raw: &RawMessage) -> encoding::codec::Result<()> {
        match raw.header.kind {
            MessageType::MGR_OPEN => {
                self.opened(MMgrOpen::decode(raw)?);
                let configure = MMgrConfigure {
                    stats_period: REPORT_PERIOD,
                    ..MMgrConfigure::default()
                };
                self.answer(raw, &configure);
            }
            MessageType::MGR_CLOSE => {
                let message = MMgrClose::decode(raw)?;
                self.shared.services().closed(self.id);
                self.answer(raw, &message);
            }
            MessageType::MGR_COMMAND => {
                let m = MMgrCommand::decode(raw)?;
                let (result, status, data) = asker::command(&self.shared, &self.asker, m.cmd, m.data).await;
                self.answer(raw, &MMgrCommandReply { result, status, data });
            }
            MessageType::COMMAND => {
                let m = MCommand::decode(raw)?;
                // Clients before Octopus send what is meant for the manager's modules this way, too, and name no cluster then
                // (`DaemonServer::_handle_command`).
                let (result, status, data) = if m.fsid == Uuid::default() {
                    asker::command(&self.shared, &self.asker, m.cmd, m.data).await
                } else {
                    let name = format!("mgr.{MGR_NAME}");
                    asker::tell(&self.shared, &self.asker, name, m.cmd, m.data).await
                };
                self.answer(raw, &MCommandReply { result, status, data });
            }
            MessageType::MGR_REPORT => {
                let m = MMgrReport::decode(raw)?;
                let service = self.service(&m.service_name);
                let tasks = m.task_status()?;
                self.shared
                    .services()
                    .reported(&service, &m.daemon_name, m.daemon_status, tasks);
            }
            other => tracing::debug!(kind = ?other, "the manager ignores a message"),
        }
        Ok(())
    }
}
