//! Snapshots as the OSD sees them: which state of an object a request is about, what a writer's snap context means,
//! and the removal of what removed snapshots leave behind.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use encoding::{
    Errno,
    maps::{SnapIntervals, pool_flags},
    types::{NOSNAP, OpCode, OsdFlags, SNAPDIR, SnapContext},
};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::{Osd, context::store_error, request::PendingOp};
use crate::{
    cluster::ClusterError,
    objects::{commit::CommitError, id::ObjectId, mutation::WriterSnaps, onode::ObjectState, trim::Trimmed},
};

/// Clones trimmed between two pauses.
const TRIM_BATCH: usize = 64;
/// The pause, which leaves the machine to the clients.
const TRIM_PAUSE: Duration = Duration::from_millis(2);

/// What the OSD keeps about snapshots.
#[derive(Debug, Default)]
pub(super) struct Snaps {
    /// Held by whoever makes a clone, from the look at the removed snapshots until the clone is stored.
    gate: RwLock<()>,
    /// All removed snapshots of a pool, as of its `snap_seq`.
    removed: Mutex<HashMap<i64, (u64, Arc<SnapIntervals>)>>,
    /// A trim is under way.
    trimming: AtomicBool,
}

/// Why a write's snap context is refused. Replies differ by where Ceph finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request as a whole is refused.
    BeforeRun(Errno),
    /// The vector fails before its first op.
    AsRun(Errno),
}

/// Why a trim did not come to its end.
#[derive(Debug, thiserror::Error)]
enum TrimError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("an object could not be loaded")]
    Load,
}

impl Osd {
    /// The state that a request is about: the head, or a clone (`PrimaryLogPG::do_op`).
    pub(super) fn seen_by(&self, op: &PendingOp, head: ObjectState) -> Result<ObjectState, Errno> {
        let snap = op.message.snapid;
        if op.modes.write || (snap == NOSNAP && head.exists) || (snap == SNAPDIR && head.recorded()) {
            return Ok(head);
        }
        if snap == NOSNAP || snap == SNAPDIR || !head.recorded() {
            return Err(Errno::ENOENT);
        }
        let by_clone = op.message.flags.contains(OsdFlags::MAP_SNAP_CLONE);
        self.state_at(&op.object_id(), &head, snap, by_clone)
    }

    /// An object as it was at a snapshot that was not removed. With `by_clone`, `snap` is a clone's id.
    pub(super) fn state_at(
        &self,
        id: &ObjectId,
        head: &ObjectState,
        snap: u64,
        by_clone: bool,
    ) -> Result<ObjectState, Errno> {
        let found = self
            .objects
            .at_snap(head, snap, by_clone)
            .map_err(|e| store_error(id, &e))?
            .ok_or(Errno::ENOENT)?;
        // A removed snapshot is gone at once, not only when it is trimmed.
        let queue = &self.cluster.osdmap().removed_snaps_queue;
        let removed = |pool: i64| queue.get(&pool).is_some_and(|q| q.contains(snap));
        if found.view.is_some() && !by_clone && removed(id.pool) {
            return Err(Errno::ENOENT);
        }
        Ok(found)
    }

    /// Checks that snapshots are listed of all snapshots at once, and that nothing else is asked of these.
    pub(super) fn check_snapdir(op: &PendingOp) -> Result<(), Errno> {
        let all = op.message.snapid == SNAPDIR;
        match op.message.ops.iter().all(|o| (o.op == OpCode::LIST_SNAPS) == all) {
            true => Ok(()),
            false => Err(Errno::EINVAL),
        }
    }

    /// What a write's snap context means for the object (`PrimaryLogPG::execute_ctx`). `gate` keeps the trimmer
    /// from starting until it is dropped.
    pub(super) fn writer_snaps<'a>(
        &'a self,
        op: &PendingOp,
        state: &ObjectState,
        gate: &mut Option<RwLockReadGuard<'a, ()>>,
    ) -> Result<WriterSnaps, Refused> {
        if !op.modes.write {
            return Ok(WriterSnaps::default());
        }
        let message = &op.message;
        let pool_id = message.pg.pg.pool as i64;
        let own = (!message.flags.contains(OsdFlags::ENFORCE_SNAPC))
            .then(|| self.pool_snap_context(pool_id))
            .flatten();
        let (seq, snaps) = match &own {
            Some(own) => (own.seq, &own.snaps),
            None => (message.snap_seq, &message.snaps),
        };
        if message.flags.contains(OsdFlags::ORDERSNAP) && seq < state.seq {
            return Err(Refused::BeforeRun(Errno::EOLDSNAPC));
        }
        if own.is_none() && !message.snap_context().is_valid() {
            return Err(Refused::AsRun(Errno::EINVAL));
        }
        let mut fresh: Vec<u64> = snaps.iter().copied().take_while(|s| *s > state.seq).collect();
        if !fresh.is_empty() {
            *gate = Some(self.snaps.gate.read());
            let removed = self.removed_snaps(pool_id);
            fresh.retain(|snap| !removed.contains(*snap));
        }
        Ok(WriterSnaps { seq, fresh })
    }

    /// The snap context of a pool whose snapshots the monitor makes (`pg_pool_t::get_snap_context`).
    fn pool_snap_context(&self, pool: i64) -> Option<SnapContext> {
        let map = self.cluster.osdmap();
        let pool = map.pools.get(&pool)?;
        (pool.flags & pool_flags::POOL_SNAPS != 0).then(|| SnapContext {
            seq: pool.snap_seq,
            snaps: pool.snaps.keys().rev().copied().collect(),
        })
    }

    /// All snapshots of a pool that were ever removed.
    fn removed_snaps(&self, pool: i64) -> Arc<SnapIntervals> {
        let map = self.cluster.osdmap();
        let seq = map.pools.get(&pool).map_or(0, |p| p.snap_seq);
        if let Some((at, removed)) = self.snaps.removed.lock().get(&pool)
            && *at == seq
        {
            return Arc::clone(removed);
        }
        let removed = Arc::new(self.cluster.removed_snaps(pool).unwrap_or_else(|error| {
            tracing::error!(pool, %error, "cannot read which snapshots were removed");
            map.removed_snaps_queue.get(&pool).cloned().unwrap_or_default()
        }));
        let mut cache = self.snaps.removed.lock();
        cache.insert(pool, (seq, Arc::clone(&removed)));
        removed
    }

    /// Starts to trim removed snapshots, if there are any and that is not under way.
    pub(super) fn trim_snaps(self: &Arc<Self>) {
        let queues = &self.cluster.osdmap().removed_snaps_queue;
        if queues.is_empty() || self.snaps.trimming.swap(true, Relaxed) {
            return;
        }
        let osd = Arc::clone(self);
        self.runtime.spawn_blocking(move || {
            let queues = osd.cluster.osdmap().removed_snaps_queue.clone();
            // Writers that did not see the removals yet must have stored their clones. They are not made to wait
            // for this: a waiting lock would stop those that come.
            while osd.snaps.gate.try_write().is_none() {
                std::thread::sleep(TRIM_PAUSE);
            }
            for (pool, snaps) in queues {
                if let Err(error) = osd.trim_pool(pool, &snaps) {
                    tracing::error!(pool, %error, "cannot trim removed snapshots; to be tried again");
                }
            }
            osd.snaps.trimming.store(false, Relaxed);
        });
    }

    /// Trims a pool's removed snapshots and reports them as purged.
    fn trim_pool(self: &Arc<Self>, pool: i64, snaps: &SnapIntervals) -> Result<(), TrimError> {
        let mut last = None;
        let ids = || {
            snaps
                .iter()
                .flat_map(|(start, len)| start..start.saturating_add(len))
        };
        for snap in ids() {
            loop {
                let found = self.objects.clones_of_snap(pool, snap, TRIM_BATCH)?;
                if found.is_empty() {
                    break;
                }
                if !self.cluster.osdmap().pools.contains_key(&pool) {
                    return Ok(());
                }
                for which in &found {
                    last = self.trim_clone(which, snaps)?.max(last);
                }
                std::thread::sleep(TRIM_PAUSE);
            }
        }
        if let Some(last) = last {
            self.objects.store().wait(last)?;
        }
        tracing::debug!(pool, "removed snapshots are trimmed");
        Ok(self.cluster.snaps_purged(pool, ids())?)
    }

    fn trim_clone(
        self: &Arc<Self>,
        which: &Trimmed,
        removed: &SnapIntervals,
    ) -> Result<Option<store::Seq>, TrimError> {
        let object = self.cache.get(&which.id);
        let mut inner = object.inner.lock();
        let state = self.loaded(&object, &mut inner).map_err(|_| TrimError::Load)?;
        let trimmed = self
            .objects
            .trim(which, &state, inner.last_seq, |snap| removed.contains(snap))?;
        inner.last_seq = inner.last_seq.max(Some(trimmed.seq));
        inner.state = Some(trimmed.state);
        drop(inner);
        if trimmed.gone {
            self.objects.delete_unused_volume(&which.id, state.placement)?;
        }
        Ok(Some(trimmed.seq))
    }
}
