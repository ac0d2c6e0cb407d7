//! `pg_pool_t`: a pool (Ceph `src/osd/osd_types.h`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    object_hash::{self, ceph_stable_mod, ceph_str_hash_linux, ceph_str_hash_rjenkins},
    snap_intervals::SnapIntervals,
};
use crate::types::{Eversion, Pg, Utime};

/// Flags of a pool (`pg_pool_t::FLAG_*`).
pub mod pool_flags {
    /// The pool's id is hashed into placement.
    pub const HASHPSPOOL: u64 = 1 << 0;
    /// The pool is full: writes wait or fail.
    pub const FULL: u64 = 1 << 1;
    /// Objects of an erasure-coded pool may be overwritten; never cleared again.
    pub const EC_OVERWRITES: u64 = 1 << 2;
    /// Objects may lack clones that their snapshots name: the pool is or was a cache tier.
    pub const INCOMPLETE_CLONES: u64 = 1 << 3;
    /// The pool may not be deleted.
    pub const NODELETE: u64 = 1 << 4;
    /// The numbers of placement groups may not change.
    pub const NOPGCHANGE: u64 = 1 << 5;
    /// The size may not change.
    pub const NOSIZECHANGE: u64 = 1 << 6;
    /// No scrub.
    pub const NOSCRUB: u64 = 1 << 8;
    /// No deep scrub.
    pub const NODEEP_SCRUB: u64 = 1 << 9;
    /// The quota is used up; FULL is set with it.
    pub const FULL_QUOTA: u64 = 1 << 10;
    /// Nearly full.
    pub const NEARFULL: u64 = 1 << 11;
    /// Too full to backfill.
    pub const BACKFILLFULL: u64 = 1 << 12;
    /// Clients make the snapshots (RBD does).
    pub const SELFMANAGED_SNAPS: u64 = 1 << 13;
    /// The monitor makes the snapshots.
    pub const POOL_SNAPS: u64 = 1 << 14;
    /// The placement groups are being made.
    pub const CREATING: u64 = 1 << 15;
    /// All client operations fail with EIO.
    pub const EIO: u64 = 1 << 16;
    /// The pool is going to be large.
    pub const BULK: u64 = 1 << 17;
}

/// Types of pools (`pg_pool_t::TYPE_*`).
pub mod pool_kind {
    /// Whole copies.
    pub const REPLICATED: u8 = 1;
    /// Erasure coded.
    pub const ERASURE: u8 = 3;
}

/// Keys of a pool's options (`pool_opts_t::key_t`) that matter here.
pub mod pool_opt {
    /// The least number of placement groups.
    pub const PG_NUM_MIN: i32 = 15;
    /// Expected size in bytes.
    pub const TARGET_SIZE_BYTES: i32 = 16;
    /// Expected share of the cluster.
    pub const TARGET_SIZE_RATIO: i32 = 17;
    /// The largest number of placement groups.
    pub const PG_NUM_MAX: i32 = 23;
}

/// The value of a pool's option.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolOpt {
    /// A string.
    Str(String),
    /// An integer; peers without SERVER_NAUTILUS see its low 32 bits.
    Int(i64),
    /// A number.
    Double(f64),
}

/// `pool_snap_info_t`: a snapshot of the whole pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolSnapInfo {
    /// Its id.
    pub snapid: u64,
    /// When it was made.
    pub stamp: Utime,
    /// Its name.
    pub name: String,
}

/// `HitSet::Params`: how a cache tier samples accesses. Kept as it came; nothing here is a cache tier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HitSetParams {
    /// The type; 0 is none.
    pub kind: u8,
    /// The encoded parameters of that type.
    pub params: Bytes,
}

/// `pg_merge_meta_t`: the last merge of placement groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PgMergeMeta {
    /// The group that went away.
    pub source_pgid: Pg,
    /// When both were ready.
    pub ready_epoch: u32,
    /// `last_epoch_started` of the target.
    pub last_epoch_started: u32,
    /// `last_epoch_clean` of the target.
    pub last_epoch_clean: u32,
    /// Version of the source.
    pub source_version: Eversion,
    /// Version of the target.
    pub target_version: Eversion,
}

/// Peering rules of stretched clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeeringCrush {
    /// Buckets that must take part.
    pub bucket_count: u32,
    /// Buckets wanted.
    pub bucket_target: u32,
    /// The bucket type that separates sites.
    pub bucket_barrier: u32,
    /// A bucket that must take part; `0x7fff_ffff` is none.
    pub mandatory_member: i32,
}

/// A pool. Field names are Ceph's.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "cache tier and hit set fields are carried, not used")]
pub struct PgPool {
    /// See [`pool_kind`].
    pub kind: u8,
    /// Copies of each object, or chunks of each stripe.
    pub size: u8,
    /// Copies that must be there to serve.
    pub min_size: u8,
    /// The CRUSH rule.
    pub crush_rule: u8,
    /// `CEPH_STR_HASH_*` of object names; 2 is rjenkins.
    pub object_hash: u8,
    /// Placement groups.
    pub pg_num: u32,
    /// Placement groups as CRUSH sees them.
    pub pgp_num: u32,
    /// The epoch of the last change.
    pub last_change: u32,
    /// The newest snapshot id.
    pub snap_seq: u64,
    /// The epoch of the last change of snapshots.
    pub snap_epoch: u32,
    /// Pool snapshots by id.
    pub snaps: BTreeMap<u64, PoolSnapInfo>,
    /// Snapshots removed, in maps of releases before Octopus.
    pub removed_snaps: SnapIntervals,
    pub auid: u64,
    /// See [`pool_flags`].
    pub flags: u64,
    /// Quota in bytes; 0 is none.
    pub quota_max_bytes: u64,
    /// Quota in objects; 0 is none.
    pub quota_max_objects: u64,
    pub tiers: BTreeSet<u64>,
    pub tier_of: i64,
    pub cache_mode: u8,
    pub read_tier: i64,
    pub write_tier: i64,
    pub properties: BTreeMap<String, String>,
    pub hit_set_params: HitSetParams,
    pub hit_set_period: u32,
    pub hit_set_count: u32,
    /// Bytes of a stripe in erasure-coded pools.
    pub stripe_width: u32,
    pub target_max_bytes: u64,
    pub target_max_objects: u64,
    pub cache_target_dirty_ratio_micro: u32,
    pub cache_target_full_ratio_micro: u32,
    pub cache_min_flush_age: u32,
    pub cache_min_evict_age: u32,
    pub erasure_code_profile: String,
    /// Clients before Luminous resend all operations when this changes.
    pub last_force_op_resend_preluminous: u32,
    pub min_read_recency_for_promote: u32,
    pub expected_num_objects: u64,
    pub cache_target_dirty_high_ratio_micro: u32,
    pub min_write_recency_for_promote: u32,
    pub use_gmt_hitset: bool,
    pub fast_read: bool,
    pub hit_set_grade_decay_rate: u32,
    pub hit_set_search_last_n: u32,
    /// Options by key, see [`pool_opt`].
    pub opts: BTreeMap<i32, PoolOpt>,
    /// Clients of Luminous and Mimic resend all operations when this changes.
    pub last_force_op_resend_prenautilus: u32,
    /// What the pool is for: application, key, value.
    pub application_metadata: BTreeMap<String, BTreeMap<String, String>>,
    /// When the pool was made.
    pub create_time: Utime,
    pub pg_num_target: u32,
    pub pgp_num_target: u32,
    pub pg_num_pending: u32,
    /// Clients resend all operations when this changes.
    pub last_force_op_resend: u32,
    /// 0 off, 1 warn, 2 on.
    pub pg_autoscale_mode: u8,
    pub last_pg_merge_meta: PgMergeMeta,
    /// Set in stretched clusters.
    pub peering_crush: Option<PeeringCrush>,
    /// Shards that cannot lead, 64 a word; what Tentacle writes, kept for peers of that release.
    pub nonprimary_shards: Option<[u64; 2]>,
}

impl Default for PgPool {
    fn default() -> Self {
        Self {
            kind: 0,
            size: 0,
            min_size: 0,
            crush_rule: 0,
            object_hash: 0,
            pg_num: 0,
            pgp_num: 0,
            last_change: 0,
            snap_seq: 0,
            snap_epoch: 0,
            snaps: BTreeMap::new(),
            removed_snaps: SnapIntervals::default(),
            auid: 0,
            flags: 0,
            quota_max_bytes: 0,
            quota_max_objects: 0,
            tiers: BTreeSet::new(),
            tier_of: -1,
            cache_mode: 0,
            read_tier: -1,
            write_tier: -1,
            properties: BTreeMap::new(),
            hit_set_params: HitSetParams::default(),
            hit_set_period: 0,
            hit_set_count: 0,
            stripe_width: 0,
            target_max_bytes: 0,
            target_max_objects: 0,
            cache_target_dirty_ratio_micro: 0,
            cache_target_full_ratio_micro: 0,
            cache_min_flush_age: 0,
            cache_min_evict_age: 0,
            erasure_code_profile: String::new(),
            last_force_op_resend_preluminous: 0,
            min_read_recency_for_promote: 0,
            expected_num_objects: 0,
            cache_target_dirty_high_ratio_micro: 0,
            min_write_recency_for_promote: 0,
            use_gmt_hitset: true,
            fast_read: false,
            hit_set_grade_decay_rate: 0,
            hit_set_search_last_n: 0,
            opts: BTreeMap::new(),
            last_force_op_resend_prenautilus: 0,
            application_metadata: BTreeMap::new(),
            create_time: Utime::default(),
            pg_num_target: 0,
            pgp_num_target: 0,
            pg_num_pending: 0,
            last_force_op_resend: 0,
            pg_autoscale_mode: 0,
            last_pg_merge_meta: PgMergeMeta::default(),
            peering_crush: None,
            nonprimary_shards: None,
        }
    }
}

impl PgPool {
    /// A replicated pool: `pg_num` placement groups (at least 1), `size` copies of which half and one serve,
    /// placed by rule `crush_rule`, with the defaults that Ceph gives a new pool.
    #[must_use]
    pub fn replicated(pg_num: u32, size: u8, crush_rule: u8) -> Self {
        let pg_num = pg_num.max(1);
        Self {
            kind: pool_kind::REPLICATED,
            size,
            min_size: size - size / 2,
            crush_rule,
            object_hash: object_hash::RJENKINS,
            pg_num,
            pgp_num: pg_num,
            flags: pool_flags::HASHPSPOOL,
            cache_target_dirty_ratio_micro: 400_000,
            cache_target_dirty_high_ratio_micro: 600_000,
            cache_target_full_ratio_micro: 800_000,
            pg_num_target: pg_num,
            pgp_num_target: pg_num,
            pg_num_pending: pg_num,
            ..Self::default()
        }
    }

    /// Whether it is erasure coded.
    #[must_use]
    pub const fn is_erasure(&self) -> bool {
        self.kind == pool_kind::ERASURE
    }

    /// The width of a stripe, in bytes, if objects can only grow by whole stripes: in an erasure-coded pool without overwrites.
    #[must_use]
    pub const fn append_alignment(&self) -> Option<u32> {
        if self.is_erasure() && self.flags & pool_flags::EC_OVERWRITES == 0 {
            Some(self.stripe_width)
        } else {
            None
        }
    }

    /// The placement seed of a name (or locator key) in a namespace: the full 32-bit hash.
    #[must_use]
    pub fn hash_key(&self, key: &[u8], nspace: &[u8]) -> u32 {
        let hash = match self.object_hash {
            object_hash::LINUX => ceph_str_hash_linux,
            _ => ceph_str_hash_rjenkins,
        };
        if nspace.is_empty() {
            return hash(key);
        }
        let mut joined = Vec::with_capacity(nspace.len() + 1 + key.len());
        joined.extend_from_slice(nspace);
        joined.push(0o37);
        joined.extend_from_slice(key);
        hash(&joined)
    }

    /// Whether the pool takes no new data.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.flags & pool_flags::FULL != 0
    }

    /// The placement group that a raw seed folds into.
    #[must_use]
    pub fn raw_seed_to_pg(&self, seed: u32) -> u32 {
        ceph_stable_mod(seed, self.pg_num, object_hash::mask_of(self.pg_num))
    }
}
