//! `MMonSubscribeAck`: the answer to `MMonSubscribe` of old clients (Ceph `src/messages/MMonSubscribeAck.h`).

use crate::{messages::plain::plain_message, types::Uuid};

plain_message! {
    /// Confirms subscriptions; for clients that have to renew them.
    pub struct MMonSubscribeAck: MON_SUBSCRIBE_ACK, version 1, compat 1 {
        /// Seconds after which they are to be renewed.
        interval: u32,
        /// The cluster.
        fsid: Uuid,
    }
}
