//! Who waits for a transaction to become durable.

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::{
    error::{Result, StoreError},
    transaction::Seq,
};

/// Who waits for a transaction. Whatever is in a box already needs no other one to wait.
pub trait Waiter: Send {
    /// It is durable, or will never be.
    fn told(self: Box<Self>, outcome: Result<()>);
}

impl<F: FnOnce(Result<()>) + Send> Waiter for F {
    fn told(self: Box<Self>, outcome: Result<()>) {
        self(outcome);
    }
}

pub(crate) type Callback = Box<dyn Waiter>;

#[derive(Default)]
struct Queue {
    /// For everything up to a transaction. Ascending by its number; equal ones in the order they came.
    waiting: VecDeque<(Seq, Callback)>,
    /// For a transaction alone. In the same order.
    alone: VecDeque<(Seq, Callback)>,
    /// Durable, while something before them is not.
    early: BTreeSet<Seq>,
    /// Set once nothing more becomes durable.
    end: Option<StoreError>,
}

/// Adds a callback to those that are ascending by their transaction: most often it is the last.
fn insert(waiting: &mut VecDeque<(Seq, Callback)>, seq: Seq, callback: Callback) {
    let before = waiting.iter().rposition(|(other, _)| *other <= seq);
    waiting.insert(before.map_or(0, |at| at + 1), (seq, callback));
}

/// Takes those of one transaction: most often they are the first.
fn take(waiting: &mut VecDeque<(Seq, Callback)>, seq: Seq, ready: &mut Vec<Callback>) {
    let first = waiting.partition_point(|(other, _)| *other < seq);
    while waiting.get(first).is_some_and(|(other, _)| *other == seq) {
        ready.extend(waiting.remove(first).map(|(_, callback)| callback));
    }
}

/// Callbacks by the transaction they wait for.
#[derive(Default)]
pub(crate) struct Waiters {
    durable: AtomicU64,
    queue: Mutex<Queue>,
}

impl Waiters {
    pub(crate) fn new(durable: Seq) -> Self {
        Self {
            durable: AtomicU64::new(durable),
            queue: Mutex::default(),
        }
    }

    pub(crate) fn durable(&self) -> Seq {
        self.durable.load(Ordering::Acquire)
    }

    /// Whether a transaction is durable.
    pub(crate) fn is_durable(&self, seq: Seq) -> bool {
        self.durable() >= seq || self.queue.lock().early.contains(&seq)
    }

    /// Runs `callback` when `seq` is durable, or will never be.
    pub(crate) fn after_alone(&self, seq: Seq, callback: Callback) {
        let mut queue = self.queue.lock();
        let outcome = if self.durable() >= seq || queue.early.contains(&seq) {
            Ok(())
        } else if let Some(error) = &queue.end {
            Err(error.clone())
        } else {
            return insert(&mut queue.alone, seq, callback);
        };
        drop(queue);
        callback.told(outcome);
    }

    /// Runs `callback` when everything up to `seq` is durable, or will never be.
    pub(crate) fn after(&self, seq: Seq, callback: Callback) {
        if self.durable() >= seq {
            return callback.told(Ok(()));
        }
        let mut queue = self.queue.lock();
        // Looked at again under the lock, under which `advance` stores it.
        let outcome = if self.durable() >= seq {
            Ok(())
        } else if let Some(error) = &queue.end {
            Err(error.clone())
        } else {
            return insert(&mut queue.waiting, seq, callback);
        };
        drop(queue);
        callback.told(outcome);
    }

    /// These are durable. Returns the callbacks that waited for them, in order.
    pub(crate) fn advance(&self, done: &[Seq]) -> Vec<Callback> {
        let mut ready = Vec::with_capacity(done.len());
        let mut queue = self.queue.lock();
        let mut durable = self.durable();
        for seq in done {
            take(&mut queue.alone, *seq, &mut ready);
            if *seq == durable + 1 {
                durable = *seq;
                while queue.early.remove(&(durable + 1)) {
                    durable += 1;
                }
            } else {
                queue.early.insert(*seq);
            }
        }
        self.durable.store(durable, Ordering::Release);
        let count = queue.waiting.partition_point(|(seq, _)| *seq <= durable);
        ready.extend(queue.waiting.drain(..count).map(|(_, callback)| callback));
        ready
    }

    /// Nothing more becomes durable: tells everybody who waits now or later.
    pub(crate) fn end(&self, error: StoreError) {
        let mut queue = self.queue.lock();
        queue.end.get_or_insert(error.clone());
        let alone = std::mem::take(&mut queue.alone);
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for (_, callback) in alone.into_iter().chain(waiting) {
            callback.told(Err(error.clone()));
        }
    }
}

#[derive(Default)]
struct Shared {
    outcome: Option<Result<()>>,
    waker: Option<Waker>,
}

/// Resolves when a transaction and everything before it is durable. Made by [`crate::Store::durable_at`].
#[must_use = "futures do nothing unless polled"]
pub struct DurableAt {
    shared: Arc<Mutex<Shared>>,
}

impl DurableAt {
    pub(crate) fn new(waiters: &Waiters, seq: Seq) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let told = Arc::clone(&shared);
        waiters.after(
            seq,
            Box::new(move |outcome| {
                let mut shared = told.lock();
                shared.outcome = Some(outcome);
                let waker = shared.waker.take();
                drop(shared);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }),
        );
        Self { shared }
    }
}

impl Future for DurableAt {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut shared = self.shared.lock();
        if let Some(outcome) = &shared.outcome {
            return Poll::Ready(outcome.clone());
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
