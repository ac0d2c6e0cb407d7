//! Damage of each kind: found, told, and repaired where that can be.

#![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::path::Path;

use bytes::Bytes;
use encoding::types::{OpCode, OsdOp};
use store::{Options, Store, Transaction};

use super::{Problem, check_objects, repair};
use crate::{
    objects::{
        Objects, clones::CloneRecord, id::ObjectId, kept::Kept, keys, mutation::WriterSnaps,
        onode::ObjectState, slots::SLOT_SIZE,
    },
    osd::object_rig::{POOL, apply, content, extent, omap, xattr},
};

const DATA: &str = "rbd_data.img.0000000000000003";

/// A store with an image that has data and a snapshot, and with plain objects.
struct Rig {
    objects: Objects,
    _dir: tempfile::TempDir,
}

fn id(name: &str) -> ObjectId {
    ObjectId::new(POOL, "", name.to_owned())
}

fn open(dir: &Path) -> Objects {
    let mut options = Options::new(dir);
    options.journal_bytes = 8 << 20;
    options.reserve_bytes = 0;
    Objects::open(Store::open(options).unwrap()).unwrap()
}

fn write(offset: u64, fill: u8, len: usize) -> OsdOp {
    extent(OpCode::WRITE, offset, len as u64, vec![fill; len])
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rig = Self {
            objects: open(dir.path()),
            _dir: dir,
        };
        rig.apply("rbd_header.img", omap(b"order", &[20]), 0);
        rig.apply(DATA, write(0, 1, 200_000), 0);
        rig.apply(DATA, xattr(b"1"), 0);
        rig.apply(DATA, write(70_000, 2, 5000), 4);
        rig.apply("large", write(0, 3, 200_000), 0);
        rig.apply("large", write(0, 4, 100), 4);
        rig.apply("small", write(0, 5, 1000), 0);
        rig.apply("small", xattr(b"2"), 0);
        assert_eq!(rig.check(), []);
        rig
    }

    fn store(&self) -> &Store {
        self.objects.store()
    }

    fn state(&self, name: &str) -> ObjectState {
        self.objects.load(&id(name)).unwrap()
    }

    fn onode(&self, name: &str) -> u64 {
        self.state(name).onode.unwrap()
    }

    /// Runs an op whose writer knows of snapshots up to `snap`.
    fn apply(&self, name: &str, op: OsdOp, snap: u64) {
        let state = self.state(name);
        let snaps = WriterSnaps {
            seq: snap,
            fresh: (state.seq + 1..=snap).rev().collect(),
        };
        apply(&self.objects, &id(name), &state, op, snaps).unwrap();
    }

    fn check(&self) -> Vec<Problem> {
        check_objects(self.store()).unwrap().0
    }

    /// The keys of a table.
    fn keys(&self, table: u8) -> Vec<Bytes> {
        let (from, to) = keys::whole_table(table);
        let rows = self.store().scan(&from..&to, usize::MAX).unwrap();
        rows.into_iter().map(|(key, _)| key).collect()
    }

    /// Does damage that must be told in these words. Returns whether all of it could be repaired.
    fn damaged(&self, words: &str, damage: impl FnOnce(&mut Transaction)) -> bool {
        let mut tx = Transaction::new();
        damage(&mut tx);
        self.store().commit(tx).unwrap();
        let problems = self.check();
        let told = problems.iter().any(|problem| problem.what.contains(words));
        assert!(told, "{words}: {problems:?}");
        for _ in 0..4 {
            repair(self.store(), &self.check()).unwrap();
        }
        let left = self.check();
        assert!(left.iter().all(|problem| !problem.mends()), "{left:?}");
        left.is_empty()
    }

    /// Objects are what they were made.
    fn intact(&self, names: &[&str]) {
        for name in names {
            let data = content(&self.objects, &id(name), &self.state(name)).data;
            match *name {
                DATA => {
                    assert!(data.len() == 200_000 && data[0] == 1 && data[70_000] == 2 && data[199_999] == 1);
                }
                "large" => assert!(data.len() == 200_000 && data[99] == 4 && data[100] == 3),
                _ => assert_eq!(data, [5; 1000]),
            }
        }
    }
}

const ALL: [&str; 3] = [DATA, "large", "small"];

#[test]
fn rows_of_objects_that_are_gone_are_removed() {
    let rig = Rig::new();
    let repaired = rig.damaged("is left of onode 77777", |tx| {
        tx.put(keys::xattr(77_777, b"a"), "1")
            .put(keys::omap(77_777, b"k"), "2")
            .put(keys::omap_header(77_777), "3")
            .put(keys::inline_data(77_777), "4")
            .put(keys::block(77_777, 0), 9_u64.to_le_bytes().to_vec())
            .put(keys::watch(77_777, 1, 2), "5");
    });
    assert!(repaired);
    rig.intact(&ALL);
}

#[test]
fn the_creator_of_an_image_that_is_gone_is_forgotten_and_that_of_one_that_is_there_is_not() {
    let rig = Rig::new();
    let there = keys::creator(POOL, b"", b"img");
    let repaired = rig.damaged("the creator of an image that is not there", |tx| {
        tx.put(keys::creator(POOL, b"", b"gone"), "client.alice")
            .put(there.clone(), "client.alice");
    });
    assert!(repaired);
    assert_eq!(rig.keys(b'U'), [there]);
}

#[test]
fn the_record_of_a_scrub_that_cannot_be_read_is_forgotten() {
    let rig = Rig::new();
    let good = keys::scrub(POOL, 1);
    rig.objects
        .record_scrub(
            encoding::types::Pg {
                pool: POOL.cast_unsigned(),
                seed: 1,
            },
            &Default::default(),
        )
        .unwrap();
    let repaired = rig.damaged("the record of a scrub cannot be read", |tx| {
        tx.put(keys::scrub(POOL, 2), "no record");
    });
    assert!(repaired);
    assert_eq!(rig.keys(b'G'), [good]);
}

#[test]
fn an_object_whose_record_is_gone_leaves_nothing_and_its_slots_are_free_again() {
    let rig = Rig::new();
    let taken = rig.keys(b'B').len();
    assert!(rig.damaged("is left of onode", |tx| {
        tx.delete(keys::object(&id("large")));
    }));
    assert!(rig.keys(b'B').len() < taken);
    rig.intact(&[DATA, "small"]);
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_left_alone() {
    let rig = Rig::new();
    let (key, onode) = (keys::object(&id("small")), rig.onode("small"));
    assert!(!rig.damaged("an object cannot be read", |tx| {
        tx.put(key.clone(), "damaged");
    }));
    assert!(rig.store().get(&key).unwrap().is_some());
    // Its rows may be of use when it is restored.
    assert_eq!(
        rig.store().get(&keys::inline_data(onode)).unwrap().unwrap(),
        [5; 1000][..]
    );
    assert!(rig.store().get(&keys::xattr(onode, b"a")).unwrap().is_some());
    rig.intact(&[DATA, "large"]);
}

#[test]
fn a_slot_that_counts_as_free_while_in_use_is_taken_again() {
    let rig = Rig::new();
    let page = keys::slots(POOL, 0);
    assert!(
        rig.damaged("counts as free, and has data of object 1/large", |tx| {
            tx.patch(page, 1, vec![0; 4]);
        })
    );
    rig.intact(&ALL);
}

#[test]
fn a_slot_that_nobody_uses_is_free_again() {
    let rig = Rig::new();
    assert!(rig.damaged("slot 99 of pool 1 is taken by nobody", |tx| {
        tx.patch(keys::slots(POOL, 0), 99, vec![1]);
    }));
    let page = rig.store().get(&keys::slots(POOL, 0)).unwrap().unwrap();
    assert_eq!(page[99], 0);
    rig.intact(&ALL);
}

#[test]
fn two_objects_in_one_slot_are_told() {
    let rig = Rig::new();
    let large = rig.onode("large");
    let slot = rig.store().get(&keys::block(large, 0)).unwrap().unwrap();
    assert!(!rig.damaged("have one slot", |tx| {
        tx.put(keys::block(large, 1), slot);
    }));
}

#[test]
fn a_block_behind_the_end_of_its_object_is_removed() {
    let rig = Rig::new();
    let large = rig.onode("large");
    assert!(rig.damaged("block 9 that it has no use for", |tx| {
        tx.put(keys::block(large, 9), 50_u64.to_le_bytes().to_vec());
    }));
    const { assert!(200_000 < 9 * SLOT_SIZE) };
    rig.intact(&ALL);
}

#[test]
fn units_that_a_clone_does_not_keep_are_removed_from_its_block() {
    let rig = Rig::new();
    let of_units = |key: &Bytes| rig.store().get(key).unwrap().filter(|value| value.len() == 9);
    let rows = rig.keys(b'B');
    let (key, value) = rows.iter().find_map(|key| Some((key, of_units(key)?))).unwrap();
    let mut more = value.to_vec();
    more.push(9 << 4);
    more.extend_from_slice(&(Kept::decode(&value).unwrap().runs().next().unwrap().at + 5).to_le_bytes());
    assert!(rig.damaged("that it has no use for", |tx| {
        tx.put(key.clone(), more);
    }));
    assert_eq!(of_units(key), Some(value));
    rig.intact(&ALL);
}

#[test]
fn a_clone_that_is_about_to_fill_a_slot_of_another_gets_a_new_one() {
    let rig = Rig::new();
    let key = rig.keys(b'C').remove(0);
    let stored = rig.store().get(&key).unwrap().unwrap();
    let mut clone = CloneRecord::decode(&key, &stored).unwrap();
    let open = clone.open.as_mut().unwrap();
    (open.slot, open.used) = (0, 1);
    assert!(rig.damaged("is about to fill a slot that is not its own", |tx| {
        tx.put(key.clone(), clone.encode());
    }));
    let stored = rig.store().get(&key).unwrap().unwrap();
    assert_eq!(CloneRecord::decode(&key, &stored).unwrap().open, None);
    rig.intact(&ALL);
}

#[test]
fn a_clone_that_is_about_to_fill_places_in_use_gets_a_new_slot() {
    let rig = Rig::new();
    let damage = |key: &Bytes| {
        let stored = rig.store().get(key).unwrap().unwrap();
        let mut clone = CloneRecord::decode(key, &stored).unwrap();
        let open = clone.open.as_mut().filter(|open| open.used == 2)?;
        open.used = 1;
        Some((key.clone(), clone.encode()))
    };
    let (key, value) = rig.keys(b'C').iter().find_map(damage).unwrap();
    assert!(rig.damaged("is about to fill a slot that is not its own", |tx| {
        tx.put(key, value);
    }));
    rig.intact(&ALL);
}

#[test]
fn a_block_of_an_object_that_is_no_clone_is_a_slot() {
    let rig = Rig::new();
    let large = rig.onode("large");
    assert!(!rig.damaged("a block of an object cannot be read", |tx| {
        tx.put(keys::block(large, 0), vec![0; 9]);
    }));
}

#[test]
fn a_damaged_slot_number_is_told() {
    let rig = Rig::new();
    let large = rig.onode("large");
    assert!(!rig.damaged("a block of an object cannot be read", |tx| {
        tx.put(keys::block(large, 0), "xyz");
    }));
}

#[test]
fn a_clone_that_the_index_does_not_know_is_entered_there() {
    let rig = Rig::new();
    let index = rig.keys(b'I');
    assert!(index.len() >= 8);
    assert!(rig.damaged("is missing in the index of snapshot", |tx| {
        for key in &index {
            tx.delete(key.clone());
        }
    }));
    assert_eq!(rig.keys(b'I'), index);
    let found = rig.objects.clones_of_snap(POOL, 4, 10).unwrap();
    assert!(found.iter().any(|clone| clone.id == id(DATA)));
    rig.intact(&ALL);
}

#[test]
fn a_clone_that_a_trim_removed_is_in_the_index_of_no_other_removed_snapshot() {
    let rig = Rig::new();
    rig.apply("large", write(0, 6, 100), 7);
    let found = rig.objects.clones_of_snap(POOL, 6, 10).unwrap();
    assert_eq!(found.len(), 1);
    rig.objects
        .trim(&found[0], &rig.state("large"), None, |snap| {
            (5..=6).contains(&snap)
        })
        .unwrap();
    assert_eq!(rig.check(), []);
    rig.objects
        .trim(&found[0], &rig.state("large"), None, |snap| {
            (5..=7).contains(&snap)
        })
        .unwrap();
    assert_eq!(rig.check(), []);
}

#[test]
fn an_entry_of_the_index_without_a_clone_is_removed() {
    let rig = Rig::new();
    let large = rig.onode("large");
    assert!(rig.damaged("snapshot 9 of pool 1 refers to a clone", |tx| {
        tx.put(keys::snap(POOL, 9, large), 9_u64.to_le_bytes().to_vec());
    }));
    rig.intact(&ALL);
}

#[test]
fn an_object_whose_clones_are_gone_goes_on_without() {
    let rig = Rig::new();
    let (from, to) = keys::onode_range(b'C', rig.onode("large"));
    assert!(rig.damaged("its clones are missing", |tx| {
        tx.delete_range(from, to);
    }));
    assert!(!rig.state("large").clones);
    rig.intact(&ALL);
}

#[test]
fn a_clone_of_no_object_is_removed_with_its_blocks() {
    let rig = Rig::new();
    let (from, to) = keys::onode_range(b'C', rig.onode("large"));
    let (_, clone) = rig.store().scan(&from..&to, 1).unwrap().remove(0);
    assert!(rig.damaged("is of onode 88888, which is no object's", |tx| {
        tx.delete_range(from, to).put(keys::clone(88_888, 4), clone);
    }));
    rig.intact(&ALL);
}

#[test]
fn a_damaged_clone_is_told() {
    let rig = Rig::new();
    let key = rig.keys(b'C').remove(0);
    assert!(!rig.damaged("a clone cannot be read", |tx| {
        tx.put(key, "x");
    }));
}

#[test]
fn an_image_object_without_its_onode_keeps_its_data() {
    let rig = Rig::new();
    let key = rig.keys(b'E').remove(0);
    assert!(
        rig.damaged("its onode is missing, and its attributes with it", |tx| {
            tx.delete(key);
        })
    );
    rig.intact(&ALL);
}

#[test]
fn an_onode_that_no_image_object_refers_to_is_removed() {
    let rig = Rig::new();
    let key = rig.keys(b'E').remove(0);
    let stored = rig.store().get(&key).unwrap().unwrap();
    let volume = u64::from_be_bytes(key[1..9].try_into().unwrap());
    assert!(rig.damaged("an onode that nothing refers to", |tx| {
        tx.put(keys::extra(volume, 500), stored);
    }));
    rig.intact(&ALL);
}

#[test]
fn a_damaged_entry_of_an_image_object_is_told() {
    let rig = Rig::new();
    let key = rig.keys(b'P').remove(0);
    assert!(!rig.damaged("the entry of object 5 of volume", |tx| {
        tx.patch(key, 5 * 24, vec![0xff; 24]);
    }));
    rig.intact(&ALL);
}

#[test]
fn pages_of_a_volume_that_is_no_images_are_removed() {
    let rig = Rig::new();
    assert!(rig.damaged("of volume 0x4d2, which is no image's", |tx| {
        tx.put(keys::page(1234, 0), vec![0; 48]);
    }));
    rig.intact(&ALL);
}

#[test]
fn an_image_whose_volume_is_missing_is_told() {
    let rig = Rig::new();
    assert!(
        !rig.damaged("image other: its volume pool-1.image-other is missing", |tx| {
            tx.put(
                keys::image_volume(POOL, b"", b"other"),
                (1_u32 << 20).to_le_bytes().to_vec(),
            );
        })
    );
}

#[test]
fn rows_that_an_object_says_it_has_not_are_removed() {
    let rig = Rig::new();
    let (large, small) = (rig.onode("large"), rig.onode("small"));
    assert!(rig.damaged("has an omap entry that it should not have", |tx| {
        tx.put(keys::omap(small, b"k"), "v")
            .put(keys::inline_data(large), "d");
    }));
    rig.intact(&ALL);
}

#[test]
fn counters_that_are_behind_are_set_ahead() {
    let rig = Rig::new();
    assert!(rig.damaged("the counter of onodes is behind", |tx| {
        tx.put(keys::counter("onode"), 1_u64.to_le_bytes().to_vec())
            .put(keys::counter("version"), "x");
    }));
}

#[test]
fn damaged_pages_of_replies_are_removed() {
    let rig = Rig::new();
    assert!(rig.damaged("a page of recorded replies is damaged", |tx| {
        tx.put(keys::replies(5, 0), vec![0; 33]);
    }));
}

#[test]
fn rows_of_no_known_table_are_told() {
    let rig = Rig::new();
    assert!(!rig.damaged("is of no known table", |tx| {
        tx.put("what is this", "?");
    }));
}
