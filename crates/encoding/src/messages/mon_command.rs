//! `MMonCommand`: a command to the monitor (Ceph `src/messages/MMonCommand.h`).

use bytes::Bytes;

use crate::{
    messages::{PaxosHeader, plain::plain_message},
    types::Uuid,
};

plain_message! {
    /// A command of an administrator, or of a library.
    pub struct MMonCommand: MON_COMMAND, version 1, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The cluster; may be blank.
        fsid: Uuid,
        /// The command: one JSON object, as a rule in one piece.
        cmd: Vec<String>,
        /// Input (`-i FILE`).
        data: Bytes [data],
    }
}
