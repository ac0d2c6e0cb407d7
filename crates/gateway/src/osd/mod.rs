//! The OSD: ops on objects, for clients that take it for one of Ceph's (`src/osd` in Ceph).
//!
//! A request runs where it arrives: under its object's lock, on the connection's own task, from the decoded
//! message to the submitted transaction, without waiting for anything. The reply is sent by the journal once
//! the change is durable. Only a read that would wait for the disk moves to a thread of its own, unless it came alone, and later
//! requests for that object queue behind it.

pub mod alone;
mod bench;
mod cache;
mod commands;
mod commit;
mod context;
mod copy_source;
#[cfg(test)]
mod crash_tests;
mod erasure;
mod execute;
mod full;
pub mod hand_over;
pub mod image_stats;
#[cfg(test)]
mod listing_tests;
mod lone_read;
#[cfg(test)]
mod memory_device;
#[cfg(test)]
pub(crate) mod object_rig;
mod ops;
mod ops_checksum;
mod ops_copy;
mod ops_data;
mod ops_omap;
mod ops_snap;
mod ops_sparse;
mod ops_tmap;
mod ops_watch;
mod ops_xattr;
mod pgls;
mod reading;
mod reply_log;
mod request;
mod scrub;
mod session;
#[cfg(test)]
mod snap_tests;
mod snaps;
mod stats;
mod ticker;
mod watch;

pub use ops::SUPPORTED_OPS;
pub use pgls::SUPPORTED as PG_OPS;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use encoding::{
    Errno, Message, MessageType, RawMessage,
    maps::OsdMap,
    messages::{MCommand, MCommandReply, MOsdMap, MOsdOp},
    types::{NOSNAP, Pg},
};
use msgr::{Dispatcher, Session, budget::Charge};
use parking_lot::Mutex;
use store::{Store, StoreError};

use self::{
    cache::{Cache, Object},
    erasure::PoolKind,
    ops::Modes,
    request::PendingOp,
    session::OsdSession,
    watch::{Notify, Watchers},
};
use crate::{
    cluster::{Cluster, Entrance},
    objects::{Objects, fetched::Fetched, id::ObjectId, keys, usage::GroupOf},
    op_tracker::OpTracker,
};

/// Objects kept in memory.
const CACHE_OBJECTS: usize = 200_000;
/// `osd_max_write_size`, in bytes.
const MAX_WRITE: usize = 90 << 20;
/// `osd_max_object_name_len`.
const MAX_NAME: usize = 2048;
/// `osd_max_object_namespace_len`.
const MAX_NAMESPACE: usize = 256;

/// All OSDs of this process: they share objects, so it does not matter which of them a client asks.
pub struct Osd {
    cluster: Arc<Cluster>,
    objects: Arc<Objects>,
    cache: Cache,
    /// Objects that have watches.
    watched: Mutex<HashMap<ObjectId, Arc<Object>>>,
    snaps: snaps::Snaps,
    scrubs: scrub::Scrubs,
    /// What placement groups hold, as counted last.
    groups: stats::GroupCounts,
    notifies: Mutex<Vec<Arc<Notify>>>,
    /// Held while an object is copied onto another.
    copying: Mutex<()>,
    next_notify: AtomicU64,
    /// The clients whose replies are recorded.
    clients: Mutex<HashMap<i64, Presence>>,
    load: Mutex<stats::Load>,
    /// The ops of each OSD.
    ops: Mutex<BTreeMap<i32, Arc<OpTracker>>>,
    image_stats: image_stats::ImageStats,
    /// How reads go that wait for the disk.
    reads: lone_read::Pace,
    /// For work that must not be done where it turns up: on a connection's task, or on the journal's thread.
    runtime: tokio::runtime::Handle,
}

/// Whether a client is there.
#[derive(Debug, Clone, Copy)]
struct Presence {
    connections: usize,
    /// When that last changed.
    since: Instant,
}

impl std::fmt::Debug for Osd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Osd").finish_non_exhaustive()
    }
}

impl Osd {
    /// Opens what is stored: objects, their watches, and recorded replies.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn open(store: Store, cluster: Arc<Cluster>) -> Result<Arc<Self>, StoreError> {
        let objects = Arc::new(Objects::open(store)?);
        let now = Instant::now();
        let gone = Presence {
            connections: 0,
            since: now,
        };
        let clients = reply_log::clients(objects.store())?
            .into_iter()
            .map(|c| (c, gone))
            .collect();
        let map = cluster.osdmap();
        let scrubs = scrub::Scrubs::open(&objects, |pool| map.pools.contains_key(&pool))?;
        // Notify ids must not repeat over restarts: clients may still hold old ones.
        let epoch = u64::from(map.epoch);
        let durable = objects.store().clone();
        let cache = Cache::new(CACHE_OBJECTS, move |seq| durable.is_durable(seq));
        let osd = Self {
            cluster,
            objects,
            cache,
            watched: Mutex::default(),
            snaps: snaps::Snaps::default(),
            scrubs,
            groups: stats::GroupCounts::default(),
            notifies: Mutex::default(),
            copying: Mutex::default(),
            next_notify: AtomicU64::new(epoch << 32 | u64::from(rand::random::<u32>())),
            clients: Mutex::new(clients),
            load: Mutex::default(),
            ops: Mutex::default(),
            image_stats: image_stats::ImageStats::default(),
            reads: lone_read::Pace::default(),
            runtime: tokio::runtime::Handle::current(),
        };
        osd.restore_watches()?;
        Ok(Arc::new(osd))
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// What clients do to each image, while somebody wants to know.
    #[must_use]
    pub const fn image_stats(&self) -> &image_stats::ImageStats {
        &self.image_stats
    }

    /// Brings back the watches that were recorded before a restart.
    fn restore_watches(&self) -> Result<(), StoreError> {
        let (from, to) = keys::whole_table(b'W');
        for (key, row) in self.objects.store().scan(&from..&to, usize::MAX)? {
            let (Some((_, cookie)), Some(id)) = (watch::parse_row_key(&key), Watchers::recorded_object(&row))
            else {
                return Err(StoreError::Corrupt("watch".into()));
            };
            let object = self.cache.get(&id);
            object.inner.lock().watchers.restore(cookie, &row);
            self.watched.lock().insert(id, object);
        }
        Ok(())
    }

    /// Sends the client the maps it lacks. `has`: the epoch it said it has.
    fn share_map(
        &self,
        session: &Arc<Session>,
        state: &OsdSession,
        entrance: &Entrance,
        has: u32,
        newest: u32,
    ) {
        let Some(start) = state.missing_maps(has, newest) else {
            return;
        };
        let features = session.peer().features;
        let mut next = start;
        while next <= newest {
            let maps = self.cluster.maps_since(next, features, entrance);
            let Some(last) = maps.last() else { return };
            let message = MOsdMap {
                fsid: self.cluster.fsid(),
                maps: maps.full,
                incremental_maps: maps.incremental,
                cluster_osdmap_trim_lower_bound: maps.oldest,
                newest_map: maps.newest,
                ..MOsdMap::default()
            };
            session.send(message.encode(features));
            next = last + 1;
        }
    }

    /// The ops of an OSD.
    fn tracker(&self, id: i32) -> Arc<OpTracker> {
        Arc::clone(self.ops.lock().entry(id).or_default())
    }

    fn handle_op(
        self: &Arc<Self>,
        session: &Arc<Session>,
        entrance: &Entrance,
        tracker: &Arc<OpTracker>,
        raw: RawMessage,
    ) {
        self.next_of_batch();
        let message = match MOsdOp::decode(&raw) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(peer = %session.peer().name, %error, "malformed MOSDOp: closing the connection");
                session.close();
                return;
            }
        };
        let map = self.cluster.osdmap();
        let state = OsdSession::of(session);
        self.share_map(session, &state, entrance, message.osdmap_epoch, map.epoch);
        let (peer, tid) = (session.peer(), raw.header.tid);
        let (front_len, data_len) = (raw.front.len(), raw.data_len());
        let addr = peer.addrs.0.first().copied().unwrap_or_default();
        let mut op = Box::new(PendingOp {
            tracked: tracker.begin(peer.name, addr, tid, raw.into()),
            session: Charge::new(
                session,
                front_len + data_len + request::output_bound(&message.ops),
            ),
            tid,
            message,
            modes: Modes::default(),
            pool: PoolKind::default(),
            group: GroupOf::default(),
            copied: Vec::new(),
            fetched: Fetched::default(),
            arrived: self.image_stats.now(),
            commit: None,
        });
        match self.admit(&mut op, &state, &map, data_len) {
            Ok(Admitted::Object) => self.dispatch(op, &map),
            Ok(Admitted::Group(group)) => {
                let result = pgls::run(&self.objects, &mut op, group);
                op.carried_out(0);
                session.send(op.group_reply(result, map.epoch, self.objects.last_version()));
            }
            // The client finds out by the map it was sent; as Ceph does, it gets no answer to this request.
            Ok(Admitted::Dropped) => {}
            Err(error) => session.send(op.error_reply(error, map.epoch)),
        }
    }

    /// Checks a request before it touches an object (`PrimaryLogPG::do_op`).
    fn admit(
        &self,
        op: &mut PendingOp,
        state: &OsdSession,
        map: &OsdMap,
        data: usize,
    ) -> Result<Admitted, Errno> {
        let m = &op.message;
        let Some(pool) = map.pools.get(&(m.pg.pg.pool as i64)) else {
            return no_such_pool(m, map).map(|()| Admitted::Dropped);
        };
        op.modes = Modes::of(&m.ops, m.flags)?;
        state.check(op, map)?;
        op.pool = PoolKind::of(pool);
        let m = &op.message;
        if pool.cache_mode != 0 {
            let name = map.pool_names.get(&(m.pg.pg.pool as i64));
            tracing::info!(
                pool = name,
                "refused: the pool is a cache tier, which serves no objects here"
            );
            return Err(Errno::EOPNOTSUPP);
        }
        let pg = pool.raw_seed_to_pg(m.hash);
        op.group = GroupOf {
            seed: pg,
            of: pool.pg_num,
        };
        if m.ops.iter().any(|o| o.op.is_pg()) {
            return Ok(Admitted::Group(pgls::Group {
                pg,
                pg_num: pool.pg_num,
            }));
        }
        if m.oid.len() > MAX_NAME || m.locator.key.len() > MAX_NAME || m.locator.nspace.len() > MAX_NAMESPACE
        {
            return Err(Errno::ENAMETOOLONG);
        }
        if m.oid.is_empty() || m.ops.is_empty() {
            return Err(Errno::EINVAL);
        }
        if state.is_blocklisted(&op.session, map) {
            return Err(Errno::EBLOCKLISTED);
        }
        if op.modes.write {
            if m.snapid != NOSNAP {
                return Err(Errno::EINVAL);
            }
            if data > MAX_WRITE {
                return Err(Errno(90)); // EMSGSIZE, Ceph's OSD_WRITETOOBIG
            }
        }
        Self::check_snapdir(op)?;
        debug_assert_eq!(
            m.raw_pg(),
            Pg {
                pool: m.pg.pg.pool,
                seed: m.hash
            }
        );
        Ok(Admitted::Object)
    }

    fn presence(&self, session: &Session, change: impl FnOnce(usize) -> usize) {
        let now = Instant::now();
        let mut clients = self.clients.lock();
        let client = clients.entry(session.peer().name.num).or_insert(Presence {
            connections: 0,
            since: now,
        });
        *client = Presence {
            connections: change(client.connections),
            since: now,
        };
    }

    fn next_notify_id(&self) -> u64 {
        self.next_notify.fetch_add(1, Relaxed)
    }

    fn handle_command(&self, session: &Arc<Session>, id: i32, raw: &RawMessage) {
        let Ok(command) = MCommand::decode(raw) else {
            session.close();
            return;
        };
        let (tid, name, session) = (raw.header.tid, format!("osd.{id}"), Arc::clone(session));
        let (cluster, objects) = (Arc::clone(&self.cluster), Arc::clone(&self.objects));
        self.runtime.spawn_blocking(move || {
            let reply = if OsdSession::of(&session).allows_all() {
                commands::run(
                    &cluster,
                    objects.store(),
                    &name,
                    &command.cmd,
                    session.peer().features,
                )
            } else {
                MCommandReply {
                    result: -Errno::EACCES.0,
                    status: "access denied".to_owned(),
                    ..MCommandReply::default()
                }
            };
            session.send(reply.encode(session.peer().features).with_tid(tid));
        });
    }
}

/// A client that cannot know yet that the pool is gone gets no answer: it finds out by the map it is sent.
///
/// # Errors
/// ENOENT for one that does know.
fn no_such_pool(request: &MOsdOp, map: &OsdMap) -> Result<(), Errno> {
    match request.osdmap_epoch < map.epoch {
        true => Ok(()),
        false => Err(Errno::ENOENT),
    }
}

/// What a request that passed all checks is about.
enum Admitted {
    Object,
    Group(pgls::Group),
    Dropped,
}

/// One of the OSDs as the messenger calls it, for clients that came in by an entrance.
#[derive(Debug)]
pub struct OsdDispatcher {
    osd: Arc<Osd>,
    id: i32,
    tracker: Arc<OpTracker>,
    entrance: Entrance,
}

impl OsdDispatcher {
    /// For the ports of the OSD `id` at that entrance.
    #[must_use]
    pub fn new(osd: Arc<Osd>, id: i32, entrance: Entrance) -> Self {
        Self {
            tracker: osd.tracker(id),
            osd,
            id,
            entrance,
        }
    }
}

impl Dispatcher for OsdDispatcher {
    fn on_ready(&self, session: &Arc<Session>) {
        self.osd.presence(session, |n| n + 1);
    }

    fn on_message(&self, session: &Arc<Session>, message: RawMessage) {
        match message.header.kind {
            MessageType::OSD_OP => self
                .osd
                .handle_op(session, &self.entrance, &self.tracker, message),
            MessageType::COMMAND => self.osd.handle_command(session, self.id, &message),
            MessageType::PING | MessageType::OSD_BACKOFF => {}
            kind => tracing::debug!(peer = %session.peer().name, ?kind, "message ignored"),
        }
    }

    fn on_batch(&self, hand_on: &mut dyn FnMut()) {
        self.osd.batch(|| self.osd.objects.store().gather(hand_on));
    }

    fn on_closed(&self, session: &Arc<Session>) {
        self.osd.presence(session, |n| n.saturating_sub(1));
        for object in OsdSession::of(session).take_watched() {
            object.inner.lock().watchers.disconnected(session);
        }
    }
}
