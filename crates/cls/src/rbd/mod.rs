//! Class `rbd`: images, their snapshots, directories and maps (Ceph `src/cls/rbd/cls_rbd.cc`).
//!
//! An image's header object keeps everything under omap keys; names and encodings of keys and values are Ceph's,
//! so that a header can be copied between clusters. Of the releases, the newest (Tentacle) decides what methods
//! do: it serves the clients of all older ones.

pub(crate) mod children;
pub(crate) mod data;
pub(crate) mod directory;
pub(crate) mod group;
pub(crate) mod group_snapshot;
pub(crate) mod header;
pub(crate) mod header_old;
pub(crate) mod metadata;
pub(crate) mod migration;
pub(crate) mod mirror;
pub(crate) mod mirror_image;
pub(crate) mod mirror_peer;
pub(crate) mod mirror_status;
pub(crate) mod namespace;
pub(crate) mod object_map;
pub(crate) mod parent;
pub(crate) mod snapshot;
pub(crate) mod trash;

use bytes::Bytes;
use encoding::{
    Errno, Features,
    cls::rbd::{Parent, features},
};

use crate::{
    Result,
    support::{Ctx, need_key, read_key, rm_key_if_any, write_key, write_key_for},
};

/// The number of the release (Nautilus) from which on parents are stored apart from snapshots.
const NAUTILUS: u8 = 14;

/// For whom stored values are encoded: for all servers that the cluster may have.
fn encode_features(ctx: &Ctx<'_>) -> Features {
    if ctx.require_osd_release() >= NAUTILUS {
        Features::ALL
    } else {
        Features::NONE
    }
}

/// Stores the link to the image's parent.
fn write_parent(ctx: &mut Ctx<'_>, parent: &Parent) -> Result<()> {
    let features = encode_features(ctx);
    write_key_for(ctx, "parent", parent, features)
}

/// The omap key of a snapshot.
fn snap_key(snap_id: u64) -> Bytes {
    format!("{}{snap_id:016x}", snapshot::PREFIX).into()
}

/// ENOEXEC unless the image has all `features`; an image of the old format has none.
fn require_feature(ctx: &Ctx<'_>, need: u64) -> Result<()> {
    match read_key::<u64>(ctx, "features")? {
        Some(features) if features & need == need => Ok(()),
        _ => Err(Errno::ENOEXEC),
    }
}

/// Sets the operation features in `mask`, and the feature that says whether there are any.
fn set_op_features(ctx: &mut Ctx<'_>, op_features: u64, mask: u64) -> Result<()> {
    let old_features: u64 = need_key(ctx, "features")?;
    let old: u64 = read_key(ctx, "op_features")?.unwrap_or(0);
    let new = old & !mask | op_features & mask;
    if new == old {
        return Ok(());
    }
    let features = if new == 0 {
        rm_key_if_any(ctx, "op_features")?;
        old_features & !features::OPERATIONS
    } else {
        write_key(ctx, "op_features", &new)?;
        old_features | features::OPERATIONS
    };
    if features != old_features {
        write_key(ctx, "features", &features)?;
    }
    Ok(())
}

/// Whether it can be the id of an image or group: letters and digits.
fn is_valid_id(id: &[u8]) -> bool {
    !id.is_empty() && id.iter().all(u8::is_ascii_alphanumeric)
}
