//! Ops on an object's data.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use cls::ObjectContext;
use encoding::{
    Encode, Errno, Features, Put, Reader,
    types::{OpArgs, OsdOp},
};

use super::{
    context::{Context, MAX_OBJECT_SIZE, check_range},
    ops::{Failure, OpResult},
};

/// Errors beyond this are offsets: `MAX_ERRNO` in Ceph `src/include/rados/librados.h`.
const MAX_ERRNO: u64 = 4095;

/// A byte range with its truncation, as ops carry it.
#[derive(Clone, Copy)]
struct Range {
    offset: u64,
    length: u64,
    truncate_size: u64,
    truncate_seq: u32,
}

impl Range {
    fn of(op: &OsdOp) -> Result<Self, Failure> {
        let OpArgs::Extent {
            offset,
            length,
            truncate_size,
            truncate_seq,
        } = op.args()
        else {
            return Err(Errno::EINVAL.into());
        };
        // Old kernels say "no truncation" this way.
        let none = truncate_seq == 1 && truncate_size == u64::MAX;
        let (truncate_size, truncate_seq) = if none {
            (0, 0)
        } else {
            (truncate_size, truncate_seq)
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
    fn size_for_reader(&self, ctx: &Context<'_>) -> u64 {
        let size = ctx.state.size;
        let ahead = ctx.state.truncate_seq < self.truncate_seq && self.end() > self.truncate_size;
        if ahead { size.min(self.truncate_size) } else { size }
    }

    /// The part of the range within `size`.
    fn clip(&self, size: u64) -> u64 {
        size.saturating_sub(self.offset).min(self.length)
    }
}

/// READ: a length of zero means the whole object.
pub fn read(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
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
    op.outdata = if data.is_empty() { Vec::new() } else { vec![data] };
    Ok(0)
}

/// SPARSE_READ: a map of extents, then their bytes. Holes are not looked for: the range is one extent.
pub fn sparse_read(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let range = Range::of(op)?;
    let len = range.clip(range.size_for_reader(ctx));
    let data = if len == 0 {
        Bytes::new()
    } else {
        ctx.read_within(range.offset, len)?
    };
    let mut head = extent_map(range.offset, len);
    head.put_u32_le(encoding::codec::wire_len(data.len()));
    set_extent_length(op, len);
    op.outdata = vec![head.freeze(), data];
    Ok(0)
}

/// MAPEXT: the map of extents alone.
pub fn mapext(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let range = Range::of(op)?;
    let range = Range {
        length: if range.length == 0 {
            ctx.state.size
        } else {
            range.length
        },
        ..range
    };
    op.outdata = vec![extent_map(range.offset, range.clip(ctx.state.size)).freeze()];
    Ok(0)
}

fn extent_map(offset: u64, len: u64) -> BytesMut {
    let mut out = BytesMut::with_capacity(32);
    out.put_u32_le(u32::from(len > 0));
    if len > 0 {
        out.put_u64_le(offset);
        out.put_u64_le(len);
    }
    out
}

fn set_extent_length(op: &mut OsdOp, length: u64) {
    op.union[8..16].copy_from_slice(&length.to_le_bytes());
}

/// CHECKSUM: crc32c of each chunk of a range. The xxhash kinds are not there.
pub fn checksum(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    const CRC32C: u8 = 2;
    let OpArgs::Checksum {
        offset,
        length,
        chunk_size,
        kind,
    } = op.args()
    else {
        return Err(Errno::EINVAL.into());
    };
    if kind != CRC32C {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let seed = Reader::new(&op.indata).u32()?;
    let size = ctx.state.size;
    let length = if offset == 0 && length == 0 { size } else { length };
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(Errno::EOVERFLOW.into());
    }
    let chunk = if chunk_size == 0 {
        length
    } else {
        chunk_size.into()
    };
    if chunk != 0 && !length.is_multiple_of(chunk) {
        return Err(Errno::EINVAL.into());
    }
    let data = if length == 0 {
        Bytes::new()
    } else {
        ctx.read_within(offset, length)?
    };
    let sums: Vec<u32> = match chunk {
        0 => Vec::new(),
        n => data
            .chunks(n as usize)
            .map(|c| encoding::codec::ceph_crc32c(seed, c))
            .collect(),
    };
    let mut out = BytesMut::new();
    out.put_vec(sums.iter(), Features::ALL);
    op.outdata = vec![out.freeze()];
    Ok(0)
}

/// CMPEXT: fails with the offset of the first difference, counted from the range's start.
pub fn cmpext(ctx: &Context<'_>, op: &OsdOp) -> OpResult {
    let range = Range::of(op)?;
    if !ctx.state.exists {
        return compare(&op.indata, &[]);
    }
    let len = range.clip(range.size_for_reader(ctx));
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
pub fn write(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let mut range = Range::of(op)?;
    let mut data = op.indata.clone();
    if range.length != data.len() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let seq = ctx.state.truncate_seq;
    let late = seq != 0 && seq > range.truncate_seq;
    if late && range.end() > ctx.state.size {
        // The write was sent before a truncation that has arrived already.
        range.length = range.clip(ctx.state.size);
        data.truncate(range.length as usize);
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
    ctx.touch();
    if !data.is_empty() {
        ctx.stage_write(range.offset, data);
    } else if range.offset > ctx.state.size && !late {
        ctx.stage_truncate(range.offset);
    }
    Ok(0)
}

/// WRITEFULL: the data becomes the whole object.
pub fn write_full(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let range = Range::of(op)?;
    if range.length != op.indata.len() as u64 {
        return Err(Errno::EINVAL.into());
    }
    ctx.write_full(op.indata.clone())?;
    Ok(0)
}

/// WRITESAME: a pattern repeated over a range.
pub fn write_same(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
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
    let data = match pattern.iter().all(|b| *b == 0) {
        true => BytesMut::zeroed(length as usize).freeze(),
        false => pattern.repeat((length / data_length) as usize).into(),
    };
    ctx.stage_write(offset, data);
    Ok(0)
}

/// APPEND: a write at the end.
pub fn append(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
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

/// ZERO: reaches no further than the object; up to its end it becomes a truncation.
pub fn zero(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let range = Range::of(op)?;
    let within = ctx.state.exists
        && range.offset < MAX_OBJECT_SIZE
        && (1..=MAX_OBJECT_SIZE).contains(&range.length)
        && range.end() >= ctx.state.size;
    if within {
        if range.offset < ctx.state.size {
            truncate_to(ctx, range.offset, range)?;
        }
        return Ok(0);
    }
    ctx.zero(range.offset, range.length)?;
    Ok(0)
}

/// TRUNCATE and TRIMTRUNC: of an object that does not exist, nothing.
pub fn truncate(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let range = Range::of(op)?;
    let offset = if op.op == encoding::types::OpCode::TRIMTRUNC {
        range.truncate_size
    } else {
        range.offset
    };
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

type Tmap = (Bytes, BTreeMap<Bytes, Bytes>);

fn read_tmap(ctx: &Context<'_>) -> Result<Tmap, Failure> {
    let raw = ctx.read_within(0, ctx.state.size)?;
    if raw.is_empty() {
        return Ok((Bytes::new(), BTreeMap::new()));
    }
    let mut r = Reader::new(&raw);
    Ok((r.blob()?, r.map()?))
}

/// TMAPGET: the object that holds a trivial map.
pub fn tmap_get(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    op.outdata = vec![ctx.read_within(0, ctx.state.size)?];
    Ok(0)
}

/// TMAPPUT: a whole trivial map, which must be well-formed.
pub fn tmap_put(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let mut r = Reader::new(&op.indata);
    r.blob()?;
    r.map::<Bytes, Bytes>()?;
    r.finish("tmap")?;
    ctx.write_full(op.indata.clone())?;
    Ok(0)
}

/// TMAPUP: updates of a trivial map (`PrimaryLogPG::do_tmapup`); image directories of format 1 are such.
pub fn tmap_up(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    const SET: u8 = b's';
    const HDR: u8 = b'h';
    const RM: u8 = b'r';
    const CREATE: u8 = b'c';
    const RMSLOPPY: u8 = b'R';
    if op.indata.is_empty() {
        return Ok(0);
    }
    let (mut header, mut map) = read_tmap(ctx)?;
    let mut r = Reader::new(&op.indata);
    while !r.is_empty() {
        let kind = r.u8()?;
        if kind == HDR {
            header = r.blob()?;
            continue;
        }
        let key = r.blob()?;
        match kind {
            SET => drop(map.insert(key, r.blob()?)),
            CREATE if map.contains_key(&key) => return Err(Errno::EEXIST.into()),
            CREATE => drop(map.insert(key, r.blob()?)),
            RM if map.remove(&key).is_none() => return Err(Errno::ENOENT.into()),
            RM => {}
            RMSLOPPY => drop(map.remove(&key)),
            _ => return Err(Errno::EINVAL.into()),
        }
    }
    let mut out = BytesMut::new();
    header.encode(&mut out, Features::ALL);
    out.put_map(&map, Features::ALL);
    ctx.write_full(out.freeze())?;
    Ok(0)
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
