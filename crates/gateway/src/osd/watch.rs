//! Watches and notifies (Ceph `src/osd/Watch.cc`).
//!
//! A watch is recorded with its object, so that it outlives a restart: the client has its timeout to come back.
//! A notify waits until every watch that was there has answered, was removed, or the time is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use encoding::{
    Decode, Encode, Errno, Features, Message, Put, Reader,
    messages::{MWatchNotify, WatchEvent},
    types::{EntityAddr, EntityName, ListWatchersResponse, WatchItem},
};
use msgr::Session;
use parking_lot::Mutex;

use crate::objects::{id::ObjectId, mutation::WatchRow};

/// `osd_client_watch_timeout`, in seconds.
pub(super) const DEFAULT_TIMEOUT: u32 = 30;

/// A change of an object's watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchOp {
    /// A client registers a watch, or comes back to it.
    Connect {
        /// The client.
        client: EntityName,
        /// Its id of the watch.
        cookie: u64,
        /// Seconds without a sign of life; 0 is the default.
        timeout: u32,
        /// Whether the client pings.
        pings: bool,
    },
    /// A client ends its watch.
    Unwatch {
        /// The client's number.
        client: i64,
        /// Its id of the watch.
        cookie: u64,
    },
    /// The object was removed, or the watch timed out: the client is told.
    Removed {
        /// The client's number.
        client: i64,
        /// Its id of the watch.
        cookie: u64,
    },
}

/// One watch.
#[derive(Debug)]
struct Watch {
    client: EntityName,
    addr: EntityAddr,
    timeout: u32,
    pings: bool,
    session: Option<Arc<Session>>,
    /// Milliseconds since the process began: the last sign of life.
    alive: AtomicU64,
    notifies: BTreeMap<u64, Arc<Notify>>,
}

/// Milliseconds on a clock that is never set.
fn monotonic_ms() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// The watches of one object, by client number and cookie.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    watches: BTreeMap<(u64, i64), Watch>,
}

impl Watchers {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.watches.len()
    }

    /// Whether the client has that watch.
    pub(super) fn contains(&self, client: i64, cookie: u64) -> bool {
        self.watches.contains_key(&(cookie, client))
    }

    /// Clients and cookies of all watches.
    pub(super) fn all(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.watches.keys().map(|&(cookie, client)| (client, cookie))
    }

    /// Clients and their addresses, for class methods.
    pub(super) fn clients(&self) -> Vec<(EntityName, EntityAddr)> {
        self.watches.values().map(|w| (w.client, w.addr)).collect()
    }

    /// Notes a ping. False if the client has to reconnect the watch first.
    pub(super) fn ping(&self, client: i64, cookie: u64) -> bool {
        match self.watches.get(&(cookie, client)) {
            Some(watch) if watch.session.is_some() => {
                watch.alive.store(monotonic_ms(), Relaxed);
                true
            }
            _ => false,
        }
    }

    /// All watches.
    pub(super) fn items(&self) -> Vec<WatchItem> {
        let item = |(&(cookie, _), w): (&(u64, i64), &Watch)| WatchItem {
            name: w.client,
            cookie,
            timeout_seconds: w.timeout,
            addr: w.addr,
        };
        self.watches.iter().map(item).collect()
    }

    /// `obj_list_watch_response_t`.
    pub(super) fn list(&self, features: Features) -> Bytes {
        let entries = self.items();
        ListWatchersResponse { entries }.to_bytes(features)
    }

    /// The row that records a watch.
    pub(super) fn row(
        &self,
        id: &ObjectId,
        client: EntityName,
        cookie: u64,
        timeout: u32,
        addr: EntityAddr,
    ) -> WatchRow {
        let mut out = BytesMut::new();
        out.put_u32_le(or_default(timeout));
        client.encode(&mut out, Features::ALL);
        addr.encode(&mut out, Features::ALL);
        id.put_sort_key(&mut out);
        WatchRow {
            client: client.num,
            cookie,
            value: Some(out.freeze()),
        }
    }

    /// Takes over a watch that was recorded before a restart: not connected, its timeout starts now. Returns
    /// the object it is on.
    pub(super) fn recorded_object(row: &Bytes) -> Option<ObjectId> {
        let mut r = Reader::new(row);
        r.u32().ok()?;
        EntityName::decode(&mut r).ok()?;
        EntityAddr::decode(&mut r).ok()?;
        ObjectId::from_sort_key(r.peek())
    }

    /// Adds a recorded watch.
    pub(super) fn restore(&mut self, cookie: u64, row: &Bytes) {
        let mut r = Reader::new(row);
        let (Ok(timeout), Ok(client), Ok(addr)) =
            (r.u32(), EntityName::decode(&mut r), EntityAddr::decode(&mut r))
        else {
            return;
        };
        let watch = Watch {
            client,
            addr,
            timeout,
            pings: true,
            session: None,
            alive: AtomicU64::new(monotonic_ms()),
            notifies: BTreeMap::new(),
        };
        self.watches.insert((cookie, client.num), watch);
    }

    /// Carries out a change that was committed.
    pub(super) fn apply(&mut self, op: WatchOp, session: &Arc<Session>, addr: EntityAddr) {
        match op {
            WatchOp::Connect {
                client,
                cookie,
                timeout,
                pings,
            } => {
                let watch = self.watches.entry((cookie, client.num)).or_insert_with(|| Watch {
                    client,
                    addr,
                    timeout: or_default(timeout),
                    pings,
                    session: None,
                    alive: AtomicU64::new(0),
                    notifies: BTreeMap::new(),
                });
                watch.alive.store(monotonic_ms(), Relaxed);
                let same = watch.session.as_ref().is_some_and(|s| Arc::ptr_eq(s, session));
                if !same {
                    watch.session = Some(Arc::clone(session));
                    watch.pings = pings;
                    for notify in watch.notifies.values() {
                        send(session, cookie, notify);
                    }
                }
            }
            WatchOp::Unwatch { client, cookie } => self.remove(client, cookie, false),
            WatchOp::Removed { client, cookie } => self.remove(client, cookie, true),
        }
    }

    /// Ends a watch: notifies no longer wait for it.
    pub(super) fn remove(&mut self, client: i64, cookie: u64, tell: bool) {
        let Some(watch) = self.watches.remove(&(cookie, client)) else {
            return;
        };
        if tell && let Some(session) = &watch.session {
            let message = message(cookie, 0, 0, WatchEvent::DISCONNECT, Bytes::new(), 0);
            session.send(message.encode(session.peer().features));
        }
        for notify in watch.notifies.values() {
            notify.gone(client, cookie);
        }
    }

    /// A session ended: its watches have their timeout to come back.
    pub(super) fn disconnected(&mut self, session: &Arc<Session>) {
        for watch in self.watches.values_mut() {
            if watch.session.as_ref().is_some_and(|s| Arc::ptr_eq(s, session)) {
                watch.session = None;
                if !watch.pings {
                    watch.alive.store(monotonic_ms(), Relaxed);
                }
            }
        }
    }

    /// Watches whose clients have been silent for too long. A connected client that never pings is not.
    pub(super) fn timed_out(&self) -> Vec<(i64, u64)> {
        let now = monotonic_ms();
        let late = |w: &Watch| {
            (w.session.is_none() || w.pings)
                && now.saturating_sub(w.alive.load(Relaxed)) > u64::from(w.timeout) * 1000
        };
        self.watches
            .iter()
            .filter(|(_, w)| late(w))
            .map(|(&(cookie, client), _)| (client, cookie))
            .collect()
    }

    /// Watches of clients at certain addresses.
    pub(super) fn at(&self, matches: impl Fn(&EntityAddr) -> bool) -> impl Iterator<Item = (i64, u64)> {
        let found = self.watches.iter().filter(move |(_, w)| matches(&w.addr));
        found.map(|(&(cookie, client), _)| (client, cookie))
    }

    /// Starts a notify to all watches.
    pub(super) fn start(&mut self, notify: &Arc<Notify>) {
        let now = monotonic_ms();
        for (&(cookie, client), watch) in &mut self.watches {
            if watch.pings && now.saturating_sub(watch.alive.load(Relaxed)) > u64::from(watch.timeout) * 1000
            {
                watch.session = None;
                continue;
            }
            watch.notifies.insert(notify.id, Arc::clone(notify));
            notify.state.lock().waiting.insert((client as u64, cookie));
            if let Some(session) = &watch.session {
                send(session, cookie, notify);
            }
        }
        notify.complete_if_answered();
    }

    /// A client answers a notify: with one watch, or (an old client) with all it has.
    pub(super) fn acknowledge(&mut self, client: EntityName, ack: &super::ops::NotifyAck) {
        for (&(cookie, number), watch) in &mut self.watches {
            if watch.client != client || ack.cookie.is_some_and(|c| c != cookie) {
                continue;
            }
            if let Some(notify) = watch.notifies.remove(&ack.id) {
                notify.answered(number, cookie, ack.reply.clone());
            }
        }
    }

    /// Forgets a notify that is over.
    pub(super) fn forget(&mut self, notify: u64) {
        for watch in self.watches.values_mut() {
            watch.notifies.remove(&notify);
        }
    }
}

fn or_default(timeout: u32) -> u32 {
    if timeout == 0 { DEFAULT_TIMEOUT } else { timeout }
}

fn message(
    cookie: u64,
    version: u64,
    id: u64,
    opcode: WatchEvent,
    payload: Bytes,
    notifier: u64,
) -> MWatchNotify {
    MWatchNotify {
        opcode,
        cookie,
        ver: version,
        notify_id: id,
        payload,
        return_code: 0,
        notifier_gid: notifier,
        data: Bytes::new(),
    }
}

fn send(session: &Arc<Session>, cookie: u64, notify: &Notify) {
    let message = message(
        cookie,
        notify.version,
        notify.id,
        WatchEvent::NOTIFY,
        notify.payload.clone(),
        notify.notifier_gid,
    );
    session.send(message.encode(session.peer().features));
}

/// A notify under way.
#[derive(Debug)]
pub(super) struct Notify {
    /// The server's id.
    pub id: u64,
    /// The object it is on.
    pub object: ObjectId,
    cookie: u64,
    version: u64,
    payload: Bytes,
    notifier_gid: u64,
    notifier: Arc<Session>,
    deadline: Instant,
    state: Mutex<NotifyState>,
}

#[derive(Debug, Default)]
struct NotifyState {
    waiting: BTreeSet<(u64, u64)>,
    replies: BTreeMap<(u64, u64), Bytes>,
    complete: bool,
}

impl Notify {
    /// A notify that no watch has yet.
    pub(super) fn new(
        request: super::ops::NotifyRequest,
        object: ObjectId,
        version: u64,
        notifier: &Arc<Session>,
    ) -> Self {
        Self {
            id: request.id,
            object,
            cookie: request.cookie,
            version,
            payload: request.payload,
            notifier_gid: notifier.peer().name.num as u64,
            notifier: Arc::clone(notifier),
            deadline: Instant::now() + Duration::from_secs(request.timeout.into()),
            state: Mutex::default(),
        }
    }

    fn answered(&self, client: i64, cookie: u64, reply: Bytes) {
        let key = (client as u64, cookie);
        let mut state = self.state.lock();
        if state.waiting.remove(&key) {
            state.replies.insert(key, reply);
        }
        self.complete(&mut state, false);
    }

    fn gone(&self, client: i64, cookie: u64) {
        let mut state = self.state.lock();
        state.waiting.remove(&(client as u64, cookie));
        self.complete(&mut state, false);
    }

    fn complete_if_answered(&self) {
        self.complete(&mut self.state.lock(), false);
    }

    /// Whether it is over; ends it if its time is.
    pub(super) fn finished(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        if !state.complete && now >= self.deadline {
            self.complete(&mut state, true);
        }
        state.complete
    }

    /// Tells the notifier, once all have answered or the time is over: who answered what, and who did not.
    fn complete(&self, state: &mut NotifyState, timed_out: bool) {
        if state.complete || !(state.waiting.is_empty() || timed_out) {
            return;
        }
        state.complete = true;
        let mut data = BytesMut::new();
        data.put_map(&state.replies, Features::ALL);
        let missed: Vec<(u64, u64)> = state.waiting.iter().copied().collect();
        data.put_vec(missed.iter(), Features::ALL);
        let mut message = message(
            self.cookie,
            self.version,
            self.id,
            WatchEvent::NOTIFY_COMPLETE,
            Bytes::new(),
            self.notifier_gid,
        );
        message.data = data.freeze();
        if timed_out {
            message.return_code = -Errno::ETIMEDOUT.0;
        }
        self.notifier.send(message.encode(self.notifier.peer().features));
    }
}

/// Client, cookie of a watch row's key (behind table and onode).
pub(super) fn parse_row_key(mut key: &[u8]) -> Option<(i64, u64)> {
    if key.len() < 1 + 8 + 16 {
        return None;
    }
    key.advance(9);
    Some((key.get_i64(), key.get_u64()))
}
