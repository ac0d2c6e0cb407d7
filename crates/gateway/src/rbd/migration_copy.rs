//! Copying the data of an image that is being migrated, its snapshots included (Ceph
//! `src/librbd/operation/MigrateRequest.cc`, `src/librbd/deep_copy/ObjectCopyRequest.cc`).

use bytes::Bytes;
use encoding::{
    Encode, Errno, Features,
    cls::rbd::{ASSERT_SNAPC_SEQ_GT_SNAPSET_SEQ, MigrationSpec, NOSNAP, features, object_state},
    types::SnapContext,
};

use super::{Image, Progress, RBD, RESTART, lock::Session, object_map::ObjectMap, view::View};
use crate::rados::ops;

/// The image at one of its states, the oldest first: as it was, and the snapshot that it becomes.
struct State {
    view: View,
    dest: u64,
}

/// Copies the objects of the source that the destination has not got yet.
pub(super) fn copy(
    source: &Image,
    dest: &Image,
    spec: &MigrationSpec,
    session: &Session,
    progress: Progress<'_>,
) -> Result<(), Errno> {
    // No journal is told of the copying, as in librbd: it makes what was there before everything in the journal, and while an image
    // is migrated it is not mirrored.
    let states = states(source, dest, spec)?;
    let mut map = ObjectMap::open(dest)?;
    let copied = copy_all(dest, spec, &states, &mut map, session, progress);
    if let Some(map) = map {
        map.close()?;
    }
    copied
}

fn states(source: &Image, dest: &Image, spec: &MigrationSpec) -> Result<Vec<State>, Errno> {
    let mut states = Vec::new();
    for (&of_source, &of_dest) in &spec.snap_seqs {
        let mapped = of_source != NOSNAP && source.header.snaps.contains_key(&of_source);
        if mapped && dest.header.snaps.contains_key(&of_dest) {
            let view = View::of(source, of_source)?;
            states.push(State { view, dest: of_dest });
        }
    }
    let view = View::of(source, NOSNAP)?;
    states.push(State { view, dest: NOSNAP });
    Ok(states)
}

fn copy_all(
    dest: &Image,
    spec: &MigrationSpec,
    states: &[State],
    map: &mut Option<ObjectMap<'_>>,
    session: &Session,
    progress: Progress<'_>,
) -> Result<(), Errno> {
    let total = dest.header.layout.objects(spec.overlap.min(dest.header.size));
    for object in 0..total {
        if session.is_wanted() {
            return Err(RESTART);
        }
        copy_object(dest, spec, states, map, object)?;
        progress(object + 1, total)?;
    }
    Ok(())
}

/// Copies an object as it was at each snapshot, unless there is something of it already.
fn copy_object(
    dest: &Image,
    spec: &MigrationSpec,
    states: &[State],
    map: &mut Option<ObjectMap<'_>>,
    object: u64,
) -> Result<(), Errno> {
    let oid = dest.object(object);
    match dest.data.snaps_of(&oid) {
        Ok(_) => return Ok(()),
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let layout = dest.header.layout;
    let mut before: Option<Bytes> = None;
    let mut passed: Vec<u64> = Vec::new();
    for state in states {
        let now = match spec.flatten {
            true => state.view.object(&layout, object, u64::MAX)?,
            false => state.view.own_object(&layout, object)?,
        };
        if now != before {
            note(dest, map, object, state.dest, now.is_some())?;
            match write_state(dest, &oid, now.clone(), &passed) {
                Ok(()) => {}
                // A client that writes to the object has copied it meanwhile.
                Err(Errno::ERANGE) => return Ok(()),
                Err(error) => return Err(error),
            }
        } else if now.is_some() {
            note_unchanged(dest, map, object, state.dest)?;
        }
        if state.dest != NOSNAP {
            passed.insert(0, state.dest);
        } else if let Some(map) = map.as_mut().filter(|_| now.is_some()) {
            note_later(dest, map, object, &passed, before.is_some())?;
        }
        before = now;
    }
    Ok(())
}

/// Snapshots that were taken of the destination itself see what the head has now.
fn note_later(
    dest: &Image,
    map: &mut ObjectMap<'_>,
    object: u64,
    passed: &[u64],
    before: bool,
) -> Result<(), Errno> {
    let clean = if dest.header.has(features::FAST_DIFF) {
        object_state::EXISTS_CLEAN
    } else {
        object_state::EXISTS
    };
    let newest = passed.first().copied().unwrap_or(0);
    let mut seen = before;
    for &snap in dest.header.snaps.keys().filter(|id| **id > newest) {
        let state = if seen { clean } else { object_state::EXISTS };
        map.set_in_snapshot(snap, object, state)?;
        seen = true;
    }
    if dest.header.snaps.keys().any(|id| *id > newest) {
        map.set(&[(object, clean)])?;
    }
    Ok(())
}

/// Writes an object as it was after the snapshots `passed`, the newest first.
fn write_state(dest: &Image, oid: &[u8], data: Option<Bytes>, passed: &[u64]) -> Result<(), Errno> {
    let snapc = SnapContext {
        seq: passed.first().copied().unwrap_or(0),
        snaps: passed.to_vec(),
    };
    let mut vector = Vec::new();
    if snapc.seq > 0 {
        let input = (snapc.seq, ASSERT_SNAPC_SEQ_GT_SNAPSET_SEQ).to_bytes(Features::ALL);
        vector.push(ops::call(RBD, "assert_snapc_seq", &input));
    }
    vector.push(match data {
        Some(data) => ops::write_full(data),
        None => ops::remove(),
    });
    match dest.data.submit_write(oid, vector, &snapc)?.wait() {
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

fn note(
    dest: &Image,
    map: &mut Option<ObjectMap<'_>>,
    object: u64,
    snap: u64,
    exists: bool,
) -> Result<(), Errno> {
    let state = if exists {
        object_state::EXISTS
    } else {
        object_state::NONEXISTENT
    };
    set(dest, map, object, snap, state)
}

fn note_unchanged(
    dest: &Image,
    map: &mut Option<ObjectMap<'_>>,
    object: u64,
    snap: u64,
) -> Result<(), Errno> {
    let state = if dest.header.has(features::FAST_DIFF) {
        object_state::EXISTS_CLEAN
    } else {
        object_state::EXISTS
    };
    set(dest, map, object, snap, state)
}

fn set(
    dest: &Image,
    map: &mut Option<ObjectMap<'_>>,
    object: u64,
    snap: u64,
    state: u8,
) -> Result<(), Errno> {
    debug_assert!(dest.header.snaps.contains_key(&snap) || snap == NOSNAP);
    match map {
        None => Ok(()),
        Some(map) if snap == NOSNAP => map.set(&[(object, state)]),
        Some(map) => map.set_in_snapshot(snap, object, state),
    }
}

/// Takes what clients wrote to the destination back to the head of the source.
pub(super) fn revert(dest: &Image, source: &Image, progress: Progress<'_>) -> Result<(), Errno> {
    let (written, was) = (View::of(dest, NOSNAP)?, View::of(source, NOSNAP)?);
    let layout = source.header.layout;
    let total = layout.objects(source.header.size.min(dest.header.size));
    let mut map = ObjectMap::open(source)?;
    for object in 0..total {
        if written.has_own(&layout, object)? {
            let (now, before) = (
                written.object(&layout, object, u64::MAX)?,
                was.object(&layout, object, u64::MAX)?,
            );
            if now != before {
                if let Some(map) = &mut map {
                    map.set(&[(object, object_state::EXISTS)])?;
                }
                let data = now.unwrap_or_default();
                let oid = source.object(object);
                let vector = vec![ops::write_full(data)];
                source
                    .data
                    .submit_write(&oid, vector, &source.header.snapc)?
                    .wait()?;
            }
        }
        progress(object + 1, total)?;
    }
    match map {
        Some(map) => map.close(),
        None => Ok(()),
    }
}
