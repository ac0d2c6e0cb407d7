//! Giving back what devices hold for nothing: segments without data, and devices of deleted volumes.
//!
//! One thread does it, behind everything else. What fails is tried again later; deletions are recorded, so that a restart does not
//! forget them.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    core::Core,
    device::Device,
    error::Result,
    map,
    remote::{PlaceRecord, Remote},
    transaction::{Transaction, VolumeId},
    volume::Volume,
};

/// How long to wait before something that failed is tried again.
const AGAIN: Duration = Duration::from_secs(15);
/// How long to wait for changes of a segment to get through.
const SOON: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Work {
    /// Segments that may hold no data any more, and when to look.
    segments: BTreeSet<(Instant, VolumeId, u64)>,
    /// Devices to be removed.
    doomed: Vec<(Instant, VolumeId, Arc<dyn Device>)>,
    closing: bool,
}

/// What is to be given back.
#[derive(Default)]
pub(crate) struct Reclaim {
    work: Mutex<Work>,
    wake: Condvar,
}

enum Job {
    Segment(VolumeId, u64),
    Device(VolumeId, Arc<dyn Device>),
}

impl Reclaim {
    /// The segments around pages that hold no data any more.
    pub(crate) fn pages_emptied(&self, pages: &[(VolumeId, u64)], segment: impl Fn(VolumeId) -> u64) {
        let mut work = self.work.lock();
        for (volume, page) in pages {
            let size = segment(*volume);
            if size > 0 && size.is_multiple_of(map::PAGE) {
                let start = page / size * size;
                if !work.segments.iter().any(|(_, v, s)| (*v, *s) == (*volume, start)) {
                    work.segments.insert((Instant::now() + SOON, *volume, start));
                }
            }
        }
        drop(work);
        self.wake.notify_one();
    }

    /// The device of a deleted volume.
    pub(crate) fn doom(&self, id: VolumeId, device: Arc<dyn Device>) {
        self.work.lock().doomed.push((Instant::now(), id, device));
        self.wake.notify_one();
    }

    pub(crate) fn close(&self) {
        self.work.lock().closing = true;
        self.wake.notify_one();
    }

    fn next(&self) -> Option<Job> {
        let mut work = self.work.lock();
        loop {
            if work.closing {
                return None;
            }
            let now = Instant::now();
            if let Some(at) = work.doomed.iter().position(|(due, ..)| *due <= now) {
                let (_, id, device) = work.doomed.swap_remove(at);
                return Some(Job::Device(id, device));
            }
            if work.segments.first().is_some_and(|(due, ..)| *due <= now)
                && let Some((_, volume, start)) = work.segments.pop_first()
            {
                return Some(Job::Segment(volume, start));
            }
            self.wake.wait_for(&mut work, SOON);
        }
    }
}

/// The thread.
pub(crate) fn run_reclaim(core: &Arc<Core>) {
    while let Some(job) = core.reclaim.next() {
        if core.has_failed() {
            return;
        }
        match job {
            Job::Device(id, device) => remove_device(core, id, device),
            Job::Segment(id, start) => {
                let wait = match give_back(core, id, start) {
                    Ok(true) => continue,
                    Ok(false) => SOON,
                    Err(error) => {
                        tracing::warn!(%error, volume = %id, start, "a segment cannot be given back yet");
                        AGAIN
                    }
                };
                let mut work = core.reclaim.work.lock();
                work.segments.insert((Instant::now() + wait, id, start));
            }
        }
    }
}

fn remove_device(core: &Arc<Core>, id: VolumeId, device: Arc<dyn Device>) {
    if let Err(error) = device.delete() {
        tracing::warn!(%error, volume = %id, "the device of a deleted volume cannot be removed yet");
        let mut work = core.reclaim.work.lock();
        work.doomed.push((Instant::now() + AGAIN, id, device));
        return;
    }
    let mut tx = Transaction::new();
    tx.ops.push(PlaceRecord::delete_doomed(id));
    // If this is not recorded, the next start finds that the device is gone.
    if let Err(error) = core.submit_with(tx, |_| {}) {
        tracing::debug!(%error, "a device's removal is not recorded");
    }
}

/// Gives a segment back if it holds no data. False: changes of it are under way, look again.
fn give_back(core: &Core, id: VolumeId, start: u64) -> Result<bool> {
    let Ok(volume) = core.volumes.get(id) else {
        return Ok(true);
    };
    let Some(remote) = volume.remote() else {
        return Ok(true);
    };
    let size = remote.device.segment();
    if size == 0 {
        return Ok(true);
    }
    match keep_off(core, &volume, remote, start, size)? {
        State::Data => return Ok(true),
        State::Busy => return Ok(false),
        State::Empty => {}
    }
    let given = remote.device.give_back(start);
    remote.end_return();
    match given {
        Ok(()) => {
            tracing::debug!(volume = %id, start, "segment given back");
            Ok(true)
        }
        Err(error) => {
            tracing::warn!(%error, place = remote.record.place, start, "a segment cannot be given back yet");
            let mut work = core.reclaim.work.lock();
            work.segments.insert((Instant::now() + AGAIN, id, start));
            Ok(true)
        }
    }
}

enum State {
    Data,
    Busy,
    Empty,
}

/// If the segment is empty, durably, makes later writes wait for it.
fn keep_off(core: &Core, volume: &Volume, remote: &Remote, start: u64, size: u64) -> Result<State> {
    // No transaction takes its place meanwhile.
    let _mapping = core.mapping.lock();
    if !map::is_empty(&core.meta, volume.id, remote.record.filled, start, start + size)? {
        return Ok(State::Data);
    }
    // What was submitted before and is not applied yet shows here.
    if !volume.overlay(start, size).is_empty() {
        return Ok(State::Busy);
    }
    remote.begin_return(start, size);
    Ok(State::Empty)
}
