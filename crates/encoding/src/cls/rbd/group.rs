//! Groups of images and their snapshots.

use bytes::Bytes;

framed! {
    /// `cls::rbd::GroupSpec`: a group.
    GroupSpec = "cls::rbd::GroupSpec" (1, 1) {
        /// Its pool; -1 for no group.
        pool_id: i64;
        /// Its id.
        group_id: Bytes;
    }
}

impl Default for GroupSpec {
    fn default() -> Self {
        Self {
            pool_id: -1,
            group_id: Bytes::new(),
        }
    }
}

framed! {
    /// `cls::rbd::GroupImageSpec`: an image in a group.
    GroupImageSpec = "cls::rbd::GroupImageSpec" (1, 1) {
        /// The image.
        image_id: Bytes;
        /// Its pool; -1 for none.
        pool_id: i64;
    }
}

/// `RBD_GROUP_IMAGE_KEY_PREFIX`.
const IMAGE_KEY_PREFIX: &[u8] = b"image_";

impl GroupImageSpec {
    /// The omap key of the image in the group's header; empty without a pool.
    #[must_use]
    pub fn image_key(&self) -> Vec<u8> {
        if self.pool_id == -1 {
            return Vec::new();
        }
        let mut key = IMAGE_KEY_PREFIX.to_vec();
        key.extend_from_slice(format!("{:016x}_", self.pool_id).as_bytes());
        key.extend_from_slice(&self.image_id);
        key
    }

    /// The image of an omap key; none if the key is not of that form.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let rest = key.strip_prefix(IMAGE_KEY_PREFIX)?;
        let at = rest.iter().position(|c| *c == b'_')?;
        let pool = std::str::from_utf8(&rest[..at]).ok()?;
        let pool_id = u64::from_str_radix(pool, 16).ok()?;
        Some(Self {
            image_id: Bytes::copy_from_slice(&rest[at + 1..]),
            pool_id: pool_id.cast_signed(),
        })
    }
}

open_number! {
    /// `GroupImageLinkState`.
    GroupImageLinkState(u8) {
        /// The image is in the group.
        ATTACHED = 0,
        /// It is being added or removed.
        INCOMPLETE = 1,
    }
}

framed! {
    /// `cls::rbd::GroupImageStatus`.
    GroupImageStatus = "cls::rbd::GroupImageStatus" (1, 1) {
        /// The image.
        spec: GroupImageSpec;
        /// Whether it is fully in the group.
        state: GroupImageLinkState;
    }
}

framed! {
    /// `cls::rbd::ImageSnapshotSpec`: an image's part of a group's snapshot.
    ImageSnapshotSpec = "cls::rbd::ImageSnapshotSpec" (1, 1) {
        /// The image's pool.
        pool: i64;
        /// The image.
        image_id: Bytes;
        /// Its snapshot.
        snap_id: u64;
    }
}

open_number! {
    /// `GroupSnapshotState`.
    GroupSnapshotState(u8) {
        /// Some images have no snapshot yet.
        INCOMPLETE = 0,
        /// All have.
        COMPLETE = 1,
    }
}

framed! {
    /// `cls::rbd::GroupSnapshot`.
    GroupSnapshot = "cls::rbd::GroupSnapshot" (1, 1) {
        /// Its id.
        id: Bytes;
        /// Its name.
        name: Bytes;
        /// Whether it is complete.
        state: GroupSnapshotState;
        /// The images' snapshots.
        snaps: Vec<ImageSnapshotSpec>;
    }
}
