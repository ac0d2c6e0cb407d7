use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{
    Errno,
    cls::rbd::{MigrationHeaderType, MigrationSpec, MigrationState, MirrorImageMode, features},
};

use crate::{
    header::image,
    memory::{Nothing, Object, s},
};

fn spec(header_type: MigrationHeaderType) -> MigrationSpec {
    MigrationSpec {
        header_type,
        pool_id: 1,
        pool_namespace: Bytes::new(),
        image_name: s("n"),
        image_id: s("i"),
        source_spec: Bytes::new(),
        snap_seqs: BTreeMap::from([(1, 2)]),
        overlap: 5,
        flatten: false,
        mirroring: false,
        mirror_image_mode: MirrorImageMode::JOURNAL,
        state: MigrationState::PREPARING,
        state_description: Bytes::new(),
    }
}

#[test]
fn migration_marks_the_image_until_it_is_over() {
    let mut o = image(1, features::LAYERING);
    assert_eq!(o.call("rbd.migration_get", Nothing), Err(Errno::EINVAL));
    o.call("rbd.migration_set", spec(MigrationHeaderType::SRC))
        .unwrap();
    assert_eq!(
        o.value::<u64>("features"),
        features::LAYERING | features::MIGRATING
    );
    assert_eq!(
        o.call("rbd.migration_set", spec(MigrationHeaderType::SRC)),
        Err(Errno::EEXIST)
    );
    o.call("rbd.migration_set_state", (MigrationState::PREPARED, s("ok")))
        .unwrap();
    let stored: MigrationSpec = o.get("rbd.migration_get", Nothing).unwrap();
    assert_eq!(
        (stored.state, stored.state_description),
        (MigrationState::PREPARED, s("ok"))
    );
    o.call("rbd.migration_remove", Nothing).unwrap();
    assert_eq!(o.value::<u64>("features"), features::LAYERING);
}

#[test]
fn an_image_of_the_old_format_can_only_be_the_source() {
    let text = b"<<< Rados Block Device Image >>>\n\0\0\0";
    let mut o = Object::with_data(text);
    assert_eq!(
        o.call("rbd.migration_set", spec(MigrationHeaderType::DST)),
        Err(Errno::EINVAL)
    );
    o.call("rbd.migration_set", spec(MigrationHeaderType::SRC))
        .unwrap();
    assert!(o.data.starts_with(b"<<< Migrating RBD Image      >>>\n\0"));
    assert!(o.call("rbd.migration_get", Nothing).is_ok());
    o.call("rbd.migration_remove", Nothing).unwrap();
    assert_eq!(o.data, text);
    let mut other = Object::with_data(b"something else");
    assert_eq!(
        other.call("rbd.migration_set", spec(MigrationHeaderType::SRC)),
        Err(Errno::ENXIO)
    );
}
