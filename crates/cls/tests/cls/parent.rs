use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{NOSNAP, Parent, ParentImageSpec, features},
};

use crate::{
    header::{DEFAULT, image},
    memory::{Nothing, Object, s},
    snapshot::add,
};

fn spec(namespace: &str) -> ParentImageSpec {
    ParentImageSpec {
        pool_id: 3,
        pool_namespace: s(namespace),
        image_id: s("parent"),
        snap_id: 9,
    }
}

fn clone_of(features: u64) -> Object {
    let mut o = image(100, features);
    o.call("rbd.parent_attach", (spec(""), 80_u64)).unwrap();
    o
}

fn overlap(o: &mut Object, snap: u64) -> Option<u64> {
    o.get("rbd.parent_overlap_get", snap).unwrap()
}

#[test]
fn an_image_without_parent_says_so() {
    let mut o = image(1, DEFAULT);
    assert_eq!(o.get("rbd.parent_get", Nothing), Ok(ParentImageSpec::default()));
    assert_eq!(overlap(&mut o, NOSNAP), None);
    assert_eq!(o.call("rbd.parent_detach", Nothing), Err(Errno::ENOENT));
    let mut flat = image(1, 0);
    assert_eq!(
        flat.get("rbd.parent_get", Nothing),
        Ok(ParentImageSpec::default())
    );
    assert_eq!(
        flat.call("rbd.parent_attach", (spec(""), 1_u64)),
        Err(Errno::ENOEXEC)
    );
    assert_eq!(flat.call("rbd.parent_detach", Nothing), Err(Errno::ENOEXEC));
}

#[test]
fn the_overlap_is_at_most_the_image_s_size_and_shrinks_with_it() {
    let mut o = image(100, DEFAULT);
    o.call("rbd.parent_attach", (spec("ns"), 500_u64)).unwrap();
    assert_eq!(o.get("rbd.parent_get", Nothing), Ok(spec("ns")));
    assert_eq!(overlap(&mut o, NOSNAP), Some(100));
    o.call("rbd.set_size", 60_u64).unwrap();
    o.call("rbd.set_size", 200_u64).unwrap();
    assert_eq!(overlap(&mut o, NOSNAP), Some(60));
}

#[test]
fn a_parent_must_be_named_overlap_and_be_the_only_one() {
    let mut o = clone_of(DEFAULT);
    assert_eq!(
        o.call("rbd.parent_attach", (spec("other"), 80_u64)),
        Err(Errno::EEXIST)
    );
    o.call("rbd.parent_attach", ((spec("other"), 80_u64), true))
        .unwrap();
    let mut o = image(100, DEFAULT);
    assert_eq!(o.call("rbd.parent_attach", (spec(""), 0_u64)), Err(Errno::EINVAL));
    let unnamed = ParentImageSpec::default();
    assert_eq!(o.call("rbd.parent_attach", (unnamed, 8_u64)), Err(Errno::EINVAL));
}

#[test]
fn snapshots_keep_their_overlap() {
    let mut o = clone_of(DEFAULT);
    add(&mut o, 1, "a").unwrap();
    o.call("rbd.set_size", 10_u64).unwrap();
    assert_eq!(
        (overlap(&mut o, 1), overlap(&mut o, NOSNAP)),
        (Some(80), Some(10))
    );
}

#[test]
fn deep_flatten_detaches_snapshots_too() {
    let mut o = clone_of(DEFAULT);
    add(&mut o, 1, "a").unwrap();
    o.call("rbd.parent_detach", Nothing).unwrap();
    assert!(o.key("parent").is_none());
    assert_eq!(overlap(&mut o, 1), None);
}

#[test]
fn without_deep_flatten_the_link_stays_until_the_last_snapshot_goes() {
    let mut o = clone_of(features::LAYERING);
    add(&mut o, 1, "a").unwrap();
    o.call("rbd.parent_detach", Nothing).unwrap();
    assert_eq!(o.value::<Parent>("parent").head_overlap, None);
    assert_eq!(o.get("rbd.parent_get", Nothing), Ok(spec("")));
    assert_eq!((overlap(&mut o, 1), overlap(&mut o, NOSNAP)), (Some(80), None));
    o.call("rbd.snapshot_remove", 1_u64).unwrap();
    assert!(o.key("parent").is_none());
}

#[test]
fn the_methods_before_nautilus_still_work() {
    let mut o = image(100, DEFAULT);
    o.call("rbd.set_parent", ((3_i64, s("parent")), (9_u64, 80_u64)))
        .unwrap();
    add(&mut o, 1, "a").unwrap();
    let get = |o: &mut Object, snap: u64| o.get("rbd.get_parent", snap);
    let expected = ((3_i64, s("parent")), (9_u64, 80_u64));
    assert_eq!(get(&mut o, NOSNAP), Ok(expected.clone()));
    assert_eq!(get(&mut o, 1), Ok(expected));
    o.call("rbd.remove_parent", Nothing).unwrap();
    assert_eq!(get(&mut o, NOSNAP), Ok(((-1_i64, Bytes::new()), (NOSNAP, 0_u64))));
}

#[test]
fn a_parent_in_a_namespace_is_hidden_from_methods_that_cannot_name_it() {
    let mut o = image(100, DEFAULT);
    o.call("rbd.parent_attach", (spec("ns"), 80_u64)).unwrap();
    assert_eq!(o.call("rbd.get_parent", NOSNAP), Err(Errno::EXDEV));
    assert_eq!(o.call("rbd.remove_parent", Nothing), Err(Errno::EXDEV));
}
