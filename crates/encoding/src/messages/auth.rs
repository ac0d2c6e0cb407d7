//! `MAuth`: a step of authentication in msgr v1 (Ceph `src/messages/MAuth.h`).

use bytes::Bytes;

use crate::messages::{PaxosHeader, plain::plain_message};

plain_message! {
    /// What a client says to the monitor to authenticate.
    pub struct MAuth: AUTH, version 1, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The protocol; 0 asks for one, and the payload lists those that the client can do.
        protocol: u32,
        /// What the protocol says.
        payload: Bytes,
        /// The epoch of the client's monmap; 0 if it has none.
        monmap_epoch: u32 [if any],
    }
}
