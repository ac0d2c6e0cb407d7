//! What the OSD keeps of a client's connection: its capabilities, the map it was sent, its watches.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use encoding::{
    Errno,
    maps::OsdMap,
    types::{OpCode, OsdOp},
};
use msgr::Session;
use parking_lot::Mutex;

use super::{cache::Object, request::PendingOp};
use crate::{
    cluster::caps::{ClassCall, OsdAccess, OsdCaps},
    objects::id::ObjectId,
};

/// A client's connection, as the OSD sees it.
#[derive(Debug)]
pub(super) struct OsdSession {
    caps: OsdCaps,
    /// The newest map the client was sent, or said that it has.
    epoch: AtomicU32,
    /// The last map that was asked whether the client is blocklisted, and its answer in the lowest bit.
    blocklisted: AtomicU64,
    watched: Mutex<HashMap<ObjectId, Arc<Object>>>,
}

impl OsdSession {
    /// The state kept with `session`; made at its first use.
    pub(super) fn of(session: &Session) -> Arc<Self> {
        let make = || -> Arc<dyn Any + Send + Sync> {
            Arc::new(Self {
                caps: caps_of(session),
                epoch: AtomicU32::new(0),
                blocklisted: AtomicU64::new(0),
                watched: Mutex::default(),
            })
        };
        let state = Arc::clone(session.extension().get_or_init(make));
        state.downcast().expect("only the OSD has sessions of OSD ports")
    }

    /// Notes that the client has the map of `epoch`. Returns the first epoch it is to be sent, if it has not got
    /// `newest` yet.
    pub(super) fn missing_maps(&self, has: u32, newest: u32) -> Option<u32> {
        let known = self.epoch.fetch_max(has, Relaxed).max(has);
        if known >= newest {
            return None;
        }
        self.epoch.fetch_max(newest, Relaxed);
        Some(known + 1)
    }

    /// Whether the client is blocklisted. A map is asked once: lists may be long.
    pub(super) fn is_blocklisted(&self, session: &Session, map: &OsdMap) -> bool {
        let known = self.blocklisted.load(Relaxed);
        if known >> 1 == u64::from(map.epoch) {
            return known & 1 != 0;
        }
        let listed = session.peer().addrs.0.iter().any(|a| map.is_blocklisted(a));
        self.blocklisted
            .store(u64::from(map.epoch) << 1 | u64::from(listed), Relaxed);
        listed
    }

    /// Notes that the client watches an object.
    pub(super) fn watches(&self, object: &Arc<Object>) {
        self.watched.lock().insert(object.id.clone(), Arc::clone(object));
    }

    /// The objects that the client watched, as it goes.
    pub(super) fn take_watched(&self) -> Vec<Arc<Object>> {
        self.watched.lock().drain().map(|(_, object)| object).collect()
    }

    /// Whether the client may do everything, and so tell the daemon what to do.
    pub(super) fn allows_all(&self) -> bool {
        self.caps.allows_all()
    }

    /// Whether the client may do what it asks for.
    ///
    /// # Errors
    /// EPERM if not.
    pub(super) fn check(&self, op: &PendingOp, map: &OsdMap) -> Result<(), Errno> {
        if self.caps.allows_all() {
            return Ok(());
        }
        let message = &op.message;
        let calls = message
            .ops
            .iter()
            .filter(|o| o.op == OpCode::CALL)
            .filter_map(|o| o.cls_call().ok());
        let calls: Vec<_> = calls
            .map(|c| {
                let flags = cls::lookup(&c.class, &c.method).map(|m| m.flags);
                (
                    c,
                    flags.is_none_or(|f| f.reads()),
                    flags.is_some_and(|f| f.writes()),
                )
            })
            .collect();
        let classes: Vec<_> = calls
            .iter()
            .map(|(c, reads, writes)| ClassCall {
                class: &c.class,
                method: &c.method,
                reads: *reads,
                writes: *writes,
            })
            .collect();
        // What class methods do is judged by the classes' own capabilities.
        let plain = |test: fn(&OsdOp) -> bool| message.ops.iter().filter(|o| o.op != OpCode::CALL).any(test);
        let read = plain(|o| o.op.is_read() || !o.op.is_write());
        let write = plain(|o| o.op.is_write());
        self.judge(&op.session, map, &op.object_id(), read, write, &classes)
    }

    /// Whether the client may read an object.
    ///
    /// # Errors
    /// EPERM if not.
    pub(super) fn check_read(&self, session: &Session, map: &OsdMap, id: &ObjectId) -> Result<(), Errno> {
        if self.caps.allows_all() {
            return Ok(());
        }
        self.judge(session, map, id, true, false, &[])
    }

    fn judge(
        &self,
        session: &Session,
        map: &OsdMap,
        id: &ObjectId,
        read: bool,
        write: bool,
        classes: &[ClassCall<'_>],
    ) -> Result<(), Errno> {
        let no_applications = Default::default();
        let pool = map.pools.get(&id.pool);
        // Who places an object by a key is judged by that, not by the name.
        let placed_by = if id.key.is_empty() { &id.name } else { &id.key };
        let access = OsdAccess {
            pool: map.pool_names.get(&id.pool).map_or("", String::as_str),
            applications: pool.map_or(&no_applications, |p| &p.application_metadata),
            namespace: &String::from_utf8_lossy(&id.nspace),
            object: &String::from_utf8_lossy(placed_by),
            read,
            write,
            classes,
            peer: Some(session.peer().socket.ip()),
        };
        if self.caps.allows(&access) {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }
}

fn caps_of(session: &Session) -> OsdCaps {
    let caps = &session.peer().caps;
    if caps.allow_all {
        return OsdCaps::allow_all();
    }
    let text = caps.text().unwrap_or_default();
    OsdCaps::parse(&text).unwrap_or_else(|error| {
        // A key with caps that cannot be read may do nothing.
        tracing::warn!(entity = %session.peer().entity, %error, "capabilities not understood: nothing is allowed");
        OsdCaps::default()
    })
}
