//! What tracked ops hold in memory.

use std::mem::size_of;

use store::Held;

use super::{OpTracker, Stage, TrackedOp, history::Sketch};

impl OpTracker {
    /// The requests that are in flight, with their bytes as they came.
    #[must_use]
    pub fn requests_held(&self) -> Held {
        let ops = self.in_flight();
        let bytes = ops.iter().map(|op| op.request.len()).sum();
        Held::new(ops.len(), bytes)
    }

    /// What is noted of ops, in flight and of the past.
    #[must_use]
    pub fn notes_held(&self) -> Held {
        let in_flight = self.in_flight().len();
        let history = self.history.lock();
        let past = history.all().map(|sketch| {
            size_of::<Sketch>()
                + sketch.description.len()
                + sketch.stages.len() * size_of::<(Stage, std::time::Duration)>()
        });
        let (count, bytes) = past.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
        Held::new(in_flight + count, in_flight * size_of::<TrackedOp>() + bytes)
    }
}
