//! `MAuthReply`: the monitor's answer to `MAuth` (Ceph `src/messages/MAuthReply.h`).

use bytes::Bytes;

use crate::messages::plain::plain_message;

plain_message! {
    /// A step of authentication, by the monitor.
    pub struct MAuthReply: AUTH_REPLY, version 1, compat 1 {
        /// The protocol chosen.
        protocol: u32,
        /// 0, or a negative errno.
        result: i32,
        /// The client's number; 0 is none yet.
        global_id: u64,
        /// What the protocol says.
        payload: Bytes,
        /// Text for an error.
        message: String,
    }
}
