//! The peers of a mirrored pool.

use bytes::Bytes;
use encoding::{
    Decode, Errno,
    cls::rbd::{MirrorPeer, MirrorPeerDirection},
    types::Uuid,
};

use super::mirror;
use crate::{
    ObjectContext, Result,
    support::{
        Ctx, Walk, arg, args, done, key, need_key, reply_with, rm_key_if_any, scan, stored, write_key,
    },
};

const PREFIX: &str = "mirror_peer_";

/// All peers, in order of their ids.
pub(super) fn all(ctx: &Ctx<'_>) -> Result<Vec<MirrorPeer>> {
    let mut out = Vec::new();
    scan(ctx, PREFIX.as_bytes(), PREFIX, |_, value| {
        out.push(stored(value)?);
        Ok(Walk::On)
    })?;
    Ok(out)
}

fn write(ctx: &mut Ctx<'_>, peer: &MirrorPeer) -> Result<Bytes> {
    write_key(ctx, key(PREFIX, &peer.uuid), peer)?;
    done()
}

/// `rbd.mirror_peer_list`.
pub(crate) fn mirror_peer_list(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&all(ctx)?)
}

/// `rbd.mirror_peer_add`: ESTALE if the peer's id is taken, EEXIST if its name or its site is.
pub(crate) fn mirror_peer_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let peer: MirrorPeer = arg(&input)?;
    mirror::check_enabled(ctx)?;
    if !peer.is_valid() {
        return Err(Errno::EINVAL);
    }
    let own = mirror::uuid(ctx)?;
    if peer.uuid == own || peer.mirror_peer_direction == MirrorPeerDirection::TX {
        return Err(Errno::EINVAL);
    }
    for other in all(ctx)? {
        if other.uuid == peer.uuid {
            return Err(Errno::ESTALE);
        }
        let same_site = !peer.mirror_uuid.is_empty() && other.mirror_uuid == peer.mirror_uuid;
        if other.site_name == peer.site_name || same_site {
            return Err(Errno::EEXIST);
        }
    }
    write(ctx, &peer)
}

/// `rbd.mirror_peer_ping`: a peer's daemon was here; it becomes a peer if it is none yet.
pub(crate) fn mirror_peer_ping(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (site_name, mirror_uuid, direction) = args(&input, |r| {
        Ok((r.blob()?, r.blob()?, MirrorPeerDirection::decode(r)?))
    })?;
    if direction != MirrorPeerDirection::TX {
        return Err(Errno::EINVAL);
    }
    mirror::check_enabled(ctx)?;
    if site_name.is_empty() || mirror_uuid.is_empty() {
        return Err(Errno::EINVAL);
    }
    let mut peer = match known(all(ctx)?, &site_name, &mirror_uuid) {
        Some(peer) => peer,
        None => MirrorPeer {
            uuid: unused_uuid(ctx)?,
            mirror_peer_direction: MirrorPeerDirection::TX,
            site_name,
            mirror_uuid,
            ..MirrorPeer::default()
        },
    };
    if peer.mirror_peer_direction == MirrorPeerDirection::RX {
        peer.mirror_peer_direction = MirrorPeerDirection::RX_TX;
    }
    peer.last_seen = ctx.now();
    if !peer.is_valid() {
        return Err(Errno::EINVAL);
    }
    write(ctx, &peer)
}

/// The peer of that name or site. The site decides if both are known and differ; what was not known before is
/// taken over.
fn known(peers: Vec<MirrorPeer>, site_name: &Bytes, mirror_uuid: &Bytes) -> Option<MirrorPeer> {
    let by_name = peers.iter().find(|p| p.site_name == *site_name);
    let name_suffices = by_name.is_some_and(|p| p.mirror_uuid.is_empty() || p.mirror_uuid == *mirror_uuid);
    let by_site = match name_suffices {
        true => None,
        false => peers.iter().find(|p| p.mirror_uuid == *mirror_uuid),
    };
    match (by_name, by_site) {
        (Some(_), Some(peer)) => Some(peer.clone()),
        (None, Some(peer)) => Some(MirrorPeer {
            site_name: site_name.clone(),
            ..peer.clone()
        }),
        (Some(peer), None) => Some(MirrorPeer {
            mirror_uuid: mirror_uuid.clone(),
            ..peer.clone()
        }),
        (None, None) => None,
    }
}

fn unused_uuid(ctx: &mut Ctx<'_>) -> Result<Bytes> {
    loop {
        let uuid: Bytes = Uuid::from_random(ctx.random()).to_string().into();
        if ctx.omap_get(&key(PREFIX, &uuid))?.is_none() {
            return Ok(uuid);
        }
    }
}

/// `rbd.mirror_peer_remove`: by id; no error if there is none.
pub(crate) fn mirror_peer_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let uuid: Bytes = arg(&input)?;
    rm_key_if_any(ctx, key(PREFIX, uuid))?;
    done()
}

/// `rbd.mirror_peer_set_client`: id and client name.
pub(crate) fn mirror_peer_set_client(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (uuid, client_name): (Bytes, Bytes) = arg(&input)?;
    let mut peer: MirrorPeer = need_key(ctx, key(PREFIX, uuid))?;
    peer.client_name = client_name;
    write(ctx, &peer)
}

/// `rbd.mirror_peer_set_cluster`: id and site name; EEXIST if another peer has that name.
pub(crate) fn mirror_peer_set_cluster(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (uuid, site_name): (Bytes, Bytes) = arg(&input)?;
    let peers = all(ctx)?;
    if peers.iter().any(|p| p.uuid != uuid && p.site_name == site_name) {
        return Err(Errno::EEXIST);
    }
    let peer = peers.into_iter().find(|p| p.uuid == uuid);
    let peer = MirrorPeer {
        site_name,
        ..peer.ok_or(Errno::ENOENT)?
    };
    write(ctx, &peer)
}

/// `rbd.mirror_peer_set_direction`: id and direction.
pub(crate) fn mirror_peer_set_direction(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (uuid, direction) = args(&input, |r| Ok((r.blob()?, MirrorPeerDirection::decode(r)?)))?;
    let mut peer: MirrorPeer = need_key(ctx, key(PREFIX, uuid))?;
    peer.mirror_peer_direction = direction;
    write(ctx, &peer)
}
