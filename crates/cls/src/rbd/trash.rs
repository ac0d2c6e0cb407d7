//! The trash of a pool or namespace: removed images that can be restored.

use bytes::Bytes;
use encoding::{
    Decode, Errno,
    cls::rbd::{TrashImageSpec, TrashImageState},
};

use super::is_valid_id;
use crate::{
    ObjectContext, Result,
    support::{
        arg, args, done, key, list, list_args, need_key, read_key, reply_with, rm_key, stored, write_key,
    },
};

const PREFIX: &str = "id_";

/// `rbd.trash_add`: id and description of an image.
pub(crate) fn trash_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    ctx.create(false)?;
    let (id, spec) = args(&input, |r| Ok((r.blob()?, TrashImageSpec::decode(r)?)))?;
    if !is_valid_id(&id) {
        return Err(Errno::EINVAL);
    }
    let key = key(PREFIX, id);
    if read_key::<TrashImageSpec>(ctx, &key)?.is_some() {
        return Err(Errno::EEXIST);
    }
    write_key(ctx, key, &spec)?;
    done()
}

/// `rbd.trash_remove`.
pub(crate) fn trash_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let key = key(PREFIX, arg::<Bytes>(&input)?);
    if ctx.omap_get(&key)?.is_none() {
        return Err(Errno::ENOENT);
    }
    rm_key(ctx, key)?;
    done()
}

/// `rbd.trash_list`: ids and descriptions.
pub(crate) fn trash_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    reply_with(&list(
        ctx,
        &key(PREFIX, start_after),
        PREFIX,
        max,
        stored::<TrashImageSpec>,
    )?)
}

/// `rbd.trash_get`: the description of an image, as it was stored.
pub(crate) fn trash_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    ctx.omap_get(&key(PREFIX, id))?.ok_or(Errno::ENOENT)
}

/// `rbd.trash_state_set`: id, new state, and the state it must have, else ESTALE.
pub(crate) fn trash_state_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, state, expected) = args(&input, |r| {
        Ok((
            r.blob()?,
            TrashImageState::decode(r)?,
            TrashImageState::decode(r)?,
        ))
    })?;
    let key = key(PREFIX, id);
    let mut spec: TrashImageSpec = need_key(ctx, &key)?;
    if spec.state == expected {
        spec.state = state;
        write_key(ctx, key, &spec)?;
    } else if spec.state != state {
        return Err(Errno::ESTALE);
    }
    done()
}
