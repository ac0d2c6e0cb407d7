//! Names and values that users and clients store with an image, or with a pool.

use bytes::Bytes;

use crate::{
    ObjectContext, Result,
    support::{MAX_KEYS_READ, arg, args, done, key, list, list_args, reply_with, rm_key},
};

const PREFIX: &str = "metadata_";

/// `rbd.metadata_list`: names and values; 64 of them if the caller does not say how many.
pub(crate) fn metadata_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    let max = if max == 0 { MAX_KEYS_READ as u64 } else { max };
    let pairs = list(ctx, &key(PREFIX, start_after), PREFIX, max, |v| Ok(v.clone()))?;
    reply_with(&pairs)
}

/// `rbd.metadata_set`: a map of names to values.
pub(crate) fn metadata_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let pairs = args(&input, |r| r.map::<Bytes, Bytes>())?;
    ctx.omap_set(pairs.into_iter().map(|(k, v)| (key(PREFIX, k), v)).collect())?;
    done()
}

/// `rbd.metadata_remove`.
pub(crate) fn metadata_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let name: Bytes = arg(&input)?;
    rm_key(ctx, key(PREFIX, name))?;
    done()
}

/// `rbd.metadata_get`: the value of a name.
pub(crate) fn metadata_get(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let name: Bytes = arg(&input)?;
    let value = ctx.omap_get(&key(PREFIX, name))?;
    reply_with(&value.ok_or(encoding::Errno::ENOENT)?)
}
