//! Walking all objects: for listings, for counting at start, and to drop what nothing refers to any more.

use std::{collections::HashMap, ops::ControlFlow};

use bytes::Bytes;
use store::{Seq, StoreError, Transaction};

use super::{
    Objects,
    id::ObjectId,
    images::{ImageVolume, recorded_volume, split_image_key},
    keys,
    onode::{Entry, ObjectState, Onode, PAGE_ENTRIES, Placement},
};

/// A part of a pool: objects whose placement hash ends in `seed`'s lowest `bits` bits. A placement group is
/// such a part (`pg_t::get_split_bits` in Ceph `src/osd/osd_types.cc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRange {
    /// The hash's low bits.
    pub seed: u32,
    /// How many of them count.
    pub bits: u32,
}

impl HashRange {
    /// The part that is placement group `seed` of `pg_num`.
    #[must_use]
    pub const fn of_pg(seed: u32, pg_num: u32) -> Self {
        if pg_num <= 1 {
            return Self { seed: 0, bits: 0 };
        }
        let p = u32::BITS - pg_num.leading_zeros();
        let half = 1_u32 << (p - 1);
        let bits = if seed % half < pg_num % half { p } else { p - 1 };
        Self { seed, bits }
    }

    /// First and last reversed hash.
    #[must_use]
    pub const fn reversed(&self) -> (u32, u32) {
        let mask = if self.bits == 0 {
            u32::MAX
        } else if self.bits >= 32 {
            0
        } else {
            u32::MAX >> self.bits
        };
        let first = self.seed.reverse_bits() & !mask;
        (first, first | mask)
    }
}

impl Objects {
    /// The objects of a part of a pool, in Ceph's order: the reversed hash is at least `start`, and the sort key
    /// (reversed hash, namespace, locator key, name) at least `from`. `wanted` filters by namespace. At most `limit`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn list(
        &self,
        pool: i64,
        range: HashRange,
        start: u32,
        from: Option<&ObjectId>,
        limit: usize,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let (first, last) = range.reversed();
        let first = first.max(start);
        let from = from.map(keys::object);
        let mut found = Vec::new();
        self.named_in(pool, first, last, from.as_ref(), limit, &wanted, &mut found)?;
        let data = self.listings.get(self, pool, from.as_ref())?;
        data.page(self, (first, last), from.as_ref(), limit, &wanted, &mut found)?;
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found.truncate(limit);
        if let Some((end, _)) = found.last().filter(|_| found.len() == limit) {
            self.listings.page_ended(pool, &data, end);
        }
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    #[allow(clippy::too_many_arguments)]
    fn named_in(
        &self,
        pool: i64,
        first: u32,
        last: u32,
        from: Option<&Bytes>,
        limit: usize,
        wanted: &impl Fn(&[u8]) -> bool,
        found: &mut Vec<(Bytes, ObjectId)>,
    ) -> Result<(), StoreError> {
        let start = keys::objects_from(pool, first);
        let start = from.filter(|f| **f > start).cloned().unwrap_or(start);
        let end = match last.checked_add(1) {
            Some(next) => keys::objects_from(pool, next),
            None => keys::pool_range(b'O', pool).1,
        };
        for row in self.store().rows((start, end)) {
            if found.len() >= limit {
                break;
            }
            let (key, _) = row?;
            let id = ObjectId::from_sort_key(&key[1..]).ok_or(StoreError::Corrupt("object key".into()))?;
            if wanted(&id.nspace) {
                found.push((key, id));
            }
        }
        Ok(())
    }

    /// Forgets what was kept for listings that nobody goes on with.
    pub fn forget_idle_listings(&self) {
        self.listings.forget_idle();
    }

    /// Calls `f` with each image volume: an id that names pool and namespace, the image, the volume.
    pub(super) fn each_volume(
        &self,
        pool: Option<i64>,
        mut f: impl FnMut(ObjectId, Bytes, ImageVolume) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let range = pool.map_or_else(|| keys::whole_table(b'V'), |p| keys::pool_range(b'V', p));
        for row in self.store().rows(range) {
            let (key, value) = row?;
            let (id, image, volume) = recorded_volume(self.store(), &key, &value)?;
            if f(id, image, volume)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Calls `f` with number and entry of each data object that is recorded in a volume.
    pub(super) fn each_entry(
        &self,
        volume: ImageVolume,
        mut f: impl FnMut(u64, Entry),
    ) -> Result<(), StoreError> {
        let pages = self.store().rows(keys::onode_range(b'P', volume.volume.0));
        // They are large.
        for row in pages.at_a_time(16) {
            let (key, page) = row?;
            let number = key
                .get(9..13)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u32::from_be_bytes);
            for slot in 0..page.len().div_ceil(Entry::LEN) {
                let entry = Entry::from_page(&page, slot);
                if entry.recorded() {
                    f(u64::from(number) * PAGE_ENTRIES + slot as u64, entry);
                }
            }
        }
        Ok(())
    }

    /// Calls `each` for every object in a range of keys that is recorded under its own name: all but the data of images.
    pub(super) fn each_named(
        &self,
        range: (Bytes, Bytes),
        mut each: impl FnMut(ObjectId, ObjectState),
    ) -> Result<(), StoreError> {
        for row in self.store().rows(range) {
            let (key, value) = row?;
            let id = ObjectId::from_sort_key(&key[1..]).ok_or(StoreError::Corrupt("object key".into()))?;
            let state = Onode::decode(&value, Placement::Slots).ok_or(StoreError::Corrupt("onode".into()))?;
            each(id, state);
        }
        Ok(())
    }

    /// Counts objects, clones and bytes of all pools.
    pub(super) fn count_all(&self) -> Result<(), StoreError> {
        let mut with_clones = HashMap::new();
        self.each_named(keys::whole_table(b'O'), |id, state| {
            self.usage().pool(id.pool).changed(1, state.size as i64);
            with_clones.extend(state.onode.filter(|_| state.clones).map(|onode| (onode, id.pool)));
        })?;
        self.each_volume(None, |id, _, volume| {
            let (mut objects, mut bytes, mut extra) = (0, 0, false);
            self.each_entry(volume, |_, entry| {
                objects += 1;
                bytes += i64::from(entry.size());
                extra |= entry.extra();
            })?;
            self.usage().pool(id.pool).changed(objects, bytes);
            self.images.counted(volume.volume, objects);
            if extra {
                self.each_extra(volume, |_, onode| {
                    with_clones.insert(onode, id.pool);
                })?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.count_clones(&with_clones)
    }

    /// Calls `f` with number and onode of each data object in a volume that has clones.
    pub(super) fn each_extra(
        &self,
        volume: ImageVolume,
        mut f: impl FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        for row in self.store().rows(keys::onode_range(b'E', volume.volume.0)) {
            let (key, value) = row?;
            let index = key.get(9..17).and_then(|b| b.try_into().ok());
            let index = index.ok_or(StoreError::Corrupt("data object key".into()))?;
            let state = Onode::decode(&value, Placement::Slots).ok_or(StoreError::Corrupt("onode".into()))?;
            if let Some(onode) = state.onode.filter(|_| state.clones) {
                f(u64::from_be_bytes(index), onode);
            }
        }
        Ok(())
    }

    /// Deletes the volumes of images that have neither a header nor data objects.
    pub(super) fn collect_orphans(&self) -> Result<(), StoreError> {
        let mut orphans = Vec::new();
        self.each_volume(None, |id, image, volume| {
            if self.images.count(volume.volume) == 0 && !self.has_header(&id, &image)? {
                orphans.push((id, image, volume));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (id, image, volume) in orphans {
            self.delete_volume(&id, &image, volume)?;
        }
        Ok(())
    }

    /// Deletes the volume of an image whose header was removed, if no data objects are left.
    ///
    /// # Errors
    /// If the store fails.
    pub fn header_removed(&self, header: &ObjectId) -> Result<(), StoreError> {
        let Some(image) = header.name.strip_prefix(b"rbd_header.") else {
            return Ok(());
        };
        let mut gone = Vec::new();
        self.each_volume(None, |id, key, volume| {
            let (pool, of) = split_image_key(&key);
            let same = pool.unwrap_or(id.pool) == header.pool && id.nspace == header.nspace && of == image;
            if same && self.images.count(volume.volume) == 0 {
                gone.push((id, key, volume));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (id, image, volume) in gone {
            self.delete_volume(&id, &image, volume)?;
        }
        Ok(())
    }

    fn has_header(&self, of: &ObjectId, image: &[u8]) -> Result<bool, StoreError> {
        let (pool, image) = split_image_key(image);
        let name = [b"rbd_header.", image.as_ref()].concat();
        let header = ObjectId::new(pool.unwrap_or(of.pool), of.nspace.clone(), name);
        Ok(self.store().get(&keys::object(&header))?.is_some())
    }

    /// Deletes the volume of an image that has no objects any more, or whose pool is gone. Returns the transaction.
    pub(super) fn delete_volume(
        &self,
        id: &ObjectId,
        image: &[u8],
        volume: ImageVolume,
    ) -> Result<Seq, StoreError> {
        self.images.forget(volume.volume);
        let mut tx = Transaction::new();
        tx.delete(keys::image_volume(id.pool, &id.nspace, image));
        let (from, to) = keys::onode_range(b'P', volume.volume.0);
        tx.delete_range(from, to);
        tx.delete_volume(volume.volume);
        self.store().submit(tx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_groups_part_the_hashes_without_gap_or_overlap() {
        for pg_num in [1, 2, 3, 8, 12, 32, 100] {
            let mut ranges: Vec<_> = (0..pg_num)
                .map(|s| HashRange::of_pg(s, pg_num).reversed())
                .collect();
            ranges.sort_unstable();
            assert_eq!(ranges[0].0, 0, "{pg_num}");
            assert_eq!(ranges.last().unwrap().1, u32::MAX, "{pg_num}");
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].1 + 1, pair[1].0, "{pg_num}");
            }
        }
    }
}
