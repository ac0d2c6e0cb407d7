//! `MCommandReply`: a daemon command's result (Ceph `src/messages/MCommandReply.h`).

use bytes::Bytes;

use crate::messages::plain::plain_message;

plain_message! {
    /// The answer to `MCommand`.
    pub struct MCommandReply: COMMAND_REPLY, version 1, compat 1 {
        /// 0, or a negative errno.
        result: i32,
        /// Text for stderr.
        status: String,
        /// Output.
        data: Bytes [data],
    }
}
