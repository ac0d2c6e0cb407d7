//! Doing a task.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime},
};

use encoding::Errno;

use super::{
    failure::{Failure, bytes_literal},
    task::{Action, Task},
    tasks::Tasks,
};
use crate::{
    rados::IoCtx,
    rbd::{self, migration, trash},
};

/// How often the cluster's status is told of progress.
const POST: Duration = Duration::from_secs(1);
/// A task rests as long as it worked, so that clients have at least half of the disk; never shorter or longer than this.
const REST: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));

impl Tasks {
    /// Makes an attempt at a task.
    pub(super) fn execute(&self, sequence: u64) {
        let task = {
            let mut state = self.state.lock();
            let Some(task) = state.tasks.get_mut(&sequence) else {
                return; // it was canceled
            };
            task.in_progress = true;
            task.clone()
        };
        let outcome = match self.open(&task.refs.pool, &task.refs.namespace) {
            Ok(ioctx) => self.attempt(&ioctx, &task),
            // With its pool the image is gone; so is the stored task.
            Err(_) => Outcome::Gone,
        };
        self.conclude(sequence, outcome);
    }

    fn conclude(&self, sequence: u64, outcome: Outcome) {
        let mut state = self.state.lock();
        let Some(task) = state.tasks.get_mut(&sequence) else {
            return;
        };
        task.attempted(SystemTime::now());
        match outcome {
            // Nothing is lost: the task is stored, and the module starts anew.
            Outcome::ShutOut => {
                drop(state);
                if !self.is_stopped() {
                    self.recovery.request();
                }
                return;
            }
            Outcome::Later(why) => {
                tracing::info!(task = task.id, why, "a task is to be tried again");
                task.retry_message = Some(why);
                if task.progress_posted {
                    self.post_progress(task, 0.0);
                }
                return;
            }
            Outcome::Failed(why) => {
                tracing::info!(task = task.id, why, "a task failed");
                task.failure.get_or_insert_with(|| why.to_owned());
            }
            Outcome::Done | Outcome::Gone => {}
        }
        // Who canceled it has completed it, too.
        if !task.canceled {
            self.complete_progress(task);
        }
        let ended = task.clone();
        if outcome_is_stored(&ended)
            && let Err(error) = self.remove_stored(&ended)
        {
            if error == Errno::EBLOCKLISTED {
                drop(state);
                if !self.is_stopped() {
                    self.recovery.request();
                }
                return;
            }
            tracing::error!(task = ended.id, %error, "a task that is done could not be removed");
        }
        state.forget(sequence);
    }

    fn attempt(&self, ioctx: &IoCtx, task: &Task) -> Outcome {
        let clock = Clock::new();
        let progress = |done: u64, of: u64| self.progressed(task, done, of, &clock);
        let name = task.refs.image_name.clone().unwrap_or_default();
        let id = task.refs.image_id.clone().unwrap_or_default();
        let (result, doing, invalid) = match task.refs.action {
            Action::Flatten => (
                rbd::flatten(ioctx, name.as_bytes(), &progress),
                format!("error flattening {}", bytes_literal(&name)),
                Some("Image does not have parent"),
            ),
            Action::Remove => (
                rbd::remove_by_name(ioctx, name.as_bytes(), &progress),
                "error removing image".to_owned(),
                None,
            ),
            Action::TrashRemove => (
                trash::remove(ioctx, &id.into(), false, &progress),
                "error deleting image from trash".to_owned(),
                None,
            ),
            Action::MigrationExecute => (
                migration::execute(ioctx, name.as_bytes(), &progress),
                "error aborting migration".to_owned(),
                Some("Image is not migrating"),
            ),
            Action::MigrationCommit => (
                migration::commit(ioctx, name.as_bytes(), &progress),
                "error aborting migration".to_owned(),
                Some("Image is not migrating or migration not executed"),
            ),
            Action::MigrationAbort => (
                migration::abort(ioctx, name.as_bytes(), &progress),
                "error aborting migration".to_owned(),
                Some("Image is not migrating"),
            ),
        };
        match result {
            Ok(()) | Err(Errno::ECANCELED) => Outcome::Done,
            Err(Errno::ENOENT) => Outcome::Failed("Image does not exist"),
            Err(Errno::EBLOCKLISTED) => Outcome::ShutOut,
            Err(error) => match invalid.filter(|_| error == Errno::EINVAL) {
                Some(why) => Outcome::Failed(why),
                None => Outcome::Later(Failure::rbd(error, doing).text),
            },
        }
    }

    /// Notes how far the task is, and lets clients have their turn.
    fn progressed(&self, task: &Task, done: u64, of: u64, clock: &Clock) -> Result<(), Errno> {
        if self.is_stopped() {
            return Err(Errno::EBLOCKLISTED);
        }
        {
            let mut state = self.state.lock();
            let Some(task) = state.tasks.get_mut(&task.sequence).filter(|t| !t.canceled) else {
                return Err(Errno::ECANCELED);
            };
            task.progress = done as f64 / of.max(1) as f64;
            let progress = task.progress;
            if !task.progress_posted || clock.is_time_to_post() {
                self.post_progress(task, progress);
            }
        }
        clock.rest();
        Ok(())
    }
}

/// A task that was canceled is removed from what is stored by then.
const fn outcome_is_stored(task: &Task) -> bool {
    !task.canceled
}

/// How an attempt went.
enum Outcome {
    /// It is done, or was canceled.
    Done,
    /// It can never be done.
    Failed(&'static str),
    /// It may be done later.
    Later(String),
    /// The client was shut out.
    ShutOut,
    /// Its pool is gone.
    Gone,
}

/// The time that a task takes.
struct Clock {
    worked_since: Cell<Instant>,
    posted: Cell<Instant>,
}

impl Clock {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            worked_since: Cell::new(now),
            posted: Cell::new(now),
        }
    }

    fn is_time_to_post(&self) -> bool {
        let due = self.posted.get().elapsed() >= POST;
        if due {
            self.posted.set(Instant::now());
        }
        due
    }

    fn rest(&self) {
        std::thread::sleep(self.worked_since.get().elapsed().clamp(REST.0, REST.1));
        self.worked_since.set(Instant::now());
    }
}
