use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{Errno, cls::rbd::DirectoryState};

use crate::memory::{Object, s};

fn add(o: &mut Object, name: &str, id: &str) -> Result<Bytes, Errno> {
    o.call("rbd.dir_add_image", (s(name), s(id)))
}

#[test]
fn names_and_ids_are_found_both_ways() {
    let mut o = Object::absent();
    add(&mut o, "image", "a1").unwrap();
    assert_eq!(o.get("rbd.dir_get_id", s("image")), Ok(s("a1")));
    assert_eq!(o.get("rbd.dir_get_name", s("a1")), Ok(s("image")));
    assert_eq!(o.value::<Bytes>("name_image"), "a1");
    assert_eq!(o.value::<Bytes>("id_a1"), "image");
    assert_eq!(o.call("rbd.dir_get_id", s("x")), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.dir_get_name", s("x")), Err(Errno::ENOENT));
}

#[test]
fn names_and_ids_are_unique() {
    let mut o = Object::absent();
    add(&mut o, "image", "a1").unwrap();
    assert_eq!(add(&mut o, "image", "a2"), Err(Errno::EEXIST));
    assert_eq!(add(&mut o, "other", "a1"), Err(Errno::EBADF));
    assert_eq!(add(&mut o, "other", "not valid"), Err(Errno::EINVAL));
    assert_eq!(add(&mut o, "", "a3"), Err(Errno::EINVAL));
}

#[test]
fn an_image_is_renamed_under_its_id() {
    let mut o = Object::absent();
    add(&mut o, "old", "a1").unwrap();
    add(&mut o, "taken", "a2").unwrap();
    let rename = |o: &mut Object, from, to, id| o.call("rbd.dir_rename_image", ((s(from), s(to)), s(id)));
    assert_eq!(rename(&mut o, "old", "taken", "a1"), Err(Errno::EEXIST));
    assert_eq!(rename(&mut o, "old", "old", "a1"), Err(Errno::EEXIST));
    assert_eq!(rename(&mut o, "old", "new", "a2"), Err(Errno::ESTALE));
    assert_eq!(rename(&mut o, "none", "new", "a1"), Err(Errno::ENOENT));
    rename(&mut o, "old", "new", "a1").unwrap();
    assert_eq!(o.get("rbd.dir_get_name", s("a1")), Ok(s("new")));
    assert_eq!(o.call("rbd.dir_get_id", s("old")), Err(Errno::ENOENT));
}

#[test]
fn an_image_is_removed_by_name_and_id_together() {
    let mut o = Object::absent();
    add(&mut o, "image", "a1").unwrap();
    add(&mut o, "other", "a2").unwrap();
    let remove = |o: &mut Object, name, id| o.call("rbd.dir_remove_image", (s(name), s(id)));
    assert_eq!(remove(&mut o, "image", "a2"), Err(Errno::ESTALE));
    assert_eq!(remove(&mut o, "image", "a3"), Err(Errno::ENOENT));
    remove(&mut o, "image", "a1").unwrap();
    assert_eq!(o.omap.len(), 2);
}

#[test]
fn listing_goes_on_behind_a_name() {
    let mut o = Object::absent();
    for i in 0..10 {
        add(&mut o, &format!("i{i}"), &format!("{i}")).unwrap();
    }
    let list = |o: &mut Object, after, max: u64| -> Vec<String> {
        let names: BTreeMap<String, String> = o.get("rbd.dir_list", (s(after), max)).unwrap();
        names.into_keys().collect()
    };
    assert_eq!(list(&mut o, "", 100).len(), 10);
    assert_eq!(list(&mut o, "i3", 4), ["i4", "i5", "i6", "i7"]);
    assert!(list(&mut o, "i9", 4).is_empty());
    assert!(list(&mut o, "", 0).is_empty());
}

#[test]
fn a_directory_with_images_cannot_be_closed() {
    let mut o = Object::absent();
    assert_eq!(
        o.call("rbd.dir_state_set", DirectoryState::ADD_DISABLED),
        Err(Errno::ENOENT)
    );
    o.call("rbd.dir_state_set", DirectoryState::READY).unwrap();
    add(&mut o, "image", "a1").unwrap();
    assert_eq!(
        o.call("rbd.dir_state_set", DirectoryState::ADD_DISABLED),
        Err(Errno::EBUSY)
    );
    o.call("rbd.dir_remove_image", (s("image"), s("a1"))).unwrap();
    o.call("rbd.dir_state_set", DirectoryState::ADD_DISABLED).unwrap();
    assert_eq!(
        o.call("rbd.dir_state_assert", DirectoryState::READY),
        Err(Errno::ENOENT)
    );
    o.call("rbd.dir_state_assert", DirectoryState::ADD_DISABLED)
        .unwrap();
    assert_eq!(o.call("rbd.dir_state_set", DirectoryState(9)), Err(Errno::EINVAL));
}
