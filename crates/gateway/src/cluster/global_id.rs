//! Client instance ids: each is given out once, also over crashes.

use parking_lot::Mutex;

use super::{
    ClusterError, keys,
    state_store::{Change, StateStore},
};

/// How many ids one durable write reserves.
const BLOCK: u64 = 256;
/// The first id; Ceph starts at 4096 and so leaves small numbers to people.
const FIRST: u64 = 4096;

/// Gives out ids from blocks that are reserved durably before the first of them is used.
#[derive(Debug)]
pub(super) struct GlobalIds {
    range: Mutex<std::ops::Range<u64>>,
}

impl GlobalIds {
    /// Nothing is reserved yet. A block that an earlier run reserved is never used again.
    pub(super) const fn new() -> Self {
        Self {
            range: Mutex::new(0..0),
        }
    }

    /// The next id. Blocks for a durable write when a block is used up.
    pub(super) fn next(&self, store: &dyn StateStore) -> Result<u64, ClusterError> {
        let mut range = self.range.lock();
        if range.is_empty() {
            let from = match store.get(keys::GLOBAL_ID)? {
                Some(raw) => keys::load::<u64>("global id", raw)?,
                None => FIRST,
            };
            let until = from.saturating_add(BLOCK);
            store.commit(vec![Change::put(keys::GLOBAL_ID, keys::stored(&until))])?;
            *range = from..until;
        }
        range
            .next()
            .ok_or_else(|| ClusterError::Invalid("all client ids are used up".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::state_store::MemoryState;

    #[test]
    fn an_id_is_given_out_once_also_over_a_restart() {
        let store = MemoryState::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let ids = GlobalIds::new();
            for _ in 0..300 {
                assert!(seen.insert(ids.next(&store).unwrap()));
            }
        }
        assert_eq!(seen.first(), Some(&FIRST));
    }
}
