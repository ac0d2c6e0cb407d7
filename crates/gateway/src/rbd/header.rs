//! What an image's header says (Ceph `src/librbd/image/RefreshRequest.cc`).

use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features,
    cls::rbd::{
        MigrationSpec, NOSNAP, ParentImageSpec, ProtectionStatus, SnapshotInfo, SnapshotNamespace, features,
    },
    types::{OsdOp, SnapContext, Utime},
};

use super::{RBD, layout::Layout};
use crate::rados::{IoCtx, ops};

/// A snapshot of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snap {
    /// Its name.
    pub name: Bytes,
    /// What it is for.
    pub namespace: SnapshotNamespace,
    /// The image's size then, in bytes.
    pub size: u64,
    /// When it was taken.
    pub timestamp: Utime,
    /// Whether it may be removed.
    pub protection: ProtectionStatus,
    /// Clones of it (version 2).
    pub child_count: u32,
    /// Bytes that come from the image's parent; none if nothing does.
    pub parent_overlap: Option<u64>,
}

/// What an image's header says at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Size in bytes.
    pub size: u64,
    /// The size of objects, as a power of two.
    pub order: u8,
    /// See [`features`].
    pub features: u64,
    /// See [`features`].
    pub op_features: u64,
    /// `RBD_FLAG_*`.
    pub flags: u64,
    /// What names of data objects start with.
    pub prefix: Bytes,
    /// Where data objects are, if not in the header's pool.
    pub data_pool: Option<i64>,
    /// The snapshots as writers name them.
    pub snapc: SnapContext,
    /// The snapshots, by id.
    pub snaps: BTreeMap<u64, Snap>,
    /// The image that this one is a clone of.
    pub parent: ParentImageSpec,
    /// Bytes of the head that come from the parent; none if the head has no parent any more.
    pub head_overlap: Option<u64>,
    /// Where bytes are.
    pub layout: Layout,
    /// While the image is migrated: from or to where.
    pub migration: Option<MigrationSpec>,
}

/// `RBD_FLAG_OBJECT_MAP_INVALID` and `RBD_FLAG_FAST_DIFF_INVALID`.
pub(super) const FLAG_OBJECT_MAP_INVALID: u64 = 1;
/// See [`FLAG_OBJECT_MAP_INVALID`].
pub(super) const FLAG_FAST_DIFF_INVALID: u64 = 2;
/// How often a header is read again when a snapshot vanishes meanwhile.
const ATTEMPTS: usize = 10;

fn ask(method: &str, input: &[u8]) -> OsdOp {
    ops::call(RBD, method, input)
}

/// The next answer as a value.
fn take<T: Decode>(answers: &mut impl Iterator<Item = OsdOp>) -> Result<T, Errno> {
    ops::output(&answers.next().ok_or(Errno::EBADMSG)?)
}

impl Header {
    /// Reads the header object `oid`.
    ///
    /// # Errors
    /// ENOENT if there is no such image.
    pub fn read(ioctx: &IoCtx, oid: &[u8]) -> Result<Self, Errno> {
        for _ in 0..ATTEMPTS {
            match Self::read_once(ioctx, oid) {
                // Somebody removed a snapshot between the two requests.
                Err(Errno::ESTALE) => {}
                r => return r,
            }
        }
        Err(Errno::EAGAIN)
    }

    fn read_once(ioctx: &IoCtx, oid: &[u8]) -> Result<Self, Errno> {
        let head = ops::arg(&NOSNAP);
        let questions = vec![
            ask("get_size", &head),
            ask("get_features", &(NOSNAP, false).to_bytes(Features::ALL)),
            ask("op_features_get", b""),
            ask("get_flags", &head),
            ask("get_object_prefix", b""),
            ask("get_data_pool", b""),
            ask("get_snapcontext", b""),
            ask("parent_get", b""),
            ask("parent_overlap_get", &head),
        ];
        let mut answers = ioctx.read(oid, questions)?.into_iter();
        let (order, size): (u8, u64) = take(&mut answers)?;
        let (feature_bits, _incompatible): (u64, u64) = take(&mut answers)?;
        let object_size = 1_u64.checked_shl(order.into()).ok_or(Errno::EINVAL)?;
        let mut header = Self {
            size,
            order,
            features: feature_bits,
            op_features: take(&mut answers)?,
            flags: take(&mut answers)?,
            prefix: take(&mut answers)?,
            data_pool: Some(take::<i64>(&mut answers)?).filter(|pool| *pool >= 0),
            snapc: take(&mut answers)?,
            snaps: BTreeMap::new(),
            parent: take(&mut answers)?,
            head_overlap: take(&mut answers)?,
            layout: Layout {
                object_size,
                stripe_unit: object_size,
                stripe_count: 1,
            },
            migration: None,
        };
        header.read_optional(ioctx, oid)?;
        header.read_snaps(ioctx, oid)?;
        Ok(header)
    }

    /// Whether the image has a feature.
    #[must_use]
    pub const fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// Whether the head still takes data from a parent.
    #[must_use]
    pub fn has_parent(&self) -> bool {
        self.parent.exists() && self.head_overlap.is_some()
    }

    fn read_optional(&mut self, ioctx: &IoCtx, oid: &[u8]) -> Result<(), Errno> {
        if self.has(features::STRIPINGV2) {
            let (unit, count): (u64, u64) = ioctx.query(oid, RBD, "get_stripe_unit_count", b"")?;
            if unit == 0 || count == 0 || !self.layout.object_size.is_multiple_of(unit) {
                return Err(Errno::EINVAL);
            }
            (self.layout.stripe_unit, self.layout.stripe_count) = (unit, count);
        }
        if self.has(features::MIGRATING) {
            self.migration = match ioctx.query(oid, RBD, "migration_get", b"") {
                Err(Errno::ENOENT) => None,
                r => Some(r?),
            };
        }
        Ok(())
    }

    fn read_snaps(&mut self, ioctx: &IoCtx, oid: &[u8]) -> Result<(), Errno> {
        for &id in &self.snapc.snaps {
            let input = ops::arg(&id);
            let mut questions = vec![
                ask("snapshot_get", &input),
                ask("get_protection_status", &input),
                ask("parent_overlap_get", &input),
            ];
            if !self.has(features::LAYERING) {
                questions.truncate(2);
            }
            let layered = questions.len() == 3;
            let answered = match ioctx.read(oid, questions) {
                Err(Errno::ENOENT) => return Err(Errno::ESTALE),
                r => r?,
            };
            let mut answers = answered.into_iter();
            let info: SnapshotInfo = take(&mut answers)?;
            let snap = Snap {
                name: info.name,
                namespace: info.snapshot_namespace,
                size: info.image_size,
                timestamp: info.timestamp,
                child_count: info.child_count,
                protection: take(&mut answers)?,
                parent_overlap: if layered { take(&mut answers)? } else { None },
            };
            self.snaps.insert(id, snap);
        }
        Ok(())
    }
}
