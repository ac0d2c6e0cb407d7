use bytes::Bytes;
use encoding::{
    Errno,
    cls::journal::{Client, ClientState, ObjectPosition, ObjectSetPosition, TAG_CLASS_NEW, Tag},
};

use crate::memory::{Nothing, Object, s};

fn journal() -> Object {
    let mut o = Object::absent();
    o.call("journal.create", ((24_u8, 4_u8), 7_i64)).unwrap();
    o
}

fn at(tag_tid: u64, entry_tid: u64) -> ObjectSetPosition {
    ObjectSetPosition {
        object_positions: vec![ObjectPosition {
            object_number: 1,
            tag_tid,
            entry_tid,
        }],
    }
}

fn register(o: &mut Object, id: &str) -> Result<Bytes, Errno> {
    o.call("journal.client_register", (s(id), s("data")))
}

fn commit(o: &mut Object, id: &str, position: ObjectSetPosition) -> Result<Bytes, Errno> {
    o.call("journal.client_commit", (s(id), position))
}

fn tag(o: &mut Object, tid: u64, class: u64) -> Result<Bytes, Errno> {
    o.call("journal.tag_create", ((tid, class), s("tag")))
}

fn tags(o: &mut Object, client: &str) -> Vec<u64> {
    let args = ((0_u64, 100_u64), (s(client), None::<u64>));
    let tags: Vec<Tag> = o.get("journal.tag_list", args).unwrap();
    tags.iter().map(|t| t.tid).collect()
}

#[test]
fn a_journal_is_made_once_with_its_parameters() {
    let mut o = journal();
    assert_eq!(
        o.call("journal.create", ((24_u8, 4_u8), 7_i64)),
        Err(Errno::EEXIST)
    );
    assert_eq!(o.get("journal.get_order", Nothing), Ok(24_u8));
    assert_eq!(o.get("journal.get_splay_width", Nothing), Ok(4_u8));
    assert_eq!(o.get("journal.get_pool_id", Nothing), Ok(7_i64));
    assert_eq!(
        Object::empty().call("journal.get_order", Nothing),
        Err(Errno::ENOENT)
    );
}

#[test]
fn object_sets_move_forward_and_never_cross() {
    let mut o = journal();
    let minimum = |o: &mut Object, n: u64| o.call("journal.set_minimum_set", n).map(|_| ());
    let active = |o: &mut Object, n: u64| o.call("journal.set_active_set", n).map(|_| ());
    assert_eq!(minimum(&mut o, 1), Err(Errno::EINVAL));
    assert_eq!(active(&mut o, 5), Ok(()));
    assert_eq!(active(&mut o, 5), Ok(()));
    assert_eq!(active(&mut o, 4), Err(Errno::ESTALE));
    assert_eq!(minimum(&mut o, 3), Ok(()));
    assert_eq!(minimum(&mut o, 2), Err(Errno::ESTALE));
    assert_eq!(active(&mut o, 2), Err(Errno::EINVAL));
    assert_eq!(o.get("journal.get_minimum_set", Nothing), Ok(3_u64));
    assert_eq!(o.get("journal.get_active_set", Nothing), Ok(5_u64));
}

#[test]
fn clients_register_and_commit() {
    let mut o = journal();
    register(&mut o, "a").unwrap();
    assert_eq!(register(&mut o, "a"), Err(Errno::EEXIST));
    commit(&mut o, "a", at(3, 4)).unwrap();
    register(&mut o, "b").unwrap();
    let b: Client = o.get("journal.get_client", s("b")).unwrap();
    assert_eq!(
        b.commit_position,
        at(3, 4),
        "a new client starts where the slowest is"
    );
    let too_many = ObjectSetPosition {
        object_positions: vec![ObjectPosition::default(); 5],
    };
    assert_eq!(commit(&mut o, "a", too_many), Err(Errno::EINVAL));
    o.call("journal.client_update_data", (s("a"), s("new"))).unwrap();
    o.call("journal.client_update_state", (s("a"), ClientState::DISCONNECTED))
        .unwrap();
    let all: Vec<Client> = o.get("journal.client_list", (s(""), 10_u64)).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(
        (&all[0].data[..], all[0].state),
        (&b"new"[..], ClientState::DISCONNECTED)
    );
    assert_eq!(commit(&mut o, "c", at(1, 1)), Err(Errno::ENOENT));
    assert_eq!(register(&mut Object::empty(), "a"), Err(Errno::ENOENT));
}

#[test]
fn tags_are_numbered_in_order() {
    let mut o = journal();
    register(&mut o, "a").unwrap();
    assert_eq!(tag(&mut o, 1, TAG_CLASS_NEW), Err(Errno::ESTALE));
    assert_eq!(tag(&mut o, 0, 0), Err(Errno::EINVAL));
    tag(&mut o, 0, TAG_CLASS_NEW).unwrap();
    assert_eq!(tag(&mut o, 0, 0), Err(Errno::EEXIST));
    tag(&mut o, 1, 0).unwrap();
    assert_eq!(o.get("journal.get_next_tag_tid", Nothing), Ok(2_u64));
    assert_eq!(o.get::<Tag>("journal.get_tag", 1_u64).unwrap().tag_class, 0);
    assert_eq!(tags(&mut o, "a"), [0, 1]);
}

#[test]
fn tags_that_all_clients_are_past_expire() {
    let mut o = journal();
    register(&mut o, "a").unwrap();
    tag(&mut o, 0, TAG_CLASS_NEW).unwrap();
    tag(&mut o, 1, 0).unwrap();
    tag(&mut o, 2, TAG_CLASS_NEW).unwrap();
    tag(&mut o, 3, 0).unwrap();
    commit(&mut o, "a", at(3, 0)).unwrap();
    assert_eq!(tags(&mut o, "a"), [2, 3], "the newest of each class are needed");
    tag(&mut o, 4, 0).unwrap();
    assert!(o.key("tag_0000000000000001").is_none());
    assert!(o.key("tag_0000000000000002").is_some());
}

#[test]
fn a_client_that_leaves_takes_the_tags_with_it_that_only_it_needed() {
    let mut o = journal();
    for id in ["a", "b"] {
        register(&mut o, id).unwrap();
    }
    tag(&mut o, 0, TAG_CLASS_NEW).unwrap();
    tag(&mut o, 1, 0).unwrap();
    commit(&mut o, "a", at(0, 1)).unwrap();
    commit(&mut o, "b", at(1, 1)).unwrap();
    o.call("journal.client_unregister", s("a")).unwrap();
    assert!(o.key("tag_0000000000000000").is_none());
    assert_eq!(o.call("journal.client_unregister", s("a")), Err(Errno::ENOENT));
}

#[test]
fn appends_stop_at_the_soft_limit_and_are_padded() {
    let mut o = Object::absent();
    o.call("journal.guard_append", 10_u64).unwrap();
    assert!(!o.exists);
    o.call("journal.append", (10_u64, s("entry"))).unwrap();
    assert_eq!(o.data, b"entry\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(
        o.call("journal.append", (10_u64, s("entry"))),
        Err(Errno::EOVERFLOW)
    );
    assert_eq!(o.call("journal.guard_append", 16_u64), Err(Errno::EOVERFLOW));
    o.call("journal.guard_append", 17_u64).unwrap();
}
