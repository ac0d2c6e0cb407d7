//! What ops an OSD has in flight, which of the finished ones took long, and how long ops take (Ceph `src/common/TrackedOp.cc`,
//! `src/osd/OpRequest.cc`).
//!
//! An op costs an allocation and two short locks of one of many shards; what it was is put into words only when somebody
//! asks, or if it took long enough to be remembered.

mod describe;
pub mod dump;
mod history;
mod memory;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use encoding::types::{EntityAddr, EntityName};
use parking_lot::Mutex;

pub use describe::Request;
pub use settings::{OPTIONS, Settings};

use history::{History, Sketch};

/// How many parts the ops in flight are kept in.
const SHARDS: usize = 32;

/// How far an op has come. What it is called in events and as a `flag_point`: `OpRequest::state_string` and the events
/// of Ceph's OSDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits behind another op of its object, or for the disk.
    Delayed,
    /// It has its object.
    Started,
    /// Its change is with the journal.
    Submitted,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Delayed, Self::Started, Self::Submitted];

    const fn event(self) -> &'static str {
        match self {
            Self::Delayed => "waiting for rw locks",
            Self::Started => "started",
            Self::Submitted => "commit_queued_for_journal_write",
        }
    }

    const fn flag_point(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Started | Self::Submitted => "started",
        }
    }
}

/// What kind of op the counters are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It does both.
    Both,
}

/// Ops that are done, of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// How many.
    pub ops: u64,
    /// Bytes that came with them.
    pub in_bytes: u64,
    /// Bytes that they gave.
    pub out_bytes: u64,
    /// How long they took in all, in nanoseconds.
    pub nanos: u64,
}

impl Counter {
    fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.in_bytes += other.in_bytes;
        self.out_bytes += other.out_bytes;
        self.nanos += other.nanos;
    }
}

/// Ops that are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Those that read.
    pub read: Counter,
    /// Those that write.
    pub write: Counter,
    /// Those that do both.
    pub both: Counter,
    /// Changes that became durable, and how long they took for that from the journal on, in nanoseconds.
    pub commits: (u64, u64),
    /// Ops in flight.
    pub in_flight: u64,
    /// Ops that took longer than `osd_op_history_slow_op_threshold`.
    pub slow: u64,
}

/// Counters that are reset together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Ops that are done.
    Ops,
    /// Changes that became durable.
    Commits,
    /// Slow ops.
    Slow,
}

/// Ops that have been in flight for longer than `osd_op_complaint_time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowOps {
    /// How many.
    pub count: u64,
    /// The age of the oldest.
    pub oldest: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    in_flight: Vec<Option<Weak<TrackedOp>>>,
    free: Vec<u32>,
    done: Counters,
}

impl Shard {
    fn put(&mut self, op: Weak<TrackedOp>) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.in_flight.get_mut(slot as usize) {
                    *place = Some(op);
                }
                slot
            }
            None => {
                self.in_flight.push(Some(op));
                self.in_flight.len() as u32 - 1
            }
        }
    }

    fn take(&mut self, slot: u32) {
        if let Some(place) = self.in_flight.get_mut(slot as usize)
            && place.take().is_some()
        {
            self.free.push(slot);
        }
    }
}

/// The ops of one OSD.
#[derive(Debug)]
pub struct OpTracker {
    shards: [Mutex<Shard>; SHARDS],
    history: Mutex<History>,
    /// In nanoseconds: what took less is not remembered.
    floor: AtomicU64,
    settings: settings::Shared,
}

impl Default for OpTracker {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            history: Mutex::default(),
            floor: AtomicU64::new(0),
            settings: settings::Shared::default(),
        }
    }
}

impl OpTracker {
    /// Tracks an op until the last reference to it goes.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        client: EntityName,
        addr: EntityAddr,
        tid: u64,
        request: Request,
    ) -> Arc<TrackedOp> {
        let shard = (tid ^ client.num as u64) as usize % SHARDS;
        Arc::new_cyclic(|op| {
            let tracked = self.settings.enabled();
            TrackedOp {
                tracker: Arc::clone(self),
                shard,
                slot: tracked.then(|| self.shards[shard].lock().put(op.clone())),
                client,
                addr,
                tid,
                arrived: Instant::now(),
                reached: Default::default(),
                request,
                done: Mutex::default(),
            }
        })
    }

    /// Takes over what operators set, and forgets what has become too old to be remembered. To be called now and then.
    pub fn refresh(&self, settings: Settings) {
        self.settings.set(settings);
        let mut history = self.history.lock();
        history.trim(Instant::now(), &settings);
        self.floor.store(history.floor(&settings), Relaxed);
    }

    /// All ops in flight, the oldest first.
    fn in_flight(&self) -> Vec<Arc<TrackedOp>> {
        let mut out = Vec::new();
        for shard in &self.shards {
            // References are dropped outside of the lock: the last one takes it.
            let some = shard
                .lock()
                .in_flight
                .iter()
                .flatten()
                .filter_map(Weak::upgrade)
                .collect::<Vec<_>>();
            out.extend(some);
        }
        out.sort_by_key(|op| op.arrived);
        out
    }

    /// Ops that should have been done long ago; nothing if there are none.
    #[must_use]
    pub fn slow_ops(&self) -> Option<SlowOps> {
        let (now, complaint) = (Instant::now(), self.settings.get().complaint);
        let ops = self.in_flight();
        let slow = ops.iter().map(|op| op.age(now)).filter(|age| *age > complaint);
        let (count, oldest) = slow.fold((0, Duration::ZERO), |(n, oldest), age| (n + 1, oldest.max(age)));
        (count > 0).then_some(SlowOps { count, oldest })
    }

    /// Counts a part anew from here on.
    pub fn reset(&self, part: Part) {
        for shard in &self.shards {
            let done = &mut shard.lock().done;
            match part {
                Part::Ops => (done.read, done.write, done.both) = Default::default(),
                Part::Commits => done.commits = (0, 0),
                Part::Slow => done.slow = 0,
            }
        }
    }

    /// What was done since the start, or since it was last [reset](Self::reset).
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut out = Counters::default();
        for shard in &self.shards {
            let shard = shard.lock();
            out.read.add(&shard.done.read);
            out.write.add(&shard.done.write);
            out.both.add(&shard.done.both);
            out.commits.0 += shard.done.commits.0;
            out.commits.1 += shard.done.commits.1;
            out.slow += shard.done.slow;
            out.in_flight += (shard.in_flight.len() - shard.free.len()) as u64;
        }
        out
    }

    /// An op is over.
    fn ended(&self, op: &mut TrackedOp) {
        let took = op.arrived.elapsed();
        let nanos = nanos(took);
        let slow = took >= self.settings.slow_threshold();
        let done = op.done.get_mut();
        {
            let mut shard = self.shards[op.shard].lock();
            if let Some(slot) = op.slot {
                shard.take(slot);
            }
            shard.done.slow += u64::from(slow && op.slot.is_some());
            if let Some((kind, mut counter)) = done.counted.take() {
                (counter.ops, counter.nanos) = (1, nanos);
                match kind {
                    Kind::Read => shard.done.read.add(&counter),
                    Kind::Write => shard.done.write.add(&counter),
                    Kind::Both => shard.done.both.add(&counter),
                }
            }
            if let Some(commit) = done.committed {
                shard.done.commits.0 += 1;
                shard.done.commits.1 += commit;
            }
        }
        if op.slot.is_none() || (nanos <= self.floor.load(Relaxed) && !slow) {
            return;
        }
        let settings = self.settings.get();
        let finished = Arc::new(Sketch::of(op, took));
        let mut history = self.history.lock();
        history.add(finished, slow, &settings);
        self.floor.store(history.floor(&settings), Relaxed);
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// What is known of an op as it ends.
#[derive(Debug, Default)]
struct Done {
    counted: Option<(Kind, Counter)>,
    committed: Option<u64>,
}

/// An op that is tracked.
#[derive(Debug)]
pub struct TrackedOp {
    tracker: Arc<OpTracker>,
    shard: usize,
    /// Its place in the shard; none if ops are not tracked.
    slot: Option<u32>,
    client: EntityName,
    addr: EntityAddr,
    tid: u64,
    arrived: Instant,
    /// When it came to each stage, in nanoseconds after its arrival; 0 if it did not.
    reached: [AtomicU64; Stage::ALL.len()],
    request: Request,
    done: Mutex<Done>,
}

impl TrackedOp {
    /// The op has come to a stage. The first time counts.
    pub fn reached(&self, stage: Stage) {
        let at = nanos(self.arrived.elapsed()).max(1);
        let _ = self.reached[stage as usize].compare_exchange(0, at, Relaxed, Relaxed);
    }

    /// The request as it came.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The op was carried out, with so many bytes in and out.
    pub fn carried_out(&self, kind: Kind, in_bytes: u64, out_bytes: u64) {
        let counter = Counter {
            in_bytes,
            out_bytes,
            ..Counter::default()
        };
        self.done.lock().counted = Some((kind, counter));
    }

    /// The op's change is durable.
    pub fn committed(&self) {
        let since = self.reached[Stage::Submitted as usize].load(Relaxed);
        let took = nanos(self.arrived.elapsed()).saturating_sub(since);
        self.done.lock().committed = Some(took);
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.arrived)
    }

    /// The stages it came to, in their order, and when.
    fn stages(&self) -> Vec<(Stage, Duration)> {
        let at = |stage: Stage| (stage, self.reached[stage as usize].load(Relaxed));
        let mut out: Vec<_> = Stage::ALL.map(at).into_iter().filter(|(_, at)| *at > 0).collect();
        out.sort_by_key(|(_, at)| *at);
        out.into_iter()
            .map(|(stage, at)| (stage, Duration::from_nanos(at)))
            .collect()
    }
}

impl Drop for TrackedOp {
    fn drop(&mut self) {
        let tracker = Arc::clone(&self.tracker);
        tracker.ended(self);
    }
}
