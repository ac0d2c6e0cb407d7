//! What becomes of requests whose pool is deleted while they wait.

use std::{thread, time::Duration};

use bytes::Bytes;
use encoding::{
    Errno,
    types::{OpCode, OsdOp},
};
use rbdgate::objects::{id::ObjectId, keys};

use super::rig::Rig;

#[test]
fn a_write_that_waits_while_its_pool_is_deleted_stores_nothing() {
    let rig = Rig::new();
    let pool = rig.cluster().osdmap().pool_by_name("rbd").unwrap();
    let image = ObjectId::new(pool, Bytes::new(), Bytes::from("image"));
    let space = rig.namespace("");
    let write = || {
        let data = Bytes::from(vec![7; 10_000]);
        let write = OsdOp::on_range(OpCode::WRITEFULL, 0, data.len() as u64, data);
        space.write("rbd_header.image", vec![write], 0)
    };
    let (osd, objects) = (rig.osd(), rig.osd().objects());
    thread::scope(|scope| {
        // Nobody reaches the object until this is done.
        let waiting = osd.take_image(&image, || {
            let waiting = scope.spawn(write);
            // It is let in meanwhile, and queues.
            thread::sleep(Duration::from_millis(300));
            rig.cluster().delete_pool(pool).unwrap();
            objects.delete_pool(pool).unwrap();
            waiting
        });
        let answer = waiting.unwrap().join().unwrap();
        assert_eq!(answer.map(drop), Err(Errno::ENOENT));
    });
    for table in *b"OVUSI" {
        let left = objects.store().rows(keys::pool_range(table, pool));
        assert_eq!(left.map(Result::unwrap).collect::<Vec<_>>(), []);
    }
}
