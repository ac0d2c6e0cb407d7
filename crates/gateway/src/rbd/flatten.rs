//! Flattening: a clone becomes independent of its parent (Ceph `src/librbd/operation/FlattenRequest.cc`,
//! `src/librbd/io/CopyupRequest.cc`).

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{features, object_state},
    types::SnapContext,
};

use super::{
    CONCURRENT, Image, Progress, RBD, RESTART,
    detach::detach_child,
    journal,
    lock::{Session, Wish},
    messages::{self, NotifyOp},
    object_map::ObjectMap,
    view::View,
};
use crate::rados::{IoCtx, ops};

/// Flattens the image of that name. Where another client owns the image's lock, that client does it.
///
/// # Errors
/// ENOENT if there is no such image; EINVAL if it has no parent; EBUSY if it is being migrated; what `progress` answers.
pub fn flatten(ioctx: &IoCtx, name: &[u8], progress: Progress<'_>) -> Result<(), Errno> {
    let mut image = Image::open(ioctx, name)?;
    image.check_operable()?;
    if image.header.has(features::MIGRATING) {
        return Err(Errno::EBUSY);
    }
    if !image.header.has_parent() {
        return Err(Errno::EINVAL);
    }
    let session = Session::open(&image)?;
    loop {
        let outcome = match session.acquire(Wish::Try) {
            Ok(()) => {
                image.refresh()?;
                flatten_owned(&image, &session, progress)
            }
            Err(Errno::EBUSY) => session.ask_owner(|id| messages::operation(NotifyOp::FLATTEN, id), progress),
            Err(error) => return Err(error),
        };
        match outcome {
            Err(RESTART | Errno::ETIMEDOUT) => session.start_over(progress)?,
            r => return r,
        }
        image.refresh()?;
        if !image.header.has_parent() {
            return Ok(());
        }
    }
}

/// Flattens as the owner of the lock.
fn flatten_owned(image: &Image, session: &Session, progress: Progress<'_>) -> Result<(), Errno> {
    // What owners do to a journaled image goes to its journal first. That is for others who read it: what the image's own clients
    // have yet to take from it, writes among it, comes to the same after the image is flattened.
    let journaled = image.header.has(features::JOURNALING);
    if !journaled || !journal::has_other_readers(&image.ioctx, &image.id)? {
        return flatten_unseen(image, session, progress);
    }
    let operation = journal::Operation::flatten(&image.ioctx, &image.id)?;
    let outcome = flatten_unseen(image, session, progress);
    operation.end(outcome).and(outcome)
}

/// The same without its journal.
fn flatten_unseen(image: &Image, session: &Session, progress: Progress<'_>) -> Result<(), Errno> {
    let mut map = ObjectMap::open(image)?;
    let copied = copy_objects(image, session, &mut map, progress);
    if let Some(map) = map {
        map.close()?;
    }
    copied?;
    // Snapshots keep the parent unless they were flattened, too.
    let deep = image.header.has(features::DEEP_FLATTEN);
    if deep || image.header.snaps.is_empty() {
        match detach_child(image) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    match image.exec("parent_detach", b"") {
        Ok(()) | Err(Errno::ENOENT) => image.notify_update(),
        Err(error) => Err(error),
    }
}

/// Copies what the image sees of its parent into its own objects.
fn copy_objects(
    image: &Image,
    session: &Session,
    map: &mut Option<ObjectMap<'_>>,
    progress: Progress<'_>,
) -> Result<(), Errno> {
    let Some((parent, overlap)) = View::parent_of(image)? else {
        return Ok(());
    };
    let layout = image.header.layout;
    let total = layout.objects(overlap.min(image.header.size));
    let mut object = 0;
    while object < total {
        if session.is_wanted() {
            return Err(RESTART);
        }
        let mut batch: Vec<(u64, Bytes)> = Vec::new();
        while object < total && batch.len() < CONCURRENT {
            // The map says nothing about it: it is changed first, and the server may have ended before the object was made.
            if let Some(data) = absent_content(image, &parent, object, overlap)? {
                batch.push((object, data));
            }
            object += 1;
            if object.is_multiple_of(64) {
                progress(object, total)?;
            }
        }
        copy_up(image, map, batch)?;
        progress(object, total)?;
    }
    Ok(())
}

/// What is to become an object that is not there yet; none if it is, or if nothing is to be copied.
fn absent_content(image: &Image, parent: &View, object: u64, overlap: u64) -> Result<Option<Bytes>, Errno> {
    match image.data.read(&image.object(object), vec![ops::stat()]) {
        Ok(_) => Ok(None),
        Err(Errno::ENOENT) => parent.object(&image.header.layout, object, overlap),
        Err(error) => Err(error),
    }
}

/// Makes objects of what their parent has, in the object maps first.
fn copy_up(image: &Image, map: &mut Option<ObjectMap<'_>>, batch: Vec<(u64, Bytes)>) -> Result<(), Errno> {
    if batch.is_empty() {
        return Ok(());
    }
    let deep = image.header.has(features::DEEP_FLATTEN) && !image.header.snaps.is_empty();
    if let Some(map) = map {
        mark_existing(image, map, &batch, deep)?;
    }
    // Without snapshots in its context the object is from before all of them: they see it, too.
    let snapc = if deep {
        SnapContext::default()
    } else {
        image.header.snapc.clone()
    };
    let mut pending = Vec::new();
    for (object, data) in batch {
        let vector = vec![ops::call(RBD, "copyup", &data)];
        pending.push(image.data.submit_write(&image.object(object), vector, &snapc)?);
    }
    for write in pending {
        write.wait()?;
    }
    Ok(())
}

/// Notes in the maps of the head and, if they will see them, of the snapshots that objects exist.
fn mark_existing(
    image: &Image,
    map: &mut ObjectMap<'_>,
    batch: &[(u64, Bytes)],
    deep: bool,
) -> Result<(), Errno> {
    let fast_diff = image.header.has(features::FAST_DIFF);
    if deep {
        for (n, &snap) in image.header.snaps.keys().enumerate() {
            // The oldest one has the data, the others have it unchanged.
            let clean = fast_diff && n > 0;
            let state = if clean {
                object_state::EXISTS_CLEAN
            } else {
                object_state::EXISTS
            };
            for (object, _) in batch {
                map.set_in_snapshot(snap, *object, state)?;
            }
        }
    }
    let clean = deep && fast_diff;
    let state = if clean {
        object_state::EXISTS_CLEAN
    } else {
        object_state::EXISTS
    };
    map.set(
        &batch
            .iter()
            .map(|(object, _)| (*object, state))
            .collect::<Vec<_>>(),
    )
}
