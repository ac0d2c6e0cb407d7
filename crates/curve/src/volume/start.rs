//! Reads and writes for callers that do not await them.

use std::{
    future::Future,
    task::{Context, Poll, Waker},
};

use tokio::runtime::Handle;

use super::Volume;
use crate::{buffers::Buffers, error::Result};

impl Volume {
    /// [`Volume::read`], of which `done` is told, on a thread of the runtime. The request is sent from the calling thread if nothing
    /// is in its way, so that no other thread has to run first.
    pub fn start_read(
        &self,
        runtime: &Handle,
        offset: u64,
        len: usize,
        done: impl FnOnce(Result<Buffers>) + Send + 'static,
    ) {
        let this = self.clone();
        start(runtime, async move { this.read(offset, len).await }, done);
    }

    /// [`Volume::write`], of which `done` is told, on a thread of the runtime. Takes its place in the order when it is called, and
    /// is sent from the calling thread if nothing is in its way.
    pub fn start_write<D: Into<Buffers>>(
        &self,
        runtime: &Handle,
        offset: u64,
        data: D,
        done: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let data = data.into();
        let inner = self.inner.clone();
        let checked = inner.check(offset, data.len() as u64);
        let turn = inner
            .order
            .enqueue(offset..offset.saturating_add(data.len() as u64));
        start(
            runtime,
            async move {
                checked?;
                inner.write(offset, data, turn).await
            },
            done,
        );
    }
}

/// Begins some work here, and has the runtime do the rest of it.
fn start<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
    done: impl FnOnce(T) + Send + 'static,
) {
    let mut work = Box::pin(work);
    let _entered = runtime.enter();
    // Its wakers are asked for once more when the runtime polls it.
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => drop(runtime.spawn(async move { done(result) })),
        Poll::Pending => drop(runtime.spawn(async move { done(work.await) })),
    }
}
