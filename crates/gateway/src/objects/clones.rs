//! Clones: what an object was when a snapshot was made of it (`SnapSet` in Ceph `src/osd/osd_types.h`).
//!
//! A clone keeps only the units of 4 KiB that were changed after it; what it shares with the next newer clone, or with
//! the head, is read there. Its `overlap` is that of Ceph's snapset, exact to the byte, and tells at the same time which
//! units it keeps itself: those that it does not fully cover. Where they stand is in one row for each block of 64 KiB
//! ([`kept`](super::kept)); a unit that a clone should keep and that is not named there is all zeros.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use store::{StoreError, key_after};

use super::{
    Objects,
    extents::Extents,
    kept::bits,
    keys,
    onode::ObjectState,
    slots::{SLOT_SIZE, UNIT},
};

/// One clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneRecord {
    /// Its id: the sequence number of the snap context that it was made for.
    pub id: u64,
    /// The snapshots it serves, newest first.
    pub snaps: Vec<u64>,
    /// What it shares with the next newer clone, or the head.
    pub overlap: Extents,
    /// What it was; with the onode number of the clone's own rows.
    pub state: ObjectState,
    /// The slot that takes the next units it keeps.
    pub open: Option<OpenSlot>,
}

/// A slot that a clone's units fill one after another, whichever blocks they are of. Places are never used twice: what one
/// transaction leaves there, no other overwrites, durable or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSlot {
    /// Its number.
    pub slot: u64,
    /// How many units of it are used, from 1 to one less than all.
    pub used: u8,
}

/// Where a clone's data is: in its own blocks and those of newer clones, the rest in the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneView {
    /// The head.
    pub head: ObjectState,
    /// The clone and all newer ones, oldest first.
    pub chain: Vec<CloneRecord>,
}

impl CloneView {
    /// What the clone shares with the head.
    #[must_use]
    pub fn shared_with_head(&self) -> Extents {
        let mut all = self.chain.iter().map(|c| &c.overlap);
        let first = all.next().cloned().unwrap_or_default();
        all.fold(first, |shared, overlap| shared.intersection(overlap))
    }
}

impl CloneRecord {
    /// What of `[from, to)` it shares so that it keeps no unit of that: whole units, the last one of the object also if
    /// it is shorter.
    #[must_use]
    pub fn shared_units(&self, from: u64, to: u64) -> Extents {
        let mut shared = Extents::default();
        // The overlap's own edges count, not those of the range.
        let end = to.next_multiple_of(UNIT);
        for (start, end) in self.overlap.within(from / UNIT * UNIT, end) {
            let end = match end >= self.state.size {
                true => to,
                false => (end / UNIT * UNIT).min(to),
            };
            shared.insert(start.next_multiple_of(UNIT).max(from), end);
        }
        shared
    }

    /// The units of a block that it keeps itself, as bits.
    #[must_use]
    pub fn kept_units(&self, block: u64) -> u16 {
        let start = block.saturating_mul(SLOT_SIZE);
        let end = start.saturating_add(SLOT_SIZE).min(self.state.size);
        if start >= end {
            return 0;
        }
        let units = |from: u64, to: u64| {
            let first = (from - start) / UNIT;
            bits(first as u8, ((to - start).div_ceil(UNIT) - first) as u8)
        };
        self.shared_units(start, end)
            .iter()
            .fold(units(start, end), |kept, (from, to)| kept & !units(from, to))
    }

    /// Whether it keeps a unit of the object itself, one that lies within its size.
    #[must_use]
    pub fn keeps(&self, unit: u64) -> bool {
        let start = unit * UNIT;
        !self.overlap.covers(start, (start + UNIT).min(self.state.size))
    }

    /// Bytes that only the clone has (`SnapSet::get_clone_bytes`).
    #[must_use]
    pub fn own_bytes(&self) -> i64 {
        self.state.size as i64 - self.overlap.total() as i64
    }
}

fn record(row: &(Bytes, Bytes)) -> Result<CloneRecord, StoreError> {
    CloneRecord::decode(&row.0, &row.1).ok_or(StoreError::Corrupt("clone".into()))
}

impl Objects {
    /// Counts the clones of all pools. `owners`: the pools of objects that have clones, by onode.
    pub(super) fn count_clones(&self, owners: &HashMap<u64, i64>) -> Result<(), StoreError> {
        self.each_clone(owners, |pool, bytes| {
            self.usage().pool(*pool).clones_changed(1, bytes);
        })
    }

    /// Calls `f` for each clone of the objects with those onodes, with what stands there and the bytes that the clone does not share.
    pub(super) fn each_clone<T>(
        &self,
        owners: &HashMap<u64, T>,
        mut f: impl FnMut(&T, i64),
    ) -> Result<(), StoreError> {
        if owners.is_empty() {
            return Ok(());
        }
        for row in self.store().rows(keys::whole_table(b'C')) {
            let row = row?;
            let onode = row.0.get(1..9).and_then(|b| b.try_into().ok());
            if let Some(owner) = onode.and_then(|onode| owners.get(&u64::from_be_bytes(onode))) {
                f(owner, record(&row)?.own_bytes());
            }
        }
        Ok(())
    }

    /// Adds the newest clone to a state that was just read.
    pub(super) fn with_newest(&self, mut state: ObjectState) -> Result<ObjectState, StoreError> {
        if let (true, Some(onode)) = (state.clones, state.onode) {
            let newest = self.clone_from(onode, u64::MAX)?;
            let newest = newest.ok_or(StoreError::Corrupt("an object's clones are missing".into()))?;
            state.newest = Some(Arc::new(newest));
        }
        Ok(state)
    }

    /// The newest clone whose id is at most `id`.
    pub(super) fn clone_from(&self, onode: u64, id: u64) -> Result<Option<CloneRecord>, StoreError> {
        let (_, end) = keys::onode_range(b'C', onode);
        let rows = self.store().scan(&keys::clone(onode, id)..&end, 1)?;
        rows.first().map(record).transpose()
    }

    /// The clones of an object with ids of at least `oldest`, oldest first.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn clones(&self, state: &ObjectState, oldest: u64) -> Result<Vec<CloneRecord>, StoreError> {
        let (true, Some(onode)) = (state.clones, state.onode) else {
            return Ok(Vec::new());
        };
        let (from, _) = keys::onode_range(b'C', onode);
        let to = key_after(&keys::clone(onode, oldest));
        let mut found: Vec<_> = self
            .store()
            .rows((from, to))
            .map(|row| record(&row?))
            .collect::<Result<_, _>>()?;
        found.reverse();
        Ok(found)
    }

    /// The object as it was at a snapshot (`PrimaryLogPG::find_object_context`); `None` if it did not exist then.
    /// With `by_clone`, `snap` names a clone itself.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub fn at_snap(
        &self,
        head: &ObjectState,
        snap: u64,
        by_clone: bool,
    ) -> Result<Option<ObjectState>, StoreError> {
        if snap > head.seq {
            return Ok(head.exists.then(|| head.clone()));
        }
        // Most often it is the newest clone, which is in memory.
        let chain = match &head.newest {
            Some(newest) if newest.snaps.contains(&snap) => vec![newest.as_ref().clone()],
            _ => self.clones(head, snap)?,
        };
        let serves = |clone: &CloneRecord| match by_clone {
            true => clone.id == snap,
            false => clone.snaps.contains(&snap),
        };
        let Some(clone) = chain.first().filter(|c| serves(c)) else {
            return Ok(None);
        };
        let mut state = clone.state.clone();
        state.seq = head.seq;
        state.view = Some(Arc::new(CloneView {
            head: head.clone(),
            chain,
        }));
        Ok(Some(state))
    }
}

/// A clone for tests: of an object of that size, which shares these ranges.
#[cfg(test)]
pub(super) fn sharing(size: u64, overlap: impl IntoIterator<Item = (u64, u64)>) -> CloneRecord {
    let mut shared = Extents::default();
    for (start, end) in overlap {
        shared.insert(start, end);
    }
    let mut state = ObjectState::absent(super::onode::Placement::Slots);
    state.exists = true;
    state.size = size;
    state.onode = Some(3);
    CloneRecord {
        id: 9,
        snaps: vec![9, 7],
        overlap: shared,
        state,
        open: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::slots::SLOT_UNITS;

    #[test]
    fn a_clone_keeps_the_units_that_its_overlap_does_not_fully_cover() {
        let clone = sharing(70_000, [(0, 4096), (8193, 65_536), (66_000, 70_000)]);
        assert_eq!(clone.kept_units(0), 0b110);
        // The overlap has all that the object has of its last unit, but not all of the one before.
        assert_eq!(clone.kept_units(1), 0b01);
        assert_eq!(clone.kept_units(2), 0);
    }

    #[test]
    fn units_one_by_one_by_blocks_and_by_ranges_agree() {
        let sizes = [1, 4095, 4096, 4097, 65_536, 70_000, 200_000];
        let edges = [0, 1, 4095, 4096, 8192, 12_289, 61_440, 65_536, 69_999, 131_072];
        for size in sizes {
            for (from, to) in edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b))) {
                let clone = sharing(size, [(from.min(size), to.min(size)), (150_000.min(size), size)]);
                for block in 0..4 {
                    let one = |unit: u64| u16::from(clone.keeps(block * SLOT_UNITS + unit)) << unit;
                    let units = (0..SLOT_UNITS).map(one).sum::<u16>();
                    assert_eq!(clone.kept_units(block), units, "{size} {from} {to} {block}");
                }
                let all = clone.shared_units(0, size);
                for unit in 0..size.div_ceil(UNIT) {
                    let (start, end) = (unit * UNIT, ((unit + 1) * UNIT).min(size));
                    assert_eq!(all.covers(start, end), !clone.keeps(unit), "{size} {from} {to}");
                    let middle = (start + 1, end.max(start + 1));
                    let part = clone.shared_units(middle.0, middle.1);
                    assert_eq!(
                        part.covers(middle.0, middle.1),
                        middle.0 == middle.1 || !clone.keeps(unit)
                    );
                }
            }
        }
    }
}
