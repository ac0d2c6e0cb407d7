//! On-wire compression of v2.1 (Ceph `src/msg/async/compression_onwire.cc`, `src/msg/compressor_registry.cc` and the plugins in
//! `src/compressor`): which algorithm both sides agree on, and how segments are packed with it.
//!
//! A frame is compressed as a whole or not at all; each of its segments is packed on its own, in order, before it is
//! checksummed or encrypted. Empty segments stay empty.

mod lz4;
mod snappy;
mod zstd;

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{
    auth::ConMode,
    error::{Malformed, Misbehaved, Result},
};

/// `Compressor::CompressionAlgorithm`. Open: what is not known here is told by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithm(pub u32);

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl Algorithm {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Ceph's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($value => $text,)* _ => "unknown" }
            }

            /// The algorithm of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

algorithms! {
    /// No compression.
    NONE = 0, "none";
    /// Snappy's raw format.
    SNAPPY = 1, "snappy";
    /// Deflate. Not spoken here: the slowest of all, and its window bits travel outside of the data.
    ZLIB = 2, "zlib";
    /// Zstandard.
    ZSTD = 3, "zstd";
    /// LZ4 blocks.
    LZ4 = 4, "lz4";
}

impl Algorithm {
    /// Those that are spoken here.
    pub const SPOKEN: [Self; 3] = [Self::LZ4, Self::ZSTD, Self::SNAPPY];
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "Algorithm({})", self.0),
            name => f.write_str(name),
        }
    }
}

/// Whether frames are compressed (`ms_osd_compress_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompressionMode {
    /// Never; it is not announced in the banner either.
    #[default]
    None,
    /// With each peer that wants it, too.
    Force,
}

/// A side's settings. Off by default, as with Ceph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Whether at all.
    pub mode: CompressionMode,
    /// What is allowed, in a client's order of preference (`ms_osd_compression_algorithm`).
    pub algorithms: Vec<Algorithm>,
    /// Frames whose segments have less than so many bytes together are sent as they are
    /// (`ms_osd_compress_min_size`).
    pub min_size: usize,
    /// In secure mode, too (`ms_compress_secure`): the lengths of encrypted frames then tell something of
    /// what is in them.
    pub in_secure_mode: bool,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            mode: CompressionMode::None,
            algorithms: Algorithm::SPOKEN.to_vec(),
            min_size: 1024,
            in_secure_mode: false,
        }
    }
}

impl Compression {
    /// Whether it is announced in the banner.
    pub(super) fn is_announced(&self) -> bool {
        self.mode == CompressionMode::Force
    }

    /// Whether frames protected in that mode may be compressed.
    pub(super) fn allows(&self, mode: ConMode) -> bool {
        self.is_announced() && (mode != ConMode::SECURE || self.in_secure_mode)
    }

    /// The first of what a peer would like that is allowed and spoken here.
    pub(super) fn pick(&self, wanted: &[u32]) -> Option<Algorithm> {
        let allowed = |a: &Algorithm| self.algorithms.contains(a) && Algorithm::SPOKEN.contains(a);
        wanted.iter().map(|method| Algorithm(*method)).find(allowed)
    }
}

/// Packs the segments of frames.
pub(super) struct Compressor {
    packer: Packer,
    min_size: usize,
}

enum Packer {
    Lz4,
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::Packer),
}

impl Compressor {
    /// None if the algorithm is not spoken here.
    pub(super) fn new(algorithm: Algorithm, min_size: usize) -> Option<Self> {
        let packer = match algorithm {
            Algorithm::LZ4 => Packer::Lz4,
            Algorithm::SNAPPY => Packer::Snappy(Box::new(snap::raw::Encoder::new())),
            Algorithm::ZSTD => Packer::Zstd(zstd::Packer::default()),
            _ => return None,
        };
        Some(Self { packer, min_size })
    }

    /// A frame's segments packed. None if it is to be sent as it is.
    pub(super) fn frame(&mut self, first: &[u8], others: [&[Bytes]; 3]) -> Option<[Bytes; 4]> {
        let len = first.len()
            + others
                .iter()
                .flat_map(|s| s.iter())
                .map(Bytes::len)
                .sum::<usize>();
        if len < self.min_size || len == 0 {
            return None;
        }
        let [middle, data, rest] = others;
        Some([
            self.segment(first)?,
            self.pieces(middle)?,
            self.pieces(data)?,
            self.pieces(rest)?,
        ])
    }

    fn pieces(&mut self, pieces: &[Bytes]) -> Option<Bytes> {
        match pieces {
            [one] => self.segment(one),
            many => self.segment(&many.concat()),
        }
    }

    fn segment(&mut self, segment: &[u8]) -> Option<Bytes> {
        if segment.is_empty() {
            return Some(Bytes::new());
        }
        match &mut self.packer {
            Packer::Lz4 => lz4::pack(segment),
            Packer::Snappy(encoder) => encoder.compress_vec(segment).ok().map(Bytes::from),
            Packer::Zstd(packer) => packer.pack(segment),
        }
    }
}

/// Unpacks the segments of frames.
pub(super) struct Decompressor {
    algorithm: Algorithm,
    zstd: zstd::Unpacker,
}

impl Decompressor {
    /// None if the algorithm is not spoken here.
    pub(super) fn new(algorithm: Algorithm) -> Option<Self> {
        Algorithm::SPOKEN.contains(&algorithm).then(|| Self {
            algorithm,
            zstd: zstd::Unpacker::default(),
        })
    }

    /// The segment that `packed` holds, which must not be longer than `max` bytes. Nothing is allocated for a
    /// length that is longer, or that so many packed bytes cannot come to.
    pub(super) fn segment(&mut self, number: usize, packed: &[u8], max: u32) -> Result<Bytes> {
        if packed.is_empty() {
            return Ok(Bytes::new());
        }
        let bound = Bound { number, max };
        let unpacked = match self.algorithm {
            Algorithm::LZ4 => lz4::unpack(packed, bound)?,
            Algorithm::SNAPPY => snappy::unpack(packed, bound)?,
            _ => self.zstd.unpack(packed, bound)?,
        };
        unpacked.ok_or_else(|| Malformed::Compressed(self.algorithm.name()).into())
    }
}

/// How long a segment may be.
#[derive(Clone, Copy)]
struct Bound {
    number: usize,
    max: u32,
}

impl Bound {
    /// Room for `len` bytes, if that many are allowed; None if `packed` bytes cannot come to as many, each at most to
    /// `ratio`.
    fn room(self, len: u64, packed: usize, ratio: u64) -> Result<Option<BytesMut>> {
        if len > u64::from(self.max) {
            return Err(Misbehaved::SegmentTooLong {
                segment: self.number,
                len: u32::try_from(len).unwrap_or(u32::MAX),
                max: self.max,
            }
            .into());
        }
        if len > (packed as u64).saturating_mul(ratio) {
            return Ok(None);
        }
        Ok(usize::try_from(len).ok().map(BytesMut::zeroed))
    }
}

#[cfg(test)]
mod tests;
