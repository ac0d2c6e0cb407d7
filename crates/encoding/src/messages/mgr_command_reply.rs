//! `MMgrCommandReply`: a manager command's result (Ceph `src/messages/MMgrCommandReply.h`).

use bytes::Bytes;

use crate::messages::plain::plain_message;

plain_message! {
    /// The answer to `MMgrCommand`.
    pub struct MMgrCommandReply: MGR_COMMAND_REPLY, version 1, compat 1 {
        /// 0, or a negative errno.
        result: i32,
        /// Text for stderr.
        status: String,
        /// Output.
        data: Bytes [data],
    }
}
