//! Who writes to a connection: its writer, or for a moment a caller.
//!
//! Nothing is encoded but by whoever has the turn, so calls arrive in the order of their encoding: a repetition comes behind what it
//! repeats, or that is never sent.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// The turns of one connection.
#[derive(Default)]
pub(super) struct Outlet {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    /// The writer has the turn, or has to take what is left.
    taken: bool,
    /// What a caller began and the socket did not take.
    rest: Vec<Bytes>,
}

/// A caller's turn.
pub(super) struct CallersTurn<'a> {
    outlet: &'a Outlet,
    state: MutexGuard<'a, State>,
}

impl Outlet {
    /// A turn for a caller, if nobody has one.
    pub(super) fn try_turn(&self) -> Option<CallersTurn<'_>> {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        (!state.taken).then_some(CallersTurn { outlet: self, state })
    }

    /// Waits until a caller leaves something to the writer.
    pub(super) fn left(&self) -> impl Future<Output = ()> {
        self.left.notified()
    }

    /// The writer's turn begins, with what was left.
    pub(super) fn begin(&self, pieces: &mut Vec<Bytes>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.taken = true;
        pieces.append(&mut state.rest);
    }

    /// The writer's turn ends: all is written.
    pub(super) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).taken = false;
    }
}

impl CallersTurn<'_> {
    /// What is to be written.
    pub(super) fn pieces(&mut self) -> &mut Vec<Bytes> {
        &mut self.state.rest
    }

    /// Leaves what was not written to the writer.
    pub(super) fn end(mut self) {
        if !self.state.rest.is_empty() {
            self.state.taken = true;
            self.outlet.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_leaves_is_the_writers_and_nobody_overtakes_it() {
        let outlet = Outlet::default();
        let mut turn = outlet.try_turn().expect("nobody writes");
        turn.pieces().push(Bytes::from_static(b"rest"));
        assert!(outlet.try_turn().is_none(), "one at a time");
        turn.end();
        assert!(outlet.try_turn().is_none(), "the rest comes first");
        let mut pieces = Vec::new();
        outlet.begin(&mut pieces);
        assert_eq!(pieces, ["rest"]);
        assert!(outlet.try_turn().is_none(), "the writer writes");
        outlet.end();
        assert!(outlet.try_turn().is_some());
    }
}
