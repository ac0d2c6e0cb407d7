//! Mirroring of images between clusters.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result, wire_len},
    features::Features,
    types::{AddrType, EntityAddr, EntityName, Utime},
};

open_number! {
    /// `MirrorMode`: what of a pool is mirrored.
    MirrorMode(u32) {
        /// Nothing.
        DISABLED = 0,
        /// Chosen images.
        IMAGE = 1,
        /// All images with journals.
        POOL = 2,
        /// Nothing yet, but peers may be set up.
        INIT_ONLY = 3,
    }
}

open_number! {
    /// `MirrorPeerDirection`.
    MirrorPeerDirection(u8) {
        /// From the peer.
        RX = 0,
        /// To the peer.
        TX = 1,
        /// Both.
        RX_TX = 2,
    }
}

/// `cls::rbd::MirrorPeer`: another cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorPeer {
    /// Its id here.
    pub uuid: Bytes,
    /// Which way images go.
    pub mirror_peer_direction: MirrorPeerDirection,
    /// Its name.
    pub site_name: Bytes,
    /// As whom we connect to it.
    pub client_name: Bytes,
    /// Its own id.
    pub mirror_uuid: Bytes,
    /// When its daemon was here last.
    pub last_seen: Utime,
}

impl Default for MirrorPeer {
    fn default() -> Self {
        Self {
            uuid: Bytes::new(),
            mirror_peer_direction: MirrorPeerDirection::RX_TX,
            site_name: Bytes::new(),
            client_name: Bytes::new(),
            mirror_uuid: Bytes::new(),
            last_seen: Utime::default(),
        }
    }
}

impl MirrorPeer {
    /// Whether all that its direction needs is there.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let client = match self.mirror_peer_direction {
            MirrorPeerDirection::TX => true,
            MirrorPeerDirection::RX | MirrorPeerDirection::RX_TX => !self.client_name.is_empty(),
            _ => false,
        };
        client && !self.uuid.is_empty() && !self.site_name.is_empty()
    }
}

impl Decode for MirrorPeer {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "cls::rbd::MirrorPeer")?;
        let mut peer = Self {
            uuid: f.blob()?,
            site_name: f.blob()?,
            client_name: f.blob()?,
            ..Self::default()
        };
        // A pool id that no reader uses.
        f.i64()?;
        if f.since(2) {
            peer.mirror_peer_direction = MirrorPeerDirection::decode(&mut f)?;
            peer.mirror_uuid = f.blob()?;
            peer.last_seen = Utime::decode(&mut f)?;
        }
        Ok(peer)
    }
}

impl Encode for MirrorPeer {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 1, |out| {
            out.put_blob(&self.uuid);
            out.put_blob(&self.site_name);
            out.put_blob(&self.client_name);
            out.put_i64_le(-1);
            self.mirror_peer_direction.encode(out, features);
            out.put_blob(&self.mirror_uuid);
            self.last_seen.encode(out, features);
        });
    }
}

open_number! {
    /// `MirrorImageMode`: by what an image is mirrored.
    MirrorImageMode(u8) {
        /// Its journal.
        JOURNAL = 0,
        /// Snapshots.
        SNAPSHOT = 1,
    }
}

open_number! {
    /// `MirrorImageState`.
    MirrorImageState(u8) {
        /// Mirroring is being switched off.
        DISABLING = 0,
        /// On.
        ENABLED = 1,
        /// Off.
        DISABLED = 2,
        /// Being switched on.
        CREATING = 3,
    }
}

framed! {
    /// `cls::rbd::MirrorImage`: how an image is mirrored.
    #[derive(Default)]
    MirrorImage = "cls::rbd::MirrorImage" (2, 1) {
        /// The image's id in all clusters.
        global_image_id: Bytes;
        /// Whether it is mirrored.
        state: MirrorImageState;
        /// By what.
        mode: MirrorImageMode, since 2;
    }
}

open_number! {
    /// `MirrorImageStatusState`.
    MirrorImageStatusState(u8) {
        /// No daemon has told.
        UNKNOWN = 0,
        /// Failed.
        ERROR = 1,
        /// First copy.
        SYNCING = 2,
        /// About to follow.
        STARTING_REPLAY = 3,
        /// Following.
        REPLAYING = 4,
        /// About to stop.
        STOPPING_REPLAY = 5,
        /// Not following.
        STOPPED = 6,
    }
}

/// `cls::rbd::MirrorImageSiteStatus`: what one site's daemon says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorImageSiteStatus {
    /// The site; empty for this one.
    pub mirror_uuid: Bytes,
    /// What it does with the image.
    pub state: MirrorImageStatusState,
    /// That in words.
    pub description: Bytes,
    /// When it said so.
    pub last_update: Utime,
    /// Whether the daemon that said so still runs.
    pub up: bool,
}

impl MirrorImageSiteStatus {
    fn encode_meta(&self, version: u8, out: &mut BytesMut, features: Features) {
        if version >= 2 {
            out.put_blob(&self.mirror_uuid);
        }
        self.state.encode(out, features);
        out.put_blob(&self.description);
        self.last_update.encode(out, features);
        out.put_bool(self.up);
    }

    fn decode_meta(version: u8, r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            mirror_uuid: if version >= 2 { r.blob()? } else { Bytes::new() },
            state: MirrorImageStatusState::decode(r)?,
            description: r.blob()?,
            last_update: Utime::decode(r)?,
            up: r.bool()?,
        })
    }
}

impl Decode for MirrorImageSiteStatus {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "cls::rbd::MirrorImageSiteStatus")?;
        let version = f.version;
        Self::decode_meta(version, &mut f)
    }
}

impl Encode for MirrorImageSiteStatus {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let version = if self.mirror_uuid.is_empty() { 1 } else { 2 };
        out.put_frame(version, version, |out| self.encode_meta(version, out, features));
    }
}

/// `entity_inst_t`: a peer and its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntityInst {
    /// Who.
    pub name: EntityName,
    /// Where.
    pub addr: EntityAddr,
}

impl EntityInst {
    /// The same with an address of no particular protocol (`sanitize_entity_inst`): a client is the same one
    /// over either protocol.
    #[must_use]
    pub const fn sanitised(mut self) -> Self {
        self.addr.kind = AddrType::ANY;
        self
    }
}

impl Decode for EntityInst {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            name: EntityName::decode(r)?,
            addr: EntityAddr::decode(r)?,
        })
    }
}

impl Encode for EntityInst {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        self.name.encode(out, features);
        self.addr.encode(out, features);
    }
}

/// `cls::rbd::MirrorImageSiteStatusOnDisk`: a status as it is stored, with who set it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorImageSiteStatusOnDisk {
    /// The daemon that set it.
    pub origin: EntityInst,
    /// What it said.
    pub status: MirrorImageSiteStatus,
}

impl MirrorImageSiteStatusOnDisk {
    /// Reads only who set it.
    pub fn decode_origin(r: &mut Reader<'_>) -> Result<EntityInst> {
        let mut f = r.frame(1, "cls::rbd::MirrorImageSiteStatusOnDisk")?;
        Ok(EntityInst::decode(&mut f)?.sanitised())
    }
}

impl Decode for MirrorImageSiteStatusOnDisk {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            origin: Self::decode_origin(r)?,
            status: MirrorImageSiteStatus::decode(r)?,
        })
    }
}

impl Encode for MirrorImageSiteStatusOnDisk {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| self.origin.sanitised().encode(out, features));
        self.status.encode(out, features);
    }
}

/// `cls::rbd::MirrorImageStatus`: what all sites say of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorImageStatus {
    /// A status for each site.
    pub sites: Vec<MirrorImageSiteStatus>,
}

impl MirrorImageStatus {
    /// This site's.
    #[must_use]
    pub fn local(&self) -> Option<&MirrorImageSiteStatus> {
        self.sites.iter().find(|s| s.mirror_uuid.is_empty())
    }
}

impl Decode for MirrorImageStatus {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "cls::rbd::MirrorImageStatus")?;
        let version = f.version;
        let local = MirrorImageSiteStatus::decode_meta(1, &mut f)?;
        if version < 2 {
            return Ok(Self { sites: vec![local] });
        }
        let mut sites = Vec::new();
        if f.bool()? {
            sites.push(local);
        }
        sites.extend(f.vec_with(|r| MirrorImageSiteStatus::decode_meta(version, r))?);
        Ok(Self { sites })
    }
}

impl Encode for MirrorImageStatus {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 1, |out| {
            let local = self.local();
            local.cloned().unwrap_or_default().encode_meta(1, out, features);
            out.put_bool(local.is_some());
            let remote = self.sites.iter().filter(|s| !s.mirror_uuid.is_empty());
            out.put_u32_le(wire_len(remote.clone().count()));
            for status in remote {
                status.encode_meta(2, out, features);
            }
        });
    }
}

framed! {
    /// `cls::rbd::MirrorImageMap`: which daemon mirrors an image.
    MirrorImageMap = "cls::rbd::MirrorImageMap" (1, 1) {
        /// The daemon.
        instance_id: Bytes;
        /// Since when.
        mapped_time: Utime;
        /// The policy's own data.
        data: Bytes;
    }
}
