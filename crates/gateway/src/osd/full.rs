//! Full pools: what adds data is not run (Ceph `PrimaryLogPG::prepare_transaction`). Clients that know of the flag wait by themselves;
//! this is for those that do not know yet, and for those that would rather be told.

use encoding::{Errno, maps::pool_flags, types::OsdFlags};

use super::request::PendingOp;
use crate::{cluster::Cluster, objects::mutation::Change};

/// Why a request is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client asked to be told.
    Told(Errno),
    /// It gets no answer: it sends the request again when a map says that the pool is no longer full.
    Dropped,
}

/// Whether a change makes its object, or makes it larger.
fn adds(change: &Change) -> bool {
    change.new.exists && (!change.old.exists || change.new.size > change.old.size)
}

/// Whether the change must not be made because the pool is full.
pub(super) fn refusal(cluster: &Cluster, op: &PendingOp, change: &Change) -> Option<Refusal> {
    if !adds(change) {
        return None;
    }
    let pool = op.message.pg.pg.pool as i64;
    let flags = cluster.osdmap().pools.get(&pool).map_or(0, |p| p.flags);
    judge(flags, op.message.flags)
}

fn judge(pool: u64, op: OsdFlags) -> Option<Refusal> {
    if pool & pool_flags::FULL == 0 || op.contains(OsdFlags::FULL_FORCE) {
        return None;
    }
    if !op.contains(OsdFlags::FULL_TRY) {
        return Some(Refusal::Dropped);
    }
    let quota = pool & pool_flags::FULL_QUOTA != 0;
    Some(Refusal::Told(if quota { Errno::EDQUOT } else { Errno::ENOSPC }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_is_told_and_only_who_insists_writes() {
        let (full, quota) = (pool_flags::FULL, pool_flags::FULL | pool_flags::FULL_QUOTA);
        let none = OsdFlags::empty();
        assert_eq!(judge(0, none), None);
        assert_eq!(judge(full, none), Some(Refusal::Dropped));
        assert_eq!(
            judge(full, OsdFlags::FULL_TRY),
            Some(Refusal::Told(Errno::ENOSPC))
        );
        assert_eq!(
            judge(quota, OsdFlags::FULL_TRY),
            Some(Refusal::Told(Errno::EDQUOT))
        );
        assert_eq!(judge(quota, OsdFlags::FULL_TRY | OsdFlags::FULL_FORCE), None);
    }
}
