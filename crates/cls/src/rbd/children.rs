//! Clones of snapshots: a pool's `rbd_children` for clones of version 1, the parent's header for version 2.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes};
use encoding::{
    Decode, Errno,
    cls::rbd::{ChildImageSpec, Snapshot, SnapshotNamespaceType, features},
    codec::{self, Put, Reader},
};

use super::{set_op_features, snap_key, snapshot};
use crate::{
    ObjectContext, Result,
    support::{arg, args, done, need_key, read_key, reply_with, rm_key, rm_key_if_any, write_key},
};

/// The key of a parent in `rbd_children`: its encoding.
fn parent_key(r: &mut Reader<'_>) -> codec::Result<Bytes> {
    let (pool, image, snap) = (r.u64()?, r.blob()?, r.u64()?);
    let mut key = bytes::BytesMut::new();
    key.put_u64_le(pool);
    key.put_blob(&image);
    key.put_u64_le(snap);
    Ok(key.freeze())
}

/// `rbd.add_child`: parent and clone.
pub(crate) fn add_child(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (key, child) = args(&input, |r| Ok((parent_key(r)?, r.blob()?)))?;
    let mut children: BTreeSet<Bytes> = read_key(ctx, &key)?.unwrap_or_default();
    if !children.insert(child) {
        return Err(Errno::EEXIST);
    }
    write_key(ctx, key, &children)?;
    done()
}

/// `rbd.remove_child`: parent and clone.
pub(crate) fn remove_child(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (key, child) = args(&input, |r| Ok((parent_key(r)?, r.blob()?)))?;
    let mut children: BTreeSet<Bytes> = need_key(ctx, &key)?;
    if !children.remove(&child) {
        return Err(Errno::ENOENT);
    }
    if children.is_empty() {
        rm_key(ctx, key)?;
    } else {
        write_key(ctx, key, &children)?;
    }
    done()
}

/// `rbd.get_children`: the clones of a parent; ENOENT if there are none.
pub(crate) fn get_children(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let key = args(&input, parent_key)?;
    reply_with(&need_key::<BTreeSet<Bytes>>(ctx, key)?)
}

fn children_key(snap_id: u64) -> Bytes {
    format!("snap_children_{snap_id:016x}").into()
}

fn snap_and_child(input: &Bytes) -> Result<(u64, ChildImageSpec)> {
    args(input, |r| Ok((r.u64()?, ChildImageSpec::decode(r)?)))
}

/// `rbd.child_attach`: a clone (version 2) of a snapshot.
pub(crate) fn child_attach(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (snap_id, child) = snap_and_child(&input)?;
    let mut snap: Snapshot = need_key(ctx, snap_key(snap_id))?;
    if snap.snapshot_namespace.kind() == SnapshotNamespaceType::TRASH {
        return Err(Errno::ENOENT);
    }
    let key = children_key(snap_id);
    let mut children: BTreeSet<ChildImageSpec> = read_key(ctx, &key)?.unwrap_or_default();
    if !children.insert(child) {
        return Err(Errno::EEXIST);
    }
    write_key(ctx, key, &children)?;
    snap.child_count = snap.child_count.wrapping_add(1);
    snapshot::write(ctx, snap_id, snap)?;
    set_op_features(ctx, features::OP_CLONE_PARENT, features::OP_CLONE_PARENT)?;
    done()
}

/// `rbd.child_detach`: with the last clone of the image's last cloned snapshot goes the operation feature.
pub(crate) fn child_detach(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (snap_id, child) = snap_and_child(&input)?;
    let mut snap: Snapshot = need_key(ctx, snap_key(snap_id))?;
    let key = children_key(snap_id);
    let mut children: BTreeSet<ChildImageSpec> = read_key(ctx, &key)?.unwrap_or_default();
    if snap.child_count as usize != children.len() {
        return Err(Errno::EINVAL);
    }
    if !children.remove(&child) {
        return Err(Errno::ENOENT);
    }
    if children.is_empty() {
        rm_key_if_any(ctx, key)?;
    } else {
        write_key(ctx, key, &children)?;
    }
    snap.child_count -= 1;
    snapshot::write(ctx, snap_id, snap)?;
    if children.is_empty() {
        let others = snapshot::all(ctx)?;
        if !others.iter().any(|s| s.id != snap_id && s.child_count > 0) {
            set_op_features(ctx, 0, features::OP_CLONE_PARENT)?;
        }
    }
    done()
}

/// `rbd.children_list`: the clones (version 2) of a snapshot; ENOENT if there are none.
pub(crate) fn children_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let snap_id: u64 = arg(&input)?;
    need_key::<Snapshot>(ctx, snap_key(snap_id))?;
    reply_with(&need_key::<BTreeSet<ChildImageSpec>>(ctx, children_key(snap_id))?)
}
