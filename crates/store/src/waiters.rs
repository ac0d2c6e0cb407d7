//! Who waits for a transaction to become durable.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{
    error::{Result, StoreError},
    transaction::Seq,
};

pub(crate) type Callback = Box<dyn FnOnce(Result<()>) + Send>;

#[derive(Default)]
struct Queue {
    /// For everything up to a transaction. Ascending by its number; equal ones in the order they came.
    waiting: VecDeque<(Seq, Callback)>,
    /// For a transaction alone.
    alone: BTreeMap<Seq, SmallVec<[Callback; 1]>>,
    /// Durable, while something before them is not.
    early: BTreeSet<Seq>,
    /// Set once nothing more becomes durable.
    end: Option<StoreError>,
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
            queue.alone.entry(seq).or_default().push(callback);
            return;
        };
        drop(queue);
        callback(outcome);
    }

    /// Runs `callback` when everything up to `seq` is durable, or will never be.
    pub(crate) fn after(&self, seq: Seq, callback: Callback) {
        if self.durable() >= seq {
            return callback(Ok(()));
        }
        let mut queue = self.queue.lock();
        // Looked at again under the lock, under which `advance` stores it.
        let outcome = if self.durable() >= seq {
            Ok(())
        } else if let Some(error) = &queue.end {
            Err(error.clone())
        } else {
            let at = queue
                .waiting
                .iter()
                .rposition(|(other, _)| *other <= seq)
                .map_or(0, |at| at + 1);
            queue.waiting.insert(at, (seq, callback));
            return;
        };
        drop(queue);
        callback(outcome);
    }

    /// These are durable. Returns the callbacks that waited for them, in order.
    pub(crate) fn advance(&self, done: &[Seq]) -> Vec<Callback> {
        let mut ready: Vec<Callback> = Vec::new();
        let mut queue = self.queue.lock();
        let mut durable = self.durable();
        for seq in done {
            ready.extend(queue.alone.remove(seq).into_iter().flatten());
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
        let alone = std::mem::take(&mut queue.alone).into_values().flatten();
        let waiting = std::mem::take(&mut queue.waiting)
            .into_iter()
            .map(|(_, callback)| callback);
        drop(queue);
        for callback in alone.chain(waiting) {
            callback(Err(error.clone()));
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
