use std::collections::BTreeSet;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{
        MirrorSnapshotNamespace, MirrorSnapshotState, NOSNAP, ParentImageSpec, ProtectionStatus, Snapshot,
        SnapshotInfo, SnapshotNamespace, SnapshotNamespaceType, features,
    },
};

use crate::{
    header::{DEFAULT, image},
    memory::{Nothing, Object, s},
};

pub(crate) fn add(o: &mut Object, id: u64, name: &str) -> Result<Bytes, Errno> {
    o.call("rbd.snapshot_add", (s(name), id))
}

fn get(o: &mut Object, id: u64) -> SnapshotInfo {
    o.get("rbd.snapshot_get", id).unwrap()
}

#[test]
fn a_snapshot_keeps_size_flags_and_time() {
    let mut o = image(100, DEFAULT);
    o.call("rbd.set_flags", (1_u64, 1_u64)).unwrap();
    add(&mut o, 3, "snap").unwrap();
    o.call("rbd.set_size", 50_u64).unwrap();
    o.call("rbd.set_flags", (0_u64, 1_u64)).unwrap();
    assert_eq!(o.get("rbd.get_size", 3_u64), Ok((22_u8, 100_u64)));
    assert_eq!(o.get("rbd.get_flags", 3_u64), Ok(1_u64));
    assert_eq!(o.get("rbd.get_snapshot_name", 3_u64), Ok(s("snap")));
    assert_eq!(o.get("rbd.get_snapshot_timestamp", 3_u64), Ok(o.now));
    let info = get(&mut o, 3);
    assert_eq!(
        (info.id, info.name, info.image_size, info.timestamp),
        (3, s("snap"), 100, o.now)
    );
    assert!(o.key("snapshot_0000000000000003").is_some());
    assert_eq!(o.call("rbd.snapshot_get", NOSNAP), Err(Errno::EINVAL));
}

#[test]
fn the_snap_context_goes_from_newest_to_oldest() {
    let mut o = image(1, DEFAULT);
    for id in [2, 5, 0x10, 0x20, 0x100] {
        add(&mut o, id, &format!("s{id}")).unwrap();
    }
    let context: (u64, Vec<u64>) = o.get("rbd.get_snapcontext", Nothing).unwrap();
    assert_eq!(context, (0x100, vec![0x100, 0x20, 0x10, 5, 2]));
}

#[test]
fn a_snapshot_must_be_new_and_its_name_free() {
    let mut o = image(1, DEFAULT);
    add(&mut o, 3, "a").unwrap();
    assert_eq!(add(&mut o, 2, "b"), Err(Errno::ESTALE));
    assert_eq!(add(&mut o, 3, "b"), Err(Errno::EEXIST));
    assert_eq!(add(&mut o, 4, "a"), Err(Errno::EEXIST));
    assert_eq!(add(&mut o, NOSNAP, "b"), Err(Errno::EINVAL));
    let group = SnapshotNamespace::Group {
        group_pool: 1,
        group_id: s("g"),
        group_snapshot_id: s("gs"),
    };
    o.call("rbd.snapshot_add", ((s("a"), 4_u64), group)).unwrap();
    assert_eq!(add(&mut Object::empty(), 1, "a"), Err(Errno::ENOENT));
}

#[test]
fn a_limit_bounds_the_number_of_snapshots() {
    let mut o = image(1, DEFAULT);
    assert_eq!(o.get("rbd.snapshot_get_limit", Nothing), Ok(u64::MAX));
    o.call("rbd.snapshot_set_limit", 2_u64).unwrap();
    add(&mut o, 1, "a").unwrap();
    add(&mut o, 2, "b").unwrap();
    assert_eq!(add(&mut o, 3, "c"), Err(Errno::EDQUOT));
    assert_eq!(o.call("rbd.snapshot_set_limit", 1_u64), Err(Errno::ERANGE));
    o.call("rbd.snapshot_set_limit", u64::MAX).unwrap();
    add(&mut o, 3, "c").unwrap();
}

#[test]
fn a_snapshot_is_renamed_to_a_free_name() {
    let mut o = image(1, DEFAULT);
    add(&mut o, 1, "a").unwrap();
    add(&mut o, 2, "b").unwrap();
    assert_eq!(o.call("rbd.snapshot_rename", (1_u64, s("b"))), Err(Errno::EEXIST));
    assert_eq!(o.call("rbd.snapshot_rename", (9_u64, s("c"))), Err(Errno::ENOENT));
    o.call("rbd.snapshot_rename", (1_u64, s("c"))).unwrap();
    assert_eq!(get(&mut o, 1).name, s("c"));
}

#[test]
fn a_protected_snapshot_is_not_removed() {
    let mut o = image(1, DEFAULT);
    add(&mut o, 1, "a").unwrap();
    let set = |o: &mut Object, status| o.call("rbd.set_protection_status", (1_u64, status));
    set(&mut o, ProtectionStatus::PROTECTED).unwrap();
    assert_eq!(
        o.get("rbd.get_protection_status", 1_u64),
        Ok(ProtectionStatus::PROTECTED)
    );
    assert_eq!(o.call("rbd.snapshot_remove", 1_u64), Err(Errno::EBUSY));
    assert_eq!(set(&mut o, ProtectionStatus::LAST), Err(Errno::EINVAL));
    set(&mut o, ProtectionStatus::UNPROTECTED).unwrap();
    o.call("rbd.snapshot_remove", 1_u64).unwrap();
    assert_eq!(o.call("rbd.snapshot_remove", 1_u64), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.get_protection_status", NOSNAP), Err(Errno::EINVAL));
}

#[test]
fn a_snapshot_in_the_trash_keeps_its_name_aside_and_marks_the_image() {
    let mut o = image(1, DEFAULT);
    add(&mut o, 1, "a").unwrap();
    o.call("rbd.snapshot_trash_add", 1_u64).unwrap();
    let info = get(&mut o, 1);
    let SnapshotNamespace::Trash {
        original_name,
        original_type,
    } = info.snapshot_namespace
    else {
        panic!("not in the trash");
    };
    assert_eq!(
        (original_name, original_type),
        (s("a"), SnapshotNamespaceType::USER)
    );
    assert_eq!(info.name.len(), 36, "a uuid");
    assert_eq!(o.value::<u64>("op_features"), features::OP_SNAP_TRASH);
    assert_eq!(o.call("rbd.snapshot_trash_add", 1_u64), Err(Errno::EEXIST));
    assert_eq!(o.call("rbd.snapshot_rename", (1_u64, s("c"))), Err(Errno::EINVAL));
    o.call("rbd.snapshot_remove", 1_u64).unwrap();
    assert!(o.key("op_features").is_none());
    assert_eq!(o.value::<u64>("features"), DEFAULT);
}

#[test]
fn before_nautilus_a_snapshot_holds_the_parent_and_is_converted_when_written_again() {
    let mut o = image(100, DEFAULT);
    o.release = 13;
    let spec = ParentImageSpec {
        pool_id: 1,
        pool_namespace: Bytes::new(),
        image_id: s("p"),
        snap_id: 7,
    };
    o.call("rbd.parent_attach", (spec.clone(), 80_u64)).unwrap();
    add(&mut o, 1, "a").unwrap();
    let stored: Snapshot = o.value("snapshot_0000000000000001");
    assert_eq!((stored.parent.spec, stored.parent.head_overlap), (spec, Some(80)));
    o.release = 14;
    o.call("rbd.set_flags", ((1_u64, 1_u64), 1_u64)).unwrap();
    let stored: Snapshot = o.value("snapshot_0000000000000001");
    assert_eq!((stored.parent.exists(), stored.parent_overlap), (false, Some(80)));
}

#[test]
fn a_mirror_s_snapshot_loses_peers_and_gains_progress() {
    let mut o = image(1, DEFAULT);
    let mirror = SnapshotNamespace::Mirror(MirrorSnapshotNamespace {
        state: MirrorSnapshotState::NON_PRIMARY,
        complete: false,
        mirror_peer_uuids: BTreeSet::from([s("p")]),
        primary_mirror_uuid: s("m"),
        primary_snap_id: 9,
        last_copied_object_number: 0,
        snap_seqs: Default::default(),
    });
    o.call("rbd.snapshot_add", ((s("m"), 1_u64), mirror)).unwrap();
    add(&mut o, 2, "user").unwrap();
    let unlink = |o: &mut Object, id: u64| o.call("rbd.mirror_image_snapshot_unlink_peer", (id, s("p")));
    unlink(&mut o, 1).unwrap();
    assert_eq!(unlink(&mut o, 1), Err(Errno::ENOENT));
    assert_eq!(unlink(&mut o, 2), Err(Errno::EINVAL));
    o.call(
        "rbd.mirror_image_snapshot_set_copy_progress",
        ((1_u64, true), 77_u64),
    )
    .unwrap();
    let SnapshotNamespace::Mirror(m) = get(&mut o, 1).snapshot_namespace else {
        panic!("not a mirror's");
    };
    assert_eq!((m.complete, m.last_copied_object_number), (true, 77));
}
