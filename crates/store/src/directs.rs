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
    device::DEVICE_UNIT,
    error::{Context, Result},
    remote::Clear,
    transaction::Seq,
    volume::Volume,
};

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
    /// One behind the other.
    pieces: Vec<Bytes>,
    clear: Clear,
}

impl DirectWrite {
    fn end(&self) -> u64 {
        self.offset + self.pieces.iter().map(|piece| piece.len() as u64).sum::<u64>()
    }

    /// Takes up a write that goes on where this one ends, if both meet at the border of a block.
    fn join(&mut self, volume: &Arc<Volume>, offset: u64, data: &Bytes, clear: Clear) -> bool {
        let joins = self.volume.id == volume.id && self.end() == offset && offset.is_multiple_of(DEVICE_UNIT);
        if joins {
            self.pieces.push(data.clone());
            self.clear.tail = clear.tail;
        }
        joins
    }
}

impl DirectJob {
    /// The direct writes of a transaction that has its place in the order, if it has any.
    pub(crate) fn of(queued: &Queued) -> Option<Self> {
        let after = queued.direct_after?;
        let mut writes: Vec<DirectWrite> = Vec::new();
        for op in &queued.data {
            let DataKind::Direct { offset, data, clear } = &op.kind else {
                continue;
            };
            let last = writes.last_mut().filter(|_| op.volume.remote().is_some());
            if last.is_some_and(|last| last.join(&op.volume, *offset, data, *clear)) {
                continue;
            }
            writes.push(DirectWrite {
                volume: Arc::clone(&op.volume),
                offset: *offset,
                pieces: vec![data.clone()],
                clear: *clear,
            });
        }
        Some(Self {
            seq: queued.seq,
            after,
            writes,
        })
    }

    fn write(self, core: &Core) -> Result<()> {
        for write in self.writes {
            if let Some(remote) = write.volume.remote() {
                remote
                    .write(write.offset, write.pieces, write.clear)
                    .context(|| format!("write to {}", remote.record.place))?;
                continue;
            }
            if let Some(file) = core.volumes.file_or_create(&write.volume)? {
                for data in &write.pieces {
                    write.volume.write_durable_at(&*file, write.offset, data)?;
                }
            }
        }
        Ok(())
    }
}

/// One of the writing threads.
pub(crate) fn run_directs(core: &Core) {
    while let Some(job) = next_job(core) {
        run(core, job);
    }
}

fn run(core: &Core, job: DirectJob) {
    let seq = job.seq;
    match job.write(core) {
        Ok(()) => done(core, seq),
        Err(error) => core.fail("direct write", &error),
    }
}

/// Does one of the writes that may start, if there is any.
pub(crate) fn step(core: &Core) -> bool {
    let job = ready_job(&mut core.order.lock());
    job.map(|job| run(core, job)).is_some()
}

/// A write that may start.
fn ready_job(order: &mut Order) -> Option<DirectJob> {
    let at = order.directs.iter().position(|job| job.after <= order.applied)?;
    order.directs.remove(at)
}

fn next_job(core: &Core) -> Option<DirectJob> {
    let mut order = core.order.lock();
    loop {
        if core.has_failed() || order.journal_ended {
            return None;
        }
        if let Some(job) = ready_job(&mut order) {
            return Some(job);
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
