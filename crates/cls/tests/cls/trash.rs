use std::collections::BTreeMap;

use encoding::{
    Errno,
    cls::rbd::{TrashImageSource, TrashImageSpec, TrashImageState},
    types::Utime,
};

use crate::memory::{Object, s};

fn spec(name: &str) -> TrashImageSpec {
    TrashImageSpec {
        source: TrashImageSource::USER,
        name: s(name),
        deletion_time: Utime { sec: 1, nsec: 2 },
        deferment_end_time: Utime { sec: 3, nsec: 4 },
        state: TrashImageState::NORMAL,
    }
}

#[test]
fn an_image_is_in_the_trash_once() {
    let mut o = Object::absent();
    o.call("rbd.trash_add", (s("a1"), spec("image"))).unwrap();
    assert_eq!(
        o.call("rbd.trash_add", (s("a1"), spec("image"))),
        Err(Errno::EEXIST)
    );
    assert_eq!(
        o.call("rbd.trash_add", (s("a/1"), spec("image"))),
        Err(Errno::EINVAL)
    );
    assert_eq!(o.get("rbd.trash_get", s("a1")), Ok(spec("image")));
    let all: BTreeMap<String, TrashImageSpec> = o.get("rbd.trash_list", (s(""), 10_u64)).unwrap();
    assert_eq!(all, BTreeMap::from([("a1".to_owned(), spec("image"))]));
    o.call("rbd.trash_remove", s("a1")).unwrap();
    assert_eq!(o.call("rbd.trash_remove", s("a1")), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.trash_get", s("a1")), Err(Errno::ENOENT));
}

#[test]
fn an_image_s_state_in_the_trash_changes_only_from_the_expected_one() {
    let mut o = Object::absent();
    o.call("rbd.trash_add", (s("a1"), spec("image"))).unwrap();
    let set = |o: &mut Object, to, from| o.call("rbd.trash_state_set", ((s("a1"), to), from));
    set(&mut o, TrashImageState::REMOVING, TrashImageState::NORMAL).unwrap();
    set(&mut o, TrashImageState::REMOVING, TrashImageState::NORMAL).unwrap();
    let stale = set(&mut o, TrashImageState::RESTORING, TrashImageState::NORMAL);
    assert_eq!(stale, Err(Errno::ESTALE));
}

#[test]
fn namespaces_are_added_listed_and_removed() {
    let mut o = Object::absent();
    for name in ["a", "b", "c", "d", "e"] {
        o.call("rbd.namespace_add", s(name)).unwrap();
    }
    assert_eq!(o.call("rbd.namespace_add", s("a")), Err(Errno::EEXIST));
    assert_eq!(
        o.get("rbd.namespace_list", (s("a"), 3_u64)),
        Ok(vec![s("b"), s("c"), s("d")])
    );
    o.call("rbd.namespace_remove", s("a")).unwrap();
    assert_eq!(o.call("rbd.namespace_remove", s("a")), Err(Errno::ENOENT));
}
