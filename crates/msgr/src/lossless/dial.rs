//! A session from the side that connects.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Attachment, Link, Phase};

/// Counts the connections of this process to anybody, so that a newer one to the same peer is told from an older.
static GLOBAL_SEQ: AtomicU64 = AtomicU64::new(0);

/// The count of the next connection, beyond what a peer says it has seen.
pub(crate) fn next_global_seq(beyond: u64) -> u64 {
    GLOBAL_SEQ.fetch_max(beyond, Ordering::Relaxed);
    GLOBAL_SEQ.fetch_add(1, Ordering::Relaxed) + 1
}

impl Link {
    /// A transport of ours connects for this session.
    pub(crate) fn dial(self: &Arc<Self>) -> Attachment {
        self.take_over(&mut self.state(), Phase::Dialling)
    }

    /// What was queued, for a session that turns out to be lossy; this one is over.
    pub(crate) fn into_queue(self: &Arc<Self>) -> Vec<encoding::RawMessage> {
        let attachment = self.dial();
        let mut all = Vec::new();
        let mut sent = 0;
        while let Some(batch) = attachment.batch(sent, false) {
            sent = batch.first + batch.messages.len() as u64 - 1;
            all.extend(batch.messages);
        }
        self.close();
        all
    }
}
