//! The exclusive lock of an image, as librbd takes it (Ceph `src/librbd/ManagedLock.cc`, `ExclusiveLock.cc`,
//! `ImageWatcher.cc`).
//!
//! Its owner is a watcher of the header; who holds the lock and watches no more is dead and is shut out before the lock is taken
//! from it. Others ask a living owner for the lock, or ask it to do what they want done.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use encoding::{
    Errno,
    cls::lock::{BreakOp, GetInfoOp, LockInfo, LockOp, LockType, UnlockOp},
    cls::rbd::features,
    types::{EntityAddr, Utime},
};
use parking_lot::{Condvar, Mutex};

use super::{
    Image, Progress,
    messages::{self, NOTIFY_TIMEOUT, NotifyOp, Received, RequestId},
};
use crate::{
    cluster::BLOCKLIST_EXPIRE,
    rados::{IoCtx, Watch, ops},
};

/// `RBD_LOCK_NAME`.
pub(super) const LOCK_NAME: &[u8] = b"rbd_lock";
/// The tag of locks that librbd takes by itself (`ManagedLock::WATCHER_LOCK_TAG`).
const TAG: &[u8] = b"internal";
/// What cookies of such locks start with; the watch's cookie follows.
const COOKIE_PREFIX: &str = "auto ";
/// How long a request for the lock is repeated before it counts as refused.
const PATIENCE: Duration = Duration::from_secs(30);
/// An operation that an owner was asked for is given up when it says nothing for so long
/// (`rbd_request_timed_out_seconds`).
const SILENCE: Duration = Duration::from_secs(30);
/// Nobody is shut out for longer, in seconds.
const MAX_EXPIRE: f64 = 1e9;
/// How often the lock is tried while its owner gives it up.
const RETRY: Duration = Duration::from_millis(100);

/// What the watch's thread and the operation share.
#[derive(Default)]
struct Shared {
    /// Whether the lock is ours.
    owner: AtomicBool,
    /// Whether the lock is kept when others ask for it.
    keeps: AtomicBool,
    /// Whether others have asked for it.
    wanted: AtomicBool,
    remote: Mutex<Remote>,
    changed: Condvar,
    /// How often another client was heard to give the lock up.
    released: Mutex<u64>,
    free: Condvar,
}

/// An operation that an owner was asked for.
#[derive(Default)]
struct Remote {
    id: Option<RequestId>,
    progress: Option<(u64, u64)>,
    result: Option<i32>,
    heard: Option<Instant>,
}

impl Shared {
    /// Answers a notify on the header.
    fn answer(&self, payload: &Bytes) -> Bytes {
        let received = match messages::read(payload) {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a notify on an image's header is malformed");
                return Bytes::new();
            }
        };
        match received {
            Received::RequestLock => return self.requested(),
            Received::Progress(id, done, of) => self.heard(id, |r| r.progress = Some((done, of))),
            Received::Complete(id, result) => self.heard(id, |r| r.result = Some(result)),
            Received::Other(op) if is_request(op) && self.owner.load(Relaxed) => {
                // It is done by who asks, once the lock is given up: without an answer they try to take it.
                if !self.keeps.load(Relaxed) {
                    self.wanted.store(true, Relaxed);
                }
            }
            Received::Other(NotifyOp::RELEASED_LOCK) => {
                *self.released.lock() += 1;
                self.free.notify_all();
            }
            Received::Other(_) => {}
        }
        Bytes::new()
    }

    fn requested(&self) -> Bytes {
        if !self.owner.load(Relaxed) {
            return Bytes::new();
        }
        if self.keeps.load(Relaxed) {
            return messages::response(-Errno::EROFS.0);
        }
        self.wanted.store(true, Relaxed);
        messages::response(0)
    }

    fn heard(&self, id: RequestId, note: impl FnOnce(&mut Remote)) {
        let mut remote = self.remote.lock();
        if remote.id == Some(id) {
            note(&mut remote);
            remote.heard = Some(Instant::now());
            self.changed.notify_all();
        }
    }
}

/// Whether a notify asks the owner to do something.
fn is_request(op: NotifyOp) -> bool {
    (NotifyOp::FLATTEN.0..NotifyOp::QUIESCE.0).contains(&op.0)
}

/// How the lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// If nobody has it.
    Try,
    /// Its owner is asked to give it up.
    Ask,
}

/// An image that is open for writing: it is watched, and its lock can be taken.
pub(super) struct Session {
    ioctx: IoCtx,
    oid: Vec<u8>,
    /// Whether the image has the feature at all.
    lockable: bool,
    shared: Arc<Shared>,
    watch: Watch,
    next_request: AtomicU64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Watches the image's header.
    ///
    /// # Errors
    /// ENOENT if it is gone.
    pub(super) fn open(image: &Image) -> Result<Self, Errno> {
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let oid = image.header_oid();
        let cookie = image.ioctx.new_cookie();
        let watch = image
            .ioctx
            .watch(&oid, cookie, Box::new(move |payload| answering.answer(payload)))?;
        Ok(Self {
            ioctx: image.ioctx.clone(),
            oid,
            lockable: image.header.has(features::EXCLUSIVE_LOCK),
            shared,
            watch,
            next_request: AtomicU64::new(1),
        })
    }

    fn cookie(&self) -> Bytes {
        format!("{COOKIE_PREFIX}{}", self.watch.cookie()).into()
    }

    fn client(&self) -> u64 {
        self.ioctx.rados().name().num as u64
    }

    /// Whether the image can be changed: the lock is ours, or there is none.
    #[must_use]
    pub(super) fn is_owner(&self) -> bool {
        !self.lockable || self.shared.owner.load(Relaxed)
    }

    /// Whether others want the lock.
    #[must_use]
    pub(super) fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Relaxed)
    }

    /// From now on the lock is not given up to others.
    pub(super) fn keep(&self) {
        self.shared.keeps.store(true, Relaxed);
    }

    /// Takes the lock; does nothing for an image without one.
    ///
    /// # Errors
    /// EBUSY if somebody else has it and (for [`Wish::Ask`]) does not give it up; EROFS if its owner refuses.
    pub(super) fn acquire(&self, wish: Wish) -> Result<(), Errno> {
        if self.is_owner() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        let mut asked: Option<Instant> = None;
        loop {
            let heard = *self.shared.released.lock();
            match self.try_lock() {
                Ok(()) => break,
                Err(Errno::EBUSY) if !self.remove_dead_owner()? => {
                    if wish == Wish::Try || Instant::now() >= deadline {
                        return Err(Errno::EBUSY);
                    }
                    if asked.is_none_or(|at| at.elapsed() > NOTIFY_TIMEOUT) {
                        asked = self.ask_for_lock()?.then(Instant::now);
                    }
                    // Its owner may want it back at once: then it matters to be quick.
                    let mut released = self.shared.released.lock();
                    if *released == heard {
                        self.shared.free.wait_for(&mut released, RETRY);
                    }
                }
                // The dead owner is out of the way.
                Err(Errno::EBUSY) => {}
                Err(error) => return Err(error),
            }
        }
        self.shared.wanted.store(false, Relaxed);
        self.shared.owner.store(true, Relaxed);
        self.tell(NotifyOp::ACQUIRED_LOCK)
    }

    fn try_lock(&self) -> Result<(), Errno> {
        let op = LockOp {
            name: Bytes::from_static(LOCK_NAME),
            lock_type: LockType::EXCLUSIVE,
            cookie: self.cookie(),
            tag: Bytes::from_static(TAG),
            description: Bytes::new(),
            duration: Utime::default(),
            flags: 0,
        };
        match self.ioctx.exec(&self.oid, "lock", "lock", &ops::arg(&op)) {
            // An earlier request was answered late.
            Err(Errno::EEXIST) => Ok(()),
            r => r,
        }
    }

    /// Takes the lock from an owner that does not watch any more. False if it lives.
    fn remove_dead_owner(&self) -> Result<bool, Errno> {
        let op = GetInfoOp {
            name: Bytes::from_static(LOCK_NAME),
        };
        let info: LockInfo = self.ioctx.query(&self.oid, "lock", "get_info", &ops::arg(&op))?;
        let Some((locker, details)) = info.lockers.first_key_value() else {
            return Ok(true);
        };
        // Locks that people take with `rbd lock add` are theirs to release.
        let watch = std::str::from_utf8(&locker.cookie)
            .ok()
            .and_then(|c| c.strip_prefix(COOKIE_PREFIX))
            .and_then(|c| c.parse::<u64>().ok());
        let Some(watch) = watch.filter(|_| info.tag == TAG) else {
            return Ok(false);
        };
        let alive = self
            .ioctx
            .watchers(&self.oid)?
            .iter()
            .any(|w| w.name == locker.locker && w.cookie == watch && same_client(&w.addr, &details.addr));
        if alive {
            return Ok(false);
        }
        tracing::info!(owner = %locker.locker, addr = %details.addr, "the owner of an image's lock is dead: it is shut out");
        let cluster = self.ioctx.rados().cluster();
        let lifetime = cluster.option_number(BLOCKLIST_EXPIRE).clamp(0.0, MAX_EXPIRE);
        let lifetime = Duration::from_secs_f64(lifetime);
        cluster.blocklist_add(details.addr, lifetime).map_err(|error| {
            tracing::error!(%error, "a dead client cannot be shut out");
            Errno::EIO
        })?;
        let op = BreakOp {
            name: Bytes::from_static(LOCK_NAME),
            locker: locker.locker,
            cookie: locker.cookie.clone(),
        };
        match self.ioctx.exec(&self.oid, "lock", "break_lock", &ops::arg(&op)) {
            Ok(()) | Err(Errno::ENOENT) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Asks the owner for the lock. False if nobody answered.
    fn ask_for_lock(&self) -> Result<bool, Errno> {
        let payload = messages::request_lock(self.client(), self.watch.cookie());
        match self.notify_owner(&payload) {
            Ok(()) => Ok(true),
            Err(Errno::ETIMEDOUT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Notifies the owner, who alone answers with something.
    fn notify_owner(&self, payload: &[u8]) -> Result<(), Errno> {
        let notified = self.ioctx.notify(&self.oid, payload, NOTIFY_TIMEOUT)?;
        let mut answers = notified.replies.iter().filter(|(_, reply)| !reply.is_empty());
        let Some((_, answer)) = answers.next() else {
            return Err(Errno::ETIMEDOUT);
        };
        if answers.next().is_some() {
            return Err(Errno::EINVAL);
        }
        match messages::read_response(answer).map_err(|_| Errno::EINVAL)? {
            0.. => Ok(()),
            error => Err(Errno(-error)),
        }
    }

    /// Lets the lock go, and rests before it is asked for again: it went over to somebody else, or nobody has it any more.
    ///
    /// # Errors
    /// Of the class method, or of whoever is told of the progress.
    pub(super) fn start_over(&self, progress: Progress<'_>) -> Result<(), Errno> {
        self.release()?;
        progress(0, 1)?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        Ok(())
    }

    /// Gives the lock up.
    ///
    /// # Errors
    /// Of the class method.
    pub(super) fn release(&self) -> Result<(), Errno> {
        if !self.lockable || !self.shared.owner.swap(false, Relaxed) {
            return Ok(());
        }
        let op = UnlockOp {
            name: Bytes::from_static(LOCK_NAME),
            cookie: self.cookie(),
        };
        match self.ioctx.exec(&self.oid, "lock", "unlock", &ops::arg(&op)) {
            // The image was removed, or somebody broke the lock.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        match self.tell(NotifyOp::RELEASED_LOCK) {
            Err(Errno::ENOENT) => Ok(()),
            r => r,
        }
    }

    fn tell(&self, op: NotifyOp) -> Result<(), Errno> {
        let payload = messages::lock_changed(op, self.client(), self.watch.cookie());
        self.ioctx.notify(&self.oid, &payload, NOTIFY_TIMEOUT).map(drop)
    }

    /// Has the owner of the lock do something, and waits for its end. `make` builds the request.
    ///
    /// # Errors
    /// What the operation fails with; ETIMEDOUT if no owner answers, or it falls silent.
    pub(super) fn ask_owner(
        &self,
        make: impl FnOnce(RequestId) -> Bytes,
        progress: Progress<'_>,
    ) -> Result<(), Errno> {
        let id = RequestId {
            client: self.client(),
            watch: self.watch.cookie(),
            request: self.next_request.fetch_add(1, Relaxed),
        };
        *self.shared.remote.lock() = Remote {
            id: Some(id),
            heard: Some(Instant::now()),
            ..Remote::default()
        };
        let outcome = self
            .notify_owner(&make(id))
            .and_then(|()| self.await_end(progress));
        self.shared.remote.lock().id = None;
        outcome
    }

    fn await_end(&self, progress: Progress<'_>) -> Result<(), Errno> {
        loop {
            let mut remote = self.shared.remote.lock();
            if remote.result.is_none() && remote.progress.is_none() {
                self.shared.changed.wait_for(&mut remote, RETRY);
            }
            if let Some(result) = remote.result {
                return if result < 0 { Err(Errno(-result)) } else { Ok(()) };
            }
            let told = remote.progress.take();
            let silent = remote.heard.is_some_and(|at| at.elapsed() > SILENCE);
            drop(remote);
            if let Some((done, of)) = told {
                progress(done, of)?;
            }
            if silent {
                return Err(Errno::ETIMEDOUT);
            }
            if self.ioctx.rados().is_stopped() {
                return Err(Errno::EBLOCKLISTED);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            // It is broken by who wants it next: this client watches no more.
            tracing::debug!(%error, "an image's lock could not be released");
        }
    }
}

/// Whether two addresses are of one client: over either protocol.
fn same_client(a: &EntityAddr, b: &EntityAddr) -> bool {
    let key = |addr: &EntityAddr| (addr.socket.map(|s: SocketAddr| (s.ip(), s.port())), addr.nonce);
    key(a) == key(b)
}

/// Breaks whatever holds the lock of that name on an object.
pub(super) fn break_all(ioctx: &IoCtx, oid: &[u8]) -> Result<(), Errno> {
    let op = GetInfoOp {
        name: Bytes::from_static(LOCK_NAME),
    };
    let info: LockInfo = ioctx.query(oid, "lock", "get_info", &ops::arg(&op))?;
    for locker in info.lockers.into_keys() {
        let op = BreakOp {
            name: Bytes::from_static(LOCK_NAME),
            locker: locker.locker,
            cookie: locker.cookie,
        };
        match ioctx.exec(oid, "lock", "break_lock", &ops::arg(&op)) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Now, as headers have it.
#[must_use]
pub(super) fn now() -> Utime {
    Utime::from_system_time(SystemTime::now())
}
