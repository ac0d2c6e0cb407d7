//! The header of a MESSAGE frame (`ceph_msg_header2` in Ceph `src/include/msgr.h`).

use bytes::{BufMut, BytesMut};
use encoding::{Decode, Encode, Features, MessageHeader, MessageType, RawMessage, Reader, codec, pieces};

use super::frame::Frame;

/// A message's header on the wire, 41 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHeader2 {
    /// Number of the message in its session, from 1.
    pub seq: u64,
    /// The last message received, by number.
    pub ack_seq: u64,
    /// Flags of the footer.
    pub flags: u8,
    /// What the message decides itself.
    pub message: MessageHeader,
}

impl Encode for MessageHeader2 {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        let m = &self.message;
        out.put_u64_le(self.seq);
        out.put_u64_le(m.tid);
        out.put_u16_le(m.kind.0);
        out.put_u16_le(m.priority);
        out.put_u16_le(m.version);
        out.put_u32_le(0);
        out.put_u16_le(m.data_off);
        out.put_u64_le(self.ack_seq);
        out.put_u8(self.flags);
        out.put_u16_le(m.compat_version);
        out.put_u16_le(0);
    }
}

impl Decode for MessageHeader2 {
    fn decode(r: &mut Reader<'_>) -> codec::Result<Self> {
        let (seq, tid) = (r.u64()?, r.u64()?);
        let (kind, priority, version) = (MessageType(r.u16()?), r.u16()?, r.u16()?);
        r.skip(4, "data_pre_padding_len")?;
        let data_off = r.u16()?;
        let (ack_seq, flags, compat_version) = (r.u64()?, r.u8()?, r.u16()?);
        r.skip(2, "reserved")?;
        Ok(Self {
            seq,
            ack_seq,
            flags,
            message: MessageHeader {
                tid,
                kind,
                priority,
                version,
                compat_version,
                data_off,
            },
        })
    }
}

/// Header and message of a MESSAGE frame.
pub(super) fn of_frame(frame: Frame) -> codec::Result<(MessageHeader2, RawMessage)> {
    let [header, front, middle, data] = frame.segments;
    let header = MessageHeader2::decode(&mut Reader::new(&header))?;
    let message = RawMessage {
        header: header.message,
        front,
        middle,
        data: pieces(data),
    };
    Ok((header, message))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_header_takes_41_bytes_and_round_trips() {
        let header = MessageHeader2 {
            seq: 1,
            ack_seq: 2,
            flags: 1,
            message: RawMessage::new(MessageType::OSD_OP, 8, 3, Bytes::new())
                .with_tid(9)
                .header,
        };
        let bytes = header.to_bytes(Features::ALL);
        assert_eq!(bytes.len(), 41);
        assert_eq!(MessageHeader2::from_bytes(&bytes), Ok(header));
        for n in 0..bytes.len() {
            assert!(MessageHeader2::from_bytes(&bytes.slice(..n)).is_err());
        }
    }
}
