//! A session at the manager's port: clients open it, report, and send the commands they mean for the manager.

use std::sync::Arc;

use encoding::{
    Message, MessageType, RawMessage,
    messages::{MCommand, MCommandReply, MMgrClose, MMgrCommand, MMgrCommandReply, MMgrConfigure, MMgrOpen},
};
use msgr::Session;
use tokio::sync::mpsc;

use super::{asker, run::Asker, shared::MonShared};
use crate::cluster::caps::CommandService;

/// How often clients report, in seconds. Nothing is done with the reports; Ceph's default keeps them rare.
const REPORT_PERIOD: u32 = 5;

pub(super) struct MgrSession {
    shared: Arc<MonShared>,
    session: Arc<Session>,
    asker: Asker,
}

impl MgrSession {
    pub(super) fn new(shared: Arc<MonShared>, session: Arc<Session>) -> Self {
        let asker = asker::of(&session, CommandService::Mgr);
        Self {
            shared,
            session,
            asker,
        }
    }

    pub(super) async fn run(self, mut messages: mpsc::Receiver<RawMessage>) {
        while let Some(raw) = messages.recv().await {
            if let Err(error) = self.handle(&raw).await {
                tracing::warn!(peer = %self.session.peer().name, kind = ?raw.header.kind, %error, "bad message");
                self.session.close();
            }
        }
    }

    fn answer(&self, to: &RawMessage, message: &impl Message) {
        let raw = message.encode(self.session.peer().features);
        self.session.send(raw.with_tid(to.header.tid));
    }

    async fn handle(&self, raw: &RawMessage) -> encoding::codec::Result<()> {
        match raw.header.kind {
            MessageType::MGR_OPEN => {
                MMgrOpen::decode(raw)?;
                let configure = MMgrConfigure {
                    stats_period: REPORT_PERIOD,
                    ..MMgrConfigure::default()
                };
                self.answer(raw, &configure);
            }
            MessageType::MGR_CLOSE => self.answer(raw, &MMgrClose::decode(raw)?),
            MessageType::MGR_COMMAND => {
                let m = MMgrCommand::decode(raw)?;
                let (result, status, data) = asker::command(&self.shared, &self.asker, m.cmd, m.data).await;
                self.answer(raw, &MMgrCommandReply { result, status, data });
            }
            MessageType::COMMAND => {
                let m = MCommand::decode(raw)?;
                let (result, status, data) = asker::command(&self.shared, &self.asker, m.cmd, m.data).await;
                self.answer(raw, &MCommandReply { result, status, data });
            }
            MessageType::MGR_REPORT => {}
            other => tracing::debug!(kind = ?other, "the manager ignores a message"),
        }
        Ok(())
    }
}
