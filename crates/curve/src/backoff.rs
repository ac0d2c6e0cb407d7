//! How long to wait before the next try.

use std::time::Duration;

use rand::RngExt as _;

/// Part of a pause by which it varies, so that many clients do not come back together.
const JITTER: f64 = 0.1;

/// Pauses that double up to a limit.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// Starts with `first`, ends with `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, tries: 0 }
    }

    /// The next pause, without jitter.
    fn step(&mut self) -> Duration {
        let pause = self
            .first
            .saturating_mul(1u32.checked_shl(self.tries).unwrap_or(u32::MAX));
        self.tries = (self.tries + 1).min(31);
        pause.min(self.max)
    }

    /// The next pause, 10 % more or less.
    pub fn pause(&mut self) -> Duration {
        let factor = rand::rng().random_range(1.0 - JITTER..=1.0 + JITTER);
        self.step().mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(8));
        let steps: Vec<_> = (0..40).map(|_| backoff.step().as_millis()).collect();
        assert_eq!(steps[..8], [100, 200, 400, 800, 1600, 3200, 6400, 8000]);
        assert!(steps[8..].iter().all(|step| *step == 8000));
    }

    #[test]
    fn pauses_vary_by_a_tenth() {
        for _ in 0..100 {
            let pause = Backoff::new(Duration::from_secs(1), Duration::from_secs(1)).pause();
            assert!((900..=1100).contains(&pause.as_millis()));
        }
    }
}
