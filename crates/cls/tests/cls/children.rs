use std::collections::BTreeSet;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{ChildImageSpec, SnapshotInfo, features},
};

use crate::{
    header::{DEFAULT, image},
    memory::{Object, s},
    snapshot::add,
};

#[test]
fn clones_of_version_1_are_listed_by_parent() {
    let mut o = Object::absent();
    let parent = || ((2_u64, s("img")), 4_u64);
    let with = |child| (parent(), s(child));
    o.call("rbd.add_child", with("b")).unwrap();
    o.call("rbd.add_child", with("a")).unwrap();
    assert_eq!(o.call("rbd.add_child", with("a")), Err(Errno::EEXIST));
    assert_eq!(o.get("rbd.get_children", parent()), Ok(vec![s("a"), s("b")]));
    assert_eq!(o.call("rbd.remove_child", with("c")), Err(Errno::ENOENT));
    o.call("rbd.remove_child", with("a")).unwrap();
    o.call("rbd.remove_child", with("b")).unwrap();
    assert_eq!(o.call("rbd.get_children", parent()), Err(Errno::ENOENT));
    assert!(o.omap.is_empty());
}

fn child(id: &str) -> ChildImageSpec {
    ChildImageSpec {
        pool_id: 1,
        image_id: s(id),
        pool_namespace: Bytes::new(),
    }
}

#[test]
fn clones_of_version_2_keep_their_snapshot() {
    let mut o = image(1, DEFAULT);
    add(&mut o, 1, "a").unwrap();
    o.call("rbd.child_attach", (1_u64, child("x"))).unwrap();
    o.call("rbd.child_attach", (1_u64, child("y"))).unwrap();
    assert_eq!(
        o.call("rbd.child_attach", (1_u64, child("x"))),
        Err(Errno::EEXIST)
    );
    assert_eq!(o.value::<u64>("op_features"), features::OP_CLONE_PARENT);
    assert_eq!(
        o.get::<SnapshotInfo>("rbd.snapshot_get", 1_u64)
            .unwrap()
            .child_count,
        2
    );
    assert_eq!(
        o.get("rbd.children_list", 1_u64),
        Ok(BTreeSet::from([child("x"), child("y")]))
    );
    assert_eq!(o.call("rbd.snapshot_remove", 1_u64), Err(Errno::EBUSY));

    assert_eq!(
        o.call("rbd.child_detach", (1_u64, child("z"))),
        Err(Errno::ENOENT)
    );
    o.call("rbd.child_detach", (1_u64, child("x"))).unwrap();
    o.call("rbd.child_detach", (1_u64, child("y"))).unwrap();
    assert_eq!(o.call("rbd.children_list", 1_u64), Err(Errno::ENOENT));
    assert!(o.key("op_features").is_none());
    o.call("rbd.snapshot_remove", 1_u64).unwrap();
}

#[test]
fn a_snapshot_in_the_trash_gets_no_more_clones() {
    let mut o = image(1, DEFAULT);
    add(&mut o, 1, "a").unwrap();
    o.call("rbd.snapshot_trash_add", 1_u64).unwrap();
    assert_eq!(
        o.call("rbd.child_attach", (1_u64, child("x"))),
        Err(Errno::ENOENT)
    );
}
