//! Reading the source of a copy (`PrimaryLogPG::start_copy`), which may be of another pool.
//!
//! This happens while the target's gate is closed and no lock is held but the source's, if at all, so two objects that are
//! copied onto each other cannot wait for each other. One copy is under way at a time: an object in memory is
//! enough.

use std::sync::Arc;

use encoding::{
    Errno,
    types::{NOSNAP, OpCode, SNAPDIR},
};
use parking_lot::MutexGuard;

use super::{
    Osd,
    cache::{Inner, Object},
    context::store_error,
    ops_copy::{Copied, CopyRequest, CopySource},
    request::PendingOp,
    session::OsdSession,
};
use crate::objects::{Data, fetched::Access, id::ObjectId, onode::ObjectState};

/// Most bytes of attributes and omap that are copied; a transaction has to hold them.
const MAX_ROW_BYTES: usize = 64 << 20;
/// How often a source is read without its lock, in the hope that it does not change meanwhile.
const UNLOCKED_TRIES: usize = 3;

impl PendingOp {
    /// Whether an op of it copies another object.
    pub(super) fn copies(&self) -> bool {
        let copies = |op: &OpCode| matches!(*op, OpCode::COPY_FROM | OpCode::COPY_FROM2);
        self.message.ops.iter().any(|o| copies(&o.op))
    }
}

impl PendingOp {
    /// The transactions that made what it copied.
    pub(super) fn saw(&self) -> impl Iterator<Item = store::Seq> + '_ {
        self.copied.iter().flatten().filter_map(|source| source.last)
    }
}

impl Osd {
    /// Reads the sources of a request's copies into it. The guard is to be kept until the request has run.
    pub(super) fn read_sources(&self, op: &mut PendingOp) -> Option<MutexGuard<'_, ()>> {
        if !op.copies() {
            return None;
        }
        let one_at_a_time = self.copying.lock();
        let requests = op.message.ops.iter().filter_map(CopyRequest::of);
        let copied = requests.map(|request| self.read_source(op, &request?)).collect();
        op.copied = copied;
        Some(one_at_a_time)
    }

    fn read_source(&self, op: &PendingOp, request: &CopyRequest) -> Copied {
        let map = self.cluster.osdmap();
        let id = &request.source;
        if !map.pools.contains_key(&id.pool) {
            return Err(Errno::ENOENT);
        }
        if id.name.is_empty() || request.snap == SNAPDIR {
            return Err(Errno::EINVAL);
        }
        // Ceph's OSDs read for each other whatever they are asked to; here nobody copies what he may not read.
        OsdSession::of(&op.session).check_read(&op.session, &map, id)?;
        let object = self.cache.get(id);
        // What is read without the lock counts if nothing changed meanwhile: a lock held while a device is waited for would hold
        // up connections.
        for _ in 0..UNLOCKED_TRIES {
            let (state, last) = {
                let mut inner = object.inner.lock();
                (
                    self.source_state(id, request, &object, &mut inner)?,
                    inner.last_seq,
                )
            };
            let copy = self.copy_of(id, &state);
            if object.inner.lock().last_seq == last {
                return Ok(Arc::new(CopySource { last, ..copy? }));
            }
        }
        let mut inner = object.inner.lock();
        let state = self.source_state(id, request, &object, &mut inner)?;
        let copy = self.copy_of(id, &state)?;
        Ok(Arc::new(CopySource {
            last: inner.last_seq,
            ..copy
        }))
    }

    /// The state of an object that is to be copied.
    fn source_state(
        &self,
        id: &ObjectId,
        request: &CopyRequest,
        object: &Object,
        inner: &mut Inner,
    ) -> Result<ObjectState, Errno> {
        let head = self.loaded(object, inner)?;
        let state = if request.snap == NOSNAP {
            head.exists.then_some(head).ok_or(Errno::ENOENT)?
        } else {
            self.state_at(id, &head, request.snap, request.by_clone)?
        };
        match request.version.cmp(&state.version) {
            _ if request.version == 0 => {}
            std::cmp::Ordering::Less => return Err(Errno::ERANGE),
            std::cmp::Ordering::Greater => return Err(Errno::EOVERFLOW),
            std::cmp::Ordering::Equal => {}
        }
        Ok(state)
    }

    fn copy_of(&self, id: &ObjectId, state: &ObjectState) -> Result<CopySource, Errno> {
        let failed = |e| store_error(id, &e);
        let data = match self
            .objects
            .read(id, state, 0, state.size, Access::Wait)
            .map_err(failed)?
        {
            Data::Ready(data) => data,
            Data::WouldBlock => return Err(Errno::EAGAIN),
        };
        let mut room = MAX_ROW_BYTES;
        let mut rows = |table: u8| {
            let found = self.objects.rows_up_to(table, state, room).map_err(failed)?;
            let found = found.ok_or(Errno::EFBIG)?;
            room -= found.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
            Ok::<_, Errno>(found)
        };
        let xattrs = rows(b'X')?;
        let omap = match state.has_omap {
            true => Some((rows(b'M')?, self.objects.omap_header(state).map_err(failed)?)),
            false => None,
        };
        Ok(CopySource {
            last: None,
            data,
            version: state.version,
            mtime: state.mtime,
            truncate_seq: state.truncate_seq,
            truncate_size: state.truncate_size,
            xattrs,
            omap,
        })
    }
}
