//! Groups of images: the directory of groups, a group's header, and the image's link to its group.

use bytes::Bytes;
use encoding::Decode;
use encoding::{
    Errno,
    cls::rbd::{GroupImageLinkState, GroupImageSpec, GroupImageStatus, GroupSpec, features},
};

use super::{directory, set_op_features};
use crate::{
    ObjectContext, Result,
    support::{Walk, arg, args, done, reply_with, rm_key, scan, stored, write_key},
};

/// `RBD_GROUP_REF`.
const GROUP_REF: &str = "rbd_group_ref";
const IMAGE_PREFIX: &str = "image_";

/// `rbd.group_dir_list`: names and ids.
pub(crate) fn group_dir_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    directory::list_names(ctx, &input)
}

/// `rbd.group_dir_add`: name and id.
pub(crate) fn group_dir_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    ctx.create(false)?;
    let (name, id) = directory::name_and_id(&input)?;
    directory::add(ctx, &name, &id, true)
}

/// `rbd.group_dir_remove`: name and id.
pub(crate) fn group_dir_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (name, id) = directory::name_and_id(&input)?;
    directory::remove(ctx, &name, &id)
}

/// `rbd.group_dir_rename`: from, to, id.
pub(crate) fn group_dir_rename(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    directory::rename(ctx, &input)
}

/// `rbd.group_image_set`: an image is in the group, or about to be.
pub(crate) fn group_image_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let status: GroupImageStatus = arg(&input)?;
    write_key(ctx, status.spec.image_key(), &status.state)?;
    done()
}

/// `rbd.group_image_remove`.
pub(crate) fn group_image_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let spec: GroupImageSpec = arg(&input)?;
    rm_key(ctx, spec.image_key())?;
    done()
}

/// `rbd.group_image_list`: the images of the group.
pub(crate) fn group_image_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = args(&input, |r| Ok((GroupImageSpec::decode(r)?, r.u64()?)))?;
    let mut images: Vec<GroupImageStatus> = Vec::new();
    scan(ctx, &start_after.image_key(), IMAGE_PREFIX, |key, value| {
        if images.len() as u64 >= max {
            return Ok(Walk::Stop);
        }
        let state: GroupImageLinkState = stored(value)?;
        let spec = GroupImageSpec::from_key(key).ok_or(Errno::EIO)?;
        images.push(GroupImageStatus { spec, state });
        Ok(Walk::On)
    })?;
    reply_with(&images)
}

/// `rbd.image_group_add`: EEXIST if the image is in another group.
pub(crate) fn image_group_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let group: GroupSpec = arg(&input)?;
    if let Some(value) = ctx.omap_get(GROUP_REF.as_bytes())? {
        let old: GroupSpec = arg(&value)?;
        return if old == group { done() } else { Err(Errno::EEXIST) };
    }
    set_op_features(ctx, features::OP_GROUP, features::OP_GROUP)?;
    write_key(ctx, GROUP_REF, &group)?;
    done()
}

/// `rbd.image_group_remove`: EBADF if the image is in another group.
pub(crate) fn image_group_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let group: GroupSpec = arg(&input)?;
    let value = ctx.omap_get(GROUP_REF.as_bytes())?.ok_or(Errno::ENOENT)?;
    if arg::<GroupSpec>(&value)? != group {
        return Err(Errno::EBADF);
    }
    rm_key(ctx, GROUP_REF)?;
    set_op_features(ctx, 0, features::OP_GROUP)?;
    done()
}

/// `rbd.image_group_get`: the image's group, or none.
pub(crate) fn image_group_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let group = match ctx.omap_get(GROUP_REF.as_bytes())? {
        None => GroupSpec::default(),
        Some(value) => arg(&value)?,
    };
    reply_with(&group)
}
