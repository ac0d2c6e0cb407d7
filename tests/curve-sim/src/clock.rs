//! The cluster's clock: the machine's, one that differs from it, or one that a test sets.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Microseconds since the epoch.
#[derive(Debug, Default)]
pub struct Clock {
    /// 0: the machine's clock.
    set: AtomicU64,
    /// By how much it is ahead of the machine's.
    ahead: AtomicI64,
}

impl Clock {
    /// Stops the clock at `now`.
    pub fn set(&self, now: u64) {
        self.set.store(now, Ordering::SeqCst);
    }

    /// Lets the clock go so many seconds ahead of the machine's, or behind it.
    pub fn shift(&self, seconds: i32) {
        self.ahead.store(i64::from(seconds) * 1_000_000, Ordering::SeqCst);
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self.set.load(Ordering::SeqCst) {
            0 => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
                now.saturating_add_signed(self.ahead.load(Ordering::SeqCst))
            }
            set => set,
        }
    }
}
