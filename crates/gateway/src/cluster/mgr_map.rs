//! The manager map: this process is the one active manager.

use encoding::{
    features::Features,
    maps::MgrMap,
    types::{EntityAddrVec, Utime},
};

use super::MGR_NAME;

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
