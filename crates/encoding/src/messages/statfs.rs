//! `MStatfs`: asking for the cluster's usage (Ceph `src/messages/MStatfs.h`).

use crate::{
    messages::{PaxosHeader, plain::plain_message},
    types::Uuid,
};

plain_message! {
    /// Asks how full the cluster, or a pool, is.
    pub struct MStatfs: STATFS, version 2, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The cluster.
        fsid: Uuid,
        /// Only that pool.
        data_pool: Option<i64> [since 2],
    }
}
