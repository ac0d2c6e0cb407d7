//! Live migration of images.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::MirrorImageMode;
use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::Features,
};

open_number! {
    /// `MigrationHeaderType`: which side's header it is in.
    MigrationHeaderType(u8) {
        /// The source's.
        SRC = 1,
        /// The destination's.
        DST = 2,
    }
}

open_number! {
    /// `MigrationState`.
    MigrationState(u8) {
        /// Failed.
        ERROR = 0,
        /// Being prepared.
        PREPARING = 1,
        /// Prepared.
        PREPARED = 2,
        /// Copying.
        EXECUTING = 3,
        /// Copied.
        EXECUTED = 4,
        /// Being undone.
        ABORTING = 5,
    }
}

/// `cls::rbd::MigrationSpec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationSpec {
    /// Which side's header it is in.
    pub header_type: MigrationHeaderType,
    /// The other side's pool.
    pub pool_id: i64,
    /// The other side's namespace.
    pub pool_namespace: Bytes,
    /// The other side's name.
    pub image_name: Bytes,
    /// The other side's id.
    pub image_id: Bytes,
    /// Where data comes from if not from an image.
    pub source_spec: Bytes,
    /// Snapshot ids of the source and of the destination.
    pub snap_seqs: BTreeMap<u64, u64>,
    /// Bytes that come from the source.
    pub overlap: u64,
    /// Whether the destination is flattened.
    pub flatten: bool,
    /// Whether the image was mirrored.
    pub mirroring: bool,
    /// How.
    pub mirror_image_mode: MirrorImageMode,
    /// How far migration is.
    pub state: MigrationState,
    /// That in words.
    pub state_description: Bytes,
}

impl Decode for MigrationSpec {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(3, "cls::rbd::MigrationSpec")?;
        Ok(Self {
            header_type: MigrationHeaderType::decode(&mut f)?,
            pool_id: f.i64()?,
            pool_namespace: f.blob()?,
            image_name: f.blob()?,
            image_id: f.blob()?,
            snap_seqs: f.map()?,
            overlap: f.u64()?,
            flatten: f.bool()?,
            mirroring: f.bool()?,
            state: MigrationState::decode(&mut f)?,
            state_description: f.blob()?,
            mirror_image_mode: if f.since(2) {
                MirrorImageMode::decode(&mut f)?
            } else {
                MirrorImageMode::JOURNAL
            },
            source_spec: if f.since(3) { f.blob()? } else { Bytes::new() },
        })
    }
}

impl Encode for MigrationSpec {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        // Older clients may migrate images, but cannot read from other sources.
        let compat = if self.source_spec.is_empty() { 1 } else { 3 };
        out.put_frame(3, compat, |out| {
            self.header_type.encode(out, features);
            out.put_i64_le(self.pool_id);
            out.put_blob(&self.pool_namespace);
            out.put_blob(&self.image_name);
            out.put_blob(&self.image_id);
            self.snap_seqs.encode(out, features);
            out.put_u64_le(self.overlap);
            out.put_bool(self.flatten);
            out.put_bool(self.mirroring);
            self.state.encode(out, features);
            out.put_blob(&self.state_description);
            self.mirror_image_mode.encode(out, features);
            out.put_blob(&self.source_spec);
        });
    }
}
