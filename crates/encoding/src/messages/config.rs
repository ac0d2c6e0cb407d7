//! `MConfig`: a client's central configuration (Ceph `src/messages/MConfig.h`).

use std::collections::BTreeMap;

use crate::messages::plain::plain_message;

plain_message! {
    /// The options that the monitor sets for the client.
    pub struct MConfig: CONFIG, version 1, compat 1 {
        /// Values by option name.
        config: BTreeMap<String, String>,
    }
}
