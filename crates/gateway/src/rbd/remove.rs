//! Removing images (Ceph `src/librbd/image/PreRemoveRequest.cc`, `RemoveRequest.cc`, `src/librbd/api/Image.cc`).

use std::collections::BTreeSet;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{
        GroupSpec, NOSNAP, SnapshotNamespaceType, TrashImageSource, TrashImageState, features, object_state,
    },
    types::EntityName,
};

use super::{
    Image, Progress, RBD,
    detach::detach_child,
    directory,
    image::header_oid,
    journal,
    lock::{Session, Wish},
    mirror,
    object_map::{ObjectMap, map_oid},
    snapshot, trash,
};
use crate::rados::{IoCtx, ops};

/// Objects whose removal the object map is told of at once.
const BATCH: u64 = 64;

/// What belongs to a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// The image is removed though it cannot be locked.
    pub force: bool,
    /// An image whose name is gone already.
    pub from_trash: bool,
    /// An image that is being migrated: the migration itself removes it.
    pub migrating: bool,
}

/// Removes the image of that name, by way of the trash.
///
/// # Errors
/// ENOENT if there is no such image; EBUSY if it is in use, ENOTEMPTY if it has snapshots, EMLINK if it is in a
/// group; what `progress` answers: then the image stays in the trash.
pub fn remove_by_name(ioctx: &IoCtx, name: &[u8], progress: Progress<'_>) -> Result<(), Errno> {
    let id = match directory::id_of(ioctx, name) {
        Err(Errno::ENOENT) => return resume(ioctx, name, progress),
        r => r?,
    };
    match Image::open_by_id(ioctx, &id) {
        Ok(mut image) => {
            let session = Session::open(&image)?;
            prepare(&mut image, &session, false, false)?;
        }
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    // The wait for the lock may have been long.
    progress(0, 1)?;
    trash::move_there(ioctx, TrashImageSource::REMOVING, name, &id)?;
    let removed = trash::remove(ioctx, &id, true, progress);
    if let Err(Errno::ENOTEMPTY | Errno::EBUSY | Errno::EMLINK) = removed {
        // It can be tried again when the reason is gone; the name must not be lost meanwhile.
        if let Err(error) = trash::restore(ioctx, TrashImageSource::REMOVING, &id, name) {
            tracing::warn!(%error, image = %String::from_utf8_lossy(name), "an image that could not be removed stays in the trash");
        }
    }
    removed
}

/// Goes on with a removal that was interrupted: its image is in the trash.
fn resume(ioctx: &IoCtx, name: &[u8], progress: Progress<'_>) -> Result<(), Errno> {
    let found = trash::entries(ioctx)?
        .into_iter()
        .find(|(_, spec)| spec.source == TrashImageSource::REMOVING && spec.name == name);
    let (id, spec) = found.ok_or(Errno::ENOENT)?;
    if spec.state == TrashImageState::MOVING {
        trash::move_there(ioctx, spec.source, name, &id)?;
    }
    trash::remove(ioctx, &id, true, progress)
}

/// Makes sure that an image can be removed: takes its lock, and removes snapshots that wait in the trash for clones that
/// are gone. Looks at the header again.
fn prepare(image: &mut Image, session: &Session, force: bool, migrating: bool) -> Result<(), Errno> {
    image.check_operable()?;
    // Who uses the image must not lose its lock, even for a moment, for nothing.
    check_unused(image)?;
    session.keep();
    match session.acquire(Wish::Ask) {
        Ok(()) => {}
        Err(Errno::EBLOCKLISTED) => return Err(Errno::EBLOCKLISTED),
        Err(_) if force => {}
        Err(_) => return Err(Errno::EBUSY),
    }
    image.refresh()?;
    if image.header.has(features::MIGRATING) && !migrating {
        return Err(Errno::EBUSY);
    }
    check_unused(image)?;
    let group: GroupSpec = image
        .ioctx
        .query(&image.header_oid(), RBD, "image_group_get", b"")?;
    if group.pool_id != -1 && !group.group_id.is_empty() {
        return Err(Errno::EMLINK);
    }
    let mut needed = false;
    let trashed: Vec<u64> = image
        .header
        .snaps
        .iter()
        .filter(|(_, s)| s.namespace.kind() == SnapshotNamespaceType::TRASH)
        .map(|(id, _)| *id)
        .collect();
    for snap in trashed {
        match snapshot::remove(image, snap) {
            Ok(()) | Err(Errno::ENOENT) => image.refresh()?,
            Err(Errno::EBUSY) => needed = true,
            Err(error) => return Err(error),
        }
    }
    if needed { Err(Errno::ENOTEMPTY) } else { Ok(()) }
}

/// ENOTEMPTY if the image has snapshots that somebody wants, EBUSY if somebody has it open.
fn check_unused(image: &Image) -> Result<(), Errno> {
    for snap in image.header.snaps.values() {
        match snap.namespace.kind() {
            SnapshotNamespaceType::TRASH | SnapshotNamespaceType::MIRROR => {}
            _ => return Err(Errno::ENOTEMPTY),
        }
    }
    if is_watched_by_others(image)? {
        return Err(Errno::EBUSY);
    }
    Ok(())
}

/// Whether others than this client, and daemons that mirror the pool, have the image open.
///
/// # Errors
/// Of reading.
pub(super) fn is_watched_by_others(image: &Image) -> Result<bool, Errno> {
    let own = image.ioctx.rados().name();
    let mirrors: BTreeSet<EntityName> = match image.ioctx.watchers(mirror::MIRRORING) {
        Ok(watchers) => watchers.into_iter().map(|w| w.name).collect(),
        Err(Errno::ENOENT) => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    let watchers = image.ioctx.watchers(&image.header_oid())?;
    Ok(watchers
        .iter()
        .any(|w| w.name != own && !mirrors.contains(&w.name)))
}

/// Removes the image of that id: its data, its links, its header and what else there is of it.
///
/// # Errors
/// As [`remove_by_name`].
pub(super) fn remove_image(
    ioctx: &IoCtx,
    id: &Bytes,
    how: Removal,
    progress: Progress<'_>,
) -> Result<(), Errno> {
    let mut name = Bytes::new();
    match Image::open_by_id(ioctx, id) {
        Ok(mut image) => {
            name = image.name.clone();
            let session = Session::open(&image)?;
            prepare(&mut image, &session, how.force, how.migrating)?;
            trim(&image, &session, progress)?;
            detach_child(&image)?;
            mirror::disable(&mut image)?;
            if !image.header.snaps.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
        }
        // An earlier removal got as far as that.
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    ioctx.remove_if_any(&header_oid(id))?;
    journal::remove(ioctx, id)?;
    ioctx.remove_if_any(&map_oid(id, NOSNAP))?;
    match ioctx.exec(mirror::MIRRORING, RBD, "mirror_image_remove", &ops::arg(id)) {
        Ok(()) | Err(Errno::ENOENT | Errno::EOPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    if how.from_trash || name.is_empty() {
        return Ok(());
    }
    ioctx.remove_if_any(&directory::id_oid(&name))?;
    let input = [ops::arg(&name), ops::arg(id)].concat();
    match ioctx.exec(directory::DIRECTORY, RBD, "dir_remove_image", &input) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes all data objects.
fn trim(image: &Image, session: &Session, progress: Progress<'_>) -> Result<(), Errno> {
    let mut map = if session.is_owner() {
        ObjectMap::open(image)?
    } else {
        None
    };
    let total = image.objects_at(NOSNAP);
    let mut start = 0;
    while start < total {
        let end = (start + BATCH).min(total);
        let there = |o: &u64| map.as_ref().is_none_or(|m| m.may_exist(*o));
        let objects: Vec<u64> = (start..end).filter(there).collect();
        if !objects.is_empty() {
            if let Some(map) = &mut map {
                map.set_range(start, end, object_state::PENDING, object_state::EXISTS)?;
            }
            remove_objects(image, &objects)?;
            if let Some(map) = &mut map {
                map.set_range(start, end, object_state::NONEXISTENT, object_state::PENDING)?;
            }
        }
        start = end;
        progress(start, total)?;
    }
    match map {
        Some(map) => map.close(),
        None => Ok(()),
    }
}

fn remove_objects(image: &Image, objects: &[u64]) -> Result<(), Errno> {
    let mut pending = Vec::new();
    for &object in objects {
        let vector = vec![ops::remove()];
        pending.push(
            image
                .data
                .submit_write(&image.object(object), vector, &image.header.snapc)?,
        );
    }
    for removal in pending {
        match removal.wait() {
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
