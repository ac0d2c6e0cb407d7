//! What mirroring keeps of an image, and its mirror snapshots (Ceph `src/librbd/mirror`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Encode, Errno, Features, Reader,
    cls::rbd::{
        MirrorImage, MirrorImageMode, MirrorImageState, MirrorMode, MirrorPeer, MirrorPeerDirection,
        MirrorSnapshotNamespace, MirrorSnapshotState, NOSNAP, SnapshotNamespace, SnapshotNamespaceType,
        features,
    },
    codec::Put,
    types::Uuid,
};

use super::{
    Image, RBD,
    lock::{Session, Wish},
    messages::{self, NOTIFY_TIMEOUT, NotifyOp},
    snapshot,
};
use crate::rados::{IoCtx, ops};

/// `RBD_MIRRORING`.
pub const MIRRORING: &[u8] = b"rbd_mirroring";
/// Bytes of an object that keeps an image's state (`rbd_default_order`).
const STATE_OBJECT: usize = 4 << 20;
/// Mirror snapshots that are kept for each peer (`rbd_mirroring_max_mirroring_snapshots`).
const MAX_SNAPSHOTS: usize = 5;
/// Keys that one request for metadata asks for.
const PAGE: u64 = 64;
/// What keys of metadata that librbd keeps for itself start with.
const INTERNAL: &[u8] = b".rbd";
/// Features that the pool's options decide (`RBD_FEATURES_IMPLICIT_ENABLE`).
const IMPLICIT: u64 = features::STRIPINGV2
    | features::DATA_POOL
    | features::FAST_DIFF
    | features::OPERATIONS
    | features::MIGRATING
    | features::NON_PRIMARY
    | features::DIRTY_CACHE;

/// What of a pool or namespace is mirrored.
///
/// # Errors
/// Of reading.
pub fn mode(ioctx: &IoCtx) -> Result<MirrorMode, Errno> {
    match ioctx.query(MIRRORING, RBD, "mirror_mode_get", b"") {
        Err(Errno::ENOENT) => Ok(MirrorMode::DISABLED),
        r => r,
    }
}

/// How an image is mirrored.
///
/// # Errors
/// ENOENT if it is not.
pub fn info(ioctx: &IoCtx, id: &Bytes) -> Result<MirrorImage, Errno> {
    ioctx.query(MIRRORING, RBD, "mirror_image_get", &ops::arg(id))
}

/// The newest mirror snapshot.
fn newest(image: &Image) -> Option<&MirrorSnapshotNamespace> {
    image
        .header
        .snaps
        .values()
        .rev()
        .find_map(|s| match &s.namespace {
            SnapshotNamespace::Mirror(details) => Some(details),
            _ => None,
        })
}

/// Whether an image that is mirrored by snapshots is the primary one.
#[must_use]
pub fn is_primary(image: &Image) -> bool {
    newest(image).is_some_and(|n| n.state == MirrorSnapshotState::PRIMARY)
}

/// `MirroringWatcher`: tells daemons that mirror the pool. They may be gone: that is no error.
fn notify(ioctx: &IoCtx, state: MirrorImageState, id: &[u8], global: &[u8]) {
    let mut out = BytesMut::new();
    out.put_frame(1, 1, |out| {
        out.put_u32_le(1);
        out.put_u32_le(state.0.into());
        out.put_blob(id);
        out.put_blob(global);
    });
    if let Err(error) = ioctx.notify(MIRRORING, &out, NOTIFY_TIMEOUT) {
        tracing::debug!(%error, "nobody was told of a change of mirroring");
    }
}

/// Ends mirroring of an image that is about to go, and removes its mirror snapshots.
///
/// # Errors
/// EINVAL if it is not the primary one; of the class methods.
pub fn disable(image: &mut Image) -> Result<(), Errno> {
    let mut mirrored = match info(&image.ioctx, &image.id) {
        Err(Errno::ENOENT | Errno::EOPNOTSUPP) => return Ok(()),
        r => r?,
    };
    let by_snapshots = mirrored.mode == MirrorImageMode::SNAPSHOT;
    if by_snapshots && newest(image).is_some() && !is_primary(image) {
        return Err(Errno::EINVAL);
    }
    mirrored.state = MirrorImageState::DISABLING;
    let input = [ops::arg(&image.id), ops::arg(&mirrored)].concat();
    image.ioctx.exec(MIRRORING, RBD, "mirror_image_set", &input)?;
    notify(&image.ioctx, mirrored.state, &image.id, &mirrored.global_image_id);
    if by_snapshots {
        let snaps: Vec<u64> = image
            .header
            .snaps
            .iter()
            .filter(|(_, s)| s.namespace.kind() == SnapshotNamespaceType::MIRROR)
            .map(|(id, _)| *id)
            .collect();
        for snap in snaps {
            snapshot::remove(image, snap)?;
            image.refresh()?;
        }
    }
    match image
        .ioctx
        .exec(MIRRORING, RBD, "mirror_image_remove", &ops::arg(&image.id))
    {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    notify(
        &image.ioctx,
        MirrorImageState::DISABLED,
        &image.id,
        &mirrored.global_image_id,
    );
    Ok(())
}

/// Mirrors an image of which this cluster has the primary one by its journal. Nothing is done if it is mirrored.
///
/// # Errors
/// EINVAL if it is mirrored otherwise.
pub fn enable_by_journal(image: &Image) -> Result<(), Errno> {
    match info(&image.ioctx, &image.id) {
        Ok(found) if found.mode == MirrorImageMode::JOURNAL && found.state == MirrorImageState::ENABLED => {
            return Ok(());
        }
        Ok(_) => return Err(Errno::EINVAL),
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let mirrored = MirrorImage {
        global_image_id: Uuid::from_random(rand::random()).to_string().into(),
        state: MirrorImageState::ENABLED,
        mode: MirrorImageMode::JOURNAL,
    };
    let input = [ops::arg(&image.id), ops::arg(&mirrored)].concat();
    image.ioctx.exec(MIRRORING, RBD, "mirror_image_set", &input)?;
    notify(&image.ioctx, mirrored.state, &image.id, &mirrored.global_image_id);
    Ok(())
}

fn state_oid(id: &[u8], snap: u64, n: usize) -> Vec<u8> {
    [b"rbd_mirror_snapshot.", id, format!(".{snap}.{n}").as_bytes()].concat()
}

/// Whether the snapshot is one that no image stands behind.
fn is_orphan(details: &MirrorSnapshotNamespace) -> bool {
    [
        MirrorSnapshotState::NON_PRIMARY,
        MirrorSnapshotState::NON_PRIMARY_DEMOTED,
    ]
    .contains(&details.state)
        && details.primary_mirror_uuid.is_empty()
        && details.primary_snap_id == NOSNAP
}

/// Removes what is kept of an image's state with a mirror snapshot.
///
/// # Errors
/// Of removing.
pub fn remove_state(image: &Image, snap: u64, details: &MirrorSnapshotNamespace) -> Result<(), Errno> {
    if is_orphan(details) {
        return Ok(());
    }
    let first = state_oid(&image.id, snap, 0);
    let answered = match image.ioctx.read(&first, vec![ops::read(0, 64)]) {
        Err(Errno::ENOENT) => return Ok(()),
        r => r?,
    };
    let data = Bytes::from(answered.first().ok_or(Errno::EBADMSG)?.outdata.concat());
    let mut r = Reader::new(&data);
    let count = r
        .frame(1, "ImageStateHeader")
        .and_then(|mut f| f.u32())
        .unwrap_or(1);
    for n in (0..count.clamp(1, 1 << 16)).rev() {
        image
            .ioctx
            .remove_if_any(&state_oid(&image.id, snap, n as usize))?;
    }
    Ok(())
}

/// Keeps the state of an image (name, features, users' snapshots, metadata) with a mirror snapshot, which is
/// complete then.
fn set_state(image: &Image, snap: u64) -> Result<(), Errno> {
    let limit: u64 = image
        .ioctx
        .query(&image.header_oid(), RBD, "snapshot_get_limit", b"")?;
    let metadata = metadata(image)?;
    let mut state = BytesMut::new();
    state.put_frame(1, 1, |out| {
        out.put_blob(&image.name);
        out.put_u64_le(image.header.features & !IMPLICIT);
        out.put_u64_le(limit);
        let users: Vec<_> = image
            .header
            .snaps
            .iter()
            .filter(|(_, s)| s.namespace.kind() == SnapshotNamespaceType::USER)
            .collect();
        out.put_u32_le(encoding::codec::wire_len(users.len()));
        for (id, snap) in users {
            out.put_u64_le(*id);
            out.put_frame(1, 1, |out| {
                snap.namespace.encode(out, Features::ALL);
                out.put_blob(&snap.name);
                out.put_u8(snap.protection.0);
            });
        }
        out.put_map(&metadata, Features::ALL);
    });
    /// Bytes of the header before the state: version, compat, length, count.
    const HEADER: usize = 10;
    let count = 1 + (HEADER + state.len()) / STATE_OBJECT;
    let mut all = BytesMut::new();
    all.put_frame(1, 1, |out| out.put_u32_le(encoding::codec::wire_len(count)));
    all.unsplit(state);
    let all = all.freeze();
    for n in (0..count).rev() {
        let part = all.slice(n * STATE_OBJECT..all.len().min((n + 1) * STATE_OBJECT));
        image
            .ioctx
            .write(&state_oid(&image.id, snap, n), vec![ops::write_full(part)])?;
    }
    let input = (snap, (true, 0_u64)).to_bytes(Features::ALL);
    image.exec("mirror_image_snapshot_set_copy_progress", &input)
}

/// An image's metadata, but for what librbd keeps for itself.
fn metadata(image: &Image) -> Result<BTreeMap<Bytes, Bytes>, Errno> {
    let mut all = BTreeMap::new();
    let mut after = Bytes::new();
    loop {
        let input = (after, PAGE).to_bytes(Features::ALL);
        let page: BTreeMap<Bytes, Bytes> =
            image
                .ioctx
                .query(&image.header_oid(), RBD, "metadata_list", &input)?;
        match page.keys().next_back() {
            Some(last) => after = last.clone(),
            None => return Ok(all),
        }
        all.extend(page.into_iter().filter(|(key, _)| !key.starts_with(INTERNAL)));
    }
}

/// Makes a mirror snapshot of a primary image, and removes those that are too many.
///
/// # Errors
/// EINVAL if the image is not primary, or there is no peer for it.
pub fn create_snapshot(image: &mut Image, global_id: &[u8]) -> Result<(), Errno> {
    if newest(image).is_some_and(|n| n.state != MirrorSnapshotState::PRIMARY) {
        return Err(Errno::EINVAL);
    }
    let peers = peers(&image.ioctx)?;
    if peers.is_empty() {
        return Err(Errno::EINVAL);
    }
    let uuid = Uuid::from_random(rand::random());
    let name = format!(".mirror.primary.{}.{uuid}", String::from_utf8_lossy(global_id));
    let namespace = SnapshotNamespace::Mirror(MirrorSnapshotNamespace {
        state: MirrorSnapshotState::PRIMARY,
        complete: false,
        mirror_peer_uuids: peers.clone(),
        primary_mirror_uuid: Bytes::new(),
        primary_snap_id: NOSNAP,
        last_copied_object_number: 0,
        snap_seqs: BTreeMap::new(),
    });
    let session = Session::open(image)?;
    match session.acquire(Wish::Try) {
        Ok(()) => {
            image.refresh()?;
            let id = snapshot::create(image, name.as_bytes(), &namespace)?;
            image.refresh()?;
            set_state(image, id)?;
            image.notify_update()?;
        }
        Err(Errno::EBUSY) => {
            let make = |id| messages::snapshot(NotifyOp::SNAP_CREATE, id, name.as_bytes(), &namespace);
            session.ask_owner(make, &|_, _| Ok(()))?;
        }
        Err(error) => return Err(error),
    }
    loop {
        image.refresh()?;
        let Some((snap, peer)) = superfluous(image, &peers) else {
            return Ok(());
        };
        unlink(image, &session, snap, &peer)?;
    }
}

/// The peers that the pool's images go to.
fn peers(ioctx: &IoCtx) -> Result<BTreeSet<Bytes>, Errno> {
    let pool = ioctx.clone().with_namespace(Bytes::new());
    let peers: Vec<MirrorPeer> = pool.query(MIRRORING, RBD, "mirror_peer_list", b"")?;
    Ok(peers
        .into_iter()
        .filter(|p| p.mirror_peer_direction != MirrorPeerDirection::RX)
        .map(|p| p.uuid)
        .collect())
}

/// A mirror snapshot that a peer need not have any more: one that nobody needs or that was never completed, or one of too many.
fn superfluous(image: &Image, peers: &BTreeSet<Bytes>) -> Option<(u64, Bytes)> {
    let mirrors: Vec<_> = image
        .header
        .snaps
        .iter()
        .filter_map(|(id, s)| match &s.namespace {
            SnapshotNamespace::Mirror(details) => Some((*id, details)),
            _ => None,
        })
        .collect();
    for peer in peers {
        let unneeded = mirrors.iter().find(|(_, m)| {
            m.mirror_peer_uuids.is_empty()
                || m.mirror_peer_uuids.contains(peer)
                    && m.state == MirrorSnapshotState::PRIMARY
                    && !m.complete
        });
        if let Some((id, _)) = unneeded {
            return Some((*id, peer.clone()));
        }
    }
    for peer in peers {
        let since_promotion = mirrors
            .iter()
            .rposition(|(_, m)| m.state != MirrorSnapshotState::PRIMARY)
            .map_or(0, |at| at + 1);
        let linked: Vec<u64> = mirrors
            .get(since_promotion..)?
            .iter()
            .filter(|(_, m)| m.mirror_peer_uuids.contains(peer))
            .map(|(id, _)| *id)
            .collect();
        if linked.len() > MAX_SNAPSHOTS {
            return linked.get(MAX_SNAPSHOTS - 1).map(|id| (*id, peer.clone()));
        }
    }
    None
}

/// A peer does not need a mirror snapshot any more. Without another one that needs it, it goes.
fn unlink(image: &Image, session: &Session, snap: u64, peer: &Bytes) -> Result<(), Errno> {
    let Some(found) = image.header.snaps.get(&snap) else {
        return Ok(());
    };
    let SnapshotNamespace::Mirror(details) = &found.namespace else {
        return Ok(());
    };
    let last = details.mirror_peer_uuids.iter().all(|p| p == peer);
    let has_newer = image
        .header
        .snaps
        .range(snap + 1..)
        .any(|(_, s)| s.namespace.kind() == SnapshotNamespaceType::MIRROR);
    if last && has_newer {
        if session.is_owner() {
            return snapshot::remove(image, snap);
        }
        let make = |id| messages::snapshot(NotifyOp::SNAP_REMOVE, id, &found.name, &found.namespace);
        return session.ask_owner(make, &|_, _| Ok(()));
    }
    let input = [ops::arg(&snap), ops::arg(peer)].concat();
    image.exec("mirror_image_snapshot_unlink_peer", &input)?;
    image.notify_update()
}
