//! A session as the daemons above the messenger see it: the peer, a way to send, and what they do on events.

mod lossless;
mod outgoing;
mod peer;

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use encoding::{RawMessage, types::Utime};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    budget::{Budget, Holdings, Share},
    cephx::MonAuthSession,
    connection::WriteHalf,
};

pub use peer::PeerInfo;

use lossless::Lossless;
use outgoing::{Outgoing, Writer};

/// What a daemon does on a session's events. Called on the connection's task, in order: it must not block, and
/// what takes long is to be handed on.
pub trait Dispatcher: Send + Sync + 'static {
    /// The session is established. Nothing else is called for it before.
    fn on_ready(&self, session: &Arc<Session>);
    /// A message.
    fn on_message(&self, session: &Arc<Session>, message: RawMessage);
    /// Messages that were read at once follow: `hand_on`, which is to be called once, hands them on. So a daemon can gather what
    /// it does for them.
    fn on_batch(&self, hand_on: &mut dyn FnMut()) {
        hand_on();
    }
    /// The session is over. Called once, after everything else.
    fn on_closed(&self, session: &Arc<Session>);
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left to write.
    All,
    /// The socket takes no more now.
    Blocked,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Takes what is sent to a peer within this process. It is called where [`Session::send`] is: it must not block.
pub type Deliver = Box<dyn Fn(RawMessage) + Send + Sync>;

/// An established session. Sending never blocks and may be done from any thread.
pub struct Session {
    id: u64,
    peer: PeerInfo,
    mon_auth: Mutex<Option<MonAuthSession>>,
    outbox: Mutex<VecDeque<Outgoing>>,
    /// None if the peer is within this process.
    writer: Mutex<Option<Writer>>,
    /// What takes the messages of a peer within this process.
    deliver: Option<Deliver>,
    /// Bytes in the outbox and in the writer.
    pending: AtomicUsize,
    holdings: Holdings,
    open: AtomicBool,
    /// While the connection's task hands on what it has read, answers are gathered.
    corked: AtomicBool,
    wake_writer: Notify,
    wake_reader: Notify,
    lossless: Option<Box<Lossless>>,
    extension: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("peer", &self.peer.name)
            .field("entity", &self.peer.entity)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(
        peer: PeerInfo,
        mon_auth: Option<MonAuthSession>,
        half: WriteHalf,
        socket: Arc<TcpStream>,
        budget: Arc<Budget>,
    ) -> Self {
        let lossless = half
            .attachment()
            .map(|attachment| Box::new(Lossless::new(attachment)));
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer,
            mon_auth: Mutex::new(mon_auth),
            outbox: Mutex::default(),
            writer: Mutex::new(Some(Writer::new(half, socket))),
            deliver: None,
            pending: AtomicUsize::new(0),
            holdings: Holdings::new(budget),
            open: AtomicBool::new(true),
            corked: AtomicBool::new(false),
            wake_writer: Notify::new(),
            wake_reader: Notify::new(),
            lossless,
            extension: OnceLock::new(),
        }
    }

    /// A session of a peer within this process: no bytes travel, messages are handed over as they are.
    #[must_use]
    pub fn in_process(peer: PeerInfo, deliver: Deliver) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer,
            mon_auth: Mutex::new(None),
            outbox: Mutex::default(),
            writer: Mutex::new(None),
            deliver: Some(deliver),
            pending: AtomicUsize::new(0),
            // It has no reader to hold back.
            holdings: Holdings::new(Arc::new(Budget::unlimited())),
            open: AtomicBool::new(true),
            corked: AtomicBool::new(false),
            wake_writer: Notify::new(),
            wake_reader: Notify::new(),
            lossless: None,
            extension: OnceLock::new(),
        }
    }

    /// Unique in this process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who the peer is.
    #[must_use]
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// Whether the session still stands.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// What renews the peer's tickets: at a monitor, after cephx.
    pub fn mon_auth(&self) -> MutexGuard<'_, Option<MonAuthSession>> {
        self.mon_auth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for what the daemon keeps about the session.
    pub fn extension(&self) -> &OnceLock<Arc<dyn Any + Send + Sync>> {
        &self.extension
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Sends a message, in the order of calls. If the session is closed it is dropped: the peer will connect
    /// again and ask again. A lossless session keeps it until the peer has it. While much waits to be written, nothing is read from the peer.
    pub fn send(&self, message: RawMessage) {
        self.push(Outgoing::Message(message));
    }

    pub(crate) fn send_keepalive_ack(&self, stamp: Utime) {
        self.push(Outgoing::KeepaliveAck(stamp));
    }

    /// Ends the session after what was sent before has been written.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        self.wake_writer.notify_one();
        self.wake_reader.notify_one();
    }

    fn push(&self, outgoing: Outgoing) {
        if self.enqueue(outgoing) {
            self.flush_queued();
        }
    }

    /// Puts a message into the outbox. True if it waits there: [`Self::flush_queued`] has to be called.
    pub(crate) fn queue(&self, message: RawMessage) -> bool {
        self.enqueue(Outgoing::Message(message))
    }

    fn enqueue(&self, outgoing: Outgoing) -> bool {
        if !self.is_open() {
            return false;
        }
        if let Some(deliver) = &self.deliver {
            if let Outgoing::Message(message) = outgoing {
                deliver(message);
            }
            return false;
        }
        self.pending.fetch_add(outgoing.cost(), Ordering::SeqCst);
        self.outbox().push_back(outgoing);
        true
    }

    /// Writes what waits in the outbox, unless the connection's task gathers for now and will do so.
    pub(crate) fn flush_queued(&self) {
        // Either this sees the cork gone, or who removes it sees something pending: hence SeqCst, there too.
        if !self.corked.load(Ordering::SeqCst) {
            self.flush_or_wake();
        }
        if self.lossless.is_some() {
            // Who connects anew may have waited for something to send.
            self.wake_reader.notify_one();
        }
    }

    fn outbox(&self) -> MutexGuard<'_, VecDeque<Outgoing>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers what is sent until [`uncork`](Self::uncork), to write it at once.
    pub(crate) fn cork(&self) {
        self.corked.store(true, Ordering::SeqCst);
    }

    pub(crate) fn uncork(&self) {
        self.corked.store(false, Ordering::SeqCst);
        // What was received in a lossless session is acknowledged.
        if self.pending.load(Ordering::SeqCst) > 0 || self.lossless.is_some() {
            self.flush_or_wake();
        }
    }

    /// Writes what can be written on the caller's thread, which saves the way over another task. If another
    /// thread is writing, or the socket is full, the writing task takes over.
    fn flush_or_wake(&self) {
        let flushed = match self.writer.try_lock() {
            Ok(mut writer) => self.flush_with(&mut writer),
            Err(TryLockError::Poisoned(p)) => self.flush_with(&mut p.into_inner()),
            Err(TryLockError::WouldBlock) => Flushed::Blocked,
        };
        if flushed == Flushed::Blocked {
            self.wake_writer.notify_one();
        }
    }

    /// Encodes and writes all that waits.
    pub(crate) fn flush(&self) -> Flushed {
        self.flush_with(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn flush_with(&self, writer: &mut Option<Writer>) -> Flushed {
        let Some(writer) = writer else {
            return Flushed::All;
        };
        loop {
            let batch = std::mem::take(&mut *self.outbox());
            let (queued, cost) = (batch.len(), batch.iter().map(Outgoing::cost).sum::<usize>());
            let before = writer.half.output().len();
            for outgoing in batch {
                match outgoing {
                    Outgoing::Message(m) => writer.half.send(&m),
                    Outgoing::KeepaliveAck(stamp) => writer.half.keepalive_ack(stamp),
                }
            }
            if let Some(lossless) = &self.lossless {
                writer.half.pump();
                if lossless.link.is_closed() {
                    self.close();
                }
            }
            let encoded = writer.half.output().len() - before;
            self.pending.fetch_add(encoded, Ordering::Relaxed);
            self.pending.fetch_sub(cost, Ordering::Relaxed);
            match writer.write() {
                Ok((all, written)) => {
                    self.pending.fetch_sub(written, Ordering::SeqCst);
                    self.wake_reader_if_allowed();
                    if !all {
                        return Flushed::Blocked;
                    }
                    if queued == 0 {
                        return Flushed::All;
                    }
                }
                Err(error) => {
                    tracing::debug!(session = self.id, %error, "write failed");
                    if self.lossless.is_some() {
                        self.give_up_connection(writer);
                        return Flushed::All;
                    }
                    self.outbox().clear();
                    writer.half.output().clear();
                    self.pending.store(0, Ordering::Relaxed);
                    self.close();
                    return Flushed::All;
                }
            }
        }
    }

    /// Closes the socket of a session that is over.
    pub(crate) fn hang_up(&self) {
        if let Some(writer) = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner) {
            self.drop_output(writer);
        }
    }

    /// Waits until there is something to write that nobody else writes.
    pub(crate) async fn writer_woken(&self) {
        self.wake_writer.notified().await;
    }

    /// Lets the writing task look again.
    pub(crate) fn wake_writer(&self) {
        self.wake_writer.notify_one();
    }

    /// The bounds on what it holds.
    pub(crate) fn budget(&self) -> &Budget {
        self.holdings.budget()
    }

    /// Bytes of requests under way and of answers that the peer has not taken.
    fn holds(&self) -> usize {
        self.holdings.with(self.pending.load(Ordering::SeqCst))
    }

    /// Whether answers wait that should be written before there are more.
    fn answers_wait(&self) -> bool {
        self.holdings.answers_wait(self.pending.load(Ordering::SeqCst))
    }

    pub(crate) fn hold(&self, bytes: usize) {
        self.holdings.hold(bytes);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.holdings.release(bytes);
        self.wake_reader_if_allowed();
    }

    fn wake_reader_if_allowed(&self) {
        let waits = self.holdings.reader_waits();
        if waits && !self.answers_wait() && self.holdings.allow_again(self.holds()) {
            self.wake_reader.notify_one();
        }
    }

    /// Whether the session holds so much that its peer is not to be read from.
    pub(crate) fn holds_too_much(&self, share: &mut Share<'_>) -> bool {
        let holds = self.holds();
        holds > share.allowance(holds) || self.answers_wait()
    }

    /// Waits until the session holds so little that its peer may be read from again.
    pub(crate) async fn may_be_read(&self, transport: u64, share: &mut Share<'_>) {
        while self.serves(transport) {
            let holds = self.holds();
            let allowed = share.allowance(holds);
            let may_be_read = || self.holds() <= allowed && !self.answers_wait();
            if may_be_read() {
                break;
            }
            self.holdings.wait_for(allowed);
            // Once more after this is seen: it may have gone before.
            if may_be_read() {
                break;
            }
            self.wake_reader.notified().await;
        }
        self.holdings.wait_for(0);
    }

    /// Waits until this connection is over from this side.
    pub(crate) async fn served(&self, transport: u64) {
        while self.serves(transport) {
            self.wake_reader.notified().await;
        }
    }
}
