//! Class `rbd`: what its methods take, give and store (Ceph `src/cls/rbd/cls_rbd.h`, `cls_rbd_types.h`).

pub mod features;
mod group;
mod migration;
mod mirror;
mod parent;
mod snapshot;
mod trash;

pub use group::{
    GroupImageLinkState, GroupImageSpec, GroupImageStatus, GroupSnapshot, GroupSnapshotState, GroupSpec,
    ImageSnapshotSpec,
};
pub use migration::{MigrationHeaderType, MigrationSpec, MigrationState};
pub use mirror::{
    EntityInst, MirrorImage, MirrorImageMap, MirrorImageMode, MirrorImageSiteStatus,
    MirrorImageSiteStatusOnDisk, MirrorImageState, MirrorImageStatus, MirrorImageStatusState, MirrorMode,
    MirrorPeer, MirrorPeerDirection,
};
pub use parent::{ChildImageSpec, Parent, ParentImageSpec};
pub use snapshot::{
    MirrorSnapshotNamespace, MirrorSnapshotState, ProtectionStatus, Snapshot, SnapshotInfo,
    SnapshotNamespace, SnapshotNamespaceType,
};
pub use trash::{TrashImageSource, TrashImageSpec, TrashImageState};

/// `CEPH_NOSNAP`: not a snapshot but the image's head.
pub const NOSNAP: u64 = u64::MAX - 1;
/// `CEPH_MAXSNAP`: the largest snapshot id.
pub const MAXSNAP: u64 = u64::MAX - 2;

open_number! {
    /// `DirectoryState`: whether a pool or namespace takes new images.
    DirectoryState(u8) {
        /// It does.
        READY = 0,
        /// It is being removed.
        ADD_DISABLED = 1,
    }
}

/// `AssertSnapcSeqState`, 0: the snap context must be newer than the object's snapset.
pub const ASSERT_SNAPC_SEQ_GT_SNAPSET_SEQ: u8 = 0;
/// `AssertSnapcSeqState`, 1: it must not be newer.
pub const ASSERT_SNAPC_SEQ_LE_SNAPSET_SEQ: u8 = 1;

/// `MAX_OBJECT_MAP_OBJECT_COUNT`: objects that an object map can have.
pub const MAX_OBJECT_MAP_OBJECT_COUNT: u64 = 256_000_000;

/// States of an object in the object map (Ceph `src/include/rbd/object_map_types.h`).
pub mod object_state {
    /// The object does not exist.
    pub const NONEXISTENT: u8 = 0;
    /// It exists and was written since the last snapshot.
    pub const EXISTS: u8 = 1;
    /// It is being removed.
    pub const PENDING: u8 = 2;
    /// It exists and is as the last snapshot saw it.
    pub const EXISTS_CLEAN: u8 = 3;
}
