//! Images in groups (Ceph `src/librbd/api/Group.cc`).

use encoding::{
    Errno,
    cls::rbd::{GroupImageLinkState, GroupImageSpec, GroupImageStatus, GroupSpec},
};

use super::{Image, RBD};
use crate::rados::{IoCtx, ops};

/// The group that an image is in.
///
/// # Errors
/// Of reading.
pub(super) fn of(image: &Image) -> Result<Option<GroupSpec>, Errno> {
    let group: GroupSpec = image
        .ioctx
        .query(&image.header_oid(), RBD, "image_group_get", b"")?;
    Ok((group.pool_id != -1).then_some(group))
}

/// Where a group is that an image is in, and the name of the object that lists its images. Both are in one namespace.
fn header(image: &Image, group: &GroupSpec) -> Result<(IoCtx, Vec<u8>), Errno> {
    let pool = image.ioctx.rados().open_pool_id(group.pool_id)?;
    let pool = pool.with_namespace(image.ioctx.nspace().clone());
    let oid = [b"rbd_group_header.", group.group_id.as_ref()].concat();
    Ok((pool, oid))
}

fn spec_of(image: &Image) -> GroupImageSpec {
    GroupImageSpec {
        image_id: image.id.clone(),
        pool_id: image.ioctx.pool(),
    }
}

fn list(image: &Image, group: &GroupSpec, state: GroupImageLinkState) -> Result<(), Errno> {
    let (pool, oid) = header(image, group)?;
    let status = GroupImageStatus {
        spec: spec_of(image),
        state,
    };
    pool.exec(&oid, RBD, "group_image_set", &ops::arg(&status))
}

/// Adds an image to a group; it may have been added by an attempt that was interrupted.
///
/// # Errors
/// EEXIST if it is in another one.
pub(super) fn add(image: &Image, group: &GroupSpec) -> Result<(), Errno> {
    list(image, group, GroupImageLinkState::INCOMPLETE)?;
    image.exec("image_group_add", &ops::arg(group))?;
    list(image, group, GroupImageLinkState::ATTACHED)?;
    image.notify_update()
}

/// Removes an image from the group that it is in.
///
/// # Errors
/// Of the class methods.
pub(super) fn remove(image: &Image, group: &GroupSpec) -> Result<(), Errno> {
    list(image, group, GroupImageLinkState::INCOMPLETE)?;
    match image.exec("image_group_remove", &ops::arg(group)) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let (pool, oid) = header(image, group)?;
    match pool.exec(&oid, RBD, "group_image_remove", &ops::arg(&spec_of(image))) {
        Ok(()) | Err(Errno::ENOENT) => image.notify_update(),
        Err(error) => Err(error),
    }
}
