//! How long segments may be, and how long a frame is on the wire.

use crate::error::{Misbehaved, Result};

use super::{
    banner::Revision,
    preamble::{MAX_SEGMENTS, PREAMBLE_LEN, Preamble, Tag},
};

/// Bounds on what a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Control frames and message headers, in bytes.
    pub control: u32,
    /// A message's front, in bytes.
    pub front: u32,
    /// A message's middle, in bytes.
    pub middle: u32,
    /// A message's data, in bytes.
    pub data: u32,
}

impl Limits {
    /// Everything a peer may send before it is authenticated, all frames together, in bytes.
    pub const HANDSHAKE: usize = 64 << 10;

    pub(super) const UNAUTHENTICATED: Self = Self {
        control: 48 << 10,
        front: 0,
        middle: 0,
        data: 0,
    };

    /// The bounds of a frame's segments.
    pub(super) fn bounds(&self) -> [u32; MAX_SEGMENTS] {
        [self.control, self.front, self.middle, self.data]
    }

    pub(super) fn check(&self, preamble: &Preamble) -> Result<()> {
        for (segment, (len, max)) in preamble.lens().zip(self.bounds()).enumerate() {
            if len > max {
                return Err(Misbehaved::SegmentTooLong { segment, len, max }.into());
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control: 64 << 10,
            front: 16 << 20,
            middle: 1 << 20,
            data: 256 << 20,
        }
    }
}

/// `CRYPTO_BLOCK_SIZE`.
pub(super) const BLOCK: usize = 16;
/// AES-GCM's tag.
pub(super) const TAG_LEN: usize = 16;
/// `FRAME_PREAMBLE_INLINE_SIZE`: what of the first segment is encrypted with the preamble.
pub(super) const INLINE: usize = 48;
/// Preamble, inline part and tag in secure mode.
pub(super) const SECURE_HEAD: usize = PREAMBLE_LEN + INLINE + TAG_LEN;
/// `epilogue_crc_rev1_block_t`.
pub(super) const CRC_EPILOGUE: usize = 13;
/// `epilogue_crc_rev0_block_t`.
pub(super) const CRC_EPILOGUE_V20: usize = 17;
/// `epilogue_secure_rev1_block_t`, without its tag.
pub(super) const SECURE_EPILOGUE: usize = BLOCK;
/// Number of the segment with a message's data.
pub(super) const DATA: usize = 3;
/// Checksum behind the first segment.
pub(super) const CRC_LEN: usize = 4;

/// A length with its padding in secure mode.
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(BLOCK)
}

/// Bytes of the checksum that stands right behind the first segment of a crc frame.
pub(super) fn crc_of_first(preamble: &Preamble, revision: Revision) -> usize {
    match revision {
        Revision::V20 => 0,
        _ if preamble.segments[0].0 == 0 => 0,
        _ => CRC_LEN,
    }
}

/// Bytes behind the head of a crc frame.
pub(super) fn crc_rest(preamble: &Preamble, revision: Revision) -> usize {
    let segments: usize = preamble.lens().map(|l| l as usize).sum();
    if revision == Revision::V20 {
        return segments + CRC_EPILOGUE_V20;
    }
    let first = crc_of_first(preamble, revision);
    segments + first + if preamble.count > 1 { CRC_EPILOGUE } else { 0 }
}

/// Bytes behind the head of a secure frame: the first segment's remainder, then all others.
pub(super) fn secure_rest(preamble: &Preamble) -> (usize, usize) {
    let first = padded(preamble.segments[0].0 as usize);
    let first = if first > INLINE {
        first - INLINE + TAG_LEN
    } else {
        0
    };
    let others = match preamble.count {
        1 => 0,
        _ => preamble.lens().skip(1).map(|l| padded(l as usize)).sum::<usize>() + SECURE_EPILOGUE + TAG_LEN,
    };
    (first, others)
}

/// Alignment that is announced for a segment.
pub(super) fn alignment(tag: Tag, segment: usize) -> u16 {
    match (tag, segment) {
        (Tag::MESSAGE, DATA) => 4096,
        _ => 8,
    }
}
