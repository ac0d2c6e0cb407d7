//! A request on its way through the OSD, and its reply.

use std::{sync::Arc, time::Instant};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Encode, Errno, Features, Message, Put, RawMessage, Reader,
    messages::{MOsdOp, MOsdOpReply},
    types::{Eversion, ObjectCopyData, OpCode, OsdFlags, OsdOp, ReqId},
};
use msgr::budget::Charge;

use super::{commit::Commit, erasure::PoolKind, ops::Modes, ops_copy::Copied, reply_log::Recorded};
use crate::{
    objects::{fetched::Fetched, id::ObjectId, usage::GroupOf},
    op_tracker::{Kind, TrackedOp},
};

/// A decoded request that waits for its object.
#[derive(Debug)]
pub(super) struct PendingOp {
    /// Where the reply goes; the request's bytes count as held by it until the request is done.
    pub session: Charge,
    /// The message's transaction id.
    pub tid: u64,
    /// As it is shown to operators.
    pub tracked: Arc<TrackedOp>,
    /// The request.
    pub message: MOsdOp,
    /// What it does.
    pub modes: Modes,
    /// The kind of pool that its object is in.
    pub pool: PoolKind,
    /// The placement group that its object is in.
    pub group: GroupOf,
    /// The sources of its copies, once they were read.
    pub copied: Vec<Copied>,
    /// What was read for it, and what it lacked.
    pub fetched: Fetched,
    /// When it arrived, if somebody wants to know.
    pub arrived: Option<Instant>,
    /// What it changed, and waits to be durable.
    pub commit: Option<Commit>,
}

/// What a reply that confirms no change says of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    /// Nothing.
    None,
    /// The object's.
    Object(u64),
    /// The store's: a floor for the version that an object which does not exist will get.
    Floor(u64),
    /// Of a modification that failed or had nothing to do: the store's last one, and the object's.
    Unchanged(u64, u64),
    /// The same, where the answer is that something does not exist.
    Missing(u64),
}

/// What an answer's data may take, in bytes, as far as the request tells: a read of more than an object usually has, or
/// of all there is, counts as one of 4 MiB.
pub(super) fn output_bound(ops: &[OsdOp]) -> usize {
    /// An object of an image; librados' own limit is far above it.
    const USUAL: u64 = 4 << 20;
    let reads = ops
        .iter()
        .filter(|o| matches!(o.op, OpCode::READ | OpCode::SPARSE_READ | OpCode::SYNC_READ));
    let bound = |o: &OsdOp| match o.extent() {
        Some((_, length @ 1..USUAL)) => length,
        _ => USUAL,
    };
    reads.map(|o| bound(o) as usize).sum()
}

impl PendingOp {
    /// What identifies the request over its resends. The name is the one that was proven: what the message
    /// says of another requester is for OSDs among themselves.
    pub(super) fn reqid(&self) -> ReqId {
        ReqId {
            name: self.session.peer().name,
            tid: self.tid,
            inc: self.message.reqid.inc,
        }
    }

    /// Whether the client sent it before.
    pub(super) fn is_resent(&self) -> bool {
        self.message.retry_attempt > 0 || self.message.flags.contains(OsdFlags::RETRY)
    }

    /// It was carried out, and gave so many bytes: for the counters.
    pub(super) fn carried_out(&self, out_bytes: u64) {
        let kind = match (self.modes.read, self.modes.write) {
            (true, true) => Kind::Both,
            (_, false) => Kind::Read,
            (false, true) => Kind::Write,
        };
        let input: usize = self.message.ops.iter().map(|o| o.indata.len()).sum();
        self.tracked.carried_out(kind, input as u64, out_bytes);
    }

    /// Whether the client wants the output of mutations.
    pub(super) fn wants_returnvec(&self) -> bool {
        self.message.flags.contains(OsdFlags::RETURNVEC)
    }

    /// The object the request is about.
    pub(super) fn object_id(&self) -> ObjectId {
        let m = &self.message;
        ObjectId {
            pool: m.pg.pg.pool as i64,
            nspace: m.locator.nspace.clone(),
            key: m.locator.key.clone(),
            name: m.oid.clone(),
        }
    }

    /// The reply to a request that was run but changed nothing: it only read, or failed. As the other replies it takes the ops: there is one.
    pub(super) fn read_reply(&mut self, result: i32, epoch: u32, versions: Versions) -> RawMessage {
        let ack = OsdFlags::ACK | OsdFlags::ONDISK;
        let mut reply = MOsdOpReply::taking(&mut self.message, result, epoch, ack, true);
        match versions {
            Versions::None => {}
            Versions::Object(version) => reply.set_reply_versions(Eversion::default(), version),
            Versions::Floor(version) => reply.set_read_versions(Eversion { epoch, version }, version),
            Versions::Unchanged(last, of_object) => {
                let version = last + 1;
                reply.set_reply_versions(Eversion { epoch, version }, of_object);
            }
            Versions::Missing(last) => {
                let version = last + 1;
                reply.set_reply_versions(Eversion { epoch, version }, last);
                let version = last;
                reply.set_read_versions(Eversion { epoch, version }, last);
            }
        }
        self.encode(&reply)
    }

    /// The reply to a request about a placement group, at the store's last version.
    pub(super) fn group_reply(&mut self, result: i32, epoch: u32, version: u64) -> RawMessage {
        let ack = OsdFlags::ACK | OsdFlags::ONDISK;
        let mut reply = MOsdOpReply::taking(&mut self.message, result, epoch, ack, true);
        reply.set_reply_versions(Eversion { epoch, version }, version);
        self.encode(&reply)
    }

    /// The reply to a mutation. One that failed tells the output of its ops in any case.
    pub(super) fn write_reply(&mut self, recorded: &Recorded, epoch: u32) -> RawMessage {
        let ack = OsdFlags::ACK | OsdFlags::ONDISK;
        let with_output = self.wants_returnvec() || recorded.result < 0;
        let mut reply = MOsdOpReply::taking(&mut self.message, recorded.result, epoch, ack, with_output);
        reply.set_reply_versions(recorded.version, recorded.user_version);
        self.encode(&reply)
    }

    /// The reply to a request that was not run (`OSDService::reply_op_error`).
    pub(super) fn error_reply(&self, error: Errno, epoch: u32) -> RawMessage {
        let ack = self.message.flags & (OsdFlags::ACK | OsdFlags::ONDISK);
        self.encode(&MOsdOpReply::to(&self.message, -error.0, epoch, ack, false))
    }

    /// The reply to a COPY_GET of an object that does not exist (`PrimaryLogPG::fill_in_copy_get_noent`).
    pub(super) fn absent_copy_reply(&mut self, epoch: u32) -> RawMessage {
        let ack = OsdFlags::ACK | OsdFlags::ONDISK;
        let mut reply = MOsdOpReply::taking(&mut self.message, -Errno::ENOENT.0, epoch, ack, true);
        if let Some(op) = reply.ops.first_mut() {
            op.rval = -Errno::ENOENT.0;
            op.outdata = [ObjectCopyData::default().to_bytes(Features::ALL)].into();
        }
        self.encode(&reply)
    }

    fn encode(&self, reply: &MOsdOpReply) -> RawMessage {
        reply.encode(self.session.peer().features).with_tid(self.tid)
    }

    /// Results and output of the ops, as recorded for a resend.
    pub(super) fn outcome_of_ops(&self) -> Bytes {
        let mut out = BytesMut::new();
        for op in &self.message.ops {
            out.put_i32_le(op.rval);
            out.put_blob(&op.outdata.concat());
        }
        out.freeze()
    }

    /// Puts recorded results back into the ops.
    pub(super) fn restore_ops(&mut self, recorded: &Bytes) {
        let mut r = Reader::new(recorded);
        for op in &mut self.message.ops {
            let (Ok(rval), Ok(data)) = (r.i32(), r.blob()) else {
                return;
            };
            op.rval = rval;
            op.outdata = [data].into();
        }
    }
}
