//! Encoding of the full OSDMap (Ceph `src/osd/OSDMap.cc`): a frame around a section for clients, a section for
//! OSDs and a checksum, for peers with OSDMAP_ENC (all since Firefly). The form for others is in
//! [`super::osdmap_classic`].

use bytes::{BufMut, BytesMut};

use super::{
    crush::CrushMap,
    osdmap::{OsdAddrs, OsdMap, StretchMode, osdmap_flags},
    osdmap_classic,
    release::Release,
    wire::{
        check_crc, f32, map_with, put_addrvecs, put_blocklist, put_map_with, put_state_bytes,
        put_string_map_map, state_bytes, string_map_map,
    },
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, ceph_crc32c, wire_len},
    features::{Feature, Features},
    types::{EntityAddrVec, Utime, Uuid},
};

/// The version of the client section for a peer.
fn client_version(features: Features) -> u8 {
    if !features.has(Feature::SERVER_LUMINOUS) {
        3
    } else if !features.has(Feature::SERVER_MIMIC) {
        6
    } else if !features.has(Feature::SERVER_NAUTILUS) {
        7
    } else if !features.has(Feature::SERVER_REEF) {
        9
    } else {
        10
    }
}

impl OsdMap {
    /// The version of the OSD section for a peer; the fields of 10 and later come only where they say something.
    fn osd_version(&self, features: Features) -> u8 {
        let base = if !features.has(Feature::SERVER_LUMINOUS) {
            1
        } else if !features.has(Feature::SERVER_MIMIC) {
            5
        } else if !features.has(Feature::SERVER_NAUTILUS) {
            6
        } else {
            9
        };
        let wanted = if self.allow_crimson {
            12
        } else if !self.range_blocklist.is_empty() {
            11
        } else if self.stretch_mode.enabled {
            10
        } else {
            0
        };
        base.max(wanted)
    }

    /// The flags with the release as peers before Luminous know it.
    fn legacy_flags(&self) -> u32 {
        self.flags
            | match self.require_osd_release {
                r if r >= Release::LUMINOUS => {
                    osdmap_flags::REQUIRE_LUMINOUS | osdmap_flags::RECOVERY_DELETES
                }
                Release::KRAKEN => osdmap_flags::REQUIRE_KRAKEN,
                Release::JEWEL => osdmap_flags::REQUIRE_JEWEL,
                _ => 0,
            }
    }

    fn addrs(&self, of: impl Fn(&OsdAddrs) -> &EntityAddrVec) -> Vec<EntityAddrVec> {
        self.osd_addrs.iter().map(|a| of(a).clone()).collect()
    }

    fn encode_client(&self, out: &mut BytesMut, features: Features, v: u8) {
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        self.created.encode(out, features);
        self.modified.encode(out, features);
        out.put_map(&self.pools, features);
        out.put_map(&self.pool_names, features);
        out.put_i32_le(self.pool_max);
        out.put_u32_le(if v < 4 { self.legacy_flags() } else { self.flags });
        out.put_i32_le(self.max_osd);
        if v >= 5 {
            out.put_vec(self.osd_state.iter(), features);
        } else {
            out.put_u32_le(wire_len(self.osd_state.len()));
            put_state_bytes(out, &self.osd_state);
        }
        out.put_vec(self.osd_weight.iter(), features);
        put_addrvecs(out, &self.addrs(|a| &a.client), v >= 8, features);
        put_map_with(out, &self.pg_temp, features, |out, osds| {
            out.put_vec(osds.iter(), features);
        });
        out.put_map(&self.primary_temp, features);
        out.put_vec(self.osd_primary_affinity.iter(), features);
        out.put_blob(&self.crush.to_bytes(features));
        put_string_map_map(out, &self.erasure_code_profiles);
        if v >= 4 {
            put_map_with(out, &self.pg_upmap, features, |out, osds| {
                out.put_vec(osds.iter(), features);
            });
            put_map_with(out, &self.pg_upmap_items, features, |out, pairs| {
                out.put_vec(pairs.iter(), features);
            });
        }
        if v >= 6 {
            out.put_u32_le(self.crush_version);
        }
        if v >= 7 {
            out.put_map(&self.new_removed_snaps, features);
            out.put_map(&self.new_purged_snaps, features);
        }
        if v >= 9 {
            self.last_up_change.encode(out, features);
            self.last_in_change.encode(out, features);
        }
        if v >= 10 {
            out.put_map(&self.pg_upmap_primaries, features);
        }
    }

    fn encode_osd(&self, out: &mut BytesMut, features: Features, v: u8) {
        let vectors = v >= 7;
        put_addrvecs(out, &self.addrs(|a| &a.hb_back), vectors, features);
        out.put_vec(self.osd_info.iter(), features);
        put_blocklist(out, &self.blocklist, features);
        put_addrvecs(out, &self.addrs(|a| &a.cluster), vectors, features);
        out.put_u32_le(self.cluster_snapshot_epoch);
        out.put_string(&self.cluster_snapshot);
        out.put_vec(self.osd_uuid.iter(), features);
        out.put_vec(self.osd_xinfo.iter(), features);
        put_addrvecs(out, &self.addrs(|a| &a.hb_front), vectors, features);
        if v >= 2 {
            out.put_f32_le(self.nearfull_ratio);
            out.put_f32_le(self.full_ratio);
            out.put_f32_le(self.backfillfull_ratio);
        }
        if v >= 5 {
            self.require_min_compat_client.encode(out, features);
            self.require_osd_release.encode(out, features);
        }
        if v >= 6 {
            out.put_map(&self.removed_snaps_queue, features);
        }
        if v >= 8 {
            out.put_map(&self.crush_node_flags, features);
        }
        if v >= 9 {
            out.put_map(&self.device_class_flags, features);
        }
        if v >= 10 {
            let s = &self.stretch_mode;
            out.put_bool(s.enabled);
            out.put_u32_le(s.bucket_count);
            out.put_u32_le(s.degraded);
            out.put_u32_le(s.recovering);
            out.put_i32_le(s.bucket);
        }
        if v >= 11 {
            put_blocklist(out, &self.range_blocklist, features);
        }
        if v >= 12 {
            out.put_bool(self.allow_crimson);
        }
    }

    /// The checksum that the encoding for these features ends with: what an incremental map carries as
    /// `full_crc`. The classic form has none.
    #[must_use]
    pub fn crc(&self, features: Features) -> u32 {
        if osdmap_classic::is_for(features) {
            return 0;
        }
        let bytes = self.to_bytes(features);
        bytes.last_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc))
    }
}

impl Encode for OsdMap {
    /// For peers without OSDMAP_ENC (before Firefly) in the classic form.
    fn encode(&self, out: &mut BytesMut, features: Features) {
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
        });
        let crc_at = out.len() - 4;
        let crc = ceph_crc32c(u32::MAX, &out[start..crc_at]);
        out[crc_at..].copy_from_slice(&crc.to_le_bytes());
    }
}

impl Decode for OsdMap {
    /// Fails with [`DecodeError::TooOld`] on forms from before Argonaut, and with [`DecodeError::Invalid`] if
    /// the checksum, which the classic form does not have, is wrong.
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        if osdmap_classic::version_at(r).is_some() {
            return Self::decode_classic(r);
        }
        let (start, whole) = (r.position(), r.peek());
        let mut f = r.frame(8, "OSDMap")?;
        let mut map = Self::default();
        map.decode_client(&mut f)?;
        map.decode_osd(&mut f)?;
        if f.since(8) {
            let actual = ceph_crc32c(u32::MAX, &whole[..f.position() - start]);
            check_crc("OSDMap crc", f.u32()?, actual)?;
        }
        map.check_lengths()?;
        Ok(map)
    }
}

impl OsdMap {
    fn decode_client(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let mut f = r.frame(10, "OSDMap client section")?;
        self.fsid = Uuid::decode(&mut f)?;
        self.epoch = f.u32()?;
        self.created = Utime::decode(&mut f)?;
        self.modified = Utime::decode(&mut f)?;
        self.pools = f.map()?;
        self.pool_names = f.map()?;
        self.pool_max = f.i32()?;
        self.flags = f.u32()?;
        self.max_osd = f.i32()?;
        self.osd_state = if f.since(5) {
            f.vec()?
        } else {
            state_bytes(&mut f)?
        };
        self.osd_weight = f.vec()?;
        let client = f.vec::<EntityAddrVec>()?;
        self.osd_addrs = client.into_iter().map(OsdAddrs::of_client).collect();
        self.pg_temp = map_with(&mut f, Reader::vec)?;
        self.primary_temp = f.map()?;
        if f.since(2) {
            self.osd_primary_affinity = f.vec()?;
        }
        self.crush = CrushMap::from_bytes(&f.blob()?)?;
        if f.since(3) {
            self.erasure_code_profiles = string_map_map(&mut f)?;
        }
        if f.since(4) {
            self.pg_upmap = map_with(&mut f, Reader::vec)?;
            self.pg_upmap_items = map_with(&mut f, Reader::vec)?;
        }
        if f.since(6) {
            self.crush_version = f.u32()?;
        }
        if f.since(7) {
            self.new_removed_snaps = f.map()?;
            self.new_purged_snaps = f.map()?;
        }
        if f.since(9) {
            self.last_up_change = Utime::decode(&mut f)?;
            self.last_in_change = Utime::decode(&mut f)?;
        }
        if f.since(10) {
            self.pg_upmap_primaries = f.map()?;
        }
        Ok(())
    }

    fn decode_osd(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let mut f = r.frame(12, "OSDMap OSD section")?;
        let hb_back = f.vec::<EntityAddrVec>()?;
        self.osd_info = f.vec()?;
        self.blocklist = f.map()?;
        let cluster = f.vec::<EntityAddrVec>()?;
        self.cluster_snapshot_epoch = f.u32()?;
        self.cluster_snapshot = f.string()?;
        self.osd_uuid = f.vec()?;
        self.osd_xinfo = f.vec()?;
        let hb_front = f.vec::<EntityAddrVec>()?;
        self.set_osd_addrs(hb_back, cluster, hb_front)?;
        if f.since(2) {
            self.nearfull_ratio = f32(&mut f)?;
            self.full_ratio = f32(&mut f)?;
        }
        if f.since(3) {
            self.backfillfull_ratio = f32(&mut f)?;
        }
        if f.version == 4 {
            self.require_min_compat_client = Release::from_name(&f.string()?).unwrap_or_default();
        }
        if f.since(5) {
            self.require_min_compat_client = Release::decode(&mut f)?;
            self.require_osd_release = Release::decode(&mut f)?;
        } else {
            self.require_osd_release = release_of(self.flags);
        }
        self.fix_flags();
        let version = f.version;
        self.decode_osd_tail(&mut f, version)
    }

    /// The addresses of each OSD beside those for clients, which are there already.
    pub(super) fn set_osd_addrs(
        &mut self,
        hb_back: Vec<EntityAddrVec>,
        cluster: Vec<EntityAddrVec>,
        hb_front: Vec<EntityAddrVec>,
    ) -> Result<()> {
        let n = self.osd_addrs.len();
        if let Some(other) = [hb_back.len(), cluster.len(), hb_front.len()]
            .into_iter()
            .find(|len| *len != n)
        {
            return Err(wrong_length(other));
        }
        let rest = hb_back.into_iter().zip(cluster).zip(hb_front);
        for (addrs, ((hb_back, cluster), hb_front)) in self.osd_addrs.iter_mut().zip(rest) {
            addrs.hb_back = hb_back;
            addrs.cluster = cluster;
            addrs.hb_front = hb_front;
        }
        Ok(())
    }

    fn decode_osd_tail(&mut self, r: &mut Reader<'_>, version: u8) -> Result<()> {
        if version >= 6 {
            self.removed_snaps_queue = r.map()?;
        }
        if version >= 8 {
            self.crush_node_flags = r.map()?;
        }
        if version >= 9 {
            self.device_class_flags = r.map()?;
        }
        if version >= 10 {
            self.stretch_mode = StretchMode {
                enabled: r.bool()?,
                bucket_count: r.u32()?,
                degraded: r.u32()?,
                recovering: r.u32()?,
                bucket: r.i32()?,
            };
        }
        if version >= 11 {
            self.range_blocklist = r.map()?;
        }
        if version >= 12 {
            self.allow_crimson = r.bool()?;
        }
        Ok(())
    }

    /// Flags that follow from the release and those that it has replaced.
    pub(super) fn fix_flags(&mut self) {
        if self.require_osd_release >= Release::LUMINOUS {
            self.flags &= !osdmap_flags::LEGACY_REQUIRE;
            self.flags |= osdmap_flags::RECOVERY_DELETES;
        }
        if self.require_osd_release >= Release::NAUTILUS {
            self.flags |= osdmap_flags::PGLOG_HARDLIMIT;
        }
    }

    /// Every vector by OSD id must have one entry for each.
    pub(super) fn check_lengths(&self) -> Result<()> {
        let n = self.osd_state.len();
        let affinity = match self.osd_primary_affinity.len() {
            0 => n,
            len => len,
        };
        let lengths = [
            usize::try_from(self.max_osd).unwrap_or(usize::MAX),
            self.osd_weight.len(),
            self.osd_addrs.len(),
            self.osd_info.len(),
            self.osd_uuid.len(),
            self.osd_xinfo.len(),
            affinity,
        ];
        match lengths.into_iter().find(|len| *len != n) {
            None => Ok(()),
            Some(other) => Err(wrong_length(other)),
        }
    }
}

pub(super) fn wrong_length(len: usize) -> DecodeError {
    DecodeError::Invalid {
        what: "OSDMap: length of a vector by OSD id",
        value: len as u64,
    }
}

/// The release that the flags of maps from before Luminous stand for.
pub(super) fn release_of(flags: u32) -> Release {
    if flags & osdmap_flags::REQUIRE_LUMINOUS != 0 {
        Release::LUMINOUS
    } else if flags & osdmap_flags::REQUIRE_KRAKEN != 0 {
        Release::KRAKEN
    } else if flags & osdmap_flags::REQUIRE_JEWEL != 0 {
        Release::JEWEL
    } else {
        Release::UNKNOWN
    }
}
