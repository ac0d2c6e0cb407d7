//! Deleting everything of a pool that is gone from the map. That takes many transactions; it may stop after any of them,
//! and be done again from the start.

use std::ops::ControlFlow;

use bytes::Bytes;
use store::{StoreError, Transaction};

use super::{
    Objects,
    images::ImageVolume,
    keys,
    onode::{Onode, Placement},
};

/// So many objects are deleted in one transaction.
const TOGETHER: usize = 512;

impl Objects {
    /// Deletes everything of a pool that no longer is in the map. What is deleted is durably so on return.
    ///
    /// # Errors
    /// If the store fails; what was deleted by then stays deleted.
    pub fn delete_pool(&self, pool: i64) -> Result<(), StoreError> {
        let mut volumes = Vec::new();
        self.each_volume(Some(pool), |id, image, volume| {
            volumes.push((id, image, volume));
            Ok(ControlFlow::Continue(()))
        })?;
        for (id, image, volume) in volumes {
            self.delete_extras(volume)?;
            let seq = self.delete_volume(&id, &image, volume)?;
            self.store().wait(seq)?;
        }
        // Who created an image is known no longer than its header is there.
        self.store().commit(without_rows(pool, b"U"))?;
        self.delete_objects(keys::pool_range(b'O', pool))?;
        let slots = self.slots.volume(self.store(), pool)?;
        let mut tx = without_rows(pool, b"SIG");
        tx.delete_volume(slots);
        self.store().commit(tx)?;
        self.slots.forget(pool);
        self.images.forget_pool(pool);
        self.usage().forget(pool);
        Ok(())
    }

    /// Deletes attributes and clones of the data objects in a volume.
    fn delete_extras(&self, volume: ImageVolume) -> Result<(), StoreError> {
        self.delete_objects(keys::onode_range(b'E', volume.volume.0))
    }

    /// Deletes the objects whose onodes have these keys, but for their slots.
    fn delete_objects(&self, (from, to): (Bytes, Bytes)) -> Result<(), StoreError> {
        loop {
            let rows = self.store().scan(&from..&to, TOGETHER)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut tx = Transaction::new();
            for (key, value) in rows {
                tx.delete(key);
                let Some(state) = Onode::decode(&value, Placement::Slots) else {
                    continue;
                };
                self.stage_clones_of_deleted(&state, &mut tx)?;
                if let Some(onode) = state.onode {
                    self.stage_rows_removed(onode, &mut tx);
                }
            }
            self.store().commit(tx)?;
        }
    }
}

/// Deletes the rows of a pool in these tables.
fn without_rows(pool: i64, tables: &[u8]) -> Transaction {
    let mut tx = Transaction::new();
    for table in tables {
        let (from, to) = keys::pool_range(*table, pool);
        tx.delete_range(from, to);
    }
    tx
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop where something is wrong")]

    use std::{path::Path, sync::Arc};

    use disk_sim::{CrashPoints, SimDisk};
    use encoding::types::OpCode;
    use store::{Options, Store};

    use super::*;
    use crate::{
        cluster::{Cluster, PoolLayout, PoolRequest, tests::endpoints},
        fsck,
        objects::{id::ObjectId, mutation::WriterSnaps},
        osd::object_rig::{apply, content, extent, omap, xattr},
    };

    const NAMES: [&str; 4] = [
        "rbd_data.img.0000000000000000",
        "rbd_data.img.0000000000000003",
        "large",
        "small",
    ];

    fn open(disk: &SimDisk) -> (Objects, Arc<Cluster>) {
        let options = Options {
            journal_bytes: 2 << 20,
            reserve_bytes: 0,
            meta_cache_bytes: 1 << 20,
            disk: Arc::new(disk.clone()),
            stepped: true,
            ..Options::new(Path::new("/data/store"))
        };
        let store = Store::open(options).unwrap();
        let cluster = Cluster::open(Arc::new(store.clone()), &endpoints(1)).unwrap();
        (Objects::open(store).unwrap(), cluster)
    }

    /// Objects of all kinds, with attributes and clones.
    fn fill(objects: &Objects, pool: i64) {
        let run = |name: &str, op, snap: u64| {
            let id = ObjectId::new(pool, "", name.to_owned());
            let state = objects.load(&id).unwrap();
            let fresh = (state.seq + 1..=snap).rev().collect();
            apply(objects, &id, &state, op, WriterSnaps { seq: snap, fresh }).unwrap();
        };
        run("rbd_header.img", omap(b"order", &[20]), 0);
        let mut tx = Transaction::new();
        tx.put(keys::creator(pool, b"", b"img"), "client.alice");
        objects.store().commit(tx).unwrap();
        for name in NAMES {
            let len = if name == "small" { 1000 } else { 100_000 };
            run(name, extent(OpCode::WRITE, 0, len, vec![7; len as usize]), 0);
            run(name, xattr(b"1"), 0);
            run(name, extent(OpCode::WRITE, 100, 100, vec![8; 100]), 3);
        }
    }

    fn objects_of(objects: &Objects, pool: i64) -> usize {
        let there = |name: &&&str| {
            objects
                .load(&ObjectId::new(pool, "", (**name).to_owned()))
                .unwrap()
                .exists
        };
        NAMES.iter().filter(there).count()
    }

    #[test]
    fn a_deletion_that_is_interrupted_anywhere_goes_on_after_a_restart_and_disturbs_nothing() {
        let disk = SimDisk::new(5);
        let (objects, cluster) = open(&disk);
        let request = PoolRequest {
            name: "doomed".to_owned(),
            pg_num: 8,
            layout: PoolLayout::copies(1),
        };
        let doomed = cluster.create_pool(&request).unwrap();
        let kept = cluster.osdmap().pool_by_name("rbd").unwrap();
        fill(&objects, doomed);
        fill(&objects, kept);
        cluster.delete_pool(doomed).unwrap();
        disk.crash_at(CrashPoints {
            at_syncs: 6,
            others: 2,
        });
        objects.delete_pool(doomed).unwrap();
        cluster.pool_is_gone(doomed).unwrap();
        let images = disk.take_images();
        assert!(images.len() > 10, "{}", images.len());
        for image in images {
            let disk = SimDisk::of(&image, 6);
            let (objects, cluster) = open(&disk);
            let (problems, _) = fsck::check_objects(objects.store()).unwrap();
            assert_eq!(problems, [], "{image:?}");
            let deleted = cluster.deleted_pools().unwrap();
            assert!(
                deleted.contains(&doomed) || objects_of(&objects, doomed) == 0,
                "{image:?}"
            );
            for pool in deleted {
                objects.delete_pool(pool).unwrap();
                cluster.pool_is_gone(pool).unwrap();
            }
            assert_eq!(objects_of(&objects, doomed), 0, "{image:?}");
            for table in *b"OVSIUG" {
                let (from, to) = keys::pool_range(table, doomed);
                assert_eq!(objects.store().scan(&from..&to, 1).unwrap(), [], "{image:?}");
            }
            assert_eq!(objects_of(&objects, kept), NAMES.len(), "{image:?}");
            let id = ObjectId::new(kept, "", "large");
            let data = content(&objects, &id, &objects.load(&id).unwrap()).data;
            assert!(
                data.len() == 100_000 && data[99] == 7 && data[100] == 8,
                "{image:?}"
            );
            let (problems, _) = fsck::check_objects(objects.store()).unwrap();
            assert_eq!(problems, [], "{image:?}");
            assert!(cluster.deleted_pools().unwrap().is_empty());
        }
    }
}
