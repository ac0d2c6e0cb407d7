//! `MPing`: nothing but a sign of life (Ceph `src/messages/MPing.h`).

use crate::messages::plain::plain_message;

plain_message! {
    /// Empty.
    pub struct MPing: PING, version 1, compat 1 {
    }
}
