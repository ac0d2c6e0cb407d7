//! `MGetPoolStats`: asking for pools' usage (Ceph `src/messages/MGetPoolStats.h`).

use crate::{
    messages::{PaxosHeader, plain::plain_message},
    types::Uuid,
};

plain_message! {
    /// Asks how full pools are.
    pub struct MGetPoolStats: GETPOOLSTATS, version 1, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The cluster.
        fsid: Uuid,
        /// Pool names.
        pools: Vec<String>,
    }
}
