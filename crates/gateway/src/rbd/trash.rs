//! The trash of a pool or namespace (Ceph `src/librbd/api/Trash.cc`, `src/librbd/trash`).

use std::{collections::BTreeMap, time::SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Encode, Errno, Features,
    cls::rbd::{TrashImageSource, TrashImageSpec, TrashImageState, features},
    codec::Put,
    types::Utime,
};

use super::{
    Image, Progress, RBD, directory,
    lock::{self, Session, Wish},
    messages::NOTIFY_TIMEOUT,
    mirror,
    remove::{Removal, remove_image},
};
use crate::rados::{IoCtx, ops};

/// `RBD_TRASH`.
const TRASH: &[u8] = b"rbd_trash";
/// Entries that one request asks for.
const PAGE: u64 = 1024;

/// What the trash knows of an image.
///
/// # Errors
/// ENOENT if it is not there.
pub fn get(ioctx: &IoCtx, id: &[u8]) -> Result<TrashImageSpec, Errno> {
    let input = ops::arg(&Bytes::copy_from_slice(id));
    ioctx.query(TRASH, RBD, "trash_get", &input)
}

/// All that is in the trash, by image id.
///
/// # Errors
/// Of reading; no trash is an empty one.
pub fn entries(ioctx: &IoCtx) -> Result<BTreeMap<Bytes, TrashImageSpec>, Errno> {
    let mut all = BTreeMap::new();
    loop {
        let after = all.keys().next_back().cloned().unwrap_or_default();
        let input = (after, PAGE).to_bytes(Features::ALL);
        let page: BTreeMap<Bytes, TrashImageSpec> = match ioctx.query(TRASH, RBD, "trash_list", &input) {
            Err(Errno::ENOENT) => return Ok(all),
            r => r?,
        };
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn set_state(ioctx: &IoCtx, id: &[u8], to: TrashImageState, from: TrashImageState) -> Result<(), Errno> {
    let input = [
        ops::arg(&Bytes::copy_from_slice(id)),
        ops::arg(&to),
        ops::arg(&from),
    ]
    .concat();
    ioctx.exec(TRASH, RBD, "trash_state_set", &input)
}

/// `TrashWatcher`: tells daemons that mirror the pool of a change. They may be gone: that is no error.
fn notify(ioctx: &IoCtx, added: Option<&TrashImageSpec>, id: &[u8]) {
    let mut out = BytesMut::new();
    out.put_frame(1, 1, |out| {
        out.put_u32_le(u32::from(added.is_none()));
        out.put_blob(id);
        if let Some(spec) = added {
            spec.encode(out, Features::ALL);
        }
    });
    if let Err(error) = ioctx.notify(TRASH, &out, NOTIFY_TIMEOUT) {
        tracing::debug!(%error, "nobody was told of a change of the trash");
    }
}

/// Moves an image to the trash at once, or goes on with that. Nobody may use it.
///
/// # Errors
/// EBUSY if the lock cannot be had, or the image is being migrated.
pub fn move_there(ioctx: &IoCtx, source: TrashImageSource, name: &[u8], id: &Bytes) -> Result<(), Errno> {
    match Image::open_by_id(ioctx, id) {
        Ok(mut image) => {
            let session = Session::open(&image)?;
            match session.acquire(Wish::Ask) {
                Ok(()) => {}
                Err(Errno::EBLOCKLISTED) => return Err(Errno::EBLOCKLISTED),
                Err(_) => return Err(Errno::EBUSY),
            }
            image.refresh()?;
            if image.header.has(features::MIGRATING) {
                return Err(Errno::EBUSY);
            }
            mirror::disable(&mut image)?;
        }
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let now = lock::now();
    let mut spec = TrashImageSpec {
        source,
        name: Bytes::copy_from_slice(name),
        deletion_time: now,
        deferment_end_time: now,
        state: TrashImageState::MOVING,
    };
    match ioctx.exec(TRASH, RBD, "trash_add", &[ops::arg(id), ops::arg(&spec)].concat()) {
        // An earlier move was interrupted.
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error),
    }
    ioctx.remove_if_any(&directory::id_oid(name))?;
    let input = [ops::arg(&spec.name), ops::arg(id)].concat();
    match ioctx.exec(directory::DIRECTORY, RBD, "dir_remove_image", &input) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    set_state(ioctx, id, TrashImageState::NORMAL, TrashImageState::MOVING)?;
    spec.state = TrashImageState::NORMAL;
    notify(ioctx, Some(&spec), id);
    Ok(())
}

/// Gives an image in the trash its name back.
///
/// # Errors
/// EINVAL if it was moved there for another reason; EEXIST if another image has the name.
pub fn restore(ioctx: &IoCtx, source: TrashImageSource, id: &Bytes, name: &[u8]) -> Result<(), Errno> {
    let spec = get(ioctx, id)?;
    if spec.source != source {
        return Err(Errno::EINVAL);
    }
    match spec.state {
        TrashImageState::NORMAL | TrashImageState::RESTORING => {}
        _ => return Err(Errno::EBUSY),
    }
    let name = if name.is_empty() { &spec.name[..] } else { name };
    set_state(ioctx, id, TrashImageState::RESTORING, TrashImageState::NORMAL)?;
    if let Err(error) = link(ioctx, id, name) {
        set_state(ioctx, id, TrashImageState::NORMAL, TrashImageState::RESTORING)?;
        return Err(error);
    }
    match ioctx.exec(TRASH, RBD, "trash_remove", &ops::arg(id)) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    notify(ioctx, None, id);
    Ok(())
}

fn link(ioctx: &IoCtx, id: &Bytes, name: &[u8]) -> Result<(), Errno> {
    let oid = directory::id_oid(name);
    match directory::id_of(ioctx, name) {
        Ok(other) if other != *id => return Err(Errno::EEXIST),
        Ok(_) => {}
        Err(Errno::ENOENT) => {
            let vector = vec![ops::create(), ops::call(RBD, "set_id", &ops::arg(id))];
            ioctx.write(&oid, vector)?;
        }
        Err(error) => return Err(error),
    }
    let input = [ops::arg(&Bytes::copy_from_slice(name)), ops::arg(id)].concat();
    match ioctx.exec(directory::DIRECTORY, RBD, "dir_add_image", &input) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes an image that is in the trash. `force`: before its time.
///
/// # Errors
/// ENOENT if it is not there; EPERM if its time has not come; EUCLEAN or EBUSY if it is being moved there or restored; as
/// [`super::remove_by_name`].
pub fn remove(ioctx: &IoCtx, id: &Bytes, force: bool, progress: Progress<'_>) -> Result<(), Errno> {
    let spec = get(ioctx, id)?;
    if !force && lock::now() < spec.deferment_end_time {
        return Err(Errno::EPERM);
    }
    match spec.state {
        TrashImageState::NORMAL | TrashImageState::REMOVING => {}
        TrashImageState::MOVING => return Err(Errno::EUCLEAN),
        _ => return Err(Errno::EBUSY),
    }
    remove_with(ioctx, id, force, progress)?;
    notify(ioctx, None, id);
    Ok(())
}

/// Removes an image in the trash whose state was looked at.
///
/// # Errors
/// As [`remove`].
pub fn remove_entry(ioctx: &IoCtx, id: &Bytes, progress: Progress<'_>) -> Result<(), Errno> {
    remove_with(ioctx, id, false, progress)
}

fn remove_with(ioctx: &IoCtx, id: &Bytes, force: bool, progress: Progress<'_>) -> Result<(), Errno> {
    set_state(ioctx, id, TrashImageState::REMOVING, TrashImageState::NORMAL)?;
    let how = Removal {
        force,
        from_trash: true,
        migrating: false,
    };
    if let Err(error) = remove_image(ioctx, id, how, progress) {
        if error != Errno::EBLOCKLISTED {
            set_state(ioctx, id, TrashImageState::NORMAL, TrashImageState::REMOVING)?;
        }
        return Err(error);
    }
    forget(ioctx, id)
}

/// Takes an image off the trash that is gone.
///
/// # Errors
/// Of the class method.
pub fn forget(ioctx: &IoCtx, id: &Bytes) -> Result<(), Errno> {
    match ioctx.exec(TRASH, RBD, "trash_remove", &ops::arg(id)) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes from the trash what users moved there and whose time has come.
///
/// # Errors
/// Why the first image that stays could not be removed.
pub fn purge(ioctx: &IoCtx, now: SystemTime) -> Result<(), Errno> {
    let now = Utime::from_system_time(now);
    let is_users =
        |s: &TrashImageSpec| [TrashImageSource::USER, TrashImageSource::USER_PARENT].contains(&s.source);
    let mut due: Vec<Bytes> = entries(ioctx)?
        .into_iter()
        .filter(|(_, spec)| is_users(spec) && spec.deferment_end_time <= now)
        .map(|(id, _)| id)
        .collect();
    // A parent goes when its clones have gone: as long as one goes, others may.
    loop {
        let before = due.len();
        let mut kept: Option<Errno> = None;
        let mut left = Vec::new();
        for id in due {
            match remove(ioctx, &id, true, &|_, _| Ok(())) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error @ (Errno::ENOTEMPTY | Errno::EBUSY | Errno::EMLINK | Errno::EUCLEAN)) => {
                    kept.get_or_insert(error);
                    left.push(id);
                }
                Err(error) => return Err(error),
            }
        }
        match kept {
            None => return Ok(()),
            Some(error) if left.len() == before => return Err(error),
            Some(_) => due = left,
        }
    }
}
