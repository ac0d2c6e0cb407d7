//! Ops on an object's snapshots.

use bytes::Bytes;
use cls::ObjectContext;
use encoding::{
    Encode, Errno, Features,
    types::{CloneInfo, ListSnapsResponse, NOSNAP, OpArgs, OsdOp},
};

use super::{
    context::Context,
    ops::{self, Effects, Failure, OpResult, WatchView},
};
use crate::objects::{extents::Extents, mutation::DataChange, onode::ObjectState};

/// LIST_SNAPS: the clones, oldest first, and the head if it exists.
pub(super) fn list(ctx: &Context<'_>, op: &mut OsdOp) -> OpResult {
    let clones = ctx.objects.clones(&ctx.old, 0).map_err(|e| ctx.store_error(&e))?;
    let mut clones: Vec<CloneInfo> = clones
        .into_iter()
        .map(|clone| CloneInfo {
            cloneid: clone.id,
            snaps: clone.snaps.into_iter().rev().collect(),
            overlap: clone
                .overlap
                .iter()
                .map(|(start, end)| (start, end - start))
                .collect(),
            size: clone.state.size,
        })
        .collect();
    if ctx.old.exists {
        clones.push(CloneInfo {
            cloneid: NOSNAP,
            size: ctx.state.size,
            ..CloneInfo::default()
        });
    }
    let response = ListSnapsResponse {
        clones,
        seq: ctx.old.seq,
    };
    op.outdata = [response.to_bytes(Features::ALL)].into();
    Ok(0)
}

/// ROLLBACK: the object becomes what it was at a snapshot; if it did not exist then, it goes
/// (`PrimaryLogPG::_rollback_to`).
pub(super) fn rollback(
    ctx: &mut Context<'_>,
    op: &OsdOp,
    view: &WatchView<'_>,
    effects: &mut Effects,
) -> OpResult {
    let OpArgs::Snap { snapid } = op.args() else {
        return Err(Errno::EINVAL.into());
    };
    let Some(then) = ctx.at_snap(snapid)? else {
        if !view.watchers.is_empty() {
            return Err(Errno::EBUSY.into());
        }
        if ctx.state.exists {
            ops::delete(ctx, view, effects)?;
        }
        return Ok(0);
    };
    if then.view.is_none() {
        // Nothing was changed since the snapshot.
        ctx.mutation.touched = true;
        return Ok(0);
    }
    rollback_data(ctx, &then)?;
    rollback_rows(ctx, &then)?;
    ctx.touch();
    Ok(0)
}

/// Writes what the clone does not share with the head.
fn rollback_data(ctx: &mut Context<'_>, then: &ObjectState) -> Result<(), Failure> {
    let mut differs = Extents::of(0, then.size);
    if let (true, Some(view)) = (ctx.old.exists, &then.view) {
        // What the vector wrote before this is to be undone, too.
        let mut shared = view.shared_with_head();
        shared.subtract(&ctx.mutation.touched_data());
        differs.subtract(&shared);
    }
    ctx.state.exists = true;
    if ctx.state.size != then.size {
        ctx.stage_truncate(then.size);
    }
    for (start, end) in differs.iter() {
        let data = ctx.read_at(then, start, end - start)?;
        if data.iter().all(|b| *b == 0) {
            let len = end - start;
            ctx.mutation.data.push(DataChange::Zero { offset: start, len });
        } else {
            ctx.stage_write(start, data);
        }
    }
    Ok(())
}

/// Makes attributes and omap those of the clone.
fn rollback_rows(ctx: &mut Context<'_>, then: &ObjectState) -> Result<(), Failure> {
    let rows = |table: u8| {
        let rows = ctx.objects.rows(table, then, &[], usize::MAX);
        rows.map_err(|e| ctx.store_error(&e))
    };
    let xattrs = rows(b'X')?;
    let omap = match then.has_omap {
        true => {
            let header = ctx.objects.omap_header(then).map_err(|e| ctx.store_error(&e))?;
            Some((rows(b'M')?, header))
        }
        false => None,
    };
    Ok(replace_rows(ctx, xattrs, omap)?)
}

/// Rows of an omap, and its header.
pub(super) type Omap = (Vec<(Bytes, Bytes)>, Option<Bytes>);

/// Makes attributes and omap those given.
pub(super) fn replace_rows(
    ctx: &mut Context<'_>,
    xattrs: Vec<(Bytes, Bytes)>,
    omap: Option<Omap>,
) -> Result<(), Errno> {
    for (name, _) in ctx.getxattrs()? {
        ctx.mutation.xattrs.insert(name, None);
    }
    let set = xattrs.into_iter().map(|(name, value)| (name, Some(value)));
    ctx.mutation.xattrs.extend(set);
    if ctx.state.has_omap {
        ctx.omap_clear()?;
    }
    if let Some((rows, header)) = omap {
        ctx.omap_set(rows)?;
        if let Some(header) = header {
            ctx.set_omap_header(header)?;
        }
    }
    Ok(())
}
