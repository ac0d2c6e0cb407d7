//! CHECKSUM: checksums of each chunk of a range (`PrimaryLogPG::do_checksum`).

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Errno, Reader,
    types::{OpArgs, OsdOp},
};
use xxhash_rust::{xxh32::xxh32, xxh64::xxh64};

use super::{context::Context, ops::OpResult, ops_data::set_extent_length};

/// `CEPH_OSD_CHECKSUM_OP_TYPE_*` with the value to start from, which is in the op's input.
enum Kind {
    XxHash32(u32),
    XxHash64(u64),
    Crc32c(u32),
}

impl Kind {
    fn of(kind: u8, input: &Bytes) -> Result<Self, Errno> {
        let mut r = Reader::new(input);
        let seeded = match kind {
            0 => r.u32().map(Self::XxHash32),
            1 => r.u64().map(Self::XxHash64),
            2 => r.u32().map(Self::Crc32c),
            _ => return Err(Errno::EINVAL),
        };
        seeded.map_err(|_| Errno::EINVAL)
    }

    fn put(&self, chunk: &[u8], out: &mut BytesMut) {
        match self {
            Self::XxHash32(seed) => out.put_u32_le(xxh32(chunk, *seed)),
            Self::XxHash64(seed) => out.put_u64_le(xxh64(chunk, *seed)),
            Self::Crc32c(seed) => out.put_u32_le(encoding::codec::ceph_crc32c(*seed, chunk)),
        }
    }
}

/// CHECKSUM: a range of nothing at offset 0 is the whole object, no chunk size is one chunk.
pub(super) fn checksum(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let OpArgs::Checksum {
        offset,
        mut length,
        chunk_size,
        kind,
    } = op.args()
    else {
        return Err(Errno::EINVAL.into());
    };
    let chunk = u64::from(chunk_size);
    let uneven = |length: u64| chunk > 0 && !length.is_multiple_of(chunk);
    if (chunk > 0 && length == 0) || uneven(length) {
        return Err(Errno::EINVAL.into());
    }
    let size = ctx.state.size;
    if offset == 0 && length == 0 {
        length = size;
    } else if offset >= size {
        return Ok(0);
    } else if offset.saturating_add(length) > size {
        length = size - offset;
        set_extent_length(op, length);
        if uneven(length) {
            return Err(Errno::EINVAL.into());
        }
    }
    set_extent_length(op, length);
    let kind = Kind::of(kind, &op.indata)?;
    let mut out = BytesMut::new();
    if length == 0 {
        out.put_u32_le(0);
    } else {
        let data = ctx.read_within(offset, length)?;
        let chunk = if chunk == 0 { length } else { chunk };
        let chunks = data.chunks_exact(chunk as usize);
        out.put_u32_le(encoding::codec::wire_len(chunks.len()));
        chunks.for_each(|chunk| kind.put(chunk, &mut out));
    }
    op.outdata = [out.freeze()].into();
    Ok(0)
}
