use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{
        GroupImageLinkState, GroupImageSpec, GroupImageStatus, GroupSnapshot, GroupSnapshotState, GroupSpec,
        features,
    },
};

use crate::{
    header::{DEFAULT, image},
    memory::{Nothing, Object, s},
};

fn group(id: &str) -> GroupSpec {
    GroupSpec {
        pool_id: 1,
        group_id: s(id),
    }
}

#[test]
fn an_image_is_in_one_group() {
    let mut o = image(1, DEFAULT);
    assert_eq!(o.get("rbd.image_group_get", Nothing), Ok(GroupSpec::default()));
    o.call("rbd.image_group_add", group("g")).unwrap();
    o.call("rbd.image_group_add", group("g")).unwrap();
    assert_eq!(o.call("rbd.image_group_add", group("h")), Err(Errno::EEXIST));
    assert_eq!(o.get("rbd.image_group_get", Nothing), Ok(group("g")));
    assert_eq!(o.value::<u64>("op_features"), features::OP_GROUP);
    assert_eq!(o.call("rbd.image_group_remove", group("h")), Err(Errno::EBADF));
    o.call("rbd.image_group_remove", group("g")).unwrap();
    assert_eq!(o.call("rbd.image_group_remove", group("g")), Err(Errno::ENOENT));
    assert!(o.key("op_features").is_none());
}

#[test]
fn a_group_lists_its_images_by_pool_and_id() {
    let mut o = Object::empty();
    let spec = |pool_id, id: &str| GroupImageSpec {
        image_id: s(id),
        pool_id,
    };
    let status = |spec| GroupImageStatus {
        spec,
        state: GroupImageLinkState::ATTACHED,
    };
    for (pool, id) in [(16, "a"), (2, "b"), (2, "a_b"), (2, "c"), (2, "d")] {
        o.call("rbd.group_image_set", status(spec(pool, id))).unwrap();
    }
    assert!(o.key("image_0000000000000010_a").is_some());
    let list = |o: &mut Object, after: GroupImageSpec, max: u64| -> Vec<GroupImageStatus> {
        o.get("rbd.group_image_list", (after, max)).unwrap()
    };
    assert_eq!(list(&mut o, spec(-1, ""), 10).len(), 5);
    let some = list(&mut o, spec(2, "b"), 2);
    assert_eq!(some, [status(spec(2, "c")), status(spec(2, "d"))]);
    assert_eq!(list(&mut o, spec(2, "d"), 2), [status(spec(16, "a"))]);
    o.call("rbd.group_image_remove", spec(2, "b")).unwrap();
    assert_eq!(list(&mut o, spec(-1, ""), 1), [status(spec(2, "a_b"))]);
}

#[test]
fn groups_have_a_directory() {
    let mut o = Object::absent();
    o.call("rbd.group_dir_add", (s("g"), s("1"))).unwrap();
    assert_eq!(o.call("rbd.group_dir_add", (s("g"), s("2"))), Err(Errno::EEXIST));
    o.call("rbd.group_dir_rename", ((s("g"), s("h")), s("1")))
        .unwrap();
    let names: BTreeMap<Bytes, Bytes> = o.get("rbd.group_dir_list", (s(""), 9_u64)).unwrap();
    assert_eq!(names, BTreeMap::from([(s("h"), s("1"))]));
    assert_eq!(
        o.call("rbd.group_dir_remove", (s("h"), s("2"))),
        Err(Errno::ENOENT)
    );
    o.call("rbd.group_dir_remove", (s("h"), s("1"))).unwrap();
}

fn snap(id: &str, name: &str, state: GroupSnapshotState) -> GroupSnapshot {
    GroupSnapshot {
        id: s(id),
        name: s(name),
        state,
        snaps: Vec::new(),
    }
}

#[test]
fn a_group_s_snapshot_is_new_when_incomplete_and_keeps_its_place() {
    let mut o = Object::empty();
    let set = |o: &mut Object, id, name, state| o.call("rbd.group_snap_set", snap(id, name, state));
    let (new, complete) = (GroupSnapshotState::INCOMPLETE, GroupSnapshotState::COMPLETE);
    set(&mut o, "z", "first", new).unwrap();
    set(&mut o, "a", "second", new).unwrap();
    set(&mut o, "z", "first", complete).unwrap();
    assert_eq!(set(&mut o, "z", "first", new), Err(Errno::EEXIST));
    assert_eq!(set(&mut o, "b", "first", new), Err(Errno::EEXIST));
    assert_eq!(set(&mut o, "", "x", new), Err(Errno::EINVAL));
    assert_eq!(set(&mut o, "x", "", new), Err(Errno::EINVAL));

    let order: BTreeMap<Bytes, u64> = o.get("rbd.group_snap_list_order", (s(""), 9_u64)).unwrap();
    assert_eq!(order, BTreeMap::from([(s("z"), 1), (s("a"), 2)]));
    let all: Vec<GroupSnapshot> = o.get("rbd.group_snap_list", (snap("", "", new), 9_u64)).unwrap();
    assert_eq!(all, [snap("a", "second", new), snap("z", "first", complete)]);
    assert_eq!(
        o.get("rbd.group_snap_get_by_id", s("z")),
        Ok(snap("z", "first", complete))
    );

    o.call("rbd.group_snap_remove", s("z")).unwrap();
    assert_eq!(o.call("rbd.group_snap_get_by_id", s("z")), Err(Errno::ENOENT));
    assert!(o.key("snap_order_z").is_none());
}
