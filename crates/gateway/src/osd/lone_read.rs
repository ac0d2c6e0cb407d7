//! A read that comes alone and has to wait for a quick disk waits on its connection's own task: handing it to another thread, and
//! its answer back, would take as long as the disk. The journal does the same with a change that comes alone.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{
            AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::{Duration, Instant},
};

use super::{
    Osd,
    cache::Object,
    reading,
    request::{self, PendingOp},
};

/// So many reads in a row of which each waited for the disk alone show that requests come one at a time.
const ALONE: u32 = 16;
/// A disk is quick if such a read takes less.
const QUICK: Duration = Duration::from_micros(300);
/// Larger reads, in bytes, go to a thread.
const LARGEST: usize = 64 << 10;

thread_local! {
    /// What this thread hands on together, while it does.
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// What came from a client together.
#[derive(Default)]
struct Batch {
    requests: usize,
    /// A read that has to wait for the disk, and is the only request so far.
    held: Option<Blocked>,
}

type Blocked = (Arc<Object>, Box<PendingOp>);

/// How the reads went that waited for the disk.
#[derive(Debug, Default)]
pub(super) struct Pace {
    under_way: AtomicUsize,
    /// How many in a row were alone.
    alone: AtomicU32,
    /// What one takes, in nanoseconds: three parts of what it was, and one of the last.
    took: AtomicU64,
}

impl Pace {
    fn begin(&self) {
        let alone = match self.under_way.fetch_add(1, AcqRel) {
            0 => self.alone.load(Relaxed).saturating_add(1),
            _ => 0,
        };
        self.alone.store(alone, Relaxed);
    }

    fn end(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let before = self.took.load(Relaxed);
        self.took.store(before / 4 * 3 + took / 4, Relaxed);
        self.under_way.fetch_sub(1, AcqRel);
    }

    /// Whether reads come one at a time, none is under way, and they are soon done.
    fn is_leisurely(&self) -> bool {
        self.under_way.load(Acquire) == 0
            && self.alone.load(Relaxed) >= ALONE
            && Duration::from_nanos(self.took.load(Relaxed)) < QUICK
    }
}

/// Sees to what is held however a batch ends.
struct Scope<'a> {
    osd: &'a Arc<Osd>,
    before: Option<Batch>,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        let batch = BATCH.replace(self.before.take());
        let Some((object, op)) = batch.and_then(|batch| batch.held) else {
            return;
        };
        if std::thread::panicking() {
            return self.osd.read_on_thread(&object, op);
        }
        self.osd.execute_waiting(&object, op);
        if let Some(next) = reading::next(&object) {
            self.osd.read_on_thread(&object, next);
        }
    }
}

impl Osd {
    /// Runs `work`, which hands on requests that came together. Then waits for the disk if the only one of them has to and that does
    /// not take long: the caller holds no lock.
    pub(super) fn batch(self: &Arc<Self>, work: impl FnOnce()) {
        let _scope = Scope {
            osd: self,
            before: BATCH.replace(Some(Batch::default())),
        };
        work();
    }

    /// Another request of the batch: nobody waits for the disk before it.
    pub(super) fn next_of_batch(self: &Arc<Self>) {
        let held = BATCH.with_borrow_mut(|batch| {
            let batch = batch.as_mut()?;
            batch.requests += 1;
            batch.held.take()
        });
        if let Some((object, op)) = held {
            self.read_on_thread(&object, op);
        }
    }

    /// Has a request that has to wait for the disk do so where that is best. The object's gate is closed.
    pub(super) fn read_from_disk(self: &Arc<Self>, object: &Arc<Object>, op: Box<PendingOp>) {
        let may_be_held = !op.modes.write
            && !op.copies()
            && request::output_bound(&op.message.ops) <= LARGEST
            && self.reads.is_leisurely()
            // Those may take as long as they like.
            && !self.objects.store().on_devices()
            // Others go on meanwhile.
            && self.runtime.metrics().num_workers() > 1;
        let refused = BATCH.with_borrow_mut(|batch| match batch {
            Some(batch) if may_be_held && batch.requests == 1 => {
                batch.held = Some((Arc::clone(object), op));
                None
            }
            _ => Some(op),
        });
        if let Some(op) = refused {
            self.read_on_thread(object, op);
        }
    }

    fn read_on_thread(self: &Arc<Self>, object: &Arc<Object>, op: Box<PendingOp>) {
        let (osd, object) = (Arc::clone(self), Arc::clone(object));
        self.runtime.spawn_blocking(move || osd.resume(&object, op));
    }

    /// Runs a request that may wait for the disk.
    pub(super) fn execute_waiting(self: &Arc<Self>, object: &Arc<Object>, op: Box<PendingOp>) {
        let map = self.cluster.osdmap();
        let begun = Instant::now();
        self.reads.begin();
        let _ = self.execute(object, &mut object.inner.lock(), op, &map, true);
        self.reads.end(begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_micros(100);

    fn after(reads: u32, took: Duration) -> Pace {
        let pace = Pace::default();
        for _ in 0..reads {
            pace.begin();
            pace.end(took);
        }
        pace
    }

    #[test]
    fn reads_that_come_one_at_a_time_and_are_soon_done_are_leisurely() {
        assert!(!after(ALONE - 1, FAST).is_leisurely());
        assert!(after(ALONE, FAST).is_leisurely());
    }

    #[test]
    fn on_a_slow_disk_they_are_not() {
        assert!(!after(1000, QUICK * 2).is_leisurely());
        let pace = after(1000, FAST);
        pace.begin();
        pace.end(Duration::from_secs(1));
        assert!(!pace.is_leisurely(), "one second is enough to show it");
    }

    #[test]
    fn while_one_is_under_way_they_are_not() {
        let pace = after(1000, FAST);
        pace.begin();
        assert!(!pace.is_leisurely());
    }

    #[test]
    fn two_at_a_time_are_not_forgotten_at_once() {
        let pace = after(1000, FAST);
        pace.begin();
        pace.begin();
        pace.end(FAST);
        pace.end(FAST);
        assert!(!pace.is_leisurely());
    }
}
