//! What those who have an image open tell each other by notifies on its header (Ceph `src/librbd/WatchNotifyTypes.h`).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use encoding::{Encode, Features, Reader, cls::rbd::SnapshotNamespace, codec::Put};

/// How long a notify waits for answers (`watcher::Notifier::NOTIFY_TIMEOUT`).
pub(super) const NOTIFY_TIMEOUT: Duration = Duration::from_secs(5);

/// The message's version that is written (`NotifyMessage`).
const VERSION: u8 = 7;

/// `NOTIFY_OP_*`: what a notify asks for. Open: unknown ones survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotifyOp(pub u32);

impl NotifyOp {
    /// Somebody has the lock now.
    pub(super) const ACQUIRED_LOCK: Self = Self(0);
    /// Somebody has given it up.
    pub(super) const RELEASED_LOCK: Self = Self(1);
    /// Its owner is asked to give it up.
    pub(super) const REQUEST_LOCK: Self = Self(2);
    /// The header changed.
    pub(super) const HEADER_UPDATE: Self = Self(3);
    /// How far an operation is that was asked for.
    pub(super) const ASYNC_PROGRESS: Self = Self(4);
    /// An operation that was asked for has ended.
    pub(super) const ASYNC_COMPLETE: Self = Self(5);
    /// The owner is asked to flatten.
    pub(super) const FLATTEN: Self = Self(6);
    /// The owner is asked to migrate.
    pub(super) const MIGRATE: Self = Self(16);
    /// The owner is asked to make a snapshot.
    pub(super) const SNAP_CREATE: Self = Self(8);
    /// The owner is asked to remove a snapshot.
    pub(super) const SNAP_REMOVE: Self = Self(9);
    /// Writes are to be held back.
    pub(super) const QUIESCE: Self = Self(18);
}

/// `AsyncRequestId`: who asked for an operation, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId {
    /// The client's global id.
    pub client: u64,
    /// The cookie of its watch.
    pub watch: u64,
    /// Its number of the request.
    pub request: u64,
}

impl RequestId {
    fn put(self, out: &mut BytesMut) {
        out.put_u64_le(self.client);
        out.put_u64_le(self.watch);
        out.put_u64_le(self.request);
    }

    fn read(r: &mut Reader<'_>) -> encoding::codec::Result<Self> {
        Ok(Self {
            client: r.u64()?,
            watch: r.u64()?,
            request: r.u64()?,
        })
    }
}

/// What a notify says, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// The lock's owner is to give it up.
    RequestLock,
    /// How far an operation is.
    Progress(RequestId, u64, u64),
    /// An operation has ended: 0, or a negative errno.
    Complete(RequestId, i32),
    /// Anything else.
    Other(NotifyOp),
}

fn message(op: NotifyOp, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    out.put_frame(VERSION, 1, |out| {
        out.put_u32_le(op.0);
        body(out);
    });
    out.freeze()
}

/// The header changed.
#[must_use]
pub(super) fn header_update() -> Bytes {
    message(NotifyOp::HEADER_UPDATE, |_| ())
}

/// The client (global id, cookie of its watch) has the lock now, or has given it up.
#[must_use]
pub(super) fn lock_changed(op: NotifyOp, client: u64, watch: u64) -> Bytes {
    message(op, |out| {
        out.put_u64_le(client);
        out.put_u64_le(watch);
    })
}

/// The client wants the lock.
#[must_use]
pub(super) fn request_lock(client: u64, watch: u64) -> Bytes {
    message(NotifyOp::REQUEST_LOCK, |out| {
        out.put_u64_le(client);
        out.put_u64_le(watch);
        out.put_bool(false); // by force
    })
}

/// The owner is to do what takes nothing but the request's id: flatten or migrate.
#[must_use]
pub(super) fn operation(op: NotifyOp, id: RequestId) -> Bytes {
    message(op, |out| id.put(out))
}

/// The owner is to make or remove a snapshot.
#[must_use]
pub(super) fn snapshot(op: NotifyOp, id: RequestId, name: &[u8], namespace: &SnapshotNamespace) -> Bytes {
    message(op, |out| {
        out.put_blob(name);
        namespace.encode(out, Features::ALL);
        id.put(out);
        if op == NotifyOp::SNAP_CREATE {
            out.put_u64_le(0); // flags
        }
    })
}

/// Reads a notify's payload.
///
/// # Errors
/// If it is malformed.
pub(super) fn read(payload: &Bytes) -> encoding::codec::Result<Received> {
    let mut r = Reader::new(payload);
    // Newer versions only append.
    let mut f = r.frame(u8::MAX, "NotifyMessage")?;
    let op = NotifyOp(f.u32()?);
    Ok(match op {
        NotifyOp::REQUEST_LOCK => Received::RequestLock,
        NotifyOp::ASYNC_PROGRESS => Received::Progress(RequestId::read(&mut f)?, f.u64()?, f.u64()?),
        NotifyOp::ASYNC_COMPLETE => Received::Complete(RequestId::read(&mut f)?, f.i32()?),
        op => Received::Other(op),
    })
}

/// `ResponseMessage`: an owner's answer, 0 or a negative errno.
#[must_use]
pub(super) fn response(result: i32) -> Bytes {
    let mut out = BytesMut::new();
    out.put_frame(1, 1, |out| out.put_i32_le(result));
    out.freeze()
}

/// The result in an owner's answer.
///
/// # Errors
/// If it is malformed.
pub(super) fn read_response(reply: &Bytes) -> encoding::codec::Result<i32> {
    Reader::new(reply).frame(1, "ResponseMessage")?.i32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_their_ends_are_read_back() {
        let id = RequestId {
            client: 4711,
            watch: 3,
            request: 9,
        };
        assert_eq!(read(&request_lock(4711, 3)).unwrap(), Received::RequestLock);
        let done = message(NotifyOp::ASYNC_COMPLETE, |out| {
            id.put(out);
            out.put_i32_le(-22);
        });
        assert_eq!(read(&done).unwrap(), Received::Complete(id, -22));
        assert_eq!(
            read(&header_update()).unwrap(),
            Received::Other(NotifyOp::HEADER_UPDATE)
        );
        assert!(read(&done.slice(..done.len() - 1)).is_err());
        assert_eq!(read_response(&response(-30)).unwrap(), -30);
    }
}
