//! Direct writes: large data that goes to the volume files, durably, before the journal names it. Several threads do it,
//! so that the disk has more than one such write to work on, while the journal goes on with what came before.
//!
//! A transaction's direct writes start when what they overwrite has reached the file, and the journal takes the transaction
//! when they are done. So they may reach the disk before older transactions are durable: as long as their own transaction is not
//! acknowledged, they may only overwrite what nothing else needs. Whoever submits sees to that.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    core::{Core, DataKind, Order, Queued},
    error::Result,
    transaction::Seq,
    volume::Volume,
};

/// Threads that write. More of them gain nothing on the disks measured.
pub(crate) const WRITERS: usize = 4;

/// The direct writes of one transaction, in its order.
pub(crate) struct DirectJob {
    seq: Seq,
    /// They must not overtake this transaction on its way to the file.
    after: Seq,
    writes: Vec<DirectWrite>,
}

struct DirectWrite {
    volume: Arc<Volume>,
    offset: u64,
    data: Bytes,
}

impl DirectJob {
    /// The direct writes of a transaction that has its place in the order, if it has any.
    pub(crate) fn of(queued: &Queued) -> Option<Self> {
        let writes = queued.data.iter().filter_map(|op| match &op.kind {
            DataKind::Direct { offset, data } => Some(DirectWrite {
                volume: Arc::clone(&op.volume),
                offset: *offset,
                data: data.clone(),
            }),
            _ => None,
        });
        Some(Self {
            seq: queued.seq,
            after: queued.direct_after?,
            writes: writes.collect(),
        })
    }

    fn write(&self, core: &Core) -> Result<()> {
        for write in &self.writes {
            if let Some(file) = core.volumes.file_or_create(&write.volume)? {
                write.volume.write_durable_at(&file, write.offset, &write.data)?;
            }
        }
        Ok(())
    }
}

/// One of the writing threads.
pub(crate) fn run_directs(core: &Core) {
    while let Some(job) = next_job(core) {
        match job.write(core) {
            Ok(()) => done(core, job.seq),
            Err(error) => core.fail("direct write", &error),
        }
    }
}

fn next_job(core: &Core) -> Option<DirectJob> {
    let mut order = core.order.lock();
    loop {
        if core.has_failed() || order.journal_ended {
            return None;
        }
        let applied = order.applied;
        if let Some(at) = order.directs.iter().position(|job| job.after <= applied) {
            return order.directs.remove(at);
        }
        core.direct_work.wait(&mut order);
    }
}

/// Lets the journal have the transaction.
fn done(core: &Core, seq: Seq) {
    let mut order = core.order.lock();
    order.written(seq);
    drop(order);
    core.work.notify_one();
    core.progress.notify_all();
}

impl Order {
    /// Notes that the direct writes of a transaction are done.
    fn written(&mut self, seq: Seq) {
        // The queue has consecutive numbers.
        let first = self.queue.front().map_or(seq, |tx| tx.seq);
        if let Some(tx) = self.queue.get_mut((seq - first) as usize) {
            tx.direct_after = None;
        }
    }
}
