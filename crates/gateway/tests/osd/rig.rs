//! An OSD in this process on a disk in memory, and a client of it.

use std::{path::Path, sync::Arc};

use super::disk_store::{Options, Store};
use bytes::Bytes;
use disk_sim::SimDisk;
use encoding::{
    Errno,
    types::{EntityAddr, EntityAddrVec, OsdOp, SnapContext, SnapId},
};
use rbdgate::{
    cluster::{Cluster, Endpoints, OsdEndpoint},
    osd::Osd,
    rados::{IoCtx, Rados},
};

/// What the client of the rig's OSD is answered: the ops, or what the request as a whole failed with.
pub(crate) type Answer = Result<Vec<OsdOp>, Errno>;

/// The OSD and its client.
pub(crate) struct Rig {
    pool: IoCtx,
    osd: Arc<Osd>,
    cluster: Arc<Cluster>,
    // The OSD's threads, which end after everything that uses them.
    _runtime: tokio::runtime::Runtime,
}

impl Rig {
    /// With nothing in its pool.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let options = Options {
            // A vector of a few rollbacks fits into it.
            journal_bytes: 24 << 20,
            direct_threshold: 48 << 10,
            reserve_bytes: 0,
            meta_cache_bytes: 4 << 20,
            disk: Arc::new(SimDisk::new(1)),
            ..Options::new(Path::new("/store"))
        };
        let store = Store::open(options).unwrap();
        let cluster = Cluster::open(Arc::new(store.clone()), &endpoints()).unwrap();
        let osd = Osd::open(store, Arc::clone(&cluster)).unwrap();
        let rados = Rados::connect(&cluster, &osd).unwrap();
        Self {
            pool: rados.open_pool("rbd").unwrap(),
            osd,
            cluster,
            _runtime: runtime,
        }
    }

    /// The OSD itself.
    #[must_use]
    pub(crate) const fn osd(&self) -> &Arc<Osd> {
        &self.osd
    }

    /// The cluster that it serves.
    #[must_use]
    pub(crate) const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Objects of a namespace, which an input has for itself.
    #[must_use]
    pub(crate) fn namespace(&self, name: &str) -> Space {
        Space(
            self.pool
                .clone()
                .with_namespace(Bytes::copy_from_slice(name.as_bytes())),
        )
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

/// Objects of one namespace.
pub(crate) struct Space(IoCtx);

impl Space {
    /// Runs a vector that changes an object, of a client that knows of snapshots 1 to `newest`.
    ///
    /// # Errors
    /// The vector's.
    pub(crate) fn write(&self, object: &str, vector: Vec<OsdOp>, newest: SnapId) -> Answer {
        let snaps = SnapContext {
            seq: newest,
            snaps: (1..=newest).rev().collect(),
        };
        Ok(self
            .0
            .submit_write(object.as_bytes(), vector, &snaps)?
            .wait()?
            .ops)
    }

    /// Runs a vector that reads an object at a snapshot, or its head.
    ///
    /// # Errors
    /// The vector's.
    pub(crate) fn read(&self, object: &str, vector: Vec<OsdOp>, snap: SnapId) -> Answer {
        Ok(self.0.submit_read(object.as_bytes(), vector, snap)?.wait()?.ops)
    }
}

fn addrs(port: u16) -> EntityAddrVec {
    EntityAddrVec(vec![EntityAddr::v2(([127, 0, 0, 1], port).into(), 1)])
}

fn endpoints() -> Endpoints {
    Endpoints {
        fsid: None,
        host: "here".to_owned(),
        mon: addrs(3300),
        mgr: addrs(6810),
        services: Default::default(),
        osds: [(0, OsdEndpoint { addrs: addrs(6800) })].into(),
        admin_key: None,
    }
}
