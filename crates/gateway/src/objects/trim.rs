//! Removing snapshots from clones, and clones that serve none any more (`PrimaryLogPG::trim_object`).

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Buf, Bytes};
use store::{Seq, StoreError, Transaction};

use super::{
    Objects,
    clones::{CloneRecord, OpenSlot},
    commit::{CommitError, SlotChanges},
    id::ObjectId,
    kept::{Kept, runs_of_bits},
    keys,
    onode::{ObjectState, Placement},
    slots::{SLOT_SIZE, UNIT},
};

/// A clone that serves a removed snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// The row that says so.
    key: Bytes,
    /// The object.
    pub id: ObjectId,
    /// The clone.
    clone: u64,
}

/// What trimming a clone led to.
#[derive(Debug)]
pub struct TrimResult {
    /// The object as it is now.
    pub state: ObjectState,
    /// The transaction.
    pub seq: Seq,
    /// The object's record went with its last clone.
    pub gone: bool,
}

/// What the removal of a clone led to.
struct Removal {
    /// The next older clone as it is then.
    older: Option<CloneRecord>,
    /// Bytes that no clone has any more.
    freed: i64,
}

impl Objects {
    /// Some of the clones that serve a snapshot, at most `limit`.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn clones_of_snap(&self, pool: i64, snap: u64, limit: usize) -> Result<Vec<Trimmed>, StoreError> {
        let (from, to) = keys::snap_range(pool, snap);
        let rows = self.store().scan(&from..&to, limit)?;
        let parse = |(key, mut value): (Bytes, Bytes)| {
            let clone = (value.len() >= 8).then(|| value.get_u64_le())?;
            let id = ObjectId::from_sort_key(&value)?;
            Some(Trimmed { key, id, clone })
        };
        rows.into_iter()
            .map(|row| parse(row).ok_or(StoreError::Corrupt("snapshot index".into())))
            .collect()
    }

    /// Removes all snapshots that `removed` names from a clone, and the clone if it serves no other, in one
    /// transaction. `state` is the object's, and `last` the
    /// transaction that changed it last.
    ///
    /// # Errors
    /// If the store fails: nothing was changed then.
    pub fn trim(
        &self,
        which: &Trimmed,
        state: &ObjectState,
        last: Option<Seq>,
        removed: impl Fn(u64) -> bool,
    ) -> Result<TrimResult, CommitError> {
        let mut tx = Transaction::new();
        let mut slots = SlotChanges::default();
        let mut new = state.clone();
        tx.delete(which.key.clone());
        let clone = match state.onode {
            Some(onode) if state.clones => self.clone_from(onode, which.clone)?,
            _ => None,
        };
        let mut freed = None;
        // An earlier trim, of another snapshot, may have removed the clone after this one was listed.
        if let (Some(onode), Some(mut clone)) = (state.onode, clone.filter(|c| c.id == which.clone)) {
            // The index goes along: each of its rows leads to a clone, whenever the server ends.
            for snap in clone.snaps.extract_if(.., |snap| removed(*snap)) {
                tx.delete(keys::snap(which.id.pool, snap, onode));
            }
            let changed = if clone.snaps.is_empty() {
                let removal = self.stage_clone_removal(&which.id, onode, &clone, &mut tx, &mut slots)?;
                freed = Some(removal.freed);
                removal.older
            } else {
                tx.put(keys::clone(onode, clone.id), clone.encode());
                Some(clone.clone())
            };
            if state.newest.as_ref().is_some_and(|newest| newest.id == clone.id) {
                new.clones = changed.is_some();
                new.newest = changed.map(Arc::new);
            } else if let (Some(changed), Some(newest)) = (changed, &state.newest)
                && changed.id == newest.id
            {
                new.newest = Some(Arc::new(changed));
            }
            if state.clones && !new.clones {
                self.stage_last_clone_gone(&which.id, state, &mut new, &mut tx, &mut slots)?;
            }
        }
        if let Some(last) = last {
            tx.builds_on(last);
        }
        let seq = self.store().submit(tx)?;
        self.account_states(&which.id, state, &new);
        if let Some(freed) = freed {
            self.usage().pool(which.id.pool).clones_changed(-1, -freed);
        }
        self.release_when_durable(which.id.pool, seq, slots.freed);
        let gone = state.recorded() && !new.recorded();
        Ok(TrimResult {
            state: new,
            seq,
            gone,
        })
    }

    /// The object has no clones any more: its record says so, or goes if nothing else is left of the object.
    fn stage_last_clone_gone(
        &self,
        id: &ObjectId,
        state: &ObjectState,
        new: &mut ObjectState,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        if state.whiteout {
            self.stage_removal(id, state, tx, slots)?;
            *new = ObjectState::absent(state.placement);
            return Ok(());
        }
        self.stage_record(id, new, tx)
    }

    /// Removes a clone. What the next older one shares with it but not with the next newer one becomes that one's.
    fn stage_clone_removal(
        &self,
        id: &ObjectId,
        onode: u64,
        clone: &CloneRecord,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<Removal, CommitError> {
        let mut older = match clone.id.checked_sub(1) {
            Some(below) => self.clone_from(onode, below)?,
            None => None,
        };
        let before = older.clone();
        let mut freed = clone.own_bytes();
        if let Some(older) = &mut older {
            freed += older.own_bytes();
            older.overlap = older.overlap.intersection(&clone.overlap);
            freed -= older.own_bytes();
        }
        tx.delete(keys::clone(onode, clone.id));
        self.stage_units_of_removed(id, clone, before.as_ref().zip(older.as_mut()), tx, slots)?;
        if let Some(older) = &older {
            tx.put(keys::clone(onode, older.id), older.encode());
        }
        if let Some(number) = clone.state.onode {
            tx.delete(keys::omap_header(number));
            tx.delete(keys::inline_data(number));
            for table in *b"XMB" {
                let (from, to) = keys::onode_range(table, number);
                tx.delete_range(from, to);
            }
        }
        Ok(Removal { older, freed })
    }

    /// Gives the units of a removed clone to the older one, where that now must keep them itself, and frees the others. Slots change
    /// hands: nothing is copied, so that snapshots can be removed when there is no space for data. `older` is that one before and after.
    fn stage_units_of_removed(
        &self,
        id: &ObjectId,
        clone: &CloneRecord,
        mut older: Option<(&CloneRecord, &mut CloneRecord)>,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        // Each slot's places that had something, and those that are still of use.
        let mut places: BTreeMap<u64, (u16, u16)> = BTreeMap::new();
        for row in self.each_row(b'B', &clone.state, &[]) {
            let (key, value) = row?;
            let block = key.as_ref().try_into().map(u32::from_be_bytes);
            let (Ok(block), Some(kept)) = (block, Kept::decode(&value)) else {
                return Err(StoreError::Corrupt("block of a clone".into()).into());
            };
            for run in kept.runs() {
                places.entry(run.slot()).or_default().0 |= run.places();
            }
            let Some((before, after)) = &older else { continue };
            for run in self.stage_inherited(before, after, block, &kept, tx)?.runs() {
                places.entry(run.slot()).or_default().1 |= run.places();
            }
        }
        if let Some((_, after)) = &mut older {
            let inherited = |open: &OpenSlot| places.get(&open.slot).is_some_and(|(_, used)| *used != 0);
            after.open = after.open.or(clone.open.filter(inherited));
        }
        self.stage_unused_places(id.pool, &places, tx, slots)
    }

    /// Gives the older clone what it comes to keep of a block's units. Returns those.
    fn stage_inherited(
        &self,
        before: &CloneRecord,
        after: &CloneRecord,
        block: u32,
        kept: &Kept,
        tx: &mut Transaction,
    ) -> Result<Kept, CommitError> {
        // What it keeps already is its own; what it does not have to keep is as in the next newer one.
        let newly = after.kept_units(block.into()) & !before.kept_units(block.into());
        let (false, true, Some(to)) = (after.state.inline, newly & kept.units() != 0, after.state.onode)
        else {
            return Ok(Kept::default());
        };
        let mut all = self.kept_of(Some(to), block.into())?;
        // One that was made before there were units may have more than it keeps, and then it is the same.
        let inherited = kept.only(newly & !all.units());
        if !inherited.is_empty() {
            inherited.runs().for_each(|run| all.add(run));
            tx.put(keys::block(to, block), all.encode());
        }
        Ok(inherited)
    }

    /// Frees slots that have nothing of use any more, and gives back the space of what has not in the others.
    fn stage_unused_places(
        &self,
        pool: i64,
        places: &BTreeMap<u64, (u16, u16)>,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        for (slot, (had, used)) in places {
            if *used == 0 {
                self.slots.free(self.store(), pool, *slot, tx)?;
                slots.freed.push(*slot);
                continue;
            }
            let volume = self.slots.volume(self.store(), pool)?;
            for (first, count) in runs_of_bits(had & !used) {
                let at = slot * SLOT_SIZE + u64::from(first) * UNIT;
                tx.discard(volume, at, u64::from(count) * UNIT);
            }
        }
        Ok(())
    }

    /// Adds to `tx` the removal of all rows of the clones of an object whose pool is deleted.
    pub(super) fn stage_clones_of_deleted(
        &self,
        state: &ObjectState,
        tx: &mut Transaction,
    ) -> Result<(), StoreError> {
        let Some(onode) = state.onode else { return Ok(()) };
        for number in self.clones(state, 0)?.into_iter().filter_map(|c| c.state.onode) {
            self.stage_rows_removed(number, tx);
        }
        let (from, to) = keys::onode_range(b'C', onode);
        tx.delete_range(from, to);
        Ok(())
    }

    /// Adds to `tx` the removal of all rows under an onode number.
    pub(super) fn stage_rows_removed(&self, onode: u64, tx: &mut Transaction) {
        tx.delete(keys::omap_header(onode));
        tx.delete(keys::inline_data(onode));
        for table in *b"XMWB" {
            let (from, to) = keys::onode_range(table, onode);
            tx.delete_range(from, to);
        }
    }

    /// Deletes the volume of a data object's image, if it holds nothing and the image has no header any more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn delete_unused_volume(&self, id: &ObjectId, placement: Placement) -> Result<(), StoreError> {
        let Placement::Volume { volume, .. } = placement else {
            return Ok(());
        };
        let Some(name) = super::images::DataName::parse(&id.name) else {
            return Ok(());
        };
        if self.images.count(volume) > 0 {
            return Ok(());
        }
        let pool = name.header_pool.unwrap_or(id.pool);
        let header = [b"rbd_header.", name.image.as_ref()].concat();
        let header = ObjectId::new(pool, id.nspace.clone(), header);
        if self.store().get(&keys::object(&header))?.is_some() {
            return Ok(());
        }
        self.header_removed(&header)
    }
}
