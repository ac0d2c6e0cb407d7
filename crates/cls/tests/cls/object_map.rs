use bytes::Bytes;
use encoding::{
    Encode, Errno, Features,
    cls::{
        bit_vector::BitVector,
        rbd::object_state::{EXISTS, EXISTS_CLEAN, NONEXISTENT, PENDING},
    },
};

use crate::memory::{Nothing, Object};

fn map(size: u64) -> Object {
    let mut o = Object::absent();
    o.call("rbd.object_map_resize", (size, NONEXISTENT)).unwrap();
    o
}

fn update(o: &mut Object, from: u64, to: u64, new: u8, current: Option<u8>) -> Result<Bytes, Errno> {
    o.call("rbd.object_map_update", ((from, to), (new, current)))
}

fn load(o: &mut Object) -> BitVector {
    o.get("rbd.object_map_load", Nothing).unwrap()
}

fn states(o: &mut Object) -> Vec<u8> {
    load(o).iter().collect()
}

#[test]
fn a_map_that_does_not_exist_or_is_empty_is_not_there() {
    for mut o in [Object::absent(), Object::empty()] {
        assert_eq!(o.call("rbd.object_map_load", Nothing), Err(Errno::ENOENT));
        assert_eq!(o.call("rbd.object_map_snap_add", Nothing), Err(Errno::ENOENT));
    }
}

#[test]
fn the_object_is_ceph_s_bit_vector_with_checksums() {
    let mut o = map(6);
    update(&mut o, 1, 2, EXISTS, None).unwrap();
    let mut expected = BitVector::new(6, NONEXISTENT);
    expected.set(1, EXISTS);
    assert_eq!(o.data, expected.to_bytes(Features::ALL));
    assert_eq!(o.data.len(), 18 + 2 + 4 + 4 + 4 + 4);
    // Loading leaves the checksums out.
    assert_eq!(o.call("rbd.object_map_load", Nothing).unwrap().len(), 18 + 2 + 4);
}

#[test]
fn an_update_changes_only_objects_in_the_expected_state() {
    let mut o = map(5);
    update(&mut o, 0, 3, EXISTS, Some(NONEXISTENT)).unwrap();
    assert_eq!(states(&mut o), [1, 1, 1, 0, 0]);
    update(&mut o, 2, 5, PENDING, Some(EXISTS)).unwrap();
    assert_eq!(states(&mut o), [1, 1, 2, 0, 0]);
    update(&mut o, 0, 5, NONEXISTENT, None).unwrap();
    assert_eq!(states(&mut o), [0, 0, 0, 0, 0]);
}

#[test]
fn an_update_of_existing_objects_takes_clean_ones_for_existing() {
    let mut o = map(2);
    update(&mut o, 0, 2, EXISTS_CLEAN, None).unwrap();
    update(&mut o, 0, 1, PENDING, Some(EXISTS)).unwrap();
    assert_eq!(states(&mut o), [PENDING, EXISTS_CLEAN]);
}

#[test]
fn an_update_over_several_blocks_keeps_all_checksums_right() {
    let size = 3 * 4096 * 4 + 5;
    let mut o = map(size);
    for (from, to) in [(16_383, 16_385), (49_152, 49_157), (0, 1), (20_000, 40_000)] {
        update(&mut o, from, to, EXISTS, None).unwrap();
    }
    let map = load(&mut o);
    assert_eq!(map.iter().filter(|s| *s == EXISTS).count(), 2 + 5 + 1 + 20_000);
    assert_eq!(o.data, map.to_bytes(Features::ALL));
}

#[test]
fn an_update_beyond_the_map_or_of_nothing_is_out_of_range() {
    let mut o = map(5);
    for (from, to) in [(0, 6), (5, 5), (3, 2)] {
        assert_eq!(update(&mut o, from, to, EXISTS, None), Err(Errno::ERANGE));
    }
    assert_eq!(
        update(&mut Object::absent(), 0, 1, EXISTS, None),
        Err(Errno::ENOENT)
    );
}

#[test]
fn a_damaged_map_is_invalid() {
    let mut o = map(5);
    o.data[18] ^= 0x40;
    assert_eq!(o.call("rbd.object_map_load", Nothing), Err(Errno::EINVAL));
    assert_eq!(update(&mut o, 0, 1, EXISTS, None), Err(Errno::EINVAL));
}

#[test]
fn objects_that_are_cut_off_must_be_in_the_given_state() {
    let mut o = map(5);
    update(&mut o, 3, 4, EXISTS, None).unwrap();
    let resize = |o: &mut Object, size: u64, state| o.call("rbd.object_map_resize", (size, state));
    assert_eq!(resize(&mut o, 3, NONEXISTENT), Err(Errno::ESTALE));
    resize(&mut o, 4, NONEXISTENT).unwrap();
    resize(&mut o, 6, PENDING).unwrap();
    assert_eq!(states(&mut o), [0, 0, 0, 1, 2, 2]);
    assert_eq!(resize(&mut o, 256_000_001, NONEXISTENT), Err(Errno::EINVAL));
}

#[test]
fn a_saved_map_replaces_the_old_one() {
    let mut o = map(5);
    let new = BitVector::new(9, EXISTS);
    o.call("rbd.object_map_save", new.clone()).unwrap();
    assert_eq!(load(&mut o), new);
    assert_eq!(o.call("rbd.object_map_save", 7_u32), Err(Errno::EINVAL));
}

#[test]
fn a_snapshot_makes_existing_objects_clean() {
    let mut o = map(3);
    update(&mut o, 0, 1, EXISTS, None).unwrap();
    update(&mut o, 1, 2, PENDING, None).unwrap();
    o.call("rbd.object_map_snap_add", Nothing).unwrap();
    assert_eq!(states(&mut o), [EXISTS_CLEAN, PENDING, NONEXISTENT]);
}

#[test]
fn removing_a_snapshot_makes_what_it_had_written_new_again() {
    let mut o = map(4);
    update(&mut o, 0, 4, EXISTS_CLEAN, None).unwrap();
    let mut removed = BitVector::new(3, EXISTS_CLEAN);
    removed.set(0, EXISTS);
    o.call("rbd.object_map_snap_remove", removed).unwrap();
    assert_eq!(states(&mut o), [EXISTS, EXISTS_CLEAN, EXISTS_CLEAN, EXISTS]);
}
