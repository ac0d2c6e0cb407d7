//! Zstandard as Ceph packs it (`src/compressor/zstd/ZstdCompressor.h`): the length, then a frame of zstd.

use bytes::{BufMut, Bytes, BytesMut};
use zstd::bulk;

use crate::error::Result;

use super::Bound;

/// `compressor_zstd_level`.
const LEVEL: i32 = 1;
/// A block of four bytes stands for 128 KiB at most.
const RATIO: u64 = 32 << 10;

/// Its tables take a megabyte: they are made when there is something to pack.
#[derive(Default)]
pub(super) struct Packer(Option<bulk::Compressor<'static>>);

impl Packer {
    pub(super) fn pack(&mut self, segment: &[u8]) -> Option<Bytes> {
        let packer = match &mut self.0 {
            Some(packer) => packer,
            empty => empty.insert(bulk::Compressor::new(LEVEL).ok()?),
        };
        let mut out = BytesMut::zeroed(4 + zstd::zstd_safe::compress_bound(segment.len()));
        let packed = packer.compress_to_buffer(segment, &mut out[4..]).ok()?;
        (&mut out[..4]).put_u32_le(u32::try_from(segment.len()).ok()?);
        out.truncate(4 + packed);
        Some(out.freeze())
    }
}

/// Unpacks into a buffer of the announced length, so that a frame's own idea of its window costs nothing.
#[derive(Default)]
pub(super) struct Unpacker(Option<bulk::Decompressor<'static>>);

impl Unpacker {
    /// None if it does not unpack.
    pub(super) fn unpack(&mut self, packed: &[u8], bound: Bound) -> Result<Option<Bytes>> {
        let Some((len, frame)) = packed.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*len);
        let Some(mut out) = bound.room(len.into(), frame.len(), RATIO)? else {
            return Ok(None);
        };
        let unpacker = match &mut self.0 {
            Some(unpacker) => unpacker,
            empty => match bulk::Decompressor::new() {
                Ok(fresh) => empty.insert(fresh),
                Err(_) => return Ok(None),
            },
        };
        let done = unpacker.decompress_to_buffer(frame, &mut out[..]).ok();
        Ok((done == Some(len as usize)).then(|| out.freeze()))
    }
}
