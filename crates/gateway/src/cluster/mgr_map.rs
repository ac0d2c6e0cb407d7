//! The manager map: this process is the one active manager.

use std::{sync::Arc, time::Duration};

use encoding::{
    features::Features,
    maps::MgrMap,
    types::{EntityAddrVec, Utime},
};

use super::{Cluster, ClusterError, MGR_NAME, keys, state_store::Change};

/// The map of epoch `epoch`, whose manager has session id `gid` and listens at `addrs`.
pub(super) fn active(epoch: u32, gid: u64, addrs: EntityAddrVec, now: Utime) -> MgrMap {
    MgrMap {
        epoch,
        active_gid: gid,
        active_name: MGR_NAME.to_owned(),
        active_addrs: addrs,
        active_change: now,
        available: true,
        active_mgr_features: Features::OURS.0,
        ..MgrMap::default()
    }
}

impl Cluster {
    /// Shuts out the clients that modules had in an earlier process, if that did not end in order: what they held is free
    /// at once. As Ceph's monitor does when a manager fails. Blocks.
    pub fn fence_former_mgr_clients(&self, lifetime: Duration) -> Result<(), ClusterError> {
        let former = std::mem::take(&mut *self.former_mgr_clients.lock());
        for addr in former.into_iter().flat_map(|(_, addrs)| addrs.0) {
            self.blocklist_add(addr, lifetime)?;
        }
        Ok(())
    }

    /// Names the RADOS client that a module of the manager has, so that others can shut it out; none takes it off the
    /// map. Blocks.
    pub fn set_mgr_client(&self, module: &str, addrs: Option<EntityAddrVec>) -> Result<(), ClusterError> {
        let _writer = self.writer.lock();
        let mut map = MgrMap::clone(&self.mgrmap());
        map.epoch = map.epoch.saturating_add(1);
        map.clients.retain(|(name, _)| name != module);
        map.clients.extend(addrs.map(|addrs| (module.to_owned(), addrs)));
        self.store.commit(vec![
            Change::put(keys::MGR_EPOCH, keys::stored(&map.epoch)),
            Change::put(keys::MGR_CLIENTS, keys::stored(&map.clients)),
        ])?;
        *self.mgrmap.write() = Arc::new(map);
        Ok(())
    }
}
