//! Watches and notifies of the client.
//!
//! Events arrive under the OSD's locks, so that they are put into a queue; the thread that owns a watch takes them out.

use std::{
    collections::HashMap,
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno, Features,
    messages::{MWatchNotify, WatchEvent},
    types::{NotifyAck, NotifyReplies, NotifyRequest, OpArgs, OpCode, OsdOp},
};
use parking_lot::Mutex;

use super::{IoCtx, LOOK};

/// Takes a notify's payload and gives the answer. It runs on a thread of the watch's own.
pub type WatchHandler = Box<dyn Fn(&Bytes) -> Bytes + Send>;

/// Where events go, by the cookie of their watch or notify.
#[derive(Default)]
pub(super) struct Events(Mutex<HashMap<u64, Sender<MWatchNotify>>>);

impl Events {
    pub(super) fn put(&self, event: MWatchNotify) {
        if let Some(to) = self.0.lock().get(&event.cookie) {
            // The watch may be on its way out.
            let _ = to.send(event);
        }
    }

    fn register(&self, cookie: u64) -> Receiver<MWatchNotify> {
        let (sender, events) = channel();
        self.0.lock().insert(cookie, sender);
        events
    }

    fn forget(&self, cookie: u64) {
        self.0.lock().remove(&cookie);
    }
}

/// `CEPH_OSD_WATCH_OP_*`.
const UNWATCH: u8 = 0;
/// Without pings: within a process, a client that is connected is alive.
const LEGACY_WATCH: u8 = 1;

fn watch_op(cookie: u64, op: u8) -> OsdOp {
    let args = OpArgs::Watch {
        cookie,
        ver: 0,
        op,
        gen_: 0,
        timeout: 0,
    };
    OsdOp::new(OpCode::WATCH, args, Bytes::new())
}

/// A watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    ioctx: IoCtx,
    oid: Bytes,
    cookie: u64,
}

impl Watch {
    /// The client's id of it, which others see.
    #[must_use]
    pub const fn cookie(&self) -> u64 {
        self.cookie
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // An object that is gone, or a client that is shut out, has no watch to end.
        if let Err(error) = self.ioctx.write(&self.oid, vec![watch_op(self.cookie, UNWATCH)]) {
            tracing::debug!(%error, "a watch is gone already");
        }
        self.ioctx.rados().inbox.events.forget(self.cookie);
    }
}

impl IoCtx {
    /// Watches an object; `handler` is called with each notify's payload until the watch is dropped. `cookie` is
    /// of [`IoCtx::new_cookie`].
    ///
    /// # Errors
    /// ENOENT if there is no such object.
    pub fn watch(&self, oid: &[u8], cookie: u64, handler: WatchHandler) -> Result<Watch, Errno> {
        let events = self.rados().inbox.events.register(cookie);
        let watch = Watch {
            ioctx: self.clone(),
            oid: Bytes::copy_from_slice(oid),
            cookie,
        };
        self.write(oid, vec![watch_op(cookie, LEGACY_WATCH)])?;
        let (ioctx, oid) = (self.clone(), watch.oid.clone());
        std::thread::spawn(move || answer(&ioctx, &oid, &events, &handler));
        Ok(watch)
    }

    /// An id for a watch or notify, never used again by this client.
    #[must_use]
    pub fn new_cookie(&self) -> u64 {
        self.rados().next_cookie.fetch_add(1, Relaxed)
    }

    /// Notifies the watchers of an object and waits for their answers, at most `timeout`.
    ///
    /// # Errors
    /// ENOENT if there is no such object; ESHUTDOWN once the client has been stopped.
    pub fn notify(&self, oid: &[u8], payload: &[u8], timeout: Duration) -> Result<NotifyReplies, Errno> {
        let cookie = self.new_cookie();
        let events = self.rados().inbox.events.register(cookie);
        let request = NotifyRequest {
            timeout: u32::try_from(timeout.as_secs().max(1)).unwrap_or(u32::MAX),
            payload: Bytes::copy_from_slice(payload),
        };
        let data = request.to_bytes(Features::ALL);
        let op = OsdOp::new(OpCode::NOTIFY, OpArgs::Notify { cookie }, data);
        let outcome = self
            .read(oid, vec![op])
            .and_then(|_| self.complete(&events, timeout));
        self.rados().inbox.events.forget(cookie);
        outcome
    }

    fn complete(&self, events: &Receiver<MWatchNotify>, timeout: Duration) -> Result<NotifyReplies, Errno> {
        // The OSD ends it in time; this is for the case that it does not.
        let deadline = Instant::now() + timeout + Duration::from_secs(5);
        loop {
            match events.recv_timeout(LOOK) {
                Ok(event) if event.opcode == WatchEvent::NOTIFY_COMPLETE => {
                    return NotifyReplies::from_bytes(&event.data).map_err(|_| Errno::EBADMSG);
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if !self.rados().is_stopped() && Instant::now() < deadline => {
                }
                Err(_) if self.rados().is_stopped() => return Err(Errno::EBLOCKLISTED),
                Err(_) => return Err(Errno::ETIMEDOUT),
            }
        }
    }
}

/// Answers notifies until the watch is over.
fn answer(ioctx: &IoCtx, oid: &[u8], events: &Receiver<MWatchNotify>, handler: &WatchHandler) {
    while let Ok(event) = events.recv() {
        if event.opcode != WatchEvent::NOTIFY {
            continue;
        }
        let reply = handler(&event.payload);
        let ack = NotifyAck {
            notify_id: event.notify_id,
            cookie: Some(event.cookie),
            reply,
        };
        let args = OpArgs::Notify { cookie: event.cookie };
        let op = OsdOp::new(OpCode::NOTIFY_ACK, args, ack.to_bytes(Features::ALL));
        if let Err(error) = ioctx.read(oid, vec![op]) {
            tracing::debug!(%error, "a notify could not be answered");
        }
    }
}
