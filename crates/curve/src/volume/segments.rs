//! Which chunks a volume's segments are made of.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::mds::Segment;

/// How long it is believed that a segment is not allocated, where another client might allocate it.
const ABSENT_FOR: Duration = Duration::from_secs(1);

#[derive(Clone)]
enum Known {
    Nothing,
    Allocated(Arc<Segment>),
    /// Since when.
    Absent(Instant),
}

/// What is known about one segment. Whoever asks the MDS holds `asking`.
pub(super) struct Slot {
    known: Mutex<Known>,
    /// Held while the MDS is asked about the segment or told to free it.
    pub(super) asking: tokio::sync::Mutex<()>,
}

/// The answer of the cache.
pub(super) enum Cached {
    /// Ask the MDS.
    Unknown,
    /// Allocated.
    Segment(Arc<Segment>),
    /// Not allocated: reads as zeros.
    Absent,
}

impl Slot {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known; `sole`: nobody else writes the volume, so what is absent stays absent.
    pub(super) fn get(&self, sole: bool) -> Cached {
        match &*self.known() {
            Known::Allocated(segment) => Cached::Segment(segment.clone()),
            Known::Absent(since) if sole || since.elapsed() < ABSENT_FOR => Cached::Absent,
            _ => Cached::Unknown,
        }
    }

    /// Remembers what the MDS said.
    pub(super) fn set(&self, segment: Option<Arc<Segment>>) {
        *self.known() = match segment {
            Some(segment) => Known::Allocated(segment),
            None => Known::Absent(Instant::now()),
        };
    }

    /// Forgets.
    pub(super) fn forget(&self) {
        *self.known() = Known::Nothing;
    }
}

/// The segments of a volume.
#[derive(Default)]
pub(super) struct Segments {
    slots: Mutex<HashMap<u64, Arc<Slot>>>,
}

impl Segments {
    /// The segment with a number.
    pub(super) fn slot(&self, number: u64) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(number).or_insert_with(|| {
            Arc::new(Slot {
                known: Mutex::new(Known::Nothing),
                asking: tokio::sync::Mutex::default(),
            })
        });
        slot.clone()
    }
}
