//! Snapshots of groups, in the group's header.

use bytes::Bytes;
use encoding::{
    Decode, Errno,
    cls::rbd::{GroupSnapshot, GroupSnapshotState},
};

use crate::{
    ObjectContext, Result,
    support::{
        Ctx, Walk, arg, args, done, key, list, list_args, need_key, read_key, reply_with, rm_key,
        rm_key_if_any, scan, stored, write_key,
    },
};

const PREFIX: &str = "snapshot_";
const ORDER_PREFIX: &str = "snap_order_";
const MAX_ORDER: &str = "snap_max_order";

/// `rbd.group_snap_set`: stores a snapshot. An incomplete one must be new, and gets the next place in the order
/// in which the group's snapshots were made. EEXIST if the name is taken.
pub(crate) fn group_snap_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let snap: GroupSnapshot = arg(&input)?;
    if snap.name.is_empty() || snap.id.is_empty() {
        return Err(Errno::EINVAL);
    }
    check_name(ctx, &snap)?;
    let snap_key = key(PREFIX, &snap.id);
    if snap.state == GroupSnapshotState::INCOMPLETE {
        let order_key = key(ORDER_PREFIX, &snap.id);
        if ctx.omap_get(&snap_key)?.is_some() || ctx.omap_get(&order_key)?.is_some() {
            return Err(Errno::EEXIST);
        }
        let order = read_key::<u64>(ctx, MAX_ORDER)?.unwrap_or(0).wrapping_add(1);
        write_key(ctx, MAX_ORDER, &order)?;
        write_key(ctx, order_key, &order)?;
    }
    write_key(ctx, snap_key, &snap)?;
    done()
}

/// EEXIST if another snapshot has that name.
fn check_name(ctx: &Ctx<'_>, snap: &GroupSnapshot) -> Result<()> {
    scan(ctx, PREFIX.as_bytes(), PREFIX, |_, value| {
        let other: GroupSnapshot = stored(value)?;
        if other.name == snap.name && other.id != snap.id {
            return Err(Errno::EEXIST);
        }
        Ok(Walk::On)
    })
}

/// `rbd.group_snap_remove`: by id.
pub(crate) fn group_snap_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    rm_key(ctx, key(PREFIX, &id))?;
    rm_key_if_any(ctx, key(ORDER_PREFIX, &id))?;
    done()
}

/// `rbd.group_snap_get_by_id`.
pub(crate) fn group_snap_get_by_id(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    reply_with(&need_key::<GroupSnapshot>(ctx, key(PREFIX, id))?)
}

/// `rbd.group_snap_list`: snapshots behind another one, in order of their ids.
pub(crate) fn group_snap_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = args(&input, |r| Ok((GroupSnapshot::decode(r)?, r.u64()?)))?;
    let snaps = list(
        ctx,
        &key(PREFIX, start_after.id),
        PREFIX,
        max,
        stored::<GroupSnapshot>,
    )?;
    reply_with(&snaps.into_iter().map(|(_, s)| s).collect::<Vec<_>>())
}

/// `rbd.group_snap_list_order`: ids and their places in the order in which the snapshots were made.
pub(crate) fn group_snap_list_order(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    reply_with(&list(
        ctx,
        &key(ORDER_PREFIX, start_after),
        ORDER_PREFIX,
        max,
        stored::<u64>,
    )?)
}
