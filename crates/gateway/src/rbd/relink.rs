//! Giving clones another parent, with the same data (Ceph `Migration<I>::relink_children`, `src/librbd/image/AttachChildRequest.cc`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use encoding::{
    Encode, Errno, Features,
    cls::rbd::{ChildImageSpec, ParentImageSpec, features},
};

use super::{Image, RBD, image::header_oid};
use crate::rados::ops;

/// `RBD_CHILDREN`.
const CHILDREN: &[u8] = b"rbd_children";

/// Gives the clones of `from` the parent `to`. `snaps`: snapshots of `to` and of `from` that have the same data.
///
/// # Errors
/// ESTALE if a clone has another parent than its parent knows of.
pub(super) fn children(from: &Image, to: &Image, snaps: &BTreeMap<u64, u64>) -> Result<(), Errno> {
    for (&to_snap, &from_snap) in snaps {
        let known = from.header.snaps.contains_key(&from_snap) && to.header.snaps.contains_key(&to_snap);
        if !known {
            continue;
        }
        let (from_spec, to_spec) = (spec(from, from_snap), spec(to, to_snap));
        for child in children_of(from, &from_spec)? {
            relink(&child, from, &from_spec, to, &to_spec)?;
        }
    }
    Ok(())
}

fn spec(image: &Image, snap_id: u64) -> ParentImageSpec {
    ParentImageSpec {
        pool_id: image.ioctx.pool(),
        pool_namespace: image.ioctx.nspace().clone(),
        image_id: image.id.clone(),
        snap_id,
    }
}

/// What `rbd_children` has clones of version 1 under.
fn v1_key(spec: &ParentImageSpec) -> Bytes {
    (spec.pool_id, (spec.image_id.clone(), spec.snap_id)).to_bytes(Features::ALL)
}

/// All clones of a snapshot, of either version.
fn children_of(parent: &Image, spec: &ParentImageSpec) -> Result<BTreeSet<ChildImageSpec>, Errno> {
    let input = ops::arg(&spec.snap_id);
    let oid = parent.header_oid();
    let mut all: BTreeSet<ChildImageSpec> = match parent.ioctx.query(&oid, RBD, "children_list", &input) {
        Err(Errno::ENOENT) => BTreeSet::new(),
        r => r?,
    };
    // Clones of version 1 are known by pool and image alone, also where the parent went to another namespace.
    let rados = parent.ioctx.rados();
    let pools: Vec<i64> = rados.cluster().osdmap().pools.keys().copied().collect();
    for pool_id in pools {
        let Ok(pool) = rados.open_pool_id(pool_id) else {
            continue;
        };
        let ids: BTreeSet<Bytes> = match pool.query(CHILDREN, RBD, "get_children", &v1_key(spec)) {
            Err(Errno::ENOENT) => continue,
            r => r?,
        };
        all.extend(ids.into_iter().map(|image_id| ChildImageSpec {
            pool_id,
            image_id,
            pool_namespace: Bytes::new(),
        }));
    }
    Ok(all)
}

fn relink(
    child: &ChildImageSpec,
    from: &Image,
    from_spec: &ParentImageSpec,
    to: &Image,
    to_spec: &ParentImageSpec,
) -> Result<(), Errno> {
    let pool = from.ioctx.rados().open_pool_id(child.pool_id)?;
    let pool = pool.with_namespace(child.pool_namespace.clone());
    let image = Image::open_by_id(&pool, &child.image_id)?;
    if image.header.parent != *to_spec {
        if image.header.parent != *from_spec {
            return Err(Errno::ESTALE);
        }
        let oldest = image.header.snaps.values().next().and_then(|s| s.parent_overlap);
        let overlap = oldest.or(image.header.head_overlap).ok_or(Errno::ESTALE)?;
        let input = [ops::arg(to_spec), ops::arg(&overlap), ops::arg(&true)].concat();
        image.exec("parent_attach", &input)?;
    }
    if image.header.op_features & features::OP_CLONE_CHILD == 0 {
        let move_key = |method, spec| {
            let input = [v1_key(spec), ops::arg(&image.id)].concat();
            image.ioctx.exec(CHILDREN, RBD, method, &input)
        };
        unless(Errno::EEXIST, move_key("add_child", to_spec))?;
        unless(Errno::ENOENT, move_key("remove_child", from_spec))?;
    } else {
        let attach = |parent: &Image, method, spec: &ParentImageSpec| {
            let input = [ops::arg(&spec.snap_id), ops::arg(child)].concat();
            parent.ioctx.exec(&header_oid(&parent.id), RBD, method, &input)
        };
        unless(Errno::EEXIST, attach(to, "child_attach", to_spec))?;
        unless(Errno::ENOENT, attach(from, "child_detach", from_spec))?;
    }
    image.notify_update()
}

fn unless(expected: Errno, result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(error) if error != expected => Err(error),
        _ => Ok(()),
    }
}
