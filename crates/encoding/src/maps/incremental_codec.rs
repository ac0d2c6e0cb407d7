//! Encoding of the incremental OSDMap (Ceph `src/osd/OSDMap.cc`): as the full one a frame around two sections
//! and a checksum, and behind it the checksum of the map that results. The form for peers without OSDMAP_ENC is
//! in [`super::incremental_classic`].

use bytes::{BufMut, BytesMut};

use super::{
    crush::CrushMap,
    incremental::OsdMapIncremental,
    osdmap::{OsdMap, StretchMode, osdmap_flags, significant_features},
    osdmap_classic,
    osdmap_codec::release_of,
    release::Release,
    wire::{
        check_crc, f32, map_with, put_addrvec_map, put_blocklist, put_map_with, put_string_map_map, set,
        string_map_map,
    },
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, ceph_crc32c, wire_len},
    features::{Feature, Features},
    types::{Utime, Uuid},
};

/// The version of the client section for a peer.
fn client_version(features: Features) -> u8 {
    if !features.has(Feature::SERVER_LUMINOUS) {
        3
    } else if !features.has(Feature::SERVER_MIMIC) {
        5
    } else if !features.has(Feature::SERVER_NAUTILUS) {
        6
    } else if !features.has(Feature::SERVER_REEF) {
        8
    } else {
        9
    }
}

impl OsdMapIncremental {
    /// Encodes for a peer, with the checksum of `full`, which must be the map that results, in the form for
    /// that peer.
    pub fn encode_for(&self, out: &mut BytesMut, features: Features, full: &OsdMap) {
        let features = significant_features(features);
        self.encode_with_crc(out, features, full.crc(features));
    }

    /// The version of the OSD section for a peer; the fields of 10 and later come only where they say something.
    fn osd_version(&self, features: Features) -> u8 {
        let base = if !features.has(Feature::SERVER_LUMINOUS) {
            2
        } else if !features.has(Feature::SERVER_NAUTILUS) {
            6
        } else {
            9
        };
        let wanted = if self.allow_crimson.is_some() {
            12
        } else if !self.new_range_blocklist.is_empty() || !self.old_range_blocklist.is_empty() {
            11
        } else if self.stretch_mode.is_some() {
            10
        } else {
            0
        };
        base.max(wanted)
    }

    fn encode_with_crc(&self, out: &mut BytesMut, features: Features, full_crc: u32) {
        if osdmap_classic::is_for(features) {
            return self.encode_classic(out, features);
        }
        let start = out.len();
        out.put_frame(8, 7, |out| {
            let v = client_version(features);
            out.put_frame(v, 1, |out| self.encode_client(out, features, v));
            let v = self.osd_version(features);
            out.put_frame(v, 1, |out| self.encode_osd(out, features, v));
            out.put_u32_le(0);
            out.put_u32_le(full_crc);
        });
        let crc_at = out.len() - 8;
        let crc = ceph_crc32c(u32::MAX, &out[start..crc_at]);
        let crc = ceph_crc32c(crc, &full_crc.to_le_bytes());
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }

    fn encode_client(&self, out: &mut BytesMut, features: Features, v: u8) {
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        self.modified.encode(out, features);
        out.put_i64_le(self.new_pool_max);
        out.put_i32_le(self.new_flags);
        self.put_embedded_maps(out, features);
        out.put_i32_le(self.new_max_osd);
        out.put_map(&self.new_pools, features);
        out.put_map(&self.new_pool_names, features);
        out.put_vec(self.old_pools.iter(), features);
        put_addrvec_map(out, &self.new_up_client, v >= 7, features);
        if v >= 5 {
            out.put_map(&self.new_state, features);
        } else {
            self.put_state_bytes(out);
        }
        out.put_map(&self.new_weight, features);
        put_map_with(out, &self.new_pg_temp, features, |out, osds| {
            out.put_vec(osds.iter(), features);
        });
        out.put_map(&self.new_primary_temp, features);
        out.put_map(&self.new_primary_affinity, features);
        put_string_map_map(out, &self.new_erasure_code_profiles);
        out.put_vec(self.old_erasure_code_profiles.iter(), features);
        if v >= 4 {
            put_map_with(out, &self.new_pg_upmap, features, |out, osds| {
                out.put_vec(osds.iter(), features);
            });
            out.put_vec(self.old_pg_upmap.iter(), features);
            put_map_with(out, &self.new_pg_upmap_items, features, |out, pairs| {
                out.put_vec(pairs.iter(), features);
            });
            out.put_vec(self.old_pg_upmap_items.iter(), features);
        }
        if v >= 6 {
            out.put_map(&self.new_removed_snaps, features);
            out.put_map(&self.new_purged_snaps, features);
        }
        if v >= 8 {
            self.new_last_up_change.encode(out, features);
            self.new_last_in_change.encode(out, features);
        }
        if v >= 9 {
            out.put_map(&self.new_pg_upmap_primary, features);
            out.put_vec(self.old_pg_upmap_primary.iter(), features);
        }
    }

    /// A whole map and a CRUSH map, if there are any.
    pub(super) fn put_embedded_maps(&self, out: &mut BytesMut, features: Features) {
        match &self.full_map {
            Some(map) => out.put_blob(&map.to_bytes(features)),
            None => out.put_u32_le(0),
        }
        match &self.crush {
            Some(crush) => out.put_blob(&crush.to_bytes(features)),
            None => out.put_u32_le(0),
        }
    }

    /// Changes of state bits for older peers, which know the low eight. Changes of other bits alone are not for
    /// them.
    pub(super) fn put_state_bytes(&self, out: &mut BytesMut) {
        let known: Vec<(i32, u8)> = self
            .new_state
            .iter()
            .filter(|(_, s)| **s == 0 || **s as u8 != 0)
            .map(|(osd, s)| (*osd, *s as u8))
            .collect();
        out.put_u32_le(wire_len(known.len()));
        for (osd, state) in known {
            out.put_i32_le(osd);
            out.put_u8(state);
        }
    }

    fn encode_osd(&self, out: &mut BytesMut, features: Features, v: u8) {
        let vectors = v >= 7;
        put_addrvec_map(out, &self.new_hb_back_up, vectors, features);
        out.put_map(&self.new_up_thru, features);
        out.put_map(&self.new_last_clean_interval, features);
        out.put_map(&self.new_lost, features);
        put_blocklist(out, &self.new_blocklist, features);
        out.put_vec(self.old_blocklist.iter(), features);
        put_addrvec_map(out, &self.new_up_cluster, vectors, features);
        out.put_string(&self.cluster_snapshot);
        out.put_map(&self.new_uuid, features);
        out.put_map(&self.new_xinfo, features);
        put_addrvec_map(out, &self.new_hb_front_up, vectors, features);
        out.put_u64_le(features.sanitised().0);
        if v >= 3 {
            out.put_f32_le(self.new_nearfull_ratio);
            out.put_f32_le(self.new_full_ratio);
            out.put_f32_le(self.new_backfillfull_ratio);
        }
        if v >= 6 {
            self.new_require_min_compat_client.encode(out, features);
            self.new_require_osd_release.encode(out, features);
        }
        if v >= 8 {
            out.put_map(&self.new_crush_node_flags, features);
        }
        if v >= 9 {
            out.put_map(&self.new_device_class_flags, features);
        }
        if v >= 10 {
            let s = self.stretch_mode.unwrap_or_default();
            out.put_bool(self.stretch_mode.is_some());
            out.put_u32_le(s.bucket_count);
            out.put_u32_le(s.degraded);
            out.put_u32_le(s.recovering);
            out.put_i32_le(s.bucket);
            out.put_bool(s.enabled);
        }
        if v >= 11 {
            put_blocklist(out, &self.new_range_blocklist, features);
            out.put_vec(self.old_range_blocklist.iter(), features);
        }
        if v >= 12 {
            out.put_u8(match self.allow_crimson {
                None => 0,
                Some(true) => 1,
                Some(false) => 2,
            });
        }
    }

    fn decode_client(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let mut f = r.frame(9, "OSDMap::Incremental client section")?;
        self.fsid = Uuid::decode(&mut f)?;
        self.epoch = f.u32()?;
        self.modified = Utime::decode(&mut f)?;
        self.new_pool_max = f.i64()?;
        self.new_flags = f.i32()?;
        let full = f.blob()?;
        if !full.is_empty() {
            self.full_map = Some(Box::new(OsdMap::from_bytes(&full)?));
        }
        let crush = f.blob()?;
        if !crush.is_empty() {
            self.crush = Some(CrushMap::from_bytes(&crush)?);
        }
        self.new_max_osd = f.i32()?;
        self.new_pools = f.map()?;
        self.new_pool_names = f.map()?;
        self.old_pools = set(&mut f)?;
        self.new_up_client = f.map()?;
        self.new_state = if f.since(5) {
            f.map()?
        } else {
            map_with(&mut f, |r| Ok(r.u8()?.into()))?
        };
        self.new_weight = f.map()?;
        self.new_pg_temp = map_with(&mut f, Reader::vec)?;
        self.new_primary_temp = f.map()?;
        if f.since(2) {
            self.new_primary_affinity = f.map()?;
        }
        if f.since(3) {
            self.new_erasure_code_profiles = string_map_map(&mut f)?;
            self.old_erasure_code_profiles = f.vec()?;
        }
        if f.since(4) {
            self.new_pg_upmap = map_with(&mut f, Reader::vec)?;
            self.old_pg_upmap = set(&mut f)?;
            self.new_pg_upmap_items = map_with(&mut f, Reader::vec)?;
            self.old_pg_upmap_items = set(&mut f)?;
        }
        if f.since(6) {
            self.new_removed_snaps = f.map()?;
            self.new_purged_snaps = f.map()?;
        }
        if f.since(8) {
            self.new_last_up_change = Utime::decode(&mut f)?;
            self.new_last_in_change = Utime::decode(&mut f)?;
        }
        if f.since(9) {
            self.new_pg_upmap_primary = f.map()?;
            self.old_pg_upmap_primary = set(&mut f)?;
        }
        Ok(())
    }

    fn decode_osd(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let mut f = r.frame(12, "OSDMap::Incremental OSD section")?;
        self.new_hb_back_up = f.map()?;
        self.new_up_thru = f.map()?;
        self.new_last_clean_interval = f.map()?;
        self.new_lost = f.map()?;
        self.new_blocklist = f.map()?;
        self.old_blocklist = f.vec()?;
        self.new_up_cluster = f.map()?;
        self.cluster_snapshot = f.string()?;
        self.new_uuid = f.map()?;
        self.new_xinfo = f.map()?;
        self.new_hb_front_up = f.map()?;
        if f.since(2) {
            self.encode_features = f.u64()?;
        }
        if f.since(3) {
            self.new_nearfull_ratio = f32(&mut f)?;
            self.new_full_ratio = f32(&mut f)?;
        }
        if f.since(4) {
            self.new_backfillfull_ratio = f32(&mut f)?;
        }
        if f.version == 5 {
            self.new_require_min_compat_client =
                Release::from_name(&f.string()?).unwrap_or(Release::UNCHANGED);
        }
        if f.since(6) {
            self.new_require_min_compat_client = Release::decode(&mut f)?;
            self.new_require_osd_release = Release::decode(&mut f)?;
        } else {
            self.release_from_flags();
        }
        let version = f.version;
        self.decode_osd_tail(&mut f, version)
    }

    /// Before Luminous the release an OSD must be was told by flags.
    pub(super) fn release_from_flags(&mut self) {
        let Ok(flags) = u32::try_from(self.new_flags) else {
            return;
        };
        let release = release_of(flags);
        if release == Release::LUMINOUS {
            self.new_flags &= !(osdmap_flags::LEGACY_REQUIRE as i32);
        }
        if release != Release::UNKNOWN {
            self.new_require_osd_release = release;
        }
    }

    fn decode_osd_tail(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        if version >= 8 {
            self.new_crush_node_flags = r.map()?;
        }
        if version >= 9 {
            self.new_device_class_flags = r.map()?;
        }
        if version >= 10 {
            let changed = r.bool()?;
            let mode = StretchMode {
                bucket_count: r.u32()?,
                degraded: r.u32()?,
                recovering: r.u32()?,
                bucket: r.i32()?,
                enabled: r.bool()?,
            };
            self.stretch_mode = changed.then_some(mode);
        }
        if version >= 11 {
            self.new_range_blocklist = r.map()?;
            self.old_range_blocklist = r.vec()?;
        }
        if version >= 12 {
            self.allow_crimson = match r.u8()? {
                0 => None,
                1 => Some(true),
                2 => Some(false),
                v => {
                    return Err(DecodeError::Invalid {
                        what: "mutate_allow_crimson",
                        value: v.into(),
                    });
                }
            };
        }
        Ok(())
    }
}

impl Encode for OsdMapIncremental {
    /// With [`OsdMapIncremental::full_crc`] as it stands; [`OsdMapIncremental::encode_for`] computes it.
    fn encode(&self, out: &mut BytesMut, features: Features) {
        self.encode_with_crc(out, features, self.full_crc);
    }
}

impl Decode for OsdMapIncremental {
    /// Fails with [`DecodeError::TooOld`] on forms from before Argonaut, and with [`DecodeError::Invalid`] if
    /// the checksum, which the classic form does not have, is wrong.
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        if osdmap_classic::version_at(r).is_some() {
            return Self::decode_classic(r);
        }
        let (start, whole) = (r.position(), r.peek());
        let mut f = r.frame(8, "OSDMap::Incremental")?;
        let mut inc = Self::new(Uuid::default(), 0, Utime::default());
        inc.decode_client(&mut f)?;
        inc.decode_osd(&mut f)?;
        if f.since(8) {
            let front = ceph_crc32c(u32::MAX, &whole[..f.position() - start]);
            let carried = f.u32()?;
            let tail = f.rest();
            check_crc("OSDMap::Incremental crc", carried, ceph_crc32c(front, &tail))?;
            inc.full_crc = Reader::new(&tail).u32()?;
        }
        Ok(inc)
    }
}
