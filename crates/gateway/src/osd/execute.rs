//! Running a request under its object's lock.

use std::{sync::Arc, time::SystemTime};

use encoding::{
    Errno, RawMessage,
    maps::OsdMap,
    types::{Eversion, OpCode, OsdOp, Utime},
};

use super::{
    Osd,
    cache::{Inner, Object},
    context::{Context, Request, store_error},
    full::{self, Refusal},
    no_such_pool,
    ops::{self, Effects, WatchView},
    reading,
    reply_log::{self, Recorded},
    request::{PendingOp, Versions},
    session::OsdSession,
    snaps::Refused,
    watch::Notify,
};
use crate::objects::{
    commit::CommitError, creators, fetched::Access, mutation::Change, onode::ObjectState, preserve::Preserve,
};
use crate::op_tracker::Stage;

/// Most bytes of output that are recorded with a modification that failed; one with more is run again if it is sent
/// again.
const MOST_RECORDED: usize = 64 << 10;

/// What became of a request.
pub(super) enum Outcome {
    /// It was answered, or will be when its change is durable.
    Done,
    /// It would have waited for the disk.
    Blocked(Box<PendingOp>),
    /// The image's volume went away under a cached object: the object must be loaded again.
    Stale(Box<PendingOp>),
}

impl Osd {
    /// Runs a request now, at a map, or queues it behind one that waits for the disk.
    pub(super) fn dispatch(self: &Arc<Self>, op: Box<PendingOp>, map: &OsdMap) {
        let object = self.cache.get(&op.object_id());
        let mut gate = object.gate.lock();
        if gate.busy {
            op.tracked.reached(Stage::Delayed);
            gate.waiting.push_back(op);
            return;
        }
        let outcome = match op.copies() {
            // Another object is to be read first, which may take its time.
            true => Outcome::Blocked(op),
            false => self.execute(&object, &mut object.inner.lock(), op, map, false),
        };
        if let Outcome::Blocked(op) = outcome {
            op.tracked.reached(Stage::Delayed);
            gate.busy = true;
            drop(gate);
            self.run_when_read(&object, op);
        }
    }

    /// Runs a request that waits for the disk, and then those that came meanwhile, on a thread that may wait.
    /// Connections see the closed gate, and do not wait for the object's lock.
    pub(super) fn resume(self: &Arc<Self>, object: &Arc<Object>, first: Box<PendingOp>) {
        let mut next = Some(first);
        while let Some(mut op) = next {
            let _copying = self.read_sources(&mut op);
            self.execute_waiting(object, op);
            if self.objects.store().on_devices() {
                return self.go_on(object);
            }
            next = reading::next(object);
        }
    }

    pub(super) fn execute(
        self: &Arc<Self>,
        object: &Arc<Object>,
        inner: &mut Inner,
        mut op: Box<PendingOp>,
        map: &OsdMap,
        may_block: bool,
    ) -> Outcome {
        let epoch = map.epoch;
        op.tracked.reached(Stage::Started);
        if op.modes.write && op.is_resent() {
            match self.answer_again(inner, op, epoch) {
                None => return Outcome::Done,
                Some(again) => op = again,
            }
        }
        loop {
            let state = match self.loaded(object, inner) {
                Ok(state) => state,
                Err(error) => {
                    op.session.send(op.error_reply(error, epoch));
                    return Outcome::Done;
                }
            };
            let state = match self.seen_by(&op, state) {
                Ok(state) => state,
                Err(error) => {
                    self.reply_not_found(inner, &mut op, error, epoch);
                    return Outcome::Done;
                }
            };
            match self.run(object, inner, op, &state, map, may_block) {
                Outcome::Stale(again) => {
                    inner.state = None;
                    op = again;
                }
                outcome => return outcome,
            }
        }
    }

    pub(super) fn loaded(&self, object: &Object, inner: &mut Inner) -> Result<ObjectState, Errno> {
        if let Some(state) = &inner.state {
            return Ok(state.clone());
        }
        let state = self
            .objects
            .load(&object.id)
            .map_err(|e| store_error(&object.id, &e))?;
        inner.state = Some(state.clone());
        Ok(state)
    }

    /// Runs the op vector on the loaded object.
    fn run(
        self: &Arc<Self>,
        object: &Arc<Object>,
        inner: &mut Inner,
        mut op: Box<PendingOp>,
        state: &ObjectState,
        map: &OsdMap,
        may_block: bool,
    ) -> Outcome {
        let (epoch, request) = (map.epoch, request_of(&op, map));
        let watchers = inner.watchers.clients();
        // Held until a clone for the snapshots is stored, if there is to be one.
        let mut trim_gate = None;
        let snaps = match self.writer_snaps(&op, state, &mut trim_gate) {
            Ok(snaps) => snaps,
            Err(Refused::BeforeRun(error)) => {
                self.reply_when_seen(inner, &op, op.error_reply(error, epoch));
                return Outcome::Done;
            }
            Err(Refused::AsRun(error)) => {
                let reply = op.read_reply(-error.0, epoch, Versions::None);
                self.reply_when_seen(inner, &op, reply);
                return Outcome::Done;
            }
        };
        let mut fetched = std::mem::take(&mut op.fetched);
        fetched.begin(inner.last_seq);
        let access = match may_block {
            true => Access::Wait,
            false => Access::AtOnce(&fetched),
        };
        let objects = &self.objects;
        let mut ctx = Context::new(objects, &object.id, state, &watchers, request, snaps, access);
        let mut effects = Effects::default();
        let next_notify_id = || self.next_notify_id();
        let view = WatchView {
            watchers: &inner.watchers,
            next_notify_id: &next_notify_id,
        };
        let mut vector = std::mem::take(&mut op.message.ops);
        let mut result = ops::run(&mut ctx, &mut vector, &op.copied, &view, &mut effects);
        op.message.ops = vector;
        if ctx.blocked() {
            op.fetched = fetched;
            return blocked(op);
        }
        if let Some(error) = effects.refused {
            self.reply_when_seen(inner, &op, op.error_reply(error, epoch));
            return Outcome::Done;
        }
        if result >= 0 && ctx.modified() && op.wants_returnvec() {
            result = ops::limit_output(&mut op.message.ops, result);
            if result == -Errno::EOVERFLOW.0 {
                let reply = op.read_reply(result, epoch, Versions::None);
                self.reply_when_seen(inner, &op, reply);
                return Outcome::Done;
            }
        }
        let bytes_read = ctx.bytes_read();
        if result < 0 || !ctx.modified() {
            if result >= 0 {
                self.image_stats.count(&op, 0, bytes_read);
                self.apply_effects(object, inner, &op, effects, state.version, &request);
            }
            let version = if state.recorded() { state.version } else { 0 };
            if op.modes.write {
                self.record_outcome(inner, op, result, epoch, bytes_read, version);
            } else {
                self.reply_to_read(inner, &mut op, result, epoch, bytes_read, version);
            }
            return Outcome::Done;
        }
        let mut change = ctx.into_change();
        match full::refusal(&self.cluster, &op, &change) {
            None => {}
            Some(Refusal::Told(error)) => {
                self.reply_to_read(inner, &mut op, -error.0, epoch, 0, state.version);
                return Outcome::Done;
            }
            Some(Refusal::Dropped) => return Outcome::Done,
        }
        let store = self.objects.store();
        change.preserved = inner.preserved.filter(|seq| !store.is_durable(*seq));
        change.journaled = change.preserved.is_some();
        match self.objects.prepare(&object.id, &mut change, access) {
            Ok(true) => {}
            Ok(false) => {
                op.fetched = fetched;
                return blocked(op);
            }
            Err(error) => {
                self.refuse(&op, store_error(&object.id, &error), epoch);
                return Outcome::Done;
            }
        }
        op.carried_out(bytes_read);
        self.store_change(object, inner, op, change, effects, result, epoch, &request)
    }

    #[allow(clippy::too_many_arguments)]
    fn store_change(
        self: &Arc<Self>,
        object: &Arc<Object>,
        inner: &mut Inner,
        op: Box<PendingOp>,
        mut change: Change,
        effects: Effects,
        result: i32,
        epoch: u32,
        request: &Request,
    ) -> Outcome {
        // What is stored now for a pool that was deleted since the request was let in would stay for good.
        let newest = self.cluster.osdmap();
        if !newest.pools.contains_key(&object.id.pool) {
            inner.state = None;
            if let Err(error) = no_such_pool(&op.message, &newest) {
                self.refuse(&op, error, epoch);
            }
            return Outcome::Done;
        }
        let version = match self.objects.next_version() {
            Ok(version) => version,
            Err(error) => {
                self.refuse(&op, store_error(&object.id, &error), epoch);
                return Outcome::Done;
            }
        };
        if op.message.mtime != Utime::default() {
            change.new.mtime = op.message.mtime;
        }
        if let Some((copied, mtime)) = effects.copied {
            (change.new.version, change.new.mtime) = (copied, mtime);
        }
        if effects.user_modify {
            change.new.version = version;
        }
        let recorded = Recorded {
            version: Eversion { epoch, version },
            user_version: change.new.version,
            result: if op.wants_returnvec() { result } else { 0 },
            ops: op.wants_returnvec().then(|| op.outcome_of_ops()),
        };
        let preserves = change.preserve.as_ref().is_some_and(Preserve::overwrites);
        let reqid = op.reqid();
        let (existed, exists) = (change.old.exists, change.new.exists);
        let committed = self.objects.commit(&object.id, &mut change, |tx| {
            reply_log::record(tx, &reqid, &recorded);
            creators::record(tx, &object.id, existed, exists, &op.session.peer().entity);
            build_on_what_was_seen(tx, inner, &op);
        });
        // Whatever became of the change: what it preserved is preserved.
        inner.preserved = inner.preserved.max(change.preserved);
        inner.last_seq = inner.last_seq.max(change.preserved);
        let seq = match committed {
            Ok(seq) => seq,
            Err(CommitError::Stale) => return Outcome::Stale(op),
            Err(error) => {
                inner.state = None;
                let errno = match &error {
                    CommitError::Store(e) => self.write_failed(&object.id, e),
                    _ => Errno::EFBIG,
                };
                self.refuse(&op, errno, epoch);
                return Outcome::Done;
            }
        };
        let removed = change.old.exists && !change.new.exists;
        let written: usize = op.message.ops.iter().map(|o| o.indata.len()).sum();
        self.objects
            .usage()
            .pool(object.id.pool)
            .wrote(op.group, written as u64);
        op.tracked.reached(Stage::Submitted);
        inner.last_seq = Some(seq);
        if preserves {
            inner.preserved = Some(seq);
        }
        self.apply_effects(object, inner, &op, effects, change.new.version, request);
        inner.state = Some(change.new);
        self.reply_when_durable(op, recorded, seq, epoch, written as u64);
        if removed && object.id.name.starts_with(b"rbd_header.") {
            self.header_removed(object);
        }
        Outcome::Done
    }

    /// Answers a request that the store could not carry out. If that is the end of the store, and so of the server, there is no
    /// answer: the client asks again when the server is back, as it would where an OSD aborts.
    pub(super) fn refuse(&self, op: &PendingOp, errno: Errno, epoch: u32) {
        if self.has_ended() {
            op.session.close();
        } else {
            op.session.send(op.error_reply(errno, epoch));
        }
    }

    /// Whether the store has failed for good, and the server ends. One on devices goes on, and says EIO to everything.
    fn has_ended(&self) -> bool {
        let store = self.objects.store();
        store.has_failed() && !store.on_devices()
    }

    /// Answers a vector that changed nothing.
    fn reply_to_read(
        &self,
        inner: &Inner,
        op: &mut PendingOp,
        result: i32,
        epoch: u32,
        bytes: u64,
        version: u64,
    ) {
        self.has_read(op, bytes);
        let reply = self.unchanged_reply(op, result, epoch, version);
        self.reply_when_seen(inner, op, reply);
    }

    /// Counts a request that changed nothing and gave so many bytes.
    fn has_read(&self, op: &PendingOp, bytes: u64) {
        let pool = self.objects.usage().pool(op.message.pg.pg.pool as i64);
        pool.read(op.group, bytes);
        op.carried_out(bytes);
    }

    /// The answer to a vector that changed nothing. `version`: the object's.
    fn unchanged_reply(&self, op: &mut PendingOp, result: i32, epoch: u32, version: u64) -> RawMessage {
        let missing = result == -Errno::ENOENT.0;
        let last = self.objects.last_version();
        let versions = match (op.modes.write, result) {
            (false, 0..) => Versions::Object(version),
            (false, _) if missing => Versions::Floor(last),
            (false, _) => Versions::None,
            (true, _) if missing => Versions::Missing(last),
            (true, _) => Versions::Unchanged(last, version),
        };
        op.read_reply(result, epoch, versions)
    }

    /// Answers a modification that failed or had nothing to do, once that is recorded: the same is answered if it is sent again, whatever
    /// became of the object meanwhile (`PrimaryLogPG::record_write_error`).
    fn record_outcome(
        &self,
        inner: &Inner,
        mut op: Box<PendingOp>,
        result: i32,
        epoch: u32,
        bytes: u64,
        version: u64,
    ) {
        let output: usize = op.message.ops.iter().map(OsdOp::outdata_len).sum();
        if output > MOST_RECORDED {
            self.reply_to_read(inner, &mut op, result, epoch, bytes, version);
            return;
        }
        let recorded = Recorded {
            version: Eversion {
                epoch,
                version: self.objects.last_version() + 1,
            },
            user_version: version,
            result,
            ops: (result < 0 || op.wants_returnvec()).then(|| op.outcome_of_ops()),
        };
        let mut tx = store::Transaction::new();
        reply_log::record(&mut tx, &op.reqid(), &recorded);
        build_on_what_was_seen(&mut tx, inner, &op);
        let seq = match self.objects.store().submit(tx) {
            Ok(seq) => seq,
            // It changed nothing, so there is an answer all the same: on a full disk, for instance.
            Err(error) => {
                tracing::warn!(object = %op.object_id(), %error, "a failed modification is not recorded");
                self.reply_to_read(inner, &mut op, result, epoch, bytes, version);
                return;
            }
        };
        op.tracked.reached(Stage::Submitted);
        self.has_read(&op, bytes);
        let reply = self.unchanged_reply(&mut op, result, epoch, version);
        self.objects
            .store()
            .after_alone(seq, move |durable| match durable {
                Ok(()) => op.session.send_gathered(reply),
                Err(_) => op.session.close(),
            });
    }

    /// Answers a request about an object, or a state of it, that is not there. Who copies it asks for more.
    fn reply_not_found(&self, inner: &Inner, op: &mut PendingOp, error: Errno, epoch: u32) {
        let reply = match op.message.ops.first() {
            Some(first) if first.op == OpCode::COPY_GET && error == Errno::ENOENT => {
                op.absent_copy_reply(epoch)
            }
            _ => op.error_reply(error, epoch),
        };
        self.reply_when_seen(inner, op, reply);
    }

    /// Sends a reply that changed nothing. What it saw may not be durable yet: then it waits.
    fn reply_when_seen(&self, inner: &Inner, op: &PendingOp, reply: RawMessage) {
        let store = self.objects.store();
        match inner.last_seq {
            _ if self.has_ended() => op.session.close(),
            Some(seq) if !store.is_durable(seq) => {
                let (session, tracked) = (Arc::clone(&op.session), Arc::clone(&op.tracked));
                store.after_alone(seq, move |durable| {
                    match durable {
                        Ok(()) => session.send_gathered(reply),
                        // What was read never came to be: the client must ask again, elsewhere or later.
                        Err(_) => session.close(),
                    }
                    // In flight until now.
                    drop(tracked);
                });
            }
            _ => op.session.send(reply),
        }
    }

    /// Answers a request that was carried out before, from its record. Gives it back if it was not.
    fn answer_again(&self, inner: &Inner, mut op: Box<PendingOp>, epoch: u32) -> Option<Box<PendingOp>> {
        let recorded = match reply_log::find(self.objects.store(), &op.reqid()) {
            Ok(Some(recorded)) => recorded,
            Ok(None) => return Some(op),
            Err(error) => {
                self.refuse(&op, store_error(&op.object_id(), &error), epoch);
                return None;
            }
        };
        tracing::debug!(client = %op.session.peer().name, tid = op.tid, "a resent request is answered from its record");
        if let Some(ops) = &recorded.ops {
            op.restore_ops(ops);
        }
        let reply = op.write_reply(&recorded, epoch);
        let session = Arc::clone(&op.session);
        let seq = inner.last_seq.unwrap_or_else(|| self.objects.store().durable());
        self.objects
            .store()
            .after_alone(seq, move |durable| match durable {
                Ok(()) => session.send_gathered(reply),
                Err(_) => session.close(),
            });
        None
    }

    /// Carries out what a vector does besides changing the object.
    fn apply_effects(
        &self,
        object: &Arc<Object>,
        inner: &mut Inner,
        op: &PendingOp,
        effects: Effects,
        version: u64,
        request: &Request,
    ) {
        // Only these change who watches: other requests need not touch what all objects share.
        if !effects.watches.is_empty() {
            for watch in effects.watches {
                inner.watchers.apply(watch, &op.session, request.addr);
                OsdSession::of(&op.session).watches(object);
            }
            let mut watched = self.watched.lock();
            if inner.watchers.is_empty() {
                watched.remove(&object.id);
            } else {
                watched
                    .entry(object.id.clone())
                    .or_insert_with(|| Arc::clone(object));
            }
        }
        for notify in effects.notifies {
            let notify = Arc::new(Notify::new(notify, object.id.clone(), version, &op.session));
            self.notifies.lock().push(Arc::clone(&notify));
            inner.watchers.start(&notify);
        }
        for ack in effects.acks {
            inner.watchers.acknowledge(request.origin, &ack);
        }
    }

    /// Deletes the image's volume if nothing is left of the image, once its header is gone.
    fn header_removed(self: &Arc<Self>, object: &Arc<Object>) {
        let osd = Arc::clone(self);
        let id = object.id.clone();
        self.runtime.spawn_blocking(move || {
            if let Err(error) = osd.objects.header_removed(&id) {
                tracing::error!(%error, header = %id, "cannot delete the image's volume");
            }
        });
    }
}

/// Who sent a request, and what a map requires.
fn request_of(op: &PendingOp, map: &OsdMap) -> Request {
    let peer = op.session.peer();
    Request {
        origin: peer.name,
        addr: peer.addrs.0.first().copied().unwrap_or_default(),
        features: peer.features,
        now: Utime::from_system_time(SystemTime::now()),
        require_osd_release: map.require_osd_release.0,
        min_compat_client: map.require_min_compat_client.0,
        pool: op.pool,
    }
}

/// What a request did is durable only with what it saw: its object, and what it copied.
fn build_on_what_was_seen(tx: &mut store::Transaction, inner: &Inner, op: &PendingOp) {
    for seq in inner.last_seq.into_iter().chain(op.saw()) {
        tx.builds_on(seq);
    }
}

/// A request that has to wait for the disk, without what its run put into it.
fn blocked(mut op: Box<PendingOp>) -> Outcome {
    match op.tracked.request().message() {
        Ok(message) => {
            op.message.ops = message.ops;
            Outcome::Blocked(op)
        }
        // It was read before, so it is not what it was: the client is to send it again.
        Err(error) => {
            tracing::error!(object = %op.object_id(), %error, "a request cannot be read again");
            op.session.close();
            Outcome::Done
        }
    }
}
