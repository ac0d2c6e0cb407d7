//! The link from a clone to its parent.

use bytes::{BufMut, Bytes};
use encoding::{
    Decode, Encode, Errno, Features,
    cls::rbd::{NOSNAP, Parent, ParentImageSpec, Snapshot, features},
    codec::Put,
};

use super::{NAUTILUS, require_feature, set_op_features, snap_key, snapshot, write_parent};
use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, args, check_exists, done, need_key, read_key, reply, reply_with, rm_key_if_any},
};

fn attach(ctx: &mut Ctx<'_>, mut parent: Parent, reattach: bool) -> Result<Bytes> {
    check_exists(ctx)?;
    require_feature(ctx, features::LAYERING)?;
    let overlap = parent.head_overlap.unwrap_or(0);
    if !parent.exists() || overlap == 0 {
        return Err(Errno::EINVAL);
    }
    let old: Option<Parent> = read_key(ctx, "parent")?;
    // A link that only snapshots use may be taken up by the head again.
    if old.is_some_and(|old| old.head_overlap.is_some() || old.spec != parent.spec) && !reattach {
        return Err(Errno::EEXIST);
    }
    let size: u64 = need_key(ctx, "size")?;
    parent.head_overlap = Some(overlap.min(size));
    write_parent(ctx, &parent)?;
    done()
}

fn detach(ctx: &mut Ctx<'_>, legacy: bool) -> Result<Bytes> {
    check_exists(ctx)?;
    let feature_bits: u64 = read_key(ctx, "features")?.unwrap_or(0);
    if feature_bits & features::LAYERING == 0 {
        return Err(Errno::ENOEXEC);
    }
    let mut parent: Parent = need_key(ctx, "parent")?;
    if legacy && !parent.spec.pool_namespace.is_empty() {
        return Err(Errno::EXDEV);
    }
    if parent.head_overlap.is_none() {
        return Err(Errno::ENOENT);
    }
    let has_child_snaps = detach_snapshots(ctx, feature_bits & features::DEEP_FLATTEN != 0)?;
    if has_child_snaps && ctx.require_osd_release() >= NAUTILUS {
        parent.head_overlap = None;
        write_parent(ctx, &parent)?;
    } else {
        rm_key_if_any(ctx, "parent")?;
    }
    if !has_child_snaps {
        set_op_features(ctx, 0, features::OP_CLONE_CHILD)?;
    }
    done()
}

/// Detaches the snapshots too, if the image was made so that this is possible; returns whether some still have
/// the parent.
fn detach_snapshots(ctx: &mut Ctx<'_>, deep: bool) -> Result<bool> {
    for mut snap in snapshot::all(ctx)? {
        if snapshot::has_parent_data(&snap) {
            if !deep {
                return Ok(true);
            }
            snap.parent = Parent::default();
            snap.parent_overlap = None;
            snapshot::write(ctx, snap.id, snap)?;
        }
    }
    Ok(false)
}

/// Whether the image can have a parent. Errors count as no, as Ceph has it.
fn is_layered(ctx: &Ctx<'_>) -> bool {
    require_feature(ctx, features::LAYERING).is_ok()
}

/// `rbd.get_parent`: parent and overlap of the head or of a snapshot (before Nautilus).
pub(crate) fn get_parent(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let snap_id: u64 = arg(&input)?;
    check_exists(ctx)?;
    let mut parent = Parent::default();
    if is_layered(ctx) {
        parent = read_key(ctx, "parent")?.unwrap_or_default();
        if !parent.spec.pool_namespace.is_empty() {
            return Err(Errno::EXDEV);
        }
        if snap_id != NOSNAP {
            parent = snapshot_parent(ctx, snap_id, parent)?;
        }
    }
    reply(|out| {
        out.put_i64_le(parent.spec.pool_id);
        out.put_blob(&parent.spec.image_id);
        out.put_u64_le(parent.spec.snap_id);
        out.put_u64_le(parent.head_overlap.unwrap_or(0));
    })
}

fn snapshot_parent(ctx: &Ctx<'_>, snap_id: u64, mut parent: Parent) -> Result<Parent> {
    let snap: Snapshot = read_key(ctx, snap_key(snap_id))?.unwrap_or_default();
    if snap.parent.exists() {
        return Ok(snap.parent);
    }
    match snap.parent_overlap {
        None => Ok(Parent::default()),
        Some(_) if !parent.exists() => Err(Errno::EINVAL),
        overlap => {
            parent.head_overlap = overlap;
            Ok(parent)
        }
    }
}

/// `rbd.set_parent` (before Nautilus).
pub(crate) fn set_parent(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let parent = args(&input, |r| {
        Ok(Parent {
            spec: ParentImageSpec {
                pool_id: r.i64()?,
                pool_namespace: Bytes::new(),
                image_id: r.blob()?,
                snap_id: r.u64()?,
            },
            head_overlap: Some(r.u64()?),
        })
    })?;
    attach(ctx, parent, false)
}

/// `rbd.remove_parent` (before Nautilus).
pub(crate) fn remove_parent(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    detach(ctx, true)
}

/// `rbd.parent_get`: the parent, or none.
pub(crate) fn parent_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    check_exists(ctx)?;
    let mut parent = Parent::default();
    if is_layered(ctx) {
        parent = match read_key(ctx, "parent")? {
            Some(parent) => parent,
            // Older servers kept it with each snapshot.
            None => snapshot::all(ctx)?
                .into_iter()
                .rev()
                .map(|s| s.parent)
                .find(Parent::exists)
                .unwrap_or_default(),
        };
    }
    reply_with(&parent.spec)
}

/// `rbd.parent_overlap_get`: bytes of the head or of a snapshot that come from the parent, or none.
pub(crate) fn parent_overlap_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let snap_id: u64 = arg(&input)?;
    check_exists(ctx)?;
    let mut overlap = None;
    if is_layered(ctx) {
        overlap = if snap_id == NOSNAP {
            read_key::<Parent>(ctx, "parent")?.and_then(|p| p.head_overlap)
        } else {
            let snap: Snapshot = need_key(ctx, snap_key(snap_id))?;
            snap.parent_overlap
                .or_else(|| Some(snap.parent).filter(Parent::exists)?.head_overlap)
        };
    }
    Ok(overlap.to_bytes(Features::ALL))
}

/// `rbd.parent_attach`: parent, overlap, and whether an existing link may be replaced.
pub(crate) fn parent_attach(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (parent, reattach) = args(&input, |r| {
        let parent = Parent {
            spec: ParentImageSpec::decode(r)?,
            head_overlap: Some(r.u64()?),
        };
        Ok((parent, !r.is_empty() && r.bool()?))
    })?;
    attach(ctx, parent, reattach)
}

/// `rbd.parent_detach`.
pub(crate) fn parent_detach(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    detach(ctx, false)
}
