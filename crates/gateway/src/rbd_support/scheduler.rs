//! Doing something to all that there is a schedule for, when its time comes (Ceph
//! `src/pybind/mgr/rbd_support/trash_purge_schedule.py`, `mirror_snapshot_schedule.py`).

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use encoding::Errno;
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use super::{
    Recovery,
    failure::Failure,
    interval::{Interval, StartTime},
    json as python,
    level::{Level, Rules},
    schedule::{Place, Schedules, shown},
    spec::rbd_pools,
};
use crate::rados::{IoCtx, Rados};

/// How often schedules and what they are for are looked at again: others may have changed them.
const REFRESH: Duration = Duration::from_secs(60);

/// A namespace, or an image in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The pool.
    pub pool: i64,
    /// The namespace.
    pub namespace: String,
    /// The image's id.
    pub image: Option<String>,
}

/// What is done by a schedule.
pub trait Job: Rules + Send + Sync + 'static {
    /// Where its schedules are kept.
    const PLACE: Place;
    /// The name of the list that `status` shows.
    const LISTED: &'static str;

    /// All in a pool that it can be done to, with what they are called. `wanted` tells of a namespace whether there may be a
    /// schedule for it.
    ///
    /// # Errors
    /// Of reading.
    fn items(pool: &IoCtx, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<(Item, String)>, Errno>;

    /// Does it.
    ///
    /// # Errors
    /// What keeps it from being done this time.
    fn run(ioctx: &IoCtx, item: &Item) -> Result<(), Errno>;

    /// What `status` shows of something that is to be done.
    fn show(item: &Item, name: &str, time: &str) -> Value;
}

/// What changes.
#[derive(Default)]
struct State {
    schedules: Schedules,
    /// What is to be done when.
    queue: BTreeMap<SystemTime, Vec<Item>>,
    /// All that may be done, with what it is called.
    items: BTreeMap<Item, String>,
    refreshed: Option<Instant>,
}

impl State {
    fn enqueue(&mut self, now: SystemTime, item: &Item) {
        let schedule = self
            .schedules
            .find(item.pool, &item.namespace, item.image.as_deref());
        let Some(at) = schedule.and_then(|s| s.next_run(now)) else {
            return;
        };
        let slot = self.queue.entry(at).or_default();
        if !slot.contains(item) {
            slot.push(item.clone());
        }
    }

    /// After a change of schedules. What is due stays so.
    fn rebuild(&mut self, now: SystemTime) {
        self.queue.retain(|at, _| *at <= now);
        let items: Vec<Item> = self.items.keys().cloned().collect();
        for item in items {
            self.enqueue(now, &item);
        }
    }

    /// After a look at what there is.
    fn replace(&mut self, items: BTreeMap<Item, String>, now: SystemTime) {
        for slot in self.queue.values_mut() {
            slot.retain(|item| items.contains_key(item));
        }
        self.queue.retain(|_, slot| !slot.is_empty());
        let before = std::mem::replace(&mut self.items, items);
        let new: Vec<Item> = self
            .items
            .keys()
            .filter(|item| !before.contains_key(item))
            .cloned()
            .collect();
        for item in new {
            self.enqueue(now, &item);
        }
    }

    /// Something that is due; or how long it is till then.
    fn dequeue(&mut self, now: SystemTime) -> Result<Item, Duration> {
        let Some(mut slot) = self.queue.first_entry() else {
            return Err(REFRESH);
        };
        if let Ok(wait) = slot.key().duration_since(now)
            && !wait.is_zero()
        {
            return Err(wait);
        }
        let item = slot.get_mut().pop();
        if slot.get().is_empty() {
            slot.remove();
        }
        item.ok_or(Duration::ZERO)
    }
}

/// The schedules of one kind, and what they lead to.
pub struct Scheduler<J> {
    rados: Arc<Rados>,
    recovery: Arc<Recovery>,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
    job: PhantomData<J>,
}

impl<J: Job> Scheduler<J> {
    /// Reads the schedules.
    ///
    /// # Errors
    /// ESHUTDOWN if the client is shut out.
    pub fn load(rados: &Arc<Rados>, recovery: &Arc<Recovery>) -> Result<Arc<Self>, Errno> {
        let scheduler = Arc::new(Self {
            rados: Arc::clone(rados),
            recovery: Arc::clone(recovery),
            state: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            job: PhantomData,
        });
        scheduler.refresh(&mut scheduler.state.lock())?;
        Ok(scheduler)
    }

    /// Does what is due until told to stop.
    pub fn run(&self) {
        while !self.is_stopped() {
            if let Err(error) = self.turn() {
                if error == Errno::EBLOCKLISTED {
                    if !self.is_stopped() {
                        self.recovery.request();
                    }
                    return;
                }
                tracing::error!(%error, list = J::LISTED, "schedules could not be looked after");
            }
        }
    }

    /// Has [`Self::run`] end.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
        let _state = self.state.lock();
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    fn turn(&self) -> Result<(), Errno> {
        let item = {
            let mut state = self.state.lock();
            let refresh_in = state
                .refreshed
                .map_or(Duration::ZERO, |at| REFRESH.saturating_sub(at.elapsed()));
            if refresh_in.is_zero() {
                self.refresh(&mut state)?;
            }
            match state.dequeue(SystemTime::now()) {
                Ok(item) => item,
                Err(wait) => {
                    if !self.is_stopped() {
                        let wait = wait.min(refresh_in).max(Duration::from_millis(10));
                        self.changed.wait_for(&mut state, wait);
                    }
                    return Ok(());
                }
            }
        };
        self.attempt(&item)?;
        self.state.lock().enqueue(SystemTime::now(), &item);
        Ok(())
    }

    fn attempt(&self, item: &Item) -> Result<(), Errno> {
        let outcome = self.rados.open_pool_id(item.pool).and_then(|pool| {
            let ioctx = pool.with_namespace(item.namespace.clone());
            J::run(&ioctx, item)
        });
        match outcome {
            Err(Errno::EBLOCKLISTED) => Err(Errno::EBLOCKLISTED),
            Err(error) => {
                tracing::warn!(%error, ?item, "what a schedule is for could not be done");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Looks at the schedules, and at what they are for.
    fn refresh(&self, state: &mut State) -> Result<(), Errno> {
        state.refreshed = Some(Instant::now());
        state.schedules = Schedules::load::<J>(&self.rados, J::PLACE)?;
        let mut items = BTreeMap::new();
        for (id, name) in rbd_pools(self.rados.cluster()) {
            if !state.schedules.intersect(&Level::of_pool(id, &name, None)) {
                continue;
            }
            let wanted = |ns: &str| state.schedules.intersect(&Level::of_pool(id, &name, Some(ns)));
            let found = self
                .rados
                .open_pool_id(id)
                .and_then(|pool| J::items(&pool, &wanted));
            match found {
                Ok(found) => items.extend(found),
                Err(Errno::EBLOCKLISTED) => return Err(Errno::EBLOCKLISTED),
                Err(Errno::ENOENT) => {}
                Err(error) => tracing::error!(%error, pool = name, "a pool could not be looked at"),
            }
        }
        state.replace(items, SystemTime::now());
        Ok(())
    }

    fn level(&self, name: &str) -> Result<Level, Failure> {
        Level::from_name::<J>(&self.rados, name)
    }

    /// Adds times to the schedule of a level.
    ///
    /// # Errors
    /// EINVAL if the level is not there, or these are no times.
    pub fn add(&self, level: &str, interval: &str, start: Option<&str>) -> Result<(), Failure> {
        let level = self.level(level)?;
        let item = times(interval, start)?;
        let mut state = self.state.lock();
        state.schedules.add(&self.rados, J::PLACE, level, item)?;
        state.rebuild(SystemTime::now());
        self.changed.notify_all();
        Ok(())
    }

    /// Removes times from the schedule of a level, or all of it.
    ///
    /// # Errors
    /// EINVAL if the level is not there, or these are no times.
    pub fn remove(&self, level: &str, interval: Option<&str>, start: Option<&str>) -> Result<(), Failure> {
        let level = self.level(level)?;
        let start = start.map(StartTime::parse).transpose()?;
        let item = interval.map(Interval::parse).transpose()?.map(|i| (i, start));
        let mut state = self.state.lock();
        state.schedules.remove(&self.rados, J::PLACE, &level, item)?;
        state.rebuild(SystemTime::now());
        self.changed.notify_all();
        Ok(())
    }

    /// The schedules of a level and within it, as JSON.
    ///
    /// # Errors
    /// EINVAL if the level is not there.
    pub fn list(&self, level: &str) -> Result<String, Failure> {
        let level = self.level(level)?;
        Ok(python::pretty(&self.state.lock().schedules.to_value(&level)))
    }

    /// What is to be done next within a level, as JSON.
    ///
    /// # Errors
    /// EINVAL if the level is not there.
    pub fn status(&self, level: &str) -> Result<String, Failure> {
        let level = self.level(level)?;
        let state = self.state.lock();
        let mut listed = Vec::new();
        for (at, items) in &state.queue {
            for item in items {
                let name = state.items.get(item).map_or("", String::as_str);
                if level.matches(item.pool, &item.namespace, item.image.as_deref()) {
                    listed.push(J::show(item, name, &shown(*at)));
                }
            }
        }
        Ok(python::pretty(&json!({ J::LISTED: listed })))
    }
}

fn times(interval: &str, start: Option<&str>) -> Result<(Interval, Option<StartTime>), Failure> {
    Ok((
        Interval::parse(interval)?,
        start.map(StartTime::parse).transpose()?,
    ))
}
