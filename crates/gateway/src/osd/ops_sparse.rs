//! SPARSE_READ and MAPEXT: where an object has data.
//!
//! A hole is what reads as zeros, in blocks of 4 KiB: what was never written, discarded or zeroed. Looking at the
//! bytes costs no system call and no bookkeeping, and tells the same after a restart. Zeros that were written are
//! holes too, which no reader can tell from the others.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::types::OsdOp;

use super::{
    context::Context,
    ops::OpResult,
    ops_data::{Range, set_extent_length},
};

/// The blocks in which holes are found, `bluestore_min_alloc_size` in bytes.
const BLOCK: u64 = 4096;

/// SPARSE_READ: a map of extents, then their bytes.
pub(super) fn sparse_read(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    ctx.must_be_recorded()?;
    let range = Range::of(op)?;
    let data = read(ctx, &range, range.size_for_reader(ctx))?;
    let extents = data_extents(range.offset, &data, BLOCK);
    let total = extents.iter().map(|(_, len)| len).sum();
    let mut head = extent_map(&extents);
    head.put_u32_le(encoding::codec::wire_len(total as usize));
    set_extent_length(op, total);
    let piece = |(at, len): &(u64, u64)| {
        let from = (at - range.offset) as usize;
        data.slice(from..from + *len as usize)
    };
    op.outdata = std::iter::once(head.freeze())
        .chain(extents.iter().map(piece))
        .collect();
    Ok(0)
}

/// MAPEXT: the map of extents alone.
pub(super) fn mapext(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    ctx.must_be_recorded()?;
    let range = Range::of(op)?;
    let data = read(ctx, &range, ctx.state.size)?;
    op.outdata = [extent_map(&data_extents(range.offset, &data, BLOCK)).freeze()].into();
    Ok(0)
}

fn read(ctx: &Context<'_>, range: &Range, size: u64) -> Result<Bytes, encoding::Errno> {
    match range.clip(size) {
        0 => Ok(Bytes::new()),
        len => ctx.read_within(range.offset, len),
    }
}

/// Where the bytes, which begin at `offset`, are not zeros: offsets and lengths, by blocks of `grain` bytes.
pub(super) fn data_extents(offset: u64, data: &[u8], grain: u64) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    let mut at = offset;
    let end = offset + data.len() as u64;
    while at < end {
        let next = ((at / grain + 1) * grain).min(end);
        let block = &data[(at - offset) as usize..(next - offset) as usize];
        if !is_zero(block) {
            match found.last_mut() {
                Some((start, len)) if *start + *len == at => *len += next - at,
                _ => found.push((at, next - at)),
            }
        }
        at = next;
    }
    found
}

/// Compared with zeros in pieces: that is the platform's memcmp, which ends at the first difference.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|piece| *piece == ZEROS[..piece.len()])
}

fn extent_map(extents: &[(u64, u64)]) -> BytesMut {
    let mut out = BytesMut::with_capacity(8 + extents.len() * 16);
    out.put_u32_le(encoding::codec::wire_len(extents.len()));
    for (offset, len) in extents {
        out.put_u64_le(*offset);
        out.put_u64_le(*len);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_whole_blocks_of_zeros_and_what_the_range_has_of_them() {
        let mut data = vec![0; 20000];
        data[5000] = 1;
        data[8192] = 1;
        // The range begins in the middle of a block of the object.
        assert_eq!(data_extents(100, &data, 4096), [(4096, 8192)]);
        assert_eq!(data_extents(0, &data, 4096), [(4096, 8192)]);
        data[0] = 1;
        data[19999] = 1;
        assert_eq!(
            data_extents(100, &data, 4096),
            [(100, 12188), (16384, 20100 - 16384)]
        );
        assert_eq!(data_extents(7, &[], 4096), []);
    }
}
