//! The object map: two bits for each data object of an image or snapshot, in an object of its own.
//!
//! Layout of the object: `BitVector<2>` with checksums, see [`encoding::cls::bit_vector`].

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Errno, Reader,
    cls::{
        bit_vector::{self, BLOCK_SIZE, BitVector, ELEMENTS_PER_BYTE, HEADER_LEN, data_len},
        rbd::{
            MAX_OBJECT_MAP_OBJECT_COUNT,
            object_state::{EXISTS, EXISTS_CLEAN},
        },
    },
    codec::ceph_crc32c,
};

use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, args, check_exists, done, read_all, reply},
};

/// ENOENT if there is no map, EINVAL if it is malformed or a checksum is wrong.
fn read(ctx: &Ctx<'_>) -> Result<BitVector> {
    let content = read_all(ctx)?;
    BitVector::decode(&mut Reader::new(&content)).map_err(|_| Errno::EINVAL)
}

fn write(ctx: &mut Ctx<'_>, map: BitVector) -> Result<Bytes> {
    let content = reply(|out| map.encode_into(out, true))?;
    // It may have 64 MB, and the context may copy the content.
    drop(map);
    ctx.write_full(content)?;
    done()
}

/// `rbd.object_map_load`: the map, without checksums.
pub(crate) fn object_map_load(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let map = read(ctx)?;
    reply(|out| map.encode_into(out, false))
}

/// `rbd.object_map_save`: replaces the map.
pub(crate) fn object_map_save(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let map: BitVector = arg(&input)?;
    write(ctx, map)
}

/// `rbd.object_map_resize`: to a number of objects; new ones get the given state, and objects that are cut off
/// must have it, else ESTALE.
pub(crate) fn object_map_resize(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (count, state) = args(&input, |r| Ok((r.u64()?, r.u8()?)))?;
    if count > MAX_OBJECT_MAP_OBJECT_COUNT {
        return Err(Errno::EINVAL);
    }
    let mut map = match read(ctx) {
        Err(Errno::ENOENT) => BitVector::default(),
        r => r?,
    };
    if (count..map.size()).any(|i| map.get(i) != state) {
        return Err(Errno::ESTALE);
    }
    map.resize(count, state);
    write(ctx, map)
}

/// `rbd.object_map_snap_add`: what exists is from now on as the new snapshot sees it.
pub(crate) fn object_map_snap_add(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let mut map = read(ctx)?;
    let mut updated = false;
    for i in 0..map.size() {
        if map.get(i) == EXISTS {
            map.set(i, EXISTS_CLEAN);
            updated = true;
        }
    }
    if updated { write(ctx, map) } else { done() }
}

/// `rbd.object_map_snap_remove`: what is as the removed snapshot saw it, but was new to that, is new now. The
/// argument is the removed snapshot's map.
pub(crate) fn object_map_snap_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let removed: BitVector = arg(&input)?;
    let mut map = read(ctx)?;
    let mut updated = false;
    for i in 0..map.size() {
        if map.get(i) == EXISTS_CLEAN && (i >= removed.size() || removed.get(i) == EXISTS) {
            map.set(i, EXISTS);
            updated = true;
        }
    }
    if updated { write(ctx, map) } else { done() }
}

/// Arguments of `object_map_update`: which objects, what they become, and what they must be to change.
struct Update {
    start: u64,
    end: u64,
    state: u8,
    current: Option<u8>,
}

impl Update {
    fn applies_to(&self, state: u8) -> bool {
        let matches = match self.current {
            None => true,
            Some(current) => state == current || (current == EXISTS && state == EXISTS_CLEAN),
        };
        matches && state != self.state
    }
}

/// `rbd.object_map_update`: changes the state of objects `start..end`. Clients call it for nearly every first
/// write to an object, so only the blocks that hold these objects are read and written.
pub(crate) fn object_map_update(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let update = args(&input, |r| {
        Ok(Update {
            start: r.u64()?,
            end: r.u64()?,
            state: r.u8()?,
            current: Option::decode(r)?,
        })
    })?;
    check_exists(ctx)?;
    let header = ctx.read(0, HEADER_LEN as u64)?;
    let size = BitVector::decode_size(&header).map_err(|_| Errno::EINVAL)?;
    if update.start >= update.end || update.end > size {
        return Err(Errno::ERANGE);
    }
    // Beyond what the object holds, there can be no elements: bounds all that follows.
    if data_len(size) > ctx.size() {
        return Err(Errno::EINVAL);
    }
    let span = Span::new(size, &update);
    let data = ctx.read(span.data_at(), span.len)?;
    if data.len() as u64 != span.len {
        return Err(Errno::EINVAL);
    }
    check_crcs(ctx, &span, &data)?;

    let mut data = BytesMut::from(&data[..]);
    let mut updated = false;
    for i in update.start..update.end {
        let at = i - span.from * ELEMENTS_PER_BYTE;
        if update.applies_to(bit_vector::get(&data, at)) {
            bit_vector::set(&mut data, at, update.state);
            updated = true;
        }
    }
    if updated {
        let data = data.freeze();
        let crcs = reply(|out| {
            for block in data.chunks(BLOCK_SIZE) {
                out.put_u32_le(ceph_crc32c(0, block));
            }
        })?;
        ctx.write(span.data_at(), data)?;
        ctx.write(span.crcs_at(), crcs)?;
    }
    done()
}

/// Whole blocks of a map: bytes `from..from + len` of its elements.
struct Span {
    from: u64,
    len: u64,
    total: u64,
}

impl Span {
    fn new(size: u64, update: &Update) -> Self {
        let block = BLOCK_SIZE as u64;
        let total = data_len(size);
        let from = update.start / ELEMENTS_PER_BYTE / block * block;
        let last = (update.end - 1) / ELEMENTS_PER_BYTE;
        let to = ((last / block + 1) * block).min(total);
        Self {
            from,
            len: to - from,
            total,
        }
    }

    /// Where the blocks are in the object.
    const fn data_at(&self) -> u64 {
        HEADER_LEN as u64 + self.from
    }

    /// Where their checksums are: behind the checksums' length, the header's checksum and the count.
    const fn crcs_at(&self) -> u64 {
        HEADER_LEN as u64 + self.total + 12 + self.from / BLOCK_SIZE as u64 * 4
    }
}

/// EINVAL if a block's checksum is wrong or missing.
fn check_crcs(ctx: &Ctx<'_>, span: &Span, data: &[u8]) -> Result<()> {
    let blocks = data.chunks(BLOCK_SIZE);
    let crcs = ctx.read(span.crcs_at(), 4 * blocks.len() as u64)?;
    let mut crcs = Reader::new(&crcs);
    for block in blocks {
        if crcs.u32().map_err(|_| Errno::EINVAL)? != ceph_crc32c(0, block) {
            return Err(Errno::EINVAL);
        }
    }
    Ok(())
}
