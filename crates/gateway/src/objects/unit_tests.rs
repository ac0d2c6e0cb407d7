//! Clones keep units: which, where, and what becomes of them.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

mod model;

use std::collections::BTreeSet;

use bytes::Bytes;
use encoding::types::{OpArgs, OpCode, OsdOp};
use store::{Options, Store, StoreError, Transaction};

use super::{
    Objects,
    clones::{CloneRecord, OpenSlot},
    id::ObjectId,
    keys,
    mutation::WriterSnaps,
    onode::{ObjectState, Onode},
    slots::{SLOT_SIZE, UNIT},
};
use crate::{
    fsck,
    osd::object_rig::{POOL, apply, content, extent, omap},
};

const IMAGE: &str = "rbd_data.img.0000000000000003";
/// What the object is filled with.
const FILL: u8 = 9;

/// An object.
struct Rig {
    objects: Objects,
    id: ObjectId,
    /// The newest snapshot.
    snap: u64,
    /// Those there are.
    live: BTreeSet<u64>,
    removed: BTreeSet<u64>,
    dir: tempfile::TempDir,
}

fn open(dir: &std::path::Path, reserve: u64) -> Objects {
    let mut options = Options::new(dir);
    options.journal_bytes = 32 << 20;
    options.reserve_bytes = reserve;
    Objects::open(Store::open(options).unwrap()).unwrap()
}

impl Rig {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Self {
            objects: open(dir.path(), 0),
            id: ObjectId::new(POOL, "", "rbd_header.img"),
            snap: 0,
            live: BTreeSet::new(),
            removed: BTreeSet::new(),
            dir,
        };
        rig.apply(omap(b"order", &[20]));
        rig.id = ObjectId::new(POOL, "", name.to_owned());
        rig
    }

    /// One with so many bytes of data, all the same, and a snapshot.
    fn filled(len: u64) -> Self {
        let mut rig = Self::new(IMAGE);
        rig.write(0, &vec![FILL; len as usize]);
        rig.make_snap();
        rig
    }

    /// The same on a store of which so much is to stay free.
    fn reopened(self, reserve: u64) -> Self {
        let Self {
            objects,
            id,
            snap,
            live,
            removed,
            dir,
        } = self;
        objects.store().close().unwrap();
        drop(objects);
        Self {
            objects: open(dir.path(), reserve),
            id,
            snap,
            live,
            removed,
            dir,
        }
    }

    fn state(&self) -> ObjectState {
        self.objects.load(&self.id).unwrap()
    }

    /// Returns whether it changed anything.
    fn apply(&self, op: OsdOp) -> bool {
        let state = self.state();
        let newer = self.live.iter().rev().copied();
        let snaps = WriterSnaps {
            seq: self.snap,
            fresh: newer.take_while(|snap| *snap > state.seq).collect(),
        };
        let changed = apply(&self.objects, &self.id, &state, op, snaps).unwrap();
        changed.is_some()
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.apply(extent(OpCode::WRITE, offset, data.len() as u64, data.to_vec()));
    }

    fn make_snap(&mut self) -> u64 {
        self.snap += 1;
        self.live.insert(self.snap);
        self.snap
    }

    fn remove(&mut self, snap: u64) {
        self.live.remove(&snap);
        self.removed.insert(snap);
        self.snap += 1;
    }

    fn trim(&self) {
        for snap in &self.removed {
            while let Some(which) = self.objects.clones_of_snap(POOL, *snap, 1).unwrap().first() {
                let removed = |snap| self.removed.contains(&snap);
                self.objects.trim(which, &self.state(), None, removed).unwrap();
            }
        }
    }

    fn at(&self, snap: u64) -> Option<Vec<u8>> {
        let state = self.objects.at_snap(&self.state(), snap, false).unwrap()?;
        Some(content(&self.objects, &self.id, &state).data)
    }

    fn clone(&self, snap: u64) -> CloneRecord {
        let clones = self.objects.clones(&self.state(), 0).unwrap();
        clones.into_iter().find(|c| c.snaps.contains(&snap)).unwrap()
    }

    /// Where a block's units stand that a clone keeps: first unit, how many, slot, place in it.
    fn kept(&self, snap: u64, block: u64) -> Vec<(u8, u8, u64, u64)> {
        let kept = self.objects.kept_of(self.clone(snap).state.onode, block).unwrap();
        kept.runs()
            .map(|run| (run.first, run.count, run.slot(), run.at % 16))
            .collect()
    }

    fn slots_taken(&self) -> usize {
        let page = self.objects.store().get(&keys::slots(POOL, 0)).unwrap();
        page.map_or(0, |page| page.iter().filter(|taken| **taken != 0).count())
    }

    /// What stands in the slot volume.
    fn stands(&self, slot: u64, place: u64) -> u8 {
        let store = self.objects.store();
        let volume = self.objects.slots.volume(store, POOL).unwrap();
        let data = store
            .read(volume, slot * SLOT_SIZE + place * UNIT, UNIT as usize)
            .unwrap();
        assert!(data.iter().all(|byte| *byte == data[0]));
        data[0]
    }

    fn check(&self) {
        assert_eq!(fsck::check_objects(self.objects.store()).unwrap().0, []);
    }

    /// Makes of all clones what they were before there were units: whole blocks in slots of their own, and records of version 1.
    fn make_old(&self) {
        let head = self.state();
        let Some(onode) = head.onode else { return };
        let mut tx = Transaction::new();
        let mut freed = Vec::new();
        for mut clone in self.objects.clones(&head, 0).unwrap() {
            let then = self.objects.at_snap(&head, clone.id, true).unwrap().unwrap();
            let data = content(&self.objects, &self.id, &then).data;
            freed.extend(self.make_blocks_old(&clone, &data, &mut tx));
            clone.open = None;
            tx.put(keys::clone(onode, clone.id), version_1(&clone));
        }
        let seq = self.objects.store().commit(tx).unwrap();
        self.objects.release_when_durable(POOL, seq, freed);
        self.check();
    }

    fn make_blocks_old(&self, clone: &CloneRecord, data: &[u8], tx: &mut Transaction) -> BTreeSet<u64> {
        let (store, slots) = (self.objects.store(), &self.objects.slots);
        let volume = slots.volume(store, POOL).unwrap();
        let number = clone.state.onode.unwrap();
        let mut freed = BTreeSet::new();
        for block in 0..clone.state.size.div_ceil(SLOT_SIZE) {
            let key = keys::block(number, block as u32);
            let kept = self.objects.kept_of(Some(number), block).unwrap();
            freed.extend(kept.runs().map(|run| run.slot()));
            tx.delete(key.clone());
            let data = data
                .chunks(SLOT_SIZE as usize)
                .nth(block as usize)
                .unwrap_or_default();
            if !clone.state.inline && clone.kept_units(block) != 0 && data.iter().any(|byte| *byte != 0) {
                let slot = slots.take(store, POOL, tx).unwrap();
                tx.discard(volume, slot * SLOT_SIZE, SLOT_SIZE)
                    .write(volume, slot * SLOT_SIZE, data.to_vec())
                    .put(key, slot.to_le_bytes().to_vec());
            }
        }
        for slot in &freed {
            slots.free(store, POOL, *slot, tx).unwrap();
        }
        freed
    }
}

/// A clone's record of version 1.
fn version_1(clone: &CloneRecord) -> Vec<u8> {
    let mut raw = vec![1];
    raw.extend_from_slice(&Onode::encode(&clone.state, clone.state.onode.unwrap()));
    raw.extend_from_slice(&(clone.snaps.len() as u32).to_le_bytes());
    for snap in &clone.snaps {
        raw.extend_from_slice(&snap.to_le_bytes());
    }
    raw.extend_from_slice(&(clone.overlap.len() as u32).to_le_bytes());
    for (start, end) in clone.overlap.iter() {
        raw.extend_from_slice(&(start as u32).to_le_bytes());
        raw.extend_from_slice(&(end as u32).to_le_bytes());
    }
    raw
}

#[test]
fn small_writes_to_several_blocks_fill_one_slot() {
    let rig = Rig::filled(1 << 20);
    rig.write(3 * UNIT, &[1; 4096]);
    rig.write(SLOT_SIZE, &[2; 8192]);
    rig.write(4 * UNIT, &[3; 4096]);
    // The units of block 0 are neighbours there, but not in the slot.
    assert_eq!(rig.kept(1, 0), [(3, 1, 0, 0), (4, 1, 0, 3)]);
    assert_eq!(rig.kept(1, 1), [(0, 2, 0, 1)]);
    assert_eq!(rig.clone(1).open, Some(OpenSlot { slot: 0, used: 4 }));
    assert_eq!(rig.slots_taken(), 1);
    assert_eq!(rig.at(1).unwrap(), vec![FILL; 1 << 20]);
    rig.check();
}

#[test]
fn a_unit_is_kept_once_however_often_it_is_written() {
    let rig = Rig::filled(1 << 20);
    rig.write(UNIT + 100, &[1; 100]);
    rig.write(UNIT, &[2; 4096]);
    rig.write(UNIT + 50, &[3; 1000]);
    assert_eq!(rig.kept(1, 0), [(1, 1, 0, 0)]);
    assert_eq!(rig.clone(1).open, Some(OpenSlot { slot: 0, used: 1 }));
    assert_eq!(rig.at(1).unwrap(), vec![FILL; 1 << 20]);
}

#[test]
fn a_write_that_touches_parts_of_two_units_keeps_both() {
    let rig = Rig::filled(1 << 20);
    rig.write(SLOT_SIZE - 1, &[1; 2]);
    assert_eq!(rig.kept(1, 0), [(15, 1, 0, 0)]);
    assert_eq!(rig.kept(1, 1), [(0, 1, 0, 1)]);
    assert_eq!(rig.at(1).unwrap(), vec![FILL; 1 << 20]);
}

#[test]
fn a_block_that_is_overwritten_as_a_whole_gets_a_slot_of_its_own() {
    let rig = Rig::filled(1 << 20);
    rig.write(0, &[1; 4096]);
    rig.write(SLOT_SIZE, &[2; SLOT_SIZE as usize]);
    rig.write(0, &[3; SLOT_SIZE as usize]);
    assert_eq!(rig.kept(1, 1), [(0, 16, 1, 0)]);
    // The rest of a block, which fills the open slot to its end.
    assert_eq!(rig.kept(1, 0), [(0, 16, 0, 0)]);
    assert_eq!((rig.clone(1).open, rig.slots_taken()), (None, 2));
    assert_eq!(rig.at(1).unwrap(), vec![FILL; 1 << 20]);
    rig.check();
}

#[test]
fn units_that_the_open_slot_has_no_room_for_go_to_the_next_one() {
    let rig = Rig::filled(1 << 20);
    rig.write(0, &[1; 10 * 4096]);
    rig.write(SLOT_SIZE, &[2; 10 * 4096]);
    assert_eq!(rig.kept(1, 1), [(0, 6, 0, 10), (6, 4, 1, 0)]);
    assert_eq!(rig.clone(1).open, Some(OpenSlot { slot: 1, used: 4 }));
    assert_eq!(rig.at(1).unwrap(), vec![FILL; 1 << 20]);
    rig.check();
}

#[test]
fn units_of_zeros_take_no_space() {
    let mut rig = Rig::new(IMAGE);
    rig.write(0, &[0; 3 * 4096]);
    rig.write(UNIT, &[1; 100]);
    let snap = rig.make_snap();
    rig.write(0, &[2; 4096]);
    assert_eq!(rig.kept(snap, 0), []);
    assert_eq!(rig.slots_taken(), 0);
    rig.write(0, &[3; 3 * 4096]);
    assert_eq!(rig.kept(snap, 0), [(1, 1, 0, 0)]);
    let mut then = vec![0; 3 * 4096];
    then[4096..4196].fill(1);
    assert_eq!(rig.at(snap).unwrap(), then);
    rig.check();
}

#[test]
fn the_last_unit_of_an_object_may_be_short() {
    let rig = Rig::filled(SLOT_SIZE + 100);
    rig.apply(extent(OpCode::TRUNCATE, 10, 0, Vec::new()));
    rig.write(0, &[1; 2 * SLOT_SIZE as usize]);
    assert_eq!(rig.kept(1, 0), [(0, 16, 0, 0)]);
    assert_eq!(rig.kept(1, 1), [(0, 1, 1, 0)]);
    assert_eq!(rig.at(1).unwrap(), vec![FILL; SLOT_SIZE as usize + 100]);
    rig.check();
}

#[test]
fn an_object_that_is_deleted_leaves_its_clone_all_units() {
    let rig = Rig::filled(SLOT_SIZE + 5000);
    rig.write(UNIT, &[1; 4096]);
    rig.apply(OsdOp::new(OpCode::DELETE, OpArgs::Raw([0; 28]), Bytes::new()));
    assert!(rig.state().whiteout);
    assert_eq!(rig.at(1).unwrap(), vec![FILL; SLOT_SIZE as usize + 5000]);
    rig.check();
}

/// Two snapshots. After the first, units 1 and 2 were written, after the second units 2 and 3.
fn two_snapshots() -> (Rig, u64, u64) {
    let mut rig = Rig::filled(1 << 20);
    rig.write(UNIT, &[1; 2 * 4096]);
    let second = rig.make_snap();
    rig.write(2 * UNIT, &[2; 2 * 4096]);
    (rig, 1, second)
}

#[test]
fn the_older_clone_inherits_units_beside_its_own_and_nothing_is_moved() {
    let (mut rig, first, second) = two_snapshots();
    assert_eq!(rig.kept(first, 0), [(1, 2, 0, 0)]);
    assert_eq!(rig.kept(second, 0), [(2, 2, 1, 0)]);
    assert_eq!((rig.stands(1, 0), rig.stands(1, 1)), (1, FILL));
    rig.remove(second);
    rig.trim();
    assert_eq!(rig.kept(first, 0), [(1, 2, 0, 0), (3, 1, 1, 1)]);
    // What it had already is given back.
    assert_eq!((rig.stands(1, 0), rig.stands(1, 1)), (0, FILL));
    assert_eq!(rig.at(first).unwrap(), vec![FILL; 1 << 20]);
    rig.check();
    // It goes on filling its own slot.
    rig.write(8 * UNIT, &[3; 4096]);
    assert_eq!(rig.kept(first, 0).last(), Some(&(8, 1, 0, 2)));
    rig.check();
}

#[test]
fn an_older_clone_without_an_open_slot_inherits_that_too() {
    let mut rig = Rig::filled(1 << 20);
    rig.apply(omap(b"k", b"v"));
    let second = rig.make_snap();
    rig.write(5 * UNIT, &[2; 4096]);
    rig.remove(second);
    rig.trim();
    assert_eq!(rig.clone(1).open, Some(OpenSlot { slot: 0, used: 1 }));
    rig.write(0, &[3; 4096]);
    assert_eq!(rig.kept(1, 0), [(0, 1, 0, 1), (5, 1, 0, 0)]);
    assert_eq!(rig.at(1).unwrap(), vec![FILL; 1 << 20]);
    rig.check();
}

#[test]
fn slots_that_the_older_clone_needs_nothing_of_are_free_again() {
    let mut rig = Rig::filled(1 << 20);
    rig.write(UNIT, &[1; 4096]);
    let second = rig.make_snap();
    rig.write(UNIT, &[2; 4096]);
    assert_eq!(rig.slots_taken(), 2);
    rig.remove(second);
    rig.trim();
    assert_eq!(rig.slots_taken(), 1);
    rig.remove(1);
    rig.trim();
    assert_eq!(rig.slots_taken(), 0);
    rig.check();
}

#[test]
fn snapshots_are_removed_when_there_is_no_space_for_data() {
    let (rig, first, second) = two_snapshots();
    let mut rig = rig.reopened(u64::MAX / 4);
    let mut tx = Transaction::new();
    let volume = rig.objects.slots.volume(rig.objects.store(), POOL).unwrap();
    tx.write(volume, 0, vec![1]);
    assert!(matches!(
        rig.objects.store().submit(tx),
        Err(StoreError::NoSpace(_))
    ));
    rig.remove(second);
    rig.trim();
    assert_eq!(rig.at(first).unwrap(), vec![FILL; 1 << 20]);
    rig.check();
}

#[test]
fn blocks_that_were_kept_before_there_were_units_are_read_and_go_on() {
    let (rig, first, second) = two_snapshots();
    rig.make_old();
    let mut then = vec![FILL; 1 << 20];
    assert_eq!(rig.at(first).unwrap(), then);
    then[4096..3 * 4096].fill(1);
    assert_eq!(rig.at(second).unwrap(), then);
    // The whole block was kept: nothing of it has to be kept again.
    let taken = rig.slots_taken();
    rig.write(0, &[3; SLOT_SIZE as usize]);
    assert_eq!(rig.slots_taken(), taken);
    assert_eq!(rig.at(second).unwrap(), then);
    rig.check();
}

#[test]
fn a_clone_that_kept_whole_blocks_hands_over_units_of_them() {
    let (mut rig, first, second) = two_snapshots();
    rig.make_old();
    let third = rig.make_snap();
    rig.write(2 * UNIT, &[4; 4096]);
    rig.write(9 * UNIT, &[5; 4096]);
    rig.remove(second);
    rig.trim();
    rig.check();
    assert_eq!(rig.at(first).unwrap(), vec![FILL; 1 << 20]);
    rig.remove(third);
    rig.trim();
    rig.check();
    assert_eq!(rig.at(first).unwrap(), vec![FILL; 1 << 20]);
}
