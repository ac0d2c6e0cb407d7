//! Preserving what a change overwrites, for the snapshots made before it (`PrimaryLogPG::make_writeable`).
//!
//! This happens in two steps: the old data is read while that may still be put off because the disk is busy, and
//! stored by the transaction that overwrites it.

use std::{ops::Range, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use store::{StoreError, Transaction};

use super::{
    Data, INLINE_MAX, Objects,
    clones::CloneRecord,
    commit::{CommitError, SlotChanges},
    extents::Extents,
    fetched::{Access, Fetched},
    id::ObjectId,
    keys,
    mutation::Change,
    onode::{ObjectState, Placement},
    slots::{SLOT_SIZE, UNIT},
    units::{KeptUnits, data_of_units},
};

/// Most bytes of attributes and omap that a clone copies in one transaction.
const MAX_ROW_BYTES: usize = 64 << 20;
/// What is read ahead, aligned, at least and at most, and as a multiple of what the clone lost already.
const READ_AHEAD: (u64, u64) = (SLOT_SIZE, 1 << 20);
const READ_AHEAD_OF_LOST: u64 = 16;
/// Data is journaled in pieces of this size where it must not be written in place at once: smaller than what the store writes
/// directly, on a quick disk and on a slow one ([`store::Options::slow_direct_threshold`]).
pub const JOURNALED_PIECE: usize = 32 << 10;

/// What a change has to preserve.
#[derive(Debug, Clone, Default)]
pub struct Preserve {
    /// The newest clone as it will be; `None` if none is made or changed.
    clone: Option<CloneRecord>,
    /// That clone is new.
    made: bool,
    /// What the clone comes to keep, but for units that are all zeros.
    units: Vec<KeptUnits>,
    /// The change overwrites what that clone shared with the head.
    overwrites: bool,
}

impl Preserve {
    /// Whether a clone is made.
    #[must_use]
    pub fn makes_clone(&self) -> bool {
        self.made
    }

    /// Whether data of the clone is overwritten, be it zeros, which need no block: not before the clone is durable.
    #[must_use]
    pub fn overwrites(&self) -> bool {
        self.overwrites
    }
}

impl Objects {
    /// Finds out what `change` has to preserve and reads it. Returns false, and leaves everything as it was, if
    /// that would have to wait for the disk and must not.
    ///
    /// # Errors
    /// If the store fails.
    pub fn prepare(
        &self,
        id: &ObjectId,
        change: &mut Change,
        access: Access<'_>,
    ) -> Result<bool, StoreError> {
        let Change {
            old, new, mutation, ..
        } = &*change;
        let mut plan = Preserve::default();
        let made = (old.exists && !change.snaps.fresh.is_empty()).then(|| CloneRecord {
            id: change.snaps.seq,
            snaps: change.snaps.fresh.clone(),
            overlap: Extents::of(0, old.size),
            state: state_of_clone(old),
            open: None,
        });
        if let Some(before) = made.as_ref().or(old.newest.as_deref()) {
            let touched = if new.exists {
                mutation.touched_data()
            } else {
                Extents::of(0, u64::MAX)
            };
            let lost = before.overlap.intersection(&touched);
            if !before.state.inline && !self.read_units(id, old, before, &lost, access, &mut plan)? {
                return Ok(false);
            }
            if !lost.is_empty() || made.is_some() {
                plan.made = made.is_some();
                plan.overwrites = !lost.is_empty() && !before.state.inline;
                let mut after = before.clone();
                after.overlap.subtract(&lost);
                plan.clone = Some(after);
            }
        }
        // On devices nothing is journaled: what is preserved is a transaction of its own.
        change.journaled |= plan.overwrites();
        change.journaled &= !self.store().on_devices();
        let bytes: usize = change
            .mutation
            .data
            .iter()
            .map(super::mutation::DataChange::bytes)
            .sum();
        let preserved: usize = plan.units.iter().map(|units| units.data.len()).sum();
        // Data that was inline so far moves with it. Larger changes do not fit, and are written in place after what they preserve.
        let all = (bytes + preserved) as u64 + INLINE_MAX;
        change.journaled &= all <= self.store().most_journaled();
        change.preserve = Some(plan);
        Ok(true)
    }

    /// Reads the units that the clone comes to keep as it loses `lost`, those of a block at once.
    fn read_units(
        &self,
        id: &ObjectId,
        old: &ObjectState,
        clone: &CloneRecord,
        lost: &Extents,
        access: Access<'_>,
        plan: &mut Preserve,
    ) -> Result<bool, StoreError> {
        let mut lacks = false;
        for (start, end) in newly_kept(clone, lost).iter() {
            let mut at = start;
            while at < end {
                let to = ((at / SLOT_SIZE + 1) * SLOT_SIZE).min(end);
                let range = at..to.min(clone.state.size);
                match self.read_old(id, old, range, clone, access)? {
                    // All that lacks is to be noted.
                    Data::WouldBlock => lacks = true,
                    Data::Ready(data) => plan.units.extend(data_of_units(at, &data)?),
                }
                at = to;
            }
        }
        Ok(!lacks)
    }

    /// Reads old data that a clone comes to keep. Where the disk has to be waited for, what lies around is read ahead: the more of the
    /// object was overwritten, the sooner the rest of it is.
    fn read_old(
        &self,
        id: &ObjectId,
        old: &ObjectState,
        range: Range<u64>,
        clone: &CloneRecord,
        access: Access<'_>,
    ) -> Result<Data, StoreError> {
        let read = |access| self.read(id, old, range.start, range.end - range.start, access);
        // Devices have no cache that would keep it.
        if self.store().on_devices() {
            return read(access);
        }
        let at_once = Fetched::default();
        let found = match access {
            Access::Wait => read(Access::AtOnce(&at_once))?,
            Access::AtOnce(_) => read(access)?,
        };
        if matches!(found, Data::Ready(_)) {
            return Ok(found);
        }
        if let Placement::Volume {
            volume,
            index,
            object_size,
        } = old.placement
        {
            let around = read_ahead(&range, clone);
            let at = index * u64::from(object_size) + around.start;
            self.store().read_ahead(volume, at, around.end - around.start)?;
        }
        match access {
            Access::Wait => read(access),
            Access::AtOnce(_) => Ok(found),
        }
    }

    /// Where data is written in place at once, what a change preserves becomes durable before, as a transaction of its own after
    /// which the object is as it was, with a clone. The change that is left starts from there. So it is on devices, and for
    /// changes that are too large for the journal.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(super) fn preserve_first(&self, id: &ObjectId, change: &mut Change) -> Result<(), CommitError> {
        if change.journaled || !change.preserve.as_ref().is_some_and(Preserve::overwrites) {
            return Ok(());
        }
        let plan = change.preserve.clone().unwrap_or_default();
        let mut between = change.old.clone();
        between.seq = between.seq.max(change.snaps.seq);
        between.clones |= plan.makes_clone();
        let onode = match between.onode {
            Some(onode) => onode,
            None => self.onodes.next(self.store())?,
        };
        between.onode = Some(onode);
        let mut tx = Transaction::new();
        let mut slots = SlotChanges::default();
        let staged = self
            .stage_preserved(id, &change.old, plan, onode, &mut tx, &mut slots)
            .and_then(|newest| {
                between.newest = newest;
                self.stage_record(id, &between, &mut tx)
            })
            .and_then(|()| Ok(self.store().submit(tx)?));
        match staged {
            Err(error) => {
                self.slots.release(id.pool, &slots.taken);
                Err(error)
            }
            Ok(seq) => {
                self.account(id, &change.old, &between);
                change.old = between;
                change.preserve = Some(Preserve::default());
                change.preserved = Some(seq);
                Ok(())
            }
        }
    }

    /// Adds to `tx` what is preserved. `onode` is the object's. Returns the newest clone.
    pub(super) fn stage_preserved(
        &self,
        id: &ObjectId,
        old: &ObjectState,
        plan: Preserve,
        onode: u64,
        tx: &mut Transaction,
        slots: &mut SlotChanges,
    ) -> Result<Option<Arc<CloneRecord>>, CommitError> {
        let Some(mut clone) = plan.clone else {
            return Ok(old.newest.clone());
        };
        let number = match clone.state.onode {
            Some(number) => number,
            None => self.onodes.next(self.store())?,
        };
        clone.state.onode = Some(number);
        if plan.made {
            self.stage_copied_rows(old, number, tx)?;
            let mut value = BytesMut::new();
            value.put_u64_le(clone.id);
            id.put_sort_key(&mut value);
            let value = value.freeze();
            for snap in &clone.snaps {
                tx.put(keys::snap(id.pool, *snap, onode), value.clone());
            }
        }
        self.stage_units(id.pool, &mut clone, plan.made, &plan.units, tx, slots)?;
        tx.put(keys::clone(onode, clone.id), clone.encode());
        Ok(Some(Arc::new(clone)))
    }

    /// Copies attributes, omap and inline data of the head to a new clone.
    fn stage_copied_rows(
        &self,
        old: &ObjectState,
        number: u64,
        tx: &mut Transaction,
    ) -> Result<(), CommitError> {
        let Some(from) = old.onode else { return Ok(()) };
        if old.inline
            && let Some(data) = self.store().get(&keys::inline_data(from))?
        {
            tx.put(keys::inline_data(number), data);
        }
        let mut bytes = self.stage_copied_table(b'X', old, number, tx)?;
        if old.has_omap {
            bytes += self.stage_copied_table(b'M', old, number, tx)?;
            if let Some(header) = self.store().get(&keys::omap_header(from))? {
                tx.put(keys::omap_header(number), header);
            }
        }
        if bytes > MAX_ROW_BYTES {
            return Err(CommitError::TooBig);
        }
        Ok(())
    }

    fn stage_copied_table(
        &self,
        table: u8,
        old: &ObjectState,
        number: u64,
        tx: &mut Transaction,
    ) -> Result<usize, CommitError> {
        let mut bytes = 0;
        for row in self.each_row(table, old, &[]) {
            let (key, value) = row?;
            bytes += key.len() + value.len();
            if bytes > MAX_ROW_BYTES {
                break;
            }
            let key = match table {
                b'X' => keys::xattr(number, &key),
                _ => keys::omap(number, &key),
            };
            tx.put(key, value);
        }
        Ok(bytes)
    }
}

/// What is read ahead when a range of an object has to be read of the disk: around it, within the size of the clone.
fn read_ahead(range: &Range<u64>, clone: &CloneRecord) -> Range<u64> {
    let lost = clone.state.size - clone.overlap.total().min(clone.state.size);
    let (least, most) = READ_AHEAD;
    let step = (lost * READ_AHEAD_OF_LOST).next_power_of_two().clamp(least, most);
    let end = range.end.next_multiple_of(step).min(clone.state.size);
    range.start / step * step..end
}

/// The units that a clone does not keep before it loses `lost`, which it shares before, and keeps then.
fn newly_kept(clone: &CloneRecord, lost: &Extents) -> Extents {
    let mut units = Extents::default();
    for (start, end) in lost.iter() {
        let (mut first, mut last) = (start / UNIT, end.div_ceil(UNIT));
        // What lies between is shared as a whole.
        first += u64::from(clone.keeps(first));
        last -= u64::from(first < last && clone.keeps(last - 1));
        units.insert(first * UNIT, last * UNIT);
    }
    units
}

/// The state of a clone that is made of `old`, still without a number.
fn state_of_clone(old: &ObjectState) -> ObjectState {
    ObjectState {
        onode: None,
        inline: old.inline && old.placement == Placement::Slots,
        placement: Placement::Slots,
        seq: 0,
        clones: false,
        newest: None,
        view: None,
        ..old.clone()
    }
}

/// Adds a write of data, in pieces that go to the journal if it must not be written in place at once.
pub(super) fn stage_write(
    tx: &mut Transaction,
    volume: store::VolumeId,
    offset: u64,
    data: Bytes,
    journaled: bool,
) {
    if !journaled {
        tx.write(volume, offset, data);
        return;
    }
    for from in (0..data.len()).step_by(JOURNALED_PIECE) {
        let to = data.len().min(from + JOURNALED_PIECE);
        tx.write(volume, offset + from as u64, data.slice(from..to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::clones::sharing;

    #[test]
    fn data_that_must_be_journaled_is_in_pieces_that_the_store_does_not_write_directly() {
        let options = store::Options::new("");
        let least = options.direct_threshold.min(options.slow_direct_threshold);
        assert!((JOURNALED_PIECE as u64) < least);
    }

    #[test]
    fn more_is_read_ahead_the_more_of_an_object_was_overwritten() {
        let size = 4 << 20;
        let at = (1 << 20) + 5 * UNIT;
        let around = |lost| {
            let around = read_ahead(&(at..at + UNIT), &sharing(size, [(lost, size)]));
            (around.start, around.end - around.start)
        };
        assert_eq!(around(0), (1 << 20, 64 << 10));
        assert_eq!(around(4 * UNIT), (1 << 20, 256 << 10));
        assert_eq!(around(1 << 20), (1 << 20, 1 << 20));
    }

    #[test]
    fn nothing_is_read_ahead_behind_the_end_of_an_object() {
        let clone = sharing(70_000, [(0, 70_000)]);
        assert_eq!(read_ahead(&(65_536..69_632), &clone), 65_536..70_000);
    }

    #[test]
    fn units_become_kept_when_a_part_of_them_is_lost() {
        let clone = sharing(1 << 20, [(10_000, 1 << 20)]);
        let kept = |from, to| -> Vec<_> { newly_kept(&clone, &Extents::of(from, to)).iter().collect() };
        // The unit at 8 KiB is kept already.
        assert_eq!(kept(10_000, 12_288), []);
        assert_eq!(kept(10_000, 12_289), [(12_288, 16_384)]);
        assert_eq!(kept(20_000, 20_001), [(16_384, 20_480)]);
        assert_eq!(kept(20_000, 20_481), [(16_384, 24_576)]);
        let mut two = Extents::of(20_000, 20_010);
        two.insert(20_100, 20_200);
        let found: Vec<_> = newly_kept(&clone, &two).iter().collect();
        assert_eq!(found, [(16_384, 20_480)]);
    }
}
