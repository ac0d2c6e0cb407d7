//! `osd_reqid_t`: what identifies a request over all its resends (Ceph `src/osd/osd_types.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::Features,
    types::EntityName,
};

/// Client, its incarnation and transaction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ReqId {
    /// Who asks.
    pub name: EntityName,
    /// The client's transaction id.
    pub tid: u64,
    /// The client's incarnation, usually 0.
    pub inc: i32,
}

impl Decode for ReqId {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(2, "osd_reqid_t")?;
        Ok(Self {
            name: EntityName::decode(&mut f)?,
            tid: f.u64()?,
            inc: f.i32()?,
        })
    }
}

impl Encode for ReqId {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(2, 2, |out| {
            self.name.encode(out, features);
            out.put_u64_le(self.tid);
            out.put_i32_le(self.inc);
        });
    }
}
