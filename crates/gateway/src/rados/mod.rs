//! A client of the OSDs within this process: what librados is to Ceph's manager modules.
//!
//! It has a session of its own, with a name, a global id and an address, as every other client. So what it does is
//! subject to the same rules: op vectors are atomic, locks and watches are its own, and it can be blocklisted. Only
//! the messenger is left out. Its calls block: they are for threads that may.

mod ioctx;
pub mod ops;
mod watch;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use encoding::{
    Errno, Features, Message, MessageType, RawMessage,
    maps::osdmap_flags,
    messages::{MOsdOp, MOsdOpReply, MWatchNotify},
    types::{EntityAddr, EntityAddrVec, EntityName, EntityType, OsdFlags},
};
use msgr::{
    Dispatcher, PeerInfo, Session,
    auth::{AuthMethod, ConMode},
    cephx::{AuthCapsInfo, KeyServer},
};
use parking_lot::Mutex;

pub use ioctx::IoCtx;
pub use watch::{Watch, WatchHandler};

use crate::{
    cluster::{Cluster, Entrance, MGR_NAME},
    osd::{Osd, OsdDispatcher},
};

/// How often a waiting call looks whether it still makes sense.
const LOOK: Duration = Duration::from_millis(200);

/// What the session's messages lead to. Shared with the session, which calls it.
#[derive(Default)]
struct Inbox {
    replies: Mutex<HashMap<u64, SyncSender<MOsdOpReply>>>,
    events: watch::Events,
}

impl Inbox {
    /// Called under the OSD's locks: only hands on.
    fn deliver(&self, raw: &RawMessage) {
        match raw.header.kind {
            MessageType::OSD_OPREPLY => {
                let waiting = self.replies.lock().remove(&raw.header.tid);
                match (waiting, MOsdOpReply::decode(raw)) {
                    // Who asked may have given up.
                    (Some(waiting), Ok(reply)) => drop(waiting.try_send(reply)),
                    (_, Err(error)) => tracing::error!(%error, "a reply within this process is malformed"),
                    (None, _) => {}
                }
            }
            MessageType::WATCH_NOTIFY => match MWatchNotify::decode(raw) {
                Ok(event) => self.events.put(event),
                Err(error) => tracing::error!(%error, "an event within this process is malformed"),
            },
            _ => {}
        }
    }
}

/// A connected client. Dropping the last handle ends its session.
pub struct Rados {
    cluster: Arc<Cluster>,
    dispatcher: OsdDispatcher,
    session: Arc<Session>,
    inbox: Arc<Inbox>,
    next_tid: AtomicU64,
    next_cookie: AtomicU64,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Rados {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rados")
            .field("addrs", self.addrs())
            .finish_non_exhaustive()
    }
}

impl Rados {
    /// Makes a client with a new global id and address. Blocks.
    ///
    /// # Errors
    /// EIO if no id can be given out.
    pub fn connect(cluster: &Arc<Cluster>, osd: &Arc<Osd>) -> Result<Arc<Self>, Errno> {
        let global_id = cluster.next_global_id().ok_or(Errno::EIO)?;
        let ip = own_ip(cluster);
        let nonce = rand::random_range(1..u32::MAX);
        let caps = AuthCapsInfo {
            allow_all: true,
            ..AuthCapsInfo::default()
        };
        let peer = PeerInfo {
            name: EntityName {
                kind: EntityType::CLIENT,
                num: global_id as i64,
            },
            entity: format!("mgr.{MGR_NAME}"),
            global_id,
            addrs: EntityAddrVec(vec![EntityAddr::v2(SocketAddr::new(ip, 0), nonce)]),
            socket: SocketAddr::new(ip, 0),
            features: Features::OURS,
            supported: Features::OURS,
            caps,
            method: AuthMethod::NONE,
            mode: ConMode::CRC,
            compression: None,
            key_type: None,
        };
        let inbox = Arc::new(Inbox::default());
        let deliver = Arc::clone(&inbox);
        let session = Session::in_process(peer, Box::new(move |raw| deliver.deliver(&raw)));
        let session = Arc::new(session);
        let dispatcher = OsdDispatcher::new(Arc::clone(osd), 0, Entrance::USUAL);
        dispatcher.on_ready(&session);
        Ok(Arc::new(Self {
            cluster: Arc::clone(cluster),
            dispatcher,
            session,
            inbox,
            next_tid: AtomicU64::new(1),
            next_cookie: AtomicU64::new(1),
            stopped: AtomicBool::new(false),
        }))
    }

    /// The state of the cluster.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Its addresses, as maps name them.
    #[must_use]
    pub fn addrs(&self) -> &EntityAddrVec {
        &self.session.peer().addrs
    }

    /// Its name: the number is its global id.
    #[must_use]
    pub fn name(&self) -> EntityName {
        self.session.peer().name
    }

    /// Whether the current map shuts it out.
    #[must_use]
    pub fn is_blocklisted(&self) -> bool {
        let map = self.cluster.osdmap();
        self.addrs().0.iter().any(|a| map.is_blocklisted(a))
    }

    /// Ends all calls that wait, and those to come, with ESHUTDOWN.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether calls end with ESHUTDOWN from now on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed) || !self.session.is_open()
    }

    /// A pool's objects, in the default namespace.
    ///
    /// # Errors
    /// ENOENT if there is no such pool.
    pub fn open_pool(self: &Arc<Self>, name: &str) -> Result<IoCtx, Errno> {
        let map = self.cluster.osdmap();
        let pool = map.pool_by_name(name).ok_or(Errno::ENOENT)?;
        Ok(IoCtx::new(Arc::clone(self), pool))
    }

    /// A pool's objects by the pool's id, in the default namespace.
    ///
    /// # Errors
    /// ENOENT if there is no such pool.
    pub fn open_pool_id(self: &Arc<Self>, pool: i64) -> Result<IoCtx, Errno> {
        if !self.cluster.osdmap().pools.contains_key(&pool) {
            return Err(Errno::ENOENT);
        }
        Ok(IoCtx::new(Arc::clone(self), pool))
    }

    /// Sends a request; its reply is waited for with [`Pending::wait`].
    fn submit(self: &Arc<Self>, mut message: MOsdOp) -> Result<Pending, Errno> {
        self.wait_until_unpaused(message.flags.contains(OsdFlags::WRITE))?;
        let tid = self.next_tid.fetch_add(1, Relaxed);
        // It always has the newest map: nothing is dropped because of an older one, and no maps are sent.
        message.osdmap_epoch = u32::MAX;
        message.flags |= OsdFlags::ONDISK | OsdFlags::RETURNVEC | OsdFlags::FULL_TRY;
        let (sender, reply) = sync_channel(1);
        self.inbox.replies.lock().insert(tid, sender);
        let raw = message.encode(self.session.peer().features).with_tid(tid);
        self.dispatcher.on_message(&self.session, raw);
        Ok(Pending {
            rados: Arc::clone(self),
            tid,
            reply,
        })
    }

    /// `osd pause` holds this client, too.
    fn wait_until_unpaused(&self, write: bool) -> Result<(), Errno> {
        let flag = if write {
            osdmap_flags::PAUSEWR
        } else {
            osdmap_flags::PAUSERD
        };
        loop {
            if self.is_stopped() {
                return Err(Errno::EBLOCKLISTED);
            }
            if self.cluster.osdmap().flags & flag == 0 {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Rados {
    fn drop(&mut self) {
        self.session.close();
        self.dispatcher.on_closed(&self.session);
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Pending {
    rados: Arc<Rados>,
    tid: u64,
    reply: Receiver<MOsdOpReply>,
}

impl Pending {
    /// Waits for the reply: the ops with their results and output.
    ///
    /// # Errors
    /// What the request as a whole failed with.
    pub fn wait(self) -> Result<MOsdOpReply, Errno> {
        loop {
            match self.reply.recv_timeout(LOOK) {
                Ok(reply) if reply.result < 0 => return Err(Errno(-reply.result)),
                Ok(reply) => return Ok(reply),
                Err(RecvTimeoutError::Timeout) if !self.rados.is_stopped() => {}
                Err(_) => {
                    self.rados.inbox.replies.lock().remove(&self.tid);
                    return Err(Errno::EBLOCKLISTED);
                }
            }
        }
    }
}

/// Where the manager is: its clients are there, too.
fn own_ip(cluster: &Cluster) -> IpAddr {
    let map = cluster.mgrmap();
    let socket = map.active_addrs.0.iter().find_map(|a| a.socket);
    socket.map_or(IpAddr::from([127, 0, 0, 1]), |s| s.ip())
}
