//! Mirrored images: which they are, which daemon has them, and their snapshots.

use bytes::Bytes;
use encoding::{
    Decode, Errno,
    cls::rbd::{
        MirrorImage, MirrorImageMap, MirrorImageState, MirrorSnapshotNamespace, MirrorSnapshotState,
        Snapshot, SnapshotNamespace,
    },
};

use super::{mirror_status, snap_key, snapshot};
use crate::{
    ObjectContext, Result,
    support::{
        Ctx, Walk, arg, args, done, key, list, list_args, need_key, read_key, reply_with, rm_key,
        rm_key_if_any, scan, stored, without_prefix, write_key,
    },
};

pub(super) const IMAGE_PREFIX: &str = "image_";
const GLOBAL_PREFIX: &str = "global_";
const INSTANCE_PREFIX: &str = "instance_";
const MAP_PREFIX: &str = "image_map_";

/// The mirrored image of an id here.
pub(super) fn get(ctx: &Ctx<'_>, image_id: &Bytes) -> Result<MirrorImage> {
    need_key(ctx, key(IMAGE_PREFIX, image_id))
}

/// The id here of the image that has that id in all clusters.
pub(super) fn image_id(ctx: &Ctx<'_>, global_id: &Bytes) -> Result<Bytes> {
    need_key(ctx, key(GLOBAL_PREFIX, global_id))
}

/// `rbd.mirror_image_list`: ids here, and in all clusters.
pub(crate) fn mirror_image_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    let images = list(ctx, &key(IMAGE_PREFIX, start_after), IMAGE_PREFIX, max, |v| {
        Ok(stored::<MirrorImage>(v)?.global_image_id)
    })?;
    reply_with(&images)
}

/// `rbd.mirror_image_get_image_id`: the id here of an id in all clusters.
pub(crate) fn mirror_image_get_image_id(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    reply_with(&image_id(ctx, &arg(&input)?)?)
}

/// `rbd.mirror_image_get`.
pub(crate) fn mirror_image_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    reply_with(&get(ctx, &arg(&input)?)?)
}

/// `rbd.mirror_image_set`: EEXIST if another image has that id in all clusters, EINVAL if the image has another.
pub(crate) fn mirror_image_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, image) = args(&input, |r| Ok((r.blob()?, MirrorImage::decode(r)?)))?;
    match get(ctx, &id) {
        Ok(old) if old.global_image_id != image.global_image_id => return Err(Errno::EINVAL),
        Ok(_) => {}
        Err(Errno::ENOENT) => {
            if read_key::<Bytes>(ctx, key(GLOBAL_PREFIX, &image.global_image_id))?.is_some() {
                return Err(Errno::EEXIST);
            }
            if image.state == MirrorImageState::DISABLING {
                return Err(Errno::ENOENT);
            }
        }
        Err(e) => return Err(e),
    }
    write_key(ctx, key(IMAGE_PREFIX, &id), &image)?;
    write_key(ctx, key(GLOBAL_PREFIX, &image.global_image_id), &id)?;
    done()
}

/// `rbd.mirror_image_remove`: EBUSY unless mirroring is being switched off.
pub(crate) fn mirror_image_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    let image = get(ctx, &id)?;
    if image.state != MirrorImageState::DISABLING {
        return Err(Errno::EBUSY);
    }
    rm_key(ctx, key(IMAGE_PREFIX, &id))?;
    rm_key_if_any(ctx, key(GLOBAL_PREFIX, &image.global_image_id))?;
    mirror_status::remove(ctx, &image.global_image_id)?;
    done()
}

/// `rbd.mirror_instances_list`: the daemons.
pub(crate) fn mirror_instances_list(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let mut ids: Vec<Bytes> = Vec::new();
    scan(ctx, INSTANCE_PREFIX.as_bytes(), INSTANCE_PREFIX, |key, _| {
        ids.push(without_prefix(key, INSTANCE_PREFIX));
        Ok(Walk::On)
    })?;
    reply_with(&ids)
}

/// `rbd.mirror_instances_add`.
pub(crate) fn mirror_instances_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    ctx.omap_set(vec![(key(INSTANCE_PREFIX, id), Bytes::new())])?;
    done()
}

/// `rbd.mirror_instances_remove`.
pub(crate) fn mirror_instances_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    rm_key(ctx, key(INSTANCE_PREFIX, id))?;
    done()
}

/// `rbd.mirror_image_map_list`: which daemon has which image. Ceph answers EINVAL to a malformed entry here.
pub(crate) fn mirror_image_map_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    reply_with(&list(
        ctx,
        &key(MAP_PREFIX, start_after),
        MAP_PREFIX,
        max,
        arg::<MirrorImageMap>,
    )?)
}

/// `rbd.mirror_image_map_update`.
pub(crate) fn mirror_image_map_update(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (global_id, map) = args(&input, |r| Ok((r.blob()?, MirrorImageMap::decode(r)?)))?;
    write_key(ctx, key(MAP_PREFIX, global_id), &map)?;
    done()
}

/// `rbd.mirror_image_map_remove`.
pub(crate) fn mirror_image_map_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let global_id: Bytes = arg(&input)?;
    rm_key_if_any(ctx, key(MAP_PREFIX, global_id))?;
    done()
}

/// Changes what makes a snapshot a mirror's; EINVAL if it is none.
fn update_snapshot(
    ctx: &mut Ctx<'_>,
    snap_id: u64,
    change: impl FnOnce(&mut MirrorSnapshotNamespace) -> Result<()>,
) -> Result<Bytes> {
    let mut snap: Snapshot = need_key(ctx, snap_key(snap_id))?;
    let SnapshotNamespace::Mirror(mirror) = &mut snap.snapshot_namespace else {
        return Err(Errno::EINVAL);
    };
    change(mirror)?;
    snapshot::write(ctx, snap_id, snap)?;
    done()
}

/// `rbd.mirror_image_snapshot_unlink_peer`: a peer needs the snapshot no more.
pub(crate) fn mirror_image_snapshot_unlink_peer(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (snap_id, peer): (u64, Bytes) = arg(&input)?;
    update_snapshot(ctx, snap_id, |mirror| {
        if mirror.mirror_peer_uuids.remove(&peer) {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    })
}

/// `rbd.mirror_image_snapshot_set_copy_progress`: whether all is copied, and up to which object.
pub(crate) fn mirror_image_snapshot_set_copy_progress(
    ctx: &mut dyn ObjectContext,
    input: Bytes,
) -> Result<Bytes> {
    let (snap_id, complete, object) = args(&input, |r| Ok((r.u64()?, r.bool()?, r.u64()?)))?;
    update_snapshot(ctx, snap_id, |mirror| {
        mirror.complete = complete;
        if matches!(
            mirror.state,
            MirrorSnapshotState::NON_PRIMARY | MirrorSnapshotState::NON_PRIMARY_DEMOTED
        ) {
            mirror.last_copied_object_number = object;
        }
        Ok(())
    })
}
