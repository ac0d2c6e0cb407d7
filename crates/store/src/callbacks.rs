//! Telling those who waited that their transactions are durable.
//!
//! Whoever writes the journal tells them itself, as long as nothing else waits to be journaled: that is the shortest way. Under load it takes longer to
//! answer all transactions of a batch than the disk needs for a quarter of the next one. So a thread of its own tells them then, and the next batch is written meanwhile.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{options::Around, waiters::Callback};

#[derive(Default)]
struct State {
    /// In the order in which they became ready.
    ready: Vec<Callback>,
    /// The thread runs some that it has taken.
    running: bool,
    /// There is no thread, or it ends once it has run what is ready.
    ended: bool,
}

/// What is ready to be told, and by whom.
pub(crate) struct Callbacks {
    /// Runs those that are ready together.
    around: Option<Around>,
    state: Mutex<State>,
    work: Condvar,
}

impl Callbacks {
    /// `threaded`: a thread runs [`Self::run_thread`].
    pub(crate) fn new(around: Option<Around>, threaded: bool) -> Self {
        let state = State {
            ended: !threaded,
            ..State::default()
        };
        Self {
            around,
            state: Mutex::new(state),
            work: Condvar::new(),
        }
    }

    /// Runs callbacks, after those of the calls before. `busy`: the caller has other things to do, if the thread can run them. One
    /// caller at a time.
    pub(crate) fn run(&self, ready: Vec<Callback>, busy: bool) {
        if ready.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let at_work = state.running || !state.ready.is_empty();
        if !at_work && (state.ended || !busy) {
            drop(state);
            return self.run_now(ready).unwrap_or_else(|panic| resume_unwind(panic));
        }
        state.ready.extend(ready);
        drop(state);
        if !at_work {
            self.work.notify_one();
        }
    }

    /// No more callbacks come: the thread ends once it has run what is ready.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.work.notify_one();
    }

    /// The thread's work.
    pub(crate) fn run_thread(&self) {
        let mut state = self.state.lock();
        loop {
            let ready = mem::take(&mut state.ready);
            if !ready.is_empty() {
                state.running = true;
                let ran = MutexGuard::unlocked(&mut state, || self.run_now(ready));
                state.running = false;
                if let Err(panic) = ran {
                    // Whoever has more to tell does so itself, behind what is left, until the store has ended with this thread.
                    state.ended = true;
                    // The first panic says enough.
                    let _ = self.run_now(mem::take(&mut state.ready));
                    resume_unwind(panic);
                }
            } else if state.ended {
                return;
            } else {
                self.work.wait(&mut state);
            }
        }
    }

    /// Tells all, also if one of them panics: somebody may wait for each. The error is what it panicked with.
    fn run_now(&self, mut ready: Vec<Callback>) -> thread::Result<()> {
        let mut outcome = Ok(());
        let mut all = || {
            for callback in ready.drain(..) {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback.told(Ok(())))) {
                    outcome = Err(panic);
                }
            }
        };
        match &self.around {
            Some(around) => around(&mut all),
            None => all(),
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::error::Result;

    /// One that sends a number and the thread that it ran on.
    fn telling(told: &mpsc::Sender<(u32, thread::ThreadId)>, number: u32) -> Callback {
        let told = told.clone();
        Box::new(move |outcome: Result<()>| {
            outcome.expect("durable");
            told.send((number, thread::current().id()))
                .expect("the test waits");
        })
    }

    fn runs_them_itself(callbacks: &Callbacks, busy: bool) {
        let (told, heard) = mpsc::channel();
        callbacks.run(vec![telling(&told, 1)], busy);
        assert_eq!(heard.try_recv(), Ok((1, thread::current().id())));
    }

    #[test]
    fn who_has_nothing_else_to_do_runs_them_itself() {
        runs_them_itself(&Callbacks::new(None, true), false);
    }

    #[test]
    fn without_a_thread_who_is_busy_runs_them_itself() {
        runs_them_itself(&Callbacks::new(None, false), true);
    }

    #[test]
    fn the_thread_runs_those_of_who_is_busy_and_all_behind_them_in_order() {
        let callbacks = Callbacks::new(None, true);
        let (told, heard) = mpsc::channel();
        callbacks.run(vec![telling(&told, 1), telling(&told, 2)], true);
        callbacks.run(vec![telling(&told, 3)], false);
        callbacks.end();
        assert!(heard.try_recv().is_err(), "nobody has run them");
        let callbacks = Arc::new(callbacks);
        let on_thread = Arc::clone(&callbacks);
        let thread = thread::spawn(move || on_thread.run_thread());
        let id = thread.thread().id();
        let expected = [(1, id), (2, id), (3, id)];
        thread.join().expect("the thread ends");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), expected);
    }

    /// One that panics.
    fn panicking() -> Callback {
        Box::new(|_: Result<()>| panic!("a callback, on purpose"))
    }

    #[test]
    fn what_was_ready_with_or_behind_one_that_panics_is_told_all_the_same() {
        let callbacks = Callbacks::new(None, true);
        let (told, heard) = mpsc::channel();
        callbacks.run(vec![panicking(), telling(&told, 1)], true);
        callbacks.run(vec![telling(&told, 2)], true);
        let ended = catch_unwind(AssertUnwindSafe(|| callbacks.run_thread()));
        assert!(ended.is_err());
        runs_them_itself(&callbacks, true);
        let numbers: Vec<u32> = heard.try_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn those_that_are_ready_together_run_within_one_call() {
        let (called, calls) = mpsc::channel();
        let around: Around = Arc::new(move |all| {
            called.send(()).expect("the test waits");
            all();
        });
        let callbacks = Callbacks::new(Some(around), true);
        let (told, heard) = mpsc::channel();
        callbacks.run(vec![telling(&told, 1)], true);
        callbacks.run(vec![telling(&told, 2)], true);
        callbacks.end();
        callbacks.run_thread();
        assert_eq!(heard.try_iter().count(), 2);
        assert_eq!(calls.try_iter().count(), 1);
    }
}
