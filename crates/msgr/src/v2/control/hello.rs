//! HELLO, the first frame of both sides.

use bytes::{BufMut, BytesMut};
use encoding::{
    Decode, Encode, Features, Reader, codec,
    types::{EntityAddr, EntityType},
};

use super::{ControlFrame, Tag};

/// What the sender is, and where it sees the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The sender's type.
    pub kind: EntityType,
    /// The receiver's address as the sender sees it.
    pub peer_addr: EntityAddr,
}

impl Encode for Hello {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        out.put_u8(self.kind.0);
        self.peer_addr.encode(out, f);
    }
}

impl Decode for Hello {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self {
            kind: EntityType(r.u8()?),
            peer_addr: EntityAddr::decode(r)?,
        })
    }
}

impl ControlFrame for Hello {
    const TAG: Tag = Tag::HELLO;
}
