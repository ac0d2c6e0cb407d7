//! The form of the full OSDMap for peers without OSDMAP_ENC, before Firefly (Ceph `src/osd/OSDMap.cc`,
//! `encode_classic` and `encode_client_old`): no frame and no checksum, a 16-bit version in front.
//!
//! Version 6 is for peers with PGID64: a part for clients, and behind a version of its own one for OSDs. Version 5,
//! for those without, has 32-bit pool ids and, as Ceph has written it since Argonaut, no part for OSDs.

use bytes::{BufMut, BytesMut};

use super::{
    crush::CrushMap,
    osdmap::{OsdAddrs, OsdMap},
    osdmap_codec::{release_of, wrong_length},
    pg_pool::PgPool,
    wire::{pg_map, pool_map, put_blocklist, put_pg_map, put_pool_map, put_state_bytes, state_bytes},
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    types::{EntityAddrVec, Utime, Uuid},
};

/// The version for peers without PGID64.
const SHORT: u16 = 5;
/// The version for peers with PGID64.
const WIDE: u16 = 6;
/// The version of the part for OSDs.
const EXTENDED: u16 = 10;

/// Whether a peer is given the classic form of full and incremental maps.
pub(super) const fn is_for(features: Features) -> bool {
    !features.has(Feature::OSDMAP_ENC)
}

/// The version of the classic form that stands at the front of a map; none if the map is in the newer form.
pub(super) fn version_at(r: &Reader<'_>) -> Option<u16> {
    // The newer form has its version, 7 or later, and the oldest reader in the first two bytes.
    let &[low, high] = r.peek().first_chunk()?;
    (low < 7).then_some(u16::from_le_bytes([low, high]))
}

/// Reads the version; fails with [`DecodeError::TooOld`] on what nobody has written since before Argonaut.
pub(super) fn read_version(r: &mut Reader<'_>, what: &'static str) -> Result<u16> {
    match r.u16()? {
        version @ (SHORT | WIDE) => Ok(version),
        version => Err(DecodeError::TooOld {
            what,
            version: u8::try_from(version).unwrap_or(u8::MAX),
        }),
    }
}

/// Whether pool ids and groups are in the old, narrow forms.
pub(super) const fn is_short(version: u16) -> bool {
    version < WIDE
}

/// The version for a peer, which is written.
pub(super) fn put_version(out: &mut BytesMut, features: Features) -> u16 {
    let version = if features.has(Feature::PGID64) {
        WIDE
    } else {
        SHORT
    };
    out.put_u16_le(version);
    version
}

/// Writes the version of the part for OSDs.
pub(super) fn put_extended(out: &mut BytesMut) {
    out.put_u16_le(EXTENDED);
}

/// Reads the version of the part for OSDs, which Argonaut and later write. That of older ones is not known here.
pub(super) fn read_extended(r: &mut Reader<'_>, what: &'static str) -> Result<()> {
    match r.u16()? {
        EXTENDED.. => Ok(()),
        version => Err(DecodeError::TooOld {
            what,
            version: u8::try_from(version).unwrap_or(u8::MAX),
        }),
    }
}

impl OsdMap {
    pub(super) fn encode_classic(&self, out: &mut BytesMut, features: Features) {
        let short = is_short(put_version(out, features));
        // Ceph encodes the old form as for a peer that knows nothing at all.
        let features = if short { Features::NONE } else { features };
        self.fsid.encode(out, features);
        out.put_u32_le(self.epoch);
        self.created.encode(out, features);
        self.modified.encode(out, features);
        put_pool_map(out, &self.pools, short, |out, pool| pool.encode(out, features));
        put_pool_map(out, &self.pool_names, short, |out, name| out.put_string(name));
        out.put_i32_le(self.pool_max);
        out.put_u32_le(self.flags);
        out.put_i32_le(self.max_osd);
        out.put_u32_le(wire_len(self.osd_state.len()));
        put_state_bytes(out, &self.osd_state);
        out.put_vec(self.osd_weight.iter(), features);
        self.put_addrs(out, features, |a| &a.client);
        put_pg_map(out, &self.pg_temp, short);
        out.put_blob(&self.crush.to_bytes(Features::NONE));
        if !short {
            self.encode_extended(out, features);
        }
    }

    fn encode_extended(&self, out: &mut BytesMut, features: Features) {
        put_extended(out);
        self.put_addrs(out, features, |a| &a.hb_back);
        out.put_vec(self.osd_info.iter(), features);
        put_blocklist(out, &self.blocklist, features);
        self.put_addrs(out, features, |a| &a.cluster);
        out.put_u32_le(self.cluster_snapshot_epoch);
        out.put_string(&self.cluster_snapshot);
        out.put_vec(self.osd_uuid.iter(), features);
        out.put_vec(self.osd_xinfo.iter(), features);
        self.put_addrs(out, features, |a| &a.hb_front);
    }

    fn put_addrs(&self, out: &mut BytesMut, features: Features, of: impl Fn(&OsdAddrs) -> &EntityAddrVec) {
        out.put_u32_le(wire_len(self.osd_addrs.len()));
        for addrs in &self.osd_addrs {
            of(addrs).encode(out, features);
        }
    }

    /// What the form cannot say is as in a new map; the release that OSDs must be is told from the flags.
    pub(super) fn decode_classic(r: &mut Reader<'_>) -> Result<Self> {
        let short = is_short(read_version(r, "OSDMap")?);
        let mut map = Self {
            fsid: Uuid::decode(r)?,
            epoch: r.u32()?,
            created: Utime::decode(r)?,
            modified: Utime::decode(r)?,
            ..Self::default()
        };
        map.pools = pool_map(r, short, PgPool::decode)?;
        map.pool_names = pool_map(r, short, Reader::string)?;
        map.pool_max = r.i32()?;
        map.flags = r.u32()?;
        map.max_osd = r.i32()?;
        map.osd_state = state_bytes(r)?;
        map.osd_weight = r.vec()?;
        let client = r.vec::<EntityAddrVec>()?;
        map.osd_addrs = client.into_iter().map(OsdAddrs::of_client).collect();
        map.pg_temp = pg_map(r, short)?;
        map.crush = CrushMap::from_bytes(&r.blob()?)?;
        if short {
            map.without_extended()?;
        } else {
            map.decode_extended(r)?;
        }
        map.require_osd_release = release_of(map.flags);
        map.fix_flags();
        map.check_lengths()?;
        Ok(map)
    }

    /// The part for OSDs is not there: their number is that of the states, which the input's size bounds.
    fn without_extended(&mut self) -> Result<()> {
        let n = self.osd_state.len();
        if usize::try_from(self.max_osd) != Ok(n) {
            return Err(wrong_length(n));
        }
        self.osd_info.resize_with(n, Default::default);
        self.osd_uuid.resize_with(n, Default::default);
        self.osd_xinfo.resize_with(n, Default::default);
        Ok(())
    }

    fn decode_extended(&mut self, r: &mut Reader<'_>) -> Result<()> {
        read_extended(r, "OSDMap, part for OSDs")?;
        let hb_back = r.vec::<EntityAddrVec>()?;
        self.osd_info = r.vec()?;
        self.blocklist = r.map()?;
        let cluster = r.vec::<EntityAddrVec>()?;
        self.cluster_snapshot_epoch = r.u32()?;
        self.cluster_snapshot = r.string()?;
        self.osd_uuid = r.vec()?;
        self.osd_xinfo = r.vec()?;
        let hb_front = r.vec::<EntityAddrVec>()?;
        self.set_osd_addrs(hb_back, cluster, hb_front)
    }
}
