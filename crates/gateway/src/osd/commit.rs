//! Answering a request once its change is durable.

use std::sync::Arc;

use super::{Osd, reply_log::Recorded, request::PendingOp};

/// What a request changed.
#[derive(Debug)]
pub(super) struct Commit {
    osd: Arc<Osd>,
    recorded: Recorded,
    epoch: u32,
    /// Bytes that it wrote.
    written: u64,
}

impl Osd {
    /// Answers a request when transaction `seq` is durable, or refuses it.
    pub(super) fn reply_when_durable(
        self: &Arc<Self>,
        mut op: Box<PendingOp>,
        recorded: Recorded,
        seq: store::Seq,
        epoch: u32,
        written: u64,
    ) {
        op.commit = Some(Commit {
            osd: Arc::clone(self),
            recorded,
            epoch,
            written,
        });
        self.objects.store().tell_alone(seq, op);
    }
}

impl store::Waiter for PendingOp {
    fn told(mut self: Box<Self>, durable: store::Result<()>) {
        // Only what was committed waits; anything else has the client ask again.
        let Some(commit) = self.commit.take() else {
            return self.session.close();
        };
        let Commit {
            osd,
            recorded,
            epoch,
            written,
        } = commit;
        match durable {
            Ok(()) => {
                self.tracked.committed();
                osd.image_stats.count(&self, written, 0);
                let reply = self.write_reply(&recorded, epoch);
                self.session.send_gathered(reply);
            }
            Err(error) => {
                let errno = osd.write_failed(&self.object_id(), &error);
                osd.refuse(&self, errno, epoch);
            }
        }
    }
}
