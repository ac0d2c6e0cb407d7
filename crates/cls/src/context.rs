//! What a class method sees of the object it is called on.

use std::fmt;

use bytes::Bytes;
use encoding::{
    Errno, Features,
    types::{EntityAddr, EntityName, Utime},
};

/// A result of a context's or a method's.
pub type Result<T> = std::result::Result<T, Errno>;

/// Keys and values of an omap in order, and whether more follow.
pub type OmapPage = (Vec<(Bytes, Bytes)>, bool);

/// The object that a method is called on, within one op vector.
///
/// Mutations are staged: later calls see them, the object itself changes only if the whole vector succeeds.
/// Any mutation but a removal creates the object, unless it says otherwise.
pub trait ObjectContext {
    /// Whether the object exists.
    fn exists(&self) -> bool;

    /// Its size in bytes; 0 if it does not exist.
    fn size(&self) -> u64;

    /// When it was last changed; zero if it does not exist.
    fn mtime(&self) -> Utime;

    /// Up to `len` bytes from `off`; fewer at the end of the object, and none if it does not exist (`PrimaryLogPG::do_read`).
    ///
    /// # Errors
    /// Those of the store.
    fn read(&self, off: u64, len: u64) -> Result<Bytes>;

    /// Creates the object.
    ///
    /// # Errors
    /// EEXIST if it exists and `exclusive` is set.
    fn create(&mut self, exclusive: bool) -> Result<()>;

    /// Writes `data` at `off`.
    ///
    /// # Errors
    /// EFBIG if that makes the object too large.
    fn write(&mut self, off: u64, data: Bytes) -> Result<()>;

    /// Makes `data` the whole content.
    ///
    /// # Errors
    /// EFBIG if that is too large.
    fn write_full(&mut self, data: Bytes) -> Result<()>;

    /// Makes the object `len` bytes long. Does nothing if it does not exist.
    ///
    /// # Errors
    /// EFBIG if that makes the object too large.
    fn truncate(&mut self, len: u64) -> Result<()>;

    /// Makes `len` bytes from `off` zero. Does nothing if the object does not exist, and does not grow it.
    ///
    /// # Errors
    /// Those of the store.
    fn zero(&mut self, off: u64, len: u64) -> Result<()>;

    /// Removes the object with its xattrs and omap.
    ///
    /// # Errors
    /// ENOENT if it does not exist.
    fn remove(&mut self) -> Result<()>;

    /// The value of a user's xattr.
    ///
    /// # Errors
    /// ENOENT if the object does not exist, ENODATA if the xattr does not.
    fn getxattr(&self, name: &[u8]) -> Result<Bytes>;

    /// Names and values of all user's xattrs, in order of their names.
    ///
    /// # Errors
    /// ENOENT if the object does not exist.
    fn getxattrs(&self) -> Result<Vec<(Bytes, Bytes)>>;

    /// Sets a user's xattr.
    ///
    /// # Errors
    /// ENAMETOOLONG and EFBIG beyond the limits of names and values.
    fn setxattr(&mut self, name: &[u8], value: Bytes) -> Result<()>;

    /// Removes a user's xattr, if it is there.
    ///
    /// # Errors
    /// Those of the store.
    fn rmxattr(&mut self, name: &[u8]) -> Result<()>;

    /// The omap's header; empty if none was set.
    ///
    /// # Errors
    /// Those of the store.
    fn omap_header(&self) -> Result<Bytes>;

    /// Sets the omap's header.
    ///
    /// # Errors
    /// Those of the store.
    fn set_omap_header(&mut self, header: Bytes) -> Result<()>;

    /// The value of a key; none if the key or the object does not exist.
    ///
    /// # Errors
    /// Those of the store.
    fn omap_get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// At most `max` keys and values behind `start_after` that start with `prefix`, in order, and whether more
    /// of them follow. Nothing if the object does not exist. Fewer may come, with more following.
    ///
    /// # Errors
    /// Those of the store.
    fn omap_vals(&self, start_after: &[u8], prefix: &[u8], max: usize) -> Result<OmapPage>;

    /// As [`Self::omap_vals`], without the values.
    ///
    /// # Errors
    /// Those of the store.
    fn omap_keys(&self, start_after: &[u8], prefix: &[u8], max: usize) -> Result<(Vec<Bytes>, bool)> {
        let (vals, more) = self.omap_vals(start_after, prefix, max)?;
        Ok((vals.into_iter().map(|(k, _)| k).collect(), more))
    }

    /// Sets keys.
    ///
    /// # Errors
    /// EOPNOTSUPP if the pool has no omaps.
    fn omap_set(&mut self, values: Vec<(Bytes, Bytes)>) -> Result<()>;

    /// Removes keys, those that are there.
    ///
    /// # Errors
    /// ENOENT if the object does not exist.
    fn omap_rm(&mut self, keys: &[Bytes]) -> Result<()>;

    /// Removes all keys and the header.
    ///
    /// # Errors
    /// ENOENT if the object does not exist.
    fn omap_clear(&mut self) -> Result<()>;

    /// Who sent the request, and from where (`cls_get_request_origin`).
    fn origin(&self) -> (EntityName, EntityAddr);

    /// The features of that client's connection (`cls_get_client_features`).
    fn client_features(&self) -> Features;

    /// Who watches the object.
    ///
    /// # Errors
    /// ENOENT if it does not exist.
    fn watchers(&self) -> Result<Vec<(EntityName, EntityAddr)>>;

    /// The current time.
    fn now(&self) -> Utime;

    /// Sixteen random bytes, for ids that a method makes.
    fn random(&mut self) -> [u8; 16];

    /// The object's name.
    fn object_name(&self) -> &[u8];

    /// Its pool.
    fn pool_id(&self) -> i64;

    /// Its namespace.
    fn namespace(&self) -> &[u8];

    /// Its version: that of the last change which was stored.
    fn version(&self) -> u64;

    /// The sequence number of its snapset, if the object exists.
    fn snapset_seq(&self) -> Option<u64>;

    /// Its clones, oldest first, by the snapshot they were made for.
    fn clones(&self) -> Vec<u64>;

    /// The oldest release that the cluster's servers may have, by its number: 14 is Nautilus.
    fn require_osd_release(&self) -> u8;

    /// The oldest release that clients may have, by its number.
    fn min_compat_client(&self) -> u8;

    /// What the store allocates at a time, in bytes; 0 if that does not matter.
    fn min_alloc_size(&self) -> u64;

    /// A remark on why a method fails, for the server's log.
    fn log(&self, text: fmt::Arguments<'_>);
}
