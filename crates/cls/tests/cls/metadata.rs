use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::Errno;

use crate::memory::{Object, s};

#[test]
fn metadata_is_set_read_listed_and_removed() {
    let mut o = Object::empty();
    let pairs: BTreeMap<_, _> = (0..8)
        .map(|i| (s(&format!("k{i}")), s(&format!("v{i}"))))
        .collect();
    o.call("rbd.metadata_set", pairs.clone()).unwrap();
    assert_eq!(o.key("metadata_k1").unwrap(), "v1");
    assert_eq!(o.get("rbd.metadata_get", s("k1")), Ok(s("v1")));
    assert_eq!(o.get("rbd.metadata_list", (s(""), 0_u64)), Ok(pairs));
    let some: BTreeMap<Bytes, Bytes> = o.get("rbd.metadata_list", (s("k5"), 1_u64)).unwrap();
    assert_eq!(some.into_keys().collect::<Vec<_>>(), ["k6"]);
    o.call("rbd.metadata_remove", s("k1")).unwrap();
    assert_eq!(o.call("rbd.metadata_get", s("k1")), Err(Errno::ENOENT));
}
