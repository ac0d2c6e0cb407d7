//! LZ4 as Ceph packs it (`src/compressor/lz4/LZ4Compressor.h`): a count of blocks, for each its length before and after, then the
//! blocks. Later blocks may refer to the bytes of earlier ones.

use bytes::{BufMut, Bytes, BytesMut};
use lz4_flex::block;

use crate::error::Result;

use super::Bound;

/// A byte of a block stands for at most so many.
const RATIO: u64 = 255;
/// Lengths of one block.
const PAIR: usize = 8;

/// One block, as Ceph makes it since Reef.
pub(super) fn pack(segment: &[u8]) -> Option<Bytes> {
    let head = 4 + PAIR;
    let mut out = BytesMut::zeroed(head + block::get_maximum_output_size(segment.len()));
    let packed = block::compress_into(segment, &mut out[head..]).ok()?;
    let mut lens = &mut out[..head];
    lens.put_u32_le(1);
    lens.put_u32_le(u32::try_from(segment.len()).ok()?);
    lens.put_u32_le(u32::try_from(packed).ok()?);
    out.truncate(head + packed);
    Some(out.freeze())
}

/// None if it does not unpack.
pub(super) fn unpack(packed: &[u8], bound: Bound) -> Result<Option<Bytes>> {
    let Some((lens, blocks)) = split(packed) else {
        return Ok(None);
    };
    let total = pairs(lens).map(|(len, _)| u64::from(len)).sum();
    let Some(mut out) = bound.room(total, blocks.len(), RATIO)? else {
        return Ok(None);
    };
    let (mut blocks, mut done) = (blocks, 0);
    for (len, block_len) in pairs(lens) {
        let Some((block, rest)) = blocks.split_at_checked(block_len as usize) else {
            return Ok(None);
        };
        let (before, after) = out.split_at_mut(done);
        let Some(room) = after.get_mut(..len as usize) else {
            return Ok(None);
        };
        // What a block refers to lies in the last 64 KiB.
        let dictionary = &before[before.len().saturating_sub(64 << 10)..];
        if block::decompress_into_with_dict(block, room, dictionary).ok() != Some(len as usize) {
            return Ok(None);
        }
        blocks = rest;
        done += len as usize;
    }
    Ok(blocks.is_empty().then(|| out.freeze()))
}

/// The lengths, and the blocks behind them.
fn split(packed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = packed.split_first_chunk::<4>()?;
    let lens = usize::try_from(u32::from_le_bytes(*count))
        .ok()?
        .checked_mul(PAIR)?;
    rest.split_at_checked(lens)
}

/// Length before and after, of each block.
fn pairs(lens: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let word =
        |raw: &[u8; PAIR], at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    lens.as_chunks::<PAIR>()
        .0
        .iter()
        .map(move |raw| (word(raw, 0), word(raw, 4)))
}
