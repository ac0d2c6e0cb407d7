//! Snapshots in headers of the old image format (`rbd_obj_header_ondisk`, Ceph `src/include/rbd_types.h`).
//!
//! The header is the content of the object: 112 bytes with fields, 16 bytes for each snapshot (id and size), then
//! the snapshots' names, each with a zero byte behind it. Newest first.

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Errno, Reader, codec::Put};

use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, done, read_key, reply},
};

const HEADER_LEN: usize = 112;
/// Where the image's size is; the newest snapshot's id follows.
const IMAGE_SIZE_AT: usize = 80;

/// A header in parts.
struct Header {
    /// Everything before the image's size.
    lead: Bytes,
    image_size: u64,
    snap_seq: u64,
    reserved: u32,
    snaps: Vec<Snap>,
}

struct Snap {
    id: u64,
    image_size: u64,
    name: Bytes,
}

/// EINVAL if the object is too short to be a header, EIO if its parts do not fit.
fn read(ctx: &Ctx<'_>) -> Result<Header> {
    let content = ctx.read(0, ctx.size())?;
    if content.len() < HEADER_LEN {
        return Err(Errno::EINVAL);
    }
    parse(&content).ok_or(Errno::EIO)
}

fn parse(content: &Bytes) -> Option<Header> {
    let mut r = Reader::new(content);
    let lead = r.bytes(IMAGE_SIZE_AT, "rbd_obj_header_ondisk").ok()?;
    let (image_size, snap_seq) = (r.u64().ok()?, r.u64().ok()?);
    let (snap_count, reserved, names_len) = (r.u32().ok()?, r.u32().ok()?, r.u64().ok()?);
    let snap_len = (snap_count as usize).checked_mul(16)?;
    let snaps = r.bytes(snap_len, "snapshots").ok()?;
    let names = r.bytes(usize::try_from(names_len).ok()?, "names").ok()?;

    let mut fields = Reader::new(&snaps);
    let mut at = 0;
    let mut out = Vec::new();
    for _ in 0..snap_count {
        let len = names.get(at..)?.iter().position(|b| *b == 0)?;
        out.push(Snap {
            id: fields.u64().ok()?,
            image_size: fields.u64().ok()?,
            name: names.slice(at..at + len),
        });
        at += len + 1;
    }
    Some(Header {
        lead,
        image_size,
        snap_seq,
        reserved,
        snaps: out,
    })
}

fn write(ctx: &mut Ctx<'_>, header: &Header) -> Result<Bytes> {
    let names_len: usize = header.snaps.iter().map(|s| s.name.len() + 1).sum();
    let snap_count = u32::try_from(header.snaps.len()).map_err(|_| Errno::EFBIG)?;
    let mut out = BytesMut::with_capacity(HEADER_LEN + header.snaps.len() * 16 + names_len);
    out.put_slice(&header.lead);
    out.put_u64_le(header.image_size);
    out.put_u64_le(header.snap_seq);
    out.put_u32_le(snap_count);
    out.put_u32_le(header.reserved);
    out.put_u64_le(names_len as u64);
    for snap in &header.snaps {
        out.put_u64_le(snap.id);
        out.put_u64_le(snap.image_size);
    }
    for snap in &header.snaps {
        out.put_slice(&snap.name);
        out.put_u8(0);
    }
    ctx.write_full(out.freeze())?;
    done()
}

/// A name as C has it: it ends at a zero byte.
fn c_name(name: &Bytes) -> Bytes {
    let len = name.iter().position(|b| *b == 0);
    name.slice(..len.unwrap_or(name.len()))
}

/// How many snapshots there are; EINVAL if the image is not of the old format.
pub(super) fn snap_count(ctx: &Ctx<'_>) -> Result<u64> {
    Ok(read(ctx)?.snaps.len() as u64)
}

/// `rbd.snap_list`.
pub(crate) fn snap_list(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let header = read(ctx)?;
    let count = u32::try_from(header.snaps.len()).map_err(|_| Errno::EIO)?;
    reply(|out| {
        out.put_u64_le(header.snap_seq);
        out.put_u32_le(count);
        for snap in &header.snaps {
            out.put_u64_le(snap.id);
            out.put_u64_le(snap.image_size);
            out.put_blob(&snap.name);
        }
    })
}

/// `rbd.snap_add`: name and id.
pub(crate) fn snap_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let mut header = read(ctx)?;
    let (name, id): (Bytes, u64) = arg(&input)?;
    let name = c_name(&name);
    if header.snap_seq > id {
        return Err(Errno::ESTALE);
    }
    let limit = read_key(ctx, "snap_limit")?.unwrap_or(u64::MAX);
    if header.snaps.len() as u64 >= limit {
        return Err(Errno::EDQUOT);
    }
    if header.snaps.iter().any(|s| s.name == name) {
        return Err(Errno::EEXIST);
    }
    header.snap_seq = id;
    let image_size = header.image_size;
    header.snaps.insert(0, Snap { id, image_size, name });
    write(ctx, &header)
}

/// `rbd.snap_remove`: by name.
pub(crate) fn snap_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let mut header = read(ctx)?;
    let name = c_name(&arg(&input)?);
    let at = header.snaps.iter().position(|s| s.name == name);
    header.snaps.remove(at.ok_or(Errno::ENOENT)?);
    write(ctx, &header)
}

/// `rbd.snap_rename`: id and new name.
pub(crate) fn snap_rename(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let mut header = read(ctx)?;
    let (id, name): (u64, Bytes) = arg(&input)?;
    let name = c_name(&name);
    if header.snaps.iter().any(|s| s.name == name) {
        return Err(Errno::EEXIST);
    }
    let snap = header.snaps.iter_mut().find(|s| s.id == id);
    snap.ok_or(Errno::ENOENT)?.name = name;
    write(ctx, &header)
}
