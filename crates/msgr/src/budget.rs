//! How much memory sessions may hold: requests under way, and answers that their peers do not take. A session that
//! holds more, or has many answers to be written, is not read from until it holds less, which holds back that peer alone.
//!
//! A message that has not come whole takes memory, too. While all of these together take the total, one session at a time is
//! read from so that its message gets whole; a peer that has kept its reader waiting for the rest of a message for long is
//! left then, and cannot hold the memory for good.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::session::Session;

/// What a session may hold whatever others hold, in bytes. Sessions below it cost nothing to account for.
const FLOOR: usize = 1 << 20;
/// How long a peer may keep its reader waiting for the rest of a message while unfinished messages take all there is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers that wait to be written, in bytes, up to which requests are taken. What lies there longer is not in the processor's
/// cache any more when it is written, and does nothing for the peer before.
const ANSWERS: usize = 8 << 20;
/// What a request takes beside its bytes, roughly.
const REQUEST: usize = 1 << 10;

/// The bounds on what the sessions of a process hold. Listeners share one.
#[derive(Debug)]
pub struct Budget {
    per_session: usize,
    total: usize,
    answers: usize,
    /// Sessions that hold more than [`FLOOR`].
    heavy: AtomicUsize,
    /// Bytes of messages that have not come whole, of those with more than [`FLOOR`].
    unfinished: AtomicUsize,
    /// A session is read from though these take the total.
    passing: AtomicBool,
    patience: Duration,
}

impl Default for Budget {
    /// As `ms_dispatch_throttle_bytes` and `osd_client_message_size_cap`.
    fn default() -> Self {
        Self::new(100 << 20, 500 << 20)
    }
}

impl Budget {
    /// Bounds in bytes. The total is shared among the sessions that hold much; each may hold a MiB in any case.
    #[must_use]
    pub fn new(per_session: usize, total: usize) -> Self {
        Self {
            per_session: per_session.max(FLOOR),
            total,
            answers: ANSWERS,
            heavy: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            passing: AtomicBool::new(false),
            patience: PATIENCE,
        }
    }

    /// Has another time for which a peer may keep its reader waiting while unfinished messages take the total.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// For a client, which never stops reading: were both sides to wait for the other to take what they wrote, neither
    /// would.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            answers: usize::MAX,
            ..Self::new(usize::MAX, usize::MAX)
        }
    }

    /// What one of the sessions that hold much may hold now.
    fn allowance(&self) -> usize {
        let heavy = self.heavy.load(Ordering::Relaxed).max(1);
        (self.total / heavy).clamp(FLOOR, self.per_session)
    }
}

/// A reader's part of the budget: whether its session is one of those that hold much.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    heavy: bool,
    /// Its part of the unfinished messages.
    unfinished: usize,
    passing: bool,
}

impl<'a> Share<'a> {
    pub(crate) const fn of(budget: &'a Budget) -> Self {
        Self {
            budget,
            heavy: false,
            unfinished: 0,
            passing: false,
        }
    }

    /// Counts the bytes there are of a message that has not come whole. Returns whether they count.
    pub(crate) fn hold_unfinished(&mut self, bytes: usize) -> bool {
        let counted = if bytes > FLOOR { bytes } else { 0 };
        if counted >= self.unfinished {
            self.budget
                .unfinished
                .fetch_add(counted - self.unfinished, Ordering::Relaxed);
        } else {
            self.budget
                .unfinished
                .fetch_sub(self.unfinished - counted, Ordering::Relaxed);
        }
        self.unfinished = counted;
        if counted == 0 && std::mem::take(&mut self.passing) {
            self.budget.passing.store(false, Ordering::Relaxed);
        }
        counted > 0
    }

    /// Whether unfinished messages take all there is.
    pub(crate) fn is_scarce(&self) -> bool {
        self.budget.unfinished.load(Ordering::Relaxed) > self.budget.total
    }

    /// Whether more of an unfinished message may be read. Where it is scarce, one session's at a time.
    pub(crate) fn may_grow(&mut self) -> bool {
        if !self.passing && self.is_scarce() {
            self.passing = !self.budget.passing.swap(true, Ordering::Relaxed);
            return self.passing;
        }
        true
    }

    /// Whether a peer that has kept its reader waiting for so long is to be left.
    pub(crate) fn is_too_slow(&self, waited: Duration) -> bool {
        waited > self.budget.patience && self.is_scarce()
    }

    /// What a session that holds so much may hold.
    pub(crate) fn allowance(&mut self, held: usize) -> usize {
        let heavy = held > FLOOR;
        if heavy != self.heavy {
            self.heavy = heavy;
            if heavy {
                self.budget.heavy.fetch_add(1, Ordering::Relaxed);
            } else {
                self.budget.heavy.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if heavy { self.budget.allowance() } else { FLOOR }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.hold_unfinished(0);
        if self.heavy {
            self.budget.heavy.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a session holds beside its answers, and how little that must be for its reader to go on.
#[derive(Debug)]
pub(crate) struct Holdings {
    /// Bytes of requests under way.
    requests: AtomicUsize,
    /// While the reader waits for the session to hold less: how little; else 0.
    wake_at: AtomicUsize,
    budget: Arc<Budget>,
}

impl Holdings {
    pub(crate) const fn new(budget: Arc<Budget>) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            wake_at: AtomicUsize::new(0),
            budget,
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn hold(&self, bytes: usize) {
        self.requests.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.requests.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// All that is held, with so much of answers.
    pub(crate) fn with(&self, answers: usize) -> usize {
        self.requests.load(Ordering::SeqCst).saturating_add(answers)
    }

    /// Whether so much of answers waits that no more requests are to be taken.
    pub(crate) fn answers_wait(&self, answers: usize) -> bool {
        answers > self.budget.answers
    }

    /// The reader waits for the session to hold less than what is allowed, by so much that it is not woken for each byte
    /// that goes; with 0 it does not wait any more.
    pub(crate) fn wait_for(&self, allowed: usize) {
        self.wake_at.store(allowed - allowed / 4, Ordering::SeqCst);
    }

    pub(crate) fn reader_waits(&self) -> bool {
        self.wake_at.load(Ordering::SeqCst) > 0
    }

    /// Whether a reader that waits may go on.
    pub(crate) fn allow_again(&self, holds: usize) -> bool {
        holds <= self.wake_at.load(Ordering::SeqCst)
    }
}

/// A request under way: its session holds the request's bytes until this is dropped.
#[derive(Debug)]
pub struct Charge {
    session: Arc<Session>,
    bytes: usize,
}

impl Charge {
    /// Charges a request of so many bytes to the session that it came from.
    #[must_use]
    pub fn new(session: &Arc<Session>, bytes: usize) -> Self {
        let bytes = bytes + REQUEST;
        session.hold(bytes);
        Self {
            session: Arc::clone(session),
            bytes,
        }
    }
}

/// The session that is charged.
impl std::ops::Deref for Charge {
    type Target = Arc<Session>;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.session.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_little_is_not_counted_and_may_hold_the_floor() {
        let budget = Budget::new(100 << 20, 500 << 20);
        let mut share = Share::of(&budget);
        assert_eq!(share.allowance(FLOOR), FLOOR);
        assert_eq!(budget.heavy.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_total_is_shared_among_those_that_hold_much() {
        let budget = Budget::new(100 << 20, 500 << 20);
        let mut shares: Vec<Share<'_>> = (0..10).map(|_| Share::of(&budget)).collect();
        assert_eq!(shares[0].allowance(2 << 20), 100 << 20);
        for share in &mut shares {
            share.allowance(2 << 20);
        }
        assert_eq!(shares[0].allowance(2 << 20), 50 << 20);
        shares[9].allowance(0);
        shares.truncate(1);
        assert_eq!(shares[0].allowance(2 << 20), 100 << 20);
    }

    #[test]
    fn nobody_is_left_with_less_than_the_floor() {
        let budget = Budget::new(100 << 20, 4 << 20);
        let mut shares: Vec<Share<'_>> = (0..10).map(|_| Share::of(&budget)).collect();
        for share in &mut shares {
            share.allowance(2 << 20);
        }
        assert_eq!(shares[0].allowance(2 << 20), FLOOR);
    }

    #[test]
    fn while_unfinished_messages_take_the_total_one_session_at_a_time_goes_on() {
        let budget = Budget::new(100 << 20, 4 << 20).with_patience(Duration::from_secs(1));
        let mut shares: Vec<Share<'_>> = (0..3).map(|_| Share::of(&budget)).collect();
        assert!(!shares[0].hold_unfinished(FLOOR), "little is not counted");
        assert!(shares[0].hold_unfinished(2 << 20) && shares[1].hold_unfinished(2 << 20));
        assert!(shares.iter_mut().all(Share::may_grow) && !shares[0].is_too_slow(Duration::from_secs(9)));
        shares[2].hold_unfinished(3 << 20);
        assert!(shares[1].may_grow() && !shares[0].may_grow() && !shares[2].may_grow());
        assert!(shares[0].is_too_slow(Duration::from_secs(2)));
        // It has come whole: another one's turn.
        shares[1].hold_unfinished(0);
        shares[0].hold_unfinished(4 << 20);
        assert!(shares[2].may_grow() && !shares[0].may_grow());
        shares.truncate(1);
        assert!(shares[0].may_grow());
    }
}
