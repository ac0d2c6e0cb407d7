//! Clones: what an object was when a snapshot was made of it (`SnapSet` in Ceph `src/osd/osd_types.h`).
//!
//! A clone keeps only the blocks of 64 KiB that were changed after it, in slots; what it shares with the next newer
//! clone, or with the head, is read there. Its `overlap` is that of Ceph's snapset, exact to the byte, and tells at
//! the same time which blocks it keeps itself: those that it does not fully cover. A block that a clone should keep
//! and that has no slot is all zeros.

use std::{collections::HashMap, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use store::StoreError;

use super::{
    Data, Objects, SCAN_BATCH,
    extents::Extents,
    fetched::Access,
    id::ObjectId,
    keys,
    onode::{ObjectState, Onode, Placement},
    slots::SLOT_SIZE,
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

const VERSION: u8 = 1;

impl CloneRecord {
    /// Whether it keeps a block itself, one that lies within its size.
    #[must_use]
    pub fn keeps(&self, block: u64) -> bool {
        let start = block * SLOT_SIZE;
        !self
            .overlap
            .covers(start, (start + SLOT_SIZE).min(self.state.size))
    }

    /// Bytes that only the clone has (`SnapSet::get_clone_bytes`).
    #[must_use]
    pub fn own_bytes(&self) -> i64 {
        self.state.size as i64 - self.overlap.total() as i64
    }

    /// The stored form, without the id. Objects are smaller than 4 GiB, so 32 bits do for the overlap.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let len = 9 + Onode::LEN + self.snaps.len() * 8 + self.overlap.len() * 8;
        let mut out = BytesMut::with_capacity(len);
        out.put_u8(VERSION);
        out.put_slice(&Onode::encode(&self.state, self.state.onode.unwrap_or(0)));
        out.put_u32_le(u32::try_from(self.snaps.len()).unwrap_or(u32::MAX));
        self.snaps.iter().for_each(|snap| out.put_u64_le(*snap));
        let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        out.put_u32_le(short(self.overlap.len() as u64));
        for (start, end) in self.overlap.iter() {
            out.put_u32_le(short(start));
            out.put_u32_le(short(end));
        }
        out.freeze()
    }

    /// Reads key and value of a row; `None` if it is damaged.
    #[must_use]
    pub fn decode(key: &[u8], mut raw: &[u8]) -> Option<Self> {
        let id = !u64::from_be_bytes(key.get(9..17)?.try_into().ok()?);
        if raw.len() < 1 + Onode::LEN || raw.get_u8() != VERSION {
            return None;
        }
        let (state, mut raw) = raw.split_at(Onode::LEN);
        let state = Onode::decode(state, Placement::Slots)?;
        let count = |width: usize, raw: &mut &[u8]| {
            let count = (raw.len() >= 4).then(|| raw.get_u32_le() as usize)?;
            (raw.len() >= count.checked_mul(width)?).then_some(count)
        };
        let snaps = count(8, &mut raw)?;
        let snaps = (0..snaps).map(|_| raw.get_u64_le()).collect();
        let ranges = count(8, &mut raw)?;
        let mut overlap = Extents::default();
        for _ in 0..ranges {
            overlap.insert(raw.get_u32_le().into(), raw.get_u32_le().into());
        }
        Some(Self {
            id,
            snaps,
            overlap,
            state,
        })
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
        let (mut from, to) = keys::whole_table(b'C');
        while !owners.is_empty() {
            let rows = self.store().scan(&from..&to, SCAN_BATCH)?;
            for row in &rows {
                let onode = row.0.get(1..9).and_then(|b| b.try_into().ok());
                if let Some(owner) = onode.and_then(|onode| owners.get(&u64::from_be_bytes(onode))) {
                    f(owner, record(row)?.own_bytes());
                }
            }
            match rows.last() {
                Some((key, _)) if rows.len() == SCAN_BATCH => from = keys::after(key),
                _ => break,
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
        let (mut from, _) = keys::onode_range(b'C', onode);
        let mut end = BytesMut::from(keys::clone(onode, oldest).as_ref());
        end.put_u8(0);
        let mut found = Vec::new();
        loop {
            let rows = self.store().scan(&from..&end, SCAN_BATCH)?;
            for row in &rows {
                found.push(record(row)?);
            }
            match rows.last() {
                Some((key, _)) if rows.len() == SCAN_BATCH => from = [key.as_ref(), &[0]].concat().into(),
                _ => break,
            }
        }
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

    /// Bytes of a clone, which keeps its data in blocks.
    pub(super) fn read_clone(
        &self,
        id: &ObjectId,
        view: &CloneView,
        offset: u64,
        len: u64,
        access: Access<'_>,
    ) -> Result<Data, StoreError> {
        let mut out = BytesMut::with_capacity(len as usize);
        let end = offset + len;
        let mut at = offset;
        let mut lacks = false;
        while at < end {
            let keeper = |at: u64| view.chain.iter().find(|c| c.keeps(at / SLOT_SIZE));
            let mut to = (at / SLOT_SIZE + 1) * SLOT_SIZE;
            let piece = match keeper(at) {
                Some(clone) => self.read_slots(id, &clone.state, at, to.min(end) - at, access)?,
                None => {
                    while to < end && keeper(to).is_none() {
                        to += SLOT_SIZE;
                    }
                    self.read(id, &view.head, at, to.min(end) - at, access)?
                }
            };
            match piece {
                Data::Ready(piece) => out.extend_from_slice(&piece),
                // All that lacks is to be noted.
                Data::WouldBlock => lacks = true,
            }
            at = to;
        }
        Ok(match lacks {
            true => Data::WouldBlock,
            false => Data::Ready(out.freeze()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_reads_back_as_written_and_damage_is_seen() {
        let mut overlap = Extents::of(0, 4096);
        overlap.insert(8192, 70000);
        let mut state = ObjectState::absent(Placement::Slots);
        state.exists = true;
        state.size = 70000;
        state.onode = Some(3);
        let clone = CloneRecord {
            id: 9,
            snaps: vec![9, 7],
            overlap,
            state,
        };
        let (key, raw) = (keys::clone(5, 9), clone.encode());
        assert!(clone.keeps(0) && !clone.keeps(1));
        for cut in 0..raw.len() {
            assert_eq!(CloneRecord::decode(&key, &raw[..cut]), None);
        }
        assert_eq!(CloneRecord::decode(&key, &raw), Some(clone));
    }
}
