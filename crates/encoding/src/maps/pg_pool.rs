//! `pg_pool_t`: a pool (Ceph `src/osd/osd_types.h`, `osd_types.cc`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    object_hash::{self, ceph_stable_mod, ceph_str_hash_linux, ceph_str_hash_rjenkins},
    snap_intervals::SnapIntervals,
    wire::{map_with, put_map_with, put_string_map_map, set, string_map_map},
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    types::{Eversion, Pg, Utime},
};

/// Flags of a pool (`pg_pool_t::FLAG_*`).
pub mod pool_flags {
    /// The pool's id is hashed into placement.
    pub const HASHPSPOOL: u64 = 1 << 0;
    /// The pool is full: writes wait or fail.
    pub const FULL: u64 = 1 << 1;
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
    /// 1 replicated, 3 erasure coded.
    pub kind: u8,
    /// Copies of each object.
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
            kind: 1,
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

    /// The version that a peer is given. Without NEW_OSDOP_ENCODING a peer is a Hammer or older.
    fn version_for(&self, features: Features) -> u8 {
        if !features.has(Feature::OSD_POOLRESEND) {
            14
        } else if !features.has(Feature::NEW_OSDOP_ENCODING) {
            21
        } else if !features.has(Feature::SERVER_LUMINOUS) {
            24
        } else if !features.has(Feature::SERVER_MIMIC) {
            26
        } else if !features.has(Feature::SERVER_NAUTILUS) {
            27
        } else if self.nonprimary_shards.is_some() && features.has(Feature::SERVER_TENTACLE) {
            32
        } else if self.peering_crush.is_some() {
            30
        } else {
            29
        }
    }
}

/// Placement, in all versions.
impl PgPool {
    fn encode_head(&self, out: &mut BytesMut) {
        out.put_slice(&[self.kind, self.size, self.crush_rule, self.object_hash]);
        out.put_u32_le(self.pg_num);
        out.put_u32_le(self.pgp_num);
        out.put_u64_le(0); // numbers of localized groups, which no longer exist
        out.put_u32_le(self.last_change);
        out.put_u64_le(self.snap_seq);
        out.put_u32_le(self.snap_epoch);
    }

    /// Version 2, the fixed `ceph_pg_pool`, for peers without PGPOOL3.
    fn encode_v2(&self, out: &mut BytesMut, features: Features) {
        out.put_u8(2);
        self.encode_head(out);
        out.put_u32_le(wire_len(self.snaps.len()));
        out.put_u32_le(wire_len(self.removed_snaps.iter().count()));
        out.put_u64_le(self.auid);
        for (id, snap) in &self.snaps {
            out.put_u64_le(*id);
            snap.encode(out, features);
        }
        self.removed_snaps.encode_nohead(out);
    }

    fn encode_snaps_and_flags(&self, out: &mut BytesMut, features: Features, flags: u64) {
        out.put_map(&self.snaps, features);
        self.removed_snaps.encode(out, features);
        out.put_u64_le(self.auid);
        out.put_u64_le(flags);
        out.put_u32_le(0); // crash_replay_interval, which no longer exists
    }

    fn encode_to_v14(&self, out: &mut BytesMut, features: Features, version: u8) {
        // Peers before Mimic never knew the flags of snapshots; peers below 21 were given all flags as they are.
        let hidden = match version {
            15..27 => pool_flags::SELFMANAGED_SNAPS | pool_flags::POOL_SNAPS | pool_flags::CREATING,
            _ => 0,
        };
        self.encode_head(out);
        self.encode_snaps_and_flags(out, features, self.flags & !hidden);
        out.put_u8(self.min_size);
        out.put_u64_le(self.quota_max_bytes);
        out.put_u64_le(self.quota_max_objects);
        out.put_vec(self.tiers.iter(), features);
        out.put_i64_le(self.tier_of);
        out.put_u8(self.cache_mode);
        out.put_i64_le(self.read_tier);
        out.put_i64_le(self.write_tier);
        out.put_map(&self.properties, features);
        self.hit_set_params.encode(out, features);
        out.put_u32_le(self.hit_set_period);
        out.put_u32_le(self.hit_set_count);
        out.put_u32_le(self.stripe_width);
        out.put_u64_le(self.target_max_bytes);
        out.put_u64_le(self.target_max_objects);
        out.put_u32_le(self.cache_target_dirty_ratio_micro);
        out.put_u32_le(self.cache_target_full_ratio_micro);
        out.put_u32_le(self.cache_min_flush_age);
        out.put_u32_le(self.cache_min_evict_age);
        out.put_string(&self.erasure_code_profile);
    }

    fn encode_after_v14(&self, out: &mut BytesMut, features: Features, version: u8) {
        out.put_u32_le(self.last_force_op_resend_preluminous);
        out.put_u32_le(self.min_read_recency_for_promote);
        out.put_u64_le(self.expected_num_objects);
        out.put_u32_le(self.cache_target_dirty_high_ratio_micro);
        out.put_u32_le(self.min_write_recency_for_promote);
        out.put_bool(self.use_gmt_hitset);
        if version >= 24 {
            out.put_bool(self.fast_read);
            out.put_u32_le(self.hit_set_grade_decay_rate);
            out.put_u32_le(self.hit_set_search_last_n);
            put_opts(out, &self.opts, features);
        }
        if version >= 26 {
            out.put_u32_le(self.last_force_op_resend_prenautilus);
            put_string_map_map(out, &self.application_metadata);
        }
        if version >= 27 {
            self.create_time.encode(out, features);
        }
        if version >= 29 {
            out.put_u32_le(self.pg_num_target);
            out.put_u32_le(self.pgp_num_target);
            out.put_u32_le(self.pg_num_pending);
            out.put_u64_le(0); // two epochs of a merge, superseded by last_pg_merge_meta
            out.put_u32_le(self.last_force_op_resend);
            out.put_u8(self.pg_autoscale_mode);
            self.last_pg_merge_meta.encode(out, features);
        }
        if version >= 31 {
            out.put_bool(self.peering_crush.is_some());
        }
        if version >= 30
            && let Some(p) = &self.peering_crush
        {
            out.put_u32_le(p.bucket_count);
            out.put_u32_le(p.bucket_target);
            out.put_u32_le(p.bucket_barrier);
            out.put_i32_le(p.mandatory_member);
        }
        if version >= 32 {
            for word in self.nonprimary_shards.unwrap_or_default() {
                put_varint(out, word);
            }
        }
    }

    fn decode_body(r: &mut Reader<'_>, version: u8) -> Result<Self> {
        let [kind, size, crush_rule, object_hash] = r.array("pg_pool_t")?;
        let mut p = Self {
            kind,
            size,
            crush_rule,
            object_hash,
            pg_num: r.u32()?,
            pgp_num: r.u32()?,
            ..Self::default()
        };
        r.skip(8, "pg_pool_t localized groups")?;
        p.last_change = r.u32()?;
        p.snap_seq = r.u64()?;
        p.snap_epoch = r.u32()?;
        p.decode_snaps_and_flags(r, version)?;
        p.decode_to_v14(r, version)?;
        p.decode_to_v26(r, version)?;
        p.decode_after_v26(r, version)?;
        Ok(p)
    }

    fn decode_snaps_and_flags(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        if version >= 3 {
            self.snaps = r.map()?;
            self.removed_snaps = SnapIntervals::decode(r)?;
            self.auid = r.u64()?;
        } else {
            let (snaps, removed) = (r.u32()?, r.u32()? as usize);
            self.auid = r.u64()?;
            for _ in 0..snaps {
                let id = r.u64()?;
                self.snaps.insert(id, PoolSnapInfo::decode(r)?);
            }
            self.removed_snaps = SnapIntervals::decode_nohead(removed, r)?;
        }
        if version >= 4 {
            self.flags = r.u64()?;
            r.skip(4, "pg_pool_t crash_replay_interval")?;
        }
        let kinds = pool_flags::SELFMANAGED_SNAPS | pool_flags::POOL_SNAPS;
        if self.snap_seq > 0 && self.flags & kinds == 0 {
            self.flags |= if self.removed_snaps.is_empty() {
                pool_flags::POOL_SNAPS
            } else {
                pool_flags::SELFMANAGED_SNAPS
            };
        }
        Ok(())
    }

    fn decode_to_v14(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        self.min_size = if version >= 7 {
            r.u8()?
        } else {
            self.size - self.size / 2
        };
        if version >= 8 {
            self.quota_max_bytes = r.u64()?;
            self.quota_max_objects = r.u64()?;
        }
        if version >= 9 {
            self.tiers = set(r)?;
            self.tier_of = r.i64()?;
            self.cache_mode = r.u8()?;
            self.read_tier = r.i64()?;
            self.write_tier = r.i64()?;
        }
        if version >= 10 {
            self.properties = r.map()?;
        }
        if version >= 11 {
            self.hit_set_params = HitSetParams::decode(r)?;
            self.hit_set_period = r.u32()?;
            self.hit_set_count = r.u32()?;
        }
        if version >= 12 {
            self.stripe_width = r.u32()?;
        }
        if version >= 13 {
            self.target_max_bytes = r.u64()?;
            self.target_max_objects = r.u64()?;
            self.cache_target_dirty_ratio_micro = r.u32()?;
            self.cache_target_full_ratio_micro = r.u32()?;
            self.cache_min_flush_age = r.u32()?;
            self.cache_min_evict_age = r.u32()?;
        }
        if version >= 14 {
            self.erasure_code_profile = r.string()?;
        }
        Ok(())
    }

    fn decode_to_v26(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        if version >= 15 {
            self.last_force_op_resend_preluminous = r.u32()?;
        }
        self.min_read_recency_for_promote = if version >= 16 { r.u32()? } else { 1 };
        if version >= 17 {
            self.expected_num_objects = r.u64()?;
        }
        self.cache_target_dirty_high_ratio_micro = if version >= 19 {
            r.u32()?
        } else {
            self.cache_target_dirty_ratio_micro
        };
        self.min_write_recency_for_promote = if version >= 20 { r.u32()? } else { 1 };
        self.use_gmt_hitset = version >= 21 && r.bool()?;
        self.fast_read = version >= 22 && r.bool()?;
        if version >= 23 {
            self.hit_set_grade_decay_rate = r.u32()?;
            self.hit_set_search_last_n = r.u32()?;
        } else {
            self.hit_set_search_last_n = 1;
        }
        if version >= 24 {
            self.opts = decode_opts(r)?;
        }
        self.last_force_op_resend_prenautilus = if version >= 25 {
            r.u32()?
        } else {
            self.last_force_op_resend_preluminous
        };
        if version >= 26 {
            self.application_metadata = string_map_map(r)?;
        }
        Ok(())
    }

    fn decode_after_v26(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        if version >= 27 {
            self.create_time = Utime::decode(r)?;
        }
        if version >= 28 {
            self.pg_num_target = r.u32()?;
            self.pgp_num_target = r.u32()?;
            self.pg_num_pending = r.u32()?;
            self.last_pg_merge_meta.last_epoch_started = r.u32()?;
            self.last_pg_merge_meta.last_epoch_clean = r.u32()?;
            self.last_force_op_resend = r.u32()?;
            self.pg_autoscale_mode = r.u8()?;
        } else {
            self.pg_num_target = self.pg_num;
            self.pgp_num_target = self.pgp_num;
            self.pg_num_pending = self.pg_num;
            self.last_force_op_resend = self.last_force_op_resend_prenautilus;
            self.pg_autoscale_mode = 1;
        }
        if version >= 29 {
            self.last_pg_merge_meta = PgMergeMeta::decode(r)?;
        }
        if version == 30 || version >= 31 && r.bool()? {
            self.peering_crush = Some(PeeringCrush {
                bucket_count: r.u32()?,
                bucket_target: r.u32()?,
                bucket_barrier: r.u32()?,
                mandatory_member: r.i32()?,
            });
        }
        if version >= 32 {
            self.nonprimary_shards = Some([varint(r)?, varint(r)?]);
        }
        Ok(())
    }
}

impl Decode for PgPool {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match r.peek().first() {
            Some(&version) if version < 5 => {
                if version < 2 {
                    return Err(DecodeError::TooOld {
                        what: "pg_pool_t",
                        version,
                    });
                }
                r.u8()?;
                Self::decode_body(r, version)
            }
            _ => {
                let mut f = r.frame(32, "pg_pool_t")?;
                let version = f.version;
                Self::decode_body(&mut f, version)
            }
        }
    }
}

impl Encode for PgPool {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if !features.has(Feature::PGPOOL3) {
            return self.encode_v2(out, features);
        }
        if !features.has(Feature::OSDENC) {
            out.put_u8(4);
            self.encode_head(out);
            return self.encode_snaps_and_flags(out, features, self.flags);
        }
        let version = self.version_for(features);
        out.put_frame(version, 5, |out| {
            self.encode_to_v14(out, features, version);
            if version > 14 {
                self.encode_after_v14(out, features, version);
            }
        });
    }
}

fn put_opts(out: &mut BytesMut, opts: &BTreeMap<i32, PoolOpt>, features: Features) {
    let nautilus = features.has(Feature::SERVER_NAUTILUS);
    out.put_frame(if nautilus { 2 } else { 1 }, 1, |out| {
        put_map_with(out, opts, features, |out, opt| match opt {
            PoolOpt::Str(s) => {
                out.put_i32_le(0);
                out.put_string(s);
            }
            PoolOpt::Int(i) => {
                out.put_i32_le(1);
                if nautilus {
                    out.put_i64_le(*i);
                } else {
                    out.put_i32_le(*i as i32); // the low bits, as Ceph does
                }
            }
            PoolOpt::Double(d) => {
                out.put_i32_le(2);
                out.put_f64_le(*d);
            }
        });
    });
}

fn decode_opts(r: &mut Reader<'_>) -> Result<BTreeMap<i32, PoolOpt>> {
    let mut f = r.frame(2, "pool_opts_t")?;
    let wide = f.since(2);
    map_with(&mut f, |r| match r.i32()? {
        0 => Ok(PoolOpt::Str(r.string()?)),
        1 if wide => Ok(PoolOpt::Int(r.i64()?)),
        1 => Ok(PoolOpt::Int(r.i32()?.into())),
        2 => Ok(PoolOpt::Double(f64::from_bits(r.u64()?))),
        t => Err(DecodeError::Invalid {
            what: "pool option type",
            value: t as u64,
        }),
    })
}

/// `denc_varint`: seven bits a byte, low ones first.
fn put_varint(out: &mut BytesMut, mut v: u64) {
    while v > 0x7f {
        out.put_u8(v as u8 | 0x80);
        v >>= 7;
    }
    out.put_u8(v as u8);
}

fn varint(r: &mut Reader<'_>) -> Result<u64> {
    let mut v = 0;
    for shift in (0..64).step_by(7) {
        let byte = r.u8()?;
        v |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(v);
        }
    }
    Err(DecodeError::Invalid {
        what: "varint",
        value: v,
    })
}

impl Decode for PoolSnapInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        fn body(r: &mut Reader<'_>) -> Result<PoolSnapInfo> {
            Ok(PoolSnapInfo {
                snapid: r.u64()?,
                stamp: Utime::decode(r)?,
                name: r.string()?,
            })
        }
        if r.peek().first().is_some_and(|v| *v < 2) {
            r.u8()?;
            return body(r);
        }
        body(&mut *r.frame(2, "pool_snap_info_t")?)
    }
}

impl Encode for PoolSnapInfo {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let body = |out: &mut BytesMut| {
            out.put_u64_le(self.snapid);
            self.stamp.encode(out, features);
            out.put_string(&self.name);
        };
        if features.has(Feature::PGPOOL3) {
            out.put_frame(2, 2, body);
        } else {
            out.put_u8(1);
            body(out);
        }
    }
}

impl Decode for HitSetParams {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "HitSet::Params")?;
        Ok(Self {
            kind: f.u8()?,
            params: f.rest(),
        })
    }
}

impl Encode for HitSetParams {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_frame(1, 1, |out| {
            out.put_u8(self.kind);
            out.put_slice(&self.params);
        });
    }
}

impl Decode for PgMergeMeta {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "pg_merge_meta_t")?;
        Ok(Self {
            source_pgid: Pg::decode(&mut f)?,
            ready_epoch: f.u32()?,
            last_epoch_started: f.u32()?,
            last_epoch_clean: f.u32()?,
            source_version: Eversion::decode(&mut f)?,
            target_version: Eversion::decode(&mut f)?,
        })
    }
}

impl Encode for PgMergeMeta {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            self.source_pgid.encode(out, features);
            out.put_u32_le(self.ready_epoch);
            out.put_u32_le(self.last_epoch_started);
            out.put_u32_le(self.last_epoch_clean);
            self.source_version.encode(out, features);
            self.target_version.encode(out, features);
        });
    }
}
