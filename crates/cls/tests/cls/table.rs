use bytes::Bytes;
use cls::{call, lookup, table};
use encoding::Errno;

use crate::memory::Object;

#[test]
fn an_unknown_class_or_method_is_not_supported() {
    let mut object = Object::empty();
    for (class, method) in [("no_such", "create"), ("rbd", "no_such"), ("", "")] {
        assert!(lookup(class, method).is_none());
        assert_eq!(
            call(class, method, &mut object, Bytes::new()),
            Err(Errno::EOPNOTSUPP)
        );
    }
}

#[test]
fn no_method_is_listed_twice_and_each_is_found() {
    for method in table() {
        let found = lookup(method.class, method.name).unwrap();
        assert!(std::ptr::eq(found, method), "{}.{}", method.class, method.name);
    }
}

#[test]
fn flags_are_those_of_ceph() {
    let flags = |class, name| lookup(class, name).unwrap().flags.to_string();
    assert_eq!(flags("lock", "lock"), "RD|WR|PROMOTE");
    assert_eq!(flags("lock", "assert_locked"), "RD|PROMOTE");
    assert_eq!(flags("rbd", "get_size"), "RD");
    assert_eq!(flags("rbd", "mirror_image_map_update"), "WR");
    assert!(!lookup("lock", "get_info").unwrap().flags.writes());
}

/// Every class method that librbd calls, from nautilus to tentacle, in a whole image life cycle.
#[test]
fn all_methods_that_clients_were_seen_to_call_are_there() {
    for line in include_str!("../../testdata/used_methods.txt").lines() {
        let (class, name) = line.split_once('.').unwrap();
        assert!(lookup(class, name).is_some(), "{line}");
    }
}
