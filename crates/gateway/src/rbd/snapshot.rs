//! Making and removing snapshots of an image as the owner of its lock (Ceph `src/librbd/operation/SnapshotCreateRequest.cc`,
//! `SnapshotRemoveRequest.cc`).

use std::collections::BTreeSet;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{ChildImageSpec, NOSNAP, SnapshotInfo, SnapshotNamespace, SnapshotNamespaceType, features},
};

use super::{
    Image, RBD,
    detach::detach_child,
    header::Header,
    mirror,
    object_map::{ObjectMap, map_oid},
};
use crate::{cluster::ClusterError, rados::ops};

fn from_cluster(error: &ClusterError) -> Errno {
    Errno(error.errno().raw_os_error())
}

/// Makes a snapshot. Returns its id.
///
/// # Errors
/// EEXIST if there is one of that name in that namespace; of the class methods.
pub(super) fn create(image: &Image, name: &[u8], namespace: &SnapshotNamespace) -> Result<u64, Errno> {
    let cluster = image.ioctx.rados().cluster();
    let id = cluster
        .create_snap(image.data.pool())
        .map_err(|e| from_cluster(&e))?;
    let input = [
        ops::arg(&Bytes::copy_from_slice(name)),
        ops::arg(&id),
        ops::arg(namespace),
    ]
    .concat();
    if let Err(error) = image.exec("snapshot_add", &input) {
        release(image, id)?;
        return Err(error);
    }
    if image.header.has(features::OBJECT_MAP) {
        save_map(image, id)?;
    }
    Ok(id)
}

/// Keeps the head's object map as the snapshot's (`object_map/SnapshotCreateRequest.cc`).
fn save_map(image: &Image, snap: u64) -> Result<(), Errno> {
    let Some(map) = ObjectMap::open(image)? else {
        return Ok(());
    };
    let head = map_oid(&image.id, NOSNAP);
    let data = whole(image, &head)?;
    image
        .ioctx
        .write(&map_oid(&image.id, snap), vec![ops::write_full(data)])?;
    if image.header.has(features::FAST_DIFF) {
        image.ioctx.exec(&head, RBD, "object_map_snap_add", b"")?;
    }
    map.close()
}

/// All of an object.
fn whole(image: &Image, oid: &[u8]) -> Result<Bytes, Errno> {
    let answered = image.ioctx.read(oid, vec![ops::read(0, 0)])?;
    Ok(answered.first().ok_or(Errno::EBADMSG)?.outdata.concat().into())
}

fn release(image: &Image, id: u64) -> Result<(), Errno> {
    let cluster = image.ioctx.rados().cluster();
    match cluster.remove_snap(image.data.pool(), id) {
        Ok(()) => Ok(()),
        Err(error) => match from_cluster(&error) {
            Errno::ENOENT => Ok(()),
            errno => Err(errno),
        },
    }
}

/// Removes a snapshot; one that clones (version 2) need goes to the trash.
///
/// # Errors
/// EBUSY if it is protected, or in the trash already and still needed.
pub(super) fn remove(image: &Image, id: u64) -> Result<(), Errno> {
    let snap = image.header.snaps.get(&id).ok_or(Errno::ENOENT)?;
    let mut trashed = false;
    if snap.namespace.kind() != SnapshotNamespaceType::TRASH {
        match image.exec("snapshot_trash_add", &ops::arg(&id)) {
            Ok(()) | Err(Errno::EEXIST) => trashed = true,
            Err(error) => return Err(error),
        }
    }
    if has_children(image, id)? {
        image.notify_update()?;
        return if trashed { Ok(()) } else { Err(Errno::EBUSY) };
    }
    if is_last_link(&image.header, id) {
        match detach_child(image) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    if image.header.has(features::OBJECT_MAP) {
        remove_map(image, id)?;
    }
    if let SnapshotNamespace::Mirror(details) = &snap.namespace {
        mirror::remove_state(image, id, details)?;
    }
    release(image, id)?;
    match image.exec("snapshot_remove", &ops::arg(&id)) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    image.notify_update()
}

/// Whether clones (version 2) need the snapshot. Those whose pools are gone do not any more.
fn has_children(image: &Image, id: u64) -> Result<bool, Errno> {
    let oid = image.header_oid();
    let input = ops::arg(&id);
    let info: SnapshotInfo = image.ioctx.query(&oid, RBD, "snapshot_get", &input)?;
    if info.child_count == 0 {
        return Ok(false);
    }
    let children: BTreeSet<ChildImageSpec> = match image.ioctx.query(&oid, RBD, "children_list", &input) {
        Err(Errno::ENOENT) => return Ok(false),
        r => r?,
    };
    let mut left = false;
    for child in children {
        if image.ioctx.rados().open_pool_id(child.pool_id).is_ok() {
            left = true;
            continue;
        }
        let input = [input.clone(), ops::arg(&child)].concat();
        match image.exec("child_detach", &input) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

/// Whether this snapshot is all that still takes data from the parent.
fn is_last_link(header: &Header, id: u64) -> bool {
    let linked = |snap: u64| {
        header
            .snaps
            .get(&snap)
            .is_some_and(|s| s.parent_overlap.is_some())
    };
    header.parent.exists()
        && linked(id)
        && !header.has_parent()
        && !header.snaps.keys().any(|other| *other != id && linked(*other))
}

/// Removes a snapshot's object map; what it alone knew goes into the next newer one.
fn remove_map(image: &Image, id: u64) -> Result<(), Errno> {
    let oid = map_oid(&image.id, id);
    if image.header.has(features::FAST_DIFF) {
        let next = image
            .header
            .snaps
            .keys()
            .copied()
            .find(|s| *s > id)
            .unwrap_or(NOSNAP);
        let held = match next {
            NOSNAP => ObjectMap::open(image)?,
            _ => None,
        };
        match image
            .ioctx
            .read(&oid, vec![ops::call(RBD, "object_map_load", b"")])
        {
            Ok(answered) => {
                let removed = answered.first().ok_or(Errno::EBADMSG)?.outdata.concat();
                let next = map_oid(&image.id, next);
                match image.ioctx.exec(&next, RBD, "object_map_snap_remove", &removed) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        if let Some(map) = held {
            map.close()?;
        }
    }
    image.ioctx.remove_if_any(&oid)?;
    Ok(())
}
