use std::collections::BTreeMap;

use encoding::Errno;

use crate::memory::{Nothing, Object, s};

#[test]
fn copy_up_fills_only_an_object_that_does_not_exist() {
    let mut o = Object::absent();
    o.call_raw("rbd.copyup", s("parent")).unwrap();
    assert_eq!(o.data, b"parent");
    o.call_raw("rbd.copyup", s("other")).unwrap();
    assert_eq!(o.data, b"parent");
}

#[test]
fn a_sparse_copy_up_writes_extents_or_creates_an_empty_object() {
    let extents = BTreeMap::from([(2_u64, 3_u64), (8, 1)]);
    let mut o = Object::absent();
    assert_eq!(
        o.call("rbd.sparse_copyup", (extents.clone(), s("abc"))),
        Err(Errno::EINVAL)
    );
    o.call("rbd.sparse_copyup", (extents, s("abcd"))).unwrap();
    assert_eq!(o.data, b"\0\0abc\0\0\0d");
    let mut o = Object::absent();
    o.call("rbd.sparse_copyup", (BTreeMap::<u64, u64>::new(), s("")))
        .unwrap();
    assert!(o.exists && o.data.is_empty());
}

#[test]
fn sparsify_drops_zeros_at_the_end_and_keeps_the_rest() {
    let mut o = Object::with_data(b"\0\0\0\0ab\0\0cd\0\0\0\0");
    o.call("rbd.sparsify", (2_u64, false)).unwrap();
    assert_eq!(o.data, b"\0\0\0\0ab\0\0cd");
    assert_eq!(o.call("rbd.sparsify", (0_u64, false)), Err(Errno::EINVAL));
}

#[test]
fn sparsify_empties_or_removes_an_object_of_zeros() {
    let mut o = Object::with_data(&[0; 10]);
    o.call("rbd.sparsify", (4_u64, false)).unwrap();
    assert!(o.exists && o.data.is_empty());
    o.call("rbd.sparsify", (4_u64, true)).unwrap();
    assert!(!o.exists);
    assert_eq!(o.call("rbd.sparsify", (4_u64, true)), Err(Errno::ENOENT));
}

#[test]
fn a_snap_context_is_compared_with_the_object_s_snapset() {
    let newer = 0_u8;
    let not_newer = 1_u8;
    let mut o = Object::empty();
    o.snapset_seq = 5;
    let check = |o: &mut Object, seq: u64, state| o.call("rbd.assert_snapc_seq", (seq, state)).map(|_| ());
    assert_eq!(check(&mut o, 6, newer), Ok(()));
    assert_eq!(check(&mut o, 5, newer), Err(Errno::ERANGE));
    assert_eq!(check(&mut o, 5, not_newer), Ok(()));
    assert_eq!(check(&mut o, 6, not_newer), Err(Errno::ERANGE));
    assert_eq!(check(&mut Object::absent(), 0, newer), Ok(()));
    assert_eq!(check(&mut Object::absent(), 0, not_newer), Err(Errno::ERANGE));
    assert_eq!(check(&mut o, 5, 2), Err(Errno::EOPNOTSUPP));
}

/// A header of the old format with the given snapshots: id, size, name.
fn old_header(snaps: &[(u64, u64, &str)]) -> Object {
    let mut data = b"<<< Rados Block Device Image >>>\n".to_vec();
    data.resize(80, 0);
    data.extend(1000_u64.to_le_bytes());
    data.extend(snaps.first().map_or(0, |s| s.0).to_le_bytes());
    data.extend((snaps.len() as u32).to_le_bytes());
    data.extend([0; 4]);
    data.extend((snaps.iter().map(|s| s.2.len() + 1).sum::<usize>() as u64).to_le_bytes());
    for (id, size, _) in snaps {
        data.extend(id.to_le_bytes());
        data.extend(size.to_le_bytes());
    }
    for (.., name) in snaps {
        data.extend(name.as_bytes());
        data.push(0);
    }
    Object::with_data(&data)
}

#[test]
fn headers_of_the_old_format_hold_their_snapshots_newest_first() {
    let mut o = old_header(&[]);
    o.call("rbd.snap_add", (s("one"), 1_u64)).unwrap();
    o.call("rbd.snap_add", (s("two"), 2_u64)).unwrap();
    assert_eq!(o.data, old_header(&[(2, 1000, "two"), (1, 1000, "one")]).data);
    assert_eq!(o.call("rbd.snap_add", (s("one"), 3_u64)), Err(Errno::EEXIST));
    assert_eq!(o.call("rbd.snap_add", (s("old"), 1_u64)), Err(Errno::ESTALE));

    o.call("rbd.snap_rename", (1_u64, s("uno"))).unwrap();
    assert_eq!(o.call("rbd.snap_rename", (9_u64, s("x"))), Err(Errno::ENOENT));
    let list = (
        (2_u64, 2_u32),
        (((2_u64, 1000_u64), s("two")), ((1_u64, 1000_u64), s("uno"))),
    );
    assert_eq!(o.get("rbd.snap_list", Nothing), Ok(list));

    o.call("rbd.snap_remove", s("two")).unwrap();
    assert_eq!(o.call("rbd.snap_remove", s("two")), Err(Errno::ENOENT));
    assert_eq!(&o.data[112..], &old_header(&[(1, 1000, "uno")]).data[112..]);
    assert_eq!(
        Object::with_data(b"x").call("rbd.snap_list", Nothing),
        Err(Errno::EINVAL)
    );
}

/// As `ceph-osd` 16.2.15 answers: what reads finds nothing, and only what asks for the object's existence misses it.
#[test]
fn methods_that_write_read_an_object_that_is_not_there_as_empty() {
    let mut o = Object::absent();
    assert_eq!(o.call("rbd.snap_add", (s("one"), 1_u64)), Err(Errno::EINVAL));
    assert_eq!(o.call("rbd.snap_remove", s("one")), Err(Errno::EINVAL));
    assert_eq!(o.call("rbd.snap_rename", (1_u64, s("one"))), Err(Errno::EINVAL));
    assert_eq!(o.call("rbd.migration_remove", Nothing), Err(Errno::ENXIO));
    assert_eq!(o.call("rbd.sparsify", (4096_u64, true)), Err(Errno::ENOENT));
    o.call("rbd.snapshot_set_limit", 5_u64).unwrap();
    assert_eq!(
        Object::absent().call("hello.turn_it_to_11", Nothing),
        Ok(bytes::Bytes::new())
    );
}
