//! What msgr v1 says beside messages (Ceph `src/include/msgr.h`).

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Features, Reader, codec,
    types::{EntityAddr, Utime},
};

/// The banner: nine bytes of text.
pub(super) const BANNER: &[u8] = b"ceph v027";
/// A legacy address: what v1 has in its banners.
pub(super) const ADDR_LEN: usize = 136;

/// Length of `ceph_msg_connect`, without the authorizer.
pub(super) const CONNECT_LEN: usize = 33;
/// Length of `ceph_msg_connect_reply`, without the authorizer.
pub(super) const CONNECT_REPLY_LEN: usize = 26;

/// `CEPH_MSGR_TAG_*`.
pub(super) mod tag {
    pub(in super::super) const READY: u8 = 1;
    pub(in super::super) const CLOSE: u8 = 6;
    pub(in super::super) const MSG: u8 = 7;
    pub(in super::super) const ACK: u8 = 8;
    pub(in super::super) const KEEPALIVE: u8 = 9;
    pub(in super::super) const SEQ: u8 = 13;
    pub(in super::super) const KEEPALIVE2: u8 = 14;
    pub(in super::super) const KEEPALIVE2_ACK: u8 = 15;
}

/// The name of a tag.
#[must_use]
pub(crate) const fn tag_name(tag: u8) -> &'static str {
    match tag {
        1 => "READY",
        2 => "RESETSESSION",
        3 => "WAIT",
        4 => "RETRY_SESSION",
        5 => "RETRY_GLOBAL",
        6 => "CLOSE",
        7 => "MSG",
        8 => "ACK",
        9 => "KEEPALIVE",
        10 => "BADPROTOVER",
        11 => "BADAUTHORIZER",
        12 => "FEATURES",
        13 => "SEQ",
        14 => "KEEPALIVE2",
        15 => "KEEPALIVE2_ACK",
        16 => "CHALLENGE_AUTHORIZER",
        _ => "unknown",
    }
}

/// `ceph_msg_connect` with its authorizer: the client wants a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Connect {
    /// What the client can do.
    pub features: Features,
    /// The client's entity type.
    pub host_type: u32,
    /// Counts the client's connection attempts, whoever to.
    pub global_seq: u32,
    /// Counts connections of this session.
    pub connect_seq: u32,
    /// The protocol between clients and the server's kind of daemon.
    pub protocol_version: u32,
    /// `CEPH_AUTH_*`.
    pub authorizer_protocol: u32,
    /// `CEPH_MSG_CONNECT_LOSSY` is 1.
    pub flags: u8,
    /// The ticket that is shown.
    pub authorizer: Bytes,
}

impl V1Connect {
    /// The length of the authorizer that follows a head.
    pub(super) fn authorizer_len(head: &[u8; CONNECT_LEN]) -> usize {
        u32::from_le_bytes([head[28], head[29], head[30], head[31]]) as usize
    }
}

impl Decode for V1Connect {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let features = Features(r.u64()?);
        let (host_type, global_seq, connect_seq) = (r.u32()?, r.u32()?, r.u32()?);
        let (protocol_version, authorizer_protocol) = (r.u32()?, r.u32()?);
        let (len, flags) = (r.u32()? as usize, r.u8()?);
        Ok(Self {
            features,
            host_type,
            global_seq,
            connect_seq,
            protocol_version,
            authorizer_protocol,
            flags,
            authorizer: r.bytes(len, "authorizer")?,
        })
    }
}

/// `ceph_msg_connect_reply` with its authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1ConnectReply {
    /// `CEPH_MSGR_TAG_*`: how it went.
    pub tag: u8,
    /// What the server can do, or for the tag FEATURES what it demands.
    pub features: Features,
    /// The server's.
    pub global_seq: u32,
    /// The server's.
    pub connect_seq: u32,
    /// The server's.
    pub protocol_version: u32,
    /// `CEPH_MSG_CONNECT_LOSSY` is 1.
    pub flags: u8,
    /// The server's proof, or its challenge.
    pub authorizer: Bytes,
}

impl V1ConnectReply {
    /// The name of the tag.
    #[must_use]
    pub const fn tag_name(&self) -> &'static str {
        tag_name(self.tag)
    }

    pub(super) fn authorizer_len(head: &[u8; CONNECT_REPLY_LEN]) -> usize {
        u32::from_le_bytes([head[21], head[22], head[23], head[24]]) as usize
    }
}

impl Decode for V1ConnectReply {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let (tag, features) = (r.u8()?, Features(r.u64()?));
        let (global_seq, connect_seq, protocol_version) = (r.u32()?, r.u32()?, r.u32()?);
        let (len, flags) = (r.u32()? as usize, r.u8()?);
        Ok(Self {
            tag,
            features,
            global_seq,
            connect_seq,
            protocol_version,
            flags,
            authorizer: r.bytes(len, "authorizer")?,
        })
    }
}

/// Something that msgr v1 says and that is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum V1Item {
    /// Banner and addresses: the server's own and the client's as it sees it, or the client's own.
    Banner(Vec<EntityAddr>),
    /// The client wants a session.
    Connect(V1Connect),
    /// The server's answer.
    ConnectReply(V1ConnectReply),
    /// After a resumed session: the last message received.
    Seq(u64),
    /// The session is to be closed.
    Close,
    /// Messages up to this one were received.
    Ack(u64),
    /// Are you there?
    Keepalive,
    /// Are you there? With the time.
    Keepalive2(Utime),
    /// Yes; with the time of the question.
    Keepalive2Ack(Utime),
}

impl V1Item {
    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        let stamped = |out: &mut BytesMut, tag, time: &Utime| {
            out.put_u8(tag);
            time.encode(out, Features::NONE);
        };
        match self {
            Self::Banner(addrs) => {
                out.put_slice(BANNER);
                for addr in addrs {
                    addr.encode(&mut out, Features::NONE);
                }
            }
            Self::Connect(c) => put_connect(c, &mut out),
            Self::ConnectReply(c) => put_reply(c, &mut out),
            Self::Seq(seq) => out.put_u64_le(*seq),
            Self::Close => out.put_u8(tag::CLOSE),
            Self::Ack(seq) => {
                out.put_u8(tag::ACK);
                out.put_u64_le(*seq);
            }
            Self::Keepalive => out.put_u8(tag::KEEPALIVE),
            Self::Keepalive2(time) => stamped(&mut out, tag::KEEPALIVE2, time),
            Self::Keepalive2Ack(time) => stamped(&mut out, tag::KEEPALIVE2_ACK, time),
        }
        out.freeze()
    }
}

fn put_connect(c: &V1Connect, out: &mut BytesMut) {
    out.put_u64_le(c.features.0);
    for word in [
        c.host_type,
        c.global_seq,
        c.connect_seq,
        c.protocol_version,
        c.authorizer_protocol,
        codec::wire_len(c.authorizer.len()),
    ] {
        out.put_u32_le(word);
    }
    out.put_u8(c.flags);
    out.put_slice(&c.authorizer);
}

fn put_reply(c: &V1ConnectReply, out: &mut BytesMut) {
    out.put_u8(c.tag);
    out.put_u64_le(c.features.0);
    for word in [
        c.global_seq,
        c.connect_seq,
        c.protocol_version,
        codec::wire_len(c.authorizer.len()),
    ] {
        out.put_u32_le(word);
    }
    out.put_u8(c.flags);
    out.put_slice(&c.authorizer);
}
