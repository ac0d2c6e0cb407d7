use bytes::Bytes;
use encoding::{
    Errno, Features,
    cls::lock::{
        AssertOp, BreakOp, FLAG_MAY_RENEW, FLAG_MUST_RENEW, GetInfoOp, ListLocksReply, LockInfo, LockOp,
        LockType, LockerId, SetCookieOp, UnlockOp,
    },
    types::{AddrType, EntityName, Utime},
};

use crate::memory::{Nothing, Object, s};

const fn seconds(sec: u32) -> Utime {
    Utime { sec, nsec: 0 }
}

fn op(lock_type: LockType, cookie: &str) -> LockOp {
    LockOp {
        name: s("l"),
        lock_type,
        cookie: s(cookie),
        tag: s("tag"),
        description: s("text"),
        duration: Utime::default(),
        flags: 0,
    }
}

fn exclusive(cookie: &str) -> LockOp {
    op(LockType::EXCLUSIVE, cookie)
}

fn take(object: &mut Object, client: i64, op: LockOp) -> Result<Bytes, Errno> {
    object.as_client(client).call("lock.lock", op)
}

fn unlock(object: &mut Object, client: i64, cookie: &str) -> Result<Bytes, Errno> {
    let op = UnlockOp {
        name: s("l"),
        cookie: s(cookie),
    };
    object.as_client(client).call("lock.unlock", op)
}

fn info(object: &mut Object) -> LockInfo {
    object.get("lock.get_info", GetInfoOp { name: s("l") }).unwrap()
}

fn assert_op(cookie: &str) -> AssertOp {
    AssertOp {
        name: s("l"),
        lock_type: LockType::EXCLUSIVE,
        cookie: s(cookie),
        tag: s("tag"),
    }
}

#[test]
fn an_exclusive_lock_has_one_holder() {
    let mut o = Object::absent();
    take(&mut o, 1, exclusive("c")).unwrap();
    assert!(o.exists, "locking creates the object");
    assert_eq!(take(&mut o, 2, exclusive("c")), Err(Errno::EBUSY));
    assert_eq!(take(&mut o, 1, exclusive("other")), Err(Errno::EBUSY));
    assert_eq!(take(&mut o, 1, exclusive("c")), Err(Errno::EEXIST));
    assert_eq!(unlock(&mut o, 2, "c"), Err(Errno::ENOENT));
    unlock(&mut o, 1, "c").unwrap();
    take(&mut o, 2, exclusive("c")).unwrap();
}

#[test]
fn a_shared_lock_has_many_holders_of_one_tag_and_type() {
    let mut o = Object::empty();
    let shared = |cookie| op(LockType::SHARED, cookie);
    take(&mut o, 1, shared("c")).unwrap();
    take(&mut o, 2, shared("c")).unwrap();
    take(&mut o, 2, shared("d")).unwrap();
    let other_tag = LockOp {
        tag: s("other"),
        ..shared("c")
    };
    assert_eq!(take(&mut o, 3, other_tag), Err(Errno::EBUSY));
    assert_eq!(take(&mut o, 3, exclusive("c")), Err(Errno::EBUSY));
    let lock = info(&mut o);
    assert_eq!(
        (lock.lockers.len(), lock.lock_type, lock.tag),
        (3, LockType::SHARED, s("tag"))
    );
}

#[test]
fn flags_say_whether_a_lock_may_or_must_be_ones_own_already() {
    let mut o = Object::empty();
    let flags = |flags| LockOp {
        flags,
        ..exclusive("c")
    };
    assert_eq!(take(&mut o, 1, flags(FLAG_MUST_RENEW)), Err(Errno::ENOENT));
    take(&mut o, 1, flags(FLAG_MAY_RENEW)).unwrap();
    take(&mut o, 1, flags(FLAG_MAY_RENEW)).unwrap();
    take(&mut o, 1, flags(FLAG_MUST_RENEW)).unwrap();
    assert_eq!(
        take(&mut o, 1, flags(FLAG_MAY_RENEW | FLAG_MUST_RENEW)),
        Err(Errno::EINVAL)
    );
}

#[test]
fn a_lock_needs_a_name_and_a_known_type() {
    let mut o = Object::empty();
    let unnamed = LockOp {
        name: Bytes::new(),
        ..exclusive("c")
    };
    assert_eq!(take(&mut o, 1, unnamed), Err(Errno::EINVAL));
    for t in [0, 4] {
        assert_eq!(take(&mut o, 1, op(LockType(t), "c")), Err(Errno::EINVAL));
    }
}

#[test]
fn a_hold_ends_when_its_time_is_over() {
    let mut o = Object::empty();
    let timed = LockOp {
        duration: seconds(10),
        ..exclusive("c")
    };
    take(&mut o, 1, timed).unwrap();
    o.now = seconds(1009);
    assert_eq!(take(&mut o, 2, exclusive("c")), Err(Errno::EBUSY));
    o.now = seconds(1011);
    assert!(info(&mut o).lockers.is_empty());
    take(&mut o, 2, exclusive("c")).unwrap();
}

#[test]
fn an_ephemeral_lock_takes_its_object_with_it() {
    let mut o = Object::absent();
    let ephemeral = op(LockType::EXCLUSIVE_EPHEMERAL, "c");
    take(&mut o, 1, ephemeral.clone()).unwrap();
    unlock(&mut o, 1, "c").unwrap();
    assert!(!o.exists);

    let timed = LockOp {
        duration: seconds(1),
        ..ephemeral
    };
    take(&mut o, 1, timed.clone()).unwrap();
    o.now = seconds(2000);
    take(&mut o, 2, timed).unwrap();
    assert_eq!(info(&mut o).lockers.len(), 1);
}

#[test]
fn anybody_can_break_a_lock_by_naming_its_holder() {
    let mut o = Object::empty();
    take(&mut o, 1, exclusive("c")).unwrap();
    let break_of = |num| BreakOp {
        name: s("l"),
        locker: EntityName::client(num),
        cookie: s("c"),
    };
    o.as_client(2);
    assert_eq!(o.call("lock.break_lock", break_of(2)), Err(Errno::ENOENT));
    o.call("lock.break_lock", break_of(1)).unwrap();
    assert!(info(&mut o).lockers.is_empty());
}

#[test]
fn the_holder_is_listed_with_a_legacy_address_encoded_for_the_client() {
    let mut o = Object::empty();
    take(&mut o, 7, exclusive("c")).unwrap();
    let lock = info(&mut o);
    let id = LockerId {
        locker: EntityName::client(7),
        cookie: s("c"),
    };
    let locker = &lock.lockers[&id];
    assert_eq!((locker.addr.kind, locker.addr.nonce), (AddrType::LEGACY, 7));
    assert_eq!(locker.description, s("text"));

    let new = o.call("lock.get_info", GetInfoOp { name: s("l") }).unwrap();
    o.features = Features::NONE;
    let old = o.call("lock.get_info", GetInfoOp { name: s("l") }).unwrap();
    assert!(old.len() > new.len(), "a sockaddr_storage is in it");
}

#[test]
fn a_lock_that_never_was_has_no_holders_on_an_object_that_exists() {
    assert_eq!(info(&mut Object::empty()), LockInfo::default());
    let absent = Object::absent().call("lock.get_info", GetInfoOp { name: s("l") });
    assert_eq!(absent, Err(Errno::ENOENT));
}

#[test]
fn locks_are_listed_by_name() {
    let mut o = Object::empty();
    take(&mut o, 1, exclusive("c")).unwrap();
    o.xattrs.insert(s("other"), s("x"));
    let reply: ListLocksReply = o.get("lock.list_locks", Nothing).unwrap();
    assert_eq!(reply.locks, [s("l")]);
}

#[test]
fn only_the_holder_can_assert_its_lock() {
    let mut o = Object::empty();
    take(&mut o, 1, exclusive("c")).unwrap();
    o.call("lock.assert_locked", assert_op("c")).unwrap();
    assert_eq!(o.call("lock.assert_locked", assert_op("d")), Err(Errno::EBUSY));
    let other_tag = AssertOp {
        tag: s("x"),
        ..assert_op("c")
    };
    assert_eq!(o.call("lock.assert_locked", other_tag), Err(Errno::EBUSY));
    assert_eq!(
        o.as_client(2).call("lock.assert_locked", assert_op("c")),
        Err(Errno::EBUSY)
    );
    assert_eq!(
        Object::empty().call("lock.assert_locked", assert_op("c")),
        Err(Errno::EBUSY)
    );
}

#[test]
fn the_holder_can_change_its_cookie() {
    let mut o = Object::empty();
    take(&mut o, 1, exclusive("c")).unwrap();
    let change = |from, to| SetCookieOp {
        name: s("l"),
        lock_type: LockType::EXCLUSIVE,
        cookie: s(from),
        tag: s("tag"),
        new_cookie: s(to),
    };
    assert_eq!(o.call("lock.set_cookie", change("c", "c")), Err(Errno::EBUSY));
    o.call("lock.set_cookie", change("c", "d")).unwrap();
    assert_eq!(o.call("lock.set_cookie", change("c", "e")), Err(Errno::EBUSY));
    unlock(&mut o, 1, "d").unwrap();
}
