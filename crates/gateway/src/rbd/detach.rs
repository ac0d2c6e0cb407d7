//! Ending the link between a clone and its parent (Ceph `src/librbd/image/DetachChildRequest.cc`).

use bytes::Bytes;
use encoding::{
    Encode, Errno, Features,
    cls::rbd::{
        ChildImageSpec, SnapshotInfo, SnapshotNamespaceType, TrashImageSource, TrashImageSpec,
        TrashImageState, features,
    },
};

use super::{
    Image, RBD,
    header::Header,
    image::header_oid,
    lock::{self, Session, Wish},
    messages::{self, NotifyOp},
    snapshot, trash,
};
use crate::rados::{IoCtx, ops};

/// `RBD_CHILDREN`.
const CHILDREN: &[u8] = b"rbd_children";

/// Whether an image, or its oldest snapshot where it has some, takes data from the parent that its header names.
fn is_child(header: &Header) -> bool {
    match header.snaps.values().next() {
        Some(oldest) => oldest.parent_overlap.is_some() && header.parent.exists(),
        None => header.has_parent(),
    }
}

/// Takes the image off its parent's children.
///
/// # Errors
/// Of the class methods. That the parent's snapshot, which nobody else needs, could not be removed is none.
pub(super) fn detach_child(image: &Image) -> Result<(), Errno> {
    if !is_child(&image.header) {
        return Ok(());
    }
    if image.header.op_features & features::OP_CLONE_CHILD == 0 {
        return detach_v1(image);
    }
    let parent = &image.header.parent;
    let pool = match image.ioctx.rados().open_pool_id(parent.pool_id) {
        // With its pool the parent is gone.
        Err(Errno::ENOENT) => return Ok(()),
        r => r?.with_namespace(parent.pool_namespace.clone()),
    };
    let child = ChildImageSpec {
        pool_id: image.ioctx.pool(),
        image_id: image.id.clone(),
        pool_namespace: image.ioctx.nspace().clone(),
    };
    let input = [ops::arg(&parent.snap_id), ops::arg(&child)].concat();
    match pool.exec(&header_oid(&parent.image_id), RBD, "child_detach", &input) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    if let Err(error) = clean_parent(&pool, &parent.image_id, parent.snap_id) {
        tracing::info!(%error, image = %String::from_utf8_lossy(&parent.image_id), "a snapshot in the trash that no clone needs any more stays");
    }
    Ok(())
}

fn detach_v1(image: &Image) -> Result<(), Errno> {
    let parent = &image.header.parent;
    let key = (parent.pool_id, (parent.image_id.clone(), parent.snap_id));
    let input = [key.to_bytes(Features::ALL), ops::arg(&image.id)].concat();
    match image.ioctx.exec(CHILDREN, RBD, "remove_child", &input) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the parent's snapshot if it only waited for its last clone to go, and then the parent if that did, too.
fn clean_parent(pool: &IoCtx, id: &Bytes, snap: u64) -> Result<(), Errno> {
    let input = ops::arg(&snap);
    let info: SnapshotInfo = match pool.query(&header_oid(id), RBD, "snapshot_get", &input) {
        Err(Errno::ENOENT) => return Ok(()),
        r => r?,
    };
    if info.snapshot_namespace.kind() != SnapshotNamespaceType::TRASH || info.child_count > 0 {
        return Ok(());
    }
    let mut parent = Image::open_by_id(pool, id)?;
    let session = Session::open(&parent)?;
    match session.acquire(Wish::Try) {
        Ok(()) => {
            parent.refresh()?;
            snapshot::remove(&parent, snap)?;
        }
        Err(Errno::EBUSY) => session.ask_owner(
            |id| messages::snapshot(NotifyOp::SNAP_REMOVE, id, &info.name, &info.snapshot_namespace),
            &|_, _| Ok(()),
        )?,
        Err(error) => return Err(error),
    }
    parent.refresh()?;
    drop(session);
    if !parent.header.snaps.is_empty() {
        return Ok(());
    }
    let spec: TrashImageSpec = match trash::get(pool, id) {
        Err(Errno::ENOENT) => return Ok(()),
        r => r?,
    };
    let waits = spec.source == TrashImageSource::USER_PARENT
        && spec.state == TrashImageState::NORMAL
        && spec.deferment_end_time <= lock::now();
    if waits {
        trash::remove_entry(pool, id, &|_, _| Ok(()))?;
    }
    Ok(())
}
