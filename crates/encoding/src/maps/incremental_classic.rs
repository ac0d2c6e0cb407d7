//! The form of the incremental OSDMap for peers without OSDMAP_ENC, before Firefly (Ceph `src/osd/OSDMap.cc`,
//! `Incremental::encode_classic` and `encode_client_old`); see [`super::osdmap_classic`], whose versions it shares.

use bytes::{BufMut, BytesMut};

use super::{
    PgPool,
    crush::CrushMap,
    incremental::OsdMapIncremental,
    osdmap::OsdMap,
    osdmap_classic::{is_short, put_extended, put_version, read_extended, read_version},
    wire::{map_with, pg_map, pool_id, pool_map, put_blocklist, put_pg_map, put_pool_id, put_pool_map},
};
use crate::{
    codec::{Decode, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    types::{Utime, Uuid},
};

impl OsdMapIncremental {
    pub(super) fn encode_classic(&self, out: &mut BytesMut, features: Features) {
        let short = is_short(put_version(out, features));
        // Ceph encodes the old form as for a peer that knows nothing at all.
        let features = if short { Features::NONE } else { features };
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        self.modified.encode(out, features);
        if short {
            out.put_i32_le(self.new_pool_max as i32);
        } else {
            out.put_i64_le(self.new_pool_max);
        }
        out.put_i32_le(self.new_flags);
        self.put_embedded_maps(out, features);
        out.put_i32_le(self.new_max_osd);
        put_pool_map(out, &self.new_pools, short, |out, pool| {
            pool.encode(out, features);
        });
        put_pool_map(out, &self.new_pool_names, short, |out, name| out.put_string(name));
        out.put_u32_le(wire_len(self.old_pools.len()));
        for id in &self.old_pools {
            put_pool_id(out, *id, short);
        }
        out.put_map(&self.new_up_client, features);
        self.put_state_bytes(out);
        out.put_map(&self.new_weight, features);
        put_pg_map(out, &self.new_pg_temp, short);
        if !short {
            self.encode_extended(out, features);
        }
    }

    fn encode_extended(&self, out: &mut BytesMut, features: Features) {
        put_extended(out);
        out.put_map(&self.new_hb_back_up, features);
        out.put_map(&self.new_up_thru, features);
        out.put_map(&self.new_last_clean_interval, features);
        out.put_map(&self.new_lost, features);
        put_blocklist(out, &self.new_blocklist, features);
        out.put_vec(self.old_blocklist.iter(), features);
        out.put_map(&self.new_up_cluster, features);
        out.put_string(&self.cluster_snapshot);
        out.put_map(&self.new_uuid, features);
        out.put_map(&self.new_xinfo, features);
        out.put_map(&self.new_hb_front_up, features);
    }

    /// What the form cannot say is no change.
    pub(super) fn decode_classic(r: &mut Reader<'_>) -> Result<Self> {
        let short = is_short(read_version(r, "OSDMap::Incremental")?);
        let mut inc = Self::new(Uuid::decode(r)?, r.u32()?, Utime::decode(r)?);
        inc.encode_features = if short { 0 } else { Feature::PGID64.word().0 };
        inc.new_pool_max = if short { r.i32()?.into() } else { r.i64()? };
        inc.new_flags = r.i32()?;
        let full = r.blob()?;
        if !full.is_empty() {
            inc.full_map = Some(Box::new(OsdMap::from_bytes(&full)?));
        }
        let crush = r.blob()?;
        if !crush.is_empty() {
            inc.crush = Some(CrushMap::from_bytes(&crush)?);
        }
        inc.new_max_osd = r.i32()?;
        inc.new_pools = pool_map(r, short, PgPool::decode)?;
        inc.new_pool_names = pool_map(r, short, Reader::string)?;
        for _ in 0..r.count(4, "old pools")? {
            inc.old_pools.insert(pool_id(r, short)?);
        }
        inc.new_up_client = r.map()?;
        inc.new_state = map_with(r, |r| Ok(r.u8()?.into()))?;
        inc.new_weight = r.map()?;
        inc.new_pg_temp = pg_map(r, short)?;
        if !short {
            inc.decode_extended(r)?;
        }
        inc.release_from_flags();
        Ok(inc)
    }

    fn decode_extended(&mut self, r: &mut Reader<'_>) -> Result<()> {
        read_extended(r, "OSDMap::Incremental, part for OSDs")?;
        self.new_hb_back_up = r.map()?;
        self.new_up_thru = r.map()?;
        self.new_last_clean_interval = r.map()?;
        self.new_lost = r.map()?;
        self.new_blocklist = r.map()?;
        self.old_blocklist = r.vec()?;
        self.new_up_cluster = r.map()?;
        self.cluster_snapshot = r.string()?;
        self.new_uuid = r.map()?;
        self.new_xinfo = r.map()?;
        self.new_hb_front_up = r.map()?;
        Ok(())
    }
}
