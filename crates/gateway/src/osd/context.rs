//! An object under an op vector: the stored state, what the vector has staged, and who asks. This is what class
//! methods see.

use std::{cell::Cell, fmt};

use bytes::Bytes;
use cls::{ObjectContext, OmapPage};
use encoding::{
    Errno, Features,
    types::{EntityAddr, EntityName, Utime},
};
use store::StoreError;

use super::erasure::PoolKind;
use crate::objects::{
    Data, Objects,
    fetched::Access,
    id::ObjectId,
    mutation::{Change, DataChange, Mutation, WriterSnaps},
    onode::ObjectState,
};

/// `osd_max_object_size`.
pub(super) const MAX_OBJECT_SIZE: u64 = 128 << 20;
/// `osd_max_attr_size` is unlimited in Ceph; here a transaction must hold the value and a copy of it.
pub(super) const MAX_XATTR_SIZE: usize = 8 << 20;
/// `osd_max_attr_name_len`.
pub(super) const MAX_XATTR_NAME: usize = 100;
/// `osd_max_omap_entries_per_request`.
pub(super) const MAX_OMAP_ENTRIES: usize = 1024;
/// `osd_max_omap_bytes_per_request`.
pub(super) const MAX_OMAP_BYTES: usize = 1 << 30;

/// Who sent the request, and what the cluster requires.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    /// The client.
    pub origin: EntityName,
    /// Its address.
    pub addr: EntityAddr,
    /// Its features.
    pub features: Features,
    /// The server's time.
    pub now: Utime,
    /// `require_osd_release` of the map.
    pub require_osd_release: u8,
    /// The newer of `require_min_compat_client` and what the map needs.
    pub min_compat_client: u8,
    /// The kind of pool that the object is in.
    pub pool: PoolKind,
}

/// The object, as seen and changed by one op vector.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) objects: &'a Objects,
    pub(super) id: &'a ObjectId,
    pub(super) request: Request,
    pub(super) old: ObjectState,
    /// What a writer knows of snapshots.
    snaps: WriterSnaps,
    /// The state with what the vector did so far.
    pub state: ObjectState,
    /// What the vector staged.
    pub mutation: Mutation,
    /// Watchers of the object, for class methods.
    watchers: &'a [(EntityName, EntityAddr)],
    /// How reads get at data.
    access: Access<'a>,
    blocked: Cell<bool>,
    bytes_read: Cell<u64>,
}

impl<'a> Context<'a> {
    /// A context over the object's stored state.
    pub(super) fn new(
        objects: &'a Objects,
        id: &'a ObjectId,
        state: &ObjectState,
        watchers: &'a [(EntityName, EntityAddr)],
        request: Request,
        snaps: WriterSnaps,
        access: Access<'a>,
    ) -> Self {
        Self {
            objects,
            id,
            request,
            old: state.clone(),
            snaps,
            state: state.clone(),
            mutation: Mutation::default(),
            watchers,
            access,
            blocked: Cell::new(false),
            bytes_read: Cell::new(0),
        }
    }

    /// Whether a read had to give up because it would have waited for the disk.
    pub(super) fn blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Bytes of data that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// Whether anything is to be stored. An object that came and went within the vector is nothing.
    pub(super) fn modified(&self) -> bool {
        self.mutation.touched && (self.old.recorded() || self.state.exists)
    }

    /// Fails with ENOENT unless the object, or what is left of a removed one, is there to be looked at. As in Ceph,
    /// what is left reads as an empty object to those who do not ask whether it exists.
    pub(super) fn must_be_recorded(&self) -> Result<(), Errno> {
        if self.state.recorded() {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }

    /// The change to commit.
    pub(super) fn into_change(self) -> Change {
        let mut change = Change::new(self.old, self.state, self.mutation);
        change.snaps = self.snaps;
        change
    }

    /// Makes the object exist (`maybe_create_new_object`).
    pub(super) fn touch(&mut self) {
        self.state.exists = true;
        self.mutation.touched = true;
    }

    /// Fails with ENOENT if the object does not exist.
    pub(super) fn must_exist(&self) -> Result<(), Errno> {
        if self.state.exists {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }

    /// The object at a snapshot; `None` if it did not exist then.
    pub(super) fn at_snap(&self, snap: u64) -> Result<Option<ObjectState>, Errno> {
        self.objects
            .at_snap(&self.old, snap, false)
            .map_err(|e| self.store_error(&e))
    }

    /// Bytes of the object at a snapshot, a range within its size then.
    pub(super) fn read_at(&self, state: &ObjectState, offset: u64, len: u64) -> Result<Bytes, Errno> {
        let data = self.objects.read(self.id, state, offset, len, self.access);
        match data.map_err(|e| self.store_error(&e))? {
            Data::Ready(data) => Ok(data),
            Data::WouldBlock => {
                self.blocked.set(true);
                Err(Errno::EAGAIN)
            }
        }
    }

    /// Rows of a table of the stored object, from `from` on (inclusive), at most `limit`.
    pub(super) fn stored_rows(
        &self,
        table: u8,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Errno> {
        let rows = self.objects.rows(table, &self.old, from, limit);
        rows.map_err(|e| self.store_error(&e))
    }

    pub(super) fn store_error(&self, error: &StoreError) -> Errno {
        store_error(self.id, error)
    }

    /// Bytes of a range within the object's size, staged changes included.
    pub(super) fn read_within(&self, offset: u64, len: u64) -> Result<Bytes, Errno> {
        let stored = if self.mutation.reset || !self.old.exists {
            0
        } else {
            self.old.size
        };
        let from_store = stored.saturating_sub(offset).min(len);
        let mut base = Bytes::new();
        if from_store > 0 {
            base = self.read_at(&self.old, offset, from_store)?;
        }
        if (base.len() as u64) < len {
            let mut padded = bytes::BytesMut::with_capacity(len as usize);
            padded.extend_from_slice(&base);
            padded.resize(len as usize, 0);
            base = padded.freeze();
        }
        self.bytes_read.set(self.bytes_read.get() + len);
        Ok(self.mutation.overlay(offset, base))
    }

    /// Leaves of a write that was sent before a truncation which has arrived already what lies within the object. Returns whether it was such a
    /// one, and did not lie within. `truncate_seq`: the newest truncation that the writer knew of.
    pub(super) fn cut_late_write(&self, truncate_seq: u32, offset: u64, data: &mut Bytes) -> bool {
        let (size, newest) = (self.state.size, self.state.truncate_seq);
        let is_late = newest > truncate_seq && offset.saturating_add(data.len() as u64) > size;
        if is_late {
            data.truncate(size.saturating_sub(offset) as usize);
        }
        is_late
    }

    /// Stages a write that may be empty: as in Ceph, one beyond the end extends the object, but for a late one.
    pub(super) fn stage_any_write(&mut self, offset: u64, data: Bytes, is_late: bool) {
        self.touch();
        if !data.is_empty() {
            self.stage_write(offset, data);
        } else if offset > self.state.size && !is_late {
            self.stage_truncate(offset);
        }
    }

    /// Stages a write and grows the object.
    pub(super) fn stage_write(&mut self, offset: u64, data: Bytes) {
        self.touch();
        self.state.size = self.state.size.max(offset + data.len() as u64);
        self.mutation.data.push(DataChange::Write { offset, data });
    }

    /// Stages a truncation (or extension) to `size`.
    pub(super) fn stage_truncate(&mut self, size: u64) {
        self.touch();
        self.state.size = size;
        self.mutation.data.push(DataChange::Truncate { size });
    }
}

/// The errno for a failure of the store; what is not the client's business is logged here, once.
pub(super) fn store_error(id: &ObjectId, error: &StoreError) -> Errno {
    match error {
        StoreError::NoSpace(_) => Errno::ENOSPC,
        e => {
            tracing::error!(object = %id, error = %e, "the store failed");
            Errno::EIO
        }
    }
}

/// Fails with EFBIG where a range goes beyond the largest object (`check_offset_and_length`).
pub(super) fn check_range(offset: u64, len: u64) -> Result<(), Errno> {
    match offset.checked_add(len) {
        Some(end) if offset < MAX_OBJECT_SIZE && end <= MAX_OBJECT_SIZE => Ok(()),
        _ => Err(Errno::EFBIG),
    }
}

impl ObjectContext for Context<'_> {
    fn exists(&self) -> bool {
        self.state.exists
    }

    fn size(&self) -> u64 {
        self.state.size
    }

    fn mtime(&self) -> Utime {
        self.state.mtime
    }

    fn read(&self, off: u64, len: u64) -> Result<Bytes, Errno> {
        // Classes read at once, which erasure-coded pools cannot (`cls_cxx_read2`).
        self.request.pool.check_replicated()?;
        self.read_within(off, self.state.size.saturating_sub(off).min(len))
    }

    fn create(&mut self, exclusive: bool) -> Result<(), Errno> {
        if self.state.exists && exclusive {
            return Err(Errno::EEXIST);
        }
        self.touch();
        Ok(())
    }

    fn write(&mut self, off: u64, mut data: Bytes) -> Result<(), Errno> {
        self.request.pool.check_write(off, self.state.size)?;
        check_range(off, data.len() as u64)?;
        // Classes know of no truncation.
        let is_late = self.cut_late_write(0, off, &mut data);
        self.stage_any_write(off, data, is_late);
        Ok(())
    }

    fn write_full(&mut self, data: Bytes) -> Result<(), Errno> {
        check_range(0, data.len() as u64)?;
        if (data.len() as u64) < self.state.size {
            self.stage_truncate(data.len() as u64);
        }
        self.touch();
        if !data.is_empty() {
            self.stage_write(0, data);
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<(), Errno> {
        self.request.pool.check_overwrite()?;
        if !self.state.exists {
            return Ok(());
        }
        check_range(len, 0)?;
        self.stage_truncate(len);
        Ok(())
    }

    fn zero(&mut self, off: u64, len: u64) -> Result<(), Errno> {
        self.request.pool.check_overwrite()?;
        check_range(off, len)?;
        if self.state.exists && len > 0 && off < self.state.size {
            self.mutation.touched = true;
            if off + len >= self.state.size {
                // Ceph turns this into a truncation, so that space is given back.
                self.stage_truncate(off);
            } else {
                self.mutation.data.push(DataChange::Zero { offset: off, len });
            }
        }
        Ok(())
    }

    fn remove(&mut self) -> Result<(), Errno> {
        self.must_exist()?;
        self.state = ObjectState::absent(self.state.placement);
        self.mutation.remove();
        Ok(())
    }

    fn getxattr(&self, name: &[u8]) -> Result<Bytes, Errno> {
        self.must_be_recorded()?;
        if !self.state.exists {
            return Err(Errno::ENODATA);
        }
        let value = match self.mutation.xattrs.get(name) {
            Some(staged) => staged.clone(),
            None if self.mutation.reset => None,
            None => self
                .objects
                .xattr(&self.old, name)
                .map_err(|e| self.store_error(&e))?,
        };
        value.ok_or(Errno::ENODATA)
    }

    fn getxattrs(&self) -> Result<Vec<(Bytes, Bytes)>, Errno> {
        self.must_be_recorded()?;
        if !self.state.exists {
            return Ok(Vec::new());
        }
        self.objects
            .merged_rows(b'X', &self.old, &self.mutation, &[], usize::MAX)
            .map_err(|e| self.store_error(&e))
    }

    fn setxattr(&mut self, name: &[u8], value: Bytes) -> Result<(), Errno> {
        if value.len() > MAX_XATTR_SIZE {
            return Err(Errno::EFBIG);
        }
        if name.len() > MAX_XATTR_NAME {
            return Err(Errno::ENAMETOOLONG);
        }
        self.touch();
        self.mutation
            .xattrs
            .insert(Bytes::copy_from_slice(name), Some(value));
        Ok(())
    }

    fn rmxattr(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.must_exist()?;
        self.mutation.touched = true;
        self.mutation.xattrs.insert(Bytes::copy_from_slice(name), None);
        Ok(())
    }

    fn omap_header(&self) -> Result<Bytes, Errno> {
        if let Some(header) = &self.mutation.omap_header {
            return Ok(header.clone());
        }
        if self.mutation.omap_cleared || !self.old.has_omap {
            return Ok(Bytes::new());
        }
        let header = self
            .objects
            .omap_header(&self.old)
            .map_err(|e| self.store_error(&e))?;
        Ok(header.unwrap_or_default())
    }

    fn set_omap_header(&mut self, header: Bytes) -> Result<(), Errno> {
        self.request.pool.check_omap()?;
        self.touch();
        self.state.has_omap = true;
        self.mutation.omap_header = Some(header);
        Ok(())
    }

    fn omap_get(&self, key: &[u8]) -> Result<Option<Bytes>, Errno> {
        if let Some(staged) = self.mutation.omap.get(key) {
            return Ok(staged.clone());
        }
        if self.mutation.omap_cleared || !self.old.has_omap {
            return Ok(None);
        }
        self.objects
            .omap(&self.old, key)
            .map_err(|e| self.store_error(&e))
    }

    fn omap_vals(&self, start_after: &[u8], prefix: &[u8], max: usize) -> Result<OmapPage, Errno> {
        let max = max.min(MAX_OMAP_ENTRIES);
        // Behind `start_after` (so never the empty key), and not before the first key with the prefix.
        let mut from = start_after.to_vec();
        if prefix > start_after {
            from = prefix.to_vec();
        } else {
            from.push(0);
        }
        let mut rows = self
            .objects
            .merged_rows(b'M', &self.old, &self.mutation, &from, max + 1)
            .map_err(|e| self.store_error(&e))?;
        rows.truncate(rows.iter().take_while(|(k, _)| k.starts_with(prefix)).count());
        let mut more = rows.len() > max;
        rows.truncate(max);
        let mut bytes = 0;
        let fits = rows.iter().take_while(|(k, v)| {
            let fits = bytes < MAX_OMAP_BYTES;
            bytes += k.len() + v.len() + 8;
            fits
        });
        let fits = fits.count();
        more |= fits < rows.len();
        rows.truncate(fits);
        Ok((rows, more))
    }

    fn omap_set(&mut self, values: Vec<(Bytes, Bytes)>) -> Result<(), Errno> {
        self.request.pool.check_omap()?;
        self.touch();
        self.state.has_omap = true;
        self.mutation
            .omap
            .extend(values.into_iter().map(|(k, v)| (k, Some(v))));
        Ok(())
    }

    fn omap_rm(&mut self, keys: &[Bytes]) -> Result<(), Errno> {
        self.request.pool.check_omap()?;
        self.must_exist()?;
        self.mutation.touched = true;
        self.mutation.omap.extend(keys.iter().map(|k| (k.clone(), None)));
        Ok(())
    }

    fn omap_clear(&mut self) -> Result<(), Errno> {
        self.request.pool.check_omap()?;
        self.must_exist()?;
        if !self.state.has_omap {
            return Ok(());
        }
        self.mutation.touched = true;
        self.mutation.omap_cleared = true;
        self.mutation.omap.clear();
        self.mutation.omap_header = None;
        self.state.has_omap = false;
        Ok(())
    }

    fn origin(&self) -> (EntityName, EntityAddr) {
        (self.request.origin, self.request.addr)
    }

    fn client_features(&self) -> Features {
        self.request.features
    }

    fn watchers(&self) -> Result<Vec<(EntityName, EntityAddr)>, Errno> {
        self.must_exist()?;
        Ok(self.watchers.to_vec())
    }

    fn now(&self) -> Utime {
        self.request.now
    }

    fn random(&mut self) -> [u8; 16] {
        rand::random()
    }

    fn object_name(&self) -> &[u8] {
        &self.id.name
    }

    fn pool_id(&self) -> i64 {
        self.id.pool
    }

    fn namespace(&self) -> &[u8] {
        &self.id.nspace
    }

    fn version(&self) -> u64 {
        self.state.version
    }

    fn snapset_seq(&self) -> Option<u64> {
        self.state.recorded().then_some(self.old.seq)
    }

    fn clones(&self) -> Vec<u64> {
        let clones = self.objects.clones(&self.old, 0).unwrap_or_else(|error| {
            self.store_error(&error);
            Vec::new()
        });
        clones.into_iter().map(|clone| clone.id).collect()
    }

    fn require_osd_release(&self) -> u8 {
        self.request.require_osd_release
    }

    fn min_compat_client(&self) -> u8 {
        self.request.min_compat_client
    }

    fn min_alloc_size(&self) -> u64 {
        4096
    }

    fn log(&self, text: fmt::Arguments<'_>) {
        tracing::debug!(object = %self.id, "{text}");
    }
}
