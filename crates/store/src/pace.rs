//! How fast the journal is written, and so from which length on data goes past it.
//!
//! What travels in the journal is written to the disk twice. A quick disk takes that as well as a sync for each write, and less processor
//! time; where the disk's bandwidth is what all wait for, it halves what can be written. So the journal's large writes are timed. If they are slow,
//! data goes past the journal from [`Options::slow_direct_threshold`](crate::Options) on for a while; then some of it goes through the journal again, which
//! shows whether they still are.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Smaller writes of the journal say more of the disk's latency.
const LARGE: u64 = 256 << 10;
const MIB: u64 = 1 << 20;
/// A disk is slow if a MiB takes longer: with less than 320 MiB a second.
const SLOW: Duration = Duration::from_micros(3100);
/// What is taken for true before anything was measured, and after each [`PAUSE`].
const QUICK: Duration = Duration::from_millis(1);
/// For so long nothing is measured once the disk has shown that it is slow.
const PAUSE: Duration = Duration::from_secs(10);

/// How fast the journal is written.
#[derive(Debug)]
pub(crate) struct Pace {
    started: Instant,
    /// What a MiB takes lately, in nanoseconds.
    took: AtomicU64,
    /// Until when the disk counts as slow, in milliseconds since `started`; 0 if it does not.
    slow_until: AtomicU64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            took: AtomicU64::new(nanos(QUICK)),
            slow_until: AtomicU64::new(0),
        }
    }

    /// Takes up a write of the journal. By who holds the journal.
    pub(crate) fn note(&self, bytes: u64, took: Duration) {
        if bytes < LARGE || self.is_slow() {
            return;
        }
        let mean = (self.took.load(Relaxed) * 3 + nanos(took).saturating_mul(MIB) / bytes) / 4;
        if mean <= nanos(SLOW) {
            self.took.store(mean, Relaxed);
            return;
        }
        self.took.store(nanos(QUICK), Relaxed);
        let until = self.started.elapsed() + PAUSE;
        self.slow_until.store(until.as_millis() as u64, Relaxed);
    }

    /// Whether the disk is slow.
    pub(crate) fn is_slow(&self) -> bool {
        let until = self.slow_until.load(Relaxed);
        until != 0 && self.started.elapsed() < Duration::from_millis(until)
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a write of so many bytes takes at so many MiB a second.
    fn at(rate: u64, bytes: u64) -> Duration {
        Duration::from_nanos(1_000_000_000 * bytes / MIB / rate)
    }

    #[test]
    fn a_disk_is_slow_once_several_large_writes_were() {
        let pace = Pace::new();
        pace.note(MIB, at(150, MIB));
        assert!(!pace.is_slow(), "one may have had to wait");
        for _ in 0..4 {
            pace.note(MIB, at(150, MIB));
        }
        assert!(pace.is_slow());
    }

    #[test]
    fn a_quick_disk_and_small_writes_are_not_slow() {
        let pace = Pace::new();
        for _ in 0..100 {
            pace.note(512 << 10, at(600, 512 << 10));
            pace.note(LARGE - 1, Duration::from_secs(1));
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn after_a_while_a_slow_disk_has_to_show_it_again() {
        let mut pace = Pace::new();
        for _ in 0..9 {
            pace.note(MIB, at(50, MIB));
        }
        assert!(pace.is_slow());
        pace.started -= PAUSE;
        assert!(!pace.is_slow());
        pace.note(MIB, at(150, MIB));
        assert!(!pace.is_slow());
        pace.note(MIB, at(50, MIB));
        assert!(pace.is_slow());
    }
}
