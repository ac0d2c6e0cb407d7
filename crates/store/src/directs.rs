//! Direct writes: large data that goes to the volume files, durably, before the journal names it. Several threads do it,
//! so that the disk has more than one such write to work on, while the journal goes on with what came before. On devices no
//! thread waits: whoever makes a write possible starts it, and the device tells of its end.
//!
//! A transaction's direct writes start when what they overwrite has reached the file, and the journal takes the transaction
//! when they are done. So they may reach the disk before older transactions are durable: as long as their own transaction is not
//! acknowledged, they may only overwrite what nothing else needs. Whoever submits sees to that.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::AcqRel},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{
    core::{Core, DataKind, Order, Queued},
    device::DEVICE_UNIT,
    error::{Context, Result},
    fill,
    remote::{Clear, rounded},
    sums::{encode, is_whole_blocks, whole_part},
    transaction::{Op, Seq, Seqs},
    volume::Volume,
};

/// The direct writes of one transaction, in its order.
pub(crate) struct DirectJob {
    seq: Seq,
    /// They must not overtake what is up to this transaction on the way to the file,
    after: Seq,
    /// nor these.
    behind: Seqs,
    writes: VecDeque<DirectWrite>,
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

    /// Writes it to its file.
    fn to_file(&self, core: &Core) -> Result<Option<Bytes>> {
        let mut sums = Vec::new();
        let file = core.volumes.file_or_create(&self.volume)?;
        for data in &self.pieces {
            let len = data.len() as u64;
            if self.sums {
                sums.extend(encode(whole_part(self.offset, data)));
            }
            // No file: the volume was deleted meanwhile.
            let Some(file) = &file else { continue };
            if !is_whole_blocks(self.offset, len) && self.volume.sums.are_kept() {
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

    /// Carries it out, and waits for that. Returns the sums of its whole blocks, if they are wanted.
    fn write(self, core: &Core) -> Result<Option<Bytes>> {
        let Some(remote) = self.volume.remote() else {
            return self.to_file(core);
        };
        let filled = remote.whole_blocks(self.offset, self.pieces, self.clear);
        let (start, pieces) = filled.context(|| format!("read from {}", remote.record.place))?;
        let written = remote.device.write_at(start, pieces);
        written.context(|| format!("write to {}", remote.record.place))?;
        Ok(None)
    }

    /// Starts it; `then` is called when it is done, and the store fails if it cannot be.
    fn start(self, running: &Arc<Running>, then: impl FnOnce() + Send + 'static) {
        let (running, volume) = (Arc::clone(running), Arc::clone(&self.volume));
        let filled = move |filled: io::Result<(u64, Vec<Bytes>)>| {
            let Some(remote) = volume.remote() else { return };
            let (start, pieces) = match filled.context(|| format!("read from {}", remote.record.place)) {
                Ok(filled) => filled,
                Err(error) => return running.core.fail("direct write", &error),
            };
            let on = Arc::clone(&volume);
            let written = move |written: io::Result<()>| {
                let place = || on.remote().map_or("", |remote| &remote.record.place);
                match written.context(|| format!("write to {}", place())) {
                    Ok(()) => {
                        running.one_done();
                        then();
                    }
                    Err(error) => running.core.fail("direct write", &error),
                }
            };
            remote.device.start_write(start, pieces, Box::new(written));
        };
        fill::start(
            &self.volume,
            self.offset,
            self.pieces,
            self.clear,
            Box::new(filled),
        );
    }
}

impl DirectJob {
    /// The direct writes of a transaction that has its place in the order, if it has any.
    pub(crate) fn of(queued: &Queued) -> Option<Self> {
        let after = queued.direct_after?;
        let mut writes: VecDeque<DirectWrite> = VecDeque::new();
        for op in &queued.data {
            let DataKind::Direct { offset, data, clear } = &op.kind else {
                continue;
            };
            let last = writes.back_mut().filter(|_| op.volume.remote().is_some());
            if last.is_some_and(|last| last.join(&op.volume, *offset, data, *clear)) {
                continue;
            }
            let sums = match queued.ops.get(op.op) {
                Some(Op::Direct { sums, .. }) => !sums.is_empty(),
                _ => false,
            };
            writes.push_back(DirectWrite {
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
            let op = write.op;
            found.extend(write.write(core)?.map(|sums| (op, sums)));
        }
        Ok(found)
    }

    /// Starts all writes: at once, or one behind the other if any two touch the same block.
    fn start(mut self, core: &Arc<Core>) {
        let running = Arc::new(Running {
            core: Arc::clone(core),
            seq: self.seq,
            left: AtomicUsize::new(self.writes.len()),
            _counted: Writing::count(&core.writing),
        });
        if self.overlaps() {
            return start_in_turn(running, self.writes);
        }
        while let Some(write) = self.writes.pop_front() {
            write.start(&running, || {});
        }
    }

    fn overlaps(&self) -> bool {
        if self.writes.len() < 2 {
            return false;
        }
        let range = |write: &DirectWrite| {
            let (start, len) = rounded(write.offset, write.end() - write.offset);
            (write.volume.id, start, start + len)
        };
        let mut ranges: Vec<_> = self.writes.iter().map(range).collect();
        ranges.sort_unstable();
        ranges
            .iter()
            .zip(ranges.iter().skip(1))
            .any(|(a, b)| a.0 == b.0 && b.1 < a.2)
    }
}

fn start_in_turn(running: Arc<Running>, mut writes: VecDeque<DirectWrite>) {
    if let Some(first) = writes.pop_front() {
        let on = Arc::clone(&running);
        first.start(&running, move || start_in_turn(on, writes));
    }
}

/// A transaction whose writes were started. The store first, so that it is gone when the count says so.
struct Running {
    core: Arc<Core>,
    seq: Seq,
    /// Writes that are not done.
    left: AtomicUsize,
    _counted: Counted,
}

impl Running {
    fn one_done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            done(&self.core, self.seq, Vec::new());
        }
    }
}

/// How many transactions have writes that devices were given and have not told the end of.
#[derive(Default)]
pub(crate) struct Writing {
    count: Mutex<usize>,
    none: Condvar,
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
    fn count(this: &Arc<Self>) -> Counted {
        *this.count.lock() += 1;
        Counted(Arc::clone(this))
    }

    /// Waits for the end of all, but not for ever: a store that failed leaves behind what a device does not end.
    pub(crate) fn wait(&self, limit: Duration) {
        let mut count = self.count.lock();
        self.none.wait_while_for(&mut count, |count| *count > 0, limit);
    }
}

/// Direct writes that were not started yet.
#[derive(Default)]
pub(crate) struct Directs {
    /// Those that wait for nothing but what is before them on the way to the file.
    free: VecDeque<DirectJob>,
    /// The others, with how many they wait for.
    held: HashMap<Seq, (DirectJob, usize)>,
    /// Who waits for whom.
    behind: HashMap<Seq, Vec<Seq>>,
}

impl Directs {
    pub(crate) fn is_empty(&self) -> bool {
        self.free.is_empty()
    }

    /// Adds the writes of the newest transaction. `open`: what has not reached its files.
    pub(crate) fn add(&mut self, mut job: DirectJob, open: &BTreeSet<Seq>) {
        job.behind.retain(|seq| *seq != job.seq && open.contains(seq));
        job.behind.sort_unstable();
        job.behind.dedup();
        if job.behind.is_empty() {
            self.free.push_back(job);
            return;
        }
        for other in &job.behind {
            self.behind.entry(*other).or_default().push(job.seq);
        }
        let left = job.behind.len();
        self.held.insert(job.seq, (job, left));
    }

    /// A transaction has reached its files.
    pub(crate) fn applied(&mut self, seq: Seq) {
        // Most often nothing waits for anything, and each transaction asks.
        if self.behind.is_empty() {
            return;
        }
        for next in self.behind.remove(&seq).into_iter().flatten() {
            let Some((_, left)) = self.held.get_mut(&next) else {
                continue;
            };
            *left -= 1;
            if *left == 0 {
                self.free.extend(self.held.remove(&next).map(|(job, _)| job));
            }
        }
    }

    /// One that may start, now that everything up to `applied` has reached its files.
    fn take(&mut self, applied: Seq) -> Option<DirectJob> {
        let at = self.free.iter().position(|job| job.after <= applied)?;
        self.free.remove(at)
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
        Ok(sums) => done(core, seq, sums),
        Err(error) => core.fail("direct write", &error),
    }
}

/// Does one of the writes that may start, if there is any.
pub(crate) fn step(core: &Core) -> bool {
    let job = take(&mut core.order.lock());
    job.map(|job| run(core, job)).is_some()
}

/// Starts what may be, where that needs no threads. The caller does not hold the order.
pub(crate) fn start(core: &Arc<Core>) {
    while let Some(job) = take(&mut core.order.lock()) {
        if core.has_failed() {
            return;
        }
        job.start(core);
    }
}

/// A write that may start.
fn take(order: &mut Order) -> Option<DirectJob> {
    let applied = order.applied();
    order.directs.take(applied)
}

fn next_job(core: &Core) -> Option<DirectJob> {
    let mut order = core.order.lock();
    loop {
        if core.has_failed() || order.journal_ended {
            return None;
        }
        if let Some(job) = take(&mut order) {
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
