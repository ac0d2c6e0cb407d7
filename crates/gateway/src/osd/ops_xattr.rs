//! Ops on extended attributes.

use std::cmp::Ordering;

use bytes::{Bytes, BytesMut};
use cls::ObjectContext;
use encoding::{
    Errno, Features, Put, Reader,
    types::{OpArgs, OsdOp},
};

use super::{
    context::Context,
    ops::{Failure, OpResult},
};

/// GETXATTR.
pub(super) fn get(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let (name, _) = op.xattr()?;
    let value = ctx.getxattr(&name)?;
    op.union[4..8].copy_from_slice(&encoding::codec::wire_len(value.len()).to_le_bytes());
    op.outdata = [value].into();
    Ok(0)
}

/// GETXATTRS: all names and values.
pub(super) fn get_all(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let map = ctx.getxattrs()?.into_iter().collect();
    let mut out = BytesMut::new();
    out.put_map::<Bytes, Bytes>(&map, Features::ALL);
    op.outdata = [out.freeze()].into();
    Ok(0)
}

/// SETXATTR.
pub(super) fn set(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let (name, value) = op.xattr()?;
    ctx.setxattr(&name, value)?;
    Ok(0)
}

/// RMXATTR.
pub(super) fn remove(ctx: &mut Context<'_>, op: &OsdOp) -> OpResult {
    let (name, _) = op.xattr()?;
    ctx.rmxattr(&name)?;
    Ok(0)
}

/// How two values are compared (`CEPH_OSD_CMPXATTR_OP_*`); `None` for an op that there is not.
pub(super) fn holds(op: u8, order: Ordering) -> Option<bool> {
    Some(match op {
        1 => order == Ordering::Equal,
        2 => order != Ordering::Equal,
        3 => order == Ordering::Greater,
        4 => order != Ordering::Less,
        5 => order == Ordering::Less,
        6 => order != Ordering::Greater,
        _ => return None,
    })
}

/// CMPXATTR: succeeds with 1 where the comparison `given OP stored` holds, else ECANCELED. An attribute that is
/// not there compares as empty.
pub(super) fn compare(ctx: &Context<'_>, op: &OsdOp) -> OpResult {
    const STRING: u8 = 1;
    const U64: u8 = 2;
    let OpArgs::Xattr { cmp_op, cmp_mode, .. } = op.args() else {
        return Err(Errno::EINVAL.into());
    };
    let (name, given) = op.xattr()?;
    let stored = match ctx.getxattr(&name) {
        Err(Errno::ENODATA) => Bytes::new(),
        other => other?,
    };
    let order = match cmp_mode {
        STRING => given.cmp(&stored),
        U64 => Reader::new(&given).u64()?.cmp(&stored_number(&stored)?),
        _ => return Err(Errno::EINVAL.into()),
    };
    match holds(cmp_op, order) {
        Some(true) => Ok(1),
        Some(false) => Err(Errno::ECANCELED.into()),
        None => Err(Errno::EINVAL.into()),
    }
}

/// A decimal number at the start of the value; an empty one is 0.
fn stored_number(value: &[u8]) -> Result<u64, Failure> {
    if value.is_empty() {
        return Ok(0);
    }
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let text = std::str::from_utf8(&value[..digits]).map_err(|_| Errno::EINVAL)?;
    Ok(text.parse().map_err(|_| Errno::EINVAL)?)
}
