//! `MOSDOpReply`: the answer to `MOSDOp` (Ceph `src/messages/MOSDOpReply.h`).
//!
//! Errors are negative errno values of Linux. Version 1, for peers without PGID64, is neither written nor read:
//! every client since Bobtail has 64-bit pool ids.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
    message::{Message, MessageType, RawMessage},
    messages::MOsdOp,
    types::{BlkinTrace, Eversion, OsdFlags, OsdOp, Pg, RequestRedirect},
};

const HEAD_VERSION: u16 = 8;
const COMPAT_VERSION: u16 = 2;

/// Bytes that the fields of an answer without redirect take beside the object's name and the operations: memory of just that size needs no
/// second allocation to become [`Bytes`].
const FIXED_LEN: usize = 102;
/// Bytes of an operation and its result.
const PER_OP: usize = 38 + 4;

/// The results of a vector of operations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MOsdOpReply {
    /// The object's name.
    pub oid: Bytes,
    /// The placement group, as in the request.
    pub pg: Pg,
    /// The request's flags, with what is acknowledged.
    pub flags: OsdFlags,
    /// The result of it all: 0 or more, or a negative errno.
    pub result: i32,
    /// The version as clients before Dumpling understand it; see [`Self::set_reply_versions`].
    pub bad_replay_version: Eversion,
    /// The PG's version at which a modification is stored.
    pub replay_version: Eversion,
    /// The object's version.
    pub user_version: u64,
    /// The epoch of the map that the server used.
    pub osdmap_epoch: u32,
    /// The operations with their results and output.
    pub ops: Vec<OsdOp>,
    /// The request's attempt.
    pub retry_attempt: i32,
    /// Ask there instead.
    pub redirect: Option<RequestRedirect>,
    /// Tracing ids.
    pub trace: BlkinTrace,
}

impl MOsdOpReply {
    /// The answer to `request`, whose operations have their results and output already if `with_output`, and get
    /// no output otherwise. `ack` is what is acknowledged: ACK, ONDISK or both.
    #[must_use]
    pub fn to(request: &MOsdOp, result: i32, epoch: u32, ack: OsdFlags, with_output: bool) -> Self {
        Self::with_ops(request, request.ops.clone(), result, epoch, ack, with_output)
    }

    /// As [`Self::to`], and takes the operations out of the request, which has none any more.
    #[must_use]
    pub fn taking(request: &mut MOsdOp, result: i32, epoch: u32, ack: OsdFlags, with_output: bool) -> Self {
        let ops = std::mem::take(&mut request.ops);
        Self::with_ops(request, ops, result, epoch, ack, with_output)
    }

    fn with_ops(
        request: &MOsdOp,
        mut ops: Vec<OsdOp>,
        result: i32,
        epoch: u32,
        ack: OsdFlags,
        with_output: bool,
    ) -> Self {
        let acks = OsdFlags::ACK | OsdFlags::ONNVRAM | OsdFlags::ONDISK;
        for op in &mut ops {
            op.indata = Bytes::new();
            if !with_output {
                op.outdata.clear();
            }
        }
        Self {
            oid: request.oid.clone(),
            pg: request.pg.pg,
            flags: (request.flags - acks) | ack,
            result,
            osdmap_epoch: epoch,
            ops,
            retry_attempt: request.retry_attempt,
            ..Self::default()
        }
    }

    /// Sets the versions after a modification: the PG's, and the object's. Old clients see the object's version
    /// with the PG's epoch, since a watch moves only the PG's on.
    pub fn set_reply_versions(&mut self, version: Eversion, user_version: u64) {
        self.replay_version = version;
        self.user_version = user_version;
        self.bad_replay_version = version;
        if user_version != 0 {
            self.bad_replay_version.version = user_version;
        }
    }

    /// Sets the versions when nothing was modified.
    pub fn set_read_versions(&mut self, version: Eversion, user_version: u64) {
        self.user_version = user_version;
        self.bad_replay_version = version;
    }

    fn decode_ops(version: u16, r: &mut Reader<'_>, data: &Bytes) -> Result<(Vec<OsdOp>, i32)> {
        const HEAD_LEN: usize = 38;
        let n = r.count(HEAD_LEN, "ops of MOSDOpReply")?;
        let mut data = Reader::new(data);
        let mut ops = Vec::with_capacity(n.min(64));
        for _ in 0..n {
            let (mut op, len) = OsdOp::decode_head(r)?;
            if version >= 4 && len > 0 {
                op.outdata = [data.bytes(len, "data of an op")?].into();
            }
            ops.push(op);
        }
        let retry_attempt = if version >= 3 { r.i32()? } else { -1 };
        if version >= 4 {
            for op in &mut ops {
                op.rval = r.i32()?;
            }
        }
        Ok((ops, retry_attempt))
    }

    fn decode_redirect(version: u16, r: &mut Reader<'_>) -> Result<Option<RequestRedirect>> {
        let present = match version {
            0..=5 => false,
            6 => true,
            _ => r.bool()?,
        };
        if !present {
            return Ok(None);
        }
        Ok(Some(RequestRedirect::decode(r)?).filter(|redirect| !redirect.is_empty()))
    }
}

impl Message for MOsdOpReply {
    const TYPE: MessageType = MessageType::OSD_OPREPLY;

    fn decode(raw: &RawMessage) -> Result<Self> {
        let version = raw.header.version;
        if version < 2 {
            return Err(DecodeError::TooOld {
                what: "MOSDOpReply",
                version: version as u8,
            });
        }
        let mut r = Reader::new(&raw.front);
        let oid = r.blob()?;
        let pg = Pg::decode(&mut r)?;
        // 64 bits: the flags, then the result.
        let flags = OsdFlags::from_bits_retain(r.u64()? as u32);
        let result = r.i32()?;
        let bad_replay_version = Eversion::decode(&mut r)?;
        let osdmap_epoch = r.u32()?;
        let (ops, retry_attempt) = Self::decode_ops(version, &mut r, &raw.data_bytes())?;
        let (replay_version, user_version) = if version >= 5 {
            (Eversion::decode(&mut r)?, r.u64()?)
        } else {
            (bad_replay_version, bad_replay_version.version)
        };
        let redirect = Self::decode_redirect(version, &mut r)?;
        let trace = if version >= 8 {
            BlkinTrace::decode(&mut r)?
        } else {
            BlkinTrace::default()
        };
        Ok(Self {
            oid,
            pg,
            flags,
            result,
            bad_replay_version,
            replay_version,
            user_version,
            osdmap_epoch,
            ops,
            retry_attempt,
            redirect,
            trace,
        })
    }

    fn encode(&self, features: Features) -> RawMessage {
        // NEW_OSDOPREPLY_ENCODING is the same bit as CRUSH_TUNABLES5.
        let new = features.has(Feature::CRUSH_TUNABLES5);
        let version = if new { HEAD_VERSION } else { 6 };
        // All of it but for a redirect, which old clients always get: growing step by step would cost more than the rest of the encoding.
        let mut out = BytesMut::with_capacity(FIXED_LEN + self.oid.len() + self.ops.len() * PER_OP);
        out.put_blob(&self.oid);
        self.pg.encode(&mut out, features);
        out.put_u64_le(self.flags.bits().into());
        out.put_i32_le(self.result);
        self.bad_replay_version.encode(&mut out, features);
        out.put_u32_le(self.osdmap_epoch);
        out.put_u32_le(wire_len(self.ops.len()));
        for op in &self.ops {
            op.encode_head(&mut out, op.outdata_len());
        }
        out.put_i32_le(self.retry_attempt);
        for op in &self.ops {
            out.put_i32_le(op.rval);
        }
        self.replay_version.encode(&mut out, features);
        out.put_u64_le(self.user_version);
        match (&self.redirect, new) {
            (Some(redirect), true) => {
                out.put_bool(true);
                redirect.encode(&mut out, features);
            }
            (None, true) => out.put_bool(false),
            (redirect, false) => redirect.clone().unwrap_or_default().encode(&mut out, features),
        }
        self.trace.encode(&mut out, features);
        let mut raw = RawMessage::new(Self::TYPE, version, COMPAT_VERSION, out.freeze());
        raw.data = self
            .ops
            .iter()
            .flat_map(|op| op.outdata.iter().cloned())
            .filter(|d| !d.is_empty())
            .collect();
        raw
    }
}
