//! What daemons say of mirrored images. A daemon is up while it watches the object.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features, Reader,
    cls::rbd::{
        EntityInst, MirrorImage, MirrorImageSiteStatus, MirrorImageSiteStatusOnDisk, MirrorImageState,
        MirrorImageStatus, MirrorImageStatusState, MirrorPeer, MirrorPeerDirection,
    },
};

use super::mirror_image::{self, IMAGE_PREFIX};
use crate::{
    ObjectContext, Result,
    support::{
        Ctx, Walk, arg, args, done, key, list, list_args, need_key, reply, reply_with, rm_key, rm_key_if_any,
        scan, stored, without_prefix, write_key,
    },
};

const LOCAL_PREFIX: &str = "status_global_";
const REMOTE_PREFIX: &str = "remote_status_global_";

type Watchers = BTreeSet<EntityInst>;

fn watchers(ctx: &Ctx<'_>) -> Result<Watchers> {
    match ctx.watchers() {
        Err(Errno::ENOENT) => Ok(Watchers::new()),
        r => Ok(r?
            .into_iter()
            .map(|(name, addr)| EntityInst { name, addr }.sanitised())
            .collect()),
    }
}

/// What remote sites' statuses of an image are under.
fn remote_prefix(global_id: &Bytes) -> Bytes {
    let mut out = REMOTE_PREFIX.as_bytes().to_vec();
    out.extend_from_slice(global_id);
    out.push(b'_');
    out.into()
}

fn status_key(global_id: &Bytes, mirror_uuid: &Bytes) -> Bytes {
    if mirror_uuid.is_empty() {
        return key(LOCAL_PREFIX, global_id);
    }
    let mut out = remote_prefix(global_id).to_vec();
    out.extend_from_slice(mirror_uuid);
    out.into()
}

/// All remote sites' statuses of an image: site and value.
fn remote(ctx: &Ctx<'_>, global_id: &Bytes) -> Result<Vec<(Bytes, Bytes)>> {
    let prefix = remote_prefix(global_id);
    let mut last = prefix.clone();
    let mut out = Vec::new();
    loop {
        let (page, more) = ctx.omap_vals(&last, &prefix, crate::support::MAX_KEYS_READ)?;
        let end = page.last().map(|(key, _)| key.clone());
        let sites = page
            .into_iter()
            .map(|(key, value)| (key.slice(prefix.len()..), value));
        out.extend(sites);
        match end {
            Some(key) if more => last = key,
            _ => return Ok(out),
        }
    }
}

fn site_status(value: &Bytes, mirror_uuid: Bytes, watchers: &Watchers) -> Result<MirrorImageSiteStatus> {
    let on_disk: MirrorImageSiteStatusOnDisk = stored(value)?;
    Ok(MirrorImageSiteStatus {
        up: watchers.contains(&on_disk.origin),
        mirror_uuid,
        ..on_disk.status
    })
}

/// What all sites say of an image; ENOENT if none says anything.
fn get(ctx: &Ctx<'_>, global_id: &Bytes, watchers: &Watchers) -> Result<MirrorImageStatus> {
    let mut sites = Vec::new();
    if let Some(value) = ctx.omap_get(&key(LOCAL_PREFIX, global_id))? {
        sites.push(site_status(&value, Bytes::new(), watchers)?);
    }
    for (site, value) in remote(ctx, global_id)? {
        sites.push(site_status(&value, site, watchers)?);
    }
    if sites.is_empty() {
        return Err(Errno::ENOENT);
    }
    Ok(MirrorImageStatus { sites })
}

/// Removes what all sites say of an image.
pub(super) fn remove(ctx: &mut Ctx<'_>, global_id: &Bytes) -> Result<()> {
    for (site, _) in remote(ctx, global_id)? {
        rm_key_if_any(ctx, status_key(global_id, &site))?;
    }
    rm_key_if_any(ctx, key(LOCAL_PREFIX, global_id))
}

/// `rbd.mirror_image_status_set`: the caller's status; ignored for images that are not mirrored.
pub(crate) fn mirror_image_status_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (global_id, status) = args(&input, |r| Ok((r.blob()?, MirrorImageSiteStatus::decode(r)?)))?;
    let image = mirror_image::image_id(ctx, &global_id).and_then(|id| mirror_image::get(ctx, &id));
    let Ok(image) = image else {
        return done();
    };
    if !matches!(
        image.state,
        MirrorImageState::ENABLED | MirrorImageState::CREATING
    ) {
        return done();
    }
    let (name, addr) = ctx.origin();
    let key = status_key(&global_id, &status.mirror_uuid);
    let on_disk = MirrorImageSiteStatusOnDisk {
        origin: EntityInst { name, addr },
        status: MirrorImageSiteStatus {
            mirror_uuid: Bytes::new(),
            up: false,
            last_update: ctx.now(),
            ..status
        },
    };
    write_key(ctx, key, &on_disk)?;
    done()
}

/// `rbd.mirror_image_status_remove`: what all sites say of an image.
pub(crate) fn mirror_image_status_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    remove(ctx, &arg(&input)?)?;
    done()
}

/// `rbd.mirror_image_status_get`: what all sites say of an image.
pub(crate) fn mirror_image_status_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let global_id = arg(&input)?;
    reply_with(&get(ctx, &global_id, &watchers(ctx)?)?)
}

fn images(ctx: &Ctx<'_>, start_after: Bytes, max: u64) -> Result<Vec<(Bytes, MirrorImage)>> {
    list(ctx, &key(IMAGE_PREFIX, start_after), IMAGE_PREFIX, max, stored)
}

/// `rbd.mirror_image_status_list`: images, and what is said of them.
pub(crate) fn mirror_image_status_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    let watchers = watchers(ctx)?;
    let images = images(ctx, start_after, max)?;
    let statuses: Vec<_> = images
        .iter()
        .filter_map(|(id, image)| Some((id.clone(), get(ctx, &image.global_image_id, &watchers).ok()?)))
        .collect();
    reply(|out| {
        images.encode(out, Features::ALL);
        statuses.encode(out, Features::ALL);
    })
}

/// `rbd.mirror_image_status_get_summary`: how many images are in which state. The argument, which older clients
/// do not send, is the pool's peers.
pub(crate) fn mirror_image_status_get_summary(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let peers: Vec<MirrorPeer> = args(&input, |r| if r.is_empty() { Ok(Vec::new()) } else { r.vec() })?;
    let direction = common_direction(&peers);
    let sends_to: BTreeSet<Bytes> = peers
        .into_iter()
        .filter(|p| p.mirror_peer_direction != MirrorPeerDirection::RX)
        .map(|p| p.mirror_uuid)
        .collect();
    let watchers = watchers(ctx)?;
    let mut states: BTreeMap<MirrorImageStatusState, i32> = BTreeMap::new();
    for (_, image) in images(ctx, Bytes::new(), u64::MAX)? {
        let status = match get(ctx, &image.global_image_id, &watchers) {
            Err(Errno::ENOENT) => MirrorImageStatus::default(),
            r => r?,
        };
        *states.entry(summary(direction, &sends_to, &status)).or_default() += 1;
    }
    reply_with(&states)
}

/// One direction for all peers: that of all, or both.
fn common_direction(peers: &[MirrorPeer]) -> MirrorPeerDirection {
    let mut direction = peers
        .first()
        .map_or(MirrorPeerDirection::RX, |p| p.mirror_peer_direction);
    for peer in peers {
        if peer.mirror_peer_direction != MirrorPeerDirection::RX && peer.mirror_peer_direction != direction {
            direction = MirrorPeerDirection::RX_TX;
        }
    }
    direction
}

/// One state for an image: the worst of its sites'. Unknown if a site that should say something does not.
fn summary(
    direction: MirrorPeerDirection,
    sends_to: &BTreeSet<Bytes>,
    status: &MirrorImageStatus,
) -> MirrorImageStatusState {
    use MirrorImageStatusState as State;
    let receives = matches!(direction, MirrorPeerDirection::RX | MirrorPeerDirection::RX_TX);
    let sends = matches!(direction, MirrorPeerDirection::TX | MirrorPeerDirection::RX_TX);
    let mut state = status.local().filter(|s| receives && s.up).map(|s| s.state);
    let mut silent = 0;
    if sends {
        silent = sends_to.len();
        for site in status.sites.iter().filter(|s| !s.mirror_uuid.is_empty()) {
            if sends_to.contains(&site.mirror_uuid) {
                silent = silent.saturating_sub(1);
            }
            let site_state = if site.up { site.state } else { State::UNKNOWN };
            state = Some(match state {
                _ if site.state == State::ERROR => State::ERROR,
                None => site_state,
                Some(State::ERROR) => State::ERROR,
                Some(state) => state.min(site_state),
            });
        }
    }
    match state {
        Some(state) if silent == 0 => state,
        _ => State::UNKNOWN,
    }
}

/// `rbd.mirror_image_status_remove_down`: what daemons said that are gone.
pub(crate) fn mirror_image_status_remove_down(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let watchers = watchers(ctx)?;
    let mut stale = Vec::new();
    for prefix in [LOCAL_PREFIX, REMOTE_PREFIX] {
        scan(ctx, prefix.as_bytes(), prefix, |key, value| {
            let origin = MirrorImageSiteStatusOnDisk::decode_origin(&mut Reader::new(value));
            if !watchers.contains(&origin.map_err(|_| Errno::EIO)?) {
                stale.push(key.clone());
            }
            Ok(Walk::On)
        })?;
    }
    for key in stale {
        rm_key(ctx, key)?;
    }
    done()
}

/// The daemon here that mirrors an image; ESTALE if it is gone.
fn instance(ctx: &Ctx<'_>, global_id: &Bytes, watchers: &Watchers) -> Result<EntityInst> {
    let status: MirrorImageSiteStatusOnDisk = need_key(ctx, key(LOCAL_PREFIX, global_id))?;
    if watchers.contains(&status.origin) {
        Ok(status.origin)
    } else {
        Err(Errno::ESTALE)
    }
}

/// `rbd.mirror_image_instance_get`: the daemon here that mirrors an image.
pub(crate) fn mirror_image_instance_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let global_id = arg(&input)?;
    reply_with(&instance(ctx, &global_id, &watchers(ctx)?)?)
}

/// `rbd.mirror_image_instance_list`: images, and the daemons here that mirror them. Images without one do not
/// count.
pub(crate) fn mirror_image_instance_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    let watchers = watchers(ctx)?;
    let mut out = Vec::new();
    scan(
        ctx,
        &key(IMAGE_PREFIX, start_after),
        IMAGE_PREFIX,
        |key, value| {
            if out.len() as u64 >= max {
                return Ok(Walk::Stop);
            }
            let image: MirrorImage = stored(value)?;
            if let Ok(instance) = instance(ctx, &image.global_image_id, &watchers) {
                out.push((without_prefix(key, IMAGE_PREFIX), instance));
            }
            Ok(Walk::On)
        },
    )?;
    reply_with(&out)
}
