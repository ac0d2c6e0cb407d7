//! `MStatfsReply`: the cluster's usage (Ceph `src/messages/MStatfsReply.h`).

use crate::{messages::plain::plain_message, types::Uuid};

plain_message! {
    /// The answer to `MStatfs`.
    pub struct MStatfsReply: STATFS_REPLY, version 1, compat 1 {
        /// The cluster.
        fsid: Uuid,
        /// The version of the statistics.
        version: u64,
        /// Capacity in KiB.
        kb: u64,
        /// Used, in KiB.
        kb_used: u64,
        /// Available, in KiB.
        kb_avail: u64,
        /// Objects.
        num_objects: u64,
    }
}
