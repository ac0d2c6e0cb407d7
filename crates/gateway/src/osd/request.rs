//! A request on its way through the OSD, and its reply.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Errno, Message, Put, RawMessage, Reader,
    messages::{MOsdOp, MOsdOpReply},
    types::{Eversion, OsdFlags, ReqId},
};
use msgr::Session;

use super::{ops::Modes, reply_log::Recorded};
use crate::objects::id::ObjectId;

/// A decoded request that waits for its object.
#[derive(Debug)]
pub struct PendingOp {
    /// Where the reply goes.
    pub session: Arc<Session>,
    /// The message's transaction id.
    pub tid: u64,
    /// The request.
    pub message: MOsdOp,
    /// What it does.
    pub modes: Modes,
}

impl PendingOp {
    /// What identifies the request over its resends. The name is the one that was proven: what the message
    /// says of another requester is for OSDs among themselves.
    pub fn reqid(&self) -> ReqId {
        ReqId {
            name: self.session.peer().name,
            tid: self.tid,
            inc: self.message.reqid.inc,
        }
    }

    /// Whether the client sent it before.
    pub fn is_resent(&self) -> bool {
        self.message.retry_attempt > 0 || self.message.flags.contains(OsdFlags::RETRY)
    }

    /// Whether the client wants the output of mutations.
    pub fn wants_returnvec(&self) -> bool {
        self.message.flags.contains(OsdFlags::RETURNVEC)
    }

    /// The object the request is about.
    pub fn object_id(&self) -> ObjectId {
        let m = &self.message;
        ObjectId {
            pool: m.pg.pg.pool as i64,
            nspace: m.locator.nspace.clone(),
            key: m.locator.key.clone(),
            name: m.oid.clone(),
        }
    }

    /// The reply to a request that only read, or failed.
    pub fn read_reply(&self, result: i32, epoch: u32, version: u64, user_version: u64) -> RawMessage {
        let ack = OsdFlags::ACK | OsdFlags::ONDISK;
        let mut reply = MOsdOpReply::to(&self.message, result, epoch, ack, true);
        reply.set_read_versions(Eversion { epoch, version }, user_version);
        self.encode(&reply)
    }

    /// The reply to a mutation.
    pub fn write_reply(&self, recorded: &Recorded, epoch: u32) -> RawMessage {
        let ack = OsdFlags::ACK | OsdFlags::ONDISK;
        let mut reply = MOsdOpReply::to(&self.message, recorded.result, epoch, ack, self.wants_returnvec());
        if !self.wants_returnvec() {
            for op in &mut reply.ops {
                op.rval = 0;
            }
        }
        reply.set_reply_versions(recorded.version, recorded.user_version);
        self.encode(&reply)
    }

    /// The reply to a request that was not run.
    pub fn error_reply(&self, error: Errno, epoch: u32) -> RawMessage {
        self.encode(&MOsdOpReply::to(
            &self.message,
            -error.0,
            epoch,
            OsdFlags::empty(),
            false,
        ))
    }

    fn encode(&self, reply: &MOsdOpReply) -> RawMessage {
        reply.encode(self.session.peer().features).with_tid(self.tid)
    }

    /// Results and output of the ops, as recorded for a resend.
    pub fn recorded_ops(&self) -> Option<Bytes> {
        if !self.wants_returnvec() {
            return None;
        }
        let mut out = BytesMut::new();
        for op in &self.message.ops {
            out.put_i32_le(op.rval);
            out.put_blob(&op.outdata.concat());
        }
        Some(out.freeze())
    }

    /// Puts recorded results back into the ops.
    pub fn restore_ops(&mut self, recorded: &Bytes) {
        let mut r = Reader::new(recorded);
        for op in &mut self.message.ops {
            let (Ok(rval), Ok(data)) = (r.i32(), r.blob()) else {
                return;
            };
            op.rval = rval;
            op.outdata = vec![data];
        }
    }
}
