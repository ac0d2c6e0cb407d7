//! Tasks: what users have the manager do to images in the background (Ceph `src/pybind/mgr/rbd_support/task.py`).
//!
//! They are kept in the omap of `rbd_task` in each pool and namespace, and done one after the other in the order in which they
//! came. A task that fails for a reason that may pass is tried again later.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use encoding::{Errno, types::Uuid};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use super::{
    Recovery,
    caller::Caller,
    failure::Failure,
    json,
    progress::Progress,
    spec::{ImageSpec, rbd_pools},
    task::{Action, Refs, Task},
};
use crate::{
    rados::{IoCtx, Rados, ops},
    rbd::directory,
};

/// `RBD_TASK_OID`.
const OID: &[u8] = b"rbd_task";
/// How often tasks that wait for another attempt are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Completed tasks that are remembered: a command that is sent again is answered with the same task.
const MAX_COMPLETED: usize = 50;

/// The tasks of all pools.
pub struct Tasks {
    pub(super) rados: Arc<Rados>,
    pub(super) progress: Arc<Progress>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) state: Mutex<State>,
    added: Condvar,
    stopped: AtomicBool,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By sequence.
    pub(super) tasks: BTreeMap<u64, Task>,
    completed: VecDeque<Task>,
    sequence: u64,
}

impl State {
    fn by_id(&self, id: &str) -> Option<&Task> {
        self.tasks.values().find(|t| t.id == id)
    }

    /// A task that does what is asked for, or did.
    fn find(&self, asked: &Refs) -> Option<&Task> {
        let mut known: Vec<&Task> = self.tasks.values().collect();
        known.sort_by(|a, b| b.id.cmp(&a.id));
        known
            .into_iter()
            .chain(self.completed.iter().rev())
            .find(|t| t.refs.answers(asked))
    }

    /// Forgets a task; one that was done well is remembered for a while.
    pub(super) fn forget(&mut self, sequence: u64) {
        let Some(task) = self.tasks.remove(&sequence) else {
            return;
        };
        if task.failure.is_none() && !task.canceled {
            self.completed.push_back(task);
            if self.completed.len() > MAX_COMPLETED {
                self.completed.pop_front();
            }
        }
    }
}

impl Tasks {
    /// Reads the tasks that are stored. What was completed before, `completed`, is remembered.
    ///
    /// # Errors
    /// ESHUTDOWN if the client is shut out.
    pub fn load(
        rados: &Arc<Rados>,
        progress: &Arc<Progress>,
        recovery: &Arc<Recovery>,
    ) -> Result<Arc<Self>, Errno> {
        let mut state = State::default();
        for (id, name) in rbd_pools(rados.cluster()) {
            match load_pool(rados, id, &name, &mut state) {
                // The pool was deleted meanwhile.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        state.sequence = state.tasks.keys().next_back().copied().unwrap_or(0);
        Ok(Arc::new(Self {
            rados: Arc::clone(rados),
            progress: Arc::clone(progress),
            recovery: Arc::clone(recovery),
            state: Mutex::new(state),
            added: Condvar::new(),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Does what is due until told to stop.
    pub fn run(&self) {
        while !self.is_stopped() {
            let now = SystemTime::now();
            let due: Vec<u64> = {
                let state = self.state.lock();
                let due = state.tasks.values().filter(|t| t.is_due(now));
                due.map(|t| t.sequence).collect()
            };
            for sequence in due {
                if self.is_stopped() {
                    return;
                }
                self.execute(sequence);
            }
            let mut state = self.state.lock();
            let now = SystemTime::now();
            if !self.is_stopped() && !state.tasks.values().any(|t| t.is_due(now)) {
                self.added.wait_for(&mut state, TICK);
            }
        }
    }

    /// Has [`Self::run`] end; what is being done is left for later.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
        let _state = self.state.lock();
        self.added.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    pub(super) fn open(&self, pool: &str, namespace: &str) -> Result<IoCtx, Failure> {
        let ioctx = self.rados.open_pool(pool).map_err(|_| Failure::no_pool(pool))?;
        Ok(ioctx.with_namespace(namespace.to_owned()))
    }

    /// Adds a task that does something to an image, unless there is one that does. `look` finds out the image's id, checks whether
    /// it can be done, and says what it is called. Returns the task as JSON.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn add(
        &self,
        caller: Caller<'_>,
        action: Action,
        text: &str,
        look: impl FnOnce(&IoCtx, &ImageSpec) -> Result<Found, Failure>,
    ) -> Result<String, Failure> {
        let spec = ImageSpec::parse(self.rados.cluster(), text)?;
        caller.authorize(Some(&spec.pool), Some(&spec.namespace))?;
        let ioctx = self.open(&spec.pool, &spec.namespace)?;
        let found = look(&ioctx, &spec)?;
        let by_id = action == Action::TrashRemove;
        let refs = Refs {
            action,
            pool: spec.pool.clone(),
            namespace: spec.namespace.clone(),
            image_name: (!by_id).then(|| spec.image.clone()),
            image_id: if by_id { Some(spec.image.clone()) } else { found.id },
        };
        let mut state = self.state.lock();
        if let Some(task) = state.find(&refs) {
            return Ok(task.to_json());
        }
        let message = found.message?;
        let id = loop {
            let id = Uuid::from_random(rand::random()).to_string();
            if state.by_id(&id).is_none() {
                break id;
            }
        };
        let task = Task::new(state.sequence + 1, id, message, refs);
        let stored = task.to_json();
        let values = BTreeMap::from([(Bytes::from(task.key()), Bytes::from(stored.clone()))]);
        ioctx
            .write(OID, vec![ops::omap_set(&values)])
            .map_err(|e| Failure::rados(e, "Failed to operate write op for oid rbd_task"))?;
        state.sequence = task.sequence;
        state.tasks.insert(task.sequence, task);
        self.added.notify_all();
        Ok(stored)
    }

    /// Removes a task from what is stored. A pool that is gone took it along.
    pub(super) fn remove_stored(&self, task: &Task) -> Result<(), Errno> {
        let Ok(ioctx) = self.open(&task.refs.pool, &task.refs.namespace) else {
            return Ok(());
        };
        match ioctx.write(OID, vec![ops::omap_rm(&[task.key().into()])]) {
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn visible(caller: Caller<'_>, task: &Task) -> bool {
        caller.is_authorized(&task.refs.pool, &task.refs.namespace)
    }

    /// Cancels a task; the one that is being done ends soon.
    ///
    /// # Errors
    /// ENOENT if there is none of that id.
    pub fn cancel(&self, caller: Caller<'_>, id: &str) -> Result<(), Failure> {
        let mut state = self.state.lock();
        let found = state.tasks.values_mut().find(|t| t.id == id);
        let Some(task) = found.filter(|t| Self::visible(caller, t)) else {
            return Err(Failure::new(Errno::ENOENT, format!("No such task {id}")));
        };
        task.canceled = true;
        task.failure = Some("Operation canceled".to_owned());
        self.complete_progress(task);
        let (sequence, in_progress, task) = (task.sequence, task.in_progress, task.clone());
        self.remove_stored(&task)
            .map_err(|e| Failure::rados(e, "Failed to operate write op for oid rbd_task"))?;
        if !in_progress {
            state.forget(sequence);
        }
        Ok(())
    }

    /// All tasks, or one, as JSON.
    ///
    /// # Errors
    /// ENOENT if there is none of that id.
    pub fn list(&self, caller: Caller<'_>, id: Option<&str>) -> Result<String, Failure> {
        let state = self.state.lock();
        let Some(id) = id else {
            let seen = state.tasks.values().filter(|t| Self::visible(caller, t));
            return Ok(json::pretty(&Value::Array(seen.map(Task::to_value).collect())));
        };
        match state.by_id(id).filter(|t| Self::visible(caller, t)) {
            Some(task) => Ok(json::pretty(&task.to_value())),
            None => Err(Failure::new(Errno::ENOENT, format!("No such task {id}"))),
        }
    }

    /// Shows how far a task is in the cluster's status.
    pub(super) fn post_progress(&self, task: &mut Task, progress: f64) {
        let mut refs = task.refs.to_json();
        refs.insert("origin".to_owned(), "rbd_support".into());
        self.progress.update(&task.id, &task.message, progress, refs);
        task.progress_posted = true;
    }

    /// A task is over: it moves to what has ended, also if it was never shown.
    pub(super) fn complete_progress(&self, task: &mut Task) {
        if !task.progress_posted {
            self.post_progress(task, 0.0);
        }
        self.progress.end(&task.id, task.failure.as_deref());
    }
}

/// What was found out of an image that something is to be done to.
#[derive(Debug)]
pub struct Found {
    /// Its id, if it exists.
    pub id: Option<String>,
    /// What the task is called; or why it cannot be done, unless it is under way already.
    pub message: Result<String, Failure>,
}

fn load_pool(rados: &Arc<Rados>, id: i64, name: &str, state: &mut State) -> Result<(), Errno> {
    let pool = rados.open_pool_id(id)?;
    let mut namespaces = vec![Bytes::new()];
    namespaces.extend(directory::namespaces(&pool)?);
    for namespace in namespaces {
        for value in pool.clone().with_namespace(namespace).omap(OID)?.into_values() {
            match std::str::from_utf8(&value).ok().and_then(Task::from_json) {
                Some(task) => drop(state.tasks.insert(task.sequence, task)),
                None => tracing::error!(pool = name, "a stored task cannot be read"),
            }
        }
    }
    Ok(())
}
