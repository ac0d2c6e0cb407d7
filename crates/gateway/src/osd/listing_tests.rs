//! Listings of a pool with images, page by page, while objects come and go.

use std::{collections::BTreeSet, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{
    Put,
    types::{OpArgs, OpCode, OsdOp},
};
use store::{Options, Store};

use super::alone;
use crate::objects::{Objects, id::ObjectId, list::HashRange};

const POOL: i64 = 1;
const GROUPS: u32 = 5;

fn objects() -> (tempfile::TempDir, Arc<Objects>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path())).unwrap();
    let objects = Arc::new(Objects::open(store).unwrap());
    let mut input = BytesMut::new();
    input.put_u64_le(1 << 40);
    input.put_u8(22);
    input.put_u64_le(1);
    input.put_blob(b"rbd_data.img");
    input.put_i64_le(-1);
    let mut create = [OsdOp::call("rbd", "create", &input)];
    alone::run(&objects, &ObjectId::new(POOL, "", "rbd_header.img"), &mut create).unwrap();
    (dir, objects)
}

fn op(code: OpCode) -> OsdOp {
    OsdOp::new(code, OpArgs::Raw([0; 28]), Bytes::new())
}

fn name(index: u64) -> String {
    format!("rbd_data.img.{index:016x}")
}

fn make(objects: &Objects, index: u64) {
    let id = ObjectId::new(POOL, "", name(index));
    alone::run(objects, &id, &mut [op(OpCode::CREATE)]).unwrap();
}

/// A page of a group's listing from an object on, and the object behind it.
fn page(objects: &Objects, group: u32, from: Option<&ObjectId>) -> (Vec<ObjectId>, Option<ObjectId>) {
    const LIMIT: usize = 7;
    let range = HashRange::of_pg(group, GROUPS);
    let start = from.map_or(0, |id| id.hash().reverse_bits());
    let mut page = objects
        .list(POOL, range, start, from, LIMIT + 1, |_| true)
        .unwrap();
    let next = if page.len() > LIMIT { page.pop() } else { None };
    (page, next)
}

/// The names that a whole listing has; `between` is called before each page but the first.
fn listing(objects: &Objects, mut between: impl FnMut()) -> Vec<String> {
    let mut names = Vec::new();
    for group in 0..GROUPS {
        let mut from = None;
        loop {
            let (ids, next) = page(objects, group, from.as_ref());
            names.extend(ids.iter().map(|id| String::from_utf8(id.name.to_vec()).unwrap()));
            between();
            match next {
                Some(_) => from = next,
                None => break,
            }
        }
    }
    names
}

#[test]
fn every_object_is_listed_once_and_in_its_group() {
    let (_dir, objects) = objects();
    (0..200).for_each(|index| make(&objects, index * 3));
    let names = listing(&objects, || ());
    let mut expected: BTreeSet<String> = (0..200).map(|index| name(index * 3)).collect();
    expected.insert("rbd_header.img".to_owned());
    assert_eq!(names.len(), expected.len());
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_listing_has_what_was_made_before_it_began() {
    let (_dir, objects) = objects();
    (0..50).for_each(|index| make(&objects, index));
    let (_, next) = page(&objects, 0, None);
    make(&objects, 50);
    assert!(listing(&objects, || ()).contains(&name(50)));
    // The one that began before goes on without seeing an object twice.
    let mut seen = BTreeSet::new();
    let mut from = next;
    while let Some(at) = from {
        let (ids, next) = page(&objects, 0, Some(&at));
        assert!(ids.into_iter().all(|id| seen.insert(id.name)));
        from = next;
    }
}

#[test]
fn objects_that_come_while_it_goes_on_do_not_disturb_it() {
    let (_dir, objects) = objects();
    (0..50).for_each(|index| make(&objects, index));
    let mut next = 1000;
    let names = listing(&objects, || {
        next += 1;
        make(&objects, next);
    });
    for index in 0..50 {
        assert_eq!(names.iter().filter(|n| **n == name(index)).count(), 1, "{index}");
    }
}

#[test]
fn a_removed_object_is_not_listed() {
    let (_dir, objects) = objects();
    (0..50).for_each(|index| make(&objects, index));
    listing(&objects, || ());
    let id = ObjectId::new(POOL, "", name(7));
    alone::run(&objects, &id, &mut [op(OpCode::DELETE)]).unwrap();
    assert!(!listing(&objects, || ()).contains(&name(7)));
}
