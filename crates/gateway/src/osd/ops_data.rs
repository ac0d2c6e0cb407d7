//! Ops on an object's data.

use bytes::{Bytes, BytesMut};
use cls::ObjectContext;
use encoding::{
    Errno, pieces,
    types::{OpArgs, OpCode, OsdOp},
};

use super::{
    context::{Context, MAX_OBJECT_SIZE, check_range},
    ops::{Failure, OpResult},
};

/// Errors beyond this are offsets: `MAX_ERRNO` in Ceph `src/include/rados/librados.h`.
const MAX_ERRNO: u64 = 4095;

/// A byte range with its truncation, as ops carry it.
#[derive(Clone, Copy)]
pub(super) struct Range {
    /// Offset in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    truncate_size: u64,
    truncate_seq: u32,
}

impl Range {
    /// The range of an op.
    pub(super) fn of(op: &OsdOp) -> Result<Self, Failure> {
        let OpArgs::Extent {
            offset,
            length,
            truncate_size,
            truncate_seq,
        } = op.args()
        else {
            return Err(Errno::EINVAL.into());
        };
        Ok(Self {
            offset,
            length,
            truncate_size,
            truncate_seq,
        })
    }

    fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    /// The object's size as this reader must see it: a truncation that it knows of may not have arrived yet.
    pub(super) fn size_for_reader(&self, ctx: &Context<'_>) -> u64 {
        let size = ctx.state.size;
        let ahead = ctx.state.truncate_seq < self.truncate_seq && self.end() > self.truncate_size;
        if ahead { size.min(self.truncate_size) } else { size }
    }

    /// The part of the range within `size`.
    pub(super) fn clip(&self, size: u64) -> u64 {
        size.saturating_sub(self.offset).min(self.length)
    }
}

/// READ: a length of zero means the whole object.
pub(super) fn read(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let mut range = Range::of(op)?;
    let size = range.size_for_reader(ctx);
    if range.length == 0 {
        range.length = size;
    }
    let len = range.clip(size);
    let data = if len == 0 {
        Bytes::new()
    } else {
        ctx.read_within(range.offset, len)?
    };
    set_extent_length(op, len);
    op.outdata = pieces(data);
    Ok(0)
}

/// Old kernels say "no truncation" by sequence number 1 and the largest size: that becomes none.
pub(super) fn forget_no_truncation(op: &mut OsdOp) {
    if let OpArgs::Extent {
        truncate_size: u64::MAX,
        truncate_seq: 1,
        ..
    } = op.args()
    {
        op.union[16..28].fill(0);
    }
}

/// Puts the length that was served into the op's arguments, where a reply has it.
pub(super) fn set_extent_length(op: &mut OsdOp, length: u64) {
    op.union[8..16].copy_from_slice(&length.to_le_bytes());
}

/// CMPEXT: fails with the offset of the first difference, counted from the range's start.
pub(super) fn cmpext(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let range = Range::of(op)?;
    let len = range.clip(range.size_for_reader(ctx));
    set_extent_length(op, len);
    if !ctx.state.exists {
        return compare(&op.indata, &[]);
    }
    let data = if len == 0 {
        Bytes::new()
    } else {
        ctx.read_within(range.offset, len)?
    };
    compare(&op.indata, &data)
}

/// Bytes behind the end of what is stored count as zeros.
fn compare(wanted: &[u8], stored: &[u8]) -> OpResult {
    let stored = stored.iter().copied().chain(std::iter::repeat(0));
    match wanted.iter().zip(stored).position(|(a, b)| *a != b) {
        None => Ok(0),
        Some(at) => Err(Failure(
            i32::try_from(MAX_ERRNO + at as u64).map_or(i32::MIN, |n| -n),
        )),
    }
}

/// WRITE, ordered against truncations by their sequence numbers.
pub(super) fn write(ctx: &mut Context<'_>, op: &mut OsdOp) -> OpResult {
    let mut range = Range::of(op)?;
    let mut data = op.indata.clone();
    if range.length != data.len() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let seq = ctx.state.truncate_seq;
    let is_late = ctx.cut_late_write(range.truncate_seq, range.offset, &mut data);
    if is_late {
        range.length = data.len() as u64;
        set_extent_length(op, range.length);
    }
    check_range(range.offset, range.length)?;
    if range.truncate_seq > seq {
        if ctx.state.exists && range.truncate_size != ctx.state.size {
            check_range(range.truncate_size, 0)?;
            ctx.stage_truncate(range.truncate_size);
        }
        ctx.touch();
        ctx.state.truncate_seq = range.truncate_seq;
        ctx.state.truncate_size = range.truncate_size;
    }
    ctx.stage_any_write(range.offset, data, is_late);
    Ok(0)
}

/// WRITEFULL: the data becomes the whole object.
pub(super) fn write_full(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let range = Range::of(op)?;
    if range.length != op.indata.len() as u64 {
        return Err(Errno::EINVAL.into());
    }
    ctx.write_full(op.indata.clone())?;
    Ok(0)
}

/// WRITESAME: a pattern repeated over a range.
pub(super) fn write_same(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let OpArgs::WriteSame {
        offset,
        length,
        data_length,
    } = op.args()
    else {
        return Err(Errno::EINVAL.into());
    };
    if length == 0 {
        return Ok(0);
    }
    let pattern = &op.indata;
    if data_length == 0 || !length.is_multiple_of(data_length) || data_length != pattern.len() as u64 {
        return Err(Errno::EINVAL.into());
    }
    // Bounded before anything is allocated: the pattern may be one byte, the range the whole object.
    check_range(offset, length)?;
    let mut data = match pattern.iter().all(|b| *b == 0) {
        true => BytesMut::zeroed(length as usize).freeze(),
        false => pattern.repeat((length / data_length) as usize).into(),
    };
    let is_late = ctx.cut_late_write(0, offset, &mut data);
    ctx.stage_any_write(offset, data, is_late);
    Ok(0)
}

/// APPEND: a write at the end.
pub(super) fn append(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let range = Range::of(op)?;
    if range.length != op.indata.len() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let end = ctx.state.size;
    check_range(end, range.length)?;
    ctx.touch();
    if range.length > 0 {
        ctx.stage_write(end, op.indata.clone());
    }
    Ok(0)
}

/// Whether an op is a ZERO up to the object's end or beyond.
fn zeroes_to_end(ctx: &Context<'_>, range: &Range) -> bool {
    ctx.state.recorded()
        && range.offset < MAX_OBJECT_SIZE
        && (1..=MAX_OBJECT_SIZE).contains(&range.length)
        && range.end() >= ctx.state.size
}

/// Whether an op is a ZERO that lies behind the object's end, be it one that was removed: Ceph does not even look
/// at it.
pub(super) fn is_idle_zero(ctx: &Context<'_>, op: &OsdOp) -> bool {
    let behind = |range: &Range| zeroes_to_end(ctx, range) && range.offset >= ctx.state.size;
    op.op == OpCode::ZERO && Range::of(op).as_ref().is_ok_and(behind)
}

/// ZERO: reaches no further than the object; up to its end it becomes a truncation.
pub(super) fn zero(ctx: &mut Context<'_>, op: &mut OsdOp) -> OpResult {
    let range = Range::of(op)?;
    if zeroes_to_end(ctx, &range) {
        if range.offset < ctx.state.size {
            op.op = OpCode::TRUNCATE;
            truncate_to(ctx, range.offset, range)?;
        }
        return Ok(0);
    }
    ctx.zero(range.offset, range.length)?;
    Ok(0)
}

/// TRUNCATE and TRIMTRUNC: of an object that does not exist, nothing.
pub(super) fn truncate(ctx: &mut Context<'_>, op: &mut OsdOp) -> OpResult {
    let range = Range::of(op)?;
    let mut offset = range.offset;
    if op.op == OpCode::TRIMTRUNC {
        offset = range.truncate_size;
        op.union[..8].copy_from_slice(&offset.to_le_bytes());
    }
    truncate_to(ctx, offset, range)?;
    Ok(0)
}

fn truncate_to(ctx: &mut Context<'_>, offset: u64, range: Range) -> Result<(), Failure> {
    if !ctx.state.exists {
        return Ok(());
    }
    check_range(offset, 0)?;
    if range.truncate_seq != 0 {
        if offset != range.truncate_size {
            return Err(Errno::EINVAL.into());
        }
        if range.truncate_seq <= ctx.state.truncate_seq {
            return Ok(());
        }
        ctx.state.truncate_seq = range.truncate_seq;
        ctx.state.truncate_size = range.truncate_size;
    }
    ctx.stage_truncate(offset);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmpext_tells_where_the_first_difference_is() {
        assert_eq!(compare(b"abc", b"abcd"), Ok(0));
        assert_eq!(compare(b"ab\0\0", b"ab"), Ok(0));
        assert_eq!(compare(b"abc", b"abd"), Err(Failure(-4097)));
        assert_eq!(compare(b"x", b""), Err(Failure(-4095)));
    }
}
