//! Encoding of `pg_pool_t` in all its versions (Ceph `src/osd/osd_types.cc`).

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use super::{
    pg_pool::{HitSetParams, PeeringCrush, PgMergeMeta, PgPool, PoolOpt, PoolSnapInfo, pool_flags},
    snap_intervals::SnapIntervals,
    wire::{map_with, put_map_with, put_string_map_map, set, string_map_map},
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    types::{Eversion, Pg, Utime},
};

impl PgPool {
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
