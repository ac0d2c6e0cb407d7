//! Class types against bytes that ceph-dencoder wrote for its test instances (`testdata/cls_dencoder.txt`).

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;

use bytes::Bytes;
use rbdgate_encoding::{
    Decode, Encode, Features,
    cls::{
        journal::{Client, ObjectPosition, ObjectSetPosition, Tag},
        lock::{
            AssertOp, BreakOp, GetInfoOp, ListLocksReply, LockInfo, LockOp, LockerId, LockerInfo,
            SetCookieOp, UnlockOp,
        },
        rbd::{
            ChildImageSpec, GroupImageSpec, GroupImageStatus, GroupSnapshot, GroupSpec, ImageSnapshotSpec,
            MigrationSpec, MirrorImage, MirrorImageMap, MirrorImageStatus, MirrorPeer, Parent,
            ParentImageSpec, Snapshot, SnapshotInfo, SnapshotNamespace, TrashImageSpec,
        },
    },
};

struct Golden {
    release: &'static str,
    name: &'static str,
    features: Features,
    bytes: Bytes,
}

fn goldens() -> Vec<Golden> {
    let lines = include_str!("../testdata/cls_dencoder.txt").lines();
    lines
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let [release, name, features, hex] = fields[..] else {
                panic!("{line}");
            };
            Golden {
                release,
                name,
                features: if features == "all" {
                    Features::ALL
                } else {
                    Features::NONE
                },
                bytes: (0..hex.len())
                    .step_by(2)
                    .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
                    .collect(),
            }
        })
        .collect()
}

/// Nautilus wrote these in an older version than we do.
const OLDER_IN_NAUTILUS: &[&str] = &[
    "cls::rbd::MigrationSpec",
    "cls::rbd::MirrorImage",
    "cls::rbd::MirrorImageStatus",
    "cls::rbd::MirrorPeer",
];

fn check<T: Decode + Encode + PartialEq + Debug>(g: &Golden) {
    let what = format!("{} of {}", g.name, g.release);
    let value = T::from_bytes(&g.bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    let again = value.to_bytes(g.features);
    if g.release == "nautilus" && OLDER_IN_NAUTILUS.contains(&g.name) {
        assert_eq!(T::from_bytes(&again).unwrap(), value, "{what}");
    } else {
        assert_eq!(again, g.bytes, "{what}: {value:?}");
    }
    for len in 0..g.bytes.len() {
        assert!(
            T::from_bytes(&g.bytes.slice(..len)).is_err(),
            "{what} cut at {len}"
        );
    }
}

fn check_any(g: &Golden) {
    match g.name {
        "cls::journal::Client" => check::<Client>(g),
        "cls::journal::ObjectPosition" => check::<ObjectPosition>(g),
        "cls::journal::ObjectSetPosition" => check::<ObjectSetPosition>(g),
        "cls::journal::Tag" => check::<Tag>(g),
        "cls::rbd::ChildImageSpec" => check::<ChildImageSpec>(g),
        "cls::rbd::GroupImageSpec" => check::<GroupImageSpec>(g),
        "cls::rbd::GroupImageStatus" => check::<GroupImageStatus>(g),
        "cls::rbd::GroupSnapshot" => check::<GroupSnapshot>(g),
        "cls::rbd::GroupSpec" => check::<GroupSpec>(g),
        "cls::rbd::ImageSnapshotSpec" => check::<ImageSnapshotSpec>(g),
        "cls::rbd::MigrationSpec" => check::<MigrationSpec>(g),
        "cls::rbd::MirrorImage" => check::<MirrorImage>(g),
        "cls::rbd::MirrorImageMap" => check::<MirrorImageMap>(g),
        "cls::rbd::MirrorImageStatus" => check::<MirrorImageStatus>(g),
        "cls::rbd::MirrorPeer" => check::<MirrorPeer>(g),
        "cls::rbd::ParentImageSpec" => check::<ParentImageSpec>(g),
        "cls::rbd::SnapshotInfo" => check::<SnapshotInfo>(g),
        "cls::rbd::SnapshotNamespace" => check::<SnapshotNamespace>(g),
        "cls::rbd::TrashImageSpec" => check::<TrashImageSpec>(g),
        "cls_lock_assert_op" => check::<AssertOp>(g),
        "cls_lock_break_op" => check::<BreakOp>(g),
        "cls_lock_get_info_op" => check::<GetInfoOp>(g),
        "cls_lock_get_info_reply" | "rados::cls::lock::lock_info_t" => check::<LockInfo>(g),
        "cls_lock_list_locks_reply" => check::<ListLocksReply>(g),
        "cls_lock_lock_op" => check::<LockOp>(g),
        "cls_lock_set_cookie_op" => check::<SetCookieOp>(g),
        "cls_lock_unlock_op" => check::<UnlockOp>(g),
        "cls_rbd_parent" => check::<Parent>(g),
        "cls_rbd_snap" => check::<Snapshot>(g),
        "rados::cls::lock::locker_id_t" => check::<LockerId>(g),
        "rados::cls::lock::locker_info_t" => check::<LockerInfo>(g),
        name => panic!("no type for {name}"),
    }
}

#[test]
fn ceph_s_instances_decode_and_encode_to_the_same_bytes_and_every_truncation_fails() {
    let goldens = goldens();
    assert!(goldens.len() > 100);
    goldens.iter().for_each(check_any);
}
