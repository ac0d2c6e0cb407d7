//! Direct writes: large data that goes to the volume files, durably, before the journal names it. Several threads do it,
//! so that the disk has more than one such write to work on, while the journal goes on with what came before.
//!
//! A transaction's direct writes start when what they overwrite has reached the file, and the journal takes the transaction
//! when they are done. So they may reach the disk before older transactions are durable: as long as their own transaction is not
//! acknowledged, they may only overwrite what nothing else needs. Whoever submits sees to that.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{
    core::{Core, DataKind, Order, Queued},
    device::DEVICE_UNIT,
    error::{Context, Result},
    options::BLOCK,
    remote::{Clear, Remote},
    sums::{encode, whole_blocks},
    transaction::{Op, Seq},
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
    /// Its index in [`Queued::ops`], and whether sums are wanted there.
    op: usize,
    sums: bool,
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

    /// Writes it. Returns the sums of its whole blocks, if they are wanted.
    fn to_file(&self, core: &Core) -> Result<Option<Bytes>> {
        let mut sums = Vec::new();
        let file = core.volumes.file_or_create(&self.volume)?;
        for data in &self.pieces {
            let len = data.len() as u64;
            if self.sums {
                let (first, end) = whole_blocks(self.offset, len);
                let whole = (first * BLOCK - self.offset) as usize..(end * BLOCK - self.offset) as usize;
                sums.extend(encode(&data[whole]));
            }
            // No file: the volume was deleted meanwhile.
            let Some(file) = &file else { continue };
            let odd = !self.offset.is_multiple_of(BLOCK) || !len.is_multiple_of(BLOCK);
            if odd && self.volume.sums.are_kept() {
                core.write_odd_direct(&self.volume, &**file, self.offset, data)?;
            } else {
                self.volume.write_durable_at(&**file, self.offset, data)?;
            }
        }
        Ok(self.sums.then(|| sums.into()))
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
            let sums = match queued.ops.get(op.op) {
                Some(Op::Direct { sums, .. }) => !sums.is_empty(),
                _ => false,
            };
            writes.push(DirectWrite {
                op: op.op,
                sums,
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

    /// Carries all writes out. Returns the sums that are wanted, each with the change that it belongs to.
    fn write(self, core: &Core) -> Result<Vec<(usize, Bytes)>> {
        let mut found = Vec::new();
        for write in self.writes {
            match write.volume.remote() {
                None => found.extend(write.to_file(core)?.map(|sums| (write.op, sums))),
                Some(remote) => {
                    let (start, pieces) = write.whole_blocks(remote)?;
                    let written = remote.device.write_at(start, pieces);
                    written.context(|| format!("write to {}", remote.record.place))?;
                }
            }
        }
        Ok(found)
    }

    /// The same, but what is last on a device is only started: most have but one write, which needs no thread to wait for it.
    fn run(mut self, core: &Arc<Core>) -> Result<()> {
        let seq = self.seq;
        let last = match self.writes.last() {
            Some(last) if last.volume.remote().is_some() => self.writes.pop(),
            _ => None,
        };
        let sums = self.write(core)?;
        let Some((remote, last)) = last.as_ref().and_then(|last| Some((last.volume.remote()?, last))) else {
            done(core, seq, sums);
            return Ok(());
        };
        let (start, pieces) = last.whole_blocks(remote)?;
        let (on, volume) = (Arc::clone(&core.writing).begin(core), Arc::clone(&last.volume));
        let written = move |written: io::Result<()>| {
            let core = on.core();
            let place = || {
                volume
                    .remote()
                    .map_or_else(String::new, |remote| remote.record.place.clone())
            };
            match written.context(|| format!("write to {}", place())) {
                Ok(()) => done(core, seq, Vec::new()),
                Err(error) => core.fail("direct write", &error),
            }
        };
        remote.device.start_write(start, pieces, Box::new(written));
        Ok(())
    }
}

/// How many writes devices were given and have not told the end of.
#[derive(Default)]
pub(crate) struct Writing {
    count: Mutex<usize>,
    none: Condvar,
}

/// What such a write holds. The store first, so that it is gone when the count says so.
struct Held {
    core: Arc<Core>,
    _counted: Counted,
}

impl Held {
    /// A closure that named the field would take it alone, and the count would end before the write.
    fn core(&self) -> &Core {
        &self.core
    }
}

struct Counted(Arc<Writing>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut count = self.0.count.lock();
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}

impl Writing {
    fn begin(self: Arc<Self>, core: &Arc<Core>) -> Held {
        *self.count.lock() += 1;
        Held {
            core: Arc::clone(core),
            _counted: Counted(self),
        }
    }

    /// Waits for the end of all, but not for ever: a store that failed leaves behind what a device does not end.
    pub(crate) fn wait(&self, limit: Duration) {
        let mut count = self.count.lock();
        self.none.wait_while_for(&mut count, |count| *count > 0, limit);
    }
}

/// One of the writing threads.
pub(crate) fn run_directs(core: &Arc<Core>) {
    while let Some(job) = next_job(core) {
        run(core, job);
    }
}

fn run(core: &Arc<Core>, job: DirectJob) {
    if let Err(error) = job.run(core) {
        core.fail("direct write", &error);
    }
}

/// Does one of the writes that may start, if there is any.
pub(crate) fn step(core: &Core) -> bool {
    let Some(job) = ready_job(&mut core.order.lock()) else {
        return false;
    };
    let seq = job.seq;
    match job.write(core) {
        Ok(sums) => done(core, seq, sums),
        Err(error) => core.fail("direct write", &error),
    }
    true
}

/// A write that may start.
fn ready_job(order: &mut Order) -> Option<DirectJob> {
    let (applied, open) = (order.applied(), &order.open);
    let may_start =
        |job: &DirectJob| job.after <= applied && !job.behind.iter().any(|seq| open.contains(seq));
    let at = order.directs.iter().position(may_start)?;
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
fn done(core: &Core, seq: Seq, sums: Vec<(usize, Bytes)>) {
    let mut order = core.order.lock();
    order.queue.written(seq, sums);
    drop(order);
    core.work.notify_one();
    core.progress.notify_all();
}
