//! Requests whose data is not in memory.
//!
//! On files a thread that may wait runs them, or the connection's own task, see [`super::lone_read`]. On devices a read may take as long
//! as it likes, so there no thread waits: what a request lacks is asked for, and the request runs again when it has come. Meanwhile the
//! object's gate is closed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::AcqRel},
};

use bytes::Bytes;
use parking_lot::Mutex;
use store::StoreError;

use super::{Osd, cache::Object, execute::Outcome, request::PendingOp};
use crate::objects::fetched::VolumeRange;

/// What a request waits for.
struct Reading {
    osd: Arc<Osd>,
    object: Arc<Object>,
    op: Mutex<Option<Box<PendingOp>>>,
    pieces: Mutex<Vec<(VolumeRange, Result<Bytes, StoreError>)>>,
    left: AtomicUsize,
}

impl Reading {
    fn arrived(&self, range: VolumeRange, read: Result<Bytes, StoreError>) {
        self.pieces.lock().push((range, read));
        if self.left.fetch_sub(1, AcqRel) > 1 {
            return;
        }
        if let Some(mut op) = self.op.lock().take() {
            op.fetched.add(std::mem::take(&mut *self.pieces.lock()));
            self.osd.run_at_once(&self.object, op, false);
        }
    }
}

impl Osd {
    /// Has a request that lacked data, or copies, run again when it need not wait, and then those behind it. The gate is closed.
    pub(super) fn run_when_read(self: &Arc<Self>, object: &Arc<Object>, op: Box<PendingOp>) {
        let missing = op.fetched.missing();
        if op.copies() || missing.is_empty() || !self.objects.store().on_devices() {
            return self.read_from_disk(object, op);
        }
        let reading = Arc::new(Reading {
            osd: Arc::clone(self),
            object: Arc::clone(object),
            op: Mutex::new(Some(op)),
            pieces: Mutex::default(),
            left: AtomicUsize::new(missing.len()),
        });
        for range in missing {
            let reading = Arc::clone(&reading);
            let VolumeRange { volume, offset, len } = range;
            let store = self.objects.store();
            store.start_read(volume, offset, len, move |read| reading.arrived(range, read));
        }
    }

    /// Runs what queues at a closed gate, if anything does, and opens it.
    pub(super) fn go_on(self: &Arc<Self>, object: &Arc<Object>) {
        let Some(next) = next(object) else { return };
        if self.objects.store().on_devices() {
            self.run_at_once(object, next, true);
        } else {
            self.resume(object, next);
        }
    }

    /// Runs a request and those behind it, as long as none has to wait. With `may_submit` unset, on a thread that devices need: a
    /// change may have to wait for the journal.
    fn run_at_once(self: &Arc<Self>, object: &Arc<Object>, first: Box<PendingOp>, may_submit: bool) {
        let mut waiting = Some(first);
        while let Some(op) = waiting {
            if op.modes.write && !may_submit {
                let (osd, object) = (Arc::clone(self), Arc::clone(object));
                self.runtime
                    .spawn(async move { osd.run_at_once(&object, op, true) });
                return;
            }
            let outcome = match op.copies() {
                true => Outcome::Blocked(op),
                false => {
                    let map = self.cluster.osdmap();
                    self.execute(object, &mut object.inner.lock(), op, &map, false)
                }
            };
            if let Outcome::Blocked(op) = outcome {
                return self.run_when_read(object, op);
            }
            waiting = next(object);
        }
    }
}

/// The next request at a closed gate, which opens if there is none.
pub(super) fn next(object: &Object) -> Option<Box<PendingOp>> {
    let mut gate = object.gate.lock();
    let next = gate.waiting.pop_front();
    gate.busy = next.is_some();
    next
}
