//! A session as the daemons above the messenger see it: the peer, a way to send, and what they do on events.

use std::{
    any::Any,
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use encoding::{
    Feature, Features, RawMessage,
    maps::Release,
    types::{EntityAddrVec, EntityName, Utime},
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

use crate::{
    auth::{AuthMethod, ConMode},
    budget::{Budget, Holdings, Share},
    cephx::{AuthCapsInfo, KeyType, MonAuthSession},
    connection::WriteHalf,
    lossless::{Attachment, Link},
    v2::Algorithm,
};

/// Who the peer is, as proven in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Type and number; a client's number is its global id.
    pub name: EntityName,
    /// The entity that authenticated: `client.admin`. Without authentication, what the peer says.
    pub entity: String,
    /// The client instance.
    pub global_id: u64,
    /// The peer's own addresses.
    pub addrs: EntityAddrVec,
    /// Where it connects from.
    pub socket: SocketAddr,
    /// Features of both sides.
    pub features: Features,
    /// The peer's own features, as it said them.
    pub supported: Features,
    /// What it may do here.
    pub caps: AuthCapsInfo,
    /// How it authenticated.
    pub method: AuthMethod,
    /// How frames are protected.
    pub mode: ConMode,
    /// How frames are compressed, if they are.
    pub compression: Option<Algorithm>,
    /// The type of the session key; none without cephx.
    pub key_type: Option<KeyType>,
}

impl PeerInfo {
    /// The features that monitor maps are written for. Their key types (`AuthCiphers`) are of Tentacle: a client that
    /// knows them is told of them, though we do not offer that release's other features.
    #[must_use]
    pub fn monmap_features(&self) -> Features {
        // Who hides the features of Pacific from its clients does not want them to be told more.
        let told = self.supported.is_since(Release::TENTACLE) && self.features.has(Feature::SERVER_PACIFIC);
        match told {
            true => Features(self.features.0 | Feature::SERVER_TENTACLE.word().0),
            false => self.features,
        }
    }
}

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

enum Outgoing {
    Message(RawMessage),
    KeepaliveAck(Utime),
}

/// Bytes that a message takes on the wire beside its sections, roughly.
const OVERHEAD: usize = 96;

impl Outgoing {
    fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Message(m) => m.front.len() + m.middle.len() + m.data_len(),
                Self::KeepaliveAck(_) => 0,
            }
    }
}

struct Writer {
    half: WriteHalf,
    /// None once nothing more is to be written: the socket is closed then, whoever still holds the session.
    socket: Option<Arc<TcpStream>>,
}

/// Pieces given to one vectored write.
const MAX_IOV: usize = 64;

impl Writer {
    /// Writes without waiting. True if nothing is left; also returns how many bytes went out.
    fn write(&mut self) -> io::Result<(bool, usize)> {
        let mut written = 0;
        let Some(socket) = &self.socket else {
            return Ok((true, 0));
        };
        while !self.half.output().is_empty() {
            let mut iov = [io::IoSlice::new(&[]); MAX_IOV];
            let mut used = 0;
            for (slot, piece) in iov.iter_mut().zip(self.half.output().pieces()) {
                *slot = io::IoSlice::new(piece);
                used += 1;
            }
            match socket.try_write_vectored(&iov[..used]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.half.output().advance(n);
                    written += n;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok((false, written)),
                Err(e) => return Err(e),
            }
        }
        Ok((true, written))
    }
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left to write.
    All,
    /// The socket takes no more now.
    Blocked,
}

/// Of a session that outlives its connections.
struct Lossless {
    link: Arc<Link>,
    /// The connection it has, by its count in the link.
    transport: AtomicU64,
    /// The last one that failed.
    failed: AtomicU64,
    /// Held by the task that reads: one connection after the other.
    reading: tokio::sync::Mutex<()>,
    announced: AtomicBool,
    ended: AtomicBool,
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
        let lossless = half.attachment().map(|attachment| {
            Box::new(Lossless {
                link: Arc::clone(attachment.link()),
                transport: AtomicU64::new(attachment.transport()),
                failed: AtomicU64::new(0),
                reading: tokio::sync::Mutex::default(),
                announced: AtomicBool::new(false),
                ended: AtomicBool::new(false),
            })
        });
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer,
            mon_auth: Mutex::new(mon_auth),
            outbox: Mutex::default(),
            writer: Mutex::new(Some(Writer {
                half,
                socket: Some(socket),
            })),
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

    pub(crate) fn hold(&self, bytes: usize) {
        self.holdings.hold(bytes);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.holdings.release(bytes);
        self.wake_reader_if_allowed();
    }

    fn wake_reader_if_allowed(&self) {
        if self.holdings.reader_waits() && self.holdings.allow_again(self.holds()) {
            self.wake_reader.notify_one();
        }
    }

    /// Whether the session holds so much that its peer is not to be read from.
    pub(crate) fn holds_too_much(&self, share: &mut Share<'_>) -> bool {
        let holds = self.holds();
        holds > share.allowance(holds)
    }

    /// Waits until the session holds so little that its peer may be read from again.
    pub(crate) async fn may_be_read(&self, transport: u64, share: &mut Share<'_>) {
        while self.serves(transport) {
            let holds = self.holds();
            let allowed = share.allowance(holds);
            if holds <= allowed {
                break;
            }
            self.holdings.wait_for(allowed);
            // Once more after this is seen: it may have gone before.
            if self.holds() <= allowed {
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
            *writer = Writer {
                half,
                socket: Some(socket),
            };
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

    fn give_up_connection(&self, writer: &mut Writer) {
        self.drop_output(writer);
        if let Some(lossless) = &self.lossless {
            let transport = lossless.transport.load(Ordering::Acquire);
            lossless.failed.store(transport, Ordering::Release);
        }
        self.wake_reader.notify_one();
        self.wake_writer.notify_one();
    }

    fn drop_output(&self, writer: &mut Writer) {
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
