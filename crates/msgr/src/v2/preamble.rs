//! The preamble: tag and segment lengths of a frame, with a checksum of its own (`preamble_block_t`).

use bytes::{BufMut, BytesMut};
use encoding::codec::ceph_crc32c;

use crate::error::{Malformed, Result};

/// Length of a preamble.
pub(super) const PREAMBLE_LEN: usize = 32;
/// `MAX_NUM_SEGMENTS`.
pub(super) const MAX_SEGMENTS: usize = 4;
/// `FRAME_EARLY_DATA_COMPRESSED`.
const FLAG_COMPRESSED: u8 = 1;

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// What a frame is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)]
        #[repr(u8)]
        pub enum Tag {
            $($(#[$doc])* $name = $value,)*
        }

        impl Tag {
            /// Ceph's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// All tags.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            fn of(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

tags! {
    /// Both: own type, and the address the peer is seen at.
    HELLO = 1,
    /// Client: method, modes, first payload.
    AUTH_REQUEST = 2,
    /// Server: refused; what would be allowed.
    AUTH_BAD_METHOD = 3,
    /// Server: payload, the exchange goes on.
    AUTH_REPLY_MORE = 4,
    /// Client: payload, the exchange goes on.
    AUTH_REQUEST_MORE = 5,
    /// Server: authenticated.
    AUTH_DONE = 6,
    /// Both: HMAC of the bytes seen so far.
    AUTH_SIGNATURE = 7,
    /// Client: addresses and features.
    CLIENT_IDENT = 8,
    /// Server: addresses and features; the session begins.
    SERVER_IDENT = 9,
    /// Server: the client lacks features.
    IDENT_MISSING_FEATURES = 10,
    /// Client: resume a session.
    SESSION_RECONNECT = 11,
    /// Server: there is no such session.
    SESSION_RESET = 12,
    /// Server: stale connect sequence.
    SESSION_RETRY = 13,
    /// Server: stale global sequence.
    SESSION_RETRY_GLOBAL = 14,
    /// Server: the session is resumed.
    SESSION_RECONNECT_OK = 15,
    /// Server: wait for the other connection.
    WAIT = 16,
    /// Both: a message.
    MESSAGE = 17,
    /// Both: are you there?
    KEEPALIVE2 = 18,
    /// Both: yes.
    KEEPALIVE2_ACK = 19,
    /// Both: messages received.
    ACK = 20,
    /// Client: compression wanted.
    COMPRESSION_REQUEST = 21,
    /// Server: compression chosen.
    COMPRESSION_DONE = 22,
}

/// A frame's preamble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// What the frame is.
    pub tag: Tag,
    /// How many segments, 1 to 4.
    pub count: usize,
    /// The segments are compressed; their lengths are those on the wire.
    pub compressed: bool,
    /// Length and alignment of each segment; zero beyond `count`.
    pub segments: [(u32, u16); MAX_SEGMENTS],
}

impl Preamble {
    /// The lengths of the segments present.
    pub fn lens(&self) -> impl Iterator<Item = u32> {
        self.segments.iter().take(self.count).map(|s| s.0)
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        let at = out.len();
        out.put_u8(self.tag as u8);
        // At most four.
        out.put_u8(self.count as u8);
        for (len, align) in self.segments {
            out.put_u32_le(len);
            out.put_u16_le(align);
        }
        out.put_u8(if self.compressed { FLAG_COMPRESSED } else { 0 });
        out.put_u8(0);
        let crc = ceph_crc32c(0, &out[at..]);
        out.put_u32_le(crc);
    }

    /// Reads a preamble and checks all that can be checked without the frame.
    pub fn parse(raw: &[u8; PREAMBLE_LEN]) -> Result<Self> {
        let crc = u32::from_le_bytes([raw[28], raw[29], raw[30], raw[31]]);
        if ceph_crc32c(0, &raw[..28]) != crc && cfg!(not(fuzzing)) {
            return Err(Malformed::PreambleCrc.into());
        }
        let count = usize::from(raw[1]);
        if count == 0 || count > MAX_SEGMENTS {
            return Err(Malformed::SegmentCount(raw[1]).into());
        }
        let mut segments = [(0, 0); MAX_SEGMENTS];
        let on_wire = raw[2..26].as_chunks::<6>().0;
        for (segment, b) in segments.iter_mut().zip(on_wire).take(count) {
            *segment = (
                u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
                u16::from_le_bytes([b[4], b[5]]),
            );
        }
        if count > 1 && segments[count - 1].0 == 0 {
            return Err(Malformed::EmptyLastSegment.into());
        }
        let tag = Tag::of(raw[0]).ok_or(Malformed::UnknownTag(raw[0]))?;
        if tag != Tag::MESSAGE && count != 1 {
            return Err(Malformed::ControlSegments(count).into());
        }
        Ok(Self {
            tag,
            count,
            compressed: raw[26] & FLAG_COMPRESSED != 0,
            segments,
        })
    }
}
