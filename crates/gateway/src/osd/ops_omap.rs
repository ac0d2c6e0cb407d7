//! Ops on the omap.

use std::{cmp::Ordering, collections::BTreeMap};

use bytes::{Bytes, BytesMut};
use cls::ObjectContext;
use encoding::{Decode, Errno, Features, Put, Reader, types::OsdOp};

use super::{
    context::{Context, MAX_OMAP_ENTRIES},
    ops::{Failure, OpResult},
};

fn limit(max_return: u64) -> usize {
    usize::try_from(max_return)
        .unwrap_or(usize::MAX)
        .min(MAX_OMAP_ENTRIES)
}

/// OMAPGETKEYS: count, keys, and whether more follow.
pub(super) fn get_keys(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let mut r = Reader::new(&op.indata);
    let (start_after, max) = (r.blob()?, r.u64()?);
    let (keys, more) = ctx.omap_keys(&start_after, &[], limit(max))?;
    let mut out = BytesMut::new();
    out.put_vec(keys.iter(), Features::ALL);
    out.put_bool(more);
    op.outdata = [out.freeze()].into();
    Ok(0)
}

/// OMAPGETVALS: count, keys with values, and whether more follow.
pub(super) fn get_vals(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let mut r = Reader::new(&op.indata);
    let (start_after, max, prefix) = (r.blob()?, r.u64()?, r.blob()?);
    let (rows, more) = ctx.omap_vals(&start_after, &prefix, limit(max))?;
    let mut out = BytesMut::new();
    out.put_vec(rows.iter(), Features::ALL);
    out.put_bool(more);
    op.outdata = [out.freeze()].into();
    Ok(0)
}

/// OMAPGETHEADER.
pub(super) fn get_header(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    op.outdata = [ctx.omap_header()?].into();
    Ok(0)
}

/// OMAPGETVALSBYKEYS: those of the keys that there are.
pub(super) fn get_vals_by_keys(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let keys: Vec<Bytes> = Reader::new(&op.indata).vec()?;
    let mut found = BTreeMap::new();
    for key in keys {
        if let Some(value) = ctx.omap_get(&key)? {
            found.insert(key, value);
        }
    }
    let mut out = BytesMut::new();
    out.put_map(&found, Features::ALL);
    op.outdata = [out.freeze()].into();
    Ok(0)
}

/// OMAP_CMP: ECANCELED at the first assertion `stored OP given` that does not hold; a key that is not there
/// compares as empty.
pub(super) fn compare(ctx: &Context<'_>, op: &OsdOp) -> OpResult {
    const EQ: i32 = 1;
    const GT: i32 = 3;
    const LT: i32 = 5;
    ctx.must_exist()?;
    let assertions: BTreeMap<Bytes, (Bytes, i32)> = Reader::new(&op.indata).map()?;
    for (key, (given, cmp)) in assertions {
        let stored = ctx.omap_get(&key)?.unwrap_or_default();
        let order = stored.cmp(&given);
        let holds = match cmp {
            EQ => order == Ordering::Equal,
            LT => order == Ordering::Less,
            GT => order == Ordering::Greater,
            _ => return Err(Errno::EINVAL.into()),
        };
        if !holds {
            return Err(Errno::ECANCELED.into());
        }
    }
    Ok(0)
}

/// OMAPSETVALS.
pub(super) fn set_vals(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let rows = Reader::new(&op.indata).vec_with(<(Bytes, Bytes)>::decode)?;
    ctx.omap_set(rows)?;
    Ok(0)
}

/// OMAPRMKEYS.
pub(super) fn remove_keys(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    ctx.must_exist()?;
    let keys: Vec<Bytes> = Reader::new(&op.indata).vec()?;
    ctx.omap_rm(&keys)?;
    Ok(0)
}

/// OMAPRMKEYRANGE: from the first key up to, not including, the second.
pub(super) fn remove_key_range(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    ctx.must_exist()?;
    let mut r = Reader::new(&op.indata);
    let (mut from, to) = (r.blob()?, r.blob()?);
    // The first key itself is asked for apart: listings start behind a key.
    if from < to && ctx.omap_get(&from)?.is_some() {
        ctx.omap_rm(std::slice::from_ref(&from))?;
    }
    ctx.mutation.touched = true;
    loop {
        let (keys, more) = ctx.omap_keys(&from, &[], MAX_OMAP_ENTRIES)?;
        let Some(last) = keys.last().cloned() else { break };
        let within: Vec<Bytes> = keys.into_iter().filter(|k| *k < to).collect();
        ctx.omap_rm(&within)?;
        if !more || last >= to {
            break;
        }
        from = last;
    }
    Ok::<_, Failure>(0)
}
