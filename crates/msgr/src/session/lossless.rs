//! Sessions that outlive their connections.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, time::timeout};

use super::{Session, outgoing::Writer};
use crate::{
    connection::WriteHalf,
    lossless::{Attachment, Link},
};

/// Of a session that outlives its connections.
pub(super) struct Lossless {
    pub(super) link: Arc<Link>,
    /// The connection it has, by its count in the link.
    transport: AtomicU64,
    /// The last one that failed.
    failed: AtomicU64,
    /// Held by the task that reads: one connection after the other.
    reading: tokio::sync::Mutex<()>,
    announced: AtomicBool,
    ended: AtomicBool,
}

impl Lossless {
    /// With its first connection.
    pub(super) fn new(attachment: &Attachment) -> Self {
        Self {
            link: Arc::clone(attachment.link()),
            transport: AtomicU64::new(attachment.transport()),
            failed: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
            announced: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }
}

/// What lossless sessions do beside. A connection is named by its count in the link.
impl Session {
    /// What is kept of the session while it has no connection, if it is lossless.
    #[must_use]
    pub fn link(&self) -> Option<&Arc<Link>> {
        Some(&self.lossless.as_ref()?.link)
    }

    /// The connection that it has, by its count; 0 for a lossy session, which has but one.
    pub(crate) fn transport(&self) -> u64 {
        self.lossless
            .as_ref()
            .map_or(0, |l| l.transport.load(Ordering::Acquire))
    }

    /// Whether this connection is the session's, and works.
    pub(crate) fn serves(&self, transport: u64) -> bool {
        let works = |l: &Lossless| {
            l.transport.load(Ordering::Acquire) == transport && l.failed.load(Ordering::Acquire) != transport
        };
        self.is_open() && self.lossless.as_deref().is_none_or(works)
    }

    /// Goes on over another connection. The older one is told to end.
    pub(crate) fn attach(&self, half: WriteHalf, socket: Arc<TcpStream>) {
        let (Some(lossless), Some(transport)) =
            (&self.lossless, half.attachment().map(Attachment::transport))
        else {
            return;
        };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = &mut *writer else { return };
        // Connections are taken over in one order, and may get here in another.
        if transport > lossless.transport.load(Ordering::Acquire) {
            self.drop_output(writer);
            *writer = Writer::new(half, socket);
            self.pending
                .fetch_add(writer.half.output().len(), Ordering::Relaxed);
            lossless.transport.store(transport, Ordering::Release);
        }
        self.wake_reader.notify_one();
        self.wake_writer.notify_one();
    }

    /// The connection broke: what is sent waits for another one.
    pub(crate) fn detach(&self, transport: u64) {
        let Some(lossless) = &self.lossless else { return };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if lossless.transport.load(Ordering::Acquire) == transport
            && let Some(writer) = &mut *writer
        {
            self.give_up_connection(writer);
        }
        lossless.link.lost(transport, Instant::now());
    }

    pub(super) fn give_up_connection(&self, writer: &mut Writer) {
        self.drop_output(writer);
        if let Some(lossless) = &self.lossless {
            let transport = lossless.transport.load(Ordering::Acquire);
            lossless.failed.store(transport, Ordering::Release);
        }
        self.wake_reader.notify_one();
        self.wake_writer.notify_one();
    }

    pub(super) fn drop_output(&self, writer: &mut Writer) {
        let waiting = writer.half.output().len();
        writer.half.output().clear();
        writer.half.end();
        writer.socket = None;
        self.pending.fetch_sub(waiting, Ordering::Relaxed);
    }

    /// Waits for something to happen: a message to be sent, or the session to be closed.
    pub(crate) async fn nudged(&self, at_most: Duration) {
        // Whether it was that or the time: the caller looks.
        let _ = timeout(at_most, self.wake_reader.notified()).await;
    }

    /// Waits for the connection before to have been read to its end.
    pub(crate) async fn reading(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        Some(self.lossless.as_ref()?.reading.lock().await)
    }

    /// True the first time.
    pub(crate) fn announce(&self) -> bool {
        let announced = |l: &Lossless| l.announced.swap(true, Ordering::AcqRel);
        !self.lossless.as_deref().is_some_and(announced)
    }

    /// Ends the session for good. True the first time, if it was announced.
    pub(crate) fn end(&self) -> bool {
        self.close();
        let Some(lossless) = &self.lossless else {
            return true;
        };
        lossless.link.close();
        !lossless.ended.swap(true, Ordering::AcqRel) && lossless.announced.load(Ordering::Acquire)
    }
}
