//! No input and no stored value makes a method panic.

use bytes::Bytes;
use cls::table;
use proptest::prelude::*;

use crate::memory::{Nothing, Object, s};

/// Keys and xattrs that methods read.
const KEYS: &[&str] = &[
    "features",
    "size",
    "order",
    "flags",
    "op_features",
    "object_prefix",
    "snap_seq",
    "snap_limit",
    "parent",
    "migration",
    "state",
    "stripe_unit",
    "data_pool_id",
    "create_timestamp",
    "rbd_group_ref",
    "mirror_mode",
    "mirror_uuid",
    "snap_max_order",
    "splay_width",
    "pool_id",
    "minimum_set",
    "active_set",
    "next_tag_tid",
    "next_tag_class",
    "snapshot_0000000000000001",
    "snapshot_xyz",
    "snap_children_0000000000000001",
    "name_a",
    "id_a",
    "image_a",
    "image_0000000000000001_a",
    "global_a",
    "status_global_a",
    "remote_status_global_a_b",
    "mirror_peer_a",
    "instance_a",
    "image_map_a",
    "client_a",
    "tag_0000000000000001",
    "snap_order_a",
    "metadata_a",
];

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let small = prop::sample::select(vec![0_u8, 1, 2, 3, 4, 8, b'a', 0xfe, 0xff]);
    prop_oneof![
        prop::collection::vec(small, 0..80),
        prop::collection::vec(any::<u8>(), 0..80),
    ]
}

fn object() -> impl Strategy<Value = Object> {
    let values = prop::collection::btree_map(prop::sample::select(KEYS), some_bytes(), 0..12);
    (any::<bool>(), some_bytes(), values).prop_map(|(exists, data, values)| {
        let mut object = if exists {
            Object::with_data(&data)
        } else {
            Object::absent()
        };
        if exists {
            object.xattrs.insert(s("lock.a"), data.into());
            for (key, value) in values {
                object.omap.insert(s(key), value.into());
            }
        }
        object
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_input_on_any_object_gives_a_reply_or_an_error(object in object(), input in some_bytes()) {
        for method in table() {
            let _ = method.call(&mut object.clone(), input.clone().into());
        }
    }
}

#[test]
fn a_method_without_its_arguments_is_einval_or_does_not_need_them() {
    for method in table() {
        let _ = method.call(&mut Object::empty(), Bytes::new());
    }
    assert!(Object::empty().call("rbd.create", Nothing).is_err());
}
