//! Objects of one pool and namespace.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use encoding::{
    Decode, Errno, Reader,
    messages::MOsdOp,
    types::{
        BlkinTrace, ListSnapsResponse, ListWatchersResponse, NOSNAP, ObjectLocator, OsdFlags, OsdOp, Pg,
        ReqId, SNAPDIR, SnapContext, SnapId, Spg, Utime, WatchItem,
    },
};

use super::{Pending, Rados, ops};

/// Keys that one request for an omap asks for.
const OMAP_PAGE: u64 = 512;

/// Objects of one pool and namespace, as a client sees them.
#[derive(Debug, Clone)]
pub struct IoCtx {
    rados: Arc<Rados>,
    pool: i64,
    nspace: Bytes,
}

impl IoCtx {
    pub(super) const fn new(rados: Arc<Rados>, pool: i64) -> Self {
        Self {
            rados,
            pool,
            nspace: Bytes::new(),
        }
    }

    /// The same pool, in that namespace.
    #[must_use]
    pub fn with_namespace(mut self, nspace: impl Into<Bytes>) -> Self {
        self.nspace = nspace.into();
        self
    }

    /// The client.
    #[must_use]
    pub const fn rados(&self) -> &Arc<Rados> {
        &self.rados
    }

    /// The pool's id.
    #[must_use]
    pub const fn pool(&self) -> i64 {
        self.pool
    }

    /// The namespace.
    #[must_use]
    pub const fn nspace(&self) -> &Bytes {
        &self.nspace
    }

    /// The pool's name; empty once it is deleted.
    #[must_use]
    pub fn pool_name(&self) -> String {
        let map = self.rados.cluster().osdmap();
        map.pool_names.get(&self.pool).cloned().unwrap_or_default()
    }

    /// Sends a vector that changes an object, with the snapshots that exist.
    ///
    /// # Errors
    /// ESHUTDOWN once the client has been stopped.
    pub fn submit_write(
        &self,
        oid: &[u8],
        vector: Vec<OsdOp>,
        snapc: &SnapContext,
    ) -> Result<Pending, Errno> {
        let mut message = self.message(oid, vector, OsdFlags::READ | OsdFlags::WRITE);
        message.snap_seq = snapc.seq;
        message.snaps.clone_from(&snapc.snaps);
        self.rados.submit(message)
    }

    /// Sends a vector that reads an object at a snapshot.
    ///
    /// # Errors
    /// ESHUTDOWN once the client has been stopped.
    pub fn submit_read(&self, oid: &[u8], vector: Vec<OsdOp>, snap: SnapId) -> Result<Pending, Errno> {
        let mut message = self.message(oid, vector, OsdFlags::READ);
        message.snapid = snap;
        self.rados.submit(message)
    }

    /// Changes an object that has no snapshots of its own.
    ///
    /// # Errors
    /// The vector's.
    pub fn write(&self, oid: &[u8], vector: Vec<OsdOp>) -> Result<Vec<OsdOp>, Errno> {
        let pending = self.submit_write(oid, vector, &SnapContext::default())?;
        Ok(pending.wait()?.ops)
    }

    /// Reads the head of an object.
    ///
    /// # Errors
    /// The vector's.
    pub fn read(&self, oid: &[u8], vector: Vec<OsdOp>) -> Result<Vec<OsdOp>, Errno> {
        Ok(self.submit_read(oid, vector, NOSNAP)?.wait()?.ops)
    }

    /// Calls a method that changes an object.
    ///
    /// # Errors
    /// The method's.
    pub fn exec(&self, oid: &[u8], class: &str, method: &str, input: &[u8]) -> Result<(), Errno> {
        self.write(oid, vec![ops::call(class, method, input)]).map(drop)
    }

    /// Calls a method that reads an object.
    ///
    /// # Errors
    /// The method's; EBADMSG if the answer cannot be read.
    pub fn query<T: Decode>(&self, oid: &[u8], class: &str, method: &str, input: &[u8]) -> Result<T, Errno> {
        let answered = self.read(oid, vec![ops::call(class, method, input)])?;
        ops::output(answered.first().ok_or(Errno::EBADMSG)?)
    }

    /// Removes an object; none there is no error. Whether there was one.
    ///
    /// # Errors
    /// Other errors of the removal.
    pub fn remove_if_any(&self, oid: &[u8]) -> Result<bool, Errno> {
        match self.write(oid, vec![ops::remove()]) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All keys and values of an object's omap; empty if there is no such object.
    ///
    /// # Errors
    /// Other errors of reading.
    pub fn omap(&self, oid: &[u8]) -> Result<BTreeMap<Bytes, Bytes>, Errno> {
        let mut all = BTreeMap::new();
        let mut after = Bytes::new();
        loop {
            let answered = match self.read(oid, vec![ops::omap_get(&after, OMAP_PAGE)]) {
                Err(Errno::ENOENT) => return Ok(all),
                r => r?,
            };
            let data = Bytes::from(answered.first().ok_or(Errno::EBADMSG)?.outdata.concat());
            let mut r = Reader::new(&data);
            let page: BTreeMap<Bytes, Bytes> = r.map().map_err(|_| Errno::EBADMSG)?;
            let more = r.bool().map_err(|_| Errno::EBADMSG)?;
            match page.keys().next_back() {
                Some(last) => after = last.clone(),
                None => return Ok(all),
            }
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Who watches an object.
    ///
    /// # Errors
    /// ENOENT if there is no such object.
    pub fn watchers(&self, oid: &[u8]) -> Result<Vec<WatchItem>, Errno> {
        let answered = self.read(oid, vec![ops::list_watchers()])?;
        let list: ListWatchersResponse = ops::output(answered.first().ok_or(Errno::EBADMSG)?)?;
        Ok(list.entries)
    }

    /// The clones of an object.
    ///
    /// # Errors
    /// ENOENT if there is no such object.
    pub fn snaps_of(&self, oid: &[u8]) -> Result<ListSnapsResponse, Errno> {
        let pending = self.submit_read(oid, vec![ops::list_snaps()], SNAPDIR)?;
        ops::output(pending.wait()?.ops.first().ok_or(Errno::EBADMSG)?)
    }

    fn message(&self, oid: &[u8], vector: Vec<OsdOp>, flags: OsdFlags) -> MOsdOp {
        let locator = ObjectLocator {
            nspace: self.nspace.clone(),
            ..ObjectLocator::pool(self.pool)
        };
        let map = self.rados.cluster().osdmap();
        let hash = map
            .pools
            .get(&self.pool)
            .map_or(0, |pool| pool.hash_key(oid, &self.nspace));
        MOsdOp {
            client_inc: 0,
            osdmap_epoch: 0,
            flags,
            retry_attempt: 0,
            reqid: ReqId::default(),
            pg: Spg {
                pg: Pg {
                    pool: self.pool as u64,
                    seed: hash,
                },
                shard: -1,
            },
            hash,
            mtime: Utime::from_system_time(std::time::SystemTime::now()),
            locator,
            oid: Bytes::copy_from_slice(oid),
            snapid: NOSNAP,
            snap_seq: 0,
            snaps: Vec::new(),
            features: 0,
            trace: BlkinTrace::default(),
            ops: vector,
        }
    }
}
