//! Snapshots of an image, under keys `snapshot_` and sixteen hexadecimal digits of the id.

use bytes::Bytes;
use encoding::{
    Decode, Errno,
    cls::rbd::{
        MAXSNAP, NOSNAP, Parent, ProtectionStatus, Snapshot, SnapshotInfo, SnapshotNamespace,
        SnapshotNamespaceType, features,
    },
    types::Uuid,
};

use super::{NAUTILUS, encode_features, header_old, require_feature, set_op_features, snap_key};
use crate::{
    ObjectContext, Result,
    support::{
        Ctx, MAX_KEYS_READ, Walk, arg, args, check_exists, done, need_key, read_key, reply_with, rm_key,
        rm_key_if_any, scan, stored, write_key, write_key_for,
    },
};

pub(super) const PREFIX: &str = "snapshot_";

/// All snapshots, oldest first.
pub(super) fn all(ctx: &Ctx<'_>) -> Result<Vec<Snapshot>> {
    let mut out = Vec::new();
    scan(ctx, PREFIX.as_bytes(), PREFIX, |_, value| {
        out.push(stored(value)?);
        Ok(Walk::On)
    })?;
    Ok(out)
}

/// The ids of all snapshots, oldest first, told from their keys.
pub(super) fn ids(ctx: &Ctx<'_>) -> Result<Vec<u64>> {
    let mut out = Vec::new();
    let mut last = Bytes::from_static(PREFIX.as_bytes());
    loop {
        let (keys, more) = ctx.omap_keys(&last, PREFIX.as_bytes(), MAX_KEYS_READ)?;
        out.extend(keys.iter().map(|k| id_from_key(k)));
        match keys.into_iter().next_back() {
            Some(key) if more => last = key,
            _ => return Ok(out),
        }
    }
}

fn id_from_key(key: &[u8]) -> u64 {
    key.get(PREFIX.len()..)
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .unwrap_or(0)
}

/// Stores a snapshot. A parent in it is moved to the image's own key, as all releases from Nautilus on have it.
pub(super) fn write(ctx: &mut Ctx<'_>, snap_id: u64, mut snap: Snapshot) -> Result<()> {
    let features = encode_features(ctx);
    if ctx.require_osd_release() >= NAUTILUS && snap.parent.exists() {
        let parent: Parent = read_key(ctx, "parent")?.unwrap_or_default();
        if !parent.exists() {
            let parent = Parent {
                spec: snap.parent.spec.clone(),
                head_overlap: None,
            };
            write_key_for(ctx, "parent", &parent, features)?;
        }
        snap.parent_overlap = snap.parent.head_overlap;
        snap.parent = Parent::default();
    }
    write_key_for(ctx, snap_key(snap_id), &snap, features)
}

/// The snapshot that an argument names; EINVAL for the head.
fn named(ctx: &Ctx<'_>, input: &Bytes) -> Result<Snapshot> {
    match arg(input)? {
        NOSNAP => Err(Errno::EINVAL),
        id => need_key(ctx, snap_key(id)),
    }
}

/// `rbd.get_snapshot_name`.
pub(crate) fn get_snapshot_name(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    reply_with(&named(ctx, &input)?.name)
}

/// `rbd.get_snapshot_timestamp`.
pub(crate) fn get_snapshot_timestamp(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    reply_with(&named(ctx, &input)?.timestamp)
}

/// `rbd.snapshot_get`.
pub(crate) fn snapshot_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let snap = named(ctx, &input)?;
    reply_with(&SnapshotInfo {
        id: snap.id,
        snapshot_namespace: snap.snapshot_namespace,
        name: snap.name,
        image_size: snap.image_size,
        timestamp: snap.timestamp,
        child_count: snap.child_count,
    })
}

/// `rbd.get_protection_status`.
pub(crate) fn get_protection_status(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    arg::<u64>(&input)?;
    check_exists(ctx)?;
    let status = named(ctx, &input)?.protection_status;
    if status >= ProtectionStatus::LAST {
        return Err(Errno::EIO);
    }
    reply_with(&status)
}

/// `rbd.set_protection_status`.
pub(crate) fn set_protection_status(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (snap_id, status) = args(&input, |r| Ok((r.u64()?, ProtectionStatus::decode(r)?)))?;
    check_exists(ctx)?;
    require_feature(ctx, features::LAYERING)?;
    if snap_id == NOSNAP || status >= ProtectionStatus::LAST {
        return Err(Errno::EINVAL);
    }
    let mut snap: Snapshot = need_key(ctx, snap_key(snap_id))?;
    snap.protection_status = status;
    write(ctx, snap_id, snap)?;
    done()
}

/// `rbd.snapshot_add`: a snapshot with the image's size, flags and parent as they are now.
pub(crate) fn snapshot_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (name, id, namespace) = args(&input, |r| {
        Ok((
            r.blob()?,
            r.u64()?,
            if r.is_empty() {
                SnapshotNamespace::User
            } else {
                SnapshotNamespace::decode(r)?
            },
        ))
    })?;
    if namespace.kind() == SnapshotNamespaceType::UNKNOWN || id > MAXSNAP {
        return Err(Errno::EINVAL);
    }
    let seq: u64 = need_key(ctx, "snap_seq")?;
    if id < seq {
        return Err(Errno::ESTALE);
    }
    let snap = Snapshot {
        id,
        name,
        image_size: need_key(ctx, "size")?,
        flags: read_key(ctx, "flags")?.unwrap_or(0),
        timestamp: ctx.now(),
        snapshot_namespace: namespace,
        ..Snapshot::default()
    };
    check_addable(ctx, &snap)?;
    let parent: Option<Parent> = read_key(ctx, "parent")?;
    if snap.snapshot_namespace.kind() == SnapshotNamespaceType::TRASH {
        set_op_features(ctx, features::OP_SNAP_TRASH, features::OP_SNAP_TRASH)?;
    }
    write_key(ctx, "snap_seq", &id)?;
    write(
        ctx,
        id,
        Snapshot {
            parent: parent.unwrap_or_default(),
            ..snap
        },
    )?;
    done()
}

/// EDQUOT at the image's limit, EEXIST if the id or the name within its namespace is taken; whichever shows
/// first on the way from the oldest snapshot.
fn check_addable(ctx: &Ctx<'_>, snap: &Snapshot) -> Result<()> {
    let limit: u64 = read_key(ctx, "snap_limit")?.unwrap_or(u64::MAX);
    for (old, count) in all(ctx)?.iter().zip(1..) {
        if count >= limit {
            return Err(Errno::EDQUOT);
        }
        let same_name = snap.name == old.name && snap.snapshot_namespace == old.snapshot_namespace;
        if same_name || snap.id == old.id {
            return Err(Errno::EEXIST);
        }
    }
    Ok(())
}

/// `rbd.snapshot_rename`: a user's snapshot only.
pub(crate) fn snapshot_rename(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, name): (u64, Bytes) = arg(&input)?;
    let is_users = |s: &Snapshot| s.snapshot_namespace.kind() == SnapshotNamespaceType::USER;
    if all(ctx)?.iter().any(|s| is_users(s) && s.name == name) {
        return Err(Errno::EEXIST);
    }
    let mut snap: Snapshot = need_key(ctx, snap_key(id))?;
    if !is_users(&snap) {
        return Err(Errno::EINVAL);
    }
    snap.name = name;
    write(ctx, id, snap)?;
    done()
}

/// `rbd.snapshot_remove`: EBUSY while it is protected or has clones. With the last snapshot that needs them go
/// the parent link of a flattened image and the operation features.
pub(crate) fn snapshot_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: u64 = arg(&input)?;
    let snap: Snapshot = need_key(ctx, snap_key(id))?;
    if snap.protection_status != ProtectionStatus::UNPROTECTED || snap.child_count > 0 {
        return Err(Errno::EBUSY);
    }
    rm_key_if_any(ctx, snap_key(id))?;

    let others: Vec<_> = all(ctx)?.into_iter().filter(|s| s.id != id).collect();
    let has_child_snaps = others.iter().any(has_parent_data);
    let has_trash_snaps = others
        .iter()
        .any(|s| s.snapshot_namespace.kind() == SnapshotNamespaceType::TRASH);
    let parent: Parent = read_key(ctx, "parent")?.unwrap_or_default();
    let is_head_child = parent.exists() && parent.head_overlap.is_some();
    if parent.exists() && !is_head_child && !has_child_snaps && ctx.require_osd_release() >= NAUTILUS {
        rm_key_if_any(ctx, "parent")?;
    }
    let mut mask = 0;
    if !has_child_snaps && !is_head_child {
        mask |= features::OP_CLONE_CHILD;
    }
    if !has_trash_snaps {
        mask |= features::OP_SNAP_TRASH;
    }
    if mask != 0 {
        set_op_features(ctx, 0, mask)?;
    }
    done()
}

/// Whether some of a snapshot's data comes from the image's parent.
pub(super) fn has_parent_data(snap: &Snapshot) -> bool {
    snap.parent.spec.pool_id != -1 || snap.parent_overlap.is_some()
}

/// `rbd.snapshot_trash_add`: a snapshot that clones need is removed from users' sight.
pub(crate) fn snapshot_trash_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: u64 = arg(&input)?;
    let mut snap: Snapshot = need_key(ctx, snap_key(id))?;
    if snap.protection_status != ProtectionStatus::UNPROTECTED {
        return Err(Errno::EBUSY);
    }
    let kind = snap.snapshot_namespace.kind();
    if kind == SnapshotNamespaceType::TRASH {
        return Err(Errno::EEXIST);
    }
    set_op_features(ctx, features::OP_SNAP_TRASH, features::OP_SNAP_TRASH)?;
    snap.snapshot_namespace = SnapshotNamespace::Trash {
        original_name: snap.name,
        original_type: kind,
    };
    snap.name = Uuid::from_random(ctx.random()).to_string().into();
    write(ctx, id, snap)?;
    done()
}

/// `rbd.snapshot_get_limit`: the largest number if there is no limit.
pub(crate) fn snapshot_get_limit(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&read_key::<u64>(ctx, "snap_limit")?.unwrap_or(u64::MAX))
}

/// `rbd.snapshot_set_limit`: ERANGE if there are more already.
pub(crate) fn snapshot_set_limit(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let limit: u64 = arg(&input)?;
    if limit == u64::MAX {
        rm_key(ctx, "snap_limit")?;
        return done();
    }
    let count = match header_old::snap_count(ctx) {
        // Not an image of the old format.
        Err(Errno::EINVAL) => ids(ctx)?.len() as u64,
        r => r?,
    };
    if limit < count {
        return Err(Errno::ERANGE);
    }
    write_key(ctx, "snap_limit", &limit)?;
    done()
}
