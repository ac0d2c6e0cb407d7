//! Reads and writes for callers that do not await them.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake},
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
        let write = self.place_write(offset, data.into());
        start(runtime, async move { write?.await }, done);
    }
}

/// Begins some work here, and has the runtime do the rest of it when it can go on: nobody is woken before.
fn start<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
    done: impl FnOnce(T) + Send + 'static,
) {
    let mut work = Box::pin(work);
    let begun = Arc::new(Begun {
        runtime: runtime.clone(),
        rest: Mutex::new(Rest::Running),
    });
    let _entered = runtime.enter();
    match work
        .as_mut()
        .poll(&mut Context::from_waker(&begun.clone().into()))
    {
        Poll::Ready(result) => drop(runtime.spawn(async move { done(result) })),
        Poll::Pending => begun.keep(Box::pin(async move { done(work.await) })),
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that was polled once. Whoever wakes it gives it to the runtime.
struct Begun {
    runtime: Handle,
    rest: Mutex<Rest>,
}

enum Rest {
    /// It is being polled.
    Running,
    /// It was woken meanwhile.
    Woken,
    Waiting(Work),
    /// The runtime has it.
    Given,
}

impl Begun {
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, work: Work) {
        let mut rest = self.rest();
        if let Rest::Running = *rest {
            *rest = Rest::Waiting(work);
            return;
        }
        drop(rest);
        self.runtime.spawn(work);
    }
}

impl Wake for Begun {
    fn wake(self: Arc<Self>) {
        let mut rest = self.rest();
        match std::mem::replace(&mut *rest, Rest::Given) {
            Rest::Running | Rest::Woken => *rest = Rest::Woken,
            Rest::Waiting(work) => {
                drop(rest);
                self.runtime.spawn(work);
            }
            Rest::Given => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use tokio::{runtime::Runtime, sync::oneshot};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn runtime() -> Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("runtime")
    }

    #[test]
    fn work_begins_where_it_is_started_and_ends_on_the_runtime() {
        let runtime = runtime();
        let here = thread::current().id();
        let (told, tell) = (mpsc::channel(), oneshot::channel());
        let work = async move {
            let began = thread::current().id();
            tell.1.await.map(|()| began)
        };
        let tells = told.0;
        start(runtime.handle(), work, move |began| {
            let _ = tells.send((began, thread::current().id()));
        });
        assert!(told.1.try_recv().is_err(), "it waits");
        tell.0.send(()).expect("it is there");
        let (began, ended) = told.1.recv_timeout(LIMIT).expect("told");
        assert_eq!(began, Ok(here));
        assert_ne!(ended, here);
    }

    #[test]
    fn work_that_is_done_at_once_is_told_on_the_runtime_too() {
        let runtime = runtime();
        let (tells, told) = mpsc::channel();
        start(runtime.handle(), async { 7 }, move |number| {
            let _ = tells.send((number, thread::current().id()));
        });
        let (number, ended) = told.recv_timeout(LIMIT).expect("told");
        assert_eq!(number, 7);
        assert_ne!(ended, thread::current().id());
    }

    #[test]
    fn work_that_is_woken_while_it_begins_goes_on() {
        let runtime = runtime();
        let mut polled = false;
        let itself = std::future::poll_fn(move |context| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let (tells, woken) = mpsc::channel();
        start(runtime.handle(), itself, move |()| {
            let _ = tells.send(());
        });
        woken.recv_timeout(LIMIT).expect("told");
    }

    #[test]
    fn a_time_limit_holds_for_work_that_was_begun_here() {
        let runtime = runtime();
        let (tells, told) = mpsc::channel();
        let work = async {
            let limit = Duration::from_millis(20);
            tokio::time::timeout(limit, std::future::pending::<()>()).await
        };
        start(runtime.handle(), work, move |late: Result<(), _>| {
            let _ = tells.send(late.is_err());
        });
        assert!(told.recv_timeout(LIMIT).expect("told"));
    }
}
