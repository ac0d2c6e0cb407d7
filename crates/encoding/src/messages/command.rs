//! `MCommand`: a command to a daemon (Ceph `src/messages/MCommand.h`).

use bytes::Bytes;

use crate::{messages::plain::plain_message, types::Uuid};

plain_message! {
    /// A command to one daemon (`ceph tell`).
    pub struct MCommand: COMMAND, version 1, compat 1 {
        /// The cluster.
        fsid: Uuid,
        /// The command: one JSON object, as a rule in one piece.
        cmd: Vec<String>,
        /// Input.
        data: Bytes [data],
    }
}
