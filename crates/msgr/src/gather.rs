//! Answers that become known together are written together: one write for each session, not one for each answer.

use std::{cell::RefCell, sync::Arc};

use encoding::RawMessage;

use crate::session::Session;

thread_local! {
    /// The sessions that this thread has answers for, while it gathers.
    static GATHERING: RefCell<Option<Vec<Arc<Session>>>> = const { RefCell::new(None) };
}

/// Writes what was gathered however the scope is left.
struct Scope;

impl Drop for Scope {
    fn drop(&mut self) {
        let sessions = GATHERING.take().unwrap_or_default();
        for session in sessions {
            session.flush_queued();
        }
    }
}

/// Runs `work`; what it sends with [`Session::send_gathered`] on this thread is written at its end. A scope within another one ends
/// with the outer.
pub fn gather<R>(work: impl FnOnce() -> R) -> R {
    let outermost = GATHERING.with_borrow_mut(|gathering| match gathering {
        Some(_) => false,
        None => {
            *gathering = Some(Vec::new());
            true
        }
    });
    // Not `then_some`: a guard that is made ends the scope when it goes.
    let _scope = match outermost {
        true => Some(Scope),
        false => None,
    };
    work()
}

impl Session {
    /// Sends a message as [`Session::send`] does, with others that this thread sends within [`gather`].
    pub fn send_gathered(self: &Arc<Self>, message: RawMessage) {
        if !self.queue(message) {
            return;
        }
        let gathered = GATHERING.with_borrow_mut(|gathering| {
            let Some(sessions) = gathering else { return false };
            // Who asks much has its answers in a row.
            if !sessions.last().is_some_and(|last| Arc::ptr_eq(last, self)) {
                sessions.push(Arc::clone(self));
            }
            true
        });
        if !gathered {
            self.flush_queued();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn scopes_nest_and_end_with_the_outer() {
        gather(|| {
            gather(|| ());
            assert!(GATHERING.with_borrow(Option::is_some));
        });
        assert!(GATHERING.with_borrow(Option::is_none));
    }

    #[test]
    fn a_scope_ends_with_a_panic() {
        let calls = AtomicUsize::new(0);
        let panicked = std::panic::catch_unwind(|| {
            gather(|| {
                calls.fetch_add(1, Ordering::Relaxed);
                panic!("within the scope");
            });
        });
        assert!(panicked.is_err() && calls.into_inner() == 1);
        assert!(GATHERING.with_borrow(Option::is_none));
    }
}
