//! Which methods a request called, for its reply, which has only the op codes.

use std::collections::BTreeMap;

use encoding::{Message, MessageType, RawMessage, messages::MOsdOp, types::OpCode};

/// Requests without answer that are remembered of a connection; the oldest are forgotten.
const MAX_REQUESTS: usize = 4096;

/// Methods called, by transaction id.
#[derive(Default)]
pub(super) struct Calls(BTreeMap<u64, Vec<Option<String>>>);

impl Calls {
    /// Remembers what a request calls; for a reply, what its request called.
    pub(super) fn of(&mut self, message: &RawMessage) -> Vec<Option<String>> {
        match message.header.kind {
            MessageType::OSD_OP => {
                self.remember(message);
                Vec::new()
            }
            MessageType::OSD_OPREPLY => self.0.remove(&message.header.tid).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn remember(&mut self, message: &RawMessage) {
        let Ok(request) = MOsdOp::decode(message) else {
            return;
        };
        if !request.ops.iter().any(|op| op.op == OpCode::CALL) {
            return;
        }
        let name =
            |op: &encoding::types::OsdOp| op.cls_call().ok().map(|c| format!("{}.{}", c.class, c.method));
        self.0
            .insert(message.header.tid, request.ops.iter().map(name).collect());
        if self.0.len() > MAX_REQUESTS {
            self.0.pop_first();
        }
    }
}
