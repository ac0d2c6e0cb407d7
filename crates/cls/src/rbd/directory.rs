//! The directory of a pool or namespace: names to ids and back. Groups have one of the same form.

use bytes::Bytes;
use encoding::{Encode, Errno, Features, cls::rbd::DirectoryState};

use super::is_valid_id;
use crate::{
    ObjectContext, Result,
    support::{
        Ctx, arg, args, check_exists, done, key, list, list_args, need_key, reply_with, rm_key, stored,
        write_key,
    },
};

const ID_PREFIX: &str = "id_";
const NAME_PREFIX: &str = "name_";

/// Adds a name and its id; EEXIST if the name is taken, EBADF if the id is and must not be.
pub(super) fn add(ctx: &mut Ctx<'_>, name: &Bytes, id: &Bytes, unique_id: bool) -> Result<Bytes> {
    if name.is_empty() || !is_valid_id(id) {
        return Err(Errno::EINVAL);
    }
    let (name_key, id_key) = (key(NAME_PREFIX, name), key(ID_PREFIX, id));
    if ctx.omap_get(&name_key)?.is_some() {
        return Err(Errno::EEXIST);
    }
    if unique_id && ctx.omap_get(&id_key)?.is_some() {
        return Err(Errno::EBADF);
    }
    ctx.omap_set(vec![
        (name_key, id.to_bytes(Features::ALL)),
        (id_key, name.to_bytes(Features::ALL)),
    ])?;
    done()
}

/// Removes a name and its id; ESTALE if they do not belong together.
pub(super) fn remove(ctx: &mut Ctx<'_>, name: &Bytes, id: &Bytes) -> Result<Bytes> {
    let (name_key, id_key) = (key(NAME_PREFIX, name), key(ID_PREFIX, id));
    let stored_id: Bytes = need_key(ctx, &name_key)?;
    let stored_name: Bytes = need_key(ctx, &id_key)?;
    if stored_name != *name || stored_id != *id {
        return Err(Errno::ESTALE);
    }
    rm_key(ctx, name_key)?;
    rm_key(ctx, id_key)?;
    done()
}

/// Gives an id another name; EEXIST if that is taken, even by the id itself.
pub(super) fn rename(ctx: &mut Ctx<'_>, input: &Bytes) -> Result<Bytes> {
    let (from, to, id) = args(input, |r| Ok((r.blob()?, r.blob()?, r.blob()?)))?;
    remove(ctx, &from, &id)?;
    if from == to {
        // Ceph looks for the new name among what was stored before, where the old one still is.
        return Err(Errno::EEXIST);
    }
    add(ctx, &to, &id, false)
}

/// Names and ids from a directory.
pub(super) fn list_names(ctx: &Ctx<'_>, input: &Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(input)?;
    let names = list(
        ctx,
        &key(NAME_PREFIX, start_after),
        NAME_PREFIX,
        max,
        stored::<Bytes>,
    )?;
    reply_with(&names)
}

pub(super) fn name_and_id(input: &Bytes) -> Result<(Bytes, Bytes)> {
    arg(input)
}

/// `rbd.dir_add_image`.
pub(crate) fn dir_add_image(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    ctx.create(false)?;
    let (name, id) = name_and_id(&input)?;
    add(ctx, &name, &id, true)
}

/// `rbd.dir_remove_image`.
pub(crate) fn dir_remove_image(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (name, id) = name_and_id(&input)?;
    remove(ctx, &name, &id)
}

/// `rbd.dir_rename_image`: from, to, id.
pub(crate) fn dir_rename_image(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    rename(ctx, &input)
}

/// `rbd.dir_get_id`: the id of a name.
pub(crate) fn dir_get_id(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let name: Bytes = arg(&input)?;
    reply_with(&need_key::<Bytes>(ctx, key(NAME_PREFIX, name))?)
}

/// `rbd.dir_get_name`: the name of an id.
pub(crate) fn dir_get_name(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    reply_with(&need_key::<Bytes>(ctx, key(ID_PREFIX, id))?)
}

/// `rbd.dir_list`: names and ids.
pub(crate) fn dir_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    list_names(ctx, &input)
}

/// `rbd.dir_state_assert`: ENOENT unless the directory is in that state.
pub(crate) fn dir_state_assert(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let state: DirectoryState = arg(&input)?;
    if need_key::<DirectoryState>(ctx, "state")? != state {
        return Err(Errno::ENOENT);
    }
    done()
}

/// `rbd.dir_state_set`: EBUSY if images are to be refused while there are some.
pub(crate) fn dir_state_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let state: DirectoryState = arg(&input)?;
    match state {
        DirectoryState::READY => {}
        DirectoryState::ADD_DISABLED => {
            check_exists(ctx)?;
            let (names, _) = ctx.omap_vals(NAME_PREFIX.as_bytes(), NAME_PREFIX.as_bytes(), 1)?;
            if !names.is_empty() {
                return Err(Errno::EBUSY);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    write_key(ctx, "state", &state)?;
    done()
}
