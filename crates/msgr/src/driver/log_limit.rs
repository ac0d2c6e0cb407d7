//! A bound on log lines that peers can cause: a client that comes back in a tight loop must not fill the disk.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

/// Lines a second.
const MOST: u64 = 20;

/// Counts the lines of the current second: the second in the upper 32 bits, the count in the lower.
#[derive(Debug, Default)]
pub(super) struct LogLimit(AtomicU64);

impl LogLimit {
    /// No lines yet.
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether one more line may be written now. The last one of a second says that others are left out.
    pub(super) fn allows(&self) -> bool {
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        self.allows_in(second)
    }

    fn allows_in(&self, second: u64) -> bool {
        let count = |old: u64| {
            let same = old >> 32 == second & u64::from(u32::MAX);
            let n = if same { (old & u64::from(u32::MAX)) + 1 } else { 1 };
            Some((second << 32) | n.min(MOST + 1))
        };
        let old = self
            .0
            .fetch_update(Relaxed, Relaxed, count)
            .unwrap_or_else(|old| old);
        let n = count(old).map_or(0, |new| new & u64::from(u32::MAX));
        if n == MOST {
            tracing::warn!("many connections fail: further ones of this second are not logged");
        }
        n <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_one_starts_anew() {
        let limit = LogLimit::new();
        let allowed = (0..100).filter(|_| limit.allows_in(7)).count();
        assert_eq!(allowed as u64, MOST);
        assert!(limit.allows_in(8));
    }
}
