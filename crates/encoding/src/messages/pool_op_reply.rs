//! `MPoolOpReply`: the result of `MPoolOp` (Ceph `src/messages/MPoolOpReply.h`).

use bytes::Bytes;

use crate::{
    messages::{PaxosHeader, plain::plain_message},
    types::Uuid,
};

plain_message! {
    /// The answer to `MPoolOp`.
    pub struct MPoolOpReply: POOLOP_REPLY, version 1, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The cluster.
        fsid: Uuid,
        /// 0, or a negative errno.
        result: i32,
        /// The osdmap epoch in which it shows; the client waits for it.
        epoch: u32,
        /// For a self-managed snapshot its id, 64 bits.
        response: Option<Bytes>,
    }
}
