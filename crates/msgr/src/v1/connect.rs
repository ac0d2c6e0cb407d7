//! The negotiation: `ceph_msg_connect` and `ceph_msg_connect_reply` (Ceph `src/include/msgr.h`). An authorizer of
//! the length they name follows each.

use bytes::{BufMut, BytesMut};
use encoding::{Decode, Encode, Features, Reader, codec, types::EntityType};

use super::Tag;

/// `CEPH_MSG_CONNECT_LOSSY`: the session is not resumed.
pub const FLAG_LOSSY: u8 = 1;

/// The version of what a daemon of that type and its clients say to each other (`CEPH_*C_PROTOCOL`).
#[must_use]
pub const fn protocol_version(server: EntityType) -> u32 {
    match server {
        EntityType::MON => 15,
        EntityType::OSD => 24,
        EntityType::MDS => 32,
        _ => 0,
    }
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// What it can do.
    pub features: Features,
    /// What it is.
    pub host_type: EntityType,
    /// Counts its connections to anybody.
    pub global_seq: u32,
    /// Counts its connections in this session.
    pub connect_seq: u32,
    /// See [`protocol_version`].
    pub protocol_version: u32,
    /// `CEPH_AUTH_*`; 0 without an authorizer.
    pub authorizer_protocol: u32,
    /// Bytes that follow.
    pub authorizer_len: u32,
    /// [`FLAG_LOSSY`].
    pub flags: u8,
}

impl Connect {
    /// Bytes on the wire.
    pub const LEN: usize = 33;
}

impl Encode for Connect {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u64_le(self.features.0);
        out.put_u32_le(self.host_type.0.into());
        out.put_u32_le(self.global_seq);
        out.put_u32_le(self.connect_seq);
        out.put_u32_le(self.protocol_version);
        out.put_u32_le(self.authorizer_protocol);
        out.put_u32_le(self.authorizer_len);
        out.put_u8(self.flags);
    }
}

impl Decode for Connect {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let features = Features(r.u64()?);
        let host_type = r.u32()?;
        Ok(Self {
            features,
            host_type: EntityType(u8::try_from(host_type).map_err(|_| codec::DecodeError::Invalid {
                what: "host_type",
                value: host_type.into(),
            })?),
            global_seq: r.u32()?,
            connect_seq: r.u32()?,
            protocol_version: r.u32()?,
            authorizer_protocol: r.u32()?,
            authorizer_len: r.u32()?,
            flags: r.u8()?,
        })
    }
}

/// What the server says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectReply {
    /// Whether the session stands, or why not.
    pub tag: Tag,
    /// What the server can do; if the session does not stand, what both can do and what the server demands.
    pub features: Features,
    /// Counts the server's connections.
    pub global_seq: u32,
    /// Counts the connections in this session.
    pub connect_seq: u32,
    /// See [`protocol_version`].
    pub protocol_version: u32,
    /// Bytes that follow.
    pub authorizer_len: u32,
    /// [`FLAG_LOSSY`].
    pub flags: u8,
}

impl ConnectReply {
    /// Bytes on the wire.
    pub const LEN: usize = 26;
}

impl Encode for ConnectReply {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(self.tag.0);
        out.put_u64_le(self.features.0);
        out.put_u32_le(self.global_seq);
        out.put_u32_le(self.connect_seq);
        out.put_u32_le(self.protocol_version);
        out.put_u32_le(self.authorizer_len);
        out.put_u8(self.flags);
    }
}

impl Decode for ConnectReply {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self {
            tag: Tag(r.u8()?),
            features: Features(r.u64()?),
            global_seq: r.u32()?,
            connect_seq: r.u32()?,
            protocol_version: r.u32()?,
            authorizer_len: r.u32()?,
            flags: r.u8()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_and_its_reply_have_their_lengths_and_round_trip() {
        let connect = Connect {
            features: Features::OURS,
            host_type: EntityType::CLIENT,
            global_seq: 1,
            connect_seq: 2,
            protocol_version: protocol_version(EntityType::OSD),
            authorizer_protocol: 2,
            authorizer_len: 174,
            flags: FLAG_LOSSY,
        };
        let bytes = connect.to_bytes(Features::ALL);
        assert_eq!(bytes.len(), Connect::LEN);
        assert_eq!(Connect::from_bytes(&bytes), Ok(connect));
        let reply = ConnectReply {
            tag: Tag::SEQ,
            features: Features::OURS,
            global_seq: 1,
            connect_seq: 2,
            protocol_version: 15,
            authorizer_len: 36,
            flags: FLAG_LOSSY,
        };
        let bytes = reply.to_bytes(Features::ALL);
        assert_eq!(bytes.len(), ConnectReply::LEN);
        assert_eq!(ConnectReply::from_bytes(&bytes), Ok(reply));
    }

    #[test]
    fn an_impossible_host_type_does_not_decode() {
        let mut raw = vec![0; Connect::LEN];
        raw[9] = 1;
        assert!(Connect::from_bytes(&raw.into()).is_err());
    }
}
