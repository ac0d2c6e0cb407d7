//! Direct writes: large data that goes to the volume files, durably, before the journal names it. Several threads do it,
//! so that the disk has more than one such write to work on, while the journal goes on with what came before.
//!
//! A transaction's direct writes start when what they overwrite has reached the file, and the journal takes the transaction
//! when they are done. So they may reach the disk before older transactions are durable: as long as their own transaction is not
//! acknowledged, they may only overwrite what nothing else needs. Whoever submits sees to that.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::{
    core::{Core, DataKind, Queued},
    device::DEVICE_UNIT,
    error::{Context, Result},
    remote::{Clear, Remote},
    transaction::Seq,
    volume::Volume,
};

/// The direct writes of one transaction, in its order.
pub(crate) struct DirectJob {
    seq: Seq,
    /// They must not overtake what is up to this transaction on the way to the file,
    after: Seq,
    /// nor these.
    behind: Vec<Seq>,
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

    fn whole_blocks(&self, remote: &Remote) -> Result<(u64, Vec<Bytes>)> {
        let filled = remote.whole_blocks(self.offset, self.pieces.clone(), self.clear);
        filled.context(|| format!("read from {}", remote.record.place))
    }

    fn to_file(&self, core: &Core) -> Result<()> {
        if let Some(file) = core.volumes.file_or_create(&self.volume)? {
            for data in &self.pieces {
                self.volume.write_durable_at(&file, self.offset, data)?;
            }
        }
        Ok(())
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
            behind: queued.direct_behind.clone(),
            writes,
        })
    }

    /// Carries the writes out, or starts what is done later.
    fn run(mut self, core: &Arc<Core>) -> Result<()> {
        let seq = self.seq;
        let Some(last) = self.writes.pop() else {
            done(core, seq);
            return Ok(());
        };
        for write in self.writes {
            if let Some(remote) = write.volume.remote() {
                let (start, pieces) = write.whole_blocks(remote)?;
                let written = remote.device.write_at(start, pieces);
                written.context(|| format!("write to {}", remote.record.place))?;
            } else {
                write.to_file(core)?;
            }
        }
        // Most have but one, which needs no thread to wait for it.
        let Some(remote) = last.volume.remote() else {
            last.to_file(core)?;
            done(core, seq);
            return Ok(());
        };
        let (start, pieces) = last.whole_blocks(remote)?;
        let (core, volume) = (Arc::clone(core), Arc::clone(&last.volume));
        let written = move |written: io::Result<()>| {
            let place = || {
                volume
                    .remote()
                    .map_or_else(String::new, |remote| remote.record.place.clone())
            };
            match written.context(|| format!("write to {}", place())) {
                Ok(()) => done(&core, seq),
                Err(error) => core.fail("direct write", &error),
            }
        };
        remote.device.start_write(start, pieces, Box::new(written));
        Ok(())
    }
}

/// One of the writing threads.
pub(crate) fn run_directs(core: &Arc<Core>) {
    while let Some(job) = next_job(core) {
        if let Err(error) = job.run(core) {
            core.fail("direct write", &error);
        }
    }
}

fn next_job(core: &Core) -> Option<DirectJob> {
    let mut order = core.order.lock();
    loop {
        if core.has_failed() || order.journal_ended {
            return None;
        }
        let (applied, open) = (order.applied(), &order.open);
        let may_start =
            |job: &DirectJob| job.after <= applied && !job.behind.iter().any(|seq| open.contains(seq));
        if let Some(at) = order.directs.iter().position(may_start) {
            return order.directs.remove(at);
        }
        core.direct_work.wait(&mut order);
    }
}

/// Lets the journal have the transaction.
fn done(core: &Core, seq: Seq) {
    let mut order = core.order.lock();
    order.queue.written(seq);
    drop(order);
    core.work.notify_one();
    core.progress.notify_all();
}
