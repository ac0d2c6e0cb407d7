//! Ops that are over and took long (`OpHistory` in Ceph `src/common/TrackedOp.cc`): of the last minutes those that took longest, and
//! the last ones that were slow.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use encoding::types::{EntityAddr, EntityName};

use super::{Settings, Stage, TrackedOp, nanos};

/// What is shown of an op: as it ended, or as it is in flight.
#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) description: String,
    pub(super) client: EntityName,
    pub(super) addr: EntityAddr,
    pub(super) tid: u64,
    pub(super) arrived: Instant,
    pub(super) took: Duration,
    pub(super) stages: Vec<(Stage, Duration)>,
}

impl Sketch {
    pub(super) fn of(op: &TrackedOp, took: Duration) -> Self {
        Self {
            description: op.request.describe(op.client, op.tid),
            client: op.client,
            addr: op.addr,
            tid: op.tid,
            arrived: op.arrived,
            took,
            stages: op.stages(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct History {
    /// Those that took longest, the shortest first.
    longest: Vec<Arc<Sketch>>,
    /// Slow ones, as they ended.
    slow: VecDeque<Arc<Sketch>>,
}

impl History {
    pub(super) fn add(&mut self, op: Arc<Sketch>, slow: bool, settings: &Settings) {
        if slow {
            self.slow.push_back(Arc::clone(&op));
        }
        let at = self.longest.partition_point(|other| other.took < op.took);
        self.longest.insert(at, op);
        self.trim(Instant::now(), settings);
    }

    /// Forgets what is too old or too many.
    pub(super) fn trim(&mut self, now: Instant, settings: &Settings) {
        self.longest
            .retain(|op| now.saturating_duration_since(op.arrived) <= settings.history_duration);
        let surplus = self.longest.len().saturating_sub(settings.history_size);
        self.longest.drain(..surplus);
        let surplus = self.slow.len().saturating_sub(settings.slow_size);
        self.slow.drain(..surplus);
    }

    /// What an op has to take, in nanoseconds, to be remembered: more than this.
    pub(super) fn floor(&self, settings: &Settings) -> u64 {
        match self.longest.first() {
            _ if settings.history_size == 0 => u64::MAX,
            Some(shortest) if self.longest.len() >= settings.history_size => nanos(shortest.took),
            _ => 0,
        }
    }

    /// All of them; a slow one that took longest, too, comes once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Sketch> {
        let among_longest = |slow: &&Arc<Sketch>| self.longest.iter().any(|other| Arc::ptr_eq(other, slow));
        let slow = self.slow.iter().filter(move |slow| !among_longest(slow));
        self.longest.iter().chain(slow).map(|sketch| &**sketch)
    }

    /// Those that took longest.
    pub(super) fn longest(&self) -> Vec<Arc<Sketch>> {
        self.longest.clone()
    }

    /// Slow ones.
    pub(super) fn slow(&self) -> Vec<Arc<Sketch>> {
        self.slow.iter().cloned().collect()
    }
}
