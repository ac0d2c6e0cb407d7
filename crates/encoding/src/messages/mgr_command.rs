//! `MMgrCommand`: a command to the manager (Ceph `src/messages/MMgrCommand.h`).

use bytes::Bytes;

use crate::{messages::plain::plain_message, types::Uuid};

plain_message! {
    /// A command that the manager runs; from Octopus on.
    pub struct MMgrCommand: MGR_COMMAND, version 1, compat 1 {
        /// The cluster.
        fsid: Uuid,
        /// The command: one JSON object, as a rule in one piece.
        cmd: Vec<String>,
        /// Input.
        data: Bytes [data],
    }
}
