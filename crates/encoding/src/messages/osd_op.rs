//! `MOSDOp`: a client's operations on one object (Ceph `src/messages/MOSDOp.h`).
//!
//! Versions 2 to 6 have all fields in one order; 7 moves what the receiver needs for dispatch to the front; 8 has
//! the real placement group beside the hash, 9 a second trace. Versions 1 and older are refused.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    message::{Message, MessageType, RawMessage},
    types::{
        BlkinTrace, EntityName, Eversion, Hobject, ObjectLocator, OsdFlags, OsdOp, Pg, ReqId, SnapContext,
        SnapId, Spg, Utime,
    },
};

const HEAD_VERSION: u16 = 9;
const COMPAT_VERSION: u16 = 3;

/// A vector of operations on one object, run as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MOsdOp {
    /// The client's incarnation.
    pub client_inc: u32,
    /// The epoch of the client's map.
    pub osdmap_epoch: u32,
    /// Flags of the request.
    pub flags: OsdFlags,
    /// How often it was sent before; -1 if the client does not say.
    pub retry_attempt: i32,
    /// The request id where the sender is not the one who asks; else blank, see [`Self::request_id`].
    pub reqid: ReqId,
    /// The placement group. Before version 8 its seed is the full hash.
    pub pg: Spg,
    /// The object's full 32-bit placement hash.
    pub hash: u32,
    /// The client's time, for modifications.
    pub mtime: Utime,
    /// Pool, namespace and key.
    pub locator: ObjectLocator,
    /// The object's name, arbitrary bytes.
    pub oid: Bytes,
    /// The snapshot to read; `NOSNAP` for the head.
    pub snapid: SnapId,
    /// The writer's newest snapshot.
    pub snap_seq: SnapId,
    /// The writer's snapshots, newest first.
    pub snaps: Vec<SnapId>,
    /// The client's features, 0 if it does not say.
    pub features: u64,
    /// Tracing ids.
    pub trace: BlkinTrace,
    /// The operations.
    pub ops: Vec<OsdOp>,
}

impl MOsdOp {
    /// The placement group with the full hash as its seed.
    #[must_use]
    pub fn raw_pg(&self) -> Pg {
        Pg {
            pool: self.pg.pg.pool,
            seed: self.hash,
        }
    }

    /// What identifies the request over its resends: the id it carries, else sender, incarnation and `tid` (of
    /// the message's header).
    #[must_use]
    pub fn request_id(&self, sender: EntityName, tid: u64) -> ReqId {
        if names_requester(&self.reqid) {
            self.reqid
        } else {
            ReqId {
                name: sender,
                tid,
                inc: self.reqid.inc,
            }
        }
    }

    /// The writer's snap context.
    #[must_use]
    pub fn snap_context(&self) -> SnapContext {
        SnapContext {
            seq: self.snap_seq,
            snaps: self.snaps.clone(),
        }
    }

    /// The object's identity, at the snapshot asked for.
    #[must_use]
    pub fn hobject(&self) -> Hobject {
        Hobject {
            key: self.locator.key.clone(),
            oid: self.oid.clone(),
            snap: self.snapid,
            hash: self.hash,
            nspace: self.locator.nspace.clone(),
            pool: self.pg.pg.pool as i64,
            ..Hobject::MIN
        }
    }

    fn decode_v7_to_v9(version: u16, r: &mut Reader<'_>) -> Result<Self> {
        let pg = if version >= 8 {
            Spg::decode(r)?
        } else {
            unsharded(Pg::decode(r)?)
        };
        let hash = if version >= 8 { r.u32()? } else { pg.pg.seed };
        let osdmap_epoch = r.u32()?;
        let flags = OsdFlags::from_bits_retain(r.u32()?);
        if version == 7 {
            Eversion::decode(r)?; // reassert_version
        }
        let reqid = ReqId::decode(r)?;
        let trace = if version >= 8 {
            BlkinTrace::decode(r)?
        } else {
            BlkinTrace::default()
        };
        if version >= 9 {
            r.frame(u8::MAX, "jspan_context")?;
        }
        Ok(Self {
            pg,
            hash,
            osdmap_epoch,
            flags,
            reqid,
            trace,
            client_inc: r.u32()?,
            mtime: Utime::decode(r)?,
            locator: ObjectLocator::decode(r)?,
            oid: r.blob()?,
            ops: Vec::new(),
            snapid: 0,
            snap_seq: 0,
            snaps: Vec::new(),
            retry_attempt: -1,
            features: 0,
        })
    }

    fn decode_v2_to_v6(version: u16, r: &mut Reader<'_>) -> Result<Self> {
        let client_inc = r.u32()?;
        let osdmap_epoch = r.u32()?;
        let flags = OsdFlags::from_bits_retain(r.u32()?);
        let mtime = Utime::decode(r)?;
        Eversion::decode(r)?; // reassert_version
        let locator = ObjectLocator::decode(r)?;
        let pg = if version >= 3 {
            Pg::decode(r)?
        } else {
            decode_old_pg(r)?
        };
        Ok(Self {
            client_inc,
            osdmap_epoch,
            flags,
            mtime,
            locator,
            hash: pg.seed,
            pg: unsharded(pg),
            oid: r.blob()?,
            reqid: ReqId::default(),
            trace: BlkinTrace::default(),
            ops: Vec::new(),
            snapid: 0,
            snap_seq: 0,
            snaps: Vec::new(),
            retry_attempt: -1,
            features: 0,
        })
    }

    /// The operations and what follows them; the same from version 2 to 9, but for fields that came later.
    fn decode_ops(&mut self, version: u16, r: &mut Reader<'_>, data: &Bytes) -> Result<()> {
        let mut data = Reader::new(data);
        let count = r.u16()?;
        // As many as are usual at once, and no more on a peer's word.
        self.ops.reserve_exact(usize::from(count).min(4));
        for _ in 0..count {
            let (mut op, len) = OsdOp::decode_head(r)?;
            op.indata = data.bytes(len, "data of an op")?;
            self.ops.push(op);
        }
        self.snapid = r.u64()?;
        self.snap_seq = r.u64()?;
        self.snaps = r.vec()?;
        if version >= 4 {
            self.retry_attempt = r.i32()?;
        }
        if version >= 5 {
            self.features = r.u64()?;
        }
        if version == 6 {
            self.reqid = ReqId::decode(r)?;
        }
        if version < 7 && !names_requester(&self.reqid) {
            self.reqid.inc = self.client_inc as i32;
        }
        Ok(())
    }

    fn encode_front(&self, version: u16, features: Features) -> Bytes {
        let mut out = BytesMut::new();
        if version == 6 {
            out.put_u32_le(self.client_inc);
            out.put_u32_le(self.osdmap_epoch);
            out.put_u32_le(self.flags.bits());
            self.mtime.encode(&mut out, features);
            Eversion::default().encode(&mut out, features);
            self.locator.encode(&mut out, features);
            self.raw_pg().encode(&mut out, features);
        } else {
            self.encode_dispatch_part(version, &mut out, features);
            out.put_u32_le(self.client_inc);
            self.mtime.encode(&mut out, features);
            self.locator.encode(&mut out, features);
        }
        out.put_blob(&self.oid);
        self.encode_ops(version, &mut out, features);
        out.freeze()
    }

    fn encode_dispatch_part(&self, version: u16, out: &mut BytesMut, features: Features) {
        if version >= 8 {
            self.pg.encode(out, features);
            out.put_u32_le(self.hash);
        } else {
            self.raw_pg().encode(out, features);
        }
        out.put_u32_le(self.osdmap_epoch);
        out.put_u32_le(self.flags.bits());
        if version == 7 {
            Eversion::default().encode(out, features);
        }
        self.reqid.encode(out, features);
        if version >= 8 {
            self.trace.encode(out, features);
        }
        if version >= 9 {
            out.put_frame(1, 1, |out| out.put_bool(false)); // jspan_context: none
        }
    }

    fn encode_ops(&self, version: u16, out: &mut BytesMut, features: Features) {
        let ops = &self.ops[..self.ops.len().min(u16::MAX.into())];
        out.put_u16_le(ops.len() as u16);
        for op in ops {
            op.encode_head(out, op.indata.len());
        }
        out.put_u64_le(self.snapid);
        out.put_u64_le(self.snap_seq);
        out.put_u32_le(wire_len(self.snaps.len()));
        for snap in &self.snaps {
            out.put_u64_le(*snap);
        }
        out.put_i32_le(self.retry_attempt);
        out.put_u64_le(self.features);
        if version == 6 {
            // Readers of that time take an incarnation in a blank id for an id.
            let reqid = Some(self.reqid).filter(names_requester).unwrap_or_default();
            reqid.encode(out, features);
        }
    }
}

fn names_requester(reqid: &ReqId) -> bool {
    reqid.name != EntityName::default() || reqid.tid != 0
}

const fn unsharded(pg: Pg) -> Spg {
    Spg { pg, shard: -1 }
}

/// `ceph_pg`, the 64-bit `pg_t` of old: preferred and seed in 16 bits each, then the pool.
fn decode_old_pg(r: &mut Reader<'_>) -> Result<Pg> {
    r.skip(2, "ceph_pg preferred")?;
    let seed = r.u16()?.into();
    Ok(Pg {
        pool: r.u32()?.into(),
        seed,
    })
}

impl Message for MOsdOp {
    const TYPE: MessageType = MessageType::OSD_OP;

    fn decode(raw: &RawMessage) -> Result<Self> {
        const WHAT: &str = "MOSDOp";
        let version = raw.header.version;
        let mut r = Reader::new(&raw.front);
        let mut op = match version {
            0 | 1 => {
                return Err(DecodeError::TooOld {
                    what: WHAT,
                    version: version as u8,
                });
            }
            2..=6 => Self::decode_v2_to_v6(version, &mut r)?,
            7..=HEAD_VERSION => Self::decode_v7_to_v9(version, &mut r)?,
            // New versions of this message move fields, whatever their compat version says.
            _ => {
                return Err(DecodeError::Incompatible {
                    what: WHAT,
                    compat: u8::try_from(version).unwrap_or(u8::MAX),
                    known: HEAD_VERSION as u8,
                });
            }
        };
        op.decode_ops(version, &mut r, &raw.data_bytes())?;
        Ok(op)
    }

    fn encode(&self, features: Features) -> RawMessage {
        let version = if !features.has(Feature::NEW_OSDOP_ENCODING) {
            6
        } else if !features.has(Feature::SERVER_LUMINOUS) {
            7
        } else if !features.has(Feature::SERVER_SQUID) {
            8
        } else {
            HEAD_VERSION
        };
        let mut raw = RawMessage::new(
            Self::TYPE,
            version,
            COMPAT_VERSION,
            self.encode_front(version, features),
        );
        raw.data = self
            .ops
            .iter()
            .map(|op| op.indata.clone())
            .filter(|d| !d.is_empty())
            .collect();
        raw
    }
}
