//! The header of an image: size, features, flags, striping, times, and its id object.

use bytes::{BufMut, Bytes};
use encoding::{
    Encode, Errno, Features,
    cls::rbd::{NOSNAP, Parent, Snapshot, features},
    codec::Put,
    types::Utime,
};

use super::{is_valid_id, require_feature, set_op_features, snap_key, snapshot, write_parent};
use crate::{
    ObjectContext, Result,
    support::{
        Ctx, arg, args, check_exists, done, need_key, read_all, read_key, reply, reply_with, stored,
        write_key,
    },
};

/// `rbd.create`: makes an image of an empty object.
pub(crate) fn create(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (size, order, feature_bits, prefix, data_pool_id) = args(&input, |r| {
        Ok((
            r.u64()?,
            r.u8()?,
            r.u64()?,
            r.blob()?,
            if r.is_empty() { -1 } else { r.i64()? },
        ))
    })?;
    if feature_bits & !features::ALL != 0 {
        return Err(Errno::ENOSYS);
    }
    if prefix.is_empty() {
        return Err(Errno::EINVAL);
    }
    if ctx.omap_get(b"object_prefix")?.is_some() {
        return Err(Errno::EEXIST);
    }
    let has_data_pool = feature_bits & features::DATA_POOL != 0;
    if feature_bits & features::OPERATIONS != 0 || has_data_pool != (data_pool_id != -1) {
        return Err(Errno::EINVAL);
    }
    let now = ctx.now().to_bytes(Features::ALL);
    let number = |n: u64| n.to_bytes(Features::ALL);
    let mut values = vec![
        ("size", number(size)),
        ("order", order.to_bytes(Features::ALL)),
        ("features", number(feature_bits)),
        ("object_prefix", prefix.to_bytes(Features::ALL)),
        ("snap_seq", number(0)),
        ("create_timestamp", now.clone()),
        ("access_timestamp", now.clone()),
        ("modify_timestamp", now),
    ];
    if has_data_pool {
        values.push(("data_pool_id", data_pool_id.to_bytes(Features::ALL)));
    }
    let values = values
        .into_iter()
        .map(|(k, v)| (Bytes::from_static(k.as_bytes()), v));
    ctx.omap_set(values.collect())?;
    done()
}

/// `rbd.get_features`: features, and those without which a client must not open the image.
pub(crate) fn get_features(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let read_only = args(&input, |r| {
        // A snapshot id, which has no meaning any more.
        r.u64()?;
        if r.is_empty() { Ok(false) } else { r.bool() }
    })?;
    let all: u64 = need_key(ctx, "features")?;
    let incompatible = if read_only {
        features::INCOMPATIBLE
    } else {
        features::RW_INCOMPATIBLE
    };
    reply_with(&(all, all & incompatible))
}

/// `rbd.set_features`: switches features on and off.
pub(crate) fn set_features(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (new, mask): (u64, u64) = arg(&input)?;
    let old: u64 = read_key(ctx, "features")?.unwrap_or(0);
    if mask & features::INTERNAL != 0 {
        return Err(Errno::EINVAL);
    }
    let mask = mask & features::ALL;
    if new & mask & !features::MUTABLE != 0
        || !new & mask & !(features::MUTABLE | features::DISABLE_ONLY) != 0
    {
        return Err(Errno::EINVAL);
    }
    write_key(ctx, "features", &(old & !mask | new & mask))?;
    done()
}

/// `rbd.get_all_features`: the features that images can have here.
pub(crate) fn get_all_features(_: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&features::ALL)
}

/// `rbd.get_size`: object size as a power of two, and size of the image or of a snapshot, in bytes.
pub(crate) fn get_size(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let snap_id: u64 = arg(&input)?;
    let order: u8 = need_key(ctx, "order")?;
    let size = match snap_id {
        NOSNAP => need_key(ctx, "size")?,
        id => need_key::<Snapshot>(ctx, snap_key(id))?.image_size,
    };
    reply_with(&(order, size))
}

/// `rbd.set_size`: resizes the image; what it shares with its parent shrinks with it.
pub(crate) fn set_size(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let size: u64 = arg(&input)?;
    let old: u64 = need_key(ctx, "size")?;
    write_key(ctx, "size", &size)?;
    if size < old {
        let parent: Option<Parent> = read_key(ctx, "parent")?;
        if let Some(mut parent) = parent.filter(|p| p.exists() && p.head_overlap > Some(size)) {
            parent.head_overlap = Some(size);
            write_parent(ctx, &parent)?;
        }
    }
    done()
}

/// `rbd.get_flags`: flags of the image or of a snapshot.
pub(crate) fn get_flags(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let flags = match arg::<u64>(&input)? {
        NOSNAP => read_key(ctx, "flags")?.unwrap_or(0),
        id => need_key::<Snapshot>(ctx, snap_key(id))?.flags,
    };
    reply_with(&flags)
}

/// `rbd.set_flags`: sets flags of the image or of a snapshot.
pub(crate) fn set_flags(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (flags, mask, snap_id) = args(&input, |r| {
        Ok((r.u64()?, r.u64()?, if r.is_empty() { NOSNAP } else { r.u64()? }))
    })?;
    if snap_id == NOSNAP {
        let old: u64 = read_key(ctx, "flags")?.unwrap_or(0);
        write_key(ctx, "flags", &(old & !mask | flags & mask))?;
    } else {
        let mut snap: Snapshot = need_key(ctx, snap_key(snap_id))?;
        snap.flags = snap.flags & !mask | flags & mask;
        snapshot::write(ctx, snap_id, snap)?;
    }
    done()
}

/// `rbd.op_features_get`.
pub(crate) fn op_features_get(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&read_key::<u64>(ctx, "op_features")?.unwrap_or(0))
}

/// `rbd.op_features_set`.
pub(crate) fn op_features_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (op_features, mask) = arg(&input)?;
    if mask & !features::OP_ALL != 0 {
        return Err(Errno::EINVAL);
    }
    set_op_features(ctx, op_features, mask)?;
    done()
}

/// `rbd.get_stripe_unit_count`: the stripe unit in bytes, and over how many objects stripes go.
pub(crate) fn get_stripe_unit_count(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    check_exists(ctx)?;
    require_feature(ctx, features::STRIPINGV2)?;
    let unit: u64 = match read_key(ctx, "stripe_unit")? {
        Some(unit) => unit,
        None => object_size(need_key(ctx, "order").map_err(|_| Errno::EIO)?),
    };
    let count: u64 = read_key(ctx, "stripe_count")?.unwrap_or(1);
    reply_with(&(unit, count))
}

/// `rbd.set_stripe_unit_count`.
pub(crate) fn set_stripe_unit_count(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (unit, count): (u64, u64) = arg(&input)?;
    if unit == 0 || count == 0 {
        return Err(Errno::EINVAL);
    }
    check_exists(ctx)?;
    require_feature(ctx, features::STRIPINGV2)?;
    if !object_size(need_key(ctx, "order")?).is_multiple_of(unit) {
        return Err(Errno::EINVAL);
    }
    write_key(ctx, "stripe_unit", &unit)?;
    write_key(ctx, "stripe_count", &count)?;
    done()
}

/// No client makes images of an order beyond 63, which Ceph's shift takes modulo 64.
fn object_size(order: u8) -> u64 {
    1_u64.wrapping_shl(order.into())
}

fn timestamp(ctx: &Ctx<'_>, key: &str) -> Result<Bytes> {
    reply_with(&read_key::<Utime>(ctx, key)?.unwrap_or_default())
}

/// `rbd.get_create_timestamp`: zero for images older than this field.
pub(crate) fn get_create_timestamp(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    timestamp(ctx, "create_timestamp")
}

/// `rbd.get_access_timestamp`.
pub(crate) fn get_access_timestamp(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    timestamp(ctx, "access_timestamp")
}

/// `rbd.get_modify_timestamp`.
pub(crate) fn get_modify_timestamp(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    timestamp(ctx, "modify_timestamp")
}

fn set_timestamp(ctx: &mut Ctx<'_>, key: &str) -> Result<Bytes> {
    check_exists(ctx)?;
    let now = ctx.now();
    write_key(ctx, key, &now)?;
    done()
}

/// `rbd.set_access_timestamp`: to now.
pub(crate) fn set_access_timestamp(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    set_timestamp(ctx, "access_timestamp")
}

/// `rbd.set_modify_timestamp`: to now.
pub(crate) fn set_modify_timestamp(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    set_timestamp(ctx, "modify_timestamp")
}

/// `rbd.get_object_prefix`: what names of data objects start with.
pub(crate) fn get_object_prefix(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&need_key::<Bytes>(ctx, "object_prefix")?)
}

/// `rbd.get_data_pool`: where data objects are; -1 for the header's own pool.
pub(crate) fn get_data_pool(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&read_key::<i64>(ctx, "data_pool_id")?.unwrap_or(-1))
}

/// `rbd.get_id`: the id in an id object.
pub(crate) fn get_id(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    reply_with(&stored::<Bytes>(&read_all(ctx)?)?)
}

/// `rbd.set_id`: sets the id in an empty id object.
pub(crate) fn set_id(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    check_exists(ctx)?;
    let id: Bytes = arg(&input)?;
    if !is_valid_id(&id) {
        return Err(Errno::EINVAL);
    }
    if ctx.size() != 0 {
        return Err(Errno::EEXIST);
    }
    ctx.write(0, reply(|out| out.put_blob(&id))?)?;
    done()
}

/// `rbd.get_snapcontext`: the newest snapshot id, and all ids from the newest to the oldest.
pub(crate) fn get_snapcontext(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    let mut ids = snapshot::ids(ctx)?;
    ids.reverse();
    let seq: u64 = need_key(ctx, "snap_seq")?;
    reply(|out| {
        out.put_u64_le(seq);
        ids.encode(out, Features::ALL);
    })
}
