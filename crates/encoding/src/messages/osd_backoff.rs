//! `MOSDBackoff`: do not send requests on these objects for now (Ceph `src/messages/MOSDBackoff.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Reader, Result},
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::plain::check_compat,
    types::{Hobject, Spg},
};

const HEAD_VERSION: u16 = 1;
const COMPAT_VERSION: u16 = 1;

/// `CEPH_OSD_BACKOFF_OP_*`. Open: unknown values survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackoffOp(pub u8);

impl BackoffOp {
    /// Stop; by the server.
    pub const BLOCK: Self = Self(1);
    /// Stopped; by the client.
    pub const ACK_BLOCK: Self = Self(2);
    /// Go on; by the server.
    pub const UNBLOCK: Self = Self(3);
}

/// Stops or resumes requests on a range of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MOsdBackoff {
    /// The placement group.
    pub pg: Spg,
    /// The sender's map epoch.
    pub map_epoch: u32,
    /// What to do.
    pub op: BackoffOp,
    /// The server's id of this backoff, unique in the session.
    pub id: u64,
    /// The first object.
    pub begin: Hobject,
    /// Where the range ends; the same as `begin` is that object alone.
    pub end: Hobject,
}

impl Message for MOsdBackoff {
    const TYPE: MessageType = MessageType::OSD_BACKOFF;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MOSDBackoff")?;
        let mut r = Reader::new(&raw.front);
        Ok(Self {
            pg: Spg::decode(&mut r)?,
            map_epoch: r.u32()?,
            op: BackoffOp(r.u8()?),
            id: r.u64()?,
            begin: Hobject::decode(&mut r)?,
            end: Hobject::decode(&mut r)?,
        })
    }

    fn encode(&self, features: Features) -> RawMessage {
        let mut out = BytesMut::new();
        self.pg.encode(&mut out, features);
        out.put_u32_le(self.map_epoch);
        out.put_u8(self.op.0);
        out.put_u64_le(self.id);
        self.begin.encode(&mut out, features);
        self.end.encode(&mut out, features);
        RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze())
    }
}
