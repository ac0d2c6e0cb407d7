//! Mirroring of a pool or namespace: its mode, its own id, and the namespace it is mirrored with.

use bytes::Bytes;
use encoding::{Errno, cls::rbd::MirrorMode};

use super::mirror_peer;
use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, done, need_key, read_key, reply_with, rm_key_if_any, write_key},
};

const UUID: &str = "mirror_uuid";
const MODE: &str = "mirror_mode";
const REMOTE_NAMESPACE: &str = "remote_namespace";

/// The pool's own id; its value has no length before it.
pub(super) fn uuid(ctx: &Ctx<'_>) -> Result<Bytes> {
    ctx.omap_get(UUID.as_bytes())?.ok_or(Errno::ENOENT)
}

/// EINVAL unless the pool is mirrored.
pub(super) fn check_enabled(ctx: &Ctx<'_>) -> Result<()> {
    match mode(ctx)? {
        MirrorMode::DISABLED => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

fn mode(ctx: &Ctx<'_>) -> Result<MirrorMode> {
    Ok(read_key(ctx, MODE)?.unwrap_or(MirrorMode::DISABLED))
}

/// `rbd.mirror_uuid_get`.
pub(crate) fn mirror_uuid_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&uuid(ctx)?)
}

/// `rbd.mirror_uuid_set`: EINVAL while the pool is mirrored.
pub(crate) fn mirror_uuid_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let uuid: Bytes = arg(&input)?;
    if uuid.is_empty() || mode(ctx)? != MirrorMode::DISABLED {
        return Err(Errno::EINVAL);
    }
    ctx.omap_set(vec![(Bytes::from_static(UUID.as_bytes()), uuid)])?;
    done()
}

/// `rbd.mirror_mode_get`: ENOENT if the pool never was mirrored.
pub(crate) fn mirror_mode_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&need_key::<MirrorMode>(ctx, MODE)?)
}

/// `rbd.mirror_mode_set`: EBUSY if mirroring is to end while there are peers.
pub(crate) fn mirror_mode_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let mode: MirrorMode = arg(&input)?;
    match mode {
        MirrorMode::DISABLED => {
            if !mirror_peer::all(ctx)?.is_empty() {
                return Err(Errno::EBUSY);
            }
            for key in [MODE, UUID, REMOTE_NAMESPACE] {
                rm_key_if_any(ctx, key)?;
            }
        }
        MirrorMode::IMAGE | MirrorMode::POOL | MirrorMode::INIT_ONLY => {
            uuid(ctx).map_err(|e| if e == Errno::ENOENT { Errno::EINVAL } else { e })?;
            write_key(ctx, MODE, &mode)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    done()
}

/// `rbd.mirror_remote_namespace_get`.
pub(crate) fn mirror_remote_namespace_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&need_key::<Bytes>(ctx, REMOTE_NAMESPACE)?)
}

/// `rbd.mirror_remote_namespace_set`: EINVAL once images are mirrored.
pub(crate) fn mirror_remote_namespace_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let namespace: Bytes = arg(&input)?;
    if !matches!(mode(ctx)?, MirrorMode::DISABLED | MirrorMode::INIT_ONLY) {
        return Err(Errno::EINVAL);
    }
    write_key(ctx, REMOTE_NAMESPACE, &namespace)?;
    done()
}
