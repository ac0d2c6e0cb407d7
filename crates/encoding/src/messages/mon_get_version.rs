//! `MMonGetVersion`: asking for a map's newest version (Ceph `src/messages/MMonGetVersion.h`).

use crate::messages::plain::plain_message;

plain_message! {
    /// Asks which version of a map is the newest.
    pub struct MMonGetVersion: MON_GET_VERSION, version 1, compat 1 {
        /// Repeated in the answer.
        handle: u64,
        /// The map: osdmap, monmap, mgrmap, ...
        what: String,
    }
}
