//! `MLogAck`: log entries are stored (Ceph `src/messages/MLogAck.h`).

use crate::{messages::plain::plain_message, types::Uuid};

plain_message! {
    /// Confirms entries of `MLog`.
    pub struct MLogAck: LOGACK, version 1, compat 1 {
        /// The cluster.
        fsid: Uuid,
        /// The last entry stored.
        last: u64,
        /// The log channel.
        channel: String [if any],
    }
}
