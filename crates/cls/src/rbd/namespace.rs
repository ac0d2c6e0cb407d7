//! The namespaces of a pool.

use bytes::Bytes;
use encoding::Errno;

use crate::{
    ObjectContext, Result,
    support::{arg, done, key, list, list_args, reply_with, rm_key},
};

const PREFIX: &str = "name_";

/// `rbd.namespace_add`.
pub(crate) fn namespace_add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let key = key(PREFIX, arg::<Bytes>(&input)?);
    if ctx.omap_get(&key)?.is_some() {
        return Err(Errno::EEXIST);
    }
    ctx.omap_set(vec![(key, Bytes::new())])?;
    done()
}

/// `rbd.namespace_remove`.
pub(crate) fn namespace_remove(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let key = key(PREFIX, arg::<Bytes>(&input)?);
    if ctx.omap_get(&key)?.is_none() {
        return Err(Errno::ENOENT);
    }
    rm_key(ctx, key)?;
    done()
}

/// `rbd.namespace_list`.
pub(crate) fn namespace_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    let names = list(ctx, &key(PREFIX, start_after), PREFIX, max, |_| Ok(()))?;
    reply_with(&names.into_iter().map(|(name, ())| name).collect::<Vec<_>>())
}
