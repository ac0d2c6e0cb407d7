//! `MMonGetMap`: asking for the monmap (Ceph `src/messages/MMonGetMap.h`).

use crate::messages::plain::plain_message;

plain_message! {
    /// Asks for the monmap. Empty.
    pub struct MMonGetMap: MON_GET_MAP, version 1, compat 1 {
    }
}
