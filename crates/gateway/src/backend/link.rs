//! What it takes to work on a CurveBS cluster.

use std::{future::Future, io, sync::Arc};

use curve::{Client, Config, Identity};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};

use super::health::Health;
use crate::config::CurveSettings;

/// A client of a cluster with the runtime that it works on.
pub(super) struct Link {
    /// Works on behalf of the gateway's owner.
    pub(super) client: Client,
    pub(super) settings: CurveSettings,
    pub(super) handle: Handle,
    pub(super) health: Arc<Health>,
    /// Taken when this is dropped, which may happen in a place where a runtime must not be.
    runtime: Option<Runtime>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Link {
    /// Nothing is asked of the cluster yet.
    ///
    /// # Errors
    /// If there are no threads to be had, or no MDS is named.
    pub(super) fn new(settings: &CurveSettings) -> io::Result<Self> {
        let identity = match &settings.password {
            Some(password) => Identity::root(&settings.owner, password),
            None => Identity::owner(&settings.owner),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("curve")
            .enable_all()
            .build()?;
        Ok(Self {
            client: Client::new(Config::new(settings.mds.clone(), identity))?,
            settings: settings.clone(),
            handle: runtime.handle().clone(),
            health: Arc::default(),
            runtime: Some(runtime),
        })
    }

    /// Waits on a thread that may wait, or on one of a runtime that serves others.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        match Handle::try_current() {
            Ok(here) if here.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| self.handle.block_on(work))
            }
            _ => self.handle.block_on(work),
        }
    }
}
