//! Damaged blocks of volumes, and the objects that they are of.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use store::{StoreError, VolumeId};

use super::{
    Objects, SLOT_SIZE,
    id::ObjectId,
    images::{DataName, split_image_key},
    onode::{ObjectState, Placement},
    slots::UNIT,
};

impl Objects {
    /// The data objects of images that some places in volumes belong to, once for each place. Others are left out: of slots it is
    /// not recorded whose they are.
    ///
    /// # Errors
    /// If the store fails.
    pub fn owners_of(
        &self,
        places: impl Iterator<Item = (VolumeId, u64)>,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let mut wanted: BTreeMap<VolumeId, BTreeSet<u64>> = BTreeMap::new();
        for (volume, offset) in places {
            wanted.entry(volume).or_default().insert(offset);
        }
        let mut owners = Vec::new();
        self.each_volume(None, |of, image, found| {
            if let Some(offsets) = wanted.remove(&found.volume) {
                let (header_pool, image) = split_image_key(&image);
                let size = u64::from(found.object_size).max(1);
                owners.extend(offsets.iter().map(|offset| {
                    let name = DataName::name_of(header_pool, &image, offset / size);
                    ObjectId::new(of.pool, of.nspace.clone(), name)
                }));
            }
            Ok(if wanted.is_empty() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(owners)
    }

    /// Has a range of an object read from the disk the next time, and not from the system's cache.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_cached(
        &self,
        id: &ObjectId,
        state: &ObjectState,
        offset: u64,
        len: u64,
    ) -> Result<(), StoreError> {
        match state.placement {
            Placement::Volume {
                volume,
                index,
                object_size,
            } => self
                .store()
                .drop_cached(volume, index * u64::from(object_size) + offset, len),
            Placement::Slots if state.inline => Ok(()),
            // What it shares is read for the clones that keep it, and for the head.
            Placement::Slots if state.view.is_some() => self.forget_kept(id, state, offset, len),
            Placement::Slots => {
                let volume = self.slots.volume(self.store(), id.pool)?;
                for block in offset / SLOT_SIZE..(offset + len).div_ceil(SLOT_SIZE) {
                    if let Some(slot) = self.slot_of(state, block)? {
                        self.store().drop_cached(volume, slot * SLOT_SIZE, SLOT_SIZE)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The same, of what a clone keeps.
    fn forget_kept(
        &self,
        id: &ObjectId,
        clone: &ObjectState,
        offset: u64,
        len: u64,
    ) -> Result<(), StoreError> {
        let volume = self.slots.volume(self.store(), id.pool)?;
        for block in offset / SLOT_SIZE..(offset + len).div_ceil(SLOT_SIZE) {
            for run in self.kept_of(clone.onode, block)?.runs() {
                let len = u64::from(run.count) * UNIT;
                self.store().drop_cached(volume, run.offset(), len)?;
            }
        }
        Ok(())
    }
}
