//! The store's threads: transactions go through the journal, then to the volume files, then into a checkpoint.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    around::checkpoint_around,
    core::{Core, DataKind, Live, Order, Queued},
    directs,
    error::{Result, StoreError},
    failure::EndsWithPanic,
    journal::{Journal, place},
    kv::Superblock,
    layer::Layer,
    options::BLOCK,
    record::{HEADER, Size},
    regions,
    sums::{self, BlockSums},
    transaction::{Op, Seq},
    write_back,
};

/// A checkpoint does without a transaction that has waited for its device for so long.
const STUCK: Duration = Duration::from_millis(500);
/// How many transactions the apply thread takes before it reports progress.
const APPLY_CHUNK: usize = 64;
/// Fewer of them wait so long for more: who reads meanwhile finds the data in memory, and a thread that is woken for each costs more
/// than its work.
const LINGER: Duration = Duration::from_millis(2);
/// So many writes of the journal for one transaction each show that requests come one at a time.
const ALONE: u32 = 16;
/// A disk is quick if a durable write takes less.
const QUICK: Duration = Duration::from_micros(300);

/// The first stage: makes transactions durable, as many as are waiting with one write.
pub(crate) fn run_journal(core: &Arc<Core>) {
    while wait_for_batch(core) {
        let mut journal = core.journal.lock();
        let Some(journal) = &mut *journal else { break };
        if !journal_batch(core, journal) {
            break;
        }
    }
    core.order.lock().journal_ended = true;
    core.callbacks.end();
    core.direct_work.notify_all();
    core.apply_work.notify_all();
}

/// Waits for something that the journal may take. False: there is nothing any more.
fn wait_for_batch(core: &Core) -> bool {
    let mut order = core.order.lock();
    loop {
        if core.has_failed() {
            return false;
        }
        if order.queue.has_ready(order.barrier) {
            return true;
        }
        // What another thread journals is still to be applied.
        if order.queue.is_empty() && order.closing && !order.journaling {
            return false;
        }
        core.work.wait(&mut order);
    }
}

/// Journals what waits, by whoever holds the journal. False: the store has failed.
fn journal_batch(core: &Arc<Core>, journal: &mut Journal) -> bool {
    let batch = take_batch(core, &mut core.order.lock());
    if batch.is_empty() {
        return true;
    }
    let done = commit(core, journal, batch).and_then(|left| apply_chunk(core, &left));
    if let Err(error) = done {
        core.fail("journal", &error);
        return false;
    }
    if core.without_threads() {
        directs::start(core);
    }
    true
}

/// Journals a transaction that waits alone, on the thread that submitted it: waking another one for it takes a third of the time
/// that a quick disk needs. False: the journal's thread has to do it, because it is at work, or others wait too or did so lately (the
/// thread that submits has more to do then than to wait for the disk), or the disk is slow.
pub(crate) fn journal_alone(core: &Arc<Core>) -> bool {
    if !core.options.journal_alone {
        return false;
    }
    let Some(mut journal) = core.journal.try_lock() else {
        return false;
    };
    let Some(journal) = &mut *journal else {
        return false;
    };
    let alone = {
        let order = core.order.lock();
        let nothing_else = order.queue.len() == 1 && order.queue.has_ready(order.barrier);
        nothing_else && order.alone >= ALONE && order.write_took < QUICK
    };
    if alone {
        let _ends = EndsWithPanic {
            core,
            what: "journal",
        };
        journal_batch(core, journal);
    }
    alone
}

/// Makes one batch durable, if there is any that is ready.
pub(crate) fn step_journal(core: &Core, journal: &mut Journal) -> Result<bool> {
    let batch = take_batch(core, &mut core.order.lock());
    if batch.is_empty() {
        return Ok(false);
    }
    let left = commit(core, journal, batch)?;
    apply_chunk(core, &left)?;
    Ok(true)
}

/// The transactions that one journal write takes; none if none is ready.
fn take_batch(core: &Core, order: &mut Order) -> Vec<Queued> {
    let barrier = order.barrier;
    let batch = order.queue.take(barrier, core.options.max_batch());
    order.journaling = !batch.is_empty();
    batch
}

/// Returns what has only to be noted as applied: on devices there is nothing to be written any more.
fn commit(core: &Core, journal: &mut Journal, mut batch: Vec<Queued>) -> Result<Vec<Queued>> {
    let size: Size = batch.iter().map(|tx| tx.size).sum();
    let promised: u64 = batch.iter().map(Queued::cost).sum();
    // The space was promised at submission, and only this thread moves the head.
    let (head, journaled) = {
        let order = core.order.lock();
        (order.head, order.journaled)
    };
    let (first, last) = (journaled + 1, journaled + batch.len() as u64);
    let done: Vec<Seq> = batch.iter().map(|tx| tx.seq).collect();
    let pos = place(head, size.batch_len(), core.options.journal_bytes);
    let begun = Instant::now();
    journal.write(pos, first, size, batch.iter().map(|tx| &tx.ops[..]))?;
    let took = begun.elapsed();
    core.pace.note(size.batch_len(), took);
    let (wakes_apply, busy);
    {
        let mut order = core.order.lock();
        order.head = pos + size.batch_len();
        order.promised -= promised;
        order.journaled = last;
        order.journaling = false;
        order.live.push_back(Live { last, pos });
        if !core.without_threads() {
            order.apply_now |= batch.iter().any(|tx| tx.direct_bytes > 0);
            order.to_apply.extend(batch.drain(..));
        }
        wakes_apply = !order.apply_lingers || order.is_worth_applying();
        order.last_batch = Instant::now();
        order.alone = if done.len() == 1 {
            order.alone.saturating_add(1)
        } else {
            0
        };
        order.write_took = (order.write_took * 3 + took) / 4;
        busy = order.queue.has_ready(order.barrier);
        if order.closing {
            core.work.notify_one();
        }
        let full = order.head - order.tail > core.options.checkpoint_from() && !order.checkpointing;
        if full || core.meta.dirty_bytes() > core.options.meta_dirty_bytes {
            order.checkpoint_wanted = true;
            core.checkpoint_work.notify_one();
        }
    }
    core.callbacks.run(core.waiters.advance(&done), busy);
    if batch.is_empty() {
        if wakes_apply {
            core.apply_work.notify_one();
        }
        core.progress.notify_all();
    }
    Ok(batch)
}

impl Order {
    /// Whether there is so much to apply, or such that somebody waits for it, that it should be begun.
    fn is_worth_applying(&self) -> bool {
        !self.to_apply.is_empty()
            && (self.to_apply.len() >= APPLY_CHUNK || self.apply_now || self.journal_ended)
    }

    /// Somebody waits for all that is there to be applied.
    pub(crate) fn apply_at_once(&mut self, core: &Core) {
        if !self.open.is_empty() {
            self.apply_now = true;
            core.apply_work.notify_one();
        }
    }

    /// Somebody waits for a checkpoint, and asks again at each [`Core::progress`] until it is made. Not while one is being made, or another
    /// would follow the one that was asked for.
    pub(crate) fn want_checkpoint(&mut self, core: &Core) {
        if !self.checkpointing {
            self.checkpoint_wanted = true;
            core.checkpoint_work.notify_one();
        }
    }
}

/// The second stage: writes journaled data to the volume files.
pub(crate) fn run_apply(core: &Core) {
    while let Some(chunk) = next_chunk(core) {
        if let Err(error) = apply_chunk(core, &chunk) {
            core.fail("volume write", &error);
        }
    }
    core.order.lock().apply_ended = true;
    core.checkpoint_work.notify_all();
}

/// Waits for something to apply. None: there is nothing any more.
fn next_chunk(core: &Core) -> Option<Vec<Queued>> {
    let mut order = core.order.lock();
    let mut until = Instant::now() + LINGER;
    loop {
        if core.has_failed() || (order.to_apply.is_empty() && order.journal_ended) {
            return None;
        }
        if order.is_worth_applying() {
            break;
        }
        order.apply_lingers = true;
        let over = core.apply_work.wait_until(&mut order, until).timed_out();
        order.apply_lingers = false;
        if over && !order.to_apply.is_empty() {
            break;
        }
        if over && !core.has_failed() && !order.journal_ended {
            core.apply_work.wait(&mut order);
            until = Instant::now() + LINGER;
        }
    }
    let count = order.to_apply.len().min(APPLY_CHUNK);
    let chunk = order.to_apply.drain(..count).collect();
    order.apply_now &= !order.to_apply.is_empty();
    Some(chunk)
}

/// Applies one transaction, if any waits for it.
pub(crate) fn step_apply(core: &Core) -> Result<bool> {
    let next = core.order.lock().to_apply.pop_front();
    match next {
        Some(tx) => apply_chunk(core, &[tx]).map(|()| true),
        None => Ok(false),
    }
}

fn apply_chunk(core: &Core, chunk: &[Queued]) -> Result<()> {
    if chunk.is_empty() {
        return Ok(());
    }
    chunk.iter().try_for_each(|tx| apply(core, tx))?;
    {
        let mut order = core.order.lock();
        for tx in chunk {
            order.open.remove(&tx.seq);
            order.directs.applied(tx.seq);
        }
        order.direct_bytes -= chunk.iter().map(|tx| tx.direct_bytes).sum::<u64>();
        if !order.directs.is_empty() {
            core.direct_work.notify_all();
        }
    }
    core.progress.notify_all();
    core.relieve_sums()
}

fn apply(core: &Core, tx: &Queued) -> Result<()> {
    for op in &tx.data {
        let volume = &op.volume;
        match &op.kind {
            DataKind::Journaled { offset, data } => {
                if let Some(file) = core.volumes.file_or_create(volume)? {
                    let sums = match tx.ops.get(op.op) {
                        Some(Op::Write { sums, .. }) => sums::decode(sums).collect(),
                        _ => BlockSums::new(),
                    };
                    core.settle_write(volume, &*file, *offset, data, sums)?;
                    write_back::note(core, volume, *offset, data.len() as u64);
                }
            }
            DataKind::Direct { offset, data, .. } => {
                if let Some(Op::Direct { sums, .. }) = tx.ops.get(op.op) {
                    core.settle_direct(volume, *offset, data.len() as u64, sums)?;
                }
            }
            // The volume's map says it.
            DataKind::Discard { .. } if volume.remote().is_some() => {}
            DataKind::Discard { offset, len } => {
                if let Some(file) = core.volumes.file(volume)? {
                    core.settle_discard(volume, &*file, *offset, *len)?;
                    write_back::note(core, volume, *offset, 0);
                }
            }
            DataKind::Delete => match volume.remote() {
                Some(remote) => core.reclaim.doom(volume.id, Arc::clone(&remote.device)),
                None => {
                    volume.unlink()?;
                    core.sums.forget(volume.id);
                    core.damaged.forget(volume.id, 0, u64::MAX);
                    core.regions.forget(volume.id);
                    core.scrubber.forget(volume.id);
                }
            },
        }
    }
    // Not before: what one change put over the file must stay there until all changes of the transaction are in the
    // file, or a reader could see a range discarded that the same transaction writes.
    for op in &tx.data {
        let (offset, len) = match &op.kind {
            DataKind::Journaled { offset, data } => (*offset, data.len() as u64),
            DataKind::Direct { offset, data, .. } => op.reach(*offset, data.len() as u64),
            DataKind::Discard { offset, len } => (*offset, *len),
            DataKind::Delete => continue,
        };
        op.volume.pending.write().applied(offset, len, tx.seq);
    }
    if !tx.emptied.is_empty() {
        core.reclaim.pages_emptied(&tx.emptied, |id| {
            let volume = core.volumes.get(id).ok();
            let remote = volume.as_ref().and_then(|volume| volume.remote());
            remote.map_or(0, |remote| remote.device.segment())
        });
    }
    Ok(())
}

/// The third stage: from time to time, makes the journal so far superfluous.
pub(crate) fn run_checkpoints(core: &Core) {
    while let Some(kind) = wait_for_checkpoint(core) {
        let made = match kind {
            Kind::Whole => checkpoint(core),
            Kind::Around => checkpoint_around(core),
        };
        if let Err(error) = made {
            core.fail("checkpoint", &error);
        }
    }
    if !core.has_failed()
        && let Err(error) = close(core)
    {
        core.fail("close", &error);
    }
    // Whoever waits for what will not come any more is told why: this may be here before what has failed tells it.
    let why = core.check_failed().err().unwrap_or(StoreError::Closed);
    core.waiters.end(why);
    core.progress.notify_all();
}

/// Whether a transaction waits for its device for long.
pub(crate) fn is_stuck(order: &Order) -> bool {
    let oldest = order.queue.oldest();
    oldest.is_some_and(|since| since.elapsed() >= STUCK)
}

/// What a checkpoint takes up.
enum Kind {
    /// Everything that was submitted.
    Whole,
    /// What is in the journal: other transactions wait for a device.
    Around,
}

/// Returns none when there is nothing left to do for good.
fn wait_for_checkpoint(core: &Core) -> Option<Kind> {
    let idle = core.options.idle_checkpoint;
    let mut order = core.order.lock();
    loop {
        let clean = order.checkpointed == order.submitted;
        if core.has_failed() || (order.apply_ended && clean) {
            return None;
        }
        // What waits for a device may wait for long, and a checkpoint would wait with it and hold up the rest.
        let stuck = is_stuck(&order);
        if stuck && order.checkpoint_wanted {
            return Some(Kind::Around);
        }
        if stuck {
            core.checkpoint_work.wait_for(&mut order, STUCK);
            continue;
        }
        if !clean && (order.checkpoint_wanted || order.apply_ended || order.last_batch.elapsed() >= idle) {
            return Some(Kind::Whole);
        }
        // Not woken by every batch: looks again by itself when the store may have become idle.
        let left = if clean {
            idle
        } else {
            idle.saturating_sub(order.last_batch.elapsed())
        };
        core.checkpoint_work.wait_for(&mut order, left);
    }
}

fn checkpoint(core: &Core) -> Result<()> {
    let begun = Checkpoint::begin(core);
    // Nothing may reach the metadata that is not in the journal: a transaction would be there in part.
    if !wait_applied(core, begun.seq) {
        core.check_failed()?;
        begun.abandon(core);
        return Ok(());
    }
    begun.finish(core)
}

/// A checkpoint that is being made.
pub(crate) struct Checkpoint {
    started: Instant,
    /// It takes up everything up to this transaction, which must have reached its files before it can end.
    pub(crate) seq: Seq,
    frozen: Arc<Layer>,
}

impl Checkpoint {
    pub(crate) fn begin(core: &Core) -> Self {
        let mut order = core.order.lock();
        order.checkpoint_wanted = false;
        order.checkpointing = true;
        order.barrier = Some(order.submitted);
        order.apply_at_once(core);
        Self {
            started: Instant::now(),
            seq: order.submitted,
            frozen: core.meta.freeze(),
        }
    }

    /// A device makes it wait: later, then.
    fn abandon(self, core: &Core) {
        core.meta.unfreeze(self.frozen);
        let mut order = core.order.lock();
        order.barrier = None;
        order.checkpointing = false;
        order.checkpoint_wanted = true;
        drop(order);
        core.work.notify_one();
    }

    pub(crate) fn finish(self, core: &Core) -> Result<()> {
        let Self { started, seq, frozen } = self;
        core.order.lock().barrier = None;
        core.work.notify_one();
        finish_checkpoint(core, seq, &frozen)?;
        tracing::debug!(
            seq,
            bytes = frozen.bytes(),
            ms = started.elapsed().as_millis() as u64,
            "checkpoint"
        );
        Ok(())
    }
}

fn finish_checkpoint(core: &Core, seq: Seq, frozen: &Layer) -> Result<()> {
    write_back::sync_volumes(core)?;
    core.sync_sums()?;
    let superblock = superblock(core, seq);
    core.kv.commit(frozen, &superblock)?;
    core.meta.thaw(core.kv.snapshot()?);
    {
        let mut order = core.order.lock();
        while order.live.front().is_some_and(|live| live.last <= seq) {
            order.live.pop_front();
        }
        order.checkpointed = seq;
        order.checkpointing = false;
        order.checkpoints += 1;
        order.tail = superblock.journal_pos;
    }
    core.progress.notify_all();
    Ok(())
}

/// The superblock of a checkpoint that has taken up everything up to `seq`.
fn superblock(core: &Core, seq: Seq) -> Superblock {
    Superblock {
        sums: core.with_sums,
        epoch: core.epoch,
        checkpoint: seq,
        journal_pos: replay_start(&core.order.lock(), seq),
        journal_bytes: core.options.journal_bytes,
        next_volume: core.volumes.next_id(),
    }
}

/// Notes that the store was closed in order: all of it is in a checkpoint.
pub(crate) fn close(core: &Core) -> Result<()> {
    let seq = core.order.lock().checkpointed;
    let mut layer = Layer::default();
    // What was being written has been written.
    let row = core.regions.row_at_close();
    if row.is_empty() {
        layer.delete(Bytes::from_static(regions::ROW));
    } else {
        layer.put(Bytes::from_static(regions::ROW), &row);
    }
    core.kv.close(&layer, &superblock(core, seq))
}

/// False: the store has failed, or what is to be applied waits for a device.
fn wait_applied(core: &Core, seq: Seq) -> bool {
    let until = core.options.devices.is_some().then(|| Instant::now() + STUCK);
    let mut order = core.order.lock();
    while order.applied() < seq {
        if core.has_failed() {
            return false;
        }
        match until {
            None => core.progress.wait(&mut order),
            Some(until) if core.progress.wait_until(&mut order, until).timed_out() => return false,
            Some(_) => {}
        }
    }
    true
}

/// The position of the first batch that has a transaction after `seq`.
fn replay_start(order: &Order, seq: Seq) -> u64 {
    order
        .live
        .iter()
        .find(|live| live.last > seq)
        .map_or(order.head, |live| live.pos)
}

// A batch's header must fit into its first block.
const _: () = assert!(HEADER as u64 <= BLOCK);
