use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{NOSNAP, features},
    types::Utime,
};

use crate::memory::{Nothing, Object, s};

/// What new images have by default.
pub(crate) const DEFAULT: u64 = features::LAYERING
    | features::EXCLUSIVE_LOCK
    | features::OBJECT_MAP
    | features::FAST_DIFF
    | features::DEEP_FLATTEN;

/// Arguments of `create` without a data pool.
pub(crate) fn create_args(size: u64, features: u64) -> impl encoding::Encode {
    ((size, 22_u8), (features, s("rbd_data.1")))
}

/// The header of a new image.
pub(crate) fn image(size: u64, features: u64) -> Object {
    let mut o = Object::absent();
    o.call("rbd.create", create_args(size, features)).unwrap();
    o
}

#[test]
fn a_new_image_has_ceph_s_keys() {
    let o = image(1 << 30, DEFAULT);
    let keys: Vec<_> = o.omap.keys().map(|k| std::str::from_utf8(k).unwrap()).collect();
    assert_eq!(
        keys,
        [
            "access_timestamp",
            "create_timestamp",
            "features",
            "modify_timestamp",
            "object_prefix",
            "order",
            "size",
            "snap_seq"
        ]
    );
    assert_eq!(o.value::<u64>("size"), 1 << 30);
    assert_eq!(o.value::<u64>("features"), DEFAULT);
    assert_eq!(o.value::<Bytes>("object_prefix"), "rbd_data.1");
    assert_eq!(o.key("order").unwrap()[..], [22]);
}

#[test]
fn an_image_is_not_made_twice_or_with_unknown_features() {
    let mut o = image(1, 0);
    assert_eq!(o.call("rbd.create", create_args(1, 0)), Err(Errno::EEXIST));
    let mut o = Object::empty();
    assert_eq!(o.call("rbd.create", create_args(1, 1 << 12)), Err(Errno::ENOSYS));
    assert_eq!(
        o.call("rbd.create", create_args(1, features::OPERATIONS)),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        o.call("rbd.create", ((1_u64, 22_u8), (0_u64, s("")))),
        Err(Errno::EINVAL)
    );
}

#[test]
fn a_data_pool_and_its_feature_belong_together() {
    let with_pool = |f: u64| ((1_u64, 22_u8), ((f, s("p")), 7_i64));
    let mut o = Object::absent();
    assert_eq!(
        o.call("rbd.create", create_args(1, features::DATA_POOL)),
        Err(Errno::EINVAL)
    );
    assert_eq!(o.call("rbd.create", with_pool(0)), Err(Errno::EINVAL));
    o.call("rbd.create", with_pool(features::DATA_POOL)).unwrap();
    assert_eq!(o.get::<i64>("rbd.get_data_pool", Nothing), Ok(7));
    assert_eq!(image(1, 0).get::<i64>("rbd.get_data_pool", Nothing), Ok(-1));
}

#[test]
fn size_and_order_are_read_together_and_change_with_resize() {
    let mut o = image(100, 0);
    o.call("rbd.set_size", 200_u64).unwrap();
    assert_eq!(o.get("rbd.get_size", NOSNAP), Ok((22_u8, 200_u64)));
    assert_eq!(o.call("rbd.get_size", 5_u64), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.get_size", 5_u32), Err(Errno::EINVAL));
}

#[test]
fn features_that_keep_a_client_out_depend_on_whether_it_writes() {
    let mut o = image(1, DEFAULT);
    assert_eq!(o.get("rbd.get_features", NOSNAP), Ok((DEFAULT, DEFAULT)));
    assert_eq!(
        o.get("rbd.get_features", (NOSNAP, true)),
        Ok((DEFAULT, features::LAYERING))
    );
}

#[test]
fn only_some_features_can_be_switched() {
    let mut o = image(1, DEFAULT);
    let set = |o: &mut Object, new: u64, mask: u64| o.call("rbd.set_features", (new, mask));
    set(&mut o, 0, features::FAST_DIFF | features::DEEP_FLATTEN).unwrap();
    assert_eq!(
        o.value::<u64>("features"),
        DEFAULT & !(features::FAST_DIFF | features::DEEP_FLATTEN)
    );
    set(&mut o, features::JOURNALING, features::JOURNALING).unwrap();
    for fixed in [features::LAYERING, features::DEEP_FLATTEN, features::OPERATIONS] {
        assert_eq!(set(&mut o, fixed, fixed), Err(Errno::EINVAL), "{fixed:#x}");
    }
    assert_eq!(set(&mut o, 0, features::LAYERING), Err(Errno::EINVAL));
}

#[test]
fn flags_are_masked() {
    let mut o = image(1, 0);
    o.call("rbd.set_flags", (3_u64, 1_u64)).unwrap();
    o.call("rbd.set_flags", (2_u64, 2_u64)).unwrap();
    assert_eq!(o.get("rbd.get_flags", NOSNAP), Ok(3_u64));
    assert_eq!(o.call("rbd.get_flags", 1_u64), Err(Errno::ENOENT));
}

#[test]
fn operation_features_switch_the_feature_that_says_so() {
    let mut o = image(1, 0);
    o.call("rbd.op_features_set", (features::OP_GROUP, features::OP_GROUP))
        .unwrap();
    assert_eq!(o.value::<u64>("features"), features::OPERATIONS);
    assert_eq!(o.get("rbd.op_features_get", Nothing), Ok(features::OP_GROUP));
    o.call("rbd.op_features_set", (0_u64, features::OP_ALL)).unwrap();
    assert_eq!(o.value::<u64>("features"), 0);
    assert!(o.key("op_features").is_none());
    assert_eq!(
        o.call("rbd.op_features_set", (16_u64, 16_u64)),
        Err(Errno::EINVAL)
    );
}

#[test]
fn stripes_must_divide_objects_and_need_their_feature() {
    let mut o = image(1, features::STRIPINGV2);
    assert_eq!(
        o.get("rbd.get_stripe_unit_count", Nothing),
        Ok((1_u64 << 22, 1_u64))
    );
    o.call("rbd.set_stripe_unit_count", (1_u64 << 16, 4_u64)).unwrap();
    assert_eq!(
        o.get("rbd.get_stripe_unit_count", Nothing),
        Ok((1_u64 << 16, 4_u64))
    );
    for bad in [0_u64, 3, 1 << 23] {
        assert_eq!(
            o.call("rbd.set_stripe_unit_count", (bad, 4_u64)),
            Err(Errno::EINVAL),
            "{bad}"
        );
    }
    assert_eq!(
        image(1, 0).call("rbd.get_stripe_unit_count", Nothing),
        Err(Errno::ENOEXEC)
    );
}

#[test]
fn times_are_set_to_now_and_zero_where_there_are_none() {
    let mut o = image(1, 0);
    o.now.sec += 7;
    o.call("rbd.set_modify_timestamp", Nothing).unwrap();
    let modified: Utime = o.get("rbd.get_modify_timestamp", Nothing).unwrap();
    let created: Utime = o.get("rbd.get_create_timestamp", Nothing).unwrap();
    assert_eq!((modified.sec, created.sec), (1007, 1000));
    assert_eq!(
        Object::empty().get("rbd.get_access_timestamp", Nothing),
        Ok(Utime::default())
    );
    assert_eq!(
        Object::absent().call("rbd.set_access_timestamp", Nothing),
        Err(Errno::ENOENT)
    );
}

#[test]
fn an_id_object_takes_one_id() {
    let mut o = Object::empty();
    assert_eq!(o.call("rbd.get_id", Nothing), Err(Errno::ENOENT));
    assert_eq!(o.call("rbd.set_id", s("a_b")), Err(Errno::EINVAL));
    o.call("rbd.set_id", s("abc1")).unwrap();
    assert_eq!(o.data, b"\x04\0\0\0abc1");
    assert_eq!(o.get("rbd.get_id", Nothing), Ok(s("abc1")));
    assert_eq!(o.call("rbd.set_id", s("abc2")), Err(Errno::EEXIST));
    assert_eq!(Object::absent().call("rbd.set_id", s("a")), Err(Errno::ENOENT));
}
