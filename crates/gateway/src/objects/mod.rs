//! Objects on the store: what an object is made of (data, attributes, omap, watches), where each part lies, and
//! how a change of it becomes one transaction.
//!
//! Image data lies in the image's own volume at its natural place ([`images`]); everything else in metadata
//! and, if large, in slots ([`slots`]). The key layout is in [`keys`].

mod clone_read;
mod clone_record;
pub mod clones;
pub mod commit;
pub mod counter;
pub mod creators;
pub mod damage;
mod data_listing;
mod delete_pool;
pub mod extents;
pub mod fetched;
mod groups;
pub mod hand_over;
pub mod id;
pub mod images;
pub mod kept;
pub mod keys;
pub mod list;
pub mod mutation;
pub mod onode;
pub mod preserve;
pub mod scrub_records;
pub mod slots;
pub mod trim;
#[cfg(test)]
mod unit_tests;
mod units;
pub mod usage;

use bytes::{Bytes, BytesMut};
use store::{Store, StoreError};

use self::{
    counter::Counter,
    data_listing::DataListings,
    fetched::{Access, VolumeRange},
    id::ObjectId,
    images::Images,
    mutation::Mutation,
    onode::{Entry, ObjectState, Onode, PAGE_ENTRIES, Placement},
    slots::{SLOT_SIZE, Slots},
    usage::Usage,
};

/// Objects up to this size keep their data in metadata.
pub const INLINE_MAX: u64 = 4096;

/// Data that was asked for, or where it would have to be waited for.
#[derive(Debug)]
pub enum Data {
    /// The bytes.
    Ready(Bytes),
    /// Reading would wait for the disk; nothing was read.
    WouldBlock,
}

/// All objects of all pools.
pub struct Objects {
    store: Store,
    slots: std::sync::Arc<Slots>,
    images: Images,
    onodes: Counter,
    versions: Counter,
    usage: Usage,
    listings: DataListings,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl Objects {
    /// Opens the objects in `store` and counts what there is.
    ///
    /// # Errors
    /// If the store cannot be read or is damaged.
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let onodes = Counter::open(&store, "onode", 1 << 16)?;
        let versions = Counter::open(&store, "version", 1 << 24)?;
        let objects = Self {
            slots: std::sync::Arc::default(),
            images: Images::default(),
            onodes,
            versions,
            usage: Usage::default(),
            listings: DataListings::default(),
            store,
        };
        objects.count_all()?;
        objects.collect_orphans()?;
        Ok(objects)
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How much each pool holds.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// A version for the next change, larger than all before.
    ///
    /// # Errors
    /// If the store refuses to record the counter.
    pub fn next_version(&self) -> Result<u64, StoreError> {
        self.versions.next(&self.store)
    }

    /// The last version given out.
    #[must_use]
    pub fn last_version(&self) -> u64 {
        self.versions.last()
    }

    /// The stored state of an object.
    ///
    /// # Errors
    /// If the store fails or the object's record is damaged.
    pub fn load(&self, id: &ObjectId) -> Result<ObjectState, StoreError> {
        let found = self.images.place(&self.store, id)?;
        if let Some(found) = &found
            && let Placement::Volume { volume, index, .. } = found.placement
        {
            let entry = self.entry(volume.0, index)?;
            if entry.recorded() {
                let state = entry.state(found.placement);
                return if entry.extra() {
                    self.with_newest(self.with_extra(state, volume.0, index)?)
                } else {
                    Ok(state)
                };
            }
        }
        if let Some(raw) = self.store.get(&keys::object(id))? {
            let state = Onode::decode(&raw, Placement::Slots).ok_or(StoreError::Corrupt("onode".into()))?;
            return self.with_newest(state);
        }
        Ok(ObjectState::absent(
            found.map_or(Placement::Slots, |f| f.placement),
        ))
    }

    fn entry(&self, volume: u64, index: u64) -> Result<Entry, StoreError> {
        let Ok(page) = u32::try_from(index / PAGE_ENTRIES) else {
            return Ok(Entry::default());
        };
        let page = self.store.get(&keys::page(volume, page))?;
        Ok(page.map_or_else(Entry::default, |p| {
            Entry::from_page(&p, (index % PAGE_ENTRIES) as usize)
        }))
    }

    /// Adds what is recorded beside the page: onode number, truncation order.
    fn with_extra(&self, entry: ObjectState, volume: u64, index: u64) -> Result<ObjectState, StoreError> {
        let raw = self.store.get(&keys::extra(volume, index))?;
        let extra = raw.and_then(|raw| Onode::decode(&raw, entry.placement));
        let extra = extra.ok_or(StoreError::Corrupt("data object's onode".into()))?;
        Ok(ObjectState {
            onode: extra.onode,
            has_omap: extra.has_omap,
            truncate_seq: extra.truncate_seq,
            truncate_size: extra.truncate_size,
            seq: extra.seq,
            clones: extra.clones,
            ..entry
        })
    }

    /// Bytes `[offset, offset + len)` of the object; the caller keeps the range within the object's size.
    ///
    /// # Errors
    /// If the store fails.
    pub fn read(
        &self,
        id: &ObjectId,
        state: &ObjectState,
        offset: u64,
        len: u64,
        access: Access<'_>,
    ) -> Result<Data, StoreError> {
        if len == 0 {
            return Ok(Data::Ready(Bytes::new()));
        }
        if let (Some(view), false) = (&state.view, state.inline) {
            return self.read_clone(id, view, offset, len, access);
        }
        match state.placement {
            Placement::Volume {
                volume,
                index,
                object_size,
            } => {
                let at = index * u64::from(object_size) + offset;
                self.read_volume(volume, at, len as usize, access)
            }
            Placement::Slots if state.inline => self.read_inline(state, offset, len).map(Data::Ready),
            Placement::Slots => self.read_slots(id, state, offset, len, access),
        }
    }

    fn read_volume(
        &self,
        volume: store::VolumeId,
        at: u64,
        len: usize,
        access: Access<'_>,
    ) -> Result<Data, StoreError> {
        let Access::AtOnce(fetched) = access else {
            return self.store.read(volume, at, len).map(Data::Ready);
        };
        if let Some(data) = self.store.try_read_cached(volume, at, len)? {
            return Ok(Data::Ready(data));
        }
        let range = VolumeRange {
            volume,
            offset: at,
            len,
        };
        let data = fetched.get(range).transpose()?;
        Ok(data.map_or(Data::WouldBlock, Data::Ready))
    }

    fn read_inline(&self, state: &ObjectState, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let data = match state.onode {
            Some(onode) => self.store.get(&keys::inline_data(onode))?.unwrap_or_default(),
            None => Bytes::new(),
        };
        let from = data.len().min(offset as usize);
        let to = data.len().min((offset + len) as usize);
        if (to - from) as u64 == len {
            return Ok(data.slice(from..to));
        }
        let mut out = BytesMut::zeroed(len as usize);
        out[..to - from].copy_from_slice(&data[from..to]);
        Ok(out.freeze())
    }

    fn read_slots(
        &self,
        id: &ObjectId,
        state: &ObjectState,
        offset: u64,
        len: u64,
        access: Access<'_>,
    ) -> Result<Data, StoreError> {
        let volume = self.slots.volume(&self.store, id.pool)?;
        let mut out = BytesMut::with_capacity(len as usize);
        let mut at = offset;
        let end = offset + len;
        let mut lacks = false;
        while at < end {
            let within = at % SLOT_SIZE;
            let n = (SLOT_SIZE - within).min(end - at);
            match self.slot_of(state, at / SLOT_SIZE)? {
                None => out.resize(out.len() + n as usize, 0),
                Some(slot) => {
                    match self.read_volume(volume, slot * SLOT_SIZE + within, n as usize, access)? {
                        Data::Ready(piece) => out.extend_from_slice(&piece),
                        // All that lacks is to be noted.
                        Data::WouldBlock => lacks = true,
                    }
                }
            }
            at += n;
        }
        Ok(match lacks {
            true => Data::WouldBlock,
            false => Data::Ready(out.freeze()),
        })
    }

    /// The slot of a block of an object, if it has one.
    fn slot_of(&self, state: &ObjectState, block: u64) -> Result<Option<u64>, StoreError> {
        let (Some(onode), Ok(block)) = (state.onode, u32::try_from(block)) else {
            return Ok(None);
        };
        let Some(raw) = self.store.get(&keys::block(onode, block))? else {
            return Ok(None);
        };
        raw.as_ref()
            .try_into()
            .map(|b| Some(u64::from_le_bytes(b)))
            .map_err(|_| StoreError::Corrupt("slot number".into()))
    }

    /// One attribute as stored.
    ///
    /// # Errors
    /// If the store fails.
    pub fn xattr(&self, state: &ObjectState, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
        state
            .onode
            .map_or(Ok(None), |onode| self.store.get(&keys::xattr(onode, name)))
    }

    /// The omap header as stored.
    ///
    /// # Errors
    /// If the store fails.
    pub fn omap_header(&self, state: &ObjectState) -> Result<Option<Bytes>, StoreError> {
        state
            .onode
            .map_or(Ok(None), |onode| self.store.get(&keys::omap_header(onode)))
    }

    /// One omap value as stored.
    ///
    /// # Errors
    /// If the store fails.
    pub fn omap(&self, state: &ObjectState, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        state
            .onode
            .map_or(Ok(None), |onode| self.store.get(&keys::omap(onode, key)))
    }

    /// Up to `limit` rows of an object's table (`X` or `M`) from `from` on (inclusive), as stored. Keys are
    /// given without their prefix. Fewer than `limit` rows: there are no more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn rows(
        &self,
        table: u8,
        state: &ObjectState,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let Some(range) = range_of(table, state, from) else {
            return Ok(Vec::new());
        };
        let rows = self.store.scan(&range.0..&range.1, limit)?;
        Ok(rows.into_iter().map(|(k, v)| (k.slice(9..), v)).collect())
    }

    /// The rows of an object's table from key `from` on, in order, as they are read; their keys without the onode.
    pub fn each_row<'a>(
        &'a self,
        table: u8,
        state: &ObjectState,
        from: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> + use<'a> {
        let rows = range_of(table, state, from).map(|range| self.store.rows(range));
        rows.into_iter().flatten().map(|row| {
            let (key, value) = row?;
            Ok((key.slice(9..), value))
        })
    }

    /// All rows of an object's table, or nothing if they are more than `room` bytes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn rows_up_to(
        &self,
        table: u8,
        state: &ObjectState,
        room: usize,
    ) -> Result<Option<Vec<(Bytes, Bytes)>>, StoreError> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for row in self.each_row(table, state, &[]) {
            let (key, value) = row?;
            bytes += key.len() + value.len();
            if bytes > room {
                return Ok(None);
            }
            found.push((key, value));
        }
        Ok(Some(found))
    }

    /// The recorded watches of an object: client, cookie, recorded form.
    ///
    /// # Errors
    /// If the store fails.
    pub fn watches(&self, state: &ObjectState) -> Result<Vec<(i64, u64, Bytes)>, StoreError> {
        let mut out = Vec::new();
        for (key, value) in self.rows(b'W', state, &[], usize::MAX)? {
            let (Some(client), Some(cookie)) = (key.get(..8), key.get(8..16)) else {
                continue;
            };
            let number = |b: &[u8]| b.try_into().map_or(0, u64::from_be_bytes);
            out.push((number(client) as i64, number(cookie), value));
        }
        Ok(out)
    }

    /// Attribute or omap rows with staged changes laid over, from `from` on (inclusive), at most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn merged_rows(
        &self,
        table: u8,
        state: &ObjectState,
        mutation: &Mutation,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let (staged, hidden) = match table {
            b'X' => (&mutation.xattrs, mutation.reset),
            _ => (&mutation.omap, mutation.omap_cleared || mutation.reset),
        };
        if staged.is_empty() {
            return if hidden {
                Ok(Vec::new())
            } else {
                self.rows(table, state, from, limit)
            };
        }
        // Each staged row hides at most one stored row.
        let stored = match hidden {
            true => Vec::new(),
            false => self.rows(table, state, from, limit.saturating_add(staged.len()))?,
        };
        let mut merged: std::collections::BTreeMap<Bytes, Bytes> = stored.into_iter().collect();
        for (key, value) in staged.range(Bytes::copy_from_slice(from)..) {
            match value {
                Some(value) => drop(merged.insert(key.clone(), value.clone())),
                None => drop(merged.remove(key)),
            }
        }
        Ok(merged.into_iter().take(limit).collect())
    }
}

/// The keys of an object's table from key `from` on.
fn range_of(table: u8, state: &ObjectState, from: &[u8]) -> Option<(Bytes, Bytes)> {
    let (first, end) = keys::onode_range(table, state.onode?);
    Some(([&first, from].concat().into(), end))
}
