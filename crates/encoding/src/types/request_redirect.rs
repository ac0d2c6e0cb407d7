//! `request_redirect_t`: go and ask for that object instead (Ceph `src/osd/osd_types.h`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::Features,
    types::ObjectLocator,
};

/// Where a reply sends the client to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestRedirect {
    /// The pool to ask.
    pub locator: ObjectLocator,
    /// The object to ask for; empty keeps the name.
    pub object: Bytes,
}

impl RequestRedirect {
    /// Whether it redirects nowhere, as the older encodings write it when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.locator.pool == -1 && self.object.is_empty()
    }
}

impl Decode for RequestRedirect {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(1, "request_redirect_t")?;
        let locator = ObjectLocator::decode(&mut f)?;
        let object = f.blob()?;
        let instructions = f.u32()? as usize;
        f.skip(instructions, "request_redirect_t instructions")?;
        Ok(Self { locator, object })
    }
}

impl Encode for RequestRedirect {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        out.put_frame(1, 1, |out| {
            self.locator.encode(out, features);
            out.put_blob(&self.object);
            out.put_u32_le(0); // osd_instructions, removed
        });
    }
}
