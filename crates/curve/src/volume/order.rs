//! Writes that overlap go one after the other.
//!
//! A write that got no reply may be stored later. Until it is known to be stored or refused, nothing else may be sent to
//! its range, so a range stays taken until its write is resolved: also when whoever asked for it has gone away.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

struct Entry {
    range: Range<u64>,
    /// Earlier entries that overlap.
    blockers: usize,
    granted: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct State {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

/// The ranges of a volume that are being changed.
#[derive(Clone, Default)]
pub struct Order {
    state: Arc<Mutex<State>>,
}

/// A place in the order. The range is free again when this is dropped.
pub struct Turn {
    order: Order,
    id: u64,
    granted: Option<oneshot::Receiver<()>>,
}

impl Order {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place behind all that overlap. The order is that of the calls.
    #[must_use]
    pub fn enqueue(&self, range: Range<u64>) -> Turn {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let blockers = state
            .entries
            .values()
            .filter(|entry| overlap(&entry.range, &range))
            .count();
        let (granted, receiver) = if blockers == 0 {
            (None, None)
        } else {
            let (sender, receiver) = oneshot::channel();
            (Some(sender), Some(receiver))
        };
        state.entries.insert(
            id,
            Entry {
                range,
                blockers,
                granted,
            },
        );
        drop(state);
        Turn {
            order: self.clone(),
            id,
            granted: receiver,
        }
    }

    /// Waits until everything that is under way now is resolved.
    pub async fn drained(&self) {
        let mut turn = self.enqueue(0..u64::MAX);
        turn.granted().await;
    }
}

impl Turn {
    /// Waits until nothing earlier overlaps.
    pub async fn granted(&mut self) {
        if let Some(granted) = self.granted.take() {
            // The sender lives in the entry, which lives as long as this.
            let _ = granted.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.order.state();
        let Some(mine) = state.entries.remove(&self.id) else {
            return;
        };
        for (_, later) in state.entries.range_mut(self.id..) {
            if overlap(&later.range, &mine.range) {
                later.blockers -= 1;
                if later.blockers == 0
                    && let Some(granted) = later.granted.take()
                {
                    // Whoever waited may be gone; its drop frees the range.
                    let _ = granted.send(());
                }
            }
        }
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_granted(turn: &mut Turn) -> bool {
        match &mut turn.granted {
            None => true,
            Some(granted) => granted.try_recv().is_ok(),
        }
    }

    #[test]
    fn what_does_not_overlap_does_not_wait() {
        let order = Order::default();
        let mut first = order.enqueue(0..10);
        let mut second = order.enqueue(10..20);
        assert!(is_granted(&mut first) && is_granted(&mut second));
    }

    #[test]
    fn overlapping_ranges_are_granted_in_the_order_of_their_calls() {
        let order = Order::default();
        let first = order.enqueue(0..10);
        let mut second = order.enqueue(5..15);
        let mut third = order.enqueue(12..20);
        assert!(!is_granted(&mut second));
        assert!(
            !is_granted(&mut third),
            "behind the second, though the first does not touch it"
        );
        drop(first);
        assert!(is_granted(&mut second));
        assert!(!is_granted(&mut third));
        drop(second);
        assert!(is_granted(&mut third));
    }

    #[test]
    fn one_that_gives_up_waiting_lets_the_next_one_pass() {
        let order = Order::default();
        let first = order.enqueue(0..10);
        let second = order.enqueue(0..10);
        let mut third = order.enqueue(0..10);
        drop(second);
        assert!(!is_granted(&mut third));
        drop(first);
        assert!(is_granted(&mut third));
    }
}
