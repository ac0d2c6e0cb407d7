//! `eversion_t`: a version within a placement group (Ceph `src/osd/osd_types.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
};

/// Map epoch and version, ordered by epoch first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Eversion {
    /// The osdmap epoch in which it was made.
    pub epoch: u32,
    /// The version.
    pub version: u64,
}

impl Decode for Eversion {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let version = r.u64()?;
        Ok(Self {
            version,
            epoch: r.u32()?,
        })
    }
}

impl Encode for Eversion {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u64_le(self.version);
        out.put_u32_le(self.epoch);
    }
}
