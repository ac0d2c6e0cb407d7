//! `MGetPoolStatsReply`: pools' usage (Ceph `src/messages/MGetPoolStatsReply.h`).

use std::collections::BTreeMap;

use crate::{
    messages::{PaxosHeader, plain::plain_message},
    types::{PoolStat, Uuid},
};

plain_message! {
    /// The answer to `MGetPoolStats`.
    pub struct MGetPoolStatsReply: GETPOOLSTATSREPLY, version 2, compat 1 {
        /// Common head.
        paxos: PaxosHeader,
        /// The cluster.
        fsid: Uuid,
        /// Statistics by pool name; unknown pools are left out.
        pool_stats: BTreeMap<String, PoolStat>,
        /// Whether usage was measured for each pool, and not estimated.
        per_pool: bool [since 2],
    }
}
