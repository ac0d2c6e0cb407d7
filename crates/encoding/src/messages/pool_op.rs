//! `MPoolOp`: creating and deleting pools and snapshots (Ceph `src/messages/MPoolOp.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::Features,
    message::{Message, MessageType, RawMessage},
    messages::{PaxosHeader, plain::check_compat},
    types::{SnapId, Uuid},
};

const HEAD_VERSION: u16 = 4;
const COMPAT_VERSION: u16 = 2;

/// `POOL_OP_*`: what to do. Open: unknown values survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PoolOpCode(pub u32);

impl PoolOpCode {
    /// Create a pool.
    pub const CREATE: Self = Self(0x01);
    /// Delete a pool.
    pub const DELETE: Self = Self(0x02);
    /// Obsolete.
    pub const AUID_CHANGE: Self = Self(0x03);
    /// Create a pool snapshot.
    pub const CREATE_SNAP: Self = Self(0x11);
    /// Delete a pool snapshot.
    pub const DELETE_SNAP: Self = Self(0x12);
    /// Allocate a self-managed snapshot; the answer carries its id.
    pub const CREATE_UNMANAGED_SNAP: Self = Self(0x21);
    /// Delete a self-managed snapshot.
    pub const DELETE_UNMANAGED_SNAP: Self = Self(0x22);
}

/// An operation on a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MPoolOp {
    /// Common head.
    pub paxos: PaxosHeader,
    /// The cluster.
    pub fsid: Uuid,
    /// The pool; 0 when one is created.
    pub pool: u32,
    /// What to do.
    pub op: PoolOpCode,
    /// The self-managed snapshot to delete.
    pub snapid: SnapId,
    /// The name of the new pool or of the pool snapshot.
    pub name: String,
    /// The crush rule of the new pool; -1 for the default.
    pub crush_rule: i16,
}

impl Message for MPoolOp {
    const TYPE: MessageType = MessageType::POOLOP;

    fn decode(raw: &RawMessage) -> Result<Self> {
        check_compat(raw, HEAD_VERSION, "MPoolOp")?;
        let version = raw.header.version;
        let mut r = Reader::new(&raw.front);
        let mut op = Self {
            paxos: PaxosHeader::decode(&mut r)?,
            fsid: Uuid::decode(&mut r)?,
            pool: r.u32()?,
            crush_rule: -1,
            ..Self::default()
        };
        if version < 2 {
            op.name = r.string()?;
        }
        op.op = PoolOpCode(r.u32()?);
        r.skip(8, "MPoolOp auid")?;
        op.snapid = r.u64()?;
        if version >= 2 {
            op.name = r.string()?;
        }
        if version >= 3 {
            // A byte in version 3, which 4 keeps as padding in front of its wider field.
            op.crush_rule = r.u8()?.into();
        }
        if version >= 4 {
            op.crush_rule = i16::decode(&mut r)?;
        }
        Ok(op)
    }

    fn encode(&self, features: Features) -> RawMessage {
        let mut out = BytesMut::new();
        self.paxos.encode(&mut out, features);
        self.fsid.encode(&mut out, features);
        out.put_u32_le(self.pool);
        out.put_u32_le(self.op.0);
        out.put_u64_le(0); // auid
        out.put_u64_le(self.snapid);
        out.put_string(&self.name);
        out.put_u8(0);
        out.put_i16_le(self.crush_rule);
        RawMessage::new(Self::TYPE, HEAD_VERSION, COMPAT_VERSION, out.freeze())
    }
}
