//! What stands before and behind a message (`ceph_msg_header`, `ceph_msg_footer` and `ceph_msg_footer_old` in Ceph
//! `src/include/msgr.h`).

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Features, MessageType, Reader,
    codec::{self, ceph_crc32c},
    types::EntityName,
};

/// A message's header on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHeader {
    /// Number of the message in its session, from 1.
    pub seq: u64,
    /// What the message decides itself.
    pub message: encoding::MessageHeader,
    /// Length of the front, in bytes.
    pub front_len: u32,
    /// Length of the middle, in bytes.
    pub middle_len: u32,
    /// Length of the data, in bytes.
    pub data_len: u32,
    /// Who sends it.
    pub src: EntityName,
    /// Checksum of what stands before it; 0 where checksums are off.
    pub crc: u32,
}

impl MessageHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 53;
    const CRC_AT: usize = Self::LEN - 4;

    /// The checksum of an encoded header.
    #[must_use]
    pub fn crc_of(raw: &[u8]) -> u32 {
        ceph_crc32c(0, &raw[..raw.len().min(Self::CRC_AT)])
    }

    /// Encodes with a checksum, which is also noted in `self`.
    pub(super) fn seal(&mut self, out: &mut BytesMut) {
        let at = out.len();
        self.encode(out, Features::ALL);
        self.crc = Self::crc_of(&out[at..]);
        let end = out.len() - 4;
        out[end..].copy_from_slice(&self.crc.to_le_bytes());
    }
}

impl Encode for MessageHeader {
    fn encode(&self, out: &mut BytesMut, f: Features) {
        let m = &self.message;
        out.put_u64_le(self.seq);
        out.put_u64_le(m.tid);
        out.put_u16_le(m.kind.0);
        out.put_u16_le(m.priority);
        out.put_u16_le(m.version);
        out.put_u32_le(self.front_len);
        out.put_u32_le(self.middle_len);
        out.put_u32_le(self.data_len);
        out.put_u16_le(m.data_off);
        self.src.encode(out, f);
        out.put_u16_le(m.compat_version);
        out.put_u16_le(0);
        out.put_u32_le(self.crc);
    }
}

impl Decode for MessageHeader {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let (seq, tid) = (r.u64()?, r.u64()?);
        let (kind, priority, version) = (MessageType(r.u16()?), r.u16()?, r.u16()?);
        let (front_len, middle_len, data_len) = (r.u32()?, r.u32()?, r.u32()?);
        let data_off = r.u16()?;
        let src = EntityName::decode(r)?;
        let compat_version = r.u16()?;
        r.skip(2, "reserved")?;
        Ok(Self {
            seq,
            message: encoding::MessageHeader {
                tid,
                kind,
                priority,
                version,
                compat_version,
                data_off,
            },
            front_len,
            middle_len,
            data_len,
            src,
            crc: r.u32()?,
        })
    }
}

/// What follows a message: checksums and, between peers with MSG_AUTH, a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footer {
    /// Of the front.
    pub front_crc: u32,
    /// Of the middle.
    pub middle_crc: u32,
    /// Of the data.
    pub data_crc: u32,
    /// See [`Signer`](super::Signer); 0 without.
    pub sig: u64,
    /// [`COMPLETE`](Self::COMPLETE) and its like.
    pub flags: u8,
}

impl Footer {
    /// The message was sent to its end.
    pub const COMPLETE: u8 = 1;
    /// There is no checksum of the data.
    pub const NOCRC: u8 = 2;
    /// There is a signature.
    pub const SIGNED: u8 = 4;

    /// Bytes on the wire, with or without a field for the signature.
    #[must_use]
    pub const fn len(with_signature: bool) -> usize {
        if with_signature { 21 } else { 13 }
    }

    pub(super) fn encode(&self, with_signature: bool, out: &mut BytesMut) {
        out.put_u32_le(self.front_crc);
        out.put_u32_le(self.middle_crc);
        out.put_u32_le(self.data_crc);
        if with_signature {
            out.put_u64_le(self.sig);
        }
        out.put_u8(self.flags);
    }

    pub(super) fn decode(with_signature: bool, raw: &Bytes) -> codec::Result<Self> {
        let mut r = Reader::new(raw);
        Ok(Self {
            front_crc: r.u32()?,
            middle_crc: r.u32()?,
            data_crc: r.u32()?,
            sig: if with_signature { r.u64()? } else { 0 },
            flags: r.u8()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use encoding::RawMessage;

    use super::*;

    #[test]
    fn the_header_takes_53_bytes_and_round_trips() {
        let mut header = MessageHeader {
            seq: 1,
            message: RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::new())
                .with_tid(9)
                .header,
            front_len: 1,
            middle_len: 2,
            data_len: 3,
            src: EntityName::client(4100),
            crc: 0,
        };
        let mut bytes = BytesMut::new();
        header.seal(&mut bytes);
        let bytes = bytes.freeze();
        assert_eq!(bytes.len(), MessageHeader::LEN);
        assert_eq!(MessageHeader::from_bytes(&bytes), Ok(header));
        assert_eq!(MessageHeader::crc_of(&bytes), header.crc);
        for n in 0..bytes.len() {
            assert!(MessageHeader::from_bytes(&bytes.slice(..n)).is_err());
        }
    }

    #[test]
    fn footers_have_their_lengths_and_round_trip() {
        let footer = Footer {
            front_crc: 1,
            middle_crc: 2,
            data_crc: 3,
            sig: 0,
            flags: Footer::COMPLETE,
        };
        for signed in [false, true] {
            let mut bytes = BytesMut::new();
            footer.encode(signed, &mut bytes);
            assert_eq!(bytes.len(), Footer::len(signed));
            let bytes = bytes.freeze();
            assert_eq!(Footer::decode(signed, &bytes), Ok(footer));
            assert!(Footer::decode(signed, &bytes.slice(1..)).is_err());
        }
    }
}
