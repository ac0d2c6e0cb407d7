//! The cluster's clock: the machine's, or one that a test sets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Microseconds since the epoch.
#[derive(Debug, Default)]
pub struct Clock {
    /// 0: the machine's clock.
    set: AtomicU64,
}

impl Clock {
    /// Stops the clock at `now`.
    pub fn set(&self, now: u64) {
        self.set.store(now, Ordering::SeqCst);
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self.set.load(Ordering::SeqCst) {
            0 => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
            }
            set => set,
        }
    }
}
