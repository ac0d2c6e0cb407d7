//! `MMonMap`: the map of monitors (Ceph `src/messages/MMonMap.h`).

use bytes::Bytes;

use crate::messages::plain::plain_message;

plain_message! {
    /// The monmap, encoded for the receiver by whoever sends it.
    pub struct MMonMap: MON_MAP, version 1, compat 1 {
        /// An encoded `maps::MonMap`.
        monmap: Bytes,
    }
}
