//! The manager's module `rbd_support` (Ceph `src/pybind/mgr/rbd_support`): tasks, schedules and statistics of images.
//!
//! As there, it is a RADOS client of the cluster: what it knows lies in the pools' objects, and it can be shut out. Then it
//! starts anew as another client.

pub mod caller;
mod execution;
pub mod failure;
mod interval;
mod json;
mod level;
mod mirror_snapshots;
pub mod perf;
mod progress;
pub mod queueing;
mod schedule;
mod scheduler;
pub mod spec;
mod task;
mod tasks;
mod trash_purge;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use encoding::Errno;
use parking_lot::{Condvar, Mutex, RwLock};

pub use progress::Progress;
pub use tasks::Tasks;

use self::{
    failure::Failure, mirror_snapshots::MirrorSnapshots, perf::Perf, scheduler::Scheduler,
    trash_purge::TrashPurge,
};
use crate::{
    cluster::{BLOCKLIST_EXPIRE, Cluster},
    osd::Osd,
    rados::Rados,
};

/// The module's name, as maps have it.
pub const NAME: &str = "rbd_support";
/// Nobody is shut out for longer, in seconds.
const MAX_EXPIRE: f64 = 1e9;
/// How long to wait before another attempt to start.
const RETRY: Duration = Duration::from_secs(1);

/// Tells the module that its client was shut out.
#[derive(Debug, Default)]
pub struct Recovery {
    wanted: Mutex<bool>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Recovery {
    /// The module is to start anew.
    pub fn request(&self) {
        *self.wanted.lock() = true;
        self.changed.notify_all();
    }

    /// Waits for [`Self::request`], or the end.
    fn wait(&self) {
        let mut wanted = self.wanted.lock();
        while !*wanted && !self.stopped.load(Relaxed) {
            self.changed.wait(&mut wanted);
        }
        *wanted = false;
    }

    /// Waits a while; false if it is the end.
    fn pause(&self, time: Duration) -> bool {
        let mut wanted = self.wanted.lock();
        if !self.stopped.load(Relaxed) {
            self.changed.wait_for(&mut wanted, time);
        }
        !self.stopped.load(Relaxed)
    }
}

/// What runs as one client.
pub struct Handlers {
    /// The client.
    pub rados: Arc<Rados>,
    /// Tasks.
    pub tasks: Arc<Tasks>,
    /// Schedules that empty the trash.
    pub trash_purge: Arc<Scheduler<TrashPurge>>,
    /// Schedules of mirror snapshots.
    pub mirror_snapshots: Arc<Scheduler<MirrorSnapshots>>,
    /// Statistics of images.
    pub perf: Arc<Perf>,
}

impl Handlers {
    /// Starts all that runs by itself.
    fn start(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let spawn = |run: fn(&Self)| {
            let handlers = Arc::clone(self);
            std::thread::spawn(move || run(&handlers))
        };
        vec![
            spawn(|h| h.tasks.run()),
            spawn(|h| h.trash_purge.run()),
            spawn(|h| h.mirror_snapshots.run()),
            spawn(|h| h.perf.run()),
        ]
    }

    fn stop(&self) {
        self.tasks.stop();
        self.trash_purge.stop();
        self.mirror_snapshots.stop();
        self.perf.stop();
    }
}

/// The module.
pub struct RbdSupport {
    cluster: Arc<Cluster>,
    osd: Arc<Osd>,
    progress: Arc<Progress>,
    recovery: Arc<Recovery>,
    handlers: RwLock<Option<Arc<Handlers>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for RbdSupport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RbdSupport").finish_non_exhaustive()
    }
}

impl RbdSupport {
    /// The module of a cluster; it does nothing before [`Self::start`].
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, osd: Arc<Osd>) -> Arc<Self> {
        Arc::new(Self {
            cluster,
            osd,
            progress: Arc::default(),
            recovery: Arc::default(),
            handlers: RwLock::new(None),
            thread: Mutex::new(None),
        })
    }

    /// What is in progress.
    #[must_use]
    pub const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Starts the module on threads of its own.
    pub fn start(self: &Arc<Self>) {
        let module = Arc::clone(self);
        *self.thread.lock() = Some(std::thread::spawn(move || module.run()));
    }

    /// Ends the module, and waits for what it does to be at a point where it can be taken up again. Blocks.
    pub fn stop(&self) {
        self.recovery.stopped.store(true, Relaxed);
        self.recovery.request();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the module rbd_support panicked");
        }
    }

    fn run(&self) {
        while !self.recovery.stopped.load(Relaxed) {
            match self.run_as_one_client() {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the module rbd_support could not start: it is tried again");
                    if !self.recovery.pause(RETRY) {
                        return;
                    }
                }
            }
        }
    }

    /// Runs until the client is shut out, or the end.
    fn run_as_one_client(&self) -> Result<(), Errno> {
        let failed = |error| {
            tracing::error!(%error, "the cluster's state could not be changed");
            Errno::EIO
        };
        let lifetime = self
            .cluster
            .option_number(BLOCKLIST_EXPIRE)
            .clamp(0.0, MAX_EXPIRE);
        let lifetime = Duration::from_secs_f64(lifetime);
        self.cluster.fence_former_mgr_clients(lifetime).map_err(failed)?;
        let rados = Rados::connect(&self.cluster, &self.osd)?;
        let registered = |on: bool| {
            let addrs = on.then(|| rados.addrs().clone());
            self.cluster.set_mgr_client(NAME, addrs).map_err(failed)
        };
        registered(true)?;
        let tasks = Tasks::load(&rados, &self.progress, &self.recovery)?;
        let handlers = Arc::new(Handlers {
            rados: Arc::clone(&rados),
            trash_purge: Scheduler::load(&rados, &self.recovery)?,
            mirror_snapshots: Scheduler::load(&rados, &self.recovery)?,
            perf: Perf::new(&rados, &self.osd, &self.recovery),
            tasks,
        });
        *self.handlers.write() = Some(Arc::clone(&handlers));
        let threads = handlers.start();
        self.recovery.wait();
        *self.handlers.write() = None;
        handlers.stop();
        rados.stop();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the module rbd_support panicked");
            }
        }
        if !self.recovery.stopped.load(Relaxed) {
            tracing::info!(client = %rados.addrs(), "the client of the module rbd_support was shut out: it starts anew");
        }
        drop(handlers);
        registered(false)
    }

    /// Runs a command with the latest map. `doing` is given what runs.
    ///
    /// # Errors
    /// EAGAIN while the module starts, and once its client is found to be shut out.
    pub fn command<T>(&self, doing: impl FnOnce(&Handlers) -> Result<T, Failure>) -> Result<T, Failure> {
        let Some(handlers) = self.handlers.read().clone() else {
            let text = "rbd_support module is not ready, try again";
            return Err(Failure::new(Errno::EAGAIN, text));
        };
        let outcome = if handlers.rados.is_blocklisted() {
            Err(Failure::rados(
                Errno::EBLOCKLISTED,
                "error waiting for the latest map",
            ))
        } else {
            doing(&handlers)
        };
        outcome.map_err(|failure| {
            if failure.errno != Errno::EBLOCKLISTED {
                return failure;
            }
            self.recovery.request();
            Failure::new(Errno::EAGAIN, failure.text)
        })
    }
}
