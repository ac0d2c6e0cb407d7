//! `OSDMap::Incremental`: what changes from one epoch to the next (Ceph `src/osd/OSDMap.h`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    crush::CrushMap,
    osd_info::OsdXinfo,
    osdmap::{OsdMap, StretchMode},
    pg_pool::PgPool,
    release::Release,
    snap_intervals::SnapIntervals,
};
use crate::{
    features::{Feature, Features},
    types::{EntityAddr, EntityAddrVec, Pg, Utime, Uuid},
};

/// The changes that make epoch `epoch` of epoch `epoch - 1`. Everything not mentioned stays.
#[derive(Debug, Clone, PartialEq)]
pub struct OsdMapIncremental {
    /// The word that the writer encoded for; only of interest in a decoded map.
    pub encode_features: u64,
    /// The cluster.
    pub fsid: Uuid,
    /// The epoch that it makes.
    pub epoch: u32,
    /// When it was made.
    pub modified: Utime,
    /// -1 is no change.
    pub new_pool_max: i64,
    /// Flags; negative is no change.
    pub new_flags: i32,
    /// A whole map in place of changes.
    pub full_map: Option<Box<OsdMap>>,
    /// A new CRUSH map.
    pub crush: Option<CrushMap>,
    /// Negative is no change.
    pub new_max_osd: i32,
    /// Pools that are new or changed.
    pub new_pools: BTreeMap<i64, PgPool>,
    /// Names of pools that are new or changed.
    pub new_pool_names: BTreeMap<i64, String>,
    /// Pools that are gone.
    pub old_pools: BTreeSet<i64>,
    /// OSDs that are up now, and where clients find them.
    pub new_up_client: BTreeMap<i32, EntityAddrVec>,
    /// Bits of state that flip; 0 stands for UP.
    pub new_state: BTreeMap<i32, u32>,
    /// New weights.
    pub new_weight: BTreeMap<i32, u32>,
    /// An empty vector removes the entry.
    pub new_pg_temp: BTreeMap<Pg, Vec<i32>>,
    /// -1 removes the entry.
    pub new_primary_temp: BTreeMap<Pg, i32>,
    /// New affinities.
    pub new_primary_affinity: BTreeMap<i32, u32>,
    /// Profiles that are new or changed.
    pub new_erasure_code_profiles: BTreeMap<String, BTreeMap<String, String>>,
    /// Profiles that are gone.
    pub old_erasure_code_profiles: Vec<String>,
    /// Groups placed by hand.
    pub new_pg_upmap: BTreeMap<Pg, Vec<i32>>,
    /// Groups no longer so.
    pub old_pg_upmap: BTreeSet<Pg>,
    /// OSDs replaced by others, per group.
    pub new_pg_upmap_items: BTreeMap<Pg, Vec<(i32, i32)>>,
    /// Groups no longer so.
    pub old_pg_upmap_items: BTreeSet<Pg>,
    /// Snapshots removed, by pool.
    pub new_removed_snaps: BTreeMap<i64, SnapIntervals>,
    /// Snapshots whose data is gone, by pool.
    pub new_purged_snaps: BTreeMap<i64, SnapIntervals>,
    /// Zero is no change.
    pub new_last_up_change: Utime,
    /// Zero is no change.
    pub new_last_in_change: Utime,
    /// Leaders chosen by hand.
    pub new_pg_upmap_primary: BTreeMap<Pg, i32>,
    /// Groups no longer so.
    pub old_pg_upmap_primary: BTreeSet<Pg>,
    /// Heartbeat addresses of OSDs that are up now.
    pub new_hb_back_up: BTreeMap<i32, EntityAddrVec>,
    /// OSDs known to be alive at an epoch.
    pub new_up_thru: BTreeMap<i32, u32>,
    /// Intervals that ended cleanly.
    pub new_last_clean_interval: BTreeMap<i32, (u32, u32)>,
    /// OSDs whose data is lost.
    pub new_lost: BTreeMap<i32, u32>,
    /// Clients that are shut out, until when.
    pub new_blocklist: BTreeMap<EntityAddr, Utime>,
    /// Clients that are let in again.
    pub old_blocklist: Vec<EntityAddr>,
    /// Where OSDs find those that are up now.
    pub new_up_cluster: BTreeMap<i32, EntityAddrVec>,
    /// A snapshot of the whole cluster; empty removes it.
    pub cluster_snapshot: String,
    /// Identities of OSDs.
    pub new_uuid: BTreeMap<i32, Uuid>,
    /// More about OSDs.
    pub new_xinfo: BTreeMap<i32, OsdXinfo>,
    /// Heartbeat addresses of OSDs that are up now.
    pub new_hb_front_up: BTreeMap<i32, EntityAddrVec>,
    /// Negative is no change.
    pub new_nearfull_ratio: f32,
    /// Negative is no change.
    pub new_full_ratio: f32,
    /// Negative is no change.
    pub new_backfillfull_ratio: f32,
    /// [`Release::UNCHANGED`] or [`Release::UNKNOWN`] is no change.
    pub new_require_min_compat_client: Release,
    /// [`Release::UNCHANGED`] is no change.
    pub new_require_osd_release: Release,
    /// 0 removes the entry.
    pub new_crush_node_flags: BTreeMap<i32, u32>,
    /// 0 removes the entry.
    pub new_device_class_flags: BTreeMap<i32, u32>,
    /// The new stretch mode.
    pub stretch_mode: Option<StretchMode>,
    /// Address ranges that are shut out, until when.
    pub new_range_blocklist: BTreeMap<EntityAddr, Utime>,
    /// Address ranges that are let in again.
    pub old_range_blocklist: Vec<EntityAddr>,
    /// Whether Crimson OSDs may join from now on.
    pub allow_crimson: Option<bool>,
    /// The checksum of the map that results, as encoded for the same peer; see
    /// [`OsdMapIncremental::encode_for`].
    pub full_crc: u32,
}

impl OsdMapIncremental {
    /// What such a client is to be given in place of this change; none if it reads it as it is. It belongs to the
    /// full maps of [`OsdMap::translated_for`].
    #[must_use]
    pub fn translated_for(&self, features: Features) -> Option<Self> {
        if features.has(Feature::CRUSH_V4) || self.crush.is_none() && self.full_map.is_none() {
            return None;
        }
        let full = self.full_map.as_ref();
        Some(Self {
            crush: self.crush.as_ref().map(CrushMap::without_straw2),
            full_map: full.and_then(|map| map.translated_for(features)).map(Box::new),
            ..self.clone()
        })
    }

    /// No change but the epoch.
    #[must_use]
    pub fn new(fsid: Uuid, epoch: u32, modified: Utime) -> Self {
        Self {
            encode_features: 0,
            fsid,
            epoch,
            modified,
            new_pool_max: -1,
            new_flags: -1,
            full_map: None,
            crush: None,
            new_max_osd: -1,
            new_pools: BTreeMap::new(),
            new_pool_names: BTreeMap::new(),
            old_pools: BTreeSet::new(),
            new_up_client: BTreeMap::new(),
            new_state: BTreeMap::new(),
            new_weight: BTreeMap::new(),
            new_pg_temp: BTreeMap::new(),
            new_primary_temp: BTreeMap::new(),
            new_primary_affinity: BTreeMap::new(),
            new_erasure_code_profiles: BTreeMap::new(),
            old_erasure_code_profiles: Vec::new(),
            new_pg_upmap: BTreeMap::new(),
            old_pg_upmap: BTreeSet::new(),
            new_pg_upmap_items: BTreeMap::new(),
            old_pg_upmap_items: BTreeSet::new(),
            new_removed_snaps: BTreeMap::new(),
            new_purged_snaps: BTreeMap::new(),
            new_last_up_change: Utime::default(),
            new_last_in_change: Utime::default(),
            new_pg_upmap_primary: BTreeMap::new(),
            old_pg_upmap_primary: BTreeSet::new(),
            new_hb_back_up: BTreeMap::new(),
            new_up_thru: BTreeMap::new(),
            new_last_clean_interval: BTreeMap::new(),
            new_lost: BTreeMap::new(),
            new_blocklist: BTreeMap::new(),
            old_blocklist: Vec::new(),
            new_up_cluster: BTreeMap::new(),
            cluster_snapshot: String::new(),
            new_uuid: BTreeMap::new(),
            new_xinfo: BTreeMap::new(),
            new_hb_front_up: BTreeMap::new(),
            new_nearfull_ratio: -1.0,
            new_full_ratio: -1.0,
            new_backfillfull_ratio: -1.0,
            new_require_min_compat_client: Release::UNCHANGED,
            new_require_osd_release: Release::UNCHANGED,
            new_crush_node_flags: BTreeMap::new(),
            new_device_class_flags: BTreeMap::new(),
            stretch_mode: None,
            new_range_blocklist: BTreeMap::new(),
            old_range_blocklist: Vec::new(),
            allow_crimson: None,
            full_crc: 0,
        }
    }
}
