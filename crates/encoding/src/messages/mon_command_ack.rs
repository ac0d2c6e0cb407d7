//! `MMonCommandAck`: a command's result (Ceph `src/messages/MMonCommandAck.h`).

use bytes::Bytes;

use crate::messages::{PaxosHeader, plain::plain_message};

plain_message! {
    /// The answer to `MMonCommand`.
    pub struct MMonCommandAck: MON_COMMAND_ACK, version 1, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// 0, or a negative errno.
        result: i32,
        /// Text for stderr.
        status: String,
        /// The command, repeated.
        cmd: Vec<String>,
        /// Output.
        data: Bytes [data],
    }
}
