//! What methods have in common: arguments, replies, and typed values under omap keys.

use bytes::{Bytes, BytesMut};
use encoding::{Decode, Encode, Errno, Features, Reader, codec};

use crate::{ObjectContext, Result};

/// The object, as methods get it.
pub(crate) type Ctx<'a> = dyn ObjectContext + 'a;

/// Keys that are read from an omap at a time (`RBD_MAX_KEYS_READ`).
pub(crate) const MAX_KEYS_READ: usize = 64;

/// Decodes arguments; what follows them is ignored, as newer clients may append. EINVAL if they are malformed.
pub(crate) fn args<T>(input: &Bytes, read: impl FnOnce(&mut Reader<'_>) -> codec::Result<T>) -> Result<T> {
    read(&mut Reader::new(input)).map_err(|_| Errno::EINVAL)
}

/// Decodes an argument of one type.
pub(crate) fn arg<T: Decode>(input: &Bytes) -> Result<T> {
    args(input, T::decode)
}

/// Decodes what is stored; EIO if it is malformed.
pub(crate) fn stored<T: Decode>(value: &Bytes) -> Result<T> {
    T::decode(&mut Reader::new(value)).map_err(|_| Errno::EIO)
}

/// A reply that `write` appends.
pub(crate) fn reply(write: impl FnOnce(&mut BytesMut)) -> Result<Bytes> {
    let mut out = BytesMut::new();
    write(&mut out);
    Ok(out.freeze())
}

/// A reply of one value. Values in replies do not depend on the client's features unless a method says so.
pub(crate) fn reply_with<T: Encode>(value: &T) -> Result<Bytes> {
    Ok(value.to_bytes(Features::ALL))
}

/// The reply of methods that have none.
pub(crate) fn done() -> Result<Bytes> {
    Ok(Bytes::new())
}

/// `prefix` and `name` together.
pub(crate) fn key(prefix: &str, name: impl AsRef<[u8]>) -> Bytes {
    let name = name.as_ref();
    let mut out = BytesMut::with_capacity(prefix.len() + name.len());
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(name);
    out.freeze()
}

/// What follows `prefix` in a key that has it.
pub(crate) fn without_prefix(key: &Bytes, prefix: &str) -> Bytes {
    key.slice(prefix.len().min(key.len())..)
}

/// The value under a key, if there is one; EIO if it is malformed.
pub(crate) fn read_key<T: Decode>(ctx: &Ctx<'_>, key: impl AsRef<[u8]>) -> Result<Option<T>> {
    ctx.omap_get(key.as_ref())?.as_ref().map(stored).transpose()
}

/// The value under a key that must be there; ENOENT if it is not.
pub(crate) fn need_key<T: Decode>(ctx: &Ctx<'_>, key: impl AsRef<[u8]>) -> Result<T> {
    read_key(ctx, key)?.ok_or(Errno::ENOENT)
}

/// Sets a key to a value whose encoding depends on `features`.
pub(crate) fn write_key_for<T: Encode>(
    ctx: &mut Ctx<'_>,
    key: impl AsRef<[u8]>,
    value: &T,
    features: Features,
) -> Result<()> {
    ctx.omap_set(vec![(
        Bytes::copy_from_slice(key.as_ref()),
        value.to_bytes(features),
    )])
}

/// Sets a key to a value.
pub(crate) fn write_key<T: Encode>(ctx: &mut Ctx<'_>, key: impl AsRef<[u8]>, value: &T) -> Result<()> {
    write_key_for(ctx, key, value, Features::ALL)
}

/// Removes a key; ENOENT if the object does not exist.
pub(crate) fn rm_key(ctx: &mut Ctx<'_>, key: impl AsRef<[u8]>) -> Result<()> {
    ctx.omap_rm(&[Bytes::copy_from_slice(key.as_ref())])
}

/// Removes a key if there is an object to remove it from.
pub(crate) fn rm_key_if_any(ctx: &mut Ctx<'_>, key: impl AsRef<[u8]>) -> Result<()> {
    ignore_enoent(rm_key(ctx, key))
}

/// A missing object or key is as good as success.
pub(crate) fn ignore_enoent(r: Result<()>) -> Result<()> {
    match r {
        Err(Errno::ENOENT) => Ok(()),
        r => r,
    }
}

/// ENOENT if the object does not exist.
pub(crate) fn check_exists(ctx: &Ctx<'_>) -> Result<()> {
    if ctx.exists() { Ok(()) } else { Err(Errno::ENOENT) }
}

/// The whole content of an object; ENOENT if it is empty or does not exist.
pub(crate) fn read_all(ctx: &Ctx<'_>) -> Result<Bytes> {
    match ctx.size() {
        0 => Err(Errno::ENOENT),
        size => ctx.read(0, size),
    }
}

/// Calls `each` with every key and value behind `start_after` that has `prefix`, until it says to stop.
pub(crate) fn scan(
    ctx: &Ctx<'_>,
    start_after: &[u8],
    prefix: &str,
    mut each: impl FnMut(&Bytes, &Bytes) -> Result<Walk>,
) -> Result<()> {
    let mut last = Bytes::copy_from_slice(start_after);
    loop {
        let (page, more) = ctx.omap_vals(&last, prefix.as_bytes(), MAX_KEYS_READ)?;
        for (key, value) in &page {
            if each(key, value)? == Walk::Stop {
                return Ok(());
            }
        }
        match page.last() {
            Some((key, _)) if more => last = key.clone(),
            _ => return Ok(()),
        }
    }
}

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// With the next key.
    On,
    /// Not.
    Stop,
}

/// At most `max` pairs behind `start_after` that have `prefix`: the key without it, and what `read` makes of the
/// value.
pub(crate) fn list<T>(
    ctx: &Ctx<'_>,
    start_after: &[u8],
    prefix: &str,
    max: u64,
    mut read: impl FnMut(&Bytes) -> Result<T>,
) -> Result<Vec<(Bytes, T)>> {
    let mut out = Vec::new();
    if max == 0 {
        return Ok(out);
    }
    scan(ctx, start_after, prefix, |key, value| {
        out.push((without_prefix(key, prefix), read(value)?));
        Ok(if out.len() as u64 >= max {
            Walk::Stop
        } else {
            Walk::On
        })
    })?;
    Ok(out)
}

/// Arguments of listing methods: the name to start behind, and how many to return.
pub(crate) fn list_args(input: &Bytes) -> Result<(Bytes, u64)> {
    args(input, |r| Ok((r.blob()?, r.u64()?)))
}
