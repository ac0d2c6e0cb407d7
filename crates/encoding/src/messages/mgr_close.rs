//! `MMgrClose`: a client leaves the manager (Ceph `src/messages/MMgrClose.h`).

use crate::messages::plain::plain_message;

plain_message! {
    /// Ends a session with the manager; the manager answers the same.
    pub struct MMgrClose: MGR_CLOSE, version 1, compat 1 {
        /// The daemon or client, without its type.
        daemon_name: String,
        /// Its service; empty follows from its entity type.
        service_name: String,
    }
}
