//! Checkpoints while transactions wait for their devices.
//!
//! What is not in the journal must not reach the metadata library, and in memory it lies among the changes that may. So such a
//! checkpoint is made of the journal, as a recovery would make it, and what waits is laid over it again. The journal is free then but
//! for the room promised to what waits.

use std::time::Instant;

use crate::{
    core::{Core, Order},
    error::{Result, StoreError},
    journal::Replay,
    kv::{Snapshot, Superblock},
    layer::{Found, Layer},
    meta::apply_op,
    transaction::{Op, Seq},
};

/// Where a checkpoint of the journal begins and ends.
struct Span {
    /// What the last checkpoint has taken up, as the journal counts.
    done: Seq,
    /// The newest transaction in the journal.
    last: Seq,
    /// Where the first one is that no checkpoint has.
    tail: u64,
    /// Where the next one comes.
    head: u64,
}

/// Makes a checkpoint of everything that is in the journal. Does nothing where the last one has all of it.
pub(crate) fn checkpoint_around(core: &Core) -> Result<()> {
    let started = Instant::now();
    let Some((span, waiting)) = begin(core)? else {
        core.order.lock().checkpoints += 1;
        core.progress.notify_all();
        return Ok(());
    };
    let layer = journaled(core, &span)?;
    let superblock = Superblock {
        sums: core.with_sums,
        epoch: core.epoch,
        checkpoint: span.last,
        journal_pos: span.head,
        journal_bytes: core.options.journal_bytes,
        next_volume: core.volumes.next_id(),
    };
    core.kv.commit(&layer, &superblock)?;
    let snapshot = core.kv.snapshot()?;
    let carried = carried(&waiting, &snapshot)?;
    let bytes = carried.bytes();
    core.meta.settle(carried, snapshot);
    {
        let mut order = core.order.lock();
        while order.live.front().is_some_and(|live| live.last <= span.last) {
            order.live.pop_front();
        }
        order.checkpointed = span.last;
        order.tail = span.head;
        order.checkpointing = false;
        order.checkpoints += 1;
    }
    core.progress.notify_all();
    tracing::info!(
        journaled = span.last - span.done,
        waiting = waiting.len(),
        carried = bytes,
        ms = started.elapsed().as_millis() as u64,
        "checkpoint around what waits for its device"
    );
    Ok(())
}

/// Freezes the changes in memory. Returns what the journal has, and the changes that wait for it, in their order.
fn begin(core: &Core) -> Result<Option<(Span, Vec<Vec<Op>>)>> {
    let mut order = core.order.lock();
    order.checkpoint_wanted = false;
    // What is on its way into the journal is neither there nor waiting.
    order.barrier = Some(0);
    while order.journaling && !core.has_failed() {
        core.progress.wait(&mut order);
    }
    order.barrier = None;
    let begun = freeze(core, &mut order);
    drop(order);
    core.work.notify_one();
    core.check_failed()?;
    Ok(begun)
}

fn freeze(core: &Core, order: &mut Order) -> Option<(Span, Vec<Vec<Op>>)> {
    let span = Span {
        done: order.checkpointed,
        last: order.journaled,
        tail: order.tail,
        head: order.head,
    };
    if span.last == span.done || core.has_failed() {
        return None;
    }
    order.checkpointing = true;
    drop(core.meta.freeze());
    Some((span, order.queue.waiting_ops()))
}

/// The changes that are in the journal and in no checkpoint.
fn journaled(core: &Core, span: &Span) -> Result<Layer> {
    let options = &core.options;
    let mut batches = Replay::new(
        &*options.disk,
        &options.dir.join("journal"),
        options.journal_bytes,
        core.epoch,
        span.tail,
        span.done + 1,
    )?;
    let snapshot = core.kv.snapshot()?;
    let mut layer = Layer::default();
    let mut last = span.done;
    while last < span.last {
        let batch = batches
            .next()?
            .ok_or_else(|| StoreError::corrupt("the journal lacks what was written to it"))?;
        for (seq, ops) in (batch.first..).zip(&batch.transactions) {
            if seq > span.done {
                lay(&mut layer, ops, &snapshot)?;
            }
            last = last.max(seq);
        }
    }
    Ok(layer)
}

/// What waits, as a layer over the checkpoint.
fn carried(waiting: &[Vec<Op>], snapshot: &Snapshot) -> Result<Layer> {
    let mut layer = Layer::default();
    for ops in waiting {
        lay(&mut layer, ops, snapshot)?;
    }
    Ok(layer)
}

fn lay(layer: &mut Layer, ops: &[Op], snapshot: &Snapshot) -> Result<()> {
    for op in ops {
        let base = match op {
            Op::Patch { key, .. } if layer.get(key) == Found::Below => snapshot.get(key)?,
            _ => None,
        };
        apply_op(layer, op, |_| base);
    }
    Ok(())
}
