//! Snapshots of an image, as its header stores them and as clients read them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::{NOSNAP, Parent};
use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::{Feature, Features},
    types::Utime,
};

open_number! {
    /// `SnapshotNamespaceType`: what a snapshot is for.
    SnapshotNamespaceType(u32) {
        /// A user took it.
        USER = 0,
        /// It is part of a group's snapshot.
        GROUP = 1,
        /// It was removed but clones need it.
        TRASH = 2,
        /// It is a mirror's point in time.
        MIRROR = 3,
        /// Something newer.
        UNKNOWN = u32::MAX,
    }
}

open_number! {
    /// `MirrorSnapshotState`.
    MirrorSnapshotState(u8) {
        /// Of the primary image.
        PRIMARY = 0,
        /// Of the image that was primary until then.
        PRIMARY_DEMOTED = 1,
        /// Of a copy.
        NON_PRIMARY = 2,
        /// Of a copy of an image that was demoted.
        NON_PRIMARY_DEMOTED = 3,
    }
}

/// `MirrorSnapshotNamespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSnapshotNamespace {
    /// Of which side it is.
    pub state: MirrorSnapshotState,
    /// Whether all data has been copied.
    pub complete: bool,
    /// Peers that still need it.
    pub mirror_peer_uuids: BTreeSet<Bytes>,
    /// The primary's site.
    pub primary_mirror_uuid: Bytes,
    /// The primary's snapshot, or the one since which nothing was written.
    pub primary_snap_id: u64,
    /// How far copying has come.
    pub last_copied_object_number: u64,
    /// The primary's snapshot ids and ours.
    pub snap_seqs: BTreeMap<u64, u64>,
}

/// `SnapshotNamespace`: what a snapshot is for, with what belongs to that.
#[derive(Debug, Clone, Default)]
pub enum SnapshotNamespace {
    /// A user's.
    #[default]
    User,
    /// A group's.
    Group {
        /// The group's pool.
        group_pool: i64,
        /// The group.
        group_id: Bytes,
        /// The group's snapshot.
        group_snapshot_id: Bytes,
    },
    /// A removed one.
    Trash {
        /// Its name before.
        original_name: Bytes,
        /// What it was for.
        original_type: SnapshotNamespaceType,
    },
    /// A mirror's.
    Mirror(MirrorSnapshotNamespace),
    /// Something newer, whose content is not kept.
    Unknown,
}

impl SnapshotNamespace {
    /// The type alone.
    #[must_use]
    pub const fn kind(&self) -> SnapshotNamespaceType {
        match self {
            Self::User => SnapshotNamespaceType::USER,
            Self::Group { .. } => SnapshotNamespaceType::GROUP,
            Self::Trash { .. } => SnapshotNamespaceType::TRASH,
            Self::Mirror(_) => SnapshotNamespaceType::MIRROR,
            Self::Unknown => SnapshotNamespaceType::UNKNOWN,
        }
    }
}

/// Equal as Ceph has it: names are unique within this. All of the trash is one namespace.
impl PartialEq for SnapshotNamespace {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Group {
                    group_pool: p1,
                    group_id: i1,
                    group_snapshot_id: s1,
                },
                Self::Group {
                    group_pool: p2,
                    group_id: i2,
                    group_snapshot_id: s2,
                },
            ) => (p1, i1, s1) == (p2, i2, s2),
            (Self::Mirror(a), Self::Mirror(b)) => a == b,
            _ => self.kind() == other.kind(),
        }
    }
}

impl Eq for SnapshotNamespace {}

impl Decode for SnapshotNamespace {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "SnapshotNamespace")?;
        Ok(match SnapshotNamespaceType::decode(&mut f)? {
            SnapshotNamespaceType::USER => Self::User,
            SnapshotNamespaceType::GROUP => Self::Group {
                group_pool: f.i64()?,
                group_id: f.blob()?,
                group_snapshot_id: f.blob()?,
            },
            SnapshotNamespaceType::TRASH => Self::Trash {
                original_name: f.blob()?,
                original_type: SnapshotNamespaceType::decode(&mut f)?,
            },
            SnapshotNamespaceType::MIRROR => Self::Mirror(MirrorSnapshotNamespace {
                state: MirrorSnapshotState::decode(&mut f)?,
                complete: f.bool()?,
                mirror_peer_uuids: BTreeSet::decode(&mut f)?,
                primary_mirror_uuid: f.blob()?,
                primary_snap_id: f.u64()?,
                last_copied_object_number: f.u64()?,
                snap_seqs: f.map()?,
            }),
            _ => Self::Unknown,
        })
    }
}

impl Encode for SnapshotNamespace {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            self.kind().encode(out, features);
            match self {
                Self::User | Self::Unknown => {}
                Self::Group {
                    group_pool,
                    group_id,
                    group_snapshot_id,
                } => {
                    out.put_i64_le(*group_pool);
                    out.put_blob(group_id);
                    out.put_blob(group_snapshot_id);
                }
                Self::Trash {
                    original_name,
                    original_type,
                } => {
                    out.put_blob(original_name);
                    original_type.encode(out, features);
                }
                Self::Mirror(m) => {
                    m.state.encode(out, features);
                    out.put_bool(m.complete);
                    m.mirror_peer_uuids.encode(out, features);
                    out.put_blob(&m.primary_mirror_uuid);
                    out.put_u64_le(m.primary_snap_id);
                    out.put_u64_le(m.last_copied_object_number);
                    m.snap_seqs.encode(out, features);
                }
            }
        });
    }
}

framed! {
    /// `cls::rbd::SnapshotInfo`: a snapshot as clients read it.
    SnapshotInfo = "cls::rbd::SnapshotInfo" (1, 1) {
        /// Its id.
        id: u64;
        /// What it is for.
        snapshot_namespace: SnapshotNamespace;
        /// Its name.
        name: Bytes;
        /// The image's size then, in bytes.
        image_size: u64;
        /// When it was taken.
        timestamp: Utime;
        /// Clones of it (version 2).
        child_count: u32;
    }
}

open_number! {
    /// `RBD_PROTECTION_STATUS_*`: whether a snapshot may be removed.
    ProtectionStatus(u8) {
        /// It may.
        UNPROTECTED = 0,
        /// Protection is being taken off.
        UNPROTECTING = 1,
        /// It may not: clones (version 1) may need it.
        PROTECTED = 2,
        /// The first value without meaning.
        LAST = 3,
    }
}

/// `cls_rbd_snap`: a snapshot as the header stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: Bytes,
    /// The image's size then, in bytes.
    pub image_size: u64,
    /// Whether it may be removed.
    pub protection_status: ProtectionStatus,
    /// The image's parent then; only in encodings before Nautilus.
    pub parent: Parent,
    /// The image's flags then.
    pub flags: u64,
    /// When it was taken.
    pub timestamp: Utime,
    /// What it is for.
    pub snapshot_namespace: SnapshotNamespace,
    /// Clones of it (version 2).
    pub child_count: u32,
    /// Bytes that come from the image's parent.
    pub parent_overlap: Option<u64>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            id: NOSNAP,
            name: Bytes::new(),
            image_size: 0,
            protection_status: ProtectionStatus::UNPROTECTED,
            parent: Parent::default(),
            flags: 0,
            timestamp: Utime::default(),
            snapshot_namespace: SnapshotNamespace::User,
            child_count: 0,
            parent_overlap: None,
        }
    }
}

impl Decode for Snapshot {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(8, "cls_rbd_snap")?;
        let legacy = f.compat < 8;
        let mut snap = Self {
            id: f.u64()?,
            name: f.blob()?,
            image_size: f.u64()?,
            ..Self::default()
        };
        if legacy {
            // The image's features, which no reader uses.
            f.u64()?;
            if f.since(2) {
                snap.parent = Parent::decode(&mut f)?;
            }
        }
        if f.since(3) {
            snap.protection_status = ProtectionStatus::decode(&mut f)?;
        }
        if f.since(4) {
            snap.flags = f.u64()?;
        }
        if f.since(5) {
            snap.snapshot_namespace = SnapshotNamespace::decode(&mut f)?;
        }
        if f.since(6) {
            snap.timestamp = Utime::decode(&mut f)?;
        }
        if f.since(7) {
            snap.child_count = f.u32()?;
        }
        if f.since(8) {
            snap.parent_overlap = Option::decode(&mut f)?;
        }
        Ok(snap)
    }
}

impl Encode for Snapshot {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let compat = if features.has(Feature::SERVER_NAUTILUS) {
            8
        } else {
            1
        };
        out.put_frame(8, compat, |out| {
            out.put_u64_le(self.id);
            out.put_blob(&self.name);
            out.put_u64_le(self.image_size);
            if compat < 8 {
                out.put_u64_le(0);
                self.parent.encode(out, features);
            }
            self.protection_status.encode(out, features);
            out.put_u64_le(self.flags);
            self.snapshot_namespace.encode(out, features);
            self.timestamp.encode(out, features);
            out.put_u32_le(self.child_count);
            self.parent_overlap.encode(out, features);
        });
    }
}
