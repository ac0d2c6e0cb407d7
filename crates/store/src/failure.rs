//! The end of a store that can promise nothing any more: because a durable write failed, or one of its threads panicked.

use std::{sync::Arc, thread};

use crate::{
    core::Core,
    error::{Result, StoreError},
};

impl Core {
    /// The error that every call returns after a durable write has failed.
    pub(crate) fn check_failed(&self) -> Result<()> {
        match self.failed.get() {
            Some(text) => Err(StoreError::Failed(Arc::clone(text))),
            None => Ok(()),
        }
    }

    /// Stops the store: nothing is acknowledged from now on.
    pub(crate) fn fail(&self, what: &str, error: &StoreError) {
        let text: Arc<str> = Arc::from(format!("{what}: {error}"));
        if self.failed.set(Arc::clone(&text)).is_ok() {
            tracing::error!(dir = %self.options.dir.display(), "the store has failed: {text}");
        }
        // Waiters check under the lock, so taking it once makes sure that they are waiting or have seen it.
        drop(self.order.lock());
        for condvar in [
            &self.work,
            &self.direct_work,
            &self.apply_work,
            &self.checkpoint_work,
            &self.progress,
        ] {
            condvar.notify_all();
        }
        self.waiters.end(StoreError::Failed(text));
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }
}

/// Ends the store if the thread panics while it holds this: what the thread was about is not done, and whoever waits for that would wait for ever.
pub(crate) struct EndsWithPanic<'a> {
    pub(crate) core: &'a Core,
    /// What the thread does.
    pub(crate) what: &'a str,
}

impl Drop for EndsWithPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.core.fail(self.what, &StoreError::Panicked);
        }
    }
}
