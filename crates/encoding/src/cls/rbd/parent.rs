//! Links between clones and the snapshots they come from.

use bytes::{BufMut, Bytes, BytesMut};

use super::NOSNAP;
use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::{Feature, Features},
};

framed! {
    /// `cls::rbd::ParentImageSpec`: a snapshot that a clone comes from.
    ParentImageSpec = "cls::rbd::ParentImageSpec" (1, 1) {
        /// Its pool; -1 for none.
        pool_id: i64;
        /// Its namespace.
        pool_namespace: Bytes;
        /// Its image.
        image_id: Bytes;
        /// Its id.
        snap_id: u64;
    }
}

impl Default for ParentImageSpec {
    fn default() -> Self {
        Self {
            pool_id: -1,
            pool_namespace: Bytes::new(),
            image_id: Bytes::new(),
            snap_id: NOSNAP,
        }
    }
}

impl ParentImageSpec {
    /// Whether it names a snapshot.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.pool_id >= 0 && !self.image_id.is_empty() && self.snap_id != NOSNAP
    }
}

/// `cls_rbd_parent`: the link to the parent and how much of the image's head it underlies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parent {
    /// The parent.
    pub spec: ParentImageSpec,
    /// Bytes of the head that come from the parent; none if only snapshots do.
    pub head_overlap: Option<u64>,
}

impl Parent {
    /// Whether there is a parent.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.spec.exists()
    }
}

impl Decode for Parent {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "cls_rbd_parent")?;
        let pool_id = f.i64()?;
        let pool_namespace = if f.since(2) { f.blob()? } else { Bytes::new() };
        let image_id = f.blob()?;
        let snap_id = f.u64()?;
        let head_overlap = if f.since(2) {
            Option::decode(&mut f)?
        } else {
            Some(f.u64()?)
        };
        Ok(Self {
            spec: ParentImageSpec {
                pool_id,
                pool_namespace,
                image_id,
                snap_id,
            },
            head_overlap,
        })
    }
}

impl Encode for Parent {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let version = if features.has(Feature::SERVER_NAUTILUS) {
            2
        } else {
            1
        };
        out.put_frame(version, version, |out| {
            out.put_i64_le(self.spec.pool_id);
            if version >= 2 {
                out.put_blob(&self.spec.pool_namespace);
            }
            out.put_blob(&self.spec.image_id);
            out.put_u64_le(self.spec.snap_id);
            if version >= 2 {
                self.head_overlap.encode(out, features);
            } else {
                out.put_u64_le(self.head_overlap.unwrap_or(0));
            }
        });
    }
}

framed! {
    /// `cls::rbd::ChildImageSpec`: a clone.
    ChildImageSpec = "cls::rbd::ChildImageSpec" (2, 1) {
        /// Its pool.
        pool_id: i64;
        /// Its id.
        image_id: Bytes;
        /// Its namespace.
        pool_namespace: Bytes, since 2;
    }
}

impl Ord for ChildImageSpec {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The namespace counts before the image: sets are encoded in this order.
        (self.pool_id, &self.pool_namespace, &self.image_id).cmp(&(
            other.pool_id,
            &other.pool_namespace,
            &other.image_id,
        ))
    }
}

impl PartialOrd for ChildImageSpec {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
