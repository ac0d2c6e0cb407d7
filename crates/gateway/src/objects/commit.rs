//! From a staged change to one transaction of the store.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use store::{Seq, StoreError, Transaction, VolumeId};

use super::{
    INLINE_MAX, Objects,
    fetched::Access,
    id::ObjectId,
    keys,
    mutation::{Change, DataChange, Mutation},
    onode::{ENTRY_SEQS, Entry, ObjectState, Onode, PAGE_ENTRIES, Placement},
    preserve::stage_write,
    slots::SLOT_SIZE,
};

/// Why a change was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store failed, or has no space.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object does not fit where its image's data lies.
    #[error("offset beyond the image's object size")]
    TooBig,
    /// The image's volume was deleted since the object was loaded: load it again.
    #[error("the object's placement is stale")]
    Stale,
}

/// Slots that a transaction takes and gives back.
#[derive(Debug, Default)]
pub(super) struct SlotChanges {
    /// To be given back if the transaction is not submitted.
    pub taken: Vec<u64>,
    /// To be given back once it is durable.
    pub freed: Vec<u64>,
}

impl Objects {
    /// Submits `change` of object `id` as one transaction, together with the rows that `more` adds. On return
    /// the change is visible; it is durable when the store says so of the returned number.
    ///
    /// `change.new.onode` is set if the object needed a number for its rows.
    ///
    /// # Errors
    /// Nothing was changed that clients see; but load the object again, since a clone may have been made of it.
    pub fn commit(
        &self,
        id: &ObjectId,
        change: &mut Change,
        more: impl FnOnce(&mut Transaction),
    ) -> Result<Seq, CommitError> {
        if change.preserve.is_none() {
            self.prepare(id, change, Access::Wait)?;
        }
        self.preserve_first(id, change)?;
        let mut tx = Transaction::new();
        if let Some(preserved) = change.preserved {
            tx.start_after(preserved);
        }
        let mut slots = SlotChanges::default();
        let staged = self.stage(id, change, &mut tx, &mut slots);
        more(&mut tx);
        let submitted = staged.and_then(|()| Ok(self.store().submit(tx)?));
        match submitted {
            Err(e) => {
                self.slots.release(id.pool, &slots.taken);
                Err(e)
            }
            Ok(seq) => {
                self.account(id, &change.old, &change.new);
                self.release_when_durable(id.pool, seq, slots.freed);
                Ok(seq)
            }
        }
    }

    fn stage(
        &self,
        id: &ObjectId,
        change: &mut Change,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        let Change {
            old,
            new,
            mutation,
            snaps,
            preserve,
            journaled,
            ..
        } = change;
        let preserve = preserve.take().unwrap_or_default();
        new.seq = old.seq.max(snaps.seq);
        new.clones = old.clones || preserve.makes_clone();
        let removed = old.recorded() && (mutation.reset || !new.exists);
        // What is left of a removed object keeps its number, under which its clones are recorded.
        new.onode = if removed && !new.clones { None } else { old.onode };
        if new.onode.is_none() && (new.exists || new.clones) && needs_onode(new, mutation) {
            new.onode = Some(self.onodes.next(self.store())?);
        }
        new.newest = match new.onode {
            Some(onode) if new.clones => self.stage_preserved(id, old, preserve, onode, tx, slots)?,
            _ => None,
        };
        if removed {
            self.stage_removal(id, old, tx, slots)?;
        }
        new.whiteout = !new.exists && new.clones;
        if new.whiteout {
            return self.stage_record(id, new, tx);
        }
        if !new.exists {
            // Nothing is left that could know of snapshots.
            new.seq = 0;
            return Ok(());
        }
        match new.placement {
            Placement::Volume {
                volume,
                index,
                object_size,
            } => {
                if new.size > object_size.into() {
                    return Err(CommitError::TooBig);
                }
                if !old.recorded() && !self.images.is_known(volume) {
                    return Err(CommitError::Stale);
                }
                let base = index * u64::from(object_size);
                let size = start_size(old, mutation);
                stage_volume_data(tx, volume, base, size, mutation, *journaled);
            }
            Placement::Slots => self.stage_slot_data(id, old, new, mutation, *journaled, tx, slots)?,
        }
        self.stage_record(id, new, tx)?;
        if let Some(onode) = new.onode {
            stage_rows(onode, old, mutation, tx);
        }
        Ok(())
    }

    /// Stores the record of an object.
    pub(super) fn stage_record(
        &self,
        id: &ObjectId,
        state: &ObjectState,
        tx: &mut Transaction,
    ) -> Result<(), CommitError> {
        match (state.placement, state.onode) {
            (Placement::Volume { volume, index, .. }, onode) => {
                stage_page_entry(tx, volume, index, Entry::of(state, onode.is_some()))?;
                if let Some(onode) = onode {
                    tx.put(keys::extra(volume.0, index), Onode::encode(state, onode));
                }
            }
            (Placement::Slots, Some(onode)) => {
                tx.put(keys::object(id), Onode::encode(state, onode));
            }
            (Placement::Slots, None) => {}
        }
        Ok(())
    }

    /// Removes everything that is stored of the object.
    pub(super) fn stage_removal(
        &self,
        id: &ObjectId,
        old: &ObjectState,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        match old.placement {
            Placement::Volume {
                volume,
                index,
                object_size,
            } => {
                if old.size > 0 {
                    tx.discard(volume, index * u64::from(object_size), old.size);
                }
                stage_page_entry(tx, volume, index, Entry::default())?;
                if old.onode.is_some() {
                    tx.delete(keys::extra(volume.0, index));
                }
            }
            Placement::Slots => {
                tx.delete(keys::object(id));
                if !old.inline {
                    self.free_blocks_from(id, old, 0, tx, slots)?;
                }
            }
        }
        if let Some(onode) = old.onode {
            tx.delete(keys::omap_header(onode));
            tx.delete(keys::inline_data(onode));
            for table in [b'X', b'M', b'W'] {
                let (from, to) = keys::onode_range(table, onode);
                tx.delete_range(from, to);
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn stage_slot_data(
        &self,
        id: &ObjectId,
        old: &ObjectState,
        new: &mut ObjectState,
        mutation: &Mutation,
        journaled: bool,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        let fresh = !old.exists || mutation.reset;
        let was_inline = fresh || old.inline;
        new.inline = was_inline && new.size <= INLINE_MAX;
        let Some(onode) = new.onode else { return Ok(()) };
        if mutation.data.is_empty() {
            return Ok(());
        }
        if new.inline {
            let size = new.size as usize;
            let mut base = BytesMut::zeroed(size);
            if !fresh {
                let stored = self.store().get(&keys::inline_data(onode))?.unwrap_or_default();
                let n = stored.len().min(size);
                base[..n].copy_from_slice(&stored[..n]);
            }
            tx.put(keys::inline_data(onode), mutation.overlay(0, base.freeze()));
            return Ok(());
        }
        let mut writer = BlockWriter {
            objects: self,
            id,
            old: (!was_inline).then_some(old),
            onode,
            volume: self.slots.volume(self.store(), id.pool)?,
            blocks: BTreeMap::new(),
            size: 0,
            journaled,
            tx,
            slots,
        };
        if !was_inline {
            writer.size = old.size;
        } else if !fresh {
            let stored = writer
                .objects
                .store()
                .get(&keys::inline_data(onode))?
                .unwrap_or_default();
            writer.write(0, &stored)?;
            writer.size = old.size;
            writer.tx.delete(keys::inline_data(onode));
        }
        for data in &mutation.data {
            writer.apply(data)?;
        }
        Ok(())
    }

    /// Frees all slots of the object from block `first` on.
    fn free_blocks_from(
        &self,
        id: &ObjectId,
        old: &ObjectState,
        first: u32,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<(), CommitError> {
        let Some(onode) = old.onode else { return Ok(()) };
        for row in self.each_row(b'B', old, &first.to_be_bytes()) {
            let (_, slot) = row?;
            let slot = slot
                .as_ref()
                .try_into()
                .map_err(|_| StoreError::Corrupt("slot number".into()))?;
            let slot = u64::from_le_bytes(slot);
            self.slots.free(self.store(), id.pool, slot, tx)?;
            slots.freed.push(slot);
        }
        let (_, end) = keys::onode_range(b'B', onode);
        tx.delete_range(keys::block(onode, first), end);
        Ok(())
    }

    /// Counts what a change of an object's state made, of its head and its newest clone.
    pub(super) fn account(&self, id: &ObjectId, old: &ObjectState, new: &ObjectState) {
        self.account_states(id, old, new);
        let Some(newest) = &new.newest else { return };
        let before = old.newest.as_ref().filter(|before| before.id == newest.id);
        let bytes = newest.own_bytes() - before.map_or(0, |before| before.own_bytes());
        let made = i64::from(before.is_none());
        self.usage.pool(id.pool).clones_changed(made, bytes);
    }

    /// Counts what of heads came into being or went. A whiteout is an object, as it is to Ceph.
    pub(super) fn account_states(&self, id: &ObjectId, old: &ObjectState, new: &ObjectState) {
        let size = |s: &ObjectState| if s.exists { s.size as i64 } else { 0 };
        let objects = i64::from(new.recorded()) - i64::from(old.recorded());
        self.usage.pool(id.pool).changed(objects, size(new) - size(old));
        if objects != 0
            && let Placement::Volume { volume, .. } = new.placement
        {
            self.images.counted(volume, objects);
        }
    }

    pub(super) fn release_when_durable(&self, pool: i64, seq: Seq, freed: Vec<u64>) {
        if freed.is_empty() {
            return;
        }
        let slots = std::sync::Arc::clone(&self.slots);
        self.store().after(seq, move |durable| {
            // A store that failed serves nothing any more: the slots need not come back.
            if durable.is_ok() {
                slots.release(pool, &freed);
            }
        });
    }
}

/// The size that the data changes start from.
fn start_size(old: &ObjectState, mutation: &Mutation) -> u64 {
    if mutation.reset || !old.exists {
        0
    } else {
        old.size
    }
}

fn needs_onode(new: &ObjectState, mutation: &Mutation) -> bool {
    matches!(new.placement, Placement::Slots)
        || new.clones
        || new.seq >= ENTRY_SEQS
        || new.has_omap
        || new.truncate_seq != 0
        || !mutation.xattrs.is_empty()
        || mutation.watches.iter().any(|w| w.value.is_some())
}

fn stage_page_entry(
    tx: &mut Transaction,
    volume: VolumeId,
    index: u64,
    entry: Entry,
) -> Result<(), CommitError> {
    let page = u32::try_from(index / PAGE_ENTRIES).map_err(|_| CommitError::TooBig)?;
    let at = (index % PAGE_ENTRIES) * Entry::LEN as u64;
    tx.patch(keys::page(volume.0, page), at, entry.encode());
    Ok(())
}

/// Bytes of a volume behind an object's size are undefined (a write that was never acknowledged may have left
/// some): whatever grows the object over them zeroes them first.
fn stage_volume_data(
    tx: &mut Transaction,
    volume: VolumeId,
    base: u64,
    mut size: u64,
    mutation: &Mutation,
    journaled: bool,
) {
    for change in &mutation.data {
        match change {
            DataChange::Write { offset, data } => {
                if *offset > size {
                    tx.discard(volume, base + size, offset - size);
                }
                stage_write(tx, volume, base + offset, data.clone(), journaled);
                size = size.max(offset + data.len() as u64);
            }
            DataChange::Zero { offset, len } => {
                let end = offset.saturating_add(*len).min(size);
                if *offset < end {
                    tx.discard(volume, base + offset, end - offset);
                }
            }
            DataChange::Truncate { size: to } => {
                let (from, end) = (size.min(*to), size.max(*to));
                if from < end {
                    tx.discard(volume, base + from, end - from);
                }
                size = *to;
            }
        }
    }
}

fn stage_rows(onode: u64, old: &ObjectState, mutation: &Mutation, tx: &mut Transaction) {
    for (name, value) in &mutation.xattrs {
        put_or_delete(tx, keys::xattr(onode, name), value.as_ref());
    }
    if mutation.omap_cleared && !mutation.reset && old.onode == Some(onode) {
        let (from, to) = keys::onode_range(b'M', onode);
        tx.delete_range(from, to);
        tx.delete(keys::omap_header(onode));
    }
    for (key, value) in &mutation.omap {
        put_or_delete(tx, keys::omap(onode, key), value.as_ref());
    }
    if let Some(header) = &mutation.omap_header {
        tx.put(keys::omap_header(onode), header.clone());
    }
    for watch in &mutation.watches {
        put_or_delete(
            tx,
            keys::watch(onode, watch.client, watch.cookie),
            watch.value.as_ref(),
        );
    }
}

fn put_or_delete(tx: &mut Transaction, key: Bytes, value: Option<&Bytes>) {
    match value {
        Some(value) => tx.put(key, value.clone()),
        None => tx.delete(key),
    };
}

/// Applies data changes to an object in slots, block by block.
struct BlockWriter<'a> {
    objects: &'a Objects,
    id: &'a ObjectId,
    /// The stored object whose blocks are still in place.
    old: Option<&'a ObjectState>,
    onode: u64,
    volume: VolumeId,
    /// Blocks looked up or changed in this transaction.
    blocks: BTreeMap<u32, Option<u64>>,
    size: u64,
    /// Data must go through the journal.
    journaled: bool,
    tx: &'a mut Transaction,
    slots: &'a mut SlotChanges,
}

impl BlockWriter<'_> {
    fn apply(&mut self, change: &DataChange) -> Result<(), CommitError> {
        match change {
            DataChange::Write { offset, data } => {
                if *offset > self.size {
                    self.zero(self.size, *offset)?;
                }
                self.write(*offset, data)?;
                self.size = self.size.max(offset + data.len() as u64);
            }
            DataChange::Zero { offset, len } => {
                let end = offset.saturating_add(*len).min(self.size);
                self.zero(*offset, end)?;
            }
            DataChange::Truncate { size } => {
                self.zero(self.size.min(*size), self.size.max(*size))?;
                self.size = *size;
            }
        }
        Ok(())
    }

    fn slot(&mut self, block: u32) -> Result<Option<u64>, CommitError> {
        if let Some(known) = self.blocks.get(&block) {
            return Ok(*known);
        }
        let slot = match self.old {
            Some(old) => self.objects.slot_of(old, block.into())?,
            None => None,
        };
        self.blocks.insert(block, slot);
        Ok(slot)
    }

    fn write(&mut self, offset: u64, data: &Bytes) -> Result<(), CommitError> {
        // Neighbouring blocks in neighbouring slots are one write: (where in the volume, the part of the data).
        let mut run: Option<(u64, std::ops::Range<usize>)> = None;
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let within = at % SLOT_SIZE;
            let n = (SLOT_SIZE - within).min((data.len() - done) as u64) as usize;
            let block = u32::try_from(at / SLOT_SIZE).map_err(|_| CommitError::TooBig)?;
            let found = self.slot(block)?;
            let clear = found.is_none() && (n as u64) < SLOT_SIZE;
            let slot = match found {
                Some(slot) => slot,
                None => self.take(block, clear)?,
            };
            let at = slot * SLOT_SIZE + within;
            match &mut run {
                Some((start, part)) if !clear && *start + part.len() as u64 == at => part.end += n,
                _ => self.flush(run.replace((at, done..done + n)), data),
            }
            if clear {
                // It must go through the journal, behind the discard; what follows need not.
                self.flush(run.take(), data);
            }
            done += n;
        }
        self.flush(run, data);
        Ok(())
    }

    /// Adds a run of neighbouring blocks to the transaction.
    fn flush(&mut self, run: Option<(u64, std::ops::Range<usize>)>, data: &Bytes) {
        if let Some((at, part)) = run {
            stage_write(self.tx, self.volume, at, data.slice(part), self.journaled);
        }
    }

    /// Takes a slot for a block; `clear` if the coming write leaves old bytes of the slot in place.
    fn take(&mut self, block: u32, clear: bool) -> Result<u64, CommitError> {
        let slot = self
            .objects
            .slots
            .take(self.objects.store(), self.id.pool, self.tx)?;
        self.slots.taken.push(slot);
        if clear {
            self.tx.discard(self.volume, slot * SLOT_SIZE, SLOT_SIZE);
        }
        self.tx
            .put(keys::block(self.onode, block), slot.to_le_bytes().to_vec());
        self.blocks.insert(block, Some(slot));
        Ok(slot)
    }

    /// Zeroes `[from, to)`: whole blocks are given back, the last one also if it is not full.
    fn zero(&mut self, from: u64, to: u64) -> Result<(), CommitError> {
        let to = if to >= self.size {
            to.next_multiple_of(SLOT_SIZE)
        } else {
            to
        };
        let mut at = from;
        while at < to {
            let within = at % SLOT_SIZE;
            let n = (SLOT_SIZE - within).min(to - at);
            let block = u32::try_from(at / SLOT_SIZE).map_err(|_| CommitError::TooBig)?;
            if let Some(slot) = self.slot(block)? {
                if n == SLOT_SIZE {
                    self.objects
                        .slots
                        .free(self.objects.store(), self.id.pool, slot, self.tx)?;
                    self.slots.freed.push(slot);
                    self.tx.delete(keys::block(self.onode, block));
                    self.blocks.insert(block, None);
                } else {
                    self.tx.discard(self.volume, slot * SLOT_SIZE + within, n);
                }
            }
            at += n;
        }
        Ok(())
    }
}
