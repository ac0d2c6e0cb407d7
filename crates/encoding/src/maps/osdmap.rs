//! `OSDMap`: pools, OSDs, placement and the blocklist (Ceph `src/osd/OSDMap.h`).

use std::collections::BTreeMap;

use super::{
    crush::CrushMap,
    osd_info::{OsdInfo, OsdXinfo},
    pg_pool::PgPool,
    release::Release,
    snap_intervals::SnapIntervals,
};
use crate::{
    features::{Feature, Features},
    types::{EntityAddr, EntityAddrVec, Pg, Utime, Uuid},
};

/// Bits of an OSD's state (`CEPH_OSD_*` of `src/include/rados.h`).
pub mod osd_state {
    /// The OSD exists.
    pub const EXISTS: u32 = 1 << 0;
    /// It is up.
    pub const UP: u32 = 1 << 1;
    /// It was marked out automatically.
    pub const AUTOOUT: u32 = 1 << 2;
    /// It is new and was never marked in.
    pub const NEW: u32 = 1 << 3;
    /// It was told to stop.
    pub const STOP: u32 = 1 << 9;
}

/// Flags of the cluster (`CEPH_OSDMAP_*` of `src/include/rados.h`).
pub mod osdmap_flags {
    /// All is nearly full; clients before Mimic look at it.
    pub const NEARFULL: u32 = 1 << 0;
    /// All is full; clients before Mimic look at it.
    pub const FULL: u32 = 1 << 1;
    /// Reads wait.
    pub const PAUSERD: u32 = 1 << 2;
    /// Writes wait.
    pub const PAUSEWR: u32 = 1 << 3;
    /// OSDs are not marked up.
    pub const NOUP: u32 = 1 << 5;
    /// OSDs are not marked down.
    pub const NODOWN: u32 = 1 << 6;
    /// OSDs are not marked out.
    pub const NOOUT: u32 = 1 << 7;
    /// OSDs are not marked in.
    pub const NOIN: u32 = 1 << 8;
    /// No backfill.
    pub const NOBACKFILL: u32 = 1 << 9;
    /// No recovery.
    pub const NORECOVER: u32 = 1 << 10;
    /// No scrub.
    pub const NOSCRUB: u32 = 1 << 11;
    /// No deep scrub.
    pub const NODEEP_SCRUB: u32 = 1 << 12;
    /// No rebalancing.
    pub const NOREBALANCE: u32 = 1 << 14;
    /// Objects sort bitwise, as since Jewel.
    pub const SORTBITWISE: u32 = 1 << 15;
    /// OSDs must be Jewel; told to peers before Luminous.
    pub const REQUIRE_JEWEL: u32 = 1 << 16;
    /// OSDs must be Kraken; told to peers before Luminous.
    pub const REQUIRE_KRAKEN: u32 = 1 << 17;
    /// OSDs must be Luminous; told to peers before Luminous.
    pub const REQUIRE_LUMINOUS: u32 = 1 << 18;
    /// Deletes are done in recovery.
    pub const RECOVERY_DELETES: u32 = 1 << 19;
    /// OSDs have converted snapsets.
    pub const PURGED_SNAPDIRS: u32 = 1 << 20;
    /// Snapshots are not trimmed.
    pub const NOSNAPTRIM: u32 = 1 << 21;
    /// Placement group logs have a hard limit.
    pub const PGLOG_HARDLIMIT: u32 = 1 << 22;
    /// The three that a release number has replaced.
    pub const LEGACY_REQUIRE: u32 = REQUIRE_JEWEL | REQUIRE_KRAKEN | REQUIRE_LUMINOUS;
}

/// The addresses of one OSD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsdAddrs {
    /// Where clients talk to it.
    pub client: EntityAddrVec,
    /// Where OSDs talk to it.
    pub cluster: EntityAddrVec,
    /// Heartbeats of the cluster network.
    pub hb_back: EntityAddrVec,
    /// Heartbeats of the public network.
    pub hb_front: EntityAddrVec,
}

impl OsdAddrs {
    /// Of an OSD of which only these are known yet.
    pub(super) fn of_client(client: EntityAddrVec) -> Self {
        Self {
            client,
            ..Self::default()
        }
    }
}

/// How a cluster is stretched over two sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StretchMode {
    /// Whether it is.
    pub enabled: bool,
    /// Number of sites.
    pub bucket_count: u32,
    /// Set while a site is missing.
    pub degraded: u32,
    /// Set while a site comes back.
    pub recovering: u32,
    /// The CRUSH type of a site.
    pub bucket: i32,
}

/// The map of OSDs, pools and placement. Vectors by OSD id are of length [`OsdMap::max_osd`]; use
/// [`OsdMap::set_max_osd`] to change it.
#[derive(Debug, Clone, PartialEq)]
pub struct OsdMap {
    /// The cluster.
    pub fsid: Uuid,
    /// Version of the map.
    pub epoch: u32,
    /// When the cluster was made.
    pub created: Utime,
    /// When this epoch was made.
    pub modified: Utime,
    /// Pools by id.
    pub pools: BTreeMap<i64, PgPool>,
    /// Names of pools by id.
    pub pool_names: BTreeMap<i64, String>,
    /// The largest pool id there ever was.
    pub pool_max: i32,
    /// See [`osdmap_flags`].
    pub flags: u32,
    /// One above the largest OSD id.
    pub max_osd: i32,
    /// State of each OSD, see [`osd_state`].
    pub osd_state: Vec<u32>,
    /// Weight of each OSD, 16.16 fixed point: `0x1_0000` is in, 0 is out.
    pub osd_weight: Vec<u32>,
    /// Addresses of each OSD.
    pub osd_addrs: Vec<OsdAddrs>,
    /// Groups served elsewhere for a time.
    pub pg_temp: BTreeMap<Pg, Vec<i32>>,
    /// Groups led by another OSD for a time.
    pub primary_temp: BTreeMap<Pg, i32>,
    /// How willingly each OSD leads, `0x1_0000` is always; empty if that is so for all.
    pub osd_primary_affinity: Vec<u32>,
    /// Placement.
    pub crush: CrushMap,
    /// Erasure code profiles by name.
    pub erasure_code_profiles: BTreeMap<String, BTreeMap<String, String>>,
    /// Groups placed by hand.
    pub pg_upmap: BTreeMap<Pg, Vec<i32>>,
    /// OSDs replaced by others, per group.
    pub pg_upmap_items: BTreeMap<Pg, Vec<(i32, i32)>>,
    /// Counts changes of [`Self::crush`].
    pub crush_version: u32,
    /// Snapshots removed in this epoch, by pool.
    pub new_removed_snaps: BTreeMap<i64, SnapIntervals>,
    /// Snapshots whose data is gone since this epoch, by pool.
    pub new_purged_snaps: BTreeMap<i64, SnapIntervals>,
    /// When an OSD went up or down last.
    pub last_up_change: Utime,
    /// When an OSD went in or out last.
    pub last_in_change: Utime,
    /// Leaders chosen by hand (Reef; older peers cannot be told).
    pub pg_upmap_primaries: BTreeMap<Pg, i32>,
    /// Epochs of each OSD.
    pub osd_info: Vec<OsdInfo>,
    /// Clients that are shut out, until when. Keys are made by [`OsdMap::blocklist_key`]; ask
    /// [`OsdMap::is_blocklisted`].
    pub blocklist: BTreeMap<EntityAddr, Utime>,
    /// The epoch of [`Self::cluster_snapshot`].
    pub cluster_snapshot_epoch: u32,
    /// A snapshot of the whole cluster, long unused.
    pub cluster_snapshot: String,
    /// Identity of each OSD.
    pub osd_uuid: Vec<Uuid>,
    /// More about each OSD.
    pub osd_xinfo: Vec<OsdXinfo>,
    /// Share of space above which OSDs count as nearly full.
    pub nearfull_ratio: f32,
    /// Share of space above which OSDs count as full.
    pub full_ratio: f32,
    /// Share of space above which OSDs take no backfill.
    pub backfillfull_ratio: f32,
    /// The oldest clients that the operator wants to serve; librbd chooses the clone format by it.
    pub require_min_compat_client: Release,
    /// The oldest release an OSD may be.
    pub require_osd_release: Release,
    /// Snapshots removed whose data is not gone yet, by pool.
    pub removed_snaps_queue: BTreeMap<i64, SnapIntervals>,
    /// Flags of CRUSH nodes.
    pub crush_node_flags: BTreeMap<i32, u32>,
    /// Flags of device classes.
    pub device_class_flags: BTreeMap<i32, u32>,
    /// Stretch mode; written if enabled.
    pub stretch_mode: StretchMode,
    /// Address ranges that are shut out, until when: the nonce is the prefix length. Written if there are any.
    pub range_blocklist: BTreeMap<EntityAddr, Utime>,
    /// Whether Crimson OSDs may join. Written if so.
    pub allow_crimson: bool,
}

impl Default for OsdMap {
    fn default() -> Self {
        Self {
            fsid: Uuid::default(),
            epoch: 0,
            created: Utime::default(),
            modified: Utime::default(),
            pools: BTreeMap::new(),
            pool_names: BTreeMap::new(),
            pool_max: 0,
            flags: 0,
            max_osd: 0,
            osd_state: Vec::new(),
            osd_weight: Vec::new(),
            osd_addrs: Vec::new(),
            pg_temp: BTreeMap::new(),
            primary_temp: BTreeMap::new(),
            osd_primary_affinity: Vec::new(),
            crush: CrushMap::default(),
            erasure_code_profiles: BTreeMap::new(),
            pg_upmap: BTreeMap::new(),
            pg_upmap_items: BTreeMap::new(),
            crush_version: 1,
            new_removed_snaps: BTreeMap::new(),
            new_purged_snaps: BTreeMap::new(),
            last_up_change: Utime::default(),
            last_in_change: Utime::default(),
            pg_upmap_primaries: BTreeMap::new(),
            osd_info: Vec::new(),
            blocklist: BTreeMap::new(),
            cluster_snapshot_epoch: 0,
            cluster_snapshot: String::new(),
            osd_uuid: Vec::new(),
            osd_xinfo: Vec::new(),
            nearfull_ratio: 0.0,
            full_ratio: 0.0,
            backfillfull_ratio: 0.0,
            require_min_compat_client: Release::UNKNOWN,
            require_osd_release: Release::UNKNOWN,
            removed_snaps_queue: BTreeMap::new(),
            crush_node_flags: BTreeMap::new(),
            device_class_flags: BTreeMap::new(),
            stretch_mode: StretchMode::default(),
            range_blocklist: BTreeMap::new(),
            allow_crimson: false,
        }
    }
}

/// `CEPH_OSD_DEFAULT_PRIMARY_AFFINITY`.
pub(super) const DEFAULT_PRIMARY_AFFINITY: u32 = 0x1_0000;

impl OsdMap {
    /// Weight of an OSD that is in.
    pub const IN: u32 = 0x1_0000;

    /// What such a client is to be given in place of this map; none if it reads the map as it is.
    #[must_use]
    pub fn translated_for(&self, features: Features) -> Option<Self> {
        (!features.has(Feature::CRUSH_V4)).then(|| Self {
            crush: self.crush.without_straw2(),
            ..self.clone()
        })
    }

    /// Changes the number of OSDs; new ones do not exist yet. Negative is none.
    pub fn set_max_osd(&mut self, max_osd: i32) {
        let n = usize::try_from(max_osd).unwrap_or(0);
        self.max_osd = max_osd.max(0);
        self.osd_state.resize(n, 0);
        self.osd_weight.resize(n, 0);
        self.osd_addrs.resize(n, OsdAddrs::default());
        self.osd_info.resize(n, OsdInfo::default());
        self.osd_uuid.resize(n, Uuid::default());
        self.osd_xinfo.resize(n, OsdXinfo::default());
        if !self.osd_primary_affinity.is_empty() {
            self.osd_primary_affinity.resize(n, DEFAULT_PRIMARY_AFFINITY);
        }
    }

    /// The pool of that name.
    #[must_use]
    pub fn pool_by_name(&self, name: &str) -> Option<i64> {
        self.pool_names
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(id, _)| *id)
    }

    /// Whether the OSD exists and is up.
    #[must_use]
    pub fn is_up(&self, osd: i32) -> bool {
        let both = osd_state::EXISTS | osd_state::UP;
        usize::try_from(osd)
            .ok()
            .and_then(|i| self.osd_state.get(i))
            .is_some_and(|s| s & both == both)
    }

    /// The group of an object, with the raw seed as requests carry it: the hash of the locator key, or of the
    /// name where there is none, in its namespace. None if there is no such pool.
    #[must_use]
    pub fn object_to_pg(&self, pool: i64, name: &[u8], key: &[u8], nspace: &[u8]) -> Option<Pg> {
        let p = self.pools.get(&pool)?;
        let seed = p.hash_key(if key.is_empty() { name } else { key }, nspace);
        Some(Pg {
            pool: u64::try_from(pool).ok()?,
            seed,
        })
    }

    /// The placement group that a raw seed belongs to. None if there is no such pool.
    #[must_use]
    pub fn raw_pg_to_pg(&self, pg: Pg) -> Option<Pg> {
        let p = self.pools.get(&i64::try_from(pg.pool).ok()?)?;
        Some(Pg {
            pool: pg.pool,
            seed: p.raw_seed_to_pg(pg.seed),
        })
    }
}

/// Features on which the bytes of an OSDMap depend. Peers whose words agree in these get the same bytes, which
/// may therefore be kept and shared.
const SIGNIFICANT: u64 = {
    const BITS: &[u32] = &[
        9, 11, 13, 39, 43, 48,
        56, // PGID64, PGPOOL3, OSDENC, OSDMAP_ENC, OSD_POOLRESEND, CRUSH_V4, NEW_OSDOP_ENCODING
        57, 58, 59, // SERVER_JEWEL, CRUSH_TUNABLES5, MSG_ADDR2
        21, 28, 2, 16, 33, 31, 38,
        50, // LUMINOUS, MIMIC, NAUTILUS, OCTOPUS, QUINCY, REEF, CRUSH_MSR, TENTACLE
    ];
    let mut word = 0;
    let mut i = 0;
    while i < BITS.len() {
        word |= 1 << BITS[i];
        i += 1;
    }
    word
};

/// The part of a peer's word on which the bytes of an OSDMap or an incremental one depend, with bit 59 dropped
/// where it is not MSG_ADDR2: the key under which an encoding may be cached.
#[must_use]
pub const fn significant_features(features: Features) -> Features {
    let word = Features(features.sanitised().0 & SIGNIFICANT);
    debug_assert!(word.has(Feature::MSG_ADDR2) == features.has(Feature::MSG_ADDR2));
    word
}
