//! Ops on trivial maps: objects whose data is a header and an encoded map. Image directories of format 1 were
//! such, and librbd still updates them when it removes an image.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use cls::ObjectContext;
use encoding::{Encode, Errno, Features, Put, Reader, types::OsdOp};

use super::{
    context::Context,
    ops::{Failure, OpResult},
};

type Tmap = (Bytes, BTreeMap<Bytes, Bytes>);

fn read_tmap(ctx: &Context<'_>) -> Result<Tmap, Failure> {
    let raw = ctx.read_within(0, ctx.state.size)?;
    if raw.is_empty() {
        return Ok((Bytes::new(), BTreeMap::new()));
    }
    let mut r = Reader::new(&raw);
    Ok((r.blob()?, r.map()?))
}

fn write_tmap(ctx: &mut Context<'_>, (header, map): &Tmap) -> Result<(), Errno> {
    let mut out = BytesMut::new();
    header.encode(&mut out, Features::ALL);
    out.put_map(map, Features::ALL);
    ctx.write_full(out.freeze())
}

/// TMAPGET: the object that holds a trivial map.
pub(super) fn get(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    op.outdata = [ctx.read_within(0, ctx.state.size)?].into();
    Ok(0)
}

/// TMAPPUT: a whole trivial map, which must be well-formed. Keys in disorder are sorted.
pub(super) fn put(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let mut r = Reader::new(&op.indata);
    let header = r.blob()?;
    let rows: Vec<(Bytes, Bytes)> = r.vec()?;
    r.finish("tmap")?;
    if rows.is_sorted_by(|a, b| a.0 <= b.0) {
        ctx.write_full(op.indata.clone())?;
    } else {
        write_tmap(ctx, &(header, rows.into_iter().collect()))?;
    }
    Ok(0)
}

/// TMAPUP: updates of a trivial map (`PrimaryLogPG::do_tmapup`).
pub(super) fn update(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
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
    write_tmap(ctx, &(header, map))?;
    Ok(0)
}

/// TMAP2OMAP: the map moves from the data to the omap. Of an object without data nothing, if the op says so.
pub(super) fn to_omap(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    const NULL_OK: u8 = 1;
    if ctx.state.size == 0 {
        let accepted = op.union[0] & NULL_OK != 0;
        return if accepted {
            Ok(0)
        } else {
            Err(Errno::ENODATA.into())
        };
    }
    let (header, map) = read_tmap(ctx)?;
    ctx.stage_truncate(0);
    ctx.set_omap_header(header)?;
    ctx.omap_set(map.into_iter().collect())?;
    Ok(0)
}
