//! Usage of pools: `pool_stat_t`, `object_stat_collection_t`, `object_stat_sum_t`, `store_statfs_t` (Ceph
//! `src/osd/osd_types.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result},
    features::{Feature, Features},
};

macro_rules! object_stat_sum {
    ($($(#[$doc:meta])* $field:ident: $t:ident, $since:literal;)*) => {
        /// Counters over objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct ObjectStatSum {
            $($(#[$doc])* pub $field: $t,)*
        }

        impl Decode for ObjectStatSum {
            fn decode(r: &mut Reader<'_>) -> Result<Self> {
                const WHAT: &str = "object_stat_sum_t";
                let mut f = r.frame(20, WHAT)?;
                if !f.since(14) {
                    return Err(DecodeError::TooOld { what: WHAT, version: f.version });
                }
                let mut sum = Self {
                    $($field: if f.since($since) { $t::decode(&mut f)? } else { 0 },)*
                };
                if !f.since(16) {
                    // An upper bound, which is what the field is.
                    sum.num_legacy_snapsets = sum.num_object_clones;
                }
                Ok(sum)
            }
        }

        impl Encode for ObjectStatSum {
            fn encode(&self, out: &mut BytesMut, features: Features) {
                out.put_frame(20, 14, |out| {
                    $(self.$field.encode(out, features);)*
                });
            }
        }
    };
}

object_stat_sum! {
    /// Bytes of data.
    num_bytes: i64, 14;
    /// Objects, clones included.
    num_objects: i64, 14;
    /// Clones.
    num_object_clones: i64, 14;
    /// Objects times replicas.
    num_object_copies: i64, 14;
    /// Objects the primary lacks.
    num_objects_missing_on_primary: i64, 14;
    /// Copies that lack.
    num_objects_degraded: i64, 14;
    /// Objects found nowhere.
    num_objects_unfound: i64, 14;
    /// Reads.
    num_rd: i64, 14;
    /// KiB read.
    num_rd_kb: i64, 14;
    /// Writes.
    num_wr: i64, 14;
    /// KiB written.
    num_wr_kb: i64, 14;
    /// Scrub errors.
    num_scrub_errors: i64, 14;
    /// Objects recovered.
    num_objects_recovered: i64, 14;
    /// Bytes recovered.
    num_bytes_recovered: i64, 14;
    /// Omap keys recovered.
    num_keys_recovered: i64, 14;
    /// Errors of shallow scrubs.
    num_shallow_scrub_errors: i64, 14;
    /// Errors of deep scrubs.
    num_deep_scrub_errors: i64, 14;
    /// Dirty objects (cache tiers).
    num_objects_dirty: i64, 14;
    /// Whiteouts.
    num_whiteouts: i64, 14;
    /// Objects with omap.
    num_objects_omap: i64, 14;
    /// Hit set objects.
    num_objects_hit_set_archive: i64, 14;
    /// Copies in the wrong place.
    num_objects_misplaced: i64, 14;
    /// Bytes of hit sets.
    num_bytes_hit_set_archive: i64, 14;
    /// Flushes.
    num_flush: i64, 14;
    /// KiB flushed.
    num_flush_kb: i64, 14;
    /// Evictions.
    num_evict: i64, 14;
    /// KiB evicted.
    num_evict_kb: i64, 14;
    /// Promotions.
    num_promote: i64, 14;
    /// 1 when flushing fast.
    num_flush_mode_high: i32, 14;
    /// 1 when flushing slowly.
    num_flush_mode_low: i32, 14;
    /// 1 when evicting some.
    num_evict_mode_some: i32, 14;
    /// 1 when evicting all.
    num_evict_mode_full: i32, 14;
    /// Pinned objects.
    num_objects_pinned: i64, 14;
    /// Missing copies.
    num_objects_missing: i64, 14;
    /// Snapsets of before Luminous.
    num_legacy_snapsets: i64, 16;
    /// Objects with a large omap.
    num_large_omap_objects: i64, 17;
    /// Objects with a manifest.
    num_objects_manifest: i64, 18;
    /// Bytes of omap.
    num_omap_bytes: i64, 19;
    /// Keys of omap.
    num_omap_keys: i64, 19;
    /// Repaired objects.
    num_objects_repaired: i64, 20;
}

/// Counters over objects, once also by category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectStatCollection {
    /// Over all categories.
    pub sum: ObjectStatSum,
}

impl Decode for ObjectStatCollection {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "object_stat_collection_t")?;
        let sum = ObjectStatSum::decode(&mut f)?;
        f.map::<String, ObjectStatSum>()?; // categories, unused since Hammer
        Ok(Self { sum })
    }
}

impl Encode for ObjectStatCollection {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 2, |out| {
            self.sum.encode(out, features);
            out.put_u32_le(0);
        });
    }
}

/// Usage of a store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStatfs {
    /// Capacity.
    pub total: u64,
    /// Free.
    pub available: u64,
    /// Reserved by the store.
    pub internally_reserved: u64,
    /// Allocated for data.
    pub allocated: i64,
    /// Data as users see it.
    pub data_stored: i64,
    /// Data after compression.
    pub data_compressed: i64,
    /// Allocated for compressed data.
    pub data_compressed_allocated: i64,
    /// Data before compression.
    pub data_compressed_original: i64,
    /// Allocated for omap.
    pub omap_allocated: i64,
    /// Allocated for the store's own metadata.
    pub internal_metadata: i64,
}

impl Decode for StoreStatfs {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "store_statfs_t")?;
        Ok(Self {
            total: f.u64()?,
            available: f.u64()?,
            internally_reserved: f.u64()?,
            allocated: f.i64()?,
            data_stored: f.i64()?,
            data_compressed: f.i64()?,
            data_compressed_allocated: f.i64()?,
            data_compressed_original: f.i64()?,
            omap_allocated: f.i64()?,
            internal_metadata: f.i64()?,
        })
    }
}

impl Encode for StoreStatfs {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_frame(1, 1, |out| {
            out.put_u64_le(self.total);
            out.put_u64_le(self.available);
            out.put_u64_le(self.internally_reserved);
            out.put_i64_le(self.allocated);
            out.put_i64_le(self.data_stored);
            out.put_i64_le(self.data_compressed);
            out.put_i64_le(self.data_compressed_allocated);
            out.put_i64_le(self.data_compressed_original);
            out.put_i64_le(self.omap_allocated);
            out.put_i64_le(self.internal_metadata);
        });
    }
}

/// Usage of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStat {
    /// Objects.
    pub stats: ObjectStatCollection,
    /// Usage of the stores for this pool.
    pub store_stats: StoreStatfs,
    /// Log entries.
    pub log_size: i64,
    /// Log entries on disk.
    pub ondisk_log_size: i64,
    /// Replicas that are up, over all PGs.
    pub up: i32,
    /// Replicas that serve, over all PGs.
    pub acting: i32,
    /// How many stores `store_stats` is the sum of.
    pub num_store_stats: i32,
}

/// The last version without a length.
const LEGACY_VERSION: u8 = 4;

impl PoolStat {
    fn decode_counters(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            stats: ObjectStatCollection::decode(r)?,
            log_size: r.i64()?,
            ondisk_log_size: r.i64()?,
            ..Self::default()
        })
    }

    fn encode_counters(&self, out: &mut BytesMut, features: Features) {
        self.stats.encode(out, features);
        out.put_i64_le(self.log_size);
        out.put_i64_le(self.ondisk_log_size);
    }
}

impl Decode for PoolStat {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        const WHAT: &str = "pool_stat_t";
        match r.peek().first() {
            Some(&LEGACY_VERSION) => {
                r.skip(1, WHAT)?;
                return Self::decode_counters(r);
            }
            Some(&version) if version < LEGACY_VERSION => {
                return Err(DecodeError::TooOld { what: WHAT, version });
            }
            _ => {}
        }
        let mut f = r.frame(7, WHAT)?;
        let mut stat = Self::decode_counters(&mut f)?;
        if f.since(6) {
            stat.up = f.i32()?;
            stat.acting = f.i32()?;
        }
        if f.since(7) {
            stat.store_stats = StoreStatfs::decode(&mut f)?;
            stat.num_store_stats = f.i32()?;
        }
        Ok(stat)
    }
}

impl Encode for PoolStat {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        if !features.has(Feature::OSDENC) {
            out.put_u8(LEGACY_VERSION);
            return self.encode_counters(out, features);
        }
        out.put_frame(7, 5, |out| {
            self.encode_counters(out, features);
            out.put_i32_le(self.up);
            out.put_i32_le(self.acting);
            self.store_stats.encode(out, features);
            out.put_i32_le(self.num_store_stats);
        });
    }
}
