//! `MOSDMap`: osdmaps, whole and incremental (Ceph `src/messages/MOSDMap.h`).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::{Feature, Features},
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
    types::{Uuid, snap::Extents},
};

const HEAD_VERSION: u16 = 4;
const COMPAT_VERSION: u16 = 3;

/// Maps, each encoded for the receiver by whoever sends it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MOsdMap {
    /// The cluster.
    pub fsid: Uuid,
    /// Encoded `maps::OsdMapIncremental` by epoch.
    pub incremental_maps: BTreeMap<u32, Bytes>,
    /// Encoded `maps::OsdMap` by epoch.
    pub maps: BTreeMap<u32, Bytes>,
    /// The oldest epoch that the sender keeps (`oldest_map` before Reef).
    pub cluster_osdmap_trim_lower_bound: u32,
    /// The newest epoch that the sender has.
    pub newest_map: u32,
    /// Snapshots removed, by pool, in epochs that are skipped; sent by Mimic and Nautilus only.
    pub gap_removed_snaps: BTreeMap<i64, Extents>,
}

impl MOsdMap {
    /// The smallest epoch in it.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        let full = self.maps.keys().next();
        self.incremental_maps
            .keys()
            .next()
            .into_iter()
            .chain(full)
            .min()
            .copied()
    }

    /// The greatest epoch in it.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        let full = self.maps.keys().next_back();
        self.incremental_maps
            .keys()
            .next_back()
            .into_iter()
            .chain(full)
            .max()
            .copied()
    }
}

impl Message for MOsdMap {
    const TYPE: MessageType = MessageType::OSD_MAP;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MOSDMap")?;
        let version = raw.header.version;
        let mut r = Reader::new(&raw.front);
        let mut m = Self {
            fsid: Uuid::decode(&mut r)?,
            incremental_maps: r.map()?,
            maps: r.map()?,
            ..Self::default()
        };
        if version >= 2 {
            m.cluster_osdmap_trim_lower_bound = r.u32()?;
            m.newest_map = r.u32()?;
        }
        if version >= 4 {
            m.gap_removed_snaps = r.map()?;
        }
        Ok(m)
    }

    fn encode(&self, features: Features) -> RawMessage {
        let (version, compat) = if !features.has(Feature::PGID64) || !features.has(Feature::PGPOOL3) {
            (1, 1)
        } else if !features.has(Feature::OSDENC) {
            (2, 2)
        } else {
            (HEAD_VERSION, COMPAT_VERSION)
        };
        let mut out = BytesMut::new();
        self.fsid.encode(&mut out, features);
        out.put_map(&self.incremental_maps, features);
        out.put_map(&self.maps, features);
        if version >= 2 {
            out.put_u32_le(self.cluster_osdmap_trim_lower_bound);
            out.put_u32_le(self.newest_map);
        }
        if version >= 4 {
            out.put_map(&self.gap_removed_snaps, features);
        }
        RawMessage::new(Self::TYPE, version, compat, out.freeze())
    }
}
