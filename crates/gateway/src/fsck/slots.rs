//! Slots that are taken, and images' objects by their volumes.

use bytes::Bytes;
use store::{StoreError, VolumeId};

use super::{
    Fix,
    tables::{Tables, number},
};
use crate::objects::{
    id::ObjectId,
    images::{DataName, parse_record, split_image_key, volume_name},
    keys,
    slots::{PAGE_SLOTS, SLOT_SIZE},
};

impl Tables<'_> {
    /// A page that says which slots are taken. Those in use that it has are taken off the list.
    pub(super) fn slot_page(&mut self, key: &Bytes, page: &Bytes) -> Result<(), StoreError> {
        let pool = number(key, 1).map(u64::cast_signed);
        let first = key
            .get(9..13)
            .and_then(|page| page.try_into().ok())
            .map(|page| u64::from(u32::from_be_bytes(page)) * PAGE_SLOTS);
        let (Some(pool), Some(first), 13) = (pool, first, key.len()) else {
            self.unreadable("a page of slots", key);
            return Ok(());
        };
        if page.len() as u64 > PAGE_SLOTS {
            self.unreadable("a page of slots", key);
            return Ok(());
        }
        let volume = self.store.find_volume(&format!("pool-{pool}.slots"));
        for (at, taken) in (0..).zip(page.iter()) {
            let slot = first + at;
            if *taken == 0 {
                continue;
            }
            self.looked.slots += 1;
            if self.slots.remove(&(pool, slot)).is_none() && !self.deleting.contains(&pool) {
                let mut fixes = vec![Fix::Patch(key.clone(), at, Bytes::from_static(&[0]))];
                fixes.extend(volume.map(|volume| Fix::Discard(volume, slot * SLOT_SIZE, SLOT_SIZE)));
                self.wrong(format!("slot {slot} of pool {pool} is taken by nobody"), fixes);
            }
        }
        Ok(())
    }

    /// Slots in use that count as free: the next object that takes one would overwrite them.
    pub(super) fn missing_slots(&mut self) -> Result<(), StoreError> {
        for ((pool, slot), (onode, _)) in std::mem::take(&mut self.slots) {
            let what = format!(
                "slot {slot} of pool {pool} counts as free, and has data of {}",
                self.name_of(onode)
            );
            let fixes = match u32::try_from(slot / PAGE_SLOTS) {
                Ok(page) => vec![Fix::Patch(
                    keys::slots(pool, page),
                    slot % PAGE_SLOTS,
                    Bytes::from_static(&[1]),
                )],
                Err(_) => Vec::new(),
            };
            self.wrong(what, fixes);
        }
        Ok(())
    }

    /// The id of an image's data object.
    pub(super) fn data_object(&self, volume: VolumeId, index: u64) -> Option<ObjectId> {
        let (pool, _) = self.volumes.get(&volume)?;
        let (from, to) = keys::pool_range(b'V', *pool);
        let rows = self.store.scan(&from..&to, usize::MAX).ok()?;
        rows.into_iter().find_map(|(key, _)| {
            let (pool, nspace, image) = parse_record(&key)?;
            let of = ObjectId::new(pool, nspace, Bytes::new());
            if self.store.find_volume(&volume_name(&of, &image)) != Some(volume) {
                return None;
            }
            let (header_pool, image) = split_image_key(&image);
            let name = DataName::name_of(header_pool, &image, index);
            Some(ObjectId::new(pool, of.nspace, name))
        })
    }
}
