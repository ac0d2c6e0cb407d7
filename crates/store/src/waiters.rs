//! Who waits for a transaction to become durable.

use std::{
    collections::VecDeque,
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

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

#[derive(Default)]
struct Queue {
    /// Ascending by sequence number; equal ones in the order they came.
    waiting: VecDeque<(Seq, Callback)>,
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

    /// Runs `callback` when everything up to `seq` is durable, or will never be.
    pub(crate) fn after(&self, seq: Seq, callback: Callback) {
        if self.durable() >= seq {
            return callback(Ok(()));
        }
        let mut queue = self.queue.lock();
        // Looked at again under the lock: `advance` stores it before it takes the lock.
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

    /// Everything up to `seq` is durable: runs the callbacks that waited for it, in order.
    pub(crate) fn advance(&self, seq: Seq) {
        self.durable.store(seq, Ordering::Release);
        let mut queue = self.queue.lock();
        let ready = queue
            .waiting
            .iter()
            .position(|(other, _)| *other > seq)
            .unwrap_or(queue.waiting.len());
        let ready: Vec<_> = queue.waiting.drain(..ready).collect();
        drop(queue);
        for (_, callback) in ready {
            callback(Ok(()));
        }
    }

    /// Nothing more becomes durable: tells everybody who waits now or later.
    pub(crate) fn end(&self, error: StoreError) {
        let mut queue = self.queue.lock();
        queue.end.get_or_insert(error.clone());
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for (_, callback) in waiting {
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
