//! `MMonGetVersionReply`: a map's newest version (Ceph `src/messages/MMonGetVersionReply.h`).

use crate::messages::plain::plain_message;

plain_message! {
    /// The answer to `MMonGetVersion`.
    pub struct MMonGetVersionReply: MON_GET_VERSION_REPLY, version 2, compat 2 {
        /// As asked.
        handle: u64,
        /// The newest version.
        version: u64,
        /// The oldest version that is kept.
        oldest_version: u64 [since 2],
    }
}
