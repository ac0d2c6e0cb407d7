//! Volumes that become images without being copied, and images that become plain volumes again.

use bytes::BytesMut;
use store::{StoreError, Transaction, VolumeId};

use super::{
    Objects,
    commit::{CommitError, SlotChanges},
    creators,
    id::ObjectId,
    images::{ImageVolume, volume_name},
    keys,
    onode::{Entry, ObjectState, Onode, PAGE_ENTRIES, Placement},
};

/// Bytes of pages that one transaction takes.
const MAX_PAGES: u64 = 16 << 20;
/// Orders of objects: 4 MiB, or more for large images, up to 32 MiB.
const ORDERS: std::ops::RangeInclusive<u8> = 22..=25;

/// The order for an image of a volume of `size` bytes: its objects are recorded at once. `None` if it is too large.
#[must_use]
pub fn order_for(size: u64) -> Option<u8> {
    ORDERS
        .into_iter()
        .find(|order| size.div_ceil(1 << order) * Entry::LEN as u64 <= MAX_PAGES)
}

impl Objects {
    /// The volume of an image's data, if any was ever written.
    ///
    /// # Errors
    /// If the store fails.
    pub fn volume_of_image(&self, image: &ObjectId) -> Result<Option<VolumeId>, StoreError> {
        let record = keys::image_volume(image.pool, &image.nspace, &image.name);
        if self.store().get(&record)?.is_none() {
            return Ok(None);
        }
        Ok(self.store().find_volume(&volume_name(image, &image.name)))
    }

    /// Makes the volume at `place` the data of an image that has a header and no data; all its objects exist from then on.
    /// `image` has the image's id for a name.
    ///
    /// # Errors
    /// If the store refuses: nothing was changed then.
    pub fn adopt(&self, image: &ObjectId, place: &str, size: u64, order: u8) -> Result<(), StoreError> {
        let object_size = 1_u32 << order;
        let version = self.next_version()?;
        let record = keys::image_volume(image.pool, &image.nspace, &image.name);
        let name = volume_name(image, &image.name);
        let count = size.div_ceil(object_size.into());
        let volume = self.store().adopt_volume(&name, place, |volume| {
            let mut tx = Transaction::new();
            tx.put(record, object_size.to_le_bytes().to_vec());
            let mut state = ObjectState::absent(Placement::Slots);
            state.exists = true;
            state.version = version;
            for first in (0..count).step_by(PAGE_ENTRIES as usize) {
                let mut page = BytesMut::new();
                for index in first..count.min(first + PAGE_ENTRIES) {
                    state.size = (size - index * u64::from(object_size)).min(object_size.into());
                    page.extend_from_slice(&Entry::of(&state, false).encode());
                }
                let number = u32::try_from(first / PAGE_ENTRIES).unwrap_or(u32::MAX);
                tx.put(keys::page(volume.0, number), page.freeze());
            }
            tx
        })?;
        self.images.counted(volume, count.cast_signed());
        let usage = self.usage().pool(image.pool);
        usage.changed(count.cast_signed(), size.cast_signed());
        Ok(())
    }

    /// Whether any data object of an image's volume still has clones for snapshots.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn has_clones(&self, volume: VolumeId) -> Result<bool, StoreError> {
        for row in self.store().rows(keys::onode_range(b'E', volume.0)) {
            let state = Onode::decode(&row?.1, Placement::Slots);
            if state
                .ok_or(StoreError::Corrupt("data object's onode".into()))?
                .clones
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets an image's header and data, and leaves its volume as a plain one that reads as the image did. Returns where it
    /// lies. There must be no clones. What is in memory of the image's objects must be forgotten, too.
    ///
    /// # Errors
    /// If the store or the device fails: the image is still there then.
    pub fn release(&self, image: &ObjectId, volume: VolumeId, size: u64) -> Result<String, CommitError> {
        let mut tx = Transaction::new();
        let mut slots = SlotChanges::default();
        let header = creators::header_of(image);
        let old = self.load(&header)?;
        self.stage_removal(&header, &old, &mut tx, &mut slots)?;
        creators::record(&mut tx, &header, true, false, "");
        tx.delete(keys::image_volume(image.pool, &image.nspace, &image.name));
        for table in *b"PE" {
            let (from, to) = keys::onode_range(table, volume.0);
            tx.delete_range(from, to);
        }
        for row in self.store().rows(keys::onode_range(b'E', volume.0)) {
            let (_, value) = row?;
            if let Some(onode) = Onode::decode(&value, Placement::Slots).and_then(|state| state.onode) {
                self.stage_rows_removed(onode, &mut tx);
            }
        }
        let (objects, bytes) = self.held_by(volume)?;
        let place = self.store().release_volume(volume, size, tx)?;
        self.images.forget(volume);
        self.slots.release(image.pool, &slots.freed);
        self.account(&header, &old, &ObjectState::absent(Placement::Slots));
        self.usage().pool(image.pool).changed(-objects, -bytes);
        Ok(place)
    }

    /// How many data objects a volume holds, and how many bytes they are.
    fn held_by(&self, volume: VolumeId) -> Result<(i64, i64), StoreError> {
        let (mut objects, mut bytes) = (0, 0);
        let object_size = 0;
        self.each_entry(ImageVolume { volume, object_size }, |_, entry| {
            objects += 1;
            bytes += i64::from(entry.size());
        })?;
        Ok((objects, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_volumes_get_larger_objects() {
        assert_eq!(order_for(10 << 30), Some(22));
        assert_eq!(order_for(3 << 40), Some(23));
        assert_eq!(order_for(20 << 40), Some(25));
        assert_eq!(order_for(1 << 50), None);
    }
}
